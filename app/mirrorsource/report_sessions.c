/* SPDX-License-Identifier: BSD-3-Clause */
/* Counts by session and by rule, printed and as JSON. */
#include "report_sessions.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SESSIONS_SHOWN 32
#define IDLE_SHOWN     16

/* Hits by rule and by network service, in the order of the configuration. */
struct hits {
	uint64_t *rules;
	uint64_t *services;
};

/* Both NULL if there is no memory. */
static struct hits
take_hits(const struct ms_mirror *plan)
{
	uint32_t filters_n = plan->config->filters_n;
	struct hits hits = {
		.rules = calloc((size_t)plan->rules_first[filters_n] + 1, sizeof(uint64_t)),
		.services = calloc((size_t)filters_n + 1, sizeof(uint64_t)),
	};

	if (hits.rules != NULL && hits.services != NULL) {
		ms_mirror_count(plan, hits.rules, hits.services);
		return hits;
	}
	free(hits.rules);
	free(hits.services);
	return (struct hits){.rules = NULL};
}

static const char *
direction(const struct ms_rule *rule)
{
	return rule->direction == MS_DIRECTION_INGRESS ? "ingress" : "egress";
}

static void
print_table(const struct source_sessions *s, const struct mirror *mirror)
{
	printf("\n%-24s %6s %9s %-24s %12s %16s\n", "session", "number", "vni", "eni", "packets",
		"bytes");
	for (uint32_t i = 0; i < s->n && i < SESSIONS_SHOWN; i++) {
		const struct ms_config_session *session = source_session_config(s, i);

		printf("%-24s %6u %9u %-24s %12" PRIu64 " %16" PRIu64 "\n", session->id,
			session->number, session->vni, session->interface_id,
			ms_count_read(&mirror->sessions[i].packets),
			ms_count_read(&mirror->sessions[i].bytes));
	}
	if (s->n > SESSIONS_SHOWN)
		printf("and %u more, in the summary (--summary FILE)\n", s->n - SESSIONS_SHOWN);
}

/* What had nothing to do: how many, and the first of them by name. */
struct idle {
	uint32_t n;
	char names[IDLE_SHOWN][128];
};

static void
add_idle(struct idle *idle, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
add_idle(struct idle *idle, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (idle->n < IDLE_SHOWN)
		(void)vsnprintf(idle->names[idle->n], sizeof(idle->names[0]), format, args);
	va_end(args);
	idle->n++;
}

static void
print_idle(const struct idle *idle, const char *what)
{
	if (idle->n == 0)
		return;
	printf("%s: %u:", what, idle->n);
	for (uint32_t i = 0; i < idle->n && i < IDLE_SHOWN; i++)
		printf("%s %s", i > 0 ? "," : "", idle->names[i]);
	puts(idle->n > IDLE_SHOWN ? ", ..." : "");
}

static void
print_idle_sessions(const struct source_sessions *s, const struct mirror *mirror)
{
	struct idle idle = {.n = 0};

	for (uint32_t i = 0; i < s->n; i++) {
		if (ms_count_read(&mirror->sessions[i].packets) == 0)
			add_idle(&idle, "%s", source_session_config(s, i)->id);
	}
	print_idle(&idle, "sessions without a packet");
}

/* Which filters of the configuration do sessions have that are played? NULL: no memory. */
static bool *
used_filters(const struct ms_mirror *plan)
{
	bool *used = calloc((size_t)plan->config->filters_n + 1, sizeof(*used));

	for (uint32_t i = 0; used != NULL && i < plan->sessions_n; i++)
		used[plan->sessions[i].config->filter] = true;
	return used;
}

static void
print_idle_rules(const struct ms_mirror *plan)
{
	struct hits hits = take_hits(plan);
	bool *used = used_filters(plan);
	struct idle idle = {.n = 0};

	for (uint32_t f = 0; hits.rules != NULL && used != NULL && f < plan->config->filters_n;
		f++) {
		const struct ms_filter *filter = &plan->config->filters[f];

		if (!used[f])
			continue;
		if (filter->amazon_dns && hits.services[f] == 0)
			add_idle(&idle, "%s amazon-dns", filter->name);
		for (uint32_t i = 0; i < filter->rules_n; i++) {
			if (hits.rules[plan->rules_first[f] + i] == 0)
				add_idle(&idle, "%s %s %u", filter->name,
					direction(&filter->rules[i]), filter->rules[i].number);
		}
	}
	print_idle(&idle, "rules that never hit");
	free(hits.rules);
	free(hits.services);
	free(used);
}

void
report_sessions_print(const struct source_sessions *s, const struct mirror *mirror)
{
	if (s->plan == NULL)
		return;
	print_table(s, mirror);
	print_idle_sessions(s, mirror);
	print_idle_rules(s->plan);
	putchar('\n');
}

static json_t *
integer(uint64_t n)
{
	return json_integer((json_int_t)n);
}

json_t *
report_sessions_pack(const struct source_sessions *s, const struct mirror *mirror)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < s->n; i++) {
		const struct ms_config_session *session = source_session_config(s, i);

		json_array_append_new(array,
			json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "session",
				source_session_name(s, i).text, "vni", integer(s->headers[i].vni),
				"eni",
				session != NULL ? json_string(session->interface_id) : json_null(),
				"number", session != NULL ? integer(session->number) : json_null(),
				"packets", integer(ms_count_read(&mirror->sessions[i].packets)),
				"bytes", integer(ms_count_read(&mirror->sessions[i].bytes))));
	}
	return array;
}

/* Rules of all filters, and their network services as rule 0 of both directions. */
json_t *
report_rules_pack(const struct source_sessions *s)
{
	const struct ms_mirror *plan = s->plan;
	json_t *array = json_array();
	struct hits hits;

	if (plan == NULL)
		return array;
	hits = take_hits(plan);
	for (uint32_t f = 0; hits.rules != NULL && f < plan->config->filters_n; f++) {
		const struct ms_filter *filter = &plan->config->filters[f];

		if (filter->amazon_dns)
			json_array_append_new(array,
				json_pack("{s:s, s:s, s:i, s:s, s:o}", "filter", filter->name,
					"direction", "both", "rule", 0, "service", "amazon-dns",
					"hits", integer(hits.services[f])));
		for (uint32_t i = 0; i < filter->rules_n; i++)
			json_array_append_new(
				array, json_pack("{s:s, s:s, s:i, s:o}", "filter", filter->name,
					       "direction", direction(&filter->rules[i]), "rule",
					       (int)filter->rules[i].number, "hits",
					       integer(hits.rules[plan->rules_first[f] + i])));
	}
	free(hits.rules);
	free(hits.services);
	return array;
}
