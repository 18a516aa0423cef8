/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looks up a burst of keys in stages, so that the cache misses of its packets overlap: policies,
 * then tables, then cells, then leaves. Lookups are sorted by the kind of their table, so that each
 * kind runs in a straight line however policies, directions and families are mixed. A burst that
 * needs but one table, as it is with one filter, goes a shorter way, with that table in registers.
 *
 * filter_burst.c includes this, and filter_avx2_burst.c and filter_avx512_burst.c, which are
 * compiled for other processors: one burst_lookup() each.
 */
#pragma once

#include <rte_prefetch.h>

#include "filter/filter_rows_lookup.h"
#include "filter/filter_sets_lookup.h"

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
	const uint8_t *t3;              /* the cell that holds the leaf */
	const struct ms_result *result; /* tables of rows */
	uint32_t leaf;                  /* in its policy */
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

/* As much of a packet as one load takes, in vectors as gcc and clang know them everywhere. */
typedef uint64_t packet_half __attribute__((vector_size(32)));
typedef uint64_t packet_part __attribute__((vector_size(16)));

/* The fields that a burst must have in common, among what stands beside them. */
#define PART_STATE 16 /* fate, direction and policy */
#define PART_KEY   80 /* family */
#define PART_HAS(part, type, field)                                                              \
	(offsetof(struct ms_packet, field) >= (part) &&                                          \
		offsetof(struct ms_packet, field) + sizeof(((struct ms_packet *)NULL)->field) <= \
			(part) + sizeof(type))
static_assert(PART_HAS(PART_STATE, packet_half, fate) &&
		      PART_HAS(PART_STATE, packet_half, direction) &&
		      PART_HAS(PART_STATE, packet_half, policy) &&
		      PART_HAS(PART_KEY, packet_part, key.family),
	"each in its part");

/* Does all of the burst go through one table? Then in *ref, as in the policy. */
static inline bool
burst_is_uniform(const uint8_t *base, const struct ms_packet *packets, uint16_t n, uint32_t *ref)
{
	const struct ms_packet *first = &packets[0];
	const struct ms_packet compared = {.fate = UINT8_MAX,
		.direction = UINT8_MAX,
		.policy = UINT32_MAX,
		.key = {.family = UINT8_MAX}};
	packet_half state, states = {0}, first_state;
	packet_part key, keys = {0}, first_key;

	if (n == 0 || first->fate != MS_FATE_NONE || first->direction == MS_DIRECTION_UNKNOWN)
		return false;
	memcpy(&first_state, (const uint8_t *)first + PART_STATE, sizeof(first_state));
	memcpy(&first_key, (const uint8_t *)first + PART_KEY, sizeof(first_key));
	for (uint16_t i = 1; i < n; i++) {
		memcpy(&state, (const uint8_t *)&packets[i] + PART_STATE, sizeof(state));
		memcpy(&key, (const uint8_t *)&packets[i] + PART_KEY, sizeof(key));
		states |= state ^ first_state;
		keys |= key ^ first_key;
	}
	memcpy(&state, (const uint8_t *)&compared + PART_STATE, sizeof(state));
	memcpy(&key, (const uint8_t *)&compared + PART_KEY, sizeof(key));
	states &= state;
	keys &= key;
	if ((states[0] | states[1] | states[2] | states[3] | keys[0] | keys[1]) != 0)
		return false;
	*ref = ms_policy_table(
		ms_policy_at(base, first->policy), first->direction, first->key.family);
	return true;
}

static inline void
packet_settle(struct ms_packet *packet, uint32_t leaf_base, const struct ms_result *result,
	ms_counter *leaf_hits)
{
	const uint64_t first_leaf = (uint64_t)leaf_base << MS_RESULT_LEAF;
	uint64_t said;

	memcpy(&said, result, sizeof(said));
	packet->fate = (uint8_t)(said >> MS_RESULT_FATE);
	said = (said & ((UINT64_C(1) << MS_RESULT_FATE) - 1)) + first_leaf;
	memcpy(&packet->outputs, &said, sizeof(said)); /* and the leaf, in one store */
	ms_count_add(&leaf_hits[said >> MS_RESULT_LEAF], 1);
}

static inline void
uniform_rows_8(const struct ms_policy *policy, const uint8_t *table, struct ms_packet *packets,
	uint16_t n, ms_counter *leaf_hits)
{
	const struct ms_table_rows_8 *t = (const struct ms_table_rows_8 *)table;
	const struct rows_8 rows = rows_load_8(&t->rows);

	for (uint16_t i = 0; i < n; i++)
		packet_settle(&packets[i], policy->leaf_base,
			&t->results[rows_first_8(&rows, &packets[i].key)], leaf_hits);
}

static inline void
uniform_rows_16(const struct ms_policy *policy, const uint8_t *table, struct ms_packet *packets,
	uint16_t n, ms_counter *leaf_hits)
{
	const struct ms_table_rows_16 *t = (const struct ms_table_rows_16 *)table;
	const struct rows_16 rows = rows_load_16(&t->rows);

	for (uint16_t i = 0; i < n; i++)
		packet_settle(&packets[i], policy->leaf_base,
			&t->results[rows_first_16(&rows, &packets[i].key)], leaf_hits);
}

