/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prints a configuration in its canonical form: keys in one order, objects sorted by name (outputs
 * and routes as they were read), one object or rule a line, so that two of them compare with
 * diff(1). What is absent stays absent. Reading it again (config_read.c) gives the same
 * configuration.
 */
#include "config/config_internal.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct printer {
	FILE *out;
	const struct ms_config *config;
	uint32_t keys_n; /* top-level keys printed */
	int status;
};

static void
put(struct printer *p, json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) != 0)
		p->status = -ENOMEM;
}

static void
put_string(struct printer *p, json_t *object, const char *key, const char *value)
{
	if (value != NULL)
		put(p, object, key, json_string(value));
}

static void
put_cidr(struct printer *p, json_t *object, const char *key, const struct ms_prefix *prefix)
{
	if (prefix->family != MS_FAMILY_NONE)
		put_string(p, object, key, config_print_cidr(prefix).text);
}

static void
put_ports(struct printer *p, json_t *object, const char *key, const struct ms_port_range *range)
{
	json_t *ports;

	if (!range->present)
		return;
	ports = json_object();
	put(p, ports, "FromPort", json_integer(range->from));
	put(p, ports, "ToPort", json_integer(range->to));
	put(p, object, key, ports);
}

static void
append(struct printer *p, json_t *list, json_t *value)
{
	if (json_array_append_new(list, value) != 0)
		p->status = -ENOMEM;
}

/* Takes the object over. JSON_EMBED in flags leaves its braces away. */
static void
dump(struct printer *p, json_t *object, size_t flags)
{
	if (p->status == 0 && json_dumpf(object, p->out, flags) != 0)
		p->status = ferror(p->out) != 0 ? -EIO : -ENOMEM;
	json_decref(object);
}

static void
print_rules(struct printer *p, const char *key, const struct ms_filter *filter, uint8_t direction)
{
	const struct ms_rule *rule;
	json_t *object;
	uint32_t printed = 0;

	for (uint32_t i = 0; i < filter->rules_n; i++) {
		rule = &filter->rules[i];
		if (rule->direction != direction)
			continue;
		if (printed++ == 0)
			fprintf(p->out, ",\n     \"%s\": [\n      ", key);
		else
			fputs(",\n      ", p->out);
		object = json_object();
		put(p, object, "RuleNumber", json_integer(rule->number));
		put_string(p, object, "RuleAction", rule->accept ? "accept" : "reject");
		if (rule->protocol != MS_PROTO_ANY)
			put(p, object, "Protocol", json_integer(rule->protocol));
		put_cidr(p, object, "SourceCidrBlock", &rule->src);
		put_ports(p, object, "SourcePortRange", &rule->sport);
		put_cidr(p, object, "DestinationCidrBlock", &rule->dst);
		put_ports(p, object, "DestinationPortRange", &rule->dport);
		dump(p, object, 0);
	}
	if (printed > 0)
		fputs("]", p->out);
}

static void
print_filter(struct printer *p, const void *element)
{
	const struct ms_filter *filter = element;
	json_t *object = json_object();
	json_t *services;

	put_string(p, object, "TrafficMirrorFilterId", filter->name);
	put_string(p, object, "Description", filter->description);
	if (filter->amazon_dns) {
		services = json_array();
		append(p, services, json_string("amazon-dns"));
		put(p, object, "NetworkServices", services);
	}
	fputs("{", p->out);
	dump(p, object, JSON_EMBED);
	print_rules(p, "IngressFilterRules", filter, MS_DIRECTION_INGRESS);
	print_rules(p, "EgressFilterRules", filter, MS_DIRECTION_EGRESS);
	fputs("}", p->out);
}

static void
print_session(struct printer *p, const void *element)
{
	const struct ms_config_session *session = element;
	json_t *object = json_object();

	put_string(p, object, "TrafficMirrorSessionId", session->id);
	put_string(p, object, "NetworkInterfaceId", session->interface_id);
	if (session->number != 0)
		put(p, object, "SessionNumber", json_integer(session->number));
	put(p, object, "VirtualNetworkId", json_integer(session->vni));
	put_string(p, object, "TrafficMirrorFilterId", session->filter_id);
	put_string(p, object, "TrafficMirrorTargetId", session->target_id);
	if (session->packet_length != 0)
		put(p, object, "PacketLength", json_integer(session->packet_length));
	put_string(p, object, "Description", session->description);
	dump(p, object, 0);
}

