/* SPDX-License-Identifier: BSD-3-Clause */
/* The ledger for a person. Zeros are left out where they would only be in the way. */
#include "report.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>

#include <bsd/stdlib.h>

#include "behind.h"
#include <rte_ethdev.h>

/* Sessions that are listed; the summary has them all. */
#define SESSIONS_SHOWN 40
/* Rules and sessions that did nothing and are named. */
#define IDLE_SHOWN 10

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
	if (totals->dedup_evicted != 0)
		fprintf(out,
			"%-18s %14" PRIu64 "   frames were forgotten within the window, so a copy "
			"may be here: give Dedup more Memory\n",
			"dedup_evicted", totals->dedup_evicted);
	if (sink->exceptions_n > 0)
		fprintf(out,
			"exception ports: %" PRIu64 " sent, %" PRIu64 " dropped, %" PRIu64
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
		fprintf(out, "%-18s %14" PRIu64 " %14" PRIu64 " %10s  %s", output->name,
			ms_count_read(&ledger->offered), ms_count_read(&ledger->written), bytes,
			totals_output_type(output->type));
		if (output->path != NULL)
			fprintf(out, " %s", output->path);
		for (uint32_t p = 0; p < output->ports_n; p++)
			fprintf(out, "%s%s", p > 0 ? ", " : " ", output->ports[p]);
		if (output->interface != NULL)
			fprintf(out, " taps %s", output->interface);
		fputc('\n', out);
		for (unsigned int d = 0; d < MS_DROP_COUNT; d++) {
			uint64_t n = ms_count_read(&ledger->dropped[d]);

			if (n != 0)
				fprintf(out, "  %-16s %14" PRIu64 "   %s\n", ms_drop_name(d), n,
					ms_drop_help(d));
		}
	}
}

/* The VLAN id of a session, of two tags the outer one first. */
static void
print_vlan(unsigned int tags, uint32_t slot, FILE *out)
{
	char text[16] = "-";

	if (tags == 2)
		snprintf(text, sizeof(text), "%u.%u", ms_session_vlan_outer(slot),
			ms_session_vlan(slot));
	else if (totals_has_vlan(tags, slot))
		snprintf(text, sizeof(text), "%u", ms_session_vlan(slot));
	fprintf(out, " %8s", text);
}

static void
print_sessions(const struct sink *sink, FILE *out)
{
	unsigned int tags = totals_vlan_tags(sink);
	uint32_t n = ms_session_count(sink->registry);
	bool dedup = sink->dedups[0] != NULL;

	if (n == 0)
		return;
	fprintf(out, "\n%-24s %9s %-16s %12s %10s %12s %12s%s%s\n", "session", "vni", "source",
		"packets", "bytes", "delivered", "rejected", dedup ? "   duplicates" : "",
		tags > 0 ? "     vlan" : "");
	for (uint32_t slot = 0; slot < n && slot < SESSIONS_SHOWN; slot++) {
		const struct ms_session_info *info = ms_session_info(sink->registry, slot);
		char address[INET6_ADDRSTRLEN], bytes[8];
		struct sink_session_totals t;

		totals_session(sink, slot, &t);
		humanize_number(bytes, sizeof(bytes), (int64_t)t.bytes, "B", HN_AUTOSCALE,
			HN_DECIMAL | HN_DIVISOR_1000);
		fprintf(out, "%-24s %9u %-16s %12" PRIu64 " %10s %12" PRIu64 " %12" PRIu64,
			info->name, info->vni,
			totals_address(info->source, info->source_family, address), t.packets,
			bytes, t.delivered, t.rejected);
		if (dedup)
			fprintf(out, " %12" PRIu64, t.duplicates);
		if (tags > 0)
			print_vlan(tags, slot, out);
		fputc('\n', out);
	}
	if (n > SESSIONS_SHOWN)
		fprintf(out, "... and %u more, in the summary (--summary FILE)\n",
			n - SESSIONS_SHOWN);
}

/* Packets by direction, and of what is not told. */
struct directions {
	uint64_t unloaded; /* packets of unknown direction, of sessions without a MAC address */
	uint64_t loaded;   /* and of those that have one */
	uint32_t learned;  /* sessions whose address was learned */
};

static void
print_direction(const struct sink_session_totals *t, const char *name, uint64_t configured,
	struct directions *sum, FILE *out)
{
	char text[TOTALS_MAC_TEXT] = "";
	const char *from;
	uint64_t mac;

	from = totals_mac(configured, t, &mac);
	*(configured != 0 ? &sum->loaded : &sum->unloaded) += t->directions[MS_DIRECTION_UNKNOWN];
	sum->learned += configured == 0 && from != NULL;
	fprintf(out, "%-24s %12" PRIu64 " %12" PRIu64 " %12" PRIu64 "  %s %s", name,
		t->directions[MS_DIRECTION_INGRESS], t->directions[MS_DIRECTION_EGRESS],
		t->directions[MS_DIRECTION_UNKNOWN],
		from != NULL ? totals_mac_text(mac, text) : "not known", from != NULL ? from : "");
	if (configured == 0 && t->learned_macs_changed > 0)
		fprintf(out, ", changed %u times", t->learned_macs_changed);
	fputc('\n', out);
}

/* What to do about directions that nobody can tell. */
static void
print_advice(const struct directions *sum, FILE *out)
{
	if (sum->unloaded > 0)
		fprintf(out,
			"%" PRIu64 " packets have no known direction, and were looked up in both "
			"tables of their filter:\nload NetworkInterfaces, so that the source ENI's "
			"MAC address tells it.\n",
			sum->unloaded);
	if (sum->loaded > 0)
		fprintf(out,
			"%" PRIu64 " packets have no known direction although their ENI is "
			"configured: neither their MAC\naddresses nor their IP addresses tell the "
			"ENI "
			"apart. Is its MacAddress the current one?\n",
			sum->loaded);
	if (sum->learned > 0)
		fprintf(out, "Learned MAC addresses were seen beside the outer source address, and "
			     "decide "
			     "nothing. To use\none, load NetworkInterfaces, and "
			     "TrafficMirrorSessions that "
			     "name them.\n");
}

