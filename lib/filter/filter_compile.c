/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The filter compiler: makes a table for each direction and family of a policy, each in the layout
 * that fits it, and appends them to the blob in one piece. ms_filter_lookup.h describes the result
 * and filter_internal.h the way to it.
 */
#include "filter/filter_internal.h"

#include <errno.h>
#include <stdalign.h>
#include <string.h>

struct compiler {
	struct ms_arena arena;
	struct ms_plan plan;
	struct ms_leaf_set leaves;
	enum ms_filter_layout layout;
	size_t budget;
	struct ms_image images[2][4]; /* as in struct ms_policy */
};

/* Frames that are not IP have no fields, so one set of boxes decides for all of them. */
static bool
compile_constant(struct compiler *c, struct ms_image *image, const struct ms_boxes *boxes)
{
	uint64_t *sets = ms_arena_zero(&c->arena, 2 * (size_t)boxes->words, sizeof(*sets));

	if (sets == NULL)
		return false;
	for (uint32_t i = 0; i < boxes->bits; i++)
		if (boxes->box[i].kind != MS_BOX_NONE)
			ms_set_bit(sets, i);
	ms_boxes_firsts(boxes, sets, sets + boxes->words);
	*image = (struct ms_image){
		.kind = MS_TABLE_CONST,
		.leaf = ms_leaf_of_hits(&c->leaves, boxes, sets + boxes->words),
	};
	return image->leaf != UINT32_MAX;
}

static bool
compile_table(struct compiler *c, struct ms_image *image, uint8_t direction, uint8_t family)
{
	struct ms_index index[MS_FIELDS];
	struct ms_boxes boxes;

	if (!ms_boxes_make(&boxes, &c->arena, &c->plan, direction, family))
		return false;
	if (family == MS_FAMILY_NONE || boxes.n == 0)
		return compile_constant(c, image, &boxes);
	if ((c->layout == MS_LAYOUT_AUTO || c->layout == MS_LAYOUT_ROWS) &&
		family == MS_FAMILY_V4 && boxes.segments_n == 1) {
		if (ms_rows_make(image, &c->leaves, &boxes, c->layout == MS_LAYOUT_AUTO, c->budget))
			return true;
		if (c->arena.error != -EFBIG)
			return false;
		c->arena.error = 0;
	}
	for (unsigned int i = 0; i < MS_FIELDS; i++)
		if (!ms_index_make(&index[i], &c->arena, &boxes, i))
			return false;
	if (c->layout == MS_LAYOUT_BITSET)
		return ms_bits_make(image, &c->leaves, &boxes, index);
	if (ms_cross_make(image, &c->leaves, &boxes, index, c->budget))
		return true;
	if (c->layout == MS_LAYOUT_CROSS || c->arena.error != -EFBIG)
		return false;
	c->arena.error = 0;
	return ms_bits_make(image, &c->leaves, &boxes, index);
}

static bool
compile_tables(struct compiler *c)
{
	for (uint8_t i = 0; i < 2; i++) {
		struct ms_image *images = c->images[i];
		uint8_t direction = MS_DIRECTION_INGRESS + i;

		if (!compile_table(c, &images[MS_FAMILY_NONE / 2], direction, MS_FAMILY_NONE) ||
			!compile_table(c, &images[MS_FAMILY_V4 / 2], direction, MS_FAMILY_V4) ||
			!compile_table(c, &images[MS_FAMILY_V6 / 2], direction, MS_FAMILY_V6))
			return false;
		images[1] = images[MS_FAMILY_NONE / 2]; /* no family has this number */
	}
	return true;
}

static size_t
align_up(size_t size)
{
	return (size + MS_TABLE_ALIGN - 1) & ~(size_t)(MS_TABLE_ALIGN - 1);
}

/* Appends the policy, its verdicts and its tables to the blob. Returns 0 or -errno. */
static int
place(const struct compiler *c, struct ms_blob *blob, size_t *offset)
{
	size_t verdicts = c->leaves.n * sizeof(struct ms_verdict);
	size_t head = align_up(sizeof(struct ms_policy) + verdicts), size = head, at = head;
	const struct ms_image *image = &c->images[0][0];
	struct ms_policy *policy;

	for (unsigned int i = 0; i < 8; i++)
		size += align_up(image[i].size);
	if (size > UINT32_MAX)
		return -EFBIG;
	*offset = ms_blob_add(blob, size, MS_TABLE_ALIGN);
	if (*offset == 0)
		return -errno;
	policy = (struct ms_policy *)(blob->base + *offset);
	policy->leaf_base = c->leaves.base;
	policy->leaves_n = c->leaves.n;
	memcpy(policy->verdicts, c->leaves.verdicts, verdicts);
	for (unsigned int i = 0; i < 8; i++) {
		uint32_t *table = &policy->tables[i / 4][i % 4];

		if (image[i].kind == MS_TABLE_CONST) {
			*table = image[i].leaf * MS_TABLE_ALIGN | MS_TABLE_CONST;
			continue;
		}
		*table = (uint32_t)at | image[i].kind;
		memcpy((uint8_t *)policy + at, image[i].bytes, image[i].size);
		at += align_up(image[i].size);
	}
	return 0;
}

struct ms_filter_shape
ms_filter_shape(const uint8_t *base, size_t offset)
{
	static const uint8_t families[] = {MS_FAMILY_NONE, MS_FAMILY_V4, MS_FAMILY_V6};
	const struct ms_policy *policy = (const struct ms_policy *)(base + offset);
	struct ms_filter_shape shape = {.leaves = policy->leaves_n};

	for (unsigned int d = MS_DIRECTION_INGRESS; d <= MS_DIRECTION_EGRESS; d++) {
		for (unsigned int i = 0; i < sizeof(families); i++) {
			uint32_t kind =
				ms_policy_table(policy, (uint8_t)d, families[i]) & MS_TABLE_KIND;

			if (kind == MS_TABLE_CONST)
				shape.constant++;
			else if (kind == MS_TABLE_V4_BITS || kind == MS_TABLE_V6_BITS)
				shape.bits++;
			else
				shape.cross++;
		}
	}
	return shape;
}

int
ms_filter_compile(struct ms_blob *blob, struct ms_filter_leaves *leaves,
	const struct ms_filter_policy *policy, enum ms_filter_layout layout, size_t budget,
	size_t *offset)
{
	alignas(MS_ARENA_ALIGN) uint8_t first[MS_ARENA_FIRST];
	struct compiler c = {.layout = layout, .budget = budget};
	uint32_t leaves_n = leaves->leaves_n, hits_n = leaves->hits_n;
	int ret;

	ms_arena_begin(&c.arena, first, sizeof(first));
	if (ms_plan_make(&c.plan, &c.arena, policy) &&
		ms_leaf_set_init(&c.leaves, &c.arena, leaves) && compile_tables(&c))
		ret = place(&c, blob, offset);
	else
		ret = c.arena.error;
	if (ret < 0) {
		leaves->leaves_n = leaves_n;
		leaves->hits_n = hits_n;
		if (leaves->first != NULL)
			leaves->first[leaves_n] = hits_n;
	}
	ms_arena_free(&c.arena);
	return ret;
}
