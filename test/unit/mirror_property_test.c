/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Holds lib/mirror against a reader of the same rules who takes them one by one: random ENIs,
 * sessions and filters, and bursts of random frames near everything that decides. Every sighting
 * (frame, ENI, direction, fate, session) and every hit of a rule must be the same. Single filters
 * are asked through ms_filter_ref(), the oracle of lib/filter.
 *
 *	mirror_property_test [--seed N] [--frames N]
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>

#include "mirror/ms_mirror.h"
#include "packet_fixture.h"

#define ENIS     6
#define VPCS     3
#define FILTERS  5
#define RULES    6
#define BURSTS   16 /* of one world */
#define VPC_BASE UINT64_C(0x0a000000)

struct world {
	struct test_random random;
	uint64_t seed;
	uint64_t frames;
	uint64_t fates[MS_MIRROR_FATE_COUNT];
	bool stop_at_reject;
	struct ms_config config;
	struct ms_config_interface interfaces[ENIS];
	struct ms_config_vpc vpcs[VPCS];
	struct ms_prefix blocks[VPCS][2];
	struct ms_filter filters[FILTERS];
	struct ms_rule rules[FILTERS][RULES];
	struct ms_config_session sessions[3 * ENIS];
	uint64_t hits[FILTERS][RULES]; /* as the naive reader counts */
	uint64_t services[FILTERS];
};

/* Names that only have to differ. */
static char names[64][8];

static uint32_t
below(struct world *w, uint32_t n)
{
	return test_below(&w->random, n);
}

static bool
one_in(struct world *w, uint32_t n)
{
	return below(w, n) == 0;
}

static struct ms_ip
address(const char *text)
{
	rte_be64_t six[2];
	rte_be32_t four;

	if (inet_pton(AF_INET, text, &four) == 1)
		return (struct ms_ip){.lo = rte_be_to_cpu_32(four)};
	if (inet_pton(AF_INET6, text, six) != 1)
		abort();
	return (struct ms_ip){rte_be_to_cpu_64(six[0]), rte_be_to_cpu_64(six[1])};
}

static bool
is(struct ms_ip ip, uint8_t family, const char *text)
{
	return (strchr(text, ':') != NULL) == (family == MS_FAMILY_V6) &&
	       ms_ip_equal(ip, address(text));
}

static const uint16_t ports[] = {53, 54, 67, 68, 69, 80, 123, 546, 547, 1688, 4000};

static struct ms_ip
random_ip(struct world *w, uint8_t family)
{
	static const char *const four[] = {"169.254.169.254", "169.254.169.253", "169.254.169.251",
		"169.254.169.250", "169.254.169.123", "169.254.169.1", "192.0.2.1"};
	static const char *const six[] = {"fd00:ec2::254", "fd00:ec2::253", "fd00:ec2::240",
		"fd00:ec2::123", "fd00:ec2::1", "2001:db8::1"};

	if (family == MS_FAMILY_V6)
		return address(six[below(w, RTE_DIM(six))]);
	if (one_in(w, 2))
		return (struct ms_ip){.lo = VPC_BASE + (below(w, 2 * VPCS) << 16) + below(w, 4)};
	return address(four[below(w, RTE_DIM(four))]);
}

static struct ms_rule
random_rule(struct world *w)
{
	static const int16_t protocols[] = {MS_PROTO_ANY, MS_PROTO_ANY, 6, 17, 1};
	struct ms_rule rule = {
		.accept = one_in(w, 2), .protocol = protocols[below(w, RTE_DIM(protocols))]};

	if (one_in(w, 2)) {
		uint16_t port = ports[below(w, RTE_DIM(ports))];

		rule.dport = (struct ms_port_range){true, port, port};
	}
	if (one_in(w, 3)) {
		rule.src = (struct ms_prefix){.family = MS_FAMILY_V4, .length = 16};
		rule.src.ip.lo = random_ip(w, MS_FAMILY_V4).lo & ~UINT64_C(0xffff);
	}
	return rule;
}

static void
random_filter(struct world *w, uint32_t f)
{
	struct ms_filter *filter = &w->filters[f];
	uint32_t n = below(w, RULES + 1);
	uint32_t egress = below(w, n + 1);

	*filter = (struct ms_filter){
		.name = names[f], .amazon_dns = one_in(w, 3), .rules = w->rules[f], .rules_n = n};
	for (uint32_t i = 0; i < n; i++) {
		w->rules[f][i] = random_rule(w);
		w->rules[f][i].number = (uint16_t)(i + 1);
		w->rules[f][i].direction = i < egress ? MS_DIRECTION_INGRESS : MS_DIRECTION_EGRESS;
	}
}

