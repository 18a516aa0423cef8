/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * output: what a lane does with frames for any set of outputs: nothing, files, and ports, which are
 * ring vdevs here and give back what was sent. Each output gets exactly the bytes of its inner
 * frames; every frame is accounted for, and every mbuf comes home.
 */
#include "output/ms_output.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>

#include "output_fixture.h"

#define RING 1023 /* frames that a ring vdev holds */

static void
assert_ledger(unsigned int output, uint64_t offered, uint64_t written, uint64_t bytes)
{
	const struct ms_output_ledger *ledger = &test_lane.outputs[output].ledger;

	assert_int_equal(ms_count_read(&ledger->offered), offered);
	assert_int_equal(ms_count_read(&ledger->written), written);
	assert_int_equal(ms_count_read(&ledger->bytes), bytes);
}

static uint64_t
drops(unsigned int output, enum ms_drop reason)
{
	return test_drops(&test_lane.outputs[output].ledger, reason);
}

/* Is this the frame that make() made, in a chain that a device can send? */
static void
assert_sent(struct rte_mbuf *m, uint32_t number, uint32_t offset, uint32_t length)
{
	uint16_t segments = 0;

	test_fill(test_bytes, offset + length, number);
	assert_int_equal(m->pkt_len, length);
	for (const struct rte_mbuf *s = m; s != NULL; s = s->next, segments++) {
		/* what came empty may go empty, but not at the ends, where frames are cut */
		assert_true(s->data_len > 0 || (s != m && s->next != NULL));
		assert_true(s->data_len <= length);
		assert_memory_equal(rte_pktmbuf_mtod(s, const uint8_t *),
			test_bytes + offset + m->pkt_len - length, s->data_len);
		length -= s->data_len;
	}
	assert_int_equal(length, 0);
	assert_int_equal(m->nb_segs, segments);
}

static void
send_one(struct ms_frame frame)
{
	struct rte_mbuf *done;

	assert_int_equal(ms_lane_burst(&test_lane, &frame, 1, &done), 0);
}

static void
test_null(void **state)
{
	struct ms_frame frames[MS_BURST];
	struct rte_mbuf *done[MS_BURST];
	uint64_t sum = 0;

	ms_lane_add_null(&test_lane);
	ms_lane_add_null(&test_lane);
	for (uint32_t i = 0; i < MS_BURST; i++) {
		frames[i] = test_make(i, 50, 100 + i, 1, i % 2 == 0 ? 1 : i % 4 == 1 ? 3 : 0);
		if (i % 4 == 1)
			sum += 100 + i;
	}
	assert_int_equal(ms_lane_burst(&test_lane, frames, MS_BURST, done), MS_BURST);
	for (uint32_t i = 0; i < MS_BURST; i++)
		assert_ptr_equal(done[i], frames[i].mbuf);
	assert_ledger(1, MS_BURST / 4, MS_BURST / 4, sum);
	assert_int_equal(ms_count_read(&test_lane.outputs[0].ledger.offered), MS_BURST * 3 / 4);
	ms_lane_flush(&test_lane, 1);
	ms_lane_hasten(&test_lane);
	assert_int_equal(ms_lane_close(&test_lane), 0);
	test_release(frames, MS_BURST);
}

