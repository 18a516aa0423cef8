/* SPDX-License-Identifier: BSD-3-Clause */
#include "totals.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bsd/string.h>
#include <rte_ethdev.h>

static double
seconds_since(uint64_t start_ns)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((double)now.tv_sec * 1e9 + (double)now.tv_nsec - (double)start_ns) / 1e9;
}

void
totals_collect(const struct sink *sink, struct sink_totals *totals)
{
	memset(totals, 0, sizeof(*totals));
	totals->seconds = seconds_since(sink->start_ns);
	/* what comes last first, so that nothing is seen delivered before it was received */
	for (uint16_t l = 0; l < sink->lanes_n; l++) {
		const struct ms_lane *lane = sink->lanes[l];

		for (uint16_t i = 0; i < lane->outputs_n; i++)
			ms_output_ledger_sum(&totals->outputs[i], &lane->outputs[i].ledger);
	}
	for (uint16_t w = 0; w < sink->workers_n; w++)
		ms_count_add(&totals->ledger.fates[MS_FATE_DELIVERED],
			ms_count_read(&sink->workers[w]->delivered));
	for (uint16_t r = 0; r < sink->rx_n; r++) {
		const struct sink_rx *rx = sink->rx[r];

		ms_ledger_sum(&totals->ledger, &rx->ledger);
		totals->exception_sent += ms_count_read(&rx->exception_sent);
		totals->exception_dropped += ms_count_read(&rx->exception_dropped);
		totals->exception_returned += ms_count_read(&rx->exception_returned);
		totals->exception_lost += ms_count_read(&rx->exception_lost);
	}
}

void
totals_session(const struct sink *sink, uint32_t slot, struct sink_session_totals *totals)
{
	memset(totals, 0, sizeof(*totals));
	for (uint16_t r = 0; r < sink->rx_n; r++) {
		const struct sink_session *session = &sink->rx[r]->sessions[slot];

		totals->rejected += ms_count_read(&session->rejected);
		totals->lost += ms_count_read(&session->lost);
		totals->bytes += ms_count_read(&session->bytes);
		totals->packets += ms_count_read(&session->packets);
	}
	totals->delivered = totals->packets - totals->rejected - totals->lost;
}

uint32_t
totals_unknown(const struct sink *sink, struct ms_unknown_entry *list, uint64_t *others)
{
	uint32_t n = 0;

	*others = 0;
	for (uint16_t r = 0; r < sink->rx_n; r++)
		n = ms_unknown_sum(&sink->rx[r]->unknown, list, n, TOTALS_UNKNOWN_MAX, others);
	return n;
}

bool
totals_balanced(const struct sink *sink, const struct sink_totals *totals)
{
	bool balanced = ms_ledger_balanced(&totals->ledger);

	for (uint32_t i = 0; i < sink_config(sink)->outputs_n; i++)
		balanced &= ms_output_ledger_balanced(&totals->outputs[i]);
	return balanced;
}

const char *
totals_address(struct ms_ip ip, uint8_t family, char *out)
{
	rte_be64_t six[2] = {rte_cpu_to_be_64(ip.hi), rte_cpu_to_be_64(ip.lo)};
	rte_be32_t four = rte_cpu_to_be_32((uint32_t)ip.lo);

	if (family == MS_FAMILY_V4)
		inet_ntop(AF_INET, &four, out, INET6_ADDRSTRLEN);
	else if (family == MS_FAMILY_V6)
		inet_ntop(AF_INET6, six, out, INET6_ADDRSTRLEN);
	else
		strlcpy(out, "any", INET6_ADDRSTRLEN);
	return out;
}

const char *
totals_output_type(enum ms_output_type type)
{
	static const char *const names[] = {[MS_OUTPUT_NULL] = "null",
		[MS_OUTPUT_PCAPNG] = "pcapng",
		[MS_OUTPUT_PCAP] = "pcap",
		[MS_OUTPUT_PORT] = "port"};

	return names[type];
}

const char *
totals_direction(uint8_t direction)
{
	return direction == MS_DIRECTION_INGRESS ? "ingress" : "egress";
}

/* Extended statistics that tell of loss: ENA's allowances and overruns, and what others call so. */
static bool
tells_of_loss(const char *name)
{
	static const char *const words[] = {
		"allowance", "overrun", "drop", "discard", "no_buf", "bad_desc"};

	for (size_t i = 0; i < RTE_DIM(words); i++) {
		if (strstr(name, words[i]) != NULL)
			return true;
	}
	return false;
}

static uint32_t
add_xstats(uint16_t port, struct sink_device_counter *list, uint32_t n)
{
	int count = rte_eth_xstats_get(port, NULL, 0);
	struct rte_eth_xstat_name *names = NULL;
	struct rte_eth_xstat *values = NULL;

	if (count > 0) {
		names = calloc((size_t)count, sizeof(*names));
		values = calloc((size_t)count, sizeof(*values));
	}
	if (names == NULL || values == NULL ||
		rte_eth_xstats_get_names(port, names, (unsigned int)count) != count ||
		rte_eth_xstats_get(port, values, (unsigned int)count) != count)
		count = 0;
	for (int i = 0; i < count && n < TOTALS_DEVICE_MAX; i++) {
		if (!tells_of_loss(names[i].name))
			continue;
		strlcpy(list[n].name, names[i].name, sizeof(list[n].name));
		list[n++].value = values[i].value;
	}
	free(names);
	free(values);
	return n;
}

uint32_t
totals_device(uint16_t port, struct sink_device_counter *list)
{
	struct rte_eth_stats stats;
	uint32_t n = 0;

	if (rte_eth_stats_get(port, &stats) != 0)
		return 0;
	list[n++] = (struct sink_device_counter){"ipackets", stats.ipackets};
	list[n++] = (struct sink_device_counter){"ibytes", stats.ibytes};
	list[n++] = (struct sink_device_counter){"imissed", stats.imissed};
	list[n++] = (struct sink_device_counter){"ierrors", stats.ierrors};
	list[n++] = (struct sink_device_counter){"rx_nombuf", stats.rx_nombuf};
	list[n++] = (struct sink_device_counter){"opackets", stats.opackets};
	list[n++] = (struct sink_device_counter){"obytes", stats.obytes};
	list[n++] = (struct sink_device_counter){"oerrors", stats.oerrors};
	return add_xstats(port, list, n);
}
