/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loads of wire values from any alignment, and the numbers that more than one parser needs. The
 * caller has checked that the bytes are there.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ether.h>

#define MS_ETHER_HDR 14
#define MS_VLAN_HDR  4
#define MS_VLAN_TAGS 2 /* that are stepped over, outside and inside */
#define MS_IPV4_HDR  20
#define MS_IPV6_HDR  40
#define MS_UDP_HDR   8
#define MS_VXLAN_HDR 8

#define MS_PROTO_TCP 6
#define MS_PROTO_UDP 17

#define MS_IPV4_MF_OFFSET 0x3fff /* of a fragment: more fragments, or an offset */
#define MS_IPV4_OFFSET    0x1fff
#define MS_IPV6_M_OFFSET  0xfff9
#define MS_IPV6_OFFSET    0xfff8

/* IPv6 extension headers with a length of their own, but for the two that follow (RFC 8200). */
#define MS_IPV6_FRAGMENT 44
#define MS_IPV6_AH       51 /* RFC 4302 */

/* As it stands in memory, for comparisons with what stands there in the same order. */
static inline uint16_t
ms_load16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t
ms_load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t
ms_load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint16_t
ms_be16(const uint8_t *p)
{
	return rte_be_to_cpu_16(ms_load16(p));
}

static inline uint32_t
ms_be32(const uint8_t *p)
{
	return rte_be_to_cpu_32(ms_load32(p));
}

static inline uint64_t
ms_be64(const uint8_t *p)
{
	return rte_be_to_cpu_64(ms_load64(p));
}

/* A MAC address as a number, first byte most significant. */
static inline uint64_t
ms_mac(const uint8_t *p)
{
	return (uint64_t)ms_be16(p) << 32 | ms_be32(p + 2);
}

static inline bool
ms_is_vlan(uint16_t ether_type)
{
	return ether_type == RTE_ETHER_TYPE_VLAN || ether_type == RTE_ETHER_TYPE_QINQ ||
	       ether_type == 0x9100;
}

/* An IPv6 extension header that is walked: RFC 8200, 4302, 6275, 7401, 5533. */
static inline bool
ms_is_extension(uint8_t next)
{
	switch (next) {
	case 0:  /* hop-by-hop options */
	case 43: /* routing */
	case MS_IPV6_FRAGMENT:
	case MS_IPV6_AH:
	case 60:  /* destination options */
	case 135: /* mobility */
	case 139: /* host identity */
	case 140: /* shim6 */
		return true;
	default:
		return false;
	}
}

/* Bytes of the extension header `type` at p; its first two bytes are there. */
static inline uint32_t
ms_extension_length(uint8_t type, const uint8_t *p)
{
	if (type == MS_IPV6_FRAGMENT)
		return 8;
	return type == MS_IPV6_AH ? (p[1] + 2u) * 4 : (p[1] + 1u) * 8;
}
