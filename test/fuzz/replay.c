/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a fuzz target on files, without a fuzzer: all files of the directories that are named, or
 * single ones, such as the fuzzer leaves behind when it has found something. Every build runs the
 * seed corpora this way.
 */
#include <dirent.h>
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
replay_file(const char *path)
{
	struct stat status;
	FILE *file = fopen(path, "rb");
	uint8_t *bytes;
	size_t size;

	if (file == NULL || fstat(fileno(file), &status) != 0)
		err(1, "%s", path);
	size = (size_t)status.st_size;
	bytes = malloc(size); /* not a byte more: what is read beyond is to be seen */
	if ((bytes == NULL && size > 0) || fread(bytes, 1, size, file) != size)
		err(1, "%s", path);
	fclose(file);
	LLVMFuzzerTestOneInput(bytes, size);
	free(bytes);
}

/* Returns how many files there were. */
static unsigned int
replay(const char *path)
{
	DIR *directory = opendir(path);
	unsigned int files = 0;
	struct dirent *entry;

	if (directory == NULL) {
		replay_file(path);
		return 1;
	}
	while ((entry = readdir(directory)) != NULL) {
		char name[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		replay_file(name);
		files++;
	}
	closedir(directory);
	return files;
}

int
main(int argc, char **argv)
{
	unsigned int files = 0;

	for (int i = 1; i < argc; i++)
		files += replay(argv[i]);
	printf("%u files\n", files);
	return files > 0 ? 0 : 1;
}
