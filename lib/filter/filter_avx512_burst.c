/* SPDX-License-Identifier: BSD-3-Clause */
/* Bursts of lookups, compiled for AVX-512 (F, BW, VL, DQ, CD). */
#include "filter/filter_burst_lookup.h"

#include "filter/filter_burst_codes.h"

void
ms_filter_burst_avx512(
	const uint8_t *base, struct ms_packet *packets, uint16_t n, ms_counter *leaf_hits)
{
	burst_lookup(base, packets, n, leaf_hits);
}
