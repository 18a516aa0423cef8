/* SPDX-License-Identifier: BSD-3-Clause */
#include "reload.h"

#include <err.h>
#include <string.h>

/* Rules that can't match are named one by one up to here. */
#define DEFECTS_SHOWN 20

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
same_outputs(const struct ms_config *a, const struct ms_config *b)
{
	if (a->outputs_n != b->outputs_n)
		return false;
	for (uint32_t i = 0; i < a->outputs_n; i++) {
		const struct ms_config_output *x = &a->outputs[i], *y = &b->outputs[i];

		if (x->type != y->type || x->snaplen != y->snaplen || x->outer != y->outer ||
			x->rotate_bytes != y->rotate_bytes ||
			x->rotate_seconds != y->rotate_seconds || !same_text(x->name, y->name) ||
			!same_text(x->path, y->path) || !same_text(x->port, y->port))
			return false;
	}
	return true;
}

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

static void
list_defects(const struct ms_config *config, FILE *out)
{
	uint32_t shown = 0;

	for (uint32_t f = 0; f < config->filters_n; f++) {
		const struct ms_filter *filter = &config->filters[f];
		struct ms_rule_report defects[DEFECTS_SHOWN];
		int n = ms_filter_report(filter, defects, DEFECTS_SHOWN);

		for (int i = 0; i < n && i < DEFECTS_SHOWN && shown < DEFECTS_SHOWN; i++) {
			const struct ms_rule *rule = &filter->rules[defects[i].rule];

			fprintf(out, "filter %s: %s rule %u can never match: %s\n", filter->name,
				rule->direction == MS_DIRECTION_INGRESS ? "ingress" : "egress",
				rule->number, defect_text(defects[i].defect));
			shown++;
		}
	}
}

void
reload_announce(const struct ms_ruleset *ruleset)
{
	const struct ms_config *config = ruleset->config;
	uint32_t open = 0, unchecked = 0;

	for (uint32_t i = 0; i < config->sessions_n; i++) {
		open += config->sessions[i].filter < 0;
		unchecked += config->sessions[i].interface < 0;
	}
	if (config->sessions_n > 0)
		warnx("%u sessions, %u filters, %u rules: %u policies in %zu KiB, compiled in "
		      "%.1f ms",
			config->sessions_n, config->filters_n, ruleset->rules_n,
			ruleset->policies_n, (size_t)(ruleset->head->size >> 10),
			(double)ruleset->compile_ns / 1e6);
	if (open > 0)
		warnx("%u sessions have no filter loaded and accept everything (AWS has filtered "
		      "already); load TrafficMirrorFilters to filter here too",
			open);
	if (unchecked > 0 && config->source_check == MS_SOURCE_STRICT)
		warnx("%u sessions have no NetworkInterfaces loaded: SourceCheck cannot check "
		      "their "
		      "source",
			unchecked);
	list_defects(config, stderr);
}

void
reload(struct sink *sink)
{
	struct ms_config_error error;
	struct ms_ruleset *next;
	struct ms_config *config;
	int rc;

	if (sink_options_config(&sink->options, &config, &error) != 0) {
		warnx("%s", error.text);
		warnx("the configuration was not reloaded; the rules in force stay");
		return;
	}
	if (!same_outputs(config, sink_config(sink))) {
		warnx("Outputs have changed: that takes a restart; the rules in force stay");
		ms_config_free(config);
		return;
	}
	if (ms_ruleset_compile(&next, config, sink->registry, sink->rx_n, &error) != 0) {
		warnx("%s", error.text);
		warnx("the configuration was not reloaded; the rules in force stay");
		ms_config_free(config);
		return;
	}
	pthread_mutex_lock(&sink->lock);
	rc = ms_ruleset_publish(&sink->rules, next);
	pthread_mutex_unlock(&sink->lock);
	if (rc != 0)
		warnx("no memory to carry the hits of rules over: they start from 0");
	warnx("configuration reloaded");
	reload_announce(next);
}
