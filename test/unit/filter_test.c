/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The filter by hand: what AWS says about rules, as examples that a person can follow, each asked
 * of the oracle and of the compiler in all layouts; then the report, and what the compiler promises
 * about memory. filter_property_test.c holds the two against each other at random.
 */
#include "filter/ms_filter_lookup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define INGRESS MS_DIRECTION_INGRESS
#define EGRESS  MS_DIRECTION_EGRESS
#define UNKNOWN MS_DIRECTION_UNKNOWN

#define TCP  6
#define UDP  17
#define ICMP 1

#define ADDRESSES (MS_HAS_PROTO | MS_HAS_SRC | MS_HAS_DST)
#define ALL       (ADDRESSES | MS_HAS_SPORT | MS_HAS_DPORT)

#define ARCHIVE 1u /* outputs */
#define IDS     2u

#define BUDGET (1u << 20)

#define V4(a, b, c, d)                                                            \
	{                                                                         \
		.lo = (uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (uint32_t)(d), \
	}
#define NET4(a, b, c, d, bits)                                                 \
	{                                                                      \
		.family = MS_FAMILY_V4, .length = (bits), .ip = V4(a, b, c, d) \
	}
#define NET6(h, l, bits)                                                                \
	{                                                                               \
		.family = MS_FAMILY_V6, .length = (bits), .ip = {.hi = (h), .lo = (l) } \
	}
#define PORTS(a, b)                                     \
	{                                               \
		.present = true, .from = (a), .to = (b) \
	}
#define FILTER(table)                                                           \
	{                                                                       \
		.rules = (table), .rules_n = sizeof(table) / sizeof((table)[0]) \
	}

static const enum ms_filter_layout layouts[] = {
	MS_LAYOUT_AUTO, MS_LAYOUT_CROSS, MS_LAYOUT_BITSET, MS_LAYOUT_ROWS};
#define LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))

struct compiled {
	struct ms_blob blob;
	struct ms_filter_leaves leaves;
	size_t offset;
};

static void
compile(struct compiled *c, const struct ms_filter_policy *policy, enum ms_filter_layout layout)
{
	memset(c, 0, sizeof(*c));
	assert_int_equal(
		ms_filter_compile(&c->blob, &c->leaves, policy, layout, BUDGET, &c->offset), 0);
	assert_int_equal(c->offset % 64, 0);
}

static void
compiled_free(struct compiled *c)
{
	free(c->blob.base);
	ms_filter_leaves_free(&c->leaves);
}

/* How often a rule was hit, by the counts of all leaves. */
static uint64_t
hits_of(const struct ms_filter_leaves *leaves, const ms_counter *counts,
	const struct ms_filter *filter, uint32_t rule)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < leaves->leaves_n; i++)
		for (uint32_t j = leaves->first[i]; j < leaves->first[i + 1]; j++)
			if (leaves->hits[j].filter == filter && leaves->hits[j].rule == rule)
				sum += ms_count_read(&counts[i]);
	return sum;
}

static void
look(const struct compiled *c, const struct ms_key *key, enum ms_direction direction,
	uint32_t outputs, uint8_t fate)
{
	ms_counter *counts = calloc(c->leaves.leaves_n, sizeof(*counts));
	struct ms_packet packet = {.key = *key, .direction = (uint8_t)direction};
	struct ms_found found;
	uint64_t counted = 0;

	assert_non_null(counts);
	packet.policy = (uint32_t)(c->offset >> 6);
	found = ms_filter_lookup(c->blob.base, packet.policy, key, direction, counts);
	assert_int_equal(found.outputs, outputs);
	assert_int_equal(found.fate, fate);
	for (uint32_t i = 0; i < c->leaves.leaves_n; i++)
		counted += ms_count_read(&counts[i]);
	if (found.leaf != MS_LEAF_NONE) {
		assert_true(found.leaf < c->leaves.leaves_n);
		assert_true(ms_count_read(&counts[found.leaf]) > 0);
	}
	if (direction != MS_DIRECTION_UNKNOWN) /* else two, of which it is one */
		assert_int_equal(found.leaf != MS_LEAF_NONE, counted == 1);
	ms_filter_burst(c->blob.base, &packet, 1, counts);
	assert_int_equal(packet.outputs, outputs);
	assert_int_equal(packet.fate, fate);
	assert_int_equal(packet.leaf, found.leaf);
	free(counts);
}

/* Oracle and all layouts give these outputs and this fate. */
static void
expect(const struct ms_filter_policy *policy, const struct ms_key *key, enum ms_direction direction,
	uint32_t outputs, uint8_t fate)
{
	struct ms_verdict verdict = ms_filter_ref(policy, key, direction, NULL, NULL);

	assert_int_equal(verdict.outputs, outputs);
	assert_int_equal(verdict.fate, fate);
	for (unsigned int i = 0; i < LAYOUTS; i++) {
		struct compiled c;

		compile(&c, policy, layouts[i]);
		look(&c, key, direction, outputs, fate);
		compiled_free(&c);
	}
}

static const struct ms_filter_route to_archive = {.outputs = ARCHIVE};

/* The same for a session with one filter and one route without a filter. */
static void
expect_session(
	const struct ms_filter *filter, const struct ms_key *key, enum ms_direction d, uint8_t fate)
{
	struct ms_filter_policy policy = {.session = filter, .routes = &to_archive, .routes_n = 1};

	expect(&policy, key, d, fate == MS_FATE_NONE ? ARCHIVE : 0, fate);
}

static const struct ms_key web = {
	.family = MS_FAMILY_V4,
	.has = ALL,
	.proto = TCP,
	.src = V4(192, 0, 2, 1),
	.dst = V4(10, 1, 2, 3),
	.sport = 40000,
	.dport = 443,
};

