/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compression: threads that stand between the owner and the writer. Each buffer becomes one frame
 * of zstd (RFC 8878) or LZ4 (lz4_Frame_format.md) that needs no other, so that several are packed
 * at once, and a file that is cut between two frames is whole. Both formats let frames follow each
 * other.
 *
 * The writer gives a buffer to whichever thread is idle, keeps it in its file's queue meanwhile,
 * and is woken when it is done. A thread packs into an area of its own and then exchanges that for
 * the buffer's, so there is nothing to wait for, and no more memory than one area for each.
 */
#include "capfile_private.h"

#include <errno.h>
#include <stdlib.h>

#include <lz4frame.h>
#include <rte_common.h>
#include <zstd.h>

/* Largest blocks, each for itself; both checksums, so that a torn frame is not taken for whole. */
static LZ4F_preferences_t
lz4_preferences(int level, size_t bytes)
{
	return (LZ4F_preferences_t){
		.frameInfo = {.blockSizeID = LZ4F_max4MB,
			.blockMode = LZ4F_blockIndependent,
			.contentChecksumFlag = LZ4F_contentChecksumEnabled,
			.contentSize = bytes},
		.compressionLevel = level,
	};
}

size_t
ms_capfile_pack_bound(enum ms_capfile_compress compress, size_t bytes)
{
	LZ4F_preferences_t preferences = lz4_preferences(1, bytes);

	return compress == MS_CAPFILE_ZSTD ? ZSTD_compressBound(bytes)
	                                   : LZ4F_compressFrameBound(bytes, &preferences);
}

/* Returns 0 or -ENOMEM. */
static int
pack(struct ms_capfile_packer *packer, struct ms_capfile_buffer *buffer)
{
	const struct ms_capfile *file = packer->file;
	LZ4F_preferences_t preferences = lz4_preferences(file->packing.level, buffer->bytes);
	uint8_t *data = buffer->data;
	size_t n;

	if (buffer->bytes == 0) /* no frame for nothing */
		return 0;
	if (packer->zstd != NULL)
		n = ZSTD_compress2(
			packer->zstd, packer->spare, file->area_bytes, data, buffer->bytes);
	else
		n = LZ4F_compressFrame(
			packer->spare, file->area_bytes, data, buffer->bytes, &preferences);
	if (packer->zstd != NULL ? ZSTD_isError(n) : LZ4F_isError(n))
		return -ENOMEM; /* nothing else can be wrong */
	buffer->data = packer->spare;
	packer->spare = data;
	buffer->bytes = n;
	buffer->whole = n;
	return 0;
}

/* Waits for a buffer; NULL: there are none any more. */
static struct ms_capfile_buffer *
next_job(struct ms_capfile_packing *packing, uint32_t buffers_n)
{
	struct ms_capfile_buffer *buffer = NULL;

	pthread_mutex_lock(&packing->lock);
	while (packing->taken == packing->put && !packing->stop)
		pthread_cond_wait(&packing->wake, &packing->lock);
	if (packing->taken != packing->put)
		buffer = packing->jobs[packing->taken++ % buffers_n];
	pthread_mutex_unlock(&packing->lock);
	return buffer;
}

static void
packer_run(void *arg)
{
	struct ms_capfile_packer *packer = arg;
	struct ms_capfile *file = packer->file;
	struct ms_capfile_buffer *buffer;

	while ((buffer = next_job(&file->packing, file->buffers_n)) != NULL) {
		buffer->error = pack(packer, buffer);
		atomic_store_explicit(&buffer->packed, true, memory_order_release);
		atomic_fetch_add_explicit(&file->progress, 1, memory_order_relaxed);
		ms_capfile_wake(file);
	}
}

void
ms_capfile_pack(struct ms_capfile *file, struct ms_capfile_buffer *buffer)
{
	struct ms_capfile_packing *packing = &file->packing;

	atomic_store_explicit(&buffer->packed, false, memory_order_relaxed);
	pthread_mutex_lock(&packing->lock);
	packing->jobs[packing->put++ % file->buffers_n] = buffer;
	pthread_cond_signal(&packing->wake);
	pthread_mutex_unlock(&packing->lock);
}

static int
start(struct ms_capfile *file, struct ms_capfile_packer *packer)
{
	const struct ms_capfile_packing *packing = &file->packing;

	packer->file = file;
	if (packing->compress == MS_CAPFILE_ZSTD) {
		packer->zstd = ZSTD_createCCtx();
		if (packer->zstd == NULL)
			return -ENOMEM;
		ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_compressionLevel, packing->level);
		ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_checksumFlag, 1);
	}
	return ms_capfile_thread_start(&packer->thread, "ms-compress", packer_run, packer);
}

int
ms_capfile_pack_begin(struct ms_capfile *file)
{
	struct ms_capfile_packing *packing = &file->packing;
	int error = 0;

	if (packing->compress == MS_CAPFILE_PLAIN)
		return 0;
	packing->jobs = calloc(file->buffers_n, sizeof(struct ms_capfile_buffer *));
	if (packing->jobs == NULL)
		return -ENOMEM;
	while (error == 0 && packing->started < packing->threads_n) {
		error = start(file, &packing->packers[packing->started]);
		packing->started += error == 0;
	}
	return error;
}

void
ms_capfile_pack_end(struct ms_capfile *file)
{
	struct ms_capfile_packing *packing = &file->packing;

	pthread_mutex_lock(&packing->lock);
	packing->stop = true;
	packing->taken = packing->put; /* if the writer was deserted */
	pthread_cond_broadcast(&packing->wake);
	pthread_mutex_unlock(&packing->lock);
	for (uint32_t i = 0; i < packing->started; i++)
		ms_capfile_thread_join(&packing->packers[i].thread);
	for (uint32_t i = 0; i < packing->threads_n; i++)
		ZSTD_freeCCtx(packing->packers[i].zstd);
	free(packing->jobs);
}
