/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the filter compiler share. In the order in which a policy passes them:
 *
 *   filter_plan.c     policy -> plan: which filters are asked, each once; then, for a direction
 *                     and family, plan -> boxes: one bit for each rule that can match there
 *   filter_index.c    boxes -> for each field the intervals of its values, and for each interval
 *                     its class: the set of the boxes that it meets
 *   filter_cross.c    indices -> cross-product tables, or
 *   filter_bits.c     indices -> rows of bits
 *   filter_rows.c     boxes -> rows, and a block of them; needs no indices
 *   filter_sets.c     rows -> sets of rows by the bytes of a key
 *   filter_forest.c   rows -> trees over blocks of rows
 *   filter_image.c    the finished bytes of a table and what stands in it
 *   filter_compile.c  decides between the layouts and puts the tables together
 *
 * All memory comes from one arena (filter_set.c), which lives as long as one compilation. An
 * arena remembers that it failed; so most functions return nothing but NULL or false on failure,
 * and the driver takes the reason from arena.error.
 */
#pragma once

#include "filter/ms_filter.h"
#include "filter/ms_filter_lookup.h"

#define MS_SETS_FULL UINT32_MAX

/* Of memory on the stack, with which an arena begins: enough for filters of some ten rules. */
#define MS_ARENA_FIRST (32 * 1024)
#define MS_ARENA_ALIGN 16

struct ms_arena {
	struct ms_arena_chunk *chunks;
	uint8_t *at;
	size_t room;
	size_t total;
	int error; /* 0, -ENOMEM or -EFBIG */
};

/* Begins an arena with room that the caller has, aligned likewise. */
static inline void
ms_arena_begin(struct ms_arena *arena, uint8_t *first, size_t room)
{
	*arena = (struct ms_arena){.at = first, .room = room};
}

/* Uninitialised bytes, 16-byte aligned; NULL with arena->error set. */
void *ms_arena_get(struct ms_arena *arena, size_t n, size_t size);
void *ms_arena_zero(struct ms_arena *arena, size_t n, size_t size);
void ms_arena_free(struct ms_arena *arena);

/* Distinct sets of bits, numbered from 0 in order of appearance. */
struct ms_sets {
	struct ms_arena *arena;
	uint64_t *bits;  /* n * words */
	uint32_t *slots; /* hash table: number + 1, or 0 */
	uint32_t words;
	uint32_t n;
	uint32_t room;
	uint32_t limit; /* most sets; beyond is -EFBIG */
	uint32_t slots_mask;
};

bool ms_sets_init(struct ms_sets *sets, struct ms_arena *arena, uint32_t words, uint32_t limit);
/* The number of a set that was not found and would stand in slot; MS_SETS_FULL on failure. */
uint32_t ms_sets_add(struct ms_sets *sets, const uint64_t *set, uint32_t slot);

static inline uint32_t
ms_set_hash(const uint64_t *set, uint32_t words)
{
	uint64_t h = 0;

	for (uint32_t i = 0; i < words; i++) {
		h = (h ^ set[i]) * 0x9e3779b97f4a7c15;
		h ^= h >> 32;
	}
	return (uint32_t)h;
}

static inline bool
ms_set_equal(const uint64_t *a, const uint64_t *b, uint32_t words)
{
	uint64_t differ = 0;

	for (uint32_t i = 0; i < words; i++)
		differ |= a[i] ^ b[i];
	return differ == 0;
}

/* The number of a set, new or not. words == sets->words: a constant where that is known. */
static inline uint32_t
ms_sets_intern(struct ms_sets *sets, const uint64_t *set, uint32_t words)
{
	uint32_t slot = ms_set_hash(set, words) & sets->slots_mask;

	while (sets->slots[slot] != 0) {
		uint32_t n = sets->slots[slot] - 1;

		if (ms_set_equal(sets->bits + (size_t)n * words, set, words))
			return n;
		slot = (slot + 1) & sets->slots_mask;
	}
	return ms_sets_add(sets, set, slot);
}

