/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From options and documents to the headers of each session's packets. lib/mirror decides which
 * session mirrors a frame; here stands what its packets then look like.
 */
#include "sessions.h"

#include "common/address.h"
#include "targets.h"

#include <bsd/string.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SESSIONS_SHOWN 36 /* at the start; more are counted */

/* What AWS lets through to targets: an interface's MTU, and that of both kinds of load balancer. */
#define MTU_INTERFACE 9001
#define MTU_BALANCER  8500
/* https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTrafficMirrorSession.html */
#define PACKET_LENGTH_NLB 8500

static bool
is_type(const struct ms_config_target *target, const char *type)
{
	return target != NULL && target->type != NULL && strcmp(target->type, type) == 0;
}

/* Addresses of the tunnel around a Gateway Load Balancer's packets. */
static bool
settle_geneve(const struct source_options *o, const struct ms_config_session *session,
	struct ms_encap_options *encap)
{
	static const char *const names[] = {
		[SOURCE_ADDRESS_GWLB] = "--gwlb-address",
		[SOURCE_ADDRESS_ENDPOINT] = "--endpoint-address",
	};

	encap->geneve = true;
	for (unsigned int i = SOURCE_ADDRESS_GWLB; i <= SOURCE_ADDRESS_ENDPOINT; i++) {
		struct ms_ip *ip = i == SOURCE_ADDRESS_GWLB ? &encap->gwlb : &encap->endpoint;

		if (o->families[i] == MS_FAMILY_NONE)
			*ip = source_example_address(i, encap->family);
		else if (o->families[i] != encap->family)
			return cli_wrong("%s:%u:%u: session %s: its packets are IPv%u, and %s is "
					 "IPv%u: give one of the other family",
				session->origin.file, session->origin.line, session->origin.column,
				session->id, encap->family, names[i], o->families[i]);
	}
	return true;
}

/* How much of frames and packets is kept. */
static bool
settle_lengths(const struct source_options *o, const struct ms_config_session *session,
	const struct ms_config_target *target, struct ms_encap_options *encap)
{
	bool nlb = is_type(target, "network-load-balancer");
	uint32_t least = encap->family == MS_FAMILY_V4 ? MS_ENCAP_MTU_MIN_V4 : MS_ENCAP_MTU_MIN_V6;

	encap->packet_length = session->packet_length;
	if (nlb && (encap->packet_length == 0 || encap->packet_length > PACKET_LENGTH_NLB))
		encap->packet_length = PACKET_LENGTH_NLB;
	if (!o->target_mtu)
		encap->target_mtu = nlb || is_type(target, "gateway-load-balancer-endpoint")
		                            ? MTU_BALANCER
		                            : MTU_INTERFACE;
	if (encap->target_mtu == 0 || encap->target_mtu >= least)
		return true;
	return cli_wrong("--target-mtu %u: the headers over IPv%u leave no byte of a frame of "
			 "session %s: give %u or more, or 0 for no limit",
		encap->target_mtu, encap->family, session->id, least);
}

static bool
make_headers(struct source_sessions *s, const struct source_options *o,
	const struct source_targets *targets, uint32_t i)
{
	const struct ms_mirror_session *played = &s->plan->sessions[i];
	const struct ms_config_session *session = played->config;
	const struct ms_config_target *target = source_target(targets, session);
	struct ms_encap_options *encap = &s->headers[i];

	*encap = o->encap;
	encap->vni = session->vni;
	if (encap->geneve_port == 0)
		encap->geneve_port = SOURCE_GENEVE_PORT;
	if (!source_target_resolve(targets, session, s->plan->enis[played->eni].config, encap) ||
		!settle_lengths(o, session, target, encap))
		return false;
	if (o->encap.geneve || is_type(target, "gateway-load-balancer-endpoint"))
		return settle_geneve(o, session, encap);
	return true;
}

/* What was given for GENEVE must be of use to some session. */
static bool
check_geneve(const struct source_sessions *s, const struct source_options *o)
{
	const char *option = o->families[SOURCE_ADDRESS_GWLB] != MS_FAMILY_NONE ? "--gwlb-address"
	                     : o->families[SOURCE_ADDRESS_ENDPOINT] != MS_FAMILY_NONE
	                             ? "--endpoint-address"
	                     : o->encap.geneve_port != 0 ? "--geneve-port"
	                                                 : NULL;

	for (uint32_t i = 0; i < s->n; i++) {
		if (s->headers[i].geneve)
			return true;
	}
	return option == NULL ||
	       cli_wrong("%s: no session that is played has a target of type "
			 "gateway-load-balancer-endpoint: leave it out, or give --geneve to wrap "
			 "all of them so",
		       option);
}

static int
find_targets(struct source_sessions *s, const struct source_options *o)
{
	struct source_targets targets;
	int rc = source_targets_init(&targets, s->config, o);
	bool ok = rc == 0 && source_targets_check(&targets);

	if (rc != 0)
		cli_wrong("--config: %s", strerror(-rc));
	for (uint32_t i = 0; ok && i < s->n; i++)
		ok = make_headers(s, o, &targets, i);
	ok = ok && check_geneve(s, o);
	source_targets_free(&targets);
	if (rc != 0)
		return CLI_EXIT_FAILED;
	return ok ? 0 : CLI_EXIT_USAGE;
}

