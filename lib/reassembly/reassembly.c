/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a table of fragments. What it does is in reassembly_burst.c. */
#include "reassembly/ms_reassembly.h"

#include "reassembly/reassembly_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <rte_errno.h>

/* A packet is looked for in two buckets of so many entries. */
#define BUCKET_ENTRIES 16

struct ms_reassembly *
ms_reassembly_create(const struct ms_reassembly_options *options)
{
	struct ms_reassembly *reassembly = calloc(1, sizeof(*reassembly));

	assert(options->packets >= BUCKET_ENTRIES);
	if (reassembly == NULL)
		goto fail;
	reassembly->options = *options;
	reassembly->table = rte_ip_frag_table_create(options->packets / BUCKET_ENTRIES,
		BUCKET_ENTRIES, options->packets, options->lifetime_ns, options->socket);
	if (reassembly->table != NULL)
		return reassembly;
fail:
	free(reassembly);
	rte_errno = ENOMEM;
	return NULL;
}

void
ms_reassembly_free(struct ms_reassembly *reassembly)
{
	if (reassembly == NULL)
		return;
	rte_ip_frag_table_destroy(reassembly->table);
	free(reassembly);
}
