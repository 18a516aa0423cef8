/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * manifest.jsonl: one line of JSON for each finished file, in the directory of that file.
 *
 * Several outputs, and processes, may append to one manifest. They lock it while they do, since
 * what a crash or a full disk has left of a line is cut off before the next one is written.
 */
#include "filestore/filestore_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#define CHUNK         4096
#define NS_PER_SECOND UINT64_C(1000000000)

/* RFC 3339, in UTC; NULL if there is none. A new reference. */
static json_t *
time_json(uint64_t ns, bool known)
{
	time_t seconds = (time_t)(ns / NS_PER_SECOND);
	char text[64], out[96];
	struct tm tm;

	if (!known || gmtime_r(&seconds, &tm) == NULL)
		return json_null();
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, sizeof(out), "%s.%09" PRIu64 "Z", text, ns % NS_PER_SECOND);
	return json_string(out);
}

static json_t *
number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *
sessions_json(const struct filestore_record *record)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < record->sessions_n; i++) {
		const struct filestore_record_session *s = &record->sessions[i];
		json_t *one = json_object();

		json_object_set_new(one, "session", json_string(s->name));
		if (s->vni >= 0)
			json_object_set_new(one, "vni", json_integer(s->vni));
		json_object_set_new(one, "packets", number(s->packets));
		if (!record->recovered)
			json_object_set_new(one, "dropped", number(s->dropped));
		json_array_append_new(list, one);
	}
	return list;
}

/* Text that may hold any bytes. A new reference. */
static json_t *
text_json(const char *text)
{
	json_t *string = json_string(text);
	char *copy;

	if (string != NULL)
		return string;
	copy = strdup(text);
	for (char *c = copy; c != NULL && *c != '\0'; c++) {
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	}
	string = copy != NULL ? json_string(copy) : NULL;
	free(copy);
	return string;
}

/* A line with its newline, to be freed, or NULL. */
static char *
line_of(const struct filestore_record *record, size_t *length)
{
	json_t *object = json_object();
	bool any = record->packets > 0;
	char *line;

	json_object_set_new(object, "path", text_json(record->path));
	json_object_set_new(object, "output", text_json(record->output));
	json_object_set_new(object, "first", time_json(record->first, any));
	json_object_set_new(object, "last", time_json(record->last, any));
	json_object_set_new(object, "packets", number(record->packets));
	json_object_set_new(object, "payload", number(record->payload));
	json_object_set_new(object, "bytes", number(record->bytes));
	if (!record->recovered) /* how many a process had lost that has died nobody knows */
		json_object_set_new(object, "dropped", number(record->dropped));
	json_object_set_new(object, "sessions", sessions_json(record));
	if (record->sha256 != NULL)
		json_object_set_new(object, "sha256", json_string(record->sha256));
	if (record->error != 0)
		json_object_set_new(object, "error", json_string(strerror(-record->error)));
	if (record->recovered)
		json_object_set_new(object, "recovered", json_true());
	*length = json_dumpb(object, NULL, 0, JSON_COMPACT);
	line = *length > 0 ? malloc(*length + 1) : NULL;
	if (line != NULL) {
		json_dumpb(object, line, *length, JSON_COMPACT);
		line[(*length)++] = '\n';
	}
	json_decref(object);
	return line;
}

/* Where the last whole line of a file ends; -errno if that can't be read. */
static off_t
whole_lines(int fd, off_t size)
{
	char chunk[CHUNK];
	off_t end = size;

	while (end > 0) {
		size_t n = end < CHUNK ? (size_t)end : CHUNK;
		ssize_t got = pread(fd, chunk, n, end - (off_t)n);
		const char *newline;

		if (got != (ssize_t)n)
			return got < 0 ? -errno : -EIO;
		newline = memrchr(chunk, '\n', n);
		if (newline != NULL)
			return end - (off_t)n + (newline - chunk) + 1;
		end -= (off_t)n;
	}
	return 0;
}

/* Appends to a locked manifest. Returns 0 or -errno. */
static int
append(int fd, const char *line, size_t length)
{
	struct stat st;
	off_t end;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return -errno;
	end = whole_lines(fd, st.st_size);
	if (end < 0)
		return (int)end;
	if (end < st.st_size && ftruncate(fd, end) != 0)
		return -errno;
	do
		n = write(fd, line, length);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)length)
		return 0;
	return n < 0 ? -errno : ftruncate(fd, end) != 0 ? -errno : -ENOSPC;
}

int
filestore_manifest_append(const char *directory, const struct filestore_record *record)
{
	char path[FILESTORE_PATH];
	size_t length;
	char *line;
	int fd, error = filestore_join(directory, FILESTORE_MANIFEST, path);

	if (error != 0)
		return error;
	line = line_of(record, &length);
	if (line == NULL)
		return -ENOMEM;
	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd >= 0 && flock(fd, LOCK_EX) == 0)
		error = append(fd, line, length);
	else
		error = -errno;
	if (fd >= 0)
		close(fd);
	free(line);
	return error;
}

int
filestore_manifest_read(const char *directory,
	void (*visit)(void *arg, const char *path, const char *output, uint64_t bytes), void *arg)
{
	char path[FILESTORE_PATH];
	const char *name, *output;
	char *line = NULL;
	size_t room = 0;
	json_int_t bytes;
	json_t *object;
	FILE *file;

	if (filestore_join(directory, FILESTORE_MANIFEST, path) != 0)
		return -ENAMETOOLONG;
	file = fopen(path, "re");
	if (file == NULL)
		return errno == ENOENT ? 0 : -errno;
	while (getline(&line, &room, file) > 0) {
		object = json_loads(line, 0, NULL);
		if (json_unpack(object, "{s:s, s:s, s:I}", "path", &name, "output", &output,
			    "bytes", &bytes) == 0 &&
			bytes >= 0)
			visit(arg, name, output, (uint64_t)bytes);
		json_decref(object);
	}
	free(line);
	fclose(file);
	return 0;
}
