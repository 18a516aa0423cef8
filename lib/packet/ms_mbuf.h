/* SPDX-License-Identifier: BSD-3-Clause */
/* Mbufs in bulk, as hot code needs them. */
#pragma once

#include <rte_mbuf.h>

/*
 * Can the mbuf go back to its pool as it is? One segment, nobody else's, with its own buffer. Where
 * there is one segment `next` is NULL, as for all mbufs of a pool.
 */
static inline bool
ms_mbuf_is_plain(const struct rte_mbuf *m)
{
	return rte_mbuf_refcnt_read(m) == 1 && m->nb_segs == 1 &&
	       (m->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) == 0;
}

/*
 * Frees mbufs[0..n), n >= 1, as rte_pktmbuf_free_bulk() does. Nearly always all are plain and of
 * one pool, and then that takes them in one piece.
 */
static inline void
ms_mbuf_free_bulk(struct rte_mbuf **mbufs, unsigned int n)
{
	struct rte_mempool *pool = mbufs[0]->pool;
	bool plain = true;

	for (unsigned int i = 0; i < n; i++)
		plain &= ms_mbuf_is_plain(mbufs[i]) & (mbufs[i]->pool == pool);
	if (likely(plain))
		rte_mempool_put_bulk(pool, (void *const *)mbufs, n);
	else
		rte_pktmbuf_free_bulk(mbufs, n);
}
