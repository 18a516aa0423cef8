/* SPDX-License-Identifier: BSD-3-Clause */
/* What flow.c and flow_burst.c agree on. */
#pragma once

#include "flow/ms_flow.h"

#include <stdalign.h>

#include <rte_common.h>

#define FLOW_WAYS 4 /* places that a flow can have, neighbours */

/*
 * What is looked at of a packet's headers: what all packets of the shape have in common, and the
 * key, which tells flows apart, but for the outer source. Both under a mask.
 */
struct head {
	alignas(32) uint64_t shape[4]; /* bytes 12 to 43: outer headers, to VXLAN's flags */
	uint64_t key[4];               /* 46 to 61: VNI, MAC addresses; 72 to 87: 5-tuple */
	uint64_t inner[4];             /* 56 to 87: inner type and IPv4 header, of the shape too */
};

/* Where these are, in bytes from the packet's start. */
#define AT_SHAPE     12
#define AT_SOURCE    26
#define AT_KEY       46
#define AT_INNER     56
#define AT_TYPE      62
#define AT_KEY_END   72
#define AT_ADDRESSES 76
#define AT_PORTS     84
#define HEAD_END     88

/* What the stages came to. */
struct flow_says {
	alignas(16) uint64_t whose; /* as in struct ms_frame */
	uint32_t hash;              /* as in struct ms_packet, and below */
	uint32_t fate;
};

/*
 * One flow: a cache line. What its packets count is held back here, so that a packet costs one
 * addition in a line that is at hand, and not one for each counter.
 */
struct flow {
	alignas(64) uint64_t key[4]; /* of the packet that it was learned from */
	uint64_t whence;             /* serial of the ruleset, 0: free; and outer source */
	uint64_t tally;              /* held back: packets and bytes, see below; 0: not listed */
	struct flow_says says;
};
static_assert(sizeof(struct flow) == 64, "a cache line");

/* The leaves that a flow's packets are counted in, as in struct ms_packet. */
struct flow_leaves {
	uint32_t leaf;
	uint32_t second;
};

/* The parts of a tally. Some 10 ms of one flow have to fit. */
#define TALLY_LISTED (UINT64_C(1) << 63) /* the flow stands in table->listed */
#define TALLY_PACKET (UINT64_C(1) << 40) /* one packet; below, bytes as UDP headers tell them */

/* Does what ms_flow_burst() says, for the part that takes time. utc: of the burst, for frames. */
typedef uint64_t flow_recall(struct ms_flow_table *table, uint32_t serial,
	struct rte_mbuf *const *mbufs, uint16_t n, uint64_t utc, struct ms_recalled *out);

struct ms_flow_table {
	alignas(64) struct head mask; /* what decides */
	struct head shape;            /* what all packets of the shape have in common; no key */
	struct flow *flows;
	struct flow_leaves *leaves; /* of each place */
	uint32_t places; /* bits of a hash that are a flow's first place, in bytes from flows */
	flow_recall *recall;
	bool hashes; /* are wanted */
	bool frames; /* are wanted; else to be counted in: */
	struct ms_output_ledger *outputs[MS_OUTPUTS_MAX];
	const struct ms_timestamp *clock;
	struct ms_session_counts *sessions;

	/* the owner's alone */
	struct flow **listed;  /* those with a tally; room for all */
	uint32_t listed_n;     /* of them */
	uint32_t serial;       /* of the last burst's ruleset */
	uint32_t turn;         /* which place gives way next */
	ms_counter *leaf_hits; /* of the last burst */
};

/* The flow of a packet in one of its other places, or NULL. d: the packet. */
struct flow *flow_elsewhere(const struct ms_flow_table *table, const struct flow *first,
	const uint8_t *d, uint32_t serial);

/* For a set of the burst's packets. Returns the set of those that are not known. */
uint64_t flow_recall_set(struct ms_flow_table *table, uint32_t serial,
	struct rte_mbuf *const *mbufs, uint64_t set, uint64_t utc, struct ms_recalled *out);

flow_recall flow_recall_scalar;
#if defined(RTE_ARCH_X86_64)
flow_recall flow_recall_avx2;
flow_recall flow_recall_avx512;
#endif
