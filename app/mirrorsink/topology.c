/* SPDX-License-Identifier: BSD-3-Clause */
#include "topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <err.h>
#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "control.h"
#include "ports.h"

/* Outputs look at what waits in their buffers so many times a second. */
#define FLUSHES_PER_SECOND 100

/* Zeroed memory on cache lines of its own. */
static void *
allocate(size_t size)
{
	void *p = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_CACHE_LINE_ROUNDUP(size));

	if (p != NULL)
		memset(p, 0, size);
	return p;
}

/* How many lcores receive, and which come after them as workers. */
static bool
count_lcores(struct sink *sink)
{
	unsigned int others = rte_lcore_count() - 1, workers = sink->options.workers;
	uint32_t queues = 0;

	if (others == 0)
		return cli_wrong(
			"the main lcore only controls, and there is no other: give the EAL "
			"one more, such as -l 0-1, or --lcores '0@0,1@0' to share a core");
	if (workers == SINK_WORKERS_DEFAULT)
		workers = RTE_MIN(others / 2, (unsigned int)MS_WORKERS_MAX);
	if (workers >= others || workers > MS_WORKERS_MAX)
		return cli_wrong("--workers: %u of %u lcores beside the main one leave none to "
				 "receive: give at most %u",
			workers, others, RTE_MIN(others - 1, (unsigned int)MS_WORKERS_MAX));
	sink->workers_n = (uint16_t)workers;
	sink->rx_n = (uint16_t)RTE_MIN(others - workers, (unsigned int)SINK_RX_MAX);
	for (uint16_t i = 0; i < sink->mirrors_n; i++)
		queues += ports_rx_queues(sink->mirrors[i]->id, sink->rx_n);
	if (queues < sink->rx_n) {
		warnx("%u of %u rx lcores stay idle: the mirror ports have %u receive queues",
			sink->rx_n - queues, sink->rx_n, queues);
		sink->rx_n = (uint16_t)queues;
	}
	sink->lanes_n = sink->workers_n > 0 ? sink->workers_n : sink->rx_n;
	return true;
}

/* Each queue goes to the rx lcore that has the fewest so far. */
static bool
share_queues(struct sink *sink)
{
	for (uint16_t i = 0; i < sink->mirrors_n; i++) {
		struct sink_port *port = sink->mirrors[i];

		port->rx = ports_rx_queues(port->id, sink->rx_n);
		for (uint16_t q = 0; q < port->rx; q++) {
			struct sink_rx *least = sink->rx[0];

			for (uint16_t r = 1; r < sink->rx_n; r++) {
				if (sink->rx[r]->queues_n < least->queues_n)
					least = sink->rx[r];
			}
			if (least->queues_n == SINK_QUEUES_MAX)
				return cli_wrong("more than %u receive queues for one lcore: give "
						 "the EAL more lcores",
					SINK_QUEUES_MAX);
			least->queues[least->queues_n++] =
				(struct sink_queue){.port = SINK_PORT_NONE,
					.exception = SINK_PORT_NONE,
					.queue = q,
					.idle = (uint16_t)ms_idle_add(&least->idle),
					.of = port};
		}
	}
	return true;
}

/*
 * What an exception port receives is carried back by one lcore, which thus has the mirror port's
 * transmit queue to itself.
 */
static void
share_returns(struct sink *sink)
{
	uint16_t r = 0;

	for (uint16_t i = 0; i < sink->exceptions_n; i++) {
		struct sink_rx *rx = sink->rx[r];

		rx->returns[rx->returns_n++] = (struct sink_return){.exception = SINK_PORT_NONE,
			.mirror = SINK_PORT_NONE,
			.idle = (uint16_t)ms_idle_add(&rx->idle),
			.of = sink->exceptions[i]};
		r = r + 1 < sink->rx_n ? r + 1 : 0;
	}
}

/* Address space that becomes memory where it is used: counters of all sessions. NULL: none left. */
static void *
reserve(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p != MAP_FAILED ? p : NULL;
}

static void
free_dedup(struct sink_dedup *dedup)
{
	if (dedup == NULL)
		return;
	ms_dedup_free(dedup->table);
	if (dedup->sessions != NULL)
		munmap(dedup->sessions, MS_SESSIONS_MAX * sizeof(*dedup->sessions));
	free(dedup);
}

static bool
make_dedup(struct sink *sink, uint16_t lane)
{
	const struct ms_config_dedup *config = &sink_config(sink)->dedup;
	const struct ms_dedup_options options = {.memory = config->memory,
		.window_ns = config->window_ms * UINT64_C(1000000),
		.by_session = config->scope == MS_DEDUP_SESSION};
	struct sink_dedup *dedup;

	if (!config->on)
		return true;
	dedup = sink->dedups[lane] = allocate(sizeof(*dedup));
	if (dedup == NULL)
		return false;
	dedup->table = ms_dedup_create(&options);
	dedup->sessions = reserve(MS_SESSIONS_MAX * sizeof(*dedup->sessions));
	return dedup->table != NULL && dedup->sessions != NULL;
}

