/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Holds the filter compiler against the oracle: random policies, and for each of them random keys
 * that lie on the edges of its rules. In every layout, key by key and in bursts, outputs, fate and
 * the rules that were hit must be those of ms_filter_ref().
 *
 *	filter_property_test [--seed N] [--pairs N]
 *
 * A pair is one policy and one key; it is looked up in four layouts, in two ways. The seed is
 * printed; the same seed gives the same pairs.
 */
#include "filter/ms_filter_lookup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILTERS_MAX   4
#define ROUTES_MAX    6
#define RULES_MAX     512
#define POOL          8 /* prefixes and ports that the rules of a policy share */
#define RESOLVERS_MAX 4
#define KEYS          256    /* of each policy */
#define ALL_KINDS     100000 /* pairs that must have met every kind of table */
#define HITS_MAX      (2 * (FILTERS_MAX + 1))
#define LAYOUTS       4

static const char *const layout_names[LAYOUTS] = {"auto", "cross", "bitset", "rows"};
/*
 * AUTO falls back beyond this, and each second time beyond what lib/ruleset gives; CROSS is allowed
 * to fail beyond that.
 */
static const size_t budgets[LAYOUTS] = {
	[MS_LAYOUT_AUTO] = 8 << 10, [MS_LAYOUT_CROSS] = 256 << 10, [MS_LAYOUT_ROWS] = 8 << 10};
#define AUTO_BUDGET (32 << 10)

struct hit {
	const struct ms_filter *filter;
	uint32_t rule;
};

struct hits {
	struct hit hit[HITS_MAX];
	uint32_t n;
};

/* One compilation. */
struct compiled {
	struct ms_blob blob;
	struct ms_filter_leaves leaves;
	size_t offset;
	ms_counter *counts;
	bool made;
};

struct world {
	uint64_t random;
	uint64_t seed;
	uint64_t pairs;
	uint64_t cross_refused;
	uint64_t tables[MS_TABLE_KINDS]; /* compiled, by kind */
	uint32_t filters_n;
	struct ms_filter filters[FILTERS_MAX];
	struct ms_rule rules[FILTERS_MAX][RULES_MAX];
	struct ms_filter_route routes[ROUTES_MAX];
	struct ms_prefix resolvers[RESOLVERS_MAX];
	struct ms_prefix v4[POOL];
	struct ms_prefix v6[POOL];
	uint16_t ports[POOL];
	struct ms_filter_policy policy;
	struct compiled compiled[LAYOUTS];
};

