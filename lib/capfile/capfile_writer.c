/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread of a capture file that takes full buffers to the kernel, and sleeps when there are
 * none. Buffers complete in any order, and are accounted for in theirs: nothing is counted as
 * written before the kernel has taken it and all that comes before it in the file.
 *
 * A file that fails is cut back to what was written, and what comes after is counted by the reason;
 * the owner is told, ends it, and begins the next. If the next will fail as well, for want of
 * space, because it can't be opened, or as the last few did at once, the owner refuses frames for a
 * second first.
 */
#include "capfile_private.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_lcore.h>

#include "session/ms_session.h"

#define RETRY_NS      UINT64_C(1000000000)
#define DOZE_NS       50000
#define JOIN_SLEEP_NS 1000000
#define BARREN_MAX    3u /* files in a row that fail before they hold a frame */

static bool
packs(const struct ms_capfile *file)
{
	return file->packing.compress != MS_CAPFILE_PLAIN;
}

static enum ms_drop
drop_reason(int error)
{
	switch (error) {
	case -ENOSPC:
	case -EDQUOT:
		return MS_DROP_DISK_FULL;
	case -ETIMEDOUT:
		return MS_DROP_WRITER_BACKLOG;
	default:
		return MS_DROP_IO_ERROR;
	}
}

/* Cuts a file that has failed to what is good of it, once the kernel has none of its buffers. */
static void
cut_back(struct ms_capfile *file, struct ms_capfile_file *f)
{
	if (f->error == 0 || f->flying > 0 || f->fd < 0 || f->cut)
		return;
	f->cut = true; /* if it fails there is nothing left to try */
	ms_capfile_file_cut(file, f);
}

/* A file has failed, the first time. Who learns of it can read the file, if it can be cut now. */
static void
fail(struct ms_capfile *file, struct ms_capfile_file *f, int error)
{
	enum ms_drop reason = drop_reason(error);
	bool more = file->ops != NULL && file->ops->open != NULL && (f->regular || f->fd < 0);

	f->error = error;
	cut_back(file, f);
	if (file->error == 0)
		file->error = error;
	if (reason == MS_DROP_DISK_FULL)
		file->full = true;
	file->barren = f->frames == 0 ? file->barren + 1 : 0;
	if (!more || reason == MS_DROP_DISK_FULL || f->fd < 0 || file->barren > BARREN_MAX) {
		file->retry = more ? ms_capfile_clock() + RETRY_NS : UINT64_MAX;
		atomic_store_explicit(&file->refusing, reason + 1, memory_order_relaxed);
	}
	atomic_store_explicit(&file->streams[f->stream].broken, f->number, memory_order_relaxed);
	atomic_store_explicit(&file->attention, true, memory_order_release);
}

/* Counts the frames of a buffer, and gives it back. Returns false if nobody is there any more. */
static bool
account(struct ms_capfile *file, struct ms_capfile_file *f, struct ms_capfile_buffer *buffer)
{
	uint64_t done = atomic_load_explicit(&file->done, memory_order_relaxed);
	bool deserted;

	pthread_mutex_lock(&file->lock);
	deserted = file->deserted;
	buffer->pending = false;
	if (deserted) {
		/* counted already */
	} else if (f->error == 0) {
		ms_capfile_count(&file->ledger->written, buffer->frames);
		ms_capfile_count(&file->ledger->bytes, buffer->payload);
		f->frames += buffer->frames;
		f->payload += buffer->payload;
	} else {
		ms_capfile_count(&file->ledger->dropped[drop_reason(f->error)], buffer->frames);
		f->lost += buffer->frames;
	}
	file->given[done % file->buffers_n] = buffer - file->buffers;
	atomic_store_explicit(&file->done, done + 1, memory_order_release);
	pthread_mutex_unlock(&file->lock);
	pthread_cond_signal(&file->returned); /* no call of the kernel unless the owner waits */
	atomic_fetch_add_explicit(&file->progress, 1, memory_order_relaxed);
	return !deserted;
}

/* A file that could not be brought to disk has nothing for certain. */
static void
take_back(struct ms_capfile *file, struct ms_capfile_file *f)
{
	pthread_mutex_lock(&file->lock);
	if (!file->deserted) {
		atomic_fetch_sub_explicit(&file->ledger->written, f->frames, memory_order_relaxed);
		atomic_fetch_sub_explicit(&file->ledger->bytes, f->payload, memory_order_relaxed);
		ms_capfile_count(&file->ledger->dropped[MS_DROP_IO_ERROR], f->frames);
	}
	pthread_mutex_unlock(&file->lock);
	f->lost += f->frames;
	f->frames = 0;
	f->payload = 0;
}

