/* SPDX-License-Identifier: BSD-3-Clause */
#include "health.h"

#include <stdio.h>
#include <stdlib.h>

#include "ask.h"
#include "common/cli.h"
#include "watch.h"

/* What was a number in the telemetry, which has no truth values. */
static void
make_true(json_t *object, const char *name)
{
	json_object_set_new(
		object, name, json_boolean(json_integer_value(json_object_get(object, name)) != 0));
}

static struct health
make_readable(json_t *answer)
{
	json_t *outputs = json_array(), *problems = json_array(), *one;
	const char *name;
	size_t i;

	make_true(answer, "healthy");
	json_object_foreach (json_object_get(answer, "lcores"), name, one)
		make_true(one, "ok");
	ask_list(json_object_get(answer, "outputs"), outputs);
	json_array_foreach (outputs, i, one)
		make_true(one, "ok");
	ask_list(json_object_get(answer, "problems"), problems);
	json_object_set_new(answer, "outputs", outputs);
	json_object_set_new(answer, "problems", problems);
	return (struct health){
		.healthy = json_is_true(json_object_get(answer, "healthy")), .state = answer};
}

struct health
health_ask(const char *prefix)
{
	char problem[ASK_PROBLEM];
	json_t *answer = ask(prefix, "/mirrorsink/health", ASK_TIMEOUT_MS, problem);

	if (answer != NULL)
		return make_readable(answer);
	return (struct health){.healthy = false,
		.state = json_pack("{s:b, s:[s]}", "healthy", 0, "problems", problem)};
}

/* One line for each lcore and output, then what is wrong. */
static void
print(const struct health *health)
{
	const json_t *one, *state = health->state;
	const char *name;
	size_t i;

	puts(health->healthy ? "healthy" : "NOT HEALTHY");
	json_object_foreach (json_object_get(state, "lcores"), name, one) {
		printf("  %-6s lcore %-4s ", json_string_value(json_object_get(one, "role")), name);
		if (json_is_true(json_object_get(one, "ok")))
			puts("moves");
		else
			printf("has not moved for %" JSON_INTEGER_FORMAT " ms\n",
				json_integer_value(json_object_get(one, "milliseconds")));
	}
	json_array_foreach (json_object_get(state, "outputs"), i, one) {
		printf("  output %-10s ", json_string_value(json_object_get(one, "name")));
		if (json_is_true(json_object_get(one, "ok")))
			puts("takes what comes");
		else
			printf("has taken nothing for %" JSON_INTEGER_FORMAT " ms\n",
				json_integer_value(json_object_get(one, "waiting_milliseconds")));
	}
	json_array_foreach (json_object_get(state, "problems"), i, one)
		printf("%s\n", json_string_value(one));
}

int
health_run(const struct ctl_options *options)
{
	struct health health;

	if (options->http.text != NULL || options->tcp.text != NULL)
		return watch(options);
	health = health_ask(options->prefix);
	if (options->json) {
		json_dumpf(health.state, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print(&health);
	}
	json_decref(health.state);
	return health.healthy ? EXIT_SUCCESS : CLI_EXIT_FAILED;
}
