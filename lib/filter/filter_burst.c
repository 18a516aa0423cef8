/* SPDX-License-Identifier: BSD-3-Clause */
/* Bursts of lookups: chooses the code for this processor; what it does is in filter_burst_lookup.h.
 */
#include "filter/filter_burst_lookup.h"

#include "filter/filter_burst_codes.h"

static void
burst_plain(const uint8_t *base, struct ms_packet *packets, uint16_t n, ms_counter *leaf_hits)
{
	burst_lookup(base, packets, n, leaf_hits);
}

#ifdef MS_FILTER_CODES_X86
static inline bool
has_avx2(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
}

static inline bool
has_avx512(void)
{
	return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
	       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd") &&
	       __builtin_cpu_supports("bmi2");
}
#endif

void
ms_filter_burst(const uint8_t *base, struct ms_packet *packets, uint16_t n, ms_counter *leaf_hits)
{
#ifdef MS_FILTER_CODES_X86
	if (has_avx512())
		ms_filter_burst_avx512(base, packets, n, leaf_hits);
	else if (has_avx2())
		ms_filter_burst_avx2(base, packets, n, leaf_hits);
	else
#endif
		burst_plain(base, packets, n, leaf_hits);
}

void (*ms_filter_burst_code(enum ms_filter_code code))(
	const uint8_t *base, struct ms_packet *packets, uint16_t n, ms_counter *leaf_hits)
{
	switch (code) {
	case MS_FILTER_PLAIN:
		return burst_plain;
#ifdef MS_FILTER_CODES_X86
	case MS_FILTER_AVX2:
		return has_avx2() ? ms_filter_burst_avx2 : NULL;
	case MS_FILTER_AVX512:
		return has_avx512() ? ms_filter_burst_avx512 : NULL;
#endif
	default:
		return NULL;
	}
}
