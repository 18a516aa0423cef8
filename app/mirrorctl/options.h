/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of mirrorctl. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct ctl_options;

/* Options that only some commands take. */
enum ctl_takes {
	CTL_JSON = 1 << 0,
	CTL_LISTEN = 1 << 1,
};

struct ctl_command {
	const char *name;
	const char *arguments; /* what follows the name, for messages; "": nothing */
	int arguments_n;
	unsigned int takes; /* enum ctl_takes */
	/* Returns the exit status. */
	int (*run)(const struct ctl_options *options);
};

/* An address to listen on. */
struct ctl_address {
	const char *text; /* as it was given; NULL: not given */
	struct sockaddr_storage socket;
	socklen_t length;
};

/* All strings are those of argv. */
struct ctl_options {
	const struct ctl_command *command;
	char **arguments; /* command->arguments_n of them */
	const char *prefix;
	bool json;
	struct ctl_address http;
	struct ctl_address tcp;
};

enum ctl_options_result {
	CTL_OPTIONS_RUN,
	CTL_OPTIONS_DONE,  /* --help or --version was asked for, and answered */
	CTL_OPTIONS_WRONG, /* standard error says what */
};

/* commands: a table that ends with a name of NULL. argv is permuted. */
enum ctl_options_result
ctl_options_parse(struct ctl_options *o, const struct ctl_command *commands, int argc, char **argv);
