/* SPDX-License-Identifier: BSD-3-Clause */
/* The window over the source, which format it is, the interfaces, and time. */
#include "capread_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUFFER_MIN        64u
#define NS_PER_SECOND     UINT64_C(1000000000)
#define RESOLUTION_MICROS 6u

/* The first four bytes of a file, as they read on this machine. */
#define PCAPNG_SECTION   0x0a0d0d0au /* in either byte order */
#define PCAP_MICROSECOND 0xa1b2c3d4u
#define PCAP_NANOSECOND  0xa1b23c4du

struct ms_capread *
ms_capread_create(const struct ms_capread_source *source, size_t buffer_bytes)
{
	struct ms_capread *reader = calloc(1, sizeof(*reader));

	if (reader == NULL)
		return NULL;
	reader->source = *source;
	reader->room = buffer_bytes > BUFFER_MIN ? buffer_bytes : BUFFER_MIN;
	reader->buffer = malloc(reader->room);
	if (reader->buffer == NULL) {
		free(reader);
		return NULL;
	}
	return reader;
}

void
ms_capread_free(struct ms_capread *reader)
{
	if (reader == NULL)
		return;
	for (uint32_t i = 0; i < reader->interfaces_n; i++)
		free((uint8_t *)reader->interfaces[i].options);
	free(reader->interfaces);
	free(reader->buffer);
	free(reader);
}

bool
capread_stop(struct ms_capread *reader, enum ms_capread_result result, const char *format, ...)
{
	va_list args;
	int n;

	reader->result = result;
	n = snprintf(reader->problem, sizeof(reader->problem),
		"at byte %llu: ", (unsigned long long)reader->offset);
	va_start(args, format);
	vsnprintf(reader->problem + n, sizeof(reader->problem) - n, format, args);
	va_end(args);
	return false;
}

/* Makes room for n bytes from the window's start on. */
static bool
make_room(struct ms_capread *reader, size_t n)
{
	uint8_t *more;

	if (reader->start + n <= reader->room)
		return true;
	memmove(reader->buffer, reader->buffer + reader->start, reader->end - reader->start);
	reader->end -= reader->start;
	reader->start = 0;
	if (n <= reader->room)
		return true;
	more = realloc(reader->buffer, n);
	if (more == NULL)
		return capread_stop(
			reader, MS_CAPREAD_DAMAGED, "no memory for a block of %zu bytes", n);
	reader->buffer = more;
	reader->room = n;
	return true;
}

uint8_t *
capread_look(struct ms_capread *reader, size_t n)
{
	if (reader->end - reader->start >= n)
		return reader->buffer + reader->start;
	if (!make_room(reader, n))
		return NULL;
	while (reader->end - reader->start < n && !reader->ended) {
		ssize_t got = reader->source.read(reader->source.arg, reader->buffer + reader->end,
			reader->room - reader->end);

		if (got < 0) {
			capread_stop(reader, MS_CAPREAD_DAMAGED, "%s", strerror((int)-got));
			return NULL;
		}
		reader->ended = got == 0;
		reader->end += (size_t)got;
	}
	if (reader->end - reader->start >= n)
		return reader->buffer + reader->start;
	if (reader->end == reader->start)
		reader->result = MS_CAPREAD_END;
	else
		capread_stop(reader, MS_CAPREAD_TORN, "ends amid a block: %zu bytes of %zu",
			reader->end - reader->start, n);
	return NULL;
}

void
capread_skip(struct ms_capread *reader, size_t n)
{
	reader->start += n;
	reader->offset += n;
}

/* How many units a second has by if_tsresol, 0 if that is more than 64 bits can say. */
static uint64_t
units_of(uint8_t resolution)
{
	uint64_t units = 1;

	if ((resolution & 0x80) != 0)
		return (resolution & 0x7f) < 64 ? UINT64_C(1) << (resolution & 0x7f) : 0;
	if (resolution > 19)
		return 0;
	while (resolution-- > 0)
		units *= 10;
	return units;
}

/* Makes room for one more. */
static bool
grow_interfaces(struct ms_capread *reader)
{
	uint32_t n = reader->interfaces_n;
	struct ms_capread_interface *more;

	if (n >= MS_CAPREAD_INTERFACES_MAX)
		return capread_stop(reader, MS_CAPREAD_DAMAGED, "more than %u interfaces",
			MS_CAPREAD_INTERFACES_MAX);
	if ((n & (n - 1)) != 0) /* it doubles */
		return true;
	more = realloc(reader->interfaces, (n == 0 ? 1 : 2 * (size_t)n) * sizeof(*more));
	if (more == NULL)
		return capread_stop(reader, MS_CAPREAD_DAMAGED, "no memory for its interfaces");
	reader->interfaces = more;
	return true;
}

