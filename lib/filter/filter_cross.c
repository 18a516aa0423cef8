/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cross layout: intersects the sets of all pairs of address classes (t1), of all triples of
 * port and protocol classes (t2), and of all pairs of what came out of these (t3). Equal sets are
 * interned at each step, which is what keeps the products small.
 *
 * Before t3 the sets are thinned. A rule that needs nothing of ports and protocol makes all later
 * rules of its filter unreachable in every set of t1 that has it, for it meets every column of
 * t3; with t2 and the addresses it is the same. What can never be the first is dropped, so more
 * sets come out equal.
 */
#include "filter/filter_internal.h"

#include <errno.h>
#include <string.h>

#define CELL_MAX UINT16_MAX

/* Rows are word-for-word the same work; with one word, the usual case, the loops vanish. */
static inline void
set_and(uint64_t *to, const uint64_t *a, const uint64_t *b, uint32_t words)
{
	for (uint32_t i = 0; i < words; i++)
		to[i] = a[i] & b[i];
}

/* Drops of each segment what comes after the first box that is also in `takes_all`. */
static inline void
set_thin(const struct ms_boxes *boxes, uint64_t *set, const uint64_t *takes_all, uint32_t words)
{
	for (uint32_t i = 0; i < boxes->segments_n; i++) {
		const struct ms_segment *segment = &boxes->segments[i];
		uint64_t keep = UINT64_MAX;

		for (uint32_t j = segment->word; j < segment->word + segment->words; j++) {
			uint64_t mine = set[j] & segment->mask & keep;
			uint64_t stop = mine & takes_all[j];

			/* up to and with the lowest bit of stop, all if there is none */
			mine &= stop ^ (stop - 1);
			set[j] = (set[j] & ~segment->mask) | mine;
			if (stop != 0)
				keep = 0;
		}
	}
}

static inline bool
cross_pairs(struct ms_cross *cross, const struct ms_boxes *boxes, const struct ms_sets *a,
	const struct ms_sets *b, const uint64_t *takes_all, uint64_t *set, uint32_t words)
{
	uint16_t *cell = cross->t1;

	for (uint32_t i = 0; i < a->n; i++)
		for (uint32_t j = 0; j < b->n; j++) {
			uint32_t c;

			set_and(set, ms_sets_at(a, i), ms_sets_at(b, j), words);
			set_thin(boxes, set, takes_all, words);
			c = ms_sets_intern(&cross->c1, set, words);
			if (c == MS_SETS_FULL)
				return false;
			*cell++ = (uint16_t)c;
		}
	return true;
}

static inline bool
cross_triples(struct ms_cross *cross, const struct ms_boxes *boxes, const struct ms_index *index,
	const uint64_t *takes_all, uint64_t *set, uint32_t words)
{
	const struct ms_sets *sport = &index[MS_FIELD_SPORT].sets;
	const struct ms_sets *dport = &index[MS_FIELD_DPORT].sets;
	const struct ms_sets *proto = &index[MS_FIELD_PROTO].sets;
	uint64_t *ports = set + words;
	uint16_t *cell = cross->t2;

	for (uint32_t i = 0; i < sport->n; i++)
		for (uint32_t j = 0; j < dport->n; j++) {
			set_and(ports, ms_sets_at(sport, i), ms_sets_at(dport, j), words);
			for (uint32_t k = 0; k < proto->n; k++) {
				uint32_t c;

				set_and(set, ports, ms_sets_at(proto, k), words);
				set_thin(boxes, set, takes_all, words);
				c = ms_sets_intern(&cross->c2, set, words);
				if (c == MS_SETS_FULL)
					return false;
				*cell++ = (uint16_t)c;
			}
		}
	return true;
}

static inline bool
cross_results(struct ms_cross *cross, const struct ms_boxes *boxes, uint64_t *set, uint32_t words)
{
	uint64_t *firsts = set + words;
	uint16_t *cell = cross->t3;

	for (uint32_t i = 0; i < cross->c1.n; i++)
		for (uint32_t j = 0; j < cross->c2.n; j++) {
			uint32_t r;

			set_and(set, ms_sets_at(&cross->c1, i), ms_sets_at(&cross->c2, j), words);
			ms_boxes_firsts(boxes, set, firsts);
			r = ms_sets_intern(&cross->results, firsts, words);
			if (r == MS_SETS_FULL)
				return false;
			*cell++ = (uint16_t)r;
		}
	return true;
}

/* Room for n cells within what is left of the budget. */
static uint16_t *
cells_get(struct ms_arena *arena, size_t n, size_t *budget)
{
	if (n > *budget / sizeof(uint16_t)) {
		arena->error = -EFBIG;
		return NULL;
	}
	*budget -= n * sizeof(uint16_t);
	return ms_arena_get(arena, n, sizeof(uint16_t));
}

/* Boxes that are in every set of these fields: in that of missing values they are in all. */
static void
need_nothing(uint64_t *to, const struct ms_index *index, enum ms_field first, enum ms_field last,
	uint32_t words)
{
	memset(to, 0xff, words * sizeof(*to));
	for (unsigned int i = first; i <= last; i++)
		set_and(to, to, ms_sets_at(&index[i].sets, index[i].classes[0]), words);
}

