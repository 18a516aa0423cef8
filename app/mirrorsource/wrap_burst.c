/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hot path's first half: from frames to mirrored packets. Each frame is parsed once; what was
 * found serves the plan (which ENI, which session) and the headers (source port) alike.
 */
#include "mirror.h"

#include <assert.h>

static_assert((int)SOURCE_FATE_NO_ENI == MS_MIRROR_NO_ENI &&
		      (int)SOURCE_FATE_FILTER_DEFAULT == MS_MIRROR_FILTER_DEFAULT,
	"what a plan says of a frame is its fate");

/* Do the segments hold what pkt_len says? */
static inline bool
whole(const struct rte_mbuf *pkt)
{
	uint64_t bytes = pkt->data_len;

	for (const struct rte_mbuf *segment = pkt->next; segment != NULL; segment = segment->next)
		bytes += segment->data_len;
	return bytes == pkt->pkt_len;
}

/* Frees and counts damaged frames; returns how many are left. */
static inline uint16_t
keep_whole(struct mirror *m, struct rte_mbuf **frames, uint16_t n)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < n; i++) {
		if (likely(whole(frames[i]))) {
			frames[kept++] = frames[i];
			continue;
		}
		mirror_count(m, SOURCE_FATE_DAMAGED, 1);
		rte_pktmbuf_free(frames[i]);
	}
	return kept;
}

/* The source ENI sees all of a frame, before anything is cut. */
static inline void
parse(struct mirror *m, struct rte_mbuf *const *frames, uint16_t n)
{
	uint8_t bounce[MS_PARSE_MAX];

	for (uint16_t i = 0; i < n; i++) {
		uint32_t length = rte_pktmbuf_pkt_len(frames[i]);
		const uint8_t *view = bounce;

		if (length > 0) /* rte_pktmbuf_read() of nothing runs off the end of a chain */
			view = rte_pktmbuf_read(
				frames[i], 0, RTE_MIN(length, (uint32_t)MS_PARSE_MAX), bounce);
		ms_packet_parse(&m->work.parsed[i], view, length);
	}
}

/* Without documents: one session mirrors all. */
static inline void
take_all(struct mirror *m, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		m->work.seen.list[i] = (struct ms_mirror_sighting){
			.packet = &m->work.parsed[i],
			.frame = (uint8_t)i,
			.fate = MS_MIRROR_TAKEN,
		};
	m->work.seen.n = n;
}

/*
 * The mbuf for a sighting, with headroom for its session's headers; NULL after freeing it and
 * counting why. `shared`: another session has the frame too, so that this one gets a copy.
 */
static inline struct rte_mbuf *
admit(struct mirror *m, const struct ms_encap *encap, struct rte_mbuf *frame, bool shared)
{
	struct rte_mbuf *pkt = frame;
	struct rte_mbuf *head;

	if (unlikely(ms_encap_bytes(encap, frame->pkt_len) > m->limit)) {
		mirror_count(m, SOURCE_FATE_TOO_LARGE, 1);
		pkt = NULL;
	} else if (shared) {
		pkt = rte_pktmbuf_copy(frame, m->ports->pool, 0, UINT32_MAX);
		if (unlikely(pkt == NULL))
			mirror_count(m, SOURCE_FATE_NO_MBUF, 1);
	}
	if (unlikely(pkt == NULL)) {
		if (!shared)
			rte_pktmbuf_free(frame);
		return NULL;
	}
	head = ms_encap_headroom(encap, pkt, m->ports->pool);
	if (unlikely(head == NULL)) {
		mirror_count(m, SOURCE_FATE_NO_HEADROOM, 1);
		rte_pktmbuf_free(pkt);
	}
	return head;
}

/* Takes the frames that a session mirrors, and frees all others. */
static inline void
select_frames(struct mirror *m, struct rte_mbuf *const *frames, struct mirror_made *made)
{
	const struct ms_mirror_sighting *list = m->work.seen.list;

	for (uint16_t i = 0; i < m->work.seen.n; i++) {
		const struct ms_mirror_sighting *s = &list[i];
		bool first = i == 0 || list[i - 1].frame != s->frame;
		bool last = i + 1 == m->work.seen.n || list[i + 1].frame != s->frame;
		struct rte_mbuf *pkt;

		if (s->fate == MS_MIRROR_TAKEN) {
			pkt = admit(m, &m->encaps[s->session], frames[s->frame],
				!last && list[i + 1].fate == MS_MIRROR_TAKEN);
			if (unlikely(pkt == NULL))
				continue;
			made->pkts[made->n] = pkt;
			made->tags[made->n] = mirrored_tag(s->session, s->direction);
			m->work.encaps[made->n] = &m->encaps[s->session];
			m->work.flows[made->n++] = ms_encap_flow(&m->encaps[s->session], s->packet);
			continue;
		}
		mirror_count(m, (enum source_fate)s->fate, 1);
		if (last && (first || list[i - 1].fate != MS_MIRROR_TAKEN))
			rte_pktmbuf_free(frames[s->frame]);
	}
}

/* One segment each, for a port that takes no more; what cannot be made so is dropped. */
static inline void
make_contiguous(struct mirror *m, struct mirror_made *made)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < made->n; i++) {
		if (unlikely(rte_pktmbuf_linearize(made->pkts[i]) != 0)) {
			mirror_count(m, SOURCE_FATE_TOO_LARGE, 1);
			rte_pktmbuf_free(made->pkts[i]);
			continue;
		}
		made->tags[kept] = made->tags[i];
		made->pkts[kept++] = made->pkts[i];
	}
	made->n = kept;
}

void
mirror_wrap_burst(struct mirror *m, struct rte_mbuf **frames, uint16_t n, struct mirror_made *made)
{
	uint16_t kept = keep_whole(m, frames, n);

	parse(m, frames, kept);
	if (m->plan != NULL)
		ms_mirror_burst(m->plan, m->work.parsed, kept, &m->work.seen);
	else
		take_all(m, kept);
	made->n = 0;
	made->sightings = (uint16_t)(n - kept + m->work.seen.n);
	select_frames(m, frames, made);
	for (uint16_t i = 0; i < made->n; i = (uint16_t)(i + MS_BURST))
		ms_encap_burst(m->work.encaps + i, m->work.flows + i, made->pkts + i,
			(uint16_t)RTE_MIN(made->n - i, MS_BURST));
	if (m->ports->contiguous)
		make_contiguous(m, made);
}
