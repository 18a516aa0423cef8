/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread of a capture file that takes full buffers to the descriptor, and sleeps when there are
 * none. Nothing is counted as written before the kernel has taken all of the buffer that holds it.
 */
#include "capfile_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_lcore.h>

#include "session/ms_session.h"

#define POLL_MS 100

static enum ms_capfile_state
state_of(const struct ms_capfile *file)
{
	return atomic_load_explicit(&file->state, memory_order_acquire);
}

/*
 * Waits until a full pipe or socket takes bytes again: for ever while the file is open, for
 * MS_CAPFILE_STALL_MS from when it is to be closed. Returns 0 or -errno.
 */
static int
wait_writable(const struct ms_capfile *file)
{
	struct pollfd descriptor = {.fd = file->fd, .events = POLLOUT};
	int stalled = 0;
	int ready;

	while (stalled < MS_CAPFILE_STALL_MS) {
		ready = poll(&descriptor, 1, POLL_MS);
		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready == 0 && state_of(file) != MS_CAPFILE_OPEN)
			stalled += POLL_MS;
	}
	return -ETIMEDOUT;
}

/* Writes all of a buffer to where the descriptor stands. Returns 0, or -errno after cutting a
 * regular file back to the buffer's start. */
static int
write_stream(struct ms_capfile *file, const struct ms_capfile_buffer *buffer)
{
	size_t written = 0;
	int error = 0;
	ssize_t n;

	while (written < buffer->bytes && error == 0) {
		n = write(file->fd, buffer->data + written, buffer->bytes - written);
		if (n >= 0)
			written += n;
		else if (errno == EAGAIN)
			error = wait_writable(file);
		else if (errno != EINTR)
			error = -errno;
	}
	if (error != 0 && file->regular) {
		off_t end = lseek(file->fd, 0, SEEK_CUR);

		/* If even this fails there is nothing left to try; readers stop at the torn block.
		 */
		if (end >= 0 && ftruncate(file->fd, end - written) == 0)
			lseek(file->fd, end - written, SEEK_SET);
	}
	if (error == 0)
		file->position += buffer->bytes;
	return error;
}

/*
 * Cuts an aligned file to what it holds: no padding, nothing of a buffer that has failed. Returns 0
 * or -errno.
 */
static int
cut(const struct ms_capfile *file)
{
	return ftruncate(file->fd, file->position) < 0 ? -errno : 0;
}

/* A file of our own is written past the page cache if it can be; to all that may keep us waiting
 * for ever, writes do not block. */
