/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Texts to values and back: addresses, CIDR blocks, MAC addresses, sizes. Pure; the messages are
 * config_field.c's.
 */
#include "config/config_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

/*
 * An IPv4 address as they are mostly written, up to a character. False: it may
 * be one all the same, and is left to inet_pton().
 */
static bool
parse_plain_v4(const char *text, char end, uint32_t *address, const char **rest)
{
	uint32_t all = 0;

	for (unsigned int i = 0; i < 4; i++) {
		unsigned int byte = (unsigned char)*text - '0';

		if (byte > 9)
			return false;
		for (text++; byte != 0 && *text >= '0' && *text <= '9' && byte < 256; text++)
			byte = byte * 10 + (unsigned int)(*text - '0');
		if (byte > 255 || *text != (i < 3 ? '.' : end))
			return false;
		all = all << 8 | byte;
		text++;
	}
	*address = all;
	*rest = text;
	return true;
}

static bool
parse_ip(const char *text, struct ms_prefix *out)
{
	struct in_addr v4;
	uint64_t v6[2];

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*out = (struct ms_prefix){
			.ip.lo = ntohl(v4.s_addr), .family = MS_FAMILY_V4, .length = 32};
		return true;
	}
	if (inet_pton(AF_INET6, text, v6) == 1) {
		*out = (struct ms_prefix){.ip = {.hi = be64toh(v6[0]), .lo = be64toh(v6[1])},
			.family = MS_FAMILY_V6,
			.length = 128};
		return true;
	}
	return false;
}

/* The first n bits of a 64-bit half. */
static uint64_t
mask(int n)
{
	if (n <= 0)
		return 0;
	return n >= 64 ? UINT64_MAX : UINT64_MAX << (64 - n);
}

/* The address before a slash, and what is behind it. */
static bool
parse_to_slash(const char *text, struct ms_prefix *out, const char **rest)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN];
	size_t length = slash == NULL ? 0 : (size_t)(slash - text);

	if (slash == NULL || length >= sizeof(address))
		return false;
	memcpy(address, text, length);
	address[length] = '\0';
	*rest = slash + 1;
	return parse_ip(address, out);
}

/* Host bits become 0, as AWS makes them when a rule is created. */
bool
config_parse_cidr(const char *text, struct ms_prefix *out)
{
	unsigned int bits = 0;
	const char *p, *digits;
	uint32_t v4;

	if (parse_plain_v4(text, '/', &v4, &digits))
		*out = (struct ms_prefix){.ip.lo = v4, .family = MS_FAMILY_V4, .length = 32};
	else if (!parse_to_slash(text, out, &digits))
		return false;
	for (p = digits; isdigit((unsigned char)*p) && p - digits <= 2; p++)
		bits = bits * 10 + (unsigned int)(*p - '0');
	if (p == digits || *p != '\0' || bits > out->length)
		return false;

	out->length = (uint8_t)bits;
	if (out->family == MS_FAMILY_V4) {
		out->ip.lo &= mask((int)bits) >> 32;
	} else {
		out->ip.hi &= mask((int)bits);
		out->ip.lo &= mask((int)bits - 64);
	}
	return true;
}

bool
config_parse_address(const char *text, enum ms_family family, struct ms_prefix *out)
{
	struct ms_prefix prefix;

	if (!parse_ip(text, &prefix) || (family != MS_FAMILY_NONE && prefix.family != family))
		return false;
	*out = prefix;
	return true;
}

bool
config_parse_mac(const char *text, uint64_t *out)
{
	uint64_t mac = 0;

	for (unsigned int i = 0; i < 6; i++) {
		char digits[3] = {text[0], text[0] == '\0' ? '\0' : text[1], '\0'};

		if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]) ||
			text[2] != (i < 5 ? ':' : '\0'))
			return false;
		mac = mac << 8 | strtoul(digits, NULL, 16);
		text += 3;
	}
	*out = mac;
	return true;
}

/* Digits and one of the binary units, with nothing between: no unit is ambiguous then. */
bool
config_parse_size(const char *text, uint64_t *out)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	uint64_t size = 0;
	const char *p = text;

	for (; isdigit((unsigned char)*p); p++) {
		if (__builtin_mul_overflow(size, 10, &size) ||
			__builtin_add_overflow(size, (uint64_t)(*p - '0'), &size))
			return false;
	}
	if (p == text)
		return false;
	if (*p == '\0') {
		*out = size;
		return true;
	}
	for (unsigned int i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(p, units[i]) == 0)
			return !__builtin_mul_overflow(size, UINT64_C(1) << 10 * i, out);
	}
	return false;
}

struct config_printed
config_print_address(const struct ms_prefix *prefix)
{
	struct config_printed printed;
	struct in_addr v4 = {.s_addr = htonl((uint32_t)prefix->ip.lo)};
	uint64_t v6[2] = {htobe64(prefix->ip.hi), htobe64(prefix->ip.lo)};

	if (prefix->family == MS_FAMILY_V4)
		inet_ntop(AF_INET, &v4, printed.text, sizeof(printed.text));
	else
		inet_ntop(AF_INET6, v6, printed.text, sizeof(printed.text));
	return printed;
}

struct config_printed
config_print_cidr(const struct ms_prefix *prefix)
{
	struct config_printed printed = config_print_address(prefix);
	size_t used = strlen(printed.text);

	snprintf(printed.text + used, sizeof(printed.text) - used, "/%u", prefix->length);
	return printed;
}

struct config_printed
config_print_mac(uint64_t mac)
{
	struct config_printed printed;

	snprintf(printed.text, sizeof(printed.text), "%02x:%02x:%02x:%02x:%02x:%02x",
		(unsigned int)(mac >> 40 & 0xff), (unsigned int)(mac >> 32 & 0xff),
		(unsigned int)(mac >> 24 & 0xff), (unsigned int)(mac >> 16 & 0xff),
		(unsigned int)(mac >> 8 & 0xff), (unsigned int)(mac & 0xff));
	return printed;
}
