/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an lcore does while there is nothing to do. Either it polls on, or it waits: first it polls
 * for a while all the same, then it watches the place in memory where the device will write its
 * next packet, then it waits for an interrupt, or sleeps for ever longer but always short times.
 * What of this is possible depends on the processor and on the drivers of all ports that the lcore
 * polls, and is found by asking them.
 *
 * The lcore tells after each round of its loop how much there was; nothing here polls a port or
 * knows a packet. A round that finds nothing comes between asking for interrupts and waiting for
 * one, so that what came just before is not slept over. And every wait ends by itself, within
 * MS_IDLE_BLOCK_US, since time alone asks for things, too: buffers to flush, an end.
 *
 * Two threads use it: the lcore that owns it, and control, which tells it of ports.
 */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_pause.h>
#include <rte_rcu_qsbr.h>

#include "ledger/ms_ledger.h"

#define MS_IDLE_SOURCES_MAX 96
#define MS_IDLE_GONE        UINT16_MAX /* no port */

/* Microseconds. */
#define MS_IDLE_SPIN_US    50    /* that it polls on after the last packet */
#define MS_IDLE_MONITOR_US 1000  /* until which it watches memory, which counts as work */
#define MS_IDLE_SLEEP_MAX  500   /* the longest sleep, */
#define MS_IDLE_SHARE      4     /* which is this part of the time since the last packet */
#define MS_IDLE_LATE_US    2000  /* after an interrupt that what it tells of may be late */
#define MS_IDLE_BLOCK_US   10000 /* the longest wait for an interrupt */

/* Ways to wait, as bits. All ports have to know one for it to be used. */
enum ms_idle_way {
	MS_IDLE_MONITOR = 1 << 0,   /* the processor watches memory; not for long */
	MS_IDLE_INTERRUPT = 1 << 1, /* of the device */
};

/* Receive queues of one port. */
struct ms_idle_source {
	_Atomic(uint16_t) port; /* or MS_IDLE_GONE; ctl: rw, owner: ro */
	/* ctl writes these before the port, owner: ro */
	uint16_t first; /* queue */
	uint16_t n;     /* so many, from it on */
	_Atomic(uint8_t) ways;
	bool self_armed; /* its interrupts need not be asked for */
	/* owner: rw */
	uint16_t armed; /* the port whose interrupts were asked for, or MS_IDLE_GONE */
};

struct ms_idle {
	/* ctl: sets them before the lcore starts; owner: ro */
	bool adaptive; /* else polls */
	uint16_t sources_n;
	int epfd; /* -1: none */
	uint64_t ticks_per_us;
	uint32_t longest_us; /* no wait is longer */
	struct rte_rcu_qsbr
		*qsbr;       /* the owner is offline there while it waits; NULL: it need not */
	unsigned int reader; /* its number there */
	bool monitors;       /* the processor can watch memory, */
	bool monitors_many;  /* also several places at once */

	/* owner: rw */
	uint64_t since; /* TSC at the first of the rounds that had nothing; 0: the last one had */
	bool armed;     /* interrupts were asked for */
	bool woken;     /* by one, and nothing has come since */

	/* owner: rw, ctl: ro. Waits by their kind, and how long they were, in TSC ticks. */
	ms_counter monitored;
	ms_counter interrupts;
	ms_counter sleeps;
	ms_counter ticks;

	struct ms_idle_source sources[MS_IDLE_SOURCES_MAX];
};

struct ms_idle_options {
	bool adaptive;
	uint32_t longest_us; /* for waits to be shorter than MS_IDLE_BLOCK_US; 0: they need not */
	struct rte_rcu_qsbr *qsbr; /* or NULL */
	unsigned int reader;
};

/*
 * Makes one without ports, in zeroed or used memory. 0, or -errno; without the kernel's help to
 * wait for interrupts it does without them. Control, before the lcore starts.
 */
int ms_idle_init(struct ms_idle *idle, const struct ms_idle_options *options);
void ms_idle_fini(struct ms_idle *idle);

/* Adds a place for a port, which comes later, and returns its number, or -ENOSPC. Control, as
 * above. */
int ms_idle_add(struct ms_idle *idle);

/*
 * Queues [first, first + n) of a port that has started are polled by the owner. Asks its driver
 * what it can: interrupts only if the port was configured with intr_conf.rxq. Control.
 */
void
ms_idle_publish(struct ms_idle *idle, uint16_t source, uint16_t port, uint16_t first, uint16_t n);

/* The owner is not to use the port any more; it may in its current round, and no longer. Control.
 */
void ms_idle_withdraw(struct ms_idle *idle, uint16_t source);

/* Takes a port's interrupts away that was published, once nobody uses it any more. Control. */
void ms_idle_forget(struct ms_idle *idle, uint16_t source, uint16_t port);

/* Ways that are open to all ports which are there, and to the processor. Any thread. */
unsigned int ms_idle_ways(const struct ms_idle *idle);

/* The owner, at the start of its loop: its sleeps are to be as short as they are asked for. */
void ms_idle_begin(const struct ms_idle *idle);

/* What ms_idle_round() is made of. */
void ms_idle_empty(struct ms_idle *idle);
void ms_idle_busy(struct ms_idle *idle);

/* The owner, at the end of each round: how much there was to do. May wait if it was nothing. */
static inline void
ms_idle_round(struct ms_idle *idle, unsigned int n)
{
	if (n > 0) {
		if (idle->since != 0)
			ms_idle_busy(idle);
	} else if (idle->adaptive) {
		ms_idle_empty(idle);
	} else {
		rte_pause();
	}
}
