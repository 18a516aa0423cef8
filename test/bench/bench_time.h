/* SPDX-License-Identifier: BSD-3-Clause */
/* Time around a burst, in cycles of the TSC, and what taking it costs. After rte_eal_init(). */
#pragma once

#include <stdint.h>
#include <stdlib.h>

#include <rte_cycles.h>

/* Nothing from before the one, and all from before the other, is in between. */
static inline uint64_t
bench_start(void)
{
	uint64_t tsc;

	__asm__ volatile("lfence" ::: "memory");
	tsc = rte_rdtsc();
	__asm__ volatile("lfence" ::: "memory");
	return tsc;
}

static inline uint64_t
bench_end(void)
{
	__asm__ volatile("lfence" ::: "memory");
	return rte_rdtsc();
}

/* Cycles that an empty burst seems to take. */
static inline double
bench_overhead(void)
{
	uint64_t least = UINT64_MAX;

	for (unsigned int i = 0; i < 10000; i++) {
		uint64_t start = bench_start(), took = bench_end() - start;

		if (took < least)
			least = took;
	}
	return (double)least;
}

#define BENCH_LAPS_MAX 4096

static inline int
bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* The median: a neighbour who takes the processor for a while does not count. */
static inline double
bench_median(double *laps, unsigned int n)
{
	qsort(laps, n, sizeof(*laps), bench_compare);
	return laps[n / 2];
}

static inline double
bench_seconds(uint64_t cycles)
{
	return (double)cycles / (double)rte_get_tsc_hz();
}

static inline uint64_t
bench_cycles(double seconds)
{
	return (uint64_t)(seconds * (double)rte_get_tsc_hz());
}

/* Seconds of each of two that are measured in turns, and how many turns there are in all of the
 * time: at least one. */
#define BENCH_TURN 0.05

static inline unsigned int
bench_turns(double seconds)
{
	unsigned int turns = (unsigned int)(seconds / (2 * BENCH_TURN));

	return turns == 0 ? 1 : turns;
}
