/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * encap: headers byte for byte against what RFC 791, 768, 8200 and 7348 say, with checksums judged
 * by a sum of its own; lengths, cuts and source ports over frames of one and of many segments.
 */
#include "encap/ms_encap.h"

#include <rte_eal.h>
#include <rte_mbuf.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEGMENT_ROOM 2048
#define FRAME_MAX    (256 * 1024)

static struct rte_mempool *pool;

static const struct ms_encap_options v4 = {
	.source_mac = {{0x02, 0, 0, 0, 0, 0x11}},
	.target_mac = {{0x02, 0, 0, 0, 0, 0x22}},
	.source = {.lo = 0x0a000102},
	.target = {.lo = 0xc0a8fffe},
	.family = MS_FAMILY_V4,
	.port = 4789,
	.vni = 0xabcdef,
};

static const struct ms_encap_options v6 = {
	.source_mac = {{0x02, 0, 0, 0, 0, 0x11}},
	.target_mac = {{0x02, 0, 0, 0, 0, 0x22}},
	.source = {0x20010db800000001, 0x0000000000000002},
	.target = {0xfd00000000000003, 0xffffffffffffffff},
	.family = MS_FAMILY_V6,
	.port = 4790,
	.vni = 1,
};

static int
setup(void **state)
{
	char *argv[] = {"encap_test", "--no-huge", "--no-shconf", "--no-pci", "-m", "64",
		"--no-telemetry", "--log-level=error", "--lcores=0@0", NULL};

	if (rte_eal_init(RTE_DIM(argv) - 1, argv) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create(
		"test", 1024, 0, 0, SEGMENT_ROOM + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	return pool == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	/* Each test has freed what it took. */
	int ret = rte_mempool_in_use_count(pool) == 0 ? 0 : -1;

	rte_mempool_free(pool);
	rte_eal_cleanup();
	return ret;
}

/* An mbuf with these bytes, at most `piece` of them in a segment. */
static struct rte_mbuf *
make_mbuf(const uint8_t *bytes, uint32_t n, uint16_t piece)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool);
	struct rte_mbuf *last = head;

	for (;;) {
		uint16_t here = (uint16_t)RTE_MIN(n, (uint32_t)piece);

		assert_non_null(last);
		memcpy(rte_pktmbuf_append(last, here), bytes, here);
		if (last != head)
			assert_int_equal(rte_pktmbuf_chain(head, last), 0);
		bytes += here;
		n -= here;
		if (n == 0)
			return head;
		last = rte_pktmbuf_alloc(pool);
	}
}

/* Wraps bytes and copies the result to `out`; returns its length. Checks the chain as it goes. */
static uint32_t
wrap(const struct ms_encap_options *options, const uint8_t *bytes, uint32_t n, uint16_t piece,
	uint8_t *out)
{
	struct rte_mbuf *m = make_mbuf(bytes, n, piece);
	struct ms_encap encap;
	uint32_t length = 0;
	uint16_t segments = 0;

	assert_int_equal(ms_encap_init(&encap, options), 0);
	assert_int_equal(ms_encap_bytes(&encap, n),
		encap.length +
			(options->packet_length != 0 ? RTE_MIN(n, options->packet_length) : n));
	ms_encap_burst(&encap, &m, 1);
	for (const struct rte_mbuf *s = m; s != NULL; s = s->next, segments++) {
		memcpy(out + length, rte_pktmbuf_mtod(s, const uint8_t *), s->data_len);
		length += s->data_len;
	}
	assert_int_equal(m->pkt_len, length);
	assert_int_equal(m->pkt_len, ms_encap_bytes(&encap, n));
	assert_int_equal(m->nb_segs, segments);
	rte_pktmbuf_free(m);
	return length;
}

static uint32_t
be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/* RFC 1071, a word at a time: 0xffff over a header with a right checksum. */
static uint32_t
ones_sum(const uint8_t *p, uint32_t n)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < n; i += 2) {
		sum += be16(p + i);
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return sum;
}

static void
fill(uint8_t *bytes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)((i + 7) * 2654435761u >> 24);
}

/* Ethernet, IPv4, UDP, and a little payload: 46 bytes. */
struct flow {
	uint8_t bytes[46];
};

