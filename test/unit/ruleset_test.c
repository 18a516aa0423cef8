/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ruleset: which session a packet belongs to, and which filters and outputs apply to it, for
 * configurations as they are read. ruleset_counts_test.c has counters, memory and publication.
 */
#include "ruleset_fixture.h"

#include <stdio.h>
#include <string.h>

#include "filter/ms_filter_lookup.h"

#define ANYWHERE "203.0.113.9"

#define UDP_TO(port)                                               \
	"'Ingress':[{'Number':10,'Action':'accept','Protocol':17," \
	"'Ports':{'FromPort':" port ",'ToPort':" port "}}]"

/* Accept UDP to one port, coming in. */
#define FILTERS "'Filters':[{'Filter':'f53'," UDP_TO("53") "},{'Filter':'f80'," UDP_TO("80") "}]"

#define FILTERS_3                                                               \
	"'Filters':[{'Filter':'f53'," UDP_TO("53") "},{'Filter':'f80'," UDP_TO( \
		"80") "},{'Filter':'none'}]"

#define INTERFACES                                                                         \
	"'NetworkInterfaces':["                                                            \
	"{'Eni':'eni-a','PrivateIpAddress':'10.0.0.1',"                                    \
	"'MacAddress':'02:00:00:00:00:0a'},"                                               \
	"{'Eni':'eni-b','PrivateIpAddress':'10.0.0.2',"                                    \
	"'Ipv6Addresses':[{'Ipv6Address':'2001:db8::b'},{'Ipv6Address':'2001:db8::bb'}]}," \
	"{'Eni':'eni-c','Ipv6Addresses':[{'Ipv6Address':'::a00:1'}]}]"

#define OUTPUTS                                                               \
	"'Outputs':[{'Name':'o0','Type':'null'},{'Name':'o1','Type':'null'}," \
	"{'Name':'o2','Type':'null'},{'Name':'o3','Type':'null'}]"

/* Without sessions every VNI is one as it is first seen, and goes everywhere. */
static void
test_learned(void **state)
{
	struct ms_ruleset *r = test_rules("{" OUTPUTS "}", 1);

	assert_int_equal(ms_session_count(test_registry), 0);
	assert_int_equal(test_outputs(r, ANYWHERE, 7, 1, "vni7"), 0xf);
	assert_int_equal(test_outputs(r, "2001:db8::1", 0, 1, "vni0"), 0xf);
	assert_int_equal(test_outputs(r, "10.1.1.1", 7, 1, "vni7"), 0xf);
	assert_int_equal(ms_session_count(test_registry), 2);
	assert_int_equal(r->policies_n, 1);
	ms_ruleset_free(r);
}

/* Without interfaces the VNI alone decides. */
static void
test_by_vni(void **state)
{
	struct ms_ruleset *r = test_rules("{" OUTPUTS ",'Sessions':[{'Session':'a','Vni':0},"
					  "{'Session':'b','Vni':16777215}]}",
		1);

	assert_int_equal(ms_session_count(test_registry), 2);
	assert_int_equal(test_outputs(r, ANYWHERE, 0, 1, "a"), 0xf);
	assert_int_equal(test_outputs(r, "2001:db8::1", 0xffffff, 1, "b"), 0xf);
	assert_int_equal(test_fate(r, ANYWHERE, 1, 1), MS_FATE_SESSION_UNKNOWN);
	assert_int_equal(ms_session_count(test_registry), 2);
	ms_ruleset_free(r);
}

#define SHARED                                               \
	"'Sessions':[{'Session':'a','Vni':5,'Eni':'eni-a'}," \
	"{'Session':'b','Vni':5,'Eni':'eni-b'},"             \
	"{'Session':'c','Vni':5,'Eni':'eni-c'},"             \
	"{'Session':'a6','Vni':6,'Eni':'eni-a'}]"

/* What holds of shared VNIs whether sources are checked or not. */
static void
check_shared(const struct ms_ruleset *r)
{
	struct ms_packet p = test_ask(r, "10.0.0.1", 5, 1);

	assert_int_equal(p.eni_mac, 0x02000000000a);
	assert_int_equal(test_ask(r, "10.0.0.2", 5, 1).eni_mac, 0);
	test_outputs(r, "10.0.0.1", 5, 1, "a");
	test_outputs(r, "10.0.0.2", 5, 1, "b");
	test_outputs(r, "2001:db8::b", 5, 1, "b");
	test_outputs(r, "2001:db8::bb", 5, 1, "b");
	/* ::10.0.0.1 has the bits of 10.0.0.1, and is another address */
	test_outputs(r, "::a00:1", 5, 1, "c");
	test_outputs(r, "10.0.0.1", 6, 1, "a6");
}

