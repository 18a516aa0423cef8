/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A document names a target; where that is, is known if it is an interface that is loaded too. For
 * all else the command line has to say it.
 */
#include "targets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Addresses of one end: at most one of each family is of use. */
struct end {
	struct ms_ip v4;
	struct ms_ip v6;
	bool has_v4;
	bool has_v6;
};

static int
compare_targets(const void *a, const void *b)
{
	const struct ms_config_target *const *x = a, *const *y = b;

	return strcmp((*x)->id, (*y)->id);
}

static int
compare_interfaces(const void *a, const void *b)
{
	const struct ms_config_interface *const *x = a, *const *y = b;

	return strcmp((*x)->id, (*y)->id);
}

int
source_targets_init(struct source_targets *t, const struct ms_config *config,
	const struct source_options *options)
{
	t->config = config;
	t->options = options;
	t->targets = calloc(config->targets_n + 1, sizeof(const struct ms_config_target *));
	t->interfaces =
		calloc(config->interfaces_n + 1, sizeof(const struct ms_config_interface *));
	if (t->targets == NULL || t->interfaces == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < config->targets_n; i++)
		t->targets[i] = &config->targets[i];
	for (uint32_t i = 0; i < config->interfaces_n; i++)
		t->interfaces[i] = &config->interfaces[i];
	qsort(t->targets, config->targets_n, sizeof(*t->targets), compare_targets);
	qsort(t->interfaces, config->interfaces_n, sizeof(*t->interfaces), compare_interfaces);
	return 0;
}

void
source_targets_free(struct source_targets *t)
{
	free(t->targets);
	free(t->interfaces);
}

const struct ms_config_target *
source_target(const struct source_targets *t, const struct ms_config_session *session)
{
	const struct ms_config_target wanted = {.id = session->target_id}, *key = &wanted;
	const struct ms_config_target **found = NULL;

	if (session->target_id != NULL)
		found = bsearch(&key, t->targets, t->config->targets_n, sizeof(*t->targets),
			compare_targets);
	return found != NULL ? *found : NULL;
}

/* The loaded interface that is a session's target, or NULL. */
static const struct ms_config_interface *
target_interface(const struct source_targets *t, const struct ms_config_session *session)
{
	const struct ms_config_target *target = source_target(t, session);
	struct ms_config_interface wanted = {0};
	const struct ms_config_interface *key = &wanted, **found = NULL;

	if (target == NULL || target->type == NULL || target->destination == NULL ||
		strcmp(target->type, "network-interface") != 0)
		return NULL;
	wanted.id = target->destination;
	found = bsearch(&key, t->interfaces, t->config->interfaces_n, sizeof(*t->interfaces),
		compare_interfaces);
	return found != NULL ? *found : NULL;
}

static bool
names(const struct source_target *given, const char *id)
{
	return id != NULL && strlen(id) == given->id_length &&
	       memcmp(id, given->id, given->id_length) == 0;
}

bool
source_targets_check(const struct source_targets *t)
{
	for (uint16_t i = 0; i < t->options->targets_n; i++) {
		const struct source_target *given = &t->options->targets[i];
		bool known = false;

		for (uint32_t j = 0; !known && j < t->config->targets_n; j++)
			known = names(given, t->config->targets[j].id);
		for (uint32_t j = 0; !known && j < t->config->sessions_n; j++)
			known = names(given, t->config->sessions[j].target_id);
		if (!known)
			return cli_wrong(
				"--target: '%s': no document knows of this target: correct "
				"its TrafficMirrorTargetId",
				given->id);
	}
	return true;
}

static void
add_address(struct end *end, struct ms_ip ip, uint8_t family)
{
	if (family == MS_FAMILY_V4) {
		end->v4 = ip;
		end->has_v4 = true;
	} else if (family == MS_FAMILY_V6) {
		end->v6 = ip;
		end->has_v6 = true;
	}
}

/* The primary addresses, which are those that AWS puts into mirrored packets. */
static void
add_interface(struct end *end, const struct ms_config_interface *interface)
{
	add_address(end, interface->address.ip, interface->address.family);
	if (interface->addresses6_n > 0)
		add_address(end, interface->addresses6[0].ip, MS_FAMILY_V6);
}