static inline const uint64_t *
ms_sets_at(const struct ms_sets *sets, uint32_t n)
{
	return sets->bits + (size_t)n * sets->words;
}

static inline void
ms_set_bit(uint64_t *set, uint32_t bit)
{
	set[bit / 64] |= UINT64_C(1) << (bit % 64);
}

static inline bool
ms_set_has(const uint64_t *set, uint32_t bit)
{
	return (set[bit / 64] >> (bit % 64) & 1) != 0;
}

/* A policy in a form that is good to work with. */
struct ms_plan {
	const struct ms_filter **filters; /* that are asked, the session's first */
	uint32_t *outputs;                /* of routes, for each */
	struct ms_prefix *resolvers; /* sorted, none inside another; if any filter wants them */
	uint32_t filters_n;
	uint32_t resolvers_n;
	uint32_t always; /* outputs of routes that accept all that the session does */
	bool session;    /* filters[0] is the session's */
};

bool
ms_plan_make(struct ms_plan *plan, struct ms_arena *arena, const struct ms_filter_policy *policy);

enum ms_box_kind {
	MS_BOX_NONE,     /* a bit that stands for nothing */
	MS_BOX_RULE,     /* a rule */
	MS_BOX_DNS_TO,   /* amazon-dns: to port 53 of a resolver */
	MS_BOX_DNS_FROM, /* amazon-dns: from port 53 of a resolver */
};

/* What one bit of a set stands for: a region in the space of keys. */
struct ms_box {
	const struct ms_rule *rule; /* kind RULE */
	uint32_t index;             /* of the rule; MS_RULE_NONE: amazon-dns */
	uint8_t kind;
	bool accept;
};

/* The bits of one filter. */
struct ms_segment {
	const struct ms_filter *filter;
	uint32_t outputs;
	uint32_t bit; /* first of n */
	uint32_t n;
	uint32_t word; /* the words they are in, and what of each belongs to the segment */
	uint32_t words;
	uint64_t mask;
};

/*
 * All boxes of a direction and family, in the order in which they are tried. If they fit 64 bits
 * the segments share one word, else each begins a word of its own.
 */
struct ms_boxes {
	const struct ms_plan *plan;
	struct ms_box *box; /* by bit */
	uint64_t *accept;   /* those that accept */
	struct ms_segment *segments;
	uint32_t segments_n; /* one for each of plan->filters */
	uint32_t words;
	uint32_t bits; /* of box; between segments some stand for nothing */
	uint32_t n;    /* boxes that stand for something */
	uint8_t family;
};

bool ms_boxes_make(struct ms_boxes *boxes, struct ms_arena *arena, const struct ms_plan *plan,
	uint8_t direction, uint8_t family);

/* Does the outer prefix hold all of the inner? Both have a family. */
bool ms_prefix_inside(const struct ms_prefix *inner, const struct ms_prefix *outer);

/* The defect of a rule that matches no frame at all, whatever stands before it; else 0. */
uint8_t ms_rule_defect(const struct ms_rule *rule);

/* The bit of the first box of a segment that is in the set; UINT32_MAX: none. */
static inline uint32_t
ms_segment_first(const struct ms_segment *segment, const uint64_t *set)
{
	for (uint32_t i = segment->word; i < segment->word + segment->words; i++) {
		uint64_t word = set[i] & segment->mask;

		if (word != 0)
			return i * 64 + (uint32_t)__builtin_ctzll(word);
	}
	return UINT32_MAX;
}

enum ms_field {
	MS_FIELD_SRC,
	MS_FIELD_DST,
	MS_FIELD_SPORT,
	MS_FIELD_DPORT,
	MS_FIELD_PROTO,
	MS_FIELDS
};

