/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What source ENIs mirror: the other end of AWS Traffic Mirroring. A configuration is compiled, for
 * the ENIs that are to be played, into a plan: ENIs by MAC address, their sessions in ascending
 * SessionNumber, each with its compiled filter. A burst of parsed frames is then turned into
 * sightings: which ENI saw which frame, in which direction, and which of its sessions mirrors it,
 * or why none does.
 * https://docs.aws.amazon.com/vpc/latest/mirroring/traffic-mirroring-how-it-works.html
 * https://docs.aws.amazon.com/vpc/latest/mirroring/traffic-mirroring-limits.html
 *
 * The plan is read-only but for its counters, which one lcore writes. Stands on config, filter.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/ms_config.h"
#include "filter/ms_filter.h"
#include "ledger/ms_ledger.h"
#include "packet/ms_packet.h"

#define MS_MIRROR_NONE UINT32_MAX

/* Sessions that one source ENI can have: AWS's quota. */
#define MS_MIRROR_SESSIONS_MAX 3

/* X(ENUM, name, help): why an ENI did not mirror a frame, in the order in which it can be so. */
#define MS_MIRROR_FATES(X)                                                                         \
	X(NO_ENI, no_eni, "neither from nor to a source ENI that is played")                       \
	X(EXCLUDED_ARP, excluded_arp, "ARP, which is never mirrored")                              \
	X(EXCLUDED_DHCP, excluded_dhcp, "DHCP, which is never mirrored")                           \
	X(EXCLUDED_METADATA, excluded_metadata, "instance metadata, which is never mirrored")      \
	X(EXCLUDED_NTP, excluded_ntp, "the Amazon Time Sync Service, which is never mirrored")     \
	X(EXCLUDED_ACTIVATION, excluded_activation, "Windows activation, which is never mirrored") \
	X(NO_SESSION, no_session, "its ENI has no session")                                        \
	X(EXCLUDED_DNS, excluded_dns, "Amazon DNS, and no session's filter has amazon-dns")        \
	X(FILTER_REJECT, filter_reject, "a reject rule matched, and no session accepts it")        \
	X(FILTER_DEFAULT, filter_default, "no rule of any session matched")

enum ms_mirror_fate {
	MS_MIRROR_TAKEN, /* a session mirrors it */
#define X(e, n, h) MS_MIRROR_##e,
	MS_MIRROR_FATES(X)
#undef X
		MS_MIRROR_FATE_COUNT
};

/* A session of an ENI that is played. */
struct ms_mirror_session {
	const struct ms_config_session *config;
	uint32_t eni;    /* index into enis */
	uint32_t policy; /* its compiled filter: offset in units of 64 bytes */
};

/* An ENI that is played; its sessions are sessions[first..end), in ascending SessionNumber. */
struct ms_mirror_eni {
	const struct ms_config_interface *config;
	uint32_t first;
	uint32_t end;
	uint32_t dns;            /* the first whose filter has amazon-dns; end: none */
	uint32_t resolvers_n;    /* of its VPC */
	struct ms_ip *resolvers; /* IPv4; owned */
};

/* One place of the table of MAC addresses, open addressing. */
struct ms_mirror_place {
	uint64_t mac; /* 0: free */
	uint32_t eni; /* MS_MIRROR_NONE: free */
};

struct ms_mirror {
	/* worker, ctl: ro */
	const struct ms_config *config; /* not owned */
	struct ms_mirror_eni *enis;
	struct ms_mirror_session *sessions;
	struct ms_mirror_place *places; /* places_mask + 1, at most half of them taken */
	uint32_t enis_n;
	uint32_t sessions_n;
	uint32_t places_mask;
	uint32_t filters_n; /* compiled; sessions that agree share one */
	struct ms_blob filters;
	struct ms_filter_leaves leaves;
	uint32_t *rules_first; /* by filter of config: its first rule among all; filters_n + 1 */
	bool stop_at_reject;
	ms_counter *hits; /* by leaf; worker: rw, ctl: ro */
};

struct ms_mirror_options {
	const char *const *enis; /* names of interfaces to play; a repeated one counts once */
	uint32_t enis_n;         /* 0: every loaded interface that has a session */
	bool stop_at_reject;     /* what a session's rule rejects, later sessions are not asked */
};

/*
 * Makes the plan. config stays the caller's and must outlive it. Returns 0 and a plan in *out that
 * ms_mirror_free() ends, or with error->text filled -EINVAL for what is wrong in the documents
 * (file, line, column, what to do), -EFBIG for filters that grow too large, -ENOMEM. Control
 * thread.
 */
int ms_mirror_compile(struct ms_mirror **out, const struct ms_config *config,
	const struct ms_mirror_options *options, struct ms_config_error *error);
void ms_mirror_free(struct ms_mirror *mirror);

/*
 * Adds up the hits of rules: rules[rules_first[config->filters_n]] in the order of the filters and
 * of their rules, services[config->filters_n] for network services. A rule is hit by each sighting
 * of which its session was asked. Any thread.
 */
void ms_mirror_count(const struct ms_mirror *mirror, uint64_t *rules, uint64_t *services);

/* One ENI's view of one frame. */
struct ms_mirror_sighting {
	struct ms_packet *packet; /* what is known of the frame; two sightings have two of them */
	uint32_t eni;             /* index; MS_MIRROR_NONE with NO_ENI */
	uint32_t session;         /* index of the one that mirrors it, if taken */
	uint8_t frame;            /* index into the burst */
	uint8_t direction;        /* enum ms_direction, as the ENI sees it; UNKNOWN with NO_ENI */
	uint8_t fate;             /* enum ms_mirror_fate */
	bool rejected;            /* by a rule of a session that was asked */
};

/* In the order of the frames; each has one, or two if it goes from one played ENI to another. */
struct ms_mirror_sightings {
	struct ms_mirror_sighting list[2 * MS_BURST];
	uint16_t n;
	uint16_t twins_n;
	struct ms_packet twins[MS_BURST]; /* of frames that are seen twice */
};

/*
 * Tells what becomes of frames packets[0..n), n <= MS_BURST, each filled by ms_packet_parse(). Uses
 * their fields from fate to policy, and outputs and leaf, for itself. Worker.
 */
void ms_mirror_burst(const struct ms_mirror *mirror, struct ms_packet *packets, uint16_t n,
	struct ms_mirror_sightings *sightings);
