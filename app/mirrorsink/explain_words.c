/* SPDX-License-Identifier: BSD-3-Clause */
/* Reasons as sentences, the same in both forms. */
#include "explain.h"

#include <arpa/inet.h>
#include <time.h>

#include "totals.h"

const char *
explain_mac(uint64_t mac, char *text)
{
	return totals_mac_text(mac, text);
}

const char *
explain_direction_name(uint8_t direction)
{
	return direction == MS_DIRECTION_UNKNOWN ? "unknown" : totals_direction(direction);
}

const char *
explain_time(const struct explanation *e, char *text)
{
	time_t seconds = (time_t)e->seconds;
	char day[64] = "?";
	struct tm tm;

	if (gmtime_r(&seconds, &tm) != NULL)
		strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, EXPLAIN_WHY, "%s.%09uZ", day, e->nanoseconds);
	return text;
}

const char *
explain_session_name(const struct explanation *e, char *text)
{
	if (e->session.session != NULL)
		return e->session.session->id;
	snprintf(text, EXPLAIN_WHY, "vni%u", e->outer.vni);
	return text;
}

/* An address that the session's packets come from, if one is known. */
static const char *
own_address(const struct ms_config *config, const struct ms_config_session *session, char *text)
{
	const struct ms_config_interface *eni;

	if (session == NULL || session->interface < 0)
		return "an unknown address";
	eni = &config->interfaces[session->interface];
	if (eni->address.family == MS_FAMILY_NONE && eni->addresses6_n > 0)
		return totals_address(eni->addresses6[0].ip, MS_FAMILY_V6, text);
	return totals_address(eni->address.ip, eni->address.family, text);
}

const char *
explain_session_why(const struct explain *x, char *text)
{
	const struct explanation *e = &x->e;
	const struct ms_config *config = x->ruleset->config;
	const struct ms_config_session *session = e->session.session;
	const struct explain_ip *ip = &e->outer.ip[e->outer.ip_n - 1];
	char source[INET6_ADDRSTRLEN], own[INET6_ADDRSTRLEN];
	const char *interface = session != NULL ? session->interface_id : "?";
	const char *name = session != NULL ? session->id : "?";
	uint32_t vni = e->outer.vni, n = e->session.sessions_n;

	totals_address(ip->src, ip->family, source);
	switch (e->session.why) {
	case MS_WHY_VNI:
		snprintf(text, EXPLAIN_WHY, "it is the only session of VNI %u", vni);
		break;
	case MS_WHY_SOURCE:
		snprintf(text, EXPLAIN_WHY,
			"it has VNI %u, and %s is an address of its interface %.64s", vni, source,
			interface);
		break;
	case MS_WHY_ANY_SOURCE:
		snprintf(text, EXPLAIN_WHY,
			"it has VNI %u, and no address of its interface is loaded that %s could "
			"differ from",
			vni, source);
		break;
	case MS_WHY_LEARNED:
		snprintf(text, EXPLAIN_WHY,
			"no configured session has VNI %u from %s, and unknown ones are taken", vni,
			source);
		break;
	case MS_WHY_LEARNED_ROUTE:
		snprintf(text, EXPLAIN_WHY,
			"no configured session has VNI %u from %s, unknown ones are taken, and a "
			"route names this VNI",
			vni, source);
		break;
	case MS_WHY_UNKNOWN_VNI:
		snprintf(text, EXPLAIN_WHY, "no session has VNI %u", vni);
		break;
	case MS_WHY_OTHER_SOURCE:
		snprintf(text, EXPLAIN_WHY,
			"%s sends VNI %u, which belongs to %u session%s from other sources: %.64s "
			"from %s%s",
			source, vni, n, n == 1 ? "" : "s", name, own_address(config, session, own),
			n == 1 ? "" : ", ...");
		break;
	}
	return text;
}

static void
miss_address(const char *side, const struct ms_prefix *block, const struct explain_inner *in,
	enum explain_field field, char *text)
{
	struct ms_ip ip = field == EXPLAIN_SRC ? in->key.src : in->key.dst;
	char address[INET6_ADDRSTRLEN], base[INET6_ADDRSTRLEN];

	totals_address(block->ip, block->family, base);
	if (in->key.family != MS_FAMILY_NONE && in->key.family != block->family)
		snprintf(text, EXPLAIN_WHY, "%s is IPv%u, rule asks %s/%u", side, in->key.family,
			base, block->length);
	else if (in->missing[field] != NULL)
		snprintf(text, EXPLAIN_WHY, "it has no %s, rule asks %s/%u: %s", side, base,
			block->length, in->missing[field]);
	else
		snprintf(text, EXPLAIN_WHY, "%s %s is not in %s/%u", side,
			totals_address(ip, in->key.family, address), base, block->length);
}

static void
miss_port(const char *side, const struct ms_port_range *range, const struct explain_inner *in,
	enum explain_field field, char *text)
{
	if (in->missing[field] != NULL)
		snprintf(text, EXPLAIN_WHY, "it has no %s port, rule asks %u-%u: %s", side,
			range->from, range->to, in->missing[field]);
	else
		snprintf(text, EXPLAIN_WHY, "%s port %u is not in %u-%u", side,
			field == EXPLAIN_SPORT ? in->key.sport : in->key.dport, range->from,
			range->to);
}

const char *
explain_miss(const struct ms_rule *rule, const struct explain_inner *in, uint32_t miss, char *text)
{
	switch (miss) {
	case MS_MISS_PROTO:
		if (in->missing[EXPLAIN_PROTO] != NULL)
			snprintf(text, EXPLAIN_WHY, "it has no protocol, rule asks %d: %s",
				rule->protocol, in->missing[EXPLAIN_PROTO]);
		else
			snprintf(text, EXPLAIN_WHY, "protocol %u, rule asks %d", in->key.proto,
				rule->protocol);
		break;
	case MS_MISS_PORTS:
		snprintf(text, EXPLAIN_WHY, "rule asks for ports, and its protocol %d has none",
			rule->protocol);
		break;
	case MS_MISS_SRC:
		miss_address("source", &rule->src, in, EXPLAIN_SRC, text);
		break;
	case MS_MISS_DST:
		miss_address("destination", &rule->dst, in, EXPLAIN_DST, text);
		break;
	case MS_MISS_SPORT:
		miss_port("source", &rule->sport, in, EXPLAIN_SPORT, text);
		break;
	default:
		miss_port("destination", &rule->dport, in, EXPLAIN_DPORT, text);
		break;
	}
	return text;
}
