/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compressed files that were cut anywhere: what is whole in them is all frames that are all there,
 * and what these hold is counted as if it had never been compressed. Frames are made here with the
 * libraries' plainest calls, not by capfile.
 */
#include "filestore/filestore_private.h"

#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <lz4frame.h>
#include <zstd.h>

#define FRAMES     40u
#define PACKETS    50u /* a frame holds up to so many */
#define SIZE_MAX_P 700u
#define ROOM       (FRAMES * (PACKETS * (SIZE_MAX_P + 44) + 256))

/* A compressed file, and where its frames end. */
struct made {
	uint8_t *bytes;
	size_t ends[FRAMES];
	uint64_t packets[FRAMES]; /* up to there, and their bytes */
	uint64_t payload[FRAMES];
};

static uint8_t *
put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static uint8_t *
put_head(uint8_t *at)
{
	at = put32(put32(put32(at, 0x0a0d0d0a), 28), 0x1a2b3c4d);
	at = put32(put32(put32(put32(at, 1), UINT32_MAX), UINT32_MAX), 28);
	at = put32(put32(put32(put32(at, 1), 20), 1), 0);
	return put32(at, 20);
}

static uint8_t *
put_packet(uint8_t *at, uint32_t captured)
{
	uint32_t padded = (captured + 3) & ~3u;

	at = put32(put32(put32(at, 6), 32 + padded), 0);
	at = put32(put32(put32(put32(at, 0), 1), captured), captured);
	memset(at, 0, padded);
	for (uint32_t i = 0; i < captured; i += 3)
		at[i] = (uint8_t)rand();
	return put32(at + padded, 32 + padded);
}

static size_t
compress(bool zstd, uint8_t *to, const uint8_t *from, size_t n)
{
	LZ4F_preferences_t sum = {.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled};
	size_t got;

	got = zstd ? ZSTD_compress(to, ZSTD_compressBound(n), from, n, 1)
	           : LZ4F_compressFrame(to, LZ4F_compressFrameBound(n, &sum), from, n, &sum);
	assert_false(zstd ? ZSTD_isError(got) : LZ4F_isError(got));
	return got;
}

static struct made
make(bool zstd)
{
	struct made made = {.bytes = malloc(2 * ROOM)};
	uint8_t *raw = malloc(ROOM), *at;
	uint64_t packets = 0, payload = 0;
	size_t used = 0;

	for (uint32_t i = 0; i < FRAMES; i++) {
		uint32_t n = i == 0 ? 0 : (uint32_t)rand() % PACKETS;

		at = i == 0 ? put_head(raw) : raw;
		for (; n > 0; n--) {
			uint32_t captured = (uint32_t)rand() % SIZE_MAX_P;

			at = put_packet(at, captured);
			packets++;
			payload += captured;
		}
		used += compress(zstd, made.bytes + used, raw, at - raw);
		made.ends[i] = used;
		made.packets[i] = packets;
		made.payload[i] = payload;
	}
	free(raw);
	return made;
}

static int
file_of(const uint8_t *bytes, size_t n)
{
	int fd = memfd_create("packed", 0);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	return fd;
}

/* What is whole in the first n bytes. */
static struct filestore_scan
scan_cut(const struct made *made, size_t n)
{
	struct filestore_scan scan;
	int fd = file_of(made->bytes, n);

	assert_int_equal(filestore_scan(fd, &scan), 0);
	close(fd);
	return scan;
}

static void
expect(const struct made *made, const struct filestore_scan *scan, uint32_t frames)
{
	if (frames == 0) {
		assert_int_equal(scan->kind, FILESTORE_NOTHING);
		assert_int_equal(scan->bytes, 0);
		assert_int_equal(scan->packets, 0);
		return;
	}
	assert_int_equal(scan->kind, FILESTORE_PCAPNG);
	assert_int_equal(scan->bytes, made->ends[frames - 1]);
	assert_int_equal(scan->packets, made->packets[frames - 1]);
	assert_int_equal(scan->payload, made->payload[frames - 1]);
}

static void
test_cut_anywhere(void **state)
{
	for (int zstd = 0; zstd <= 1; zstd++) {
		struct made made = make(zstd);

		for (int i = 0; i < 400; i++) {
			size_t n = (size_t)rand() % (made.ends[FRAMES - 1] + 1);
			struct filestore_scan scan;
			uint32_t frames = 0;

			if (i % 4 == 0) /* near a seam */
				n = made.ends[rand() % FRAMES] + (size_t)(rand() % 3) - 1;
			if (n > made.ends[FRAMES - 1])
				n = made.ends[FRAMES - 1];
			while (frames < FRAMES && made.ends[frames] <= n)
				frames++;
			scan = scan_cut(&made, n);
			expect(&made, &scan, frames);
			filestore_scan_free(&scan);
		}
		free(made.bytes);
	}
}

