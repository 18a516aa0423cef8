/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all lcores have counted, added up. The report, the summary and the telemetry all take their
 * numbers from here. While lcores run, packets may be under way between two counters.
 */
#pragma once

#include "sink.h"

struct sink_totals {
	double seconds; /* since the lcores were started */
	struct ms_ledger ledger;
	struct ms_output_ledger outputs[MS_OUTPUTS_MAX];
	uint64_t exception_sent;
	uint64_t exception_dropped;
	uint64_t exception_returned;
	uint64_t exception_lost;
};

struct sink_session_totals {
	uint64_t packets;
	uint64_t bytes;
	uint64_t rejected;
	uint64_t lost;
	uint64_t delivered;
};

/* Unknown sessions that are listed; more count together. */
#define TOTALS_UNKNOWN_MAX MS_UNKNOWN_MAX

/* Any thread that holds sink.lock, or control. */
void totals_collect(const struct sink *sink, struct sink_totals *totals);
void totals_session(const struct sink *sink, uint32_t slot, struct sink_session_totals *totals);

/* Fills list, which has room for TOTALS_UNKNOWN_MAX. Returns how many; *others: not listed. */
uint32_t totals_unknown(const struct sink *sink, struct ms_unknown_entry *list, uint64_t *others);

/* Every packet has its fate, and every output accounts for every frame. After the lcores stopped.
 */
bool totals_balanced(const struct sink *sink, const struct sink_totals *totals);

/* An address as text; "any" for family NONE. out has room for INET6_ADDRSTRLEN. Returns out. */
const char *totals_address(struct ms_ip ip, uint8_t family, char *out);

/* "null", "pcapng", ... */
const char *totals_output_type(enum ms_output_type type);

/* "ingress", "egress" */
const char *totals_direction(uint8_t direction);

/* A number that a device counts. */
struct sink_device_counter {
	char name[64];
	uint64_t value;
};
#define TOTALS_DEVICE_MAX 128

/*
 * What a port's device counts: the basic statistics, then those extended ones that tell of loss.
 * Returns how many. Control or telemetry.
 */
uint32_t totals_device(uint16_t port, struct sink_device_counter *list);
