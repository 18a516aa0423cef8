/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What becomes of an output's files: when the next one begins, which of them stay, and what is run
 * for each. Keys of file outputs, read beside those in config_output.c.
 */
#include "config/config_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROTATE_SECONDS_MAX  (366 * 86400)
#define ON_ROTATE_JOBS_MAX  64
#define ON_ROTATE_JOBS      4
#define MAX_OPEN_FILES      1024
#define ON_ROTATE_JOBS_KEY  "OnRotateJobs"
#define ON_ROTATE_WORDS_MAX 256u

const char *const config_store_keys[] = {"RotateBytes", "RotateSeconds", "RotatePackets",
	"RotateAligned", "KeepFiles", "KeepBytes", "KeepSeconds", "MinFree", "Sha256",
	"MaxOpenFiles", "OnRotate", ON_ROTATE_JOBS_KEY, NULL};

/* Standard output is one stream, and goes on as such. */
static bool
check_stream(struct config_reader *r, const struct config_at *at)
{
	for (const char *const *key = config_store_keys; *key != NULL; key++) {
		struct config_at child = config_child(at, *key);

		if (child.value == NULL)
			continue;
		if (strncmp(*key, "Rotate", strlen("Rotate")) == 0)
			return config_fail(
				r, &child, "standard output can't be rotated; leave the key out");
		return config_fail(
			r, &child, "standard output is no file of ours; leave the key out");
	}
	return true;
}

static bool
read_word(struct config_reader *r, const struct config_at *at, void *arg)
{
	struct ms_config_store *store = arg;
	const char *text = NULL;
	char **place;

	if (config_json_is(at->value, CONFIG_JSON_STRING))
		text = config_json_string(at->value);
	if (text == NULL || (store->on_rotate_n == 0 && *text == '\0'))
		return config_fail(r, at,
			"not text; write the command and its arguments, each "
			"by itself, such as [\"gzip\", \"{path}\"]");
	if (store->on_rotate_n == ON_ROTATE_WORDS_MAX)
		return config_fail(r, at, "one argument too many; at most %u are possible",
			ON_ROTATE_WORDS_MAX);
	place = config_append(r, store->on_rotate, store->on_rotate_n);
	if (place == NULL)
		return false;
	*place = strdup(text);
	return *place != NULL || config_no_memory(r);
}

/* OnRotate, and OnRotateJobs, which means nothing alone. */
static bool
read_on_rotate(struct config_reader *r, const struct config_at *at, struct ms_config_store *store)
{
	struct config_at list = config_child(at, "OnRotate");
	struct config_at jobs_at = config_child(at, ON_ROTATE_JOBS_KEY);
	int64_t jobs = ON_ROTATE_JOBS;

	if (!config_each(r, at, "OnRotate", read_word, store) ||
		!config_integer(r, at, ON_ROTATE_JOBS_KEY, 1, ON_ROTATE_JOBS_MAX, &jobs))
		return false;
	if (list.value != NULL && store->on_rotate_n == 0)
		return config_fail(r, &list, "names no command; write one, or leave the key out");
	if (list.value == NULL && jobs_at.value != NULL)
		return config_fail(
			r, &jobs_at, "means nothing without OnRotate; leave the key out");
	store->on_rotate_jobs = list.value != NULL ? (uint32_t)jobs : 0;
	return true;
}

bool
config_read_store(
	struct config_reader *r, const struct config_at *at, struct ms_config_output *output)
{
	struct ms_config_store *store = &output->store;
	struct config_at aligned = config_child(at, "RotateAligned");
	struct config_at open = config_child(at, "MaxOpenFiles");
	int64_t seconds = 0, packets = 0, files = 0, age = 0, open_files = 0;

