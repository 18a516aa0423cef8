/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The readable counterpart of sessions.c and policies.c: which session a packet belongs to, and
 * what decides about it, found by looking through the configuration from one end to the other. It
 * shares no code with the compiled tables, whose every answer must equal what is said here, and it
 * can say why.
 *
 * Stands on config and filter.
 */
#pragma once

#include "config/ms_config.h"
#include "filter/ms_filter.h"

enum ms_session_why {
	MS_WHY_VNI,           /* it is the only one of this VNI, so the source does not matter */
	MS_WHY_SOURCE,        /* it has this VNI, and its interface has this address */
	MS_WHY_ANY_SOURCE,    /* it has this VNI, and nobody knows the addresses of its interface */
	MS_WHY_LEARNED,       /* nobody configured it: it is learned as a session of its VNI */
	MS_WHY_LEARNED_ROUTE, /* likewise, and routes name its VNI */
	MS_WHY_UNKNOWN_VNI,   /* no session has this VNI */
	MS_WHY_OTHER_SOURCE,  /* sessions have this VNI, from other sources */
};

struct ms_session_ref {
	/* the session; NULL if it is learned or there is none; OTHER_SOURCE: the first of this VNI
	 */
	const struct ms_config_session *session;
	uint32_t sessions_n; /* that have this VNI */
	enum ms_session_why why;
	uint8_t fate; /* MS_FATE_NONE, SESSION_UNKNOWN or SOURCE_MISMATCH */
};

/* Looks through all sessions. Any thread. */
struct ms_session_ref ms_session_ref(
	const struct ms_config *config, uint32_t vni, struct ms_ip source, uint8_t source_family);

/* What decides about the frames of one session at a time. */
struct ms_policy_ref {
	struct ms_filter_policy policy; /* points to what follows */
	struct ms_filter_route *routes;
	/* of each route: where it stands in the configuration, NULL: there are no routes at all */
	const struct ms_config_route **origins;
	struct ms_prefix *resolvers;
	const struct ms_config *config;
};

/* Makes room for any session of a configuration, which must outlive it. 0 or -ENOMEM. */
int ms_policy_ref_init(struct ms_policy_ref *ref, const struct ms_config *config);
void ms_policy_ref_fini(struct ms_policy_ref *ref);

/*
 * Puts together ref->policy for a session, or for one that is learned (session NULL) of a VNI. It
 * has the routes that apply, in their order. One with a filter has no outputs that another one
 * leads to without: it is not asked about them.
 */
void ms_policy_ref_fill(
	struct ms_policy_ref *ref, const struct ms_config_session *session, uint32_t vni);
