/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dispatch: frames reach the worker that their hash names, in order, once; what a full ring does
 * not take is given back in order; and every mbuf comes home.
 */
#include "dispatch/ms_dispatch.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <rte_eal.h>
#include <rte_ring_elem.h>

#define POOL    16383
#define WORKERS 2

static struct rte_mempool *pool;
static struct ms_dispatch dispatch;

static int
setup(void **state)
{
	char *argv[] = {"dispatch_test", "--no-huge", "--no-shconf", "--no-pci", "-m", "64",
		"--no-telemetry", "--log-level=error", "--lcores=0@0", NULL};

	if (rte_eal_init(RTE_DIM(argv) - 1, argv) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("test", POOL, 256, 0, 64, SOCKET_ID_ANY);
	return pool == NULL ? -1 : 0;
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
	dispatch.workers_n = WORKERS;
	for (uint16_t w = 0; w < WORKERS; w++) {
		char name[16];

		snprintf(name, sizeof(name), "w%u", w);
		dispatch.counts[w] = 0;
		if (ms_ring_pair_create(&dispatch.rings[w], name, MS_RING_SIZE) != 0)
			return -1;
	}
	return 0;
}

/* Each test has freed what it took, or left it in the rings. */
static int
end(void **state)
{
	for (uint16_t w = 0; w < WORKERS; w++)
		ms_ring_pair_free(&dispatch.rings[w]);
	return rte_mempool_in_use_count(pool) == 0 ? 0 : -1;
}

/* A hash of the worker's. */
static uint32_t
hash_of(uint16_t worker)
{
	return worker * (UINT32_MAX / WORKERS + 1);
}

static uint32_t
mix(uint32_t x)
{
	x = (x ^ x >> 16) * 0x7feb352du;
	x = (x ^ x >> 15) * 0x846ca68bu;
	return x ^ x >> 16;
}

/* Frame number `number`, which its mbuf knows too. */
static struct ms_frame
make_frame(uint64_t number)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	assert_non_null(m);
	*(uint64_t *)m->buf_addr = number;
	return (struct ms_frame){.mbuf = m,
		.timestamp = number,
		.outputs = mix((uint32_t)number),
		.session = number & 0x3fffffff,
		.length = number & 0xffff};
}

static bool
is_whole(const struct ms_frame *frame)
{
	uint64_t number = frame->timestamp;

	return *(uint64_t *)frame->mbuf->buf_addr == number &&
	       frame->outputs == mix((uint32_t)number) && frame->session == (number & 0x3fffffff) &&
	       frame->length == (number & 0xffff);
}

/* Takes the next frame of a worker's ring; fails if there is none. */
static struct ms_frame
take(uint16_t worker)
{
	struct ms_frame frame;

	assert_int_equal(
		rte_ring_sc_dequeue_elem(dispatch.rings[worker].forward, &frame, sizeof(frame)), 0);
	assert_true(is_whole(&frame));
	return frame;
}

static void
test_worker(void **state)
{
	for (uint16_t workers = 1; workers <= MS_WORKERS_MAX; workers++) {
		unsigned int counts[MS_WORKERS_MAX] = {0};

		assert_int_equal(ms_dispatch_worker(0, workers), 0);
		assert_int_equal(ms_dispatch_worker(UINT32_MAX, workers), workers - 1);
		for (uint32_t i = 0; i < 32000; i++)
			counts[ms_dispatch_worker(mix(i + 1), workers)]++;
		for (uint16_t w = 0; w < workers; w++)
			assert_in_range(
				counts[w], 32000 / workers * 8 / 10, 32000 / workers * 12 / 10);
	}
}

/* Both workers' frames, in the order in which they came. */
static void
test_order(void **state)
{
	uint64_t next[WORKERS] = {0};
	struct ms_frame frames[MS_BURST];
	uint32_t hashes[MS_BURST];
	uint64_t number = 0;

	for (uint16_t n = 0; n <= MS_BURST; n++) {
		for (uint16_t i = 0; i < n; i++, number++) {
			frames[i] = make_frame(number);
			hashes[i] = mix((uint32_t)number);
		}
		assert_int_equal(ms_dispatch_burst(&dispatch, frames, hashes, n), 0);
	}
	for (uint64_t i = 0; i < number; i++) {
		uint16_t worker = ms_dispatch_worker(mix((uint32_t)i), WORKERS);
		struct ms_frame frame = take(worker);

		assert_int_equal(frame.timestamp, i);
		rte_pktmbuf_free(frame.mbuf);
		next[worker]++;
	}
	assert_int_equal(next[0] + next[1], number);
	assert_true(next[0] > 0 && next[1] > 0);
	for (uint16_t w = 0; w < WORKERS; w++)
		assert_true(rte_ring_empty(dispatch.rings[w].forward));
}

