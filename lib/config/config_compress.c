/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether an output's files are compressed, and how: keys beside those in config_store.c. */
#include "config/config_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 16
#define THREADS     1
#define LEVEL_KEY   "CompressLevel"
#define THREADS_KEY "CompressThreads"

const char *const config_compress_keys[] = {"Compress", LEVEL_KEY, THREADS_KEY, NULL};

static const char *const methods[] = {"zstd", "lz4", NULL};
static const struct {
	enum ms_compress compress;
	const char *suffix;
	int64_t level; /* if none is given: what keeps up with a fast disk, and the greatest */
	int64_t level_max;
} method_of[] = {
	{MS_COMPRESS_ZSTD, ".zst", 3, 19},
	{MS_COMPRESS_LZ4, ".lz4", 1, 12},
};

/* Readers tell compressed files by what is in them, people by their names. */
static bool
add_suffix(struct config_reader *r, struct ms_config_output *output, const char *suffix)
{
	size_t n = strlen(output->path), more = strlen(suffix);
	char *path;

	if (strcmp(output->path, "-") == 0 ||
		(n > more && strcmp(output->path + n - more, suffix) == 0))
		return true;
	path = realloc(output->path, n + more + 1);
	if (path == NULL)
		return config_no_memory(r);
	memcpy(path + n, suffix, more + 1);
	output->path = path;
	return true;
}

/* What means nothing alone is not there. */
static bool
check_alone(struct config_reader *r, const struct config_at *at)
{
	for (const char *const *key = config_compress_keys; *key != NULL; key++) {
		struct config_at child = config_child(at, *key);

		if (child.value != NULL)
			return config_fail(
				r, &child, "means nothing without Compress; leave the key out");
	}
	return true;
}

bool
config_read_compress(
	struct config_reader *r, const struct config_at *at, struct ms_config_output *output)
{
	struct config_at compress = config_child(at, "Compress");
	int64_t level, threads = THREADS;
	int method = 0;

	if (compress.value == NULL)
		return check_alone(r, at);
	if (!config_choice(r, at, "Compress", methods, &method))
		return false;
	level = method_of[method].level;
	if (!config_integer(r, at, LEVEL_KEY, 1, method_of[method].level_max, &level) ||
		!config_integer(r, at, THREADS_KEY, 1, THREADS_MAX, &threads))
		return false;
	output->store.compress = method_of[method].compress;
	output->store.compress_level = (uint32_t)level;
	output->store.compress_threads = (uint32_t)threads;
	return add_suffix(r, output, method_of[method].suffix);
}

int
config_put_compress(json_t *object, const struct ms_config_store *store)
{
	size_t method = store->compress == MS_COMPRESS_LZ4;
	int failed;

	if (store->compress == MS_COMPRESS_NONE)
		return 0;
	failed = json_object_set_new(object, "Compress", json_string(methods[method]));
	if (store->compress_level != method_of[method].level)
		failed |=
			json_object_set_new(object, LEVEL_KEY, json_integer(store->compress_level));
	if (store->compress_threads != THREADS)
		failed |= json_object_set_new(
			object, THREADS_KEY, json_integer(store->compress_threads));
	return failed != 0 ? -ENOMEM : 0;
}
