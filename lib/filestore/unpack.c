/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Takes a compressed file apart, block by block: one frame of zstd (RFC 8878) or LZ4
 * (lz4_Frame_format.md), such as capfile writes it. Only a block that is all there, and unpacks,
 * counts.
 */
#include "filestore/filestore_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lz4frame.h>
#include <zstd.h>

#define ZSTD_MAGIC  0xfd2fb528u
#define LZ4_MAGIC   0x184d2204u
#define ZSTD_HEADER 6u           /* magic, descriptor, window */
#define LZ4_HEADER  7u           /* magic, flags, block size, checksum */
#define ZSTD_BLOCK  (128u << 10) /* at most, in bytes that it holds or takes */
#define LZ4_BLOCK   (4u << 20)
#define LZ4_FLAGS   0x70u /* version 1, independent blocks with checksums, and nothing else */
#define INPUT_BYTES (LZ4_BLOCK + 16)

struct filestore_unpack {
	int fd;
	ZSTD_DCtx *zstd; /* NULL: LZ4 */
	LZ4F_dctx *lz4;
	uint64_t at;       /* in the file, behind the last block that was taken */
	uint64_t unpacked; /* bytes that came out */
	uint64_t limit;    /* what is behind it does not count */
	bool ended;        /* the last block was taken */
	uint8_t input[INPUT_BYTES];
};

static uint32_t
word(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

enum filestore_packing
filestore_unpack_kind(const uint8_t header[static FILESTORE_UNPACK_HEADER])
{
	if (word(header) == ZSTD_MAGIC)
		return header[4] == 0 ? FILESTORE_ZSTD : FILESTORE_PACKED_OTHERWISE;
	if (word(header) == LZ4_MAGIC)
		return header[4] == LZ4_FLAGS ? FILESTORE_LZ4 : FILESTORE_PACKED_OTHERWISE;
	return FILESTORE_NOT_PACKED;
}

struct filestore_unpack *
filestore_unpack_begin(int fd, enum filestore_packing packing, uint64_t limit)
{
	struct filestore_unpack *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->fd = fd;
	u->limit = limit;
	if (packing == FILESTORE_ZSTD)
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
	ZSTD_freeDCtx(u->zstd);
	LZ4F_freeDecompressionContext(u->lz4);
	free(u);
}

struct filestore_place
filestore_unpack_place(const struct filestore_unpack *u)
{
	return (struct filestore_place){.file = u->at, .unpacked = u->unpacked};
}

size_t
filestore_unpack_missing(const struct filestore_unpack *u, uint8_t ending[static 4])
{
	/* an empty block that is the last; or a block's length, which is 0 */
	memset(ending, 0, 4);
	ending[0] = u->zstd != NULL;
	if (u->ended)
		return 0;
	return u->zstd != NULL ? 3 : 4;
}

/* Reads n bytes behind the last block. Returns 1, 0 if they are not there, or -errno. */
static int
take(struct filestore_unpack *u, size_t n)
{
	size_t have = 0;
	ssize_t got;

	if (u->at + n > u->limit)
		return 0;
	while (have < n) {
		got = pread(u->fd, u->input + have, n - have, (off_t)(u->at + have));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : 0;
		have += got;
	}
	return 1;
}

/* Length of the block whose header is in the input, that included; 0: there is no such block. */
static size_t
block_length(const struct filestore_unpack *u, bool *last)
{
	uint32_t head = word(u->input), size;

	if (u->zstd != NULL) {
		size = (head & 0xffffff) >> 3;
		*last = (head & 1) != 0;
		if (size > ZSTD_BLOCK || (head >> 1 & 3) == 3 || (head & 0xffffff) == 0)
			return 0; /* the last: zeros that were never written over */
		return 3 + ((head >> 1 & 3) == 1 ? 1 : size); /* 1: one byte, so many times */
	}
	size = head & 0x7fffffff;
	*last = head == 0;
	if (*last)
		return 4;
	return size <= LZ4_BLOCK ? 4 + size + 4 : 0;
}

/* Unpacks n bytes of the input. Returns false if they contradict themselves. */
static bool
unpack(struct filestore_unpack *u, size_t n, struct filestore_unpacked *to)
{
	ZSTD_inBuffer in = {u->input, n, 0};
	ZSTD_outBuffer out = {to->data, to->room, to->have};
	size_t left = 0, used, got;

	if (u->zstd != NULL) {
		while (!ZSTD_isError(left) && in.pos < in.size)
			left = ZSTD_decompressStream(u->zstd, &out, &in);
		to->have = out.pos;
		return !ZSTD_isError(left);
	}
	for (size_t at = 0; at < n; at += used) {
		used = n - at;
		got = to->room - to->have;
		left = LZ4F_decompress(
			u->lz4, to->data + to->have, &got, u->input + at, &used, NULL);
		if (LZ4F_isError(left))
			return false;
		to->have += got;
	}
	return true;
}

/* Takes the next n bytes. Returns 1, 0 if they are not there or no good, or -errno. */
static int
advance(struct filestore_unpack *u, size_t n, struct filestore_unpacked *to)
{
	size_t had = to->have;
	int rc = take(u, n);

	if (rc <= 0)
		return rc;
	if (!unpack(u, n, to)) {
		to->have = had;
		return 0;
	}
	u->at += n;
	u->unpacked += to->have - had;
	return 1;
}

/* No block holds more. Returns 1 or -ENOMEM. */
static int
make_room(const struct filestore_unpack *u, struct filestore_unpacked *to)
{
	size_t want = to->have + (u->zstd != NULL ? ZSTD_BLOCK : LZ4_BLOCK) + 1;
	uint8_t *more;

	if (to->room >= want)
		return 1;
	more = realloc(to->data, want);
	if (more == NULL)
		return -ENOMEM;
	to->data = more;
	to->room = want;
	return 1;
}

int
filestore_unpack_block(struct filestore_unpack *u, struct filestore_unpacked *to)
{
	bool last = false;
	size_t n = 0;
	int rc = u->ended ? 0 : make_room(u, to);

	if (rc > 0 && u->at == 0)
		rc = advance(u, u->zstd != NULL ? ZSTD_HEADER : LZ4_HEADER, to);
	if (rc > 0)
		rc = take(u, u->zstd != NULL ? 3 : 4);
	if (rc > 0)
		n = block_length(u, &last);
	if (n > 0)
		rc = advance(u, n, to);
	u->ended |= rc > 0 && last;
	return n > 0 || rc < 0 ? rc : 0;
}
