/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The files of outputs, in two steps: first all are opened, under temporary names or as they are,
 * then, when nothing else can be wrong any more, what was there may change. A command line that
 * fails changes no file. From then on lib/filestore has them, and is looked after once a while.
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
#include <unistd.h>

#include <bsd/string.h>
#include <rte_errno.h>

#include "ports.h"

#define PATH_ROOM        4096
#define MIB              (1u << 20)
#define LANE_BUFFERS_MIN 2u /* MiB: one is filled while the other is written */

/* What was opened and nobody has taken over yet; -1: nothing. */
struct sink_files {
	int fds[MS_OUTPUTS_MAX][SINK_RX_MAX];
	int summary;
	bool summary_made;
};

/* Does an output of before write this very file? Pipes and devices may be shared. */
static bool
is_taken(const struct sink_files *files, int fd)
{
	struct stat st, other;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++) {
		for (uint16_t lane = 0; lane < SINK_RX_MAX; lane++) {
			int one = files->fds[i][lane];

			if (one >= 0 && one != fd && fstat(one, &other) == 0 &&
				other.st_dev == st.st_dev && other.st_ino == st.st_ino)
				return true;
		}
	}
	return false;
}

static void
report(void *arg, const char *text)
{
	warnx("%s", text);
}

static bool
is_series(const struct ms_config_store *store)
{
	return store->rotate_bytes != 0 || store->rotate_seconds != 0 || store->rotate_packets != 0;
}

/* The command with its end; to be freed. NULL: there is none, or no memory. */
static char **
command_of(const struct ms_config_store *store)
{
	char **argv =
		store->on_rotate_n > 0 ? calloc(store->on_rotate_n + 1, sizeof(char *)) : NULL;

	for (uint32_t i = 0; argv != NULL && i < store->on_rotate_n; i++)
		argv[i] = store->on_rotate[i];
	return argv;
}

/* Sets up the store of an output's files. */
static bool
create_store(
	struct sink *sink, const struct ms_config_output *output, const char *place, uint32_t i)
{
	const struct ms_config_store *store = &output->store;
	const char *unknown = ms_filestore_unknown_field(output->path, store->by_session);
	char **argv = command_of(store);
	struct ms_filestore_options options = {
		.output = output->name,
		.path = output->path,
		.lanes = sink->lanes_n,
		.series = is_series(store) || store->by_session,
		.manifest = output->origin.line != 0, /* -w is for one file, and leaves one */
		.sha256 = store->sha256,
		.keep = {store->keep_files, store->keep_bytes, store->keep_seconds,
			is_series(store) ? store->min_free : 0},
		.on_rotate = argv,
		.on_rotate_jobs = store->on_rotate_jobs,
		.cpus = sink->cpus,
		.registry = sink->registry,
		.reporter = {.report = report},
	};

	if (unknown != NULL) {
		free(argv);
		return cli_wrong("%s: %s: '%s' is not known: only {worker}, {seq}, {session} and "
				 "{vni}",
			place, output->path, unknown);
	}
	if (argv != NULL || store->on_rotate_n == 0)
		sink->stores[i] = ms_filestore_create(&options);
	else
		rte_errno = ENOMEM;
	free(argv);
	return sink->stores[i] != NULL ||
	       cli_wrong("%s: %s: %s", place, output->path, rte_strerror(rte_errno));
}

/*
 * Files of sessions are opened when frames come. What can be told now is whether the folder that
 * has them, or folders for them, is there and lets them be made.
 */
static bool
check_folder(const char *place, const char *path)
{
	size_t fixed = strcspn(path, "{%");
	char folder[PATH_ROOM];

	while (fixed > 0 && path[fixed - 1] != '/')
		fixed--;
	snprintf(folder, sizeof(folder), "%.*s", (int)fixed, fixed > 0 ? path : "");
	return access(fixed > 0 ? folder : ".", W_OK | X_OK) == 0 ||
	       cli_wrong("%s: cannot write files in '%s': %s", place, fixed > 0 ? folder : ".",
		       strerror(errno));
}