/* As a crash of the machine may leave them. */
static void
test_zeros_behind(void **state)
{
	for (int zstd = 0; zstd <= 1; zstd++) {
		struct made made = make(zstd);
		struct filestore_scan scan;

		memset(made.bytes + made.ends[7], 0, made.ends[9] - made.ends[7]);
		scan = scan_cut(&made, made.ends[9]);
		expect(&made, &scan, 8);
		filestore_scan_free(&scan);
		free(made.bytes);
	}
}

/* A wrong byte in a frame with a checksum ends what is whole before it. */
static void
test_wrong_byte(void **state)
{
	struct made made = make(false);

	for (int i = 0; i < 200; i++) {
		uint32_t frame = 1 + (uint32_t)rand() % (FRAMES - 1);
		size_t begin = made.ends[frame - 1];
		size_t at = begin + (size_t)rand() % (made.ends[frame] - begin);
		struct filestore_scan scan;
		uint8_t was = made.bytes[at];

		made.bytes[at] ^= (uint8_t)(1 + rand() % 255);
		scan = scan_cut(&made, made.ends[FRAMES - 1]);
		expect(&made, &scan, frame);
		filestore_scan_free(&scan);
		made.bytes[at] = was;
	}
	free(made.bytes);
}

/* What is compressed and no capture, or torn within a frame, is none of ours: it is left alone. */
static void
test_foreign(void **state)
{
	uint8_t raw[256], packed[1024], *at = put_packet(put_head(raw), 40);

	memset(packed, 0, sizeof(packed));
	for (int zstd = 0; zstd <= 1; zstd++) {
		for (int torn = 0; torn <= 1; torn++) {
			size_t n = torn ? (size_t)(at - raw - 4) : 20;
			const uint8_t *from =
				torn ? raw : (const uint8_t *)"no capture file at all";
			struct filestore_scan scan;
			int fd = file_of(packed, compress(zstd, packed, from, n));

			assert_int_equal(filestore_scan(fd, &scan), 0);
			assert_int_equal(scan.kind, FILESTORE_FOREIGN);
			filestore_scan_free(&scan);
			close(fd);
		}
	}
}

/* A frame far longer than the window, highly compressed, so that it comes out in many steps. */
static void
test_long_frame(void **state)
{
	for (int zstd = 0; zstd <= 1; zstd++) {
		size_t room = 24u << 20;
		uint8_t *raw = malloc(room), *packed = malloc(2 * room), *at = put_head(raw);
		struct filestore_scan scan;
		uint64_t packets = 0;
		size_t n;
		int fd;

		for (; (size_t)(at - raw) < room - 100000; packets++) {
			at = put_packet(at, 0);
			at = put_packet(at, 60000);
			memset(at - 60000, 0, 59996);
		}
		n = compress(zstd, packed, raw, at - raw);
		fd = file_of(packed, n);
		assert_int_equal(filestore_scan(fd, &scan), 0);
		assert_int_equal(scan.packets, 2 * packets);
		assert_int_equal(scan.bytes, n);
		filestore_scan_free(&scan);
		close(fd);
		free(raw);
		free(packed);
	}
}

static void
test_names(void **state)
{
	char out[FILESTORE_PATH];

	assert_int_equal(filestore_names_numbered("d.x/a.pcapng.zst", 2, out), 0);
	assert_string_equal(out, "d.x/a-2.pcapng.zst");
	assert_int_equal(filestore_names_insert("a.pcap.lz4", "-w{worker}", out), 0);
	assert_string_equal(out, "a-w{worker}.pcap.lz4");
	assert_int_equal(filestore_names_numbered("d.x/a.zst", 2, out), 0);
	assert_string_equal(out, "d.x/a-2.zst");
	assert_true(filestore_names_match("a.pcapng.zst", "a-7.pcapng.zst", NULL));
	assert_false(filestore_names_match("a.pcapng.zst", "a.pcapng-7.zst", NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_zeros_behind),
		cmocka_unit_test(test_wrong_byte),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_long_frame),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("filestore_unpack", tests, NULL, NULL);
}
