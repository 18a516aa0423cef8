/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions: the registry, which gives every session that was ever configured or seen a slot that
 * stays its own for the life of the process, and the lookup table in a ruleset from (outer source,
 * VNI) to slot and policy.
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ledger/ms_ledger.h"
#include "packet/ms_packet.h"

/* Slots in the registry, and so the most sessions that a process can ever know. */
#define MS_SESSIONS_MAX (1u << 18)

/* VLAN ids that can stand for sessions: 1 to 4094; 0 and 4095 mean no VLAN (IEEE 802.1Q, 9.6). */
#define MS_SESSION_VLANS 4094u
static_assert(MS_SESSIONS_MAX / MS_SESSION_VLANS < MS_SESSION_VLANS, "two tags tell all apart");

/* One session. All but learned sessions' source is written before the slot is published. */
struct ms_session_info {
	char *name;        /* session id, or "vni64" for one that was learned */
	char *description; /* or NULL */
	uint32_t vni;
	uint8_t source_family; /* MS_FAMILY_NONE: any source */
	bool learned;
	struct ms_ip source; /* learned: of the first packet */
};

struct ms_session_registry;

/* Returns NULL with rte_errno. Takes address space, not memory, for all slots. Control thread. */
struct ms_session_registry *ms_session_registry_create(void);
void ms_session_registry_free(struct ms_session_registry *registry);

/* Number of slots in use: slots 0..count-1 are valid. Any thread (acquire; pairs with the adds). */
uint32_t ms_session_count(const struct ms_session_registry *registry);

/* What stands in a slot below ms_session_count(). The strings live as long as the registry. Any
 * thread. */
const struct ms_session_info *
ms_session_info(const struct ms_session_registry *registry, uint32_t slot);

/*
 * The VLAN id of a session, which stays its own as its slot does; slots from MS_SESSION_VLANS on
 * share them, and are told apart by the id of a tag around that one. Pure.
 */
static inline uint16_t
ms_session_vlan(uint32_t slot)
{
	return (uint16_t)(slot % MS_SESSION_VLANS + 1);
}

static inline uint16_t
ms_session_vlan_outer(uint32_t slot)
{
	return (uint16_t)(slot / MS_SESSION_VLANS + 1);
}

/* The slot of a session that ms_session_add() has added, or MS_SESSION_NONE. Any thread. */
uint32_t ms_session_find(struct ms_session_registry *registry, const char *name, uint32_t vni);

/*
 * The slot of a configured session: the one it had if a session of this name and VNI was here
 * before (then its description and source are replaced by nothing: they stay), else a new one.
 * Copies the strings. Returns MS_SESSION_NONE if full or out of memory. Control thread.
 */
uint32_t ms_session_add(struct ms_session_registry *registry, const struct ms_session_info *info);

/*
 * The slot of a session that nobody configured, learned from a packet: found without a lock if it
 * was seen before, else added under a lock. Returns MS_SESSION_NONE if the registry is full. Any
 * thread.
 */
uint32_t ms_session_learn(struct ms_session_registry *registry, uint32_t vni, struct ms_ip source,
	uint8_t source_family);
