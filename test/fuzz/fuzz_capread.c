/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the reader of capture files. The first byte says how many bytes the source gives at a
 * time, and the rest is the file. All that a packet or an interface points to is read, so that what
 * lies outside is seen, and whatever chunks it comes in, a file has to tell the same.
 */
#include <stdlib.h>
#include <string.h>

#include "capread/ms_capread.h"

#define BUFFER_BYTES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
	const uint8_t *bytes;
	size_t left;
	size_t chunk;
};

/* What has to hold is checked in every build. */
static void
require(bool it)
{
	if (!it)
		abort();
}

static ssize_t
read_memory(void *arg, void *bytes, size_t n)
{
	struct memory *m = arg;

	n = n < m->chunk ? n : m->chunk;
	n = n < m->left ? n : m->left;
	if (n > 0)
		memcpy(bytes, m->bytes, n);
	m->bytes += n;
	m->left -= n;
	return (ssize_t)n;
}

/* A sum over bytes, which touches each of them (FNV-1a). */
static uint64_t
sum(uint64_t so_far, const void *bytes, size_t n)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < n; i++)
		so_far = (so_far ^ at[i]) * UINT64_C(0x100000001b3);
	return so_far;
}

static uint64_t
sum_interface(uint64_t all, const struct ms_capread_interface *interface)
{
	char *name = ms_capread_text(interface, MS_CAPREAD_IF_NAME);

	require(name != NULL && interface->units != 0);
	all = sum(all, name, strlen(name));
	free(name);
	all = sum(all, interface->options, interface->options_bytes);
	return sum(all, &interface->packets, sizeof(interface->packets));
}

/* The sum of all that a file tells. */
static uint64_t
read_all(const uint8_t *data, size_t size, size_t chunk)
{
	struct memory memory = {data, size, chunk};
	struct ms_capread *reader =
		ms_capread_create(&(struct ms_capread_source){read_memory, &memory}, BUFFER_BYTES);
	struct ms_capread_packet packet;
	enum ms_capread_result result;
	uint64_t all = 0, packets = 0;
	uint16_t length;

	require(reader != NULL);
	while ((result = ms_capread_next(reader, &packet)) == MS_CAPREAD_PACKET) {
		require(packet.interface < ms_capread_interfaces(reader));
		require(packet.captured <= size && packet.options_bytes <= size);
		all = sum(all, packet.data, packet.captured);
		all = sum(all, packet.options, packet.options_bytes);
		all = sum(all, &packet.ns, sizeof(packet.ns));
		require(ms_capread_option(packet.options, packet.options_bytes, 0, &length) ==
			NULL);
		packets++;
	}
	for (uint32_t i = 0; i < ms_capread_interfaces(reader); i++) {
		all = sum_interface(all, ms_capread_interface(reader, i));
		packets -= ms_capread_interface(reader, i)->packets;
	}
	require(packets == 0);
	require(ms_capread_next(reader, &packet) == result);
	require((result == MS_CAPREAD_END) == (ms_capread_problem(reader)[0] == '\0'));
	all = sum(all, ms_capread_problem(reader), strlen(ms_capread_problem(reader)));
	ms_capread_free(reader);
	return all;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0)
		require(read_all(data + 1, size - 1, (size_t)data[0] + 1) ==
			read_all(data + 1, size - 1, size));
	return 0;
}
