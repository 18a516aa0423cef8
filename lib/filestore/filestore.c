/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Puts the parts together: a file from its opening to the command that gets its path, and what is
 * done at the start and once a second.
 *
 * The lock keeps what lanes and control share: the sequence, the files under way, and retention.
 * Giving a file its name, and its line in the manifest, needs none: the file is the writer's alone.
 */
#include "filestore/filestore_private.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <bsd/string.h>
#include <rte_errno.h>

#include "session/ms_session.h"

#define NS_PER_SECOND 1000000000
#define IDLE_NS       (NS_PER_SECOND / 2)  /* how often limits are looked at */
#define BUSY_NS       (NS_PER_SECOND / 50) /* and commands, while there are any */
#define STOP_SECONDS  2

#define UNDER_WAY (UINT64_C(32) << 20) /* bytes of a lane: buffers, and space set aside ahead */

struct file {
	LIST_ENTRY(file) next;
	struct filestore_part part;
};

struct made {
	SLIST_ENTRY(made) next;
	char path[];
};

struct lane {
	struct ms_filestore *store;
	uint16_t number;
	bool opened; /* its first file; under the lock */
};

struct ms_filestore {
	/* as it was made */
	char *output;
	char *pattern;
	bool series;
	bool manifest;
	bool sha256;
	struct ms_filestore_limits keep;
	const struct ms_session_registry *registry;
	struct ms_filestore_reporter reporter;
	char **on_rotate;
	struct filestore_commands *commands; /* NULL: none */
	cpu_set_t cpus;
	struct lane *lanes;
	uint16_t lanes_n;
	/* under the lock */
	pthread_mutex_t lock;
	uint64_t sequence;       /* the last one that was given away */
	LIST_HEAD(, file) files; /* under way */
	struct filestore_retention kept;
	uint64_t latest_bytes;          /* of the last file that was finished */
	char directory[FILESTORE_PATH]; /* of the last file that was opened */
	/* the thread */
	pthread_t thread;
	bool running;
	bool stop; /* under the lock */
	pthread_cond_t wake;
	/* control, until it runs: what an abandoned start takes away */
	bool started;
	SLIST_HEAD(, made) directories; /* the last one first */
};

void
filestore_report(const struct ms_filestore_reporter *reporter, const char *format, ...)
{
	char text[2 * FILESTORE_PATH];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	reporter->report(reporter->arg, text);
}

/* What is there */

static void
note_sequence(struct ms_filestore *store, const char *path)
{
	uint64_t sequence;

	if (filestore_names_match(store->pattern, path, &sequence) && sequence > store->sequence)
		store->sequence = sequence;
}

struct survey {
	struct ms_filestore *store;
	const char *directory;
};

/* A line of a manifest, of this output or another one. */
static void
survey_line(void *arg, const char *path, const char *output, uint64_t bytes)
{
	struct survey *survey = arg;
	const char *slash = strrchr(path, '/');
	char here[FILESTORE_PATH];

	/* a file is beside its manifest, wherever the directory has gone since */
	if (strcmp(output, survey->store->output) != 0 ||
		filestore_join(survey->directory, slash != NULL ? slash + 1 : path, here) != 0 ||
		!filestore_names_match(survey->store->pattern, here, NULL))
		return;
	note_sequence(survey->store, here);
	filestore_retention_add(&survey->store->kept, here, bytes);
}

static bool
is_part(const char *name)
{
	size_t n = strlen(name), part = strlen(FILESTORE_PART);

	return n > part && strcmp(name + n - part, FILESTORE_PART) == 0;
}

static void
survey_directory(void *arg, const char *path)
{
	struct ms_filestore *store = arg;
	struct survey survey = {store, path};
	DIR *directory = opendir(path);
	const struct dirent *entry;
	char name[FILESTORE_PATH];

	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		if (filestore_join(path, entry->d_name, name) != 0)
			continue;
		if (is_part(name))
			name[strlen(name) - strlen(FILESTORE_PART)] = '\0';
		note_sequence(store, name);
	}
	if (directory != NULL)
		closedir(directory);
	if (store->manifest)
		filestore_manifest_read(path, survey_line, &survey);
}

/* Birth */

