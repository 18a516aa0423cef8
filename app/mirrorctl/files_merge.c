/* SPDX-License-Identifier: BSD-3-Clause */
#include "files_merge.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "capmerge/ms_capmerge.h"
#include "common/cli.h"
#include "files_input.h"
#include "files_pcapng.h"
#include "files_target.h"

/* Of --memory, the part that buffers for reading take. */
#define READ_PART 4

struct merged_file {
	struct files_input input;
	uint32_t *numbers; /* of its interfaces: that of the result + 1; 0: not known */
	uint32_t numbers_n;
};

struct merge {
	const struct files_options *options;
	struct files_entry **entries; /* those that are read */
	struct merged_file *files;
	uint64_t *first;
	uint32_t files_n;
	struct files_inputs inputs;
	struct files_pcapng *out;
	bool whole; /* nothing is left out, so that statistics can be told */
	bool no_memory;
	uint64_t others;
	uint64_t written; /* counted where packets are written */
	uint32_t without_statistics;
};

static struct ms_capread *
open_file(void *arg, uint32_t number)
{
	struct merge *merge = arg;

	return files_input_open(
		&merge->inputs, &merge->files[number].input, merge->entries[number]);
}

/* The number in the result of one of the file's interfaces, or FILES_PCAPNG_NONE. */
static uint32_t
number_of(struct merge *merge, struct merged_file *file, const struct ms_capread *reader,
	uint32_t interface)
{
	uint32_t n = ms_capread_interfaces(reader), *more;

	if (interface >= file->numbers_n) {
		more = reallocarray(file->numbers, n, sizeof(*more));
		if (more == NULL)
			return FILES_PCAPNG_NONE;
		memset(more + file->numbers_n, 0, (n - file->numbers_n) * sizeof(*more));
		file->numbers = more;
		file->numbers_n = n;
	}
	if (file->numbers[interface] == 0)
		file->numbers[interface] = 1 + files_pcapng_interface(merge->out,
						       ms_capread_interface(reader, interface));
	return file->numbers[interface] - 1;
}

static bool
take_packet(void *arg, uint32_t number, struct ms_capread *reader, struct ms_capread_packet *packet)
{
	struct merge *merge = arg;
	struct merged_file *file = &merge->files[number];

	if (!merge->whole && !files_input_takes(&file->input, &merge->options->select, packet))
		return false;
	packet->interface = number_of(merge, file, reader, packet->interface);
	if (packet->interface != FILES_PCAPNG_NONE)
		return true;
	merge->no_memory = true;
	return false;
}

/* An interface without packets is one, too, if nothing is left out. */
static void
add_statistics(struct merge *merge, struct merged_file *file, const struct ms_capread *reader,
	bool complete)
{
	for (uint32_t i = 0; i < ms_capread_interfaces(reader); i++) {
		const struct ms_capread_interface *interface = ms_capread_interface(reader, i);
		uint32_t number = number_of(merge, file, reader, i);

		if (number == FILES_PCAPNG_NONE)
			merge->no_memory = true;
		else if (interface->statistics.known)
			files_pcapng_add(merge->out, number, &interface->statistics);
		else if (interface->packets > 0 || !complete)
			files_pcapng_add(merge->out, number, NULL);
	}
}

static void
close_file(void *arg, uint32_t number, struct ms_capread *reader, enum ms_capread_result result)
{
	struct merge *merge = arg;
	struct merged_file *file = &merge->files[number];

	if (merge->whole)
		add_statistics(merge, file, reader, result == MS_CAPREAD_END);
	merge->others += ms_capread_others(reader);
	files_input_close(&file->input, result);
	free(file->numbers);
	file->numbers = NULL;
}

static int
by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* How many files are read at the same time at most, since their times overlap. 0: no memory. */
static uint32_t
overlap(const struct merge *merge)
{
	uint64_t *last = calloc(merge->files_n + 1, sizeof(*last));
	uint32_t most = 1, ended = 0;

	for (uint32_t i = 0; last != NULL && i < merge->files_n; i++)
		last[i] = merge->entries[i]->last;
	if (last == NULL)
		return 0;
	qsort(last, merge->files_n, sizeof(*last), by_value);
	for (uint32_t i = 0; i < merge->files_n; i++) {
		while (last[ended] < merge->first[i])
			ended++;
		if (i + 1 - ended > most)
			most = i + 1 - ended;
	}
	free(last);
	return most;
}

