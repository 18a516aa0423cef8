/* SPDX-License-Identifier: BSD-3-Clause */
/* What flow.c and flow_burst.c agree on. */
#pragma once

#include "flow/ms_flow.h"

#include <stdalign.h>

#include <rte_common.h>

#define FLOW_WAYS 4 /* places that a flow can have, neighbours */

/*
 * A packet's headers, in bytes from its start: HEAD_BYTES from HEAD_FROM on, which are compared
 * under a mask. The inner addresses and ports are in it, and then 4 bytes that decide nothing.
 */
#define HEAD_FROM      12
#define HEAD_ADDRESSES 76
#define HEAD_PORTS     (HEAD_ADDRESSES + 8)
#define HEAD_END       (HEAD_PORTS + 8)
#define HEAD_BYTES     (HEAD_END - HEAD_FROM)
#define HEAD_WORDS     (HEAD_BYTES / sizeof(uint64_t))

/* Bits of a head, as they stand in memory. */
struct head {
	alignas(16) uint64_t word[HEAD_WORDS];
};

/*
 * One flow: two cache lines. What its packets count is held back here, so that a packet costs one
 * addition in a line that is at hand, and not one for each counter.
 */
struct flow {
	alignas(128) struct head head; /* of the packet that it was learned from */
	uint64_t tally;                /* held back: packets and bytes, see below; 0: not listed */
	uint64_t whose;                /* what the stages came to: as in struct ms_frame */
	uint32_t hash;                 /* as in struct ms_packet, and below */
	uint32_t leaf;
	uint32_t leaf_second;
	uint32_t serial; /* of the ruleset; 0: free */
	uint32_t fate;
};
static_assert(sizeof(struct flow) == 128, "two cache lines");

/* The parts of a tally. Some 10 ms of one flow have to fit. */
#define TALLY_LISTED (UINT64_C(1) << 63) /* the flow stands in table->listed */
#define TALLY_PACKET (UINT64_C(1) << 40) /* one packet; its bytes are below */

typedef uint64_t flow_recall(struct ms_flow_table *table, uint32_t serial,
	struct rte_mbuf *const *mbufs, uint16_t n, uint64_t tsc, struct ms_recalled *out);

struct ms_flow_table {
	alignas(64) struct head mask; /* all that decides: the shape, and what tells flows apart */
	unsigned int shift;           /* of the hash, to a flow's first place */
	struct flow *flows;
	/* what all packets of the shape have in common */
	struct head shape_mask;
	struct head shape;
	flow_recall *recall;
	const struct ms_timestamp *clock;
	struct ms_session_counts *sessions;

	/* the owner's alone */
	struct flow **listed;  /* those with a tally; room for all */
	uint32_t listed_n;     /* of them */
	uint32_t serial;       /* of the last burst */
	uint32_t turn;         /* which place gives way next */
	ms_counter *leaf_hits; /* of the last burst */
};

flow_recall flow_recall_scalar;
#if defined(RTE_ARCH_X86_64)
flow_recall flow_recall_avx2;
flow_recall flow_recall_avx512;
#endif
