/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The files of a file output: what they are called, under which name they are written, which of
 * them stay, and what is told of them. A file is written under a temporary name beside its own and
 * gets that when it is complete and on disk; what a crash leaves is cut to what is whole at the
 * next start. Finished files stand in a manifest, the oldest give way to limits, and a command can
 * be run for each.
 *
 * One struct ms_filestore is one output's; its lanes share it, each with a writer's thread of its
 * own. Stands on capfile, whose operations it implements, and session (names). Nothing here is for
 * an lcore that receives or works, and nothing that can hang with a file system is done by control
 * once it runs: a thread of the store lets old files go, and runs commands.
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capfile/ms_capfile.h"

struct ms_session_registry;

/* Where messages go, a line each without its end. Called by any thread. */
struct ms_filestore_reporter {
	void (*report)(void *arg, const char *text);
	void *arg;
};

/* What is to stay of finished files; 0: no such limit. */
struct ms_filestore_limits {
	uint64_t files;
	uint64_t bytes;
	uint64_t seconds;  /* since a file was finished */
	uint64_t min_free; /* bytes of the file system that stay free */
};

struct ms_filestore_options {
	const char *output; /* its name */
	const char *path;   /* the pattern: strftime(3), {worker}, {seq}, {session}, {vni} */
	uint16_t lanes;     /* if there are several, the path tells them apart, asked to or not */
	bool series;        /* files follow each other, and none replaces what is there */
	bool manifest;
	bool sha256; /* in the manifest, of files that were recovered, too */
	struct ms_filestore_limits keep;
	char *const *on_rotate; /* command and arguments, ends in NULL; or NULL */
	uint32_t on_rotate_jobs;
	cpu_set_t cpus; /* where it may run */
	const struct ms_session_registry *registry;
	struct ms_filestore_reporter reporter;
};

struct ms_filestore;

/* The first thing in a pattern that can't be filled in, or NULL. session: files are one session's.
 */
const char *ms_filestore_unknown_field(const char *pattern, bool session);

/*
 * Looks at what there is of a pattern's files, and changes nothing. Copies the options; registry
 * and cpus outlive it. Returns NULL with rte_errno. Control thread.
 */
struct ms_filestore *ms_filestore_create(const struct ms_filestore_options *options);

/*
 * Opens the next file of a lane, and makes missing directories whose names are filled in. What
 * there is and is no regular file, such as a pipe, a device or a symbolic link, is opened itself.
 * Returns its descriptor, -EBUSY if another process or output writes this very file, -ESPIPE if it
 * is no regular one and a series is asked for, or -errno. The descriptor comes back by
 * ms_filestore_ops.finished(). Any thread.
 */
int ms_filestore_open(struct ms_filestore *store, uint16_t lane, uint32_t session);

/* What a capfile needs for a lane: options.ops and options.arg. */
extern const struct ms_capfile_ops ms_filestore_ops;
void *ms_filestore_lane(struct ms_filestore *store, uint16_t lane);

/* Is this descriptor that of a pipe, a device or a link, which is no file of the store's? */
bool ms_filestore_is_in_place(struct ms_filestore *store, int fd);

/* The path that the file of a descriptor is going to have; "" if it is none of this store's. */
void ms_filestore_path(struct ms_filestore *store, int fd, char *out, size_t room);

/* Takes away the files and directories that were made since ms_filestore_create(). Control. */
void ms_filestore_abandon(struct ms_filestore *store);

/*
 * Until here nothing has changed that was there. Takes care of what a process that died has left:
 * unfinished files are cut to what is whole, get their names, and are reported; those without a
 * packet are removed. Starts the store's thread. Returns 0, or -errno if that fails, or an open
 * file of this store can't be emptied. Control.
 */
int ms_filestore_begin(struct ms_filestore *store);

/* How many commands wait or run. Any thread. */
size_t ms_filestore_commands(const struct ms_filestore *store);

/*
 * Ends the store's thread, unless that hangs in a file system: then it and the store stay. Commands
 * that still wait or run are reported, and left alone. Control, after all lanes closed.
 */
void ms_filestore_free(struct ms_filestore *store);
