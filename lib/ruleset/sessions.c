/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Builds the tables from (VNI, outer source) to session. A VNI that only one session can mean needs
 * no look at the source; where several share it, or the source is to be checked, each session is
 * entered under every address of its source ENI.
 */
#include "ruleset/ruleset_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Entries while their number is not known; copied into the blob at the end. */
struct entries {
	struct ms_session_entry *list;
	uint32_t n;
	uint32_t room;
};

static int
add_entry(struct entries *e, const struct ms_session_entry *entry)
{
	if (e->n == e->room) {
		uint32_t room = e->room == 0 ? 256 : e->room * 2;
		struct ms_session_entry *more = realloc(e->list, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		e->list = more;
		e->room = room;
	}
	e->list[e->n++] = *entry;
	return 0;
}

/* One entry for each address that the session's packets can come from. */
static int
add_session(struct ruleset_build *build, struct entries *e, const struct ms_config_session *session)
{
	const struct ms_config_interface *eni = NULL;
	struct ms_session_info info = {
		.name = session->id, .description = session->description, .vni = session->vni};
	struct ms_session_entry entry = {.vni = session->vni};
	int rc = 0;

	if (session->interface >= 0) {
		eni = &build->config->interfaces[session->interface];
		info.source = eni->address.ip;
		info.source_family = eni->address.family;
		entry.eni_mac = eni->mac;
	}
	entry.slot = ms_session_add(build->registry, &info);
	if (entry.slot == MS_SESSION_NONE) {
		snprintf(build->error->text, sizeof(build->error->text),
			"session %s: no room for more than %u sessions in the life of one process",
			session->id, MS_SESSIONS_MAX);
		return -ENOSPC;
	}
	entry.policy = policies_get(build, session, session->vni);
	if (entry.policy == 0)
		return -EFBIG;
	if (eni == NULL || (eni->address.family == MS_FAMILY_NONE && eni->addresses6_n == 0))
		return add_entry(e, &entry);
	if (eni->address.family != MS_FAMILY_NONE) {
		entry.source = eni->address.ip;
		entry.source_family = MS_FAMILY_V4;
		rc = add_entry(e, &entry);
	}
	for (uint32_t i = 0; rc == 0 && i < eni->addresses6_n; i++) {
		entry.source = eni->addresses6[i].ip;
		entry.source_family = MS_FAMILY_V6;
		rc = add_entry(e, &entry);
	}
	return rc;
}

/* VNIs that a route names and no session has: their learned sessions have a policy of their own. */
static int
add_route_vnis(struct ruleset_build *build, struct entries *e)
{
	for (uint32_t i = 0; i < build->config->routes_n; i++) {
		const struct ms_config_route *route = &build->config->routes[i];
		struct ms_session_entry entry = {.vni = route->vni, .slot = MS_SESSION_NONE};
		int rc;

		if (!route->has_vni || route->session_id != NULL)
			continue;
		entry.policy = policies_get(build, NULL, route->vni);
		if (entry.policy == 0)
			return -EFBIG;
		rc = add_entry(e, &entry);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int
compare_entry(const void *a, const void *b)
{
	const struct ms_session_entry *x = a, *y = b;

	if (x->vni != y->vni)
		return x->vni < y->vni ? -1 : 1;
	/* sessions before what routes alone name, then a stable order */
	if ((x->slot == MS_SESSION_NONE) != (y->slot == MS_SESSION_NONE))
		return x->slot == MS_SESSION_NONE ? 1 : -1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static uint32_t
table_size(uint32_t n)
{
	uint32_t size = 16;

	while (size < n * 2)
		size *= 2;
	return size;
}

static void
put_vni(struct ms_vni_entry *table, uint32_t mask, struct ms_vni_entry entry)
{
	uint32_t i = vni_hash(entry.vni1 - 1) & mask;

	while (table[i].vni1 != 0)
		i = (i + 1) & mask;
	table[i] = entry;
}

static void
put_source(uint32_t *table, uint32_t mask, const struct ms_session_entry *entry, uint32_t index)
{
	uint32_t i = source_hash(entry->vni, entry->source) & mask;

	while (table[i] != 0)
		i = (i + 1) & mask;
	table[i] = index + 1;
}

/*
 * What one VNI's entries [first, end) mean together: who gets packets of any source, and whether
 * the source has to be looked at first.
 */
static struct ms_vni_entry
judge_vni(const struct ms_config *config, const struct ms_session_entry *list, uint32_t first,
	uint32_t end)
{
	struct ms_vni_entry vni = {.vni1 = list[first].vni + 1, .any = MS_ENTRY_NONE};
	bool strict = config->source_check == MS_SOURCE_STRICT;
	bool several = false;

	for (uint32_t i = first; i < end; i++) {
		if (list[i].slot == MS_SESSION_NONE)
			continue;
		several |= list[i].slot != list[first].slot;
		if (list[i].source_family == MS_FAMILY_NONE)
			vni.any = i;
	}
	if (list[first].slot == MS_SESSION_NONE || (!several && !strict))
		vni.any = first;
	/* a route of this VNI says where its unknown sessions go; it sorts last */
	if (vni.any == MS_ENTRY_NONE && !strict && list[end - 1].slot == MS_SESSION_NONE)
		vni.any = end - 1;
	vni.sources = list[first].source_family != MS_FAMILY_NONE && (several || strict);
	for (uint32_t i = first; several && i < end; i++)
		vni.sources |= list[i].source_family != MS_FAMILY_NONE;
	return vni;
}

static void
fill_tables(struct ruleset_build *build, const struct entries *e, struct ms_ruleset_head *head)
{
	uint8_t *base = build->blob.base;
	struct ms_vni_entry *vnis = (struct ms_vni_entry *)(base + head->vnis);
	uint32_t *sources = (uint32_t *)(base + head->sources);

	memcpy(base + head->entries, e->list, e->n * sizeof(*e->list));
	for (uint32_t first = 0, end; first < e->n; first = end) {
		struct ms_vni_entry vni;

		for (end = first + 1; end < e->n && e->list[end].vni == e->list[first].vni;)
			end++;
		vni = judge_vni(build->config, e->list, first, end);
		put_vni(vnis, head->vnis_mask, vni);
		for (uint32_t i = first; vni.sources && i < end; i++) {
			if (e->list[i].source_family != MS_FAMILY_NONE)
				put_source(sources, head->sources_mask, &e->list[i], i);
		}
	}
}

/* Says which output has no VLAN ids for how many sessions, the first of them by name. */
static int
refuse_vlan(struct ruleset_build *build, uint32_t output, uint32_t n,
	const struct ms_config_session *first)
{
	const struct ms_config_output *o = &build->config->outputs[output];

	snprintf(build->error->text, sizeof(build->error->text),
		"%s:%u:%u: output %s: no VLAN id is left for %u of %u sessions, %s the first: "
		"there are %u ids, and a session keeps its own until the program ends; write "
		"\"Tenant\": \"qinq\", or lead these sessions to other outputs with Routes",
		o->origin.file, o->origin.line, o->origin.column, o->name, n,
		build->config->sessions_n, first->id, MS_SESSION_VLANS);
	return -ENOSPC;
}

/*
 * A session that can't have a VLAN id, for its slot will be beyond those that have one, must not
 * reach an output that needs it. Found before any slot is given away.
 */
static int
check_vlans(struct ruleset_build *build)
{
	const struct ms_config *config = build->config;
	const struct ms_config_session *first[MS_OUTPUTS_MAX] = {NULL};
	uint32_t beyond[MS_OUTPUTS_MAX] = {0}, tagged = 0;
	uint32_t next = ms_session_count(build->registry);

	for (uint32_t i = 0; i < config->outputs_n; i++)
		tagged |= (uint32_t)(config->outputs[i].tenant == MS_TENANT_VLAN) << i;
	for (uint32_t s = 0; tagged != 0 && s < config->sessions_n; s++) {
		const struct ms_config_session *session = &config->sessions[s];
		uint32_t slot = ms_session_find(build->registry, session->id, session->vni);
		uint32_t outputs;

		if (slot == MS_SESSION_NONE)
			slot = next++;
		outputs = slot < MS_SESSION_VLANS ? 0 : tagged & policies_outputs(build, session);
		for (uint32_t i = 0; i < config->outputs_n; i++) {
			if ((outputs & 1u << i) != 0 && beyond[i]++ == 0)
				first[i] = session;
		}
	}
	for (uint32_t i = 0; i < config->outputs_n; i++) {
		if (beyond[i] > 0)
			return refuse_vlan(build, i, beyond[i], first[i]);
	}
	return 0;
}

int
sessions_build(struct ruleset_build *build, size_t head_offset)
{
	const struct ms_config *config = build->config;
	bool learn = config->sessions_n == 0 || config->unknown_session == MS_UNKNOWN_DELIVER;
	struct ms_ruleset_head head = {.strict = config->source_check == MS_SOURCE_STRICT};
	struct entries e = {0};
	uint32_t size;
	int rc = check_vlans(build);

	for (uint32_t i = 0; rc == 0 && i < config->sessions_n; i++)
		rc = add_session(build, &e, &config->sessions[i]);
	if (rc == 0 && learn) {
		head.learn_policy = policies_get(build, NULL, UINT32_MAX);
		rc = head.learn_policy != 0 ? add_route_vnis(build, &e) : -EFBIG;
	}
	if (rc != 0)
		goto out;
	if (e.n > 0)
		qsort(e.list, e.n, sizeof(*e.list), compare_entry);
	size = table_size(e.n);
	head.vnis_mask = head.sources_mask = size - 1;
	head.entries_n = e.n;
	head.entries = (uint32_t)ms_blob_add(&build->blob, (e.n + 1) * sizeof(*e.list), 64);
	head.vnis = (uint32_t)ms_blob_add(&build->blob, size * sizeof(struct ms_vni_entry), 64);
	head.sources = (uint32_t)ms_blob_add(&build->blob, size * sizeof(uint32_t), 64);
	if (head.entries == 0 || head.vnis == 0 || head.sources == 0) {
		rc = -errno;
		goto out;
	}
	if (e.n > 0)
		fill_tables(build, &e, &head);
	head.size = build->blob.used;
	memcpy(build->blob.base + head_offset, &head, sizeof(head));
out:
	free(e.list);
	return rc;
}
