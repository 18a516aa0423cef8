/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The session registry: slots are handed out in order and never taken back, so that a slot number
 * can outlive any ruleset. Slots are written under a lock, published by a release store of the
 * count, and read without a lock; the table of learned VNIs is read without a lock by rx lcores.
 */
#include "session/ms_session.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_errno.h>

/* Twice the slots, so that probe sequences stay short. Powers of two. */
#define TABLE_SIZE (2 * MS_SESSIONS_MAX)
#define TABLE_MASK (TABLE_SIZE - 1)

struct ms_session_registry {
	pthread_mutex_t lock;   /* of all writes */
	_Atomic uint32_t count; /* slots in use; release by writers, acquire by readers */
	struct ms_session_info *infos;
	uint32_t *names;           /* by name: slot + 1, 0 is free; under the lock */
	_Atomic uint64_t *learned; /* by VNI: (slot + 1) << 32 | VNI, 0 is free */
};

/* Zeroed address space; pages come when they are touched. */
static void *
reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void
release(void *p, size_t bytes)
{
	if (p != NULL)
		munmap(p, bytes);
}

struct ms_session_registry *
ms_session_registry_create(void)
{
	struct ms_session_registry *registry = calloc(1, sizeof(*registry));

	if (registry == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	pthread_mutex_init(&registry->lock, NULL);
	registry->infos = reserve(sizeof(*registry->infos) * MS_SESSIONS_MAX);
	registry->names = reserve(sizeof(*registry->names) * TABLE_SIZE);
	registry->learned = reserve(sizeof(*registry->learned) * TABLE_SIZE);
	if (registry->infos == NULL || registry->names == NULL || registry->learned == NULL) {
		ms_session_registry_free(registry);
		rte_errno = ENOMEM;
		return NULL;
	}
	return registry;
}

void
ms_session_registry_free(struct ms_session_registry *registry)
{
	if (registry == NULL)
		return;
	for (uint32_t i = 0; i < ms_session_count(registry); i++) {
		free(registry->infos[i].name);
		free(registry->infos[i].description);
	}
	release(registry->infos, sizeof(*registry->infos) * MS_SESSIONS_MAX);
	release(registry->names, sizeof(*registry->names) * TABLE_SIZE);
	release(registry->learned, sizeof(*registry->learned) * TABLE_SIZE);
	pthread_mutex_destroy(&registry->lock);
	free(registry);
}

uint32_t
ms_session_count(const struct ms_session_registry *registry)
{
	/* pairs with the release store in append() */
	return atomic_load_explicit(&registry->count, memory_order_acquire);
}

const struct ms_session_info *
ms_session_info(const struct ms_session_registry *registry, uint32_t slot)
{
	return &registry->infos[slot];
}

/* Under the lock. Takes over the strings of info; MS_SESSION_NONE if there is no slot left. */
static uint32_t
append(struct ms_session_registry *registry, const struct ms_session_info *info)
{
	uint32_t slot = atomic_load_explicit(&registry->count, memory_order_relaxed);

	if (slot == MS_SESSIONS_MAX)
		return MS_SESSION_NONE;
	registry->infos[slot] = *info;
	atomic_store_explicit(&registry->count, slot + 1, memory_order_release);
	return slot;
}

/* FNV-1a */
static uint32_t
hash_name(const char *name, uint32_t vni)
{
	uint32_t h = 2166136261u ^ vni;

	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h ^ h >> 15;
}

/* The place of a name and VNI among the names, or the free place where it would be. */
static uint32_t *
find_locked(const struct ms_session_registry *registry, const char *name, uint32_t vni)
{
	uint32_t i = hash_name(name, vni) & TABLE_MASK;

	for (; registry->names[i] != 0; i = (i + 1) & TABLE_MASK) {
		const struct ms_session_info *old = &registry->infos[registry->names[i] - 1];

		if (old->vni == vni && strcmp(old->name, name) == 0)
			break;
	}
	return &registry->names[i];
}

static uint32_t
add_locked(struct ms_session_registry *registry, const struct ms_session_info *info)
{
	uint32_t *place = find_locked(registry, info->name, info->vni);
	struct ms_session_info copy = *info;
	uint32_t slot;

	if (*place != 0)
		return *place - 1;
	copy.name = strdup(info->name);
	copy.description = info->description != NULL ? strdup(info->description) : NULL;
	if (copy.name == NULL || (info->description != NULL && copy.description == NULL))
		goto fail;
	slot = append(registry, &copy);
	if (slot == MS_SESSION_NONE)
		goto fail;
	*place = slot + 1;
	return slot;
fail:
	free(copy.name);
	free(copy.description);
	return MS_SESSION_NONE;
}

uint32_t
ms_session_add(struct ms_session_registry *registry, const struct ms_session_info *info)
{
	uint32_t slot;

	pthread_mutex_lock(&registry->lock);
	slot = add_locked(registry, info);
	pthread_mutex_unlock(&registry->lock);
	return slot;
}

uint32_t
ms_session_find(struct ms_session_registry *registry, const char *name, uint32_t vni)
{
	uint32_t slot1;

	pthread_mutex_lock(&registry->lock);
	slot1 = *find_locked(registry, name, vni);
	pthread_mutex_unlock(&registry->lock);
	return slot1 != 0 ? slot1 - 1 : MS_SESSION_NONE;
}

/* Where the VNI stands in the table, or the free place where it would. */
static uint32_t
learned_find(const struct ms_session_registry *registry, uint32_t vni, uint64_t *entry)
{
	uint32_t i = (vni * 2654435761u) >> 13 & TABLE_MASK;

	for (;; i = (i + 1) & TABLE_MASK) {
		/* acquire pairs with the release in ms_session_learn() */
		*entry = atomic_load_explicit(&registry->learned[i], memory_order_acquire);
		if (*entry == 0 || (uint32_t)*entry == vni)
			return i;
	}
}

uint32_t
ms_session_learn(struct ms_session_registry *registry, uint32_t vni, struct ms_ip source,
	uint8_t source_family)
{
	struct ms_session_info info = {
		.vni = vni, .learned = true, .source = source, .source_family = source_family};
	uint32_t slot = MS_SESSION_NONE;
	char name[16];
	uint64_t entry;
	uint32_t i;

	learned_find(registry, vni, &entry);
	if (entry != 0)
		return (uint32_t)(entry >> 32) - 1;
	if (ms_session_count(registry) == MS_SESSIONS_MAX)
		return MS_SESSION_NONE;

	pthread_mutex_lock(&registry->lock);
	i = learned_find(registry, vni, &entry);
	if (entry != 0) {
		slot = (uint32_t)(entry >> 32) - 1;
	} else {
		snprintf(name, sizeof(name), "vni%u", vni);
		info.name = strdup(name);
		if (info.name != NULL)
			slot = append(registry, &info);
		if (slot == MS_SESSION_NONE)
			free(info.name);
		else
			atomic_store_explicit(&registry->learned[i],
				(uint64_t)(slot + 1) << 32 | vni, memory_order_release);
	}
	pthread_mutex_unlock(&registry->lock);
	return slot;
}
