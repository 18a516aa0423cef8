/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Leaves: the distinct outcomes of a policy, with their verdicts and the rules that decided. They
 * are appended to the caller's struct ms_filter_leaves; filter_compile.c takes them back if the
 * compilation fails.
 */
#include "filter/filter_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LEAVES_ROOM 32 /* to begin with; slots are four times as many */

/* Makes room for n more elements of an array from malloc. */
static bool
room_for(void **array, uint32_t *room, uint32_t used, uint32_t n, size_t size)
{
	size_t want = (size_t)used + n, have = *room == 0 ? 64 : *room;
	void *grown;

	if (want <= *room)
		return true;
	while (have < want)
		have *= 2;
	if (have > UINT32_MAX)
		return false;
	grown = realloc(*array, have * size);
	if (grown == NULL)
		return false;
	*array = grown;
	*room = (uint32_t)have;
	return true;
}

bool
ms_leaf_set_init(struct ms_leaf_set *set, struct ms_arena *arena, struct ms_filter_leaves *leaves)
{
	*set = (struct ms_leaf_set){
		.arena = arena,
		.leaves = leaves,
		.base = leaves->leaves_n,
		.room = LEAVES_ROOM,
		.slots_mask = 4 * LEAVES_ROOM - 1,
		.verdicts = ms_arena_get(arena, LEAVES_ROOM, sizeof(struct ms_verdict)),
		.slots = ms_arena_zero(arena, 4 * LEAVES_ROOM, sizeof(uint32_t)),
	};
	return set->verdicts != NULL && set->slots != NULL;
}

static uint32_t
hits_hash(const struct ms_leaf_hit *hits, uint32_t n)
{
	uint64_t h = n;

	for (uint32_t i = 0; i < n; i++) {
		h = (h ^ (uintptr_t)hits[i].filter) * 0x9e3779b97f4a7c15;
		h = (h ^ h >> 32 ^ hits[i].rule) * 0x9e3779b97f4a7c15;
		h ^= h >> 32;
	}
	return (uint32_t)h;
}

static bool
hits_equal(const struct ms_leaf_hit *a, const struct ms_leaf_hit *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (a[i].filter != b[i].filter || a[i].rule != b[i].rule)
			return false;
	return true;
}

static const struct ms_leaf_hit *
leaf_hits(const struct ms_leaf_set *set, uint32_t leaf, uint32_t *n)
{
	const uint32_t *first = &set->leaves->first[set->base + leaf];

	*n = first[1] - first[0];
	return *n == 0 ? NULL : set->leaves->hits + first[0];
}

/* Doubles the room of verdicts and hash table. */
static bool
leaf_set_grow(struct ms_leaf_set *set)
{
	size_t room = (size_t)set->room * 2;
	struct ms_verdict *verdicts = ms_arena_get(set->arena, room, sizeof(*verdicts));
	uint32_t *slots = ms_arena_zero(set->arena, 4 * room, sizeof(uint32_t));

	if (verdicts == NULL || slots == NULL)
		return false;
	memcpy(verdicts, set->verdicts, set->n * sizeof(*verdicts));
	set->verdicts = verdicts;
	set->slots = slots;
	set->room = (uint32_t)room;
	set->slots_mask = (uint32_t)(4 * room - 1);
	for (uint32_t i = 0; i < set->n; i++) {
		uint32_t n;
		const struct ms_leaf_hit *hits = leaf_hits(set, i, &n);
		uint32_t slot = hits_hash(hits, n) & set->slots_mask;

		while (slots[slot] != 0)
			slot = (slot + 1) & set->slots_mask;
		slots[slot] = i + 1;
	}
	return true;
}

static uint32_t
leaf_add(struct ms_leaf_set *set, struct ms_verdict verdict, const struct ms_leaf_hit *hits,
	uint32_t hits_n)
{
	struct ms_filter_leaves *leaves = set->leaves;

	if ((set->n == set->room && !leaf_set_grow(set)) ||
		!room_for((void **)&leaves->first, &leaves->first_room, leaves->leaves_n, 2,
			sizeof(*leaves->first)) ||
		!room_for((void **)&leaves->hits, &leaves->hits_room, leaves->hits_n, hits_n,
			sizeof(*leaves->hits))) {
		if (set->arena->error == 0)
			set->arena->error = -ENOMEM;
		return UINT32_MAX;
	}
	if (hits_n != 0)
		memcpy(leaves->hits + leaves->hits_n, hits, hits_n * sizeof(*hits));
	leaves->first[leaves->leaves_n++] = leaves->hits_n;
	leaves->hits_n += hits_n;
	leaves->first[leaves->leaves_n] = leaves->hits_n;
	set->verdicts[set->n] = verdict;
	return set->n++;
}

