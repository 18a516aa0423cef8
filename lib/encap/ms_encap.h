/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Wraps Ethernet frames as AWS Traffic Mirroring does: Ethernet, IPv4 or IPv6, UDP, VXLAN (RFC
 * 7348), and the frame, cut to the session's packet length. The headers are a template, built once
 * for a session; a burst copies it before each frame and fills in the lengths, the checksum and the
 * source port. The inverse of decap.
 *
 * Stands on packet (the hash of the inner flow).
 */
#pragma once

#include "packet/ms_packet.h"

#include <rte_ether.h>
#include <rte_mbuf.h>

#include <stdalign.h>
#include <stdint.h>

#define MS_ENCAP_V4_BYTES 50 /* Ethernet 14, IPv4 20, UDP 8, VXLAN 8 */
#define MS_ENCAP_V6_BYTES 70

/* UDP source ports as AWS chooses them: this, and 7 bits of hash of the inner flow. */
#define MS_ENCAP_PORT_BASE 0xff80u
#define MS_ENCAP_PORT_MASK 0x007fu

/* The headers of one session's packets. */
struct ms_encap_options {
	struct rte_ether_addr source_mac;
	struct rte_ether_addr target_mac;
	struct ms_ip source; /* primary address of the source ENI */
	struct ms_ip target;
	uint8_t family;         /* of both: MS_FAMILY_V4 or MS_FAMILY_V6 */
	uint16_t port;          /* of the target, host byte order; AWS: 4789 */
	uint32_t vni;           /* 24 bits */
	uint32_t packet_length; /* bytes of a frame that are kept; 0: all */
};

/* Read only after ms_encap_init(): lcores may share one. */
struct ms_encap {
	alignas(64) uint8_t header[MS_ENCAP_V6_BYTES]; /* lengths, checksums, source port are 0 */
	uint8_t length;                                /* bytes of header in use */
	uint8_t family;
	uint16_t ip_sum; /* ones' complement sum of the IPv4 header, in wire byte order */
	uint32_t packet_length;
};

/* Builds the template. Returns 0, or -EINVAL for a family or a VNI that there is not. Pure. */
int ms_encap_init(struct ms_encap *encap, const struct ms_encap_options *options);

/* Bytes of the mirrored packet that a frame of so many bytes becomes. */
static inline uint32_t
ms_encap_bytes(const struct ms_encap *encap, uint32_t frame_length)
{
	uint32_t kept = frame_length;

	if (encap->packet_length != 0 && kept > encap->packet_length)
		kept = encap->packet_length;
	return encap->length + kept;
}

/*
 * Turns frames pkts[0..n), n <= MS_BURST, into mirrored packets in place: cuts what is beyond the
 * packet length, and prepends the headers. Each frame may have any length, 0 too, and any number of
 * segments; it must be writable, its first segment's headroom at least encap->length bytes. Where
 * the IP packet exceeds 65535 bytes its length and that of UDP are 0, as segmentation offload
 * leaves them. Any thread that owns pkts.
 */
void ms_encap_burst(const struct ms_encap *encap, struct rte_mbuf **pkts, uint16_t n);
