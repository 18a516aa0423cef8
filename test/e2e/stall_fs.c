/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file system that hangs on demand: stall_fs FOLDER SWITCH MOUNTPOINT [FUSE arguments]
 *
 * It shows what is in FOLDER; while the file SWITCH is there, each write and fsync waits, as on a
 * server that does not answer.
 */
#define FUSE_USE_VERSION 31

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int folder = -1;
static const char *stall;

static int
result(int rc)
{
	return rc < 0 ? -errno : rc;
}

/* Paths begin with a slash; the folder's own is the slash alone. */
static const char *
inside(const char *path)
{
	return path[1] != '\0' ? path + 1 : ".";
}

static void
wait_here(void)
{
	while (access(stall, F_OK) == 0)
		usleep(20000);
}

static int
fs_getattr(const char *path, struct stat *status, struct fuse_file_info *file)
{
	return result(fstatat(folder, inside(path), status, AT_SYMLINK_NOFOLLOW));
}

static int
fs_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
	struct fuse_file_info *file, enum fuse_readdir_flags flags)
{
	int fd = openat(folder, inside(path), O_RDONLY | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (dir == NULL)
		return -errno;
	while ((entry = readdir(dir)) != NULL)
		fill(buffer, entry->d_name, NULL, 0, 0);
	closedir(dir);
	return 0;
}

static int
fs_create(const char *path, mode_t mode, struct fuse_file_info *file)
{
	int fd = openat(folder, inside(path), O_RDWR | O_CREAT | (file->flags & O_EXCL), mode);

	file->fh = (uint64_t)fd;
	return fd < 0 ? -errno : 0;
}

static int
fs_open(const char *path, struct fuse_file_info *file)
{
	int fd = openat(folder, inside(path), O_RDWR);

	file->fh = (uint64_t)fd;
	return fd < 0 ? -errno : 0;
}

static int
fs_read(const char *path, char *to, size_t n, off_t offset, struct fuse_file_info *file)
{
	return result((int)pread((int)file->fh, to, n, offset));
}

static int
fs_write(const char *path, const char *from, size_t n, off_t offset, struct fuse_file_info *file)
{
	wait_here();
	return result((int)pwrite((int)file->fh, from, n, offset));
}

static int
fs_truncate(const char *path, off_t size, struct fuse_file_info *file)
{
	int fd = openat(folder, inside(path), O_RDWR);
	int rc = fd < 0 ? -errno : result(ftruncate(fd, size));

	if (fd >= 0)
		close(fd);
	return rc;
}

static int
fs_fsync(const char *path, int data, struct fuse_file_info *file)
{
	wait_here();
	return 0;
}

static int
fs_release(const char *path, struct fuse_file_info *file)
{
	return result(close((int)file->fh));
}

static int
fs_unlink(const char *path)
{
	return result(unlinkat(folder, inside(path), 0));
}

static int
fs_rename(const char *from, const char *to, unsigned int flags)
{
	return result(renameat2(folder, inside(from), folder, inside(to), flags));
}

static int
fs_statfs(const char *path, struct statvfs *status)
{
	return result(fstatvfs(folder, status));
}

static const struct fuse_operations operations = {
	.getattr = fs_getattr,
	.readdir = fs_readdir,
	.create = fs_create,
	.open = fs_open,
	.read = fs_read,
	.write = fs_write,
	.truncate = fs_truncate,
	.fsync = fs_fsync,
	.release = fs_release,
	.unlink = fs_unlink,
	.rename = fs_rename,
	.statfs = fs_statfs,
};

int
main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	folder = open(argv[1], O_RDONLY | O_DIRECTORY);
	stall = argv[2];
	argv[2] = argv[0];
	return folder < 0 ? 2 : fuse_main(argc - 2, argv + 2, &operations, NULL);
}
