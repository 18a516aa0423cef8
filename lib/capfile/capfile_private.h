/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of capfile share: capfile.c (life and death), capfile_burst.c (the copy),
 * capfile_buffer.c (what the owner does once a buffer or a session), capfile_writer.c (the thread)
 * and capfile_block.c (the encoder of all but packets).
 *
 * Buffers go round: the owner fills number `filled`, hands it over by raising `filled`, and the
 * writer gives it back by raising `done`; buffer number s is buffers[s mod buffers_n]. Two counters
 * with one writer each are thus both queues.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <rte_branch_prediction.h>
#include <rte_thread.h>
#include <rte_version.h>

#include "capfile/ms_capfile.h"

/* Readers (libpcap, Wireshark) take no longer packet for sane. */
#define MS_CAPFILE_SNAPLEN_MAX 262144u

/* No block but a packet's is longer: an interface's two texts, or the section's, and the rest. */
#define MS_CAPFILE_TEXT_MAX  1024u
#define MS_CAPFILE_BLOCK_MAX 4096u

/* Direct I/O wants memory, lengths and file offsets to be multiples of this. */
#define MS_CAPFILE_ALIGN 4096u

/* What a packet takes beside its bytes. */
#define MS_PCAPNG_PACKET_BYTES 44u /* header 28, epb_flags 8, opt_endofopt 4, total length 4 */
#define MS_PCAP_PACKET_BYTES   16u

/* How long a descriptor that is to be closed may make no progress. */
#define MS_CAPFILE_STALL_MS 5000

/* rte_thread_create_control() has come, and rte_ctrl_thread_create() has gone. */
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
#define MS_CAPFILE_RTE_THREAD
#endif

/* What the owner is at. Between two files it may run out of buffers, and go on where it was. */
enum ms_capfile_phase {
	MS_CAPFILE_HEADER,
	MS_CAPFILE_RECORDS,
	MS_CAPFILE_STATISTICS,
};

enum ms_capfile_state {
	MS_CAPFILE_OPEN,
	MS_CAPFILE_CLOSING, /* a stall is an error */
	MS_CAPFILE_ENDED,   /* and no more buffers will come */
};

/*
 * owner: rw until it is handed over, then writer: rw until it is given back.
 *
 * An aligned file is written in whole blocks of MS_CAPFILE_ALIGN, but records end anywhere. So the
 * block in which one buffer ends is written padded, and again with the next buffer, whose records
 * begin where they go on in that block: behind `lead` bytes, for which the writer keeps the old.
 */
struct ms_capfile_buffer {
	uint8_t *data;
	size_t lead;
	size_t bytes; /* without lead */
	bool last;    /* of its file */
	uint64_t frames;
	uint64_t payload;           /* bytes of frames, without those of the format */
	struct ms_capfile_end *end; /* last: what only the owner knows of the file; or NULL */
};

/* The owner's share of struct ms_capfile_finished. Allocated by the owner, freed by the writer. */
struct ms_capfile_end {
	uint64_t first;
	uint64_t last;
	uint64_t dropped;
	uint32_t sessions_n;
	struct ms_capfile_share sessions[];
};

/* The file seen by one session, in the slot that it has in the registry. */
struct ms_capfile_session {
	uint64_t offered;
	uint64_t dropped;
	uint32_t interface; /* + 1; 0: not in this file yet */
};

/* Where the next record goes. at == end == NULL: no buffer. */
struct ms_capfile_cursor {
	uint8_t *at;
	uint8_t *end;
	uint64_t frames; /* in this buffer, and their bytes */
	uint64_t payload;
	uint64_t first; /* timestamps in this file, the least and the greatest */
	uint64_t last;
};

struct ms_capfile {
	/* owner: rw */
	alignas(64) struct ms_capfile_cursor cursor;
	uint64_t second_start; /* pcap: nanoseconds at which second `second` begins */
	uint32_t second;
	uint32_t interfaces;
	size_t lead;             /* of the next buffer; always 0 if the file is not aligned */
	uint64_t flush_sequence; /* the buffer that ms_capfile_flush() last saw, and when */
	uint64_t flush_seen;
	enum ms_capfile_phase phase;
	uint32_t statistics;  /* MS_CAPFILE_STATISTICS: the session that comes next */
	uint64_t handed_over; /* bytes of this file that were, and its frames */
	uint64_t frames;
	uint64_t dropped; /* while this file was the current one */
	uint64_t started; /* when ms_capfile_flush() first saw this file; 0: not yet */
	/* owner: ro, ctl: rw */
	alignas(64) struct ms_capfile_session *sessions; /* NULL: pcap */
	struct ms_output_ledger *ledger;
	uint32_t snaplen;
	bool outer;
	bool wait;
	uint32_t buffers_n;
	size_t buffer_bytes;
	struct ms_capfile_buffer *buffers;
	const struct ms_session_registry *registry;
	const char *application;
	uint64_t rotate_bytes;
	uint64_t rotate_ns;
	const struct ms_capfile_ops *ops;
	void *arg;
	/* owner: rw, writer: ro */
	alignas(64) _Atomic(uint64_t) filled; /* buffers handed over; release, acquired by writer */
	_Atomic(enum ms_capfile_state) state; /* release, acquired by writer */
	sem_t wake;                           /* posted after each change of the two */
	/* writer: rw, owner: ro */
	alignas(64) _Atomic(uint64_t) done; /* buffers given back; release, acquired by owner */
	_Atomic(unsigned int) failed; /* enum ms_drop + 1; relaxed, says no more than itself */
	/* writer: rw, ctl: ro after it has joined */
	alignas(64) int error; /* the first one, -errno */
	int fd;                /* -1: between two files */
	int flags;             /* of the descriptor, as it was found */
	bool regular;          /* a file that can be cut, and synchronised */
	bool cached;           /* through the page cache, as asked for */
	bool direct;           /* past the page cache */
	bool aligned;          /* regular, ours from its first byte to its last */
	uint64_t position;     /* bytes of the file that are written */
	uint64_t file_frames;  /* and frames, and their payload */
	uint64_t file_payload;
	uint64_t file_lost;             /* frames that it should have held */
	EVP_MD_CTX *sha256;             /* NULL: not asked for */
	uint8_t tail[MS_CAPFILE_ALIGN]; /* aligned: those in the block that is not full yet */
					/* ctl: rw */
#ifdef MS_CAPFILE_RTE_THREAD
	rte_thread_t thread;
#else
	pthread_t thread;
#endif
	void *memory;
	size_t memory_bytes;
};

