/* SPDX-License-Identifier: BSD-3-Clause */
/* Mbufs in bulk, as hot code needs them. */
#pragma once

#include <rte_mbuf.h>

/*
 * What keeps the mbuf from going back to the pool as it is; 0: nothing does. That is one segment,
 * nobody else's, with its own buffer. Where there is one segment `next` is NULL, as for all mbufs
 * of a pool. Answers for several mbufs are to be or-ed: that takes no branch.
 */
static inline uint64_t
ms_mbuf_oddity(const struct rte_mbuf *m, const struct rte_mempool *pool)
{
	return (uint64_t)(rte_mbuf_refcnt_read(m) ^ 1) | (uint64_t)(m->nb_segs ^ 1) |
	       (m->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) |
	       ((uintptr_t)m->pool ^ (uintptr_t)pool);
}

/*
 * Frees mbufs[0..n), n >= 1, as rte_pktmbuf_free_bulk() does. Nearly always all are plain and of
 * one pool, and then that takes them in one piece.
 */
static inline void
ms_mbuf_free_bulk(struct rte_mbuf **mbufs, unsigned int n)
{
	struct rte_mempool *pool = mbufs[0]->pool;
	uint64_t odd = 0;

	for (unsigned int i = 0; i < n; i++)
		odd |= ms_mbuf_oddity(mbufs[i], pool);
	if (likely(odd == 0))
		rte_mempool_put_bulk(pool, (void *const *)mbufs, n);
	else
		rte_pktmbuf_free_bulk(mbufs, n);
}
