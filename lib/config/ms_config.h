/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration: AWS documents as `aws ec2 describe-...` prints them, and our own keys beside
 * them, read from JSON files into one struct ms_config. Reading is pure: nothing is applied, and a
 * failure leaves nothing behind. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/
 *
 * Stands on filter (the rules). Control thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "filter/ms_filter.h"

#define MS_VNI_MAX 0xffffffu

/*
 * Where something was read, for messages: points into the config, lives as long as it. What the
 * command line says is in no file and has line 0.
 */
struct ms_origin {
	const char *file; /* "the command line", at 0:0, for ms_config_add_output() */
	uint32_t line;    /* from 1 */
	uint32_t column;
};

struct ms_config_interface {
	char *id;                     /* NetworkInterfaceId */
	uint64_t mac;                 /* MacAddress as a number, 0 if absent */
	struct ms_prefix address;     /* PrivateIpAddress, /32; family NONE if absent */
	struct ms_prefix *addresses6; /* Ipv6Addresses, /128 each */
	uint32_t addresses6_n;
	struct ms_prefix *addresses; /* PrivateIpAddresses, /32 each, the primary one first */
	uint32_t addresses_n;
	char *vpc_id; /* VpcId or NULL */
	int32_t vpc;  /* index into vpcs; -1: not loaded */
	struct ms_origin origin;
};

struct ms_config_target {
	char *id;
	char *type;        /* network-interface, ...; from the destination's key, or NULL */
	char *destination; /* the id that its type calls for, or NULL; NULL for other types */
	struct ms_origin origin;
};

struct ms_config_vpc {
	char *id;
	struct ms_prefix *blocks; /* CidrBlock and those of CidrBlockAssociationSet, IPv4 */
	uint32_t blocks_n;
};

struct ms_config_session {
	char *id;           /* TrafficMirrorSessionId */
	char *description;  /* or NULL */
	char *filter_id;    /* TrafficMirrorFilterId or NULL */
	char *target_id;    /* TrafficMirrorTargetId or NULL */
	char *interface_id; /* NetworkInterfaceId or NULL */
	int32_t filter;     /* index into filters; -1: not loaded, accepts everything */
	int32_t interface;  /* index into interfaces; -1: not loaded */
	uint32_t vni;
	uint32_t packet_length; /* bytes after the VXLAN header; 0: whole packets */
	uint16_t number;        /* SessionNumber, 0 if absent */
	struct ms_origin origin;
};

/* Ports of one output times their queues. */
#define MS_OUTPUT_WAYS_MAX 64

enum ms_output_type { MS_OUTPUT_NULL, MS_OUTPUT_PCAPNG, MS_OUTPUT_PCAP, MS_OUTPUT_PORT };

/* How the frames of an output tell whose they are. */
enum ms_tenant {
	MS_TENANT_NONE,  /* not at all */
	MS_TENANT_VLAN,  /* a tag with the session's VLAN id */
	MS_TENANT_QINQ,  /* two tags (IEEE 802.1ad), for more sessions than there are ids */
	MS_TENANT_VXLAN, /* wrapped in another mirrored packet */
	MS_TENANT_PORT,  /* by a tap of each session's own */
};

/* What they are wrapped in. */
struct ms_config_vxlan {
	struct ms_prefix target; /* whole addresses, both of one family */
	struct ms_prefix source;
	uint64_t target_mac; /* as a number */
	uint64_t source_mac; /* 0: the port's own */
	bool has_vni;        /* all get this one; else each keeps its session's */
	uint32_t vni;
	uint16_t udp_port;
	uint32_t target_mtu; /* bytes of the IP packet, at most; 0: any */
};

/* How files are compressed; their paths end in ".zst" or ".lz4" then. */
enum ms_compress { MS_COMPRESS_NONE, MS_COMPRESS_ZSTD, MS_COMPRESS_LZ4 };

/* When the next file of an output begins, and what becomes of the last one; 0: does not apply. */
struct ms_config_store {
	uint64_t rotate_bytes;   /* files grow to at most so much */
	uint64_t rotate_packets; /* and get at most so many */
	uint32_t rotate_seconds; /* and get at most so old */
	bool rotate_aligned;     /* at multiples of them by the clock */
	bool sha256;             /* in the manifest */
	uint32_t keep_seconds;
	uint64_t keep_files;
	uint64_t keep_bytes;
	uint64_t min_free;       /* bytes of the file system */
	bool by_session;         /* the path names the session: each has a file of its own */
	uint32_t max_open_files; /* of these, at once, of each lane; 0: the default */
	char **on_rotate;        /* command and arguments */
	uint32_t on_rotate_n;
	uint32_t on_rotate_jobs; /* at once */
	enum ms_compress compress;
	uint32_t compress_level;   /* as the library has it; 0: not compressed */
	uint32_t compress_threads; /* of each lane; 0: not compressed */
};

