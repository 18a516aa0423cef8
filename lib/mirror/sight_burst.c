/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From parsed frames to sightings. Filters are asked in rounds over the whole burst: each
 * sighting's first session in the first one, and in the next those whose session did not accept,
 * about the session that follows.
 */
#include "mirror/exclude_lookup.h"
#include "mirror/mirror_internal.h"

#include "filter/ms_filter_lookup.h"

/* In packet->fate: no filter is to be asked about it, now or any more. */
#define SETTLED MS_FATE_DELIVERED

static inline uint32_t
find_eni(const struct ms_mirror *mirror, uint64_t mac)
{
	uint32_t i = mirror_hash(mac) & mirror->places_mask;

	while (mirror->places[i].mac != mac && mirror->places[i].mac != 0)
		i = (i + 1) & mirror->places_mask;
	return mirror->places[i].eni;
}

/* Has the session of its number asked about a sighting, or settles it if there are no more. */
static inline void
ask(const struct ms_mirror *mirror, struct ms_mirror_sighting *sighting, uint32_t session,
	enum ms_mirror_fate otherwise)
{
	sighting->session = session;
	if (session == mirror->enis[sighting->eni].end) {
		sighting->fate = (uint8_t)otherwise;
		sighting->packet->fate = SETTLED;
		return;
	}
	sighting->packet->policy = mirror->sessions[session].policy;
	sighting->packet->fate = MS_FATE_NONE;
}

/* What an ENI makes of a frame before any filter is asked. */
static inline void
begin(const struct ms_mirror *mirror, struct ms_mirror_sighting *sighting)
{
	const struct ms_mirror_eni *eni = &mirror->enis[sighting->eni];
	struct ms_packet *packet = sighting->packet;

	packet->direction = sighting->direction;
	sighting->fate = (uint8_t)exclude(packet);
	if (unlikely(sighting->fate != MS_MIRROR_TAKEN))
		return;
	if (unlikely(is_amazon_dns(eni, &packet->key)) && eni->first != eni->end)
		ask(mirror, sighting, eni->dns, MS_MIRROR_EXCLUDED_DNS);
	else
		ask(mirror, sighting, eni->first, MS_MIRROR_NO_SESSION);
}

/* Returns how many sessions are to be asked, 0 or 1. */
static inline uint16_t
add(const struct ms_mirror *mirror, struct ms_mirror_sightings *s,
	struct ms_mirror_sighting sighting)
{
	sighting.packet->fate = SETTLED;
	sighting.packet->policy = 0;
	if (sighting.eni == MS_MIRROR_NONE)
		sighting.fate = MS_MIRROR_NO_ENI;
	else
		begin(mirror, &sighting);
	s->list[s->n++] = sighting;
	return sighting.packet->fate == MS_FATE_NONE;
}

/* Who sees frame i. Returns how many sessions are to be asked. */
static inline uint16_t
see(const struct ms_mirror *mirror, struct ms_packet *packet, uint8_t i,
	struct ms_mirror_sightings *s)
{
	uint32_t from = find_eni(mirror, packet->mac_src);
	uint32_t to = find_eni(mirror, packet->mac_dst);
	struct ms_mirror_sighting sighting = {
		.packet = packet,
		.eni = from,
		.frame = i,
		.direction = MS_DIRECTION_EGRESS,
	};
	uint16_t waiting;

	if (from == MS_MIRROR_NONE) {
		sighting.eni = to;
		sighting.direction =
			to != MS_MIRROR_NONE ? MS_DIRECTION_INGRESS : MS_DIRECTION_UNKNOWN;
	}
	waiting = add(mirror, s, sighting);
	if (likely(from == MS_MIRROR_NONE || to == MS_MIRROR_NONE || from == to))
		return waiting;
	sighting.packet = &s->twins[s->twins_n++];
	*sighting.packet = *packet;
	sighting.eni = to;
	sighting.direction = MS_DIRECTION_INGRESS;
	return waiting + add(mirror, s, sighting);
}

/* Takes what the filters said, and has the next sessions asked. Returns how many. */
static inline uint16_t
hear(const struct ms_mirror *mirror, struct ms_mirror_sightings *s)
{
	uint16_t waiting = 0;

	for (uint16_t i = 0; i < s->n; i++) {
		struct ms_mirror_sighting *sighting = &s->list[i];
		struct ms_packet *packet = sighting->packet;

		if (packet->fate == SETTLED)
			continue;
		if (packet->fate == MS_FATE_NONE) {
			packet->fate = SETTLED;
			continue;
		}
		sighting->rejected |= packet->fate == MS_FATE_FILTER_REJECT;
		if (sighting->rejected && mirror->stop_at_reject)
			sighting->session = mirror->enis[sighting->eni].end - 1;
		ask(mirror, sighting, sighting->session + 1,
			sighting->rejected ? MS_MIRROR_FILTER_REJECT : MS_MIRROR_FILTER_DEFAULT);
		waiting += packet->fate == MS_FATE_NONE;
	}
	return waiting;
}

void
ms_mirror_burst(const struct ms_mirror *mirror, struct ms_packet *packets, uint16_t n,
	struct ms_mirror_sightings *sightings)
{
	uint16_t waiting = 0;

	sightings->n = 0;
	sightings->twins_n = 0;
	for (uint16_t i = 0; i < n; i++)
		waiting += see(mirror, &packets[i], (uint8_t)i, sightings);
	while (waiting > 0) {
		ms_filter_burst(mirror->filters.base, packets, n, mirror->hits);
		ms_filter_burst(
			mirror->filters.base, sightings->twins, sightings->twins_n, mirror->hits);
		waiting = hear(mirror, sightings);
	}
}
