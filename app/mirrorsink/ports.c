/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports. A mirror port has a receive queue for each rx lcore, as far as its device goes; an output
 * port has a transmit queue for each lane, since lanes share nothing; the exception port has one
 * for each rx lcore. Drivers that insist on as many queues one way as the other get them.
 */
#include "ports.h"

#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>

#include "common/ethdev.h"
#include "outputs.h"

#define MTU_MAX      9216 /* what ENA takes */
#define MBUFS_MIN    8192
#define MBUFS_REPLAY 1024

/* The port, if something uses it already, or NULL. */
static const struct sink_port *
used(const struct sink *sink, uint16_t id)
{
	for (uint16_t i = 0; i < sink->ports_n; i++) {
		if (sink->ports[i].id == id)
			return &sink->ports[i];
	}
	return NULL;
}

/*
 * The port of this name, for one use: who sends and who receives must be different ports. who: says
 * where it is named. NULL after a message.
 */
static struct sink_port *
claim(struct sink *sink, const char *who, const char *name, enum sink_role role)
{
	static const char *const roles[] = {[SINK_MIRROR] = "a mirror port",
		[SINK_OUTPUT] = "the port of an output",
		[SINK_EXCEPTION] = "the exception port"};
	const struct sink_port *other;
	struct sink_port *port;
	uint16_t id;

	if (!ethdev_find(who, name, &id))
		return NULL;
	other = used(sink, id);
	if (other != NULL) {
		cli_wrong("%s: '%s' is %s already", who, name, roles[other->role]);
		return NULL;
	}
	port = &sink->ports[sink->ports_n++];
	*port = (struct sink_port){.role = role, .id = id};
	strlcpy(port->name, ethdev_name(id), sizeof(port->name));
	return port;
}

static bool
add_mirror(struct sink *sink, const char *who, const char *name)
{
	struct sink_port *port = claim(sink, who, name, SINK_MIRROR);

	if (port != NULL)
		sink->mirrors[sink->mirrors_n++] = port;
	return port != NULL;
}

static bool
resolve_output(struct sink *sink, uint32_t i)
{
	const struct ms_config_output *output = &sink_config(sink)->outputs[i];
	struct ms_output_ports *to = aligned_alloc(
		RTE_CACHE_LINE_SIZE, RTE_CACHE_LINE_ROUNDUP(sizeof(struct ms_output_ports)));
	char place[OUTPUTS_PLACE];

	if (to == NULL)
		return cli_wrong("out of memory");
	sink->output_ports[i] = to;
	ms_output_ports_init(to, (uint16_t)output->ports_n, (uint16_t)output->queues);
	sink->hash |= to->ways_n > 1;
	outputs_place(output, place, sizeof(place));
	for (uint32_t p = 0; p < output->ports_n; p++) {
		struct sink_port *port = claim(sink, place, output->ports[p], SINK_OUTPUT);

		if (port == NULL)
			return false;
		port->output = i;
		port->lanes = &to->ports[p];
	}
	return true;
}

static bool
resolve_outputs(struct sink *sink)
{
	const struct ms_config *config = sink_config(sink);

	for (uint32_t i = 0; i < config->outputs_n; i++) {
		if (config->outputs[i].type == MS_OUTPUT_PORT && !resolve_output(sink, i))
			return false;
	}
	return true;
}

bool
ports_resolve(struct sink *sink)
{
	uint16_t port;

	if (!resolve_outputs(sink))
		return false;
	if (sink->options.exception != NULL) {
		sink->exception =
			claim(sink, "--exception", sink->options.exception, SINK_EXCEPTION);
		if (sink->exception == NULL)
			return false;
	}
	for (uint32_t i = 0; i < sink->options.rx_n; i++) {
		if (!add_mirror(sink, "--rx", sink->options.rx[i]))
			return false;
	}
	RTE_ETH_FOREACH_DEV (port) {
		if (sink->options.rx_n == 0 && used(sink, port) == NULL)
			add_mirror(sink, "--rx", ethdev_name(port));
	}
	if (sink->mirrors_n == 0)
		return cli_wrong("there is no port to receive from: bind an ENI to a DPDK driver, "
				 "or make one before the --, such as "
				 "--vdev=net_pcap0,rx_pcap=FILE");
	sink->wait = sink->replay = true;
	for (uint16_t i = 0; i < sink->mirrors_n; i++) {
		sink->wait &= ethdev_replays(sink->mirrors[i]->id);
		sink->replay &= ethdev_replay_ends(sink->mirrors[i]->id);
	}
	if (sink->options.when_full != SINK_FULL_DEFAULT)
		sink->wait = sink->options.when_full == SINK_FULL_WAIT;
	return true;
}

uint16_t
ports_rx_queues(uint16_t port, uint16_t n)
{
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(port, &info) != 0)
		return 1;
	return RTE_MAX(RTE_MIN(n, info.max_rx_queues), 1);
}

