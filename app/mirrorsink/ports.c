/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports. A mirror port has a receive queue for each rx lcore, as far as its device goes; an output
 * port has a transmit queue for each lane, since lanes share nothing; the exception port has one
 * for each rx lcore. Drivers that insist on as many queues one way as the other get them.
 */
#include "ports.h"

#include <string.h>

#include <rte_ethdev.h>
#include <rte_lcore.h>

#include "common/ethdev.h"
#include "outputs.h"

#define MTU_MAX      9216 /* what ENA takes */
#define MBUFS_MIN    8192
#define MBUFS_REPLAY 1024

static bool
is_output(const struct sink *sink, uint16_t port)
{
	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++) {
		if (sink->output_ports[i] == port)
			return true;
	}
	return false;
}

static bool
is_mirror(const struct sink *sink, uint16_t port)
{
	for (uint16_t i = 0; i < sink->mirrors_n; i++) {
		if (sink->mirrors[i] == port)
			return true;
	}
	return false;
}

/* Who sends and who receives must be different ports. */
static bool
add_mirror(struct sink *sink, uint16_t port)
{
	if (is_output(sink, port) || port == sink->exception)
		return cli_wrong(
			"--rx: '%s' is an output or the exception port already", ethdev_name(port));
	if (is_mirror(sink, port))
		return cli_wrong("--rx: '%s' is given twice", ethdev_name(port));
	sink->mirrors[sink->mirrors_n++] = port;
	return true;
}

static bool
resolve_outputs(struct sink *sink)
{
	const struct ms_config *config = sink_config(sink);

	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++)
		sink->output_ports[i] = SINK_PORT_NONE;
	for (uint32_t i = 0; i < config->outputs_n; i++) {
		const struct ms_config_output *output = &config->outputs[i];
		char place[OUTPUTS_PLACE];
		uint16_t port;

		if (output->type != MS_OUTPUT_PORT)
			continue;
		outputs_place(output, place, sizeof(place));
		if (!ethdev_find(place, output->port, &port))
			return false;
		if (is_output(sink, port))
			return cli_wrong("%s: '%s' is the port of another output already", place,
				output->port);
		sink->output_ports[i] = port;
	}
	return true;
}

