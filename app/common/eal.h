/* SPDX-License-Identifier: BSD-3-Clause */
/* Starting the EAL with the arguments that stand before the "--". */
#pragma once

#include <stdbool.h>

/*
 * rte_eal_init() with the first n of argv, quietly: only warnings are logged unless --log-level
 * asks for more. Says what is wrong and returns false. Main thread, once.
 */
bool eal_start(int n, char **argv);
