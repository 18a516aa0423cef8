/* SPDX-License-Identifier: BSD-3-Clause */
/* Names and sums over the table of source_ledger.h. */
#include "source_ledger.h"

#define X(e, n, h) #n,
static const char *const names[SOURCE_FATE_COUNT] = {SOURCE_FATES(X)};
#undef X
#define X(e, n, h) h,
static const char *const helps[SOURCE_FATE_COUNT] = {SOURCE_FATES(X)};
#undef X

const char *
source_fate_name(enum source_fate fate)
{
	return names[fate];
}

const char *
source_fate_help(enum source_fate fate)
{
	return helps[fate];
}

void
source_ledger_settle(struct source_ledger *ledger, const struct ms_output_ledger *file)
{
	uint64_t dropped = 0;

	for (unsigned int i = 0; i < MS_DROP_COUNT; i++)
		dropped += ms_count_read(&file->dropped[i]);
	/* What the file was not offered, or lost count of, is missing from the sum of fates. */
	atomic_store_explicit(&ledger->fates[SOURCE_FATE_MIRRORED], ms_count_read(&file->written),
		memory_order_relaxed);
	ms_count_add(&ledger->fates[SOURCE_FATE_NOT_WRITTEN], dropped);
	ms_count_add(&ledger->sent, ms_count_read(&file->written));
	ms_count_add(&ledger->sent_bytes, ms_count_read(&file->bytes));
}

bool
source_ledger_balanced(const struct source_ledger *ledger)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < SOURCE_FATE_COUNT; i++)
		sum += ms_count_read(&ledger->fates[i]);
	return sum == ms_count_read(&ledger->received) &&
	       ms_count_read(&ledger->fates[SOURCE_FATE_MIRRORED]) == ms_count_read(&ledger->sent);
}
