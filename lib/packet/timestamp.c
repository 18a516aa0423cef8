/* SPDX-License-Identifier: BSD-3-Clause */
/* Setting up and renewing the mapping from TSC to UTC that ms_timestamp.h reads. */
#include "packet/ms_timestamp.h"

#include <rte_cycles.h>
#include <rte_errno.h>

#include <string.h>
#include <time.h>

#define NS_PER_SECOND UINT64_C(1000000000)

/* Readings of the clock; the one with the least time around it is used. */
#define READINGS 8

/* A measured rate further than 1/64 from what the EAL says is a clock that was set meanwhile. */
#define TOLERANCE_SHIFT 6

struct moment {
	uint64_t tsc;
	uint64_t ns; /* UTC since 1970 */
};

/* One moment by both clocks: UTC is read between two TSC values, the closer the better. */
static struct moment
read_clocks(void)
{
	struct moment moment = {0};
	uint64_t best = UINT64_MAX;

	for (unsigned int i = 0; i < READINGS; i++) {
		struct timespec now;
		uint64_t before = rte_rdtsc_precise();

		clock_gettime(CLOCK_REALTIME, &now);

		uint64_t gap = rte_rdtsc_precise() - before;

		if (gap >= best)
			continue;
		best = gap;
		moment.tsc = before + gap / 2;
		moment.ns = (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
	}
	return moment;
}

static uint64_t
nominal_rate(void)
{
	return (NS_PER_SECOND << 32) / rte_get_tsc_hz();
}

void
ms_timestamp_publish(struct ms_timestamp *t, uint64_t tsc, uint64_t ns, uint64_t rate)
{
	uint32_t generation = atomic_load_explicit(&t->generation, memory_order_relaxed) + 1;
	struct ms_timestamp_anchor *anchor = &t->anchors[generation & 1];

	/* Release, so that a reader who sees one of these also sees the generation stored by the
	 * call before, and knows that its anchor is the one being written. */
	atomic_store_explicit(&anchor->tsc, tsc, memory_order_release);
	atomic_store_explicit(&anchor->ns, ns, memory_order_release);
	atomic_store_explicit(&anchor->rate, rate, memory_order_release);
	/* Release: pairs with the acquire in ms_timestamp_utc(). */
	atomic_store_explicit(&t->generation, generation, memory_order_release);
}

void
ms_timestamp_recalibrate(struct ms_timestamp *t)
{
	uint32_t generation = atomic_load_explicit(&t->generation, memory_order_relaxed);
	const struct ms_timestamp_anchor *last = &t->anchors[generation & 1];
	uint64_t rate = atomic_load_explicit(&last->rate, memory_order_relaxed);
	uint64_t nominal = nominal_rate();
	struct moment now = read_clocks();
	uint64_t ticks = now.tsc - atomic_load_explicit(&last->tsc, memory_order_relaxed);
	int64_t elapsed = (int64_t)(now.ns - atomic_load_explicit(&last->ns, memory_order_relaxed));

	if (ticks != 0 && elapsed > 0) {
		uint64_t measured = (uint64_t)(((unsigned __int128)elapsed << 32) / ticks);
		uint64_t error = measured > nominal ? measured - nominal : nominal - measured;

		if (error <= nominal >> TOLERANCE_SHIFT)
			rate = measured;
	}
	ms_timestamp_publish(t, now.tsc, now.ns, rate);
}

int
ms_timestamp_setup(struct ms_timestamp *t)
{
	struct moment now;

	memset(t, 0, sizeof(*t));
	if (rte_mbuf_dyn_rx_timestamp_register(&t->field, &t->flag) != 0)
		return -rte_errno;
	now = read_clocks();
	ms_timestamp_publish(t, now.tsc, now.ns, nominal_rate());
	/* The EAL rounds its frequency; 10 ms tell it to some 10 parts in a million. */
	rte_delay_us_sleep(10000);
	ms_timestamp_recalibrate(t);
	return 0;
}
