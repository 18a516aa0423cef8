/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a running sink tells over the DPDK telemetry socket (dpdk-telemetry.py reads it):
 * /mirrorsink/ledger, /sessions, /rules, /outputs, /exception, /health, /ports. The numbers are
 * those of the summary.
 */
#pragma once

#include "sink.h"

/* Registers the commands. The sink stays until telemetry_end(). 0 or -errno. Control. */
int telemetry_begin(struct sink *sink);
/* From here on the commands answer nothing. */
void telemetry_end(void);
