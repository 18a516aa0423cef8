/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * packet, beyond the key (packet_test.c): the hash that keeps a flow together, the direction, and
 * bursts of frames that lie in segments of any size.
 */
#include "packet/ms_packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "ledger/ms_ledger.h"
#include "packet_fixture.h"

#define SRC4 0x0a000001u
#define DST4 0xc0a80102u

static const struct ms_ip src6 = {0x20010db800000001, 0x1111222233334444};
static const struct ms_ip dst6 = {0xfd00000000000002, 0x5555666677778888};

static struct test_arena *arena;
static struct test_bytes b;

static int
setup(void **state)
{
	arena = test_arena_create();
	return 0;
}

static int
teardown(void **state)
{
	test_arena_free(arena);
	return 0;
}

static struct ms_packet
parse(void)
{
	struct ms_packet p = {0};

	ms_packet_parse(&p, test_guarded(arena, test_bytes_at(&b), b.n), b.n);
	return p;
}

/* IPv4 and UDP, but for what stands before them. */
static void
begin4(uint32_t src, uint32_t dst)
{
	test_bytes_clear(&b);
	test_push_data(&b, 32, 7);
	test_push_udp(&b, 1000, 53);
	test_push_ipv4(&b, TEST_PROTO_UDP, src, dst, 0);
}

/* A whole frame, IPv6 and TCP with a chain of extension headers. */
static void
begin6(void)
{
	test_bytes_clear(&b);
	test_push_data(&b, 32, 7);
	test_push_tcp(&b, 1000, 53);
	test_push_ah(&b, TEST_PROTO_TCP, 4);
	test_push_extension(&b, 51, 1);
	test_push_ipv6(&b, 0, src6, dst6);
	test_push_ether(&b, 0x86dd);
}

/* Hash of b's frame with both ends exchanged: MACs, addresses and ports. */
static uint32_t
hash_of(bool back, bool v6, uint8_t proto, uint16_t sport, uint16_t dport)
{
	test_bytes_clear(&b);
	test_push_data(&b, 16, sport);
	if (back)
		RTE_SWAP(sport, dport);
	if (proto == TEST_PROTO_TCP)
		test_push_tcp(&b, sport, dport);
	else
		test_push_udp(&b, sport, dport);
	if (v6)
		test_push_ipv6(&b, proto, back ? dst6 : src6, back ? src6 : dst6);
	else
		test_push_ipv4(&b, proto, back ? DST4 : SRC4, back ? SRC4 : DST4, 0);
	test_push_type(&b, v6 ? 0x86dd : 0x0800);
	test_push_macs(&b, back ? 0x22 : 0x11, back ? 0x11 : 0x22);
	return parse().hash;
}

static void
test_hash_symmetric(void **state)
{
	static const uint8_t protos[] = {TEST_PROTO_TCP, TEST_PROTO_UDP, TEST_PROTO_ICMP};

	for (unsigned int i = 0; i < RTE_DIM(protos); i++) {
		for (unsigned int v6 = 0; v6 < 2; v6++) {
			for (uint16_t port = 1; port < 2000; port += 7)
				assert_int_equal(hash_of(false, v6, protos[i], port, 443),
					hash_of(true, v6, protos[i], port, 443));
		}
	}
}

/* Flows that differ in one port spread over the upper bits, by which a worker is chosen. */
static void
test_hash_spreads(void **state)
{
	unsigned int buckets[8] = {0};

	for (uint16_t port = 32768; port < 32768 + 8000; port++)
		buckets[hash_of(false, false, TEST_PROTO_TCP, port, 443) >> 29]++;
	for (unsigned int i = 0; i < RTE_DIM(buckets); i++)
		assert_in_range(buckets[i], 850, 1150);
	assert_int_not_equal(hash_of(false, false, TEST_PROTO_TCP, 1, 2),
		hash_of(false, false, TEST_PROTO_UDP, 1, 2));
}

