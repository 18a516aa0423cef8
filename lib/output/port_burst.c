/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sends inner frames out of a port. The mirrored packet's own mbuf goes, cut down to the inner
 * frame; a frame that further outputs want too goes as a clone, which shares the bytes. An output
 * of several ports or queues spreads frames over them by flow.
 */
#include "output/output_internal.h"

#include <rte_bitops.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_pause.h>

/* Times that a full transmit queue is asked before frames are dropped: some 20 us. */
#define TX_TRIES 200

/* Cuts a chain to its first `keep` bytes. */
static inline void
cut_back(struct rte_mbuf *m, uint32_t keep)
{
	struct rte_mbuf *s = m;
	uint16_t segments = 1;

	m->pkt_len = keep;
	for (; keep > s->data_len && s->next != NULL; s = s->next) {
		keep -= s->data_len;
		segments++;
	}
	s->data_len = (uint16_t)keep;
	if (s->next != NULL)
		rte_pktmbuf_free(s->next);
	s->next = NULL;
	m->nb_segs = segments;
}

/* No port behind this one wants the frame: its mbuf is this one's to send. */
static inline bool
is_last(const struct ms_lane *lane, const struct ms_lane_output *output,
	const struct ms_frame *frame)
{
	return (frame->outputs & lane->ports & ~(output->bit | (output->bit - 1))) == 0;
}

/*
 * The mbuf to send for a frame, with a reference of its own: the packet's mbuf itself if this is
 * the last port that wants it, else a clone. NULL if no mbuf is left for that.
 */
static inline struct rte_mbuf *
take(const struct ms_lane *lane, const struct ms_lane_output *output, const struct ms_frame *frame)
{
	return is_last(lane, output, frame) ? frame->mbuf
	                                    : rte_pktmbuf_clone(frame->mbuf, lane->clones);
}

/* Lets go of a frame that is not sent. */
static inline void
release(const struct ms_lane *lane, const struct ms_lane_output *output,
	const struct ms_frame *frame)
{
	if (is_last(lane, output, frame))
		rte_pktmbuf_free(frame->mbuf);
}

/* May a lane that waits for ports still do so? */
static inline bool
may_wait(const struct ms_lane *lane)
{
	uint64_t deadline = atomic_load_explicit(&lane->deadline, memory_order_relaxed);

	return lane->wait && (deadline == 0 || rte_rdtsc() < deadline);
}

/*
 * Sends mbufs one way as far as its queue takes them within the budget. Returns how many; *why is
 * what became of the others.
 */
static inline uint16_t
transmit(const struct ms_lane *lane, struct ms_lane_output *output, unsigned int way,
	struct rte_mbuf **mbufs, uint16_t n, enum ms_drop *why)
{
	const struct ms_output_ports *to = output->port.to;
	const struct ms_output_port *port = &to->ports[to->ways[way].port];
	uint16_t queue = output->port.queue + to->ways[way].queue, sent = 0;
	uint64_t bit = UINT64_C(1) << way;
	/* a port that stood still is asked once: others are not to wait for it with every burst */
	unsigned int tries = (output->port.full & bit) != 0 ? 1 : TX_TRIES;

	for (;;) {
		uint16_t id = atomic_load_explicit(&port->id, memory_order_acquire), more;

		*why = MS_DROP_PORT_DOWN;
		if (id == MS_PORT_GONE)
			return sent;
		if (atomic_load_explicit(&port->down, memory_order_relaxed)) {
			if (!may_wait(lane))
				return sent;
			/* and not ask: some drivers would take all and send nothing */
			rte_pause();
			continue;
		}
		more = rte_eth_tx_burst(id, queue, &mbufs[sent], n - sent);
		sent += more;
		if (sent == n) {
			output->port.full &= ~bit;
			return sent;
		}
		*why = MS_DROP_PORT_FULL;
		if (more == 0 && !may_wait(lane) && --tries == 0) {
			output->port.full |= bit;
			return sent;
		}
		rte_pause();
	}
}

/* Sends mbufs one way, drops what it does not take, and counts. */
static inline void
send_way(const struct ms_lane *lane, struct ms_lane_output *output, unsigned int way,
	struct rte_mbuf **mbufs, uint16_t n)
{
	uint64_t bytes = 0, unsent = 0;
	enum ms_drop why;
	uint16_t sent;

	for (uint16_t i = 0; i < n; i++)
		bytes += mbufs[i]->pkt_len;
	sent = transmit(lane, output, way, mbufs, n, &why);
	ms_count_add(&output->ledger.written, sent);
	if (sent < n) {
		for (uint16_t i = sent; i < n; i++)
			unsent += mbufs[i]->pkt_len;
		rte_pktmbuf_free_bulk(&mbufs[sent], n - sent);
		ms_count_add(&output->ledger.dropped[why], n - sent);
	}
	ms_count_add(&output->ledger.bytes, bytes - unsent);
}

