/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes a tap for each session of an output that asks for it. Sessions have slots in order and keep
 * them, so those that are new are always the last ones; a session that a reload has taken away
 * keeps its tap until the end.
 */
#include "own_ports.h"

#include <err.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_dev.h>
#include <rte_ethdev.h>

#include "outputs.h"
#include "port.h"
#include "ports.h"
#include "ruleset/ms_ruleset_ref.h"

#define DRIVER "net_tap"

bool
own_ports_init(struct sink *sink, uint32_t output)
{
	struct ms_output_ports *to = sink->output_ports[output];

	to->of_session = mmap(NULL, MS_SESSIONS_MAX * sizeof(*to->of_session),
		PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (to->of_session != MAP_FAILED)
		return true;
	to->of_session = NULL;
	return cli_wrong("out of memory");
}

void
own_ports_fini(struct ms_output_ports *to)
{
	if (to->of_session != NULL)
		munmap(to->of_session, MS_SESSIONS_MAX * sizeof(*to->of_session));
}

static const struct ms_config_session *
find_session(const struct ms_config *config, const struct ms_session_info *info)
{
	for (uint32_t s = 0; s < config->sessions_n; s++) {
		if (config->sessions[s].vni == info->vni &&
			strcmp(config->sessions[s].id, info->name) == 0)
			return &config->sessions[s];
	}
	return NULL;
}

/* Outputs that frames of a session, or of one that is learned, can go to; all if out of memory. */
static uint32_t
outputs_of(const struct ms_config *config, const struct ms_config_session *session, uint32_t vni)
{
	struct ms_policy_ref ref;
	uint32_t outputs = 0;

	if (ms_policy_ref_init(&ref, config) != 0)
		return UINT32_MAX;
	ms_policy_ref_fill(&ref, session, vni);
	for (uint32_t i = 0; i < ref.policy.routes_n; i++)
		outputs |= ref.routes[i].outputs;
	ms_policy_ref_fini(&ref);
	return outputs;
}

/* Fills in an interface's name. False if it is no name for one. */
static bool
expand(const char *pattern, const char *session, uint32_t vni, char name[static IF_NAMESIZE])
{
	size_t n = 0;

	while (*pattern != '\0' && n < IF_NAMESIZE) {
		size_t room = IF_NAMESIZE - n;

		if (strncmp(pattern, "{vni}", 5) == 0) {
			n += (size_t)snprintf(&name[n], room, "%u", vni);
			pattern += 5;
		} else if (strncmp(pattern, "{session}", 9) == 0) {
			n += (size_t)snprintf(&name[n], room, "%s", session);
			pattern += 9;
		} else {
			name[n++] = *pattern++;
		}
	}
	if (n >= IF_NAMESIZE)
		return false;
	name[n] = '\0';
	return strpbrk(name, "{}/: \t,=") == NULL;
}

static bool
say_no_name(const struct ms_config_output *output, const char *session)
{
	char place[OUTPUTS_PLACE];

	outputs_place(output, place, sizeof(place));
	return cli_wrong("%s: '%s' is no name for an interface of session %s: it has at most %u "
			 "characters, and no :, / or space; {vni} is shorter than {session}",
		place, output->interface, session, IF_NAMESIZE - 1);
}

static bool
say_no_port(const struct ms_config_output *output, const char *session)
{
	char place[OUTPUTS_PLACE];

	outputs_place(output, place, sizeof(place));
	return cli_wrong("%s: no port is left for session %s: this DPDK has %u in all, and an "
			 "output at most %u queues; \"Tenant\": \"vlan\" tells more sessions apart",
		place, session, RTE_MAX_ETHPORTS, MS_OUTPUT_WAYS);
}

/* Ports that an output has. */
static uint32_t
count_ports(const struct sink *sink, uint32_t output)
{
	uint32_t n = 0;

	for (uint16_t p = 0; p < sink->ports_n; p++)
		n += sink->ports[p].lanes != NULL && sink->ports[p].output == output;
	return n;
}

bool
own_ports_check(const struct sink *sink, const struct ms_config *config)
{
	uint32_t left = RTE_MAX_ETHPORTS - rte_eth_dev_count_avail();

	for (uint32_t i = 0; i < config->outputs_n; i++) {
		const struct ms_config_output *output = &config->outputs[i];
		const struct ms_output_ports *to = sink->output_ports[i];
		uint32_t room;

		if (output->tenant != MS_TENANT_PORT)
			continue;
		room = MS_OUTPUT_WAYS / to->queues - count_ports(sink, i);
		for (uint32_t s = 0; s < config->sessions_n; s++) {
			const struct ms_config_session *session = &config->sessions[s];
			uint32_t slot = ms_session_find(sink->registry, session->id, session->vni);
			char name[IF_NAMESIZE];

			if ((outputs_of(config, session, session->vni) & 1u << i) == 0 ||
				(slot != MS_SESSION_NONE &&
					atomic_load_explicit(
						&to->of_session[slot], memory_order_relaxed) != 0))
				continue;
			if (!expand(output->interface, session->id, session->vni, name))
				return say_no_name(output, session->id);
			if (left == 0 || room == 0)
				return say_no_port(output, session->id);
			left--;
			room--;
		}
	}
	return true;
}

/* The next port of an output. NULL after a message. */
static struct sink_port *
make(struct sink *sink, uint32_t i, uint32_t slot)
{
	const struct ms_config_output *output = &sink_config(sink)->outputs[i];
	const struct ms_session_info *info = ms_session_info(sink->registry, slot);
	char place[OUTPUTS_PLACE], interface[IF_NAMESIZE], name[RTE_ETH_NAME_MAX_LEN];
	char arguments[IF_NAMESIZE + 8];
	uint32_t used = count_ports(sink, i);

	outputs_place(output, place, sizeof(place));
	if (!expand(output->interface, info->name, info->vni, interface)) {
		say_no_name(output, info->name);
		return NULL;
	}
	if ((used + 1) * sink->output_ports[i]->queues > MS_OUTPUT_WAYS ||
		rte_eth_dev_count_avail() == RTE_MAX_ETHPORTS) {
		say_no_port(output, info->name);
		return NULL;
	}
	snprintf(name, sizeof(name), DRIVER "_%s", interface);
	snprintf(arguments, sizeof(arguments), "iface=%s", interface);
	if (if_nametoindex(interface) != 0) {
		cli_wrong("%s: the tap %s of session %s cannot be made: there is an interface of "
			  "this name",
			place, interface, info->name);
		return NULL;
	}
	if (rte_eal_hotplug_add("vdev", name, arguments) != 0) {
		cli_wrong("%s: the tap %s of session %s cannot be made; the lines before this one "
			  "say why",
			place, interface, info->name);
		return NULL;
	}
	return ports_claim_output(sink, place, name, i, used);
}

static bool
bring_up(struct sink *sink, struct sink_port *port)
{
	if (!port_choose_queues(sink, port) || !port_start(sink, port))
		return false;
	port_publish(sink, port);
	return true;
}

/* Makes what a session lacks; start: lcores run, so what is made is started at once. */
static bool
make_all(struct sink *sink, uint32_t slot, bool start)
{
	const struct ms_session_info *info = ms_session_info(sink->registry, slot);
	const struct ms_config *config = sink_config(sink);
	uint32_t outputs = outputs_of(config, find_session(config, info), info->vni);
	bool ok = true;

	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++) {
		struct ms_output_ports *to = sink->output_ports[i];
		struct sink_port *port;

		if (to == NULL || to->of_session == NULL || (outputs & 1u << i) == 0)
			continue;
		port = make(sink, i, slot);
		if (port == NULL || (start && !bring_up(sink, port))) {
			ok = false;
			continue;
		}
		/* pairs with the acquire of the lanes */
		atomic_store_explicit(&to->of_session[slot], (uint8_t)(port->lanes - to->ports + 1),
			memory_order_release);
		if (start)
			warnx("output %s: session %s has the port %s now", config->outputs[i].name,
				info->name, port->name);
	}
	return ok;
}

