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
#include <stdlib.h>

#include <cmocka.h>

#include <rte_eal.h>
#include <rte_pause.h>

#define POOL    16383
#define WORKERS 2

static struct rte_mempool *pool, *other;
static struct ms_dispatch dispatch;

static int
setup(void **state)
{
	char *argv[] = {"dispatch_test", "--no-huge", "--no-shconf", "--no-pci", "-m", "64",
		"--no-telemetry", "--log-level=error", "--lcores=0@0", NULL};
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
		return -1;
	if (rte_eal_init(RTE_DIM(argv) - 1, argv) < 0)
		return -1;
	/* the EAL leaves this thread one processor, which all threads of the tests would share */
	if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0)
		return -1;
	pool = rte_pktmbuf_pool_create("test", POOL, 256, 0, 64, SOCKET_ID_ANY);
	other = rte_pktmbuf_pool_create("other", 1023, 0, 0, 64, SOCKET_ID_ANY);
	return pool == NULL || other == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	rte_mempool_free(other);
	rte_mempool_free(pool);
	return rte_eal_cleanup();
}

static int
begin(void **state)
{
	dispatch.workers_n = WORKERS;
	for (uint16_t w = 0; w < WORKERS; w++) {
		dispatch.counts[w] = 0;
		if (ms_ring_create(&dispatch.rings[w], MS_RING_SIZE, SOCKET_ID_ANY) != 0)
			return -1;
	}
	return 0;
}

/* Each test has freed what it took, or left it in the rings. */
static int
end(void **state)
{
	for (uint16_t w = 0; w < WORKERS; w++)
		ms_ring_free(dispatch.rings[w]);
	return rte_mempool_in_use_count(pool) + rte_mempool_in_use_count(other) == 0 ? 0 : -1;
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

/* Frames that a worker has not taken. */
static uint32_t
waiting(uint16_t worker)
{
	const struct ms_ring *ring = dispatch.rings[worker];

	return atomic_load(&ring->filled) - ring->taken;
}

/* Takes the next frame of a worker's ring, and is done with it; fails if there is none. */
static struct ms_frame
take(uint16_t worker)
{
	struct ms_ring *ring = dispatch.rings[worker];
	struct ms_frame frame;

	assert_true(waiting(worker) > 0);
	frame = ring->places[ring->taken++ & ring->mask];
	assert_true(is_whole(&frame));
	ms_ring_done(ring);
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
		assert_int_equal(ms_dispatch_burst(&dispatch, frames, hashes, n, NULL), 0);
	}
	for (uint64_t i = 0; i < number; i++) {
		uint16_t worker = ms_dispatch_worker(mix((uint32_t)i), WORKERS);
		struct ms_frame frame = take(worker);

		assert_int_equal(frame.timestamp, i);
		next[worker]++;
	}
	assert_int_equal(next[0] + next[1], number);
	assert_true(next[0] > 0 && next[1] > 0);
	for (uint16_t w = 0; w < WORKERS; w++)
		assert_int_equal(waiting(w), 0);
}

