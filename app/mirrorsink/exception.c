/* SPDX-License-Identifier: BSD-3-Clause */
#include "exception.h"

#include <string.h>

#include <err.h>
#include <rte_ethdev.h>

#include "common/ethdev.h"

#define SCRIPT "scripts/exception-port.sh"

void
exception_take_mac(const struct sink_port *port)
{
	struct rte_ether_addr mac;
	int rc;

	/* nothing goes out in its name as long as it is gone, or is no interface at all */
	if (port->peer->id == SINK_PORT_NONE || ethdev_replays(port->peer->id))
		return;
	rc = rte_eth_macaddr_get(port->peer->id, &mac);
	if (rc == 0)
		rc = rte_eth_dev_default_mac_addr_set(port->id, &mac);
	if (rc != 0)
		warnx("exception port %s does not take the MAC address of mirror port %s: %s; give "
		      "it to the kernel's interface (" SCRIPT " --mac), or ARP is answered with a "
		      "wrong one",
			port->name, port->peer->name, strerror(-rc));
}

static void
announce_pair(const struct sink_port *exception)
{
	warnx("exception port %s is the kernel's side of mirror port %s; set the target's address "
	      "on it, and again after each start: " SCRIPT " %s ADDRESS/LENGTH",
		exception->name, exception->peer->name,
		exception->interface.index != 0 ? exception->interface.name : "INTERFACE");
	if (exception->peer->tx == 0)
		warnx("mirror port %s cannot send: nothing that the kernel says goes out of it",
			exception->peer->name);
}

static void
announce_none(const struct sink_port *mirror)
{
	const char *name = mirror->name;

	if (ethdev_kernel_has(mirror->id))
		warnx("mirror port %s has no exception port (-x): ARP, pings and health checks of "
		      "a load balancer are answered only if its interface, which the kernel has "
		      "too, has the target's address itself",
			name);
	else
		warnx("mirror port %s has no exception port (-x): ARP, pings and health checks of "
		      "a load balancer are not answered, and then no traffic will come, without "
		      "any error at the source; make a tap (--vdev=net_tap0,iface=eni0), give "
		      "-x net_tap0, and set the target's address on it with " SCRIPT,
			name);
}

void
exception_announce(const struct sink *sink)
{
	for (uint16_t i = 0; i < sink->mirrors_n; i++) {
		const struct sink_port *mirror = sink->mirrors[i];

		if (ethdev_replays(mirror->id))
			continue;
		if (mirror->peer != NULL)
			announce_pair(mirror->peer);
		else
			announce_none(mirror);
	}
}
