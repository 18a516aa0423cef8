/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses to listen on. */
#pragma once

#include "options.h"

/* ADDR:PORT, an IPv6 address in brackets. Says what is wrong and returns false. */
bool listen_parse(const char *option, const char *text, struct ctl_address *address);

/*
 * A socket that listens there, non-blocking, or -errno. SO_REUSEADDR is set, so that it can be
 * closed and opened again at once.
 */
int listen_open(const struct ctl_address *address);
