/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Duplicates: each promise of ms_dedup.h by itself, then random frames against a model, which is a
 * list of all frames so far, each with what does not count taken out and the time of its first.
 */
#include "dedup/ms_dedup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "packet_fixture.h"

#define MS     UINT64_C(1000000)
#define WINDOW (50 * MS)
#define START  (UINT64_C(1700000000) * 1000 * MS)
#define MEMORY (UINT64_C(4) << 20)

/* One lcore's table, and a place for each frame of a burst. */
struct bench {
	struct ms_dedup *dedup;
	struct test_arena *arenas[MS_BURST];
	struct ms_frame frames[MS_BURST];
	struct ms_frame duplicates[MS_BURST];
	uint16_t n;
	struct test_random random;
	struct test_bytes b;
};

static struct bench *
bench_create(uint64_t memory, bool by_session)
{
	const struct ms_dedup_options options = {
		.memory = memory, .window_ns = WINDOW, .by_session = by_session};
	struct bench *bench = calloc(1, sizeof(*bench));

	bench->dedup = ms_dedup_create(&options);
	assert_non_null(bench->dedup);
	for (unsigned int i = 0; i < MS_BURST; i++)
		bench->arenas[i] = test_arena_create();
	bench->random.state = 1;
	return bench;
}

static void
bench_free(struct bench *bench)
{
	for (unsigned int i = 0; i < MS_BURST; i++)
		test_arena_free(bench->arenas[i]);
	ms_dedup_free(bench->dedup);
	free(bench);
}

/* Of the frame that comes next. */
struct meta {
	uint64_t timestamp;
	uint32_t session;
	uint32_t outputs;
	uint32_t offset; /* bytes of outer headers before the frame */
	bool segmented;
};

/* Adds a frame to the burst. Behind its last byte, if it is no chain, nobody may read. */
static void
add(struct bench *bench, const uint8_t *bytes, uint32_t n, const struct meta *meta)
{
	struct test_arena *arena = bench->arenas[bench->n];
	struct ms_frame *frame = &bench->frames[bench->n++];
	uint8_t *packet = malloc(sizeof(struct rte_mbuf) + meta->offset + n);
	uint8_t *outer = packet + sizeof(struct rte_mbuf);

	memset(packet, 0x5a, sizeof(struct rte_mbuf) + meta->offset);
	memcpy(outer + meta->offset, bytes, n);
	*frame = (struct ms_frame){.timestamp = meta->timestamp,
		.session = meta->session,
		.outputs = meta->outputs,
		.offset = meta->offset,
		.length = n,
		.original_length = n};
	if (meta->segmented) {
		frame->mbuf = test_chain(arena, outer, meta->offset + n, 0, &bench->random);
	} else {
		frame->mbuf = (struct rte_mbuf *)(uintptr_t)test_guarded(
			arena, packet, (uint32_t)sizeof(struct rte_mbuf) + meta->offset + n);
		frame->data = sizeof(struct rte_mbuf);
	}
	free(packet);
}

static uint16_t
run(struct bench *bench)
{
	uint16_t n = bench->n;

	bench->n = 0;
	return ms_dedup_burst(bench->dedup, bench->frames, n, bench->duplicates);
}

/* A burst of the frame in bench->b alone. */
static bool
is_duplicate_of(struct bench *bench, const struct meta *meta)
{
	add(bench, test_bytes_at(&bench->b), bench->b.n, meta);
	return run(bench) == 0;
}

static bool
is_duplicate(struct bench *bench, uint64_t timestamp)
{
	const struct meta meta = {.timestamp = timestamp, .outputs = 1, .offset = 50};

	return is_duplicate_of(bench, &meta);
}

