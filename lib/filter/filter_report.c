/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds the rules of a filter that can never decide about a frame, with the compiler's own boxes
 * and classes. A frame's shape is the set of fields that it has: a frame can be cut anywhere, but
 * not everywhere at once (where there are ports there is TCP or UDP, and both addresses). For each
 * shape that can be, all combinations of classes are tried and the first box of each is noted.
 *
 * Nearly all rules can decide, and a frame that shows it is found at a corner of what they match:
 * the matcher is asked about these first. Where that settles all rules of a direction the search
 * is spared, which takes a filter of 5 + 5 rules from 155 us to 1.
 */
#include "filter/filter_internal.h"

#include <errno.h>
#include <stdalign.h>
#include <netinet/in.h>
#include <stdlib.h>

/* Beyond so many steps for one direction and family, rules are compared in pairs instead. */
#define WORK_MAX (UINT64_C(1) << 24)
#define SETS_MAX (1u << 16)
/* And beyond so many rules not even that. */
#define PAIRS_MAX (1u << 15)
/* Corners are asked about in filters of at most so many rules. */
#define CORNERS_MAX 256

struct search {
	struct ms_arena *arena;
	const struct ms_boxes *boxes;
	struct ms_index index[MS_FIELDS];
	struct ms_sets fields[MS_FIELDS]; /* sets of the fields in the shape under work */
	struct ms_sets addresses;
	struct ms_sets ports;
	struct ms_sets rest; /* ports and protocol */
	uint64_t *set;       /* one to work with */
	uint64_t work;       /* words intersected so far */
	bool *reached;       /* for each rule of the filter */
};

/* What of a frame can be there without the rest, in the order of the headers. */
static const uint8_t shapes[] = {
	0,
	MS_HAS_PROTO,
	MS_HAS_SRC,
	MS_HAS_PROTO | MS_HAS_SRC,
	MS_HAS_SRC | MS_HAS_DST,
	MS_HAS_PROTO | MS_HAS_SRC | MS_HAS_DST,
	MS_HAS_PROTO | MS_HAS_SRC | MS_HAS_DST | MS_HAS_SPORT,
	MS_HAS_PROTO | MS_HAS_SRC | MS_HAS_DST | MS_HAS_SPORT | MS_HAS_DPORT,
};
static const uint8_t field_bits[MS_FIELDS] = {
	MS_HAS_SRC, MS_HAS_DST, MS_HAS_SPORT, MS_HAS_DPORT, MS_HAS_PROTO};

static uint32_t
class_of(const struct ms_index *index, uint32_t value)
{
	uint32_t i = 0;

	while (i < index->ends_n && index->ends[i] < value)
		i++;
	return index->classes[1 + i];
}

static bool
field_add(struct search *s, enum ms_field field, uint32_t class)
{
	return ms_sets_intern(&s->fields[field], ms_sets_at(&s->index[field].sets, class),
		       s->boxes->words) != MS_SETS_FULL;
}

/* The sets that a field can have in a frame of this shape. */
static bool
field_sets(struct search *s, enum ms_field field, uint8_t shape)
{
	const struct ms_index *index = &s->index[field];

	if (!ms_sets_init(&s->fields[field], s->arena, s->boxes->words, SETS_MAX))
		return false;
	if ((shape & field_bits[field]) == 0)
		return field_add(s, field, index->classes[0]);
	if (field == MS_FIELD_PROTO && (shape & MS_HAS_SPORT) != 0)
		return field_add(s, field, class_of(index, IPPROTO_TCP)) &&
		       field_add(s, field, class_of(index, IPPROTO_UDP));
	for (uint32_t i = 0; i <= index->ends_n; i++)
		if (!field_add(s, field, index->classes[1 + i]))
			return false;
	return true;
}

/* Books the work of a product. Returns false with -EFBIG if it is too much. */
static bool
afford(struct search *s, const struct ms_sets *a, const struct ms_sets *b)
{
	s->work += (uint64_t)a->n * b->n * s->boxes->words;
	if (s->work <= WORK_MAX)
		return true;
	s->arena->error = -EFBIG;
	return false;
}

static void
intersect(struct search *s, const uint64_t *a, const uint64_t *b)
{
	for (uint32_t i = 0; i < s->boxes->words; i++)
		s->set[i] = a[i] & b[i];
}

/* The distinct intersections of the sets of a and b. */
static bool
product(struct search *s, struct ms_sets *to, const struct ms_sets *a, const struct ms_sets *b)
{
	if (!afford(s, a, b) || !ms_sets_init(to, s->arena, s->boxes->words, SETS_MAX))
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		for (uint32_t j = 0; j < b->n; j++) {
			intersect(s, ms_sets_at(a, i), ms_sets_at(b, j));
			if (ms_sets_intern(to, s->set, s->boxes->words) == MS_SETS_FULL)
				return false;
		}
	return true;
}

