/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * decap: each way through the outer headers, and each way to fail, with the fate it has. Every
 * packet is taken apart whole, in pieces, and cut at every byte, before a page that cannot be
 * touched. decap_property_test.c has random ones.
 */
#include "decap/ms_decap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "decap/decap_internal.h"
#include "packet_fixture.h"

#define SRC4 0x0a000102u
#define DST4 0x0a0000ffu
#define VNI  0xabcdefu

static const struct ms_ip src4 = {.lo = SRC4};
static const struct ms_ip src6 = {0x20010db800000001, 0x1111222233334444};
static const struct ms_ip dst6 = {0xfd00000000000002, 0x5555666677778888};

/* Options as a GWLB endpoint sets them: class 0x0108, types 1, 2 and 3. */
static const uint8_t gwlb_options[] = {0x01, 0x08, 1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0x01, 0x08, 2, 2,
	1, 2, 3, 4, 5, 6, 7, 8, 0x01, 0x08, 3, 1, 1, 2, 3, 4};

static struct ms_decap decap;
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

static int
default_ports(void **state)
{
	decap.vxlan_port = RTE_BE16(MS_VXLAN_PORT);
	decap.geneve_port = RTE_BE16(MS_GENEVE_PORT);
	return 0;
}

/* The burst of the packet that b begins with; the general walk must say the same. */
static struct ms_packet
take_apart(uint32_t length, uint32_t piece)
{
	struct rte_mbuf *m = test_chain(arena, test_bytes_at(&b), length, piece, NULL);
	struct ms_packet p = {0}, walked = {0};

	ms_decap_burst(&decap, &m, 1, &p);
	walked.fate = decap_walk(&decap, m, &walked);
	assert_true(test_same_decap(&p, &walked));
	return p;
}

static void
assert_fate(enum ms_fate fate, enum ms_fate expected, uint32_t length, uint32_t piece)
{
	if (fate != expected)
		fail_msg("%u bytes in pieces of %u: %s, not %s", length, piece, ms_fate_name(fate),
			ms_fate_name(expected));
}

/* The whole packet is refused, in pieces of any size. */
static void
assert_refused(enum ms_fate expected)
{
	for (uint32_t piece = 1; piece < b.n + 16; piece += piece < 16 ? 1 : 16)
		assert_fate((enum ms_fate)take_apart(b.n, piece).fate, expected, b.n, piece);
}

struct expected {
	enum ms_tunnel tunnel;
	struct ms_ip source;
	uint8_t family;
	uint32_t offset;
	uint32_t length; /* of the inner frame in the whole packet */
	uint32_t vni;
};

static void
assert_found(const struct ms_packet *p, const struct expected *e, uint32_t length)
{
	assert_fate((enum ms_fate)p->fate, MS_FATE_NONE, length, 0);
	assert_int_equal(p->tunnel, e->tunnel);
	assert_true(ms_ip_equal(p->source, e->source));
	assert_int_equal(p->source_family, e->family);
	assert_int_equal(p->vni, e->vni);
	assert_int_equal(p->offset, e->offset);
	assert_int_equal(p->length, RTE_MIN(e->length, length - e->offset));
}

/*
 * The packet is found, whole and in pieces; and cut anywhere behind the first byte of its inner
 * frame. Cut before that it is truncated.
 */
static void
assert_accepted(const struct expected *e)
{
	struct ms_packet p;

	for (uint32_t piece = 1 + b.n / 1024; piece < b.n + 16; piece += piece < 16 ? 1 : 64) {
		p = take_apart(b.n, piece);
		assert_found(&p, e, b.n);
	}
	for (uint32_t n = 0; n < b.n; n += n < 512 ? 1 : 997) {
		p = take_apart(n, 0xffff);
		if (n > e->offset)
			assert_found(&p, e, n);
		else
			assert_fate((enum ms_fate)p.fate, MS_FATE_OUTER_TRUNCATED, n, 0xffff);
		p = take_apart(n, 7 + n / 1024);
		assert_true(
			n > e->offset ? p.fate == MS_FATE_NONE : p.fate == MS_FATE_OUTER_TRUNCATED);
	}
}

