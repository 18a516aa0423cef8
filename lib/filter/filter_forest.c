/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trees over blocks of rows, for those whose number is not one for sets (filter_sets.c).
 *
 * A step down a tree takes some bits of the key, whichever tell the rules apart best: not the upper
 * ones of a prefix first, since the block compares all of them anyhow. A rule stands below every
 * child whose bits it can have. So that rules which leave an address open do not stand everywhere,
 * they can have trees of their own: one for rules with a destination, one for those with a source
 * alone, one for the rest. Whether that pays, and how deep each tree is, is tried out.
 */
#include "filter/filter_rows.h"

#include <errno.h>
#include <string.h>

#define DEPTH_MAX   3
#define CUT_BITS    10 /* most bits of one step */
#define WIDE_PREFIX 8  /* up to this length a prefix leaves the address open */

/* What things cost at run time, in cycles or so: to compare trees, nothing else. */
#define COST_TREE  3.0
#define COST_STEP  3.0
#define COST_BLOCK 10.0
#define COST_MORE  12.0 /* blocks that it costs to be surprised by one more */
#define L1_BYTES   (32u << 10)
#define L2_BYTES   (512u << 10)

static uint32_t
prefix_mask(uint8_t length)
{
	return length == 0 ? 0 : UINT32_MAX << (32 - length);
}

/* A growing array in the arena; what it outgrows stays there until the end. */
struct pool {
	uint8_t *at;
	size_t size; /* of an element */
	uint32_t n;
	uint32_t room;
};

/* Appends n zeroed elements; UINT32_MAX on failure, else the number of the first. */
static uint32_t
pool_add(struct pool *pool, struct ms_arena *arena, uint32_t n)
{
	if (n > pool->room - pool->n) {
		size_t room = pool->room * 2 + (size_t)n + 16;
		uint8_t *more = ms_arena_get(arena, room, pool->size);

		if (more == NULL)
			return UINT32_MAX;
		if (pool->n != 0)
			memcpy(more, pool->at, pool->n * pool->size);
		pool->at = more;
		pool->room = (uint32_t)room;
	}
	memset(pool->at + pool->n * pool->size, 0, n * pool->size);
	pool->n += n;
	return pool->n - n;
}

/* A list of rows that has got its subtree: the same list below another child shares it. */
struct shared {
	const struct ms_row **list;
	uint32_t n;
	uint32_t depth;
	struct ms_cut cut;
};
#define SHARED_SLOTS 4096

/* A set of trees under work. */
struct forest {
	struct ms_arena *arena;
	size_t budget;
	struct pool cuts;
	struct pool blocks;
	struct pool shared;
	uint32_t
		slots[SHARED_SLOTS]; /* number of a shared + 1; collisions push the older one out */
	uint16_t none;               /* rank of no rule */
	uint32_t trees_n;
	uint32_t root[MS_TREES_MAX];
	uint32_t depth[MS_TREES_MAX];
	double asked; /* the part of keys that ask the tree at hand */
	/* of the tree at hand: rows of all lists, and blocks that a row's keys pass */
	double weight;
	double passed;
	double cost;
};

static size_t
forest_bytes(const struct forest *forest)
{
	return forest->cuts.n * sizeof(struct ms_cut) + forest->blocks.n * sizeof(struct ms_block);
}

/* The values of a row in one word of the key, as a range. */
struct span {
	uint32_t first;
	uint32_t last;
};

struct word {
	uint8_t at; /* offset in the key */
	uint8_t shift;
	uint8_t bits;
};

/* What a cut can look at. On big-endian machines the words would lie elsewhere. */
static const struct word words[MS_FIELDS] = {
	[MS_FIELD_SRC] = {offsetof(struct ms_key, src.lo), 0, 32},
	[MS_FIELD_DST] = {offsetof(struct ms_key, dst.lo), 0, 32},
	[MS_FIELD_SPORT] = {offsetof(struct ms_key, sport), 0, 16},
	[MS_FIELD_DPORT] = {offsetof(struct ms_key, sport), 16, 16},
	[MS_FIELD_PROTO] = {offsetof(struct ms_key, proto), 0, 8},
};
static_assert(offsetof(struct ms_key, dport) == offsetof(struct ms_key, sport) + 2,
	"the ports are one word");
