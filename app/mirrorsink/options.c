/* SPDX-License-Identifier: BSD-3-Clause */
/* Parses the command line, and makes the configuration out of its files and outputs. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "help.h"

enum long_only {
	OPTION_OUTER = 256,
	OPTION_WHEN_FULL,
	OPTION_IDLE,
	OPTION_VXLAN_PORT,
	OPTION_GENEVE_PORT,
	OPTION_MTU,
	OPTION_MBUFS,
	OPTION_SUMMARY,
	OPTION_CHECK,
	OPTION_EXPLAIN,
	OPTION_EXPLAIN_FORMAT,
};

static const char short_options[] = "+c:w:f:r:x:W:s:a:hV";

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"write", required_argument, NULL, 'w'},
	{"forward", required_argument, NULL, 'f'},
	{"rx", required_argument, NULL, 'r'},
	{"exception", required_argument, NULL, 'x'},
	{"workers", required_argument, NULL, 'W'},
	{"snaplen", required_argument, NULL, 's'},
	{"autostop", required_argument, NULL, 'a'},
	{"outer", no_argument, NULL, OPTION_OUTER},
	{"when-full", required_argument, NULL, OPTION_WHEN_FULL},
	{"idle", required_argument, NULL, OPTION_IDLE},
	{"vxlan-port", required_argument, NULL, OPTION_VXLAN_PORT},
	{"geneve-port", required_argument, NULL, OPTION_GENEVE_PORT},
	{"mtu", required_argument, NULL, OPTION_MTU},
	{"mbufs", required_argument, NULL, OPTION_MBUFS},
	{"summary", required_argument, NULL, OPTION_SUMMARY},
	{"check", no_argument, NULL, OPTION_CHECK},
	{"explain", required_argument, NULL, OPTION_EXPLAIN},
	{"explain-format", required_argument, NULL, OPTION_EXPLAIN_FORMAT},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

/* Appends to a list of arguments of one option. */
static bool
append(const char *option, const char **list, uint32_t *n, uint32_t room, const char *value)
{
	if (*n == room)
		return cli_wrong("%s: given more than %u times", option, room);
	list[(*n)++] = value;
	return true;
}

static bool
parse_when_full(const char *text, struct sink_options *o)
{
	if (strcmp(text, "wait") == 0)
		o->when_full = SINK_FULL_WAIT;
	else if (strcmp(text, "drop") == 0)
		o->when_full = SINK_FULL_DROP;
	else
		return cli_wrong("--when-full: '%s' is neither wait nor drop", text);
	return true;
}

static bool
parse_idle(const char *text, struct sink_options *o)
{
	if (strcmp(text, "poll") == 0)
		o->idle = SINK_IDLE_POLL;
	else if (strcmp(text, "adaptive") == 0)
		o->idle = SINK_IDLE_ADAPTIVE;
	else
		return cli_wrong("--idle: '%s' is neither poll nor adaptive", text);
	return true;
}

static bool
parse_explain_format(const char *text, struct sink_options *o)
{
	o->explain_json = strcmp(text, "json") == 0;
	if (o->explain_json || strcmp(text, "text") == 0)
		return true;
	return cli_wrong("--explain-format: '%s' is neither text nor json", text);
}

/* The format that a file's name asks for. */
static bool
write_type(const char *path, enum ms_output_type *type)
{
	const char *dot = strrchr(path, '.');

	if (strcmp(path, "-") == 0 || (dot != NULL && strcmp(dot, ".pcapng") == 0))
		*type = MS_OUTPUT_PCAPNG;
	else if (dot != NULL && strcmp(dot, ".pcap") == 0)
		*type = MS_OUTPUT_PCAP;
	else
		return false;
	return true;
}

static bool
parse_write(const char *text, struct sink_options *o)
{
	enum ms_output_type type;

	if (!write_type(text, &type))
		return cli_wrong("--write: '%s' has no format: give a name that ends in .pcapng or "
				 ".pcap, or - for pcapng on standard output",
			text);
	return append("--write", o->writes, &o->writes_n, MS_OUTPUTS_MAX, text);
}

static bool
parse_option(int c, const char *text, struct sink_options *o)
{
	switch (c) {
	case 'c':
		return append("--config", o->configs, &o->configs_n, SINK_CONFIGS_MAX, text);
	case 'w':
		return parse_write(text, o);
	case 'f':
		return append("--forward", o->forwards, &o->forwards_n, MS_OUTPUTS_MAX, text);
	case 'r':
		return append("--rx", o->rx, &o->rx_n, RTE_MAX_ETHPORTS, text);
	case 'x':
		return append(
			"--exception", o->exceptions, &o->exceptions_n, RTE_MAX_ETHPORTS, text);
	case 'W':
		return cli_number32("--workers", text, 0, RTE_MAX_LCORE, &o->workers);
	case 's':
		return cli_number32("--snaplen", text, 1, MS_LENGTH_MAX, &o->snaplen);
	case 'a':
		return cli_autostop(text, &o->autostop);
	case OPTION_OUTER:
		o->outer = true;
		return true;
	case OPTION_WHEN_FULL:
		return parse_when_full(text, o);
	case OPTION_IDLE:
		return parse_idle(text, o);
	case OPTION_VXLAN_PORT:
		return cli_number32("--vxlan-port", text, 1, UINT16_MAX, &o->vxlan_port);
	case OPTION_GENEVE_PORT:
		return cli_number32("--geneve-port", text, 1, UINT16_MAX, &o->geneve_port);
	case OPTION_MTU:
		return cli_number32("--mtu", text, 68, UINT16_MAX, &o->mtu);
	case OPTION_MBUFS:
		return cli_number32("--mbufs", text, 512, 1 << 26, &o->mbufs);
	case OPTION_SUMMARY:
		o->summary = text;
		return true;
	case OPTION_CHECK:
		o->check = true;
		return true;
	case OPTION_EXPLAIN:
		o->explain = text;
		return true;
	case OPTION_EXPLAIN_FORMAT:
		return parse_explain_format(text, o);
	default: /* getopt has said what is wrong */
		return cli_wrong("see mirrorsink --help");
	}
}

