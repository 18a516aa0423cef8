/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers in the telemetry's own thread, under sink.lock, so that no ruleset goes away meanwhile. A
 * list is an object whose names are indices, "0", "1", ...: the DPDK's arrays hold no objects. A
 * long one comes in pages, since one answer has 16 KiB at most: the parameter is the first index.
 */
#include "telemetry.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_telemetry.h>
#include <rte_version.h>

#include "behind.h"
#include "health.h"
#include "own_ports.h"
#include "plug.h"
#include "totals.h"

#define ATTACH "/mirrorsink/attach"
#define DETACH "/mirrorsink/detach"

/* Elements of a page; a session with all keys and large counters is some 420 bytes of JSON. */
#define PAGE 32
/* The same for ports with what is behind them: up to 16 readers of some 90 bytes each. */
#define KERNEL_PAGE 8

/* The sink that is asked, or NULL; commands have no argument of their own. */
static _Atomic(struct sink *) asked;

static void
add_number(struct rte_tel_data *d, const char *name, uint64_t value)
{
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
	rte_tel_data_add_dict_uint(d, name, value);
#else
	rte_tel_data_add_dict_u64(d, name, value);
#endif
}

static struct rte_tel_data *
new_dict(void)
{
	struct rte_tel_data *d = rte_tel_data_alloc();

	if (d != NULL)
		rte_tel_data_start_dict(d);
	return d;
}

/* Adds an element to a list, whose memory is then the list's. */
static void
add_element(struct rte_tel_data *list, uint64_t index, struct rte_tel_data *element)
{
	char name[24];

	snprintf(name, sizeof(name), "%" PRIu64, index);
	rte_tel_data_add_dict_container(list, name, element, 0);
}

static int
ledger(const struct sink *sink, uint64_t first, struct rte_tel_data *d)
{
	struct rte_tel_data *fates = new_dict();
	struct sink_totals totals;
	uint64_t sum = 0;

	if (fates == NULL)
		return -ENOMEM;
	totals_collect(sink, &totals);
	for (unsigned int f = MS_FATE_NONE + 1; f < MS_FATE_COUNT; f++) {
		uint64_t n = ms_count_read(&totals.ledger.fates[f]);

		add_number(fates, ms_fate_name(f), n);
		sum += n;
	}
	rte_tel_data_start_dict(d);
	add_number(d, "received", ms_count_read(&totals.ledger.received));
	add_number(d, "received_bytes", ms_count_read(&totals.ledger.received_bytes));
	add_number(d, "under_way",
		ms_count_read(&totals.ledger.received) > sum
			? ms_count_read(&totals.ledger.received) - sum
			: 0);
	add_number(d, "dedup_evicted", totals.dedup_evicted);
	rte_tel_data_add_dict_container(d, "fates", fates, 0);
	return 0;
}

static int
outputs(const struct sink *sink, uint64_t first, struct rte_tel_data *d)
{
	const struct ms_config *config = sink_config(sink);
	struct sink_totals totals;

	totals_collect(sink, &totals);
	rte_tel_data_start_dict(d);
	for (uint64_t i = first; i < config->outputs_n; i++) {
		const struct ms_output_ledger *l = &totals.outputs[i];
		struct rte_tel_data *output = new_dict(), *dropped = new_dict();

		if (output == NULL || dropped == NULL) {
			rte_tel_data_free(output);
			rte_tel_data_free(dropped);
			return -ENOMEM;
		}
		for (unsigned int r = 0; r < MS_DROP_COUNT; r++)
			add_number(dropped, ms_drop_name(r), ms_count_read(&l->dropped[r]));
		rte_tel_data_add_dict_string(output, "name", config->outputs[i].name);
		rte_tel_data_add_dict_string(
			output, "type", totals_output_type(config->outputs[i].type));
		add_number(output, "offered", ms_count_read(&l->offered));
		add_number(output, "written", ms_count_read(&l->written));
		add_number(output, "bytes", ms_count_read(&l->bytes));
		add_number(output, "buffer_memory", sink->buffer_memory[i]);
		rte_tel_data_add_dict_container(output, "dropped", dropped, 0);
		add_element(d, i, output);
	}
	return 0;
}

