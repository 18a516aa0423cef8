/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hot half of the filter: the layout of a compiled policy and the lookup of one key in it.
 * ms_filter_compile() writes these structures, ms_filter_burst() looks up whole bursts with the
 * same pieces in stages. Nothing here loops over rules, allocates, or follows a pointer: all is
 * found by offsets, so that a ruleset can be moved or mapped elsewhere.
 *
 * A policy has a table for each direction and family. In a table each field of the key (source,
 * destination, source port, destination port, protocol) is first reduced to a class: values that
 * no rule tells apart share one, and a field that the frame has not got has a class of its own.
 * A field's index is the sorted array of the last values of its intervals ("ends"); the number of
 * ends below a value is its interval (its rank), which an array maps to the class.
 *
 * Then, in the cross layout, t1[source][destination] gives a class of address pairs, t2[source
 * port][destination port][protocol] a class of the rest, and t3 of both the leaf. In the bit-set
 * layout a class has a row of bits, one for each rule, and the first bit that stands in all five
 * rows is the rule that decides.
 *
 * IPv4 in one filter, the usual case, needs none of this: 8 or 16 rules stand side by side, field
 * by field, and all are compared with a key at once; the first that matches decides. Some hundred
 * rules are a few words of bits, and each part of the key leads to the set of those that it suits.
 * For a few rules, and for many, bits of the key lead down a tree to a block of 16, in up to three
 * trees, and the first of what they find decides.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "filter/ms_filter.h"
#include "ledger/ms_ledger.h"
#include "packet/ms_packet.h"

__extension__ typedef unsigned __int128 ms_u128;

/* Vectors as gcc and clang know them on every processor. */
typedef int32_t ms_lanes32 __attribute__((vector_size(16)));
typedef int16_t ms_lanes16 __attribute__((vector_size(16)));
typedef int8_t ms_lanes8 __attribute__((vector_size(16)));

enum ms_table_kind {
	MS_TABLE_CONST, /* every frame has the same leaf; there is no table */
	/* Cross layout, at most 8, 16 or 32 ends a field, classes and leaves in bytes. */
	MS_TABLE_V4_8,
	MS_TABLE_V4_16,
	MS_TABLE_V4_32,
	MS_TABLE_V6_8,
	MS_TABLE_V6_16,
	MS_TABLE_V6_32,
	/* Cross layout of any size, 16-bit classes and leaves. */
	MS_TABLE_V4_WIDE,
	MS_TABLE_V6_WIDE,
	/* Rules compared one and all: at most 8 or 16, and of any number in a tree of such blocks.
	 */
	MS_TABLE_V4_ROWS_8,
	MS_TABLE_V4_ROWS_16,
	MS_TABLE_V4_TREE,
	/* Sets of such rows: at most 127, 255 or 511, in 2, 4 or 8 words of 64 bits. */
	MS_TABLE_V4_SETS_2,
	MS_TABLE_V4_SETS_4,
	MS_TABLE_V4_SETS_8,
	/* Bit-set layout. */
	MS_TABLE_V4_BITS,
	MS_TABLE_V6_BITS,
	MS_TABLE_KINDS
};

#define MS_TABLE_ALIGN 64
#define MS_TABLE_KIND  (MS_TABLE_ALIGN - 1)
static_assert(MS_TABLE_KINDS <= MS_TABLE_ALIGN, "the kind fits the free bits of an offset");

/* A compiled policy, at a multiple of 64 bytes in the blob. Leaves are numbered within it. */
struct ms_policy {
	/*
	 * [direction - 1][family / 2]: offset of the table from the policy, with its kind in the
	 * low 6 bits; MS_TABLE_CONST has its leaf in place of the offset, leaf << 6.
	 */
	uint32_t tables[2][4];
	uint32_t leaf_base; /* what makes a leaf's number global */
	uint32_t leaves_n;
	struct ms_verdict verdicts[]; /* of each leaf */
};

/*
 * Cross layout with n ends a field, n = 8, 16 or 32, padded with the greatest value. Behind it:
 * ends of source and destination (n * 4 bytes each in IPv4, n * 16 in IPv6), of the ports (n * 2
 * each), of the protocol (n, but at least 16); then the classes, n + 2 bytes for each of the five:
 * [0] if the field is missing, [1 + rank] if it is there.
 */
struct ms_small {
	uint16_t dst_n; /* number of classes of the destination, ... */
	uint16_t dport_n;
	uint16_t proto_n;
	uint16_t c2_n;
	uint32_t t1; /* offsets from the table, uint8_t cells */
	uint32_t t2;
	uint32_t t3;
	uint32_t reserved[3];
};
#define MS_PROTO_ENDS 16u /* one vector at least */
static_assert(sizeof(struct ms_small) == 32, "ends begin at a multiple of 16");

