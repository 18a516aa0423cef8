/* SPDX-License-Identifier: BSD-3-Clause */
/* Directories: those that a pattern can mean, found on the disk, and those that a path needs, made.
 */
#include "filestore/filestore_private.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <bsd/string.h>

struct walk {
	char path[FILESTORE_PATH];
	void (*visit)(void *arg, const char *directory);
	void *arg;
	int error;
};

static const char *
directory_of(const struct walk *walk)
{
	return walk->path[0] != '\0' ? walk->path : ".";
}

static bool
is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void descend(struct walk *walk, size_t used, const char *pattern);

/* Goes into each entry that the pattern's first component, of length bytes, can mean. */
// NOLINTNEXTLINE(misc-no-recursion): no deeper than the pattern has slashes
static void
descend_each(struct walk *walk, size_t used, const char *pattern, size_t length)
{
	DIR *directory = opendir(directory_of(walk));
	const struct dirent *entry;
	size_t n;

	if (directory == NULL) {
		if (errno != ENOENT && errno != ENOTDIR && walk->error == 0)
			walk->error = -errno;
		return;
	}
	while ((entry = readdir(directory)) != NULL) {
		n = strlen(entry->d_name);
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			used + n + 1 >= sizeof(walk->path) ||
			!filestore_names_match_part(pattern, length, entry->d_name, n))
			continue;
		memcpy(walk->path + used, entry->d_name, n + 1);
		if (is_directory(walk->path)) {
			memcpy(walk->path + used + n, "/", 2);
			descend(walk, used + n + 1, pattern + length + 1);
		}
		walk->path[used] = '\0';
	}
	closedir(directory);
}

// NOLINTNEXTLINE(misc-no-recursion): no deeper than the pattern has slashes
static void
descend(struct walk *walk, size_t used, const char *pattern)
{
	const char *slash;
	size_t length;

	for (;;) {
		slash = strchr(pattern, '/');
		if (slash == NULL) {
			if (is_directory(directory_of(walk)))
				walk->visit(walk->arg, directory_of(walk));
			return;
		}
		length = slash - pattern;
		if (filestore_names_varies(pattern, length)) {
			descend_each(walk, used, pattern, length);
			return;
		}
		/* literals, though "%%" is one, too */
		if (used + length + 1 >= sizeof(walk->path))
			return;
		for (size_t i = 0; i <= length; i++) {
			i += pattern[i] == '%' && pattern[i + 1] == '%';
			walk->path[used++] = pattern[i];
		}
		walk->path[used] = '\0';
		pattern = slash + 1;
	}
}

int
filestore_walk(const char *pattern, void (*visit)(void *arg, const char *directory), void *arg)
{
	struct walk walk = {.visit = visit, .arg = arg};

	descend(&walk, 0, pattern);
	return walk.error;
}

int
filestore_join(const char *directory, const char *name, char *out)
{
	size_t n = strlen(directory);
	const char *between = n > 0 && directory[n - 1] == '/' ? "" : "/";
	int length;

	if (strcmp(directory, ".") == 0)
		directory = between = "";
	length = snprintf(out, FILESTORE_PATH, "%s%s%s", directory, between, name);
	return length < FILESTORE_PATH ? 0 : -ENAMETOOLONG;
}

void
filestore_directory(const char *path, char *out)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		strlcpy(out, ".", FILESTORE_PATH);
	else
		snprintf(out, FILESTORE_PATH, "%.*s", (int)(slash - path + 1), path);
}

int
filestore_make_directories(const char *pattern, const char *path,
	void (*made)(void *arg, const char *directory), void *arg)
{
	const char *slash = strchr(pattern, '/'), *end = strchr(path, '/');
	char directory[FILESTORE_PATH];

	for (; slash != NULL && end != NULL;
		slash = strchr(slash + 1, '/'), end = strchr(end + 1, '/')) {
		if (!filestore_names_varies(pattern, slash - pattern))
			continue;
		snprintf(directory, sizeof(directory), "%.*s", (int)(end - path), path);
		if (mkdir(directory, 0755) == 0)
			made(arg, directory);
		else if (errno != EEXIST)
			return -errno;
	}
	return 0;
}
