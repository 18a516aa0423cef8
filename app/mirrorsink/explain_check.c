/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Takes a packet through the stages of an rx lcore, in mbufs that lie around its bytes, and holds
 * their results against the explanation. A difference is a defect of this program, in one of the
 * two; so it is told, and never passed over.
 */
#include "explain.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "filter/ms_filter_lookup.h"

/* What one segment can hold. */
#define SEGMENT_MAX UINT16_MAX

/* Lays a chain of mbufs around the bytes. Returns the first one, or NULL without memory. */
static struct rte_mbuf *
lay_mbufs(struct explain *x, const uint8_t *bytes)
{
	uint32_t length = x->e.length, n = length == 0 ? 1 : (length - 1) / SEGMENT_MAX + 1;

	if (n > x->mbufs_n) {
		free(x->mbufs);
		x->mbufs_n = n;
		x->mbufs = aligned_alloc(RTE_CACHE_LINE_SIZE, n * sizeof(*x->mbufs));
		if (x->mbufs == NULL)
			return NULL;
	}
	memset(x->mbufs, 0, n * sizeof(*x->mbufs));
	for (uint32_t i = 0; i < n; i++) {
		struct rte_mbuf *m = &x->mbufs[i];
		uint32_t at = i * SEGMENT_MAX;

		/* read-only from here on; an mbuf has no const pointer */
		m->buf_addr = (void *)(uintptr_t)(bytes + at);
		m->buf_len = m->data_len = (uint16_t)RTE_MIN(length - at, (uint32_t)SEGMENT_MAX);
		m->next = i + 1 < n ? m + 1 : NULL;
	}
	x->mbufs->pkt_len = length;
	x->mbufs->nb_segs = (uint16_t)n;
	return x->mbufs;
}

static void
disagree(struct explain *x, const char *format, ...)
{
	va_list args;

	if (x->e.disagreement[0] != '\0')
		return; /* the first one explains the others */
	va_start(args, format);
	vsnprintf(x->e.disagreement, sizeof(x->e.disagreement), format, args);
	va_end(args);
	x->disagreements++;
}

static void
same(struct explain *x, const char *what, uint64_t explained, uint64_t fast)
{
	if (explained != fast)
		disagree(x, "%s is %llu here, and %llu in the fast path", what,
			(unsigned long long)explained, (unsigned long long)fast);
}

static void
same_ip(struct explain *x, const char *what, struct ms_ip explained, struct ms_ip fast)
{
	if (!ms_ip_equal(explained, fast))
		disagree(x, "%s is not the fast path's", what);
}

static void
check_outer(struct explain *x, const struct ms_packet *p)
{
	const struct explain_outer *outer = &x->e.outer;

	if (outer->fate != p->fate) {
		disagree(x, "the outer headers come to %s here, and to %s in the fast path",
			ms_fate_name((enum ms_fate)outer->fate),
			ms_fate_name((enum ms_fate)p->fate));
		return;
	}
	if (outer->fate != MS_FATE_NONE)
		return;
	same(x, "the tunnel", outer->tunnel, p->tunnel);
	same(x, "the VNI", outer->vni, p->vni);
	same(x, "the inner frame's offset", outer->offset, p->offset);
	same(x, "the inner frame's length", outer->length, p->length);
	same(x, "the length that the tunnel tells", outer->original_length, p->original_length);
	same(x, "the family of the source", outer->ip[outer->ip_n - 1].family, p->source_family);
	same_ip(x, "the source", outer->ip[outer->ip_n - 1].src, p->source);
}

static void
check_session(struct explain *x, const struct ms_packet *p)
{
	const struct ms_session_ref *ref = &x->e.session;
	const struct ms_session_info *info;

	if (ref->fate != p->fate) {
		disagree(x, "the session comes to %s here, and to %s in the fast path",
			ms_fate_name((enum ms_fate)ref->fate), ms_fate_name((enum ms_fate)p->fate));
		return;
	}
	if (ref->fate != MS_FATE_NONE)
		return;
	info = ms_session_info(x->registry, p->session);
	same(x, "the session's VNI", x->e.outer.vni, info->vni);
	same(x, "whether the session is learned", ref->session == NULL, info->learned);
	if (ref->session != NULL && strcmp(ref->session->id, info->name) != 0)
		disagree(x, "the session is %.60s here, and %.60s in the fast path",
			ref->session->id, info->name);
}