static void
print_directions(const struct sink *sink, FILE *out)
{
	uint32_t n = ms_session_count(sink->registry), shown = 0;
	uint64_t macs[SESSIONS_SHOWN];
	struct directions sum = {0};

	totals_macs(sink, 0, SESSIONS_SHOWN, macs);
	for (uint32_t slot = 0; slot < n && slot < SESSIONS_SHOWN; slot++) {
		struct sink_session_totals t;

		totals_session(sink, slot, &t);
		if (t.packets == 0)
			continue;
		if (shown++ == 0)
			fprintf(out, "\n%-24s %12s %12s %12s  %s\n", "direction", "ingress",
				"egress", "unknown", "source ENI's MAC address");
		print_direction(
			&t, ms_session_info(sink->registry, slot)->name, macs[slot], &sum, out);
	}
	print_advice(&sum, out);
}

/* What is configured and did nothing: a mistake, or a leftover. */
static void
print_never_hit(const struct sink *sink, FILE *out)
{
	struct sink_idle_rule rules[IDLE_SHOWN];
	uint32_t slots[IDLE_SHOWN], sessions = totals_idle_sessions(sink, slots, IDLE_SHOWN);
	int64_t n = totals_idle_rules(sink, rules, IDLE_SHOWN);

	if (sessions > 0 || n > 0)
		fputc('\n', out);
	if (sessions > 0)
		fprintf(out, "sessions without a packet: %u:", sessions);
	for (uint32_t i = 0; i < sessions && i < IDLE_SHOWN; i++)
		fprintf(out, "%s %s", i > 0 ? "," : "",
			ms_session_info(sink->registry, slots[i])->name);
	if (sessions > 0)
		fputs(sessions > IDLE_SHOWN ? ", ...\n" : "\n", out);
	if (n > 0)
		fprintf(out, "rules that never hit: %" PRId64 ":", n);
	for (int64_t i = 0; i < n && i < IDLE_SHOWN; i++) {
		fprintf(out, "%s %s ", i > 0 ? "," : "", rules[i].filter->name);
		if (rules[i].rule == NULL)
			fputs("amazon-dns", out);
		else
			fprintf(out, "%s %u", totals_direction(rules[i].rule->direction),
				rules[i].rule->number);
	}
	if (n > 0)
		fputs(n > IDLE_SHOWN ? ", ...\n" : "\n", out);
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
		struct sink_device_counter list[TOTALS_DEVICE_MAX];
		uint32_t n = totals_device(sink->mirrors[i], list);
		uint64_t missed = totals_device_value(list, n, "imissed");
		uint64_t nombuf = totals_device_value(list, n, "rx_nombuf");
		uint64_t errors = totals_device_value(list, n, "ierrors");
		const char *name = sink->mirrors[i]->name;

		if (missed != 0)
			fprintf(out,
				"%s: %" PRIu64 " packets missed: its queues were full, or they did "
				"not fit them\n",
				name, missed);
		if (nombuf != 0)
			fprintf(out,
				"%s: %" PRIu64 " times no packet buffer was left: give more with "
				"--mbufs\n",
				name, nombuf);
		if (errors != 0)
			fprintf(out, "%s: %" PRIu64 " packets with errors\n", name, errors);
	}
	for (uint16_t i = 0; i < sink->ports_n; i++) {
		if (sink->ports[i].id == SINK_PORT_NONE)
			fprintf(out, "%s: gone\n", sink->ports[i].name);
	}
}

#if defined(MS_STAGE_CYCLES)
static void
print_lcore_stages(const struct ms_stages *stages, unsigned int lcore, FILE *out)
{
	for (unsigned int s = 0; s < MS_STAGE_COUNT; s++) {
		uint64_t n = ms_count_read(&stages->packets[s]);

		if (n != 0)
			fprintf(out, "  %-5u %-12s %14" PRIu64 " %10.1f   %s\n", lcore,
				ms_stage_name(s), n,
				(double)ms_count_read(&stages->cycles[s]) / (double)n,
				ms_stage_help(s));
	}
}

static void
print_stages(const struct sink *sink, FILE *out)
{
	fprintf(out, "\n  %-5s %-12s %14s %10s\n", "lcore", "stage", "packets", "cycles");
	for (uint16_t i = 0; i < sink->rx_n; i++)
		print_lcore_stages(&sink->rx[i]->stages, sink->rx[i]->lcore, out);
	for (uint16_t i = 0; i < sink->workers_n; i++)
		print_lcore_stages(&sink->workers[i]->stages, sink->workers[i]->lcore, out);
}
#endif

void
report_print(const struct sink *sink, const struct sink_totals *totals, FILE *out)
{
	print_ledger(sink, totals, out);
	print_devices(sink, out);
	print_outputs(sink, totals, out);
	behind_print(sink, out);
	print_sessions(sink, out);
	print_directions(sink, out);
	print_unknown(sink, out);
	print_never_hit(sink, out);
#if defined(MS_STAGE_CYCLES)
	print_stages(sink, out);
#endif
	fprintf(out, "\n%s\n",
		totals_balanced(sink, totals)
			? "The ledger balances: every packet and every frame is accounted for."
			: "THE LEDGER DOES NOT BALANCE: this is a defect of mirrorsink.");
	fflush(out);
}
