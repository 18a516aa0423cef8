/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capture files that follow each other, and what happens to them where writing fails: each call
 * that takes bytes to the kernel is wrapped, and can be made to fail. Whatever happens, what the
 * ledger calls written is what can be read back from the files that were finished.
 */
#include "capfile_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <liburing.h>
#include <openssl/evp.h>
#include <rte_mbuf.h>

#define FRAME_BYTES 256
#define MS          1000000ull
#define FILES       2000

/* Buffers that hold some 60 frames. */
static const struct ms_capfile_options small = {
	.snaplen = FRAME_BYTES,
	.buffer_bytes = 16384,
	.buffer_memory = 8 * 16384,
	.wait = true,
	.application = "t",
};

/* What fails: one call of so many, with which error, or none (0). */
static struct {
	_Atomic(unsigned int) write_every; /* pwrite, and what io_uring does for it */
	_Atomic(unsigned int) sync_every;  /* fdatasync, likewise */
	_Atomic(int) ring_error;           /* of io_uring_submit() */
	_Atomic(int) init_error;           /* of io_uring_queue_init() */
	_Atomic(int) error;
	_Atomic(bool) hang; /* pwrite and fdatasync come back when this ends */
	_Atomic(unsigned int) calls;
	_Atomic(unsigned int) ring_writes;
} faults;

static bool
strikes(unsigned int every)
{
	return every != 0 && atomic_fetch_add(&faults.calls, 1) % every == every - 1;
}

static void
hang(void)
{
	while (atomic_load(&faults.hang))
		usleep(1000);
}

ssize_t __real_pwrite64(int fd, const void *bytes, size_t n, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t n, off_t offset);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags);
int __wrap_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags);
int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);

ssize_t
__wrap_pwrite64(int fd, const void *bytes, size_t n, off_t offset)
{
	hang();
	if (strikes(atomic_load(&faults.write_every))) {
		/* A part may have been written before. */
		if (n > 4096 && __real_pwrite64(fd, bytes, 4096, offset) < 0)
			return -1;
		errno = atomic_load(&faults.error);
		return -1;
	}
	return __real_pwrite64(fd, bytes, n, offset);
}

int
__wrap_fdatasync(int fd)
{
	hang();
	if (strikes(atomic_load(&faults.sync_every))) {
		errno = atomic_load(&faults.error);
		return -1;
	}
	return __real_fdatasync(fd);
}

int
__wrap_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags)
{
	int error = atomic_load(&faults.init_error);

	return error != 0 ? error : __real_io_uring_queue_init(entries, ring, flags);
}

/* A request for no descriptor completes with an error, as one does that the disk has refused. */
int
__wrap_io_uring_submit(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = &ring->sq.sqes[ring->sq.sqe_head & ring->sq.ring_mask];
	int error = atomic_load(&faults.ring_error);
	bool sync = sqe->opcode == IORING_OP_FSYNC;

	if (error != 0)
		return error;
	if (!sync)
		atomic_fetch_add(&faults.ring_writes, 1);
	if (strikes(atomic_load(sync ? &faults.sync_every : &faults.write_every)))
		sqe->fd = -1;
	return __real_io_uring_submit(ring);
}

/* Where files come from and go to. */
struct store {
	const char *folder;
	_Atomic(int) open_error;
	_Atomic(unsigned int) opened;
	_Atomic(unsigned int) finished;
	struct {
		int fd; /* to read it back */
		uint32_t session;
		struct ms_capfile_finished end;
		struct ms_capfile_share shares[64];
	} files[FILES];
};

static struct store *
store_new(void)
{
	struct store *store = calloc(1, sizeof(*store));

	assert_non_null(store);
	memset(&faults, 0, sizeof(faults));
	faults.error = EIO;
	return store;
}

