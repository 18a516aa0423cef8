/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From routes to policies: which filters and outputs apply to a session. Sessions for which the
 * same filter, routes and resolvers apply share one compiled policy.
 */
#include "ruleset/ruleset_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of one cross-product table before the compact layout takes over. */
#define CROSS_BUDGET (32u << 10)

struct policies {
	/* routes by what selects them; each sorted, so that a session finds its own by bisection */
	uint32_t *by_session; /* indices into config->routes */
	uint32_t *by_vni;
	uint32_t *of_all;
	uint32_t by_session_n;
	uint32_t by_vni_n;
	uint32_t of_all_n;
	/* policies by content; open addressing, grows */
	struct known_policy *known;
	uint32_t known_mask;
	uint32_t known_n;
	/* the policy that is being put together */
	struct ms_filter_route *routes;
	uint32_t routes_n;
	struct ms_prefix *resolvers;
};

/* What makes two policies equal, as bytes, and where the compiled one is. */
struct known_policy {
	uint8_t *key;
	uint32_t size;
	uint32_t hash;
	uint32_t offset; /* in units of 64 bytes; 0: a free place */
};

static int
compare_session(const void *a, const void *b, void *arg)
{
	const struct ms_config_route *routes = arg;

	return strcmp(
		routes[*(const uint32_t *)a].session_id, routes[*(const uint32_t *)b].session_id);
}

static int
compare_vni(const void *a, const void *b, void *arg)
{
	const struct ms_config_route *routes = arg;
	uint32_t x = routes[*(const uint32_t *)a].vni, y = routes[*(const uint32_t *)b].vni;

	return x < y ? -1 : x > y;
}

int
policies_init(struct ruleset_build *build)
{
	const struct ms_config *config = build->config;
	struct policies *p = calloc(1, sizeof(*p));
	size_t room = (size_t)config->routes_n + 1;

	if (p == NULL)
		return -ENOMEM;
	build->policies = p;
	p->by_session = calloc(room, sizeof(uint32_t));
	p->by_vni = calloc(room, sizeof(uint32_t));
	p->of_all = calloc(room, sizeof(uint32_t));
	p->routes = calloc(room + 1, sizeof(*p->routes));
	p->known_mask = 1023;
	p->known = calloc(p->known_mask + 1, sizeof(*p->known));
	if (p->by_session == NULL || p->by_vni == NULL || p->of_all == NULL || p->routes == NULL ||
		p->known == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < config->routes_n; i++) {
		if (config->routes[i].session_id != NULL)
			p->by_session[p->by_session_n++] = i;
		else if (config->routes[i].has_vni)
			p->by_vni[p->by_vni_n++] = i;
		else
			p->of_all[p->of_all_n++] = i;
	}
	qsort_r(p->by_session, p->by_session_n, sizeof(uint32_t), compare_session, config->routes);
	qsort_r(p->by_vni, p->by_vni_n, sizeof(uint32_t), compare_vni, config->routes);
	return 0;
}

void
policies_fini(struct ruleset_build *build)
{
	struct policies *p = build->policies;

	if (p == NULL)
		return;
	for (uint32_t i = 0; p->known != NULL && i <= p->known_mask; i++)
		free(p->known[i].key);
	free(p->known);
	free(p->by_session);
	free(p->by_vni);
	free(p->of_all);
	free(p->routes);
	free(p->resolvers);
	free(p);
	build->policies = NULL;
}

/* Adds a route to the policy in hand; routes of one filter become one. */
static void
add_route(struct policies *p, const struct ms_filter *filter, uint32_t outputs)
{
	for (uint32_t i = 0; i < p->routes_n; i++) {
		if (p->routes[i].filter == filter) {
			p->routes[i].outputs |= outputs;
			return;
		}
	}
	p->routes[p->routes_n++] = (struct ms_filter_route){filter, outputs};
}

static void
add_config_route(struct policies *p, const struct ms_config *config, uint32_t route)
{
	const struct ms_config_route *r = &config->routes[route];

	add_route(p, r->filter >= 0 ? &config->filters[r->filter] : NULL, r->outputs);
}