/* Fills the ring of worker 0; returns how many frames it took. */
static uint64_t
fill(void)
{
	const uint32_t hash = hash_of(0);
	uint64_t number = 0;

	while (waiting(0) < MS_RING_SIZE) {
		struct ms_frame frame = make_frame(number++);

		assert_int_equal(ms_dispatch_burst(&dispatch, &frame, &hash, 1, NULL), 0);
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
	assert_int_equal(
		ms_dispatch_burst(&dispatch, frames, hashes, MS_BURST, NULL), MS_BURST / 2);
	for (uint16_t i = 1; i < MS_BURST; i += 2) {
		struct ms_frame frame = take(1);

		assert_int_equal(frame.timestamp, number + i);
	}
}

/* What waits goes on when there is room, as far as there is, before what comes later. */
static void
test_retry(void **state)
{
	uint64_t number = fill();

	assert_int_equal(number, MS_RING_SIZE);
	send_half(number);
	assert_int_equal(ms_dispatch_retry(&dispatch), MS_BURST / 2);
	for (uint64_t i = 0; i < 10; i++)
		take(0);
	assert_int_equal(ms_dispatch_retry(&dispatch), MS_BURST / 2 - 10);
	assert_int_equal(waiting(0), MS_RING_SIZE);
	for (uint64_t i = 10; i < number; i++) {
		struct ms_frame frame = take(0);

		assert_int_equal(frame.timestamp, i);
	}
	assert_int_equal(ms_dispatch_retry(&dispatch), 0);
	assert_int_equal(ms_dispatch_retry(&dispatch), 0);
	for (uint64_t i = 0; i < MS_BURST; i += 2) {
		struct ms_frame frame = take(0);

		assert_int_equal(frame.timestamp, number + i);
	}
	assert_int_equal(waiting(0), 0);
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
	assert_int_equal(waiting(0), number);
	/* the frames in the ring are left to ms_ring_free() */
}

/* All that workers are done with is freed, from every ring, but what an output has kept. */
static void
test_reclaim(void **state)
{
	const unsigned int counts[WORKERS] = {MS_RING_SIZE, 300};
	struct rte_mbuf *kept[WORKERS];
	unsigned int sum = 0, n;

	assert_int_equal(ms_dispatch_reclaim(&dispatch), 0);
	for (uint16_t w = 0; w < WORKERS; w++) {
		uint32_t hash = hash_of(w);

		for (unsigned int i = 0; i < counts[w]; i++) {
			struct ms_frame frame = make_frame(i);

			assert_int_equal(ms_dispatch_burst(&dispatch, &frame, &hash, 1, NULL), 0);
		}
	}
	assert_int_equal(ms_dispatch_reclaim(&dispatch), 0);
	for (uint16_t w = 0; w < WORKERS; w++) {
		struct ms_ring *ring = dispatch.rings[w];
		struct rte_mbuf *done[MS_BURST];
		struct ms_frame *frames;

		/* the first of the first burst is kept, and the others are given back in reverse */
		assert_int_equal(ms_ring_take(dispatch.rings[w], &frames), MS_BURST);
		kept[w] = frames[0].mbuf;
		for (uint16_t i = 1; i < MS_BURST; i++)
			done[MS_BURST - 1 - i] = frames[i].mbuf;
		ms_ring_give_back(ring, frames, MS_BURST, done, MS_BURST - 1);
		if (w == 0) /* nobody is done with anything yet */
			assert_int_equal(ms_dispatch_reclaim(&dispatch), 0);
		ms_ring_done(dispatch.rings[w]);
		while ((n = ms_ring_take(dispatch.rings[w], &frames)) > 0)
			ms_ring_done(dispatch.rings[w]);
	}
	while ((n = ms_dispatch_reclaim(&dispatch)) > 0)
		sum += n;
	assert_int_equal(sum, counts[0] + counts[1] - WORKERS);
	assert_int_equal(rte_mempool_in_use_count(pool), WORKERS);
	for (uint16_t w = 0; w < WORKERS; w++)
		rte_pktmbuf_free(kept[w]);
}

/* A full ring takes more as soon as the worker is done with some, whoever frees them. */
static void
test_room(void **state)
{
	const uint32_t hash = hash_of(0);
	uint32_t hashes[MS_BURST] = {0};
	struct ms_frame frames[MS_BURST], frame;

	fill();
	take(0);
	frame = make_frame(1);
	assert_int_equal(ms_dispatch_burst(&dispatch, &frame, &hash, 1, NULL), 0);
	frame = make_frame(2);
	assert_int_equal(ms_dispatch_burst(&dispatch, &frame, &hash, 1, NULL), 1);
	assert_int_equal(ms_dispatch_give_up(&dispatch, frames), 1);
	rte_pktmbuf_free(frame.mbuf);
	for (unsigned int i = 0; i < MS_RING_SIZE; i++)
		take(0);
	while (ms_dispatch_reclaim(&dispatch) > 0)
		;

	/* all that it is done with, beyond the end of the places too: begins 7 before it */
	for (unsigned int i = 0; i < MS_RING_SIZE - 8; i++) {
		frame = make_frame(i);
		assert_int_equal(ms_dispatch_burst(&dispatch, &frame, &hash, 1, NULL), 0);
		take(0);
	}
	while (ms_dispatch_reclaim(&dispatch) > 0)
		;
	for (uint64_t number = fill(); number > 0; number--)
		take(0);
	for (unsigned int i = 0; i < MS_BURST; i++)
		frames[i] = make_frame(i);
	assert_int_equal(ms_dispatch_burst(&dispatch, frames, hashes, MS_BURST, NULL), 0);
}

/* A ring ends with what it holds: not taken, taken, or done with. */
static void
test_ring(void **state)
{
	struct ms_dispatch one = {.workers_n = 1};
	uint32_t hashes[MS_BURST] = {0};
	struct ms_frame frames[MS_BURST], *taken;

	ms_ring_free(NULL);
	for (unsigned int round = 0; round < 3; round++) {
		assert_int_equal(ms_ring_create(&one.rings[0], 128, SOCKET_ID_ANY), 0);
		for (unsigned int i = 0; i < MS_BURST; i++)
			frames[i] = make_frame(i);
		assert_int_equal(ms_dispatch_burst(&one, frames, hashes, MS_BURST, NULL), 0);
		if (round > 0)
			assert_int_equal(ms_ring_take(one.rings[0], &taken), MS_BURST);
		if (round > 1)
			ms_ring_done(one.rings[0]);
		assert_int_equal(rte_mempool_in_use_count(pool), MS_BURST);
		ms_ring_free(one.rings[0]);
		assert_int_equal(rte_mempool_in_use_count(pool), 0);
	}
}

/* What comes while a frame waits goes behind it, for one worker or several. */
static void
test_behind(void **state)
{
	const uint32_t hash = hash_of(0);

	for (dispatch.workers_n = 1; dispatch.workers_n <= WORKERS; dispatch.workers_n++) {
		uint64_t number = fill();
		struct ms_frame frame = make_frame(number);

		assert_int_equal(ms_dispatch_burst(&dispatch, &frame, &hash, 1, NULL), 1);
		take(0);
		frame = make_frame(number + 1);
		assert_int_equal(ms_dispatch_burst(&dispatch, &frame, &hash, 1, NULL), 1);
		take(0);
		assert_int_equal(ms_dispatch_retry(&dispatch), 0);
		for (uint64_t i = 2; i < number + 2; i++)
			assert_int_equal(take(0).timestamp, i);
	}
}

/* Makes the mbuf of some frames one that cannot go back to the pool as it is. */
static void
make_odd(struct ms_frame *frame)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(other);

	assert_non_null(m);
	if (rand() % 2 == 0) { /* with a segment of another pool */
		assert_int_equal(rte_pktmbuf_chain(frame->mbuf, m), 0);
	} else { /* of another pool, with the other's buffer, which it keeps under way */
		rte_pktmbuf_attach(m, frame->mbuf);
		rte_pktmbuf_free(frame->mbuf);
		frame->mbuf = m;
	}
}

