/* SPDX-License-Identifier: BSD-3-Clause */
/* Times as mirrorctl files takes them, held against date(1)'s numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "files_time.h"

#define NS UINT64_C(1000000000)

static const struct timespec now = {.tv_sec = 1800000000, .tv_nsec = 250000000};

static void
reads_times(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} cases[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2026-11-25T17:00:00Z", 1795626000 * NS},
		{"2026-11-25t17:00:00z", 1795626000 * NS},
		{"2026-11-25 17:00:00Z", 1795626000 * NS},
		{"2026-11-25T17:00:00.5Z", 1795626000 * NS + NS / 2},
		{"2026-11-25T17:00:00.1234567899Z", 1795626000 * NS + 123456789},
		{"2026-11-25T18:30:00+01:30", 1795626000 * NS},
		{"2026-11-25T09:00:00-08:00", 1795626000 * NS},
		{"2024-02-29T00:00:00Z", 1709164800 * NS},
		{"2016-12-31T23:59:60Z", 1483228799 * NS},
		{"@0", 0},
		{"@1795626000.25", 1795626000 * NS + NS / 4},
		{"-30s", 1799999970 * NS + NS / 4},
		{"-5m", 1799999700 * NS + NS / 4},
		{"-1.5h", 1799994600 * NS + NS / 4},
		{"-2d", 1799827200 * NS + NS / 4},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t ns = 1;

		if (!files_time_parse(cases[i].text, now, &ns) || ns != cases[i].ns)
			fail_msg("%s: %llu", cases[i].text, (unsigned long long)ns);
	}
}

static void
refuses_others(void **state)
{
	static const char *const cases[] = {"", "now", "@", "@-1", "@1.", "@1x", "@99999999999",
		"@18446744073709551616", "-", "-5", "-5y", "-5mm", "-m", "-99999999999999d", "5m",
		"2026-11-25", "2026-11-25T17:00:00", "2026-11-25T17:00Z", "2026-11-25T17:00:00.Z",
		"2026-11-25T17:00:00ZZ", "2026-11-25T17:00:00+1", "2026-11-25T17:00:00+24:00",
		"2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
		"2026-01-32T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
		"2026-01-01T00:00:61Z", "1969-12-31T23:59:59Z", "26-11-25T17:00:00Z",
		"9999-01-01T00:00:00Z", "02026-11-25T17:00:00Z"};
	uint64_t ns;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (files_time_parse(cases[i], now, &ns))
			fail_msg("'%s' is taken", cases[i]);
	}
}

static void
reads_what_it_writes(void **state)
{
	static const uint64_t times[] = {0, 1, NS - 1, 1795626000 * NS + 5, UINT64_C(1) << 63};
	char text[FILES_TIME_ROOM];
	uint64_t ns;

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		assert_true(files_time_parse(files_time_text(times[i], text), now, &ns));
		assert_true(ns == times[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_times),
		cmocka_unit_test(refuses_others),
		cmocka_unit_test(reads_what_it_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
