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
__attribute__((target("avx2"))) static inline bool
same_avx2(const struct head *mask, const struct head *head, const uint8_t *d)
{
	const __m256i *bits = (const __m256i *)mask, *known = (const __m256i *)head;
	__m256i a = _mm256_loadu_si256((const __m256i *)d);
	__m256i b = _mm256_loadu_si256((const __m256i *)d + 1);

	a = _mm256_and_si256(_mm256_xor_si256(a, known[0]), bits[0]);
	b = _mm256_and_si256(_mm256_xor_si256(b, known[1]), bits[1]);
	a = _mm256_or_si256(a, b);
	return _mm256_testz_si256(a, a);
}

__attribute__((target("avx512f,avx512bw"))) static inline bool
same_avx512(const struct head *mask, const struct head *head, const uint8_t *d)
{
	__m512i differ = _mm512_xor_si512(_mm512_loadu_si512(d), _mm512_load_si512(head));

	return _mm512_test_epi64_mask(differ, _mm512_load_si512(mask)) == 0;
}
#endif

/* The places that the flow of a packet can have. d: the packet. */
static inline struct flow *
flow_ways(const struct ms_flow_table *table, const uint8_t *d)
{
	/* addresses; ports and VNI, of which byte 45, before it, is reserved */
	uint64_t h = ms_load64(d + HEAD_ADDRESSES) * UINT64_C(0x9e3779b97f4a7c15) +
	             ((uint64_t)ms_load32(d + HEAD_PORTS) << 32 | ms_load32(d + 45)) *
	                     UINT64_C(0xbf58476d1ce4e5b9);

	return table->buckets[h >> table->shift];
}

typedef bool is_same(const struct head *mask, const struct head *head, const uint8_t *d);

static __rte_always_inline bool
flow_is(const struct flow *flow, const struct ms_flow_table *table, const uint8_t *d,
	uint32_t serial, is_same *same)
{
	uint64_t differ = (flow->addresses ^ ms_load64(d + HEAD_ADDRESSES)) |
	                  (flow->ports ^ ms_load32(d + HEAD_PORTS)) | (flow->serial ^ serial);

	return differ == 0 && same(&table->mask, &flow->head, d + HEAD_FROM);
}

/* The flow of a packet among its places, or NULL. */
static __rte_always_inline const struct flow *
flow_find(const struct flow *ways, const struct ms_flow_table *table, const uint8_t *d,
	uint32_t serial, is_same *same)
{
	if (likely(flow_is(&ways[0], table, d, serial, same)))
		return &ways[0];
	return flow_is(&ways[1], table, d, serial, same) ? &ways[1] : NULL;
}

/*
 * Do the lengths agree, as decap and parse see it, so that the headers are whole? total, udp and
 * inner: of the outer IPv4, the UDP and the inner IPv4 header; a sender that leaves segmentation to
 * its device may leave `inner` 0.
 */
static inline bool
lengths_agree(const struct rte_mbuf *m, uint32_t total, uint32_t udp, uint32_t inner)
{
	uint32_t packet = total + MS_ETHER_HDR;

	/* packet <= pkt_len <= MS_LENGTH_MAX */
	return (total == udp + MS_IPV4_HDR) & (udp >= UDP_VXLAN + FRAME_MIN) &
	       (m->pkt_len - packet <= MS_LENGTH_MAX - packet) &
	       ((uint16_t)(inner - 1) >= FRAME_MIN - MS_ETHER_HDR - 1);
}

/* Finds the places of all flows, and has them fetched. A packet whose headers are not in one piece
 * has none. */
static __rte_always_inline void
fetch(const struct ms_flow_table *table, struct rte_mbuf *const *mbufs, uint16_t n,
	struct flow **ways)
{
	for (uint16_t i = 0; i < n; i++) {
		const uint8_t *d = rte_pktmbuf_mtod(mbufs[i], const uint8_t *);

		if (i + AHEAD < n) {
			const uint8_t *ahead = rte_pktmbuf_mtod(mbufs[i + AHEAD], const uint8_t *);

			rte_prefetch0(ahead);
			rte_prefetch0(ahead + HEAD_BYTES);
		}
		if (unlikely(mbufs[i]->data_len < HEAD_END)) {
			ways[i] = NULL;
			continue;
		}
		ways[i] = flow_ways(table, d);
		rte_prefetch0(ways[i]);
		rte_prefetch0(&ways[i]->addresses);
	}
}

static inline void
count(const struct flow_known *known, uint32_t bytes, ms_counter *leaf_hits,
	struct ms_session_counts *sessions)
{
	ms_session_count_packet(&sessions[known->session], known->direction, bytes);
	ms_count_add(&leaf_hits[known->leaf], 1);
	if (known->leaf_second != MS_LEAF_NONE)
		ms_count_add(&leaf_hits[known->leaf_second], 1);
}

