/* SPDX-License-Identifier: BSD-3-Clause */
#include "health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MS_NS         UINT64_C(1000000)
#define SECOND_NS     UINT64_C(1000000000)
#define LCORE_LIMIT   SECOND_NS
#define OUTPUT_LIMIT  (3 * SECOND_NS) /* a file's buffer waits for a second by itself */
#define QUIET_LIMIT   SECOND_NS
#define CONTROL_LIMIT (5 * SECOND_NS)
#define ABSENCE_LIMIT (120 * SECOND_NS) /* a reload of large documents takes seconds */
#define GAP_MAX       (SECOND_NS / 2)   /* what one sample adds at most */

/* One lcore's loop. */
struct pulse {
	uint64_t rounds;
	uint64_t still_ns; /* so long samples have seen the same number */
};

/* One output of one lane. */
struct flow {
	uint64_t offered;
	uint64_t taken;      /* written, or refused for what the frame is */
	uint64_t settled;    /* when something was last taken: frames before that are no concern */
	uint64_t waiting_ns; /* so long frames have been offered beyond that */
	uint64_t quiet_ns;   /* so long none have been offered */
	bool outstanding;    /* frames are in its buffers */
};

struct sink_health {
	uint64_t sampled_ns; /* by whomever */
	uint64_t control_ns; /* when control was last here */
	bool absent;
	struct pulse rx[SINK_RX_MAX];
	struct pulse workers[MS_WORKERS_MAX];
	struct flow flows[SINK_RX_MAX][MS_OUTPUTS_MAX]; /* by lane */
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static void
sample_pulse(struct pulse *pulse, const ms_counter *rounds, uint64_t gap)
{
	uint64_t n = ms_count_read(rounds);

	pulse->still_ns = n != pulse->rounds ? 0 : pulse->still_ns + gap;
	pulse->rounds = n;
}

static void
sample_flow(struct flow *flow, const struct ms_output_ledger *ledger, uint64_t gap)
{
	/* what comes last first: no frame is seen settled before it was offered */
	uint64_t written = ms_count_read(&ledger->written), settled = written;
	uint64_t taken = written + ms_count_read(&ledger->dropped[MS_DROP_PORT_LENGTH]) +
	                 ms_count_read(&ledger->dropped[MS_DROP_PORT_SEGMENTS]) +
	                 ms_count_read(&ledger->dropped[MS_DROP_NO_TAG]) +
	                 ms_count_read(&ledger->dropped[MS_DROP_TOO_SHORT]);
	uint64_t offered;

	for (unsigned int d = 0; d < MS_DROP_COUNT; d++)
		settled += ms_count_read(&ledger->dropped[d]);
	offered = ms_count_read(&ledger->offered);

	flow->outstanding = offered > settled;
	flow->quiet_ns = offered != flow->offered ? 0 : flow->quiet_ns + gap;
	/*
	 * Frames of a file that could not be brought to disk are taken back, which is no progress.
	 * And what was dropped a while ago, when nothing has come since, says nothing about now.
	 */
	if (taken > flow->taken || (!flow->outstanding && flow->quiet_ns >= QUIET_LIMIT)) {
		flow->settled = settled;
		flow->waiting_ns = 0;
	} else if (offered > flow->settled) {
		flow->waiting_ns += gap;
	}
	flow->offered = offered;
	flow->taken = taken;
}

static void
sample(const struct sink *sink, uint64_t now)
{
	struct sink_health *health = sink->health;
	uint64_t gap = RTE_MIN(now - health->sampled_ns, GAP_MAX);

	health->sampled_ns = now;
	for (uint16_t r = 0; r < sink->rx_n; r++)
		sample_pulse(&health->rx[r], &sink->rx[r]->rounds, gap);
	for (uint16_t w = 0; w < sink->workers_n; w++)
		sample_pulse(&health->workers[w], &sink->workers[w]->rounds, gap);
	for (uint16_t l = 0; l < sink->lanes_n; l++) {
		const struct ms_lane *lane = sink->lanes[l];

		for (uint16_t i = 0; i < lane->outputs_n; i++)
			sample_flow(&health->flows[l][i], &lane->outputs[i].ledger, gap);
	}
}

bool
health_begin(struct sink *sink)
{
	sink->health = calloc(1, sizeof(*sink->health));
	if (sink->health == NULL)
		return cli_wrong("out of memory");
	sink->health->sampled_ns = sink->health->control_ns = now_ns();
	return true;
}

void
health_end(struct sink *sink)
{
	free(sink->health);
	sink->health = NULL;
}

void
health_control(struct sink *sink)
{
	pthread_mutex_lock(&sink->lock);
	sink->health->control_ns = now_ns();
	sample(sink, sink->health->control_ns);
	pthread_mutex_unlock(&sink->lock);
}

void
health_absent(struct sink *sink, bool absent)
{
	health_control(sink);
	pthread_mutex_lock(&sink->lock);
	sink->health->absent = absent;
	pthread_mutex_unlock(&sink->lock);
}

/* Adds a problem; makes the verdict a bad one. */
__attribute__((format(printf, 2, 3))) static void
problem(struct health_verdict *verdict, const char *format, ...)
{
	va_list args;

	verdict->healthy = false;
	if (verdict->problems_n++ >= HEALTH_PROBLEMS)
		return;
	va_start(args, format);
	vsnprintf(verdict->problems[verdict->problems_n - 1], HEALTH_TEXT, format, args);
	va_end(args);
}

static void
judge_lcore(
	struct health_verdict *verdict, const struct pulse *pulse, unsigned int lcore, bool worker)
{
	struct health_lcore *out = &verdict->lcores[verdict->lcores_n++];

