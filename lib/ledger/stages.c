/* SPDX-License-Identifier: BSD-3-Clause */
/* Names over the table of ms_stages.h. */
#include "ledger/ms_stages.h"

#define X(e, n, h) #n,
static const char *const names[MS_STAGE_COUNT] = {MS_STAGES(X)};
#undef X
#define X(e, n, h) h,
static const char *const helps[MS_STAGE_COUNT] = {MS_STAGES(X)};
#undef X

const char *
ms_stage_name(enum ms_stage stage)
{
	return names[stage];
}

const char *
ms_stage_help(enum ms_stage stage)
{
	return helps[stage];
}