/* An inner frame in VXLAN. */
static void
begin_vxlan(uint32_t frame)
{
	test_bytes_clear(&b);
	test_push_data(&b, frame, 1);
	test_push_vxlan(&b, VNI);
}

static void
begin_udp(uint32_t frame)
{
	begin_vxlan(frame);
	test_push_udp(&b, 65408, MS_VXLAN_PORT);
}

/* A mirrored packet of the plain kind; returns its IPv4 header. */
static uint8_t *
plain(uint32_t frame)
{
	uint8_t *ip;

	begin_udp(frame);
	ip = test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0);
	test_push_ether(&b, 0x0800);
	return ip;
}

/* Of an IPv6 packet whose headers take so many bytes. */
static struct expected
found6(uint32_t headers, uint32_t frame)
{
	return (struct expected){
		MS_TUNNEL_VXLAN, src6, MS_FAMILY_V6, 14 + headers + 16, frame, VNI};
}

static void
test_ipv4(void **state)
{
	struct expected e = {MS_TUNNEL_VXLAN, src4, MS_FAMILY_V4, 50, 0, VNI};

	for (uint32_t frame = 1; frame < 200; frame += 13) {
		e.length = frame;
		plain(frame);
		assert_accepted(&e);
	}
	e.length = 9001;
	plain(9001);
	assert_accepted(&e);
}

/* Nothing of this is a reason to refuse a packet. */
static void
test_ipv4_indifferent(void **state)
{
	const struct expected e = {MS_TUNNEL_VXLAN, src4, MS_FAMILY_V4, 50, 60, VNI};
	uint8_t *ip = plain(60);

	ip[1] = 0xff;                             /* traffic class */
	test_put16(ip + 4, 0x1234);               /* ID */
	test_put16(ip + 6, 0xc000);               /* DF, the reserved bit */
	ip[8] = 1;                                /* TTL */
	test_put16(ip + 10, 0xbad);               /* header checksum */
	test_put16(ip + 26, 0xbad);               /* UDP checksum */
	ip[28] = 0xff;                            /* VXLAN flags beside I */
	ip[29] = ip[30] = ip[31] = ip[35] = 0xff; /* reserved */
	assert_accepted(&e);
}

static void
test_vlan(void **state)
{
	static const uint16_t types[] = {0x8100, 0x88a8, 0x9100};

	for (unsigned int i = 0; i < 9; i++) {
		struct expected e = {MS_TUNNEL_VXLAN, src4, MS_FAMILY_V4, 54, 60, VNI};

		begin_udp(60);
		test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0);
		test_push_type(&b, 0x0800);
		test_push_tag(&b, types[i % 3]);
		test_push_macs(&b, 1, 2);
		assert_accepted(&e);

		e = found6(48, 60);
		begin_udp(60);
		test_push_ipv6(&b, TEST_PROTO_UDP, src6, dst6);
		test_push_type(&b, 0x86dd);
		test_push_tag(&b, types[i % 3]);
		test_push_tag(&b, types[i / 3]);
		test_push_macs(&b, 1, 2);
		assert_accepted(&e);
	}
	begin_udp(60);
	test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0);
	test_push_type(&b, 0x0800);
	for (unsigned int i = 0; i < 3; i++)
		test_push_tag(&b, 0x8100);
	test_push_macs(&b, 1, 2);
	assert_refused(MS_FATE_NOT_MIRROR);
}

static void
test_ipv4_options(void **state)
{
	for (unsigned int words = 1; words <= 10; words++) {
		const struct expected e = {
			MS_TUNNEL_VXLAN, src4, MS_FAMILY_V4, 50 + words * 4, 60, VNI};

		begin_udp(60);
		test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, words);
		test_push_ether(&b, 0x0800);
		assert_accepted(&e);
	}
}