uint32_t
ports_incomplete(const struct sink *sink)
{
	uint32_t n = sink->replay ? SINK_REPLAY_INCOMPLETE : SINK_INCOMPLETE;
	uint32_t given = sink->options.mbufs / sink->rx_n / (4 * MS_REASSEMBLY_PIECES);

	return sink->options.mbufs != 0 ? RTE_MAX(RTE_MIN(n, given), 16u) : n;
}

/* Mbufs that can be under way at once: in device queues, rings, caches, and a reserve. */
static uint32_t
mbufs_needed(const struct sink *sink)
{
	uint32_t rings = (uint32_t)sink->rx_n * sink->workers_n;
	uint32_t lcores = (uint32_t)sink->rx_n + sink->workers_n + 1;
	uint32_t ring = sink->replay ? SINK_REPLAY_RING : MS_RING_SIZE;
	uint32_t n = sink->replay ? MBUFS_REPLAY : MBUFS_MIN;

	if (sink->options.mbufs != 0)
		return sink->options.mbufs;
	n += rings * 3 * ring + lcores * 2 * sink->cache;
	if (sink_config(sink)->outer_fragments == MS_FRAGMENTS_REASSEMBLE)
		n += sink->rx_n * ports_incomplete(sink) * MS_REASSEMBLY_PIECES;
	for (uint16_t i = 0; i < sink->ports_n; i++) {
		const struct sink_port *port = &sink->ports[i];

		if (port->role == SINK_MIRROR && !sink->replay)
			n += port->rx * SINK_RX_DESC;
		if (port->role == SINK_OUTPUT)
			n += port->tx * SINK_TX_DESC;
	}
	return n;
}

static bool
make_pools(struct sink *sink)
{
	/*
	 * net_pcap counts the bytes of a record that takes several mbufs in 16 bits, and so loses
	 * most of one that exceeds 64 KiB. In mbufs nearly that large the count comes out right for
	 * records of up to 128 KiB.
	 */
	uint16_t room = sink->replay ? UINT16_MAX : RTE_MBUF_DEFAULT_BUF_SIZE;
	uint32_t n, outputs = 0;

	sink->cache = sink->replay ? SINK_REPLAY_CACHE : SINK_CACHE;
	n = mbufs_needed(sink);
	sink->pool =
		rte_pktmbuf_pool_create("ms_mbufs", n, sink->cache, 0, room, (int)rte_socket_id());
	if (sink->pool == NULL)
		return cli_wrong("no memory for %u packet buffers (%u MiB): give the EAL more with "
				 "-m, or ask for fewer with --mbufs",
			n, (uint32_t)((uint64_t)n * room >> 20));
	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++)
		outputs += sink->output_ports[i] != NULL;
	if (outputs < 2)
		return true;
	sink->clones =
		rte_pktmbuf_pool_create("ms_clones", n, sink->cache, 0, 0, (int)rte_socket_id());
	return sink->clones != NULL || cli_wrong("no memory for clones: give the EAL more with -m");
}

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

/* As many queues as the lcores need, or as the device has. */
static bool
choose_queues(const struct sink *sink, struct sink_port *port)
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
start_port(const struct sink *sink, struct sink_port *port)
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

/* Tells the lanes of an output what its port takes, and that it is there. */
static void
publish_output(struct sink_port *port)
{
	struct ms_output_port *lanes = port->lanes;
	struct rte_eth_dev_info info;
	uint16_t mtu;

	lanes->max_length = MS_LENGTH_MAX;
	lanes->segments = false;
	if (rte_eth_dev_info_get(port->id, &info) == 0) {
		/* a driver that receives any length keeps no MTU; two VLAN tags may come on top */
		if (info.max_rx_pktlen < UINT16_MAX && rte_eth_dev_get_mtu(port->id, &mtu) == 0)
			lanes->max_length = mtu + RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN;
		lanes->segments = (info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
	}
	/* pairs with the acquire of those who send */
	atomic_store_explicit(&lanes->id, port->id, memory_order_release);
}

bool
ports_start(struct sink *sink)
{
	for (uint16_t i = 0; i < sink->ports_n; i++) {
		if (!choose_queues(sink, &sink->ports[i]))
			return false;
	}
	if (!make_pools(sink))
		return false;
	for (uint16_t i = 0; i < sink->ports_n; i++) {
		struct sink_port *port = &sink->ports[i];
		bool mirror = port->role == SINK_MIRROR;

		if (!start_port(sink, port) ||
			(port->role != SINK_EXCEPTION &&
				!raise_mtu(port->id, mirror ? sink->options.mtu : 0)))
			return false;
		if (port->role == SINK_OUTPUT)
			publish_output(port);
	}
	return true;
}

void
ports_stop(struct sink *sink)
{
	uint16_t port;

	RTE_ETH_FOREACH_DEV (port) {
		rte_eth_dev_stop(port);
		rte_eth_dev_close(port);
	}
	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++)
		free(sink->output_ports[i]);
	rte_mempool_free(sink->pool);
	rte_mempool_free(sink->clones);
}

void
ports_add_to_lane(const struct sink *sink, uint32_t output, uint16_t lane)
{
	const struct ms_output_ports *to = sink->output_ports[output];

	ms_lane_add_port(sink->lanes[lane], to, lane * to->queues);
}
