/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * encap: headers byte for byte against what RFC 791, 768, 8200, 7348 and 8926 say, with checksums
 * judged by a sum of its own; lengths, cuts, source ports and headroom over frames of one and of
 * many segments; and all of it back through decap.
 */
#include "encap/ms_encap.h"

#include "decap/ms_decap.h"

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
	.port_base = MS_ENCAP_PORT_BASE,
	.port_bits = MS_ENCAP_PORT_BITS,
};

static const struct ms_encap_options v6 = {
	.source_mac = {{0x02, 0, 0, 0, 0, 0x11}},
	.target_mac = {{0x02, 0, 0, 0, 0, 0x22}},
	.source = {0x20010db800000001, 0x0000000000000002},
	.target = {0xfd00000000000003, 0xffffffffffffffff},
	.family = MS_FAMILY_V6,
	.port = 4790,
	.vni = 1,
	.port_base = MS_ENCAP_PORT_BASE,
	.port_bits = MS_ENCAP_PORT_BITS,
};

/* The same through a Gateway Load Balancer endpoint. */
static struct ms_encap_options
through_geneve(const struct ms_encap_options *options)
{
	struct ms_encap_options o = *options;

	o.geneve = true;
	o.geneve_port = 6081;
	o.gwlb = (struct ms_ip){.hi = options->target.hi, .lo = 0xc6336401};
	o.endpoint = (struct ms_ip){.hi = options->source.hi, .lo = 0x0a000163};
	o.endpoint_id = 0x0102030405060708;
	o.attachment_id = 0x1112131415161718;
	return o;
}

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

static uint32_t
flow_of(const struct ms_encap *encap, const uint8_t *bytes, uint32_t n)
{
	struct ms_packet p;

	ms_packet_parse(&p, bytes, n);
	return ms_encap_flow(encap, &p);
}

/* Headers as long as the test needs them; the mbuf may get a new head. */
static void
wrap_mbuf(const struct ms_encap *encap, struct rte_mbuf **m, uint32_t flow)
{
	*m = ms_encap_headroom(encap, *m, pool);
	assert_non_null(*m);
	ms_encap_burst(&encap, &flow, m, 1);
}

/* Bytes of headers of the IP packet that carries VXLAN. */
static uint32_t
ip_headers(const struct ms_encap_options *options)
{
	return options->family == MS_FAMILY_V4 ? 36 : 56;
}