static uint32_t
fragment_hash(bool v6, uint16_t offset, bool more, uint16_t sport)
{
	test_bytes_clear(&b);
	test_push_data(&b, 16, sport);
	test_push_udp(&b, sport, 53);
	if (v6) {
		test_push_fragment6(&b, TEST_PROTO_UDP, (uint16_t)(offset << 3 | more));
		test_push_ipv6(&b, 44, src6, dst6);
	} else {
		test_put16(test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0) + 6,
			(uint16_t)(more << 13 | offset));
	}
	test_push_ether(&b, v6 ? 0x86dd : 0x0800);
	return parse().hash;
}

/* All fragments of two hosts stay together, the first, which has ports, too. */
static void
test_hash_fragments(void **state)
{
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		uint32_t first = fragment_hash(v6, 0, true, 1000);

		assert_int_equal(fragment_hash(v6, 0, true, 2000), first);
		assert_int_equal(fragment_hash(v6, 100, true, 3000), first);
		assert_int_equal(fragment_hash(v6, 200, false, 4000), first);
		assert_int_not_equal(fragment_hash(v6, 0, false, 1000),
			fragment_hash(v6, 0, false, 2000)); /* whole packets */
	}
}

static uint32_t
arp_hash(uint64_t dst, uint64_t src)
{
	test_bytes_clear(&b);
	test_push_data(&b, 46, (uint32_t)dst);
	test_push_type(&b, 0x0806);
	test_push_macs(&b, dst, src);
	return parse().hash;
}

static void
test_hash_not_ip(void **state)
{
	assert_int_equal(arp_hash(0x111111, 0x222222), arp_hash(0x222222, 0x111111));
	assert_int_not_equal(arp_hash(0x111111, 0x222222), arp_hash(0x111111, 0x333333));
}

/* Parses b's bytes as the inner frame behind `offset` others, in pieces. */
static struct ms_packet
parse_in_burst(const struct ms_packet *known, uint32_t offset, uint32_t piece)
{
	struct ms_packet p = *known;
	struct rte_mbuf *m;

	p.length = b.n;
	p.offset = offset;
	test_push_data(&b, offset, 3);
	m = test_chain(arena, test_bytes_at(&b), b.n, piece, NULL);
	ms_packet_parse_burst(&m, &p, 1);
	b.n -= offset;
	return p;
}

static const struct ms_packet nothing;

/* The burst finds the same in a frame of any pieces, down to a frame of no bytes. */
static void
test_burst_segments(void **state)
{
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		if (v6) {
			begin6();
		} else {
			begin4(SRC4, DST4);
			test_push_ether(&b, 0x0800);
		}
		for (uint32_t n = b.n; n > 0; n--) {
			struct ms_packet whole = parse();

			for (uint32_t piece = 1; piece <= 64; piece += 9) {
				struct ms_packet p = parse_in_burst(&nothing, 50, piece);

				assert_memory_equal(&p.key, &whole.key, sizeof(p.key));
				assert_int_equal(p.hash, whole.hash);
				assert_int_equal(p.original_length, whole.original_length);
			}
			b.n--; /* another first byte: other nonsense */
		}
	}
	for (uint32_t piece = 1; piece <= 51; piece++) {
		struct ms_packet p;

		test_bytes_clear(&b);
		p = parse_in_burst(&nothing, 50, piece);
		assert_int_equal(p.key.family, MS_FAMILY_NONE);
		assert_int_equal(p.key.has, 0);
		assert_int_equal(p.original_length, 0);
		assert_int_equal(p.direction, MS_DIRECTION_UNKNOWN);
	}
}

/* What has its fate is not looked at. */
static void
test_burst_fates(void **state)
{
	struct ms_packet before, after;

	memset(&before, 0x5a, sizeof(before));
	before.fate = MS_FATE_NOT_MIRROR;
	begin4(SRC4, DST4);
	test_push_ether(&b, 0x0800);
	before.offset = 0;
	before.length = b.n;
	after = parse_in_burst(&before, 0, b.n);
	assert_memory_equal(
		&after, &before, offsetof(struct ms_packet, mac_src) + sizeof(before.mac_src));
}

