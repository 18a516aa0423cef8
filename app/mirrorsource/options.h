/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of mirrorsource, parsed before the EAL starts. */
#pragma once

#include "capfile/ms_capfile.h"
#include "common/cli.h"
#include "encap/ms_encap.h"
#include "fault.h"

#include <rte_config.h>

#include <stdbool.h>
#include <stdint.h>

/* Addresses in mirrored packets that the user may give. */
enum source_address {
	SOURCE_ADDRESS_SOURCE,
	SOURCE_ADDRESS_TARGET,
	SOURCE_ADDRESS_GWLB,
	SOURCE_ADDRESS_ENDPOINT,
	SOURCE_ADDRESS_COUNT
};

enum source_rate_unit { SOURCE_RATE_NONE, SOURCE_RATE_PACKETS, SOURCE_RATE_BITS };

/* All strings are those of argv. */
struct source_options {
	const char *rx[RTE_MAX_ETHPORTS]; /* names of ports; none: every port but tx */
	uint16_t rx_n;
	const char *tx;    /* name of a port, or NULL */
	const char *write; /* name of a file, "-", or NULL; one of tx and write is set */
	enum ms_capfile_format format;
	struct ms_encap_options encap;
	uint8_t families[SOURCE_ADDRESS_COUNT]; /* of encap's addresses; 0: was not given */
	bool source_mac;                        /* was given */
	uint32_t mtu;                           /* of tx; 0: as it is */
	uint64_t rate;                          /* a second */
	enum source_rate_unit rate_unit;
	bool loop;
	uint64_t loops; /* 0: for ever */
	struct fault_options fault;
	struct cli_autostop stop;
	uint32_t mbufs;      /* 0: the default */
	const char *summary; /* name of a file, or NULL */
};

enum source_options_result {
	SOURCE_OPTIONS_RUN,
	SOURCE_OPTIONS_DONE,  /* --help or --version was asked for, and answered */
	SOURCE_OPTIONS_WRONG, /* standard error says what */
};

/* Parses what follows "--"; *eal_argc is how many arguments stand before it, for rte_eal_init(). */
enum source_options_result
source_options_parse(struct source_options *options, int argc, char **argv, int *eal_argc);
