/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looks flows up, and learns them. The loop is compiled for several kinds of vectors, which differ
 * in how they compare a packet with the shape; all else is the same code.
 */
#include "flow/flow_internal.h"

#include <rte_prefetch.h>

#include "packet/ms_wire.h"

#if defined(RTE_ARCH_X86_64)
#include <immintrin.h>
#endif

/* Packets whose headers are fetched ahead of the one that is looked at. */
#define AHEAD 4

/* Bytes that may follow a packet: of a power of two, one less. With them no packet is too long. */
#define TRAILER_MAX UINT32_C(0x1ffff)
static_assert(TRAILER_MAX + UINT16_MAX + MS_ETHER_HDR <= MS_LENGTH_MAX, "as decap has it");

/* Bytes of the outer headers, and from the inner IPv4 header on, in the inner frame. */
#define OUTER     50
#define UDP_VXLAN 16
#define FRAME_MIN 38 /* Ethernet 14, IPv4 20, ports 4 */

/* Is a packet's head, from HEAD_FROM on, that of the flow, as far as it decides? */
static inline bool
same_scalar(const struct head *mask, const struct head *head, const uint8_t *d)
{
	uint64_t differ = 0;

	for (unsigned int i = 0; i < HEAD_WORDS; i++)
		differ |= (ms_load64(d + i * 8) ^ head->word[i]) & mask->word[i];
	return differ == 0;
}

#if defined(RTE_ARCH_X86_64)
/* The last 16 bytes, for which the wider vectors are too wide. */
__attribute__((target("avx2"))) static inline __m128i
differ_tail(const struct head *mask, const struct head *head, const uint8_t *d)
{
	const __m128i *bits = (const __m128i *)mask, *known = (const __m128i *)head;
	__m128i tail = _mm_loadu_si128((const __m128i *)d + 4);

	return _mm_and_si128(_mm_xor_si128(tail, known[4]), bits[4]);
}

__attribute__((target("avx2"))) static inline bool
same_avx2(const struct head *mask, const struct head *head, const uint8_t *d)
{
	const __m256i *bits = (const __m256i *)mask, *known = (const __m256i *)head;
	__m256i a = _mm256_loadu_si256((const __m256i *)d);
	__m256i b = _mm256_loadu_si256((const __m256i *)d + 1);

	a = _mm256_and_si256(_mm256_xor_si256(a, known[0]), bits[0]);
	b = _mm256_and_si256(_mm256_xor_si256(b, known[1]), bits[1]);
	a = _mm256_or_si256(
		_mm256_or_si256(a, b), _mm256_zextsi128_si256(differ_tail(mask, head, d)));
	return _mm256_testz_si256(a, a);
}

__attribute__((target("avx2,avx512f,avx512bw"))) static inline bool
same_avx512(const struct head *mask, const struct head *head, const uint8_t *d)
{
	__m512i differ = _mm512_xor_si512(_mm512_loadu_si512(d), _mm512_loadu_si512(head));

	differ = _mm512_and_si512(differ, _mm512_loadu_si512(mask));
	differ = _mm512_or_si512(differ, _mm512_zextsi128_si512(differ_tail(mask, head, d)));
	return _mm512_test_epi64_mask(differ, differ) == 0;
}
#endif

/* The place where a packet's flow is looked for first. d: the packet. */
static inline struct flow *
flow_first(const struct ms_flow_table *table, const uint8_t *d)
{
	/* addresses; ports and VNI, of which byte 45, before it, is reserved */
	uint64_t h = ms_load64(d + HEAD_ADDRESSES) * UINT64_C(0x9e3779b97f4a7c15) +
	             ((uint64_t)ms_load32(d + HEAD_PORTS) << 32 | ms_load32(d + 45)) *
	                     UINT64_C(0xbf58476d1ce4e5b9);

	return &table->flows[h >> table->shift];
}

/* The other places, i = 1 to FLOW_WAYS - 1, which share their pages with the first. */
static inline struct flow *
flow_other(const struct ms_flow_table *table, const struct flow *first, size_t i)
{
	return &table->flows[(size_t)(first - table->flows) ^ i];
}

