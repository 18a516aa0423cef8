/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fingerprints of a burst of frames, and what the table says of them. The hash multiplies two words
 * to 128 bits and folds the halves together, in two lanes, so that the multiplications of one do
 * not wait for those of the other.
 */
#include "dedup/ms_dedup.h"

#include "dedup/dedup_internal.h"
#include "packet/ms_wire.h"

#include <rte_prefetch.h>

/* Bytes that one step of the hash takes. */
#define STEP 32

/* Behind the IP header, of a frame that was cut: ports, sequence numbers and checksum. */
#define TRANSPORT_LEAST 20

/* Where the EtherType is; what stands before it, the MAC addresses, is not compared. */
#define FROM 12

/*
 * The first step, which holds all that is left out of an IP header: which of its bytes count, for
 * no IP, and for either version behind so many VLAN tags. TTL stands at 8 in an IPv4 header, its
 * checksum at 10 and 11, the hop limit at 7 in that of IPv6; the header begins 2 bytes behind FROM,
 * and 4 more for each tag.
 */
enum {
	MASK_PLAIN,
	MASK_V4,
	MASK_V6 = MASK_V4 + MS_VLAN_TAGS + 1,
	MASKS = MASK_V6 + MS_VLAN_TAGS + 1
};

#define ALL8  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
#define ALL4  0xff, 0xff, 0xff, 0xff
#define V4_20 ALL8, 0, 0xff, 0, 0, ALL8
#define V6_20 ALL4, 0xff, 0xff, 0xff, 0, ALL8, ALL4

static const uint8_t masks[MASKS][STEP] = {
	[MASK_PLAIN] = {ALL8, ALL8, ALL8, ALL8},
	[MASK_V4 + 0] = {0xff, 0xff, V4_20, ALL8, 0xff, 0xff},
	[MASK_V4 + 1] = {ALL4, 0xff, 0xff, V4_20, ALL4, 0xff, 0xff},
	[MASK_V4 + 2] = {ALL8, 0xff, 0xff, V4_20, 0xff, 0xff},
	[MASK_V6 + 0] = {0xff, 0xff, V6_20, ALL8, 0xff, 0xff},
	[MASK_V6 + 1] = {ALL4, 0xff, 0xff, V6_20, ALL4, 0xff, 0xff},
	[MASK_V6 + 2] = {ALL8, 0xff, 0xff, V6_20, 0xff, 0xff},
};

static inline uint64_t
fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/*
 * How many bytes of a frame are compared, from its first on, and by which mask; 0 if too little of
 * it is here to tell it from others.
 */
static inline uint32_t
extent(const uint8_t *frame, uint32_t length, unsigned int *mask)
{
	uint32_t at = MS_ETHER_HDR, tags = 0, header, total;
	uint16_t type;

	*mask = MASK_PLAIN;
	if (length < MS_ETHER_HDR)
		return 0;
	type = ms_be16(frame + FROM);
	for (; tags < MS_VLAN_TAGS && ms_is_vlan(type) && length >= at + MS_VLAN_HDR; tags++) {
		type = ms_be16(frame + at + 2);
		at += MS_VLAN_HDR;
	}
	if (type == RTE_ETHER_TYPE_IPV4) {
		if (length < at + MS_IPV4_HDR)
			return 0;
		header = (frame[at] & 0x0fu) * 4;
		total = ms_be16(frame + at + 2); /* 0: longer than 65,535 bytes */
		if (frame[at] >> 4 != 4 || header < MS_IPV4_HDR || (total != 0 && total < header))
			return length;
		*mask = MASK_V4 + tags;
	} else if (type == RTE_ETHER_TYPE_IPV6) {
		if (length < at + MS_IPV6_HDR)
			return 0;
		header = MS_IPV6_HDR;
		total = ms_be16(frame + at + 4); /* 0: as above */
		if (frame[at] >> 4 != 6)
			return length;
		total += total != 0 ? header : 0;
		*mask = MASK_V6 + tags;
	} else {
		return length;
	}
	if (total == 0)
		return length;
	if (at + total <= length)
		return at + total;
	return length >= at + header + TRANSPORT_LEAST ? length : 0;
}

/* The bytes p[at..n), fewer than STEP, in as many words as a step has, zeros behind them. */
static inline void
load_rest(const uint8_t *p, uint32_t at, uint32_t n, uint64_t words[STEP / 8])
{
	memset(words, 0, STEP);
	memcpy(words, p + at, n - at);
}

