/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reassembly: whole packets out of fragments in any order, whose mbufs are split anywhere; how long
 * fragments wait; and, of fragments that make no sense together, that each is accounted for once
 * and every mbuf comes home.
 */
#include "reassembly/ms_reassembly.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <rte_eal.h>
#include <rte_ip.h>

#include "packet_fixture.h"

#define SECOND UINT64_C(1000000000)
#define PACKET 4000u

static const struct ms_decap decap = {
	.vxlan_port = RTE_BE16(MS_VXLAN_PORT), .geneve_port = RTE_BE16(MS_GENEVE_PORT)};
static struct rte_mempool *pool;
static struct ms_timestamp clock_;
static struct ms_ledger ledger;
static struct ms_reassembly *reassembly;
static struct test_random chance = {1};

static int
setup(void **state)
{
	char *argv[] = {"reassembly_test", "--no-huge", "--no-shconf", "--no-pci", "-m", "64",
		"--no-telemetry", "--log-level=error", "--lcores=0@0", NULL};

	if (rte_eal_init(RTE_DIM(argv) - 1, argv) < 0 || ms_timestamp_setup(&clock_) != 0)
		return -1;
	/* a tick is a nanosecond */
	ms_timestamp_publish(&clock_, 0, 0, UINT64_C(1) << 32);
	pool = rte_pktmbuf_pool_create("test", 4095, 0, 0, 2048, SOCKET_ID_ANY);
	return pool != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	rte_mempool_free(pool);
	return rte_eal_cleanup();
}

static int
begin(void **state)
{
	const struct ms_reassembly_options options = {.decap = &decap,
		.clock = &clock_,
		.ledger = &ledger,
		.packets = 64,
		.lifetime_ns = SECOND,
		.silence = SECOND,
		.socket = SOCKET_ID_ANY};

	memset(&ledger, 0, sizeof(ledger));
	reassembly = ms_reassembly_create(&options);
	return reassembly != NULL ? 0 : -1;
}

static int
end(void **state)
{
	ms_reassembly_end(reassembly);
	ms_reassembly_free(reassembly);
	return rte_mempool_in_use_count(pool) == 0 ? 0 : -1;
}

static void
assert_fates(uint64_t reassembled, uint64_t outer_fragment)
{
	assert_int_equal(ms_count_read(&ledger.fates[MS_FATE_REASSEMBLED]), reassembled);
	assert_int_equal(ms_count_read(&ledger.fates[MS_FATE_OUTER_FRAGMENT]), outer_fragment);
}

/* Bytes as a chain: the first segment holds at least `least` of them, the others any number. */
static struct rte_mbuf *
chain(const uint8_t *bytes, uint32_t n, uint32_t least, bool split)
{
	struct rte_mbuf *head = NULL, *last = NULL;

	for (uint32_t at = 0; at < n;) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		uint32_t part = RTE_MIN(n - at, 1900u);

		assert_non_null(m);
		if (split && part > least)
			part = least + 1 + test_below(&chance, part - least);
		part = RTE_MIN(part, n - at);
		least = 0;
		memcpy(rte_pktmbuf_append(m, (uint16_t)part), bytes + at, part);
		m->tx_offload = test_random(&chance); /* whatever a driver leaves there */
		at += part;
		if (head == NULL)
			head = m;
		else
			last->next = m;
		last = m;
		head->nb_segs += m != head;
	}
	head->pkt_len = n;
	return head;
}

/* One packet through decap and reassembly. Returns what comes out, or NULL. */
static struct rte_mbuf *
pass(struct rte_mbuf *m, uint64_t tsc, struct ms_packet *p)
{
	ms_decap_burst(&decap, &m, 1, p);
	return ms_reassembly_burst(reassembly, &m, p, 1, tsc) == 1 ? m : NULL;
}

/* A mirrored packet that IP has cut into pieces. */
struct pieces {
	uint8_t whole[PACKET + 200];
	uint32_t whole_n;
	uint8_t piece[3][PACKET];
	uint32_t n[3];
	uint32_t headers;
};

