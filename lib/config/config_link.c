/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Holds objects against each other, whatever files they stand in: names are unique, every rule
 * finds its filter, no two sessions claim the same packets. Names are found by hashing; the other
 * questions are answered by sorting pointers and looking at neighbours. So large accounts load
 * fast.
 */
#include "config/config_internal.h"

#include <stdlib.h>
#include <string.h>

typedef int order_fn(const void *a, const void *b);

struct order {
	order_fn *compare;
};

/* Objects lie in their arrays in the order of reading, so their addresses settle what is equal. */
static int
compare_pointers(const void *a, const void *b, void *arg)
{
	const struct order *order = arg;
	const char *x = *(const char *const *)a;
	const char *y = *(const char *const *)b;
	int c = order->compare(x, y);

	return c != 0 ? c : (x > y) - (x < y);
}

/* Pointers to the n objects of an array, sorted. NULL after telling; free() it. */
static void *
sorted(struct config_reader *r, const void *array, uint32_t n, size_t size, order_fn *compare)
{
	struct order order = {.compare = compare};
	const char **pointers = malloc((n + 1) * sizeof(*pointers));

	if (pointers == NULL) {
		config_no_memory(r);
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++)
		pointers[i] = (const char *)array + i * size;
	qsort_r(pointers, n, sizeof(*pointers), compare_pointers, &order);
	return pointers;
}

#define SORTED(r, array, n, compare) sorted(r, array, n, sizeof(*(array)), compare)

static int
compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* Names */

static const char *const name_keys[CONFIG_KINDS] = {
	[CONFIG_FILTER] = "TrafficMirrorFilterId",
	[CONFIG_INTERFACE] = "NetworkInterfaceId",
	[CONFIG_TARGET] = "TrafficMirrorTargetId",
	[CONFIG_VPC] = "VpcId",
	[CONFIG_SESSION] = "TrafficMirrorSessionId",
	[CONFIG_OUTPUT] = "Name",
};

bool
config_name(struct config_reader *r, const struct config_at *at, enum config_kind kind, char **out)
{
	struct config_ids *ids = &r->ids[kind];
	struct config_id *id;

	if (!config_require(r, at, name_keys[kind], "everything needs a name") ||
		!config_string(r, at, name_keys[kind], out))
		return false;
	id = config_append(r, ids->all, ids->n);
	if (id == NULL)
		return false;
	*id = (struct config_id){.id = *out, .at = config_keep_at(r, at)};
	return true;
}

static const char *
id_of(const struct config_index *index, uint32_t number)
{
	const char *id;

	memcpy(&id, index->array + number * index->size, sizeof(id));
	return id;
}

/* An index for n elements, empty; the one before ends. */
static bool
start_index(struct config_reader *r, struct config_index *index, const void *array, uint32_t n,
	size_t size)
{
	uint32_t slots = 16;

	while (slots / 2 < n)
		slots *= 2;
	free(index->slots);
	*index = (struct config_index){.array = array,
		.size = size,
		.slots = calloc(slots, sizeof(*index->slots)),
		.mask = slots - 1};
	return index->slots != NULL || config_no_memory(r);
}

/* FNV-1a */
uint32_t
config_hash(const char *id)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *id != '\0'; id++)
		h = (h ^ (unsigned char)*id) * UINT64_C(0x100000001b3);
	return (uint32_t)(h ^ h >> 32);
}

/* The place of an id; free if no element has it. */
static struct config_slot *
find_slot(const struct config_index *index, const char *id, uint32_t hash)
{
	uint32_t i = hash & index->mask;

	while (index->slots[i].number1 != 0 &&
		(index->slots[i].hash != hash ||
			strcmp(id_of(index, index->slots[i].number1 - 1), id) != 0))
		i = (i + 1) & index->mask;
	return &index->slots[i];
}

/* Enters an element in the place of one before with the same id: that one's number + 1, or 0. */
static uint32_t
enter(const struct config_index *index, uint32_t number, uint32_t hash)
{
	struct config_slot *slot = find_slot(index, id_of(index, number), hash);
	uint32_t before1 = slot->number1;

	*slot = (struct config_slot){.hash = hash, .number1 = number + 1};
	return before1;
}

/* Two elements of one id that must not be. Of several, the first by id is told, then by number. */
struct conflict {
	const char *id; /* NULL: there is none */
	uint32_t first;
	uint32_t second;
};

static void
note_conflict(struct conflict *conflict, const char *id, uint32_t first, uint32_t second)
{
	if (conflict->id == NULL || strcmp(id, conflict->id) < 0)
		*conflict = (struct conflict){id, first, second};
}

