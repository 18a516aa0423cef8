/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sends mirrored packets at a set rate, receives the inner frames that come back, and says how long
 * each took. One lcore does both, so that one clock is enough and the program under test has the
 * other processor to itself:
 *
 *     latency_bench [EAL arguments with two ports and two lcores] -- CAPTURE
 *
 * Port 0 sends, port 1 receives. From standard input it reads lines RATE SECONDS, packets a second
 * and how long, and answers each with a line of JSON:
 *
 *     due       packets that had to be sent by then
 *     offered   of these, to the port: the rest are those with which the sender did not keep up
 *     sent      of these, taken by the port: the rest met a full queue, as in a NIC, and are lost
 *     received  frames that came back
 *     p50, p99, p999, max   microseconds; null if none came
 *     quiet     the median of the 99th percentiles of windows, 1 ms or longer: what a frame takes
 *               while no hypervisor has the processors for something else
 *
 * A packet's time begins when it was due and not when it was sent, so that a sender that was held
 * up hides nothing (coordinated omission). It stands in the last six bytes of the inner frame,
 * which are payload in all packets of scripts/bench/traces.py.
 */
#include <err.h>
#include <inttypes.h>
#include <math.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pcap/pcap.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#define BURST         32
#define DESCS         1024
#define MBUFS         16383
#define PACKETS       4096
#define PACKET_MAX    2048
#define STAMP         6
#define STAMP_MASK    ((UINT64_C(1) << (8 * STAMP)) - 1)
#define TAIL          128 /* packets that may be left to send at the end of the time */
#define WINDOW_FRAMES 200 /* at least */
#define LATE_MS       200 /* a frame that takes longer is lost */

/* Buckets of a histogram: 64 for each power of two of the TSC, so within 1.6 per cent. */
#define FINE    64
#define BUCKETS (FINE * 64)

struct packet {
	uint16_t length;
	uint8_t data[PACKET_MAX];
};

struct trial {
	double rate; /* packets a second */
	double seconds;
	uint64_t due, offered, sent, received;
	uint64_t longest; /* ticks of the TSC, as all times here */
	uint64_t buckets[BUCKETS];
	struct {
		uint64_t ticks, end; /* how long one is, and when this one ends */
		uint32_t n;
		unsigned int least, most; /* buckets that were used */
		uint32_t buckets[BUCKETS];
	} window;
	uint64_t windows[BUCKETS]; /* their 99th percentiles */
	uint64_t windows_n;
};

static struct packet packets[PACKETS];
static unsigned int packets_n;
static struct rte_mempool *pool;
static sem_t done; /* the main lcore shares the other one's processor, so it must not poll for it */

static unsigned int
bucket_of(uint64_t ticks)
{
	unsigned int shift;

	if (ticks < FINE)
		return (unsigned int)ticks;
	shift = 63 - (unsigned int)__builtin_clzll(ticks) - 6;
	return FINE * (shift + 1) + (unsigned int)((ticks >> shift) - FINE);
}

/* The middle of a bucket. */
static double
bucket_ticks(unsigned int bucket)
{
	unsigned int shift = bucket / FINE;

	if (shift < 2)
		return bucket;
	shift--;
	return ((double)(FINE + bucket % FINE) + 0.5) * (double)(UINT64_C(1) << shift);
}

static void
close_window(struct trial *trial, uint64_t now)
{
	uint32_t beyond = trial->window.n / 100, sum = 0;
	unsigned int b = trial->window.most;

	if (trial->window.n >= WINDOW_FRAMES / 2) {
		while (b > trial->window.least && (sum += trial->window.buckets[b]) <= beyond)
			b--;
		trial->windows[b]++;
		trial->windows_n++;
	}
	if (trial->window.n > 0)
		memset(&trial->window.buckets[trial->window.least], 0,
			(trial->window.most - trial->window.least + 1) * sizeof(uint32_t));
	trial->window.n = 0;
	trial->window.least = BUCKETS - 1;
	trial->window.most = 0;
	trial->window.end = now + trial->window.ticks;
}

