/* SPDX-License-Identifier: BSD-3-Clause */
/* Ports: who is what by name, and starting them. Each says what is wrong and returns false. */
#pragma once

#include "sink.h"

/* Finds the ports that options and outputs name, and makes the rest mirror ports. */
bool ports_resolve(struct sink *sink);

/*
 * Takes the port of this name for an output, whose index-th it is. who: says where it is named.
 * NULL after a message.
 */
struct sink_port *ports_claim_output(
	struct sink *sink, const char *who, const char *name, uint32_t output, uint32_t index);

/* rx queues that a mirror port will have if n lcores poll it. */
uint16_t ports_rx_queues(uint16_t port, uint16_t n);

/*
 * Outer packets of which an rx lcore may hold fragments; if the number of mbufs is given, so many
 * that these are a quarter of them, but 16 at least.
 */
uint32_t ports_incomplete(const struct sink *sink);

/* Makes the mbuf pools, configures and starts all ports. The topology is known. */
bool ports_start(struct sink *sink);
void ports_stop(struct sink *sink);

/* Adds the ports of an output to a lane, whose number says which transmit queues are its own. */
void ports_add_to_lane(const struct sink *sink, uint32_t output, uint16_t lane);
