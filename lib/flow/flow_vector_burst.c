/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looks flows up with vectors of 256 bits. Nearly all packets of nearly all bursts are plain: in
 * one piece, with their headers, without a time of their own. They take one path without branches,
 * in loops over the burst that hand on by column: where headers are, and a flow's first place; what
 * is to be compared of each; then lengths of 16 packets and frames of 4 at a time. The others are
 * for flow_recall_set().
 */
#include "flow/flow_lookup.h"

#include <stddef.h>

#if defined(RTE_ARCH_X86_64)

#include <immintrin.h>

#define AVX2   __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx2,avx512f,avx512vl")))

/* What the loops hand on, by packet; room for whole vectors. */
struct columns {
	alignas(32) const uint8_t *heads[MS_BURST];
	struct flow *flows[MS_BURST]; /* the first place; then the flow, if it is known */
	struct flow_says says[MS_BURST];
	uint16_t here[MS_BURST];  /* bytes of the packet */
	uint16_t udp[MS_BURST];   /* that its UDP header tells of */
	uint16_t total[MS_BURST]; /* outer IPv4 header, as it stands there */
	uint16_t inner[MS_BURST]; /* inner one, as it stands there */
	/* of the inner frame, and of it on its own wire */
	uint16_t length[MS_BURST];
	uint16_t original[MS_BURST];
};

/* What stands for the headers of a packet that is not plain: no flow has such. */
static const uint8_t nothing[HEAD_END];

/* A head in vectors; see struct head. */
struct wide {
	__m256i shape, key, inner;
};

AVX2 static __rte_always_inline struct wide
wide_load(const struct head *head)
{
	return (struct wide){.shape = _mm256_load_si256((const __m256i *)head->shape),
		.key = _mm256_load_si256((const __m256i *)head->key),
		.inner = _mm256_load_si256((const __m256i *)head->inner)};
}

AVX2 static __rte_always_inline __m128i
load_16(const uint8_t *bytes)
{
	return _mm_loadu_si128((const __m128i *)bytes);
}

AVX2 static __rte_always_inline __m256i
load_32(const uint8_t *bytes)
{
	return _mm256_loadu_si256((const __m256i *)bytes);
}

/* Of a packet. */
AVX2 static __rte_always_inline struct wide
wide_gather(const uint8_t *d)
{
	__m256i inner = load_32(d + AT_INNER);

	/* whose second half is the key's too */
	return (struct wide){.shape = load_32(d + AT_SHAPE),
		.key = _mm256_blend_epi32(inner, _mm256_castsi128_si256(load_16(d + AT_KEY)), 0x0f),
		.inner = inner};
}

typedef bool is_same(const struct wide *mask, const struct wide *x, const struct wide *y);

AVX2 static __rte_always_inline bool
same_avx2(const struct wide *mask, const struct wide *x, const struct wide *y)
{
	__m256i shape = _mm256_and_si256(_mm256_xor_si256(x->shape, y->shape), mask->shape);
	__m256i key = _mm256_and_si256(_mm256_xor_si256(x->key, y->key), mask->key);
	__m256i inner = _mm256_and_si256(_mm256_xor_si256(x->inner, y->inner), mask->inner);
	__m256i any = _mm256_or_si256(_mm256_or_si256(shape, key), inner);

	return _mm256_testz_si256(any, any);
}

/* (x ^ y) & mask, and x | y | z, as truth tables of three operands. */
#define DIFFER_UNDER 0x28
#define ANY_OF_THREE 0xfe

AVX512 static __rte_always_inline bool
same_avx512(const struct wide *mask, const struct wide *x, const struct wide *y)
{
	__m256i shape = _mm256_ternarylogic_epi64(x->shape, y->shape, mask->shape, DIFFER_UNDER);
	__m256i key = _mm256_ternarylogic_epi64(x->key, y->key, mask->key, DIFFER_UNDER);
	__m256i inner = _mm256_ternarylogic_epi64(x->inner, y->inner, mask->inner, DIFFER_UNDER);
	__m256i any = _mm256_ternarylogic_epi64(shape, key, inner, ANY_OF_THREE);

	return _mm256_testz_si256(any, any);
}

/* Bytes 16 to 31 of an mbuf, and 32 to 47: what they hold for whether it is plain. */
static_assert(offsetof(struct rte_mbuf, data_off) == 16 &&
		      offsetof(struct rte_mbuf, refcnt) == 18 &&
		      offsetof(struct rte_mbuf, nb_segs) == 20 &&
		      offsetof(struct rte_mbuf, ol_flags) == 24 &&
		      offsetof(struct rte_mbuf, data_len) == 40,
	"as find_heads() has it");