static void
test_cidr_matches(void **state)
{
	struct ms_rule rule = {
		.protocol = MS_PROTO_ANY, .src = NET4(0, 0, 0, 0, 0), .dst = NET4(10, 0, 0, 0, 8)};
	struct ms_key key = web;

	(void)state;
	assert_true(ms_rule_match(&rule, &key));
	key.dst = (struct ms_ip)V4(10, 255, 255, 255);
	assert_true(ms_rule_match(&rule, &key));
	key.dst = (struct ms_ip)V4(11, 0, 0, 0);
	assert_false(ms_rule_match(&rule, &key));
	key.dst = (struct ms_ip)V4(9, 255, 255, 255);
	assert_false(ms_rule_match(&rule, &key));

	/* cut before the destination, then before the source: /0 needs no address, /8 does */
	key = web;
	key.has = MS_HAS_PROTO | MS_HAS_SRC;
	assert_false(ms_rule_match(&rule, &key));
	rule.dst = (struct ms_prefix)NET4(0, 0, 0, 0, 0);
	assert_true(ms_rule_match(&rule, &key));
	key.has = 0;
	assert_true(ms_rule_match(&rule, &key));
	key.family = MS_FAMILY_V6;
	assert_false(ms_rule_match(&rule, &key));
	key.family = MS_FAMILY_NONE;
	assert_false(ms_rule_match(&rule, &key));
}

static void
test_ports_and_protocol_match(void **state)
{
	struct ms_rule rule = {.protocol = TCP, .dport = PORTS(80, 443)};
	struct ms_key key = web;

	(void)state;
	assert_true(ms_rule_match(&rule, &key));
	key.dport = 80;
	assert_true(ms_rule_match(&rule, &key));
	key.dport = 79;
	assert_false(ms_rule_match(&rule, &key));
	key.dport = 444;
	assert_false(ms_rule_match(&rule, &key));

	/* the full range still needs a port: not so a later fragment */
	rule.dport = (struct ms_port_range)PORTS(0, 65535);
	assert_true(ms_rule_match(&rule, &key));
	key.has = ADDRESSES;
	key.fragment = true;
	assert_false(ms_rule_match(&rule, &key));
	rule.dport.present = false;
	assert_true(ms_rule_match(&rule, &key));

	key.proto = UDP;
	assert_false(ms_rule_match(&rule, &key));
	rule.protocol = MS_PROTO_ANY;
	assert_true(ms_rule_match(&rule, &key));

	/* protocol 0 is a protocol, and not the same as none */
	rule.protocol = 0;
	key.proto = 0;
	assert_true(ms_rule_match(&rule, &key));
	key.has = MS_HAS_SRC | MS_HAS_DST;
	assert_false(ms_rule_match(&rule, &key));
}

static void
test_rules_that_never_match(void **state)
{
	struct ms_rule ports = {.protocol = ICMP, .dport = PORTS(0, 65535)};
	struct ms_rule mixed = {
		.protocol = MS_PROTO_ANY, .src = NET4(0, 0, 0, 0, 0), .dst = NET6(0, 0, 0)};
	struct ms_key key = web;

	(void)state;
	key.proto = ICMP;
	assert_false(ms_rule_match(&ports, &key));
	for (unsigned int i = 0; i < 3; i++) {
		static const uint8_t families[] = {MS_FAMILY_NONE, MS_FAMILY_V4, MS_FAMILY_V6};

		key.family = families[i];
		assert_false(ms_rule_match(&mixed, &key));
	}
}

static void
test_first_match_decides(void **state)
{
	struct ms_rule rules[] = {
		{.number = 10, .direction = INGRESS, .protocol = TCP, .dport = PORTS(443, 443)},
		{.number = 20,
			.direction = INGRESS,
			.accept = true,
			.protocol = MS_PROTO_ANY,
			.dst = NET4(10, 0, 0, 0, 8)},
		{.number = 5, .direction = EGRESS, .accept = true, .protocol = UDP},
	};
	const struct ms_filter filter = FILTER(rules);
	struct ms_key key = web;

	(void)state;
	expect_session(&filter, &key, INGRESS, MS_FATE_FILTER_REJECT);
	key.dport = 80;
	expect_session(&filter, &key, INGRESS, MS_FATE_NONE);
	key.dst = (struct ms_ip)V4(172, 16, 0, 1);
	expect_session(&filter, &key, INGRESS, MS_FATE_FILTER_DEFAULT);
	expect_session(&filter, &key, EGRESS, MS_FATE_FILTER_DEFAULT);
	key.proto = UDP;
	expect_session(&filter, &key, EGRESS, MS_FATE_NONE);
	/* a later fragment goes past the rule with a port to the one without */
	key = web;
	key.has = ADDRESSES;
	expect_session(&filter, &key, INGRESS, MS_FATE_NONE);
}

static void
test_unknown_direction_unites(void **state)
{
	struct ms_rule rules[] = {
		{.number = 10, .direction = INGRESS, .protocol = TCP},
		{.number = 10, .direction = EGRESS, .accept = true, .protocol = TCP},
		{.number = 20, .direction = EGRESS, .protocol = UDP},
	};
	const struct ms_filter filter = FILTER(rules);
	struct ms_key key = web;

	(void)state;
	expect_session(&filter, &key, UNKNOWN, MS_FATE_NONE);
	key.proto = UDP; /* ingress: nothing matches; egress: rejected */
	expect_session(&filter, &key, UNKNOWN, MS_FATE_FILTER_REJECT);
	key.proto = ICMP;
	key.has = ADDRESSES;
	expect_session(&filter, &key, UNKNOWN, MS_FATE_FILTER_DEFAULT);
}

static void
test_filter_without_rules(void **state)
{
	const struct ms_filter filter = {.rules = NULL};

	(void)state;
	expect_session(&filter, &web, INGRESS, MS_FATE_FILTER_DEFAULT);
	expect_session(&filter, &web, UNKNOWN, MS_FATE_FILTER_DEFAULT);
	expect_session(NULL, &web, INGRESS, MS_FATE_NONE);
}

