/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker lcore: takes frames from each rx lcore's ring to its outputs, and sends the mbufs that
 * no output keeps back to where they came from.
 */
#include "sink.h"

#include <rte_cycles.h>
#include <rte_ring_elem.h>

/* One burst from one rx lcore. Returns how many frames there were. */
static inline unsigned int
worker_burst(struct sink_worker *worker, const struct ms_ring_pair *pair)
{
	struct ms_frame frames[MS_BURST];
	struct rte_mbuf *done[MS_BURST];
	unsigned int n, sent;
	uint16_t kept, done_n = 0;

	ms_stages_begin(&worker->stages);
	n = rte_ring_sc_dequeue_burst_elem(
		pair->forward, frames, sizeof(struct ms_frame), MS_BURST, NULL);
	if (n == 0)
		return 0;
	ms_stages_end(&worker->stages, MS_STAGE_WORKER, n);
	kept = (uint16_t)n;
	if (worker->dedup != NULL) {
		kept = duplicates_burst(worker->dedup, frames, kept, done);
		done_n = (uint16_t)(n - kept);
		ms_stages_end(&worker->stages, MS_STAGE_DEDUP, n);
	}
	done_n += ms_lane_burst(worker->lane, frames, kept, &done[done_n]);
	ms_count_add(&worker->delivered, kept);
	ms_stages_end(&worker->stages, MS_STAGE_OUTPUT, kept);
	sent = rte_ring_sp_enqueue_burst(pair->back, (void **)done, done_n, NULL);
	if (sent < done_n) /* the rx lcore has stopped taking them back */
		rte_pktmbuf_free_bulk(&done[sent], done_n - sent);
	ms_stages_end(&worker->stages, MS_STAGE_RELEASE, done_n);
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
	do {
		/* read before the rings: at SINK_END nothing follows what is seen in them now */
		stage = atomic_load_explicit(worker->stage, memory_order_acquire);
		n = 0;
		for (uint16_t r = 0; r < worker->rings_n; r++)
			n += worker_burst(worker, &worker->rings[r]);
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
