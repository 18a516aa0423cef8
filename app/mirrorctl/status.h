/* SPDX-License-Identifier: BSD-3-Clause */
/* What a running sink has done so far. */
#pragma once

#include "options.h"

/* The command. */
int status_run(const struct ctl_options *options);
