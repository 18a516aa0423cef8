/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel does behind a port: the counters of the interface that a tap, a packet socket or
 * an XDP socket stands on, and those programs that read from it through packet sockets of their
 * own. A port cannot know of a loss there; the kernel tells by rtnetlink and sock_diag. Needs no
 * privilege, and opens and closes its sockets each time. Any thread, but none that moves packets.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

/* Name and help of each counter. `rx` and `tx` are the kernel's: what a tap is sent it receives. */
#define KERNEL_COUNTERS_TABLE(X)                                                                 \
	X(RX_PACKETS, "rx_packets", "came in by the interface; of a tap: what it was sent")      \
	X(RX_DROPPED, "rx_dropped",                                                              \
		"of these nobody wanted: no reader, and no such protocol here")                  \
	X(RX_NOHANDLER, "rx_nohandler", "came in while the interface takes none")                \
	X(RX_ERRORS, "rx_errors", "came in spoilt")                                              \
	X(TX_PACKETS, "tx_packets", "went out by the interface; of a tap: to this program")      \
	X(TX_DROPPED, "tx_dropped", "were to go out, and the driver or its queue took them not") \
	X(TX_ERRORS, "tx_errors", "were to go out, and the driver failed")                       \
	X(QDISC_DROPPED, "qdisc_dropped",                                                        \
		"were to go out, and the queue before the driver was full")

enum kernel_counter {
#define X(id, name, help) KERNEL_##id,
	KERNEL_COUNTERS_TABLE(X)
#undef X
		KERNEL_COUNTERS
};

const char *kernel_counter_name(enum kernel_counter counter);
const char *kernel_counter_help(enum kernel_counter counter);

struct kernel_interface {
	unsigned int index; /* 0: none, and nothing else here means anything */
	char name[IF_NAMESIZE];
	uint32_t mtu;
	bool running; /* it is up, and has a carrier */
	uint64_t counters[KERNEL_COUNTERS];
};

/*
 * Reads an interface of this process' network namespace. False, and an index of 0, if it has none
 * of that index (which 0 is never), or the kernel does not tell.
 */
bool kernel_interface_read(unsigned int index, struct kernel_interface *interface);

/* Is an interface up, with a carrier? False if it is not there at all. */
bool kernel_interface_runs(unsigned int index);

/* A packet socket of another process that is bound to an interface: tcpdump, an IDS. */
struct kernel_reader {
	uint32_t inode;   /* of the socket, as `ss -0pe` shows it beside the program */
	uint32_t uid;     /* of who opened it */
	bool ring;        /* it reads through memory that it shares with the kernel, */
			  /* which then tells the reader alone what was dropped: all below is 0 */
	uint64_t dropped; /* frames that did not fit its queue */
	uint32_t queued;  /* bytes that wait in its queue, and how many may */
	uint32_t room;
};

#define KERNEL_READERS_MAX 16

/*
 * Fills list, which has room for KERNEL_READERS_MAX, with readers of an interface; sockets of this
 * process are left out. Returns how many.
 */
uint32_t kernel_readers(unsigned int index, struct kernel_reader *list);
