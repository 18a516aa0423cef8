/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reassembly of outer IP packets (RFC 791, RFC 8200), with rte_ip_frag. It stands behind decap, and
 * looks only at what decap could not take apart. UDP fragments leave the burst and wait here; with
 * the last one to come the whole packet takes its place, as one chain of segments, and goes through
 * decap again. All UDP fragments are put together, since only the first of a packet has ports.
 *
 * Of the fragments of a packet one has the fate of the whole, and the others are REASSEMBLED. A
 * fragment that waits is under way. What can't be put together is OUTER_FRAGMENT: too long on the
 * way, overlapping or repeated (with all that waits for the same packet), one of more than
 * MS_REASSEMBLY_PIECES, or too many at once.
 *
 * A fragment stays what decap has said of it if it can't be taken at all: cut on its way, its
 * headers not in one segment, IPv6 with other extension headers before the fragment header, longer
 * than an IP packet can be, or inside GENEVE.
 *
 * Stands on decap, packet and ledger. Belongs to one rx lcore: fragments of a packet that come by
 * queues of different lcores do not meet.
 */
#pragma once

#include <rte_config.h>

#include "decap/ms_decap.h"
#include "ledger/ms_ledger.h"
#include "packet/ms_timestamp.h"

/* Fragments that a packet can have. */
#define MS_REASSEMBLY_PIECES RTE_LIBRTE_IP_FRAG_MAX_FRAG

struct ms_reassembly_options {
	const struct ms_decap *decap;     /* lives as long as this */
	const struct ms_timestamp *clock; /* too */
	struct ms_ledger *ledger; /* the owner's, too: fates of fragments are counted there */
	uint32_t packets; /* that wait at once, at least 16, of MS_REASSEMBLY_PIECES each at most */
	uint64_t lifetime_ns; /* how long a packet's first fragment to come waits, in packet time */
	uint64_t silence;     /* ticks of the TSC without any packet after which nothing waits on */
	int socket;           /* where its memory is; SOCKET_ID_ANY will do */
};

struct ms_reassembly;

/* Returns NULL with rte_errno ENOMEM. Needs the EAL's memory. Control thread. */
struct ms_reassembly *ms_reassembly_create(const struct ms_reassembly_options *options);
/* NULL is fine. Control thread, after the owner has stopped. */
void ms_reassembly_free(struct ms_reassembly *reassembly);

/*
 * Goes over n packets (1 to MS_BURST) as ms_decap_burst() has left them. Takes fragments out of
 * both arrays, puts whole packets in, with what decap says of them and the timestamp of the last
 * fragment, and closes the gaps: order stays. Gives up what has waited for too long by the packets'
 * timestamps, so that a replay at any speed finds what the wire would have; if they step back by
 * more than the lifetime it gives up all. tsc: of the burst. Returns how many packets there are
 * then. rx lcore.
 */
uint16_t ms_reassembly_burst(struct ms_reassembly *reassembly, struct rte_mbuf **mbufs,
	struct ms_packet *packets, uint16_t n, uint64_t tsc);

/* Gives up all that waits, if no packet has come for long. rx lcore, now and then. */
void ms_reassembly_idle(struct ms_reassembly *reassembly, uint64_t tsc);

/* Gives up all that waits: afterwards every fragment has its fate. rx lcore, at its end. */
void ms_reassembly_end(struct ms_reassembly *reassembly);
