/* SPDX-License-Identifier: BSD-3-Clause */
/* An explanation as one line of JSON, schema mirrorsink.explain/1. */
#include "explain.h"

#include <arpa/inet.h>

#include <jansson.h>

#include "totals.h"

static json_t *
address(struct ms_ip ip, uint8_t family)
{
	char text[INET6_ADDRSTRLEN];

	return json_string(totals_address(ip, family, text));
}

static json_t *
mac(bool has, uint64_t value)
{
	char text[TOTALS_MAC_TEXT];

	return has ? json_string(explain_mac(value, text)) : json_null();
}

static json_t *
tags(const uint16_t *list, uint32_t n)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(array, json_integer(list[i]));
	return array;
}

static json_t *
text_or_null(const char *text)
{
	return text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *
outer(const struct explain_outer *o)
{
	static const char *const tunnels[] = {[MS_TUNNEL_NONE] = NULL,
		[MS_TUNNEL_VXLAN] = "vxlan",
		[MS_TUNNEL_GENEVE] = "geneve",
		[MS_TUNNEL_GENEVE_VXLAN] = "geneve-vxlan"};
	json_t *ips = json_array(), *object;
	bool found = o->fate == MS_FATE_NONE;

	for (uint32_t i = 0; i < o->ip_n; i++) {
		const struct explain_ip *ip = &o->ip[i];
		json_t *one = json_pack("{s:i, s:o, s:o}", "family", ip->family, "source",
			address(ip->src, ip->family), "destination", address(ip->dst, ip->family));

		if (ip->has_ports)
			json_object_update_new(
				one, json_pack("{s:i, s:i}", "source_port", ip->sport,
					     "destination_port", ip->dport));
		json_array_append_new(ips, one);
	}
	object = json_pack("{s:o, s:o, s:o, s:o, s:s?, s:o, s:o}", "source_mac",
		mac(o->has_macs, o->mac_src), "destination_mac", mac(o->has_macs, o->mac_dst),
		"vlans", tags(o->tags, o->tags_n), "ip", ips, "tunnel",
		found ? tunnels[o->tunnel] : NULL, "vni",
		found ? json_integer(o->vni) : json_null(), "why", text_or_null(o->why));
	if (o->has_geneve)
		json_object_set_new(object, "geneve_vni", json_integer(o->geneve_vni));
	return object;
}

static json_t *
session(const struct explain *x)
{
	const struct explanation *e = &x->e;
	const struct ms_config_session *s = e->session.session;
	bool found = e->session.fate == MS_FATE_NONE;
	char name[EXPLAIN_WHY];

	return json_pack("{s:s?, s:b, s:s?, s:s?, s:s}", "session",
		found ? explain_session_name(e, name) : NULL, "learned", found && s == NULL,
		"interface", found && s != NULL ? s->interface_id : NULL, "filter",
		found && s != NULL ? s->filter_id : NULL, "why", e->session_why);
}

static json_t *
inner(const struct explain_inner *in)
{
	static const char *const names[EXPLAIN_FIELDS] = {
		"protocol", "source", "destination", "source_port", "destination_port"};
	const struct ms_key *key = &in->key;
	json_t *missing = json_object(), *object;

	object = json_pack("{s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "length",
		(int)in->length, "original_length", (int)in->original_length, "source_mac",
		mac(in->has_src, in->mac_src), "destination_mac", mac(in->has_dst, in->mac_dst),
		"vlans", tags(in->tags, in->tags_n), "ether_type",
		in->has_type ? json_integer(in->type) : json_null(), "family",
		key->family != MS_FAMILY_NONE ? json_integer(key->family) : json_null(), "fragment",
		!key->fragment       ? json_null()
		: in->later_fragment ? json_string("later")
				     : json_string("first"),
		"missing", missing);
	for (unsigned int i = 0; i < EXPLAIN_FIELDS; i++) {
		const json_int_t numbers[EXPLAIN_FIELDS] = {[EXPLAIN_PROTO] = key->proto,
			[EXPLAIN_SPORT] = key->sport,
			[EXPLAIN_DPORT] = key->dport};

		if (in->missing[i] != NULL)
			json_object_set_new(missing, names[i], json_string(in->missing[i]));
		else if (i == EXPLAIN_SRC || i == EXPLAIN_DST)
			json_object_set_new(object, names[i],
				address(i == EXPLAIN_SRC ? key->src : key->dst, key->family));
		else
			json_object_set_new(object, names[i], json_integer(numbers[i]));
	}
	return object;
}

static json_t *
rule(const struct ms_rule *r, const struct explain_inner *in)
{
	uint32_t misses = ms_rule_explain(r, &in->key);
	json_t *reasons = json_array();
	char text[EXPLAIN_WHY];

	for (uint32_t bit = 1; bit <= misses; bit <<= 1) {
		if ((misses & bit) != 0)
			json_array_append_new(reasons, json_string(explain_miss(r, in, bit, text)));
	}
	return json_pack("{s:i, s:s, s:b, s:o}", "rule", r->number, "action",
		r->accept ? "accept" : "reject", "matches", misses == 0, "reasons", reasons);
}

static json_t *
asked(const struct explanation *e, const struct explain_asked *a)
{
	const struct ms_filter *filter = a->filter;
	json_t *rules = json_array(), *decided = json_null();
	bool dns = a->rule == MS_RULE_NONE;

	for (uint32_t i = 0; !dns && i < filter->rules_n && i <= a->rule; i++) {
		if (filter->rules[i].direction == a->direction)
			json_array_append_new(rules, rule(&filter->rules[i], &e->inner));
	}
	if (!dns && a->rule < filter->rules_n)
		decided = json_integer(filter->rules[a->rule].number);
	return json_pack("{s:s, s:s, s:s, s:o, s:b, s:s, s:o}", "filter", filter->name, "of",
		a->route == NULL ? "session" : "route", "direction", totals_direction(a->direction),
		"rules", rules, "amazon_dns", dns, "decision",
		a->fate == MS_FATE_NONE            ? "accept"
		: a->fate == MS_FATE_FILTER_REJECT ? "reject"
						   : "default",
		"rule", decided);
}

static json_t *
outputs(const struct ms_config *config, uint32_t set)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < config->outputs_n; i++) {
		if ((set >> i & 1) != 0)
			json_array_append_new(array, json_string(config->outputs[i].name));
	}
	return array;
}

