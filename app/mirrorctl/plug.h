/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands attach and detach: ports of a running sink. Each returns the exit status. */
#pragma once

#include "options.h"

int attach_run(const struct ctl_options *options);
int detach_run(const struct ctl_options *options);
