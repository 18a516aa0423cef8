/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decapsulation: finds the inner frame in a mirrored packet, and the session key (outer source,
 * VNI). The first stage of the fast path; what it does not take apart gets its fate here.
 *
 * VXLAN (RFC 7348) over IPv4 or IPv6; GENEVE (RFC 8926) carrying Ethernet, or IP/UDP/VXLAN as it
 * comes through a Gateway Load Balancer endpoint. Outer VLAN tags (two), IPv4 options and IPv6
 * extension headers are stepped over. Outer TTL, IPv4 ID, DF, UDP checksum and offload flags of the
 * mbuf are never a reason to refuse a packet.
 */
#pragma once

#include <stdint.h>

#include "ledger/ms_ledger.h"
#include "packet/ms_packet.h"

#define MS_VXLAN_PORT  4789 /* IANA */
#define MS_GENEVE_PORT 6081 /* IANA */

/* Read-only while lcores use it. */
struct ms_decap {
	rte_be16_t vxlan_port;
	rte_be16_t geneve_port;
};

/*
 * Takes apart n packets (at most MS_BURST). For each fills in packets[i]: fate, and if that is
 * MS_FATE_NONE source, source_family, vni, offset, length,
 * original_length and tunnel. Reads no byte beyond data_len
 * of any segment; a packet shorter than its headers say is delivered as far as it reaches, as long
 * as one byte of the inner frame is there. Keeps no reference. rx lcore.
 */
void ms_decap_burst(const struct ms_decap *decap, struct rte_mbuf *const *mbufs, uint16_t n,
	struct ms_packet *packets);
