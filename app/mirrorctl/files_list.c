/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The files that there are, and what is known of them: by the manifest beside each, or by reading.
 * A manifest is read once for each directory.
 */
#include "files_list.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cli.h"
#include "files_input.h"

/* How a file got here decides what is said, and whether it is read. */
enum source {
	NAMED,  /* on the command line */
	FOUND,  /* in a directory */
	LISTED, /* in a manifest that was named: others don't matter */
};

static bool
ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n >= m && strcmp(name + n - m, end) == 0;
}

static bool
is_capture(const char *name)
{
	static const char *const endings[] = {
		".pcapng", ".pcap", ".pcapng.zst", ".pcap.zst", ".pcapng.lz4", ".pcap.lz4"};

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		if (ends_with(name, endings[i]))
			return true;
	}
	return files_input_is_part(name);
}

/* The manifest of a directory, which stays until that of another one is asked for. */
static bool
enter(struct files_list *list, const char *directory)
{
	if (list->manifest.directory != NULL && strcmp(list->manifest.directory, directory) == 0)
		return true;
	files_manifest_free(&list->manifest);
	if (!files_manifest_read(&list->manifest, directory))
		list->failed = true;
	return list->manifest.directory != NULL;
}

static bool
append(struct files_list *list, struct files_entry *entry)
{
	size_t n = list->entries_n;
	struct files_entry *more = list->entries;

	if ((n & (n - 1)) == 0) /* it doubles */
		more = reallocarray(more, n == 0 ? 1 : 2 * n, sizeof(*more));
	if (more == NULL || entry->path == NULL) {
		files_entry_free(entry);
		list->failed = true;
		return cli_wrong("no memory");
	}
	list->entries = more;
	list->entries[list->entries_n++] = *entry;
	return true;
}

/* Moves what the manifest knows to an entry of the list. */
static void
move_known(struct files_entry *entry, struct files_entry *listed)
{
	entry->known = true;
	entry->packets = listed->packets;
	entry->first = listed->first;
	entry->last = listed->last;
	entry->sessions = listed->sessions;
	entry->sessions_n = listed->sessions_n;
	listed->sessions = NULL;
	listed->sessions_n = 0;
	listed->known = false;
}

/* Takes a file of the directory that was entered. path: as it is told; name: in the directory. */
static bool
add_file(struct files_list *list, const struct files_options *o, const char *path, const char *name,
	enum source source)
{
	struct files_entry *listed = files_manifest_find(&list->manifest, name);
	struct files_entry entry = {0};
	struct stat st;

	if (stat(path, &st) != 0) {
		if (source == LISTED && errno == ENOENT) /* it has given way to newer ones */
			return true;
		return cli_wrong("%s: %s", path, strerror(errno));
	}
	if (!S_ISREG(st.st_mode))
		return source != NAMED || cli_wrong("%s is no regular file", path);
	entry.device = st.st_dev;
	entry.inode = st.st_ino;
	entry.bytes = (uint64_t)st.st_size;
	if (listed != NULL && !listed->known)
		return true; /* it was taken before */
	if (listed != NULL && listed->bytes == entry.bytes)
		move_known(&entry, listed);
	else if (source != NAMED && !o->scan)
		return cli_wrong("%s is passed over: %s; --scan looks into it", path,
			       listed != NULL ? "it is not what the manifest tells of"
					      : "no manifest tells of it") ||
		       true;
	entry.path = strdup(path);
	return append(list, &entry);
}

static bool add_directory(struct files_list *list, const struct files_options *o, const char *path);

/* Takes one thing that is in a directory. Symbolic links are not followed. */
static bool
add_found(struct files_list *list, const struct files_options *o, const char *directory,
	const char *name)
{
	char *path = NULL;
	struct stat st;
	bool right = true;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		return cli_wrong("no memory");
	if (lstat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			right = add_directory(list, o, path);
		else if (S_ISREG(st.st_mode) && enter(list, directory) &&
			 (is_capture(name) || files_manifest_find(&list->manifest, name) != NULL))
			right = add_file(list, o, path, name, FOUND);
	}
	free(path);
	return right;
}

