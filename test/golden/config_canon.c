/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads configuration files and prints their canonical form, or what is wrong with them: the
 * program under golden_test.py. Exit status 0 for a configuration, 2 for an error in it.
 */
#include "config/ms_config.h"

#include <stdio.h>

int
main(int argc, char **argv)
{
	struct ms_config_error error;
	struct ms_config *config;
	int status;

	if (ms_config_read(&config, (const char *const *)argv + 1, (uint32_t)argc - 1, &error) !=
		0) {
		printf("%s\n", error.text);
		return 2;
	}
	status = ms_config_print(config, stdout);
	ms_config_free(config);
	return status == 0 ? 0 : 1;
}
