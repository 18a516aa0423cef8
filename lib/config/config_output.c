/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Outputs, of configuration files (our own keys, as in config_own.c) and of the command line. Every
 * type has keys of its own, and no output writes where another one does.
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

static const char *const output_keys[] = {"Name", "Type", "Path", "Port", "Ports", "Queues",
	"Tenant", "Vxlan", "Interface", "Snaplen", "Frame", "RotateBytes", "RotateSeconds",
	"RotatePackets", "RotateAligned", "KeepFiles", "KeepBytes", "KeepSeconds", "MinFree",
	"Sha256", "MaxOpenFiles", "OnRotate", "OnRotateJobs", "Compress", "CompressLevel",
	"CompressThreads", "BufferMemory", NULL};
/* Those that only files have, and only ports. */
static const char *const file_keys[] = {"Path", "Snaplen", "Frame", "BufferMemory", NULL};
static const char *const port_keys[] = {
	"Port", "Ports", "Queues", "Tenant", "Vxlan", "Interface", NULL};

#define BUFFER_MEMORY_MAX (UINT64_C(64) << 30)

static bool
is_file(enum ms_output_type type)
{
	return type == MS_OUTPUT_PCAPNG || type == MS_OUTPUT_PCAP;
}

/* None of these keys is there. */
static bool
refuse(struct config_reader *r, const struct config_at *at, const char *const *keys,
	enum ms_output_type type)
{
	for (; *keys != NULL; keys++) {
		struct config_at child = config_child(at, *keys);

		if (child.value != NULL)
			return config_fail(r, &child,
				"means nothing to an output of type %s; leave the key out",
				config_output_types[type]);
	}
	return true;
}

/* One port, or a list of them, or one that is made for each session. */
static bool
check_port_keys(struct config_reader *r, const struct config_at *at)
{
	struct config_at list = config_child(at, "Ports");
	struct config_at one = config_child(at, "Port");
	struct config_at tenant = config_child(at, "Tenant");

	if (config_json_is(tenant.value, CONFIG_JSON_STRING) &&
		strcmp(config_json_string(tenant.value), config_tenants[MS_TENANT_PORT]) == 0) {
		const struct config_at *named = one.value != NULL ? &one : &list;

		return named->value == NULL ||
		       config_fail(r, named,
			       "with \"Tenant\": \"port\" each session gets a tap that is made for "
			       "it; leave the key out, and write Interface");
	}
	if (list.value == NULL)
		return config_require(
			r, at, "Port", "name the ethdev, such as net_tap0, or several with Ports");
	return one.value == NULL || config_fail(r, &list, "Port is given, too; write one of them");
}

/* Every type has the keys that mean something to it, and no others. */
static bool
check_output_keys(struct config_reader *r, const struct config_at *at, enum ms_output_type type)
{
	if (is_file(type) &&
		!config_require(r, at, "Path", "name the file, or \"-\" for standard output"))
		return false;
	if (!is_file(type) &&
		(!refuse(r, at, file_keys, type) || !refuse(r, at, config_store_keys, type) ||
			!refuse(r, at, config_compress_keys, type)))
		return false;
	if (type == MS_OUTPUT_PORT)
		return check_port_keys(r, at);
	return refuse(r, at, port_keys, type);
}

/* Do two outputs write to one place? Returns what it is called, or NULL. */
static const char *
same_destination(const struct ms_config_output *a, const struct ms_config_output *b)
{
	if (a->path != NULL && b->path != NULL && strcmp(a->path, b->path) == 0)
		return a->path;
	for (uint32_t i = 0; i < a->ports_n; i++) {
		for (uint32_t j = 0; j < b->ports_n; j++) {
			if (strcmp(a->ports[i], b->ports[j]) == 0)
				return a->ports[i];
		}
	}
	return NULL;
}

/* The key under which an output names where it writes. */
static struct config_at
destination_at(const struct config_at *output)
{
	static const char *const keys[] = {"Path", "Port"};

	for (size_t i = 0; i < RTE_DIM(keys); i++) {
		struct config_at child = config_child(output, keys[i]);

		if (child.value != NULL)
			return child;
	}
	return config_child(output, "Ports");
}

static bool
check_output_destination(struct config_reader *r, const struct config_at *at, uint32_t output)
{
	const struct ms_config_output *outputs = r->config->outputs;
	struct config_at child = destination_at(at);
	struct config_at other;

	for (uint32_t i = 0; i < output; i++) {
		const char *name = same_destination(&outputs[i], &outputs[output]);

		if (name == NULL)
			continue;
		other = destination_at(r->ids[CONFIG_OUTPUT].all[i].at);
		return config_fail(r, &child,
			"'%s' is an output of its own already, at %s; name another", name,
			config_where(r, &other).text);
	}
	return true;
}