int
ms_capfile_prepare(struct ms_capfile *file, bool *aligned)
{
	struct stat status;

	file->position = 0;
	file->file_frames = 0;
	file->file_payload = 0;
	file->file_lost = 0;
	if (file->sha256 != NULL && EVP_DigestInit_ex(file->sha256, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	file->flags = fcntl(file->fd, F_GETFL);
	if (file->flags < 0 || fstat(file->fd, &status) < 0)
		return -errno;
	file->regular = S_ISREG(status.st_mode);
	*aligned = file->regular && file->fd != STDOUT_FILENO && (file->flags & O_APPEND) == 0 &&
	           lseek(file->fd, 0, SEEK_CUR) == 0;
	file->direct =
		*aligned && !file->cached && fcntl(file->fd, F_SETFL, file->flags | O_DIRECT) == 0;
	if (!file->regular && fcntl(file->fd, F_SETFL, file->flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/* Closes the descriptor, or tells the owner of the files that this one is complete. Returns 0 or
 * -errno. */
static int
release(struct ms_capfile *file, const struct ms_capfile_end *end, int error)
{
	struct ms_capfile_finished finished = {
		.error = error,
		.session = MS_SESSION_NONE,
		.bytes = file->position,
		.frames = file->file_frames,
		.payload = file->file_payload,
		.dropped = file->file_lost,
	};
	int fd = file->fd;

	file->fd = -1;
	if (file->ops == NULL)
		return fd != STDOUT_FILENO && close(fd) < 0 ? -errno : 0;
	if (end != NULL) {
		finished.dropped += end->dropped;
		finished.first = end->first;
		finished.last = end->last;
		finished.sessions = end->sessions;
		finished.sessions_n = end->sessions_n;
	}
	if (file->sha256 != NULL && error == 0)
		finished.hashed = EVP_DigestFinal_ex(file->sha256, finished.sha256, NULL) == 1;
	file->ops->finished(file->arg, fd, &finished);
	return 0;
}

int
ms_capfile_finish(struct ms_capfile *file, const struct ms_capfile_end *end)
{
	int error = file->error, last;

	if (file->aligned && error == 0)
		error = cut(file);
	if (file->regular && fdatasync(file->fd) < 0 && error == 0)
		error = -errno;
	/* Left as it was, for whoever shares it. */
	if (fcntl(file->fd, F_SETFL, file->flags) < 0 && error == 0)
		error = -errno;
	last = release(file, end, error);
	return error != 0 ? error : last;
}

/* Opens the next file. It must be of the kind that the first one was: the owner counts on it. */
static int
open_next(struct ms_capfile *file)
{
	bool aligned = false;
	int error;

	file->fd = file->ops->open(file->arg, MS_SESSION_NONE);
	if (file->fd < 0)
		return file->fd;
	error = ms_capfile_prepare(file, &aligned);
	return error == 0 && aligned != file->aligned ? -ENOTSUP : error;
}

/* Direct I/O is more than this descriptor can do, here or at all; the page cache takes anything. */
static void
leave_direct(struct ms_capfile *file)
{
	file->direct = false;
	fcntl(file->fd, F_SETFL, file->flags);
}

/*
 * Writes all of a buffer to an aligned file: whole blocks, of which the first may have been there
 * in part, and the last is padded with zeros. Returns 0, or -errno after cutting the file back.
 */
static int
write_aligned(struct ms_capfile *file, struct ms_capfile_buffer *buffer)
{
	size_t end = buffer->lead + buffer->bytes, whole = RTE_ALIGN_FLOOR(end, MS_CAPFILE_ALIGN);
	size_t blocks = RTE_ALIGN_CEIL(end, MS_CAPFILE_ALIGN), written = 0;
	uint64_t start = file->position - buffer->lead;
	int error = 0;
	ssize_t n;

	memcpy(buffer->data, file->tail, buffer->lead);
	memset(buffer->data + end, 0, blocks - end);
	while (written < blocks && error == 0) {
		n = pwrite(file->fd, buffer->data + written, blocks - written, start + written);
		if (n >= 0)
			written += n;
		else if (errno == EINVAL && file->direct)
			leave_direct(file);
		else if (errno != EINTR)
			error = -errno;
	}
	if (error != 0) {
		cut(file); /* if even this fails there is nothing left to try */
		return error;
	}
	memcpy(file->tail, buffer->data + whole, end - whole);
	file->position += buffer->bytes;
	return 0;
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

/* Deals with one buffer and accounts for its frames. */
static void
take_buffer(struct ms_capfile *file, struct ms_capfile_buffer *buffer)
{
	unsigned int failed;

	if (file->error == 0 && file->fd < 0)
		file->error = open_next(file);
	if (file->error == 0)
		file->error =
			file->aligned ? write_aligned(file, buffer) : write_stream(file, buffer);
	if (file->error == 0 && file->sha256 != NULL)
		EVP_DigestUpdate(file->sha256, buffer->data + buffer->lead, buffer->bytes);
	if (file->error != 0 && atomic_load_explicit(&file->failed, memory_order_relaxed) == 0)
		atomic_store_explicit(
			&file->failed, drop_reason(file->error) + 1, memory_order_relaxed);
	failed = atomic_load_explicit(&file->failed, memory_order_relaxed);
	if (failed != 0) {
		ms_capfile_count(&file->ledger->dropped[failed - 1], buffer->frames);
		file->file_lost += buffer->frames;
	} else {
		file->file_frames += buffer->frames;
		file->file_payload += buffer->payload;
		ms_capfile_count(&file->ledger->written, buffer->frames);
		ms_capfile_count(&file->ledger->bytes, buffer->payload);
	}
	if (buffer->last && file->error == 0)
		file->error = ms_capfile_finish(file, buffer->end);
	if (buffer->last)
		free(buffer->end);
}

static void
writer_loop(struct ms_capfile *file)
{
	uint64_t done = 0;
	bool ended;

	for (;;) {
		/* In this order: what was handed over before the end is seen with it. */
		ended = state_of(file) == MS_CAPFILE_ENDED;
		if (done != atomic_load_explicit(&file->filled, memory_order_acquire)) {
			take_buffer(file, &file->buffers[done % file->buffers_n]);
			atomic_store_explicit(&file->done, ++done, memory_order_release);
		} else if (ended) {
			return;
		} else {
			sem_wait(&file->wake);
		}
	}
}

#ifdef MS_CAPFILE_RTE_THREAD
static uint32_t
writer_main(void *file)
{
	writer_loop(file);
	return 0;
}

static int
thread_create(struct ms_capfile *file)
{
	return rte_thread_create_control(&file->thread, "ms-capfile", writer_main, file);
}

void
ms_capfile_writer_join(struct ms_capfile *file)
{
	rte_thread_join(file->thread, NULL);
}
#else
static void *
writer_main(void *file)
{
	writer_loop(file);
	return NULL;
}

static int
thread_create(struct ms_capfile *file)
{
	return rte_ctrl_thread_create(&file->thread, "ms-capfile", NULL, writer_main, file);
}

void
ms_capfile_writer_join(struct ms_capfile *file)
{
	pthread_join(file->thread, NULL);
}
#endif

/*
 * The thread runs where EAL lets control threads run, beside the lcores if there is room. It takes
 * no signals: they are for the main thread, and a broken pipe shows as EPIPE.
 */
int
ms_capfile_writer_start(struct ms_capfile *file)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = thread_create(file);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error > 0 ? -error : error;
}

void
ms_capfile_advance(struct ms_capfile *file, enum ms_capfile_state state)
{
	enum ms_capfile_state now = atomic_load_explicit(&file->state, memory_order_relaxed);

	while (now < state && !atomic_compare_exchange_weak_explicit(&file->state, &now, state,
				      memory_order_release, memory_order_relaxed))
		;
	sem_post(&file->wake);
}