/* A frame that differs from others by its number. */
static void
make_udp(struct bench *bench, uint32_t number)
{
	test_bytes_clear(&bench->b);
	test_push_data(&bench->b, 60, number);
	test_push_udp(&bench->b, 1000, 53);
	test_push_ipv4(&bench->b, TEST_PROTO_UDP, 0x0a000001, 0x0a000000 + number, 0);
	test_push_ether(&bench->b, 0x0800);
}

static void
make_udp6(struct bench *bench, uint32_t number)
{
	test_bytes_clear(&bench->b);
	test_push_data(&bench->b, 60, number);
	test_push_udp(&bench->b, 1000, 53);
	test_push_ipv6(&bench->b, TEST_PROTO_UDP, (struct ms_ip){1, 2}, (struct ms_ip){3, number});
	test_push_ether(&bench->b, 0x86dd);
}

static void
test_window(void **state)
{
	struct bench *bench = bench_create(MEMORY, false);

	make_udp(bench, 1);
	assert_false(is_duplicate(bench, START));
	assert_true(is_duplicate(bench, START));
	assert_true(is_duplicate(bench, START + WINDOW));
	/* the first one counts, not the last: a third is as far from it as it is */
	assert_false(is_duplicate(bench, START + WINDOW + 1));
	assert_true(is_duplicate(bench, START + WINDOW + 2));
	assert_true(is_duplicate(bench, START + 2 * WINDOW + 1));
	assert_false(is_duplicate(bench, START + 2 * WINDOW + 2));
	bench_free(bench);
}

static void
test_time_steps_back(void **state)
{
	struct bench *bench = bench_create(MEMORY, false);

	make_udp(bench, 1);
	assert_false(is_duplicate(bench, START));
	assert_true(is_duplicate(bench, START - WINDOW));
	assert_false(is_duplicate(bench, START - WINDOW - 1));
	/* which began a window of its own */
	assert_true(is_duplicate(bench, START - 2 * WINDOW - 1));
	assert_false(is_duplicate(bench, START));
	/* and the clock may be anywhere */
	make_udp(bench, 2);
	assert_false(is_duplicate(bench, 0));
	assert_true(is_duplicate(bench, WINDOW));
	assert_false(is_duplicate(bench, UINT64_MAX));
	assert_true(is_duplicate(bench, UINT64_MAX - WINDOW));
	bench_free(bench);
}

/* What a router changes does not count; anything else does. */
static void
test_each_byte(void **state)
{
	struct bench *bench = bench_create(UINT64_C(16) << 20, false);

	for (unsigned int tags = 0; tags <= 2; tags++) {
		for (unsigned int family = 4; family <= 6; family += 2) {
			unsigned int ip = 14 + 4 * tags;
			uint8_t *at;

			if (family == 4)
				make_udp(bench, tags);
			else
				make_udp6(bench, tags);
			for (unsigned int t = 0; t < tags; t++) {
				at = test_bytes_at(&bench->b);
				memmove(at - 4, at, 12);
				bench->b.n += 4;
				at = test_bytes_at(&bench->b);
				test_put16(at + 12, 0x8100);
				test_put16(at + 14, 7);
			}
			at = test_bytes_at(&bench->b);
			assert_false(is_duplicate(bench, START));
			for (unsigned int i = 0; i < bench->b.n; i++) {
				bool mac = i < 12;
				bool v4 = family == 4 &&
				          (i == ip + 8 || i == ip + 10 || i == ip + 11);
				bool v6 = family == 6 && i == ip + 7;

				at[i] ^= 0x10;
				assert_int_equal(is_duplicate(bench, START), mac || v4 || v6);
				at[i] ^= 0x10;
			}
			assert_true(is_duplicate(bench, START));
		}
	}
	assert_int_equal(ms_dedup_evicted(bench->dedup), 0);
	bench_free(bench);
}

