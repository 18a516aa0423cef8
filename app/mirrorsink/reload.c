/* SPDX-License-Identifier: BSD-3-Clause */
#include "reload.h"

#include <err.h>
#include <string.h>
#include <time.h>

#include "compile_report.h"
#include "own_ports.h"

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
same_ports(const struct ms_config_output *a, const struct ms_config_output *b)
{
	if (a->ports_n != b->ports_n || a->queues != b->queues)
		return false;
	for (uint32_t i = 0; i < a->ports_n; i++) {
		if (strcmp(a->ports[i], b->ports[i]) != 0)
			return false;
	}
	return true;
}

static bool
same_prefix(const struct ms_prefix *a, const struct ms_prefix *b)
{
	return a->family == b->family && ms_ip_equal(a->ip, b->ip);
}

static bool
same_tenant(const struct ms_config_output *a, const struct ms_config_output *b)
{
	const struct ms_config_vxlan *x = &a->vxlan, *y = &b->vxlan;

	return a->tenant == b->tenant && same_prefix(&x->target, &y->target) &&
	       same_prefix(&x->source, &y->source) && x->target_mac == y->target_mac &&
	       x->source_mac == y->source_mac && x->has_vni == y->has_vni && x->vni == y->vni &&
	       x->udp_port == y->udp_port && x->target_mtu == y->target_mtu;
}

static bool
same_outputs(const struct ms_config *a, const struct ms_config *b)
{
	if (a->outputs_n != b->outputs_n)
		return false;
	for (uint32_t i = 0; i < a->outputs_n; i++) {
		const struct ms_config_output *x = &a->outputs[i], *y = &b->outputs[i];

		if (x->type != y->type || x->snaplen != y->snaplen || x->outer != y->outer ||
			x->buffer_memory != y->buffer_memory ||
			!ms_config_store_equal(&x->store, &y->store) ||
			!same_text(x->name, y->name) || !same_text(x->path, y->path) ||
			!same_text(x->interface, y->interface) || !same_ports(x, y) ||
			!same_tenant(x, y))
			return false;
	}
	return true;
}

/* The tables are made once, for the lcores that are there. */
static bool
same_dedup(const struct ms_config_dedup *a, const struct ms_config_dedup *b)
{
	return a->on == b->on && a->scope == b->scope && a->window_ms == b->window_ms &&
	       a->memory == b->memory;
}

/* The top-level key that has changed and can't be changed while lcores run, or NULL. */
static const char *
fixed_key_changed(const struct ms_config *a, const struct ms_config *b)
{
	if (!same_outputs(a, b))
		return "Outputs";
	if (a->outer_fragments != b->outer_fragments)
		return "OuterFragments";
	return same_dedup(&a->dedup, &b->dedup) ? NULL : "Dedup";
}

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

void
reload(struct sink *sink)
{
	double began = now_ms(), read;
	struct ms_config_error error;
	struct ms_ruleset *next;
	struct ms_config *config;
	const char *changed;
	int rc;

	if (sink_options_config(&sink->options, &config, &error) != 0) {
		warnx("%s", error.text);
		warnx("the configuration was not reloaded; the rules in force stay");
		return;
	}
	read = now_ms();
	changed = fixed_key_changed(config, sink_config(sink));
	if (changed != NULL) {
		warnx("%s: changed, and that takes a restart; the rules in force stay", changed);
		ms_config_free(config);
		return;
	}
	if (!own_ports_check(sink, config)) {
		warnx("the configuration was not reloaded; the rules in force stay");
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
	warnx("configuration reloaded in %.1f ms: read in %.1f, compiled in %.1f", now_ms() - began,
		read - began, (double)next->compile_ns / 1e6);
	compile_report_brief(next, stderr);
}
