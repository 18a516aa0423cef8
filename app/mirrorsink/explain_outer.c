/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The outer headers, read one after the other as their standards describe them. Where one of them
 * is short, or contradicts another, the sentence says which, and by how much.
 */
#include "explain.h"

#include <stdarg.h>

#include "packet/ms_wire.h"

#define GENEVE_HDR 8

struct reader {
	struct explain_outer *out;
	const uint8_t *bytes;
	uint32_t length;
	uint32_t at;   /* where the next header begins */
	uint32_t end;  /* where the payload ends, as the headers so far say */
	bool has_end;  /* one has said so */
	bool fragment; /* the first of several */
};

/* Ends the reading with a fate and its reason. */
static bool
stop(struct reader *r, enum ms_fate fate, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->out->why, sizeof(r->out->why), format, args);
	va_end(args);
	r->out->fate = (uint8_t)fate;
	return false;
}

/* Are n bytes of a header here? If the headers before it leave it less, that is `malformed`. */
static bool
need(struct reader *r, uint32_t n, enum ms_fate malformed, const char *header)
{
	if (r->has_end && r->at + n > r->end)
		return stop(r, malformed,
			"%s needs %u bytes at offset %u, and the lengths before it end at %u",
			header, n, r->at, r->end);
	if (r->at + n > r->length)
		return stop(r, MS_FATE_OUTER_TRUNCATED,
			"%s needs %u bytes at offset %u, and the packet is cut at %u", header, n,
			r->at, r->length);
	if (r->at + n > MS_PARSE_MAX)
		return stop(r, MS_FATE_OUTER_MALFORMED,
			"%s is at offset %u, and headers are looked for in the first %u bytes",
			header, r->at, MS_PARSE_MAX);
	return true;
}

/* A header says that its payload ends at `end`. */
static bool
limit(struct reader *r, uint32_t end, const char *header)
{
	if (r->has_end && end > r->end)
		return stop(r, MS_FATE_OUTER_MALFORMED,
			"the length of %s reaches to offset %u, and the lengths before it end at "
			"%u",
			header, end, r->end);
	r->end = end;
	r->has_end = true;
	return true;
}

static bool
read_ethernet(struct reader *r, uint16_t *type)
{
	struct explain_outer *out = r->out;

	if (!need(r, MS_ETHER_HDR, MS_FATE_OUTER_TRUNCATED, "Ethernet"))
		return false;
	out->has_macs = true;
	out->mac_dst = ms_mac(r->bytes);
	out->mac_src = ms_mac(r->bytes + 6);
	*type = ms_be16(r->bytes + 12);
	r->at = MS_ETHER_HDR;
	while (out->tags_n < 2 && ms_is_vlan(*type)) {
		if (!need(r, MS_VLAN_HDR, MS_FATE_OUTER_TRUNCATED, "a VLAN tag"))
			return false;
		out->tags[out->tags_n++] = ms_be16(r->bytes + r->at) & 0xfff;
		*type = ms_be16(r->bytes + r->at + 2);
		r->at += MS_VLAN_HDR;
	}
	return true;
}

static bool
read_ipv4(struct reader *r, struct explain_ip *out)
{
	const uint8_t *ip = r->bytes + r->at;
	uint32_t header, total, frag;

	if (!need(r, MS_IPV4_HDR, MS_FATE_OUTER_MALFORMED, "IPv4"))
		return false;
	header = (ip[0] & 15u) * 4;
	total = ms_be16(ip + 2);
	frag = ms_be16(ip + 6);
	out->family = MS_FAMILY_V4;
	out->src.lo = ms_be32(ip + 12);
	out->dst.lo = ms_be32(ip + 16);
	r->out->ip_n++;
	if (ip[0] >> 4 != 4)
		return stop(r, MS_FATE_OUTER_MALFORMED,
			"the EtherType says IPv4, the header version %u", ip[0] >> 4);
	if (header < MS_IPV4_HDR)
		return stop(r, MS_FATE_OUTER_MALFORMED,
			"the IPv4 header says that it has %u bytes; it has at least 20", header);
	if (ip[9] != MS_PROTO_UDP)
		return stop(r, MS_FATE_NOT_MIRROR, "it is protocol %u, no UDP (17)", ip[9]);
	if (total != 0 && total < header)
		return stop(r, MS_FATE_OUTER_MALFORMED,
			"the IPv4 total length is %u, less than the header's %u", total, header);
	if (total != 0 && !limit(r, r->at + total, "IPv4"))
		return false;
	if ((frag & MS_IPV4_OFFSET) != 0)
		return stop(r, MS_FATE_OUTER_FRAGMENT,
			"it is a later fragment, at offset %u, without ports",
			(frag & MS_IPV4_OFFSET) * 8);
	r->fragment = (frag & MS_IPV4_MF_OFFSET) != 0;
	r->at += header;
	return true;
}

