/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of outputs share: a lane, and ports for it, which are ring vdevs and give back
 * what was sent.
 */
#pragma once

#include "capfile_fixture.h"

#include "output/ms_output.h"

#define TEST_PORTS     3
#define TEST_CLONES    255
#define TEST_FRAME_MAX 9000

extern struct rte_mempool *test_packets; /* test_mbuf() takes from there */
extern struct rte_mempool *test_clones;
extern struct rte_mempool *test_heads; /* as many as clones */
extern uint16_t test_ports[TEST_PORTS];
extern struct ms_lane test_lane;
extern struct ms_output_ports test_destinations[TEST_PORTS]; /* of test_lane's outputs */

/* cmocka's group setup and teardown; those of a test, which has freed what it took. */
int test_lane_setup(void **state);
int test_lane_teardown(void **state);
int test_lane_begin(void **state);
int test_lane_end(void **state);

void test_port_fill(struct ms_output_port *port, uint16_t id, uint32_t max_length, bool segments);

/* The next output, of one port with one queue. */
void test_add_port(uint16_t id, uint32_t max_length, bool segments);

/* The packet in hand: test_fill() makes the same again from its number. */
extern uint8_t test_bytes[TEST_FRAME_MAX + 256];

/* A frame for these outputs, in so many segments at least, split anywhere. */
struct ms_frame
test_make(uint32_t number, uint32_t offset, uint32_t length, uint32_t segments, uint32_t outputs);

/* Takes one frame that was sent out of a port; NULL if there is none. */
struct rte_mbuf *test_receive(unsigned int port);