/* Two files and a port: files copy before the port takes the mbufs. */
static void
test_files(void **state)
{
	const struct ms_capfile_options whole = {.format = MS_CAPFILE_PCAPNG, .wait = true};
	const struct ms_capfile_options cut = {
		.format = MS_CAPFILE_PCAPNG, .wait = true, .snaplen = 60};
	char path[2][32] = {"/tmp/output_test.XXXXXX", "/tmp/output_test.XXXXXX"};
	struct ms_frame frames[MS_BURST];
	struct rte_mbuf *done[MS_BURST];
	uint16_t done_n;
	int fds[2];

	for (unsigned int f = 0; f < 2; f++) {
		fds[f] = mkstemp(path[f]);
		assert_int_equal(ms_lane_add_file(&test_lane, dup(fds[f]), f == 0 ? &whole : &cut,
					 test_registry),
			0);
		unlink(path[f]);
	}
	test_add_port(test_ports[0], TEST_FRAME_MAX, true);
	for (uint32_t i = 0; i < MS_BURST; i++)
		frames[i] = test_make(i, 50, 100 + i, 1 + i % 5, 1 | (i % 2 == 0 ? 2 : 4));
	done_n = ms_lane_burst(&test_lane, frames, MS_BURST, done);
	assert_int_equal(done_n, MS_BURST / 2);
	for (uint16_t i = 0; i < done_n; i++) {
		assert_ptr_equal(done[i], frames[2 * i].mbuf);
		rte_pktmbuf_free(done[i]);
	}
	for (uint32_t i = 1; i < MS_BURST; i += 2) {
		struct rte_mbuf *m = test_receive(0);

		assert_non_null(m);
		assert_sent(m, i, 50, 100 + i);
		rte_pktmbuf_free(m);
	}
	ms_lane_flush(&test_lane, UINT64_C(1) << 40);
	assert_int_equal(ms_lane_close(&test_lane), 0);
	for (unsigned int f = 0; f < 2; f++) {
		size_t n;
		uint8_t *file = test_slurp(fds[f], &n);
		struct test_reading r = test_read(file, n);

		assert_int_equal(r.packets_n, f == 0 ? MS_BURST : MS_BURST / 2);
		for (uint32_t i = 0; i < r.packets_n; i++) {
			uint32_t number = f == 0 ? i : 2 * i;

			test_fill(test_bytes, TEST_FRAME_MAX, number);
			assert_int_equal(r.packets[i].time, number);
			assert_int_equal(r.packets[i].captured, f == 0 ? 100 + number : 60);
			assert_memory_equal(
				r.packets[i].bytes, test_bytes + 50, r.packets[i].captured);
		}
		test_reading_free(&r);
		free(file);
		close(fds[f]);
	}
	assert_int_equal(ms_count_read(&test_lane.outputs[0].ledger.written), MS_BURST);
	assert_ledger(1, MS_BURST / 2, MS_BURST / 2, MS_BURST / 2 * 60);
}

/* The first error is the lane's; what was not written is accounted for all the same. */
static void
test_file_error(void **state)
{
	const struct ms_capfile_options options = {.format = MS_CAPFILE_PCAPNG, .wait = true};
	struct ms_frame frame = test_make(1, 50, 100, 1, 3);
	struct rte_mbuf *done;

	ms_lane_add_null(&test_lane);
	assert_int_equal(
		ms_lane_add_file(&test_lane, open("/dev/full", O_WRONLY), &options, test_registry),
		0);
	assert_int_equal(ms_lane_burst(&test_lane, &frame, 1, &done), 1);
	assert_int_equal(ms_lane_close(&test_lane), -ENOSPC);
	assert_ledger(0, 1, 1, 100);
	assert_ledger(1, 1, 0, 0);
	assert_int_equal(drops(1, MS_DROP_DISK_FULL), 1);
	rte_pktmbuf_free(done);
}

/* The packet's own mbuf goes out, cut down to the inner frame; no other is needed. */
static void
test_one_port(void **state)
{
	test_lane.clones = NULL;
	test_add_port(test_ports[0], TEST_FRAME_MAX, true);
	for (uint32_t segments = 1; segments < 6; segments++) {
		struct ms_frame frame = test_make(segments, 50, 600, segments, 1);
		struct rte_mbuf *m;

		send_one(frame);
		m = test_receive(0);
		assert_non_null(m);
		assert_sent(m, segments, 50, 600);
		if (segments == 1)
			assert_ptr_equal(m, frame.mbuf);
		rte_pktmbuf_free(m);
	}
	assert_ledger(0, 5, 5, 5 * 600);
}

