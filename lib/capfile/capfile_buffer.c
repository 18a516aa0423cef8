/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the owner of a capture file does now and then: takes the next buffer, hands a full one to
 * the writer's thread, puts a session's interface into the file when it first appears, and counts
 * what found no room. capfile_burst.c calls this where its straight way ends.
 */
#include "capfile_private.h"

#include <string.h>
#include <time.h>

#include <rte_common.h>
#include <rte_pause.h>

#include "session/ms_session.h"

#define NS_PER_SECOND 1000000000u
#define WAIT_SPINS    1000u
#define WAIT_LOOK_NS  100000000u /* how often it is asked whether the writer is stuck */
#define PCAP_TIME_MAX ((uint64_t)UINT32_MAX * NS_PER_SECOND + NS_PER_SECOND - 1)

/* Counts one frame that does not go into the file, with the reason why. */
static void
count_drop(struct ms_capfile *file)
{
	unsigned int refusing = atomic_load_explicit(&file->refusing, memory_order_relaxed);
	enum ms_drop reason = refusing != 0 ? refusing - 1 : MS_DROP_WRITER_BACKLOG;

	ms_capfile_count(&file->ledger->dropped[reason], 1);
}

bool
ms_capfile_stalled(struct ms_capfile *file)
{
	uint64_t progress = atomic_load_explicit(&file->progress, memory_order_relaxed);
	uint64_t now = ms_capfile_clock(), limit = MS_CAPFILE_DESERT_MS;

	if (ms_capfile_free(file) == file->buffers_n)
		limit = MS_CAPFILE_SYNC_MS;
	if (atomic_load_explicit(&file->state, memory_order_relaxed) == MS_CAPFILE_OPEN ||
		progress != file->stall_progress || file->stall_since == 0) {
		file->stall_progress = progress;
		file->stall_since = now;
	}
	return now - file->stall_since > limit * UINT64_C(1000000);
}

/*
 * Waits until the writer gives a buffer back, as it does once a file has failed. Returns false if
 * it is not to be hoped for any more. It is woken, and does not look every few microseconds: beside
 * another lcore on the same processor so short a sleep can keep Linux (seen with 6.18) from ever
 * giving its own threads there a turn, and those complete what is written past the page cache.
 */
static bool
wait_for_buffer(struct ms_capfile *file)
{
	bool stalled = false;

	for (uint32_t spins = 0; spins < WAIT_SPINS; spins++) {
		if (ms_capfile_free(file) > 0)
			return true;
		rte_pause();
	}
	pthread_mutex_lock(&file->lock);
	while (ms_capfile_free(file) == 0 && !stalled) {
		uint64_t until = ms_capfile_clock() + WAIT_LOOK_NS;
		const struct timespec t = {.tv_sec = (time_t)(until / NS_PER_SECOND),
			.tv_nsec = (long)(until % NS_PER_SECOND)};

		pthread_cond_clockwait(&file->returned, &file->lock, CLOCK_MONOTONIC, &t);
		stalled = ms_capfile_free(file) == 0 && ms_capfile_stalled(file);
	}
	pthread_mutex_unlock(&file->lock);
	file->wait = !stalled;
	return !stalled;
}

/* Sees to it that there is a free buffer, if one can be had. */
static bool
have_buffer(struct ms_capfile *file)
{
	if (file->per_session && ms_capfile_free(file) <= file->buffers_n / 8)
		ms_capfile_spare(file);
	return ms_capfile_free(file) > 0 || (file->wait && wait_for_buffer(file));
}

/*
 * A free buffer, which there is: of these the one that came back last, whose lines are still in a
 * cache. So a writer that keeps up lets two or three of them go round, and not all.
 */
static struct ms_capfile_buffer *
pop_buffer(struct ms_capfile *file)
{
	uint64_t done = atomic_load_explicit(&file->done, memory_order_acquire);

	for (; file->got != done; file->got++)
		file->stack[file->got - file->taken] = file->given[file->got % file->buffers_n];
	return &file->buffers[file->stack[file->got - ++file->taken]];
}

/* Takes a free buffer, which there is, for the current stream. */
static void
take_buffer(struct ms_capfile *file)
{
	struct ms_capfile_stream *stream = file->stream;
	struct ms_capfile_buffer *buffer = pop_buffer(file);

	buffer->lead = stream->lead;
	buffer->last = false;
	buffer->end = NULL;
	stream->buffer = buffer;
	stream->cursor.at = buffer->data + buffer->lead;
	stream->cursor.end = stream->cursor.at;
	stream->cursor.frames = 0;
	stream->cursor.payload = 0;
}

