/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether the sink is alive: every lcore goes round its loop, every output makes progress, control
 * looks. Control takes samples a few times a second, and so does whoever asks; the judgement is
 * made from what the samples saw, not from the clock, so that a machine that was suspended, or a
 * sampler that came late, raises no alarm.
 */
#pragma once

#include "sink.h"

#define HEALTH_PROBLEMS 16u /* that are told; there may be more */
#define HEALTH_TEXT     128 /* bytes of one: what the telemetry takes */

struct health_lcore {
	unsigned int lcore;
	bool worker;
	uint64_t still_ms; /* how long it has not been seen to move */
	bool ok;
};

struct health_output {
	uint64_t waiting_ms; /* how long frames have been offered and none was taken */
	bool ok;
};

struct health_verdict {
	bool healthy;
	struct health_lcore lcores[SINK_RX_MAX + MS_WORKERS_MAX];
	uint32_t lcores_n;
	struct health_output outputs[MS_OUTPUTS_MAX];
	uint16_t outputs_n;
	char problems[HEALTH_PROBLEMS][HEALTH_TEXT];
	uint32_t problems_n; /* may exceed HEALTH_PROBLEMS: the others are not told */
};

/* Before the lcores are launched. Says what is wrong and returns false. Control. */
bool health_begin(struct sink *sink);
void health_end(struct sink *sink);

/* Control's sample. Takes sink.lock. */
void health_control(struct sink *sink);

/* Control goes away for a while on purpose (a reload), or is back. Takes sink.lock. */
void health_absent(struct sink *sink, bool absent);

/* Takes a sample and judges. Any thread that holds sink.lock. */
void health_judge(const struct sink *sink, struct health_verdict *verdict);