/* Fills t1, t2 and t3, the last with numbers of results. */
static bool
cross_fill(struct ms_cross *cross, struct ms_arena *arena, const struct ms_boxes *boxes,
	const struct ms_index index[MS_FIELDS], size_t *budget)
{
	const struct ms_sets *src = &index[MS_FIELD_SRC].sets;
	const struct ms_sets *dst = &index[MS_FIELD_DST].sets;
	uint32_t words = boxes->words;
	uint64_t *set = ms_arena_get(arena, 3 * (size_t)words, sizeof(*set));
	uint64_t *takes_all = set + 2 * (size_t)words;

	if (set == NULL || !ms_sets_init(&cross->c1, arena, words, CELL_MAX) ||
		!ms_sets_init(&cross->c2, arena, words, CELL_MAX) ||
		!ms_sets_init(&cross->results, arena, words, CELL_MAX))
		return false;

	cross->t1_n = (size_t)src->n * dst->n;
	cross->t1 = cells_get(arena, cross->t1_n, budget);
	if (cross->t1 == NULL)
		return false;
	need_nothing(takes_all, index, MS_FIELD_SPORT, MS_FIELD_PROTO, words);
	if (!(words == 1 ? cross_pairs(cross, boxes, src, dst, takes_all, set, 1)
			 : cross_pairs(cross, boxes, src, dst, takes_all, set, words)))
		return false;

	cross->t2_n = (size_t)index[MS_FIELD_SPORT].sets.n * index[MS_FIELD_DPORT].sets.n *
	              index[MS_FIELD_PROTO].sets.n;
	cross->t2 = cells_get(arena, cross->t2_n, budget);
	if (cross->t2 == NULL)
		return false;
	need_nothing(takes_all, index, MS_FIELD_SRC, MS_FIELD_DST, words);
	if (!(words == 1 ? cross_triples(cross, boxes, index, takes_all, set, 1)
			 : cross_triples(cross, boxes, index, takes_all, set, words)))
		return false;

	cross->t3_n = (size_t)cross->c1.n * cross->c2.n;
	cross->t3 = cells_get(arena, cross->t3_n, budget);
	return cross->t3 != NULL && (words == 1 ? cross_results(cross, boxes, set, 1)
						: cross_results(cross, boxes, set, words));
}

/* Do the leaves of all results fit 16 bits, and the budget with what counts and explains them? */
static bool
leaves_fit(const struct ms_cross *cross, const struct ms_leaf_set *leaves,
	const struct ms_boxes *boxes, size_t budget)
{
	size_t each = sizeof(struct ms_verdict) + sizeof(ms_counter) + sizeof(uint32_t) +
	              boxes->segments_n * sizeof(struct ms_leaf_hit);

	return cross->results.n <= CELL_MAX - leaves->n && cross->results.n <= budget / each;
}

/* Makes leaves of the results and puts them in t3. Returns the greatest, UINT32_MAX on failure. */
static uint32_t
cross_leaves(struct ms_cross *cross, struct ms_leaf_set *leaves, const struct ms_boxes *boxes)
{
	uint32_t *leaf_of = ms_arena_get(leaves->arena, cross->results.n, sizeof(*leaf_of));
	uint32_t greatest = 0;

	if (leaf_of == NULL)
		return UINT32_MAX;
	for (uint32_t i = 0; i < cross->results.n; i++) {
		leaf_of[i] = ms_leaf_of_hits(leaves, boxes, ms_sets_at(&cross->results, i));
		if (leaf_of[i] == UINT32_MAX)
			return UINT32_MAX;
		if (leaf_of[i] > greatest)
			greatest = leaf_of[i];
	}
	for (size_t i = 0; i < cross->t3_n; i++)
		cross->t3[i] = (uint16_t)leaf_of[cross->t3[i]];
	return greatest;
}

static bool
is_small(const struct ms_cross *cross, const struct ms_index index[MS_FIELDS], uint32_t greatest)
{
	for (unsigned int i = 0; i < MS_FIELDS; i++)
		if (index[i].ends_n > 32)
			return false;
	return cross->c1.n <= 256 && cross->c2.n <= 256 && greatest <= UINT8_MAX;
}

bool
ms_cross_make(struct ms_image *image, struct ms_leaf_set *leaves, const struct ms_boxes *boxes,
	const struct ms_index index[MS_FIELDS], size_t budget)
{
	struct ms_cross cross;
	uint32_t greatest;

	if (!cross_fill(&cross, leaves->arena, boxes, index, &budget))
		return false;
	if (!leaves_fit(&cross, leaves, boxes, budget)) {
		leaves->arena->error = -EFBIG;
		return false;
	}
	greatest = cross_leaves(&cross, leaves, boxes);
	if (greatest == UINT32_MAX)
		return false;
	if (cross.results.n == 1) {
		*image = (struct ms_image){.kind = MS_TABLE_CONST, .leaf = cross.t3[0]};
		return true;
	}
	return is_small(&cross, index, greatest)
	               ? ms_image_small(image, leaves->arena, &cross, index, boxes->family)
	               : ms_image_wide(image, leaves->arena, &cross, index, boxes->family);
}
