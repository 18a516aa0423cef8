/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The oracle: filters as a person would apply them, rule after rule. It shares no code with the
 * compiler (filter_compile.c), whose every answer must equal what is said here.
 */
#include "filter/ms_filter.h"

#include <netinet/in.h>

#define DNS_PORT 53

/* The resolver's addresses that every VPC has: 169.254.169.253 and fd00:ec2::253. */
static const struct ms_prefix well_known_resolvers[] = {
	{.family = MS_FAMILY_V4, .length = 32, .ip = {.lo = 0xa9fea9fd}},
	{.family = MS_FAMILY_V6, .length = 128, .ip = {.hi = 0xfd000ec200000000, .lo = 0x253}},
};

static bool
has(const struct ms_key *key, uint8_t field)
{
	return key->family != MS_FAMILY_NONE && (key->has & field) != 0;
}

/* The first `length` bits of an address of this family; the rest are 0. */
static struct ms_ip
network(struct ms_ip ip, uint8_t family, uint8_t length)
{
	unsigned int host = (family == MS_FAMILY_V4 ? 32 : 128) - length;

	if (host >= 64) {
		ip.lo = 0;
		ip.hi = host == 128 ? 0 : ip.hi >> (host - 64) << (host - 64);
	} else {
		ip.lo = ip.lo >> host << host;
	}
	return ip;
}

static bool
prefix_holds(const struct ms_prefix *prefix, struct ms_ip ip)
{
	return ms_ip_equal(network(ip, prefix->family, prefix->length), prefix->ip);
}

static bool
prefix_match(
	const struct ms_prefix *prefix, const struct ms_key *key, uint8_t field, struct ms_ip ip)
{
	if (prefix->family == MS_FAMILY_NONE)
		return true;
	if (prefix->family != key->family)
		return false;
	return prefix->length == 0 || (has(key, field) && prefix_holds(prefix, ip));
}

static bool
port_match(
	const struct ms_port_range *range, const struct ms_key *key, uint8_t field, uint16_t port)
{
	if (!range->present)
		return true;
	return has(key, field) && range->from <= port && port <= range->to;
}

uint32_t
ms_rule_explain(const struct ms_rule *rule, const struct ms_key *key)
{
	uint32_t miss = 0;

	if (rule->protocol != MS_PROTO_ANY) {
		if (!has(key, MS_HAS_PROTO) || key->proto != rule->protocol)
			miss |= MS_MISS_PROTO;
		if ((rule->sport.present || rule->dport.present) && rule->protocol != IPPROTO_TCP &&
			rule->protocol != IPPROTO_UDP)
			miss |= MS_MISS_PORTS;
	}
	if (!prefix_match(&rule->src, key, MS_HAS_SRC, key->src))
		miss |= MS_MISS_SRC;
	if (!prefix_match(&rule->dst, key, MS_HAS_DST, key->dst))
		miss |= MS_MISS_DST;
	if (!port_match(&rule->sport, key, MS_HAS_SPORT, key->sport))
		miss |= MS_MISS_SPORT;
	if (!port_match(&rule->dport, key, MS_HAS_DPORT, key->dport))
		miss |= MS_MISS_DPORT;
	return miss;
}

bool
ms_rule_match(const struct ms_rule *rule, const struct ms_key *key)
{
	return ms_rule_explain(rule, key) == 0;
}

static bool
is_resolver(const struct ms_filter_policy *policy, uint8_t family, struct ms_ip ip)
{
	for (unsigned int i = 0; i < 2; i++)
		if (well_known_resolvers[i].family == family &&
			prefix_holds(&well_known_resolvers[i], ip))
			return true;
	for (uint32_t i = 0; i < policy->resolvers_n; i++)
		if (policy->resolvers[i].family == family &&
			prefix_holds(&policy->resolvers[i], ip))
			return true;
	return false;
}

bool
ms_filter_is_dns(const struct ms_filter_policy *policy, const struct ms_key *key)
{
	if (!has(key, MS_HAS_PROTO) || (key->proto != IPPROTO_TCP && key->proto != IPPROTO_UDP))
		return false;
	if (has(key, MS_HAS_DST) && has(key, MS_HAS_DPORT) && key->dport == DNS_PORT &&
		is_resolver(policy, key->family, key->dst))
		return true;
	return has(key, MS_HAS_SRC) && has(key, MS_HAS_SPORT) && key->sport == DNS_PORT &&
	       is_resolver(policy, key->family, key->src);
}