static void
test_not_ip(void **state)
{
	struct ms_rule rules[] = {
		{.number = 10,
			.direction = INGRESS,
			.accept = true,
			.protocol = MS_PROTO_ANY,
			.src = NET4(0, 0, 0, 0, 0),
			.dst = NET4(0, 0, 0, 0, 0)},
		{.number = 20, .direction = INGRESS, .protocol = MS_PROTO_ANY},
		{.number = 10, .direction = EGRESS, .accept = true, .protocol = MS_PROTO_ANY},
	};
	const struct ms_filter filter = FILTER(rules);
	const struct ms_key arp = {.family = MS_FAMILY_NONE};
	const struct ms_key v6 = {.family = MS_FAMILY_V6, .has = ADDRESSES};

	(void)state;
	expect_session(&filter, &web, INGRESS, MS_FATE_NONE);
	expect_session(&filter, &arp, INGRESS, MS_FATE_FILTER_REJECT);
	expect_session(&filter, &v6, INGRESS, MS_FATE_FILTER_REJECT);
	expect_session(&filter, &arp, EGRESS, MS_FATE_NONE);
	expect_session(&filter, &v6, EGRESS, MS_FATE_NONE);
}

static void
test_amazon_dns(void **state)
{
	struct ms_rule rules[] = {
		{.number = 1, .direction = INGRESS, .protocol = UDP},
		{.number = 1, .direction = EGRESS, .protocol = MS_PROTO_ANY},
	};
	struct ms_filter filter = FILTER(rules);
	const struct ms_prefix vpc_resolver = NET4(10, 0, 0, 2, 32);
	struct ms_filter_policy policy = {.session = &filter,
		.routes = &to_archive,
		.routes_n = 1,
		.resolvers = &vpc_resolver,
		.resolvers_n = 1};
	struct ms_key query = {.family = MS_FAMILY_V4,
		.has = ALL,
		.proto = UDP,
		.src = V4(10, 0, 0, 9),
		.dst = V4(169, 254, 169, 253),
		.sport = 40000,
		.dport = 53};
	struct ms_key answer = {.family = MS_FAMILY_V6,
		.has = ALL,
		.proto = TCP,
		.src = {.hi = 0xfd000ec200000000, .lo = 0x253},
		.dst = {.hi = 0xfd00000000000000, .lo = 1},
		.sport = 53,
		.dport = 40000};

	(void)state;
	expect(&policy, &query, EGRESS, 0, MS_FATE_FILTER_REJECT);
	filter.amazon_dns = true;
	expect(&policy, &query, EGRESS, ARCHIVE, MS_FATE_NONE);
	expect(&policy, &query, INGRESS, ARCHIVE, MS_FATE_NONE);
	expect(&policy, &answer, EGRESS, ARCHIVE, MS_FATE_NONE);
	query.dst = vpc_resolver.ip;
	expect(&policy, &query, EGRESS, ARCHIVE, MS_FATE_NONE);
	query.dst.lo++;
	expect(&policy, &query, EGRESS, 0, MS_FATE_FILTER_REJECT);
	/* port and address must be of the same side */
	query.src = vpc_resolver.ip;
	expect(&policy, &query, EGRESS, 0, MS_FATE_FILTER_REJECT);
	query.sport = 53;
	expect(&policy, &query, EGRESS, ARCHIVE, MS_FATE_NONE);
	query.proto = ICMP;
	expect(&policy, &query, EGRESS, 0, MS_FATE_FILTER_REJECT);
	query.proto = TCP;
	query.has = ADDRESSES;
	expect(&policy, &query, EGRESS, 0, MS_FATE_FILTER_REJECT);
	answer.proto = UDP;
	answer.sport = 54;
	expect(&policy, &answer, INGRESS, 0, MS_FATE_FILTER_REJECT);
}

static void
test_routes(void **state)
{
	struct ms_rule session_rules[] = {
		{.number = 1, .direction = INGRESS, .accept = true, .protocol = TCP},
		{.number = 2, .direction = INGRESS, .protocol = UDP},
	};
	struct ms_rule ids_rules[] = {
		{.number = 1, .direction = INGRESS, .protocol = TCP, .dport = PORTS(443, 443)},
		{.number = 2,
			.direction = INGRESS,
			.accept = true,
			.protocol = MS_PROTO_ANY,
			.dst = NET4(10, 0, 0, 0, 8)},
	};
	const struct ms_filter session = FILTER(session_rules), ids = FILTER(ids_rules);
	const struct ms_filter_route routes[] = {
		{.filter = &ids, .outputs = IDS},
		{.filter = &session, .outputs = ARCHIVE},
		{.filter = &ids, .outputs = 4},
		{.filter = NULL, .outputs = 0},
	};
	struct ms_filter_policy policy = {.session = &session, .routes = routes, .routes_n = 4};
	struct ms_key key = web;

	(void)state;
	expect(&policy, &key, INGRESS, ARCHIVE, MS_FATE_NONE);
	key.dport = 80;
	expect(&policy, &key, INGRESS, ARCHIVE | IDS | 4, MS_FATE_NONE);
	key.proto = UDP; /* the session rejects; that routes accept does not matter */
	expect(&policy, &key, INGRESS, 0, MS_FATE_FILTER_REJECT);
	policy.session = NULL;
	expect(&policy, &key, INGRESS, IDS | 4, MS_FATE_NONE);

	/* only the filtered routes */
	policy.session = &session;
	policy.routes_n = 1;
	key = web;
	expect(&policy, &key, INGRESS, 0, MS_FATE_FILTER_REJECT);
	key.dport = 80;
	key.dst = (struct ms_ip)V4(11, 0, 0, 0);
	expect(&policy, &key, INGRESS, 0, MS_FATE_FILTER_DEFAULT);

	/* no route to any output; but what the session does not accept has its own fate */
	policy.routes = &routes[3];
	expect(&policy, &key, INGRESS, 0, MS_FATE_NO_ROUTE);
	policy.routes_n = 0;
	expect(&policy, &key, INGRESS, 0, MS_FATE_NO_ROUTE);
	expect(&policy, &key, UNKNOWN, 0, MS_FATE_FILTER_DEFAULT);
	key.proto = UDP;
	expect(&policy, &key, INGRESS, 0, MS_FATE_FILTER_REJECT);
}

