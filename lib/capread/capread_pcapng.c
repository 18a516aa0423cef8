/* SPDX-License-Identifier: BSD-3-Clause */
/* The blocks of a pcapng: sections, interfaces, packets, statistics. */
#include "capread_private.h"

#include <inttypes.h>

#define SECTION         0x0a0d0d0au
#define INTERFACE       1u
#define OBSOLETE_PACKET 2u
#define SIMPLE_PACKET   3u
#define STATISTICS      5u
#define ENHANCED_PACKET 6u

#define MAGIC   0x1a2b3c4du
#define TRAILER 4u /* the length, once more */

/* Up to the options, and the shortest block of each kind. */
#define BLOCK_HEADER      8u
#define BLOCK_MIN         (BLOCK_HEADER + TRAILER)
#define SECTION_HEADER    24u
#define INTERFACE_HEADER  16u
#define STATISTICS_HEADER 20u
#define PACKET_HEADER     28u

#define ISB_STARTTIME 2u
#define ISB_ENDTIME   3u
#define ISB_IFRECV    4u

static bool
damaged(struct ms_capread *reader, const char *what)
{
	return capread_stop(reader, MS_CAPREAD_DAMAGED, "%s", what);
}

/* A section's byte order decides how its own length is read. */
static bool
begin_section(struct ms_capread *reader)
{
	const uint8_t *block = capread_look(reader, SECTION_HEADER);
	uint32_t magic;

	if (block == NULL)
		return false;
	memcpy(&magic, block + BLOCK_HEADER, sizeof(magic));
	if (magic != MAGIC && magic != bswap_32(MAGIC))
		return capread_stop(reader, MS_CAPREAD_DAMAGED,
			"a section whose byte-order magic is 0x%08" PRIx32, magic);
	reader->swapped = magic != MAGIC;
	if (capread_16(reader, block + 12) != 1)
		return capread_stop(reader, MS_CAPREAD_DAMAGED,
			"a section of version %u: only version 1 can be read",
			capread_16(reader, block + 12));
	reader->section = reader->interfaces_n;
	return true;
}

static bool
take_interface(struct ms_capread *reader, uint8_t *block, uint32_t length)
{
	int64_t bytes;

	if (length < INTERFACE_HEADER + TRAILER)
		return damaged(reader, "an interface's block is too short");
	bytes = capread_options(reader, CAPREAD_INTERFACE, block + INTERFACE_HEADER,
		length - INTERFACE_HEADER - TRAILER);
	if (bytes < 0)
		return damaged(reader, "an interface's option is longer than its block");
	return capread_add_interface(reader, capread_16(reader, block + 8),
		capread_32(reader, block + 12), block + INTERFACE_HEADER, (uint32_t)bytes);
}

static bool
take_packet(struct ms_capread *reader, uint8_t *block, uint32_t length,
	struct ms_capread_packet *packet)
{
	uint32_t room, interface, captured;
	uint8_t *options;
	int64_t bytes;

	if (length < PACKET_HEADER + TRAILER)
		return damaged(reader, "a packet's block is too short");
	room = length - PACKET_HEADER - TRAILER;
	interface = capread_32(reader, block + 8);
	captured = capread_32(reader, block + 20);
	if (interface >= reader->interfaces_n - reader->section)
		return capread_stop(reader, MS_CAPREAD_DAMAGED,
			"a packet of interface %" PRIu32 ", where there are %" PRIu32, interface,
			reader->interfaces_n - reader->section);
	if (captured > room || capread_padded(captured) > room)
		return damaged(reader, "a packet is longer than its block");
	options = block + PACKET_HEADER + capread_padded(captured);
	bytes = capread_options(reader, CAPREAD_PACKET, options, room - capread_padded(captured));
	if (bytes < 0)
		return damaged(reader, "a packet's option is longer than its block");
	*packet = (struct ms_capread_packet){
		.time = capread_time(reader, block + 12),
		.interface = reader->section + interface,
		.captured = captured,
		.original = capread_32(reader, block + 24),
		.data = block + PACKET_HEADER,
		.options = options,
		.options_bytes = (uint32_t)bytes,
	};
	capread_settle(reader, packet);
	return true;
}

