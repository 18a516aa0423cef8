/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The encoder of everything in a capture file but the packets, which capfile_burst.c writes: the
 * pcap header, and pcapng's section, interface and statistics blocks. All in the byte order of the
 * machine, which both formats allow. Pure functions over memory.
 */
#include "capfile_private.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include <rte_common.h>

#define PCAP_MAGIC_NANOSECONDS 0xa1b23c4du

#define PCAPNG_SECTION    0x0a0d0d0au
#define PCAPNG_INTERFACE  1u
#define PCAPNG_STATISTICS 5u
#define PCAPNG_BYTE_ORDER 0x1a2b3c4du

#define OPT_ENDOFOPT      0
#define SHB_OS            3
#define SHB_USERAPPL      4
#define IF_NAME           2
#define IF_DESCRIPTION    3
#define IF_TSRESOL        9
#define ISB_STARTTIME     2
#define ISB_ENDTIME       3
#define ISB_IFRECV        4
#define ISB_IFDROP        5
#define LINKTYPE_ETHERNET 1

static uint8_t *
put(uint8_t *at, const void *bytes, size_t n)
{
	memcpy(at, bytes, n);
	return at + n;
}

static uint8_t *
put16(uint8_t *at, uint16_t value)
{
	return put(at, &value, sizeof(value));
}

static uint8_t *
put32(uint8_t *at, uint32_t value)
{
	return put(at, &value, sizeof(value));
}

/* Timestamps have their more significant half first, whatever the byte order. */
static uint8_t *
put_time(uint8_t *at, uint64_t time)
{
	return put32(put32(at, time >> 32), (uint32_t)time);
}

static uint8_t *
put_option(uint8_t *at, uint16_t code, const void *value, uint16_t n)
{
	static const uint8_t zeros[4];

	at = put(put16(put16(at, code), n), value, n);
	return put(at, zeros, -n & 3);
}

/* A text option, UTF-8, cut between characters to MS_CAPFILE_TEXT_MAX; none if text is NULL. */
static uint8_t *
put_text(uint8_t *at, uint16_t code, const char *text)
{
	size_t n;

	if (text == NULL)
		return at;
	n = strlen(text);
	if (n > MS_CAPFILE_TEXT_MAX)
		for (n = MS_CAPFILE_TEXT_MAX; n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80; n--)
			;
	return put_option(at, code, text, n);
}

static uint8_t *
put_time_option(uint8_t *at, uint16_t code, uint64_t time)
{
	uint8_t value[8];

	put_time(value, time);
	return put_option(at, code, value, sizeof(value));
}

/* Ends the options of a block and the block, and writes its length at both ends. */
static uint8_t *
block_end(uint8_t *block, uint8_t *at)
{
	uint32_t length;

	at = put16(put16(at, OPT_ENDOFOPT), 0);
	length = at + sizeof(length) - block;
	put32(block + 4, length);
	return put32(at, length);
}

uint8_t *
ms_pcap_header(uint8_t *at, uint32_t snaplen)
{
	at = put32(at, PCAP_MAGIC_NANOSECONDS);
	at = put16(put16(at, 2), 4); /* version */
	at = put32(put32(at, 0), 0); /* reserved, once time zone and accuracy */
	return put32(put32(at, snaplen), LINKTYPE_ETHERNET);
}

uint8_t *
ms_pcapng_section(uint8_t *at, const char *application)
{
	uint8_t *block = at;
	struct utsname host;
	char os[sizeof(host.sysname) + sizeof(host.release) + 1];
	int64_t unknown = -1; /* the section's length: it ends where the file does */

	at = put32(put32(at, PCAPNG_SECTION), 0);
	at = put32(at, PCAPNG_BYTE_ORDER);
	at = put16(put16(at, 1), 0); /* version */
	at = put(at, &unknown, sizeof(unknown));
	if (uname(&host) == 0) {
		snprintf(os, sizeof(os), "%s %s", host.sysname, host.release);
		at = put_text(at, SHB_OS, os);
	}
	at = put_text(at, SHB_USERAPPL, application);
	return block_end(block, at);
}

uint8_t *
ms_pcapng_interface(uint8_t *at, const char *name, const char *description, uint32_t snaplen)
{
	uint8_t *block = at;
	uint8_t nanoseconds = 9; /* 10^-9 s */

	at = put32(put32(at, PCAPNG_INTERFACE), 0);
	at = put16(put16(at, LINKTYPE_ETHERNET), 0);
	at = put32(at, snaplen);
	at = put_text(at, IF_NAME, name);
	at = put_text(at, IF_DESCRIPTION, description);
	at = put_option(at, IF_TSRESOL, &nanoseconds, sizeof(nanoseconds));
	return block_end(block, at);
}

uint8_t *
ms_pcapng_statistics(
	uint8_t *at, const struct ms_capfile_session *session, uint64_t first, uint64_t last)
{
	uint8_t *block = at;

	at = put32(put32(at, PCAPNG_STATISTICS), 0);
	at = put32(at, session->interface - 1);
	at = put_time(at, last);
	at = put_time_option(at, ISB_STARTTIME, first);
	at = put_time_option(at, ISB_ENDTIME, last);
	at = put_option(at, ISB_IFRECV, &session->offered, sizeof(session->offered));
	at = put_option(at, ISB_IFDROP, &session->dropped, sizeof(session->dropped));
	return block_end(block, at);
}
