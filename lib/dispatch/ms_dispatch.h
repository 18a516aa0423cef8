/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hand-over from rx lcores to workers. Between each rx lcore and each worker stands one ring,
 * with one producer and one consumer. Frames go forward in it, 32 bytes each, and mbufs come back
 * in the same places: a worker reads a frame where it lies, and says by one number how far it is.
 * What a worker has not kept the rx lcore finds where it was, and frees; where an output has kept
 * an mbuf the worker clears its pointer and says so. Nothing else goes back, and mbuf headers never
 * leave the rx lcore's cache. If all were plain (ms_mbuf.h) when they went and none was kept,
 * nobody looks at them again: an output that does not keep an mbuf leaves its header as it was.
 *
 * Stands on packet. The rings are made by control before any lcore runs.
 */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "packet/ms_packet.h"

#define MS_WORKERS_MAX 32

/* Places of a ring where packets can't wait, a power of two. */
#define MS_RING_SIZE 4096

/*
 * Numbers count places from the start on, modulo 2^32: place i is places[i & mask]. Always
 * reclaimed <= done <= taken <= filled <= head <= reclaimed + size.
 */
struct ms_ring {
	/* rx: ro, worker: ro */
	struct ms_frame *places;
	struct rte_mbuf **mbufs; /* rx: rw; of the frames in the places */
	uint32_t mask;           /* number of places, less 1 */

	/* rx: rw, worker: ro */
	alignas(128) _Atomic(uint32_t) filled; /* frames before it are the worker's */

	/* worker: rw, rx: ro */
	alignas(128) _Atomic(uint32_t) done; /* with places before it the worker is done */
	_Atomic(uint32_t) changed;           /* behind the last place whose mbuf it changed */

	/* rx: rw */
	alignas(128) uint32_t head; /* the next place to fill */
	uint32_t reclaimed;         /* mbufs of places before it are free */
	uint32_t odd;               /* behind the last that was filled with one not plain */
	struct rte_mempool *pool;   /* of plain ones; NULL until there is one */

	/* worker: rw */
	alignas(128) uint32_t taken; /* frames before it were taken */
};

/*
 * size: places, a power of two. Returns 0 and a ring in *out, or -ENOMEM and NULL. Needs the EAL.
 * Control thread.
 */
int ms_ring_create(struct ms_ring **out, uint32_t size, int socket);
/* Frees a ring, and the mbufs that it still holds. NULL is fine. Control thread. */
void ms_ring_free(struct ms_ring *ring);

/*
 * The next frames, in one piece: *frames points to the first. They stay where they are, the
 * worker's to read and to move about, until ms_ring_done(). Returns how many, up to MS_BURST.
 * Worker.
 */
static inline uint16_t
ms_ring_take(struct ms_ring *ring, struct ms_frame **frames)
{
	uint32_t filled = atomic_load_explicit(&ring->filled, memory_order_acquire);
	uint32_t at = ring->taken & ring->mask;
	uint32_t n = RTE_MIN(filled - ring->taken, ring->mask + 1 - at);

	*frames = &ring->places[at];
	n = RTE_MIN(n, (uint32_t)MS_BURST);
	ring->taken += n;
	return (uint16_t)n;
}

/*
 * The worker is done with all frames that it has taken, and their mbufs can be freed. If some were
 * kept, or frames moved about, it has called ms_ring_give_back() before. Worker.
 */
static inline void
ms_ring_done(struct ms_ring *ring)
{
	atomic_store_explicit(&ring->done, ring->taken, memory_order_release);
}

/*
 * Of n frames as ms_ring_take() gave them last the mbufs done[0..done_n) go back, and no others.
 * Worker.
 */
static inline void
ms_ring_give_back(struct ms_ring *ring, struct ms_frame *frames, uint16_t n,
	struct rte_mbuf *const *done, uint16_t done_n)
{
	for (uint16_t i = 0; i < n; i++)
		frames[i].mbuf = i < done_n ? done[i] : NULL;
	/* seen with ms_ring_done() */
	atomic_store_explicit(&ring->changed, ring->taken, memory_order_relaxed);
}

/* An rx lcore's side. */
struct ms_dispatch {
	struct ms_ring *rings[MS_WORKERS_MAX];
	uint16_t workers_n;
	/* frames on their way to the rings, or that found them full */
	uint16_t counts[MS_WORKERS_MAX];
	struct ms_frame waiting[MS_WORKERS_MAX][MS_BURST];
	const struct rte_mempool *pool; /* of them, as of ms_dispatch_burst() */
};

/*
 * The worker of a flow: both directions of it have the same hash. hash is spread over all 32 bits.
 */
static inline uint16_t
ms_dispatch_worker(uint32_t hash, uint16_t workers_n)
{
	return (uint16_t)((uint64_t)hash * workers_n >> 32);
}

/*
 * Has the places fetched, for writing, that the next burst of about n frames will fill: a worker
 * has read them last. Returns at once. rx lcore.
 */
void ms_dispatch_fetch(const struct ms_dispatch *dispatch, uint16_t n);

/*
 * Sends each of frames[0..n) (n <= MS_BURST) to the worker that its hash names, in order. Returns
 * how many found their ring full; these wait in dispatch for ms_dispatch_retry() or
 * ms_dispatch_give_up(), one of which must have emptied it before the next burst. pool: to which
 * all mbufs may go back as they are, or NULL; see ms_mbuf_oddity(). rx lcore.
 */
uint16_t ms_dispatch_burst(struct ms_dispatch *dispatch, const struct ms_frame *frames,
	const uint32_t *hashes, uint16_t n, const struct rte_mempool *pool);

/* Tries again to send what waits. Returns how many frames still do. rx lcore. */
uint16_t ms_dispatch_retry(struct ms_dispatch *dispatch);

/* Moves what waits to frames, which has room for MS_BURST. Returns how many. rx lcore. */
uint16_t ms_dispatch_give_up(struct ms_dispatch *dispatch, struct ms_frame *frames);

/* Takes back and frees mbufs that workers are done with. Returns how many. rx lcore. */
unsigned int ms_dispatch_reclaim(struct ms_dispatch *dispatch);
