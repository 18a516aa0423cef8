/* SPDX-License-Identifier: BSD-3-Clause */
/* The small change of ms_filter.h: growing blobs, counts by rule, and the end of filters and
 * leaves.
 */
#include "filter/ms_filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>

#define BLOB_ALIGN 64
#define BLOB_ROOM  4096
#define HUGE_PAGE  ((size_t)2 << 20)

/* Large ones lie on huge pages where the system has them: tables are read here and there. */
static uint8_t *
blob_room(size_t room)
{
	uint8_t *base;

	if (room < HUGE_PAGE)
		return aligned_alloc(BLOB_ALIGN, room);
	room = (room + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	base = aligned_alloc(HUGE_PAGE, room);
	if (base != NULL)
		(void)madvise(base, room, MADV_HUGEPAGE); /* as well without */
	return base;
}

/* Makes room for need bytes, doubling what there is up to limit. Returns false with errno. */
static bool
blob_grow(struct ms_blob *blob, size_t need)
{
	size_t room = blob->room == 0 ? BLOB_ROOM : blob->room;
	uint8_t *base;

	while (room < need) {
		if (room > SIZE_MAX / 2) {
			errno = EFBIG;
			return false;
		}
		room *= 2;
	}
	if (blob->limit != 0 && room > blob->limit)
		room = (blob->limit + BLOB_ALIGN - 1) & ~(size_t)(BLOB_ALIGN - 1);
	base = blob_room(room);
	if (base == NULL) {
		errno = ENOMEM;
		return false;
	}
	if (blob->base != NULL)
		memcpy(base, blob->base, blob->used);
	free(blob->base);
	blob->base = base;
	blob->room = room;
	return true;
}

size_t
ms_blob_add(struct ms_blob *blob, size_t size, size_t align)
{
	/* Offset 0 stands for no object. */
	size_t used = blob->used == 0 ? BLOB_ALIGN : blob->used;
	size_t at = (used + align - 1) & ~(align - 1);
	size_t end = at + size;

	if (at < used || end < at || (blob->limit != 0 && end > blob->limit)) {
		errno = EFBIG;
		return 0;
	}
	if (end > blob->room && !blob_grow(blob, end))
		return 0;
	memset(blob->base + blob->used, 0, end - blob->used);
	blob->used = end;
	return at;
}

void
ms_filter_leaves_free(struct ms_filter_leaves *leaves)
{
	free(leaves->first);
	free(leaves->hits);
	memset(leaves, 0, sizeof(*leaves));
}

uint32_t *
ms_filter_number(const struct ms_filter *filters, uint32_t n)
{
	uint32_t *first = calloc((size_t)n + 1, sizeof(*first));

	for (uint32_t i = 0; first != NULL && i < n; i++)
		first[i + 1] = first[i] + filters[i].rules_n;
	return first;
}

void
ms_filter_tally_leaf(const struct ms_filter_tally *tally, const struct ms_filter_leaves *leaves,
	uint32_t leaf, uint64_t hits)
{
	if (hits == 0)
		return;
	for (uint32_t h = leaves->first[leaf]; h < leaves->first[leaf + 1]; h++) {
		const struct ms_leaf_hit *hit = &leaves->hits[h];
		size_t filter = (size_t)(hit->filter - tally->filters);

		if (hit->rule == MS_RULE_NONE)
			tally->services[filter] += hits;
		else
			tally->rules[tally->first[filter] + hit->rule] += hits;
	}
}

void
ms_filter_free(struct ms_filter *filter)
{
	free(filter->name);
	free(filter->description);
	free(filter->rules);
	memset(filter, 0, sizeof(*filter));
}
