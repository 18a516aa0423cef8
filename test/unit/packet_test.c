/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * packet: what the parser of inner frames makes of whole, cut, padded, contradictory and segmented
 * frames. All bytes lie before a page that cannot be touched.
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

#define HAS_ADDRESSES (MS_HAS_PROTO | MS_HAS_SRC | MS_HAS_DST)
#define HAS_ALL       (HAS_ADDRESSES | MS_HAS_SPORT | MS_HAS_DPORT)

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

/* Parses the first `length` bytes of b. */
static struct ms_packet
parse_cut(uint32_t length)
{
	struct ms_packet p;

	memset(&p, 0xee, sizeof(p));
	ms_packet_parse(&p, test_guarded(arena, test_bytes_at(&b), length), length);
	return p;
}

static struct ms_packet
parse(void)
{
	return parse_cut(b.n);
}

static void
begin(uint32_t payload)
{
	test_bytes_clear(&b);
	test_push_data(&b, payload, 7);
}

static void
begin_udp4(void)
{
	begin(32);
	test_push_udp(&b, 1000, 53);
	test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0);
}

static void
begin_tcp6(void)
{
	begin(32);
	test_push_tcp(&b, 40000, 443);
}

static void
end_ipv6(uint8_t next)
{
	test_push_ipv6(&b, next, src6, dst6);
	test_push_ether(&b, 0x86dd);
}

static void
assert_v4(const struct ms_packet *p, uint8_t has, uint16_t sport, uint16_t dport)
{
	assert_int_equal(p->key.family, MS_FAMILY_V4);
	assert_int_equal(p->key.has, has);
	assert_int_equal(p->key.src.hi, 0);
	assert_int_equal(p->key.src.lo, (has & MS_HAS_SRC) != 0 ? SRC4 : 0);
	assert_int_equal(p->key.dst.hi, 0);
	assert_int_equal(p->key.dst.lo, (has & MS_HAS_DST) != 0 ? DST4 : 0);
	assert_int_equal(p->key.sport, sport);
	assert_int_equal(p->key.dport, dport);
}

static void
assert_v6(const struct ms_packet *p, uint8_t has, uint8_t proto, uint16_t sport, uint16_t dport)
{
	assert_int_equal(p->key.family, MS_FAMILY_V6);
	assert_int_equal(p->key.has, has);
	assert_true(ms_ip_equal(p->key.src, src6));
	assert_true(ms_ip_equal(p->key.dst, dst6));
	assert_int_equal(p->key.proto, proto);
	assert_int_equal(p->key.sport, sport);
	assert_int_equal(p->key.dport, dport);
}

static void
assert_no_ip(const struct ms_packet *p)
{
	static const struct ms_key empty;

	assert_memory_equal(&p->key, &empty, sizeof(empty));
}

/* Tags of each kind are stepped over; a third one hides what follows. */
static void
test_vlan(void **state)
{
	static const uint16_t types[] = {0x8100, 0x88a8, 0x9100};

	for (unsigned int tags = 0; tags <= 3; tags++) {
		for (unsigned int kind = 0; kind < RTE_DIM(types); kind++) {
			struct ms_packet p;

			begin_udp4();
			test_push_type(&b, 0x0800);
			for (unsigned int t = 0; t < tags; t++)
				test_push_tag(&b, types[(kind + t) % RTE_DIM(types)]);
			test_push_macs(&b, 0x0a0b0c0d0e0f, 0x010203040506);
			p = parse();
			assert_int_equal(p.mac_dst, 0x0a0b0c0d0e0f);
			assert_int_equal(p.mac_src, 0x010203040506);
			assert_int_equal(p.original_length, b.n);
			assert_int_equal(p.ether_type, tags <= 2 ? 0x0800 : types[kind]);
			if (tags <= 2)
				assert_v4(&p, HAS_ALL, 1000, 53);
			else
				assert_no_ip(&p);
		}
	}
}

