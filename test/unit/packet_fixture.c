/* SPDX-License-Identifier: BSD-3-Clause */
/* See packet_fixture.h. */
#include "packet_fixture.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ledger/ms_ledger.h"

#define SEGMENTS_MAX 4096
#define GAP          16u /* bytes between two segments */
#define ARENA_BYTES  (256u * 1024)

void
test_bytes_clear(struct test_bytes *b)
{
	b->n = 0;
}

uint8_t *
test_bytes_at(struct test_bytes *b)
{
	return b->room + TEST_ROOM - b->n;
}

uint8_t *
test_push(struct test_bytes *b, uint32_t n)
{
	assert(n <= TEST_ROOM - b->n);
	b->n += n;
	return memset(test_bytes_at(b), 0, n);
}

uint8_t *
test_push_data(struct test_bytes *b, uint32_t n, uint32_t seed)
{
	uint8_t *at = test_push(b, n);

	for (uint32_t i = 0; i < n; i++)
		at[i] = (uint8_t)((seed + i) * 2654435761u >> 24);
	return at;
}

void
test_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void
put32(uint8_t *at, uint32_t value)
{
	test_put16(at, (uint16_t)(value >> 16));
	test_put16(at + 2, (uint16_t)value);
}

static void
put64(uint8_t *at, uint64_t value)
{
	put32(at, (uint32_t)(value >> 32));
	put32(at + 4, (uint32_t)value);
}

/* A length, or 0 where it does not fit, as segmentation offload leaves it. */
static void
put_length(uint8_t *at, uint32_t length)
{
	test_put16(at, length <= UINT16_MAX ? (uint16_t)length : 0);
}

uint8_t *
test_push_udp(struct test_bytes *b, uint16_t sport, uint16_t dport)
{
	uint8_t *at = test_push(b, 8);

	test_put16(at, sport);
	test_put16(at + 2, dport);
	put_length(at + 4, b->n);
	return at;
}

uint8_t *
test_push_tcp(struct test_bytes *b, uint16_t sport, uint16_t dport)
{
	uint8_t *at = test_push(b, 20);

	test_put16(at, sport);
	test_put16(at + 2, dport);
	at[12] = 0x50;
	return at;
}

uint8_t *
test_push_ipv4(
	struct test_bytes *b, uint8_t proto, uint32_t src, uint32_t dst, unsigned int options)
{
	uint8_t *at = test_push(b, 20 + options * 4);

	at[0] = (uint8_t)(0x45 + options);
	put_length(at + 2, b->n);
	at[8] = 255;
	at[9] = proto;
	put32(at + 12, src);
	put32(at + 16, dst);
	memset(at + 20, 1, options * 4); /* no operation */
	return at;
}

uint8_t *
test_push_ipv6(struct test_bytes *b, uint8_t next, struct ms_ip src, struct ms_ip dst)
{
	uint8_t *at = test_push(b, 40);

	at[0] = 0x60;
	put_length(at + 4, b->n - 40);
	at[6] = next;
	at[7] = 64;
	put64(at + 8, src.hi);
	put64(at + 16, src.lo);
	put64(at + 24, dst.hi);
	put64(at + 32, dst.lo);
	return at;
}

uint8_t *
test_push_extension(struct test_bytes *b, uint8_t next, uint8_t units)
{
	uint8_t *at = test_push(b, 8 * (1u + units));

	at[0] = next;
	at[1] = units;
	return at;
}

uint8_t *
test_push_fragment6(struct test_bytes *b, uint8_t next, uint16_t field)
{
	uint8_t *at = test_push(b, 8);

	at[0] = next;
	at[1] = 0xff; /* reserved: no length */
	test_put16(at + 2, field);
	return at;
}

uint8_t *
test_push_ah(struct test_bytes *b, uint8_t next, uint8_t units)
{
	uint8_t *at = test_push(b, 4 * (2u + units));

	at[0] = next;
	at[1] = units;
	return at;
}

uint8_t *
test_push_vxlan(struct test_bytes *b, uint32_t vni)
{
	uint8_t *at = test_push(b, 8);

	at[0] = 0x08;
	put32(at + 4, vni << 8);
	return at;
}

uint8_t *
test_push_geneve(struct test_bytes *b, uint16_t protocol, uint32_t vni, uint32_t options_bytes)
{
	uint8_t *at = test_push(b, 8);

	at[0] = (uint8_t)(options_bytes / 4);
	test_put16(at + 2, protocol);
	put32(at + 4, vni << 8);
	return at;
}