/* splitmix64 */
static uint64_t
random64(struct world *w)
{
	uint64_t z = w->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static uint32_t
below(struct world *w, uint32_t n)
{
	return (uint32_t)((random64(w) >> 32) * n >> 32);
}

static bool
chance(struct world *w, uint32_t percent)
{
	return below(w, 100) < percent;
}

/* The bits of an address behind a prefix of this length. */
static struct ms_ip
host_mask(uint8_t family, uint8_t length)
{
	unsigned int host = (family == MS_FAMILY_V4 ? 32 : 128) - length;
	struct ms_ip mask = {0};

	mask.lo = host >= 64 ? UINT64_MAX : (UINT64_C(1) << host) - 1;
	if (host > 64)
		mask.hi = host == 128 ? UINT64_MAX : (UINT64_C(1) << (host - 64)) - 1;
	return mask;
}

static struct ms_prefix
random_prefix(struct world *w, uint8_t family)
{
	uint8_t bits = family == MS_FAMILY_V4 ? 32 : 128;
	struct ms_prefix p = {.family = family, .length = (uint8_t)below(w, bits + 1u)};
	struct ms_ip mask;

	/* few addresses, many lengths: prefixes that nest and touch */
	p.ip.lo = chance(w, 50) ? 0x0a0a0a0au ^ 1u << below(w, 32) : (uint32_t)random64(w);
	if (family == MS_FAMILY_V6) {
		p.ip.hi = 0x20010db800000000 ^ UINT64_C(1) << below(w, 64);
		p.ip.lo |= random64(w) << 32;
	}
	if (chance(w, 10))
		p.length = 0;
	if (chance(w, 20))
		p.length = bits;
	if (chance(w, 5))
		p.ip.hi = p.ip.lo = family == MS_FAMILY_V4 ? UINT32_MAX : UINT64_MAX;
	if (family == MS_FAMILY_V4)
		p.ip.hi = 0;
	mask = host_mask(family, p.length);
	p.ip.hi &= ~mask.hi;
	p.ip.lo &= ~mask.lo;
	return p;
}

static struct ms_prefix
rule_prefix(struct world *w, uint8_t family)
{
	uint32_t kind = below(w, 10);

	if (kind < 3)
		return (struct ms_prefix){.family = MS_FAMILY_NONE};
	if (kind < 7)
		return family == MS_FAMILY_V4 ? w->v4[below(w, POOL)] : w->v6[below(w, POOL)];
	return random_prefix(w, family);
}

static struct ms_port_range
rule_ports(struct world *w)
{
	struct ms_port_range range = {.present = true};
	uint16_t other;

	if (chance(w, 50))
		return (struct ms_port_range){0};
	range.from = chance(w, 70) ? w->ports[below(w, POOL)] : (uint16_t)random64(w);
	range.to = range.from;
	if (chance(w, 40)) {
		other = chance(w, 50) ? w->ports[below(w, POOL)] : (uint16_t)random64(w);
		range.from = other < range.to ? other : range.to;
		range.to = other < range.to ? range.to : other;
	}
	if (chance(w, 10))
		range.from = 0;
	if (chance(w, 10))
		range.to = UINT16_MAX;
	return range;
}

static int16_t
random_protocol(struct world *w)
{
	static const uint8_t usual[] = {6, 17, 6, 17, 1, 58, 0, 255, 5, 7, 16, 18};

	return chance(w, 80) ? usual[below(w, sizeof(usual))] : (int16_t)below(w, 256);
}

static struct ms_rule
random_rule(struct world *w)
{
	uint8_t family = chance(w, 60) ? MS_FAMILY_V4 : MS_FAMILY_V6;
	struct ms_rule rule = {
		.accept = chance(w, 60),
		.protocol = chance(w, 40) ? MS_PROTO_ANY : random_protocol(w),
		.src = rule_prefix(w, family),
		.dst = rule_prefix(w, chance(w, 97) ? family : MS_FAMILY_V4),
		.sport = rule_ports(w),
		.dport = rule_ports(w),
	};

	/* many rules that take everything would hide those behind them */
	if (rule.src.length == 0 && rule.dst.length == 0 && !rule.sport.present &&
		!rule.dport.present && chance(w, 90))
		rule.protocol = random_protocol(w);
	return rule;
}

static uint32_t
random_rules_n(struct world *w)
{
	uint32_t kind = below(w, 100);

	if (kind < 55)
		return below(w, 12);
	if (kind < 85)
		return 1 + below(w, 40);
	if (kind < 94)
		return 50 + below(w, 30); /* about a word of bits */
	return 1 + below(w, 300);
}

/* A rule that is a row of IPv4, and no takes-all. */
static struct ms_rule
random_row(struct world *w)
{
	struct ms_rule rule;

	do
		rule = random_rule(w);
	while (rule.src.family == MS_FAMILY_V6 || rule.dst.family == MS_FAMILY_V6 ||
		rule.protocol == MS_PROTO_ANY ||
		((rule.sport.present || rule.dport.present) && rule.protocol != 6 &&
			rule.protocol != 17));
	return rule;
}

/* As many rows as are the fewest and the most of a table of sets of each length, or one off. */
static void
random_edge(struct world *w, struct ms_filter *filter, struct ms_rule *rules)
{
	static const uint16_t edges[] = {32, 33, 127, 128, 255, 256, 511, 512};

	*filter = (struct ms_filter){
		.rules = rules, .rules_n = edges[below(w, sizeof(edges) / sizeof(edges[0]))]};
	for (uint32_t j = 0; j < filter->rules_n; j++) {
		filter->rules[j] = random_row(w);
		filter->rules[j].direction = MS_DIRECTION_INGRESS;
		filter->rules[j].number = (uint16_t)(j + 1);
	}
}

static void
random_filter(struct world *w, uint32_t i)
{
	struct ms_filter *filter = &w->filters[i];
	uint32_t n, egress;

	if (chance(w, 16)) {
		random_edge(w, filter, w->rules[i]);
		return;
	}
	n = random_rules_n(w);
	egress = below(w, n + 1);
	*filter =
		(struct ms_filter){.amazon_dns = chance(w, 25), .rules = w->rules[i], .rules_n = n};
	for (uint32_t j = 0; j < n; j++) {
		filter->rules[j] = random_rule(w);
		filter->rules[j].direction =
			j < egress ? MS_DIRECTION_INGRESS : MS_DIRECTION_EGRESS;
		filter->rules[j].number = (uint16_t)(10 * (j + 1));
	}
}

static void
random_policy(struct world *w)
{
	static const uint16_t ports[POOL] = {0, 22, 53, 80, 443, 1023, 32768, UINT16_MAX};
	uint32_t routes_n = below(w, ROUTES_MAX + 1);

	for (uint32_t i = 0; i < POOL; i++) {
		w->v4[i] = random_prefix(w, MS_FAMILY_V4);
		w->v6[i] = random_prefix(w, MS_FAMILY_V6);
		w->ports[i] = chance(w, 60) ? ports[i] : (uint16_t)random64(w);
	}
	w->filters_n = 1 + below(w, FILTERS_MAX);
	for (uint32_t i = 0; i < w->filters_n; i++)
		random_filter(w, i);
	for (uint32_t i = 0; i < RESOLVERS_MAX; i++)
		w->resolvers[i] = random_prefix(w, chance(w, 50) ? MS_FAMILY_V4 : MS_FAMILY_V6);
	if (chance(w, 50)) /* usually there is one route for everything */
		routes_n = 1;
	for (uint32_t i = 0; i < routes_n; i++)
		w->routes[i] = (struct ms_filter_route){
			.filter = routes_n == 1 || chance(w, 20)
		                          ? NULL
		                          : &w->filters[below(w, w->filters_n)],
			.outputs = chance(w, 90) ? (uint32_t)(random64(w) & random64(w) >> 32) : 0,
		};
	w->policy = (struct ms_filter_policy){
		.session = chance(w, 85) ? &w->filters[0] : NULL,
		.routes = w->routes,
		.routes_n = routes_n,
		.resolvers = w->resolvers,
		.resolvers_n = below(w, RESOLVERS_MAX + 1),
	};
}

/* An address on the edge of a prefix, inside or just outside, or anywhere. */
static struct ms_ip
key_address(struct world *w, const struct ms_prefix *prefix, uint8_t family)
{
	struct ms_prefix any = random_prefix(w, family);
	struct ms_ip mask, ip;

	if (prefix->family != family)
		prefix = &any;
	mask = host_mask(family, prefix->length);
	ip = prefix->ip;
	switch (below(w, 6)) {
	case 0: /* first */
		break;
	case 1: /* last */
		ip.hi |= mask.hi;
		ip.lo |= mask.lo;
		break;
	case 2: /* the one before the first */
		ip.hi -= ip.lo == 0;
		ip.lo--;
		break;
	case 3: /* the one behind the last */
		ip.hi |= mask.hi;
		ip.lo = (ip.lo | mask.lo) + 1;
		ip.hi += ip.lo == 0;
		break;
	case 4: /* inside */
		ip.hi |= random64(w) & mask.hi;
		ip.lo |= random64(w) & mask.lo;
		break;
	default:
		ip = (struct ms_ip){.hi = random64(w), .lo = random64(w)};
	}
	if (family == MS_FAMILY_V4)
		ip = (struct ms_ip){.lo = (uint32_t)ip.lo};
	return ip;
}

static uint16_t
key_port(struct world *w, const struct ms_port_range *range)
{
	if (!range->present || chance(w, 10))
		return chance(w, 50) ? w->ports[below(w, POOL)] : (uint16_t)random64(w);
	switch (below(w, 6)) {
	case 0:
		return range->from;
	case 1:
		return range->to;
	case 2:
		return (uint16_t)(range->from - 1);
	case 3:
		return (uint16_t)(range->to + 1);
	default:
		return (uint16_t)(range->from + below(w, (uint32_t)range->to - range->from + 1));
	}
}

/* Makes it a frame to or from a resolver, or nearly so. */
static void
key_dns(struct world *w, struct ms_key *key)
{
	static const struct ms_prefix known4 = {
		.family = MS_FAMILY_V4, .length = 32, .ip = {.lo = 0xa9fea9fd}};
	static const struct ms_prefix known6 = {.family = MS_FAMILY_V6,
		.length = 128,
		.ip = {.hi = 0xfd000ec200000000, .lo = 0x253}};
	const struct ms_prefix *resolver = &w->resolvers[below(w, RESOLVERS_MAX)];
	struct ms_ip ip;

	if (resolver->family != key->family)
		resolver = key->family == MS_FAMILY_V4 ? &known4 : &known6;
	ip = chance(w, 70) ? resolver->ip : key_address(w, resolver, key->family);
	if (chance(w, 80))
		key->proto = chance(w, 50) ? 6 : 17;
	if (chance(w, 50)) {
		key->dst = ip;
		key->dport = (uint16_t)(chance(w, 80) ? 53 : 52 + below(w, 3));
	} else {
		key->src = ip;
		key->sport = (uint16_t)(chance(w, 80) ? 53 : 52 + below(w, 3));
	}
}

/* Which fields a frame has: all, cut somewhere, a later fragment, no ports. */
static uint8_t
key_has(struct world *w, const struct ms_key *key)
{
	const uint8_t addresses = MS_HAS_PROTO | MS_HAS_SRC | MS_HAS_DST;
	const uint8_t all = addresses | MS_HAS_SPORT | MS_HAS_DPORT;

	switch (below(w, 10)) {
	case 0:
		return (uint8_t)(random64(w) & all);
	case 1:
		return addresses;
	case 2:
		return addresses | MS_HAS_SPORT;
	case 3:
		return (uint8_t)(all & ~(1u << below(w, 5)));
	default:
		return key->proto == 6 || key->proto == 17 || chance(w, 10) ? all : addresses;
	}
}

static struct ms_key
random_key(struct world *w)
{
	const struct ms_filter *filter = &w->filters[below(w, w->filters_n)];
	struct ms_rule rule = random_rule(w);
	struct ms_key key = {0};

	if (filter->rules_n != 0 && chance(w, 90))
		rule = filter->rules[below(w, filter->rules_n)];
	key.family = rule.src.family != MS_FAMILY_NONE ? rule.src.family : rule.dst.family;
	if (key.family == MS_FAMILY_NONE || chance(w, 5))
		key.family = chance(w, 50) ? MS_FAMILY_V4 : MS_FAMILY_V6;
	key.src = key_address(w, &rule.src, key.family);
	key.dst = key_address(w, &rule.dst, key.family);
	key.sport = key_port(w, &rule.sport);
	key.dport = key_port(w, &rule.dport);
	key.proto = (uint8_t)(rule.protocol != MS_PROTO_ANY && chance(w, 85)
				      ? rule.protocol + (chance(w, 5) ? 1 : 0)
				      : random_protocol(w));
	if (chance(w, 15))
		key_dns(w, &key);
	key.has = key_has(w, &key);
	key.fragment = key.proto != 0 && (key.has & MS_HAS_SPORT) == 0 && chance(w, 50);
	if (chance(w, 3))
		key.family = MS_FAMILY_NONE;
	if (chance(w, 30)) { /* what is missing is 0, but nothing may depend on it */
		if ((key.has & MS_HAS_SRC) == 0)
			key.src = (struct ms_ip){0};
		if ((key.has & MS_HAS_DPORT) == 0)
			key.dport = 0;
	}
	return key;
}

static enum ms_direction
random_direction(struct world *w)
{
	if (chance(w, 20))
		return MS_DIRECTION_UNKNOWN;
	return chance(w, 50) ? MS_DIRECTION_INGRESS : MS_DIRECTION_EGRESS;
}

static void
note_hit(void *arg, const struct ms_filter *filter, uint32_t rule)
{
	struct hits *hits = arg;

	if (hits->n < HITS_MAX)
		hits->hit[hits->n] = (struct hit){.filter = filter, .rule = rule};
	hits->n++;
}

/* Takes the hits of all leaves that were counted, and sets the counts back to 0. */
static void
take_hits(struct compiled *compiled, struct hits *hits)
{
	const struct ms_filter_leaves *leaves = &compiled->leaves;

	for (uint32_t i = 0; i < leaves->leaves_n; i++) {
		uint64_t count = ms_count_read(&compiled->counts[i]);

		if (count == 0)
			continue;
		for (uint32_t j = leaves->first[i]; j < leaves->first[i + 1]; j++)
			for (uint64_t k = 0; k < count; k++)
				note_hit(hits, leaves->hits[j].filter, leaves->hits[j].rule);
		atomic_store_explicit(&compiled->counts[i], 0, memory_order_relaxed);
	}
}

/*
 * Is this the leaf that has been counted? MS_LEAF_NONE stands for several, and for none. Of two
 * directions it may be either's.
 */
static bool
is_what_counted(const struct compiled *compiled, uint32_t leaf, enum ms_direction direction)
{
	uint32_t last = MS_LEAF_NONE;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < compiled->leaves.leaves_n; i++) {
		uint64_t count = ms_count_read(&compiled->counts[i]);

		if (count > 0 && i == leaf && direction == MS_DIRECTION_UNKNOWN)
			return true;
		sum += count;
		if (count > 0)
			last = i;
	}
	return leaf == (sum == 1 && direction != MS_DIRECTION_UNKNOWN ? last : MS_LEAF_NONE);
}