/* A frame for output 0 in segments of these sizes. */
static struct ms_frame
make_split(uint32_t number, const uint16_t *sizes, unsigned int n, uint32_t offset, uint32_t length)
{
	struct rte_mbuf *head = NULL;
	struct ms_frame frame;
	uint32_t at = 0;

	test_fill(test_bytes, sizeof(test_bytes), number);
	for (unsigned int i = 0; i < n; i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(test_packets);

		memcpy(rte_pktmbuf_append(m, sizes[i]), test_bytes + at, sizes[i]);
		at += sizes[i];
		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	}
	frame = test_frame(head, offset, test_session(1), number);
	frame.length = length;
	frame.outputs = 1;
	return frame;
}

/* Segments that hold none of the inner frame do not go out, before it or behind it. */
static void
test_empty_segments(void **state)
{
	static const struct {
		uint16_t sizes[5];
		uint32_t offset;
		uint32_t length;
		uint16_t segments; /* that are left */
	} cases[] = {
		{{50, 60, 70, 80, 90}, 50, 300, 4},
		{{25, 25, 70, 80, 90}, 50, 240, 3},
		{{25, 26, 70, 80, 90}, 50, 71, 2},
		{{25, 26, 70, 80, 90}, 50, 1, 1},
		{{20, 20, 20, 20, 20}, 50, 10, 1},
		{{20, 20, 20, 20, 20}, 50, 11, 2},
		{{20, 20, 10, 20, 30}, 50, 50, 2},
		{{20, 20, 20, 20, 20}, 99, 1, 1},
	};

	test_add_port(test_ports[0], TEST_FRAME_MAX, true);
	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		struct rte_mbuf *m;

		send_one(make_split(i, cases[i].sizes, 5, cases[i].offset, cases[i].length));
		m = test_receive(0);
		assert_non_null(m);
		assert_sent(m, i, cases[i].offset, cases[i].length);
		assert_int_equal(m->nb_segs, cases[i].segments);
		assert_int_equal(rte_mempool_in_use_count(test_packets), m->nb_segs);
		rte_pktmbuf_free(m);
	}
}

/* Any frames, to any sets of ports: each port gets its own, whole, in order. */
static void
test_several_ports(void **state)
{
	static struct {
		uint32_t offset;
		uint32_t length;
		uint32_t outputs;
	} sent[MS_BURST];
	uint64_t counts[TEST_PORTS] = {0}, sums[TEST_PORTS] = {0};

	for (unsigned int p = 0; p < TEST_PORTS; p++)
		test_add_port(test_ports[p], TEST_FRAME_MAX, true);
	for (uint32_t round = 0; round < 500; round++) {
		uint16_t n = (uint16_t)(rand() % 16), expected = 0;
		struct ms_frame frames[MS_BURST];
		struct rte_mbuf *done[MS_BURST];

		for (uint16_t i = 0; i < n; i++) {
			sent[i].offset = rand() % 120;
			sent[i].length = 1 + rand() % (rand() % 4 == 0 ? 5000 : 200);
			sent[i].outputs = rand() % (1 << TEST_PORTS);
			expected += sent[i].outputs == 0;
			frames[i] = test_make(round + i, sent[i].offset, sent[i].length,
				1 + rand() % 4, sent[i].outputs);
		}
		assert_int_equal(ms_lane_burst(&test_lane, frames, n, done), expected);
		if (expected > 0)
			rte_pktmbuf_free_bulk(done, expected);
		for (unsigned int turn = 0; turn < TEST_PORTS; turn++) {
			unsigned int p = (turn + round) % TEST_PORTS;

			for (uint16_t i = 0; i < n; i++) {
				struct rte_mbuf *m;

				if ((sent[i].outputs >> p & 1) == 0)
					continue;
				m = test_receive(p);
				assert_non_null(m);
				assert_sent(m, round + i, sent[i].offset, sent[i].length);
				rte_pktmbuf_free(m);
				counts[p]++;
				sums[p] += sent[i].length;
			}
			assert_null(test_receive(p));
		}
		assert_int_equal(rte_mempool_in_use_count(test_packets), 0);
		assert_int_equal(rte_mempool_in_use_count(test_clones), 0);
	}
	for (unsigned int p = 0; p < TEST_PORTS; p++)
		assert_ledger(p, counts[p], counts[p], sums[p]);
}

