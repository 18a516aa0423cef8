/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a packet's flow may stand, and what a packet does to it: for all kinds of vectors alike. */
#pragma once

#include "flow/flow_internal.h"

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "packet/ms_wire.h"

#if defined(__SSE4_2__)
#include <nmmintrin.h>
#endif

/* Bytes of the outer headers, and of the inner ones that a packet of the shape has at least. */
#define OUTER     50
#define UDP_VXLAN 16
#define FRAME_MIN 38 /* Ethernet 14, IPv4 20, ports 4 */

/* Packet bytes that hold lengths. */
#define AT_TOTAL       16 /* outer IPv4 */
#define AT_UDP         38
#define AT_INNER_TOTAL 66

/* The set of all packets of a burst. */
static inline uint64_t
flow_all(uint16_t n)
{
	return n < MS_BURST ? (UINT64_C(1) << n) - 1 : UINT64_MAX;
}
static_assert(MS_BURST == 64, "bits of a set");

/*
 * A hash of what tells most flows apart: addresses, ports, VNI with the byte before it, which is
 * reserved. d: the packet.
 */
static inline uint32_t
flow_hash(const uint8_t *d)
{
#if defined(__SSE4_2__) /* DPDK's least on x86 */
	/* the second address once more, with its ports, and the VNI over it */
	uint64_t end = ms_load64(d + AT_PORTS - 4) ^ ms_load32(d + AT_KEY - 1);

	return (uint32_t)_mm_crc32_u64(_mm_crc32_u64(0, ms_load64(d + AT_ADDRESSES)), end);
#else
	uint64_t h = ms_load64(d + AT_ADDRESSES) * UINT64_C(0x9e3779b97f4a7c15) +
	             ((uint64_t)ms_load32(d + AT_PORTS) << 32 | ms_load32(d + AT_KEY - 1)) *
	                     UINT64_C(0xbf58476d1ce4e5b9);

	return (uint32_t)(h >> 32);
#endif
}

/* The place where a packet's flow is looked for first. */
static inline struct flow *
flow_first(const struct ms_flow_table *table, const uint8_t *d)
{
	return (struct flow *)((uintptr_t)table->flows + (flow_hash(d) & table->places));
}

/* Has it fetched. */
static inline void
flow_fetch(const struct flow *flow)
{
	rte_prefetch0(flow);
}

/* The other places, i = 1 to FLOW_WAYS - 1, which share their pages with the first. */
static inline struct flow *
flow_other(const struct ms_flow_table *table, const struct flow *first, size_t i)
{
	return &table->flows[(size_t)(first - table->flows) ^ i];
}

/* What flow->whence is for a packet's flow. d: the packet. */
static inline uint64_t
flow_whence(const uint8_t *d, uint32_t serial)
{
	return (uint64_t)serial << 32 | ms_load32(d + AT_SOURCE);
}

/* Has a packet the shape, as far as its head tells? */
static inline bool
has_shape(const struct ms_flow_table *table, const uint8_t *d)
{
	uint64_t differ = 0;

	for (unsigned int i = 0; i < RTE_DIM(table->mask.shape); i++)
		differ |= (ms_load64(d + AT_SHAPE + i * 8) ^ table->shape.shape[i]) &
		          table->mask.shape[i];
	for (unsigned int i = 0; i < RTE_DIM(table->mask.inner); i++)
		differ |= (ms_load64(d + AT_INNER + i * 8) ^ table->shape.inner[i]) &
		          table->mask.inner[i];
	return differ == 0;
}

/* A packet of the shape: is it of the flow? */
static inline bool
flow_is(const struct flow *flow, const struct ms_flow_table *table, const uint8_t *d,
	uint32_t serial)
{
	const uint64_t *mask = table->mask.key;
	uint64_t differ = (ms_load64(d + AT_KEY) ^ flow->key[0]) & mask[0];

	differ |= (ms_load64(d + AT_KEY + 8) ^ flow->key[1]) & mask[1];
	differ |= (ms_load64(d + AT_KEY_END) ^ flow->key[2]) & mask[2];
	differ |= (ms_load64(d + AT_KEY_END + 8) ^ flow->key[3]) & mask[3];
	return (differ | (flow->whence ^ flow_whence(d, serial))) == 0;
}

/* Counts a packet of the flow. udp: the length that its UDP header tells. */
static inline void
flow_count(struct ms_flow_table *table, struct flow *flow, uint32_t udp)
{
	uint64_t tally = flow->tally + TALLY_PACKET + udp;

	flow->tally = tally;
	if (unlikely((tally & TALLY_LISTED) == 0)) {
		flow->tally = tally | TALLY_LISTED;
		table->listed[table->listed_n++] = flow;
	}
}

/* Takes back what flow_count() has done. */
static inline void
flow_uncount(struct flow *flow, uint32_t udp)
{
	flow->tally -= TALLY_PACKET + udp;
}
