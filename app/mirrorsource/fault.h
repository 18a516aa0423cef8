/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --fault: what networks do to mirrored packets on their way, done on purpose: some are lost, come
 * twice, come late, or arrive with a bit turned. A stage of its own between wrapping and sending.
 * What it does follows from seed and packets alone, however they are cut into bursts.
 */
#pragma once

#include "mirrored.h"
#include "source_ledger.h"

#include <rte_mempool.h>

#include <stdbool.h>
#include <stdint.h>

/* A rate of 1: every packet. */
#define FAULT_ALWAYS (UINT64_C(1) << 32)

/* As the command line says it. */
struct fault_options {
	bool on;
	bool seeded; /* seed was given */
	uint64_t seed;
	uint64_t rates[SOURCE_FAULT_COUNT]; /* 0 to FAULT_ALWAYS */
};

/* A packet that is held back while `left` more come. */
struct fault_held {
	struct rte_mbuf *pkt;
	uint64_t tsc;
	uint32_t tag;
	uint8_t left;
	bool overtaken; /* by one that came later */
};

struct fault {
	/* worker: ro */
	uint64_t rates[SOURCE_FAULT_COUNT];
	struct rte_mempool *pool;     /* of the copies */
	struct source_ledger *ledger; /* worker: rw */
	/* worker: rw */
	uint64_t state; /* of the random numbers */
	uint16_t held_n;
	struct fault_held held[MIRRORED_HELD_MAX]; /* in the order in which they came */
};

/* KIND:RATE, the rate as 0.01 or 1%. False after saying what is wrong. */
bool fault_parse(const char *text, struct fault_options *options);

/* Makes the stage; chooses a seed if none was given, and tells it on standard error. Counts go to
 * ledger, whose other fields are not touched but for lost and duplicated packets. Main lcore. */
void fault_init(struct fault *fault, const struct fault_options *options, struct rte_mempool *pool,
	struct source_ledger *ledger);

/*
 * Takes ownership of the packets of `in`, at most MS_BURST, and fills `out` with those that go on,
 * which is at most MIRRORED_MAX. Packets must be writable, and nobody else's. Where the pool has no
 * mbuf a packet is not duplicated. Worker.
 */
void fault_burst(struct fault *fault, const struct mirrored_burst *in, struct mirrored_burst *out);

/* Fills `out` with all that are held back. Worker. */
void fault_flush_burst(struct fault *fault, struct mirrored_burst *out);
