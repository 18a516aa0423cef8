/* SPDX-License-Identifier: BSD-3-Clause */
/* Which packets are wanted: of which sessions, from when to when, and what a filter takes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pcap/pcap.h>

#include "capread/ms_capread.h"

#define FILES_VNI_UNKNOWN (-1)

struct files_select {
	/* Any of these; if there are none of either, all. */
	const char **sessions;
	size_t sessions_n;
	uint32_t *vnis;
	size_t vnis_n;
	uint64_t from; /* nanoseconds since 1970; from <= time < to */
	uint64_t to;   /* UINT64_MAX: no end */
	bool has_bpf;
	struct bpf_program bpf; /* on Ethernet */
};

void files_select_init(struct files_select *select);
void files_select_free(struct files_select *select);

/* Each says what is wrong and returns false. text outlives it. */
bool files_select_vni(struct files_select *select, uint32_t vni);
bool files_select_session(struct files_select *select, const char *text);
bool files_select_bpf(struct files_select *select, const char *text);

/* Is everything wanted, whatever it is? */
bool files_select_all(const struct files_select *select);

bool files_select_has_sessions(const struct files_select *select);

/* The VNI in the name of a session that nobody configured, "vni64"; else FILES_VNI_UNKNOWN. */
int64_t files_select_vni_of(const char *name);

/* Is this session wanted? vni: FILES_VNI_UNKNOWN if it is not known. */
bool files_select_wants_session(const struct files_select *select, const char *name, int64_t vni);

/* Is a packet of a session that is wanted wanted itself? */
bool files_select_wants_packet(
	const struct files_select *select, const struct ms_capread_packet *packet);
