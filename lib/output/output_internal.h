/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hot functions of each kind of output, which lane.c puts into its table of operations, and
 * what those of ports share.
 */
#pragma once

#include "output/ms_output.h"

void null_burst(struct ms_lane *lane, struct ms_lane_output *output, const struct ms_frame *frames,
	uint16_t n);
void file_burst(struct ms_lane *lane, struct ms_lane_output *output, const struct ms_frame *frames,
	uint16_t n);
void port_burst(struct ms_lane *lane, struct ms_lane_output *output, const struct ms_frame *frames,
	uint16_t n);

/*
 * Makes a frame of a session, which is not empty and starts with its mbuf, tell whose it is, as an
 * output does for one of its ports. Returns MS_DROP_COUNT, or the reason why it can't; the frame,
 * which may have a new mbuf, is the caller's then too.
 */
enum ms_drop tenant_mark(const struct ms_lane *lane, const struct ms_output_ports *to,
	const struct ms_output_port *port, uint32_t session, struct rte_mbuf **frame);

/*
 * Cuts the first n bytes off a chain, and frees the segments that this empties: a descriptor of no
 * bytes stops some devices. Returns what the chain now begins with; the flow's hash stays with it.
 */
static inline struct rte_mbuf *
cut_front(struct rte_mbuf *m, uint32_t n)
{
	uint32_t left = m->pkt_len - n;
	uint16_t segments = m->nb_segs;

	for (; n >= m->data_len && m->next != NULL; segments--) {
		struct rte_mbuf *next = m->next;

		n -= m->data_len;
		next->hash = m->hash;
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