	if (!config_size(r, at, "RotateBytes", INT64_MAX, &store->rotate_bytes) ||
		!config_integer(r, at, "RotateSeconds", 0, ROTATE_SECONDS_MAX, &seconds) ||
		!config_integer(r, at, "RotatePackets", 0, INT64_MAX, &packets) ||
		!config_boolean(r, at, "RotateAligned", &store->rotate_aligned) ||
		!config_integer(r, at, "KeepFiles", 0, INT64_MAX, &files) ||
		!config_size(r, at, "KeepBytes", INT64_MAX, &store->keep_bytes) ||
		!config_integer(r, at, "KeepSeconds", 0, INT32_MAX, &age) ||
		!config_size(r, at, "MinFree", INT64_MAX, &store->min_free) ||
		!config_boolean(r, at, "Sha256", &store->sha256) ||
		!config_integer(r, at, "MaxOpenFiles", 1, MAX_OPEN_FILES, &open_files) ||
		!read_on_rotate(r, at, store))
		return false;
	store->by_session = output->path != NULL && (strstr(output->path, "{session}") != NULL ||
							    strstr(output->path, "{vni}") != NULL);
	store->max_open_files = (uint32_t)open_files;
	store->rotate_seconds = (uint32_t)seconds;
	store->rotate_packets = (uint64_t)packets;
	store->keep_files = (uint64_t)files;
	store->keep_seconds = (uint32_t)age;
	if (output->path != NULL && strcmp(output->path, "-") == 0)
		return check_stream(r, at);
	if (open_files != 0 && !store->by_session)
		return config_fail(r, &open,
			"means nothing where all sessions share a file; write {session} or {vni} "
			"into Path");
	return !store->rotate_aligned || store->rotate_seconds != 0 ||
	       config_fail(r, &aligned, "means nothing without RotateSeconds; write that, too");
}

void
config_free_store(struct ms_config_store *store)
{
	for (uint32_t i = 0; i < store->on_rotate_n; i++)
		free(store->on_rotate[i]);
	free(store->on_rotate);
}

static int
put_number(json_t *object, const char *key, uint64_t number)
{
	return number == 0 ? 0 : json_object_set_new(object, key, json_integer((json_int_t)number));
}

static int
put_true(json_t *object, const char *key, bool value)
{
	return value ? json_object_set_new(object, key, json_true()) : 0;
}

static int
put_on_rotate(json_t *object, const struct ms_config_store *store)
{
	json_t *list;
	int failed = 0;

	if (store->on_rotate_n == 0)
		return 0;
	list = json_array();
	for (uint32_t i = 0; i < store->on_rotate_n; i++)
		failed |= json_array_append_new(list, json_string(store->on_rotate[i]));
	failed |= json_object_set_new(object, "OnRotate", list);
	if (store->on_rotate_jobs != ON_ROTATE_JOBS)
		failed |= put_number(object, ON_ROTATE_JOBS_KEY, store->on_rotate_jobs);
	return failed;
}

int
config_put_store(json_t *object, const struct ms_config_store *store)
{
	int failed = put_number(object, "RotateBytes", store->rotate_bytes);

	failed |= put_number(object, "RotateSeconds", store->rotate_seconds);
	failed |= put_number(object, "RotatePackets", store->rotate_packets);
	failed |= put_true(object, "RotateAligned", store->rotate_aligned);
	failed |= put_number(object, "KeepFiles", store->keep_files);
	failed |= put_number(object, "KeepBytes", store->keep_bytes);
	failed |= put_number(object, "KeepSeconds", store->keep_seconds);
	failed |= put_number(object, "MinFree", store->min_free);
	failed |= put_true(object, "Sha256", store->sha256);
	failed |= put_number(object, "MaxOpenFiles", store->max_open_files);
	failed |= put_on_rotate(object, store);
	return failed != 0 ? -ENOMEM : 0;
}

bool
ms_config_store_equal(const struct ms_config_store *a, const struct ms_config_store *b)
{
	if (a->rotate_bytes != b->rotate_bytes || a->rotate_seconds != b->rotate_seconds ||
		a->rotate_packets != b->rotate_packets || a->rotate_aligned != b->rotate_aligned ||
		a->keep_files != b->keep_files || a->keep_bytes != b->keep_bytes ||
		a->keep_seconds != b->keep_seconds || a->min_free != b->min_free ||
		a->sha256 != b->sha256 || a->max_open_files != b->max_open_files ||
		a->on_rotate_jobs != b->on_rotate_jobs || a->on_rotate_n != b->on_rotate_n ||
		a->compress != b->compress || a->compress_level != b->compress_level ||
		a->compress_threads != b->compress_threads)
		return false;
	for (uint32_t i = 0; i < a->on_rotate_n; i++) {
		if (strcmp(a->on_rotate[i], b->on_rotate[i]) != 0)
			return false;
	}
	return true;
}