static void
test_ipv6(void **state)
{
	static const uint8_t types[] = {0, 43, 60, 135, 139, 140};
	struct expected e = found6(40, 60);

	begin_udp(60);
	test_push_ipv6(&b, TEST_PROTO_UDP, src6, dst6);
	test_push_ether(&b, 0x86dd);
	assert_accepted(&e);
	for (unsigned int i = 0; i < RTE_DIM(types); i++) {
		e = found6(40 + 8 * (1 + i), 60);
		begin_udp(60);
		test_push_extension(&b, TEST_PROTO_UDP, (uint8_t)i);
		test_push_ipv6(&b, types[i], src6, dst6);
		test_push_ether(&b, 0x86dd);
		assert_accepted(&e);
	}
	/* authentication, and an atomic fragment, behind others */
	e = found6(40 + 24 + 8 + 16, 60);
	begin_udp(60);
	test_push_ah(&b, TEST_PROTO_UDP, 4);
	test_push_fragment6(&b, 51, 0x0006);
	test_push_extension(&b, 44, 1);
	test_push_ipv6(&b, 0, src6, dst6);
	test_push_ether(&b, 0x86dd);
	assert_accepted(&e);
}

/* Behind options; the inner frame may be one byte. */
static void
test_geneve(void **state)
{
	struct expected e = {MS_TUNNEL_GENEVE, src4, MS_FAMILY_V4, 14 + 20 + 8 + 8, 1, VNI};

	for (unsigned int options = 0; options < 2; options++) {
		uint32_t n = options ? sizeof(gwlb_options) : 0;

		test_bytes_clear(&b);
		test_push_data(&b, e.length, 1);
		memcpy(test_push(&b, n), gwlb_options, n);
		test_push_geneve(&b, 0x6558, VNI, n);
		test_push_udp(&b, 60000, MS_GENEVE_PORT);
		test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0);
		test_push_ether(&b, 0x0800);
		assert_accepted(&e);
		e.offset += sizeof(gwlb_options);
		e.length = 77;
	}
}

/* Puts GENEVE around what b holds. */
static void
wrap_geneve(uint16_t protocol)
{
	memcpy(test_push(&b, sizeof(gwlb_options)), gwlb_options, sizeof(gwlb_options));
	test_push_geneve(&b, protocol, 5, sizeof(gwlb_options));
	test_push_udp(&b, 60000, MS_GENEVE_PORT);
	test_push_ipv4(&b, TEST_PROTO_UDP, 0x01010101, 0x02020202, 0);
	test_push_ether(&b, 0x0800);
}

#define GENEVE_BYTES (14 + 20 + 8 + 8 + (uint32_t)sizeof(gwlb_options))

/* Source and VNI are those of the packet that GENEVE carries. */
static void
test_geneve_vxlan(void **state)
{
	struct expected e = {
		MS_TUNNEL_GENEVE_VXLAN, src4, MS_FAMILY_V4, GENEVE_BYTES + 36, 80, VNI};

	begin_udp(80);
	test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0);
	wrap_geneve(0x0800);
	assert_accepted(&e);

	e.source = src6;
	e.family = MS_FAMILY_V6;
	e.offset += 20;
	begin_udp(80);
	test_push_ipv6(&b, TEST_PROTO_UDP, src6, dst6);
	wrap_geneve(0x86dd);
	assert_accepted(&e);
}

/* Ports may be others; then the usual ones are nothing special. */
static void
test_other_ports(void **state)
{
	const struct expected e = {MS_TUNNEL_VXLAN, src4, MS_FAMILY_V4, 50, 60, VNI};

	decap.vxlan_port = RTE_BE16(8472);
	decap.geneve_port = RTE_BE16(7777);
	plain(60);
	assert_refused(MS_FATE_NOT_MIRROR);
	begin_vxlan(60);
	test_push_udp(&b, 65408, 8472);
	test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0);
	test_push_ether(&b, 0x0800);
	assert_accepted(&e);

	/* inside of GENEVE only VXLAN counts */
	begin_vxlan(60);
	test_push_udp(&b, 65408, 8472);
	test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0);
	test_push_geneve(&b, 0x0800, 5, 0);
	test_push_udp(&b, 60000, 7777);
	test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0);
	test_push_geneve(&b, 0x0800, 5, 0);
	test_push_udp(&b, 60000, 7777);
	test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0);
	test_push_ether(&b, 0x0800);
	assert_refused(MS_FATE_NOT_MIRROR);
}

