/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of one compilation, and interned sets of bits; see filter_internal.h. */
#include "filter/filter_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (64 * 1024)
#define ARENA_MAX   ((size_t)1 << 30) /* a policy that takes more to compile is refused */
#define SETS_ROOM   32                /* to begin with; slots are four times as many */

struct ms_arena_chunk {
	struct ms_arena_chunk *next;
	alignas(MS_ARENA_ALIGN) uint8_t bytes[];
};

void *
ms_arena_get(struct ms_arena *arena, size_t n, size_t size)
{
	struct ms_arena_chunk *chunk;
	size_t bytes, room;
	void *at;

	if (size != 0 && n > ARENA_MAX / size) {
		arena->error = -EFBIG;
		return NULL;
	}
	bytes = (n * size + MS_ARENA_ALIGN - 1) & ~(size_t)(MS_ARENA_ALIGN - 1);
	if (bytes > arena->room) {
		room = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
		if (room > ARENA_MAX - arena->total) {
			arena->error = -EFBIG;
			return NULL;
		}
		chunk = malloc(sizeof(*chunk) + room);
		if (chunk == NULL) {
			arena->error = -ENOMEM;
			return NULL;
		}
		chunk->next = arena->chunks;
		arena->chunks = chunk;
		arena->at = chunk->bytes;
		arena->room = room;
		arena->total += room;
	}
	at = arena->at;
	arena->at += bytes;
	arena->room -= bytes;
	return at;
}

void *
ms_arena_zero(struct ms_arena *arena, size_t n, size_t size)
{
	void *at = ms_arena_get(arena, n, size);

	if (at != NULL)
		memset(at, 0, n * size);
	return at;
}

void
ms_arena_free(struct ms_arena *arena)
{
	struct ms_arena_chunk *chunk = arena->chunks;

	while (chunk != NULL) {
		struct ms_arena_chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
	memset(arena, 0, sizeof(*arena));
}

bool
ms_sets_init(struct ms_sets *sets, struct ms_arena *arena, uint32_t words, uint32_t limit)
{
	*sets = (struct ms_sets){
		.arena = arena,
		.words = words,
		.limit = limit,
		.room = SETS_ROOM,
		.slots_mask = 4 * SETS_ROOM - 1,
		.bits = ms_arena_get(arena, SETS_ROOM, words * sizeof(uint64_t)),
		.slots = ms_arena_zero(arena, 4 * SETS_ROOM, sizeof(uint32_t)),
	};
	return sets->bits != NULL && sets->slots != NULL;
}

/* Doubles the room; the old arrays stay in the arena, together no larger than the new ones. */
static bool
sets_grow(struct ms_sets *sets)
{
	size_t room = (size_t)sets->room * 2, set_bytes = sets->words * sizeof(uint64_t);
	uint64_t *bits = ms_arena_get(sets->arena, room, set_bytes);
	uint32_t *slots = ms_arena_zero(sets->arena, 4 * room, sizeof(uint32_t));

	if (bits == NULL || slots == NULL)
		return false;
	memcpy(bits, sets->bits, sets->n * set_bytes);
	sets->bits = bits;
	sets->slots = slots;
	sets->room = (uint32_t)room;
	sets->slots_mask = (uint32_t)(4 * room - 1);
	for (uint32_t i = 0; i < sets->n; i++) {
		uint32_t slot = ms_set_hash(ms_sets_at(sets, i), sets->words) & sets->slots_mask;

		while (slots[slot] != 0)
			slot = (slot + 1) & sets->slots_mask;
		slots[slot] = i + 1;
	}
	return true;
}

uint32_t
ms_sets_add(struct ms_sets *sets, const uint64_t *set, uint32_t slot)
{
	if (sets->n == sets->limit) {
		sets->arena->error = -EFBIG;
		return MS_SETS_FULL;
	}
	if (sets->n == sets->room) {
		if (!sets_grow(sets))
			return MS_SETS_FULL;
		slot = ms_set_hash(set, sets->words) & sets->slots_mask;
		while (sets->slots[slot] != 0)
			slot = (slot + 1) & sets->slots_mask;
	}
	memcpy(sets->bits + (size_t)sets->n * sets->words, set, sets->words * sizeof(uint64_t));
	sets->slots[slot] = ++sets->n;
	return sets->n - 1;
}
