/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The accounts of mirrorsource: they balance when they should, and whichever single counter is one
 * off, they do not; what a capture file says is taken over.
 */
#include "source_ledger.h"

#include <rte_common.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* 20 frames, one of them seen twice; 12 packets come, of which 2 are doubled. */
static void
fill(struct source_ledger *ledger)
{
	uint64_t others = 0;

	memset(ledger, 0, sizeof(*ledger));
	ms_count_add(&ledger->fates[SOURCE_FATE_DAMAGED], 4);
	ms_count_add(&ledger->fates[SOURCE_FATE_NO_MBUF], 5);
	ms_count_add(&ledger->fates[SOURCE_FATE_MIRRORED], 12);
	ms_count_add(&ledger->received, 20);
	ms_count_add(&ledger->seen_twice, 1);
	ms_count_add(&ledger->packets[SOURCE_PACKET_MIRRORED], 12);
	ms_count_add(&ledger->packets[SOURCE_PACKET_DUPLICATED], 2);
	ms_count_add(&ledger->packets[SOURCE_PACKET_LOST], 1);
	ms_count_add(&ledger->packets[SOURCE_PACKET_TX_FULL], 3);
	for (unsigned int i = SOURCE_PACKET_LOST; i < SOURCE_PACKET_SENT; i++)
		others += ms_count_read(&ledger->packets[i]);
	ms_count_add(&ledger->packets[SOURCE_PACKET_SENT], 14 - others);
}

static void
test_balance(void **state)
{
	struct source_ledger ledger;

	memset(&ledger, 0, sizeof(ledger));
	assert_true(source_ledger_balanced(&ledger));
	fill(&ledger);
	assert_true(source_ledger_balanced(&ledger));
	ms_count_add(&ledger.received, 1);
	assert_false(source_ledger_balanced(&ledger));
	fill(&ledger);
	ms_count_add(&ledger.seen_twice, 1);
	assert_false(source_ledger_balanced(&ledger));
	for (unsigned int i = 0; i < SOURCE_FATE_COUNT; i++) {
		fill(&ledger);
		ms_count_add(&ledger.fates[i], 1);
		assert_false(source_ledger_balanced(&ledger));
	}
	for (unsigned int i = 0; i < SOURCE_PACKET_COUNT; i++) {
		fill(&ledger);
		ms_count_add(&ledger.packets[i], 1);
		assert_false(source_ledger_balanced(&ledger));
	}
	/* a packet between its frame and the output, which both later sums would not miss */
	fill(&ledger);
	ms_count_add(&ledger.fates[SOURCE_FATE_MIRRORED], 1);
	ms_count_add(&ledger.received, 1);
	assert_false(source_ledger_balanced(&ledger));
}

static void
test_settle(void **state)
{
	struct ms_output_ledger file = {.offered = 14, .written = 9, .bytes = 900};
	struct source_ledger ledger;

	ms_count_add(&file.dropped[0], 2);
	ms_count_add(&file.dropped[MS_DROP_COUNT - 1], 2);
	fill(&ledger);
	atomic_store(&ledger.packets[SOURCE_PACKET_SENT], 0);
	atomic_store(&ledger.packets[SOURCE_PACKET_TX_FULL], 0);
	assert_false(source_ledger_balanced(&ledger));
	source_ledger_settle(&ledger, &file);
	assert_int_equal(ms_count_read(&ledger.packets[SOURCE_PACKET_SENT]), 9);
	assert_int_equal(ms_count_read(&ledger.packets[SOURCE_PACKET_NOT_WRITTEN]), 4);
	assert_int_equal(ms_count_read(&ledger.sent_bytes), 900);
	assert_true(source_ledger_balanced(&ledger));
}

/* Each name once, and a sentence with it. */
static void
test_names(void **state)
{
	for (unsigned int i = 0; i < SOURCE_FATE_COUNT; i++) {
		assert_true(strlen(source_fate_help(i)) > 0);
		for (unsigned int j = 0; j < i; j++)
			assert_string_not_equal(source_fate_name(i), source_fate_name(j));
	}
	for (unsigned int i = 0; i < SOURCE_PACKET_COUNT; i++) {
		assert_true(strlen(source_packet_help(i)) > 0);
		for (unsigned int j = 0; j < i; j++)
			assert_string_not_equal(source_packet_name(i), source_packet_name(j));
	}
	for (unsigned int i = 0; i < SOURCE_FAULT_COUNT; i++) {
		assert_true(strlen(source_fault_help(i)) > 0);
		for (unsigned int j = 0; j < i; j++)
			assert_string_not_equal(source_fault_name(i), source_fault_name(j));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_balance),
		cmocka_unit_test(test_settle),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