/* Fills the ring of worker 0; returns how many frames it took. */
static uint64_t
fill(void)
{
	const uint32_t hash = hash_of(0);
	uint64_t number = 0;

	while (!rte_ring_full(dispatch.rings[0].forward)) {
		struct ms_frame frame = make_frame(number++);

		assert_int_equal(ms_dispatch_burst(&dispatch, &frame, &hash, 1), 0);
	}
	return number;
}

/* Sends a burst, every other frame to worker 1, the rest to the full ring of worker 0. */
static void
send_half(uint64_t number)
{
	struct ms_frame frames[MS_BURST];
	uint32_t hashes[MS_BURST];

	for (uint16_t i = 0; i < MS_BURST; i++) {
		frames[i] = make_frame(number + i);
		hashes[i] = hash_of(i % 2);
	}
	assert_int_equal(ms_dispatch_burst(&dispatch, frames, hashes, MS_BURST), MS_BURST / 2);
	for (uint16_t i = 1; i < MS_BURST; i += 2) {
		struct ms_frame frame = take(1);

		assert_int_equal(frame.timestamp, number + i);
		rte_pktmbuf_free(frame.mbuf);
	}
}

/* What waits goes on when there is room, as far as there is, before what comes later. */
static void
test_retry(void **state)
{
	uint64_t number = fill();

	assert_int_equal(number, MS_RING_SIZE - 1);
	send_half(number);
	assert_int_equal(ms_dispatch_retry(&dispatch), MS_BURST / 2);
	for (uint64_t i = 0; i < 10; i++)
		rte_pktmbuf_free(take(0).mbuf);
	assert_int_equal(ms_dispatch_retry(&dispatch), MS_BURST / 2 - 10);
	assert_true(rte_ring_full(dispatch.rings[0].forward));
	for (uint64_t i = 10; i < number; i++) {
		struct ms_frame frame = take(0);

		assert_int_equal(frame.timestamp, i);
		rte_pktmbuf_free(frame.mbuf);
	}
	assert_int_equal(ms_dispatch_retry(&dispatch), 0);
	assert_int_equal(ms_dispatch_retry(&dispatch), 0);
	for (uint64_t i = 0; i < MS_BURST; i += 2) {
		struct ms_frame frame = take(0);

		assert_int_equal(frame.timestamp, number + i);
		rte_pktmbuf_free(frame.mbuf);
	}
	assert_true(rte_ring_empty(dispatch.rings[0].forward));
}

static void
test_give_up(void **state)
{
	struct ms_frame frames[MS_BURST];
	uint64_t number = fill();
	uint16_t n;

	send_half(number);
	n = ms_dispatch_give_up(&dispatch, frames);
	assert_int_equal(n, MS_BURST / 2);
	for (uint16_t i = 0; i < n; i++) {
		assert_true(is_whole(&frames[i]));
		assert_int_equal(frames[i].timestamp, number + 2 * i);
		rte_pktmbuf_free(frames[i].mbuf);
	}
	assert_int_equal(ms_dispatch_give_up(&dispatch, frames), 0);
	assert_int_equal(ms_dispatch_retry(&dispatch), 0);
	assert_int_equal(rte_ring_count(dispatch.rings[0].forward), number);
	/* the frames in the ring are left to ms_ring_pair_free() */
}

