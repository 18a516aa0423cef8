/* SPDX-License-Identifier: BSD-3-Clause */
/* The capture files that the command line names, or that are below its directories. */
#pragma once

#include "files_manifest.h"
#include "files_options.h"

struct files_list {
	struct files_entry *entries; /* by time of their first packet, and path; each file once */
	size_t entries_n;
	bool failed;                    /* something could not be read, as standard error says */
	struct files_manifest manifest; /* of the directory that was looked into last */
};

/*
 * Finds the files, and of those that no manifest knows reads what is in them, if they were named or
 * options->scan is set; others are told of. Says what is wrong and returns false if nothing was
 * found of a path. The caller frees list with files_list_free() in any case.
 */
bool files_list_make(struct files_list *list, const struct files_options *options);
void files_list_free(struct files_list *list);

/* Can the file hold packets that are wanted? */
bool files_list_wants(const struct files_select *select, const struct files_entry *entry);
