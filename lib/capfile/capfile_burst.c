/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hot path of a capture file: encodes frames straight into the current buffer, one copy of the
 * payload and a few fixed-size stores a frame. Whatever is rare (no room, a new session, another
 * second) leaves the loop, and is called in capfile_buffer.c.
 */
#include "capfile_private.h"

#include <string.h>

#include <rte_mbuf.h>
#include <rte_memcpy.h>
#include <rte_prefetch.h>

#define PCAPNG_ENHANCED_PACKET 6u
#define EPB_FLAGS              (4u << 16 | 2u) /* option code 2, 4 bytes */
#define NS_PER_SECOND          1000000000u
#define AHEAD                  6    /* frames whose payload is on its way, if it is far away */
#define AHEAD_BYTES            1536 /* of the buffer that are on their way to be written */
#define INTERFACES_NEAR        256u /* sessions of so many are in the nearest cache: 6 KiB */

/*
 * An enhanced packet block is 28 bytes before the payload (type, length, interface, timestamp's
 * upper and lower half, captured and original length; 32 bits each) and 16 behind its padding
 * (epb_flags with the option's code, opt_endofopt, length).
 */
#define PCAPNG_HEADER_BYTES 28u
static_assert(PCAPNG_HEADER_BYTES + 16 == MS_PCAPNG_PACKET_BYTES,
	"an enhanced packet block without its packet");

struct pcap_packet {
	uint32_t second;
	uint32_t nanosecond;
	uint32_t captured;
	uint32_t original;
};
static_assert(sizeof(struct pcap_packet) == MS_PCAP_PACKET_BYTES, "a pcap record header");

/* The part of a frame that is kept. */
struct cut {
	uint32_t skip; /* bytes of the packet before it */
	uint32_t captured;
	uint32_t original;
};

/* outer: the outer headers are kept. */
static __rte_always_inline struct cut
cut_frame(const struct ms_frame *frame, bool outer, uint32_t snaplen)
{
	uint32_t offset = frame->offset;
	uint32_t lead = outer ? offset : 0;
	uint32_t have = frame->length + lead;

	return (struct cut){
		.skip = offset - lead,
		.captured = have < snaplen ? have : snaplen,
		.original = frame->original_length + lead,
	};
}

/* A packet in several pieces, or whose data is not where the mbuf is: its length has been checked.
 */
static __rte_noinline void
copy_segments(uint8_t *to, const struct rte_mbuf *m, uint32_t skip, uint32_t n)
{
	uint32_t here;

	for (; n > 0 && skip >= m->data_len; m = m->next)
		skip -= m->data_len;
	for (; n > 0; m = m->next) {
		here = RTE_MIN(n, m->data_len - skip);
		memcpy(to, rte_pktmbuf_mtod_offset(m, const uint8_t *, skip), here);
		to += here;
		n -= here;
		skip = 0;
	}
}

#define CHUNK 64u /* bytes that are copied at a time: a cache's line */

/*
 * Copies n bytes: first the last chunk, which may begin before `from` and `to`, then the others
 * from the front. So no length needs a copy of its own, and nothing behind the end is touched.
 * Records are written one behind the other, and few of the caches' lines are there before the
 * writer has had its turn: they are asked for AHEAD_BYTES before, in the same loop, since where it
 * ends can't be foretold for frames of many lengths.
 */
static __rte_always_inline void
copy_chunks(uint8_t *to, const uint8_t *from, uint32_t n)
{
	uint8_t *last = to + n - CHUNK;

	__builtin_prefetch(last + AHEAD_BYTES, 1);
	rte_mov64(last, from + n - CHUNK);
	for (; to < last; to += CHUNK, from += CHUNK) {
		__builtin_prefetch(to + AHEAD_BYTES, 1);
		rte_mov64(to, from);
	}
}

/* The payload of any record. */
static inline void
copy_any(uint8_t *to, const struct ms_frame *frame, const struct cut *cut)
{
	if (frame->data == 0)
		copy_segments(to, frame->mbuf, cut->skip, cut->captured);
	else
		memcpy(to, (const uint8_t *)frame->mbuf + frame->data + cut->skip, cut->captured);
}

/*
 * The same of one that makes a chunk, be it with the end of its outer headers. These go over the
 * bytes of the record before `to`, which are to be written afterwards.
 */
static __rte_always_inline void
copy_plain(uint8_t *to, const struct ms_frame *frame, const struct cut *cut)
{
	copy_chunks(to, (const uint8_t *)frame->mbuf + frame->data + cut->skip, cut->captured);
}

static inline void
put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

