/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The owner's streams of files, of which there may be one for each of the sessions that were seen
 * last: which of them is the current one, which has to go, and which has a file that failed.
 */
#include "capfile_private.h"

#include "session/ms_session.h"

bool
ms_capfile_attend(struct ms_capfile *file)
{
	struct ms_capfile_stream *current = file->stream;
	bool again = false, refusing;

	/* Before what it stands for is read: what the writer says after that is seen next time. */
	atomic_exchange_explicit(&file->attention, false, memory_order_acquire);
	for (uint32_t i = 0; i < file->streams_n; i++) {
		struct ms_capfile_stream *stream = &file->streams[i];

		if (atomic_load_explicit(&stream->broken, memory_order_relaxed) != stream->number)
			continue;
		file->stream = stream;
		again |= !ms_capfile_finish(file, true);
	}
	file->stream = current;
	refusing = atomic_load_explicit(&file->refusing, memory_order_relaxed) != 0;
	if (refusing || again)
		atomic_store_explicit(&file->attention, true, memory_order_relaxed);
	return !refusing;
}

/* The stream that was not used for longest: of all, or of those beside the current one that hold a
 * buffer. */
static struct ms_capfile_stream *
least_used(struct ms_capfile *file, bool holding)
{
	struct ms_capfile_stream *least = NULL;

	for (uint32_t i = 0; i < file->streams_n; i++) {
		struct ms_capfile_stream *stream = &file->streams[i];

		if (holding && (stream == file->stream || stream->buffer == NULL))
			continue;
		if (least == NULL || stream->used < least->used)
			least = stream;
	}
	return least;
}

void
ms_capfile_spare(struct ms_capfile *file)
{
	struct ms_capfile_stream *current = file->stream;
	struct ms_capfile_stream *least = least_used(file, true);

	if (least == NULL)
		return;
	file->stream = least;
	ms_capfile_hand_over(file);
	file->stream = current;
}

bool
ms_capfile_select(struct ms_capfile *file, uint32_t session)
{
	uint32_t slot = file->stream_of[session];
	struct ms_capfile_stream *stream;

	if (slot != 0) {
		stream = &file->streams[slot - 1];
	} else {
		stream = least_used(file, false);
		file->stream = stream;
		if (!ms_capfile_finish(file, stream->abandoned))
			return false;
		if (stream->session != MS_SESSION_NONE)
			file->stream_of[stream->session] = 0;
		stream->session = session;
		file->stream_of[session] = stream - file->streams + 1;
	}
	file->stream = stream;
	stream->used = ++file->uses;
	return true;
}
