/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file under its temporary name, from its making to its own name.
 *
 * Who writes it holds a lock on it. So what bears a temporary name and is not locked was left by a
 * process that has died, and only that is taken over. A name is given by a second link, which never
 * replaces a file and can be told from an unfinished file after a crash; only then does the
 * temporary name go.
 */
#include "filestore/filestore_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/string.h>

#define NUMBERS 1000000u /* names that are tried */

static bool
is_same(const char *path, const struct stat *st)
{
	struct stat other;

	return lstat(path, &other) == 0 && other.st_dev == st->st_dev && other.st_ino == st->st_ino;
}

/* Locks a descriptor of the file at path, if it still is the file there. Returns 0 or -errno. */
static int
lock(int fd, const char *path)
{
	struct stat st;

	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (fstat(fd, &st) != 0)
		return -errno;
	return is_same(path, &st) ? 0 : -ENOENT;
}

static int
temporary_name(const char *path, char *out)
{
	int n = snprintf(out, FILESTORE_PATH, "%s" FILESTORE_PART, path);

	return n < FILESTORE_PATH ? 0 : -ENAMETOOLONG;
}

static bool
is_locked(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;

	if (fd >= 0)
		close(fd);
	return locked;
}

/* Makes the temporary file itself. Returns 0 or -errno. */
static int
make(struct filestore_part *part)
{
	int error;

	part->fd = open(part->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (part->fd < 0)
		return -errno;
	error = lock(part->fd, part->part);
	if (error != 0) /* somebody took it for left behind, in the moment before it was locked */
		close(part->fd);
	return error;
}

int
filestore_part_make(struct filestore_part *part, const char *path, bool replace)
{
	char numbered[FILESTORE_PATH];
	struct stat st;
	int error;

	part->replace = replace;
	for (unsigned int i = 1; i < NUMBERS; i++) {
		error = filestore_names_numbered(path, i, numbered);
		if (error == 0)
			error = temporary_name(numbered, part->part);
		if (error != 0)
			return error;
		strlcpy(part->path, replace ? path : numbered, sizeof(part->path));
		if (!replace && lstat(numbered, &st) == 0)
			continue;
		error = make(part);
		if (error == -EEXIST && replace && i == 1 && is_locked(part->part))
			return -EBUSY;
		if (error != -EEXIST && error != -EBUSY && error != -ENOENT)
			return error;
		if (error == -ENOENT && i > 1 && access(numbered, F_OK) != 0)
			return error;
	}
	return -EEXIST;
}

int
filestore_part_in_place(struct filestore_part *part, const char *path)
{
	strlcpy(part->path, path, sizeof(part->path));
	part->part[0] = '\0';
	part->replace = false;
	part->fd = open(path, O_WRONLY | O_CLOEXEC);
	return part->fd < 0 ? -errno : 0;
}

bool
filestore_part_is_in_place(const struct filestore_part *part)
{
	return part->part[0] == '\0';
}

void
filestore_part_remove(const struct filestore_part *part)
{
	if (!filestore_part_is_in_place(part))
		unlink(part->part);
}

int
filestore_part_take(struct filestore_part *part, const char *directory, const char *name)
{
	int error = filestore_join(directory, name, part->part);
	struct stat st;

	if (error != 0)
		return error;
	part->replace = false;
	snprintf(part->path, sizeof(part->path), "%.*s",
		(int)(strlen(part->part) - strlen(FILESTORE_PART)), part->part);
	part->fd = open(part->part, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (part->fd < 0)
		return -errno;
	error = lock(part->fd, part->part);
	if (error == 0 && (fstat(part->fd, &st) != 0 || !S_ISREG(st.st_mode)))
		error = -EINVAL;
	if (error != 0)
		close(part->fd);
	return error;
}

/* Gives the file the name `to`, if no file has it. Returns 0 or -errno. */
static int
name(const struct filestore_part *part, const char *to)
{
	if (link(part->part, to) == 0)
		return 0;
	if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
		return -errno;
	/* no second links there, as on FAT */
	return renameat2(AT_FDCWD, part->part, AT_FDCWD, to, RENAME_NOREPLACE) == 0 ? 0 : -errno;
}

int
filestore_part_publish(struct filestore_part *part)
{
	char numbered[FILESTORE_PATH];
	int error = -EEXIST;

	if (part->replace)
		return rename(part->part, part->path) == 0 ? 0 : -errno;
	for (unsigned int i = 1; error == -EEXIST && i < NUMBERS; i++) {
		if (filestore_names_numbered(part->path, i, numbered) != 0)
			return -ENAMETOOLONG;
		error = name(part, numbered);
	}
	if (error == 0)
		strlcpy(part->path, numbered, sizeof(part->path));
	return error;
}

bool
filestore_part_published(struct filestore_part *part)
{
	char numbered[FILESTORE_PATH];
	struct stat st;

	if (fstat(part->fd, &st) != 0 || st.st_nlink < 2)
		return false;
	for (unsigned int i = 1; filestore_names_numbered(part->path, i, numbered) == 0; i++) {
		if (is_same(numbered, &st)) {
			strlcpy(part->path, numbered, sizeof(part->path));
			return true;
		}
		if (access(numbered, F_OK) != 0)
			return false;
	}
	return false;
}

int
filestore_part_settle(struct filestore_part *part)
{
	char directory[FILESTORE_PATH];
	struct stat st;
	int fd, error = 0;

	/* after a rename it may be the name of somebody else's file by now */
	if (fstat(part->fd, &st) == 0 && is_same(part->part, &st) && unlink(part->part) != 0)
		error = -errno;
	filestore_directory(part->path, directory);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error != 0 ? error : -errno;
	/* file systems that know no such thing say EINVAL */
	if (fsync(fd) != 0 && errno != EINVAL && error == 0)
		error = -errno;
	close(fd);
	return error;
}
