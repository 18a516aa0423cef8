/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ruleset, beyond what it decides (ruleset_test.c): the hits of its rules, from one ruleset to the
 * next; that its tables can be moved; and what a large account costs.
 */
#include "ruleset_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/ms_filter_lookup.h"

#define ANYWHERE "203.0.113.9"

#define SESSION                                    \
	"'Outputs':[{'Name':'o0','Type':'null'}]," \
	"'Sessions':[{'Session':'a','Vni':1,'Filter':'f'}]"

/* A rule for UDP: its number and action, and the port. */
#define RULE(number, action, port)                                    \
	"{'Number':" #number ",'Action':'" #action "','Protocol':17," \
	"'Ports':{'FromPort':" #port ",'ToPort':" #port "}}"

/* A first ruleset, and another that has some of its rules, elsewhere and with other words. */
/* clang-format off */
#define COUNTED                                                              \
	"{" SESSION ",'Filters':["                                           \
	"{'Filter':'e','Ingress':[" RULE(10, accept, 53) "]},"               \
	"{'Filter':'f','NetworkServices':['amazon-dns'],'Ingress':["         \
	RULE(10, accept, 53) "," RULE(20, reject, 80) ","                    \
	RULE(30, accept, 443) "],'Egress':[" RULE(10, accept, 53) "]}]}"
#define CHANGED                                                              \
	"{" SESSION ",'Filters':["                                           \
	"{'Filter':'f','NetworkServices':['amazon-dns'],'Ingress':["         \
	RULE(5, accept, 7) "," RULE(20, accept, 81) ","                      \
	RULE(30, accept, 443) "," RULE(40, accept, 53) "],"                  \
	"'Egress':[" RULE(20, accept, 7) "]},"                               \
	"{'Filter':'a','Ingress':[" RULE(20, accept, 53) "]}]}"
/* clang-format on */

/* Hits of a rule: by filter id, direction and number. Fails if there is no such rule. */
static uint64_t
hits(const struct ms_ruleset *r, const char *filter, enum ms_direction direction, uint16_t number)
{
	const struct ms_config *config = r->config;
	uint64_t *rules = calloc(r->rules_n + 1, sizeof(*rules));
	uint64_t *services = calloc(config->filters_n + 1, sizeof(*services));
	uint64_t found = UINT64_MAX;

	ms_ruleset_count(r, rules, services);
	for (uint32_t f = 0; f < config->filters_n; f++) {
		const struct ms_filter *this = &config->filters[f];

		if (strcmp(this->name, filter) != 0)
			continue;
		if (number == 0)
			found = services[f];
		for (uint32_t i = 0; i < this->rules_n; i++) {
			if (this->rules[i].direction == direction &&
				this->rules[i].number == number)
				found = rules[r->rules_first[f] + i];
		}
	}
	free(rules);
	free(services);
	assert_true(found != UINT64_MAX);
	return found;
}

static void
ask_times(const struct ms_ruleset *r, uint16_t port, unsigned int times)
{
	while (times-- > 0)
		test_ask(r, ANYWHERE, 1, port);
}

#define IN  MS_DIRECTION_INGRESS
#define OUT MS_DIRECTION_EGRESS

static struct ms_ruleset *
counted(void)
{
	return test_rules(COUNTED, 2);
}

static void
test_hits(void **state)
{
	struct ms_ruleset *r = counted();
	struct ms_packet p;

	assert_int_equal(r->rules_n, 5);
	ask_times(r, 53, 5);
	ask_times(r, 80, 3);
	ask_times(r, 443, 2);
	ask_times(r, 9, 7); /* no rule */
	assert_int_equal(hits(r, "f", IN, 10), 5);
	assert_int_equal(hits(r, "f", IN, 20), 3);
	assert_int_equal(hits(r, "f", IN, 30), 2);
	assert_int_equal(hits(r, "f", OUT, 10), 0);
	assert_int_equal(hits(r, "f", MS_DIRECTION_UNKNOWN, 0), 0);
	assert_int_equal(hits(r, "e", IN, 10), 0);

	/* to the resolver; and by the second reader */
	p = test_ask(r, ANYWHERE, 1, 53);
	p.key.dst.lo = 0xa9fea9fd;
	for (unsigned int i = 0; i < 4; i++) {
		p.fate = MS_FATE_NONE;
		ms_filter_burst(r->base, &p, 1, r->hits[1]);
	}
	p.key.dst.lo = 1;
	p.fate = MS_FATE_NONE;
	p.direction = OUT;
	ms_filter_burst(r->base, &p, 1, r->hits[1]);
	assert_int_equal(hits(r, "f", IN, 10), 6);
	assert_int_equal(hits(r, "f", OUT, 10), 1);
	assert_int_equal(hits(r, "f", MS_DIRECTION_UNKNOWN, 0), 4);
	ms_ruleset_free(r);
}

/*
 * Published again and again, counts go on for a rule of the same filter, direction and number,
 * wherever it now stands and whatever it now says.
 */
