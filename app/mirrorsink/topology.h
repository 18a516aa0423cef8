/* SPDX-License-Identifier: BSD-3-Clause */
/* Which lcore does what. */
#pragma once

#include "sink.h"

/*
 * Parts the lcores into rx lcores and workers, gives queues to the former, and makes the rings
 * between them. The ports are resolved, but not started. Says what is wrong and returns false.
 */
bool topology_build(struct sink *sink);

/* Frees it all; the lcores have stopped. */
void topology_free(struct sink *sink);

/* Starts the lcores: workers first, so that somebody listens. */
void topology_launch(struct sink *sink);