static char **
copy_arguments(char *const *from)
{
	size_t n = 0;
	char **copy;

	while (from[n] != NULL)
		n++;
	copy = calloc(n + 1, sizeof(char *));
	for (size_t i = 0; copy != NULL && i < n; i++) {
		copy[i] = strdup(from[i]);
		if (copy[i] == NULL)
			return copy; /* it is short, which is found by its end */
	}
	return copy;
}

/* Several lanes need names that tell them apart. */
static char *
pattern_of(const struct ms_filestore_options *options)
{
	char pattern[FILESTORE_PATH];

	if (options->lanes == 1 || filestore_names_has(options->path, "{worker}"))
		return strdup(options->path);
	if (filestore_names_insert(options->path, "-w{worker}", pattern) != 0) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return strdup(pattern);
}

static bool
fill(struct ms_filestore *store, const struct ms_filestore_options *options)
{
	store->series = options->series;
	store->manifest = options->manifest;
	store->sha256 = options->sha256;
	store->keep = options->keep;
	store->registry = options->registry;
	store->reporter = options->reporter;
	store->lanes_n = options->lanes;
	store->cpus = options->cpus;
	store->output = strdup(options->output);
	store->pattern = pattern_of(options);
	store->lanes = calloc(options->lanes, sizeof(*store->lanes));
	if (store->output == NULL || store->pattern == NULL || store->lanes == NULL)
		return false;
	for (uint16_t i = 0; i < options->lanes; i++)
		store->lanes[i] = (struct lane){.store = store, .number = i};
	if (options->on_rotate == NULL)
		return true;
	store->on_rotate = copy_arguments(options->on_rotate);
	if (store->on_rotate == NULL)
		return false;
	store->commands = filestore_commands_create(
		store->output, store->on_rotate, options->on_rotate_jobs, &store->reporter);
	return store->commands != NULL;
}

static void
free_directories(struct ms_filestore *store, bool remove_them)
{
	struct made *made;

	while ((made = SLIST_FIRST(&store->directories)) != NULL) {
		SLIST_REMOVE_HEAD(&store->directories, next);
		if (remove_them)
			rmdir(made->path);
		free(made);
	}
}

static void
destroy(struct ms_filestore *store)
{
	struct file *file;

	filestore_commands_free(store->commands);
	while ((file = LIST_FIRST(&store->files)) != NULL) {
		LIST_REMOVE(file, next);
		free(file);
	}
	free_directories(store, false);
	filestore_retention_free(&store->kept);
	for (char **one = store->on_rotate; one != NULL && *one != NULL; one++)
		free(*one);
	free(store->on_rotate);
	free(store->lanes);
	free(store->pattern);
	free(store->output);
	pthread_cond_destroy(&store->wake);
	pthread_mutex_destroy(&store->lock);
	free(store);
}

