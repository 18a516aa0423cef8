/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds how much of a capture file is whole: up to the last block, or record, that is all there and
 * does not contradict itself. A process that was killed leaves the beginning of what it would have
 * written, then perhaps zeros, or a block of which the end is missing.
 *
 * Reads through a window of fixed size. The longest block that we write is far smaller; one that
 * does not fit is none of ours, and ends what is whole.
 */
#include "filestore/filestore_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#define WINDOW (1u << 20)

/* pcapng, https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/ */
#define SECTION_HEADER    0x0a0d0d0au
#define BYTE_ORDER_MAGIC  0x1a2b3c4du
#define INTERFACE         1u
#define PACKET            6u
#define BLOCK_MIN         12u
#define SECTION_BYTES     28u
#define INTERFACE_BYTES   20u
#define PACKET_BYTES      32u
#define OPTION_NAME       2u
#define INTERFACE_OPTIONS 16u

#define PCAP_NANOSECOND   0xa1b23c4du
#define PCAP_HEADER       24u
#define PCAP_PACKET_BYTES 16u
#define NS_PER_SECOND     UINT64_C(1000000000)

#define BLOCK        4096 /* what a file system writes at once, at least */
#define SESSIONS_MAX (1u << 18)
#define NAME_ROOM    256

struct window {
	int fd;
	int error;
	uint64_t at;                     /* of the first byte here; compressed: of what is in it */
	struct filestore_unpacked bytes; /* that were read */
	struct filestore_unpack *unpack; /* NULL: it is not compressed */
	struct filestore_place whole;
};

/* Reads more. Returns false if there is none. */
static bool
read_more(struct window *w)
{
	struct filestore_unpacked *b = &w->bytes;
	ssize_t got;

	if (w->unpack != NULL) {
		if (b->have == 0) /* a block and a record end here */
			w->whole = filestore_unpack_place(w->unpack);
		got = filestore_unpack_block(w->unpack, b);
		w->error = got < 0 ? (int)got : w->error;
		return got > 0;
	}
	do
		got = pread(w->fd, b->data + b->have, b->room - b->have, (off_t)(w->at + b->have));
	while (got < 0 && errno == EINTR);
	if (got < 0)
		w->error = -errno;
	else
		b->have += got;
	return got > 0;
}

/* The n bytes at an offset that never goes back; NULL if they are not there, or more than fit. */
static const uint8_t *
look(struct window *w, uint64_t offset, size_t n)
{
	struct filestore_unpacked *b = &w->bytes;
	size_t skip = offset - w->at;

	if (n > WINDOW)
		return NULL;
	if (offset > w->at + b->have)
		skip = b->have;
	if (skip + n <= b->have)
		return b->data + skip;
	memmove(b->data, b->data + skip, b->have - skip);
	b->have -= skip;
	w->at = offset;
	while (b->have < n) {
		if (!read_more(w))
			return NULL;
	}
	return b->data;
}