static void
reach(struct search *s, uint32_t bit)
{
	const struct ms_box *box = &s->boxes->box[bit];

	if (box->kind == MS_BOX_RULE)
		s->reached[box->index] = true;
}

static bool
search_shape(struct search *s, uint8_t shape)
{
	for (unsigned int i = 0; i < MS_FIELDS; i++)
		if (!field_sets(s, i, shape))
			return false;
	if (!product(s, &s->addresses, &s->fields[MS_FIELD_SRC], &s->fields[MS_FIELD_DST]) ||
		!product(s, &s->ports, &s->fields[MS_FIELD_SPORT], &s->fields[MS_FIELD_DPORT]) ||
		!product(s, &s->rest, &s->ports, &s->fields[MS_FIELD_PROTO]) ||
		!afford(s, &s->addresses, &s->rest))
		return false;
	for (uint32_t i = 0; i < s->addresses.n; i++)
		for (uint32_t j = 0; j < s->rest.n; j++) {
			uint32_t bit;

			intersect(s, ms_sets_at(&s->addresses, i), ms_sets_at(&s->rest, j));
			bit = ms_segment_first(&s->boxes->segments[0], s->set);
			if (bit != UINT32_MAX)
				reach(s, bit);
		}
	return true;
}

/* Notes every rule that decides about any frame of the boxes' family. */
static bool
search_exact(struct search *s)
{
	s->work = 0;
	s->set = ms_arena_get(s->arena, s->boxes->words, sizeof(*s->set));
	if (s->set == NULL)
		return false;
	for (unsigned int i = 0; i < MS_FIELDS; i++)
		if (!ms_index_make(&s->index[i], s->arena, s->boxes, i))
			return false;
	for (unsigned int i = 0; i < sizeof(shapes); i++) {
		/* IPv4 has its protocol before its addresses */
		if (s->boxes->family == MS_FAMILY_V4 &&
			(shapes[i] & (MS_HAS_PROTO | MS_HAS_SRC)) == MS_HAS_SRC)
			continue;
		/* what is not IP has nothing */
		if (s->boxes->family == MS_FAMILY_NONE && shapes[i] != 0)
			continue;
		if (!search_shape(s, shapes[i]))
			return false;
	}
	return true;
}

static bool
prefix_covers(const struct ms_prefix *outer, const struct ms_prefix *inner)
{
	if (outer->family == MS_FAMILY_NONE || outer->length == 0)
		return true;
	return inner->family != MS_FAMILY_NONE && ms_prefix_inside(inner, outer);
}

static bool
range_covers(const struct ms_port_range *outer, const struct ms_port_range *inner)
{
	if (!outer->present)
		return true;
	return inner->present && outer->from <= inner->from && inner->to <= outer->to;
}

/* Does a match all that b does, of the frames of a family that both apply to? */
static bool
rule_covers(const struct ms_rule *a, const struct ms_rule *b)
{
	return prefix_covers(&a->src, &b->src) && prefix_covers(&a->dst, &b->dst) &&
	       range_covers(&a->sport, &b->sport) && range_covers(&a->dport, &b->dport) &&
	       (a->protocol == MS_PROTO_ANY || a->protocol == b->protocol);
}

/* Notes every rule that no single earlier one covers. */
static void
search_pairs(struct search *s)
{
	const struct ms_box *box = s->boxes->box;
	bool compare = s->boxes->n <= PAIRS_MAX;

	for (uint32_t i = 0; i < s->boxes->n; i++) {
		bool covered = false;

		for (uint32_t j = 0; compare && j < i && !covered; j++)
			covered = box[i].kind == MS_BOX_RULE && box[j].kind == MS_BOX_RULE &&
			          rule_covers(box[j].rule, box[i].rule);
		if (!covered)
			reach(s, i);
	}
}

static void
note_hit(void *reached, const struct ms_filter *filter, uint32_t rule)
{
	if (rule != MS_RULE_NONE)
		((bool *)reached)[rule] = true;
}

/* The first or last address of a block; of no block, of this family's addresses. */
static struct ms_ip
corner_address(const struct ms_prefix *prefix, uint8_t family, bool last)
{
	unsigned int length = prefix->family == MS_FAMILY_NONE ? 0 : prefix->length;
	unsigned int host = (family == MS_FAMILY_V4 ? 32 : 128) - length;
	struct ms_ip ip = prefix->ip;

	if (!last)
		return ip;
	if (host == 128)
		ip.hi = UINT64_MAX;
	else if (host > 64)
		ip.hi |= (UINT64_C(1) << (host - 64)) - 1;
	ip.lo |= host >= 64 ? UINT64_MAX : (UINT64_C(1) << host) - 1;
	return ip;
}

