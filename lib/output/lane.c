/* SPDX-License-Identifier: BSD-3-Clause */
/* Puts lanes together and ends them. */
#include "output/output_internal.h"

#include <rte_errno.h>

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
ms_lane_add_port(
	struct ms_lane *lane, uint16_t port, uint16_t queue, uint32_t max_length, bool segments)
{
	struct ms_lane_output *output = add(lane, &port_ops);

	output->port.port = port;
	output->port.queue = queue;
	output->port.max_length = max_length;
	output->port.segments = segments;
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
