/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where one file of a stream ends and the next begins, on the owner's side: statistics, a buffer
 * marked as the last, and a new header. All of it needs buffers; while there is none the owner
 * stays in its phase, drops frames, and goes on with the turn later. The writer's thread closes and
 * opens the files themselves when it comes to the marked buffer, and to the first after it.
 */
#include "capfile_private.h"

#include <stdlib.h>
#include <string.h>

#include "session/ms_session.h"

/* The sessions that may have something in the file: n from the first. */
static struct ms_capfile_session *
sessions_of(const struct ms_capfile *file, uint32_t *first, uint32_t *n)
{
	*first = file->per_session ? file->stream->session : 0;
	*n = 0;
	if (file->sessions == NULL)
		return NULL;
	*n = file->per_session ? 1 : ms_session_count(file->registry);
	return &file->sessions[*first];
}

/* Writes a statistics block for each session, one that lost all its frames included. */
static bool
put_statistics(struct ms_capfile *file)
{
	struct ms_capfile_stream *stream = file->stream;
	uint32_t first, n;
	const struct ms_capfile_session *sessions = sessions_of(file, &first, &n);

	for (; stream->statistics < n; stream->statistics++) {
		const struct ms_capfile_session *session = &sessions[stream->statistics];

		if (session->offered == 0)
			continue;
		if (session->interface == 0 &&
			!ms_capfile_interface(file, first + stream->statistics))
			return false;
		if (!ms_capfile_room(file, MS_CAPFILE_BLOCK_MAX))
			return false;
		stream->cursor.at = ms_pcapng_statistics(
			stream->cursor.at, session, stream->cursor.first, stream->cursor.last);
	}
	ms_capfile_settle(file);
	return true;
}

struct ms_capfile_end *
ms_capfile_end(const struct ms_capfile *file)
{
	const struct ms_capfile_stream *stream = file->stream;
	uint32_t first, n, i;
	const struct ms_capfile_session *sessions = sessions_of(file, &first, &n);
	struct ms_capfile_end *end = malloc(sizeof(*end) + n * sizeof(*end->sessions));

	if (end == NULL)
		return NULL;
	end->first = stream->cursor.first == UINT64_MAX ? 0 : stream->cursor.first;
	end->last = stream->cursor.last;
	end->dropped = stream->dropped;
	end->sessions_n = 0;
	for (i = 0; i < n; i++) {
		if (sessions[i].offered == 0)
			continue;
		end->sessions[end->sessions_n++] = (struct ms_capfile_share){
			.session = first + i,
			.frames = sessions[i].offered - sessions[i].dropped,
			.dropped = sessions[i].dropped,
		};
	}
	return end;
}

static void
forget_file(struct ms_capfile *file)
{
	struct ms_capfile_stream *stream = file->stream;
	uint32_t first, n;
	struct ms_capfile_session *sessions = sessions_of(file, &first, &n);

	if (sessions != NULL)
		memset(sessions, 0, n * sizeof(*sessions));
	stream->cursor.first = UINT64_MAX;
	stream->cursor.last = 0;
	stream->number++;
	stream->interfaces = 0;
	stream->lead = 0;
	stream->handed_over = 0;
	stream->frames = 0;
	stream->dropped = 0;
	stream->started = 0;
	stream->phase = MS_CAPFILE_HEADER;
}

bool
ms_capfile_finish(struct ms_capfile *file, bool abandon)
{
	struct ms_capfile_stream *stream = file->stream;

	if (stream->phase == MS_CAPFILE_HEADER)
		return true;
	if (stream->phase == MS_CAPFILE_RECORDS) {
		stream->phase = MS_CAPFILE_STATISTICS;
		stream->statistics = 0;
		stream->abandoned = false;
	}
	stream->abandoned |= abandon;
	if ((!stream->abandoned && !put_statistics(file)) ||
		(stream->buffer == NULL && !ms_capfile_room(file, 1)))
		return false;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): where there is room is a buffer */
	stream->buffer->last = true;
	if (file->ops != NULL)
		stream->buffer->end = ms_capfile_end(file);
	ms_capfile_hand_over(file);
	forget_file(file);
	return true;
}

static bool
begin_file(struct ms_capfile *file)
{
	struct ms_capfile_stream *stream = file->stream;

	if (!ms_capfile_room(file, MS_CAPFILE_BLOCK_MAX))
		return false;
	if (file->sessions != NULL)
		stream->cursor.at = ms_pcapng_section(stream->cursor.at, file->application);
	else
		stream->cursor.at = ms_pcap_header(stream->cursor.at, file->snaplen);
	ms_capfile_settle(file);
	stream->phase = MS_CAPFILE_RECORDS;
	return true;
}

bool
ms_capfile_turn(struct ms_capfile *file)
{
	struct ms_capfile_stream *stream = file->stream;

	return (stream->phase != MS_CAPFILE_STATISTICS ||
		       ms_capfile_finish(file, stream->abandoned)) &&
	       (stream->phase != MS_CAPFILE_HEADER || begin_file(file));
}

static uint64_t
frames_of(const struct ms_capfile *file)
{
	const struct ms_capfile_stream *stream = file->stream;

	return stream->frames + (stream->buffer != NULL ? stream->cursor.frames : 0);
}

bool
ms_capfile_has_frames(const struct ms_capfile *file)
{
	return frames_of(file) > 0;
}

/* Between two files there may be the last one's frames to see, and these say nothing. */
uint64_t
ms_capfile_frames_left(const struct ms_capfile *file)
{
	uint64_t frames = frames_of(file);

	return file->stream->phase == MS_CAPFILE_RECORDS && frames < file->rotate_packets
	               ? file->rotate_packets - frames
	               : 1;
}

void
ms_capfile_finish_full(struct ms_capfile *file)
{
	if (file->stream->phase == MS_CAPFILE_RECORDS && frames_of(file) >= file->rotate_packets)
		ms_capfile_finish(file, false);
}

uint64_t
ms_capfile_left(const struct ms_capfile *file)
{
	const struct ms_capfile_stream *stream = file->stream;
	const struct ms_capfile_buffer *buffer = stream->buffer;
	uint64_t used = stream->handed_over;

	if (buffer != NULL)
		used += (uint64_t)(stream->cursor.at - buffer->data) - buffer->lead;
	return used < file->rotate_bytes ? file->rotate_bytes - used : 0;
}
