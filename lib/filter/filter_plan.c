/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a policy to what there is to compile: the filters that are asked, each once, and for a
 * direction and family the boxes: the rules that can match there, in the order of trying.
 */
#include "filter/filter_internal.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const struct ms_prefix well_known_resolvers[] = {
	{.family = MS_FAMILY_V4, .length = 32, .ip = {.lo = 0xa9fea9fd}}, /* 169.254.169.253 */
	{.family = MS_FAMILY_V6,                                          /* fd00:ec2::253 */
		.length = 128,
		.ip = {.hi = 0xfd000ec200000000, .lo = 0x253}},
};
#define WELL_KNOWN_N (sizeof(well_known_resolvers) / sizeof(well_known_resolvers[0]))

/* By family, address, and the wider prefix first: so one that holds another comes before it. */
static int
prefix_compare(const void *a, const void *b)
{
	const struct ms_prefix *p = a, *q = b;

	if (p->family != q->family)
		return p->family < q->family ? -1 : 1;
	if (p->ip.hi != q->ip.hi)
		return p->ip.hi < q->ip.hi ? -1 : 1;
	if (p->ip.lo != q->ip.lo)
		return p->ip.lo < q->ip.lo ? -1 : 1;
	return (p->length > q->length) - (p->length < q->length);
}

static ms_u128
address(struct ms_ip ip)
{
	return (ms_u128)ip.hi << 64 | ip.lo;
}

bool
ms_prefix_inside(const struct ms_prefix *inner, const struct ms_prefix *outer)
{
	unsigned int host = (outer->family == MS_FAMILY_V4 ? 32 : 128) - outer->length;

	if (inner->family != outer->family || inner->length < outer->length)
		return false;
	return host == 128 || (address(inner->ip) ^ address(outer->ip)) >> host == 0;
}

/* Sorted and without those that lie in another, so that no two overlap. */
static bool
plan_resolvers(struct ms_plan *plan, struct ms_arena *arena, const struct ms_filter_policy *policy)
{
	uint32_t n = WELL_KNOWN_N + policy->resolvers_n, kept = 0;
	struct ms_prefix *all = ms_arena_get(arena, n, sizeof(*all));

	if (all == NULL)
		return false;
	memcpy(all, well_known_resolvers, sizeof(well_known_resolvers));
	if (policy->resolvers_n != 0)
		memcpy(all + WELL_KNOWN_N, policy->resolvers,
			policy->resolvers_n * sizeof(*policy->resolvers));
	qsort(all, n, sizeof(*all), prefix_compare);
	for (uint32_t i = 0; i < n; i++)
		if (kept == 0 || !ms_prefix_inside(&all[i], &all[kept - 1]))
			all[kept++] = all[i];
	plan->resolvers = all;
	plan->resolvers_n = kept;
	return true;
}

static void
plan_route(struct ms_plan *plan, const struct ms_filter_route *route)
{
	if (route->outputs == 0)
		return;
	if (route->filter == NULL || (plan->session && route->filter == plan->filters[0])) {
		plan->always |= route->outputs;
		return;
	}
	for (uint32_t i = plan->session; i < plan->filters_n; i++)
		if (plan->filters[i] == route->filter) {
			plan->outputs[i] |= route->outputs;
			return;
		}
	plan->filters[plan->filters_n] = route->filter;
	plan->outputs[plan->filters_n++] = route->outputs;
}

bool
ms_plan_make(struct ms_plan *plan, struct ms_arena *arena, const struct ms_filter_policy *policy)
{
	size_t n = (size_t)policy->routes_n + 1;

	*plan = (struct ms_plan){
		.filters = ms_arena_get(arena, n, sizeof(const struct ms_filter *)),
		.outputs = ms_arena_zero(arena, n, sizeof(*plan->outputs)),
		.session = policy->session != NULL,
	};
	if (plan->filters == NULL || plan->outputs == NULL)
		return false;
	if (plan->session)
		plan->filters[plan->filters_n++] = policy->session;
	for (uint32_t i = 0; i < policy->routes_n; i++)
		plan_route(plan, &policy->routes[i]);
	for (uint32_t i = 0; i < plan->filters_n; i++)
		if (plan->filters[i]->amazon_dns)
			return plan_resolvers(plan, arena, policy);
	return true;
}

uint8_t
ms_rule_defect(const struct ms_rule *rule)
{
	if (rule->src.family != MS_FAMILY_NONE && rule->dst.family != MS_FAMILY_NONE &&
		rule->src.family != rule->dst.family)
		return MS_RULE_MIXED_FAMILIES;
	if ((rule->sport.present || rule->dport.present) && rule->protocol != MS_PROTO_ANY &&
		rule->protocol != IPPROTO_TCP && rule->protocol != IPPROTO_UDP)
		return MS_RULE_PORTS_NO_PROTO;
	return 0;
}

