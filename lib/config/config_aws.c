/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The objects of AWS, as `aws ec2 describe-...` prints them. Each function reads one element of a
 * top-level list into one object of struct ms_config. Keys that are not read are ignored: AWS adds
 * keys. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Types.html
 */
#include "config/config_internal.h"

#include <string.h>

#define ALWAYS_PRINTED "AWS always prints it"

const struct config_target_type config_target_types[CONFIG_TARGET_TYPES] = {
	{"network-interface", "NetworkInterfaceId"},
	{"network-load-balancer", "NetworkLoadBalancerArn"},
	{"gateway-load-balancer-endpoint", "GatewayLoadBalancerEndpointId"},
};

/* A list of rules within a filter, which says what the rules then need not say. */
struct rule_list {
	uint8_t direction;
	const char *filter_id;
	int32_t filter;
};

static bool
read_port_range(struct config_reader *r, const struct config_at *at, const char *key,
	struct ms_port_range *out)
{
	struct config_at range = config_child(at, key);
	int64_t from = 0;
	int64_t to = UINT16_MAX;

	if (range.value == NULL)
		return true;
	if (!config_integer(r, &range, "FromPort", 0, UINT16_MAX, &from) ||
		!config_integer(r, &range, "ToPort", 0, UINT16_MAX, &to))
		return false;
	if (from > to)
		return config_fail(
			r, &range, "the range is empty; FromPort must not exceed ToPort");
	*out = (struct ms_port_range){.present = true, .from = (uint16_t)from, .to = (uint16_t)to};
	return true;
}

/* What a rule matches. Keys are asked for in the order in which AWS prints them, which is faster.
 */
static bool
read_rule_match(struct config_reader *r, const struct config_at *at, struct ms_rule *rule)
{
	int64_t protocol = MS_PROTO_ANY;

	if (!config_integer(r, at, "Protocol", MS_PROTO_ANY, UINT8_MAX, &protocol) ||
		!read_port_range(r, at, "DestinationPortRange", &rule->dport) ||
		!read_port_range(r, at, "SourcePortRange", &rule->sport) ||
		!config_cidr(r, at, "DestinationCidrBlock", &rule->dst) ||
		!config_cidr(r, at, "SourceCidrBlock", &rule->src))
		return false;
	rule->protocol = (int16_t)protocol;
	if (rule->src.family != MS_FAMILY_NONE && rule->dst.family != MS_FAMILY_NONE &&
		rule->src.family != rule->dst.family)
		return config_fail(r, at,
			"a rule of mixed address families; "
			"write both CIDR blocks as IPv4, or both as IPv6");
	return true;
}

/* The name, direction and filter of a rule: in a filter's own list they may be left out. */
static bool
read_rule_owner(struct config_reader *r, const struct config_at *at, const struct rule_list *in,
	struct config_rule *rule)
{
	static const char *const directions[] = {"ingress", "egress", NULL};
	const uint8_t values[] = {MS_DIRECTION_INGRESS, MS_DIRECTION_EGRESS};
	struct config_at child;
	int direction = 0;

	if (in == NULL && (!config_require(r, at, "TrafficDirection", ALWAYS_PRINTED) ||
				  !config_require(r, at, "TrafficMirrorFilterId", ALWAYS_PRINTED)))
		return false;
	if (in != NULL) {
		direction = in->direction == values[0] ? 0 : 1;
		rule->filter_id = in->filter_id;
		rule->filter = in->filter;
	}
	if (!config_keep(r, at, "TrafficMirrorFilterRuleId", &rule->id) ||
		!(in == NULL ? config_keep : config_borrow)(
			r, at, "TrafficMirrorFilterId", &rule->filter_id) ||
		!config_choice(r, at, "TrafficDirection", directions, &direction))
		return false;
	rule->rule.direction = values[direction];
	if (in != NULL && rule->rule.direction != in->direction) {
		child = config_child(at, "TrafficDirection");
		return config_fail(r, &child,
			"contradicts the list in which the rule stands; "
			"move the rule, or change its direction");
	}
	if (in != NULL && strcmp(rule->filter_id, in->filter_id) != 0) {
		child = config_child(at, "TrafficMirrorFilterId");
		return config_fail(r, &child,
			"contradicts the filter in which the rule stands, \"%s\"; "
			"move the rule, or leave the key out",
			in->filter_id);
	}
	if (in != NULL)
		rule->filter_id = in->filter_id;
	return true;
}