static bool
is_deserted(struct ms_capfile *file)
{
	bool deserted;

	pthread_mutex_lock(&file->lock);
	deserted = file->deserted;
	pthread_mutex_unlock(&file->lock);
	return deserted;
}

/* The last there is to do with a file; sync: what came of bringing it to disk. */
static void
end_file(struct ms_capfile *file, struct ms_capfile_file *f, int sync)
{
	struct ms_capfile_file **at = &file->files;

	if (is_deserted(file)) /* nobody wants to know */
		return;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	if (sync != 0) {
		take_back(file, f);
		if (file->error == 0)
			file->error = sync;
	}
	ms_capfile_file_end(file, f, f->error != 0 ? f->error : sync);
	atomic_fetch_add_explicit(&file->progress, 1, memory_order_relaxed);
}

/* All buffers of a file are through: it is cut to its length, and brought to disk. */
static void
finish(struct ms_capfile *file, struct ms_capfile_file *f)
{
	int error = 0;

	if (f->fd >= 0 && !f->cut)
		error = ms_capfile_file_cut(file, f);
	if (error != 0 && f->error == 0)
		f->error = error;
	if (f->fd < 0 || !f->regular || f->whole == 0)
		end_file(file, f, 0);
	else if ((!f->direct && !packs(file)) || !ms_capfile_ring_sync(file, f))
		end_file(file, f, fdatasync(f->fd) < 0 ? -errno : 0);
}

/* Accounts for the buffers that are through, in order. Returns false when the file is. */
static bool
retire(struct ms_capfile *file, struct ms_capfile_file *f)
{
	while (f->first != NULL && f->first->done) {
		struct ms_capfile_buffer *buffer = f->first;
		bool last = buffer->last;

		if (buffer->error != 0 && f->error == 0)
			fail(file, f, buffer->error);
		f->first = buffer->next;
		if (f->first == NULL)
			f->latest = NULL;
		if (f->error == 0)
			f->whole = buffer->offset + buffer->lead + buffer->whole;
		f->end = buffer->end;
		if (!account(file, f, buffer))
			return true;
		if (last) {
			finish(file, f);
			return false;
		}
	}
	cut_back(file, f);
	return true;
}

/*
 * Where a buffer goes in an aligned file: whole blocks, of which the first may have been there in
 * part, and the last is padded with zeros.
 */
static void
place(struct ms_capfile_file *f, struct ms_capfile_buffer *buffer)
{
	size_t end = buffer->lead + buffer->bytes, whole = RTE_ALIGN_FLOOR(end, MS_CAPFILE_ALIGN);

	buffer->offset = f->start - buffer->lead;
	f->start += buffer->bytes;
	buffer->written = 0;
	buffer->length = end;
	if (!f->aligned)
		return;
	buffer->length = RTE_ALIGN_CEIL(end, MS_CAPFILE_ALIGN);
	memcpy(buffer->data, f->tail, buffer->lead);
	memset(buffer->data + end, 0, buffer->length - end);
	memcpy(f->tail, buffer->data + whole, end - whole);
}

/* Lets the kernel have a buffer that has its place. */
static void
launch(struct ms_capfile *file, struct ms_capfile_file *f, struct ms_capfile_buffer *buffer)
{
	buffer->direct = f->direct;
	if (f->direct && ms_capfile_ring_write(file, buffer)) {
		f->flying++;
		return;
	}
	buffer->error = ms_capfile_file_write(file, f, buffer);
	buffer->done = true;
}

/* Sends what can be sent. A buffer that begins in the block where the last one ended waits for it,
 * and one that is being compressed for that, also to be lost. */