static void
print_target(struct printer *p, const void *element)
{
	const struct ms_config_target *target = element;
	json_t *object = json_object();

	put_string(p, object, "TrafficMirrorTargetId", target->id);
	put_string(p, object, "Type", target->type);
	for (uint32_t i = 0; target->destination != NULL && i < CONFIG_TARGET_TYPES; i++) {
		if (strcmp(target->type, config_target_types[i].type) == 0)
			put_string(p, object, config_target_types[i].key, target->destination);
	}
	dump(p, object, 0);
}

/* A list of objects with one member each, an address. */
static void
put_addresses(struct printer *p, json_t *object, const char *list, const char *key,
	const struct ms_prefix *addresses, uint32_t n)
{
	json_t *array = json_array();
	json_t *address;

	for (uint32_t i = 0; i < n; i++) {
		address = json_object();
		put_string(p, address, key, config_print_address(&addresses[i]).text);
		append(p, array, address);
	}
	if (n > 0)
		put(p, object, list, array);
	else
		json_decref(array);
}

static void
print_interface(struct printer *p, const void *element)
{
	const struct ms_config_interface *interface = element;
	json_t *object = json_object();

	put_string(p, object, "NetworkInterfaceId", interface->id);
	put_string(p, object, "VpcId", interface->vpc_id);
	if (interface->mac != 0)
		put_string(p, object, "MacAddress", config_print_mac(interface->mac).text);
	if (interface->address.family != MS_FAMILY_NONE)
		put_string(p, object, "PrivateIpAddress",
			config_print_address(&interface->address).text);
	put_addresses(p, object, "PrivateIpAddresses", "PrivateIpAddress", interface->addresses,
		interface->addresses_n);
	put_addresses(p, object, "Ipv6Addresses", "Ipv6Address", interface->addresses6,
		interface->addresses6_n);
	dump(p, object, 0);
}

static void
print_vpc(struct printer *p, const void *element)
{
	const struct ms_config_vpc *vpc = element;
	json_t *object = json_object();
	json_t *array = json_array();
	json_t *block;

	put_string(p, object, "VpcId", vpc->id);
	if (vpc->blocks_n > 0)
		put_cidr(p, object, "CidrBlock", &vpc->blocks[0]);
	for (uint32_t i = 1; i < vpc->blocks_n; i++) {
		block = json_object();
		put_cidr(p, block, "CidrBlock", &vpc->blocks[i]);
		append(p, array, block);
	}
	if (vpc->blocks_n > 1)
		put(p, object, "CidrBlockAssociationSet", array);
	else
		json_decref(array);
	dump(p, object, 0);
}

static void
put_vxlan(struct printer *p, json_t *output, const struct ms_config_vxlan *vxlan)
{
	json_t *object = json_object();

	put_string(p, object, "TargetAddress", config_print_address(&vxlan->target).text);
	put_string(p, object, "SourceAddress", config_print_address(&vxlan->source).text);
	put_string(p, object, "TargetMac", config_print_mac(vxlan->target_mac).text);
	if (vxlan->source_mac != 0)
		put_string(p, object, "SourceMac", config_print_mac(vxlan->source_mac).text);
	if (vxlan->has_vni)
		put(p, object, "VirtualNetworkId", json_integer(vxlan->vni));
	put(p, object, "UdpPort", json_integer(vxlan->udp_port));
	if (vxlan->target_mtu != 0)
		put(p, object, "TargetMtu", json_integer(vxlan->target_mtu));
	put(p, output, "Vxlan", object);
}

static void
put_ports_of(struct printer *p, json_t *object, const struct ms_config_output *output)
{
	json_t *ports;

	if (output->ports_n == 1)
		put_string(p, object, "Port", output->ports[0]);
	if (output->ports_n > 1) {
		ports = json_array();
		for (uint32_t i = 0; i < output->ports_n; i++)
			append(p, ports, json_string(output->ports[i]));
		put(p, object, "Ports", ports);
	}
	if (output->queues > 1)
		put(p, object, "Queues", json_integer(output->queues));
	if (output->tenant != MS_TENANT_NONE)
		put_string(p, object, "Tenant", config_tenants[output->tenant]);
	put_string(p, object, "Interface", output->interface);
	if (output->tenant == MS_TENANT_VXLAN)
		put_vxlan(p, object, &output->vxlan);
}

static void
print_output(struct printer *p, const void *element)
{
	const struct ms_config_output *output = element;
	json_t *object = json_object();

	put_string(p, object, "Name", output->name);
	put_string(p, object, "Type", config_output_types[output->type]);
	put_string(p, object, "Path", output->path);
	put_ports_of(p, object, output);
	if (output->snaplen != 0)
		put(p, object, "Snaplen", json_integer(output->snaplen));
	if (output->outer)
		put_string(p, object, "Frame", config_frames[1]);
	if (config_put_store(object, &output->store) != 0 ||
		config_put_compress(object, &output->store) != 0)
		p->status = -ENOMEM;
	if (output->buffer_memory != 0)
		put(p, object, "BufferMemory", json_integer((json_int_t)output->buffer_memory));
	dump(p, object, 0);
}

