/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --explain: what becomes of each packet of a capture file, and why. One struct holds what there
 * is to say of a packet; two files can say it.
 *
 *   explain.c          reads the file, packet by packet
 *   explain_outer.c    the outer headers, one after the other
 *   explain_inner.c    the inner frame, and what of it is missing
 *   explain_packet.c   session, direction, rules and routes, by the readable references
 *   explain_check.c    holds all of it against what the fast path makes of the same packet
 *   explain_words.c    reasons as sentences, for both forms
 *   explain_text.c, explain_json.c
 *
 * Nothing here needs the EAL, and nothing is shared with the fast path but the types: a mistake in
 * one of the two shows as a disagreement.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "decap/ms_decap.h"
#include "options.h"
#include "ruleset/ms_ruleset.h"
#include "ruleset/ms_ruleset_ref.h"

#define EXPLAIN_WHY 256

/* Addresses and ports of one IP/UDP header pair outside. */
struct explain_ip {
	struct ms_ip src;
	struct ms_ip dst;
	uint8_t family;
	bool has_ports;
	uint16_t sport;
	uint16_t dport;
};

struct explain_outer {
	bool has_macs;
	uint64_t mac_dst;
	uint64_t mac_src;
	uint16_t tags[2]; /* VLAN ids, from the outside in */
	uint32_t tags_n;
	struct explain_ip ip[2]; /* the second one: in GENEVE */
	uint32_t ip_n;
	bool has_geneve;
	uint32_t geneve_vni;
	/* as in struct ms_packet; valid if fate is MS_FATE_NONE */
	uint8_t tunnel;
	uint32_t vni;
	uint32_t offset;
	uint32_t length;
	uint32_t original_length;
	uint8_t fate;
	char why[EXPLAIN_WHY]; /* of a fate other than MS_FATE_NONE */
};

enum explain_field {
	EXPLAIN_PROTO,
	EXPLAIN_SRC,
	EXPLAIN_DST,
	EXPLAIN_SPORT,
	EXPLAIN_DPORT,
	EXPLAIN_FIELDS
};

struct explain_inner {
	struct ms_key key;
	bool has_dst; /* the MAC addresses are here */
	bool has_src;
	uint64_t mac_dst;
	uint64_t mac_src;
	uint16_t tags[2];
	uint32_t tags_n;
	bool has_type;
	uint16_t type; /* EtherType behind the tags */
	bool later_fragment;
	uint32_t length;
	uint32_t original_length;
	const char *missing[EXPLAIN_FIELDS]; /* why a field is not in the key; NULL: it is */
};

/* A filter that was asked, in one direction. */
struct explain_asked {
	const struct ms_filter *filter;
	const struct ms_config_route *route; /* NULL: the session's filter */
	uint32_t rule;                       /* that decided, as ms_filter_ask() gives it */
	uint8_t direction;
	uint8_t fate; /* MS_FATE_NONE: accepted */
};

/* A packet's explanation. Made once, filled anew for each packet. */
struct explanation {
	uint64_t number; /* in its file, from 1 */
	int64_t seconds; /* since 1970 */
	uint32_t nanoseconds;
	uint32_t length; /* bytes in the file */
	uint32_t wire_length;
	struct explain_outer outer;
	/* all that follows: only if outer.fate is MS_FATE_NONE */
	struct ms_session_ref session;
	char session_why[EXPLAIN_WHY];
	/* all that follows: only if session.fate is MS_FATE_NONE */
	struct explain_inner inner;
	uint8_t direction;
	char direction_why[EXPLAIN_WHY];
	struct ms_policy_ref policy;
	struct explain_asked *asked;
	uint32_t asked_n;
	uint32_t outputs;
	/* always */
	uint8_t fate;                   /* MS_FATE_DELIVERED if it goes to outputs */
	char disagreement[EXPLAIN_WHY]; /* of the fast path; empty: none */
};

/* What explains packets, and what it has counted. */
struct explain {
	const struct sink_options *options;
	const struct ms_ruleset *ruleset;
	struct ms_session_registry *registry;
	struct ms_decap decap;
	struct explanation e;
	uint64_t fates[MS_FATE_COUNT];
	uint64_t disagreements;
	uint64_t *hits; /* of rules and services, as ms_ruleset_count() orders them */
	uint64_t *services;
	struct rte_mbuf *mbufs; /* of the packet, mbufs_n segments */
	uint32_t mbufs_n;
};

/*
 * Explains all packets of options->explain on standard output. Takes over config. Returns the exit
 * status: 0, CLI_EXIT_FAILED if the fast path disagrees or the file ends early, CLI_EXIT_USAGE if
 * it cannot be read.
 */
int explain(const struct sink_options *options, struct ms_config *config);

/* Each fills its part of an explanation, from the bytes of a packet or inner frame. */
void explain_outer(struct explain_outer *outer, const struct ms_decap *decap, const uint8_t *bytes,
	uint32_t length);
void explain_inner(struct explain_inner *inner, const uint8_t *bytes, uint32_t length);

/* Fills x->e from a packet; number, time and lengths are there. Counts fate and hits. */
void explain_packet(struct explain *x, const uint8_t *bytes);

/* Has the session's filter accepted, in any direction that was tried? */
bool explain_session_accepts(const struct explanation *e);

enum explain_route { EXPLAIN_TAKEN, EXPLAIN_REFUSED, EXPLAIN_IDLE };
/* What became of one of the policy's routes, once the session's filter has accepted. */
enum explain_route explain_route(const struct explanation *e, uint32_t route);

/* Takes the packet through the fast path, and says in x->e.disagreement what differs. */
bool explain_check(struct explain *x, const uint8_t *bytes); /* false: no memory */
/* Holds the hits of all rules against those that the fast path counted. Says what differs. */
bool explain_check_hits(struct explain *x);

/* Sentences. Each fills text, of EXPLAIN_WHY bytes, and returns it. */
const char *explain_session_why(const struct explain *x, char *text);
/* One reason, bit `miss` of ms_rule_explain(), why the rule does not match. */
const char *explain_miss(
	const struct ms_rule *rule, const struct explain_inner *inner, uint32_t miss, char *text);
const char *explain_mac(uint64_t mac, char *text);
const char *explain_direction_name(uint8_t direction);
/* "2026-11-22T23:41:29.000000000Z" */
const char *explain_time(const struct explanation *e, char *text);
/* Id of the session; text if it is learned. */
const char *explain_session_name(const struct explanation *e, char *text);

void explain_print_text(const struct explain *x, FILE *out);
void explain_print_text_end(const struct explain *x, FILE *out);
bool explain_print_json(const struct explain *x, FILE *out); /* false: no memory */