static int
store_open(void *arg, uint32_t session)
{
	char path[] = "capfile_fault_test.XXXXXX";
	struct store *store = arg;
	int fd, error = atomic_load(&store->open_error);

	if (error != 0)
		return error;
	fd = mkostemp(path, O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_true(store->opened < FILES);
	store->files[store->opened].fd = dup(fd);
	store->files[store->opened].session = session;
	store->opened++;
	return fd;
}

/* Which file it is, is said by its inode. */
static void
store_finished(void *arg, int fd, const struct ms_capfile_finished *end)
{
	struct store *store = arg;
	struct stat a, b;
	unsigned int i;

	assert_int_equal(fstat(fd, &a), 0);
	for (i = 0; i < store->opened; i++) {
		assert_int_equal(fstat(store->files[i].fd, &b), 0);
		if (a.st_ino == b.st_ino)
			break;
	}
	assert_true(i < store->opened);
	assert_int_equal(a.st_size, end->bytes);
	store->files[i].end = *end;
	assert_true(end->sessions_n <= RTE_DIM(store->files[i].shares));
	memcpy(store->files[i].shares, end->sessions, end->sessions_n * sizeof(*end->sessions));
	store->finished++;
	close(fd);
}

static const struct ms_capfile_ops ops = {.open = store_open, .finished = store_finished};

static struct ms_capfile *
store_create(
	struct store *store, struct ms_capfile_options options, struct ms_output_ledger *ledger)
{
	struct ms_capfile *file;

	options.ops = &ops;
	options.arg = store;
	file = ms_capfile_create(-1, &options, test_registry, ledger);
	assert_non_null(file);
	return file;
}

static void
check_hash(const uint8_t *bytes, size_t n, const uint8_t *want)
{
	uint8_t hash[EVP_MAX_MD_SIZE];

	assert_int_equal(EVP_Digest(bytes, n, hash, NULL, EVP_sha256(), NULL), 1);
	assert_memory_equal(hash, want, MS_CAPFILE_SHA256);
}

/*
 * Reads all files: each says of itself what it holds, together they hold what was written, in
 * order. Returns the number of frames; frees the store.
 */
static uint64_t
store_check(struct store *store, const struct ms_output_ledger *ledger, bool hashed)
{
	uint64_t frames = 0, sum = 0, lost = 0, next[256] = {0};

	assert_int_equal(store->finished, store->opened);
	for (unsigned int i = 0; i < store->opened; i++) {
		const struct ms_capfile_finished *end = &store->files[i].end;
		struct test_reading r;
		uint64_t *after = &next[end->session != MS_SESSION_NONE ? end->session + 1 : 0];
		uint64_t payload = 0;
		uint8_t *bytes;
		size_t n;

		assert_int_equal(end->session, store->files[i].session);
		lost += end->dropped;
		bytes = test_slurp(store->files[i].fd, &n);
		close(store->files[i].fd);
		assert_int_equal(n, end->bytes);
		assert_int_equal(end->hashed, hashed && end->error == 0);
		if (end->hashed)
			check_hash(bytes, n, end->sha256);
		if (n == 0 || (end->error != 0 && end->frames == 0)) {
			assert_int_equal(end->frames, 0);
			free(bytes);
			continue;
		}
		r = test_read(bytes, n);
		assert_int_equal(r.packets_n, end->frames);
		for (uint32_t k = 0; k < r.packets_n; k++) {
			assert_true(r.packets[k].time >= *after);
			*after = r.packets[k].time + 1;
			payload += r.packets[k].captured;
			if (end->session == MS_SESSION_NONE)
				assert_true(r.packets[k].time >= end->first &&
					    r.packets[k].time <= end->last);
		}
		assert_int_equal(payload, end->payload);
		sum += payload;
		frames += r.packets_n;
		free(bytes);
		test_reading_free(&r);
	}
	test_balanced(ledger);
	assert_int_equal(frames, ms_count_read(&ledger->written));
	assert_int_equal(sum, ms_count_read(&ledger->bytes));
	assert_true(lost <= ms_count_read(&ledger->offered) - frames);
	free(store);
	return frames;
}

/* Frames number *i to *i + n - 1; frame i is of session i mod `sessions`. */
static void
offer(struct ms_capfile *file, uint64_t *i, uint32_t n, uint32_t sessions)
{
	uint8_t packet[FRAME_BYTES];
	struct ms_frame frame;

	test_fill(packet, sizeof(packet), 1);
	frame = test_frame(test_mbuf(packet, sizeof(packet), 1), 0, 0, 0);
	while (n-- > 0) {
		frame.timestamp = *i;
		frame.session = test_session(100 + *i % sessions);
		frame.length = *i % (FRAME_BYTES + 1);
		ms_capfile_burst(file, &frame, 1, 1);
		++*i;
	}
	test_release(&frame, 1);
}

/* Offers frames until there is this many of something, for 20 seconds. */
static void
offer_until(struct ms_capfile *file, uint64_t *i, const ms_counter *counter, uint64_t n)
{
	for (int ms = 0; ms_count_read(counter) < n; ms++) {
		assert_true(ms < 20000);
		offer(file, i, 20, 1);
		ms_capfile_flush(file, *i * 100 * MS);
		usleep(1000);
	}
}

/* Files that rotate: nothing is lost between them, and each is described as it is. */
static void
test_finished(void **state)
{
	enum { N = 50000, SESSIONS = 3, ROTATE = 300000 };
	struct store *store = store_new();
	struct ms_capfile_options options = small;
	struct ms_output_ledger ledger = {0};
	struct ms_capfile *file;
	char way[256];
	uint64_t i = 0, next = 0;

	options.rotate_bytes = ROTATE;
	options.sha256 = true;
	file = store_create(store, options, &ledger);
	offer(file, &i, N, SESSIONS);
	ms_capfile_way(file, way, sizeof(way));
	assert_non_null(strstr(way, "in 8 buffers"));
	assert_int_equal(ms_capfile_close(file), 0);
	assert_true(store->opened > 20);
	for (unsigned int f = 0; f < store->opened; f++) {
		const struct ms_capfile_finished *end = &store->files[f].end;
		uint64_t frames = 0;

		assert_int_equal(end->error, 0);
		assert_int_equal(end->first, next);
		assert_int_equal(end->last, next + end->frames - 1);
		assert_int_equal(end->dropped, 0);
		assert_true(end->bytes <= ROTATE + 4096);
		next += end->frames;
		assert_true(end->sessions_n <= SESSIONS);
		for (uint32_t s = 0; s < end->sessions_n; s++)
			frames += store->files[f].shares[s].frames;
		assert_int_equal(frames, end->frames);
	}
	assert_int_equal(store_check(store, &ledger, true), N);
}

static uint64_t
period_of_clock(uint64_t ns)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return ((uint64_t)t.tv_sec * 1000 * MS + (uint64_t)t.tv_nsec) / ns;
}

