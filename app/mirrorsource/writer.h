/* SPDX-License-Identifier: BSD-3-Clause */
/* The capture file of --write, and what lib/capfile needs around it. */
#pragma once

#include "capfile/ms_capfile.h"
#include "ledger/ms_ledger.h"
#include "options.h"
#include "session/ms_session.h"
#include "sessions.h"

#include <stdbool.h>
#include <stdint.h>

struct source_writer {
	struct ms_session_registry *registry;
	struct ms_capfile *file;
	struct ms_output_ledger ledger;
};

/*
 * Takes standard output away from everybody else, for --write -: what is printed from here on goes
 * to standard error. Returns a descriptor of the real one, or -errno.
 */
int source_writer_take_stdout(void);

/*
 * Begins the file of options->write, with one interface for each session that appears in it, whose
 * slot is its index; standard_output is what source_writer_take_stdout() returned,
 * for "-". With wait, frames wait for the disk and are never dropped for being too fast. Returns 0,
 * or the exit status after saying what is wrong. Main lcore.
 */
int source_writer_open(struct source_writer *writer, const struct source_options *options,
	const struct source_sessions *sessions, int standard_output, bool wait);

/* Ends the file; the ledger is final then. Returns 0, or the exit status after saying what is
 * wrong. */
int source_writer_close(struct source_writer *writer, const struct source_options *options);
