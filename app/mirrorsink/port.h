/* SPDX-License-Identifier: BSD-3-Clause */
/* One port: starting it, and telling the lcores of it. Control. Those that may fail say why. */
#pragma once

#include "sink.h"

/*
 * rte_pktmbuf_pool_create(), or the same with mbufs packed end to end. Else they keep off the ends
 * of pages, and net_af_xdp, which multiplies size by number, takes the pool for shorter than it is:
 * what lies behind, two fifths of the pool without hugepages, is then lost each time it is sent.
 * Packed ones have no address for devices that access memory by themselves. NULL: no memory.
 */
struct rte_mempool *
port_make_pool(const char *name, uint32_t n, uint32_t cache, uint16_t room, bool packed);

bool port_is_af_xdp(uint16_t port);

/* How many queues it needs; those of a mirror port to receive by are the topology's to say. */
bool port_choose_queues(const struct sink *sink, struct sink_port *port);

/* Configures and starts the device, and makes what its frames are wrapped in. */
bool port_start(const struct sink *sink, struct sink_port *port);

/* Lets the lcores use it. */
void port_publish(const struct sink *sink, struct sink_port *port);

/*
 * Tells the lcores not to use it any more. One may still do so in its current round; when each has
 * begun two more (struct topology_mark), none does.
 */
void port_withdraw(const struct sink *sink, struct sink_port *port);

/* Takes its interrupts away from the lcores, none of which uses it any more, before it is closed.
 */
void port_forget(const struct sink *sink, const struct sink_port *port);

/* How the lcores that poll a mirror port may wait: bits of enum ms_idle_way, or 0, by sleeping. */
unsigned int port_idle_ways(const struct sink *sink, const struct sink_port *port);

/* Looks whether its link is up, for the lanes too. True if that has changed. */
bool port_look_at_link(struct sink_port *port);

/* It stood on an interface of the kernel, which is there no more. */
bool port_lost_interface(const struct sink_port *port);
