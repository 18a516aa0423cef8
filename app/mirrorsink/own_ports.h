/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Outputs that have a port for each session ("Tenant": "port"): taps, which are made when a session
 * is configured or first seen.
 */
#pragma once

#include "sink.h"

/* Prepares an output of this kind. Control, before own_ports_make(). False after a message. */
bool own_ports_init(struct sink *sink, uint32_t output);
void own_ports_fini(struct ms_output_ports *to);

/*
 * Can all sessions of a configuration have their ports, beside those that are there? False after a
 * message. Control, before the configuration is compiled or put in force.
 */
bool own_ports_check(const struct sink *sink, const struct ms_config *config);

/*
 * Makes the ports of all sessions that there are, for ports_start() to start. False after a message
 * if one can't be had. Control, before the lcores run.
 */
bool own_ports_make(struct sink *sink);

/*
 * The same for sessions that have come since, which are started, too. What fails is told and leaves
 * the session without a port: its frames count as no_port. Control, several times a second.
 */
void own_ports_work(struct sink *sink);

/* The port that a session has to itself, or NULL. Control, or any thread that holds sink.lock. */
const struct sink_port *own_port(const struct sink *sink, uint32_t slot);
