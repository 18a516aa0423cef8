/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Takes a compressed file apart, frame by frame: zstd (RFC 8878) or LZ4 (lz4_Frame_format.md). Only
 * a frame that is all there, and whose checksum is right, counts. One of ours holds a buffer of
 * capfile; what is far longer is none of ours.
 */
#include "filestore/filestore_private.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <lz4frame.h>
#include <zstd.h>

#define INPUT_BYTES (1u << 18)
#define FRAME_MAX   (64u << 20)
#define ZSTD_MAGIC  0xfd2fb528u
#define LZ4_MAGIC   0x184d2204u

struct filestore_unpack {
	int fd;
	ZSTD_DCtx *zstd; /* NULL: LZ4 */
	LZ4F_dctx *lz4;
	uint64_t at;    /* in the file, of the first byte that is not used up */
	uint64_t whole; /* where the last whole frame ends */
	size_t from;    /* what is not used up of input */
	size_t have;
	uint8_t input[INPUT_BYTES];
};

bool
filestore_unpack_knows(uint32_t magic)
{
	return magic == ZSTD_MAGIC || magic == LZ4_MAGIC;
}

struct filestore_unpack *
filestore_unpack_begin(int fd, uint32_t magic)
{
	struct filestore_unpack *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->fd = fd;
	if (magic == ZSTD_MAGIC)
		u->zstd = ZSTD_createDCtx();
	else if (LZ4F_isError(LZ4F_createDecompressionContext(&u->lz4, LZ4F_VERSION)))
		u->lz4 = NULL;
	if (u->zstd != NULL || u->lz4 != NULL)
		return u;
	free(u);
	return NULL;
}

void
filestore_unpack_end(struct filestore_unpack *u)
{
	if (u == NULL)
		return;
	ZSTD_freeDCtx(u->zstd);
	LZ4F_freeDecompressionContext(u->lz4);
	free(u);
}

uint64_t
filestore_unpack_whole(const struct filestore_unpack *u)
{
	return u->whole;
}

/* Reads on if all input is used up. Returns 1, 0 at the end of the file, or -errno. */
static int
refill(struct filestore_unpack *u)
{
	ssize_t n;

	if (u->from < u->have)
		return 1;
	do
		n = pread(u->fd, u->input, sizeof(u->input), (off_t)u->at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	u->from = 0;
	u->have = n;
	return n > 0;
}

/* One step into out, *n bytes. Returns 0 at the end of a frame, 1 before it, -1 if it contradicts
 * itself. */
static int
step(struct filestore_unpack *u, uint8_t *out, size_t *n)
{
	size_t room = *n, used = u->have - u->from, left;

	if (u->zstd != NULL) {
		ZSTD_inBuffer input = {u->input + u->from, used, 0};
		ZSTD_outBuffer output = {out, room, 0};

		left = ZSTD_decompressStream(u->zstd, &output, &input);
		*n = output.pos;
		used = input.pos;
		if (ZSTD_isError(left))
			return -1;
	} else {
		left = LZ4F_decompress(u->lz4, out, n, u->input + u->from, &used, NULL);
		if (LZ4F_isError(left))
			return -1;
	}
	u->from += used;
	u->at += used;
	return left != 0;
}

/* Makes room if there is none. Returns 0, -E2BIG if the frame is none of ours, or -ENOMEM. */
static int
make_room(struct filestore_unpacked *to)
{
	uint8_t *more;

	if (to->have < to->room)
		return 0;
	if (to->room >= FRAME_MAX)
		return -E2BIG;
	more = realloc(to->data, 2 * to->room);
	if (more == NULL)
		return -ENOMEM;
	to->data = more;
	to->room *= 2;
	return 0;
}

int
filestore_unpack_frame(struct filestore_unpack *u, struct filestore_unpacked *to)
{
	size_t had = to->have, n;
	bool full = false; /* then there may be more to come from what was read already */
	int error, left;

	do {
		error = refill(u);
		if (error == 0 && !full)
			error = -ENODATA;
		if (error >= 0)
			error = make_room(to);
		if (error < 0)
			break;
		n = to->room - to->have;
		left = step(u, to->data + to->have, &n);
		if (left < 0)
			error = -EBADMSG;
		else
			to->have += n;
		full = to->have == to->room;
	} while (error == 0 && left > 0);
	if (error == 0) {
		u->whole = u->at;
		return 1;
	}
	to->have = had;
	return error == -ENODATA || error == -EBADMSG || error == -E2BIG ? 0 : error;
}
