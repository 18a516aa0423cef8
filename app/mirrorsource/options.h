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

#define SOURCE_GENEVE_PORT 6081 /* RFC 8926 */

enum source_rate_unit { SOURCE_RATE_NONE, SOURCE_RATE_PACKETS, SOURCE_RATE_BITS };

/* How often --config, --eni and --target can be given, each. */
#define SOURCE_REPEATS_MAX 256

/* Where a target is, by --target. */
struct source_target {
	const char *id; /* not terminated */
	uint16_t id_length;
	uint8_t family;
	struct ms_ip address;
};

/* All strings are those of argv. */
struct source_options {
	/* AWS documents; without them all frames are mirrored, in one session */
	const char *configs[SOURCE_REPEATS_MAX];
	const char *enis[SOURCE_REPEATS_MAX];
	struct source_target targets[SOURCE_REPEATS_MAX];
	uint16_t configs_n;
	uint16_t enis_n; /* 0: all that have a session */
	uint16_t targets_n;
	uint8_t ip_version;               /* enum ms_family; NONE: 4 where it goes, else 6 */
	const char *after_reject;         /* "next", "stop", or NULL */
	const char *rx[RTE_MAX_ETHPORTS]; /* names of ports; none: every port but tx */
	uint16_t rx_n;
	const char *tx;    /* name of a port, or NULL */
	const char *write; /* name of a file, "-", or NULL; one of tx and write is set */
	enum ms_capfile_format format;
	struct ms_encap_options encap;
	uint8_t families[SOURCE_ADDRESS_COUNT]; /* of encap's addresses; 0: was not given */
	/* was given */
	bool source_mac;
	bool target_mac;
	bool target_mtu;
	bool vni;
	uint32_t mtu;  /* of tx; 0: as it is */
	uint64_t rate; /* a second */
	enum source_rate_unit rate_unit;
	bool loop;
	uint64_t loops; /* 0: for ever */
	bool as_fast;   /* loop is set too */
	struct fault_options fault;
	struct cli_autostop stop;
	uint32_t mbufs;      /* 0: the default */
	const char *summary; /* name of a file, or NULL */
};

/* The documentation address (RFC 5737, RFC 3849) that stands in for one that is not given. */
struct ms_ip source_example_address(enum source_address which, uint8_t family);

enum source_options_result {
	SOURCE_OPTIONS_RUN,
	SOURCE_OPTIONS_DONE,  /* --help or --version was asked for, and answered */
	SOURCE_OPTIONS_WRONG, /* standard error says what */
};

/* Parses what follows "--"; *eal_argc is how many arguments stand before it, for rte_eal_init(). */
enum source_options_result
source_options_parse(struct source_options *options, int argc, char **argv, int *eal_argc);
