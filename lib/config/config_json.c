/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads JSON (RFC 8259) in one pass. Pretty-printed documents are spaces for the larger part and
 * short plain strings for most of the rest, so these go by vectors, or eight bytes at a time.
 */
#include "config/config_json.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* A test compiles this without vectors. */
#if defined(__SSE2__) && !defined(CONFIG_JSON_PLAIN)
#include <immintrin.h>
#endif

#define HUGE_PAGE ((size_t)2 << 20)

/* Values within values, as jansson counts them. */
#define DEPTH_MAX 2048
/* Digits that fit 64 bits, whatever they are. */
#define DIGITS_MAX 18
/* Up to so many members a repeated key is looked for as each comes. */
#define FEW_MEMBERS 64
/* Bytes of text for each value, in documents as AWS prints them; there may be less. */
#define VALUE_TEXT 32

/* No list is one whose elements are taken. */
#define NO_LIST UINT32_MAX

struct container {
	uint32_t index; /* of its value */
	uint32_t n;
	uint64_t keys; /* a bit for each key's hash */
};

/*
 * Where to go on if the text ends too early: at its beginning, or in a list whose elements are
 * taken, before the comma or bracket that comes next.
 */
struct mark {
	char *p;
	uint32_t lines;
	uint32_t list; /* as of the reader */
	struct container open[2];
};

struct reader {
	struct config_json_document *document;
	char *p;
	char *end;
	struct config_json *values;
	uint32_t n;
	uint32_t room;
	uint32_t depth;  /* containers that are open */
	uint32_t lines;  /* ends of lines before p */
	uint32_t indent; /* spaces that came together last */
	uint32_t list;   /* index of the list whose elements are taken, or NO_LIST */
	int error;
	const struct config_json_source *source; /* NULL: the text is whole */
	bool ended;                              /* it has no more */
	size_t want;                             /* bytes to ask it for next */
	char *limit;                             /* of the text's room */
	struct mark mark;
	char *kept; /* text before this is kept; from here to the mark it was taken */
	uint32_t kept_lines;
	size_t kept_decoded; /* of document->decoded */
	struct container open[DEPTH_MAX];
};

static bool
fail(struct reader *r, int error)
{
	r->error = error;
	return false;
}

/*
 * Of the next BLOCK bytes: how many spaces come first, and how many plain bytes of a string, which
 * are neither a quotation mark, a backslash, a control character nor beyond ASCII.
 */
#if defined(__AVX2__) && !defined(CONFIG_JSON_PLAIN)
#define BLOCK 32

static inline unsigned int
count_first(__m256i ends)
{
	return (unsigned int)__builtin_ctzll(
		(uint32_t)_mm256_movemask_epi8(ends) | UINT64_C(1) << BLOCK);
}

static inline unsigned int
count_spaces(const char *p)
{
	__m256i bytes = _mm256_loadu_si256((const __m256i *)p);
	__m256i spaces = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(' '));

	return count_first(_mm256_xor_si256(spaces, _mm256_set1_epi8(-1)));
}

static inline unsigned int
count_plain(const char *p)
{
	__m256i bytes = _mm256_loadu_si256((const __m256i *)p);
	__m256i quote = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('"'));
	__m256i slash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\'));
	/* signed: what is beyond ASCII is less, too */
	__m256i control = _mm256_cmpgt_epi8(_mm256_set1_epi8(' '), bytes);

	return count_first(_mm256_or_si256(_mm256_or_si256(quote, slash), control));
}
#elif defined(__SSE2__) && !defined(CONFIG_JSON_PLAIN)
#define BLOCK 16

static inline unsigned int
count_first(__m128i ends)
{
	return (unsigned int)__builtin_ctz((unsigned int)_mm_movemask_epi8(ends) | 1u << BLOCK);
}

static inline unsigned int
count_spaces(const char *p)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)p);
	__m128i spaces = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(' '));

	return count_first(_mm_xor_si128(spaces, _mm_set1_epi8(-1)));
}

static inline unsigned int
count_plain(const char *p)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)p);
	__m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
	__m128i slash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
	/* signed: what is beyond ASCII is less, too */
	__m128i control = _mm_cmplt_epi8(bytes, _mm_set1_epi8(' '));

	return count_first(_mm_or_si128(_mm_or_si128(quote, slash), control));
}
#else
#define BLOCK 8