struct ms_filestore *
ms_filestore_create(const struct ms_filestore_options *options)
{
	struct ms_filestore *store = calloc(1, sizeof(*store));

	if (store == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	pthread_mutex_init(&store->lock, NULL);
	pthread_cond_init(&store->wake, NULL);
	LIST_INIT(&store->files);
	SLIST_INIT(&store->directories);
	filestore_retention_init(&store->kept);
	errno = ENOMEM;
	if (!fill(store, options))
		goto fail;
	filestore_walk(store->pattern, survey_directory, store);
	if (filestore_retention_sort(&store->kept) != 0)
		goto fail;
	return store;
fail:
	rte_errno = errno;
	destroy(store);
	return NULL;
}

/* Opening */

static void
note_directory(void *arg, const char *path)
{
	struct ms_filestore *store = arg;
	size_t length = strlen(path) + 1;
	struct made *made = store->started ? NULL : malloc(sizeof(*made) + length);

	if (made == NULL)
		return;
	memcpy(made->path, path, length);
	SLIST_INSERT_HEAD(&store->directories, made, next);
}

/* What there is of a name decides how it is written. Returns 0 or -errno. */
static int
open_path(const struct ms_filestore *store, const char *path, bool replace,
	struct filestore_part *part)
{
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return store->series ? -ESPIPE : filestore_part_in_place(part, path);
	if (replace && access(path, W_OK) != 0 && errno != ENOENT)
		return -errno;
	return filestore_part_make(part, path, replace);
}

/* Under the lock. Returns the descriptor or -errno. */
static int
open_locked(struct ms_filestore *store, struct filestore_fields *fields, struct file *file)
{
	struct lane *lane = &store->lanes[fields->worker];
	char path[FILESTORE_PATH];
	int error;

	fields->sequence = store->sequence + 1;
	error = filestore_names_expand(store->pattern, fields, path);
	if (error == 0)
		error = filestore_make_directories(store->pattern, path, note_directory, store);
	if (error == 0)
		error = open_path(store, path, !store->series && !lane->opened, &file->part);
	if (error != 0)
		return error;
	store->sequence++;
	lane->opened = true; /* what follows it, if it fails, does not take its place */
	filestore_directory(path, store->directory);
	LIST_INSERT_HEAD(&store->files, file, next);
	return file->part.fd;
}

int
ms_filestore_open(struct ms_filestore *store, uint16_t lane, uint32_t session)
{
	struct filestore_fields fields = {.time = time(NULL), .worker = lane};
	struct file *file = calloc(1, sizeof(*file));
	int fd;

	if (file == NULL)
		return -ENOMEM;
	if (session != MS_SESSION_NONE) {
		const struct ms_session_info *info = ms_session_info(store->registry, session);

		fields.session = info->name;
		fields.vni = info->vni;
	}
	pthread_mutex_lock(&store->lock);
	fd = open_locked(store, &fields, file);
	pthread_mutex_unlock(&store->lock);
	if (fd < 0)
		free(file);
	// NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it is in the list
	return fd;
}

bool
ms_filestore_is_in_place(struct ms_filestore *store, int fd)
{
	const struct file *file;
	bool in_place = false;

	pthread_mutex_lock(&store->lock);
	LIST_FOREACH (file, &store->files, next)
		in_place |= file->part.fd == fd && filestore_part_is_in_place(&file->part);
	pthread_mutex_unlock(&store->lock);
	return in_place;
}

void
ms_filestore_path(struct ms_filestore *store, int fd, char *out, size_t room)
{
	const struct file *file;

	*out = '\0';
	pthread_mutex_lock(&store->lock);
	LIST_FOREACH (file, &store->files, next) {
		if (file->part.fd == fd)
			strlcpy(out, file->part.path, room);
	}
	pthread_mutex_unlock(&store->lock);
}

void *
ms_filestore_lane(struct ms_filestore *store, uint16_t lane)
{
	return &store->lanes[lane];
}

void
ms_filestore_abandon(struct ms_filestore *store)
{
	struct file *file;

	LIST_FOREACH (file, &store->files, next)
		filestore_part_remove(&file->part);
	free_directories(store, true);
}

/* Keeping */

/* Bytes that are missing to the floor. What is on its way to the disk, and a file that comes next,
 * are to find room, too. Locked. */
static uint64_t
missing(const struct ms_filestore *store)
{
	uint64_t free,
		wanted = store->keep.min_free + store->lanes_n * (store->latest_bytes + UNDER_WAY);
	struct statvfs fs;

	if (store->keep.min_free == 0 || store->directory[0] == '\0' ||
		statvfs(store->directory, &fs) != 0)
		return 0;
	free = (uint64_t)fs.f_bavail * fs.f_frsize;
	return free < wanted ? wanted - free : 0;
}

static void
keep_limits(struct ms_filestore *store)
{
	filestore_retention_enforce(
		&store->kept, &store->keep, time(NULL), missing(store), &store->reporter);
}

/* A file is there: it counts, older ones may go, and its command may run. */
static void
hand_out(struct ms_filestore *store, const char *path, uint64_t bytes)
{
	pthread_mutex_lock(&store->lock);
	store->latest_bytes = bytes;
	if (store->manifest)
		filestore_retention_add(&store->kept, path, bytes);
	keep_limits(store);
	pthread_mutex_unlock(&store->lock);
	if (store->commands == NULL)
		return;
	filestore_commands_push(store->commands, path);
	pthread_cond_signal(&store->wake);
}

size_t
filestore_work(struct ms_filestore *store)
{
	size_t n = store->commands != NULL ? filestore_commands_work(store->commands) : 0;

	pthread_mutex_lock(&store->lock);
	keep_limits(store);
	pthread_mutex_unlock(&store->lock);
	return n;
}

size_t
ms_filestore_commands(const struct ms_filestore *store)
{
	return store->commands != NULL ? filestore_commands_pending(store->commands) : 0;
}

/* Sleeps until there is something new, or something may have ended. Returns false at the end. */
static bool
nap(struct ms_filestore *store, long ns)
{
	struct timespec until;
	bool stop;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += ns;
	until.tv_sec += until.tv_nsec / NS_PER_SECOND;
	until.tv_nsec %= NS_PER_SECOND;
	pthread_mutex_lock(&store->lock);
	if (!store->stop)
		pthread_cond_timedwait(&store->wake, &store->lock, &until);
	stop = store->stop;
	pthread_mutex_unlock(&store->lock);
	return !stop;
}

static void *
run(void *arg)
{
	struct ms_filestore *store = arg;

	while (nap(store, filestore_work(store) > 0 ? BUSY_NS : IDLE_NS))
		;
	return NULL;
}

/* The thread takes no signals, and runs where the process as a whole may, as commands then do. */
static int
start_thread(struct ms_filestore *store)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&store->thread, NULL, run, store);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error != 0)
		return -error;
	store->running = true;
	if (CPU_COUNT(&store->cpus) > 0)
		pthread_setaffinity_np(store->thread, sizeof(store->cpus), &store->cpus);
	return 0;
}

