/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which finished files stay. Only files that stand in a manifest and are still what it says are
 * known here; of these the oldest go first, by when they were finished.
 */
#include "filestore/filestore_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ORDER_STEPS 64 /* more files are not on their way to the disk at once */

struct filestore_kept {
	TAILQ_ENTRY(filestore_kept) next;
	uint64_t bytes;
	uint64_t on_disk; /* what it takes there */
	struct timespec modified;
	char path[];
};

void
filestore_retention_init(struct filestore_retention *kept)
{
	*kept = (struct filestore_retention){0};
	TAILQ_INIT(&kept->files);
}

static void
forget(struct filestore_retention *kept, struct filestore_kept *file)
{
	// NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it left the list when it was freed
	TAILQ_REMOVE(&kept->files, file, next);
	kept->files_n--;
	kept->bytes -= file->bytes;
	free(file);
}

void
filestore_retention_free(struct filestore_retention *kept)
{
	struct filestore_kept *file;

	while ((file = TAILQ_FIRST(&kept->files)) != NULL)
		forget(kept, file); // NOLINT(clang-analyzer-unix.Malloc): as in forget()
}

static bool
is_older(const struct filestore_kept *a, const struct filestore_kept *b)
{
	return a->modified.tv_sec != b->modified.tv_sec ? a->modified.tv_sec < b->modified.tv_sec
	                                                : a->modified.tv_nsec < b->modified.tv_nsec;
}

int
filestore_retention_add(struct filestore_retention *kept, const char *path, uint64_t bytes)
{
	size_t length = strlen(path) + 1;
	struct filestore_kept *file, *before;
	struct stat st;

	if (lstat(path, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != bytes)
		return -ESTALE;
	file = malloc(sizeof(*file) + length);
	if (file == NULL)
		return -ENOMEM;
	memcpy(file->path, path, length);
	file->bytes = bytes;
	file->on_disk = (uint64_t)st.st_blocks * 512;
	file->modified = st.st_mtim;
	/* files are finished in about the order of their ages; many at once are sorted later */
	before = TAILQ_LAST(&kept->files, filestore_kept_list);
	for (unsigned int i = 0; i < ORDER_STEPS && before != NULL && is_older(file, before); i++)
		before = TAILQ_PREV(before, filestore_kept_list, next);
	if (before != NULL)
		TAILQ_INSERT_AFTER(&kept->files, before, file, next);
	else
		TAILQ_INSERT_HEAD(&kept->files, file, next);
	kept->files_n++;
	kept->bytes += bytes;
	return 0;
}

static int
compare_paths(const void *a, const void *b)
{
	const struct filestore_kept *const *x = a, *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

static int
compare_ages(const void *a, const void *b)
{
	const struct filestore_kept *const *x = a, *const *y = b;

	return is_older(*x, *y) ? -1 : is_older(*y, *x) ? 1 : compare_paths(a, b);
}

int
filestore_retention_sort(struct filestore_retention *kept)
{
	uint64_t n = 0, unique = 0;
	struct filestore_kept **all, *file;

	if (kept->files_n == 0)
		return 0;
	all = calloc(kept->files_n, sizeof(struct filestore_kept *));
	if (all == NULL)
		return -ENOMEM;
	TAILQ_FOREACH (file, &kept->files, next)
		all[n++] = file;
	qsort(all, n, sizeof(struct filestore_kept *), compare_paths);
	for (uint64_t i = 0; i < n; i++) {
		/* a name may come back after its file was removed, and stands there twice then */
		if (unique > 0 && strcmp(all[unique - 1]->path, all[i]->path) == 0)
			forget(kept, all[i]);
		else
			all[unique++] = all[i];
	}
	qsort(all, unique, sizeof(struct filestore_kept *), compare_ages);
	TAILQ_INIT(&kept->files);
	for (uint64_t i = 0; i < unique; i++)
		TAILQ_INSERT_TAIL(&kept->files, all[i], next);
	free(all);
	return 0;
}

/* Removes a file, unless it has become another one. Returns the bytes that this makes free. */
static uint64_t
remove_file(const struct filestore_kept *file, const struct ms_filestore_reporter *reporter)
{
	struct stat st;

	if (lstat(file->path, &st) != 0 || (uint64_t)st.st_size != file->bytes ||
		st.st_mtim.tv_sec != file->modified.tv_sec ||
		st.st_mtim.tv_nsec != file->modified.tv_nsec)
		return 0;
	if (unlink(file->path) == 0)
		return file->on_disk;
	filestore_report(reporter, "'%s' can't be removed: %s", file->path, strerror(errno));
	return 0;
}

void
filestore_retention_enforce(struct filestore_retention *kept,
	const struct ms_filestore_limits *limits, time_t now, uint64_t free,
	const struct ms_filestore_reporter *reporter)
{
	struct filestore_kept *oldest;
	uint64_t made;

	while ((oldest = TAILQ_FIRST(&kept->files)) != NULL) {
		// NOLINTBEGIN(clang-analyzer-unix.Malloc): as in forget()
		if ((limits->files == 0 || kept->files_n <= limits->files) &&
			(limits->bytes == 0 || kept->bytes <= limits->bytes) &&
			(limits->seconds == 0 ||
				now - oldest->modified.tv_sec <= (time_t)limits->seconds) &&
			free == 0)
			return;
		made = remove_file(oldest, reporter);
		free -= made < free ? made : free;
		// NOLINTEND(clang-analyzer-unix.Malloc)
		forget(kept, oldest);
	}
}