int32_t
config_find(const struct config_reader *r, enum config_kind kind, const char *id)
{
	const struct config_ids *ids = &r->ids[kind];

	if (id == NULL || ids->n == 0)
		return -1;
	return (int32_t)find_slot(&ids->index, id, config_hash(id))->number1 - 1;
}

static bool
index_names(struct config_reader *r, enum config_kind kind)
{
	struct config_ids *ids = &r->ids[kind];
	struct conflict conflict = {.id = NULL};
	struct config_at child;

	if (!start_index(r, &ids->index, ids->all, ids->n, sizeof(*ids->all)))
		return false;
	for (uint32_t i = 0; i < ids->n; i++) {
		uint32_t before1 = enter(&ids->index, i, config_hash(ids->all[i].id));

		if (before1 != 0)
			note_conflict(&conflict, ids->all[i].id, before1 - 1, i);
	}
	if (conflict.id == NULL)
		return true;
	child = config_child(ids->all[conflict.second].at, name_keys[kind]);
	return config_fail(r, &child, "defined at %s already; remove one of the two",
		config_where(r, ids->all[conflict.first].at).text);
}

/* Rules */

static int
compare_filter_ids(const void *a, const void *b)
{
	const struct config_rule *x = a;
	const struct config_rule *y = b;

	return strcmp(x->filter_id, y->filter_id);
}

/* The order in which the rules of a filter are tried. */
static int
compare_rules(const void *a, const void *b)
{
	const struct config_rule *x = a;
	const struct config_rule *y = b;

	if (x->rule.direction != y->rule.direction)
		return x->rule.direction < y->rule.direction ? -1 : 1;
	return compare_numbers(x->rule.number, y->rule.number);
}

static bool
same_prefix(const struct ms_prefix *a, const struct ms_prefix *b)
{
	return a->family == b->family && a->length == b->length && ms_ip_equal(a->ip, b->ip);
}

static bool
same_range(const struct ms_port_range *a, const struct ms_port_range *b)
{
	return a->present == b->present && a->from == b->from && a->to == b->to;
}

static bool
same_rule(const struct config_rule *a, const struct config_rule *b)
{
	const struct ms_rule *x = &a->rule;
	const struct ms_rule *y = &b->rule;

	return a->filter == b->filter && x->number == y->number && x->direction == y->direction &&
	       x->accept == y->accept && x->protocol == y->protocol &&
	       same_prefix(&x->src, &y->src) && same_prefix(&x->dst, &y->dst) &&
	       same_range(&x->sport, &y->sport) && same_range(&x->dport, &y->dport);
}

/* A filter of which only rules were loaded. */
static bool
create_filter(struct config_reader *r, const struct config_rule *rule)
{
	struct ms_filter *filter = config_append(r, r->config->filters, r->config->filters_n);
	struct config_ids *ids = &r->ids[CONFIG_FILTER];
	struct config_id *id;

	if (filter == NULL)
		return false;
	filter->name = strdup(rule->filter_id);
	if (filter->name == NULL)
		return config_no_memory(r);
	id = config_append(r, ids->all, ids->n);
	if (id == NULL)
		return false;
	*id = (struct config_id){.id = filter->name, .at = rule->at};
	return true;
}

/* Of rules by themselves. Returns how many there are whose filter was not loaded. */
static uint32_t
look_up_filters(struct config_reader *r)
{
	uint32_t missing = 0;

	for (uint32_t i = 0; i < r->rules_n; i++) {
		struct config_rule *rule = &r->rules[i];

		if (rule->filter < 0)
			rule->filter = config_find(r, CONFIG_FILTER, rule->filter_id);
		missing += rule->filter < 0;
	}
	return missing;
}

/* Creates the filters of which only rules were loaded, in the order of their names. */
static bool
find_filters(struct config_reader *r)
{
	struct config_rule **rules;
	bool ok = true;

	if (look_up_filters(r) == 0)
		return true;
	rules = SORTED(r, r->rules, r->rules_n, compare_filter_ids);
	if (rules == NULL)
		return false;
	for (uint32_t i = 0; ok && i < r->rules_n; i++) {
		if (rules[i]->filter < 0 &&
			(i == 0 || compare_filter_ids(rules[i - 1], rules[i]) != 0))
			ok = create_filter(r, rules[i]);
	}
	free(rules);
	if (!ok || !index_names(r, CONFIG_FILTER))
		return false;
	look_up_filters(r);
	return true;
}

