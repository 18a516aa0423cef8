/* SPDX-License-Identifier: BSD-3-Clause */
/* Takes duplicates out of a burst on its way to the outputs, and gives them their fate. */
#include "sink.h"

uint16_t
duplicates_burst(
	struct sink_dedup *dedup, struct ms_frame *frames, uint16_t n, struct rte_mbuf **done)
{
	struct ms_frame duplicates[MS_BURST];
	uint16_t kept = ms_dedup_burst(dedup->table, frames, n, duplicates);

	for (uint16_t i = 0; i < n - kept; i++) {
		ms_count_add(&dedup->sessions[duplicates[i].session], 1);
		done[i] = duplicates[i].mbuf;
	}
	ms_count_add(&dedup->duplicates, n - kept);
	return kept;
}
