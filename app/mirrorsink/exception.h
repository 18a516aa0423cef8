/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's side of mirror ports: the i-th exception port is that of the i-th mirror port. It
 * gets what is no mirror traffic, and what it receives goes out of the mirror port, so that the
 * kernel answers ARP, pings and health checks although DPDK has the interface.
 */
#pragma once

#include "sink.h"

/*
 * Gives an exception port the MAC address of its mirror port, so that the kernel answers as the
 * interface that it stands for. Says so if the driver refuses. Control; the port has started.
 */
void exception_take_mac(const struct sink_port *port);

/* Says at the start what the kernel answers on mirror ports and what not. Control. */
void exception_announce(const struct sink *sink);
