/* SPDX-License-Identifier: BSD-3-Clause */
#include "files_time.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_SECOND UINT64_C(1000000000)
#define SECONDS_MAX   (UINT64_MAX / NS_PER_SECOND - 1)
#define DIGITS_MAX    19

/* A number of min to max digits at *text, which goes on behind it. */
static bool
number(const char **text, int min, int max, uint64_t *value)
{
	int n = 0;

	*value = 0;
	for (; n < max && isdigit((unsigned char)**text); n++)
		*value = *value * 10 + (uint64_t)(*(*text)++ - '0');
	return n >= min && !isdigit((unsigned char)**text);
}

static bool
sign(const char **text, char c)
{
	if (**text != c)
		return false;
	(*text)++;
	return true;
}

/* ".5" is half a second; nothing is none. What is finer than a nanosecond is left out. */
static bool
fraction(const char **text, uint64_t *ns)
{
	uint64_t unit = NS_PER_SECOND;

	*ns = 0;
	if (!sign(text, '.'))
		return true;
	if (!isdigit((unsigned char)**text))
		return false;
	for (; isdigit((unsigned char)**text); (*text)++) {
		unit /= 10;
		*ns += unit * (uint64_t)(**text - '0');
	}
	return true;
}

static bool
since_1970(const char *text, uint64_t *ns)
{
	uint64_t seconds, rest;

	if (!number(&text, 1, DIGITS_MAX, &seconds) || !fraction(&text, &rest) || *text != '\0' ||
		seconds > SECONDS_MAX)
		return false;
	*ns = seconds * NS_PER_SECOND + rest;
	return true;
}

static bool
ago(const char *text, struct timespec now, uint64_t *ns)
{
	static const struct {
		char name;
		uint32_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	uint64_t amount, rest, then = (uint64_t)now.tv_sec;

	if (!number(&text, 1, DIGITS_MAX, &amount) || !fraction(&text, &rest) || text[0] == '\0' ||
		text[1] != '\0')
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (units[i].name != text[0])
			continue;
		if (amount >= then / units[i].seconds)
			return false;
		*ns = then * NS_PER_SECOND + (uint64_t)now.tv_nsec -
		      (amount * NS_PER_SECOND + rest) * units[i].seconds;
		return true;
	}
	return false;
}

/* "Z" or "+01:00", in seconds east of Greenwich. */
static bool
zone(const char **text, int64_t *east)
{
	bool west = **text == '-';
	uint64_t hours, minutes;

	*east = 0;
	if (sign(text, 'Z') || sign(text, 'z'))
		return true;
	if (!sign(text, '+') && !sign(text, '-'))
		return false;
	if (!number(text, 2, 2, &hours) || !sign(text, ':') || !number(text, 2, 2, &minutes) ||
		hours > 23 || minutes > 59)
		return false;
	*east = (int64_t)(hours * 3600 + minutes * 60) * (west ? -1 : 1);
	return true;
}

static bool
rfc3339(const char *text, uint64_t *ns)
{
	uint64_t year, month, day, hour, minute, second, rest;
	struct tm tm, same;
	int64_t east, seconds;

	if (!number(&text, 4, 4, &year) || !sign(&text, '-') || !number(&text, 2, 2, &month) ||
		!sign(&text, '-') || !number(&text, 2, 2, &day) ||
		!(sign(&text, 'T') || sign(&text, 't') || sign(&text, ' ')) ||
		!number(&text, 2, 2, &hour) || !sign(&text, ':') || !number(&text, 2, 2, &minute) ||
		!sign(&text, ':') || !number(&text, 2, 2, &second) || !fraction(&text, &rest) ||
		!zone(&text, &east) || *text != '\0')
		return false;
	tm = (struct tm){.tm_year = (int)year - 1900,
		.tm_mon = (int)month - 1,
		.tm_mday = (int)day,
		.tm_hour = (int)hour,
		.tm_min = (int)minute,
		.tm_sec = second == 60 ? 59 : (int)second}; /* a leap second is the one before */
	same = tm;
	seconds = timegm(&tm) - east;
	/* what is no date becomes another one */
	if (second > 60 || tm.tm_mon != same.tm_mon || tm.tm_mday != same.tm_mday ||
		tm.tm_hour != same.tm_hour || tm.tm_min != same.tm_min || seconds < 0 ||
		(uint64_t)seconds > SECONDS_MAX)
		return false;
	*ns = (uint64_t)seconds * NS_PER_SECOND + rest;
	return true;
}

bool
files_time_parse(const char *text, struct timespec now, uint64_t *ns)
{
	if (text[0] == '@')
		return since_1970(text + 1, ns);
	if (text[0] == '-')
		return ago(text + 1, now, ns);
	return rfc3339(text, ns);
}

const char *
files_time_text(uint64_t ns, char *out)
{
	time_t seconds = (time_t)(ns / NS_PER_SECOND);
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(out, FILES_TIME_ROOM, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, FILES_TIME_ROOM - n, ".%09" PRIu64 "Z", ns % NS_PER_SECOND);
	return out;
}
