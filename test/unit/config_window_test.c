/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading files through small windows, element by element, against reading them as a whole: both
 * must come to the same configuration, with the same origins, or to the same message. Files are
 * those of a table as they are, and with each byte changed in some ways.
 */
#include "config/config_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/config_window_test.XXXXXX";

/* As AWS prints them, before, between and behind what is ours. */
static const char pretty[] =
	"{\n"
	"    \"SourceCheck\": \"strict\",\n"
	"    \"Outputs\": [{\"Name\": \"a\", \"Type\": \"null\"}],\n"
	"    \"TrafficMirrorFilters\": [\n"
	"        {\n"
	"            \"TrafficMirrorFilterId\": \"tmf-1\",\n"
	"            \"IngressFilterRules\": [\n"
	"                {\n"
	"                    \"TrafficMirrorFilterRuleId\": \"tmfr-1\",\n"
	"                    \"TrafficMirrorFilterId\": \"tmf-1\",\n"
	"                    \"TrafficDirection\": \"ingress\",\n"
	"                    \"RuleNumber\": 10,\n"
	"                    \"RuleAction\": \"accept\",\n"
	"                    \"Protocol\": 6,\n"
	"                    \"DestinationPortRange\": {\"FromPort\": 80, \"ToPort\": 443},\n"
	"                    \"DestinationCidrBlock\": \"10.0.0.0/8\",\n"
	"                    \"Description\": \"d\xc3\xa4s \\u00e4\",\n"
	"                    \"Tags\": []\n"
	"                }\n"
	"            ],\n"
	"            \"EgressFilterRules\": [],\n"
	"            \"NetworkServices\": [\"amazon-dns\"],\n"
	"            \"Description\": \"\xe2\x82\xac\"\n"
	"        },\n"
	"        {\n"
	"            \"TrafficMirrorFilterId\": \"tmf-2\",\n"
	"            \"Description\": null\n"
	"        }\n"
	"    ],\n"
	"    \"Routes\": [{\"Outputs\": [\"a\"], \"FilterId\": \"tmf-3\"}],\n"
	"    \"TrafficMirrorFilterRules\": [\n"
	"        {\"TrafficMirrorFilterRuleId\": \"tmfr-2\", \"TrafficMirrorFilterId\": "
	"\"tmf-2\",\n"
	"         \"TrafficDirection\": \"egress\", \"RuleNumber\": 2, \"RuleAction\": "
	"\"reject\"},\n"
	"        {\"TrafficMirrorFilterRuleId\": \"tmfr-3\", \"TrafficMirrorFilterId\": "
	"\"tmf-3\",\n"
	"         \"TrafficDirection\": \"egress\", \"RuleNumber\": 1, \"RuleAction\": "
	"\"accept\",\n"
	"         \"SourceCidrBlock\": \"2001:db8::/32\"}\n"
	"    ],\n"
	"    \"TrafficMirrorSessions\": [\n"
	"        {\"TrafficMirrorSessionId\": \"tms-1\", \"VirtualNetworkId\": 1},\n"
	"        {\"TrafficMirrorSessionId\": \"tms-2\", \"VirtualNetworkId\": 2,\n"
	"         \"TrafficMirrorFilterId\": \"tmf-3\"}\n"
	"    ]\n"
	"}\n";

/* On one line, and the same rule with its filter and by itself. */
static const char compact[] =
	"{\"TrafficMirrorFilters\":[{\"TrafficMirrorFilterId\":\"tmf-1\",\"EgressFilterRules\":[{"
	"\"TrafficMirrorFilterRuleId\":\"tmfr-\xc3\xa4\",\"RuleNumber\":1,\"RuleAction\":"
	"\"accept\"}]}"
	",{\"TrafficMirrorFilterId\":\"tmf-2\"}],\"TrafficMirrorSessions\":[{"
	"\"TrafficMirrorSessionId\":\"tms-1\",\"VirtualNetworkId\":1}],"
	"\"TrafficMirrorFilterRules\":[{"
	"\"TrafficMirrorFilterRuleId\":\"tmfr-\xc3\xa4\",\"TrafficMirrorFilterId\":\"tmf-1\","
	"\"TrafficDirection\":\"egress\",\"RuleNumber\":1,\"RuleAction\":\"accept\"}],"
	"\"NetworkInterfaces\":[{\"NetworkInterfaceId\":\"eni-1\"}]}";

static const char *const texts[] = {
	pretty,
	compact,
	"{\"TrafficMirrorFilters\": []}",
	"{\"TrafficMirrorFilters\": null, \"TrafficMirrorFilterRules\": [ ]}",
	"{\"TrafficMirrorFilters\": [1234567890]}",
	"{\"TrafficMirrorFilters\": [{}, {}]}",
	"{\"TrafficMirrorFilters\": [[{\"TrafficMirrorFilterId\": \"tmf-1\"}]]}",
	"[{\"TrafficMirrorFilters\": []}]",
	"{\"Outputs\": {\"TrafficMirrorFilters\": []}}",
};

static void
write_file(const char *text, size_t length)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static void
print_origin(FILE *out, const struct ms_origin *origin)
{
	fprintf(out, "%s:%u:%u\n", origin->file, origin->line, origin->column);
}