static bool
same_hits(const struct hits *a, const struct hits *b)
{
	bool used[HITS_MAX] = {false};

	if (a->n != b->n || a->n > HITS_MAX)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		uint32_t j = 0;

		while (j < b->n && (used[j] || a->hit[i].filter != b->hit[j].filter ||
					   a->hit[i].rule != b->hit[j].rule))
			j++;
		if (j == b->n)
			return false;
		used[j] = true;
	}
	return true;
}

static void
print_prefix(const char *name, const struct ms_prefix *p)
{
	if (p->family != MS_FAMILY_NONE)
		printf(" %s=v%u:%016" PRIx64 ":%016" PRIx64 "/%u", name, p->family, p->ip.hi,
			p->ip.lo, p->length);
}

static void
print_ports(const char *name, const struct ms_port_range *range)
{
	if (range->present)
		printf(" %s=%u-%u", name, range->from, range->to);
}

static void
print_filter(const struct ms_filter *filter, size_t number)
{
	printf("filter %zu%s\n", number, filter->amazon_dns ? " amazon-dns" : "");
	for (uint32_t i = 0; i < filter->rules_n; i++) {
		const struct ms_rule *rule = &filter->rules[i];

		printf("  [%" PRIu32 "] %s %s proto=%d", i,
			rule->direction == MS_DIRECTION_INGRESS ? "ingress" : "egress",
			rule->accept ? "accept" : "reject", rule->protocol);
		print_prefix("src", &rule->src);
		print_prefix("dst", &rule->dst);
		print_ports("sport", &rule->sport);
		print_ports("dport", &rule->dport);
		printf("\n");
	}
}

