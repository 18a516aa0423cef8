/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rx lcore: polls its queues and takes each burst through all stages, to the outputs or to the
 * workers' rings. Every packet leaves here with a fate, or as a frame on its way to `delivered`.
 */
#include "sink.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_pause.h>

#include "filter/ms_filter_lookup.h"

/*
 * Times that a transmit queue which takes nothing is asked again, for a burst. A NIC's has room in
 * some 20 us. A tap's driver asks the kernel each time, which either takes a frame or never will.
 */
#define TRIES_TO_MIRROR    200
#define TRIES_TO_EXCEPTION 4

/* What a burst comes to, on the stack of rx_burst(). */
struct outcome {
	struct rte_mbuf *free[MS_BURST];    /* mbufs that are done with */
	struct rte_mbuf *foreign[MS_BURST]; /* no mirror traffic, and there is an exception port */
	bool excepts;                       /* there is one */
	uint16_t free_n;
	uint16_t foreign_n;
	uint16_t frames_n;
};

/* Where the packet's bytes are, if they can be told from the mbuf's address alone; else 0. */
static inline uint64_t
data_from_mbuf(const struct rte_mbuf *m)
{
	uint64_t distance = (uint64_t)((uintptr_t)m->buf_addr - (uintptr_t)m) + m->data_off;

	return m->nb_segs == 1 && distance <= UINT16_MAX ? distance : 0;
}

static inline struct ms_frame
make_frame(const struct sink_rx *rx, struct rte_mbuf *m, const struct ms_packet *p, uint64_t tsc)
{
	return (struct ms_frame){.mbuf = m,
		.timestamp = ms_timestamp_of(rx->clock, m, tsc),
		.session = p->session,
		.direction = p->direction,
		.outputs = p->outputs,
		.data = data_from_mbuf(m),
		.offset = p->offset,
		.length = p->length,
		.original_length = p->original_length};
}

/* Remembers the MAC address of a session's source ENI, where nobody has configured it. */
static inline void
learn_mac(struct sink_session *session, const struct ms_packet *p)
{
	uint64_t mac = p->direction == MS_DIRECTION_INGRESS ? p->mac_dst : p->mac_src;
	uint64_t last = ms_count_read(&session->mac), changes = last >> SINK_MAC_BITS;

	if ((last ^ mac) << (64 - SINK_MAC_BITS) == 0 || (mac >> 40 & 1) != 0)
		return; /* as before, or a group's */
	if (last != 0 && changes < SINK_MAC_CHANGES)
		changes++;
	atomic_store_explicit(&session->mac, changes << SINK_MAC_BITS | mac, memory_order_relaxed);
}

/* Counts what the stages decided, packet by packet, and parts the burst by it. */
static inline void
settle(struct sink_rx *rx, struct rte_mbuf **mbufs, uint16_t n, uint64_t tsc, struct outcome *out)
{
	uint64_t fates[MS_FATE_COUNT] = {0};

	for (uint16_t i = 0; i < n; i++) {
		const struct ms_packet *p = &rx->packets[i];

		fates[p->fate]++;
		if (p->fate == MS_FATE_NONE || p->fate >= MS_FATE_FILTER_REJECT) {
			struct sink_session *session = &rx->sessions[p->session];

			ms_count_add(&session->packets[p->direction], 1);
			if (p->eni_mac == 0 && p->direction != MS_DIRECTION_UNKNOWN)
				learn_mac(session, p);
			ms_count_add(&session->bytes, p->length);
			if (p->fate != MS_FATE_NONE)
				ms_count_add(&session->rejected, 1);
		}
		if (p->fate == MS_FATE_NONE) {
			rx->hashes[out->frames_n] = p->hash;
			if (rx->hash)
				mbufs[i]->hash.rss = p->hash;
			rx->frames[out->frames_n++] = make_frame(rx, mbufs[i], p, tsc);
		} else if (p->fate == MS_FATE_NOT_MIRROR && out->excepts) {
			out->foreign[out->foreign_n++] = mbufs[i];
		} else {
			if (p->fate == MS_FATE_SESSION_UNKNOWN ||
				p->fate == MS_FATE_SOURCE_MISMATCH)
				ms_unknown_add(&rx->unknown, p);
			out->free[out->free_n++] = mbufs[i];
		}
	}
	for (unsigned int f = MS_FATE_NONE + 1; f < MS_FATE_COUNT; f++) {
		if (fates[f] != 0)
			ms_count_add(&rx->ledger.fates[f], fates[f]);
	}
}

