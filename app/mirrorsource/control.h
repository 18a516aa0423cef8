/* SPDX-License-Identifier: BSD-3-Clause */
/* What the main lcore does while the worker mirrors: it sleeps, and ends it when it is time. */
#pragma once

#include "mirror.h"
#include "options.h"
#include "packet/ms_timestamp.h"

/* Holds SIGINT and SIGTERM back from all threads that are started later, so that only
 * source_control_run() sees them. Before rte_eal_init(). */
void source_control_hold_signals(void);

/*
 * Runs the worker on an lcore until it ends by itself, a signal comes, options->stop.seconds are
 * over, or the capture file has failed. A signal a second later kills the process. *seconds is how
 * long it took. Returns 0, or the exit status after saying what is wrong. Main lcore.
 */
int source_control_run(struct mirror *mirror, struct ms_timestamp *clock,
	const struct source_options *options, unsigned int lcore, double *seconds);