static_assert(offsetof(struct ms_key, proto) + 4 <= sizeof(struct ms_key), "a whole word");

static struct span
row_span(const struct ms_row *row, enum ms_field field)
{
	switch (field) {
	case MS_FIELD_SRC:
		return (struct span){row->src, row->src | ~row->src_mask};
	case MS_FIELD_DST:
		return (struct span){row->dst, row->dst | ~row->dst_mask};
	case MS_FIELD_SPORT:
		return (struct span){row->sport, (uint32_t)row->sport + row->sport_span};
	case MS_FIELD_DPORT:
		return (struct span){row->dport, (uint32_t)row->dport + row->dport_span};
	default:
		if ((row->traits_mask & UINT8_MAX) == 0)
			return (struct span){0, UINT8_MAX};
		return (struct span){row->traits & UINT8_MAX, row->traits & UINT8_MAX};
	}
}

/* The children of a cut that a row stands below: `n` of them from `first` on, modulo 2^bits. */
static struct span
row_children(const struct ms_row *row, enum ms_field field, unsigned int shift, unsigned int bits,
	uint32_t *n)
{
	struct span span = row_span(row, field);
	uint32_t mask = (1u << bits) - 1, first = span.first >> shift, last = span.last >> shift;

	*n = last - first >= mask ? mask + 1 : last - first + 1;
	return (struct span){*n > mask ? 0 : first & mask, 0};
}

/* How good a cut is: less is better. */
static double
cut_score(const struct ms_row *const *list, uint32_t n, enum ms_field field, unsigned int shift,
	unsigned int bits)
{
	int32_t step[(1u << CUT_BITS) + 1] = {0}; /* in the number of rows, from child to child */
	uint32_t children = 1u << bits;
	double sum = 0, seen = 0;
	int32_t rows = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t of, first = row_children(list[i], field, shift, bits, &of).first;

		step[first]++;
		if (first + of <= children) {
			step[first + of]--;
		} else { /* around the end */
			step[0]++;
			step[first + of - children]--;
		}
	}
	for (uint32_t i = 0; i < children; i++) {
		rows += step[i];
		sum += rows;
		seen += (double)rows *
		        (rows > MS_BLOCK_ROWS ? rows + COST_MORE * MS_BLOCK_ROWS : MS_BLOCK_ROWS);
	}
	return sum == 0 ? 0 : seen / sum / MS_BLOCK_ROWS + sum / n * 0.02;
}

/* The best cut of a list. */
static struct ms_cut
choose_cut(const struct ms_row *const *list, uint32_t n, unsigned int *bits, enum ms_field *field)
{
	unsigned int most = 2, shift = 0;
	double best = -1;

	while (most < CUT_BITS && 2u << most < n)
		most++;
	*bits = 0;
	*field = MS_FIELD_SRC;
	for (unsigned int f = 0; f < MS_FIELDS; f++)
		for (unsigned int b = most > 2 ? most - 2 : 1; b <= most && b <= words[f].bits; b++)
			for (unsigned int s = 0; s + b <= words[f].bits; s++) {
				double score = cut_score(list, n, f, s, b);

				if (best < 0 || score < best) {
					best = score;
					*bits = b;
					*field = f;
					shift = s;
				}
			}
	return (struct ms_cut){.mask = (uint16_t)((1u << *bits) - 1),
		.word = words[*field].at,
		.shift = (uint8_t)(words[*field].shift + shift)};
}

