/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading capture files: each thing that a file tells comes out, in either byte order; and any cut
 * and any wrong byte ends the reading without touching what stands before it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <byteswap.h>
#include <cmocka.h>
#include <errno.h>

#include "capread/ms_capread.h"

#define ROOM    4096
#define PACKETS 8
#define NS      UINT64_C(1000000000)
#define SECOND  UINT64_C(1700000000)

/* A file that is being built. */
struct file {
	uint8_t bytes[ROOM];
	size_t n;
	bool swapped;
};

/* A source that gives so many bytes at a time. */
struct memory {
	const uint8_t *bytes;
	size_t n;
	size_t at;
	size_t chunk;
	int error; /* at the end */
};

static void
put(struct file *f, const void *bytes, size_t n)
{
	assert_true(f->n + n <= ROOM);
	if (n > 0)
		memcpy(f->bytes + f->n, bytes, n);
	f->n += n;
}

static void
put16(struct file *f, uint16_t value)
{
	value = f->swapped ? bswap_16(value) : value;
	put(f, &value, sizeof(value));
}

static void
put32(struct file *f, uint32_t value)
{
	value = f->swapped ? bswap_32(value) : value;
	put(f, &value, sizeof(value));
}

static void
put_option(struct file *f, uint16_t code, const void *value, uint16_t n)
{
	put16(f, code);
	put16(f, n);
	put(f, value, n);
	put(f, "\0\0\0", -n & 3u);
}

static void
put_option32(struct file *f, uint16_t code, uint32_t value)
{
	value = f->swapped ? bswap_32(value) : value;
	put_option(f, code, &value, sizeof(value));
}

static void
put_option64(struct file *f, uint16_t code, uint64_t value)
{
	value = f->swapped ? bswap_64(value) : value;
	put_option(f, code, &value, sizeof(value));
}

/* A time has its halves in order, and each of them in the file's. */
static void
put_option_time(struct file *f, uint16_t code, uint64_t time)
{
	put16(f, code);
	put16(f, 8);
	put32(f, time >> 32);
	put32(f, (uint32_t)time);
}

static size_t
begin(struct file *f, uint32_t type)
{
	put32(f, type);
	put32(f, 0);
	return f->n - 8;
}

static void
end(struct file *f, size_t block)
{
	uint32_t length = (uint32_t)(f->n + 4 - block);
	size_t all = f->n;

	put32(f, length);
	f->n = block + 4;
	put32(f, length);
	f->n = all + 4;
}

static void
section(struct file *f)
{
	size_t block = begin(f, 0x0a0d0d0a);

	put32(f, 0x1a2b3c4d);
	put16(f, 1);
	put16(f, 0);
	put32(f, UINT32_MAX);
	put32(f, UINT32_MAX);
	end(f, block);
}

static void
interface(struct file *f, const char *name, uint8_t resolution, int64_t offset)
{
	size_t block = begin(f, 1);

	put16(f, 1);
	put16(f, 0);
	put32(f, 96);
	put_option(f, 2, name, (uint16_t)strlen(name));
	put_option(f, 9, &resolution, 1);
	if (offset != 0)
		put_option64(f, 14, (uint64_t)offset);
	put_option(f, 0, NULL, 0);
	end(f, block);
}

static void
packet(struct file *f, uint32_t number, uint64_t time, const char *data, uint32_t flags)
{
	size_t block = begin(f, 6);
	uint32_t n = (uint32_t)strlen(data);

	put32(f, number);
	put32(f, time >> 32);
	put32(f, (uint32_t)time);
	put32(f, n);
	put32(f, 1500);
	put(f, data, n);
	put(f, "\0\0\0", -n & 3u);
	if (flags != 0) {
		put_option32(f, 2, flags);
		put_option64(f, 4, UINT64_C(0x0102030405060708));
		put_option(f, 0, NULL, 0);
	}
	end(f, block);
}

static ssize_t
read_memory(void *arg, void *bytes, size_t n)
{
	struct memory *m = arg;
	size_t left = m->n - m->at;

	if (left == 0)
		return m->error;
	n = n < m->chunk ? n : m->chunk;
	n = n < left ? n : left;
	memcpy(bytes, m->bytes + m->at, n);
	m->at += n;
	return (ssize_t)n;
}