static int
files_first(const struct dirent **a, const struct dirent **b)
{
	bool a_is_directory = (*a)->d_type == DT_DIR, b_is_directory = (*b)->d_type == DT_DIR;

	if (a_is_directory != b_is_directory)
		return a_is_directory - b_is_directory;
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
not_dots(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static bool
add_directory(struct files_list *list, const struct files_options *o, const char *path)
{
	struct dirent **names = NULL;
	/* files before directories, so that the manifest is read once */
	int n = scandir(path, &names, not_dots, files_first);
	bool right = true;

	if (n < 0) {
		list->failed = true;
		cli_wrong("%s: %s", path, strerror(errno));
		return true;
	}
	for (int i = 0; i < n; i++) {
		right = right && add_found(list, o, path, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	return right;
}

static bool
add_manifest(struct files_list *list, const struct files_options *o, const char *directory)
{
	bool right = enter(list, directory);

	for (size_t i = 0; right && i < list->manifest.entries_n; i++) {
		const char *name = list->manifest.entries[i].path;
		char *path = NULL;

		if (asprintf(&path, "%s/%s", directory, name) < 0)
			return cli_wrong("no memory");
		right = add_file(list, o, path, name, LISTED);
		free(path);
	}
	return right;
}

/* Takes what the command line names. */
static bool
add_path(struct files_list *list, const struct files_options *o, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	char *directory;
	struct stat st;
	bool right;

	if (stat(path, &st) != 0)
		return cli_wrong("%s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return add_directory(list, o, path);
	directory = slash == path   ? strdup("/")
	            : slash != NULL ? strndup(path, (size_t)(slash - path))
	                            : strdup(".");
	if (directory == NULL)
		return cli_wrong("no memory");
	if (strcmp(name, FILES_MANIFEST) == 0)
		right = add_manifest(list, o, directory);
	else
		right = enter(list, directory) && add_file(list, o, path, name, NAMED);
	free(directory);
	return right;
}

static int
by_inode(const void *a, const void *b)
{
	const struct files_entry *x = a, *y = b;

	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return y->known - x->known;
}

static int
by_first(const void *a, const void *b)
{
	const struct files_entry *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return strcmp(x->path, y->path);
}

/* A file that was named twice, or has two names, is one. */
static void
make_unique(struct files_list *list)
{
	size_t kept = 0;

	if (list->entries_n == 0)
		return;
	qsort(list->entries, list->entries_n, sizeof(*list->entries), by_inode);
	for (size_t i = 1; i < list->entries_n; i++) {
		struct files_entry *last = &list->entries[kept], *this = &list->entries[i];

		if (last->device == this->device && last->inode == this->inode)
			files_entry_free(this);
		else
			list->entries[++kept] = *this;
	}
	list->entries_n = kept + 1;
}

static int
by_session(const void *a, const void *b)
{
	return strcmp(
		((const struct files_session *)a)->name, ((const struct files_session *)b)->name);
}

static void
keep_node(void *node)
{
	/* nodes are sessions of entries */
}

/* A file alone does not tell the VNI of a session that has a name; the manifests of others do. */
static void
complete_vnis(struct files_list *list)
{
	void *tree = NULL;

	for (size_t i = 0; i < list->entries_n; i++) {
		for (size_t j = 0; j < list->entries[i].sessions_n; j++) {
			if (list->entries[i].sessions[j].vni != FILES_VNI_UNKNOWN)
				tsearch(&list->entries[i].sessions[j], &tree, by_session);
		}
	}
	for (size_t i = 0; i < list->entries_n; i++) {
		for (size_t j = 0; j < list->entries[i].sessions_n; j++) {
			struct files_session *session = &list->entries[i].sessions[j];
			struct files_session **known =
				session->vni == FILES_VNI_UNKNOWN
					? (struct files_session **)tfind(session, &tree, by_session)
					: NULL;

			if (known != NULL)
				session->vni = (*known)->vni;
		}
	}
	tdestroy(tree, keep_node);
}

/* Says which files hold sessions of which it isn't known whether they are wanted. */
static void
tell_unknown_vnis(const struct files_list *list, const struct files_select *select)
{
	for (size_t i = 0; select->vnis_n > 0 && i < list->entries_n; i++) {
		const struct files_entry *entry = &list->entries[i];

		for (size_t j = 0; j < entry->sessions_n; j++) {
			const struct files_session *s = &entry->sessions[j];

			if (s->vni == FILES_VNI_UNKNOWN &&
				!files_select_wants_session(select, s->name, s->vni)) {
				cli_wrong("%s: no manifest tells the VNI of session '%s': it is "
					  "passed over; --session '%s' takes it",
					entry->path, s->name, s->name);
				break;
			}
		}
	}
}

bool
files_list_make(struct files_list *list, const struct files_options *o)
{
	*list = (struct files_list){0};
	for (int i = 0; i < o->paths_n; i++) {
		if (!add_path(list, o, o->paths[i]))
			return false;
	}
	make_unique(list);
	for (size_t i = 0; i < list->entries_n; i++) {
		if (!list->entries[i].known && !files_input_scan(&list->entries[i]))
			list->failed = true;
	}
	complete_vnis(list);
	if (list->entries_n > 0)
		qsort(list->entries, list->entries_n, sizeof(*list->entries), by_first);
	tell_unknown_vnis(list, &o->select);
	return true;
}

void
files_list_free(struct files_list *list)
{
	for (size_t i = 0; i < list->entries_n; i++)
		files_entry_free(&list->entries[i]);
	free(list->entries);
	files_manifest_free(&list->manifest);
}

bool
files_list_wants(const struct files_select *select, const struct files_entry *entry)
{
	if (entry->packets == 0)
		return files_select_all(select);
	if (entry->last < select->from || entry->first >= select->to)
		return false;
	if (!files_select_has_sessions(select))
		return true;
	for (size_t i = 0; i < entry->sessions_n; i++) {
		const struct files_session *s = &entry->sessions[i];

		if (s->packets > 0 && files_select_wants_session(select, s->name, s->vni))
			return true;
	}
	return false;
}