static void
print_hits(const struct world *w, const char *who, uint32_t outputs, uint8_t fate,
	const struct hits *hits)
{
	printf("%s: outputs %08" PRIx32 " fate %s hits", who, outputs, ms_fate_name(fate));
	for (uint32_t i = 0; i < hits->n && i < HITS_MAX; i++)
		printf(" %td:%" PRId32, hits->hit[i].filter - w->filters,
			(int32_t)hits->hit[i].rule);
	printf("\n");
}

static void
print_pair(const struct world *w, const struct ms_key *key, enum ms_direction direction)
{
	const struct ms_filter *session = w->policy.session;

	printf("seed %" PRIu64 ", pair %" PRIu64 "\n", w->seed, w->pairs);
	for (uint32_t i = 0; i < w->filters_n; i++)
		print_filter(&w->filters[i], i);
	printf("session filter %td\n", session == NULL ? (ptrdiff_t)-1 : session - w->filters);
	for (uint32_t i = 0; i < w->policy.routes_n; i++)
		printf("route filter %td outputs %08" PRIx32 "\n",
			w->routes[i].filter == NULL ? (ptrdiff_t)-1
						    : w->routes[i].filter - w->filters,
			w->routes[i].outputs);
	for (uint32_t i = 0; i < w->policy.resolvers_n; i++)
		print_prefix("resolver", &w->resolvers[i]);
	printf("\nkey family %u has %02x src %016" PRIx64 ":%016" PRIx64 " dst %016" PRIx64
	       ":%016" PRIx64 " sport %u dport %u proto %u direction %d\n",
		key->family, key->has, key->src.hi, key->src.lo, key->dst.hi, key->dst.lo,
		key->sport, key->dport, key->proto, direction);
}

