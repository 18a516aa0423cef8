/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compares a key with all rows of a block at once: ms_rows_first() of ms_filter_lookup.h in
 * vectors, for the processor that the file is compiled for that includes this. A block is loaded
 * and compared in two steps, so that one that serves a whole burst stays in registers.
 */
#pragma once

#include "filter/ms_filter_lookup.h"

#if defined(__AVX512BW__) && defined(__AVX512VL__)
#include <immintrin.h>

struct rows_16 {
	__m512i src;
	__m512i src_mask;
	__m512i dst;
	__m512i dst_mask;
	__m256i sport;
	__m256i sport_span;
	__m256i dport;
	__m256i dport_span;
	__m256i traits;
	__m256i traits_mask;
};

struct rows_8 {
	__m256i src;
	__m256i src_mask;
	__m256i dst;
	__m256i dst_mask;
	__m128i sport;
	__m128i sport_span;
	__m128i dport;
	__m128i dport_span;
	__m128i traits;
	__m128i traits_mask;
};

static inline struct rows_16
rows_load_16(const struct ms_rows_16 *rows)
{
	return (struct rows_16){
		.src = _mm512_loadu_si512(rows->src),
		.src_mask = _mm512_loadu_si512(rows->src_mask),
		.dst = _mm512_loadu_si512(rows->dst),
		.dst_mask = _mm512_loadu_si512(rows->dst_mask),
		.sport = _mm256_loadu_si256((const __m256i *)rows->sport),
		.sport_span = _mm256_loadu_si256((const __m256i *)rows->sport_span),
		.dport = _mm256_loadu_si256((const __m256i *)rows->dport),
		.dport_span = _mm256_loadu_si256((const __m256i *)rows->dport_span),
		.traits = _mm256_loadu_si256((const __m256i *)rows->traits),
		.traits_mask = _mm256_loadu_si256((const __m256i *)rows->traits_mask),
	};
}

static inline uint32_t
rows_first_16(const struct rows_16 *rows, const struct ms_key *key)
{
	__m512i src = _mm512_xor_si512(_mm512_set1_epi32((int)key->src.lo), rows->src);
	__m512i dst = _mm512_xor_si512(_mm512_set1_epi32((int)key->dst.lo), rows->dst);
	__m256i sport = _mm256_sub_epi16(_mm256_set1_epi16((short)key->sport), rows->sport);
	__m256i dport = _mm256_sub_epi16(_mm256_set1_epi16((short)key->dport), rows->dport);
	__m256i traits =
		_mm256_xor_si256(_mm256_set1_epi16((short)ms_key_traits(key)), rows->traits);
	__mmask16 a = _mm512_testn_epi32_mask(src, rows->src_mask);
	__mmask16 b = _mm256_cmple_epu16_mask(sport, rows->sport_span);

	a = _mm512_mask_testn_epi32_mask(a, dst, rows->dst_mask);
	b = _mm256_mask_cmple_epu16_mask(b, dport, rows->dport_span);
	b = _mm256_mask_testn_epi16_mask(b, traits, rows->traits_mask);
	return (uint32_t)__builtin_ctz(((uint32_t)a & b) | 1u << 16);
}

static inline struct rows_8
rows_load_8(const struct ms_rows_8 *rows)
{
	return (struct rows_8){
		.src = _mm256_loadu_si256((const __m256i *)rows->src),
		.src_mask = _mm256_loadu_si256((const __m256i *)rows->src_mask),
		.dst = _mm256_loadu_si256((const __m256i *)rows->dst),
		.dst_mask = _mm256_loadu_si256((const __m256i *)rows->dst_mask),
		.sport = _mm_loadu_si128((const __m128i *)rows->sport),
		.sport_span = _mm_loadu_si128((const __m128i *)rows->sport_span),
		.dport = _mm_loadu_si128((const __m128i *)rows->dport),
		.dport_span = _mm_loadu_si128((const __m128i *)rows->dport_span),
		.traits = _mm_loadu_si128((const __m128i *)rows->traits),
		.traits_mask = _mm_loadu_si128((const __m128i *)rows->traits_mask),
	};
}

static inline uint32_t
rows_first_8(const struct rows_8 *rows, const struct ms_key *key)
{
	__m256i src = _mm256_xor_si256(_mm256_set1_epi32((int)key->src.lo), rows->src);
	__m256i dst = _mm256_xor_si256(_mm256_set1_epi32((int)key->dst.lo), rows->dst);
	__m128i sport = _mm_sub_epi16(_mm_set1_epi16((short)key->sport), rows->sport);
	__m128i dport = _mm_sub_epi16(_mm_set1_epi16((short)key->dport), rows->dport);
	__m128i traits = _mm_xor_si128(_mm_set1_epi16((short)ms_key_traits(key)), rows->traits);
	__mmask8 a = _mm256_testn_epi32_mask(src, rows->src_mask);
	__mmask8 b = _mm_cmple_epu16_mask(sport, rows->sport_span);

	a = _mm256_mask_testn_epi32_mask(a, dst, rows->dst_mask);
	b = _mm_mask_cmple_epu16_mask(b, dport, rows->dport_span);
	b = _mm_mask_testn_epi16_mask(b, traits, rows->traits_mask);
	return (uint32_t)__builtin_ctz(((uint32_t)a & b) | 1u << 8);
}

