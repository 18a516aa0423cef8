/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of a capture file: buffers, in huge pages if there are any, and slots of sessions. */
#include "capfile_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <rte_common.h>

#include "session/ms_session.h"

#define HUGE_PAGE (2u << 20)

/* Slots cost memory only where they are used. */
static int
map_slots(struct ms_capfile *file, enum ms_capfile_format format)
{
	size_t sessions = 0, streams = 0;
	void *slots;

	if (format == MS_CAPFILE_PCAPNG)
		sessions = MS_SESSIONS_MAX * sizeof(*file->sessions);
	if (file->per_session)
		streams = MS_SESSIONS_MAX * sizeof(*file->stream_of);
	if (sessions + streams == 0)
		return 0;
	slots = mmap(NULL, sessions + streams, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (slots == MAP_FAILED)
		return -errno;
	file->memory.slots = slots;
	file->memory.slots_bytes = sessions + streams;
	if (sessions != 0)
		file->sessions = slots;
	if (streams != 0)
		file->stream_of = RTE_PTR_ADD(slots, sessions);
	return 0;
}

/*
 * Huge pages that were set aside, if there are enough that are free, else such as the kernel may
 * make. Touched now so that the owner's first round through the buffers does not fault.
 */
static int
map_data(struct ms_capfile *file)
{
	size_t bytes = ms_capfile_memory(file), area = file->area_bytes;
	struct ms_capfile_memory *memory = &file->memory;
	uint8_t *data;

	memory->data_bytes = RTE_ALIGN_CEIL(bytes, HUGE_PAGE);
	memory->data = mmap(NULL, memory->data_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	memory->huge = memory->data != MAP_FAILED;
	if (!memory->huge) {
		memory->data_bytes = bytes + HUGE_PAGE;
		memory->data = mmap(NULL, memory->data_bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	}
	if (memory->data == MAP_FAILED) {
		memory->data = NULL;
		return -errno;
	}
	data = RTE_PTR_ALIGN_CEIL(memory->data, HUGE_PAGE);
	/* Both make it faster, neither is needed. */
	if (!memory->huge)
		madvise(data, bytes, MADV_HUGEPAGE);
	madvise(data, bytes, MADV_POPULATE_WRITE);
	for (uint32_t i = 0; i < file->buffers_n; i++)
		file->buffers[i].data = data + i * area;
	data += file->buffers_n * area;
	for (uint32_t i = 0; i < file->packing.threads_n; i++)
		file->packing.packers[i].spare = data + i * area;
	return 0;
}

int
ms_capfile_map(struct ms_capfile *file, enum ms_capfile_format format)
{
	size_t streams = file->streams_n * sizeof(*file->streams);
	int error;

	file->buffers = calloc(file->buffers_n, sizeof(*file->buffers));
	file->handed = calloc(file->buffers_n, sizeof(*file->handed));
	file->given = calloc(file->buffers_n, sizeof(*file->given));
	file->stack = calloc(file->buffers_n, sizeof(*file->stack));
	file->at_of = calloc(file->streams_n, sizeof(*file->at_of));
	file->streams = aligned_alloc(alignof(struct ms_capfile_stream), streams);
	file->scratch = malloc(MS_CAPFILE_BLOCK_MAX + file->snaplen + MS_PCAPNG_PACKET_BYTES +
			       RTE_CACHE_LINE_SIZE);
	error = file->buffers == NULL || file->handed == NULL || file->given == NULL ||
	                        file->stack == NULL || file->at_of == NULL ||
	                        file->streams == NULL || file->scratch == NULL
	                ? -ENOMEM
	                : map_slots(file, format);
	return error != 0 ? error : map_data(file);
}

void
ms_capfile_unmap(struct ms_capfile *file)
{
	if (file->memory.data != NULL)
		munmap(file->memory.data, file->memory.data_bytes);
	if (file->memory.slots != NULL)
		munmap(file->memory.slots, file->memory.slots_bytes);
	free(file->scratch);
	free(file->streams);
	free(file->at_of);
	free(file->stack);
	free(file->given);
	free(file->handed);
	free(file->buffers);
}
