/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The general walk through the outer headers, one small function a layer. It is total: each layer
 * checks that its bytes are there, and says by its fate why it can go no further.
 *
 * Two ends are told apart: `end`, where the headers say that the payload ends, and `here`, where
 * the bytes end. A packet that stops short of what its headers promise was cut on its way; the
 * inner frame is then delivered as far as it reaches.
 */
#include "decap/decap_internal.h"

#include "packet/ms_wire.h"

#define GENEVE_HDR 8

/* No header has said yet where the payload ends. */
#define END_OPEN (UINT32_MAX / 2)

struct walk {
	const uint8_t *view; /* the packet's first min(here, MS_PARSE_MAX) bytes */
	uint32_t here;
	uint32_t claimed; /* what the mbuf says of the packet's length; >= here */
	uint32_t at;      /* the layer that comes next */
	uint32_t end;     /* of the payload, as the headers so far say */
};

/* Why n bytes at w->at can't be read: MS_FATE_NONE if they can, `malformed` if headers forbid. */
static enum ms_fate
need(const struct walk *w, uint32_t n, enum ms_fate malformed)
{
	if (w->at + n > w->end)
		return malformed;
	if (w->at + n > w->here)
		return MS_FATE_OUTER_TRUNCATED;
	return w->at + n > MS_PARSE_MAX ? MS_FATE_OUTER_MALFORMED : MS_FATE_NONE;
}

/* Ethernet with up to two VLAN tags. Gives the EtherType. */
static enum ms_fate
walk_ethernet(struct walk *w, uint16_t *ether_type)
{
	enum ms_fate fate = need(w, MS_ETHER_HDR, MS_FATE_OUTER_TRUNCATED);

	if (fate != MS_FATE_NONE)
		return fate;
	*ether_type = ms_be16(w->view + 12);
	w->at = MS_ETHER_HDR;
	for (unsigned int tags = 0; tags < MS_VLAN_TAGS && ms_is_vlan(*ether_type); tags++) {
		fate = need(w, MS_VLAN_HDR, MS_FATE_OUTER_TRUNCATED);
		if (fate != MS_FATE_NONE)
			return fate;
		*ether_type = ms_be16(w->view + w->at + 2);
		w->at += MS_VLAN_HDR;
	}
	return MS_FATE_NONE;
}

static enum ms_fate
walk_ipv4(struct walk *w, struct ms_packet *p, bool *fragment)
{
	enum ms_fate fate = need(w, MS_IPV4_HDR, MS_FATE_OUTER_MALFORMED);
	const uint8_t *ip = w->view + w->at;
	uint32_t header, total;
	uint16_t frag;

	if (fate != MS_FATE_NONE)
		return fate;
	header = (ip[0] & 0x0fu) * 4;
	if (ip[0] >> 4 != 4 || header < MS_IPV4_HDR)
		return MS_FATE_OUTER_MALFORMED;
	if (ip[9] != MS_PROTO_UDP)
		return MS_FATE_NOT_MIRROR;
	total = ms_be16(ip + 2); /* 0: longer than 65,535 bytes, or left open by offload */
	if (total != 0) {
		if (total < header || w->at + total > w->end)
			return MS_FATE_OUTER_MALFORMED;
		w->end = w->at + total;
	}
	frag = ms_be16(ip + 6);
	if ((frag & MS_IPV4_OFFSET) != 0)
		return MS_FATE_OUTER_FRAGMENT; /* no ports here to tell by */
	*fragment = (frag & MS_IPV4_MF_OFFSET) != 0;
	p->source.hi = 0;
	p->source.lo = ms_be32(ip + 12);
	p->source_family = MS_FAMILY_V4;
	w->at += header;
	return MS_FATE_NONE;
}

static enum ms_fate
walk_ipv6(struct walk *w, struct ms_packet *p, bool *fragment)
{
	enum ms_fate fate = need(w, MS_IPV6_HDR, MS_FATE_OUTER_MALFORMED);
	const uint8_t *ip = w->view + w->at;
	uint32_t payload;
	uint8_t next;

	if (fate != MS_FATE_NONE)
		return fate;
	if (ip[0] >> 4 != 6)
		return MS_FATE_OUTER_MALFORMED;
	payload = ms_be16(ip + 4); /* 0: a jumbogram (RFC 2675), or left open by offload */
	next = ip[6];
	p->source.hi = ms_be64(ip + 8);
	p->source.lo = ms_be64(ip + 16);
	p->source_family = MS_FAMILY_V6;
	w->at += MS_IPV6_HDR;
	if (payload != 0) {
		if (w->at + payload > w->end)
			return MS_FATE_OUTER_MALFORMED;
		w->end = w->at + payload;
	}
	while (ms_is_extension(next)) {
		uint16_t frag = 0;
		uint8_t type = next;

		fate = need(w, 8, MS_FATE_OUTER_MALFORMED);
		if (fate != MS_FATE_NONE)
			return fate;
		next = w->view[w->at];
		if (type == MS_IPV6_FRAGMENT)
			frag = ms_be16(w->view + w->at + 2);
		if ((frag & MS_IPV6_OFFSET) != 0)
			return next == MS_PROTO_UDP ? MS_FATE_OUTER_FRAGMENT : MS_FATE_NOT_MIRROR;
		*fragment |= (frag & MS_IPV6_M_OFFSET) != 0;
		w->at += ms_extension_length(type, w->view + w->at);
	}
	return next == MS_PROTO_UDP ? MS_FATE_NONE : MS_FATE_NOT_MIRROR;
}

/*
 * IP and UDP, to the first byte after the UDP header. Gives the destination port; anything not to
 * one of our ports is NOT_MIRROR.
 */
