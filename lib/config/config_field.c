/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Takes fields out of JSON objects, each with its type and range, and says what is wrong with
 * them. The readers of objects (config_aws.c, config_own.c) are chains of these.
 */
#include "config/config_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The member, after a look that there can be one. */
static bool
member(struct config_reader *r, const struct config_at *at, const char *key,
	struct config_at *child)
{
	*child = config_child(at, key);
	return config_json_is(at->value, CONFIG_JSON_OBJECT) ||
	       config_fail(r, at, "not an object; write {...}");
}

bool
config_require(
	struct config_reader *r, const struct config_at *at, const char *key, const char *hint)
{
	struct config_at child;

	if (!member(r, at, key, &child))
		return false;
	return child.value != NULL || config_fail(r, &child, "this key must be given; %s", hint);
}

bool
config_not_null(struct config_reader *r, const struct config_at *at)
{
	return !config_json_is(at->value, CONFIG_JSON_NULL) ||
	       config_fail(r, at, "not a value; leave the key out instead");
}

bool
config_known(struct config_reader *r, const struct config_at *at, const char *const *known)
{
	struct config_at child = {.up = at};
	uint32_t i;

	if (!config_json_is(at->value, CONFIG_JSON_OBJECT))
		return config_fail(r, at, "not an object; write {...}");
	config_json_each (value, at->value) {
		child.key = config_json_key(value);
		child.value = value;
		for (i = 0; known[i] != NULL && strcmp(known[i], child.key) != 0; i++)
			continue;
		if (known[i] == NULL)
			return config_fail_among(r, &child, "not a known key; known are", known);
		if (!config_not_null(r, &child))
			return false;
	}
	return true;
}

static bool
text(struct config_reader *r, const struct config_at *at, const char *key, struct config_at *child,
	const char **out)
{
	if (!member(r, at, key, child))
		return false;
	if (child->value == NULL)
		return true;
	if (!config_json_is(child->value, CONFIG_JSON_STRING))
		return config_fail(r, child, "not a string; write \"...\"");
	*out = config_json_string(child->value);
	return true;
}

static bool
copy(struct config_reader *r, const char *string, char **out)
{
	if (string == NULL)
		return true;
	*out = strdup(string);
	return *out != NULL || config_no_memory(r);
}

bool
config_borrow(
	struct config_reader *r, const struct config_at *at, const char *key, const char **out)
{
	struct config_at child;

	if (!text(r, at, key, &child, out))
		return false;
	if (*out != NULL && **out == '\0')
		return config_fail(r, &child, "empty; write a name, or leave the key out");
	return true;
}

/* Room for a string of so many bytes, its 0 included. */
static char *
string_room(struct config_reader *r, size_t bytes)
{
	struct config_strings *strings = r->strings;
	size_t room = sizeof(strings->bytes);

	if (strings == NULL || bytes > room - strings->used) {
		strings = malloc(sizeof(*strings) + (bytes > room ? bytes - room : 0));
		if (strings == NULL)
			return NULL;
		strings->next = r->strings;
		strings->used = 0;
		r->strings = strings;
	}
	strings->used += bytes;
	return strings->bytes + strings->used - bytes;
}

bool
config_keep(struct config_reader *r, const struct config_at *at, const char *key, const char **out)
{
	const char *string = NULL;
	char *kept;
	size_t n;

	if (!config_borrow(r, at, key, &string))
		return false;
	if (string == NULL)
		return true;
	n = strlen(string) + 1;
	kept = string_room(r, n);
	if (kept == NULL)
		return config_no_memory(r);
	*out = memcpy(kept, string, n);
	return true;
}

const struct config_at *
config_keep_at(const struct config_reader *r, const struct config_at *at)
{
	static const struct config_at gone = {.value = NULL};

	return r->taking ? &gone : at;
}

bool
config_string(struct config_reader *r, const struct config_at *at, const char *key, char **out)
{
	const char *string = NULL;

	return config_borrow(r, at, key, &string) && copy(r, string, out);
}

bool
config_description(struct config_reader *r, const struct config_at *at, char **out)
{
	const char *string = NULL;
	struct config_at child;

	return text(r, at, "Description", &child, &string) && copy(r, string, out);
}

bool
config_integer(struct config_reader *r, const struct config_at *at, const char *key, int64_t min,
	int64_t max, int64_t *out)
{
	struct config_at child;
	int64_t value;

	if (!member(r, at, key, &child))
		return false;
	if (child.value == NULL)
		return true;
	value = child.value->integer;
	if (!config_json_is(child.value, CONFIG_JSON_INTEGER) || value < min || value > max)
		return config_fail(
			r, &child, "must be a whole number from %" PRId64 " to %" PRId64, min, max);
	*out = value;
	return true;
}

