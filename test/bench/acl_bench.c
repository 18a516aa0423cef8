/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One filter against rte_acl: acl_bench [EAL arguments] -- RULES ours|rte_acl|both|check [SECONDS]
 *
 * The same random rules (bench_rules.h) in both, the same keys, nine of ten of them inside of a
 * rule, spread over all rules, in bursts of 32. First both are asked about every key and must name
 * the same rule, or the program fails; then one of them is timed, and a line of JSON tells the keys
 * a second; or both in turns, and the line tells the pairs of them. Of rte_acl the fastest
 * algorithm that this processor has is taken; allow it all registers with
 * --force-max-simd-bitwidth=512.
 *
 * Timed is the whole work of a burst: with ours that is ms_filter_burst() over packets, verdicts
 * and counters included. Keys are brought into the L1 cache before, as the stage before would, in
 * the form that each of the two wants.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_acl.h>
#include <rte_byteorder.h>
#include <rte_cycles.h>
#include <rte_eal.h>

#include "bench_rules.h"
#include "bench_time.h"
#include "filter/ms_filter_lookup.h"

#define BURST  32
#define KEYS   16384
#define SEED   4789
#define BUDGET (32u << 10) /* as lib/ruleset gives a policy */

/* A key as rte_acl reads it, in network order. */
struct tuple {
	uint8_t proto;
	uint8_t reserved[3];
	rte_be32_t src;
	rte_be32_t dst;
	rte_be16_t sport;
	rte_be16_t dport;
};

enum { FIELD_PROTO, FIELD_SRC, FIELD_DST, FIELD_SPORT, FIELD_DPORT, FIELDS };
RTE_ACL_RULE_DEF(acl_rule, FIELDS);

struct bench {
	struct ms_filter filter;
	struct ms_key *keys;
	struct tuple *tuples;
	/* ours */
	struct ms_blob blob;
	struct ms_filter_leaves leaves;
	size_t policy;
	ms_counter *hits;
	/* theirs */
	struct rte_acl_ctx *acl;
	enum rte_acl_classify_alg alg;
};

static const char *const algs[] = {
	[RTE_ACL_CLASSIFY_SCALAR] = "scalar",
	[RTE_ACL_CLASSIFY_SSE] = "sse",
	[RTE_ACL_CLASSIFY_AVX2] = "avx2",
	[RTE_ACL_CLASSIFY_AVX512X16] = "avx512x16",
	[RTE_ACL_CLASSIFY_AVX512X32] = "avx512x32",
};

static bool
make_keys(struct bench *b, uint32_t rules_n)
{
	uint64_t random = SEED;

	b->filter.rules = bench_rules(&random, rules_n);
	b->filter.rules_n = rules_n;
	b->keys = calloc(KEYS, sizeof(*b->keys));
	b->tuples = calloc(KEYS, sizeof(*b->tuples));
	if (b->filter.rules == NULL || b->keys == NULL || b->tuples == NULL)
		return false;
	for (uint32_t i = 0; i < KEYS; i++) {
		struct ms_rule other = bench_rule(&random);
		const struct ms_rule *rule =
			bench_below(&random, 10) == 0
				? &other
				: &b->filter.rules[bench_below(&random, rules_n)];
		const struct ms_key *key = &b->keys[i];

		b->keys[i] = bench_key(&random, rule);
		b->tuples[i] = (struct tuple){.proto = key->proto,
			.src = rte_cpu_to_be_32((uint32_t)key->src.lo),
			.dst = rte_cpu_to_be_32((uint32_t)key->dst.lo),
			.sport = rte_cpu_to_be_16(key->sport),
			.dport = rte_cpu_to_be_16(key->dport)};
	}
	return true;
}

static bool
make_ours(struct bench *b)
{
	const struct ms_filter_route route = {.outputs = 1};
	const struct ms_filter_policy policy = {
		.session = &b->filter, .routes = &route, .routes_n = 1};
	uint64_t start = rte_rdtsc();
	int rc = ms_filter_compile(
		&b->blob, &b->leaves, &policy, MS_LAYOUT_AUTO, BUDGET, &b->policy);

	if (rc == 0)
		b->hits = calloc(b->leaves.leaves_n, sizeof(*b->hits));
	if (b->hits == NULL)
		return false;
	fprintf(stderr, "ours: %.1f ms to compile, %.1f KiB\n",
		bench_seconds(rte_rdtsc() - start) * 1e3, (double)b->blob.used / 1024);
	return true;
}

