/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * output: frames that tell whose they are. Whatever set of outputs a frame goes to, and however
 * each of them marks it, all get exactly their bytes: no mark is seen by another output, nor by a
 * driver that still holds what it was given earlier.
 */
#include "output/ms_output.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_ip.h>

#include "output_fixture.h"

#define MACS 12
#define HASH 0x12345678u /* of every frame's flow */

/* What an output does to frames. */
enum mark { PLAIN, VLAN, QINQ, KEPT, GIVEN, KEPT_V6, MARKS };

#define VNI_GIVEN 0xabcdefu

static void
add_marked(uint16_t id, enum mark mark, uint32_t max_length, bool segments)
{
	struct ms_output_ports *to = &test_destinations[test_lane.outputs_n % TEST_PORTS];
	const struct ms_encap_options options = {
		.family = mark == KEPT_V6 ? MS_FAMILY_V6 : MS_FAMILY_V4,
		.source.lo = 0x0a000001,
		.target.lo = 0x0a000002,
		.port = 4789,
		.vni = mark == GIVEN ? VNI_GIVEN : 0,
		.port_base = MS_ENCAP_PORT_BASE,
		.port_bits = MS_ENCAP_PORT_BITS,
	};

	test_add_port(id, max_length, segments);
	to->vlan_tags = mark == VLAN ? 1 : mark == QINQ ? 2 : 0;
	to->wraps = mark >= KEPT;
	to->vnis = mark == KEPT || mark == KEPT_V6 ? test_registry : NULL;
	assert_int_equal(ms_encap_init(&to->ports[0].encap, &options), 0);
}

static struct ms_frame
make_marked(uint32_t number, uint32_t offset, uint32_t length, uint32_t segments, uint32_t outputs,
	uint32_t session)
{
	struct ms_frame frame = test_make(number, offset, length, segments, outputs);

	frame.mbuf->hash.rss = HASH;
	frame.session = session;
	return frame;
}

static uint16_t
get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t
put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
	return 2;
}

/* Holds the headers that the frame is wrapped in against what they have to be; returns their end.
 */
static uint32_t
assert_wrapped(const uint8_t *got, uint32_t length, enum mark mark, uint32_t session)
{
	uint32_t udp = mark == KEPT_V6 ? 54 : 34, at = udp + 8;
	uint32_t vni = mark == GIVEN ? VNI_GIVEN : ms_session_info(test_registry, session)->vni;

	assert_in_range(length, at + 9, UINT32_MAX);
	assert_int_equal(get16(got + 12), mark == KEPT_V6 ? 0x86dd : 0x0800);
	if (mark == KEPT_V6) {
		assert_int_equal(get16(got + 18), length - udp);
	} else {
		assert_int_equal(get16(got + 16), length - 14);
		assert_int_equal(rte_raw_cksum(got + 14, 20), 0xffff);
	}
	assert_int_equal(get16(got + udp), MS_ENCAP_PORT_BASE | (HASH & 0x7f));
	assert_int_equal(get16(got + udp + 2), 4789);
	assert_int_equal(get16(got + udp + 4), length - udp);
	assert_int_equal(got[at], 0x08);
	assert_int_equal(got[at + 4] << 16 | got[at + 5] << 8 | got[at + 6], vni);
	return at + 8;
}

/* The frame as an output has to send it: what is before it is checked, and left away. */
static void
assert_marked(
	struct rte_mbuf *m, enum mark mark, uint32_t session, const uint8_t *frame, uint32_t length)
{
	static uint8_t buffer[TEST_FRAME_MAX + 128], want[TEST_FRAME_MAX + 128];
	const uint8_t *got = rte_pktmbuf_read(m, 0, m->pkt_len, buffer);
	uint16_t segments = 0;
	uint32_t at = 0;

	for (const struct rte_mbuf *s = m; s != NULL; s = s->next, segments++)
		assert_true(s->data_len > 0 || (s != m && s->next != NULL));
	assert_int_equal(m->nb_segs, segments);
	assert_non_null(got);
	if (mark >= KEPT) {
		at = assert_wrapped(got, m->pkt_len, mark, session);
		assert_int_equal(m->pkt_len - at, length);
		assert_memory_equal(got + at, frame, length);
		return;
	}
	if (mark != PLAIN) {
		memcpy(want, frame, MACS);
		at = MACS;
	}
	if (mark == QINQ) {
		at += put16(want + at, 0x88a8);
		at += put16(want + at, (uint16_t)(session / 4094 + 1));
	}
	if (mark != PLAIN) {
		at += put16(want + at, 0x8100);
		at += put16(want + at, (uint16_t)(session % 4094 + 1));
		memcpy(want + at, frame + MACS, length - MACS);
		assert_int_equal(m->pkt_len, at + length - MACS);
	} else {
		memcpy(want, frame, length);
		assert_int_equal(m->pkt_len, length);
	}
	assert_memory_equal(got, want, m->pkt_len);
}

