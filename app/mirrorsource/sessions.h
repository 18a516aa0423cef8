/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sessions that are mirrored: those of the ENIs that are played, by AWS documents, or without
 * documents the one that the command line describes.
 */
#pragma once

#include "encap/ms_encap.h"
#include "mirror/ms_mirror.h"
#include "options.h"

struct source_sessions {
	struct ms_config *config; /* NULL without documents */
	struct ms_mirror *plan;   /* NULL without documents: session 0 mirrors all frames */
	/* by session, in the order of plan->sessions */
	struct ms_encap_options *headers;
	struct ms_encap *encaps; /* NULL before source_sessions_wrap() */
	uint32_t n;
};

/*
 * Reads the documents of --config and finds out what is played, from where to where, or makes the
 * one session. Says on standard error which sessions of documents it plays. Returns 0, or the exit
 * status after saying what is wrong. Main lcore, before the EAL starts.
 */
int source_sessions_load(struct source_sessions *sessions, const struct source_options *options);

/* Makes the headers of all sessions, with this outer source. 0, or the exit status. Main lcore. */
int source_sessions_wrap(struct source_sessions *sessions, const struct rte_ether_addr *mac);

void source_sessions_free(struct source_sessions *sessions);

/* The session of documents; NULL without documents. */
static inline const struct ms_config_session *
source_session_config(const struct source_sessions *sessions, uint32_t i)
{
	return sessions->plan != NULL ? sessions->plan->sessions[i].config : NULL;
}

/* Its id, or "vni1". */
struct source_session_name {
	char text[256];
};
struct source_session_name source_session_name(const struct source_sessions *sessions, uint32_t i);
