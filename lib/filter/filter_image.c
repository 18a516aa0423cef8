/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes tables in the layout that ms_filter_lookup.h reads. */
#include "filter/filter_internal.h"

#include <errno.h>
#include <string.h>

/* Sets size bytes aside at the end of an image that is being laid out. Returns their offset. */
static uint32_t
reserve(size_t *end, size_t size, size_t align)
{
	size_t at = (*end + align - 1) & ~(align - 1);

	*end = at + size;
	return (uint32_t)at;
}

/* Allocates what was laid out. Offsets have 32 bits. */
static bool
image_get(struct ms_image *image, struct ms_arena *arena, size_t size, uint8_t kind)
{
	if (size > UINT32_MAX) {
		arena->error = -EFBIG;
		return false;
	}
	*image = (struct ms_image){
		.bytes = ms_arena_zero(arena, size, 1), .size = size, .kind = kind};
	return image->bytes != NULL;
}

/*
 * Writes an end, or the padding behind the last one, in the width of its field: with its top bit
 * flipped, as the vector code compares them, but for those of 128 bits.
 */
static void
end_put(uint8_t *at, size_t width, const struct ms_index *index, size_t i)
{
	ms_u128 end = i < index->ends_n ? index->ends[i] : ~(ms_u128)0;

	switch (width) {
	case 1:
		*at = (uint8_t)(end ^ 1u << 7);
		break;
	case 2:
		*(uint16_t *)at = (uint16_t)(end ^ 1u << 15);
		break;
	case 4:
		*(uint32_t *)at = (uint32_t)(end ^ 1u << 31);
		break;
	default:
		*(ms_u128 *)at = end;
	}
}

/* The fewest ends that a small table of these indices can have. */
static unsigned int
small_ends(const struct ms_index index[MS_FIELDS])
{
	unsigned int n = 8;

	for (unsigned int i = 0; i < MS_FIELDS; i++)
		while (index[i].ends_n > n)
			n *= 2;
	return n;
}

static void
cells_put8(uint8_t *to, const uint16_t *cells, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)cells[i];
}

bool
ms_image_small(struct ms_image *image, struct ms_arena *arena, const struct ms_cross *cross,
	const struct ms_index index[MS_FIELDS], uint8_t family)
{
	bool v6 = family == MS_FAMILY_V6;
	unsigned int n = small_ends(index);
	uint8_t kind = (uint8_t)((v6 ? MS_TABLE_V6_8 : MS_TABLE_V4_8) + (n > 8) + (n > 16));
	const size_t width[MS_FIELDS] = {v6 ? 16 : 4, v6 ? 16 : 4, 2, 2, 1};
	const unsigned int ends[MS_FIELDS] = {n, n, n, n, n < MS_PROTO_ENDS ? MS_PROTO_ENDS : n};
	struct ms_small t = {
		.dst_n = (uint16_t)index[MS_FIELD_DST].sets.n,
		.dport_n = (uint16_t)index[MS_FIELD_DPORT].sets.n,
		.proto_n = (uint16_t)index[MS_FIELD_PROTO].sets.n,
		.c2_n = (uint16_t)cross->c2.n,
	};
	size_t end = sizeof(t);
	uint8_t *at;

	for (unsigned int i = 0; i < MS_FIELDS; i++)
		reserve(&end, ends[i] * width[i], 1);
	reserve(&end, (size_t)MS_FIELDS * (n + 2), 1);
	t.t1 = reserve(&end, cross->t1_n, 1);
	t.t2 = reserve(&end, cross->t2_n, 1);
	t.t3 = reserve(&end, cross->t3_n, 1);
	if (!image_get(image, arena, end, kind))
		return false;
	memcpy(image->bytes, &t, sizeof(t));
	at = image->bytes + sizeof(t);
	for (unsigned int i = 0; i < MS_FIELDS; i++)
		for (unsigned int j = 0; j < ends[i]; j++, at += width[i])
			end_put(at, width[i], &index[i], j);
	for (unsigned int i = 0; i < MS_FIELDS; i++, at += n + 2)
		for (unsigned int j = 0; j < index[i].ends_n + 2; j++)
			at[j] = (uint8_t)index[i].classes[j];
	cells_put8(image->bytes + t.t1, cross->t1, cross->t1_n);
	cells_put8(image->bytes + t.t2, cross->t2, cross->t2_n);
	cells_put8(image->bytes + t.t3, cross->t3, cross->t3_n);
	return true;
}

