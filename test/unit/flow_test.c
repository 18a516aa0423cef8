/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * flow: whatever the packets, and however headers are compared, each packet comes out of the table
 * as it comes out of the stages: frame, fate, hash, counters of sessions, rules and outputs. The
 * same random bursts go through the stages alone, and then through tables of every kind.
 */
#include "ruleset_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_ether.h>

#include "decap/ms_decap.h"
#include "filter/ms_filter_lookup.h"
#include "flow/ms_flow.h"
#include "packet/ms_mbuf.h"
#include "packet/ms_wire.h"
#include "packet_fixture.h"

#define BURSTS  1500
#define FLOWS   300
#define SMALL   16   /* flows in a table that is too small for all */
#define SLOTS   8192 /* sessions that can appear */
#define OUTPUTS 2    /* of configs[] */
#define TSC     UINT64_C(1000000)
#define SOME_NS UINT64_C(1700000000000000000)

#define RULES(n, action, rest)                                                 \
	"{'Number':" n ",'Action':'" action "','SourceCidrBlock':'0.0.0.0/0'," \
	"'DestinationCidrBlock':'0.0.0.0/0'" rest "}"
#define FROM_443 ",'Protocol':6,'Ports':{'FromPort':443,'ToPort':443}"
#define UDP_53   ",'Protocol':17,'Ports':{'FromPort':53,'ToPort':53}"

#define COMMON                                                                                     \
	"'Filters':[{'Filter':'f1','Ingress':[" RULES("10", "reject", FROM_443) "," RULES(         \
		"20", "accept", "") "],'Egress':[" RULES("10", "accept", UDP_53) "," RULES("20",   \
		"accept", FROM_443) "]},{'Filter':'f2','Ingress':[" RULES("10", "accept",          \
		FROM_443) "],'Egress':[" RULES("10", "accept",                                     \
		"") "]}],"                                                                         \
		    "'NetworkInterfaces':[{'Eni':'eni-a','PrivateIpAddress':'10.0.0.1',"           \
		    "'MacAddress':'02:00:00:00:00:0a'},{'Eni':'eni-b','PrivateIpAddress':'10.0.0." \
		    "2'}],"                                                                        \
		    "'Outputs':[{'Name':'o0','Type':'null'},{'Name':'o1','Type':'null'}]"

/* Two configurations that say different things of the same packets. */
static const char *const configs[] = {
	"{" COMMON ",'Sessions':[{'Session':'a','Vni':5,'Eni':'eni-a','Filter':'f1'},"
	"{'Session':'b','Vni':5,'Eni':'eni-b','Filter':'f2'},{'Session':'c','Vni':6,'Filter':'f1'},"
	"{'Session':'d','Vni':7}],'Routes':[{'VirtualNetworkId':5,'Outputs':['o0']},"
	"{'VirtualNetworkId':6,'Outputs':['o0','o1']},"
	"{'VirtualNetworkId':5,'FilterId':'f2','Outputs':['o1']}]}",
	"{" COMMON ",'Sessions':[{'Session':'a','Vni':5,'Eni':'eni-a','Filter':'f2'},"
	"{'Session':'c','Vni':6,'Filter':'f2'}],'UnknownSession':'deliver'}",
};

static struct test_arena *arenas[MS_BURST];
static struct ms_timestamp clock_of_test;
static const struct ms_decap decap = {
	.vxlan_port = RTE_BE16(MS_VXLAN_PORT), .geneve_port = RTE_BE16(MS_GENEVE_PORT)};

/* What a burst came to, and what was counted in all. */
struct made {
	struct ms_recalled burst;
	uint64_t sessionless; /* set of packets that come to no session */
	struct ms_session_counts *sessions;
	ms_counter *hits[RTE_DIM(configs)];
	struct ms_output_ledger outputs[OUTPUTS];
	uint64_t known; /* packets that the table knew */
	uint64_t plain; /* bursts of which all mbufs go back to one pool as they are */
};

static int
setup(void **state)
{
	char *argv[] = {"flow_test", "--no-huge", "--no-shconf", "--no-pci", "-m", "64",
		"--no-telemetry", "--log-level=error", "--lcores=0@0", NULL};

	if (rte_eal_init(RTE_DIM(argv) - 1, argv) < 0)
		return -1;
	for (unsigned int i = 0; i < MS_BURST; i++)
		arenas[i] = test_arena_create();
	ms_timestamp_publish(&clock_of_test, TSC, SOME_NS, UINT64_C(1) << 32);
	return 0;
}

static int
teardown(void **state)
{
	for (unsigned int i = 0; i < MS_BURST; i++)
		test_arena_free(arenas[i]);
	return rte_eal_cleanup();
}