static enum ms_direction
direction_of(uint64_t eni_mac, uint8_t family, struct ms_ip source)
{
	struct ms_packet p = {.eni_mac = eni_mac, .source_family = family, .source = source};

	return parse_in_burst(&p, 50, 200).direction;
}

#define MAC_A 0x0600000000aaull
#define MAC_B 0x0600000000bbull

static void
test_direction(void **state)
{
	const struct ms_ip src = {.lo = SRC4}, dst = {.lo = DST4}, other = {.lo = 1};

	begin4(SRC4, DST4);
	test_push_type(&b, 0x0800);
	test_push_macs(&b, MAC_A, MAC_B);
	/* by MAC address, whatever the addresses say */
	assert_int_equal(direction_of(MAC_A, MS_FAMILY_V4, src), MS_DIRECTION_INGRESS);
	assert_int_equal(direction_of(MAC_B, MS_FAMILY_V4, dst), MS_DIRECTION_EGRESS);
	/* by address where the MAC address is not known, or is none of the two */
	assert_int_equal(direction_of(0, MS_FAMILY_V4, dst), MS_DIRECTION_INGRESS);
	assert_int_equal(direction_of(0, MS_FAMILY_V4, src), MS_DIRECTION_EGRESS);
	assert_int_equal(direction_of(0x99, MS_FAMILY_V4, dst), MS_DIRECTION_INGRESS);
	assert_int_equal(direction_of(0x99, MS_FAMILY_V4, other), MS_DIRECTION_UNKNOWN);
	assert_int_equal(direction_of(0, MS_FAMILY_V4, other), MS_DIRECTION_UNKNOWN);
	/* an address of the other family with the same bits is another one */
	assert_int_equal(direction_of(0, MS_FAMILY_V6, dst), MS_DIRECTION_UNKNOWN);

	/* both MAC addresses are the interface's: they tell nothing */
	begin4(SRC4, DST4);
	test_push_type(&b, 0x0800);
	test_push_macs(&b, MAC_A, MAC_A);
	assert_int_equal(direction_of(MAC_A, MS_FAMILY_V4, src), MS_DIRECTION_EGRESS);
	assert_int_equal(direction_of(MAC_A, MS_FAMILY_V4, other), MS_DIRECTION_UNKNOWN);

	/* both addresses are the interface's */
	begin4(SRC4, SRC4);
	test_push_ether(&b, 0x0800);
	assert_int_equal(direction_of(0, MS_FAMILY_V4, src), MS_DIRECTION_UNKNOWN);

	begin6();
	assert_int_equal(direction_of(0, MS_FAMILY_V6, dst6), MS_DIRECTION_INGRESS);
	assert_int_equal(direction_of(0, MS_FAMILY_V6, src6), MS_DIRECTION_EGRESS);
}

/* An address that was cut off is not 0.0.0.0. */
static void
test_direction_cut(void **state)
{
	const struct ms_ip zero = {0}, src = {.lo = SRC4};

	begin4(SRC4, DST4);
	test_push_ether(&b, 0x0800);
	memmove(b.room + TEST_ROOM - (14 + 16), test_bytes_at(&b), 14 + 16);
	b.n = 14 + 16; /* up to and with the source */
	assert_int_equal(direction_of(0, MS_FAMILY_V4, zero), MS_DIRECTION_UNKNOWN);
	assert_int_equal(direction_of(0, MS_FAMILY_V4, src), MS_DIRECTION_EGRESS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_symmetric),
		cmocka_unit_test(test_hash_spreads),
		cmocka_unit_test(test_hash_fragments),
		cmocka_unit_test(test_hash_not_ip),
		cmocka_unit_test(test_burst_segments),
		cmocka_unit_test(test_burst_fates),
		cmocka_unit_test(test_direction),
		cmocka_unit_test(test_direction_cut),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
