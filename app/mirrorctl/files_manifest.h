/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a manifest says of the files beside it: one line of JSON for each finished file, which
 * mirrorsink appends. Fields that are not known here are passed over, and so is a line that a crash
 * has torn.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FILES_MANIFEST "manifest.jsonl"

struct files_session {
	char *name;
	int64_t vni; /* FILES_VNI_UNKNOWN: not known */
	uint64_t packets;
};

/* A file, and what is in it. */
struct files_entry {
	char *path;
	dev_t device;
	ino_t inode;
	bool known;  /* all below but bytes: by the manifest, or since the file was read */
	bool told;   /* what is wrong with it has been said */
	size_t line; /* of the manifest */
	uint64_t bytes;
	uint64_t packets;
	uint64_t first; /* nanoseconds since 1970, if there are packets */
	uint64_t last;
	struct files_session *sessions; /* by name, each once */
	size_t sessions_n;
};

struct files_manifest {
	char *directory;
	struct files_entry *entries; /* by path, which is a name in the directory here, each once */
	size_t entries_n;
};

/*
 * Reads a directory's manifest; one that is not there is empty. Says what is wrong and returns
 * false if it can't be read. The caller frees it with files_manifest_free() in any case.
 */
bool files_manifest_read(struct files_manifest *manifest, const char *directory);
void files_manifest_free(struct files_manifest *manifest);

/* What it says of a file of the directory; NULL: nothing. */
struct files_entry *files_manifest_find(const struct files_manifest *manifest, const char *name);

void files_entry_free(struct files_entry *entry);

/* Adds a session to those of an entry. Returns false if there is no memory. */
bool files_entry_add(struct files_entry *entry, const char *name, int64_t vni, uint64_t packets);

/* Puts the sessions in order, and those of the same name together. */
void files_entry_sort(struct files_entry *entry);

/* The session of this name; NULL: none. After files_entry_sort(). */
struct files_session *files_entry_find(const struct files_entry *entry, const char *name);
