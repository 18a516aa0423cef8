/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How capture files reach their descriptor: in order and whole, with a slow reader, no reader, no
 * space, and that the ledger tells the truth each time. What they hold is in capfile_test.c.
 */
#include "capfile_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_pause.h>

#define FRAME_BYTES 256
#define MS          1000000ull

/* Two buffers of some 60 frames each. */
static const struct ms_capfile_options small = {
	.snaplen = FRAME_BYTES,
	.buffer_bytes = 16384,
	.buffer_memory = 2 * 16384,
	.application = "t",
};

/* A capture file on its way into a pipe, and who reads it. */
struct stream {
	struct ms_output_ledger ledger;
	struct ms_capfile *file;
	int fd; /* to read from */
	pthread_t thread;
	uint8_t *bytes;
	size_t n;
	useconds_t pause; /* between reads */
	long sleeps;      /* of the owner */
};

/* ledger: or NULL for the stream's own. */
static void
stream_open(
	struct stream *s, const struct ms_capfile_options *options, struct ms_output_ledger *ledger)
{
	int ends[2];

	memset(s, 0, sizeof(*s));
	assert_int_equal(pipe(ends), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) >= 4096);
	s->fd = ends[0];
	s->file = ms_capfile_create(
		ends[1], options, test_registry, ledger != NULL ? ledger : &s->ledger);
	assert_non_null(s->file);
}

static void *
read_all(void *arg)
{
	struct stream *s = arg;
	size_t room = 1 << 16;
	ssize_t n;

	s->bytes = malloc(room);
	while ((n = read(s->fd, s->bytes + s->n, room - s->n)) > 0) {
		s->n += n;
		if (s->n == room)
			s->bytes = realloc(s->bytes, room *= 2);
		if (s->pause != 0)
			usleep(s->pause);
	}
	return NULL;
}

static void
stream_read(struct stream *s)
{
	assert_int_equal(pthread_create(&s->thread, NULL, read_all, s), 0);
}

/* Closes the file, and takes apart what the reader got. */
static struct test_reading
stream_close(struct stream *s)
{
	assert_int_equal(ms_capfile_close(s->file), 0);
	assert_int_equal(pthread_join(s->thread, NULL), 0);
	close(s->fd);
	test_balanced(&s->ledger);
	return test_read(s->bytes, s->n);
}

static struct ms_frame
one_frame(void)
{
	uint8_t packet[FRAME_BYTES];

	test_fill(packet, sizeof(packet), 1);
	return test_frame(test_mbuf(packet, sizeof(packet), 1), 0, test_session(64), 0);
}

/* Offers n copies of a frame one by one, numbered by their timestamps. */
static void
offer(struct ms_capfile *file, struct ms_frame *frame, uint32_t n)
{
	while (n-- > 0) {
		ms_capfile_burst(file, frame, 1, 1);
		frame->timestamp++;
	}
}

static uint64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 * MS + t.tv_nsec;
}

static bool
readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

/* Waiting for buffers loses nothing and keeps the order, whatever the sizes. */
static void
test_wait_order(void **state)
{
	enum { N = 100000 };
	struct ms_capfile_options options = small;
	struct ms_frame frames[MS_BURST], variants[97];
	uint8_t packet[FRAME_BYTES];
	struct test_reading r;
	struct stream s;
	uint32_t i, k;

	for (i = 0; i < RTE_DIM(variants); i++) {
		test_fill(packet, sizeof(packet), i);
		variants[i] = test_frame(
			test_mbuf(packet, i * 2 + 1, 1 + i % 3), 0, test_session(i % 5), 0);
	}
	options.wait = true;
	stream_open(&s, &options, NULL);
	stream_read(&s);
	for (i = 0; i < N; i += k) {
		for (k = 0; k < RTE_MIN((uint32_t)MS_BURST, N - i); k++) {
			frames[k] = variants[(i + k) % RTE_DIM(variants)];
			frames[k].timestamp = i + k;
		}
		ms_capfile_burst(s.file, frames, k, 1);
	}
	r = stream_close(&s);
	assert_int_equal(ms_count_read(&s.ledger.written), N);
	assert_int_equal(r.packets_n, N);
	for (i = 0; i < N; i++) {
		test_fill(packet, sizeof(packet), i % RTE_DIM(variants));
		assert_int_equal(r.packets[i].time, i);
		assert_int_equal(r.packets[i].captured, i % RTE_DIM(variants) * 2 + 1);
		assert_memory_equal(r.packets[i].bytes, packet, r.packets[i].captured);
	}
	test_reading_free(&r);
	free(s.bytes);
	test_release(variants, RTE_DIM(variants));
}

