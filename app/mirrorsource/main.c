/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mirrorsource: a mirror source in software. Frames are read from ports, wrapped as AWS Traffic
 * Mirroring does for the sessions that mirror them, and go to a port or into a capture file.
 */
#include "common/cli.h"
#include "common/eal.h"
#include "control.h"
#include "mirror.h"
#include "options.h"
#include "ports.h"
#include "report.h"
#include "sessions.h"
#include "writer.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_lcore.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MS      500 /* ends the reading of capture files */
#define LOOP_IDLE_MS 200
#define HOLD_MS      100 /* without packets, then none is held back */

/* All there is of one run; too large for a stack. */
static struct {
	struct source_options options;
	struct source_sessions sessions;
	struct source_ports ports;
	struct source_writer writer;
	struct ms_timestamp clock;
	struct mirror mirror;
	struct fault fault;
	struct source_report report;
} source;

/* The main lcore controls, another one mirrors. */
static bool
enough_lcores(void)
{
	return rte_lcore_count() >= 2 ||
	       cli_wrong("one lcore is too few, as the main one only controls: give two, with "
			 "-l 0-1, or --lcores '0@0,1@0' for two on one core");
}

/* So many frames at a time that a burst is over within about a millisecond. */
static uint16_t
choose_burst(const struct source_options *o)
{
	uint64_t per_second = o->rate;

	if (o->rate_unit == SOURCE_RATE_NONE)
		return MS_BURST;
	if (o->rate_unit == SOURCE_RATE_BITS)
		per_second /= UINT64_C(8) * RTE_ETHER_MTU;
	return (uint16_t)RTE_MAX(UINT64_C(1), RTE_MIN(per_second / 1000, (uint64_t)MS_BURST));
}

static uint64_t
ms_to_ticks(uint64_t ms)
{
	return ms * (rte_get_tsc_hz() / 1000);
}

/* Ticks for each of n a second, times 2^MIRROR_COST_SHIFT. */
static uint64_t
cost(uint64_t n)
{
	return (uint64_t)(((unsigned __int128)rte_get_tsc_hz() << MIRROR_COST_SHIFT) / n);
}

static void
set_up_mirror(struct mirror *m, const struct source_options *o)
{
	uint64_t idle = o->stop.idle_ms;

	m->ports = &source.ports;
	m->clock = &source.clock;
	m->file = source.writer.file;
	m->written = &source.writer.ledger;
	m->plan = source.sessions.plan;
	m->encaps = source.sessions.encaps;
	m->limit = m->file != NULL ? MS_LENGTH_MAX : source.ports.tx_limit;
	m->lossless = (source.ports.captures || o->loop) && o->rate_unit == SOURCE_RATE_NONE;
	m->loop = o->loop;
	m->loops = o->loops;
	m->share = o->as_fast;
	if (idle == 0 && o->loop)
		idle = LOOP_IDLE_MS;
	else if (idle == 0 && source.ports.captures)
		idle = IDLE_MS;
	m->idle = ms_to_ticks(idle);
	m->patience = ms_to_ticks(1);
	m->slack = ms_to_ticks(20); /* some time slices of other processes */
	m->flush_wait = ms_to_ticks(MIRROR_FLUSH_NS / 1000000);
	m->hold = ms_to_ticks(HOLD_MS);
	if (o->fault.on) {
		fault_init(&source.fault, &o->fault, source.ports.pool, &m->ledger);
		m->fault = &source.fault;
	}
	m->burst = choose_burst(o);
	if (o->rate_unit == SOURCE_RATE_PACKETS)
		m->packet_cost = cost(o->rate);
	else if (o->rate_unit == SOURCE_RATE_BITS)
		m->byte_cost = 8 * cost(o->rate);
	m->budget = o->stop.packets != 0 ? o->stop.packets : UINT64_MAX;
	m->due = rte_rdtsc();
	m->flush_due = m->due;
}

static int
open_output(const struct source_options *o, int standard_output)
{
	int ret = ms_timestamp_setup(&source.clock);

	if (ret != 0) {
		cli_wrong("no room for timestamps in mbufs: %s", strerror(-ret));
		return CLI_EXIT_FAILED;
	}
	if (o->write == NULL)
		return 0;
	return source_writer_open(&source.writer, o, &source.sessions, standard_output,
		source.ports.captures || o->loop);
}

static int
close_output(const struct source_options *o)
{
	int ret;

	if (o->write == NULL)
		return 0;
	ret = source_writer_close(&source.writer, o);
	source_ledger_settle(&source.mirror.ledger, &source.writer.ledger);
	return ret;
}

/* Everything between the opening and the closing of the output. */
static int
mirror_all(const struct source_options *o)
{
	struct mirror *m = &source.mirror;
	int ret = source_sessions_wrap(&source.sessions, &o->encap.source_mac);

	if (ret != 0)
		return ret;
	m->sessions = calloc(source.sessions.n + 1, sizeof(*m->sessions));
	if (m->sessions == NULL) {
		cli_wrong("no memory for the counters of %u sessions", source.sessions.n);
		return CLI_EXIT_FAILED;
	}
	set_up_mirror(m, o);
	ret = source_control_run(
		m, &source.clock, o, rte_get_next_lcore(-1, 1, 0), &source.report.seconds);
	source_report_devices(&source.report, &source.ports);
	return ret;
}

static int
report(const struct source_options *o)
{
	source.report.ledger = &source.mirror.ledger;
	source.report.mirror = &source.mirror;
	source.report.sessions = &source.sessions;
	source_report_print(&source.report);
	if (o->summary != NULL && source_report_write(&source.report, o->summary) != 0)
		return CLI_EXIT_FAILED;
	return source_ledger_balanced(&source.mirror.ledger) ? 0 : CLI_EXIT_FAILED;
}

/* The first of two exit statuses that is not 0. */
static int
first(int a, int b)
{
	return a != 0 ? a : b;
}

/* From started EAL to the report. */
static int
run(struct source_options *o, int standard_output)
{
	int ret = source_ports_open(&source.ports, o);

	if (ret != 0)
		return ret;
	ret = open_output(o, standard_output);
	if (ret == 0) {
		ret = mirror_all(o);
		ret = first(ret, close_output(o));
		ret = first(ret, report(o));
	}
	source_ports_close(&source.ports);
	rte_mempool_free(source.ports.pool);
	return ret;
}

int
main(int argc, char **argv)
{
	struct source_options *o = &source.options;
	int standard_output = -1;
	int eal_argc;
	int ret;

	switch (source_options_parse(o, argc, argv, &eal_argc)) {
	case SOURCE_OPTIONS_DONE:
		return 0;
	case SOURCE_OPTIONS_WRONG:
		return CLI_EXIT_USAGE;
	case SOURCE_OPTIONS_RUN:
		break;
	}
	ret = source_sessions_load(&source.sessions, o);
	if (ret != 0)
		goto out;
	ret = CLI_EXIT_USAGE;
	if (o->write != NULL && strcmp(o->write, "-") == 0) {
		standard_output = source_writer_take_stdout();
		if (standard_output < 0) {
			cli_wrong("--write: standard output: %s", strerror(-standard_output));
			goto out;
		}
	}
	source_control_hold_signals();
	ret = CLI_EXIT_FAILED;
	if (!eal_start(eal_argc, argv))
		goto out;
	ret = enough_lcores() ? run(o, standard_output) : CLI_EXIT_USAGE;
	rte_eal_cleanup();
out:
	source_sessions_free(&source.sessions);
	free(source.mirror.sessions);
	return ret;
}
