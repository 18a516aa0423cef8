/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The JSON reader against jansson: both must accept the same texts, and see the same in them, also
 * where it comes in pieces and elements are taken. Texts are those of a table, all their
 * beginnings, and many with some bytes changed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config_json.h"

/* A text that comes in pieces, and what was taken out of it. */
struct pieces {
	const char *text;
	size_t left;
	json_t *taken; /* lists by their keys */
	json_t *list;
};

static size_t
more(void *arg, char *to, size_t room)
{
	struct pieces *pieces = arg;
	size_t n = room < pieces->left ? room : pieces->left;

	assert_true(room > 0);
	memcpy(to, pieces->text, n);
	pieces->text += n;
	pieces->left -= n;
	return n;
}

static bool
wants(void *arg, const struct config_json *list)
{
	struct pieces *pieces = arg;

	if (config_json_key_is(list, "b", 1))
		return false;
	pieces->list = json_array();
	assert_int_equal(
		json_object_setn_new(pieces->taken, list->key, list->key_n, pieces->list), 0);
	return true;
}

static bool
take(void *arg, uint32_t index, struct config_json *element)
{
	struct pieces *pieces = arg;

	assert_int_equal(index, json_array_size(pieces->list));
	return json_array_append_new(pieces->list, config_json_export(element)) == 0;
}

/* The same text in pieces: is it what jansson has read? NULL: it must be refused. */
static void
agree_in_pieces(const char *text, size_t length, size_t window, const json_t *theirs)
{
	struct pieces pieces = {.text = text, .left = length, .taken = json_object()};
	const struct config_json_source source = {
		.more = more, .wants = wants, .take = take, .arg = &pieces, .window = window};
	struct config_json_document document;
	char *room = malloc(length + 1 + CONFIG_JSON_PAD);
	json_t *ours;

	assert_non_null(room);
	if (config_json_stream(&document, room, length + 1, &source) != 0) {
		if (theirs != NULL)
			fail_msg("refused with window %zu: %.*s", window, (int)length, text);
	} else {
		ours = config_json_export(document.values);
		if (json_is_object(ours))
			json_object_update(ours, pieces.taken);
		if (theirs == NULL || !json_equal(ours, theirs))
			fail_msg("window %zu: %.*s", window, (int)length, text);
		json_decref(ours);
	}
	config_json_free(&document);
	json_decref(pieces.taken);
	free(room);
}

/*
 * Compares both readers; true if they accept the text. jansson does not see a byte 0 behind a
 * number; here it is always wrong.
 */
static bool
agree(const char *text, size_t length)
{
	char *copy = calloc(1, length + CONFIG_JSON_PAD);
	json_t *theirs = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	struct config_json_document document;
	int rc;

	assert_non_null(copy);
	memcpy(copy, text, length);
	rc = config_json_read(&document, copy, length);
	if (memchr(text, '\0', length) != NULL)
		assert_int_equal(rc, -EINVAL);
	else if ((rc == 0) != (theirs != NULL))
		fail_msg("%d, jansson: %s: %.*s", rc, theirs != NULL ? "good" : "bad", (int)length,
			text);
	if (rc != 0) {
		assert_int_equal(rc, -EINVAL);
		assert_memory_equal(copy, text, length);
	} else {
		json_t *ours = config_json_export(document.values);
		char *a = json_dumps(ours, JSON_ENCODE_ANY);
		char *b = json_dumps(theirs, JSON_ENCODE_ANY);

		assert_true(json_equal(ours, theirs));
		assert_string_equal(a, b);
		free(a);
		free(b);
		json_decref(ours);
	}
	config_json_free(&document);
	agree_in_pieces(text, length, 1 + length % 13, rc == 0 ? theirs : NULL);
	agree_in_pieces(text, length, 1 << 16, rc == 0 ? theirs : NULL);
	json_decref(theirs);
	free(copy);
	return rc == 0;
}

static const char *const good[] = {
	"{}",
	"[]",
	" \t\r\n[ \n\n  ]          \n                 ",
	"1",
	"\"\"",
	"null",
	"[true,false,null,0,-0,-1,12345678901234567,999999999999999999,-999999999999999999]",
	"[9223372036854775807,-9223372036854775808,1.5,-0.25e-3,1E4,0e0,0.0,1e-400]",
	"{\"\":1,\"a\":{\"a\":[{\"a\":1}]},\"b\":[[],{},[[]]]}",
	"[\"plain\",\"12345678\",\"1234567\\\"\",\"\\u00e4\\ud83d\\ude00\\n\\/\",\"\xc3\xa4\x7f\"]",
	"{\"\\u0061b\":1,\"ab2\":2,\"\xe2\x82\xac\":3}",
	"{\"a\":[{\"c\":1},\"\\u00e4\",23,[4]] ,\"b\":[5,{}],\"c\":[],\"d\":[1,2]}",
	"{\"a\":[],\"c\":[1],\"d\":[[]],\"e\":[ 1, 2 ],\"f\":[{}, {}],\"g\":[1.5, true]}",
	"{\"Number\": 100,\n    \"Tags\": [\n        {\n            \"a\": 1\n        }\n    ]\n}",
};

