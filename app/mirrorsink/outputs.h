/* SPDX-License-Identifier: BSD-3-Clause */
/* The files of outputs, opened before anything runs so that nothing is half-done. */
#pragma once

#include "sink.h"

#define OUTPUTS_PLACE 320

/* Names an output as its user did: "--write", "--forward", or file, line, column and name. */
void outputs_place(const struct ms_config_output *output, char *out, size_t room);

/*
 * Opens every file that an lcore will write, and the summary's. What exists is not changed yet; if
 * one can't be opened it says why, removes the ones it made, and returns false.
 */
bool outputs_open(struct sink *sink);

/* Removes the files that outputs_open() made, and closes all. */
void outputs_abandon(struct sink *sink);

/* Recovers files that a crash has left, and hands the new ones to their lanes, with the ports and
 * nulls in between. */
bool outputs_begin(struct sink *sink);

/* How many commands of finished files wait or run. */
size_t outputs_commands(const struct sink *sink);

/* Forgets the files; the lanes are closed. */
void outputs_end(struct sink *sink);
