/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the frames of a port's output tell whose they are: the key Tenant, and the object Vxlan or
 * the name of interfaces that two of its values ask for. config_output.c has the outputs.
 */
#include "config/config_internal.h"

#include <string.h>

const char *const config_tenants[] = {
	[MS_TENANT_NONE] = "none",
	[MS_TENANT_VLAN] = "vlan",
	[MS_TENANT_QINQ] = "qinq",
	[MS_TENANT_VXLAN] = "vxlan",
	[MS_TENANT_PORT] = "port",
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

/* What stands in it but is no letter, digit or one of these would be trouble in a shell or a path.
 */
#define INTERFACE_CHARACTERS                                   \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"0123456789-_.{}"

static bool
read_interface(struct config_reader *r, const struct config_at *at, char **interface)
{
	struct config_at child = config_child(at, "Interface");

	if (!config_require(r, at, "Interface", "write the taps' names, such as \"ids{vni}\"") ||
		!config_string(r, at, "Interface", interface))
		return false;
	if (strstr(*interface, "{vni}") == NULL && strstr(*interface, "{session}") == NULL)
		return config_fail(
			r, &child, "the same for all sessions; write {vni} or {session} into it");
	return (*interface)[strspn(*interface, INTERFACE_CHARACTERS)] == '\0' ||
	       config_fail(r, &child,
		       "no name of an interface; write letters, digits, -, _ and . alone");
}

/* A key that another value of Tenant asks for. */
static bool
refuse_unless(struct config_reader *r, const struct config_at *at, const char *key,
	enum ms_tenant tenant, enum ms_tenant wanted)
{
	struct config_at child = config_child(at, key);

	return child.value == NULL || tenant == wanted ||
	       config_fail(r, &child,
		       "means nothing to Tenant %s; write \"Tenant\": \"%s\", or leave the "
		       "key out",
		       config_tenants[tenant], config_tenants[wanted]);
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
	if (!refuse_unless(r, at, "Vxlan", output->tenant, MS_TENANT_VXLAN) ||
		!refuse_unless(r, at, "Interface", output->tenant, MS_TENANT_PORT))
		return false;
	if (tenant == MS_TENANT_VXLAN)
		return config_require(r, at, "Vxlan", "write {\"TargetAddress\": ...}") &&
		       read_vxlan(r, &vxlan, &output->vxlan);
	return tenant != MS_TENANT_PORT || read_interface(r, at, &output->interface);
}