/*
 * One of n for a flow. Lanes are chosen by the upper bits of the same hash, and a lane would have
 * but a part of the ways: multiplied by 2^32 / golden ratio the others decide, too.
 */
static inline unsigned int
spread(uint32_t hash, unsigned int n)
{
	return n == 1 ? 0 : (unsigned int)((uint64_t)(hash * UINT32_C(0x9e3779b9)) * n >> 32);
}

/* The way of a frame; MS_OUTPUT_WAYS if its session has no port yet. */
static inline unsigned int
way_of(const struct ms_output_ports *to, const struct ms_frame *frame)
{
	uint32_t hash = to->ways_n > 1 ? frame->mbuf->hash.rss : 0;
	unsigned int port;

	if (to->of_session == NULL)
		return spread(hash, to->ways_n);
	/* pairs with the release of those who made the port */
	port = atomic_load_explicit(&to->of_session[frame->session], memory_order_acquire);
	return port > 0 ? (port - 1) * to->queues + spread(hash, to->queues) : MS_OUTPUT_WAYS;
}

/* Frames of one burst on their way. */
struct batch {
	struct rte_mbuf *mbufs[MS_BURST];
	uint8_t ways[MS_BURST];
	uint16_t n;
	uint64_t used; /* set of ways */
};

static inline void
send_batch(const struct ms_lane *lane, struct ms_lane_output *output, struct batch *batch)
{
	struct rte_mbuf *one[MS_BURST];

	if ((batch->used & (batch->used - 1)) == 0) {
		if (batch->n > 0)
			send_way(lane, output, batch->ways[0], batch->mbufs, batch->n);
		return;
	}
	for (uint64_t used = batch->used; used != 0; used &= used - 1) {
		unsigned int way = (unsigned int)rte_bsf64(used);
		uint16_t n = 0;

		for (uint16_t i = 0; i < batch->n; i++) {
			if (batch->ways[i] == way)
				one[n++] = batch->mbufs[i];
		}
		send_way(lane, output, way, one, n);
	}
}

/* A tagged frame may be longer than one that is not, as far as its first segment shows the tag. */
static inline bool
is_short_enough(const struct rte_mbuf *m, const struct ms_output_port *port)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);

	if (m->pkt_len <= port->max_length)
		return true;
	return m->pkt_len <= port->max_tagged && m->data_len >= sizeof(*ether) &&
	       ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_VLAN);
}

/*
 * The mbuf to send for a frame, cut to it, and marked if the output does that. NULL with the reason
 * if there is none, or the port can't send it.
 */
static inline struct rte_mbuf *
prepare(const struct ms_lane *lane, const struct ms_lane_output *output,
	const struct ms_frame *frame, const struct ms_output_port *port, enum ms_drop *why)
{
	const struct ms_output_ports *to = output->port.to;
	struct rte_mbuf *m = take(lane, output, frame);

	*why = MS_DROP_NO_MBUF;
	if (m == NULL)
		return NULL;
	m = cut_front(m, frame->offset);
	cut_back(m, frame->length);
	*why = MS_DROP_PORT_LENGTH;
	if (m->pkt_len == 0)
		goto drop;
	if ((to->vlan_tags != 0 || to->wraps) &&
		(*why = tenant_mark(lane, to, port, frame->session, &m)) != MS_DROP_COUNT)
		goto drop;
	*why = MS_DROP_PORT_LENGTH;
	if (!is_short_enough(m, port))
		goto drop;
	*why = MS_DROP_PORT_SEGMENTS;
	if (m->nb_segs == 1 || m->pkt_len <= port->max_segmented || rte_pktmbuf_linearize(m) == 0)
		return m;
drop:
	rte_pktmbuf_free(m);
	return NULL;
}

void
port_burst(struct ms_lane *lane, struct ms_lane_output *output, const struct ms_frame *frames,
	uint16_t n)
{
	const struct ms_output_ports *to = output->port.to;
	uint64_t offered = 0, drops[MS_DROP_COUNT] = {0};
	struct batch batch;

	batch.n = 0;
	batch.used = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m;
		unsigned int way;
		enum ms_drop why;

		if ((frames[i].outputs & output->bit) == 0)
			continue;
		offered++;
		way = way_of(to, &frames[i]);
		if (way == MS_OUTPUT_WAYS) {
			drops[MS_DROP_NO_PORT]++;
			release(lane, output, &frames[i]);
			continue;
		}
		m = prepare(lane, output, &frames[i], &to->ports[to->ways[way].port], &why);
		if (m == NULL) {
			drops[why]++;
			continue;
		}
		batch.used |= UINT64_C(1) << way;
		batch.ways[batch.n] = (uint8_t)way;
		batch.mbufs[batch.n++] = m;
	}
	ms_count_add(&output->ledger.offered, offered);
	for (unsigned int d = 0; d < MS_DROP_COUNT; d++) {
		if (drops[d] != 0)
			ms_count_add(&output->ledger.dropped[d], drops[d]);
	}
	send_batch(lane, output, &batch);
}