/* One key in one layout, by itself. */
static bool
check_key(struct world *w, unsigned int layout, const struct ms_key *key,
	enum ms_direction direction, struct ms_verdict want, const struct hits *want_hits)
{
	struct compiled *compiled = &w->compiled[layout];
	struct hits hits = {.n = 0};
	struct ms_found found;
	bool counted;

	found = ms_filter_lookup(compiled->blob.base, (uint32_t)(compiled->offset >> 6), key,
		direction, compiled->counts);
	counted = is_what_counted(compiled, found.leaf, direction);
	take_hits(compiled, &hits);
	if (found.outputs == want.outputs && found.fate == want.fate && counted &&
		same_hits(&hits, want_hits))
		return true;
	printf("MISMATCH, layout %s\n", layout_names[layout]);
	print_pair(w, key, direction);
	print_hits(w, "oracle", want.outputs, want.fate, want_hits);
	print_hits(w, "lookup", found.outputs, found.fate, &hits);
	return false;
}

/*
 * The same keys as a burst, in the code for one kind of processor: verdicts packet by packet, and
 * leaves as by single lookups.
 */
static bool
check_burst(struct world *w, unsigned int layout, enum ms_filter_code code,
	const struct ms_packet *keys, const struct ms_verdict *want, uint16_t n)
{
	struct compiled *compiled = &w->compiled[layout];
	struct ms_packet packets[MS_BURST];
	uint32_t policy = (uint32_t)(compiled->offset >> 6);
	ms_counter *counts = calloc(compiled->leaves.leaves_n, sizeof(*counts));
	bool same = counts != NULL;

	memcpy(packets, keys, n * sizeof(*packets));
	for (uint16_t i = 0; i < n; i++)
		packets[i].policy = policy;
	ms_filter_burst_code(code)(compiled->blob.base, packets, n, compiled->counts);
	for (uint16_t i = 0; i < n && same; i++) {
		const struct ms_packet *p = &packets[i];
		struct ms_found found;

		if (keys[i].fate != MS_FATE_NONE) {
			same = memcmp(&p->outputs, &keys[i].outputs, sizeof(p->outputs)) == 0 &&
			       p->fate == keys[i].fate;
			continue;
		}
		found = ms_filter_lookup(
			compiled->blob.base, policy, &p->key, p->direction, counts);
		same = p->outputs == want[i].outputs && p->fate == want[i].fate &&
		       p->leaf == found.leaf;
		if (!same) {
			printf("MISMATCH in a burst, layout %s, code %d\n", layout_names[layout],
				code);
			print_pair(w, &p->key, p->direction);
			printf("oracle: outputs %08" PRIx32 " fate %s\n", want[i].outputs,
				ms_fate_name(want[i].fate));
			printf("burst: outputs %08" PRIx32 " fate %s leaf %" PRIu32 "\n",
				p->outputs, ms_fate_name(p->fate), p->leaf);
		}
	}
	for (uint32_t i = 0; i < compiled->leaves.leaves_n && same; i++) {
		same = ms_count_read(&counts[i]) == ms_count_read(&compiled->counts[i]);
		if (!same)
			printf("MISMATCH in the count of leaf %" PRIu32 ", seed %" PRIu64 "\n", i,
				w->seed);
	}
	memset(compiled->counts, 0, compiled->leaves.leaves_n * sizeof(*compiled->counts));
	free(counts);
	return same;
}

