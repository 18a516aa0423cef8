/* SPDX-License-Identifier: BSD-3-Clause */
#include "files_target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cli.h"

#define BUFFER_BYTES (1u << 20)
#define MODE         0644

/* A merge reads its files until its end; what it writes must be another one. */
static bool
is_read(const struct files_list *list, const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return false;
	for (size_t i = 0; i < list->entries_n; i++) {
		if (list->entries[i].device == st.st_dev && list->entries[i].inode == st.st_ino)
			return true;
	}
	return false;
}

/* Is there something of this name that can't be replaced by a file? */
static bool
is_special(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

/* Returns a descriptor, or -1 after saying what is wrong. */
static int
open_part(const char *part)
{
	int fd = open(part, O_WRONLY | O_CREAT | O_CLOEXEC, MODE);

	if (fd < 0) {
		cli_wrong("--write: %s: %s", part, strerror(errno));
		return -1;
	}
	/* what another one that has died has left is written over */
	if (flock(fd, LOCK_EX | LOCK_NB) != 0 || ftruncate(fd, 0) != 0) {
		cli_wrong("--write: %s: %s", part,
			errno == EWOULDBLOCK ? "it is being written by another program"
					     : strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

static int
open_special(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		cli_wrong("--write: %s: %s", path, strerror(errno));
	return fd;
}

bool
files_target_open(struct files_target *target, const char *path, const struct files_list *list)
{
	int fd;

	*target = (struct files_target){.path = path};
	if (strcmp(path, "-") == 0) {
		if (isatty(STDOUT_FILENO))
			return cli_wrong("--write: a terminal can't show a pcapng: send standard "
					 "output elsewhere");
		target->path = "standard output";
		fd = dup(STDOUT_FILENO);
	} else if (is_special(path)) {
		fd = open_special(path);
	} else if (asprintf(&target->part, "%s.part", path) < 0) {
		target->part = NULL;
		return cli_wrong("no memory");
	} else if (is_read(list, path) || is_read(list, target->part)) {
		free(target->part);
		return cli_wrong("--write: %s is one of the files to be merged", path);
	} else {
		fd = open_part(target->part);
	}
	target->file = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (target->file == NULL) {
		if (fd >= 0) {
			cli_wrong("--write: %s: %s", path, strerror(errno));
			close(fd);
		}
		free(target->part);
		return false;
	}
	setvbuf(target->file, NULL, _IOFBF, BUFFER_BYTES);
	return true;
}

/* All that was written is where it goes, on disk if it is a file. Returns 0 or -errno. */
static int
flush(const struct files_target *target)
{
	errno = 0;
	if (fflush(target->file) != 0 || ferror(target->file))
		return errno != 0 ? -errno : -EIO;
	if (target->part == NULL)
		return 0;
	if (fdatasync(fileno(target->file)) != 0 || rename(target->part, target->path) != 0)
		return -errno;
	return 0;
}

bool
files_target_close(struct files_target *target, bool complete)
{
	int error = complete ? flush(target) : 0;
	bool right = complete && error == 0;

	if (error != 0)
		cli_wrong("%s can't be written: %s", target->path, strerror(-error));
	if (!right && target->part != NULL)
		unlink(target->part);
	fclose(target->file);
	free(target->part);
	return right;
}
