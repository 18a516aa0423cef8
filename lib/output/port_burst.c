/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sends inner frames out of a port. The mirrored packet's own mbuf goes, cut down to the inner
 * frame; a frame that further ports want too goes as a clone, which shares the bytes.
 */
#include "output/output_internal.h"

#include <rte_ethdev.h>
#include <rte_pause.h>

/* Times that a full transmit queue is asked again before frames are dropped: some 20 us. */
#define TX_TRIES 200

/*
 * Cuts the first n bytes off a chain, and frees the segments that this empties: a descriptor of no
 * bytes stops some devices. Returns what the chain now begins with.
 */
static inline struct rte_mbuf *
cut_front(struct rte_mbuf *m, uint32_t n)
{
	uint32_t left = m->pkt_len - n;
	uint16_t segments = m->nb_segs;

	for (; n >= m->data_len && m->next != NULL; segments--) {
		struct rte_mbuf *next = m->next;

		n -= m->data_len;
		rte_pktmbuf_free_seg(m);
		m = next;
		/* whatever stood in the head's other fields, a segment's mean nothing */
		m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
		m->tx_offload = 0;
	}
	m->data_off += (uint16_t)n;
	m->data_len -= (uint16_t)n;
	m->pkt_len = left;
	m->nb_segs = segments;
	return m;
}

/* Cuts a chain to its first `keep` bytes. */
static inline void
cut_back(struct rte_mbuf *m, uint32_t keep)
{
	struct rte_mbuf *s = m;
	uint16_t segments = 1;

	m->pkt_len = keep;
	for (; keep > s->data_len && s->next != NULL; s = s->next) {
		keep -= s->data_len;
		segments++;
	}
	s->data_len = (uint16_t)keep;
	if (s->next != NULL)
		rte_pktmbuf_free(s->next);
	s->next = NULL;
	m->nb_segs = segments;
}

/*
 * The mbuf to send for a frame, with a reference of its own: the packet's mbuf itself if this is
 * the last port that wants it, else a clone. NULL if no mbuf is left for that.
 */
static inline struct rte_mbuf *
take(const struct ms_lane *lane, const struct ms_lane_output *output, const struct ms_frame *frame)
{
	uint32_t later = frame->outputs & lane->ports & ~(output->bit | (output->bit - 1));
	struct rte_mbuf *m = frame->mbuf;

	if (later != 0)
		m = rte_pktmbuf_clone(m, lane->clones);
	return m;
}

/* Sends what the queue takes within the budget, drops the rest. */
static inline void
transmit(struct ms_lane_output *output, struct rte_mbuf **mbufs, uint16_t n)
{
	uint64_t bytes = 0, unsent = 0;
	uint16_t sent = 0;

	for (uint16_t i = 0; i < n; i++)
		bytes += mbufs[i]->pkt_len;
	for (unsigned int tries = 0; sent < n && tries < TX_TRIES; tries++) {
		uint16_t more = rte_eth_tx_burst(
			output->port.port, output->port.queue, &mbufs[sent], n - sent);

		sent += more;
		if (more == 0)
			rte_pause();
	}
	for (uint16_t i = sent; i < n; i++)
		unsent += mbufs[i]->pkt_len;
	if (sent < n)
		rte_pktmbuf_free_bulk(&mbufs[sent], n - sent);
	ms_count_add(&output->ledger.written, sent);
	ms_count_add(&output->ledger.bytes, bytes - unsent);
	ms_count_add(&output->ledger.dropped[MS_DROP_PORT_FULL], n - sent);
}

void
port_burst(struct ms_lane *lane, struct ms_lane_output *output, const struct ms_frame *frames,
	uint16_t n)
{
	uint64_t offered = 0, drops[MS_DROP_COUNT] = {0};
	struct rte_mbuf *mbufs[MS_BURST];
	uint16_t count = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m;

		if ((frames[i].outputs & output->bit) == 0)
			continue;
		offered++;
		m = take(lane, output, &frames[i]);
		if (m == NULL) {
			drops[MS_DROP_NO_MBUF]++;
			continue;
		}
		m = cut_front(m, frames[i].offset);
		cut_back(m, frames[i].length);
		if (m->pkt_len > output->port.max_length || m->pkt_len == 0) {
			drops[MS_DROP_PORT_LENGTH]++;
		} else if (m->nb_segs > 1 && !output->port.segments &&
			   rte_pktmbuf_linearize(m) != 0) {
			drops[MS_DROP_PORT_SEGMENTS]++;
		} else {
			mbufs[count++] = m;
			continue;
		}
		rte_pktmbuf_free(m);
	}
	ms_count_add(&output->ledger.offered, offered);
	for (unsigned int d = 0; d < MS_DROP_COUNT; d++) {
		if (drops[d] != 0)
			ms_count_add(&output->ledger.dropped[d], drops[d]);
	}
	transmit(output, mbufs, count);
}