static struct address_text
address(struct ms_ip ip, const struct ms_encap_options *encap)
{
	return address_format(ip, encap->family);
}

/* One line for each session, as far as a screen holds them. */
static void
tell(const struct source_sessions *s)
{
	const struct ms_mirror *plan = s->plan;

	fprintf(stderr, "mirrorsource: plays %u ENI%s with %u session%s and %u filter%s\n",
		plan->enis_n, plan->enis_n == 1 ? "" : "s", s->n, s->n == 1 ? "" : "s",
		plan->filters_n, plan->filters_n == 1 ? "" : "s");
	for (uint32_t i = 0; i < s->n && i < SESSIONS_SHOWN; i++) {
		const struct ms_config_session *session = plan->sessions[i].config;
		const struct ms_encap_options *encap = &s->headers[i];

		fprintf(stderr,
			"  %s number %u of ENI %s: %s to %s, VNI %u, filter %s, target %s%s\n",
			session->id, session->number, session->interface_id,
			address(encap->source, encap).text, address(encap->target, encap).text,
			session->vni, session->filter_id,
			session->target_id != NULL ? session->target_id : "not named",
			encap->geneve ? ", GENEVE" : "");
	}
	if (s->n > SESSIONS_SHOWN)
		fprintf(stderr, "  and %u more\n", s->n - SESSIONS_SHOWN);
	if (s->config->sessions_n > s->n)
		fprintf(stderr, "  %u loaded session%s of ENIs that are not played or not loaded\n",
			s->config->sessions_n - s->n, s->config->sessions_n - s->n == 1 ? "" : "s");
}

/* ENIs that --eni names and no session is of: allowed, and likely a mistake. */
static void
tell_idle(const struct ms_mirror *plan)
{
	for (uint32_t i = 0; i < plan->enis_n; i++) {
		if (plan->enis[i].first == plan->enis[i].end)
			cli_wrong("--eni: %s has no session, so that nothing of it is mirrored",
				plan->enis[i].config->id);
	}
}

static int
load_documents(struct source_sessions *s, const struct source_options *o)
{
	const struct ms_mirror_options options = {
		.enis = o->enis,
		.enis_n = o->enis_n,
		.stop_at_reject = o->after_reject != NULL && strcmp(o->after_reject, "stop") == 0,
	};
	struct ms_config_error error;
	int rc = ms_config_read(&s->config, o->configs, o->configs_n, &error);

	if (rc == 0)
		rc = ms_mirror_compile(&s->plan, s->config, &options, &error);
	if (rc != 0) {
		cli_wrong("%s", error.text);
		return rc == -ENOMEM ? CLI_EXIT_FAILED : CLI_EXIT_USAGE;
	}
	s->n = s->plan->sessions_n;
	s->headers = calloc(s->n + 1, sizeof(*s->headers));
	if (s->headers == NULL) {
		cli_wrong("--config: %s", strerror(ENOMEM));
		return CLI_EXIT_FAILED;
	}
	rc = find_targets(s, o);
	if (rc == 0) {
		tell(s);
		tell_idle(s->plan);
	}
	return rc;
}

int
source_sessions_load(struct source_sessions *s, const struct source_options *o)
{
	memset(s, 0, sizeof(*s));
	if (o->configs_n > 0)
		return load_documents(s, o);
	s->headers = calloc(1, sizeof(*s->headers));
	if (s->headers == NULL) {
		cli_wrong("%s", strerror(ENOMEM));
		return CLI_EXIT_FAILED;
	}
	s->headers[0] = o->encap;
	s->n = 1;
	return 0;
}

int
source_sessions_wrap(struct source_sessions *s, const struct rte_ether_addr *mac)
{
	int rc = 0;

	s->encaps = aligned_alloc(alignof(struct ms_encap), (s->n + 1) * sizeof(*s->encaps));
	if (s->encaps == NULL)
		rc = -ENOMEM;
	for (uint32_t i = 0; rc == 0 && i < s->n; i++) {
		s->headers[i].source_mac = *mac;
		rc = ms_encap_init(&s->encaps[i], &s->headers[i]);
	}
	if (rc == 0)
		return 0;
	cli_wrong("no headers for the packets of the sessions: %s", strerror(-rc));
	return rc == -ENOMEM ? CLI_EXIT_FAILED : CLI_EXIT_USAGE;
}

void
source_sessions_free(struct source_sessions *s)
{
	ms_mirror_free(s->plan);
	ms_config_free(s->config);
	free(s->headers);
	free(s->encaps);
}

struct source_session_name
source_session_name(const struct source_sessions *s, uint32_t i)
{
	const struct ms_config_session *session = source_session_config(s, i);
	struct source_session_name name;

	if (session != NULL)
		strlcpy(name.text, session->id, sizeof(name.text));
	else
		snprintf(name.text, sizeof(name.text), "vni%u", s->headers[i].vni);
	return name;
}