struct ms_config_output {
	char *name;
	enum ms_output_type type;
	char *path;      /* pcapng, pcap: a pattern, see ms_filestore.h; "-" is standard output */
	char **ports;    /* port: names of ethdevs; frames spread over them by inner flow */
	uint32_t queues; /* port: transmit queues of each that a lane spreads over, >= 1 */
	uint32_t ports_n;
	enum ms_tenant tenant;        /* port */
	struct ms_config_vxlan vxlan; /* MS_TENANT_VXLAN; else all 0 */
	char *interface;  /* MS_TENANT_PORT: name of taps, {vni} and {session}; or NULL */
	uint32_t snaplen; /* 0: whole frames */
	bool outer;       /* files keep the outer headers */
	struct ms_config_store store;
	uint64_t buffer_memory; /* of a file, for all lanes together, bytes; 0: the default */
	struct ms_origin origin;
};

/* Frames of the sessions that match (all given selectors must) go to outputs, if filter accepts. */
struct ms_config_route {
	bool has_vni;
	uint32_t vni;
	char *session_id; /* or NULL */
	char *filter_id;  /* or NULL */
	int32_t filter;   /* index into filters, -1: none */
	uint32_t outputs; /* set of indices into outputs */
	struct ms_origin origin;
};

enum ms_source_check { MS_SOURCE_OFF, MS_SOURCE_STRICT };
enum ms_unknown_session { MS_UNKNOWN_DROP, MS_UNKNOWN_DELIVER };

/* What is done with fragments of outer IP packets. */
enum ms_outer_fragments { MS_FRAGMENTS_DROP, MS_FRAGMENTS_REASSEMBLE };

/* Among whose frames a copy of a frame is looked for. */
enum ms_dedup_scope { MS_DEDUP_ALL, MS_DEDUP_SESSION };

#define MS_DEDUP_WINDOW_MS_MAX 10000
#define MS_DEDUP_MEMORY_MIN    (UINT64_C(1) << 12)
#define MS_DEDUP_MEMORY_MAX    (UINT64_C(1) << 34)

struct ms_config_dedup {
	bool on; /* the key is there; else the rest is 0 */
	enum ms_dedup_scope scope;
	uint32_t window_ms;
	uint64_t memory; /* bytes, of each lcore that does outputs */
};

struct ms_config {
	struct ms_filter *filters;
	struct ms_config_interface *interfaces;
	struct ms_config_target *targets;
	struct ms_config_vpc *vpcs;
	struct ms_config_session *sessions; /* in order of reading */
	struct ms_config_output *outputs;   /* at most MS_OUTPUTS_MAX */
	struct ms_config_route *routes;
	uint32_t filters_n;
	uint32_t interfaces_n;
	uint32_t targets_n;
	uint32_t vpcs_n;
	uint32_t sessions_n;
	uint32_t outputs_n;
	uint32_t routes_n;
	enum ms_source_check source_check;
	enum ms_unknown_session unknown_session;
	enum ms_outer_fragments outer_fragments;
	struct ms_config_dedup dedup;
	char **files; /* names, owned; origins point here */
	uint32_t files_n;
};

/* A message for a person, without a newline at the end: "file:line:column: $.Path: value: what". */
struct ms_config_error {
	char text[1024];
};

/*
 * Reads and validates n files as one configuration; n may be 0. Files may refer to each other in
 * any order. Top-level keys are those of AWS (TrafficMirrorFilters, TrafficMirrorFilterRules,
 * TrafficMirrorSessions, TrafficMirrorTargets, NetworkInterfaces, Vpcs, NextToken) and ours
 * (Outputs, Routes, SourceCheck, UnknownSession, OuterFragments, Dedup), in any mixture. Another
 * one is an error, except in a file with keys of AWS and none of ours: AWS adds keys. Returns 0 and
 * a configuration in *config that the caller ends with ms_config_free(), or -errno with error->text
 * filled and *config NULL: -ENOENT and the like for what cannot be read, -EINVAL for what is wrong
 * in it.
 */
int ms_config_read(struct ms_config **config, const char *const *files, uint32_t n,
	struct ms_config_error *error);
void ms_config_free(struct ms_config *config);

/* Do two outputs do the same with their files? */
bool ms_config_store_equal(const struct ms_config_store *a, const struct ms_config_store *b);

/*
 * Adds an output that the command line names; it gets every session, whatever the routes say.
 * Copies the strings; output->origin is not looked at. Returns 0, or with error->text and the
 * configuration as it was -EINVAL (too many, or the name, file or port is that of another output)
 * or -ENOMEM.
 */
int ms_config_add_output(struct ms_config *config, const struct ms_config_output *output,
	struct ms_config_error *error);

/*
 * The Amazon resolvers of an interface's VPC: base + 2 of each of its IPv4 blocks, none if the VPC
 * is not loaded. Returns how many there are, or -ENOMEM; *list is theirs, for free(), and NULL if
 * there are none. https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html
 */
int ms_config_resolvers(const struct ms_config *config, const struct ms_config_interface *interface,
	struct ms_prefix **list);

/*
 * Prints the canonical form, JSON, which reads back to the same configuration, but for the order
 * of what is sorted there: filters, targets, interfaces, VPCs and sessions, by name. Flushes out.
 * Returns 0, or -EIO or -ENOMEM, with part of it printed.
 */
int ms_config_print(const struct ms_config *config, FILE *out);
