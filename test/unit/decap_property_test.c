/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random packets, most of them nearly right, against what must hold for any packet: the same bytes
 * have the same result in one segment, in any segments and in segments of one byte; the burst, with
 * its short cut, agrees with the general walk; what is found lies within the packet; and of VXLAN
 * over IPv4 a second decoder, which shares nothing with the first, says the same.
 *
 *	decap_property_test [SEED [PACKETS]]
 */
#include "decap/ms_decap.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decap/decap_internal.h"
#include "packet_fixture.h"

#define PACKETS 1000000u

static const struct ms_decap decap = {
	.vxlan_port = RTE_BE16(MS_VXLAN_PORT), .geneve_port = RTE_BE16(MS_GENEVE_PORT)};

struct world {
	struct test_random random;
	struct test_arena *whole;
	struct test_arena *split;
	struct test_bytes b;
	uint64_t seed;
	uint32_t number; /* of the packet in hand */
	uint64_t fates[MS_FATE_COUNT];
	uint64_t tunnels[MS_TUNNEL_GENEVE_VXLAN + 1];
};

static void
fail(struct world *w, const char *what)
{
	const uint8_t *bytes = test_bytes_at(&w->b);

	fprintf(stderr, "packet %u of seed %" PRIu64 ": %s\n", w->number, w->seed, what);
	for (uint32_t i = 0; i < w->b.n; i++)
		fprintf(stderr, "%02x%s", bytes[i], i % 16 == 15 ? "\n" : " ");
	fprintf(stderr, "\n");
	exit(1);
}

static bool
one_in(struct world *w, uint32_t n)
{
	return test_below(&w->random, n) == 0;
}

/* IPv4 or IPv6 with any extensions in front of b; returns its EtherType. */
static uint16_t
push_ip(struct world *w, uint8_t proto)
{
	static const uint8_t extensions[] = {0, 43, 60, 135, 139, 140};
	const struct ms_ip src = {test_random(&w->random), test_random(&w->random)};

	if (test_below(&w->random, 10) < 7) {
		unsigned int options = one_in(w, 4) ? test_below(&w->random, 11) : 0;
		uint8_t *ip = test_push_ipv4(&w->b, proto, (uint32_t)src.lo, 0x0a000001, options);

		if (one_in(w, 20))
			test_put16(ip + 6, (uint16_t)test_random(&w->random));
		if (one_in(w, 20))
			test_put16(ip + 2, 0);
		return 0x0800;
	}
	while (one_in(w, 2)) {
		if (one_in(w, 4)) {
			test_push_fragment6(
				&w->b, proto, one_in(w, 2) ? 6 : test_random(&w->random));
			proto = 44;
		} else if (one_in(w, 4)) {
			test_push_ah(&w->b, proto, (uint8_t)test_below(&w->random, 8));
			proto = 51;
		} else {
			test_push_extension(&w->b, proto, (uint8_t)test_below(&w->random, 4));
			proto = extensions[test_below(&w->random, RTE_DIM(extensions))];
		}
	}
	test_push_ipv6(&w->b, proto, src, (struct ms_ip){1, 2});
	return 0x86dd;
}

static void
push_ether(struct world *w, uint16_t type)
{
	static const uint16_t tags[] = {0x8100, 0x88a8, 0x9100};

	test_push_type(&w->b, type);
	while (one_in(w, 4))
		test_push_tag(&w->b, tags[test_below(&w->random, RTE_DIM(tags))]);
	test_push_macs(&w->b, 1, 2);
}

static void
push_options(struct world *w, uint32_t *bytes)
{
	*bytes = 0;
	while (*bytes < 100 && one_in(w, 2)) {
		uint32_t words = test_below(&w->random, 4);

		test_push_data(&w->b, 4 + words * 4, (uint32_t)test_random(&w->random))[3] =
			(uint8_t)words;
		*bytes += 4 + words * 4;
	}
}

static void
push_udp(struct world *w, uint16_t port)
{
	uint8_t *udp = test_push_udp(&w->b, (uint16_t)test_random(&w->random),
		one_in(w, 30) ? (uint16_t)test_random(&w->random) : port);

	if (one_in(w, 20))
		test_put16(udp + 4, one_in(w, 2) ? 0 : (uint16_t)test_below(&w->random, 100));
}