/* Needs what make_rx() has set. */
static bool
make_reassembly(const struct sink *sink, struct sink_rx *rx)
{
	const struct ms_reassembly_options options = {.decap = &rx->decap,
		.clock = &sink->clock,
		.ledger = &rx->ledger,
		.packets = ports_incomplete(sink),
		.lifetime_ns = SINK_INCOMPLETE_SECONDS * UINT64_C(1000000000),
		.silence = SINK_INCOMPLETE_SECONDS * rte_get_tsc_hz(),
		.socket = (int)rte_lcore_to_socket_id(rx->lcore)};

	if (sink_config(sink)->outer_fragments == MS_FRAGMENTS_DROP)
		return true;
	rx->reassembly = ms_reassembly_create(&options);
	return rx->reassembly != NULL;
}

/* Needs what make_rx() has set. */
static bool
make_flows(const struct sink *sink, struct sink_rx *rx)
{
	const struct ms_flow_options options = {.flows = MS_FLOWS,
		.vxlan_port = rx->decap.vxlan_port,
		.hashes = sink->hash || sink->workers_n > 1,
		.vectors = MS_FLOW_BEST,
		.clock = &sink->clock,
		.sessions = rx->sessions,
		.socket = (int)rte_lcore_to_socket_id(rx->lcore)};

	rx->flows = ms_flow_create(&options);
	return rx->flows != NULL;
}

/*
 * Control has to see an lcore go round between two of its looks, or it takes it for one that is
 * held up, and no end comes by -a idle. Says what is wrong.
 */
static bool
make_idle(const struct sink *sink, struct ms_idle *idle, const struct sink_rx *rx)
{
	const struct ms_idle_options options = {
		.adaptive = sink->options.idle == SINK_IDLE_ADAPTIVE,
		.longest_us = control_look_ms(&sink->options) * 1000 / 2,
		.qsbr = rx != NULL ? sink->rules.qsbr : NULL,
		.reader = rx != NULL ? rx->reader : 0};
	int rc = ms_idle_init(idle, &options);

	return rc == 0 || cli_wrong("--idle: %s", strerror(-rc));
}

static struct sink_rx *
make_rx(struct sink *sink, uint16_t i, unsigned int lcore)
{
	struct sink_rx *rx = allocate(sizeof(*rx));

	if (rx == NULL)
		return NULL;
	sink->rx[i] = rx;
	rx->sessions = reserve(MS_SESSIONS_MAX * sizeof(*rx->sessions));
	if (rx->sessions == NULL)
		return NULL;
	rx->lcore = lcore;
	rx->reader = i;
	rx->stage = &sink->stage;
	rx->rules = &sink->rules;
	rx->registry = sink->registry;
	rx->clock = &sink->clock;
	rx->budget = &sink->budget;
	rx->decap.vxlan_port = rte_cpu_to_be_16((uint16_t)sink->options.vxlan_port);
	rx->decap.geneve_port = rte_cpu_to_be_16((uint16_t)sink->options.geneve_port);
	rx->wait = sink->wait;
	rx->hash = sink->hash;
	rx->flush_ticks = rte_get_tsc_hz() / FLUSHES_PER_SECOND;
	if (!make_idle(sink, &rx->idle, rx) || !make_reassembly(sink, rx) || !make_flows(sink, rx))
		return NULL;
	if (sink->workers_n > 0) {
		rx->dispatch = allocate(sizeof(*rx->dispatch));
		if (rx->dispatch == NULL)
			return NULL;
		rx->dispatch->workers_n = sink->workers_n;
	} else {
		rx->lane = sink->lanes[i];
		rx->dedup = sink->dedups[i];
	}
	return rx;
}

static struct sink_worker *
make_worker(struct sink *sink, uint16_t i, unsigned int lcore)
{
	struct sink_worker *worker = allocate(sizeof(*worker));

	if (worker == NULL)
		return NULL;
	sink->workers[i] = worker;
	worker->lcore = lcore;
	worker->stage = &sink->stage;
	worker->clock = &sink->clock;
	worker->lane = sink->lanes[i];
	worker->dedup = sink->dedups[i];
	worker->flush_ticks = rte_get_tsc_hz() / FLUSHES_PER_SECOND;
	return make_idle(sink, &worker->idle, NULL) ? worker : NULL;
}

