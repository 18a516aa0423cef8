/* SPDX-License-Identifier: BSD-3-Clause */
/* Names and sums over the tables of ms_ledger.h. */
#include "ledger/ms_ledger.h"

#define X(e, n, h) #n,
static const char *const fate_names[MS_FATE_COUNT] = {"under_way", MS_FATES(X)};
static const char *const drop_names[MS_DROP_COUNT] = {MS_DROPS(X)};
#undef X
#define X(e, n, h) h,
static const char *const fate_helps[MS_FATE_COUNT] = {"not yet decided", MS_FATES(X)};
static const char *const drop_helps[MS_DROP_COUNT] = {MS_DROPS(X)};
#undef X

const char *
ms_fate_name(enum ms_fate fate)
{
	return fate_names[fate];
}

const char *
ms_fate_help(enum ms_fate fate)
{
	return fate_helps[fate];
}

const char *
ms_drop_name(enum ms_drop drop)
{
	return drop_names[drop];
}

const char *
ms_drop_help(enum ms_drop drop)
{
	return drop_helps[drop];
}

void
ms_ledger_sum(struct ms_ledger *sum, const struct ms_ledger *share)
{
	ms_count_add(&sum->received, ms_count_read(&share->received));
	ms_count_add(&sum->received_bytes, ms_count_read(&share->received_bytes));
	for (unsigned int i = 0; i < MS_FATE_COUNT; i++)
		ms_count_add(&sum->fates[i], ms_count_read(&share->fates[i]));
}

void
ms_output_ledger_sum(struct ms_output_ledger *sum, const struct ms_output_ledger *share)
{
	ms_count_add(&sum->offered, ms_count_read(&share->offered));
	ms_count_add(&sum->written, ms_count_read(&share->written));
	ms_count_add(&sum->bytes, ms_count_read(&share->bytes));
	for (unsigned int i = 0; i < MS_DROP_COUNT; i++)
		ms_count_add(&sum->dropped[i], ms_count_read(&share->dropped[i]));
}

bool
ms_ledger_balanced(const struct ms_ledger *ledger)
{
	uint64_t sum = 0;

	for (unsigned int i = MS_FATE_NONE + 1; i < MS_FATE_COUNT; i++)
		sum += ms_count_read(&ledger->fates[i]);
	return sum == ms_count_read(&ledger->received);
}

bool
ms_output_ledger_balanced(const struct ms_output_ledger *ledger)
{
	uint64_t sum = ms_count_read(&ledger->written);

	for (unsigned int i = 0; i < MS_DROP_COUNT; i++)
		sum += ms_count_read(&ledger->dropped[i]);
	return sum == ms_count_read(&ledger->offered);
}