#define MS_NODE_ENDS  16 /* ends a node: 64 bytes of IPv4 ends */
#define MS_LEVELS_MAX 5

/*
 * An index of any size: a static tree of nodes of 16 ends with 17 children each, or, for IPv6
 * addresses, a sorted array for a binary search.
 */
struct ms_tree {
	uint32_t nodes;                /* offset from the table */
	uint32_t classes;              /* offset, uint16_t: [0] missing, [1 + rank] */
	uint32_t level[MS_LEVELS_MAX]; /* number of its first node, root first */
	uint32_t levels;
	uint32_t ends_n; /* IPv6: at least 1 */
};

/* What the wide cross and the bit-set layout share: the indices. */
struct ms_wide_index {
	struct ms_tree src;
	struct ms_tree dst;
	struct ms_tree sport;
	struct ms_tree dport;
	uint32_t proto_classes; /* offset, uint16_t: [0] missing, [1 + protocol] */
};

struct ms_wide {
	struct ms_wide_index index;
	uint32_t dst_n;
	uint32_t dport_n;
	uint32_t proto_n;
	uint32_t c2_n;
	uint32_t t1; /* offsets from the table, uint16_t cells */
	uint32_t t2;
	uint32_t t3;
};

/* One filter's share of the bits of a row. */
struct ms_bits_segment {
	uint64_t mask;
	uint32_t word; /* bits mask of words [word, word + words) are its rules */
	uint32_t words;
	uint32_t outputs; /* where frames go that it accepts */
	uint32_t reserved;
};

struct ms_bits {
	struct ms_wide_index index;
	uint32_t words;   /* of a row */
	uint32_t rows[5]; /* offsets: uint64_t [class][words] of src, dst, sport, dport, proto */
	uint32_t segments;
	uint32_t segments_n;
	uint32_t session; /* 1 if the first segment is the session's filter */
	uint32_t actions; /* offset, uint32_t for each bit: leaf << 1 | accept */
	uint32_t no_rule; /* leaf of a filter where no rule matches */
	uint32_t always;  /* outputs of routes without a filter */
	uint32_t fate;    /* if the session accepts, and no route has a rule for the frame */
};

/* What a row leads to. */
struct ms_result {
	uint32_t outputs;
	uint32_t leaf:24; /* in the policy */
	uint32_t fate:8;
};
static_assert(sizeof(struct ms_result) == 8, "eight a cache line");
/* Where leaf and fate stand if it is read as one number. */
#define MS_RESULT_LEAF 32
#define MS_RESULT_FATE 56

/*
 * Up to 16 rules of IPv4, in the order of trying. A row matches if src and dst are equal under
 * their masks, the ports are at most span above the first one, and protocol and has, as the number
 * that stands in the key, are equal under their mask. Rows that stand for nothing match nothing.
 */
struct ms_rows_16 {
	uint32_t src[16];
	uint32_t src_mask[16];
	uint32_t dst[16];
	uint32_t dst_mask[16];
	uint16_t sport[16];
	uint16_t sport_span[16];
	uint16_t dport[16];
	uint16_t dport_span[16];
	uint16_t traits[16]; /* of ms_key_traits() */
	uint16_t traits_mask[16];
};

struct ms_rows_8 {
	uint32_t src[8];
	uint32_t src_mask[8];
	uint32_t dst[8];
	uint32_t dst_mask[8];
	uint16_t sport[8];
	uint16_t sport_span[8];
	uint16_t dport[8];
	uint16_t dport_span[8];
	uint16_t traits[8];
	uint16_t traits_mask[8];
};

/* MS_TABLE_V4_ROWS_8 and _16: the results of all rows, and behind them that of none. */
struct ms_table_rows_8 {
	struct ms_rows_8 rows;
	struct ms_result results[9];
};
struct ms_table_rows_16 {
	struct ms_rows_16 rows;
	struct ms_result results[17];
};

/* A block of a tree, on cache lines of its own. */
struct ms_block {
	struct ms_rows_16 rows;
	uint16_t rank[17]; /* of each row's result among all, and of none */
	uint16_t more;     /* the next block goes on where this one ends */
	uint16_t reserved[14];
};
static_assert(sizeof(struct ms_block) == 512, "blocks begin on a cache line");

/*
 * A node of a tree: (the 32-bit word at `word` of the key >> shift) & mask tells the child, counted
 * from `child`. Below the last level child is the number of a block, and mask the least rank in it:
 * who has found an earlier rule needs not look there.
 */
