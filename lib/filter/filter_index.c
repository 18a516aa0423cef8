/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The index over one field: sweeps over the edges of all boxes in the order of their values, and
 * so cuts the field into intervals in which the set of boxes stays the same. Intervals with the
 * same set get the same class. The sets here are in boxes' bits, the values in 128 bits whatever
 * the field.
 */
#include "filter/filter_internal.h"

#include <netinet/in.h>
#include <stdlib.h>

#define DNS_PORT     53
#define SORT_BY_HAND 64 /* up to so many edges insertion beats a call of qsort */

/* From this value on the box is in the set if it was not, and out if it was. */
struct edge {
	ms_u128 at;
	uint32_t bit;
};

struct sweep {
	const struct ms_boxes *boxes;
	enum ms_field field;
	ms_u128 max; /* greatest value of the field */
	struct edge *edges;
	uint32_t edges_n;
	uint64_t *missing; /* boxes that do not need the field */
	uint64_t *now;     /* boxes at the sweep's position, at first those at value 0 */
};

static ms_u128
field_max(enum ms_field field, uint8_t family)
{
	switch (field) {
	case MS_FIELD_SRC:
	case MS_FIELD_DST:
		return family == MS_FAMILY_V4 ? (ms_u128)UINT32_MAX : ~(ms_u128)0;
	case MS_FIELD_SPORT:
	case MS_FIELD_DPORT:
		return UINT16_MAX;
	default:
		return UINT8_MAX;
	}
}

/* Adds an interval to a box; those of one box do not overlap. */
static void
sweep_add(struct sweep *sweep, uint32_t bit, ms_u128 first, ms_u128 last)
{
	if (first == 0)
		ms_set_bit(sweep->now, bit);
	else
		sweep->edges[sweep->edges_n++] = (struct edge){.at = first, .bit = bit};
	if (last != sweep->max)
		sweep->edges[sweep->edges_n++] = (struct edge){.at = last + 1, .bit = bit};
}

static void
sweep_prefix(struct sweep *sweep, uint32_t bit, const struct ms_prefix *prefix)
{
	ms_u128 first = (ms_u128)prefix->ip.hi << 64 | prefix->ip.lo;
	unsigned int host = (prefix->family == MS_FAMILY_V4 ? 32 : 128) - prefix->length;

	sweep_add(sweep, bit, first, first | (host == 0 ? 0 : sweep->max >> prefix->length));
}

static void
sweep_any(struct sweep *sweep, uint32_t bit)
{
	ms_set_bit(sweep->missing, bit);
	ms_set_bit(sweep->now, bit);
}

static void
sweep_rule(struct sweep *sweep, uint32_t bit, const struct ms_rule *rule)
{
	const struct ms_prefix *prefix = sweep->field == MS_FIELD_SRC ? &rule->src : &rule->dst;
	const struct ms_port_range *range =
		sweep->field == MS_FIELD_SPORT ? &rule->sport : &rule->dport;

	switch (sweep->field) {
	case MS_FIELD_SRC:
	case MS_FIELD_DST:
		if (prefix->family == MS_FAMILY_NONE || prefix->length == 0)
			sweep_any(sweep, bit);
		else
			sweep_prefix(sweep, bit, prefix);
		break;
	case MS_FIELD_SPORT:
	case MS_FIELD_DPORT:
		if (range->present)
			sweep_add(sweep, bit, range->from, range->to);
		else
			sweep_any(sweep, bit);
		break;
	default:
		if (rule->protocol == MS_PROTO_ANY)
			sweep_any(sweep, bit);
		else
			sweep_add(sweep, bit, (ms_u128)rule->protocol, (ms_u128)rule->protocol);
	}
}

/* One side of amazon-dns: the resolver's address and port, TCP or UDP. */
static void
sweep_dns(struct sweep *sweep, uint32_t bit, enum ms_field ip, enum ms_field port)
{
	const struct ms_plan *plan = sweep->boxes->plan;

	if (sweep->field == ip) {
		for (uint32_t i = 0; i < plan->resolvers_n; i++)
			if (plan->resolvers[i].family == sweep->boxes->family)
				sweep_prefix(sweep, bit, &plan->resolvers[i]);
	} else if (sweep->field == port) {
		sweep_add(sweep, bit, DNS_PORT, DNS_PORT);
	} else if (sweep->field == MS_FIELD_PROTO) {
		sweep_add(sweep, bit, IPPROTO_TCP, IPPROTO_TCP);
		sweep_add(sweep, bit, IPPROTO_UDP, IPPROTO_UDP);
	} else {
		sweep_any(sweep, bit);
	}
}