/* The rank of the first row of a block, and of those that go on with it, that matches. */
static inline uint32_t
block_rank(const struct ms_block *block, const struct ms_key *key)
{
	struct rows_16 rows = rows_load_16(&block->rows);
	uint32_t row = rows_first_16(&rows, key);

	while ((row / 16 & block->more) != 0) {
		block++;
		rows = rows_load_16(&block->rows);
		row = rows_first_16(&rows, key);
	}
	return block->rank[row];
}

/* In a function of its own: beside other kinds of tables its loops lose registers, 10 cycles a key.
 */
static __rte_noinline void
uniform_tree(const struct ms_policy *policy, const uint8_t *table, struct ms_packet *packets,
	uint16_t n, ms_counter *leaf_hits)
{
	const struct ms_trees *t = (const struct ms_trees *)table;
	const struct ms_result *results = (const struct ms_result *)(table + t->results);
	const struct ms_block *blocks[MS_BURST];
	uint32_t least[MS_BURST];
	uint8_t asked[MS_BURST];

	for (uint16_t i = 0; i < n; i++)
		blocks[i] = ms_tree_block(table, ms_tree_leaf(table, 0, &packets[i].key));
	for (uint16_t i = 0; i < n; i++)
		least[i] = block_rank(blocks[i], &packets[i].key);
	for (uint32_t tree = 1; tree < t->trees_n; tree++) {
		uint16_t asked_n = 0;

		/* Only those that may find an earlier rule; sorted out without a branch for each.
		 */
		for (uint16_t i = 0; i < n; i++) {
			const struct ms_cut *leaf = ms_tree_leaf(table, tree, &packets[i].key);

			blocks[asked_n] = ms_tree_block(table, leaf);
			asked[asked_n] = (uint8_t)i;
			asked_n += leaf->mask < least[i];
		}
		for (uint16_t j = 0; j < asked_n; j++) {
			uint8_t i = asked[j];
			uint32_t rank = block_rank(blocks[j], &packets[i].key);

			least[i] = rank < least[i] ? rank : least[i];
		}
	}
	for (uint16_t i = 0; i < n; i++)
		packet_settle(&packets[i], policy->leaf_base, &results[least[i]], leaf_hits);
}

/*
 * Each in a function of its own, so that what it needs of the table stays in registers. Where loops
 * over sets of two words go by four they take a twentieth less; those over longer sets, rows and
 * trees do not.
 */
static __rte_noinline void
find_in_sets_2(const uint8_t *table, const struct ms_packet *packets, uint16_t n, uint64_t *bits)
{
	const struct sets sets = sets_load(table);
	sets_2 met[MS_BURST + SETS_MORE];

#pragma GCC unroll 4
	for (uint16_t i = 0; i < n; i++)
		sets_met_2(&sets, &packets[i].key, &met[i]);
	for (unsigned int i = 0; i < SETS_MORE; i++)
		met[n + i] = (sets_2){1};
	sets_bits_2(met, n, bits);
}

#define FIND_IN_SETS(words_n)                                                                      \
	static __rte_noinline void find_in_sets_##words_n(                                         \
		const uint8_t *table, const struct ms_packet *packets, uint16_t n, uint64_t *bits) \
	{                                                                                          \
		const struct sets sets = sets_load(table);                                         \
                                                                                                   \
		for (uint16_t i = 0; i < n; i++) {                                                 \
			uint64_t words[words_n];                                                   \
			sets_##words_n met;                                                        \
                                                                                                   \
			sets_met_##words_n(&sets, &packets[i].key, &met);                          \
			memcpy(words, &met, sizeof(met));                                          \
			bits[i] = sets_bit(words, words_n);                                        \
		}                                                                                  \
	}
FIND_IN_SETS(4)
FIND_IN_SETS(8)
#undef FIND_IN_SETS

/*
 * Bits are found for all packets before one is used: packet_settle() counts at addresses that
 * come late, and a processor holds the loads of the next keys back behind such stores: at 100 rules
 * that costs a key some ten cycles.
 */
static inline void
uniform_sets(const struct ms_policy *policy, const uint8_t *table, struct ms_packet *packets,
	uint16_t n, ms_counter *leaf_hits, uint32_t kind)
{
	const struct ms_table_sets *t = (const struct ms_table_sets *)table;
	const struct ms_result *results = (const struct ms_result *)(table + t->results);
	uint64_t bits[MS_BURST + SETS_MORE];

	if (kind == MS_TABLE_V4_SETS_2)
		find_in_sets_2(table, packets, n, bits);
	else if (kind == MS_TABLE_V4_SETS_4)
		find_in_sets_4(table, packets, n, bits);
	else
		find_in_sets_8(table, packets, n, bits);
#pragma GCC unroll 4
	for (uint16_t i = 0; i < n; i++)
		packet_settle(&packets[i], policy->leaf_base, &results[bits[i]], leaf_hits);
}

