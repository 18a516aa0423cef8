/* SPDX-License-Identifier: BSD-3-Clause */
/* The hot half of encap: hash, cut, prepend, for a burst of frames. */
#include "encap/ms_encap.h"

#include "encap/headers.h"

#include <string.h>

/* Hash of the whole frame's flow, before it is cut: the source ENI saw all of it. */
static inline rte_be16_t
source_port(const struct rte_mbuf *m, uint8_t *bounce)
{
	uint32_t length = rte_pktmbuf_pkt_len(m);
	uint32_t seen = RTE_MIN(length, (uint32_t)MS_PARSE_MAX);
	struct ms_packet p;

	ms_packet_parse(&p, rte_pktmbuf_read(m, 0, seen, bounce), length);
	return rte_cpu_to_be_16((uint16_t)(MS_ENCAP_PORT_BASE | (p.hash & MS_ENCAP_PORT_MASK)));
}

/* Keeps the first `keep` bytes, fewer than there are and not 0, and frees segments beyond them. */
static inline void
cut(struct rte_mbuf *m, uint32_t keep)
{
	struct rte_mbuf *last = m;
	struct rte_mbuf *rest;
	uint32_t left = keep;
	uint16_t segments = 1;

	for (; last->data_len < left; last = last->next, segments++)
		left -= last->data_len;
	rest = last->next;
	last->data_len = (uint16_t)left;
	last->next = NULL;
	m->nb_segs = segments;
	m->pkt_len = keep;
	while (rest != NULL) {
		struct rte_mbuf *next = rest->next;

		rte_pktmbuf_free_seg(rest);
		rest = next;
	}
}

static inline void
prepend_v4(const struct ms_encap *encap, struct rte_mbuf *m, rte_be16_t port)
{
	struct encap_header_v4 *h = (void *)rte_pktmbuf_prepend(m, sizeof(*h));
	uint32_t length = m->pkt_len - sizeof(h->ether);
	uint32_t sum;

	memcpy(h, encap->header, sizeof(*h));
	h->udp.src_port = port;
	if (length <= UINT16_MAX) {
		h->ip.total_length = rte_cpu_to_be_16((uint16_t)length);
		h->udp.dgram_len = rte_cpu_to_be_16((uint16_t)(length - sizeof(h->ip)));
	}
	/* The sum of the rest is known, and a carry out of 16 bits can come but once. */
	sum = (uint32_t)encap->ip_sum + h->ip.total_length;
	h->ip.hdr_checksum = (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

static inline void
prepend_v6(const struct ms_encap *encap, struct rte_mbuf *m, rte_be16_t port)
{
	struct encap_header_v6 *h = (void *)rte_pktmbuf_prepend(m, sizeof(*h));
	uint32_t length = m->pkt_len - sizeof(h->ether) - sizeof(h->ip);

	memcpy(h, encap->header, sizeof(*h));
	h->udp.src_port = port;
	if (length <= UINT16_MAX) {
		h->ip.payload_len = rte_cpu_to_be_16((uint16_t)length);
		h->udp.dgram_len = rte_cpu_to_be_16((uint16_t)length);
	}
}

void
ms_encap_burst(const struct ms_encap *encap, struct rte_mbuf **pkts, uint16_t n)
{
	uint8_t bounce[MS_PARSE_MAX];

	for (uint16_t i = 0; i < n; i++) {
		rte_be16_t port = source_port(pkts[i], bounce);

		if (encap->packet_length != 0 && pkts[i]->pkt_len > encap->packet_length)
			cut(pkts[i], encap->packet_length);
		if (encap->family == MS_FAMILY_V4)
			prepend_v4(encap, pkts[i], port);
		else
			prepend_v6(encap, pkts[i], port);
	}
}
