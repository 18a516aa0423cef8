/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parser of inner frames. Any bytes are legal here: what is cut, or contradicts itself, leaves
 * its field out of the key, and the frame goes on. Lengths that the headers claim are believed only
 * as far as the bytes reach.
 */
#include "packet/ms_packet.h"

#include "ledger/ms_ledger.h"
#include "packet/ms_wire.h"

/* A mixer of 64 bits (the finaliser of splitmix64). */
static inline uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Ports of a packet whose transport header begins at l4; `end` is the end of what is here. */
static inline void
parse_ports(struct ms_key *key, const uint8_t *view, uint32_t l4, uint32_t end)
{
	if (key->proto != MS_PROTO_TCP && key->proto != MS_PROTO_UDP)
		return;
	if (l4 + 2 <= end) {
		key->sport = ms_be16(view + l4);
		key->has |= MS_HAS_SPORT;
	}
	if (l4 + 4 <= end) {
		key->dport = ms_be16(view + l4 + 2);
		key->has |= MS_HAS_DPORT;
	}
}

static inline void
parse_ipv4(struct ms_packet *p, const uint8_t *view, uint32_t ip, uint32_t end)
{
	struct ms_key *key = &p->key;
	uint32_t header, total;
	uint16_t frag = 0;

	if (ip < end && view[ip] >> 4 != 4)
		return;
	key->family = MS_FAMILY_V4;
	if (ip + 10 > end)
		goto length;
	frag = ms_be16(view + ip + 6);
	key->fragment = (frag & MS_IPV4_MF_OFFSET) != 0; /* MF or an offset */
	key->proto = view[ip + 9];
	key->has |= MS_HAS_PROTO;
	if (ip + 16 <= end) {
		key->src.lo = ms_be32(view + ip + 12);
		key->has |= MS_HAS_SRC;
	}
	if (ip + 20 <= end) {
		key->dst.lo = ms_be32(view + ip + 16);
		key->has |= MS_HAS_DST;
	}
length:
	if (ip + 4 > end)
		return;
	total = ms_be16(view + ip + 2); /* 0 where segmentation offload left it open */
	if (ip + total > p->original_length)
		p->original_length = ip + total;
	header = (uint32_t)(view[ip] & 0x0f) * 4;
	if (header < MS_IPV4_HDR || (frag & MS_IPV4_OFFSET) != 0 || (key->has & MS_HAS_PROTO) == 0)
		return;
	if (total != 0 && ip + total < end)
		end = ip + total; /* what follows is Ethernet padding */
	parse_ports(key, view, ip + header, end);
}

/*
 * Walks the extension headers from `at`, the first byte after the fixed header; `next` is the type
 * of what stands there. Leaves the protocol out of the key if the chain is cut.
 */
static inline void
parse_ipv6_chain(struct ms_key *key, const uint8_t *view, uint8_t next, uint32_t at, uint32_t end)
{
	bool later_fragment = false;
	uint32_t length;

	while (ms_is_extension(next) && !later_fragment) {
		if (at + 8 > end)
			return;
		if (next == MS_IPV6_FRAGMENT) {
			uint16_t frag = ms_be16(view + at + 2);

			/* an atomic fragment (RFC 6946) is the whole packet */
			key->fragment |= (frag & MS_IPV6_M_OFFSET) != 0;
			later_fragment = (frag & MS_IPV6_OFFSET) != 0;
		}
		length = ms_extension_length(next, view + at);
		next = view[at];
		at += length;
	}
	key->proto = next;
	key->has |= MS_HAS_PROTO;
	if (!later_fragment)
		parse_ports(key, view, at, end);
}

static inline void
parse_ipv6(struct ms_packet *p, const uint8_t *view, uint32_t ip, uint32_t end)
{
	struct ms_key *key = &p->key;
	uint32_t payload;

	if (ip < end && view[ip] >> 4 != 6)
		return;
	key->family = MS_FAMILY_V6;
	if (ip + 6 > end)
		return;
	payload = ms_be16(view + ip + 4); /* 0: a jumbogram, or left open by offload */
	if (payload != 0 && ip + MS_IPV6_HDR + payload > p->original_length)
		p->original_length = ip + MS_IPV6_HDR + payload;
	if (ip + 24 <= end) {
		key->src.hi = ms_be64(view + ip + 8);
		key->src.lo = ms_be64(view + ip + 16);
		key->has |= MS_HAS_SRC;
	}
	if (ip + MS_IPV6_HDR <= end) {
		key->dst.hi = ms_be64(view + ip + 24);
		key->dst.lo = ms_be64(view + ip + 32);
		key->has |= MS_HAS_DST;
	}
	if (ip + 7 > end)
		return;
	if (payload != 0 && ip + MS_IPV6_HDR + payload < end)
		end = ip + MS_IPV6_HDR + payload;
	parse_ipv6_chain(key, view, view[ip + 6], ip + MS_IPV6_HDR, end);
}

