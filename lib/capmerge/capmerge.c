/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two levels of heaps: in each file one of the packets that are kept of it, and one of the files by
 * their earliest packet. A file that is not open yet stands in the second one by when it begins.
 */
#include "capmerge/ms_capmerge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MIN 64u

/* A packet that is kept: what it says, and a copy of its bytes and options. */
struct kept {
	struct ms_capread_packet packet;
	uint64_t number; /* in its file */
	uint8_t bytes[];
};

struct file {
	struct ms_capread *reader; /* NULL: not open */
	bool opened;
	struct kept **heap; /* by time and number, the earliest first */
	uint32_t heap_n;
	uint32_t room;
	uint64_t bytes; /* of all that are kept */
	uint64_t number;
};

struct ms_capmerge {
	struct ms_capmerge_options options;
	struct ms_capmerge_counts counts;
	struct file *files;
	uint32_t *heap; /* of files, by what comes next of them, and number */
	uint32_t heap_n;
	struct kept *last; /* what was given last */
	uint64_t latest;   /* time that was given */
};

void
ms_capmerge_free(struct ms_capmerge *merge)
{
	if (merge == NULL)
		return;
	for (uint32_t i = 0; merge->files != NULL && i < merge->options.files; i++) {
		struct file *file = &merge->files[i];

		while (file->heap_n > 0)
			free(file->heap[--file->heap_n]);
		free(file->heap);
		ms_capread_free(file->reader);
	}
	free(merge->last);
	free(merge->files);
	free(merge->heap);
	free(merge);
}

static bool
kept_before(const struct kept *a, const struct kept *b)
{
	if (a->packet.ns != b->packet.ns)
		return a->packet.ns < b->packet.ns;
	return a->number < b->number;
}

/* Lets the packet at a place of the heap fall to where it belongs. */
static void
sink_kept(struct file *file, uint32_t at)
{
	struct kept *moved = file->heap[at];

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= file->heap_n)
			break;
		if (child + 1 < file->heap_n &&
			kept_before(file->heap[child + 1], file->heap[child]))
			child++;
		if (!kept_before(file->heap[child], moved))
			break;
		file->heap[at] = file->heap[child];
		at = child;
	}
	file->heap[at] = moved;
}

static void
push_kept(struct file *file, struct kept *kept)
{
	uint32_t at = file->heap_n++;

	while (at > 0 && kept_before(kept, file->heap[(at - 1) / 2])) {
		file->heap[at] = file->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	file->heap[at] = kept;
}

static struct kept *
pop_kept(struct file *file)
{
	struct kept *kept = file->heap[0];

	file->heap[0] = file->heap[--file->heap_n];
	if (file->heap_n > 1)
		sink_kept(file, 0);
	return kept;
}

static uint64_t
size_of(const struct ms_capread_packet *packet)
{
	return sizeof(struct kept) + packet->captured + packet->options_bytes;
}

/* Keeps a copy. Returns 0 or -ENOMEM. */
static int
keep(struct file *file, const struct ms_capread_packet *packet)
{
	struct kept *kept = malloc(size_of(packet));
	struct kept **more = file->heap;

	if (file->heap_n == file->room) {
		file->room = file->room > 0 ? 2 * file->room : ROOM_MIN;
		more = realloc(file->heap, file->room * sizeof(*more));
		if (more != NULL)
			file->heap = more;
	}
	if (kept == NULL || more == NULL) {
		free(kept);
		return -ENOMEM;
	}
	kept->packet = *packet;
	kept->number = file->number++;
	kept->packet.data = kept->bytes;
	kept->packet.options = kept->bytes + packet->captured;
	if (packet->captured > 0)
		memcpy(kept->bytes, packet->data, packet->captured);
	if (packet->options_bytes > 0)
		memcpy(kept->bytes + packet->captured, packet->options, packet->options_bytes);
	file->bytes += size_of(packet);
	push_kept(file, kept);
	return 0;
}

/* Reads on until as many packets are kept as may be, or the file ends. Returns 0 or -ENOMEM. */
static int
fill(struct ms_capmerge *merge, uint32_t number)
{
	const struct ms_capmerge_options *o = &merge->options;
	struct file *file = &merge->files[number];
	struct ms_capread_packet packet;
	enum ms_capread_result result;
	int error;

	while (file->reader != NULL &&
		(file->heap_n == 0 ||
			(file->heap_n < o->window_packets && file->bytes < o->window_bytes))) {
		result = ms_capread_next(file->reader, &packet);
		if (result != MS_CAPREAD_PACKET) {
			o->ops->close(o->arg, number, file->reader, result);
			file->reader = NULL;
			break;
		}
		merge->counts.read++;
		if (!o->ops->take(o->arg, number, file->reader, &packet)) {
			merge->counts.not_taken++;
			continue;
		}
		error = keep(file, &packet);
		if (error != 0)
			return error;
	}
	return 0;
}

/* When the next packet of a file is, or could be. */
static uint64_t
next_of(const struct ms_capmerge *merge, uint32_t number)
{
	const struct file *file = &merge->files[number];

	return file->opened ? file->heap[0]->packet.ns : merge->options.first[number];
}

/* Not yet open goes before open, so that all files that begin at a time are known when it comes. */
static bool
file_before(const struct ms_capmerge *merge, uint32_t a, uint32_t b)
{
	uint64_t next_a = next_of(merge, a), next_b = next_of(merge, b);

	if (next_a != next_b)
		return next_a < next_b;
	if (merge->files[a].opened != merge->files[b].opened)
		return merge->files[b].opened;
	return a < b;
}

static void
sink_file(struct ms_capmerge *merge, uint32_t at)
{
	uint32_t moved = merge->heap[at];

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= merge->heap_n)
			break;
		if (child + 1 < merge->heap_n &&
			file_before(merge, merge->heap[child + 1], merge->heap[child]))
			child++;
		if (!file_before(merge, merge->heap[child], moved))
			break;
		merge->heap[at] = merge->heap[child];
		at = child;
	}
	merge->heap[at] = moved;
}

