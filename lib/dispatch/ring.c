/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes and ends the rings between rx lcores and workers. */
#include "dispatch/ms_dispatch.h"

#include <errno.h>

#include <rte_malloc.h>

int
ms_ring_create(struct ms_ring **out, uint32_t size, int socket)
{
	struct ms_ring *ring = rte_zmalloc_socket("ms_ring", sizeof(*ring), 128, socket);

	*out = ring;
	if (ring == NULL)
		return -ENOMEM;
	ring->mask = size - 1;
	ring->places = rte_zmalloc_socket(
		"ms_ring", size * sizeof(*ring->places), RTE_CACHE_LINE_SIZE, socket);
	ring->mbufs = rte_zmalloc_socket(
		"ms_ring", size * sizeof(struct rte_mbuf *), RTE_CACHE_LINE_SIZE, socket);
	if (ring->places == NULL || ring->mbufs == NULL) {
		rte_free(ring->mbufs);
		rte_free(ring->places);
		rte_free(ring);
		*out = NULL;
		return -ENOMEM;
	}
	return 0;
}

void
ms_ring_free(struct ms_ring *ring)
{
	if (ring == NULL)
		return;
	for (uint32_t i = ring->reclaimed; i != ring->head; i++)
		rte_pktmbuf_free(ring->places[i & ring->mask].mbuf);
	rte_free(ring->mbufs);
	rte_free(ring->places);
	rte_free(ring);
}