/* Nobody reads: what does not fit is counted, in the file too; then somebody does, and all is
 * well again. */
static void
test_backlog(void **state)
{
	enum { N = 5000, LATE = 30 };
	struct stream s;
	struct ms_frame frame = one_frame(), stranger = frame;
	struct test_reading r;
	uint64_t dropped, i;

	stream_open(&s, &small, NULL);
	offer(s.file, &frame, N);
	stranger.session = test_session(4711); /* of which no frame gets in */
	offer(s.file, &stranger, 3);
	dropped = test_drops(&s.ledger, MS_DROP_WRITER_BACKLOG);
	assert_int_equal(ms_count_read(&s.ledger.offered), N + 3);
	assert_int_equal(ms_count_read(&s.ledger.written), 0);
	/* Both buffers are full: each holds less than it would without any headers. */
	assert_in_range(dropped, N - 2 * 16384 / FRAME_BYTES, N);

	stream_read(&s);
	for (i = now(); ms_count_read(&s.ledger.written) + dropped < N + 3;) {
		assert_true(now() - i < 10000 * MS);
		usleep(1000);
	}
	offer(s.file, &frame, LATE);
	r = stream_close(&s);
	assert_int_equal(test_drops(&s.ledger, MS_DROP_WRITER_BACKLOG), dropped);
	assert_int_equal(ms_count_read(&s.ledger.written), N + 3 + LATE - dropped);
	assert_int_equal(r.packets_n, N + 3 + LATE - dropped);
	assert_int_equal(r.packets[0].time, 0);
	assert_int_equal(r.packets[r.packets_n - 1].time, N + LATE - 1);
	assert_int_equal(r.packets[r.packets_n - LATE].time, N);
	assert_int_equal(r.interfaces_n, 2);
	assert_int_equal(r.interfaces[0].received, N + LATE);
	assert_int_equal(r.interfaces[0].dropped, dropped - 3);
	assert_string_equal(r.interfaces[1].name, "vni4711");
	assert_int_equal(r.interfaces[1].received, 3);
	assert_int_equal(r.interfaces[1].dropped, 3);
	test_reading_free(&r);
	free(s.bytes);
	test_release(&frame, 1);
}

/* A reader that is slow but reads, from the last frame to beyond the close. */
static void
test_slow_reader(void **state)
{
	struct stream s;
	struct ms_frame frame = one_frame();
	struct test_reading r;

	stream_open(&s, &small, NULL);
	s.pause = 2000;
	stream_read(&s);
	offer(s.file, &frame, 2000);
	r = stream_close(&s);
	assert_int_equal(r.packets_n, ms_count_read(&s.ledger.written));
	assert_true(r.packets_n >= 100);
	assert_int_equal(r.interfaces[0].dropped, 2000 - r.packets_n);
	test_reading_free(&r);
	free(s.bytes);
	test_release(&frame, 1);
}

