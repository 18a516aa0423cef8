/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes the plan: compiles the filters of the sessions that select.c has found, each once, and
 * gives the plan its counters.
 */
#include "mirror/mirror_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* As in the sink: filters beyond this are refused, and tables beyond that laid out compactly. */
#define FILTERS_LIMIT ((size_t)1 << 30)
#define CROSS_BUDGET  (32u << 10)

/* A filter as it was compiled. Resolvers depend on the VPC, and only network services ask for them.
 */
struct compiled {
	struct compiled *next; /* of the same filter */
	int32_t vpc;           /* -1: none is loaded, or it does not matter */
	uint32_t policy;
};

/* Resolvers of the ENI's VPC, for the compiler as prefixes and for the ENI as addresses. */
struct resolvers {
	struct ms_prefix *list;
	uint32_t n;
};

static int
compile(struct ms_mirror *mirror, const struct ms_filter *filter, const struct resolvers *resolvers,
	uint32_t *policy)
{
	const struct ms_filter_route all = {.outputs = 1};
	const struct ms_filter_policy source = {
		.session = filter,
		.routes = &all,
		.routes_n = 1,
		.resolvers = resolvers->list,
		.resolvers_n = resolvers->n,
	};
	size_t offset;
	int rc = ms_filter_compile(
		&mirror->filters, &mirror->leaves, &source, MS_LAYOUT_AUTO, CROSS_BUDGET, &offset);

	if (rc != 0)
		return rc;
	*policy = (uint32_t)(offset / 64);
	mirror->filters_n++;
	return 0;
}

/* Compiles a session's filter, or finds it among those that were. */
static int
compile_session(struct ms_mirror *mirror, struct ms_mirror_session *session,
	const struct resolvers *resolvers, struct compiled **known)
{
	const struct ms_filter *filter = &mirror->config->filters[session->config->filter];
	int32_t vpc = filter->amazon_dns ? mirror->enis[session->eni].config->vpc : -1;
	struct compiled **at = &known[session->config->filter];
	int rc;

	while (*at != NULL && (*at)->vpc != vpc)
		at = &(*at)->next;
	if (*at == NULL) {
		struct compiled *added = calloc(1, sizeof(*added));

		if (added == NULL)
			return -ENOMEM;
		*at = added;
		added->vpc = vpc;
		rc = compile(mirror, filter, resolvers, &added->policy);
		if (rc != 0)
			return rc;
	}
	session->policy = (*at)->policy;
	return 0;
}

/* Resolvers and filters of one ENI. */
static int
compile_eni(struct ms_mirror *mirror, struct ms_mirror_eni *eni, struct compiled **known,
	struct ms_config_error *error)
{
	struct resolvers resolvers = {0};
	int rc = ms_config_resolvers(mirror->config, eni->config, &resolvers.list);

	if (rc < 0)
		return rc;
	resolvers.n = (uint32_t)rc;
	rc = 0;
	eni->resolvers = calloc(resolvers.n + 1, sizeof(*eni->resolvers));
	if (eni->resolvers == NULL)
		rc = -ENOMEM;
	for (; rc == 0 && eni->resolvers_n < resolvers.n; eni->resolvers_n++)
		eni->resolvers[eni->resolvers_n] = resolvers.list[eni->resolvers_n].ip;
	eni->dns = eni->end;
	for (uint32_t s = eni->end; rc == 0 && s-- > eni->first;) {
		struct ms_mirror_session *session = &mirror->sessions[s];
		const struct ms_filter *filter = &mirror->config->filters[session->config->filter];

		rc = compile_session(mirror, session, &resolvers, known);
		if (rc == -EFBIG)
			(void)mirror_wrong(error,
				"filter %s: its tables would grow too large: split it, or play "
				"fewer "
				"ENIs",
				filter->name);
		if (filter->amazon_dns)
			eni->dns = s;
	}
	free(resolvers.list);
	return rc;
}

static int
compile_filters(struct ms_mirror *mirror, struct ms_config_error *error)
{
	uint32_t n = mirror->config->filters_n;
	struct compiled **known = calloc(n + 1, sizeof(struct compiled *));
	int rc = known != NULL ? 0 : -ENOMEM;

	mirror->filters.limit = FILTERS_LIMIT;
	for (uint32_t i = 0; rc == 0 && i < mirror->enis_n; i++)
		rc = compile_eni(mirror, &mirror->enis[i], known, error);
	for (uint32_t i = 0; known != NULL && i < n; i++) {
		struct compiled *next;

		for (struct compiled *c = known[i]; c != NULL; c = next) {
			next = c->next;
			free(c);
		}
	}
	free(known);
	return rc;
}

static int
add_counters(struct ms_mirror *mirror)
{
	size_t bytes = RTE_CACHE_LINE_ROUNDUP((mirror->leaves.leaves_n + 1) * sizeof(ms_counter));

	mirror->rules_first = ms_filter_number(mirror->config->filters, mirror->config->filters_n);
	mirror->hits = aligned_alloc(RTE_CACHE_LINE_SIZE, bytes);
	if (mirror->rules_first == NULL || mirror->hits == NULL)
		return -ENOMEM;
	memset(mirror->hits, 0, bytes);
	return 0;
}

int
ms_mirror_compile(struct ms_mirror **out, const struct ms_config *config,
	const struct ms_mirror_options *options, struct ms_config_error *error)
{
	struct ms_mirror *mirror = calloc(1, sizeof(*mirror));
	int rc = -ENOMEM;

	error->text[0] = '\0';
	if (mirror != NULL) {
		mirror->config = config;
		mirror->stop_at_reject = options->stop_at_reject;
		rc = mirror_select(mirror, options, error);
	}
	if (rc == 0)
		rc = compile_filters(mirror, error);
	if (rc == 0)
		rc = add_counters(mirror);
	if (rc == 0) {
		*out = mirror;
		return 0;
	}
	if (error->text[0] == '\0')
		(void)mirror_wrong(error, "the sessions do not compile: %s", strerror(-rc));
	ms_mirror_free(mirror);
	return rc;
}

void
ms_mirror_free(struct ms_mirror *mirror)
{
	if (mirror == NULL)
		return;
	for (uint32_t i = 0; i < mirror->enis_n; i++)
		free(mirror->enis[i].resolvers);
	ms_filter_leaves_free(&mirror->leaves);
	free(mirror->filters.base);
	free(mirror->enis);
	free(mirror->sessions);
	free(mirror->places);
	free(mirror->rules_first);
	free(mirror->hits);
	free(mirror);
}

void
ms_mirror_count(const struct ms_mirror *mirror, uint64_t *rules, uint64_t *services)
{
	const struct ms_filter_tally tally = {
		.filters = mirror->config->filters,
		.first = mirror->rules_first,
		.rules = rules,
		.services = services,
	};

	memset(rules, 0, mirror->rules_first[mirror->config->filters_n] * sizeof(*rules));
	memset(services, 0, mirror->config->filters_n * sizeof(*services));
	for (uint32_t leaf = 0; leaf < mirror->leaves.leaves_n; leaf++)
		ms_filter_tally_leaf(
			&tally, &mirror->leaves, leaf, ms_count_read(&mirror->hits[leaf]));
}