/* Where a session's target is: as --target says, else the documents, else --target-address. */
static struct end
find_target(const struct source_targets *t, const struct ms_config_session *session,
	const struct ms_config_interface *interface)
{
	const struct source_options *o = t->options;
	struct end end = {.has_v4 = false};

	for (uint16_t i = 0; i < o->targets_n; i++) {
		if (names(&o->targets[i], session->target_id))
			add_address(&end, o->targets[i].address, o->targets[i].family);
	}
	if (interface != NULL && !end.has_v4 && !end.has_v6)
		add_interface(&end, interface);
	if (!end.has_v4 && !end.has_v6)
		add_address(&end, o->encap.target, o->families[SOURCE_ADDRESS_TARGET]);
	return end;
}

static bool
wrong(const struct ms_config_session *session, const char *what, const char *todo)
{
	return cli_wrong("%s:%u:%u: session %s: %s: %s", session->origin.file, session->origin.line,
		session->origin.column, session->id, what, todo);
}

static bool
no_address(const struct source_targets *t, const struct ms_config_session *session)
{
	const struct ms_config_target *target = source_target(t, session);
	const char *type = target != NULL ? target->type : NULL;
	char what[256], todo[256];

	if (session->target_id == NULL)
		return wrong(session, "no TrafficMirrorTargetId",
			"add it, or say with --target-address where such packets go");
	snprintf(todo, sizeof(todo), "say where it is with --target %s=ADDRESS%s",
		session->target_id,
		target == NULL ? ", or load the documents that have it under TrafficMirrorTargets, "
				 "and its interface"
		: type != NULL && strcmp(type, "network-interface") == 0
			? ", or load its interface with the NetworkInterfaces"
			: "");
	snprintf(what, sizeof(what), "TrafficMirrorTargetId \"%s\"%s%s%s: its address is not known",
		session->target_id, type != NULL ? " (" : "", type != NULL ? type : "",
		type != NULL ? ")" : "");
	return wrong(session, what, todo);
}

/* Version of IP that both ends speak, and that the user wants; NONE after saying what is wrong. */
static uint8_t
choose_family(const struct source_targets *t, const struct ms_config_session *session,
	const struct end *eni, const struct end *target)
{
	bool v4 = eni->has_v4 && target->has_v4, v6 = eni->has_v6 && target->has_v6;
	uint8_t wanted = t->options->ip_version;
	char what[256], todo[256];

	if (v4 && wanted != MS_FAMILY_V6)
		return MS_FAMILY_V4;
	if (v6 && wanted != MS_FAMILY_V4)
		return MS_FAMILY_V6;
	if (!eni->has_v4 && !eni->has_v6) {
		snprintf(what, sizeof(what), "its ENI %s has no IP address", session->interface_id);
		wrong(session, what, "add PrivateIpAddress or Ipv6Addresses to the interface");
	} else if (wanted != MS_FAMILY_NONE) {
		snprintf(what, sizeof(what), "--ip-version %u: %s has no IPv%u address", wanted,
			(wanted == MS_FAMILY_V4 ? eni->has_v4 : eni->has_v6) ? "its target"
									     : "its ENI",
			wanted);
		wrong(session, what,
			v4 || v6 ? "leave --ip-version out, or give the address"
				 : "give it in the documents, or the target's with --target");
	} else {
		snprintf(todo, sizeof(todo), "give an IPv%u address of the target with --target",
			eni->has_v4 ? 4 : 6);
		snprintf(what, sizeof(what), "its ENI has only IPv%u and its target only IPv%u",
			eni->has_v4 ? 4 : 6, target->has_v4 ? 4 : 6);
		wrong(session, what, todo);
	}
	return MS_FAMILY_NONE;
}

static void
mac_from_number(struct rte_ether_addr *mac, uint64_t number)
{
	for (int i = RTE_ETHER_ADDR_LEN - 1; i >= 0; i--, number >>= 8)
		mac->addr_bytes[i] = (uint8_t)number;
}

bool
source_target_resolve(const struct source_targets *t, const struct ms_config_session *session,
	const struct ms_config_interface *eni, struct ms_encap_options *encap)
{
	const struct ms_config_interface *interface = target_interface(t, session);
	struct end target = find_target(t, session, interface);
	struct end source = {.has_v4 = false};

	add_interface(&source, eni);
	if (!target.has_v4 && !target.has_v6)
		return no_address(t, session);
	encap->family = choose_family(t, session, &source, &target);
	if (encap->family == MS_FAMILY_NONE)
		return false;
	encap->source = encap->family == MS_FAMILY_V4 ? source.v4 : source.v6;
	encap->target = encap->family == MS_FAMILY_V4 ? target.v4 : target.v6;
	if (!t->options->target_mac && interface != NULL && interface->mac != 0)
		mac_from_number(&encap->target_mac, interface->mac);
	return true;
}
