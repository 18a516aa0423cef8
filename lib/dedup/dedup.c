/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a table of fingerprints. What it is for is in dedup_burst.c. */
#include "dedup/ms_dedup.h"

#include "dedup/dedup_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <rte_errno.h>

struct ms_dedup *
ms_dedup_create(const struct ms_dedup_options *options)
{
	struct ms_dedup *dedup = aligned_alloc(alignof(struct ms_dedup), sizeof(*dedup));

	assert(options->memory >= sizeof(struct dedup_bucket) && options->memory >> 37 == 0);
	if (dedup == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	memset(dedup, 0, sizeof(*dedup));
	dedup->buckets_n = options->memory / sizeof(struct dedup_bucket);
	dedup->window_ns = options->window_ns;
	dedup->session_mask = options->by_session ? UINT64_MAX : 0;
	dedup->buckets = aligned_alloc(
		alignof(struct dedup_bucket), dedup->buckets_n * sizeof(struct dedup_bucket));
	dedup->scratch = malloc(MS_LENGTH_MAX);
	if (dedup->buckets == NULL || dedup->scratch == NULL) {
		rte_errno = ENOMEM;
		goto fail;
	}
	if (getrandom(dedup->keys, sizeof(dedup->keys), 0) != (ssize_t)sizeof(dedup->keys)) {
		rte_errno = errno;
		goto fail;
	}
	/* written now, so that the owner meets no page fault */
	memset(dedup->buckets, 0, dedup->buckets_n * sizeof(struct dedup_bucket));
	return dedup;
fail:
	ms_dedup_free(dedup);
	return NULL;
}

void
ms_dedup_free(struct ms_dedup *dedup)
{
	if (dedup == NULL)
		return;
	free(dedup->buckets);
	free(dedup->scratch);
	free(dedup);
}

uint64_t
ms_dedup_evicted(const struct ms_dedup *dedup)
{
	return ms_count_read(&dedup->evicted);
}
