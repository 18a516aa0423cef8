/* SPDX-License-Identifier: BSD-3-Clause */
#include "files_manifest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/cli.h"
#include "files_select.h"
#include "files_time.h"

#define ENTRIES_MIN 16

void
files_entry_free(struct files_entry *entry)
{
	free(entry->path);
	for (size_t i = 0; i < entry->sessions_n; i++)
		free(entry->sessions[i].name);
	free(entry->sessions);
}

bool
files_entry_add(struct files_entry *entry, const char *name, int64_t vni, uint64_t packets)
{
	size_t n = entry->sessions_n;
	struct files_session *more = entry->sessions;
	char *copy = strdup(name);

	if ((n & (n - 1)) == 0) /* it doubles */
		more = reallocarray(more, n == 0 ? 1 : 2 * n, sizeof(*more));
	if (more != NULL)
		entry->sessions = more;
	if (more == NULL || copy == NULL) {
		free(copy);
		return false;
	}
	entry->sessions[entry->sessions_n++] =
		(struct files_session){.name = copy, .vni = vni, .packets = packets};
	return true;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(
		((const struct files_session *)a)->name, ((const struct files_session *)b)->name);
}

void
files_entry_sort(struct files_entry *entry)
{
	struct files_session *sessions = entry->sessions;
	size_t kept = 0;

	if (entry->sessions_n == 0)
		return;
	qsort(sessions, entry->sessions_n, sizeof(*sessions), by_name);
	for (size_t i = 1; i < entry->sessions_n; i++) {
		if (strcmp(sessions[kept].name, sessions[i].name) != 0) {
			sessions[++kept] = sessions[i];
			continue;
		}
		sessions[kept].packets += sessions[i].packets;
		free(sessions[i].name);
	}
	entry->sessions_n = kept + 1;
}

struct files_session *
files_entry_find(const struct files_entry *entry, const char *name)
{
	const struct files_session key = {.name = (char *)(uintptr_t)name};

	if (entry->sessions_n == 0)
		return NULL;
	return bsearch(&key, entry->sessions, entry->sessions_n, sizeof(key), by_name);
}

static bool
time_of(const json_t *line, const char *field, uint64_t *ns)
{
	const char *text = json_string_value(json_object_get(line, field));

	return text != NULL && files_time_parse(text, (struct timespec){0}, ns);
}

static bool
number_of(const json_t *object, const char *field, uint64_t *number)
{
	const json_t *value = json_object_get(object, field);

	*number = (uint64_t)json_integer_value(value);
	return json_is_integer(value) && json_integer_value(value) >= 0;
}

static bool
sessions_of(const json_t *line, struct files_entry *entry)
{
	const json_t *session;
	size_t i;

	json_array_foreach (json_object_get(line, "sessions"), i, session) {
		const char *name = json_string_value(json_object_get(session, "session"));
		uint64_t vni, packets;
		bool has_vni = number_of(session, "vni", &vni) && vni <= UINT32_MAX;

		if (name == NULL || !number_of(session, "packets", &packets))
			return false;
		if (!files_entry_add(entry, name,
			    has_vni ? (int64_t)vni : files_select_vni_of(name), packets))
			return false;
	}
	files_entry_sort(entry);
	return true;
}

/* Only the name counts of a path: the directory may have been moved, or be seen from elsewhere. */
static bool
entry_of(const json_t *line, struct files_entry *entry)
{
	const char *path = json_string_value(json_object_get(line, "path"));
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;

	*entry = (struct files_entry){.known = true};
	if (path == NULL || !number_of(line, "packets", &entry->packets) ||
		!number_of(line, "bytes", &entry->bytes))
		return false;
	if (entry->packets > 0 &&
		(!time_of(line, "first", &entry->first) || !time_of(line, "last", &entry->last)))
		return false;
	entry->path = strdup(slash != NULL ? slash + 1 : path);
	return entry->path != NULL && sessions_of(line, entry);
}

/* Takes the entry over. */
static bool
append(struct files_manifest *manifest, struct files_entry *entry)
{
	size_t n = manifest->entries_n;
	struct files_entry *more = manifest->entries;

	if (n == 0 || (n >= ENTRIES_MIN && (n & (n - 1)) == 0)) /* it doubles */
		more = reallocarray(more, n == 0 ? ENTRIES_MIN : 2 * n, sizeof(*more));
	if (more == NULL) {
		files_entry_free(entry);
		return false;
	}
	manifest->entries = more;
	manifest->entries[manifest->entries_n++] = *entry;
	return true;
}

static int
by_path(const void *a, const void *b)
{
	return strcmp(((const struct files_entry *)a)->path, ((const struct files_entry *)b)->path);
}

static int
by_path_and_line(const void *a, const void *b)
{
	const struct files_entry *x = a, *y = b;
	int order = by_path(x, y);

	return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

/* By name, and of several lines for a name the last: a file can be replaced. */
static void
settle(struct files_manifest *manifest)
{
	struct files_entry *entries = manifest->entries;
	size_t kept = 0;

	if (manifest->entries_n == 0)
		return;
	qsort(entries, manifest->entries_n, sizeof(*entries), by_path_and_line);
	for (size_t i = 1; i < manifest->entries_n; i++) {
		if (strcmp(entries[kept].path, entries[i].path) == 0)
			files_entry_free(&entries[kept]);
		else
			kept++;
		entries[kept] = entries[i];
	}
	manifest->entries_n = kept + 1;
}

static bool
read_lines(struct files_manifest *manifest, FILE *file, const char *path)
{
	char *text = NULL;
	size_t room = 0, number = 0;
	bool right = true;

	while (right && getline(&text, &room, file) > 0) {
		json_t *line = json_loads(text, 0, NULL);
		struct files_entry entry = {0};

		number++;
		if (line == NULL || !entry_of(line, &entry)) {
			cli_wrong("%s: line %zu is passed over: it does not tell of a file", path,
				number);
			files_entry_free(&entry);
		} else {
			entry.line = number;
			right = append(manifest, &entry) || cli_wrong("no memory for %s", path);
		}
		json_decref(line);
	}
	free(text);
	if (right && ferror(file))
		return cli_wrong("%s: %s", path, strerror(errno));
	return right;
}

bool
files_manifest_read(struct files_manifest *manifest, const char *directory)
{
	char *path = NULL;
	FILE *file;
	bool right;

	*manifest = (struct files_manifest){.directory = strdup(directory)};
	if (manifest->directory == NULL || asprintf(&path, "%s/" FILES_MANIFEST, directory) < 0)
		return cli_wrong("no memory");
	file = fopen(path, "re");
	if (file != NULL)
		right = read_lines(manifest, file, path);
	else
		right = errno == ENOENT || cli_wrong("%s: %s", path, strerror(errno));
	if (file != NULL)
		fclose(file);
	free(path);
	settle(manifest);
	return right;
}

void
files_manifest_free(struct files_manifest *manifest)
{
	for (size_t i = 0; i < manifest->entries_n; i++)
		files_entry_free(&manifest->entries[i]);
	free(manifest->entries);
	free(manifest->directory);
}

struct files_entry *
files_manifest_find(const struct files_manifest *manifest, const char *name)
{
	const struct files_entry key = {.path = (char *)(uintptr_t)name};

	if (manifest->entries_n == 0)
		return NULL;
	return bsearch(&key, manifest->entries, manifest->entries_n, sizeof(key), by_path);
}
