/* SPDX-License-Identifier: BSD-3-Clause */
/* Looks flows up, packet by packet, and learns and counts them. */
#include "flow/flow_lookup.h"

#include "packet/ms_mbuf.h"

/* Packets, or flows, that are fetched ahead of the one that is looked at. */
#define AHEAD 4

/* Bytes that may follow a packet: of a power of two, one less. With them no packet is too long. */
#define TRAILER_MAX UINT32_C(0x1ffff)
static_assert(TRAILER_MAX + UINT16_MAX + MS_ETHER_HDR <= MS_LENGTH_MAX, "as decap has it");

/* Rare, and so kept out of loops. */
__rte_noinline __rte_cold struct flow *
flow_elsewhere(const struct ms_flow_table *table, const struct flow *first, const uint8_t *d,
	uint32_t serial)
{
	if (!has_shape(table, d))
		return NULL;
	for (size_t i = 1; i < FLOW_WAYS; i++) {
		struct flow *other = flow_other(table, first, i);

		if (flow_is(other, table, d, serial))
			return other;
	}
	return NULL;
}

/*
 * Do the lengths agree, as decap and parse see it, so that the headers are whole? total, udp and
 * inner: of the outer IPv4, the UDP and the inner IPv4 header; a sender that leaves segmentation to
 * its device may leave `inner` 0.
 */
static inline bool
lengths_agree(const struct rte_mbuf *m, uint32_t total, uint32_t udp, uint32_t inner)
{
	/* what is wrong is negative: too short, and behind the packet too few bytes, or too many */
	uint32_t wrong = (udp - (UDP_VXLAN + FRAME_MIN)) |
	                 (uint32_t)((uint16_t)(inner - 1) - (FRAME_MIN - MS_ETHER_HDR - 1)) |
	                 (m->pkt_len - MS_ETHER_HDR - total);

	return ((total ^ (udp + MS_IPV4_HDR)) | (wrong & ~TRAILER_MAX)) == 0;
}

/* The first places of a set of packets' flows; NULL where the headers are not in one piece. */
static inline void
fetch(const struct ms_flow_table *table, struct rte_mbuf *const *mbufs, uint64_t set,
	struct flow **firsts)
{
	for (; set != 0; set &= set - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(set);
		const struct rte_mbuf *m = mbufs[i];

		firsts[i] = NULL;
		if (m->data_len < HEAD_END)
			continue;
		firsts[i] = flow_first(table, rte_pktmbuf_mtod(m, const uint8_t *));
		flow_fetch(firsts[i]);
	}
}

/* The flow of a packet, or NULL. first: its first place, or NULL. */
static inline struct flow *
find(const struct ms_flow_table *table, const struct rte_mbuf *m, struct flow *first,
	uint32_t serial)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	struct flow *flow = first;

	if (flow == NULL)
		return NULL;
	if (unlikely(!has_shape(table, d) || !flow_is(flow, table, d, serial)))
		flow = flow_elsewhere(table, first, d, serial);
	if (flow == NULL || unlikely(!lengths_agree(m, ms_be16(d + AT_TOTAL), ms_be16(d + AT_UDP),
				    ms_be16(d + AT_INNER_TOTAL))))
		return NULL;
	return flow;
}

/* The frame of a packet of a flow. utc: of the burst. */
static inline struct ms_frame
frame_of(const struct ms_flow_table *table, const struct flow *flow, struct rte_mbuf *m,
	uint64_t utc)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t length = ms_be16(d + AT_UDP) - UDP_VXLAN;
	uint32_t inner = ms_be16(d + AT_INNER_TOTAL) + MS_ETHER_HDR;

	return (struct ms_frame){.mbuf = m,
		.timestamp = ms_timestamp_or(table->clock, m, utc),
		.whose = flow->says.whose,
		.where = ms_frame_where(
			ms_data_from_mbuf(m), OUTER, length, RTE_MAX(length, inner))};
}

uint64_t
flow_recall_set(struct ms_flow_table *table, uint32_t serial, struct rte_mbuf *const *mbufs,
	uint64_t set, uint64_t utc, struct ms_recalled *out)
{
	struct flow *flows[MS_BURST];
	uint64_t unknown = 0;

	fetch(table, mbufs, set, flows);
	for (; set != 0; set &= set - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(set);
		struct rte_mbuf *m = mbufs[i];
		struct flow *flow = find(table, m, flows[i], serial);

		if (unlikely(flow == NULL)) {
			unknown |= UINT64_C(1) << i;
			continue;
		}
		if (table->frames)
			out->frames[i] = frame_of(table, flow, m, utc);
		out->hashes[i] = flow->says.hash;
		out->fates[i] = (uint8_t)flow->says.fate;
		out->rejected |= (uint64_t)(flow->says.fate != MS_FATE_NONE) << i;
		flow_count(table, flow, ms_be16(rte_pktmbuf_mtod(m, const uint8_t *) + AT_UDP));
	}
	return unknown;
}