/*
 * Lets the writer know of a buffer. A call of the kernel, and more so what it takes to wake a
 * thread on another processor, costs as much as to fill a good part of the buffer; so one that
 * dozes is left alone while there are buffers enough.
 */
static void
notify(struct ms_capfile *file)
{
	enum ms_capfile_rest rest = atomic_load_explicit(&file->rest, memory_order_seq_cst);

	if (rest == MS_CAPFILE_SLEEPS ||
		(rest == MS_CAPFILE_DOZES && ms_capfile_free(file) <= file->buffers_n / 2))
		ms_capfile_wake(file);
}

void
ms_capfile_hand_over(struct ms_capfile *file)
{
	struct ms_capfile_stream *stream = file->stream;
	struct ms_capfile_buffer *buffer = stream->buffer;
	uint64_t filled = atomic_load_explicit(&file->filled, memory_order_relaxed);

	buffer->bytes = stream->cursor.at - buffer->data - buffer->lead;
	buffer->whole = buffer->bytes;
	if (file->aside) /* its first part is in this buffer */
		buffer->whole = file->aside_at - buffer->data - buffer->lead;
	buffer->frames = stream->cursor.frames;
	buffer->payload = stream->cursor.payload;
	buffer->stream = stream - file->streams;
	buffer->session = stream->session;
	buffer->number = stream->number;
	buffer->pending = true;
	buffer->first = stream->handed_over == 0;
	stream->handed_over += buffer->bytes;
	stream->frames += buffer->frames;
	stream->buffers++;
	stream->buffer = NULL;
	stream->cursor.at = NULL;
	stream->cursor.end = NULL;
	if (file->aligned)
		stream->lead = (buffer->lead + buffer->bytes) % MS_CAPFILE_ALIGN;
	file->handed[filled % file->buffers_n] = buffer - file->buffers;
	atomic_store_explicit(&file->filled, filled + 1, memory_order_seq_cst);
	notify(file);
}

void
ms_capfile_settle(struct ms_capfile *file)
{
	struct ms_capfile_cursor *cursor = &file->stream->cursor;
	struct ms_capfile_cursor record = *cursor;
	size_t n, room, here;

	if (!file->aside)
		return;
	n = record.at - file->scratch;
	room = file->stream->buffer->data + file->buffer_bytes - file->aside_at;
	here = RTE_MIN(n, room);
	/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): set with aside */
	memcpy(file->aside_at, file->scratch, here);
	cursor->at = file->aside_at + here;
	if (n > room) {
		cursor->frames = file->aside_frames;
		cursor->payload = file->aside_payload;
		ms_capfile_hand_over(file);
		take_buffer(file); /* ms_capfile_room() has made sure of it */
		/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): in the buffer taken */
		memcpy(cursor->at, file->scratch + here, n - here);
		cursor->at += n - here;
		cursor->frames = record.frames - file->aside_frames;
		cursor->payload = record.payload - file->aside_payload;
	}
	cursor->end = cursor->at; /* ms_capfile_room() will know better */
	file->aside = false;
}

bool
ms_capfile_room(struct ms_capfile *file, size_t need)
{
	struct ms_capfile_stream *stream = file->stream;
	struct ms_capfile_cursor *cursor = &stream->cursor;
	size_t left;

	ms_capfile_settle(file);
	left = stream->buffer != NULL ? stream->buffer->data + file->buffer_bytes - cursor->at : 0;
	/* Whoever reads a pipe gets whole records. */
	if (stream->buffer != NULL && (left == 0 || (left < need && !file->aligned)))
		ms_capfile_hand_over(file);
	if (stream->buffer == NULL) {
		if (!have_buffer(file))
			return false;
		take_buffer(file);
		left = file->buffer_bytes - stream->lead;
	}
	if (left < need) {
		if (!have_buffer(file))
			return false;
		file->aside = true;
		file->aside_at = cursor->at;
		file->aside_frames = cursor->frames;
		file->aside_payload = cursor->payload;
		cursor->at = file->scratch;
		left = need;
	} else if (file->rotate_bytes != 0 && stream->phase != MS_CAPFILE_STATISTICS) {
		/* the slow way in is to be taken when the file is full, as when the buffer is */
		left = RTE_MAX(need, RTE_MIN(left, ms_capfile_left(file)));
	}
	cursor->end = cursor->at + left;
	return true;
}

