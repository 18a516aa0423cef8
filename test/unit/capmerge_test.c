/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Merging: at random, what comes out is what a stable sort of all packets gives, nothing lost or
 * doubled, whatever the window is; and files are open no longer than they must be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capmerge/ms_capmerge.h"

#define FILES   20
#define PACKETS 300
#define RECORD  20 /* a pcap's, with 4 bytes of data */
#define NANO    0xa1b23c4du

/* A pcap in memory; data is the packet's number in its file. */
struct file {
	uint8_t bytes[24 + PACKETS * RECORD];
	size_t n;
	size_t at;
};

struct expected {
	uint64_t ns;
	uint32_t file;
	uint32_t number;
};

struct bench {
	struct file files[FILES];
	uint64_t first[FILES];
	struct expected packets[FILES * PACKETS];
	uint32_t packets_n;
	unsigned int open; /* now, and at most */
	unsigned int most;
	unsigned int closed;
	uint32_t file; /* which gets no reader; FILES: none */
};

static ssize_t
read_file(void *arg, void *bytes, size_t n)
{
	struct file *file = arg;

	n = n < file->n - file->at ? n : file->n - file->at;
	memcpy(bytes, file->bytes + file->at, n);
	file->at += n;
	return (ssize_t)n;
}

static struct ms_capread *
open_file(void *arg, uint32_t number)
{
	struct bench *bench = arg;
	struct ms_capread_source source = {read_file, &bench->files[number]};

	if (number == bench->file)
		return NULL;
	bench->open++;
	bench->most = bench->open > bench->most ? bench->open : bench->most;
	return ms_capread_create(&source, 64);
}

/* All but each seventh of a file; the interface tells the file. */
static bool
take(void *arg, uint32_t file, struct ms_capread *reader, struct ms_capread_packet *packet)
{
	uint32_t number;

	memcpy(&number, packet->data, sizeof(number));
	packet->interface = file;
	return number % 7 != 6;
}

static void
close_file(void *arg, uint32_t file, struct ms_capread *reader, enum ms_capread_result result)
{
	struct bench *bench = arg;

	assert_int_equal(result, MS_CAPREAD_END);
	bench->open--;
	bench->closed++;
	ms_capread_free(reader);
}

static const struct ms_capmerge_ops ops = {open_file, take, close_file};

static void
put32(struct file *file, uint32_t value)
{
	memcpy(file->bytes + file->n, &value, sizeof(value));
	file->n += sizeof(value);
}

static void
begin(struct bench *bench, uint32_t number)
{
	struct file *file = &bench->files[number];

	file->n = file->at = 0;
	put32(file, NANO);
	put32(file, 4 << 16 | 2);
	put32(file, 0);
	put32(file, 0);
	put32(file, 65535);
	put32(file, 1);
	bench->first[number] = UINT64_MAX;
}

static void
add(struct bench *bench, uint32_t number, uint64_t ns)
{
	struct file *file = &bench->files[number];
	uint32_t packet = (uint32_t)(file->n - 24) / RECORD;

	put32(file, ns / 1000000000);
	put32(file, ns % 1000000000);
	put32(file, 4);
	put32(file, 4);
	put32(file, packet);
	if (ns < bench->first[number])
		bench->first[number] = ns;
	if (packet % 7 != 6 && number != bench->file)
		bench->packets[bench->packets_n++] = (struct expected){ns, number, packet};
}

