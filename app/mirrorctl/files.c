/* SPDX-License-Identifier: BSD-3-Clause */
#include "files.h"

#include <stdlib.h>

#include "common/cli.h"
#include "files_find.h"
#include "files_list.h"
#include "files_merge.h"
#include "files_options.h"

static int
run(const struct files_options *options)
{
	struct files_list list;
	int status = CLI_EXIT_USAGE;

	if (files_list_make(&list, options))
		status = options->command == FILES_MERGE ? files_merge(options, &list)
		                                         : files_find(options, &list);
	files_list_free(&list);
	return status;
}

int
files_main(int argc, char **argv)
{
	struct files_options options;
	int status = CLI_EXIT_USAGE;

	switch (files_options_parse(&options, argc, argv)) {
	case FILES_OPTIONS_DONE:
		status = EXIT_SUCCESS;
		break;
	case FILES_OPTIONS_WRONG:
		break;
	case FILES_OPTIONS_RUN:
		status = run(&options);
		break;
	}
	files_select_free(&options.select);
	return status;
}
