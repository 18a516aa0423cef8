/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asks a running sink over DPDK's telemetry socket: a connection for each question, so that a sink
 * that was restarted is found again, and nothing is left behind in one that hangs.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#define ASK_TIMEOUT_MS 500 /* for what is told at once */
#define ASK_PROBLEM    512

/*
 * Sends a command, "/mirrorsink/health", or with a parameter "/mirrorsink/sessions,48". Returns the
 * answer, the caller's to release; or NULL after writing to problem, of ASK_PROBLEM bytes, what is
 * wrong and what to do. prefix: the sink's --file-prefix. Waits for timeout_ms at most.
 */
json_t *ask(const char *prefix, const char *command, unsigned int timeout_ms, char *problem);

/*
 * Appends to array the elements of a list, which the telemetry gives as an object whose names are
 * their indices; array has those before them, from 0 on. Returns how many there were.
 */
size_t ask_list(const json_t *object, json_t *array);
