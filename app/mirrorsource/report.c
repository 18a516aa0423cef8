/* SPDX-License-Identifier: BSD-3-Clause */
/* The final ledger, printed and as JSON. */
#include "report.h"

#include "common/cli.h"
#include "report_sessions.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void
add_device(struct source_report *report, uint16_t port)
{
	struct source_device *device = &report->devices[report->devices_n];
	struct rte_eth_stats stats;

	if (rte_eth_stats_get(port, &stats) != 0 ||
		rte_eth_dev_get_name_by_port(port, device->name) != 0)
		return;
	device->missed = stats.imissed;
	device->rx_errors = stats.ierrors;
	device->no_mbuf = stats.rx_nombuf;
	device->tx_errors = stats.oerrors;
	report->devices_n++;
}

void
source_report_devices(struct source_report *report, const struct source_ports *ports)
{
	bool tx = ports->tx != SOURCE_NO_PORT;

	report->devices_n = 0;
	for (uint16_t i = 0; i < ports->rx_n; i++) {
		tx &= ports->rx[i] != ports->tx;
		add_device(report, ports->rx[i]);
	}
	if (tx)
		add_device(report, ports->tx);
}

static void
print_device(const struct source_device *device)
{
	const struct {
		const char *name;
		uint64_t n;
	} losses[] = {
		{"missed on receive", device->missed},
		{"receive errors", device->rx_errors},
		{"missed for want of mbufs", device->no_mbuf},
		{"transmit errors", device->tx_errors},
	};

	for (unsigned int i = 0; i < RTE_DIM(losses); i++) {
		if (losses[i].n != 0)
			printf("port %s: %" PRIu64 " %s\n", device->name, losses[i].n,
				losses[i].name);
	}
}

static void
print_count(const char *name, const char *help, const ms_counter *counter)
{
	uint64_t n = ms_count_read(counter);

	if (n != 0)
		printf("  %-19s %10" PRIu64 "  %s\n", name, n, help);
}

void
source_report_print(const struct source_report *report)
{
	const struct source_ledger *ledger = report->ledger;
	bool any = false;

	printf("%-19s %12s %16s\n", "", "packets", "bytes");
	printf("%-19s %12" PRIu64 " %16" PRIu64 "\n", "received", ms_count_read(&ledger->received),
		ms_count_read(&ledger->received_bytes));
	print_count("seen_twice", "by two source ENIs, so that each has two fates",
		&ledger->seen_twice);
	for (unsigned int i = 0; i < SOURCE_FATE_COUNT; i++)
		print_count(source_fate_name(i), source_fate_help(i), &ledger->fates[i]);
	printf("%-19s %12" PRIu64 " %16" PRIu64 "  in %.3f s\n", "sent",
		ms_count_read(&ledger->packets[SOURCE_PACKET_SENT]),
		ms_count_read(&ledger->sent_bytes), report->seconds);
	/* The others: mirrored and sent are above. */
	for (unsigned int i = SOURCE_PACKET_MIRRORED + 1; i < SOURCE_PACKET_SENT; i++)
		print_count(source_packet_name(i), source_packet_help(i), &ledger->packets[i]);
	for (unsigned int i = 0; i < SOURCE_FAULT_COUNT; i++)
		any |= ms_count_read(&ledger->faults[i]) != 0;
	if (any)
		puts("faults");
	for (unsigned int i = 0; i < SOURCE_FAULT_COUNT; i++)
		print_count(source_fault_name(i), source_fault_help(i), &ledger->faults[i]);
	report_sessions_print(report->sessions, report->mirror);
	for (uint16_t i = 0; i < report->devices_n; i++)
		print_device(&report->devices[i]);
	puts(source_ledger_balanced(ledger) ? "the ledger balances"
					    : "THE LEDGER DOES NOT BALANCE");
	fflush(stdout);
}

static json_t *
pack_number(const ms_counter *counter)
{
	return json_integer((json_int_t)ms_count_read(counter));
}

static json_t *
pack_count(const ms_counter *packets, const ms_counter *bytes)
{
	return json_pack("{s:I, s:I}", "packets", (json_int_t)ms_count_read(packets), "bytes",
		(json_int_t)ms_count_read(bytes));
}

/* Adds what became of frames and of packets. */
static void
add_ledger(json_t *summary, const struct source_ledger *ledger)
{
	json_t *fates = json_object();
	json_t *packets = json_object();
	json_t *faults = json_object();

	for (unsigned int i = 0; i < SOURCE_FATE_COUNT; i++)
		json_object_set_new(fates, source_fate_name(i), pack_number(&ledger->fates[i]));
	for (unsigned int i = 0; i < SOURCE_PACKET_COUNT; i++)
		json_object_set_new(
			packets, source_packet_name(i), pack_number(&ledger->packets[i]));
	for (unsigned int i = 0; i < SOURCE_FAULT_COUNT; i++)
		json_object_set_new(faults, source_fault_name(i), pack_number(&ledger->faults[i]));
	json_object_set_new(summary, "seen_twice", pack_number(&ledger->seen_twice));
	json_object_set_new(summary, "fates", fates);
	json_object_set_new(summary, "packets", packets);
	json_object_set_new(summary, "faults", faults);
}

static json_t *
pack_devices(const struct source_report *report)
{
	json_t *devices = json_object();

	for (uint16_t i = 0; i < report->devices_n; i++) {
		const struct source_device *device = &report->devices[i];

		json_object_set_new(devices, device->name,
			json_pack("{s:I, s:I, s:I, s:I}", "imissed", (json_int_t)device->missed,
				"ierrors", (json_int_t)device->rx_errors, "rx_nombuf",
				(json_int_t)device->no_mbuf, "oerrors",
				(json_int_t)device->tx_errors));
	}
	return devices;
}

int
source_report_write(const struct source_report *report, const char *path)
{
	const struct source_ledger *ledger = report->ledger;
	json_t *summary = json_pack("{s:s, s:f, s:o, s:b, s:o, s:o}", "schema",
		"mirrorsource.summary/1", "seconds", report->seconds, "received",
		pack_count(&ledger->received, &ledger->received_bytes), "balanced",
		(int)source_ledger_balanced(ledger), "sent",
		pack_count(&ledger->packets[SOURCE_PACKET_SENT], &ledger->sent_bytes), "device",
		pack_devices(report));
	FILE *file = NULL;
	int ret = -1;

	add_ledger(summary, ledger);
	json_object_set_new(
		summary, "sessions", report_sessions_pack(report->sessions, report->mirror));
	json_object_set_new(summary, "rules", report_rules_pack(report->sessions));
	if (summary == NULL)
		errno = ENOMEM;
	else
		file = fopen(path, "we");
	if (file != NULL) {
		ret = json_dumpf(summary, file, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
		if (fputc('\n', file) == EOF)
			ret = -1;
		if (fclose(file) != 0)
			ret = -1;
	}
	json_decref(summary);
	if (ret == 0)
		return 0;
	cli_wrong("--summary: '%s' cannot be written: %s", path, strerror(errno));
	return CLI_EXIT_FAILED;
}
