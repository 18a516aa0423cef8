/* SPDX-License-Identifier: BSD-3-Clause */
/* Spreads a burst over the workers' rings, and takes back what they are done with. */
#include "dispatch/ms_dispatch.h"

#include <string.h>

#include <rte_prefetch.h>

#include "packet/ms_mbuf.h"

/* Mbufs that are freed at a time. */
#define RECLAIM 256

/* Does place number `at`, of those that the worker may be done with, stand before this one? */
static inline bool
is_near(const struct ms_ring *ring, uint32_t at)
{
	return at - ring->reclaimed - 1 <= ring->mask;
}

/* Frees what it finds in n places from number `from` on. Returns how many mbufs there were. */
static unsigned int
free_singly(struct ms_ring *ring, uint32_t from, uint32_t n)
{
	struct rte_mbuf *mbufs[RECLAIM];
	unsigned int mbufs_n = 0;

	for (uint32_t i = from; i != from + n; i++) {
		struct rte_mbuf *m = ring->places[i & ring->mask].mbuf;

		mbufs[mbufs_n] = m;
		mbufs_n += m != NULL;
	}
	if (mbufs_n > 0)
		ms_mbuf_free_bulk(mbufs, mbufs_n);
	return mbufs_n;
}

/*
 * Frees mbufs of one ring, up to its end or RECLAIM. Returns how many. Mostly a worker has kept
 * none, and all were plain when they went; then they go back to their pool without a look at them.
 */
static inline unsigned int
reclaim(struct ms_ring *ring)
{
	uint32_t done = atomic_load_explicit(&ring->done, memory_order_acquire);
	uint32_t changed = atomic_load_explicit(&ring->changed, memory_order_relaxed);
	uint32_t from = ring->reclaimed, at = from & ring->mask;
	uint32_t n = RTE_MIN(done - from, ring->mask + 1 - at);

	n = RTE_MIN(n, (uint32_t)RECLAIM);
	if (n == 0)
		return 0;
	if (unlikely(is_near(ring, changed) || is_near(ring, ring->odd))) {
		ring->reclaimed += n;
		return free_singly(ring, from, n);
	}
	ring->reclaimed += n;
	rte_mempool_put_bulk(ring->pool, (void *const *)&ring->mbufs[at], n);
	return n;
}

/* Sees to it that there are n free places, if the worker is done with so many. Returns how many. */
static inline uint32_t
make_room(struct ms_ring *ring, uint32_t n)
{
	uint32_t size = ring->mask + 1;

	while (unlikely(size - (ring->head - ring->reclaimed) < n) &&
		atomic_load_explicit(&ring->done, memory_order_relaxed) != ring->reclaimed)
		reclaim(ring);
	return RTE_MIN(n, size - (ring->head - ring->reclaimed));
}

/* Do all mbufs go back to the ring's pool as they are? */
static inline bool
all_plain(const struct ms_ring *ring, const struct ms_frame *frames, uint32_t n)
{
	uint64_t odd = 0;

	for (uint32_t i = 0; i < n; i++)
		odd |= ms_mbuf_oddity(frames[i].mbuf, ring->pool);
	return odd == 0;
}

/* Fills n places from number `from` on, which lie in one piece. */
static inline void
fill(struct ms_ring *ring, uint32_t from, const struct ms_frame *frames, uint32_t n)
{
	struct ms_frame *restrict places = &ring->places[from & ring->mask];
	struct rte_mbuf **restrict mbufs = &ring->mbufs[from & ring->mask];

	for (uint32_t i = 0; i < n; i++)
		mbufs[i] = frames[i].mbuf;
	for (uint32_t i = 0; i < n; i++)
		places[i] = frames[i];
}

/*
 * Puts as many of frames[0..n) as there is room for, and lets the worker see them. Returns how
 * many. pool: as in ms_dispatch_burst().
 */
static inline uint16_t
put(struct ms_ring *ring, const struct ms_frame *frames, uint16_t n, const struct rte_mempool *pool)
{
	uint32_t first = ring->mask + 1 - (ring->head & ring->mask);

	n = (uint16_t)make_room(ring, n);
	if (unlikely(n == 0))
		return 0;
	if (unlikely(ring->pool == NULL))
		ring->pool = frames[0].mbuf->pool;
	first = RTE_MIN(n, first);
	fill(ring, ring->head, frames, first);
	fill(ring, ring->head + first, &frames[first], n - first);
	ring->head += n;
	if (unlikely(pool != ring->pool && !all_plain(ring, frames, n)))
		ring->odd = ring->head;
	atomic_store_explicit(&ring->filled, ring->head, memory_order_release);
	return n;
}

void
ms_dispatch_fetch(const struct ms_dispatch *dispatch, uint16_t n)
{
	uint16_t share = dispatch->workers_n > 1 ? n / 2 : n;

	for (uint16_t w = 0; w < dispatch->workers_n; w++) {
		const struct ms_ring *ring = dispatch->rings[w];

		__builtin_prefetch(&ring->done); /* asked for after the burst */
		/* two places a line */
		for (uint16_t i = 0; i < share; i += 2)
			__builtin_prefetch(&ring->places[(ring->head + i) & ring->mask], 1);
	}
}

/* Does a frame of an earlier burst wait? */
static inline bool
some_wait(const struct ms_dispatch *dispatch)
{
	uint16_t some = 0;

	for (uint16_t w = 0; w < dispatch->workers_n; w++)
		some |= dispatch->counts[w];
	return some != 0;
}

uint16_t
ms_dispatch_retry(struct ms_dispatch *dispatch)
{
	uint16_t left = 0;

	for (uint16_t w = 0; w < dispatch->workers_n; w++) {
		uint16_t n, count = dispatch->counts[w];

		if (count == 0)
			continue;
		n = put(dispatch->rings[w], dispatch->waiting[w], count, dispatch->pool);
		if (n < count)
			memmove(dispatch->waiting[w], &dispatch->waiting[w][n],
				(count - n) * sizeof(struct ms_frame));
		dispatch->counts[w] = (uint16_t)(count - n);
		left += dispatch->counts[w];
	}
	return left;
}

uint16_t
ms_dispatch_burst(struct ms_dispatch *dispatch, const struct ms_frame *frames,
	const uint32_t *hashes, uint16_t n, const struct rte_mempool *pool)
{
	bool behind = some_wait(dispatch);
	uint16_t i = 0;

	dispatch->pool = behind ? NULL : pool;
	/* a single worker's go as they are, but behind what waits */
	if (dispatch->workers_n == 1 && likely(!behind)) {
		i = put(dispatch->rings[0], frames, n, pool);
		if (likely(i == n))
			return 0;
	}
	for (; i < n; i++) {
		uint16_t worker = ms_dispatch_worker(hashes[i], dispatch->workers_n);

		dispatch->waiting[worker][dispatch->counts[worker]++] = frames[i];
	}
	return ms_dispatch_retry(dispatch);
}

uint16_t
ms_dispatch_give_up(struct ms_dispatch *dispatch, struct ms_frame *frames)
{
	uint16_t n = 0;

	for (uint16_t w = 0; w < dispatch->workers_n; w++) {
		memcpy(&frames[n], dispatch->waiting[w],
			dispatch->counts[w] * sizeof(struct ms_frame));
		n += dispatch->counts[w];
		dispatch->counts[w] = 0;
	}
	return n;
}

unsigned int
ms_dispatch_reclaim(struct ms_dispatch *dispatch)
{
	unsigned int sum = 0;

	for (uint16_t w = 0; w < dispatch->workers_n; w++)
		sum += reclaim(dispatch->rings[w]);
	return sum;
}