static void
test_padding(void **state)
{
	struct bench *bench = bench_create(MEMORY, false);
	const struct meta meta = {.timestamp = START, .outputs = 1};
	uint8_t padded[200];

	for (unsigned int family = 4; family <= 6; family += 2) {
		if (family == 4)
			make_udp(bench, 1);
		else
			make_udp6(bench, 1);
		memset(padded, 0xee, sizeof(padded));
		memcpy(padded, test_bytes_at(&bench->b), bench->b.n);
		assert_false(is_duplicate(bench, START));
		for (uint32_t n = bench->b.n; n < sizeof(padded); n += 7) {
			add(bench, padded, n, &meta);
			assert_int_equal(run(bench), 0);
		}
	}
	/* but what is no IP has no length of its own */
	test_put16(padded + 12, 0x88cc);
	add(bench, padded, 100, &meta);
	add(bench, padded, 101, &meta);
	add(bench, padded, 100, &meta);
	assert_int_equal(run(bench), 2);
	assert_int_equal(bench->frames[0].length, 100);
	assert_int_equal(bench->frames[1].length, 101);
	assert_int_equal(bench->duplicates[0].length, 100);
	bench_free(bench);
}

/* Cut alike they are copies, unless too little is left; cut differently they are none. */
static void
test_cut(void **state)
{
	struct bench *bench = bench_create(MEMORY, false);
	const struct meta meta = {.timestamp = START, .outputs = 1};

	for (unsigned int family = 4; family <= 6; family += 2) {
		uint32_t least = family == 4 ? 14 + 20 + 20 : 14 + 40 + 20;

		if (family == 4)
			make_udp(bench, 1);
		else
			make_udp6(bench, 1);
		for (uint32_t n = 1; n <= bench->b.n; n++) {
			add(bench, test_bytes_at(&bench->b), n, &meta);
			add(bench, test_bytes_at(&bench->b), n, &meta);
			assert_int_equal(run(bench), n < least ? 2 : 1);
		}
	}
	bench_free(bench);
}

static void
test_scope(void **state)
{
	const struct meta one = {.timestamp = START, .session = 1, .outputs = 1};
	const struct meta two = {.timestamp = START, .session = 2, .outputs = 1};
	const struct meta other = {.timestamp = START, .session = 1, .outputs = 3};
	struct bench *all = bench_create(MEMORY, false), *session = bench_create(MEMORY, true);

	make_udp(all, 1);
	make_udp(session, 1);
	assert_false(is_duplicate_of(all, &one));
	assert_true(is_duplicate_of(all, &two));
	assert_false(is_duplicate_of(session, &one));
	assert_false(is_duplicate_of(session, &two));
	assert_true(is_duplicate_of(session, &one));
	assert_true(is_duplicate_of(session, &two));
	/* output 1 has not had it yet */
	assert_false(is_duplicate_of(all, &other));
	assert_true(is_duplicate_of(all, &other));
	bench_free(all);
	bench_free(session);
}

static void
test_burst_keeps_order(void **state)
{
	static const uint32_t numbers[] = {1, 2, 1, 3, 3, 2, 4, 1};
	static const uint32_t kept[] = {1, 2, 3, 4}, copies[] = {1, 3, 2, 1};
	struct bench *bench = bench_create(MEMORY, false);

	for (uint32_t i = 0; i < RTE_DIM(numbers); i++) {
		const struct meta meta = {
			.timestamp = START, .session = 100 * numbers[i] + i, .outputs = 1};

		make_udp(bench, numbers[i]);
		add(bench, test_bytes_at(&bench->b), bench->b.n, &meta);
	}
	assert_int_equal(run(bench), RTE_DIM(kept));
	for (uint32_t i = 0; i < RTE_DIM(kept); i++) {
		assert_int_equal(bench->frames[i].session / 100, kept[i]);
		assert_int_equal(bench->duplicates[i].session / 100, copies[i]);
	}
	assert_int_equal(bench->duplicates[0].session, 102);
	assert_int_equal(bench->duplicates[3].session, 107);
	assert_int_equal(run(bench), 0);
	bench_free(bench);
}

