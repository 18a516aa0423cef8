/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ruleset: sessions, filters and routes of one configuration, compiled. What the rx lcores read
 * is one immutable, relocatable allocation (offsets, no pointers) with struct ms_ruleset_head in
 * it. Around it stands what control needs: the configuration it was made from, and what its leaves
 * mean.
 *
 * A ruleset is published with one release store and reclaimed after every rx lcore has passed a
 * quiescent state (RCU, rte_rcu_qsbr). Nothing that outlives a burst holds a pointer into it:
 * session slots, which stay valid for ever, and output sets go on.
 *
 * Stands on config, filter, session.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include <rte_rcu_qsbr.h>

#include "config/ms_config.h"
#include "filter/ms_filter.h"
#include "session/ms_session.h"

#define MS_RULESET_READERS_MAX 64

/* A session as its packets find it; one for each (session, outer source). */
struct ms_session_entry {
	struct ms_ip source;
	uint32_t vni;
	uint8_t source_family; /* MS_FAMILY_NONE: any source */
	uint64_t eni_mac;      /* 0: not known */
	uint32_t slot;         /* MS_SESSION_NONE: learn it as a session of its VNI */
	uint32_t policy;       /* offset in units of 64 bytes */
};

/*
 * One VNI in an open-addressing table (linear probing, at most half full). A VNI with one possible
 * session is found with this one probe; others go on to the table of sources.
 */
struct ms_vni_entry {
	uint32_t vni1;      /* VNI + 1; 0 is free */
	uint32_t any:31;    /* entry for any source, MS_ENTRY_NONE if there is none */
	uint32_t sources:1; /* entries for single sources exist: look there first */
};
#define MS_ENTRY_NONE ((1u << 31) - 1)

struct ms_ruleset_head {
	uint64_t size;    /* bytes of the allocation, this head included */
	uint32_t entries; /* offset of struct ms_session_entry[entries_n], by VNI, then slot */
	uint32_t entries_n;
	uint32_t vnis; /* offset of struct ms_vni_entry[vnis_mask + 1] */
	uint32_t vnis_mask;
	uint32_t sources; /* offset of uint32_t[sources_mask + 1]: entry + 1, 0 is free */
	uint32_t sources_mask;
	uint32_t learn_policy; /* of sessions that are learned; 0: unknown sessions are dropped */
	bool strict;           /* a known VNI from a wrong source is SOURCE_MISMATCH */
};

/* What one filter came to. A policy in which several filters stand counts for each of them. */
struct ms_filter_use {
	uint32_t sessions; /* whose filter it is */
	uint32_t routes;   /* that name it */
	uint32_t policies; /* compiled policies that ask it; 0: nobody ever does */
	uint64_t bytes;    /* of these policies, with all their tables */
	uint64_t compile_ns;
	struct ms_filter_shape shape; /* their tables and leaves, added up */
};

struct ms_ruleset {
	uint8_t *base; /* the one allocation, read-only from here on; offsets count from it */
	const struct ms_ruleset_head *head; /* in it */
	struct ms_config *config;           /* owned */
	struct ms_filter_leaves leaves;
	uint32_t policies_n;
	uint32_t readers_n;
	uint32_t rules_n;        /* of all filters together */
	uint32_t *rules_first;   /* by filter: index of its first rule among all; filters_n + 1 */
	uint64_t *rules_base;    /* hits before this ruleset came, by rule */
	uint64_t *services_base; /* hits of network services, by filter */
	struct ms_filter_use *uses; /* by filter */
	uint64_t policies_bytes;
	uint64_t compile_ns;
	uint32_t serial;                          /* its own among all that were compiled; not 0 */
	ms_counter *hits[MS_RULESET_READERS_MAX]; /* by reader: leaf counters, that reader writes */
};

/*
 * Compiles a configuration for readers_n rx lcores. Takes over config if it succeeds. Sessions get
 * their slots in registry (the only thing that stays behind on failure, unused). Returns 0 and a
 * ruleset in *out that ms_ruleset_free() ends, or -ENOMEM, -EFBIG, -ENOSPC with error->text filled.
 * Control thread.
 */
int ms_ruleset_compile(struct ms_ruleset **out, struct ms_config *config,
	struct ms_session_registry *registry, uint32_t readers_n, struct ms_config_error *error);
void ms_ruleset_free(struct ms_ruleset *ruleset);

/*
 * Adds up the hits of all readers and those of rulesets before this one: rules[rules_n] in the
 * order of the filters and of their rules, services[filters_n] for network services. Control
 * thread.
 */
void ms_ruleset_count(const struct ms_ruleset *ruleset, uint64_t *rules, uint64_t *services);

/*
 * Starts the counts of `next` at those of `last`, for every rule that is in both (same filter id,
 * direction and number). 0 or -ENOMEM. Control thread; last has no readers any more.
 */
int ms_ruleset_inherit(struct ms_ruleset *next, const struct ms_ruleset *last);

/* All entries of sessions; those of one session stand together. Control. */
static inline const struct ms_session_entry *
ms_ruleset_entries(const struct ms_ruleset *ruleset)
{
	return (const struct ms_session_entry *)(ruleset->base + ruleset->head->entries);
}

/* Where rx lcores find the ruleset in force. */
struct ms_ruleset_cell {
	_Atomic(struct ms_ruleset *) current;
	struct rte_rcu_qsbr *qsbr; /* reader i is thread i */
};

/* 0 or -ENOMEM. Control thread. Takes over first. */
int
ms_ruleset_cell_init(struct ms_ruleset_cell *cell, struct ms_ruleset *first, uint32_t readers_n);
/* Frees the ruleset in force; no reader may be left. */
void ms_ruleset_cell_fini(struct ms_ruleset_cell *cell);

/*
 * Puts next in force, waits until no reader can hold the one before, lets next inherit its counts,
 * and frees it. Returns 0, or -ENOMEM if the counts of rules start anew, which changes nothing
 * else. Control thread; blocks for about two bursts.
 */
int ms_ruleset_publish(struct ms_ruleset_cell *cell, struct ms_ruleset *next);

/*
 * The ruleset in force, for the burst that begins. Hits of the one before may be counted until the
 * end of that burst; a poll that gives no packets counts as one. rx lcore.
 */
static inline const struct ms_ruleset *
ms_ruleset_get(const struct ms_ruleset_cell *cell)
{
	/* pairs with the release in ms_ruleset_publish() */
	return atomic_load_explicit(&cell->current, memory_order_acquire);
}

/*
 * Finds the session of each packet that is under way: fills session, policy, eni_mac, or sets the
 * fate SESSION_UNKNOWN or SOURCE_MISMATCH. Sessions that are to be learned get their slot here. rx
 * lcore.
 */
void ms_ruleset_session_burst(const struct ms_ruleset *ruleset,
	struct ms_session_registry *registry, struct ms_packet *packets, uint16_t n);