/* Sends frames to the workers; with a full ring waits, or counts and drops. */
static inline void
hand_over(struct sink_rx *rx, struct outcome *out)
{
	uint16_t left = ms_dispatch_burst(rx->dispatch, rx->frames, rx->hashes, out->frames_n);

	while (left > 0 && rx->wait) {
		ms_dispatch_reclaim(rx->dispatch);
		rte_pause();
		left = ms_dispatch_retry(rx->dispatch);
	}
	if (left == 0)
		return;
	left = ms_dispatch_give_up(rx->dispatch, rx->frames);
	for (uint16_t i = 0; i < left; i++) {
		ms_count_add(&rx->sessions[rx->frames[i].session].lost, 1);
		out->free[out->free_n++] = rx->frames[i].mbuf;
	}
	ms_count_add(&rx->ledger.fates[MS_FATE_RING_FULL], left);
}

/* Without workers: to the outputs, less what is a duplicate. */
static inline void
deliver(struct sink_rx *rx, struct outcome *out)
{
	uint16_t n = out->frames_n;

	if (rx->dedup != NULL) {
		n = duplicates_burst(rx->dedup, rx->frames, n, &out->free[out->free_n]);
		out->free_n += out->frames_n - n;
	}
	out->free_n += ms_lane_burst(rx->lane, rx->frames, n, &out->free[out->free_n]);
	ms_count_add(&rx->ledger.fates[MS_FATE_DELIVERED], n);
}

/* A transmit queue, and how often it is asked again in vain for a burst. */
struct way {
	uint16_t port; /* SINK_PORT_NONE: gone */
	uint16_t queue;
	unsigned int tries;
};

/*
 * Sends mbufs[0..n) as they are. When all tries were in vain the queue is asked once for each frame
 * that is left: one that the port never takes, since it is too long, holds up no other. Writes what
 * was not sent to unsent[], which has room for n and may be mbufs. Returns how many.
 */
static inline uint16_t
send_all(const struct way *way, struct rte_mbuf **mbufs, uint16_t n, struct rte_mbuf **unsent)
{
	unsigned int tries = way->tries;
	uint16_t at = 0, unsent_n = 0, sent = 0;

	while (at < n) {
		if (way->port != SINK_PORT_NONE)
			sent = rte_eth_tx_burst(way->port, way->queue, &mbufs[at], n - at);
		at += sent;
		if (sent > 0)
			continue;
		if (tries > 0) {
			tries--;
			rte_pause();
		} else {
			unsent[unsent_n++] = mbufs[at++];
		}
	}
	return unsent_n;
}

/* To the exception port; what it does not take is counted beside the ledger: its fate is told. */
static inline void
send_foreign(struct sink_rx *rx, const struct sink_queue *queue, struct outcome *out)
{
	/* pairs with the release of port.c: the device is ready */
	const struct way way = {
		.port = atomic_load_explicit(&queue->exception, memory_order_acquire),
		.queue = rx->reader,
		.tries = TRIES_TO_EXCEPTION};
	uint16_t unsent = send_all(&way, out->foreign, out->foreign_n, &out->free[out->free_n]);

	out->free_n += unsent;
	ms_count_add(&rx->exception_sent, out->foreign_n - unsent);
	ms_count_add(&rx->exception_dropped, unsent);
}

static void
rx_burst(struct sink_rx *rx, const struct sink_queue *queue, struct rte_mbuf **mbufs, uint16_t n)
{
	const struct ms_ruleset *rules = ms_ruleset_get(rx->rules);
	uint64_t tsc = rte_rdtsc(), bytes = 0;
	struct outcome out;

	out.excepts = queue->of->peer != NULL;
	out.free_n = out.foreign_n = out.frames_n = 0;
	for (uint16_t i = 0; i < n; i++)
		bytes += mbufs[i]->pkt_len;
	ms_count_add(&rx->ledger.received, n);
	ms_count_add(&rx->ledger.received_bytes, bytes);

	ms_decap_burst(&rx->decap, mbufs, n, rx->packets);
	if (rx->reassembly != NULL)
		n = ms_reassembly_burst(rx->reassembly, mbufs, rx->packets, n, tsc);
	ms_ruleset_session_burst(rules, rx->registry, rx->packets, n);
	ms_packet_parse_burst(mbufs, rx->packets, n);
	ms_filter_burst(rules->base, rx->packets, n, rules->hits[rx->reader]);
	settle(rx, mbufs, n, tsc, &out);

	if (out.frames_n > 0 && rx->dispatch != NULL) {
		hand_over(rx, &out);
	} else if (out.frames_n > 0) {
		deliver(rx, &out);
	}
	if (out.foreign_n > 0)
		send_foreign(rx, queue, &out);
	if (out.free_n > 0)
		rte_pktmbuf_free_bulk(out.free, out.free_n);
}