/* A mbuf that waits is not taken for plain because those behind it are. */
static void
test_behind_odd(void **state)
{
	const uint32_t hash = hash_of(0);

	for (unsigned int i = 0; i < 16; i++) {
		uint64_t number = fill();
		struct ms_frame frame = make_frame(number);

		dispatch.workers_n = (uint16_t)(1 + i % WORKERS);
		make_odd(&frame);
		assert_int_equal(ms_dispatch_burst(&dispatch, &frame, &hash, 1, NULL), 1);
		take(0);
		frame = make_frame(number + 1);
		assert_int_equal(ms_dispatch_burst(&dispatch, &frame, &hash, 1, pool), 1);
		take(0);
		assert_int_equal(ms_dispatch_retry(&dispatch), 0);
		while (waiting(0) > 0)
			take(0);
		while (ms_dispatch_reclaim(&dispatch) > 0)
			;
		assert_int_equal(rte_mempool_in_use_count(pool), 0);
		assert_int_equal(rte_mempool_in_use_count(other), 0);
	}
}

/* What a worker has taken of a ring in test_random(). */
struct taken {
	uint64_t next; /* no frame of its may have a lower number */
	uint64_t frames;
	uint64_t kept;
};

/* Takes a burst as a worker does: keeps some mbufs, and gives the others back in any order. */
static void
take_burst(const struct ms_dispatch *from, uint16_t worker, struct taken *taken)
{
	struct ms_ring *ring = from->rings[worker];
	struct rte_mbuf *done[MS_BURST];
	uint16_t done_n = 0, n;
	struct ms_frame *frames;

	n = ms_ring_take(ring, &frames);
	for (uint16_t i = 0; i < n; i++) {
		uint64_t number = frames[i].timestamp;

		assert_true(is_whole(&frames[i]));
		assert_true(number >= taken->next);
		assert_int_equal(
			ms_dispatch_worker(mix((uint32_t)number), from->workers_n), worker);
		taken->next = number + 1;
		if (rand() % 8 == 0) {
			rte_pktmbuf_free(frames[i].mbuf);
			taken->kept++;
		} else {
			uint16_t at = (uint16_t)(rand() % (done_n + 1));

			done[done_n++] = done[at];
			done[at] = frames[i].mbuf;
		}
	}
	taken->frames += n;
	if (done_n < n || rand() % 2 == 0)
		ms_ring_give_back(ring, frames, n, done, done_n);
	if (rand() % 4 != 0) /* else with the next */
		ms_ring_done(ring);
}

