/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/cli.h"

#include <bsd/stdlib.h>
#include <err.h>
#include <stdarg.h>
#include <string.h>

#define SECONDS_MAX (100LL * 365 * 86400)

bool
cli_wrong(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vwarnx(format, args);
	va_end(args);
	return false;
}

bool
cli_number(const char *option, const char *text, long long min, long long max, uint64_t *value)
{
	const char *problem;
	long long number = strtonum(text, min, max, &problem);

	if (problem != NULL)
		return cli_wrong("%s: '%s' is %s: give a number from %lld to %lld", option, text,
			problem, min, max);
	*value = (uint64_t)number;
	return true;
}

bool
cli_number32(const char *option, const char *text, long long min, long long max, uint32_t *value)
{
	uint64_t number = 0;

	if (!cli_number(option, text, min, max, &number))
		return false;
	*value = (uint32_t)number;
	return true;
}

bool
cli_autostop(const char *text, struct cli_autostop *autostop)
{
	if (strncmp(text, "duration:", 9) == 0)
		return cli_number(
			"--autostop duration", text + 9, 1, SECONDS_MAX, &autostop->seconds);
	if (strncmp(text, "packets:", 8) == 0)
		return cli_number("--autostop packets", text + 8, 1, INT64_MAX, &autostop->packets);
	if (strncmp(text, "idle:", 5) == 0)
		return cli_number(
			"--autostop idle", text + 5, 1, 1000 * SECONDS_MAX, &autostop->idle_ms);
	return cli_wrong("--autostop: '%s' is no condition: give duration:SECONDS, packets:N or "
			 "idle:MILLISECONDS",
		text);
}

int
cli_eal_arguments(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0)
			return i;
	}
	return argc;
}
