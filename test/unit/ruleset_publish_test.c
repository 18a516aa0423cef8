/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Publication of rulesets while a reader uses them: within a burst the reader sees one ruleset, the
 * old one or the new one, whole; nothing of it is freed before the burst is over; and no hit is
 * lost from one ruleset to the next.
 */
#include "ruleset_fixture.h"

#include <pthread.h>
#include <stdlib.h>

#include "filter/ms_filter_lookup.h"

#define PUBLISHES 2000u
#define SESSIONS  8u

#define REST                                                 \
	"'Sessions':[{'Session':'s0','Vni':0,'Filter':'f'}," \
	"{'Session':'s1','Vni':1,'Filter':'f'},"             \
	"{'Session':'s2','Vni':2,'Filter':'f'},"             \
	"{'Session':'s3','Vni':3,'Filter':'f'},"             \
	"{'Session':'s4','Vni':4,'Filter':'f'},"             \
	"{'Session':'s5','Vni':5,'Filter':'f'},"             \
	"{'Session':'s6','Vni':6,'Filter':'f'},"             \
	"{'Session':'s7','Vni':7,'Filter':'f'}],"            \
	"'Filters':[{'Filter':'f','Ingress':[{'Number':10,'Action':'accept'}]}]}"

/* Eight sessions, whose frames go to o0 or all of them to o1. */
static const char *const configs[2] = {
	"{'Outputs':[{'Name':'o0','Type':'null'},{'Name':'o1','Type':'null'}],"
	"'Routes':[{'Outputs':['o0']}]," REST,
	"{'Outputs':[{'Name':'o0','Type':'null'},{'Name':'o1','Type':'null'}],"
	"'Routes':[{'Outputs':['o1']}]," REST,
};

static struct ms_ruleset_cell cell;

/* What the reader saw; read when it has ended. */
struct reader {
	uint64_t packets;
	uint64_t wrong; /* packets that were not treated as the first of their burst */
	uint64_t bursts_of[2];
	atomic_bool *stop;
	_Atomic(uint64_t) seen; /* bursts so far */
};

static void
read_burst(struct reader *reader)
{
	const struct ms_ruleset *rules = ms_ruleset_get(&cell);
	struct ms_packet packets[MS_BURST] = {0};

	for (uint32_t i = 0; i < MS_BURST; i++)
		packets[i].vni = i % SESSIONS;
	ms_ruleset_session_burst(rules, test_registry, packets, MS_BURST);
	for (uint32_t i = 0; i < MS_BURST; i++) {
		packets[i].direction = MS_DIRECTION_INGRESS;
		packets[i].key.family = MS_FAMILY_V4;
	}
	ms_filter_burst(rules->base, packets, MS_BURST, rules->hits[0]);
	for (uint32_t i = 0; i < MS_BURST; i++) {
		reader->wrong += packets[i].fate != MS_FATE_NONE ||
		                 packets[i].outputs != packets[0].outputs ||
		                 packets[i].session != packets[i].vni;
		reader->packets++;
	}
	if (packets[0].outputs == 1 || packets[0].outputs == 2)
		reader->bursts_of[packets[0].outputs - 1]++;
	else
		reader->wrong++;
}

static void *
read_all(void *arg)
{
	struct reader *reader = arg;

	rte_rcu_qsbr_thread_register(cell.qsbr, 0);
	rte_rcu_qsbr_thread_online(cell.qsbr, 0);
	while (!atomic_load_explicit(reader->stop, memory_order_relaxed)) {
		read_burst(reader);
		rte_rcu_qsbr_quiescent(cell.qsbr, 0);
		atomic_fetch_add_explicit(&reader->seen, 1, memory_order_relaxed);
	}
	rte_rcu_qsbr_thread_offline(cell.qsbr, 0);
	rte_rcu_qsbr_thread_unregister(cell.qsbr, 0);
	return NULL;
}

static void
test_publish(void **state)
{
	atomic_bool stop = false;
	struct reader reader = {.stop = &stop};
	uint64_t hits, services;
	pthread_t thread;

	assert_int_equal(ms_ruleset_cell_init(&cell, test_rules(configs[0], 1), 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, read_all, &reader), 0);
	for (uint32_t i = 1; i <= PUBLISHES; i++) {
		uint64_t seen = atomic_load_explicit(&reader.seen, memory_order_relaxed);
		struct ms_ruleset *next = test_rules(configs[i % 2], 1);

		/* each is in use for a burst at least */
		while (atomic_load_explicit(&reader.seen, memory_order_relaxed) < seen + 2)
			sched_yield();
		assert_int_equal(ms_ruleset_publish(&cell, next), 0);
	}
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	pthread_join(thread, NULL);
	assert_int_equal(reader.wrong, 0);
	assert_true(reader.bursts_of[0] > PUBLISHES / 4);
	assert_true(reader.bursts_of[1] > PUBLISHES / 4);
	ms_ruleset_count(ms_ruleset_get(&cell), &hits, &services);
	assert_int_equal(hits, reader.packets);
	assert_int_equal(services, 0);
	assert_int_equal(ms_session_count(test_registry), SESSIONS);
	ms_ruleset_cell_fini(&cell);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_publish, test_rules_setup, test_rules_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
