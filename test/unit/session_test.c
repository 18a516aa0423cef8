/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session: slots that stay the same for ever, whoever asks, from however many threads; and the
 * bounded table of those that nobody knows.
 */
#include "session/ms_session.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session/ms_unknown.h"

#define THREADS 4
#define VNIS    10000u

static struct ms_session_registry *registry;

static int
setup(void **state)
{
	registry = ms_session_registry_create();
	return registry == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	ms_session_registry_free(registry);
	return 0;
}

static const struct ms_ip source = {.lo = 0x0a000001};

static uint32_t
learn(uint32_t vni)
{
	return ms_session_learn(registry, vni, source, MS_FAMILY_V4);
}

static uint32_t
add(char *name, uint32_t vni, char *description)
{
	const struct ms_session_info info = {.name = name, .vni = vni, .description = description};

	return ms_session_add(registry, &info);
}

static void
test_add(void **state)
{
	char name[] = "tms-1", description[] = "the first", other[] = "another";
	const struct ms_session_info *info;

	assert_int_equal(ms_session_count(registry), 0);
	assert_int_equal(add(name, 64, description), 0);
	assert_int_equal(add("tms-2", 64, NULL), 1);
	assert_int_equal(add("tms-1", 65, NULL), 2); /* the same name with another VNI */
	assert_int_equal(ms_session_count(registry), 3);
	/* the strings are copies */
	memset(name, 'x', sizeof(name) - 1);
	memset(description, 'x', sizeof(description) - 1);
	info = ms_session_info(registry, 0);
	assert_string_equal(info->name, "tms-1");
	assert_string_equal(info->description, "the first");
	assert_int_equal(info->vni, 64);
	assert_int_equal(info->source_family, MS_FAMILY_NONE);
	assert_false(info->learned);
	assert_null(ms_session_info(registry, 1)->description);
	/* who comes again finds its slot, and what stands there */
	assert_int_equal(add("tms-1", 64, other), 0);
	assert_int_equal(add("tms-1", 65, NULL), 2);
	assert_string_equal(ms_session_info(registry, 0)->description, "the first");
	assert_int_equal(ms_session_count(registry), 3);
}

/* Only what was added is found, and looking adds nothing. */
static void
test_find(void **state)
{
	assert_int_equal(ms_session_find(registry, "tms-1", 64), MS_SESSION_NONE);
	add("tms-1", 64, NULL);
	add("tms-1", 65, NULL);
	learn(66);
	assert_int_equal(ms_session_find(registry, "tms-1", 64), 0);
	assert_int_equal(ms_session_find(registry, "tms-1", 65), 1);
	assert_int_equal(ms_session_find(registry, "vni66", 66), MS_SESSION_NONE);
	assert_int_equal(ms_session_find(registry, "tms-2", 64), MS_SESSION_NONE);
	assert_int_equal(ms_session_count(registry), 3);
}

/* Two ids tell all slots apart, and both are good ones. */
static void
test_vlans(void **state)
{
	uint32_t last = 0;

	for (uint32_t slot = 0; slot < MS_SESSIONS_MAX; slot++) {
		uint16_t outer = ms_session_vlan_outer(slot), inner = ms_session_vlan(slot);

		assert_in_range(outer, 1, 4094);
		assert_in_range(inner, 1, 4094);
		assert_true(((uint32_t)outer << 16 | inner) > last);
		last = (uint32_t)outer << 16 | inner;
		if (slot < MS_SESSION_VLANS)
			assert_int_equal(inner, slot + 1);
	}
}

static void
test_learn(void **state)
{
	const struct ms_ip later = {.lo = 2};
	const struct ms_session_info *info;
	uint32_t zero = learn(0), most = learn(0xffffff);

	assert_int_equal(zero, 0);
	assert_int_equal(most, 1);
	assert_int_equal(ms_session_learn(registry, 0, later, MS_FAMILY_V4), zero);
	assert_int_equal(learn(0xffffff), most);
	assert_int_equal(ms_session_count(registry), 2);
	info = ms_session_info(registry, zero);
	assert_string_equal(info->name, "vni0");
	assert_true(info->learned);
	assert_true(ms_ip_equal(info->source, source));
	assert_int_equal(info->source_family, MS_FAMILY_V4);
	assert_string_equal(ms_session_info(registry, most)->name, "vni16777215");
	/* who is configured under that name is somebody else */
	assert_int_equal(add("vni0", 0, NULL), 2);
	assert_int_equal(learn(0), zero);
}

/* No slot is left: what is known is found, what is new is refused, for good. */
static void
test_full(void **state)
{
	for (uint32_t vni = 0; vni < MS_SESSIONS_MAX - 1; vni++)
		assert_int_equal(learn(vni), vni);
	assert_int_equal(add("the last", 1, NULL), MS_SESSIONS_MAX - 1);
	assert_int_equal(learn(MS_SESSIONS_MAX), MS_SESSION_NONE);
	assert_int_equal(add("one more", 1, "with a description"), MS_SESSION_NONE);
	assert_int_equal(add("the last", 1, NULL), MS_SESSIONS_MAX - 1);
	for (uint32_t vni = 0; vni < MS_SESSIONS_MAX - 1; vni += 1001)
		assert_int_equal(learn(vni), vni);
	assert_int_equal(ms_session_count(registry), MS_SESSIONS_MAX);
}

struct learner {
	pthread_t thread;
	uint32_t number;
	uint32_t wrong;
	uint32_t slots[VNIS];
};

