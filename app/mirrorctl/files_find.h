/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists the capture files that have what is wanted. */
#pragma once

#include "files_list.h"

/* Returns the exit status. */
int files_find(const struct files_options *options, struct files_list *list);