/* Random keys for the policy at hand, a burst of them. */
static bool
check_keys(struct world *w, uint16_t n)
{
	struct ms_packet packets[MS_BURST] = {0};
	struct ms_verdict want[MS_BURST];
	bool alike = chance(w, 30); /* a burst through one table goes a way of its own */

	for (uint16_t i = 0; i < n; i++) {
		struct ms_packet *p = &packets[i];
		struct hits hits = {.n = 0};

		p->key = random_key(w);
		p->direction = random_direction(w);
		if (alike) {
			p->direction = MS_DIRECTION_INGRESS;
			p->key.family = MS_FAMILY_V4;
			p->key.src = (struct ms_ip){.lo = (uint32_t)p->key.src.lo};
			p->key.dst = (struct ms_ip){.lo = (uint32_t)p->key.dst.lo};
		}
		p->fate = alike || chance(w, 95) ? MS_FATE_NONE : MS_FATE_OUTER_MALFORMED;
		want[i] = ms_filter_ref(&w->policy, &p->key, p->direction, note_hit, &hits);
		for (unsigned int layout = 0; layout < LAYOUTS; layout++)
			if (w->compiled[layout].made &&
				!check_key(w, layout, &p->key, p->direction, want[i], &hits))
				return false;
		w->pairs++;
	}
	for (unsigned int code = MS_FILTER_PLAIN; code < MS_FILTER_CODES; code++)
		for (unsigned int layout = 0; layout < LAYOUTS; layout++)
			if (w->compiled[layout].made && ms_filter_burst_code(code) != NULL &&
				!check_burst(w, layout, code, packets, want, n))
				return false;
	return true;
}

