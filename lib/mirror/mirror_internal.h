/* SPDX-License-Identifier: BSD-3-Clause */
/* What select.c, compile.c and sight_burst.c agree on. */
#pragma once

#include "mirror/ms_mirror.h"

/* Where to begin looking for a MAC address; its last bytes differ most. */
static inline uint32_t
mirror_hash(uint64_t mac)
{
	return (uint32_t)((mac * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

/*
 * Which ENIs are played and which sessions they have, in order, with all that can be wrong with
 * them: fills enis, sessions, places. 0 or -errno, with error->text filled but for -ENOMEM.
 */
int mirror_select(struct ms_mirror *mirror, const struct ms_mirror_options *options,
	struct ms_config_error *error);

/* Fills error->text. Returns -EINVAL. */
int mirror_wrong(struct ms_config_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