uint32_t
ms_leaf_intern(struct ms_leaf_set *set, struct ms_verdict verdict, const struct ms_leaf_hit *hits,
	uint32_t hits_n)
{
	uint32_t hash = hits_hash(hits, hits_n), slot = hash & set->slots_mask, leaf;

	while (set->slots[slot] != 0) {
		const struct ms_verdict *have;
		const struct ms_leaf_hit *have_hits;
		uint32_t have_n;

		leaf = set->slots[slot] - 1;
		have = &set->verdicts[leaf];
		have_hits = leaf_hits(set, leaf, &have_n);
		if (have->outputs == verdict.outputs && have->fate == verdict.fate &&
			have_n == hits_n && hits_equal(have_hits, hits, hits_n))
			return leaf;
		slot = (slot + 1) & set->slots_mask;
	}
	leaf = leaf_add(set, verdict, hits, hits_n);
	if (leaf == UINT32_MAX)
		return leaf;
	/* the table may have grown, and then the slot is another */
	slot = hash & set->slots_mask;
	while (set->slots[slot] != 0 && set->slots[slot] != leaf + 1)
		slot = (slot + 1) & set->slots_mask;
	set->slots[slot] = leaf + 1;
	return leaf;
}

void
ms_boxes_firsts(const struct ms_boxes *boxes, const uint64_t *set, uint64_t *firsts)
{
	if (boxes->words == 1 && boxes->segments_n == 1) { /* one small filter, the usual case */
		uint64_t mine = set[0] & boxes->segments[0].mask;

		firsts[0] = mine & -mine;
		return;
	}
	memset(firsts, 0, boxes->words * sizeof(*firsts));
	for (uint32_t i = 0; i < boxes->segments_n; i++) {
		uint32_t bit = ms_segment_first(&boxes->segments[i], set);

		if (bit != UINT32_MAX)
			ms_set_bit(firsts, bit);
		/* routes are asked about what the session accepts */
		if (i == 0 && boxes->plan->session &&
			(bit == UINT32_MAX || !ms_set_has(boxes->accept, bit)))
			return;
	}
}

uint32_t
ms_leaf_of_hits(struct ms_leaf_set *set, const struct ms_boxes *boxes, const uint64_t *firsts)
{
	const struct ms_plan *plan = boxes->plan;
	struct ms_verdict verdict = {.outputs = plan->always, .fate = MS_FATE_NO_ROUTE};
	struct ms_leaf_hit *hits = ms_arena_get(set->arena, boxes->segments_n, sizeof(*hits));
	uint32_t hits_n = 0;

	if (hits == NULL)
		return UINT32_MAX;
	for (uint32_t i = 0; i < boxes->segments_n; i++) {
		const struct ms_segment *segment = &boxes->segments[i];
		uint32_t bit = ms_segment_first(segment, firsts);
		uint8_t fate = MS_FATE_FILTER_DEFAULT;

		if (bit != UINT32_MAX) {
			hits[hits_n++] = (struct ms_leaf_hit){
				.filter = segment->filter, .rule = boxes->box[bit].index};
			fate = boxes->box[bit].accept ? MS_FATE_NONE : MS_FATE_FILTER_REJECT;
		}
		if (i == 0 && plan->session && fate != MS_FATE_NONE) {
			verdict = (struct ms_verdict){.fate = fate};
			break;
		}
		verdict.outputs |= segment->outputs * (fate == MS_FATE_NONE);
		if (fate != MS_FATE_NONE && fate < verdict.fate)
			verdict.fate = fate;
	}
	if (verdict.outputs != 0)
		verdict.fate = MS_FATE_NONE;
	return ms_leaf_intern(set, verdict, hits, hits_n);
}

struct ms_result *
ms_results_make(struct ms_leaf_set *leaves, const struct ms_boxes *boxes)
{
	struct ms_result *results =
		ms_arena_get(leaves->arena, (size_t)boxes->n + 1, sizeof(*results));
	uint64_t *firsts = ms_arena_zero(leaves->arena, boxes->words, sizeof(*firsts));

	if (results == NULL || firsts == NULL)
		return NULL;
	for (uint32_t i = 0; i <= boxes->n; i++) {
		uint32_t leaf;

		if (i < boxes->n)
			ms_set_bit(firsts, i);
		leaf = ms_leaf_of_hits(leaves, boxes, firsts);
		if (leaf == UINT32_MAX)
			return NULL;
		results[i] = (struct ms_result){.outputs = leaves->verdicts[leaf].outputs,
			.leaf = leaf & 0xffffff,
			.fate = leaves->verdicts[leaf].fate};
		firsts[i / 64 < boxes->words ? i / 64 : 0] = 0;
	}
	return results;
}
