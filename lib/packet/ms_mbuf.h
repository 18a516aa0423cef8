/* SPDX-License-Identifier: BSD-3-Clause */
/* Mbufs in bulk, as hot code needs them. */
#pragma once

#include <rte_mbuf.h>

/*
 * Frees mbufs[0..n), n >= 1, as rte_pktmbuf_free_bulk() does. Nearly always all are plain and of
 * one pool, and then that takes them in one piece.
 */
static inline void
ms_mbuf_free_bulk(struct rte_mbuf **mbufs, unsigned int n)
{
	struct rte_mempool *pool = mbufs[0]->pool;
	uintptr_t pools = 0;
	uint64_t flags = 0;
	uint32_t counts = 0;

	/*
	 * Plain is what can go back as it is: one segment, nobody else's, with its own buffer.
	 * Where there is one segment `next` is NULL, as for all mbufs of a pool.
	 */
	for (unsigned int i = 0; i < n; i++) {
		const struct rte_mbuf *m = mbufs[i];

		counts |= (rte_mbuf_refcnt_read(m) ^ 1u) | (m->nb_segs ^ 1u);
		flags |= m->ol_flags;
		pools |= (uintptr_t)m->pool ^ (uintptr_t)pool;
	}
	flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
	if (likely((flags | counts | pools) == 0))
		rte_mempool_put_bulk(pool, (void *const *)mbufs, n);
	else
		rte_pktmbuf_free_bulk(mbufs, n);
}