static void
test_ipv4_options(void **state)
{
	for (unsigned int words = 0; words <= 10; words++) {
		struct ms_packet p;

		begin(20);
		test_push_tcp(&b, 5, 6);
		test_push_ipv4(&b, TEST_PROTO_TCP, SRC4, DST4, words);
		test_push_ether(&b, 0x0800);
		p = parse();
		assert_v4(&p, HAS_ALL, 5, 6);
		assert_int_equal(p.key.proto, TEST_PROTO_TCP);
		assert_false(p.key.fragment);
	}
}

/* A header that claims to be shorter than a header has addresses, and no place for ports. */
static void
test_ipv4_short_header(void **state)
{
	for (uint8_t words = 0; words < 5; words++) {
		struct ms_packet p;

		begin_udp4();
		test_bytes_at(&b)[0] = 0x40 | words;
		test_push_ether(&b, 0x0800);
		p = parse();
		assert_v4(&p, HAS_ADDRESSES, 0, 0);
	}
}

static void
test_wrong_version(void **state)
{
	for (unsigned int version = 0; version < 16; version++) {
		struct ms_packet p;

		begin_udp4();
		test_bytes_at(&b)[0] = (uint8_t)(version << 4 | 5);
		test_push_ether(&b, 0x0800);
		p = parse();
		assert_int_equal(p.key.family, version == 4 ? MS_FAMILY_V4 : MS_FAMILY_NONE);
		if (version != 4)
			assert_no_ip(&p);

		begin_tcp6();
		test_push_ipv6(&b, TEST_PROTO_TCP, src6, dst6)[0] = (uint8_t)(version << 4);
		test_push_ether(&b, 0x86dd);
		p = parse();
		if (version == 6)
			assert_v6(&p, HAS_ALL, TEST_PROTO_TCP, 40000, 443);
		else
			assert_no_ip(&p);
	}
}

static void
test_not_ip(void **state)
{
	static const uint16_t types[] = {0x0806, 0x0600, 0x05ff, 0x8847, 0xffff, 0};

	for (unsigned int i = 0; i < RTE_DIM(types); i++) {
		struct ms_packet p;

		begin_udp4();
		test_push_ether(&b, types[i]);
		p = parse();
		assert_no_ip(&p);
		assert_int_equal(p.original_length, b.n);
	}
}

static void
test_no_ports(void **state)
{
	for (unsigned int proto = 0; proto < 256; proto++) {
		bool ports = proto == TEST_PROTO_TCP || proto == TEST_PROTO_UDP;
		struct ms_packet p;

		begin(32);
		test_push_udp(&b, 1, 2);
		test_push_ipv4(&b, (uint8_t)proto, SRC4, DST4, 0);
		test_push_ether(&b, 0x0800);
		p = parse();
		assert_v4(&p, ports ? HAS_ALL : HAS_ADDRESSES, ports ? 1 : 0, ports ? 2 : 0);
		assert_int_equal(p.key.proto, proto);
	}
}

/* First, middle, last; reserved bit and DF are nothing of the kind. */
static void
test_ipv4_fragments(void **state)
{
	static const struct {
		uint16_t field;
		bool fragment;
		bool ports;
	} cases[] = {
		{0x0000, false, true},
		{0x4000, false, true},
		{0x8000, false, true},
		{0x2000, true, true},
		{0x2001, true, false},
		{0x0001, true, false},
		{0x1fff, true, false},
		{0x5000, true, false},
	};

	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		struct ms_packet p;

		begin_udp4();
		test_put16(test_bytes_at(&b) + 6, cases[i].field);
		test_push_ether(&b, 0x0800);
		p = parse();
		assert_int_equal(p.key.fragment, cases[i].fragment);
		assert_int_equal(p.key.proto, TEST_PROTO_UDP);
		if (cases[i].ports)
			assert_v4(&p, HAS_ALL, 1000, 53);
		else
			assert_v4(&p, HAS_ADDRESSES, 0, 0);
	}
}