/* A stream's reader sees what there is within 100 ms, and not a system call a frame before. */
static void
test_flush(void **state)
{
	struct stream s;
	struct ms_frame frame = one_frame();
	struct test_reading r;

	stream_open(&s, &small, NULL);
	ms_capfile_flush(s.file, 7000 * MS);
	offer(s.file, &frame, 1);
	ms_capfile_flush(s.file, 7050 * MS);
	ms_capfile_flush(s.file, 7079 * MS);
	assert_false(readable(s.fd, 50));
	ms_capfile_flush(s.file, 7080 * MS);
	assert_true(readable(s.fd, 5000));

	/* The clock of the next buffer begins anew. */
	stream_read(&s);
	while (ms_count_read(&s.ledger.written) == 0)
		usleep(1000);
	offer(s.file, &frame, 1);
	ms_capfile_flush(s.file, 7300 * MS);
	usleep(50000);
	assert_int_equal(ms_count_read(&s.ledger.written), 1);
	ms_capfile_flush(s.file, 7401 * MS);
	while (ms_count_read(&s.ledger.written) == 1)
		usleep(1000);
	r = stream_close(&s);
	assert_int_equal(r.packets_n, 2);
	test_reading_free(&r);
	free(s.bytes);
	test_release(&frame, 1);
}

/* Offers frames until the writer has met its error, and after it. */
static void
offer_until(struct ms_capfile *file, struct ms_output_ledger *ledger, enum ms_drop reason)
{
	struct ms_frame frame = one_frame();
	uint64_t dropped, start = now();

	while (test_drops(ledger, reason) == 0) {
		assert_true(now() - start < 10000 * MS);
		offer(file, &frame, 1);
	}
	/* From now on the reason is known at once. */
	dropped = test_drops(ledger, reason);
	offer(file, &frame, 1000);
	assert_true(test_drops(ledger, reason) >= dropped + 1000);
	test_release(&frame, 1);
}

static void
test_disk_full(void **state)
{
	struct ms_output_ledger ledger = {0};
	struct ms_capfile *file =
		ms_capfile_create(open("/dev/full", O_WRONLY), &small, test_registry, &ledger);

	assert_non_null(file);
	offer_until(file, &ledger, MS_DROP_DISK_FULL);
	assert_int_equal(ms_capfile_close(file), -ENOSPC);
	test_balanced(&ledger);
	assert_int_equal(ms_count_read(&ledger.written), 0);
	assert_int_equal(test_drops(&ledger, MS_DROP_IO_ERROR), 0);
}

static void
test_broken_pipe(void **state)
{
	struct stream s;

	stream_open(&s, &small, NULL);
	close(s.fd);
	offer_until(s.file, &s.ledger, MS_DROP_IO_ERROR);
	assert_int_equal(ms_capfile_close(s.file), -EPIPE);
	test_balanced(&s.ledger);
	assert_int_equal(ms_count_read(&s.ledger.written), 0);
	assert_int_equal(test_drops(&s.ledger, MS_DROP_DISK_FULL), 0);
}

/*
 * A write that ends in the midst of a buffer: the file is cut back, and holds what the ledger says.
 * `before` is what the file has in it already: behind that it is written another way.
 */
static void
cut_back(const char *before, bool cached)
{
	const struct rlimit limit = {.rlim_cur = 100000, .rlim_max = RLIM_INFINITY};
	struct ms_capfile_options options = small;
	struct ms_output_ledger ledger = {0};
	int fd = memfd_create("capfile", 0);
	size_t n, skip = strlen(before);
	struct ms_capfile *file;
	struct test_reading r;
	struct rlimit unlimited;
	uint8_t *bytes;

	options.wait = true;
	options.cached = cached;
	assert_int_equal(write(fd, before, skip), skip);
	file = ms_capfile_create(dup(fd), &options, test_registry, &ledger);
	assert_non_null(file);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	offer_until(file, &ledger, MS_DROP_IO_ERROR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);

	/* Now already, not only when it is closed. */
	bytes = test_slurp(fd, &n);
	assert_in_range(n, 100000 - 16384, 99999);
	assert_memory_equal(bytes, before, skip);
	r = test_read(bytes + skip, n - skip);
	assert_int_equal(ms_capfile_close(file), -EFBIG);
	test_balanced(&ledger);
	assert_true(r.packets_n > 0);
	assert_int_equal(r.packets_n, ms_count_read(&ledger.written));
	close(fd);
	free(bytes);
	test_reading_free(&r);
}

