/* SPDX-License-Identifier: BSD-3-Clause */
/* An explanation for a person: a line for each step, a line for each rule that was tried. */
#include "explain.h"

#include <arpa/inet.h>
#include <inttypes.h>

#include "totals.h"

/* Where what a line says begins. */
#define LINE   "  %-10s "
#define INDENT "             "

static void
print_macs(uint64_t src, uint64_t dst, FILE *out)
{
	char from[TOTALS_MAC_TEXT], to[TOTALS_MAC_TEXT];

	fprintf(out, "%s > %s", explain_mac(src, from), explain_mac(dst, to));
}

static void
print_tags(const uint16_t *tags, uint32_t n, FILE *out)
{
	for (uint32_t i = 0; i < n; i++)
		fprintf(out, ", VLAN %u", tags[i]);
}

static void
print_outer(const struct explanation *e, FILE *out)
{
	const struct explain_outer *outer = &e->outer;
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];

	fprintf(out, LINE, "outer");
	if (outer->has_macs)
		print_macs(outer->mac_src, outer->mac_dst, out);
	else
		fputs("nothing", out);
	print_tags(outer->tags, outer->tags_n, out);
	for (uint32_t i = 0; i < outer->ip_n; i++) {
		const struct explain_ip *ip = &outer->ip[i];

		if (i > 0)
			fprintf(out, ", GENEVE VNI %u,\n" INDENT "in it", outer->geneve_vni);
		fprintf(out, "%s IPv%u %s > %s", i > 0 ? "" : ",", ip->family,
			totals_address(ip->src, ip->family, src),
			totals_address(ip->dst, ip->family, dst));
		if (ip->has_ports)
			fprintf(out, ", UDP %u > %u", ip->sport, ip->dport);
	}
	if (outer->fate == MS_FATE_NONE)
		fprintf(out, ", %s, VNI %u", outer->tunnel == MS_TUNNEL_GENEVE ? "GENEVE" : "VXLAN",
			outer->vni);
	else
		fprintf(out, "\n" INDENT "%s", outer->why);
	fputc('\n', out);
}

static void
print_end(const struct explain_inner *in, enum explain_field address, enum explain_field port,
	FILE *out)
{
	char text[INET6_ADDRSTRLEN];

	if (in->missing[address] == NULL)
		fputs(totals_address(address == EXPLAIN_SRC ? in->key.src : in->key.dst,
			      in->key.family, text),
			out);
	else
		fputc('?', out);
	if (in->missing[port] == NULL)
		fprintf(out, " port %u", port == EXPLAIN_SPORT ? in->key.sport : in->key.dport);
}

/* Fields that are missing for the same reason stand in one line. */
static void
print_missing(const struct explain_inner *in, FILE *out)
{
	static const char *const names[EXPLAIN_FIELDS] = {
		"protocol", "source", "destination", "source port", "destination port"};

	for (unsigned int i = 0; i < EXPLAIN_FIELDS; i++) {
		const char *why = in->missing[i];

		if (why == NULL || (i > 0 && in->missing[i - 1] == why))
			continue;
		fprintf(out, INDENT "no %s", names[i]);
		while (i + 1 < EXPLAIN_FIELDS && in->missing[i + 1] == why)
			fprintf(out, ", %s", names[++i]);
		fprintf(out, ": %s\n", why);
	}
}

static void
print_inner(const struct explain_inner *in, FILE *out)
{
	fprintf(out, LINE, "inner");
	if (in->has_src)
		print_macs(in->mac_src, in->mac_dst, out);
	else
		fputs("no MAC addresses", out);
	print_tags(in->tags, in->tags_n, out);
	if (in->key.family != MS_FAMILY_NONE)
		fprintf(out, ", IPv%u", in->key.family);
	else if (in->has_type)
		fprintf(out, ", EtherType 0x%04x", in->type);
	if (in->missing[EXPLAIN_PROTO] == NULL)
		fprintf(out, " protocol %u", in->key.proto);
	if (in->key.family != MS_FAMILY_NONE) {
		fputc(' ', out);
		print_end(in, EXPLAIN_SRC, EXPLAIN_SPORT, out);
		fputs(" > ", out);
		print_end(in, EXPLAIN_DST, EXPLAIN_DPORT, out);
	}
	if (in->key.fragment)
		fputs(in->later_fragment ? ", later fragment" : ", first fragment", out);
	fprintf(out, "\n" INDENT "%u bytes", in->length);
	if (in->original_length > in->length)
		fprintf(out, ", cut from %u", in->original_length);
	fputc('\n', out);
	print_missing(in, out);
}

static void
print_rule(const struct ms_rule *rule, const struct explain_inner *in, FILE *out)
{
	uint32_t misses = ms_rule_explain(rule, &in->key);
	const char *before = "no: ";
	char text[EXPLAIN_WHY];

	fprintf(out, INDENT "%5u %-6s  ", rule->number, rule->accept ? "accept" : "reject");
	if (misses == 0)
		fputs("MATCHES, and decides", out);
	for (uint32_t bit = 1; bit <= misses; bit <<= 1) {
		if ((misses & bit) == 0)
			continue;
		fprintf(out, "%s%s", before, explain_miss(rule, in, bit, text));
		before = "; ";
	}
	fputc('\n', out);
}

