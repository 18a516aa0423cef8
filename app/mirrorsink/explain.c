/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads a capture file packet by packet, and has each explained. See explain.h. */
#include "explain.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pcap/pcap.h>

/* Explains and prints one packet. Returns false with a message if it cannot go on. */
static bool
one_packet(struct explain *x, const struct pcap_pkthdr *header, const uint8_t *bytes)
{
	struct explanation *e = &x->e;
	bool ok;

	e->number++;
	e->seconds = header->ts.tv_sec;
	e->nanoseconds = (uint32_t)header->ts.tv_usec; /* as asked for at opening */
	e->length = header->caplen;
	e->wire_length = header->len;
	explain_packet(x, bytes);
	ok = explain_check(x, bytes);
	if (ok && x->options->explain_json)
		ok = explain_print_json(x, stdout);
	else if (ok)
		explain_print_text(x, stdout);
	if (!ok)
		return cli_wrong("out of memory");
	if (e->disagreement[0] != '\0')
		cli_wrong("packet %llu: DISAGREEMENT, a defect of mirrorsink: %s",
			(unsigned long long)e->number, e->disagreement);
	return true;
}

/* All packets of an open file. Returns the exit status. */
static int
all_packets(struct explain *x, pcap_t *file)
{
	struct pcap_pkthdr *header;
	const uint8_t *bytes;
	int rc;

	while ((rc = pcap_next_ex(file, &header, &bytes)) == 1) {
		if (!one_packet(x, header, bytes))
			return CLI_EXIT_FAILED;
	}
	if (!x->options->explain_json)
		explain_print_text_end(x, stdout);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		cli_wrong("standard output: %s", strerror(errno));
		return CLI_EXIT_FAILED;
	}
	if (rc != PCAP_ERROR_BREAK) {
		cli_wrong("--explain: '%s' cannot be read beyond packet %llu: %s",
			x->options->explain, (unsigned long long)x->e.number, pcap_geterr(file));
		return CLI_EXIT_FAILED;
	}
	return explain_check_hits(x) && x->disagreements == 0 ? EXIT_SUCCESS : CLI_EXIT_FAILED;
}

static int
read_file(struct explain *x)
{
	char error[PCAP_ERRBUF_SIZE];
	const char *name = x->options->explain;
	pcap_t *file =
		pcap_open_offline_with_tstamp_precision(name, PCAP_TSTAMP_PRECISION_NANO, error);
	int link, status = CLI_EXIT_USAGE;

	if (file == NULL) {
		cli_wrong("--explain: '%s' is no capture that can be read: %s", name, error);
		return CLI_EXIT_USAGE;
	}
	link = pcap_datalink(file);
	if (link == DLT_EN10MB)
		status = all_packets(x, file);
	else
		cli_wrong("--explain: '%s' holds packets of link type %d (%s); give a capture of "
			  "Ethernet",
			name, link,
			pcap_datalink_val_to_name(link) != NULL ? pcap_datalink_val_to_name(link)
								: "unknown");
	pcap_close(file);
	return status;
}

/* Makes room for what explains the packets of a ruleset. */
static bool
prepare(struct explain *x)
{
	const struct ms_config *config = x->ruleset->config;

	/* each filter is asked at most once in each direction */
	x->e.asked = calloc(2 * ((size_t)config->routes_n + 1), sizeof(*x->e.asked));
	x->hits = calloc((size_t)x->ruleset->rules_n + 1, sizeof(*x->hits));
	x->services = calloc((size_t)config->filters_n + 1, sizeof(*x->services));
	return x->e.asked != NULL && x->hits != NULL && x->services != NULL &&
	       ms_policy_ref_init(&x->e.policy, config) == 0;
}

/* What a sink with this configuration would do, and nobody can tell from one packet alone. */
static void
warn_alone(const struct ms_config *config)
{
	if (config->dedup.on)
		warnx("--explain looks at each packet alone: it finds no duplicates, although the "
		      "configuration has Dedup");
	if (config->outer_fragments == MS_FRAGMENTS_REASSEMBLE)
		warnx("--explain looks at each packet alone: it puts no outer fragments together, "
		      "although OuterFragments is reassemble");
}

int
explain(const struct sink_options *options, struct ms_config *config)
{
	struct explain *x = calloc(1, sizeof(*x));
	struct ms_ruleset *ruleset = NULL;
	struct ms_config_error error;
	int status = CLI_EXIT_FAILED;

	if (x == NULL || (x->registry = ms_session_registry_create()) == NULL) {
		cli_wrong("out of memory");
		ms_config_free(config);
		goto out;
	}
	if (ms_ruleset_compile(&ruleset, config, x->registry, 1, &error) != 0) {
		cli_wrong("%s", error.text);
		ms_config_free(config);
		status = CLI_EXIT_USAGE;
		goto out;
	}
	warn_alone(config);
	x->options = options;
	x->ruleset = ruleset;
	x->decap.vxlan_port = rte_cpu_to_be_16((uint16_t)options->vxlan_port);
	x->decap.geneve_port = rte_cpu_to_be_16((uint16_t)options->geneve_port);
	if (prepare(x))
		status = read_file(x);
	else
		cli_wrong("out of memory");
	ms_policy_ref_fini(&x->e.policy);
	free(x->e.asked);
	free(x->hits);
	free(x->services);
	free(x->mbufs);
out:
	ms_ruleset_free(ruleset);
	if (x != NULL)
		ms_session_registry_free(x->registry);
	free(x);
	return status;
}
