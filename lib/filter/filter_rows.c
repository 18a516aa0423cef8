/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The layout of rows, for IPv4 and policies that ask one filter: the rules as they are, in blocks
 * of 8 or 16 that are compared at once. What more rules go to stands in filter_sets.c and
 * filter_forest.c.
 */
#include "filter/filter_rows.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define DNS_PORT 53

/* A row that takes all; what follows narrows it. */
static struct ms_row
row_any(uint16_t rank)
{
	return (struct ms_row){.sport_span = UINT16_MAX, .dport_span = UINT16_MAX, .rank = rank};
}

static void
row_need(struct ms_row *row, uint8_t has)
{
	row->traits |= (uint16_t)(has << 8);
	row->traits_mask |= (uint16_t)(has << 8);
}

static uint32_t
prefix_mask(uint8_t length)
{
	return length == 0 ? 0 : UINT32_MAX << (32 - length);
}

static void
row_src(struct ms_row *row, const struct ms_prefix *prefix)
{
	if (prefix->family == MS_FAMILY_NONE || prefix->length == 0)
		return;
	row->src = (uint32_t)prefix->ip.lo;
	row->src_mask = prefix_mask(prefix->length);
	row_need(row, MS_HAS_SRC);
}

static void
row_dst(struct ms_row *row, const struct ms_prefix *prefix)
{
	if (prefix->family == MS_FAMILY_NONE || prefix->length == 0)
		return;
	row->dst = (uint32_t)prefix->ip.lo;
	row->dst_mask = prefix_mask(prefix->length);
	row_need(row, MS_HAS_DST);
}

static void
row_sport(struct ms_row *row, uint16_t from, uint16_t to)
{
	row->sport = from;
	row->sport_span = to - from;
	row_need(row, MS_HAS_SPORT);
}

static void
row_dport(struct ms_row *row, uint16_t from, uint16_t to)
{
	row->dport = from;
	row->dport_span = to - from;
	row_need(row, MS_HAS_DPORT);
}

static void
row_proto(struct ms_row *row, uint8_t proto)
{
	row->traits |= proto;
	row->traits_mask |= UINT8_MAX;
	row_need(row, MS_HAS_PROTO);
}

static void
add_rule(struct ms_rows *rows, const struct ms_rule *rule, uint16_t rank)
{
	struct ms_row *row = &rows->row[rows->n++];

	*row = row_any(rank);
	row_src(row, &rule->src);
	row_dst(row, &rule->dst);
	if (rule->sport.present)
		row_sport(row, rule->sport.from, rule->sport.to);
	if (rule->dport.present)
		row_dport(row, rule->dport.from, rule->dport.to);
	if (rule->protocol != MS_PROTO_ANY)
		row_proto(row, (uint8_t)rule->protocol);
}

/* One side of amazon-dns: rows for each resolver, by TCP and by UDP. */
static void
add_dns(struct ms_rows *rows, const struct ms_plan *plan, bool to, uint16_t rank)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};

	for (uint32_t i = 0; i < plan->resolvers_n; i++) {
		const struct ms_prefix *resolver = &plan->resolvers[i];

		for (unsigned int j = 0; resolver->family == MS_FAMILY_V4 && j < 2; j++) {
			struct ms_row *row = &rows->row[rows->n++];

			*row = row_any(rank);
			if (to) {
				row_dst(row, resolver);
				row_need(row, MS_HAS_DST); /* whatever its length */
				row_dport(row, DNS_PORT, DNS_PORT);
			} else {
				row_src(row, resolver);
				row_need(row, MS_HAS_SRC);
				row_sport(row, DNS_PORT, DNS_PORT);
			}
			row_proto(row, protos[j]);
		}
	}
}

/* All boxes as rows, in their order. Ranks are the boxes' bits. */
static bool
rows_make(struct ms_rows *rows, struct ms_arena *arena, const struct ms_boxes *boxes)
{
	size_t room = boxes->n + 4 * (size_t)boxes->plan->resolvers_n;

	*rows = (struct ms_rows){
		.arena = arena, .row = ms_arena_get(arena, room, sizeof(*rows->row))};
	if (rows->row == NULL)
		return false;
	for (uint32_t i = 0; i < boxes->n; i++) {
		const struct ms_box *box = &boxes->box[i];

		if (box->kind == MS_BOX_RULE)
			add_rule(rows, box->rule, (uint16_t)i);
		else
			add_dns(rows, boxes->plan, box->kind == MS_BOX_DNS_TO, (uint16_t)i);
	}
	return true;
}

/* A table of at most 16 rows. */
static bool
image_rows(struct ms_image *image, const struct ms_rows *rows, const struct ms_result *results,
	const struct ms_result *none)
{
	const struct ms_row *list[MS_BLOCK_ROWS];
	bool small = rows->n <= 8;
	size_t size = small ? sizeof(struct ms_table_rows_8) : sizeof(struct ms_table_rows_16);
	uint8_t *bytes = ms_arena_zero(rows->arena, size, 1);
	struct ms_result *to;

	if (bytes == NULL)
		return false;
	for (uint32_t i = 0; i < rows->n; i++)
		list[i] = &rows->row[i];
	if (small) {
		struct ms_table_rows_8 *t = (struct ms_table_rows_8 *)bytes;

		MS_ROWS_PUT(&t->rows, list, rows->n, 8);
		to = t->results;
		to[8] = *none;
	} else {
		struct ms_table_rows_16 *t = (struct ms_table_rows_16 *)bytes;

		MS_ROWS_PUT(&t->rows, list, rows->n, 16);
		to = t->results;
		to[16] = *none;
	}
	for (uint32_t i = 0; i < rows->n; i++)
		to[i] = results[rows->row[i].rank];
	*image = (struct ms_image){.bytes = bytes,
		.size = size,
		.kind = small ? MS_TABLE_V4_ROWS_8 : MS_TABLE_V4_ROWS_16};
	return true;
}

/* More than a block: sets or trees. */
static bool
make_many(struct ms_image *image, struct ms_leaf_set *leaves, const struct ms_boxes *boxes,
	const struct ms_rows *rows, bool sets, size_t budget)
{
	budget *= 1 + rows->n / MS_BLOCK_ROWS;
	if (sets && rows->n >= MS_SETS_LEAST && rows->n <= MS_SETS_MOST) {
		if (ms_sets_make(image, leaves, boxes, rows, budget))
			return true;
		if (leaves->arena->error != -EFBIG)
			return false;
		leaves->arena->error = 0;
	}
	return ms_forest_make(image, leaves, boxes, rows, budget);
}

bool
ms_rows_make(struct ms_image *image, struct ms_leaf_set *leaves, const struct ms_boxes *boxes,
	bool sets, size_t budget)
{
	const struct ms_result *results;
	struct ms_rows rows;

	if (boxes->n >= UINT16_MAX || budget < sizeof(struct ms_table_rows_16)) {
		leaves->arena->error = -EFBIG;
		return false;
	}
	if (!rows_make(&rows, leaves->arena, boxes))
		return false;
	if (rows.n > MS_BLOCK_ROWS)
		return make_many(image, leaves, boxes, &rows, sets, budget);
	results = ms_results_make(leaves, boxes);
	if (results == NULL)
		return false;
	if (rows.n == 1 && rows.row[0].traits_mask == 0) {
		*image = (struct ms_image){.kind = MS_TABLE_CONST, .leaf = results[0].leaf};
		return true;
	}
	return image_rows(image, &rows, results, &results[boxes->n]);
}
