/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the frames of a port's output tell whose they are: the key Tenant, and the object Vxlan that
 * one of its values asks for. config_output.c has the outputs.
 */
#include "config/config_internal.h"

#include <string.h>

const char *const config_tenants[] = {
	[MS_TENANT_NONE] = "none",
	[MS_TENANT_VLAN] = "vlan",
	[MS_TENANT_QINQ] = "qinq",
	[MS_TENANT_VXLAN] = "vxlan",
	NULL,
};

static const char *const vxlan_keys[] = {"TargetAddress", "SourceAddress", "TargetMac", "SourceMac",
	"VirtualNetworkId", "UdpPort", "TargetMtu", NULL};

/* What Vxlan means where it says nothing: everybody may be the target, as for mirrorsource. */
#define TARGET_MAC UINT64_C(0xffffffffffff)
#define UDP_PORT   4789

/* IP, UDP, VXLAN, and one byte of a frame. */
#define TARGET_MTU_MIN_V4 37
#define TARGET_MTU_MIN_V6 57

static bool
read_addresses(struct config_reader *r, const struct config_at *at, struct ms_config_vxlan *vxlan)
{
	struct config_at source = config_child(at, "SourceAddress");

	if (!config_require(r, at, "TargetAddress", "name where the packets go") ||
		!config_require(r, at, "SourceAddress", "name where the packets come from") ||
		!config_address(r, at, "TargetAddress", MS_FAMILY_NONE, &vxlan->target) ||
		!config_address(r, at, "SourceAddress", MS_FAMILY_NONE, &vxlan->source))
		return false;
	return vxlan->source.family == vxlan->target.family ||
	       config_fail(r, &source, "IPv%u, and TargetAddress is IPv%u; write two of one family",
		       vxlan->source.family, vxlan->target.family);
}

static bool
read_target_mtu(struct config_reader *r, const struct config_at *at, struct ms_config_vxlan *vxlan)
{
	uint32_t least =
		vxlan->target.family == MS_FAMILY_V4 ? TARGET_MTU_MIN_V4 : TARGET_MTU_MIN_V6;
	struct config_at child = config_child(at, "TargetMtu");
	int64_t mtu = 0;

	if (!config_integer(r, at, "TargetMtu", 0, UINT16_MAX, &mtu))
		return false;
	vxlan->target_mtu = (uint32_t)mtu;
	return mtu == 0 || mtu >= least ||
	       config_fail(r, &child,
		       "leaves no byte of a frame behind the headers over IPv%u; write %u or "
		       "more, or 0 for no limit",
		       vxlan->target.family, least);
}

static bool
read_vxlan(struct config_reader *r, const struct config_at *at, struct ms_config_vxlan *vxlan)
{
	int64_t vni = -1, port = UDP_PORT;

	vxlan->target_mac = TARGET_MAC;
	if (!config_known(r, at, vxlan_keys) || !read_addresses(r, at, vxlan) ||
		!config_mac(r, at, "TargetMac", &vxlan->target_mac) ||
		!config_mac(r, at, "SourceMac", &vxlan->source_mac) ||
		!config_integer(r, at, "VirtualNetworkId", 0, MS_VNI_MAX, &vni) ||
		!config_integer(r, at, "UdpPort", 1, UINT16_MAX, &port) ||
		!read_target_mtu(r, at, vxlan))
		return false;
	vxlan->has_vni = vni >= 0;
	vxlan->vni = vni >= 0 ? (uint32_t)vni : 0;
	vxlan->udp_port = (uint16_t)port;
	return true;
}

bool
config_read_tenant(
	struct config_reader *r, const struct config_at *at, struct ms_config_output *output)
{
	struct config_at vxlan = config_child(at, "Vxlan");
	int tenant = MS_TENANT_NONE;

	if (!config_choice(r, at, "Tenant", config_tenants, &tenant))
		return false;
	output->tenant = (enum ms_tenant)tenant;
	if (tenant == MS_TENANT_VXLAN)
		return config_require(r, at, "Vxlan", "write {\"TargetAddress\": ...}") &&
		       read_vxlan(r, &vxlan, &output->vxlan);
	return vxlan.value == NULL ||
	       config_fail(r, &vxlan,
		       "means nothing to Tenant %s; write \"Tenant\": \"vxlan\", or leave the "
		       "key out",
		       config_tenants[tenant]);
}
