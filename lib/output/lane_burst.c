/* SPDX-License-Identifier: BSD-3-Clause */
/* Offers a burst to a lane's outputs, and finds out whose mbufs nobody keeps. */
#include "output/ms_output.h"

#include "output/output_internal.h"

uint16_t
ms_lane_burst(
	struct ms_lane *lane, const struct ms_frame *frames, uint16_t n, struct rte_mbuf **done)
{
	uint32_t wanted = 0;
	uint16_t done_n = 0;

	for (uint16_t i = 0; i < n; i++) {
		wanted |= frames[i].outputs;
		done[i] = frames[i].mbuf;
	}
	/* those that copy come before those that take the mbufs away */
	for (uint16_t i = 0; i < lane->outputs_n; i++) {
		struct ms_lane_output *output = &lane->outputs[i];

		if ((wanted & output->bit & ~lane->ports) != 0)
			output->ops->burst(lane, output, frames, n);
	}
	if ((wanted & lane->ports) == 0)
		return n;
	/* and who keeps no mbuf is to be asked before they are gone */
	for (uint16_t i = 0; i < n; i++) {
		if ((frames[i].outputs & lane->ports) == 0)
			done[done_n++] = frames[i].mbuf;
	}
	for (uint16_t i = 0; i < lane->outputs_n; i++) {
		struct ms_lane_output *output = &lane->outputs[i];

		if ((wanted & output->bit & lane->ports) != 0)
			output->ops->burst(lane, output, frames, n);
	}
	return done_n;
}

void
null_burst(struct ms_lane *lane, struct ms_lane_output *output, const struct ms_frame *frames,
	uint16_t n)
{
	uint64_t taken = 0, bytes = 0;

	for (uint16_t i = 0; i < n; i++) {
		uint64_t mine = (frames[i].outputs & output->bit) != 0;

		taken += mine;
		bytes += frames[i].length & -mine;
	}
	ms_count_add(&output->ledger.offered, taken);
	ms_count_add(&output->ledger.written, taken);
	ms_count_add(&output->ledger.bytes, bytes);
}

void
file_burst(struct ms_lane *lane, struct ms_lane_output *output, const struct ms_frame *frames,
	uint16_t n)
{
	ms_capfile_burst(output->file, frames, n, output->bit);
}
