/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * idle: what an lcore does that finds nothing, against a processor, drivers and a kernel that are
 * played here: each call to them is counted, and they refuse what a test tells them to refuse.
 */
#include "idle/ms_idle.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <rte_cpuflags.h>
#include <rte_cycles.h>
#include <rte_epoll.h>
#include <rte_ethdev.h>
#include <rte_power_intrinsics.h>

#define TICKS_PER_US UINT64_C(10000000) /* ms, so that it does not matter if it is held up */
#define PORTS        4
#define QUEUES       4
#define READER       1

/* What is played. */
static struct {
	bool monitor, monitor_many; /* the processor's */
	bool has_address[PORTS];    /* drivers say where the next packet will show, */
	bool has_vector[PORTS];     /* have interrupts to give, */
	uint16_t vectors[PORTS];    /* for so many queues, */
	bool refuses[PORTS];        /* but do not when they are asked */
	bool rxq[PORTS];            /* how the port was configured */
	const char *driver;         /* of all */
	int monitor_rc;
	bool added[PORTS][QUEUES], enabled[PORTS][QUEUES];
	unsigned int enables, waits, sleeps, monitors, monitors_many_n;
	uint64_t slept_us, until;
	int timeout, events;
	bool online; /* for RCU, in any wait */
} fake;

static struct ms_idle idle;
static struct rte_rcu_qsbr *qsbr;

uint64_t __wrap_rte_get_tsc_hz(void);
void __wrap_rte_cpu_get_intrinsics_support(struct rte_cpu_intrinsics *can);
int __wrap_rte_eth_dev_conf_get(uint16_t port, struct rte_eth_conf *conf);
int __wrap_rte_eth_dev_info_get(uint16_t port, struct rte_eth_dev_info *info);
int __wrap_rte_eth_get_monitor_addr(uint16_t port, uint16_t q, struct rte_power_monitor_cond *c);
int __wrap_rte_eth_dev_rx_intr_ctl_q(uint16_t port, uint16_t q, int epfd, int op, void *data);
int __wrap_rte_eth_dev_rx_intr_enable(uint16_t port, uint16_t q);
int __wrap_rte_eth_dev_rx_intr_disable(uint16_t port, uint16_t q);
int __wrap_rte_epoll_wait(int epfd, struct rte_epoll_event *events, int n, int timeout);
int __wrap_rte_power_monitor(const struct rte_power_monitor_cond *cond, uint64_t until);
int __wrap_rte_power_monitor_multi(
	const struct rte_power_monitor_cond conds[], uint32_t n, uint64_t until);
int
__wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *t, struct timespec *left);

uint64_t
__wrap_rte_get_tsc_hz(void)
{
	return TICKS_PER_US * 1000000;
}

void
__wrap_rte_cpu_get_intrinsics_support(struct rte_cpu_intrinsics *can)
{
	can->power_monitor = fake.monitor;
	can->power_monitor_multi = fake.monitor_many;
}

int
__wrap_rte_eth_dev_conf_get(uint16_t port, struct rte_eth_conf *conf)
{
	memset(conf, 0, sizeof(*conf));
	conf->intr_conf.rxq = fake.rxq[port];
	return 0;
}

int
__wrap_rte_eth_dev_info_get(uint16_t port, struct rte_eth_dev_info *info)
{
	memset(info, 0, sizeof(*info));
	info->driver_name = fake.driver;
	return 0;
}

int
__wrap_rte_eth_get_monitor_addr(uint16_t port, uint16_t q, struct rte_power_monitor_cond *c)
{
	return fake.has_address[port] ? 0 : -ENOTSUP;
}

int
__wrap_rte_eth_dev_rx_intr_ctl_q(uint16_t port, uint16_t q, int epfd, int op, void *data)
{
	assert_true(epfd >= 0);
	if (!fake.has_vector[port] || q >= fake.vectors[port])
		return -EPERM;
	assert_int_equal(fake.added[port][q], op == RTE_INTR_EVENT_DEL);
	fake.added[port][q] = op == RTE_INTR_EVENT_ADD;
	return 0;
}

int
__wrap_rte_eth_dev_rx_intr_enable(uint16_t port, uint16_t q)
{
	fake.enables++;
	assert_true(fake.added[port][q]);
	if (fake.refuses[port])
		return -EIO;
	assert_false(fake.enabled[port][q]);
	fake.enabled[port][q] = true;
	return 0;
}

int
__wrap_rte_eth_dev_rx_intr_disable(uint16_t port, uint16_t q)
{
	assert_true(fake.enabled[port][q]);
	fake.enabled[port][q] = false;
	return 0;
}

