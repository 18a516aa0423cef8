/* SPDX-License-Identifier: BSD-3-Clause */
/* The hot functions of each kind of output, which lane.c puts into its table of operations. */
#pragma once

#include "output/ms_output.h"

void null_burst(struct ms_lane *lane, struct ms_lane_output *output, const struct ms_frame *frames,
	uint16_t n);
void file_burst(struct ms_lane *lane, struct ms_lane_output *output, const struct ms_frame *frames,
	uint16_t n);
void port_burst(struct ms_lane *lane, struct ms_lane_output *output, const struct ms_frame *frames,
	uint16_t n);
