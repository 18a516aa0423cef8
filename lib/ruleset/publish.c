/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Publication and reclamation. A reader takes the pointer once a burst and reports a quiescent
 * state after it; the writer swaps the pointer, waits for every reader's next two quiescent states,
 * and only then touches what it took away. Two, since a reader holds hits of leaves back until it
 * has a burst by the new pointer, or none: before the first state it may have had one by the old.
 */
#include "ruleset/ms_ruleset.h"

#include <errno.h>
#include <stdlib.h>

int
ms_ruleset_cell_init(struct ms_ruleset_cell *cell, struct ms_ruleset *first, uint32_t readers_n)
{
	size_t size = rte_rcu_qsbr_get_memsize(readers_n);

	cell->qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_CACHE_LINE_ROUNDUP(size));
	if (cell->qsbr == NULL)
		return -ENOMEM;
	rte_rcu_qsbr_init(cell->qsbr, readers_n);
	atomic_init(&cell->current, first);
	return 0;
}

void
ms_ruleset_cell_fini(struct ms_ruleset_cell *cell)
{
	ms_ruleset_free(atomic_load_explicit(&cell->current, memory_order_relaxed));
	free(cell->qsbr);
}

int
ms_ruleset_publish(struct ms_ruleset_cell *cell, struct ms_ruleset *next)
{
	/* pairs with the acquire in ms_ruleset_get() */
	struct ms_ruleset *last =
		atomic_exchange_explicit(&cell->current, next, memory_order_acq_rel);
	int rc;

	/* rte_rcu_qsbr_synchronize(), but compiled here, where ThreadSanitizer sees its loads */
	for (int states = 0; states < 2; states++)
		rte_rcu_qsbr_check(cell->qsbr, rte_rcu_qsbr_start(cell->qsbr), true);
	rc = ms_ruleset_inherit(next, last);
	ms_ruleset_free(last);
	return rc;
}