static void
test_shared_vni(void **state)
{
	struct ms_ruleset *r = test_rules("{" INTERFACES "," OUTPUTS "," SHARED "}", 1);

	check_shared(r);
	assert_int_equal(test_fate(r, ANYWHERE, 5, 1), MS_FATE_SESSION_UNKNOWN);
	assert_int_equal(test_fate(r, "2001:db8::c", 5, 1), MS_FATE_SESSION_UNKNOWN);
	/* who has its VNI for itself is found by it */
	test_outputs(r, ANYWHERE, 6, 1, "a6");
	assert_int_equal(test_fate(r, "10.0.0.1", 7, 1), MS_FATE_SESSION_UNKNOWN);
	ms_ruleset_free(r);
}

static void
test_strict(void **state)
{
	struct ms_ruleset *r =
		test_rules("{" INTERFACES "," OUTPUTS "," SHARED ",'SourceCheck':'strict'}", 1);

	check_shared(r);
	assert_int_equal(test_fate(r, ANYWHERE, 5, 1), MS_FATE_SOURCE_MISMATCH);
	assert_int_equal(test_fate(r, "10.0.0.2", 6, 1), MS_FATE_SOURCE_MISMATCH);
	assert_int_equal(test_fate(r, "::a00:1", 6, 1), MS_FATE_SOURCE_MISMATCH);
	assert_int_equal(test_fate(r, "10.0.0.1", 7, 1), MS_FATE_SESSION_UNKNOWN);
	ms_ruleset_free(r);
}

/* Strictness can't check a session whose interface is not loaded. */
static void
test_strict_without_interface(void **state)
{
	struct ms_ruleset *r = test_rules("{" INTERFACES ",'SourceCheck':'strict','Sessions':["
					  "{'Session':'a','Vni':5,'Eni':'eni-a'},"
					  "{'Session':'x','Vni':5,'Eni':'eni-x'},"
					  "{'Session':'y','Vni':6}]}",
		1);

	assert_string_equal(
		ms_session_info(test_registry, test_ask(r, "10.0.0.1", 5, 1).session)->name, "a");
	assert_string_equal(
		ms_session_info(test_registry, test_ask(r, ANYWHERE, 5, 1).session)->name, "x");
	assert_string_equal(
		ms_session_info(test_registry, test_ask(r, ANYWHERE, 6, 1).session)->name, "y");
	ms_ruleset_free(r);
}

static void
test_deliver(void **state)
{
	struct ms_ruleset *r =
		test_rules("{" INTERFACES "," OUTPUTS "," SHARED ",'UnknownSession':'deliver',"
			   "'Routes':[{'Outputs':['o0']},"
			   "{'VirtualNetworkId':5,'Outputs':['o1']},"
			   "{'VirtualNetworkId':9,'Outputs':['o2']}]}",
			1);

	check_shared(r);
	assert_int_equal(test_outputs(r, "10.0.0.1", 5, 1, "a"), 1 | 2);
	assert_int_equal(test_outputs(r, ANYWHERE, 6, 1, "a6"), 1);
	/* from nobody's address: a session of that VNI, which its route means too */
	assert_int_equal(test_outputs(r, ANYWHERE, 5, 1, "vni5"), 1 | 2);
	assert_int_equal(test_outputs(r, ANYWHERE, 9, 1, "vni9"), 1 | 4);
	assert_int_equal(test_outputs(r, ANYWHERE, 10, 1, "vni10"), 1);
	ms_ruleset_free(r);
}

static void
test_deliver_strict(void **state)
{
	struct ms_ruleset *r = test_rules("{" INTERFACES "," OUTPUTS "," SHARED
					  ",'UnknownSession':'deliver','SourceCheck':'strict',"
					  "'Routes':[{'VirtualNetworkId':5,'Outputs':['o1']},"
					  "{'Outputs':['o0']}]}",
		1);

	check_shared(r);
	assert_int_equal(test_fate(r, ANYWHERE, 5, 1), MS_FATE_SOURCE_MISMATCH);
	assert_int_equal(test_fate(r, "10.0.0.2", 6, 1), MS_FATE_SOURCE_MISMATCH);
	assert_int_equal(test_outputs(r, ANYWHERE, 7, 1, "vni7"), 1);
	ms_ruleset_free(r);
}

