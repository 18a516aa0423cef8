/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Outputs: where inner frames go. A lane is one lcore's share of all outputs: its own file, its own
 * transmit queue, its own counters, so that no two lcores share anything. Kinds of outputs differ
 * behind one table of operations.
 *
 * Stands on capfile, encap, session, packet, ledger. Opens no port: it is given one that runs.
 */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_mempool.h>

#include "capfile/ms_capfile.h"
#include "encap/ms_encap.h"
#include "ledger/ms_ledger.h"
#include "packet/ms_packet.h"
#include "session/ms_session.h"

struct ms_lane;
struct ms_lane_output;

#define MS_OUTPUT_WAYS 64 /* that one output of a lane may spread over */
#define MS_PORT_GONE   UINT16_MAX

/* Data room of mbufs that are put before a frame: its MAC addresses, and what comes before them. */
#define MS_OUTPUT_HEAD_ROOM (RTE_PKTMBUF_HEADROOM + 2 * RTE_ETHER_ADDR_LEN)

/*
 * A port that an output sends to, as all lanes see it. Control makes it known with its id, in
 * release; lanes take the id anew for each attempt to send, in acquire. Control that takes the id
 * away may close the port when every lane has begun two rounds more of its loop.
 */
struct ms_output_port {
	_Atomic(uint16_t) id; /* ethdev, or MS_PORT_GONE */
	_Atomic(bool) down;   /* its link; what is sent now goes nowhere */
	/* longest frame that it sends, in bytes: */
	uint32_t max_length;
	uint32_t max_tagged;    /* of those with an 802.1Q tag; at least max_length */
	uint32_t max_segmented; /* of those in several mbufs; 0: it takes none */
	struct ms_encap encap;  /* what frames are wrapped in, if they are */
};

/*
 * The ports of one output, shared by its lanes. Frames spread over ways, each a port and one of
 * the transmit queues that a lane has of it, by the symmetric hash of the inner flow: both
 * directions of a flow go one way, from whatever lane. lanes: ro, ctl: rw.
 */
struct ms_output_ports {
	struct ms_output_port ports[MS_OUTPUT_WAYS];
	struct {
		uint8_t port; /* index in ports */
		uint8_t queue;
	} ways[MS_OUTPUT_WAYS];
	uint16_t ways_n;
	uint16_t queues; /* of each port, for each lane */
	/*
	 * By session: the index in ports of the one that it has to itself, + 1, or 0: none yet.
	 * Release, acquired by lanes; MS_SESSIONS_MAX. NULL: frames spread over the ports.
	 */
	_Atomic(uint8_t) *of_session;
	/* How a frame tells a reader without a notion of sessions whose it is. */
	uint8_t vlan_tags; /* with the VLAN ids of its session: 0, 1, or 2 for all sessions */
	bool wraps;        /* in another mirrored packet */
	const struct ms_session_registry
		*vnis; /* which keeps the session's VNI; NULL: has encap's */
};

/* The operations of a kind of output; all but create on the lane's lcore or after it stopped. */
struct ms_output_ops {
	/*
	 * Takes those of frames[0..n) whose set meets the output's bit. Ports (lane->ports) take
	 * the mbufs of these too, others leave them alone.
	 */
	void (*burst)(struct ms_lane *lane, struct ms_lane_output *output,
		const struct ms_frame *frames, uint16_t n);
	/* Called about every 10 ms, now in monotonic nanoseconds. May be NULL. */
	void (*flush)(struct ms_lane_output *output, uint64_t now);
	/* Soon it will be closed: let go an owner that waits. Any thread. May be NULL. */
	void (*hasten)(struct ms_lane_output *output);
	/* Ends it: after this its ledger balances. 0 or the first error, -errno. May be NULL. */
	int (*close)(struct ms_lane_output *output);
};

/* One output as one lane has it. */
struct ms_lane_output {
	const struct ms_output_ops *ops;
	uint32_t bit;                   /* its bit in ms_frame.outputs */
	struct ms_output_ledger ledger; /* lane: rw (a capfile's writer adds its part), ctl: ro */
	union {
		struct ms_capfile *file;
		struct {
			const struct ms_output_ports *to;
			uint16_t queue; /* the first of this lane's, of each port */
			uint64_t full;  /* set of ways that took nothing when last asked */
		} port;
	};
};

/* One lcore's outputs. */
struct ms_lane {
	struct ms_lane_output outputs[MS_OUTPUTS_MAX]; /* output i is bit i */
	uint16_t outputs_n;
	uint32_t ports;             /* set of outputs that take mbufs away */
	struct rte_mempool *clones; /* mbufs without data, for frames that go to several ports */
	struct rte_mempool *heads; /* of MS_OUTPUT_HEAD_ROOM; NULL: no frame gets tags or headers */
	struct rte_mempool *copies; /* and for those of them that must be copied as a whole */
	bool wait;                  /* for a port that is full, instead of dropping */
	_Atomic(uint64_t) deadline; /* TSC: waiting ends then; 0: none. Written by any thread */
};

/*
 * Add an output to a lane, whose owner has not begun yet; output i, in the order of these calls, is
 * bit i. Control thread.
 */
void ms_lane_add_null(struct ms_lane *lane);

/* fd is taken over, as by ms_capfile_create(). Returns 0 or -errno. */
int ms_lane_add_file(struct ms_lane *lane, int fd, const struct ms_capfile_options *options,
	const struct ms_session_registry *registry);

/* How output i of a lane, a file, is written (see ms_capfile_way()), and its buffer memory, in
 * bytes.
 */
void ms_lane_file_way(const struct ms_lane *lane, uint16_t i, char *text, size_t room);
size_t ms_lane_file_memory(const struct ms_lane *lane, uint16_t i);

/* Do all outputs of a lane, one or more, only count, so that nobody needs frames? Control. */
bool ms_lane_only_counts(const struct ms_lane *lane);

/*
 * Fills in the ways of `ports_n` ports with `queues` transmit queues for each lane; the ports
 * themselves are the caller's to fill in, and what is to be done to frames. ports_n * queues is at
 * most MS_OUTPUT_WAYS. Control.
 */
void ms_output_ports_init(struct ms_output_ports *ports, uint16_t ports_n, uint16_t queues);

/*
 * Ports, which outlive the lane, and of each the transmit queues queue to queue + ports->queues - 1
 * for this lane alone. Where there are several ways, or frames are wrapped, mbuf->hash.rss of every
 * frame must be the symmetric hash of its inner flow.
 */
void ms_lane_add_port(struct ms_lane *lane, const struct ms_output_ports *ports, uint16_t queue);

/*
 * Offers frames[0..n) (n <= MS_BURST) to every output in their sets. Files copy first, ports then
 * take the mbufs. Writes the mbufs that no output keeps to done[], which has room for n, and
 * returns how many: they are the caller's to free. Owner.
 */
uint16_t ms_lane_burst(
	struct ms_lane *lane, const struct ms_frame *frames, uint16_t n, struct rte_mbuf **done);

/* Lets outputs send on what waits in buffers. now: monotonic nanoseconds. Owner. */
void ms_lane_flush(struct ms_lane *lane, uint64_t now);

/*
 * Says that the lane will be closed soon: outputs that wait for a descriptor without progress, or
 * for a port, let their owner go after some seconds, see ms_capfile_hasten(). Any thread.
 */
void ms_lane_hasten(struct ms_lane *lane);

/* Ends all outputs. Returns 0 or the first error, -errno. Control thread, after the owner stopped.
 */
int ms_lane_close(struct ms_lane *lane);
