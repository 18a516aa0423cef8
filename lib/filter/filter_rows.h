/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows: rules of IPv4 field by field, as they are compared with keys. What filter_rows.c,
 * filter_forest.c and filter_sets.c share.
 */
#pragma once

#include "filter/filter_internal.h"

#define MS_BLOCK_ROWS 16
/*
 * Sets are for so many rows. With fewer they are larger than trees over two blocks and no faster;
 * with more, trees touch fewer lines of the cache.
 */
#define MS_SETS_LEAST 33
#define MS_SETS_MOST  511

struct ms_row {
	uint32_t src;
	uint32_t src_mask;
	uint32_t dst;
	uint32_t dst_mask;
	uint16_t sport;
	uint16_t sport_span;
	uint16_t dport;
	uint16_t dport_span;
	uint16_t traits;
	uint16_t traits_mask;
	uint16_t rank;
};

struct ms_rows {
	struct ms_arena *arena;
	struct ms_row *row;
	uint32_t n;
};

/*
 * Each makes an image of a table from more rows than a block has, all of one filter. Returns false
 * with arena->error: -ENOMEM, or -EFBIG if it exceeds the budget of bytes; then no leaf was added.
 */
bool ms_forest_make(struct ms_image *image, struct ms_leaf_set *leaves,
	const struct ms_boxes *boxes, const struct ms_rows *rows, size_t budget);
/* At most MS_SETS_MOST. */
bool ms_sets_make(struct ms_image *image, struct ms_leaf_set *leaves, const struct ms_boxes *boxes,
	const struct ms_rows *rows, size_t budget);

/* Writes rows [0, n) of a list and fills up with rows that match nothing. */
#define MS_ROWS_PUT(to, list, n, size)                                                  \
	do {                                                                            \
		for (uint32_t i_ = 0; i_ < (size); i_++) {                              \
			struct ms_row row_ = {.traits = 0x8000, .traits_mask = 0x8000}; \
                                                                                        \
			if (i_ < (n))                                                   \
				row_ = *(list)[i_];                                     \
			(to)->src[i_] = row_.src;                                       \
			(to)->src_mask[i_] = row_.src_mask;                             \
			(to)->dst[i_] = row_.dst;                                       \
			(to)->dst_mask[i_] = row_.dst_mask;                             \
			(to)->sport[i_] = row_.sport;                                   \
			(to)->sport_span[i_] = row_.sport_span;                         \
			(to)->dport[i_] = row_.dport;                                   \
			(to)->dport_span[i_] = row_.dport_span;                         \
			(to)->traits[i_] = row_.traits;                                 \
			(to)->traits_mask[i_] = row_.traits_mask;                       \
		}                                                                       \
	} while (0)