static void
test_ipv6_extensions(void **state)
{
	static const uint8_t types[] = {0, 43, 60, 135, 139, 140};
	struct ms_packet p;

	for (unsigned int i = 0; i < RTE_DIM(types); i++) {
		for (unsigned int units = 0; units <= 200; units += 25) {
			begin_tcp6();
			test_push_extension(&b, TEST_PROTO_TCP, (uint8_t)units);
			end_ipv6(types[i]);
			p = parse();
			assert_v6(&p, HAS_ALL, TEST_PROTO_TCP, 40000, 443);
			assert_false(p.key.fragment);
		}
	}
	/* all of them, the authentication header too */
	begin_tcp6();
	test_push_ah(&b, TEST_PROTO_TCP, 4);
	for (unsigned int i = 0; i < RTE_DIM(types); i++)
		test_push_extension(&b, i == 0 ? 51 : types[i - 1], (uint8_t)i);
	end_ipv6(types[RTE_DIM(types) - 1]);
	p = parse();
	assert_v6(&p, HAS_ALL, TEST_PROTO_TCP, 40000, 443);
}

/* Counted in words of 4 bytes, unlike all others. */
static void
test_ipv6_ah(void **state)
{
	for (unsigned int units = 0; units < 256; units += 5) {
		struct ms_packet p;

		begin_tcp6();
		test_push_ah(&b, TEST_PROTO_TCP, (uint8_t)units);
		end_ipv6(51);
		p = parse();
		assert_v6(&p, HAS_ALL, TEST_PROTO_TCP, 40000, 443);
	}
}

static void
test_ipv6_fragments(void **state)
{
	struct ms_packet p;

	/* atomic: the whole packet; the reserved bits are no offset */
	begin_tcp6();
	test_push_fragment6(&b, TEST_PROTO_TCP, 0x0006);
	end_ipv6(44);
	p = parse();
	assert_v6(&p, HAS_ALL, TEST_PROTO_TCP, 40000, 443);
	assert_false(p.key.fragment);

	begin_tcp6();
	test_push_fragment6(&b, TEST_PROTO_TCP, 0x0001);
	end_ipv6(44);
	p = parse();
	assert_v6(&p, HAS_ALL, TEST_PROTO_TCP, 40000, 443);
	assert_true(p.key.fragment);

	/* behind another extension header */
	begin_tcp6();
	test_push_fragment6(&b, TEST_PROTO_TCP, 0x0008);
	test_push_extension(&b, 44, 1);
	end_ipv6(0);
	p = parse();
	assert_v6(&p, HAS_ADDRESSES, TEST_PROTO_TCP, 0, 0);
	assert_true(p.key.fragment);

	/* a later fragment begins in the middle of anything: no header is looked for in it */
	begin_tcp6();
	test_push_fragment6(&b, 60, 0xfff9);
	end_ipv6(44);
	p = parse();
	assert_v6(&p, HAS_ADDRESSES, 60, 0, 0);
	assert_true(p.key.fragment);
}

static void
test_ipv6_no_transport(void **state)
{
	static const uint8_t nexts[] = {59, 50, 58, 255};

	for (unsigned int i = 0; i < RTE_DIM(nexts); i++) {
		struct ms_packet p;

		begin_tcp6();
		end_ipv6(nexts[i]);
		p = parse();
		assert_v6(&p, HAS_ADDRESSES, nexts[i], 0, 0);
	}
}