/* An interval index over one field. */
struct ms_index {
	ms_u128 *ends; /* last values of all intervals but the last, ascending */
	uint32_t ends_n;
	uint32_t *classes; /* [0]: the field is missing; [1 + i]: it is in interval i */
	struct ms_sets sets;
};

bool ms_index_make(struct ms_index *index, struct ms_arena *arena, const struct ms_boxes *boxes,
	enum ms_field field);

/* Leaves of the policy under work, and the caller's, to which they are appended. */
struct ms_leaf_set {
	struct ms_arena *arena;
	struct ms_filter_leaves *leaves;
	struct ms_verdict *verdicts;
	uint32_t *slots; /* hash table: leaf + 1, or 0 */
	uint32_t slots_mask;
	uint32_t base; /* number of the policy's first leaf */
	uint32_t n;
	uint32_t room;
};

bool
ms_leaf_set_init(struct ms_leaf_set *set, struct ms_arena *arena, struct ms_filter_leaves *leaves);
/* The leaf in this policy with this verdict and these hits, new or not; UINT32_MAX on failure. */
uint32_t ms_leaf_intern(struct ms_leaf_set *set, struct ms_verdict verdict,
	const struct ms_leaf_hit *hits, uint32_t hits_n);
/* The leaf for a set of boxes that holds the first box of each filter that was asked. */
uint32_t
ms_leaf_of_hits(struct ms_leaf_set *set, const struct ms_boxes *boxes, const uint64_t *firsts);
/* Results of all boxes of one filter, by bit, and behind them that of none. NULL on failure. */
struct ms_result *ms_results_make(struct ms_leaf_set *leaves, const struct ms_boxes *boxes);
/* Keeps of a set the first box of each filter that is asked. */
void ms_boxes_firsts(const struct ms_boxes *boxes, const uint64_t *set, uint64_t *firsts);

/* The bytes of a table, relative to their own start. */
struct ms_image {
	uint8_t *bytes;
	size_t size;
	uint32_t leaf; /* MS_TABLE_CONST */
	uint8_t kind;  /* enum ms_table_kind */
};

/* A cross-product table before its cells have got their width. */
struct ms_cross {
	struct ms_sets c1; /* of pairs of addresses */
	struct ms_sets c2; /* of ports and protocol */
	struct ms_sets results;
	uint16_t *t1;
	uint16_t *t2;
	uint16_t *t3; /* numbers of results, later of leaves */
	size_t t1_n;
	size_t t2_n;
	size_t t3_n;
};

/*
 * Each makes an image of a table from the boxes and the indices over their fields. Returns false
 * with arena->error: -ENOMEM, or -EFBIG if it exceeds the budget or what its cells can hold; then
 * no leaf was added.
 */
bool ms_cross_make(struct ms_image *image, struct ms_leaf_set *leaves, const struct ms_boxes *boxes,
	const struct ms_index index[MS_FIELDS], size_t budget);
bool ms_bits_make(struct ms_image *image, struct ms_leaf_set *leaves, const struct ms_boxes *boxes,
	const struct ms_index index[MS_FIELDS]);
/* Rows of IPv4, from boxes of one filter, or sets of them. The budget is for every 16 of them. */
bool ms_rows_make(struct ms_image *image, struct ms_leaf_set *leaves, const struct ms_boxes *boxes,
	bool sets, size_t budget);

/* Write the image of a table: cross product, small or wide, or bit sets (head: all but offsets). */
bool ms_image_small(struct ms_image *image, struct ms_arena *arena, const struct ms_cross *cross,
	const struct ms_index index[MS_FIELDS], uint8_t family);
bool ms_image_wide(struct ms_image *image, struct ms_arena *arena, const struct ms_cross *cross,
	const struct ms_index index[MS_FIELDS], uint8_t family);
bool ms_image_bits(struct ms_image *image, struct ms_arena *arena, const struct ms_boxes *boxes,
	const struct ms_index index[MS_FIELDS], const struct ms_bits *head,
	const uint32_t *actions);