/* arg: the struct rule_list in which the rule stands; NULL in TrafficMirrorFilterRules. */
bool
config_read_rule(struct config_reader *r, const struct config_at *at, void *arg)
{
	static const char *const actions[] = {"accept", "reject", NULL};
	struct config_rule *rule = config_append(r, r->rules, r->rules_n);
	int64_t number = 0;
	int action = -1;

	if (rule == NULL)
		return false;
	rule->at = config_keep_at(r, at);
	rule->filter = -1;
	if (!read_rule_owner(r, at, arg, rule) ||
		!config_integer(r, at, "RuleNumber", 1, CONFIG_NUMBER_MAX, &number) ||
		(number == 0 && !config_require(r, at, "RuleNumber", ALWAYS_PRINTED)) ||
		!config_choice(r, at, "RuleAction", actions, &action) ||
		(action < 0 && !config_require(r, at, "RuleAction", ALWAYS_PRINTED)))
		return false;
	rule->hash = rule->id != NULL ? config_hash(rule->id) : 0;
	rule->rule.number = (uint16_t)number;
	rule->rule.accept = action == 0;
	return read_rule_match(r, at, &rule->rule);
}

static bool
read_service(struct config_reader *r, const struct config_at *at, void *arg)
{
	struct ms_filter *filter = arg;

	if (!config_json_is(at->value, CONFIG_JSON_STRING) ||
		strcmp(config_json_string(at->value), "amazon-dns") != 0)
		return config_fail(r, at, "not a network service; only \"amazon-dns\" is known");
	filter->amazon_dns = true;
	return true;
}

bool
config_read_filter(struct config_reader *r, const struct config_at *at, void *arg)
{
	struct ms_filter *filter = config_append(r, r->config->filters, r->config->filters_n);
	struct rule_list ingress = {.direction = MS_DIRECTION_INGRESS};
	struct rule_list egress = {.direction = MS_DIRECTION_EGRESS};

	if (filter == NULL || !config_name(r, at, CONFIG_FILTER, &filter->name))
		return false;
	ingress.filter_id = egress.filter_id = filter->name;
	ingress.filter = egress.filter = (int32_t)r->config->filters_n - 1;
	return config_description(r, at, &filter->description) &&
	       config_each(r, at, "NetworkServices", read_service, filter) &&
	       config_each(r, at, "IngressFilterRules", config_read_rule, &ingress) &&
	       config_each(r, at, "EgressFilterRules", config_read_rule, &egress);
}

/* The primary address is the first of addresses already; it is in this list again. */
static bool
read_private_address(struct config_reader *r, const struct config_at *at, void *arg)
{
	struct ms_config_interface *interface = arg;
	struct ms_prefix address = {.family = MS_FAMILY_NONE};
	struct ms_prefix *added;

	if (!config_require(r, at, "PrivateIpAddress", ALWAYS_PRINTED) ||
		!config_address(r, at, "PrivateIpAddress", MS_FAMILY_V4, &address))
		return false;
	if (interface->addresses_n > 0 && ms_ip_equal(interface->addresses[0].ip, address.ip))
		return true;
	added = config_append(r, interface->addresses, interface->addresses_n);
	if (added == NULL)
		return false;
	*added = address;
	return true;
}

static bool
read_ipv6_address(struct config_reader *r, const struct config_at *at, void *arg)
{
	struct ms_config_interface *interface = arg;
	struct ms_prefix *added = config_append(r, interface->addresses6, interface->addresses6_n);

	return added != NULL && config_require(r, at, "Ipv6Address", ALWAYS_PRINTED) &&
	       config_address(r, at, "Ipv6Address", MS_FAMILY_V6, added);
}

bool
config_read_interface(struct config_reader *r, const struct config_at *at, void *arg)
{
	struct ms_config *config = r->config;
	struct ms_config_interface *interface =
		config_append(r, config->interfaces, config->interfaces_n);
	struct ms_prefix *first;

	if (interface == NULL)
		return false;
	interface->origin = config_origin(r, at);
	if (!config_name(r, at, CONFIG_INTERFACE, &interface->id) ||
		!config_string(r, at, "VpcId", &interface->vpc_id) ||
		!config_mac(r, at, "MacAddress", &interface->mac) ||
		!config_address(r, at, "PrivateIpAddress", MS_FAMILY_V4, &interface->address))
		return false;
	if (interface->address.family != MS_FAMILY_NONE) {
		first = config_append(r, interface->addresses, interface->addresses_n);
		if (first == NULL)
			return false;
		*first = interface->address;
	}
	return config_each(r, at, "PrivateIpAddresses", read_private_address, interface) &&
	       config_each(r, at, "Ipv6Addresses", read_ipv6_address, interface);
}