static struct acl_rule
acl_rule(const struct ms_rule *rule, uint32_t number, uint32_t of)
{
	const struct ms_port_range any = {.to = UINT16_MAX};
	const struct ms_port_range *sport = rule->sport.present ? &rule->sport : &any;
	const struct ms_port_range *dport = rule->dport.present ? &rule->dport : &any;
	struct acl_rule r = {.data = {.category_mask = 1,
				     .priority = (int32_t)(of - number),
				     .userdata = number + 1},
		.field = {
			[FIELD_SRC] = {.value.u32 = (uint32_t)rule->src.ip.lo,
				.mask_range.u32 = rule->src.length},
			[FIELD_DST] = {.value.u32 = (uint32_t)rule->dst.ip.lo,
				.mask_range.u32 = rule->dst.length},
			[FIELD_SPORT] = {.value.u16 = sport->from, .mask_range.u16 = sport->to},
			[FIELD_DPORT] = {.value.u16 = dport->from, .mask_range.u16 = dport->to},
		}};

	if (rule->protocol != MS_PROTO_ANY) {
		r.field[FIELD_PROTO].value.u8 = (uint8_t)rule->protocol;
		r.field[FIELD_PROTO].mask_range.u8 = UINT8_MAX;
	}
	return r;
}

static bool
make_acl(struct bench *b)
{
	const struct rte_acl_param param = {.name = "bench",
		.socket_id = SOCKET_ID_ANY,
		.rule_size = RTE_ACL_RULE_SZ(FIELDS),
		.max_rule_num = b->filter.rules_n};
	struct rte_acl_config config = {.num_categories = 1,
		.num_fields = FIELDS,
		.defs = {
			{RTE_ACL_FIELD_TYPE_BITMASK, 1, FIELD_PROTO, 0,
				offsetof(struct tuple, proto)},
			{RTE_ACL_FIELD_TYPE_MASK, 4, FIELD_SRC, 1, offsetof(struct tuple, src)},
			{RTE_ACL_FIELD_TYPE_MASK, 4, FIELD_DST, 2, offsetof(struct tuple, dst)},
			{RTE_ACL_FIELD_TYPE_RANGE, 2, FIELD_SPORT, 3,
				offsetof(struct tuple, sport)},
			{RTE_ACL_FIELD_TYPE_RANGE, 2, FIELD_DPORT, 3,
				offsetof(struct tuple, dport)},
		}};
	uint64_t start = rte_rdtsc();

	b->acl = rte_acl_create(&param);
	for (uint32_t i = 0; b->acl != NULL && i < b->filter.rules_n; i++) {
		struct acl_rule rule = acl_rule(&b->filter.rules[i], i, b->filter.rules_n);

		if (rte_acl_add_rules(b->acl, (const struct rte_acl_rule *)&rule, 1) != 0)
			return false;
	}
	if (b->acl == NULL || rte_acl_build(b->acl, &config) != 0)
		return false;
	fprintf(stderr, "rte_acl: %.1f ms to compile\n", bench_seconds(rte_rdtsc() - start) * 1e3);
	return true;
}

/* Cycles for BURST keys from `at` on; results: 1 + the number of the rule, 0 if there is none. */
static uint64_t
ask_ours(struct bench *b, uint32_t at, uint32_t results[BURST])
{
	struct ms_packet packets[BURST];
	uint64_t start, cycles;

	memset(packets, 0, sizeof(packets));
	for (uint32_t i = 0; i < BURST; i++) {
		packets[i].key = b->keys[at + i];
		packets[i].direction = MS_DIRECTION_INGRESS;
		packets[i].policy = (uint32_t)(b->policy / 64);
		packets[i].fate = MS_FATE_NONE;
	}
	start = bench_start();
	ms_filter_burst(b->blob.base, packets, BURST, b->hits);
	cycles = bench_end() - start;
	for (uint32_t i = 0; results != NULL && i < BURST; i++) {
		const uint32_t *first = &b->leaves.first[packets[i].leaf];

		results[i] = first[0] == first[1] ? 0 : 1 + b->leaves.hits[first[0]].rule;
	}
	return cycles;
}

static uint64_t
ask_acl(struct bench *b, uint32_t at, uint32_t results[BURST])
{
	struct tuple tuples[BURST];
	const uint8_t *data[BURST];
	uint32_t found[BURST];
	uint64_t start, cycles;

	for (uint32_t i = 0; i < BURST; i++) {
		tuples[i] = b->tuples[at + i];
		data[i] = (const uint8_t *)&tuples[i];
	}
	start = bench_start();
	rte_acl_classify_alg(b->acl, data, found, BURST, 1, b->alg);
	cycles = bench_end() - start;
	if (results != NULL)
		memcpy(results, found, sizeof(found));
	return cycles;
}