static void
await_next_period(uint64_t ns)
{
	uint64_t now = period_of_clock(ns);

	while (period_of_clock(ns) == now)
		usleep(1000);
}

/*
 * Aligned to the clock: a file that begins and gets frames between two looks at the clock, with the
 * end of a period in between, ends with that period.
 */
static void
test_aligned(void **state)
{
	enum { FIRST = 30, BEFORE = 10, AFTER = 20 };
	const uint64_t period = 100 * MS;
	struct ms_capfile_options options = small;
	bool within = false;

	options.rotate_ns = period;
	options.rotate_aligned = true;
	options.rotate_packets = FIRST;
	while (!within) { /* unless the machine is slow */
		struct store *store = store_new();
		struct ms_output_ledger ledger = {0};
		struct ms_capfile *file = store_create(store, options, &ledger);
		uint64_t i = 0, first;

		await_next_period(period);
		first = period_of_clock(period);
		ms_capfile_flush(file, 1);
		offer(file, &i, FIRST + BEFORE, 1);
		within = period_of_clock(period) == first;
		await_next_period(period);
		ms_capfile_flush(file, 2);
		offer(file, &i, AFTER, 1);
		assert_int_equal(ms_capfile_close(file), 0);
		if (within) {
			assert_int_equal(store->opened, 3);
			assert_int_equal(store->files[1].end.frames, BEFORE);
		}
		assert_int_equal(store_check(store, &ledger, false), FIRST + BEFORE + AFTER);
	}
}

/* One write of so many fails: what was before is kept, and the next file begins. */
static void
write_faults(int init_error, unsigned int every)
{
	enum { N = 100000 };
	struct store *store = store_new();
	struct ms_capfile_options options = small;
	struct ms_output_ledger ledger = {0};
	struct ms_capfile *file;
	uint64_t i = 0;

	options.rotate_bytes = 2000000;
	options.sha256 = true;
	faults.init_error = init_error;
	faults.write_every = every;
	file = store_create(store, options, &ledger);
	offer(file, &i, N, 5);
	assert_int_equal(ms_capfile_close(file), init_error != 0 ? -EIO : -EBADF);
	assert_true(init_error != 0 || faults.ring_writes > 100);
	assert_true(store->opened > 20);
	assert_true(test_drops(&ledger, MS_DROP_IO_ERROR) > 0);
	assert_int_equal(test_drops(&ledger, MS_DROP_DISK_FULL), 0);
	assert_true(store_check(store, &ledger, true) > N / 2);
}