static bool
open_output(struct sink *sink, uint32_t i)
{
	const struct ms_config_output *output = &sink_config(sink)->outputs[i];
	unsigned int least = LANE_BUFFERS_MIN;
	char place[OUTPUTS_PLACE];

	outputs_place(output, place, sizeof(place));
	if (output->store.compress != MS_COMPRESS_NONE)
		least += output->store.compress_threads + 1; /* areas are a little larger then */
	if (output->buffer_memory != 0 && output->buffer_memory / sink->lanes_n < least * MIB)
		return cli_wrong("%s: BufferMemory is %" PRIu64
				 " bytes for %u lcores that write; give it %uMiB for each at least",
			place, output->buffer_memory, sink->lanes_n, least);
	if (!create_store(sink, output, place, i))
		return false;
	if (output->store.by_session)
		return check_folder(place, output->path);
	for (uint16_t lane = 0; lane < sink->lanes_n; lane++) {
		int fd = ms_filestore_open(sink->stores[i], lane, MS_SESSION_NONE);

		if (fd == -EBUSY)
			return cli_wrong(
				"%s: '%s' is the file of another output or process already", place,
				output->path);
		if (fd == -ESPIPE)
			return cli_wrong("%s: '%s' is no regular file and can't be rotated", place,
				output->path);
		if (fd < 0)
			return cli_wrong(
				"%s: cannot write '%s': %s", place, output->path, strerror(-fd));
		sink->files->fds[i][lane] = fd;
		if (is_taken(sink->files, fd))
			return cli_wrong("%s: '%s' is the file of another output already", place,
				output->path);
	}
	return true;
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

/* Opens without changing what is there. */
static bool
open_summary(struct sink_files *files, const char *path)
{
	files->summary = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	files->summary_made = files->summary >= 0;
	if (files->summary < 0 && errno == EEXIST)
		files->summary = open(path, O_WRONLY | O_CLOEXEC);
	if (files->summary < 0)
		return cli_wrong("--summary: cannot write '%s': %s", path, strerror(errno));
	return !is_taken(files, files->summary) ||
	       cli_wrong("--summary: '%s' is the file of an output already", path);
}

bool
outputs_open(struct sink *sink)
{
	const struct ms_config *config = sink_config(sink);
	bool ok = true;

	sink->summary_fd = -1;
	sink->files = malloc(sizeof(*sink->files));
	if (sink->files == NULL)
		return cli_wrong("out of memory");
	memset(sink->files, 0xff, sizeof(*sink->files)); /* no descriptor anywhere */
	sink->files->summary_made = false;
	for (uint32_t i = 0; ok && i < config->outputs_n; i++) {
		if (config->outputs[i].path == NULL)
			continue;
		ok = strcmp(config->outputs[i].path, "-") == 0 ? take_stdout(sink)
		                                               : open_output(sink, i);
	}
	if (ok && sink->options.summary != NULL)
		ok = open_summary(sink->files, sink->options.summary);
	if (!ok)
		outputs_abandon(sink);
	return ok;
}

void
outputs_abandon(struct sink *sink)
{
	struct sink_files *files = sink->files;

	if (files == NULL)
		return;
	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++) {
		if (sink->stores[i] != NULL)
			ms_filestore_abandon(sink->stores[i]);
		for (uint16_t lane = 0; lane < SINK_RX_MAX; lane++) {
			if (files->fds[i][lane] >= 0)
				close(files->fds[i][lane]);
		}
	}
	if (files->summary >= 0)
		close(files->summary);
	if (files->summary_made)
		unlink(sink->options.summary);
	free(files);
	sink->files = NULL;
}

size_t
outputs_commands(const struct sink *sink)
{
	size_t commands = 0;

	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++) {
		if (sink->stores[i] != NULL)
			commands += ms_filestore_commands(sink->stores[i]);
	}
	return commands;
}

