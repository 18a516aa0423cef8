/* SPDX-License-Identifier: BSD-3-Clause */
/* What flow.c and flow_burst.c agree on. */
#pragma once

#include "flow/ms_flow.h"

#include <stdalign.h>

#include <rte_common.h>

#define FLOW_WAYS 2 /* places that a flow can have, neighbours */

/*
 * A packet's headers, in bytes from its start: HEAD_BYTES from HEAD_FROM on, which are compared
 * under a mask, and then the inner addresses and ports, of which every bit counts.
 */
#define HEAD_FROM      12
#define HEAD_BYTES     64
#define HEAD_WORDS     (HEAD_BYTES / sizeof(uint64_t))
#define HEAD_ADDRESSES (HEAD_FROM + HEAD_BYTES)
#define HEAD_PORTS     (HEAD_ADDRESSES + 8)
#define HEAD_END       (HEAD_PORTS + 4)

/* Bits of a head, as they stand in memory. */
struct head {
	alignas(64) uint64_t word[HEAD_WORDS];
};

/* What the stages came to. */
struct flow_known {
	uint32_t session:30; /* as in struct ms_frame */
	uint32_t direction:2;
	uint32_t outputs;
	uint32_t leaf; /* as in struct ms_packet */
	uint32_t leaf_second;
	uint32_t hash;
	uint8_t fate;
};

/* One flow: two cache lines. */
struct flow {
	struct head head; /* of the packet that it was learned from */
	uint64_t addresses;
	uint32_t ports;
	uint32_t serial; /* of the ruleset; 0: free */
	struct flow_known known;
};
static_assert(sizeof(struct flow) == 128, "two cache lines");

typedef uint64_t flow_recall(struct ms_flow_table *table, uint32_t serial,
	struct rte_mbuf *const *mbufs, uint16_t n, uint64_t tsc, ms_counter *leaf_hits,
	struct ms_session_counts *sessions, struct ms_recalled *out);

struct ms_flow_table {
	struct head mask; /* all that decides: the shape, and what tells flows apart */
	/* what all packets of the shape have in common */
	struct head shape_mask;
	struct head shape;
	flow_recall *recall;
	const struct ms_timestamp *clock;
	unsigned int shift; /* of the hash, to a bucket's number */
	struct flow (*buckets)[FLOW_WAYS];

	/* the owner's alone */
	uint32_t serial; /* of the last burst */
};

flow_recall flow_recall_scalar;
#if defined(RTE_ARCH_X86_64)
flow_recall flow_recall_avx2;
flow_recall flow_recall_avx512;
#endif
