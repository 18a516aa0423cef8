/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of capread share: capread.c has the window over the source and the interfaces,
 * capread_pcapng.c and capread_pcap.c one format each, capread_options.c options.
 */
#pragma once

#include <byteswap.h>
#include <string.h>

#include "capread/ms_capread.h"

#define CAPREAD_PROBLEM 256

#define OPT_ENDOFOPT 0u
#define IF_TSRESOL   9u
#define IF_TSOFFSET  14u

enum capread_format { CAPREAD_UNKNOWN, CAPREAD_PCAPNG, CAPREAD_PCAP };

struct ms_capread {
	struct ms_capread_source source;
	uint64_t offset; /* in the file, of buffer[start] */
	size_t start;    /* buffer[start..end) was read and not taken yet */
	size_t end;
	size_t room;
	uint8_t *buffer;
	bool ended; /* the source has no more */
	enum capread_format format;
	bool swapped;       /* this section, or the pcap */
	uint32_t section;   /* its first interface */
	uint8_t resolution; /* pcap: digits of a fraction of a second */
	struct ms_capread_interface *interfaces;
	uint32_t interfaces_n;
	uint64_t others;
	enum ms_capread_result result; /* MS_CAPREAD_PACKET: go on */
	char problem[CAPREAD_PROBLEM];
};

static inline uint16_t
capread_16(const struct ms_capread *reader, const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return reader->swapped ? bswap_16(value) : value;
}

static inline uint32_t
capread_32(const struct ms_capread *reader, const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return reader->swapped ? bswap_32(value) : value;
}

/* pcapng: the more significant half comes first, whatever the byte order. */
static inline uint64_t
capread_time(const struct ms_capread *reader, const uint8_t *at)
{
	return (uint64_t)capread_32(reader, at) << 32 | capread_32(reader, at + 4);
}

/* How much room values and options take, padded. */
static inline uint32_t
capread_padded(uint32_t bytes)
{
	return (bytes + 3u) & ~3u;
}

/* capread.c */

/*
 * The next n bytes, which stay where they are until the next call; NULL if there are fewer, or no
 * memory, and then reader->result says so.
 */
uint8_t *capread_look(struct ms_capread *reader, size_t n);

/* Goes on behind them. */
void capread_skip(struct ms_capread *reader, size_t n);

/* Ends the reading here, and says why. Returns false. */
bool __attribute__((format(printf, 3, 4)))
capread_stop(struct ms_capread *reader, enum ms_capread_result result, const char *format, ...);

/*
 * Takes in an interface; options are copied, and looked into for the resolution of time. Returns
 * false after capread_stop().
 */
bool capread_add_interface(struct ms_capread *reader, uint16_t link_type, uint32_t snaplen,
	const uint8_t *options, uint32_t bytes);

/* Sets packet->ns from its time and interface, and counts it. */
void capread_settle(struct ms_capread *reader, struct ms_capread_packet *packet);

/* capread_options.c */

enum capread_block { CAPREAD_INTERFACE, CAPREAD_PACKET, CAPREAD_STATISTICS };

/*
 * Turns the options of a block, bytes long, in place into this machine's byte order, if they are
 * not. Returns their length without opt_endofopt and what follows it, or -1 if they don't fit.
 */
int64_t capread_options(const struct ms_capread *reader, enum capread_block block, uint8_t *options,
	uint32_t bytes);

/* capread_pcapng.c, capread_pcap.c: each takes in one block or record, that at the window's start.
 * Returns true if packet was set. */
bool capread_pcapng_block(struct ms_capread *reader, struct ms_capread_packet *packet);
bool capread_pcap_header(struct ms_capread *reader);
bool capread_pcap_record(struct ms_capread *reader, struct ms_capread_packet *packet);