/* The type and the key of the destination tell each other; a type that we do not know has none. */
static bool
read_destination(
	struct config_reader *r, const struct config_at *at, struct ms_config_target *target)
{
	const struct config_target_type *known = config_target_types;
	struct config_at child;

	for (uint32_t i = 0; i < CONFIG_TARGET_TYPES; i++, known++) {
		child = config_child(at, known->key);
		if (target->type == NULL && child.value != NULL) {
			target->type = strdup(known->type);
			if (target->type == NULL)
				return config_no_memory(r);
		}
		if (target->type != NULL && strcmp(target->type, known->type) == 0)
			return config_string(r, at, known->key, &target->destination);
	}
	return true;
}

bool
config_read_target(struct config_reader *r, const struct config_at *at, void *arg)
{
	struct ms_config_target *target =
		config_append(r, r->config->targets, r->config->targets_n);

	if (target == NULL)
		return false;
	target->origin = config_origin(r, at);
	return config_name(r, at, CONFIG_TARGET, &target->id) &&
	       config_string(r, at, "Type", &target->type) && read_destination(r, at, target);
}

/* The first block is in CidrBlockAssociationSet again. */
static bool
read_vpc_block(struct config_reader *r, const struct config_at *at, void *arg)
{
	struct ms_config_vpc *vpc = arg;
	struct ms_prefix block = {.family = MS_FAMILY_NONE};
	struct config_at child;
	struct ms_prefix *added;

	if (!config_cidr(r, at, "CidrBlock", &block))
		return false;
	if (block.family == MS_FAMILY_NONE)
		return true;
	if (block.family != MS_FAMILY_V4) {
		child = config_child(at, "CidrBlock");
		return config_fail(r, &child,
			"not an IPv4 block; AWS keeps IPv6 blocks in Ipv6CidrBlockAssociationSet");
	}
	if (vpc->blocks_n > 0 && ms_ip_equal(vpc->blocks[0].ip, block.ip) &&
		vpc->blocks[0].length == block.length)
		return true;
	added = config_append(r, vpc->blocks, vpc->blocks_n);
	if (added == NULL)
		return false;
	*added = block;
	return true;
}

bool
config_read_vpc(struct config_reader *r, const struct config_at *at, void *arg)
{
	struct ms_config_vpc *vpc = config_append(r, r->config->vpcs, r->config->vpcs_n);

	return vpc != NULL && config_name(r, at, CONFIG_VPC, &vpc->id) &&
	       read_vpc_block(r, at, vpc) &&
	       config_each(r, at, "CidrBlockAssociationSet", read_vpc_block, vpc);
}

/* Filters and interfaces are known by now, whatever file they stand in. */
bool
config_read_session(struct config_reader *r, const struct config_at *at, void *arg)
{
	struct ms_config_session *s = config_append(r, r->config->sessions, r->config->sessions_n);
	int64_t number = 0;
	int64_t vni = 0;
	int64_t length = 0;

	if (s == NULL)
		return false;
	s->origin = config_origin(r, at);
	if (!config_name(r, at, CONFIG_SESSION, &s->id) ||
		!config_description(r, at, &s->description) ||
		!config_string(r, at, "TrafficMirrorFilterId", &s->filter_id) ||
		!config_string(r, at, "TrafficMirrorTargetId", &s->target_id) ||
		!config_string(r, at, "NetworkInterfaceId", &s->interface_id) ||
		!config_integer(r, at, "SessionNumber", 1, CONFIG_NUMBER_MAX, &number) ||
		!config_require(r, at, "VirtualNetworkId",
			ALWAYS_PRINTED ", also where it chose the number itself") ||
		!config_integer(r, at, "VirtualNetworkId", 0, MS_VNI_MAX, &vni) ||
		!config_integer(r, at, "PacketLength", 1, MS_LENGTH_MAX, &length))
		return false;
	s->number = (uint16_t)number;
	s->vni = (uint32_t)vni;
	s->packet_length = (uint32_t)length;
	s->filter = config_find(r, CONFIG_FILTER, s->filter_id);
	s->interface = config_find(r, CONFIG_INTERFACE, s->interface_id);
	return true;
}
