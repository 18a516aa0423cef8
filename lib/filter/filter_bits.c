/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bit-set layout: the classes' sets as they are. It grows with classes times rules and never
 * explodes, and a lookup costs a word in five rows for every 64 rules that stand before the one
 * that decides.
 *
 * What several filters say together is not enumerated here: a lookup meets one leaf in each filter
 * that it asks, and unites their outputs itself. So a leaf stands for one rule of one filter (or
 * for none of them), and its verdict is not used.
 */
#include "filter/filter_internal.h"

bool
ms_bits_make(struct ms_image *image, struct ms_leaf_set *leaves, const struct ms_boxes *boxes,
	const struct ms_index index[MS_FIELDS])
{
	const struct ms_plan *plan = boxes->plan;
	const struct ms_verdict none = {.fate = MS_FATE_NONE};
	uint32_t *actions = ms_arena_zero(leaves->arena, boxes->bits, sizeof(*actions));
	bool routes = boxes->segments_n > plan->session;
	struct ms_bits head = {
		.words = boxes->words,
		.segments_n = boxes->segments_n,
		.session = plan->session,
		.always = plan->always,
		.fate = routes ? MS_FATE_FILTER_DEFAULT : MS_FATE_NO_ROUTE,
		.no_rule = ms_leaf_intern(leaves, none, NULL, 0),
	};

	if (actions == NULL || head.no_rule == UINT32_MAX)
		return false;
	for (uint32_t i = 0; i < boxes->segments_n; i++) {
		const struct ms_segment *segment = &boxes->segments[i];

		for (uint32_t bit = segment->bit; bit < segment->bit + segment->n; bit++) {
			const struct ms_box *box = &boxes->box[bit];
			struct ms_leaf_hit hit = {.filter = segment->filter, .rule = box->index};
			uint32_t leaf;

			leaf = ms_leaf_intern(leaves, none, &hit, 1);
			if (leaf == UINT32_MAX)
				return false;
			actions[bit] = leaf << 1 | box->accept;
		}
	}
	return ms_image_bits(image, leaves->arena, boxes, index, &head, actions);
}