static void
add_directions(struct rte_tel_data *d, const struct sink_session_totals *t, uint64_t configured)
{
	char text[TOTALS_MAC_TEXT];
	const char *from;
	uint64_t mac;

	add_number(d, "ingress", t->directions[MS_DIRECTION_INGRESS]);
	add_number(d, "egress", t->directions[MS_DIRECTION_EGRESS]);
	add_number(d, "unknown", t->directions[MS_DIRECTION_UNKNOWN]);
	add_number(d, "mac_changes", t->learned_macs_changed);
	from = totals_mac(configured, t, &mac);
	if (from != NULL) {
		rte_tel_data_add_dict_string(d, "mac", totals_mac_text(mac, text));
		rte_tel_data_add_dict_string(d, "mac_from", from);
	}
}

/* The VLAN ids that tell the session's frames, where an output tags them. */
static void
add_vlan(struct rte_tel_data *d, const struct sink *sink, uint32_t slot)
{
	unsigned int tags = totals_vlan_tags(sink);

	if (tags == 2)
		add_number(d, "vlan_outer", ms_session_vlan_outer(slot));
	if (totals_has_vlan(tags, slot))
		add_number(d, "vlan", ms_session_vlan(slot));
}

static struct rte_tel_data *
session_dict(const struct sink *sink, uint32_t slot, uint64_t configured)
{
	const struct ms_session_info *info = ms_session_info(sink->registry, slot);
	struct rte_tel_data *d = new_dict();
	const struct sink_port *port;
	struct sink_session_totals t;
	char address[INET6_ADDRSTRLEN];

	if (d == NULL)
		return NULL;
	totals_session(sink, slot, &t);
	rte_tel_data_add_dict_string(d, "session", info->name);
	add_number(d, "vni", info->vni);
	rte_tel_data_add_dict_string(
		d, "source", totals_address(info->source, info->source_family, address));
	add_number(d, "packets", t.packets);
	add_number(d, "bytes", t.bytes);
	add_number(d, "delivered", t.delivered);
	add_number(d, "rejected", t.rejected);
	add_number(d, "lost", t.lost);
	add_number(d, "duplicates", t.duplicates);
	add_vlan(d, sink, slot);
	port = own_port(sink, slot);
	if (port != NULL)
		rte_tel_data_add_dict_string(d, "port", port->name);
	add_directions(d, &t, configured);
	return d;
}

static int
sessions(const struct sink *sink, uint64_t first, struct rte_tel_data *d)
{
	uint32_t n = ms_session_count(sink->registry);
	uint64_t macs[PAGE];

	totals_macs(sink, (uint32_t)RTE_MIN(first, (uint64_t)n), PAGE, macs);
	rte_tel_data_start_dict(d);
	for (uint64_t slot = first; slot < n && slot < first + PAGE; slot++) {
		struct rte_tel_data *session =
			session_dict(sink, (uint32_t)slot, macs[slot - first]);

		if (session == NULL)
			return -ENOMEM;
		add_element(d, slot, session);
	}
	return 0;
}

/* A page of a long list while it is being walked. */
struct page {
	struct rte_tel_data *list;
	uint64_t first;
	uint64_t index; /* of the element that comes next */
};

/* The next element, or NULL if it is not on this page or there is no memory. */
static struct rte_tel_data *
next_on_page(struct page *page)
{
	uint64_t index = page->index++;

	return index >= page->first && index < page->first + PAGE ? new_dict() : NULL;
}

static void
add_rule(struct page *page, const struct ms_filter *filter, const struct ms_rule *rule,
	uint64_t hits)
{
	struct rte_tel_data *d = next_on_page(page);

	if (d == NULL)
		return;
	rte_tel_data_add_dict_string(d, "filter", filter->name);
	if (rule == NULL) {
		rte_tel_data_add_dict_string(d, "direction", "both");
		add_number(d, "rule", 0);
		rte_tel_data_add_dict_string(d, "service", "amazon-dns");
	} else {
		rte_tel_data_add_dict_string(d, "direction", totals_direction(rule->direction));
		add_number(d, "rule", rule->number);
	}
	add_number(d, "hits", hits);
	add_element(page->list, page->index - 1, d);
}