typedef bool is_same(const struct head *mask, const struct head *head, const uint8_t *d);

static __rte_always_inline bool
flow_is(const struct flow *flow, const struct ms_flow_table *table, const uint8_t *d,
	uint32_t serial, is_same *same)
{
	return flow->serial == serial && same(&table->mask, &flow->head, d + HEAD_FROM);
}

/* The flow of a packet in one of its other places, or NULL. Rare, and so kept out of the loop. */
static __rte_noinline __rte_cold struct flow *
flow_elsewhere(const struct ms_flow_table *table, const struct flow *first, const uint8_t *d,
	uint32_t serial)
{
	for (size_t i = 1; i < FLOW_WAYS; i++) {
		struct flow *other = flow_other(table, first, i);

		if (flow_is(other, table, d, serial, same_scalar))
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

/*
 * Finds the first places of all flows, and has them fetched. A packet whose headers are not in one
 * piece has none. Returns the bytes of all packets.
 */
static __rte_always_inline uint64_t
fetch(const struct ms_flow_table *table, struct rte_mbuf *const *mbufs, uint16_t n,
	struct flow **firsts)
{
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < n; i++) {
		const uint8_t *d = rte_pktmbuf_mtod(mbufs[i], const uint8_t *);

		if (i + AHEAD < n) {
			const uint8_t *ahead = rte_pktmbuf_mtod(mbufs[i + AHEAD], const uint8_t *);

			rte_prefetch0(ahead);
			rte_prefetch0(ahead + 64);
		}
		bytes += mbufs[i]->pkt_len;
		if (unlikely(mbufs[i]->data_len < HEAD_END)) {
			firsts[i] = NULL;
			continue;
		}
		firsts[i] = flow_first(table, d);
		rte_prefetch0(firsts[i]);
		rte_prefetch0(&firsts[i]->tally);
	}
	return bytes;
}

/* Tells the fates of a set of packets, of which the filter has rejected some. */
static __rte_noinline void
reject(struct flow *const *flows, uint64_t known, struct ms_recalled *out)
{
	for (; known != 0; known &= known - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(known);

		out->fates[i] = (uint8_t)flows[i]->fate;
		out->rejected |= (uint64_t)(flows[i]->fate != MS_FATE_NONE) << i;
	}
}

static __rte_always_inline uint64_t
recall(struct ms_flow_table *table, uint32_t serial, struct rte_mbuf *const *mbufs, uint16_t n,
	uint64_t tsc, struct ms_recalled *out, is_same *same)
{
	const struct ms_timestamp *clock = table->clock;
	const uint64_t utc = ms_timestamp_utc(clock, tsc), stamped = clock->flag;
	struct flow *flows[MS_BURST], **listed = &table->listed[table->listed_n];
	uint64_t unknown = 0;
	uint32_t fates = 0;

	out->bytes = fetch(table, mbufs, n, flows);
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = mbufs[i];
		const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
		struct ms_frame *frame = &out->frames[i];
		struct flow *flow = flows[i];
		uint32_t udp, inner, length;
		uint64_t tally;

		if (unlikely(flow == NULL))
			goto unknown;
		if (unlikely(!flow_is(flow, table, d, serial, same))) {
			flow = flow_elsewhere(table, flow, d, serial);
			if (flow == NULL)
				goto unknown;
			flows[i] = flow;
		}
		udp = ms_be16(d + 38);
		inner = ms_be16(d + 66);
		if (unlikely(!lengths_agree(m, ms_be16(d + 16), udp, inner)))
			goto unknown;
		length = udp - UDP_VXLAN;
		frame->mbuf = m;
		frame->timestamp = utc;
		if (unlikely((m->ol_flags & stamped) != 0))
			frame->timestamp = ms_timestamp_or(clock, m, utc);
		frame->whose = flow->whose;
		frame->where = ms_frame_where(
			ms_data_from_mbuf(m), OUTER, length, RTE_MAX(length, inner + MS_ETHER_HDR));
		out->hashes[i] = flow->hash;
		fates |= flow->fate ^ MS_FATE_NONE;
		tally = flow->tally;
		if (unlikely(tally == 0)) {
			*listed++ = flow;
			tally = TALLY_LISTED;
		}
		flow->tally = tally + (TALLY_PACKET + length);
		continue;
unknown:
		unknown |= UINT64_C(1) << i;
	}
	table->listed_n = (uint32_t)(listed - table->listed);
	out->rejected = 0;
	if (fates != 0)
		reject(flows, ~unknown & UINT64_MAX >> (64 - n), out);
	return unknown;
}