static void
check_inner(struct explain *x, const struct ms_packet *p)
{
	const struct explain_inner *in = &x->e.inner;
	const struct ms_key *key = &in->key;

	same(x, "the family", key->family, p->key.family);
	same(x, "the set of fields", key->has, p->key.has);
	same(x, "the protocol", key->proto, p->key.proto);
	same_ip(x, "the inner source", key->src, p->key.src);
	same_ip(x, "the inner destination", key->dst, p->key.dst);
	same(x, "the source port", key->sport, p->key.sport);
	same(x, "the destination port", key->dport, p->key.dport);
	same(x, "the sign of a fragment", key->fragment, p->key.fragment);
	same(x, "the original length", in->original_length, p->original_length);
	same(x, "the EtherType", in->has_type ? in->type : 0, p->ether_type);
	same(x, "the source MAC address", in->mac_src, p->mac_src);
	same(x, "the destination MAC address", in->mac_dst, p->mac_dst);
	same(x, "the direction", x->e.direction, p->direction);
}

static void
check_verdict(struct explain *x, const struct ms_packet *p)
{
	uint8_t fate = x->e.fate == MS_FATE_DELIVERED ? MS_FATE_NONE : x->e.fate;

	if (fate != p->fate)
		disagree(x, "the rules come to %s here, and to %s in the fast path",
			ms_fate_name((enum ms_fate)x->e.fate),
			ms_fate_name(p->fate == MS_FATE_NONE ? MS_FATE_DELIVERED
							     : (enum ms_fate)p->fate));
	same(x, "the set of outputs", x->e.outputs, p->outputs);
}

bool
explain_check(struct explain *x, const uint8_t *bytes)
{
	const struct ms_ruleset *ruleset = x->ruleset;
	struct rte_mbuf *m = lay_mbufs(x, bytes);
	struct ms_packet p;

	if (m == NULL)
		return false;
	memset(&p, 0, sizeof(p));
	ms_decap_burst(&x->decap, &m, 1, &p);
	check_outer(x, &p);
	if (p.fate != MS_FATE_NONE || x->e.disagreement[0] != '\0')
		return true;
	ms_ruleset_session_burst(ruleset, x->registry, &p, 1);
	check_session(x, &p);
	if (p.fate != MS_FATE_NONE || x->e.disagreement[0] != '\0')
		return true;
	ms_packet_parse_burst(&m, &p, 1);
	check_inner(x, &p);
	ms_filter_burst(ruleset->base, &p, 1, ruleset->hits[0]);
	check_verdict(x, &p);
	return true;
}

bool
explain_check_hits(struct explain *x)
{
	const struct ms_ruleset *ruleset = x->ruleset;
	const struct ms_config *config = ruleset->config;
	uint64_t *hits = calloc((size_t)ruleset->rules_n + 1, sizeof(*hits));
	uint64_t *services = calloc((size_t)config->filters_n + 1, sizeof(*services));
	bool ok = hits != NULL && services != NULL;

	if (ok)
		ms_ruleset_count(ruleset, hits, services);
	for (uint32_t f = 0; ok && f < config->filters_n; f++) {
		ok = services[f] == x->services[f] &&
		     memcmp(&hits[ruleset->rules_first[f]], &x->hits[ruleset->rules_first[f]],
			     config->filters[f].rules_n * sizeof(*hits)) == 0;
		if (!ok)
			cli_wrong(
				"DISAGREEMENT: rules of filter %s have other hits in the fast path",
				config->filters[f].name);
	}
	free(hits);
	free(services);
	return ok;
}
