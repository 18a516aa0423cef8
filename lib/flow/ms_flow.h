/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an rx lcore remembers of inner flows: what the stages from decap to filter came to for a
 * packet of a session and an inner 5-tuple, they will come to for the next one. A packet whose flow
 * is known costs one look into a cache line, whatever the number of rules, filters and sessions;
 * all others, and all shapes but the most common one, take the way through the stages, and are
 * remembered. Nothing but speed depends on it.
 *
 * The shape: Ethernet / IPv4 without options / UDP / VXLAN / Ethernet / IPv4 without options / TCP
 * or UDP, no fragments, with these headers in one segment. A flow is all of it that decides: outer
 * source, VNI, inner MAC addresses, addresses, protocol and ports.
 *
 * Stands on session, packet and ledger. A table belongs to one rx lcore.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ledger/ms_ledger.h"
#include "packet/ms_packet.h"
#include "packet/ms_timestamp.h"
#include "session/ms_session_counts.h"

/* Flows that a table holds, unless somebody asks for another number: 2.5 MiB of memory. */
#define MS_FLOWS     32768u
#define MS_FLOWS_MAX (1u << 24)

/* What is known of the packets of a burst, by their place in it. */
struct ms_recalled {
	struct ms_frame frames[MS_BURST];
	uint32_t hashes[MS_BURST]; /* symmetric, of the inner flow; if they are wanted */
	uint8_t fates[MS_BURST];   /* what the filter said of those that it rejected */
	uint64_t rejected;         /* set of them */
	uint64_t bytes;            /* of all packets of the burst, as received */
	/* where all mbufs of the burst may go back to as they are (ms_mbuf_oddity()); NULL: ask */
	struct rte_mempool *pool;
};

/*
 * How headers are compared; what is not there in this processor can't be had. MS_FLOW_BEST keeps to
 * the EAL's --force-max-simd-bitwidth, which is 256 if nobody says otherwise.
 */
enum ms_flow_vectors { MS_FLOW_SCALAR, MS_FLOW_AVX2, MS_FLOW_AVX512, MS_FLOW_BEST };

struct ms_flow_options {
	uint32_t flows;        /* that it holds; a power of two, 4 to MS_FLOWS_MAX */
	rte_be16_t vxlan_port; /* as in struct ms_decap */
	bool hashes;           /* wanted of all packets */
	enum ms_flow_vectors vectors;
	/* these live as long as this */
	const struct ms_timestamp *clock;
	struct ms_session_counts *sessions; /* by slot; the rx lcore's own */
	int socket;                         /* where its memory is; SOCKET_ID_ANY will do */
};

struct ms_flow_table;

/* Returns NULL with rte_errno: ENOMEM, or ENOTSUP for vectors. Needs the EAL. Control thread. */
struct ms_flow_table *ms_flow_create(const struct ms_flow_options *options);
/* NULL is fine. Control thread, after the owner has stopped. */
void ms_flow_free(struct ms_flow_table *table);

/*
 * Nobody wants frames: packets of known flows that the filter does not reject are counted in these
 * ledgers, output i as bit i of their sets, as offered and written. The ledgers live as long as
 * this. Control thread, before the owner begins.
 */
void ms_flow_only_count(
	struct ms_flow_table *table, struct ms_output_ledger *const *outputs, uint16_t n);

/*
 * Looks up mbufs[0..n), 1 <= n <= MS_BURST, as the ruleset of this serial number (not 0) would
 * decide. For each packet of a known flow fills its place in *out, but for its frame after
 * ms_flow_only_count(), and counts it: in the sessions, as rejected too if it is, and its leaves in
 * leaf_hits[] as ms_filter_burst() does, all at the next ms_flow_settle(). Returns the set of the
 * others, packet i as bit i, whose places hold nothing yet. mbufs has room for MS_BURST, which may
 * be read. tsc: of the burst. rx lcore.
 */
uint64_t ms_flow_burst(struct ms_flow_table *table, uint32_t serial, struct rte_mbuf *const *mbufs,
	uint16_t n, uint64_t tsc, ms_counter *leaf_hits, struct ms_recalled *out);

/*
 * Brings the counters of sessions, leaves and outputs up to date, as a burst by another ruleset
 * does before all else. At least every 10 ms of load; while the leaf_hits of the last burst are
 * there. rx lcore.
 */
void ms_flow_settle(struct ms_flow_table *table);

/*
 * Remembers what the stages have found for a packet of the last burst that was not known, if it has
 * the shape; else does nothing. p->fate is MS_FATE_NONE, or what the filter said. rx lcore, before
 * the mbuf is changed or freed.
 */
void
ms_flow_learn(struct ms_flow_table *table, const struct rte_mbuf *m, const struct ms_packet *p);

/* Where a packet's bytes are, if they can be told from the mbuf's address alone; else 0. */
static inline uint64_t
ms_data_from_mbuf(const struct rte_mbuf *m)
{
	uint64_t distance = (uint64_t)((uintptr_t)m->buf_addr - (uintptr_t)m) + m->data_off;

	return m->nb_segs == 1 && distance <= UINT16_MAX ? distance : 0;
}