/* The registry is full: there is no session to deliver to. */
static void
test_learned_full(void **state)
{
	struct ms_ruleset *r = test_rules("{" OUTPUTS "}", 1);

	for (uint32_t vni = 0; vni < MS_SESSIONS_MAX; vni++)
		assert_int_equal(ms_session_learn(test_registry, vni, (struct ms_ip){0}, 4), vni);
	assert_int_equal(test_outputs(r, ANYWHERE, 1, 1, "vni1"), 0xf);
	assert_int_equal(test_fate(r, ANYWHERE, MS_SESSIONS_MAX, 1), MS_FATE_SESSION_UNKNOWN);
	ms_ruleset_free(r);
}

/* Who has a fate keeps it, and nothing else is touched. */
static void
test_fates_stay(void **state)
{
	struct ms_ruleset *r = test_rules("{}", 1);
	struct ms_packet p = {.vni = 3, .fate = MS_FATE_OUTER_FRAGMENT, .session = 77};

	ms_ruleset_session_burst(r, test_registry, &p, 1);
	assert_int_equal(p.fate, MS_FATE_OUTER_FRAGMENT);
	assert_int_equal(p.session, 77);
	assert_int_equal(ms_session_count(test_registry), 0);
	ms_ruleset_free(r);
}

/* All routes that match a session apply, together. */
static void
test_routes(void **state)
{
	struct ms_ruleset *r =
		test_rules("{" OUTPUTS "," FILTERS ",'Sessions':["
			   "{'Session':'a','Vni':1},"
			   "{'Session':'b','Vni':2},"
			   "{'Session':'c','Vni':3,'Filter':'f80'}],"
			   "'Routes':["
			   "{'SessionId':'a','Outputs':['o0']},"
			   "{'SessionId':'b','VirtualNetworkId':2,'Outputs':['o0']},"
			   "{'SessionId':'b','VirtualNetworkId':9,'Outputs':['o3']},"
			   "{'VirtualNetworkId':2,'Outputs':['o1']},"
			   "{'FilterId':'f53','Outputs':['o2']},"
			   "{'SessionId':'b','FilterId':'f80','Outputs':['o2','o3']}]}",
			1);

	assert_int_equal(test_outputs(r, ANYWHERE, 1, 53, "a"), 1 | 4);
	assert_int_equal(test_outputs(r, ANYWHERE, 1, 80, "a"), 1);
	assert_int_equal(test_outputs(r, ANYWHERE, 2, 53, "b"), 1 | 2 | 4);
	assert_int_equal(test_outputs(r, ANYWHERE, 2, 80, "b"), 1 | 2 | 4 | 8);
	assert_int_equal(test_outputs(r, ANYWHERE, 2, 81, "b"), 1 | 2);
	/* the session's filter first, then its route's: nothing passes both */
	assert_int_equal(test_fate(r, ANYWHERE, 3, 53), MS_FATE_FILTER_DEFAULT);
	assert_int_equal(test_fate(r, ANYWHERE, 3, 80), MS_FATE_FILTER_DEFAULT);
	ms_ruleset_free(r);
}

static void
test_no_route(void **state)
{
	struct ms_ruleset *r = test_rules("{" OUTPUTS ",'Sessions':[{'Session':'a','Vni':1},"
					  "{'Session':'b','Vni':2}],"
					  "'Routes':[{'SessionId':'b','Outputs':['o3']}]}",
		1);

	assert_int_equal(test_fate(r, ANYWHERE, 1, 1), MS_FATE_NO_ROUTE);
	assert_int_equal(test_outputs(r, ANYWHERE, 2, 1, "b"), 8);
	ms_ruleset_free(r);
}

/* Learned sessions have the routes of their VNI, and those without one. */
static void
test_learned_routes(void **state)
{
	struct ms_ruleset *r =
		test_rules("{" OUTPUTS "," FILTERS ",'Routes':["
			   "{'VirtualNetworkId':64,'Outputs':['o0']},"
			   "{'VirtualNetworkId':64,'FilterId':'f53','Outputs':['o1']},"
			   "{'VirtualNetworkId':65,'FilterId':'f53','Outputs':['o1']},"
			   "{'SessionId':'vni64','Outputs':['o3']}]}",
			1);

	assert_int_equal(test_outputs(r, ANYWHERE, 64, 53, "vni64"), 1 | 2);
	assert_int_equal(test_outputs(r, ANYWHERE, 64, 54, "vni64"), 1);
	assert_int_equal(test_outputs(r, ANYWHERE, 65, 53, "vni65"), 2);
	assert_int_equal(test_fate(r, ANYWHERE, 65, 54), MS_FATE_FILTER_DEFAULT);
	assert_int_equal(test_fate(r, ANYWHERE, 66, 53), MS_FATE_NO_ROUTE);
	ms_ruleset_free(r);
}