/* Their bytes 2 to 5 if one reference and one segment is all there is, also for several or-ed. */
#define REARM_MASK  (UINT64_C(0xffffffff) << 16)
#define REARM_PLAIN (UINT64_C(0x00010001) << 16)

/* Finds headers and sizes, and has headers fetched. Returns whether all packets are plain. */
AVX2 static __rte_always_inline bool
find_heads(struct rte_mbuf *const *mbufs, uint16_t n, uint64_t stamped, struct columns *c,
	struct ms_recalled *out)
{
	struct rte_mempool *pool = mbufs[0]->pool;
	__m128i any = _mm_setzero_si128(), least = _mm_set1_epi16(-1);
	uint64_t sum = 0, pools = 0, rearms, flags;

#pragma GCC unroll 4
	for (size_t i = 0; i < n; i++) {
		const struct rte_mbuf *m = mbufs[i];
		const uint8_t *d = (const uint8_t *)m->buf_addr + m->data_off;

		rte_prefetch0(d);
		rte_prefetch0(d + 64);
		c->heads[i] = d;
		c->here[i] = m->data_len;
		sum += m->data_len;
		any = _mm_or_si128(any, load_16((const uint8_t *)m + 16));
		least = _mm_min_epu16(least, load_16((const uint8_t *)m + 32));
		pools |= (uintptr_t)m->pool ^ (uintptr_t)pool;
	}
	rearms = (uint64_t)_mm_extract_epi64(any, 0);
	flags = (uint64_t)_mm_extract_epi64(any, 1);
	out->bytes = sum;
	/* as ms_mbuf_oddity() sees it */
	if ((rearms & REARM_MASK) == REARM_PLAIN && pools == 0 &&
		(flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) == 0)
		out->pool = pool;
	return _mm_extract_epi16(least, 4) >= HEAD_END && (rearms >> 32 & UINT16_MAX) == 1 &&
	       (flags & stamped) == 0;
}

/* Takes out the packets that are not plain, of which there are some. Returns their set. */
static __rte_noinline uint64_t
find_odd(struct rte_mbuf *const *mbufs, uint16_t n, uint64_t stamped, struct columns *c,
	uint64_t *bytes)
{
	uint64_t odd = 0;

	for (uint16_t i = 0; i < n; i++) {
		const struct rte_mbuf *m = mbufs[i];

		if (m->data_len >= HEAD_END && m->nb_segs == 1 && (m->ol_flags & stamped) == 0)
			continue;
		odd |= UINT64_C(1) << i;
		c->heads[i] = nothing;
		*bytes += m->pkt_len - m->data_len;
	}
	return odd;
}

/* Finds the first places of all flows, and has them fetched. */
static __rte_always_inline void
find_places(const struct ms_flow_table *table, uint16_t n, struct columns *c)
{
#pragma GCC unroll 4
	for (uint16_t i = 0; i < n; i++) {
		c->flows[i] = flow_first(table, c->heads[i]);
		flow_fetch(c->flows[i]);
	}
}

/* Takes what is known of a packet from its flow, and what it says itself; counts it. */
AVX2 static __rte_always_inline void
take(struct ms_flow_table *table, struct columns *c, size_t i, bool frames)
{
	const uint8_t *d = c->heads[i];
	struct flow *flow = c->flows[i];
	uint16_t udp;

	if (frames)
		_mm_store_si128(
			(__m128i *)&c->says[i], _mm_load_si128((const __m128i *)&flow->says));
	c->total[i] = ms_load16(d + AT_TOTAL);
	c->inner[i] = ms_load16(d + AT_INNER_TOTAL);
	/* behind the port: turned round together, in one instruction */
	udp = (uint16_t)ms_be32(d + AT_UDP - 2);
	c->udp[i] = udp;
	flow_count(table, flow, udp);
}

/* Looks in the other places for a set of packets. Returns the set of those that have no flow. */
AVX2 static __rte_noinline uint64_t
find_elsewhere(struct ms_flow_table *table, uint32_t serial, uint64_t set, struct columns *c,
	uint32_t *fates)
{
	uint64_t unknown = 0;

	for (; set != 0; set &= set - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(set);
		struct flow *flow = flow_elsewhere(table, c->flows[i], c->heads[i], serial);

		if (flow == NULL) {
			unknown |= UINT64_C(1) << i;
			c->says[i] = (struct flow_says){0}; /* is read, but not used */
			continue;
		}
		c->flows[i] = flow;
		take(table, c, i, true);
		*fates |= flow->says.fate;
	}
	return unknown;
}

/*
 * Finds the flows, and counts their packets. Returns the set of packets that have none. *fates: all
 * that the filter says of the others, or-ed.
 */