static struct flow
make_flow(uint32_t source, uint32_t target, uint16_t sport, uint16_t dport, uint8_t proto)
{
	/* clang-format off */
	return (struct flow){{
		0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0x00,    /* Ethernet */
		0x45, 0, 0, 32, 0, 0, 0, 0, 64, proto, 0, 0,             /* IPv4 */
		source >> 24, source >> 16, source >> 8, source,
		target >> 24, target >> 16, target >> 8, target,
		sport >> 8, sport, dport >> 8, dport, 0, 12, 0, 0, 1, 2, /* UDP */
	}};
	/* clang-format on */
}

static void
test_v4_exact(void **state)
{
	const uint8_t frame[] = {0xde, 0xad, 0xbe, 0xef};
	/* clang-format off */
	const uint8_t expected[] = {
		0x02, 0, 0, 0, 0, 0x22, 0x02, 0, 0, 0, 0, 0x11, 0x08, 0x00, /* Ethernet */
		0x45, 0x00, 0, 40, 0, 0, 0x00, 0x00, 255, 17, 0, 0,         /* IPv4 */
		10, 0, 1, 2, 192, 168, 255, 254,                            /* addresses */
		0, 0, 0x12, 0xb5, 0, 20, 0, 0,                              /* UDP */
		0x08, 0, 0, 0, 0xab, 0xcd, 0xef, 0,                         /* VXLAN */
		0xde, 0xad, 0xbe, 0xef,
	};
	/* clang-format on */
	uint8_t out[128];

	assert_int_equal(wrap(&v4, frame, sizeof(frame), SEGMENT_ROOM, out), sizeof(expected));
	assert_int_equal(ones_sum(out + 14, 20), 0xffff);
	assert_int_equal(be16(out + 34) & ~0x7fu, 0xff80);
	/* What was judged above apart; the rest is exact. */
	memset(out + 24, 0, 2);
	memset(out + 34, 0, 2);
	assert_memory_equal(out, expected, sizeof(expected));
}

static void
test_v6_exact(void **state)
{
	const uint8_t frame[] = {0xde, 0xad, 0xbe};
	/* clang-format off */
	const uint8_t expected[] = {
		0x02, 0, 0, 0, 0, 0x22, 0x02, 0, 0, 0, 0, 0x11, 0x86, 0xdd,        /* Ethernet */
		0x60, 0, 0, 0, 0, 19, 17, 255,                                     /* IPv6 */
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2,        /* from */
		0xfd, 0, 0, 0, 0, 0, 0, 3, 255, 255, 255, 255, 255, 255, 255, 255, /* to */
		0, 0, 0x12, 0xb6, 0, 19, 0, 0,                                     /* UDP */
		0x08, 0, 0, 0, 0, 0, 1, 0,                                         /* VXLAN */
		0xde, 0xad, 0xbe,
	};
	/* clang-format on */
	uint8_t out[128];

	assert_int_equal(wrap(&v6, frame, sizeof(frame), SEGMENT_ROOM, out), sizeof(expected));
	assert_int_equal(be16(out + 54) & ~0x7fu, 0xff80);
	memset(out + 54, 0, 2);
	assert_memory_equal(out, expected, sizeof(expected));
}

static void
test_refused(void **state)
{
	struct ms_encap_options options = v4;
	struct ms_encap encap;

	options.vni = 0x1000000;
	assert_int_equal(ms_encap_init(&encap, &options), -EINVAL);
	options = v4;
	options.family = MS_FAMILY_NONE;
	assert_int_equal(ms_encap_init(&encap, &options), -EINVAL);
}

/* Lengths in the headers, checksum, and the frame's bytes, for one length. */
static void
check_length(const uint8_t *frame, uint32_t n, uint16_t piece, uint8_t *out)
{
	uint32_t total = n + 36;
	bool fits = total <= 65535;

	assert_int_equal(wrap(&v4, frame, n, piece, out), n + 50);
	assert_int_equal(be16(out + 16), fits ? total : 0);
	assert_int_equal(be16(out + 38), fits ? total - 20 : 0);
	assert_int_equal(ones_sum(out + 14, 20), 0xffff);
	assert_memory_equal(out + 50, frame, n);

	fits = n + 16 <= 65535;
	assert_int_equal(wrap(&v6, frame, n, piece, out), n + 70);
	assert_int_equal(be16(out + 18), fits ? n + 16 : 0);
	assert_int_equal(be16(out + 58), fits ? n + 16 : 0);
	assert_memory_equal(out + 70, frame, n);
}

