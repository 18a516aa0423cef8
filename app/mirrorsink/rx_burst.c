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
#include "packet/ms_mbuf.h"

/*
 * Times that a transmit queue which takes nothing is asked again, for a burst. A NIC's has room in
 * some 20 us. A tap's driver asks the kernel each time, which either takes a frame or never will.
 */
#define TRIES_TO_MIRROR    200
#define TRIES_TO_EXCEPTION 4

/* What a burst comes to, on the stack of rx_burst(). */
struct outcome {
	struct rte_mbuf *free[MS_BURST];    /* mbufs that are done with */
	bool all;                           /* of the burst is done with; then free is empty */
	struct rte_mbuf *foreign[MS_BURST]; /* no mirror traffic, and there is an exception port */
	bool excepts;                       /* there is one */
	uint16_t free_n;
	uint16_t foreign_n;
	uint16_t frames_n;
};

static inline struct ms_frame
make_frame(const struct sink_rx *rx, struct rte_mbuf *m, const struct ms_packet *p, uint64_t tsc)
{
	return (struct ms_frame){.mbuf = m,
		.timestamp = ms_timestamp_of(rx->clock, m, tsc),
		.session = p->session,
		.direction = p->direction,
		.outputs = p->outputs,
		.data = ms_data_from_mbuf(m),
		.offset = p->offset,
		.length = p->length,
		.original_length = p->original_length};
}

/* Has it come as far as to a session? */
static inline bool
has_session(const struct ms_packet *p)
{
	return p->fate == MS_FATE_NONE || p->fate >= MS_FATE_FILTER_REJECT;
}

/* Remembers the MAC address of a session's source ENI, where nobody has configured it. */
static inline void
learn_mac(struct ms_session_counts *session, const struct ms_packet *p)
{
	uint64_t mac = p->direction == MS_DIRECTION_INGRESS ? p->mac_dst : p->mac_src;
	uint64_t last = ms_count_read(&session->mac), changes = last >> MS_MAC_BITS;

	if ((last ^ mac) << (64 - MS_MAC_BITS) == 0 || (mac >> 40 & 1) != 0)
		return; /* as before, or a group's */
	if (last != 0 && changes < MS_MAC_CHANGES)
		changes++;
	atomic_store_explicit(&session->mac, changes << MS_MAC_BITS | mac, memory_order_relaxed);
}

/*
 * Takes the packets of a set through all stages, and fills the places of those that come to a
 * session as ms_flow_burst() does. The others are done with: their set is *gone. Returns how many
 * packets rx->packets holds.
 */
