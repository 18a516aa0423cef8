/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the golden files cannot show of the configuration reader: origins, ownership, files that
 * cannot be read, outputs that are added later, memory that runs out at any point, and large
 * accounts.
 */
#include "config/config_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

/* The linker puts these before the allocator: the one that counts down to 0 fails. */
static long allocations_left = -1;

static bool
allocation_fails(void)
{
	return allocations_left >= 0 && allocations_left-- == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *string);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *string);

void *
__wrap_malloc(size_t size)
{
	return allocation_fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return allocation_fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t size)
{
	return allocation_fails() ? NULL : __real_realloc(p, size);
}

char *
__wrap_strdup(const char *string)
{
	return allocation_fails() ? NULL : __real_strdup(string);
}

/* A file of its own for each test, filled and then read. */
static char path[] = "/tmp/config_test.XXXXXX";

static FILE *
begin_file(void)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	return file;
}

static void
write_file(const char *text)
{
	FILE *file = begin_file();

	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int
read_file(struct ms_config **config, struct ms_config_error *error)
{
	const char *files[] = {path};

	return ms_config_read(config, files, 1, error);
}

static struct ms_config *
read_text(const char *text)
{
	struct ms_config *config;
	struct ms_config_error error;

	write_file(text);
	if (read_file(&config, &error) != 0)
		fail_msg("%s", error.text);
	return config;
}

static int
make_path(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 ? -1 : close(fd);
}

static int
remove_path(void **state)
{
	return unlink(path);
}

/* One of everything. */
static const char everything[] =
	"{\n"
	"  \"Routes\": [{\"SessionId\": \"tms-1\", \"FilterId\": \"tmf-2\", \"Outputs\": "
	"[\"b\"]},\n"
	"    {\"VirtualNetworkId\": 9, \"Outputs\": [\"a\", \"b\"]}],\n"
	"  \"Outputs\": [{\"Name\": \"a\", \"Type\": \"pcapng\", \"Path\": \"a.pcapng\"},\n"
	"             {\"Name\": \"b\", \"Type\": \"port\", \"Port\": \"net_tap0\"}],\n"
	"  \"TrafficMirrorSessions\": [\n"
	"    {\"TrafficMirrorSessionId\": \"tms-2\", \"VirtualNetworkId\": 9,\n"
	"     \"Description\": \"\xc3\xa9\"}, {\"TrafficMirrorSessionId\": \"tms-1\",\n"
	"     \"TrafficMirrorTargetId\": \"tmt-1\", \"TrafficMirrorFilterId\": \"tmf-1\",\n"
	"     \"NetworkInterfaceId\": \"eni-1\", \"VirtualNetworkId\": 9, \"SessionNumber\": 2,\n"
	"     \"PacketLength\": 128}],\n"
	"  \"TrafficMirrorTargets\": [{\"TrafficMirrorTargetId\": \"tmt-1\",\n"
	"     \"NetworkInterfaceId\": \"eni-9\"}],\n"
	"  \"TrafficMirrorFilterRules\": [{\"TrafficMirrorFilterId\": \"tmf-2\",\n"
	"     \"TrafficMirrorFilterRuleId\": \"tmfr-1\", \"TrafficDirection\": \"egress\",\n"
	"     \"RuleNumber\": 5, \"RuleAction\": \"reject\"},\n"
	"    {\"TrafficMirrorFilterId\": \"tmf-2\",\n"
	"     \"TrafficMirrorFilterRuleId\": \"tmfr-1\", \"TrafficDirection\": \"egress\",\n"
	"     \"RuleNumber\": 5, \"RuleAction\": \"reject\"}],\n"
	"  \"TrafficMirrorFilters\": [{\"TrafficMirrorFilterId\": \"tmf-1\", \"Description\": "
	"\"d\",\n"
	"     \"NetworkServices\": [\"amazon-dns\"], \"IngressFilterRules\": [\n"
	"     {\"RuleNumber\": 2, \"RuleAction\": \"reject\"},\n"
	"     {\"RuleNumber\": 1, \"RuleAction\": \"accept\", \"Protocol\": 6,\n"
	"      \"SourceCidrBlock\": \"10.1.2.3/8\", \"SourcePortRange\": {\"ToPort\": 1023}}]}],\n"
	"  \"NetworkInterfaces\": [{\"NetworkInterfaceId\": \"eni-1\", \"VpcId\": \"vpc-1\",\n"
	"     \"MacAddress\": \"02:34:56:78:9A:bc\", \"PrivateIpAddress\": \"10.0.0.1\",\n"
	"     \"PrivateIpAddresses\": [{\"PrivateIpAddress\": \"10.0.0.2\"},\n"
	"       {\"PrivateIpAddress\": \"10.0.0.1\"}],\n"
	"     \"Ipv6Addresses\": [{\"Ipv6Address\": \"2001:db8::1\"}]}],\n"
	"  \"Vpcs\": [{\"VpcId\": \"vpc-1\", \"CidrBlock\": \"10.0.0.0/16\"}],\n"
	"  \"UnknownSession\": \"deliver\",\n"
	"  \"OuterFragments\": \"reassemble\",\n"
	"  \"Dedup\": {\"Scope\": \"session\", \"Memory\": \"1MiB\"}\n"
	"}\n";

static void
assert_origin(const struct ms_config *config, const struct ms_origin *origin, uint32_t line,
	uint32_t column)
{
	assert_ptr_equal(origin->file, config->files[0]);
	assert_int_equal(origin->line, line);
	assert_int_equal(origin->column, column);
}

static void
test_values(void **state)
{
	struct ms_config *config = read_text(everything);
	const struct ms_config_interface *interface = &config->interfaces[0];
	const struct ms_config_session *session = &config->sessions[1];
	const struct ms_filter *filter = &config->filters[session->filter];
	const struct ms_rule *rule = &filter->rules[0];

	assert_string_equal(filter->name, "tmf-1");
	assert_true(filter->amazon_dns);
	assert_int_equal(filter->rules_n, 2);
	assert_int_equal(rule->number, 1);
	assert_int_equal(rule->direction, MS_DIRECTION_INGRESS);
	assert_true(rule->accept);
	assert_int_equal(rule->protocol, 6);
	assert_int_equal(rule->src.family, MS_FAMILY_V4);
	assert_int_equal(rule->src.length, 8);
	assert_int_equal(rule->src.ip.lo, 0x0a000000);
	assert_int_equal(rule->dst.family, MS_FAMILY_NONE);
	assert_true(rule->sport.present);
	assert_int_equal(rule->sport.to, 1023);
	assert_false(rule->dport.present);
	assert_int_equal(filter->rules[1].protocol, MS_PROTO_ANY);

	assert_int_equal(config->filters_n, 2);
	assert_string_equal(config->filters[config->routes[0].filter].name, "tmf-2");
	assert_int_equal(config->filters[config->routes[0].filter].rules_n, 1);

	assert_int_equal(session->interface, 0);
	assert_int_equal(session->number, 2);
	assert_int_equal(session->packet_length, 128);
	assert_int_equal(config->outer_fragments, MS_FRAGMENTS_REASSEMBLE);
	assert_true(config->dedup.on);
	assert_int_equal(config->dedup.scope, MS_DEDUP_SESSION);
	assert_int_equal(config->dedup.window_ms, 50);
	assert_int_equal(config->dedup.memory, 1 << 20);
	assert_int_equal(config->sessions[0].filter, -1);
	assert_int_equal(config->sessions[0].interface, -1);
	assert_null(config->sessions[0].interface_id);

	assert_true(interface->mac == UINT64_C(0x023456789abc));
	assert_int_equal(interface->address.ip.lo, 0x0a000001);
	assert_int_equal(interface->address.length, 32);
	assert_int_equal(interface->addresses_n, 2);
	assert_int_equal(interface->addresses[1].ip.lo, 0x0a000002);
	assert_true(interface->addresses6[0].ip.hi == UINT64_C(0x20010db800000000));
	assert_int_equal(interface->addresses6[0].ip.lo, 1);
	assert_int_equal(interface->addresses6[0].length, 128);
	assert_string_equal(config->targets[0].type, "network-interface");

	assert_int_equal(config->routes[0].outputs, 2);
	assert_false(config->routes[0].has_vni);
	assert_int_equal(config->routes[1].outputs, 3);
	assert_true(config->routes[1].has_vni);
	assert_int_equal(config->routes[1].filter, -1);
	assert_int_equal(config->source_check, MS_SOURCE_OFF);
	assert_int_equal(config->unknown_session, MS_UNKNOWN_DELIVER);
	ms_config_free(config);
}

static void
test_origins(void **state)
{
	char name[sizeof(path)];
	const char *files[] = {name};
	struct ms_config *config;
	struct ms_config_error error;

	write_file(everything);
	memcpy(name, path, sizeof(path));
	assert_int_equal(ms_config_read(&config, files, 1, &error), 0);
	memset(name, 'x', sizeof(path) - 1); /* the name is copied */
	assert_string_equal(config->files[0], path);
	assert_int_equal(config->files_n, 1);
	assert_origin(config, &config->routes[0].origin, 2, 14);
	assert_origin(config, &config->routes[1].origin, 3, 5);
	assert_origin(config, &config->outputs[1].origin, 5, 14);
	assert_origin(config, &config->sessions[0].origin, 7, 5);
	assert_origin(config, &config->sessions[1].origin, 8, 27); /* characters, not bytes */
	ms_config_free(config);
}

/* IPv4 blocks, and what is nearly one, are what inet_pton() says. */
static void
test_blocks(void **state)
{
	static const char *const from[] = {"0.0.0.0/0", "10.75.158.0/24", "255.255.255.255/32",
		"192.168.100.200/8", "256.1.1.1/8", "1.2.3/24", "01.2.3.4/5", "1.2.3.4/032"};
	static const char bytes[] = "0123456789./ :";
	unsigned int seed = 4789, good = 0;
	struct in_addr v4;

	(void)state;
	for (unsigned int i = 0; i < 400000; i++) {
		struct ms_prefix prefix = {.family = MS_FAMILY_NONE};
		char text[32], *slash;
		bool theirs, ours;

		strcpy(text, from[i % 8]);
		for (unsigned int changes = i / 8 % 3; changes > 0; changes--)
			text[(unsigned int)rand_r(&seed) % strlen(text)] =
				bytes[(unsigned int)rand_r(&seed) % (sizeof(bytes) - 1)];
		ours = config_parse_cidr(text, &prefix) && prefix.family == MS_FAMILY_V4;
		slash = strchr(text, '/');
		theirs = slash != NULL && slash[1] != '\0' && strlen(slash + 1) <= 3 &&
		         strspn(slash + 1, "0123456789") == strlen(slash + 1) &&
		         atoi(slash + 1) <= 32;
		if (theirs) {
			*slash = '\0';
			theirs = inet_pton(AF_INET, text, &v4) == 1;
			*slash = '/';
		}
		if (ours != theirs)
			fail_msg("%s: %d", text, ours);
		if (!ours)
			continue;
		good++;
		assert_int_equal(prefix.length, atoi(slash + 1));
		assert_int_equal(prefix.ip.lo,
			prefix.length == 0 ? 0
					   : ntohl(v4.s_addr) & UINT32_MAX << (32 - prefix.length));
	}
	assert_in_range(good, 100000, 300000);
}

static void
test_nothing(void **state)
{
	struct ms_config *config;
	struct ms_config_error error;

	assert_int_equal(ms_config_read(&config, NULL, 0, &error), 0);
	assert_int_equal(config->sessions_n, 0);
	assert_int_equal(config->unknown_session, MS_UNKNOWN_DROP);
	ms_config_free(config);
	ms_config_free(NULL);
}

static void
assert_unreadable(const char *name, int status, const char *text)
{
	const char *files[] = {path, name};
	struct ms_config *config = (struct ms_config *)1;
	struct ms_config_error error;

	assert_int_equal(ms_config_read(&config, files, 2, &error), status);
	assert_null(config);
	assert_string_equal(error.text, text);
}

static void
test_unreadable(void **state)
{
	write_file(everything);
	assert_unreadable("/nonexistent.json", -ENOENT,
		"/nonexistent.json: No such file or directory; name a file that can be read");
	assert_unreadable("/", -EISDIR, "/: Is a directory; name a file that can be read");
	assert_unreadable("/dev/null", -EINVAL, "/dev/null: empty; write at least {}");
	assert_unreadable("", -ENOENT, ": No such file or directory; name a file that can be read");
}

/* A message that does not fit is cut, never longer. */
static void
test_long_message(void **state)
{
	struct ms_config *config;
	struct ms_config_error error;
	FILE *file = begin_file();

	fprintf(file, "{\"%02000d\": 1}", 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(read_file(&config, &error), -EINVAL);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
}

static char *
printed(const struct ms_config *config)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	assert_int_equal(ms_config_print(config, file), 0);
	assert_int_equal(fclose(file), 0);
	return text;
}

static void
test_print_io_error(void **state)
{
	struct ms_config *config = read_text(everything);
	FILE *full = fopen("/dev/full", "w");

	assert_non_null(full);
	assert_int_equal(ms_config_print(config, full), -EIO);
	fclose(full);
	ms_config_free(config);
}

static void
assert_refused(struct ms_config *config, const struct ms_config_output *output, const char *text)
{
	struct ms_config_error error;
	char *before = printed(config);
	char *after;

	assert_int_equal(ms_config_add_output(config, output, &error), -EINVAL);
	if (strstr(error.text, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", error.text, text);
	after = printed(config);
	assert_string_equal(after, before);
	free(before);
	free(after);
}

static void
test_add_output(void **state)
{
	struct ms_config *config = read_text(everything);
	char name[] = "written";
	char file[] = "written.pcap";
	char *port = file;
	struct ms_config_output output = {
		.name = name, .type = MS_OUTPUT_PCAP, .path = file, .snaplen = 96, .outer = true};
	struct ms_config_error error;
	const struct ms_config_output *added;

	assert_int_equal(ms_config_add_output(config, &output, &error), 0);
	added = &config->outputs[2];
	name[0] = 'W';
	file[0] = 'W';
	assert_int_equal(config->outputs_n, 3);
	assert_string_equal(added->name, "written");
	assert_string_equal(added->path, "written.pcap");
	assert_int_equal(added->ports_n, 0);
	assert_int_equal(added->snaplen, 96);
	assert_true(added->outer);
	assert_string_equal(added->origin.file, "the command line");

	/* There are routes, so it has one of its own, for everything. */
	assert_int_equal(config->routes_n, 3);
	assert_int_equal(config->routes[2].outputs, 1u << 2);
	assert_int_equal(config->routes[2].filter, -1);
	assert_false(config->routes[2].has_vni);
	assert_null(config->routes[2].session_id);

	name[0] = 'w';
	assert_refused(config, &output, "of this name is defined at the command line:0:0 already");
	name[0] = 'W';
	file[0] = 'w';
	assert_refused(
		config, &output, "belongs to output written of the command line:0:0 already");
	output = (struct ms_config_output){
		.name = name, .type = MS_OUTPUT_PORT, .ports = &port, .ports_n = 1};
	file[0] = '\xff';
	assert_refused(config, &output, "not UTF-8");
	ms_config_free(config);
}

static void
test_add_output_without_routes(void **state)
{
	struct ms_config *config = read_text("{}");
	char name[] = "aa";
	struct ms_config_output output = {.name = name, .type = MS_OUTPUT_NULL};
	struct ms_config_error error;

	for (uint32_t i = 0; i < MS_OUTPUTS_MAX; i++) {
		name[0] = (char)('a' + i % 26);
		name[1] = (char)('a' + i / 26);
		assert_int_equal(ms_config_add_output(config, &output, &error), 0);
	}
	name[0] = 'A';
	assert_refused(config, &output, "at most 32 are possible");
	assert_int_equal(config->outputs_n, MS_OUTPUTS_MAX);
	assert_int_equal(config->routes_n, 0);
	ms_config_free(config);
}

/* Lets allocation after allocation fail, until none does. */
static void
test_no_memory_to_read(void **state)
{
	struct ms_config *config;
	struct ms_config_error error;
	long failures = 0;
	int status;

	write_file(everything);
	for (;; failures++) {
		allocations_left = failures;
		status = read_file(&config, &error);
		allocations_left = -1;
		if (status == 0)
			break;
		assert_int_equal(status, -ENOMEM);
		assert_string_equal(error.text, "out of memory");
		assert_null(config);
	}
	assert_true(failures > 50);
	ms_config_free(config);
}

/*
 * What jansson is asked for: strings that are not plain, and what is wrong with bad JSON. It calls
 * some of its failures bad JSON.
 */
static void
test_no_memory_for_json(void **state)
{
	static const char *const texts[] = {everything, "{\"Outputs\": [}"};
	struct ms_config_error error;
	struct ms_config *config;
	long failures, left;
	int status;

	for (size_t i = 0; i < 2; i++) {
		write_file(texts[i]);
		json_set_alloc_funcs(__wrap_malloc, free);
		for (failures = 0;; failures++) {
			allocations_left = failures;
			status = read_file(&config, &error);
			left = allocations_left;
			allocations_left = -1;
			if (left > 0)
				break;
			if (status == 0) { /* the last one was not needed */
				ms_config_free(config);
				continue;
			}
			assert_true(error.text[0] != '\0');
			assert_null(config);
		}
		json_set_alloc_funcs(__real_malloc, free);
		assert_true(failures > 5);
		assert_int_equal(status, i == 0 ? 0 : -EINVAL);
		ms_config_free(config);
	}
}

static void
test_no_memory_to_print(void **state)
{
	struct ms_config *config = read_text(everything);
	FILE *file = fopen("/dev/null", "w");
	long failures = 0;
	int status;

	assert_non_null(file);
	fputc('\n', file); /* the stream has its buffer */
	json_set_alloc_funcs(__wrap_malloc, free);
	for (;; failures++) {
		allocations_left = failures;
		status = ms_config_print(config, file);
		allocations_left = -1;
		if (status == 0)
			break;
		assert_int_equal(status, -ENOMEM);
	}
	json_set_alloc_funcs(__real_malloc, free);
	assert_true(failures > 50);
	fclose(file);
	ms_config_free(config);
}

static void
test_no_memory_to_add(void **state)
{
	struct ms_config *config = read_text(everything);
	char *port = "net_tap1";
	struct ms_config_output output = {
		.name = "c", .type = MS_OUTPUT_PORT, .ports = &port, .ports_n = 1};
	struct ms_config_error error;
	char *before = printed(config);
	char *after;
	long failures = 0;
	int status;

	for (;; failures++) {
		allocations_left = failures;
		status = ms_config_add_output(config, &output, &error);
		allocations_left = -1;
		if (status == 0)
			break;
		assert_int_equal(status, -ENOMEM);
		after = printed(config);
		assert_string_equal(after, before);
		free(after);
	}
	assert_true(failures >= 2);
	assert_int_equal(config->outputs_n, 3);
	free(before);
	ms_config_free(config);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct ms_config *
read_timed(const char *what)
{
	struct ms_config *config;
	struct ms_config_error error;
	struct stat st;
	double start = now();
	int status = read_file(&config, &error);

	if (status != 0)
		fail_msg("%s", error.text);
	assert_int_equal(stat(path, &st), 0);
	print_message("%s: %.1f MB in %.3f s\n", what, (double)st.st_size / 1e6, now() - start);
	return config;
}

#define FILTERS      10000
#define FILTER_RULES 10
#define SESSIONS     100000

/* As AWS prints them, numbered backwards, so that everything has to be sorted. */
static void
test_many_filters(void **state)
{
	FILE *file = begin_file();
	struct ms_config *config;
	const struct ms_filter *filter;

	fputs("{\"TrafficMirrorFilters\": [", file);
	for (int i = 0; i < FILTERS; i++) {
		fprintf(file,
			"%s\n    {\n        \"TrafficMirrorFilterId\": \"tmf-%012xEXAMPLE\",\n"
			"        \"IngressFilterRules\": [",
			i == 0 ? "" : ",", FILTERS - i);
		for (int j = 0; j < FILTER_RULES; j++)
			fprintf(file,
				"%s\n            {\n"
				"                \"TrafficMirrorFilterRuleId\": "
				"\"tmfr-%08x%02xEXAMPLE\",\n"
				"                \"TrafficMirrorFilterId\": "
				"\"tmf-%012xEXAMPLE\",\n"
				"                \"TrafficDirection\": \"ingress\",\n"
				"                \"RuleNumber\": %d,\n"
				"                \"RuleAction\": \"accept\",\n"
				"                \"Protocol\": 6,\n"
				"                \"DestinationPortRange\": {\n"
				"                    \"FromPort\": %d,\n"
				"                    \"ToPort\": %d\n                },\n"
				"                \"DestinationCidrBlock\": \"10.%d.%d.0/24\",\n"
				"                \"SourceCidrBlock\": \"0.0.0.0/0\"\n"
				"            }",
				j == 0 ? "" : ",", FILTERS - i, j, FILTERS - i, 100 - j, i, i + j,
				i / 256, i % 256);
		fputs("\n        ],\n        \"EgressFilterRules\": []\n    }", file);
	}
	fputs("\n]}\n", file);
	assert_int_equal(fclose(file), 0);

	config = read_timed("10,000 filters of 10 rules");
	assert_int_equal(config->filters_n, FILTERS);
	for (int i = 0; i < FILTERS; i++) {
		filter = &config->filters[i];
		assert_int_equal(filter->rules_n, FILTER_RULES);
		assert_int_equal(filter->rules[0].number, 100 - FILTER_RULES + 1);
		assert_int_equal(filter->rules[FILTER_RULES - 1].number, 100);
		assert_int_equal(filter->rules[3].dst.ip.lo, 0x0a000000 + i * 256);
	}
	ms_config_free(config);
}

static void
test_many_sessions(void **state)
{
	FILE *file = begin_file();
	struct ms_config *config;
	const struct ms_config_session *session;

	fputs("{\"TrafficMirrorSessions\": [", file);
	for (int i = 0; i < SESSIONS; i++)
		fprintf(file,
			"%s\n    {\n        \"TrafficMirrorSessionId\": \"tms-%012xEXAMPLE\",\n"
			"        \"TrafficMirrorTargetId\": \"tmt-07f75d8feeEXAMPLE\",\n"
			"        \"TrafficMirrorFilterId\": \"tmf-%012xEXAMPLE\",\n"
			"        \"NetworkInterfaceId\": \"eni-%012xEXAMPLE\",\n"
			"        \"OwnerId\": \"111122223333\",\n"
			"        \"SessionNumber\": 1,\n        \"VirtualNetworkId\": %d,\n"
			"        \"Tags\": []\n    }",
			i == 0 ? "" : ",", SESSIONS - i, i % FILTERS, SESSIONS - i, i / 2);
	fputs("\n],\n\"TrafficMirrorFilters\": [", file);
	for (int i = 0; i < FILTERS; i++)
		fprintf(file, "%s{\"TrafficMirrorFilterId\": \"tmf-%012xEXAMPLE\"}",
			i == 0 ? "" : ",", i);
	fputs("],\n\"NetworkInterfaces\": [", file);
	for (int i = 1; i <= SESSIONS; i++)
		fprintf(file,
			"%s{\"NetworkInterfaceId\": \"eni-%012xEXAMPLE\", "
			"\"PrivateIpAddress\": \"10.%d.%d.%d\"}",
			i == 1 ? "" : ",", i, i >> 16, i >> 8 & 255, i & 255);
	fputs("]}\n", file);
	assert_int_equal(fclose(file), 0);

	config = read_timed("100,000 sessions and interfaces");
	assert_int_equal(config->sessions_n, SESSIONS);
	for (int i = 0; i < SESSIONS; i++) {
		session = &config->sessions[i];
		assert_int_equal(session->filter, i % FILTERS);
		assert_int_equal(session->interface, SESSIONS - 1 - i);
		assert_int_equal(session->origin.line, 2 + 10 * i);
	}
	ms_config_free(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_origins),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_long_message),
		cmocka_unit_test(test_print_io_error),
		cmocka_unit_test(test_add_output),
		cmocka_unit_test(test_add_output_without_routes),
		cmocka_unit_test(test_no_memory_to_read),
		cmocka_unit_test(test_no_memory_for_json),
		cmocka_unit_test(test_no_memory_to_print),
		cmocka_unit_test(test_no_memory_to_add),
		cmocka_unit_test(test_many_filters),
		cmocka_unit_test(test_many_sessions),
	};

	return cmocka_run_group_tests(tests, make_path, remove_path);
}
