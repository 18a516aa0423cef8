/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way of a mirrored packet to its verdict, with many filters or sessions:
 * path_bench [EAL arguments] -- filters|sessions N [SECONDS [BASE]]
 *
 *   filters   N sessions, each with an interface and a filter of its own: 5 rules ingress, 5 egress
 *   sessions  N sessions, each with an interface, and one such filter for all of them
 *
 * Packets of 110 bytes with inner frames of 60, in bursts of 64, each of a session at random, nine
 * of ten within a rule of its filter. Before a burst its packets are written where they stand;
 * timed are decapsulation, session, inner headers and filter. Prints the nanoseconds a frame as a
 * line of JSON, and the bytes of all tables, counters included. With a BASE, so many of them are
 * measured in turns with the N, and the line has the pairs of both.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>

#include <rte_byteorder.h>
#include <rte_eal.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include <rte_vxlan.h>

#include "bench_rules.h"
#include "bench_time.h"
#include "decap/ms_decap.h"
#include "filter/ms_filter_lookup.h"
#include "ruleset/ms_ruleset.h"

#define MBUFS      1024
#define RULES      10 /* of a filter, half of them ingress */
#define FIRST_VNI  64
#define SOURCE     0x0a800000u       /* 10.128.0.0 + session: outer source */
#define ENI_MAC    0x020000000000ull /* + session */
#define OTHER_MAC  0x060000000001ull
#define N_MAX      200000
#define INNER_SIZE 60

struct bench {
	uint32_t sessions_n;
	uint32_t filters_n;
	struct ms_session_registry *registry;
	struct ms_ruleset *ruleset;
	struct rte_mbuf *mbufs[MBUFS];
	uint64_t random;
	uint64_t fates[MS_FATE_COUNT];
};

/* Rule i of a filter; always the same. No table of them, which would take the cache. */
static struct ms_rule
rule_of(uint32_t filter, uint32_t i)
{
	uint64_t random = (uint64_t)filter << 32 | i << 16;

	return bench_rule(&random);
}

static void
print_block(FILE *file, const char *name, const struct ms_prefix *p)
{
	uint32_t a = (uint32_t)p->ip.lo;

	fprintf(file, ", \"%sCidrBlock\": \"%u.%u.%u.%u/%u\"", name, a >> 24, a >> 16 & 255,
		a >> 8 & 255, a & 255, p->length);
}

static void
print_ports(FILE *file, const char *name, const struct ms_port_range *range)
{
	if (range->present)
		fprintf(file, ", \"%sPortRange\": {\"FromPort\": %u, \"ToPort\": %u}", name,
			range->from, range->to);
}

static void
print_rules(FILE *file, uint32_t filter, uint32_t first, uint32_t end)
{
	for (uint32_t i = first; i < end; i++) {
		struct ms_rule rule = rule_of(filter, i);

		fprintf(file, "%s{\"RuleNumber\": %u, \"RuleAction\": \"%s\"",
			i == first ? "" : ",", i * 10 + 10, rule.accept ? "accept" : "reject");
		if (rule.protocol != MS_PROTO_ANY)
			fprintf(file, ", \"Protocol\": %d", rule.protocol);
		print_block(file, "Source", &rule.src);
		print_block(file, "Destination", &rule.dst);
		print_ports(file, "Source", &rule.sport);
		print_ports(file, "Destination", &rule.dport);
		fprintf(file, "}");
	}
}

