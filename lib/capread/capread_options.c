/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of pcapng's blocks: whether they fit, their byte order, and finding one. */
#include "capread_private.h"

#include <stdlib.h>

#define HEADER 4u /* code and length */

/* Custom options, in all blocks: an enterprise number, 32 bits, and then bytes of which nobody else
 * knows the order. */
#define CUSTOM_TEXT            2988u
#define CUSTOM_BYTES           2989u
#define CUSTOM_TEXT_NOT_COPIED 19372u
#define CUSTOM_NOT_COPIED      19373u

#define IF_SPEED      8u
#define IF_TZONE      10u
#define IF_TXSPEED    16u
#define IF_RXSPEED    17u
#define EPB_FLAGS     2u
#define EPB_DROPCOUNT 4u
#define EPB_PACKETID  5u
#define EPB_QUEUE     6u
#define EPB_PROCESS   8u
#define ISB_STARTTIME 2u
#define ISB_ENDTIME   3u

/* How many bytes an option's numbers have, 0 if it has none; times are two numbers of 4. */
static unsigned int
number_bytes(enum capread_block block, uint16_t code)
{
	switch (block) {
	case CAPREAD_INTERFACE:
		if (code == IF_SPEED || code == IF_TSOFFSET || code == IF_TXSPEED ||
			code == IF_RXSPEED)
			return 8;
		return code == IF_TZONE ? 4 : 0;
	case CAPREAD_PACKET:
		if (code == EPB_DROPCOUNT || code == EPB_PACKETID)
			return 8;
		return code == EPB_FLAGS || code == EPB_QUEUE || code == EPB_PROCESS ? 4 : 0;
	case CAPREAD_STATISTICS:
		if (code == ISB_STARTTIME || code == ISB_ENDTIME)
			return 4;
		return code > ISB_ENDTIME && code <= ISB_ENDTIME + MS_CAPREAD_COUNTS ? 8 : 0;
	}
	return 0;
}

static void
swap_32(uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	value = bswap_32(value);
	memcpy(at, &value, sizeof(value));
}

static void
swap_64(uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	value = bswap_64(value);
	memcpy(at, &value, sizeof(value));
}

static void
swap_value(enum capread_block block, uint16_t code, uint8_t *value, uint16_t length)
{
	unsigned int bytes = number_bytes(block, code);

	if (code == CUSTOM_TEXT || code == CUSTOM_BYTES || code == CUSTOM_TEXT_NOT_COPIED ||
		code == CUSTOM_NOT_COPIED) {
		if (length >= sizeof(uint32_t))
			swap_32(value);
		return;
	}
	if (bytes == 0 || length % bytes != 0)
		return;
	for (unsigned int i = 0; i < length; i += bytes) {
		if (bytes == sizeof(uint32_t))
			swap_32(value + i);
		else
			swap_64(value + i);
	}
}

/* The header, too. */
static void
swap(enum capread_block block, uint8_t *option, uint16_t code, uint16_t length)
{
	memcpy(option, &code, sizeof(code));
	memcpy(option + sizeof(code), &length, sizeof(length));
	swap_value(block, code, option + HEADER, length);
}

int64_t
capread_options(
	const struct ms_capread *reader, enum capread_block block, uint8_t *options, uint32_t bytes)
{
	uint32_t at = 0;

	while (bytes - at >= HEADER) {
		uint16_t code = capread_16(reader, options + at);
		uint16_t length = capread_16(reader, options + at + 2);

		if (code == OPT_ENDOFOPT)
			return at;
		if (capread_padded(length) > bytes - at - HEADER)
			return -1;
		if (reader->swapped)
			swap(block, options + at, code, length);
		at += HEADER + capread_padded(length);
	}
	return at;
}

const uint8_t *
ms_capread_option(const uint8_t *options, uint32_t options_bytes, uint16_t code, uint16_t *length)
{
	uint16_t this;

	for (uint32_t at = 0; at < options_bytes; at += HEADER + capread_padded(*length)) {
		memcpy(&this, options + at, sizeof(this));
		memcpy(length, options + at + sizeof(this), sizeof(*length));
		if (this == code)
			return options + at + HEADER;
	}
	return NULL;
}

char *
ms_capread_text(const struct ms_capread_interface *interface, uint16_t code)
{
	uint16_t length = 0;
	const uint8_t *value =
		ms_capread_option(interface->options, interface->options_bytes, code, &length);

	return strndup(value != NULL ? (const char *)value : "", value != NULL ? length : 0);
}
