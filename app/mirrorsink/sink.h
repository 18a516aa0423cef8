/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All that mirrorsink is made of while it runs. Each lcore owns one struct, on cache lines of its
 * own, and counts in it; control (the main lcore) makes them before it starts the lcores, reads
 * their counters at any time, and ends them after the lcores have stopped.
 *
 * The comment behind a field says who reads and writes it while the lcores run.
 */
#pragma once

#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_config.h>
#include <rte_ethdev.h>
#include <rte_mempool.h>

#include "common/kernel.h"
#include "decap/ms_decap.h"
#include "dedup/ms_dedup.h"
#include "dispatch/ms_dispatch.h"
#include "filestore/ms_filestore.h"
#include "flow/ms_flow.h"
#include "idle/ms_idle.h"
#include "ledger/ms_ledger.h"
#include "ledger/ms_stages.h"
#include "options.h"
#include "output/ms_output.h"
#include "packet/ms_timestamp.h"
#include "reassembly/ms_reassembly.h"
#include "ruleset/ms_ruleset.h"
#include "session/ms_session.h"
#include "session/ms_session_counts.h"
#include "session/ms_unknown.h"

#define SINK_RX_MAX       MS_RULESET_READERS_MAX
#define SINK_QUEUES_MAX   64 /* that one rx lcore polls */
#define SINK_CACHE        256
#define SINK_REPLAY_RING  128 /* elements of a ring, where rx lcores wait for room */
#define SINK_REPLAY_CACHE 64
#define SINK_RX_DESC      1024
#define SINK_TX_DESC      512
#define SINK_PORT_NONE    UINT16_MAX

/* Outer packets of which an rx lcore holds fragments, and for how many seconds. */
#define SINK_INCOMPLETE         1024
#define SINK_REPLAY_INCOMPLETE  128 /* whose mbufs are large */
#define SINK_INCOMPLETE_SECONDS 1

/* How far the lcores may go on; only ever goes up. */
enum sink_stage {
	SINK_RUN,
	SINK_DRAIN, /* rx lcores stop; workers go on until their rings are empty */
	SINK_END,   /* rx lcores have stopped: empty rings stay empty */
};

/* A port, and what it is for. ctl: rw, telemetry: ro under sink.lock. */
enum sink_role { SINK_MIRROR, SINK_OUTPUT, SINK_EXCEPTION };

struct sink_port {
	char name[RTE_ETH_NAME_MAX_LEN];
	char *device; /* name and arguments of its device, to attach it again */
	enum sink_role role;
	uint16_t id; /* ethdev; SINK_PORT_NONE: gone */
	uint16_t rx; /* queues that are wanted, and then those that there are */
	uint16_t tx;
	uint32_t output;                   /* whose port it is, if it is one of an output's */
	struct ms_output_port *lanes;      /* the same port as lanes see it; NULL: no output's */
	bool down;                         /* its link */
	struct kernel_interface interface; /* behind it, as it was when the port started */
	struct sink_port *peer; /* a mirror port's exception port, or the reverse; NULL: none */
	struct sink_leaving *leaving;        /* withdrawn, but not closed yet; NULL: it is not */
	struct sink_device_counter *counted; /* by devices that it had before; NULL: nothing */
	uint32_t counted_n;
};

/* What somebody asks of control about a port, and what devices say. */
enum sink_plug_action { SINK_PLUG_NONE, SINK_PLUG_ATTACH, SINK_PLUG_DETACH };

#define SINK_PLUG_TEXT 128 /* what telemetry takes */

struct sink_plug {
	_Atomic(unsigned int) events[RTE_MAX_ETHPORTS]; /* by ethdev; any thread */
	/* under sink.lock */
	pthread_cond_t answered;
	enum sink_plug_action action;
	char name[RTE_ETH_NAME_MAX_LEN];
	uint64_t answers; /* so many so far; the last one: */
	int rc;
	char text[SINK_PLUG_TEXT];
	bool ended;
};

/* A queue that an rx lcore polls. Ports are ethdevs, or SINK_PORT_NONE. */
struct sink_queue {
	_Atomic(uint16_t) port;      /* ctl: rw, rx: ro */
	_Atomic(uint16_t) exception; /* where what is no mirror traffic goes; ctl: rw, rx: ro */
	uint16_t queue;
	uint16_t idle;              /* its number in sink_rx.idle; ctl: ro */
	const struct sink_port *of; /* ctl: ro, rx: ro; rx reads no more of it than peer */
};

/* What an exception port receives from the kernel goes out of the mirror port that it is for. */
struct sink_return {
	_Atomic(uint16_t) exception; /* ctl: rw, rx: ro */
	_Atomic(uint16_t) mirror;    /* ctl: rw, rx: ro */
	uint16_t queues;             /* by which the exception port receives; set before it */
	uint16_t idle;               /* its number in sink_rx.idle; ctl: ro */
	const struct sink_port *of;  /* the exception port; ctl: ro */
};

/* Packets that may still be received, for --autostop packets:N; shared by all rx lcores. */
struct sink_budget {
	bool limited;
	alignas(64) _Atomic(int64_t) left;
};

/* What a lane remembers of frames that went by, and of duplicates; only if Dedup is configured. */
struct sink_dedup {
	/* owner of the lane: ro */
	struct ms_dedup *table;
	/* owner of the lane: rw, ctl: ro */
	alignas(64) ms_counter duplicates;
	ms_counter *sessions; /* the same by session: MS_SESSIONS_MAX, address space */
};