static int
rules(const struct sink *sink, uint64_t first, struct rte_tel_data *d)
{
	const struct ms_ruleset *ruleset = ms_ruleset_get(&sink->rules);
	const struct ms_config *config = ruleset->config;
	uint64_t *hits = calloc(ruleset->rules_n + 1, sizeof(*hits));
	uint64_t *services = calloc(config->filters_n + 1, sizeof(*services));
	struct page page = {.list = d, .first = first};
	int rc = hits != NULL && services != NULL ? 0 : -ENOMEM;

	if (rc == 0) {
		ms_ruleset_count(ruleset, hits, services);
		rte_tel_data_start_dict(d);
	}
	for (uint32_t f = 0; rc == 0 && f < config->filters_n; f++) {
		const struct ms_filter *filter = &config->filters[f];

		if (filter->amazon_dns)
			add_rule(&page, filter, NULL, services[f]);
		for (uint32_t i = 0; i < filter->rules_n; i++)
			add_rule(&page, filter, &filter->rules[i],
				hits[ruleset->rules_first[f] + i]);
	}
	free(hits);
	free(services);
	return rc;
}

static int
ports(const struct sink *sink, uint64_t first, struct rte_tel_data *d)
{
	rte_tel_data_start_dict(d);
	for (uint64_t i = first; i < sink->ports_n; i++) {
		const struct sink_port *port = &sink->ports[i];
		struct sink_device_counter list[TOTALS_DEVICE_MAX];
		uint32_t n = totals_device(port, list);
		struct rte_tel_data *dict = new_dict();

		if (dict == NULL)
			return -ENOMEM;
		rte_tel_data_add_dict_string(dict, "name", port->name);
		rte_tel_data_add_dict_string(dict, "role", totals_role(port->role));
		rte_tel_data_add_dict_string(dict, "state", totals_port_state(port));
		for (uint32_t c = 0; c < n; c++)
			add_number(dict, list[c].name, list[c].value);
		add_element(d, i, dict);
	}
	return 0;
}

/* The readers of an interface as a list, or NULL if there is no memory. */
static struct rte_tel_data *
readers_list(unsigned int index)
{
	struct kernel_reader list[KERNEL_READERS_MAX];
	uint32_t n = kernel_readers(index, list);
	struct rte_tel_data *d = new_dict();

	for (uint32_t i = 0; d != NULL && i < n; i++) {
		struct rte_tel_data *reader = new_dict();

		if (reader == NULL)
			break;
		add_number(reader, "inode", list[i].inode);
		add_number(reader, "uid", list[i].uid);
		add_number(reader, "ring", list[i].ring);
		if (!list[i].ring)
			add_number(reader, "dropped", list[i].dropped);
		add_number(reader, "queued", list[i].queued);
		add_number(reader, "room", list[i].room);
		add_element(d, i, reader);
	}
	return d;
}

static int
kernel(const struct sink *sink, uint64_t first, struct rte_tel_data *d)
{
	rte_tel_data_start_dict(d);
	for (uint64_t i = first; i < sink->ports_n && i < first + KERNEL_PAGE; i++) {
		struct rte_tel_data *port = new_dict(), *readers;
		struct kernel_interface interface;

		if (port == NULL)
			return -ENOMEM;
		rte_tel_data_add_dict_string(port, "name", sink->ports[i].name);
		add_element(d, i, port);
		if (!behind_read(&sink->ports[i], &interface))
			continue;
		rte_tel_data_add_dict_string(port, "interface", interface.name);
		add_number(port, "mtu", interface.mtu);
		for (unsigned int c = 0; c < KERNEL_COUNTERS; c++)
			add_number(port, kernel_counter_name(c), interface.counters[c]);
		readers = readers_list(interface.index);
		if (readers != NULL)
			rte_tel_data_add_dict_container(port, "readers", readers, 0);
	}
	return 0;
}