static void
take(struct trial *trial, uint64_t took)
{
	unsigned int b = bucket_of(took);

	trial->buckets[b]++;
	trial->window.buckets[b]++;
	trial->window.n++;
	trial->window.least = RTE_MIN(trial->window.least, b);
	trial->window.most = RTE_MAX(trial->window.most, b);
	trial->longest = RTE_MAX(trial->longest, took);
	trial->received++;
}

/* Takes a burst of frames that came back. */
static unsigned int
receive(struct trial *trial)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t n = rte_eth_rx_burst(1, 0, mbufs, BURST);
	uint64_t now = rte_rdtsc();

	for (uint16_t i = 0; i < n; i++) {
		const struct rte_mbuf *m = mbufs[i];
		uint64_t stamp = 0, took;

		if (m->data_len < STAMP)
			continue;
		memcpy(&stamp, rte_pktmbuf_mtod_offset(m, char *, m->data_len - STAMP), STAMP);
		took = (now - stamp) & STAMP_MASK;
		take(trial, took);
	}
	rte_pktmbuf_free_bulk(mbufs, n);
	if (now >= trial->window.end)
		close_window(trial, now);
	return n;
}

/* Sends packets [trial->offered, trial->offered + n), which were due when their stamps say. */
static void
transmit(struct trial *trial, uint16_t n, uint64_t begin, double ticks_each)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t sent;

	if (rte_pktmbuf_alloc_bulk(pool, mbufs, n) != 0) {
		trial->offered += n;
		return;
	}
	for (uint16_t i = 0; i < n; i++) {
		const struct packet *packet = &packets[(trial->offered + i) % packets_n];
		uint64_t stamp = begin + (uint64_t)((double)(trial->offered + i) * ticks_each);
		char *to = rte_pktmbuf_append(mbufs[i], packet->length);

		memcpy(to, packet->data, packet->length - STAMP);
		memcpy(to + packet->length - STAMP, &stamp, STAMP);
	}
	sent = rte_eth_tx_burst(0, 0, mbufs, n);
	rte_pktmbuf_free_bulk(&mbufs[sent], n - sent);
	trial->offered += n;
	trial->sent += sent;
}

static uint16_t
burst(uint64_t n)
{
	return (uint16_t)RTE_MIN(n, (uint64_t)BURST);
}

static int
run(void *arg)
{
	struct trial *trial = arg;
	double hz = (double)rte_get_tsc_hz(), ticks_each = hz / trial->rate;
	uint64_t begin, end, now, last;

	while (receive(trial) > 0) /* of what was before */
		;
	memset(trial->buckets, 0, sizeof(trial->buckets));
	trial->received = trial->longest = 0;
	begin = rte_rdtsc();
	trial->window.ticks = (uint64_t)RTE_MAX(hz / 1000, WINDOW_FRAMES * ticks_each);
	close_window(trial, begin);
	memset(trial->windows, 0, sizeof(trial->windows));
	trial->windows_n = 0;
	end = begin + (uint64_t)(trial->seconds * hz);
	while ((now = rte_rdtsc()) < end) {
		uint64_t until = (uint64_t)((double)(now - begin) / ticks_each) + 1;

		if (until > trial->offered)
			transmit(trial, burst(until - trial->offered), begin, ticks_each);
		receive(trial);
	}
	trial->due = RTE_MAX((uint64_t)((double)(end - begin) / ticks_each), trial->offered);
	if (trial->due - trial->offered <= TAIL) { /* else it did not keep up */
		while (trial->offered < trial->due)
			transmit(trial, burst(trial->due - trial->offered), begin, ticks_each);
	}
	last = now;
	while (trial->received < trial->sent && now - last < (uint64_t)(hz * LATE_MS / 1000)) {
		if (receive(trial) > 0)
			last = rte_rdtsc();
		now = rte_rdtsc();
	}
	sem_post(&done);
	return 0;
}

