/* SPDX-License-Identifier: BSD-3-Clause */
/* The table as both its making and the burst see it. */
#pragma once

#include <assert.h>
#include <stdalign.h>

#include "dedup/ms_dedup.h"

#define DEDUP_KEYS 6

/* One frame that is remembered. */
struct dedup_entry {
	uint64_t fingerprint; /* 0: nothing is */
	uint64_t timestamp;   /* of the first of its kind */
};

struct dedup_bucket {
	alignas(64) struct dedup_entry entries[MS_DEDUP_WAYS];
};
static_assert(sizeof(struct dedup_bucket) == 64, "a look at one frame is one cache line");

struct ms_dedup {
	/* owner: ro */
	struct dedup_bucket *buckets;
	uint64_t buckets_n; /* below 2^32 */
	uint64_t window_ns;
	uint64_t session_mask; /* all bits of a session's number that count */
	uint64_t keys[DEDUP_KEYS];
	uint8_t *scratch; /* where segmented frames are joined: MS_LENGTH_MAX bytes */
	/* owner: rw, ctl: ro */
	alignas(64) ms_counter evicted;
};
