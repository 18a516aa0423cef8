/* SPDX-License-Identifier: BSD-3-Clause */
/* The ports that frames come from, the one that mirrored packets go to, and the mbufs for both. */
#pragma once

#include "options.h"

#include <rte_ethdev.h>
#include <rte_mempool.h>

#include <stdbool.h>
#include <stdint.h>

#define SOURCE_NO_PORT RTE_MAX_ETHPORTS

struct source_ports {
	uint16_t rx[RTE_MAX_ETHPORTS];
	uint16_t rx_n;
	uint16_t tx;       /* or SOURCE_NO_PORT */
	bool captures;     /* every rx port replays a capture file, which has an end */
	bool contiguous;   /* tx takes no segmented packets: make them contiguous first */
	uint32_t tx_limit; /* bytes of the largest packet that tx takes */
	uint32_t reserve;  /* mbufs that the ports and bursts under way can hold, all together */
	struct rte_mempool *pool;
	uint32_t mbufs; /* in the pool */
};

/*
 * Finds, configures and starts the ports, and makes the pool; fills encap.source_mac if it was not
 * given. Returns 0, or the exit status after saying on standard error what is wrong; then nothing
 * is left open. Main lcore.
 */
int source_ports_open(struct source_ports *ports, struct source_options *options);

/* Stops and closes the ports. The pool stays: mbufs may still be out. */
void source_ports_close(struct source_ports *ports);