/* A table of one bucket: the oldest goes, and that counts if its time was not over. */
static void
test_eviction(void **state)
{
	struct bench *bench = bench_create(64, false);

	for (uint32_t i = 1; i <= MS_DEDUP_WAYS; i++) {
		make_udp(bench, i);
		assert_false(is_duplicate(bench, START + i));
	}
	assert_int_equal(ms_dedup_evicted(bench->dedup), 0);
	make_udp(bench, 5);
	assert_false(is_duplicate(bench, START + 5));
	assert_int_equal(ms_dedup_evicted(bench->dedup), 1);
	make_udp(bench, 2);
	assert_true(is_duplicate(bench, START + 6));
	make_udp(bench, 1);
	assert_false(is_duplicate(bench, START + 7));
	assert_int_equal(ms_dedup_evicted(bench->dedup), 2);
	make_udp(bench, 2);
	assert_false(is_duplicate(bench, START + 8));
	assert_int_equal(ms_dedup_evicted(bench->dedup), 3);
	/* much later all have had their time, and much earlier too */
	for (uint32_t i = 6; i <= 9; i++) {
		make_udp(bench, i);
		assert_false(is_duplicate(bench, START + 3 * WINDOW));
	}
	for (uint32_t i = 10; i <= 13; i++) {
		make_udp(bench, i);
		assert_false(is_duplicate(bench, START - 3 * WINDOW));
	}
	assert_int_equal(ms_dedup_evicted(bench->dedup), 3);
	make_udp(bench, 13);
	assert_true(is_duplicate(bench, START - 3 * WINDOW));
	bench_free(bench);
}

/* As long as a frame can be, whole and in segments. */
static void
test_long(void **state)
{
	struct bench *bench = bench_create(MEMORY, false);
	struct meta meta = {.timestamp = START, .outputs = 1, .offset = 50};

	for (uint32_t payload = 0; payload < 65535 - 28; payload += 4099) {
		test_bytes_clear(&bench->b);
		test_push_data(&bench->b, payload, 3);
		test_push_udp(&bench->b, 1000, 53);
		test_push_ipv4(&bench->b, TEST_PROTO_UDP, 0x0a000001, payload, 0);
		test_push_ether(&bench->b, 0x0800);
		meta.segmented = false;
		assert_false(is_duplicate_of(bench, &meta));
		meta.segmented = true;
		assert_true(is_duplicate_of(bench, &meta));
		test_bytes_at(&bench->b)[bench->b.n - 1] ^= 1;
		assert_false(is_duplicate_of(bench, &meta));
		meta.segmented = false;
		assert_true(is_duplicate_of(bench, &meta));
	}
	bench_free(bench);
}

/* The model ----------------------------------------------------------------------------------- */

#define FRAME_MAX  400u
#define KNOWN_MAX  60000u
#define TEMPLATES  150u
#define PROPERTIES 40000u

struct known {
	uint8_t bytes[FRAME_MAX];
	uint32_t n;
	uint64_t key; /* session, if it counts, and outputs */
	uint64_t first;
};

struct model {
	struct known *known;
	uint32_t known_n;
	bool by_session;
};