/* How many packets may be received now; what is not used goes back with budget_return(). */
static inline uint16_t
budget_take(struct sink_budget *budget)
{
	int64_t left;

	if (!budget->limited)
		return MS_BURST;
	left = atomic_fetch_sub_explicit(&budget->left, MS_BURST, memory_order_relaxed);
	if (left >= MS_BURST)
		return MS_BURST;
	left = RTE_MAX(left, 0);
	atomic_fetch_add_explicit(&budget->left, MS_BURST - left, memory_order_relaxed);
	return (uint16_t)left;
}

static inline void
budget_return(struct sink_budget *budget, uint16_t n)
{
	if (budget->limited && n > 0)
		atomic_fetch_add_explicit(&budget->left, n, memory_order_relaxed);
}

/* Polls every queue once. Returns how many packets there were. */
static inline unsigned int
poll_queues(struct sink_rx *rx)
{
	struct rte_mbuf *mbufs[MS_BURST];
	unsigned int sum = 0;

	for (uint16_t q = 0; q < rx->queues_n; q++) {
		/* pairs with the release of port.c: the device is ready */
		uint16_t port = atomic_load_explicit(&rx->queues[q].port, memory_order_acquire);
		uint16_t room, n = 0;

		if (port == SINK_PORT_NONE)
			continue;
		room = budget_take(rx->budget);
		if (room > 0)
			n = rte_eth_rx_burst(port, rx->queues[q].queue, mbufs, room);
		budget_return(rx->budget, room - n);
		if (n > 0)
			rx_burst(rx, &rx->queues[q], mbufs, n);
		sum += n;
	}
	return sum;
}

/* Carries what the kernel says on an exception port out of the mirror port. */
static inline void
carry_back(struct sink_rx *rx, const struct sink_return *back)
{
	/* these pair with the releases of port.c: the devices are ready */
	uint16_t from = atomic_load_explicit(&back->exception, memory_order_acquire);
	const struct way way = {.port = atomic_load_explicit(&back->mirror, memory_order_acquire),
		.tries = TRIES_TO_MIRROR};
	struct rte_mbuf *mbufs[MS_BURST];

	if (from == SINK_PORT_NONE || way.port == SINK_PORT_NONE)
		return;
	for (uint16_t q = 0; q < back->queues; q++) {
		uint16_t n = rte_eth_rx_burst(from, q, mbufs, MS_BURST), unsent;

		if (n == 0)
			continue;
		unsent = send_all(&way, mbufs, n, mbufs);
		ms_count_add(&rx->exception_returned, n - unsent);
		ms_count_add(&rx->exception_lost, unsent);
		if (unsent > 0)
			rte_pktmbuf_free_bulk(mbufs, unsent);
	}
}

/* What time alone asks for. */
static void
look_after(struct sink_rx *rx, uint64_t now)
{
	if (rx->lane != NULL)
		ms_lane_flush(rx->lane, ms_timestamp_utc(rx->clock, now));
	if (rx->reassembly != NULL)
		ms_reassembly_idle(rx->reassembly, now);
}

int
rx_main(void *arg)
{
	struct sink_rx *rx = arg;
	struct rte_rcu_qsbr *qsbr = rx->rules->qsbr;
	uint64_t flushed = rte_rdtsc(), now;

	rte_rcu_qsbr_thread_register(qsbr, rx->reader);
	rte_rcu_qsbr_thread_online(qsbr, rx->reader);
	while (atomic_load_explicit(rx->stage, memory_order_relaxed) == SINK_RUN) {
		unsigned int n = poll_queues(rx);

		rte_rcu_qsbr_quiescent(qsbr, rx->reader);
		ms_count_add(&rx->rounds, 1);
		for (uint16_t i = 0; i < rx->returns_n; i++)
			carry_back(rx, &rx->returns[i]);
		if (rx->dispatch != NULL)
			ms_dispatch_reclaim(rx->dispatch);
		if ((rx->lane != NULL || rx->reassembly != NULL) &&
			(now = rte_rdtsc()) - flushed >= rx->flush_ticks) {
			look_after(rx, now);
			flushed = now;
		}
		if (n == 0)
			rte_pause();
	}
	if (rx->reassembly != NULL)
		ms_reassembly_end(rx->reassembly);
	rte_rcu_qsbr_thread_offline(qsbr, rx->reader);
	rte_rcu_qsbr_thread_unregister(qsbr, rx->reader);
	return 0;
}
