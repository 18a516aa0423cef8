/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of capfile share: packets in mbufs, and a reader of pcapng that believes nothing
 * and knows nothing of the writer. All functions fail the running test where something is wrong.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "capfile/ms_capfile.h"
#include "session/ms_session.h"

struct test_packet {
	uint32_t interface;
	uint32_t captured;
	uint32_t original;
	uint32_t flags;
	uint64_t time;
	const uint8_t *bytes;
};

struct test_interface {
	char name[256];
	char description[2048];
	uint32_t snaplen;
	uint32_t tsresol;
	uint64_t received; /* by its statistics block */
	uint64_t dropped;
	bool statistics;
};

/* A whole pcapng file, taken apart. */
struct test_reading {
	const uint8_t *bytes;
	struct test_packet *packets;
	struct test_interface *interfaces;
	uint32_t packets_n;
	uint32_t interfaces_n;
};

extern struct ms_session_registry *test_registry;

/* cmocka's group setup and teardown: EAL, mbufs, and an empty registry. */
int test_setup(void **state);
int test_teardown(void **state);

/* The slot of a session "vni<vni>". */
uint32_t test_session(uint32_t vni);

/* Bytes that differ from seed to seed. */
void test_fill(uint8_t *bytes, uint32_t n, uint32_t seed);

/* A packet of n bytes in an mbuf, in so many segments (at least), split anywhere. */
struct rte_mbuf *test_mbuf(const uint8_t *bytes, uint32_t n, uint32_t segments);

/* The frame behind `offset` bytes of outer headers in an mbuf; for output 0, of original length. */
struct ms_frame test_frame(struct rte_mbuf *m, uint32_t offset, uint32_t session, uint64_t time);
void test_release(struct ms_frame *frames, uint32_t n);

/* A new file without a name, every other time in the working directory, else in memory: these
 * are written in different ways. */
int test_open(void);

/* All of a file, to be freed. */
uint8_t *test_slurp(int fd, size_t *n);

struct test_reading test_read(const uint8_t *bytes, size_t n);
void test_reading_free(struct test_reading *reading);

uint64_t test_drops(const struct ms_output_ledger *ledger, enum ms_drop reason);
void test_balanced(const struct ms_output_ledger *ledger);