bool
ports_resolve(struct sink *sink)
{
	uint16_t port;

	sink->exception = SINK_PORT_NONE;
	if (!resolve_outputs(sink))
		return false;
	if (sink->options.exception != NULL) {
		if (!ethdev_find("--exception", sink->options.exception, &port))
			return false;
		if (is_output(sink, port))
			return cli_wrong(
				"--exception: '%s' is an output already", sink->options.exception);
		sink->exception = port;
	}
	for (uint32_t i = 0; i < sink->options.rx_n; i++) {
		if (!ethdev_find("--rx", sink->options.rx[i], &port) || !add_mirror(sink, port))
			return false;
	}
	RTE_ETH_FOREACH_DEV (port) {
		if (sink->options.rx_n == 0 && !is_output(sink, port) && port != sink->exception)
			sink->mirrors[sink->mirrors_n++] = port;
	}
	if (sink->mirrors_n == 0)
		return cli_wrong("there is no port to receive from: bind an ENI to a DPDK driver, "
				 "or make one before the --, such as "
				 "--vdev=net_pcap0,rx_pcap=FILE");
	sink->wait = sink->replay = true;
	for (uint16_t i = 0; i < sink->mirrors_n; i++) {
		sink->wait &= ethdev_replays(sink->mirrors[i]);
		sink->replay &= ethdev_replay_ends(sink->mirrors[i]);
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
	for (uint16_t i = 0; i < sink->mirrors_n && !sink->replay; i++)
		n += sink->mirror_queues[i] * SINK_RX_DESC;
	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++) {
		if (sink->output_ports[i] != SINK_PORT_NONE)
			n += sink->lanes_n * SINK_TX_DESC;
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
	uint32_t n, ports = 0;

	sink->cache = sink->replay ? SINK_REPLAY_CACHE : SINK_CACHE;
	n = mbufs_needed(sink);
	sink->pool =
		rte_pktmbuf_pool_create("ms_mbufs", n, sink->cache, 0, room, (int)rte_socket_id());
	if (sink->pool == NULL)
		return cli_wrong("no memory for %u packet buffers (%u MiB): give the EAL more with "
				 "-m, or ask for fewer with --mbufs",
			n, (uint32_t)((uint64_t)n * room >> 20));
	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++)
		ports += sink->output_ports[i] != SINK_PORT_NONE;
	if (ports < 2)
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

/*
 * Configures and starts one port. net_tap wants as many queues one way as the other, and complains
 * about anything else; other drivers of that kind are asked again.
 */
static bool
start_port(struct sink *sink, uint16_t port, uint16_t rx, uint16_t tx)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(port, &info);

	if (rc != 0)
		return cli_wrong("port %s: %s", ethdev_name(port), strerror(-rc));
	if (tx > info.max_tx_queues)
		return cli_wrong("port %s has %u transmit queues, but %u lcores would send on it: "
				 "give it more queues, or use fewer workers (-W)",
			ethdev_name(port), info.max_tx_queues, tx);
	if (strcmp(info.driver_name, "net_tap") == 0)
		rx = tx = RTE_MAX(rx, tx);
	choose_offloads(&info, &conf, rx);
	rc = rte_eth_dev_configure(port, rx, tx, &conf);
	if (rc != 0 && rx != tx) {
		rx = tx = RTE_MAX(rx, tx);
		rc = rte_eth_dev_configure(port, rx, tx, &conf);
	}
	if (rc == 0)
		rc = setup_queues(sink, port, rx, tx);
	if (rc == 0)
		rc = rte_eth_dev_start(port);
	if (rc != 0)
		return cli_wrong("port %s does not start with %u receive and %u transmit queues: "
				 "%s%s",
			ethdev_name(port), rx, tx, strerror(-rc),
			rc == -ENOMEM || ethdev_replays(port)
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

bool
ports_start(struct sink *sink)
{
	struct rte_eth_dev_info info;

	if (!make_pools(sink))
		return false;
	for (uint16_t i = 0; i < sink->mirrors_n; i++) {
		uint16_t port = sink->mirrors[i];

		if (rte_eth_dev_info_get(port, &info) != 0)
			info.max_tx_queues = 0;
		if (!start_port(
			    sink, port, sink->mirror_queues[i], RTE_MIN(info.max_tx_queues, 1)) ||
			!raise_mtu(port, sink->options.mtu))
			return false;
	}
	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++) {
		uint16_t port = sink->output_ports[i];

		if (port != SINK_PORT_NONE &&
			(!start_port(sink, port, 0, sink->lanes_n) || !raise_mtu(port, 0)))
			return false;
	}
	return sink->exception == SINK_PORT_NONE ||
	       start_port(sink, sink->exception, 1, sink->rx_n);
}

void
ports_stop(struct sink *sink)
{
	uint16_t port;

	RTE_ETH_FOREACH_DEV (port) {
		rte_eth_dev_stop(port);
		rte_eth_dev_close(port);
	}
	rte_mempool_free(sink->pool);
	rte_mempool_free(sink->clones);
}

void
ports_add_to_lane(const struct sink *sink, uint32_t output, uint16_t lane)
{
	uint16_t port = sink->output_ports[output], mtu;
	struct rte_eth_dev_info info;
	uint32_t longest = MS_LENGTH_MAX;
	bool segments = false;

	if (rte_eth_dev_info_get(port, &info) == 0) {
		/* a driver that receives any length keeps no MTU; two VLAN tags may come on top */
		if (info.max_rx_pktlen < UINT16_MAX && rte_eth_dev_get_mtu(port, &mtu) == 0)
			longest = mtu + RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN;
		segments = (info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
	}
	ms_lane_add_port(sink->lanes[lane], port, lane, longest, segments);
}
