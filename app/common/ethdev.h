/* SPDX-License-Identifier: BSD-3-Clause */
/* Ports by name, and what their devices are. Needs the EAL. Control thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Finds a port by its name. If there is none: a message that lists those that exist, and false. */
bool ethdev_find(const char *option, const char *name, uint16_t *port);

/* The port reads a capture file (net_pcap with rx_pcap=): it can't overrun, so waiting is right. */
bool ethdev_replays(uint16_t port);

/* The capture file comes to an end (no infinite_rx=1). */
bool ethdev_replay_ends(uint16_t port);

/*
 * Name and arguments of the port's device, as --vdev and -a take them, for rte_dev_probe(). The
 * caller's to free; NULL if there is no memory.
 */
char *ethdev_arguments(uint16_t port);

/* The kernel has the port's interface, too, and sees its packets (net_af_packet, net_pcap). */
bool ethdev_kernel_has(uint16_t port);

/* The port's name; static, valid while the port exists. */
const char *ethdev_name(uint16_t port);

/*
 * The index of the kernel's interface that the device is or stands on (net_tap, net_af_packet,
 * net_af_xdp, net_pcap on an interface, and NICs that the kernel keeps); 0: none.
 */
unsigned int ethdev_interface(uint16_t port);

/*
 * What a driver takes of frames in transmit queues where it has a limit that it does not tell, and
 * loses longer ones without a word: their bytes in one piece, and in several mbufs. UINT32_MAX:
 * none known. Of release 22.11; later ones that do better lose nothing by it.
 */
void ethdev_transmit_room(uint16_t port, uint32_t *whole, uint32_t *segmented);

/* The device is a NIC or a function of one (PCI), not a virtual one that the EAL made up. */
bool ethdev_is_pci(uint16_t port);
