/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is known of one packet on its way: struct ms_packet on the rx lcore, filled stage by stage
 * (decap, session, parse, filter), and struct ms_frame, the 32 bytes that go on to a worker.
 * Also the parser of inner frames, which both the sink and the source use.
 */
#pragma once

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

/* Packets that one rx_burst asks for, and the size of every array in the fast path. */
#define MS_BURST 64

/* Headers are looked for in so many bytes from the start of a packet or frame, and no further. */
#define MS_PARSE_MAX 2048

/* Outputs fit a 32-bit set: output i is bit i. */
#define MS_OUTPUTS_MAX 32

#define MS_SESSION_NONE UINT32_MAX
#define MS_LEAF_NONE    UINT32_MAX

/* Seen from the source ENI. The values are those of pcapng's epb_flags (inbound 1, outbound 2). */
enum ms_direction {
	MS_DIRECTION_UNKNOWN = 0,
	MS_DIRECTION_INGRESS = 1,
	MS_DIRECTION_EGRESS = 2,
};

enum ms_family {
	MS_FAMILY_NONE = 0, /* not IP, or an IP version that is not the EtherType's */
	MS_FAMILY_V4 = 4,
	MS_FAMILY_V6 = 6,
};

/* An address as a number, most significant half first. IPv4 stands in the low 32 bits of lo. */
struct ms_ip {
	uint64_t hi;
	uint64_t lo;
};

static inline bool
ms_ip_equal(struct ms_ip a, struct ms_ip b)
{
	return ((a.hi ^ b.hi) | (a.lo ^ b.lo)) == 0;
}

/* Which fields of a key the frame really has. A field that it has not got is 0. */
#define MS_HAS_PROTO 0x01
#define MS_HAS_SRC   0x02
#define MS_HAS_DST   0x04
#define MS_HAS_SPORT 0x08 /* only TCP and UDP have ports, and not in later fragments */
#define MS_HAS_DPORT 0x10

/* What a filter looks at: the inner frame's fields in host byte order. */
struct ms_key {
	struct ms_ip src;
	struct ms_ip dst;
	uint16_t sport;
	uint16_t dport;
	uint8_t proto;  /* IANA number; for IPv6 the first header that is no extension header */
	uint8_t has;    /* MS_HAS_* */
	uint8_t family; /* enum ms_family */
	bool fragment;  /* first or later fragment of a fragmented inner packet */
};

enum ms_tunnel {
	MS_TUNNEL_NONE,
	MS_TUNNEL_VXLAN,
	MS_TUNNEL_GENEVE,       /* GENEVE carrying Ethernet */
	MS_TUNNEL_GENEVE_VXLAN, /* as it comes through a Gateway Load Balancer endpoint */
};

/* One packet on the rx lcore. Each stage fills its part for a whole burst; one owner, no locks. */
struct ms_packet {
	/* decap */
	alignas(64) struct ms_ip source; /* outer; through a GWLB endpoint the one in GENEVE */
	uint32_t vni;
	uint32_t offset; /* of the inner frame, in bytes from the packet's start */
	uint32_t length; /* bytes of the inner frame that are here */
	uint8_t fate;    /* enum ms_fate; MS_FATE_NONE while it is under way */
	uint8_t tunnel;  /* enum ms_tunnel */
	uint8_t source_family;
	/* session, direction */
	uint8_t direction; /* enum ms_direction */
	uint64_t eni_mac;  /* of the session's source ENI, 0 if not known */
	uint32_t session;  /* slot in the session registry */
	uint32_t policy;   /* offset of the compiled policy in the ruleset, in units of 64 bytes */
	/* decap (as the tunnel says), then parse (as the inner IP header says, if that is more) */
	uint32_t original_length; /* of the inner frame on its wire; >= length */
	/* parse */
	uint32_t hash; /* symmetric over the inner flow */
	struct ms_key key;
	/* filter */
	uint32_t outputs; /* set of outputs */
	uint32_t leaf;    /* what decided, for the counters of the rules; NONE: several, or none */
	uint64_t mac_dst; /* inner MAC addresses as numbers, 0 if cut */
	uint64_t mac_src;
	uint16_t ether_type; /* inner, behind up to two VLAN tags; 0 if cut */
	uint8_t place;       /* the owner's: in the burst it came with */
	/* filter */
	uint32_t leaf_second; /* what decided in the other direction; only where it is unknown */
};
static_assert(sizeof(struct ms_packet) == 128, "two cache lines a packet");

/*
 * One inner frame on its way from an rx lcore to a worker's outputs. It tells all that an output
 * needs without a look at the mbuf's header, which stays in the rx lcore's cache.
 */
struct ms_frame {
	struct rte_mbuf *mbuf; /* the whole mirrored packet */
	uint64_t timestamp;    /* nanoseconds since 1970, UTC */
	union {
		struct {
			uint32_t session:30;  /* slot in the session registry */
			uint32_t direction:2; /* enum ms_direction */
			uint32_t outputs;     /* set of outputs */
		};
		uint64_t whose; /* all of them */
	};
	/* Where the bytes are, how many there are, and how many there were on their own wire. */
	union {
		struct {
			/* of the packet's first byte, from mbuf; 0: segmented or external */
			uint64_t data:16;
			uint64_t offset:12; /* of the inner frame, from the packet's first byte */
			uint64_t length:18; /* bytes of the inner frame that are here */
			uint64_t original_length:18;
		};
		uint64_t where; /* all of them */
	};
};
static_assert(sizeof(struct ms_frame) == 32, "two frames a cache line in the rings");

/* What ms_frame.where is for these: compilers put bit fields together one by one. */
static inline uint64_t
ms_frame_where(uint64_t data, uint64_t offset, uint64_t length, uint64_t original_length)
{
	return data | offset << 16 | length << 28 | original_length << 46;
}

/* Longer packets than this do not fit a ms_frame; no wire carries them (BIG TCP ends at 512 KiB).
 */
#define MS_LENGTH_MAX ((1u << 18) - 1)
static_assert(MS_PARSE_MAX < 1u << 12, "ms_frame.offset");

/*
 * Parses an inner Ethernet frame: up to two VLAN tags, IPv4 with options, IPv6 with extension
 * headers (RFC 8200, 4302, 7401, 5533, 6275), TCP and UDP ports. `view` holds the frame's first
 * min(length, MS_PARSE_MAX) bytes. Fills key, original_length, hash, mac_dst, mac_src and
 * ether_type of p; all bytes are legal, what is cut or nonsense leaves its field out of key.has.
 * Pure; any thread.
 */
void ms_packet_parse(struct ms_packet *p, const uint8_t *view, uint32_t length);

/*
 * Parses the inner frames of those packets of a burst that are under way (fate MS_FATE_NONE), and
 * tells their direction: by the source ENI's MAC address where it is known and decides, else by the
 * outer source address among the inner addresses, else MS_DIRECTION_UNKNOWN. rx lcore.
 */
void ms_packet_parse_burst(struct rte_mbuf *const *mbufs, struct ms_packet *packets, uint16_t n);
