/* SPDX-License-Identifier: BSD-3-Clause */
/* Session, direction, rules and routes of a packet, by the readable references. */
#include "explain.h"

#include <string.h>

static const struct ms_config_interface *
interface_of(const struct ms_config *config, const struct ms_config_session *session)
{
	return session != NULL && session->interface >= 0 ? &config->interfaces[session->interface]
	                                                  : NULL;
}

/* One of two signs, which tells nothing if both or neither are there. */
static uint8_t
decide(bool is_dst, bool is_src)
{
	if (is_dst == is_src)
		return MS_DIRECTION_UNKNOWN;
	return is_dst ? MS_DIRECTION_INGRESS : MS_DIRECTION_EGRESS;
}

static const char *
side(uint8_t direction)
{
	return direction == MS_DIRECTION_INGRESS ? "destination" : "source";
}

/* What the IP addresses tell; else why not. */
static uint8_t
direction_by_ip(const struct explanation *e, char *why)
{
	const struct explain_ip *outer = &e->outer.ip[e->outer.ip_n - 1];
	const struct ms_key *key = &e->inner.key;
	bool is_dst = (key->has & MS_HAS_DST) != 0 && ms_ip_equal(key->dst, outer->src);
	bool is_src = (key->has & MS_HAS_SRC) != 0 && ms_ip_equal(key->src, outer->src);
	uint8_t direction = decide(is_dst, is_src);

	if (key->family != outer->family)
		direction = MS_DIRECTION_UNKNOWN;
	if (direction != MS_DIRECTION_UNKNOWN)
		snprintf(why, EXPLAIN_WHY, "the inner %s is the outer source address",
			side(direction));
	else if (key->family == MS_FAMILY_NONE)
		snprintf(why, EXPLAIN_WHY, "the frame has no IP addresses");
	else if (key->family != outer->family)
		snprintf(why, EXPLAIN_WHY,
			"the inner packet is IPv%u, the outer source address IPv%u", key->family,
			outer->family);
	else
		snprintf(why, EXPLAIN_WHY, "%s the outer source address",
			is_dst ? "both inner addresses are" : "neither inner address is");
	return direction;
}

static void
find_direction(struct explanation *e, const struct ms_config_interface *eni)
{
	const struct explain_inner *in = &e->inner;
	char mac[sizeof("00:00:00:00:00:00")], by_ip[EXPLAIN_WHY], by_mac[EXPLAIN_WHY];
	bool is_dst, is_src;

	if (eni == NULL || eni->mac == 0) {
		snprintf(by_mac, sizeof(by_mac), "the ENI's MAC address is not known");
	} else {
		explain_mac(eni->mac, mac);
		is_dst = in->has_dst && in->mac_dst == eni->mac;
		is_src = in->has_src && in->mac_src == eni->mac;
		e->direction = decide(is_dst, is_src);
		if (e->direction != MS_DIRECTION_UNKNOWN) {
			snprintf(e->direction_why, sizeof(e->direction_why),
				"the inner %s is the ENI's MAC address %s", side(e->direction),
				mac);
			return;
		}
		snprintf(by_mac, sizeof(by_mac), "%s the ENI's (%s)",
			is_dst ? "both inner MAC addresses are" : "neither inner MAC address is",
			mac);
	}
	e->direction = direction_by_ip(e, by_ip);
	snprintf(e->direction_why, sizeof(e->direction_why), "%.110s, %s%.120s", by_mac,
		e->direction != MS_DIRECTION_UNKNOWN ? "but " : "and ", by_ip);
}

/* Asks one filter and notes the answer. Returns its fate. */
static enum ms_fate
ask(struct explain *x, const struct ms_filter *filter, const struct ms_config_route *route,
	uint8_t direction)
{
	struct explain_asked *asked = &x->e.asked[x->e.asked_n++];
	const struct ms_ruleset *ruleset = x->ruleset;
	size_t index = (size_t)(filter - ruleset->config->filters);

	*asked = (struct explain_asked){.filter = filter, .route = route, .direction = direction};
	asked->fate = (uint8_t)ms_filter_ask(&x->e.policy.policy, filter, &x->e.inner.key,
		(enum ms_direction)direction, &asked->rule);
	if (asked->rule == MS_RULE_NONE)
		x->services[index]++;
	else if (asked->rule < filter->rules_n)
		x->hits[ruleset->rules_first[index] + asked->rule]++;
	return (enum ms_fate)asked->fate;
}

