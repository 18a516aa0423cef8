/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of filestore, each by itself: patterns, directories, temporary names, what is whole in
 * a file that was cut anywhere, manifests that were torn anywhere, retention, and commands.
 */
#include "filestore/filestore_private.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NS UINT64_C(1000000000)

static char reported[65536];

static void
report(void *arg, const char *text)
{
	size_t n = strlen(reported);

	snprintf(reported + n, sizeof(reported) - n, "%s\n", text);
}

static const struct ms_filestore_reporter reporter = {.report = report};

/* Each test has an empty folder for its working directory. */
static int
begin(void **state)
{
	char path[] = "/tmp/filestore_test.XXXXXX";

	reported[0] = '\0';
	setenv("TZ", "UTC", 1);
	if (mkdtemp(path) == NULL || chdir(path) != 0)
		return -1;
	*state = strdup(path);
	return 0;
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

static int
end(void **state)
{
	int rc = chdir("/");

	rc |= nftw(*state, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	free(*state);
	return rc;
}

static void
write_file(const char *path, const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
}

static bool
exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* names */

static void
expect_expanded(const char *pattern, const struct filestore_fields *fields, const char *want)
{
	char out[FILESTORE_PATH];
	uint64_t sequence;

	assert_int_equal(filestore_names_expand(pattern, fields, out), 0);
	assert_string_equal(out, want);
	assert_true(filestore_names_match(pattern, out, &sequence));
	if (filestore_names_has(pattern, "{seq}"))
		assert_int_equal(sequence, fields->sequence);
}

static void
fills_in_fields(void **state)
{
	struct filestore_fields f = {
		.time = 1700000000, .worker = 3, .vni = 64, .sequence = 7, .session = "tms-1"};
	char out[FILESTORE_PATH], longest[FILESTORE_PATH];

	expect_expanded("/a/b.pcapng", &f, "/a/b.pcapng");
	expect_expanded("%Y/%m/x-%H%M%S.pcap", &f, "2023/11/x-221320.pcap");
	expect_expanded("x-{worker}-{vni}-{seq}-{session}", &f, "x-3-64-000007-tms-1");
	expect_expanded("100%%-%s", &f, "100%-1700000000");
	expect_expanded("x%", &f, "x%");
	/* what is filled in makes no directory, and no hidden file */
	expect_expanded("%D-%b.x", &f, "11_14_23-Nov.x");
	f.session = "../../etc/pass\nwd";
	expect_expanded("d/{session}.x", &f, "d/_._.._etc_pass_wd.x");
	f.sequence = 12345678;
	expect_expanded("{seq}", &f, "12345678");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(filestore_names_expand(longest, &f, out), 0);
	memcpy(longest, "{seq}", 5);
	assert_int_equal(filestore_names_expand(longest, &f, out), -ENAMETOOLONG);
}

static void
knows_its_fields(void **state)
{
	assert_null(ms_filestore_unknown_field("a-%Y-{worker}-{seq}.x", false));
	assert_string_equal(ms_filestore_unknown_field("a-{wrker}", false), "{wrker}");
	assert_string_equal(ms_filestore_unknown_field("a-{vni}", false), "{vni}");
	assert_string_equal(ms_filestore_unknown_field("{session}b", false), "{session}b");
	assert_null(ms_filestore_unknown_field("a-{vni}-{session}", true));
	assert_string_equal(ms_filestore_unknown_field("a{#}", true), "{#}");
}

static void
matches_only_its_names(void **state)
{
	static const char *const wrong[] = {"c/2023/1-x.pcapng", "c/2023/x-000001.pcap",
		"c/23/x-000001.pcapng", "c/2023/x-.pcapng", "c/2023/x-1a.pcapng",
		"c/2023/x-000001-.pcapng", "c/2023/y/x-000001.pcapng",
		"c/2023/x-000001.pcapng.part", "", "c/2023/x-000001-2.pcapngz"};
	uint64_t sequence;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(filestore_names_match("c/%Y/x-{seq}.pcapng", wrong[i], NULL));
	assert_true(filestore_names_match(
		"c/%Y/x-{seq}.pcapng", "c/2023/x-000042-3.pcapng", &sequence));
	assert_int_equal(sequence, 42);
	/* a name that could take for ever to match */
	char text[256];

	memset(text, '1', sizeof(text) - 1);
	text[255] = '\0';
	assert_false(filestore_names_match("%s%s%s%s%s%s%s%s%s%s%s%s{seq}!", text, &sequence));
}

static void
numbers_names(void **state)
{
	char out[FILESTORE_PATH];

	filestore_names_numbered("a.b/c.pcapng", 1, out);
	assert_string_equal(out, "a.b/c.pcapng");
	filestore_names_numbered("a.b/c.pcapng", 2, out);
	assert_string_equal(out, "a.b/c-2.pcapng");
	filestore_names_numbered("a.b/c", 12, out);
	assert_string_equal(out, "a.b/c-12");
}

/* directories */

static char visited[1024];

static void
visit(void *arg, const char *directory)
{
	strcat(visited, directory);
	strcat(visited, " ");
}

static void
finds_directories(void **state)
{
	static const char *const all[] = {
		"c", "c/2023", "c/2023/11", "c/2023/xx", "c/2023/11/d", "c/20", "c/2024"};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		assert_int_equal(mkdir(all[i], 0755), 0);
	write_file("c/2025", "", 0);
	visited[0] = '\0';
	assert_int_equal(filestore_walk("c/%Y/%m/d/x-{seq}", visit, NULL), 0);
	assert_string_equal(visited, "c/2023/11/d/ ");
	visited[0] = '\0';
	assert_int_equal(filestore_walk("x.pcap", visit, NULL), 0);
	assert_string_equal(visited, ". ");
	visited[0] = '\0';
	assert_int_equal(filestore_walk("nowhere/%Y/x.pcap", visit, NULL), 0);
	assert_string_equal(visited, "");
}

static void
makes_directories_that_vary(void **state)
{
	assert_int_equal(mkdir("c", 0755), 0);
	visited[0] = '\0';
	assert_int_equal(filestore_make_directories("c/%Y/d/x", "c/2023/d/x", visit, NULL), 0);
	assert_string_equal(visited, "c/2023 c/2023/d ");
	/* what is written out is the user's to make: it may be misspelt, or not mounted */
	assert_int_equal(filestore_make_directories("n/x", "n/x", visit, NULL), 0);
	assert_false(exists("n"));
	assert_int_equal(filestore_make_directories("n/%Y/x", "n/2023/x", visit, NULL), -ENOENT);
}

/* temporary names */

static void
publishes_without_replacing(void **state)
{
	struct filestore_part a, b;

	assert_int_equal(filestore_part_make(&a, "x.pcap", false), 0);
	assert_string_equal(a.part, "x.pcap.part");
	assert_int_equal(filestore_part_make(&b, "x.pcap", false), 0);
	assert_string_equal(b.path, "x-2.pcap");
	write_file("x.pcap", "precious", 8);
	assert_int_equal(filestore_part_publish(&a), 0);
	assert_string_equal(a.path, "x-2.pcap");
	assert_int_equal(filestore_part_publish(&b), 0);
	assert_string_equal(b.path, "x-2-2.pcap");
	assert_int_equal(filestore_part_settle(&a), 0);
	assert_int_equal(filestore_part_settle(&b), 0);
	assert_false(exists("x.pcap.part"));
	assert_false(exists("x-2.pcap.part"));
	assert_true(exists("x.pcap") && exists("x-2.pcap") && exists("x-2-2.pcap"));
	close(a.fd);
	close(b.fd);
}

static void
replaces_if_it_may(void **state)
{
	struct filestore_part a, b;
	struct stat st;

	write_file("x.pcap", "old", 3);
	assert_int_equal(filestore_part_make(&a, "x.pcap", true), 0);
	assert_int_equal(filestore_part_make(&b, "x.pcap", true), -EBUSY);
	assert_int_equal(write(a.fd, "newer", 5), 5);
	assert_int_equal(stat("x.pcap", &st), 0);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(filestore_part_publish(&a), 0);
	assert_int_equal(filestore_part_settle(&a), 0);
	close(a.fd);
	assert_int_equal(stat("x.pcap", &st), 0);
	assert_int_equal(st.st_size, 5);
	assert_false(exists("x.pcap.part"));
}

static void
takes_only_what_nobody_writes(void **state)
{
	struct filestore_part a, b;

	assert_int_equal(filestore_part_make(&a, "x.pcap", false), 0);
	assert_int_equal(filestore_part_take(&b, ".", "x.pcap.part"), -EBUSY);
	close(a.fd); /* as death would */
	/* what is left does not stand in the way */
	assert_int_equal(filestore_part_make(&a, "x.pcap", true), 0);
	assert_string_equal(a.part, "x-2.pcap.part");
	assert_string_equal(a.path, "x.pcap");
	assert_int_equal(filestore_part_take(&b, ".", "x.pcap.part"), 0);
	assert_string_equal(b.path, "x.pcap");
	assert_false(filestore_part_published(&b));
	assert_int_equal(filestore_part_publish(&b), 0);
	close(b.fd); /* death between name and settlement */
	assert_int_equal(filestore_part_take(&b, "./", "x.pcap.part"), 0);
	assert_true(filestore_part_published(&b));
	assert_string_equal(b.path, "./x.pcap");
	close(b.fd);
	close(a.fd);
	assert_int_equal(symlink("/etc/passwd", "y.part"), 0);
	assert_int_equal(filestore_part_take(&b, ".", "y.part"), -ELOOP);
	assert_int_equal(mkfifo("z.part", 0644), 0);
	assert_int_equal(filestore_part_take(&b, ".", "z.part"), -EINVAL);
}

/* scan */

struct sample {
	uint8_t bytes[8192];
	size_t n;
	size_t ends[128]; /* of each whole beginning */
	unsigned int packets[128];
	unsigned int ends_n;
};

static void
put(struct sample *s, const void *bytes, size_t n)
{
	memcpy(s->bytes + s->n, bytes, n);
	s->n += n;
}

static void
put32(struct sample *s, uint32_t value)
{
	put(s, &value, sizeof(value));
}

static void
whole(struct sample *s, unsigned int packets)
{
	unsigned int before = s->ends_n > 0 ? s->packets[s->ends_n - 1] : 0;

	s->ends[s->ends_n] = s->n;
	s->packets[s->ends_n++] = before + packets;
}

static void
put_block(struct sample *s, uint32_t type, const void *body, uint32_t n, unsigned int packets)
{
	put32(s, type);
	put32(s, n + 12);
	put(s, body, n);
	put32(s, n + 12);
	whole(s, packets);
}

static void
make_pcapng(struct sample *s)
{
	static const uint32_t section[4] = {0x1a2b3c4d, 1, UINT32_MAX, UINT32_MAX};
	static const uint8_t interface[] = {1, 0, 0, 0, 0, 0, 4, 0, 2, 0, 5, 0, 'v', 'n', 'i', '6',
		'4', 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0};
	uint8_t body[256];

	*s = (struct sample){0};
	put_block(s, 0x0a0d0d0a, section, sizeof(section), 0);
	put_block(s, 1, interface, sizeof(interface), 0);
	for (uint32_t i = 0; i < 40; i++) {
		uint32_t length = i * 3, padded = (length + 3) & ~3u;
		uint64_t time = 1700000000 * NS + i;
		uint32_t header[5] = {0, (uint32_t)(time >> 32), (uint32_t)time, length, length};

		memset(body, (int)(i % 3), sizeof(body)); /* zeros, too */
		memcpy(body, header, sizeof(header));
		put_block(s, 6, body, sizeof(header) + padded, 1);
	}
	put_block(s, 5, body, 12, 0);
}

static void
make_pcap(struct sample *s)
{
	static const uint32_t header[6] = {0xa1b23c4d, 2 | 4 << 16, 0, 0, 262144, 1};
	static const uint8_t zeros[128];

	*s = (struct sample){0};
	put(s, header, sizeof(header));
	whole(s, 0);
	for (uint32_t i = 0; i < 40; i++) {
		put32(s, 1700000000);
		put32(s, i);
		put32(s, i * 3);
		put32(s, i * 3 + 1);
		put(s, zeros, i * 3);
		whole(s, 1);
	}
}

/* Scans the first n bytes with so many zeros behind them. */
static void
scan(const struct sample *s, size_t n, size_t zeros, struct filestore_scan *found)
{
	int fd = memfd_create("scan", MFD_CLOEXEC);

	assert_int_equal(write(fd, s->bytes, n), n);
	assert_int_equal(ftruncate(fd, (off_t)(n + zeros)), 0);
	assert_int_equal(filestore_scan(fd, found), 0);
	close(fd);
}

/* A capture cut at any byte gives the longest beginning that is whole, zeros behind it or not. */
static void
expect_prefixes(const struct sample *s)
{
	static const size_t zeros[] = {0, 1, 15, 16, 4095};
	struct filestore_scan found;

	for (size_t cut = 0; cut <= s->n; cut++) {
		unsigned int last = s->ends_n;

		for (unsigned int i = 0; i < s->ends_n && s->ends[i] <= cut; i++)
			last = i;
		for (size_t z = 0; z < sizeof(zeros) / sizeof(zeros[0]); z++) {
			/* zeros may complete a record of zeros: no reader could tell */
			if (zeros[z] != 0 && (last == s->ends_n || cut != s->ends[last]))
				continue;
			scan(s, cut, zeros[z], &found);
			assert_int_equal(found.bytes, last == s->ends_n ? 0 : s->ends[last]);
			assert_int_equal(found.packets, last == s->ends_n ? 0 : s->packets[last]);
			if (last == s->ends_n)
				assert_int_equal(found.kind, FILESTORE_NOTHING);
			if (found.packets > 0)
				assert_int_equal(found.last - found.first, found.packets - 1);
			filestore_scan_free(&found);
		}
	}
}

static void
finds_what_is_whole(void **state)
{
	struct filestore_scan found;
	struct sample s;

	make_pcapng(&s);
	expect_prefixes(&s);
	scan(&s, s.n, 0, &found);
	assert_int_equal(found.kind, FILESTORE_PCAPNG);
	assert_int_equal(found.sessions_n, 1);
	assert_string_equal(found.sessions[0].name, "vni64");
	assert_int_equal(found.sessions[0].packets, 40);
	assert_int_equal(found.payload, 3 * 39 * 40 / 2);
	filestore_scan_free(&found);
	make_pcap(&s);
	expect_prefixes(&s);
}

/* Where a block is missing, a pcap record that reaches into it can't be told from a whole one. */
static void
does_not_believe_holes(void **state)
{
	static const uint32_t header[6] = {0xa1b23c4d, 2 | 4 << 16, 0, 0, 262144, 1};
	struct filestore_scan found;
	struct sample s = {0};

	put(&s, header, sizeof(header));
	for (uint32_t i = 0; i < 3;
		i++) { /* of 2016 bytes: the third reaches into the next block */
		put32(&s, 1700000000);
		put32(&s, i);
		put32(&s, 2000);
		put32(&s, 2000);
		memset(s.bytes + s.n, 'x', 2000);
		s.n += 2000;
	}
	scan(&s, s.n, 8192, &found);
	assert_int_equal(found.packets, 3);
	filestore_scan_free(&found);
	scan(&s, 4096, 8192, &found);
	assert_int_equal(found.packets, 2);
	assert_int_equal(found.bytes, 24 + 2 * 2016);
	assert_int_equal(found.last - found.first, 1);
	filestore_scan_free(&found);
}

/* Any byte that was changed: nothing crashes, and what is called whole is inside the file. */
static void
survives_any_bytes(void **state)
{
	struct filestore_scan found;
	struct sample s;

	for (unsigned int kind = 0; kind < 2; kind++) {
		kind == 0 ? make_pcapng(&s) : make_pcap(&s);
		for (size_t i = 0; i < s.n; i += 1 + i / 300) {
			static const uint8_t values[] = {0, 1, 0x7f, 0xff};

			for (unsigned int v = 0; v < 4; v++) {
				uint8_t before = s.bytes[i];

				s.bytes[i] = values[v];
				scan(&s, s.n, 0, &found);
				assert_true(found.bytes <= s.n);
				filestore_scan_free(&found);
				s.bytes[i] = before;
			}
		}
	}
	memset(s.bytes, 'x', 100);
	scan(&s, 100, 0, &found);
	assert_int_equal(found.kind, FILESTORE_FOREIGN);
	filestore_scan_free(&found);
	scan(&s, 0, 8192, &found);
	assert_int_equal(found.kind, FILESTORE_NOTHING);
	filestore_scan_free(&found);
}

/* Longer than the window through which it is read. */
static void
reads_long_files(void **state)
{
	struct filestore_scan found;
	uint64_t size = 0;
	struct sample s;
	FILE *file = fopen("long", "w");

	make_pcapng(&s);
	fwrite(s.bytes, 1, s.n, file);
	for (unsigned int i = 0; i < 1000; i++)
		fwrite(s.bytes + s.ends[1], 1, s.ends[41] - s.ends[1], file);
	size = s.n + 1000 * (s.ends[41] - s.ends[1]);
	fclose(file);
	assert_true(size > 3 << 20);
	int fd = open("long", O_RDONLY);

	assert_int_equal(filestore_scan(fd, &found), 0);
	assert_int_equal(found.bytes, size);
	assert_int_equal(found.packets, 40 * 1001);
	filestore_scan_free(&found);
	close(fd);
}

static void
hashes(void **state)
{
	char hex[FILESTORE_HEX];
	int fd;

	write_file("x", "abcdef", 6);
	fd = open("x", O_RDONLY);
	assert_int_equal(filestore_hash(fd, 3, hex), 0); /* FIPS 180-2, B.1 */
	assert_string_equal(
		hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	close(fd);
}

/* manifest */

static unsigned int lines;
static uint64_t line_bytes;

static void
count_line(void *arg, const char *path, const char *output, uint64_t bytes)
{
	assert_string_equal(output, "archive");
	lines++;
	line_bytes += bytes;
}

static void
expect_lines(unsigned int n)
{
	lines = 0;
	line_bytes = 0;
	assert_int_equal(filestore_manifest_read(".", count_line, NULL), 0);
	assert_int_equal(lines, n);
	assert_int_equal(line_bytes, 100 * n);
}

static const struct filestore_record_session two[] = {{"tms-1", 64, 3, 1}, {"other", -1, 2, 0}};
static const struct filestore_record one_record = {.path = "d/x.pcapng",
	.output = "archive",
	.first = 1700000000 * NS + 1,
	.last = 1700000001 * NS,
	.packets = 5,
	.payload = 50,
	.dropped = 1,
	.bytes = 100,
	.sessions = two,
	.sessions_n = 2,
	.sha256 = "00ff"};

static void
writes_lines(void **state)
{
	static const char want[] =
		"{\"path\":\"d/x.pcapng\",\"output\":\"archive\","
		"\"first\":\"2023-11-14T22:13:20.000000001Z\","
		"\"last\":\"2023-11-14T22:13:21.000000000Z\","
		"\"packets\":5,\"payload\":50,\"bytes\":100,\"dropped\":1,\"sessions\":["
		"{\"session\":\"tms-1\",\"vni\":64,\"packets\":3,\"dropped\":1},"
		"{\"session\":\"other\",\"packets\":2,\"dropped\":0}],\"sha256\":\"00ff\"}\n";
	struct filestore_record odd = {.path = "\xff\"", .output = "archive", .error = -ENOSPC};
	char line[1024];
	FILE *file;

	assert_int_equal(filestore_manifest_append(".", &one_record), 0);
	odd.bytes = 100;
	odd.recovered = true;
	assert_int_equal(filestore_manifest_append(".", &odd), 0);
	file = fopen(FILESTORE_MANIFEST, "r");
	assert_non_null(fgets(line, sizeof(line), file));
	assert_string_equal(line, want);
	assert_non_null(fgets(line, sizeof(line), file));
	assert_string_equal(line, "{\"path\":\"?\\\"\",\"output\":\"archive\",\"first\":null,"
				  "\"last\":null,\"packets\":0,\"payload\":0,\"bytes\":100,"
				  "\"sessions\":[],\"error\":\"No space left on device\","
				  "\"recovered\":true}\n");
	fclose(file);
	expect_lines(2);
	assert_int_equal(filestore_manifest_append("nowhere", &one_record), -ENOENT);
}

static void
repairs_torn_lines(void **state)
{
	struct stat st;
	off_t size, one;

	assert_int_equal(filestore_manifest_append(".", &one_record), 0);
	assert_int_equal(stat(FILESTORE_MANIFEST, &st), 0);
	one = st.st_size;
	for (off_t cut = 0; cut <= 2 * one; cut++) {
		unlink(FILESTORE_MANIFEST);
		for (unsigned int i = 0; i < 2; i++)
			assert_int_equal(filestore_manifest_append(".", &one_record), 0);
		assert_int_equal(truncate(FILESTORE_MANIFEST, cut), 0);
		assert_int_equal(filestore_manifest_append(".", &one_record), 0);
		expect_lines((unsigned int)(cut / one) + 1);
		assert_int_equal(stat(FILESTORE_MANIFEST, &st), 0);
		size = (cut / one + 1) * one;
		assert_int_equal(st.st_size, size);
	}
	/* a line that was torn in the middle of a file, by whatever, is passed over */
	write_file(FILESTORE_MANIFEST, "{\"path\":\"a\",\n[1]\nnull\n", 22);
	assert_int_equal(filestore_manifest_append(".", &one_record), 0);
	expect_lines(1);
}

/* retention */

static void
keep(struct filestore_retention *kept, const char *path, size_t bytes, time_t age)
{
	struct timespec times[2] = {{.tv_sec = 1700000000 - age}, {.tv_sec = 1700000000 - age}};
	char content[100] = {0};

	write_file(path, content, bytes);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_int_equal(filestore_retention_add(kept, path, bytes), 0);
}

static void
keeps_what_it_says(void **state)
{
	struct ms_filestore_limits limits = {.files = 3};
	struct filestore_retention kept;
	char path[2] = "a";

	filestore_retention_init(&kept);
	keep(&kept, "e", 10, 1); /* in no order */
	for (path[0] = 'a'; path[0] < 'e'; path[0]++)
		keep(&kept, path, 10, 100 - path[0] + 'a');
	assert_int_equal(filestore_retention_add(&kept, "a", 10), 0); /* a second line for it */
	assert_int_equal(filestore_retention_add(&kept, "a", 11), -ESTALE);
	assert_int_equal(filestore_retention_add(&kept, "f", 10), -ENOENT);
	assert_int_equal(filestore_retention_sort(&kept), 0);
	assert_int_equal(kept.files_n, 5);
	filestore_retention_enforce(&kept, &limits, 1700000000, 0, &reporter);
	assert_false(exists("a") || exists("b"));
	assert_true(exists("c") && exists("d") && exists("e"));

	limits = (struct ms_filestore_limits){.bytes = 29};
	filestore_retention_enforce(&kept, &limits, 1700000000, 0, &reporter);
	assert_false(exists("c"));
	assert_true(exists("d") && exists("e"));

	limits = (struct ms_filestore_limits){.seconds = 97};
	filestore_retention_enforce(&kept, &limits, 1700000000, 0, &reporter);
	assert_true(exists("d") && exists("e"));
	filestore_retention_enforce(&kept, &limits, 1700000001, 0, &reporter);
	assert_false(exists("d"));
	assert_true(exists("e"));

	limits = (struct ms_filestore_limits){0};
	filestore_retention_enforce(&kept, &limits, 1700000001, 0, &reporter);
	assert_true(exists("e"));
	filestore_retention_enforce(&kept, &limits, 1700000001, 1, &reporter);
	assert_false(exists("e"));
	assert_int_equal(kept.files_n, 0);
	assert_int_equal(kept.bytes, 0);
	filestore_retention_free(&kept);
	assert_string_equal(reported, "");
}

static void
leaves_what_has_changed(void **state)
{
	struct ms_filestore_limits limits = {.seconds = 1};
	struct filestore_retention kept;

	filestore_retention_init(&kept);
	keep(&kept, "gone", 10, 9);
	keep(&kept, "longer", 10, 8);
	keep(&kept, "touched", 10, 7);
	keep(&kept, "mine", 10, 6);
	unlink("gone");
	write_file("longer", "precious precious", 17);
	write_file("touched", "precious!!", 10);
	filestore_retention_enforce(&kept, &limits, 1700000000, 0, &reporter);
	assert_true(exists("longer") && exists("touched"));
	assert_false(exists("mine"));
	assert_int_equal(kept.files_n, 0);
	filestore_retention_free(&kept);
	assert_string_equal(reported, "");
}

/* commands */

static void
run(struct filestore_commands *commands)
{
	for (unsigned int i = 0; i < 3000 && filestore_commands_work(commands) > 0; i++)
		usleep(10000);
	assert_int_equal(filestore_commands_work(commands), 0);
}

static struct filestore_commands *
commands_of(char **argv, uint32_t jobs)
{
	return filestore_commands_create("archive", argv, jobs, &reporter);
}

static void
runs_commands(void **state)
{
	char *with_path[] = {"sh", "-c", "echo \"$1\" >>log; exit $2", "sh", "<{path}>", "7", NULL};
	char *without[] = {"sh", "-c", "echo \"$#\" \"$1\" >>log; kill -9 $$", "sh", NULL};
	char *missing[] = {"./no-such-program", NULL};
	struct filestore_commands *commands = commands_of(with_path, 1);
	char text[256] = "";
	FILE *log;

	filestore_commands_push(commands, "a b; $(c)");
	run(commands);
	filestore_commands_free(commands);
	commands = commands_of(without, 1);
	filestore_commands_push(commands, "d");
	run(commands);
	filestore_commands_free(commands);
	commands = commands_of(missing, 1);
	filestore_commands_push(commands, "e");
	run(commands);
	filestore_commands_free(commands);
	log = fopen("log", "r");
	assert_true(fread(text, 1, sizeof(text) - 1, log) > 0);
	fclose(log);
	assert_string_equal(text, "<a b; $(c)>\n1 d\n");
	assert_string_equal(reported,
		"output archive: OnRotate: 'sh' for 'a b; $(c)': exit status 7\n"
		"output archive: OnRotate: 'sh' for 'd': was ended by signal 9\n"
		"output archive: OnRotate: './no-such-program' for 'e' can't be run: No such file "
		"or directory\n");
}

/* A command has neither our descriptors nor our signal mask, and nothing to read. */
static void
gives_commands_a_clean_start(void **state)
{
	char *argv[] = {"sh", "-c",
		"ls /proc/self/fd | wc -l >fds; cat; grep SigBlk /proc/self/status >mask", NULL};
	int leak = open("/dev/null", O_RDONLY);
	struct filestore_commands *commands = commands_of(argv, 1);
	char mask[64] = "", fds[16] = "";
	sigset_t all, before;
	FILE *file;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	filestore_commands_push(commands, "x");
	run(commands);
	sigprocmask(SIG_SETMASK, &before, NULL);
	filestore_commands_free(commands);
	close(leak);
	file = fopen("mask", "r");
	assert_non_null(fgets(mask, sizeof(mask), file));
	fclose(file);
	assert_string_equal(mask, "SigBlk:\t0000000000000000\n");
	file = fopen("fds", "r");
	assert_non_null(fgets(fds, sizeof(fds), file));
	fclose(file);
	assert_int_equal(atoi(fds), 4); /* three, and ls's own */
}

static void
bounds_commands(void **state)
{
	char *argv[] = {"sh", "-c",
		"mkdir run.$$; ls -d run.* 2>/dev/null | wc -l >>log; sleep 0.1; rmdir run.$$",
		NULL};
	/* in a shell, which the path that is added does not concern */
	char *endless[] = {"sh", "-c", "exec sleep 60", NULL};
	struct filestore_commands *commands = commands_of(argv, 3);
	unsigned int n = 0, most = 0, at_once;
	char line[64];
	FILE *log;

	for (unsigned int i = 0; i < 12; i++)
		filestore_commands_push(commands, "x");
	run(commands);
	filestore_commands_free(commands);
	log = fopen("log", "r");
	while (fgets(line, sizeof(line), log) != NULL) {
		at_once = (unsigned int)atoi(line);
		most = at_once > most ? at_once : most;
		n++;
	}
	fclose(log);
	assert_int_equal(n, 12);
	assert_true(most <= 3);

	reported[0] = '\0';
	commands = commands_of(endless, 1);
	filestore_commands_push(commands, "first");
	assert_int_equal(filestore_commands_work(commands), 1);
	for (unsigned int i = 0; i < 1100; i++)
		filestore_commands_push(commands, "x");
	assert_int_equal(filestore_commands_work(commands), 1025);
	assert_string_equal(reported, "output archive: OnRotate: 76 files get no 'sh', since "
				      "1024 wait for theirs\n");
	reported[0] = '\0';
	filestore_commands_free(commands);
	int pid = atoi(strstr(reported, "process ") + strlen("process "));

	assert_non_null(strstr(reported, "'x' was not run any more"));
	assert_int_equal(kill(pid, SIGKILL), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fills_in_fields),
		TEST(knows_its_fields),
		TEST(matches_only_its_names),
		TEST(numbers_names),
		TEST(finds_directories),
		TEST(makes_directories_that_vary),
		TEST(publishes_without_replacing),
		TEST(replaces_if_it_may),
		TEST(takes_only_what_nobody_writes),
		TEST(finds_what_is_whole),
		TEST(does_not_believe_holes),
		TEST(survives_any_bytes),
		TEST(reads_long_files),
		TEST(hashes),
		TEST(writes_lines),
		TEST(repairs_torn_lines),
		TEST(keeps_what_it_says),
		TEST(leaves_what_has_changed),
		TEST(runs_commands),
		TEST(gives_commands_a_clean_start),
		TEST(bounds_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