static uint16_t
study(struct sink_rx *rx, const struct ms_ruleset *rules, struct rte_mbuf **mbufs, uint64_t set,
	uint64_t tsc, struct outcome *out, uint64_t *gone)
{
	struct ms_packet *packets = rx->packets;
	struct rte_mbuf *studied[MS_BURST];
	uint16_t n = 0;

	*gone = set;
	for (uint64_t left = set; left != 0; left &= left - 1) {
		studied[n] = mbufs[__builtin_ctzll(left)];
		packets[n++].place = (uint8_t)__builtin_ctzll(left);
	}
	ms_decap_burst(&rx->decap, studied, n, packets);
	ms_stages_end(&rx->stages, MS_STAGE_DECAP, n);
	if (rx->reassembly != NULL) {
		n = ms_reassembly_burst(rx->reassembly, studied, packets, n, tsc);
		rx->burst.pool = NULL; /* wholes are chains, of mbufs that came earlier */
		ms_stages_end(&rx->stages, MS_STAGE_REASSEMBLY, n);
	}
	ms_ruleset_session_burst(rules, rx->registry, packets, n);
	ms_stages_end(&rx->stages, MS_STAGE_SESSION, n);
	ms_packet_parse_burst(studied, packets, n);
	ms_stages_end(&rx->stages, MS_STAGE_PARSE, n);
	ms_filter_burst(rules->base, packets, n, rules->hits[rx->reader]);
	ms_stages_end(&rx->stages, MS_STAGE_FILTER, n);
	for (uint16_t i = 0; i < n; i++) {
		const struct ms_packet *p = &packets[i];

		if (has_session(p)) {
			ms_session_count_packets(
				&rx->sessions[p->session], p->direction, 1, p->length);
			if (p->fate != MS_FATE_NONE)
				ms_count_add(&rx->sessions[p->session].rejected, 1);
			if (p->eni_mac == 0 && p->direction != MS_DIRECTION_UNKNOWN)
				learn_mac(&rx->sessions[p->session], p);
			*gone &= ~(UINT64_C(1) << p->place);
			mbufs[p->place] = studied[i]; /* which may be a whole, out of fragments */
			rx->burst.frames[p->place] = make_frame(rx, studied[i], p, tsc);
			rx->burst.hashes[p->place] = p->hash;
			rx->burst.fates[p->place] = p->fate;
			rx->burst.rejected |= (uint64_t)(p->fate != MS_FATE_NONE) << p->place;
			continue;
		}
		ms_count_add(&rx->ledger.fates[p->fate], 1);
		if (p->fate == MS_FATE_NOT_MIRROR && out->excepts) {
			out->foreign[out->foreign_n++] = studied[i];
			continue;
		}
		if (p->fate == MS_FATE_SESSION_UNKNOWN || p->fate == MS_FATE_SOURCE_MISMATCH)
			ms_unknown_add(&rx->unknown, p);
		out->free[out->free_n++] = studied[i];
	}
	return n;
}

/* Lets packets[0..n) be remembered, while their mbufs are still as they were. */
static void
learn(struct sink_rx *rx, struct rte_mbuf *const *mbufs, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		const struct ms_packet *p = &rx->packets[i];

		if (has_session(p))
			ms_flow_learn(rx->flows, mbufs[p->place], p);
	}
}

/* Takes out what the filter has rejected; sessions have counted it with all their packets. */
static inline void
reject(struct sink_rx *rx, struct rte_mbuf *const *mbufs, struct outcome *out)
{
	for (uint64_t left = rx->burst.rejected; left != 0; left &= left - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(left);

		ms_count_add(&rx->ledger.fates[rx->burst.fates[i]], 1);
		out->free[out->free_n++] = mbufs[i];
	}
}

/* Closes up the frames of a set. Returns how many there are. */
static inline uint16_t
close_up(struct ms_recalled *burst, uint64_t set)
{
	uint16_t n = 0;

	for (; set != 0; set &= set - 1, n++) {
		unsigned int i = (unsigned int)__builtin_ctzll(set);

		burst->frames[n] = burst->frames[i];
		burst->hashes[n] = burst->hashes[i];
	}
	return n;
}

/* Ends a set of packets, of all in the burst, whose flows count them in the outputs. */
static inline void
count(struct sink_rx *rx, struct rte_mbuf *const *mbufs, uint64_t set, uint64_t all,
	struct outcome *out)
{
	ms_count_add(&rx->ledger.fates[MS_FATE_DELIVERED], (uint64_t)__builtin_popcountll(set));
	if (likely(set == all)) {
		out->all = true;
		return;
	}
	for (; set != 0; set &= set - 1)
		out->free[out->free_n++] = mbufs[__builtin_ctzll(set)];
}

/*
 * Parts the burst: frames that are under way close up in rx->burst. gone: the set of packets that
 * are done with; unknown: of those that no flow was known for.
 */
static inline void
settle(struct sink_rx *rx, struct rte_mbuf **mbufs, uint16_t n, uint64_t unknown, uint64_t gone,
	struct outcome *out)
{
	uint64_t all = UINT64_MAX >> (64 - n);

	reject(rx, mbufs, out);
	gone |= rx->burst.rejected;
	if (rx->counts) {
		count(rx, mbufs, all & ~unknown & ~gone, all, out);
		gone |= ~unknown;
	}
	out->frames_n = likely(gone == 0) ? n : close_up(&rx->burst, all & ~gone);
	for (uint16_t i = 0; rx->hash && i < out->frames_n; i++)
		rx->burst.frames[i].mbuf->hash.rss = rx->burst.hashes[i];
}