static int
exception(const struct sink *sink, uint64_t first, struct rte_tel_data *d)
{
	struct rte_tel_data *list = new_dict();
	struct sink_totals totals;

	if (list == NULL)
		return -ENOMEM;
	for (uint16_t i = 0; i < sink->exceptions_n; i++) {
		struct rte_tel_data *port = new_dict();

		if (port == NULL) {
			rte_tel_data_free(list);
			return -ENOMEM;
		}
		rte_tel_data_add_dict_string(port, "name", sink->exceptions[i]->name);
		rte_tel_data_add_dict_string(port, "mirror", sink->exceptions[i]->peer->name);
		add_element(list, i, port);
	}
	totals_collect(sink, &totals);
	rte_tel_data_start_dict(d);
	add_number(d, "sent", totals.exception_sent);
	add_number(d, "dropped", totals.exception_dropped);
	add_number(d, "returned", totals.exception_returned);
	add_number(d, "lost", totals.exception_lost);
	rte_tel_data_add_dict_container(d, "ports", list, 0);
	return 0;
}

static void
add_health_lcores(struct rte_tel_data *list, const struct health_verdict *verdict)
{
	for (uint32_t i = 0; i < verdict->lcores_n; i++) {
		const struct health_lcore *lcore = &verdict->lcores[i];
		struct rte_tel_data *d = new_dict();

		if (d == NULL)
			return;
		rte_tel_data_add_dict_string(d, "role", lcore->worker ? "worker" : "rx");
		add_number(d, "milliseconds", lcore->still_ms);
		add_number(d, "ok", lcore->ok);
		add_element(list, lcore->lcore, d);
	}
}

static void
add_health_outputs(
	struct rte_tel_data *list, const struct sink *sink, const struct health_verdict *verdict)
{
	for (uint32_t i = 0; i < verdict->outputs_n; i++) {
		const struct health_output *output = &verdict->outputs[i];
		struct rte_tel_data *d = new_dict();

		if (d == NULL)
			return;
		rte_tel_data_add_dict_string(d, "name", sink_config(sink)->outputs[i].name);
		add_number(d, "waiting_milliseconds", output->waiting_ms);
		add_number(d, "ok", output->ok);
		add_element(list, i, d);
	}
}

static int
health(const struct sink *sink, uint64_t first, struct rte_tel_data *d)
{
	struct rte_tel_data *lcores = new_dict(), *outputs_list = new_dict(),
			    *problems = new_dict();
	struct health_verdict verdict;

	if (lcores == NULL || outputs_list == NULL || problems == NULL) {
		rte_tel_data_free(lcores);
		rte_tel_data_free(outputs_list);
		rte_tel_data_free(problems);
		return -ENOMEM;
	}
	health_judge(sink, &verdict);
	add_health_lcores(lcores, &verdict);
	add_health_outputs(outputs_list, sink, &verdict);
	for (uint32_t i = 0; i < RTE_MIN(verdict.problems_n, HEALTH_PROBLEMS); i++) {
		char index[24];

		snprintf(index, sizeof(index), "%u", i);
		rte_tel_data_add_dict_string(problems, index, verdict.problems[i]);
	}
	rte_tel_data_start_dict(d);
	add_number(d, "healthy", verdict.healthy);
	rte_tel_data_add_dict_container(d, "lcores", lcores, 0);
	rte_tel_data_add_dict_container(d, "outputs", outputs_list, 0);
	rte_tel_data_add_dict_container(d, "problems", problems, 0);
	return 0;
}

static int
add_idle(struct rte_tel_data *list, uint64_t index, unsigned int lcore, const struct ms_idle *idle)
{
	struct rte_tel_data *element = new_dict();

	if (element == NULL)
		return -ENOMEM;
	add_number(element, "lcore", lcore);
	add_number(element, "monitored", ms_count_read(&idle->monitored));
	add_number(element, "interrupts", ms_count_read(&idle->interrupts));
	add_number(element, "sleeps", ms_count_read(&idle->sleeps));
	add_number(element, "idle_us", ms_count_read(&idle->ticks) / idle->ticks_per_us);
	add_element(list, index, element);
	return 0;
}