struct ms_cut {
	uint32_t child;
	uint16_t mask;
	uint8_t word;
	uint8_t shift;
};

#define MS_TREES_MAX 3

/* MS_TABLE_V4_TREE. Every way down a tree has the same number of steps. */
struct ms_trees {
	uint32_t trees_n;
	uint32_t root[MS_TREES_MAX]; /* number of a cut */
	uint32_t depth[MS_TREES_MAX];
	uint32_t cuts;    /* offsets from the table */
	uint32_t blocks;  /* at a multiple of 64 */
	uint32_t results; /* by rank */
	uint32_t none;    /* rank of no rule */
	uint32_t reserved[5];
};

#define MS_HAS_SETS 32 /* what a key can have */

/* An address in parts: 11 bits, 11 bits and the upper 10. Cells for all values of each. */
#define MS_PART_BITS 11
#define MS_PART_MASK ((1u << MS_PART_BITS) - 1)
struct ms_parts {
	uint16_t low[1u << MS_PART_BITS];
	uint16_t middle[1u << MS_PART_BITS];
	uint16_t high[1u << (32 - 2 * MS_PART_BITS)];
};

/* Ports in pages of so many. */
#define MS_PAGE_BITS 6
#define MS_PAGE      (1u << MS_PAGE_BITS)
#define MS_PAGES     ((UINT16_MAX + 1u) / MS_PAGE)

/*
 * MS_TABLE_V4_SETS_2 to _8. A set has a bit for each rule, in so many words as the kind says, and
 * cells say where it begins, in words from `sets`. Each part of an address leads to the set of the
 * rules that it suits, since an address is in a prefix if each of its parts is; each port, by the
 * page of cells that it is in, to such a set; and protocol and what the key has, to those that
 * suit the protocol and need no more than is there. So a missing field needs no care: whatever its
 * value is taken for, that last set has none of the rules that want it. The first rule that is in
 * all sets decides. Behind the last rule stands one that is in all sets: it has the result of none.
 */
struct ms_table_sets {
	uint32_t sets;    /* offset from the table, uint64_t, at a multiple of 64 */
	uint32_t results; /* offset, by bit */
	uint32_t reserved[14];
	struct ms_parts src;
	struct ms_parts dst;
	/* where the cells of a page of ports begin, and the MS_HAS_SETS of a kind of protocols:
	 * in cells from the table */
	uint32_t sport_pages[MS_PAGES];
	uint32_t dport_pages[MS_PAGES];
	uint32_t protos[UINT8_MAX + 1];
};
static_assert(sizeof(struct ms_table_sets) % 64 == 0, "sets begin on a cache line");

#define MS_SETS_FIELDS 9 /* sets that a key leads to */

/* What a lookup finds. */
struct ms_found {
	uint32_t outputs;
	uint32_t leaf; /* global; MS_LEAF_NONE where not one was counted, but several or none */
	uint8_t fate;
};

/* The two cells that the classes of a key lead to. */
struct ms_cells {
	const uint8_t *c1;
	const uint8_t *c2;
};

static inline const struct ms_policy *
ms_policy_at(const uint8_t *base, uint32_t policy)
{
	return (const struct ms_policy *)(base + ((size_t)policy << 6));
}

static inline uint32_t
ms_policy_table(const struct ms_policy *policy, uint8_t direction, uint8_t family)
{
	return policy->tables[(direction - 1) & 1][(family >> 1) & 3];
}

/*
 * Number of ends below value: compared all at once. n is a constant wherever these are inlined, a
 * multiple of the lanes of a vector. Vector units compare signed numbers, so ends are stored, and
 * values compared, with their top bit flipped, which keeps the order. At most 32 ends, so the sums
 * of all lanes fit one lane when they are added up within 64 bits.
 */
static inline uint32_t
ms_rank32(const int32_t *ends, uint32_t value, unsigned int n)
{
	int32_t key = (int32_t)(value ^ UINT32_C(1) << 31);
	ms_lanes32 sum = {0}, some;
	uint64_t half[2];

	for (unsigned int i = 0; i < n; i += sizeof(some) / sizeof(key)) {
		memcpy(&some, ends + i, sizeof(some));
		sum -= some < key; /* true is -1 */
	}
	memcpy(half, &sum, sizeof(half));
	half[0] += half[1];
	return (uint32_t)(half[0] + (half[0] >> 32));
}