static int
by_time(const void *a, const void *b)
{
	const struct expected *x = a, *y = b;

	if (x->ns != y->ns)
		return x->ns < y->ns ? -1 : 1;
	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static struct ms_capmerge *
create(struct bench *bench, uint32_t files, uint32_t window, uint64_t bytes)
{
	struct ms_capmerge *merge = ms_capmerge_create(&(struct ms_capmerge_options){
		.files = files,
		.first = bench->first,
		.window_packets = window,
		.window_bytes = bytes,
		.ops = &ops,
		.arg = bench,
	});

	assert_non_null(merge);
	return merge;
}

/* Merges, and returns how many were late; exact: all must be in order. */
static uint64_t
run(struct bench *bench, uint32_t files, uint32_t window, uint64_t bytes, bool exact)
{
	struct ms_capmerge *merge = create(bench, files, window, bytes);
	struct expected *got = calloc(FILES * PACKETS + 1, sizeof(*got));
	struct ms_capmerge_counts counts;
	struct ms_capread_packet packet;
	uint64_t late = 0, latest = 0;
	uint32_t n = 0;

	while (ms_capmerge_next(merge, &packet) == 1) {
		assert_true(n < bench->packets_n);
		got[n] = (struct expected){packet.ns, packet.interface, 0};
		memcpy(&got[n].number, packet.data, sizeof(got[n].number));
		late += packet.ns < latest;
		latest = packet.ns > latest ? packet.ns : latest;
		n++;
	}
	assert_int_equal(ms_capmerge_next(merge, &packet), 0);
	counts = *ms_capmerge_counts(merge);
	ms_capmerge_free(merge);
	assert_int_equal(n, bench->packets_n);
	assert_int_equal(counts.given, n);
	assert_int_equal(counts.read, counts.given + counts.not_taken);
	assert_int_equal(counts.late, late);
	assert_int_equal(bench->open, 0);
	qsort(bench->packets, n, sizeof(*got), by_time);
	if (!exact)
		qsort(got, n, sizeof(*got), by_time);
	assert_memory_equal(got, bench->packets, n * sizeof(*got));
	free(got);
	return late;
}

/* Files of so many packets at random, each at most `back` places out of order. */
static struct bench *
make(unsigned int seed, uint32_t files, uint32_t back)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	assert_non_null(bench);
	srand(seed);
	bench->file = seed % 3 == 0 ? seed % files : FILES;
	for (uint32_t i = 0; i < files; i++) {
		uint64_t time = 1000 + rand() % 3000, times[PACKETS];
		uint32_t n = rand() % PACKETS;

		for (uint32_t k = 0; k < n; k++)
			times[k] = time += rand() % 4;
		for (uint32_t k = 0; back > 0 && k + back < n; k += back + 1) {
			uint32_t other = k + rand() % (back + 1);
			uint64_t kept = times[k];

			times[k] = times[other];
			times[other] = kept;
		}
		begin(bench, i);
		for (uint32_t k = 0; k < n; k++)
			add(bench, i, times[k]);
		if (seed % 2 == 0)
			bench->first[i] = 0; /* not known */
	}
	return bench;
}

static void
gives_what_a_sort_gives(void **state)
{
	for (unsigned int seed = 0; seed < 60; seed++) {
		struct bench *bench = make(seed, 1 + seed % FILES, seed % 30);

		assert_int_equal(run(bench, 1 + seed % FILES, 30, UINT64_MAX, true), 0);
		free(bench);
	}
}

static void
loses_nothing_that_is_late(void **state)
{
	uint64_t late = 0;

	for (unsigned int seed = 0; seed < 60; seed++) {
		struct bench *bench = make(seed, 1 + seed % FILES, 29);

		/* by packets, and by bytes: 1 is enough for one packet */
		late += run(bench, 1 + seed % FILES, seed % 2 != 0 ? 3 : 1000,
			seed % 2 != 0 ? UINT64_MAX : 1, false);
		free(bench);
	}
	assert_true(late > 0);
}

/* Two series of files that follow each other: never more than one of each and the next. */
static void
opens_files_when_they_are_due(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	assert_non_null(bench);
	bench->file = FILES;
	for (uint32_t i = 0; i < FILES; i++) {
		begin(bench, i);
		for (uint32_t k = 0; k < PACKETS; k++)
			add(bench, i, 1 + (uint64_t)(i / 2) * PACKETS + k);
	}
	assert_int_equal(run(bench, FILES, 16, UINT64_MAX, true), 0);
	assert_int_equal(bench->closed, FILES);
	assert_int_equal(bench->most, 2);
	free(bench);
}

/* Freed before its end, it leaves nothing behind. */
static void
can_be_left(void **state)
{
	struct bench *bench = make(1, 5, 3);
	struct ms_capmerge *merge = create(bench, 5, 30, UINT64_MAX);
	struct ms_capread_packet packet;

	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(ms_capmerge_next(merge, &packet), 1);
	ms_capmerge_free(merge);
	free(bench);
}

static void
of_nothing_gives_nothing(void **state)
{
	struct bench bench = {.file = FILES};

	run(&bench, 0, 1, 1, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_what_a_sort_gives),
		cmocka_unit_test(loses_nothing_that_is_late),
		cmocka_unit_test(opens_files_when_they_are_due),
		cmocka_unit_test(can_be_left),
		cmocka_unit_test(of_nothing_gives_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
