/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One file as the writer's thread sees it: what its descriptor is and can do, how bytes reach it
 * without io_uring, how it is cut and let go of.
 */
#include "capfile_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <rte_common.h>

#include "session/ms_session.h"

#define POLL_MS  100
#define ALLOCATE ((uint64_t)64 << 20) /* set aside at a time */
#define PLENTY   8u                   /* but not if less than so many times that is free */

/*
 * Waits until a full pipe or socket takes bytes again: for ever while the file is open, for
 * MS_CAPFILE_STALL_MS from when it is to be closed. Returns 0 or -errno.
 */
static int
wait_writable(const struct ms_capfile *file, int fd)
{
	struct pollfd descriptor = {.fd = fd, .events = POLLOUT};
	unsigned int stalled = 0;
	int ready;

	while (stalled < MS_CAPFILE_STALL_MS) {
		ready = poll(&descriptor, 1, POLL_MS);
		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready == 0 &&
			atomic_load_explicit(&file->state, memory_order_acquire) != MS_CAPFILE_OPEN)
			stalled += POLL_MS;
	}
	return -ETIMEDOUT;
}

/* Writes all of a buffer to where the descriptor stands. Returns 0, or -errno after cutting a
 * regular file back to the buffer's start. */
static int
write_stream(const struct ms_capfile *file, const struct ms_capfile_file *f,
	const struct ms_capfile_buffer *buffer)
{
	size_t written = 0;
	int error = 0;
	ssize_t n;

	while (written < buffer->bytes && error == 0) {
		n = write(f->fd, buffer->data + written, buffer->bytes - written);
		if (n >= 0)
			written += n;
		else if (errno == EAGAIN)
			error = wait_writable(file, f->fd);
		else if (errno != EINTR)
			error = -errno;
	}
	if (error != 0 && f->regular) {
		off_t end = lseek(f->fd, 0, SEEK_CUR);

		/* If even this fails there is nothing left to try; readers stop at the torn block.
		 */
		if (end >= 0 && ftruncate(f->fd, end - written) == 0)
			lseek(f->fd, end - written, SEEK_SET);
	}
	return error;
}

void
ms_capfile_file_leave_direct(struct ms_capfile *file, struct ms_capfile_file *f)
{
	f->direct = false;
	fcntl(f->fd, F_SETFL, f->flags);
	atomic_store_explicit(&file->direct_error, -EINVAL, memory_order_relaxed);
}

int
ms_capfile_file_write(
	struct ms_capfile *file, struct ms_capfile_file *f, struct ms_capfile_buffer *buffer)
{
	ssize_t n;