/* What the queue does not take within its time is dropped, counted and freed. */
static void
test_port_full(void **state)
{
	struct rte_mbuf *m;

	test_add_port(test_ports[0], TEST_FRAME_MAX, true);
	for (uint32_t i = 0; i < RING + 100; i++)
		send_one(test_make(i, 50, 100, 1, 1));
	assert_ledger(0, RING + 100, RING, RING * 100);
	assert_int_equal(drops(0, MS_DROP_PORT_FULL), 100);
	assert_int_equal(rte_mempool_in_use_count(test_packets), RING);
	for (uint32_t i = 0; i < RING; i++) {
		m = test_receive(0);
		assert_non_null(m);
		assert_sent(m, i, 50, 100);
		rte_pktmbuf_free(m);
	}
}

static void
test_port_length(void **state)
{
	struct rte_mbuf *m;

	test_add_port(test_ports[0], 1514, true);
	test_add_port(test_ports[1], TEST_FRAME_MAX, true);
	send_one(test_make(1, 50, 1514, 1, 1));
	send_one(test_make(2, 50, 1515, 1, 1));
	send_one(test_make(3, 50, 1515, 3, 3)); /* short enough for the other port */
	send_one(test_make(4, 50, 0, 1, 1));    /* no bytes at all */
	send_one(test_make(5, 50, 0, 4, 1));
	m = test_receive(0);
	assert_sent(m, 1, 50, 1514);
	rte_pktmbuf_free(m);
	assert_null(test_receive(0));
	m = test_receive(1);
	assert_sent(m, 3, 50, 1515);
	rte_pktmbuf_free(m);
	assert_ledger(0, 5, 1, 1514);
	assert_int_equal(drops(0, MS_DROP_PORT_LENGTH), 4);
	assert_ledger(1, 1, 1, 1515);
}

/* An 802.1Q tag may come on top of a port's longest frame. */
static void
test_port_tagged(void **state)
{
	static const struct {
		uint16_t type;
		uint32_t length;
		bool sent;
	} cases[] = {{0x0800, 1514, true}, {0x0800, 1515, false}, {0x0800, 1518, false},
		{0x8100, 1514, true}, {0x8100, 1515, true}, {0x8100, 1518, true},
		{0x8100, 1519, false}, {0x88a8, 1515, false}};
	uint64_t sent = 0;

	test_add_port(test_ports[0], 1514, true);
	test_destinations[0].ports[0].max_tagged = 1518;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ms_frame frame = test_make(1, 50, cases[i].length, 1, 1);
		uint8_t *type = rte_pktmbuf_mtod_offset(frame.mbuf, uint8_t *, 50 + 12);
		struct rte_mbuf *m;

		type[0] = (uint8_t)(cases[i].type >> 8);
		type[1] = (uint8_t)cases[i].type;
		send_one(frame);
		m = test_receive(0);
		assert_int_equal(m != NULL, cases[i].sent);
		sent += m != NULL;
		assert_int_equal(drops(0, MS_DROP_PORT_LENGTH), i + 1 - sent);
		rte_pktmbuf_free(m);
	}
}

/* A port whose driver puts segments together takes them up to a length. */
static void
test_port_segmented(void **state)
{
	struct rte_mbuf *m;

	test_add_port(test_ports[0], TEST_FRAME_MAX, true);
	test_destinations[0].ports[0].max_segmented = 4000;
	send_one(test_make(1, 50, 4000, 4, 1));
	m = test_receive(0);
	assert_non_null(m);
	assert_true(m->nb_segs > 1);
	assert_sent(m, 1, 50, 4000);
	rte_pktmbuf_free(m);
	send_one(test_make(2, 50, 4001, 4, 1));
	assert_null(test_receive(0));
	assert_ledger(0, 2, 1, 4000);
	assert_int_equal(drops(0, MS_DROP_PORT_SEGMENTS), 1);
}