/* An output of the command line has every session, those without a route too. */
static void
test_every_session(void **state)
{
	const struct ms_config_output output = {.name = "w", .type = MS_OUTPUT_NULL};
	struct ms_config *config = test_config(
		"{" OUTPUTS ",'UnknownSession':'deliver','Sessions':[{'Session':'a','Vni':1}],"
		"'Routes':[{'SessionId':'a','Outputs':['o1']}]}");
	struct ms_config_error error;
	struct ms_ruleset *r;

	assert_int_equal(ms_config_add_output(config, &output, &error), 0);
	assert_int_equal(ms_ruleset_compile(&r, config, test_registry, 1, &error), 0);
	assert_int_equal(test_outputs(r, ANYWHERE, 1, 1, "a"), 2 | 16);
	assert_int_equal(test_outputs(r, ANYWHERE, 2, 1, "vni2"), 16);
	ms_ruleset_free(r);
}

/* All 32 bits of the set are outputs. */
static void
test_most_outputs(void **state)
{
	char json[4096] = "{'Outputs':[";
	struct ms_ruleset *r;

	for (unsigned int i = 0; i < MS_OUTPUTS_MAX; i++)
		snprintf(json + strlen(json), sizeof(json) - strlen(json),
			"%s{'Name':'o%u','Type':'null'}", i == 0 ? "" : ",", i);
	strcat(json, "]}");
	r = test_rules(json, 1);
	assert_int_equal(test_outputs(r, ANYWHERE, 1, 1, "vni1"), UINT32_MAX);
	ms_ruleset_free(r);
}

/* A session's filter that was not loaded has filtered already. */
static void
test_filter_not_loaded(void **state)
{
	struct ms_ruleset *r = test_rules(
		"{" OUTPUTS ",'Sessions':[{'Session':'a','Vni':1,'Filter':'elsewhere'}]}", 1);

	assert_int_equal(test_outputs(r, ANYWHERE, 1, 1, "a"), 0xf);
	ms_ruleset_free(r);
}

/* Sessions that agree in filter and outputs share one policy, however they came to agree. */
static void
test_policies_shared(void **state)
{
	struct ms_ruleset *r = test_rules("{" OUTPUTS "," FILTERS ",'Sessions':["
					  "{'Session':'a','Vni':1,'Filter':'f53'},"
					  "{'Session':'b','Vni':2,'Filter':'f53'},"
					  "{'Session':'c','Vni':3,'Filter':'f80'},"
					  "{'Session':'d','Vni':4}],"
					  "'Routes':["
					  "{'SessionId':'a','Outputs':['o0','o1']},"
					  "{'VirtualNetworkId':2,'Outputs':['o1']},"
					  "{'SessionId':'b','FilterId':'f80','Outputs':['o1']},"
					  "{'SessionId':'c','Outputs':['o1']},"
					  "{'SessionId':'d','Outputs':['o1']},"
					  "{'Outputs':['o0']}]}",
		1);

	/* a: f53 to o0 o1; b: the same, its route through f80 adds nothing; c: f80; d: none */
	assert_int_equal(r->policies_n, 3);
	assert_int_equal(test_ask(r, ANYWHERE, 1, 53).policy, test_ask(r, ANYWHERE, 2, 53).policy);
	assert_int_equal(test_outputs(r, ANYWHERE, 2, 53, "b"), 1 | 2);
	assert_int_equal(test_outputs(r, ANYWHERE, 3, 80, "c"), 1 | 2);
	assert_int_equal(test_outputs(r, ANYWHERE, 4, 1, "d"), 1 | 2);
	ms_ruleset_free(r);
}

/* Does the policy of this VNI accept DNS to this address? */
static bool
resolves(const struct ms_ruleset *r, uint32_t vni, const char *address)
{
	struct ms_packet p = test_ask(r, "10.0.0.1", vni, 53);

	assert_true(p.fate != MS_FATE_SESSION_UNKNOWN);
	p.key.dst = test_address(address, &p.key.family);
	p.fate = MS_FATE_NONE;
	ms_filter_burst(r->base, &p, 1, r->hits[0]);
	return p.fate == MS_FATE_NONE;
}