/* All that workers give back is freed, from every ring, however much it is. */
static void
test_reclaim(void **state)
{
	const unsigned int counts[WORKERS] = {2 * MS_RING_SIZE - 1, 300};
	unsigned int sum = 0, n;

	assert_int_equal(ms_dispatch_reclaim(&dispatch), 0);
	for (uint16_t w = 0; w < WORKERS; w++) {
		for (unsigned int i = 0; i < counts[w]; i++)
			assert_int_equal(rte_ring_sp_enqueue(
						 dispatch.rings[w].back, rte_pktmbuf_alloc(pool)),
				0);
	}
	assert_int_equal(rte_mempool_in_use_count(pool), counts[0] + counts[1]);
	while ((n = ms_dispatch_reclaim(&dispatch)) > 0)
		sum += n;
	assert_int_equal(sum, counts[0] + counts[1]);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void
test_pair(void **state)
{
	struct ms_ring_pair pair = {0};
	struct ms_frame frame;

	ms_ring_pair_free(&pair);
	assert_int_equal(ms_ring_pair_create(&pair, "w0", 64), -EEXIST);
	assert_null(pair.forward);
	assert_null(pair.back);
	assert_int_equal(ms_ring_pair_create(&pair, "twenty-bytes-of-name", 64), 0);
	assert_int_equal(rte_ring_get_capacity(pair.forward), 63);
	assert_true(rte_ring_get_capacity(pair.back) > 63);
	frame = make_frame(1);
	assert_int_equal(rte_ring_sp_enqueue_elem(pair.forward, &frame, sizeof(frame)), 0);
	assert_int_equal(rte_ring_sp_enqueue(pair.back, rte_pktmbuf_alloc(pool)), 0);
	assert_int_equal(rte_mempool_in_use_count(pool), 2);
	ms_ring_pair_free(&pair);
	assert_null(pair.forward);
	assert_null(pair.back);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	assert_int_equal(ms_ring_pair_create(&pair, "twenty-bytes-of-name", 64), 0);
	ms_ring_pair_free(&pair);
}

#define FRAMES 1000000u

/* A worker's thread: what it took; read when it has ended. */
struct worker {
	pthread_t thread;
	struct ms_ring_pair *rings;
	uint16_t number;
	atomic_bool *stop;
	uint64_t frames;
	uint64_t sum;   /* of the frames' numbers */
	uint64_t wrong; /* frames that were damaged, another worker's, or out of order */
};

static void *
work(void *arg)
{
	struct worker *worker = arg;
	struct ms_frame frames[MS_BURST];
	struct rte_mbuf *done[MS_BURST];
	uint64_t next = 0;
	bool stop;

	for (;;) {
		unsigned int n, sent = 0;

		stop = atomic_load_explicit(worker->stop, memory_order_acquire);
		n = rte_ring_sc_dequeue_burst_elem(
			worker->rings->forward, frames, sizeof(frames[0]), MS_BURST, NULL);
		if (n == 0 && stop)
			return NULL;
		if (n == 0)
			sched_yield();
		for (unsigned int i = 0; i < n; i++) {
			uint64_t number = frames[i].timestamp;

			worker->wrong += number < next || !is_whole(&frames[i]) ||
			                 ms_dispatch_worker(mix((uint32_t)number % 64), WORKERS) !=
			                         worker->number;
			next = number + 1;
			worker->sum += number;
			done[i] = frames[i].mbuf;
		}
		worker->frames += n;
		while (sent < n)
			sent += rte_ring_sp_enqueue_burst(
				worker->rings->back, (void **)&done[sent], n - sent, NULL);
	}
}

/* One producer, two workers, a million frames of 64 flows: none is lost, doubled or damaged. */
static void
test_threads(void **state)
{
	struct worker workers[WORKERS] = {0};
	struct ms_frame frames[MS_BURST];
	uint32_t hashes[MS_BURST];
	atomic_bool stop = false;

	for (uint16_t w = 0; w < WORKERS; w++) {
		workers[w].number = w;
		workers[w].rings = &dispatch.rings[w];
		workers[w].stop = &stop;
		assert_int_equal(pthread_create(&workers[w].thread, NULL, work, &workers[w]), 0);
	}
	for (uint64_t number = 0; number < FRAMES;) {
		uint16_t n = (uint16_t)RTE_MIN(1 + number % MS_BURST, FRAMES - number);

		while (rte_mempool_avail_count(pool) < n)
			ms_dispatch_reclaim(&dispatch);
		for (uint16_t i = 0; i < n; i++, number++) {
			frames[i] = make_frame(number);
			hashes[i] = mix((uint32_t)number % 64);
		}
		ms_dispatch_burst(&dispatch, frames, hashes, n);
		while (ms_dispatch_retry(&dispatch) > 0) {
			ms_dispatch_reclaim(&dispatch);
			sched_yield();
		}
		ms_dispatch_reclaim(&dispatch);
	}
	atomic_store_explicit(&stop, true, memory_order_release);
	for (uint16_t w = 0; w < WORKERS; w++) {
		pthread_join(workers[w].thread, NULL);
		assert_int_equal(workers[w].wrong, 0);
		assert_true(workers[w].frames > FRAMES / 4);
	}
	while (ms_dispatch_reclaim(&dispatch) > 0)
		;
	assert_int_equal(workers[0].frames + workers[1].frames, FRAMES);
	assert_int_equal(workers[0].sum + workers[1].sum, (uint64_t)FRAMES * (FRAMES - 1) / 2);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worker),
		EACH(test_order),
		EACH(test_retry),
		EACH(test_give_up),
		EACH(test_reclaim),
		EACH(test_pair),
		EACH(test_threads),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