static void
test_write_fails(void **state)
{
	write_faults(0, 37);
	write_faults(-EPERM, 37);
}

/* io_uring stops to take requests in mid-run: the rest goes the plain way, and nothing is lost. */
static void
test_ring_breaks(void **state)
{
	enum { N = 20000 };
	struct store *store = store_new();
	struct ms_output_ledger ledger = {0};
	struct ms_capfile *file = store_create(store, small, &ledger);
	uint64_t i = 0;
	char way[256];

	offer(file, &i, N / 2, 5);
	faults.ring_error = -EBADR;
	offer(file, &i, N / 2, 5);
	ms_capfile_way(file, way, sizeof(way));
	assert_non_null(strstr(way, strerror(EBADR)));
	assert_int_equal(ms_capfile_close(file), 0);
	assert_int_equal(store_check(store, &ledger, false), N);
}

/* Files that can't be brought to disk have nothing that is certain. */
static void
sync_faults(int init_error)
{
	enum { N = 20000 };
	struct store *store = store_new();
	struct ms_capfile_options options = small;
	struct ms_output_ledger ledger = {0};
	struct ms_capfile *file;
	uint64_t i = 0;
	unsigned int failed = 0;

	options.rotate_bytes = 200000;
	faults.init_error = init_error;
	faults.sync_every = 3;
	file = store_create(store, options, &ledger);
	offer(file, &i, N, 1);
	assert_true(ms_capfile_close(file) < 0);
	for (unsigned int f = 0; f < store->opened; f++) {
		if (store->files[f].end.error != 0) {
			assert_int_equal(store->files[f].end.frames, 0);
			failed++;
		}
	}
	assert_int_equal(failed, store->opened / 3);
	assert_int_equal(
		store_check(store, &ledger, false), N - test_drops(&ledger, MS_DROP_IO_ERROR));
}

static void
test_sync_fails(void **state)
{
	sync_faults(0);
	sync_faults(-EPERM);
}

/* The disk is full, for a while: it is tried again, and goes on in a new file. */
static void
test_full(void **state)
{
	struct store *store = store_new();
	struct ms_output_ledger ledger = {0};
	struct ms_capfile_options options = small;
	struct ms_capfile *file;
	uint64_t i = 0, before;

	options.wait = false;
	faults.init_error = -EPERM;
	file = store_create(store, options, &ledger);
	offer_until(file, &i, &ledger.written, 100);
	faults.error = ENOSPC;
	faults.write_every = 1;
	offer_until(file, &i, &ledger.dropped[MS_DROP_DISK_FULL], 1);
	before = ms_count_read(&ledger.written);
	offer_until(file, &i, &ledger.dropped[MS_DROP_DISK_FULL], 25000);
	assert_int_equal(ms_count_read(&ledger.written), before);
	faults.write_every = 0;
	offer_until(file, &i, &ledger.written, before + 1000);
	assert_int_equal(ms_capfile_close(file), -ENOSPC);
	assert_true(store->opened >= 2);
	assert_int_equal(test_drops(&ledger, MS_DROP_IO_ERROR), 0);
	store_check(store, &ledger, false);
}

/* Less is free than has to be: not one frame is written, and not one file is kept. */
static void
test_min_free(void **state)
{
	struct store *store = store_new();
	struct ms_output_ledger ledger = {0};
	struct ms_capfile_options options = small;
	struct ms_capfile *file;
	uint64_t i = 0;

	options.wait = false;
	options.min_free = UINT64_MAX / 2;
	file = store_create(store, options, &ledger);
	offer_until(file, &i, &ledger.dropped[MS_DROP_DISK_FULL], 10000);
	assert_int_equal(ms_capfile_close(file), -ENOSPC);
	for (unsigned int f = 0; f < store->opened; f++) {
		assert_int_equal(store->files[f].end.bytes, 0);
		assert_int_equal(store->files[f].end.error, -ENOSPC);
	}
	assert_int_equal(store_check(store, &ledger, false), 0);
}