static void
push(struct ms_capfile *file, struct ms_capfile_file *f)
{
	while (f->unsent != NULL) {
		struct ms_capfile_buffer *buffer = f->unsent;

		if (f->error == 0 && buffer->lead > 0 && f->flying > 0)
			return;
		if (packs(file) && !atomic_load_explicit(&buffer->packed, memory_order_acquire))
			return;
		if (f->error != 0 || buffer->error != 0) {
			buffer->done = true;
		} else if (ms_capfile_file_short(file, f)) {
			buffer->error = -ENOSPC;
			buffer->done = true;
		} else {
			ms_capfile_file_allocate(file, f);
			place(f, buffer);
			if (f->sha256 != NULL)
				EVP_DigestUpdate(
					f->sha256, buffer->data + buffer->lead, buffer->bytes);
			launch(file, f, buffer);
		}
		f->unsent = buffer->next;
		if (buffer->done && buffer == f->first && !retire(file, f))
			return;
	}
}

/* It belongs to a file that could not even be begun. */
static bool
is_lost(const struct ms_capfile *file, const struct ms_capfile_buffer *buffer)
{
	return atomic_load_explicit(&file->streams[buffer->stream].broken, memory_order_relaxed) ==
	       buffer->number;
}

/* There is no memory for the file that a buffer belongs to. */
static void
lose(struct ms_capfile *file, struct ms_capfile_buffer *buffer)
{
	struct ms_capfile_file none = {
		.fd = -1, .stream = buffer->stream, .number = buffer->number};

	fail(file, &none, -ENOMEM);
	free(buffer->end);
	account(file, &none, buffer);
}

/* Puts a buffer in the queue of its file, which begins with it if need be. */
static void
accept_buffer(struct ms_capfile *file, struct ms_capfile_buffer *buffer)
{
	struct ms_capfile_file *f = file->at_of[buffer->stream];
	int error = 0;

	if (f == NULL && !is_lost(file, buffer))
		error = ms_capfile_file_begin(file, -1, buffer, &f);
	if (f == NULL) {
		lose(file, buffer);
		return;
	}
	if (file->at_of[buffer->stream] == NULL) {
		f->next = file->files;
		file->files = f;
	}
	file->at_of[buffer->stream] = buffer->last ? NULL : f;
	if (error != 0)
		fail(file, f, error);
	buffer->file = f;
	buffer->next = NULL;
	buffer->done = false;
	buffer->error = 0;
	if (f->latest != NULL)
		f->latest->next = buffer;
	else
		f->first = buffer;
	f->latest = buffer;
	if (f->unsent == NULL)
		f->unsent = buffer;
	if (packs(file))
		ms_capfile_pack(file, buffer);
	else
		push(file, f);
}

/* Sends what has been compressed meanwhile. */
static void
push_packed(struct ms_capfile *file)
{
	struct ms_capfile_file *f, *next;

	for (f = file->files; f != NULL; f = next) {
		next = f->next;
		push(file, f);
	}
}

/* The kernel is through with a part of a buffer, or with all of it. */
static void
land(struct ms_capfile *file, struct ms_capfile_buffer *buffer, int result)
{
	struct ms_capfile_file *f = buffer->file;

	f->flying--;
	if (result > 0) {
		buffer->written += result;
		if (buffer->written < buffer->length) {
			launch(file, f, buffer);
			return;
		}
	} else if (result == -EINTR || result == -EAGAIN || (result == -EINVAL && buffer->direct)) {
		if (result == -EINVAL && f->direct)
			ms_capfile_file_leave_direct(file, f);
		buffer->error = ms_capfile_file_write(file, f, buffer);
	} else {
		buffer->error = result == 0 ? -EIO : result;
	}
	buffer->done = true;
}

static void
reap(struct ms_capfile *file)
{
	struct ms_capfile_buffer *buffer;
	struct ms_capfile_file *f;
	int result;

	while (ms_capfile_ring_reap(file, &buffer, &f, &result)) {
		if (f != NULL) {
			end_file(file, f, RTE_MIN(result, 0));
			continue;
		}
		f = buffer->file;
		land(file, buffer, result);
		if (retire(file, f))
			push(file, f);
	}
	if (packs(file))
		push_packed(file);
}

/*
 * Sleeps until there is something to do. After work it dozes first, so that an owner with much to
 * write need not wake it for each buffer; only who has nothing for so long has to.
 */