static inline uint32_t
ms_rank16(const int16_t *ends, uint16_t value, unsigned int n)
{
	int16_t key = (int16_t)(value ^ 1u << 15);
	ms_lanes16 sum = {0}, some;
	uint64_t half[2];

	for (unsigned int i = 0; i < n; i += sizeof(some) / sizeof(key)) {
		memcpy(&some, ends + i, sizeof(some));
		sum -= some < key;
	}
	memcpy(half, &sum, sizeof(half));
	return (uint32_t)((half[0] + half[1]) * UINT64_C(0x0001000100010001) >> 48);
}

static inline uint32_t
ms_rank8(const int8_t *ends, uint8_t value, unsigned int n)
{
	int8_t key = (int8_t)(value ^ 1u << 7);
	ms_lanes8 sum = {0}, some;
	uint64_t half[2];

	for (unsigned int i = 0; i < n; i += sizeof(some) / sizeof(key)) {
		memcpy(&some, ends + i, sizeof(some));
		sum -= some < key;
	}
	memcpy(half, &sum, sizeof(half));
	return (uint32_t)((half[0] + half[1]) * UINT64_C(0x0101010101010101) >> 56);
}

/* The same in 128 bits by halving, without branches; these ends are as they are. n >= 1. */
static inline uint32_t
ms_rank128(const ms_u128 *ends, struct ms_ip ip, uint32_t n)
{
	ms_u128 value = (ms_u128)ip.hi << 64 | ip.lo;
	uint32_t rank = 0;

	while (n > 1) {
		uint32_t half = n / 2;

		rank += half * (ends[rank + half - 1] < value);
		n -= half;
	}
	return rank + (ends[rank] < value);
}

static inline uint32_t
ms_tree_rank32(const struct ms_tree *tree, const int32_t *nodes, uint32_t value)
{
	uint32_t node = 0;

	for (uint32_t i = 0; i + 1 < tree->levels; i++)
		node += MS_NODE_ENDS * node +
		        ms_rank32(nodes + (size_t)(tree->level[i] + node) * MS_NODE_ENDS, value,
				MS_NODE_ENDS);
	nodes += (size_t)(tree->level[tree->levels - 1] + node) * MS_NODE_ENDS;
	return MS_NODE_ENDS * node + ms_rank32(nodes, value, MS_NODE_ENDS);
}

static inline uint32_t
ms_tree_rank16(const struct ms_tree *tree, const int16_t *nodes, uint16_t value)
{
	uint32_t node = 0;

	for (uint32_t i = 0; i + 1 < tree->levels; i++)
		node += MS_NODE_ENDS * node +
		        ms_rank16(nodes + (size_t)(tree->level[i] + node) * MS_NODE_ENDS, value,
				MS_NODE_ENDS);
	nodes += (size_t)(tree->level[tree->levels - 1] + node) * MS_NODE_ENDS;
	return MS_NODE_ENDS * node + ms_rank16(nodes, value, MS_NODE_ENDS);
}

/* Index into an array of classes: 0 for a field that is missing, 1 + rank for one that is there. */
static inline uint32_t
ms_class_at(const struct ms_key *key, uint8_t has, uint32_t rank)
{
	return (key->has & has) != 0 ? rank + 1 : 0;
}

/* Stage 1 of a small table: the cells of t1 and t2. */
static inline struct ms_cells
ms_small_cells(const uint8_t *table, const struct ms_key *key, unsigned int n, bool v6)
{
	const struct ms_small *t = (const struct ms_small *)table;
	const uint8_t *src = table + sizeof(*t);
	const uint8_t *dst = src + n * (v6 ? 16 : 4);
	const uint8_t *sport = dst + n * (v6 ? 16 : 4);
	const uint8_t *dport = sport + n * 2;
	const uint8_t *proto = dport + n * 2;
	const unsigned int protos = n < MS_PROTO_ENDS ? MS_PROTO_ENDS : n;
	const uint8_t *classes = proto + protos;
	uint32_t s, d, sp, dp, pr;

	if (v6) {
		s = ms_rank128((const ms_u128 *)src, key->src, n);
		d = ms_rank128((const ms_u128 *)dst, key->dst, n);
	} else {
		s = ms_rank32((const int32_t *)src, (uint32_t)key->src.lo, n);
		d = ms_rank32((const int32_t *)dst, (uint32_t)key->dst.lo, n);
	}
	sp = ms_rank16((const int16_t *)sport, key->sport, n);
	dp = ms_rank16((const int16_t *)dport, key->dport, n);
	pr = ms_rank8((const int8_t *)proto, key->proto, protos);

	s = classes[ms_class_at(key, MS_HAS_SRC, s)];
	d = classes[n + 2 + ms_class_at(key, MS_HAS_DST, d)];
	sp = classes[2 * (n + 2) + ms_class_at(key, MS_HAS_SPORT, sp)];
	dp = classes[3 * (n + 2) + ms_class_at(key, MS_HAS_DPORT, dp)];
	pr = classes[4 * (n + 2) + ms_class_at(key, MS_HAS_PROTO, pr)];
	return (struct ms_cells){
		.c1 = table + t->t1 + s * t->dst_n + d,
		.c2 = table + t->t2 + (sp * t->dport_n + dp) * t->proto_n + pr,
	};
}

