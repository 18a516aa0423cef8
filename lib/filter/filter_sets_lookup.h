/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ms_sets_lookup() of ms_filter_lookup.h in vectors, for the processor that the file is compiled
 * for that includes this: as much of a set as possible is one register, and which word has the
 * first bit is found without a branch.
 */
#pragma once

#include <rte_common.h>

#include "filter/ms_filter_lookup.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

/* Vectors as gcc and clang know them on every processor. */
typedef uint64_t sets_2 __attribute__((vector_size(16)));
typedef uint64_t sets_4 __attribute__((vector_size(32)));
typedef uint64_t sets_8 __attribute__((vector_size(64)));

/* What a table of sets is for a burst: found once. */
struct sets {
	const struct ms_table_sets *table;
	const uint64_t *sets;
	const struct ms_result *results;
};

static __rte_always_inline struct sets
sets_load(const uint8_t *table)
{
	const struct ms_table_sets *t = (const struct ms_table_sets *)table;

	return (struct sets){.table = t,
		.sets = (const uint64_t *)(table + t->sets),
		.results = (const struct ms_result *)(table + t->results)};
}

/* A bit for each of four and eight words that is not 0. */
static __rte_always_inline uint32_t
sets_some_4(const uint64_t *words)
{
#ifdef __AVX2__
	__m256i all = _mm256_loadu_si256((const __m256i *)words);

	all = _mm256_cmpeq_epi64(all, _mm256_setzero_si256());
	return ~(uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(all)) & 0xf;
#else
	return (uint32_t)(words[0] != 0) | (uint32_t)(words[1] != 0) << 1 |
	       (uint32_t)(words[2] != 0) << 2 | (uint32_t)(words[3] != 0) << 3;
#endif
}

static __rte_always_inline uint32_t
sets_some_8(const uint64_t *words)
{
#if defined(__AVX512BW__) && defined(__AVX512VL__)
	__m512i all = _mm512_loadu_si512(words);

	return _mm512_test_epi64_mask(all, all);
#else
	return sets_some_4(words) | sets_some_4(words + 4) << 4;
#endif
}

/* The first bit of so many words, of which one is not 0; their number is a constant. */
static __rte_always_inline size_t
sets_bit(const uint64_t *words, unsigned int words_n)
{
	size_t word;

	if (words_n == 2) { /* in terms that no compiler takes for a branch */
		uint64_t none = ((words[0] | -words[0]) >> 63) - 1;

		return (size_t)__builtin_ctzll(words[0] | (words[1] & none)) + (none & 64);
	}
	if (words_n == 4)
		word = (size_t)__builtin_ctz(sets_some_4(words));
	else
		word = (size_t)__builtin_ctz(sets_some_8(words));
	return word * 64 + (size_t)__builtin_ctzll(words[word]);
}

/* The sets that a key leads to, intersected. */
#define SETS_MET(words)                                                            \
	static __rte_always_inline void sets_met_##words(                          \
		const struct sets *s, const struct ms_key *key, sets_##words *met) \
	{                                                                          \
		size_t cells[MS_SETS_FIELDS];                                      \
		sets_##words one, all;                                             \
                                                                                   \
		ms_sets_cells(s->table, key, cells);                               \
		memcpy(&all, s->sets + cells[0], sizeof(all));                     \
		for (unsigned int i = 1; i < MS_SETS_FIELDS; i++) {                \
			memcpy(&one, s->sets + cells[i], sizeof(one));             \
			all &= one;                                                \
		}                                                                  \
		*met = all;                                                        \
	}
SETS_MET(2)
SETS_MET(4)
SETS_MET(8)
#undef SETS_MET

#define SETS_MORE 3 /* what sets of two words are gone through by, less one */

/*
 * The first bits of n sets, none of which is empty; both arrays have room for SETS_MORE. Of four
 * sets at once this takes two steps a set, of one by one ten.
 */
static __rte_always_inline void
sets_bits_2(const sets_2 *sets, uint16_t n, uint64_t *bits)
{
#if defined(__AVX512CD__) && defined(__AVX512DQ__)
	const __m512i last = _mm512_set_epi64(127, 63, 127, 63, 127, 63, 127, 63);
	const __m512i of_sets = _mm512_set_epi64(0, 0, 0, 0, 6, 4, 2, 0);

	for (unsigned int i = 0; i < n; i += SETS_MORE + 1) {
		__m512i at = _mm512_loadu_si512(&sets[i]);

		at = _mm512_and_si512(at, _mm512_sub_epi64(_mm512_setzero_si512(), at));
		at = _mm512_sub_epi64(last, _mm512_lzcnt_epi64(at));
		/* of a first word without a bit it is -1, and the second word has it */
		at = _mm512_mask_permutex_epi64(at, _mm512_movepi64_mask(at), at, 0xf5);
		at = _mm512_permutexvar_epi64(of_sets, at);
		_mm256_storeu_si256((__m256i *)&bits[i], _mm512_castsi512_si256(at));
	}
#else
	for (uint16_t i = 0; i < n; i++) {
		const uint64_t words[2] = {sets[i][0], sets[i][1]};

		bits[i] = sets_bit(words, 2);
	}
#endif
}
