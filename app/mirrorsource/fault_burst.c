/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loses, doubles, corrupts and holds back mirrored packets, in this order, so that each of two
 * copies may be corrupted or late by itself.
 */
#include "fault.h"

/* splitmix64: a counter that goes by the golden ratio, and a mixer. */
static inline uint64_t
next(struct fault *f)
{
	uint64_t x = f->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* A number below n. */
static inline uint32_t
below(struct fault *f, uint32_t n)
{
	return (uint32_t)((next(f) >> 32) * n >> 32);
}

static inline bool
happens(struct fault *f, enum source_fault kind)
{
	return f->rates[kind] != 0 && next(f) >> 32 < f->rates[kind];
}

static inline void
count(struct fault *f, enum source_fault kind)
{
	ms_count_add(&f->ledger->faults[kind], 1);
}

/* Turns one bit, which may be of any header. */
static inline void
corrupt(struct fault *f, struct rte_mbuf *pkt)
{
	uint32_t bit = below(f, pkt->pkt_len * 8);
	uint32_t at = bit >> 3;

	for (; at >= pkt->data_len; pkt = pkt->next)
		at -= pkt->data_len;
	*rte_pktmbuf_mtod_offset(pkt, uint8_t *, at) ^= (uint8_t)(1u << (bit & 7));
	count(f, SOURCE_FAULT_CORRUPT);
}

/* Lets one go that came after the first `older` of those that are held. */
static inline void
let_go(struct fault *f, struct mirrored_burst *out, const struct fault_held *packet, uint16_t older)
{
	for (uint16_t i = 0; i < older; i++)
		f->held[i].overtaken = true;
	if (packet->overtaken)
		count(f, SOURCE_FAULT_REORDER);
	mirrored_add(out, packet->pkt, packet->tsc, packet->tag);
}

/* One more has come: lets those go that have been held for long enough. */
static inline void
pass(struct fault *f, struct mirrored_burst *out)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < f->held_n; i++) {
		struct fault_held held = f->held[i];

		held.left--;
		if (held.left > 0)
			f->held[kept++] = held;
		else
			let_go(f, out, &held, kept);
	}
	f->held_n = kept;
}

static inline void
deliver(struct fault *f, struct mirrored_burst *out, struct fault_held packet)
{
	bool late = happens(f, SOURCE_FAULT_REORDER);

	if (happens(f, SOURCE_FAULT_CORRUPT))
		corrupt(f, packet.pkt);
	if (!late)
		let_go(f, out, &packet, f->held_n);
	/* Whoever came MIRRORED_HELD_MAX ago goes now, so that there is room for one. */
	pass(f, out);
	if (late) {
		packet.left = (uint8_t)(1 + below(f, MIRRORED_HELD_MAX));
		f->held[f->held_n++] = packet;
	}
}

void
fault_burst(struct fault *f, const struct mirrored_burst *in, struct mirrored_burst *out)
{
	out->n = 0;
	for (uint16_t i = 0; i < in->n; i++) {
		struct fault_held packet = {
			.pkt = in->pkts[i],
			.tsc = in->tscs[i],
			.tag = in->tags[i],
		};
		struct rte_mbuf *copy = NULL;

		if (happens(f, SOURCE_FAULT_LOSS)) {
			count(f, SOURCE_FAULT_LOSS);
			ms_count_add(&f->ledger->packets[SOURCE_PACKET_LOST], 1);
			rte_pktmbuf_free(packet.pkt);
			continue;
		}
		if (happens(f, SOURCE_FAULT_DUPLICATE))
			copy = rte_pktmbuf_copy(packet.pkt, f->pool, 0, UINT32_MAX);
		deliver(f, out, packet);
		if (copy == NULL)
			continue;
		count(f, SOURCE_FAULT_DUPLICATE);
		ms_count_add(&f->ledger->packets[SOURCE_PACKET_DUPLICATED], 1);
		packet.pkt = copy;
		deliver(f, out, packet);
	}
}

void
fault_flush_burst(struct fault *f, struct mirrored_burst *out)
{
	out->n = 0;
	for (uint16_t i = 0; i < f->held_n; i++)
		let_go(f, out, &f->held[i], 0);
	f->held_n = 0;
}