/* A chain that goes on behind the end, of the frame, of the payload or of the parser's reach. */
static void
test_ipv6_chain_cut(void **state)
{
	struct ms_packet p;

	begin_tcp6();
	test_push_extension(&b, 60, 255)[0] = 60;
	end_ipv6(60);
	p = parse_cut(14 + 40 + 8);
	assert_v6(&p, HAS_ADDRESSES & ~MS_HAS_PROTO, 0, 0, 0);

	begin_tcp6();
	test_push_extension(&b, 60, 0);
	test_push_extension(&b, 60, 0);
	test_put16(test_push_ipv6(&b, 60, src6, dst6) + 4, 8 + 7);
	test_push_ether(&b, 0x86dd);
	p = parse();
	assert_v6(&p, HAS_ADDRESSES & ~MS_HAS_PROTO, 0, 0, 0);

	begin_tcp6();
	test_push_extension(&b, TEST_PROTO_TCP, 255);
	end_ipv6(60);
	p = parse();
	assert_int_equal(p.original_length, b.n);
	assert_v6(&p, HAS_ADDRESSES, TEST_PROTO_TCP, b.n <= MS_PARSE_MAX ? 40000 : 0,
		b.n <= MS_PARSE_MAX ? 443 : 0);
}

/* What Ethernet pads a short packet with is no port. */
static void
test_padding(void **state)
{
	struct ms_packet p;

	for (uint16_t total = 20; total <= 28; total++) {
		uint8_t has = HAS_ADDRESSES;

		has |= total >= 22 ? MS_HAS_SPORT : 0;
		has |= total >= 24 ? MS_HAS_DPORT : 0;
		begin_udp4();
		test_put16(test_bytes_at(&b) + 2, total);
		test_push_ether(&b, 0x0800);
		p = parse();
		assert_v4(&p, has, total >= 22 ? 1000 : 0, total >= 24 ? 53 : 0);
		assert_int_equal(p.original_length, b.n); /* padding was on the wire */
	}
	for (uint16_t payload = 1; payload <= 8; payload++) {
		begin_tcp6();
		test_put16(test_push_ipv6(&b, TEST_PROTO_TCP, src6, dst6) + 4, payload);
		test_push_ether(&b, 0x86dd);
		p = parse();
		assert_v6(&p,
			HAS_ADDRESSES | (payload >= 2 ? MS_HAS_SPORT : 0) |
				(payload >= 4 ? MS_HAS_DPORT : 0),
			TEST_PROTO_TCP, payload >= 2 ? 40000 : 0, payload >= 4 ? 443 : 0);
	}
}

/* Total length 0, payload length 0: as long as the frame. */
static void
test_open_length(void **state)
{
	struct ms_packet p;

	begin_udp4();
	test_put16(test_bytes_at(&b) + 2, 0);
	test_push_ether(&b, 0x0800);
	p = parse();
	assert_v4(&p, HAS_ALL, 1000, 53);
	assert_int_equal(p.original_length, b.n);

	begin_tcp6();
	test_put16(test_push_ipv6(&b, TEST_PROTO_TCP, src6, dst6) + 4, 0);
	test_push_ether(&b, 0x86dd);
	p = parse();
	assert_v6(&p, HAS_ALL, TEST_PROTO_TCP, 40000, 443);
	assert_int_equal(p.original_length, b.n);
}

/* The length on the wire is the header's where that is more than what is here. */
static void
test_original_length(void **state)
{
	struct ms_packet p;

	begin_udp4();
	test_put16(test_bytes_at(&b) + 2, 9000);
	test_push_type(&b, 0x0800);
	test_push_tag(&b, 0x8100);
	test_push_macs(&b, 1, 2);
	p = parse();
	assert_int_equal(p.original_length, 18 + 9000);

	begin_tcp6();
	test_put16(test_push_ipv6(&b, TEST_PROTO_TCP, src6, dst6) + 4, 65535);
	test_push_ether(&b, 0x86dd);
	p = parse();
	assert_int_equal(p.original_length, 14 + 40 + 65535);
}