static inline void
put64(uint8_t *at, uint32_t first, uint32_t second)
{
	const uint32_t values[] = {first, second};

	memcpy(at, values, sizeof(values));
}

/* Bytes of a record before its payload, and of all of it. */
static __rte_always_inline uint32_t
header_bytes(bool pcapng)
{
	return pcapng ? PCAPNG_HEADER_BYTES : MS_PCAP_PACKET_BYTES;
}

static __rte_always_inline uint32_t
record_bytes(uint32_t captured, bool pcapng)
{
	return pcapng ? RTE_ALIGN_CEIL(captured, 4u) + MS_PCAPNG_PACKET_BYTES
	              : captured + MS_PCAP_PACKET_BYTES;
}

/* A record of `length` bytes. plain: its payload is, see copy_plain(). */
static __rte_always_inline void
put_pcapng(uint8_t *at, const struct ms_frame *frame, const struct cut *cut, uint32_t length,
	uint32_t interface, bool plain)
{
	uint8_t *payload = at + PCAPNG_HEADER_BYTES;
	uint8_t *end = at + length - (MS_PCAPNG_PACKET_BYTES - PCAPNG_HEADER_BYTES);

	/* The last word before the end is zeroed first, and then written over but for the padding;
	 * without a payload it is the header's own. */
	put32(end - sizeof(uint32_t), 0);
	if (plain)
		copy_plain(payload, frame, cut);
	else
		copy_any(payload, frame, cut);
	put64(at, PCAPNG_ENHANCED_PACKET, length);
	put64(at + 8, interface, (uint32_t)(frame->timestamp >> 32));
	put64(at + 16, (uint32_t)frame->timestamp, cut->captured);
	put32(at + 24, cut->original);
	put64(end, EPB_FLAGS, frame->direction);
	put64(end + 8, 0, length);
}

/* second, nanosecond: the timestamp. */
static __rte_always_inline void
put_pcap(uint8_t *at, const struct ms_frame *frame, const struct cut *cut, uint32_t second,
	uint32_t nanosecond, bool plain)
{
	const struct pcap_packet header = {
		.second = second,
		.nanosecond = nanosecond,
		.captured = cut->captured,
		.original = cut->original,
	};

	if (plain)
		copy_plain(at + sizeof(header), frame, cut);
	else
		copy_any(at + sizeof(header), frame, cut);
	memcpy(at, &header, sizeof(header));
}

/*
 * Any frame: one that finds no room, whose session is new to the file, whose packet is in several
 * pieces, that is short, or, in pcap, of another second than the one before.
 */
static __rte_noinline void
other_frame(struct ms_capfile *file, const struct ms_frame *frame)
{
	struct cut cut = cut_frame(frame, file->outer, file->snaplen);
	bool pcapng = file->sessions != NULL, in = true;
	struct ms_capfile_session *session = pcapng ? &file->sessions[frame->session] : NULL;
	uint32_t need = record_bytes(cut.captured, pcapng);
	struct ms_capfile_cursor *cursor = &file->stream->cursor;
	uint64_t time = frame->timestamp;

	ms_count_add(&file->ledger->offered, 1);
	if ((size_t)(cursor->end - cursor->at) < need || (pcapng && session->interface == 0)) {
		in = ms_capfile_admit(file, frame->session, need);
		cursor = &file->stream->cursor;
	}
	/* only now is it known in which file */
	cursor->first = RTE_MIN(cursor->first, time);
	cursor->last = RTE_MAX(cursor->last, time);
	if (pcapng)
		session->offered++;
	if (!in)
		return;
	cursor->frames++;
	cursor->payload += cut.captured;
	if (pcapng) {
		put_pcapng(cursor->at, frame, &cut, need, session->interface - 1, false);
	} else {
		if (time - file->second_start >= NS_PER_SECOND)
			time = ms_capfile_second(file, time);
		put_pcap(cursor->at, frame, &cut, file->second,
			(uint32_t)(time - file->second_start), false);
	}
	cursor->at += need;
}

/* Asks for what is needed of a frame that comes soon. */
static __rte_always_inline void
fetch_frame(const struct ms_capfile_session *sessions, const struct ms_frame *frame, bool pcapng)
{
	rte_prefetch0((const uint8_t *)frame->mbuf + frame->data + frame->offset);
	if (pcapng)
		rte_prefetch0(&sessions[frame->session]);
}

/*
 * Frames as nearly all are, from frames[i] on. Calls nothing, and what the cursor holds is in
 * variables of its own, so that compilers leave it in registers: as a struct gcc kept it in a
 * vector, and took it apart and put it together for each frame. Returns which frame is not of
 * these, or n.
 */
