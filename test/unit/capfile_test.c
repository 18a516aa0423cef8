/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What capture files hold, to the byte: pcapng and pcap, cut and segmented frames, outer headers,
 * many sessions. How they reach the descriptor is in capfile_writer_test.c.
 */
#include "capfile_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <rte_mbuf.h>

#define SECOND 1000000000ull

/* What a file should be, put together word by word. */
struct expected {
	uint8_t bytes[8192];
	size_t n;
};

static void
add(struct expected *e, const void *bytes, size_t n)
{
	assert_true(e->n + n <= sizeof(e->bytes));
	memcpy(e->bytes + e->n, bytes, n);
	e->n += n;
}

static void
add_words(struct expected *e, const uint32_t *words, size_t n)
{
	add(e, words, n * sizeof(*words));
}
#define WORDS(e, ...)                                 \
	add_words(e, (const uint32_t[]){__VA_ARGS__}, \
		sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

/* A text as it stands in an option: zeros up to the next word. */
static void
add_text(struct expected *e, const char *text)
{
	add(e, text, strlen(text));
	add(e, "\0\0\0", -strlen(text) & 3);
}

static void
add_section(struct expected *e, const char *application)
{
	struct utsname host;
	char os[256];
	uint32_t os_n, application_n = strlen(application), length;

	assert_int_equal(uname(&host), 0);
	snprintf(os, sizeof(os), "%s %s", host.sysname, host.release);
	os_n = strlen(os);
	length = 28 + 4 + RTE_ALIGN_CEIL(os_n, 4u) + 4 + RTE_ALIGN_CEIL(application_n, 4u) + 4;
	WORDS(e, 0x0a0d0d0a, length, 0x1a2b3c4d, 0x00000001, 0xffffffff, 0xffffffff);
	WORDS(e, os_n << 16 | 3);
	add_text(e, os);
	WORDS(e, application_n << 16 | 4);
	add_text(e, application);
	WORDS(e, 0, length);
}

/* Writes frames to a new file in memory, and returns its bytes; everything must be written. */
static uint8_t *
write_file(const struct ms_capfile_options *options, const struct ms_frame *frames, uint32_t n,
	size_t *size)
{
	struct ms_output_ledger ledger = {0};
	int fd = test_open();
	struct ms_capfile *file;
	uint64_t payload = 0;
	uint8_t *bytes;
	uint32_t i;

	file = ms_capfile_create(dup(fd), options, test_registry, &ledger);
	assert_non_null(file);
	for (i = 0; i < n; i += MS_BURST)
		ms_capfile_burst(file, frames + i, RTE_MIN(n - i, (uint32_t)MS_BURST), 1);
	assert_int_equal(ms_capfile_close(file), 0);
	for (i = 0; i < n; i++)
		payload += RTE_MIN(frames[i].length + (options->outer ? frames[i].offset : 0u),
			options->snaplen != 0 ? options->snaplen : UINT32_MAX);
	test_balanced(&ledger);
	assert_int_equal(ms_count_read(&ledger.offered), n);
	assert_int_equal(ms_count_read(&ledger.written), n);
	assert_int_equal(ms_count_read(&ledger.bytes), payload);
	bytes = test_slurp(fd, size);
	close(fd);
	return bytes;
}

static void
expect_file(const struct ms_capfile_options *options, const struct ms_frame *frames, uint32_t n,
	const struct expected *e)
{
	size_t size;
	uint8_t *bytes = write_file(options, frames, n, &size);

	assert_int_equal(size, e->n);
	assert_memory_equal(bytes, e->bytes, e->n);
	free(bytes);
}

static void
test_pcapng_bytes(void **state)
{
	struct ms_session_info named = {
		.name = "tms-0123456789abcdef0",
		.description = "web tier",
		.vni = 65,
	};
	struct ms_capfile_options options = {.application = "mirrorsink 0.1.0"};
	uint32_t learned = test_session(64), slot = ms_session_add(test_registry, &named);
	const uint8_t *inner = (const uint8_t *)"ABCDEFGHIJ";
	uint64_t time = 0x1234567890abcdefull;
	struct ms_frame frames[3];
	struct expected e = {0};

	frames[0] = test_frame(test_mbuf((const uint8_t *)"outerABCDE", 10, 1), 5, slot, time);
	frames[0].direction = MS_DIRECTION_EGRESS;
	frames[0].original_length = 1500;
	frames[1] = test_frame(test_mbuf(inner, 8, 1), 0, learned, time + 1);
	frames[1].direction = MS_DIRECTION_INGRESS;
	frames[2] = test_frame(test_mbuf((const uint8_t *)"outer", 5, 1), 5, slot, time - 1);
	frames[2].original_length = 60;

	add_section(&e, "mirrorsink 0.1.0");
	WORDS(&e, 1, 72, 1, 262144, 21 << 16 | 2);
	add_text(&e, "tms-0123456789abcdef0");
	WORDS(&e, 8 << 16 | 3);
	add_text(&e, "web tier");
	WORDS(&e, 1 << 16 | 9, 9, 0, 72);
	WORDS(&e, 6, 52, 0, 0x12345678, 0x90abcdef, 5, 1500);
	add_text(&e, "ABCDE");
	WORDS(&e, 4 << 16 | 2, 2, 0, 52);
	WORDS(&e, 1, 44, 1, 262144, 5 << 16 | 2);
	add_text(&e, "vni64");
	WORDS(&e, 1 << 16 | 9, 9, 0, 44);
	WORDS(&e, 6, 52, 1, 0x12345678, 0x90abcdf0, 8, 8);
	add_text(&e, "ABCDEFGH");
	WORDS(&e, 4 << 16 | 2, 1, 0, 52);
	WORDS(&e, 6, 44, 0, 0x12345678, 0x90abcdee, 0, 60);
	WORDS(&e, 4 << 16 | 2, 0, 0, 44);
	/* Statistics in order of slots: the learned session was there first. */
	WORDS(&e, 5, 76, 1, 0x12345678, 0x90abcdf0);
	WORDS(&e, 8 << 16 | 2, 0x12345678, 0x90abcdee, 8 << 16 | 3, 0x12345678, 0x90abcdf0);
	WORDS(&e, 8 << 16 | 4, 1, 0, 8 << 16 | 5, 0, 0, 0, 76);
	WORDS(&e, 5, 76, 0, 0x12345678, 0x90abcdf0);
	WORDS(&e, 8 << 16 | 2, 0x12345678, 0x90abcdee, 8 << 16 | 3, 0x12345678, 0x90abcdf0);
	WORDS(&e, 8 << 16 | 4, 2, 0, 8 << 16 | 5, 0, 0, 0, 76);
	assert_true(learned < slot);
	expect_file(&options, frames, 3, &e);
	test_release(frames, 3);
}

static void
test_pcap_bytes(void **state)
{
	struct ms_capfile_options options = {.format = MS_CAPFILE_PCAP, .snaplen = 6};
	const uint64_t last = UINT32_MAX * SECOND + SECOND - 1;
	struct ms_frame frames[6];
	struct expected e = {0};

	frames[0] = test_frame(test_mbuf((const uint8_t *)"xABC", 4, 1), 1, 7, 5 * SECOND + 7);
	frames[1] = test_frame(test_mbuf((const uint8_t *)"ABCDEFGHI", 9, 1), 0, 7, 6 * SECOND);
	frames[2] = test_frame(test_mbuf((const uint8_t *)"A", 1, 1), 0, 8, 6 * SECOND - 1);
	frames[2].original_length = 64;
	frames[3] = test_frame(test_mbuf((const uint8_t *)"", 0, 1), 0, 8, last);
	frames[4] = test_frame(test_mbuf((const uint8_t *)"B", 1, 1), 0, 8, last + 1);
	frames[5] = test_frame(test_mbuf((const uint8_t *)"C", 1, 1), 0, 8, UINT64_MAX);

	WORDS(&e, 0xa1b23c4d, 4 << 16 | 2, 0, 0, 6, 1);
	WORDS(&e, 5, 7, 3, 3);
	add(&e, "ABC", 3);
	WORDS(&e, 6, 0, 6, 9);
	add(&e, "ABCDEF", 6);
	WORDS(&e, 5, 999999999, 1, 64);
	add(&e, "A", 1);
	WORDS(&e, UINT32_MAX, 999999999, 0, 0);
	WORDS(&e, UINT32_MAX, 999999999, 1, 1);
	add(&e, "B", 1);
	WORDS(&e, UINT32_MAX, 999999999, 1, 1);
	add(&e, "C", 1);
	expect_file(&options, frames, 6, &e);
	test_release(frames, 6);
}

static void
test_empty(void **state)
{
	struct ms_capfile_options options = {.application = "a"};
	struct expected e = {0};

	add_section(&e, "a");
	expect_file(&options, NULL, 0, &e);

	e.n = 0;
	options.format = MS_CAPFILE_PCAP;
	WORDS(&e, 0xa1b23c4d, 4 << 16 | 2, 0, 0, 262144, 1);
	expect_file(&options, NULL, 0, &e);
}

/* Long texts are cut between two characters, and the block still stands. */
static void
test_long_texts(void **state)
{
	char description[3002], application[5000];
	struct ms_session_info info = {.name = "tms-long", .description = description, .vni = 9};
	struct ms_capfile_options options = {.application = application};
	struct test_reading r;
	struct ms_frame frame;
	uint8_t *bytes;
	uint32_t i;
	size_t n;

	description[0] = 'x';
	for (i = 1; i + 2 < sizeof(description); i += 3) /* euro signs: 1 + 341 * 3 == 1024 */
		memcpy(description + i, "\xe2\x82\xac", 3);
	description[i] = '\0';
	memset(application, 'a', sizeof(application) - 1);
	application[sizeof(application) - 1] = '\0';
	frame = test_frame(test_mbuf((const uint8_t *)"frame", 5, 1), 0,
		ms_session_add(test_registry, &info), 1);
	bytes = write_file(&options, &frame, 1, &n);
	r = test_read(bytes, n);
	assert_int_equal(r.interfaces_n, 1);
	assert_int_equal(strlen(r.interfaces[0].description), 1024);

	/* One byte further on, the last sign does not fit whole. */
	info.name = "tms-longer";
	memmove(description + 1, description, sizeof(description) - 2);
	description[sizeof(description) - 1] = '\0';
	free(bytes);
	test_reading_free(&r);
	frame.session = ms_session_add(test_registry, &info);
	bytes = write_file(&options, &frame, 1, &n);
	r = test_read(bytes, n);
	assert_int_equal(strlen(r.interfaces[0].description), 1022);
	assert_memory_equal(r.interfaces[0].description, description, 1022);
	free(bytes);
	test_reading_free(&r);
	test_release(&frame, 1);
}

/* The same packets twice, contiguous and in random pieces: the same file. */
static void
test_segments(void **state)
{
	enum { N = 200 };
	static const struct ms_capfile_options variants[] = {
		{.application = "t"},
		{.application = "t", .outer = true},
		{.application = "t", .snaplen = 100},
		{.application = "t", .snaplen = 70, .outer = true},
		{.format = MS_CAPFILE_PCAP},
		{.format = MS_CAPFILE_PCAP, .snaplen = 51, .outer = true},
	};
	struct ms_frame whole[N], pieces[N];
	uint8_t packet[2048], *a, *b;
	uint32_t i, length, offset;
	size_t a_n, b_n;

	for (i = 0; i < N; i++) {
		length = i < 100 ? i : (uint32_t)rand() % 2000;
		offset = rand() % (RTE_MIN(length, 150u) + 1);
		test_fill(packet, length, i);
		whole[i] = test_frame(test_mbuf(packet, length, 1), offset, test_session(64), i);
		pieces[i] = test_frame(
			test_mbuf(packet, length, 2 + rand() % 6), offset, test_session(64), i);
		assert_int_not_equal(whole[i].data, 0);
		assert_int_equal(pieces[i].data, 0);
	}
	for (i = 0; i < RTE_DIM(variants); i++) {
		a = write_file(&variants[i], whole, N, &a_n);
		b = write_file(&variants[i], pieces, N, &b_n);
		assert_int_equal(a_n, b_n);
		assert_memory_equal(a, b, a_n);
		free(a);
		free(b);
	}
	test_release(whole, N);
	test_release(pieces, N);
}

/* A packet of n bytes beside which nothing may be read: AddressSanitizer looks after that. */
static uint8_t *
bare_packet(uint32_t n, uint32_t seed)
{
	uint8_t *packet = malloc(n);

	assert_non_null(packet);
	test_fill(packet, n, seed);
	return packet;
}

/* The frame in it behind offset. */
static struct ms_frame
bare_frame(const uint8_t *packet, uint32_t n, uint32_t offset, uint64_t time)
{
	return (struct ms_frame){
		.mbuf = (struct rte_mbuf *)((uintptr_t)packet - 1),
		.data = 1, /* no header is there, and none is looked at */
		.timestamp = time,
		.session = test_session(64),
		.outputs = 1,
		.offset = offset,
		.length = n - offset,
		.original_length = n - offset,
	};
}

/* Every length, with and without outer headers before it, cut and whole: no byte but the packet's
 * is read, all of them are there, and zeros behind them. */
static void
test_lengths(void **state)
{
	static const struct ms_capfile_options variants[] = {
		{.application = "t"},
		{.application = "t", .outer = true},
		{.application = "t", .snaplen = 33},
	};
	static const uint32_t offsets[] = {0, 1, 4, 31, 32, 50};
	enum { LENGTHS = 200, N = LENGTHS * RTE_DIM(offsets) };
	static struct ms_frame frames[N];
	static uint8_t *packets[N];
	uint8_t *bytes;
	size_t n;

	for (uint32_t i = 0; i < N; i++) {
		uint32_t offset = offsets[i % RTE_DIM(offsets)];
		uint32_t length = offset + (uint32_t)(i / RTE_DIM(offsets)) + 1;

		packets[i] = bare_packet(length, i);
		frames[i] = bare_frame(packets[i], length, offset, i);
	}
	for (uint32_t v = 0; v < RTE_DIM(variants); v++) {
		struct test_reading r;

		bytes = write_file(&variants[v], frames, N, &n);
		r = test_read(bytes, n);
		assert_int_equal(r.packets_n, N);
		for (uint32_t i = 0; i < N; i++) {
			uint32_t lead = variants[v].outer ? frames[i].offset : 0;
			uint32_t length = frames[i].length + lead;

			if (variants[v].snaplen != 0)
				length = RTE_MIN(length, variants[v].snaplen);
			assert_int_equal(r.packets[i].captured, length);
			assert_int_equal(r.packets[i].time, i);
			assert_memory_equal(
				r.packets[i].bytes, packets[i] + frames[i].offset - lead, length);
		}
		test_reading_free(&r);
		free(bytes);
	}
	for (uint32_t i = 0; i < N; i++)
		free(packets[i]);
}

/* snaplen and outer: what is kept, and that the original length stays what it was. */
static void
test_cuts(void **state)
{
	enum { LENGTH = 600, OFFSET = 50, N = 4 };
	static const struct {
		uint32_t snaplen;
		bool outer;
		uint32_t captured;
	} cases[] = {
		{0, false, LENGTH - OFFSET},
		{0, true, LENGTH},
		{128, false, 128},
		{128, true, 128},
		{549, false, 549},
		{550, false, 550},
		{551, false, 550},
		{30, true, 30},
		{1, false, 1},
		{UINT32_MAX, true, LENGTH},
	};
	uint8_t packet[LENGTH], *bytes;
	struct test_reading r;
	struct ms_frame frame;
	size_t n, i;

	test_fill(packet, LENGTH, 1);
	frame = test_frame(test_mbuf(packet, LENGTH, 1), OFFSET, test_session(64), 1);
	frame.original_length = 9000;
	for (i = 0; i < RTE_DIM(cases); i++) {
		struct ms_capfile_options options = {
			.snaplen = cases[i].snaplen,
			.outer = cases[i].outer,
			.application = "t",
		};

		bytes = write_file(&options, &frame, 1, &n);
		r = test_read(bytes, n);
		assert_int_equal(r.packets_n, 1);
		assert_int_equal(r.packets[0].captured, cases[i].captured);
		assert_int_equal(r.packets[0].original, 9000 + (cases[i].outer ? OFFSET : 0));
		assert_memory_equal(r.packets[0].bytes, packet + (cases[i].outer ? 0 : OFFSET),
			cases[i].captured);
		free(bytes);
		test_reading_free(&r);
	}
	test_release(&frame, 1);
}

/* The longest frame that there can be, in buffers that would be smaller. */
static void
test_longest(void **state)
{
	static uint8_t packet[MS_LENGTH_MAX];
	struct ms_capfile_options options = {.buffer_bytes = 4096, .application = "t"};
	struct ms_frame frames[3];
	struct test_reading r;
	uint8_t *bytes;
	uint32_t i;
	size_t n;

	test_fill(packet, sizeof(packet), 5);
	frames[0] = test_frame(test_mbuf(packet, sizeof(packet), 1), 0, test_session(64), 1);
	frames[1] = frames[2] = frames[0];
	frames[2].session = test_session(65);
	bytes = write_file(&options, frames, 3, &n);
	r = test_read(bytes, n);
	assert_int_equal(r.packets_n, 3);
	for (i = 0; i < 3; i++) {
		assert_int_equal(r.packets[i].captured, sizeof(packet));
		assert_memory_equal(r.packets[i].bytes, packet, sizeof(packet));
	}
	free(bytes);
	test_reading_free(&r);
	test_release(frames, 1);
}

/* Thousands of sessions through small buffers: each frame stands under its own name. */
static void
test_sessions(void **state)
{
	enum { SESSIONS = 3000, N = 20000, FIRST_VNI = 100000 };
	struct ms_capfile_options options = {
		.snaplen = 64,
		.buffer_bytes = 8192,
		.wait = true,
		.application = "t",
	};
	struct ms_frame *frames = calloc(N, sizeof(*frames));
	uint64_t *offered = calloc(SESSIONS, sizeof(*offered));
	struct rte_mbuf *m = test_mbuf((const uint8_t *)"0123456789", 10, 1);
	struct test_reading r;
	uint32_t i, vni;
	uint8_t *bytes;
	char name[32];
	size_t n;

	for (i = 0; i < N; i++) {
		vni = rand() % SESSIONS;
		offered[vni]++;
		frames[i] = test_frame(m, 0, test_session(FIRST_VNI + vni), vni);
	}
	bytes = write_file(&options, frames, N, &n);
	r = test_read(bytes, n);
	assert_int_equal(r.packets_n, N);
	for (i = 0; i < N; i++) {
		struct test_interface *interface = &r.interfaces[r.packets[i].interface];

		vni = frames[i].timestamp;
		assert_int_equal(r.packets[i].time, vni);
		snprintf(name, sizeof(name), "vni%u", FIRST_VNI + vni);
		assert_string_equal(interface->name, name);
		assert_true(interface->statistics);
		assert_int_equal(interface->received, offered[vni]);
		assert_int_equal(interface->dropped, 0);
		assert_int_equal(interface->tsresol, 9);
	}
	free(bytes);
	test_reading_free(&r);
	test_release(frames, 1);
	free(frames);
	free(offered);
}

/* Only frames for this output are taken, and only they are offered. */
static void
test_mask(void **state)
{
	struct ms_capfile_options options = {.application = "t"};
	struct ms_output_ledger ledger = {0};
	int fd = memfd_create("capfile", 0);
	struct ms_frame frames[MS_BURST];
	struct ms_capfile *file;
	struct test_reading r;
	uint8_t *bytes;
	uint32_t i;
	size_t n;

	frames[0] = test_frame(test_mbuf((const uint8_t *)"frame", 5, 1), 0, test_session(64), 0);
	for (i = 0; i < MS_BURST; i++) {
		frames[i] = frames[0];
		frames[i].timestamp = i;
		frames[i].outputs = i;
	}
	file = ms_capfile_create(dup(fd), &options, test_registry, &ledger);
	assert_non_null(file);
	ms_capfile_burst(file, frames, MS_BURST, 1u << 3);
	assert_int_equal(ms_capfile_close(file), 0);
	test_balanced(&ledger);
	assert_int_equal(ms_count_read(&ledger.offered), MS_BURST / 2);
	bytes = test_slurp(fd, &n);
	r = test_read(bytes, n);
	assert_int_equal(r.packets_n, MS_BURST / 2);
	for (i = 0; i < r.packets_n; i++)
		assert_int_equal(r.packets[i].time, i / 8 * 16 + 8 + i % 8);
	close(fd);
	free(bytes);
	test_reading_free(&r);
	test_release(frames, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pcapng_bytes),
		cmocka_unit_test(test_pcap_bytes),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_long_texts),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_mask),
	};

	return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