static void
print_asked(const struct explanation *e, const struct explain_asked *asked, FILE *out)
{
	const struct ms_filter *filter = asked->filter;

	fprintf(out, LINE "%s, %s, of %s\n", "filter", filter->name,
		totals_direction(asked->direction),
		asked->route == NULL ? "the session" : "a route");
	if (asked->rule == MS_RULE_NONE) {
		fputs(INDENT "amazon-dns    MATCHES, and decides: accept\n", out);
		return;
	}
	if (filter->amazon_dns)
		fputs(INDENT "amazon-dns    no: not to or from port 53 of a resolver\n", out);
	for (uint32_t i = 0; i < filter->rules_n && i <= asked->rule; i++) {
		if (filter->rules[i].direction == asked->direction)
			print_rule(&filter->rules[i], &e->inner, out);
	}
	if (asked->rule == filter->rules_n)
		fputs(INDENT "no rule matches: rejected\n", out);
}

static void
print_outputs(const struct ms_config *config, uint32_t outputs, FILE *out)
{
	const char *before = "";

	for (uint32_t i = 0; i < config->outputs_n; i++) {
		if ((outputs >> i & 1) == 0)
			continue;
		fprintf(out, "%s%s", before, config->outputs[i].name);
		before = ", ";
	}
}

static void
print_routes(const struct explain *x, FILE *out)
{
	static const char *const results[] = {[EXPLAIN_TAKEN] = "taken",
		[EXPLAIN_REFUSED] = "its filter does not accept",
		[EXPLAIN_IDLE] = "adds nothing: another route without a filter leads there"};
	const struct ms_config *config = x->ruleset->config;
	const struct ms_filter_policy *policy = &x->e.policy.policy;

	if (!explain_session_accepts(&x->e))
		return;
	if (policy->routes_n == 0)
		fprintf(out, LINE "none leads from this session to an output\n", "route");
	for (uint32_t i = 0; i < policy->routes_n; i++) {
		const struct ms_config_route *route = x->e.policy.origins[i];

		if (route == NULL) /* there are none: every output gets every session */
			return;
		fprintf(out, LINE "$.Routes[%td] to ", "route", route - config->routes);
		print_outputs(config, route->outputs, out);
		if (policy->routes[i].filter != NULL)
			fprintf(out, " by %s", policy->routes[i].filter->name);
		fprintf(out, ": %s\n", results[explain_route(&x->e, i)]);
	}
}

void
explain_print_text(const struct explain *x, FILE *out)
{
	const struct explanation *e = &x->e;
	char text[EXPLAIN_WHY];

	fprintf(out, "packet %" PRIu64 "  %s  %u bytes", e->number, explain_time(e, text),
		e->length);
	if (e->wire_length != e->length)
		fprintf(out, " of %u", e->wire_length);
	fputc('\n', out);
	print_outer(e, out);
	if (e->outer.fate == MS_FATE_NONE)
		fprintf(out, LINE "%s: %s\n", "session",
			e->session.fate == MS_FATE_NONE ? explain_session_name(e, text) : "none",
			e->session_why);
	if (e->outer.fate == MS_FATE_NONE && e->session.fate == MS_FATE_NONE) {
		print_inner(&e->inner, out);
		fprintf(out, LINE "%s: %s\n", "direction", explain_direction_name(e->direction),
			e->direction_why);
		if (e->policy.policy.session == NULL)
			fprintf(out, LINE "%s\n", "filter",
				"none is loaded for this session: everything is accepted");
		for (uint32_t i = 0; i < e->asked_n; i++)
			print_asked(e, &e->asked[i], out);
		print_routes(x, out);
	}
	fprintf(out, LINE "%s%s", "fate", ms_fate_name((enum ms_fate)e->fate),
		e->fate == MS_FATE_DELIVERED ? " to " : "");
	print_outputs(x->ruleset->config, e->outputs, out);
	fputc('\n', out);
	if (e->disagreement[0] != '\0')
		fprintf(out, "  DISAGREEMENT, a defect of mirrorsink: %s\n", e->disagreement);
	fputc('\n', out);
}

void
explain_print_text_end(const struct explain *x, FILE *out)
{
	uint64_t sum = 0;

	for (unsigned int f = 1; f < MS_FATE_COUNT; f++)
		sum += x->fates[f];
	fprintf(out, "%-18s %14" PRIu64 "\n", "packets", sum);
	for (unsigned int f = 1; f < MS_FATE_COUNT; f++) {
		if (x->fates[f] > 0)
			fprintf(out, "  %-16s %14" PRIu64 "   %s\n", ms_fate_name((enum ms_fate)f),
				x->fates[f], ms_fate_help((enum ms_fate)f));
	}
}
