/* SPDX-License-Identifier: BSD-3-Clause */
/* From configuration files to a ruleset in force, at the start and on SIGHUP. */
#pragma once

#include "sink.h"

/*
 * Reads the configuration files again and publishes what they say. On any error the rules in force
 * stay, and a message says why. Outputs must be the same: they can't change while lcores write.
 */
void reload(struct sink *sink);
