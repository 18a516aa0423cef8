/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compressed capture files: each is one frame, and what comes out of the libraries' own decoders is
 * what went in, in order, also of a file that failed and was cut.
 */
#include "capfile_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lz4frame.h>
#include <openssl/evp.h>
#include <rte_common.h>
#include <rte_mbuf.h>
#include <zstd.h>

#define PACKET_MAX 900
#define VARIANTS   53
#define ROOM       (256u << 20)

/* Small buffers, so that there are many. */
static struct ms_capfile_options
options_of(enum ms_capfile_compress compress, int level, uint32_t threads)
{
	return (struct ms_capfile_options){
		.wait = true,
		.snaplen = PACKET_MAX,
		.buffer_bytes = 16384,
		.application = "t",
		.compress = compress,
		.compress_level = level,
		.compress_threads = threads,
	};
}

/* A compressed file, unpacked. */
struct unpacked {
	uint8_t *bytes;
	size_t n;
};

static size_t
unpack_zstd(uint8_t *out, const uint8_t *bytes, size_t n)
{
	size_t got;

	assert_int_equal(ZSTD_findFrameCompressedSize(bytes, n), n);
	got = ZSTD_decompress(out, ROOM, bytes, n);
	assert_false(ZSTD_isError(got));
	return got;
}

static size_t
unpack_lz4(uint8_t *out, const uint8_t *bytes, size_t n)
{
	size_t got = 0, used = 0, left = 1, room, here;
	LZ4F_dctx *context;

	assert_false(LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)));
	for (; left != 0; used += here) {
		here = n - used;
		room = ROOM - got;
		left = LZ4F_decompress(context, out + got, &room, bytes + used, &here, NULL);
		assert_false(LZ4F_isError(left));
		assert_true(left == 0 || here > 0);
		got += room;
	}
	assert_int_equal(used, n);
	LZ4F_freeDecompressionContext(context);
	return got;
}

static struct unpacked
unpack(enum ms_capfile_compress compress, const uint8_t *bytes, size_t n)
{
	struct unpacked u = {.bytes = malloc(ROOM)};

	u.n = compress == MS_CAPFILE_ZSTD ? unpack_zstd(u.bytes, bytes, n)
	                                  : unpack_lz4(u.bytes, bytes, n);
	return u;
}

static struct unpacked
unpack_fd(enum ms_capfile_compress compress, int fd)
{
	struct unpacked u;
	size_t n;
	uint8_t *bytes = test_slurp(fd, &n);

	u = unpack(compress, bytes, n);
	free(bytes);
	return u;
}

static uint32_t
length_of(uint32_t i)
{
	return 1 + i % VARIANTS * 17;
}

/* Some are one byte again and again: matches at distances that the format remembers. */
static void
fill(uint8_t *packet, uint32_t i)
{
	if (i % 3 == 0)
		memset(packet, (int)i, PACKET_MAX);
	else
		test_fill(packet, PACKET_MAX, i);
}

static void
make_variants(struct ms_frame *variants)
{
	uint8_t packet[PACKET_MAX];

	for (uint32_t i = 0; i < VARIANTS; i++) {
		fill(packet, i);
		variants[i] =
			test_frame(test_mbuf(packet, length_of(i), 1), 0, test_session(i % 3), 0);
	}
}

/* Offers frames first..first + n, each numbered by its timestamp. */
static void
offer(struct ms_capfile *file, const struct ms_frame *variants, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++) {
		struct ms_frame frame = variants[i % VARIANTS];

		frame.timestamp = i;
		ms_capfile_burst(file, &frame, 1, 1);
	}
}

/* Packets of a file from number first on, none missing. Returns the next number. */
static uint32_t
expect_packets(const struct unpacked *u, uint32_t first)
{
	struct test_reading r = test_read(u->bytes, u->n);
	uint8_t packet[PACKET_MAX];
	uint32_t n = r.packets_n;

	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(r.packets[i].time, first + i);
		assert_int_equal(r.packets[i].captured, length_of(first + i));
		fill(packet, (first + i) % VARIANTS);
		assert_memory_equal(r.packets[i].bytes, packet, r.packets[i].captured);
	}
	test_reading_free(&r);
	return first + n;
}

static void
round_trip(enum ms_capfile_compress compress, int level, uint32_t threads)
{
	struct ms_capfile_options options = options_of(compress, level, threads);
	struct ms_frame variants[VARIANTS];
	struct ms_output_ledger ledger = {0};
	int fd = memfd_create("capfile", 0);
	uint32_t n = 1 + (uint32_t)rand() % 20000;
	struct ms_capfile *file;
	struct unpacked u;

	make_variants(variants);
	options.buffer_memory = (2 + threads + (uint32_t)rand() % 8) * 24576;
	file = ms_capfile_create(dup(fd), &options, test_registry, &ledger);
	assert_non_null(file);
	assert_true(ms_capfile_memory(file) <=
		    RTE_MAX(options.buffer_memory, (2 + (size_t)threads) * 24576));
	offer(file, variants, 0, n);
	assert_int_equal(ms_capfile_close(file), 0);
	test_balanced(&ledger);
	assert_int_equal(ms_count_read(&ledger.written), n);
	u = unpack_fd(compress, fd);
	assert_int_equal(expect_packets(&u, 0), n);
	free(u.bytes);
	close(fd);
	test_release(variants, VARIANTS);
}