/* Eight bytes, the first the lowest. */
static inline uint64_t
load8(const char *p)
{
	uint64_t bytes;

	memcpy(&bytes, p, sizeof(bytes));
	return le64toh(bytes);
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

static inline unsigned int
count_spaces(const char *p)
{
	uint64_t other = load8(p) ^ EACH_BYTE(' ');

	return other != 0 ? (unsigned int)__builtin_ctzll(other) / 8 : BLOCK;
}

/* Only what comes behind a byte that is not plain may be taken for such a one, for the borrow. */
static inline unsigned int
count_plain(const char *p)
{
	uint64_t bytes = load8(p), quote = bytes ^ EACH_BYTE('"');
	uint64_t slash = bytes ^ EACH_BYTE('\\');
	uint64_t found = ((quote - EACH_BYTE(1)) | (slash - EACH_BYTE(1)) |
				 (bytes - EACH_BYTE(' ')) | bytes) &
	                 EACH_BYTE(0x80);

	return found != 0 ? (unsigned int)__builtin_ctzll(found) / 8 : BLOCK;
}
#endif

/* A look ahead begins at most two bytes behind the end. */
static_assert(CONFIG_JSON_PAD >= BLOCK + 2, "a block is read beyond the text");

static void
skip_any_space(struct reader *r)
{
	unsigned int n;

	for (;;) {
		/* elsewhere a line can't end */
		for (; *r->p == '\n' || *r->p == '\t' || *r->p == '\r'; r->p++)
			r->lines += *r->p == '\n';
		if (*r->p != ' ')
			return;
		r->indent = 0;
		do {
			n = count_spaces(r->p);
			r->p += n;
			r->indent += n;
		} while (n == BLOCK);
	}
}

/*
 * Mostly there is no space, one, or a new line that is indented like the last one. To guess that
 * and look whether it holds is faster than to count and go on from there: the next step need not
 * wait for the count.
 */
static inline void
skip_space(struct reader *r)
{
	const char *p = r->p;

	if ((unsigned char)p[0] > ' ')
		return;
	if (p[0] == ' ' && (unsigned char)p[1] > ' ') {
		r->p++;
	} else if (p[0] == '\n' && r->indent < BLOCK && count_spaces(p + 1) == r->indent &&
		   (unsigned char)p[1 + r->indent] > ' ') {
		r->p += 1 + r->indent;
		r->lines++;
	} else {
		skip_any_space(r);
	}
}

/* What is not plain, from `from` to where the reader stands: as jansson reads it. */
static json_t *
decode(struct reader *r, const char *from)
{
	json_t **all = &r->document->decoded;
	json_error_t error = {.text = ""};
	json_t *value;

	if (*all == NULL)
		*all = json_array();
	value = json_loadb(from, (size_t)(r->p - from), JSON_DECODE_ANY, &error);
	if (value == NULL && error.text[0] != '\0') {
		fail(r, -EINVAL);
		return NULL;
	}
	/* takes the value over, and refuses none at all */
	if (json_array_append_new(*all, value) != 0) {
		fail(r, -ENOMEM);
		return NULL;
	}
	return value;
}

/* Goes on from the first byte that is not plain to the end of the string. */
static bool
read_strange(struct reader *r, char *from, char **string, uint32_t *n)
{
	json_t *decoded;

	for (; *r->p != '"'; r->p++) {
		if (*r->p == '\\')
			r->p++;
		if ((unsigned char)*r->p < ' ')
			return fail(r, -EINVAL);
	}
	r->p++;
	decoded = decode(r, from);
	if (decoded == NULL)
		return false;
	*string = (char *)(uintptr_t)json_string_value(decoded);
	*n = (uint32_t)json_string_length(decoded);
	return true;
}

static inline bool
read_string(struct reader *r, char **string, uint32_t *n)
{
	char *from = r->p++;
	unsigned int plain;

	do {
		plain = count_plain(r->p);
		r->p += plain;
	} while (plain == BLOCK);
	if (*r->p != '"')
		return read_strange(r, from, string, n);
	*string = from + 1;
	*n = (uint32_t)(r->p - from - 1);
	r->p++;
	return true;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
read_number(struct reader *r, struct config_json *value)
{
	const char *from = r->p, *digits;
	int64_t integer = 0;

	r->p += *r->p == '-';
	digits = r->p;
	for (; is_digit(*r->p); r->p++) {
		if (r->p - digits < DIGITS_MAX)
			integer = integer * 10 + (*r->p - '0');
	}
	if (r->p == digits || (*digits == '0' && r->p - digits > 1))
		return fail(r, -EINVAL);
	value->type = CONFIG_JSON_INTEGER;
	value->integer = *from == '-' ? -integer : integer;
	if (r->p - digits <= DIGITS_MAX && *r->p != '.' && *r->p != 'e' && *r->p != 'E')
		return true;
	while (is_digit(*r->p) || (*r->p != '\0' && strchr(".eE+-", *r->p) != NULL))
		r->p++;
	value->number = decode(r, from);
	if (value->number == NULL)
		return false;
	if (json_is_integer(value->number))
		value->integer = json_integer_value(value->number);
	else
		value->type = CONFIG_JSON_REAL;
	return true;
}

static bool
read_word(struct reader *r, struct config_json *value)
{
	static const struct {
		const char *word;
		enum config_json_type type;
	} words[] = {{"null", CONFIG_JSON_NULL}, {"false", CONFIG_JSON_FALSE},
		{"true", CONFIG_JSON_TRUE}};

	for (unsigned int i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i].word);

		if (memcmp(r->p, words[i].word, n) == 0) {
			value->type = (uint8_t)words[i].type;
			r->p += n;
			return true;
		}
	}
	return fail(r, -EINVAL);
}

