/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What became of every frame that the source received: the table of fates, from which the enum, the
 * summary and the report are made, and the counters. The same idea as the sink's ms_ledger.h, with
 * the fates that exist on this side.
 */
#pragma once

#include "ledger/ms_ledger.h"

#include <stdbool.h>
#include <stdint.h>

/* X(ENUM, name, help): in the order in which a frame can meet them. */
#define SOURCE_FATES(X)                                                                          \
	X(DAMAGED, damaged, "the port handed over fewer bytes than it said")                     \
	X(TOO_LARGE, too_large, "with its headers larger than the port's MTU or a record takes") \
	X(NO_HEADROOM, no_headroom, "the port left no room for the headers")                     \
	X(NO_MBUF, no_mbuf, "no mbuf left for a copy of the frame")                              \
	X(TX_FULL, tx_full, "the port's transmit queue stayed full")                             \
	X(NOT_WRITTEN, not_written, "the capture file did not take it")                          \
	X(MIRRORED, mirrored, "wrapped, and sent or written")

enum source_fate {
#define X(e, n, h) SOURCE_FATE_##e,
	SOURCE_FATES(X)
#undef X
		SOURCE_FATE_COUNT
};

/* worker: rw; ctl: ro, and rw once the worker has ended. */
struct source_ledger {
	ms_counter received; /* frames; one that is replayed counts each time */
	ms_counter received_bytes;
	ms_counter sent; /* mirrored packets that the port or file took, and their bytes */
	ms_counter sent_bytes;
	ms_counter fates[SOURCE_FATE_COUNT];
};

/* Static strings. */
const char *source_fate_name(enum source_fate fate);
const char *source_fate_help(enum source_fate fate);

/*
 * Takes over what a capture file says that it wrote and dropped, after it was closed: frames were
 * counted as mirrored when they were handed to it.
 */
void source_ledger_settle(struct source_ledger *ledger, const struct ms_output_ledger *file);

/* received == sum of all fates, and mirrored == sent. */
bool source_ledger_balanced(const struct source_ledger *ledger);
