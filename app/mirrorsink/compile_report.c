/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The compile report. All but the search for rules that can never match was noted while compiling,
 * and costs nothing. That search takes 1 us for a filter of ten rules that all can, 200 us if some
 * cannot, and more for larger ones: a third of a second for 10,000 filters of which most have such
 * a rule. So the log gives it a quarter of a second and then says where it stopped; --check ends
 * it.
 */
#include "compile_report.h"

#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LARGEST_SHOWN 10
#define UNUSED_SHOWN  5
#define DEFECTS_SHOWN 20
#define SEARCH_NS     UINT64_C(250000000)

#define NAME_WIDTH_MIN 24
#define NAME_WIDTH_MAX 40

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* Totals, and what is not loaded */

static void
print_totals(const struct ms_ruleset *ruleset)
{
	const struct ms_config *config = ruleset->config;
	uint32_t open = 0, unchecked = 0;

	for (uint32_t i = 0; i < config->sessions_n; i++) {
		open += config->sessions[i].filter < 0;
		unchecked += config->sessions[i].interface < 0;
	}
	if (config->sessions_n > 0 || config->filters_n > 0)
		warnx("%u sessions, %u filters, %u rules: %u policies and the session tables in "
		      "%" PRIu64 " KiB, compiled in %.1f ms",
			config->sessions_n, config->filters_n, ruleset->rules_n,
			ruleset->policies_n, ruleset->head->size >> 10,
			(double)ruleset->compile_ns / 1e6);
	if (open > 0)
		warnx("%u sessions have no filter loaded and accept everything (AWS has filtered "
		      "already); load TrafficMirrorFilters to filter here too",
			open);
	if (unchecked > 0 && config->source_check == MS_SOURCE_STRICT)
		warnx("%u sessions have no NetworkInterfaces loaded: SourceCheck cannot check "
		      "their source",
			unchecked);
}

/* The table of filters */

/* "cross 4, constant 2": how many tables of which layout. */
static const char *
layouts(const struct ms_filter_shape *shape, char *text, size_t room)
{
	const struct {
		const char *name;
		uint32_t n;
	} all[] = {
		{"cross", shape->cross}, {"bit sets", shape->bits}, {"constant", shape->constant}};
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i].n > 0 && at < room)
			at += (size_t)snprintf(text + at, room - at, "%s%s %u", at > 0 ? ", " : "",
				all[i].name, all[i].n);
	}
	return text;
}

static int
name_width(const struct ms_config *config)
{
	size_t width = NAME_WIDTH_MIN;

	for (uint32_t f = 0; f < config->filters_n; f++) {
		size_t length = strlen(config->filters[f].name);

		if (length > width)
			width = length;
	}
	return width < NAME_WIDTH_MAX ? (int)width : NAME_WIDTH_MAX;
}

static void
print_head(int width, FILE *out)
{
	fprintf(out, "\n%-*s %7s %7s %8s %6s %8s %7s %11s %9s  %s\n", width, "filter", "ingress",
		"egress", "sessions", "routes", "policies", "leaves", "memory", "time",
		"tables by layout");
}

static void
print_filter(const struct ms_filter *filter, const struct ms_filter_use *use, int width, FILE *out)
{
	uint32_t ingress = 0;
	char text[64];

	while (ingress < filter->rules_n &&
		filter->rules[ingress].direction == MS_DIRECTION_INGRESS)
		ingress++;
	fprintf(out, "%-*s %7u %7u %8u %6u %8u %7u %7.1f KiB %6.2f ms  %s\n", width, filter->name,
		ingress, filter->rules_n - ingress, use->sessions, use->routes, use->policies,
		use->shape.leaves, (double)use->bytes / 1024, (double)use->compile_ns / 1e6,
		use->policies > 0 ? layouts(&use->shape, text, sizeof(text)) : "not used");
}

static void
print_all(const struct ms_ruleset *ruleset, FILE *out)
{
	const struct ms_config *config = ruleset->config;
	int width = name_width(config);

	if (config->filters_n == 0)
		return;
	print_head(width, out);
	for (uint32_t f = 0; f < config->filters_n; f++)
		print_filter(&config->filters[f], &ruleset->uses[f], width, out);
	fprintf(out,
		"\n%u policies take %.1f KiB, the session tables %.1f KiB, the counters of each "
		"lcore that receives\n%.1f KiB. A policy is a session's filter and those of its "
		"routes, compiled together; it counts for\neach filter that stands in it.\n",
		ruleset->policies_n, (double)ruleset->policies_bytes / 1024,
		(double)(ruleset->head->size - ruleset->policies_bytes) / 1024,
		(double)(ruleset->leaves.leaves_n * sizeof(ms_counter)) / 1024);
}