static bool
same_key(const struct config_json *a, const struct config_json *b)
{
	return config_json_key_is(a, b->key, b->key_n);
}

/* Has the newest member of an object of few the key of one before? */
static bool
is_repeated(const struct reader *r, struct container *in, const struct config_json *member)
{
	const struct config_json *other = &r->values[in->index + 1];
	uint64_t bit = config_json_key_bit(member->key, member->key_n);

	if ((in->keys & bit) == 0) {
		in->keys |= bit;
		return false;
	}
	while (other < member && !same_key(other, member))
		other += other->span;
	return other < member;
}

static int
compare_keys(const void *a, const void *b)
{
	const struct config_json *x = *(const struct config_json *const *)a;
	const struct config_json *y = *(const struct config_json *const *)b;

	if (x->key_n != y->key_n)
		return x->key_n < y->key_n ? -1 : 1;
	return memcmp(x->key, y->key, x->key_n);
}

/* Is every key of an object of many members another one? */
static bool
check_many(struct reader *r, struct config_json *object)
{
	const struct config_json **members = malloc(object->n * sizeof(*members));
	uint32_t n = 0;
	bool ok = true;

	if (members == NULL)
		return fail(r, -ENOMEM);
	config_json_each (member, object)
		members[n++] = member;
	qsort(members, n, sizeof(*members), compare_keys);
	for (uint32_t i = 1; ok && i < n; i++)
		ok = !same_key(members[i - 1], members[i]) || fail(r, -EINVAL);
	free(members);
	return ok;
}

