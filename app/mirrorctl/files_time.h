/* SPDX-License-Identifier: BSD-3-Clause */
/* Times, as an operator gives them and as manifests do, in nanoseconds since 1970. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* For files_time_text(). */
#define FILES_TIME_ROOM 64

/*
 * RFC 3339 ("2026-11-25T17:00:00.5+01:00"), "@SECONDS" with or without a fraction, or "-5m", which
 * is so long before now, in s, m, h or d. Returns false if it is none of these.
 */
bool files_time_parse(const char *text, struct timespec now, uint64_t *ns);

/* RFC 3339 in UTC, with nanoseconds. Returns out, of FILES_TIME_ROOM bytes. */
const char *files_time_text(uint64_t ns, char *out);
