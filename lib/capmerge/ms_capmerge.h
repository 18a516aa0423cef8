/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Merges the packets of many capture files into one sequence, ordered by time, in memory that does
 * not grow with the files. A file is opened when the sequence comes to its first packet, so that of
 * files that follow each other few are open. Packets within a file need not quite be in order: of
 * each file some are kept until an earlier one can hardly come any more.
 *
 * Stands on capread. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "capread/ms_capread.h"

/* What the owner does for it. */
struct ms_capmerge_ops {
	/* Opens a file. NULL: it can't be; it counts as one without packets then. */
	struct ms_capread *(*open)(void *arg, uint32_t file);
	/* Is this packet of the file wanted? May change packet->interface, which comes out. */
	bool (*take)(void *arg, uint32_t file, struct ms_capread *reader,
		struct ms_capread_packet *packet);
	/* A file has ended: reader, which it takes over, knows how. */
	void (*close)(
		void *arg, uint32_t file, struct ms_capread *reader, enum ms_capread_result result);
};

struct ms_capmerge_options {
	uint32_t files;
	/* Of each file, when its first packet is, or earlier; 0 if it is not known. Outlives it. */
	const uint64_t *first;
	/* How many packets of a file are kept to be put in order, and their bytes at most; one at
	 * least. */
	uint32_t window_packets;
	uint64_t window_bytes;
	const struct ms_capmerge_ops *ops;
	void *arg;
};

/* read == not_taken + given, at the end. */
struct ms_capmerge_counts {
	uint64_t read;
	uint64_t not_taken;
	uint64_t given;
	uint64_t late; /* of those given: after one with a later time, since the window was too
	                  small */
};

struct ms_capmerge;

/* Copies the options. Returns NULL for want of memory. */
struct ms_capmerge *ms_capmerge_create(const struct ms_capmerge_options *options);
void ms_capmerge_free(struct ms_capmerge *merge);

/*
 * The next packet, good until the next call. Of packets with the same time that of the file with
 * the lower number comes first, and in a file the one that stands before. Returns 1, 0 when there
 * are no more, or -ENOMEM.
 */
int ms_capmerge_next(struct ms_capmerge *merge, struct ms_capread_packet *packet);

const struct ms_capmerge_counts *ms_capmerge_counts(const struct ms_capmerge *merge);