void *
config_json_room(size_t bytes)
{
	void *room;

	if (bytes < 2 * HUGE_PAGE)
		return malloc(bytes);
	bytes = (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	room = aligned_alloc(HUGE_PAGE, bytes);
	if (room != NULL)
		(void)madvise(room, bytes, MADV_HUGEPAGE); /* as well without */
	return room;
}

static struct config_json *
add_value(struct reader *r)
{
	struct config_json *grown;
	uint32_t room;

	if (r->n == r->room) {
		room = r->room + r->room / 2;
		grown = room > r->room ? realloc(r->values, room * sizeof(*grown)) : NULL;
		if (grown == NULL) {
			fail(r, -ENOMEM);
			return NULL;
		}
		r->values = grown;
		r->room = room;
	}
	r->values[r->n] = (struct config_json){.span = 1};
	return &r->values[r->n++];
}

/* Between two elements of a list that are taken: from here one can go on with more text. */
static void
set_mark(struct reader *r)
{
	r->mark.p = r->p;
	r->mark.lines = r->lines;
	r->mark.list = r->list;
	memcpy(r->mark.open, r->open, sizeof(r->mark.open));
	r->want = r->source->window;
}

/* Into a list of the top level. */
static void
enter_list(struct reader *r, const struct config_json *list)
{
	struct config_json_document *document = r->document;

	if (list->type != CONFIG_JSON_LIST || r->values[0].type != CONFIG_JSON_OBJECT ||
		document->gaps_n == CONFIG_JSON_GAPS || !r->source->wants(r->source->arg, list))
		return;
	r->list = (uint32_t)(list - r->values);
	r->kept = r->p;
	r->kept_lines = r->lines;
	r->kept_decoded = json_array_size(document->decoded);
	document->gaps[document->gaps_n++] = (struct config_json_gap){.at = r->p};
	set_mark(r);
}

/* The element that has just ended; it makes room for the next one. */
static bool
take_element(struct reader *r)
{
	const struct container *in = &r->open[r->depth - 1];
	json_t *decoded = r->document->decoded;

	/* a number may go on */
	if (*r->p != ',' && *r->p != ']')
		return fail(r, -EINVAL);
	if (!r->source->take(r->source->arg, in->n - 1, &r->values[r->list + 1]))
		return fail(r, -ECANCELED);
	r->n = r->list + 1;
	while (json_array_size(decoded) > r->kept_decoded)
		json_array_remove(decoded, json_array_size(decoded) - 1);
	set_mark(r);
	return true;
}

static bool
open_container(struct reader *r, struct config_json *value, enum config_json_type type)
{
	value->type = (uint8_t)type;
	r->open[r->depth++] = (struct container){.index = (uint32_t)(value - r->values)};
	r->p++;
	if (r->source != NULL && r->depth == 2)
		enter_list(r, value);
	return true;
}

static bool
close_container(struct reader *r)
{
	struct container *in = &r->open[--r->depth];
	struct config_json *value = &r->values[in->index];

	value->n = in->n;
	value->span = r->n - in->index;
	value->keys = in->n <= FEW_MEMBERS ? in->keys : UINT64_MAX;
	value->asked = 1;
	if (in->index == r->list) {
		value->n = 0; /* they are gone */
		r->list = NO_LIST;
	}
	r->p++;
	return value->type != CONFIG_JSON_OBJECT || value->n <= FEW_MEMBERS || check_many(r, value);
}

/* "key": of a value in an object */
static inline bool
read_key(struct reader *r, struct config_json *value)
{
	struct container *in = &r->open[r->depth - 1];

	if (*r->p != '"' || !read_string(r, &value->key, &value->key_n))
		return fail(r, r->error != 0 ? r->error : -EINVAL);
	if (in->n < FEW_MEMBERS && is_repeated(r, in, value))
		return fail(r, -EINVAL);
	skip_space(r);
	if (*r->p++ != ':')
		return fail(r, -EINVAL);
	skip_space(r);
	return true;
}

/* A value, of a list or object only its beginning. */
static inline bool
read_value(struct reader *r)
{
	struct config_json *value = add_value(r);

	if (value == NULL)
		return false;
	if (r->depth > 0) {
		struct container *in = &r->open[r->depth - 1];

		if (r->depth == DEPTH_MAX)
			return fail(r, -EINVAL);
		if (r->values[in->index].type == CONFIG_JSON_OBJECT && !read_key(r, value))
			return false;
		in->n++;
	}
	value->at = r->p;
	switch (*r->p) {
	case '"':
		value->type = CONFIG_JSON_STRING;
		return read_string(r, &value->string, &value->n);
	case '{':
		return open_container(r, value, CONFIG_JSON_OBJECT);
	case '[':
		return open_container(r, value, CONFIG_JSON_LIST);
	default:
		return is_digit(*r->p) || *r->p == '-' ? read_number(r, value)
		                                       : read_word(r, value);
	}
}

/* From the end of a value to the next one: over commas and closing brackets. */
static inline bool
read_ends(struct reader *r)
{
	while (r->depth > 0) {
		const struct container *in = &r->open[r->depth - 1];
		char bracket = r->values[in->index].type == CONFIG_JSON_OBJECT ? '}' : ']';

		skip_space(r);
		if (in->index == r->list && r->n > r->list + 1 && !take_element(r))
			return false;
		if (*r->p == bracket) {
			if (!close_container(r))
				return false;
			continue;
		}
		if (in->n == 0)
			return true;
		if (*r->p++ != ',')
			return fail(r, -EINVAL);
		skip_space(r);
		return true;
	}
	return true;
}

/* The whole, or what is left of it behind the mark. */
static bool
read_document(struct reader *r)
{
	if (r->n == 0)
		skip_space(r);
	else if (!read_ends(r))
		return false;
	while (r->n == 0 || r->depth > 0) {
		if (!read_value(r) || !read_ends(r))
			return false;
	}
	skip_space(r);
	return (r->p == r->end && r->ended) || fail(r, -EINVAL);
}

/* Text from the mark on takes the place of what was taken; what that was in lines is kept. */
static void
drop_taken(struct reader *r)
{
	struct config_json_gap *gap = &r->document->gaps[r->document->gaps_n - 1];
	uint32_t lines = r->mark.lines - r->kept_lines, columns = 0;
	const char *p = r->mark.p;

	/* bytes within a character of UTF-8 are no columns */
	for (; p > r->kept && p[-1] != '\n'; p--)
		columns += ((unsigned char)p[-1] & 0xc0) != 0x80;
	gap->columns = lines > 0 ? columns : gap->columns + columns;
	gap->lines += lines;
	memmove(r->kept, r->mark.p, (size_t)(r->end - r->mark.p));
	r->end -= r->mark.p - r->kept;
	r->mark.p = r->kept;
	r->kept_lines = r->mark.lines;
}

/* Back to the mark, with more text behind it. */
static bool
read_more(struct reader *r)
{
	size_t room, n;

	if (r->mark.list != NO_LIST)
		drop_taken(r);
	room = (size_t)(r->limit - r->end);
	if (room == 0)
		return fail(r, -EFBIG);
	n = r->source->more(r->source->arg, r->end, r->want < room ? r->want : room);
	r->ended = n == 0;
	r->end += n;
	memset(r->end, 0, CONFIG_JSON_PAD);
	/* outside of lists nothing is gained by pieces */
	r->want = r->mark.list != NO_LIST ? 2 * r->want : SIZE_MAX;

	r->error = 0;
	r->p = r->mark.p;
	r->lines = r->mark.lines;
	r->list = r->mark.list;
	r->depth = r->list != NO_LIST ? 2 : 0;
	r->n = r->list != NO_LIST ? r->list + 1 : 0;
	memcpy(r->open, r->mark.open, sizeof(r->mark.open));
	return true;
}

/* Was that for want of text? Words are compared as a whole, so their end may be looked for. */
static bool
ran_out(const struct reader *r)
{
	return !r->ended && r->error == -EINVAL && r->end - r->p < 8;
}

static int
read_with(struct reader *r, size_t room)
{
	struct config_json_document *document = r->document;

	r->list = r->mark.list = NO_LIST;
	r->room = (uint32_t)(room / VALUE_TEXT) + 64;
	r->values = config_json_room(r->room * sizeof(*r->values));
	if (r->values == NULL)
		return -ENOMEM;
	while (!read_document(r) && ran_out(r) && read_more(r))
		continue;
	document->values = r->values;
	return r->error;
}

int
config_json_read(struct config_json_document *document, char *text, size_t length)
{
	struct reader *r = malloc(sizeof(*r));
	int error = -ENOMEM;

	*document = (struct config_json_document){.values = NULL};
	if (r == NULL)
		return error;
	*r = (struct reader){.document = document, .p = text, .end = text + length, .ended = true};
	error = read_with(r, length);
	free(r);
	return error;
}

int
config_json_stream(struct config_json_document *document, char *text, size_t room,
	const struct config_json_source *source)
{
	struct reader *r = malloc(sizeof(*r));
	int error = -ENOMEM;

	*document = (struct config_json_document){.values = NULL};
	if (r == NULL)
		return error;
	*r = (struct reader){.document = document,
		.p = text,
		.end = text,
		.source = source,
		.want = source->window,
		.limit = text + room,
		.mark.p = text};
	memset(text, 0, CONFIG_JSON_PAD);
	error = read_with(r, room);
	free(r);
	return error;
}

void
config_json_free(struct config_json_document *document)
{
	free(document->values);
	json_decref(document->decoded);
}

struct config_json *
config_json_search(struct config_json *object, const char *key, size_t n)
{
	struct config_json *member = object + object->asked, *end = object + object->span;

	/* keys are mostly asked for in their order */
	for (uint32_t left = object->n; left > 0; left--) {
		member += member->span;
		if (member == end)
			member = object + 1;
		if (config_json_key_is(member, key, n)) {
			object->asked = (uint32_t)(member - object);
			return member;
		}
	}
	return NULL;
}

static json_t *export_list(struct config_json *list);
static json_t *export_object(struct config_json *object);

json_t *
config_json_export(struct config_json *value)
{
	switch ((enum config_json_type)value->type) {
	case CONFIG_JSON_NULL:
		return json_null();
	case CONFIG_JSON_FALSE:
		return json_false();
	case CONFIG_JSON_TRUE:
		return json_true();
	case CONFIG_JSON_INTEGER:
		return json_integer(value->integer);
	case CONFIG_JSON_REAL:
		return json_incref(value->number);
	case CONFIG_JSON_STRING:
		return json_stringn(value->string, value->n);
	case CONFIG_JSON_LIST:
		return export_list(value);
	case CONFIG_JSON_OBJECT:
		return export_object(value);
	}
	return NULL;
}

static json_t *
export_list(struct config_json *list)
{
	json_t *made = json_array();
	bool failed = made == NULL;

	config_json_each (element, list)
		failed = failed || json_array_append_new(made, config_json_export(element)) != 0;
	if (failed) {
		json_decref(made);
		return NULL;
	}
	return made;
}

static json_t *
export_object(struct config_json *object)
{
	json_t *made = json_object();
	bool failed = made == NULL;

	config_json_each (member, object)
		failed = failed || json_object_set_new(made, config_json_key(member),
					   config_json_export(member)) != 0;
	if (failed) {
		json_decref(made);
		return NULL;
	}
	return made;
}