/* The resolver of a VPC is the third address of each of its blocks, for its own sessions alone. */
static void
test_resolvers(void **state)
{
	struct ms_ruleset *r = test_rules(
		"{'Filters':[{'Filter':'dns','NetworkServices':['amazon-dns']}],"
		"'Vpcs':[{'VpcId':'vpc-a','CidrBlock':'10.1.0.0/16','CidrBlockAssociationSet':["
		"{'CidrBlock':'10.1.0.0/16'},{'CidrBlock':'100.64.16.0/20'}]},"
		"{'VpcId':'vpc-b','CidrBlock':'172.31.0.0/16'}],"
		"'NetworkInterfaces':["
		"{'Eni':'eni-a','VpcId':'vpc-a','PrivateIpAddress':'10.1.0.9'},"
		"{'Eni':'eni-b','VpcId':'vpc-b','PrivateIpAddress':'172.31.0.9'}],"
		"'Outputs':[{'Name':'o0','Type':'null'}],'Sessions':["
		"{'Session':'a','Vni':1,'Eni':'eni-a','Filter':'dns'},"
		"{'Session':'b','Vni':2,'Eni':'eni-b','Filter':'dns'},"
		"{'Session':'c','Vni':3,'Filter':'dns'}]}",
		1);

	assert_int_equal(r->policies_n, 3);
	assert_true(resolves(r, 1, "10.1.0.2"));
	assert_true(resolves(r, 1, "100.64.16.2"));
	assert_false(resolves(r, 1, "10.1.0.3"));
	assert_false(resolves(r, 1, "172.31.0.2"));
	assert_true(resolves(r, 2, "172.31.0.2"));
	assert_false(resolves(r, 2, "10.1.0.2"));
	assert_false(resolves(r, 3, "10.1.0.2"));
	for (uint32_t vni = 1; vni <= 3; vni++) {
		assert_true(resolves(r, vni, "169.254.169.253"));
		assert_true(resolves(r, vni, "fd00:ec2::253"));
		assert_false(resolves(r, vni, "8.8.8.8"));
	}
	ms_ruleset_free(r);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, test_rules_setup, test_rules_teardown)

/* What each filter came to: who names it, which policies ask it, and their tables. */
static void
test_uses(void **state)
{
	struct ms_ruleset *r = test_rules(
		"{" OUTPUTS "," FILTERS_3 ",'Sessions':[{'Session':'a','Vni':1,'Filter':'f53'},"
		"{'Session':'b','Vni':2,'Filter':'f53'},{'Session':'c','Vni':3}],"
		"'Routes':[{'Outputs':['o0']},"
		"{'SessionId':'b','FilterId':'f80','Outputs':['o1']},"
		"{'SessionId':'b','FilterId':'f53','Outputs':['o2']},"
		"{'SessionId':'c','FilterId':'none','Outputs':['o0']}]}",
		1);
	const struct ms_filter_use *f53 = &r->uses[0], *f80 = &r->uses[1], *none = &r->uses[2];

	assert_int_equal(r->policies_n, 3);
	assert_int_equal(f53->sessions, 2);
	assert_int_equal(f53->routes, 1);
	assert_int_equal(f53->policies, 2);
	assert_int_equal(f80->sessions, 0);
	assert_int_equal(f80->routes, 1);
	assert_int_equal(f80->policies, 1);
	assert_int_equal(none->routes, 1);
	assert_int_equal(none->policies, 0); /* o0 is reached without a filter */
	assert_int_equal(none->bytes, 0);
	/* six tables a policy; only UDP of both families, coming in, is decided by one */
	assert_int_equal(f80->shape.cross, 2);
	assert_int_equal(f80->shape.constant, 4);
	assert_int_equal(f53->shape.cross + f53->shape.constant + f53->shape.bits, 12);
	assert_true(f80->bytes > 0 && f80->bytes < f53->bytes && f53->bytes < r->policies_bytes);
	assert_true(r->policies_bytes < r->head->size);
	ms_ruleset_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(test_learned),
		EACH(test_by_vni),
		EACH(test_shared_vni),
		EACH(test_strict),
		EACH(test_strict_without_interface),
		EACH(test_deliver),
		EACH(test_deliver_strict),
		EACH(test_learned_full),
		EACH(test_fates_stay),
		EACH(test_routes),
		EACH(test_no_route),
		EACH(test_learned_routes),
		EACH(test_every_session),
		EACH(test_most_outputs),
		EACH(test_filter_not_loaded),
		EACH(test_policies_shared),
		EACH(test_resolvers),
		EACH(test_uses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