static void
test_round_trip(void **state)
{
	for (uint32_t threads = 1; threads <= 5; threads += 2) {
		for (int level = 1; level <= 10; level += 4) {
			round_trip(MS_CAPFILE_ZSTD, level, threads);
			round_trip(MS_CAPFILE_LZ4, level, threads);
		}
	}
}

/* Files that follow each other, as ops see them; each end stands where its file does, since they
 * come in the order in which the disk is done with them. */
struct series {
	int fds[64];
	uint32_t opened;
	uint32_t finished;
	struct ms_capfile_finished ends[64];
};

static bool
is_same_file(int a, int b)
{
	struct stat of_a, of_b;

	assert_int_equal(fstat(a, &of_a), 0);
	assert_int_equal(fstat(b, &of_b), 0);
	return of_a.st_ino == of_b.st_ino && of_a.st_dev == of_b.st_dev;
}

static int
series_open(void *arg, uint32_t session)
{
	struct series *s = arg;

	assert_true(s->opened < RTE_DIM(s->fds));
	s->fds[s->opened] = memfd_create("capfile", 0);
	return dup(s->fds[s->opened++]);
}

static void
series_finished(void *arg, int fd, const struct ms_capfile_finished *finished)
{
	struct series *s = arg;
	uint32_t i = 0;

	while (i < s->opened && !is_same_file(s->fds[i], fd))
		i++;
	assert_true(i < s->opened);
	s->ends[i] = *finished;
	s->finished++;
	close(fd);
}

static const struct ms_capfile_ops series_ops = {series_open, series_finished};

/* Lengths and hashes are of what is on disk, and no frame is lost at a seam. */
static void
test_rotation(void **state)
{
	enum { N = 9999, EACH = 777 };

	for (int compress = MS_CAPFILE_ZSTD; compress <= MS_CAPFILE_LZ4; compress++) {
		struct ms_capfile_options options = options_of(compress, 1, 3);
		struct ms_frame variants[VARIANTS];
		struct ms_output_ledger ledger = {0};
		struct series s = {0};
		struct ms_capfile *file;
		uint32_t next = 0;

		make_variants(variants);
		options.rotate_packets = EACH;
		options.sha256 = true;
		options.ops = &series_ops;
		options.arg = &s;
		file = ms_capfile_create(-1, &options, test_registry, &ledger);
		assert_non_null(file);
		offer(file, variants, 0, N);
		assert_int_equal(ms_capfile_close(file), 0);
		test_balanced(&ledger);
		assert_int_equal(s.opened, N / EACH + 1);
		assert_int_equal(s.finished, s.opened);
		for (uint32_t i = 0; i < s.opened; i++) {
			struct unpacked u = unpack_fd(compress, s.fds[i]);
			uint8_t sha256[MS_CAPFILE_SHA256];
			size_t n;
			uint8_t *bytes = test_slurp(s.fds[i], &n);

			assert_int_equal(expect_packets(&u, next) - next, s.ends[i].frames);
			next += s.ends[i].frames;
			assert_int_equal(s.ends[i].bytes, n);
			assert_true(s.ends[i].hashed);
			EVP_Digest(bytes, n, sha256, NULL, EVP_sha256(), NULL);
			assert_memory_equal(sha256, s.ends[i].sha256, sizeof(sha256));
			free(bytes);
			free(u.bytes);
			close(s.fds[i]);
		}
		assert_int_equal(next, N);
		test_release(variants, VARIANTS);
	}
}

/* A file that can't grow is cut back to the last buffer that was written, and ends there. */
static void
test_cut_back(void **state)
{
	const struct rlimit limit = {.rlim_cur = 50000, .rlim_max = RLIM_INFINITY};

	for (int compress = MS_CAPFILE_ZSTD; compress <= MS_CAPFILE_LZ4; compress++) {
		struct ms_capfile_options options = options_of(compress, 1, 2);
		struct ms_frame variants[VARIANTS];
		struct ms_output_ledger ledger = {0};
		int fd = memfd_create("capfile", 0);
		struct rlimit unlimited;
		struct ms_capfile *file;
		struct unpacked u;

		make_variants(variants);
		file = ms_capfile_create(dup(fd), &options, test_registry, &ledger);
		assert_non_null(file);
		assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		offer(file, variants, 0, 20000);
		assert_int_equal(ms_capfile_close(file), -EFBIG);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
		test_balanced(&ledger);
		u = unpack_fd(compress, fd);
		assert_true(ms_count_read(&ledger.written) > 0);
		assert_int_equal(expect_packets(&u, 0), ms_count_read(&ledger.written));
		assert_int_equal(
			ms_count_read(&ledger.written) + test_drops(&ledger, MS_DROP_IO_ERROR),
			20000);
		free(u.bytes);
		close(fd);
		test_release(variants, VARIANTS);
	}
}

