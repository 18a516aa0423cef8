/* SPDX-License-Identifier: BSD-3-Clause */
/* What compile.c, policies.c, sessions.c and session_burst.c agree on. */
#pragma once

#include "ruleset/ms_ruleset.h"

static inline uint32_t
vni_hash(uint32_t vni)
{
	return (vni * 2654435761u) >> 8;
}

static inline uint32_t
source_hash(uint32_t vni, struct ms_ip source)
{
	uint64_t h = source.hi * UINT64_C(0x9e3779b97f4a7c15) ^ source.lo;

	h = (h ^ (uint64_t)vni << 32) * UINT64_C(0xbf58476d1ce4e5b9);
	return (uint32_t)(h >> 32);
}

/* A ruleset while it is being compiled. */
struct ruleset_build {
	const struct ms_config *config;
	struct ms_session_registry *registry;
	struct ms_blob blob;
	struct ms_filter_leaves leaves;
	struct ms_config_error *error;
	struct policies *policies;
	struct ms_filter_use *uses; /* by filter */
	uint32_t policies_n;
	uint64_t policies_bytes;
};

/* Nanoseconds of the monotonic clock. */
uint64_t ruleset_now(void);

/*
 * The compiled policy of a session (NULL: one that is learned, of this VNI, or of a VNI that no
 * route names if vni is UINT32_MAX): offset in units of 64 bytes, or 0 with build->error filled.
 * Sessions that agree share one.
 */
int policies_init(struct ruleset_build *build);
uint32_t
policies_get(struct ruleset_build *build, const struct ms_config_session *session, uint32_t vni);
void policies_fini(struct ruleset_build *build);

/* Outputs that frames of a session can go to. */
uint32_t policies_outputs(struct ruleset_build *build, const struct ms_config_session *session);

/* Builds entries and both tables into the blob, and fills the head's offsets. 0 or -errno. */
int sessions_build(struct ruleset_build *build, size_t head);
