/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/ethdev.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_devargs.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "common/cli.h"

const char *
ethdev_name(uint16_t port)
{
	static char names[RTE_MAX_ETHPORTS][RTE_ETH_NAME_MAX_LEN];

	if (rte_eth_dev_get_name_by_port(port, names[port]) != 0)
		return "(gone)";
	return names[port];
}

bool
ethdev_find(const char *option, const char *name, uint16_t *port)
{
	char known[512] = "";
	uint16_t other;

	if (rte_eth_dev_get_port_by_name(name, port) == 0)
		return true;
	RTE_ETH_FOREACH_DEV (other) {
		strlcat(known, known[0] != '\0' ? ", " : "", sizeof(known));
		strlcat(known, ethdev_name(other), sizeof(known));
	}
	return cli_wrong("%s: '%s' is no port: give one of %s, or make it with --vdev or -a before "
			 "the --",
		option, name, known[0] != '\0' ? known : "(none exists)");
}

/* The device arguments that the port was made with, "" if there are none. */
static const char *
arguments(uint16_t port)
{
	const struct rte_devargs *devargs;
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(port, &info) != 0 || info.device == NULL)
		return "";
	devargs = rte_dev_devargs(info.device);
	return devargs != NULL && devargs->args != NULL ? devargs->args : "";
}

char *
ethdev_arguments(uint16_t port)
{
	const char *args = arguments(port);
	struct rte_eth_dev_info info;
	const char *name = ethdev_name(port);
	char *text;

	/* a port is not always called as its device is */
	if (rte_eth_dev_info_get(port, &info) == 0 && info.device != NULL)
		name = rte_dev_name(info.device);
	return asprintf(&text, "%s%s%s", name, args[0] != '\0' ? "," : "", args) >= 0 ? text : NULL;
}

bool
ethdev_replays(uint16_t port)
{
	return strstr(arguments(port), "rx_pcap=") != NULL;
}

bool
ethdev_replay_ends(uint16_t port)
{
	return ethdev_replays(port) && strstr(arguments(port), "infinite_rx=1") == NULL;
}

bool
ethdev_kernel_has(uint16_t port)
{
	struct rte_eth_dev_info info;

	return rte_eth_dev_info_get(port, &info) == 0 &&
	       (strcmp(info.driver_name, "net_af_packet") == 0 ||
		       strcmp(info.driver_name, "net_pcap") == 0);
}

bool
ethdev_is_pci(uint16_t port)
{
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(port, &info) != 0 || info.device == NULL)
		return false;
	return strcmp(rte_bus_name(rte_dev_bus(info.device)), "pci") == 0;
}

/* net_pcap tells no index if one interface was named for each direction. */
unsigned int
ethdev_interface(uint16_t port)
{
	const char *args = arguments(port), *name = strstr(args, "tx_iface=");
	struct rte_eth_dev_info info;
	char text[IF_NAMESIZE];

	if (rte_eth_dev_info_get(port, &info) == 0 && info.if_index != 0)
		return info.if_index;
	if (name == NULL)
		name = strstr(args, "rx_iface=");
	if (name == NULL)
		return 0;
	strlcpy(text, name + strlen("tx_iface="), sizeof(text));
	text[strcspn(text, ",")] = '\0';
	return if_nametoindex(text);
}

/* A number among a port's device arguments. */
static uint32_t
argument(uint16_t port, const char *key, uint32_t otherwise)
{
	const char *found = strstr(arguments(port), key);

	return found != NULL ? (uint32_t)strtoul(found + strlen(key), NULL, 10) : otherwise;
}

/*
 * net_af_packet has slots of a ring, less a header (TPACKET2_HDRLEN without the address).
 *
 * net_af_xdp copies into mbufs of its receive queue's pool, ours, without looking at their size.
 *
 * net_memif marks a buffer that is not a frame's last, and never takes the mark away.
 *
 * net_pcap puts segments together in a buffer on its stack.
 */
void
ethdev_transmit_room(uint16_t port, uint32_t *whole, uint32_t *segmented)
{
	struct rte_eth_dev_info info;

	*whole = *segmented = UINT32_MAX;
	if (rte_eth_dev_info_get(port, &info) != 0)
		return;
	if ((info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) == 0)
		*segmented = 0;
	if (strcmp(info.driver_name, "net_af_packet") == 0)
		*whole = argument(port, "framesz=", 2048) - 32;
	else if (strcmp(info.driver_name, "net_af_xdp") == 0)
		*whole = RTE_MBUF_DEFAULT_DATAROOM;
	else if (strcmp(info.driver_name, "net_memif") == 0)
		*whole = argument(port, "bsize=", UINT32_MAX);
	else if (strcmp(info.driver_name, "net_pcap") == 0)
		*segmented = RTE_ETHER_MAX_JUMBO_FRAME_LEN;
}
