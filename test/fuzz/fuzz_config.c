/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the configuration reader: any bytes are refused with a message, or make a configuration
 * whose canonical form reads back and prints as the same. Whether it is read as a whole or through
 * a window is all the same. What is JSON, and what is in it, jansson must see likewise.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/config_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What has to hold is checked in every build. */
static void
require(bool it)
{
	if (!it)
		abort();
}

/* The canonical form of a file with these bytes, to be freed; NULL and a message: it is refused. */
static char *
canonical(const void *bytes, size_t size, size_t window, size_t *printed,
	struct ms_config_error *error)
{
	int fd = memfd_create("config", MFD_CLOEXEC);
	struct ms_config *config;
	char path[32], *text = NULL;
	FILE *out;
	int rc;

	require(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	*printed = 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = config_read_window(&config, (const char *[]){path}, 1, window, error);
	close(fd);
	if (rc != 0) {
		require(config == NULL);
		require(error->text[0] != '\0' &&
			memchr(error->text, '\0', sizeof(error->text)) != NULL);
		return NULL;
	}
	error->text[0] = '\0';
	out = open_memstream(&text, printed);
	require(out != NULL && ms_config_print(config, out) == 0);
	fclose(out);
	ms_config_free(config);
	return text;
}

static void
compare_with_jansson(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + CONFIG_JSON_PAD);
	json_t *theirs = json_loadb(
		(const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	struct config_json_document document;
	json_t *ours = NULL;

	require(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	if (config_json_read(&document, text, size) == 0)
		ours = config_json_export(document.values);
	/* a byte 0 behind a number escapes jansson */
	if (size > 0 && memchr(data, '\0', size) != NULL)
		require(ours == NULL);
	else
		require((ours == NULL) == (theirs == NULL));
	require(ours == NULL || json_equal(ours, theirs));
	json_decref(ours);
	json_decref(theirs);
	config_json_free(&document);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ms_config_error error, pieces_error;
	size_t first_n, second_n, pieces_n;
	char *first, *second, *pieces;

	compare_with_jansson(data, size);
	first = canonical(data, size, 0, &first_n, &error);
	pieces = canonical(data, size, 64, &pieces_n, &pieces_error);
	require((first == NULL) == (pieces == NULL) && first_n == pieces_n &&
		(first == NULL || memcmp(first, pieces, first_n) == 0) &&
		strcmp(error.text, pieces_error.text) == 0);
	free(pieces);
	if (first == NULL)
		return 0;
	second = canonical(first, first_n, 1 << 16, &second_n, &error);
	require(second != NULL && first_n == second_n && memcmp(first, second, first_n) == 0);
	free(first);
	free(second);
	return 0;
}