bool
config_boolean(struct config_reader *r, const struct config_at *at, const char *key, bool *out)
{
	struct config_at child;

	if (!member(r, at, key, &child))
		return false;
	if (child.value == NULL)
		return true;
	if (!config_json_is(child.value, CONFIG_JSON_TRUE) &&
		!config_json_is(child.value, CONFIG_JSON_FALSE))
		return config_fail(r, &child, "must be true or false");
	*out = config_json_is(child.value, CONFIG_JSON_TRUE);
	return true;
}

bool
config_size(struct config_reader *r, const struct config_at *at, const char *key, uint64_t max,
	uint64_t *out)
{
	struct config_at child;
	uint64_t size = 0;
	bool valid;

	if (!member(r, at, key, &child))
		return false;
	if (child.value == NULL)
		return true;
	if (config_json_is(child.value, CONFIG_JSON_STRING)) {
		valid = config_parse_size(config_json_string(child.value), &size);
	} else {
		valid = config_json_is(child.value, CONFIG_JSON_INTEGER) &&
		        child.value->integer >= 0;
		size = (uint64_t)child.value->integer;
	}
	if (!valid || size > max)
		return config_fail(r, &child,
			"must be a number of bytes from 0 to %" PRIu64 ", such as 96 or \"2KiB\"",
			max);
	*out = size;
	return true;
}

bool
config_choice(struct config_reader *r, const struct config_at *at, const char *key,
	const char *const *names, int *out)
{
	struct config_at child;
	const char *value = NULL;

	if (!text(r, at, key, &child, &value))
		return false;
	if (value == NULL)
		return true;
	for (int i = 0; names[i] != NULL; i++) {
		/* most differ in the first character */
		if (names[i][0] == value[0] && strcmp(names[i], value) == 0) {
			*out = i;
			return true;
		}
	}
	return config_fail_among(r, &child, "not known here; write one of", names);
}

bool
config_cidr(
	struct config_reader *r, const struct config_at *at, const char *key, struct ms_prefix *out)
{
	struct config_at child;
	const char *value = NULL;

	if (!text(r, at, key, &child, &value))
		return false;
	if (value != NULL && !config_parse_cidr(value, out))
		return config_fail(r, &child,
			"not a CIDR block; write an IPv4 or IPv6 prefix such as 10.0.0.0/8");
	return true;
}

bool
config_address(struct config_reader *r, const struct config_at *at, const char *key,
	enum ms_family family, struct ms_prefix *out)
{
	struct config_at child;
	const char *value = NULL;

	if (!text(r, at, key, &child, &value))
		return false;
	if (value == NULL || config_parse_address(value, family, out))
		return true;
	if (family == MS_FAMILY_NONE)
		return config_fail(
			r, &child, "not an IP address; write one such as 10.0.0.1 or 2001:db8::1");
	return config_fail(r, &child, "not an IPv%u address; write one such as %s", family,
		family == MS_FAMILY_V4 ? "10.0.0.1" : "2001:db8::1");
}

bool
config_mac(struct config_reader *r, const struct config_at *at, const char *key, uint64_t *out)
{
	struct config_at child;
	const char *value = NULL;

	if (!text(r, at, key, &child, &value))
		return false;
	if (value != NULL && !config_parse_mac(value, out))
		return config_fail(
			r, &child, "not a MAC address; write one such as 02:00:5e:00:53:01");
	return true;
}

/* Of a list in an element that will be gone: its own are, too. */
static bool
each_taken(struct config_reader *r, const struct config_at *list, config_element *fn, void *arg)
{
	struct config_at element = {.up = list};

	config_json_each (value, list->value) {
		element.value = value;
		if (!fn(r, &element, arg))
			return false;
		element.index++;
	}
	return true;
}

bool
config_each(struct config_reader *r, const struct config_at *at, const char *key,
	config_element *fn, void *arg)
{
	struct config_nodes *nodes;
	struct config_at list;
	uint32_t i = 0;

	if (!member(r, at, key, &list))
		return false;
	if (list.value == NULL)
		return true;
	if (!config_json_is(list.value, CONFIG_JSON_LIST))
		return config_fail(r, &list, "not a list; write [...]");
	if (r->taking)
		return each_taken(r, &list, fn, arg);

	nodes = malloc(sizeof(*nodes) + list.value->n * sizeof(nodes->elements[0]));
	if (nodes == NULL)
		return config_no_memory(r);
	nodes->next = r->nodes;
	r->nodes = nodes;
	nodes->list = list;
	config_json_each (value, list.value) {
		nodes->elements[i] =
			(struct config_at){.up = &nodes->list, .index = i, .value = value};
		if (!fn(r, &nodes->elements[i++], arg))
			return false;
	}
	return true;
}

void *
config_grow(struct config_reader *r, void *array, uint32_t n, size_t size)
{
	char *grown = array;

	/* The room is always the next power of two, so it need not be kept. */
	if ((n & (n - 1)) == 0) {
		grown = realloc(array, (n == 0 ? 1 : (size_t)n * 2) * size);
		if (grown == NULL) {
			config_no_memory(r);
			return NULL;
		}
	}
	memset(grown + n * size, 0, size);
	return grown;
}
