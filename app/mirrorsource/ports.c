/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports: which ones, how they are set up, and how large the mbufs must be. Everything that depends
 * on what a driver can or cannot do is decided here, so that the hot path has limits to compare
 * with and no drivers to know.
 */
#include "ports.h"

#include "common/cli.h"
#include "common/ethdev.h"
#include "packet/ms_packet.h"

#include <rte_errno.h>

#include <errno.h>
#include <string.h>

#define DESCRIPTORS 1024
#define MBUFS       16384u /* 64 MiB without hugepages, where each takes a page of its own */
#define MBUFS_LARGE 512u   /* at least, where they must be larger */
#define ROOM_MAX    (UINT16_MAX - RTE_PKTMBUF_HEADROOM)
#define CACHE       256
#define CACHE_SMALL 64 /* for a pool of few large mbufs */

/* Says what a port's driver did not do. Returns the exit status. */
static int
broken(uint16_t port, const char *what, int error)
{
	cli_wrong("port %s: %s: %s", ethdev_name(port), what, rte_strerror(-error));
	return CLI_EXIT_FAILED;
}

static bool
is_rx(const struct source_ports *ports, uint16_t port)
{
	for (uint16_t i = 0; i < ports->rx_n; i++) {
		if (ports->rx[i] == port)
			return true;
	}
	return false;
}

static bool
choose_ports(struct source_ports *ports, const struct source_options *options)
{
	uint16_t port;

	ports->tx = SOURCE_NO_PORT;
	if (options->tx != NULL && !ethdev_find("--tx", options->tx, &ports->tx))
		return false;
	for (uint16_t i = 0; i < options->rx_n; i++) {
		if (!ethdev_find("--rx", options->rx[i], &port))
			return false;
		if (!is_rx(ports, port))
			ports->rx[ports->rx_n++] = port;
	}
	if (options->rx_n == 0) {
		RTE_ETH_FOREACH_DEV (port) {
			if (port != ports->tx)
				ports->rx[ports->rx_n++] = port;
		}
	}
	return ports->rx_n > 0 || cli_wrong("no port to read frames from: add one, for example "
					    "with --vdev=net_pcap0,rx_pcap=FILE before the --");
}

/* Bytes of frame in one mbuf. */
static uint32_t
choose_room(const struct source_ports *ports, const struct source_options *options)
{
	/*
	 * net_pcap counts the bytes of a frame that takes several mbufs in 16 bits, and so loses
	 * most of one that exceeds 64 KiB. With mbufs nearly that large the count comes out right
	 * for frames of up to 128 KiB.
	 */
	if (ports->captures && ports->tx == SOURCE_NO_PORT && !options->loop)
		return ROOM_MAX;
	if (ports->contiguous)
		return RTE_MAX(ports->tx_limit, (uint32_t)RTE_MBUF_DEFAULT_DATAROOM);
	return RTE_MBUF_DEFAULT_DATAROOM;
}

static int
make_pool(struct source_ports *ports, const struct source_options *options)
{
	uint32_t room = choose_room(ports, options);

	ports->mbufs = options->mbufs;
	if (ports->mbufs == 0)
		ports->mbufs = RTE_MAX(MBUFS / (room / RTE_MBUF_DEFAULT_DATAROOM), MBUFS_LARGE);
	ports->reserve = ports->rx_n * DESCRIPTORS;
	if (ports->tx != SOURCE_NO_PORT)
		ports->reserve += (DESCRIPTORS + MS_BURST) * (1 + ports->tx_limit / room);
	ports->pool = rte_pktmbuf_pool_create("mirrorsource", ports->mbufs,
		ports->mbufs < 4 * CACHE ? CACHE_SMALL : CACHE, 0,
		(uint16_t)(room + RTE_PKTMBUF_HEADROOM), SOCKET_ID_ANY);
	if (ports->pool != NULL)
		return 0;
	cli_wrong("no memory for %u mbufs of %u bytes (%s): give the EAL more with -m MEGABYTES, "
		  "or ask for fewer with --mbufs",
		ports->mbufs, room, rte_strerror(rte_errno));
	return CLI_EXIT_FAILED;
}

/* Finds out what the tx port takes. */
static void
configure_tx(struct source_ports *ports, const struct source_options *options,
	const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
	uint32_t mtu = options->mtu != 0 ? options->mtu : conf->rxmode.mtu;

	ports->tx_limit = RTE_MIN(mtu + RTE_ETHER_HDR_LEN, (uint32_t)ROOM_MAX);
	/* net_pcap says that it takes segments, but cuts or drops segmented packets over 16128. */
	ports->contiguous = (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) == 0 ||
	                    strcmp(info->driver_name, "net_pcap") == 0;
	if (!ports->contiguous)
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
}

/*
 * With --as-fast a packet is in many places at once, as the same mbuf: sound for drivers that read
 * it and give it back, one reference each time. These hand it on to whoever receives it, or write
 * another MAC address into it. The offload MBUF_FAST_FREE, which would not count references, is
 * asked for by nobody.
 */
static bool
takes_shared(const struct rte_eth_dev_info *info)
{
	static const char *const others[] = {"net_ring", "net_bonding"};

	for (unsigned int i = 0; i < RTE_DIM(others); i++) {
		if (strcmp(info->driver_name, others[i]) == 0)
			return false;
	}
	return true;
}

