/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * timestamp: the TSC mapped to UTC is the kernel's UTC, before and after it was renewed, and while
 * it is being renewed by another thread; a port's own timestamp goes before it.
 */
#include "packet/ms_timestamp.h"

#include <rte_cycles.h>
#include <rte_eal.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define NS_PER_SECOND UINT64_C(1000000000)

#define TRIES 20

/* Far closer than the 2 ms a second by which the frequency that the EAL rounds can be wrong. */
#define CLOSE_NS 20000

static struct ms_timestamp clock_;

static int
setup(void **state)
{
	char *argv[] = {"timestamp_test", "--no-huge", "--no-shconf", "--no-pci", "-m", "64",
		"--no-telemetry", "--log-level=error", "--lcores=0@0", NULL};

	return rte_eal_init(RTE_DIM(argv) - 1, argv) < 0 ? -1 : ms_timestamp_setup(&clock_);
}

static int
teardown(void **state)
{
	return rte_eal_cleanup();
}

static uint64_t
utc(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* How far the mapping is from the kernel's clock, at best of some tries. */
static uint64_t
error_ns(void)
{
	uint64_t best = UINT64_MAX;

	for (unsigned int i = 0; i < TRIES; i++) {
		uint64_t before = utc();
		uint64_t mapped = ms_timestamp_utc(&clock_, rte_rdtsc());
		uint64_t after = utc();
		uint64_t error = mapped < before  ? before - mapped
		                 : mapped > after ? mapped - after
		                                  : 0;

		best = RTE_MIN(best, error);
	}
	return best;
}

static void
test_utc(void **state)
{
	assert_in_range(error_ns(), 0, CLOSE_NS);
	rte_delay_us_sleep(50000);
	assert_in_range(error_ns(), 0, CLOSE_NS);
	ms_timestamp_recalibrate(&clock_);
	assert_in_range(error_ns(), 0, CLOSE_NS);
	rte_delay_us_sleep(50000);
	assert_in_range(error_ns(), 0, CLOSE_NS);
}

/* A TSC from before the anchor is a time before the anchor's. */
static void
test_past(void **state)
{
	uint64_t tsc = rte_rdtsc();
	uint64_t now = ms_timestamp_utc(&clock_, tsc);
	uint64_t past = ms_timestamp_utc(&clock_, tsc - rte_get_tsc_hz());

	assert_in_range(now - past, NS_PER_SECOND - NS_PER_SECOND / 100,
		NS_PER_SECOND + NS_PER_SECOND / 100);
}

static struct ms_timestamp moving;
static atomic_bool renewing;

/* Anchors that are far apart, and all map a TSC to the same number. */
static void *
renew(void *arg)
{
	for (uint64_t at = 0; atomic_load(&renewing); at += UINT64_C(1) << 40)
		ms_timestamp_publish(&moving, at, at, UINT64_C(1) << 32);
	return NULL;
}

/* Renewed without a pause, the mapping never mixes two anchors. */
static void
test_renewed_meanwhile(void **state)
{
	uint64_t mixed = 0;
	pthread_t thread;

	ms_timestamp_publish(&moving, 0, 0, UINT64_C(1) << 32);
	atomic_store(&renewing, true);
	assert_int_equal(pthread_create(&thread, NULL, renew, NULL), 0);
	for (uint64_t tsc = 0; tsc < 40000000; tsc++)
		mixed += ms_timestamp_utc(&moving, tsc) != tsc;
	atomic_store(&renewing, false);
	pthread_join(thread, NULL);
	assert_int_equal(mixed, 0);
}

static void
test_port_timestamp(void **state)
{
	struct rte_mbuf m;
	rte_mbuf_timestamp_t *field = RTE_MBUF_DYNFIELD(&m, clock_.field, rte_mbuf_timestamp_t *);
	uint64_t tsc = rte_rdtsc();

	memset(&m, 0, sizeof(m));
	*field = 1545562209891237;
	assert_int_equal(ms_timestamp_of(&clock_, &m, tsc), ms_timestamp_utc(&clock_, tsc));
	m.ol_flags = clock_.flag;
	assert_int_equal(ms_timestamp_of(&clock_, &m, tsc), 1545562209891237000);
	*field = 0;
	assert_int_equal(ms_timestamp_of(&clock_, &m, tsc), 0);
	/* 2^31 seconds and 4 us, as libpcap's signed seconds make it: still in 2038. */
	*field = (uint64_t)(INT64_C(-2147483648) * 1000000 + 4);
	assert_int_equal(ms_timestamp_of(&clock_, &m, tsc), 2147483648000004000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utc),
		cmocka_unit_test(test_past),
		cmocka_unit_test(test_renewed_meanwhile),
		cmocka_unit_test(test_port_timestamp),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
