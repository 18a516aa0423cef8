/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port leaves in two steps: first the lcores are told, then, when none of them can be using it
 * any more, the device is closed or reset. Control waits for that between other things; an lcore
 * that waits for a disk holds nobody up. What the device has counted is kept.
 */
#include "plug.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bsd/string.h>
#include <rte_dev.h>
#include <rte_ethdev.h>

#include "port.h"
#include "topology.h"
#include "totals.h"

#define ANSWER_SECONDS 5

/* What a device has said, as bits. */
#define EVENT_REMOVED 1u
#define EVENT_RESET   2u

/* A port that the lcores are to use no more. */
struct sink_leaving {
	struct topology_mark mark;
	bool reset; /* it is to come back at once */
};

/* The interrupt thread of the EAL. */
static int
on_event(uint16_t id, enum rte_eth_event_type type, void *arg, void *ret)
{
	struct sink_plug *plug = arg;

	if (id < RTE_MAX_ETHPORTS)
		atomic_fetch_or_explicit(&plug->events[id],
			type == RTE_ETH_EVENT_INTR_RMV ? EVENT_REMOVED : EVENT_RESET,
			memory_order_relaxed);
	return 0;
}

bool
plug_begin(struct sink *sink)
{
	static const enum rte_eth_event_type types[] = {
		RTE_ETH_EVENT_INTR_RMV, RTE_ETH_EVENT_INTR_RESET};

	for (size_t i = 0; i < RTE_DIM(types); i++) {
		if (rte_eth_dev_callback_register(RTE_ETH_ALL, types[i], on_event, &sink->plug) !=
			0)
			return cli_wrong("out of memory");
	}
	return true;
}

static struct sink_port *
find(struct sink *sink, const char *name)
{
	for (uint16_t i = 0; i < sink->ports_n; i++) {
		if (strcmp(sink->ports[i].name, name) == 0)
			return &sink->ports[i];
	}
	return NULL;
}

/* The first step. Returns 0 or -errno. */
static int
leave(struct sink *sink, struct sink_port *port, bool reset)
{
	struct sink_leaving *leaving;

	if (port->id == SINK_PORT_NONE || port->leaving != NULL)
		return -EALREADY;
	leaving = calloc(1, sizeof(*leaving));
	if (leaving == NULL)
		return -ENOMEM;
	port_withdraw(sink, port);
	topology_mark(sink, &leaving->mark);
	leaving->reset = reset;
	port->leaving = leaving;
	return 0;
}

/* Takes the port away from those who report, with what its device has counted so far. */
static uint16_t
take_id(struct sink *sink, struct sink_port *port)
{
	struct sink_device_counter list[TOTALS_DEVICE_MAX], *counted;
	uint32_t n = totals_device(port, list);
	uint16_t id = port->id;

	counted = calloc(n + 1, sizeof(*counted));
	if (counted != NULL)
		memcpy(counted, list, n * sizeof(*counted));
	pthread_mutex_lock(&sink->lock);
	if (counted != NULL) {
		free(port->counted);
		port->counted = counted;
		port->counted_n = n;
	}
	port->id = SINK_PORT_NONE;
	pthread_mutex_unlock(&sink->lock);
	return id;
}

static void
give_id(struct sink *sink, struct sink_port *port, uint16_t id)
{
	pthread_mutex_lock(&sink->lock);
	port->id = id;
	pthread_mutex_unlock(&sink->lock);
}

static void
close_device(uint16_t id)
{
	struct rte_eth_dev_info info;
	struct rte_device *device = NULL;

	if (rte_eth_dev_info_get(id, &info) == 0)
		device = info.device;
	rte_eth_dev_stop(id);
	rte_eth_dev_close(id);
	if (device != NULL)
		rte_dev_remove(device);
}

/* Starts a device under its old or a new id. */
static bool
come_back(struct sink *sink, struct sink_port *port, uint16_t id)
{
	give_id(sink, port, id);
	if (!port_start(sink, port)) {
		give_id(sink, port, SINK_PORT_NONE);
		close_device(id);
		return false;
	}
	/* what the device said before concerns it no more */
	atomic_store_explicit(&sink->plug.events[id], 0, memory_order_relaxed);
	port_publish(sink, port);
	return true;
}

static int
attach(struct sink *sink, struct sink_port *port)
{
	uint16_t id;

	if (port->id != SINK_PORT_NONE)
		return -EEXIST;
	if (rte_dev_probe(port->device) != 0 || rte_eth_dev_get_port_by_name(port->name, &id) != 0)
		return -ENODEV;
	return come_back(sink, port, id) ? 0 : -EIO;
}

/* A device that can't be reset as it is has to be made anew. */
static void
reset(struct sink *sink, struct sink_port *port, uint16_t id)
{
	int rc = rte_eth_dev_reset(id);
	bool back;

	if (rc == 0) {
		back = come_back(sink, port, id);
	} else {
		close_device(id);
		back = attach(sink, port) == 0;
	}
	if (back)
		warnx("port %s was reset, and goes on", port->name);
	else
		warnx("port %s does not come back from a reset; try: mirrorctl attach %s",
			port->name, port->name);
}

/* The second step, if it is time for it. Returns whether it is done. */
static bool
leave_now(struct sink *sink, struct sink_port *port)
{
	struct sink_leaving leaving = *port->leaving;
	uint16_t id;

	if (!topology_passed(sink, &leaving.mark))
		return false;
	free(port->leaving);
	port->leaving = NULL;
	port_forget(sink, port);
	id = take_id(sink, port);
	if (leaving.reset)
		reset(sink, port, id);
	else
		close_device(id);
	return true;
}

