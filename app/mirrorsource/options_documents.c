/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options that go with AWS documents, and those that do not go with them: what a document says
 * about a session is not to be said once more.
 */
#include "options_documents.h"

#include "common/address.h"

#include <string.h>

/* Appends to a list of options that may be given several times. */
static bool
append(const char *option, const char **list, uint16_t *n, const char *text)
{
	if (*n == SOURCE_REPEATS_MAX)
		return cli_wrong("%s: '%s' is one too many: give %u at most", option, text,
			SOURCE_REPEATS_MAX);
	list[(*n)++] = text;
	return true;
}

bool
options_add_config(struct source_options *o, const char *text)
{
	return append("--config", o->configs, &o->configs_n, text);
}

bool
options_add_eni(struct source_options *o, const char *text)
{
	return append("--eni", o->enis, &o->enis_n, text);
}

bool
options_add_target(struct source_options *o, const char *text)
{
	const char *equals = strchr(text, '=');
	struct source_target *target = &o->targets[o->targets_n];

	if (o->targets_n == SOURCE_REPEATS_MAX)
		return cli_wrong("--target: '%s' is one too many: give %u at most", text,
			SOURCE_REPEATS_MAX);
	if (equals == NULL || equals == text ||
		!address_parse(equals + 1, &target->address, &target->family))
		return cli_wrong("--target: '%s' does not say where a target is: give its "
				 "TrafficMirrorTargetId and an IP address, like "
				 "tmt-0fe7f03b47EXAMPLE=192.0.2.1",
			text);
	target->id = text;
	target->id_length = (uint16_t)(equals - text);
	o->targets_n++;
	return true;
}

bool
options_set_ip_version(struct source_options *o, const char *text)
{
	if (strcmp(text, "4") != 0 && strcmp(text, "6") != 0)
		return cli_wrong("--ip-version: '%s' is no version of IP: give 4 or 6", text);
	o->ip_version = text[0] == '4' ? MS_FAMILY_V4 : MS_FAMILY_V6;
	return true;
}

bool
options_set_after_reject(struct source_options *o, const char *text)
{
	o->after_reject = text;
	if (strcmp(text, "next") != 0 && strcmp(text, "stop") != 0)
		return cli_wrong("--after-reject: '%s' is neither: give next, to ask an ENI's next "
				 "session, or stop",
			text);
	return true;
}

/* What the first form takes and documents say; NULL if none of it was given. */
static const char *
said_by_documents(const struct source_options *o)
{
	if (o->families[SOURCE_ADDRESS_SOURCE] != MS_FAMILY_NONE)
		return "--source-address";
	if (o->vni)
		return "--vni";
	return o->encap.packet_length != 0 ? "--packet-length" : NULL;
}

/* What makes no sense without documents; NULL if none of it was given. */
static const char *
needs_documents(const struct source_options *o)
{
	if (o->enis_n > 0)
		return "--eni";
	if (o->targets_n > 0)
		return "--target";
	if (o->ip_version != 0)
		return "--ip-version";
	return o->after_reject != NULL ? "--after-reject" : NULL;
}

bool
options_check_documents(const struct source_options *o)
{
	const char *option = o->configs_n > 0 ? said_by_documents(o) : needs_documents(o);

	if (option == NULL)
		return true;
	if (o->configs_n > 0)
		return cli_wrong("%s: the documents of --config say this for each session: leave "
				 "the option out, or --config",
			option);
	return cli_wrong("%s: is about AWS documents: give them with --config", option);
}
