/* SPDX-License-Identifier: BSD-3-Clause */
#include "files_unpack.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lz4frame.h>
#include <zstd.h>

#define ROOM (64u << 10) /* packed bytes that are read at once */

static const uint8_t zstd_magic[] = {0x28, 0xb5, 0x2f, 0xfd};
static const uint8_t lz4_magic[] = {0x04, 0x22, 0x4d, 0x18};

struct files_unpack {
	files_unpack_read_fn *read;
	void *arg;
	ZSTD_DStream *zstd; /* one of the two, or none: it is not packed */
	LZ4F_dctx *lz4;
	bool begun;  /* its first bytes have told what it is */
	bool ended;  /* read() has no more */
	bool inside; /* amid a frame */
	const char *problem;
	uint8_t head[sizeof(zstd_magic)];
	uint8_t *bytes; /* room for so many; head, until something is to be unpacked */
	size_t room;
	size_t at; /* those not yet unpacked: bytes[at..end) */
	size_t end;
};

struct files_unpack *
files_unpack_create(files_unpack_read_fn *read, void *arg)
{
	struct files_unpack *unpack = calloc(1, sizeof(*unpack));

	if (unpack == NULL)
		return NULL;
	unpack->read = read;
	unpack->arg = arg;
	unpack->bytes = unpack->head;
	unpack->room = sizeof(unpack->head);
	return unpack;
}

void
files_unpack_free(struct files_unpack *unpack)
{
	if (unpack == NULL)
		return;
	ZSTD_freeDStream(unpack->zstd);
	LZ4F_freeDecompressionContext(unpack->lz4);
	if (unpack->bytes != unpack->head)
		free(unpack->bytes);
	free(unpack);
}

/* Reads more packed bytes behind those that are there. Returns 0 or -errno. */
static int
fill(struct files_unpack *unpack)
{
	ssize_t got =
		unpack->read(unpack->arg, unpack->bytes + unpack->end, unpack->room - unpack->end);

	if (got < 0)
		return (int)got;
	unpack->ended = got == 0;
	unpack->end += (size_t)got;
	return 0;
}

/* Looks what the file is. Returns 0 or -errno. */
static int
begin(struct files_unpack *unpack)
{
	bool zstd, lz4;
	int rc = 0;

	while (rc == 0 && !unpack->ended && unpack->end < sizeof(zstd_magic))
		rc = fill(unpack);
	if (rc != 0)
		return rc;
	zstd = unpack->end >= sizeof(zstd_magic) &&
	       memcmp(unpack->bytes, zstd_magic, sizeof(zstd_magic)) == 0;
	lz4 = unpack->end >= sizeof(lz4_magic) &&
	      memcmp(unpack->bytes, lz4_magic, sizeof(lz4_magic)) == 0;
	unpack->begun = true;
	if (!zstd && !lz4)
		return 0;
	unpack->bytes = malloc(ROOM);
	if (unpack->bytes == NULL) {
		unpack->bytes = unpack->head;
		return -ENOMEM;
	}
	memcpy(unpack->bytes, unpack->head, unpack->end);
	unpack->room = ROOM;
	if (zstd)
		unpack->zstd = ZSTD_createDStream();
	if (lz4 && LZ4F_isError(LZ4F_createDecompressionContext(&unpack->lz4, LZ4F_VERSION)))
		unpack->lz4 = NULL;
	return unpack->zstd == NULL && unpack->lz4 == NULL ? -ENOMEM : 0;
}

/* Hands on what is not packed. */
static ssize_t
copy(struct files_unpack *unpack, void *bytes, size_t n)
{
	size_t have = unpack->end - unpack->at;

	if (have == 0)
		return unpack->read(unpack->arg, bytes, n);
	n = n < have ? n : have;
	memcpy(bytes, unpack->bytes + unpack->at, n);
	unpack->at += n;
	return (ssize_t)n;
}

static int
damaged(struct files_unpack *unpack)
{
	unpack->problem = "its compressed data are damaged";
	return -EBADMSG;
}

/* Unpacks some of what is there. Returns how many bytes came of it, or -EBADMSG. */
static ssize_t
unpack_some(struct files_unpack *unpack, void *bytes, size_t n)
{
	ZSTD_outBuffer out = {bytes, n, 0};
	ZSTD_inBuffer in = {unpack->bytes, unpack->end, unpack->at};
	size_t taken = unpack->end - unpack->at, made = n, left;

	if (unpack->zstd != NULL) {
		left = ZSTD_decompressStream(unpack->zstd, &out, &in);
		if (ZSTD_isError(left))
			return damaged(unpack);
		unpack->at = in.pos;
		made = out.pos;
	} else {
		left = LZ4F_decompress(
			unpack->lz4, bytes, &made, unpack->bytes + unpack->at, &taken, NULL);
		if (LZ4F_isError(left))
			return damaged(unpack);
		unpack->at += taken;
	}
	unpack->inside = left != 0;
	return (ssize_t)made;
}

ssize_t
files_unpack_read(struct files_unpack *unpack, void *bytes, size_t n)
{
	ssize_t made = 0;
	int rc = unpack->begun ? 0 : begin(unpack);

	if (rc != 0)
		return rc;
	if (unpack->zstd == NULL && unpack->lz4 == NULL)
		return copy(unpack, bytes, n);
	while (made == 0) {
		if (unpack->at == unpack->end && !unpack->ended) {
			unpack->at = unpack->end = 0;
			rc = fill(unpack);
			if (rc != 0)
				return rc;
		}
		/* what a frame ends with may be inside still, when all of it was taken */
		if (unpack->at == unpack->end && !unpack->inside)
			return 0;
		made = unpack_some(unpack, bytes, n);
		if (made == 0 && unpack->at == unpack->end && unpack->ended && unpack->inside) {
			unpack->problem = "it ends amid its compressed data";
			return -ENODATA;
		}
	}
	return made;
}

const char *
files_unpack_problem(const struct files_unpack *unpack)
{
	return unpack->problem;
}
