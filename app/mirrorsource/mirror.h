/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker: what it needs and what it counts. Its hot path is wrap_burst.c, from frames to
 * mirrored packets, and mirror_burst.c, which sends or writes them; replay.c is the way of frames
 * that are kept in memory (--loop).
 */
#pragma once

#include "capfile/ms_capfile.h"
#include "encap/ms_encap.h"
#include "fault.h"
#include "mirror/ms_mirror.h"
#include "mirrored.h"
#include "packet/ms_timestamp.h"
#include "ports.h"
#include "source_ledger.h"

#include <rte_mbuf.h>

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What one session mirrored, headers included. worker: rw, ctl: ro */
struct mirror_session {
	ms_counter packets;
	ms_counter bytes;
};

/* What is known of a burst of frames while they are wrapped. */
struct mirror_work {
	struct ms_packet parsed[MS_BURST];
	struct ms_mirror_sightings seen;
	const struct ms_encap *encaps[2 * MS_BURST];
	uint32_t flows[2 * MS_BURST];
};

struct mirror {
	/* worker: ro, ctl: rw before it starts */
	const struct ms_mirror *plan; /* NULL: session 0 mirrors all frames; counters: worker: rw */
	const struct ms_encap *encaps;   /* by session */
	struct mirror_session *sessions; /* by session; worker: rw */
	const struct source_ports *ports;
	const struct ms_timestamp *clock;
	struct ms_capfile *file;                /* NULL: to ports->tx */
	const struct ms_output_ledger *written; /* of file */
	struct fault *fault;                    /* NULL: none; worker: rw */
	uint32_t limit; /* bytes of the largest mirrored packet that can go out */
	bool lossless;  /* wait for the tx port for ever: nothing overruns meanwhile */
	bool loop;
	bool share;          /* with loop: send what is kept itself, and no copies */
	uint64_t loops;      /* 0: for ever */
	uint64_t idle;       /* ticks without a frame after which to end; 0: never */
	uint64_t patience;   /* ticks to wait for a full tx port */
	uint64_t slack;      /* ticks by which the rate may be behind and still be made up for */
	uint64_t flush_wait; /* ticks between two calls of ms_capfile_flush() */
	uint64_t hold;       /* ticks without a packet after which faults hold none back */
	uint16_t burst;      /* frames at a time, <= MS_BURST */
	/* cost of a packet and of a byte in ticks, times 2^MIRROR_COST_SHIFT; 0: no limit */
	uint64_t packet_cost;
	uint64_t byte_cost;
	/* worker: ro, ctl: rw */
	alignas(64) atomic_bool stop; /* relaxed: says no more than itself */
	/* worker: rw */
	alignas(64) uint64_t budget; /* frames still to receive */
	uint64_t due;                /* TSC before which nothing more is sent */
	uint64_t flush_due;
	uint64_t last;    /* TSC from which on more packets could have come, for hold */
	uint64_t flushed; /* nanoseconds that ms_capfile_flush() was told last */
	struct source_ledger ledger;
	struct mirror_work work;
};

#define MIRROR_COST_SHIFT 20
#define MIRROR_FLUSH_NS   UINT64_C(10000000)

static inline bool
mirror_stopped(const struct mirror *m)
{
	return atomic_load_explicit(&m->stop, memory_order_relaxed);
}

static inline void
mirror_count(struct mirror *m, enum source_fate fate, uint64_t n)
{
	ms_count_add(&m->ledger.fates[fate], n);
}

static inline void
mirror_count_packets(struct mirror *m, enum source_packet packet, uint64_t n)
{
	ms_count_add(&m->ledger.packets[packet], n);
}

static inline void
mirror_count_received(struct mirror *m, uint64_t n, uint64_t bytes)
{
	ms_count_add(&m->ledger.received, n);
	ms_count_add(&m->ledger.received_bytes, bytes);
}

/*
 * The stages, each on a burst of n <= MS_BURST. Worker.
 */

/* What frames become: mirrored packets, with mirrored_tag(). */
struct mirror_made {
	uint16_t n;
	uint16_t sightings; /* >= the number of frames */
	struct rte_mbuf *pkts[2 * MS_BURST];
	uint32_t tags[2 * MS_BURST];
};

/*
 * Turns frames into mirrored packets, in one segment if the port needs that; takes ownership of
 * all. A frame that two ENIs see may become two. Counts the fates of all sightings that did not
 * become a packet; that the others are mirrored is the caller's to count, and how many frames there
 * were.
 */
void
mirror_wrap_burst(struct mirror *m, struct rte_mbuf **frames, uint16_t n, struct mirror_made *made);

/* Sends or writes mirrored packets, at most MS_BURST, after what faults do to them; counts them by
 * session; takes ownership of all. */
void mirror_put_burst(struct mirror *m, struct mirrored_burst *burst);

/* Sends or writes what faults hold back; after the last mirror_put_burst(). */
void mirror_release(struct mirror *m);

/* Has the rate's time come for more? If not the caller asks again, and does nothing else. */
bool mirror_due(struct mirror *m, uint64_t tsc);

/* Lets go what waits for more, in the file's buffer or held back; called in every round. */
void mirror_flush(struct mirror *m, uint64_t tsc);

/* Mirrors frames as they come until it is stopped, idle for too long, or out of budget. Worker. */
void mirror_run(struct mirror *m);

/*
 * Reads frames until none comes for m->idle, then mirrors them m->loops times. Returns 0, or
 * -ENOBUFS if the pool is too small for what came, -ENOMEM, -ENODATA if nothing came. Worker.
 */
int mirror_replay(struct mirror *m);