/* Sends frames to the workers; with a full ring waits, or counts and drops. */
static inline void
hand_over(struct sink_rx *rx, struct outcome *out)
{
	uint16_t left = ms_dispatch_burst(
		rx->dispatch, rx->burst.frames, rx->burst.hashes, out->frames_n, rx->burst.pool);

	ms_stages_end(&rx->stages, MS_STAGE_DISPATCH, out->frames_n);
	while (left > 0 && rx->wait) {
		ms_dispatch_reclaim(rx->dispatch);
		rte_pause();
		left = ms_dispatch_retry(rx->dispatch);
	}
	ms_stages_end(&rx->stages, MS_STAGE_RING, out->frames_n);
	if (left == 0)
		return;
	left = ms_dispatch_give_up(rx->dispatch, rx->burst.frames);
	for (uint16_t i = 0; i < left; i++) {
		ms_count_add(&rx->sessions[rx->burst.frames[i].session].lost, 1);
		out->free[out->free_n++] = rx->burst.frames[i].mbuf;
	}
	ms_count_add(&rx->ledger.fates[MS_FATE_RING_FULL], left);
}

/* Frees what the workers are done with. */
static inline void
reclaim(struct sink_rx *rx)
{
	unsigned int n;

	ms_stages_begin(&rx->stages);
	n = ms_dispatch_reclaim(rx->dispatch);
	if (n > 0)
		ms_stages_end(&rx->stages, MS_STAGE_RELEASE, n);
}

/* Without workers: to the outputs, less what is a duplicate. */
static inline void
deliver(struct sink_rx *rx, struct outcome *out)
{
	uint16_t n = out->frames_n;

	if (rx->dedup != NULL) {
		n = duplicates_burst(rx->dedup, rx->burst.frames, n, &out->free[out->free_n]);
		out->free_n += out->frames_n - n;
		ms_stages_end(&rx->stages, MS_STAGE_DEDUP, out->frames_n);
	}
	out->free_n += ms_lane_burst(rx->lane, rx->burst.frames, n, &out->free[out->free_n]);
	ms_count_add(&rx->ledger.fates[MS_FATE_DELIVERED], n);
	ms_stages_end(&rx->stages, MS_STAGE_OUTPUT, n);
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

/* Frees what is done with, of n packets. Returns how many. */
static inline uint16_t
release(struct sink_rx *rx, struct rte_mbuf **mbufs, uint16_t n, struct outcome *out)
{
	if (!out->all) {
		mbufs = out->free;
		n = out->free_n;
	}
	if (n == 0)
		return 0;
	if (likely(rx->burst.pool != NULL))
		rte_mempool_put_bulk(rx->burst.pool, (void *const *)mbufs, n);
	else
		ms_mbuf_free_bulk(mbufs, n);
	return n;
}

static void
rx_burst(struct sink_rx *rx, const struct sink_queue *queue, struct rte_mbuf **mbufs, uint16_t n)
{
	const struct ms_ruleset *rules = ms_ruleset_get(rx->rules);
	uint64_t tsc = rte_rdtsc(), unknown, gone = 0;
	uint16_t studied = 0;
	struct outcome out;

	out.excepts = queue->of->peer != NULL;
	out.free_n = out.foreign_n = out.frames_n = 0;
	out.all = false;
	rx->now = tsc;
	if (rx->dispatch != NULL)
		ms_dispatch_fetch(rx->dispatch, n);
	unknown = ms_flow_burst(
		rx->flows, rules->serial, mbufs, n, tsc, rules->hits[rx->reader], &rx->burst);
	ms_count_add(&rx->ledger.received, n);
	ms_count_add(&rx->ledger.received_bytes, rx->burst.bytes);
	ms_stages_end(&rx->stages, MS_STAGE_FLOW, n);
	if (unknown != 0)
		studied = study(rx, rules, mbufs, unknown, tsc, &out, &gone);
	settle(rx, mbufs, n, unknown, gone, &out);
	if (studied > 0)
		learn(rx, mbufs, studied);
	ms_stages_end(&rx->stages, MS_STAGE_SETTLE, n);

	if (out.frames_n > 0 && rx->dispatch != NULL) {
		hand_over(rx, &out);
	} else if (out.frames_n > 0) {
		deliver(rx, &out);
	}
	if (out.foreign_n > 0)
		send_foreign(rx, queue, &out);
	n = release(rx, mbufs, n, &out);
	ms_stages_end(&rx->stages, MS_STAGE_RELEASE, n);
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
		ms_stages_begin(&rx->stages);
		room = budget_take(rx->budget);
		if (room > 0)
			n = rte_eth_rx_burst(port, rx->queues[q].queue, mbufs, room);
		budget_return(rx->budget, room - n);
		if (n > 0) {
			ms_stages_end(&rx->stages, MS_STAGE_RX, n);
			rx_burst(rx, &rx->queues[q], mbufs, n);
		}
		sum += n;
	}
	return sum;
}