/* Learns all VNIs in an order of its own, and reads what it is given. */
static void *
learn_all(void *arg)
{
	static const uint32_t steps[THREADS] = {1, 7, 3333, 9999}; /* coprime to VNIS */
	struct learner *l = arg;

	for (uint32_t i = 0, vni = l->number; i < VNIS; i++) {
		uint32_t slot = learn(vni);
		char name[16];

		snprintf(name, sizeof(name), "vni%u", vni);
		l->wrong += slot >= ms_session_count(registry) ||
		            ms_session_info(registry, slot)->vni != vni ||
		            strcmp(ms_session_info(registry, slot)->name, name) != 0;
		l->slots[vni] = slot;
		vni = (vni + steps[l->number]) % VNIS;
	}
	return NULL;
}

static void
test_threads(void **state)
{
	static struct learner learners[THREADS];

	for (uint32_t i = 0; i < THREADS; i++) {
		learners[i].number = i;
		assert_int_equal(
			pthread_create(&learners[i].thread, NULL, learn_all, &learners[i]), 0);
	}
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(learners[i].thread, NULL);
	for (uint32_t i = 0; i < THREADS; i++) {
		assert_int_equal(learners[i].wrong, 0);
		assert_memory_equal(
			learners[i].slots, learners[0].slots, sizeof(learners[0].slots));
	}
	assert_int_equal(ms_session_count(registry), VNIS);
}

static void
count_unknown(struct ms_unknown *unknown, uint32_t vni, uint64_t address, uint8_t family)
{
	const struct ms_packet p = {.vni = vni, .source = {.lo = address}, .source_family = family};

	ms_unknown_add(unknown, &p);
}

static uint64_t
sum_packets(const struct ms_unknown_entry *sum, uint32_t n)
{
	uint64_t packets = 0;

	for (uint32_t i = 0; i < n; i++)
		packets += ms_count_read(&sum[i].packets);
	return packets;
}

/* VNI, source and family tell entries apart. */
static void
test_unknown(void **state)
{
	static struct ms_unknown unknown;
	struct ms_unknown_entry sum[8];
	uint64_t others = 0;
	uint32_t n;

	for (unsigned int i = 0; i < 5; i++) {
		count_unknown(&unknown, 64, 1, MS_FAMILY_V4);
		count_unknown(&unknown, 64, 1, MS_FAMILY_V6);
		count_unknown(&unknown, 65, 1, MS_FAMILY_V4);
		count_unknown(&unknown, 64, 2, MS_FAMILY_V4);
	}
	n = ms_unknown_sum(&unknown, sum, 0, RTE_DIM(sum), &others);
	assert_int_equal(n, 4);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(ms_count_read(&sum[i].packets), 5);
		assert_true(sum[i].vni == 64 || sum[i].vni == 65);
	}
	assert_int_equal(others, 0);
}

/* However many there are: the table holds its number, the rest counts among the others. */
static void
test_unknown_bounded(void **state)
{
	static struct ms_unknown unknown;
	static struct ms_unknown_entry sum[2 * MS_UNKNOWN_MAX];
	uint64_t others = 0;
	uint32_t n;

	for (uint32_t i = 0; i < 100000; i++)
		count_unknown(&unknown, i % 1000, 0x0a000000 + i % 7, MS_FAMILY_V4);
	n = ms_unknown_sum(&unknown, sum, 0, RTE_DIM(sum), &others);
	assert_in_range(n, MS_UNKNOWN_MAX / 2, MS_UNKNOWN_MAX);
	assert_true(others > 0);
	assert_int_equal(sum_packets(sum, n) + others, 100000);
}

/* The tables of several lcores, added up into less room than they need. */
static void
test_unknown_sum(void **state)
{
	static struct ms_unknown a, b;
	struct ms_unknown_entry sum[3];
	uint64_t others = 0;
	uint32_t n;

	for (uint32_t i = 0; i < 10; i++) {
		count_unknown(&a, 1, 1, MS_FAMILY_V4);
		count_unknown(&a, 2, 1, MS_FAMILY_V4);
		count_unknown(&b, 2, 1, MS_FAMILY_V4);
		count_unknown(&b, 3, 1, MS_FAMILY_V4);
		count_unknown(&b, 4, 1, MS_FAMILY_V4);
	}
	n = ms_unknown_sum(&a, sum, 0, RTE_DIM(sum), &others);
	assert_int_equal(n, 2);
	n = ms_unknown_sum(&b, sum, n, RTE_DIM(sum), &others);
	assert_int_equal(n, 3);
	assert_int_equal(others, 10);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(ms_count_read(&sum[i].packets), sum[i].vni == 2 ? 20 : 10);
}

static struct ms_unknown growing;
#define GROWTH 300000u

static void *
grow(void *arg)
{
	for (uint32_t i = 0; i < GROWTH; i++)
		count_unknown(&growing, i % 300, i % 300 + 1, MS_FAMILY_V4);
	return NULL;
}

/* Read while it grows: sums never shrink, and no entry is seen half written. */
static void
test_unknown_threads(void **state)
{
	static struct ms_unknown_entry sum[MS_UNKNOWN_MAX];
	uint64_t last = 0, packets;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, grow, NULL), 0);
	do {
		uint64_t others = 0;
		uint32_t n = ms_unknown_sum(&growing, sum, 0, RTE_DIM(sum), &others);

		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(sum[i].source.lo, sum[i].vni + 1);
		packets = sum_packets(sum, n) + others;
		assert_true(packets >= last);
		last = packets;
	} while (packets < GROWTH);
	pthread_join(thread, NULL);
	assert_int_equal(packets, GROWTH);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_add, setup, teardown),
		cmocka_unit_test_setup_teardown(test_find, setup, teardown),
		cmocka_unit_test(test_vlans),
		cmocka_unit_test_setup_teardown(test_learn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_unknown_bounded),
		cmocka_unit_test(test_unknown_sum),
		cmocka_unit_test(test_unknown_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