/* All that a decision needs beside the filter. */
struct question {
	const struct ms_filter_policy *policy;
	const struct ms_key *key;
	enum ms_direction direction;
	void (*hit)(void *arg, const struct ms_filter *filter, uint32_t rule);
	void *arg;
};

enum ms_fate
ms_filter_ask(const struct ms_filter_policy *policy, const struct ms_filter *filter,
	const struct ms_key *key, enum ms_direction direction, uint32_t *rule)
{
	*rule = MS_RULE_NONE;
	if (filter->amazon_dns && ms_filter_is_dns(policy, key))
		return MS_FATE_NONE;
	for (*rule = 0; *rule < filter->rules_n; ++*rule) {
		const struct ms_rule *one = &filter->rules[*rule];

		if (one->direction == direction && ms_rule_match(one, key))
			return one->accept ? MS_FATE_NONE : MS_FATE_FILTER_REJECT;
	}
	return MS_FATE_FILTER_DEFAULT;
}

/* Asks a filter, and tells who wants to know which rule matched. */
static enum ms_fate
ask(const struct question *q, const struct ms_filter *filter)
{
	uint32_t rule;
	enum ms_fate fate = ms_filter_ask(q->policy, filter, q->key, q->direction, &rule);

	if (q->hit != NULL && fate != MS_FATE_FILTER_DEFAULT)
		q->hit(q->arg, filter, rule);
	return fate;
}

/* Has an earlier route with outputs this filter too? */
static bool
seen_before(const struct ms_filter_policy *policy, uint32_t route)
{
	for (uint32_t i = 0; i < route; i++)
		if (policy->routes[i].outputs != 0 &&
			policy->routes[i].filter == policy->routes[route].filter)
			return true;
	return false;
}

static uint32_t
outputs_of(const struct ms_filter_policy *policy, const struct ms_filter *filter)
{
	uint32_t outputs = 0;

	for (uint32_t i = 0; i < policy->routes_n; i++)
		if (policy->routes[i].filter == filter)
			outputs |= policy->routes[i].outputs;
	return outputs;
}

static struct ms_verdict
decide(const struct question *q)
{
	const struct ms_filter_policy *policy = q->policy;
	struct ms_verdict verdict = {.fate = MS_FATE_NO_ROUTE};

	if (policy->session != NULL) {
		enum ms_fate fate = ask(q, policy->session);

		if (fate != MS_FATE_NONE)
			return (struct ms_verdict){.fate = (uint8_t)fate};
	}
	for (uint32_t i = 0; i < policy->routes_n; i++) {
		const struct ms_filter *filter = policy->routes[i].filter;
		enum ms_fate fate = MS_FATE_NONE;

		if (policy->routes[i].outputs == 0 || seen_before(policy, i))
			continue;
		if (filter != NULL && filter != policy->session)
			fate = ask(q, filter);
		if (fate == MS_FATE_NONE)
			verdict.outputs |= outputs_of(policy, filter);
		else if (fate == MS_FATE_FILTER_REJECT)
			verdict.fate = MS_FATE_FILTER_REJECT;
		else if (verdict.fate == MS_FATE_NO_ROUTE)
			verdict.fate = MS_FATE_FILTER_DEFAULT;
	}
	if (verdict.outputs != 0)
		verdict.fate = MS_FATE_NONE;
	return verdict;
}

struct ms_verdict
ms_filter_ref(const struct ms_filter_policy *policy, const struct ms_key *key,
	enum ms_direction direction,
	void (*hit)(void *arg, const struct ms_filter *filter, uint32_t rule), void *arg)
{
	struct question q = {
		.policy = policy, .key = key, .direction = direction, .hit = hit, .arg = arg};
	struct ms_verdict in, out;

	if (direction != MS_DIRECTION_UNKNOWN)
		return decide(&q);
	q.direction = MS_DIRECTION_INGRESS;
	in = decide(&q);
	q.direction = MS_DIRECTION_EGRESS;
	out = decide(&q);
	in.outputs |= out.outputs;
	if (out.fate < in.fate)
		in.fate = out.fate;
	return in;
}