/* First place in by_session[] whose id is not before `id`. */
static uint32_t
lower_session(const struct policies *p, const struct ms_config *config, const char *id)
{
	uint32_t low = 0, high = p->by_session_n;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (strcmp(config->routes[p->by_session[mid]].session_id, id) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static uint32_t
lower_vni(const struct policies *p, const struct ms_config *config, uint32_t vni)
{
	uint32_t low = 0, high = p->by_vni_n;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (config->routes[p->by_vni[mid]].vni < vni)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void
collect_routes(struct policies *p, const struct ms_config *config,
	const struct ms_config_session *session, uint32_t vni)
{
	p->routes_n = 0;
	if (config->routes_n == 0)
		add_route(p, NULL, (uint32_t)((UINT64_C(1) << config->outputs_n) - 1));
	for (uint32_t i = 0; i < p->of_all_n; i++)
		add_config_route(p, config, p->of_all[i]);
	for (uint32_t i = lower_vni(p, config, vni);
		i < p->by_vni_n && config->routes[p->by_vni[i]].vni == vni; i++)
		add_config_route(p, config, p->by_vni[i]);
	if (session == NULL)
		return;
	for (uint32_t i = lower_session(p, config, session->id); i < p->by_session_n; i++) {
		const struct ms_config_route *r = &config->routes[p->by_session[i]];

		if (strcmp(r->session_id, session->id) != 0)
			break;
		if (!r->has_vni || r->vni == vni)
			add_config_route(p, config, p->by_session[i]);
	}
}

uint32_t
policies_outputs(struct ruleset_build *build, const struct ms_config_session *session)
{
	struct policies *p = build->policies;
	uint32_t outputs = 0;

	collect_routes(p, build->config, session, session->vni);
	for (uint32_t i = 0; i < p->routes_n; i++)
		outputs |= p->routes[i].outputs;
	return outputs;
}

static int
compare_route(const void *a, const void *b)
{
	const struct ms_filter_route *x = a, *y = b;

	return x->filter < y->filter ? -1 : x->filter > y->filter;
}

/* Leaves out what can't matter, and sorts, so that equal policies look equal. */
static void
tidy_routes(struct policies *p)
{
	uint32_t unfiltered = 0, kept = 0;

	for (uint32_t i = 0; i < p->routes_n; i++) {
		if (p->routes[i].filter == NULL)
			unfiltered |= p->routes[i].outputs;
	}
	for (uint32_t i = 0; i < p->routes_n; i++) {
		struct ms_filter_route route = p->routes[i];

		if (route.filter != NULL)
			route.outputs &= ~unfiltered;
		if (route.outputs != 0)
			p->routes[kept++] = route;
	}
	p->routes_n = kept;
	qsort(p->routes, p->routes_n, sizeof(*p->routes), compare_route);
}

/* A policy's content as bytes: its filter, resolvers (if it asks for them) and routes. */
static uint8_t *
make_key(const struct ms_filter_policy *policy, uint32_t *size)
{
	size_t resolvers = policy->resolvers_n * sizeof(*policy->resolvers);
	size_t routes = policy->routes_n * sizeof(*policy->routes);
	uint8_t *key = calloc(1, sizeof(policy->session) + sizeof(uint32_t) + resolvers + routes);
	uint8_t *at = key;

	if (key == NULL)
		return NULL;
	at = mempcpy(at, &policy->session, sizeof(policy->session));
	at = mempcpy(at, &policy->resolvers_n, sizeof(policy->resolvers_n));
	for (uint32_t i = 0; i < policy->resolvers_n; i++) {
		at = mempcpy(at, &policy->resolvers[i].ip, sizeof(struct ms_ip));
	}
	for (uint32_t i = 0; i < policy->routes_n; i++) {
		at = mempcpy(at, &policy->routes[i].filter, sizeof(policy->routes[i].filter));
		at = mempcpy(at, &policy->routes[i].outputs, sizeof(uint32_t));
	}
	*size = (uint32_t)(at - key);
	return key;
}

static uint32_t
hash_bytes(const uint8_t *bytes, uint32_t size)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (uint32_t i = 0; i < size; i++)
		h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
	return (uint32_t)(h ^ h >> 32);
}

/* The place of a key among the known policies, or the free place where it belongs. */
static struct known_policy *
find_known(
	struct known_policy *known, uint32_t mask, const uint8_t *key, uint32_t size, uint32_t hash)
{
	uint32_t i = hash & mask;

	while (known[i].offset != 0 && (known[i].hash != hash || known[i].size != size ||
					       memcmp(known[i].key, key, size) != 0))
		i = (i + 1) & mask;
	return &known[i];
}

static int
grow_known(struct policies *p)
{
	uint32_t mask = p->known_mask * 2 + 1;
	struct known_policy *more;

	if (p->known_n * 2 <= p->known_mask)
		return 0;
	more = calloc((size_t)mask + 1, sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i <= p->known_mask; i++) {
		const struct known_policy *k = &p->known[i];

		if (k->offset != 0)
			*find_known(more, mask, k->key, k->size, k->hash) = *k;
	}
	free(p->known);
	p->known = more;
	p->known_mask = mask;
	return 0;
}

static bool
asks_for_resolvers(const struct ms_filter_policy *policy)
{
	if (policy->session != NULL && policy->session->amazon_dns)
		return true;
	for (uint32_t i = 0; i < policy->routes_n; i++) {
		if (policy->routes[i].filter != NULL && policy->routes[i].filter->amazon_dns)
			return true;
	}
	return false;
}

/* Says which filter could not be compiled, and why. Returns 0, for "no policy". */
static uint32_t
failed(struct ruleset_build *build, const struct ms_filter_policy *policy, int rc)
{
	const char *name = policy->session != NULL ? policy->session->name : "(no filter)";

	snprintf(build->error->text, sizeof(build->error->text),
		"filter %s with %u routes does not compile: %s", name, policy->routes_n,
		rc == -EFBIG ? "its tables would grow too large; split the filter" : strerror(-rc));
	return 0;
}

/* Books a policy that was compiled on a filter that it asks. */
static void
add_use(struct ruleset_build *build, const struct ms_filter *filter,
	const struct ms_filter_shape *shape, uint64_t bytes, uint64_t ns)
{
	struct ms_filter_use *use = &build->uses[filter - build->config->filters];

	use->policies++;
	use->bytes += bytes;
	use->compile_ns += ns;
	use->shape.constant += shape->constant;
	use->shape.cross += shape->cross;
	use->shape.bits += shape->bits;
	use->shape.leaves += shape->leaves;
}

/* Compiles the policy and books it. Returns 0 and its offset, or -errno. */
static int
compile(struct ruleset_build *build, const struct ms_filter_policy *policy, size_t *offset)
{
	uint64_t start = ruleset_now(), ns, bytes;
	struct ms_filter_shape shape;
	int rc = ms_filter_compile(
		&build->blob, &build->leaves, policy, MS_LAYOUT_AUTO, CROSS_BUDGET, offset);

	if (rc != 0)
		return rc;
	ns = ruleset_now() - start;
	bytes = build->blob.used - *offset;
	shape = ms_filter_shape(build->blob.base, *offset);
	if (policy->session != NULL)
		add_use(build, policy->session, &shape, bytes, ns);
	for (uint32_t i = 0; i < policy->routes_n; i++) {
		const struct ms_filter *filter = policy->routes[i].filter;

		if (filter != NULL && filter != policy->session)
			add_use(build, filter, &shape, bytes, ns);
	}
	build->policies_n++;
	build->policies_bytes += bytes;
	return 0;
}

uint32_t
policies_get(struct ruleset_build *build, const struct ms_config_session *session, uint32_t vni)
{
	const struct ms_config *config = build->config;
	struct policies *p = build->policies;
	struct ms_filter_policy policy = {0};
	struct known_policy *known;
	uint32_t size, hash;
	size_t offset;
	uint8_t *key;
	int rc;

	collect_routes(p, config, session, vni);
	tidy_routes(p);
	if (session != NULL && session->filter >= 0)
		policy.session = &config->filters[session->filter];
	policy.routes = p->routes;
	policy.routes_n = p->routes_n;
	if (session != NULL && session->interface >= 0 && asks_for_resolvers(&policy)) {
		free(p->resolvers);
		rc = ms_config_resolvers(
			config, &config->interfaces[session->interface], &p->resolvers);
		if (rc < 0)
			return failed(build, &policy, rc);
		policy.resolvers = p->resolvers;
		policy.resolvers_n = (uint32_t)rc;
	}
	key = grow_known(p) == 0 ? make_key(&policy, &size) : NULL;
	if (key == NULL)
		return failed(build, &policy, -ENOMEM);
	hash = hash_bytes(key, size);
	known = find_known(p->known, p->known_mask, key, size, hash);
	if (known->offset != 0) {
		free(key);
		return known->offset;
	}
	rc = compile(build, &policy, &offset);
	if (rc != 0) {
		free(key);
		return failed(build, &policy, rc);
	}
	*known = (struct known_policy){key, size, hash, (uint32_t)(offset / 64)};
	p->known_n++;
	return known->offset;
}