uint64_t
flow_recall_scalar(struct ms_flow_table *table, uint32_t serial, struct rte_mbuf *const *mbufs,
	uint16_t n, uint64_t tsc, struct ms_recalled *out)
{
	return recall(table, serial, mbufs, n, tsc, out, same_scalar);
}

#if defined(RTE_ARCH_X86_64)
__attribute__((target("avx2"))) uint64_t
flow_recall_avx2(struct ms_flow_table *table, uint32_t serial, struct rte_mbuf *const *mbufs,
	uint16_t n, uint64_t tsc, struct ms_recalled *out)
{
	return recall(table, serial, mbufs, n, tsc, out, same_avx2);
}

__attribute__((target("avx2,avx512f,avx512bw"))) uint64_t
flow_recall_avx512(struct ms_flow_table *table, uint32_t serial, struct rte_mbuf *const *mbufs,
	uint16_t n, uint64_t tsc, struct ms_recalled *out)
{
	return recall(table, serial, mbufs, n, tsc, out, same_avx512);
}
#endif

/* Counts what a flow holds back; it stays listed. */
static inline void
settle(struct ms_flow_table *table, struct flow *flow)
{
	struct ms_frame of = {.whose = flow->whose};
	uint64_t packets = (flow->tally & ~TALLY_LISTED) / TALLY_PACKET;

	ms_session_count_packets(&table->sessions[of.session], of.direction, packets,
		flow->tally & (TALLY_PACKET - 1));
	if (flow->fate != MS_FATE_NONE)
		ms_count_add(&table->sessions[of.session].rejected, packets);
	ms_count_add(&table->leaf_hits[flow->leaf], packets);
	if (flow->leaf_second != MS_LEAF_NONE)
		ms_count_add(&table->leaf_hits[flow->leaf_second], packets);
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
	return table->recall(table, serial, mbufs, n, tsc, out);
}

/* Has the packet the shape, as far as its head tells? d: from HEAD_FROM on. */
static inline bool
has_shape(const struct ms_flow_table *table, const uint8_t *d)
{
	return same_scalar(&table->shape_mask, &table->shape, d);
}

/* A place for a flow: a free one, else each in turn. What stood there has been counted. */
static struct flow *
make_room(struct ms_flow_table *table, struct flow *first)
{
	struct flow *flow = first;

	for (size_t i = 1; i < FLOW_WAYS && flow->serial == table->serial; i++)
		flow = flow_other(table, first, i);
	if (flow->serial == table->serial)
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
	struct flow *flow;

	if (m->data_len < HEAD_END || p->many_leaves ||
		(p->key.proto != MS_PROTO_TCP && p->key.proto != MS_PROTO_UDP) ||
		!has_shape(table, d + HEAD_FROM) ||
		!lengths_agree(m, ms_be16(d + 16), ms_be16(d + 38), ms_be16(d + 66)))
		return;
	flow = flow_first(table, d);
	if (flow_is(flow, table, d, table->serial, same_scalar) ||
		flow_elsewhere(table, flow, d, table->serial) != NULL)
		return; /* an earlier packet of the burst was of the same flow */
	flow = make_room(table, flow);
	memcpy(&flow->head, d + HEAD_FROM, HEAD_BYTES);
	flow->whose = of.whose;
	flow->hash = p->hash;
	flow->leaf = p->leaf;
	flow->leaf_second = p->leaf_second;
	flow->serial = table->serial;
	flow->fate = p->fate;
}
