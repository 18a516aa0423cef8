/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Puts a ruleset together: policies and session tables into one blob, counters for its leaves
 * beside it. Also adds the counters up again by rule.
 */
#include "ruleset/ruleset_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A ruleset beyond this is refused: it must never take the machine down. */
#define RULESET_LIMIT ((size_t)1 << 30)

uint64_t
ruleset_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Numbers the rules of all filters in one row. */
static int
number_rules(struct ms_ruleset *ruleset, const struct ms_config *config)
{
	ruleset->rules_first = ms_filter_number(config->filters, config->filters_n);
	if (ruleset->rules_first == NULL)
		return -ENOMEM;
	ruleset->rules_n = ruleset->rules_first[config->filters_n];
	ruleset->rules_base = calloc(ruleset->rules_n + 1, sizeof(uint64_t));
	ruleset->services_base = calloc(config->filters_n + 1, sizeof(uint64_t));
	return ruleset->rules_base != NULL && ruleset->services_base != NULL ? 0 : -ENOMEM;
}

/* Counts who names which filter; who asks it is known to policies_get(). */
static void
count_uses(struct ms_filter_use *uses, const struct ms_config *config)
{
	for (uint32_t i = 0; i < config->sessions_n; i++) {
		if (config->sessions[i].filter >= 0)
			uses[config->sessions[i].filter].sessions++;
	}
	for (uint32_t i = 0; i < config->routes_n; i++) {
		if (config->routes[i].filter >= 0)
			uses[config->routes[i].filter].routes++;
	}
}

/* One row of leaf counters a reader, on cache lines of its own. */
static int
add_counters(struct ms_ruleset *ruleset, uint32_t readers_n)
{
	size_t bytes = RTE_CACHE_LINE_ROUNDUP((ruleset->leaves.leaves_n + 1) * sizeof(ms_counter));

	for (; ruleset->readers_n < readers_n; ruleset->readers_n++) {
		ms_counter *hits = aligned_alloc(RTE_CACHE_LINE_SIZE, bytes);

		if (hits == NULL)
			return -ENOMEM;
		memset(hits, 0, bytes);
		ruleset->hits[ruleset->readers_n] = hits;
	}
	return 0;
}

/* The tables, into build->blob; gives the head's offset. */
static int
build_tables(struct ruleset_build *build, size_t *head)
{
	int rc = policies_init(build);

	build->uses = calloc(build->config->filters_n + 1, sizeof(*build->uses));
	if (build->uses == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		count_uses(build->uses, build->config);
		*head = ms_blob_add(&build->blob, sizeof(struct ms_ruleset_head), 64);
		rc = *head != 0 ? sessions_build(build, *head) : -errno;
	}
	return rc;
}

/* Rulesets so far. */
static _Atomic(uint32_t) compiled;

int
ms_ruleset_compile(struct ms_ruleset **out, struct ms_config *config,
	struct ms_session_registry *registry, uint32_t readers_n, struct ms_config_error *error)
{
	struct ruleset_build build = {.config = config,
		.registry = registry,
		.blob = {.limit = RULESET_LIMIT},
		.error = error};
	struct ms_ruleset *ruleset = calloc(1, sizeof(*ruleset));
	uint64_t start = ruleset_now();
	size_t head = 0;
	int rc;

	error->text[0] = '\0';
	rc = ruleset != NULL ? build_tables(&build, &head) : -ENOMEM;
	policies_fini(&build);
	if (ruleset == NULL)
		goto fail;
	ruleset->uses = build.uses;
	ruleset->base = build.blob.base;
	ruleset->leaves = build.leaves;
	if (rc == 0)
		rc = number_rules(ruleset, config);
	if (rc == 0)
		rc = add_counters(ruleset, readers_n);
	if (rc != 0)
		goto fail;
	ruleset->head = (const struct ms_ruleset_head *)(ruleset->base + head);
	ruleset->policies_n = build.policies_n;
	ruleset->policies_bytes = build.policies_bytes;
	ruleset->config = config;
	ruleset->serial = atomic_fetch_add_explicit(&compiled, 1, memory_order_relaxed) + 1;
	ruleset->compile_ns = ruleset_now() - start;
	*out = ruleset;
	return 0;
fail:
	if (error->text[0] == '\0')
		snprintf(error->text, sizeof(error->text), "the rules do not compile: %s",
			strerror(-rc));
	ms_ruleset_free(ruleset);
	return rc;
}

