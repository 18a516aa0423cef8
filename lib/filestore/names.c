/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Patterns of paths: how one is filled in, and whether a name on the disk is one of a pattern.
 *
 * A pattern is a row of tokens: characters that stand for themselves, strftime(3) conversions, and
 * fields in braces. What a field becomes never holds a slash, so a path has the depth of its
 * pattern. Matching goes over the tokens once, with the set of all places in the text that can have
 * been reached, so that no name, however made, takes long.
 */
#include "filestore/filestore_private.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#define TEXT_ROOM    256
#define SESSION_ROOM 129 /* beside it a name has more to say, and has 255 bytes */

enum kind { LITERAL, TIME, WORKER, SESSION, VNI, SEQUENCE, NUMBER };

struct token {
	enum kind kind;
	const char *at;
	size_t length;
};

static const struct {
	const char *text;
	enum kind kind;
} fields[] = {
	{"{worker}", WORKER}, {"{session}", SESSION}, {"{vni}", VNI}, {"{seq}", SEQUENCE},
	{"{#}", NUMBER}, /* ours alone: what makes a name another where it was taken */
};

/* Length of the conversion at p, flags and width included; 0: none. */
static size_t
conversion(const char *p, const char *end)
{
	const char *q = p + 1;

	if (*p != '%')
		return 0;
	while (q < end && strchr("_-0^#123456789EO", *q) != NULL && *q != '\0')
		q++;
	return q < end ? (size_t)(q + 1 - p) : 0;
}

/* The token at p, which is before end. Returns what follows it. */
static const char *
next_token(const char *p, const char *end, struct token *token)
{
	size_t n = conversion(p, end);

	*token = (struct token){.kind = LITERAL, .at = p, .length = 1};
	if (n == 2 && p[1] == '%') {
		token->at = p + 1;
		return p + 2;
	}
	if (n != 0) {
		token->kind = TIME;
		token->length = n;
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]) && *p == '{'; i++) {
		n = strlen(fields[i].text);
		if ((size_t)(end - p) >= n && memcmp(p, fields[i].text, n) == 0) {
			token->kind = fields[i].kind;
			token->length = n;
		}
	}
	return p + token->length;
}

/* Lets a text stand in a file's name. */
static void
sanitize(char *text)
{
	if (*text == '.')
		*text = '_';
	for (; *text != '\0'; text++) {
		if (*text == '/' || iscntrl((unsigned char)*text))
			*text = '_';
	}
}

/* What a token other than a literal becomes. */
static void
fill_in(const struct token *token, const struct filestore_fields *f, char out[static TEXT_ROOM])
{
	char format[TEXT_ROOM];
	struct tm tm;

	*out = '\0';
	switch (token->kind) {
	case TIME:
		localtime_r(&f->time, &tm);
		snprintf(format, sizeof(format), "%.*s", (int)token->length, token->at);
		if (strftime(out, TEXT_ROOM, format, &tm) == 0)
			*out = '\0';
		sanitize(out);
		break;
	case SESSION:
		strlcpy(out, f->session != NULL ? f->session : "", SESSION_ROOM);
		sanitize(out);
		break;
	case WORKER:
		snprintf(out, TEXT_ROOM, "%" PRIu32, f->worker);
		break;
	case VNI:
		snprintf(out, TEXT_ROOM, "%" PRIu32, f->vni);
		break;
	case SEQUENCE:
		snprintf(out, TEXT_ROOM, "%06" PRIu64, f->sequence);
		break;
	default:
		break;
	}
}

int
filestore_names_expand(const char *pattern, const struct filestore_fields *f, char *out)
{
	const char *end = pattern + strlen(pattern);
	char text[TEXT_ROOM];
	struct token token;
	size_t used = 0;

	while (pattern < end) {
		pattern = next_token(pattern, end, &token);
		if (token.kind == LITERAL)
			snprintf(text, sizeof(text), "%c", *token.at);
		else
			fill_in(&token, f, text);
		if (used + strlen(text) >= FILESTORE_PATH)
			return -ENAMETOOLONG;
		used += strlcpy(out + used, text, FILESTORE_PATH - used);
	}
	out[used] = '\0';
	return 0;
}

bool
filestore_names_has(const char *pattern, const char *field)
{
	return strstr(pattern, field) != NULL;
}

const char *
ms_filestore_unknown_field(const char *pattern, bool session)
{
	const char *end = pattern + strlen(pattern);
	struct token token;

	while (pattern < end) {
		pattern = next_token(pattern, end, &token);
		if ((token.kind == LITERAL && *token.at == '{') || token.kind == NUMBER ||
			(!session && (token.kind == SESSION || token.kind == VNI)))
			return token.at;
	}
	return NULL;
}

