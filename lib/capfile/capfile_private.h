/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of capfile share. The owner's side: capfile_burst.c (the copy), capfile_buffer.c
 * (what it does once a buffer), capfile_rotate.c (from one file to the next), capfile_stream.c
 * (many files at once). The writer's side: capfile_writer.c (the thread), capfile_file.c (one file)
 * and capfile_ring.c (io_uring). Between them: capfile_pack.c (compression). All: capfile.c (life
 * and death), capfile_memory.c, capfile_thread.c, and capfile_block.c (the encoder of all but
 * packets).
 *
 * Buffers go round: the owner takes one that is free, fills it, and hands it over; the writer gives
 * it back when the kernel has taken its bytes, in whatever order that happens. Each way is a ring
 * of buffer numbers with one counter for each end. What came back the owner keeps on a stack.
 */
#pragma once

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <liburing.h>
#include <lz4frame.h>
#include <openssl/evp.h>
#include <rte_branch_prediction.h>
#include <rte_thread.h>
#include <rte_version.h>
#include <zstd.h>

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

/*
 * How long may be without progress, while the file is to be closed: a pipe; a call that hangs in
 * the kernel; and one that brings a whole file to disk, when all bytes are with the kernel already.
 */
#define MS_CAPFILE_STALL_MS  5000u
#define MS_CAPFILE_DESERT_MS 6000u
#define MS_CAPFILE_SYNC_MS   60000u

/* io_uring, as the writer uses it. writer: rw; ctl: rw before and after. */
struct ms_capfile_ring {
	bool made;
	bool on;        /* takes more */
	bool fixed;     /* buffers are registered */
	int error;      /* why it isn't on, -errno */
	uint32_t depth; /* how much it may have at once, and has */
	uint32_t flying;
	struct io_uring ring;
};

/* rte_thread_create_control() has come, and rte_ctrl_thread_create() has gone. */
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
#define MS_CAPFILE_RTE_THREAD
typedef rte_thread_t ms_capfile_thread_id;
#else
typedef pthread_t ms_capfile_thread_id;
#endif

/* ctl: rw; run and arg: ro by the thread, at its start. */
struct ms_capfile_thread {
	ms_capfile_thread_id id;
	void (*run)(void *arg);
	void *arg;
};

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

/* How deep the writer sleeps. */
enum ms_capfile_rest {
	MS_CAPFILE_AWAKE,
	MS_CAPFILE_DOZES,  /* it will look by itself, soon */
	MS_CAPFILE_SLEEPS, /* until it is woken */
};

/*
 * owner: rw until it is handed over, then writer: rw until it is given back.
 *
 * An aligned file is written in whole blocks of MS_CAPFILE_ALIGN, and nearly always in whole
 * buffers: the record that meets a buffer's end is split. Where a buffer is handed over before it
 * is full, the block in which it ends is written padded, and again with the next buffer, whose
 * records go on in that block: behind `lead` bytes, for which the writer keeps the old.
 */