static enum ms_fate
walk_ip_udp(struct walk *w, struct ms_packet *p, uint16_t ether_type, rte_be16_t port_a,
	rte_be16_t port_b, rte_be16_t *port)
{
	bool fragment = false;
	uint32_t length;
	enum ms_fate fate;

	if (ether_type == RTE_ETHER_TYPE_IPV4)
		fate = walk_ipv4(w, p, &fragment);
	else if (ether_type == RTE_ETHER_TYPE_IPV6)
		fate = walk_ipv6(w, p, &fragment);
	else
		return MS_FATE_NOT_MIRROR;
	if (fate == MS_FATE_NONE)
		fate = need(w, MS_UDP_HDR, MS_FATE_OUTER_MALFORMED);
	if (fate != MS_FATE_NONE)
		return fate;
	memcpy(port, w->view + w->at + 2, sizeof(*port));
	if (*port != port_a && *port != port_b)
		return MS_FATE_NOT_MIRROR;
	if (fragment)
		return MS_FATE_OUTER_FRAGMENT;
	length = ms_be16(w->view + w->at + 4); /* 0: as long as its IP packet */
	if (length != 0) {
		if (length < MS_UDP_HDR || w->at + length > w->end)
			return MS_FATE_OUTER_MALFORMED;
		w->end = w->at + length;
	}
	w->at += MS_UDP_HDR;
	return MS_FATE_NONE;
}

/* The inner frame begins at w->at. */
static enum ms_fate
found(const struct walk *w, struct ms_packet *p)
{
	uint32_t end = w->end == END_OPEN ? w->claimed : w->end;

	if (w->at >= w->here && end > w->at)
		return MS_FATE_OUTER_TRUNCATED;
	p->offset = w->at;
	p->length = RTE_MIN(end, w->here) - w->at;
	p->original_length = end - w->at;
	return MS_FATE_NONE;
}

static enum ms_fate
walk_vxlan(struct walk *w, struct ms_packet *p)
{
	enum ms_fate fate = need(w, MS_VXLAN_HDR, MS_FATE_VXLAN_MALFORMED);

	if (fate != MS_FATE_NONE)
		return fate;
	if ((w->view[w->at] & 0x08) == 0)
		return MS_FATE_VXLAN_MALFORMED;
	p->vni = ms_be32(w->view + w->at + 4) >> 8;
	w->at += MS_VXLAN_HDR;
	return found(w, p);
}

/* GENEVE options fill their room exactly, each 4 bytes and what its length says. */
static bool
options_fit(const uint8_t *options, uint32_t room)
{
	uint32_t at = 0;

	while (at + 4 <= room)
		at += 4 + (options[at + 3] & 0x1fu) * 4;
	return at == room;
}

static enum ms_fate
walk_geneve(struct walk *w, const struct ms_decap *decap, struct ms_packet *p)
{
	enum ms_fate fate = need(w, GENEVE_HDR, MS_FATE_GENEVE_MALFORMED);
	const uint8_t *g = w->view + w->at;
	uint16_t ether_type;
	uint32_t options;
	rte_be16_t port;

	if (fate != MS_FATE_NONE)
		return fate;
	options = (g[0] & 0x3fu) * 4;
	if (g[0] >> 6 != 0)
		return MS_FATE_GENEVE_MALFORMED;
	fate = need(w, GENEVE_HDR + options, MS_FATE_GENEVE_MALFORMED);
	if (fate != MS_FATE_NONE)
		return fate;
	if (!options_fit(g + GENEVE_HDR, options))
		return MS_FATE_GENEVE_MALFORMED;
	ether_type = ms_be16(g + 2);
	p->vni = ms_be32(g + 4) >> 8;
	w->at += GENEVE_HDR + options;
	if (ether_type == RTE_ETHER_TYPE_TEB) {
		p->tunnel = MS_TUNNEL_GENEVE;
		return found(w, p);
	}
	p->tunnel = MS_TUNNEL_GENEVE_VXLAN;
	fate = walk_ip_udp(w, p, ether_type, decap->vxlan_port, decap->vxlan_port, &port);
	return fate != MS_FATE_NONE ? fate : walk_vxlan(w, p);
}

/*
 * Bytes that are really there. net_pcap hands over chains that lack whole multiples of 64 KiB where
 * a record is longer than that, with the record's length in pkt_len.
 */
static uint32_t
bytes_here(const struct rte_mbuf *m)
{
	uint32_t sum = m->data_len;

	for (const struct rte_mbuf *s = m->next; s != NULL; s = s->next)
		sum += s->data_len;
	return RTE_MIN(sum, m->pkt_len);
}

enum ms_fate
decap_walk(const struct ms_decap *decap, const struct rte_mbuf *m, struct ms_packet *p)
{
	uint8_t bounce[MS_PARSE_MAX];
	struct walk w = {.here = bytes_here(m), .claimed = m->pkt_len, .end = END_OPEN};
	uint16_t ether_type;
	enum ms_fate fate;
	rte_be16_t port;

	if (m->pkt_len > MS_LENGTH_MAX)
		return MS_FATE_OUTER_MALFORMED;
	w.view = rte_pktmbuf_read(m, 0, RTE_MIN(w.here, (uint32_t)MS_PARSE_MAX), bounce);
	fate = walk_ethernet(&w, &ether_type);
	if (fate != MS_FATE_NONE)
		return fate;
	fate = walk_ip_udp(&w, p, ether_type, decap->vxlan_port, decap->geneve_port, &port);
	if (fate != MS_FATE_NONE)
		return fate;
	p->tunnel = MS_TUNNEL_VXLAN;
	return port == decap->vxlan_port ? walk_vxlan(&w, p) : walk_geneve(&w, decap, p);
}
