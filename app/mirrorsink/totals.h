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
	uint64_t dedup_evicted;  /* frames that were forgotten before their time */
	uint64_t exception_sent; /* these four as in struct sink_rx */
	uint64_t exception_dropped;
	uint64_t exception_returned;
	uint64_t exception_lost;
};

struct sink_session_totals {
	uint64_t packets;
	uint64_t directions[MS_DIRECTIONS]; /* of them, by enum ms_direction */
	uint64_t learned_mac; /* last seen on the source ENI's side; 0: none, or not looked for */
	uint32_t learned_macs_changed; /* how often it was another one than before */
	uint64_t bytes;
	uint64_t rejected;
	uint64_t lost;
	uint64_t duplicates;
	uint64_t delivered;
};

/* Unknown sessions that are listed; more count together. */
#define TOTALS_UNKNOWN_MAX MS_UNKNOWN_MAX

/* Any thread that holds sink.lock, or control. */
void totals_collect(const struct sink *sink, struct sink_totals *totals);
void totals_session(const struct sink *sink, uint32_t slot, struct sink_session_totals *totals);

/*
 * MAC addresses of source ENIs as configured, for the slots first..first + n - 1; 0: not known. Any
 * thread that holds sink.lock, or control.
 */
void totals_macs(const struct sink *sink, uint32_t first, uint32_t n, uint64_t *macs);

/* "configured", "learned" or NULL, and *mac: what is known of a source ENI's MAC address. */
const char *
totals_mac(uint64_t configured, const struct sink_session_totals *totals, uint64_t *mac);

#define TOTALS_MAC_TEXT 18
/* A MAC address as text. out has room for TOTALS_MAC_TEXT. Returns out. */
const char *totals_mac_text(uint64_t mac, char *out);

/*
 * Sessions of the configuration in force that have had no packet: their slots to list, which has
 * room for `room`. Returns how many there are. Any thread that holds sink.lock, or control.
 */
uint32_t totals_idle_sessions(const struct sink *sink, uint32_t *list, uint32_t room);

/* A rule that never hit. */
struct sink_idle_rule {
	const struct ms_filter *filter;
	const struct ms_rule *rule; /* NULL: the filter's network service */
};

/* The same for rules and network services. Returns how many, or -ENOMEM. */
int64_t totals_idle_rules(const struct sink *sink, struct sink_idle_rule *list, uint32_t room);

/* Fills list, which has room for TOTALS_UNKNOWN_MAX. Returns how many; *others: not listed. */
uint32_t totals_unknown(const struct sink *sink, struct ms_unknown_entry *list, uint64_t *others);

/* Every packet has its fate, and every output accounts for every frame. After the lcores stopped.
 */
bool totals_balanced(const struct sink *sink, const struct sink_totals *totals);

/* An address as text; "any" for family NONE. out has room for INET6_ADDRSTRLEN. Returns out. */
const char *totals_address(struct ms_ip ip, uint8_t family, char *out);

/*
 * VLAN tags that outputs give to frames: 0, 1, or 2 if one of them gives two. Any thread that holds
 * sink.lock, or control.
 */
unsigned int totals_vlan_tags(const struct sink *sink);

/* Has the session of a slot a VLAN id with so many tags? */
static inline bool
totals_has_vlan(unsigned int tags, uint32_t slot)
{
	return tags == 2 || (tags == 1 && slot < MS_SESSION_VLANS);
}

/* "null", "pcapng", ... */
const char *totals_output_type(enum ms_output_type type);

/* "ingress", "egress" */
const char *totals_direction(uint8_t direction);

/* "mirror", "output", "exception" */
const char *totals_role(enum sink_role role);

/* "up", "down": its link; "gone". Control, or any thread that holds sink.lock. */
const char *totals_port_state(const struct sink_port *port);

/* A number that a device counts. */
struct sink_device_counter {
	char name[64];
	uint64_t value;
};
#define TOTALS_DEVICE_MAX 128

/*
 * What a port's device counts: the basic statistics, then those extended ones that tell of loss.
 * What it counted before it was reset, or attached again, is in it. Returns how many. Control or
 * telemetry.
 */
uint32_t totals_device(const struct sink_port *port, struct sink_device_counter *list);

/* One of them by its name, 0 if it is not there. */
uint64_t totals_device_value(const struct sink_device_counter *list, uint32_t n, const char *name);