/* Do both say the same of every key? Also counts how many rules were met. */
static bool
check(struct bench *b)
{
	uint32_t ours[BURST], theirs[BURST], met_n = 0, none = 0;
	bool *met = calloc(b->filter.rules_n + 1, sizeof(*met));

	for (uint32_t at = 0; at < KEYS; at += BURST) {
		ask_ours(b, at, ours);
		ask_acl(b, at, theirs);
		for (uint32_t i = 0; i < BURST; i++) {
			if (ours[i] != theirs[i]) {
				fprintf(stderr, "key %u: ours is rule %u, theirs %u\n", at + i,
					ours[i], theirs[i]);
				free(met);
				return false;
			}
			met_n += met != NULL && ours[i] != 0 && !met[ours[i]];
			none += ours[i] == 0;
			if (met != NULL)
				met[ours[i]] = true;
		}
	}
	free(met);
	fprintf(stderr, "both agree on %u keys, which meet %u of %u rules, %u none\n", KEYS, met_n,
		b->filter.rules_n, none);
	return true;
}

/* Cycles a key: the median of laps over all keys. */
static double
measure(struct bench *b, uint64_t (*ask)(struct bench *b, uint32_t at, uint32_t *results),
	double seconds)
{
	static double laps[BENCH_LAPS_MAX];
	uint64_t end = rte_rdtsc() + bench_cycles(seconds);
	unsigned int n = 0;

	for (uint32_t at = 0; at < KEYS; at += BURST)
		ask(b, at, NULL);
	do {
		uint64_t cycles = 0;

		for (uint32_t at = 0; at < KEYS; at += BURST)
			cycles += ask(b, at, NULL);
		laps[n++] = (double)cycles;
	} while (n < BENCH_LAPS_MAX && rte_rdtsc() < end);
	return bench_median(laps, n) / KEYS - bench_overhead() / BURST;
}

/* Keys a second of both, in turns so short that what the machine does beside is the same to both.
 */
static void
measure_both(struct bench *b, double seconds)
{
	double hz = (double)rte_get_tsc_hz();
	unsigned int turns = bench_turns(seconds);

	printf("{\"what\": \"ours, %s\", \"rules\": %u, \"pairs\": [", algs[b->alg],
		b->filter.rules_n);
	for (unsigned int i = 0; i < turns; i++) {
		double ours = measure(b, ask_ours, BENCH_TURN);
		double theirs = measure(b, ask_acl, BENCH_TURN);

		printf("%s[%.0f, %.0f]", i == 0 ? "" : ", ", hz / ours, hz / theirs);
	}
	puts("]}");
}

/* The fastest algorithm here. */
static void
choose_alg(struct bench *b)
{
	double least = 0;
	enum rte_acl_classify_alg best = RTE_ACL_CLASSIFY_SCALAR;

	for (unsigned int i = RTE_ACL_CLASSIFY_SCALAR; i < RTE_DIM(algs); i++) {
		double cycles;

		if (algs[i] == NULL || rte_acl_set_ctx_classify(b->acl, i) != 0)
			continue;
		b->alg = i;
		cycles = measure(b, ask_acl, 0.1);
		fprintf(stderr, "rte_acl %s: %.1f cycles a key\n", algs[i], cycles);
		if (least == 0 || cycles < least) {
			least = cycles;
			best = i;
		}
	}
	b->alg = best;
}

int
main(int argc, char **argv)
{
	static struct bench b;
	int eal = rte_eal_init(argc, argv);
	uint32_t rules_n;
	double seconds, cycles;
	bool ours, both;

	if (eal < 0)
		return 2;
	argc -= eal;
	argv += eal;
	rules_n = argc > 2 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
	seconds = argc > 3 ? strtod(argv[3], NULL) : 1;
	if (rules_n == 0 || rules_n > 32766) {
		fprintf(stderr, "usage: acl_bench [EAL arguments] -- RULES ours|rte_acl|both|check "
				"[SECONDS]\n");
		return 2;
	}
	ours = strcmp(argv[2], "ours") == 0;
	both = strcmp(argv[2], "both") == 0;
	if (!make_keys(&b, rules_n) || !make_ours(&b) || !make_acl(&b)) {
		fprintf(stderr, "%u rules do not compile\n", rules_n);
		return 1;
	}
	b.alg = RTE_ACL_CLASSIFY_SCALAR;
	if (!check(&b))
		return 1;
	if (strcmp(argv[2], "check") == 0)
		return 0;
	if (!ours) {
		choose_alg(&b);
		if (!check(&b))
			return 1;
	}
	if (both) {
		measure_both(&b, seconds);
		return 0;
	}
	cycles = measure(&b, ours ? ask_ours : ask_acl, seconds);
	printf("{\"what\": \"%s\", \"rules\": %u, \"cycles\": %.2f, \"keys_per_second\": %.0f}\n",
		ours ? "ours" : algs[b.alg], rules_n, cycles, (double)rte_get_tsc_hz() / cycles);
	return 0;
}