/* n rules of one port range each, and n of one address each; a table of every kind and depth. */
static void
check_many(uint32_t n, enum ms_filter_layout layout, uint8_t family)
{
	struct ms_rule *rules = calloc(2 * n, sizeof(*rules));
	struct ms_filter filter = {.rules = rules, .rules_n = 2 * n};
	struct ms_filter_policy policy = {.session = &filter, .routes = &to_archive, .routes_n = 1};
	struct ms_key key = {.family = family, .has = ALL, .proto = UDP, .src = {.hi = 1, .lo = 1}};
	struct compiled c;

	assert_non_null(rules);
	for (uint32_t i = 0; i < n; i++) {
		rules[i] = (struct ms_rule){.number = (uint16_t)(i + 1),
			.direction = INGRESS,
			.accept = i % 2 == 0,
			.protocol = UDP,
			.dport = PORTS((uint16_t)(10 * i + 2), (uint16_t)(10 * i + 4))};
		rules[n + i] = (struct ms_rule){.number = (uint16_t)(n + i + 1),
			.direction = INGRESS,
			.accept = i % 2 == 0,
			.protocol = MS_PROTO_ANY,
			.src = {.family = family,
				.length = family == MS_FAMILY_V4 ? 32 : 128,
				.ip = {.lo = 3 * i}}};
		if (family == MS_FAMILY_V6)
			rules[n + i].src.ip.hi = UINT64_MAX - i;
	}
	compile(&c, &policy, layout);
	for (uint32_t i = 0; i < n; i++) {
		bool accept = i % 2 == 0;
		uint8_t fate = accept ? MS_FATE_NONE : MS_FATE_FILTER_REJECT;

		for (uint32_t j = 1; j <= 5; j++) {
			key.src = (struct ms_ip){.hi = family == MS_FAMILY_V6, .lo = 1};
			key.dport = (uint16_t)(10 * i + j);
			if (j == 1 || j == 5)
				look(&c, &key, INGRESS, 0, MS_FATE_FILTER_DEFAULT);
			else
				look(&c, &key, INGRESS, accept ? ARCHIVE : 0, fate);
		}
		key.dport = 0;
		for (uint32_t j = 0; j < 3; j++) {
			key.src = rules[n + i].src.ip;
			key.src.lo += j;
			if (j != 0)
				look(&c, &key, INGRESS, 0, MS_FATE_FILTER_DEFAULT);
			else
				look(&c, &key, INGRESS, accept ? ARCHIVE : 0, fate);
		}
	}
	compiled_free(&c);
	free(rules);
}

static void
test_tables_of_all_sizes(void **state)
{
	static const uint32_t sizes[] = {1, 3, 4, 5, 8, 9, 16, 17, 136, 137};
	static const uint32_t halves[] = {16, 17, 63, 64, 127, 128, 255, 256};

	(void)state;
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		check_many(sizes[i], MS_LAYOUT_CROSS, MS_FAMILY_V4);
		check_many(sizes[i], MS_LAYOUT_CROSS, MS_FAMILY_V6);
		check_many(sizes[i], MS_LAYOUT_BITSET, MS_FAMILY_V4);
		check_many(sizes[i], MS_LAYOUT_BITSET, MS_FAMILY_V6);
	}
	/* two of each are the fewest and the most rules of sets of each length, and one more */
	for (unsigned int i = 0; i < sizeof(halves) / sizeof(halves[0]); i++)
		check_many(halves[i], MS_LAYOUT_AUTO, MS_FAMILY_V4);
	/* 5,000 ends: trees of four levels */
	check_many(2500, MS_LAYOUT_AUTO, MS_FAMILY_V4);
}

/* Does a rule take a key? For rules of IPv4 and TCP. */
static bool
rule_takes(const struct ms_rule *rule, const struct ms_key *key)
{
	const struct ms_prefix *src = &rule->src, *dst = &rule->dst;

	return (uint32_t)(key->src.lo ^ src->ip.lo) >> (32 - src->length) == 0 &&
	       (uint32_t)(key->dst.lo ^ dst->ip.lo) >> (32 - dst->length) == 0 &&
	       key->sport >= rule->sport.from && key->sport <= rule->sport.to &&
	       key->dport >= rule->dport.from && key->dport <= rule->dport.to;
}