/* What holds in every wait. */
static void
in_wait(void)
{
	fake.online |= rte_rcu_qsbr_check(qsbr, rte_rcu_qsbr_start(qsbr), false) == 0;
}

int
__wrap_rte_epoll_wait(int epfd, struct rte_epoll_event *events, int n, int timeout)
{
	in_wait();
	assert_true(timeout > 0 && timeout <= MS_IDLE_BLOCK_US / 1000);
	fake.waits++;
	fake.timeout = timeout;
	return fake.events;
}

int
__wrap_rte_power_monitor(const struct rte_power_monitor_cond *cond, uint64_t until)
{
	in_wait();
	fake.monitors++;
	fake.until = until;
	return fake.monitor_rc;
}

int
__wrap_rte_power_monitor_multi(
	const struct rte_power_monitor_cond conds[], uint32_t n, uint64_t until)
{
	in_wait();
	fake.monitors_many_n = n;
	fake.until = until;
	return fake.monitor_rc;
}

int
__wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *t, struct timespec *left)
{
	in_wait();
	assert_int_equal(t->tv_sec, 0);
	fake.sleeps++;
	fake.slept_us = (uint64_t)t->tv_nsec / 1000;
	return 0;
}

static int
begin(void **state)
{
	size_t size = RTE_CACHE_LINE_ROUNDUP(rte_rcu_qsbr_get_memsize(2));

	memset(&fake, 0, sizeof(fake));
	fake.driver = "net_fake";
	for (unsigned int p = 0; p < PORTS; p++) {
		fake.vectors[p] = QUEUES;
		fake.rxq[p] = true;
	}
	qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE, size);
	if (qsbr == NULL || rte_rcu_qsbr_init(qsbr, 2) != 0)
		return -1;
	rte_rcu_qsbr_thread_register(qsbr, READER);
	rte_rcu_qsbr_thread_online(qsbr, READER);
	return 0;
}

static int
end(void **state)
{
	ms_idle_fini(&idle);
	free(qsbr);
	return fake.online ? -1 : 0; /* nobody waits for RCU while an lcore does */
}

/* One with n ports, 0 to n - 1, of `queues` queues each. */
static void
make(unsigned int n, uint16_t queues, uint32_t longest_us)
{
	const struct ms_idle_options options = {
		.adaptive = true, .longest_us = longest_us, .qsbr = qsbr, .reader = READER};

	assert_int_equal(ms_idle_init(&idle, &options), 0);
	for (unsigned int p = 0; p < n; p++) {
		assert_int_equal(ms_idle_add(&idle), p);
		ms_idle_publish(&idle, (uint16_t)p, (uint16_t)p, 0, queues);
	}
}

/* A round with nothing, so long after the last packet. */
static void
empty_after(uint64_t us)
{
	idle.since = rte_rdtsc() - us * TICKS_PER_US;
	ms_idle_round(&idle, 0);
}

static unsigned int
enabled(void)
{
	unsigned int n = 0;

	for (unsigned int p = 0; p < PORTS; p++) {
		for (unsigned int q = 0; q < QUEUES; q++)
			n += fake.enabled[p][q];
	}
	return n;
}

/* Polling asks nobody for anything and never waits, whatever there would be. */
static void
polling(void **state)
{
	const struct ms_idle_options options = {.qsbr = qsbr, .reader = READER};

	fake.monitor = fake.has_address[0] = fake.has_vector[0] = true;
	assert_int_equal(ms_idle_init(&idle, &options), 0);
	assert_int_equal(ms_idle_add(&idle), 0);
	ms_idle_publish(&idle, 0, 0, 0, 1);
	assert_int_equal(ms_idle_ways(&idle), 0);
	ms_idle_begin(&idle);
	for (unsigned int i = 0; i < 100000; i++)
		ms_idle_round(&idle, i % 7 == 0);
	assert_int_equal(fake.waits + fake.sleeps + fake.monitors + fake.enables, 0);
	assert_int_equal(idle.ticks, 0);
}

/* Without help from anyone: polls for a while, then ever longer sleeps, up to the longest. */
static void
sleeping(void **state)
{
	make(1, 1, 0);
	assert_int_equal(ms_idle_ways(&idle), 0);
	ms_idle_round(&idle, 0);
	assert_true(idle.since != 0);
	empty_after(MS_IDLE_SPIN_US / 2);
	assert_int_equal(fake.sleeps, 0);
	empty_after(MS_IDLE_SPIN_US + 1);
	assert_int_equal(fake.sleeps, 1);
	assert_in_range(fake.slept_us, MS_IDLE_SPIN_US / MS_IDLE_SHARE, 20);
	empty_after(1600);
	assert_in_range(fake.slept_us, 400, MS_IDLE_SLEEP_MAX);
	empty_after(1000000);
	assert_int_equal(fake.slept_us, MS_IDLE_SLEEP_MAX);
	assert_int_equal(idle.sleeps, 3);
	assert_true(idle.ticks > 0);
	assert_int_equal(fake.waits + fake.enables, 0);

	ms_idle_round(&idle, 1);
	assert_int_equal(idle.since, 0);
	ms_idle_round(&idle, 0);
	assert_int_equal(fake.sleeps, 3); /* begins with polling again */
}

