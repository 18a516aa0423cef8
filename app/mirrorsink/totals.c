/* SPDX-License-Identifier: BSD-3-Clause */
#include "totals.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
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
	for (uint16_t l = 0; l < sink->lanes_n && sink->dedups[l] != NULL; l++) {
		ms_count_add(&totals->ledger.fates[MS_FATE_DUPLICATE],
			ms_count_read(&sink->dedups[l]->duplicates));
		totals->dedup_evicted += ms_dedup_evicted(sink->dedups[l]->table);
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

/* Adds what one lcore has learned. Lcores that saw different ones make a change, too. */
static void
add_mac(struct sink_session_totals *totals, uint64_t seen)
{
	uint64_t mac = seen & ((UINT64_C(1) << MS_MAC_BITS) - 1);

	if (mac == 0)
		return;
	totals->learned_macs_changed += (uint32_t)(seen >> MS_MAC_BITS);
	if (totals->learned_mac != 0 && totals->learned_mac != mac)
		totals->learned_macs_changed++;
	totals->learned_mac = mac;
}

void
totals_session(const struct sink *sink, uint32_t slot, struct sink_session_totals *totals)
{
	uint64_t gone;

	memset(totals, 0, sizeof(*totals));
	for (uint16_t l = 0; l < sink->lanes_n && sink->dedups[l] != NULL; l++)
		totals->duplicates += ms_count_read(&sink->dedups[l]->sessions[slot]);
	for (uint16_t r = 0; r < sink->rx_n; r++) {
		const struct ms_session_counts *session = &sink->rx[r]->sessions[slot];

		totals->rejected += ms_count_read(&session->rejected);
		totals->lost += ms_count_read(&session->lost);
		totals->bytes += ms_count_read(&session->bytes);
		for (unsigned int d = 0; d < MS_DIRECTIONS; d++)
			totals->directions[d] += ms_count_read(&session->packets[d]);
		add_mac(totals, ms_count_read(&session->mac));
	}
	for (unsigned int d = 0; d < MS_DIRECTIONS; d++)
		totals->packets += totals->directions[d];
	/* packets are counted up to 10 ms after they came, by which some may be lost already */
	gone = totals->rejected + totals->lost + totals->duplicates;
	totals->delivered = totals->packets - RTE_MIN(gone, totals->packets);
}

void
totals_macs(const struct sink *sink, uint32_t first, uint32_t n, uint64_t *macs)
{
	const struct ms_ruleset *ruleset = ms_ruleset_get(&sink->rules);
	const struct ms_session_entry *entries = ms_ruleset_entries(ruleset);

	memset(macs, 0, n * sizeof(*macs));
	for (uint32_t i = 0; i < ruleset->head->entries_n; i++) {
		if (entries[i].slot >= first && entries[i].slot - first < n)
			macs[entries[i].slot - first] = entries[i].eni_mac;
	}
}

const char *
totals_mac(uint64_t configured, const struct sink_session_totals *totals, uint64_t *mac)
{
	*mac = configured != 0 ? configured : totals->learned_mac;
	if (*mac == 0)
		return NULL;
	return configured != 0 ? "configured" : "learned";
}

const char *
totals_mac_text(uint64_t mac, char *out)
{
	snprintf(out, TOTALS_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", (uint8_t)(mac >> 40),
		(uint8_t)(mac >> 32), (uint8_t)(mac >> 24), (uint8_t)(mac >> 16),
		(uint8_t)(mac >> 8), (uint8_t)mac);
	return out;
}

uint32_t
totals_idle_sessions(const struct sink *sink, uint32_t *list, uint32_t room)
{
	const struct ms_ruleset *ruleset = ms_ruleset_get(&sink->rules);
	const struct ms_session_entry *entries = ms_ruleset_entries(ruleset);
	uint32_t n = 0, last = MS_SESSION_NONE;

	/* entries of one session, which differ by address, stand together */
	for (uint32_t i = 0; i < ruleset->head->entries_n; i++) {
		struct sink_session_totals t;

		if (entries[i].slot == last || entries[i].slot == MS_SESSION_NONE)
			continue;
		last = entries[i].slot;
		totals_session(sink, last, &t);
		if (t.packets == 0 && n++ < room)
			list[n - 1] = last;
	}
	return n;
}

int64_t
totals_idle_rules(const struct sink *sink, struct sink_idle_rule *list, uint32_t room)
{
	const struct ms_ruleset *ruleset = ms_ruleset_get(&sink->rules);
	const struct ms_config *config = ruleset->config;
	uint64_t *hits = calloc(ruleset->rules_n + 1, sizeof(*hits));
	uint64_t *services = calloc(config->filters_n + 1, sizeof(*services));
	int64_t n = 0;

	if (hits == NULL || services == NULL) {
		n = -ENOMEM;
		goto out;
	}
	ms_ruleset_count(ruleset, hits, services);
	for (uint32_t f = 0; f < config->filters_n; f++) {
		const struct ms_filter *filter = &config->filters[f];

		if (filter->amazon_dns && services[f] == 0 && n++ < room)
			list[n - 1] = (struct sink_idle_rule){filter, NULL};
		for (uint32_t i = 0; i < filter->rules_n; i++) {
			if (hits[ruleset->rules_first[f] + i] == 0 && n++ < room)
				list[n - 1] = (struct sink_idle_rule){filter, &filter->rules[i]};
		}
	}
out:
	free(hits);
	free(services);
	return n;
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

unsigned int
totals_vlan_tags(const struct sink *sink)
{
	unsigned int tags = 0;

	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++) {
		const struct ms_output_ports *to = sink->output_ports[i];

		if (to != NULL)
			tags = RTE_MAX(tags, (unsigned int)to->vlan_tags);
	}
	return tags;
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

/* What the device that is there now counts. */
static uint32_t
read_device(uint16_t port, struct sink_device_counter *list)
{
	struct rte_eth_stats stats;
	uint32_t n = 0;

	if (port == SINK_PORT_NONE || rte_eth_stats_get(port, &stats) != 0)
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

uint32_t
totals_device(const struct sink_port *port, struct sink_device_counter *list)
{
	uint32_t n = read_device(port->id, list);

	for (uint32_t c = 0; c < port->counted_n; c++) {
		const struct sink_device_counter *before = &port->counted[c];
		uint32_t i = 0;

		while (i < n && strcmp(list[i].name, before->name) != 0)
			i++;
		if (i < n)
			list[i].value += before->value;
		else if (n < TOTALS_DEVICE_MAX)
			list[n++] = *before;
	}
	return n;
}

uint64_t
totals_device_value(const struct sink_device_counter *list, uint32_t n, const char *name)
{
	for (uint32_t i = 0; i < n; i++) {
		if (strcmp(list[i].name, name) == 0)
			return list[i].value;
	}
	return 0;
}

const char *
totals_role(enum sink_role role)
{
	static const char *const names[] = {
		[SINK_MIRROR] = "mirror", [SINK_OUTPUT] = "output", [SINK_EXCEPTION] = "exception"};

	return names[role];
}

const char *
totals_port_state(const struct sink_port *port)
{
	if (port->id == SINK_PORT_NONE)
		return "gone";
	return port->down ? "down" : "up";
}