	if (!f->aligned)
		return write_stream(file, f, buffer);
	while (buffer->written < buffer->length) {
		n = pwrite(f->fd, buffer->data + buffer->written, buffer->length - buffer->written,
			buffer->offset + buffer->written);
		if (n > 0)
			buffer->written += n;
		else if (n == 0)
			return -EIO;
		else if (errno == EINVAL && f->direct)
			ms_capfile_file_leave_direct(file, f);
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/*
 * The page cache is all there is to a file on tmpfs, which since Linux 6.6 takes O_DIRECT all the
 * same. Then io_uring would only pass each write to a thread of the kernel, and space set aside
 * would be looked up twice.
 */
static bool
is_memory(int fd)
{
	struct statfs system;

	return fstatfs(fd, &system) == 0 && system.f_type == TMPFS_MAGIC;
}

/* Writes to a file of our own go past the page cache if they can; to all that may keep us waiting
 * for ever they do not block. */
static int
prepare(struct ms_capfile *file, struct ms_capfile_file *f)
{
	struct stat status;
	int error = 0;

	f->flags = fcntl(f->fd, F_GETFL);
	if (f->flags < 0 || fstat(f->fd, &status) < 0)
		return -errno;
	f->regular = S_ISREG(status.st_mode);
	f->aligned = file->packing.compress == MS_CAPFILE_PLAIN && f->regular &&
	             f->fd != STDOUT_FILENO && (f->flags & O_APPEND) == 0 &&
	             lseek(f->fd, 0, SEEK_CUR) == 0;
	if (!f->regular && fcntl(f->fd, F_SETFL, f->flags | O_NONBLOCK) < 0)
		return -errno;
	if (!f->aligned || file->cached || is_memory(f->fd))
		error = -EOPNOTSUPP;
	else if (fcntl(f->fd, F_SETFL, f->flags | O_DIRECT) < 0)
		error = -errno;
	f->direct = error == 0;
	atomic_store_explicit(&file->direct_error, error, memory_order_relaxed);
	return 0;
}

int
ms_capfile_file_begin(struct ms_capfile *file, int fd, const struct ms_capfile_buffer *buffer,
	struct ms_capfile_file **made)
{
	struct ms_capfile_file *f = calloc(1, sizeof(*f));
	int error;

	*made = f;
	if (f == NULL)
		return -ENOMEM;
	f->session = MS_SESSION_NONE;
	f->number = 1;
	if (buffer != NULL) {
		f->stream = buffer->stream;
		f->session = buffer->session;
		f->number = buffer->number;
	}
	f->fd = fd;
	if (fd < 0 && file->ops != NULL)
		f->fd = file->ops->open(file->arg, f->session);
	if (f->fd < 0)
		return file->ops != NULL ? f->fd : -EBADF;
	error = prepare(file, f);
	/* The owner counts on it. */
	if (error == 0 && fd < 0 && f->aligned != file->aligned)
		error = -ENOTSUP;
	if (error == 0 && file->sha256 && f->regular) {
		f->sha256 = EVP_MD_CTX_new();
		if (f->sha256 == NULL || EVP_DigestInit_ex(f->sha256, EVP_sha256(), NULL) != 1)
			error = -ENOMEM;
	}
	return error;
}

static bool
space(const struct ms_capfile_file *f, uint64_t *bytes)
{
	struct statvfs status;

	if (fstatvfs(f->fd, &status) != 0)
		return false;
	*bytes = (uint64_t)status.f_bavail * status.f_frsize;
	return true;
}

bool
ms_capfile_file_short(struct ms_capfile *file, struct ms_capfile_file *f)
{
	uint64_t least = file->min_free, bytes;

	if (file->full) /* it would be again in no time */
		least += file->buffer_bytes;
	if (least == 0 || !f->regular || !space(f, &bytes))
		return false;
	file->full = bytes < least;
	return file->full;
}

void
ms_capfile_file_allocate(const struct ms_capfile *file, struct ms_capfile_file *f)
{
	uint64_t to = f->allocated + ALLOCATE, bytes;

	if (!f->direct || f->start + file->buffer_bytes <= f->allocated)
		return;
	if (file->rotate_bytes != 0)
		to = RTE_MIN(to, RTE_ALIGN_CEIL(file->rotate_bytes, (uint64_t)MS_CAPFILE_ALIGN));
	if (to <= f->allocated || !space(f, &bytes) || bytes < file->min_free + PLENTY * ALLOCATE ||
		fallocate(f->fd, FALLOC_FL_KEEP_SIZE, f->allocated, to - f->allocated) != 0)
		f->allocated = UINT64_MAX - file->buffer_bytes;
	else
		f->allocated = to;
}

int
ms_capfile_file_cut(const struct ms_capfile *file, struct ms_capfile_file *f)
{
	enum ms_capfile_compress compress = file->packing.compress;
	const uint8_t *ending;
	size_t n;

	if (f->aligned)
		return ftruncate(f->fd, f->whole) < 0 ? -errno : 0;
	if (compress == MS_CAPFILE_PLAIN || f->error == 0 || !f->regular || f->whole == 0)
		return 0;
	ending = ms_capfile_pack_ending(compress, &n);
	if (write(f->fd, ending, n) == (ssize_t)n) /* else readers miss it, and no packet */
		f->whole += n;
	return 0;
}

static void
tell(struct ms_capfile *file, struct ms_capfile_file *f, int error)
{
	struct ms_capfile_finished finished = {
		.error = error,
		.session = f->session,
		.bytes = f->whole,
		.frames = f->frames,
		.payload = f->payload,
		.dropped = f->lost,
	};

	if (f->end != NULL) {
		finished.dropped += f->end->dropped;
		finished.first = f->end->first;
		finished.last = f->end->last;
		finished.sessions = f->end->sessions;
		finished.sessions_n = f->end->sessions_n;
	}
	if (f->sha256 != NULL && error == 0)
		finished.hashed = EVP_DigestFinal_ex(f->sha256, finished.sha256, NULL) == 1;
	file->ops->finished(file->arg, f->fd, &finished);
}

void
ms_capfile_file_end(struct ms_capfile *file, struct ms_capfile_file *f, int error)
{
	if (f->fd >= 0) {
		/* Left as it was, for whoever shares it. */
		fcntl(f->fd, F_SETFL, f->flags);
		if (file->ops != NULL)
			tell(file, f, error);
		else if (f->fd != STDOUT_FILENO)
			close(f->fd);
	}
	EVP_MD_CTX_free(f->sha256);
	free(f->end);
	free(f);
}