static void
push_sample(unsigned int sample)
{
	begin(9);
	switch (sample) {
	case 0:
		test_push_udp(&b, 1000, 53);
		test_push_ipv4(&b, TEST_PROTO_UDP, SRC4, DST4, 0);
		test_push_ether(&b, 0x0800);
		break;
	case 1:
		test_push_tcp(&b, 1000, 53);
		test_push_ipv4(&b, TEST_PROTO_TCP, SRC4, DST4, 7);
		test_push_type(&b, 0x0800);
		test_push_tag(&b, 0x8100);
		test_push_tag(&b, 0x88a8);
		test_push_macs(&b, 0x020304050607, 0x0a0b0c0d0e0f);
		break;
	case 2:
		test_push_tcp(&b, 1000, 53);
		end_ipv6(TEST_PROTO_TCP);
		break;
	case 3:
		test_push_udp(&b, 1000, 53);
		test_push_ah(&b, TEST_PROTO_UDP, 4);
		test_push_fragment6(&b, 51, 0x0001);
		test_push_extension(&b, 44, 1);
		test_push_extension(&b, 60, 0);
		end_ipv6(0);
		break;
	default:
		test_push_udp(&b, 1000, 53);
		test_push_fragment6(&b, TEST_PROTO_UDP, 0x0010);
		end_ipv6(44);
		break;
	}
}
#define SAMPLES 5

/* Of a field that is there in a cut frame the whole frame says the same. */
static void
assert_within(const struct ms_packet *cut, const struct ms_packet *whole)
{
	static const struct ms_ip none;
	uint8_t has = cut->key.has;

	assert_int_equal(has & ~whole->key.has, 0);
	assert_int_equal(cut->key.proto, (has & MS_HAS_PROTO) != 0 ? whole->key.proto : 0);
	assert_int_equal(cut->key.sport, (has & MS_HAS_SPORT) != 0 ? whole->key.sport : 0);
	assert_int_equal(cut->key.dport, (has & MS_HAS_DPORT) != 0 ? whole->key.dport : 0);
	assert_true(ms_ip_equal(cut->key.src, (has & MS_HAS_SRC) != 0 ? whole->key.src : none));
	assert_true(ms_ip_equal(cut->key.dst, (has & MS_HAS_DST) != 0 ? whole->key.dst : none));
	assert_true(cut->key.family == whole->key.family || cut->key.family == MS_FAMILY_NONE);
}

/* A frame cut at each byte: nothing beyond is read, and each byte more can only tell more. */
static void
test_cut(void **state)
{
	for (unsigned int sample = 0; sample < SAMPLES; sample++) {
		struct ms_packet whole, last;

		push_sample(sample);
		whole = parse();
		assert_true((whole.key.has & HAS_ADDRESSES) == HAS_ADDRESSES);
		assert_int_equal(whole.original_length, b.n);
		last = parse_cut(0);
		assert_no_ip(&last);
		assert_int_equal(last.original_length, 0);
		for (uint32_t n = 1; n <= b.n; n++) {
			struct ms_packet p = parse_cut(n);

			assert_within(&last, &p);
			assert_within(&p, &whole);
			assert_int_equal(p.mac_dst, n >= 6 ? whole.mac_dst : 0);
			assert_int_equal(p.mac_src, n >= 12 ? whole.mac_src : 0);
			assert_true(p.ether_type == 0 || p.ether_type == whole.ether_type);
			assert_true(p.original_length == n || p.original_length == b.n);
			assert_true(p.original_length >= last.original_length);
			last = p;
		}
		assert_memory_equal(&last.key, &whole.key, sizeof(whole.key));
		assert_int_equal(last.hash, whole.hash);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vlan),
		cmocka_unit_test(test_ipv4_options),
		cmocka_unit_test(test_ipv4_short_header),
		cmocka_unit_test(test_wrong_version),
		cmocka_unit_test(test_not_ip),
		cmocka_unit_test(test_no_ports),
		cmocka_unit_test(test_ipv4_fragments),
		cmocka_unit_test(test_ipv6_extensions),
		cmocka_unit_test(test_ipv6_ah),
		cmocka_unit_test(test_ipv6_fragments),
		cmocka_unit_test(test_ipv6_no_transport),
		cmocka_unit_test(test_ipv6_chain_cut),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_open_length),
		cmocka_unit_test(test_original_length),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
