/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes and ends the rings between an rx lcore and a worker. */
#include "dispatch/ms_dispatch.h"

#include <errno.h>
#include <stdio.h>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_ring_elem.h>

int
ms_ring_pair_create(struct ms_ring_pair *pair, const char *name, unsigned int size)
{
	unsigned int flags = RING_F_SP_ENQ | RING_F_SC_DEQ;
	char ring[RTE_RING_NAMESIZE];

	pair->back = NULL;
	snprintf(ring, sizeof(ring), "%s_fwd", name);
	pair->forward = rte_ring_create_elem(
		ring, sizeof(struct ms_frame), size, (int)rte_socket_id(), flags);
	if (pair->forward == NULL)
		return -rte_errno;
	snprintf(ring, sizeof(ring), "%s_back", name);
	pair->back = rte_ring_create(ring, 2 * size, (int)rte_socket_id(), flags);
	if (pair->back == NULL) {
		int rc = -rte_errno;

		ms_ring_pair_free(pair);
		return rc;
	}
	return 0;
}

void
ms_ring_pair_free(struct ms_ring_pair *pair)
{
	struct ms_frame frame;
	void *mbuf;

	if (pair->forward != NULL) {
		while (rte_ring_sc_dequeue_elem(pair->forward, &frame, sizeof(frame)) == 0)
			rte_pktmbuf_free(frame.mbuf);
	}
	if (pair->back != NULL) {
		while (rte_ring_sc_dequeue(pair->back, &mbuf) == 0)
			rte_pktmbuf_free(mbuf);
	}
	rte_ring_free(pair->forward);
	rte_ring_free(pair->back);
	pair->forward = NULL;
	pair->back = NULL;
}
