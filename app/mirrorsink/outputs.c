/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opens output files in two steps: first all are opened as they are, then, when nothing else can be
 * wrong any more, they are emptied. A command line that fails changes no file.
 */
#include "outputs.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bsd/string.h>

#include "ports.h"

#define PATH_ROOM        4096
#define LANE_BUFFERS_MIN (2u << 20) /* one is filled while the other is written */

/* One open file. */
struct sink_file {
	char path[PATH_ROOM];
	int fd; /* -1: handed on */
	bool made;
	bool regular;
	dev_t device;
	ino_t inode;
	struct sink_file *next;
};

/* What the writer of a regular file needs to open the next one. Owned by sink.rotations. */
struct sink_rotation {
	struct sink_rotation *next;
	char *name; /* of the output; own copies, since configurations go at a reload */
	char *path;
	uint16_t lane;
	uint16_t lanes_n;
	char latest[PATH_ROOM]; /* the file that was opened last; writer's thread */
};

/* All of them: a list for each output, lane 0 first, and the summary. */
struct sink_files {
	struct sink_file *first;
	struct sink_file **last;
	struct sink_file *of[MS_OUTPUTS_MAX][SINK_RX_MAX];
};

/* Puts mark and number before the extension. Returns as snprintf() does. */
static int
insert_number(const char *path, const char *mark, unsigned int number, char *out)
{
	const char *dot = strrchr(path, '.');

	if (dot == NULL || strchr(dot, '/') != NULL)
		dot = path + strlen(path);
	return snprintf(out, PATH_ROOM, "%.*s%s%u%s", (int)(dot - path), path, mark, number, dot);
}

/* Puts the lane's number in: for {worker}, or before the extension if several lanes need it. */
static bool
expand_worker(const char *name, const char *path, uint16_t lane, uint16_t lanes, char *out)
{
	const char *brace = strchr(path, '{');
	int n;

	if (brace != NULL && strncmp(brace, "{worker}", 8) == 0)
		n = snprintf(
			out, PATH_ROOM, "%.*s%u%s", (int)(brace - path), path, lane, brace + 8);
	else if (lanes == 1)
		n = snprintf(out, PATH_ROOM, "%s", path);
	else
		n = insert_number(path, "-w", lane, out);
	brace = strchr(out, '{');
	if (brace != NULL)
		return cli_wrong(
			"output %s: %s: '%s' is not known: only {worker}, once", name, path, brace);
	return n < PATH_ROOM || cli_wrong("%s: the path is too long", name);
}

static bool
expand_time(const char *name, const char *path, char *out)
{
	time_t now = time(NULL);
	struct tm tm;

	if (strchr(path, '%') == NULL) {
		strlcpy(out, path, PATH_ROOM);
		return true;
	}
	localtime_r(&now, &tm);
	return strftime(out, PATH_ROOM, path, &tm) > 0 ||
	       cli_wrong("%s: %s: the path is too long", name, path);
}

/* Another output's file; special files such as /dev/null may be shared. */
static bool
is_taken(const struct sink_files *files, const struct sink_file *file)
{
	for (const struct sink_file *f = files->first; f != NULL; f = f->next) {
		if (file->regular && f->device == file->device && f->inode == file->inode)
			return true;
	}
	return false;
}

/* Opens without changing what is there. NULL after a message. */
static struct sink_file *
open_file(struct sink_files *files, const char *name, const char *path)
{
	struct sink_file *file = calloc(1, sizeof(*file));
	struct stat st;

	if (file == NULL) {
		cli_wrong("out of memory");
		return NULL;
	}
	strlcpy(file->path, path, sizeof(file->path));
	file->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	file->made = file->fd >= 0;
	if (file->fd < 0 && errno == EEXIST)
		file->fd = open(path, O_WRONLY | O_CLOEXEC);
	if (file->fd < 0 || fstat(file->fd, &st) != 0) {
		cli_wrong("%s: cannot write '%s': %s", name, path, strerror(errno));
		goto fail;
	}
	file->regular = S_ISREG(st.st_mode);
	file->device = st.st_dev;
	file->inode = st.st_ino;
	if (is_taken(files, file)) {
		cli_wrong("%s: '%s' is the file of another output already", name, path);
		goto fail;
	}
	*files->last = file;
	files->last = &file->next;
	return file;
fail:
	if (file->fd >= 0)
		close(file->fd);
	free(file);
	return NULL;
}