AVX2 static __rte_always_inline uint64_t
find_flows(struct ms_flow_table *table, uint32_t serial, uint16_t n, struct columns *c,
	uint32_t *fates, bool frames, is_same *same)
{
	const struct wide mask = wide_load(&table->mask);
	struct wide known = wide_load(&table->shape);
	uint64_t missed = 0;
	uint32_t some = 0;

	for (size_t i = 0; i < n; i++) {
		const uint8_t *d = c->heads[i];
		const struct flow *flow = c->flows[i];
		const struct wide head = wide_gather(d);

		known.key = _mm256_load_si256((const __m256i *)flow->key);
		/* no calls here: no register would outlive them */
		if (unlikely(flow->whence != flow_whence(d, serial) ||
			     !same(&mask, &head, &known))) {
			missed |= UINT64_C(1) << i;
			continue;
		}
		take(table, c, i, frames);
		some |= flow->says.fate;
	}
	if (unlikely(missed != 0))
		missed = find_elsewhere(table, serial, missed, c, &some);
	*fates = some;
	return missed;
}

AVX2 static __rte_always_inline __m256i
load_column(const uint16_t *column)
{
	return _mm256_load_si256((const __m256i *)column);
}

/* 16 numbers as they stand in headers. */
AVX2 static __rte_always_inline __m256i
load_be16(const uint16_t *column)
{
	const __m256i swap = _mm256_set_epi8(14, 15, 12, 13, 10, 11, 8, 9, 6, 7, 4, 5, 2, 3, 0, 1,
		14, 15, 12, 13, 10, 11, 8, 9, 6, 7, 4, 5, 2, 3, 0, 1);

	return _mm256_shuffle_epi8(load_column(column), swap);
}

AVX2 static __rte_always_inline __m256i
at_least(__m256i x, uint16_t least)
{
	return _mm256_cmpeq_epi16(_mm256_max_epu16(x, _mm256_set1_epi16((short)least)), x);
}

AVX2 static __rte_always_inline __m256i
at_most(__m256i x, uint16_t most)
{
	return _mm256_cmpeq_epi16(_mm256_min_epu16(x, _mm256_set1_epi16((short)most)), x);
}

/*
 * Do the lengths agree, as lengths_agree() sees it? Returns the set of packets whose do. What needs
 * a number of more than 16 bits is left to the stages.
 */
AVX2 static __rte_always_inline uint64_t
find_lengths(uint16_t n, struct columns *c)
{
	const __m256i ether = _mm256_set1_epi16(MS_ETHER_HDR);
	uint64_t agree = 0;

	for (uint16_t i = 0; i < n; i += 16) {
		__m256i total = load_be16(&c->total[i]), udp = load_column(&c->udp[i]);
		__m256i inner = load_be16(&c->inner[i]), here = load_column(&c->here[i]);
		__m256i length = _mm256_sub_epi16(udp, _mm256_set1_epi16(UDP_VXLAN));
		__m256i missing = _mm256_subs_epu16(total, _mm256_sub_epi16(here, ether));
		__m256i good = _mm256_cmpeq_epi16(
			total, _mm256_add_epi16(udp, _mm256_set1_epi16(MS_IPV4_HDR)));

		good = _mm256_and_si256(good, at_least(total, MS_IPV4_HDR + UDP_VXLAN + FRAME_MIN));
		good = _mm256_and_si256(good, _mm256_cmpeq_epi16(missing, _mm256_setzero_si256()));
		/* 0 is fine: see lengths_agree() */
		good = _mm256_and_si256(
			good, at_least(_mm256_sub_epi16(inner, _mm256_set1_epi16(1)),
				      FRAME_MIN - MS_ETHER_HDR - 1));
		good = _mm256_and_si256(good, at_most(inner, UINT16_MAX - MS_ETHER_HDR));
		agree |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_packs_epi16(
				 _mm256_castsi256_si128(good), _mm256_extracti128_si256(good, 1)))
		         << i;
		_mm256_store_si256((__m256i *)&c->length[i], length);
		_mm256_store_si256((__m256i *)&c->original[i],
			_mm256_max_epu16(length, _mm256_add_epi16(inner, ether)));
	}
	return agree;
}

/* Four numbers of a column, as 64 bits each. */
AVX2 static __rte_always_inline __m256i
load_wider(const uint16_t *column)
{
	return _mm256_cvtepu16_epi64(_mm_loadl_epi64((const __m128i *)column));
}

/* Makes frames of all packets. */
AVX2 static __rte_always_inline void
make_frames(struct rte_mbuf *const *mbufs, uint16_t n, uint64_t utc, const struct columns *c,
	struct ms_frame *frames)
{
	const __m256i times = _mm256_set1_epi64x((int64_t)utc);
	const __m256i outer = _mm256_set1_epi64x((int64_t)ms_frame_where(0, OUTER, 0, 0));