static void
say_gone(const struct sink_port *port, const char *why)
{
	warnx("port %s: %s; the others go on%s. When it is back: mirrorctl attach %s", port->name,
		why,
		port->role == SINK_OUTPUT ? ", and what it should get counts as port_down" : "",
		port->name);
}

/* What devices and the kernel say of a port. */
static void
look_at(struct sink *sink, struct sink_port *port)
{
	unsigned int events;

	if (port->id == SINK_PORT_NONE || port->leaving != NULL)
		return;
	events = atomic_exchange_explicit(&sink->plug.events[port->id], 0, memory_order_relaxed);
	if ((events & EVENT_REMOVED) != 0 && leave(sink, port, false) == 0)
		say_gone(port, "its device was unplugged");
	else if ((events & EVENT_RESET) != 0 && leave(sink, port, true) == 0)
		warnx("port %s: its device asks to be reset", port->name);
	else if (port_lost_interface(port) && leave(sink, port, false) == 0)
		say_gone(port, "its interface was deleted");
	else if (port->leaving == NULL && port_look_at_link(port))
		warnx("port %s: the link is %s", port->name, port->down ? "down" : "up");
}

/* Answers the one who waits in plug_ask(). Holds sink.lock. */
static void __attribute__((format(printf, 3, 4)))
answer(struct sink_plug *plug, int rc, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(plug->text, sizeof(plug->text), format, args);
	va_end(args);
	plug->rc = rc;
	plug->answers++;
	plug->action = SINK_PLUG_NONE;
	pthread_cond_broadcast(&plug->answered);
}

static void
answer_attach(struct sink *sink, struct sink_port *port)
{
	int rc = attach(sink, port);

	if (rc == 0)
		warnx("port %s is attached", port->name);
	else if (rc != -EEXIST)
		warnx("port %s cannot be attached as '%s': is the device there, and bound to its "
		      "driver?",
			port->name, port->device);
	pthread_mutex_lock(&sink->lock);
	if (rc == 0)
		answer(&sink->plug, 0, "%s is attached", port->name);
	else if (rc == -EEXIST)
		answer(&sink->plug, rc, "%s is there already", port->name);
	else
		answer(&sink->plug, rc, "%s cannot be attached; the log of mirrorsink says why",
			port->name);
	pthread_mutex_unlock(&sink->lock);
}

/* Detaching takes until the port has left. */
static void
answer_detach(struct sink *sink, struct sink_port *port)
{
	if (port->id != SINK_PORT_NONE && port->leaving == NULL && leave(sink, port, false) == 0)
		warnx("port %s is to be detached", port->name);
	if (port->id != SINK_PORT_NONE)
		return;
	pthread_mutex_lock(&sink->lock);
	answer(&sink->plug, 0, "%s is detached; the others go on", port->name);
	pthread_mutex_unlock(&sink->lock);
}

/* What somebody asks for. Only control ends what is asked, so it stays what it is meanwhile. */
static void
serve(struct sink *sink)
{
	struct sink_plug *plug = &sink->plug;
	enum sink_plug_action action;
	struct sink_port *port;

	pthread_mutex_lock(&sink->lock);
	action = plug->action;
	port = action != SINK_PLUG_NONE ? find(sink, plug->name) : NULL;
	if (action != SINK_PLUG_NONE && port == NULL)
		answer(plug, -ENODEV, "mirrorsink uses no port of the name '%s'", plug->name);
	pthread_mutex_unlock(&sink->lock);
	if (port == NULL)
		return;
	if (action == SINK_PLUG_ATTACH)
		answer_attach(sink, port);
	else
		answer_detach(sink, port);
}

void
plug_work(struct sink *sink)
{
	for (uint16_t i = 0; i < sink->ports_n; i++) {
		struct sink_port *port = &sink->ports[i];

		if (port->leaving == NULL || leave_now(sink, port))
			look_at(sink, port);
	}
	serve(sink);
}

void
plug_end(struct sink *sink)
{
	rte_eth_dev_callback_unregister(RTE_ETH_ALL, RTE_ETH_EVENT_INTR_RMV, on_event, &sink->plug);
	rte_eth_dev_callback_unregister(
		RTE_ETH_ALL, RTE_ETH_EVENT_INTR_RESET, on_event, &sink->plug);
	pthread_mutex_lock(&sink->lock);
	sink->plug.ended = true;
	if (sink->plug.action != SINK_PLUG_NONE)
		answer(&sink->plug, -ESHUTDOWN, "mirrorsink is ending");
	pthread_mutex_unlock(&sink->lock);
	for (uint16_t i = 0; i < sink->ports_n; i++) {
		free(sink->ports[i].leaving);
		sink->ports[i].leaving = NULL;
	}
}

int
plug_ask(struct sink *sink, enum sink_plug_action action, const char *name, char *text)
{
	struct sink_plug *plug = &sink->plug;
	uint64_t answers = plug->answers;
	struct timespec end;

	if (plug->ended || plug->action != SINK_PLUG_NONE) {
		strlcpy(text, plug->ended ? "mirrorsink is ending" : "another port is on its way",
			SINK_PLUG_TEXT);
		return plug->ended ? -ESHUTDOWN : -EBUSY;
	}
	strlcpy(plug->name, name, sizeof(plug->name));
	plug->action = action;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += ANSWER_SECONDS;
	while (plug->answers == answers) {
		if (pthread_cond_timedwait(&plug->answered, &sink->lock, &end) != ETIMEDOUT)
			continue;
		snprintf(text, SINK_PLUG_TEXT,
			"not done after %u seconds, but under way: does an lcore stand still, for "
			"a "
			"disk perhaps? See mirrorctl health",
			ANSWER_SECONDS);
		return -ETIMEDOUT;
	}
	strlcpy(text, plug->text, SINK_PLUG_TEXT);
	return plug->rc;
}