/*
 * Bursts of any size into small rings that are mostly full, workers that get on now and then, and
 * an rx lcore that waits or gives up: each frame is taken, once and in order, or given up, and each
 * mbuf comes back.
 */
static void
run_random(uint16_t workers_n)
{
	struct ms_dispatch small = {.workers_n = workers_n};
	struct taken taken[WORKERS] = {0};
	uint64_t number = 0, given_up = 0, freed = 0;
	struct ms_frame frames[MS_BURST];
	uint32_t hashes[MS_BURST];

	srand(1);
	for (uint16_t w = 0; w < workers_n; w++)
		assert_int_equal(ms_ring_create(&small.rings[w], 32u << w, SOCKET_ID_ANY), 0);
	for (unsigned int round = 0; round < 50000; round++) {
		uint16_t n = (uint16_t)(rand() % (MS_BURST + 1)), left;

		ms_dispatch_fetch(&small, n);
		for (uint16_t i = 0; i < n; i++, number++) {
			frames[i] = make_frame(number);
			hashes[i] = mix((uint32_t)number);
			if (round % 4 == 0 && rand() % 64 == 0)
				make_odd(&frames[i]);
		}
		left = ms_dispatch_burst(&small, frames, hashes, n, round % 4 == 0 ? NULL : pool);
		while (left > 0 && rand() % 16 != 0) {
			uint16_t w = (uint16_t)(rand() % workers_n);

			take_burst(&small, w, &taken[w]);
			left = ms_dispatch_retry(&small);
		}
		assert_int_equal(ms_dispatch_give_up(&small, frames), left);
		for (uint16_t i = 0; i < left; i++)
			rte_pktmbuf_free(frames[i].mbuf);
		given_up += left;
		for (uint16_t w = 0; w < workers_n; w++) {
			if (rand() % 2 == 0)
				take_burst(&small, w, &taken[w]);
		}
		if (rand() % 2 == 0)
			freed += ms_dispatch_reclaim(&small);
	}
	assert_true(given_up > 1000 && freed > 1000 && taken[0].kept > 1000);
	for (uint16_t w = 0; w < workers_n; w++) {
		while (taken[w].frames < atomic_load(&small.rings[w]->filled))
			take_burst(&small, w, &taken[w]);
		ms_ring_done(small.rings[w]);
	}
	assert_int_equal(taken[0].frames + taken[1].frames + given_up, number);
	while (ms_dispatch_reclaim(&small) > 0)
		;
	assert_int_equal(rte_mempool_in_use_count(pool) + rte_mempool_in_use_count(other), 0);
	for (uint16_t w = 0; w < workers_n; w++)
		ms_ring_free(small.rings[w]);
}

static void
test_random(void **state)
{
	for (uint16_t n = 1; n <= WORKERS; n++)
		run_random(n);
}

