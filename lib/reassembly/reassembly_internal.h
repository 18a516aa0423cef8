/* SPDX-License-Identifier: BSD-3-Clause */
/* The table as both its making and the burst see it. */
#pragma once

#include <rte_ip_frag.h>

#include "reassembly/ms_reassembly.h"

struct ms_reassembly {
	struct ms_reassembly_options options;
	struct rte_ip_frag_tbl *table;
	uint32_t waiting; /* fragments in the table */
	uint64_t newest;  /* timestamp of a packet, in nanoseconds */
	uint64_t tsc;     /* of the last burst */
	struct rte_ip_frag_death_row dead;
};