/* A burst of n keys at the borders of rules, one or none beyond, against rules one by one. */
static void
check_borders(const struct compiled *c, enum ms_filter_code code, const struct ms_rule *rules,
	uint32_t rules_n, uint16_t n)
{
	ms_counter *counts = calloc(c->leaves.leaves_n, sizeof(*counts));
	struct ms_packet packets[MS_BURST] = {0};

	assert_non_null(counts);
	for (uint32_t i = 0; i < n; i++) {
		const struct ms_rule *rule = &rules[(i * 37 + n) % rules_n];
		struct ms_packet *p = &packets[i];
		bool beyond = i % 5 == 0;

		p->key = (struct ms_key){
			.family = MS_FAMILY_V4, .has = ALL, .proto = TCP, .src = rule->src.ip};
		p->key.src.lo += i % 2 ? 0 : (UINT64_C(1) << (32 - rule->src.length)) - 1;
		p->key.dst.lo = rule->dst.ip.lo +
		                (i % 3 ? 0 : (UINT64_C(1) << (32 - rule->dst.length)) - 1);
		p->key.sport =
			(uint16_t)(i % 4 < 2 ? rule->sport.from - beyond : rule->sport.to + beyond);
		p->key.dport = (uint16_t)(i % 8 < 4 ? rule->dport.from : rule->dport.to);
		p->key.dst.lo = (uint32_t)(p->key.dst.lo + (i % 7 == 0));
		p->direction = INGRESS;
		p->policy = (uint32_t)(c->offset >> 6);
	}
	ms_filter_burst_code(code)(c->blob.base, packets, n, counts);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t first = 0;

		while (first < rules_n && !rule_takes(&rules[first], &packets[i].key))
			first++;
		assert_int_equal(
			packets[i].outputs, first < rules_n && rules[first].accept ? ARCHIVE : 0);
		assert_int_equal(packets[i].fate, first == rules_n      ? MS_FATE_FILTER_DEFAULT
						  : rules[first].accept ? MS_FATE_NONE
									: MS_FATE_FILTER_REJECT);
	}
	free(counts);
}

/* Sets have an address in three parts and ports in pages: rules that begin and end there. */
static void
test_borders_of_sets(void **state)
{
	static const uint32_t sizes[] = {33, 127, 128, 255, 256, 511};
	static const uint8_t lengths[] = {1, 9, 10, 11, 20, 21, 22, 31, 32};
	struct ms_rule rules[511];

	(void)state;
	for (uint32_t i = 0; i < 511; i++) {
		struct ms_rule *rule = &rules[i];
		uint8_t src = lengths[i % 9], dst = lengths[i / 9 % 9];
		uint32_t high = (i % 3 << 22) * 511 + (i % 5 << 11) + i % 2;
		uint16_t page = (uint16_t)(i * 131 % 1024 * 64);

		*rule = (struct ms_rule){.number = (uint16_t)(i + 1),
			.direction = INGRESS,
			.accept = i % 3 != 0,
			.protocol = TCP,
			.src = {.family = MS_FAMILY_V4,
				.length = src,
				.ip.lo = high >> (32 - src) << (32 - src)},
			.dst = {.family = MS_FAMILY_V4,
				.length = dst,
				.ip.lo = ~high >> (32 - dst) << (32 - dst)},
			.sport = PORTS(page, (uint16_t)(page + 63)),
			.dport = PORTS((uint16_t)(page + i % 2 * 63), UINT16_MAX)};
	}
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const struct ms_filter filter = {.rules = rules, .rules_n = sizes[i]};
		const struct ms_filter_policy policy = {
			.session = &filter, .routes = &to_archive, .routes_n = 1};
		const struct ms_policy *compiled;
		struct compiled c;
		uint32_t kind;

		compile(&c, &policy, MS_LAYOUT_AUTO);
		compiled = ms_policy_at(c.blob.base, (uint32_t)(c.offset >> 6));
		kind = ms_policy_table(compiled, INGRESS, MS_FAMILY_V4) & MS_TABLE_KIND;
		assert_int_equal(kind, MS_TABLE_V4_SETS_2 + (sizes[i] > 127) + (sizes[i] > 255));
		for (unsigned int code = MS_FILTER_PLAIN; code < MS_FILTER_CODES; code++)
			for (uint16_t n = 1; ms_filter_burst_code(code) != NULL && n <= MS_BURST;
				n++)
				check_borders(&c, code, rules, sizes[i], n);
		compiled_free(&c);
	}
}

static void
test_hits(void **state)
{
	struct ms_rule session_rules[] = {
		{.number = 1, .direction = INGRESS, .accept = true, .protocol = TCP},
		{.number = 1, .direction = EGRESS, .accept = true, .protocol = TCP},
	};
	struct ms_rule ids_rules[] = {
		{.number = 1, .direction = INGRESS, .protocol = TCP, .dport = PORTS(443, 443)},
		{.number = 1, .direction = EGRESS, .accept = true, .protocol = TCP},
	};
	const struct ms_filter session = FILTER(session_rules);
	const struct ms_filter ids = {.amazon_dns = true, .rules = ids_rules, .rules_n = 2};
	const struct ms_filter_route routes[] = {
		{.filter = &ids, .outputs = IDS}, {.filter = &ids, .outputs = ARCHIVE}};
	const struct ms_filter_policy policy = {
		.session = &session, .routes = routes, .routes_n = 2};
	struct ms_packet packets[5];

	(void)state;
	for (unsigned int i = 0; i < LAYOUTS; i++) {
		struct compiled c;
		ms_counter *counts;

		compile(&c, &policy, layouts[i]);
		counts = calloc(c.leaves.leaves_n, sizeof(*counts));
		assert_non_null(counts);
		memset(packets, 0, sizeof(packets));
		for (unsigned int j = 0; j < 5; j++) {
			packets[j].policy = (uint32_t)(c.offset >> 6);
			packets[j].key = web;
			packets[j].direction = INGRESS;
		}
		packets[1].direction = UNKNOWN;
		packets[2].key.dst = (struct ms_ip)V4(169, 254, 169, 253);
		packets[2].key.dport = 53;
		packets[3].key.proto = UDP;
		packets[4].fate = MS_FATE_SESSION_UNKNOWN; /* decided before: not looked at */
		ms_filter_burst(c.blob.base, packets, 5, counts);
		assert_int_equal(packets[0].fate, MS_FATE_FILTER_REJECT);
		assert_int_equal(packets[1].outputs, IDS | ARCHIVE);
		assert_int_equal(packets[2].outputs, IDS | ARCHIVE);
		assert_int_equal(packets[3].fate, MS_FATE_FILTER_DEFAULT);
		assert_int_equal(packets[4].fate, MS_FATE_SESSION_UNKNOWN);
		assert_int_equal(hits_of(&c.leaves, counts, &session, 0), 3);
		assert_int_equal(hits_of(&c.leaves, counts, &session, 1), 1);
		assert_int_equal(hits_of(&c.leaves, counts, &ids, 0), 2);
		assert_int_equal(hits_of(&c.leaves, counts, &ids, 1), 1);
		assert_int_equal(hits_of(&c.leaves, counts, &ids, MS_RULE_NONE), 1);
		free(counts);
		compiled_free(&c);
	}
}

