/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The main lcore: launches the worker, sleeps until a signal, the end of the worker or of the time,
 * renews the clock's mapping once a second, and looks whether the capture file still takes frames.
 */
#include "control.h"

#include <rte_cycles.h>
#include <rte_launch.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define CLOCK_MS 1000

struct worker {
	struct mirror *mirror;
	int ended; /* eventfd, written once */
	int error; /* -errno; read after the lcore was waited for */
};

static void
make_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGTERM);
}

void
source_control_hold_signals(void)
{
	sigset_t signals;

	make_signals(&signals);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	/* A pipe that nobody reads is an error of its write(). */
	signal(SIGPIPE, SIG_IGN);
}

static int
run_worker(void *arg)
{
	struct worker *worker = arg;

	if (worker->mirror->loop)
		worker->error = mirror_replay(worker->mirror);
	else
		mirror_run(worker->mirror);
	eventfd_write(worker->ended, 1);
	return 0;
}

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A capture file that has failed once takes nothing more. */
static bool
file_failed(const struct mirror *mirror)
{
	return ms_count_read(&mirror->written->dropped[MS_DROP_DISK_FULL]) != 0 ||
	       ms_count_read(&mirror->written->dropped[MS_DROP_IO_ERROR]) != 0;
}

/* Sleeps until the worker has ended, a signal comes or the time is over, and keeps the clock. */
static void
watch(struct worker *worker, struct ms_timestamp *clock, uint64_t stop_ms, int signal_fd)
{
	struct pollfd fds[] = {
		{.fd = worker->ended, .events = POLLIN},
		{.fd = signal_fd, .events = POLLIN},
	};
	uint64_t started = now_ms();
	uint64_t renewed = started;

	while (fds[0].revents == 0 && fds[1].revents == 0) {
		uint64_t now = now_ms();
		uint64_t sleep = CLOCK_MS;

		if (now - renewed >= CLOCK_MS) {
			ms_timestamp_recalibrate(clock);
			renewed = now;
		}
		if (stop_ms != 0 && now - started >= stop_ms)
			return;
		if (stop_ms != 0)
			sleep = RTE_MIN(sleep, stop_ms - (now - started));
		if (file_failed(worker->mirror))
			return;
		poll(fds, RTE_DIM(fds), (int)sleep);
	}
}

/*
 * Ends the worker. One that is held up, by a pipe that nobody reads, may be killed by a signal, but
 * not by the same one that ends it, which timeout(1) and terminals send twice.
 */
static void
end(struct worker *worker, int signal_fd)
{
	struct pollfd ended = {.fd = worker->ended, .events = POLLIN};
	struct signalfd_siginfo info;
	sigset_t signals;

	atomic_store_explicit(&worker->mirror->stop, true, memory_order_relaxed);
	if (poll(&ended, 1, CLOCK_MS) != 0)
		return;
	while (read(signal_fd, &info, sizeof(info)) > 0)
		;
	make_signals(&signals);
	pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
}

/* Says why frames that were to be replayed are not. */
static void
explain(int error, const struct mirror *mirror)
{
	switch (-error) {
	case ENOBUFS:
		cli_wrong("--loop: the frames do not fit %u mbufs: give more with "
			  "--mbufs, and the EAL the memory for them with -m",
			mirror->ports->mbufs);
		break;
	case ENODATA:
		cli_wrong("--loop: no frame came that could be mirrored again: check the "
			  "input, or wait longer with --autostop idle:MILLISECONDS");
		break;
	default:
		cli_wrong("--loop: %s", strerror(-error));
	}
}

int
source_control_run(struct mirror *mirror, struct ms_timestamp *clock,
	const struct source_options *options, unsigned int lcore, double *seconds)
{
	struct worker worker = {.mirror = mirror};
	sigset_t signals;
	uint64_t started;
	int signal_fd;
	int ret = -1;

	make_signals(&signals);
	worker.ended = eventfd(0, EFD_CLOEXEC);
	signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (worker.ended >= 0 && signal_fd >= 0) {
		started = rte_rdtsc();
		ret = rte_eal_remote_launch(run_worker, &worker, lcore);
		if (ret == 0) {
			watch(&worker, clock, options->stop.seconds * 1000, signal_fd);
			end(&worker, signal_fd);
			rte_eal_wait_lcore(lcore);
		}
		*seconds = (double)(rte_rdtsc() - started) / (double)rte_get_tsc_hz();
	}
	if (ret != 0)
		cli_wrong("the worker cannot be started: %s", strerror(errno));
	else if (worker.error != 0)
		explain(worker.error, mirror);
	if (worker.ended >= 0)
		close(worker.ended);
	if (signal_fd >= 0)
		close(signal_fd);
	return ret == 0 && worker.error == 0 ? 0 : CLI_EXIT_FAILED;
}