/* Extension headers up to what follows them, which must be UDP. */
static bool
read_extensions(struct reader *r, uint8_t next)
{
	while (ms_is_extension(next)) {
		const uint8_t *header = r->bytes + r->at;
		uint8_t type = next;

		if (!need(r, 8, MS_FATE_OUTER_MALFORMED, "an IPv6 extension header"))
			return false;
		next = header[0];
		if (type == MS_IPV6_FRAGMENT) {
			uint16_t frag = ms_be16(header + 2);

			if ((frag & MS_IPV6_OFFSET) != 0 && next == MS_PROTO_UDP)
				return stop(r, MS_FATE_OUTER_FRAGMENT,
					"it is a later fragment, at offset %u, without ports",
					frag & MS_IPV6_OFFSET);
			if ((frag & MS_IPV6_OFFSET) != 0)
				return stop(r, MS_FATE_NOT_MIRROR,
					"it is a later fragment of protocol %u, no UDP (17)", next);
			r->fragment |= (frag & MS_IPV6_M_OFFSET) != 0;
		}
		r->at += ms_extension_length(type, header);
	}
	if (next != MS_PROTO_UDP)
		return stop(r, MS_FATE_NOT_MIRROR, "it is protocol %u, no UDP (17)", next);
	return true;
}

static bool
read_ipv6(struct reader *r, struct explain_ip *out)
{
	const uint8_t *ip = r->bytes + r->at;
	uint32_t payload;
	uint8_t next;

	if (!need(r, MS_IPV6_HDR, MS_FATE_OUTER_MALFORMED, "IPv6"))
		return false;
	payload = ms_be16(ip + 4);
	next = ip[6];
	out->family = MS_FAMILY_V6;
	out->src = (struct ms_ip){ms_be64(ip + 8), ms_be64(ip + 16)};
	out->dst = (struct ms_ip){ms_be64(ip + 24), ms_be64(ip + 32)};
	r->out->ip_n++;
	if (ip[0] >> 4 != 6)
		return stop(r, MS_FATE_OUTER_MALFORMED,
			"the EtherType says IPv6, the header version %u", ip[0] >> 4);
	r->at += MS_IPV6_HDR;
	if (payload != 0 && !limit(r, r->at + payload, "IPv6"))
		return false;
	return read_extensions(r, next);
}

/* IP and UDP, to one of two ports; gives which. */
static bool
read_ip_udp(struct reader *r, uint16_t type, uint16_t port_a, uint16_t port_b, uint16_t *port)
{
	struct explain_ip *out = &r->out->ip[r->out->ip_n];
	const uint8_t *udp;
	uint32_t length;

	r->fragment = false;
	if (type != RTE_ETHER_TYPE_IPV4 && type != RTE_ETHER_TYPE_IPV6)
		return stop(r, MS_FATE_NOT_MIRROR, "EtherType 0x%04x is no IP", type);
	if (type == RTE_ETHER_TYPE_IPV4 ? !read_ipv4(r, out) : !read_ipv6(r, out))
		return false;
	if (!need(r, MS_UDP_HDR, MS_FATE_OUTER_MALFORMED, "UDP"))
		return false;
	udp = r->bytes + r->at;
	out->has_ports = true;
	out->sport = ms_be16(udp);
	*port = out->dport = ms_be16(udp + 2);
	if (*port != port_a && *port != port_b && port_a != port_b)
		return stop(r, MS_FATE_NOT_MIRROR,
			"UDP port %u is neither that of VXLAN (%u) nor that of GENEVE (%u)", *port,
			port_a, port_b);
	if (*port != port_a && *port != port_b)
		return stop(r, MS_FATE_NOT_MIRROR, "UDP port %u is not that of VXLAN (%u)", *port,
			port_a);
	if (r->fragment)
		return stop(r, MS_FATE_OUTER_FRAGMENT, "it is the first of several fragments");
	length = ms_be16(udp + 4);
	if (length != 0 && length < MS_UDP_HDR)
		return stop(r, MS_FATE_OUTER_MALFORMED,
			"the UDP length is %u, less than its header's 8", length);
	if (length != 0 && !limit(r, r->at + length, "UDP"))
		return false;
	r->at += MS_UDP_HDR;
	return true;
}

