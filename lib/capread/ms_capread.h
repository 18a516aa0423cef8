/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads capture files: pcapng (IETF draft-ietf-opsawg-pcapng) and pcap (draft-ietf-opsawg-pcap), of
 * either byte order, in one pass and in memory that does not grow with the file. It keeps what
 * libpcap does not tell: the interfaces with all of their options, those of packets, and
 * statistics. So a file can be written again with nothing lost.
 *
 * Total over any bytes: a file is read up to the first block that is not whole or contradicts
 * itself, and what is wrong there is told. Stands on nothing; capfile, which writes such files, is
 * its neighbour. A reader belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Longer blocks, or packets of a pcap, end what can be read: the longest packet is 256 KiB. */
#define MS_CAPREAD_BLOCK_MAX (16u << 20)

/* In one file, all of its sections together. */
#define MS_CAPREAD_INTERFACES_MAX (1u << 20)

/* Options, as they stand in pcapng: code, length, value, padding to 4 bytes. */
#define MS_CAPREAD_IF_NAME        2u
#define MS_CAPREAD_IF_DESCRIPTION 3u

/* Where bytes come from: a file, or what decompresses one. */
struct ms_capread_source {
	/* As read(2): how many bytes, 0 at the end, or -errno. */
	ssize_t (*read)(void *arg, void *bytes, size_t n);
	void *arg;
};

/* What an Interface Statistics Block counts, in the order of its options, from isb_ifrecv on. */
enum ms_capread_count {
	MS_CAPREAD_RECEIVED,
	MS_CAPREAD_DROPPED,
	MS_CAPREAD_ACCEPTED,
	MS_CAPREAD_OS_DROPPED,
	MS_CAPREAD_DELIVERED,
	MS_CAPREAD_COUNTS,
};

/* The last statistics of an interface. Times are in its units. */
struct ms_capread_statistics {
	bool known;       /* there were any */
	bool has_time;    /* start and end; else they are 0 */
	uint32_t has;     /* which of counts: bits 1 << enum ms_capread_count */
	uint64_t written; /* the block's own time */
	uint64_t start;
	uint64_t end;
	uint64_t counts[MS_CAPREAD_COUNTS];
};

struct ms_capread_interface {
	uint16_t link_type;
	uint32_t snaplen; /* 0: not limited */
	/* Options as in pcapng, in this machine's byte order, without opt_endofopt. A pcap has one
	 * interface, with if_tsresol alone. */
	const uint8_t *options;
	uint32_t options_bytes;
	uint64_t units;   /* of timestamps, a second */
	int64_t seconds;  /* to be added to them */
	uint64_t packets; /* that were read so far */
	struct ms_capread_statistics statistics;
};

struct ms_capread_packet {
	uint64_t time;      /* in the interface's units, as it stands in the file */
	uint64_t ns;        /* the same in nanoseconds since 1970, or the nearest that fits */
	uint32_t interface; /* counted through all sections of the file */
	uint32_t captured;
	uint32_t original;
	uint32_t options_bytes;
	const uint8_t *data;    /* `captured` bytes; both are good until the next call */
	const uint8_t *options; /* as above, of an Enhanced Packet Block */
};

enum ms_capread_result {
	MS_CAPREAD_PACKET,
	MS_CAPREAD_END,
	MS_CAPREAD_TORN,    /* ends amid a block, or in zeros: perhaps it is still being written */
	MS_CAPREAD_DAMAGED, /* or could not be read: what stands from here on is not known */
};

struct ms_capread;

/*
 * buffer_bytes: how much is read at once; one that a longer block needs grows. Returns NULL for
 * want of memory. The source outlives the reader.
 */
struct ms_capread *ms_capread_create(const struct ms_capread_source *source, size_t buffer_bytes);
void ms_capread_free(struct ms_capread *reader);

/* The next packet. What is no packet is taken in on the way. After any other result, that again. */
enum ms_capread_result ms_capread_next(struct ms_capread *reader, struct ms_capread_packet *packet);

/* What is wrong, with its place: "at byte 4711: ...". "" if nothing is. */
const char *ms_capread_problem(const struct ms_capread *reader);

/* How many interfaces were found so far, and one of them; good until the next call of next(). */
uint32_t ms_capread_interfaces(const struct ms_capread *reader);
const struct ms_capread_interface *
ms_capread_interface(const struct ms_capread *reader, uint32_t interface);

/* Blocks that were passed over, being neither packets, interfaces nor statistics. */
uint64_t ms_capread_others(const struct ms_capread *reader);

/*
 * The value of the first option of this kind, *length bytes; NULL if there is none. options: of a
 * packet or an interface.
 */
const uint8_t *
ms_capread_option(const uint8_t *options, uint32_t options_bytes, uint16_t code, uint16_t *length);

/* The text of an interface's option, to be freed, "" if there is none; NULL for want of memory. */
char *ms_capread_text(const struct ms_capread_interface *interface, uint16_t code);