static void
test_cut_back(void **state)
{
	cut_back("", false);
	cut_back("", true);
	cut_back("before", false);
}

/* Many small hand-overs, each ending anywhere in a block: the file on disk has no seam. */
static void
test_seams(void **state)
{
	enum { N = 1500 };
	char path[] = "capfile_writer_test.XXXXXX";
	struct ms_capfile_options options = small;
	struct ms_output_ledger ledger = {0};
	struct ms_frame frame = one_frame();
	int fd = mkostemp(path, O_CLOEXEC);
	struct ms_capfile *file;
	struct test_reading r;
	uint8_t *bytes;
	uint64_t i, clock = 0;
	size_t n;

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	file = ms_capfile_create(dup(fd), &options, test_registry, &ledger);
	assert_non_null(file);
	for (i = 0; i < N; i++) {
		frame.length = i % (FRAME_BYTES + 1);
		offer(file, &frame, 1);
		while (i % 3 == 0 && ms_count_read(&ledger.written) <= i) {
			ms_capfile_flush(file, clock += 200 * MS);
			sched_yield();
		}
	}
	assert_int_equal(ms_capfile_close(file), 0);
	test_balanced(&ledger);
	bytes = test_slurp(fd, &n);
	r = test_read(bytes, n);
	assert_int_equal(r.packets_n, N);
	for (i = 0; i < N; i++) {
		assert_int_equal(r.packets[i].time, i);
		assert_int_equal(r.packets[i].captured, r.packets[i].time % (FRAME_BYTES + 1));
		assert_memory_equal(r.packets[i].bytes, (uint8_t *)frame.mbuf + frame.data,
			r.packets[i].captured);
	}
	close(fd);
	free(bytes);
	test_reading_free(&r);
	test_release(&frame, 1);
}

/* Two files of one output, the first one still being written out: one ledger, one sum. */
static void
test_shared_ledger(void **state)
{
	struct ms_frame frame = one_frame();
	struct stream first, second;
	struct test_reading a, b;

	stream_open(&first, &small, NULL);
	stream_open(&second, &small, &first.ledger);
	offer(first.file, &frame, 2000);
	offer(second.file, &frame, 2000);
	stream_read(&first);
	stream_read(&second);
	assert_int_equal(ms_capfile_close(second.file), 0);
	assert_int_equal(pthread_join(second.thread, NULL), 0);
	a = stream_close(&first);
	b = test_read(second.bytes, second.n);
	assert_int_equal(ms_count_read(&first.ledger.offered), 4000);
	assert_int_equal(ms_count_read(&first.ledger.written), a.packets_n + b.packets_n);
	test_reading_free(&a);
	test_reading_free(&b);
	free(first.bytes);
	free(second.bytes);
	close(second.fd);
	test_release(&frame, 1);
}

/* How often the calling thread has gone to sleep. */
static long
sleeps(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
	return usage.ru_nvcsw;
}

static void *
offer_slowly(void *arg)
{
	struct stream *s = arg;
	struct ms_frame frame = one_frame();
	long before = sleeps();

	offer(s->file, &frame, 1000);
	s->sleeps = sleeps() - before;
	test_release(&frame, 1);
	return NULL;
}

/* An owner that waits for a reader sleeps, until there is a buffer for it: it does not look all the
 * time. */
static void
test_wait_asleep(void **state)
{
	struct ms_capfile_options options = small;
	struct test_reading r;
	struct stream s;
	pthread_t owner;

	options.wait = true;
	stream_open(&s, &options, NULL);
	assert_int_equal(pthread_create(&owner, NULL, offer_slowly, &s), 0);
	usleep(300000);
	assert_true(ms_count_read(&s.ledger.offered) < 1000);
	stream_read(&s);
	assert_int_equal(pthread_join(owner, NULL), 0);
	r = stream_close(&s);
	assert_int_equal(r.packets_n, 1000);
	assert_in_range(s.sleeps, 1, 200); /* of some 20 buffers */
	test_reading_free(&r);
	free(s.bytes);
}

