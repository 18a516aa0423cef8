/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The layout of sets: rows of IPv4, of filters that have more than a block of them. What a byte of
 * an address, a port, or the protocol and what a key has can be is gone through beforehand, and the
 * set of rows that it suits put down, each but once; ms_filter_lookup.h says how they are found.
 */
#include "filter/filter_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sets_table {
	struct ms_arena *arena;
	const struct ms_rows *rows;
	struct ms_sets sets;
	struct ms_table_sets head;
	uint32_t words; /* of a set: the rows, and one that stands for none */
	/* cells of ports, and of traits */
	uint16_t *ports[2];
	uint32_t ports_n[2];
	uint16_t *traits;
	uint32_t traits_n;
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

/* The cells of one byte of an address: masks are those of prefixes, so a byte is in a range. */
static bool
byte_cells(struct sets_table *t, uint16_t cells[MS_BYTES], bool dst, unsigned int shift)
{
	uint64_t *sets = ms_arena_get(t->arena, (size_t)MS_BYTES * t->words, sizeof(*sets));
	uint64_t *open = ms_arena_get(t->arena, t->words, sizeof(*open));

	if (sets == NULL || open == NULL)
		return false;
	set_clear(t, open);
	for (uint32_t i = 0; i < t->rows->n; i++)
		if (((dst ? t->rows->row[i].dst_mask : t->rows->row[i].src_mask) >> shift &
			    UINT8_MAX) == 0)
			ms_set_bit(open, i);
	for (uint32_t value = 0; value < MS_BYTES; value++)
		memcpy(sets + (size_t)value * t->words, open, t->words * sizeof(*sets));
	for (uint32_t i = 0; i < t->rows->n; i++) {
		const struct ms_row *row = &t->rows->row[i];
		uint32_t mask = (dst ? row->dst_mask : row->src_mask) >> shift & UINT8_MAX;
		uint32_t first = (dst ? row->dst : row->src) >> shift & UINT8_MAX;

		for (uint32_t value = first; mask != 0 && value <= (first | (mask ^ UINT8_MAX));
			value++)
			ms_set_bit(sets + (size_t)value * t->words, i);
	}
	for (uint32_t value = 0; value < MS_BYTES; value++)
		if (!cell_of(t, sets + (size_t)value * t->words, &cells[value]))
			return false;
	return true;
}

static int
compare_end(const void *a, const void *b)
{
	uint32_t p = *(const uint32_t *)a, q = *(const uint32_t *)b;

	return (p > q) - (p < q);
}

/* Where the sets of a port change: the first value of each interval, ascending, not 0. */
static uint32_t
port_starts(const struct sets_table *t, bool dst, uint32_t *starts)
{
	uint32_t n = 0, kept = 0;

	for (uint32_t i = 0; i < t->rows->n; i++) {
		const struct ms_row *row = &t->rows->row[i];
		uint32_t first = dst ? row->dport : row->sport;
		uint32_t behind = first + (dst ? row->dport_span : row->sport_span) + 1u;

		if (first != 0)
			starts[n++] = first;
		if (behind <= UINT16_MAX)
			starts[n++] = behind;
	}
	qsort(starts, n, sizeof(*starts), compare_end);
	for (uint32_t i = 0; i < n; i++)
		if (kept == 0 || starts[i] != starts[kept - 1])
			starts[kept++] = starts[i];
	return kept;
}

/* The cell of all ports from this one on to the next start. */
static bool
port_cell(struct sets_table *t, bool dst, uint32_t port, uint64_t *set, uint16_t *cell)
{
	set_clear(t, set);
	for (uint32_t i = 0; i < t->rows->n; i++) {
		const struct ms_row *row = &t->rows->row[i];

		if ((uint16_t)(port - (dst ? row->dport : row->sport)) <=
			(dst ? row->dport_span : row->sport_span))
			ms_set_bit(set, i);
	}
	return cell_of(t, set, cell);
}

