/* SPDX-License-Identifier: BSD-3-Clause */
/* --check: what the configuration means, without starting anything. */
#pragma once

#include "config/ms_config.h"

/*
 * Compiles the configuration, prints its canonical form on standard output and the compiler's
 * report on standard error. Takes over config. Returns the exit status.
 */
int check(struct ms_config *config);