/* Picks the files that are read; they are in the order of their first packets. */
static bool
prepare(struct merge *merge, struct files_list *list)
{
	size_t n = list->entries_n;

	merge->entries = calloc(n + 1, sizeof(struct files_entry *));
	merge->files = calloc(n + 1, sizeof(*merge->files));
	merge->first = calloc(n + 1, sizeof(*merge->first));
	if (n >= UINT32_MAX || merge->entries == NULL || merge->files == NULL ||
		merge->first == NULL)
		return cli_wrong("no memory for %zu files", n);
	for (size_t i = 0; i < n; i++) {
		struct files_entry *entry = &list->entries[i];

		if (!files_list_wants(&merge->options->select, entry))
			continue;
		merge->first[merge->files_n] = entry->first;
		merge->entries[merge->files_n++] = entry;
	}
	return true;
}

static const struct ms_capmerge_ops ops = {open_file, take_packet, close_file};

/* Returns false for want of memory. */
static bool
run(struct merge *merge, FILE *file, struct ms_capmerge_counts *counts)
{
	const struct files_options *o = merge->options;
	uint32_t files = overlap(merge);
	struct ms_capmerge *sequence = NULL;
	struct ms_capread_packet packet;
	int result = -1;

	if (files > 0) {
		files_inputs_init(&merge->inputs, o->memory / READ_PART, files);
		sequence = ms_capmerge_create(&(struct ms_capmerge_options){
			.files = merge->files_n,
			.first = merge->first,
			.window_packets = o->window,
			.window_bytes = (o->memory - o->memory / READ_PART) / files,
			.ops = &ops,
			.arg = merge,
		});
	}
	while (sequence != NULL && !ferror(file) && !merge->no_memory &&
		(result = ms_capmerge_next(sequence, &packet)) > 0) {
		files_pcapng_packet(merge->out, &packet);
		merge->written++;
	}
	if (sequence != NULL)
		*counts = *ms_capmerge_counts(sequence);
	ms_capmerge_free(sequence);
	if (merge->whole && result == 0)
		merge->without_statistics = files_pcapng_statistics(merge->out);
	return (result >= 0 && !merge->no_memory) || cli_wrong("no memory to merge the files");
}

static void
print_json(FILE *to, const struct merge *merge, const struct ms_capmerge_counts *counts)
{
	json_t *summary = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "files",
		(json_int_t)merge->files_n, "read", (json_int_t)counts->read, "not_selected",
		(json_int_t)counts->not_taken, "written", (json_int_t)merge->written, "late",
		(json_int_t)counts->late, "other_blocks", (json_int_t)merge->others, "statistics",
		merge->whole && merge->without_statistics == 0);

	json_dumpf(summary, to, JSON_INDENT(2));
	fputc('\n', to);
	json_decref(summary);
}

static void
print_text(FILE *to, const struct merge *merge, const struct ms_capmerge_counts *counts)
{
	fprintf(to,
		"%" PRIu32 " files, %" PRIu64 " packets: %" PRIu64 " written, %" PRIu64
		" not selected\n",
		merge->files_n, counts->read, merge->written, counts->not_taken);
	if (counts->late > 0)
		fprintf(to,
			"%" PRIu64 " packets were later than the window and stand behind younger "
			"ones; a larger --window or --memory puts them in order\n",
			counts->late);
	if (!merge->whole)
		fputs("no statistics of interfaces: packets were selected\n", to);
	else if (merge->without_statistics > 0)
		fprintf(to, "no statistics of %" PRIu32 " interfaces: not all files tell them\n",
			merge->without_statistics);
	if (merge->others > 0)
		fprintf(to,
			"%" PRIu64 " blocks left out that are no packets, interfaces or "
			"statistics\n",
			merge->others);
}

static void
print(const struct merge *merge, const struct ms_capmerge_counts *counts)
{
	FILE *to = strcmp(merge->options->write, "-") == 0 ? stderr : stdout;

	if (merge->options->json)
		print_json(to, merge, counts);
	else
		print_text(to, merge, counts);
}

int
files_merge(const struct files_options *o, struct files_list *list)
{
	struct merge merge = {.options = o, .whole = files_select_all(&o->select)};
	struct ms_capmerge_counts counts = {0};
	struct files_target target;
	bool right;

	if (!files_target_open(&target, o->write, list))
		return CLI_EXIT_USAGE;
	signal(SIGPIPE, SIG_IGN); /* it shows as EPIPE */
	merge.out = files_pcapng_create(target.file);
	right = merge.out != NULL && prepare(&merge, list) && run(&merge, target.file, &counts);
	right = files_target_close(&target, right) && right;
	if (right)
		print(&merge, &counts);
	if (right && counts.read != counts.not_taken + merge.written)
		right = cli_wrong("packets were lost or doubled: this is a bug of mirrorctl");
	files_pcapng_free(merge.out);
	free(merge.entries);
	free(merge.files);
	free(merge.first);
	return right && !list->failed && !merge.inputs.failed ? EXIT_SUCCESS : CLI_EXIT_FAILED;
}
