/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Unpacks a capture file that was compressed by zstd or LZ4 (frames one after the other, as
 * mirrorsink and the tools of these formats write them) while it is read.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct files_unpack;

/* Where packed bytes come from: as read(2), or -errno. */
typedef ssize_t files_unpack_read_fn(void *arg, void *bytes, size_t n);

/*
 * Begins to read a file, which may not be packed at all. Returns NULL for want of memory. arg
 * outlives it.
 */
struct files_unpack *files_unpack_create(files_unpack_read_fn *read, void *arg);
void files_unpack_free(struct files_unpack *unpack);

/*
 * The next bytes that were packed, as read(2). -EBADMSG: the file is damaged here; -ENODATA: it
 * ends amid a frame; or what read() says.
 */
ssize_t files_unpack_read(struct files_unpack *unpack, void *bytes, size_t n);

/* What is wrong with the packed data, for a person; NULL: nothing was found yet. */
const char *files_unpack_problem(const struct files_unpack *unpack);
