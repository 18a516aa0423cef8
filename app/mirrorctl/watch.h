/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looks at the sink five times a second and lets load balancers know, until a signal ends it. How
 * many of them check, and how often, does not matter to the sink.
 */
#pragma once

#include "options.h"

/* Listens on options->http and options->tcp. Returns the exit status. */
int watch(const struct ctl_options *options);
