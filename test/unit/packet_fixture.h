/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of the packet path share: packets built header by header, chains of segments that
 * end at a page which nobody may touch, and numbers that look random but come again. Needs no EAL.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "packet/ms_packet.h"

#define TEST_PROTO_ICMP 1
#define TEST_PROTO_TCP  6
#define TEST_PROTO_UDP  17

#define TEST_ROOM (80u * 1024)

/* A packet that is built from the inside out: the last n bytes of room. */
struct test_bytes {
	uint32_t n;
	uint8_t room[TEST_ROOM];
};

void test_bytes_clear(struct test_bytes *b);
uint8_t *test_bytes_at(struct test_bytes *b);

/*
 * Each puts its bytes in front of what is there already, with lengths that cover it, and returns
 * where they begin. What is not told otherwise is 0.
 */
uint8_t *test_push(struct test_bytes *b, uint32_t n);
uint8_t *test_push_data(struct test_bytes *b, uint32_t n, uint32_t seed);
uint8_t *test_push_udp(struct test_bytes *b, uint16_t sport, uint16_t dport);
uint8_t *test_push_tcp(struct test_bytes *b, uint16_t sport, uint16_t dport);
/* options: so many words of them. */
uint8_t *test_push_ipv4(
	struct test_bytes *b, uint8_t proto, uint32_t src, uint32_t dst, unsigned int options);
uint8_t *test_push_ipv6(struct test_bytes *b, uint8_t next, struct ms_ip src, struct ms_ip dst);
/* An IPv6 extension header of 8 * (1 + units) bytes. */
uint8_t *test_push_extension(struct test_bytes *b, uint8_t next, uint8_t units);
/* An IPv6 fragment header; field: offset in its upper 13 bits, more fragments in bit 0. */
uint8_t *test_push_fragment6(struct test_bytes *b, uint8_t next, uint16_t field);
/* An authentication header of 4 * (2 + units) bytes. */
uint8_t *test_push_ah(struct test_bytes *b, uint8_t next, uint8_t units);
uint8_t *test_push_vxlan(struct test_bytes *b, uint32_t vni);
/* A GENEVE header whose options, if any, have been pushed before it. */
uint8_t *
test_push_geneve(struct test_bytes *b, uint16_t protocol, uint32_t vni, uint32_t options_bytes);
uint8_t *test_push_type(struct test_bytes *b, uint16_t ether_type);
uint8_t *test_push_tag(struct test_bytes *b, uint16_t ether_type);
uint8_t *test_push_macs(struct test_bytes *b, uint64_t dst, uint64_t src);
/* EtherType and MAC addresses. */
uint8_t *test_push_ether(struct test_bytes *b, uint16_t ether_type);

void test_put16(uint8_t *at, uint16_t value);

/* Has decap given both the same fate and, if they are under way, the same inner frame? */
bool test_same_decap(const struct ms_packet *x, const struct ms_packet *y);

/* xorshift64* */
struct test_random {
	uint64_t state; /* not 0 */
};

uint64_t test_random(struct test_random *random);
/* 0 <= it < n */
uint32_t test_below(struct test_random *random, uint32_t n);

/*
 * Where a chain lies: at the end of memory behind which comes a page that cannot be touched.
 * Between two segments stand bytes that are no part of the packet.
 */
struct test_arena;

struct test_arena *test_arena_create(void);
void test_arena_free(struct test_arena *arena);

/*
 * A packet as a chain, valid until the next call with this arena. piece: bytes in each segment but
 * the last; 0: any, 0 too, as `random` will. No mempool stands behind it: it is for reading only.
 */
struct rte_mbuf *test_chain(struct test_arena *arena, const uint8_t *bytes, uint32_t n,
	uint32_t piece, struct test_random *random);

/* A copy of n bytes that ends at the page which cannot be touched. */
const uint8_t *test_guarded(struct test_arena *arena, const uint8_t *bytes, uint32_t n);
