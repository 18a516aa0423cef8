/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How far apart two processors are: distance_bench CPU CPU
 *
 * Prints the nanoseconds that a cache line takes to the other one and back, the median of many. The
 * processors of a virtual machine are threads of its host, which moves them: onto one core, onto
 * cores that share a third-level cache, or onto others, between which a line takes several times as
 * long, and then programs of two threads are measured that have little in common with those before.
 */
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SAMPLES 2000
#define TURNS   8 /* of a sample: the clock takes as long as one */

enum { MINE, YOURS, END };

static struct {
	_Alignas(128) _Atomic int line;
	_Alignas(128) int other;
} shared;

static void
run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned int)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		err(2, "processor %d", cpu);
}

static void *
give_back(void *arg)
{
	int line;

	run_on(shared.other);
	while ((line = atomic_load_explicit(&shared.line, memory_order_acquire)) != END)
		if (line == YOURS)
			atomic_store_explicit(&shared.line, MINE, memory_order_release);
	return arg;
}

static void
there_and_back(void)
{
	atomic_store_explicit(&shared.line, YOURS, memory_order_release);
	while (atomic_load_explicit(&shared.line, memory_order_acquire) != MINE)
		;
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int
main(int argc, char **argv)
{
	static double samples[SAMPLES];
	pthread_t thread;

	if (argc != 3)
		errx(2, "usage: distance_bench CPU CPU");
	run_on(atoi(argv[1]));
	shared.other = atoi(argv[2]);
	if (pthread_create(&thread, NULL, give_back, NULL) != 0)
		errx(1, "no thread");
	there_and_back(); /* until it runs */
	for (unsigned int i = 0; i < SAMPLES; i++) {
		double start = now();

		for (unsigned int j = 0; j < TURNS; j++)
			there_and_back();
		samples[i] = (now() - start) / TURNS;
	}
	atomic_store_explicit(&shared.line, END, memory_order_release);
	pthread_join(thread, NULL);
	qsort(samples, SAMPLES, sizeof(*samples), compare);
	printf("%.1f\n", samples[SAMPLES / 2]);
	return 0;
}