static void
make_pieces(struct pieces *pieces, bool six, uint16_t ident)
{
	static struct test_bytes b;
	uint32_t ip = six ? 40 : 20, body, step = 1480, at = 0;
	uint8_t *fragment;

	test_bytes_clear(&b);
	test_push_data(&b, PACKET, ident);
	test_push_vxlan(&b, ident);
	test_push_udp(&b, 65408, MS_VXLAN_PORT);
	body = b.n;
	if (six)
		test_push_ipv6(&b, TEST_PROTO_UDP, (struct ms_ip){1, 2}, (struct ms_ip){3, 4});
	else
		test_put16(
			test_push_ipv4(&b, TEST_PROTO_UDP, 0x0a000001, 0x0a000002, 0) + 4, ident);
	test_push_ether(&b, six ? 0x86dd : 0x0800);
	pieces->whole_n = b.n;
	memcpy(pieces->whole, test_bytes_at(&b), b.n);
	pieces->headers = 14 + ip + (six ? 8 : 0);
	for (unsigned int i = 0; i < 3; i++, at += step) {
		uint32_t part = RTE_MIN(step, body - at);
		uint16_t field = (uint16_t)(six ? at | (i < 2) : at / 8 | (i < 2 ? 0x2000 : 0));

		fragment = pieces->piece[i];
		memcpy(fragment, pieces->whole, 14 + ip);
		memcpy(fragment + pieces->headers, pieces->whole + 14 + ip + at, part);
		pieces->n[i] = pieces->headers + part;
		if (six) {
			test_put16(fragment + 18, (uint16_t)(part + 8));
			fragment[20] = 44;
			memset(fragment + 54, 0, 8);
			fragment[54] = TEST_PROTO_UDP;
			test_put16(fragment + 56, field);
			test_put16(fragment + 60, ident);
		} else {
			test_put16(fragment + 16, (uint16_t)(part + 20));
			test_put16(fragment + 20, field);
		}
	}
	if (!six) {
		struct rte_ipv4_hdr *header = (struct rte_ipv4_hdr *)(pieces->whole + 14);

		header->hdr_checksum = 0;
		header->hdr_checksum = rte_ipv4_cksum(header);
	}
}

static struct rte_mbuf *
pass_piece(const struct pieces *pieces, unsigned int i, uint64_t tsc, struct ms_packet *p)
{
	return pass(chain(pieces->piece[i], pieces->n[i], pieces->headers, true), tsc, p);
}

static void
assert_whole(const struct pieces *pieces, struct rte_mbuf *m, const struct ms_packet *p)
{
	uint8_t room[sizeof(pieces->whole)];

	assert_non_null(m);
	assert_int_equal(p->fate, MS_FATE_NONE);
	assert_int_equal(p->length, PACKET);
	assert_int_equal(rte_pktmbuf_pkt_len(m), pieces->whole_n);
	assert_memory_equal(
		rte_pktmbuf_read(m, 0, pieces->whole_n, room), pieces->whole, pieces->whole_n);
	assert_int_equal(rte_mbuf_check(m, 1, &(const char *){NULL}), 0);
	rte_pktmbuf_free(m);
}

