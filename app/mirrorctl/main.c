/* SPDX-License-Identifier: BSD-3-Clause */
/* mirrorctl: the operator's hand on a mirrorsink and on its files. Needs no DPDK itself. */
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "files.h"
#include "health.h"
#include "options.h"
#include "plug.h"
#include "status.h"

static const struct ctl_command commands[] = {
	{"health", "", 0, CTL_JSON | CTL_LISTEN, health_run},
	{"status", "", 0, CTL_JSON, status_run},
	{"attach", "the name of a port", 1, 0, attach_run},
	{"detach", "the name of a port", 1, 0, detach_run},
	{NULL},
};

int
main(int argc, char **argv)
{
	struct ctl_options options;

	/* asks no sink, and has options of its own */
	if (argc > 1 && strcmp(argv[1], "files") == 0)
		return files_main(argc - 1, argv + 1);
	switch (ctl_options_parse(&options, commands, argc, argv)) {
	case CTL_OPTIONS_DONE:
		return EXIT_SUCCESS;
	case CTL_OPTIONS_WRONG:
		return CLI_EXIT_USAGE;
	case CTL_OPTIONS_RUN:
		break;
	}
	return options.command->run(&options);
}