/* Ethernet padding behind the packet is no part of the frame. */
static void
test_padding(void **state)
{
	for (uint32_t frame = 0; frame < 10; frame++) {
		struct ms_packet p;

		test_bytes_clear(&b);
		test_push(&b, 64); /* padding */
		test_push_data(&b, frame, 1);
		memset(test_push_vxlan(&b, VNI) + 1, 0, 3);
		test_put16(test_push_udp(&b, 1, MS_VXLAN_PORT) + 4, (uint16_t)(16 + frame));
		test_put16(test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0) + 2,
			(uint16_t)(36 + frame));
		test_push_ether(&b, 0x0800);
		for (uint32_t piece = 1; piece <= b.n; piece++) {
			p = take_apart(b.n, piece);
			assert_int_equal(p.fate, MS_FATE_NONE);
			assert_int_equal(p.offset, 50);
			assert_int_equal(p.length, frame);
		}
	}
}

/* UDP may end before its IP packet does. */
static void
test_udp_shorter(void **state)
{
	struct ms_packet p;
	uint8_t *ip = plain(60);

	test_put16(ip + 24, 16 + 40);
	p = take_apart(b.n, 0xffff);
	assert_int_equal(p.fate, MS_FATE_NONE);
	assert_int_equal(p.length, 40);
}

/* An inner frame of no bytes: nothing is missing, and nothing is there. */
static void
test_empty_frame(void **state)
{
	plain(0);
	for (uint32_t piece = 1; piece <= b.n; piece++) {
		struct ms_packet p = take_apart(b.n, piece);

		assert_int_equal(p.fate, MS_FATE_NONE);
		assert_int_equal(p.offset, b.n);
		assert_int_equal(p.length, 0);
	}
	for (uint32_t n = 0; n < b.n; n++)
		assert_int_equal(take_apart(n, 0xffff).fate, MS_FATE_OUTER_TRUNCATED);
}

/* Lengths of 0, as in packets beyond 64 KiB: the packet ends where its bytes do. */
static void
test_open_lengths(void **state)
{
	struct expected e = {MS_TUNNEL_VXLAN, src4, MS_FAMILY_V4, 50, 60, VNI};
	uint8_t *ip = plain(60);
	struct ms_packet p;

	test_put16(ip + 24, 0);
	assert_accepted(&e);
	test_put16(ip + 2, 0);
	for (uint32_t n = 51; n <= b.n; n++) {
		p = take_apart(n, 0xffff);
		assert_int_equal(p.fate, MS_FATE_NONE);
		assert_int_equal(p.length, n - 50);
	}
	ip = plain(60);
	test_put16(ip + 2, 0);
	assert_accepted(&e);

	plain(70000);
	e.length = 70000;
	for (uint32_t piece = 1500; piece < 0xffff; piece += 5003) {
		p = take_apart(b.n, piece);
		assert_found(&p, &e, b.n);
	}
	begin_udp(70000);
	test_push_extension(&b, TEST_PROTO_UDP, 0);
	test_push_ipv6(&b, 0, src6, dst6);
	test_push_ether(&b, 0x86dd);
	e = found6(48, 70000);
	p = take_apart(b.n, 9000);
	assert_found(&p, &e, b.n);
}

/* More than a frame's fields can say. */
static void
test_too_long(void **state)
{
	struct ms_packet p;
	struct rte_mbuf *m;

	plain(60);
	m = test_chain(arena, test_bytes_at(&b), b.n, 0xffff, NULL);
	m->pkt_len = MS_LENGTH_MAX + 1;
	ms_decap_burst(&decap, &m, 1, &p);
	assert_int_equal(p.fate, MS_FATE_OUTER_MALFORMED);
}