/* No file can be opened, for a while. */
static void
test_open_fails(void **state)
{
	struct store *store = store_new();
	struct ms_output_ledger ledger = {0};
	struct ms_capfile_options options = small;
	struct ms_capfile *file;
	uint64_t i = 0;

	options.wait = false;
	store->open_error = -EMFILE;
	file = store_create(store, options, &ledger);
	offer_until(file, &i, &ledger.dropped[MS_DROP_IO_ERROR], 1000);
	assert_int_equal(ms_count_read(&ledger.written), 0);
	store->open_error = 0;
	offer_until(file, &i, &ledger.written, 1000);
	assert_int_equal(ms_capfile_close(file), -EMFILE);
	assert_int_equal(store->opened, 1);
	store_check(store, &ledger, false);
}

/* Many sessions, few files: each file is of one session, and each session's frames are in order. */
static void
per_session(enum ms_capfile_format format, uint32_t max_open, uint32_t buffers)
{
	enum { N = 30000, SESSIONS = 20 };
	struct store *store = store_new();
	struct ms_output_ledger ledger = {0};
	struct ms_capfile_options options = small;
	uint64_t i = 0, frames = 0;
	struct ms_capfile *file;

	options.format = format;
	options.per_session = true;
	options.max_open = max_open;
	options.buffer_memory = buffers * (size_t)16384;
	file = store_create(store, options, &ledger);
	/* Runs of some frames, each of a session; in the end all of them in turn. */
	while (i < N) {
		offer(file, &i, 1, SESSIONS);
		if (i < N - 100)
			i += SESSIONS - (i % 500 == 0);
		ms_capfile_flush(file, i * MS);
	}
	assert_int_equal(ms_capfile_close(file), 0);
	assert_true(store->opened >= SESSIONS);
	assert_int_equal(store->finished, store->opened);
	test_balanced(&ledger);
	for (unsigned int f = 0; f < store->opened; f++) {
		const struct ms_capfile_finished *end = &store->files[f].end;

		frames += end->frames;
		assert_int_not_equal(end->session, MS_SESSION_NONE);
		assert_int_equal(end->session, test_session(100 + end->first % SESSIONS));
		if (format == MS_CAPFILE_PCAP)
			continue;
		assert_int_equal(end->sessions_n, 1);
		assert_int_equal(store->files[f].shares[0].session, end->session);
		assert_int_equal(store->files[f].shares[0].frames, end->frames);
	}
	assert_int_equal(frames, ms_count_read(&ledger.written));
	if (format == MS_CAPFILE_PCAPNG) {
		store_check(store, &ledger, false);
		return;
	}
	for (unsigned int f = 0; f < store->opened; f++)
		close(store->files[f].fd);
	free(store);
}

static void
test_per_session(void **state)
{
	per_session(MS_CAPFILE_PCAPNG, 3, 8);
	per_session(MS_CAPFILE_PCAPNG, 30, 4); /* fewer buffers than files */
	per_session(MS_CAPFILE_PCAPNG, 1, 2);
	per_session(MS_CAPFILE_PCAP, 3, 8);
}

/* A call that hangs in the kernel holds nobody up: neither the owner, nor, for long, the end. */
static void
test_hangs(void **state)
{
	struct store *store = store_new();
	struct ms_output_ledger ledger = {0};
	struct ms_capfile_options options = small;
	struct ms_capfile *file;
	struct timespec start, end;
	uint64_t i = 0;

	options.wait = false;
	faults.init_error = -EPERM;
	file = store_create(store, options, &ledger);
	offer_until(file, &i, &ledger.written, 100);

	faults.hang = true;
	offer(file, &i, 20000, 1);
	assert_true(test_drops(&ledger, MS_DROP_WRITER_BACKLOG) > 15000);
	faults.hang = false;
	offer_until(file, &i, &ledger.written, 1000);

	faults.hang = true;
	offer(file, &i, 20000, 1);
	clock_gettime(CLOCK_MONOTONIC, &start);
	assert_int_equal(ms_capfile_close(file), -ETIMEDOUT);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_in_range(end.tv_sec - start.tv_sec, 4, 9);
	test_balanced(&ledger);

	/* When it comes back, it leaves everything alone. */
	faults.hang = false;
	usleep(300000);
	test_balanced(&ledger);
	assert_int_equal(store->finished, 0);
	close(store->files[0].fd);
	free(store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finished),
		cmocka_unit_test(test_aligned),
		cmocka_unit_test(test_write_fails),
		cmocka_unit_test(test_ring_breaks),
		cmocka_unit_test(test_sync_fails),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_min_free),
		cmocka_unit_test(test_open_fails),
		cmocka_unit_test(test_per_session),
		cmocka_unit_test(test_hangs),
	};

	return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