/* Can it match a frame of this family? Frames that are not IP have no fields. */
static bool
rule_applies(const struct ms_rule *rule, uint8_t direction, uint8_t family)
{
	if (rule->direction != direction || ms_rule_defect(rule) != 0)
		return false;
	if (family == MS_FAMILY_NONE)
		return rule->src.family == MS_FAMILY_NONE && rule->dst.family == MS_FAMILY_NONE &&
		       rule->protocol == MS_PROTO_ANY && !rule->sport.present &&
		       !rule->dport.present;
	return (rule->src.family == MS_FAMILY_NONE || rule->src.family == family) &&
	       (rule->dst.family == MS_FAMILY_NONE || rule->dst.family == family);
}

/* Does it match every frame of a family that it applies to? */
static bool
rule_takes_all(const struct ms_rule *rule)
{
	return rule->src.length == 0 && rule->dst.length == 0 && rule->protocol == MS_PROTO_ANY &&
	       !rule->sport.present && !rule->dport.present;
}

/* Writes the boxes of a filter to out, or only counts them if out is NULL. */
static uint32_t
filter_boxes(const struct ms_filter *filter, uint8_t direction, uint8_t family, struct ms_box *out)
{
	uint32_t n = 0;

	if (filter->amazon_dns && family != MS_FAMILY_NONE) {
		if (out != NULL) {
			out[0] = (struct ms_box){
				.index = MS_RULE_NONE, .kind = MS_BOX_DNS_TO, .accept = true};
			out[1] = (struct ms_box){
				.index = MS_RULE_NONE, .kind = MS_BOX_DNS_FROM, .accept = true};
		}
		n = 2;
	}
	for (uint32_t i = 0; i < filter->rules_n; i++) {
		const struct ms_rule *rule = &filter->rules[i];

		if (!rule_applies(rule, direction, family))
			continue;
		if (out != NULL)
			out[n] = (struct ms_box){.rule = rule,
				.index = i,
				.kind = MS_BOX_RULE,
				.accept = rule->accept};
		n++;
		if (rule_takes_all(rule)) /* whatever comes behind it is never tried */
			break;
	}
	return n;
}

/* Gives a segment its n bits, from bit `at` on. */
static void
segment_place(struct ms_segment *segment, uint32_t at, uint32_t n, bool shared)
{
	segment->bit = at;
	segment->n = n;
	segment->word = at / 64;
	segment->words = (n + 63) / 64;
	segment->mask = UINT64_MAX;
	if (shared)
		segment->mask = n == 0 ? 0 : UINT64_MAX >> (64 - n) << at;
}

bool
ms_boxes_make(struct ms_boxes *boxes, struct ms_arena *arena, const struct ms_plan *plan,
	uint8_t direction, uint8_t family)
{
	uint32_t *counts = ms_arena_get(arena, plan->filters_n, sizeof(*counts));
	uint32_t at = 0;
	bool shared;

	*boxes = (struct ms_boxes){
		.plan = plan,
		.segments = ms_arena_get(arena, plan->filters_n, sizeof(*boxes->segments)),
		.segments_n = plan->filters_n,
		.family = family,
	};
	if (counts == NULL || boxes->segments == NULL)
		return false;
	for (uint32_t i = 0; i < plan->filters_n; i++) {
		counts[i] = filter_boxes(plan->filters[i], direction, family, NULL);
		boxes->n += counts[i];
		boxes->words += (counts[i] + 63) / 64;
	}
	shared = boxes->n <= 64;
	if (shared)
		boxes->words = 1;
	boxes->bits = shared ? boxes->n : boxes->words * 64;
	boxes->box = ms_arena_zero(arena, boxes->bits, sizeof(*boxes->box));
	boxes->accept = ms_arena_zero(arena, boxes->words, sizeof(*boxes->accept));
	if (boxes->box == NULL || boxes->accept == NULL)
		return false;
	for (uint32_t i = 0; i < plan->filters_n; i++) {
		struct ms_segment *segment = &boxes->segments[i];

		segment->filter = plan->filters[i];
		segment->outputs = plan->outputs[i];
		segment_place(segment, at, counts[i], shared);
		filter_boxes(segment->filter, direction, family, &boxes->box[at]);
		for (uint32_t j = at; j < at + counts[i]; j++)
			if (boxes->box[j].accept)
				ms_set_bit(boxes->accept, j);
		at += shared ? counts[i] : segment->words * 64;
	}
	return true;
}