/* Returns false if the thread hangs in a file system, and goes on to. */
static bool
stop_thread(struct ms_filestore *store)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STOP_SECONDS;
	if (pthread_mutex_timedlock(&store->lock, &until) != 0)
		return false;
	store->stop = true;
	pthread_cond_signal(&store->wake);
	pthread_mutex_unlock(&store->lock);
	return pthread_timedjoin_np(store->thread, NULL, &until) == 0;
}

/* Finishing */

static void
record(struct ms_filestore *store, const struct filestore_record *line)
{
	char directory[FILESTORE_PATH];
	int error;

	if (!store->manifest)
		return;
	filestore_directory(line->path, directory);
	error = filestore_manifest_append(directory, line);
	if (error != 0)
		filestore_report(&store->reporter, "output %s: '%s' is not in the manifest: %s",
			store->output, line->path, strerror(-error));
}

/* The sessions of a file, by name; to be freed. NULL if there are none, or no memory. */
static struct filestore_record_session *
name_sessions(const struct ms_filestore *store, const struct ms_capfile_finished *finished)
{
	uint32_t n = finished->sessions_n;
	struct filestore_record_session *named = n > 0 ? calloc(n, sizeof(*named)) : NULL;

	for (uint32_t i = 0; named != NULL && i < n; i++) {
		const struct ms_capfile_share *share = &finished->sessions[i];
		const struct ms_session_info *info =
			ms_session_info(store->registry, share->session);

		named[i] = (struct filestore_record_session){
			.name = info->name,
			.vni = info->vni,
			.packets = share->frames,
			.dropped = share->dropped,
		};
	}
	return named;
}

static void
record_finished(struct ms_filestore *store, const struct filestore_part *part,
	const struct ms_capfile_finished *finished)
{
	struct filestore_record_session *sessions = name_sessions(store, finished);
	char hex[FILESTORE_HEX];
	struct filestore_record line = {
		.path = part->path,
		.output = store->output,
		.first = finished->first,
		.last = finished->last,
		.packets = finished->frames,
		.payload = finished->payload,
		.dropped = finished->dropped,
		.bytes = finished->bytes,
		.sessions = sessions,
		.sessions_n = sessions != NULL ? finished->sessions_n : 0,
		.error = finished->error,
	};

	if (finished->hashed) {
		filestore_hexadecimal(finished->sha256, hex);
		line.sha256 = hex;
	}
	record(store, &line);
	free(sessions);
}

/* A complete file gets its name, or says why not. */
static bool
publish(const struct ms_filestore *store, struct filestore_part *part)
{
	int error = filestore_part_publish(part);

	if (error == 0)
		return true;
	filestore_report(&store->reporter, "output %s: '%s' can't become '%s': %s", store->output,
		part->part, part->path, strerror(-error));
	return false;
}