	*out = (struct health_lcore){.lcore = lcore,
		.worker = worker,
		.still_ms = pulse->still_ns / MS_NS,
		.ok = pulse->still_ns < LCORE_LIMIT};
	if (!out->ok)
		problem(verdict,
			"%s lcore %u has not moved for %" PRIu64
			" ms: stopped, starved of its processor, or held up by an output",
			worker ? "worker" : "rx", lcore, out->still_ms);
}

/* An output is as good as it is in the worst of the lanes. */
static void
judge_output(const struct sink *sink, uint16_t i, struct health_verdict *verdict)
{
	struct health_output *out = &verdict->outputs[i];
	const char *name = sink_config(sink)->outputs[i].name;
	uint64_t waiting = 0;

	for (uint16_t l = 0; l < sink->lanes_n; l++)
		waiting = RTE_MAX(waiting, sink->health->flows[l][i].waiting_ns);
	out->waiting_ms = waiting / MS_NS;
	out->ok = waiting < OUTPUT_LIMIT;
	if (!out->ok)
		problem(verdict,
			"output %.40s has taken no frame for %" PRIu64
			" ms: see to its disk, its reader, or who takes from its port",
			name, out->waiting_ms);
}

void
health_judge(const struct sink *sink, struct health_verdict *verdict)
{
	const struct sink_health *health = sink->health;
	uint64_t now = now_ns(), away;

	memset(verdict, 0, sizeof(*verdict));
	verdict->healthy = true;
	if (atomic_load_explicit(&sink->stage, memory_order_relaxed) != SINK_RUN) {
		problem(verdict, "it is about to end, and receives no more");
		return;
	}
	sample(sink, now);
	away = now - health->control_ns;
	for (uint16_t r = 0; r < sink->rx_n; r++)
		judge_lcore(verdict, &health->rx[r], sink->rx[r]->lcore, false);
	for (uint16_t w = 0; w < sink->workers_n; w++)
		judge_lcore(verdict, &health->workers[w], sink->workers[w]->lcore, true);
	verdict->outputs_n = sink->lanes[0]->outputs_n;
	for (uint16_t i = 0; i < verdict->outputs_n; i++)
		judge_output(sink, i, verdict);
	if (away >= (health->absent ? ABSENCE_LIMIT : CONTROL_LIMIT))
		problem(verdict,
			"the main lcore has not looked for %" PRIu64
			" s: %s; no signal is answered until it does",
			away / SECOND_NS,
			health->absent ? "a reload does not end" : "stopped, or starved");
}