static uint32_t
list_hash(const struct ms_row *const *list, uint32_t n, uint32_t depth)
{
	uint64_t h = depth;

	for (uint32_t i = 0; i < n; i++) {
		h = (h ^ (uintptr_t)list[i]) * 0x9e3779b97f4a7c15;
		h ^= h >> 32;
	}
	return (uint32_t)h % SHARED_SLOTS;
}

/* Writes the blocks of a list. Returns the number of the first, UINT32_MAX on failure. */
static uint32_t
put_blocks(struct forest *forest, const struct ms_row *const *list, uint32_t n)
{
	uint32_t blocks_n = n == 0 ? 1 : (n + MS_BLOCK_ROWS - 1) / MS_BLOCK_ROWS;
	uint32_t first = pool_add(&forest->blocks, forest->arena, blocks_n);

	for (uint32_t b = 0; first != UINT32_MAX && b < blocks_n; b++) {
		struct ms_block *block = (struct ms_block *)forest->blocks.at + first + b;
		const struct ms_row *const *from = list + (size_t)b * MS_BLOCK_ROWS;
		uint32_t rows_n = n - b * MS_BLOCK_ROWS;

		MS_ROWS_PUT(&block->rows, from, rows_n, MS_BLOCK_ROWS);
		for (uint32_t i = 0; i <= MS_BLOCK_ROWS; i++)
			block->rank[i] =
				i < rows_n && i < MS_BLOCK_ROWS ? from[i]->rank : forest->none;
		block->more = b + 1 < blocks_n;
	}
	return first;
}

static bool build_children(struct forest *forest, const struct ms_row *const *list, uint32_t n,
	uint32_t depth, struct ms_cut *cut);

/* The subtree of a list, with so many steps. */
static bool
build_cut(struct forest *forest, const struct ms_row *const *list, uint32_t n, uint32_t depth,
	struct ms_cut *cut)
{
	uint32_t slot = list_hash(list, n, depth), number = forest->slots[slot];
	uint32_t blocks_n = (n + MS_BLOCK_ROWS - 1) / MS_BLOCK_ROWS;
	struct shared *shared = (struct shared *)forest->shared.at;

	if (depth == 0) {
		forest->weight += n;
		forest->passed += n * ((1.0 + blocks_n) / 2 + (blocks_n > 1 ? COST_MORE : 0));
	}
	if (number != 0 && shared[number - 1].n == n && shared[number - 1].depth == depth &&
		memcmp(shared[number - 1].list, list, n * sizeof(*list)) == 0) {
		*cut = shared[number - 1].cut;
		return true;
	}
	if (depth == 0) {
		*cut = (struct ms_cut){.child = put_blocks(forest, list, n),
			.mask = n != 0 ? list[0]->rank : forest->none};
		if (cut->child == UINT32_MAX)
			return false;
	} else if (!build_children(forest, list, n, depth, cut)) {
		return false;
	}
	if (forest_bytes(forest) > forest->budget) {
		forest->arena->error = -EFBIG;
		return false;
	}
	number = pool_add(&forest->shared, forest->arena, 1);
	if (number == UINT32_MAX)
		return false;
	shared = (struct shared *)forest->shared.at + number;
	*shared = (struct shared){.n = n,
		.depth = depth,
		.cut = *cut,
		.list = ms_arena_get(forest->arena, n, sizeof(*list))};
	if (shared->list == NULL)
		return false;
	memcpy(shared->list, list, n * sizeof(*list));
	forest->slots[slot] = number + 1;
	return true;
}

static bool
build_children(struct forest *forest, const struct ms_row *const *list, uint32_t n, uint32_t depth,
	struct ms_cut *cut)
{
	const struct ms_row **below = ms_arena_get(forest->arena, n, sizeof(*below));
	unsigned int bits = 0, shift;
	enum ms_field field = MS_FIELD_SRC;