/* Stage 2: the cell of t3, which holds the leaf. */
static inline const uint8_t *
ms_small_leaf(const uint8_t *table, struct ms_cells cells)
{
	const struct ms_small *t = (const struct ms_small *)table;

	return table + t->t3 + (uint32_t)*cells.c1 * t->c2_n + *cells.c2;
}

/* The classes of all fields: source, destination, source port, destination port, protocol. */
static inline void
ms_wide_classes(const uint8_t *table, const struct ms_wide_index *index, const struct ms_key *key,
	bool v6, uint32_t classes[5])
{
	const uint8_t *src = table + index->src.nodes;
	const uint8_t *dst = table + index->dst.nodes;
	uint32_t s, d, sp, dp;

	if (v6) {
		s = ms_rank128((const ms_u128 *)src, key->src, index->src.ends_n);
		d = ms_rank128((const ms_u128 *)dst, key->dst, index->dst.ends_n);
	} else {
		s = ms_tree_rank32(&index->src, (const int32_t *)src, (uint32_t)key->src.lo);
		d = ms_tree_rank32(&index->dst, (const int32_t *)dst, (uint32_t)key->dst.lo);
	}
	sp = ms_tree_rank16(
		&index->sport, (const int16_t *)(table + index->sport.nodes), key->sport);
	dp = ms_tree_rank16(
		&index->dport, (const int16_t *)(table + index->dport.nodes), key->dport);
	s = ms_class_at(key, MS_HAS_SRC, s);
	d = ms_class_at(key, MS_HAS_DST, d);
	sp = ms_class_at(key, MS_HAS_SPORT, sp);
	dp = ms_class_at(key, MS_HAS_DPORT, dp);
	classes[0] = ((const uint16_t *)(table + index->src.classes))[s];
	classes[1] = ((const uint16_t *)(table + index->dst.classes))[d];
	classes[2] = ((const uint16_t *)(table + index->sport.classes))[sp];
	classes[3] = ((const uint16_t *)(table + index->dport.classes))[dp];
	classes[4] = ((const uint16_t *)(table + index->proto_classes))[ms_class_at(
		key, MS_HAS_PROTO, key->proto)];
}

static inline struct ms_cells
ms_wide_cells(const uint8_t *table, const struct ms_key *key, bool v6)
{
	const struct ms_wide *t = (const struct ms_wide *)table;
	uint32_t c[5];
	size_t c1, c2;

	ms_wide_classes(table, &t->index, key, v6, c);
	c1 = (size_t)c[0] * t->dst_n + c[1];
	c2 = ((size_t)c[2] * t->dport_n + c[3]) * t->proto_n + c[4];
	return (struct ms_cells){
		.c1 = table + t->t1 + c1 * sizeof(uint16_t),
		.c2 = table + t->t2 + c2 * sizeof(uint16_t),
	};
}

static inline const uint16_t *
ms_wide_leaf(const uint8_t *table, struct ms_cells cells)
{
	const struct ms_wide *t = (const struct ms_wide *)table;
	size_t c1 = *(const uint16_t *)cells.c1;

	return (const uint16_t *)(table + t->t3) + c1 * t->c2_n + *(const uint16_t *)cells.c2;
}

/* The first rule of a segment that all five rows have, as its action; no_rule without accept. */
static inline uint32_t
ms_bits_action(const uint8_t *table, const struct ms_bits_segment *segment,
	const uint64_t *const rows[5], bool *found)
{
	const struct ms_bits *t = (const struct ms_bits *)table;
	const uint32_t *actions = (const uint32_t *)(table + t->actions);

	for (uint32_t i = segment->word; i < segment->word + segment->words; i++) {
		uint64_t both = rows[0][i] & rows[1][i] & rows[2][i] & rows[3][i] & rows[4][i] &
		                segment->mask;

		if (both != 0) {
			*found = true;
			return actions[(size_t)i * 64 + (uint32_t)__builtin_ctzll(both)];
		}
	}
	*found = false;
	return t->no_rule << 1;
}

