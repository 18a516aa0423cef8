/* SPDX-License-Identifier: BSD-3-Clause */
/* The headers of a mirrored packet as they lie in it: what encap.c builds and encap_burst.c fills
 * in. */
#pragma once

#include "encap/ms_encap.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <rte_vxlan.h>

#include <assert.h>

struct encap_header_v4 {
	struct rte_ether_hdr ether;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
	struct rte_vxlan_hdr vxlan;
} __rte_packed __rte_aligned(2);

struct encap_header_v6 {
	struct rte_ether_hdr ether;
	struct rte_ipv6_hdr ip;
	struct rte_udp_hdr udp;
	struct rte_vxlan_hdr vxlan;
} __rte_packed __rte_aligned(2);

static_assert(sizeof(struct encap_header_v4) == MS_ENCAP_V4_BYTES, "no padding");
static_assert(sizeof(struct encap_header_v6) == MS_ENCAP_V6_BYTES, "no padding");
