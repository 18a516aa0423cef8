/* SPDX-License-Identifier: BSD-3-Clause */
#include "idle/ms_idle.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_cpuflags.h>
#include <rte_cycles.h>
#include <rte_epoll.h>
#include <rte_ethdev.h>
#include <rte_power_intrinsics.h>

#define US_PER_MS 1000
#define NS_PER_US 1000

static_assert(offsetof(struct ms_idle, since) < 64 && offsetof(struct ms_idle, adaptive) < 64,
	"a round looks at one cache line");

int
ms_idle_init(struct ms_idle *idle, const struct ms_idle_options *options)
{
	struct rte_cpu_intrinsics can = {0};

	memset(idle, 0, sizeof(*idle));
	idle->adaptive = options->adaptive;
	idle->qsbr = options->qsbr;
	idle->reader = options->reader;
	idle->longest_us = options->longest_us != 0 ? options->longest_us : MS_IDLE_BLOCK_US;
	idle->ticks_per_us = RTE_MAX(rte_get_tsc_hz() / US_PER_S, UINT64_C(1));
	idle->epfd = -1;
	if (!idle->adaptive)
		return 0;
	rte_cpu_get_intrinsics_support(&can);
	idle->monitors = can.power_monitor;
	idle->monitors_many = can.power_monitor && can.power_monitor_multi;
	idle->epfd = epoll_create1(EPOLL_CLOEXEC);
	return idle->epfd >= 0 ? 0 : -errno;
}

void
ms_idle_fini(struct ms_idle *idle)
{
	if (idle->epfd > 0) /* 0: it was never made */
		close(idle->epfd);
	idle->epfd = -1;
}

int
ms_idle_add(struct ms_idle *idle)
{
	struct ms_idle_source *source = &idle->sources[idle->sources_n];

	if (idle->sources_n == MS_IDLE_SOURCES_MAX)
		return -ENOSPC;
	atomic_init(&source->port, MS_IDLE_GONE);
	source->armed = MS_IDLE_GONE;
	return idle->sources_n++;
}

/* Interrupts of all queues of a port into the owner's epoll, or of none. */
static bool
listen_to(const struct ms_idle *idle, uint16_t port, uint16_t first, uint16_t n)
{
	for (uint16_t q = 0; q < n; q++) {
		if (rte_eth_dev_rx_intr_ctl_q(
			    port, first + q, idle->epfd, RTE_INTR_EVENT_ADD, NULL) == 0)
			continue;
		while (q-- > 0)
			rte_eth_dev_rx_intr_ctl_q(
				port, first + q, idle->epfd, RTE_INTR_EVENT_DEL, NULL);
		return false;
	}
	return true;
}

/*
 * net_tap has no call to ask for interrupts: its queues are descriptors, which the kernel makes
 * readable whenever there is something.
 */
static bool
needs_no_arming(uint16_t port)
{
	struct rte_eth_dev_info info;

	return rte_eth_dev_info_get(port, &info) == 0 && strcmp(info.driver_name, "net_tap") == 0;
}

static bool
can_monitor(uint16_t port, uint16_t first, uint16_t n)
{
	struct rte_power_monitor_cond cond;

	for (uint16_t q = 0; q < n; q++) {
		if (rte_eth_get_monitor_addr(port, first + q, &cond) != 0)
			return false;
	}
	return true;
}

void
ms_idle_publish(struct ms_idle *idle, uint16_t source, uint16_t port, uint16_t first, uint16_t n)
{
	struct ms_idle_source *s = &idle->sources[source];
	struct rte_eth_conf conf;
	uint8_t ways = 0;

	s->first = first;
	s->n = n;
	s->self_armed = needs_no_arming(port);
	if (idle->adaptive && idle->longest_us >= US_PER_MS &&
		rte_eth_dev_conf_get(port, &conf) == 0 && conf.intr_conf.rxq != 0 &&
		listen_to(idle, port, first, n))
		ways |= MS_IDLE_INTERRUPT;
	if (idle->monitors && can_monitor(port, first, n))
		ways |= MS_IDLE_MONITOR;
	atomic_store_explicit(&s->ways, ways, memory_order_relaxed);
	/* pairs with the acquire of the owner */
	atomic_store_explicit(&s->port, port, memory_order_release);
}

