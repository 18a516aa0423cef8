/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our own keys beside those of AWS: outputs, routes and settings. Here a key that is not known is
 * an error, because it is a misspelt one; so is a key that would do nothing.
 */
#include "config/config_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const config_output_types[] = {
	[MS_OUTPUT_NULL] = "null",
	[MS_OUTPUT_PCAPNG] = "pcapng",
	[MS_OUTPUT_PCAP] = "pcap",
	[MS_OUTPUT_PORT] = "port",
	NULL,
};
const char *const config_frames[] = {"inner", "outer", NULL};
const char *const config_source_checks[] = {
	[MS_SOURCE_OFF] = "off", [MS_SOURCE_STRICT] = "strict", NULL};
const char *const config_unknown_sessions[] = {
	[MS_UNKNOWN_DROP] = "drop", [MS_UNKNOWN_DELIVER] = "deliver", NULL};
const char *const config_outer_fragments[] = {
	[MS_FRAGMENTS_DROP] = "drop", [MS_FRAGMENTS_REASSEMBLE] = "reassemble", NULL};
const char *const config_dedup_scopes[] = {
	[MS_DEDUP_ALL] = "all", [MS_DEDUP_SESSION] = "session", NULL};

static const char *const output_keys[] = {
	"Name", "Type", "Path", "Port", "Snaplen", "Frame", "RotateBytes", "RotateSeconds", NULL};
/* Those that only files have. */
static const char *const file_keys[] = {"Path", "Snaplen", "Frame", "RotateBytes", "RotateSeconds"};

#define ROTATE_SECONDS_MAX (366 * 86400)

/* What Dedup means where it says nothing. */
#define DEDUP_WINDOW_MS 50
#define DEDUP_MEMORY    (UINT64_C(4) << 20)

static const char *const route_keys[] = {
	"VirtualNetworkId", "SessionId", "FilterId", "Outputs", NULL};

static bool
is_file(enum ms_output_type type)
{
	return type == MS_OUTPUT_PCAPNG || type == MS_OUTPUT_PCAP;
}

static bool
refuse(struct config_reader *r, const struct config_at *at, const char *key,
	enum ms_output_type type)
{
	struct config_at child = config_child(at, key);

	return child.value == NULL ||
	       config_fail(r, &child, "means nothing to an output of type %s; leave the key out",
		       config_output_types[type]);
}

/* Every type has the keys that mean something to it, and no others. */
static bool
check_output_keys(struct config_reader *r, const struct config_at *at, enum ms_output_type type)
{
	if (is_file(type) &&
		!config_require(r, at, "Path", "name the file, or \"-\" for standard output"))
		return false;
	for (size_t i = 0; !is_file(type) && i < RTE_DIM(file_keys); i++) {
		if (!refuse(r, at, file_keys[i], type))
			return false;
	}
	if (type == MS_OUTPUT_PORT)
		return config_require(r, at, "Port", "name the ethdev, such as net_tap0");
	return refuse(r, at, "Port", type);
}

/* Do two outputs write to one place? Returns the key under which it is named, or NULL. */
static const char *
same_destination(const struct ms_config_output *a, const struct ms_config_output *b)
{
	if (a->path != NULL && b->path != NULL && strcmp(a->path, b->path) == 0)
		return "Path";
	if (a->port != NULL && b->port != NULL && strcmp(a->port, b->port) == 0)
		return "Port";
	return NULL;
}

static bool
check_output_destination(struct config_reader *r, const struct config_at *at, uint32_t output)
{
	const struct ms_config_output *outputs = r->config->outputs;
	const char *key;
	struct config_at child;
	struct config_at other;

	for (uint32_t i = 0; i < output; i++) {
		key = same_destination(&outputs[i], &outputs[output]);
		if (key == NULL)
			continue;
		child = config_child(at, key);
		other = config_child(r->ids[CONFIG_OUTPUT].all[i].at, key);
		return config_fail(r, &child, "an output of its own already, at %s; name another",
			config_where(r, &other).text);
	}
	return true;
}

/* Standard output is one stream, and goes on as such. */
static bool
check_rotation(
	struct config_reader *r, const struct config_at *at, const struct ms_config_output *output)
{
	struct config_at child =
		config_child(at, output->rotate_bytes != 0 ? "RotateBytes" : "RotateSeconds");

	return (output->rotate_bytes == 0 && output->rotate_seconds == 0) ||
	       strcmp(output->path, "-") != 0 ||
	       config_fail(r, &child, "standard output can't be rotated; leave the key out");
}

