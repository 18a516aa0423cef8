/* SPDX-License-Identifier: BSD-3-Clause */
/* What compiling a configuration came to, for a person. */
#pragma once

#include <stdio.h>

#include "ruleset/ms_ruleset.h"

/*
 * The log of a start and of a reload: totals, the largest filters, filters that nobody uses, and
 * rules that can never match, each list with an end. Bounded in time, too: it runs beside lcores
 * that work. Control thread.
 */
void compile_report_brief(const struct ms_ruleset *ruleset, FILE *out);

/* What --check tells: the same of all filters and rules, without bounds. */
void compile_report_full(const struct ms_ruleset *ruleset, FILE *out);
