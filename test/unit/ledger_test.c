/* SPDX-License-Identifier: BSD-3-Clause */
/* ledger: names that can be keys anywhere, sums, and when it balances. */
#include "ledger/ms_ledger.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* A key of JSON and a name of Prometheus: lower case, digits and underscores. */
static void
assert_word(const char *name)
{
	assert_true(islower((unsigned char)name[0]));
	for (const char *c = name; *c != '\0'; c++)
		assert_true(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_');
}

static void
test_fates(void **state)
{
	for (unsigned int i = 0; i < MS_FATE_COUNT; i++) {
		assert_word(ms_fate_name((enum ms_fate)i));
		assert_true(strlen(ms_fate_help((enum ms_fate)i)) > 10);
		for (unsigned int j = 0; j < i; j++) {
			assert_string_not_equal(
				ms_fate_name((enum ms_fate)i), ms_fate_name((enum ms_fate)j));
			assert_string_not_equal(
				ms_fate_help((enum ms_fate)i), ms_fate_help((enum ms_fate)j));
		}
	}
	assert_string_equal(ms_fate_name(MS_FATE_NONE), "under_way");
	assert_string_equal(ms_fate_name(MS_FATE_NOT_MIRROR), "not_mirror");
	assert_string_equal(ms_fate_name(MS_FATE_DELIVERED), "delivered");
	assert_int_equal(MS_FATE_DELIVERED, MS_FATE_COUNT - 1);
}

static void
test_drops(void **state)
{
	for (unsigned int i = 0; i < MS_DROP_COUNT; i++) {
		assert_word(ms_drop_name((enum ms_drop)i));
		assert_true(strlen(ms_drop_help((enum ms_drop)i)) > 10);
		for (unsigned int j = 0; j < i; j++)
			assert_string_not_equal(
				ms_drop_name((enum ms_drop)i), ms_drop_name((enum ms_drop)j));
	}
	assert_string_equal(ms_drop_name(MS_DROP_PORT_FULL), "port_full");
	assert_string_equal(ms_drop_name(MS_DROP_IO_ERROR), "io_error");
}

/* Every counter of a share ends up in its own place of the sum. */
static void
test_sum(void **state)
{
	struct ms_ledger share = {0}, sum = {0};

	ms_count_add(&share.received, 1000);
	ms_count_add(&share.received_bytes, UINT64_C(1) << 40);
	for (unsigned int i = 0; i < MS_FATE_COUNT; i++)
		ms_count_add(&share.fates[i], i + 1);
	ms_ledger_sum(&sum, &share);
	ms_ledger_sum(&sum, &share);
	assert_int_equal(ms_count_read(&sum.received), 2000);
	assert_int_equal(ms_count_read(&sum.received_bytes), UINT64_C(1) << 41);
	for (unsigned int i = 0; i < MS_FATE_COUNT; i++)
		assert_int_equal(ms_count_read(&sum.fates[i]), 2 * (i + 1));
}

static void
test_output_sum(void **state)
{
	struct ms_output_ledger share = {0}, sum = {0};

	ms_count_add(&share.offered, 1000);
	ms_count_add(&share.written, 900);
	ms_count_add(&share.bytes, 123456);
	for (unsigned int i = 0; i < MS_DROP_COUNT; i++)
		ms_count_add(&share.dropped[i], i + 1);
	ms_output_ledger_sum(&sum, &share);
	ms_output_ledger_sum(&sum, &share);
	assert_int_equal(ms_count_read(&sum.offered), 2000);
	assert_int_equal(ms_count_read(&sum.written), 1800);
	assert_int_equal(ms_count_read(&sum.bytes), 246912);
	for (unsigned int i = 0; i < MS_DROP_COUNT; i++)
		assert_int_equal(ms_count_read(&sum.dropped[i]), 2 * (i + 1));
}

/* Each fate counts; what is under way is none. */
static void
test_balance(void **state)
{
	struct ms_ledger ledger = {0};

	assert_true(ms_ledger_balanced(&ledger));
	for (unsigned int i = MS_FATE_NONE + 1; i < MS_FATE_COUNT; i++) {
		ms_count_add(&ledger.received, i);
		assert_false(ms_ledger_balanced(&ledger));
		ms_count_add(&ledger.fates[i], i);
		assert_true(ms_ledger_balanced(&ledger));
	}
	ms_count_add(&ledger.fates[MS_FATE_NONE], 1);
	assert_true(ms_ledger_balanced(&ledger));
	ms_count_add(&ledger.fates[MS_FATE_DELIVERED], 1);
	assert_false(ms_ledger_balanced(&ledger));
}

static void
test_output_balance(void **state)
{
	struct ms_output_ledger ledger = {0};

	assert_true(ms_output_ledger_balanced(&ledger));
	ms_count_add(&ledger.offered, 5);
	assert_false(ms_output_ledger_balanced(&ledger));
	ms_count_add(&ledger.written, 5);
	assert_true(ms_output_ledger_balanced(&ledger));
	for (unsigned int i = 0; i < MS_DROP_COUNT; i++) {
		ms_count_add(&ledger.offered, i + 1);
		assert_false(ms_output_ledger_balanced(&ledger));
		ms_count_add(&ledger.dropped[i], i + 1);
		assert_true(ms_output_ledger_balanced(&ledger));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fates),
		cmocka_unit_test(test_drops),
		cmocka_unit_test(test_sum),
		cmocka_unit_test(test_output_sum),
		cmocka_unit_test(test_balance),
		cmocka_unit_test(test_output_balance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