/* Puts a filter among the largest so far, which are sorted; n of them. Returns the new n. */
static uint32_t
rank(const struct ms_filter_use *uses, uint32_t filter, uint32_t *largest, uint32_t n)
{
	uint32_t i = n < LARGEST_SHOWN ? n : LARGEST_SHOWN - 1;

	if (n == LARGEST_SHOWN && uses[largest[i]].bytes >= uses[filter].bytes)
		return n;
	for (; i > 0 && uses[largest[i - 1]].bytes < uses[filter].bytes; i--)
		largest[i] = largest[i - 1];
	largest[i] = filter;
	return n < LARGEST_SHOWN ? n + 1 : n;
}

static void
print_largest(const struct ms_ruleset *ruleset, FILE *out)
{
	const struct ms_config *config = ruleset->config;
	uint32_t largest[LARGEST_SHOWN], n = 0;

	for (uint32_t f = 0; f < config->filters_n; f++) {
		if (ruleset->uses[f].policies > 0)
			n = rank(ruleset->uses, f, largest, n);
	}
	if (n == 0)
		return;
	print_head(NAME_WIDTH_MIN, out);
	for (uint32_t i = 0; i < n; i++)
		print_filter(&config->filters[largest[i]], &ruleset->uses[largest[i]],
			NAME_WIDTH_MIN, out);
	if (config->filters_n > n)
		fprintf(out, "... and %u more filters, none larger: see --check\n",
			config->filters_n - n);
	fputc('\n', out);
}

/* Filters that nobody asks */

static void
print_unused(const struct ms_ruleset *ruleset, uint32_t room, FILE *out)
{
	const struct ms_config *config = ruleset->config;
	uint32_t n = 0;

	for (uint32_t f = 0; f < config->filters_n; f++) {
		const struct ms_filter_use *use = &ruleset->uses[f];

		if (use->policies > 0 || n++ >= room)
			continue;
		fprintf(out, "filter %s is not used: %s\n", config->filters[f].name,
			use->sessions + use->routes == 0 ? "no session or route names it"
							 : "routes name it, but no session goes "
							   "that way, or only to outputs "
							   "that it reaches without a filter");
	}
	if (n > room)
		fprintf(out, "... and %u more filters that are not used: see --check\n", n - room);
}

/* Rules that can never match */

static const char *
defect_text(uint8_t defect)
{
	switch (defect) {
	case MS_RULE_SHADOWED:
		return "rules before it match all that it could";
	case MS_RULE_PORTS_NO_PROTO:
		return "it asks for ports, and its protocol has none";
	default:
		return "its CIDR blocks are of two families";
	}
}

/* Names the defects of one filter while room is left. Returns how many there are, or -ENOMEM. */
static int
print_defects_of(const struct ms_filter *filter, uint32_t room, FILE *out)
{
	struct ms_rule_report *defects = calloc(filter->rules_n + 1, sizeof(*defects));
	int n = defects != NULL ? ms_filter_report(filter, defects, filter->rules_n) : -1;

	for (int i = 0; i < n && (uint32_t)i < room; i++) {
		const struct ms_rule *rule = &filter->rules[defects[i].rule];

		fprintf(out, "filter %s: %s rule %u can never match: %s\n", filter->name,
			rule->direction == MS_DIRECTION_INGRESS ? "ingress" : "egress",
			rule->number, defect_text(defects[i].defect));
	}
	free(defects);
	return n;
}

static void
print_defects(const struct ms_config *config, uint32_t room, uint64_t limit_ns, FILE *out)
{
	uint64_t start = now_ns(), n = 0;
	uint32_t f = 0;

	for (; f < config->filters_n && now_ns() - start < limit_ns; f++) {
		int found = print_defects_of(
			&config->filters[f], n < room ? room - (uint32_t)n : 0, out);

		if (found < 0) {
			fprintf(out, "no memory to look for rules that can never match\n");
			return;
		}
		n += (uint64_t)found;
	}
	if (n > room)
		fprintf(out, "... and %" PRIu64 " more rules that can never match: see --check\n",
			n - room);
	if (f < config->filters_n)
		fprintf(out,
			"rules of %u more filters were not looked at, to save time: see --check\n",
			config->filters_n - f);
}

void
compile_report_brief(const struct ms_ruleset *ruleset, FILE *out)
{
	print_totals(ruleset);
	print_largest(ruleset, out);
	print_unused(ruleset, UNUSED_SHOWN, out);
	print_defects(ruleset->config, DEFECTS_SHOWN, SEARCH_NS, out);
}

void
compile_report_full(const struct ms_ruleset *ruleset, FILE *out)
{
	print_totals(ruleset);
	print_all(ruleset, out);
	print_unused(ruleset, UINT32_MAX, out);
	print_defects(ruleset->config, UINT32_MAX, UINT64_MAX, out);
}
