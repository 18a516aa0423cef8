/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes what is wanted of many capture files to one, in the order of time. */
#pragma once

#include "files_list.h"

/* Returns the exit status. */
int files_merge(const struct files_options *options, struct files_list *list);
