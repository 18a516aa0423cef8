/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of filestore share. Each part stands alone and is tested alone: names.c
 * (patterns), walk.c (the directories of a pattern), part.c (temporary names), scan.c (what is
 * whole in a file), unpack.c (the same if it is compressed), manifest.c, retention.c, commands.c
 * (OnRotate); filestore.c puts them together.
 */
#pragma once

#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include <bsd/sys/queue.h>

#include "filestore/ms_filestore.h"

#define FILESTORE_PATH     PATH_MAX
#define FILESTORE_PART     ".part"
#define FILESTORE_MANIFEST "manifest.jsonl"
#define FILESTORE_HEX      (2 * MS_CAPFILE_SHA256 + 1)

/* filestore.c */

/* What the store's thread does each time. Returns how many commands wait or run. */
size_t filestore_work(struct ms_filestore *store);

/* Gives the application a message. */
void __attribute__((format(printf, 2, 3)))
filestore_report(const struct ms_filestore_reporter *reporter, const char *format, ...);

/* names.c */

/* What a pattern is filled in with. */
struct filestore_fields {
	time_t time;
	uint32_t worker;
	uint32_t vni;
	uint64_t sequence;
	const char *session; /* NULL: the file is not one session's */
};

/*
 * Writes the path that a pattern stands for; nothing that is filled in makes a directory of its
 * own. out has FILESTORE_PATH bytes. Returns 0 or -ENAMETOOLONG.
 */
int filestore_names_expand(const char *pattern, const struct filestore_fields *fields, char *out);

/* Does a pattern hold this field, such as "{seq}"? */
bool filestore_names_has(const char *pattern, const char *field);

/* Does this part of a pattern hold anything that is filled in? */
bool filestore_names_varies(const char *pattern, size_t length);

/* Puts text before the extension, ".pcapng.zst" being one. out has FILESTORE_PATH bytes. Returns 0
 * or -ENAMETOOLONG. */
int filestore_names_insert(const char *path, const char *text, char *out);

/* path with "-number" before its extension, or as it is for 1. As above. */
int filestore_names_numbered(const char *path, unsigned int number, char *out);

/* Can text[0..n) be what pattern[0..length) was filled in to? Neither holds a number for a name
 * that was taken. */
bool filestore_names_match_part(const char *pattern, size_t length, const char *text, size_t n);

/*
 * Is path a name of the pattern, numbered or not? *sequence: what stands for {seq}, or 0; may be
 * NULL.
 */
bool filestore_names_match(const char *pattern, const char *path, uint64_t *sequence);

/* walk.c */

/*
 * Calls visit with each directory that is there and may hold files of the pattern, "." for the
 * working directory. Returns 0 or -errno of what could not be read; it goes on then.
 */
int filestore_walk(const char *pattern, void (*visit)(void *arg, const char *directory), void *arg);

/* Writes directory/name, or name alone in ".". Returns 0 or -ENAMETOOLONG. */
int filestore_join(const char *directory, const char *name, char *out);

/* The directory of a path, "." if it has none. out has FILESTORE_PATH bytes. */
void filestore_directory(const char *path, char *out);

/*
 * Makes those missing directories of path whose names, or the names above them, vary in pattern,
 * which has as many slashes. made: called with each of them, in order. Returns 0 or -errno.
 */
int filestore_make_directories(const char *pattern, const char *path,
	void (*made)(void *arg, const char *directory), void *arg);

/* part.c */

/* A file under its temporary name. */
struct filestore_part {
	int fd;                    /* holds a lock on it for as long as it is open */
	char path[FILESTORE_PATH]; /* what it is to be called */
	char part[FILESTORE_PATH]; /* what it is called until then */
	bool replace;              /* a file of that name that there is by then */
};

/*
 * Makes an empty file under a temporary name, locked, for a path; if replace is not set and the
 * name is taken, for the next one with a number. Returns 0, -EBUSY if another process or output is
 * writing a file that is to replace the same, or -errno.
 */
int filestore_part_make(struct filestore_part *part, const char *path, bool replace);

/* Opens what there is at a path as it is, under its own name. Returns 0 or -errno. */
int filestore_part_in_place(struct filestore_part *part, const char *path);
bool filestore_part_is_in_place(const struct filestore_part *part);

/* Takes the temporary file away. */
void filestore_part_remove(const struct filestore_part *part);

/*
 * Takes over what was left under a temporary name. Returns 0, -EBUSY if somebody is writing it, or
 * -errno; -ENOENT also if it went away meanwhile.
 */
int filestore_part_take(struct filestore_part *part, const char *directory, const char *name);

/*
 * Gives the file its name, which part->path holds then. The temporary name may stay beside it until
 * filestore_part_settle(), so that a crash in between is seen for what it is. Returns 0 or -errno.
 */
int filestore_part_publish(struct filestore_part *part);

/* The file already has a name beside the temporary one: it was complete. Sets part->path to it. */
bool filestore_part_published(struct filestore_part *part);

/* Takes the temporary name away, if it is there still, and makes the directory's state durable.
 * Returns 0 or -errno. */
int filestore_part_settle(struct filestore_part *part);

/* scan.c */

enum filestore_kind {
	FILESTORE_NOTHING, /* no byte but zeros, or not even a whole header */
	FILESTORE_FOREIGN, /* no capture file of this machine's byte order */
	FILESTORE_PCAPNG,
	FILESTORE_PCAP,
};

struct filestore_scan_session {
	char *name;
	uint64_t packets;
};