/*
 * A driver without an MTU of its own checks none. Others may refuse for no good reason
 * (net_af_packet of DPDK 22.11), so the user is believed: what the device then drops is among its
 * errors.
 */
static void
set_mtu(uint16_t port, uint32_t mtu)
{
	int ret = rte_eth_dev_set_mtu(port, (uint16_t)mtu);

	if (ret != 0 && ret != -ENOTSUP)
		cli_wrong("--mtu %u: port %s does not take it (%s); so large packets are sent to "
			  "it all the same",
			mtu, ethdev_name(port), rte_strerror(-ret));
}

/*
 * One each way, also where only one is of use: some drivers (net_tap) want as many in as out. But
 * net_af_packet wants mbufs as large as the frames of its ring, only to receive.
 */
static uint16_t
rx_queues(const struct source_ports *ports, uint16_t port, const struct rte_eth_dev_info *info)
{
	if (!is_rx(ports, port) && strcmp(info->driver_name, "net_af_packet") == 0)
		return 0;
	return RTE_MIN(1, info->max_rx_queues);
}

static int
configure_port(struct source_ports *ports, const struct source_options *options, uint16_t port)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	uint16_t mtu;
	int ret;

	ret = rte_eth_dev_info_get(port, &info);
	if (ret == 0)
		ret = rte_eth_dev_get_mtu(port, &mtu);
	if (ret != 0)
		return broken(port, "what it can do", ret);
	if (port == ports->tx && options->as_fast && !takes_shared(&info)) {
		cli_wrong("--as-fast: port %s hands packets on or changes them, so that it has to "
			  "have copies: give --loop in place of --as-fast",
			ethdev_name(port));
		return CLI_EXIT_USAGE;
	}
	/* Without this rte_eth_dev_configure() would set another one. */
	conf.rxmode.mtu = mtu;
	conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	if (is_rx(ports, port))
		ports->captures &= ethdev_replay_ends(port);
	if (port == ports->tx)
		configure_tx(ports, options, &info, &conf);
	ret = rte_eth_dev_configure(
		port, rx_queues(ports, port, &info), RTE_MIN(1, info.max_tx_queues), &conf);
	if (ret == 0 && port == ports->tx && options->mtu != 0)
		set_mtu(port, options->mtu);
	return ret == 0 ? 0 : broken(port, "configure", ret);
}

static int
start_port(struct source_ports *ports, uint16_t port)
{
	uint16_t rx = DESCRIPTORS;
	uint16_t tx = DESCRIPTORS;
	struct rte_eth_dev_info info;
	int ret;

	ret = rte_eth_dev_info_get(port, &info);
	if (ret == 0)
		ret = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx, &tx);
	if (ret == 0 && info.nb_rx_queues > 0)
		ret = rte_eth_rx_queue_setup(port, 0, rx, SOCKET_ID_ANY, NULL, ports->pool);
	if (ret == 0 && info.nb_tx_queues > 0)
		ret = rte_eth_tx_queue_setup(port, 0, tx, SOCKET_ID_ANY, NULL);
	if (ret == 0)
		ret = rte_eth_dev_start(port);
	if (ret != 0)
		return broken(port, "start", ret);
	if (is_rx(ports, port)) {
		ret = rte_eth_promiscuous_enable(port);
		if (ret != 0 && ret != -ENOTSUP)
			return broken(port, "promiscuous mode", ret);
	}
	return 0;
}

/* The tx port's address, if the user gave none and it has one; else a locally administered one. */
static void
settle_source_mac(const struct source_ports *ports, struct source_options *options)
{
	static const struct rte_ether_addr local = {{0x02, 0, 0, 0, 0, 0x01}};
	struct rte_ether_addr *mac = &options->encap.source_mac;

	if (options->source_mac)
		return;
	if (ports->tx == SOURCE_NO_PORT || rte_eth_macaddr_get(ports->tx, mac) != 0 ||
		!rte_is_valid_assigned_ether_addr(mac))
		*mac = local;
}

int
source_ports_open(struct source_ports *ports, struct source_options *options)
{
	int ret = 0;

	memset(ports, 0, sizeof(*ports));
	if (!choose_ports(ports, options))
		return CLI_EXIT_USAGE;
	ports->captures = true;
	for (uint16_t i = 0; ret == 0 && i < ports->rx_n; i++)
		ret = configure_port(ports, options, ports->rx[i]);
	if (ret == 0 && ports->tx != SOURCE_NO_PORT && !is_rx(ports, ports->tx))
		ret = configure_port(ports, options, ports->tx);
	if (ret == 0)
		ret = make_pool(ports, options);
	for (uint16_t i = 0; ret == 0 && i < ports->rx_n; i++)
		ret = start_port(ports, ports->rx[i]);
	if (ret == 0 && ports->tx != SOURCE_NO_PORT && !is_rx(ports, ports->tx))
		ret = start_port(ports, ports->tx);
	if (ret != 0) {
		source_ports_close(ports);
		rte_mempool_free(ports->pool);
		return ret;
	}
	settle_source_mac(ports, options);
	return 0;
}

static void
close_port(uint16_t port)
{
	/* One that was never started stops without harm. */
	rte_eth_dev_stop(port);
	rte_eth_dev_close(port);
}

void
source_ports_close(struct source_ports *ports)
{
	for (uint16_t i = 0; i < ports->rx_n; i++)
		close_port(ports->rx[i]);
	if (ports->tx != SOURCE_NO_PORT && !is_rx(ports, ports->tx))
		close_port(ports->tx);
}