/* An inner packet of a flow, mostly of the shape that is remembered. */
static void
push_inner(struct test_bytes *b, uint32_t flow, struct test_random *random)
{
	static const uint16_t ports[] = {443, 53, 80, 1000};
	static const uint64_t macs[] = {0x02000000000a, 0x020000000001, 0x020000000002};
	uint32_t src = UINT32_C(0x0a000000) + flow % 4, dst = UINT32_C(0x0a000000) + flow / 4 % 5;
	uint16_t sport = ports[flow % 3], dport = ports[flow / 7 % 4];
	uint8_t proto = flow % 5 == 0 ? TEST_PROTO_UDP : TEST_PROTO_TCP;
	uint8_t *ip;

	if (flow % 11 == 0)
		proto = TEST_PROTO_ICMP;
	else if (test_below(random, 8) == 0) /* the same ports of the other protocol */
		proto ^= TEST_PROTO_UDP ^ TEST_PROTO_TCP;
	if (proto == TEST_PROTO_UDP)
		test_push_udp(b, sport, dport);
	else if (proto == TEST_PROTO_TCP)
		test_push_tcp(b, sport, dport);
	ip = test_push_ipv4(b, proto, src, dst, test_below(random, 30) == 0);
	if (test_below(random, 20) == 0) /* a fragment, or nothing that matters */
		test_put16(ip + 6, (uint16_t)(1u << test_below(random, 16)));
	if (test_below(random, 20) == 0) /* a length that lies, or says nothing */
		test_put16(ip + 2, (uint16_t)test_below(random, test_below(random, 2) ? 60 : 3000));
	if (test_below(random, 40) == 0) /* the Ethernet header makes it more than 16 bits */
		test_put16(ip + 2, (uint16_t)(UINT16_MAX - test_below(random, 30)));
	if (test_below(random, 30) == 0)
		ip[0] = (uint8_t)test_random(random);
	ip[1] = (uint8_t)test_random(random); /* the type of service tells no flows apart */
	ip[8] = (uint8_t)test_random(random);
	if (test_below(random, 30) == 0) {
		test_push_type(b, RTE_ETHER_TYPE_IPV4);
		test_push_tag(b, RTE_ETHER_TYPE_VLAN);
		test_push_macs(b, macs[flow % 3], macs[flow / 3 % 3]);
		return;
	}
	test_push_ether(b, RTE_ETHER_TYPE_IPV4);
	memcpy(test_bytes_at(b) + 4, &flow, 2); /* many MAC addresses */
	if (test_below(random, 3) == 0)         /* the ENI's */
		memcpy(test_bytes_at(b) + 6 * test_below(random, 2), "\x02\0\0\0\0\x0a", 6);
}

/* A mirrored packet. */
static struct rte_mbuf *
make_packet(struct test_bytes *b, struct test_arena *arena, struct test_random *random)
{
	uint32_t flow = test_below(random, FLOWS), n;
	uint8_t *vxlan, *udp, *ip;
	struct rte_mbuf *m;

	test_bytes_clear(b);
	test_push_data(b, test_below(random, 3) == 0 ? test_below(random, 60) : 20, flow);
	push_inner(b, flow, random);
	vxlan = test_push_vxlan(b, 5 + flow % 4);
	if (test_below(random, 30) == 0)
		vxlan[test_below(random, 8)] ^= (uint8_t)(1u << test_below(random, 8));
	udp = test_push_udp(b, (uint16_t)test_random(random),
		test_below(random, 50) == 0 ? 4788 : MS_VXLAN_PORT);
	ip = test_push_ipv4(b, TEST_PROTO_UDP, UINT32_C(0x0a000001) + flow / 8 % 3,
		UINT32_C(0x0a000063), test_below(random, 50) == 0);
	if (test_below(random, 40) == 0)
		ip[test_below(random, 10)] ^= (uint8_t)(1u << test_below(random, 8));
	if (test_below(random, 40) == 0) { /* lengths of which one goes round */
		uint16_t length = (uint16_t)(UINT16_MAX - test_below(random, 30));

		test_put16(udp + 4, length);
		test_put16(ip + 2, (uint16_t)(length + MS_IPV4_HDR));
	}
	test_push_ether(b, RTE_ETHER_TYPE_IPV4);
	if (test_below(random, 50) == 0)
		test_bytes_at(b)[12 + test_below(random, 2)] ^= 1;
	n = b->n;
	if (test_below(random, 20) == 0)
		n -= test_below(random, n); /* cut on its way */
	m = test_chain(arena, test_bytes_at(b), n, test_below(random, 10) == 0 ? 0 : n, random);
	m->ol_flags = test_below(random, 200) == 0 ? RTE_MBUF_F_EXTERNAL : 0;
	rte_mbuf_refcnt_set(m, test_below(random, 200) == 0 ? 2 : 1);
	m->pool = (struct rte_mempool *)&arenas[test_below(random, 200) ==
						0]; /* no more than names */
	return m;
}