bool
filestore_names_varies(const char *pattern, size_t length)
{
	const char *end = pattern + length;
	struct token token;

	while (pattern < end) {
		pattern = next_token(pattern, end, &token);
		if (token.kind != LITERAL)
			return true;
	}
	return false;
}

/* The extension before that of compression, if there is one. */
static const char *
before_suffix(const char *name, const char *suffix)
{
	const char *dot = memrchr(name, '.', suffix - name);

	return dot != NULL ? dot : suffix;
}

int
filestore_names_insert(const char *path, const char *text, char *out)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash : path;
	const char *dot = strrchr(name, '.');
	int n;

	if (dot == NULL)
		dot = path + strlen(path);
	else if (strcmp(dot, ".zst") == 0 || strcmp(dot, ".lz4") == 0)
		dot = before_suffix(name, dot);
	n = snprintf(out, FILESTORE_PATH, "%.*s%s%s", (int)(dot - path), path, text, dot);
	return n < FILESTORE_PATH ? 0 : -ENAMETOOLONG;
}

int
filestore_names_numbered(const char *path, unsigned int number, char *out)
{
	char text[16] = "";

	if (number > 1)
		snprintf(text, sizeof(text), "-%u", number);
	return filestore_names_insert(path, text, out);
}

/* Digits that a conversion becomes, always so many; 0: any text. */
static size_t
digits_of(const struct token *token)
{
	if (token->length != 2)
		return 0;
	switch (token->at[1]) {
	case 'Y':
	case 'G':
		return 4;
	case 'j':
		return 3;
	case 'm':
	case 'd':
	case 'H':
	case 'I':
	case 'M':
	case 'S':
	case 'y':
	case 'g':
	case 'C':
	case 'U':
	case 'V':
	case 'W':
		return 2;
	case 'u':
	case 'w':
		return 1;
	default:
		return 0;
	}
}

static bool
is_digits(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!isdigit((unsigned char)text[i]))
			return false;
	}
	return true;
}

/* to[i]: i can be where the token ends, if it begins where from says; both have n + 1. */
static void
step(const struct token *token, const char *text, size_t n, const bool *from, bool *to)
{
	size_t digits = token->kind == TIME ? digits_of(token) : 0;
	bool any = token->kind == SESSION || (token->kind == TIME && digits == 0);
	bool within = false;

	memset(to, 0, n + 1);
	for (size_t i = 0; i < n; i++) {
		if (token->kind == LITERAL) {
			to[i + 1] = from[i] && text[i] == *token->at;
		} else if (digits != 0) {
			if (from[i] && i + digits <= n && is_digits(text + i, digits))
				to[i + digits] = true;
		} else {
			within |= from[i];
			within &= any ? text[i] != '/' : isdigit((unsigned char)text[i]) != 0;
			to[i + 1] = within;
		}
	}
	if (any) { /* that may be no text at all */
		for (size_t i = 0; i <= n; i++)
			to[i] |= from[i];
	}
}

bool
filestore_names_match_part(const char *pattern, size_t length, const char *text, size_t n)
{
	bool reached[2][FILESTORE_PATH + 1];
	const char *end = pattern + length;
	struct token token;
	unsigned int now = 0;

	if (n > FILESTORE_PATH)
		return false;
	memset(reached[now], 0, n + 1);
	reached[now][0] = true;
	while (pattern < end) {
		pattern = next_token(pattern, end, &token);
		step(&token, text, n, reached[now], reached[1 - now]);
		now = 1 - now;
	}
	return reached[now][n];
}

/* The greatest number in path that can stand for the pattern's {seq}; 0: none. */
static uint64_t
find_sequence(const char *pattern, const char *path)
{
	static const char field[] = "{seq}";
	const char *at = strstr(pattern, field), *behind;
	size_t n = strlen(path), run;
	uint64_t greatest = 0;

	if (at == NULL)
		return 0;
	behind = at + strlen(field);
	for (size_t i = 0; i < n; i += run + 1) {
		run = strspn(path + i, "0123456789");
		if (run > 0 && run < 19 &&
			filestore_names_match_part(pattern, at - pattern, path, i) &&
			filestore_names_match_part(
				behind, strlen(behind), path + i + run, n - i - run)) {
			uint64_t number = strtoull(path + i, NULL, 10);

			greatest = number > greatest ? number : greatest;
		}
	}
	return greatest;
}

bool
filestore_names_match(const char *pattern, const char *path, uint64_t *sequence)
{
	char numbered[FILESTORE_PATH];
	const char *matched = NULL;

	if (filestore_names_match_part(pattern, strlen(pattern), path, strlen(path)))
		matched = pattern;
	else if (filestore_names_insert(pattern, "-{#}", numbered) == 0 &&
		 filestore_names_match_part(numbered, strlen(numbered), path, strlen(path)))
		matched = numbered;
	if (sequence != NULL)
		*sequence = matched != NULL ? find_sequence(matched, path) : 0;
	return matched != NULL;
}
