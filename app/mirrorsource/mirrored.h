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
	uint64_t tscs[MIRRORED_MAX]; /* when its frame came, where the mbuf has no timestamp */
	uint32_t tags[MIRRORED_MAX]; /* mirrored_tag() of its session and direction */
};

/* Which session a packet is of, and how its source ENI sees the frame (enum ms_direction). */
static inline uint32_t
mirrored_tag(uint32_t session, uint8_t direction)
{
	return session << 2 | direction;
}

static inline uint32_t
mirrored_session(uint32_t tag)
{
	return tag >> 2;
}

static inline uint8_t
mirrored_direction(uint32_t tag)
{
	return tag & 3;
}

static inline void
mirrored_add(struct mirrored_burst *burst, struct rte_mbuf *pkt, uint64_t tsc, uint32_t tag)
{
	burst->pkts[burst->n] = pkt;
	burst->tscs[burst->n] = tsc;
	burst->tags[burst->n] = tag;
	burst->n++;
}
