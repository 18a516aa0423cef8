/* SPDX-License-Identifier: BSD-3-Clause */
/* See ruleset_fixture.h. */
#include "ruleset_fixture.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_byteorder.h>

#include "filter/ms_filter_lookup.h"
#include "ruleset/ms_ruleset_ref.h"

struct ms_session_registry *test_registry;

int
test_rules_setup(void **state)
{
	test_registry = ms_session_registry_create();
	return test_registry == NULL ? -1 : 0;
}

int
test_rules_teardown(void **state)
{
	ms_session_registry_free(test_registry);
	return 0;
}

/* Copies a key or value from behind its opening quote, written out if it is short for another.
 * Returns where it ends. */
static const char *
copy_word(FILE *file, const char *word)
{
	static const char *const longer[][2] = {
		{"Sessions", "TrafficMirrorSessions"},
		{"Session", "TrafficMirrorSessionId"},
		{"Vni", "VirtualNetworkId"},
		{"Filters", "TrafficMirrorFilters"},
		{"Filter", "TrafficMirrorFilterId"},
		{"Eni", "NetworkInterfaceId"},
		{"Ingress", "IngressFilterRules"},
		{"Egress", "EgressFilterRules"},
		{"Number", "RuleNumber"},
		{"Action", "RuleAction"},
		{"Ports", "DestinationPortRange"},
	};
	size_t n = 0;

	/* no library's search: with its strict checks ASan would measure the whole text each time
	 */
	while (word[n] != '\'' && word[n] != '\0')
		n++;
	for (unsigned int i = 0; i < RTE_DIM(longer); i++) {
		if (n == strlen(longer[i][0]) && memcmp(word, longer[i][0], n) == 0) {
			fprintf(file, "\"%s\"", longer[i][1]);
			return word + n;
		}
	}
	fputc('"', file);
	fwrite(word, 1, n, file);
	fputc('"', file);
	return word + n;
}

struct ms_config *
test_config(const char *json)
{
	char path[] = "/tmp/ruleset_test.XXXXXX";
	const char *files[] = {path};
	FILE *file = fdopen(mkstemp(path), "w");
	struct ms_config_error error;
	struct ms_config *config;
	int rc;

	assert_non_null(file);
	for (; *json != '\0'; json++) {
		if (*json == '\'')
			json = copy_word(file, json + 1);
		else
			fputc(*json, file);
	}
	assert_int_equal(fclose(file), 0);
	rc = ms_config_read(&config, files, 1, &error);
	unlink(path);
	if (rc != 0)
		fail_msg("%s", error.text);
	return config;
}

struct ms_ruleset *
test_rules(const char *json, uint32_t readers_n)
{
	struct ms_config *config = test_config(json);
	struct ms_config_error error;
	struct ms_ruleset *ruleset;

	if (ms_ruleset_compile(&ruleset, config, test_registry, readers_n, &error) != 0)
		fail_msg("%s", error.text);
	return ruleset;
}

struct ms_ip
test_address(const char *text, uint8_t *family)
{
	struct in_addr v4;
	rte_be64_t v6[2];

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*family = MS_FAMILY_V4;
		return (struct ms_ip){.lo = rte_be_to_cpu_32(v4.s_addr)};
	}
	assert_int_equal(inet_pton(AF_INET6, text, v6), 1);
	*family = MS_FAMILY_V6;
	return (struct ms_ip){rte_be_to_cpu_64(v6[0]), rte_be_to_cpu_64(v6[1])};
}

/* What the readable counterpart says must be the same, wherever there is room to learn. */
static void
check_ref(
	const struct ms_ruleset *ruleset, const struct ms_packet *asked, const struct ms_packet *p)
{
	struct ms_session_ref ref =
		ms_session_ref(ruleset->config, asked->vni, asked->source, asked->source_family);
	const struct ms_session_info *info;
	struct ms_policy_ref policy;
	struct ms_verdict verdict;

	if (ms_session_count(test_registry) == MS_SESSIONS_MAX)
		return;
	if (ref.fate != MS_FATE_NONE) {
		assert_int_equal(p->fate, ref.fate);
		return;
	}
	info = ms_session_info(test_registry, p->session);
	assert_int_equal(info->vni, asked->vni);
	assert_int_equal(info->learned, ref.session == NULL);
	if (ref.session != NULL)
		assert_string_equal(info->name, ref.session->id);
	assert_int_equal(ms_policy_ref_init(&policy, ruleset->config), 0);
	ms_policy_ref_fill(&policy, ref.session, asked->vni);
	verdict =
		ms_filter_ref(&policy.policy, &p->key, (enum ms_direction)p->direction, NULL, NULL);
	assert_int_equal(p->fate, verdict.fate);
	assert_int_equal(p->outputs, verdict.outputs);
	ms_policy_ref_fini(&policy);
}

struct ms_packet
test_ask(const struct ms_ruleset *ruleset, const char *source, uint32_t vni, uint16_t port)
{
	struct ms_packet p = {.vni = vni}, asked;

	p.source = test_address(source, &p.source_family);
	asked = p;
	ms_ruleset_session_burst(ruleset, test_registry, &p, 1);
	p.direction = MS_DIRECTION_INGRESS;
	p.key = (struct ms_key){
		.src.lo = 0xc0000201,
		.dst.lo = 0xc6336401,
		.sport = 1000,
		.dport = port,
		.proto = 17,
		.has = MS_HAS_PROTO | MS_HAS_SRC | MS_HAS_DST | MS_HAS_SPORT | MS_HAS_DPORT,
		.family = MS_FAMILY_V4,
	};
	ms_filter_burst(ruleset->base, &p, 1, ruleset->hits[0]);
	check_ref(ruleset, &asked, &p);
	return p;
}

uint32_t
test_outputs(const struct ms_ruleset *ruleset, const char *source, uint32_t vni, uint16_t port,
	const char *session)
{
	struct ms_packet p = test_ask(ruleset, source, vni, port);

	if (p.fate != MS_FATE_NONE)
		fail_msg("VNI %u from %s: %s", vni, source, ms_fate_name((enum ms_fate)p.fate));
	assert_true(p.session < ms_session_count(test_registry));
	assert_string_equal(ms_session_info(test_registry, p.session)->name, session);
	return p.outputs;
}

enum ms_fate
test_fate(const struct ms_ruleset *ruleset, const char *source, uint32_t vni, uint16_t port)
{
	return (enum ms_fate)test_ask(ruleset, source, vni, port).fate;
}
