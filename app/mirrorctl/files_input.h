/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capture files that are read, as many at a time as need be: their readers stay, but of their
 * descriptors only the last used are open. They may be compressed.
 */
#pragma once

#include <bsd/sys/queue.h>

#include "capread/ms_capread.h"
#include "files_manifest.h"
#include "files_select.h"
#include "files_unpack.h"

struct files_input {
	struct files_entry *entry;
	struct files_inputs *all;
	int fd; /* -1: not open now */
	off_t offset;
	struct files_unpack *unpack; /* between the descriptor and the reader */
	struct ms_capread *reader;
	uint8_t *wanted; /* for each interface: enum files_wanted */
	uint32_t wanted_n;
	TAILQ_ENTRY(files_input) link;
};

struct files_inputs {
	TAILQ_HEAD(, files_input) open; /* the last used at the end */
	unsigned int open_n;
	size_t buffer_bytes;
	bool failed; /* one of them could not be read, as standard error says */
};

/* Is it the name of a file that is still being written? */
bool files_input_is_part(const char *name);

/* memory: of all buffers together, while `files` of them are read at a time. */
void files_inputs_init(struct files_inputs *all, uint64_t memory, size_t files);

/* Returns the reader, or NULL after saying what is wrong. */
struct ms_capread *
files_input_open(struct files_inputs *all, struct files_input *input, struct files_entry *entry);

/* Says what is wrong with how a file ended, if anything. Frees the reader. */
void files_input_close(struct files_input *input, enum ms_capread_result result);

/* Is this packet wanted? */
bool files_input_takes(struct files_input *input, const struct files_select *select,
	const struct ms_capread_packet *packet);

/* Reads a file, and sets what its entry tells of it. Says what is wrong and returns false. */
bool files_input_scan(struct files_entry *entry);
