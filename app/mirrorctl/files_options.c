/* SPDX-License-Identifier: BSD-3-Clause */
#include "files_options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <bsd/stdlib.h>

#include "common/cli.h"
#include "files_help.h"
#include "files_time.h"

#define VNI_MAX        ((1 << 24) - 1)
#define WINDOW_DEFAULT 65536
#define WINDOW_MAX     (1 << 28)
#define MEMORY_DEFAULT (UINT64_C(256) << 20)
#define MEMORY_MIN     (1 << 20)

enum long_only {
	OPTION_VNI = 256,
	OPTION_SESSION,
	OPTION_FROM,
	OPTION_TO,
	OPTION_BPF,
	OPTION_SCAN,
	OPTION_WINDOW,
	OPTION_MEMORY,
};

static const char short_options[] = "jw:h";

static const struct option long_options[] = {
	{"vni", required_argument, NULL, OPTION_VNI},
	{"session", required_argument, NULL, OPTION_SESSION},
	{"from", required_argument, NULL, OPTION_FROM},
	{"to", required_argument, NULL, OPTION_TO},
	{"bpf", required_argument, NULL, OPTION_BPF},
	{"scan", no_argument, NULL, OPTION_SCAN},
	{"json", no_argument, NULL, 'j'},
	{"write", required_argument, NULL, 'w'},
	{"window", required_argument, NULL, OPTION_WINDOW},
	{"memory", required_argument, NULL, OPTION_MEMORY},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static bool
parse_time(const char *option, const char *text, uint64_t *ns)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (files_time_parse(text, now, ns))
		return true;
	return cli_wrong("%s: '%s' is no time: give 2026-11-25T17:00:00Z, @SECONDS since 1970, or "
			 "-5m for 5 minutes ago",
		option, text);
}

static bool
parse_memory(const char *text, uint64_t *bytes)
{
	int64_t size;

	if (dehumanize_number(text, &size) == 0 && size >= MEMORY_MIN) {
		*bytes = (uint64_t)size;
		return true;
	}
	return cli_wrong("--memory: '%s' is no size of 1M at least: give 256M or the like", text);
}

static bool
parse_option(int c, const char *text, struct files_options *o)
{
	uint32_t vni = 0;

	switch (c) {
	case OPTION_VNI:
		return cli_number32("--vni", text, 0, VNI_MAX, &vni) &&
		       files_select_vni(&o->select, vni);
	case OPTION_SESSION:
		return files_select_session(&o->select, text);
	case OPTION_FROM:
		return parse_time("--from", text, &o->select.from);
	case OPTION_TO:
		return parse_time("--to", text, &o->select.to);
	case OPTION_BPF:
		return files_select_bpf(&o->select, text);
	case OPTION_SCAN:
		o->scan = true;
		return true;
	case 'j':
		o->json = true;
		return true;
	case 'w':
		o->write = text;
		return true;
	case OPTION_WINDOW:
		return cli_number32("--window", text, 1, WINDOW_MAX, &o->window);
	case OPTION_MEMORY:
		return parse_memory(text, &o->memory);
	default: /* getopt has said what is wrong */
		return cli_wrong("see mirrorctl files --help");
	}
}

/* The word behind "files", which must be the first that is no option. */
static bool
parse_command(struct files_options *o, const char *name)
{
	if (name == NULL)
		return cli_wrong("files: find, or merge?");
	if (strcmp(name, "find") == 0)
		o->command = FILES_FIND;
	else if (strcmp(name, "merge") == 0)
		o->command = FILES_MERGE;
	else
		return cli_wrong("files: '%s' is neither find nor merge", name);
	return true;
}

/* Does what was given belong together? */
static bool
fits(const struct files_options *o)
{
	bool merges = o->command == FILES_MERGE;

	if (merges && (o->write == NULL || o->write[0] == '\0'))
		return cli_wrong("files merge: where to? give -w OUT.pcapng, or -w -");
	if (!merges && o->write != NULL)
		return cli_wrong("files find writes no file; files merge takes --write");
	if (!merges && (o->window != WINDOW_DEFAULT || o->memory != MEMORY_DEFAULT))
		return cli_wrong("files find puts nothing in order; files merge takes --window "
				 "and --memory");
	if (o->select.from >= o->select.to)
		return cli_wrong("--from is not before --to: no packet is in between");
	return true;
}

enum files_options_result
files_options_parse(struct files_options *o, int argc, char **argv)
{
	static char current[] = ".";
	static char *here[] = {current, NULL};
	int c;

	*o = (struct files_options){.window = WINDOW_DEFAULT, .memory = MEMORY_DEFAULT};
	files_select_init(&o->select);
	while ((c = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		if (c == 'h') {
			fputs(files_help, stdout);
			return FILES_OPTIONS_DONE;
		}
		if (!parse_option(c, optarg, o))
			return FILES_OPTIONS_WRONG;
	}
	if (!parse_command(o, optind < argc ? argv[optind] : NULL) || !fits(o))
		return FILES_OPTIONS_WRONG;
	o->paths = optind + 1 < argc ? &argv[optind + 1] : here;
	o->paths_n = optind + 1 < argc ? argc - optind - 1 : 1;
	return FILES_OPTIONS_RUN;
}
