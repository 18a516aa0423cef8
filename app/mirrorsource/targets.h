/* SPDX-License-Identifier: BSD-3-Clause */
/* Where mirrored packets go: the targets of AWS documents, and what the command line says of them.
 */
#pragma once

#include "config/ms_config.h"
#include "options.h"

struct source_targets {
	const struct ms_config *config;
	const struct source_options *options;
	/* by id */
	const struct ms_config_target **targets;
	const struct ms_config_interface **interfaces;
};

/* config and options must outlive it. 0 or -ENOMEM; source_targets_free() after both. */
int source_targets_init(struct source_targets *targets, const struct ms_config *config,
	const struct source_options *options);
void source_targets_free(struct source_targets *targets);

/* The loaded target of a session, or NULL. */
const struct ms_config_target *
source_target(const struct source_targets *targets, const struct ms_config_session *session);

/* Does every --target name a target that a document knows of? Else says which does not. */
bool source_targets_check(const struct source_targets *targets);

/*
 * From where to where a session's packets go: fills source, target, target_mac and family of
 * *encap; eni is the session's. False after saying what is missing.
 */
bool
source_target_resolve(const struct source_targets *targets, const struct ms_config_session *session,
	const struct ms_config_interface *eni, struct ms_encap_options *encap);