static void
test_not_mirror(void **state)
{
	static const uint16_t types[] = {0x0806, 0x0801, 0x86de, 0};
	uint8_t *ip;

	for (unsigned int i = 0; i < RTE_DIM(types); i++) {
		test_put16(plain(60) - 2, types[i]);
		assert_refused(MS_FATE_NOT_MIRROR);
	}
	for (unsigned int proto = 0; proto < 256; proto++) {
		plain(60)[9] = (uint8_t)proto;
		if (proto != TEST_PROTO_UDP)
			assert_refused(MS_FATE_NOT_MIRROR);
	}
	ip = plain(60);
	test_put16(ip + 22, 4788);
	assert_refused(MS_FATE_NOT_MIRROR);
	test_put16(ip + 20, 4789); /* the source port does not count */
	assert_refused(MS_FATE_NOT_MIRROR);
	for (unsigned int next = 1; next < 256; next += 4) {
		begin_udp(60);
		test_push_extension(&b, (uint8_t)(next == 17 ? 6 : next), 0);
		test_push_ipv6(&b, 60, src6, dst6);
		test_push_ether(&b, 0x86dd);
		assert_refused(MS_FATE_NOT_MIRROR);
	}
	/* through GENEVE: what is no Ethernet, IPv4 or IPv6; no UDP; no VXLAN */
	begin_udp(60);
	wrap_geneve(0x0806);
	assert_refused(MS_FATE_NOT_MIRROR);
	begin_udp(60);
	test_push_ipv4(&b, TEST_PROTO_TCP, SRC4, DST4, 0);
	wrap_geneve(0x0800);
	assert_refused(MS_FATE_NOT_MIRROR);
	begin_vxlan(60);
	test_push_udp(&b, 1, MS_GENEVE_PORT);
	test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0);
	wrap_geneve(0x0800);
	assert_refused(MS_FATE_NOT_MIRROR);
}

static void
fragment4(uint16_t field, uint8_t proto, uint16_t port, enum ms_fate expected)
{
	uint8_t *ip = plain(60);

	test_put16(ip + 6, field);
	ip[9] = proto;
	test_put16(ip + 22, port);
	assert_refused(expected);
}

static void
fragment6(uint16_t field, uint8_t next, uint16_t port, enum ms_fate expected)
{
	begin_vxlan(60);
	test_push_udp(&b, 1, port);
	test_push_fragment6(&b, next, field);
	test_push_ipv6(&b, 44, src6, dst6);
	test_push_ether(&b, 0x86dd);
	assert_refused(expected);
}

/* The first fragment tells by its ports; a later one of UDP could be anything's. */
static void
test_fragments(void **state)
{
	fragment4(0x2000, TEST_PROTO_UDP, MS_VXLAN_PORT, MS_FATE_OUTER_FRAGMENT);
	fragment4(0x2000, TEST_PROTO_UDP, MS_GENEVE_PORT, MS_FATE_OUTER_FRAGMENT);
	fragment4(0x2000, TEST_PROTO_UDP, 53, MS_FATE_NOT_MIRROR);
	fragment4(0x2000, TEST_PROTO_TCP, MS_VXLAN_PORT, MS_FATE_NOT_MIRROR);
	fragment4(0x2001, TEST_PROTO_UDP, 53, MS_FATE_OUTER_FRAGMENT);
	fragment4(0x0001, TEST_PROTO_UDP, MS_VXLAN_PORT, MS_FATE_OUTER_FRAGMENT);
	fragment4(0x1fff, TEST_PROTO_UDP, 53, MS_FATE_OUTER_FRAGMENT);
	fragment4(0x0001, TEST_PROTO_ICMP, 0, MS_FATE_NOT_MIRROR);

	fragment6(0x0001, TEST_PROTO_UDP, MS_VXLAN_PORT, MS_FATE_OUTER_FRAGMENT);
	fragment6(0x0001, TEST_PROTO_UDP, 53, MS_FATE_NOT_MIRROR);
	fragment6(0x0001, TEST_PROTO_TCP, MS_VXLAN_PORT, MS_FATE_NOT_MIRROR);
	fragment6(0x0009, TEST_PROTO_UDP, 53, MS_FATE_OUTER_FRAGMENT);
	fragment6(0xfff8, TEST_PROTO_UDP, 53, MS_FATE_OUTER_FRAGMENT);
	fragment6(0x0008, TEST_PROTO_TCP, 53, MS_FATE_NOT_MIRROR);
	fragment6(0x0008, 60, 53, MS_FATE_NOT_MIRROR);

	begin_udp(60);
	test_put16(test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0) + 6, 0x2000);
	wrap_geneve(0x0800);
	assert_refused(MS_FATE_OUTER_FRAGMENT);
}