static uint32_t
be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/* Takes out what does not count. Returns false if the frame is never a copy. */
static bool
normalise(struct known *k, const uint8_t *frame, uint32_t n)
{
	uint32_t type, ip = 14, end;

	if (n < 14)
		return false;
	type = be16(frame + 12);
	while ((type == 0x8100 || type == 0x88a8 || type == 0x9100) && ip < 22 && n >= ip + 4) {
		type = be16(frame + ip + 2);
		ip += 4;
	}
	memset(k, 0, sizeof(*k));
	memcpy(k->bytes, frame, n);
	memset(k->bytes, 0, 12);
	k->n = n;
	if (type == 0x0800 && n < ip + 20)
		return false;
	if (type == 0x86dd && n < ip + 40)
		return false;
	if (type == 0x0800 && frame[ip] >> 4 == 4 && (frame[ip] & 15) >= 5) {
		uint32_t header = (frame[ip] & 15u) * 4, total = be16(frame + ip + 2);

		if (total != 0 && total < header)
			return true;
		k->bytes[ip + 8] = k->bytes[ip + 10] = k->bytes[ip + 11] = 0;
		end = ip + total;
		if (total != 0 && n < end && n < ip + header + 20)
			return false;
		if (total != 0 && end < n)
			k->n = end;
	} else if (type == 0x86dd && frame[ip] >> 4 == 6) {
		uint32_t payload = be16(frame + ip + 4);

		k->bytes[ip + 7] = 0;
		end = ip + 40 + payload;
		if (payload != 0 && n < end && n < ip + 60)
			return false;
		if (payload != 0 && end < n)
			k->n = end;
	}
	memset(k->bytes + k->n, 0, FRAME_MAX - k->n);
	return true;
}

static bool
model_says_duplicate(struct model *model, const uint8_t *frame, uint32_t n, const struct meta *meta)
{
	struct known *k = &model->known[model->known_n];
	uint64_t distance;

	assert_true(model->known_n < KNOWN_MAX);
	if (!normalise(k, frame, n))
		return false;
	k->key = (uint64_t)meta->outputs << 32 | (model->by_session ? meta->session + 1 : 0);
	k->first = meta->timestamp;
	for (uint32_t i = 0; i < model->known_n; i++) {
		struct known *other = &model->known[i];

		if (other->n != k->n || other->key != k->key ||
			memcmp(other->bytes, k->bytes, k->n) != 0)
			continue;
		distance = meta->timestamp > other->first ? meta->timestamp - other->first
		                                          : other->first - meta->timestamp;
		if (distance <= WINDOW)
			return true;
		other->first = meta->timestamp;
		return false;
	}
	model->known_n++;
	return false;
}

static void
make_random(struct bench *bench)
{
	static const uint16_t tags[] = {0x8100, 0x88a8, 0x9100};
	struct test_random *r = &bench->random;
	uint32_t kind = test_below(r, 10), data = test_below(r, 120);
	uint16_t type;

	test_bytes_clear(&bench->b);
	test_push_data(&bench->b, data, test_below(r, 1000));
	if (kind < 4) {
		test_push_tcp(&bench->b, 80, (uint16_t)test_below(r, 3));
		test_push_ipv4(&bench->b, TEST_PROTO_TCP, test_below(r, 3), 7, test_below(r, 4));
		type = 0x0800;
	} else if (kind < 8) {
		uint8_t next = TEST_PROTO_UDP;

		test_push_udp(&bench->b, 53, (uint16_t)test_below(r, 3));
		if (kind == 7) {
			test_push_extension(&bench->b, next, (uint8_t)test_below(r, 3));
			next = 60;
		}
		test_push_ipv6(
			&bench->b, next, (struct ms_ip){1, test_below(r, 3)}, (struct ms_ip){3, 4});
		type = 0x86dd;
	} else {
		type = kind == 8 ? 0x0806 : 0x0800; /* the latter: an IPv4 header of noise */
	}
	test_push_type(&bench->b, type);
	for (uint32_t t = test_below(r, 4); t > 0; t--)
		test_push_tag(&bench->b, tags[test_below(r, 3)]);
	test_push_macs(&bench->b, test_random(r) >> 16, test_random(r) >> 16);
}