static __rte_always_inline uint16_t
plain_frames(struct ms_capfile *file, const struct ms_frame *frames, uint16_t i, uint16_t n,
	uint32_t mask, bool pcapng, bool outer)
{
	struct ms_capfile_cursor *cursor = &file->stream->cursor;
	struct ms_capfile_session *sessions = file->sessions, *session = NULL;
	bool fetch = file->remote || file->stream->interfaces > INTERFACES_NEAR;
	uint64_t first = cursor->first, last = cursor->last;
	uint64_t in = 0, payload = 0;
	uint32_t snaplen = file->snaplen;
	uint8_t *at = cursor->at, *end = cursor->end;

	for (; i < n; i++) {
		const struct ms_frame *frame = &frames[i];
		uint64_t time = frame->timestamp;
		struct cut cut;
		uint32_t need;

		if (fetch && i + AHEAD < n)
			fetch_frame(sessions, &frames[i + AHEAD], pcapng);
		if ((frame->outputs & mask) == 0)
			continue;
		cut = cut_frame(frame, outer, snaplen);
		need = record_bytes(cut.captured, pcapng);
		if (unlikely((uintptr_t)at + need > (uintptr_t)end || frame->data == 0 ||
			     cut.captured + RTE_MIN(cut.skip, header_bytes(pcapng)) < CHUNK))
			break;
		if (pcapng) {
			session = &sessions[frame->session];
			if (unlikely(session->interface == 0))
				break;
			session->offered++;
			put_pcapng(at, frame, &cut, need, session->interface - 1, true);
		} else {
			uint64_t nanosecond = time - file->second_start;

			if (unlikely(nanosecond >= NS_PER_SECOND))
				break;
			put_pcap(at, frame, &cut, file->second, (uint32_t)nanosecond, true);
		}
		at += need;
		first = RTE_MIN(first, time);
		last = RTE_MAX(last, time);
		payload += cut.captured;
		in++;
	}
	cursor->at = at;
	cursor->first = first;
	cursor->last = last;
	cursor->frames += in;
	cursor->payload += payload;
	ms_count_add(&file->ledger->offered, in);
	return i;
}

static __rte_always_inline void
burst(struct ms_capfile *file, const struct ms_frame *frames, uint16_t n, uint32_t mask,
	bool pcapng, bool outer)
{
	uint16_t i = 0;

	for (;;) {
		i = plain_frames(file, frames, i, n, mask, pcapng, outer);
		if (likely(i == n))
			break;
		other_frame(file, &frames[i++]);
	}
	if (unlikely(file->aside))
		ms_capfile_settle(file);
}

static void
burst_in_format(struct ms_capfile *file, const struct ms_frame *frames, uint16_t n, uint32_t mask)
{
	if (file->sessions == NULL)
		burst(file, frames, n, mask, false, file->outer);
	else if (file->outer)
		burst(file, frames, n, mask, true, true);
	else
		burst(file, frames, n, mask, true, false);
}

/* To the current stream; where packets are counted in parts that can fill a file, and no more. */
static void
burst_to_all(struct ms_capfile *file, const struct ms_frame *frames, uint16_t n, uint32_t mask)
{
	uint16_t part;

	if (likely(file->rotate_packets == 0)) {
		burst_in_format(file, frames, n, mask);
		return;
	}
	for (; n > 0; frames += part, n -= part) {
		part = RTE_MIN(n, ms_capfile_frames_left(file));
		burst_in_format(file, frames, part, mask);
		ms_capfile_finish_full(file);
	}
}

/* Frames of one session that follow each other go to its file together. */
static void
burst_per_session(struct ms_capfile *file, const struct ms_frame *frames, uint16_t n, uint32_t mask)
{
	uint16_t i, end;

	for (i = 0; i < n; i = end) {
		uint32_t outputs = 0;

		for (end = i; end < n && frames[end].session == frames[i].session; end++)
			outputs |= frames[end].outputs;
		if ((outputs & mask) == 0)
			continue;
		if (likely(ms_capfile_select(file, frames[i].session)))
			burst_to_all(file, &frames[i], end - i, mask);
		else
			ms_capfile_refuse(file, &frames[i], end - i, mask);
	}
}

void
ms_capfile_burst(struct ms_capfile *file, const struct ms_frame *frames, uint16_t n, uint32_t mask)
{
	if (unlikely(atomic_load_explicit(&file->attention, memory_order_relaxed)) &&
		!ms_capfile_attend(file))
		ms_capfile_refuse(file, frames, n, mask);
	else if (unlikely(file->per_session))
		burst_per_session(file, frames, n, mask);
	else
		burst_to_all(file, frames, n, mask);
}
