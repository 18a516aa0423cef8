/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One port, from its device to the lcores that use it. A mirror port has a receive queue for each
 * rx lcore, as far as its device goes; an output's port has transmit queues for each lane, since
 * lanes share nothing; the exception port has one for each rx lcore. Drivers that insist on as many
 * queues one way as the other get them.
 */
#include "port.h"

#include <net/if.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "common/ethdev.h"

#define MTU_MAX 9216 /* what ENA takes */

/* How often, and how long after each other, a port that starts is asked for its link. */
#define LINK_LOOKS   20
#define LINK_LOOK_US 5000

/* What a device takes of what we would like. */
static void
choose_offloads(const struct rte_eth_dev_info *info, struct rte_eth_conf *conf, uint16_t rx)
{
	conf->rxmode.offloads = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	conf->txmode.offloads = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	conf->rx_adv_conf.rss_conf.rss_hf =
		info->flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
	if (rx > 1 && conf->rx_adv_conf.rss_conf.rss_hf != 0)
		conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
}

static int
setup_queues(const struct sink *sink, uint16_t port, uint16_t rx, uint16_t tx)
{
	uint16_t rx_desc = SINK_RX_DESC, tx_desc = SINK_TX_DESC;
	int socket = rte_eth_dev_socket_id(port);
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx_desc, &tx_desc);

	for (uint16_t q = 0; rc == 0 && q < rx; q++)
		rc = rte_eth_rx_queue_setup(
			port, q, rx_desc, (unsigned int)socket, NULL, sink->pool);
	for (uint16_t q = 0; rc == 0 && q < tx; q++)
		rc = rte_eth_tx_queue_setup(port, q, tx_desc, (unsigned int)socket, NULL);
	return rc;
}

bool
port_choose_queues(const struct sink *sink, struct sink_port *port)
{
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(port->id, &info);

	if (rc != 0)
		return cli_wrong("port %s: %s", port->name, strerror(-rc));
	if (port->role == SINK_MIRROR) {
		port->tx = RTE_MIN(info.max_tx_queues, 1);
		return true;
	}
	port->rx = port->role == SINK_EXCEPTION;
	port->tx = port->role == SINK_EXCEPTION
	                   ? sink->rx_n
	                   : sink->lanes_n * sink->output_ports[port->output]->queues;
	return port->tx <= info.max_tx_queues ||
	       cli_wrong("port %s has %u transmit queues, but needs %u, so that no two of %u "
			 "lcores that send on it share one: give it more queues, or use fewer "
			 "workers (-W)",
		       port->name, info.max_tx_queues, port->tx,
		       port->role == SINK_EXCEPTION ? sink->rx_n : sink->lanes_n);
}

/*
 * Configures and starts one port. net_tap wants as many queues one way as the other, and complains
 * about anything else; other drivers of that kind are asked again.
 */
static bool
start_device(const struct sink *sink, struct sink_port *port)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	uint16_t rx = port->rx, tx = port->tx, id = port->id;
	int rc = rte_eth_dev_info_get(id, &info);

	if (rc != 0)
		return cli_wrong("port %s: %s", port->name, strerror(-rc));
	if (strcmp(info.driver_name, "net_tap") == 0)
		rx = tx = RTE_MAX(rx, tx);
	choose_offloads(&info, &conf, rx);
	rc = rte_eth_dev_configure(id, rx, tx, &conf);
	if (rc != 0 && rx != tx) {
		rx = tx = RTE_MAX(rx, tx);
		rc = rte_eth_dev_configure(id, rx, tx, &conf);
	}
	if (rc == 0)
		rc = setup_queues(sink, id, rx, tx);
	if (rc == 0)
		rc = rte_eth_dev_start(id);
	if (rc != 0)
		return cli_wrong("port %s does not start with %u receive and %u transmit queues: "
				 "%s%s",
			port->name, rx, tx, strerror(-rc),
			rc == -ENOMEM || ethdev_replays(id)
				? "; more packet buffers (--mbufs) may help"
				: "");
	return true;
}

/*
 * Mirrored packets are 50 to 94 bytes longer than what the source's MTU lets through. Only a NIC,
 * which is this program's alone, gets a larger MTU unasked.
 */
static bool
raise_mtu(uint16_t port, uint32_t asked)
{
	struct rte_eth_dev_info info;
	uint16_t mtu = (uint16_t)asked;
	int rc;

	if (mtu == 0) {
		if (!ethdev_is_pci(port) || rte_eth_dev_info_get(port, &info) != 0)
			return true;
		mtu = RTE_MIN(info.max_mtu, MTU_MAX);
	}
	rc = rte_eth_dev_set_mtu(port, mtu);
	if (rc != 0 && asked != 0)
		return cli_wrong("--mtu: port %s does not take %u: %s", ethdev_name(port), mtu,
			strerror(-rc));
	return true;
}

static void
mac_from_number(struct rte_ether_addr *mac, uint64_t number)
{
	for (int i = RTE_ETHER_ADDR_LEN - 1; i >= 0; i--, number >>= 8)
		mac->addr_bytes[i] = (uint8_t)number;
}