/* Sessions in any order; those of one ENI have different numbers. */
static void
random_sessions(struct world *w)
{
	uint32_t n = 0;

	for (uint32_t e = 0; e < ENIS; e++) {
		uint32_t of_eni = below(w, 4);
		uint16_t number = (uint16_t)below(w, 3);

		for (uint32_t i = 0; i < of_eni; i++, n++) {
			number = (uint16_t)(number + 1 + below(w, 5000));
			w->sessions[n] = (struct ms_config_session){.id = names[n],
				.filter_id = names[0],
				.interface_id = w->interfaces[e].id,
				.interface = (int32_t)e,
				.filter = (int32_t)below(w, FILTERS),
				.number = number};
		}
	}
	for (uint32_t i = n; i > 1; i--) {
		struct ms_config_session last = w->sessions[i - 1];
		uint32_t other = below(w, i);

		w->sessions[i - 1] = w->sessions[other];
		w->sessions[other] = last;
	}
	w->config.sessions_n = n;
}

static void
random_world(struct world *w)
{
	for (uint32_t v = 0; v < VPCS; v++) {
		w->vpcs[v] = (struct ms_config_vpc){
			.id = names[v], .blocks = w->blocks[v], .blocks_n = below(w, 3)};
		for (uint32_t b = 0; b < 2; b++)
			w->blocks[v][b] = (struct ms_prefix){.family = MS_FAMILY_V4,
				.length = 16,
				.ip.lo = VPC_BASE + ((2 * v + b) << 16)};
	}
	for (uint32_t e = 0; e < ENIS; e++)
		w->interfaces[e] = (struct ms_config_interface){.id = names[e],
			.mac = 1 + e,
			.vpc = one_in(w, 6) ? -1 : (int32_t)below(w, VPCS)};
	for (uint32_t f = 0; f < FILTERS; f++)
		random_filter(w, f);
	w->stop_at_reject = one_in(w, 3);
	w->config = (struct ms_config){.filters = w->filters,
		.filters_n = FILTERS,
		.interfaces = w->interfaces,
		.interfaces_n = ENIS,
		.vpcs = w->vpcs,
		.vpcs_n = VPCS,
		.sessions = w->sessions};
	random_sessions(w);
	memset(w->hits, 0, sizeof(w->hits));
	memset(w->services, 0, sizeof(w->services));
}

static struct ms_packet
random_packet(struct world *w)
{
	static const uint8_t protocols[] = {6, 17, 17, 1, 132};
	const uint8_t all = MS_HAS_PROTO | MS_HAS_SRC | MS_HAS_DST | MS_HAS_SPORT | MS_HAS_DPORT;
	struct ms_packet p = {
		.mac_dst = below(w, ENIS + 3),
		.mac_src = below(w, ENIS + 3),
		.ether_type = one_in(w, 30) ? 0x0806 : 0x0800,
		.fate = (uint8_t)below(w, MS_FATE_COUNT), /* what is left from before */
		.policy = (uint32_t)test_random(&w->random),
	};
	struct ms_key *key = &p.key;

	if (p.ether_type == 0x0806 || one_in(w, 30))
		return p;
	key->has = one_in(w, 10) ? (uint8_t)(all & test_random(&w->random)) : all;
	key->family = one_in(w, 3) ? MS_FAMILY_V6 : MS_FAMILY_V4;
	key->proto = (key->has & MS_HAS_PROTO) != 0 ? protocols[below(w, RTE_DIM(protocols))] : 0;
	if (key->proto != 6 && key->proto != 17)
		key->has &= (uint8_t) ~(MS_HAS_SPORT | MS_HAS_DPORT);
	if ((key->has & MS_HAS_SRC) != 0)
		key->src = random_ip(w, key->family);
	if ((key->has & MS_HAS_DST) != 0)
		key->dst = random_ip(w, key->family);
	if ((key->has & MS_HAS_SPORT) != 0)
		key->sport = ports[below(w, RTE_DIM(ports))];
	if ((key->has & MS_HAS_DPORT) != 0)
		key->dport = ports[below(w, RTE_DIM(ports))];
	return p;
}

/* Is one end of the frame this address, and, unless port is 0, TCP at this port? */
static bool
meets(const struct ms_key *key, const char *text, uint16_t port)
{
	bool src = is(key->src, key->family, text), dst = is(key->dst, key->family, text);

	if (port == 0)
		return src || dst;
	return key->proto == 6 && ((src && key->sport == port) || (dst && key->dport == port));
}

