/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the command lines of the programs have in common: numbers with bounds, stop conditions, and
 * where the EAL's arguments end. Options are parsed before the EAL starts, so that --help and a
 * wrong option are answered at once, on a machine without hugepages too.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Exit statuses of all programs; 0 only if the ledger balances. */
#define CLI_EXIT_FAILED 1 /* it does not, or something broke under way */
#define CLI_EXIT_USAGE  2 /* the command line or the configuration, or what they name, is wrong */

/* Prints "program: message" on standard error. Returns false, for the caller to return. */
bool cli_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A whole decimal number within bounds; else a message that names option and value, and false. */
bool
cli_number(const char *option, const char *text, long long min, long long max, uint64_t *value);
bool
cli_number32(const char *option, const char *text, long long min, long long max, uint32_t *value);

/* Conditions of --autostop; each 0 if not given. */
struct cli_autostop {
	uint64_t seconds;
	uint64_t packets;
	uint64_t idle_ms;
};
/* duration:SECONDS, packets:N or idle:MILLISECONDS; repeated, the later of a kind holds. */
bool cli_autostop(const char *text, struct cli_autostop *autostop);

/*
 * How many of argv are the program's name and the EAL's arguments: all before "--". Ours begin with
 * the "--", which getopt takes for the program's name.
 */
int cli_eal_arguments(int argc, char **argv);
