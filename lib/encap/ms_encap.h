/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Wraps Ethernet frames as AWS Traffic Mirroring does: Ethernet, IPv4 or IPv6, UDP, VXLAN (RFC
 * 7348), and the frame, cut to the session's packet length and to what the target's MTU leaves. For
 * a target behind a Gateway Load Balancer endpoint that IP packet goes into another one: Ethernet,
 * IP, UDP, GENEVE (RFC 8926). The headers are a template, built once for a session; a burst copies
 * it before each frame and fills in lengths, checksums, source ports and the flow cookie. The
 * inverse of decap.
 *
 * Stands on packet (the hash of the inner flow).
 */
#pragma once

#include "packet/ms_packet.h"

#include <rte_ether.h>
#include <rte_mbuf.h>

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Bytes of headers before a frame. */
#define MS_ENCAP_V4_BYTES        50 /* Ethernet 14, IPv4 20, UDP 8, VXLAN 8 */
#define MS_ENCAP_V6_BYTES        70
#define MS_ENCAP_GENEVE_V4_BYTES 118 /* and IPv4 20, UDP 8, GENEVE 8, its options 32 */
#define MS_ENCAP_GENEVE_V6_BYTES 158
#define MS_ENCAP_BYTES_MAX       MS_ENCAP_GENEVE_V6_BYTES

/* UDP source ports as AWS chooses them: this, and 7 bits of hash of the inner flow. */
#define MS_ENCAP_PORT_BASE 0xff80u
#define MS_ENCAP_PORT_BITS 7

/* The smallest target MTU: IP, UDP, VXLAN, and one byte of the frame. */
#define MS_ENCAP_MTU_MIN_V4 37u
#define MS_ENCAP_MTU_MIN_V6 57u

/* What both directions of an inner flow have in common in their outer headers. */
enum ms_encap_hash {
	MS_ENCAP_SYMMETRIC, /* source port and cookie are the same */
	MS_ENCAP_DIRECTED,  /* they differ */
};

/* The headers of one session's packets. */
struct ms_encap_options {
	struct rte_ether_addr source_mac;
	struct rte_ether_addr target_mac;
	struct ms_ip source; /* primary address of the source ENI */
	struct ms_ip target;
	uint8_t family;         /* of all addresses: MS_FAMILY_V4 or MS_FAMILY_V6 */
	uint16_t port;          /* of the target, host byte order; AWS: 4789 */
	uint32_t vni;           /* 24 bits */
	uint32_t packet_length; /* bytes of a frame that are kept; 0: all */
	uint32_t target_mtu;    /* bytes of the IP packet that carries VXLAN, at most; 0: any */
	/* UDP source port: port_base | the low port_bits (0 to 16) of the flow's hash */
	uint16_t port_base;
	uint8_t port_bits;
	uint8_t hash; /* enum ms_encap_hash */
	/* Through a Gateway Load Balancer endpoint. The packet inside then goes from source to the
	 * endpoint, and the one around it from the load balancer to target. */
	bool geneve;
	uint16_t geneve_port; /* of the target, host byte order; AWS: 6081 */
	struct ms_ip gwlb;
	struct ms_ip endpoint;
	uint64_t endpoint_id;
	uint64_t attachment_id;
};

/* Read only after ms_encap_init(): lcores may share one. */
struct ms_encap {
	alignas(64) uint8_t header[MS_ENCAP_BYTES_MAX]; /* lengths, checksums, source ports: 0 */
	uint8_t length;                                 /* bytes of header in use */
	uint8_t ip; /* offset of the IP header of the packet that carries VXLAN */
	uint8_t family;
	bool geneve;
	bool directed;
	/* ones' complement sums of the IPv4 headers, in wire byte order: of the packet that carries
	 * VXLAN, and of the one around it */
	uint16_t ip_sum;
	uint16_t outer_sum;
	uint16_t port_base;
	uint16_t port_mask;
	uint32_t frame_max; /* bytes of a frame that are kept, > 0 */
};

/*
 * Builds the template. Returns 0, -EMSGSIZE for a target MTU that leaves no byte of a frame, or
 * -EINVAL for a family, a VNI or a number of port bits that there is not. Pure.
 */
int ms_encap_init(struct ms_encap *encap, const struct ms_encap_options *options);

/* Bytes of the mirrored packet that a frame of so many bytes becomes, after all cuts. */
static inline uint32_t
ms_encap_bytes(const struct ms_encap *encap, uint32_t frame_length)
{
	return encap->length + RTE_MIN(frame_length, encap->frame_max);
}

/*
 * What the outer headers say of a frame's flow, of which source port and cookie are made; p is the
 * frame as ms_packet_parse() left it, before any cut. The symmetric hash of the flow; with
 * MS_ENCAP_DIRECTED the direction from the greater to the lesser end of a flow has its complement,
 * so that the two directions never share a port unless there is only one. Any thread.
 */
uint32_t ms_encap_flow(const struct ms_encap *encap, const struct ms_packet *p);

/*
 * Makes sure that a frame has the headroom for the headers, which is RTE_PKTMBUF_HEADROOM at most
 * as frames come from a port: where it does not, puts a segment with no bytes before it. Returns
 * the frame, which may have a new head, or NULL if pool has no mbuf; the frame is the caller's
 * still. The mbufs of pool have room for MS_ENCAP_BYTES_MAX bytes. Any thread that owns pkt.
 */
struct rte_mbuf *
ms_encap_headroom(const struct ms_encap *encap, struct rte_mbuf *pkt, struct rte_mempool *pool);

/*
 * Turns frames pkts[0..n), n <= MS_BURST, into mirrored packets in place, each by its encaps[i]:
 * cuts what is too long, and prepends the headers. flows[i] is what ms_encap_flow() says of a
 * frame. Each frame may have any length, 0 too, and any number of segments; it must be writable,
 * with the headroom that ms_encap_headroom() makes. Where an IP packet exceeds 65535 bytes its
 * length and that of UDP are 0, as segmentation offload leaves them. Any thread that owns pkts.
 */
void ms_encap_burst(const struct ms_encap *const *encaps, const uint32_t *flows,
	struct rte_mbuf **pkts, uint16_t n);

/*
 * Gives a packet that ms_encap_burst() has made another VNI than its template has; no checksum
 * covers it. Any thread that owns pkt.
 */
static inline void
ms_encap_set_vni(const struct ms_encap *encap, struct rte_mbuf *pkt, uint32_t vni)
{
	rte_be32_t word = rte_cpu_to_be_32(vni << 8); /* the last of the headers */

	memcpy(rte_pktmbuf_mtod_offset(pkt, uint8_t *, encap->length - sizeof(word)), &word,
		sizeof(word));
}
