/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What AWS never mirrors, whatever the filters say, and what it mirrors only where a filter has
 * network services.
 * https://docs.aws.amazon.com/vpc/latest/mirroring/traffic-mirroring-limits.html
 */
#pragma once

#include "mirror/ms_mirror.h"
#include "packet/ms_wire.h"

/* The last bytes of Amazon's link-local addresses: 169.254.169.x and fd00:ec2::x. */
#define AMAZON_V4 UINT64_C(0xa9fea900)
#define AMAZON_V6 UINT64_C(0xfd000ec200000000)

#define PORT_DNS         53
#define PORT_DHCP_SERVER 67
#define PORT_DHCP_CLIENT 68
#define PORT_DHCP6       546 /* of the client; the server's is the next */
#define PORT_KMS         1688

/* x of an Amazon link-local address, which is never 0; 0 for any other. */
static inline uint64_t
amazon_host(uint8_t family, struct ms_ip ip)
{
	if (family == MS_FAMILY_V4)
		return (ip.lo & ~UINT64_C(0xff)) == AMAZON_V4 ? ip.lo & 0xff : 0;
	return ip.hi == AMAZON_V6 ? ip.lo : 0;
}

/* One side of a frame: an address, and the port there if it is known, else 0. */
static inline enum ms_mirror_fate
exclude_side(const struct ms_key *key, struct ms_ip ip, uint16_t port)
{
	uint64_t host = amazon_host(key->family, ip);
	bool v4 = key->family == MS_FAMILY_V4;

	if (likely(host == 0))
		return MS_MIRROR_TAKEN;
	if (host == (v4 ? 254 : 0x254))
		return MS_MIRROR_EXCLUDED_METADATA;
	if (host == (v4 ? 123 : 0x123))
		return MS_MIRROR_EXCLUDED_NTP;
	if (key->proto == MS_PROTO_TCP && port == PORT_KMS &&
		(v4 ? host == 250 || host == 251 : host == 0x240))
		return MS_MIRROR_EXCLUDED_ACTIVATION;
	return MS_MIRROR_TAKEN;
}

static inline bool
is_dhcp(const struct ms_key *key)
{
	const uint8_t both = MS_HAS_SPORT | MS_HAS_DPORT;

	if (key->proto != MS_PROTO_UDP || (key->has & both) != both)
		return false;
	if (key->sport == PORT_DHCP_SERVER || key->sport == PORT_DHCP_CLIENT)
		return key->dport == PORT_DHCP_SERVER || key->dport == PORT_DHCP_CLIENT;
	return (key->sport == PORT_DHCP6 || key->sport == PORT_DHCP6 + 1) &&
	       (key->dport == PORT_DHCP6 || key->dport == PORT_DHCP6 + 1);
}

/* EXCLUDED_*, or MS_MIRROR_TAKEN if sessions may have the frame. A field that it lacks is 0. */
static inline enum ms_mirror_fate
exclude(const struct ms_packet *packet)
{
	const struct ms_key *key = &packet->key;
	enum ms_mirror_fate from, to;

	if (packet->ether_type == RTE_ETHER_TYPE_ARP)
		return MS_MIRROR_EXCLUDED_ARP;
	if (key->family == MS_FAMILY_NONE)
		return MS_MIRROR_TAKEN;
	if (is_dhcp(key))
		return MS_MIRROR_EXCLUDED_DHCP;
	from = exclude_side(key, key->src, key->sport);
	to = exclude_side(key, key->dst, key->dport);
	if (from == MS_MIRROR_TAKEN || (to != MS_MIRROR_TAKEN && to < from))
		return to;
	return from;
}

static inline bool
is_resolver(const struct ms_mirror_eni *eni, uint8_t family, struct ms_ip ip)
{
	if (amazon_host(family, ip) == (family == MS_FAMILY_V4 ? 253 : 0x253))
		return true;
	for (uint32_t i = 0; family == MS_FAMILY_V4 && i < eni->resolvers_n; i++) {
		if (ms_ip_equal(eni->resolvers[i], ip))
			return true;
	}
	return false;
}

/* To or from port 53 of a resolver, as filters with amazon-dns take it. */
static inline bool
is_amazon_dns(const struct ms_mirror_eni *eni, const struct ms_key *key)
{
	if (key->sport != PORT_DNS && key->dport != PORT_DNS)
		return false;
	if (key->proto != MS_PROTO_TCP && key->proto != MS_PROTO_UDP)
		return false;
	return (key->dport == PORT_DNS && is_resolver(eni, key->family, key->dst)) ||
	       (key->sport == PORT_DNS && is_resolver(eni, key->family, key->src));
}