/* What can't be compressed in time is counted, and who offers it never waits. */
static void
test_backlog(void **state)
{
	enum { N = 50000 };
	struct ms_capfile_options options = options_of(MS_CAPFILE_ZSTD, 19, 1);
	struct ms_frame variants[VARIANTS];
	struct ms_output_ledger ledger = {0};
	int fd = memfd_create("capfile", 0);
	struct ms_capfile *file;
	struct test_reading r;
	struct unpacked u;

	make_variants(variants);
	options.wait = false;
	options.buffer_memory = 1; /* the least there can be */
	file = ms_capfile_create(dup(fd), &options, test_registry, &ledger);
	assert_non_null(file);
	offer(file, variants, 0, N);
	assert_int_equal(ms_capfile_close(file), 0);
	test_balanced(&ledger);
	assert_true(test_drops(&ledger, MS_DROP_WRITER_BACKLOG) > 0);
	assert_int_equal(
		ms_count_read(&ledger.written) + test_drops(&ledger, MS_DROP_WRITER_BACKLOG), N);
	u = unpack_fd(MS_CAPFILE_ZSTD, fd);
	r = test_read(u.bytes, u.n);
	assert_int_equal(r.packets_n, ms_count_read(&ledger.written));
	test_reading_free(&r);
	free(u.bytes);
	close(fd);
	test_release(variants, VARIANTS);
}

/* A file whose last buffer is empty has no empty frame at its end, which readers may stumble over.
 */
static void
test_empty_end(void **state)
{
	struct ms_capfile_options options = options_of(MS_CAPFILE_LZ4, 1, 1);
	struct ms_frame variants[VARIANTS];
	struct ms_output_ledger ledger = {0};
	int fd = memfd_create("capfile", 0);
	struct ms_capfile *file;
	uint8_t *bytes, *out = malloc(ROOM);
	size_t n;

	make_variants(variants);
	options.format = MS_CAPFILE_PCAP;
	file = ms_capfile_create(dup(fd), &options, test_registry, &ledger);
	assert_non_null(file);
	offer(file, variants, 0, 3);
	ms_capfile_flush(file, 1);
	ms_capfile_flush(file, UINT64_C(10000000000));
	assert_int_equal(ms_capfile_close(file), 0);
	test_balanced(&ledger);
	bytes = test_slurp(fd, &n);
	assert_int_equal(unpack_lz4(out, bytes, n),
		24 + 3 * 16 + length_of(0) + length_of(1) + length_of(2));
	free(bytes);
	free(out);
	close(fd);
	test_release(variants, VARIANTS);
}

struct reader {
	int fd;
	uint8_t *bytes;
	size_t n;
};

static void *
read_all(void *arg)
{
	struct reader *r = arg;
	ssize_t n;

	r->bytes = malloc(ROOM);
	while ((n = read(r->fd, r->bytes + r->n, ROOM - r->n)) > 0)
		r->n += n;
	return NULL;
}

static void
test_pipe(void **state)
{
	enum { N = 20000 };
	struct ms_capfile_options options = options_of(MS_CAPFILE_ZSTD, 3, 2);
	struct ms_frame variants[VARIANTS];
	struct ms_output_ledger ledger = {0};
	struct ms_capfile *file;
	struct reader reader = {0};
	struct unpacked u;
	pthread_t thread;
	int ends[2];

	make_variants(variants);
	assert_int_equal(pipe(ends), 0);
	reader.fd = ends[0];
	assert_int_equal(pthread_create(&thread, NULL, read_all, &reader), 0);
	file = ms_capfile_create(ends[1], &options, test_registry, &ledger);
	assert_non_null(file);
	offer(file, variants, 0, N);
	assert_int_equal(ms_capfile_close(file), 0);
	pthread_join(thread, NULL);
	test_balanced(&ledger);
	u = unpack(MS_CAPFILE_ZSTD, reader.bytes, reader.n);
	assert_int_equal(expect_packets(&u, 0), N);
	free(u.bytes);
	free(reader.bytes);
	close(ends[0]);
	test_release(variants, VARIANTS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_cut_back),
		cmocka_unit_test(test_backlog),
		cmocka_unit_test(test_empty_end),
		cmocka_unit_test(test_pipe),
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests_name("capfile_compress", tests, test_setup, test_teardown);
}
