/* SPDX-License-Identifier: BSD-3-Clause */
/* See ms_ruleset_ref.h. Plain loops over the configuration, for a reader rather than for speed. */
#include "ruleset/ms_ruleset_ref.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Do we know any address that the session's packets come from? */
static bool
has_address(const struct ms_config *config, const struct ms_config_session *session)
{
	const struct ms_config_interface *eni;

	if (session->interface < 0)
		return false;
	eni = &config->interfaces[session->interface];
	return eni->address.family != MS_FAMILY_NONE || eni->addresses6_n > 0;
}

/* AWS sends from the interface's primary IPv4 address, or from an IPv6 address. */
static bool
comes_from(const struct ms_config *config, const struct ms_config_session *session,
	struct ms_ip source, uint8_t family)
{
	const struct ms_config_interface *eni;

	if (session->interface < 0)
		return false;
	eni = &config->interfaces[session->interface];
	if (eni->address.family != MS_FAMILY_NONE && family == MS_FAMILY_V4)
		return ms_ip_equal(eni->address.ip, source);
	for (uint32_t i = 0; i < eni->addresses6_n && family == MS_FAMILY_V6; i++) {
		if (ms_ip_equal(eni->addresses6[i].ip, source))
			return true;
	}
	return false;
}

static bool
routes_name(const struct ms_config *config, uint32_t vni)
{
	for (uint32_t i = 0; i < config->routes_n; i++) {
		const struct ms_config_route *route = &config->routes[i];

		if (route->has_vni && route->vni == vni && route->session_id == NULL)
			return true;
	}
	return false;
}

/* What becomes of a packet that belongs to no configured session. */
static void
judge_stranger(const struct ms_config *config, uint32_t vni, struct ms_session_ref *ref)
{
	bool known = ref->sessions_n > 0;
	bool strict = config->source_check == MS_SOURCE_STRICT;
	bool learn = config->sessions_n == 0 || config->unknown_session == MS_UNKNOWN_DELIVER;

	ref->why = known ? MS_WHY_OTHER_SOURCE : MS_WHY_UNKNOWN_VNI;
	if (known && strict) {
		ref->fate = MS_FATE_SOURCE_MISMATCH;
	} else if (learn) {
		ref->why = routes_name(config, vni) ? MS_WHY_LEARNED_ROUTE : MS_WHY_LEARNED;
		ref->session = NULL;
	} else {
		ref->fate = MS_FATE_SESSION_UNKNOWN;
	}
}

struct ms_session_ref
ms_session_ref(
	const struct ms_config *config, uint32_t vni, struct ms_ip source, uint8_t source_family)
{
	const struct ms_config_session *by_source = NULL, *by_vni = NULL;
	struct ms_session_ref ref = {.fate = MS_FATE_NONE};

	for (uint32_t i = 0; i < config->sessions_n; i++) {
		const struct ms_config_session *session = &config->sessions[i];

		if (session->vni != vni)
			continue;
		if (ref.sessions_n++ == 0)
			ref.session = session;
		if (comes_from(config, session, source, source_family))
			by_source = session;
		else if (!has_address(config, session))
			by_vni = session;
	}
	if (ref.sessions_n == 1 && config->source_check != MS_SOURCE_STRICT) {
		ref.why = MS_WHY_VNI;
	} else if (by_source != NULL) {
		ref.why = MS_WHY_SOURCE;
		ref.session = by_source;
	} else if (by_vni != NULL) {
		ref.why = MS_WHY_ANY_SOURCE;
		ref.session = by_vni;
	} else {
		judge_stranger(config, vni, &ref);
	}
	return ref;
}

int
ms_policy_ref_init(struct ms_policy_ref *ref, const struct ms_config *config)
{
	size_t blocks = 0;

	for (uint32_t i = 0; i < config->vpcs_n; i++)
		blocks += config->vpcs[i].blocks_n;
	*ref = (struct ms_policy_ref){.config = config};
	ref->routes = calloc((size_t)config->routes_n + 1, sizeof(*ref->routes));
	ref->origins = calloc((size_t)config->routes_n + 1, sizeof(const struct ms_config_route *));
	ref->resolvers = calloc(blocks + 1, sizeof(*ref->resolvers));
	if (ref->routes != NULL && ref->origins != NULL && ref->resolvers != NULL)
		return 0;
	ms_policy_ref_fini(ref);
	return -ENOMEM;
}

void
ms_policy_ref_fini(struct ms_policy_ref *ref)
{
	free(ref->routes);
	free(ref->origins);
	free(ref->resolvers);
	memset(ref, 0, sizeof(*ref));
}

/* The base address plus two of each block of the session's VPC. */
static void
fill_resolvers(struct ms_policy_ref *ref, const struct ms_config_session *session)
{
	const struct ms_config *config = ref->config;
	const char *vpc = NULL;
	uint32_t n = 0;

	if (session != NULL && session->interface >= 0)
		vpc = config->interfaces[session->interface].vpc_id;
	for (uint32_t i = 0; vpc != NULL && i < config->vpcs_n; i++) {
		for (uint32_t b = 0; b < config->vpcs[i].blocks_n; b++) {
			if (strcmp(config->vpcs[i].id, vpc) != 0)
				continue;
			ref->resolvers[n] = config->vpcs[i].blocks[b];
			ref->resolvers[n].ip.lo += 2;
			ref->resolvers[n++].length = 32;
		}
	}
	ref->policy.resolvers = ref->resolvers;
	ref->policy.resolvers_n = n;
}

static bool
applies(const struct ms_config_route *route, const struct ms_config_session *session, uint32_t vni)
{
	if (route->has_vni && route->vni != vni)
		return false;
	return route->session_id == NULL ||
	       (session != NULL && strcmp(route->session_id, session->id) == 0);
}

void
ms_policy_ref_fill(struct ms_policy_ref *ref, const struct ms_config_session *session, uint32_t vni)
{
	const struct ms_config *config = ref->config;
	uint32_t n = 0, unfiltered = 0;

	if (config->routes_n == 0) {
		ref->origins[0] = NULL;
		ref->routes[n++] = (struct ms_filter_route){
			NULL, (uint32_t)((UINT64_C(1) << config->outputs_n) - 1)};
	}
	for (uint32_t i = 0; i < config->routes_n; i++) {
		const struct ms_config_route *route = &config->routes[i];

		if (!applies(route, session, vni))
			continue;
		ref->origins[n] = route;
		ref->routes[n].filter = route->filter >= 0 ? &config->filters[route->filter] : NULL;
		ref->routes[n].outputs = route->outputs;
		if (ref->routes[n++].filter == NULL)
			unfiltered |= route->outputs;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (ref->routes[i].filter != NULL)
			ref->routes[i].outputs &= ~unfiltered;
	}
	ref->policy = (struct ms_filter_policy){.routes = ref->routes, .routes_n = n};
	if (session != NULL && session->filter >= 0)
		ref->policy.session = &config->filters[session->filter];
	fill_resolvers(ref, session);
}
