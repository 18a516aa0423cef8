/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes what takes packets apart: decap, and the parser of inner frames behind it. The first byte
 * says how many segments there are but the last, as many bytes behind it how long these are, and
 * the rest is the packet. Each segment is memory of its own, so that a read beyond it is seen.
 */
#include <stdlib.h>
#include <string.h>

#include "decap/decap_internal.h"
#include "ledger/ms_ledger.h"
#include "packet/ms_packet.h"

#define SEGMENTS_MAX 16

static const struct ms_decap decap = {
	.vxlan_port = RTE_BE16(MS_VXLAN_PORT), .geneve_port = RTE_BE16(MS_GENEVE_PORT)};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What has to hold is checked in every build. */
static void
require(bool it)
{
	if (!it)
		abort();
}

/* A segment of n bytes; room for none is still memory. */
static void
fill_segment(struct rte_mbuf *s, const uint8_t *bytes, uint16_t n)
{
	s->buf_addr = malloc(n);
	require(s->buf_addr != NULL || n == 0);
	if (n > 0)
		memcpy(s->buf_addr, bytes, n);
	s->data_len = n;
}

static void
judge(struct rte_mbuf *m)
{
	struct ms_packet packet = {0}, walked = {0};

	ms_decap_burst(&decap, &m, 1, &packet);
	walked.fate = decap_walk(&decap, m, &walked);
	require(packet.fate == walked.fate && packet.fate < MS_FATE_SESSION_UNKNOWN);
	if (packet.fate != MS_FATE_NONE)
		return;
	require(packet.offset == walked.offset && packet.length == walked.length &&
		packet.vni == walked.vni && packet.tunnel == walked.tunnel &&
		packet.source_family == walked.source_family &&
		ms_ip_equal(packet.source, walked.source));
	require(packet.offset <= MS_PARSE_MAX && packet.vni < 1u << 24);
	require(packet.offset <= m->pkt_len && packet.length <= m->pkt_len - packet.offset);
	ms_packet_parse_burst(&m, &packet, 1);
	require(packet.original_length >= packet.length && packet.original_length <= MS_LENGTH_MAX);
	require(packet.direction <= MS_DIRECTION_EGRESS);
	require(packet.key.family != MS_FAMILY_NONE || packet.key.has == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rte_mbuf segments[SEGMENTS_MAX];
	uint16_t n = 1, cuts = 0;
	const uint8_t *sizes;
	size_t left;

	if (size > UINT16_MAX)
		return 0;
	if (size > 0)
		cuts = (uint16_t)RTE_MIN((size_t)data[0] % SEGMENTS_MAX, size - 1);
	sizes = data + 1;
	left = size > 0 ? size - 1 - cuts : 0;
	data = size > 0 ? sizes + cuts : data;
	segments[0].pkt_len = (uint32_t)left;
	for (uint16_t i = 0; i < cuts; i++) {
		uint16_t bytes = (uint16_t)RTE_MIN((size_t)sizes[i], left);

		fill_segment(&segments[i], data, bytes);
		segments[i].next = &segments[i + 1];
		data += bytes;
		left -= bytes;
		n++;
	}
	fill_segment(&segments[cuts], data, (uint16_t)left);
	segments[cuts].next = NULL;
	segments[0].nb_segs = n;
	judge(&segments[0]);
	for (uint16_t i = 0; i < n; i++)
		free(segments[i].buf_addr);
	return 0;
}
