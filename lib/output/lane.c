/* SPDX-License-Identifier: BSD-3-Clause */
/* Puts lanes together and ends them. */
#include "output/output_internal.h"

#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>

/* What a port may take to drain a queue, once the lane is to end. */
#define DEADLINE_SECONDS 5

static void
file_flush(struct ms_lane_output *output, uint64_t now)
{
	ms_capfile_flush(output->file, now);
}

static void
file_hasten(struct ms_lane_output *output)
{
	ms_capfile_hasten(output->file);
}

static int
file_close(struct ms_lane_output *output)
{
	return ms_capfile_close(output->file);
}

static const struct ms_output_ops null_ops = {.burst = null_burst};
static const struct ms_output_ops port_ops = {.burst = port_burst};
static const struct ms_output_ops file_ops = {
	.burst = file_burst, .flush = file_flush, .hasten = file_hasten, .close = file_close};

static struct ms_lane_output *
add(struct ms_lane *lane, const struct ms_output_ops *ops)
{
	struct ms_lane_output *output = &lane->outputs[lane->outputs_n];

	output->ops = ops;
	output->bit = UINT32_C(1) << lane->outputs_n++;
	return output;
}

void
ms_lane_add_null(struct ms_lane *lane)
{
	add(lane, &null_ops);
}

int
ms_lane_add_file(struct ms_lane *lane, int fd, const struct ms_capfile_options *options,
	const struct ms_session_registry *registry)
{
	struct ms_output_ledger *ledger = &lane->outputs[lane->outputs_n].ledger;
	struct ms_capfile *file = ms_capfile_create(fd, options, registry, ledger);

	if (file == NULL)
		return -rte_errno;
	add(lane, &file_ops)->file = file;
	return 0;
}

void
ms_lane_file_way(const struct ms_lane *lane, uint16_t i, char *text, size_t room)
{
	ms_capfile_way(lane->outputs[i].file, text, room);
}

size_t
ms_lane_file_memory(const struct ms_lane *lane, uint16_t i)
{
	return ms_capfile_memory(lane->outputs[i].file);
}

bool
ms_lane_only_counts(const struct ms_lane *lane)
{
	for (uint16_t i = 0; i < lane->outputs_n; i++) {
		if (lane->outputs[i].ops != &null_ops)
			return false;
	}
	return lane->outputs_n > 0;
}

void
ms_output_ports_init(struct ms_output_ports *ports, uint16_t ports_n, uint16_t queues)
{
	memset(ports, 0, sizeof(*ports));
	ports->queues = queues;
	for (uint16_t p = 0; p < MS_OUTPUT_WAYS; p++)
		atomic_init(&ports->ports[p].id, MS_PORT_GONE);
	for (uint16_t p = 0; p < ports_n; p++) {
		for (uint16_t q = 0; q < queues; q++) {
			ports->ways[ports->ways_n].port = (uint8_t)p;
			ports->ways[ports->ways_n++].queue = (uint8_t)q;
		}
	}
}

void
ms_lane_add_port(struct ms_lane *lane, const struct ms_output_ports *ports, uint16_t queue)
{
	struct ms_lane_output *output = add(lane, &port_ops);

	output->port.to = ports;
	output->port.queue = queue;
	lane->ports |= output->bit;
}

void
ms_lane_flush(struct ms_lane *lane, uint64_t now)
{
	for (uint16_t i = 0; i < lane->outputs_n; i++) {
		if (lane->outputs[i].ops->flush != NULL)
			lane->outputs[i].ops->flush(&lane->outputs[i], now);
	}
}

void
ms_lane_hasten(struct ms_lane *lane)
{
	atomic_store_explicit(&lane->deadline, rte_rdtsc() + DEADLINE_SECONDS * rte_get_tsc_hz(),
		memory_order_relaxed);
	for (uint16_t i = 0; i < lane->outputs_n; i++) {
		if (lane->outputs[i].ops->hasten != NULL)
			lane->outputs[i].ops->hasten(&lane->outputs[i]);
	}
}

int
ms_lane_close(struct ms_lane *lane)
{
	int first = 0;

	for (uint16_t i = 0; i < lane->outputs_n; i++) {
		int rc = lane->outputs[i].ops->close != NULL
		                 ? lane->outputs[i].ops->close(&lane->outputs[i])
		                 : 0;

		if (first == 0)
			first = rc;
	}
	return first;
}