uint8_t *
test_push_type(struct test_bytes *b, uint16_t ether_type)
{
	uint8_t *at = test_push(b, 2);

	test_put16(at, ether_type);
	return at;
}

uint8_t *
test_push_tag(struct test_bytes *b, uint16_t ether_type)
{
	uint8_t *at = test_push(b, 4);

	test_put16(at, ether_type);
	test_put16(at + 2, 0x2123);
	return at;
}

uint8_t *
test_push_macs(struct test_bytes *b, uint64_t dst, uint64_t src)
{
	uint8_t *at = test_push(b, 12);

	test_put16(at, (uint16_t)(dst >> 32));
	put32(at + 2, (uint32_t)dst);
	test_put16(at + 6, (uint16_t)(src >> 32));
	put32(at + 8, (uint32_t)src);
	return at;
}

uint8_t *
test_push_ether(struct test_bytes *b, uint16_t ether_type)
{
	test_push_type(b, ether_type);
	return test_push_macs(b, 0x020000000022, 0x020000000011);
}

bool
test_same_decap(const struct ms_packet *x, const struct ms_packet *y)
{
	return x->fate == y->fate &&
	       (x->fate != MS_FATE_NONE ||
		       (ms_ip_equal(x->source, y->source) && x->vni == y->vni &&
			       x->offset == y->offset && x->length == y->length &&
			       x->tunnel == y->tunnel && x->source_family == y->source_family));
}

uint64_t
test_random(struct test_random *random)
{
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return random->state * UINT64_C(0x2545f4914f6cdd1d);
}

uint32_t
test_below(struct test_random *random, uint32_t n)
{
	return (uint32_t)((test_random(random) >> 32) * n >> 32);
}

struct test_arena {
	uint8_t *memory;
	uint8_t *end; /* where the page begins that cannot be touched */
	size_t mapped;
	uint16_t sizes[SEGMENTS_MAX];
	struct rte_mbuf segments[SEGMENTS_MAX];
};

struct test_arena *
test_arena_create(void)
{
	struct test_arena *arena =
		aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_CACHE_LINE_ROUNDUP(sizeof(*arena)));
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	assert(arena != NULL);
	memset(arena, 0, sizeof(*arena));
	arena->mapped = ARENA_BYTES + page;
	arena->memory = mmap(
		NULL, arena->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert(arena->memory != MAP_FAILED);
	arena->end = arena->memory + ARENA_BYTES;
	int rc = mprotect(arena->end, page, PROT_NONE);

	assert(rc == 0);
	(void)rc;
	return arena;
}

void
test_arena_free(struct test_arena *arena)
{
	munmap(arena->memory, arena->mapped);
	free(arena);
}

const uint8_t *
test_guarded(struct test_arena *arena, const uint8_t *bytes, uint32_t n)
{
	assert(n <= ARENA_BYTES);
	return memcpy(arena->end - n, bytes, n);
}

/* Decides how long the segments are. Returns how many. */
static uint32_t
cut(struct test_arena *arena, uint32_t n, uint32_t piece, struct test_random *random)
{
	uint32_t segments = 0;

	do {
		uint32_t size = piece != 0 ? piece : test_below(random, 1 + n / 2 + 8);

		assert(segments < SEGMENTS_MAX);
		size = RTE_MIN(size, RTE_MIN(n, (uint32_t)UINT16_MAX));
		arena->sizes[segments++] = (uint16_t)size;
		n -= size;
	} while (n > 0);
	return segments;
}

struct rte_mbuf *
test_chain(struct test_arena *arena, const uint8_t *bytes, uint32_t n, uint32_t piece,
	struct test_random *random)
{
	uint32_t segments = cut(arena, n, piece, random);
	uint8_t *at = arena->end - n - (segments - 1) * GAP;

	assert(n + segments * GAP <= ARENA_BYTES);
	for (uint32_t i = 0; i < segments; i++) {
		struct rte_mbuf *s = &arena->segments[i];

		s->buf_addr = at;
		s->data_off = 0;
		s->data_len = arena->sizes[i];
		s->next = i + 1 < segments ? s + 1 : NULL;
		at = mempcpy(at, bytes, s->data_len);
		bytes += s->data_len;
		if (s->next != NULL)
			at = (uint8_t *)memset(at, 0x48, GAP) + GAP;
	}
	arena->segments[0].pkt_len = n;
	arena->segments[0].nb_segs = (uint16_t)segments;
	return &arena->segments[0];
}