/* Adds to a counter of the ledger that others may be adding to. Any thread. */
static inline void
ms_capfile_count(ms_counter *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* capfile_block.c: each writes one block to `at`, MS_CAPFILE_BLOCK_MAX at most, and returns its
 * end. */

uint8_t *ms_pcap_header(uint8_t *at, uint32_t snaplen);
uint8_t *ms_pcapng_section(uint8_t *at, const char *application);
/* description: or NULL. */
uint8_t *
ms_pcapng_interface(uint8_t *at, const char *name, const char *description, uint32_t snaplen);
uint8_t *ms_pcapng_statistics(
	uint8_t *at, const struct ms_capfile_session *session, uint64_t first, uint64_t last);

/* capfile_buffer.c: owner. */

/* Makes `need` bytes of room at the cursor, in the next buffer if they do not fit this one; waits
 * for one if options.wait. Returns false if there is none. */
bool ms_capfile_room(struct ms_capfile *file, size_t need);

/* Puts the interface of a session into the file. Returns false if there was no room. */
bool ms_capfile_interface(struct ms_capfile *file, uint32_t session);

/*
 * The slow way in for one frame: its session's interface, and room for `need` bytes. Returns false
 * after counting the frame as dropped.
 */
bool ms_capfile_admit(struct ms_capfile *file, uint32_t session, size_t need);

/* Counts all of a burst that meets mask as offered and dropped: the file has failed. */
void ms_capfile_refuse(
	struct ms_capfile *file, const struct ms_frame *frames, uint16_t n, uint32_t mask);

/* Hands the cursor's buffer, which there is, to the writer. */
void ms_capfile_hand_over(struct ms_capfile *file);

/* pcap: lets `second` be that of a timestamp. Returns the timestamp, or the last that pcap can say.
 */
uint64_t ms_capfile_second(struct ms_capfile *file, uint64_t timestamp);

/* The buffer at the cursor, or the one that will be. */
static inline struct ms_capfile_buffer *
ms_capfile_current(struct ms_capfile *file)
{
	return &file->buffers[atomic_load_explicit(&file->filled, memory_order_relaxed) %
			      file->buffers_n];
}

/* capfile_rotate.c: owner. Each returns false if it could not finish for want of a buffer. */

/* Writes a statistics block for each session, one that lost all its frames included. */
bool ms_capfile_statistics(struct ms_capfile *file);

/* What the owner knows of the file now that it ends; NULL for want of memory. */
struct ms_capfile_end *ms_capfile_end(const struct ms_capfile *file);

/* Goes on with the turn from one file to the next; true when records can go in. */
bool ms_capfile_turn(struct ms_capfile *file);

/* Begins to turn to the next file. */
bool ms_capfile_rotate(struct ms_capfile *file);

bool ms_capfile_has_frames(const struct ms_capfile *file);

/* Bytes that the file may still grow by until rotate_bytes. */
uint64_t ms_capfile_left(struct ms_capfile *file);

/* capfile_writer.c */

/*
 * Learns what fd is, and sets it up for writing; *aligned: it can be written in aligned blocks.
 * Returns 0 or -errno. Writer, or control before it.
 */
int ms_capfile_prepare(struct ms_capfile *file, bool *aligned);

/* Ends the file that fd is: no padding, on disk, closed. end: may be NULL. Returns 0 or -errno. As
 * above. */
int ms_capfile_finish(struct ms_capfile *file, const struct ms_capfile_end *end);

/* Returns 0 or -errno. Control thread. */
int ms_capfile_writer_start(struct ms_capfile *file);
void ms_capfile_writer_join(struct ms_capfile *file);

/* Publishes a state, unless a later one has been, and wakes the writer. Any thread. */
void ms_capfile_advance(struct ms_capfile *file, enum ms_capfile_state state);