static bool
make_rings(struct sink *sink)
{
	unsigned int size = sink->replay ? SINK_REPLAY_RING : MS_RING_SIZE;

	for (uint16_t r = 0; r < sink->rx_n; r++) {
		for (uint16_t w = 0; w < sink->workers_n; w++) {
			struct ms_ring **ring = &sink->rx[r]->dispatch->rings[w];
			int rc = ms_ring_create(
				ring, size, (int)rte_lcore_to_socket_id(sink->rx[r]->lcore));

			if (rc != 0)
				return cli_wrong("no memory for the rings between lcores: %s; give "
						 "the EAL more with -m",
					strerror(-rc));
			sink->workers[w]->rings[sink->workers[w]->rings_n++] = *ring;
		}
	}
	return true;
}

bool
topology_build(struct sink *sink)
{
	uint16_t rx = 0, workers = 0;
	unsigned int lcore;
	bool ok = true;

	if (!count_lcores(sink))
		return false;
	for (uint16_t i = 0; ok && i < sink->lanes_n; i++) {
		sink->lanes[i] = allocate(sizeof(struct ms_lane));
		ok = sink->lanes[i] != NULL && make_dedup(sink, i);
		if (ok)
			sink->lanes[i]->wait = sink->wait;
	}
	RTE_LCORE_FOREACH_WORKER (lcore) {
		if (ok && rx < sink->rx_n)
			ok = make_rx(sink, rx++, lcore) != NULL;
		else if (ok && workers < sink->workers_n)
			ok = make_worker(sink, workers++, lcore) != NULL;
	}
	if (!ok)
		return cli_wrong("no memory for lcores, flows and outputs: give the EAL more with "
				 "-m");
	share_returns(sink);
	return share_queues(sink) && make_rings(sink);
}

void
topology_free(struct sink *sink)
{
	for (uint16_t r = 0; r < sink->rx_n; r++) {
		struct sink_rx *rx = sink->rx[r];

		if (rx == NULL)
			continue;
		for (uint16_t w = 0; rx->dispatch != NULL && w < sink->workers_n; w++)
			ms_ring_free(rx->dispatch->rings[w]);
		if (rx->sessions != NULL)
			munmap(rx->sessions, MS_SESSIONS_MAX * sizeof(struct ms_session_counts));
		ms_reassembly_free(rx->reassembly);
		ms_flow_free(rx->flows);
		ms_idle_fini(&rx->idle);
		free(rx->dispatch);
		free(rx);
	}
	for (uint16_t w = 0; w < sink->workers_n; w++) {
		if (sink->workers[w] != NULL)
			ms_idle_fini(&sink->workers[w]->idle);
		free(sink->workers[w]);
	}
	for (uint16_t i = 0; i < sink->lanes_n; i++) {
		free_dedup(sink->dedups[i]);
		free(sink->lanes[i]);
	}
}

void
topology_mark(const struct sink *sink, struct topology_mark *mark)
{
	for (uint16_t r = 0; r < sink->rx_n; r++)
		mark->rx[r] = ms_count_read(&sink->rx[r]->rounds);
	for (uint16_t w = 0; w < sink->workers_n; w++)
		mark->workers[w] = ms_count_read(&sink->workers[w]->rounds);
}

/*
 * A round that had begun at the mark may have read what was changed before it, and so may the next
 * one, whose reads can be done before the count of the first is seen.
 */
bool
topology_passed(const struct sink *sink, const struct topology_mark *mark)
{
	for (uint16_t r = 0; r < sink->rx_n; r++) {
		if (ms_count_read(&sink->rx[r]->rounds) < mark->rx[r] + 2)
			return false;
	}
	for (uint16_t w = 0; w < sink->workers_n; w++) {
		if (ms_count_read(&sink->workers[w]->rounds) < mark->workers[w] + 2)
			return false;
	}
	return true;
}

/* Where a lane only counts, flows that are known do it for it. */
static void
leave_counting(struct sink_rx *rx)
{
	struct ms_output_ledger *outputs[MS_OUTPUTS_MAX];

	if (rx->lane == NULL || rx->dedup != NULL || !ms_lane_only_counts(rx->lane))
		return;
	for (uint16_t i = 0; i < rx->lane->outputs_n; i++)
		outputs[i] = &rx->lane->outputs[i].ledger;
	ms_flow_only_count(rx->flows, outputs, rx->lane->outputs_n);
	rx->counts = true;
}

void
topology_launch(struct sink *sink)
{
	for (uint16_t i = 0; i < sink->lanes_n; i++) {
		sink->lanes[i]->clones = sink->clones;
		sink->lanes[i]->heads = sink->heads;
		sink->lanes[i]->copies = sink->pool;
	}
	for (uint16_t r = 0; r < sink->rx_n; r++)
		leave_counting(sink->rx[r]);
	for (uint16_t w = 0; w < sink->workers_n; w++)
		rte_eal_remote_launch(worker_main, sink->workers[w], sink->workers[w]->lcore);
	for (uint16_t r = 0; r < sink->rx_n; r++)
		rte_eal_remote_launch(rx_main, sink->rx[r], sink->rx[r]->lcore);
}