/* The whole lookup in a bit-set table: counts a leaf for each filter that is asked. */
static inline struct ms_found
ms_bits_lookup(const struct ms_policy *policy, const uint8_t *table, const struct ms_key *key,
	bool v6, ms_counter *leaf_hits)
{
	const struct ms_bits *t = (const struct ms_bits *)table;
	const struct ms_bits_segment *segments =
		(const struct ms_bits_segment *)(table + t->segments);
	struct ms_found result = {
		.outputs = t->always,
		.fate = (uint8_t)t->fate,
		.leaf = MS_LEAF_NONE,
	};
	const uint64_t *rows[5];
	uint32_t classes[5];

	ms_wide_classes(table, &t->index, key, v6, classes);
	for (unsigned int i = 0; i < 5; i++)
		rows[i] = (const uint64_t *)(table + t->rows[i]) + (size_t)classes[i] * t->words;
	for (uint32_t i = 0; i < t->segments_n; i++) {
		bool found, session = i < t->session;
		uint32_t action = ms_bits_action(table, &segments[i], rows, &found);
		uint32_t leaf = policy->leaf_base + (action >> 1);

		ms_count_add(&leaf_hits[leaf], 1);
		result.leaf = i == 0 ? leaf : MS_LEAF_NONE;
		if ((action & 1) != 0) {
			result.outputs |= segments[i].outputs;
		} else if (session) {
			result.outputs = 0;
			result.fate = found ? MS_FATE_FILTER_REJECT : MS_FATE_FILTER_DEFAULT;
			return result;
		} else if (found) {
			result.fate = MS_FATE_FILTER_REJECT;
		}
	}
	if (result.outputs != 0)
		result.fate = MS_FATE_NONE;
	return result;
}

/* What a leaf of the cross layout stands for; counts it. */
static inline struct ms_found
ms_leaf_found(const struct ms_policy *policy, uint32_t leaf, ms_counter *leaf_hits)
{
	ms_count_add(&leaf_hits[policy->leaf_base + leaf], 1);
	return (struct ms_found){
		.outputs = policy->verdicts[leaf].outputs,
		.leaf = policy->leaf_base + leaf,
		.fate = policy->verdicts[leaf].fate,
	};
}

/* Protocol and has of a key as the rows have them; in the same order in which they stand there. */
static inline uint16_t
ms_key_traits(const struct ms_key *key)
{
	static_assert(offsetof(struct ms_key, has) == offsetof(struct ms_key, proto) + 1,
		"they are read as one");
	return (uint16_t)(key->proto | key->has << 8);
}

/* The first row that matches, n if none does: one by one. n is a constant, 8 or 16. */
static inline uint32_t
ms_rows_first(const uint8_t *rows, const struct ms_key *key, unsigned int n)
{
	const uint32_t *src = (const uint32_t *)rows, *dst = src + 2 * (size_t)n;
	const uint16_t *sport = (const uint16_t *)(dst + 2 * (size_t)n);
	const uint16_t *dport = sport + 2 * (size_t)n, *traits = dport + 2 * (size_t)n;
	uint32_t i;

	for (i = 0; i < n; i++)
		if ((((uint32_t)key->src.lo ^ src[i]) & src[n + i]) == 0 &&
			(((uint32_t)key->dst.lo ^ dst[i]) & dst[n + i]) == 0 &&
			(uint16_t)(key->sport - sport[i]) <= sport[n + i] &&
			(uint16_t)(key->dport - dport[i]) <= dport[n + i] &&
			((ms_key_traits(key) ^ traits[i]) & traits[n + i]) == 0)
			break;
	return i;
}

/* The word of a key that a cut looks at. */
static inline uint32_t
ms_cut_word(const struct ms_cut *cut, const struct ms_key *key)
{
	uint32_t word;

	memcpy(&word, (const uint8_t *)key + cut->word, sizeof(word));
	return word;
}

/* Where a key comes to in a tree: what leads to a block. */
static inline const struct ms_cut *
ms_tree_leaf(const uint8_t *table, unsigned int tree, const struct ms_key *key)
{
	const struct ms_trees *t = (const struct ms_trees *)table;
	const struct ms_cut *cuts = (const struct ms_cut *)(table + t->cuts);
	const struct ms_cut *cut = &cuts[t->root[tree]];

	for (uint32_t i = 0; i < t->depth[tree]; i++)
		cut = &cuts[cut->child + (ms_cut_word(cut, key) >> cut->shift & cut->mask)];
	return cut;
}