static void
test_lengths(void **state)
{
	static const uint32_t lengths[] = {0, 1, 13, 14, 59, 60, 1500, 2047, 2048, 2049, 9001,
		65498, 65499, 65500, 65519, 65520, 65535, 65536, 80000, FRAME_MAX};
	uint8_t *frame = malloc(FRAME_MAX);
	uint8_t *out = malloc(FRAME_MAX + MS_ENCAP_V6_BYTES);

	assert_non_null(frame);
	assert_non_null(out);
	fill(frame, FRAME_MAX);
	for (unsigned int i = 0; i < RTE_DIM(lengths); i++) {
		check_length(frame, lengths[i], SEGMENT_ROOM, out);
		if (lengths[i] < 65536)
			check_length(frame, lengths[i], 97, out);
	}
	/* All lengths in which a carry of the checksum can go wrong. */
	for (uint32_t n = 0; n < 2048; n++)
		check_length(frame, n, SEGMENT_ROOM, out);
	free(frame);
	free(out);
}

/* A cut at each byte, over the borders of segments too; the port is that of the whole frame. */
static void
test_packet_length(void **state)
{
	struct flow flow = make_flow(0x0a000001, 0x0a000002, 1000, 53, 17);
	struct ms_encap_options options = v4;
	uint8_t whole[256], out[256];

	for (unsigned int piece = 1; piece <= sizeof(flow.bytes); piece += 5) {
		assert_int_equal(
			wrap(&v4, flow.bytes, sizeof(flow.bytes), (uint16_t)piece, whole), 96);
		for (uint32_t keep = 1; keep <= sizeof(flow.bytes) + 1; keep++) {
			uint32_t kept = RTE_MIN(keep, (uint32_t)sizeof(flow.bytes));

			options.packet_length = keep;
			assert_int_equal(wrap(&options, flow.bytes, sizeof(flow.bytes),
						 (uint16_t)piece, out),
				50 + kept);
			assert_int_equal(be16(out + 16), 36 + kept);
			assert_int_equal(ones_sum(out + 14, 20), 0xffff);
			assert_int_equal(be16(out + 34), be16(whole + 34));
			assert_memory_equal(out + 50, flow.bytes, kept);
		}
	}
}

static uint32_t
source_port(struct flow flow)
{
	uint8_t out[128];

	wrap(&v4, flow.bytes, sizeof(flow.bytes), SEGMENT_ROOM, out);
	return be16(out + 34);
}

/* In the range that AWS uses, all of it used, and equal for both directions of a flow. */
static void
test_source_ports(void **state)
{
	static const uint8_t protocols[] = {1, 6, 17, 47};
	bool seen[128] = {false};
	unsigned int used = 0;

	for (uint32_t i = 0; i < 4096; i++) {
		uint32_t a = 0x0a000000 + i * 2654435761u % 65536;
		uint32_t b = 0xc0000200 + i % 7;
		uint16_t x = (uint16_t)(32768 + i);
		uint8_t proto = protocols[i % RTE_DIM(protocols)];
		uint32_t port = source_port(make_flow(a, b, x, 443, proto));

		assert_in_range(port, 0xff80, 0xffff);
		assert_int_equal(port, source_port(make_flow(b, a, 443, x, proto)));
		used += !seen[port & 0x7f];
		seen[port & 0x7f] = true;
	}
	assert_int_equal(used, 128);
}

/* A whole burst gets what its packets get alone, in order. */
static void
test_burst(void **state)
{
	struct rte_mbuf *pkts[MS_BURST];
	struct ms_encap encap;
	uint8_t frame[1024], alone[1200];

	fill(frame, sizeof(frame));
	assert_int_equal(ms_encap_init(&encap, &v4), 0);
	for (uint16_t i = 0; i < MS_BURST; i++)
		pkts[i] = make_mbuf(frame + i, i * 13u, SEGMENT_ROOM);
	ms_encap_burst(&encap, pkts, MS_BURST);
	for (uint16_t i = 0; i < MS_BURST; i++) {
		uint32_t n = wrap(&v4, frame + i, i * 13u, SEGMENT_ROOM, alone);

		assert_int_equal(pkts[i]->pkt_len, n);
		assert_memory_equal(rte_pktmbuf_mtod(pkts[i], const uint8_t *), alone, n);
	}
	rte_pktmbuf_free_bulk(pkts, MS_BURST);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v4_exact),
		cmocka_unit_test(test_v6_exact),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_packet_length),
		cmocka_unit_test(test_source_ports),
		cmocka_unit_test(test_burst),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
