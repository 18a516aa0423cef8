/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of ruleset share: rulesets from a few lines of JSON, and packets to ask them. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "ruleset/ms_ruleset.h"

/* Made and ended by test_rules_setup() and test_rules_teardown(), empty for each test. */
extern struct ms_session_registry *test_registry;

int test_rules_setup(void **state);
int test_rules_teardown(void **state);

/*
 * A configuration from JSON that has ' for ", and short words for some of AWS's: Sessions, Session,
 * Vni, Filters, Filter, Eni, Ingress, Egress, Number, Action, Ports. Fails the test if it is
 * refused.
 */
struct ms_config *test_config(const char *json);

/* A ruleset of it for so many readers, whose sessions are in test_registry. */
struct ms_ruleset *test_rules(const char *json, uint32_t readers_n);

/* An address of dotted numbers, or with colons. */
struct ms_ip test_address(const char *text, uint8_t *family);

/* What becomes of a packet of this VNI from this source, as reader 0 sees it; its inner packet is
 * UDP from 192.0.2.1:1000 to 198.51.100.1:`port`, and comes in. */
struct ms_packet
test_ask(const struct ms_ruleset *ruleset, const char *source, uint32_t vni, uint16_t port);

/* Asks for the session's name and outputs; fails the test if there is none. Returns the outputs. */
uint32_t test_outputs(const struct ms_ruleset *ruleset, const char *source, uint32_t vni,
	uint16_t port, const char *session);
enum ms_fate
test_fate(const struct ms_ruleset *ruleset, const char *source, uint32_t vni, uint16_t port);