/* Wraps bytes and copies the result to `out`; returns its length. Checks the chain as it goes. */
static uint32_t
wrap(const struct ms_encap_options *options, const uint8_t *bytes, uint32_t n, uint16_t piece,
	uint8_t *out)
{
	struct rte_mbuf *m = make_mbuf(bytes, n, piece);
	struct ms_encap encap;
	uint32_t kept = n;
	uint32_t length = 0;
	uint16_t segments = 0;

	assert_int_equal(ms_encap_init(&encap, options), 0);
	if (options->packet_length != 0)
		kept = RTE_MIN(kept, options->packet_length);
	if (options->target_mtu != 0)
		kept = RTE_MIN(kept, options->target_mtu - ip_headers(options));
	assert_int_equal(ms_encap_bytes(&encap, n), encap.length + kept);
	wrap_mbuf(&encap, &m, flow_of(&encap, bytes, n));
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
	options = v4;
	options.port_bits = 17;
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

/* A whole burst of two sessions gets what its packets get alone, in order. */
static void
test_burst(void **state)
{
	struct rte_mbuf *pkts[MS_BURST];
	const struct ms_encap *encaps[MS_BURST];
	uint32_t flows[MS_BURST];
	struct ms_encap both[2];
	uint8_t frame[1024], alone[1200];

	fill(frame, sizeof(frame));
	assert_int_equal(ms_encap_init(&both[0], &v4), 0);
	assert_int_equal(ms_encap_init(&both[1], &v6), 0);
	for (uint16_t i = 0; i < MS_BURST; i++) {
		pkts[i] = make_mbuf(frame + i, i * 13u, SEGMENT_ROOM);
		encaps[i] = &both[i % 3 == 0];
		flows[i] = flow_of(encaps[i], frame + i, i * 13u);
	}
	ms_encap_burst(encaps, flows, pkts, MS_BURST);
	for (uint16_t i = 0; i < MS_BURST; i++) {
		uint32_t n = wrap(i % 3 == 0 ? &v6 : &v4, frame + i, i * 13u, SEGMENT_ROOM, alone);

		assert_int_equal(pkts[i]->pkt_len, n);
		assert_memory_equal(rte_pktmbuf_mtod(pkts[i], const uint8_t *), alone, n);
	}
	rte_pktmbuf_free_bulk(pkts, MS_BURST);
}

/* Base and number of bits of the port, and no other bit of the flow in it. */
static void
test_port_range(void **state)
{
	static const struct {
		uint16_t base;
		uint8_t bits;
	} ranges[] = {{0xff80, 7}, {0, 16}, {40000, 0}, {0x8000, 3}, {0xffff, 4}};
	uint8_t out[128];

	for (unsigned int i = 0; i < RTE_DIM(ranges); i++) {
		struct ms_encap_options options = v4;
		uint32_t mask = (1u << ranges[i].bits) - 1;

		options.port_base = ranges[i].base;
		options.port_bits = ranges[i].bits;
		for (uint16_t x = 0; x < 256; x++) {
			struct flow flow = make_flow(0x0a000001, 0x0a000002, x, 443, 6);
			struct ms_packet p;

			ms_packet_parse(&p, flow.bytes, sizeof(flow.bytes));
			wrap(&options, flow.bytes, sizeof(flow.bytes), SEGMENT_ROOM, out);
			assert_int_equal(be16(out + 34), ranges[i].base | (p.hash & mask));
		}
	}
}

/* Both directions of a packet that is given as the two frames of it. */
static void
check_directed(const uint8_t *there, const uint8_t *back, uint32_t n)
{
	struct ms_encap_options options = v4;
	struct ms_encap encap;

	assert_int_equal(ms_encap_init(&encap, &options), 0);
	assert_int_equal(flow_of(&encap, there, n), flow_of(&encap, back, n));
	options.hash = MS_ENCAP_DIRECTED;
	assert_int_equal(ms_encap_init(&encap, &options), 0);
	for (unsigned int bit = 0; bit < 32; bit++)
		assert_int_not_equal(
			flow_of(&encap, there, n) >> bit & 1, flow_of(&encap, back, n) >> bit & 1);
}

/* The directions of a flow are told by addresses, else by ports, else by MACs. */
static void
test_directed(void **state)
{
	struct flow a = make_flow(0x0a000001, 0x0a000002, 1000, 53, 17);
	struct flow b = make_flow(0x0a000002, 0x0a000001, 53, 1000, 17);

	check_directed(a.bytes, b.bytes, sizeof(a.bytes));
	a = make_flow(0x0a000001, 0x0a000001, 1000, 53, 17);
	b = make_flow(0x0a000001, 0x0a000001, 53, 1000, 17);
	check_directed(a.bytes, b.bytes, sizeof(a.bytes));
	/* no IP: MACs */
	a.bytes[12] = 0x88;
	b = a;
	memcpy(b.bytes, a.bytes + 6, 6);
	memcpy(b.bytes + 6, a.bytes, 6);
	check_directed(a.bytes, b.bytes, sizeof(a.bytes));
	/* a first fragment has ports, its followers have not: one flow all the same */
	a = make_flow(0x0a000001, 0x0a000001, 1000, 53, 17);
	b = make_flow(0x0a000001, 0x0a000001, 9, 1000, 17);
	a.bytes[20] = 0x20;
	b.bytes[20] = 0x20;
	b.bytes[21] = 1;
	for (unsigned int directed = 0; directed < 2; directed++) {
		struct ms_encap_options options = v4;
		struct ms_encap encap;

		options.hash = directed != 0 ? MS_ENCAP_DIRECTED : MS_ENCAP_SYMMETRIC;
		assert_int_equal(ms_encap_init(&encap, &options), 0);
		assert_int_equal(flow_of(&encap, a.bytes, sizeof(a.bytes)),
			flow_of(&encap, b.bytes, sizeof(b.bytes)));
	}
}

static void
test_geneve_v4_exact(void **state)
{
	const uint8_t frame[] = {0xde, 0xad, 0xbe, 0xef};
	/* clang-format off */
	const uint8_t expected[] = {
		0x02, 0, 0, 0, 0, 0x22, 0x02, 0, 0, 0, 0, 0x11, 0x08, 0x00, /* Ethernet */
		0x45, 0x00, 0, 108, 0, 0, 0x00, 0x00, 255, 17, 0, 0,        /* IPv4 */
		198, 51, 100, 1, 192, 168, 255, 254,                        /* from the balancer */
		0, 0, 0x17, 0xc1, 0, 88, 0, 0,                              /* UDP */
		0x08, 0, 0x08, 0x00, 0, 0, 0, 0,                            /* GENEVE */
		0x01, 0x08, 1, 2, 1, 2, 3, 4, 5, 6, 7, 8,                   /* endpoint */
		0x01, 0x08, 2, 2, 17, 18, 19, 20, 21, 22, 23, 24,           /* attachment */
		0x01, 0x08, 3, 1, 0, 0, 0, 0,                               /* flow cookie */
		0x45, 0x00, 0, 40, 0, 0, 0x00, 0x00, 255, 17, 0, 0,         /* IPv4 */
		10, 0, 1, 2, 10, 0, 1, 99,                                  /* to the endpoint */
		0, 0, 0x12, 0xb5, 0, 20, 0, 0,                              /* UDP */
		0x08, 0, 0, 0, 0xab, 0xcd, 0xef, 0,                         /* VXLAN */
		0xde, 0xad, 0xbe, 0xef,
	};
	/* clang-format on */
	struct ms_encap_options options = through_geneve(&v4);
	struct ms_packet p;
	uint8_t out[128];

	assert_int_equal(sizeof(expected), MS_ENCAP_GENEVE_V4_BYTES + sizeof(frame));
	assert_int_equal(wrap(&options, frame, sizeof(frame), SEGMENT_ROOM, out), sizeof(expected));
	assert_int_equal(ones_sum(out + 14, 20), 0xffff);
	assert_int_equal(ones_sum(out + 82, 20), 0xffff);
	ms_packet_parse(&p, frame, sizeof(frame));
	assert_int_equal(be16(out + 34), 0xc000 | (p.hash & 0x3fff));
	assert_int_equal(be16(out + 78) << 16 | be16(out + 80), p.hash);
	assert_int_equal(be16(out + 102), 0xff80 | (p.hash & 0x7f));
	/* What was judged above apart; the rest is exact. */
	memset(out + 24, 0, 2);
	memset(out + 34, 0, 2);
	memset(out + 78, 0, 4);
	memset(out + 92, 0, 2);
	memset(out + 102, 0, 2);
	assert_memory_equal(out, expected, sizeof(expected));
}

static void
test_geneve_v6_exact(void **state)
{
	const uint8_t frame[] = {0xde, 0xad, 0xbe};
	/* clang-format off */
	const uint8_t expected[] = {
		0x02, 0, 0, 0, 0, 0x22, 0x02, 0, 0, 0, 0, 0x11, 0x86, 0xdd,        /* Ethernet */
		0x60, 0, 0, 0, 0, 107, 17, 255,                                    /* IPv6 */
		0xfd, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 198, 51, 100, 1,            /* balancer */
		0xfd, 0, 0, 0, 0, 0, 0, 3, 255, 255, 255, 255, 255, 255, 255, 255, /* target */
		0, 0, 0x17, 0xc1, 0, 107, 0, 0,                                    /* UDP */
		0x08, 0, 0x86, 0xdd, 0, 0, 0, 0,                                   /* GENEVE */
		0x01, 0x08, 1, 2, 1, 2, 3, 4, 5, 6, 7, 8,                          /* endpoint */
		0x01, 0x08, 2, 2, 17, 18, 19, 20, 21, 22, 23, 24,                  /* attachment */
		0x01, 0x08, 3, 1, 0, 0, 0, 0,                                      /* flow cookie */
		0x60, 0, 0, 0, 0, 19, 17, 255,                                     /* IPv6 */
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2,        /* source */
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 10, 0, 1, 99,      /* endpoint */
		0, 0, 0x12, 0xb6, 0, 19, 0, 0,                                     /* UDP */
		0x08, 0, 0, 0, 0, 0, 1, 0,                                         /* VXLAN */
		0xde, 0xad, 0xbe,
	};
	/* clang-format on */
	struct ms_encap_options options = through_geneve(&v6);
	struct ms_packet p;
	uint8_t out[192];

	assert_int_equal(sizeof(expected), MS_ENCAP_GENEVE_V6_BYTES + sizeof(frame));
	assert_int_equal(wrap(&options, frame, sizeof(frame), SEGMENT_ROOM, out), sizeof(expected));
	ms_packet_parse(&p, frame, sizeof(frame));
	assert_int_equal(be16(out + 54), 0xc000 | (p.hash & 0x3fff));
	assert_int_equal(be16(out + 98) << 16 | be16(out + 100), p.hash);
	assert_int_equal(be16(out + 142), 0xff80 | (p.hash & 0x7f));
	memset(out + 54, 0, 2);
	memset(out + 98, 0, 4);
	memset(out + 142, 0, 2);
	assert_memory_equal(out, expected, sizeof(expected));
}

/* All four shapes of headers: with and without GENEVE, over IPv4 and IPv6. */
static struct ms_encap_options
shape(unsigned int i)
{
	struct ms_encap_options options = i % 2 == 0 ? v4 : v6;

	return i < 2 ? options : through_geneve(&options);
}

#define SHAPES 4

/* A cut by every MTU that leaves something, alone and together with a packet length. */
static void
test_target_mtu(void **state)
{
	struct flow flow = make_flow(0x0a000001, 0x0a000002, 1000, 53, 17);
	struct ms_encap encap;
	uint8_t out[256];

	for (unsigned int i = 0; i < SHAPES; i++) {
		struct ms_encap_options options = shape(i);
		uint32_t least =
			options.family == MS_FAMILY_V4 ? MS_ENCAP_MTU_MIN_V4 : MS_ENCAP_MTU_MIN_V6;
		uint32_t at = options.geneve ? ip_headers(&options) + 46 : 14;

		options.target_mtu = least - 1;
		assert_int_equal(ms_encap_init(&encap, &options), -EMSGSIZE);
		options.target_mtu = 1;
		assert_int_equal(ms_encap_init(&encap, &options), -EMSGSIZE);
		for (uint32_t kept = 1; kept <= sizeof(flow.bytes) + 1; kept++) {
			uint32_t here = RTE_MIN(kept, (uint32_t)sizeof(flow.bytes));

			options.target_mtu = least - 1 + kept;
			options.packet_length = 0;
			wrap(&options, flow.bytes, sizeof(flow.bytes), 7, out);
			if (options.family == MS_FAMILY_V4)
				assert_int_equal(be16(out + at + 2), 36 + here);
			else
				assert_int_equal(be16(out + at + 4), 16 + here);
			options.packet_length = 20;
			wrap(&options, flow.bytes, sizeof(flow.bytes), 7, out);
		}
	}
}

/* What decap makes of a frame that was wrapped: the same frame, where and as long as it is. */
static void
check_round_trip(const struct ms_encap_options *options, const uint8_t *bytes, uint32_t n)
{
	const struct ms_decap decap = {
		.vxlan_port = rte_cpu_to_be_16(options->port),
		.geneve_port = rte_cpu_to_be_16(6081),
	};
	struct rte_mbuf *m = make_mbuf(bytes, n, SEGMENT_ROOM);
	struct ms_encap encap;
	struct ms_packet p;
	uint8_t bounce[4096];
	uint32_t kept;

	assert_int_equal(ms_encap_init(&encap, options), 0);
	kept = ms_encap_bytes(&encap, n) - encap.length;
	wrap_mbuf(&encap, &m, flow_of(&encap, bytes, n));
	ms_decap_burst(&decap, &m, 1, &p);
	assert_int_equal(p.fate, MS_FATE_NONE);
	assert_int_equal(p.tunnel, options->geneve ? MS_TUNNEL_GENEVE_VXLAN : MS_TUNNEL_VXLAN);
	assert_int_equal(p.vni, options->vni);
	assert_int_equal(p.source_family, options->family);
	assert_true(ms_ip_equal(p.source, options->source));
	assert_int_equal(p.offset, encap.length);
	assert_int_equal(p.length, kept);
	if (kept > 0)
		assert_memory_equal(rte_pktmbuf_read(m, p.offset, p.length, bounce), bytes, kept);
	rte_pktmbuf_free(m);
}

static void
test_round_trip(void **state)
{
	static const uint32_t lengths[] = {0, 1, 14, 60, 1500, 2047, 2048, 2049, 4000};
	static const uint32_t mtus[] = {0, 57, 58, 576, 1500};
	uint8_t bytes[4096];

	fill(bytes, sizeof(bytes));
	for (unsigned int i = 0; i < SHAPES; i++) {
		struct ms_encap_options options = shape(i);

		for (unsigned int j = 0; j < RTE_DIM(lengths) * RTE_DIM(mtus); j++) {
			options.target_mtu = mtus[j / RTE_DIM(lengths)];
			check_round_trip(&options, bytes, lengths[j % RTE_DIM(lengths)]);
		}
	}
}

/* Lengths around the one at which each of the two IP packets exceeds 65,535 bytes. */
static void
test_geneve_lengths(void **state)
{
	struct ms_encap_options options = through_geneve(&v4);
	uint8_t *frame = malloc(65600);
	uint8_t *out = malloc(65600 + MS_ENCAP_BYTES_MAX);

	assert_non_null(frame);
	assert_non_null(out);
	fill(frame, 65600);
	for (uint32_t n = 65535 - 104 - 3; n < 65535 - 36 + 3; n++) {
		uint32_t outer = n + 104, inner = n + 36;

		assert_int_equal(wrap(&options, frame, n, SEGMENT_ROOM, out), n + 118);
		assert_int_equal(be16(out + 16), outer <= 65535 ? outer : 0);
		assert_int_equal(be16(out + 38), outer <= 65535 ? outer - 20 : 0);
		assert_int_equal(ones_sum(out + 14, 20), 0xffff);
		assert_int_equal(be16(out + 84), inner <= 65535 ? inner : 0);
		assert_int_equal(be16(out + 106), inner <= 65535 ? inner - 20 : 0);
		assert_int_equal(ones_sum(out + 82, 20), 0xffff);
		assert_memory_equal(out + 118, frame, n);
	}
	free(frame);
	free(out);
}

/* A new head only where it is needed, with what the old one knew; none if the pool is empty. */
static void
test_headroom(void **state)
{
	struct ms_encap_options options = through_geneve(&v6);
	struct rte_mbuf *all[1024];
	struct rte_mbuf *m, *wide;
	struct ms_encap encap;
	uint8_t bytes[100];
	unsigned int n;

	fill(bytes, sizeof(bytes));
	assert_int_equal(ms_encap_init(&encap, &v4), 0);
	m = make_mbuf(bytes, sizeof(bytes), 30);
	assert_ptr_equal(ms_encap_headroom(&encap, m, pool), m);

	assert_int_equal(ms_encap_init(&encap, &options), 0);
	m->port = 7;
	m->ol_flags |= UINT64_C(1) << 40;
	m->dynfield1[2] = 0x12345678;
	wide = ms_encap_headroom(&encap, m, pool);
	assert_non_null(wide);
	assert_ptr_not_equal(wide, m);
	assert_int_equal(rte_mbuf_check(wide, 1, &(const char *){NULL}), 0);
	assert_in_range(rte_pktmbuf_headroom(wide), MS_ENCAP_GENEVE_V6_BYTES, UINT16_MAX);
	assert_int_equal(wide->pkt_len, sizeof(bytes));
	assert_int_equal(wide->port, 7);
	assert_true((wide->ol_flags & UINT64_C(1) << 40) != 0);
	assert_int_equal(wide->dynfield1[2], 0x12345678);
	rte_pktmbuf_free(wide);

	m = make_mbuf(bytes, sizeof(bytes), SEGMENT_ROOM);
	for (n = 0; n < RTE_DIM(all) && (all[n] = rte_pktmbuf_alloc(pool)) != NULL; n++)
		;
	assert_null(ms_encap_headroom(&encap, m, pool));
	assert_int_equal(m->pkt_len, sizeof(bytes));
	rte_pktmbuf_free_bulk(all, n);
	rte_pktmbuf_free(m);
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
		cmocka_unit_test(test_port_range),
		cmocka_unit_test(test_directed),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_geneve_v4_exact),
		cmocka_unit_test(test_geneve_v6_exact),
		cmocka_unit_test(test_geneve_lengths),
		cmocka_unit_test(test_target_mtu),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_headroom),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