bool
capread_add_interface(struct ms_capread *reader, uint16_t link_type, uint32_t snaplen,
	const uint8_t *options, uint32_t bytes)
{
	struct ms_capread_interface new = {
		.link_type = link_type, .snaplen = snaplen, .options_bytes = bytes};
	const uint8_t *value;
	uint8_t resolution = RESOLUTION_MICROS;
	uint8_t *copy;
	uint16_t length;

	value = ms_capread_option(options, bytes, IF_TSRESOL, &length);
	if (value != NULL && length == 1)
		resolution = *value;
	new.units = units_of(resolution);
	if (new.units == 0)
		return capread_stop(reader, MS_CAPREAD_DAMAGED,
			"an interface's if_tsresol is %u, finer than can be read", resolution);
	value = ms_capread_option(options, bytes, IF_TSOFFSET, &length);
	if (value != NULL && length == sizeof(new.seconds))
		memcpy(&new.seconds, value, sizeof(new.seconds));
	if (!grow_interfaces(reader))
		return false;
	copy = malloc(bytes + 1); /* never of 0 bytes */
	if (copy == NULL)
		return capread_stop(reader, MS_CAPREAD_DAMAGED, "no memory for its interfaces");
	if (bytes > 0)
		memcpy(copy, options, bytes);
	new.options = copy;
	reader->interfaces[reader->interfaces_n++] = new;
	return true;
}

/* Nanoseconds since 1970; what does not fit is the nearest that does. */
static uint64_t
nanoseconds(const struct ms_capread_interface *interface, uint64_t time)
{
	__int128 seconds = (__int128)(time / interface->units) + interface->seconds;
	unsigned __int128 rest = time % interface->units;
	unsigned __int128 ns;

	if (seconds < 0)
		return 0;
	ns = (unsigned __int128)seconds * NS_PER_SECOND + rest * NS_PER_SECOND / interface->units;
	return ns < UINT64_MAX ? (uint64_t)ns : UINT64_MAX;
}

void
capread_settle(struct ms_capread *reader, struct ms_capread_packet *packet)
{
	struct ms_capread_interface *interface = &reader->interfaces[packet->interface];

	packet->ns = nanoseconds(interface, packet->time);
	interface->packets++;
}

/* Finds out the format, and takes in a pcap's header. */
static void
begin(struct ms_capread *reader)
{
	const uint8_t *first = capread_look(reader, sizeof(uint32_t));
	uint32_t magic;

	if (first == NULL) {
		if (reader->result == MS_CAPREAD_END)
			capread_stop(reader, MS_CAPREAD_TORN, "the file is empty");
		return;
	}
	magic = capread_32(reader, first);
	if (magic == PCAPNG_SECTION) {
		reader->format = CAPREAD_PCAPNG;
		return;
	}
	reader->swapped = magic == bswap_32(PCAP_MICROSECOND) || magic == bswap_32(PCAP_NANOSECOND);
	magic = capread_32(reader, first);
	if (magic == PCAP_MICROSECOND || magic == PCAP_NANOSECOND) {
		reader->resolution = magic == PCAP_NANOSECOND ? 9 : RESOLUTION_MICROS;
		reader->format = CAPREAD_PCAP;
		capread_pcap_header(reader);
	} else if (magic == 0) {
		capread_stop(reader, MS_CAPREAD_TORN, "zeros, and not the beginning of a capture");
	} else {
		capread_stop(reader, MS_CAPREAD_DAMAGED,
			"begins with 0x%08x: neither pcapng nor pcap", magic);
	}
}

enum ms_capread_result
ms_capread_next(struct ms_capread *reader, struct ms_capread_packet *packet)
{
	if (reader->format == CAPREAD_UNKNOWN && reader->result == MS_CAPREAD_PACKET)
		begin(reader);
	while (reader->result == MS_CAPREAD_PACKET) {
		if (reader->format == CAPREAD_PCAPNG ? capread_pcapng_block(reader, packet)
						     : capread_pcap_record(reader, packet))
			return MS_CAPREAD_PACKET;
	}
	return reader->result;
}

const char *
ms_capread_problem(const struct ms_capread *reader)
{
	return reader->problem;
}

uint32_t
ms_capread_interfaces(const struct ms_capread *reader)
{
	return reader->interfaces_n;
}

const struct ms_capread_interface *
ms_capread_interface(const struct ms_capread *reader, uint32_t interface)
{
	return &reader->interfaces[interface];
}

uint64_t
ms_capread_others(const struct ms_capread *reader)
{
	return reader->others;
}