static bool
open_output(struct sink *sink, uint32_t i, uint16_t lane)
{
	const struct ms_config_output *output = &sink_config(sink)->outputs[i];
	char timed[PATH_ROOM], path[PATH_ROOM], place[OUTPUTS_PLACE];

	outputs_place(output, place, sizeof(place));
	if (output->buffer_memory != 0 && output->buffer_memory / sink->lanes_n < LANE_BUFFERS_MIN)
		return cli_wrong("%s: BufferMemory is %" PRIu64
				 " bytes for %u lcores that write; give it 2MiB for each at least",
			place, output->buffer_memory, sink->lanes_n);
	if (!expand_time(place, output->path, timed) ||
		!expand_worker(place, timed, lane, sink->lanes_n, path))
		return false;
	sink->files->of[i][lane] = open_file(sink->files, place, path);
	return sink->files->of[i][lane] != NULL;
}

/* Standard output has one writer, and a terminal is no place for a capture. */
static bool
take_stdout(struct sink *sink)
{
	if (sink->stdout_taken)
		return cli_wrong(
			"two outputs write to standard output (-): give one of them a file");
	if (sink->lanes_n > 1)
		return cli_wrong("standard output (-) takes one writer, but %u lcores would write: "
				 "use -W 1",
			sink->lanes_n);
	if (isatty(STDOUT_FILENO))
		return cli_wrong(
			"standard output (-) is a terminal: redirect it to a file or pipe");
	sink->stdout_taken = true;
	return true;
}

void
outputs_place(const struct ms_config_output *output, char *out, size_t room)
{
	if (output->origin.line == 0)
		snprintf(out, room, "%s", output->ports_n > 0 ? "--forward" : "--write");
	else
		snprintf(out, room, "%s:%u:%u: output %s", output->origin.file, output->origin.line,
			output->origin.column, output->name);
}

bool
outputs_open(struct sink *sink)
{
	const struct ms_config *config = sink_config(sink);
	bool ok = true;

	sink->summary_fd = -1;
	sink->files = calloc(1, sizeof(*sink->files));
	if (sink->files == NULL)
		return cli_wrong("out of memory");
	sink->files->last = &sink->files->first;
	for (uint32_t i = 0; ok && i < config->outputs_n; i++) {
		if (config->outputs[i].path == NULL)
			continue;
		if (strcmp(config->outputs[i].path, "-") == 0) {
			ok = take_stdout(sink);
			continue;
		}
		for (uint16_t lane = 0; ok && lane < sink->lanes_n; lane++)
			ok = open_output(sink, i, lane);
	}
	if (ok && sink->options.summary != NULL) {
		struct sink_file *file = open_file(sink->files, "--summary", sink->options.summary);

		ok = file != NULL;
	}
	if (!ok)
		outputs_abandon(sink);
	return ok;
}

static void
free_files(struct sink *sink, bool unlink_made)
{
	struct sink_file *file = sink->files->first, *next;

	for (; file != NULL; file = next) {
		next = file->next;
		if (file->fd >= 0)
			close(file->fd);
		if (unlink_made && file->made)
			unlink(file->path);
		free(file);
	}
	free(sink->files);
	sink->files = NULL;
}

void
outputs_abandon(struct sink *sink)
{
	if (sink->files != NULL)
		free_files(sink, true);
}

/*
 * Opens the next file of an output. A name that is taken, since the path does not tell
 * the two apart, gets a number before its extension. Writer's thread of a capfile.
 */
static int
open_next(void *arg, uint32_t session)
{
	struct sink_rotation *rotation = arg;
	char timed[PATH_ROOM], path[PATH_ROOM], numbered[PATH_ROOM];
	int fd;

	if (!expand_time(rotation->name, rotation->path, timed) ||
		!expand_worker(rotation->name, timed, rotation->lane, rotation->lanes_n, path))
		return -ENAMETOOLONG;
	strlcpy(numbered, path, sizeof(numbered));
	for (unsigned int i = 2;; i++) {
		fd = open(numbered, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd >= 0 || errno != EEXIST)
			break;
		insert_number(path, "-", i, numbered);
	}
	if (fd < 0)
		cli_wrong("output %s: cannot write '%s': %s", rotation->name, numbered,
			strerror(errno));
	strlcpy(rotation->latest, numbered, sizeof(rotation->latest));
	return fd >= 0 ? fd : -errno;
}