/* Rx lcores first, then workers. */
static int
idle(const struct sink *sink, uint64_t first, struct rte_tel_data *d)
{
	uint64_t n = (uint64_t)sink->rx_n + sink->workers_n;
	int rc = 0;

	rte_tel_data_start_dict(d);
	for (uint64_t i = first; rc == 0 && i < n && i - first < PAGE; i++) {
		if (i < sink->rx_n)
			rc = add_idle(d, i, sink->rx[i]->lcore, &sink->rx[i]->idle);
		else
			rc = add_idle(d, i, sink->workers[i - sink->rx_n]->lcore,
				&sink->workers[i - sink->rx_n]->idle);
	}
	return rc;
}

static const struct {
	const char *name;
	const char *help;
	int (*answer)(const struct sink *sink, uint64_t first, struct rte_tel_data *d);
} commands[] = {
	{"/mirrorsink/ledger", "What became of every packet. No parameters", ledger},
	{"/mirrorsink/sessions", "Sessions. Parameter: index of the first of a page", sessions},
	{"/mirrorsink/rules", "Hits of rules. Parameter: index of the first of a page", rules},
	{"/mirrorsink/outputs", "The ledger of each output. No parameters", outputs},
	{"/mirrorsink/exception", "What went to the kernel and came back. No parameters",
		exception},
	{"/mirrorsink/health", "Whether lcores and outputs make progress. No parameters", health},
	{"/mirrorsink/idle",
		"How lcores wait, and how long. Parameter: index of the first of a page", idle},
	{"/mirrorsink/ports", "Ports, and what their devices count. No parameters", ports},
	{"/mirrorsink/kernel", "The kernel behind ports. Parameter: index of the first of a page",
		kernel},
};

static int
answer(const char *cmd, const char *params, struct rte_tel_data *d)
{
	uint64_t first = params != NULL ? strtoull(params, NULL, 10) : 0;
	struct sink *sink = atomic_load(&asked);
	int rc = -ESHUTDOWN;

	if (sink == NULL)
		return rc;
	pthread_mutex_lock(&sink->lock);
	for (size_t i = 0; atomic_load(&asked) != NULL && i < RTE_DIM(commands); i++) {
		if (strcmp(cmd, commands[i].name) == 0)
			rc = commands[i].answer(sink, first, d);
	}
	pthread_mutex_unlock(&sink->lock);
	return rc;
}

/* Attaches or detaches a port, which control does; the lock is free meanwhile. */
static int
plug(const char *cmd, const char *params, struct rte_tel_data *d)
{
	enum sink_plug_action action =
		strcmp(cmd, ATTACH) == 0 ? SINK_PLUG_ATTACH : SINK_PLUG_DETACH;
	struct sink *sink = atomic_load(&asked);
	char text[SINK_PLUG_TEXT] = "name the port: " ATTACH ",net_tap0";
	int rc = -ESHUTDOWN;

	if (sink == NULL)
		return rc;
	pthread_mutex_lock(&sink->lock);
	if (params == NULL)
		rc = -EINVAL;
	else if (atomic_load(&asked) != NULL)
		rc = plug_ask(sink, action, params, text);
	pthread_mutex_unlock(&sink->lock);
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_int(d, "done", rc == 0);
	rte_tel_data_add_dict_string(d, "text", text);
	return 0;
}

int
telemetry_begin(struct sink *sink)
{
	int rc = 0;

	atomic_store(&asked, sink);
	for (size_t i = 0; rc == 0 && i < RTE_DIM(commands); i++)
		rc = rte_telemetry_register_cmd(commands[i].name, answer, commands[i].help);
	if (rc == 0)
		rc = rte_telemetry_register_cmd(
			ATTACH, plug, "Takes a port back that was gone. Parameter: its name");
	if (rc == 0)
		rc = rte_telemetry_register_cmd(
			DETACH, plug, "Lets go of a port. Parameter: its name");
	return rc;
}

void
telemetry_end(void)
{
	struct sink *sink = atomic_load(&asked);

	if (sink == NULL)
		return;
	/* whoever answers now has the lock, and those who wait for it look again */
	pthread_mutex_lock(&sink->lock);
	atomic_store(&asked, NULL);
	pthread_mutex_unlock(&sink->lock);
}
