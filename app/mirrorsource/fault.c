/* SPDX-License-Identifier: BSD-3-Clause */
/* What --fault and --seed say, and the beginning of the stage in fault_burst.c. */
#include "fault.h"

#include "common/cli.h"

#include <rte_random.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A decimal fraction, with % behind it or not. */
static bool
parse_rate(const char *text, uint64_t *rate)
{
	size_t digits = strspn(text, "0123456789.");
	double value;
	char *end;

	value = strtod(text, &end);
	if (digits == 0 || end != text + digits)
		return false;
	if (strcmp(end, "%") == 0)
		value /= 100;
	else if (*end != '\0')
		return false;
	if (value > 1)
		return false;
	*rate = (uint64_t)(value * (double)FAULT_ALWAYS);
	return true;
}

bool
fault_parse(const char *text, struct fault_options *options)
{
	const char *colon = strchr(text, ':');
	unsigned int kind = 0;

	while (colon != NULL && kind < SOURCE_FAULT_COUNT &&
		(strlen(source_fault_name(kind)) != (size_t)(colon - text) ||
			strncmp(source_fault_name(kind), text, (size_t)(colon - text)) != 0))
		kind++;
	if (colon == NULL || kind == SOURCE_FAULT_COUNT)
		return cli_wrong("--fault: '%s' is no fault: give loss, duplicate, reorder or "
				 "corrupt and its rate, like loss:1%%",
			text);
	if (!parse_rate(colon + 1, &options->rates[kind]))
		return cli_wrong("--fault: '%s' has no rate: give one from 0 to 1 or 0%% to 100%%, "
				 "like %s:0.01 or %s:1%%",
			text, source_fault_name(kind), source_fault_name(kind));
	options->on = true;
	return true;
}

void
fault_init(struct fault *fault, const struct fault_options *options, struct rte_mempool *pool,
	struct source_ledger *ledger)
{
	/* a number that --seed takes */
	uint64_t seed = options->seeded ? options->seed : rte_rand() >> 1;

	*fault = (struct fault){.pool = pool, .ledger = ledger, .state = seed};
	memcpy(fault->rates, options->rates, sizeof(fault->rates));
	cli_wrong("faults are those of --seed %" PRIu64, seed);
}
