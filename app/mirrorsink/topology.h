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

/* How far each lcore was at some time. */
struct topology_mark {
	uint64_t rx[SINK_RX_MAX];
	uint64_t workers[MS_WORKERS_MAX];
};
void topology_mark(const struct sink *sink, struct topology_mark *mark);
/* No lcore holds anything any more that was taken away before the mark. */
bool topology_passed(const struct sink *sink, const struct topology_mark *mark);

/* Starts the lcores: workers first, so that somebody listens. */
void topology_launch(struct sink *sink);
