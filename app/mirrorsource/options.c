/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parses the command line. It must not need the EAL: --help, --version and a wrong option are
 * answered at once, on a machine without hugepages too. A message names the option, the value, and
 * what to do.
 */
#include "options.h"

#include "common/address.h"
#include "help.h"
#include "options_documents.h"

#include <rte_byteorder.h>
#include <rte_ether.h>

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define VNI_MAX   0xffffff
#define MTU_MIN   68 /* RFC 791 */
#define MBUFS_MIN 256
#define MBUFS_MAX (1 << 26)

/* Made up: AWS chooses them, and no receiver needs them. */
#define ENDPOINT_ID   UINT64_C(0x0e17d9018a5c2b64)
#define ATTACHMENT_ID UINT64_C(0x0a77ac8e3d1f5b92)

enum long_only {
	OPTION_ENI = 256,
	OPTION_TARGET,
	OPTION_IP_VERSION,
	OPTION_AFTER_REJECT,
	OPTION_SOURCE_ADDRESS,
	OPTION_TARGET_ADDRESS,
	OPTION_SOURCE_MAC,
	OPTION_TARGET_MAC,
	OPTION_VNI,
	OPTION_PACKET_LENGTH,
	OPTION_TARGET_MTU,
	OPTION_VXLAN_PORT,
	OPTION_SOURCE_PORT_BASE,
	OPTION_SOURCE_PORT_BITS,
	OPTION_SOURCE_PORT_HASH,
	OPTION_GENEVE,
	OPTION_GENEVE_PORT,
	OPTION_GWLB_ADDRESS,
	OPTION_ENDPOINT_ADDRESS,
	OPTION_MTU,
	OPTION_RATE,
	OPTION_LOOP,
	OPTION_AS_FAST,
	OPTION_FAULT,
	OPTION_SEED,
	OPTION_MBUFS,
	OPTION_SUMMARY,
};