/* Was a route's filter asked already in this direction? */
static bool
was_asked(const struct explanation *e, const struct ms_filter *filter, uint8_t direction)
{
	for (uint32_t i = 0; i < e->asked_n; i++) {
		if (e->asked[i].filter == filter && e->asked[i].direction == direction)
			return true;
	}
	return false;
}

bool
explain_session_accepts(const struct explanation *e)
{
	if (e->policy.policy.session == NULL)
		return true;
	for (uint32_t i = 0; i < e->asked_n; i++) {
		if (e->asked[i].route == NULL && e->asked[i].fate == MS_FATE_NONE)
			return true;
	}
	return false;
}

enum explain_route
explain_route(const struct explanation *e, uint32_t route)
{
	const struct ms_filter_policy *policy = &e->policy.policy;
	const struct ms_filter *filter = policy->routes[route].filter;

	if (policy->routes[route].outputs == 0)
		return EXPLAIN_IDLE;
	if (filter == NULL || filter == policy->session)
		return EXPLAIN_TAKEN;
	for (uint32_t i = 0; i < e->asked_n; i++) {
		if (e->asked[i].filter == filter && e->asked[i].fate == MS_FATE_NONE)
			return EXPLAIN_TAKEN;
	}
	return EXPLAIN_REFUSED;
}

/* The session's filter and, if it accepts, those of its routes. */
static void
ask_all(struct explain *x, uint8_t direction)
{
	struct explanation *e = &x->e;
	const struct ms_filter_policy *policy = &e->policy.policy;

	if (policy->session != NULL && ask(x, policy->session, NULL, direction) != MS_FATE_NONE)
		return;
	for (uint32_t i = 0; i < policy->routes_n; i++) {
		const struct ms_filter_route *route = &policy->routes[i];

		if (route->filter != NULL && route->outputs != 0 &&
			!was_asked(e, route->filter, direction))
			ask(x, route->filter, e->policy.origins[i], direction);
	}
}

static void
apply_rules(struct explain *x)
{
	struct explanation *e = &x->e;
	struct ms_verdict verdict;

	ms_policy_ref_fill(&e->policy, e->session.session, e->outer.vni);
	if (e->direction != MS_DIRECTION_EGRESS)
		ask_all(x, MS_DIRECTION_INGRESS);
	if (e->direction != MS_DIRECTION_INGRESS)
		ask_all(x, MS_DIRECTION_EGRESS);
	verdict = ms_filter_ref(
		&e->policy.policy, &e->inner.key, (enum ms_direction)e->direction, NULL, NULL);
	e->outputs = verdict.outputs;
	e->fate = verdict.fate == MS_FATE_NONE ? MS_FATE_DELIVERED : verdict.fate;
}

/* Up to where the packet gets its fate. */
static void
explain_steps(struct explain *x, const uint8_t *bytes)
{
	const struct ms_config *config = x->ruleset->config;
	struct explanation *e = &x->e;
	const struct explain_ip *source;

	explain_outer(&e->outer, &x->decap, bytes, e->length);
	e->fate = e->outer.fate;
	if (e->fate != MS_FATE_NONE)
		return;
	source = &e->outer.ip[e->outer.ip_n - 1];
	e->session = ms_session_ref(config, e->outer.vni, source->src, source->family);
	explain_session_why(x, e->session_why);
	if (e->session.fate == MS_FATE_NONE && e->session.session == NULL &&
		ms_session_learn(x->registry, e->outer.vni, source->src, source->family) ==
			MS_SESSION_NONE) {
		e->session.fate = MS_FATE_SESSION_UNKNOWN;
		snprintf(e->session_why, sizeof(e->session_why),
			"a process learns no more than %u sessions in its life", MS_SESSIONS_MAX);
	}
	e->fate = e->session.fate;
	if (e->fate != MS_FATE_NONE)
		return;
	explain_inner(&e->inner, bytes + e->outer.offset, e->outer.length);
	/* the tunnel's lengths tell of a cut on the way here, the inner one of one before */
	e->inner.original_length = RTE_MAX(e->inner.original_length, e->outer.original_length);
	find_direction(e, interface_of(config, e->session.session));
	apply_rules(x);
}

void
explain_packet(struct explain *x, const uint8_t *bytes)
{
	struct explanation *e = &x->e;

	e->asked_n = 0;
	e->outputs = 0;
	e->disagreement[0] = '\0';
	explain_steps(x, bytes);
	x->fates[e->fate]++;
}