/* A port without segments gets them in one piece where they fit one. */
static void
test_port_segments(void **state)
{
	struct rte_mbuf *m;

	test_add_port(test_ports[0], TEST_FRAME_MAX, false);
	test_add_port(test_ports[1], TEST_FRAME_MAX, false);
	for (uint32_t i = 0; i < 50; i++) {
		send_one(test_make(i, 50, 1000, 1 + i % 7, 3));
		for (unsigned int p = 0; p < 2; p++) {
			m = test_receive(p);
			assert_non_null(m);
			assert_int_equal(m->nb_segs, 1);
			assert_sent(m, i, 50, 1000);
			rte_pktmbuf_free(m);
		}
	}
	send_one(test_make(1, 50, 5000, 4, 3));
	for (unsigned int p = 0; p < 2; p++) {
		assert_null(test_receive(p));
		assert_ledger(p, 51, 50, 50 * 1000);
		assert_int_equal(drops(p, MS_DROP_PORT_SEGMENTS), 1);
	}
}

/* Without a clone the last port still gets the packet's own mbuf. */
static void
test_no_mbuf(void **state)
{
	struct rte_mbuf *held[TEST_CLONES], *m;

	for (unsigned int p = 0; p < TEST_PORTS; p++)
		test_add_port(test_ports[p], TEST_FRAME_MAX, true);
	assert_int_equal(rte_pktmbuf_alloc_bulk(test_clones, held, TEST_CLONES - 1), 0);
	send_one(test_make(1, 50, 100, 1, 7)); /* two clones are needed, one is there */
	send_one(test_make(2, 50, 300, 3, 6)); /* as many as segments are needed */
	rte_pktmbuf_free_bulk(held, TEST_CLONES - 1);
	m = test_receive(0);
	assert_sent(m, 1, 50, 100);
	rte_pktmbuf_free(m);
	assert_null(test_receive(1));
	for (uint32_t i = 1; i <= 2; i++) {
		m = test_receive(2);
		assert_sent(m, i, 50, i == 1 ? 100 : 300);
		rte_pktmbuf_free(m);
	}
	assert_int_equal(drops(0, MS_DROP_NO_MBUF), 0);
	assert_int_equal(drops(1, MS_DROP_NO_MBUF), 2);
	assert_int_equal(drops(2, MS_DROP_NO_MBUF), 0);
	assert_ledger(2, 2, 2, 400);
}

static void
release_all(unsigned int port, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		rte_pktmbuf_free(test_receive(port));
	assert_null(test_receive(port));
}

/* A port that stood still is asked once a burst, and gets its time again when it has taken one. */
static void
test_port_stands_still(void **state)
{
	test_add_port(test_ports[0], TEST_FRAME_MAX, true);
	for (uint32_t i = 0; i < RING + 2; i++)
		send_one(test_make(i, 50, 100, 1, 1));
	assert_int_equal(test_lane.outputs[0].port.full, 1);
	assert_int_equal(drops(0, MS_DROP_PORT_FULL), 2);
	rte_pktmbuf_free(test_receive(0));
	send_one(test_make(1, 50, 100, 1, 1));
	assert_int_equal(test_lane.outputs[0].port.full, 0);
	assert_ledger(0, RING + 3, RING + 1, (RING + 1) * 100);
	release_all(0, RING);
}

/* Without its port, or while the link is down, an output drops, and says why; others go on. */
static void
test_port_down(void **state)
{
	test_add_port(test_ports[0], TEST_FRAME_MAX, true);
	test_add_port(test_ports[1], TEST_FRAME_MAX, true);
	atomic_store(&test_destinations[0].ports[0].id, MS_PORT_GONE);
	send_one(test_make(1, 50, 100, 1, 3));
	atomic_store(&test_destinations[0].ports[0].id, test_ports[0]);
	atomic_store(&test_destinations[0].ports[0].down, true);
	send_one(test_make(2, 50, 100, 3, 3));
	atomic_store(&test_destinations[0].ports[0].down, false);
	send_one(test_make(3, 50, 100, 1, 3));
	assert_ledger(0, 3, 1, 100);
	assert_int_equal(drops(0, MS_DROP_PORT_DOWN), 2);
	assert_ledger(1, 3, 3, 300);
	release_all(0, 1);
	release_all(1, 3);
}

