/* SPDX-License-Identifier: BSD-3-Clause */
/* Names and sums over the table of source_ledger.h. */
#include "source_ledger.h"

#define X(e, n, h) #n,
static const char *const fate_names[SOURCE_FATE_COUNT] = {SOURCE_FATES(X)};
static const char *const packet_names[SOURCE_PACKET_COUNT] = {SOURCE_PACKETS(X)};
static const char *const fault_names[SOURCE_FAULT_COUNT] = {SOURCE_FAULTS(X)};
#undef X
#define X(e, n, h) h,
static const char *const fate_helps[SOURCE_FATE_COUNT] = {SOURCE_FATES(X)};
static const char *const packet_helps[SOURCE_PACKET_COUNT] = {SOURCE_PACKETS(X)};
static const char *const fault_helps[SOURCE_FAULT_COUNT] = {SOURCE_FAULTS(X)};
#undef X

const char *
source_fate_name(enum source_fate fate)
{
	return fate_names[fate];
}

const char *
source_fate_help(enum source_fate fate)
{
	return fate_helps[fate];
}

const char *
source_packet_name(enum source_packet packet)
{
	return packet_names[packet];
}

const char *
source_packet_help(enum source_packet packet)
{
	return packet_helps[packet];
}

const char *
source_fault_name(enum source_fault fault)
{
	return fault_names[fault];
}

const char *
source_fault_help(enum source_fault fault)
{
	return fault_helps[fault];
}

void
source_ledger_settle(struct source_ledger *ledger, const struct ms_output_ledger *file)
{
	uint64_t dropped = 0;

	for (unsigned int i = 0; i < MS_DROP_COUNT; i++)
		dropped += ms_count_read(&file->dropped[i]);
	ms_count_add(&ledger->packets[SOURCE_PACKET_NOT_WRITTEN], dropped);
	ms_count_add(&ledger->packets[SOURCE_PACKET_SENT], ms_count_read(&file->written));
	ms_count_add(&ledger->sent_bytes, ms_count_read(&file->bytes));
}

static uint64_t
sum(const ms_counter *counters, unsigned int first, unsigned int end)
{
	uint64_t n = 0;

	for (unsigned int i = first; i < end; i++)
		n += ms_count_read(&counters[i]);
	return n;
}

bool
source_ledger_balanced(const struct source_ledger *ledger)
{
	uint64_t in = sum(ledger->packets, 0, SOURCE_PACKET_LOST);
	uint64_t out = sum(ledger->packets, SOURCE_PACKET_LOST, SOURCE_PACKET_COUNT);

	return sum(ledger->fates, 0, SOURCE_FATE_COUNT) ==
	               ms_count_read(&ledger->received) + ms_count_read(&ledger->seen_twice) &&
	       ms_count_read(&ledger->fates[SOURCE_FATE_MIRRORED]) ==
	               ms_count_read(&ledger->packets[SOURCE_PACKET_MIRRORED]) &&
	       in == out;
}