/* The pages of a port, those that are alike but once. */
static bool
port_cells(struct sets_table *t, bool dst)
{
	uint32_t *starts = ms_arena_get(t->arena, 2 * (size_t)t->rows->n, sizeof(*starts));
	uint64_t *set = ms_arena_get(t->arena, t->words, sizeof(*set));
	uint16_t *pages = dst ? t->head.dport_pages : t->head.sport_pages, *cells, cell;
	uint32_t starts_n, most, at = 0, n = 0;

	if (starts == NULL || set == NULL)
		return false;
	starts_n = port_starts(t, dst, starts);
	/* each start is in a page that has no other like it, and the pages between are alike */
	most = 2 * starts_n + 1 < MS_BYTES ? 2 * starts_n + 1 : MS_BYTES;
	cells = ms_arena_get(t->arena, ((size_t)most + 1) * MS_BYTES, sizeof(*cells));
	if (cells == NULL || !port_cell(t, dst, 0, set, &cell))
		return false;
	for (uint32_t page = 0; page < MS_BYTES; page++) {
		uint16_t *to = cells + (size_t)n * MS_BYTES;
		uint32_t same = 0;

		for (uint32_t i = 0; i < MS_BYTES; i++) {
			uint32_t port = page * MS_BYTES + i;

			if (at < starts_n && starts[at] == port) {
				if (!port_cell(t, dst, port, set, &cell))
					return false;
				at++;
			}
			to[i] = cell;
		}
		while (same < n &&
			memcmp(cells + (size_t)same * MS_BYTES, to, MS_BYTES * sizeof(*cells)) != 0)
			same++;
		n += same == n;
		pages[page] = (uint16_t)(same * MS_BYTES);
	}
	t->ports[dst] = cells;
	t->ports_n[dst] = n * MS_BYTES;
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
	bool named[MS_BYTES] = {false};
	uint32_t kinds = 1, other = 0;

	for (uint32_t i = 0; i < t->rows->n; i++)
		if ((t->rows->row[i].traits_mask & UINT8_MAX) != 0)
			named[t->rows->row[i].traits & UINT8_MAX] = true;
	for (uint32_t proto = 0; proto < MS_BYTES; proto++)
		kinds += named[proto];
	while (other < UINT8_MAX && named[other])
		other++;
	t->traits = ms_arena_get(t->arena, (size_t)kinds * MS_HAS_SETS, sizeof(*t->traits));
	if (set == NULL || t->traits == NULL || !traits_cells(t, (uint8_t)other, set, t->traits))
		return false;
	t->traits_n = MS_HAS_SETS;
	for (uint32_t proto = 0; proto < MS_BYTES; proto++)
		if (named[proto]) {
			if (!traits_cells(t, (uint8_t)proto, set, t->traits + t->traits_n))
				return false;
			t->head.protos[proto] = (uint16_t)t->traits_n;
			t->traits_n += MS_HAS_SETS;
		}
	return true;
}

static bool
sets_fill(struct sets_table *t)
{
	for (unsigned int i = 0; i < 4; i++)
		if (!byte_cells(t, t->head.src[i], false, 8 * i) ||
			!byte_cells(t, t->head.dst[i], true, 8 * i))
			return false;
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

/* Where everything stands in the table. Returns its size. */
static size_t
table_layout(struct sets_table *t)
{
	size_t end = sizeof(t->head);

	t->head.sets =
		reserve(&end, (size_t)t->sets.n * t->words * sizeof(uint64_t), MS_TABLE_ALIGN);
	t->head.sport = reserve(&end, t->ports_n[0] * sizeof(uint16_t), MS_TABLE_ALIGN);
	t->head.dport = reserve(&end, t->ports_n[1] * sizeof(uint16_t), MS_TABLE_ALIGN);
	t->head.traits = reserve(&end, t->traits_n * sizeof(uint16_t), MS_TABLE_ALIGN);
	t->head.results = reserve(&end, ((size_t)t->rows->n + 1) * sizeof(struct ms_result),
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
	memcpy(bytes + t->head.sport, t->ports[0], t->ports_n[0] * sizeof(uint16_t));
	memcpy(bytes + t->head.dport, t->ports[1], t->ports_n[1] * sizeof(uint16_t));
	memcpy(bytes + t->head.traits, t->traits, t->traits_n * sizeof(uint16_t));
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