	if (below == NULL)
		return false;
	*cut = (struct ms_cut){0};
	if (n > MS_BLOCK_ROWS)
		*cut = choose_cut(list, n, &bits, &field);
	shift = cut->shift - words[field].shift;
	cut->child = pool_add(&forest->cuts, forest->arena, 1u << bits);
	if (cut->child == UINT32_MAX)
		return false;
	for (uint32_t child = 0; child < 1u << bits; child++) {
		struct ms_cut made;
		uint32_t below_n = 0;

		for (uint32_t i = 0; i < n; i++) {
			uint32_t of = 1, first = 0;

			if (bits != 0)
				first = row_children(list[i], field, shift, bits, &of).first;
			if (((child - first) & ((1u << bits) - 1)) < of)
				below[below_n++] = list[i];
		}
		if (!build_cut(forest, below, below_n, depth - 1, &made))
			return false;
		((struct ms_cut *)forest->cuts.at)[cut->child + child] = made;
	}
	return true;
}

/* Adds a tree of so many steps over a list. */
static bool
build_tree(struct forest *forest, const struct ms_row *const *list, uint32_t n, uint32_t depth)
{
	uint32_t root = pool_add(&forest->cuts, forest->arena, 1);
	struct ms_cut cut;
	size_t bytes;

	forest->weight = forest->passed = 0;
	if (root == UINT32_MAX || !build_cut(forest, list, n, depth, &cut))
		return false;
	((struct ms_cut *)forest->cuts.at)[root] = cut;
	forest->root[forest->trees_n] = root;
	forest->depth[forest->trees_n++] = depth;
	bytes = forest_bytes(forest);
	forest->cost += COST_TREE + COST_STEP * depth +
	                forest->asked *
	                        (forest->weight == 0 ? 1 : forest->passed / forest->weight) *
	                        COST_BLOCK *
	                        (bytes < L1_BYTES          ? 1
					: bytes < L2_BYTES ? 1.3
							   : 2.5);
	return true;
}

/* Rows by which of their addresses are open. */
static unsigned int
row_group(const struct ms_row *row)
{
	if (row->dst_mask > prefix_mask(WIDE_PREFIX))
		return 0;
	return row->src_mask > prefix_mask(WIDE_PREFIX) ? 1 : 2;
}

/* The cheapest tree over a list, added to the forest: each depth is tried. False: none fits. */
static bool
add_tree(struct forest *forest, const struct ms_row *const *list, uint32_t n)
{
	struct forest *best = ms_arena_get(forest->arena, 2, sizeof(*best)), *now;
	bool found = false;

	if (best == NULL)
		return false;
	now = best + 1;
	for (uint32_t depth = 0; depth <= DEPTH_MAX; depth++) {
		*now = *forest;
		/* the pools are copied, so that they grow apart */
		now->cuts.room = now->cuts.n;
		now->blocks.room = now->blocks.n;
		now->shared.room = now->shared.n;
		if (!build_tree(now, list, n, depth)) {
			if (forest->arena->error != -EFBIG)
				return false;
			forest->arena->error = 0;
			break; /* deeper ones are larger still */
		}
		if (!found || now->cost < best->cost) {
			*best = *now;
			found = true;
		}
		if (n <= MS_BLOCK_ROWS)
			break;
	}
	if (found)
		*forest = *best;
	else
		forest->arena->error = -EFBIG;
	return found;
}

/*
 * The part of keys that ask a tree, if each row has as many: those of the rows of earlier groups
 * need not, if they come before most of the tree's.
 */
static double
asked_part(const struct ms_rows *rows, const struct ms_row *const *list, uint32_t n,
	unsigned int group)
{
	uint32_t asked = 0;

	for (uint32_t i = 0; n != 0 && i < rows->n; i++)
		asked += row_group(&rows->row[i]) >= group || rows->row[i].rank > list[n / 2]->rank;
	return (double)asked / rows->n;
}