/*
 * Carries what the kernel says on an exception port out of the mirror port. Returns how many frames
 * there were.
 */
static inline unsigned int
carry_back(struct sink_rx *rx, const struct sink_return *back)
{
	/* these pair with the releases of port.c: the devices are ready */
	uint16_t from = atomic_load_explicit(&back->exception, memory_order_acquire);
	const struct way way = {.port = atomic_load_explicit(&back->mirror, memory_order_acquire),
		.tries = TRIES_TO_MIRROR};
	struct rte_mbuf *mbufs[MS_BURST];
	unsigned int sum = 0;

	if (from == SINK_PORT_NONE || way.port == SINK_PORT_NONE)
		return 0;
	for (uint16_t q = 0; q < back->queues; q++) {
		uint16_t n = rte_eth_rx_burst(from, q, mbufs, MS_BURST), unsent;

		if (n == 0)
			continue;
		unsent = send_all(&way, mbufs, n, mbufs);
		ms_count_add(&rx->exception_returned, n - unsent);
		ms_count_add(&rx->exception_lost, unsent);
		if (unsent > 0)
			rte_pktmbuf_free_bulk(mbufs, unsent);
		sum += n;
	}
	return sum;
}

/* What time alone asks for. */
static void
look_after(struct sink_rx *rx, uint64_t now)
{
	ms_flow_settle(rx->flows);
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
	uint64_t flushed = rte_rdtsc();

	ms_idle_begin(&rx->idle);
	rte_rcu_qsbr_thread_register(qsbr, rx->reader);
	rte_rcu_qsbr_thread_online(qsbr, rx->reader);
	look_after(rx, flushed);
	while (atomic_load_explicit(rx->stage, memory_order_relaxed) == SINK_RUN) {
		unsigned int n = poll_queues(rx);

		/* so that counters are exact when nothing comes, and the last ruleset can go */
		if (n == 0) {
			ms_flow_settle(rx->flows);
			rx->now = rte_rdtsc();
		}
		rte_rcu_qsbr_quiescent(qsbr, rx->reader);
		ms_count_add(&rx->rounds, 1);
		for (uint16_t i = 0; i < rx->returns_n; i++)
			n += carry_back(rx, &rx->returns[i]);
		if (rx->dispatch != NULL)
			reclaim(rx);
		if (rx->now - flushed >= rx->flush_ticks) {
			look_after(rx, rx->now);
			flushed = rx->now;
		}
		ms_idle_round(&rx->idle, n);
	}
	ms_flow_settle(rx->flows);
	if (rx->reassembly != NULL)
		ms_reassembly_end(rx->reassembly);
	rte_rcu_qsbr_thread_offline(qsbr, rx->reader);
	rte_rcu_qsbr_thread_unregister(qsbr, rx->reader);
	return 0;
}
