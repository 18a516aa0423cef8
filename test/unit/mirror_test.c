/* SPDX-License-Identifier: BSD-3-Clause */
/* Source ENIs by example: who sees a frame, what is never mirrored, which session takes it, and
 * what is wrong with sessions that cannot be played. */
#include "ruleset_fixture.h"

#include <errno.h>
#include <string.h>

#include "mirror/ms_mirror.h"

/* MAC addresses of the ENIs below, and of one that nobody has. */
#define A     UINT64_C(0x020000000001)
#define B     UINT64_C(0x020000000002)
#define C     UINT64_C(0x020000000003)
#define OTHER UINT64_C(0x0200000000ff)

#define TCP 6
#define UDP 17

/* Three ENIs; c has no session, a tries three, of which the last takes all. */
#define INTERFACES                                                                 \
	"'NetworkInterfaces': ["                                                   \
	" {'Eni': 'eni-a', 'MacAddress': '02:00:00:00:00:01', 'VpcId': 'vpc-1'},"  \
	" {'Eni': 'eni-b', 'MacAddress': '02:00:00:00:00:02', 'VpcId': 'vpc-2'},"  \
	" {'Eni': 'eni-c', 'MacAddress': '02:00:00:00:00:03', 'VpcId': 'vpc-1'}]," \
	"'Vpcs': [{'VpcId': 'vpc-1', 'CidrBlock': '10.0.0.0/16',"                  \
	"   'CidrBlockAssociationSet': [{'CidrBlock': '100.64.0.0/16'}]},"         \
	" {'VpcId': 'vpc-2', 'CidrBlock': '10.2.0.0/16'}],"
#define FILTERS                                                                          \
	"'Filters': ["                                                                   \
	" {'Filter': 'tmf-web', 'Ingress': ["                                            \
	"   {'Number': 10, 'Action': 'reject', 'Protocol': 6, 'Ports': {'FromPort': 81," \
	"    'ToPort': 81}},"                                                            \
	"   {'Number': 20, 'Action': 'accept', 'Protocol': 6, 'Ports': {'FromPort': 80," \
	"    'ToPort': 89}}]},"                                                          \
	" {'Filter': 'tmf-all', 'Ingress': [{'Number': 1, 'Action': 'accept'}],"         \
	"   'Egress': [{'Number': 1, 'Action': 'accept'}]},"                             \
	" {'Filter': 'tmf-dns', 'NetworkServices': ['amazon-dns'],"                      \
	"   'Ingress': [{'Number': 1, 'Action': 'reject'}]}],"
#define SESSION(id, number, eni, filter, vni)                                                     \
	"{'Session': '" id "', 'SessionNumber': " number ", 'Eni': '" eni "', 'Filter': '" filter \
	"', 'Vni': " vni "}"

static struct ms_config *config;
static struct ms_mirror *mirror;

static int
setup(void **state)
{
	config = NULL;
	mirror = NULL;
	return 0;
}

static int
teardown(void **state)
{
	ms_mirror_free(mirror);
	ms_config_free(config);
	return 0;
}

static int
compile(const char *json, const struct ms_mirror_options *options, struct ms_config_error *error)
{
	config = test_config(json);
	return ms_mirror_compile(&mirror, config, options, error);
}

static void
play(const char *json, bool stop_at_reject, const char *eni)
{
	const struct ms_mirror_options options = {
		.enis = &eni, .enis_n = eni != NULL, .stop_at_reject = stop_at_reject};
	struct ms_config_error error;

	if (compile(json, &options, &error) != 0)
		fail_msg("%s", error.text);
}

static struct ms_packet
frame(uint64_t to, uint64_t from)
{
	return (struct ms_packet){.mac_dst = to, .mac_src = from, .ether_type = 0x0800};
}

/* A frame of TCP or UDP with all fields. */
static struct ms_packet
flow(uint64_t to, uint64_t from, uint8_t proto, const char *src, uint16_t sport, const char *dst,
	uint16_t dport)
{
	struct ms_packet p = frame(to, from);

	p.key = (struct ms_key){.proto = proto, .sport = sport, .dport = dport};
	p.key.src = test_address(src, &p.key.family);
	p.key.dst = test_address(dst, &p.key.family);
	p.key.has = MS_HAS_PROTO | MS_HAS_SRC | MS_HAS_DST | MS_HAS_SPORT | MS_HAS_DPORT;
	return p;
}