/* A burst through one table. Returns false if it is none of rows or sets. */
static inline bool
uniform_burst(const uint8_t *base, uint32_t ref, struct ms_packet *packets, uint16_t n,
	ms_counter *leaf_hits)
{
	const struct ms_policy *policy = ms_policy_at(base, packets[0].policy);
	const uint8_t *table = (const uint8_t *)policy + (ref & ~(uint32_t)MS_TABLE_KIND);

	switch (ref & MS_TABLE_KIND) {
	case MS_TABLE_V4_ROWS_8:
		uniform_rows_8(policy, table, packets, n, leaf_hits);
		return true;
	case MS_TABLE_V4_ROWS_16:
		uniform_rows_16(policy, table, packets, n, leaf_hits);
		return true;
	case MS_TABLE_V4_TREE:
		uniform_tree(policy, table, packets, n, leaf_hits);
		return true;
	case MS_TABLE_V4_SETS_2:
	case MS_TABLE_V4_SETS_4:
	case MS_TABLE_V4_SETS_8:
		uniform_sets(policy, table, packets, n, leaf_hits, ref & MS_TABLE_KIND);
		return true;
	default:
		return false;
	}
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
		packet->leaf = MS_LEAF_NONE;
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

/* The same for tables of rows: the result, then its counter. */
static inline void
burst_rows(struct burst *burst, ms_counter *leaf_hits)
{
	for (uint16_t i = 0; i < burst->kinds_n[MS_TABLE_V4_ROWS_8]; i++) {
		struct step *step = &burst->steps[burst->kinds[MS_TABLE_V4_ROWS_8][i]];
		const struct ms_table_rows_8 *t = (const struct ms_table_rows_8 *)step->table;
		const struct rows_8 rows = rows_load_8(&t->rows);

		step->result = &t->results[rows_first_8(&rows, step->key)];
		rte_prefetch0(&leaf_hits[step->policy->leaf_base + step->result->leaf]);
	}
	for (uint16_t i = 0; i < burst->kinds_n[MS_TABLE_V4_ROWS_16]; i++) {
		struct step *step = &burst->steps[burst->kinds[MS_TABLE_V4_ROWS_16][i]];
		const struct ms_table_rows_16 *t = (const struct ms_table_rows_16 *)step->table;
		const struct rows_16 rows = rows_load_16(&t->rows);

		step->result = &t->results[rows_first_16(&rows, step->key)];
		rte_prefetch0(&leaf_hits[step->policy->leaf_base + step->result->leaf]);
	}
	for (uint16_t i = 0; i < burst->kinds_n[MS_TABLE_V4_TREE]; i++) {
		struct step *step = &burst->steps[burst->kinds[MS_TABLE_V4_TREE][i]];
		const struct ms_trees *t = (const struct ms_trees *)step->table;
		uint32_t least = t->none;

		for (uint32_t tree = 0; tree < t->trees_n; tree++) {
			const struct ms_cut *leaf = ms_tree_leaf(step->table, tree, step->key);
			uint32_t rank;

			if (leaf->mask >= least)
				continue;
			rank = block_rank(ms_tree_block(step->table, leaf), step->key);
			least = rank < least ? rank : least;
		}
		step->result = (const struct ms_result *)(step->table + t->results) + least;
		rte_prefetch0(&leaf_hits[step->policy->leaf_base + step->result->leaf]);
	}
}

/* The same for tables of sets. */
static inline void
burst_sets(struct burst *burst, ms_counter *leaf_hits)
{
	for (unsigned int kind = MS_TABLE_V4_SETS_2; kind <= MS_TABLE_V4_SETS_8; kind++)
		for (uint16_t i = 0; i < burst->kinds_n[kind]; i++) {
			struct step *step = &burst->steps[burst->kinds[kind][i]];

			step->result = ms_sets_lookup(step->table, step->key);
			rte_prefetch0(&leaf_hits[step->policy->leaf_base + step->result->leaf]);
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
		else if (step->kind >= MS_TABLE_V4_ROWS_8 && step->kind <= MS_TABLE_V4_SETS_8)
			found = ms_result_found(step->policy, step->result, leaf_hits);
		else
			found = ms_leaf_found(step->policy, step->leaf, leaf_hits);
		packet->outputs |= found.outputs;
		packet->leaf_second = packet->leaf;
		packet->leaf = found.leaf;
		if (found.fate < packet->fate)
			packet->fate = found.fate;
	}
}

static inline void
burst_lookup(const uint8_t *base, struct ms_packet *packets, uint16_t n, ms_counter *leaf_hits)
{
	struct burst burst;
	uint32_t ref;

	if (burst_is_uniform(base, packets, n, &ref) &&
		uniform_burst(base, ref, packets, n, leaf_hits))
		return;
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
	burst_rows(&burst, leaf_hits);
	burst_sets(&burst, leaf_hits);
	burst_finish(&burst, packets, leaf_hits);
}
