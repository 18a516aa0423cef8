/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a packet was seen: the port's own timestamp where the driver gives one, else the TSC of the
 * burst it came in, mapped to UTC. The one place that knows in which unit a driver counts.
 *
 * The mapping is an anchor (a TSC, the UTC at that moment, nanoseconds a tick) that control renews
 * once a second while lcores use it. There are two anchors: the new one is written to the one not
 * in use, then published by its generation. A reader that was held up for so long that its anchor
 * is being written again sees the generation change, and reads once more; it never waits.
 */
#pragma once

#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

/*
 * Nanoseconds in one count of a port's timestamp. Only net_pcap stamps packets without being asked
 * to, and counts microseconds since 1970; no program here turns on RTE_ETH_RX_OFFLOAD_TIMESTAMP.
 */
#define MS_TIMESTAMP_PORT_NS 1000u

/*
 * A capture file has 32 bits of seconds, which libpcap takes for a signed number: times from 2038
 * to 2106 arrive as many microseconds before 1970, and are moved up by 2^32 seconds.
 */
#define MS_TIMESTAMP_PORT_ERA (UINT64_C(1000000) << 32)

struct ms_timestamp_anchor {
	_Atomic(uint64_t) tsc;
	_Atomic(uint64_t) ns;   /* UTC at tsc, since 1970 */
	_Atomic(uint64_t) rate; /* nanoseconds a tick, times 2^32 */
};

struct ms_timestamp {
	/* lcores: ro after ms_timestamp_setup() */
	uint64_t flag; /* in ol_flags: the field holds the port's timestamp */
	int field;     /* its offset in an mbuf */
	/* lcores: ro, ctl: rw */
	alignas(64) _Atomic(uint32_t) generation; /* anchors[generation & 1] is in use */
	struct ms_timestamp_anchor anchors[2];
};

/*
 * Finds the mbuf field and measures the TSC against UTC, for which it sleeps 10 ms. Needs the EAL.
 * Returns 0, or -errno if there is no room for the field in the mbuf. Control thread.
 */
int ms_timestamp_setup(struct ms_timestamp *t);

/*
 * Measures the TSC against UTC anew, over the time since the last call; about once a second. If UTC
 * was set meanwhile the new time holds and the old rate stays. Control thread, one at a time.
 */
void ms_timestamp_recalibrate(struct ms_timestamp *t);

/*
 * Makes the mapping go through this moment from now on; rate is nanoseconds a tick, times 2^32.
 * What ms_timestamp_recalibrate() does with what it measured. Control thread, one at a time.
 */
void ms_timestamp_publish(struct ms_timestamp *t, uint64_t tsc, uint64_t ns, uint64_t rate);

/* UTC at a TSC value, in nanoseconds since 1970. Any thread; no lock, no division. */
static inline uint64_t
ms_timestamp_utc(const struct ms_timestamp *t, uint64_t tsc)
{
	uint32_t generation = atomic_load_explicit(&t->generation, memory_order_acquire);
	uint64_t base, ns, rate;

	for (;;) {
		const struct ms_timestamp_anchor *anchor = &t->anchors[generation & 1];

		/* Acquire, with the release in ms_timestamp_publish(): who has read from the anchor
		 * after the next also sees the generation of the next. */
		base = atomic_load_explicit(&anchor->tsc, memory_order_acquire);
		ns = atomic_load_explicit(&anchor->ns, memory_order_acquire);
		rate = atomic_load_explicit(&anchor->rate, memory_order_acquire);

		uint32_t now = atomic_load_explicit(&t->generation, memory_order_acquire);

		if (now == generation)
			break;
		generation = now;
	}
	/* Signed: the burst may be older than the anchor. */
	return ns + (uint64_t)(((__int128)(int64_t)(tsc - base) * (int64_t)rate) >> 32);
}

/* When a packet was seen, in nanoseconds since 1970; utc is that of the burst in which it was
 * received. Any thread. */
static inline uint64_t
ms_timestamp_or(const struct ms_timestamp *t, const struct rte_mbuf *m, uint64_t utc)
{
	if ((m->ol_flags & t->flag) != 0) {
		uint64_t us = *RTE_MBUF_DYNFIELD(m, t->field, const rte_mbuf_timestamp_t *);

		if ((int64_t)us < 0)
			us += MS_TIMESTAMP_PORT_ERA;
		return us * MS_TIMESTAMP_PORT_NS;
	}
	return utc;
}

/* The same by the TSC of the burst. */
static inline uint64_t
ms_timestamp_of(const struct ms_timestamp *t, const struct rte_mbuf *m, uint64_t burst_tsc)
{
	return ms_timestamp_or(t, m, ms_timestamp_utc(t, burst_tsc));
}
