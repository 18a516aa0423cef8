/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds sessions for a burst of packets, in the tables that sessions.c built. */
#include "ruleset/ruleset_internal.h"

/* The entry of (VNI, source), or MS_ENTRY_NONE. */
static inline uint32_t
find_source(const struct ms_ruleset *ruleset, const struct ms_packet *p)
{
	const struct ms_ruleset_head *head = ruleset->head;
	const struct ms_session_entry *entries = ms_ruleset_entries(ruleset);
	const uint32_t *sources = (const uint32_t *)(ruleset->base + head->sources);
	uint32_t i = source_hash(p->vni, p->source) & head->sources_mask;

	for (; sources[i] != 0; i = (i + 1) & head->sources_mask) {
		const struct ms_session_entry *entry = &entries[sources[i] - 1];

		if (entry->vni == p->vni && entry->source_family == p->source_family &&
			ms_ip_equal(entry->source, p->source))
			return sources[i] - 1;
	}
	return MS_ENTRY_NONE;
}

static inline const struct ms_vni_entry *
find_vni(const struct ms_ruleset *ruleset, uint32_t vni)
{
	const struct ms_ruleset_head *head = ruleset->head;
	const struct ms_vni_entry *vnis = (const struct ms_vni_entry *)(ruleset->base + head->vnis);
	uint32_t i = vni_hash(vni) & head->vnis_mask;

	while (vnis[i].vni1 != 0 && vnis[i].vni1 != vni + 1)
		i = (i + 1) & head->vnis_mask;
	return &vnis[i];
}

/* Which entry decides about the packet; MS_ENTRY_NONE with *fate set if none does. */
static inline uint32_t
find_entry(const struct ms_ruleset *ruleset, const struct ms_packet *p, uint8_t *fate)
{
	const struct ms_vni_entry *vni = find_vni(ruleset, p->vni);
	uint32_t found = MS_ENTRY_NONE;

	*fate = MS_FATE_SESSION_UNKNOWN;
	if (vni->vni1 == 0)
		return MS_ENTRY_NONE;
	if (vni->sources)
		found = find_source(ruleset, p);
	if (found == MS_ENTRY_NONE)
		found = vni->any;
	if (found == MS_ENTRY_NONE && ruleset->head->strict)
		*fate = MS_FATE_SOURCE_MISMATCH;
	return found;
}

/* Gives a session that nobody configured its slot; the registry may be full. */
static inline void
learn(struct ms_session_registry *registry, struct ms_packet *p)
{
	p->session = ms_session_learn(registry, p->vni, p->source, p->source_family);
	if (p->session == MS_SESSION_NONE)
		p->fate = MS_FATE_SESSION_UNKNOWN;
}

void
ms_ruleset_session_burst(const struct ms_ruleset *ruleset, struct ms_session_registry *registry,
	struct ms_packet *packets, uint16_t n)
{
	const struct ms_session_entry *entries = ms_ruleset_entries(ruleset);
	const struct ms_session_entry stranger = {
		.slot = MS_SESSION_NONE, .policy = ruleset->head->learn_policy};

	for (uint16_t i = 0; i < n; i++) {
		const struct ms_session_entry *entry = &stranger;
		struct ms_packet *p = &packets[i];
		uint32_t found;
		uint8_t fate;

		if (p->fate != MS_FATE_NONE)
			continue;
		found = find_entry(ruleset, p, &fate);
		if (found != MS_ENTRY_NONE) {
			entry = &entries[found];
		} else if (stranger.policy == 0 || fate == MS_FATE_SOURCE_MISMATCH) {
			p->fate = fate;
			continue;
		}
		p->session = entry->slot;
		p->policy = entry->policy;
		p->eni_mac = entry->eni_mac;
		if (p->session == MS_SESSION_NONE)
			learn(registry, p);
	}
}