static void
print_quantile(const uint64_t *buckets, uint64_t n, const char *name, double share)
{
	uint64_t wanted = (uint64_t)ceil((double)n * share), sum = 0;
	unsigned int b = 0;

	if (n == 0) {
		printf(", \"%s\": null", name);
		return;
	}
	while (b < BUCKETS - 1 && (sum += buckets[b]) < wanted)
		b++;
	printf(", \"%s\": %.3f", name, bucket_ticks(b) * 1e6 / (double)rte_get_tsc_hz());
}

static void
answer(const struct trial *trial)
{
	printf("{\"due\": %" PRIu64 ", \"offered\": %" PRIu64 ", \"sent\": %" PRIu64
	       ", \"received\": %" PRIu64,
		trial->due, trial->offered, trial->sent, trial->received);
	print_quantile(trial->buckets, trial->received, "p50", 0.5);
	print_quantile(trial->buckets, trial->received, "p99", 0.99);
	print_quantile(trial->buckets, trial->received, "p999", 0.999);
	print_quantile(trial->buckets, trial->received, "max", 1);
	print_quantile(trial->windows, trial->windows_n, "quiet", 0.5);
	puts("}");
	fflush(stdout);
}

static void
read_capture(const char *path)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *capture = pcap_open_offline(path, error);
	struct pcap_pkthdr *header;
	const uint8_t *data;

	if (capture == NULL)
		errx(2, "%s", error);
	while (packets_n < PACKETS && pcap_next_ex(capture, &header, &data) == 1) {
		if (header->caplen > PACKET_MAX || header->caplen < STAMP)
			errx(2, "%s: a packet of %u bytes", path, header->caplen);
		packets[packets_n].length = (uint16_t)header->caplen;
		memcpy(packets[packets_n++].data, data, header->caplen);
	}
	pcap_close(capture);
	if (packets_n == 0)
		errx(2, "%s: no packets", path);
}

static void
start_port(uint16_t port)
{
	const struct rte_eth_conf conf = {0};
	int rc = rte_eth_dev_configure(port, 1, 1, &conf);

	if (rc == 0)
		rc = rte_eth_rx_queue_setup(port, 0, DESCS, SOCKET_ID_ANY, NULL, pool);
	if (rc == 0)
		rc = rte_eth_tx_queue_setup(port, 0, DESCS, SOCKET_ID_ANY, NULL);
	if (rc == 0)
		rc = rte_eth_dev_start(port);
	if (rc != 0)
		errx(2, "port %u does not start: %s", port, strerror(-rc));
}

int
main(int argc, char **argv)
{
	static struct trial trial;
	char line[128];
	int used = rte_eal_init(argc, argv);

	if (used < 0 || argc - used != 2)
		errx(2, "usage: latency_bench [EAL arguments] -- CAPTURE");
	if (rte_eth_dev_count_avail() != 2 || rte_lcore_count() != 2)
		errx(2, "it takes two ports and two lcores");
	read_capture(argv[used + 1]);
	pool = rte_pktmbuf_pool_create(
		"bench", MBUFS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (pool == NULL)
		errx(2, "no memory for mbufs");
	sem_init(&done, 0, 0);
	start_port(0);
	start_port(1);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		char *end;

		memset(&trial, 0, sizeof(trial));
		trial.rate = strtod(line, &end);
		trial.seconds = strtod(end, &end);
		if (*end != '\n' || !(trial.rate >= 1) || !(trial.seconds > 0))
			errx(2, "'%s' is not RATE SECONDS", line);
		rte_eal_remote_launch(run, &trial, rte_get_next_lcore(-1, 1, 0));
		sem_wait(&done);
		rte_eal_mp_wait_lcore();
		answer(&trial);
	}
	return rte_eal_cleanup() == 0 ? 0 : 1;
}