static inline const struct ms_block *
ms_tree_block(const uint8_t *table, const struct ms_cut *leaf)
{
	const struct ms_trees *t = (const struct ms_trees *)table;

	return (const struct ms_block *)(table + t->blocks) + leaf->child;
}

/* The result of the first rule of a tree table that matches. */
static inline const struct ms_result *
ms_tree_lookup(const uint8_t *table, const struct ms_key *key)
{
	const struct ms_trees *t = (const struct ms_trees *)table;
	uint32_t least = t->none;

	for (uint32_t i = 0; i < t->trees_n; i++) {
		const struct ms_cut *leaf = ms_tree_leaf(table, i, key);
		const struct ms_block *block = ms_tree_block(table, leaf);
		uint32_t row;

		if (leaf->mask >= least)
			continue;
		row = ms_rows_first((const uint8_t *)&block->rows, key, 16);
		while (row == 16 && block->more != 0) {
			block++;
			row = ms_rows_first((const uint8_t *)&block->rows, key, 16);
		}
		if (block->rank[row] < least)
			least = block->rank[row];
	}
	return (const struct ms_result *)(table + t->results) + least;
}

/* Where the sets begin that a key leads to, in words. */
static inline void
ms_sets_cells(const struct ms_table_sets *t, const struct ms_key *key, size_t cells[MS_SETS_FIELDS])
{
	const uint16_t *all = (const uint16_t *)t;
	/* in the width of an address, which spares steps */
	size_t src = (uint32_t)key->src.lo, dst = (uint32_t)key->dst.lo;
	size_t sport = key->sport, dport = key->dport;

	cells[0] = t->src.low[src & MS_PART_MASK];
	cells[1] = t->src.middle[src >> MS_PART_BITS & MS_PART_MASK];
	cells[2] = t->src.high[src >> 2 * MS_PART_BITS];
	cells[3] = t->dst.low[dst & MS_PART_MASK];
	cells[4] = t->dst.middle[dst >> MS_PART_BITS & MS_PART_MASK];
	cells[5] = t->dst.high[dst >> 2 * MS_PART_BITS];
	cells[6] = all[t->sport_pages[sport / MS_PAGE] + sport % MS_PAGE];
	cells[7] = all[t->dport_pages[dport / MS_PAGE] + dport % MS_PAGE];
	cells[8] = all[t->protos[key->proto] + (size_t)key->has % MS_HAS_SETS];
}

/* The result of the first rule of a table of sets that matches. */
static inline const struct ms_result *
ms_sets_lookup(const uint8_t *table, const struct ms_key *key)
{
	const struct ms_table_sets *t = (const struct ms_table_sets *)table;
	const uint64_t *sets = (const uint64_t *)(table + t->sets);
	const struct ms_result *results = (const struct ms_result *)(table + t->results);
	size_t cells[MS_SETS_FIELDS];

	ms_sets_cells(t, key, cells);
	for (uint32_t i = 0;; i++) { /* there is one in all */
		uint64_t all = UINT64_MAX;

		for (unsigned int j = 0; j < MS_SETS_FIELDS; j++)
			all &= sets[cells[j] + i];
		if (all != 0)
			return &results[i * 64 + (uint32_t)__builtin_ctzll(all)];
	}
}

/* What a row's result stands for; counts it. */
static inline struct ms_found
ms_result_found(
	const struct ms_policy *policy, const struct ms_result *result, ms_counter *leaf_hits)
{
	ms_count_add(&leaf_hits[policy->leaf_base + result->leaf], 1);
	return (struct ms_found){
		.outputs = result->outputs,
		.leaf = policy->leaf_base + result->leaf,
		.fate = (uint8_t)result->fate,
	};
}