/* AWS prints a rule with its filter and by itself: the same rule twice is one rule. */
static bool
merge_rules(struct config_reader *r)
{
	struct conflict conflict = {.id = NULL};
	struct config_index index = {.slots = NULL};
	struct config_at child;

	if (!start_index(r, &index, r->rules, r->rules_n, sizeof(*r->rules)))
		return false;
	for (uint32_t i = 0; i < r->rules_n; i++) {
		struct config_rule *rule = &r->rules[i];
		uint32_t before1 = rule->id != NULL ? enter(&index, i, rule->hash) : 0;

		rule->repeated = before1 != 0;
		if (rule->repeated && !same_rule(&r->rules[before1 - 1], rule))
			note_conflict(&conflict, rule->id, before1 - 1, i);
	}
	free(index.slots);
	if (conflict.id == NULL)
		return true;
	child = config_child(r->rules[conflict.second].at, "TrafficMirrorFilterRuleId");
	return config_fail(r, &child, "another rule than at %s; keep the one that holds",
		config_where(r, r->rules[conflict.first].at).text);
}

/* By number, in the order of reading if they are equal. */
static int
compare_numbered(const void *a, const void *b, void *arg)
{
	const struct config_rule *rules = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int c = compare_rules(&rules[x], &rules[y]);

	return c != 0 ? c : compare_numbers(x, y);
}