/* What was read, with the data copied. */
struct got {
	struct ms_capread *reader;
	enum ms_capread_result result;
	unsigned int n;
	struct ms_capread_packet packets[PACKETS];
	char data[PACKETS][128];
	uint8_t options[PACKETS][128];
};

static void
read_all(struct got *got, struct memory *m)
{
	struct ms_capread_packet one;

	memset(got, 0, sizeof(*got));
	got->reader = ms_capread_create(&(struct ms_capread_source){read_memory, m}, 1);
	assert_non_null(got->reader);
	while ((got->result = ms_capread_next(got->reader, &one)) == MS_CAPREAD_PACKET) {
		assert_true(got->n < PACKETS);
		assert_true(one.captured < sizeof(got->data[0]));
		assert_true(one.options_bytes <= sizeof(got->options[0]));
		memcpy(got->data[got->n], one.data, one.captured);
		memcpy(got->options[got->n], one.options, one.options_bytes);
		got->packets[got->n++] = one;
	}
	assert_int_equal(ms_capread_next(got->reader, &one), got->result);
	assert_int_equal(got->result == MS_CAPREAD_END, ms_capread_problem(got->reader)[0] == '\0');
}

static void
read_file(struct got *got, const struct file *f)
{
	struct memory m = {.bytes = f->bytes, .n = f->n, .chunk = ROOM};

	read_all(got, &m);
}

/* A section with two interfaces, packets of both, and statistics of the first. */
static void
sample(struct file *f)
{
	size_t block;

	section(f);
	interface(f, "vni64", 9, 0);
	packet(f, 0, SECOND * NS + 5, "hello", 0x80000002);
	interface(f, "second", 6, 0);
	packet(f, 1, SECOND * 1000000 + 7, "other", 0);
	packet(f, 0, SECOND * NS + 6, "", 0);
	block = begin(f, 5);
	put32(f, 0);
	put32(f, 1);
	put32(f, 2);
	put_option_time(f, 2, UINT64_C(1) << 32 | 3);
	put_option_time(f, 3, UINT64_C(1) << 32 | 4);
	put_option64(f, 4, 70);
	put_option64(f, 5, 9);
	put_option(f, 0, NULL, 0);
	end(f, block);
}

static void
check_sample(const struct got *got, unsigned int first)
{
	const struct ms_capread_packet *p = &got->packets[3 * (first / 2)];
	const struct ms_capread_interface *one = ms_capread_interface(got->reader, first);
	const uint8_t *value;
	uint64_t dropped;
	uint32_t flags;
	uint16_t length;

	assert_int_equal(p[0].interface, first);
	assert_int_equal(p[0].ns, SECOND * NS + 5);
	assert_int_equal(p[0].captured, 5);
	assert_int_equal(p[0].original, 1500);
	assert_string_equal(got->data[3 * (first / 2)], "hello");
	value = ms_capread_option(got->options[3 * (first / 2)], p[0].options_bytes, 2, &length);
	assert_non_null(value);
	memcpy(&flags, value, sizeof(flags));
	assert_int_equal(flags, 0x80000002);
	value = ms_capread_option(got->options[3 * (first / 2)], p[0].options_bytes, 4, &length);
	assert_non_null(value);
	memcpy(&dropped, value, sizeof(dropped));
	assert_int_equal(dropped, UINT64_C(0x0102030405060708));
	assert_int_equal(p[1].interface, first + 1);
	assert_int_equal(p[1].time, SECOND * 1000000 + 7);
	assert_int_equal(p[1].ns, SECOND * NS + 7000);
	assert_int_equal(p[1].options_bytes, 0);
	assert_int_equal(p[2].captured, 0);
	assert_int_equal(one->packets, 2);
	assert_true(one->statistics.known && one->statistics.has_time);
	assert_int_equal(one->statistics.written, UINT64_C(1) << 32 | 2);
	assert_int_equal(one->statistics.start, UINT64_C(1) << 32 | 3);
	assert_int_equal(one->statistics.end, UINT64_C(1) << 32 | 4);
	assert_int_equal(one->statistics.has, 1 << MS_CAPREAD_RECEIVED | 1 << MS_CAPREAD_DROPPED);
	assert_int_equal(one->statistics.counts[MS_CAPREAD_RECEIVED], 70);
	assert_int_equal(one->statistics.counts[MS_CAPREAD_DROPPED], 9);
	assert_false(ms_capread_interface(got->reader, first + 1)->statistics.known);
}