/* Looks a key up in the table that `ref`, an element of policy->tables, refers to. */
static inline struct ms_found
ms_table_lookup(const struct ms_policy *policy, uint32_t ref, const struct ms_key *key,
	ms_counter *leaf_hits)
{
	const uint8_t *t = (const uint8_t *)policy + (ref & ~(uint32_t)MS_TABLE_KIND);
	uint32_t leaf = 0;

	switch ((enum ms_table_kind)(ref & MS_TABLE_KIND)) {
	case MS_TABLE_CONST:
		leaf = ref / MS_TABLE_ALIGN;
		break;
	case MS_TABLE_V4_8:
		leaf = *ms_small_leaf(t, ms_small_cells(t, key, 8, false));
		break;
	case MS_TABLE_V4_16:
		leaf = *ms_small_leaf(t, ms_small_cells(t, key, 16, false));
		break;
	case MS_TABLE_V4_32:
		leaf = *ms_small_leaf(t, ms_small_cells(t, key, 32, false));
		break;
	case MS_TABLE_V6_8:
		leaf = *ms_small_leaf(t, ms_small_cells(t, key, 8, true));
		break;
	case MS_TABLE_V6_16:
		leaf = *ms_small_leaf(t, ms_small_cells(t, key, 16, true));
		break;
	case MS_TABLE_V6_32:
		leaf = *ms_small_leaf(t, ms_small_cells(t, key, 32, true));
		break;
	case MS_TABLE_V4_WIDE:
		leaf = *ms_wide_leaf(t, ms_wide_cells(t, key, false));
		break;
	case MS_TABLE_V6_WIDE:
		leaf = *ms_wide_leaf(t, ms_wide_cells(t, key, true));
		break;
	case MS_TABLE_V4_ROWS_8:
		return ms_result_found(policy,
			&((const struct ms_table_rows_8 *)t)->results[ms_rows_first(t, key, 8)],
			leaf_hits);
	case MS_TABLE_V4_ROWS_16:
		return ms_result_found(policy,
			&((const struct ms_table_rows_16 *)t)->results[ms_rows_first(t, key, 16)],
			leaf_hits);
	case MS_TABLE_V4_TREE:
		return ms_result_found(policy, ms_tree_lookup(t, key), leaf_hits);
	case MS_TABLE_V4_SETS_2:
	case MS_TABLE_V4_SETS_4:
	case MS_TABLE_V4_SETS_8:
		return ms_result_found(policy, ms_sets_lookup(t, key), leaf_hits);
	case MS_TABLE_V4_BITS:
		return ms_bits_lookup(policy, t, key, false, leaf_hits);
	case MS_TABLE_V6_BITS:
		return ms_bits_lookup(policy, t, key, true, leaf_hits);
	case MS_TABLE_KINDS:
		break;
	}
	return ms_leaf_found(policy, leaf, leaf_hits);
}

/* What two tables say together, for a frame of unknown direction. */
static inline struct ms_found
ms_found_unite(struct ms_found a, struct ms_found b)
{
	static_assert(MS_FATE_NONE < MS_FATE_FILTER_REJECT &&
			      MS_FATE_FILTER_REJECT < MS_FATE_FILTER_DEFAULT &&
			      MS_FATE_FILTER_DEFAULT < MS_FATE_NO_ROUTE,
		"the lesser fate is the stronger");
	a.outputs |= b.outputs;
	if (b.fate < a.fate)
		a.fate = b.fate;
	return a;
}

/*
 * Looks one key up in a policy: base is the blob, policy the offset that ms_filter_compile() gave,
 * in units of 64 bytes. Adds one to leaf_hits[] for every leaf it meets; leaf_hits has an element
 * for every leaf and belongs to this thread. Any thread.
 */
static inline struct ms_found
ms_filter_lookup(const uint8_t *base, uint32_t policy, const struct ms_key *key,
	enum ms_direction direction, ms_counter *leaf_hits)
{
	const struct ms_policy *p = ms_policy_at(base, policy);
	struct ms_found found;

	if (direction != MS_DIRECTION_UNKNOWN)
		return ms_table_lookup(
			p, ms_policy_table(p, (uint8_t)direction, key->family), key, leaf_hits);
	found = ms_table_lookup(
		p, ms_policy_table(p, MS_DIRECTION_INGRESS, key->family), key, leaf_hits);
	return ms_found_unite(
		found, ms_table_lookup(p, ms_policy_table(p, MS_DIRECTION_EGRESS, key->family), key,
			       leaf_hits));
}

/*
 * Looks up all packets[0..n), n <= MS_BURST, whose fate is MS_FATE_NONE, by their policy,
 * direction and key; sets their outputs, their leaf and, if there are no outputs, their fate.
 * Counts leaves as ms_filter_lookup() does. rx lcore.
 */
void
ms_filter_burst(const uint8_t *base, struct ms_packet *packets, uint16_t n, ms_counter *leaf_hits);

/* What ms_filter_burst() is made of: the same for several processors. It takes the best. */
enum ms_filter_code {
	MS_FILTER_PLAIN, /* that which all is compiled for */
	MS_FILTER_AVX2,
	MS_FILTER_AVX512,
	MS_FILTER_CODES
};

/* ms_filter_burst() in one of them; NULL if this processor cannot run it. For tests. Any thread. */
void (*ms_filter_burst_code(enum ms_filter_code code))(
	const uint8_t *base, struct ms_packet *packets, uint16_t n, ms_counter *leaf_hits);