/* Ten rules a direction, as a quota lets them be, with all fields in use. */
static void
fill_typical(struct ms_rule rules[20])
{
	static const uint16_t ports[] = {22, 53, 80, 123, 443, 3306, 5432, 6379, 8080, 9200};

	for (uint32_t i = 0; i < 20; i++) {
		struct ms_prefix net = NET4(10, 20, 0, 0, 24);
		struct ms_prefix any = NET4(0, 0, 0, 0, 0);

		net.ip.lo |= i % 10 << 8;
		rules[i] = (struct ms_rule){.number = (uint16_t)(10 * (i + 1)),
			.direction = i < 10 ? INGRESS : EGRESS,
			.accept = i % 3 != 0,
			.protocol = ports[i % 10] == 53 || ports[i % 10] == 123 ? UDP : TCP,
			.src = i < 10 ? any : net,
			.dst = i < 10 ? net : any,
			.dport = PORTS(ports[i % 10], ports[i % 10])};
		if (i % 10 == 9)
			rules[i] = (struct ms_rule){.number = (uint16_t)(10 * (i + 1)),
				.direction = rules[i].direction,
				.accept = true,
				.protocol = ICMP,
				.src = any,
				.dst = any};
	}
}

static void
test_typical_policy_is_small(void **state)
{
	struct ms_rule rules[20];
	const struct ms_filter filter = FILTER(rules);
	const struct ms_filter_policy policy = {
		.session = &filter, .routes = &to_archive, .routes_n = 1};
	struct compiled c;

	(void)state;
	fill_typical(rules);
	compile(&c, &policy, MS_LAYOUT_AUTO);
	assert_true(c.blob.used - c.offset <= 2048);
	compiled_free(&c);
}

static void
test_policies_share_a_blob(void **state)
{
	struct ms_rule tcp[] = {
		{.number = 1, .direction = INGRESS, .accept = true, .protocol = TCP}};
	struct ms_rule udp[] = {
		{.number = 1, .direction = INGRESS, .accept = true, .protocol = UDP}};
	const struct ms_filter filters[2] = {FILTER(tcp), FILTER(udp)};
	struct ms_blob blob = {0};
	struct ms_filter_leaves leaves = {0};
	size_t offsets[200];
	ms_counter *counts;
	void *elsewhere;

	(void)state;
	for (unsigned int i = 0; i < 200; i++) {
		const struct ms_filter_policy policy = {
			.session = &filters[i % 2], .routes = &to_archive, .routes_n = 1};

		assert_int_equal(ms_filter_compile(&blob, &leaves, &policy, MS_LAYOUT_AUTO, BUDGET,
					 &offsets[i]),
			0);
	}
	counts = calloc(leaves.leaves_n, sizeof(*counts));
	assert_non_null(counts);
	/* somewhere else, and the original gone */
	elsewhere = aligned_alloc(64, (blob.used + 63) & ~(size_t)63);
	assert_non_null(elsewhere);
	memcpy(elsewhere, blob.base, blob.used);
	memset(blob.base, 0xff, blob.used);
	for (unsigned int i = 0; i < 200; i++) {
		struct ms_found found = ms_filter_lookup(
			elsewhere, (uint32_t)(offsets[i] >> 6), &web, INGRESS, counts);

		assert_int_equal(found.outputs, i % 2 == 0 ? ARCHIVE : 0);
		assert_true(found.leaf < leaves.leaves_n);
	}
	assert_int_equal(hits_of(&leaves, counts, &filters[0], 0), 100);
	assert_int_equal(hits_of(&leaves, counts, &filters[1], 0), 0);
	free(elsewhere);
	free(counts);
	free(blob.base);
	ms_filter_leaves_free(&leaves);
}

static uint8_t
kind_of(const struct compiled *c, uint8_t direction, uint8_t family)
{
	const struct ms_policy *policy = ms_policy_at(c->blob.base, (uint32_t)(c->offset >> 6));

	return ms_policy_table(policy, direction, family) & MS_TABLE_KIND;
}

static bool
is_rows(uint8_t kind)
{
	return kind >= MS_TABLE_V4_ROWS_8 && kind <= MS_TABLE_V4_TREE;
}

static void
test_budget_and_layout(void **state)
{
	struct ms_rule rules[20];
	const struct ms_filter filter = FILTER(rules);
	const struct ms_filter_policy policy = {
		.session = &filter, .routes = &to_archive, .routes_n = 1};
	struct compiled c;

	(void)state;
	fill_typical(rules);
	compile(&c, &policy, MS_LAYOUT_CROSS);
	assert_int_equal(kind_of(&c, INGRESS, MS_FAMILY_V4), MS_TABLE_V4_32);
	compiled_free(&c);
	compile(&c, &policy, MS_LAYOUT_AUTO);
	assert_true(is_rows(kind_of(&c, INGRESS, MS_FAMILY_V4)));
	assert_int_equal(kind_of(&c, INGRESS, MS_FAMILY_V6), MS_TABLE_CONST);
	assert_int_equal(kind_of(&c, INGRESS, MS_FAMILY_NONE), MS_TABLE_CONST);
	compiled_free(&c);
	compile(&c, &policy, MS_LAYOUT_BITSET);
	assert_int_equal(kind_of(&c, INGRESS, MS_FAMILY_V4), MS_TABLE_V4_BITS);
	compiled_free(&c);

	/* a budget that no cross product fits: AUTO falls back, CROSS says so */
	memset(&c, 0, sizeof(c));
	assert_int_equal(
		ms_filter_compile(&c.blob, &c.leaves, &policy, MS_LAYOUT_AUTO, 100, &c.offset), 0);
	assert_int_equal(kind_of(&c, EGRESS, MS_FAMILY_V4), MS_TABLE_V4_BITS);
	look(&c, &web, INGRESS, 0, MS_FATE_FILTER_DEFAULT);
	compiled_free(&c);
	memset(&c, 0, sizeof(c));
	assert_int_equal(
		ms_filter_compile(&c.blob, &c.leaves, &policy, MS_LAYOUT_CROSS, 100, &c.offset),
		-EFBIG);
	assert_int_equal(c.blob.used, 0);
	assert_int_equal(c.leaves.leaves_n, 0);
	compiled_free(&c);
}

