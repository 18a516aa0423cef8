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
	const uint16_t *sport;
	const uint16_t *dport;
	const uint16_t *traits;
	const struct ms_result *results;
};

static __rte_always_inline struct sets
sets_load(const uint8_t *table)
{
	const struct ms_table_sets *t = (const struct ms_table_sets *)table;

	return (struct sets){.table = t,
		.sets = (const uint64_t *)(table + t->sets),
		.sport = (const uint16_t *)(table + t->sport),
		.dport = (const uint16_t *)(table + t->dport),
		.traits = (const uint16_t *)(table + t->traits),
		.results = (const struct ms_result *)(table + t->results)};
}

/* Intersects the sets of a key, each as long as the vector. */
#define SETS_MEET(to, vector, s, cells)                                       \
	do {                                                                  \
		vector one_, all_;                                            \
                                                                              \
		memcpy(&all_, (s)->sets + (cells)[0], sizeof(all_));          \
		for (unsigned int i_ = 1; i_ < MS_SETS_FIELDS; i_++) {        \
			memcpy(&one_, (s)->sets + (cells)[i_], sizeof(one_)); \
			all_ &= one_;                                         \
		}                                                             \
		memcpy(to, &all_, sizeof(all_));                              \
	} while (0)

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

/* The result of the first rule that matches; words is a constant. */
static __rte_always_inline const struct ms_result *
sets_first(const struct sets *s, const struct ms_key *key, unsigned int words_n)
{
	size_t cells[MS_SETS_FIELDS];
	uint64_t words[8];

	ms_sets_cells(s->table, s->sport, s->dport, s->traits, key, cells);
	if (words_n == 2)
		SETS_MEET(words, sets_2, s, cells);
	else if (words_n == 4)
		SETS_MEET(words, sets_4, s, cells);
	else
		SETS_MEET(words, sets_8, s, cells);
	return &s->results[sets_bit(words, words_n)];
}

#undef SETS_MEET
