/* SPDX-License-Identifier: BSD-3-Clause */
#include "control.h"

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include <rte_launch.h>
#include <rte_timer.h>

#include "health.h"
#include "outputs.h"
#include "own_ports.h"
#include "plug.h"
#include "reload.h"

#define SECOND_NS UINT64_C(1000000000)
#define MS_NS     UINT64_C(1000000)
#define LOOK_NS   (SECOND_NS / 5) /* how often ports and lcores are looked at */
#define BUSY_NS   (20 * MS_NS)    /* and how often commands at the end */

#define COMMANDS_SECONDS 30 /* that they may take once all else has ended */

static void
wanted_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

void
control_block_signals(void)
{
	sigset_t set;

	wanted_signals(&set);
	sigaddset(&set, SIGPIPE); /* a reader that goes away ends its output, not the program */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

/* Waits for a signal, at most so long. Returns it, or 0. */
static int
wait_signal(uint64_t ns)
{
	struct timespec t = {(time_t)(ns / SECOND_NS), (long)(ns % SECOND_NS)};
	sigset_t set;
	int sig;

	wanted_signals(&set);
	sig = sigtimedwait(&set, NULL, &t);
	return sig > 0 ? sig : 0;
}

static uint64_t
received(const struct sink *sink)
{
	uint64_t sum = 0;

	for (uint16_t r = 0; r < sink->rx_n; r++)
		sum += ms_count_read(&sink->rx[r]->ledger.received);
	return sum;
}

/* What stop conditions remember from one look to the next. */
struct watch {
	uint64_t packets;
	uint64_t changed_ns; /* when packets was last seen to grow, or an rx lcore to stand still */
	uint64_t rounds[SINK_RX_MAX];
};

/*
 * Has an rx lcore not gone round since the last look? Then it waits for a ring, a disk or its
 * processor, and there may be packets that it has not asked for.
 */
static bool
stands_still(const struct sink *sink, struct watch *watch)
{
	bool still = false;

	for (uint16_t r = 0; r < sink->rx_n; r++) {
		uint64_t rounds = ms_count_read(&sink->rx[r]->rounds);

		still |= rounds == watch->rounds[r];
		watch->rounds[r] = rounds;
	}
	return still;
}

static bool
is_over(const struct sink *sink, struct watch *watch, uint64_t now)
{
	const struct cli_autostop *stop = &sink->options.autostop;
	uint64_t packets = received(sink);

	if (stands_still(sink, watch) || packets != watch->packets) {
		watch->packets = packets;
		watch->changed_ns = now;
	}
	return (stop->packets != 0 && packets >= stop->packets) ||
	       (stop->seconds != 0 && now - sink->start_ns >= stop->seconds * SECOND_NS) ||
	       (stop->idle_ms != 0 && now - watch->changed_ns >= stop->idle_ms * MS_NS);
}

uint32_t
control_look_ms(const struct sink_options *options)
{
	uint64_t ms = options->autostop.idle_ms;

	return ms == 0 ? 0 : (uint32_t)RTE_MIN(RTE_MAX(ms / 8, UINT64_C(1)), UINT64_C(100));
}

/*
 * How long to sleep: until the next look at ports and lcores, or less where a stop condition needs
 * a closer look.
 */
static uint64_t
nap(const struct sink *sink, uint64_t now)
{
	const struct cli_autostop *stop = &sink->options.autostop;
	uint64_t ns = LOOK_NS, elapsed = now - sink->start_ns;

	if (stop->packets != 0)
		ns = 10 * MS_NS;
	if (stop->idle_ms != 0)
		ns = RTE_MIN(ns, control_look_ms(&sink->options) * MS_NS);
	if (stop->seconds != 0 && stop->seconds * SECOND_NS > elapsed)
		ns = RTE_MIN(ns, stop->seconds * SECOND_NS - elapsed);
	return ns;
}

void
control_run(struct sink *sink)
{
	struct watch watch = {.changed_ns = sink->start_ns};
	uint64_t housekept = sink->start_ns, now = sink->start_ns;

	while (!is_over(sink, &watch, now)) {
		int sig = wait_signal(nap(sink, now));

		if (sig == SIGHUP) {
			health_absent(sink, true);
			reload(sink);
			health_absent(sink, false);
		} else if (sig != 0) {
			return;
		}
		plug_work(sink);
		own_ports_work(sink);
		health_control(sink);
		now = now_ns();
		if (now - housekept >= SECOND_NS) {
			ms_timestamp_recalibrate(&sink->clock);
			rte_timer_manage(); /* ENA's watchdog lives on it */
			housekept = now;
		}
	}
}

bool
control_stop(struct sink *sink)
{
	bool ok = true;

	/* from now on a descriptor that stands still for long gives up, and lets its lcore go */
	for (uint16_t i = 0; i < sink->lanes_n; i++)
		ms_lane_hasten(sink->lanes[i]);
	atomic_store_explicit(&sink->stage, SINK_DRAIN, memory_order_release);
	for (uint16_t r = 0; r < sink->rx_n; r++)
		rte_eal_wait_lcore(sink->rx[r]->lcore);
	/* pairs with the acquire in worker_main(): whoever sees it sees all that rx sent */
	atomic_store_explicit(&sink->stage, SINK_END, memory_order_release);
	for (uint16_t w = 0; w < sink->workers_n; w++)
		rte_eal_wait_lcore(sink->workers[w]->lcore);
	for (uint16_t i = 0; i < sink->lanes_n; i++) {
		int rc = ms_lane_close(sink->lanes[i]);

		sink->deserted |= rc == -ETIMEDOUT;
		if (rc != 0)
			ok = cli_wrong("an output did not end cleanly: %s", strerror(-rc));
	}
	return ok;
}

void
control_await_commands(const struct sink *sink)
{
	uint64_t end = now_ns() + COMMANDS_SECONDS * SECOND_NS;

	while (outputs_commands(sink) > 0 && now_ns() < end) {
		if (wait_signal(BUSY_NS) != 0)
			break;
	}
}