static void
reads_both_byte_orders_and_several_sections(void **state)
{
	struct file f = {0};
	struct got got;
	char *name;

	sample(&f);
	f.swapped = true;
	sample(&f);
	read_file(&got, &f);
	assert_int_equal(got.result, MS_CAPREAD_END);
	assert_int_equal(got.n, 6);
	assert_int_equal(ms_capread_interfaces(got.reader), 4);
	check_sample(&got, 0);
	check_sample(&got, 2);
	name = ms_capread_text(ms_capread_interface(got.reader, 3), MS_CAPREAD_IF_NAME);
	assert_string_equal(name, "second");
	free(name);
	name = ms_capread_text(ms_capread_interface(got.reader, 3), MS_CAPREAD_IF_DESCRIPTION);
	assert_string_equal(name, "");
	free(name);
	/* what both say of themselves is the same, byte by byte */
	assert_int_equal(ms_capread_interface(got.reader, 0)->options_bytes,
		ms_capread_interface(got.reader, 2)->options_bytes);
	assert_memory_equal(ms_capread_interface(got.reader, 0)->options,
		ms_capread_interface(got.reader, 2)->options,
		ms_capread_interface(got.reader, 0)->options_bytes);
	ms_capread_free(got.reader);
}

static void
reads_all_kinds_of_pcap(void **state)
{
	static const uint32_t magics[] = {0xa1b2c3d4, 0xa1b23c4d};
	static const uint32_t units[] = {1000, 1};
	struct got got;

	for (unsigned int i = 0; i < 4; i++) {
		struct file f = {.swapped = i >= 2};

		put32(&f, magics[i % 2]);
		put16(&f, 2);
		put16(&f, 4);
		put32(&f, 0);
		put32(&f, 0);
		put32(&f, 65535);
		put32(&f, 1);
		put32(&f, SECOND);
		put32(&f, 42);
		put32(&f, 3);
		put32(&f, 60);
		put(&f, "abc", 3);
		read_file(&got, &f);
		assert_int_equal(got.result, MS_CAPREAD_END);
		assert_int_equal(got.n, 1);
		assert_int_equal(got.packets[0].ns, SECOND * NS + 42 * units[i % 2]);
		assert_int_equal(got.packets[0].original, 60);
		assert_string_equal(got.data[0], "abc");
		assert_int_equal(ms_capread_interface(got.reader, 0)->snaplen, 65535);
		ms_capread_free(got.reader);
	}
}

static void
knows_resolutions_and_offsets(void **state)
{
	static const struct {
		uint8_t resolution;
		int64_t offset;
		uint64_t time;
		uint64_t ns;
	} cases[] = {
		{0, 0, 17, 17 * NS},
		{0x8a, 0, 1024 + 512, NS + NS / 2}, /* 2^-10 s */
		{12, 0, UINT64_C(5000000001999), 5 * NS + 1},
		{19, 0, UINT64_C(15000000000000000000), NS + NS / 2},
		{0xbf, 0, UINT64_C(1) << 63, NS}, /* 2^-63 s */
		{9, 100, 7, 100 * NS + 7},
		{9, -1, NS + 7, 7},
		{9, -9, NS, 0},                 /* before 1970 */
		{0, 0, UINT64_MAX, UINT64_MAX}, /* too late for nanoseconds */
		{9, INT64_MAX, UINT64_MAX, UINT64_MAX},
	};
	struct got got;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct file f = {0};

		section(&f);
		interface(&f, "x", cases[i].resolution, cases[i].offset);
		packet(&f, 0, cases[i].time, "x", 0);
		read_file(&got, &f);
		assert_int_equal(got.n, 1);
		assert_true(got.packets[0].ns == cases[i].ns);
		assert_true(got.packets[0].time == cases[i].time);
		ms_capread_free(got.reader);
	}
	for (unsigned int resolution = 20; resolution < 256; resolution += 172) { /* 20, 192 */
		struct file f = {0};

		section(&f);
		interface(&f, "x", (uint8_t)resolution, 0);
		read_file(&got, &f);
		assert_int_equal(got.result, MS_CAPREAD_DAMAGED);
		ms_capread_free(got.reader);
	}
}