static bool
is_used(const struct sink *sink)
{
	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++) {
		if (sink->output_ports[i] != NULL && sink->output_ports[i]->of_session != NULL)
			return true;
	}
	return false;
}

bool
own_ports_make(struct sink *sink)
{
	uint32_t n = is_used(sink) ? ms_session_count(sink->registry) : 0;
	bool ok = own_ports_check(sink, sink_config(sink));

	for (; ok && sink->own_ports_seen < n; sink->own_ports_seen++)
		ok = make_all(sink, sink->own_ports_seen, false);
	return ok;
}

void
own_ports_work(struct sink *sink)
{
	uint32_t n = is_used(sink) ? ms_session_count(sink->registry) : 0;

	for (; sink->own_ports_seen < n; sink->own_ports_seen++)
		make_all(sink, sink->own_ports_seen, true);
}

const struct sink_port *
own_port(const struct sink *sink, uint32_t slot)
{
	for (uint16_t p = 0; p < sink->ports_n; p++) {
		const struct sink_port *port = &sink->ports[p];
		const struct ms_output_ports *to;

		if (port->lanes == NULL)
			continue;
		to = sink->output_ports[port->output];
		if (to->of_session != NULL &&
			atomic_load_explicit(&to->of_session[slot], memory_order_relaxed) ==
				port->lanes - to->ports + 1)
			return port;
	}
	return NULL;
}
