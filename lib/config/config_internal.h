/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the configuration reader share. In the order of the work: config_read.c loads
 * the files and walks their top level in three passes, config_aws.c, config_own.c, config_output.c
 * and config_tenant.c turn one element of a list into one object, config_link.c holds the objects
 * against each other between the passes. All of them take fields out of JSON through
 * config_field.c, whose texts are parsed by config_value.c, and say what is wrong through
 * config_message.c, which finds the place in the file with config_locate.c. config_json.c reads
 * the JSON itself; config_print.c is the way back.
 *
 * All functions that return bool have told what is wrong, once, when they return false, so that
 * reading an object is one chain of &&.
 */
#pragma once

#include "config/config_json.h"
#include "config/ms_config.h"

/* Of rules and of sessions. */
#define CONFIG_NUMBER_MAX 32766

/*
 * A value in a file, and the way to it from the top. Nodes of list elements live until the end of
 * the reading, so that an object can be named later; all others live on the stack.
 */
struct config_at {
	const struct config_at *up; /* NULL: the top level of a file */
	const char *key;            /* in an object; NULL: in a list, or the top level */
	uint32_t index;             /* in a list; for the top level the file's number */
	struct config_json *value;  /* NULL: absent, or null in an AWS object */
};

/* The nodes of one list. */
struct config_nodes {
	struct config_nodes *next;
	struct config_at list;
	struct config_at elements[];
};

/* One file. Its values point into its text, and lines and columns are found there. */
struct config_text {
	char *text; /* with CONFIG_JSON_PAD bytes of 0 behind it */
	size_t length;
	struct config_json_document document;
	struct config_at top;
	bool streamed; /* filters and rules were taken out while it was read; see its gaps */
};

/* Pieces of memory for strings that live until the end of the reading. */
struct config_strings {
	struct config_strings *next;
	size_t used;
	char bytes[64 << 10];
};

/* A place in a text. */
struct config_place {
	const char *p;
	uint32_t line; /* from 1 */
	uint32_t column;
};

/*
 * Finds elements of an array by their ids: a hash table with linear probing, at most half full. An
 * element's first member is its id, a const char *.
 */
struct config_index {
	const char *array;
	size_t size; /* of an element */
	struct config_slot *slots;
	uint32_t mask;
};
struct config_slot {
	uint32_t hash;
	uint32_t number1; /* element + 1; 0: free */
};

/* Objects that others refer to by name. */
enum config_kind {
	CONFIG_FILTER,
	CONFIG_INTERFACE,
	CONFIG_TARGET,
	CONFIG_VPC,
	CONFIG_SESSION,
	CONFIG_OUTPUT,
	CONFIG_KINDS
};

struct config_id {
	const char *id;
	const struct config_at *at;
};

/* all[i] is the name of object i of struct ms_config; index finds it, once linked. */
struct config_ids {
	struct config_id *all;
	uint32_t n;
	struct config_index index;
};

/* A rule on its way to its filter, which may stand in another file. */
struct config_rule {
	const char *id;        /* TrafficMirrorFilterRuleId or NULL */
	const char *filter_id; /* TrafficMirrorFilterId; both kept */
	struct ms_rule rule;
	const struct config_at *at;
	uint32_t hash;  /* of id, taken while it is at hand; 0 without one */
	int32_t filter; /* index into filters; of a rule by itself -1 until it is linked */
	bool repeated;  /* the same rule has been read before */
};

/*
 * Reading is tried twice. The first time is quick: elements of the long lists of AWS are taken
 * while their text comes in, and are gone then. If anything is wrong with the values it ends
 * without a word, with -EAGAIN; the second time everything is there, so that messages can be made.
 */
struct config_reader {
	struct ms_config *config;
	struct ms_config_error *error;
	int status;    /* 0 or -errno */
	size_t window; /* bytes of text at once, the first time; 0: this is the second */
	bool taking;   /* the element that is being read will be gone */
	struct config_strings *strings;
	struct config_text *texts; /* room for those of all files */
	uint32_t texts_n;
	uint32_t files_n;
	struct config_nodes *nodes;
	struct config_ids ids[CONFIG_KINDS];
	struct config_rule *rules;
	uint32_t rules_n;
	struct config_place origin; /* that was asked for last, and the file in which it is */
	uint32_t origin_file;
};