/*
 * Equal for both directions of a flow. Fragments hash by addresses alone, the first one with its
 * ports too, so that all of a packet's fragments stay together; what is no IP hashes by MACs.
 */
static inline uint32_t
symmetric_hash(const struct ms_packet *p)
{
	const struct ms_key *key = &p->key;
	uint64_t h;

	if (key->family == MS_FAMILY_NONE)
		return (uint32_t)mix(p->mac_dst + p->mac_src);
	h = (key->src.hi ^ key->dst.hi) * 31 + (key->src.lo ^ key->dst.lo);
	h = mix(h) + (key->src.lo + key->dst.lo) + 31 * (key->src.hi + key->dst.hi);
	if (!key->fragment)
		h += (uint64_t)(uint32_t)(key->sport + key->dport) << 40 ^
		     (uint64_t)(key->sport ^ key->dport) << 16 ^ key->proto;
	return (uint32_t)mix(h);
}

void
ms_packet_parse(struct ms_packet *p, const uint8_t *view, uint32_t length)
{
	uint32_t end = RTE_MIN(length, (uint32_t)MS_PARSE_MAX);
	uint32_t at = MS_ETHER_HDR;
	uint16_t ether_type = 0;

	memset(&p->key, 0, sizeof(p->key));
	p->original_length = length;
	p->mac_dst = end >= 6 ? ms_mac(view) : 0;
	p->mac_src = end >= 12 ? ms_mac(view + 6) : 0;
	if (end >= MS_ETHER_HDR)
		ether_type = ms_be16(view + 12);
	for (unsigned int tags = 0; tags < MS_VLAN_TAGS && ms_is_vlan(ether_type); tags++) {
		ether_type = at + MS_VLAN_HDR <= end ? ms_be16(view + at + 2) : 0;
		at += MS_VLAN_HDR;
	}
	p->ether_type = ether_type;
	if (ether_type == RTE_ETHER_TYPE_IPV4)
		parse_ipv4(p, view, at, end);
	else if (ether_type == RTE_ETHER_TYPE_IPV6)
		parse_ipv6(p, view, at, end);
	p->hash = symmetric_hash(p);
}

/* Equal in both or in neither tells nothing. */
static inline enum ms_direction
decide(bool is_dst, bool is_src)
{
	if (is_dst == is_src)
		return MS_DIRECTION_UNKNOWN;
	return is_dst ? MS_DIRECTION_INGRESS : MS_DIRECTION_EGRESS;
}

static inline enum ms_direction
direction(const struct ms_packet *p)
{
	enum ms_direction by_mac = MS_DIRECTION_UNKNOWN;

	if (p->eni_mac != 0)
		by_mac = decide(p->mac_dst == p->eni_mac, p->mac_src == p->eni_mac);
	if (by_mac != MS_DIRECTION_UNKNOWN || p->key.family != p->source_family)
		return by_mac;
	return decide((p->key.has & MS_HAS_DST) != 0 && ms_ip_equal(p->key.dst, p->source),
		(p->key.has & MS_HAS_SRC) != 0 && ms_ip_equal(p->key.src, p->source));
}

void
ms_packet_parse_burst(struct rte_mbuf *const *mbufs, struct ms_packet *packets, uint16_t n)
{
	uint8_t bounce[MS_PARSE_MAX];

	for (uint16_t i = 0; i < n; i++) {
		struct ms_packet *p = &packets[i];
		uint32_t tunnelled = p->original_length;
		const uint8_t *view = bounce;

		if (p->fate != MS_FATE_NONE)
			continue;
		if (p->length > 0) /* rte_pktmbuf_read() of nothing runs off the end of a chain */
			view = rte_pktmbuf_read(mbufs[i], p->offset,
				RTE_MIN(p->length, (uint32_t)MS_PARSE_MAX), bounce);
		ms_packet_parse(p, view, p->length);
		/* the tunnel's length tells of a cut on the way here, the inner one of one before
		 */
		p->original_length = RTE_MAX(p->original_length, tunnelled);
		p->direction = (uint8_t)direction(p);
	}
}