static void
test_full_blob_is_left_alone(void **state)
{
	struct ms_rule rules[20];
	const struct ms_filter filter = FILTER(rules);
	const struct ms_filter_policy policy = {
		.session = &filter, .routes = &to_archive, .routes_n = 1};
	struct compiled c;
	struct ms_filter_leaves before;
	size_t used, offset = 12345;
	uint8_t *copy;

	(void)state;
	fill_typical(rules);
	compile(&c, &policy, MS_LAYOUT_AUTO);
	c.blob.limit = c.blob.used + 100;
	used = c.blob.used;
	before = c.leaves;
	copy = malloc(used);
	assert_non_null(copy);
	memcpy(copy, c.blob.base, used);
	for (unsigned int i = 0; i < LAYOUTS; i++) {
		assert_int_equal(
			ms_filter_compile(&c.blob, &c.leaves, &policy, layouts[i], BUDGET, &offset),
			-EFBIG);
		assert_int_equal(c.blob.used, used);
		assert_memory_equal(c.blob.base, copy, used);
		assert_int_equal(c.leaves.leaves_n, before.leaves_n);
		assert_int_equal(c.leaves.hits_n, before.hits_n);
		assert_int_equal(c.leaves.first[before.leaves_n], before.hits_n);
	}
	look(&c, &web, INGRESS, 0, MS_FATE_FILTER_DEFAULT);
	c.blob.limit = 0;
	assert_int_equal(
		ms_filter_compile(&c.blob, &c.leaves, &policy, MS_LAYOUT_AUTO, BUDGET, &c.offset),
		0);
	assert_int_equal(c.leaves.leaves_n, 2 * before.leaves_n);
	look(&c, &web, INGRESS, 0, MS_FATE_FILTER_DEFAULT);
	free(copy);
	compiled_free(&c);
}

static void
test_blob(void **state)
{
	struct ms_blob blob = {.limit = 100000};
	size_t a = ms_blob_add(&blob, 3, 1), b = ms_blob_add(&blob, 70000, 64), c;

	(void)state;
	assert_int_not_equal(a, 0);
	assert_true(b >= a + 3);
	assert_int_equal(b % 64, 0);
	assert_int_equal((uintptr_t)blob.base % 64, 0);
	for (size_t i = a; i < blob.used; i++)
		assert_int_equal(blob.base[i], 0);
	memset(blob.base + b, 0x5a, 70000);
	errno = 0;
	assert_int_equal(ms_blob_add(&blob, 30000, 8), 0);
	assert_int_equal(errno, EFBIG);
	errno = 0;
	assert_int_equal(ms_blob_add(&blob, SIZE_MAX, 8), 0);
	assert_int_equal(errno, EFBIG);
	c = ms_blob_add(&blob, 100000 - blob.used, 1);
	assert_int_equal(c, b + 70000);
	assert_int_equal(blob.base[b + 69999], 0x5a);
	assert_int_equal(ms_blob_add(&blob, 1, 1), 0);
	free(blob.base);
}

static void
expect_report(const struct ms_filter *filter, const struct ms_rule_report *want, int n)
{
	struct ms_rule_report got[16];

	assert_int_equal(ms_filter_report(filter, got, 16), n);
	for (int i = 0; i < n; i++) {
		assert_int_equal(got[i].rule, want[i].rule);
		assert_int_equal(got[i].defect, want[i].defect);
	}
	/* without room it only counts */
	assert_int_equal(ms_filter_report(filter, NULL, 0), n);
}

static void
test_report_shadowed(void **state)
{
	struct ms_rule rules[] = {
		{.direction = INGRESS, .protocol = TCP, .dport = PORTS(0, 1023)},
		{.direction = INGRESS, .protocol = TCP, .dport = PORTS(1024, 65535)},
		/* both halves together */
		{.direction = INGRESS, .protocol = TCP, .dport = PORTS(1000, 2000)},
		/* not so: a TCP frame without ports */
		{.direction = INGRESS, .protocol = TCP},
		{.direction = INGRESS, .protocol = UDP},
		/* any protocol, but where there are ports there is TCP or UDP */
		{.direction = INGRESS, .protocol = MS_PROTO_ANY, .sport = PORTS(1, 1)},
		{.direction = INGRESS, .protocol = MS_PROTO_ANY, .src = NET4(0, 0, 0, 0, 1)},
		{.direction = INGRESS, .protocol = MS_PROTO_ANY, .src = NET4(128, 0, 0, 0, 1)},
		{.direction = INGRESS, .protocol = ICMP, .src = NET4(10, 0, 0, 0, 8)},
		/* not so: IPv6, and a frame cut before its source */
		{.direction = INGRESS, .protocol = ICMP, .src = NET4(0, 0, 0, 0, 0)},
		{.direction = INGRESS, .protocol = ICMP},
		{.direction = INGRESS, .protocol = MS_PROTO_ANY},
		{.direction = INGRESS, .protocol = 50},
		{.direction = EGRESS, .protocol = 50},
	};
	const struct ms_filter filter = FILTER(rules);
	const struct ms_rule_report want[] = {{2, MS_RULE_SHADOWED}, {5, MS_RULE_SHADOWED},
		{8, MS_RULE_SHADOWED}, {12, MS_RULE_SHADOWED}};

	(void)state;
	expect_report(&filter, want, 4);
}

