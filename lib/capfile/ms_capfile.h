/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capture files: an encoder for pcapng (IETF draft-ietf-opsawg-pcapng) and nanosecond pcap
 * (draft-ietf-opsawg-pcap), and behind it a writer that takes large buffers to a file descriptor
 * in a thread of its own, so that a slow disk never stops the lcore that fills them.
 *
 * One struct ms_capfile has one lcore that writes frames to it (its owner); it is not shared.
 * Stands on packet (frames), session (names), ledger (drop reasons).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger/ms_ledger.h"
#include "packet/ms_packet.h"

struct ms_session_registry;

enum ms_capfile_format { MS_CAPFILE_PCAPNG, MS_CAPFILE_PCAP };

/* How files are compressed: one frame, whose blocks need none before those of their buffer. */
enum ms_capfile_compress { MS_CAPFILE_PLAIN, MS_CAPFILE_ZSTD, MS_CAPFILE_LZ4 };

#define MS_CAPFILE_COMPRESS_THREADS 16u /* at most */

#define MS_CAPFILE_SHA256 32

/* What one session has in a file. */
struct ms_capfile_share {
	uint32_t session; /* its slot in the registry */
	uint64_t frames;  /* that went in; if the file has failed, also those that it lost */
	uint64_t dropped; /* for want of a buffer, while the file was the current one */
};

/* A file at its end. */
struct ms_capfile_finished {
	int error; /* 0, or -errno: the file ends with the last record that was written for certain
	            */
	uint32_t session; /* as it was opened for */
	uint64_t bytes;   /* its length on disk; 0: nothing was written, not even a header */
	uint64_t frames;  /* in it */
	uint64_t payload; /* bytes of frames, without those of the format */
	uint64_t dropped; /* frames that were offered meanwhile and are not in it */
	uint64_t first;   /* the least and the greatest timestamp, nanoseconds; 0: no frame came */
	uint64_t last;
	const struct ms_capfile_share *sessions; /* by slot; pcap: none */
	uint32_t sessions_n;
	bool hashed; /* options.sha256 asked for it, and nothing has failed */
	uint8_t sha256[MS_CAPFILE_SHA256];
};

/* Where files come from and go to. Both are called in the writer's thread, which they may hold up.
 */
struct ms_capfile_ops {
	/*
	 * Returns a descriptor of an empty regular file, open for writing, which is taken over, or
	 * -errno. session: the slot of the one that the file is for; MS_SESSION_NONE: for all.
	 */
	int (*open)(void *arg, uint32_t session);
	/*
	 * A file is complete, or as complete as it will be: cut to its length, and on disk. Takes
	 * the descriptor over, and closes it. Called once for each file, that whose descriptor
	 * ms_capfile_create() was given included; files that follow each other are synced at once,
	 * and finish in the order in which the disk is done with them.
	 */
	void (*finished)(void *arg, int fd, const struct ms_capfile_finished *file);
};

struct ms_capfile_options {
	enum ms_capfile_format format;
	bool outer;           /* keep the whole mirrored packet, not only the inner frame */
	bool wait;            /* wait for a free buffer instead of dropping (replay of a file) */
	bool remote;          /* frames come from another lcore, whose caches packets are in */
	bool cached;          /* regular files: through the page cache, not by direct I/O */
	uint32_t snaplen;     /* keep so many bytes of a frame; 0: all that readers take, 256 KiB */
	size_t buffer_bytes;  /* of one buffer; 0: 1 MiB, 256 KiB by session. Raised to what the
	                       * largest record needs */
	size_t buffer_memory; /* of all; 0: 8 buffers, by session 2 a file. At least 2 buffers.
	                       * Compressed: a buffer more for each thread, and one that it packs
	                       * into, which also are the least beside the 2 */
	const char *application; /* shb_userappl, "mirrorsink 0.1.0"; outlives the capfile */
	bool sha256;             /* hash each regular file while it is written, for ops->finished */
	/*
	 * Compression, in compress_threads of its own (1 to MS_CAPFILE_COMPRESS_THREADS), at the
	 * level that the library calls so. Then files are not aligned, and go through the page
	 * cache; a file that fails is cut back to the last buffer that was written.
	 */
	enum ms_capfile_compress compress;
	int compress_level;
	uint32_t compress_threads;
	/*
	 * Rotation, for descriptors of regular files: the next file begins before this one would
	 * hold more than rotate_bytes (before compression, statistics at its end not counted), when
	 * it holds rotate_packets, or when it is rotate_ns old and holds a frame; 0: never.
	 * Aligned: not when it is so old, but when CLOCK_REALTIME comes to a multiple of rotate_ns.
	 * Needs ops.
	 */
	uint64_t rotate_bytes;
	uint64_t rotate_packets;
	uint64_t rotate_ns;
	bool rotate_aligned;
	/*
	 * A file for each session, up to max_open of them open at once (0: 64; 1024 at most): the
	 * one that got no frame for longest ends when another is needed, and its session begins a
	 * new one when it comes again. Needs ops->open, and no first descriptor.
	 */
	bool per_session;
	uint32_t max_open;
	uint64_t min_free; /* stops, as if the disk were full, before less bytes are free than this
	                    */
	const struct ms_capfile_ops *ops; /* NULL: one file, closed at its end */
	void *arg;
};

