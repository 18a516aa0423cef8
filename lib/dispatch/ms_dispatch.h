/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hand-over from rx lcores to workers. Between each rx lcore and each worker stand two
 * single-producer single-consumer rings: frames go forward as 32-byte elements, mbufs that the
 * worker's outputs have done with come back as pointers, so that their headers never leave the rx
 * lcore's cache and one core does all the freeing.
 *
 * Stands on packet. The rings are made by control before any lcore runs.
 */
#pragma once

#include <stdint.h>

#include <rte_ring.h>

#include "packet/ms_packet.h"

#define MS_WORKERS_MAX 32

/* Elements of a forward ring where packets can't wait, a power of two. */
#define MS_RING_SIZE 4096

/* The two rings of one (rx lcore, worker) pair. */
struct ms_ring_pair {
	struct rte_ring *forward; /* of struct ms_frame; rx: producer, worker: consumer */
	struct rte_ring *back;    /* of struct rte_mbuf *; worker: producer, rx: consumer */
};

/*
 * size: elements of the forward ring, a power of two; the return ring has twice as many, so that it
 * is never full while the rx lcore runs. `name` is at most 20 bytes and unique. Returns 0, or
 * -ENOMEM, -EEXIST. Control thread.
 */
int ms_ring_pair_create(struct ms_ring_pair *pair, const char *name, unsigned int size);
/* Frees the rings, and the mbufs that they still hold. NULLs are fine. Control thread. */
void ms_ring_pair_free(struct ms_ring_pair *pair);

/* An rx lcore's side: where it collects frames for each worker during a burst. */
struct ms_dispatch {
	struct ms_ring_pair rings[MS_WORKERS_MAX];
	uint16_t workers_n;
	uint16_t counts[MS_WORKERS_MAX];
	struct ms_frame batches[MS_WORKERS_MAX][MS_BURST];
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
 * Sends each of frames[0..n) (n <= MS_BURST) to the worker that its hash names, in order. Returns
 * how many found their ring full; these wait in dispatch for ms_dispatch_retry() or
 * ms_dispatch_give_up(), one of which must have emptied it before the next burst. rx lcore.
 */
uint16_t ms_dispatch_burst(struct ms_dispatch *dispatch, const struct ms_frame *frames,
	const uint32_t *hashes, uint16_t n);

/* Tries again to send what waits. Returns how many frames still do. rx lcore. */
uint16_t ms_dispatch_retry(struct ms_dispatch *dispatch);

/* Moves what waits to frames, which has room for MS_BURST. Returns how many. rx lcore. */
uint16_t ms_dispatch_give_up(struct ms_dispatch *dispatch, struct ms_frame *frames);

/* Takes back and frees mbufs that workers have done with. Returns how many. rx lcore. */
unsigned int ms_dispatch_reclaim(struct ms_dispatch *dispatch);