static const struct option long_options[] = {
	{"rx", required_argument, NULL, 'r'},
	{"tx", required_argument, NULL, 't'},
	{"write", required_argument, NULL, 'w'},
	{"config", required_argument, NULL, 'c'},
	{"eni", required_argument, NULL, OPTION_ENI},
	{"target", required_argument, NULL, OPTION_TARGET},
	{"ip-version", required_argument, NULL, OPTION_IP_VERSION},
	{"after-reject", required_argument, NULL, OPTION_AFTER_REJECT},
	{"source-address", required_argument, NULL, OPTION_SOURCE_ADDRESS},
	{"target-address", required_argument, NULL, OPTION_TARGET_ADDRESS},
	{"source-mac", required_argument, NULL, OPTION_SOURCE_MAC},
	{"target-mac", required_argument, NULL, OPTION_TARGET_MAC},
	{"vni", required_argument, NULL, OPTION_VNI},
	{"packet-length", required_argument, NULL, OPTION_PACKET_LENGTH},
	{"target-mtu", required_argument, NULL, OPTION_TARGET_MTU},
	{"vxlan-port", required_argument, NULL, OPTION_VXLAN_PORT},
	{"source-port-base", required_argument, NULL, OPTION_SOURCE_PORT_BASE},
	{"source-port-bits", required_argument, NULL, OPTION_SOURCE_PORT_BITS},
	{"source-port-hash", required_argument, NULL, OPTION_SOURCE_PORT_HASH},
	{"geneve", no_argument, NULL, OPTION_GENEVE},
	{"geneve-port", required_argument, NULL, OPTION_GENEVE_PORT},
	{"gwlb-address", required_argument, NULL, OPTION_GWLB_ADDRESS},
	{"endpoint-address", required_argument, NULL, OPTION_ENDPOINT_ADDRESS},
	{"mtu", required_argument, NULL, OPTION_MTU},
	{"rate", required_argument, NULL, OPTION_RATE},
	{"loop", required_argument, NULL, OPTION_LOOP},
	{"as-fast", no_argument, NULL, OPTION_AS_FAST},
	{"fault", required_argument, NULL, OPTION_FAULT},
	{"seed", required_argument, NULL, OPTION_SEED},
	{"mbufs", required_argument, NULL, OPTION_MBUFS},
	{"autostop", required_argument, NULL, 'a'},
	{"summary", required_argument, NULL, OPTION_SUMMARY},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static bool
parse_mac(const char *option, const char *text, struct rte_ether_addr *mac)
{
	if (rte_ether_unformat_addr(text, mac) != 0)
		return cli_wrong("%s: '%s' is no MAC address: give one like 02:00:00:00:00:01",
			option, text);
	return true;
}

/* The addresses in the order of enum source_address: option, and where it goes. */
static const char *const address_options[SOURCE_ADDRESS_COUNT] = {
	"--source-address", "--target-address", "--gwlb-address", "--endpoint-address"};

static struct ms_ip *
address_of(struct ms_encap_options *encap, enum source_address which)
{
	struct ms_ip *const addresses[SOURCE_ADDRESS_COUNT] = {
		&encap->source, &encap->target, &encap->gwlb, &encap->endpoint};

	return addresses[which];
}

/* Sets the family too; settle_addresses() compares them. */
static bool
parse_address(struct source_options *o, enum source_address which, const char *text)
{
	if (address_parse(text, address_of(&o->encap, which), &o->families[which]))
		return true;
	return cli_wrong("%s: '%s' is no IP address: give one like 192.0.2.1 or 2001:db8::1",
		address_options[which], text);
}

static bool
parse_port(const char *option, const char *text, long long min, uint16_t *port)
{
	uint32_t value;

	if (!cli_number32(option, text, min, UINT16_MAX, &value))
		return false;
	*port = (uint16_t)value;
	return true;
}

static bool
parse_port_bits(const char *text, uint8_t *bits)
{
	uint32_t value;

	if (!cli_number32("--source-port-bits", text, 0, 16, &value))
		return false;
	*bits = (uint8_t)value;
	return true;
}

static bool
parse_port_hash(const char *text, uint8_t *hash)
{
	if (strcmp(text, "symmetric") == 0)
		*hash = MS_ENCAP_SYMMETRIC;
	else if (strcmp(text, "directed") == 0)
		*hash = MS_ENCAP_DIRECTED;
	else
		return cli_wrong("--source-port-hash: '%s' is no kind of hash: give symmetric, or "
				 "directed for ports that differ by direction",
			text);
	return true;
}

/* N[k|M|G][pps|bps] */
static bool
parse_rate(const char *text, struct source_options *o)
{
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits;
	uint64_t factor = 1;
	char number[16];

	o->rate_unit = SOURCE_RATE_NONE;
	switch (*unit) {
	case 'k':
		factor = 1000;
		break;
	case 'M':
		factor = 1000000;
		break;
	case 'G':
		factor = 1000000000;
		break;
	}
	if (factor != 1)
		unit++;
	if (*unit == '\0' || strcmp(unit, "pps") == 0)
		o->rate_unit = SOURCE_RATE_PACKETS;
	else if (strcmp(unit, "bps") == 0)
		o->rate_unit = SOURCE_RATE_BITS;
	if (digits == 0 || digits >= sizeof(number) || o->rate_unit == SOURCE_RATE_NONE)
		return cli_wrong(
			"--rate: '%s' is no rate: give one like 5000, 100kpps or 2Gbps", text);
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (!cli_number("--rate", number, 1, 1000000000, &o->rate))
		return false;
	o->rate *= factor;
	return true;
}

static bool
parse_write(const char *text, struct source_options *o)
{
	const char *dot = strrchr(text, '.');

	o->write = text;
	if (strcmp(text, "-") == 0 || (dot != NULL && strcmp(dot, ".pcapng") == 0))
		o->format = MS_CAPFILE_PCAPNG;
	else if (dot != NULL && strcmp(dot, ".pcap") == 0)
		o->format = MS_CAPFILE_PCAP;
	else
		return cli_wrong("--write: '%s' has no format: give a name that ends in .pcap or "
				 ".pcapng, or - for pcapng on standard output",
			text);
	return true;
}

static bool
parse_rx(const char *text, struct source_options *o)
{
	if (o->rx_n == RTE_DIM(o->rx))
		return cli_wrong("--rx: '%s' is one port too many: %u at most", text, o->rx_n);
	o->rx[o->rx_n++] = text;
	return true;
}

/* What stands in the headers of mirrored packets; getopt_long() lets no other option come here. */
static bool
parse_header_option(int option, const char *text, struct source_options *o)
{
	struct ms_encap_options *encap = &o->encap;

	switch (option) {
	case OPTION_SOURCE_ADDRESS:
		return parse_address(o, SOURCE_ADDRESS_SOURCE, text);
	case OPTION_TARGET_ADDRESS:
		return parse_address(o, SOURCE_ADDRESS_TARGET, text);
	case OPTION_GWLB_ADDRESS:
		return parse_address(o, SOURCE_ADDRESS_GWLB, text);
	case OPTION_ENDPOINT_ADDRESS:
		return parse_address(o, SOURCE_ADDRESS_ENDPOINT, text);
	case OPTION_SOURCE_MAC:
		o->source_mac = true;
		return parse_mac("--source-mac", text, &encap->source_mac);
	case OPTION_TARGET_MAC:
		o->target_mac = true;
		return parse_mac("--target-mac", text, &encap->target_mac);
	case OPTION_VNI:
		o->vni = true;
		return cli_number32("--vni", text, 0, VNI_MAX, &encap->vni);
	case OPTION_PACKET_LENGTH:
		return cli_number32(
			"--packet-length", text, 1, MS_LENGTH_MAX, &encap->packet_length);
	case OPTION_TARGET_MTU:
		o->target_mtu = true;
		return cli_number32("--target-mtu", text, 0, UINT16_MAX, &encap->target_mtu);
	case OPTION_VXLAN_PORT:
		return parse_port("--vxlan-port", text, 1, &encap->port);
	case OPTION_SOURCE_PORT_BASE:
		return parse_port("--source-port-base", text, 0, &encap->port_base);
	case OPTION_SOURCE_PORT_BITS:
		return parse_port_bits(text, &encap->port_bits);
	case OPTION_SOURCE_PORT_HASH:
		return parse_port_hash(text, &encap->hash);
	case OPTION_GENEVE:
		encap->geneve = true;
		return true;
	case OPTION_GENEVE_PORT:
		return parse_port("--geneve-port", text, 1, &encap->geneve_port);
	default:
		/* getopt_long() has said which option it is. */
		return cli_wrong("see mirrorsource --help for what there is");
	}
}

static bool
parse_option(int option, const char *text, struct source_options *o)
{
	switch (option) {
	case 'r':
		return parse_rx(text, o);
	case 't':
		o->tx = text;
		return true;
	case 'w':
		return parse_write(text, o);
	case 'a':
		return cli_autostop(text, &o->stop);
	case 'c':
		return options_add_config(o, text);
	case OPTION_ENI:
		return options_add_eni(o, text);
	case OPTION_TARGET:
		return options_add_target(o, text);
	case OPTION_IP_VERSION:
		return options_set_ip_version(o, text);
	case OPTION_AFTER_REJECT:
		return options_set_after_reject(o, text);
	case OPTION_MTU:
		return cli_number32("--mtu", text, MTU_MIN, UINT16_MAX, &o->mtu);
	case OPTION_RATE:
		return parse_rate(text, o);
	case OPTION_LOOP:
		o->loop = true;
		return cli_number("--loop", text, 0, INT64_MAX, &o->loops);
	case OPTION_AS_FAST:
		o->as_fast = true;
		o->loop = true;
		return true;
	case OPTION_FAULT:
		return fault_parse(text, &o->fault);
	case OPTION_SEED:
		o->fault.seeded = true;
		return cli_number("--seed", text, 0, INT64_MAX, &o->fault.seed);
	case OPTION_MBUFS:
		return cli_number32("--mbufs", text, MBUFS_MIN, MBUFS_MAX, &o->mbufs);
	case OPTION_SUMMARY:
		o->summary = text;
		return true;
	default:
		return parse_header_option(option, text, o);
	}
}

struct ms_ip
source_example_address(enum source_address which, uint8_t family)
{
	if (family == MS_FAMILY_V4)
		return (struct ms_ip){.lo = 0xc0000201 + which};
	return (struct ms_ip){.hi = UINT64_C(0x20010db800000000), .lo = 1 + which};
}

static bool
settle_addresses(struct source_options *o)
{
	const uint8_t *families = o->families;
	unsigned int given = 0;

	while (given < SOURCE_ADDRESS_COUNT && families[given] == MS_FAMILY_NONE)
		given++;
	o->encap.family = given < SOURCE_ADDRESS_COUNT ? families[given] : MS_FAMILY_V4;
	for (unsigned int i = 0; i < SOURCE_ADDRESS_COUNT; i++) {
		if (families[i] == MS_FAMILY_NONE)
			*address_of(&o->encap, i) = source_example_address(i, o->encap.family);
		else if (families[i] != o->encap.family)
			return cli_wrong("%s and %s: one is IPv4 and the other IPv6: give "
					 "addresses of one family",
				address_options[given], address_options[i]);
	}
	return true;
}

/* Options that ask for what the other ones rule out. */
static bool
check_headers(const struct source_options *o)
{
	const struct ms_encap_options *encap = &o->encap;
	uint32_t least = encap->family == MS_FAMILY_V4 ? MS_ENCAP_MTU_MIN_V4 : MS_ENCAP_MTU_MIN_V6;

	if (encap->target_mtu != 0 && encap->target_mtu < least)
		return cli_wrong(
			"--target-mtu %u: the headers over IPv%u leave no byte of a frame: "
			"give %u or more, or 0 for no limit",
			encap->target_mtu, encap->family, least);
	if (encap->geneve)
		return true;
	if (encap->geneve_port != 0)
		return cli_wrong("--geneve-port %u: give --geneve too, which it belongs to",
			encap->geneve_port);
	for (unsigned int i = SOURCE_ADDRESS_GWLB; i < SOURCE_ADDRESS_COUNT; i++) {
		if (o->families[i] != MS_FAMILY_NONE)
			return cli_wrong(
				"%s: give --geneve too, which it belongs to", address_options[i]);
	}
	return true;
}

/* What is sent without a copy can neither be changed nor wait, nor does a file need it. */
static bool
check_as_fast(const struct source_options *o)
{
	const char *other = NULL;

	if (o->rate_unit != SOURCE_RATE_NONE)
		other = "--rate";
	else if (o->fault.on)
		other = "--fault";
	else if (o->write != NULL)
		other = "--write";
	return !o->as_fast || other == NULL ||
	       cli_wrong("--as-fast and %s: give one of them, or --loop in place of --as-fast",
		       other);
}

static bool
check(struct source_options *o)
{
	if (o->tx == NULL && o->write == NULL)
		return cli_wrong("no output: give -- --write FILE or -- --tx PORT");
	if (o->tx != NULL && o->write != NULL)
		return cli_wrong("--tx %s and --write %s: give one of them", o->tx, o->write);
	if (o->mtu != 0 && o->tx == NULL)
		return cli_wrong(
			"--mtu %u: is that of the port of --tx, which is not given", o->mtu);
	if (o->fault.seeded && !o->fault.on)
		return cli_wrong("--seed: is that of --fault, which is not given");
	if (!check_as_fast(o) || !options_check_documents(o))
		return false;
	/* With documents each session has addresses of its own, and is checked for itself. */
	if (o->configs_n == 0 && (!settle_addresses(o) || !check_headers(o)))
		return false;
	if (o->configs_n == 0 && o->encap.geneve_port == 0)
		o->encap.geneve_port = SOURCE_GENEVE_PORT;
	return true;
}

/* Without "--" all arguments are the EAL's, but a question is answered. */
static enum source_options_result
answer(const char *text)
{
	if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
		fputs(source_help, stdout);
		return SOURCE_OPTIONS_DONE;
	}
	if (strcmp(text, "--version") == 0 || strcmp(text, "-V") == 0) {
		puts("mirrorsource " MS_VERSION);
		return SOURCE_OPTIONS_DONE;
	}
	return SOURCE_OPTIONS_RUN;
}

