/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The layout of sets: rows of IPv4, of filters that have more than a block of them. What a part of
 * an address, a port, or the protocol and what a key has can be is gone through beforehand, and the
 * set of rows that it suits put down, each but once; ms_filter_lookup.h says how they are found.
 */
#include "filter/filter_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#define PORT 3 /* a field, as the parts 0 to 2 of an address are */

struct sets_table {
	struct ms_arena *arena;
	const struct ms_rows *rows;
	struct ms_sets sets;
	struct ms_table_sets head;
	uint32_t words; /* of a set: the rows, and one that stands for none */
	/* cells of ports, and of traits */
	uint16_t *ports[2];
	uint32_t ports_n[2];
	uint32_t ports_at[2]; /* offsets from the table */
	uint16_t *traits;
	uint32_t traits_n;
	uint32_t traits_at;
};

/* An empty set but for the row that stands for none. */
static uint64_t *
set_clear(const struct sets_table *t, uint64_t *set)
{
	memset(set, 0, t->words * sizeof(*set));
	ms_set_bit(set, t->rows->n);
	return set;
}

/* The cell for a set; false on failure. */
static bool
cell_of(struct sets_table *t, const uint64_t *set, uint16_t *cell)
{
	uint32_t number = ms_sets_intern(&t->sets, set, t->words);

	*cell = (uint16_t)(number * t->words);
	return number != MS_SETS_FULL;
}

/* The values of a field that a row suits, without a gap. */
struct span {
	uint32_t first;
	uint32_t last;
};

/* Of one part of an address: masks are those of prefixes, so the values are a range. */
static struct span
span_of_part(const struct ms_row *row, bool dst, unsigned int part)
{
	unsigned int shift = part * MS_PART_BITS;
	uint32_t most = UINT32_MAX >> shift & MS_PART_MASK;
	uint32_t mask = (dst ? row->dst_mask : row->src_mask) >> shift & most;
	uint32_t first = (dst ? row->dst : row->src) >> shift & mask;

	return (struct span){.first = first, .last = first | (mask ^ most)};
}

static struct span
span_of_port(const struct ms_row *row, bool dst)
{
	uint32_t first = dst ? row->dport : row->sport;

	return (struct span){
		.first = first, .last = first + (dst ? row->dport_span : row->sport_span)};
}

/* Where the set of a field changes: there the row begins to suit it, or ceases to. */
struct turn {
	uint16_t value;
	uint16_t row;
};

/* The sets of a field from its least value on. */
struct sweep {
	struct turn *turns; /* by value, ascending */
	uint32_t turns_n;
	uint32_t at;   /* next turn */
	uint64_t *set; /* of the values before it */
};

static int
compare_turn(const void *a, const void *b)
{
	const struct turn *p = a, *q = b;

	return (p->value > q->value) - (p->value < q->value);
}

/* field: a part of an address, or PORT. False on failure. */
static bool
sweep_begin(struct sweep *sweep, const struct sets_table *t, bool dst, unsigned int field)
{
	const struct ms_rows *rows = t->rows;

	*sweep = (struct sweep){
		.turns = ms_arena_get(t->arena, 2 * (size_t)rows->n, sizeof(*sweep->turns)),
		.set = ms_arena_get(t->arena, t->words, sizeof(*sweep->set))};
	if (sweep->turns == NULL || sweep->set == NULL)
		return false;
	set_clear(t, sweep->set);
	for (uint32_t i = 0; i < rows->n; i++) {
		struct span span = field < PORT ? span_of_part(&rows->row[i], dst, field)
		                                : span_of_port(&rows->row[i], dst);

		if (span.first == 0)
			ms_set_bit(sweep->set, i);
		else
			sweep->turns[sweep->turns_n++] =
				(struct turn){.value = (uint16_t)span.first, .row = (uint16_t)i};
		if (span.last < UINT16_MAX)
			sweep->turns[sweep->turns_n++] = (struct turn){
				.value = (uint16_t)(span.last + 1), .row = (uint16_t)i};
	}
	qsort(sweep->turns, sweep->turns_n, sizeof(*sweep->turns), compare_turn);
	return true;
}

/* The cell of this value, at which there is a turn, or of 0. False on failure. */
static bool
sweep_cell(struct sweep *sweep, struct sets_table *t, uint32_t value, uint16_t *cell)
{
	for (; sweep->at < sweep->turns_n && sweep->turns[sweep->at].value == value; sweep->at++) {
		uint32_t row = sweep->turns[sweep->at].row;

		sweep->set[row / 64] ^= UINT64_C(1) << row % 64;
	}
	return cell_of(t, sweep->set, cell);
}