/* What outputs that only count would come to with a packet. */
static void
count_outputs(struct made *made, const struct ms_packet *p)
{
	for (unsigned int i = 0; i < OUTPUTS; i++) {
		if ((p->outputs >> i & 1) == 0)
			continue;
		ms_count_add(&made->outputs[i].offered, 1);
		ms_count_add(&made->outputs[i].written, 1);
		ms_count_add(&made->outputs[i].bytes, p->length);
	}
}

static void
store(struct made *made, const struct rte_mbuf *m, const struct ms_packet *p)
{
	struct ms_recalled *burst = &made->burst;

	made->sessionless &= ~(UINT64_C(1) << p->place);
	ms_session_count_packets(&made->sessions[p->session], p->direction, 1, p->length);
	if (p->fate != MS_FATE_NONE)
		ms_count_add(&made->sessions[p->session].rejected, 1);
	else
		count_outputs(made, p);
	burst->hashes[p->place] = p->hash;
	burst->fates[p->place] = p->fate;
	burst->rejected |= (uint64_t)(p->fate != MS_FATE_NONE) << p->place;
	burst->frames[p->place] = (struct ms_frame){.mbuf = (struct rte_mbuf *)(uintptr_t)m,
		.timestamp = ms_timestamp_of(&clock_of_test, m, TSC),
		.session = p->session,
		.direction = p->direction,
		.outputs = p->outputs,
		.data = ms_data_from_mbuf(m),
		.offset = p->offset,
		.length = p->length,
		.original_length = p->original_length};
}

/* A set of packets through the stages; then through the table, if there is one, for learning. */
static void
through_stages(struct made *made, const struct ms_ruleset *rules, unsigned int config,
	struct rte_mbuf *const *mbufs, uint64_t set, struct ms_flow_table *table)
{
	struct ms_packet packets[MS_BURST];
	struct rte_mbuf *some[MS_BURST] = {0};
	uint16_t n = 0;

	made->sessionless = set;
	for (; set != 0; set &= set - 1) {
		some[n] = mbufs[__builtin_ctzll(set)];
		packets[n++].place = (uint8_t)__builtin_ctzll(set);
	}
	ms_decap_burst(&decap, some, n, packets);
	ms_ruleset_session_burst(rules, test_registry, packets, n);
	ms_packet_parse_burst(some, packets, n);
	ms_filter_burst(rules->base, packets, n, made->hits[config]);
	for (uint16_t i = 0; i < n; i++) {
		if (packets[i].fate != MS_FATE_NONE && packets[i].fate < MS_FATE_FILTER_REJECT)
			continue;
		store(made, some[i], &packets[i]);
		if (table != NULL)
			ms_flow_learn(table, some[i], &packets[i]);
	}
}

static void
through_table(struct made *made, const struct ms_ruleset *rules, unsigned int config,
	struct rte_mbuf *const *mbufs, uint16_t n, struct ms_flow_table *table)
{
	uint64_t unknown = ms_flow_burst(
		table, rules->serial, mbufs, n, TSC, made->hits[config], &made->burst);
	uint64_t bytes = 0, oddity = 0;

	for (uint16_t i = 0; i < n; i++) {
		bytes += mbufs[i]->pkt_len;
		oddity |= ms_mbuf_oddity(mbufs[i], mbufs[0]->pool);
	}
	assert_int_equal(made->burst.bytes, bytes);
	assert_ptr_equal(made->burst.pool, oddity == 0 ? mbufs[0]->pool : NULL);
	made->plain += oddity == 0;
	made->known += n - (unsigned int)__builtin_popcountll(unknown);
	through_stages(made, rules, config, mbufs, unknown, table);
}

static void
compare(const struct made *x, const struct made *y, uint16_t n, bool frames)
{
	assert_int_equal(x->sessionless, y->sessionless);
	for (uint16_t i = 0; i < n; i++) {
		if ((x->sessionless >> i & 1) != 0)
			continue;
		assert_int_equal(x->burst.rejected >> i & 1, y->burst.rejected >> i & 1);
		if ((x->burst.rejected >> i & 1) != 0)
			assert_int_equal(x->burst.fates[i], y->burst.fates[i]);
		assert_int_equal(x->burst.hashes[i], y->burst.hashes[i]);
		if (!frames)
			continue;
		assert_memory_equal(
			&x->burst.frames[i], &y->burst.frames[i], sizeof(struct ms_frame));
	}
}