/* A mirrored packet as it should be, but for small accidents of each layer. */
static void
make_packet(struct world *w)
{
	bool geneve = one_in(w, 4), ethernet = geneve && one_in(w, 2);
	uint16_t type = 0x6558;
	uint32_t options;

	test_bytes_clear(&w->b);
	test_push_data(&w->b, test_below(&w->random, 100), w->number);
	if (!ethernet) {
		test_push_vxlan(&w->b, (uint32_t)test_random(&w->random) & 0xffffff);
		push_udp(w, MS_VXLAN_PORT);
		type = push_ip(w, one_in(w, 40) ? TEST_PROTO_TCP : TEST_PROTO_UDP);
	}
	if (geneve) {
		push_options(w, &options);
		test_push_geneve(
			&w->b, type, (uint32_t)test_random(&w->random) & 0xffffff, options);
		push_udp(w, MS_GENEVE_PORT);
		type = push_ip(w, TEST_PROTO_UDP);
	}
	push_ether(w, type);
}

/* Changes bytes, most of them in the headers. */
static void
mutate(struct world *w)
{
	static const uint8_t edges[] = {0, 1, 4, 5, 7, 8, 15, 16, 17, 44, 51, 60, 0x45, 0x60, 0xff};
	uint8_t *bytes = test_bytes_at(&w->b);

	for (uint32_t i = 1 + test_below(&w->random, 4); i > 0; i--) {
		uint32_t at = test_below(&w->random, w->b.n);

		if (one_in(w, 2))
			bytes[at] = edges[test_below(&w->random, RTE_DIM(edges))];
		else
			bytes[at] ^= (uint8_t)(1u << test_below(&w->random, 8));
	}
}

/* Cuts or pads. */
static void
resize(struct world *w)
{
	static uint8_t copy[TEST_ROOM];
	uint32_t n = w->b.n;

	memcpy(copy, test_bytes_at(&w->b), n);
	if (one_in(w, 2))
		w->b.n = test_below(&w->random, n + 1);
	else
		w->b.n = n + test_below(&w->random, 64);
	memset(test_bytes_at(&w->b), 0, w->b.n);
	memcpy(test_bytes_at(&w->b), copy, RTE_MIN(n, w->b.n));
}

/*
 * VXLAN over IPv4, told by arithmetic on whole numbers of bytes: whether the packet holds an inner
 * frame, and where. Lengths that are 0 say nothing; there the bytes decide.
 */
static bool
reference(const uint8_t *bytes, uint32_t n, struct ms_packet *found)
{
	uint32_t fields[8], ip = 12, udp, ip_bytes, udp_bytes, frame;

	for (int tags = 0; tags < 2 && ip + 2 <= n; tags++, ip += 4) {
		uint32_t type = bytes[ip] * 256u + bytes[ip + 1];

		if (type != 33024 && type != 34984 && type != 37120)
			break;
	}
	ip += 2;
	if (ip + 20 > n || bytes[ip - 2] != 8 || bytes[ip - 1] != 0)
		return false;
	udp = ip + bytes[ip] % 16 * 4;
	if (bytes[ip] / 16 != 4 || udp < ip + 20 || bytes[ip + 9] != 17)
		return false;
	if (bytes[ip + 6] % 64 != 0 || bytes[ip + 7] != 0) /* more fragments, or an offset */
		return false;
	if (udp + 16 > n)
		return false;
	for (uint32_t i = 0; i < 8; i++)
		fields[i] = bytes[udp + 2 * i] * 256u + bytes[udp + 2 * i + 1];
	ip_bytes = bytes[ip + 2] * 256u + bytes[ip + 3];
	udp_bytes = fields[2];
	if (fields[1] != 4789 || (fields[4] & 0x0800) == 0)
		return false;
	if (ip_bytes != 0 && (ip_bytes < udp - ip + 16 || udp - ip + udp_bytes > ip_bytes))
		return false;
	if (udp_bytes != 0 && udp_bytes < 16)
		return false;
	if (udp_bytes != 0)
		frame = udp_bytes - 16;
	else if (ip_bytes != 0)
		frame = ip_bytes - (udp - ip) - 16;
	else
		frame = n - udp - 16;
	if (frame > 0 && udp + 16 == n)
		return false; /* cut before its first byte */
	found->source =
		(struct ms_ip){0, bytes[ip + 12] * UINT64_C(16777216) + bytes[ip + 13] * 65536u +
					  bytes[ip + 14] * 256u + bytes[ip + 15]};
	found->vni = fields[6] * 256 + fields[7] / 256;
	found->offset = udp + 16;
	found->length = frame < n - udp - 16 ? frame : n - udp - 16;
	found->tunnel = MS_TUNNEL_VXLAN;
	found->source_family = MS_FAMILY_V4;
	found->fate = MS_FATE_NONE;
	return true;
}