static void
settle(const struct ms_filestore *store, struct filestore_part *part)
{
	int error = filestore_part_settle(part);

	if (error != 0)
		filestore_report(&store->reporter, "output %s: '%s': %s", store->output, part->part,
			strerror(-error));
}

static void
finish(struct ms_filestore *store, struct filestore_part *part,
	const struct ms_capfile_finished *finished)
{
	if (filestore_part_is_in_place(part))
		return;
	if (finished->bytes == 0 || (finished->error != 0 && finished->frames == 0)) {
		filestore_part_remove(part);
		return;
	}
	if (finished->error != 0)
		filestore_report(&store->reporter, "output %s: '%s' ends early: %s", store->output,
			part->path, strerror(-finished->error));
	/* what is not complete does not replace what may have been */
	part->replace &= finished->error == 0;
	if (!publish(store, part))
		return;
	record_finished(store, part, finished);
	settle(store, part);
	hand_out(store, part->path, finished->bytes);
}

static int
lane_open(void *arg, uint32_t session)
{
	const struct lane *lane = arg;
	int fd = ms_filestore_open(lane->store, lane->number, session);

	if (fd < 0)
		filestore_report(&lane->store->reporter,
			"output %s: the next file of '%s' can't be made: %s", lane->store->output,
			lane->store->pattern, strerror(-fd));
	return fd;
}

static void
lane_finished(void *arg, int fd, const struct ms_capfile_finished *finished)
{
	struct ms_filestore *store = ((const struct lane *)arg)->store;
	struct file *file;

	pthread_mutex_lock(&store->lock);
	LIST_FOREACH (file, &store->files, next) {
		if (file->part.fd == fd)
			break;
	}
	if (file != NULL)
		LIST_REMOVE(file, next);
	pthread_mutex_unlock(&store->lock);
	if (file != NULL)
		finish(store, &file->part, finished);
	close(fd);
	free(file);
}

const struct ms_capfile_ops ms_filestore_ops = {.open = lane_open, .finished = lane_finished};

/* Recovery */

struct known {
	const char *path;
	uint64_t bytes;
	bool found;
};

static void
compare_line(void *arg, const char *path, const char *output, uint64_t bytes)
{
	struct known *known = arg;

	known->found |= bytes == known->bytes && strcmp(path, known->path) == 0;
}

static bool
is_recorded(const char *directory, const char *path, uint64_t bytes)
{
	struct known known = {path, bytes, false};

	filestore_manifest_read(directory, compare_line, &known);
	return known.found;
}

static void
record_recovered(struct ms_filestore *store, const struct filestore_part *part,
	const struct filestore_scan *scan)
{
	struct filestore_record_session *sessions = calloc(scan->sessions_n + 1, sizeof(*sessions));
	char hex[FILESTORE_HEX];
	struct filestore_record line = {
		.path = part->path,
		.output = store->output,
		.first = scan->first,
		.last = scan->last,
		.packets = scan->packets,
		.payload = scan->payload,
		.bytes = scan->bytes,
		.sessions = sessions,
		.recovered = true,
	};

	for (uint32_t i = 0; sessions != NULL && i < scan->sessions_n; i++) {
		const struct filestore_scan_session *s = &scan->sessions[i];

		sessions[line.sessions_n++] = (struct filestore_record_session){
			.name = s->name, .vni = -1, .packets = s->packets};
	}
	if (store->sha256 && filestore_hash(part->fd, scan->bytes, hex) == 0)
		line.sha256 = hex;
	record(store, &line);
	free(sessions);
}

/* Is the file that will have this name being written right now? */
static bool
is_under_way(const struct ms_filestore *store, const char *path)
{
	const struct file *file;

	LIST_FOREACH (file, &store->files, next) {
		if (strcmp(file->part.path, path) == 0)
			return true;
	}
	return false;
}

