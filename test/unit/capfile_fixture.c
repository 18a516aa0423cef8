/* SPDX-License-Identifier: BSD-3-Clause */
/* See capfile_fixture.h. */
#include "capfile_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#define SEGMENT_ROOM (RTE_PKTMBUF_HEADROOM + 2048)

struct ms_session_registry *test_registry;

static struct rte_mempool *pool;

int
test_setup(void **state)
{
	char *argv[] = {"capfile_test", "--no-huge", "--no-shconf", "--no-pci", "-m", "64",
		"--no-telemetry", "--log-level=error", "--lcores=0@0", NULL};

	if (test_registry == NULL && rte_eal_init(RTE_DIM(argv) - 1, argv) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("test", 4096, 0, 0, SEGMENT_ROOM, SOCKET_ID_ANY);
	test_registry = ms_session_registry_create();
	return pool == NULL || test_registry == NULL ? -1 : 0;
}

int
test_teardown(void **state)
{
	/* Each test has freed what it took. */
	bool leaked = rte_mempool_in_use_count(pool) != 0;

	ms_session_registry_free(test_registry);
	rte_mempool_free(pool);
	rte_eal_cleanup();
	return leaked ? -1 : 0;
}

uint32_t
test_session(uint32_t vni)
{
	uint32_t slot = ms_session_learn(
		test_registry, vni, (struct ms_ip){.lo = 0x0a000001}, MS_FAMILY_V4);

	assert_int_not_equal(slot, MS_SESSION_NONE);
	return slot;
}

void
test_fill(uint8_t *bytes, uint32_t n, uint32_t seed)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		bytes[i] = (seed + i) * 2654435761u >> 24;
}

struct rte_mbuf *
test_mbuf(const uint8_t *bytes, uint32_t n, uint32_t segments)
{
	struct rte_mbuf *head = NULL, *m;
	uint32_t here, left = n;

	for (; segments > 0 || left > 0; segments -= segments > 0) {
		m = rte_pktmbuf_alloc(pool);
		assert_non_null(m);
		here = segments > 1 ? rand() % (left + 1) : left;
		here = RTE_MIN(here, rte_pktmbuf_tailroom(m));
		memcpy(rte_pktmbuf_append(m, here), bytes + n - left, here);
		left -= here;
		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	}
	return head;
}

struct ms_frame
test_frame(struct rte_mbuf *m, uint32_t offset, uint32_t session, uint64_t time)
{
	struct ms_frame frame = {
		.mbuf = m,
		.timestamp = time,
		.session = session,
		.outputs = 1,
		.offset = offset,
		.length = m->pkt_len - offset,
		.original_length = m->pkt_len - offset,
	};

	if (m->next == NULL)
		frame.data = rte_pktmbuf_mtod(m, uint8_t *) - (uint8_t *)m;
	return frame;
}

void
test_release(struct ms_frame *frames, uint32_t n)
{
	while (n-- > 0)
		rte_pktmbuf_free(frames[n].mbuf);
}

int
test_open(void)
{
	static bool disk;
	char path[] = "capfile_test.XXXXXX";
	int fd;

	disk = !disk;
	if (!disk) {
		fd = memfd_create("capfile", 0);
	} else {
		fd = mkstemp(path);
		assert_int_equal(unlink(path), 0);
	}
	assert_true(fd >= 0);
	return fd;
}

uint8_t *
test_slurp(int fd, size_t *n)
{
	struct stat status;
	uint8_t *bytes;

	assert_int_equal(fstat(fd, &status), 0);
	bytes = malloc(status.st_size + 1);
	assert_non_null(bytes);
	assert_int_equal(pread(fd, bytes, status.st_size + 1, 0), status.st_size);
	*n = status.st_size;
	return bytes;
}

