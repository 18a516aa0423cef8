/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Says what is wrong with a configuration: file, line, column, path and value, then the sentence
 * of whoever found it. Lines and columns are looked for here and now (config_locate.c), so that a
 * configuration without errors does not pay for them.
 */
#include "config/config_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a value that a message quotes; enough for any id or address. */
#define VALUE_MAX 72

/* Text that grows to the end of a buffer and is cut there. */
struct text {
	char *buffer;
	size_t size;
};

static void
append_list(struct text *t, const char *format, va_list args)
{
	size_t used = strlen(t->buffer);

	(void)vsnprintf(t->buffer + used, t->size - used, format, args);
}

static void append(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
append(struct text *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	append_list(t, format, args);
	va_end(args);
}

static bool
is_plain(const char *key)
{
	const char *p = key;

	while (isalnum((unsigned char)*p) || *p == '_' || *p == '-')
		p++;
	return p != key && *p == '\0';
}

/* Takes over the value. */
static void
append_json(struct text *t, json_t *value)
{
	char *json = json_dumps(value, JSON_ENCODE_ANY);
	size_t keep = VALUE_MAX;

	json_decref(value);
	if (json == NULL) {
		append(t, "?");
		return;
	}
	if (strlen(json) > VALUE_MAX) {
		/* Not in the middle of a character. */
		while (keep > 0 && ((unsigned char)json[keep] & 0xc0) == 0x80)
			keep--;
		append(t, "%.*s...", (int)keep, json);
	} else {
		append(t, "%s", json);
	}
	free(json);
}

static void
append_path(struct text *t, const struct config_at *at)
{
	if (at->up == NULL) {
		append(t, "$");
		return;
	}
	append_path(t, at->up);
	if (at->key == NULL) {
		append(t, "[%u]", at->index);
	} else if (is_plain(at->key)) {
		append(t, ".%s", at->key);
	} else {
		append(t, "[");
		append_json(t, json_string(at->key));
		append(t, "]");
	}
}

static void
append_position(struct text *t, const struct config_reader *r, const struct config_at *at)
{
	const struct config_at *top = at;
	struct config_place place = config_locate(r, at);

	while (top->up != NULL)
		top = top->up;
	append(t, "%s:%u:%u", r->config->files[top->index], place.line, place.column);
}

static struct text
begin(struct config_reader *r, int status)
{
	r->status = status;
	r->error->text[0] = '\0';
	return (struct text){r->error->text, sizeof(r->error->text)};
}

static struct text
begin_at(struct config_reader *r, const struct config_at *at)
{
	struct text t = begin(r, -EINVAL);

	append_position(&t, r, at);
	append(&t, ": ");
	append_path(&t, at);
	append(&t, ": ");
	if (at->value == NULL)
		append(&t, "absent");
	else
		append_json(&t, config_json_export(at->value));
	append(&t, ": ");
	return t;
}

bool
config_no_memory(struct config_reader *r)
{
	struct text t = begin(r, -ENOMEM);

	append(&t, "out of memory");
	return false;
}

/* The first time of reading there are no words for it. */
static bool
is_quick(struct config_reader *r)
{
	if (r->window == 0)
		return false;
	r->status = -EAGAIN;
	return true;
}

bool
config_fail(struct config_reader *r, const struct config_at *at, const char *format, ...)
{
	struct text t;
	va_list args;

	if (is_quick(r))
		return false;
	t = begin_at(r, at);
	va_start(args, format);
	append_list(&t, format, args);
	va_end(args);
	return false;
}

bool
config_fail_among(struct config_reader *r, const struct config_at *at, const char *what,
	const char *const *names)
{
	struct text t;

	if (is_quick(r))
		return false;
	t = begin_at(r, at);
	append(&t, "%s", what);
	for (uint32_t i = 0; names[i] != NULL; i++)
		append(&t, "%s%s", i == 0 ? " " : ", ", names[i]);
	return false;
}

bool
config_fail_text(struct config_reader *r, int status, const char *format, ...)
{
	struct text t = begin(r, status);
	va_list args;

	va_start(args, format);
	append_list(&t, format, args);
	va_end(args);
	return false;
}

struct config_where
config_where(const struct config_reader *r, const struct config_at *at)
{
	struct config_where where = {.text = ""};
	struct text t = {where.text, sizeof(where.text)};

	if (r->window != 0)
		return where;
	append_position(&t, r, at);
	append(&t, " (");
	append_path(&t, at);
	append(&t, ")");
	return where;
}
