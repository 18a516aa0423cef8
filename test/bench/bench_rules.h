/* SPDX-License-Identifier: BSD-3-Clause */
/* Rules and keys as they could come from an AWS account, at random, the same for the same seed. */
#pragma once

#include <stdint.h>

#include "filter/ms_filter.h"

/* splitmix64: the next number of a sequence. */
static inline uint64_t
bench_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static inline uint32_t
bench_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)((bench_random(state) >> 32) * n >> 32);
}

/*
 * A rule for IPv4 frames: addresses from VPCs, their subnets and hosts, networks behind a VPN, and
 * the internet, or any; TCP and UDP with and without ports, ICMP, any protocol. number and
 * direction are left 0.
 */
struct ms_rule bench_rule(uint64_t *random);

/* n of them, numbered, all of them ingress, the narrow ones first; to be freed. NULL: no memory. */
struct ms_rule *bench_rules(uint64_t *random, uint32_t n);

/* A key that the rule matches (another may before). */
struct ms_key bench_key(uint64_t *random, const struct ms_rule *rule);
