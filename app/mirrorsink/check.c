/* SPDX-License-Identifier: BSD-3-Clause */
#include "check.h"

#include <err.h>
#include <stdlib.h>

#include "common/cli.h"
#include "compile_report.h"
#include "ruleset/ms_ruleset.h"

int
check(struct ms_config *config)
{
	struct ms_session_registry *registry = ms_session_registry_create();
	struct ms_config_error error;
	struct ms_ruleset *ruleset;
	int status = EXIT_SUCCESS;

	if (registry == NULL) {
		ms_config_free(config);
		warnx("out of memory");
		return CLI_EXIT_FAILED;
	}
	if (ms_ruleset_compile(&ruleset, config, registry, 1, &error) == 0) {
		if (ms_config_print(config, stdout) != 0 || fflush(stdout) != 0)
			status = CLI_EXIT_FAILED;
		compile_report_full(ruleset, stderr);
		ms_ruleset_free(ruleset);
	} else {
		warnx("%s", error.text);
		ms_config_free(config);
		status = CLI_EXIT_USAGE;
	}
	ms_session_registry_free(registry);
	return status;
}