/* Nodes of each level of a tree, leaves first. Returns the number of levels. */
static uint32_t
tree_shape(uint32_t ends_n, uint32_t nodes[MS_LEVELS_MAX])
{
	uint32_t levels = 1;

	nodes[0] = ends_n == 0 ? 1 : (ends_n + MS_NODE_ENDS - 1) / MS_NODE_ENDS;
	for (; nodes[levels - 1] > 1; levels++)
		nodes[levels] = (nodes[levels - 1] + MS_NODE_ENDS) / (MS_NODE_ENDS + 1);
	return levels;
}

/* width: bytes of an end; 16 is for a binary search. */
static void
tree_layout(struct ms_tree *tree, size_t *end, const struct ms_index *index, size_t width)
{
	uint32_t nodes[MS_LEVELS_MAX], first = 0;

	*tree = (struct ms_tree){.ends_n = index->ends_n == 0 ? 1 : index->ends_n};
	if (width == sizeof(ms_u128)) {
		tree->nodes = reserve(end, tree->ends_n * width, MS_TABLE_ALIGN);
	} else {
		tree->levels = tree_shape(index->ends_n, nodes);
		for (uint32_t i = 0; i < tree->levels; i++) {
			tree->level[i] = first;
			first += nodes[tree->levels - 1 - i];
		}
		tree->nodes = reserve(end, (size_t)first * MS_NODE_ENDS * width, MS_TABLE_ALIGN);
	}
	tree->classes = reserve(end, ((size_t)index->ends_n + 2) * sizeof(uint16_t), 2);
}

/*
 * The ends, in order, make the nodes of the lowest level. A node further up tells its children
 * apart by the last end beneath each, but for the last child; `leaves` is how many nodes of the
 * lowest level stand beneath a child.
 */
static void
tree_put(uint8_t *bytes, const struct ms_tree *tree, const struct ms_index *index, size_t width)
{
	uint32_t nodes[MS_LEVELS_MAX], levels = tree_shape(index->ends_n, nodes);
	size_t leaves = 1;

	for (uint32_t level = 0; level < levels; level++) {
		size_t first = tree->level[levels - 1 - level];

		for (size_t i = 0; i < (size_t)nodes[level] * MS_NODE_ENDS; i++) {
			size_t child = i / MS_NODE_ENDS * (MS_NODE_ENDS + 1) + i % MS_NODE_ENDS;
			size_t end = i;

			if (level != 0)
				end = child + 1 < nodes[level - 1]
				              ? (child + 1) * leaves * MS_NODE_ENDS - 1
				              : SIZE_MAX;
			end_put(bytes + tree->nodes + (first * MS_NODE_ENDS + i) * width, width,
				index, end);
		}
		if (level != 0)
			leaves *= MS_NODE_ENDS + 1;
	}
}

static void
field_put(uint8_t *bytes, const struct ms_tree *tree, const struct ms_index *index, size_t width)
{
	uint16_t *classes = (uint16_t *)(bytes + tree->classes);

	if (width == sizeof(ms_u128))
		for (uint32_t i = 0; i < tree->ends_n; i++)
			end_put(bytes + tree->nodes + i * width, width, index, i);
	else
		tree_put(bytes, tree, index, width);
	for (uint32_t i = 0; i < index->ends_n + 2; i++)
		classes[i] = (uint16_t)index->classes[i];
}

static size_t
address_width(uint8_t family)
{
	return family == MS_FAMILY_V6 ? sizeof(ms_u128) : sizeof(uint32_t);
}

static void
wide_index_layout(struct ms_wide_index *wide, size_t *end, const struct ms_index index[MS_FIELDS],
	uint8_t family)
{
	tree_layout(&wide->src, end, &index[MS_FIELD_SRC], address_width(family));
	tree_layout(&wide->dst, end, &index[MS_FIELD_DST], address_width(family));
	tree_layout(&wide->sport, end, &index[MS_FIELD_SPORT], sizeof(uint16_t));
	tree_layout(&wide->dport, end, &index[MS_FIELD_DPORT], sizeof(uint16_t));
	wide->proto_classes = reserve(end, (1 + 256) * sizeof(uint16_t), 2);
}

