/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bounded table of packets whose session nobody knows, by outer source and VNI: what an operator
 * looks at to find the session that is missing. One rx lcore adds, anyone reads.
 */
#pragma once

#include <stdint.h>

#include "ledger/ms_ledger.h"
#include "packet/ms_packet.h"

#define MS_UNKNOWN_MAX 256 /* power of two */

struct ms_unknown_entry {
	struct ms_ip source;
	uint32_t vni;
	uint8_t source_family;
	ms_counter packets; /* 0: free; the first store releases the fields above */
};

struct ms_unknown {
	struct ms_unknown_entry entries[MS_UNKNOWN_MAX];
	ms_counter others; /* packets that found no place */
};

/* Counts a packet. The rx lcore that owns the table. */
void ms_unknown_add(struct ms_unknown *unknown, const struct ms_packet *packet);

/*
 * Adds the entries of a table to sum[0..n), which has room for `room`; equal ones are added up,
 * what finds no room goes to *others. Returns the new n. Any thread.
 */
uint32_t ms_unknown_sum(const struct ms_unknown *unknown, struct ms_unknown_entry *sum, uint32_t n,
	uint32_t room, uint64_t *others);
