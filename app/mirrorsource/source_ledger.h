/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two accounts, from whose tables enums, summary and report are made: what became of every
 * sighting, which is a frame that was received, or one ENI's view of a frame that two of them see;
 * and what became of every mirrored packet. The same idea as the sink's ms_ledger.h, with what
 * exists on this side.
 */
#pragma once

#include "ledger/ms_ledger.h"
#include "mirror/ms_mirror.h"

#include <stdbool.h>
#include <stdint.h>

/* X(ENUM, name, help): in the order in which a frame can meet them. */
#define SOURCE_FATES(X)                                                                          \
	X(DAMAGED, damaged, "the port handed over fewer bytes than it said")                     \
	MS_MIRROR_FATES(X)                                                                       \
	X(TOO_LARGE, too_large, "with its headers larger than the port's MTU or a record takes") \
	X(NO_HEADROOM, no_headroom, "neither room for the headers nor an mbuf for them")         \
	X(NO_MBUF, no_mbuf, "no mbuf left for a copy of the frame")                              \
	X(MIRRORED, mirrored, "wrapped, and on its way out")

/* X(ENUM, name, help): the first two come in, the others are what became of them. */
#define SOURCE_PACKETS(X)                                               \
	X(MIRRORED, mirrored, "came from the frames")                   \
	X(DUPLICATED, duplicated, "came twice, by --fault")             \
	X(LOST, lost, "left out, by --fault")                           \
	X(TX_FULL, tx_full, "the port's transmit queue stayed full")    \
	X(NOT_WRITTEN, not_written, "the capture file did not take it") \
	X(SENT, sent, "the port or the file took it")

/* X(ENUM, name, help): what was done to mirrored packets on purpose. */
#define SOURCE_FAULTS(X)                               \
	X(LOSS, loss, "left out")                      \
	X(DUPLICATE, duplicate, "sent twice")          \
	X(REORDER, reorder, "overtaken by later ones") \
	X(CORRUPT, corrupt, "with one bit turned")

enum source_fate {
#define X(e, n, h) SOURCE_FATE_##e,
	SOURCE_FATES(X)
#undef X
		SOURCE_FATE_COUNT
};

enum source_packet {
#define X(e, n, h) SOURCE_PACKET_##e,
	SOURCE_PACKETS(X)
#undef X
		SOURCE_PACKET_COUNT
};

enum source_fault {
#define X(e, n, h) SOURCE_FAULT_##e,
	SOURCE_FAULTS(X)
#undef X
		SOURCE_FAULT_COUNT
};

/* worker: rw; ctl: ro, and rw once the worker has ended. */
struct source_ledger {
	ms_counter received; /* frames; one that is replayed counts each time */
	ms_counter received_bytes;
	ms_counter seen_twice; /* frames that two ENIs saw, which have two fates */
	ms_counter sent_bytes;
	ms_counter fates[SOURCE_FATE_COUNT];
	ms_counter packets[SOURCE_PACKET_COUNT];
	ms_counter faults[SOURCE_FAULT_COUNT];
};

/* Static strings. */
const char *source_fate_name(enum source_fate fate);
const char *source_fate_help(enum source_fate fate);
const char *source_packet_name(enum source_packet packet);
const char *source_packet_help(enum source_packet packet);
const char *source_fault_name(enum source_fault fault);
const char *source_fault_help(enum source_fault fault);

/* Takes over what a capture file says that it wrote and dropped, after it was closed. */
void source_ledger_settle(struct source_ledger *ledger, const struct ms_output_ledger *file);

/*
 * received + seen_twice == sum of all fates; frames mirrored == packets mirrored, which are counted
 * further on; and mirrored + duplicated == all other packets.
 */
bool source_ledger_balanced(const struct source_ledger *ledger);