static struct ms_mirror_sightings seen; /* too large for comfort on a stack */

/* The fate of a frame that one ENI sees; its session's name in *session if it is mirrored. */
static enum ms_mirror_fate
see(struct ms_packet p, const char **session)
{
	ms_mirror_burst(mirror, &p, 1, &seen);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.list[0].frame, 0);
	if (session != NULL)
		*session = seen.list[0].fate == MS_MIRROR_TAKEN
		                   ? mirror->sessions[seen.list[0].session].config->id
		                   : NULL;
	return seen.list[0].fate;
}

static void
assert_session(struct ms_packet p, const char *name)
{
	const char *session;

	assert_int_equal(see(p, &session), MS_MIRROR_TAKEN);
	assert_string_equal(session, name);
}

static struct ms_packet
web(uint64_t to, uint64_t from, uint16_t port)
{
	return flow(to, from, TCP, "192.0.2.1", 1000, "10.0.0.1", port);
}

#define TWO                                                                                       \
	"{" INTERFACES FILTERS                                                                    \
	"'Sessions': [" SESSION("tms-2", "20", "eni-a", "tmf-all", "2") "," SESSION("tms-1", "7", \
		"eni-a", "tmf-web", "1") "," SESSION("tms-b", "1", "eni-b", "tmf-web", "3") "]}"

static void
an_eni_is_known_by_its_mac(void **state)
{
	play(TWO, false, NULL);
	assert_int_equal(mirror->enis_n, 2);
	assert_int_equal(see(web(A, OTHER, 80), NULL), MS_MIRROR_TAKEN);
	assert_int_equal(seen.list[0].direction, MS_DIRECTION_INGRESS);
	assert_string_equal(mirror->enis[seen.list[0].eni].config->id, "eni-a");
	assert_int_equal(see(web(OTHER, A, 80), NULL), MS_MIRROR_TAKEN);
	assert_int_equal(seen.list[0].direction, MS_DIRECTION_EGRESS);
	/* c has no session and is not played; broadcast, multicast and 0 are nobody's */
	assert_int_equal(see(web(C, OTHER, 80), NULL), MS_MIRROR_NO_ENI);
	assert_int_equal(seen.list[0].direction, MS_DIRECTION_UNKNOWN);
	assert_int_equal(see(web(UINT64_C(0xffffffffffff), OTHER, 80), NULL), MS_MIRROR_NO_ENI);
	assert_int_equal(see(web(0, 0, 80), NULL), MS_MIRROR_NO_ENI);
}

static void
a_frame_between_two_is_seen_by_both(void **state)
{
	struct ms_packet packets[3] = {web(OTHER, A, 1), web(B, A, 80), web(A, B, 81)};

	play(TWO, false, NULL);
	ms_mirror_burst(mirror, packets, 3, &seen);
	assert_int_equal(seen.n, 5);
	/* in the order of the frames, who sent it first */
	for (uint16_t i = 0; i < 5; i++) {
		assert_int_equal(seen.list[i].frame, (i + 1) / 2);
		assert_int_equal(seen.list[i].direction,
			i == 2 || i == 4 ? MS_DIRECTION_INGRESS : MS_DIRECTION_EGRESS);
	}
	assert_string_equal(mirror->enis[seen.list[2].eni].config->id, "eni-b");
	assert_int_equal(seen.list[2].fate, MS_MIRROR_TAKEN);
	assert_string_equal(mirror->sessions[seen.list[2].session].config->id, "tms-b");
	assert_int_equal(seen.list[3].fate, MS_MIRROR_FILTER_DEFAULT); /* b has no egress rules */
	assert_int_equal(seen.list[4].fate, MS_MIRROR_TAKEN);
	assert_string_equal(mirror->sessions[seen.list[4].session].config->id, "tms-2");
	/* to itself: once, as egress */
	assert_int_equal(see(web(A, A, 80), NULL), MS_MIRROR_TAKEN);
	assert_int_equal(seen.list[0].direction, MS_DIRECTION_EGRESS);
}

