/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capture files, the control side: how one begins and ends. The frames go in through
 * capfile_burst.c, and out through capfile_writer.c.
 */
#include "capfile_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_errno.h>

#include "session/ms_session.h"

#define BUFFER_BYTES_DEFAULT (1u << 20)
#define BUFFERS_DEFAULT      8u
#define HUGE_PAGE            (2u << 20)

/*
 * One mapping for all: the sessions' slots, which cost memory only where they are used, and the
 * buffers behind them on a huge page's boundary, touched now so that the owner's first round
 * through them does not fault.
 */
static int
map_memory(struct ms_capfile *file, enum ms_capfile_format format)
{
	size_t slots = 0, bytes = file->buffers_n * file->buffer_bytes;
	uint8_t *data;
	uint32_t i;

	if (format == MS_CAPFILE_PCAPNG)
		slots = MS_SESSIONS_MAX * sizeof(struct ms_capfile_session);
	file->memory_bytes = slots + HUGE_PAGE + bytes;
	file->memory = mmap(NULL, file->memory_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (file->memory == MAP_FAILED)
		return -errno;
	data = RTE_PTR_ALIGN_CEIL(RTE_PTR_ADD(file->memory, slots), HUGE_PAGE);
	if (slots != 0)
		file->sessions = file->memory;
	/* Both make it faster, neither is needed. */
	madvise(data, bytes, MADV_HUGEPAGE);
	madvise(data, bytes, MADV_POPULATE_WRITE);

	file->buffers = calloc(file->buffers_n, sizeof(*file->buffers));
	if (file->buffers == NULL) {
		munmap(file->memory, file->memory_bytes);
		return -ENOMEM;
	}
	for (i = 0; i < file->buffers_n; i++)
		file->buffers[i].data = data + i * file->buffer_bytes;
	return 0;
}

static void
set_options(struct ms_capfile *file, const struct ms_capfile_options *options)
{
	size_t bytes = options->buffer_bytes != 0 ? options->buffer_bytes : BUFFER_BYTES_DEFAULT;
	size_t record;

	file->outer = options->outer;
	file->wait = options->wait;
	file->snaplen = MS_CAPFILE_SNAPLEN_MAX;
	if (options->snaplen != 0)
		file->snaplen = RTE_MIN(options->snaplen, MS_CAPFILE_SNAPLEN_MAX);
	/* The longest packet's record, and an interface before it, must fit an empty buffer. */
	record = MS_CAPFILE_ALIGN + MS_CAPFILE_BLOCK_MAX + RTE_ALIGN_CEIL(file->snaplen, 4u) +
	         MS_PCAPNG_PACKET_BYTES;
	file->buffer_bytes = RTE_ALIGN_CEIL(RTE_MAX(bytes, record), MS_CAPFILE_ALIGN);
	file->buffers_n = options->buffers != 0 ? RTE_MAX(options->buffers, 2u) : BUFFERS_DEFAULT;
	file->cached = options->cached;
	file->application = options->application;
	file->rotate_bytes = options->rotate_bytes;
	file->rotate_ns = options->rotate_ns;
	file->ops = options->ops;
	file->arg = options->arg;
	file->cursor.first = UINT64_MAX;
	file->flush_sequence = UINT64_MAX;
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
	file->fd = fd;
	file->registry = registry;
	file->ledger = ledger;
	set_options(file, options);
	sem_init(&file->wake, 0, 0);
	error = map_memory(file, options->format);
	if (error != 0)
		goto free;
	file->aligned = true;
	if (options->sha256) {
		file->sha256 = EVP_MD_CTX_new();
		error = file->sha256 == NULL ? -ENOMEM : 0;
	}
	if (error == 0 && (fd >= 0 || file->ops == NULL))
		error = ms_capfile_prepare(file, &file->aligned);
	if (error != 0)
		goto unmap;
	ms_capfile_turn(file); /* to the first header; all buffers are free */
	error = ms_capfile_writer_start(file);
	if (error != 0)
		goto restore;
	return file;

restore:
	if (fd >= 0)
		fcntl(fd, F_SETFL, file->flags);
unmap:
	EVP_MD_CTX_free(file->sha256);
	free(file->buffers);
	munmap(file->memory, file->memory_bytes);
free:
	sem_destroy(&file->wake);
	free(file);
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
	struct ms_capfile_end *end = NULL;
	int error;

	ms_capfile_hasten(file);
	file->wait = true;
	if (file->phase == MS_CAPFILE_RECORDS)
		file->statistics = 0;
	if (file->phase != MS_CAPFILE_HEADER)
		ms_capfile_statistics(file);
	if (file->cursor.at != NULL)
		ms_capfile_hand_over(file);
	ms_capfile_advance(file, MS_CAPFILE_ENDED);
	ms_capfile_writer_join(file);

	if (file->ops != NULL)
		end = ms_capfile_end(file);
	error = file->fd >= 0 ? ms_capfile_finish(file, end) : file->error;
	free(end);
	EVP_MD_CTX_free(file->sha256);
	sem_destroy(&file->wake);
	free(file->buffers);
	munmap(file->memory, file->memory_bytes);
	free(file);
	return error;
}

size_t
ms_capfile_memory(const struct ms_capfile *file)
{
	return file->buffers_n * file->buffer_bytes;
}