uint64_t
flow_recall_scalar(struct ms_flow_table *table, uint32_t serial, struct rte_mbuf *const *mbufs,
	uint16_t n, uint64_t utc, struct ms_recalled *out)
{
	struct rte_mempool *pool = mbufs[0]->pool;
	uint64_t odd = 0;

	for (uint16_t i = 0; i < n; i++) {
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], const void *));
		rte_prefetch0(rte_pktmbuf_mtod_offset(mbufs[i], const void *, 64));
		out->bytes += mbufs[i]->pkt_len;
		odd |= ms_mbuf_oddity(mbufs[i], pool);
	}
	if (odd == 0)
		out->pool = pool;
	return flow_recall_set(table, serial, mbufs, flow_all(n), utc, out);
}

/* Counts packets in the outputs of a set. */
static inline void
count_outputs(struct ms_flow_table *table, uint32_t outputs, uint64_t packets, uint64_t bytes)
{
	for (; outputs != 0; outputs &= outputs - 1) {
		struct ms_output_ledger *output = table->outputs[__builtin_ctz(outputs)];

		ms_count_add(&output->offered, packets);
		ms_count_add(&output->written, packets);
		ms_count_add(&output->bytes, bytes);
	}
}

/* Counts what a flow holds back; it stays listed. */
static inline void
settle(struct ms_flow_table *table, struct flow *flow)
{
	const struct ms_frame of = {.whose = flow->says.whose};
	const struct flow_leaves *leaves = &table->leaves[flow - table->flows];
	uint64_t packets = (flow->tally & ~TALLY_LISTED) / TALLY_PACKET;
	uint64_t bytes = (flow->tally & (TALLY_PACKET - 1)) - packets * UDP_VXLAN;

	ms_session_count_packets(&table->sessions[of.session], of.direction, packets, bytes);
	if (flow->says.fate != MS_FATE_NONE)
		ms_count_add(&table->sessions[of.session].rejected, packets);
	else if (!table->frames)
		count_outputs(table, of.outputs, packets, bytes);
	ms_count_add(&table->leaf_hits[leaves->leaf], packets);
	if (leaves->second != MS_LEAF_NONE)
		ms_count_add(&table->leaf_hits[leaves->second], packets);
	flow->tally = TALLY_LISTED;
}

void
ms_flow_settle(struct ms_flow_table *table)
{
	for (uint32_t i = 0; i < table->listed_n; i++) {
		if (i + AHEAD < table->listed_n)
			rte_prefetch0(&table->listed[i + AHEAD]->tally);
		settle(table, table->listed[i]);
		table->listed[i]->tally = 0;
	}
	table->listed_n = 0;
}

uint64_t
ms_flow_burst(struct ms_flow_table *table, uint32_t serial, struct rte_mbuf *const *mbufs,
	uint16_t n, uint64_t tsc, ms_counter *leaf_hits, struct ms_recalled *out)
{
	if (unlikely(serial != table->serial))
		ms_flow_settle(table);
	table->serial = serial;
	table->leaf_hits = leaf_hits;
	out->rejected = out->bytes = 0;
	out->pool = NULL;
	return table->recall(table, serial, mbufs, n,
		table->frames ? ms_timestamp_utc(table->clock, tsc) : 0, out);
}

/* Is a flow of the ruleset in this place? */
static inline bool
is_taken(const struct ms_flow_table *table, const struct flow *flow)
{
	return flow->whence >> 32 == table->serial;
}

/* A place for a flow: a free one, else each in turn. What stood there has been counted. */
static struct flow *
make_room(struct ms_flow_table *table, struct flow *first)
{
	struct flow *flow = first;

	for (size_t i = 1; i < FLOW_WAYS && is_taken(table, flow); i++)
		flow = flow_other(table, first, i);
	if (is_taken(table, flow))
		flow = flow_other(table, first, table->turn++ % FLOW_WAYS);
	if (flow->tally != 0)
		settle(table, flow);
	return flow;
}

void
ms_flow_learn(struct ms_flow_table *table, const struct rte_mbuf *m, const struct ms_packet *p)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct ms_frame of = {
		.session = p->session, .direction = p->direction, .outputs = p->outputs};
	const bool both = p->direction == MS_DIRECTION_UNKNOWN;
	struct flow *flow;

	if (m->data_len < HEAD_END || p->leaf == MS_LEAF_NONE ||
		(both && p->leaf_second == MS_LEAF_NONE) ||
		(p->key.proto != MS_PROTO_TCP && p->key.proto != MS_PROTO_UDP) ||
		!has_shape(table, d) ||
		!lengths_agree(
			m, ms_be16(d + AT_TOTAL), ms_be16(d + AT_UDP), ms_be16(d + AT_INNER_TOTAL)))
		return;
	flow = flow_first(table, d);
	if (flow_is(flow, table, d, table->serial) ||
		flow_elsewhere(table, flow, d, table->serial) != NULL)
		return; /* an earlier packet of the burst was of the same flow */
	flow = make_room(table, flow);
	memcpy(&flow->key[0], d + AT_KEY, 2 * sizeof(flow->key[0]));
	memcpy(&flow->key[2], d + AT_KEY_END, 2 * sizeof(flow->key[0]));
	flow->whence = flow_whence(d, table->serial);
	flow->says = (struct flow_says){.whose = of.whose, .hash = p->hash, .fate = p->fate};
	table->leaves[flow - table->flows] = (struct flow_leaves){
		.leaf = p->leaf, .second = both ? p->leaf_second : MS_LEAF_NONE};
}