static void
close_file(void *arg, int fd, const struct ms_capfile_finished *file)
{
	const struct sink_rotation *rotation = arg;

	close(fd);
	if (file->bytes == 0) /* there was no space even for a header */
		unlink(rotation->latest);
}

/* Sets up what comes after the first file, and rotation as the output asks for it. */
static bool
rotate(struct sink *sink, const struct ms_config_output *output, const struct sink_file *file,
	uint16_t lane, struct ms_capfile_options *options)
{
	static const struct ms_capfile_ops ops = {.open = open_next, .finished = close_file};
	struct sink_rotation *rotation;

	if (!file->regular && output->rotate_bytes == 0 && output->rotate_seconds == 0)
		return true;
	if (!file->regular)
		return cli_wrong("output %s: '%s' is no regular file and can't be rotated",
			output->name, file->path);
	rotation = calloc(1, sizeof(*rotation));
	if (rotation == NULL)
		return cli_wrong("out of memory");
	rotation->next = sink->rotations;
	sink->rotations = rotation;
	rotation->name = strdup(output->name);
	rotation->path = strdup(output->path);
	rotation->lane = lane;
	rotation->lanes_n = sink->lanes_n;
	options->rotate_bytes = output->rotate_bytes;
	options->rotate_ns = output->rotate_seconds * UINT64_C(1000000000);
	options->ops = &ops;
	options->arg = rotation;
	return (rotation->name != NULL && rotation->path != NULL) || cli_wrong("out of memory");
}

void
outputs_end(struct sink *sink)
{
	struct sink_rotation *rotation = sink->rotations, *next;

	for (; rotation != NULL; rotation = next) {
		next = rotation->next;
		free(rotation->name);
		free(rotation->path);
		free(rotation);
	}
}

static bool
add_file(struct sink *sink, const struct ms_config_output *output, uint32_t i, uint16_t lane)
{
	struct ms_capfile_options options = {
		.format = output->type == MS_OUTPUT_PCAP ? MS_CAPFILE_PCAP : MS_CAPFILE_PCAPNG,
		.outer = output->outer,
		.wait = sink->wait,
		.snaplen = output->snaplen,
		.buffer_memory = output->buffer_memory / sink->lanes_n,
		.min_free = output->min_free,
		.application = "mirrorsink " MS_VERSION};
	struct sink_file *file = sink->files->of[i][lane];
	int fd = file != NULL ? file->fd : STDOUT_FILENO;
	char way[256];
	int rc;

	if (file != NULL)
		warnx("output %s writes %s", output->name, file->path);
	if (file != NULL && !rotate(sink, output, file, lane, &options))
		return false;
	if (file != NULL)
		file->fd = -1;
	rc = ms_lane_add_file(sink->lanes[lane], fd, &options, sink->registry);
	if (rc != 0)
		return cli_wrong("output %s: %s", output->name, strerror(-rc));
	sink->buffer_memory[i] += ms_lane_file_memory(sink->lanes[lane], (uint16_t)i);
	ms_lane_file_way(sink->lanes[lane], (uint16_t)i, way, sizeof(way));
	if (lane == 0)
		warnx("output %s: %s", output->name, way);
	return true;
}

bool
outputs_begin(struct sink *sink)
{
	const struct ms_config *config = sink_config(sink);
	bool ok = true;

	for (struct sink_file *f = sink->files->first; f != NULL; f = f->next) {
		if (f->regular && ftruncate(f->fd, 0) != 0)
			return cli_wrong("cannot empty '%s': %s", f->path, strerror(errno));
		if (sink->options.summary != NULL && f->next == NULL) {
			sink->summary_fd = f->fd; /* it was opened last */
			f->fd = -1;
		}
	}
	for (uint16_t lane = 0; lane < sink->lanes_n; lane++) {
		for (uint32_t i = 0; ok && i < config->outputs_n; i++) {
			const struct ms_config_output *output = &config->outputs[i];

			if (output->type == MS_OUTPUT_NULL)
				ms_lane_add_null(sink->lanes[lane]);
			else if (output->type == MS_OUTPUT_PORT)
				ports_add_to_lane(sink, i, lane);
			else
				ok = add_file(sink, output, i, lane);
		}
	}
	if (ok)
		free_files(sink, false);
	return ok;
}
