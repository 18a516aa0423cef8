/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lets frames tell whose they are: VLAN tags with the ids of their session, or another mirrored
 * packet around them. port_burst.c calls it for each frame of an output that asks for this, after
 * the cut and before the send.
 *
 * A frame's bytes may be in the view of other ports, and in that of a driver that sends them still.
 * So nothing is written into a buffer that somebody else has a reference to: then what is new goes
 * into an mbuf of its own before the rest of the frame, or, where the port takes no segments, into
 * a copy. In nearly all cases the frame's own buffer has the room, where its outer headers were.
 */
#include "output/output_internal.h"

#include <string.h>

#include <rte_ether.h>

#define MACS_BYTES (2 * RTE_ETHER_ADDR_LEN)

/* Headroom for what comes before a frame. */
#define ROOM MS_ENCAP_V6_BYTES
static_assert(ROOM <= RTE_PKTMBUF_HEADROOM && 2 * RTE_VLAN_HLEN <= ROOM,
	"every mbuf from a pool of ours has the room");

/* Puts an mbuf before the frame that takes its first bytes over. NULL if there is none. */
static inline struct rte_mbuf *
put_head(const struct ms_lane *lane, struct rte_mbuf *m, uint16_t bytes)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(lane->heads);
	const uint8_t *from;
	uint8_t *to;

	if (head == NULL)
		return NULL;
	to = rte_pktmbuf_mtod(head, uint8_t *);
	from = rte_pktmbuf_read(m, 0, bytes, to);
	if (from != to)
		memcpy(to, from, bytes);
	head->data_len = bytes;
	head->pkt_len = m->pkt_len;
	if (m->pkt_len == bytes) {
		rte_pktmbuf_free(m);
		return head;
	}
	head->next = cut_front(m, bytes);
	head->nb_segs = (uint16_t)(head->next->nb_segs + 1);
	head->next->nb_segs = 1;
	return head;
}

/*
 * The frame, with its first bytes where nobody else reads, and before them headroom that ends at an
 * even address, as headers do. NULL if no mbuf is left for that; the frame is as it was then.
 */
static inline struct rte_mbuf *
own_front(const struct ms_lane *lane, const struct ms_output_port *port, struct rte_mbuf *m,
	uint16_t bytes)
{
	struct rte_mbuf *copy;

	if (RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1 && m->data_len >= bytes &&
		rte_pktmbuf_headroom(m) >= ROOM && m->data_off % 2 == 0)
		return m;
	if (m->pkt_len + ROOM <= port->max_segmented)
		return put_head(lane, m, bytes);
	copy = rte_pktmbuf_copy(m, lane->copies, 0, UINT32_MAX);
	if (copy != NULL)
		rte_pktmbuf_free(m);
	return copy;
}

/* Tags stand behind the MAC addresses, before those that the frame has (IEEE 802.1Q, 9.5). */
static inline void
push_tags(struct rte_mbuf *m, unsigned int n, uint32_t session)
{
	const rte_be16_t tags[] = {
		rte_cpu_to_be_16(RTE_ETHER_TYPE_QINQ),
		rte_cpu_to_be_16(ms_session_vlan_outer(session)),
		rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN),
		rte_cpu_to_be_16(ms_session_vlan(session)),
	};
	uint16_t size = (uint16_t)(n * RTE_VLAN_HLEN);
	uint8_t *start = (uint8_t *)rte_pktmbuf_prepend(m, size);

	memmove(start, start + size, MACS_BYTES);
	memcpy(start + MACS_BYTES, (const uint8_t *)tags + sizeof(tags) - size, size);
}

enum ms_drop
tenant_mark(const struct ms_lane *lane, const struct ms_output_ports *to,
	const struct ms_output_port *port, uint32_t session, struct rte_mbuf **frame)
{
	const struct ms_encap *encap = &port->encap;
	uint32_t flow = (*frame)->hash.rss;
	struct rte_mbuf *m;

	if (to->vlan_tags == 1 && session >= MS_SESSION_VLANS)
		return MS_DROP_NO_TAG;
	if (to->vlan_tags != 0 && (*frame)->pkt_len < MACS_BYTES)
		return MS_DROP_TOO_SHORT;
	m = own_front(lane, port, *frame, to->vlan_tags != 0 ? MACS_BYTES : 0);
	if (m == NULL)
		return MS_DROP_NO_MBUF;
	*frame = m;
	if (to->vlan_tags != 0) {
		push_tags(m, to->vlan_tags, session);
		return MS_DROP_COUNT;
	}
	ms_encap_burst(&encap, &flow, &m, 1);
	if (to->vnis != NULL)
		ms_encap_set_vni(encap, m, ms_session_info(to->vnis, session)->vni);
	return MS_DROP_COUNT;
}
