/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports: what each is for, and the packet buffers that they share. port.c has what is done with
 * one.
 */
#include "ports.h"

#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>

#include "common/ethdev.h"
#include "outputs.h"
#include "own_ports.h"
#include "port.h"

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
		[SINK_EXCEPTION] = "an exception port"};
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
	port = &sink->ports[sink->ports_n];
	*port = (struct sink_port){.role = role, .id = id, .device = ethdev_arguments(id)};
	strlcpy(port->name, ethdev_name(id), sizeof(port->name));
	if (port->device == NULL) {
		cli_wrong("out of memory");
		return NULL;
	}
	pthread_mutex_lock(&sink->lock);
	sink->ports_n++;
	pthread_mutex_unlock(&sink->lock);
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

struct sink_port *
ports_claim_output(
	struct sink *sink, const char *who, const char *name, uint32_t output, uint32_t index)
{
	struct sink_port *port = claim(sink, who, name, SINK_OUTPUT);

	if (port != NULL) {
		port->output = output;
		port->lanes = &sink->output_ports[output]->ports[index];
	}
	return port;
}

/* What an output does to frames, or with them, so that they tell whose they are. */
static bool
resolve_tenant(struct sink *sink, uint32_t i)
{
	const struct ms_config_output *output = &sink_config(sink)->outputs[i];
	struct ms_output_ports *to = sink->output_ports[i];

	to->vlan_tags = output->tenant == MS_TENANT_VLAN   ? 1
	                : output->tenant == MS_TENANT_QINQ ? 2
	                                                   : 0;
	to->wraps = output->tenant == MS_TENANT_VXLAN;
	if (output->tenant == MS_TENANT_PORT && !own_ports_init(sink, i))
		return false;
	if (to->wraps && !output->vxlan.has_vni)
		to->vnis = sink->registry;
	sink->hash |= to->ways_n > 1 || to->wraps;
	return true;
}

