/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel does with frames behind the sink's ports, where a port has an interface there:
 * shown beside the ledgers, in the report, the summary and the telemetry, and never mixed in.
 */
#pragma once

#include <stdio.h>

#include <jansson.h>

#include "common/kernel.h"
#include "sink.h"

/*
 * The interface of a port, and what the kernel has counted there since the port started. False if
 * the port has none in this network namespace. Control, or telemetry under sink.lock.
 */
bool behind_read(const struct sink_port *port, struct kernel_interface *interface);

/* For the report: outputs and the exception port. Control. */
void behind_print(const struct sink *sink, FILE *out);

/* For the summary: one port, or NULL if nothing is behind it. Control. */
json_t *behind_json(const struct sink_port *port);
