/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The headers of a mirrored packet as they lie in it: what encap.c puts one after the other, and
 * where encap_burst.c fills in what differs from packet to packet.
 */
#pragma once

#include "encap/ms_encap.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <rte_vxlan.h>

#include <assert.h>

struct encap_v4 {
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
} __rte_packed __rte_aligned(2);

struct encap_v6 {
	struct rte_ipv6_hdr ip;
	struct rte_udp_hdr udp;
} __rte_packed __rte_aligned(2);

/* RFC 8926, section 3.5 */
struct encap_option {
	rte_be16_t class;
	uint8_t type;
	uint8_t length; /* of the value, in units of 4 bytes */
} __rte_packed __rte_aligned(2);

/* RFC 8926, section 3.4, with the three options of a Gateway Load Balancer. */
struct encap_geneve {
	uint8_t options; /* version 0, and the length of all options in units of 4 bytes */
	uint8_t flags;
	rte_be16_t protocol;
	rte_be32_t vni;
	struct encap_option endpoint;
	rte_be64_t endpoint_id;
	struct encap_option attachment;
	rte_be64_t attachment_id;
	struct encap_option flow;
	rte_be32_t cookie;
} __rte_packed __rte_aligned(2);

#define ENCAP_OPTIONS_BYTES (sizeof(struct encap_geneve) - 8)

static_assert(sizeof(struct encap_geneve) == 40, "no padding");
static_assert(offsetof(struct encap_geneve, cookie) == sizeof(struct encap_geneve) - 4,
	"the burst finds the cookie just before the IP packet inside");
static_assert(
	sizeof(struct rte_ether_hdr) + sizeof(struct encap_v4) + sizeof(struct rte_vxlan_hdr) ==
		MS_ENCAP_V4_BYTES,
	"no padding");
static_assert(
	sizeof(struct rte_ether_hdr) + sizeof(struct encap_v6) + sizeof(struct rte_vxlan_hdr) ==
		MS_ENCAP_V6_BYTES,
	"no padding");
static_assert(MS_ENCAP_V6_BYTES + sizeof(struct encap_v6) + sizeof(struct encap_geneve) ==
		      MS_ENCAP_BYTES_MAX,
	"room for the longest template");
