/* SPDX-License-Identifier: BSD-3-Clause */
/* The ledger as JSON, schema mirrorsink.summary/1. */
#include "report.h"

#include "own_ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "behind.h"

static json_t *
integer(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *
fates(const struct ms_ledger *ledger)
{
	json_t *object = json_object();

	for (unsigned int f = MS_FATE_NONE + 1; f < MS_FATE_COUNT; f++)
		json_object_set_new(
			object, ms_fate_name(f), integer(ms_count_read(&ledger->fates[f])));
	return object;
}

static json_t *
device(const struct sink *sink)
{
	json_t *object = json_object();

	for (uint16_t i = 0; i < sink->ports_n; i++) {
		struct sink_device_counter list[TOTALS_DEVICE_MAX];
		uint32_t n = totals_device(&sink->ports[i], list);
		json_t *port = json_object();

		for (uint32_t c = 0; c < n; c++)
			json_object_set_new(port, list[c].name, integer(list[c].value));
		if (sink->ports[i].role != SINK_OUTPUT)
			json_object_set_new(port, "kernel", behind_json(&sink->ports[i]));
		json_object_set_new(object, sink->ports[i].name, port);
	}
	return object;
}

/* What the kernel does behind an output, by port; NULL if it has no interface there. */
static json_t *
behind(const struct sink *sink, uint32_t output)
{
	json_t *object = NULL;

	for (uint16_t i = 0; i < sink->ports_n; i++) {
		const struct sink_port *port = &sink->ports[i];
		json_t *one;

		if (port->role != SINK_OUTPUT || port->output != output)
			continue;
		one = behind_json(port);
		if (one != NULL && object == NULL)
			object = json_object();
		if (one != NULL)
			json_object_set_new(object, port->name, one);
	}
	return object;
}

/* What is no mirror traffic, on its way to the kernel; and what the kernel said. */
static json_t *
exception(const struct sink_totals *totals)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "sent", integer(totals->exception_sent), "dropped",
		integer(totals->exception_dropped), "returned", integer(totals->exception_returned),
		"lost", integer(totals->exception_lost));
}

static json_t *
outputs(const struct sink *sink, const struct sink_totals *totals)
{
	const struct ms_config *config = sink_config(sink);
	json_t *array = json_array();

	for (uint32_t i = 0; i < config->outputs_n; i++) {
		const struct ms_output_ledger *ledger = &totals->outputs[i];
		json_t *dropped = json_object(), *object;

		for (unsigned int d = 0; d < MS_DROP_COUNT; d++)
			json_object_set_new(dropped, ms_drop_name(d),
				integer(ms_count_read(&ledger->dropped[d])));
		object = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o*}", "name",
			config->outputs[i].name, "type",
			totals_output_type(config->outputs[i].type), "offered",
			integer(ms_count_read(&ledger->offered)), "written",
			integer(ms_count_read(&ledger->written)), "bytes",
			integer(ms_count_read(&ledger->bytes)), "buffer_memory",
			integer(sink->buffer_memory[i]), "dropped", dropped, "kernel",
			behind(sink, i));
		json_array_append_new(array, object);
	}
	return array;
}

/* The direction of a session's packets, and what tells it: the source ENI's MAC address. */
static void
add_directions(json_t *object, const struct sink_session_totals *t, uint64_t configured)
{
	char text[TOTALS_MAC_TEXT];
	const char *from;
	uint64_t mac;

	json_object_set_new(object, "ingress", integer(t->directions[MS_DIRECTION_INGRESS]));
	json_object_set_new(object, "egress", integer(t->directions[MS_DIRECTION_EGRESS]));
	json_object_set_new(object, "unknown", integer(t->directions[MS_DIRECTION_UNKNOWN]));
	from = totals_mac(configured, t, &mac);
	json_object_set_new(object, "mac",
		from != NULL ? json_string(totals_mac_text(mac, text)) : json_null());
	json_object_set_new(object, "mac_from", from != NULL ? json_string(from) : json_null());
	json_object_set_new(object, "mac_changes", integer(t->learned_macs_changed));
}

/* The VLAN ids that tell the session's frames, where an output tags them. */
static void
add_vlan(json_t *object, unsigned int tags, uint32_t slot)
{
	if (tags == 2)
		json_object_set_new(object, "vlan_outer", integer(ms_session_vlan_outer(slot)));
	if (totals_has_vlan(tags, slot))
		json_object_set_new(object, "vlan", integer(ms_session_vlan(slot)));
}

static json_t *
sessions(const struct sink *sink)
{
	unsigned int tags = totals_vlan_tags(sink);
	uint32_t n = ms_session_count(sink->registry);
	uint64_t *macs = calloc((size_t)n + 1, sizeof(*macs));
	json_t *array = json_array();

	if (macs != NULL)
		totals_macs(sink, 0, n, macs);
	for (uint32_t slot = 0; macs != NULL && slot < n; slot++) {
		const struct ms_session_info *info = ms_session_info(sink->registry, slot);
		char address[INET6_ADDRSTRLEN];
		struct sink_session_totals t;
		json_t *object;

		totals_session(sink, slot, &t);
		object = json_pack("{s:s, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "session",
			info->name, "vni", (int)info->vni, "source",
			totals_address(info->source, info->source_family, address), "packets",
			integer(t.packets), "bytes", integer(t.bytes), "delivered",
			integer(t.delivered), "rejected", integer(t.rejected), "lost",
			integer(t.lost), "duplicates", integer(t.duplicates));
		add_vlan(object, tags, slot);
		if (own_port(sink, slot) != NULL)
			json_object_set_new(
				object, "port", json_string(own_port(sink, slot)->name));
		add_directions(object, &t, macs[slot]);
		json_array_append_new(array, object);
	}
	free(macs);
	return array;
}

