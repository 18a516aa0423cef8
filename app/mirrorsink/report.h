/* SPDX-License-Identifier: BSD-3-Clause */
/* What is told at the end. Control, after the lcores have stopped, while the ports still exist. */
#pragma once

#include <stdio.h>

#include "totals.h"

/* Prints the ledger, the outputs and the sessions for a person. */
void report_print(const struct sink *sink, const struct sink_totals *totals, FILE *out);

/* Writes the ledger as JSON, schema mirrorsink.summary/1, to a descriptor, and closes it. */
bool report_summary(const struct sink *sink, const struct sink_totals *totals, int fd);
