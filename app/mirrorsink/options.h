/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of mirrorsink, parsed before the EAL starts. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_config.h>

#include "common/cli.h"
#include "config/ms_config.h"

#define SINK_CONFIGS_MAX 64

/* How many workers there are if nobody says. */
#define SINK_WORKERS_DEFAULT UINT32_MAX

enum sink_when_full {
	SINK_FULL_DEFAULT, /* wait if all mirror ports replay captures, else drop */
	SINK_FULL_WAIT,
	SINK_FULL_DROP,
};

enum sink_idle {
	SINK_IDLE_POLL,
	SINK_IDLE_ADAPTIVE, /* lcores wait where there is nothing to do */
};

/* All strings are those of argv. */
struct sink_options {
	const char *configs[SINK_CONFIGS_MAX];
	uint32_t configs_n;
	const char *writes[MS_OUTPUTS_MAX];   /* -w */
	const char *forwards[MS_OUTPUTS_MAX]; /* -f */
	uint32_t writes_n;
	uint32_t forwards_n;
	const char
		*rx[RTE_MAX_ETHPORTS]; /* names of ports; none: every port that is nothing else */
	uint32_t rx_n;
	const char *exceptions[RTE_MAX_ETHPORTS]; /* names; the i-th is the i-th mirror port's */
	uint32_t exceptions_n;
	uint32_t workers;
	uint32_t snaplen; /* 0: whole frames */
	uint32_t mbufs;   /* 0: as many as the topology needs */
	uint32_t mtu;     /* of mirror ports; 0: the default */
	uint32_t vxlan_port;
	uint32_t geneve_port;
	bool outer;
	bool check;
	const char *explain; /* name of a capture file, "-" is standard input, or NULL */
	bool explain_json;
	enum sink_when_full when_full;
	enum sink_idle idle;
	struct cli_autostop autostop;
	const char *summary; /* name of a file, or NULL */
};

enum sink_options_result {
	SINK_OPTIONS_RUN,
	SINK_OPTIONS_DONE,  /* --help or --version was asked for, and answered */
	SINK_OPTIONS_WRONG, /* standard error says what */
};

/* Parses what follows "--"; *eal_argc is how many arguments stand before it, for rte_eal_init(). */
enum sink_options_result
sink_options_parse(struct sink_options *o, int argc, char **argv, int *eal_argc);

/*
 * Reads the configuration files and adds the outputs of the command line. 0, or -errno with
 * error->text filled. Also at reload.
 */
int sink_options_config(
	const struct sink_options *o, struct ms_config **out, struct ms_config_error *error);