static void
count_tables(struct world *w, const struct compiled *compiled)
{
	const struct ms_policy *policy =
		ms_policy_at(compiled->blob.base, (uint32_t)(compiled->offset >> 6));

	for (unsigned int i = 0; i < 2; i++)
		for (unsigned int j = 0; j < 4; j++)
			w->tables[policy->tables[i][j] & MS_TABLE_KIND]++;
}

/* With many policies every kind of table must have been met, or the test proves little. */
static bool
check_kinds(const struct world *w)
{
	bool all = true;

	for (unsigned int i = 0; i < MS_TABLE_KINDS; i++) {
		printf("%s %" PRIu64, i == 0 ? "tables by kind:" : "", w->tables[i]);
		all = all && w->tables[i] != 0;
	}
	printf("\n");
	return all;
}

static bool
compile(struct world *w, enum ms_filter_layout layout)
{
	struct compiled *compiled = &w->compiled[layout];
	size_t budget = budgets[layout];
	int ret;

	if (layout == MS_LAYOUT_AUTO && w->pairs / KEYS % 2 != 0)
		budget = AUTO_BUDGET;
	*compiled = (struct compiled){.made = false};
	ret = ms_filter_compile(
		&compiled->blob, &compiled->leaves, &w->policy, layout, budget, &compiled->offset);
	if (ret == -EFBIG && layout == MS_LAYOUT_CROSS) {
		w->cross_refused++;
		return true;
	}
	if (ret != 0) {
		printf("layout %s does not compile: %s, seed %" PRIu64 "\n", layout_names[layout],
			strerror(-ret), w->seed);
		return false;
	}
	count_tables(w, compiled);
	compiled->counts = calloc(compiled->leaves.leaves_n, sizeof(*compiled->counts));
	compiled->made = compiled->counts != NULL;
	return compiled->made;
}

static bool
check_policy(struct world *w, uint64_t pairs)
{
	uint64_t end = w->pairs + (pairs < KEYS ? pairs : KEYS);
	bool ok = true;

	random_policy(w);
	for (unsigned int layout = 0; layout < LAYOUTS && ok; layout++)
		ok = compile(w, layout);
	while (ok && w->pairs < end) {
		uint64_t left = end - w->pairs;
		uint32_t n = 1 + below(w, MS_BURST);

		ok = check_keys(w, (uint16_t)(n < left ? n : left));
	}
	for (unsigned int layout = 0; layout < LAYOUTS; layout++) {
		free(w->compiled[layout].blob.base);
		free(w->compiled[layout].counts);
		ms_filter_leaves_free(&w->compiled[layout].leaves);
	}
	memset(w->compiled, 0, sizeof(w->compiled));
	return ok;
}

int
main(int argc, char **argv)
{
	static struct world w;
	uint64_t pairs = 1000000, policies = 0;

	w.seed = 1;
	for (int i = 1; i < argc; i++) {
		uint64_t *value = strcmp(argv[i], "--seed") == 0    ? &w.seed
		                  : strcmp(argv[i], "--pairs") == 0 ? &pairs
		                                                    : NULL;
		char *end = NULL;

		if (value != NULL && i + 1 < argc)
			*value = strtoull(argv[++i], &end, 0);
		if (end == NULL || *end != '\0') {
			fprintf(stderr, "usage: %s [--seed N] [--pairs N]\n", argv[0]);
			return 2;
		}
	}
	w.random = w.seed;
	for (; w.pairs < pairs; policies++)
		if (!check_policy(&w, pairs - w.pairs))
			return 1;
	printf("seed %" PRIu64 ": %" PRIu64 " pairs of %" PRIu64 " policies agree with the oracle "
	       "(%" PRIu64 " beyond the budget of the cross layout)\n",
		w.seed, w.pairs, policies, w.cross_refused);
	return check_kinds(&w) || pairs < ALL_KINDS ? 0 : 1;
}