/* Control looks so often that sleeps, and waits, have to be shorter. */
static void
short_waits(void **state)
{
	fake.has_vector[0] = true;
	make(1, 1, 300);
	assert_int_equal(ms_idle_ways(&idle), 0);
	empty_after(1000000);
	assert_int_equal(fake.slept_us, 300);
	ms_idle_fini(&idle);
	make(1, 1, 2500);
	empty_after(1000000);
	empty_after(1000000);
	assert_int_equal(fake.waits, 1);
	assert_int_equal(fake.timeout, 2);
}

/* Asks for interrupts, has the lcore poll once more, and only then waits. */
static void
interrupts(void **state)
{
	fake.has_vector[0] = fake.has_vector[1] = true;
	make(2, 2, 0);
	assert_int_equal(ms_idle_ways(&idle), MS_IDLE_INTERRUPT);
	empty_after(MS_IDLE_SPIN_US + 1);
	assert_int_equal(enabled(), 4);
	assert_int_equal(fake.waits, 0);
	ms_idle_round(&idle, 0);
	assert_int_equal(fake.waits, 1);
	assert_int_equal(enabled(), 0);
	assert_int_equal(idle.interrupts, 1);

	/* what comes before the wait is not slept over */
	empty_after(MS_IDLE_SPIN_US + 1);
	assert_int_equal(enabled(), 4);
	ms_idle_round(&idle, 1);
	assert_int_equal(fake.waits, 1);
	assert_int_equal(enabled(), 0);
	assert_int_equal(fake.sleeps, 0);

	/* what an interrupt tells of may show a little later, for which it polls */
	fake.events = 1;
	empty_after(MS_IDLE_SPIN_US + 1);
	ms_idle_round(&idle, 0);
	assert_int_equal(fake.waits, 2);
	for (unsigned int i = 0; i < 10; i++)
		ms_idle_round(&idle, 0);
	assert_int_equal(enabled(), 0);
	assert_int_equal(fake.waits, 2);
	empty_after(MS_IDLE_LATE_US / 2);
	assert_int_equal(fake.sleeps, 1);
	assert_int_equal(enabled(), 0);
	empty_after(MS_IDLE_LATE_US + 1);
	assert_int_equal(fake.sleeps, 1);
	assert_int_equal(enabled(), 4);
	ms_idle_round(&idle, 1);
}

/* One port of two that cannot, or will not, makes all of the lcore sleep instead. */
static void
refusals(void **state)
{
	fake.has_vector[0] = true;
	make(2, 1, 0);
	assert_int_equal(ms_idle_ways(&idle), 0);
	empty_after(1000);
	assert_int_equal(fake.sleeps, 1);
	assert_int_equal(fake.enables, 0);
	ms_idle_withdraw(&idle, 1); /* the other one would do it alone */
	assert_int_equal(ms_idle_ways(&idle), MS_IDLE_INTERRUPT);
	ms_idle_forget(&idle, 0, 0);
	ms_idle_fini(&idle);

	fake.has_vector[1] = fake.refuses[1] = true;
	make(2, 1, 0);
	assert_int_equal(ms_idle_ways(&idle), MS_IDLE_INTERRUPT);
	empty_after(1000);
	assert_int_equal(fake.enables, 2);
	assert_int_equal(enabled(), 0);
	assert_int_equal(ms_idle_ways(&idle), 0);
	empty_after(1000);
	assert_int_equal(fake.sleeps, 2);
	assert_int_equal(fake.enables, 2); /* it is asked once */
	assert_int_equal(fake.waits, 0);
	ms_idle_forget(&idle, 0, 0);
	ms_idle_forget(&idle, 1, 1);
	ms_idle_fini(&idle);

	fake.vectors[0] = 1; /* of two queues only one */
	make(1, 2, 0);
	assert_int_equal(ms_idle_ways(&idle), 0);
	assert_false(fake.added[0][0]);
	ms_idle_fini(&idle);

	fake.rxq[1] = false; /* the driver would not start with interrupts */
	make(0, 0, 0);
	assert_int_equal(ms_idle_add(&idle), 0);
	ms_idle_publish(&idle, 0, 1, 0, 1);
	assert_int_equal(ms_idle_ways(&idle), 0);
}

