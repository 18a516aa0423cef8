/* SPDX-License-Identifier: BSD-3-Clause */
/* Those options of mirrorsource that go with AWS documents (--config). */
#pragma once

#include "options.h"

/* Each returns false after saying what is wrong. */
bool options_add_config(struct source_options *options, const char *text);
bool options_add_eni(struct source_options *options, const char *text);
bool options_add_target(struct source_options *options, const char *text);
bool options_set_ip_version(struct source_options *options, const char *text);
bool options_set_after_reject(struct source_options *options, const char *text);

/* Do the options go together, with documents or without? After all are parsed. */
bool options_check_documents(const struct source_options *options);