static void
test_inherited(void **state)
{
	struct ms_ruleset_cell cell;
	const struct ms_ruleset *now;
	struct ms_packet p;

	assert_int_equal(ms_ruleset_cell_init(&cell, counted(), 2), 0);
	now = ms_ruleset_get(&cell);
	ask_times(now, 53, 5);
	ask_times(now, 80, 3);
	ask_times(now, 443, 2);
	p = test_ask(now, ANYWHERE, 1, 53);
	p.fate = MS_FATE_NONE;
	p.key.dst.lo = 0xa9fea9fd;
	ms_filter_burst(now->base, &p, 1, now->hits[1]);

	assert_int_equal(ms_ruleset_publish(&cell, test_rules(CHANGED, 2)), 0);
	now = ms_ruleset_get(&cell);
	assert_int_equal(hits(now, "f", IN, 5), 0);
	assert_int_equal(hits(now, "f", IN, 20), 3);
	assert_int_equal(hits(now, "f", IN, 30), 2);
	assert_int_equal(hits(now, "f", IN, 40), 0);
	assert_int_equal(hits(now, "f", OUT, 20), 0);
	assert_int_equal(hits(now, "f", MS_DIRECTION_UNKNOWN, 0), 1);
	assert_int_equal(hits(now, "a", IN, 20), 0);
	ask_times(now, 443, 10);

	assert_int_equal(ms_ruleset_publish(&cell, counted()), 0);
	now = ms_ruleset_get(&cell);
	assert_int_equal(hits(now, "f", IN, 10), 0); /* gone for a while: it starts anew */
	assert_int_equal(hits(now, "f", IN, 20), 3);
	assert_int_equal(hits(now, "f", IN, 30), 12);
	assert_int_equal(hits(now, "f", OUT, 10), 0);
	assert_int_equal(hits(now, "f", MS_DIRECTION_UNKNOWN, 0), 1);
	ms_ruleset_cell_fini(&cell);
}

#define PORTS 500

/* The tables mean the same wherever they lie. */
static void
test_relocatable(void **state)
{
	static struct ms_packet before[PORTS];
	struct ms_ruleset *r = counted(), moved = *r;
	uint8_t *copy = aligned_alloc(64, RTE_CACHE_LINE_ROUNDUP(r->head->size));

	memcpy(copy, r->base, r->head->size);
	moved.base = copy;
	moved.head = (const struct ms_ruleset_head *)(copy + ((const uint8_t *)r->head - r->base));
	for (uint16_t port = 1; port < PORTS; port++)
		before[port] = test_ask(r, ANYWHERE, 1, port);
	memset(r->base, 0xff, r->head->size); /* nothing may look there any more */
	for (uint16_t port = 1; port < PORTS; port++) {
		struct ms_packet p = test_ask(&moved, ANYWHERE, 1, port);

		assert_int_equal(p.fate, before[port].fate);
		assert_int_equal(p.outputs, before[port].outputs);
		assert_int_equal(p.leaf, before[port].leaf);
		assert_int_equal(p.session, before[port].session);
	}
	free(copy);
	ms_ruleset_free(r);
}

#define ACCOUNT     10000u
#define MEMORY_MOST (64u << 20)

/* As many sessions and filters as an account may have, each filter with its ten rules. */
static char *
large_account(void)
{
	size_t size;
	char *json;
	FILE *out = open_memstream(&json, &size);

	fputs("{'Outputs':[{'Name':'o0','Type':'null'}],'Sessions':[", out);
	for (uint32_t i = 0; i < ACCOUNT; i++)
		fprintf(out,
			"%s{'Session':'s%u','Vni':%u,"
			"'Filter':'f%u'}",
			i == 0 ? "" : ",", i, i, i);
	fputs("],'Filters':[", out);
	for (uint32_t i = 0; i < ACCOUNT; i++) {
		fprintf(out, "%s{'Filter':'f%u','Ingress':[", i == 0 ? "" : ",", i);
		for (uint32_t n = 1; n <= 10; n++)
			fprintf(out,
				"%s{'Number':%u,'Action':'%s','Protocol':%u,"
				"'SourceCidrBlock':'%u.%u.%u.0/%u',"
				"'Ports':{'FromPort':%u,'ToPort':%u}}",
				n == 1 ? "" : ",", n, n % 3 == 0 ? "reject" : "accept",
				n % 2 == 0 ? 6 : 17, n < 10 ? 192 : 0, n < 10 ? i % 256 : 0,
				n < 10 ? n : 0, n < 10 ? 24 : 0, i % 1000 + n, i % 1000 + n * 100);
		fputs("]}", out);
	}
	fputs("]}", out);
	fclose(out);
	return json;
}

static void
test_memory(void **state)
{
	char *json = large_account();
	struct ms_ruleset *r = test_rules(json, 1);

	print_message("%u sessions, %u filters, %u rules: %u policies in %zu bytes, %u leaves, "
		      "compiled in %.0f ms\n",
		ACCOUNT, ACCOUNT, r->rules_n, r->policies_n, (size_t)r->head->size,
		r->leaves.leaves_n, (double)r->compile_ns / 1e6);
	assert_int_equal(r->policies_n, ACCOUNT);
	assert_true(r->head->size < MEMORY_MOST);
	for (uint32_t i = 0; i < ACCOUNT; i += 7) {
		char name[16];

		snprintf(name, sizeof(name), "s%u", i);
		/* no range of ports begins at 1, and no rule is for all */
		assert_int_equal(test_fate(r, ANYWHERE, i, 1), MS_FATE_FILTER_DEFAULT);
		assert_string_equal(
			ms_session_info(test_registry, test_ask(r, ANYWHERE, i, 1).session)->name,
			name);
	}
	free(json);
	ms_ruleset_free(r);
}

/* A set that cannot be is refused with a reason, and the configuration stays its owner's. */
static void
test_refused(void **state)
{
	struct ms_config *config = test_config("{" SESSION "}");
	struct ms_config_error error;
	struct ms_ruleset *r = NULL;

	for (uint32_t vni = 0; vni < MS_SESSIONS_MAX; vni++)
		ms_session_learn(test_registry, vni, (struct ms_ip){0}, 4);
	assert_int_equal(ms_ruleset_compile(&r, config, test_registry, 1, &error), -ENOSPC);
	assert_non_null(strstr(error.text, "session a"));
	assert_null(r);
	ms_config_free(config);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, test_rules_setup, test_rules_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(test_hits),
		EACH(test_inherited),
		EACH(test_relocatable),
		EACH(test_memory),
		EACH(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
