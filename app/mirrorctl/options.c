/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include <bsd/string.h>

#include "common/cli.h"
#include "help.h"
#include "listen.h"

enum long_only {
	OPTION_LISTEN = 256,
	OPTION_LISTEN_TCP,
};

static const char short_options[] = "f:jhV";

static const struct option long_options[] = {
	{"file-prefix", required_argument, NULL, 'f'},
	{"json", no_argument, NULL, 'j'},
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"listen-tcp", required_argument, NULL, OPTION_LISTEN_TCP},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static bool
parse_option(int c, const char *text, struct ctl_options *o)
{
	switch (c) {
	case 'f':
		if (text[0] == '\0' || strchr(text, '/') != NULL)
			return cli_wrong("--file-prefix: '%s' is no name", text);
		o->prefix = text;
		return true;
	case 'j':
		o->json = true;
		return true;
	case OPTION_LISTEN:
		return listen_parse("--listen", text, &o->http);
	case OPTION_LISTEN_TCP:
		return listen_parse("--listen-tcp", text, &o->tcp);
	default: /* getopt has said what is wrong */
		return cli_wrong("see mirrorctl --help");
	}
}

static const struct ctl_command *
find_command(const struct ctl_command *commands, const char *name)
{
	char known[256] = "";

	for (const struct ctl_command *c = commands; c->name != NULL; c++) {
		if (name != NULL && strcmp(c->name, name) == 0)
			return c;
		strlcat(known, known[0] != '\0' ? ", " : "", sizeof(known));
		strlcat(known, c->name, sizeof(known));
	}
	if (name == NULL)
		cli_wrong("which command? give one of %s", known);
	else
		cli_wrong("'%s' is no command: give one of %s", name, known);
	return NULL;
}

/* Is all that was given something that the command takes? */
static bool
fits(const struct ctl_options *o, int arguments_n)
{
	const struct ctl_command *command = o->command;
	bool listens = o->http.text != NULL || o->tcp.text != NULL;

	if (arguments_n < command->arguments_n)
		return cli_wrong(
			"%s needs what it is about: %s", command->name, command->arguments);
	if (arguments_n > command->arguments_n)
		return cli_wrong("%s: '%s' is too much; see mirrorctl --help", command->name,
			o->arguments[command->arguments_n]);
	if (o->json && (command->takes & CTL_JSON) == 0)
		return cli_wrong("%s takes no --json", command->name);
	if (listens && (command->takes & CTL_LISTEN) == 0)
		return cli_wrong("%s does not listen; health does", command->name);
	if (listens && o->json)
		return cli_wrong("--json prints once, and --listen goes on: give one of them");
	return true;
}

enum ctl_options_result
ctl_options_parse(struct ctl_options *o, const struct ctl_command *commands, int argc, char **argv)
{
	int c;

	*o = (struct ctl_options){.prefix = "rte"};
	while ((c = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		if (c == 'h') {
			fputs(ctl_help, stdout);
			return CTL_OPTIONS_DONE;
		}
		if (c == 'V') {
			puts("mirrorctl " MS_VERSION);
			return CTL_OPTIONS_DONE;
		}
		if (!parse_option(c, optarg, o))
			return CTL_OPTIONS_WRONG;
	}
	o->command = find_command(commands, optind < argc ? argv[optind] : NULL);
	if (o->command == NULL)
		return CTL_OPTIONS_WRONG;
	o->arguments = &argv[optind + 1];
	return fits(o, argc - optind - 1) ? CTL_OPTIONS_RUN : CTL_OPTIONS_WRONG;
}