static void
sessions_are_asked_by_number(void **state)
{
	play(TWO, false, NULL);
	assert_session(web(A, OTHER, 80), "tms-1");
	assert_session(web(A, OTHER, 79), "tms-2");
	assert_session(web(A, OTHER, 81), "tms-2"); /* a reject leaves it to the next */
	assert_int_equal(see(web(B, OTHER, 81), NULL), MS_MIRROR_FILTER_REJECT);
	assert_int_equal(see(web(B, OTHER, 79), NULL), MS_MIRROR_FILTER_DEFAULT);
	assert_session(frame(A, OTHER), "tms-2"); /* not IP */
}

static void
a_reject_can_stop(void **state)
{
	play(TWO, true, NULL);
	assert_session(web(A, OTHER, 80), "tms-1");
	assert_session(web(A, OTHER, 79), "tms-2"); /* no rule is no reject */
	assert_int_equal(see(web(A, OTHER, 81), NULL), MS_MIRROR_FILTER_REJECT);
}

static void
hits_are_counted_by_rule(void **state)
{
	uint64_t rules[8], services[3];

	play(TWO, false, NULL);
	assert_int_equal(mirror->filters_n, 2); /* two sessions share tmf-web */
	assert_int_equal(mirror->rules_first[3], 5);
	see(web(A, OTHER, 80), NULL);
	see(web(A, OTHER, 81), NULL);
	see(web(B, OTHER, 81), NULL);
	see(web(OTHER, A, 81), NULL);
	ms_mirror_count(mirror, rules, services);
	assert_int_equal(rules[0], 2); /* tmf-web, reject: asked for a and for b */
	assert_int_equal(rules[1], 1);
	assert_int_equal(rules[2], 1); /* tmf-all, ingress */
	assert_int_equal(rules[3], 1);
	assert_int_equal(services[0] + services[1] + services[2], 0);
}

static void
some_traffic_is_never_mirrored(void **state)
{
	static const struct {
		const char *ip;
		uint8_t proto;
		uint16_t port;
		enum ms_mirror_fate fate;
	} cases[] = {
		{"169.254.169.254", TCP, 80, MS_MIRROR_EXCLUDED_METADATA},
		{"169.254.169.254", 1, 0, MS_MIRROR_EXCLUDED_METADATA},
		{"fd00:ec2::254", TCP, 80, MS_MIRROR_EXCLUDED_METADATA},
		{"169.254.169.123", UDP, 123, MS_MIRROR_EXCLUDED_NTP},
		{"fd00:ec2::123", UDP, 123, MS_MIRROR_EXCLUDED_NTP},
		{"169.254.169.250", TCP, 1688, MS_MIRROR_EXCLUDED_ACTIVATION},
		{"169.254.169.251", TCP, 1688, MS_MIRROR_EXCLUDED_ACTIVATION},
		{"fd00:ec2::240", TCP, 1688, MS_MIRROR_EXCLUDED_ACTIVATION},
		/* and their neighbours are mirrored */
		{"169.254.169.250", UDP, 1688, MS_MIRROR_TAKEN},
		{"169.254.169.250", TCP, 1687, MS_MIRROR_TAKEN},
		{"169.254.169.249", TCP, 1688, MS_MIRROR_TAKEN},
		{"fd00:ec2::250", TCP, 1688, MS_MIRROR_TAKEN},
		{"169.254.168.254", TCP, 80, MS_MIRROR_TAKEN},
		{"fd00:ec2:0:1::254", TCP, 80, MS_MIRROR_TAKEN},
		{"fd00:ec2::fe", TCP, 80, MS_MIRROR_TAKEN},
		{"129.6.15.28", UDP, 123, MS_MIRROR_TAKEN},
	};

	play(TWO, false, NULL);
	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		const char *peer = strchr(cases[i].ip, ':') != NULL ? "2001:db8::1" : "10.0.0.9";

		assert_int_equal(
			see(flow(OTHER, A, cases[i].proto, peer, 999, cases[i].ip, cases[i].port),
				NULL),
			cases[i].fate);
		assert_int_equal(
			see(flow(A, OTHER, cases[i].proto, cases[i].ip, cases[i].port, peer, 999),
				NULL),
			cases[i].fate);
	}
	/* what two reasons exclude, the first in the ledger's order has */
	assert_int_equal(see(flow(A, OTHER, UDP, "169.254.169.123", 1, "169.254.169.254", 2), NULL),
		MS_MIRROR_EXCLUDED_METADATA);
	/* the port must be on the side of the address */
	assert_int_equal(see(flow(OTHER, A, TCP, "10.0.0.9", 1688, "169.254.169.250", 999), NULL),
		MS_MIRROR_TAKEN);
}