void
ms_idle_withdraw(struct ms_idle *idle, uint16_t source)
{
	atomic_store_explicit(&idle->sources[source].port, MS_IDLE_GONE, memory_order_relaxed);
}

void
ms_idle_forget(struct ms_idle *idle, uint16_t source, uint16_t port)
{
	struct ms_idle_source *s = &idle->sources[source];
	unsigned int ways = atomic_load_explicit(&s->ways, memory_order_relaxed);

	for (uint16_t q = 0; (ways & MS_IDLE_INTERRUPT) != 0 && q < s->n; q++)
		rte_eth_dev_rx_intr_ctl_q(port, s->first + q, idle->epfd, RTE_INTR_EVENT_DEL, NULL);
	atomic_store_explicit(&s->ways, 0, memory_order_relaxed);
}

unsigned int
ms_idle_ways(const struct ms_idle *idle)
{
	unsigned int ways = MS_IDLE_MONITOR | MS_IDLE_INTERRUPT, queues = 0;

	for (uint16_t i = 0; i < idle->sources_n; i++) {
		const struct ms_idle_source *s = &idle->sources[i];

		if (atomic_load_explicit(&s->port, memory_order_acquire) == MS_IDLE_GONE)
			continue;
		ways &= atomic_load_explicit(&s->ways, memory_order_relaxed);
		queues += s->n;
	}
	if (queues > 1 && !idle->monitors_many)
		ways &= ~(unsigned int)MS_IDLE_MONITOR;
	return queues > 0 ? ways : 0;
}