struct sink_rx {
	/* rx: ro, ctl: ro */
	struct sink_queue queues[SINK_QUEUES_MAX];
	uint16_t queues_n;
	uint16_t reader; /* its number for RCU and for leaf counters; index in sink.rx */
	unsigned int lcore;
	const _Atomic(int) *stage;
	struct ms_ruleset_cell *rules;
	struct ms_session_registry *registry;
	const struct ms_timestamp *clock;
	struct sink_budget *budget;
	struct ms_decap decap;
	struct ms_reassembly *reassembly; /* NULL: fragments are dropped */
	struct ms_flow_table *flows;
	struct ms_dispatch *dispatch; /* NULL: run to completion */
	struct ms_lane *lane;         /* NULL: there are workers */
	struct sink_dedup *dedup;     /* of the lane; NULL: off, or there are workers */
	bool wait;                    /* for a full ring, instead of dropping */
	bool hash;                    /* leaves the flow's hash in mbuf->hash.rss */
	bool counts;                  /* known flows end there, and have no frames */
	struct sink_return returns[RTE_MAX_ETHPORTS]; /* what this lcore carries back */
	uint16_t returns_n;
	uint64_t flush_ticks;

	/* rx: rw, ctl: ro */
	alignas(64) struct ms_ledger ledger;
	struct ms_session_counts *sessions; /* MS_SESSIONS_MAX, address space rather than memory */
	struct ms_unknown unknown;
	ms_counter exception_sent;     /* to exception ports, */
	ms_counter exception_dropped;  /* or not: full, gone, or too long for them */
	ms_counter exception_returned; /* from them, out of their mirror ports */
	ms_counter exception_lost;     /* or not */
	ms_counter rounds;             /* of its loop: it lives, and holds nothing from before */
	struct ms_stages stages;

	/* rx: rw */
	alignas(64) struct ms_packet packets[MS_BURST];
	struct ms_recalled burst;
	uint64_t now; /* TSC: of the last burst, or of when none came */

	alignas(64) struct ms_idle idle; /* says itself who does what */
};

struct sink_worker {
	/* worker: ro, ctl: ro */
	struct ms_ring *rings[SINK_RX_MAX]; /* by rx lcore */
	uint16_t rings_n;
	unsigned int lcore;
	const _Atomic(int) *stage;
	struct ms_lane *lane;
	struct sink_dedup *dedup; /* NULL: off */
	const struct ms_timestamp *clock;
	uint64_t flush_ticks;

	/* worker: rw, ctl: ro */
	alignas(64) ms_counter delivered;
	ms_counter rounds; /* of its loop */
	struct ms_stages stages;

	alignas(64) struct ms_idle idle;
};

struct sink {
	struct sink_options options;
	struct ms_session_registry *registry;
	struct ms_ruleset_cell rules;
	struct ms_timestamp clock;
	uint32_t cache; /* mbufs that each lcore keeps at hand */
	struct rte_mempool *pool;
	struct rte_mempool *clones;               /* for frames that go to several ports, or NULL */
	struct rte_mempool *heads;                /* before frames that get tags, or NULL */
	struct sink_port ports[RTE_MAX_ETHPORTS]; /* all that are used */
	uint16_t ports_n;
	struct sink_port *mirrors[RTE_MAX_ETHPORTS]; /* those in it that are mirror ports */
	uint16_t mirrors_n;
	struct sink_port *exceptions[RTE_MAX_ETHPORTS]; /* that of mirrors[i] is exceptions[i] */
	uint16_t exceptions_n;
	struct ms_output_ports *output_ports[MS_OUTPUTS_MAX]; /* by output; NULL: no port */
	bool wait;               /* for full rings, buffers and ports, instead of dropping */
	bool replay;             /* all mirror ports replay captures that end */
	uint32_t own_ports_seen; /* slots of sessions that were looked at, see own_ports.c */
	bool hash;               /* outputs need the hash of the inner flow, in mbuf->hash.rss */
	struct sink_rx *rx[SINK_RX_MAX];
	uint16_t rx_n;
	struct sink_worker *workers[MS_WORKERS_MAX];
	uint16_t workers_n;
	struct ms_lane *lanes[SINK_RX_MAX]; /* of the workers, or of the rx lcores */
	uint16_t lanes_n;
	struct sink_dedup *dedups[SINK_RX_MAX]; /* by lane; NULL: off */
	struct sink_files *files; /* what outputs_open() opened and nobody has taken over yet */
	uint64_t buffer_memory[MS_OUTPUTS_MAX];      /* of files, bytes in all lanes */
	struct ms_filestore *stores[MS_OUTPUTS_MAX]; /* by output; NULL: no file */
	cpu_set_t cpus;     /* where the process could run before EAL placed its threads */
	int summary_fd;     /* -1: none */
	bool deserted;      /* the writer of a file was left behind */
	bool stdout_taken;  /* an output writes to standard output */
	_Atomic(int) stage; /* enum sink_stage; ctl: rw, lcores: ro */
	struct sink_budget budget;
	uint64_t start_ns; /* monotonic */
	struct sink_plug plug;
	struct sink_health *health; /* what samples saw; under lock */
	pthread_mutex_t lock;       /* keeps telemetry away while control publishes a ruleset */
};

/* The configuration in force. Control; telemetry under sink.lock. */
static inline const struct ms_config *
sink_config(const struct sink *sink)
{
	return ms_ruleset_get(&sink->rules)->config;
}

/*
 * Parts frames[0..n) as ms_dedup_burst() does, counts the duplicates, and writes their mbufs to
 * done[], which has room for n. Returns how many frames stay. Owner of the lane.
 */
uint16_t duplicates_burst(
	struct sink_dedup *dedup, struct ms_frame *frames, uint16_t n, struct rte_mbuf **done);

/* Entry points of lcores, for rte_eal_remote_launch(): arg is their struct. Return 0. */
int rx_main(void *arg);
int worker_main(void *arg);
