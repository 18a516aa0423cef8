/* SPDX-License-Identifier: BSD-3-Clause */
/* Spreads a burst over the workers' rings, and takes back what they have done with. */
#include "dispatch/ms_dispatch.h"

#include <string.h>

#include <rte_ring_elem.h>

/* Mbufs taken back from one worker at a time. */
#define RECLAIM 256

uint16_t
ms_dispatch_retry(struct ms_dispatch *dispatch)
{
	uint16_t left = 0;

	for (uint16_t w = 0; w < dispatch->workers_n; w++) {
		uint16_t count = dispatch->counts[w];
		unsigned int sent;

		if (count == 0)
			continue;
		sent = rte_ring_sp_enqueue_burst_elem(dispatch->rings[w].forward,
			dispatch->batches[w], sizeof(struct ms_frame), count, NULL);
		if (sent < count)
			memmove(dispatch->batches[w], &dispatch->batches[w][sent],
				(count - sent) * sizeof(struct ms_frame));
		dispatch->counts[w] = (uint16_t)(count - sent);
		left += dispatch->counts[w];
	}
	return left;
}

uint16_t
ms_dispatch_burst(struct ms_dispatch *dispatch, const struct ms_frame *frames,
	const uint32_t *hashes, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		uint16_t worker = ms_dispatch_worker(hashes[i], dispatch->workers_n);

		dispatch->batches[worker][dispatch->counts[worker]++] = frames[i];
	}
	return ms_dispatch_retry(dispatch);
}

uint16_t
ms_dispatch_give_up(struct ms_dispatch *dispatch, struct ms_frame *frames)
{
	uint16_t n = 0;

	for (uint16_t w = 0; w < dispatch->workers_n; w++) {
		memcpy(&frames[n], dispatch->batches[w],
			dispatch->counts[w] * sizeof(struct ms_frame));
		n += dispatch->counts[w];
		dispatch->counts[w] = 0;
	}
	return n;
}

unsigned int
ms_dispatch_reclaim(struct ms_dispatch *dispatch)
{
	struct rte_mbuf *mbufs[RECLAIM];
	unsigned int sum = 0;

	for (uint16_t w = 0; w < dispatch->workers_n; w++) {
		unsigned int n = rte_ring_sc_dequeue_burst(
			dispatch->rings[w].back, (void **)mbufs, RECLAIM, NULL);

		if (n > 0)
			rte_pktmbuf_free_bulk(mbufs, n);
		sum += n;
	}
	return sum;
}
