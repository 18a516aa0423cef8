/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Builds the header template of a session that encap_burst.c puts before frames. Every field is as
 * seen in packets of AWS Traffic Mirroring: TTL 255, DF clear, ID and TOS 0, no UDP checksum (for
 * IPv6 as RFC 6935 allows tunnels).
 */
#include "encap/ms_encap.h"

#include "encap/headers.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define TTL           255
#define VNI_MAX       0xffffffu
#define PORT_BITS_MAX 16
#define VXLAN_VNI     0x08000000u /* the I flag: the VNI is valid */
#define IPV6_V6       0x60000000u /* version 6, traffic class and flow label 0 */
#define GWLB_CLASS    0x0108      /* of the options of a Gateway Load Balancer */

/* Appends a header to the template. */
static void
put(struct ms_encap *encap, const void *header, size_t bytes)
{
	memcpy(encap->header + encap->length, header, bytes);
	encap->length += (uint8_t)bytes;
}

static uint16_t
ether_type(uint8_t family)
{
	return family == MS_FAMILY_V4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6;
}

static void
put_ether(struct ms_encap *encap, const struct ms_encap_options *o)
{
	struct rte_ether_hdr ether = {
		.dst_addr = o->target_mac,
		.src_addr = o->source_mac,
		.ether_type = rte_cpu_to_be_16(ether_type(o->family)),
	};

	put(encap, &ether, sizeof(ether));
}

/* Returns the sum over the IP header. */
static uint16_t
put_v4_udp(struct ms_encap *encap, struct ms_ip source, struct ms_ip target, uint16_t port)
{
	struct encap_v4 h = {
		.ip.version_ihl = RTE_IPV4_VHL_DEF,
		.ip.time_to_live = TTL,
		.ip.next_proto_id = IPPROTO_UDP,
		.ip.src_addr = rte_cpu_to_be_32((uint32_t)source.lo),
		.ip.dst_addr = rte_cpu_to_be_32((uint32_t)target.lo),
		.udp.dst_port = rte_cpu_to_be_16(port),
	};

	put(encap, &h, sizeof(h));
	return rte_raw_cksum(&h.ip, sizeof(h.ip));
}

/* wire: 16 bytes, an array in DPDK 22.11 and a struct of its own in 24.11. */
static void
write_address(void *wire, struct ms_ip ip)
{
	rte_be64_t half[2] = {rte_cpu_to_be_64(ip.hi), rte_cpu_to_be_64(ip.lo)};

	memcpy(wire, half, sizeof(half));
}

static void
put_v6_udp(struct ms_encap *encap, struct ms_ip source, struct ms_ip target, uint16_t port)
{
	struct encap_v6 h = {
		.ip.vtc_flow = rte_cpu_to_be_32(IPV6_V6),
		.ip.proto = IPPROTO_UDP,
		.ip.hop_limits = TTL,
		.udp.dst_port = rte_cpu_to_be_16(port),
	};

	write_address(&h.ip.src_addr, source);
	write_address(&h.ip.dst_addr, target);
	put(encap, &h, sizeof(h));
}

/* One IP packet with UDP. Returns the sum over an IPv4 header, 0 for IPv6, which has none. */
static uint16_t
put_ip_udp(struct ms_encap *encap, struct ms_ip source, struct ms_ip target, uint16_t port)
{
	if (encap->family == MS_FAMILY_V4)
		return put_v4_udp(encap, source, target, port);
	put_v6_udp(encap, source, target, port);
	return 0;
}

static struct encap_option
option(uint8_t type, size_t bytes)
{
	return (struct encap_option){
		.class = rte_cpu_to_be_16(GWLB_CLASS),
		.type = type,
		.length = (uint8_t)(bytes / 4),
	};
}

static void
put_geneve(struct ms_encap *encap, const struct ms_encap_options *o)
{
	struct encap_geneve h = {
		.options = ENCAP_OPTIONS_BYTES / 4,
		.protocol = rte_cpu_to_be_16(ether_type(o->family)),
		.endpoint = option(1, sizeof(h.endpoint_id)),
		.endpoint_id = rte_cpu_to_be_64(o->endpoint_id),
		.attachment = option(2, sizeof(h.attachment_id)),
		.attachment_id = rte_cpu_to_be_64(o->attachment_id),
		.flow = option(3, sizeof(h.cookie)),
	};

	put(encap, &h, sizeof(h));
}

static void
put_vxlan(struct ms_encap *encap, const struct ms_encap_options *o)
{
	struct rte_vxlan_hdr vxlan = {
		.vx_flags = rte_cpu_to_be_32(VXLAN_VNI),
		.vx_vni = rte_cpu_to_be_32(o->vni << 8),
	};

	put(encap, &vxlan, sizeof(vxlan));
}

/* Bytes of a frame that both bounds let through; 0 if the MTU lets none. */
static uint32_t
choose_frame_max(const struct ms_encap *encap, const struct ms_encap_options *o)
{
	uint32_t headers = encap->length - encap->ip;
	uint32_t max = o->packet_length != 0 ? o->packet_length : UINT32_MAX;

	if (o->target_mtu == 0)
		return max;
	return o->target_mtu > headers ? RTE_MIN(max, o->target_mtu - headers) : 0;
}

int
ms_encap_init(struct ms_encap *encap, const struct ms_encap_options *options)
{
	struct ms_ip target = options->target;

	if (options->vni > VNI_MAX || options->port_bits > PORT_BITS_MAX ||
		(options->family != MS_FAMILY_V4 && options->family != MS_FAMILY_V6))
		return -EINVAL;
	*encap = (struct ms_encap){
		.family = options->family,
		.geneve = options->geneve,
		.directed = options->hash == MS_ENCAP_DIRECTED,
		.port_base = options->port_base,
		.port_mask = (uint16_t)((1u << options->port_bits) - 1),
	};
	put_ether(encap, options);
	if (options->geneve) {
		encap->outer_sum = put_ip_udp(encap, options->gwlb, target, options->geneve_port);
		put_geneve(encap, options);
		target = options->endpoint;
	}
	encap->ip = encap->length;
	encap->ip_sum = put_ip_udp(encap, options->source, target, options->port);
	put_vxlan(encap, options);
	encap->frame_max = choose_frame_max(encap, options);
	return encap->frame_max > 0 ? 0 : -EMSGSIZE;
}
