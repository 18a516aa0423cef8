/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traffic mirror filters: the rules as AWS defines them, a readable matcher that is the oracle
 * (ms_filter_ref), and the compiler that turns a policy (a session's filter and the filters of the
 * routes that match it) into flat lookup arrays (ms_filter_lookup.h reads them).
 *
 * Semantics, https://docs.aws.amazon.com/vpc/latest/mirroring/traffic-mirroring-filters.html:
 * rules in ascending number, first match decides, no match rejects. A rule that constrains a field
 * which the frame has not got does not match. A CIDR block constrains the family, and the address
 * unless its length is 0; a port range, even the full one, needs a frame with ports. A frame that
 * is not IP (key.family NONE) has no fields at all. amazon-dns comes before the rules and accepts
 * TCP and UDP to and from port 53 of a resolver, in both directions.
 *
 * Stands on packet (the key). No DPDK beyond its headers, no I/O, no logging.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger/ms_ledger.h"
#include "packet/ms_packet.h"

#define MS_PROTO_ANY (-1)

struct ms_prefix {
	struct ms_ip ip; /* host bits are 0 */
	uint8_t family;  /* enum ms_family; MS_FAMILY_NONE: no CIDR block given */
	uint8_t length;
};

struct ms_port_range {
	bool present;
	uint16_t from;
	uint16_t to; /* inclusive; from <= to */
};

struct ms_rule {
	uint16_t number;   /* 1..32766; 0: a network service, which comes before all rules */
	uint8_t direction; /* MS_DIRECTION_INGRESS or MS_DIRECTION_EGRESS */
	bool accept;
	int16_t protocol; /* MS_PROTO_ANY or 0..255 */
	struct ms_prefix src;
	struct ms_prefix dst;
	struct ms_port_range sport;
	struct ms_port_range dport;
};

struct ms_filter {
	char *name; /* TrafficMirrorFilterId */
	char *description;
	bool amazon_dns;       /* NetworkServices holds "amazon-dns" */
	struct ms_rule *rules; /* ascending by direction, then number */
	uint32_t rules_n;
};

/* The rules of a route: frames that `filter` accepts (NULL: all frames) may go to `outputs`. */
struct ms_filter_route {
	const struct ms_filter *filter;
	uint32_t outputs;
};

/*
 * All that decides about the frames of a session. An output gets a frame if `session` accepts it
 * and one of the routes to that output accepts it. Sessions that agree in all of this share one.
 */
struct ms_filter_policy {
	const struct ms_filter *session; /* NULL: accepts everything */
	const struct ms_filter_route *routes;
	uint32_t routes_n;
	/* Amazon resolvers beside the well-known ones (VPC base + 2); for filters with amazon_dns.
	 */
	const struct ms_prefix *resolvers;
	uint32_t resolvers_n;
};

#define MS_RULE_NONE UINT32_MAX

/*
 * What becomes of a frame: outputs != 0 and fate MS_FATE_NONE, or outputs == 0 and fate
 * FILTER_REJECT, FILTER_DEFAULT or NO_ROUTE. The session's filter decides the fate if it does not
 * accept, and then no route's filter is asked; else FILTER_REJECT if a rule of any route's filter
 * rejected, else FILTER_DEFAULT. A policy without routes to any output gives NO_ROUTE to what its
 * session's filter accepts. A filter that stands in several places of a policy is asked once;
 * routes with no outputs are not looked at.
 */
struct ms_verdict {
	uint32_t outputs;
	uint8_t fate;
};

/*
 * The oracle: tries rule after rule. direction UNKNOWN tries both tables: outputs are united; if
 * none remains the fate is FILTER_REJECT if either says so, else FILTER_DEFAULT, else NO_ROUTE:
 * the least in the order of enum ms_fate. hit, if not NULL, is called once for each rule that
 * matched first in its table (the index counts into filter->rules; MS_RULE_NONE for amazon-dns).
 * Slow; any thread.
 */
struct ms_verdict ms_filter_ref(const struct ms_filter_policy *policy, const struct ms_key *key,
	enum ms_direction direction,
	void (*hit)(void *arg, const struct ms_filter *filter, uint32_t rule), void *arg);

/* Why a rule does not match a frame: a set of these. */
enum ms_rule_miss {
	MS_MISS_PROTO = 0x01, /* another protocol, or one that the frame has not got */
	MS_MISS_PORTS = 0x02, /* ports of a protocol that has none: the rule matches nothing */
	MS_MISS_SRC = 0x04,   /* family or address are not in the block, or the frame has none */
	MS_MISS_DST = 0x08,
	MS_MISS_SPORT = 0x10, /* the port is not in the range, or the frame has none */
	MS_MISS_DPORT = 0x20,
};

/* What keeps one rule from matching this frame; 0: it matches. direction is not looked at. */
uint32_t ms_rule_explain(const struct ms_rule *rule, const struct ms_key *key);

/* ms_rule_explain() == 0 */
bool ms_rule_match(const struct ms_rule *rule, const struct ms_key *key);

/* Is it a query to, or an answer from, one of Amazon's resolvers, the policy's included? */
bool ms_filter_is_dns(const struct ms_filter_policy *policy, const struct ms_key *key);

/*
 * What one filter says of a frame in a direction that is known: MS_FATE_NONE if it accepts, else
 * FILTER_REJECT or FILTER_DEFAULT; and what decided, in *rule: an index into filter->rules,
 * MS_RULE_NONE for amazon-dns, filter->rules_n if no rule matched. Slow; any thread.
 */
