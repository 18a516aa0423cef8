/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compression: threads that stand between the owner and the writer. A file is one frame of zstd
 * (RFC 8878) or LZ4 (lz4_Frame_format.md): Wireshark 4.0 finds no second one. A buffer
 * becomes blocks in it that need none before them, so that several are packed at once, and what is
 * cut between two buffers and gets an end is whole.
 *
 * The writer gives a buffer to whichever thread is idle, keeps it in its file's queue meanwhile,
 * and is woken when it is done. A thread packs into an area of its own and then exchanges that for
 * the buffer's, so there is nothing to wait for, and no more memory than one area for each.
 */
#include "capfile_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#define ZSTD_WINDOW_MIN 20u
#define ZSTD_WINDOW_MAX 27u /* what decoders take without being told to */
#define ZSTD_PLEDGE_MIN ((size_t)1 << 20)
#define OVERHEAD        1024u /* headers of blocks, and all that is not in the bounds */

static const uint8_t zstd_end[] = {1, 0, 0}; /* the last block, with nothing in it */
static const uint8_t lz4_end[] = {0, 0, 0, 0};

/* Largest blocks, each for itself and with a checksum. */
static const LZ4F_preferences_t lz4_format = {
	.frameInfo = {.blockSizeID = LZ4F_max4MB,
		.blockMode = LZ4F_blockIndependent,
		.blockChecksumFlag = LZ4F_blockChecksumEnabled},
	.autoFlush = 1,
};

size_t
ms_capfile_pack_bound(enum ms_capfile_compress compress, size_t bytes)
{
	return OVERHEAD + (compress == MS_CAPFILE_ZSTD ? ZSTD_compressBound(bytes)
						       : LZ4F_compressBound(bytes, &lz4_format));
}

const uint8_t *
ms_capfile_pack_ending(enum ms_capfile_compress compress, size_t *n)
{
	*n = compress == MS_CAPFILE_ZSTD ? sizeof(zstd_end) : sizeof(lz4_end);
	return compress == MS_CAPFILE_ZSTD ? zstd_end : lz4_end;
}

/* Returns false if it can't be done. */
static bool
zstd_flush(ZSTD_CCtx *zstd, ZSTD_outBuffer *out, const uint8_t *data, size_t bytes)
{
	ZSTD_inBuffer in = {data, bytes, 0};
	size_t left;

	do
		left = ZSTD_compressStream2(zstd, out, &in, ZSTD_e_flush);
	while (!ZSTD_isError(left) && left > 0 && out->pos < out->size);
	return left == 0;
}

/*
 * A worker of the library gets a job before that of the buffer, so that this one is not the first:
 * each but the first does without the offsets that the decoder remembers from the block before,
 * which is of another buffer here. What the first came to, and the frame's header, are left out.
 */
static size_t
pack_zstd(struct ms_capfile_packer *packer, const struct ms_capfile_buffer *buffer)
{
	const uint8_t header[] = {0x28, 0xb5, 0x2f, 0xfd, 0, (uint8_t)(packer->window - 10) << 3};
	const struct ms_capfile *file = packer->file;
	uint8_t scrap[64];
	ZSTD_outBuffer first = {scrap, sizeof(scrap), 0};
	ZSTD_outBuffer out = {packer->spare, file->area_bytes - sizeof(zstd_end), 0};

	ZSTD_CCtx_reset(packer->zstd, ZSTD_reset_session_only);
	/* for tables that fit a buffer; less, and the library would do without a worker */
	ZSTD_CCtx_setPledgedSrcSize(packer->zstd, 1 + RTE_MAX(file->buffer_bytes, ZSTD_PLEDGE_MIN));
	if (buffer->first) {
		memcpy(packer->spare, header, sizeof(header));
		out.pos = sizeof(header);
	}
	if (!zstd_flush(packer->zstd, &first, (const uint8_t *)"", 1) ||
		!zstd_flush(packer->zstd, &out, buffer->data, buffer->bytes))
		return 0;
	return out.pos;
}

static size_t
pack_lz4(struct ms_capfile_packer *packer, const struct ms_capfile_buffer *buffer)
{
	LZ4F_preferences_t preferences = lz4_format;
	uint8_t *at = packer->spare;
	size_t room = packer->file->area_bytes, header, n;

	preferences.compressionLevel = packer->file->packing.level;
	header = LZ4F_compressBegin(packer->lz4, at, room, &preferences);
	if (LZ4F_isError(header))
		return 0;
	at += buffer->first ? header : 0; /* else it is written over */
	n = LZ4F_compressUpdate(packer->lz4, at, room - header, buffer->data, buffer->bytes, NULL);
	return LZ4F_isError(n) ? 0 : (size_t)(at - packer->spare) + n;
}

/* Returns 0 or -ENOMEM. */
static int
pack(struct ms_capfile_packer *packer, struct ms_capfile_buffer *buffer)
{
	enum ms_capfile_compress compress = packer->file->packing.compress;
	uint8_t *data = buffer->data;
	const uint8_t *ending;
	size_t n = 0, more;

	if (buffer->bytes > 0) {
		n = compress == MS_CAPFILE_ZSTD ? pack_zstd(packer, buffer)
		                                : pack_lz4(packer, buffer);
		if (n == 0)
			return -ENOMEM; /* nothing else can be wrong */
	}
	if (buffer->last) {
		ending = ms_capfile_pack_ending(compress, &more);
		memcpy(packer->spare + n, ending, more);
		n += more;
	}
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
start_zstd(struct ms_capfile_packer *packer)
{
	const struct ms_capfile *file = packer->file;
	const struct {
		ZSTD_cParameter parameter;
		int value;
	} wanted[] = {
		{ZSTD_c_compressionLevel, file->packing.level},
		{ZSTD_c_windowLog, (int)packer->window}, {ZSTD_c_nbWorkers, 1},
		{ZSTD_c_overlapLog, 1}, /* none */
	};

	packer->zstd = ZSTD_createCCtx();
	if (packer->zstd == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < RTE_DIM(wanted); i++) {
		if (ZSTD_isError(ZSTD_CCtx_setParameter(
			    packer->zstd, wanted[i].parameter, wanted[i].value)))
			return -ENOTSUP;
	}
	return 0;
}

static int
start(struct ms_capfile *file, struct ms_capfile_packer *packer)
{
	int error = 0;

	packer->file = file;
	packer->window = ZSTD_WINDOW_MIN;
	while (((size_t)1 << packer->window) < file->buffer_bytes &&
		packer->window < ZSTD_WINDOW_MAX)
		packer->window++;
	if (file->packing.compress == MS_CAPFILE_ZSTD)
		error = start_zstd(packer);
	else if (LZ4F_isError(LZ4F_createCompressionContext(&packer->lz4, LZ4F_VERSION)))
		error = -ENOMEM;
	if (error != 0)
		return error;
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

static void
free_contexts(struct ms_capfile_packer *packer)
{
	ZSTD_freeCCtx(packer->zstd);
	LZ4F_freeCompressionContext(packer->lz4);
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
		free_contexts(&packing->packers[i]);
	free(packing->jobs);
}