static void
arp_and_dhcp_are_never_mirrored(void **state)
{
	struct ms_packet p = frame(A, OTHER);

	play(TWO, false, NULL);
	p.ether_type = 0x0806;
	assert_int_equal(see(p, NULL), MS_MIRROR_EXCLUDED_ARP);
	p.mac_dst = OTHER;
	assert_int_equal(see(p, NULL), MS_MIRROR_NO_ENI);
	for (unsigned int i = 0; i < 4; i++) {
		uint16_t from = 67 + i % 2, to = 67 + i / 2;

		assert_int_equal(see(flow(OTHER, A, UDP, "0.0.0.0", from, "10.0.0.1", to), NULL),
			MS_MIRROR_EXCLUDED_DHCP);
		assert_int_equal(
			see(flow(A, OTHER, UDP, "fe80::1", from + 479, "fe80::2", to + 479), NULL),
			MS_MIRROR_EXCLUDED_DHCP);
	}
	assert_session(flow(OTHER, A, UDP, "0.0.0.0", 68, "10.0.0.1", 69), "tms-2");
	assert_session(flow(OTHER, A, UDP, "0.0.0.0", 66, "10.0.0.1", 67), "tms-2");
	assert_session(flow(OTHER, A, UDP, "0.0.0.0", 546, "10.0.0.1", 67), "tms-2");
	assert_session(flow(OTHER, A, TCP, "0.0.0.0", 68, "10.0.0.1", 67), "tms-2");
	/* a frame that is cut before its second port has no second port */
	p = flow(OTHER, A, UDP, "0.0.0.0", 68, "10.0.0.1", 0);
	p.key.has &= ~MS_HAS_DPORT;
	assert_session(p, "tms-2");
}

static void
dns_goes_to_whom_the_service_is_for(void **state)
{
	static const char *const resolvers[] = {
		"169.254.169.253", "fd00:ec2::253", "10.0.0.2", "100.64.0.2"};
	uint64_t rules[8], services[3];

	play("{" INTERFACES FILTERS "'Sessions': [" SESSION(
		     "tms-1", "1", "eni-a", "tmf-all", "1") "," SESSION("tms-2", "2", "eni-a",
		     "tmf-dns", "2") "," SESSION("tms-b", "1", "eni-b", "tmf-all", "3") "]}",
		false, NULL);
	for (unsigned int i = 0; i < RTE_DIM(resolvers); i++) {
		const char *peer = i == 1 ? "2001:db8::1" : "10.0.0.9";
		bool of_vpc_1 = i >= 2;

		/* tmf-dns rejects what comes in, but the service comes first */
		assert_session(flow(A, OTHER, UDP, resolvers[i], 53, peer, 99), "tms-2");
		assert_session(flow(OTHER, A, TCP, peer, 99, resolvers[i], 53), "tms-2");
		assert_session(flow(OTHER, A, TCP, peer, 99, resolvers[i], 54), "tms-1");
		assert_session(flow(OTHER, A, TCP, peer, 53, resolvers[i], 99), "tms-1");
		assert_session(flow(OTHER, A, 132, peer, 99, resolvers[i], 53), "tms-1");
		/* b's only session has no service, and b is in another VPC */
		assert_int_equal(see(flow(OTHER, B, UDP, peer, 99, resolvers[i], 53), NULL),
			of_vpc_1 ? MS_MIRROR_TAKEN : MS_MIRROR_EXCLUDED_DNS);
	}
	assert_int_equal(see(flow(OTHER, B, UDP, "10.2.0.9", 99, "10.2.0.2", 53), NULL),
		MS_MIRROR_EXCLUDED_DNS);
	ms_mirror_count(mirror, rules, services);
	assert_int_equal(services[2], 2 * RTE_DIM(resolvers));
}

