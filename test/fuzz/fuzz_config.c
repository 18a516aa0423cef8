/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the configuration reader: any bytes are refused with a message, or make a configuration
 * whose canonical form reads back and prints as the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/ms_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What has to hold is checked in every build. */
static void
require(bool it)
{
	if (!it)
		abort();
}

/* The canonical form of a file with these bytes, to be freed; NULL if it is refused. */
static char *
canonical(const void *bytes, size_t size, size_t *printed)
{
	int fd = memfd_create("config", MFD_CLOEXEC);
	struct ms_config_error error;
	struct ms_config *config;
	char path[32], *text = NULL;
	FILE *out;
	int rc;

	require(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = ms_config_read(&config, (const char *[]){path}, 1, &error);
	close(fd);
	if (rc != 0) {
		require(config == NULL);
		require(error.text[0] != '\0' &&
			memchr(error.text, '\0', sizeof(error.text)) != NULL);
		return NULL;
	}
	out = open_memstream(&text, printed);
	require(out != NULL && ms_config_print(config, out) == 0);
	fclose(out);
	ms_config_free(config);
	return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t first_n, second_n;
	char *first = canonical(data, size, &first_n), *second;

	if (first == NULL)
		return 0;
	second = canonical(first, first_n, &second_n);
	require(second != NULL && first_n == second_n && memcmp(first, second, first_n) == 0);
	free(first);
	free(second);
	return 0;
}
