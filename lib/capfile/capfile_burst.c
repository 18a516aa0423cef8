/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hot path of a capture file: encodes frames straight into the current buffer, one copy of the
 * payload and a few fixed-size stores a frame. Whatever is rare (no room, a new session, another
 * second) is called in capfile_buffer.c.
 */
#include "capfile_private.h"

#include <string.h>

#include <rte_mbuf.h>
#include <rte_memcpy.h>
#include <rte_prefetch.h>

#define PCAPNG_ENHANCED_PACKET 6u
#define EPB_FLAGS              (4u << 16 | 2u) /* option code 2, 4 bytes */
#define NS_PER_SECOND          1000000000u
#define AHEAD                  6    /* frames whose payload is on its way from memory */
#define AHEAD_BYTES            1536 /* of the buffer that are on their way to be written */

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

/* outer: all ones if the outer headers are kept, else 0. */
static inline struct cut
cut_frame(const struct ms_frame *frame, uint32_t outer, uint32_t snaplen)
{
	uint32_t offset = frame->offset;
	uint32_t lead = offset & outer;
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

/*
 * The payload of a record goes to `to`. It may write over the `header` bytes before that, which
 * are to be written afterwards. A short packet is read from its outer headers on, if these are
 * enough to make a chunk.
 */
static __rte_always_inline void
copy_payload(uint8_t *to, const struct ms_frame *frame, const struct cut *cut, uint32_t header)
{
	const uint8_t *from = (const uint8_t *)frame->mbuf + frame->data + cut->skip;

	if (unlikely(frame->data == 0))
		copy_segments(to, frame->mbuf, cut->skip, cut->captured);
	else if (likely(cut->captured + RTE_MIN(cut->skip, header) >= CHUNK))
		copy_chunks(to, from, cut->captured);
	else
		memcpy(to, from, cut->captured);
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

static inline uint8_t *
put_pcapng(uint8_t *at, const struct ms_frame *frame, const struct cut *cut, uint32_t interface)
{
	uint32_t padded = RTE_ALIGN_CEIL(cut->captured, 4u);
	uint32_t length = padded + MS_PCAPNG_PACKET_BYTES;
	uint8_t *payload = at + PCAPNG_HEADER_BYTES, *end = payload + padded;

	/* The last word before the end is zeroed first, and then written over but for the padding;
	 * without a payload it is the header's own. */
	put32(end - sizeof(uint32_t), 0);
	copy_payload(payload, frame, cut, PCAPNG_HEADER_BYTES);
	put64(at, PCAPNG_ENHANCED_PACKET, length);
	put64(at + 8, interface, (uint32_t)(frame->timestamp >> 32));
	put64(at + 16, (uint32_t)frame->timestamp, cut->captured);
	put32(at + 24, cut->original);
	put64(end, EPB_FLAGS, frame->direction);
	put64(end + 8, 0, length);
	return at + length;
}

static inline uint8_t *
put_pcap(struct ms_capfile *file, uint8_t *at, const struct ms_frame *frame, const struct cut *cut)
{
	uint64_t time = frame->timestamp;
	struct pcap_packet header;

	if (unlikely(time - file->second_start >= NS_PER_SECOND))
		time = ms_capfile_second(file, time);
	header.second = file->second;
	header.nanosecond = time - file->second_start;
	header.captured = cut->captured;
	header.original = cut->original;
	copy_payload(at + sizeof(header), frame, cut, sizeof(header));
	memcpy(at, &header, sizeof(header));
	return at + sizeof(header) + cut->captured;
}

static __rte_always_inline void
burst(struct ms_capfile *file, const struct ms_frame *frames, uint16_t n, uint32_t mask,
	bool pcapng)
{
	struct ms_capfile_session *sessions = file->sessions;
	struct ms_capfile_session *session = NULL;
	struct ms_capfile_cursor cursor = file->stream->cursor;
	uint32_t outer = file->outer ? UINT32_MAX : 0;
	uint32_t snaplen = file->snaplen;
	uint64_t offered = 0;
	uint32_t need;
	struct cut cut;
	uint16_t i;

	for (i = 0; i < n; i++) {
		const struct ms_frame *frame = &frames[i];
		bool in = true;

		if (i + AHEAD < n) {
			const struct ms_frame *next = &frames[i + AHEAD];
			const uint8_t *packet = (const uint8_t *)next->mbuf + next->data;

			rte_prefetch0(packet + next->offset);
			if (pcapng)
				rte_prefetch0(&sessions[next->session]);
		}
		if ((frame->outputs & mask) == 0)
			continue;
		offered++;
		cut = cut_frame(frame, outer, snaplen);
		if (pcapng) {
			session = &sessions[frame->session];
			need = RTE_ALIGN_CEIL(cut.captured, 4u) + MS_PCAPNG_PACKET_BYTES;
		} else {
			need = cut.captured + MS_PCAP_PACKET_BYTES;
		}
		if (unlikely((size_t)(cursor.end - cursor.at) < need ||
			     (pcapng && session->interface == 0))) {
			file->stream->cursor = cursor;
			in = ms_capfile_admit(file, frame->session, need);
			cursor = file->stream->cursor;
		}
		/* only now is it known in which file */
		cursor.first = RTE_MIN(cursor.first, frame->timestamp);
		cursor.last = RTE_MAX(cursor.last, frame->timestamp);
		if (pcapng)
			session->offered++;
		if (unlikely(!in))
			continue;
		cursor.frames++;
		cursor.payload += cut.captured;
		if (pcapng)
			cursor.at = put_pcapng(cursor.at, frame, &cut, session->interface - 1);
		else
			cursor.at = put_pcap(file, cursor.at, frame, &cut);
	}
	file->stream->cursor = cursor;
	if (unlikely(file->aside))
		ms_capfile_settle(file);
	ms_count_add(&file->ledger->offered, offered);
}

static void
burst_in_format(struct ms_capfile *file, const struct ms_frame *frames, uint16_t n, uint32_t mask)
{
	if (file->sessions != NULL)
		burst(file, frames, n, mask, true);
	else
		burst(file, frames, n, mask, false);
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
