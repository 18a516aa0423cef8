/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capture files, the control side: how one begins and ends. The frames go in through
 * capfile_burst.c, and out through capfile_writer.c.
 */
#include "capfile_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_errno.h>

#include "session/ms_session.h"

#define BUFFER_BYTES_DEFAULT (1u << 20)
#define BUFFERS_DEFAULT      8u
#define BUFFERS_MAX          65535u
#define PER_SESSION_BYTES    (256u << 10)
#define OPEN_FILES_DEFAULT   64u
#define FLUSH_PIPE_NS        80000000u /* it is looked at every 10 ms, and promised after 100 */
#define FLUSH_FILE_NS        900000000u

static void
set_buffers(struct ms_capfile *file, const struct ms_capfile_options *options)
{
	const struct ms_capfile_packing *packing = &file->packing;
	size_t bytes = BUFFER_BYTES_DEFAULT, record, areas;

	if (options->buffer_bytes != 0)
		bytes = options->buffer_bytes;
	else if (file->per_session)
		bytes = PER_SESSION_BYTES;
	/* The longest packet's record, and an interface before it, must fit an empty buffer. */
	record = MS_CAPFILE_ALIGN + MS_CAPFILE_BLOCK_MAX + RTE_ALIGN_CEIL(file->snaplen, 4u) +
	         MS_PCAPNG_PACKET_BYTES;
	file->buffer_bytes = RTE_ALIGN_CEIL(RTE_MAX(bytes, record), MS_CAPFILE_ALIGN);
	file->area_bytes = file->buffer_bytes;
	if (packing->compress != MS_CAPFILE_PLAIN)
		file->area_bytes =
			RTE_ALIGN_CEIL(ms_capfile_pack_bound(packing->compress, file->buffer_bytes),
				(size_t)MS_CAPFILE_ALIGN);
	file->buffers_n = file->per_session ? file->streams_n * 2 : BUFFERS_DEFAULT;
	file->buffers_n += packing->threads_n;
	if (options->buffer_memory != 0) {
		areas = RTE_MIN(options->buffer_memory / file->area_bytes, (size_t)BUFFERS_MAX);
		file->buffers_n = areas - RTE_MIN(areas, packing->threads_n);
	}
	file->buffers_n = RTE_MAX(file->buffers_n, 2u);
}

static void
set_packing(struct ms_capfile_packing *packing, const struct ms_capfile_options *options)
{
	packing->compress = options->compress;
	if (packing->compress == MS_CAPFILE_PLAIN)
		return;
	packing->level = options->compress_level;
	packing->threads_n =
		RTE_MIN(RTE_MAX(options->compress_threads, 1u), MS_CAPFILE_COMPRESS_THREADS);
}

static void
set_options(struct ms_capfile *file, const struct ms_capfile_options *options)
{
	file->outer = options->outer;
	file->wait = options->wait;
	file->remote = options->remote;
	file->snaplen = MS_CAPFILE_SNAPLEN_MAX;
	if (options->snaplen != 0)
		file->snaplen = RTE_MIN(options->snaplen, MS_CAPFILE_SNAPLEN_MAX);
	file->per_session = options->per_session;
	file->streams_n = 1;
	if (file->per_session)
		file->streams_n = options->max_open != 0 ? RTE_MIN(options->max_open, 1024u)
		                                         : OPEN_FILES_DEFAULT;
	set_packing(&file->packing, options);
	set_buffers(file, options);
	file->cached = options->cached;
	file->sha256 = options->sha256;
	file->application = options->application;
	file->rotate_bytes = options->rotate_bytes;
	file->rotate_packets = options->rotate_packets;
	file->rotate_ns = options->rotate_ns;
	file->rotate_aligned = options->rotate_aligned;
	file->min_free = options->min_free;
	file->ops = options->ops;
	file->arg = options->arg;
}

/* All buffers are free, all streams before their first file. */
static void
set_start(struct ms_capfile *file)
{
	for (uint32_t i = 0; i < file->buffers_n; i++)
		file->given[i] = i;
	atomic_init(&file->done, file->buffers_n);
	memset(file->streams, 0, file->streams_n * sizeof(*file->streams));
	for (uint32_t i = 0; i < file->streams_n; i++) {
		file->streams[i].cursor.first = UINT64_MAX;
		file->streams[i].session = MS_SESSION_NONE;
		file->streams[i].number = 1;
	}
	file->stream = file->streams;
}

/* The file that is there already, if it is, and the header of the first. */
static int
begin_first(struct ms_capfile *file, int fd)
{
	struct ms_capfile_file *f;
	int error = 0;

	file->aligned = file->packing.compress == MS_CAPFILE_PLAIN;
	if (fd >= 0 || file->ops == NULL) {
		error = ms_capfile_file_begin(file, fd, NULL, &f);
		file->files = f;
		file->at_of[0] = f;
		if (error != 0)
			return error;
		file->aligned = f->aligned;
		file->flush_ns = f->regular ? FLUSH_FILE_NS : FLUSH_PIPE_NS;
	}
	if (!file->per_session)
		ms_capfile_turn(file);
	return 0;
}

