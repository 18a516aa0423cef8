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

/* On to a place further down, nothing between them was dropped. */
static void
walk(struct config_place *place, const char *to)
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

/* On to a place further down. */
static void
move(const struct config_text *text, struct config_place *place, const char *to)
{
	const struct config_json_gap *gap = text->document.gaps;

	for (uint32_t i = 0; i < text->document.gaps_n; i++, gap++) {
		if (gap->at < place->p || gap->at >= to)
			continue;
		walk(place, gap->at);
		place->line += gap->lines;
		place->column = gap->columns + (gap->lines > 0 ? 1 : place->column);
	}
	walk(place, to);
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
	const struct config_text *text = text_of(r, at);
	struct config_place place = {.p = text->text, .line = 1, .column = 1};

	move(text, &place, find(r, at));
	return place;
}

struct ms_origin
config_origin(struct config_reader *r, const struct config_at *at)
{
	const struct config_text *text = text_of(r, at);
	uint32_t file = (uint32_t)(text - r->texts);
	const char *to = find(r, at);

	if (r->origin.p == NULL || r->origin_file != file || r->origin.p > to)
		r->origin = config_locate(r, at);
	else
		move(text, &r->origin, to);
	r->origin_file = file;
	return (struct ms_origin){
		.file = r->config->files[file], .line = r->origin.line, .column = r->origin.column};
}