static uint64_t
drops(unsigned int output, enum ms_drop reason)
{
	return test_drops(&test_lane.outputs[output].ledger, reason);
}

static void
send_one(struct ms_frame frame)
{
	struct rte_mbuf *done;

	assert_int_equal(ms_lane_burst(&test_lane, &frame, 1, &done), 0);
}

static void
assert_none(void)
{
	for (unsigned int p = 0; p < TEST_PORTS; p++)
		assert_null(test_receive(p));
}

/* An unshared frame is marked where it is: no mbuf is taken, no byte of its payload moves. */
static void
test_in_place(void **state)
{
	test_lane.heads = test_lane.clones = test_lane.copies = NULL;
	for (enum mark mark = VLAN; mark < MARKS; mark++) {
		test_lane.outputs_n = 0;
		add_marked(test_ports[0], mark, TEST_FRAME_MAX, mark % 2 == 0);
		for (uint32_t length = MACS; length < 600; length += 7) {
			struct ms_frame frame =
				make_marked(length, 50, length, 1, 1, test_session(length % 5));
			uint32_t session = frame.session;
			struct rte_mbuf *m;

			send_one(frame);
			m = test_receive(0);
			assert_ptr_equal(m, frame.mbuf);
			test_fill(test_bytes, 50 + length, length);
			assert_marked(m, mark, session, test_bytes + 50, length);
			rte_pktmbuf_free(m);
		}
	}
}

/* One frame of a burst of test_any(). */
struct sent {
	uint32_t offset;
	uint32_t length;
	uint32_t outputs;
	uint32_t session;
};

static void
take_marked(unsigned int p, enum mark mark, uint32_t number, const struct sent *sent)
{
	struct rte_mbuf *m;

	if ((sent->outputs >> p & 1) == 0)
		return;
	m = test_receive(p);
	assert_non_null(m);
	if (test_destinations[p].ports[0].max_segmented == 0)
		assert_int_equal(m->nb_segs, 1);
	test_fill(test_bytes, sent->offset + sent->length, number);
	assert_marked(m, mark, sent->session, test_bytes + sent->offset, sent->length);
	rte_pktmbuf_free(m);
}

/*
 * Any frames to any sets of ports that mark in any ways, with and without segments. The ring vdevs
 * hold all frames of a burst until it is over, as a driver does.
 */
static void
test_any(void **state)
{
	struct ms_frame frames[16];
	struct rte_mbuf *done[16];
	struct sent sent[16];

	for (uint32_t round = 0; round < 3000; round++) {
		uint16_t n = (uint16_t)(rand() % 16), expected = 0;
		uint32_t longest = rand() % 4 == 0 ? 5000 : 200;
		enum mark marks[TEST_PORTS];

		memset(&test_lane.outputs, 0, sizeof(test_lane.outputs));
		test_lane.outputs_n = 0;
		for (unsigned int p = 0; p < TEST_PORTS; p++) {
			marks[p] = rand() % MARKS;
			add_marked(test_ports[p], marks[p], TEST_FRAME_MAX,
				longest > 200 || rand() % 2 == 0);
		}
		for (uint16_t i = 0; i < n; i++) {
			sent[i].offset = rand() % 120;
			sent[i].length = MACS + rand() % longest;
			sent[i].outputs = rand() % (1 << TEST_PORTS);
			sent[i].session = test_session(rand() % 5);
			expected += sent[i].outputs == 0;
			frames[i] = make_marked(round + i, sent[i].offset, sent[i].length,
				1 + rand() % 4, sent[i].outputs, sent[i].session);
		}
		assert_int_equal(ms_lane_burst(&test_lane, frames, n, done), expected);
		if (expected > 0)
			rte_pktmbuf_free_bulk(done, expected);
		for (unsigned int turn = 0; turn < TEST_PORTS; turn++) {
			unsigned int p = (turn + round) % TEST_PORTS;

			for (uint16_t i = 0; i < n; i++)
				take_marked(p, marks[p], round + i, &sent[i]);
		}
		assert_none();
		assert_int_equal(test_lane_end(NULL), 0);
	}
}