static void
test_report_defects(void **state)
{
	struct ms_rule rules[] = {
		{.direction = INGRESS, .protocol = ICMP, .dport = PORTS(0, 65535)},
		{.direction = INGRESS,
			.protocol = MS_PROTO_ANY,
			.src = NET4(0, 0, 0, 0, 0),
			.dst = NET6(0, 0, 0)},
		{.direction = INGRESS, .protocol = UDP, .sport = PORTS(53, 53)},
		{.direction = INGRESS,
			.protocol = UDP,
			.src = NET4(169, 254, 169, 253, 32),
			.sport = PORTS(53, 53)},
		{.direction = EGRESS,
			.protocol = UDP,
			.dst = NET4(169, 254, 169, 253, 32),
			.dport = PORTS(53, 53)},
	};
	struct ms_filter filter = FILTER(rules);
	struct ms_rule_report want[] = {{0, MS_RULE_PORTS_NO_PROTO}, {1, MS_RULE_MIXED_FAMILIES},
		{3, MS_RULE_SHADOWED}, {4, MS_RULE_SHADOWED}};

	(void)state;
	expect_report(&filter, want, 3);
	filter.amazon_dns = true; /* takes all that the last rule could */
	expect_report(&filter, want, 4);
}

/* So many different rules that only pairs are compared. */
static void
test_report_of_many_rules(void **state)
{
	enum { N = 3000 };
	struct ms_rule *rules = calloc(N, sizeof(*rules));
	const struct ms_filter filter = {.rules = rules, .rules_n = N};
	const struct ms_rule_report want[] = {{N - 1, MS_RULE_SHADOWED}};

	(void)state;
	assert_non_null(rules);
	for (uint32_t i = 0; i < N; i++)
		rules[i] = (struct ms_rule){.direction = EGRESS,
			.protocol = TCP,
			.src = {.family = MS_FAMILY_V4, .length = 32, .ip = {.lo = i * 7919}},
			.dst = {.family = MS_FAMILY_V4, .length = 32, .ip = {.lo = i * 104729}},
			.dport = PORTS((uint16_t)i, (uint16_t)(i + 100))};
	rules[N - 1] = rules[17];
	rules[N - 1].dport.to--;
	expect_report(&filter, want, 1);
	free(rules);
}

static void
test_filter_free(void **state)
{
	struct ms_filter filter = {
		.name = strdup("tmf-1"), .rules = calloc(2, sizeof(struct ms_rule)), .rules_n = 2};

	(void)state;
	ms_filter_free(&filter);
	assert_null(filter.name);
	assert_int_equal(filter.rules_n, 0);
}

/* Every field that keeps a rule from matching is named, and no other. */
static void
test_explain(void **state)
{
	struct ms_key key = {.family = MS_FAMILY_V4,
		.has = ALL,
		.proto = TCP,
		.src = V4(10, 0, 0, 1),
		.dst = V4(10, 0, 1, 1),
		.sport = 1000,
		.dport = 443};
	struct ms_rule rule = {.protocol = TCP,
		.src = NET4(10, 0, 0, 0, 24),
		.dst = NET4(10, 0, 1, 0, 24),
		.sport = PORTS(1000, 1000),
		.dport = PORTS(443, 443)};

	assert_int_equal(ms_rule_explain(&rule, &key), 0);
	key.dport = 444;
	assert_int_equal(ms_rule_explain(&rule, &key), MS_MISS_DPORT);
	key.sport = 999;
	assert_int_equal(ms_rule_explain(&rule, &key), MS_MISS_DPORT | MS_MISS_SPORT);
	key.src.lo += 256;
	key.proto = UDP;
	assert_int_equal(ms_rule_explain(&rule, &key),
		MS_MISS_PROTO | MS_MISS_SRC | MS_MISS_SPORT | MS_MISS_DPORT);
	key.dst.lo += 256;
	key.has = 0;
	assert_int_equal(ms_rule_explain(&rule, &key),
		MS_MISS_PROTO | MS_MISS_SRC | MS_MISS_DST | MS_MISS_SPORT | MS_MISS_DPORT);
	rule = (struct ms_rule){.protocol = ICMP, .dport = PORTS(0, 65535)};
	key.has = ADDRESSES;
	key.proto = ICMP;
	assert_int_equal(ms_rule_explain(&rule, &key), MS_MISS_PORTS | MS_MISS_DPORT);
	rule = (struct ms_rule){.protocol = MS_PROTO_ANY, .src = NET6(0, 0, 0)};
	assert_int_equal(ms_rule_explain(&rule, &key), MS_MISS_SRC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cidr_matches),
		cmocka_unit_test(test_ports_and_protocol_match),
		cmocka_unit_test(test_rules_that_never_match),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_first_match_decides),
		cmocka_unit_test(test_unknown_direction_unites),
		cmocka_unit_test(test_filter_without_rules),
		cmocka_unit_test(test_not_ip),
		cmocka_unit_test(test_amazon_dns),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_tables_of_all_sizes),
		cmocka_unit_test(test_borders_of_sets),
		cmocka_unit_test(test_hits),
		cmocka_unit_test(test_typical_policy_is_small),
		cmocka_unit_test(test_policies_share_a_blob),
		cmocka_unit_test(test_budget_and_layout),
		cmocka_unit_test(test_full_blob_is_left_alone),
		cmocka_unit_test(test_blob),
		cmocka_unit_test(test_report_shadowed),
		cmocka_unit_test(test_report_defects),
		cmocka_unit_test(test_report_of_many_rules),
		cmocka_unit_test(test_filter_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