static void
made_init(struct made *made, struct ms_ruleset *const *rules)
{
	memset(made, 0, sizeof(*made));
	made->sessions = aligned_alloc(64, SLOTS * sizeof(*made->sessions));
	assert_non_null(made->sessions);
	memset(made->sessions, 0, SLOTS * sizeof(*made->sessions));
	for (unsigned int c = 0; c < RTE_DIM(configs); c++)
		made->hits[c] = calloc(rules[c]->leaves.leaves_n, sizeof(ms_counter));
}

static void
compare_counters(
	const struct made *x, const struct made *y, struct ms_ruleset *const *rules, bool frames)
{
	if (!frames)
		assert_memory_equal(x->outputs, y->outputs, sizeof(x->outputs));

	assert_memory_equal(x->sessions, y->sessions, SLOTS * sizeof(*x->sessions));
	for (unsigned int c = 0; c < RTE_DIM(configs); c++)
		assert_memory_equal(
			x->hits[c], y->hits[c], rules[c]->leaves.leaves_n * sizeof(ms_counter));
}

static void
made_fini(struct made *made)
{
	free(made->sessions);
	for (unsigned int c = 0; c < RTE_DIM(configs); c++)
		free(made->hits[c]);
}

static void
check_table(enum ms_flow_vectors vectors, uint32_t flows, bool knows_most, bool frames)
{
	struct ms_flow_options options = {.flows = flows,
		.vxlan_port = decap.vxlan_port,
		.hashes = true,
		.vectors = vectors,
		.clock = &clock_of_test,
		.socket = SOCKET_ID_ANY};
	struct ms_flow_table *table;
	struct test_random random = {.state = 4789};
	struct ms_ruleset *rules[RTE_DIM(configs)];
	struct made alone, with;
	uint64_t packets = 0;
	static struct test_bytes bytes;

	for (unsigned int c = 0; c < RTE_DIM(configs); c++)
		rules[c] = test_rules(configs[c], 1);
	made_init(&alone, rules);
	made_init(&with, rules);
	options.sessions = with.sessions;
	table = ms_flow_create(&options);
	if (table == NULL) {
		print_message("this processor has no such vectors: not compared\n");
		goto end;
	}
	if (!frames) {
		struct ms_output_ledger *const outputs[OUTPUTS] = {
			&with.outputs[0], &with.outputs[1]};

		ms_flow_only_count(table, outputs, OUTPUTS);
	}
	for (unsigned int i = 0; i < BURSTS; i++) {
		unsigned int config = i / 200 % RTE_DIM(configs);
		uint16_t n = (uint16_t)(1 + test_below(&random, MS_BURST));
		struct rte_mbuf *mbufs[MS_BURST];

		for (uint16_t k = 0; k < n; k++)
			mbufs[k] = make_packet(&bytes, arenas[k], &random);
		alone.burst.rejected = 0;
		through_stages(&alone, rules[config], config, mbufs, UINT64_MAX >> (64 - n), NULL);
		through_table(&with, rules[config], config, mbufs, n, table);
		compare(&alone, &with, n, frames);
		packets += n;
		if (test_below(&random, 50) == 0) {
			ms_flow_settle(table);
			compare_counters(&alone, &with, rules, frames);
		}
	}
	ms_flow_settle(table);
	compare_counters(&alone, &with, rules, frames);
	assert_int_equal(alone.known, 0);
	assert_true(ms_count_read(&alone.outputs[0].bytes) > 0);
	assert_true(ms_count_read(&alone.outputs[1].bytes) > 0);
	if (knows_most)
		assert_true(with.known > packets / 5);
	assert_true(with.plain > 0 && with.plain < BURSTS);
	assert_true(with.known > 0 && with.known < packets);
end:
	for (unsigned int c = 0; c < RTE_DIM(configs); c++)
		ms_ruleset_free(rules[c]);
	made_fini(&alone);
	made_fini(&with);
	ms_flow_free(table);
}

/* With frames, and where outputs only count. */
static void
check(enum ms_flow_vectors vectors, uint32_t flows, bool knows_most)
{
	check_table(vectors, flows, knows_most, true);
	check_table(vectors, flows, knows_most, false);
}

static void
test_scalar(void **state)
{
	check(MS_FLOW_SCALAR, MS_FLOWS, true);
}

static void
test_avx2(void **state)
{
	check(MS_FLOW_AVX2, MS_FLOWS, true);
}

static void
test_avx512(void **state)
{
	check(MS_FLOW_AVX512, MS_FLOWS, true);
}

/* Flows push each other out all the time. */
static void
test_small(void **state)
{
	check(MS_FLOW_BEST, SMALL, false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_scalar, test_rules_setup, test_rules_teardown),
		cmocka_unit_test_setup_teardown(test_avx2, test_rules_setup, test_rules_teardown),
		cmocka_unit_test_setup_teardown(test_avx512, test_rules_setup, test_rules_teardown),
		cmocka_unit_test_setup_teardown(test_small, test_rules_setup, test_rules_teardown),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
