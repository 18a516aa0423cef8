/* SPDX-License-Identifier: BSD-3-Clause */
/* Mirrored packets on their way out: what the stages from wrapping to sending hand on. */
#pragma once

#include "packet/ms_packet.h"

#include <rte_mbuf.h>

#include <stdint.h>

/* So many packets may be held back by faults. */
#define MIRRORED_HELD_MAX 8

/* A burst, twice, and what was held back before. */
#define MIRRORED_MAX (2 * MS_BURST + MIRRORED_HELD_MAX)

struct mirrored_burst {
	uint16_t n;
	struct rte_mbuf *pkts[MIRRORED_MAX];
	uint64_t tscs[MIRRORED_MAX];     /* when its frame came, where the mbuf has no timestamp */
	uint32_t sessions[MIRRORED_MAX]; /* slot of its session, for a capture file */
};

static inline void
mirrored_add(struct mirrored_burst *burst, struct rte_mbuf *pkt, uint64_t tsc, uint32_t session)
{
	burst->pkts[burst->n] = pkt;
	burst->tscs[burst->n] = tsc;
	burst->sessions[burst->n] = session;
	burst->n++;
}