enum ms_fate ms_filter_ask(const struct ms_filter_policy *policy, const struct ms_filter *filter,
	const struct ms_key *key, enum ms_direction direction, uint32_t *rule);

/*
 * A growing, relocatable allocation: everything in it is found by offset. Offset 0 is never a
 * valid object. Zero-initialise; free(base) ends it.
 */
struct ms_blob {
	uint8_t *base; /* 64-byte aligned */
	size_t used;
	size_t room;
	size_t limit; /* grow no further than this; 0: no limit */
};

/* Appends size zeroed bytes at an alignment (power of two, at most 64). Returns the offset, or 0
 * with errno ENOMEM, or EFBIG beyond limit. */
size_t ms_blob_add(struct ms_blob *blob, size_t size, size_t align);

/*
 * Leaves are what is counted at run time, and tell which rules were the first to match. In the
 * cross layout a lookup ends in one leaf, which stands for a verdict and all of its hits. In the
 * bit-set layout the outcomes of several filters are not enumerated beforehand: there a lookup
 * meets one leaf in each filter that it asks. Either way the hits of a rule are the sum of the
 * counts of all leaves that list it.
 */

/* A rule that was the first to match on the way to a leaf. */
struct ms_leaf_hit {
	const struct ms_filter *filter;
	uint32_t rule; /* index into filter->rules; MS_RULE_NONE: amazon-dns */
};

/* What a compilation has found out, appended to by each ms_filter_compile(). Zero-initialise. */
struct ms_filter_leaves {
	/* hits of leaf i: hits[first[i] .. first[i + 1]) */
	uint32_t *first; /* leaves_n + 1 entries */
	uint32_t leaves_n;
	struct ms_leaf_hit *hits;
	uint32_t hits_n;
	uint32_t first_room;
	uint32_t hits_room;
};

void ms_filter_leaves_free(struct ms_filter_leaves *leaves);

/* Where hits are added up by rule. */
struct ms_filter_tally {
	const struct ms_filter *filters; /* the array that holds the filters of all leaves */
	const uint32_t *first;           /* by filter: its first rule in rules */
	uint64_t *rules;                 /* in the order of the filters and of their rules */
	uint64_t *services;              /* by filter: network services */
};

/*
 * Numbers the rules of filters[0..n) in one row: where those of each filter begin, and at [n] how
 * many there are. The caller frees it; NULL: out of memory.
 */
uint32_t *ms_filter_number(const struct ms_filter *filters, uint32_t n);

/* Adds what was counted on one leaf to its rules. */
void ms_filter_tally_leaf(const struct ms_filter_tally *tally,
	const struct ms_filter_leaves *leaves, uint32_t leaf, uint64_t hits);

enum ms_filter_layout {
	MS_LAYOUT_AUTO,   /* what is best: rows, sets or trees of them; cross products that fit the
	                     budget; else bit sets */
	MS_LAYOUT_CROSS,  /* field -> class, classes -> class, classes -> leaf */
	MS_LAYOUT_BITSET, /* field -> class -> set of rules; intersected a word at a time */
	MS_LAYOUT_ROWS,   /* as AUTO, but trees where that takes sets of rows */
};

/*
 * Compiles a policy to the end of blob and its leaves to the end of leaves. Leaf numbers count over
 * all policies of one `leaves`. budget bounds the bytes of the cross products and the leaves of any
 * one table (there is one for each direction and family) before the compact layout takes over
 * (AUTO) or the call fails (CROSS).
 * Returns 0 and the policy's offset, a multiple of 64, in *offset; -ENOMEM, or -EFBIG if it does
 * not fit; on failure blob and leaves are as they were. The result holds no pointers to policy,
 * leaves->hits does. Control thread.
 */
int ms_filter_compile(struct ms_blob *blob, struct ms_filter_leaves *leaves,
	const struct ms_filter_policy *policy, enum ms_filter_layout layout, size_t budget,
	size_t *offset);

/* What a compiled policy came to. It has six tables: two directions, and no IP, IPv4, IPv6. */
struct ms_filter_shape {
	uint32_t constant; /* tables in which all frames are decided alike */
	uint32_t cross;    /* tables of cross products */
	uint32_t bits;     /* tables of bit sets */
	uint32_t leaves;
};

/* Looks at the policy that ms_filter_compile() put at an offset of a blob. Any thread. */
struct ms_filter_shape ms_filter_shape(const uint8_t *base, size_t offset);

/*
 * A rule that can never match, and why. Reported for each filter by ms_filter_report().
 */
enum ms_rule_defect {
	MS_RULE_SHADOWED = 1,   /* earlier rules together match all that it could */
	MS_RULE_PORTS_NO_PROTO, /* a port range on a protocol without ports */
	MS_RULE_MIXED_FAMILIES, /* one CIDR block is IPv4, the other IPv6 */
};
struct ms_rule_report {
	uint32_t rule;  /* index into filter->rules */
	uint8_t defect; /* enum ms_rule_defect */
};

/*
 * Writes at most room defects in the order of the rules, returns how many there are; -ENOMEM.
 * Shadowing is found exactly, for frames as they can be cut, as long as the work for it is bounded;
 * beyond that only what one earlier rule covers alone is reported. Control thread.
 */
int ms_filter_report(const struct ms_filter *filter, struct ms_rule_report *out, uint32_t room);

/* Frees what a filter points to (name, description, rules), not the filter itself. */
void ms_filter_free(struct ms_filter *filter);