static enum ms_mirror_fate
naive_exclusion(const struct ms_packet *p)
{
	const struct ms_key *k = &p->key;

	if (p->ether_type == 0x0806)
		return MS_MIRROR_EXCLUDED_ARP;
	if (k->proto == 17 && (k->sport == 67 || k->sport == 68) &&
		(k->dport == 67 || k->dport == 68))
		return MS_MIRROR_EXCLUDED_DHCP;
	if (k->proto == 17 && (k->sport == 546 || k->sport == 547) &&
		(k->dport == 546 || k->dport == 547))
		return MS_MIRROR_EXCLUDED_DHCP;
	if (meets(k, "169.254.169.254", 0) || meets(k, "fd00:ec2::254", 0))
		return MS_MIRROR_EXCLUDED_METADATA;
	if (meets(k, "169.254.169.123", 0) || meets(k, "fd00:ec2::123", 0))
		return MS_MIRROR_EXCLUDED_NTP;
	if (meets(k, "169.254.169.250", 1688) || meets(k, "169.254.169.251", 1688) ||
		meets(k, "fd00:ec2::240", 1688))
		return MS_MIRROR_EXCLUDED_ACTIVATION;
	return MS_MIRROR_TAKEN;
}

static void
naive_hit(void *arg, const struct ms_filter *filter, uint32_t rule)
{
	struct world *w = arg;

	if (rule == MS_RULE_NONE)
		w->services[filter - w->filters]++;
	else
		w->hits[filter - w->filters][rule]++;
}

/* Tells Amazon DNS from all else; belongs to no session, and is not counted. */
static const struct ms_filter only_dns = {.amazon_dns = true};

/* What one filter says about a frame at an ENI. */
static enum ms_fate
naive_filter(struct world *w, const struct ms_filter *filter, uint32_t eni,
	const struct ms_key *key, uint8_t direction)
{
	const struct ms_filter_route route = {.outputs = 1};
	struct ms_filter_policy policy = {.session = filter, .routes = &route, .routes_n = 1};
	struct ms_prefix resolvers[2];

	for (uint32_t v = 0; v < VPCS; v++) {
		if (w->interfaces[eni].vpc != (int32_t)v)
			continue;
		policy.resolvers = resolvers;
		policy.resolvers_n = w->vpcs[v].blocks_n;
		for (uint32_t b = 0; b < policy.resolvers_n; b++)
			resolvers[b] = (struct ms_prefix){.family = MS_FAMILY_V4,
				.length = 32,
				.ip.lo = w->blocks[v][b].ip.lo + 2};
	}
	return ms_filter_ref(&policy, key, direction, filter == &only_dns ? NULL : naive_hit, w)
	        .fate;
}

/* The ENI's session with the least number above `last`, or NULL. */
static const struct ms_config_session *
naive_next(const struct world *w, uint32_t eni, uint16_t last)
{
	const struct ms_config_session *next = NULL;

	for (uint32_t i = 0; i < w->config.sessions_n; i++) {
		const struct ms_config_session *s = &w->sessions[i];

		if (s->interface == (int32_t)eni && s->number > last &&
			(next == NULL || s->number < next->number))
			next = s;
	}
	return next;
}

/* The fate of a frame that an ENI sees, and the session that mirrors it. */
static enum ms_mirror_fate
naive_eni(struct world *w, uint32_t eni, const struct ms_packet *p, uint8_t direction,
	const struct ms_config_session **session)
{
	enum ms_mirror_fate fate = naive_exclusion(p);
	bool dns = naive_filter(w, &only_dns, eni, &p->key, direction) == MS_FATE_NONE;
	uint16_t last = 0;

	if (fate != MS_MIRROR_TAKEN)
		return fate;
	if (naive_next(w, eni, 0) == NULL)
		return MS_MIRROR_NO_SESSION;
	fate = dns ? MS_MIRROR_EXCLUDED_DNS : MS_MIRROR_FILTER_DEFAULT;
	while ((*session = naive_next(w, eni, last)) != NULL) {
		const struct ms_filter *filter = &w->filters[(*session)->filter];
		enum ms_fate said;

		last = (*session)->number;
		if (dns && !filter->amazon_dns)
			continue;
		said = naive_filter(w, filter, eni, &p->key, direction);
		if (said == MS_FATE_NONE)
			return MS_MIRROR_TAKEN;
		if (said == MS_FATE_FILTER_REJECT)
			fate = MS_MIRROR_FILTER_REJECT;
		if (said == MS_FATE_FILTER_REJECT && w->stop_at_reject)
			break;
	}
	return fate;
}