static bool
sweep_turns(const struct sweep *sweep, uint32_t value)
{
	return value == 0 || (sweep->at < sweep->turns_n && sweep->turns[sweep->at].value == value);
}

/* The cells of a part of an address: n of them. */
static bool
part_cells(struct sets_table *t, bool dst, unsigned int part, uint16_t *cells, uint32_t n)
{
	struct sweep sweep;
	uint16_t cell = 0;

	if (!sweep_begin(&sweep, t, dst, part))
		return false;
	for (uint32_t value = 0; value < n; value++) {
		if (sweep_turns(&sweep, value) && !sweep_cell(&sweep, t, value, &cell))
			return false;
		cells[value] = cell;
	}
	return true;
}

/* The pages of a port: one for each with a turn, and of others those that are alike but once. */
static bool
port_cells(struct sets_table *t, bool dst)
{
	uint32_t *pages = dst ? t->head.dport_pages : t->head.sport_pages;
	uint16_t *cells, *plain;
	struct sweep sweep;
	uint32_t most, n = 0;
	uint16_t cell = 0;

	if (!sweep_begin(&sweep, t, dst, PORT))
		return false;
	/* one for each turn, one without for what it turns to, and one that is filled in vain */
	most = 2 * sweep.turns_n + 2 < MS_PAGES ? 2 * sweep.turns_n + 2 : MS_PAGES;
	cells = ms_arena_get(t->arena, ((size_t)most + 1) * MS_PAGE, sizeof(*cells));
	plain = ms_arena_zero(t->arena, UINT16_MAX / t->words, sizeof(*plain));
	if (cells == NULL || plain == NULL)
		return false;
	for (uint32_t page = 0; page < MS_PAGES; page++) {
		uint16_t *to = cells + (size_t)n * MS_PAGE;
		bool turns = false;

		for (uint32_t i = 0; i < MS_PAGE; i++) {
			uint32_t port = page * MS_PAGE + i;

			if (sweep_turns(&sweep, port)) {
				if (!sweep_cell(&sweep, t, port, &cell))
					return false;
				turns |= i != 0;
			}
			to[i] = cell;
		}
		if (turns || plain[cell / t->words] == 0) {
			if (!turns)
				plain[cell / t->words] = (uint16_t)(n + 1);
			pages[page] = n++ * MS_PAGE;
		} else {
			pages[page] = (plain[cell / t->words] - 1u) * MS_PAGE;
		}
	}
	t->ports[dst] = cells;
	t->ports_n[dst] = n * MS_PAGE;
	return true;
}

/* Cells for all that a key can have, with this protocol. */
static bool
traits_cells(struct sets_table *t, uint8_t proto, uint64_t *set, uint16_t *cells)
{
	for (uint32_t has = 0; has < MS_HAS_SETS; has++) {
		set_clear(t, set);
		for (uint32_t i = 0; i < t->rows->n; i++) {
			const struct ms_row *row = &t->rows->row[i];

			if ((((has << 8 | proto) ^ row->traits) & row->traits_mask) == 0)
				ms_set_bit(set, i);
		}
		if (!cell_of(t, set, &cells[has]))
			return false;
	}
	return true;
}

/* Protocols that no row names have the same cells, at the beginning. */
static bool
traits_make(struct sets_table *t)
{
	uint64_t *set = ms_arena_get(t->arena, t->words, sizeof(*set));
	bool named[UINT8_MAX + 1] = {false};
	uint32_t kinds = 1, other = 0;

	for (uint32_t i = 0; i < t->rows->n; i++)
		if ((t->rows->row[i].traits_mask & UINT8_MAX) != 0)
			named[t->rows->row[i].traits & UINT8_MAX] = true;
	for (uint32_t proto = 0; proto < UINT8_MAX + 1; proto++)
		kinds += named[proto];
	while (other < UINT8_MAX && named[other])
		other++;
	t->traits = ms_arena_get(t->arena, (size_t)kinds * MS_HAS_SETS, sizeof(*t->traits));
	if (set == NULL || t->traits == NULL || !traits_cells(t, (uint8_t)other, set, t->traits))
		return false;
	t->traits_n = MS_HAS_SETS;
	for (uint32_t proto = 0; proto < UINT8_MAX + 1; proto++)
		if (named[proto]) {
			if (!traits_cells(t, (uint8_t)proto, set, t->traits + t->traits_n))
				return false;
			t->head.protos[proto] = t->traits_n;
			t->traits_n += MS_HAS_SETS;
		}
	return true;
}