static const char *const bad[] = {
	"",
	"{",
	"[1,]",
	"{\"a\":1,}",
	"{\"a\"}",
	"{\"a\":}",
	"{1:2}",
	"[1 2]",
	"[1]]",
	"[}",
	"{]",
	"1 2",
	"01",
	"-",
	"+1",
	".5",
	"1.",
	"1e",
	"1e+",
	"0x1",
	"[1-2]",
	"9223372036854775808",
	"-9223372036854775809",
	"1e400",
	"nul",
	"nullx",
	"True",
	"[truefalse]",
	"\"",
	"\"\\",
	"\"\\\"",
	"\"\\x\"",
	"\"\\u12\"",
	"\"\\u0000\"",
	"\"\\ud800\"",
	"\"\\udc00\"",
	"\"a\nb\"",
	"\"a\x01\"",
	"\"\xc3\"",
	"\"\xff\"",
	"\"\xed\xa0\x80\"",
	"\xef\xbb\xbf{}",
	"{\"a\":1,\"a\":2}",
	"{\"a\":1,\"\\u0061\":2}",
	"{\"a\":1,\"b\":{\"x\":[1,2,3]},\"a\":2}",
	"{'a':1}",
	"/**/1",
};

static void
test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(agree(good[i], strlen(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(agree(bad[i], strlen(bad[i])));
	assert_false(agree("[1,\0 2]", 7));
	assert_false(agree("[1\0]", 4));
	assert_false(agree("\"a\0b\"", 5));
	assert_false(agree("{}\0", 3));
	assert_false(agree("\"a\\\0b\"", 6));
}

static void
test_beginnings(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		for (size_t n = 0; n < strlen(good[i]); n++)
			agree(good[i], n);
}

/* Bytes of JSON, and some that are none. */
static void
test_changed(void **state)
{
	static const char bytes[] =
		"\0\"\\{}[],:0123456789.eE+-truefalsn \n\t\x01\x7f\x80\xc3\xa4\xff";
	unsigned int seed = 4789, accepted = 0;
	char text[256];

	(void)state;
	for (unsigned int i = 0; i < 400000; i++) {
		const char *from =
			good[(unsigned int)rand_r(&seed) % (sizeof(good) / sizeof(good[0]))];
		size_t n = strlen(from);

		assert_true(n < sizeof(text));
		memcpy(text, from, n);
		for (int changes = rand_r(&seed) % 3; changes >= 0; changes--)
			text[(unsigned int)rand_r(&seed) % n] =
				bytes[(unsigned int)rand_r(&seed) % (sizeof(bytes) - 1)];
		accepted += agree(text, n);
	}
	assert_in_range(accepted, 10000, 390000);
}

/* So many lists within each other, with a number in the innermost one or without. */
static bool
nested(unsigned int depth, bool number)
{
	size_t length = 2 * (size_t)depth + number;
	char *text = malloc(length);
	bool good_one;

	assert_non_null(text);
	memset(text, '[', depth);
	text[depth] = '1';
	memset(text + depth + number, ']', depth);
	good_one = agree(text, length);
	free(text);
	return good_one;
}

static void
test_depth(void **state)
{
	(void)state;
	assert_true(nested(2047, true));
	assert_false(nested(2048, true));
	assert_true(nested(2048, false));
	assert_false(nested(2049, false));
	assert_false(nested(100000, false));
}

/* An object of n members; the last has the key of member `same`. */
static bool
members(unsigned int n, unsigned int same)
{
	char *text = malloc((size_t)n * 32 + 3);
	size_t at = 0;
	bool good_one;

	assert_non_null(text);
	for (unsigned int i = 0; i < n; i++)
		at += (size_t)sprintf(
			text + at, "%c\"key%u\":%u", i == 0 ? '{' : ',', i == n - 1 ? same : i, i);
	text[at++] = '}';
	good_one = agree(text, at);
	free(text);
	return good_one;
}

static void
test_repeated(void **state)
{
	static const unsigned int counts[] = {2, 3, 13, 63, 64, 65, 66, 129, 1000, 100000};

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		unsigned int n = counts[i];

		assert_true(members(n, n - 1));
		assert_false(members(n, 0));
		assert_false(members(n, n / 2 - (n == 2)));
		assert_false(members(n, n - 2));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_beginnings),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