/* The inner frame is what follows. */
static bool
read_frame(struct reader *r, enum ms_tunnel tunnel, uint32_t vni)
{
	struct explain_outer *out = r->out;
	uint32_t end = r->has_end ? r->end : r->length;

	if (r->at >= r->length && end > r->at)
		return stop(r, MS_FATE_OUTER_TRUNCATED,
			"the packet is cut at %u, where the inner frame of %u bytes begins",
			r->length, end - r->at);
	out->tunnel = tunnel;
	out->vni = vni;
	out->offset = r->at;
	out->original_length = end - r->at;
	out->length = RTE_MIN(end, r->length) - r->at;
	return true;
}

static bool
read_vxlan(struct reader *r, enum ms_tunnel tunnel)
{
	const uint8_t *vxlan = r->bytes + r->at;

	if (!need(r, MS_VXLAN_HDR, MS_FATE_VXLAN_MALFORMED, "VXLAN"))
		return false;
	if ((vxlan[0] & 0x08) == 0)
		return stop(r, MS_FATE_VXLAN_MALFORMED,
			"the VXLAN flags are 0x%02x: the I flag (0x08) is clear, so there is no "
			"VNI",
			vxlan[0]);
	r->at += MS_VXLAN_HDR;
	return read_frame(r, tunnel, ms_be32(vxlan + 4) >> 8);
}

/* Options follow each other without a gap, and fill their room. */
static bool
read_geneve_options(struct reader *r, uint32_t room)
{
	uint32_t left = room;

	while (left > 0) {
		uint32_t size = left < 4 ? 4 : 4 + (r->bytes[r->at + 3] & 31u) * 4;

		if (size > left)
			return stop(r, MS_FATE_GENEVE_MALFORMED,
				"a GENEVE option of %u bytes has %u bytes of room", size, left);
		left -= size;
		r->at += size;
	}
	return true;
}

static bool
read_geneve(struct reader *r, uint16_t vxlan_port)
{
	const uint8_t *geneve = r->bytes + r->at;
	uint32_t room;
	uint16_t type, port;

	if (!need(r, GENEVE_HDR, MS_FATE_GENEVE_MALFORMED, "GENEVE"))
		return false;
	room = (geneve[0] & 63u) * 4;
	if (geneve[0] >> 6 != 0)
		return stop(r, MS_FATE_GENEVE_MALFORMED, "GENEVE version %u is not known",
			geneve[0] >> 6);
	if (!need(r, GENEVE_HDR + room, MS_FATE_GENEVE_MALFORMED, "GENEVE with its options"))
		return false;
	type = ms_be16(geneve + 2);
	r->out->has_geneve = true;
	r->out->geneve_vni = ms_be32(geneve + 4) >> 8;
	r->at += GENEVE_HDR;
	if (!read_geneve_options(r, room))
		return false;
	if (type == RTE_ETHER_TYPE_TEB)
		return read_frame(r, MS_TUNNEL_GENEVE, r->out->geneve_vni);
	return read_ip_udp(r, type, vxlan_port, vxlan_port, &port) &&
	       read_vxlan(r, MS_TUNNEL_GENEVE_VXLAN);
}

void
explain_outer(struct explain_outer *outer, const struct ms_decap *decap, const uint8_t *bytes,
	uint32_t length)
{
	struct reader r = {.out = outer, .bytes = bytes, .length = length};
	uint16_t vxlan_port = rte_be_to_cpu_16(decap->vxlan_port);
	uint16_t type = 0, port = 0;

	*outer = (struct explain_outer){.fate = MS_FATE_NONE};
	if (length > MS_LENGTH_MAX) {
		stop(&r, MS_FATE_OUTER_MALFORMED, "%u bytes are more than any wire carries (%u)",
			length, MS_LENGTH_MAX);
		return;
	}
	if (!read_ethernet(&r, &type) ||
		!read_ip_udp(&r, type, vxlan_port, rte_be_to_cpu_16(decap->geneve_port), &port))
		return;
	if (port == vxlan_port)
		read_vxlan(&r, MS_TUNNEL_VXLAN);
	else
		read_geneve(&r, vxlan_port);
}
