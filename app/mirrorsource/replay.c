/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --loop: frames are read first, wrapped once and kept, and then go out again and again: as copies
 * where somebody may write into them, a port's driver or a fault; to a file, and with --as-fast, as
 * they are.
 */
#include "mirror.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_pause.h>

#include <errno.h>
#include <stdlib.h>

/* Few at a time: a driver that runs out of mbufs in the midst of a burst loses frames, so that the
 * pool must have room for one burst of the largest. */
#define READ_BURST 4

struct kept {
	struct rte_mbuf *packet; /* mirrored */
	uint32_t frame_bytes;    /* of the frame, before it was cut and wrapped */
	uint32_t tag:31;         /* mirrored_tag() */
	uint32_t twin:1;         /* the second packet of one frame */
};

struct store {
	struct kept *kept;
	uint64_t n;
	uint64_t room;
};

static int
store_add(struct store *store, struct kept packet)
{
	if (store->n == store->room) {
		uint64_t room = store->room == 0 ? 4096 : 2 * store->room;
		struct kept *kept = realloc(store->kept, room * sizeof(*kept));

		if (kept == NULL)
			return -ENOMEM;
		store->kept = kept;
		store->room = room;
	}
	store->kept[store->n++] = packet;
	return 0;
}

static void
store_free(struct store *store)
{
	for (uint64_t i = 0; i < store->n; i++)
		rte_pktmbuf_free(store->kept[i].packet);
	free(store->kept);
}

/*
 * Wraps a frame and keeps what it becomes. Sightings that nothing comes of are accounted for here,
 * once, and the others each time that they are mirrored; one of them stands for the frame.
 */
static int
keep_frame(struct mirror *m, struct store *store, struct rte_mbuf *frame)
{
	uint32_t bytes = frame->pkt_len;
	struct mirror_made made;

	mirror_wrap_burst(m, &frame, 1, &made);
	if (made.n == 0)
		mirror_count_received(m, 1, bytes);
	ms_count_add(&m->ledger.seen_twice, made.sightings - made.n - (made.n == 0));
	for (uint16_t i = 0; i < made.n; i++) {
		const struct kept packet = {
			.packet = made.pkts[i],
			.frame_bytes = bytes,
			.tag = made.tags[i],
			.twin = i > 0,
		};

		if (store_add(store, packet) != 0) {
			rte_pktmbuf_free_bulk(&made.pkts[i], made.n - i);
			return -ENOMEM;
		}
	}
	return 0;
}

static int
keep_frames(struct mirror *m, struct store *store, struct rte_mbuf **frames, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		if (keep_frame(m, store, frames[i]) != 0) {
			rte_pktmbuf_free_bulk(&frames[i + 1], n - i - 1);
			return -ENOMEM;
		}
	}
	return 0;
}

/* Mbufs that must be left: for what the ports hold, and one burst of the longest frames, each with
 * one for its headers, and all that twice, for frames that two ENIs mirror. */
static uint32_t
spare_mbufs(const struct mirror *m)
{
	uint32_t room = rte_pktmbuf_data_room_size(m->ports->pool) - RTE_PKTMBUF_HEADROOM;

	return m->ports->reserve + 2 * READ_BURST * (MS_LENGTH_MAX / room + 2);
}

static int
read_frames(struct mirror *m, struct store *store)
{
	uint32_t spare = spare_mbufs(m);
	uint64_t last = rte_rdtsc();
	int ret = 0;

	while (ret == 0 && !mirror_stopped(m)) {
		uint32_t came = 0;

		if (rte_mempool_avail_count(m->ports->pool) < spare)
			return -ENOBUFS;
		for (uint16_t i = 0; ret == 0 && i < m->ports->rx_n; i++) {
			struct rte_mbuf *pkts[READ_BURST];
			uint16_t n = rte_eth_rx_burst(m->ports->rx[i], 0, pkts, READ_BURST);

			if (n > 0)
				ret = keep_frames(m, store, pkts, n);
			came += n;
		}
		if (came > 0)
			last = rte_rdtsc();
		else if (rte_rdtsc() - last > m->idle)
			break;
	}
	if (ret == 0 && ms_count_read(&m->ledger.received) + store->n == 0 && !mirror_stopped(m))
		ret = -ENODATA;
	return ret;
}

/* Copies packets; those without an mbuf are left out, and accounted for. */
static void
copy_packets(struct mirror *m, struct mirrored_burst *burst)
{
	uint16_t n = burst->n;

	burst->n = 0;
	for (uint16_t i = 0; i < n; i++) {
		const struct rte_mbuf *pkt = burst->pkts[i];
		struct rte_mbuf *copy;

		/* The port gives mbufs back when it has sent what it holds. */
		while ((copy = rte_pktmbuf_copy(pkt, m->ports->pool, 0, UINT32_MAX)) == NULL &&
			m->lossless && !mirror_stopped(m)) {
			if (m->file == NULL)
				rte_eth_tx_done_cleanup(m->ports->tx, 0, 0);
			rte_pause();
		}
		if (copy != NULL)
			mirrored_add(burst, copy, burst->tscs[i], burst->tags[i]);
		else
			mirror_count(m, SOURCE_FATE_NO_MBUF, 1);
	}
}

/* One more owner for each, who does not write. */
static void
share_packets(struct mirrored_burst *burst)
{
	for (uint16_t i = 0; i < burst->n; i++)
		rte_pktmbuf_refcnt_update(burst->pkts[i], 1);
}

/* Takes n packets out of the store as if their frames came now. */
static void
receive_again(struct mirror *m, const struct kept *kept, uint16_t n, struct mirrored_burst *burst)
{
	uint64_t tsc = rte_rdtsc();
	uint64_t bytes = 0;
	uint16_t twins = 0;

	burst->n = 0;
	for (uint16_t i = 0; i < n; i++) {
		mirrored_add(burst, kept[i].packet, tsc, kept[i].tag);
		twins += kept[i].twin;
		bytes += kept[i].twin ? 0 : kept[i].frame_bytes;
	}
	mirror_count_received(m, n - twins, bytes);
	ms_count_add(&m->ledger.seen_twice, twins);
	m->budget -= n - twins;
}

/* Mirrors the store once. */
static void
replay_once(struct mirror *m, const struct store *store)
{
	bool read_only = m->share || (m->file != NULL && m->fault == NULL);
	struct mirrored_burst burst;

	for (uint64_t done = 0; done < store->n && m->budget > 0 && !mirror_stopped(m);) {
		uint64_t tsc = rte_rdtsc();
		uint16_t n;

		mirror_flush(m, tsc);
		if (!mirror_due(m, tsc))
			continue;
		n = (uint16_t)RTE_MIN(RTE_MIN(m->burst, m->budget), store->n - done);
		receive_again(m, &store->kept[done], n, &burst);
		done += n;
		if (read_only)
			share_packets(&burst);
		else
			copy_packets(m, &burst);
		mirror_count(m, SOURCE_FATE_MIRRORED, burst.n);
		mirror_put_burst(m, &burst);
	}
}

int
mirror_replay(struct mirror *m)
{
	struct store store = {0};
	int ret = read_frames(m, &store);

	for (uint64_t i = 0; ret == 0 && store.n > 0 && (m->loops == 0 || i < m->loops); i++) {
		if (mirror_stopped(m) || m->budget == 0)
			break;
		replay_once(m, &store);
	}
	mirror_release(m);
	store_free(&store);
	return ret;
}
