/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Outputs: where inner frames go. A lane is one lcore's share of all outputs: its own file, its own
 * transmit queue, its own counters, so that no two lcores share anything. Kinds of outputs differ
 * behind one table of operations.
 *
 * Stands on capfile, packet, ledger. Opens no port: it is given one that runs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mempool.h>

#include "capfile/ms_capfile.h"
#include "ledger/ms_ledger.h"
#include "packet/ms_packet.h"

struct ms_lane;
struct ms_lane_output;

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
			uint16_t port;
			uint16_t queue;
			uint32_t max_length; /* longest frame that the port sends, in bytes */
			bool segments;       /* it can send segmented mbufs */
		} port;
	};
};

/* One lcore's outputs. */
struct ms_lane {
	struct ms_lane_output outputs[MS_OUTPUTS_MAX]; /* output i is bit i */
	uint16_t outputs_n;
	uint32_t ports;             /* set of outputs that take mbufs away */
	struct rte_mempool *clones; /* mbufs without data, for frames that go to several ports */
};

/*
 * Add an output to a lane, whose owner has not begun yet; output i, in the order of these calls, is
 * bit i. Control thread.
 */
void ms_lane_add_null(struct ms_lane *lane);

/* fd is taken over, as by ms_capfile_create(). Returns 0 or -errno. */
int ms_lane_add_file(struct ms_lane *lane, int fd, const struct ms_capfile_options *options,
	const struct ms_session_registry *registry);

/*
 * A transmit queue of a running port, for this lane alone. max_length: of frames that the port
 * sends, in bytes; segments: the port sends segmented mbufs.
 */
void ms_lane_add_port(
	struct ms_lane *lane, uint16_t port, uint16_t queue, uint32_t max_length, bool segments);

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
 * Says that the lane will be closed soon: outputs that wait for a descriptor without progress let
 * their owner go, see ms_capfile_hasten(). Any thread.
 */
void ms_lane_hasten(struct ms_lane *lane);

/* Ends all outputs. Returns 0 or the first error, -errno. Control thread, after the owner stopped.
 */
int ms_lane_close(struct ms_lane *lane);
