/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the owner of a capture file does now and then: takes the next buffer, hands a full one to
 * the writer's thread, puts a session's interface into the file when it first appears, and counts
 * what found no room. capfile_burst.c calls this where its straight way ends.
 */
#include "capfile_private.h"

#include <time.h>

#include <rte_common.h>
#include <rte_pause.h>

#include "session/ms_session.h"

#define NS_PER_SECOND 1000000000u
#define FLUSH_NS      100000000u
#define WAIT_SPINS    1000u
#define WAIT_SLEEP_NS 50000
#define PCAP_TIME_MAX ((uint64_t)UINT32_MAX * NS_PER_SECOND + NS_PER_SECOND - 1)

/* Counts one frame that does not go into the file, with the reason why. */
static void
count_drop(struct ms_capfile *file)
{
	unsigned int failed = atomic_load_explicit(&file->failed, memory_order_relaxed);
	enum ms_drop reason = failed != 0 ? failed - 1 : MS_DROP_WRITER_BACKLOG;

	ms_capfile_count(&file->ledger->dropped[reason], 1);
}

/* Buffers that are with the writer. Acquires what the writer gave back (releases `done`). */
static uint64_t
buffers_out(const struct ms_capfile *file)
{
	return atomic_load_explicit(&file->filled, memory_order_relaxed) -
	       atomic_load_explicit(&file->done, memory_order_acquire);
}

/* Waits until the writer gives a buffer back, as it does for certain once the file has failed. */
static void
wait_for_buffer(const struct ms_capfile *file)
{
	const struct timespec pause = {.tv_nsec = WAIT_SLEEP_NS};
	uint32_t spins = 0;

	while (buffers_out(file) == file->buffers_n) {
		if (spins < WAIT_SPINS) {
			spins++;
			rte_pause();
		} else {
			nanosleep(&pause, NULL);
		}
	}
}

void
ms_capfile_hand_over(struct ms_capfile *file)
{
	struct ms_capfile_buffer *buffer = ms_capfile_current(file);
	uint64_t filled = atomic_load_explicit(&file->filled, memory_order_relaxed);

	buffer->bytes = file->cursor.at - buffer->data - buffer->lead;
	buffer->frames = file->cursor.frames;
	buffer->payload = file->cursor.payload;
	file->handed_over += buffer->bytes;
	file->frames += buffer->frames;
	file->cursor.at = NULL;
	file->cursor.end = NULL;
	if (file->aligned)
		file->lead = (buffer->lead + buffer->bytes) % MS_CAPFILE_ALIGN;
	atomic_store_explicit(&file->filled, filled + 1, memory_order_release);
	sem_post(&file->wake);
}

bool
ms_capfile_room(struct ms_capfile *file, size_t need)
{
	struct ms_capfile_cursor *cursor = &file->cursor;
	struct ms_capfile_buffer *buffer;

	if ((size_t)(cursor->end - cursor->at) >= need)
		return true;
	if (cursor->at != NULL)
		ms_capfile_hand_over(file);
	if (file->wait)
		wait_for_buffer(file);
	else if (buffers_out(file) == file->buffers_n)
		return false;
	buffer = ms_capfile_current(file);
	buffer->lead = file->lead;
	buffer->last = false;
	cursor->at = buffer->data + buffer->lead;
	cursor->end = buffer->data + file->buffer_bytes;
	/* the slow way in is to be taken when the file is full, as when the buffer is */
	if (file->rotate_bytes != 0 && file->phase != MS_CAPFILE_STATISTICS)
		cursor->end =
			cursor->at + RTE_MAX(need, RTE_MIN((uint64_t)(cursor->end - cursor->at),
							   ms_capfile_left(file)));
	cursor->frames = 0;
	cursor->payload = 0;
	return true;
}

bool
ms_capfile_interface(struct ms_capfile *file, uint32_t session)
{
	const struct ms_session_info *info = ms_session_info(file->registry, session);

	if (!ms_capfile_room(file, MS_CAPFILE_BLOCK_MAX))
		return false;
	file->cursor.at =
		ms_pcapng_interface(file->cursor.at, info->name, info->description, file->snaplen);
	/* A buffer that has something in it is written, or the file has ended: the id holds. */
	file->sessions[session].interface = ++file->interfaces;
	return true;
}

bool
ms_capfile_admit(struct ms_capfile *file, uint32_t session, size_t need)
{
	struct ms_capfile_session *entry = file->sessions == NULL ? NULL : &file->sessions[session];
	size_t all = need;

	if (entry != NULL && entry->interface == 0)
		all += MS_CAPFILE_BLOCK_MAX;
	if (ms_capfile_turn(file) &&
		(file->rotate_bytes == 0 || ms_capfile_left(file) >= all ||
			!ms_capfile_has_frames(file) || ms_capfile_rotate(file)) &&
		(entry == NULL || entry->interface != 0 || ms_capfile_interface(file, session)) &&
		ms_capfile_room(file, need))
		return true;
	count_drop(file);
	file->dropped++;
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

/* A file that holds no frame yet stays, however old it is. */
static void
rotate_by_time(struct ms_capfile *file, uint64_t now)
{
	if (file->phase != MS_CAPFILE_RECORDS)
		ms_capfile_turn(file);
	else if (file->started == 0 || !ms_capfile_has_frames(file))
		file->started = now;
	else if (now - file->started >= file->rotate_ns)
		ms_capfile_rotate(file);
}

void
ms_capfile_flush(struct ms_capfile *file, uint64_t now)
{
	uint64_t filled = atomic_load_explicit(&file->filled, memory_order_relaxed);
	const struct ms_capfile_buffer *buffer = ms_capfile_current(file);

	if (file->rotate_ns != 0)
		rotate_by_time(file, now);
	/* Behind other buffers it would only wait there, and have no room for what comes meanwhile.
	 */
	if (file->cursor.at == NULL || file->cursor.at == buffer->data + buffer->lead ||
		buffers_out(file) != 0)
		return;
	if (file->flush_sequence != filled) {
		file->flush_sequence = filled;
		file->flush_seen = now;
	} else if (now - file->flush_seen > FLUSH_NS) {
		ms_capfile_hand_over(file);
	}
}
