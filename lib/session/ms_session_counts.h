/* SPDX-License-Identifier: BSD-3-Clause */
/* What one rx lcore counts of one session: its own cache line, written by that lcore alone. */
#pragma once

#include <stdalign.h>

#include "ledger/ms_ledger.h"
#include "packet/ms_packet.h"

#define MS_DIRECTIONS  3 /* enum ms_direction */
#define MS_MAC_BITS    48
#define MS_MAC_CHANGES UINT64_C(0xffff) /* that are counted; more are as many */

struct ms_session_counts {
	alignas(64) ms_counter packets[MS_DIRECTIONS]; /* mirrored packets of this session */
	ms_counter bytes;                              /* of their inner frames */
	ms_counter rejected;                           /* by a filter, or for want of a route */
	ms_counter lost;                               /* to a full ring */
	/*
	 * The inner MAC address on the source ENI's side, learned from first packets of flows where
	 * it is not configured and the outer source address told which side that is; it is shown,
	 * and decides nothing. The upper 16 bits count how often it was another one than before.
	 */
	ms_counter mac;
};

/* Counts mirrored packets whose inner frames have so many bytes together. The lcore's owner. */
static inline void
ms_session_count_packets(
	struct ms_session_counts *session, unsigned int direction, uint64_t packets, uint64_t bytes)
{
	ms_count_add(&session->packets[direction], packets);
	ms_count_add(&session->bytes, bytes);
}