static void
print_route(struct printer *p, const void *element)
{
	const struct ms_config_route *route = element;
	json_t *object = json_object();
	json_t *outputs = json_array();

	if (route->has_vni)
		put(p, object, "VirtualNetworkId", json_integer(route->vni));
	put_string(p, object, "SessionId", route->session_id);
	put_string(p, object, "FilterId", route->filter_id);
	for (uint32_t i = 0; i < p->config->outputs_n; i++) {
		if ((route->outputs & 1u << i) != 0)
			append(p, outputs, json_string(p->config->outputs[i].name));
	}
	put(p, object, "Outputs", outputs);
	dump(p, object, 0);
}

static void
print_key(struct printer *p, const char *key)
{
	fprintf(p->out, "%s\n  \"%s\": ", p->keys_n++ == 0 ? "" : ",", key);
}

static void
print_dedup(struct printer *p, const struct ms_config_dedup *dedup)
{
	json_t *object = json_object();

	print_key(p, "Dedup");
	put(p, object, "WindowMilliseconds", json_integer(dedup->window_ms));
	put_string(p, object, "Scope", config_dedup_scopes[dedup->scope]);
	put(p, object, "Memory", json_integer((json_int_t)dedup->memory));
	dump(p, object, 0);
}

struct list {
	const char *key;
	const void *array;
	uint32_t n;
	size_t size; /* of an element */
	bool by_name;
	void (*print)(struct printer *p, const void *element);
};

/* What is sorted by name begins with the pointer to it. */
static_assert(offsetof(struct ms_filter, name) == 0, "compare_names");
static_assert(offsetof(struct ms_config_interface, id) == 0, "compare_names");
static_assert(offsetof(struct ms_config_target, id) == 0, "compare_names");
static_assert(offsetof(struct ms_config_vpc, id) == 0, "compare_names");
static_assert(offsetof(struct ms_config_session, id) == 0, "compare_names");

static int
compare_names(const void *a, const void *b)
{
	const char *const *const *x = a;
	const char *const *const *y = b;

	return strcmp(**x, **y);
}

static void
print_list(struct printer *p, const struct list *list)
{
	const void **elements;

	if (list->n == 0)
		return;
	elements = malloc(list->n * sizeof(*elements));
	if (elements == NULL) {
		p->status = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < list->n; i++)
		elements[i] = (const char *)list->array + i * list->size;
	if (list->by_name)
		qsort(elements, list->n, sizeof(*elements), compare_names);

	print_key(p, list->key);
	for (uint32_t i = 0; i < list->n; i++) {
		fputs(i == 0 ? "[\n    " : ",\n    ", p->out);
		list->print(p, elements[i]);
	}
	fputs("\n  ]", p->out);
	free(elements);
}

#define LIST(key, array, by_name, print)                                                      \
	{                                                                                     \
		key, config->array, config->array##_n, sizeof(*config->array), by_name, print \
	}

int
ms_config_print(const struct ms_config *config, FILE *out)
{
	struct printer p = {.out = out, .config = config};
	const struct list lists[] = {
		LIST("TrafficMirrorFilters", filters, true, print_filter),
		LIST("TrafficMirrorTargets", targets, true, print_target),
		LIST("NetworkInterfaces", interfaces, true, print_interface),
		LIST("Vpcs", vpcs, true, print_vpc),
		LIST("TrafficMirrorSessions", sessions, true, print_session),
		LIST("Outputs", outputs, false, print_output),
		LIST("Routes", routes, false, print_route),
	};

	fputs("{", out);
	for (uint32_t i = 0; i < sizeof(lists) / sizeof(lists[0]) && p.status == 0; i++)
		print_list(&p, &lists[i]);
	print_key(&p, "SourceCheck");
	fprintf(out, "\"%s\"", config_source_checks[config->source_check]);
	print_key(&p, "UnknownSession");
	fprintf(out, "\"%s\"", config_unknown_sessions[config->unknown_session]);
	if (config->outer_fragments != MS_FRAGMENTS_DROP) {
		print_key(&p, "OuterFragments");
		fprintf(out, "\"%s\"", config_outer_fragments[config->outer_fragments]);
	}
	if (config->dedup.on)
		print_dedup(&p, &config->dedup);
	fputs("\n}\n", out);

	if (fflush(out) != 0 || ferror(out) != 0)
		return -EIO;
	return p.status;
}