bool
ms_capfile_interface(struct ms_capfile *file, uint32_t session)
{
	const struct ms_session_info *info = ms_session_info(file->registry, session);
	struct ms_capfile_stream *stream = file->stream;

	if (!ms_capfile_room(file, MS_CAPFILE_BLOCK_MAX))
		return false;
	stream->cursor.at = ms_pcapng_interface(
		stream->cursor.at, info->name, info->description, file->snaplen);
	/* A buffer that has something in it is written, or the file has ended: the id holds. */
	file->sessions[session].interface = ++stream->interfaces;
	return true;
}

/* There is room until rotate_bytes, or in the next file. */
static bool
make_place(struct ms_capfile *file, size_t need)
{
	return file->rotate_bytes == 0 || ms_capfile_left(file) >= need ||
	       !ms_capfile_has_frames(file) ||
	       (ms_capfile_finish(file, false) && ms_capfile_turn(file));
}

bool
ms_capfile_admit(struct ms_capfile *file, uint32_t session, size_t need)
{
	struct ms_capfile_session *entry = file->sessions == NULL ? NULL : &file->sessions[session];
	size_t all = need;

	ms_capfile_settle(file);
	if (entry != NULL && entry->interface == 0)
		all += MS_CAPFILE_BLOCK_MAX;
	if (ms_capfile_turn(file) && make_place(file, all) &&
		(entry == NULL || entry->interface != 0 || ms_capfile_interface(file, session)) &&
		ms_capfile_room(file, need))
		return true;
	count_drop(file);
	file->stream->dropped++;
	if (entry != NULL)
		entry->dropped++;
	return false;
}

void
ms_capfile_refuse(struct ms_capfile *file, const struct ms_frame *frames, uint16_t n, uint32_t mask)
{
	uint16_t i;

	for (i = 0; i < n; i++) {
		if ((frames[i].outputs & mask) == 0)
			continue;
		ms_count_add(&file->ledger->offered, 1);
		count_drop(file);
	}
}

uint64_t
ms_capfile_second(struct ms_capfile *file, uint64_t timestamp)
{
	timestamp = RTE_MIN(timestamp, PCAP_TIME_MAX);
	file->second = timestamp / NS_PER_SECOND;
	file->second_start = (uint64_t)file->second * NS_PER_SECOND;
	return timestamp;
}

/* The multiple of rotate_ns that the clock has come to. */
static uint64_t
period(const struct ms_capfile *file)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return ((uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec) / file->rotate_ns;
}

/* A file that holds no frame yet stays, however old it is. */
static void
rotate_by_time(struct ms_capfile *file, uint64_t now)
{
	struct ms_capfile_stream *stream = file->stream;
	uint64_t since = now;

	if (file->rotate_aligned) {
		now = period(file);
		/* a file that was not there yet may have frames of before a period's end */
		since = file->period != 0 ? file->period : now;
	}
	if (!ms_capfile_has_frames(file))
		stream->started = now;
	else if (stream->started == 0)
		stream->started = since;
	if (now - stream->started >= (file->rotate_aligned ? 1 : file->rotate_ns))
		ms_capfile_finish(file, false);
}

static void
flush_stream(struct ms_capfile *file, uint64_t now)
{
	struct ms_capfile_stream *stream = file->stream;
	const struct ms_capfile_buffer *buffer;

	if (stream->phase == MS_CAPFILE_STATISTICS)
		ms_capfile_finish(file, stream->abandoned);
	else if (file->rotate_ns != 0 && stream->phase == MS_CAPFILE_RECORDS)
		rotate_by_time(file, now);
	buffer = stream->buffer;
	if (buffer == NULL || stream->cursor.at == buffer->data + buffer->lead)
		return;
	if (stream->flush_count != stream->buffers + 1) {
		stream->flush_count = stream->buffers + 1;
		stream->flush_seen = now;
		return;
	}
	/* Behind others it would only wait there, and have no room for what comes meanwhile. */
	if (now - stream->flush_seen >= file->flush_ns &&
		ms_capfile_free(file) >= (file->aligned ? 1 : file->buffers_n - 1))
		ms_capfile_hand_over(file);
}

void
ms_capfile_flush(struct ms_capfile *file, uint64_t now)
{
	struct ms_capfile_stream *current = file->stream;

	if (atomic_load_explicit(&file->attention, memory_order_relaxed))
		ms_capfile_attend(file);
	for (uint32_t i = 0; i < file->streams_n; i++) {
		file->stream = &file->streams[i];
		flush_stream(file, now);
	}
	file->stream = current;
	if (file->rotate_aligned)
		file->period = period(file);
}