static uint16_t
corner_port(const struct ms_port_range *range, bool last)
{
	if (!range->present)
		return last ? UINT16_MAX : 0;
	return last ? range->to : range->from;
}

/* A whole frame at the lowest or highest corner of what a rule without a defect matches. */
static struct ms_key
corner(const struct ms_rule *rule, bool last)
{
	struct ms_key key = {
		.family = rule->src.family, .has = MS_HAS_PROTO | MS_HAS_SRC | MS_HAS_DST};

	if (key.family == MS_FAMILY_NONE)
		key.family = rule->dst.family != MS_FAMILY_NONE ? rule->dst.family : MS_FAMILY_V4;
	key.src = corner_address(&rule->src, key.family, last);
	key.dst = corner_address(&rule->dst, key.family, last);
	if (rule->protocol != MS_PROTO_ANY)
		key.proto = (uint8_t)rule->protocol;
	else if (rule->sport.present || rule->dport.present)
		key.proto = last ? IPPROTO_UDP : IPPROTO_TCP;
	else
		key.proto = last ? UINT8_MAX : IPPROTO_TCP;
	if (key.proto == IPPROTO_TCP || key.proto == IPPROTO_UDP) {
		key.has |= MS_HAS_SPORT | MS_HAS_DPORT;
		key.sport = corner_port(&rule->sport, last);
		key.dport = corner_port(&rule->dport, last);
	}
	return key;
}

/* Asks about corners of all rules. Does that settle all rules of this direction? */
static bool
search_corners(const struct ms_filter *filter, bool *reached, uint8_t direction)
{
	struct ms_filter_policy policy = {.session = filter};
	bool settled = true;

	for (uint32_t i = 0; i < filter->rules_n; i++) {
		const struct ms_rule *rule = &filter->rules[i];

		if (rule->direction != direction || ms_rule_defect(rule) != 0)
			continue;
		for (unsigned int last = 0; last < 2 && !reached[i]; last++) {
			struct ms_key key = corner(rule, last != 0);

			ms_filter_ref(&policy, &key, direction, note_hit, reached);
		}
		settled &= reached[i];
	}
	return settled;
}

/* Notes the rules that can decide in one table of the filter. Returns 0 or -errno. */
static int
search_family(const struct ms_filter *filter, bool *reached, uint8_t direction, uint8_t family)
{
	struct ms_filter_policy policy = {.session = filter};
	alignas(MS_ARENA_ALIGN) uint8_t first[MS_ARENA_FIRST];
	struct ms_arena arena;
	struct search s = {.arena = &arena, .reached = reached};
	struct ms_boxes boxes;
	struct ms_plan plan;
	int ret;

	ms_arena_begin(&arena, first, sizeof(first));
	s.boxes = &boxes;
	if (ms_plan_make(&plan, &arena, &policy) &&
		ms_boxes_make(&boxes, &arena, &plan, direction, family) && !search_exact(&s) &&
		arena.error == -EFBIG) {
		arena.error = 0;
		search_pairs(&s);
	}
	ret = arena.error;
	ms_arena_free(&arena);
	return ret;
}

int
ms_filter_report(const struct ms_filter *filter, struct ms_rule_report *out, uint32_t room)
{
	static const uint8_t families[] = {MS_FAMILY_NONE, MS_FAMILY_V4, MS_FAMILY_V6};
	bool *reached = calloc((size_t)filter->rules_n + 1, sizeof(*reached));
	uint32_t n = 0;

	if (reached == NULL)
		return -ENOMEM;
	for (unsigned int d = MS_DIRECTION_INGRESS; d <= MS_DIRECTION_EGRESS; d++) {
		/* a walk over all rules for each of them: for large filters the search is cheaper
		 */
		if (filter->rules_n <= CORNERS_MAX && search_corners(filter, reached, (uint8_t)d))
			continue;
		for (unsigned int i = 0; i < sizeof(families); i++)
			if (search_family(filter, reached, (uint8_t)d, families[i]) < 0) {
				free(reached);
				return -ENOMEM;
			}
	}
	for (uint32_t i = 0; i < filter->rules_n; i++) {
		uint8_t defect = ms_rule_defect(&filter->rules[i]);

		if (defect == 0 && !reached[i])
			defect = MS_RULE_SHADOWED;
		if (defect == 0)
			continue;
		if (n < room)
			out[n] = (struct ms_rule_report){.rule = i, .defect = defect};
		n++;
	}
	free(reached);
	return (int)n;
}