static __rte_always_inline uint64_t
recall(struct ms_flow_table *table, uint32_t serial, struct rte_mbuf *const *mbufs, uint16_t n,
	uint64_t tsc, ms_counter *leaf_hits, struct ms_session_counts *sessions,
	struct ms_recalled *out, is_same *same)
{
	uint64_t utc = ms_timestamp_utc(table->clock, tsc), unknown = 0, rejected = 0;
	struct flow *ways[MS_BURST];

	fetch(table, mbufs, n, ways);
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = mbufs[i];
		const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
		const struct flow_known *known;
		const struct flow *flow;
		uint32_t udp, inner, length;

		if (unlikely(ways[i] == NULL ||
			     (flow = flow_find(ways[i], table, d, serial, same)) == NULL)) {
			unknown |= UINT64_C(1) << i;
			continue;
		}
		udp = ms_be16(d + 38);
		inner = ms_be16(d + 66);
		if (unlikely(!lengths_agree(m, ms_be16(d + 16), udp, inner))) {
			unknown |= UINT64_C(1) << i;
			continue;
		}
		known = &flow->known;
		length = udp - UDP_VXLAN;
		out->hashes[i] = known->hash;
		out->fates[i] = known->fate;
		rejected |= (uint64_t)(known->fate != MS_FATE_NONE) << i;
		out->frames[i] = (struct ms_frame){.mbuf = m,
			.timestamp = ms_timestamp_or(table->clock, m, utc),
			.session = known->session,
			.direction = known->direction,
			.outputs = known->outputs,
			.data = ms_data_from_mbuf(m),
			.offset = OUTER,
			.length = length,
			.original_length = RTE_MAX(length, inner + MS_ETHER_HDR)};
		count(known, length, leaf_hits, sessions);
	}
	table->serial = serial;
	out->rejected = rejected;
	return unknown;
}

uint64_t
flow_recall_scalar(struct ms_flow_table *table, uint32_t serial, struct rte_mbuf *const *mbufs,
	uint16_t n, uint64_t tsc, ms_counter *leaf_hits, struct ms_session_counts *sessions,
	struct ms_recalled *out)
{
	return recall(table, serial, mbufs, n, tsc, leaf_hits, sessions, out, same_scalar);
}

#if defined(RTE_ARCH_X86_64)
__attribute__((target("avx2"))) uint64_t
flow_recall_avx2(struct ms_flow_table *table, uint32_t serial, struct rte_mbuf *const *mbufs,
	uint16_t n, uint64_t tsc, ms_counter *leaf_hits, struct ms_session_counts *sessions,
	struct ms_recalled *out)
{
	return recall(table, serial, mbufs, n, tsc, leaf_hits, sessions, out, same_avx2);
}

__attribute__((target("avx512f,avx512bw"))) uint64_t
flow_recall_avx512(struct ms_flow_table *table, uint32_t serial, struct rte_mbuf *const *mbufs,
	uint16_t n, uint64_t tsc, ms_counter *leaf_hits, struct ms_session_counts *sessions,
	struct ms_recalled *out)
{
	return recall(table, serial, mbufs, n, tsc, leaf_hits, sessions, out, same_avx512);
}
#endif

uint64_t
ms_flow_burst(struct ms_flow_table *table, uint32_t serial, struct rte_mbuf *const *mbufs,
	uint16_t n, uint64_t tsc, ms_counter *leaf_hits, struct ms_session_counts *sessions,
	struct ms_recalled *out)
{
	return table->recall(table, serial, mbufs, n, tsc, leaf_hits, sessions, out);
}

/* Has the packet the shape, as far as its head tells? d: from HEAD_FROM on. */
static inline bool
has_shape(const struct ms_flow_table *table, const uint8_t *d)
{
	return same_scalar(&table->shape_mask, &table->shape, d);
}

void
ms_flow_learn(struct ms_flow_table *table, const struct rte_mbuf *m, const struct ms_packet *p)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	struct flow *ways;

	if (m->data_len < HEAD_END || p->many_leaves ||
		(p->key.proto != MS_PROTO_TCP && p->key.proto != MS_PROTO_UDP) ||
		!has_shape(table, d + HEAD_FROM) ||
		!lengths_agree(m, ms_be16(d + 16), ms_be16(d + 38), ms_be16(d + 66)))
		return;
	ways = flow_ways(table, d);
	if (flow_find(ways, table, d, table->serial, same_scalar) != NULL)
		return;    /* an earlier packet of the burst was of the same flow */
	ways[1] = ways[0]; /* the older of the two is forgotten */
	memcpy(&ways[0].head, d + HEAD_FROM, sizeof(ways[0].head));
	ways[0].addresses = ms_load64(d + HEAD_ADDRESSES);
	ways[0].ports = ms_load32(d + HEAD_PORTS);
	ways[0].serial = table->serial;
	ways[0].known = (struct flow_known){.session = p->session,
		.direction = p->direction,
		.outputs = p->outputs,
		.leaf = p->leaf,
		.leaf_second = p->leaf_second,
		.hash = p->hash,
		.fate = p->fate};
}
