/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded by io_errors_test.sh: a disk that fails at random. IO_FAULTS says where, words of
 *
 *     write:N    one write of a regular file in N fails with EIO, after a part of it if it is large
 *     sync:N     one fdatasync in N
 *     plain      there is no io_uring (EPERM), as where seccomp forbids it
 *     submit     io_uring takes its first 20 requests, and then no more
 *
 * What goes through io_uring fails too: a request for a descriptor that is none completes with an
 * error, as one that the disk has refused. SEED makes it come out the same again, nearly.
 */
#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static _Atomic(unsigned int) state;

static void *
real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

/* The number behind a word of IO_FAULTS, 1 if it stands alone, 0 if it isn't there. */
static unsigned int
wanted(const char *word)
{
	const char *faults = getenv("IO_FAULTS");
	const char *at = faults != NULL ? strstr(faults, word) : NULL;

	if (at == NULL)
		return 0;
	at += strlen(word);
	return *at == ':' ? (unsigned int)atoi(at + 1) : 1;
}

static bool
strikes(unsigned int every)
{
	const char *seed = getenv("SEED");
	unsigned int x = atomic_fetch_add(&state, 2654435761u) +
	                 (seed != NULL ? (unsigned int)atoi(seed) : 0);

	x = (x ^ x >> 16) * 0x45d9f3bu;
	x ^= x >> 16;
	return every != 0 && x % every == 0;
}

ssize_t
pwrite64(int fd, const void *bytes, size_t n, off64_t offset)
{
	ssize_t (*next)(int, const void *, size_t, off64_t) = real("pwrite64");

	if (strikes(wanted("write"))) {
		if (n > 8192)
			next(fd, bytes, 8192, offset);
		errno = EIO;
		return -1;
	}
	return next(fd, bytes, n, offset);
}

int
fdatasync(int fd)
{
	int (*next)(int) = real("fdatasync");

	if (strikes(wanted("sync"))) {
		errno = EIO;
		return -1;
	}
	return next(fd);
}

int
io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags)
{
	int (*next)(unsigned int, struct io_uring *, unsigned int) = real("io_uring_queue_init");

	return wanted("plain") ? -EPERM : next(entries, ring, flags);
}

int
io_uring_submit(struct io_uring *ring)
{
	static _Atomic(unsigned int) submitted;
	int (*next)(struct io_uring *) = real("io_uring_submit");
	struct io_uring_sqe *sqe = &ring->sq.sqes[ring->sq.sqe_head & ring->sq.ring_mask];

	if (wanted("submit") && atomic_fetch_add(&submitted, 1) >= 20)
		return -EIO;
	if (strikes(wanted(sqe->opcode == IORING_OP_FSYNC ? "sync" : "write")))
		sqe->fd = -1;
	return next(ring);
}
