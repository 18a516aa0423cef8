/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * faults of mirrorsource: how many, which, that the same seed makes the same ones however packets
 * are cut into bursts, that counts say what was seen, and that nothing is left over. A packet is
 * known by its tsc; its bytes follow from that.
 */
#include "fault.h"

#include <rte_eal.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PACKETS 20000
#define BYTES   100
#define FIRST   30 /* bytes in the first of two segments */

static struct rte_mempool *pool;

/* What came out, in order. */
struct seen {
	uint64_t id;
	uint32_t session;
	unsigned int bits; /* that are not as they were */
};

struct run {
	struct source_ledger ledger;
	struct seen *seen;
	unsigned int n;
};

static int
setup(void **state)
{
	char *argv[] = {"fault_test", "--no-huge", "--no-shconf", "--no-pci", "-m", "64",
		"--no-telemetry", "--log-level=error", "--lcores=0@0", NULL};

	if (rte_eal_init(RTE_DIM(argv) - 1, argv) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("test", 1023, 0, 0, 2048, SOCKET_ID_ANY);
	return pool == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	rte_mempool_free(pool);
	rte_eal_cleanup();
	return 0;
}

static uint8_t
byte_of(uint64_t id, unsigned int i)
{
	return (uint8_t)((id * 31 + i + 7) * UINT64_C(2654435761) >> 24);
}

static uint32_t
session_of(uint64_t id)
{
	return (uint32_t)(id % 5);
}

/* Every third packet has two segments. */
static struct rte_mbuf *
make_packet(uint64_t id)
{
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(pool);
	uint16_t first = id % 3 == 0 ? FIRST : BYTES;
	uint8_t *bytes;

	assert_non_null(pkt);
	bytes = (uint8_t *)rte_pktmbuf_append(pkt, first);
	for (unsigned int i = 0; i < first; i++)
		bytes[i] = byte_of(id, i);
	if (first < BYTES) {
		struct rte_mbuf *more = rte_pktmbuf_alloc(pool);

		assert_non_null(more);
		bytes = (uint8_t *)rte_pktmbuf_append(more, BYTES - first);
		for (unsigned int i = first; i < BYTES; i++)
			bytes[i - first] = byte_of(id, i);
		assert_int_equal(rte_pktmbuf_chain(pkt, more), 0);
	}
	pkt->dynfield1[0] = (uint32_t)id;
	return pkt;
}

/* Takes note of packets that came out, and frees them. */
static void
take(struct run *run, struct mirrored_burst *out)
{
	for (uint16_t i = 0; i < out->n; i++) {
		struct rte_mbuf *pkt = out->pkts[i];
		struct seen seen = {.id = out->tscs[i], .session = out->tags[i]};
		uint8_t bounce[BYTES];
		const uint8_t *bytes;

		assert_int_equal(pkt->pkt_len, BYTES);
		assert_int_equal(rte_mbuf_refcnt_read(pkt), 1);
		assert_int_equal(pkt->dynfield1[0], seen.id); /* as a timestamp is kept */
		bytes = rte_pktmbuf_read(pkt, 0, BYTES, bounce);
		for (unsigned int j = 0; j < BYTES; j++)
			seen.bits +=
				(unsigned int)__builtin_popcount(bytes[j] ^ byte_of(seen.id, j));
		assert_int_equal(seen.session, session_of(seen.id));
		assert_in_range(run->n, 0, 2 * PACKETS);
		run->seen[run->n++] = seen;
	}
	rte_pktmbuf_free_bulk(out->pkts, out->n);
	out->n = 0;
}

/* PACKETS packets through a stage, so many at a time (0: of every size), and what is held. */
static struct run
go(const char *const *faults, uint64_t seed, uint16_t size)
{
	struct fault_options options = {.seeded = true, .seed = seed};
	struct run run = {.seen = calloc(2 * PACKETS, sizeof(*run.seen))};
	static struct mirrored_burst in, out;
	struct fault fault;
	uint64_t id = 0;

	assert_non_null(run.seen);
	for (; *faults != NULL; faults++)
		assert_true(fault_parse(*faults, &options));
	fault_init(&fault, &options, pool, &run.ledger);
	while (id < PACKETS) {
		uint16_t n = size != 0 ? size : (uint16_t)(1 + id % MS_BURST);

		in.n = 0;
		for (; in.n < n && id < PACKETS; id++)
			mirrored_add(&in, make_packet(id), id, session_of(id));
		fault_burst(&fault, &in, &out);
		assert_in_range(fault.held_n, 0, MIRRORED_HELD_MAX);
		take(&run, &out);
	}
	fault_flush_burst(&fault, &out);
	take(&run, &out);
	assert_int_equal(fault.held_n, 0);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	/* mirrored + duplicated == sent + lost */
	assert_int_equal(PACKETS + ms_count_read(&run.ledger.packets[SOURCE_PACKET_DUPLICATED]),
		run.n + ms_count_read(&run.ledger.packets[SOURCE_PACKET_LOST]));
	return run;
}

static uint64_t
count(const struct run *run, enum source_fault kind)
{
	return ms_count_read(&run->ledger.faults[kind]);
}

/* Packets that did not come, came twice, came with a bit turned, and were overtaken. */
static void
check_counts(const struct run *run)
{
	uint8_t *times = calloc(PACKETS, 1);
	uint64_t lost = 0, twice = 0, corrupt = 0, late = 0;
	unsigned int *rank = calloc(PACKETS, sizeof(*rank));
	unsigned int ranks = 0, least = UINT32_MAX;

	assert_non_null(times);
	assert_non_null(rank);
	for (unsigned int i = 0; i < run->n; i++) {
		assert_in_range(run->seen[i].bits, 0, 1);
		corrupt += run->seen[i].bits;
		times[run->seen[i].id]++;
	}
	for (unsigned int i = 0; i < PACKETS; i++) {
		assert_in_range(times[i], 0, 2);
		lost += times[i] == 0;
		twice += times[i] == 2;
	}
	/* Overtaken is who comes after one with a higher number; a copy may be late by itself. */
	for (unsigned int i = 0, highest = 0; i < run->n; i++) {
		late += run->seen[i].id < highest;
		highest = RTE_MAX(highest, (unsigned int)run->seen[i].id);
	}
	/* and by whom: those of the next 8 that were not lost */
	for (unsigned int i = 0; i < PACKETS; i++) {
		rank[i] = ranks;
		ranks += times[i] > 0;
	}
	for (unsigned int i = run->n; i-- > 0;) {
		unsigned int here = rank[run->seen[i].id];

		assert_true(least == UINT32_MAX || here <= least + MIRRORED_HELD_MAX);
		least = RTE_MIN(least, here);
	}
	assert_int_equal(lost, count(run, SOURCE_FAULT_LOSS));
	assert_int_equal(lost, ms_count_read(&run->ledger.packets[SOURCE_PACKET_LOST]));
	assert_int_equal(twice, count(run, SOURCE_FAULT_DUPLICATE));
	assert_int_equal(twice, ms_count_read(&run->ledger.packets[SOURCE_PACKET_DUPLICATED]));
	assert_int_equal(corrupt, count(run, SOURCE_FAULT_CORRUPT));
	/* an original that its own copy overtook cannot be told by its number */
	assert_in_range(count(run, SOURCE_FAULT_REORDER), late, late + twice);
	if (twice == 0)
		assert_int_equal(count(run, SOURCE_FAULT_REORDER), late);
	free(times);
	free(rank);
}

/* Within about four standard deviations of a rate in thousandths. */
static void
check_rate(uint64_t n, uint64_t of, uint64_t thousandths)
{
	double rate = (double)thousandths / 1000;
	double off = (double)n - (double)of * rate;

	assert_true(off * off < 16 * (double)of * rate * (1 - rate));
}

static void
test_none(void **state)
{
	const char *const faults[] = {"loss:0", "corrupt:0%", NULL};
	struct run run = go(faults, 1, MS_BURST);

	assert_int_equal(run.n, PACKETS);
	for (unsigned int i = 0; i < run.n; i++)
		assert_int_equal(run.seen[i].id, i);
	check_counts(&run);
	free(run.seen);
}

/* Each kind by itself, at several rates. */
static void
test_each(void **state)
{
	static const unsigned int rates[] = {1, 10, 50, 300, 990};

	for (unsigned int kind = 0; kind < SOURCE_FAULT_COUNT; kind++) {
		for (unsigned int i = 0; i < RTE_DIM(rates); i++) {
			char text[32];
			const char *const faults[] = {text, NULL};
			struct run run;

			snprintf(text, sizeof(text), "%s:%u.%u%%", source_fault_name(kind),
				rates[i] / 10, rates[i] % 10);
			run = go(faults, 5 + i, MS_BURST);
			check_counts(&run);
			/* of those held back some are overtaken by none: nearly all go together */
			if (kind != SOURCE_FAULT_REORDER || rates[i] <= 10)
				check_rate(count(&run, kind), PACKETS, rates[i]);
			for (unsigned int other = 0; other < SOURCE_FAULT_COUNT; other++) {
				if (other != kind)
					assert_int_equal(count(&run, other), 0);
			}
			free(run.seen);
		}
	}
}

static void
test_always(void **state)
{
	static const char *const loss[] = {"loss:1", NULL};
	static const char *const twice[] = {"duplicate:100%", NULL};
	static const char *const all[] = {"duplicate:1", "reorder:1", "corrupt:1", NULL};
	struct run run = go(loss, 1, MS_BURST);

	assert_int_equal(run.n, 0);
	free(run.seen);
	run = go(twice, 1, MS_BURST);
	assert_int_equal(run.n, 2 * PACKETS);
	for (unsigned int i = 0; i < run.n; i++)
		assert_int_equal(run.seen[i].id, i / 2);
	free(run.seen);
	run = go(all, 1, MS_BURST);
	assert_int_equal(run.n, 2 * PACKETS);
	assert_int_equal(count(&run, SOURCE_FAULT_CORRUPT), 2 * PACKETS);
	check_counts(&run);
	free(run.seen);
}

static const char *const everything[] = {
	"duplicate:5%", "loss:5%", "reorder:5%", "corrupt:0.02", NULL};

static bool
same(const struct run *a, const struct run *b)
{
	return a->n == b->n && memcmp(a->seen, b->seen, a->n * sizeof(*a->seen)) == 0;
}

/* The same faults for the same seed, whatever the bursts; others for another seed. */
static void
test_seed(void **state)
{
	struct run first = go(everything, 42, MS_BURST);

	check_counts(&first);
	check_rate(count(&first, SOURCE_FAULT_LOSS), PACKETS, 50);
	check_rate(count(&first, SOURCE_FAULT_DUPLICATE), first.n, 50);
	check_rate(count(&first, SOURCE_FAULT_CORRUPT), first.n, 20);
	for (uint16_t size = 0; size < 3; size++) {
		struct run again = go(everything, 42, size);

		assert_true(same(&first, &again));
		free(again.seen);
	}
	for (uint64_t seed = 0; seed < 3; seed++) {
		struct run other = go(everything, seed, MS_BURST);

		assert_false(same(&first, &other));
		free(other.seen);
	}
	free(first.seen);
}

/* Every bit of a packet can be hit, in each of its segments. */
static void
test_every_bit(void **state)
{
	bool hit[BYTES * 8] = {false};
	struct fault_options options = {.seeded = true};
	struct source_ledger ledger = {0};
	static struct mirrored_burst in, out;
	struct fault fault;
	unsigned int hits = 0;

	assert_true(fault_parse("corrupt:1", &options));
	fault_init(&fault, &options, pool, &ledger);
	for (unsigned int i = 0; i < 20000; i++) {
		uint8_t bounce[BYTES];
		const uint8_t *bytes;

		in.n = 0;
		mirrored_add(&in, make_packet(0), 0, 0);
		fault_burst(&fault, &in, &out);
		bytes = rte_pktmbuf_read(out.pkts[0], 0, BYTES, bounce);
		for (unsigned int bit = 0; bit < RTE_DIM(hit); bit++) {
			if (((bytes[bit / 8] ^ byte_of(0, bit / 8)) >> bit % 8 & 1) == 0)
				continue;
			hits += !hit[bit];
			hit[bit] = true;
		}
		rte_pktmbuf_free(out.pkts[0]);
	}
	assert_int_equal(hits, RTE_DIM(hit));
}

/* Where there is no mbuf for a copy there is none, and no count of it. */
static void
test_no_mbuf(void **state)
{
	struct fault_options options = {.seeded = true};
	struct source_ledger ledger = {0};
	static struct mirrored_burst in, out;
	struct rte_mbuf *rest[1023];
	struct fault fault;
	unsigned int n;

	assert_true(fault_parse("duplicate:1", &options));
	fault_init(&fault, &options, pool, &ledger);
	in.n = 0;
	mirrored_add(&in, make_packet(1), 1, session_of(1));
	for (n = 0; (rest[n] = rte_pktmbuf_alloc(pool)) != NULL; n++)
		;
	fault_burst(&fault, &in, &out);
	assert_int_equal(out.n, 1);
	assert_int_equal(ms_count_read(&ledger.packets[SOURCE_PACKET_DUPLICATED]), 0);
	assert_int_equal(ms_count_read(&ledger.faults[SOURCE_FAULT_DUPLICATE]), 0);
	rte_pktmbuf_free_bulk(rest, n);
	rte_pktmbuf_free_bulk(out.pkts, out.n);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void
test_parse(void **state)
{
	static const struct {
		const char *text;
		enum source_fault kind;
		uint64_t rate;
	} good[] = {
		{"loss:1", SOURCE_FAULT_LOSS, FAULT_ALWAYS},
		{"loss:100%", SOURCE_FAULT_LOSS, FAULT_ALWAYS},
		{"duplicate:0.5", SOURCE_FAULT_DUPLICATE, FAULT_ALWAYS / 2},
		{"reorder:25%", SOURCE_FAULT_REORDER, FAULT_ALWAYS / 4},
		{"corrupt:.125", SOURCE_FAULT_CORRUPT, FAULT_ALWAYS / 8},
		{"corrupt:0", SOURCE_FAULT_CORRUPT, 0},
	};
	static const char *const bad[] = {"", "loss", "loss:", ":1", "loss:%", "loss:1.5",
		"loss:101%", "loss:-1", "loss:-0.1", "loss:1%%", "loss:1x", "loss:0x1", "loss:nan",
		"loss:1e-3", "los:1", "losses:1", "loss:.", "loss:1.2.3", "LOSS:1", "loss: 1"};

	for (unsigned int i = 0; i < RTE_DIM(good); i++) {
		struct fault_options options = {0};

		assert_true(fault_parse(good[i].text, &options));
		assert_true(options.on);
		assert_int_equal(options.rates[good[i].kind], good[i].rate);
	}
	for (unsigned int i = 0; i < RTE_DIM(bad); i++) {
		struct fault_options options = {0};

		assert_false(fault_parse(bad[i], &options));
		assert_false(options.on);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_always),
		cmocka_unit_test(test_seed),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_no_mbuf),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