void
ms_capfile_destroy(struct ms_capfile *file)
{
	struct ms_capfile_file *f, *next;

	ms_capfile_pack_end(file);
	ms_capfile_ring_end(file);
	for (f = file->files; f != NULL; f = next) { /* it was deserted */
		next = f->next;
		EVP_MD_CTX_free(f->sha256);
		if (f->fd >= 0)
			fcntl(f->fd, F_SETFL, f->flags);
		if (f->fd >= 0 && f->fd != STDOUT_FILENO)
			close(f->fd);
		free(f);
	}
	if (file->wake >= 0)
		close(file->wake);
	ms_capfile_unmap(file);
	pthread_mutex_destroy(&file->lock);
	pthread_cond_destroy(&file->returned);
	pthread_mutex_destroy(&file->packing.lock);
	pthread_cond_destroy(&file->packing.wake);
	free(file);
}

struct ms_capfile *
ms_capfile_create(int fd, const struct ms_capfile_options *options,
	const struct ms_session_registry *registry, struct ms_output_ledger *ledger)
{
	struct ms_capfile *file;
	int error;

	file = aligned_alloc(alignof(struct ms_capfile), sizeof(*file));
	if (file == NULL) {
		error = -ENOMEM;
		goto close;
	}
	memset(file, 0, sizeof(*file));
	file->registry = registry;
	file->ledger = ledger;
	file->retry = UINT64_MAX;
	file->flush_ns = FLUSH_FILE_NS;
	atomic_init(&file->direct_error, 1);
	pthread_mutex_init(&file->lock, NULL);
	pthread_cond_init(&file->returned, NULL);
	pthread_mutex_init(&file->packing.lock, NULL);
	pthread_cond_init(&file->packing.wake, NULL);
	set_options(file, options);
	file->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = file->wake < 0 ? -errno : ms_capfile_map(file, options->format);
	if (error != 0)
		goto destroy;
	set_start(file);
	error = begin_first(file, fd);
	if (error != 0)
		goto destroy;
	fd = -1; /* it is the file's */
	ms_capfile_ring_begin(file);
	error = ms_capfile_pack_begin(file);
	if (error == 0)
		error = ms_capfile_writer_start(file);
	if (error != 0)
		goto destroy;
	return file;

destroy:
	if (fd >= 0 && file->files != NULL)
		file->files->fd = -1;
	ms_capfile_destroy(file);
close:
	if (fd >= 0 && fd != STDOUT_FILENO)
		close(fd);
	rte_errno = -error;
	return NULL;
}

void
ms_capfile_hasten(struct ms_capfile *file)
{
	ms_capfile_advance(file, MS_CAPFILE_CLOSING);
}

int
ms_capfile_close(struct ms_capfile *file)
{
	int error;

	ms_capfile_hasten(file);
	file->wait = true;
	for (uint32_t i = 0; i < file->streams_n; i++) {
		file->stream = &file->streams[i];
		ms_capfile_finish(file, file->stream->abandoned);
	}
	ms_capfile_advance(file, MS_CAPFILE_ENDED);
	if (!ms_capfile_writer_join(file))
		return -ETIMEDOUT;
	error = file->error;
	ms_capfile_destroy(file);
	return error;
}

size_t
ms_capfile_memory(const struct ms_capfile *file)
{
	return (file->buffers_n + file->packing.threads_n) * file->area_bytes;
}

void
ms_capfile_way(const struct ms_capfile *file, char *text, size_t room)
{
	int direct = atomic_load_explicit(&file->direct_error, memory_order_relaxed);
	const struct ms_capfile_packing *packing = &file->packing;
	char ring[128] = "io_uring", disk[128] = "direct I/O";
	const char *huge = file->memory.huge ? " in huge pages" : "";

	if (packing->compress != MS_CAPFILE_PLAIN) {
		snprintf(text, room,
			"%s at level %d in %u thread%s, the page cache, %zu KiB in %u buffers%s",
			packing->compress == MS_CAPFILE_ZSTD ? "zstd" : "lz4", packing->level,
			packing->threads_n, packing->threads_n == 1 ? "" : "s",
			ms_capfile_memory(file) >> 10, file->buffers_n, huge);
		return;
	}
	if (file->ring.error != 0)
		snprintf(ring, sizeof(ring), "no io_uring (%s)", strerror(-file->ring.error));
	else if (!file->ring.fixed)
		snprintf(ring, sizeof(ring), "io_uring without registered buffers");
	if (file->cached)
		snprintf(disk, sizeof(disk), "the page cache");
	else if (!file->aligned)
		snprintf(disk, sizeof(disk), "plain writes (no regular file that is ours alone)");
	else if (direct < 0)
		snprintf(disk, sizeof(disk), "the page cache (no direct I/O: %s)",
			strerror(-direct));
	snprintf(text, room, "%s, %s, %zu KiB in %u buffers%s", disk,
		direct == 0 || direct == 1 ? ring : "no io_uring", ms_capfile_memory(file) >> 10,
		file->buffers_n, huge);
}