/* The hash of p[0..n), the first step under a mask; extra is of what else must be equal. */
static inline uint64_t
hash(const uint64_t *keys, const uint8_t *p, uint32_t n, const uint8_t *mask, uint64_t extra)
{
	uint64_t words[STEP / 8], a, b;
	uint32_t at = STEP;

	if (n >= STEP)
		memcpy(words, p, STEP);
	else
		load_rest(p, 0, n, words);
	a = fold(
		(words[0] & ms_load64(mask)) ^ keys[0], (words[1] & ms_load64(mask + 8)) ^ keys[1]);
	b = fold((words[2] & ms_load64(mask + 16)) ^ keys[2],
		(words[3] & ms_load64(mask + 24)) ^ keys[3]);
	for (; at + STEP <= n; at += STEP) {
		a = fold(ms_load64(p + at) ^ keys[0], ms_load64(p + at + 8) ^ a);
		b = fold(ms_load64(p + at + 16) ^ keys[2], ms_load64(p + at + 24) ^ b);
	}
	if (at < n) {
		/* the last whole step again where it can't meet the mask's bytes: no copy is needed
		 */
		if (n >= 2 * STEP)
			memcpy(words, p + n - STEP, STEP);
		else
			load_rest(p, at, n, words);
		a = fold(words[0] ^ keys[0], words[1] ^ a);
		b = fold(words[2] ^ keys[2], words[3] ^ b);
	}
	return fold(fold(a ^ n, b ^ keys[4]) ^ extra, keys[5]);
}

/* 0 for a frame that can't be told from others. */
static inline uint64_t
fingerprint(const struct ms_dedup *dedup, const struct ms_frame *frame)
{
	uint64_t extra = (uint64_t)frame->outputs << 32 | (frame->session & dedup->session_mask);
	const uint8_t *bytes;
	unsigned int mask;
	uint64_t value;
	uint32_t n;

	if (frame->data != 0)
		bytes = (const uint8_t *)frame->mbuf + frame->data + frame->offset;
	else
		bytes = rte_pktmbuf_read(frame->mbuf, (uint32_t)frame->offset,
			(uint32_t)frame->length, dedup->scratch);
	n = extent(bytes, (uint32_t)frame->length, &mask);
	if (n == 0)
		return 0;
	value = hash(dedup->keys, bytes + FROM, n - FROM, masks[mask], extra);
	return value != 0 ? value : 1;
}

static inline struct dedup_bucket *
bucket_of(const struct ms_dedup *dedup, uint64_t value)
{
	return &dedup->buckets[(value >> 32) * dedup->buckets_n >> 32];
}

/* Was one of this kind seen within the window? If not, this one is remembered. */
static inline bool
seen(struct ms_dedup *dedup, uint64_t value, uint64_t timestamp)
{
	struct dedup_bucket *bucket = bucket_of(dedup, value);
	struct dedup_entry *victim = bucket->entries;
	uint64_t farthest = 0;

	for (unsigned int i = 0; i < MS_DEDUP_WAYS; i++) {
		struct dedup_entry *entry = &bucket->entries[i];
		uint64_t distance = timestamp > entry->timestamp ? timestamp - entry->timestamp
		                                                 : entry->timestamp - timestamp;

		if (entry->fingerprint == value) {
			if (distance <= dedup->window_ns)
				return true;
			entry->timestamp = timestamp;
			return false;
		}
		if (entry->fingerprint == 0)
			distance = UINT64_MAX;
		if (distance > farthest) {
			farthest = distance;
			victim = entry;
		}
	}
	if (farthest <= dedup->window_ns)
		ms_count_add(&dedup->evicted, 1);
	victim->fingerprint = value;
	victim->timestamp = timestamp;
	return false;
}

uint16_t
ms_dedup_burst(
	struct ms_dedup *dedup, struct ms_frame *frames, uint16_t n, struct ms_frame *duplicates)
{
	uint64_t values[MS_BURST];
	uint16_t kept = 0, copies = 0;

	for (uint16_t i = 0; i < n; i++) {
		values[i] = fingerprint(dedup, &frames[i]);
		rte_prefetch0(bucket_of(dedup, values[i]));
	}
	for (uint16_t i = 0; i < n; i++) {
		if (values[i] != 0 && seen(dedup, values[i], frames[i].timestamp))
			duplicates[copies++] = frames[i];
		else
			frames[kept++] = frames[i];
	}
	return kept;
}
