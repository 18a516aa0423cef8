/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looks up a burst of keys in stages, so that the cache misses of its packets overlap: policies,
 * then tables, then cells, then leaves. Lookups are sorted by the kind of their table, so that each
 * kind runs in a straight line however policies, directions and families are mixed.
 */
#include "filter/ms_filter_lookup.h"

#include <rte_prefetch.h>

#define STEPS_MAX (2 * MS_BURST) /* a packet of unknown direction has two lookups */

/*
 * A table of IPv4 with 16 ends takes so many lines before its cells, and every lookup reads them
 * all. Bursts over 10,000 policies of 10 + 10 rules take 150 cycles a key with these prefetches and
 * 260 with four lines; with all in the L1 cache they cost 8 of 50.
 */
#define LINES 6
#define LINE  64

/* One lookup in one table. */
struct step {
	const struct ms_policy *policy;
	const uint8_t *table;
	const struct ms_key *key;
	struct ms_cells cells;
	const uint8_t *t3; /* the cell that holds the leaf */
	uint32_t leaf;     /* in its policy */
	uint8_t packet;
	uint8_t direction;
	uint8_t kind;
};

struct burst {
	struct step steps[STEPS_MAX];
	uint8_t kinds[MS_TABLE_KINDS][STEPS_MAX]; /* steps of each kind */
	uint16_t kinds_n[MS_TABLE_KINDS];
	uint16_t steps_n;
};

static inline void
step_add(struct burst *burst, const struct ms_policy *policy, const struct ms_packet *packet,
	uint8_t i, uint8_t direction)
{
	struct step *step = &burst->steps[burst->steps_n++];

	step->policy = policy;
	step->key = &packet->key;
	step->packet = i;
	step->direction = direction;
}

/* Stage 1: what is to be looked up. */
static inline void
burst_policies(struct burst *burst, const uint8_t *base, struct ms_packet *packets, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		struct ms_packet *packet = &packets[i];
		const struct ms_policy *policy = ms_policy_at(base, packet->policy);

		if (packet->fate != MS_FATE_NONE)
			continue;
		rte_prefetch0(policy);
		packet->outputs = 0;
		packet->leaf = packet->leaf_second = MS_LEAF_NONE;
		packet->many_leaves = false;
		packet->fate = MS_FATE_NO_ROUTE; /* the weakest; burst_finish() lowers it */
		if (packet->direction != MS_DIRECTION_UNKNOWN) {
			step_add(burst, policy, packet, (uint8_t)i, packet->direction);
		} else {
			step_add(burst, policy, packet, (uint8_t)i, MS_DIRECTION_EGRESS);
			step_add(burst, policy, packet, (uint8_t)i, MS_DIRECTION_INGRESS);
		}
	}
}

/* Stage 2: where, sorted by kind. */
static inline void
burst_tables(struct burst *burst)
{
	for (uint16_t i = 0; i < burst->steps_n; i++) {
		struct step *step = &burst->steps[i];
		uint32_t ref = ms_policy_table(step->policy, step->direction, step->key->family);
		uint8_t kind = ref & MS_TABLE_KIND;

		step->kind = kind;
		step->leaf = ref / MS_TABLE_ALIGN;
		step->table = (const uint8_t *)step->policy + (ref & ~(uint32_t)MS_TABLE_KIND);
		burst->kinds[kind][burst->kinds_n[kind]++] = (uint8_t)i;
		for (unsigned int j = 0; j < LINES; j++)
			rte_prefetch0(step->table + j * LINE);
	}
}

/* Stages 3 to 5 for small tables: classes, then the cell of t3, then the leaf. */
static inline void
burst_small(struct burst *burst, enum ms_table_kind kind, unsigned int ends, bool v6)
{
	for (uint16_t i = 0; i < burst->kinds_n[kind]; i++) {
		struct step *step = &burst->steps[burst->kinds[kind][i]];

		step->cells = ms_small_cells(step->table, step->key, ends, v6);
		rte_prefetch0(step->cells.c1);
		rte_prefetch0(step->cells.c2);
	}
	for (uint16_t i = 0; i < burst->kinds_n[kind]; i++) {
		struct step *step = &burst->steps[burst->kinds[kind][i]];

		step->t3 = ms_small_leaf(step->table, step->cells);
		rte_prefetch0(step->t3);
	}
	for (uint16_t i = 0; i < burst->kinds_n[kind]; i++) {
		struct step *step = &burst->steps[burst->kinds[kind][i]];

		step->leaf = *step->t3;
	}
}

/* The same for wide ones. */
static inline void
burst_wide(struct burst *burst, enum ms_table_kind kind, bool v6)
{
	for (uint16_t i = 0; i < burst->kinds_n[kind]; i++) {
		struct step *step = &burst->steps[burst->kinds[kind][i]];

		step->cells = ms_wide_cells(step->table, step->key, v6);
		rte_prefetch0(step->cells.c1);
		rte_prefetch0(step->cells.c2);
	}
	for (uint16_t i = 0; i < burst->kinds_n[kind]; i++) {
		struct step *step = &burst->steps[burst->kinds[kind][i]];

		step->t3 = (const uint8_t *)ms_wide_leaf(step->table, step->cells);
		rte_prefetch0(step->t3);
	}
	for (uint16_t i = 0; i < burst->kinds_n[kind]; i++) {
		struct step *step = &burst->steps[burst->kinds[kind][i]];

		step->leaf = *(const uint16_t *)step->t3;
	}
}

/* Last stage: verdicts, counters, and the two halves of packets of unknown direction. */
static inline void
burst_finish(const struct burst *burst, struct ms_packet *packets, ms_counter *leaf_hits)
{
	for (uint16_t i = 0; i < burst->steps_n; i++) {
		const struct step *step = &burst->steps[i];
		struct ms_packet *packet = &packets[step->packet];
		struct ms_found found;

		if (step->kind == MS_TABLE_V4_BITS || step->kind == MS_TABLE_V6_BITS)
			found = ms_bits_lookup(step->policy, step->table, step->key,
				step->kind == MS_TABLE_V6_BITS, leaf_hits);
		else
			found = ms_leaf_found(step->policy, step->leaf, leaf_hits);
		packet->outputs |= found.outputs;
		packet->many_leaves |= found.many;
		packet->leaf_second = packet->leaf;
		packet->leaf = found.leaf;
		if (found.fate < packet->fate)
			packet->fate = found.fate;
	}
}

void
ms_filter_burst(const uint8_t *base, struct ms_packet *packets, uint16_t n, ms_counter *leaf_hits)
{
	struct burst burst;

	burst.steps_n = 0;
	for (unsigned int i = 0; i < MS_TABLE_KINDS; i++)
		burst.kinds_n[i] = 0;
	burst_policies(&burst, base, packets, n);
	burst_tables(&burst);
	burst_small(&burst, MS_TABLE_V4_8, 8, false);
	burst_small(&burst, MS_TABLE_V4_16, 16, false);
	burst_small(&burst, MS_TABLE_V4_32, 32, false);
	burst_small(&burst, MS_TABLE_V6_8, 8, true);
	burst_small(&burst, MS_TABLE_V6_16, 16, true);
	burst_small(&burst, MS_TABLE_V6_32, 32, true);
	burst_wide(&burst, MS_TABLE_V4_WIDE, false);
	burst_wide(&burst, MS_TABLE_V6_WIDE, true);
	burst_finish(&burst, packets, leaf_hits);
}
