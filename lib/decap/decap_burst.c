/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The burst decoder. Nearly every packet has one shape, Ethernet / IPv4 without options / UDP /
 * VXLAN in one segment: a few loads and one combined comparison recognise it. All others take the
 * general walk in walk.c.
 */
#include "decap/decap_internal.h"

#include "packet/ms_wire.h"

/* Ethernet 14, IPv4 20, UDP 8, VXLAN 8 */
#define PLAIN_HEADERS 50

/*
 * True if the packet has the common shape with lengths that agree; then p is filled. Offsets:
 * 12 EtherType, 14 version and IHL, 16 total length, 20 fragment, 23 protocol, 26 source,
 * 36 destination port, 38 UDP length, 42 VXLAN flags, 46 VNI.
 */
static inline bool
decap_plain(const struct ms_decap *decap, const struct rte_mbuf *m, struct ms_packet *p)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t total, udp;

	if (m->data_len <= PLAIN_HEADERS)
		return false;
	if ((ms_load16(d + 12) ^ RTE_BE16(RTE_ETHER_TYPE_IPV4)) | (d[14] ^ 0x45) |
		(d[23] ^ MS_PROTO_UDP) | (ms_load16(d + 20) & RTE_BE16(MS_IPV4_MF_OFFSET)) |
		(ms_load16(d + 36) ^ decap->vxlan_port) | (~d[42] & 0x08))
		return false;
	total = ms_be16(d + 16);
	udp = ms_be16(d + 38);
	if (udp <= 16 || total != udp + 20 || total + 14 > m->pkt_len || m->pkt_len > MS_LENGTH_MAX)
		return false;
	p->source.hi = 0;
	p->source.lo = ms_be32(d + 26);
	p->source_family = MS_FAMILY_V4;
	p->vni = ms_be32(d + 46) >> 8;
	p->offset = PLAIN_HEADERS;
	p->length = udp - 16;
	p->original_length = p->length;
	p->tunnel = MS_TUNNEL_VXLAN;
	p->fate = MS_FATE_NONE;
	return true;
}

void
ms_decap_burst(const struct ms_decap *decap, struct rte_mbuf *const *mbufs, uint16_t n,
	struct ms_packet *packets)
{
	for (uint16_t i = 0; i < n; i++) {
		if (!decap_plain(decap, mbufs[i], &packets[i]))
			packets[i].fate = decap_walk(decap, mbufs[i], &packets[i]);
	}
}
