/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our own keys beside those of AWS: routes and settings; config_output.c has the outputs. Here a
 * key that is not known is an error, because it is a misspelt one; so is a key that would do
 * nothing.
 */
#include "config/config_internal.h"

#include <string.h>

const char *const config_source_checks[] = {
	[MS_SOURCE_OFF] = "off", [MS_SOURCE_STRICT] = "strict", NULL};
const char *const config_unknown_sessions[] = {
	[MS_UNKNOWN_DROP] = "drop", [MS_UNKNOWN_DELIVER] = "deliver", NULL};
const char *const config_outer_fragments[] = {
	[MS_FRAGMENTS_DROP] = "drop", [MS_FRAGMENTS_REASSEMBLE] = "reassemble", NULL};
const char *const config_dedup_scopes[] = {
	[MS_DEDUP_ALL] = "all", [MS_DEDUP_SESSION] = "session", NULL};

/* What Dedup means where it says nothing. */
#define DEDUP_WINDOW_MS 50
#define DEDUP_MEMORY    (UINT64_C(4) << 20)

static const char *const route_keys[] = {
	"VirtualNetworkId", "SessionId", "FilterId", "Outputs", NULL};

static bool
read_route_output(struct config_reader *r, const struct config_at *at, void *arg)
{
	struct ms_config_route *route = arg;
	int32_t output;

	if (!config_json_is(at->value, CONFIG_JSON_STRING))
		return config_fail(r, at, "not a string; write the name of an output");
	output = config_find(r, CONFIG_OUTPUT, config_json_string(at->value));
	if (output < 0)
		return config_fail(r, at, "no output has this name; define it in Outputs");
	route->outputs |= 1u << output;
	return true;
}

/* Everything that a route names is known by now. */
static bool
check_route(struct config_reader *r, const struct config_at *at, struct ms_config_route *route)
{
	const struct ms_config *config = r->config;
	struct config_at child;

	if (route->outputs == 0) {
		child = config_child(at, "Outputs");
		return config_fail(r, &child, "the route leads nowhere; name at least one output");
	}
	route->filter = config_find(r, CONFIG_FILTER, route->filter_id);
	if (route->filter_id != NULL && route->filter < 0) {
		child = config_child(at, "FilterId");
		return config_fail(r, &child,
			"no filter has this TrafficMirrorFilterId; "
			"load the file that describes it");
	}
	if (route->session_id != NULL && config->sessions_n > 0 &&
		config->unknown_session == MS_UNKNOWN_DROP &&
		config_find(r, CONFIG_SESSION, route->session_id) < 0) {
		child = config_child(at, "SessionId");
		return config_fail(r, &child,
			"no session has this TrafficMirrorSessionId; "
			"load the file that describes it");
	}
	return true;
}

bool
config_read_route(struct config_reader *r, const struct config_at *at, void *arg)
{
	struct ms_config_route *route = config_append(r, r->config->routes, r->config->routes_n);
	int64_t vni = -1;

	if (route == NULL)
		return false;
	route->origin = config_origin(r, at);
	if (!config_known(r, at, route_keys) ||
		!config_integer(r, at, "VirtualNetworkId", 0, MS_VNI_MAX, &vni) ||
		!config_string(r, at, "SessionId", &route->session_id) ||
		!config_string(r, at, "FilterId", &route->filter_id) ||
		!config_each(r, at, "Outputs", read_route_output, route))
		return false;
	route->has_vni = vni >= 0;
	route->vni = vni >= 0 ? (uint32_t)vni : 0;
	return check_route(r, at, route);
}

static bool
equal(struct config_json *a, struct config_json *b)
{
	json_t *x = config_json_export(a), *y = config_json_export(b);
	bool same = json_equal(x, y) != 0;

	json_decref(x);
	json_decref(y);
	return same;
}

/* A setting may be repeated in another file, but not contradicted. */
static bool
check_repeated(struct config_reader *r, const struct config_at *top, const char *key)
{
	struct config_at child = config_child(top, key);
	struct config_at other;

	for (uint32_t i = 0; i < top->index; i++) {
		other = config_child(&r->texts[i].top, key);
		if (other.value != NULL && !equal(other.value, child.value))
			return config_fail(r, &child, "contradicts %s; say it once",
				config_where(r, &other).text);
	}
	return true;
}

static bool
read_setting(struct config_reader *r, const struct config_at *top, const char *key,
	const char *const *names, int *out)
{
	return config_choice(r, top, key, names, out) && check_repeated(r, top, key);
}

bool
config_read_source_check(struct config_reader *r, const struct config_at *top)
{
	int check = MS_SOURCE_OFF;

	if (!read_setting(r, top, "SourceCheck", config_source_checks, &check))
		return false;
	r->config->source_check = (enum ms_source_check)check;
	return true;
}

bool
config_read_unknown_session(struct config_reader *r, const struct config_at *top)
{
	int unknown = MS_UNKNOWN_DROP;

	if (!read_setting(r, top, "UnknownSession", config_unknown_sessions, &unknown))
		return false;
	r->config->unknown_session = (enum ms_unknown_session)unknown;
	return true;
}

bool
config_read_outer_fragments(struct config_reader *r, const struct config_at *top)
{
	int fragments = MS_FRAGMENTS_DROP;

	if (!read_setting(r, top, "OuterFragments", config_outer_fragments, &fragments))
		return false;
	r->config->outer_fragments = (enum ms_outer_fragments)fragments;
	return true;
}

bool
config_read_dedup(struct config_reader *r, const struct config_at *top)
{
	static const char *const keys[] = {"WindowMilliseconds", "Scope", "Memory", NULL};
	struct config_at at = config_child(top, "Dedup");
	struct config_at memory_at = config_child(&at, "Memory");
	int64_t window_ms = DEDUP_WINDOW_MS;
	uint64_t memory = DEDUP_MEMORY;
	int scope = MS_DEDUP_ALL;

	if (!config_known(r, &at, keys) ||
		!config_integer(
			r, &at, "WindowMilliseconds", 1, MS_DEDUP_WINDOW_MS_MAX, &window_ms) ||
		!config_choice(r, &at, "Scope", config_dedup_scopes, &scope) ||
		!config_size(r, &at, "Memory", MS_DEDUP_MEMORY_MAX, &memory))
		return false;
	if (memory < MS_DEDUP_MEMORY_MIN)
		return config_fail(
			r, &memory_at, "too little to remember frames in; give \"4KiB\" or more");
	r->config->dedup = (struct ms_config_dedup){.on = true,
		.scope = (enum ms_dedup_scope)scope,
		.window_ms = (uint32_t)window_ms,
		.memory = memory};
	return check_repeated(r, top, "Dedup");
}