static bool
resolve_output(struct sink *sink, uint32_t i)
{
	const struct ms_config_output *output = &sink_config(sink)->outputs[i];
	struct ms_output_ports *to = aligned_alloc(
		RTE_CACHE_LINE_SIZE, RTE_CACHE_LINE_ROUNDUP(sizeof(struct ms_output_ports)));
	uint32_t ports_n = output->tenant == MS_TENANT_PORT ? MS_OUTPUT_WAYS / output->queues
	                                                    : output->ports_n;
	char place[OUTPUTS_PLACE];

	if (to == NULL)
		return cli_wrong("out of memory");
	sink->output_ports[i] = to;
	ms_output_ports_init(to, (uint16_t)ports_n, (uint16_t)output->queues);
	if (!resolve_tenant(sink, i))
		return false;
	outputs_place(output, place, sizeof(place));
	for (uint32_t p = 0; p < output->ports_n; p++) {
		if (ports_claim_output(sink, place, output->ports[p], i, p) == NULL)
			return false;
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

static bool
resolve_exceptions(struct sink *sink)
{
	for (uint32_t i = 0; i < sink->options.exceptions_n; i++) {
		struct sink_port *port =
			claim(sink, "--exception", sink->options.exceptions[i], SINK_EXCEPTION);

		if (port == NULL)
			return false;
		sink->exceptions[sink->exceptions_n++] = port;
	}
	return true;
}

/* The i-th exception port is the kernel's side of the i-th mirror port. */
static bool
pair_exceptions(struct sink *sink)
{
	if (sink->exceptions_n > sink->mirrors_n)
		return cli_wrong("--exception: '%s' has no mirror port to belong to: there are %u "
				 "exception ports and %u mirror ports",
			sink->exceptions[sink->mirrors_n]->name, sink->exceptions_n,
			sink->mirrors_n);
	for (uint16_t i = 0; i < sink->exceptions_n; i++) {
		sink->exceptions[i]->peer = sink->mirrors[i];
		sink->mirrors[i]->peer = sink->exceptions[i];
	}
	return true;
}

bool
ports_resolve(struct sink *sink)
{
	uint16_t port;

	if (!resolve_outputs(sink) || !resolve_exceptions(sink))
		return false;
	for (uint32_t i = 0; i < sink->options.rx_n; i++) {
		if (!add_mirror(sink, "--rx", sink->options.rx[i]))
			return false;
	}
	RTE_ETH_FOREACH_DEV (port) {
		if (sink->options.rx_n == 0 && used(sink, port) == NULL)
			add_mirror(sink, "--rx", ethdev_name(port));
	}
	if (!own_ports_make(sink))
		return false;
	if (sink->mirrors_n == 0)
		return cli_wrong("there is no port to receive from: bind an ENI to a DPDK driver, "
				 "or make one before the --, such as "
				 "--vdev=net_pcap0,rx_pcap=FILE");
	if (!pair_exceptions(sink))
		return false;
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
	n += rings * ring + lcores * 2 * sink->cache;
	if (sink_config(sink)->outer_fragments == MS_FRAGMENTS_REASSEMBLE)
		n += sink->rx_n * ports_incomplete(sink) * MS_REASSEMBLY_PIECES;
	for (uint16_t i = 0; i < sink->ports_n; i++) {
		const struct sink_port *port = &sink->ports[i];

		if (port->role == SINK_MIRROR && !sink->replay)
			n += port->rx * SINK_RX_DESC;
		if (port->role == SINK_OUTPUT)
			n += port->tx * SINK_TX_DESC;
		/* a tap has as many queues one way as the other */
		if (port->role == SINK_EXCEPTION && !sink->replay)
			n += port->tx * (SINK_RX_DESC + SINK_TX_DESC);
	}
	return n;
}

/* Must the mbufs that all mirror ports share be packed? Not where a device would access them. */
static bool
must_pack(const struct sink *sink)
{
	bool xdp = false, pci = false;

	for (uint16_t i = 0; i < sink->ports_n; i++) {
		xdp |= sink->ports[i].role == SINK_MIRROR && port_is_af_xdp(sink->ports[i].id);
		pci |= ethdev_is_pci(sink->ports[i].id);
	}
	return xdp && !pci;
}

static bool
make_small_pool(const struct sink *sink, const char *name, uint32_t n, uint16_t room,
	struct rte_mempool **pool)
{
	*pool = rte_pktmbuf_pool_create(name, n, sink->cache, 0, room, (int)rte_socket_id());
	return *pool != NULL ||
	       cli_wrong("no memory for the pool %s: give the EAL more with -m", name);
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
	bool heads = false;

	sink->cache = sink->replay ? SINK_REPLAY_CACHE : SINK_CACHE;
	n = mbufs_needed(sink);
	sink->pool = port_make_pool("ms_mbufs", n, sink->cache, room, must_pack(sink));
	if (sink->pool == NULL)
		return cli_wrong("no memory for %u packet buffers (%u MiB): give the EAL more with "
				 "-m, or ask for fewer with --mbufs",
			n, (uint32_t)((uint64_t)n * room >> 20));
	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++) {
		const struct ms_output_ports *to = sink->output_ports[i];

		outputs += to != NULL;
		heads |= to != NULL && (to->vlan_tags != 0 || to->wraps);
	}
	return (outputs < 2 || make_small_pool(sink, "ms_clones", n, 0, &sink->clones)) &&
	       (!heads || make_small_pool(sink, "ms_heads", n, MS_OUTPUT_HEAD_ROOM, &sink->heads));
}

bool
ports_start(struct sink *sink)
{
	for (uint16_t i = 0; i < sink->ports_n; i++) {
		if (!port_choose_queues(sink, &sink->ports[i]))
			return false;
	}
	if (!make_pools(sink))
		return false;
	for (uint16_t i = 0; i < sink->ports_n; i++) {
		if (!port_start(sink, &sink->ports[i]))
			return false;
		port_publish(sink, &sink->ports[i]);
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
	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++) {
		if (sink->output_ports[i] != NULL)
			own_ports_fini(sink->output_ports[i]);
		free(sink->output_ports[i]);
	}
	for (uint16_t i = 0; i < sink->ports_n; i++) {
		free(sink->ports[i].device);
		free(sink->ports[i].counted);
	}
	rte_mempool_free(sink->pool);
	rte_mempool_free(sink->clones);
	rte_mempool_free(sink->heads);
}

void
ports_add_to_lane(const struct sink *sink, uint32_t output, uint16_t lane)
{
	const struct ms_output_ports *to = sink->output_ports[output];

	ms_lane_add_port(sink->lanes[lane], to, lane * to->queues);
}