#define CROWD      1500u /* frames */
#define PROCESSORS 2u    /* that are crowded: the main lcore's and another one */

static int processors[PROCESSORS];
static _Atomic(bool) crowd_ended;

/* The first two that the program may use, or the only one twice. EAL binds this thread. */
static void
find_processors(void)
{
	cpu_set_t set;
	uint32_t n = 0;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return;
	for (int i = 0; i < CPU_SETSIZE && n < PROCESSORS; i++) {
		if (CPU_ISSET(i, &set))
			processors[n++] = i;
	}
	if (n == 1)
		processors[1] = processors[0];
}

static int
open_nameless(void *arg, uint32_t session)
{
	char path[] = "capfile_writer_test.XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

/* Sums up what all files hold. */
static void
add_frames(void *arg, int fd, const struct ms_capfile_finished *finished)
{
	uint64_t *frames = arg;

	*frames += finished->frames;
	close(fd);
}

/* Bounds the calling thread to the processor number i of those that the program may use. */
static void
use_processor(uint32_t i)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(processors[i], &set);
	assert_int_equal(pthread_setaffinity_np(pthread_self(), sizeof(set), &set), 0);
}

/* An lcore that polls for ever. */
static void *
poll_beside(void *arg)
{
	uint32_t *processor = arg;

	use_processor(*processor);
	while (!atomic_load_explicit(&crowd_ended, memory_order_relaxed))
		rte_pause();
	return NULL;
}

static void *
offer_to_crowd(void *arg)
{
	struct ms_frame frame = one_frame();

	use_processor(PROCESSORS - 1);
	for (uint32_t i = 0; i < CROWD; i++) {
		frame.session = test_session(i * 7 % 12);
		offer(arg, &frame, 1);
	}
	test_release(&frame, 1);
	return NULL;
}

/*
 * A file ends with nearly each frame, so the owner waits for one of few buffers nearly all the
 * time, and all processors have an lcore that polls, the owner's too. The kernel's threads that
 * complete direct writes must get their turn all the same: where the owner slept for 50 us at a
 * time, Linux 6.18 let them starve.
 */
static void
test_crowded(void **state)
{
	static const struct ms_capfile_ops nameless = {
		.open = open_nameless, .finished = add_frames};
	uint64_t frames = 0;
	const struct ms_capfile_options options = {
		.snaplen = FRAME_BYTES,
		.buffer_bytes = 16384,
		.application = "t",
		.per_session = true,
		.max_open = 5,
		.wait = true,
		.ops = &nameless,
		.arg = &frames,
	};
	struct ms_output_ledger ledger = {0};
	struct ms_capfile *file = ms_capfile_create(-1, &options, test_registry, &ledger);
	pthread_t owner, beside[PROCESSORS];
	uint32_t numbers[PROCESSORS];

	assert_non_null(file);
	for (uint32_t i = 0; i < PROCESSORS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&beside[i], NULL, poll_beside, &numbers[i]), 0);
	}
	assert_int_equal(pthread_create(&owner, NULL, offer_to_crowd, file), 0);
	assert_int_equal(pthread_join(owner, NULL), 0);
	assert_int_equal(ms_capfile_close(file), 0);
	atomic_store_explicit(&crowd_ended, true, memory_order_relaxed);
	for (uint32_t i = 0; i < PROCESSORS; i++)
		assert_int_equal(pthread_join(beside[i], NULL), 0);
	test_balanced(&ledger);
	assert_int_equal(ms_count_read(&ledger.written), CROWD);
	assert_int_equal(frames, CROWD);
}

static void *
offer_all(void *arg)
{
	struct stream *s = arg;
	struct ms_frame frame = one_frame();

	offer(s->file, &frame, 1000);
	test_release(&frame, 1);
	return NULL;
}

