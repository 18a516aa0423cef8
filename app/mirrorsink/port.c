/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One port, from its device to the lcores that use it. A mirror port has a receive queue for each
 * rx lcore, as far as its device goes; an output's port has transmit queues for each lane, since
 * lanes share nothing; an exception port has one for each rx lcore. Drivers that insist on as many
 * queues one way as the other get them.
 */
#include "port.h"

#include <net/if.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf_pool_ops.h>

#include "common/ethdev.h"
#include "exception.h"

#define MTU_MAX    9216 /* what ENA takes */
#define MBUFS_IDLE 4096 /* for one receive queue of an output: net_af_xdp's two rings */

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

bool
port_is_af_xdp(uint16_t port)
{
	struct rte_eth_dev_info info;

	return rte_eth_dev_info_get(port, &info) == 0 &&
	       strcmp(info.driver_name, "net_af_xdp") == 0;
}

struct rte_mempool *
port_make_pool(const char *name, uint32_t n, uint32_t cache, uint16_t room, bool packed)
{
	struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = room};
	struct rte_mempool *pool;

	if (!packed)
		return rte_pktmbuf_pool_create(name, n, cache, 0, room, (int)rte_socket_id());
	pool = rte_mempool_create_empty(name, n, (unsigned int)sizeof(struct rte_mbuf) + room,
		cache, sizeof(private), (int)rte_socket_id(), RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	if (pool == NULL)
		return NULL;
	rte_pktmbuf_pool_init(pool, &private);
	if (rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL) != 0 ||
		rte_mempool_populate_default(pool) < 0 || pool->nb_mem_chunks != 1) {
		rte_mempool_free(pool);
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

/*
 * Where the mbufs of a port's receive queues come from. Those of a replay are larger than some
 * drivers allow, and too few to wait in queues that nobody looks at; and net_af_xdp sends from
 * there. NULL: no memory.
 */
static struct rte_mempool *
receive_pool(const struct sink *sink, const struct sink_port *port, uint16_t rx)
{
	bool xdp = port_is_af_xdp(port->id);
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *pool;

	if (port->role == SINK_MIRROR || rx == 0 || (!sink->replay && !xdp))
		return sink->pool;
	snprintf(name, sizeof(name), "ms_idle_%u", port->id);
	pool = rte_mempool_lookup(name);
	return pool != NULL
	               ? pool
	               : port_make_pool(name, rx * MBUFS_IDLE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, xdp);
}

static int
setup_queues(const struct sink *sink, const struct sink_port *of, uint16_t rx, uint16_t tx)
{
	struct rte_mempool *pool = receive_pool(sink, of, rx);
	uint16_t rx_desc = SINK_RX_DESC, tx_desc = SINK_TX_DESC, port = of->id;
	int socket = rte_eth_dev_socket_id(port);
	int rc =
		pool == NULL ? -ENOMEM : rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx_desc, &tx_desc);

	for (uint16_t q = 0; rc == 0 && q < rx; q++)
		rc = rte_eth_rx_queue_setup(port, q, rx_desc, (unsigned int)socket, NULL, pool);
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

/* Returns 0 or -errno. */
static int
try_device(const struct sink *sink, const struct sink_port *port, const struct rte_eth_conf *conf,
	uint16_t *rx, uint16_t *tx)
{
	int rc = rte_eth_dev_configure(port->id, *rx, *tx, conf);

	if (rc != 0 && *rx != *tx) {
		*rx = *tx = RTE_MAX(*rx, *tx);
		rc = rte_eth_dev_configure(port->id, *rx, *tx, conf);
	}
	if (rc == 0)
		rc = setup_queues(sink, port, *rx, *tx);
	return rc == 0 ? rte_eth_dev_start(port->id) : rc;
}

/*
 * Configures and starts one port. net_tap wants as many queues one way as the other, and complains
 * about anything else; net_memif as a server turns away a peer that has more. Other drivers of that
 * kind are asked again, and so are those that have no interrupts to give.
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
	if (strcmp(info.driver_name, "net_tap") == 0 || strcmp(info.driver_name, "net_memif") == 0)
		rx = tx = RTE_MAX(rx, tx);
	choose_offloads(&info, &conf, rx);
	conf.intr_conf.rxq = sink->options.idle == SINK_IDLE_ADAPTIVE && port->role != SINK_OUTPUT;
	rc = try_device(sink, port, &conf, &rx, &tx);
	if (rc != 0 && conf.intr_conf.rxq != 0) {
		conf.intr_conf.rxq = 0;
		rc = try_device(sink, port, &conf, &rx, &tx);
	}
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
 * which is this program's alone, gets a larger MTU unasked, and an output that is no interface of
 * the kernel's: there it limits nobody but us.
 */
static bool
raise_mtu(const struct sink_port *of, uint32_t asked)
{
	bool ours = of->role == SINK_OUTPUT && ethdev_interface(of->id) == 0;
	struct rte_eth_dev_info info;
	uint16_t mtu = (uint16_t)asked, port = of->id;
	int rc;

	if (mtu == 0) {
		if ((!ethdev_is_pci(port) && !ours) || rte_eth_dev_info_get(port, &info) != 0)
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

	if (!start_device(sink, port))
		return false;
	if (port->role == SINK_EXCEPTION)
		exception_take_mac(port);
	return (port->role == SINK_EXCEPTION || raise_mtu(port, mtu)) &&
	       (port->role != SINK_OUTPUT || make_headers(sink, port));
}

/*
 * The longest frames that a port sends. Through a kernel's interface go those that its MTU lets
 * through, one tag on top, whatever the driver says; a tap has one, too, but receives by it. Else
 * the device's MTU tells, with two tags on top; a driver that receives any length keeps none. No
 * tag where the frame is an IP packet of ours.
 */
static void
find_limits(const struct sink_port *port, struct ms_output_port *lanes, bool wraps)
{
	struct rte_eth_dev_info info;
	uint32_t whole, segmented, longest = MS_LENGTH_MAX, tags = 0;
	uint16_t mtu;

	ethdev_transmit_room(port->id, &whole, &segmented);
	if (rte_eth_dev_info_get(port->id, &info) != 0) {
		longest = 0;
	} else if (strcmp(info.driver_name, "net_tap") != 0 && !ethdev_is_pci(port->id) &&
		   port->interface.index != 0) {
		longest = port->interface.mtu + RTE_ETHER_HDR_LEN;
		tags = wraps ? 0 : RTE_VLAN_HLEN;
	} else if (info.max_rx_pktlen < UINT16_MAX && rte_eth_dev_get_mtu(port->id, &mtu) == 0) {
		longest = mtu + RTE_ETHER_HDR_LEN + (wraps ? 0 : 2 * RTE_VLAN_HLEN);
	}
	lanes->max_length = RTE_MIN(longest, whole);
	lanes->max_tagged = RTE_MIN(longest + tags, whole);
	lanes->max_segmented = segmented;
}

/* Tells the lanes of an output what its port takes, and that it is there. */
static void
publish_output(const struct sink *sink, const struct sink_port *port)
{
	struct ms_output_port *lanes = port->lanes;

	find_limits(port, lanes, sink->output_ports[port->output]->wraps);
	/* pairs with the acquire of those who send */
	atomic_store_explicit(&lanes->id, port->id, memory_order_release);
}

/*
 * Tells an lcore where to wait for packets of a port, or that it is gone. That a driver has no
 * interrupts is no error, so the ethdev library is not to complain.
 */
static void
publish_idle(struct ms_idle *idle, uint16_t source, uint16_t port, uint16_t first, uint16_t n)
{
	int log = rte_log_register("lib.ethdev");
	int level = rte_log_get_level((uint32_t)log);

	if (port == SINK_PORT_NONE) {
		ms_idle_withdraw(idle, source);
		return;
	}
	rte_log_set_level((uint32_t)log, RTE_LOG_CRIT);
	ms_idle_publish(idle, source, port, first, n);
	rte_log_set_level((uint32_t)log, (uint32_t)level);
}

/* Tells the lcores that poll a mirror port, and the one that sends on it, which it is. */
static void
publish_mirror(const struct sink *sink, const struct sink_port *port, uint16_t id)
{
	for (uint16_t r = 0; r < sink->rx_n; r++) {
		struct sink_rx *rx = sink->rx[r];

		for (uint16_t i = 0; i < rx->returns_n; i++) {
			if (rx->returns[i].of->peer == port && port->tx > 0)
				atomic_store_explicit(
					&rx->returns[i].mirror, id, memory_order_release);
		}
		for (uint16_t q = 0; q < rx->queues_n; q++) {
			struct sink_queue *queue = &rx->queues[q];

			if (queue->of != port)
				continue;
			publish_idle(&rx->idle, queue->idle, id, queue->queue, 1);
			atomic_store_explicit(&queue->port, id, memory_order_release);
		}
	}
}

/* Tells the lcores that send to an exception port, and the one that polls it, which it is. */
static void
publish_exception(const struct sink *sink, const struct sink_port *port, uint16_t id)
{
	struct rte_eth_dev_info info;

	for (uint16_t r = 0; r < sink->rx_n; r++) {
		struct sink_rx *rx = sink->rx[r];

		for (uint16_t i = 0; i < rx->returns_n; i++) {
			if (rx->returns[i].of != port)
				continue;
			if (id != SINK_PORT_NONE && rte_eth_dev_info_get(id, &info) == 0)
				rx->returns[i].queues = info.nb_rx_queues;
			publish_idle(&rx->idle, rx->returns[i].idle, id, 0, rx->returns[i].queues);
			atomic_store_explicit(&rx->returns[i].exception, id, memory_order_release);
		}
		for (uint16_t q = 0; q < rx->queues_n; q++) {
			if (rx->queues[q].of->peer == port)
				atomic_store_explicit(
					&rx->queues[q].exception, id, memory_order_release);
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
	else
		publish_exception(sink, port, port->id);
}

void
port_withdraw(const struct sink *sink, struct sink_port *port)
{
	if (port->role == SINK_OUTPUT)
		atomic_store_explicit(&port->lanes->id, MS_PORT_GONE, memory_order_relaxed);
	else if (port->role == SINK_MIRROR)
		publish_mirror(sink, port, SINK_PORT_NONE);
	else
		publish_exception(sink, port, SINK_PORT_NONE);
}

void
port_forget(const struct sink *sink, const struct sink_port *port)
{
	for (uint16_t r = 0; r < sink->rx_n; r++) {
		struct sink_rx *rx = sink->rx[r];

		for (uint16_t i = 0; i < rx->returns_n; i++) {
			if (rx->returns[i].of == port)
				ms_idle_forget(&rx->idle, rx->returns[i].idle, port->id);
		}
		for (uint16_t q = 0; q < rx->queues_n; q++) {
			if (rx->queues[q].of == port)
				ms_idle_forget(&rx->idle, rx->queues[q].idle, port->id);
		}
	}
}

unsigned int
port_idle_ways(const struct sink *sink, const struct sink_port *port)
{
	unsigned int ways = MS_IDLE_MONITOR | MS_IDLE_INTERRUPT;

	for (uint16_t r = 0; r < sink->rx_n; r++) {
		for (uint16_t q = 0; q < sink->rx[r]->queues_n; q++) {
			if (sink->rx[r]->queues[q].of == port)
				ways &= ms_idle_ways(&sink->rx[r]->idle);
		}
	}
	return ways;
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