struct ms_capfile_buffer {
	uint8_t *data;
	size_t lead;
	size_t bytes; /* without lead */
	size_t whole; /* of these, up to the end of the last record that ends here */
	uint32_t stream;
	uint32_t session; /* as in the stream */
	uint32_t number;  /* of the file in the stream */
	bool first;       /* of its file */
	bool last;
	_Atomic(bool) packed; /* compressed, or that has failed; release, acquired by writer */
	uint64_t frames;      /* whose records end here */
	uint64_t payload;     /* bytes of frames, without those of the format */
	struct ms_capfile_end *end; /* last: what only the owner knows of the file; or NULL */
	/* writer: rw */
	struct ms_capfile_file *file;
	struct ms_capfile_buffer *next; /* in the file's queue */
	uint64_t offset; /* aligned: of data in the file, and what is written there */
	size_t length;
	size_t written;
	bool direct; /* as it was submitted */
	bool done;
	int error;
	bool pending; /* handed over, and not accounted for; ctl: ro under the lock */
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

/* One file after the other, as the owner sees them. There is one of these, or one a session. */
struct ms_capfile_stream {
	/* owner: rw */
	alignas(64) struct ms_capfile_cursor cursor;
	struct ms_capfile_buffer *buffer; /* at the cursor; NULL: none */
	size_t lead; /* of the next buffer; always 0 if files are not aligned */
	enum ms_capfile_phase phase;
	uint32_t session; /* MS_SESSION_NONE: all; by session: not in use */
	uint32_t number;  /* of the current or next file, from 1 */
	uint32_t interfaces;
	uint32_t statistics;  /* MS_CAPFILE_STATISTICS: how many sessions are done */
	bool abandoned;       /* MS_CAPFILE_STATISTICS: the file is broken, and needs none */
	uint64_t handed_over; /* bytes of this file that were, and its frames */
	uint64_t frames;
	uint64_t dropped; /* while this file was the current one */
	uint64_t started; /* when ms_capfile_flush() first saw this file, or aligned: the period in
	                   * which its first frame can have come; 0: not yet */
	uint64_t buffers; /* handed over in all */
	uint64_t flush_seen; /* when ms_capfile_flush() first saw that number, and which */
	uint64_t flush_count;
	uint64_t used; /* by session: when it last was, in turns of file->uses */
	/* writer: rw, owner: ro */
	alignas(64) _Atomic(uint32_t) broken; /* number of the last file that failed; relaxed */
};

/* One file as the writer sees it, from the first buffer to the end. */
struct ms_capfile_file {
	struct ms_capfile_file *next; /* of all that are not finished */
	int fd;
	int flags;    /* of the descriptor, as it was found */
	bool regular; /* a file that can be cut, and synchronised */
	bool aligned; /* ours from its first byte to its last */
	bool direct;  /* past the page cache */
	bool cut;     /* error: it has been cut back */
	uint32_t stream;
	uint32_t number;
	uint32_t session;
	struct ms_capfile_buffer *first, *unsent, *latest; /* of its queue */
	uint32_t flying;                                   /* buffers that are with the kernel */
	uint64_t start;                                    /* where the next buffer begins */
	uint64_t whole;     /* bytes written for certain, up to the end of a record */
	uint64_t allocated; /* up to here there is space set aside; UINT64_MAX: can't be */
	uint64_t frames;    /* written for certain, and their payload */
	uint64_t payload;
	uint64_t lost; /* frames that it should have held */
	int error;
	struct ms_capfile_end *end;
	EVP_MD_CTX *sha256;             /* NULL: not asked for */
	uint8_t tail[MS_CAPFILE_ALIGN]; /* bytes in the block that is not full yet */
};

/* A thread that compresses. */
struct ms_capfile_packer {
	struct ms_capfile_thread thread; /* ctl: rw */
	struct ms_capfile *file;         /* ctl: rw before it starts, then ro */
	ZSTD_CCtx *zstd;                 /* packer: rw; one of the two */
	LZ4F_cctx *lz4;
	unsigned int window; /* of zstd, log2: a buffer fits */
	uint8_t *spare;      /* packer: rw; what the next buffer is packed into */
};

struct ms_capfile_packing {
	/* ctl: rw before the threads start, then ro */
	enum ms_capfile_compress compress; /* MS_CAPFILE_PLAIN: no threads */
	int level;
	uint32_t threads_n;
	uint32_t started;
	struct ms_capfile_packer packers[MS_CAPFILE_COMPRESS_THREADS];
	/* under the lock; put: by the writer */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct ms_capfile_buffer **jobs; /* ring of buffers_n */
	uint64_t put;
	uint64_t taken;
	bool stop;
};

struct ms_capfile {
	/* owner: rw */
	alignas(64) struct ms_capfile_stream *stream; /* the current one */
	uint64_t second_start; /* pcap: nanoseconds at which second `second` begins */
	uint32_t second;
	bool aside;        /* the cursor stands in scratch: its record will be split */
	uint8_t *aside_at; /* what the cursor was before */
	uint64_t aside_frames;
	uint64_t aside_payload;
	uint64_t got;   /* buffers of `given` that the owner has on its stack, or took from there */
	uint64_t taken; /* buffers that the owner took */
	uint64_t uses;
	bool wait;
	uint64_t stall_progress; /* what `progress` was when it was last seen to move, and when */
	uint64_t stall_since;
	/* owner: ro, ctl: rw */
	alignas(64) struct ms_capfile_session *sessions; /* NULL: pcap */
	struct ms_output_ledger *ledger;
	uint32_t snaplen;
	bool outer;
	bool remote;  /* frames come from another lcore */
	bool aligned; /* files are */
	bool per_session;
	uint32_t streams_n;
	uint16_t *stream_of; /* by session: + 1, 0: none; owner: rw */
	struct ms_capfile_stream *streams;
	uint32_t buffers_n;
	size_t buffer_bytes;
	size_t area_bytes; /* of memory for each, which may hold what it was compressed to */
	struct ms_capfile_buffer *buffers;
	uint32_t *handed; /* ring of buffers on their way to the writer; owner: rw, writer: ro */
	uint32_t *given;  /* and back; writer: rw, owner: ro */
	uint32_t *stack;  /* of got - taken buffers that are free, latest on top; owner: rw */
	uint8_t *scratch; /* owner: rw; room for the longest record */
	const struct ms_session_registry *registry;
	const char *application;
	uint64_t flush_ns;
	uint64_t rotate_bytes;
	uint64_t rotate_packets;
	uint64_t rotate_ns;
	bool rotate_aligned;
	uint64_t period; /* aligned: that of the last ms_capfile_flush(); 0: none yet */
	uint64_t min_free;
	bool cached;
	bool sha256;
	const struct ms_capfile_ops *ops;
	void *arg;
	/* owner: rw, writer: ro */
	alignas(64) _Atomic(uint64_t) filled; /* buffers handed over; acquired by writer; then
	                                       * `rest` is read, both sequentially consistent */
	_Atomic(enum ms_capfile_state) state; /* release, acquired by writer */
	int wake; /* eventfd: written after each change of `state`, and of `filled` if need be */
	/* writer: rw, owner: ro */
	alignas(64) _Atomic(uint64_t) done; /* buffers given back; release, acquired by owner */
	_Atomic(uint64_t) progress; /* relaxed: buffers and files that the writer is through with,
	                             * and buffers that were compressed */
	_Atomic(enum ms_capfile_rest) rest; /* stored before `filled` is read, both sequentially
	                                     * consistent */
	_Atomic(bool) attention; /* look at the next, and at `broken`; release, acquired by owner */
	_Atomic(unsigned int) refusing; /* enum ms_drop + 1; relaxed */
	_Atomic(int) direct_error; /* why the page cache is used; 1: not known yet, 0: it isn't */
	/* writer: rw, ctl: ro after it has joined */
	alignas(64) int error;          /* the first one, -errno */
	uint64_t seen;                  /* buffers taken from handed */
	struct ms_capfile_file *files;  /* that are not finished */
	struct ms_capfile_file **at_of; /* of each stream, the one that takes buffers, or NULL */
	uint64_t retry;                 /* when refusing ends, CLOCK_MONOTONIC; UINT64_MAX: never */
	bool full;                      /* the disk was: more than the least must be free */
	uint32_t barren;                /* files that failed without a frame, one after the other */
	struct ms_capfile_ring ring;
	/* ctl: rw, writer: rw, under the lock */
	pthread_mutex_t lock;
	bool ended;              /* the writer is through */
	bool deserted;           /* it hangs in the kernel, and nobody waits for it any more */
	pthread_cond_t returned; /* a buffer was: `done` has changed. owner: waits */
	/* ctl: rw */
	struct ms_capfile_thread thread;
	struct ms_capfile_packing packing;
	struct ms_capfile_memory {
		void *slots; /* sessions and stream_of, or NULL */
		size_t slots_bytes;
		void *data; /* buffers */
		size_t data_bytes;
		bool huge; /* in huge pages that were set aside */
	} memory;
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

/* capfile_memory.c: control. */

/* Gets buffers and slots, touched already. format: slots for it. Returns 0 or -errno. */
int ms_capfile_map(struct ms_capfile *file, enum ms_capfile_format format);
void ms_capfile_unmap(struct ms_capfile *file);

/* capfile.c */

/* Frees all. Control, or the writer that was deserted. */
void ms_capfile_destroy(struct ms_capfile *file);

/* capfile_buffer.c: owner. All but the last act on the current stream. */

/*
 * Makes `need` bytes of room at the cursor: in this buffer, in the next, or aside, if the record is
 * to be split between the two; waits for a buffer if options.wait. Returns false if there is none.
 */
bool ms_capfile_room(struct ms_capfile *file, size_t need);

/* Puts the record that was written aside where it belongs. */
void ms_capfile_settle(struct ms_capfile *file);

/* Puts the interface of a session into the file. Returns false if there was no room. */
bool ms_capfile_interface(struct ms_capfile *file, uint32_t session);

/*
 * The slow way in for one frame: its session's interface, and room for `need` bytes. Returns false
 * after counting the frame as dropped.
 */
bool ms_capfile_admit(struct ms_capfile *file, uint32_t session, size_t need);

/* Hands the cursor's buffer, which there is, to the writer. */
void ms_capfile_hand_over(struct ms_capfile *file);

/* Buffers that are not in use. Acquires what the writer gave back (releases `done`). */
static inline uint64_t
ms_capfile_free(const struct ms_capfile *file)
{
	return atomic_load_explicit(&file->done, memory_order_acquire) - file->taken;
}

/* Counts all of a burst that meets mask as offered and dropped: there is no file for them. */
void ms_capfile_refuse(
	struct ms_capfile *file, const struct ms_frame *frames, uint16_t n, uint32_t mask);

/* pcap: lets `second` be that of a timestamp. Returns the timestamp, or the last that pcap can say.
 */
uint64_t ms_capfile_second(struct ms_capfile *file, uint64_t timestamp);

/* Nothing has come back from the writer for too long, while the file is to be closed. To be asked
 * again and again. Owner, then control. */
bool ms_capfile_stalled(struct ms_capfile *file);

/* capfile_rotate.c: owner, on the current stream. Each returns false if it could not finish for
 * want of a buffer. */

/* What the owner knows of the file now that it ends; NULL for want of memory. */
struct ms_capfile_end *ms_capfile_end(const struct ms_capfile *file);

/* Goes on with the turn from one file to the next; true when records can go in. */
bool ms_capfile_turn(struct ms_capfile *file);

/* Ends the file, if there is one, as far as buffers go; again until it is true. abandon: what it
 * still should get does not matter. */
bool ms_capfile_finish(struct ms_capfile *file, bool abandon);

bool ms_capfile_has_frames(const struct ms_capfile *file);

/* Frames that may follow before ms_capfile_finish_full() must be asked: at least one. */
uint64_t ms_capfile_frames_left(const struct ms_capfile *file);

/* Begins to turn to the next file if this one holds rotate_packets. */
void ms_capfile_finish_full(struct ms_capfile *file);

/* Bytes that the file may still grow by until rotate_bytes. Nothing is aside. */
uint64_t ms_capfile_left(const struct ms_capfile *file);

/* capfile_stream.c: owner. */

/* Looks what the writer has to say: leaves files that are broken. Returns false if nothing is to
 * go into any file for now. */
bool ms_capfile_attend(struct ms_capfile *file);

/* Makes the stream of a session the current one; ends the one that was not used for longest if need
 * be. Returns false if that could not be done for want of a buffer. */
bool ms_capfile_select(struct ms_capfile *file, uint32_t session);

/* Hands over what the stream that was not used for longest has: buffers are scarce. */
void ms_capfile_spare(struct ms_capfile *file);

/* capfile_file.c: writer, or control before it. */

/* Begins a file: on fd, or, if that is -1, on one that ops->open gives. *made is NULL only for want
 * of memory. Returns 0 or -errno. */
int ms_capfile_file_begin(struct ms_capfile *file, int fd, const struct ms_capfile_buffer *buffer,
	struct ms_capfile_file **made);

/* There is not the space that options.min_free wants, or the disk was full and still is. */
bool ms_capfile_file_short(struct ms_capfile *file, struct ms_capfile_file *f);

/* Sets space aside ahead of the next buffer, if that is worth it. */
void ms_capfile_file_allocate(const struct ms_capfile *file, struct ms_capfile_file *f);

/* Writes what is not written yet of a buffer, and waits for it. Returns 0 or -errno. */
int ms_capfile_file_write(
	struct ms_capfile *file, struct ms_capfile_file *f, struct ms_capfile_buffer *buffer);

/* Direct I/O is more than this descriptor can do, here or at all; the page cache takes anything. */
void ms_capfile_file_leave_direct(struct ms_capfile *file, struct ms_capfile_file *f);

/* Cuts an aligned file to what it holds for certain, and ends a compressed one there if it has
 * failed. Returns 0 or -errno. */
int ms_capfile_file_cut(const struct ms_capfile *file, struct ms_capfile_file *f);

/* Lets go of the descriptor, and tells ops->finished; error: the first of the file, or 0. */
void ms_capfile_file_end(struct ms_capfile *file, struct ms_capfile_file *f, int error);

/* capfile_pack.c */

/* What `bytes` can come to, at most. */
size_t ms_capfile_pack_bound(enum ms_capfile_compress compress, size_t bytes);

/* What ends a file that was cut behind a buffer, n bytes. */
const uint8_t *ms_capfile_pack_ending(enum ms_capfile_compress compress, size_t *n);

/* Starts the threads, if the file is compressed. Returns 0 or -errno; then, too, it is to be ended.
 * Control. */
int ms_capfile_pack_begin(struct ms_capfile *file);
/* Ends them, whatever they still have. Control, or the writer that was deserted. */
void ms_capfile_pack_end(struct ms_capfile *file);

/* Lets a buffer be compressed: it is another's until `packed`, and then has data, bytes and whole
 * as they are to be written, or an error. Writer. */
void ms_capfile_pack(struct ms_capfile *file, struct ms_capfile_buffer *buffer);

/* capfile_thread.c: control; leave: lets it end by itself. */

/* The thread's struct stays until it has ended, or run() is about to return. Returns 0 or -errno.
 */
int ms_capfile_thread_start(
	struct ms_capfile_thread *thread, const char *name, void (*run)(void *), void *arg);
void ms_capfile_thread_join(const struct ms_capfile_thread *thread);
void ms_capfile_thread_leave(ms_capfile_thread_id id);

/* capfile_ring.c: writer; begin and end also control. */

/* Sets it up; without success ring.error says why not, and files are written without. */
void ms_capfile_ring_begin(struct ms_capfile *file);
void ms_capfile_ring_end(struct ms_capfile *file);

/* Lets the kernel write what is not written yet of a buffer. Returns false if it has to be written
 * without: then nothing is on its way. */
bool ms_capfile_ring_write(struct ms_capfile *file, struct ms_capfile_buffer *buffer);

/* The same for fdatasync of a file. */
bool ms_capfile_ring_sync(struct ms_capfile *file, struct ms_capfile_file *f);

/* Something that has completed: *buffer or *f, and its result. Returns false if there is none. */
bool ms_capfile_ring_reap(struct ms_capfile *file, struct ms_capfile_buffer **buffer,
	struct ms_capfile_file **f, int *result);

/* capfile_writer.c */

/* Returns 0 or -errno. Control thread. */
int ms_capfile_writer_start(struct ms_capfile *file);

/* Waits until the writer is through. Returns false if it deserted it, and counted what it had. */
bool ms_capfile_writer_join(struct ms_capfile *file);

/* Publishes a state, unless a later one has been, and wakes the writer. Any thread. */
void ms_capfile_advance(struct ms_capfile *file, enum ms_capfile_state state);

/* Wakes the writer. */
void ms_capfile_wake(const struct ms_capfile *file);

static inline uint64_t
ms_capfile_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