	for (uint16_t i = 0; i < n; i += 4) {
		__m256i m = _mm256_loadu_si256((const __m256i *)&mbufs[i]);
		__m256i says_01 = _mm256_load_si256((const __m256i *)&c->says[i]);
		__m256i says_23 = _mm256_load_si256((const __m256i *)&c->says[i + 2]);
		__m256i data =
			_mm256_sub_epi64(_mm256_load_si256((const __m256i *)&c->heads[i]), m);
		/* as in ms_data_from_mbuf() */
		__m256i near =
			_mm256_cmpeq_epi64(_mm256_srli_epi64(data, 16), _mm256_setzero_si256());
		/* as in ms_frame_where() */
		__m256i where =
			_mm256_or_si256(_mm256_or_si256(_mm256_and_si256(data, near), outer),
				_mm256_or_si256(_mm256_slli_epi64(load_wider(&c->length[i]), 28),
					_mm256_slli_epi64(load_wider(&c->original[i]), 46)));
		/* packets 0 and 2, 1 and 3: mbuf and time; whose and where, of 4 halves 0 and 3 */
		__m256i even = _mm256_unpacklo_epi64(m, times);
		__m256i odd = _mm256_unpackhi_epi64(m, times);
		__m256i even_end = _mm256_unpacklo_epi64(
			_mm256_permute2x128_si256(says_01, says_23, 0x20), where);
		__m256i odd_end = _mm256_blend_epi32(
			_mm256_permute2x128_si256(says_01, says_23, 0x31), where, 0xcc);
		__m256i *to = (__m256i *)&frames[i];

		_mm256_storeu_si256(to, _mm256_permute2x128_si256(even, even_end, 0x20));
		_mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(odd, odd_end, 0x20));
		_mm256_storeu_si256(to + 2, _mm256_permute2x128_si256(even, even_end, 0x31));
		_mm256_storeu_si256(to + 3, _mm256_permute2x128_si256(odd, odd_end, 0x31));
	}
}

/* Tells the fates of a set of packets, of which the filter has rejected some. */
static __rte_noinline void
reject(const struct columns *c, uint64_t known, struct ms_recalled *out)
{
	for (; known != 0; known &= known - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(known);

		out->fates[i] = (uint8_t)c->flows[i]->says.fate;
		out->rejected |= (uint64_t)(out->fates[i] != MS_FATE_NONE) << i;
	}
}

/* Takes back what was counted of packets whose lengths do not agree. */
static __rte_cold void
uncount(const struct columns *c, uint64_t set)
{
	for (; set != 0; set &= set - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(set);

		flow_uncount(c->flows[i], c->udp[i]);
	}
}

AVX2 static __rte_always_inline uint64_t
recall(struct ms_flow_table *table, uint32_t serial, struct rte_mbuf *const *mbufs, uint16_t n,
	uint64_t utc, struct ms_recalled *out, bool frames, is_same *same)
{
	const uint64_t all = flow_all(n), stamped = table->clock->flag;
	uint64_t odd = 0, unknown, wrong;
	uint32_t fates;
	struct columns c;

	if (unlikely(!find_heads(mbufs, n, stamped, &c, out)))
		odd = find_odd(mbufs, n, stamped, &c, &out->bytes);
	find_places(table, n, &c);
	unknown = find_flows(table, serial, n, &c, &fates, frames, same);
	wrong = all & ~find_lengths(n, &c) & ~unknown;
	if (frames)
		make_frames(mbufs, n, utc, &c, out->frames);
	if (table->hashes) {
		for (uint16_t i = 0; i < n; i++)
			out->hashes[i] = c.flows[i]->says.hash;
	}
	if (unlikely(wrong != 0))
		uncount(&c, wrong);
	unknown |= wrong;
	if (unlikely(fates != MS_FATE_NONE))
		reject(&c, all & ~unknown, out);
	if (unlikely(odd != 0))
		unknown = (unknown & ~odd) | flow_recall_set(table, serial, mbufs, odd, utc, out);
	return unknown;
}

AVX2 uint64_t
flow_recall_avx2(struct ms_flow_table *table, uint32_t serial, struct rte_mbuf *const *mbufs,
	uint16_t n, uint64_t utc, struct ms_recalled *out)
{
	return table->frames ? recall(table, serial, mbufs, n, utc, out, true, same_avx2)
	                     : recall(table, serial, mbufs, n, utc, out, false, same_avx2);
}

AVX512 uint64_t
flow_recall_avx512(struct ms_flow_table *table, uint32_t serial, struct rte_mbuf *const *mbufs,
	uint16_t n, uint64_t utc, struct ms_recalled *out)
{
	return table->frames ? recall(table, serial, mbufs, n, utc, out, true, same_avx512)
	                     : recall(table, serial, mbufs, n, utc, out, false, same_avx512);
}

#endif