/* Pipes that nobody will ever read, one with an owner that waits: neither holds the program up. */
static void
test_stuck(void **state)
{
	struct ms_capfile_options options = small;
	struct stream dropping, waiting;
	struct ms_frame frame = one_frame();
	pthread_t owner;
	uint64_t start;

	stream_open(&dropping, &small, NULL);
	options.wait = true;
	stream_open(&waiting, &options, NULL);
	assert_int_equal(pthread_create(&owner, NULL, offer_all, &waiting), 0);
	offer(dropping.file, &frame, 1000);
	usleep(300000);
	assert_true(ms_count_read(&waiting.ledger.offered) < 1000);

	start = now();
	ms_capfile_hasten(waiting.file);
	assert_int_equal(ms_capfile_close(dropping.file), -ETIMEDOUT);
	assert_in_range(now() - start, 4500 * MS, 8000 * MS);
	assert_int_equal(pthread_join(owner, NULL), 0);
	assert_int_equal(ms_capfile_close(waiting.file), -ETIMEDOUT);
	assert_in_range(now() - start, 4500 * MS, 8000 * MS);

	test_balanced(&dropping.ledger);
	test_balanced(&waiting.ledger);
	assert_int_equal(test_drops(&dropping.ledger, MS_DROP_WRITER_BACKLOG), 1000);
	assert_int_equal(test_drops(&waiting.ledger, MS_DROP_WRITER_BACKLOG), 1000);
	close(dropping.fd);
	close(waiting.fd);
	test_release(&frame, 1);
}

/* Standard output is given back open, and blocking as it was. */
static void
test_standard_output(void **state)
{
	struct ms_output_ledger ledger = {0};
	int saved = dup(STDOUT_FILENO), ends[2];
	struct ms_capfile *file;
	int during, after;

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
	file = ms_capfile_create(STDOUT_FILENO, &small, test_registry, &ledger);
	during = fcntl(STDOUT_FILENO, F_GETFL);
	if (file != NULL && ms_capfile_close(file) != 0)
		file = NULL;
	after = fcntl(STDOUT_FILENO, F_GETFL);
	dup2(saved, STDOUT_FILENO);
	assert_non_null(file);
	assert_true((during & O_NONBLOCK) != 0);
	assert_int_equal(after & O_NONBLOCK, 0);
	assert_true(readable(ends[0], 0));
	close(saved);
	close(ends[0]);
	close(ends[1]);
}

static void
test_create_fails(void **state)
{
	struct ms_capfile_options options = small;
	struct ms_output_ledger ledger = {0};
	struct ms_capfile *file;
	int fd;

	assert_null(ms_capfile_create(-1, &small, test_registry, &ledger));
	assert_int_equal(rte_errno, EBADF);

	fd = memfd_create("capfile", 0);
	options.buffer_bytes = SIZE_MAX / 4;
	assert_null(ms_capfile_create(fd, &options, test_registry, &ledger));
	assert_int_equal(rte_errno, ENOMEM);
	assert_int_equal(fcntl(fd, F_GETFD), -1);

	options = small;
	options.buffer_memory = 5 * 16384 + 100;
	file = ms_capfile_create(memfd_create("capfile", 0), &options, test_registry, &ledger);
	assert_non_null(file);
	assert_int_equal(ms_capfile_memory(file), 5 * 16384);
	assert_int_equal(ms_capfile_close(file), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait_order),
		cmocka_unit_test(test_backlog),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_broken_pipe),
		cmocka_unit_test(test_cut_back),
		cmocka_unit_test(test_seams),
		cmocka_unit_test(test_shared_ledger),
		cmocka_unit_test(test_wait_asleep),
		cmocka_unit_test(test_crowded),
		cmocka_unit_test(test_stuck),
		cmocka_unit_test(test_standard_output),
		cmocka_unit_test(test_create_fails),
	};

	find_processors();
	return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
