/* SPDX-License-Identifier: BSD-3-Clause */
#include "plug.h"

#include <stdio.h>
#include <stdlib.h>

#include "ask.h"
#include "common/cli.h"

/* The sink answers when it is done, or after 5 seconds. */
#define TIMEOUT_MS 10000

static int
run(const struct ctl_options *options, const char *action)
{
	char command[256], problem[ASK_PROBLEM];
	json_t *answer;
	bool done;

	if (snprintf(command, sizeof(command), "/mirrorsink/%s,%s", action,
		    options->arguments[0]) >= (int)sizeof(command)) {
		cli_wrong("'%s' is too long for the name of a port", options->arguments[0]);
		return CLI_EXIT_USAGE;
	}
	answer = ask(options->prefix, command, TIMEOUT_MS, problem);
	if (answer == NULL) {
		cli_wrong("%s", problem);
		return CLI_EXIT_FAILED;
	}
	done = json_integer_value(json_object_get(answer, "done")) != 0;
	if (done)
		puts(json_string_value(json_object_get(answer, "text")));
	else
		cli_wrong("%s", json_string_value(json_object_get(answer, "text")));
	json_decref(answer);
	return done ? EXIT_SUCCESS : CLI_EXIT_FAILED;
}

int
attach_run(const struct ctl_options *options)
{
	return run(options, "attach");
}

int
detach_run(const struct ctl_options *options)
{
	return run(options, "detach");
}
