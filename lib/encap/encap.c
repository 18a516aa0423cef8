/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Builds the header template of a session that encap_burst.c puts before frames. Every field is as
 * seen in packets of AWS Traffic Mirroring: TTL 255, DF clear, ID and TOS 0, no UDP checksum.
 */
#include "encap/ms_encap.h"

#include "encap/headers.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define TTL       255
#define VNI_MAX   0xffffffu
#define VXLAN_VNI 0x08000000u /* the I flag: the VNI is valid */
#define IPV6_V6   0x60000000u /* version 6, traffic class and flow label 0 */

static void
fill_udp(struct rte_udp_hdr *udp, struct rte_vxlan_hdr *vxlan, const struct ms_encap_options *o)
{
	udp->dst_port = rte_cpu_to_be_16(o->port);
	vxlan->vx_flags = rte_cpu_to_be_32(VXLAN_VNI);
	vxlan->vx_vni = rte_cpu_to_be_32(o->vni << 8);
}

static void
fill_ether(struct rte_ether_hdr *ether, const struct ms_encap_options *o, uint16_t type)
{
	ether->dst_addr = o->target_mac;
	ether->src_addr = o->source_mac;
	ether->ether_type = rte_cpu_to_be_16(type);
}

/* wire: 16 bytes, an array in DPDK 22.11 and a struct of its own in 24.11. */
static void
write_address(void *wire, struct ms_ip ip)
{
	rte_be64_t half[2] = {rte_cpu_to_be_64(ip.hi), rte_cpu_to_be_64(ip.lo)};

	memcpy(wire, half, sizeof(half));
}

int
ms_encap_init(struct ms_encap *encap, const struct ms_encap_options *options)
{
	struct encap_header_v4 v4 = {0};
	struct encap_header_v6 v6 = {0};

	if (options->vni > VNI_MAX)
		return -EINVAL;
	memset(encap, 0, sizeof(*encap));
	encap->family = options->family;
	encap->packet_length = options->packet_length;
	switch (options->family) {
	case MS_FAMILY_V4:
		fill_ether(&v4.ether, options, RTE_ETHER_TYPE_IPV4);
		v4.ip.version_ihl = RTE_IPV4_VHL_DEF;
		v4.ip.time_to_live = TTL;
		v4.ip.next_proto_id = IPPROTO_UDP;
		v4.ip.src_addr = rte_cpu_to_be_32((uint32_t)options->source.lo);
		v4.ip.dst_addr = rte_cpu_to_be_32((uint32_t)options->target.lo);
		fill_udp(&v4.udp, &v4.vxlan, options);
		encap->ip_sum = rte_raw_cksum(&v4.ip, sizeof(v4.ip));
		encap->length = sizeof(v4);
		memcpy(encap->header, &v4, sizeof(v4));
		return 0;
	case MS_FAMILY_V6:
		fill_ether(&v6.ether, options, RTE_ETHER_TYPE_IPV6);
		v6.ip.vtc_flow = rte_cpu_to_be_32(IPV6_V6);
		v6.ip.proto = IPPROTO_UDP;
		v6.ip.hop_limits = TTL;
		write_address(&v6.ip.src_addr, options->source);
		write_address(&v6.ip.dst_addr, options->target);
		fill_udp(&v6.udp, &v6.vxlan, options);
		encap->length = sizeof(v6);
		memcpy(encap->header, &v6, sizeof(v6));
		return 0;
	default:
		return -EINVAL;
	}
}
