/* SPDX-License-Identifier: BSD-3-Clause */
/* See output_fixture.h. */
#include "output_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_ethdev.h>

struct rte_mempool *test_packets;
struct rte_mempool *test_clones;
struct rte_mempool *test_heads;
uint16_t test_ports[TEST_PORTS];
struct ms_lane test_lane;
struct ms_output_ports test_destinations[TEST_PORTS];

static int
start_port(const char *name, uint16_t *port)
{
	const struct rte_eth_conf conf = {0};

	return rte_eal_hotplug_add("vdev", name, "") != 0 ||
	                       rte_eth_dev_get_port_by_name(name, port) != 0 ||
	                       rte_eth_dev_configure(*port, 1, 1, &conf) != 0 ||
	                       rte_eth_rx_queue_setup(
				       *port, 0, 64, SOCKET_ID_ANY, NULL, test_packets) != 0 ||
	                       rte_eth_tx_queue_setup(*port, 0, 64, SOCKET_ID_ANY, NULL) != 0 ||
	                       rte_eth_dev_start(*port) != 0
	               ? -1
	               : 0;
}

int
test_lane_setup(void **state)
{
	if (test_setup(state) != 0)
		return -1;
	test_packets = rte_mempool_lookup("test");
	test_clones = rte_pktmbuf_pool_create("clones", TEST_CLONES, 0, 0, 0, SOCKET_ID_ANY);
	test_heads = rte_pktmbuf_pool_create(
		"heads", TEST_CLONES, 0, 0, MS_OUTPUT_HEAD_ROOM, SOCKET_ID_ANY);
	if (test_packets == NULL || test_clones == NULL || test_heads == NULL)
		return -1;
	for (unsigned int i = 0; i < TEST_PORTS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "net_ring%u", i);
		if (start_port(name, &test_ports[i]) != 0)
			return -1;
	}
	srand(1);
	return 0;
}

int
test_lane_teardown(void **state)
{
	for (unsigned int i = 0; i < TEST_PORTS; i++)
		rte_eth_dev_stop(test_ports[i]);
	rte_mempool_free(test_clones);
	rte_mempool_free(test_heads);
	return test_teardown(state);
}

int
test_lane_begin(void **state)
{
	memset(&test_lane, 0, sizeof(test_lane));
	test_lane.clones = test_clones;
	test_lane.heads = test_heads;
	test_lane.copies = test_packets;
	return 0;
}

int
test_lane_end(void **state)
{
	for (uint16_t i = 0; i < test_lane.outputs_n; i++) {
		if (!ms_output_ledger_balanced(&test_lane.outputs[i].ledger))
			return -1;
	}
	return rte_mempool_in_use_count(test_packets) == 0 &&
	                       rte_mempool_in_use_count(test_clones) == 0 &&
	                       rte_mempool_in_use_count(test_heads) == 0
	               ? 0
	               : -1;
}

void
test_port_fill(struct ms_output_port *port, uint16_t id, uint32_t max_length, bool segments)
{
	port->max_length = max_length;
	port->max_tagged = max_length;
	port->max_segmented = segments ? UINT32_MAX : 0;
	atomic_store(&port->id, id);
}

void
test_add_port(uint16_t id, uint32_t max_length, bool segments)
{
	struct ms_output_ports *to = &test_destinations[test_lane.outputs_n % TEST_PORTS];

	ms_output_ports_init(to, 1, 1);
	test_port_fill(&to->ports[0], id, max_length, segments);
	ms_lane_add_port(&test_lane, to, 0);
}

uint8_t test_bytes[TEST_FRAME_MAX + 256];

struct ms_frame
test_make(uint32_t number, uint32_t offset, uint32_t length, uint32_t segments, uint32_t outputs)
{
	struct ms_frame frame;

	test_fill(test_bytes, offset + length + 8, number);
	frame = test_frame(test_mbuf(test_bytes, offset + length + 8, segments), offset,
		test_session(1), number);
	frame.length = length; /* 8 bytes of padding stay behind */
	frame.outputs = outputs;
	return frame;
}

struct rte_mbuf *
test_receive(unsigned int port)
{
	struct rte_mbuf *m;

	return rte_eth_rx_burst(test_ports[port], 0, &m, 1) == 1 ? m : NULL;
}
