/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fragments on their way through rte_ip_frag, and the account of them. That library takes much on
 * trust, so find_fragment() gives it only fragments whose lengths agree and whose headers lie in
 * one piece. It chains mbufs before it knows that all is well, and what it gives up may be a chain
 * of several fragments; they are told apart in it by l2_len, which is set in the first segment of
 * each fragment and 0 in all others.
 */
#include "reassembly/ms_reassembly.h"

#include <rte_ip.h>

#include "packet/ms_wire.h"
#include "reassembly/reassembly_internal.h"

/* With options, of the first fragment maybe, whose header becomes that of the whole. */
#define IPV4_HDR_MAX 60

/* What there is to know of a fragment beforehand. */
struct fragment {
	uint32_t l2;     /* bytes before the IP header */
	uint32_t l3;     /* bytes of it, for IPv6 with the fragment header */
	uint32_t length; /* bytes from the packet's first byte on to the end of its IP packet */
	uint8_t family;  /* enum ms_family */
};

/* ip: its first `here` bytes. */
static inline bool
find_fragment4(struct fragment *f, const uint8_t *ip, uint32_t here)
{
	uint32_t header, total, field;

	if (here < MS_IPV4_HDR || ip[0] >> 4 != 4 || ip[9] != MS_PROTO_UDP)
		return false;
	header = (ip[0] & 0x0fu) * 4;
	total = ms_be16(ip + 2);
	field = ms_be16(ip + 6);
	if ((field & MS_IPV4_MF_OFFSET) == 0 || header < MS_IPV4_HDR || here <= header ||
		total <= header)
		return false;
	f->family = MS_FAMILY_V4;
	f->l3 = header;
	f->length = f->l2 + total;
	return (field & MS_IPV4_OFFSET) * 8 + total - header <= UINT16_MAX - IPV4_HDR_MAX;
}

static inline bool
find_fragment6(struct fragment *f, const uint8_t *ip, uint32_t here)
{
	uint32_t header = MS_IPV6_HDR + sizeof(struct rte_ipv6_fragment_ext), payload, field;
	uint8_t next;

	if (here <= header || ip[0] >> 4 != 6 || ip[6] != MS_IPV6_FRAGMENT)
		return false;
	payload = ms_be16(ip + 4);
	next = ip[MS_IPV6_HDR];
	field = ms_be16(ip + MS_IPV6_HDR + 2);
	if ((field & MS_IPV6_M_OFFSET) == 0 || MS_IPV6_HDR + payload <= header ||
		(next != MS_PROTO_UDP && !ms_is_extension(next)))
		return false;
	f->family = MS_FAMILY_V6;
	f->l3 = header;
	f->length = f->l2 + MS_IPV6_HDR + payload;
	return (field & MS_IPV6_OFFSET) + MS_IPV6_HDR + payload - header <= UINT16_MAX;
}

/* Cuts what follows the IP packet; false if that, or more, is not there. */
static inline bool
trim(struct rte_mbuf *m, uint32_t length)
{
	struct rte_mbuf *last = m;
	uint32_t here = m->data_len, padding;

	for (; last->next != NULL; last = last->next)
		here += last->next->data_len;
	if (here != m->pkt_len || here < length)
		return false;
	padding = here - length;
	if (padding >= last->data_len)
		return false;
	last->data_len -= (uint16_t)padding;
	m->pkt_len = length;
	return true;
}

/* Is this a fragment that can be given to rte_ip_frag? Then it ends where its IP packet ends. */
static inline bool
find_fragment(struct rte_mbuf *m, struct fragment *f)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t here = m->data_len;
	uint16_t type;

	if (here < MS_ETHER_HDR)
		return false;
	type = ms_be16(d + 12);
	f->l2 = MS_ETHER_HDR;
	for (unsigned int tags = 0; tags < MS_VLAN_TAGS && ms_is_vlan(type); tags++) {
		if (here < f->l2 + MS_VLAN_HDR)
			return false;
		type = ms_be16(d + f->l2 + 2);
		f->l2 += MS_VLAN_HDR;
	}
	if (type == RTE_ETHER_TYPE_IPV4)
		return find_fragment4(f, d + f->l2, here - f->l2) && trim(m, f->length);
	return type == RTE_ETHER_TYPE_IPV6 && find_fragment6(f, d + f->l2, here - f->l2) &&
	       trim(m, f->length);
}

/* Fragments that a chain consists of. */
static inline uint32_t
fragments_of(const struct rte_mbuf *m)
{
	uint32_t n = 0;

	for (; m != NULL; m = m->next)
		n += m->l2_len != 0;
	return n;
}

/* Frees and counts what was given up. */
static inline void
bury(struct ms_reassembly *reassembly)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < reassembly->dead.cnt; i++)
		n += fragments_of(reassembly->dead.row[i]);
	rte_ip_frag_free_death_row(&reassembly->dead, 0);
	reassembly->waiting -= n;
	ms_count_add(&reassembly->options.ledger->fates[MS_FATE_OUTER_FRAGMENT], n);
}