static void
await(struct ms_capfile *file, bool worked)
{
	enum ms_capfile_rest rest = worked ? MS_CAPFILE_DOZES : MS_CAPFILE_SLEEPS;
	struct pollfd wake = {.fd = file->wake, .events = POLLIN};
	struct timespec limit = {.tv_nsec = DOZE_NS};
	bool limited = worked;
	uint64_t now, left, count;

	if (!worked && file->retry != UINT64_MAX) {
		now = ms_capfile_clock();
		left = now < file->retry ? file->retry - now : 0;
		limit = (struct timespec){
			.tv_sec = (time_t)(left / RETRY_NS), .tv_nsec = (long)(left % RETRY_NS)};
		limited = true;
	}
	/* Either this sees what was handed over, or the owner sees that it sleeps. */
	atomic_store_explicit(&file->rest, rest, memory_order_seq_cst);
	if (atomic_load_explicit(&file->filled, memory_order_seq_cst) == file->seen &&
		ppoll(&wake, 1, limited ? &limit : NULL, NULL) > 0)
		(void)!read(file->wake, &count,
			sizeof(count)); /* somebody else may have been quicker */
	atomic_store_explicit(&file->rest, MS_CAPFILE_AWAKE, memory_order_relaxed);
	if (file->retry != UINT64_MAX && ms_capfile_clock() >= file->retry) {
		file->retry = UINT64_MAX;
		atomic_store_explicit(&file->refusing, 0, memory_order_relaxed);
	}
}

static void
writer_loop(struct ms_capfile *file)
{
	bool ended, worked;

	do {
		/* In this order: what was handed over before the end is seen with it. */
		ended = atomic_load_explicit(&file->state, memory_order_acquire) ==
		        MS_CAPFILE_ENDED;
		worked = false;
		while (file->seen != atomic_load_explicit(&file->filled, memory_order_acquire)) {
			uint32_t i = file->handed[file->seen++ % file->buffers_n];

			accept_buffer(file, &file->buffers[i]);
			reap(file);
			worked = true;
		}
		reap(file);
		if (ended && file->files == NULL)
			break;
		await(file, worked);
	} while (!is_deserted(file));
}

static void
writer_run(void *arg)
{
	struct ms_capfile *file = arg;
	bool deserted;

	writer_loop(file);
	pthread_mutex_lock(&file->lock);
	file->ended = true;
	deserted = file->deserted;
	pthread_mutex_unlock(&file->lock);
	if (deserted)
		ms_capfile_destroy(file);
}

int
ms_capfile_writer_start(struct ms_capfile *file)
{
	return ms_capfile_thread_start(&file->thread, "ms-capfile", writer_run, file);
}

static bool
has_ended(struct ms_capfile *file)
{
	bool ended;

	pthread_mutex_lock(&file->lock);
	ended = file->ended;
	pthread_mutex_unlock(&file->lock);
	return ended;
}

/* Counts what the writer has, and the owner could not hand over. */
static void
count_lost(struct ms_capfile *file)
{
	ms_counter *lost = &file->ledger->dropped[MS_DROP_WRITER_BACKLOG];

	for (uint32_t i = 0; i < file->buffers_n; i++) {
		if (file->buffers[i].pending)
			ms_capfile_count(lost, file->buffers[i].frames);
	}
	for (uint32_t i = 0; i < file->streams_n; i++) {
		if (file->streams[i].buffer != NULL)
			ms_capfile_count(lost, file->streams[i].cursor.frames);
	}
}

bool
ms_capfile_writer_join(struct ms_capfile *file)
{
	const struct timespec pause = {.tv_nsec = JOIN_SLEEP_NS};
	ms_capfile_thread_id thread = file->thread.id;
	bool ended;

	while (!has_ended(file) && !ms_capfile_stalled(file))
		nanosleep(&pause, NULL);
	pthread_mutex_lock(&file->lock);
	ended = file->ended;
	if (!ended) {
		file->deserted = true;
		count_lost(file);
		ms_capfile_wake(file);
	}
	pthread_mutex_unlock(&file->lock);
	if (ended) {
		ms_capfile_thread_join(&file->thread);
		return true;
	}
	ms_capfile_thread_leave(thread); /* from here on it may free the file at any time */
	return false;
}

void
ms_capfile_wake(const struct ms_capfile *file)
{
	const uint64_t one = 1;

	/* It can only fail when it is full, and then wakes as well. */
	(void)!write(file->wake, &one, sizeof(one));
}

void
ms_capfile_advance(struct ms_capfile *file, enum ms_capfile_state state)
{
	enum ms_capfile_state now = atomic_load_explicit(&file->state, memory_order_relaxed);

	while (now < state && !atomic_compare_exchange_weak_explicit(&file->state, &now, state,
				      memory_order_release, memory_order_relaxed))
		;
	ms_capfile_wake(file);
}
