/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a merged file goes: standard output, something that is there and is no regular file, or a
 * file that is called OUT.part until it is complete.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "files_list.h"

struct files_target {
	const char *path;
	char *part; /* NULL: it is written under its own name */
	FILE *file;
};

/* Says what is wrong and returns false: nothing was changed then. Not one of the files of list. */
bool
files_target_open(struct files_target *target, const char *path, const struct files_list *list);

/* Completes it, if all could be written; else says why not and takes it away. */
bool files_target_close(struct files_target *target, bool complete);
