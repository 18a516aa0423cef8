/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker lcore: takes frames from each rx lcore's ring to its outputs, and lets the rx lcore
 * have the mbufs back that no output keeps.
 */
#include "sink.h"

#include <rte_cycles.h>
#include <rte_prefetch.h>

/* One burst from one rx lcore. Returns how many frames there were. */
static inline unsigned int
worker_burst(struct sink_worker *worker, struct ms_ring *ring)
{
	struct rte_mbuf *done[MS_BURST];
	struct ms_frame *frames;
	uint16_t n, kept, done_n = 0;

	ms_stages_begin(&worker->stages);
	n = kept = ms_ring_take(ring, &frames);
	if (n == 0)
		return 0;
	for (uint16_t i = 0; i < n; i += 2) /* two frames a line, which the rx lcore has written */
		rte_prefetch0(&frames[i]);
	ms_stages_end(&worker->stages, MS_STAGE_WORKER, n);
	if (worker->dedup != NULL) {
		kept = duplicates_burst(worker->dedup, frames, n, done);
		done_n = (uint16_t)(n - kept);
		ms_stages_end(&worker->stages, MS_STAGE_DEDUP, n);
	}
	done_n += ms_lane_burst(worker->lane, frames, kept, &done[done_n]);
	ms_count_add(&worker->delivered, kept);
	ms_stages_end(&worker->stages, MS_STAGE_OUTPUT, kept);
	if (kept < n || done_n < n) /* else they are where they were */
		ms_ring_give_back(ring, frames, n, done, done_n);
	ms_ring_done(ring);
	ms_stages_end(&worker->stages, MS_STAGE_RELEASE, n);
	return n;
}

int
worker_main(void *arg)
{
	struct sink_worker *worker = arg;
	uint64_t flushed = rte_rdtsc(), now;
	unsigned int n;
	int stage;

	ms_idle_begin(&worker->idle);
	ms_lane_flush(worker->lane, ms_timestamp_utc(worker->clock, flushed));
	do {
		/* read before the rings: at SINK_END nothing follows what is seen in them now */
		stage = atomic_load_explicit(worker->stage, memory_order_acquire);
		n = 0;
		for (uint16_t r = 0; r < worker->rings_n; r++)
			n += worker_burst(worker, worker->rings[r]);
		ms_count_add(&worker->rounds, 1);
		now = rte_rdtsc();
		if (now - flushed >= worker->flush_ticks) {
			ms_lane_flush(worker->lane, ms_timestamp_utc(worker->clock, now));
			flushed = now;
		}
		ms_idle_round(&worker->idle, n);
	} while (stage != SINK_END || n > 0);
	return 0;
}
