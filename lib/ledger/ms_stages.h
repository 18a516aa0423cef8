/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where an lcore's time goes: cycles of the TSC by stage. Only with the build option stage_cycles;
 * without it the calls here are empty, and what they take is nothing.
 *
 * An lcore calls ms_stages_begin() where something begins that is worth counting, and then
 * ms_stages_end() behind each stage, which is charged with the time since the call before.
 */
#pragma once

#include "ledger/ms_ledger.h"

#if defined(MS_STAGE_CYCLES)
#include <rte_cycles.h>
#endif

/* X(ENUM, name, help): in the order in which a packet meets them. */
#define MS_STAGES(X)                                                           \
	X(RX, rx, "the driver's receive function, polls that gave packets")    \
	X(FLOW, flow, "looks packets up among the flows that are known")       \
	X(DECAP, decap, "outer headers of those that are not")                 \
	X(REASSEMBLY, reassembly, "outer fragments")                           \
	X(SESSION, session, "finds sessions")                                  \
	X(PARSE, parse, "inner headers, hash and direction")                   \
	X(FILTER, filter, "policies")                                          \
	X(SETTLE, settle, "fates and counters; learns flows")                  \
	X(DISPATCH, dispatch, "puts frames into the rings of their workers")   \
	X(RING, ring, "waits for room in rings, if it does")                   \
	X(WORKER, worker, "takes frames out of rings, polls that gave frames") \
	X(DEDUP, dedup, "looks for duplicates")                                \
	X(OUTPUT, output, "copies, sends, counts frames")                      \
	X(RELEASE, release, "gives mbufs back")

enum ms_stage {
#define X(e, n, h) MS_STAGE_##e,
	MS_STAGES(X)
#undef X
		MS_STAGE_COUNT
};

/* One lcore's; it writes, anyone reads. */
struct ms_stages {
	ms_counter cycles[MS_STAGE_COUNT];
	ms_counter packets[MS_STAGE_COUNT]; /* that went through it */
	uint64_t last;                      /* TSC of the last call; the lcore's alone */
};

/* Static strings. */
const char *ms_stage_name(enum ms_stage stage);
const char *ms_stage_help(enum ms_stage stage);

#if defined(MS_STAGE_CYCLES)
static inline void
ms_stages_begin(struct ms_stages *stages)
{
	stages->last = rte_rdtsc();
}

static inline void
ms_stages_end(struct ms_stages *stages, enum ms_stage stage, uint64_t packets)
{
	uint64_t now = rte_rdtsc();

	ms_count_add(&stages->cycles[stage], now - stages->last);
	ms_count_add(&stages->packets[stage], packets);
	stages->last = now;
}
#else
static inline void
ms_stages_begin(struct ms_stages *stages)
{
}

static inline void
ms_stages_end(struct ms_stages *stages, enum ms_stage stage, uint64_t packets)
{
}
#endif