/* Cuts the file to what is whole, gives it its name, and tells of it. */
static void
restore(struct ms_filestore *store, struct filestore_part *part, struct filestore_scan *scan,
	uint64_t size)
{
	uint64_t whole = scan->bytes;
	char numbered[FILESTORE_PATH];

	if (ftruncate(part->fd, (off_t)whole) != 0 ||
		pwrite(part->fd, scan->ending, scan->ending_n, (off_t)whole) !=
			(ssize_t)scan->ending_n ||
		fsync(part->fd) != 0) {
		filestore_report(&store->reporter, "output %s: '%s' can't be recovered: %s",
			store->output, part->part, strerror(errno));
		return;
	}
	scan->bytes += scan->ending_n;
	/* else the file of this run would take its place at the end */
	if (is_under_way(store, part->path) &&
		filestore_names_numbered(part->path, 2, numbered) == 0)
		strlcpy(part->path, numbered, sizeof(part->path));
	if (!publish(store, part))
		return;
	record_recovered(store, part, scan);
	settle(store, part);
	filestore_report(&store->reporter,
		"output %s: recovered '%s': %" PRIu64 " packets, %" PRIu64 " bytes, %" PRIu64
		" bytes cut off",
		store->output, part->path, scan->packets, scan->bytes, size - whole);
	hand_out(store, part->path, scan->bytes);
}

/* The process died after it had given the file its name. */
static void
complete(struct ms_filestore *store, struct filestore_part *part, const struct filestore_scan *scan)
{
	char directory[FILESTORE_PATH];

	filestore_directory(part->path, directory);
	if (store->manifest && !is_recorded(directory, part->path, scan->bytes))
		record_recovered(store, part, scan);
	settle(store, part);
	filestore_report(&store->reporter,
		"output %s: recovered '%s': %" PRIu64 " packets, %" PRIu64
		" bytes, it was complete",
		store->output, part->path, scan->packets, scan->bytes);
	hand_out(store, part->path, scan->bytes);
}

static void
recover_part(struct ms_filestore *store, struct filestore_part *part)
{
	struct filestore_scan scan;
	struct stat st = {0};
	int error = filestore_scan(part->fd, &scan);

	if (error == 0 && fstat(part->fd, &st) != 0)
		error = -errno;
	if (error != 0) {
		filestore_report(&store->reporter, "output %s: '%s' can't be read: %s",
			store->output, part->part, strerror(-error));
	} else if (scan.kind == FILESTORE_FOREIGN) {
		filestore_report(&store->reporter,
			"output %s: '%s' is no capture file and stays as it is", store->output,
			part->part);
	} else if (filestore_part_published(part)) {
		complete(store, part, &scan);
	} else if (scan.packets == 0) {
		filestore_part_remove(part);
		filestore_report(&store->reporter, "output %s: removed '%s': 0 packets, %lld bytes",
			store->output, part->part, (long long)st.st_size);
	} else {
		restore(store, part, &scan, (uint64_t)st.st_size);
	}
	filestore_scan_free(&scan);
}

static int
is_part_entry(const struct dirent *entry)
{
	return is_part(entry->d_name);
}

static void
recover_entry(struct ms_filestore *store, const char *directory, const char *name)
{
	struct filestore_part part;
	char path[FILESTORE_PATH];

	if (filestore_join(directory, name, path) != 0)
		return;
	path[strlen(path) - strlen(FILESTORE_PART)] = '\0';
	if (!filestore_names_match(store->pattern, path, NULL) ||
		filestore_part_take(&part, directory, name) != 0)
		return;
	recover_part(store, &part);
	close(part.fd);
}

static void
recover_directory(void *arg, const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, is_part_entry, alphasort);

	for (int i = 0; i < n; i++) {
		recover_entry(arg, path, entries[i]->d_name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

/* A symbolic link's file is written as it is, and what was in it is lost now. */
static int
empty_in_place(const struct ms_filestore *store)
{
	const struct file *file;
	struct stat st;

	LIST_FOREACH (file, &store->files, next) {
		if (filestore_part_is_in_place(&file->part) && fstat(file->part.fd, &st) == 0 &&
			S_ISREG(st.st_mode) && ftruncate(file->part.fd, 0) != 0)
			return -errno;
	}
	return 0;
}

int
ms_filestore_begin(struct ms_filestore *store)
{
	int error;

	store->started = true;
	free_directories(store, false);
	filestore_walk(store->pattern, recover_directory, store);
	error = empty_in_place(store);
	return error != 0 ? error : start_thread(store);
}

void
ms_filestore_free(struct ms_filestore *store)
{
	if (!store->running || stop_thread(store))
		destroy(store);
}