static bool
read_port_name(struct config_reader *r, const struct config_at *at, void *arg)
{
	struct ms_config_output *output = arg;
	const char *name = "";
	char **place;

	if (config_json_is(at->value, CONFIG_JSON_STRING))
		name = config_json_string(at->value);
	if (*name == '\0')
		return config_fail(r, at, "not the name of a port; write one, such as net_tap0");
	for (uint32_t i = 0; i < output->ports_n; i++) {
		if (strcmp(output->ports[i], name) == 0)
			return config_fail(r, at, "named twice; write it once");
	}
	place = config_append(r, output->ports, output->ports_n);
	if (place == NULL)
		return false;
	*place = strdup(name);
	return *place != NULL || config_no_memory(r);
}

/* Port or Ports, and Queues. */
static bool
read_ports(struct config_reader *r, const struct config_at *at, struct ms_config_output *output)
{
	struct config_at one = config_child(at, "Port");
	struct config_at list = config_child(at, "Ports");
	struct config_at queues_at = config_child(at, "Queues");
	int64_t queues = 1;

	if ((one.value != NULL && !read_port_name(r, &one, output)) ||
		!config_each(r, at, "Ports", read_port_name, output) ||
		!config_integer(r, at, "Queues", 1, MS_OUTPUT_WAYS_MAX, &queues))
		return false;
	if (output->ports_n == 0 && output->tenant != MS_TENANT_PORT)
		return config_fail(r, &list, "names no port; name one at least");
	output->queues = (uint32_t)queues;
	return output->ports_n * output->queues <= MS_OUTPUT_WAYS_MAX ||
	       config_fail(r, queues_at.value != NULL ? &queues_at : &list,
		       "%u ports of %u queues; at most %u queues are possible in all",
		       output->ports_n, output->queues, MS_OUTPUT_WAYS_MAX);
}

bool
config_read_output(struct config_reader *r, const struct config_at *at, void *arg)
{
	struct ms_config *config = r->config;
	struct ms_config_output *output;
	int type = 0;
	int frame = 0;
	uint64_t snaplen = 0;

	if (config->outputs_n == MS_OUTPUTS_MAX)
		return config_fail(
			r, at, "one output too many; at most %u are possible", MS_OUTPUTS_MAX);
	output = config_append(r, config->outputs, config->outputs_n);
	if (output == NULL)
		return false;
	output->origin = config_origin(r, at);
	if (!config_known(r, at, output_keys) ||
		!config_name(r, at, CONFIG_OUTPUT, &output->name) ||
		!config_require(r, at, "Type", "write pcapng, pcap, port or null") ||
		!config_choice(r, at, "Type", config_output_types, &type) ||
		!check_output_keys(r, at, (enum ms_output_type)type) ||
		!config_string(r, at, "Path", &output->path) ||
		!config_size(r, at, "Snaplen", MS_LENGTH_MAX, &snaplen) ||
		!config_choice(r, at, "Frame", config_frames, &frame) ||
		!config_size(r, at, "BufferMemory", BUFFER_MEMORY_MAX, &output->buffer_memory))
		return false;
	output->type = (enum ms_output_type)type;
	if (output->type == MS_OUTPUT_PORT &&
		(!config_read_tenant(r, at, output) || !read_ports(r, at, output)))
		return false;
	output->snaplen = (uint32_t)snaplen;
	output->outer = frame == 1;
	return config_read_store(r, at, output) && config_read_compress(r, at, output) &&
	       check_output_destination(r, at, config->outputs_n - 1);
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
	const char *destination = is_file(output->type) ? output->path
	                          : output->ports_n > 0 ? output->ports[0]
	                                                : NULL;
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
		destination = same_destination(other, output);
		if (destination == NULL)
			continue;
		return config_fail_text(r, -EINVAL,
			"output %s: '%s' belongs to output %s of %s:%u:%u already; choose another",
			output->name, destination, other->name, other->origin.file,
			other->origin.line, other->origin.column);
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

static bool
duplicate_ports(const struct ms_config_output *from, struct ms_config_output *to)
{
	if (from->ports_n == 0)
		return true;
	to->ports = calloc(from->ports_n, sizeof(*to->ports));
	if (to->ports == NULL)
		return false;
	for (; to->ports_n < from->ports_n; to->ports_n++) {
		to->ports[to->ports_n] = strdup(from->ports[to->ports_n]);
		if (to->ports[to->ports_n] == NULL)
			return false;
	}
	return true;
}

void
config_free_output(struct ms_config_output *output)
{
	free(output->name);
	free(output->path);
	for (uint32_t i = 0; i < output->ports_n; i++)
		free(output->ports[i]);
	free(output->ports);
	free(output->interface);
	config_free_store(&output->store);
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
	assert((output->type == MS_OUTPUT_PORT) == (output->ports_n > 0));

	if (!check_added(&r, output))
		return r.status;
	added.name = NULL;
	added.path = NULL;
	added.ports = NULL;
	added.ports_n = 0;
	added.queues = 1;
	added.store = (struct ms_config_store){0};
	added.origin = origin;
	if (!duplicate(output->name, &added.name) || !duplicate(output->path, &added.path) ||
		!duplicate_ports(output, &added)) {
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
