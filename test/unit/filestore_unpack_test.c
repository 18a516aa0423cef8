/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compressed files that were cut anywhere: what is whole in them goes up to the last flush that is
 * all there, is counted as if it had never been compressed, and with its ending it is a whole frame
 * again. Files are made here by the libraries' streams, whose blocks need those before them, not by
 * capfile.
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

#define FRAMES     40u /* parts that were flushed */
#define LONG       20u /* this one takes several blocks */
#define PACKETS    50u /* others hold up to so many */
#define SIZE_MAX_P 700u
#define ROOM       (FRAMES * (PACKETS * (SIZE_MAX_P + 44) + 256) * 2)

/* A compressed file, and where its frames end. */
struct made {
	bool zstd;
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

/* A frame under way. */
struct packer {
	ZSTD_CCtx *zstd; /* NULL: LZ4 */
	LZ4F_cctx *lz4;
	uint8_t *at;
	uint8_t *end;
};

static struct packer
pack_begin(bool zstd, uint8_t *to, size_t room)
{
	LZ4F_preferences_t format = {.frameInfo = {.blockSizeID = LZ4F_max4MB,
					     .blockMode = LZ4F_blockIndependent,
					     .blockChecksumFlag = LZ4F_blockChecksumEnabled}};
	struct packer p = {.at = to, .end = to + room};

	if (zstd) {
		p.zstd = ZSTD_createCCtx();
		return p;
	}
	assert_false(LZ4F_isError(LZ4F_createCompressionContext(&p.lz4, LZ4F_VERSION)));
	p.at += LZ4F_compressBegin(p.lz4, p.at, room, &format);
	return p;
}

static void
pack(struct packer *p, const uint8_t *from, size_t n)
{
	ZSTD_inBuffer in = {from, n, 0};
	ZSTD_outBuffer out = {p->at, p->end - p->at, 0};
	size_t got;

	if (p->zstd != NULL) {
		assert_int_equal(ZSTD_compressStream2(p->zstd, &out, &in, ZSTD_e_flush), 0);
		p->at += out.pos;
		return;
	}
	got = LZ4F_compressUpdate(p->lz4, p->at, p->end - p->at, from, n, NULL);
	assert_false(LZ4F_isError(got));
	p->at += got;
	got = LZ4F_flush(p->lz4, p->at, p->end - p->at, NULL);
	assert_false(LZ4F_isError(got));
	p->at += got;
}

static void
pack_end(struct packer *p)
{
	ZSTD_freeCCtx(p->zstd);
	LZ4F_freeCompressionContext(p->lz4);
}

static struct made
make(bool zstd)
{
	struct made made = {.zstd = zstd, .bytes = malloc(2 * ROOM)};
	uint8_t *raw = malloc(ROOM), *at;
	uint64_t packets = 0, payload = 0;
	struct packer p = pack_begin(zstd, made.bytes, 2 * ROOM);

	for (uint32_t i = 0; i < FRAMES; i++) {
		uint32_t n = i == LONG ? 10 * PACKETS : 1 + (uint32_t)rand() % PACKETS;

		at = i == 0 ? put_head(raw) : raw;
		for (; i > 0 && n > 0; n--) {
			uint32_t captured = (uint32_t)rand() % SIZE_MAX_P;

			at = put_packet(at, captured);
			packets++;
			payload += captured;
		}
		pack(&p, raw, at - raw);
		made.ends[i] = p.at - made.bytes;
		made.packets[i] = packets;
		made.payload[i] = payload;
	}
	pack_end(&p);
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

/* With its ending it is a whole frame to the libraries. */
static void
expect_whole(const struct made *made, const struct filestore_scan *scan)
{
	size_t n = scan->bytes + scan->ending_n, room = ROOM, used = n;
	uint8_t *bytes = malloc(n), *out = malloc(ROOM);
	LZ4F_dctx *lz4;

	memcpy(bytes, made->bytes, scan->bytes);
	memcpy(bytes + scan->bytes, scan->ending, scan->ending_n);
	assert_int_equal(scan->ending_n, made->zstd ? 3 : 4);
	if (made->zstd) {
		assert_int_equal(ZSTD_findFrameCompressedSize(bytes, n), n);
		assert_false(ZSTD_isError(ZSTD_decompress(out, ROOM, bytes, n)));
	} else {
		assert_false(LZ4F_isError(LZ4F_createDecompressionContext(&lz4, LZ4F_VERSION)));
		assert_int_equal(LZ4F_decompress(lz4, out, &room, bytes, &used, NULL), 0);
		assert_int_equal(used, n);
		LZ4F_freeDecompressionContext(lz4);
	}
	free(bytes);
	free(out);
}

static void
expect(const struct made *made, const struct filestore_scan *scan, uint32_t frames)
{
	assert_int_equal(scan->packets, frames == 0 ? 0 : made->packets[frames - 1]);
	if (frames == 0)
		return;
	assert_int_equal(scan->kind, FILESTORE_PCAPNG);
	assert_int_equal(scan->bytes, made->ends[frames - 1]);
	assert_int_equal(scan->payload, made->payload[frames - 1]);
	expect_whole(made, scan);
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
		if (zstd) {
			expect(&made, &scan, 8);
		} else { /* where zeros are the ending */
			assert_int_equal(scan.packets, made.packets[7]);
			assert_int_equal(scan.bytes, made.ends[7] + 4);
			assert_int_equal(scan.ending_n, 0);
		}
		filestore_scan_free(&scan);
		free(made.bytes);
	}
}

/* A wrong byte ends what is whole before it. */
static void
test_wrong_byte(void **state)
{
	struct made made = make(false); /* LZ4, whose blocks have checksums */

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

/* What is compressed otherwise, or no capture, is none of ours: it is left alone. */
static void
test_foreign(void **state)
{
	static const char text[] = "no capture file at all";
	uint8_t raw[256], packed[1024], *at = put_packet(put_head(raw), 40);

	for (int zstd = 0; zstd <= 1; zstd++) {
		for (int other = 0; other <= 1; other++) {
			struct packer p = pack_begin(zstd, packed, sizeof(packed));
			struct filestore_scan scan;
			size_t n;
			int fd;

			if (!other)
				pack(&p, (const uint8_t *)text, sizeof(text));
			n = p.at - packed;
			if (other)
				n = zstd ? ZSTD_compress(packed, sizeof(packed), raw, at - raw, 1)
				         : LZ4F_compressFrame(
						   packed, sizeof(packed), raw, at - raw, NULL);
			fd = file_of(packed, n);
			assert_int_equal(filestore_scan(fd, &scan), 0);
			assert_int_equal(scan.kind, FILESTORE_FOREIGN);
			filestore_scan_free(&scan);
			close(fd);
			pack_end(&p);
		}
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
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("filestore_unpack", tests, NULL, NULL);
}