static void
an_eni_without_session_says_so(void **state)
{
	play(TWO, false, "eni-c");
	assert_int_equal(mirror->enis_n, 1);
	assert_int_equal(see(web(C, OTHER, 80), NULL), MS_MIRROR_NO_SESSION);
	assert_int_equal(see(flow(OTHER, C, UDP, "10.0.0.9", 1, "10.0.0.2", 53), NULL),
		MS_MIRROR_NO_SESSION);
	assert_int_equal(see(flow(OTHER, C, UDP, "10.0.0.9", 68, "10.0.0.2", 67), NULL),
		MS_MIRROR_EXCLUDED_DHCP);
	assert_int_equal(see(web(A, OTHER, 80), NULL), MS_MIRROR_NO_ENI);
}

static void
a_full_burst_is_seen_twice(void **state)
{
	struct ms_packet packets[MS_BURST];
	unsigned int taken = 0;

	play(TWO, false, NULL);
	for (unsigned int i = 0; i < MS_BURST; i++)
		packets[i] = web(i % 2 == 0 ? B : A, i % 2 == 0 ? A : B, 80);
	ms_mirror_burst(mirror, packets, MS_BURST, &seen);
	assert_int_equal(seen.n, 2 * MS_BURST);
	for (unsigned int i = 0; i < seen.n; i++) {
		assert_int_equal(seen.list[i].frame, i / 2);
		taken += seen.list[i].fate == MS_MIRROR_TAKEN;
	}
	assert_int_equal(taken, MS_BURST / 2 * 3); /* b mirrors no egress */
	ms_mirror_burst(mirror, packets, 0, &seen);
	assert_int_equal(seen.n, 0);
}

/* The same filter is compiled once, and once for each VPC that is loaded if it asks for DNS. */
static void
many_sessions_share_filters(void **state)
{
	char *json = NULL;
	size_t size;
	FILE *out = open_memstream(&json, &size);
	const unsigned int n = 3000;

	fputs("{'NetworkInterfaces': [", out);
	for (unsigned int i = 0; i < n; i++)
		fprintf(out,
			"%s{'Eni': 'eni-%u', 'MacAddress': '02:00:00:01:%02x:%02x',"
			"'VpcId': 'vpc-%u'}",
			i == 0 ? "" : ",", i, i >> 8, i & 0xff, i % 5);
	fputs("], 'Vpcs': [", out);
	for (unsigned int i = 0; i < 4; i++)
		fprintf(out, "%s{'VpcId': 'vpc-%u', 'CidrBlock': '10.%u.0.0/16'}",
			i == 0 ? "" : ",", i, i);
	fputs("], 'Filters': [{'Filter': 'tmf-dns', 'NetworkServices': ['amazon-dns']},"
	      "{'Filter': 'tmf-all', 'Ingress': [{'Number': 1, 'Action': 'accept'}]}],"
	      "'Sessions': [",
		out);
	for (unsigned int i = 0; i < n; i++)
		fprintf(out,
			"%s{'Session': 'tms-%u', 'SessionNumber': 1, 'Eni': 'eni-%u',"
			"'Filter': '%s', 'Vni': %u}",
			i == 0 ? "" : ",", i, i, i % 2 == 0 ? "tmf-dns" : "tmf-all", i);
	fputs("]}", out);
	fclose(out);
	play(json, false, NULL);
	free(json);
	assert_int_equal(mirror->enis_n, n);
	assert_int_equal(mirror->filters_n, 5 + 1);
	for (unsigned int i = 1; i < n; i += 2) {
		const char *session;
		char name[16];

		snprintf(name, sizeof(name), "tms-%u", i);
		assert_int_equal(see(web(UINT64_C(0x020000010000) + i, OTHER, 80), &session),
			MS_MIRROR_TAKEN);
		assert_string_equal(session, name);
	}
}