static void *
receive_later(void *arg)
{
	usleep(20000);
	rte_pktmbuf_free(test_receive(0));
	return NULL;
}

static void *
come_up_later(void *arg)
{
	bool *early = arg;

	usleep(20000);
	*early = test_receive(0) != NULL;
	atomic_store(&test_destinations[0].ports[0].down, false);
	return NULL;
}

/* A lane that waits sends nothing while the link is down. */
static void
test_port_waits_for_link(void **state)
{
	pthread_t other;
	bool early;

	test_lane.wait = true;
	test_add_port(test_ports[0], TEST_FRAME_MAX, true);
	atomic_store(&test_destinations[0].ports[0].down, true);
	assert_int_equal(pthread_create(&other, NULL, come_up_later, &early), 0);
	send_one(test_make(1, 50, 100, 1, 1));
	pthread_join(other, NULL);
	assert_false(early);
	assert_ledger(0, 1, 1, 100);
	release_all(0, 1);
}

/* A lane that waits does so while a port is full, but not for one that is gone or at the end. */
static void
test_port_waits(void **state)
{
	pthread_t reader;

	test_lane.wait = true;
	test_add_port(test_ports[0], TEST_FRAME_MAX, true);
	for (uint32_t i = 0; i < RING; i++)
		send_one(test_make(i, 50, 100, 1, 1));
	assert_int_equal(pthread_create(&reader, NULL, receive_later, NULL), 0);
	send_one(test_make(RING, 50, 100, 1, 1));
	pthread_join(reader, NULL);
	assert_ledger(0, RING + 1, RING + 1, (RING + 1) * 100);
	atomic_store(&test_lane.deadline, 1); /* long ago */
	send_one(test_make(1, 50, 100, 1, 1));
	assert_int_equal(drops(0, MS_DROP_PORT_FULL), 1);
	atomic_store(&test_lane.deadline, 0);
	atomic_store(&test_destinations[0].ports[0].id, MS_PORT_GONE);
	send_one(test_make(1, 50, 100, 1, 1));
	assert_int_equal(drops(0, MS_DROP_PORT_DOWN), 1);
	release_all(0, RING);
}

/* By flow, evenly, in order, whatever the lane, whose flows' hashes have their upper bits alike. */
static void
test_spreads(void **state)
{
	uint16_t got[TEST_PORTS] = {0};
	struct ms_output_ports *to = &test_destinations[0];
	uint16_t port_of[256];

	ms_output_ports_init(to, TEST_PORTS, 1);
	for (unsigned int p = 0; p < TEST_PORTS; p++)
		test_port_fill(&to->ports[p], test_ports[p], TEST_FRAME_MAX, true);
	ms_lane_add_port(&test_lane, to, 0);
	memset(port_of, 0xff, sizeof(port_of));
	for (uint32_t round = 0; round < 40; round++) {
		struct ms_frame frames[MS_BURST];
		struct rte_mbuf *done[MS_BURST];

		for (uint32_t i = 0; i < MS_BURST; i++) {
			uint32_t flow = (uint32_t)rand() % 256;

			frames[i] = test_make(round * MS_BURST + i, 50, 100 + flow, 1, 1);
			/* flows of the last of four workers */
			frames[i].mbuf->hash.rss = UINT32_C(0xc0000000) | flow << 22 | flow;
		}
		assert_int_equal(ms_lane_burst(&test_lane, frames, MS_BURST, done), 0);
		for (uint16_t p = 0; p < TEST_PORTS; p++) {
			uint64_t last = 0;
			struct rte_mbuf *m;

			while ((m = test_receive(p)) != NULL) {
				uint32_t flow = m->pkt_len - 100;

				assert_true(port_of[flow] == UINT16_MAX || port_of[flow] == p);
				port_of[flow] = p;
				for (uint64_t i = last; i < MS_BURST; i++) {
					if (frames[i].mbuf == m)
						last = i + 1;
				}
				assert_true(last > 0);
				assert_ptr_equal(frames[last - 1].mbuf, m);
				got[p]++;
				rte_pktmbuf_free(m);
			}
		}
	}
	for (unsigned int p = 0; p < TEST_PORTS; p++)
		assert_in_range(
			got[p], 40 * MS_BURST / TEST_PORTS / 2, 40 * MS_BURST / TEST_PORTS * 2);
	assert_int_equal(got[0] + got[1] + got[2], 40 * MS_BURST);
	assert_int_equal(ms_count_read(&test_lane.outputs[0].ledger.written), 40 * MS_BURST);
}

