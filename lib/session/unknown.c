/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of unknown sessions: open addressing with few probes, so that a packet costs the same
 * however many strangers there are. Entries are never taken out.
 */
#include "session/ms_unknown.h"

/* Places that are looked at before a packet counts among the others. */
#define PROBES 16

static bool
is_same(const struct ms_unknown_entry *entry, uint32_t vni, uint8_t family, struct ms_ip source)
{
	return entry->vni == vni && entry->source_family == family &&
	       ms_ip_equal(entry->source, source);
}

void
ms_unknown_add(struct ms_unknown *unknown, const struct ms_packet *packet)
{
	uint32_t hash = (packet->vni ^ (uint32_t)packet->source.lo ^ (uint32_t)packet->source.hi) *
	                2654435761u;

	for (uint32_t i = 0; i < PROBES; i++) {
		struct ms_unknown_entry *entry =
			&unknown->entries[((hash >> 16) + i) % MS_UNKNOWN_MAX];

		if (ms_count_read(&entry->packets) == 0) {
			entry->source = packet->source;
			entry->vni = packet->vni;
			entry->source_family = packet->source_family;
			/* pairs with the acquire in ms_unknown_sum() */
			atomic_store_explicit(&entry->packets, 1, memory_order_release);
			return;
		}
		if (is_same(entry, packet->vni, packet->source_family, packet->source)) {
			ms_count_add(&entry->packets, 1);
			return;
		}
	}
	ms_count_add(&unknown->others, 1);
}

uint32_t
ms_unknown_sum(const struct ms_unknown *unknown, struct ms_unknown_entry *sum, uint32_t n,
	uint32_t room, uint64_t *others)
{
	*others += ms_count_read(&unknown->others);
	for (uint32_t i = 0; i < MS_UNKNOWN_MAX; i++) {
		const struct ms_unknown_entry *entry = &unknown->entries[i];
		uint64_t packets = atomic_load_explicit(&entry->packets, memory_order_acquire);
		uint32_t j = 0;

		if (packets == 0)
			continue;
		while (j < n && !is_same(&sum[j], entry->vni, entry->source_family, entry->source))
			j++;
		if (j == room) {
			*others += packets;
			continue;
		}
		if (j == n) {
			sum[n].source = entry->source;
			sum[n].vni = entry->vni;
			sum[n].source_family = entry->source_family;
			atomic_init(&sum[n++].packets, 0);
		}
		ms_count_add(&sum[j].packets, packets);
	}
	return n;
}