/* How many sessions and rules of the configuration in force have done nothing. */
static json_t *
never_hit(const struct sink *sink)
{
	return json_pack("{s:o, s:o}", "sessions", integer(totals_idle_sessions(sink, NULL, 0)),
		"rules", json_integer(totals_idle_rules(sink, NULL, 0)));
}

static json_t *
unknown(const struct sink *sink)
{
	struct ms_unknown_entry list[TOTALS_UNKNOWN_MAX];
	json_t *array = json_array();
	uint64_t others;
	uint32_t n = totals_unknown(sink, list, &others);

	for (uint32_t i = 0; i < n; i++) {
		char address[INET6_ADDRSTRLEN];

		json_array_append_new(array,
			json_pack("{s:s, s:i, s:o}", "source",
				totals_address(list[i].source, list[i].source_family, address),
				"vni", (int)list[i].vni, "packets",
				integer(ms_count_read(&list[i].packets))));
	}
	return json_pack("{s:o, s:o}", "listed", array, "others", integer(others));
}

/* Rules of all filters, and their network services as rule 0 of both directions. */
static json_t *
rules(const struct sink *sink)
{
	const struct ms_ruleset *ruleset = ms_ruleset_get(&sink->rules);
	const struct ms_config *config = ruleset->config;
	uint64_t *hits = calloc(ruleset->rules_n + 1, sizeof(*hits));
	uint64_t *services = calloc(config->filters_n + 1, sizeof(*services));
	json_t *array = json_array();

	if (hits == NULL || services == NULL)
		goto out;
	ms_ruleset_count(ruleset, hits, services);
	for (uint32_t f = 0; f < config->filters_n; f++) {
		const struct ms_filter *filter = &config->filters[f];

		if (filter->amazon_dns)
			json_array_append_new(array,
				json_pack("{s:s, s:s, s:i, s:s, s:o}", "filter", filter->name,
					"direction", "both", "rule", 0, "service", "amazon-dns",
					"hits", integer(services[f])));
		for (uint32_t i = 0; i < filter->rules_n; i++)
			json_array_append_new(array,
				json_pack("{s:s, s:s, s:i, s:o}", "filter", filter->name,
					"direction", totals_direction(filter->rules[i].direction),
					"rule", (int)filter->rules[i].number, "hits",
					integer(hits[ruleset->rules_first[f] + i])));
	}
out:
	free(hits);
	free(services);
	return array;
}

#if defined(MS_STAGE_CYCLES)
static void
add_stages(json_t *array, const struct ms_stages *stages, unsigned int lcore)
{
	for (unsigned int s = 0; s < MS_STAGE_COUNT; s++) {
		uint64_t packets = ms_count_read(&stages->packets[s]);

		if (packets != 0)
			json_array_append_new(array,
				json_pack("{s:i, s:s, s:o, s:o}", "lcore", (int)lcore, "stage",
					ms_stage_name(s), "packets", integer(packets), "cycles",
					integer(ms_count_read(&stages->cycles[s]))));
	}
}

/* What each stage took, on each lcore. */
static json_t *
stages(const struct sink *sink)
{
	json_t *array = json_array();

	for (uint16_t i = 0; i < sink->rx_n; i++)
		add_stages(array, &sink->rx[i]->stages, sink->rx[i]->lcore);
	for (uint16_t i = 0; i < sink->workers_n; i++)
		add_stages(array, &sink->workers[i]->stages, sink->workers[i]->lcore);
	return array;
}
#endif

bool
report_summary(const struct sink *sink, const struct sink_totals *totals, int fd)
{
	FILE *out = fdopen(fd, "w");
	json_t *root = json_pack(
		"{s:s, s:s, s:f, s:{s:o, s:o}, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"schema", "mirrorsink.summary/1", "version", MS_VERSION, "seconds", totals->seconds,
		"received", "packets", integer(ms_count_read(&totals->ledger.received)), "bytes",
		integer(ms_count_read(&totals->ledger.received_bytes)), "fates",
		fates(&totals->ledger), "balanced", totals_balanced(sink, totals), "dedup_evicted",
		integer(totals->dedup_evicted), "device", device(sink), "exception",
		exception(totals), "outputs", outputs(sink, totals), "sessions", sessions(sink),
		"unknown_sessions", unknown(sink), "rules", rules(sink), "never_hit",
		never_hit(sink));
	bool ok = out != NULL && root != NULL;

#if defined(MS_STAGE_CYCLES)
	json_object_set_new(root, "stages", stages(sink));
#endif

	ok = ok && json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0;
	ok = ok && fputc('\n', out) != EOF;
	if (out == NULL)
		close(fd);
	else if (fclose(out) != 0)
		ok = false;
	json_decref(root);
	return ok || cli_wrong("--summary: cannot write '%s': %s", sink->options.summary,
			     strerror(errno));
}