/* The whole packet was seen when its last fragment was. */
static inline void
stamp(const struct ms_timestamp *clock, struct rte_mbuf *whole, uint64_t flag,
	rte_mbuf_timestamp_t time)
{
	whole->ol_flags = (whole->ol_flags & ~clock->flag) | flag;
	if (flag != 0)
		*RTE_MBUF_DYNFIELD(whole, clock->field, rte_mbuf_timestamp_t *) = time;
}

/* Makes a chain a packet as it would have come in one piece, and counts its fragments. */
static inline void
finish(struct ms_reassembly *reassembly, struct rte_mbuf *whole, const struct fragment *f)
{
	uint32_t n = fragments_of(whole);

	if (f->family == MS_FAMILY_V4) {
		struct rte_ipv4_hdr *ip =
			rte_pktmbuf_mtod_offset(whole, struct rte_ipv4_hdr *, f->l2);

		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	}
	whole->tx_offload = 0;
	reassembly->waiting -= n;
	ms_count_add(&reassembly->options.ledger->fates[MS_FATE_REASSEMBLED], n - 1);
}

/* Gives up what was begun before `time`, less the lifetime. The death row holds so many at once. */
static inline void
expire(struct ms_reassembly *reassembly, uint64_t time)
{
	do {
		rte_ip_frag_table_del_expired_entries(reassembly->table, &reassembly->dead, time);
		if (reassembly->dead.cnt == 0)
			return;
		bury(reassembly);
	} while (true);
}

/* A packet of this time has come. */
static inline void
advance(struct ms_reassembly *reassembly, uint64_t time)
{
	if (time + reassembly->options.lifetime_ns < reassembly->newest) {
		expire(reassembly, UINT64_MAX);
		reassembly->newest = time;
	} else {
		reassembly->newest = RTE_MAX(reassembly->newest, time);
		expire(reassembly, reassembly->newest);
	}
}

/* Hands a fragment over. Returns the whole packet if that was the last that it lacked. */
static struct rte_mbuf *
add_fragment(struct ms_reassembly *reassembly, struct rte_mbuf *m, const struct fragment *f,
	uint64_t tsc)
{
	const struct ms_timestamp *clock = reassembly->options.clock;
	uint64_t time = ms_timestamp_of(clock, m, tsc), flag = m->ol_flags & clock->flag;
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, f->l2);
	rte_mbuf_timestamp_t stamped = 0;
	struct rte_mbuf *whole;

	if (flag != 0)
		stamped = *RTE_MBUF_DYNFIELD(m, clock->field, rte_mbuf_timestamp_t *);
	for (struct rte_mbuf *s = m; s != NULL; s = s->next)
		s->tx_offload = 0;
	m->l2_len = f->l2;
	m->l3_len = f->l3;
	advance(reassembly, time);
	reassembly->waiting++;
	if (f->family == MS_FAMILY_V4)
		whole = rte_ipv4_frag_reassemble_packet(reassembly->table, &reassembly->dead, m,
			reassembly->newest, (struct rte_ipv4_hdr *)ip);
	else
		whole = rte_ipv6_frag_reassemble_packet(reassembly->table, &reassembly->dead, m,
			reassembly->newest, (struct rte_ipv6_hdr *)ip,
			(struct rte_ipv6_fragment_ext *)(ip + MS_IPV6_HDR));
	if (reassembly->dead.cnt > 0)
		bury(reassembly);
	if (whole != NULL) {
		finish(reassembly, whole, f);
		stamp(clock, whole, flag, stamped);
	}
	return whole;
}

uint16_t
ms_reassembly_burst(struct ms_reassembly *reassembly, struct rte_mbuf **mbufs,
	struct ms_packet *packets, uint16_t n, uint64_t tsc)
{
	uint16_t kept = 0;

	reassembly->tsc = tsc;
	if (reassembly->waiting > 0)
		advance(reassembly, ms_timestamp_of(reassembly->options.clock, mbufs[0], tsc));
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = mbufs[i];
		struct fragment f;

		if (packets[i].fate == MS_FATE_NONE || !find_fragment(m, &f)) {
			if (kept != i)
				packets[kept] = packets[i];
			mbufs[kept++] = m;
		} else if ((m = add_fragment(reassembly, m, &f, tsc)) != NULL) {
			packets[kept].place = packets[i].place;
			ms_decap_burst(reassembly->options.decap, &m, 1, &packets[kept]);
			mbufs[kept++] = m;
		}
	}
	return kept;
}

void
ms_reassembly_idle(struct ms_reassembly *reassembly, uint64_t tsc)
{
	if (reassembly->waiting > 0 && tsc - reassembly->tsc >= reassembly->options.silence)
		expire(reassembly, UINT64_MAX);
}

void
ms_reassembly_end(struct ms_reassembly *reassembly)
{
	expire(reassembly, UINT64_MAX);
}