static json_t *
routes(const struct explain *x)
{
	static const char *const results[] = {[EXPLAIN_TAKEN] = "taken",
		[EXPLAIN_REFUSED] = "refused",
		[EXPLAIN_IDLE] = "adds nothing"};
	const struct ms_config *config = x->ruleset->config;
	const struct ms_filter_policy *policy = &x->e.policy.policy;
	json_t *array = json_array();

	for (uint32_t i = 0; i < policy->routes_n && explain_session_accepts(&x->e); i++) {
		const struct ms_config_route *route = x->e.policy.origins[i];

		if (route == NULL)
			break;
		json_array_append_new(array,
			json_pack("{s:i, s:o, s:s?, s:s}", "route", (int)(route - config->routes),
				"outputs", outputs(config, route->outputs), "filter",
				policy->routes[i].filter != NULL ? policy->routes[i].filter->name
								 : NULL,
				"result", results[explain_route(&x->e, i)]));
	}
	return array;
}

/* All that follows once the packet has a session. */
static void
add_decision(json_t *root, const struct explain *x)
{
	const struct explanation *e = &x->e;
	json_t *filters = json_array();

	for (uint32_t i = 0; i < e->asked_n; i++)
		json_array_append_new(filters, asked(e, &e->asked[i]));
	json_object_set_new(root, "inner", inner(&e->inner));
	json_object_set_new(root, "direction",
		json_pack("{s:s, s:s}", "direction", explain_direction_name(e->direction), "why",
			e->direction_why));
	json_object_set_new(root, "filters", filters);
	json_object_set_new(root, "routes", routes(x));
}

bool
explain_print_json(const struct explain *x, FILE *out)
{
	const struct explanation *e = &x->e;
	char text[EXPLAIN_WHY];
	json_t *root = json_pack("{s:s, s:I, s:s, s:i, s:i, s:o}", "schema", "mirrorsink.explain/1",
		"packet", (json_int_t)e->number, "time", explain_time(e, text), "length",
		(int)e->length, "wire_length", (int)e->wire_length, "outer", outer(&e->outer));
	bool ok = root != NULL;

	if (!ok)
		return false;
	if (e->outer.fate == MS_FATE_NONE) {
		json_object_set_new(root, "session", session(x));
		if (e->session.fate == MS_FATE_NONE)
			add_decision(root, x);
	}
	json_object_set_new(root, "outputs", outputs(x->ruleset->config, e->outputs));
	json_object_set_new(root, "fate", json_string(ms_fate_name((enum ms_fate)e->fate)));
	json_object_set_new(root, "disagreement", text_or_null(e->disagreement));
	json_dumpf(
		root, out, JSON_COMPACT); /* the stream is asked at the end whether all went well */
	fputc('\n', out);
	json_decref(root);
	return true;
}
