/* SPDX-License-Identifier: BSD-3-Clause */
/* The main lcore while the others run: signals, stop conditions, reload, and the end. */
#pragma once

#include "sink.h"

/* How often control looks, in milliseconds, whether no packets come (-a idle); 0: it does not. */
uint32_t control_look_ms(const struct sink_options *options);

/* Blocks the signals that control waits for, in this thread and all that come from it. */
void control_block_signals(void);

/*
 * Sleeps and wakes for what there is to do, until a signal or a condition of --autostop ends the
 * run.
 */
void control_run(struct sink *sink);

/*
 * Stops the lcores in order, so that what was received goes all the way, and ends the outputs.
 * Returns false after a message if an output could not be ended cleanly.
 */
bool control_stop(struct sink *sink);

/* Waits for the commands of finished files, for some seconds or until another signal comes. */
void control_await_commands(const struct sink *sink);
