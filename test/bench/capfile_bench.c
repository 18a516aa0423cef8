/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it costs the owner of a capture file to put a frame into it: TSC cycles a frame in
 * ms_capfile_burst(), alone.
 *
 *     capfile_bench [-p] [-b BYTES] [-n BUFFERS] [-s SECONDS] FILE SIZE...
 *
 * SIZE is the length of all frames, or `imix`: 60, 590 and 1,514 bytes as 7 to 4 to 1. FILE is
 * truncated and written by the real writer (/dev/null, a file on tmpfs or on disk). As on a port,
 * each burst finds its packets in mbufs that were written just before, which are the same few all
 * the time; that is not timed. Waiting for the writer is: it shows as cycles, and as the share of
 * bursts that took more than 100 us.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "capfile/ms_capfile.h"
#include "session/ms_session.h"

#define PACKETS 4096u
#define OFFSET  50u /* of the inner frame */
#define VNIS    8u
#define IMIX    0u

struct bench {
	struct ms_session_registry *registry;
	struct rte_mempool *pool;
	uint8_t *packets[PACKETS];
	uint32_t lengths[PACKETS];
	uint32_t sessions[VNIS];
	struct ms_capfile_options options;
	double seconds;
	const char *path;
};

static uint32_t
length_of(uint32_t size, unsigned int chance)
{
	static const uint32_t sizes[12] = {60, 60, 60, 60, 60, 60, 60, 590, 590, 590, 590, 1514};

	return size == IMIX ? sizes[chance % RTE_DIM(sizes)] : size;
}

/* The trace: as large as what a port of a capture file reads its packets from. */
static int
make_packets(struct bench *bench, uint32_t size)
{
	srand(4789);
	for (uint32_t i = 0; i < PACKETS; i++) {
		uint32_t n = OFFSET + length_of(size, (unsigned int)rand());

		free(bench->packets[i]);
		bench->packets[i] = malloc(n);
		if (bench->packets[i] == NULL)
			return -1;
		memset(bench->packets[i], (int)i, n);
		bench->lengths[i] = n;
	}
	return 0;
}

static int
make(struct bench *bench)
{
	char *argv[] = {"capfile_bench", "--no-shconf", "--no-huge", "--no-pci", "-m", "128",
		"--no-telemetry", "--log-level=error", "--lcores=0", NULL};

	if (rte_eal_init(RTE_DIM(argv) - 1, argv) < 0)
		return -1;
	bench->registry = ms_session_registry_create();
	bench->pool = rte_pktmbuf_pool_create(
		"bench", 4095, 512, 0, RTE_PKTMBUF_HEADROOM + 2048, SOCKET_ID_ANY);
	if (bench->registry == NULL || bench->pool == NULL)
		return -1;
	for (uint32_t i = 0; i < VNIS; i++)
		bench->sessions[i] = ms_session_learn(
			bench->registry, 64 + i, (struct ms_ip){.lo = 0x0a000001}, MS_FAMILY_V4);
	return 0;
}

/* What a port and the stages before the output leave of MS_BURST packets. */
static void
receive(const struct bench *bench, struct ms_frame *frames, uint32_t at, uint64_t now)
{
	struct rte_mbuf *mbufs[MS_BURST];

	if (rte_pktmbuf_alloc_bulk(bench->pool, mbufs, MS_BURST) != 0)
		rte_exit(EXIT_FAILURE, "no mbufs\n");
	for (uint32_t i = 0; i < MS_BURST; i++) {
		uint32_t which = (at + i) % PACKETS, n = bench->lengths[which];
		struct rte_mbuf *m = mbufs[i];

		memcpy(rte_pktmbuf_append(m, (uint16_t)n), bench->packets[which], n);
		frames[i] = (struct ms_frame){
			.mbuf = m,
			.timestamp = now,
			.session = bench->sessions[which % VNIS],
			.direction = MS_DIRECTION_INGRESS,
			.outputs = 1,
			.data = (uint64_t)(rte_pktmbuf_mtod(m, uint8_t *) - (uint8_t *)m),
			.offset = OFFSET,
			.length = n - OFFSET,
			.original_length = n - OFFSET,
		};
	}
}

static int
run(struct bench *bench, const char *what)
{
	struct ms_output_ledger ledger = {0};
	struct rte_mbuf *mbufs[MS_BURST];
	struct ms_frame frames[MS_BURST];
	uint64_t begin, end, cycles = 0, bursts = 0, waits = 0, bytes;
	uint64_t hz = rte_get_tsc_hz();
	struct ms_capfile *file;
	char way[256];
	int fd, rc;

	if (make_packets(bench, strcmp(what, "imix") == 0 ? IMIX : (uint32_t)atoi(what)) != 0)
		return -1;
	fd = open(bench->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	file = ms_capfile_create(fd, &bench->options, bench->registry, &ledger);
	if (file == NULL)
		return -1;
	begin = rte_rdtsc();
	do {
		uint64_t before, took;

		receive(bench, frames, (uint32_t)(bursts * MS_BURST), 1700000000000000000 + bursts);
		before = rte_rdtsc();
		ms_capfile_burst(file, frames, MS_BURST, 1);
		end = rte_rdtsc();
		took = end - before;
		cycles += took;
		bursts++;
		waits += took > hz / 10000;
		for (uint32_t i = 0; i < MS_BURST; i++)
			mbufs[i] = frames[i].mbuf;
		rte_pktmbuf_free_bulk(mbufs, MS_BURST);
	} while ((double)(end - begin) < bench->seconds * (double)hz);
	ms_capfile_way(file, way, sizeof(way));
	rc = ms_capfile_close(file);
	end = rte_rdtsc();
	bytes = ms_count_read(&ledger.bytes);
	printf("%5s: %6.1f cycles a frame, %5.2f GB/s of frames in all, %.2f %% of bursts waited; "
	       "%s%s\n",
		what, (double)cycles / (double)(bursts * MS_BURST),
		(double)bytes / ((double)(end - begin) / (double)hz) / 1e9,
		100.0 * (double)waits / (double)bursts, way,
		ms_count_read(&ledger.written) == bursts * MS_BURST ? "" : "; FRAMES WERE LOST");
	return rc;
}

int
main(int argc, char **argv)
{
	struct bench bench = {
		.options = {.format = MS_CAPFILE_PCAPNG, .wait = true, .application = "bench"},
		.seconds = 1,
	};
	unsigned long buffers = 0;
	int option;

	while ((option = getopt(argc, argv, "pb:n:s:")) != -1) {
		switch (option) {
		case 'p':
			bench.options.format = MS_CAPFILE_PCAP;
			break;
		case 'b':
			bench.options.buffer_bytes = strtoul(optarg, NULL, 0);
			break;
		case 'n':
			buffers = strtoul(optarg, NULL, 0);
			break;
		case 's':
			bench.seconds = atof(optarg);
			break;
		default:
			return 2;
		}
	}
	bench.options.buffer_memory = buffers * bench.options.buffer_bytes;
	if (argc - optind < 2) {
		fprintf(stderr, "usage: capfile_bench [-p] [-b BYTES] [-n BUFFERS] [-s SECONDS] "
				"FILE SIZE...\n");
		return 2;
	}
	bench.path = argv[optind++];
	if (make(&bench) != 0)
		return 1;
	for (; optind < argc; optind++) {
		if (run(&bench, argv[optind]) != 0) {
			fprintf(stderr, "capfile_bench: %s failed\n", argv[optind]);
			return 1;
		}
	}
	return 0;
}
