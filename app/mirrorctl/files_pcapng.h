/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes what lib/capread reads as one pcapng section. Interfaces that say the same of themselves
 * are one. (lib/capfile writes sessions, from an lcore; this one copies.)
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "capread/ms_capread.h"

#define FILES_PCAPNG_NONE UINT32_MAX

struct files_pcapng;

/* Begins the section. Returns NULL for want of memory. file stays the caller's, and says at its end
 * whether it could be written. */
struct files_pcapng *files_pcapng_create(FILE *file);
void files_pcapng_free(struct files_pcapng *out);

/*
 * The number of the interface that says the same as this one, written now if it is new;
 * FILES_PCAPNG_NONE for want of memory.
 */
uint32_t
files_pcapng_interface(struct files_pcapng *out, const struct ms_capread_interface *interface);

/* packet->interface: a number that files_pcapng_interface() gave. */
void files_pcapng_packet(struct files_pcapng *out, const struct ms_capread_packet *packet);

/* Adds to the statistics of an interface; NULL: a part of them is not known, and so the whole. */
void files_pcapng_add(struct files_pcapng *out, uint32_t interface,
	const struct ms_capread_statistics *statistics);

/* Writes the statistics that are known. Returns of how many interfaces they are not. */
uint32_t files_pcapng_statistics(struct files_pcapng *out);
