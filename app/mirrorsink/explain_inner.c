/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inner frame, read field by field. A field that a filter could ask for is either in the key,
 * or `missing` has the reason.
 */
#include "explain.h"

#include "packet/ms_wire.h"

static const char *const cut = "the frame is cut before it";

static void
miss(struct explain_inner *in, enum explain_field field, const char *why)
{
	in->missing[field] = why;
}

/* The frame has none of the fields from `first` on. */
static void
miss_from(struct explain_inner *in, enum explain_field first, const char *why)
{
	for (unsigned int field = first; field < EXPLAIN_FIELDS; field++)
		in->missing[field] = why;
}

static void
read_ports(struct explain_inner *in, const uint8_t *bytes, uint32_t at, uint32_t end)
{
	struct ms_key *key = &in->key;

	if (key->proto != MS_PROTO_TCP && key->proto != MS_PROTO_UDP) {
		miss_from(in, EXPLAIN_SPORT, "its protocol has no ports");
		return;
	}
	miss_from(in, EXPLAIN_SPORT, cut);
	if (at + 2 <= end) {
		key->sport = ms_be16(bytes + at);
		key->has |= MS_HAS_SPORT;
		miss(in, EXPLAIN_SPORT, NULL);
	}
	if (at + 4 <= end) {
		key->dport = ms_be16(bytes + at + 2);
		key->has |= MS_HAS_DPORT;
		miss(in, EXPLAIN_DPORT, NULL);
	}
}

static void
claim(struct explain_inner *in, uint32_t length)
{
	if (length > in->original_length)
		in->original_length = length;
}

static void
read_ipv4(struct explain_inner *in, const uint8_t *bytes, uint32_t at, uint32_t end)
{
	const uint8_t *ip = bytes + at;
	struct ms_key *key = &in->key;
	uint32_t total, header, here = end > at ? end - at : 0;
	uint16_t frag;

	if (here > 0 && ip[0] >> 4 != 4) {
		miss_from(in, 0, "the EtherType says IPv4, and the header another version");
		return;
	}
	key->family = MS_FAMILY_V4;
	miss_from(in, 0, cut);
	if (here < 4)
		return;
	total = ms_be16(ip + 2);
	header = (ip[0] & 15u) * 4;
	claim(in, at + total);
	if (here < 10)
		return;
	frag = ms_be16(ip + 6);
	key->fragment = (frag & MS_IPV4_MF_OFFSET) != 0;
	key->proto = ip[9];
	key->has |= MS_HAS_PROTO;
	miss(in, EXPLAIN_PROTO, NULL);
	if (here >= 16) {
		key->src.lo = ms_be32(ip + 12);
		key->has |= MS_HAS_SRC;
		miss(in, EXPLAIN_SRC, NULL);
	}
	if (here >= 20) {
		key->dst.lo = ms_be32(ip + 16);
		key->has |= MS_HAS_DST;
		miss(in, EXPLAIN_DST, NULL);
	}
	in->later_fragment = (frag & MS_IPV4_OFFSET) != 0;
	if (in->later_fragment)
		miss_from(in, EXPLAIN_SPORT, "later fragment");
	else if (header < MS_IPV4_HDR)
		miss_from(
			in, EXPLAIN_SPORT, "the IPv4 header says that it is shorter than 20 bytes");
	else
		read_ports(
			in, bytes, at + header, total != 0 && at + total < end ? at + total : end);
}

/* What follows the fixed header, `next` first. */
static void
read_extensions(
	struct explain_inner *in, const uint8_t *bytes, uint8_t next, uint32_t at, uint32_t end)
{
	while (ms_is_extension(next) && !in->later_fragment) {
		uint8_t type = next;

		if (at + 8 > end)
			return;
		next = bytes[at];
		if (type == MS_IPV6_FRAGMENT) {
			uint16_t frag = ms_be16(bytes + at + 2);

			in->later_fragment = (frag & MS_IPV6_OFFSET) != 0;
			if ((frag & MS_IPV6_M_OFFSET) != 0)
				in->key.fragment = true;
		}
		at += ms_extension_length(type, bytes + at);
	}
	in->key.proto = next;
	in->key.has |= MS_HAS_PROTO;
	miss(in, EXPLAIN_PROTO, NULL);
	if (in->later_fragment)
		miss_from(in, EXPLAIN_SPORT, "later fragment");
	else
		read_ports(in, bytes, at, end);
}

static void
read_ipv6(struct explain_inner *in, const uint8_t *bytes, uint32_t at, uint32_t end)
{
	const uint8_t *ip = bytes + at;
	struct ms_key *key = &in->key;
	uint32_t payload, here = end > at ? end - at : 0;

	if (here > 0 && ip[0] >> 4 != 6) {
		miss_from(in, 0, "the EtherType says IPv6, and the header another version");
		return;
	}
	key->family = MS_FAMILY_V6;
	miss_from(in, 0, cut);
	if (here < 6)
		return;
	payload = ms_be16(ip + 4);
	if (payload != 0)
		claim(in, at + MS_IPV6_HDR + payload);
	if (here >= 24) {
		key->src = (struct ms_ip){ms_be64(ip + 8), ms_be64(ip + 16)};
		key->has |= MS_HAS_SRC;
		miss(in, EXPLAIN_SRC, NULL);
	}
	if (here >= MS_IPV6_HDR) {
		key->dst = (struct ms_ip){ms_be64(ip + 24), ms_be64(ip + 32)};
		key->has |= MS_HAS_DST;
		miss(in, EXPLAIN_DST, NULL);
	}
	if (here < 7)
		return;
	if (payload != 0 && at + MS_IPV6_HDR + payload < end)
		end = at + MS_IPV6_HDR + payload;
	read_extensions(in, bytes, ip[6], at + MS_IPV6_HDR, end);
}

void
explain_inner(struct explain_inner *in, const uint8_t *bytes, uint32_t length)
{
	uint32_t end = RTE_MIN(length, (uint32_t)MS_PARSE_MAX), at = MS_ETHER_HDR;

	*in = (struct explain_inner){.length = length, .original_length = length};
	in->has_dst = end >= 6;
	in->has_src = end >= 12;
	in->mac_dst = in->has_dst ? ms_mac(bytes) : 0;
	in->mac_src = in->has_src ? ms_mac(bytes + 6) : 0;
	in->has_type = end >= MS_ETHER_HDR;
	in->type = in->has_type ? ms_be16(bytes + 12) : 0;
	while (in->has_type && in->tags_n < 2 && ms_is_vlan(in->type)) {
		in->has_type = at + MS_VLAN_HDR <= end;
		if (in->has_type) {
			in->tags[in->tags_n++] = ms_be16(bytes + at) & 0xfff;
			in->type = ms_be16(bytes + at + 2);
		}
		at += MS_VLAN_HDR;
	}
	if (!in->has_type)
		miss_from(in, 0, cut);
	else if (in->type == RTE_ETHER_TYPE_IPV4)
		read_ipv4(in, bytes, at, end);
	else if (in->type == RTE_ETHER_TYPE_IPV6)
		read_ipv6(in, bytes, at, end);
	else
		miss_from(in, 0, "the frame is no IP");
}
