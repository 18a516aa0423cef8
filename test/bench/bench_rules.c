/* SPDX-License-Identifier: BSD-3-Clause */
/* See bench_rules.h. */
#include "bench_rules.h"

#include <netinet/in.h>
#include <stdlib.h>

#define VPCS    32 /* 10.0.0.0/16 to 10.31.0.0/16 */
#define SUBNETS 64 /* a VPC has so many */

static bool
chance(uint64_t *random, uint32_t percent)
{
	return bench_below(random, 100) < percent;
}

static uint32_t
mask_of(uint8_t length)
{
	return length == 0 ? 0 : UINT32_MAX << (32 - length);
}

static struct ms_prefix
prefix(uint32_t address, uint8_t length)
{
	return (struct ms_prefix){
		.family = MS_FAMILY_V4, .length = length, .ip = {.lo = address & mask_of(length)}};
}

static struct ms_prefix
random_prefix(uint64_t *random)
{
	uint32_t vpc = 10u << 24 | bench_below(random, VPCS) << 16;
	uint32_t subnet = vpc | bench_below(random, SUBNETS) << 10;

	switch (bench_below(random, 20)) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		return prefix(0, 0);
	case 5:
	case 6:
	case 7:
		return prefix(vpc, 16);
	case 8:
		return prefix(subnet, 20);
	case 9:
	case 10:
	case 11:
	case 12:
		return prefix(subnet, (uint8_t)(22 + bench_below(random, 3)));
	case 13:
	case 14:
	case 15:
		return prefix(subnet | bench_below(random, 1024), 32);
	case 16:
	case 17: /* behind a VPN */
		return prefix(0xac100000u | bench_below(random, 1u << 20),
			(uint8_t)(16 + bench_below(random, 13)));
	default: /* the internet */
		return prefix(
			(uint32_t)bench_random(random), (uint8_t)(8 + bench_below(random, 25)));
	}
}

static struct ms_port_range
random_ports(uint64_t *random)
{
	static const uint16_t known[] = {22, 25, 53, 80, 123, 389, 443, 445, 514, 1433, 1521, 2049,
		3306, 3389, 5432, 5672, 6379, 8080, 8443, 9092, 9200, 11211, 27017};
	uint32_t kind = bench_below(random, 20);
	uint16_t from = (uint16_t)bench_random(random);

	if (kind < 4)
		return (struct ms_port_range){0};
	if (kind < 13)
		from = known[bench_below(random, sizeof(known) / sizeof(known[0]))];
	if (kind < 16)
		return (struct ms_port_range){.present = true, .from = from, .to = from};
	if (kind == 16)
		return (struct ms_port_range){.present = true, .from = 1024, .to = UINT16_MAX};
	return (struct ms_port_range){.present = true,
		.from = from,
		.to = (uint16_t)(from + bench_below(random, UINT16_MAX - from + 1u) / 16)};
}

struct ms_rule
bench_rule(uint64_t *random)
{
	uint32_t kind = bench_below(random, 20);
	struct ms_rule rule = {.accept = chance(random, 70)};

	rule.protocol = kind < 12   ? IPPROTO_TCP
	                : kind < 17 ? IPPROTO_UDP
	                : kind < 18 ? IPPROTO_ICMP
	                            : MS_PROTO_ANY;
	rule.src = random_prefix(random);
	rule.dst = random_prefix(random);
	if (rule.protocol == IPPROTO_TCP || rule.protocol == IPPROTO_UDP) {
		rule.dport = random_ports(random);
		if (chance(random, 15))
			rule.sport = random_ports(random);
	}
	return rule;
}

/* How much of the space of keys a rule leaves out, about. */
static unsigned int
narrowness(const struct ms_rule *rule)
{
	return rule->src.length + rule->dst.length + (rule->protocol != MS_PROTO_ANY ? 4u : 0u) +
	       (rule->sport.present ? 4u : 0u) + (rule->dport.present ? 8u : 0u);
}

static int
compare_rule(const void *a, const void *b)
{
	const struct ms_rule *x = a, *y = b;
	unsigned int i = narrowness(x), j = narrowness(y);

	if (i != j)
		return i > j ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

struct ms_rule *
bench_rules(uint64_t *random, uint32_t n)
{
	struct ms_rule *rules = calloc(n, sizeof(*rules));

	if (rules == NULL)
		return NULL;
	for (uint32_t i = 0; i < n; i++) {
		rules[i] = bench_rule(random);
		rules[i].direction = MS_DIRECTION_INGRESS;
		rules[i].number = (uint16_t)(i + 1);
	}
	qsort(rules, n, sizeof(*rules), compare_rule);
	for (uint32_t i = 0; i < n; i++)
		rules[i].number = (uint16_t)(i + 1);
	return rules;
}

static uint16_t
port_in(uint64_t *random, const struct ms_port_range *range)
{
	if (!range->present)
		return (uint16_t)(1024 + bench_below(random, 64512));
	return (uint16_t)(range->from + bench_below(random, range->to - range->from + 1u));
}

static uint32_t
address_in(uint64_t *random, const struct ms_prefix *block)
{
	struct ms_prefix any = block->length == 0 ? random_prefix(random) : *block;

	return (uint32_t)any.ip.lo | ((uint32_t)bench_random(random) & ~mask_of(any.length));
}

struct ms_key
bench_key(uint64_t *random, const struct ms_rule *rule)
{
	struct ms_key key = {.family = MS_FAMILY_V4, .has = MS_HAS_PROTO | MS_HAS_SRC | MS_HAS_DST};

	key.src.lo = address_in(random, &rule->src);
	key.dst.lo = address_in(random, &rule->dst);
	key.proto = rule->protocol != MS_PROTO_ANY ? (uint8_t)rule->protocol
	            : chance(random, 70)           ? IPPROTO_TCP
	                                           : IPPROTO_UDP;
	if (key.proto == IPPROTO_TCP || key.proto == IPPROTO_UDP) {
		key.has |= MS_HAS_SPORT | MS_HAS_DPORT;
		key.sport = port_in(random, &rule->sport);
		key.dport = port_in(random, &rule->dport);
	}
	return key;
}