static void
sweep_boxes(struct sweep *sweep)
{
	const struct ms_boxes *boxes = sweep->boxes;

	for (uint32_t i = 0; i < boxes->bits; i++) {
		switch ((enum ms_box_kind)boxes->box[i].kind) {
		case MS_BOX_NONE:
			break;
		case MS_BOX_RULE:
			sweep_rule(sweep, i, boxes->box[i].rule);
			break;
		case MS_BOX_DNS_TO:
			sweep_dns(sweep, i, MS_FIELD_DST, MS_FIELD_DPORT);
			break;
		case MS_BOX_DNS_FROM:
			sweep_dns(sweep, i, MS_FIELD_SRC, MS_FIELD_SPORT);
			break;
		}
	}
}

static int
edge_compare(const void *a, const void *b)
{
	const struct edge *p = a, *q = b;

	return (p->at > q->at) - (p->at < q->at);
}

static void
edges_sort(struct edge *edges, uint32_t n)
{
	if (n > SORT_BY_HAND) {
		qsort(edges, n, sizeof(*edges), edge_compare);
		return;
	}
	for (uint32_t i = 1; i < n; i++) {
		struct edge edge = edges[i];
		uint32_t j = i;

		for (; j > 0 && edges[j - 1].at > edge.at; j--)
			edges[j] = edges[j - 1];
		edges[j] = edge;
	}
}

/* Runs over the sorted edges; one interval ends before each new value. */
static bool
sweep_run(struct sweep *sweep, struct ms_index *index)
{
	const struct edge *edge = sweep->edges, *end = edge + sweep->edges_n;
	uint32_t words = sweep->boxes->words, class, last;

	index->classes[0] = ms_sets_intern(&index->sets, sweep->missing, words);
	last = ms_sets_intern(&index->sets, sweep->now, words);
	index->classes[1] = last;
	while (edge < end) {
		ms_u128 at = edge->at;

		for (; edge < end && edge->at == at; edge++)
			sweep->now[edge->bit / 64] ^= UINT64_C(1) << (edge->bit % 64);
		class = ms_sets_intern(&index->sets, sweep->now, words);
		if (class == MS_SETS_FULL)
			return false;
		if (class == last)
			continue;
		index->ends[index->ends_n++] = at - 1;
		index->classes[1 + index->ends_n] = class;
		last = class;
	}
	return true;
}

bool
ms_index_make(struct ms_index *index, struct ms_arena *arena, const struct ms_boxes *boxes,
	enum ms_field field)
{
	/* A box has one interval; amazon-dns one for each resolver, or two protocols. */
	size_t dns = boxes->plan->resolvers_n < 2 ? 2 : boxes->plan->resolvers_n;
	size_t edges = 2 * ((size_t)boxes->n + 2 * boxes->segments_n * dns);
	struct sweep sweep = {
		.boxes = boxes,
		.field = field,
		.max = field_max(field, boxes->family),
		.edges = ms_arena_get(arena, edges, sizeof(struct edge)),
		.missing = ms_arena_zero(arena, boxes->words, sizeof(uint64_t)),
		.now = ms_arena_zero(arena, boxes->words, sizeof(uint64_t)),
	};

	*index = (struct ms_index){0};
	/* classes are 16 bits wide in every layout */
	if (sweep.edges == NULL || sweep.missing == NULL || sweep.now == NULL ||
		!ms_sets_init(&index->sets, arena, boxes->words, UINT16_MAX))
		return false;
	sweep_boxes(&sweep);
	edges_sort(sweep.edges, sweep.edges_n);
	index->ends = ms_arena_get(arena, sweep.edges_n, sizeof(*index->ends));
	index->classes = ms_arena_get(arena, (size_t)sweep.edges_n + 2, sizeof(*index->classes));
	return index->ends != NULL && index->classes != NULL && sweep_run(&sweep, index);
}
