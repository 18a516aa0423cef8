/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes and ends tables of flows. */
#include "flow/flow_internal.h"

#include <errno.h>

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_vect.h>

#include "packet/ms_wire.h"

/* Where a head keeps a packet's byte. */
static uint8_t *
head_at(struct head *head, unsigned int byte)
{
	if (byte >= AT_KEY_END)
		return (uint8_t *)&head->key[2] + byte - AT_KEY_END;
	if (byte >= AT_TYPE)
		return (uint8_t *)head->inner + byte - AT_INNER;
	if (byte >= AT_KEY)
		return (uint8_t *)head->key + byte - AT_KEY;
	return (uint8_t *)head->shape + byte - AT_SHAPE;
}

/* Bits `mask` of packet byte `at` decide, and have to be those of `value`. */
static void
want(struct ms_flow_table *table, unsigned int at, uint8_t mask, uint8_t value)
{
	*head_at(&table->mask, at) = mask;
	*head_at(&table->shape, at) = value;
}

/* n packet bytes tell flows apart. */
static void
tell(struct ms_flow_table *table, unsigned int at, unsigned int n)
{
	memset(head_at(&table->mask, at), 0xff, n);
}

/* Ethernet type, from byte `at` on, and an IPv4 header: no options, no fragment. */
static void
want_ipv4(struct ms_flow_table *table, unsigned int at)
{
	want(table, at, 0xff, RTE_ETHER_TYPE_IPV4 >> 8);
	want(table, at + 1, 0xff, RTE_ETHER_TYPE_IPV4 & 0xff);
	want(table, at + 2, 0xff, 0x45);
	want(table, at + 8, MS_IPV4_MF_OFFSET >> 8, 0);
	want(table, at + 9, MS_IPV4_MF_OFFSET & 0xff, 0);
}

/* Ethernet 0, IPv4 14, UDP 34, VXLAN 42, Ethernet 50, IPv4 64, ports 84. */
static void
masks_init(struct ms_flow_table *table, rte_be16_t vxlan_port)
{
	uint16_t port = rte_be_to_cpu_16(vxlan_port);

	want_ipv4(table, 12);
	want(table, 23, 0xff, MS_PROTO_UDP);
	want(table, 36, 0xff, (uint8_t)(port >> 8));
	want(table, 37, 0xff, (uint8_t)port);
	want(table, 42, 0x08, 0x08); /* VXLAN's I flag */
	tell(table, 46, 3);          /* VNI */
	tell(table, 50, 12);         /* inner MAC addresses */
	want_ipv4(table, AT_TYPE);
	tell(table, 73, 1); /* protocol */
	tell(table, AT_ADDRESSES, 8);
	tell(table, AT_PORTS, 4);
}

#if defined(RTE_ARCH_X86_64)
static bool
has_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
}
#endif

/* NULL if this processor has no such vectors. */
static flow_recall *
choose(enum ms_flow_vectors vectors)
{
	const uint16_t bits = rte_vect_get_max_simd_bitwidth();

	switch (vectors) {
#if defined(RTE_ARCH_X86_64)
	case MS_FLOW_BEST:
		if (bits < RTE_VECT_SIMD_256)
			break;
		if (has_avx512())
			return flow_recall_avx512;
		if (__builtin_cpu_supports("avx2"))
			return flow_recall_avx2;
		break;
	case MS_FLOW_AVX512:
		return has_avx512() ? flow_recall_avx512 : NULL;
	case MS_FLOW_AVX2:
		return __builtin_cpu_supports("avx2") ? flow_recall_avx2 : NULL;
#else
	case MS_FLOW_AVX512:
	case MS_FLOW_AVX2:
		return NULL;
	case MS_FLOW_BEST:
#endif
	case MS_FLOW_SCALAR:
		break;
	}
	return flow_recall_scalar;
}

struct ms_flow_table *
ms_flow_create(const struct ms_flow_options *options)
{
	flow_recall *recall = choose(options->vectors);
	struct ms_flow_table *table;

	if (recall == NULL) {
		rte_errno = ENOTSUP;
		return NULL;
	}
	table = rte_zmalloc_socket("ms_flow", sizeof(*table), 64, options->socket);
	if (table == NULL)
		goto full;
	table->flows = rte_zmalloc_socket("ms_flow", options->flows * sizeof(*table->flows),
		sizeof(*table->flows), options->socket);
	table->leaves = rte_malloc_socket(
		"ms_flow", options->flows * sizeof(*table->leaves), 0, options->socket);
	table->listed = rte_malloc_socket(
		"ms_flow", options->flows * sizeof(struct flow *), 0, options->socket);
	if (table->flows == NULL || table->leaves == NULL || table->listed == NULL)
		goto full;
	masks_init(table, options->vxlan_port);
	table->recall = recall;
	table->hashes = options->hashes;
	table->frames = true;
	table->clock = options->clock;
	table->sessions = options->sessions;
	table->places = (options->flows - 1) * (uint32_t)sizeof(struct flow);
	return table;
full:
	ms_flow_free(table);
	rte_errno = ENOMEM;
	return NULL;
}

void
ms_flow_free(struct ms_flow_table *table)
{
	if (table != NULL) {
		rte_free(table->flows);
		rte_free(table->leaves);
		rte_free(table->listed);
	}
	rte_free(table);
}

void
ms_flow_only_count(struct ms_flow_table *table, struct ms_output_ledger *const *outputs, uint16_t n)
{
	table->frames = false;
	memcpy(table->outputs, outputs, n * sizeof(*outputs));
}