/* What the frames of an output are wrapped in, if they go on to another target. */
static bool
make_headers(const struct sink *sink, const struct sink_port *port)
{
	const struct ms_config_output *output = &sink_config(sink)->outputs[port->output];
	const struct ms_config_vxlan *vxlan = &output->vxlan;
	struct ms_encap_options options = {
		.source = vxlan->source.ip,
		.target = vxlan->target.ip,
		.family = vxlan->target.family,
		.port = vxlan->udp_port,
		.vni = vxlan->vni,
		.target_mtu = vxlan->target_mtu,
		.port_base = MS_ENCAP_PORT_BASE,
		.port_bits = MS_ENCAP_PORT_BITS,
	};
	int rc = 0;

	if (output->tenant != MS_TENANT_VXLAN)
		return true;
	mac_from_number(&options.target_mac, vxlan->target_mac);
	mac_from_number(&options.source_mac, vxlan->source_mac);
	if (vxlan->source_mac == 0)
		rc = rte_eth_macaddr_get(port->id, &options.source_mac);
	if (rc == 0)
		rc = ms_encap_init(&port->lanes->encap, &options);
	return rc == 0 ||
	       cli_wrong("port %s: no headers for its packets: %s", port->name, strerror(-rc));
}

bool
port_start(const struct sink *sink, struct sink_port *port)
{
	uint32_t mtu = port->role == SINK_MIRROR ? sink->options.mtu : 0;

	return start_device(sink, port) &&
	       (port->role == SINK_EXCEPTION || raise_mtu(port->id, mtu)) &&
	       (port->role != SINK_OUTPUT || make_headers(sink, port));
}

/* Tells the lanes of an output what its port takes, and that it is there. */
static void
publish_output(const struct sink *sink, const struct sink_port *port)
{
	bool wraps = sink->output_ports[port->output]->wraps;
	struct ms_output_port *lanes = port->lanes;
	struct rte_eth_dev_info info;
	uint16_t mtu;

	lanes->max_length = MS_LENGTH_MAX;
	lanes->segments = false;
	if (rte_eth_dev_info_get(port->id, &info) == 0) {
		/*
		 * A driver that receives any length keeps no MTU. Two VLAN tags may come on top,
		 * but not where the frame is an IP packet of ours.
		 */
		if (info.max_rx_pktlen < UINT16_MAX && rte_eth_dev_get_mtu(port->id, &mtu) == 0)
			lanes->max_length =
				mtu + RTE_ETHER_HDR_LEN + (wraps ? 0 : 2 * RTE_VLAN_HLEN);
		lanes->segments = (info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
	}
	/* pairs with the acquire of those who send */
	atomic_store_explicit(&lanes->id, port->id, memory_order_release);
}

/* Tells the lcores that poll a mirror port which it is. */
static void
publish_mirror(const struct sink *sink, const struct sink_port *port, uint16_t id)
{
	for (uint16_t r = 0; r < sink->rx_n; r++) {
		struct sink_rx *rx = sink->rx[r];

		for (uint16_t q = 0; q < rx->queues_n; q++) {
			if (rx->queues[q].of == port)
				atomic_store_explicit(
					&rx->queues[q].port, id, memory_order_release);
		}
	}
}

void
port_publish(const struct sink *sink, struct sink_port *port)
{
	kernel_interface_read(ethdev_interface(port->id), &port->interface);
	port_look_at_link(port);
	/* the kernel takes some milliseconds to say that a new interface runs */
	for (unsigned int i = 0; i < LINK_LOOKS && port->down; i++) {
		rte_delay_us_sleep(LINK_LOOK_US);
		port_look_at_link(port);
	}
	if (port->role == SINK_OUTPUT)
		publish_output(sink, port);
	else if (port->role == SINK_MIRROR)
		publish_mirror(sink, port, port->id);
}

void
port_withdraw(const struct sink *sink, struct sink_port *port)
{
	if (port->role == SINK_OUTPUT)
		atomic_store_explicit(&port->lanes->id, MS_PORT_GONE, memory_order_relaxed);
	else if (port->role == SINK_MIRROR)
		publish_mirror(sink, port, SINK_PORT_NONE);
}

bool
port_look_at_link(struct sink_port *port)
{
	struct rte_eth_link link;
	bool down;

	if (rte_eth_link_get_nowait(port->id, &link) != 0)
		return false;
	/* net_af_packet and others always say that theirs is up */
	down = link.link_status == RTE_ETH_LINK_DOWN ||
	       (port->interface.index != 0 && !kernel_interface_runs(port->interface.index));
	if (port->lanes != NULL)
		atomic_store_explicit(&port->lanes->down, down, memory_order_relaxed);
	if (down == port->down)
		return false;
	port->down = down;
	return true;
}

bool
port_lost_interface(const struct sink_port *port)
{
	struct rte_eth_dev_info info;
	char name[IF_NAMESIZE];

	return rte_eth_dev_info_get(port->id, &info) == 0 && info.if_index != 0 &&
	       if_indextoname(info.if_index, name) == NULL;
}
