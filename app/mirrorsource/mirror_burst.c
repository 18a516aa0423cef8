/* SPDX-License-Identifier: BSD-3-Clause */
/* The hot path: takes frames from ports, and sends or writes what wrap_burst.c makes of them. */
#include "mirror.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_pause.h>

/* Ticks that n units take at the rate. */
static inline uint64_t
ticks(uint64_t n, uint64_t cost)
{
	return (uint64_t)(((unsigned __int128)n * cost) >> MIRROR_COST_SHIFT);
}

/* Moves the time at which more may go out by what goes out now. */
static inline void
pace(struct mirror *m, uint64_t packets, uint64_t bytes)
{
	m->due += ticks(packets, m->packet_cost) + ticks(bytes, m->byte_cost);
}

bool
mirror_due(struct mirror *m, uint64_t tsc)
{
	if ((int64_t)(m->due - tsc) > 0) {
		rte_pause();
		return false;
	}
	/* What was missed is made up for, but not more than the slack. */
	if (tsc - m->due > m->slack)
		m->due = tsc - m->slack;
	return true;
}

/* Copies mirrored packets to the file; the caller keeps them. */
static inline void
write_burst(struct mirror *m, const struct mirrored_burst *burst)
{
	struct ms_frame frames[MIRRORED_MAX];
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < burst->n; i++) {
		struct rte_mbuf *pkt = burst->pkts[i];
		uint64_t data = (uint64_t)(rte_pktmbuf_mtod(pkt, uint8_t *) - (uint8_t *)pkt);

		if (pkt->next != NULL || data > UINT16_MAX)
			data = 0;
		frames[i] = (struct ms_frame){
			.mbuf = pkt,
			.timestamp = ms_timestamp_of(m->clock, pkt, burst->tscs[i]),
			.session = mirrored_session(burst->tags[i]),
			.direction = mirrored_direction(burst->tags[i]),
			.outputs = 1,
			.data = data,
			.length = pkt->pkt_len,
			.original_length = pkt->pkt_len,
		};
		bytes += pkt->pkt_len;
	}
	ms_capfile_burst(m->file, frames, burst->n, 1);
	pace(m, burst->n, bytes);
}

/* Sends mirrored packets to the port; takes ownership of all. */
static inline void
send_burst(struct mirror *m, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t port = m->ports->tx;
	uint64_t bytes = 0;
	uint64_t started;
	uint16_t sent;

	for (uint16_t i = 0; i < n; i++)
		bytes += pkts[i]->pkt_len; /* not to be looked at once the port has them */
	sent = rte_eth_tx_burst(port, 0, pkts, n);
	started = rte_rdtsc();
	while (unlikely(sent < n) && !mirror_stopped(m) &&
		(m->lossless || rte_rdtsc() - started < m->patience)) {
		rte_pause();
		sent += rte_eth_tx_burst(port, 0, pkts + sent, n - sent);
	}
	for (uint16_t i = sent; i < n; i++) {
		bytes -= pkts[i]->pkt_len;
		rte_pktmbuf_free(pkts[i]);
	}
	mirror_count_packets(m, SOURCE_PACKET_SENT, sent);
	mirror_count_packets(m, SOURCE_PACKET_TX_FULL, n - sent);
	ms_count_add(&m->ledger.sent_bytes, bytes);
	pace(m, sent, bytes);
}

static inline void
put(struct mirror *m, struct mirrored_burst *burst)
{
	if (m->file == NULL) {
		send_burst(m, burst->pkts, burst->n);
		return;
	}
	write_burst(m, burst);
	rte_pktmbuf_free_bulk(burst->pkts, burst->n);
}

void
mirror_put_burst(struct mirror *m, struct mirrored_burst *burst)
{
	struct mirrored_burst faulty;

	mirror_count_packets(m, SOURCE_PACKET_MIRRORED, burst->n);
	for (uint16_t i = 0; i < burst->n; i++) {
		struct mirror_session *session = &m->sessions[mirrored_session(burst->tags[i])];

		ms_count_add(&session->packets, 1);
		ms_count_add(&session->bytes, burst->pkts[i]->pkt_len);
	}
	if (likely(m->fault == NULL)) {
		put(m, burst);
		return;
	}
	fault_burst(m->fault, burst, &faulty);
	put(m, &faulty);
	m->last = rte_rdtsc();
	if ((int64_t)(m->due - m->last) > 0)
		m->last = m->due;
}

void
mirror_release(struct mirror *m)
{
	struct mirrored_burst held;

	if (m->fault == NULL)
		return;
	fault_flush_burst(m->fault, &held);
	put(m, &held);
}

void
mirror_flush(struct mirror *m, uint64_t tsc)
{
	if (m->fault != NULL && m->fault->held_n > 0 && (int64_t)(tsc - m->last - m->hold) > 0)
		mirror_release(m);
	if (m->file == NULL || (int64_t)(tsc - m->flush_due) < 0)
		return;
	m->flush_due = tsc + m->flush_wait;
	m->flushed += MIRROR_FLUSH_NS;
	ms_capfile_flush(m->file, m->flushed);
}

static inline void
mirror_burst(struct mirror *m, struct rte_mbuf **pkts, uint16_t n, uint64_t tsc)
{
	struct mirror_made made;
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < n; i++)
		bytes += pkts[i]->pkt_len;
	mirror_count_received(m, n, bytes);
	m->budget -= n;
	mirror_wrap_burst(m, pkts, n, &made);
	ms_count_add(&m->ledger.seen_twice, made.sightings - n);
	mirror_count(m, SOURCE_FATE_MIRRORED, made.n);
	for (uint16_t done = 0; done < made.n;) {
		struct mirrored_burst burst;

		for (burst.n = 0; burst.n < MS_BURST && done < made.n; done++)
			mirrored_add(&burst, made.pkts[done], tsc, made.tags[done]);
		mirror_put_burst(m, &burst);
	}
}

/* One burst from each port; returns how many frames came. */
static inline uint32_t
poll_ports(struct mirror *m, uint64_t tsc)
{
	const struct source_ports *ports = m->ports;
	struct rte_mbuf *pkts[MS_BURST];
	uint32_t came = 0;

	for (uint16_t i = 0; i < ports->rx_n; i++) {
		uint16_t want = (uint16_t)RTE_MIN(m->burst, m->budget);
		uint16_t n = rte_eth_rx_burst(ports->rx[i], 0, pkts, want);

		if (n > 0)
			mirror_burst(m, pkts, n, tsc);
		came += n;
	}
	return came;
}

void
mirror_run(struct mirror *m)
{
	uint64_t last = rte_rdtsc();

	while (!mirror_stopped(m) && m->budget > 0) {
		uint64_t tsc = rte_rdtsc();

		mirror_flush(m, tsc);
		if (!mirror_due(m, tsc))
			continue;
		if (poll_ports(m, tsc) > 0)
			last = rte_rdtsc(); /* and not tsc: sending may have taken long */
		else if (m->idle != 0 && tsc - last > m->idle)
			break;
	}
	mirror_release(m);
}