/* All rows in one tree, or parted. */
static bool
build_forest(struct forest *forest, const struct ms_rows *rows, bool parted)
{
	for (unsigned int group = 0; group < (parted ? MS_TREES_MAX : 1); group++) {
		const struct ms_row **list = ms_arena_get(rows->arena, rows->n, sizeof(*list));
		uint32_t n = 0;

		if (list == NULL)
			return false;
		for (uint32_t i = 0; i < rows->n; i++)
			if (!parted || row_group(&rows->row[i]) == group)
				list[n++] = &rows->row[i];
		forest->asked = asked_part(rows, list, n, parted ? group : 0);
		if (n != 0 && !add_tree(forest, list, n))
			return false;
	}
	return true;
}

static bool
image_forest(struct ms_image *image, struct ms_arena *arena, const struct forest *forest,
	const struct ms_result *results)
{
	size_t cuts = forest->cuts.n * sizeof(struct ms_cut);
	size_t blocks = forest->blocks.n * sizeof(struct ms_block);
	size_t results_size = ((size_t)forest->none + 1) * sizeof(*results);
	struct ms_trees t = {.trees_n = forest->trees_n, .none = forest->none};
	size_t size = sizeof(t) + blocks + cuts + results_size;
	uint8_t *bytes;

	if (size > UINT32_MAX) {
		arena->error = -EFBIG;
		return false;
	}
	t.blocks = sizeof(t);
	t.cuts = t.blocks + (uint32_t)blocks;
	t.results = t.cuts + (uint32_t)cuts;
	memcpy(t.root, forest->root, sizeof(t.root));
	memcpy(t.depth, forest->depth, sizeof(t.depth));
	bytes = ms_arena_get(arena, size, 1);
	if (bytes == NULL)
		return false;
	memcpy(bytes, &t, sizeof(t));
	memcpy(bytes + t.blocks, forest->blocks.at, blocks);
	memcpy(bytes + t.cuts, forest->cuts.at, cuts);
	memcpy(bytes + t.results, results, results_size);
	*image = (struct ms_image){.bytes = bytes, .size = size, .kind = MS_TABLE_V4_TREE};
	return true;
}

/* The better of one tree and of several; NULL: neither fits. */
static const struct forest *
choose_forest(const struct ms_rows *rows, size_t budget, uint16_t none)
{
	struct forest *forests = ms_arena_zero(rows->arena, 2, sizeof(*forests));
	const struct forest *best = NULL;

	for (unsigned int parted = 0; forests != NULL && parted < 2; parted++) {
		struct forest *forest = &forests[parted];

		forest->arena = rows->arena;
		forest->budget = budget;
		forest->none = none;
		forest->cuts.size = sizeof(struct ms_cut);
		forest->blocks.size = sizeof(struct ms_block);
		forest->shared.size = sizeof(struct shared);
		if (build_forest(forest, rows, parted != 0)) {
			if (best == NULL || forest->cost < best->cost)
				best = forest;
		} else if (rows->arena->error != -EFBIG) {
			return NULL;
		}
		rows->arena->error = 0;
	}
	if (best == NULL)
		rows->arena->error = forests == NULL ? -ENOMEM : -EFBIG;
	return best;
}

/*
 * A table of trees. They are tried out in an arena of their own, so that what was in vain does not
 * count as memory of the compilation.
 */
bool
ms_forest_make(struct ms_image *image, struct ms_leaf_set *leaves, const struct ms_boxes *boxes,
	const struct ms_rows *rows, size_t budget)
{
	struct ms_arena scratch = {0};
	const struct ms_rows tried = {.arena = &scratch, .row = rows->row, .n = rows->n};
	const struct forest *forest = choose_forest(&tried, budget, (uint16_t)boxes->n);
	const struct ms_result *results = forest != NULL ? ms_results_make(leaves, boxes) : NULL;
	bool made = results != NULL && image_forest(image, leaves->arena, forest, results);

	if (forest == NULL)
		leaves->arena->error = scratch.error;
	ms_arena_free(&scratch);
	return made;
}
