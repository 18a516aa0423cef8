/* SPDX-License-Identifier: BSD-3-Clause */
/* The hot half of encap: cut, prepend, for a burst of frames. */
#include "encap/ms_encap.h"

#include "encap/headers.h"

#include <string.h>

/* GENEVE's source port is one of the dynamic ports, by the flow (RFC 8926, section 3.3). */
#define GENEVE_PORT_BASE 0xc000u
#define GENEVE_PORT_MASK 0x3fffu

/* Does it go from the greater end to the lesser? Ends are told apart as the hash tells flows. */
static inline bool
descends(const struct ms_packet *p)
{
	const struct ms_key *key = &p->key;

	if (key->family == MS_FAMILY_NONE)
		return p->mac_src > p->mac_dst;
	if (key->src.hi != key->dst.hi)
		return key->src.hi > key->dst.hi;
	if (key->src.lo != key->dst.lo)
		return key->src.lo > key->dst.lo;
	return !key->fragment && key->sport > key->dport;
}

uint32_t
ms_encap_flow(const struct ms_encap *encap, const struct ms_packet *p)
{
	return encap->directed && descends(p) ? ~p->hash : p->hash;
}

struct rte_mbuf *
ms_encap_headroom(const struct ms_encap *encap, struct rte_mbuf *pkt, struct rte_mempool *pool)
{
	struct rte_mbuf *head;

	if (likely(rte_pktmbuf_headroom(pkt) >= encap->length))
		return pkt;
	head = rte_pktmbuf_alloc(pool);
	if (head == NULL)
		return NULL;
	head->data_off = RTE_MAX(head->data_off, encap->length);
	/* What a driver knew of the packet, its timestamp before all, is in the first segment. */
	head->port = pkt->port;
	head->ol_flags = pkt->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
	rte_mbuf_dynfield_copy(head, pkt);
	head->next = pkt;
	head->nb_segs = (uint16_t)(pkt->nb_segs + 1);
	head->pkt_len = pkt->pkt_len;
	pkt->nb_segs = 1;
	return head;
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

/* An IPv4 packet with UDP, `length` bytes in all; sum is that of the header without length. */
static inline void
fill_v4(uint8_t *header, uint32_t length, uint16_t sum, rte_be16_t port)
{
	struct encap_v4 *h = (void *)header;
	uint32_t total;

	h->udp.src_port = port;
	if (length <= UINT16_MAX) {
		h->ip.total_length = rte_cpu_to_be_16((uint16_t)length);
		h->udp.dgram_len = rte_cpu_to_be_16((uint16_t)(length - sizeof(h->ip)));
	}
	/* The sum of the rest is known, and a carry out of 16 bits can come but once. */
	total = (uint32_t)sum + h->ip.total_length;
	h->ip.hdr_checksum = (uint16_t) ~((total & 0xffff) + (total >> 16));
}

static inline void
fill_v6(uint8_t *header, uint32_t length, rte_be16_t port)
{
	struct encap_v6 *h = (void *)header;
	uint32_t payload = length - sizeof(h->ip);

	h->udp.src_port = port;
	if (payload <= UINT16_MAX) {
		h->ip.payload_len = rte_cpu_to_be_16((uint16_t)payload);
		h->udp.dgram_len = rte_cpu_to_be_16((uint16_t)payload);
	}
}

/* The IP packet that begins at an offset of the mirrored packet, and ends with it. */
static inline void
fill_ip(const struct ms_encap *encap, struct rte_mbuf *m, uint32_t offset, uint16_t sum,
	uint32_t port)
{
	uint8_t *header = rte_pktmbuf_mtod_offset(m, uint8_t *, offset);

	if (encap->family == MS_FAMILY_V4)
		fill_v4(header, m->pkt_len - offset, sum, rte_cpu_to_be_16((uint16_t)port));
	else
		fill_v6(header, m->pkt_len - offset, rte_cpu_to_be_16((uint16_t)port));
}

static inline void
prepend(const struct ms_encap *encap, struct rte_mbuf *m, uint32_t flow)
{
	uint8_t *h = (uint8_t *)rte_pktmbuf_prepend(m, encap->length);

	memcpy(h, encap->header, encap->length);
	if (encap->geneve) {
		rte_be32_t cookie = rte_cpu_to_be_32(flow);

		fill_ip(encap, m, RTE_ETHER_HDR_LEN, encap->outer_sum,
			GENEVE_PORT_BASE | (flow & GENEVE_PORT_MASK));
		memcpy(h + encap->ip - sizeof(cookie), &cookie, sizeof(cookie));
	}
	fill_ip(encap, m, encap->ip, encap->ip_sum, encap->port_base | (flow & encap->port_mask));
}

void
ms_encap_burst(const struct ms_encap *const *encaps, const uint32_t *flows, struct rte_mbuf **pkts,
	uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		const struct ms_encap *encap = encaps[i];

		if (pkts[i]->pkt_len > encap->frame_max)
			cut(pkts[i], encap->frame_max);
		prepend(encap, pkts[i], flows[i]);
	}
}