/* A port that stands still, or is gone, takes its own flows with it and no others. */
static void
test_spreads_around_a_stop(void **state)
{
	struct ms_output_ports *to = &test_destinations[0];
	uint64_t written;

	ms_output_ports_init(to, 2, 1);
	test_port_fill(&to->ports[0], MS_PORT_GONE, TEST_FRAME_MAX, true);
	test_port_fill(&to->ports[1], test_ports[1], TEST_FRAME_MAX, true);
	ms_lane_add_port(&test_lane, to, 0);
	for (uint32_t i = 0; i < 200; i++) {
		struct ms_frame frame = test_make(i, 50, 100, 1, 1);

		frame.mbuf->hash.rss = i * UINT32_C(0x01234567);
		send_one(frame);
	}
	written = ms_count_read(&test_lane.outputs[0].ledger.written);
	assert_in_range(written, 50, 150);
	assert_int_equal(drops(0, MS_DROP_PORT_DOWN), 200 - written);
	release_all(1, (uint32_t)written);
}

/* Each session has a port of its own; one without is dropped here, and goes to a later port. */
static void
test_ports_of_sessions(void **state)
{
	static _Atomic(uint8_t) of_session[MS_SESSIONS_MAX];
	struct ms_output_ports *to = &test_destinations[0];

	ms_output_ports_init(to, 2, 1);
	for (unsigned int p = 0; p < 2; p++)
		test_port_fill(&to->ports[p], test_ports[p], TEST_FRAME_MAX, true);
	to->of_session = of_session;
	ms_lane_add_port(&test_lane, to, 0);
	test_add_port(test_ports[2], TEST_FRAME_MAX, true);
	atomic_store(&of_session[7], 1);
	atomic_store(&of_session[9], 2);
	for (uint32_t i = 0; i < 90; i++) {
		struct ms_frame frame = test_make(i, 50, 100, 1, i % 2 == 0 ? 1 : 3);

		frame.session = 7 + i % 3;
		frame.mbuf->hash.rss = i * UINT32_C(0x01234567);
		send_one(frame);
	}
	for (uint32_t i = 0; i < 90; i++) {
		for (unsigned int p = 0; p < 3; p++) {
			struct rte_mbuf *m;

			if (p == 2 ? i % 2 == 0 : i % 3 != p * 2)
				continue;
			m = test_receive(p);
			assert_non_null(m);
			assert_sent(m, i, 50, 100);
			rte_pktmbuf_free(m);
		}
	}
	assert_ledger(0, 90, 60, 6000);
	assert_int_equal(drops(0, MS_DROP_NO_PORT), 30);
	assert_ledger(1, 45, 45, 4500);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, test_lane_begin, test_lane_end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(test_null),
		EACH(test_files),
		EACH(test_file_error),
		EACH(test_one_port),
		EACH(test_empty_segments),
		EACH(test_several_ports),
		EACH(test_port_full),
		EACH(test_port_length),
		EACH(test_port_segments),
		EACH(test_port_tagged),
		EACH(test_port_segmented),
		EACH(test_no_mbuf),
		EACH(test_port_stands_still),
		EACH(test_port_down),
		EACH(test_port_waits),
		EACH(test_port_waits_for_link),
		EACH(test_spreads),
		EACH(test_spreads_around_a_stop),
		EACH(test_ports_of_sessions),
	};

	return cmocka_run_group_tests(tests, test_lane_setup, test_lane_teardown);
}