enum source_options_result
source_options_parse(struct source_options *options, int argc, char **argv, int *eal_argc)
{
	int separator = cli_eal_arguments(argc, argv);
	int option;

	*options = (struct source_options){
		.encap = {.port = 4789,
			.vni = 1,
			.port_base = MS_ENCAP_PORT_BASE,
			.port_bits = MS_ENCAP_PORT_BITS,
			.endpoint_id = ENDPOINT_ID,
			.attachment_id = ATTACHMENT_ID},
	};
	memset(&options->encap.target_mac, 0xff, sizeof(options->encap.target_mac));
	*eal_argc = separator;
	for (int i = 1; separator == argc && i < argc; i++) {
		if (answer(argv[i]) == SOURCE_OPTIONS_DONE)
			return SOURCE_OPTIONS_DONE;
	}
	if (separator < argc) {
		/* getopt_long() takes the place of "--" for the program's name. */
		argv += separator;
		argc -= separator;
		argv[0] = (char *)"mirrorsource";
	} else {
		argc = 1;
	}
	while ((option = getopt_long(argc, argv, "+r:t:w:c:a:hV", long_options, NULL)) != -1) {
		if (option == 'h' || option == 'V')
			return answer(option == 'h' ? "-h" : "-V");
		if (!parse_option(option, optarg, options))
			return SOURCE_OPTIONS_WRONG;
	}
	if (optind < argc) {
		cli_wrong("'%s' is no option: see mirrorsource --help for what there is",
			argv[optind]);
		return SOURCE_OPTIONS_WRONG;
	}
	return check(options) ? SOURCE_OPTIONS_RUN : SOURCE_OPTIONS_WRONG;
}