/* The first file of the heap has another next packet, or none any more. */
static void
settle_first(struct ms_capmerge *merge)
{
	struct file *file = &merge->files[merge->heap[0]];

	if (file->heap_n == 0) {
		free(file->heap);
		file->heap = NULL;
		merge->heap[0] = merge->heap[--merge->heap_n];
	}
	if (merge->heap_n > 1)
		sink_file(merge, 0);
}

struct ms_capmerge *
ms_capmerge_create(const struct ms_capmerge_options *options)
{
	struct ms_capmerge *merge = calloc(1, sizeof(*merge));

	if (merge == NULL)
		return NULL;
	merge->options = *options;
	merge->files = calloc(options->files + 1, sizeof(*merge->files)); /* never of 0 bytes */
	merge->heap = calloc(options->files + 1, sizeof(*merge->heap));
	if (merge->files == NULL || merge->heap == NULL) {
		ms_capmerge_free(merge);
		return NULL;
	}
	merge->heap_n = options->files;
	for (uint32_t i = 0; i < options->files; i++)
		merge->heap[i] = i;
	for (uint32_t i = options->files / 2; i > 0; i--)
		sink_file(merge, i - 1);
	return merge;
}

/* Opens files until one that is open comes next. Returns 0 or -ENOMEM. */
static int
open_due(struct ms_capmerge *merge)
{
	const struct ms_capmerge_options *o = &merge->options;
	struct file *file;
	int error;

	while (merge->heap_n > 0 && !merge->files[merge->heap[0]].opened) {
		file = &merge->files[merge->heap[0]];
		file->reader = o->ops->open(o->arg, merge->heap[0]);
		file->opened = true;
		error = fill(merge, merge->heap[0]);
		if (error != 0)
			return error;
		settle_first(merge);
	}
	return 0;
}

int
ms_capmerge_next(struct ms_capmerge *merge, struct ms_capread_packet *packet)
{
	struct file *file;
	int error;

	free(merge->last);
	merge->last = NULL;
	error = open_due(merge);
	if (error != 0)
		return error;
	if (merge->heap_n == 0)
		return 0;
	file = &merge->files[merge->heap[0]];
	merge->last = pop_kept(file);
	file->bytes -= size_of(&merge->last->packet);
	error = fill(merge, merge->heap[0]);
	if (error != 0)
		return error;
	settle_first(merge);
	*packet = merge->last->packet;
	merge->counts.given++;
	if (packet->ns < merge->latest)
		merge->counts.late++;
	else
		merge->latest = packet->ns;
	return 1;
}

const struct ms_capmerge_counts *
ms_capmerge_counts(const struct ms_capmerge *merge)
{
	return &merge->counts;
}
