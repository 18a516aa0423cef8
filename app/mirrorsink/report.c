/* SPDX-License-Identifier: BSD-3-Clause */
/* The ledger for a person. Zeros are left out where they would only be in the way. */
#include "report.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>

#include <bsd/stdlib.h>
#include <rte_ethdev.h>

#include "common/ethdev.h"

/* Sessions that are listed; the summary has them all. */
#define SESSIONS_SHOWN 40

static void
print_ledger(const struct sink *sink, const struct sink_totals *totals, FILE *out)
{
	const struct ms_ledger *ledger = &totals->ledger;
	char bytes[8];

	humanize_number(bytes, sizeof(bytes), (int64_t)ms_count_read(&ledger->received_bytes), "B",
		HN_AUTOSCALE, HN_DECIMAL | HN_DIVISOR_1000);
	fprintf(out, "\n%-18s %14" PRIu64 "   %s in %.1f s\n", "received",
		ms_count_read(&ledger->received), bytes, totals->seconds);
	for (unsigned int f = MS_FATE_NONE + 1; f < MS_FATE_COUNT; f++) {
		uint64_t n = ms_count_read(&ledger->fates[f]);

		if (n != 0 || f == MS_FATE_DELIVERED)
			fprintf(out, "  %-16s %14" PRIu64 "   %s\n", ms_fate_name(f), n,
				ms_fate_help(f));
	}
	if (sink->exception != SINK_PORT_NONE)
		fprintf(out,
			"exception port: %" PRIu64 " sent, %" PRIu64 " dropped, %" PRIu64
			" came back, %" PRIu64 " of them dropped\n",
			totals->exception_sent, totals->exception_dropped,
			totals->exception_returned + totals->exception_lost,
			totals->exception_lost);
}

static void
print_outputs(const struct sink *sink, const struct sink_totals *totals, FILE *out)
{
	const struct ms_config *config = sink_config(sink);

	fprintf(out, "\n%-18s %14s %14s %10s  %s\n", "output", "offered", "written", "bytes", "");
	for (uint32_t i = 0; i < config->outputs_n; i++) {
		const struct ms_output_ledger *ledger = &totals->outputs[i];
		const struct ms_config_output *output = &config->outputs[i];
		char bytes[8];

		humanize_number(bytes, sizeof(bytes), (int64_t)ms_count_read(&ledger->bytes), "B",
			HN_AUTOSCALE, HN_DECIMAL | HN_DIVISOR_1000);
		fprintf(out, "%-18s %14" PRIu64 " %14" PRIu64 " %10s  %s%s%s\n", output->name,
			ms_count_read(&ledger->offered), ms_count_read(&ledger->written), bytes,
			totals_output_type(output->type), output->path || output->port ? " " : "",
			output->path != NULL   ? output->path
			: output->port != NULL ? output->port
					       : "");
		for (unsigned int d = 0; d < MS_DROP_COUNT; d++) {
			uint64_t n = ms_count_read(&ledger->dropped[d]);

			if (n != 0)
				fprintf(out, "  %-16s %14" PRIu64 "   %s\n", ms_drop_name(d), n,
					ms_drop_help(d));
		}
	}
}

static void
print_sessions(const struct sink *sink, FILE *out)
{
	uint32_t n = ms_session_count(sink->registry);

	if (n == 0)
		return;
	fprintf(out, "\n%-24s %9s %-16s %12s %10s %12s %12s\n", "session", "vni", "source",
		"packets", "bytes", "delivered", "rejected");
	for (uint32_t slot = 0; slot < n && slot < SESSIONS_SHOWN; slot++) {
		const struct ms_session_info *info = ms_session_info(sink->registry, slot);
		char address[INET6_ADDRSTRLEN], bytes[8];
		struct sink_session_totals t;

		totals_session(sink, slot, &t);
		humanize_number(bytes, sizeof(bytes), (int64_t)t.bytes, "B", HN_AUTOSCALE,
			HN_DECIMAL | HN_DIVISOR_1000);
		fprintf(out, "%-24s %9u %-16s %12" PRIu64 " %10s %12" PRIu64 " %12" PRIu64 "\n",
			info->name, info->vni,
			totals_address(info->source, info->source_family, address), t.packets,
			bytes, t.delivered, t.rejected);
	}
	if (n > SESSIONS_SHOWN)
		fprintf(out, "... and %u more, in the summary (--summary FILE)\n",
			n - SESSIONS_SHOWN);
}

static void
print_unknown(const struct sink *sink, FILE *out)
{
	struct ms_unknown_entry list[TOTALS_UNKNOWN_MAX];
	uint64_t others;
	uint32_t n = totals_unknown(sink, list, &others);

	if (n == 0 && others == 0)
		return;
	fprintf(out, "\n%-24s %9s %12s\n", "unknown source", "vni", "packets");
	for (uint32_t i = 0; i < n && i < SESSIONS_SHOWN; i++) {
		char address[INET6_ADDRSTRLEN];

		fprintf(out, "%-24s %9u %12" PRIu64 "\n",
			totals_address(list[i].source, list[i].source_family, address), list[i].vni,
			ms_count_read(&list[i].packets));
	}
	for (uint32_t i = SESSIONS_SHOWN; i < n; i++)
		others += ms_count_read(&list[i].packets);
	if (others != 0)
		fprintf(out, "%-24s %9s %12" PRIu64 "\n", "others", "", others);
}

/* What was lost before it was received stands beside the ledger, never in it. */
static void
print_devices(const struct sink *sink, FILE *out)
{
	for (uint16_t i = 0; i < sink->mirrors_n; i++) {
		struct rte_eth_stats stats;

		if (rte_eth_stats_get(sink->mirrors[i], &stats) != 0)
			continue;
		if (stats.imissed != 0)
			fprintf(out,
				"%s: %" PRIu64 " packets missed: its queues were full, or they did "
				"not fit them\n",
				ethdev_name(sink->mirrors[i]), stats.imissed);
		if (stats.rx_nombuf != 0)
			fprintf(out,
				"%s: %" PRIu64 " times no packet buffer was left: give more with "
				"--mbufs\n",
				ethdev_name(sink->mirrors[i]), stats.rx_nombuf);
		if (stats.ierrors != 0)
			fprintf(out, "%s: %" PRIu64 " packets with errors\n",
				ethdev_name(sink->mirrors[i]), stats.ierrors);
	}
}

void
report_print(const struct sink *sink, const struct sink_totals *totals, FILE *out)
{
	print_ledger(sink, totals, out);
	print_devices(sink, out);
	print_outputs(sink, totals, out);
	print_sessions(sink, out);
	print_unknown(sink, out);
	fprintf(out, "\n%s\n",
		totals_balanced(sink, totals)
			? "The ledger balances: every packet and every frame is accounted for."
			: "THE LEDGER DOES NOT BALANCE: this is a defect of mirrorsink.");
	fflush(out);
}