struct ms_capfile;

/*
 * Begins a capture file on an open descriptor, which the capfile takes over (also on failure) and
 * closes, unless it is standard output, or there is options.ops to do so. With ops, fd may be -1:
 * then the first file is opened as all others are, when it has something to write. A descriptor
 * that is no regular file is non-blocking until then; a regular one that stands at its beginning is
 * ours alone, and while it grows it ends in up to 4095 zeros. Starts the writer's thread. registry
 * gives the names of sessions, read when a session first appears. ledger is where frames are
 * accounted: written once the buffer that holds them has reached the descriptor. Both outlive the
 * capfile. The owner stores `offered`; all else is added to atomically, so that the next file of an
 * output may share the ledger with the one before it while that is still being closed. Returns NULL
 * with rte_errno. Control thread.
 */
struct ms_capfile *ms_capfile_create(int fd, const struct ms_capfile_options *options,
	const struct ms_session_registry *registry, struct ms_output_ledger *ledger);

/*
 * Copies those of frames[0..n) to the file whose set of outputs meets `mask`; each counts as
 * offered, and is written or dropped with a reason. Keeps no reference to any mbuf. Never blocks
 * unless options.wait. Owner.
 *
 * An error ends the file: it is cut back to the last record that was written for certain, and what
 * it lost is counted as disk_full or io_error. Where options.ops opens another, frames go there; if
 * that fails as well, or space is short, frames are counted for a second, and then it is tried
 * again. A file that can't be brought to disk at its end has all of its frames moved from written
 * to io_error.
 */
void
ms_capfile_burst(struct ms_capfile *file, const struct ms_frame *frames, uint16_t n, uint32_t mask);

/*
 * Hands a partly filled buffer to the writer if it has waited for nearly 100 ms (a regular file: a
 * second), unless the writer is behind anyway; called about once every 10 ms, and before the first
 * burst. now: nanoseconds, any monotonic origin. Owner.
 */
void ms_capfile_flush(struct ms_capfile *file, uint64_t now);

/*
 * Says that the file is about to be closed: from now on a descriptor that makes no progress for 5
 * seconds (a pipe that nobody reads, a file server that is gone) has failed, and what was not
 * written is counted as writer_backlog. An owner that waits (options.wait) is thus let go. Any
 * thread.
 */
void ms_capfile_hasten(struct ms_capfile *file);

/*
 * Ends the file: ms_capfile_hasten(), statistics blocks, last buffers, fdatasync, close, and the
 * writer's thread. The ledger balances when this returns. Returns 0 or the first error, -errno
 * (-ETIMEDOUT: no progress). Control thread, after the owner has stopped; frees file. After
 * -ETIMEDOUT the thread may be left behind in the kernel or in ops: their arg must stay.
 */
int ms_capfile_close(struct ms_capfile *file);

/*
 * Says how bytes go to the files, and why not better: "direct I/O, io_uring, 8192 KiB in 8
 * buffers". Final when the first buffer has been written. Any thread.
 */
void ms_capfile_way(const struct ms_capfile *file, char *text, size_t room);

/* Bytes of buffer memory that it holds. Any thread. */
size_t ms_capfile_memory(const struct ms_capfile *file);
