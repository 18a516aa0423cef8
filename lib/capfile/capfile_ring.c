/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * io_uring, as the writer's thread uses it: several buffers with the kernel at once, none of which
 * the thread waits for. The same eventfd that the owner wakes it by tells of completions.
 *
 * Each request is submitted by itself: so a submission that fails leaves no doubt about which one
 * it was. After that the ring takes nothing more, only completes what it has.
 */
#include "capfile_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

#include <rte_common.h>

#define DEPTH_MAX 256u
#define SYNC      1u /* in user_data: a file to be synchronised, not a buffer */

/* Without a copy of the page tables for each write, if the limit of locked memory allows. */
static bool
register_buffers(struct ms_capfile *file)
{
	struct iovec *vectors = calloc(file->buffers_n, sizeof(*vectors));
	bool fixed;

	if (vectors == NULL)
		return false;
	for (uint32_t i = 0; i < file->buffers_n; i++) {
		vectors[i].iov_base = file->buffers[i].data;
		vectors[i].iov_len = file->buffer_bytes;
	}
	fixed = io_uring_register_buffers(&file->ring.ring, vectors, file->buffers_n) == 0;
	free(vectors);
	return fixed;
}

void
ms_capfile_ring_begin(struct ms_capfile *file)
{
	struct ms_capfile_ring *ring = &file->ring;

	ring->depth = RTE_MIN(file->buffers_n, DEPTH_MAX);
	ring->error = io_uring_queue_init(ring->depth, &ring->ring, 0);
	if (ring->error != 0)
		return;
	ring->error = io_uring_register_eventfd(&ring->ring, file->wake);
	if (ring->error != 0) {
		io_uring_queue_exit(&ring->ring);
		return;
	}
	/* What is compressed changes its place, and is not written through the ring. */
	ring->fixed = file->packing.compress == MS_CAPFILE_PLAIN && register_buffers(file);
	ring->made = true;
	ring->on = true;
}

void
ms_capfile_ring_end(struct ms_capfile *file)
{
	if (file->ring.made)
		io_uring_queue_exit(&file->ring.ring);
}

static struct io_uring_sqe *
request(struct ms_capfile_ring *ring)
{
	/* Twice the depth would fit what completes; half of it is there for synchronising. */
	if (!ring->on || ring->flying == ring->depth)
		return NULL;
	return io_uring_get_sqe(&ring->ring);
}

static bool
submit(struct ms_capfile_ring *ring)
{
	int n;

	do
		n = io_uring_submit(&ring->ring);
	while (n == -EINTR);
	ring->on = n == 1;
	if (!ring->on) {
		ring->error = n < 0 ? n : -EIO;
		return false;
	}
	ring->flying++;
	return true;
}

bool
ms_capfile_ring_write(struct ms_capfile *file, struct ms_capfile_buffer *buffer)
{
	struct io_uring_sqe *sqe = request(&file->ring);
	const uint8_t *from = buffer->data + buffer->written;
	unsigned int n = buffer->length - buffer->written;
	uint64_t to = buffer->offset + buffer->written;

	if (sqe == NULL)
		return false;
	if (file->ring.fixed)
		io_uring_prep_write_fixed(
			sqe, buffer->file->fd, from, n, to, (int)(buffer - file->buffers));
	else
		io_uring_prep_write(sqe, buffer->file->fd, from, n, to);
	io_uring_sqe_set_data(sqe, buffer);
	return submit(&file->ring);
}

bool
ms_capfile_ring_sync(struct ms_capfile *file, struct ms_capfile_file *f)
{
	struct io_uring_sqe *sqe = request(&file->ring);

	if (sqe == NULL)
		return false;
	io_uring_prep_fsync(sqe, f->fd, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data64(sqe, (uintptr_t)f | SYNC);
	return submit(&file->ring);
}

bool
ms_capfile_ring_reap(struct ms_capfile *file, struct ms_capfile_buffer **buffer,
	struct ms_capfile_file **f, int *result)
{
	struct io_uring_cqe *cqe;
	uintptr_t what;

	if (!file->ring.made || io_uring_peek_cqe(&file->ring.ring, &cqe) != 0)
		return false;
	what = (uintptr_t)io_uring_cqe_get_data(cqe);
	*result = cqe->res;
	io_uring_cqe_seen(&file->ring.ring, cqe);
	file->ring.flying--;
	*buffer = (what & SYNC) == 0 ? (struct ms_capfile_buffer *)what : NULL;
	*f = (what & SYNC) != 0 ? (struct ms_capfile_file *)(what - SYNC) : NULL;
	return true;
}
