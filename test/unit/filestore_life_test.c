/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * filestore as its users see it: a file from its opening to its name, starts that are abandoned,
 * and starts after a crash.
 */
#include "filestore/filestore_private.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "session/ms_session.h"

static struct ms_session_registry *registry;
static char reported[65536];

static void
report(void *arg, const char *text)
{
	size_t n = strlen(reported);

	snprintf(reported + n, sizeof(reported) - n, "%s\n", text);
}

static int
begin(void **state)
{
	char path[] = "/tmp/filestore_life_test.XXXXXX";

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

static int
setup(void **state)
{
	registry = ms_session_registry_create();
	return registry == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	ms_session_registry_free(registry);
	return 0;
}

static bool
exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static struct ms_filestore_options
series(const char *path)
{
	return (struct ms_filestore_options){.output = "archive",
		.path = path,
		.lanes = 1,
		.series = true,
		.manifest = true,
		.registry = registry,
		.reporter = {.report = report}};
}

static struct ms_filestore *
create(const struct ms_filestore_options *options)
{
	struct ms_filestore *store = ms_filestore_create(options);

	assert_non_null(store);
	return store;
}

/* A pcap of two packets of 4 bytes: 64 bytes. */
static const uint32_t two[16] = {
	0xa1b23c4d, 2 | 4 << 16, 0, 0, 65535, 1, 1, 2, 4, 4, 9, 1, 3, 4, 4, 9};
#define ONE_PACKET 44

/* Writes n bytes of a capture to a descriptor of the store. */
static void
write_some(int fd, size_t n)
{
	assert_true(fd >= 0);
	assert_int_equal(write(fd, two, n), n);
}

static void
finish(struct ms_filestore *store, int fd, size_t n, int error)
{
	struct ms_capfile_finished finished = {
		.bytes = n, .frames = n > 24 ? 2 : 0, .payload = 8, .error = error};

	ms_filestore_ops.finished(ms_filestore_lane(store, 0), fd, &finished);
}

/* Opens, writes and finishes a file of 64 bytes. */
static void
one_file(struct ms_filestore *store)
{
	int fd = ms_filestore_open(store, 0, MS_SESSION_NONE);

	write_some(fd, sizeof(two));
	finish(store, fd, sizeof(two), 0);
}

static unsigned int
manifest_lines(const char *path)
{
	FILE *file = fopen(path, "r");
	unsigned int n = 0;
	int c;

	while (file != NULL && (c = fgetc(file)) != EOF)
		n += c == '\n';
	if (file != NULL)
		fclose(file);
	return n;
}

static void
gives_names(void **state)
{
	struct ms_session_info info = {.name = (char[]){"tms/1"}, .vni = 77};
	uint32_t session = ms_session_add(registry, &info);
	struct ms_filestore_options options = series("c-{session}-{vni}-{seq}.pcap");
	struct ms_filestore *store;
	char path[4096];
	int fd;

	options.lanes = 2;
	store = create(&options);
	assert_int_equal(ms_filestore_begin(store), 0);
	fd = ms_filestore_ops.open(ms_filestore_lane(store, 1), session);
	ms_filestore_path(store, fd, path, sizeof(path));
	assert_string_equal(path, "c-tms_1-77-000001-w1.pcap");
	assert_true(exists("c-tms_1-77-000001-w1.pcap.part"));
	write_some(fd, sizeof(two));
	finish(store, fd, sizeof(two), 0);
	assert_true(exists("c-tms_1-77-000001-w1.pcap"));
	assert_false(exists("c-tms_1-77-000001-w1.pcap.part"));
	assert_int_equal(manifest_lines("manifest.jsonl"), 1);
	ms_filestore_free(store);
	assert_string_equal(reported, "");
}

static void
goes_on_counting(void **state)
{
	struct ms_filestore_options options = series("%Y/{seq}.pcap");
	struct ms_filestore *store = create(&options);

	options.keep.files = 1;
	for (unsigned int i = 0; i < 3; i++)
		one_file(store);
	ms_filestore_free(store);
	store = create(&options); /* whatever is left: the manifest knows of it */
	filestore_work(store);
	for (unsigned int i = 0; i < 2; i++)
		one_file(store);
	ms_filestore_free(store);
	time_t now = time(NULL);
	char want[32];

	strftime(want, sizeof(want), "%Y/000005.pcap", gmtime(&now));
	assert_true(exists(want));
	want[10] = '4';
	assert_false(exists(want));
}

static void
abandons_a_start(void **state)
{
	struct ms_filestore_options options = series("a/%Y/%m/x-{seq}.pcap");
	struct ms_filestore *store = create(&options);

	assert_int_equal(ms_filestore_open(store, 0, MS_SESSION_NONE), -ENOENT); /* no a */
	assert_int_equal(mkdir("a", 0755), 0);
	assert_true(ms_filestore_open(store, 0, MS_SESSION_NONE) >= 0);
	ms_filestore_abandon(store);
	ms_filestore_free(store);
	assert_int_equal(rmdir("a"), 0);
}

static void
replaces_only_by_what_is_complete(void **state)
{
	struct ms_filestore_options options = series("x.pcap");
	struct ms_filestore *store, *other;
	struct stat st;
	int fd;

	options.series = false;
	options.manifest = false;
	store = create(&options);
	one_file(store);
	ms_filestore_free(store);
	store = create(&options);
	fd = ms_filestore_open(store, 0, MS_SESSION_NONE);
	other = create(&options);
	assert_int_equal(ms_filestore_open(other, 0, MS_SESSION_NONE), -EBUSY);
	ms_filestore_free(other);
	write_some(fd, ONE_PACKET);
	finish(store, fd, ONE_PACKET, -ENOSPC);
	assert_int_equal(stat("x.pcap", &st), 0);
	assert_int_equal(st.st_size, sizeof(two));
	assert_true(exists("x-2.pcap"));
	fd = ms_filestore_open(store, 0, MS_SESSION_NONE);
	finish(store, fd, 24, -ENOSPC); /* a header is worth nothing */
	fd = ms_filestore_open(store, 0, MS_SESSION_NONE);
	write_some(fd, sizeof(two));
	finish(store, fd, sizeof(two), 0); /* what follows takes no other's place */
	assert_true(exists("x-3.pcap"));
	assert_int_equal(unlink("x-3.pcap"), 0);
	ms_filestore_free(store);
	store = create(&options);
	fd = ms_filestore_open(store, 0, MS_SESSION_NONE);
	write_some(fd, 24);
	finish(store, fd, 24, 0);
	assert_int_equal(stat("x.pcap", &st), 0);
	assert_int_equal(st.st_size, 24);
	assert_false(exists("x.pcap.part") || exists("x-2.pcap.part") || exists("x-3.pcap") ||
		     exists("manifest.jsonl"));
	ms_filestore_free(store);
	assert_non_null(strstr(reported, "'x.pcap' ends early: No space left on device"));
}

static void
writes_special_files_in_place(void **state)
{
	struct ms_filestore_options options = series("link.pcap");
	struct ms_filestore *store;
	struct stat st;
	int fd;

	options.series = false;
	assert_int_equal(symlink("target", "link.pcap"), 0);
	fd = open("target", O_WRONLY | O_CREAT, 0644);
	write_some(fd, sizeof(two));
	close(fd);
	store = create(&options);
	fd = ms_filestore_open(store, 0, MS_SESSION_NONE);
	assert_int_equal(stat("target", &st), 0);
	assert_int_equal(st.st_size, sizeof(two)); /* not yet */
	assert_int_equal(ms_filestore_begin(store), 0);
	assert_int_equal(stat("target", &st), 0);
	assert_int_equal(st.st_size, 0);
	write_some(fd, ONE_PACKET);
	finish(store, fd, ONE_PACKET, 0);
	ms_filestore_free(store);
	assert_int_equal(stat("target", &st), 0);
	assert_int_equal(st.st_size, ONE_PACKET);
	assert_false(exists("manifest.jsonl"));
	options.series = true;
	store = create(&options);
	assert_int_equal(ms_filestore_open(store, 0, MS_SESSION_NONE), -ESPIPE);
	ms_filestore_free(store);
}

/* Leaves a file with n bytes under its temporary name, as a process that was killed. */
static void
crash(const struct ms_filestore_options *options, size_t n)
{
	struct ms_filestore *store = create(options);
	int fd = ms_filestore_open(store, 0, MS_SESSION_NONE);

	write_some(fd, n);
	close(fd);
	ms_filestore_free(store);
}

static void
recovers(void **state)
{
	struct ms_filestore_options options = series("{seq}.pcap");
	struct ms_filestore *store, *other;
	struct stat st;
	int fd;

	crash(&options, ONE_PACKET + 15);
	crash(&options, 24);
	crash(&options, 0);
	other = create(&options); /* that one lives */
	assert_true(ms_filestore_open(other, 0, MS_SESSION_NONE) >= 0);
	fd = open("strange.pcap.part", O_WRONLY | O_CREAT, 0644);
	close(fd);
	store = create(&options);
	assert_int_equal(ms_filestore_begin(store), 0);
	assert_string_equal(reported,
		"output archive: recovered '000001.pcap': 1 packets, 44 bytes, 15 bytes cut off\n"
		"output archive: removed '000002.pcap.part': 0 packets, 24 bytes\n"
		"output archive: removed '000003.pcap.part': 0 packets, 0 bytes\n");
	assert_int_equal(stat("000001.pcap", &st), 0);
	assert_int_equal(st.st_size, ONE_PACKET);
	assert_true(exists("strange.pcap.part") && exists("000004.pcap.part"));
	assert_false(exists("000001.pcap.part") || exists("000002.pcap.part") ||
		     exists("000003.pcap.part") || exists("000002.pcap"));
	assert_int_equal(manifest_lines("manifest.jsonl"), 1);
	ms_filestore_free(store);
	ms_filestore_free(other);
}

static void
does_not_lose_a_recovered_file(void **state)
{
	struct ms_filestore_options options = series("x.pcap");
	struct ms_filestore *store;
	struct stat st;
	int fd;

	options.series = false;
	crash(&options, ONE_PACKET);
	store = create(&options);
	fd = ms_filestore_open(store, 0, MS_SESSION_NONE);
	assert_int_equal(ms_filestore_begin(store), 0);
	write_some(fd, sizeof(two));
	finish(store, fd, sizeof(two), 0);
	ms_filestore_free(store);
	assert_int_equal(stat("x.pcap", &st), 0);
	assert_int_equal(st.st_size, sizeof(two));
	assert_int_equal(stat("x-2.pcap", &st), 0);
	assert_int_equal(st.st_size, ONE_PACKET);
	assert_false(exists("x.pcap.part") || exists("x-2.pcap.part"));
}

/* Death between a file's name and its line in the manifest, or just after that. */
static void
completes_what_was_complete(void **state)
{
	struct ms_filestore_options options = series("{seq}.pcap");
	struct ms_filestore *store;

	for (unsigned int recorded = 0; recorded < 2; recorded++) {
		unlink("manifest.jsonl");
		unlink("000001.pcap");
		store = create(&options);
		one_file(store);
		ms_filestore_free(store);
		if (recorded == 0)
			unlink("manifest.jsonl");
		assert_int_equal(link("000001.pcap", "000001.pcap.part"), 0);
		store = create(&options);
		assert_int_equal(ms_filestore_begin(store), 0);
		ms_filestore_free(store);
		assert_true(exists("000001.pcap"));
		assert_false(exists("000001.pcap.part") || exists("000001-2.pcap"));
		assert_int_equal(manifest_lines("manifest.jsonl"), 1);
		assert_non_null(strstr(reported, "it was complete"));
	}
}

static void
keeps_to_limits(void **state)
{
	struct ms_filestore_options options = series("{seq}.pcap");
	struct ms_filestore *store;
	int fd = open("000000.pcap", O_WRONLY | O_CREAT, 0644);

	close(fd); /* a name of ours, but no file of ours */
	options.keep.files = 2;
	store = create(&options);
	for (unsigned int i = 0; i < 4; i++)
		one_file(store);
	ms_filestore_free(store);
	assert_true(exists("000000.pcap") && exists("000003.pcap") && exists("000004.pcap"));
	assert_false(exists("000001.pcap") || exists("000002.pcap"));
	/* the floor is out of reach: all that is ours goes, and nothing else */
	options.keep = (struct ms_filestore_limits){.min_free = UINT64_MAX / 2};
	store = create(&options);
	fd = ms_filestore_open(store, 0, MS_SESSION_NONE);
	assert_int_equal(filestore_work(store), 0);
	assert_true(exists("000000.pcap") && exists("000005.pcap.part"));
	assert_false(exists("000003.pcap") || exists("000004.pcap"));
	close(fd);
	ms_filestore_free(store);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(gives_names),
		TEST(goes_on_counting),
		TEST(abandons_a_start),
		TEST(replaces_only_by_what_is_complete),
		TEST(writes_special_files_in_place),
		TEST(recovers),
		TEST(does_not_lose_a_recovered_file),
		TEST(completes_what_was_complete),
		TEST(keeps_to_limits),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
