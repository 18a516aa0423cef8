/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ledger: what became of every packet that was received, and of every frame that was offered
 * to an output. Both are named here, in one table each; the enums, the telemetry, the summary and
 * the manual are made from these tables, so a fate cannot exist without a name and a sentence.
 *
 * At the root of the module graph: everything may include it, it includes nothing of ours.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A counter that may be read by any thread at any time. It has one writer, who adds with
 * ms_count_add(), or writers who all add with atomic_fetch_add_explicit().
 */
typedef _Atomic(uint64_t) ms_counter;

/* X(ENUM, name, help): in the order in which a packet can meet them. */
#define MS_FATES(X)                                                                              \
	X(NOT_MIRROR, not_mirror, "no mirror traffic: not UDP to a VXLAN or GENEVE port")        \
	X(OUTER_TRUNCATED, outer_truncated, "cut before the inner frame begins")                 \
	X(OUTER_MALFORMED, outer_malformed, "outer headers contradict themselves")               \
	X(OUTER_FRAGMENT, outer_fragment, "a fragment of an outer IP packet")                    \
	X(REASSEMBLED, reassembled, "a fragment of a packet whose fate is told at its last one") \
	X(VXLAN_MALFORMED, vxlan_malformed, "VXLAN header short, or its I flag clear")           \
	X(GENEVE_MALFORMED, geneve_malformed, "GENEVE version not 0, or options that overrun")   \
	X(SESSION_UNKNOWN, session_unknown, "no session has this source and VNI")                \
	X(SOURCE_MISMATCH, source_mismatch, "a known VNI from a source that is not its own")     \
	X(FILTER_REJECT, filter_reject, "a reject rule matched")                                 \
	X(FILTER_DEFAULT, filter_default, "no rule matched")                                     \
	X(NO_ROUTE, no_route, "its session has no route to any output")                          \
	X(DUPLICATE, duplicate, "a copy of a frame that was just seen")                          \
	X(RING_FULL, ring_full, "the worker's ring was full")                                    \
	X(DELIVERED, delivered, "handed to every output that its routes select")

/* The fate that a packet has while it is still under way. */
#define MS_FATE_NONE 0

enum ms_fate {
	MS_FATE_UNDER_WAY = MS_FATE_NONE,
#define X(e, n, h) MS_FATE_##e,
	MS_FATES(X)
#undef X
		MS_FATE_COUNT
};

/* X(ENUM, name, help): why an output did not take a frame that was offered to it. */
#define MS_DROPS(X)                                                                  \
	X(PORT_DOWN, port_down, "the port was gone, or its link down")               \
	X(NO_PORT, no_port, "its session had no port of its own")                    \
	X(PORT_FULL, port_full, "the port's transmit queue stayed full")             \
	X(PORT_LENGTH, port_length, "empty, or longer than the port's MTU")          \
	X(PORT_SEGMENTS, port_segments, "segmented, and the port takes no segments") \
	X(NO_TAG, no_tag, "no VLAN id left for its session")                         \
	X(TOO_SHORT, too_short, "too short for a VLAN tag behind its MAC addresses") \
	X(NO_MBUF, no_mbuf, "no mbuf left for a copy of the frame")                  \
	X(WRITER_BACKLOG, writer_backlog, "every buffer was waiting for the disk")   \
	X(DISK_FULL, disk_full, "no space left on the device")                       \
	X(IO_ERROR, io_error, "the write failed")

enum ms_drop {
#define X(e, n, h) MS_DROP_##e,
	MS_DROPS(X)
#undef X
		MS_DROP_COUNT
};

/*
 * One lcore's share of the ledger. Every field has one writer, the lcore that owns it, and is read
 * by control at any time: plain 64-bit stores through ms_count_add(), relaxed loads.
 */
struct ms_ledger {
	ms_counter received;       /* packets taken from mirror ports */
	ms_counter received_bytes; /* their bytes, all outer headers included, without FCS */
	ms_counter fates[MS_FATE_COUNT];
};

/* What one output did, as one lcore sees it. offered == written + sum of dropped, once closed. */
struct ms_output_ledger {
	ms_counter offered;
	ms_counter written;
	ms_counter bytes; /* of frames written, as the output keeps them (after snaplen) */
	ms_counter dropped[MS_DROP_COUNT];
};

/* Adds to a counter that this thread alone writes and others may read. */
static inline void
ms_count_add(ms_counter *counter, uint64_t n)
{
	uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, old + n, memory_order_relaxed);
}

static inline uint64_t
ms_count_read(const ms_counter *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Name and one-sentence help of a fate (MS_FATE_NONE: "under_way") or drop reason; static strings.
 */
const char *ms_fate_name(enum ms_fate fate);
const char *ms_fate_help(enum ms_fate fate);
const char *ms_drop_name(enum ms_drop drop);
const char *ms_drop_help(enum ms_drop drop);

/* Adds a share to a sum. Any thread; reads the share relaxed. */
void ms_ledger_sum(struct ms_ledger *sum, const struct ms_ledger *share);
void ms_output_ledger_sum(struct ms_output_ledger *sum, const struct ms_output_ledger *share);

/* received == sum of all fates. False while packets are still in rings. */
bool ms_ledger_balanced(const struct ms_ledger *ledger);
/* offered == written + sum of all reasons. False while frames are still in buffers. */
bool ms_output_ledger_balanced(const struct ms_output_ledger *ledger);