static bool
needs_no_eal(int argc, char **argv)
{
	static const char *const words[] = {
		"--check", "--explain", "--help", "-h", "--version", "-V"};

	for (int i = 1; i < argc; i++) {
		for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
			if (strcmp(argv[i], words[w]) == 0)
				return true;
		}
		if (strncmp(argv[i], "--explain=", strlen("--explain=")) == 0)
			return true;
	}
	return false;
}

enum sink_options_result
sink_options_parse(struct sink_options *o, int argc, char **argv, int *eal_argc)
{
	char **ours;
	int c;

	*o = (struct sink_options){
		.workers = SINK_WORKERS_DEFAULT, .vxlan_port = 4789, .geneve_port = 6081};
	*eal_argc = cli_eal_arguments(argc, argv);
	/* without "--" all arguments are the EAL's, unless one of them says that it does not start
	 */
	if (*eal_argc == argc && needs_no_eal(argc, argv))
		*eal_argc = 0;
	ours = &argv[*eal_argc];
	argc -= *eal_argc;
	optind = 1;
	while (argc > 0 && (c = getopt_long(argc, ours, short_options, long_options, NULL)) != -1) {
		if (c == 'h') {
			fputs(sink_help, stdout);
			return SINK_OPTIONS_DONE;
		}
		if (c == 'V') {
			puts("mirrorsink " MS_VERSION);
			return SINK_OPTIONS_DONE;
		}
		if (!parse_option(c, optarg, o))
			return SINK_OPTIONS_WRONG;
	}
	if (argc > 0 && optind < argc) {
		cli_wrong("'%s' belongs to no option; see mirrorsink --help", ours[optind]);
		return SINK_OPTIONS_WRONG;
	}
	if (o->check && o->explain != NULL) {
		cli_wrong("--check and --explain are two ways to look: give one of them");
		return SINK_OPTIONS_WRONG;
	}
	if (o->vxlan_port == o->geneve_port) {
		cli_wrong("--vxlan-port and --geneve-port are both %u; they must differ",
			o->vxlan_port);
		return SINK_OPTIONS_WRONG;
	}
	return SINK_OPTIONS_RUN;
}

/* Adds an output of the command line under a name made from its option: write, write2, ... */
static int
add_output(struct ms_config *config, const char *option, uint32_t index,
	const struct ms_config_output *output, struct ms_config_error *error)
{
	struct ms_config_output named = *output;
	char name[24];

	if (index == 0)
		snprintf(name, sizeof(name), "%s", option);
	else
		snprintf(name, sizeof(name), "%s%u", option, index + 1);
	named.name = name;
	return ms_config_add_output(config, &named, error);
}

/* What -s and --outer say holds for every file that says nothing itself. */
static void
apply_defaults(struct ms_config *config, const struct sink_options *o)
{
	for (uint32_t i = 0; i < config->outputs_n; i++) {
		struct ms_config_output *output = &config->outputs[i];

		if (output->type != MS_OUTPUT_PCAPNG && output->type != MS_OUTPUT_PCAP)
			continue;
		if (output->snaplen == 0)
			output->snaplen = o->snaplen;
		output->outer |= o->outer;
	}
}

int
sink_options_config(
	const struct sink_options *o, struct ms_config **out, struct ms_config_error *error)
{
	struct ms_config *config;
	int rc = ms_config_read(&config, o->configs, o->configs_n, error);

	if (rc != 0)
		return rc;
	for (uint32_t i = 0; rc == 0 && i < o->writes_n; i++) {
		struct ms_config_output output = {.path = (char *)(uintptr_t)o->writes[i]};

		write_type(o->writes[i], &output.type);
		rc = add_output(config, "write", i, &output, error);
	}
	for (uint32_t i = 0; rc == 0 && i < o->forwards_n; i++) {
		char *port = (char *)(uintptr_t)o->forwards[i];
		struct ms_config_output output = {
			.type = MS_OUTPUT_PORT, .ports = &port, .ports_n = 1};

		rc = add_output(config, "forward", i, &output, error);
	}
	if (rc == 0 && config->outputs_n == 0 && !o->check) {
		struct ms_config_output output = {.type = MS_OUTPUT_NULL};

		rc = add_output(config, "null", 0, &output, error);
	}
	if (rc != 0) {
		ms_config_free(config);
		return rc;
	}
	apply_defaults(config, o);
	*out = config;
	return 0;
}