/* Sorts the rules of one filter, which mostly are in order, and copies them into it. */
static bool
fill_filter(struct config_reader *r, struct ms_filter *filter, uint32_t *numbers, uint32_t n)
{
	const struct config_rule *last, *rule;
	struct config_at child;

	filter->rules = calloc(n, sizeof(*filter->rules));
	if (filter->rules == NULL)
		return config_no_memory(r);
	for (uint32_t i = 1; i < n; i++) {
		if (compare_rules(&r->rules[numbers[i - 1]], &r->rules[numbers[i]]) > 0) {
			qsort_r(numbers, n, sizeof(*numbers), compare_numbered, r->rules);
			break;
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		rule = &r->rules[numbers[i]];
		filter->rules[i] = rule->rule;
		last = i == 0 ? NULL : &r->rules[numbers[i - 1]];
		if (last == NULL || compare_rules(last, rule) != 0)
			continue;
		child = config_child(rule->at, "RuleNumber");
		return config_fail(r, &child,
			"taken by the rule at %s; number the rules of a filter's direction apart",
			config_where(r, last->at).text);
	}
	filter->rules_n = n;
	return true;
}

/* Sorts the numbers of the rules by filter, by counting: where those of each end, in ends[]. */
static void
sort_by_filter(const struct config_reader *r, uint32_t *numbers, uint32_t *ends)
{
	for (uint32_t i = 0; i < r->rules_n; i++)
		ends[r->rules[i].filter + 1] += !r->rules[i].repeated;
	for (uint32_t i = 1; i < r->config->filters_n; i++)
		ends[i] += ends[i - 1];
	/* where they begin so far, and where they end when all have come */
	for (uint32_t i = 0; i < r->rules_n; i++) {
		if (!r->rules[i].repeated)
			numbers[ends[r->rules[i].filter]++] = i;
	}
}

static bool
fill_filters(struct config_reader *r)
{
	uint32_t *numbers = calloc((size_t)r->rules_n + 1, sizeof(*numbers));
	uint32_t *ends = calloc((size_t)r->config->filters_n + 1, sizeof(*ends));
	uint32_t first = 0;
	bool ok = true;

	if (numbers == NULL || ends == NULL) {
		ok = config_no_memory(r);
		goto out;
	}
	sort_by_filter(r, numbers, ends);
	for (uint32_t i = 0; ok && i < r->config->filters_n; first = ends[i++])
		ok = first == ends[i] ||
		     fill_filter(r, &r->config->filters[i], &numbers[first], ends[i] - first);
out:
	free(numbers);
	free(ends);
	return ok;
}

static void
find_vpcs(struct config_reader *r)
{
	for (uint32_t i = 0; i < r->config->interfaces_n; i++) {
		struct ms_config_interface *interface = &r->config->interfaces[i];

		interface->vpc = config_find(r, CONFIG_VPC, interface->vpc_id);
	}
}

bool
config_link_definitions(struct config_reader *r)
{
	for (int kind = 0; kind < CONFIG_KINDS; kind++) {
		if (kind != CONFIG_SESSION && !index_names(r, (enum config_kind)kind))
			return false;
	}
	find_vpcs(r);
	return find_filters(r) && merge_rules(r) && fill_filters(r);
}

/* Sessions */

/* Where packets of a session come from. Family NONE: nobody knows, so from anywhere. */
struct source {
	struct ms_prefix address;
	uint32_t vni;
	uint32_t session;
};

struct sources {
	struct source *all;
	uint32_t n;
};

static int
compare_sources(const void *a, const void *b)
{
	const struct source *x = a;
	const struct source *y = b;
	int c = compare_numbers(x->vni, y->vni);

	if (c == 0)
		c = compare_numbers(x->address.family, y->address.family);
	if (c == 0)
		c = compare_numbers(x->address.ip.hi, y->address.ip.hi);
	if (c == 0)
		c = compare_numbers(x->address.ip.lo, y->address.ip.lo);
	return c;
}

static bool
add_source(struct config_reader *r, struct sources *sources, uint32_t session,
	const struct ms_prefix *address)
{
	struct source *source = config_append(r, sources->all, sources->n);

	if (source == NULL)
		return false;
	*source = (struct source){
		.address = *address, .vni = r->config->sessions[session].vni, .session = session};
	return true;
}

/* The interface's primary address and its IPv6 addresses; AWS tunnels over either. */
static bool
add_sources(struct config_reader *r, struct sources *sources, uint32_t session)
{
	static const struct ms_config_interface unknown = {.address.family = MS_FAMILY_NONE};
	int32_t index = r->config->sessions[session].interface;
	const struct ms_config_interface *interface =
		index < 0 ? &unknown : &r->config->interfaces[index];

	if ((interface->address.family != MS_FAMILY_NONE || interface->addresses6_n == 0) &&
		!add_source(r, sources, session, &interface->address))
		return false;
	for (uint32_t i = 0; i < interface->addresses6_n; i++) {
		if (!add_source(r, sources, session, &interface->addresses6[i]))
			return false;
	}
	return true;
}

static bool
fail_same_source(struct config_reader *r, const struct source *first, const struct source *second)
{
	const struct config_id *ids = r->ids[CONFIG_SESSION].all;
	struct config_at child = config_child(ids[second->session].at, "VirtualNetworkId");
	struct config_where where = config_where(r, ids[first->session].at);

	if (second->address.family == MS_FAMILY_NONE)
		return config_fail(r, &child,
			"the session at %s has this VNI too, and the source of neither is known; "
			"load their NetworkInterfaces, or keep one of the two",
			where.text);
	return config_fail(r, &child,
		"the session at %s has this VNI and the source address %s too; keep one of the two",
		where.text, config_print_address(&second->address).text);
}

static bool
check_sources(struct config_reader *r)
{
	struct sources sources = {.all = NULL};
	struct source **sorted_sources = NULL;
	bool ok = true;

	for (uint32_t i = 0; ok && i < r->config->sessions_n; i++)
		ok = add_sources(r, &sources, i);
	if (ok) {
		sorted_sources = SORTED(r, sources.all, sources.n, compare_sources);
		ok = sorted_sources != NULL;
	}
	for (uint32_t i = 1; ok && i < sources.n; i++) {
		if (compare_sources(sorted_sources[i - 1], sorted_sources[i]) == 0 &&
			sorted_sources[i - 1]->session != sorted_sources[i]->session)
			ok = fail_same_source(r, sorted_sources[i - 1], sorted_sources[i]);
	}
	free(sorted_sources);
	free(sources.all);
	return ok;
}

/* Sessions that say both come last, by interface, then number. */
static int
compare_priorities(const void *a, const void *b)
{
	const struct ms_config_session *x = a;
	const struct ms_config_session *y = b;
	bool has_x = x->interface_id != NULL && x->number != 0;
	bool has_y = y->interface_id != NULL && y->number != 0;
	int c;

	if (!has_x || !has_y)
		return has_x - has_y;
	c = strcmp(x->interface_id, y->interface_id);
	return c != 0 ? c : compare_numbers(x->number, y->number);
}

static bool
check_priorities(struct config_reader *r)
{
	const struct config_id *ids = r->ids[CONFIG_SESSION].all;
	const struct ms_config_session *all = r->config->sessions;
	struct ms_config_session **sessions =
		SORTED(r, all, r->config->sessions_n, compare_priorities);
	bool ok = sessions != NULL;
	struct config_at child;

	for (uint32_t i = 1; ok && i < r->config->sessions_n; i++) {
		if (sessions[i]->interface_id == NULL || sessions[i]->number == 0 ||
			compare_priorities(sessions[i - 1], sessions[i]) != 0)
			continue;
		child = config_child(ids[sessions[i] - all].at, "SessionNumber");
		ok = config_fail(r, &child,
			"taken on this interface by the session at %s; give each its own number",
			config_where(r, ids[sessions[i - 1] - all].at).text);
	}
	free(sessions);
	return ok;
}

bool
config_link_sessions(struct config_reader *r)
{
	return index_names(r, CONFIG_SESSION) && check_priorities(r) && check_sources(r);
}