/* Compiling must fail with a message that has all of these words. */
static void
assert_wrong(const char *json, const char *eni, const char *const *words)
{
	const struct ms_mirror_options options = {.enis = &eni, .enis_n = eni != NULL};
	struct ms_config_error error;

	assert_int_equal(compile(json, &options, &error), -EINVAL);
	for (; *words != NULL; words++) {
		if (strstr(error.text, *words) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", error.text, *words);
	}
	ms_config_free(config);
	config = NULL;
}
#define WRONG(json, eni, ...) assert_wrong(json, eni, (const char *const[]){__VA_ARGS__, NULL})

static void
what_is_wrong_is_told(void **state)
{
	WRONG(TWO, "eni-x", "'eni-x'", "NetworkInterfaces");
	WRONG("{" INTERFACES "'Sessions': []}", NULL, "TrafficMirrorSessions");
	WRONG("{" FILTERS
	      "\n 'Sessions': [\n  " SESSION("tms-1", "1", "eni-a", "tmf-all", "1") "]}",
		NULL, ":3:3: session tms-1: ", "eni-a", "NetworkInterfaces");
	WRONG("{" INTERFACES FILTERS
	      "\n 'Sessions': [{'Session': 'tms-1', 'Eni': 'eni-a', 'Filter': 'tmf-all',"
	      "'Vni': 1}]}",
		NULL, ":2:28: session tms-1: ", "no SessionNumber");
	WRONG("{" INTERFACES FILTERS "'Sessions': [{'Session': 'tms-1', 'Eni': 'eni-a', 'Vni': 1,"
	      "'SessionNumber': 1}]}",
		NULL, "session tms-1: ", "no TrafficMirrorFilterId");
	WRONG("{" INTERFACES FILTERS
	      "'Sessions': [" SESSION("tms-1", "1", "eni-a", "tmf-gone", "1") "]}",
		NULL, "session tms-1: ", "\"tmf-gone\"", "not loaded");
	WRONG("{" INTERFACES FILTERS
	      "'Sessions': [\n" SESSION("tms-4", "4", "eni-a", "tmf-all", "4") ",\n" SESSION(
		      "tms-1", "1", "eni-a", "tmf-all", "1") ",\n" SESSION("tms-3", "3", "eni-a",
		      "tmf-all", "3") ",\n" SESSION("tms-2", "2", "eni-a", "tmf-all", "2") "]}",
		NULL, ":2:1: session tms-4: ", "3 sessions", "eni-a");
	WRONG("{'NetworkInterfaces': [{'Eni': 'eni-a'}]," FILTERS
	      "'Sessions': [" SESSION("tms-1", "1", "eni-a", "tmf-all", "1") "]}",
		NULL, ":1:24: interface eni-a: ", "MacAddress");
	WRONG("{'NetworkInterfaces': [{'Eni': 'eni-a', 'MacAddress': '02:00:00:00:00:01'},\n"
	      "{'Eni': 'eni-b', 'MacAddress': '02:00:00:00:00:01'}]," FILTERS
	      "'Sessions': [" SESSION("tms-1", "1", "eni-a", "tmf-all", "1") "," SESSION(
		      "tms-2", "1", "eni-b", "tmf-all", "2") "]}",
		NULL, ":2:1: interface eni-b: ", "eni-a", ":1:24)");
}

static void
what_is_not_played_may_be_wrong(void **state)
{
	play("{" INTERFACES FILTERS "'Sessions': [" SESSION(
		     "tms-1", "1", "eni-a", "tmf-all", "1") "," SESSION("tms-2", "1", "eni-b",
		     "tmf-gone", "2") "," SESSION("tms-3", "1", "eni-gone", "tmf-gone", "3") "]}",
		false, "eni-a");
	assert_int_equal(mirror->sessions_n, 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_eni_is_known_by_its_mac),
		TEST(a_frame_between_two_is_seen_by_both),
		TEST(sessions_are_asked_by_number),
		TEST(a_reject_can_stop),
		TEST(hits_are_counted_by_rule),
		TEST(some_traffic_is_never_mirrored),
		TEST(arp_and_dhcp_are_never_mirrored),
		TEST(dns_goes_to_whom_the_service_is_for),
		TEST(an_eni_without_session_says_so),
		TEST(a_full_burst_is_seen_twice),
		TEST(many_sessions_share_filters),
		TEST(what_is_wrong_is_told),
		TEST(what_is_not_played_may_be_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