static uint32_t
word(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint16_t
half(const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static void
count(struct filestore_scan *scan, uint64_t time, uint32_t captured)
{
	scan->first = scan->packets == 0 || time < scan->first ? time : scan->first;
	scan->last = scan->packets == 0 || time > scan->last ? time : scan->last;
	scan->packets++;
	scan->payload += captured;
}

/* Remembers an interface's name. Returns false if there is no memory, or are too many. */
static bool
add_interface(struct filestore_scan *scan, const uint8_t *block, uint32_t length)
{
	const uint8_t *at = block + INTERFACE_OPTIONS, *end = block + length - 4;
	uint32_t n = scan->sessions_n;
	struct filestore_scan_session *more;
	char name[NAME_ROOM] = "";

	while (end - at >= 4 && half(at) != 0) {
		uint16_t size = half(at + 2);

		if (end - at - 4 < size)
			break;
		if (half(at) == OPTION_NAME)
			snprintf(name, sizeof(name), "%.*s", size, (const char *)at + 4);
		at += 4 + ((size + 3u) & ~3u);
	}
	if ((n & (n - 1)) == 0) { /* it doubles */
		more = n < SESSIONS_MAX
		               ? realloc(scan->sessions, (n == 0 ? 1 : 2 * n) * sizeof(*more))
		               : NULL;
		if (more == NULL)
			return false;
		scan->sessions = more;
	}
	scan->sessions[n] = (struct filestore_scan_session){.name = strdup(name)};
	scan->sessions_n += scan->sessions[n].name != NULL;
	return scan->sessions_n > n;
}

/* Takes one whole block in. Returns false if it contradicts itself. */
static bool
take_block(struct filestore_scan *scan, const uint8_t *block, uint32_t length)
{
	uint32_t interface, captured;

	switch (word(block)) {
	case 0: /* reserved; zeros that were never written over */
		return false;
	case SECTION_HEADER:
		/* interfaces are numbered anew; ours have one section */
		return scan->bytes == 0 && length >= SECTION_BYTES;
	case INTERFACE:
		return length >= INTERFACE_BYTES && add_interface(scan, block, length);
	case PACKET:
		if (length < PACKET_BYTES)
			return false;
		interface = word(block + 8);
		captured = word(block + 20);
		if (interface >= scan->sessions_n || captured > length - PACKET_BYTES)
			return false;
		count(scan, (uint64_t)word(block + 12) << 32 | word(block + 16), captured);
		scan->sessions[interface].packets++;
		return true;
	default:
		return true;
	}
}

static void
scan_pcapng(struct window *w, struct filestore_scan *scan)
{
	const uint8_t *block;
	uint32_t length;

	while ((block = look(w, scan->bytes, BLOCK_MIN)) != NULL) {
		length = word(block + 4);
		if (length < BLOCK_MIN || length % 4 != 0)
			return;
		block = look(w, scan->bytes, length);
		if (block == NULL || word(block + length - 4) != length ||
			!take_block(scan, block, length))
			return;
		scan->bytes += length;
	}
}

/*
 * Takes the record in at which the scan stands. Returns false if it is not whole, or none; *zeros:
 * there are zeros instead.
 */
static bool
take_record(struct window *w, struct filestore_scan *scan, uint32_t snaplen, bool *zeros)
{
	static const uint8_t nothing[PCAP_PACKET_BYTES];
	const uint8_t *record = look(w, scan->bytes, PCAP_PACKET_BYTES);
	uint32_t captured, nanosecond;
	uint64_t time;

	*zeros = false;
	if (record == NULL)
		return false;
	*zeros = memcmp(record, nothing, sizeof(nothing)) == 0;
	nanosecond = word(record + 4);
	captured = word(record + 8);
	if (*zeros || nanosecond >= NS_PER_SECOND || captured > snaplen ||
		captured > word(record + 12))
		return false;
	time = word(record) * NS_PER_SECOND + nanosecond;
	record = look(w, scan->bytes, PCAP_PACKET_BYTES + (size_t)captured);
	if (record == NULL)
		return false;
	count(scan, time, captured);
	scan->bytes += PCAP_PACKET_BYTES + captured;
	return true;
}

/*
 * Blocks of a file can be missing, and read as zeros, where later ones were written. A pcap record
 * says nothing at its end, so the last one before zeros is not believed if it reaches into another
 * block and ends in a zero itself. What is compressed does not unpack with zeros in it, as a rule.
 */
static void
scan_pcap(struct window *w, struct filestore_scan *scan)
{
	uint32_t snaplen = word(w->bytes.data + 16);
	struct filestore_scan before, here;
	const uint8_t *end;
	bool zeros;

	scan->bytes = PCAP_HEADER;
	before = here = *scan;
	while (take_record(w, scan, snaplen, &zeros)) {
		before = here;
		here = *scan;
	}
	if (w->unpack != NULL || !zeros || scan->packets == 0 ||
		before.bytes / BLOCK == (scan->bytes - 1) / BLOCK)
		return;
	/* the window is behind it by now */
	w->bytes.have = 0;
	w->at = scan->bytes - 1;
	end = look(w, scan->bytes - 1, 1);
	if (end != NULL && *end == 0)
		*scan = before;
}

/* Is there any byte but zeros? */
static bool
has_content(struct window *w)
{
	const uint8_t *byte;

	for (uint64_t at = 0; (byte = look(w, at, 1)) != NULL; at++) {
		if (*byte != 0)
			return true;
	}
	return false;
}

static enum filestore_kind
kind_of(struct window *w)
{
	const uint8_t *header = look(w, 0, 4);
	uint32_t magic = header != NULL ? word(header) : 0;

	if (magic == SECTION_HEADER) {
		header = look(w, 0, BLOCK_MIN);
		if (header == NULL || word(header + 8) == BYTE_ORDER_MAGIC)
			return header == NULL ? FILESTORE_NOTHING : FILESTORE_PCAPNG;
		return FILESTORE_FOREIGN;
	}
	if (magic == PCAP_NANOSECOND)
		return look(w, 0, PCAP_HEADER) == NULL ? FILESTORE_NOTHING : FILESTORE_PCAP;
	if (header == NULL) /* less than a magic number */
		return FILESTORE_NOTHING;
	return has_content(w) ? FILESTORE_FOREIGN : FILESTORE_NOTHING;
}

/* Looks whether the file is compressed. Returns false if it is and can't be read. */
static bool
open_packed(struct window *w, uint64_t limit)
{
	const uint8_t *header = look(w, 0, FILESTORE_UNPACK_HEADER);
	enum filestore_packing packing =
		header != NULL ? filestore_unpack_kind(header) : FILESTORE_NOT_PACKED;

	if (packing == FILESTORE_NOT_PACKED || packing == FILESTORE_PACKED_OTHERWISE)
		return packing == FILESTORE_NOT_PACKED;
	w->unpack = filestore_unpack_begin(w->fd, packing, limit);
	w->bytes.have = 0;
	if (w->unpack == NULL)
		w->error = -ENOMEM;
	return w->unpack != NULL;
}

/* A compressed file, up to the limit. *again: less of it is whole, up to there; or 0. */
static int
scan_to(int fd, struct filestore_scan *scan, uint64_t limit, uint64_t *again)
{
	struct window w = {.fd = fd, .bytes = {.data = malloc(WINDOW), .room = WINDOW}};

	*scan = (struct filestore_scan){0};
	*again = 0;
	if (w.bytes.data == NULL)
		return -ENOMEM;
	scan->kind = open_packed(&w, limit) ? kind_of(&w) : FILESTORE_FOREIGN;
	if (scan->kind == FILESTORE_PCAPNG)
		scan_pcapng(&w, scan);
	else if (scan->kind == FILESTORE_PCAP)
		scan_pcap(&w, scan);
	if (scan->bytes == 0 && scan->kind == FILESTORE_PCAPNG)
		scan->kind = FILESTORE_NOTHING;
	if (w.unpack != NULL) {
		if (scan->bytes != w.whole.unpacked)
			*again = w.whole.file;
		scan->bytes = w.whole.file;
		scan->ending_n = filestore_unpack_missing(w.unpack, scan->ending);
		filestore_unpack_end(w.unpack);
	}
	free(w.bytes.data);
	return w.error;
}

int
filestore_scan(int fd, struct filestore_scan *scan)
{
	uint64_t again;
	int error = scan_to(fd, scan, UINT64_MAX, &again);

	if (error == 0 && again != 0) {
		filestore_scan_free(scan);
		error = scan_to(fd, scan, again, &again);
	}
	return error;
}

void
filestore_scan_free(struct filestore_scan *scan)
{
	for (uint32_t i = 0; i < scan->sessions_n; i++)
		free(scan->sessions[i].name);
	free(scan->sessions);
}

/* Feeds a digest with the first bytes of a file. Returns 0 or -errno. */
static int
digest(int fd, uint64_t bytes, EVP_MD_CTX *context, uint8_t *data)
{
	uint64_t at = 0;
	ssize_t n;

	while (at < bytes) {
		n = pread(fd, data, bytes - at < WINDOW ? bytes - at : WINDOW, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0 || EVP_DigestUpdate(context, data, n) != 1)
			return -EIO;
		at += n;
	}
	return 0;
}

void
filestore_hexadecimal(
	const uint8_t sha256[static MS_CAPFILE_SHA256], char hex[static FILESTORE_HEX])
{
	for (unsigned int i = 0; i < MS_CAPFILE_SHA256; i++)
		snprintf(hex + 2 * i, 3, "%02x", sha256[i]);
}

int
filestore_hash(int fd, uint64_t bytes, char hex[static FILESTORE_HEX])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t *data = malloc(WINDOW);
	uint8_t sha256[MS_CAPFILE_SHA256];
	int error = -ENOMEM;

	if (context != NULL && data != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1)
		error = digest(fd, bytes, context, data);
	if (error == 0 && EVP_DigestFinal_ex(context, sha256, NULL) != 1)
		error = -EIO;
	if (error == 0)
		filestore_hexadecimal(sha256, hex);
	EVP_MD_CTX_free(context);
	free(data);
	return error;
}