void
ms_idle_begin(const struct ms_idle *idle)
{
	/* else each sleep may be 50 us longer, so that the kernel wakes several threads at once */
	if (idle->adaptive)
		prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

/* Nobody waits for the owner, and it holds nothing, between these two. Returns the time. */
static uint64_t
leave(const struct ms_idle *idle)
{
	if (idle->qsbr != NULL)
		rte_rcu_qsbr_thread_offline(idle->qsbr, idle->reader);
	return rte_rdtsc();
}

static void
come_back(struct ms_idle *idle, uint64_t left, ms_counter *kind)
{
	ms_count_add(&idle->ticks, rte_rdtsc() - left);
	ms_count_add(kind, 1);
	if (idle->qsbr != NULL)
		rte_rcu_qsbr_thread_online(idle->qsbr, idle->reader);
}

/* A port that refuses is not asked again. */
static bool
arm_source(struct ms_idle_source *s, uint16_t port)
{
	uint16_t q = 0;

	while (!s->self_armed && q < s->n && rte_eth_dev_rx_intr_enable(port, s->first + q) == 0)
		q++;
	if (s->self_armed || q == s->n) {
		s->armed = port;
		return true;
	}
	while (q-- > 0)
		rte_eth_dev_rx_intr_disable(port, s->first + q);
	atomic_fetch_and_explicit(&s->ways, (uint8_t)~MS_IDLE_INTERRUPT, memory_order_relaxed);
	return false;
}

static void
disarm(struct ms_idle *idle)
{
	for (uint16_t i = 0; i < idle->sources_n; i++) {
		struct ms_idle_source *s = &idle->sources[i];
		uint16_t port = atomic_load_explicit(&s->port, memory_order_acquire);

		if (s->armed != MS_IDLE_GONE && s->armed == port && !s->self_armed) {
			for (uint16_t q = 0; q < s->n; q++)
				rte_eth_dev_rx_intr_disable(port, s->first + q);
		}
		s->armed = MS_IDLE_GONE;
	}
	idle->armed = false;
}

static void
arm(struct ms_idle *idle)
{
	idle->armed = true;
	for (uint16_t i = 0; i < idle->sources_n; i++) {
		struct ms_idle_source *s = &idle->sources[i];
		uint16_t port = atomic_load_explicit(&s->port, memory_order_acquire);

		if (port != MS_IDLE_GONE && !arm_source(s, port)) {
			disarm(idle);
			return;
		}
	}
}

/* Are the interrupts that were asked for those of all ports that are there now? */
static bool
all_armed(const struct ms_idle *idle)
{
	for (uint16_t i = 0; i < idle->sources_n; i++) {
		const struct ms_idle_source *s = &idle->sources[i];

		if (atomic_load_explicit(&s->port, memory_order_acquire) != s->armed)
			return false;
	}
	return true;
}

/*
 * What has woken it may show a little later: net_tap, for one, looks at a queue only after a
 * signal, which comes beside. So it polls for a while then.
 */
static void
await_interrupt(struct ms_idle *idle)
{
	struct rte_epoll_event events[8]; /* which queue it was is found by polling */
	int timeout = (int)(RTE_MIN(idle->longest_us, (uint32_t)MS_IDLE_BLOCK_US) / US_PER_MS);

	if (all_armed(idle)) {
		uint64_t left = leave(idle);
		int n = rte_epoll_wait(idle->epfd, events, RTE_DIM(events), timeout);

		come_back(idle, left, &idle->interrupts);
		idle->woken = n > 0;
		if (n > 0)
			idle->since = rte_rdtsc();
	}
	disarm(idle);
}

/* Where each queue's next packet will show. False if a driver does not say it after all. */
static bool
watch(struct ms_idle *idle, uint64_t until)
{
	struct rte_power_monitor_cond conds[MS_IDLE_SOURCES_MAX];
	uint32_t n = 0;
	uint64_t left;
	int rc;

	for (uint16_t i = 0; i < idle->sources_n; i++) {
		const struct ms_idle_source *s = &idle->sources[i];
		uint16_t port = atomic_load_explicit(&s->port, memory_order_acquire);

		for (uint16_t q = 0; port != MS_IDLE_GONE && q < s->n; q++) {
			if (n == RTE_DIM(conds) ||
				rte_eth_get_monitor_addr(port, s->first + q, &conds[n++]) != 0)
				return false;
		}
	}
	if (n == 0)
		return false;
	left = leave(idle);
	rc = n == 1 ? rte_power_monitor(conds, until) : rte_power_monitor_multi(conds, n, until);
	come_back(idle, left, &idle->monitored);
	return rc == 0;
}

static void
sleep_shortly(struct ms_idle *idle, uint64_t idle_us)
{
	uint32_t longest = RTE_MIN(idle->longest_us, (uint32_t)MS_IDLE_SLEEP_MAX);
	uint64_t us = RTE_MIN(idle_us / MS_IDLE_SHARE, (uint64_t)longest), left;
	struct timespec t;

	t = (struct timespec){.tv_nsec = (long)us * NS_PER_US};
	left = leave(idle);
	clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
	come_back(idle, left, &idle->sleeps);
}

void
ms_idle_empty(struct ms_idle *idle)
{
	uint64_t now = rte_rdtsc(), idle_us;
	unsigned int ways;

	if (idle->since == 0)
		idle->since = now;
	idle_us = (now - idle->since) / idle->ticks_per_us;
	if (idle_us < MS_IDLE_SPIN_US) {
		rte_pause();
		return;
	}
	/* control sees how often it went round before it is asked here which ports are left */
	atomic_thread_fence(memory_order_seq_cst);
	ways = ms_idle_ways(idle);
	if (idle->armed)
		await_interrupt(idle);
	else if ((ways & MS_IDLE_MONITOR) != 0 && idle_us < MS_IDLE_MONITOR_US &&
		 watch(idle, idle->since + MS_IDLE_MONITOR_US * idle->ticks_per_us))
		;
	else if ((ways & MS_IDLE_INTERRUPT) != 0 && !(idle->woken && idle_us < MS_IDLE_LATE_US))
		arm(idle); /* and poll once more */
	else
		sleep_shortly(idle, idle_us);
}

void
ms_idle_busy(struct ms_idle *idle)
{
	idle->since = 0;
	idle->woken = false;
	if (idle->armed)
		disarm(idle);
}