static struct ms_packet
take_apart(struct test_arena *arena, struct world *w, uint32_t piece)
{
	struct rte_mbuf *m = test_chain(arena, test_bytes_at(&w->b), w->b.n, piece, &w->random);
	struct ms_packet p, walked;

	memset(&p, 0, sizeof(p));
	memset(&walked, 0, sizeof(walked));
	ms_decap_burst(&decap, &m, 1, &p);
	walked.fate = decap_walk(&decap, m, &walked);
	if (p.fate >= MS_FATE_SESSION_UNKNOWN)
		fail(w, "a fate that is not decap's to give");
	if (!test_same_decap(&p, &walked))
		fail(w, "burst and walk disagree");
	if (p.fate == MS_FATE_NONE && (p.offset > m->pkt_len || p.length > m->pkt_len - p.offset))
		fail(w, "the inner frame is not within the packet");
	return p;
}

static void
judge(struct world *w)
{
	struct ms_packet p = take_apart(w->whole, w, 0xffff), other, expected;
	bool valid;

	other = take_apart(w->split, w, 0);
	if (!test_same_decap(&p, &other))
		fail(w, "in segments it is another packet");
	other = take_apart(w->split, w, 1);
	if (!test_same_decap(&p, &other))
		fail(w, "in segments of a byte it is another packet");
	memset(&expected, 0, sizeof(expected));
	valid = reference(test_bytes_at(&w->b), w->b.n, &expected);
	if (valid && !test_same_decap(&p, &expected))
		fail(w, "the reference finds another frame");
	if (!valid && p.fate == MS_FATE_NONE && p.tunnel == MS_TUNNEL_VXLAN &&
		p.source_family == MS_FAMILY_V4)
		fail(w, "the reference finds no frame");
	w->fates[p.fate]++;
	if (p.fate == MS_FATE_NONE)
		w->tunnels[p.tunnel]++;
}

int
main(int argc, char **argv)
{
	static struct world w;
	uint32_t packets = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : PACKETS;

	w.seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20200107;
	printf("seed %" PRIu64 "\n", w.seed);
	w.random.state = w.seed | 1;
	w.whole = test_arena_create();
	w.split = test_arena_create();
	for (w.number = 0; w.number < packets; w.number++) {
		make_packet(&w);
		if (one_in(&w, 2))
			mutate(&w);
		if (one_in(&w, 8))
			resize(&w);
		judge(&w);
	}
	for (unsigned int fate = MS_FATE_NONE; fate < MS_FATE_SESSION_UNKNOWN; fate++) {
		printf("%-20s %" PRIu64 "\n", ms_fate_name(fate), w.fates[fate]);
		/* the one that comes after decap */
		if (packets >= PACKETS && w.fates[fate] == 0 && fate != MS_FATE_REASSEMBLED)
			fail(&w, "no packet had that fate");
	}
	for (unsigned int tunnel = MS_TUNNEL_VXLAN; tunnel < RTE_DIM(w.tunnels); tunnel++) {
		if (packets >= PACKETS && w.tunnels[tunnel] == 0)
			fail(&w, "no packet had one of the tunnels");
	}
	test_arena_free(w.whole);
	test_arena_free(w.split);
	return 0;
}