/* However the source cuts it. */
static void
any_chunks_give_the_same(void **state)
{
	struct file f = {.swapped = true};
	struct got got;

	sample(&f);
	for (size_t chunk = 1; chunk < 100; chunk++) {
		struct memory m = {.bytes = f.bytes, .n = f.n, .chunk = chunk};

		read_all(&got, &m);
		assert_int_equal(got.result, MS_CAPREAD_END);
		check_sample(&got, 0);
		ms_capread_free(got.reader);
	}
}

/* Where the whole blocks of a sample end at most at n, and how many packets stand in them. */
static unsigned int
whole_packets(const struct file *f, size_t n, bool *boundary)
{
	unsigned int packets = 0;
	size_t at = 0;
	uint32_t type, length;

	*boundary = false;
	while (at + 8 <= n) {
		memcpy(&type, f->bytes + at, sizeof(type));
		memcpy(&length, f->bytes + at + 4, sizeof(length));
		if (at + length > n)
			return packets;
		packets += type == 6;
		at += length;
	}
	*boundary = at == n && n > 0;
	return packets;
}

static void
every_cut_is_torn(void **state)
{
	struct file f = {0};
	struct got got;
	bool boundary;

	sample(&f);
	for (size_t n = 0; n <= f.n; n++) {
		struct memory m = {.bytes = f.bytes, .n = n, .chunk = ROOM};
		unsigned int packets = whole_packets(&f, n, &boundary);

		read_all(&got, &m);
		assert_int_equal(got.result, boundary ? MS_CAPREAD_END : MS_CAPREAD_TORN);
		assert_int_equal(got.n, packets);
		ms_capread_free(got.reader);
	}
}

/* Whatever a byte becomes, the packets before its block are what they were. */
static void
any_wrong_byte_hurts_nothing_before(void **state)
{
	struct file f = {0}, wrong;
	struct got got, right;
	bool boundary;

	sample(&f);
	read_file(&right, &f);
	for (size_t at = 0; at < f.n; at++) {
		unsigned int packets = whole_packets(&f, at, &boundary);

		for (unsigned int value = 0; value < 256; value += 5) {
			wrong = f;
			wrong.bytes[at] ^= (uint8_t)(value + 1);
			read_file(&got, &wrong);
			assert_true(got.n >= packets);
			for (unsigned int i = 0; i < packets; i++) {
				assert_int_equal(got.packets[i].ns, right.packets[i].ns);
				assert_string_equal(got.data[i], right.data[i]);
			}
			ms_capread_free(got.reader);
		}
	}
	ms_capread_free(right.reader);
}

static void
says_where_and_what(void **state)
{
	struct file f = {0};
	struct memory m = {.bytes = f.bytes, .chunk = 7, .error = -EIO};
	struct got got;
	char place[32];

	sample(&f);
	snprintf(place, sizeof(place), "at byte %zu: ", f.n);
	packet(&f, 2, 0, "none", 0);
	read_file(&got, &f);
	assert_int_equal(got.result, MS_CAPREAD_DAMAGED);
	assert_ptr_equal(
		strstr(ms_capread_problem(got.reader), place), ms_capread_problem(got.reader));
	assert_non_null(strstr(ms_capread_problem(got.reader), "interface 2, where there are 2"));
	ms_capread_free(got.reader);

	m.n = 100;
	read_all(&got, &m);
	assert_int_equal(got.result, MS_CAPREAD_DAMAGED);
	assert_non_null(strstr(ms_capread_problem(got.reader), strerror(EIO)));
	ms_capread_free(got.reader);
}

static void
passes_over_what_it_does_not_know(void **state)
{
	struct file f = {0};
	struct got got;
	size_t block;

	section(&f);
	interface(&f, "x", 9, 0);
	block = begin(&f, 0x0bad);
	put(&f, "some", 4);
	end(&f, block);
	packet(&f, 0, 1, "x", 0);
	read_file(&got, &f);
	assert_int_equal(got.result, MS_CAPREAD_END);
	assert_int_equal(got.n, 1);
	assert_int_equal(ms_capread_others(got.reader), 1);
	ms_capread_free(got.reader);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_both_byte_orders_and_several_sections),
		cmocka_unit_test(reads_all_kinds_of_pcap),
		cmocka_unit_test(knows_resolutions_and_offsets),
		cmocka_unit_test(any_chunks_give_the_same),
		cmocka_unit_test(every_cut_is_torn),
		cmocka_unit_test(any_wrong_byte_hurts_nothing_before),
		cmocka_unit_test(says_where_and_what),
		cmocka_unit_test(passes_over_what_it_does_not_know),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
