/* SPDX-License-Identifier: BSD-3-Clause */
/* What is told at the end: a table for people, and the summary as JSON. */
#pragma once

#include "mirror.h"
#include "ports.h"
#include "sessions.h"
#include "source_ledger.h"

/* What ports counted that never became a frame, or was lost after it was sent. */
struct source_device {
	char name[RTE_ETH_NAME_MAX_LEN];
	uint64_t missed;    /* imissed: its receive queue was full */
	uint64_t rx_errors; /* ierrors */
	uint64_t no_mbuf;   /* rx_nombuf */
	uint64_t tx_errors; /* oerrors */
};

struct source_report {
	double seconds;
	const struct source_ledger *ledger;
	const struct mirror *mirror;
	const struct source_sessions *sessions;
	struct source_device devices[RTE_MAX_ETHPORTS];
	uint16_t devices_n;
};

/* Reads the counters of all ports into the report, before they are closed. */
void source_report_devices(struct source_report *report, const struct source_ports *ports);

/* Prints the table to standard output. */
void source_report_print(const struct source_report *report);

/* Writes the summary, schema mirrorsource.summary/1. Returns 0, or the exit status after saying
 * what is wrong. */
int source_report_write(const struct source_report *report, const char *path);