static uint32_t
get32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint16_t
get16(const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t
get64(const uint8_t *at)
{
	return get32(at) | (uint64_t)get32(at + 4) << 32;
}

/* The value of an option between at and end, where the options end; NULL if it is not there. */
static const uint8_t *
find_option(const uint8_t *at, const uint8_t *end, uint16_t code, uint16_t *n)
{
	const uint8_t *found = NULL;

	while (at < end) {
		uint16_t this = get16(at), length = get16(at + 2);

		at += 4;
		assert_true((size_t)(end - at) >= RTE_ALIGN_CEIL((size_t)length, 4u));
		if (this == 0) {
			assert_int_equal(length, 0);
			assert_ptr_equal(at, end);
			return found;
		}
		if (this == code) {
			found = at;
			*n = length;
		}
		at += RTE_ALIGN_CEIL(length, 4u);
	}
	fail_msg("options without an end");
	return NULL;
}

static void
read_text(char *text, size_t room, const uint8_t *at, const uint8_t *end, uint16_t code)
{
	uint16_t n;
	const uint8_t *value = find_option(at, end, code, &n);

	text[0] = '\0';
	if (value == NULL)
		return;
	assert_true(n < room);
	memcpy(text, value, n);
	text[n] = '\0';
}

static void
read_interface(struct test_reading *r, const uint8_t *at, const uint8_t *end)
{
	struct test_interface *interface;
	uint16_t n = 0;

	r->interfaces = realloc(r->interfaces, (r->interfaces_n + 1) * sizeof(*r->interfaces));
	assert_non_null(r->interfaces);
	interface = &r->interfaces[r->interfaces_n++];
	memset(interface, 0, sizeof(*interface));
	assert_int_equal(get32(at + 8), 1); /* Ethernet */
	interface->snaplen = get32(at + 12);
	read_text(interface->name, sizeof(interface->name), at + 16, end, 2);
	read_text(interface->description, sizeof(interface->description), at + 16, end, 3);
	interface->tsresol = *find_option(at + 16, end, 9, &n);
	assert_int_equal(n, 1);
}

static void
read_packet(struct test_reading *r, const uint8_t *at, const uint8_t *end)
{
	struct test_packet packet = {
		.interface = get32(at + 8),
		.time = (uint64_t)get32(at + 12) << 32 | get32(at + 16),
		.captured = get32(at + 20),
		.original = get32(at + 24),
		.bytes = at + 28,
	};
	uint16_t n = 0;
	uint32_t i;

	assert_true(packet.interface < r->interfaces_n);
	assert_true(packet.captured <= r->interfaces[packet.interface].snaplen);
	assert_true(packet.captured <= (size_t)(end - at) - 28);
	for (i = packet.captured; i % 4 != 0; i++)
		assert_int_equal(packet.bytes[i], 0);
	packet.flags =
		get32(find_option(at + 28 + RTE_ALIGN_CEIL(packet.captured, 4u), end, 2, &n));
	assert_int_equal(n, 4);
	if ((r->packets_n & (r->packets_n - 1)) == 0) /* doubled at each power of two */
		r->packets = realloc(r->packets, (2 * r->packets_n + 1) * sizeof(packet));
	assert_non_null(r->packets);
	r->packets[r->packets_n++] = packet;
}

static void
read_statistics(struct test_reading *r, const uint8_t *at, const uint8_t *end)
{
	struct test_interface *interface;
	uint16_t n = 0;

	assert_true(get32(at + 8) < r->interfaces_n);
	interface = &r->interfaces[get32(at + 8)];
	assert_false(interface->statistics);
	interface->statistics = true;
	interface->received = get64(find_option(at + 20, end, 4, &n));
	assert_int_equal(n, 8);
	interface->dropped = get64(find_option(at + 20, end, 5, &n));
	assert_int_equal(n, 8);
}

struct test_reading
test_read(const uint8_t *bytes, size_t n)
{
	struct test_reading r = {.bytes = bytes};
	const uint8_t *at = bytes, *end;

	assert_true(n >= 28);
	assert_int_equal(get32(at), 0x0a0d0d0a);
	for (; at < bytes + n; at = end + 4) {
		uint32_t length = get32(at + 4);

		assert_true(length >= 12 && length % 4 == 0 && length <= bytes + n - at);
		end = at + length - 4;
		assert_int_equal(get32(end), length);
		switch (get32(at)) {
		case 0x0a0d0d0a:
			assert_ptr_equal(at, bytes);
			break;
		case 1:
			read_interface(&r, at, end);
			break;
		case 5:
			read_statistics(&r, at, end);
			break;
		case 6:
			read_packet(&r, at, end);
			break;
		default:
			fail_msg("block of type %u", get32(at));
		}
	}
	return r;
}

void
test_reading_free(struct test_reading *reading)
{
	free(reading->packets);
	free(reading->interfaces);
}

uint64_t
test_drops(const struct ms_output_ledger *ledger, enum ms_drop reason)
{
	return ms_count_read(&ledger->dropped[reason]);
}

void
test_balanced(const struct ms_output_ledger *ledger)
{
	assert_true(ms_output_ledger_balanced(ledger));
}
