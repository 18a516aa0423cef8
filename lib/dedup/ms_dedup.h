/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Duplicates: where both ends of a conversation are mirrored, each frame arrives twice, from two
 * sources. A table remembers the fingerprints of frames for a while, and takes a copy of a frame
 * that was just seen out of the burst.
 *
 * Two frames are copies of each other if they are equal from the EtherType on, VLAN tags included,
 * but for what a router changes: MAC addresses, TTL and header checksum of IPv4, hop limit of IPv6.
 * An IP packet is compared up to its own length, so padding behind it does not count. Also equal
 * must be the outputs that they go to, so that an output never misses a frame that only another one
 * got.
 *
 * A frame that was cut is compared by what is left of it. Two copies that were cut differently are
 * therefore not recognised; and one that was cut so short that 20 bytes behind the IP header are
 * not there is never taken for a copy, since too many different frames begin alike.
 *
 * Equality is that of a 64-bit hash under a random key, so nobody can make two frames collide on
 * purpose, and by chance one frame in 2^64 for each that is remembered does.
 *
 * Stands on packet and ledger. A table belongs to one lcore.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ledger/ms_ledger.h"
#include "packet/ms_packet.h"

/* Frames that are remembered by each 64 bytes of memory. */
#define MS_DEDUP_WAYS 4

struct ms_dedup_options {
	uint64_t memory;    /* bytes of the table, at least 64, at most 2^37 */
	uint64_t window_ns; /* how long after a frame another one can be its copy */
	bool by_session;    /* only frames of the same session are compared */
};

struct ms_dedup;

/* Returns NULL with rte_errno (ENOMEM, or that of getrandom(2)). Control thread. */
struct ms_dedup *ms_dedup_create(const struct ms_dedup_options *options);
/* NULL is fine. Control thread, after the owner stopped. */
void ms_dedup_free(struct ms_dedup *dedup);

/*
 * Parts frames[0..n), n <= MS_BURST: those that are no copies stay in frames, in their order, and
 * the copies go to duplicates, which has room for n, in theirs. Returns how many stay; the other
 * n - ret mbufs are in duplicates and the caller's to free.
 *
 * A frame is a copy if the first of its kind was at most window_ns before it, or after it, since
 * timestamps of different queues may step back. One that is further away is a first one again. So
 * what is sent again, by TCP say, after more than window_ns stays. Owner.
 */
uint16_t ms_dedup_burst(
	struct ms_dedup *dedup, struct ms_frame *frames, uint16_t n, struct ms_frame *duplicates);

/*
 * How many frames were forgotten before their time for want of room; a copy of such a one stays.
 * Any thread.
 */
uint64_t ms_dedup_evicted(const struct ms_dedup *dedup);