static void
test_ip_malformed(void **state)
{
	for (unsigned int version = 0; version < 16; version++) {
		uint8_t *ip = plain(60);

		ip[0] = (uint8_t)(version << 4 | 5);
		if (version != 4)
			assert_refused(MS_FATE_OUTER_MALFORMED);
		begin_udp(60);
		test_push_ipv6(&b, TEST_PROTO_UDP, src6, dst6)[0] = (uint8_t)(version << 4);
		test_push_ether(&b, 0x86dd);
		if (version != 6)
			assert_refused(MS_FATE_OUTER_MALFORMED);
	}
	for (uint8_t words = 0; words < 5; words++) {
		plain(60)[0] = 0x40 | words;
		assert_refused(MS_FATE_OUTER_MALFORMED);
	}
	for (uint16_t total = 1; total < 28; total++) { /* no room for IP, or for UDP */
		test_put16(plain(60) + 2, total);
		assert_refused(MS_FATE_OUTER_MALFORMED);
	}
	for (uint16_t payload = 1; payload < 16; payload++) { /* ..., for an extension, for UDP */
		begin_udp(60);
		test_push_extension(&b, TEST_PROTO_UDP, 0);
		test_put16(test_push_ipv6(&b, 60, src6, dst6) + 4, payload);
		test_push_ether(&b, 0x86dd);
		assert_refused(MS_FATE_OUTER_MALFORMED);
	}
	begin_udp(60);
	test_push_extension(&b, TEST_PROTO_UDP, 0)[1] = 20; /* beyond the payload */
	test_push_ipv6(&b, 60, src6, dst6);
	test_push_ether(&b, 0x86dd);
	assert_refused(MS_FATE_OUTER_MALFORMED);
}

static void
test_udp_malformed(void **state)
{
	for (uint16_t length = 1; length < 8; length++) {
		test_put16(plain(60) + 24, length);
		assert_refused(MS_FATE_OUTER_MALFORMED);
	}
	test_put16(plain(60) + 24, 8 + 8 + 60 + 1); /* beyond its IP packet */
	assert_refused(MS_FATE_OUTER_MALFORMED);
	test_put16(plain(60) + 24, 0xffff);
	assert_refused(MS_FATE_OUTER_MALFORMED);
}

/* Headers that lie further in than a parser looks. */
static void
test_too_deep(void **state)
{
	begin_udp(60);
	test_push_extension(&b, TEST_PROTO_UDP, 255);
	test_push_ipv6(&b, 60, src6, dst6);
	test_push_ether(&b, 0x86dd);
	assert_true(b.n > MS_PARSE_MAX);
	assert_refused(MS_FATE_OUTER_MALFORMED);
}

static void
test_vxlan_malformed(void **state)
{
	for (unsigned int flags = 0; flags < 256; flags++) {
		plain(60)[28] = (uint8_t)flags;
		if ((flags & 0x08) == 0)
			assert_refused(MS_FATE_VXLAN_MALFORMED);
		else
			assert_int_equal(take_apart(b.n, 13).fate, MS_FATE_NONE);
	}
	for (uint16_t length = 8; length < 16; length++) { /* a header cut short by its UDP */
		test_put16(plain(60) + 24, length);
		assert_refused(MS_FATE_VXLAN_MALFORMED);
	}
	begin_vxlan(60);
	test_bytes_at(&b)[0] = 0;
	test_push_udp(&b, 1, MS_VXLAN_PORT);
	test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0);
	wrap_geneve(0x0800);
	assert_refused(MS_FATE_VXLAN_MALFORMED);
}

/* A GENEVE packet with room for options; returns its GENEVE header. */
static uint8_t *
geneve(void)
{
	begin_udp(60);
	test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0);
	wrap_geneve(0x0800);
	return test_bytes_at(&b) + 14 + 20 + 8;
}