/* The longest beginning of a file that is whole. */
struct filestore_scan {
	enum filestore_kind kind;
	uint64_t bytes;    /* of it, as it is on disk */
	uint8_t ending[4]; /* compressed: what has to follow, and how many bytes of it */
	size_t ending_n;
	uint64_t packets; /* in it */
	uint64_t payload; /* bytes of theirs */
	uint64_t first;   /* timestamps, the least and the greatest; if there is a packet */
	uint64_t last;
	struct filestore_scan_session *sessions; /* pcapng: its interfaces */
	uint32_t sessions_n;
};

/*
 * Finds it, in memory that does not grow with the file. Returns 0 or -errno; the caller frees scan
 * with filestore_scan_free() in any case.
 */
int filestore_scan(int fd, struct filestore_scan *scan);
void filestore_scan_free(struct filestore_scan *scan);

/* Writes the SHA-256 of a file's first bytes in hexadecimal. Returns 0 or -errno. */
int filestore_hash(int fd, uint64_t bytes, char hex[static FILESTORE_HEX]);

void filestore_hexadecimal(
	const uint8_t sha256[static MS_CAPFILE_SHA256], char hex[static FILESTORE_HEX]);

/* unpack.c */

struct filestore_unpack;

enum filestore_packing {
	FILESTORE_NOT_PACKED,
	FILESTORE_ZSTD,
	FILESTORE_LZ4,
	FILESTORE_PACKED_OTHERWISE, /* than we do it */
};

#define FILESTORE_UNPACK_HEADER 7

/* Where blocks go: data grows if it must. */
struct filestore_unpacked {
	uint8_t *data; /* from malloc(3) */
	size_t room;
	size_t have;
};

/* Behind a block: in the file, and in what came out. */
struct filestore_place {
	uint64_t file;
	uint64_t unpacked;
};

/* What the first bytes of a file say. */
enum filestore_packing filestore_unpack_kind(const uint8_t header[static FILESTORE_UNPACK_HEADER]);

/* For one of ours; bytes behind the limit are taken for not there. NULL: no memory. */
struct filestore_unpack *
filestore_unpack_begin(int fd, enum filestore_packing packing, uint64_t limit);
void filestore_unpack_end(struct filestore_unpack *u);

/* Appends what the next block holds. Returns 1, 0 if there is no whole one any more, or -errno. */
int filestore_unpack_block(struct filestore_unpack *u, struct filestore_unpacked *to);

struct filestore_place filestore_unpack_place(const struct filestore_unpack *u);

/* What must follow the last block to end the file. Returns its bytes, 0 if the file has ended. */
size_t filestore_unpack_missing(const struct filestore_unpack *u, uint8_t ending[static 4]);

/* manifest.c */

struct filestore_record_session {
	const char *name;
	int64_t vni; /* -1: not known */
	uint64_t packets;
	uint64_t dropped;
};

/* One line. */
struct filestore_record {
	const char *path;
	const char *output;
	uint64_t first; /* if packets is not 0 */
	uint64_t last;
	uint64_t packets;
	uint64_t payload;
	uint64_t dropped;
	uint64_t bytes;
	const struct filestore_record_session *sessions;
	uint32_t sessions_n;
	const char *sha256; /* NULL: not asked for */
	int error;          /* -errno that ended the file early; 0 */
	bool recovered;
};

/*
 * Appends a line to the manifest of a directory, after the last whole one: what a crash has torn is
 * cut off. Others may append at the same time. Returns 0 or -errno, and then the manifest is as it
 * was.
 */
int filestore_manifest_append(const char *directory, const struct filestore_record *record);

/*
 * Calls visit for each line of a manifest that can be read. Returns 0, also if there is no
 * manifest, or -errno.
 */
int filestore_manifest_read(const char *directory,
	void (*visit)(void *arg, const char *path, const char *output, uint64_t bytes), void *arg);

/* retention.c: not locked by itself */

struct filestore_kept;
TAILQ_HEAD(filestore_kept_list, filestore_kept);

/* The finished files that a store owns, oldest first. */
struct filestore_retention {
	struct filestore_kept_list files;
	uint64_t files_n;
	uint64_t bytes;
};

void filestore_retention_init(struct filestore_retention *kept);
void filestore_retention_free(struct filestore_retention *kept);

/*
 * Takes a file in, if it is there, regular, and of so many bytes: else it is not what the manifest
 * speaks of. A path that is known already is known once. Returns 0 or -errno.
 */
int filestore_retention_add(struct filestore_retention *kept, const char *path, uint64_t bytes);

/* Puts them in the order of their age, after many were added. Returns 0 or -ENOMEM. */
int filestore_retention_sort(struct filestore_retention *kept);

/*
 * Removes the oldest files until the rest keeps the limits; now: CLOCK_REALTIME in seconds, free:
 * bytes that are to be made free at least. Files that have gone or have become others are
 * forgotten, not touched. Each removal that fails is reported.
 */
void filestore_retention_enforce(struct filestore_retention *kept,
	const struct ms_filestore_limits *limits, time_t now, uint64_t free,
	const struct ms_filestore_reporter *reporter);

/* commands.c */

struct filestore_commands;

/* argv ends in NULL, and outlives it. NULL: no memory. */
struct filestore_commands *filestore_commands_create(const char *output, char *const *argv,
	uint32_t jobs, const struct ms_filestore_reporter *reporter);

/* Queues a command for a file; if too many wait it is not run, which is reported. Any thread. */
void filestore_commands_push(struct filestore_commands *commands, const char *path);

/* Starts what can be started, and reports what has ended. Returns how many wait or run. One thread.
 */
size_t filestore_commands_work(struct filestore_commands *commands);

/* How many wait or run. Any thread. */
size_t filestore_commands_pending(struct filestore_commands *commands);

/* Forgets what waits or runs, with a report. */
void filestore_commands_free(struct filestore_commands *commands);
