/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of mirrorctl files. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "files_select.h"

enum files_command { FILES_FIND, FILES_MERGE };

/* All strings are those of argv. */
struct files_options {
	enum files_command command;
	struct files_select select;
	char **paths; /* what was named; at least one */
	int paths_n;
	bool scan;
	bool json;
	const char *write; /* merge */
	uint32_t window;   /* packets */
	uint64_t memory;   /* bytes */
};

enum files_options_result {
	FILES_OPTIONS_RUN,
	FILES_OPTIONS_DONE,  /* --help was asked for, and answered */
	FILES_OPTIONS_WRONG, /* standard error says what */
};

/*
 * argv[0] is "files". The caller frees o->select with files_select_free() in any case. argv is
 * permuted.
 */
enum files_options_result files_options_parse(struct files_options *o, int argc, char **argv);
