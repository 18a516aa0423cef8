/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of the report that is about sessions and rules. */
#pragma once

#include "mirror.h"
#include "sessions.h"

#include <jansson.h>

/* What was mirrored by session, and which sessions and rules had nothing to do; to standard
 * output. Nothing without documents. */
void report_sessions_print(const struct source_sessions *sessions, const struct mirror *mirror);

/* "sessions" and "rules" of the summary; the caller owns them, NULL: out of memory. */
json_t *report_sessions_pack(const struct source_sessions *sessions, const struct mirror *mirror);
json_t *report_rules_pack(const struct source_sessions *sessions);