#else

/* As gcc and clang know vectors on every processor, in pieces of eight rows. */
typedef int32_t rows_lanes32 __attribute__((vector_size(32)));
typedef uint16_t rows_lanes16 __attribute__((vector_size(16)));
typedef int16_t rows_signed16 __attribute__((vector_size(16)));
typedef int8_t rows_lanes8 __attribute__((vector_size(8)));

struct rows_8 {
	rows_lanes32 src;
	rows_lanes32 src_mask;
	rows_lanes32 dst;
	rows_lanes32 dst_mask;
	rows_lanes16 sport;
	rows_lanes16 sport_span;
	rows_lanes16 dport;
	rows_lanes16 dport_span;
	rows_lanes16 traits;
	rows_lanes16 traits_mask;
};

struct rows_16 {
	struct rows_8 half[2];
};

#define ROWS_PART(part, from, i) memcpy(&(part), (from) + (i), sizeof(part))

static inline struct rows_8
rows_load_8(const struct ms_rows_8 *rows)
{
	struct rows_8 r;

	ROWS_PART(r.src, rows->src, 0);
	ROWS_PART(r.src_mask, rows->src_mask, 0);
	ROWS_PART(r.dst, rows->dst, 0);
	ROWS_PART(r.dst_mask, rows->dst_mask, 0);
	ROWS_PART(r.sport, rows->sport, 0);
	ROWS_PART(r.sport_span, rows->sport_span, 0);
	ROWS_PART(r.dport, rows->dport, 0);
	ROWS_PART(r.dport_span, rows->dport_span, 0);
	ROWS_PART(r.traits, rows->traits, 0);
	ROWS_PART(r.traits_mask, rows->traits_mask, 0);
	return r;
}

static inline struct rows_16
rows_load_16(const struct ms_rows_16 *rows)
{
	struct rows_16 r;

	for (unsigned int i = 0; i < 2; i++) {
		ROWS_PART(r.half[i].src, rows->src, 8 * i);
		ROWS_PART(r.half[i].src_mask, rows->src_mask, 8 * i);
		ROWS_PART(r.half[i].dst, rows->dst, 8 * i);
		ROWS_PART(r.half[i].dst_mask, rows->dst_mask, 8 * i);
		ROWS_PART(r.half[i].sport, rows->sport, 8 * i);
		ROWS_PART(r.half[i].sport_span, rows->sport_span, 8 * i);
		ROWS_PART(r.half[i].dport, rows->dport, 8 * i);
		ROWS_PART(r.half[i].dport_span, rows->dport_span, 8 * i);
		ROWS_PART(r.half[i].traits, rows->traits, 8 * i);
		ROWS_PART(r.half[i].traits_mask, rows->traits_mask, 8 * i);
	}
	return r;
}

#undef ROWS_PART

/* A byte for each row, all ones if it matches. */
static inline uint64_t
rows_match_8(const struct rows_8 *rows, const struct ms_key *key)
{
	rows_lanes32 addresses = (((int32_t)key->src.lo ^ rows->src) & rows->src_mask) |
	                         (((int32_t)key->dst.lo ^ rows->dst) & rows->dst_mask);
	rows_lanes16 sport = key->sport - rows->sport, dport = key->dport - rows->dport;
	rows_lanes16 traits = (ms_key_traits(key) ^ rows->traits) & rows->traits_mask;
	rows_signed16 all = (sport <= rows->sport_span) & (dport <= rows->dport_span) &
	                    (traits == 0) & __builtin_convertvector(addresses == 0, rows_signed16);
	rows_lanes8 bytes = __builtin_convertvector(all, rows_lanes8);
	uint64_t match;

	memcpy(&match, &bytes, sizeof(match));
	return match;
}

static inline uint32_t
rows_first_8(const struct rows_8 *rows, const struct ms_key *key)
{
	uint64_t match = rows_match_8(rows, key);

	return match == 0 ? 8 : (uint32_t)__builtin_ctzll(match) / 8;
}

static inline uint32_t
rows_first_16(const struct rows_16 *rows, const struct ms_key *key)
{
	uint64_t low = rows_match_8(&rows->half[0], key), high = rows_match_8(&rows->half[1], key);
	uint64_t some = low != 0 ? low : high;
	uint32_t at = some == 0 ? 8 : (uint32_t)__builtin_ctzll(some) / 8;

	return low != 0 ? at : 8 + at;
}

#endif
