/* SPDX-License-Identifier: BSD-3-Clause */
/* ms_filter_burst() as compiled for single processors. Only where these can run them. */
#pragma once

#include "filter/ms_filter_lookup.h"

void ms_filter_burst_avx2(
	const uint8_t *base, struct ms_packet *packets, uint16_t n, ms_counter *leaf_hits);
void ms_filter_burst_avx512(
	const uint8_t *base, struct ms_packet *packets, uint16_t n, ms_counter *leaf_hits);