/* Ports that go and come while interrupts are asked for. */
static void
ports_that_go(void **state)
{
	fake.has_vector[0] = fake.has_vector[1] = fake.has_vector[2] = true;
	make(2, 1, 0);
	empty_after(1000);
	assert_int_equal(enabled(), 2);
	ms_idle_withdraw(&idle, 1);
	fake.enabled[1][0] = false; /* nobody may touch it any more: disabling it would be seen */
	ms_idle_round(&idle, 0);
	assert_int_equal(fake.waits, 0);
	assert_int_equal(enabled(), 0);
	ms_idle_forget(&idle, 1, 1);
	assert_false(fake.added[1][0]);
	empty_after(1000);
	ms_idle_round(&idle, 0);
	assert_int_equal(fake.waits, 1);

	/* another one in its place, of which no interrupts were asked yet */
	empty_after(1000);
	ms_idle_publish(&idle, 1, 2, 0, 1);
	ms_idle_round(&idle, 0);
	assert_int_equal(fake.waits, 1);
	assert_int_equal(enabled(), 0);
	empty_after(1000);
	assert_int_equal(enabled(), 2);
	ms_idle_round(&idle, 0);
	assert_int_equal(fake.waits, 2);

	/* none at all: there is nothing to wait for but time */
	ms_idle_withdraw(&idle, 0);
	ms_idle_withdraw(&idle, 1);
	assert_int_equal(ms_idle_ways(&idle), 0);
	empty_after(1000);
	assert_int_equal(fake.sleeps, 1);
	for (unsigned int i = 2; i < MS_IDLE_SOURCES_MAX; i++)
		assert_int_equal(ms_idle_add(&idle), i);
	assert_int_equal(ms_idle_add(&idle), -ENOSPC);
}

/* A tap's descriptor tells by itself. */
static void
taps(void **state)
{
	fake.has_vector[0] = true;
	fake.driver = "net_tap";
	make(1, 1, 0);
	empty_after(1000);
	ms_idle_round(&idle, 0);
	assert_int_equal(fake.waits, 1);
	assert_int_equal(fake.enables, 0);
}

/* Memory is watched first, by one queue or by many, as processor and drivers can; not for long. */
static void
monitoring(void **state)
{
	fake.has_address[0] = fake.has_address[1] = true;
	make(1, 1, 0);
	assert_int_equal(ms_idle_ways(&idle), 0); /* the processor can't */
	ms_idle_fini(&idle);

	fake.monitor = fake.has_vector[0] = fake.has_vector[1] = true;
	make(1, 1, 0);
	assert_int_equal(ms_idle_ways(&idle), MS_IDLE_MONITOR | MS_IDLE_INTERRUPT);
	empty_after(MS_IDLE_SPIN_US + 1);
	assert_int_equal(fake.monitors, 1);
	assert_true(fake.until == idle.since + MS_IDLE_MONITOR_US * TICKS_PER_US);
	assert_int_equal(idle.monitored, 1);
	assert_int_equal(fake.enables, 0);
	empty_after(MS_IDLE_MONITOR_US + 1);
	assert_int_equal(fake.monitors, 1);
	assert_int_equal(enabled(), 1);
	ms_idle_round(&idle, 0);
	assert_int_equal(fake.waits, 1);
	fake.monitor_rc = -EINVAL; /* then the next best */
	empty_after(MS_IDLE_SPIN_US + 1);
	assert_int_equal(enabled(), 1);
	ms_idle_round(&idle, 1);
	ms_idle_forget(&idle, 0, 0);
	ms_idle_fini(&idle);

	fake.monitor_rc = 0;
	make(2, 1, 0);
	assert_int_equal(ms_idle_ways(&idle), MS_IDLE_INTERRUPT); /* one place at a time */
	ms_idle_forget(&idle, 0, 0);
	ms_idle_forget(&idle, 1, 1);
	ms_idle_fini(&idle);

	fake.monitor_many = true;
	make(2, 1, 0);
	assert_int_equal(ms_idle_ways(&idle), MS_IDLE_MONITOR | MS_IDLE_INTERRUPT);
	empty_after(MS_IDLE_SPIN_US + 1);
	assert_int_equal(fake.monitors_many_n, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(polling, begin, end),
		cmocka_unit_test_setup_teardown(sleeping, begin, end),
		cmocka_unit_test_setup_teardown(short_waits, begin, end),
		cmocka_unit_test_setup_teardown(interrupts, begin, end),
		cmocka_unit_test_setup_teardown(refusals, begin, end),
		cmocka_unit_test_setup_teardown(ports_that_go, begin, end),
		cmocka_unit_test_setup_teardown(taps, begin, end),
		cmocka_unit_test_setup_teardown(monitoring, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