static void
print_config(FILE *file, const struct bench *b)
{
	fprintf(file, "{\"Outputs\": [{\"Name\": \"count\", \"Type\": \"null\"}], "
		      "\"TrafficMirrorFilters\": [");
	for (uint32_t i = 0; i < b->filters_n; i++) {
		fprintf(file,
			"%s{\"TrafficMirrorFilterId\": \"tmf-%08x\", \"IngressFilterRules\": [",
			i == 0 ? "" : ",\n", i);
		print_rules(file, i, 0, RULES / 2);
		fprintf(file, "], \"EgressFilterRules\": [");
		print_rules(file, i, RULES / 2, RULES);
		fprintf(file, "]}");
	}
	fprintf(file, "], \"NetworkInterfaces\": [");
	for (uint32_t i = 0; i < b->sessions_n; i++) {
		uint32_t a = SOURCE + i;

		fprintf(file,
			"%s{\"NetworkInterfaceId\": \"eni-%08x\", \"MacAddress\": "
			"\"02:00:00:%02x:%02x:%02x\", \"PrivateIpAddress\": \"%u.%u.%u.%u\"}",
			i == 0 ? "" : ",\n", i, i >> 16 & 255, i >> 8 & 255, i & 255, a >> 24,
			a >> 16 & 255, a >> 8 & 255, a & 255);
	}
	fprintf(file, "], \"TrafficMirrorSessions\": [");
	for (uint32_t i = 0; i < b->sessions_n; i++)
		fprintf(file,
			"%s{\"TrafficMirrorSessionId\": \"tms-%08x\", \"TrafficMirrorFilterId\": "
			"\"tmf-%08x\", \"NetworkInterfaceId\": \"eni-%08x\", \"SessionNumber\": 1, "
			"\"VirtualNetworkId\": %u}",
			i == 0 ? "" : ",\n", i, i % b->filters_n, i, FIRST_VNI + i);
	fprintf(file, "]}\n");
}

static bool
make_ruleset(struct bench *b)
{
	char path[] = "/tmp/path_bench.XXXXXX";
	const char *files[] = {path};
	int fd = mkstemp(path);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	struct ms_config *config;
	struct ms_config_error error = {.text = "no file in /tmp"};
	int rc = -1;

	if (file == NULL)
		return false;
	print_config(file, b);
	if (fclose(file) == 0)
		rc = ms_config_read(&config, files, 1, &error);
	unlink(path);
	b->registry = ms_session_registry_create();
	if (rc == 0 && b->registry != NULL) {
		rc = ms_ruleset_compile(&b->ruleset, config, b->registry, 1, &error);
		if (rc != 0)
			ms_config_free(config);
	}
	if (rc != 0 || b->registry == NULL)
		fprintf(stderr, "%s\n", error.text);
	return rc == 0 && b->registry != NULL;
}

static bool
make_mbufs(struct bench *b, const char *name)
{
	struct rte_mempool *pool = rte_pktmbuf_pool_create(
		name, MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);

	return pool != NULL && rte_pktmbuf_alloc_bulk(pool, b->mbufs, MBUFS) == 0;
}

static void
put_mac(struct rte_ether_addr *to, uint64_t mac)
{
	for (unsigned int i = 0; i < RTE_ETHER_ADDR_LEN; i++)
		to->addr_bytes[i] = (uint8_t)(mac >> (40 - 8 * i));
}

static uint8_t *
put_ipv4(uint8_t *at, uint32_t src, uint32_t dst, uint8_t proto, uint16_t payload)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)at;

	*ip = (struct rte_ipv4_hdr){.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip) + payload)),
		.time_to_live = 64,
		.next_proto_id = proto,
		.src_addr = rte_cpu_to_be_32(src),
		.dst_addr = rte_cpu_to_be_32(dst)};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	return at + sizeof(*ip);
}