static void
test_geneve_malformed(void **state)
{
	uint8_t *g;

	for (uint8_t version = 1; version < 4; version++) {
		geneve()[0] |= (uint8_t)(version << 6);
		assert_refused(MS_FATE_GENEVE_MALFORMED);
	}
	for (uint16_t length = 8; length < 16 + sizeof(gwlb_options); length++) {
		g = geneve();
		test_put16(g - 4, length); /* the header, or its options, cut short by UDP */
		assert_refused(MS_FATE_GENEVE_MALFORMED);
	}
	geneve()[8 + 24 + 3] = 2; /* the last option runs out of its room */
	assert_refused(MS_FATE_GENEVE_MALFORMED);
	geneve()[0] = sizeof(gwlb_options) / 4 - 1; /* the room ends within an option */
	assert_refused(MS_FATE_GENEVE_MALFORMED);
	geneve()[0] = 0x3f; /* options beyond the packet */
	test_push(&b, 0);
	assert_refused(MS_FATE_GENEVE_MALFORMED);
	/* critical and control bits, other options: none of our business */
	g = geneve();
	g[1] = 0xff;
	g[8] = 0xee;
	assert_int_equal(take_apart(b.n, 11).fate, MS_FATE_NONE);
}

/* What GENEVE carries has no room for the headers that it says it has. */
static void
test_geneve_short(void **state)
{
	for (uint16_t room = 0; room < 28; room++) {
		test_put16(geneve() - 4, (uint16_t)(16 + sizeof(gwlb_options) + room));
		assert_refused(MS_FATE_OUTER_MALFORMED);
	}
	for (uint16_t room = 0; room < 40; room++) {
		begin_udp(60);
		test_push_ipv6(&b, TEST_PROTO_UDP, src6, dst6);
		wrap_geneve(0x86dd);
		test_put16(test_bytes_at(&b) + 14 + 20 + 4,
			(uint16_t)(16 + sizeof(gwlb_options) + room));
		assert_refused(MS_FATE_OUTER_MALFORMED);
	}
}

/* Each packet of a burst has its own result, in its own place. */
static void
test_burst(void **state)
{
	static struct test_arena *arenas[MS_BURST];
	struct ms_packet packets[MS_BURST];
	struct rte_mbuf *mbufs[MS_BURST];

	for (uint32_t i = 0; i < MS_BURST; i++) {
		uint8_t *ip = plain(10 + i);

		if (i % 3 == 1)
			test_put16(ip + 22, 53);
		if (i % 3 == 2)
			ip[28] = 0;
		arenas[i] = test_arena_create();
		mbufs[i] = test_chain(arenas[i], test_bytes_at(&b), b.n, 20 + i, NULL);
	}
	ms_decap_burst(&decap, mbufs, MS_BURST, packets);
	for (uint32_t i = 0; i < MS_BURST; i++) {
		assert_int_equal(packets[i].fate, i % 3 == 0   ? MS_FATE_NONE
						  : i % 3 == 1 ? MS_FATE_NOT_MIRROR
							       : MS_FATE_VXLAN_MALFORMED);
		if (i % 3 == 0)
			assert_int_equal(packets[i].length, 10 + i);
		test_arena_free(arenas[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_ipv4, default_ports),
		cmocka_unit_test_setup(test_ipv4_indifferent, default_ports),
		cmocka_unit_test_setup(test_vlan, default_ports),
		cmocka_unit_test_setup(test_ipv4_options, default_ports),
		cmocka_unit_test_setup(test_ipv6, default_ports),
		cmocka_unit_test_setup(test_geneve, default_ports),
		cmocka_unit_test_setup(test_geneve_vxlan, default_ports),
		cmocka_unit_test_setup(test_other_ports, default_ports),
		cmocka_unit_test_setup(test_padding, default_ports),
		cmocka_unit_test_setup(test_udp_shorter, default_ports),
		cmocka_unit_test_setup(test_empty_frame, default_ports),
		cmocka_unit_test_setup(test_open_lengths, default_ports),
		cmocka_unit_test_setup(test_too_long, default_ports),
		cmocka_unit_test_setup(test_not_mirror, default_ports),
		cmocka_unit_test_setup(test_fragments, default_ports),
		cmocka_unit_test_setup(test_ip_malformed, default_ports),
		cmocka_unit_test_setup(test_udp_malformed, default_ports),
		cmocka_unit_test_setup(test_too_deep, default_ports),
		cmocka_unit_test_setup(test_vxlan_malformed, default_ports),
		cmocka_unit_test_setup(test_geneve_malformed, default_ports),
		cmocka_unit_test_setup(test_geneve_short, default_ports),
		cmocka_unit_test_setup(test_burst, default_ports),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