static void
test_any_order(void **state)
{
	static const uint8_t orders[][3] = {
		{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	static struct pieces pieces;
	struct ms_packet p;
	uint16_t ident = 0;

	for (unsigned int six = 0; six <= 1; six++) {
		for (unsigned int o = 0; o < 20 * RTE_DIM(orders); o++) {
			const uint8_t *order = orders[o % RTE_DIM(orders)];

			make_pieces(&pieces, six, ++ident);
			assert_null(pass_piece(&pieces, order[0], ident, &p));
			assert_null(pass_piece(&pieces, order[1], ident, &p));
			assert_whole(&pieces, pass_piece(&pieces, order[2], ident, &p), &p);
			assert_fates(2 * (uint64_t)ident, 0);
		}
	}
}

/* The whole has the time of the fragment that came last, whichever that is. */
static void
test_timestamp(void **state)
{
	static struct pieces pieces;
	struct ms_packet p;
	struct rte_mbuf *m;

	make_pieces(&pieces, false, 1);
	for (unsigned int i = 3; i-- > 0;) {
		m = chain(pieces.piece[i], pieces.n[i], pieces.headers, false);
		m->ol_flags |= clock_.flag;
		*RTE_MBUF_DYNFIELD(m, clock_.field, rte_mbuf_timestamp_t *) = 1000 - i;
		m = pass(m, 5, &p);
	}
	assert_non_null(m);
	assert_int_equal(m->tx_offload, 0);
	assert_int_equal(ms_timestamp_of(&clock_, m, 5), 1000 * 1000);
	rte_pktmbuf_free(m);
}

static void
test_lifetime(void **state)
{
	static struct pieces pieces;
	struct ms_packet p;

	make_pieces(&pieces, false, 1);
	assert_null(pass_piece(&pieces, 0, 5 * SECOND, &p));
	assert_null(pass_piece(&pieces, 1, 5 * SECOND, &p));
	assert_whole(&pieces, pass_piece(&pieces, 2, 6 * SECOND, &p), &p);
	assert_fates(2, 0);
	assert_null(pass_piece(&pieces, 0, 7 * SECOND, &p));
	assert_null(pass_piece(&pieces, 1, 7 * SECOND, &p));
	assert_null(pass_piece(&pieces, 2, 8 * SECOND + 1, &p));
	assert_fates(2, 2);
	/* another packet's time counts too, and so does a clock that steps back */
	assert_null(pass_piece(&pieces, 0, 8 * SECOND + 1, &p));
	rte_pktmbuf_free(pass(chain(pieces.whole, 60, 0, false), 9 * SECOND + 2, &p));
	assert_fates(2, 4);
	assert_null(pass_piece(&pieces, 0, 10 * SECOND, &p));
	rte_pktmbuf_free(pass(chain(pieces.whole, 60, 0, false), 9 * SECOND, &p));
	assert_fates(2, 4);
	rte_pktmbuf_free(pass(chain(pieces.whole, 60, 0, false), 8 * SECOND, &p));
	assert_fates(2, 5);
}

static void
test_silence(void **state)
{
	static struct pieces pieces;
	struct ms_packet p;

	make_pieces(&pieces, true, 1);
	assert_null(pass_piece(&pieces, 2, 5 * SECOND, &p));
	ms_reassembly_idle(reassembly, 6 * SECOND - 1);
	assert_fates(0, 0);
	ms_reassembly_idle(reassembly, 6 * SECOND);
	assert_fates(0, 1);
}

/* Headers that are split, and lengths that the mbufs do not have: as decap has left them. */
static void
test_not_taken(void **state)
{
	static struct pieces pieces;
	struct rte_mbuf *m;
	struct ms_packet p;

	for (unsigned int six = 0; six <= 1; six++) {
		make_pieces(&pieces, six, 1);
		for (uint32_t first = 1; first <= pieces.headers; first++) {
			m = chain(pieces.piece[1], first, 0, false);
			assert_int_equal(
				rte_pktmbuf_chain(m, chain(pieces.piece[1] + first,
							     pieces.n[1] - first, 0, false)),
				0);
			assert_non_null(pass(m, 1, &p));
			assert_int_equal(p.fate, MS_FATE_OUTER_FRAGMENT);
			rte_pktmbuf_free(m);
		}
		for (uint32_t n = pieces.headers; n < pieces.n[1]; n += 97) {
			m = pass(chain(pieces.piece[1], n, 0, false), 1, &p);
			assert_non_null(m);
			assert_int_not_equal(p.fate, MS_FATE_NONE);
			rte_pktmbuf_free(m);
		}
	}
	assert_fates(0, 0);
}

/* The order of what stays in a burst, and what decap said of it. */
static void
test_burst(void **state)
{
	static struct pieces pieces, other;
	struct ms_packet packets[6];
	struct rte_mbuf *mbufs[6];

	make_pieces(&pieces, false, 1);
	make_pieces(&other, true, 2);
	mbufs[0] = chain(pieces.piece[2], pieces.n[2], pieces.headers, true);
	mbufs[1] = chain(other.whole, other.whole_n, 0, true);
	mbufs[2] = chain(pieces.piece[0], pieces.n[0], pieces.headers, true);
	mbufs[3] = chain(pieces.piece[1], pieces.n[1], pieces.headers, true);
	mbufs[4] = chain(other.piece[0], other.n[0], other.headers, true);
	mbufs[5] = chain(other.whole, 13, 0, true);
	ms_decap_burst(&decap, mbufs, 6, packets);
	assert_int_equal(ms_reassembly_burst(reassembly, mbufs, packets, 6, 1), 3);
	assert_int_equal(packets[2].fate, MS_FATE_OUTER_TRUNCATED);
	rte_pktmbuf_free(mbufs[2]);
	assert_int_equal(packets[0].vni, 2);
	assert_whole(&other, mbufs[0], &packets[0]);
	assert_int_equal(packets[1].vni, 1);
	assert_whole(&pieces, mbufs[1], &packets[1]);
	assert_fates(2, 0);
}

/* A fragment of a few packets, from anywhere in them. */
static struct rte_mbuf *
make_noise(void)
{
	static struct test_bytes b;
	uint32_t at = 2 * test_below(&chance, 3), n = 16;
	uint32_t padding = test_below(&chance, 3) == 0 ? test_below(&chance, 20) : 0;
	bool six = test_below(&chance, 2), more = at < 4;
	uint8_t ident = (uint8_t)test_below(&chance, 4);
	uint8_t *header;

	if (test_below(&chance, 8) == 0) { /* does not fit the others */
		at = test_below(&chance, 6);
		n = 1 + test_below(&chance, 24);
		more = test_below(&chance, 2);
	}
	test_bytes_clear(&b);
	test_push_data(&b, padding, 1);
	test_push_data(&b, n, at);
	if (six) {
		header = test_push_fragment6(&b, TEST_PROTO_UDP, (uint16_t)(at << 3 | more));
		header[7] = ident;
		header = test_push_ipv6(
			&b, TEST_PROTO_UDP, (struct ms_ip){1, 2}, (struct ms_ip){3, 4});
		header[6] = 44;
		test_put16(header + 4, (uint16_t)(b.n - 40 - padding));
	} else {
		header = test_push_ipv4(&b, TEST_PROTO_UDP, 1, 2, test_below(&chance, 3));
		header[5] = ident;
		test_put16(header + 2, (uint16_t)(b.n - padding));
		test_put16(header + 6, (uint16_t)(at | (more ? 0x2000 : 0)));
	}
	test_push_ether(&b, six ? 0x86dd : 0x0800);
	return chain(test_bytes_at(&b), b.n, test_below(&chance, 5) > 0 ? 75 : 0, true);
}

static void
test_noise(void **state)
{
	uint64_t in = 0, out = 0, tsc = 0, held = 0;

	for (unsigned int round = 0; round < 5000; round++) {
		struct ms_packet packets[MS_BURST];
		struct rte_mbuf *mbufs[MS_BURST];
		uint16_t n = (uint16_t)(1 + test_below(&chance, 8)), kept;

		for (uint16_t i = 0; i < n; i++)
			mbufs[i] = make_noise();
		ms_decap_burst(&decap, mbufs, n, packets);
		kept = ms_reassembly_burst(reassembly, mbufs, packets, n, tsc);
		rte_pktmbuf_free_bulk(mbufs, kept);
		in += n;
		out += kept;
		tsc += test_below(&chance, 200) == 0 ? 2 * SECOND : 1000;
		if (test_below(&chance, 100) == 0)
			ms_reassembly_idle(reassembly, tsc);
		held = in - out - ms_count_read(&ledger.fates[MS_FATE_REASSEMBLED]) -
		       ms_count_read(&ledger.fates[MS_FATE_OUTER_FRAGMENT]);
		/* eight idents and families, of which each holds this many at most */
		assert_true(held <= 8 * MS_REASSEMBLY_PIECES);
		assert_true(held > 0 || rte_mempool_in_use_count(pool) == 0);
	}
	ms_reassembly_end(reassembly);
	assert_int_equal(in, out + ms_count_read(&ledger.fates[MS_FATE_REASSEMBLED]) +
				     ms_count_read(&ledger.fates[MS_FATE_OUTER_FRAGMENT]));
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	assert_true(ms_count_read(&ledger.fates[MS_FATE_REASSEMBLED]) > 500);
	assert_true(ms_count_read(&ledger.fates[MS_FATE_OUTER_FRAGMENT]) > 5000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_any_order, begin, end),
		cmocka_unit_test_setup_teardown(test_timestamp, begin, end),
		cmocka_unit_test_setup_teardown(test_lifetime, begin, end),
		cmocka_unit_test_setup_teardown(test_silence, begin, end),
		cmocka_unit_test_setup_teardown(test_not_taken, begin, end),
		cmocka_unit_test_setup_teardown(test_burst, begin, end),
		cmocka_unit_test_setup_teardown(test_noise, begin, end),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