static void
wide_index_put(uint8_t *bytes, const struct ms_wide_index *wide,
	const struct ms_index index[MS_FIELDS], uint8_t family)
{
	const struct ms_index *proto = &index[MS_FIELD_PROTO];
	uint16_t *classes = (uint16_t *)(bytes + wide->proto_classes);

	field_put(bytes, &wide->src, &index[MS_FIELD_SRC], address_width(family));
	field_put(bytes, &wide->dst, &index[MS_FIELD_DST], address_width(family));
	field_put(bytes, &wide->sport, &index[MS_FIELD_SPORT], sizeof(uint16_t));
	field_put(bytes, &wide->dport, &index[MS_FIELD_DPORT], sizeof(uint16_t));
	classes[0] = (uint16_t)proto->classes[0];
	for (uint32_t value = 0, i = 0; value <= UINT8_MAX; value++) {
		if (i < proto->ends_n && proto->ends[i] < value)
			i++;
		classes[1 + value] = (uint16_t)proto->classes[1 + i];
	}
}

bool
ms_image_wide(struct ms_image *image, struct ms_arena *arena, const struct ms_cross *cross,
	const struct ms_index index[MS_FIELDS], uint8_t family)
{
	uint8_t kind = family == MS_FAMILY_V6 ? MS_TABLE_V6_WIDE : MS_TABLE_V4_WIDE;
	struct ms_wide t = {
		.dst_n = index[MS_FIELD_DST].sets.n,
		.dport_n = index[MS_FIELD_DPORT].sets.n,
		.proto_n = index[MS_FIELD_PROTO].sets.n,
		.c2_n = cross->c2.n,
	};
	size_t end = sizeof(t);

	wide_index_layout(&t.index, &end, index, family);
	t.t1 = reserve(&end, cross->t1_n * sizeof(uint16_t), 2);
	t.t2 = reserve(&end, cross->t2_n * sizeof(uint16_t), 2);
	t.t3 = reserve(&end, cross->t3_n * sizeof(uint16_t), 2);
	if (!image_get(image, arena, end, kind))
		return false;
	memcpy(image->bytes, &t, sizeof(t));
	wide_index_put(image->bytes, &t.index, index, family);
	memcpy(image->bytes + t.t1, cross->t1, cross->t1_n * sizeof(uint16_t));
	memcpy(image->bytes + t.t2, cross->t2, cross->t2_n * sizeof(uint16_t));
	memcpy(image->bytes + t.t3, cross->t3, cross->t3_n * sizeof(uint16_t));
	return true;
}

/* The rows of the classes of one field, one after the other. */
static void
rows_put(uint8_t *at, const struct ms_sets *sets)
{
	memcpy(at, sets->bits, (size_t)sets->n * sets->words * sizeof(uint64_t));
}

bool
ms_image_bits(struct ms_image *image, struct ms_arena *arena, const struct ms_boxes *boxes,
	const struct ms_index index[MS_FIELDS], const struct ms_bits *head, const uint32_t *actions)
{
	uint8_t kind = boxes->family == MS_FAMILY_V6 ? MS_TABLE_V6_BITS : MS_TABLE_V4_BITS;
	size_t actions_size = boxes->bits * sizeof(*actions);
	struct ms_bits t = *head;
	struct ms_bits_segment *segments;
	size_t end = sizeof(t);

	wide_index_layout(&t.index, &end, index, boxes->family);
	for (unsigned int i = 0; i < MS_FIELDS; i++)
		t.rows[i] = reserve(&end, (size_t)index[i].sets.n * boxes->words * sizeof(uint64_t),
			MS_TABLE_ALIGN);
	t.segments = reserve(&end, boxes->segments_n * sizeof(*segments), 8);
	t.actions = reserve(&end, actions_size, 4);
	if (!image_get(image, arena, end, kind))
		return false;
	memcpy(image->bytes, &t, sizeof(t));
	wide_index_put(image->bytes, &t.index, index, boxes->family);
	for (unsigned int i = 0; i < MS_FIELDS; i++)
		rows_put(image->bytes + t.rows[i], &index[i].sets);
	segments = (struct ms_bits_segment *)(image->bytes + t.segments);
	for (uint32_t i = 0; i < boxes->segments_n; i++)
		segments[i] = (struct ms_bits_segment){
			.mask = boxes->segments[i].mask,
			.word = boxes->segments[i].word,
			.words = boxes->segments[i].words,
			.outputs = boxes->segments[i].outputs,
		};
	memcpy(image->bytes + t.actions, actions, actions_size);
	return true;
}
