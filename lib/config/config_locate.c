/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds lines and columns in JSON text. A value knows its place as a pointer; lines are counted
 * only when a message is made (config_message.c), and along those lists whose objects keep their
 * origin. Columns count characters, as jansson's do.
 */
#include "config/config_internal.h"

#include <string.h>

const char *
config_skip_space(const char *text, size_t length)
{
	const char *end = text + length;

	while (text != end && (*text == ' ' || *text == '\t' || *text == '\r' || *text == '\n'))
		text++;
	return text;
}

/* On to a place further down. */
static void
move(struct config_place *place, const char *to)
{
	const char *newline;

	while ((newline = memchr(place->p, '\n', (size_t)(to - place->p))) != NULL) {
		place->p = newline + 1;
		place->line++;
		place->column = 1;
	}
	/* the other bytes of UTF-8 are no characters */
	for (; place->p < to; place->p++)
		place->column += ((unsigned char)*place->p & 0xc0) != 0x80;
}

static const struct config_text *
text_of(const struct config_reader *r, const struct config_at *at)
{
	while (at->up != NULL)
		at = at->up;
	return &r->texts[at->index];
}

/* The top level has a value, if only an empty one. */
static const char *
find(const struct config_reader *r, const struct config_at *at)
{
	const struct config_text *text = text_of(r, at);

	while (at->value == NULL && at->up != NULL)
		at = at->up;
	return at->value != NULL ? at->value->at : config_skip_space(text->text, text->length);
}

struct config_place
config_locate(const struct config_reader *r, const struct config_at *at)
{
	struct config_place place = {.p = text_of(r, at)->text, .line = 1, .column = 1};

	move(&place, find(r, at));
	return place;
}

struct ms_origin
config_origin(struct config_reader *r, const struct config_at *at)
{
	uint32_t file = (uint32_t)(text_of(r, at) - r->texts);
	const char *to = find(r, at);

	if (r->origin.p == NULL || r->origin_file != file || r->origin.p > to)
		r->origin = config_locate(r, at);
	else
		move(&r->origin, to);
	r->origin_file = file;
	return (struct ms_origin){
		.file = r->config->files[file], .line = r->origin.line, .column = r->origin.column};
}