static bool
sets_fill(struct sets_table *t)
{
	for (unsigned int dst = 0; dst < 2; dst++) {
		struct ms_parts *parts = dst ? &t->head.dst : &t->head.src;

		if (!part_cells(t, dst, 0, parts->low, RTE_DIM(parts->low)) ||
			!part_cells(t, dst, 1, parts->middle, RTE_DIM(parts->middle)) ||
			!part_cells(t, dst, 2, parts->high, RTE_DIM(parts->high)))
			return false;
	}
	return port_cells(t, false) && port_cells(t, true) && traits_make(t);
}

/* Sets size bytes aside at the end. Returns their offset. */
static uint32_t
reserve(size_t *end, size_t size, size_t align)
{
	size_t at = (*end + align - 1) & ~(align - 1);

	*end = at + size;
	return (uint32_t)at;
}

/* Sets cells aside, for those who count from their first one. Returns their offset. */
static uint32_t
reserve_cells(size_t *end, uint32_t cells_n, uint32_t *from, uint32_t from_n)
{
	uint32_t at = reserve(end, cells_n * sizeof(uint16_t), MS_TABLE_ALIGN);

	for (uint32_t i = 0; i < from_n; i++)
		from[i] += at / (uint32_t)sizeof(uint16_t);
	return at;
}

/* Where everything stands in the table. Returns its size. */
static size_t
table_layout(struct sets_table *t)
{
	struct ms_table_sets *head = &t->head;
	size_t end = sizeof(*head);

	head->sets = reserve(&end, (size_t)t->sets.n * t->words * sizeof(uint64_t), MS_TABLE_ALIGN);
	t->ports_at[0] = reserve_cells(&end, t->ports_n[0], head->sport_pages, MS_PAGES);
	t->ports_at[1] = reserve_cells(&end, t->ports_n[1], head->dport_pages, MS_PAGES);
	t->traits_at = reserve_cells(&end, t->traits_n, head->protos, UINT8_MAX + 1);
	head->results = reserve(&end, ((size_t)t->rows->n + 1) * sizeof(struct ms_result),
		sizeof(struct ms_result));
	return end;
}

/* results are those of the ranks of rows, and at `none` that of no rule. */
static bool
image_sets(struct ms_image *image, const struct sets_table *t, size_t size,
	const struct ms_result *results, uint32_t none)
{
	const struct ms_rows *rows = t->rows;
	uint8_t *bytes = ms_arena_zero(t->arena, size, 1);
	struct ms_result *to;

	if (bytes == NULL)
		return false;
	memcpy(bytes, &t->head, sizeof(t->head));
	memcpy(bytes + t->head.sets, t->sets.bits, (size_t)t->sets.n * t->words * sizeof(uint64_t));
	memcpy(bytes + t->ports_at[0], t->ports[0], t->ports_n[0] * sizeof(uint16_t));
	memcpy(bytes + t->ports_at[1], t->ports[1], t->ports_n[1] * sizeof(uint16_t));
	memcpy(bytes + t->traits_at, t->traits, t->traits_n * sizeof(uint16_t));
	to = (struct ms_result *)(bytes + t->head.results);
	for (uint32_t i = 0; i < rows->n; i++)
		to[i] = results[rows->row[i].rank];
	to[rows->n] = results[none];
	*image = (struct ms_image){.bytes = bytes,
		.size = size,
		.kind = (uint8_t)(MS_TABLE_V4_SETS_2 + (t->words > 2) + (t->words > 4))};
	return true;
}

bool
ms_sets_make(struct ms_image *image, struct ms_leaf_set *leaves, const struct ms_boxes *boxes,
	const struct ms_rows *rows, size_t budget)
{
	struct sets_table t = {.arena = leaves->arena, .rows = rows, .words = 2};
	const struct ms_result *results;
	size_t size;

	while (t.words * 64 <= rows->n)
		t.words *= 2;
	/* cells have 16 bits */
	if (!ms_sets_init(&t.sets, t.arena, t.words, UINT16_MAX / t.words) || !sets_fill(&t))
		return false;
	size = table_layout(&t);
	if (size > budget) {
		t.arena->error = -EFBIG;
		return false;
	}
	results = ms_results_make(leaves, boxes);
	return results != NULL && image_sets(image, &t, size, results, boxes->n);
}
