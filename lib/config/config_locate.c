/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds lines and columns in JSON text. jansson keeps no positions of values, so the text is
 * walked again, but only when a message is made (config_message.c), and once along the top-level
 * lists whose objects keep their origin (config_read.c).
 *
 * The text is valid JSON: jansson has read it. Columns count characters, as jansson's do.
 */
#include "config/config_internal.h"

#include <string.h>

static void
step(struct config_cursor *c)
{
	unsigned char byte;

	if (c->p == c->end)
		return;
	byte = (unsigned char)*c->p++;
	if (byte == '\n') {
		c->line++;
		c->column = 1;
	} else if ((byte & 0xc0) != 0x80) { /* the other bytes of UTF-8 are no characters */
		c->column++;
	}
}

static bool
on(const struct config_cursor *c, const char *bytes)
{
	return c->p != c->end && *c->p != '\0' && strchr(bytes, *c->p) != NULL;
}

static void
skip_space(struct config_cursor *c)
{
	while (on(c, " \t\r\n"))
		step(c);
}

static void
skip_string(struct config_cursor *c)
{
	step(c);
	while (c->p != c->end && *c->p != '"') {
		if (*c->p == '\\')
			step(c);
		step(c);
	}
	step(c);
}

static void
skip_value(struct config_cursor *c)
{
	uint32_t depth = 0;

	do {
		if (c->p == c->end)
			return;
		switch (*c->p) {
		case '"':
			skip_string(c);
			break;
		case '{':
		case '[':
			depth++;
			step(c);
			break;
		case '}':
		case ']':
			depth--;
			step(c);
			break;
		default:
			step(c);
			/* A number or a literal ends where something else begins. */
			while (depth == 0 && c->p != c->end && !on(c, " \t\r\n,]}"))
				step(c);
		}
	} while (depth > 0);
}

/* From the begin of a member or element to its value. */
static void
skip_key(struct config_cursor *c)
{
	skip_space(c);
	if (!c->in_object)
		return;
	skip_string(c);
	skip_space(c);
	step(c); /* the colon */
	skip_space(c);
}

struct config_cursor
config_cursor_start(const char *text, size_t length)
{
	struct config_cursor c = {.p = text, .end = text + length, .line = 1, .column = 1};

	skip_space(&c);
	return c;
}

void
config_cursor_child(struct config_cursor *c, uint32_t ordinal)
{
	c->in_object = on(c, "{");
	step(c); /* the opening bracket */
	skip_key(c);
	while (ordinal-- > 0)
		config_cursor_next(c);
}

void
config_cursor_next(struct config_cursor *c)
{
	skip_value(c);
	skip_space(c);
	step(c); /* the comma */
	skip_key(c);
}