bool
config_read_output(struct config_reader *r, const struct config_at *at, void *arg)
{
	struct ms_config *config = r->config;
	struct ms_config_output *output;
	int type = 0;
	int frame = 0;
	uint64_t snaplen = 0;
	int64_t seconds = 0;

	if (config->outputs_n == MS_OUTPUTS_MAX)
		return config_fail(
			r, at, "one output too many; at most %u are possible", MS_OUTPUTS_MAX);
	output = config_append(r, config->outputs, config->outputs_n);
	if (output == NULL)
		return false;
	output->origin = r->origin;
	if (!config_known(r, at, output_keys) ||
		!config_name(r, at, CONFIG_OUTPUT, &output->name) ||
		!config_require(r, at, "Type", "write pcapng, pcap, port or null") ||
		!config_choice(r, at, "Type", config_output_types, &type) ||
		!check_output_keys(r, at, (enum ms_output_type)type) ||
		!config_string(r, at, "Path", &output->path) ||
		!config_string(r, at, "Port", &output->port) ||
		!config_size(r, at, "Snaplen", MS_LENGTH_MAX, &snaplen) ||
		!config_choice(r, at, "Frame", config_frames, &frame) ||
		!config_size(r, at, "RotateBytes", INT64_MAX, &output->rotate_bytes) ||
		!config_integer(r, at, "RotateSeconds", 0, ROTATE_SECONDS_MAX, &seconds))
		return false;
	output->type = (enum ms_output_type)type;
	output->snaplen = (uint32_t)snaplen;
	output->outer = frame == 1;
	output->rotate_seconds = (uint32_t)seconds;
	return check_rotation(r, at, output) &&
	       check_output_destination(r, at, config->outputs_n - 1);
}

static bool
read_route_output(struct config_reader *r, const struct config_at *at, void *arg)
{
	struct ms_config_route *route = arg;
	int32_t output;

	if (!json_is_string(at->value))
		return config_fail(r, at, "not a string; write the name of an output");
	output = config_find(r, CONFIG_OUTPUT, json_string_value(at->value));
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
	route->origin = r->origin;
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

/* A setting may be repeated in another file, but not contradicted. */
static bool
check_repeated(struct config_reader *r, const struct config_at *top, const char *key)
{
	struct config_at child = config_child(top, key);
	struct config_at other;

	for (uint32_t i = 0; i < top->index; i++) {
		other = config_child(&r->texts[i].top, key);
		if (other.value != NULL && !json_equal(other.value, child.value))
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

static bool
is_utf8(const char *text)
{
	json_t *string = json_string(text);

	json_decref(string);
	return string != NULL;
}

/* All that can be wrong with an output that the command line names. */
static bool
check_added(struct config_reader *r, const struct ms_config_output *output)
{
	const char *destination = is_file(output->type) ? output->path : output->port;
	const struct ms_config_output *other;

	if (r->config->outputs_n == MS_OUTPUTS_MAX)
		return config_fail_text(r, -EINVAL,
			"output %s: one output too many; at most %u are possible", output->name,
			MS_OUTPUTS_MAX);
	if (!is_utf8(output->name) || (destination != NULL && !is_utf8(destination)))
		return config_fail_text(
			r, -EINVAL, "output %s: not UTF-8; choose another name", output->name);
	for (uint32_t i = 0; i < r->config->outputs_n; i++) {
		other = &r->config->outputs[i];
		if (strcmp(other->name, output->name) == 0)
			return config_fail_text(r, -EINVAL,
				"output %s: an output of this name is defined at %s:%u:%u already; "
				"choose another name",
				output->name, other->origin.file, other->origin.line,
				other->origin.column);
		if (same_destination(other, output) == NULL)
			continue;
		return config_fail_text(r, -EINVAL,
			"output %s: '%s' belongs to output %s of %s:%u:%u already; choose another",
			output->name, output->path != NULL ? output->path : output->port,
			other->name, other->origin.file, other->origin.line, other->origin.column);
	}
	return true;
}

static bool
duplicate(const char *string, char **out)
{
	if (string == NULL)
		return true;
	*out = strdup(string);
	return *out != NULL;
}

void
config_free_output(struct ms_config_output *output)
{
	free(output->name);
	free(output->path);
	free(output->port);
}

int
ms_config_add_output(struct ms_config *config, const struct ms_config_output *output,
	struct ms_config_error *error)
{
	static const struct ms_origin origin = {.file = "the command line"};
	struct config_reader r = {.config = config, .error = error};
	struct ms_config_output added = *output;
	struct ms_config_output *place;
	struct ms_config_route *route;

	assert(is_file(output->type) == (output->path != NULL));
	assert((output->type == MS_OUTPUT_PORT) == (output->port != NULL));

	if (!check_added(&r, output))
		return r.status;
	added.name = NULL;
	added.path = NULL;
	added.port = NULL;
	added.origin = origin;
	if (!duplicate(output->name, &added.name) || !duplicate(output->path, &added.path) ||
		!duplicate(output->port, &added.port)) {
		config_no_memory(&r);
		goto fail;
	}
	place = config_append(&r, config->outputs, config->outputs_n);
	if (place == NULL)
		goto fail;
	/* Without routes every output gets everything; with routes this one needs one. */
	if (config->routes_n > 0) {
		route = config_append(&r, config->routes, config->routes_n);
		if (route == NULL) {
			config->outputs_n--;
			goto fail;
		}
		route->filter = -1;
		route->outputs = 1u << (config->outputs_n - 1);
		route->origin = origin;
	}
	*place = added;
	return 0;
fail:
	config_free_output(&added);
	return r.status;
}