/* Holds the next sighting against what the naive reader says of this ENI (ENIS: of none). */
static bool
check_sighting(struct world *w, const struct ms_mirror *mirror,
	const struct ms_mirror_sighting *got, const struct ms_packet *p, uint32_t eni)
{
	const struct ms_config_session *session = NULL;
	uint8_t direction = eni + 1 == p->mac_src ? MS_DIRECTION_EGRESS : MS_DIRECTION_INGRESS;
	enum ms_mirror_fate fate = MS_MIRROR_NO_ENI;

	if (eni == ENIS)
		direction = MS_DIRECTION_UNKNOWN;
	else
		fate = naive_eni(w, eni, p, direction, &session);
	w->fates[fate]++;
	return got->fate == fate && got->direction == direction &&
	       (eni == ENIS ? got->eni == MS_MIRROR_NONE
			    : mirror->enis[got->eni].config == &w->interfaces[eni]) &&
	       (fate != MS_MIRROR_TAKEN || mirror->sessions[got->session].config == session);
}

/* Which ENI has a MAC address among those that are played. */
static uint32_t
played(const struct world *w, uint64_t mac)
{
	uint32_t eni = mac == 0 || mac > ENIS ? ENIS : (uint32_t)mac - 1;

	return eni != ENIS && naive_next(w, eni, 0) == NULL ? ENIS : eni;
}

static bool
check_burst(struct world *w, const struct ms_mirror *mirror)
{
	static struct ms_mirror_sightings seen;
	struct ms_packet packets[MS_BURST], before[MS_BURST];
	uint16_t n = (uint16_t)(1 + below(w, MS_BURST)), s = 0;

	for (uint16_t i = 0; i < n; i++)
		before[i] = packets[i] = random_packet(w);
	ms_mirror_burst(mirror, packets, n, &seen);
	for (uint16_t i = 0; i < n; i++, w->frames++) {
		uint32_t from = played(w, before[i].mac_src), to = played(w, before[i].mac_dst);
		bool twice = from != ENIS && to != ENIS && from != to;

		if (s + twice >= seen.n || seen.list[s].frame != i ||
			!check_sighting(
				w, mirror, &seen.list[s++], &before[i], from != ENIS ? from : to) ||
			(twice && (seen.list[s].frame != i ||
					  !check_sighting(
						  w, mirror, &seen.list[s++], &before[i], to)))) {
			fprintf(stderr, "seed %" PRIu64 ", frame %" PRIu64 ": wrong\n", w->seed,
				w->frames);
			return false;
		}
	}
	return s == seen.n;
}

static bool
check_counts(struct world *w, const struct ms_mirror *mirror)
{
	uint64_t rules[FILTERS * RULES], services[FILTERS];

	ms_mirror_count(mirror, rules, services);
	for (uint32_t f = 0; f < FILTERS; f++) {
		if (services[f] != w->services[f] ||
			memcmp(&rules[mirror->rules_first[f]], w->hits[f],
				w->filters[f].rules_n * sizeof(uint64_t)) != 0) {
			fprintf(stderr, "seed %" PRIu64 ": hits of filter %u are wrong\n", w->seed,
				f);
			return false;
		}
	}
	return true;
}

static bool
check_world(struct world *w)
{
	struct ms_mirror_options options = {0};
	struct ms_config_error error;
	struct ms_mirror *mirror;
	bool ok = true;

	random_world(w);
	options.stop_at_reject = w->stop_at_reject;
	if (w->config.sessions_n == 0)
		return true;
	if (ms_mirror_compile(&mirror, &w->config, &options, &error) != 0) {
		fprintf(stderr, "seed %" PRIu64 ": %s\n", w->seed, error.text);
		return false;
	}
	for (unsigned int i = 0; ok && i < BURSTS; i++)
		ok = check_burst(w, mirror);
	ok = ok && check_counts(w, mirror);
	ms_mirror_free(mirror);
	return ok;
}

int
main(int argc, char **argv)
{
	static struct world w;
	uint64_t frames = 300000;
	bool ok = true;

	w.seed = 1;
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--seed") == 0)
			w.seed = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "--frames") == 0)
			frames = strtoull(argv[i + 1], NULL, 0);
	}
	w.random.state = w.seed | UINT64_C(1) << 63;
	for (unsigned int i = 0; i < RTE_DIM(names); i++)
		snprintf(names[i], sizeof(names[i]), "n%u", i);
	while (ok && w.frames < frames)
		ok = check_world(&w);
	printf("seed %" PRIu64 ": %" PRIu64 " frames\n", w.seed, w.frames);
	/* ENIs without a session are not played here; all else must have come up */
	for (unsigned int f = 0; ok && f < MS_MIRROR_FATE_COUNT; f++) {
		if (f == MS_MIRROR_NO_SESSION || w.fates[f] != 0 || frames < 100000)
			continue;
		fprintf(stderr, "no frame had fate %u\n", f);
		ok = false;
	}
	return ok ? 0 : 1;
}
