/* SPDX-License-Identifier: BSD-3-Clause */
#include "status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/stdlib.h>
#include <jansson.h>

#include "ask.h"
#include "common/cli.h"
#include "health.h"

/* Sessions that are printed for a person; --json has them all. */
#define SESSIONS_SHOWN 40

static json_int_t
number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static const char *
text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value != NULL ? value : "";
}

struct human {
	char text[8];
};

static struct human
human(json_int_t bytes)
{
	struct human out;

	humanize_number(
		out.text, sizeof(out.text), bytes, "B", HN_AUTOSCALE, HN_DECIMAL | HN_DIVISOR_1000);
	return out;
}

static void
print_ledger(const json_t *ledger, const json_t *exception)
{
	const char *name;
	const json_t *n;

	printf("\n%-18s %14" JSON_INTEGER_FORMAT "   %s\n", "received", number(ledger, "received"),
		human(number(ledger, "received_bytes")).text);
	json_object_foreach (json_object_get(ledger, "fates"), name, n) {
		if (json_integer_value(n) != 0 || strcmp(name, "delivered") == 0)
			printf("  %-16s %14" JSON_INTEGER_FORMAT "\n", name, json_integer_value(n));
	}
	if (number(ledger, "under_way") != 0)
		printf("  %-16s %14" JSON_INTEGER_FORMAT "\n", "under_way",
			number(ledger, "under_way"));
	if (json_object_size(json_object_get(exception, "ports")) > 0)
		printf("exception ports: %" JSON_INTEGER_FORMAT " sent, %" JSON_INTEGER_FORMAT
		       " dropped, %" JSON_INTEGER_FORMAT " came back, %" JSON_INTEGER_FORMAT
		       " of them dropped\n",
			number(exception, "sent"), number(exception, "dropped"),
			number(exception, "returned") + number(exception, "lost"),
			number(exception, "lost"));
}

static void
print_outputs(const json_t *outputs)
{
	const json_t *output, *n;
	const char *name;
	size_t i;

	printf("\n%-18s %14s %14s %10s\n", "output", "offered", "written", "bytes");
	json_array_foreach (outputs, i, output) {
		printf("%-18s %14" JSON_INTEGER_FORMAT " %14" JSON_INTEGER_FORMAT " %10s  %s\n",
			text(output, "name"), number(output, "offered"), number(output, "written"),
			human(number(output, "bytes")).text, text(output, "type"));
		json_object_foreach (json_object_get(output, "dropped"), name, n) {
			if (json_integer_value(n) != 0)
				printf("  %-16s %14" JSON_INTEGER_FORMAT "\n", name,
					json_integer_value(n));
		}
	}
}

/* By what a reader without a notion of sessions knows one, if an output tells it. */
static void
print_mark(const json_t *session)
{
	if (json_object_get(session, "vlan_outer") != NULL)
		printf("  vlan %" JSON_INTEGER_FORMAT ".%" JSON_INTEGER_FORMAT,
			number(session, "vlan_outer"), number(session, "vlan"));
	else if (json_object_get(session, "vlan") != NULL)
		printf("  vlan %" JSON_INTEGER_FORMAT, number(session, "vlan"));
	if (json_object_get(session, "port") != NULL)
		printf("  port %s", text(session, "port"));
}

static void
print_sessions(const json_t *sessions)
{
	const json_t *s;
	size_t i;

	if (json_array_size(sessions) == 0)
		return;
	printf("\n%-24s %9s %-16s %12s %10s %12s %12s\n", "session", "vni", "source", "packets",
		"bytes", "delivered", "rejected");
	json_array_foreach (sessions, i, s) {
		if (i == SESSIONS_SHOWN) {
			puts("... more with --json");
			break;
		}
		printf("%-24s %9" JSON_INTEGER_FORMAT " %-16s %12" JSON_INTEGER_FORMAT
		       " %10s %12" JSON_INTEGER_FORMAT " %12" JSON_INTEGER_FORMAT,
			text(s, "session"), number(s, "vni"), text(s, "source"),
			number(s, "packets"), human(number(s, "bytes")).text,
			number(s, "delivered"), number(s, "rejected"));
		print_mark(s);
		putchar('\n');
	}
}

/* What a port counts, as far as it is not 0. */
static void
print_ports(const json_t *ports)
{
	const json_t *port, *value;
	const char *name;
	size_t i;

	json_array_foreach (ports, i, port) {
		printf("\n%s: %s port, %s\n", text(port, "name"), text(port, "role"),
			text(port, "state"));
		json_object_foreach ((json_t *)(uintptr_t)port, name, value) {
			if (json_integer_value(value) != 0)
				printf("  %-28s %14" JSON_INTEGER_FORMAT "\n", name,
					json_integer_value(value));
		}
	}
}

/* Asks for a list in pages; all of it, or the first one. */
static bool
ask_pages(const struct ctl_options *o, json_t *status, const char *name, bool all)
{
	json_t *list = json_array(), *page;
	char command[64], problem[ASK_PROBLEM];
	size_t n;

	json_object_set_new(status, name, list);
	do {
		snprintf(command, sizeof(command), "/mirrorsink/%s,%zu", name,
			json_array_size(list));
		page = ask(o->prefix, command, ASK_TIMEOUT_MS, problem);
		if (page == NULL)
			return cli_wrong("%s", problem);
		n = ask_list(page, list);
		json_decref(page);
	} while (all && n > 0);
	return true;
}

static bool
ask_one(const struct ctl_options *o, json_t *status, const char *name)
{
	char command[64], problem[ASK_PROBLEM];
	json_t *answer;

	snprintf(command, sizeof(command), "/mirrorsink/%s", name);
	answer = ask(o->prefix, command, ASK_TIMEOUT_MS, problem);
	if (answer == NULL)
		return cli_wrong("%s", problem);
	json_object_set_new(status, name, answer);
	return true;
}

static void
print(const json_t *status)
{
	const json_t *problems = json_object_get(json_object_get(status, "health"), "problems");
	const json_t *problem;
	size_t i;

	puts(json_array_size(problems) == 0 ? "healthy" : "NOT HEALTHY");
	json_array_foreach (problems, i, problem)
		printf("%s\n", json_string_value(problem));
	print_ledger(json_object_get(status, "ledger"), json_object_get(status, "exception"));
	print_ports(json_object_get(status, "ports"));
	print_outputs(json_object_get(status, "outputs"));
	print_sessions(json_object_get(status, "sessions"));
}

int
status_run(const struct ctl_options *o)
{
	json_t *status = json_pack("{s:o}", "health", health_ask(o->prefix).state);
	bool ok = ask_one(o, status, "ledger") && ask_one(o, status, "exception") &&
	          ask_pages(o, status, "outputs", true) && ask_pages(o, status, "ports", true) &&
	          ask_pages(o, status, "sessions", o->json);

	if (ok && o->json) {
		json_dumpf(status, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (ok) {
		print(status);
	}
	json_decref(status);
	return ok ? EXIT_SUCCESS : CLI_EXIT_FAILED;
}