/* Options are in this machine's byte order; a time has its more significant half first. */
static void
read_statistics(struct ms_capread_statistics *s, const uint8_t *options, uint32_t bytes)
{
	uint16_t length, ends;
	const uint8_t *start = ms_capread_option(options, bytes, ISB_STARTTIME, &length);
	const uint8_t *end = ms_capread_option(options, bytes, ISB_ENDTIME, &ends);
	uint32_t half[2];

	if (start != NULL && end != NULL && length == sizeof(half) && ends == sizeof(half)) {
		s->has_time = true;
		memcpy(half, start, sizeof(half));
		s->start = (uint64_t)half[0] << 32 | half[1];
		memcpy(half, end, sizeof(half));
		s->end = (uint64_t)half[0] << 32 | half[1];
	}
	for (unsigned int i = 0; i < MS_CAPREAD_COUNTS; i++) {
		const uint8_t *count =
			ms_capread_option(options, bytes, (uint16_t)(ISB_IFRECV + i), &length);

		if (count != NULL && length == sizeof(s->counts[i])) {
			s->has |= 1u << i;
			memcpy(&s->counts[i], count, sizeof(s->counts[i]));
		}
	}
}

static bool
take_statistics(struct ms_capread *reader, uint8_t *block, uint32_t length)
{
	struct ms_capread_statistics s = {.known = true};
	uint32_t interface;
	int64_t bytes;

	if (length < STATISTICS_HEADER + TRAILER)
		return damaged(reader, "a statistics block is too short");
	interface = capread_32(reader, block + 8);
	if (interface >= reader->interfaces_n - reader->section)
		return capread_stop(reader, MS_CAPREAD_DAMAGED,
			"statistics of interface %" PRIu32 ", where there are %" PRIu32, interface,
			reader->interfaces_n - reader->section);
	bytes = capread_options(reader, CAPREAD_STATISTICS, block + STATISTICS_HEADER,
		length - STATISTICS_HEADER - TRAILER);
	if (bytes < 0)
		return damaged(reader, "an option of statistics is longer than its block");
	s.written = capread_time(reader, block + 12);
	read_statistics(&s, block + STATISTICS_HEADER, (uint32_t)bytes);
	reader->interfaces[reader->section + interface].statistics = s;
	return true;
}

/* Returns true if packet was set. */
static bool
take_block(struct ms_capread *reader, uint8_t *block, uint32_t length,
	struct ms_capread_packet *packet)
{
	switch (capread_32(reader, block)) {
	case SECTION:
		break;
	case INTERFACE:
		take_interface(reader, block, length);
		break;
	case STATISTICS:
		take_statistics(reader, block, length);
		break;
	case ENHANCED_PACKET:
		return take_packet(reader, block, length, packet);
	case SIMPLE_PACKET:
		damaged(reader, "a Simple Packet Block, which has no time");
		break;
	case OBSOLETE_PACKET:
		damaged(reader, "an obsolete Packet Block; editcap makes it a new one");
		break;
	default:
		reader->others++;
	}
	return false;
}

/* The whole block at the window's start, and its length; NULL after capread_stop(). */
static uint8_t *
whole_block(struct ms_capread *reader, uint32_t *length)
{
	uint8_t *block = capread_look(reader, BLOCK_HEADER);

	if (block == NULL)
		return NULL;
	if (capread_32(reader, block) == SECTION) {
		if (!begin_section(reader))
			return NULL;
		block = capread_look(reader, BLOCK_HEADER);
	}
	*length = capread_32(reader, block + 4);
	if (capread_32(reader, block) == 0 && *length == 0) {
		capread_stop(reader, MS_CAPREAD_TORN, "zeros where a block should begin");
		return NULL;
	}
	if (*length < BLOCK_MIN || *length % 4 != 0 || *length > MS_CAPREAD_BLOCK_MAX ||
		(capread_32(reader, block) == SECTION && *length < SECTION_HEADER + TRAILER)) {
		capread_stop(reader, MS_CAPREAD_DAMAGED, "a block of %" PRIu32 " bytes", *length);
		return NULL;
	}
	block = capread_look(reader, *length);
	if (block != NULL && capread_32(reader, block + *length - TRAILER) != *length) {
		capread_stop(reader, MS_CAPREAD_DAMAGED,
			"a block's length is %" PRIu32 " at its beginning, and %" PRIu32
			" at its end",
			*length, capread_32(reader, block + *length - TRAILER));
		return NULL;
	}
	return block;
}

bool
capread_pcapng_block(struct ms_capread *reader, struct ms_capread_packet *packet)
{
	uint32_t length = 0;
	uint8_t *block = whole_block(reader, &length);
	bool is_packet;

	if (block == NULL)
		return false;
	is_packet = take_block(reader, block, length, packet);
	if (reader->result == MS_CAPREAD_PACKET)
		capread_skip(reader, length);
	return is_packet;
}