void
ms_ruleset_free(struct ms_ruleset *ruleset)
{
	if (ruleset == NULL)
		return;
	for (uint32_t i = 0; i < ruleset->readers_n; i++)
		free(ruleset->hits[i]);
	ms_filter_leaves_free(&ruleset->leaves);
	free(ruleset->rules_first);
	free(ruleset->rules_base);
	free(ruleset->services_base);
	free(ruleset->uses);
	free(ruleset->base);
	ms_config_free(ruleset->config);
	free(ruleset);
}

/* What all readers counted on one leaf. */
static uint64_t
leaf_hits(const struct ms_ruleset *ruleset, uint32_t leaf)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < ruleset->readers_n; i++)
		sum += ms_count_read(&ruleset->hits[i][leaf]);
	return sum;
}

void
ms_ruleset_count(const struct ms_ruleset *ruleset, uint64_t *rules, uint64_t *services)
{
	const struct ms_filter_tally tally = {
		.filters = ruleset->config->filters,
		.first = ruleset->rules_first,
		.rules = rules,
		.services = services,
	};

	memcpy(rules, ruleset->rules_base, ruleset->rules_n * sizeof(*rules));
	memcpy(services, ruleset->services_base, ruleset->config->filters_n * sizeof(*services));
	for (uint32_t leaf = 0; leaf < ruleset->leaves.leaves_n; leaf++)
		ms_filter_tally_leaf(&tally, &ruleset->leaves, leaf, leaf_hits(ruleset, leaf));
}

static int
compare_filter_name(const void *a, const void *b)
{
	const struct ms_filter *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* Carries the counts of one filter over to its next version. Rules ascend in both. */
static void
inherit_filter(const struct ms_filter *next, uint64_t *to, const struct ms_filter *last,
	const uint64_t *from)
{
	uint32_t j = 0;

	for (uint32_t i = 0; i < next->rules_n; i++) {
		const struct ms_rule *a = &next->rules[i];

		while (j < last->rules_n && (last->rules[j].direction < a->direction ||
						    (last->rules[j].direction == a->direction &&
							    last->rules[j].number < a->number)))
			j++;
		if (j < last->rules_n && last->rules[j].direction == a->direction &&
			last->rules[j].number == a->number)
			to[i] = from[j];
	}
}

/* Finds filters of the last configuration by name. They mostly stand where they stood. */
struct last_filters {
	const struct ms_config *config;
	const struct ms_filter **by_name; /* sorted as soon as one has moved */
	bool sorted;
};

static const struct ms_filter *
find_last(struct last_filters *last, const struct ms_filter *filter, uint32_t place)
{
	const struct ms_filter **found;
	uint32_t n = last->config->filters_n;

	if (place < n && strcmp(last->config->filters[place].name, filter->name) == 0)
		return &last->config->filters[place];
	if (!last->sorted)
		qsort(last->by_name, n, sizeof(*last->by_name), compare_filter_name);
	last->sorted = true;
	found = bsearch(&filter, last->by_name, n, sizeof(*last->by_name), compare_filter_name);
	return found != NULL ? *found : NULL;
}

int
ms_ruleset_inherit(struct ms_ruleset *next, const struct ms_ruleset *last)
{
	const struct ms_config *config = last->config;
	const struct ms_filter **by_name = calloc(config->filters_n + 1, sizeof(*by_name));
	struct last_filters filters = {.config = config, .by_name = by_name};
	uint64_t *rules = calloc(last->rules_n + 1, sizeof(*rules));
	uint64_t *services = calloc(config->filters_n + 1, sizeof(*services));
	int rc = by_name != NULL && rules != NULL && services != NULL ? 0 : -ENOMEM;

	if (rc != 0)
		goto out;
	ms_ruleset_count(last, rules, services);
	for (uint32_t i = 0; i < config->filters_n; i++)
		by_name[i] = &config->filters[i];
	for (uint32_t i = 0; i < next->config->filters_n; i++) {
		const struct ms_filter *filter = &next->config->filters[i];
		const struct ms_filter *found = find_last(&filters, filter, i);
		size_t old;

		if (found == NULL)
			continue;
		old = (size_t)(found - config->filters);
		inherit_filter(filter, &next->rules_base[next->rules_first[i]], found,
			&rules[last->rules_first[old]]);
		next->services_base[i] = services[old];
	}
out:
	free(by_name);
	free(rules);
	free(services);
	return rc;
}