/* A file beside them keeps the frame as it was, and the outer headers that marks overwrite. */
static void
test_file(void **state)
{
	const struct ms_capfile_options options = {
		.format = MS_CAPFILE_PCAPNG, .wait = true, .outer = true};
	const enum mark marks[] = {VLAN, GIVEN};
	char path[] = "/tmp/tenant_test.XXXXXX";
	int fd = mkstemp(path);
	struct test_reading r;
	uint8_t *file;
	size_t size;

	unlink(path);
	assert_int_equal(ms_lane_add_file(&test_lane, dup(fd), &options, test_registry), 0);
	for (unsigned int p = 0; p < RTE_DIM(marks); p++)
		add_marked(test_ports[p], marks[p], TEST_FRAME_MAX, true);
	for (uint32_t i = 0; i < 32; i++)
		send_one(make_marked(i, 50, 100 + i, 1 + i % 3, 7, test_session(i % 5)));
	assert_int_equal(ms_lane_close(&test_lane), 0);
	file = test_slurp(fd, &size);
	r = test_read(file, size);
	assert_int_equal(r.packets_n, 32);
	for (uint32_t i = 0; i < 32; i++) {
		test_fill(test_bytes, 150 + i, i);
		assert_int_equal(r.packets[i].captured, 150 + i);
		assert_memory_equal(r.packets[i].bytes, test_bytes, 150 + i);
		for (unsigned int p = 0; p < RTE_DIM(marks); p++) {
			/* outputs 1 and 2 */
			struct rte_mbuf *m = test_receive(p);

			assert_non_null(m);
			assert_marked(m, marks[p], test_session(i % 5), test_bytes + 50, 100 + i);
			rte_pktmbuf_free(m);
		}
	}
	test_reading_free(&r);
	free(file);
	close(fd);
}

/* Sessions beyond the ids, and frames without both MAC addresses, can't have a tag. */
static void
test_no_tag(void **state)
{
	static const uint32_t sessions[] = {0, 4093, 4094, 8187, 8188, MS_SESSIONS_MAX - 1};
	struct rte_mbuf *m;

	add_marked(test_ports[0], VLAN, TEST_FRAME_MAX, true);
	add_marked(test_ports[1], QINQ, TEST_FRAME_MAX, true);
	for (uint32_t i = 0; i < RTE_DIM(sessions); i++)
		send_one(make_marked(i, 50, 60, 1, 3, sessions[i]));
	for (uint32_t i = 0; i < RTE_DIM(sessions); i++) {
		test_fill(test_bytes, 110, i);
		m = i < 2 ? test_receive(0) : NULL;
		if (i < 2) {
			assert_non_null(m);
			assert_marked(m, VLAN, sessions[i], test_bytes + 50, 60);
			rte_pktmbuf_free(m);
		}
		m = test_receive(1);
		assert_non_null(m);
		assert_marked(m, QINQ, sessions[i], test_bytes + 50, 60);
		rte_pktmbuf_free(m);
	}
	assert_int_equal(drops(0, MS_DROP_NO_TAG), 4);
	for (uint32_t length = 1; length < MACS; length++)
		send_one(make_marked(1, 50, length, 1 + length % 3, 3, 0));
	assert_none();
	for (unsigned int p = 0; p < 2; p++) {
		assert_int_equal(drops(p, MS_DROP_TOO_SHORT), MACS - 1);
		send_one(make_marked(2, 50, 0, 1, 1u << p, 0));
		assert_int_equal(drops(p, MS_DROP_PORT_LENGTH), 1);
	}
}

