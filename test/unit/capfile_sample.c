/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes the same four frames to three files, for capfile_tshark_test.py to hold against what
 * tshark and capinfos read there: capfile_sample INNER.pcapng OUTER.pcapng INNER.pcap
 */
#include "capfile_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_udp.h>
#include <rte_vxlan.h>

#define OUTER_BYTES                                                                                \
	(sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr) + \
		sizeof(struct rte_vxlan_hdr))
#define INNER_BYTES 98

/* Ethernet, IPv4 and UDP, with `n` bytes of something after them. */
static uint8_t *
put_headers(uint8_t *at, uint32_t source, uint32_t destination, uint16_t port, uint32_t n)
{
	struct rte_ether_hdr ether = {
		.dst_addr = {{2, 0, 0, 0, 0, 1}},
		.src_addr = {{2, 0, 0, 0, 0, 2}},
		.ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4),
	};
	struct rte_udp_hdr udp = {
		.src_port = RTE_BE16(40000),
		.dst_port = rte_cpu_to_be_16(port),
		.dgram_len = rte_cpu_to_be_16(sizeof(udp) + n),
	};
	struct rte_ipv4_hdr ip = {
		.version_ihl = 0x45,
		.total_length = rte_cpu_to_be_16(sizeof(ip) + sizeof(udp) + n),
		.time_to_live = 64,
		.next_proto_id = 17,
		.src_addr = rte_cpu_to_be_32(source),
		.dst_addr = rte_cpu_to_be_32(destination),
	};

	ip.hdr_checksum = rte_ipv4_cksum(&ip);
	memcpy(at, &ether, sizeof(ether));
	memcpy(at + sizeof(ether), &ip, sizeof(ip));
	memcpy(at + sizeof(ether) + sizeof(ip), &udp, sizeof(udp));
	return at + sizeof(ether) + sizeof(ip) + sizeof(udp);
}

/* A mirrored packet of session `vni` whose inner frame goes to UDP port 9. */
static struct ms_frame
mirrored(uint32_t vni, uint32_t segments, uint64_t time, enum ms_direction direction)
{
	struct rte_vxlan_hdr vxlan = {
		.vx_flags = RTE_BE32(0x08000000),
		.vx_vni = rte_cpu_to_be_32(vni << 8),
	};
	uint8_t packet[OUTER_BYTES + INNER_BYTES], *at;
	struct ms_frame frame;

	at = put_headers(packet, 0x0a000001, 0x0a000002, 4789, sizeof(vxlan) + INNER_BYTES);
	memcpy(at, &vxlan, sizeof(vxlan));
	at = put_headers(at + sizeof(vxlan), 0xac100001, 0xac100002, 9, INNER_BYTES - 42);
	test_fill(at, INNER_BYTES - 42, vni);
	frame = test_frame(
		test_mbuf(packet, sizeof(packet), segments), OUTER_BYTES, test_session(vni), time);
	frame.direction = direction;
	return frame;
}

static bool
write_sample(const char *path, const struct ms_capfile_options *options,
	const struct ms_frame *frames, uint16_t n)
{
	struct ms_output_ledger ledger = {0};
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	struct ms_capfile *file = ms_capfile_create(fd, options, test_registry, &ledger);

	if (file == NULL)
		return false;
	ms_capfile_burst(file, frames, n, 1);
	return ms_capfile_close(file) == 0 && ms_count_read(&ledger.written) == n;
}

int
main(int argc, char **argv)
{
	struct ms_session_info named = {
		.name = "tms-0123456789abcdef0",
		.description = "web tier",
		.vni = 70,
	};
	struct ms_capfile_options options = {.application = "mirrorsink " MS_VERSION};
	struct ms_frame frames[4];
	bool good = true;

	if (argc != 4 || test_setup(NULL) != 0)
		return 2;
	frames[0] = mirrored(64, 1, 1700000000123456789, MS_DIRECTION_INGRESS);
	frames[1] = mirrored(70, 1, 1700000000123456790, MS_DIRECTION_EGRESS);
	frames[1].session = ms_session_add(test_registry, &named);
	frames[2] = mirrored(64, 4, 1700000001000000001, MS_DIRECTION_UNKNOWN);
	frames[2].original_length = 1500;
	frames[3] = frames[2]; /* cut right after the outer headers */
	frames[3].length = 0;

	good &= write_sample(argv[1], &options, frames, 4);
	options.outer = true;
	good &= write_sample(argv[2], &options, frames, 4);
	options.outer = false;
	options.format = MS_CAPFILE_PCAP;
	good &= write_sample(argv[3], &options, frames, 4);
	test_release(frames, 3);
	return test_teardown(NULL) == 0 && good ? 0 : 1;
}