/* A copy as it may come from elsewhere, or nearly one. Returns its length. */
static uint32_t
vary(struct bench *bench, uint8_t *frame, uint32_t n)
{
	struct test_random *r = &bench->random;

	switch (test_below(r, 8)) {
	case 0: /* padded */
		for (uint32_t more = 1 + test_below(r, 40); more > 0; more--)
			frame[n++] = (uint8_t)test_random(r);
		break;
	case 1: /* cut */
		n = 1 + test_below(r, n);
		break;
	case 2: /* routed, as likely as not where the header really is */
		if (n > 36) {
			frame[14 + 8]--;
			test_put16(frame + 14 + 10, (uint16_t)test_random(r));
		}
		break;
	case 3:
		if (n > 36)
			frame[14 + 7]--;
		break;
	case 4: /* one bit is another one */
		frame[test_below(r, n)] ^= (uint8_t)(1u << test_below(r, 8));
		break;
	case 5:
		test_put16(frame + 4, (uint16_t)test_random(r));
		break;
	default:
		break;
	}
	return n;
}

static uint64_t
random_time(struct test_random *r, uint64_t *now)
{
	static const uint64_t edges[] = {0, 1, WINDOW - 1, WINDOW, WINDOW + 1};

	if (test_below(r, 1000) == 0)
		*now += edges[test_below(r, RTE_DIM(edges))];
	else
		*now += test_below(r, (uint32_t)(MS / 10));
	if (test_below(r, 4) == 0)
		return *now - edges[test_below(r, RTE_DIM(edges))];
	return *now;
}

static void
property(bool by_session)
{
	struct bench *bench = bench_create(UINT64_C(64) << 20, by_session);
	struct model model = {.by_session = by_session};
	uint8_t(*templates)[FRAME_MAX] = calloc(TEMPLATES, FRAME_MAX);
	uint32_t lengths[TEMPLATES], duplicates = 0;
	uint64_t now = START;

	model.known = calloc(KNOWN_MAX, sizeof(*model.known));
	for (uint32_t i = 0; i < TEMPLATES; i++) {
		make_random(bench);
		lengths[i] = bench->b.n;
		memcpy(templates[i], test_bytes_at(&bench->b), bench->b.n);
	}
	for (uint32_t done = 0; done < PROPERTIES;) {
		uint16_t burst = (uint16_t)(1 + test_below(&bench->random, MS_BURST));
		uint16_t stay = 0, gone = 0, kept;
		bool expected[MS_BURST];
		struct ms_frame sent[MS_BURST];

		for (uint16_t i = 0; i < burst; i++, done++) {
			uint32_t t = test_below(&bench->random, TEMPLATES), n;
			struct meta meta = {.session = test_below(&bench->random, 2),
				.outputs = 1 + (test_below(&bench->random, 10) == 0),
				.offset = test_below(&bench->random, 100),
				.segmented = test_below(&bench->random, 4) == 0};
			uint8_t frame[FRAME_MAX];

			memcpy(frame, templates[t], lengths[t]);
			n = vary(bench, frame, lengths[t]);
			meta.timestamp = random_time(&bench->random, &now);
			expected[i] = model_says_duplicate(&model, frame, n, &meta);
			add(bench, frame, n, &meta);
			sent[i] = bench->frames[i];
		}
		kept = run(bench);
		for (uint16_t i = 0; i < burst; i++) {
			const struct ms_frame *got =
				expected[i] ? &bench->duplicates[gone++] : &bench->frames[stay++];

			assert_memory_equal(got, &sent[i], sizeof(*got));
		}
		assert_int_equal(kept, stay);
		duplicates += gone;
	}
	/* both answers were given, often */
	assert_in_range(duplicates, PROPERTIES / 10, PROPERTIES / 10 * 9);
	assert_int_equal(ms_dedup_evicted(bench->dedup), 0);
	free(model.known);
	free(templates);
	bench_free(bench);
}

static void
test_property_all(void **state)
{
	property(false);
}

static void
test_property_session(void **state)
{
	property(true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_time_steps_back),
		cmocka_unit_test(test_each_byte),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_scope),
		cmocka_unit_test(test_burst_keeps_order),
		cmocka_unit_test(test_eviction),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_property_all),
		cmocka_unit_test(test_property_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