/* Whatever is too long with its mark is dropped, and frames go on to be cut for a target's MTU. */
static void
test_lengths(void **state)
{
	static const uint32_t marks[] = {[VLAN] = 4, [QINQ] = 8, [KEPT] = 50, [KEPT_V6] = 70};
	struct rte_mbuf *m;

	for (enum mark mark = VLAN; mark <= KEPT_V6; mark++) {
		if (marks[mark] == 0)
			continue;
		memset(&test_lane.outputs, 0, sizeof(test_lane.outputs));
		test_lane.outputs_n = 0;
		add_marked(test_ports[0], mark, 1522, true);
		send_one(make_marked(1, 50, 1522 - marks[mark], 1, 1, test_session(1)));
		send_one(make_marked(2, 50, 1523 - marks[mark], 1, 1, test_session(1)));
		m = test_receive(0);
		assert_non_null(m);
		assert_int_equal(m->pkt_len, 1522);
		rte_pktmbuf_free(m);
		assert_null(test_receive(0));
		assert_int_equal(drops(0, MS_DROP_PORT_LENGTH), 1);
	}
	test_destinations[0].ports[0].encap.frame_max = 100;
	for (uint32_t segments = 1; segments < 8; segments++) {
		send_one(make_marked(3, 50, 1500, segments, 1, test_session(1)));
		m = test_receive(0);
		assert_non_null(m);
		test_fill(test_bytes, 150, 3);
		assert_marked(m, KEPT_V6, test_session(1), test_bytes + 50, 100);
		rte_pktmbuf_free(m);
	}
}

/* Where no mbuf is left for a mark the frame is dropped; where none is needed it goes. */
static void
test_no_mbuf(void **state)
{
	struct rte_mbuf *held[TEST_CLONES], *m;

	add_marked(test_ports[0], VLAN, TEST_FRAME_MAX, true);
	add_marked(test_ports[1], PLAIN, TEST_FRAME_MAX, true);
	add_marked(test_ports[2], QINQ, TEST_FRAME_MAX, true);
	assert_int_equal(rte_pktmbuf_alloc_bulk(test_heads, held, TEST_CLONES), 0);
	send_one(make_marked(1, 50, 100, 1, 7, 0));
	send_one(make_marked(2, 50, 100, 1, 4, 0));
	rte_pktmbuf_free_bulk(held, TEST_CLONES);
	assert_null(test_receive(0));
	rte_pktmbuf_free(test_receive(1));
	m = test_receive(2);
	test_fill(test_bytes, 150, 2);
	assert_marked(m, QINQ, 0, test_bytes + 50, 100);
	rte_pktmbuf_free(m);
	assert_none();
	assert_int_equal(drops(0, MS_DROP_NO_MBUF), 1);
	assert_int_equal(drops(2, MS_DROP_NO_MBUF), 1);
}

/* A shared frame that is too long for one mbuf can't go where no segments are taken. */
static void
test_no_segments(void **state)
{
	add_marked(test_ports[0], VLAN, TEST_FRAME_MAX, false);
	add_marked(test_ports[1], KEPT, TEST_FRAME_MAX, false);
	send_one(make_marked(1, 50, 5000, 3, 3, test_session(1)));
	assert_none();
	for (unsigned int p = 0; p < 2; p++)
		assert_int_equal(drops(p, MS_DROP_PORT_SEGMENTS), 1);
}

static void
count_free(void *addr, void *opaque)
{
	++*(unsigned int *)opaque;
}

/* Bytes that belong to a driver are not written to. */
static void
test_external(void **state)
{
	static uint8_t memory[256], before[256];
	static unsigned int freed;
	struct rte_mbuf_ext_shared_info info = {.free_cb = count_free, .fcb_opaque = &freed};

	test_fill(before, sizeof(before), 7);
	for (enum mark mark = VLAN; mark < MARKS; mark++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(test_packets);
		struct ms_frame frame;

		memcpy(memory, before, sizeof(memory));
		rte_mbuf_ext_refcnt_set(&info, 1);
		rte_pktmbuf_attach_extbuf(m, memory, 0, sizeof(memory), &info);
		m->data_off = 30;
		assert_non_null(rte_pktmbuf_append(m, 220));
		m->hash.rss = HASH;
		frame = test_frame(m, 50, test_session(1), 1);
		test_lane.outputs_n = 0;
		add_marked(test_ports[0], mark, TEST_FRAME_MAX, mark % 2 == 0);
		send_one(frame);
		m = test_receive(0);
		assert_non_null(m);
		assert_marked(m, mark, frame.session, before + 80, 170);
		assert_memory_equal(memory, before, sizeof(memory));
		rte_pktmbuf_free(m);
	}
	assert_int_equal(freed, MARKS - 1);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, test_lane_begin, test_lane_end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(test_in_place),
		EACH(test_any),
		EACH(test_file),
		EACH(test_no_tag),
		EACH(test_lengths),
		EACH(test_no_mbuf),
		EACH(test_no_segments),
		EACH(test_external),
	};

	return cmocka_run_group_tests(tests, test_lane_setup, test_lane_teardown);
}