/* Outer headers as AWS makes them. */
static uint8_t *
put_outer(uint8_t *at, uint32_t session, uint16_t sport)
{
	struct rte_ether_hdr *ether = (struct rte_ether_hdr *)at;
	struct rte_udp_hdr *udp;
	struct rte_vxlan_hdr *vxlan;
	uint16_t size = sizeof(*udp) + sizeof(*vxlan) + INNER_SIZE;

	put_mac(&ether->dst_addr, OTHER_MAC + 1);
	put_mac(&ether->src_addr, OTHER_MAC + 2);
	ether->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	at = put_ipv4(at + sizeof(*ether), SOURCE + session, 0x0a000063, IPPROTO_UDP, size);
	udp = (struct rte_udp_hdr *)at;
	*udp = (struct rte_udp_hdr){.src_port = rte_cpu_to_be_16(sport),
		.dst_port = rte_cpu_to_be_16(MS_VXLAN_PORT),
		.dgram_len = rte_cpu_to_be_16(size)};
	vxlan = (struct rte_vxlan_hdr *)(udp + 1);
	vxlan->vx_flags = rte_cpu_to_be_32(1u << 27);
	vxlan->vx_vni = rte_cpu_to_be_32((FIRST_VNI + session) << 8);
	return (uint8_t *)(vxlan + 1);
}

/* A packet of a session at random, most often one that a rule of its filter takes. */
static void
write_packet(struct bench *b, struct rte_mbuf *m)
{
	uint32_t session = bench_below(&b->random, b->sessions_n);
	uint32_t i = bench_below(&b->random, RULES);
	bool any = bench_below(&b->random, 10) == 0;
	struct ms_rule rule = any ? bench_rule(&b->random) : rule_of(session % b->filters_n, i);
	struct ms_key key = bench_key(&b->random, &rule);
	uint8_t *at = put_outer(rte_pktmbuf_mtod(m, uint8_t *), session, 49152 + (session & 127));
	struct rte_ether_hdr *ether = (struct rte_ether_hdr *)at;
	uint64_t mac = ENI_MAC + session;

	put_mac(&ether->dst_addr, i < RULES / 2 ? mac : OTHER_MAC);
	put_mac(&ether->src_addr, i < RULES / 2 ? OTHER_MAC : mac);
	ether->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	at = put_ipv4(at + sizeof(*ether), (uint32_t)key.src.lo, (uint32_t)key.dst.lo, key.proto,
		INNER_SIZE - sizeof(*ether) - sizeof(struct rte_ipv4_hdr));
	memset(at, 0, INNER_SIZE - sizeof(*ether) - sizeof(struct rte_ipv4_hdr));
	if ((key.has & MS_HAS_SPORT) != 0) { /* TCP begins as UDP does */
		struct rte_udp_hdr *ports = (struct rte_udp_hdr *)at;

		ports->src_port = rte_cpu_to_be_16(key.sport);
		ports->dst_port = rte_cpu_to_be_16(key.dport);
	}
	m->data_len = RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr) +
	              sizeof(struct rte_vxlan_hdr) + INNER_SIZE;
	m->pkt_len = m->data_len;
}

/* Cycles for one burst. */
static uint64_t
burst(struct bench *b, struct rte_mbuf **mbufs)
{
	static const struct ms_decap decap = {
		.vxlan_port = RTE_BE16(MS_VXLAN_PORT), .geneve_port = RTE_BE16(MS_GENEVE_PORT)};
	static struct ms_packet packets[MS_BURST];
	uint64_t start, cycles;

	for (unsigned int i = 0; i < MS_BURST; i++)
		write_packet(b, mbufs[i]);
	start = bench_start();
	ms_decap_burst(&decap, mbufs, MS_BURST, packets);
	ms_ruleset_session_burst(b->ruleset, b->registry, packets, MS_BURST);
	ms_packet_parse_burst(mbufs, packets, MS_BURST);
	ms_filter_burst(b->ruleset->base, packets, MS_BURST, b->ruleset->hits[0]);
	cycles = bench_end() - start;
	for (unsigned int i = 0; i < MS_BURST; i++)
		b->fates[packets[i].fate]++;
	return cycles;
}

