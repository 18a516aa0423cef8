/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON text as values in one array, in the order of the text: a list or an object stands before
 * what is in it. Each value knows its place in the text, and a string stays where it is, so a large
 * document costs one pass and no allocation for each value. jansson makes a tree of some ten times
 * the work out of the same text; an account of 10,000 filters is 66 MB of it.
 *
 * The elements of a long list can be taken one by one while the text comes in: then neither they
 * nor their text is ever in memory as a whole.
 *
 * What jansson reads is what is read here: whatever is no plain matter (a string with an escape or
 * beyond ASCII, a number that is no small integer) is handed to jansson, and so is text that is
 * wrong, for the words to say it.
 *
 * Stands alone.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum config_json_type {
	CONFIG_JSON_NULL,
	CONFIG_JSON_FALSE,
	CONFIG_JSON_TRUE,
	CONFIG_JSON_INTEGER,
	CONFIG_JSON_REAL,
	CONFIG_JSON_STRING,
	CONFIG_JSON_LIST,
	CONFIG_JSON_OBJECT,
};

struct config_json {
	const char *at; /* its first character in the text */
	char *key;      /* of a member of an object, else NULL; ask config_json_key() */
	union {
		int64_t integer;
		char *string;   /* ask config_json_string() */
		json_t *number; /* of a REAL */
		uint64_t keys;  /* of an OBJECT: config_json_key_bit() of all its members */
	};
	uint32_t asked; /* of an OBJECT: the member that was found last, from here */
	uint32_t key_n;
	uint32_t n;    /* bytes of a string; members or elements */
	uint32_t span; /* values from this one to the next beside it: itself and what is in it */
	uint8_t type;  /* enum config_json_type */
};

/* A place in the text before which some of it was dropped, since it was taken. */
struct config_json_gap {
	const char *at;
	uint32_t lines;   /* that ended there */
	uint32_t columns; /* characters behind the last of these ends */
};

/* Lists whose elements are taken, in one document. */
#define CONFIG_JSON_GAPS 4

struct config_json_document {
	struct config_json *values; /* the first is the whole */
	json_t *decoded;            /* holds what jansson has decoded, NULL: nothing */
	struct config_json_gap gaps[CONFIG_JSON_GAPS];
	uint32_t gaps_n;
};

/*
 * Room for what will be filled from end to end, for free(): on huge pages where it is large and the
 * system has them, since a page fault for each 4 KiB takes longer than to parse them. NULL: out of
 * memory.
 */
void *config_json_room(size_t bytes);

/*
 * Reads text[0 .. length) and as many as CONFIG_JSON_PAD bytes behind it, which must be 0. The
 * values point into the text, and ends of strings are written into it as they are asked for: it
 * must live as long as they. Returns 0, -ENOMEM, or -EINVAL if it is not JSON or an object has a
 * key twice; the text is as it was then. config_json_free() ends it in any case.
 */
#define CONFIG_JSON_PAD 64
int config_json_read(struct config_json_document *document, char *text, size_t length);
void config_json_free(struct config_json_document *document);

/* Where text comes from that is read piece by piece, and who takes elements. */
struct config_json_source {
	/* Writes the next 1 to room bytes of the text. Returns their number, 0 at the end. */
	size_t (*more)(void *arg, char *to, size_t room);
	/* Shall the elements of this list, a member of the whole, be taken? */
	bool (*wants)(void *arg, const struct config_json *list);
	/* Takes one, which is gone after that. False: no more of this. */
	bool (*take)(void *arg, uint32_t index, struct config_json *element);
	void *arg;
	size_t window; /* bytes that are asked for at once, where elements are taken */
};

/*
 * The same for text that source gives, at most room bytes of it; text has CONFIG_JSON_PAD more. A
 * list whose elements were taken is empty in the document. Returns as above, but the text is of no
 * more use if it fails, and -ECANCELED if take() said so.
 */
int config_json_stream(struct config_json_document *document, char *text, size_t room,
	const struct config_json_source *source);

/* The same value for jansson, as it would have read it. NULL: out of memory. */
json_t *config_json_export(struct config_json *value);

static inline bool
config_json_is(const struct config_json *value, enum config_json_type type)
{
	return value != NULL && value->type == type;
}

/* One of 64 bits, by which most keys differ. */
static inline uint64_t
config_json_key_bit(const char *key, size_t n)
{
	unsigned int sum = 0;

	if (n > 0)
		sum = (unsigned char)key[0] * 7u + (unsigned char)key[n - 1] + (unsigned int)n;
	return UINT64_C(1) << sum % 64;
}

/* Keys are mostly of 8 to 16 bytes: the first and the last eight cover them. */
static inline bool
config_json_same_bytes(const char *a, const char *b, size_t n)
{
	uint64_t first[2], last[2];

	if (n < 8 || n > 16)
		return memcmp(a, b, n) == 0;
	memcpy(&first[0], a, 8);
	memcpy(&first[1], b, 8);
	memcpy(&last[0], a + n - 8, 8);
	memcpy(&last[1], b + n - 8, 8);
	return ((first[0] ^ first[1]) | (last[0] ^ last[1])) == 0;
}

/* Is this the key of a member? */
static inline bool
config_json_key_is(const struct config_json *member, const char *key, size_t n)
{
	return member->key_n == n && config_json_same_bytes(member->key, key, n);
}

/* Among all members from the one behind that found last. */
struct config_json *config_json_search(struct config_json *object, const char *key, size_t n);

/* The member with this key; NULL: there is none, or it is no object, or NULL itself. */
static inline struct config_json *
config_json_member(struct config_json *object, const char *key)
{
	size_t n = strlen(key);

	if (object == NULL || object->type != CONFIG_JSON_OBJECT ||
		(object->keys & config_json_key_bit(key, n)) == 0)
		return NULL;
	if (config_json_key_is(object + object->asked, key, n))
		return object + object->asked;
	return config_json_search(object, key, n);
}

/* The characters of a string and of a key. The quotation mark behind them gives way to a 0. */
static inline const char *
config_json_string(struct config_json *value)
{
	value->string[value->n] = '\0';
	return value->string;
}

static inline const char *
config_json_key(struct config_json *value)
{
	value->key[value->key_n] = '\0';
	return value->key;
}

/* Runs over the members of an object, or the elements of a list. */
/* NOLINTBEGIN(bugprone-macro-parentheses): child is declared */
#define config_json_each(child, parent)                                                   \
	for (struct config_json *child = (parent) + 1, *end_ = (parent) + (parent)->span; \
		child < end_; child += child->span)
/* NOLINTEND(bugprone-macro-parentheses) */
