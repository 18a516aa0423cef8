/* SPDX-License-Identifier: BSD-3-Clause */
/* mirrorsink: receives mirrored packets, filters them, writes and forwards their inner frames. */
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_timer.h>

#include "check.h"
#include "common/eal.h"
#include "compile_report.h"
#include "control.h"
#include "exception.h"
#include "explain.h"
#include "health.h"
#include "outputs.h"
#include "plug.h"
#include "port.h"
#include "ports.h"
#include "report.h"
#include "telemetry.h"
#include "topology.h"

/* The first ruleset. Its configuration was read before the EAL started. */
static bool
compile(struct sink *sink, struct ms_config *config)
{
	struct ms_config_error error;
	struct ms_ruleset *first;

	sink->registry = ms_session_registry_create();
	if (sink->registry == NULL)
		return cli_wrong("out of memory");
	/*
	 * For as many readers as there can be: rx lcores are counted when ports are known. Each has
	 * a row of counters, and with many filters these are what takes memory.
	 */
	if (ms_ruleset_compile(&first, config, sink->registry,
		    RTE_MAX(1u, RTE_MIN(rte_lcore_count() - 1, (unsigned int)SINK_RX_MAX)),
		    &error) != 0) {
		ms_config_free(config);
		return cli_wrong("%s", error.text);
	}
	if (ms_ruleset_cell_init(&sink->rules, first, SINK_RX_MAX) != 0) {
		ms_ruleset_free(first);
		return cli_wrong("out of memory");
	}
	return true;
}

/* Everything that can be wrong is found here, before a file is emptied or a port started. */
static bool
prepare(struct sink *sink)
{
	return ports_resolve(sink) && topology_build(sink) && outputs_open(sink);
}

/* How its lcores wait while nothing comes. */
static const char *
idle_text(const struct sink *sink, const struct sink_port *port)
{
	static const char *const ways[] = {
		"sleeps", "memory, then sleeps", "interrupts", "memory, then interrupts"};

	return sink->options.idle == SINK_IDLE_POLL ? "polling" : ways[port_idle_ways(sink, port)];
}

static void
announce(const struct sink *sink)
{
	compile_report_brief(ms_ruleset_get(&sink->rules), stderr);
	for (uint16_t i = 0; i < sink->mirrors_n; i++)
		warnx("mirror port %s, receive queues: %u, idle: %s", sink->mirrors[i]->name,
			sink->mirrors[i]->rx, idle_text(sink, sink->mirrors[i]));
	exception_announce(sink);
	warnx("rx lcores: %u, workers: %u%s", sink->rx_n, sink->workers_n,
		sink->workers_n == 0 ? " (each rx lcore does the output too)" : "");
	if (sink->dedups[0] != NULL && sink->workers_n == 0 && sink->rx_n > 1)
		warnx("Dedup: without workers each of the %u rx lcores knows only the frames of "
		      "its "
		      "own receive queues; use -W 1 or more to find copies that come in by "
		      "different ones",
			sink->rx_n);
}

static void
start(struct sink *sink)
{
	struct timespec now;

	sink->budget.limited = sink->options.autostop.packets != 0;
	atomic_init(&sink->budget.left, (int64_t)sink->options.autostop.packets);
	clock_gettime(CLOCK_MONOTONIC, &now);
	sink->start_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	topology_launch(sink);
}

/* The program between a sound command line and its exit status. */
static int
run(struct sink *sink)
{
	struct sink_totals totals;
	bool ok;

	if (!prepare(sink))
		return CLI_EXIT_USAGE;
	if (!plug_begin(sink) || !ports_start(sink) || ms_timestamp_setup(&sink->clock) != 0 ||
		!health_begin(sink) || !outputs_begin(sink)) {
		outputs_abandon(sink);
		return CLI_EXIT_USAGE;
	}
	announce(sink);
	if (telemetry_begin(sink) != 0)
		warnx("the telemetry socket does not work: no numbers while it runs");
	start(sink);
	control_run(sink);
	plug_end(sink);
	ok = control_stop(sink);
	telemetry_end();

	totals_collect(sink, &totals);
	report_print(sink, &totals, sink->stdout_taken ? stderr : stdout);
	if (sink->summary_fd >= 0)
		ok &= report_summary(sink, &totals, sink->summary_fd);
	control_await_commands(sink);
	return ok && totals_balanced(sink, &totals) ? EXIT_SUCCESS : CLI_EXIT_FAILED;
}

int
main(int argc, char **argv)
{
	static struct sink sink = {.lock = PTHREAD_MUTEX_INITIALIZER,
		.plug.answered = PTHREAD_COND_INITIALIZER,
		.summary_fd = -1};
	struct ms_config_error error;
	struct ms_config *config;
	int eal_argc, status;

	switch (sink_options_parse(&sink.options, argc, argv, &eal_argc)) {
	case SINK_OPTIONS_DONE:
		return EXIT_SUCCESS;
	case SINK_OPTIONS_WRONG:
		return CLI_EXIT_USAGE;
	case SINK_OPTIONS_RUN:
		break;
	}
	if (sink_options_config(&sink.options, &config, &error) != 0) {
		warnx("%s", error.text);
		return CLI_EXIT_USAGE;
	}
	if (sink.options.check)
		return check(config);
	if (sink.options.explain != NULL)
		return explain(&sink.options, config);

	sched_getaffinity(0, sizeof(sink.cpus), &sink.cpus);
	control_block_signals();
	if (!eal_start(eal_argc, argv)) {
		ms_config_free(config);
		return CLI_EXIT_USAGE;
	}
	rte_timer_subsystem_init();
	if (!compile(&sink, config))
		return CLI_EXIT_USAGE;
	status = run(&sink);
	health_end(&sink);
	outputs_end(&sink);
	ports_stop(&sink);
	topology_free(&sink);
	ms_ruleset_cell_fini(&sink.rules);
	ms_session_registry_free(sink.registry);
	rte_eal_cleanup();
	return status;
}