/* ms_config_read() with a window other than its own; 0: the second time at once. */
int config_read_window(struct ms_config **config, const char *const *files, uint32_t n,
	size_t window, struct ms_config_error *error);

typedef bool config_element(struct config_reader *r, const struct config_at *at, void *arg);

/* config_locate.c */

/* The first character that is no space, or the end. */
const char *config_skip_space(const char *text, size_t length);
/* Where a value stands; what is absent is found where it is missing, at the object. */
struct config_place config_locate(const struct config_reader *r, const struct config_at *at);
/* The same, to be kept with what was read there. Fast for one value after the other of a file. */
struct ms_origin config_origin(struct config_reader *r, const struct config_at *at);

/*
 * config_message.c: all return false, for the caller to return. The first time of reading they only
 * end it, but for config_no_memory() and config_fail_text().
 */
bool config_no_memory(struct config_reader *r);
/* "file:line:column: path: value: " and what the caller says: what is wrong; what to do. */
bool config_fail(struct config_reader *r, const struct config_at *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same, ending in a list of names, which NULL ends. */
bool config_fail_among(struct config_reader *r, const struct config_at *at, const char *what,
	const char *const *names);
/* What is wrong with no value in particular. */
bool config_fail_text(struct config_reader *r, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* "file:line:column (path)", to name a second place in a message. */
struct config_where {
	char text[384];
};
struct config_where config_where(const struct config_reader *r, const struct config_at *at);

/* config_field.c. The accessors leave *out alone if the key is absent. */

/* A member of an object; value NULL if it is absent, or if at is no object. */
static inline struct config_at
config_child(const struct config_at *at, const char *key)
{
	struct config_json *value = config_json_member(at->value, key);

	if (config_json_is(value, CONFIG_JSON_NULL))
		value = NULL;
	return (struct config_at){.up = at, .key = key, .value = value};
}
/* The member must be there; hint says what to do if not. */
bool config_require(
	struct config_reader *r, const struct config_at *at, const char *key, const char *hint);
/* Every key must be one of known, which NULL ends, and not null: for our own objects. */
bool config_known(struct config_reader *r, const struct config_at *at, const char *const *known);
bool config_not_null(struct config_reader *r, const struct config_at *at);
/* A string that is not empty and belongs to the file's text, so with an element it may be gone. */
bool config_borrow(
	struct config_reader *r, const struct config_at *at, const char *key, const char **out);
/* A copy of it that lives until the end of the reading. */
bool
config_keep(struct config_reader *r, const struct config_at *at, const char *key, const char **out);
/* What an object that may be gone later keeps of its place, for messages. */
const struct config_at *config_keep_at(const struct config_reader *r, const struct config_at *at);
/* A copy of it, which the caller owns. */
bool
config_string(struct config_reader *r, const struct config_at *at, const char *key, char **out);
/* A copy of "Description", which may be empty. */
bool config_description(struct config_reader *r, const struct config_at *at, char **out);
bool config_integer(struct config_reader *r, const struct config_at *at, const char *key,
	int64_t min, int64_t max, int64_t *out);
/* A number of bytes: an integer, or a string such as "2KiB". */
bool config_size(struct config_reader *r, const struct config_at *at, const char *key, uint64_t max,
	uint64_t *out);
bool
config_boolean(struct config_reader *r, const struct config_at *at, const char *key, bool *out);
/* *out is the index into names, which NULL ends. */
bool config_choice(struct config_reader *r, const struct config_at *at, const char *key,
	const char *const *names, int *out);
bool config_cidr(struct config_reader *r, const struct config_at *at, const char *key,
	struct ms_prefix *out);
/* An address of the given family, NONE: of either, as a prefix of full length. */
bool config_address(struct config_reader *r, const struct config_at *at, const char *key,
	enum ms_family family, struct ms_prefix *out);
bool
config_mac(struct config_reader *r, const struct config_at *at, const char *key, uint64_t *out);
/* Calls fn for each element of a list. at is the top level of a file or itself an element. */
bool config_each(struct config_reader *r, const struct config_at *at, const char *key,
	config_element *fn, void *arg);

/* Room for one more element behind n, zeroed; returns the array, or NULL and leaves it alone. */
void *config_grow(struct config_reader *r, void *array, uint32_t n, size_t size);

/* Appends a zeroed element and counts it: a pointer to it, or NULL. */
#define config_append(r, array, n)                                             \
	({                                                                     \
		void *grown_ = config_grow(r, (array), (n), sizeof(*(array))); \
		if (grown_ != NULL)                                            \
			(array) = grown_;                                      \
		grown_ != NULL ? &(array)[(n)++] : NULL;                       \
	})

/* config_value.c: texts and values, no messages. The parsers return false for any other text. */
bool config_parse_cidr(const char *text, struct ms_prefix *out);
bool config_parse_address(const char *text, enum ms_family family, struct ms_prefix *out);
bool config_parse_mac(const char *text, uint64_t *out);
bool config_parse_size(const char *text, uint64_t *out);

struct config_printed {
	char text[64];
};
struct config_printed config_print_cidr(const struct ms_prefix *prefix);
struct config_printed config_print_address(const struct ms_prefix *prefix);
struct config_printed config_print_mac(uint64_t mac);

/* config_aws.c and config_own.c: elements of the top-level lists, and settings. */
config_element config_read_filter;
config_element config_read_rule;
config_element config_read_interface;
config_element config_read_target;
config_element config_read_vpc;
config_element config_read_session;
config_element config_read_output;
config_element config_read_route;
bool config_read_source_check(struct config_reader *r, const struct config_at *top);
bool config_read_unknown_session(struct config_reader *r, const struct config_at *top);
bool config_read_outer_fragments(struct config_reader *r, const struct config_at *top);
bool config_read_dedup(struct config_reader *r, const struct config_at *top);

/* config_store.c: of an output whose path has been read. */
bool config_read_store(
	struct config_reader *r, const struct config_at *at, struct ms_config_output *output);
void config_free_store(struct ms_config_store *store);
/* Adds its keys to an object. Returns 0 or -ENOMEM. */
int config_put_store(json_t *object, const struct ms_config_store *store);
/* Its keys, which only files have; NULL ends them. */
extern const char *const config_store_keys[];

/* config_compress.c: as above, after config_read_store(). The path gets its suffix. */
bool config_read_compress(
	struct config_reader *r, const struct config_at *at, struct ms_config_output *output);
int config_put_compress(json_t *object, const struct ms_config_store *store);
extern const char *const config_compress_keys[];

/* config_tenant.c: the keys of a port's output that say how its frames tell whose they are. */
bool config_read_tenant(
	struct config_reader *r, const struct config_at *at, struct ms_config_output *output);

/* What it points to, not itself. */
void config_free_output(struct ms_config_output *output);

/* The words for the enums, in their order; NULL ends them. */
extern const char *const config_output_types[];
extern const char *const config_frames[];
extern const char *const config_tenants[];
extern const char *const config_source_checks[];
extern const char *const config_unknown_sessions[];
extern const char *const config_outer_fragments[];
extern const char *const config_dedup_scopes[];

/* The types of targets, and the key under which each has its destination. */
struct config_target_type {
	const char *type;
	const char *key;
};
#define CONFIG_TARGET_TYPES 3
extern const struct config_target_type config_target_types[CONFIG_TARGET_TYPES];

/* config_link.c */

uint32_t config_hash(const char *id);

/* Reads the name of an object of a kind, copies it, and enters it into the kind's index. */
bool
config_name(struct config_reader *r, const struct config_at *at, enum config_kind kind, char **out);
/* The index of an object, or -1 if there is none or id is NULL. The kind must have been linked. */
int32_t config_find(const struct config_reader *r, enum config_kind kind, const char *id);
/* After all but sessions and routes are read: names are unique, rules are with their filters. */
bool config_link_definitions(struct config_reader *r);
/* After sessions are read: no two of them claim the same packets. */
bool config_link_sessions(struct config_reader *r);
