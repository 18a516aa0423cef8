/* SPDX-License-Identifier: BSD-3-Clause */
#include "files_find.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <bsd/stdlib.h>
#include <jansson.h>

#include "common/cli.h"
#include "files_input.h"
#include "files_time.h"

/* Sessions that are printed of a file for a person; --json has them all. */
#define SESSIONS_SHOWN 4
#define READ_MEMORY    (1u << 20)
/* How wide a time is, for the heading. */
#define TIME_WIDTH 30

/* Reads a file, and counts the packets that are wanted. */
static uint64_t
count_matching(
	struct files_inputs *all, const struct files_select *select, struct files_entry *entry)
{
	struct ms_capread_packet packet;
	enum ms_capread_result result;
	struct files_input input;
	uint64_t n = 0;

	if (files_input_open(all, &input, entry) == NULL)
		return 0;
	while ((result = ms_capread_next(input.reader, &packet)) == MS_CAPREAD_PACKET)
		n += files_input_takes(&input, select, &packet);
	files_input_close(&input, result);
	return n;
}

static json_t *
time_json(uint64_t ns, bool known)
{
	char text[FILES_TIME_ROOM];

	return known ? json_string(files_time_text(ns, text)) : json_null();
}

static json_t *
sessions_json(const struct files_entry *entry)
{
	json_t *list = json_array();

	for (size_t i = 0; i < entry->sessions_n; i++) {
		const struct files_session *s = &entry->sessions[i];
		json_t *one = json_pack("{s:s}", "session", s->name);

		if (s->vni != FILES_VNI_UNKNOWN)
			json_object_set_new(one, "vni", json_integer(s->vni));
		json_object_set_new(one, "packets", json_integer((json_int_t)s->packets));
		json_array_append_new(list, one);
	}
	return list;
}

/* A path that is no UTF-8 can't stand in JSON. */
static json_t *
path_json(const char *path)
{
	json_t *text = json_string(path);

	if (text == NULL)
		cli_wrong("%s: its name is no UTF-8, and left out of the JSON", path);
	return text != NULL ? text : json_null();
}

static json_t *
entry_json(const struct files_entry *entry, bool counted, uint64_t matching)
{
	bool any = entry->packets > 0;
	json_t *one = json_object();

	json_object_set_new(one, "path", path_json(entry->path));
	json_object_set_new(one, "first", time_json(entry->first, any));
	json_object_set_new(one, "last", time_json(entry->last, any));
	json_object_set_new(one, "packets", json_integer((json_int_t)entry->packets));
	json_object_set_new(one, "bytes", json_integer((json_int_t)entry->bytes));
	if (counted)
		json_object_set_new(one, "matching", json_integer((json_int_t)matching));
	json_object_set_new(one, "sessions", sessions_json(entry));
	return one;
}

static void
print_heading(bool counted)
{
	printf("%-*s  %-*s  %12s  %8s", TIME_WIDTH, "first", TIME_WIDTH, "last", "packets",
		"bytes");
	if (counted)
		printf("  %12s", "matching");
	puts("  path, sessions");
}

static void
print_entry(const struct files_entry *entry, bool counted, uint64_t matching)
{
	char first[FILES_TIME_ROOM] = "-", last[FILES_TIME_ROOM] = "-", bytes[8];

	if (entry->packets > 0) {
		files_time_text(entry->first, first);
		files_time_text(entry->last, last);
	}
	humanize_number(bytes, sizeof(bytes), (int64_t)entry->bytes, "B", HN_AUTOSCALE,
		HN_DECIMAL | HN_DIVISOR_1000);
	printf("%-*s  %-*s  %12" PRIu64 "  %8s", TIME_WIDTH, first, TIME_WIDTH, last,
		entry->packets, bytes);
	if (counted)
		printf("  %12" PRIu64, matching);
	printf("  %s", entry->path);
	for (size_t i = 0; i < entry->sessions_n && i < SESSIONS_SHOWN; i++)
		printf("%s%s", i == 0 ? "  " : ",", entry->sessions[i].name);
	if (entry->sessions_n > SESSIONS_SHOWN)
		printf(",+%zu", entry->sessions_n - SESSIONS_SHOWN);
	putchar('\n');
}

int
files_find(const struct files_options *o, struct files_list *list)
{
	json_t *found = o->json ? json_array() : NULL;
	bool counts = o->select.has_bpf, any = false;
	struct files_inputs all;
	uint64_t matching = 0;

	files_inputs_init(&all, READ_MEMORY, 1);
	for (size_t i = 0; i < list->entries_n; i++) {
		struct files_entry *entry = &list->entries[i];

		if (!files_list_wants(&o->select, entry))
			continue;
		if (counts && (matching = count_matching(&all, &o->select, entry)) == 0)
			continue;
		if (o->json) {
			json_array_append_new(found, entry_json(entry, counts, matching));
			continue;
		}
		if (!any)
			print_heading(counts);
		any = true;
		print_entry(entry, counts, matching);
	}
	if (o->json) {
		json_dumpf(found, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(found);
	}
	if (fflush(stdout) != 0) {
		cli_wrong("standard output can't be written");
		return CLI_EXIT_FAILED;
	}
	return list->failed || all.failed ? CLI_EXIT_FAILED : EXIT_SUCCESS;
}