/* A worker's thread: what it took; read when it has ended. */
struct worker {
	pthread_t thread;
	struct ms_ring *ring;
	uint16_t number;
	unsigned int pauses; /* after each frame, with which it is done then; 0: done with bursts */
	atomic_bool *stop;
	uint64_t frames;
	uint64_t sum;   /* of the frames' numbers */
	uint64_t wrong; /* frames that were damaged, another worker's, or out of order */
};

static void *
work(void *arg)
{
	struct worker *worker = arg;
	struct ms_frame *frames;
	uint64_t next = 0;
	bool stop;

	for (;;) {
		uint32_t first;
		unsigned int n;

		stop = atomic_load_explicit(worker->stop, memory_order_acquire);
		first = worker->ring->taken;
		n = ms_ring_take(worker->ring, &frames);
		if (n == 0 && stop)
			return NULL;
		if (n == 0)
			sched_yield();
		for (unsigned int i = 0; i < n; i++) {
			uint64_t number = frames[i].timestamp;

			worker->wrong += number < next || !is_whole(&frames[i]) ||
			                 ms_dispatch_worker(mix((uint32_t)number % 64),
						 dispatch.workers_n) != worker->number;
			next = number + 1;
			worker->sum += number;
			for (unsigned int p = 0; p < worker->pauses; p++)
				rte_pause();
			if (worker->pauses > 0) {
				worker->ring->taken = first + i + 1;
				ms_ring_done(worker->ring);
			}
		}
		worker->frames += n;
		ms_ring_done(worker->ring);
	}
}

/*
 * One producer, one or two workers, frames of 64 flows: none is lost, doubled or damaged, and all
 * are in order.
 */
static void
run_threads(unsigned int total, unsigned int pauses)
{
	struct worker workers[WORKERS] = {0};
	struct ms_frame frames[MS_BURST];
	uint32_t hashes[MS_BURST];
	atomic_bool stop = false;

	for (uint16_t w = 0; w < dispatch.workers_n; w++) {
		workers[w].number = w;
		workers[w].ring = dispatch.rings[w];
		workers[w].pauses = pauses;
		workers[w].stop = &stop;
		assert_int_equal(pthread_create(&workers[w].thread, NULL, work, &workers[w]), 0);
	}
	for (uint64_t number = 0; number < total;) {
		uint16_t n = (uint16_t)RTE_MIN(1 + number % MS_BURST, total - number);

		while (rte_mempool_avail_count(pool) < n) {
			sched_yield();
			ms_dispatch_reclaim(&dispatch);
		}
		for (uint16_t i = 0; i < n; i++, number++) {
			frames[i] = make_frame(number);
			hashes[i] = mix((uint32_t)number % 64);
		}
		ms_dispatch_burst(&dispatch, frames, hashes, n, pool);
		while (ms_dispatch_retry(&dispatch) > 0) {
			ms_dispatch_reclaim(&dispatch);
			sched_yield();
		}
		ms_dispatch_reclaim(&dispatch);
	}
	atomic_store_explicit(&stop, true, memory_order_release);
	for (uint16_t w = 0; w < dispatch.workers_n; w++) {
		pthread_join(workers[w].thread, NULL);
		assert_int_equal(workers[w].wrong, 0);
		assert_true(workers[w].frames > total / 4);
	}
	while (ms_dispatch_reclaim(&dispatch) > 0)
		;
	assert_int_equal(workers[0].frames + workers[1].frames, total);
	assert_int_equal(workers[0].sum + workers[1].sum, (uint64_t)total * (total - 1) / 2);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void
test_threads(void **state)
{
	run_threads(1000000, 0);
}

/* The same with slow workers and rings of two bursts: room comes in the middle of a burst. */
static void
test_threads_full(void **state)
{
	for (uint16_t w = 0; w < WORKERS; w++) {
		ms_ring_free(dispatch.rings[w]);
		assert_int_equal(
			ms_ring_create(&dispatch.rings[w], 2 * MS_BURST, SOCKET_ID_ANY), 0);
	}
	for (dispatch.workers_n = 1; dispatch.workers_n <= WORKERS; dispatch.workers_n++)
		run_threads(200000, 8);
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
		EACH(test_room),
		EACH(test_ring),
		EACH(test_behind),
		EACH(test_behind_odd),
		EACH(test_random),
		EACH(test_threads),
		EACH(test_threads_full),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