/* Cycles a frame: the median of laps over all mbufs. */
static double
measure(struct bench *b, double seconds)
{
	static double laps[BENCH_LAPS_MAX];
	uint64_t now = rte_rdtsc(), warm = now + bench_cycles(seconds / 4);
	uint64_t end = now + bench_cycles(seconds);
	unsigned int n = 0;

	while (rte_rdtsc() < warm)
		for (unsigned int at = 0; at < MBUFS; at += MS_BURST)
			burst(b, &b->mbufs[at]);
	do {
		uint64_t cycles = 0;

		for (unsigned int at = 0; at < MBUFS; at += MS_BURST)
			cycles += burst(b, &b->mbufs[at]);
		laps[n++] = (double)cycles;
	} while (n < BENCH_LAPS_MAX && rte_rdtsc() < end);
	return bench_median(laps, n) / MBUFS - bench_overhead() / MS_BURST;
}

/* All that a ruleset takes beside its configuration. */
static size_t
table_bytes(const struct ms_ruleset *ruleset)
{
	const struct ms_filter_leaves *leaves = &ruleset->leaves;

	return ruleset->head->size + (size_t)leaves->leaves_n * sizeof(ms_counter) +
	       (size_t)leaves->leaves_n * sizeof(*leaves->first) +
	       (size_t)leaves->hits_n * sizeof(*leaves->hits);
}

/* One of them, with so many filters or sessions. False if it cannot be made; a message has said
 * why. */
static bool
make(struct bench *b, const char *name, bool filters, const char *n)
{
	b->sessions_n = (uint32_t)strtoul(n, NULL, 10);
	b->filters_n = filters ? b->sessions_n : 1;
	if (b->sessions_n == 0 || b->sessions_n > N_MAX) {
		fprintf(stderr, "'%s' is no number from 1 to %u\n", n, N_MAX);
		return false;
	}
	if (!make_ruleset(b) || !make_mbufs(b, name)) {
		fprintf(stderr, "no ruleset, or no packets\n");
		return false;
	}
	return true;
}

static void
end(struct bench *b)
{
	ms_ruleset_free(b->ruleset);
	ms_session_registry_free(b->registry);
}

static double
nanoseconds(double cycles)
{
	return bench_seconds((uint64_t)(cycles * 1e6)) * 1e3;
}

int
main(int argc, char **argv)
{
	static struct bench b, base;
	int eal = rte_eal_init(argc, argv);
	double seconds, cycles;
	bool filters;

	static_assert(MBUFS % MS_BURST == 0, "laps of whole bursts");

	if (eal < 0)
		return 2;
	argc -= eal;
	argv += eal;
	if (argc < 3) {
		fprintf(stderr, "usage: path_bench [EAL arguments] -- filters|sessions N "
				"[SECONDS [BASE]]\n");
		return 2;
	}
	seconds = argc > 3 ? strtod(argv[3], NULL) : 1;
	filters = strcmp(argv[1], "filters") == 0;
	if (!make(&b, "bench", filters, argv[2]) ||
		(argc > 4 && !make(&base, "base", filters, argv[4])))
		return 1;
	printf("{\"what\": \"%s\", \"n\": %u, \"bytes\": %zu, ", argv[1], b.sessions_n,
		table_bytes(b.ruleset));
	if (argc > 4) {
		printf("\"pairs\": [");
		for (unsigned int i = 0, turns = bench_turns(seconds); i < turns; i++) {
			cycles = measure(&b, BENCH_TURN);
			printf("%s[%.3f, %.3f]", i == 0 ? "" : ", ", nanoseconds(cycles),
				nanoseconds(measure(&base, BENCH_TURN)));
		}
		puts("]}");
		end(&base);
	} else {
		cycles = measure(&b, seconds);
		printf("\"cycles\": %.2f, \"ns\": %.3f}\n", cycles, nanoseconds(cycles));
	}
	for (unsigned int i = 0; i < MS_FATE_COUNT; i++)
		if (b.fates[i] != 0)
			fprintf(stderr, "%s %lu\n", ms_fate_name(i), b.fates[i]);
	end(&b);
	return 0;
}