/* The canonical form and all origins, or the message; to be freed. */
static char *
outcome(size_t window)
{
	const char *files[] = {path};
	struct ms_config_error error;
	struct ms_config *config;
	size_t printed;
	char *text;
	FILE *out = open_memstream(&text, &printed);
	int rc = config_read_window(&config, files, 1, window, &error);

	assert_non_null(out);
	if (rc != 0) {
		assert_null(config);
		fprintf(out, "%d: %s", rc, error.text);
	} else {
		assert_int_equal(ms_config_print(config, out), 0);
		for (uint32_t i = 0; i < config->sessions_n; i++)
			print_origin(out, &config->sessions[i].origin);
		for (uint32_t i = 0; i < config->interfaces_n; i++)
			print_origin(out, &config->interfaces[i].origin);
		for (uint32_t i = 0; i < config->outputs_n; i++)
			print_origin(out, &config->outputs[i].origin);
		for (uint32_t i = 0; i < config->routes_n; i++)
			print_origin(out, &config->routes[i].origin);
	}
	assert_int_equal(fclose(out), 0);
	ms_config_free(config);
	return text;
}

/* True if it is a configuration. */
static bool
agree(const char *text, size_t length, const size_t *windows, size_t windows_n)
{
	bool good;
	char *whole;

	write_file(text, length);
	whole = outcome(0);
	for (size_t i = 0; i < windows_n; i++) {
		char *pieces = outcome(windows[i]);

		if (strcmp(whole, pieces) != 0)
			fail_msg("window %zu of %s\n%s\n%s", windows[i], text, whole, pieces);
		free(pieces);
	}
	good = whole[0] == '{';
	free(whole);
	return good;
}

static void
test_windows(void **state)
{
	static const size_t windows[] = {1, 2, 3, 7, 16, 61, 100, 333, 1000, 100000};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_true(agree(texts[i], strlen(texts[i]), windows,
				    sizeof(windows) / sizeof(windows[0])) == (i < 4));
}

static void
test_beginnings(void **state)
{
	static const size_t windows[] = {40, 100000};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (size_t n = 1; n < strlen(texts[i]); n++)
			assert_false(agree(texts[i], n, windows, 2) && i != 0);
}

static void
test_changed(void **state)
{
	static const char bytes[] = "\0\"\\{}[],:19 n\n\xc3";
	unsigned int seed = 4789, good = 0, n = 0;
	size_t windows[1], length;
	char text[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		length = strlen(texts[i]);
		assert_true(length < sizeof(text));
		for (size_t at = 0; at < length; at++) {
			for (int b = 0; b < 3; b++) {
				memcpy(text, texts[i], length + 1);
				text[at] = bytes[(unsigned int)rand_r(&seed) % (sizeof(bytes) - 1)];
				windows[0] = 1 + (unsigned int)rand_r(&seed) % 200;
				good += agree(text, length, windows, 1);
				n++;
			}
		}
	}
	assert_in_range(good, n / 20, n - n / 4);
}

static size_t
repeat(char *to, const char *text, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		to += sprintf(to, "%s", text);
	return n * strlen(text);
}

/* Much more text than a window behind a list that is taken, in which lines are counted. */
static void
test_long(void **state)
{
	static const size_t windows[] = {1, 100, 4096};
	char *text = malloc(1 << 20), *p = text;

	(void)state;
	assert_non_null(text);
	for (int twice = 0; twice < 2; twice++) {
		p = text;
		p += sprintf(p, "{\"TrafficMirrorFilters\": [%s", twice ? "\n" : "");
		for (int i = 0; i < 500; i++)
			p += sprintf(p,
				"%s{\"TrafficMirrorFilterId\": \"tmf-%d\", \"Description\": "
				"\"\xc3\xa4\"}",
				i == 0  ? ""
				: twice ? ",\n"
					: ",",
				i);
		p += sprintf(p, "], \"TrafficMirrorSessions\": [");
		for (int i = 0; i < 100; i++)
			p += sprintf(p,
				"%s{\"TrafficMirrorSessionId\": \"tms-%d\", \"VirtualNetworkId\": "
				"%d}",
				i == 0 ? "" : ", ", i, i);
		p += sprintf(p, "]}");
		p += repeat(p, "\n", 5000);
		assert_true(agree(text, (size_t)(p - text), windows, 3));
	}
	free(text);
}

/* What is no file is read as a whole, and once. */
static void
test_pipe(void **state)
{
	char name[32];
	const char *files[] = {path, name};
	struct ms_config_error error;
	struct ms_config *config;
	int ends[2];

	(void)state;
	for (int bad = 0; bad < 2; bad++) {
		/* what is wrong is seen when both have been read */
		const char *text =
			bad ? "{\"TrafficMirrorFilters\": [{\"TrafficMirrorFilterId\": \"tmf-2\"}]}"
			    : "{\"TrafficMirrorFilters\": [{\"TrafficMirrorFilterId\": "
			      "\"tmf-4\"}]}";

		write_file(pretty, strlen(pretty));
		assert_int_equal(pipe(ends), 0);
		assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
		close(ends[1]);
		snprintf(name, sizeof(name), "/dev/fd/%d", ends[0]);
		assert_int_equal(ms_config_read(&config, files, 2, &error), bad ? -EINVAL : 0);
		close(ends[0]);
		if (bad) {
			assert_non_null(strstr(error.text, ":1:53: "));
			assert_non_null(strstr(error.text, ":25:9 "));
			continue;
		}
		assert_int_equal(config->filters_n, 4);
		ms_config_free(config);
	}
}

static int
make_path(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int
remove_path(void **state)
{
	(void)state;
	return unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_beginnings),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_pipe),
	};

	return cmocka_run_group_tests(tests, make_path, remove_path);
}