void
outputs_end(struct sink *sink)
{
	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++) {
		/* a writer that hangs in the kernel may come back, and look for it */
		if (sink->stores[i] != NULL && !sink->deserted)
			ms_filestore_free(sink->stores[i]);
	}
}

static enum ms_capfile_compress
compress_of(const struct ms_config_store *store)
{
	switch (store->compress) {
	case MS_COMPRESS_ZSTD:
		return MS_CAPFILE_ZSTD;
	case MS_COMPRESS_LZ4:
		return MS_CAPFILE_LZ4;
	default:
		return MS_CAPFILE_PLAIN;
	}
}

static bool
add_file(struct sink *sink, const struct ms_config_output *output, uint32_t i, uint16_t lane)
{
	struct ms_filestore *store = sink->stores[i];
	struct ms_capfile_options options = {
		.format = output->type == MS_OUTPUT_PCAP ? MS_CAPFILE_PCAP : MS_CAPFILE_PCAPNG,
		.outer = output->outer,
		.wait = sink->wait,
		.remote = sink->workers_n > 0,
		.snaplen = output->snaplen,
		.buffer_memory = output->buffer_memory / sink->lanes_n,
		.min_free = output->store.min_free,
		.application = "mirrorsink " MS_VERSION,
		.sha256 = output->store.sha256,
		.compress = compress_of(&output->store),
		.compress_level = (int)output->store.compress_level,
		.compress_threads = output->store.compress_threads,
		.rotate_bytes = output->store.rotate_bytes,
		.rotate_packets = output->store.rotate_packets,
		.rotate_ns = output->store.rotate_seconds * UINT64_C(1000000000),
		.rotate_aligned = output->store.rotate_aligned,
		.per_session = output->store.by_session,
		.max_open = output->store.max_open_files};
	bool by_session = output->store.by_session;
	int fd = store != NULL ? sink->files->fds[i][lane] : STDOUT_FILENO;
	char path[PATH_ROOM], way[256];
	int rc;

	if (store != NULL) {
		/* a pipe is one file, and ends with its reader */
		if (by_session || !ms_filestore_is_in_place(store, fd))
			options.ops = &ms_filestore_ops;
		options.arg = ms_filestore_lane(store, lane);
		sink->files->fds[i][lane] = -1;
		strlcpy(path, output->path, sizeof(path));
		if (!by_session)
			ms_filestore_path(store, fd, path, sizeof(path));
		warnx("output %s writes %s", output->name, path);
	}
	rc = ms_lane_add_file(sink->lanes[lane], fd, &options, sink->registry);
	if (rc != 0)
		return cli_wrong("output %s: %s", output->name, strerror(-rc));
	sink->buffer_memory[i] += ms_lane_file_memory(sink->lanes[lane], (uint16_t)i);
	ms_lane_file_way(sink->lanes[lane], (uint16_t)i, way, sizeof(way));
	if (lane == 0)
		warnx("output %s: %s", output->name, way);
	return true;
}

/* From here on what was there may change. */
static bool
begin_files(struct sink *sink)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < MS_OUTPUTS_MAX; i++) {
		if (sink->stores[i] != NULL)
			rc = ms_filestore_begin(sink->stores[i]);
	}
	if (rc != 0)
		return cli_wrong("cannot begin to write files: %s", strerror(-rc));
	sink->summary_fd = sink->files->summary;
	sink->files->summary = -1;
	return sink->summary_fd < 0 || ftruncate(sink->summary_fd, 0) == 0 || errno == EINVAL ||
	       cli_wrong("cannot empty '%s': %s", sink->options.summary, strerror(errno));
}

bool
outputs_begin(struct sink *sink)
{
	const struct ms_config *config = sink_config(sink);
	bool ok = begin_files(sink);

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
	if (ok) {
		free(sink->files);
		sink->files = NULL;
	}
	return ok;
}
