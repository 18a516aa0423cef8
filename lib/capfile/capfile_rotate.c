/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where one file of a capture ends and the next begins, on the owner's side: statistics, a buffer
 * marked as the last, and a new header. All of it needs buffers; while there is none the owner
 * stays in its phase, drops frames, and goes on with the turn later. The writer's thread closes and
 * opens the files themselves when it comes to the marked buffer.
 */
#include "capfile_private.h"

#include <stdlib.h>
#include <string.h>

#include "session/ms_session.h"

bool
ms_capfile_statistics(struct ms_capfile *file)
{
	uint32_t n = file->sessions != NULL ? ms_session_count(file->registry) : 0;

	for (; file->statistics < n; file->statistics++) {
		const struct ms_capfile_session *session = &file->sessions[file->statistics];

		if (session->offered == 0)
			continue;
		if (session->interface == 0 && !ms_capfile_interface(file, file->statistics))
			return false;
		if (!ms_capfile_room(file, MS_CAPFILE_BLOCK_MAX))
			return false;
		file->cursor.at = ms_pcapng_statistics(
			file->cursor.at, session, file->cursor.first, file->cursor.last);
	}
	return true;
}

struct ms_capfile_end *
ms_capfile_end(const struct ms_capfile *file)
{
	const struct ms_capfile_session *sessions = file->sessions;
	uint32_t n = sessions != NULL ? ms_session_count(file->registry) : 0, i;
	struct ms_capfile_end *end = malloc(sizeof(*end) + n * sizeof(*end->sessions));

	if (end == NULL)
		return NULL;
	end->first = file->cursor.first == UINT64_MAX ? 0 : file->cursor.first;
	end->last = file->cursor.last;
	end->dropped = file->dropped;
	end->sessions_n = 0;
	for (i = 0; i < n; i++) {
		if (sessions[i].offered == 0)
			continue;
		end->sessions[end->sessions_n++] = (struct ms_capfile_share){
			.session = i,
			.frames = sessions[i].offered - sessions[i].dropped,
			.dropped = sessions[i].dropped,
		};
	}
	return end;
}

/* Hands over the last buffer of the file, an empty one if need be, and forgets the file. */
static bool
end_file(struct ms_capfile *file)
{
	if (!ms_capfile_statistics(file) || (file->cursor.at == NULL && !ms_capfile_room(file, 1)))
		return false;
	ms_capfile_current(file)->last = true;
	ms_capfile_current(file)->end = file->ops != NULL ? ms_capfile_end(file) : NULL;
	ms_capfile_hand_over(file);
	if (file->sessions != NULL)
		memset(file->sessions, 0, file->statistics * sizeof(*file->sessions));
	file->cursor.first = UINT64_MAX;
	file->cursor.last = 0;
	file->interfaces = 0;
	file->lead = 0;
	file->handed_over = 0;
	file->frames = 0;
	file->dropped = 0;
	file->started = 0;
	file->phase = MS_CAPFILE_HEADER;
	return true;
}

static bool
begin_file(struct ms_capfile *file)
{
	if (!ms_capfile_room(file, MS_CAPFILE_BLOCK_MAX))
		return false;
	if (file->sessions != NULL)
		file->cursor.at = ms_pcapng_section(file->cursor.at, file->application);
	else
		file->cursor.at = ms_pcap_header(file->cursor.at, file->snaplen);
	file->phase = MS_CAPFILE_RECORDS;
	return true;
}

bool
ms_capfile_turn(struct ms_capfile *file)
{
	return (file->phase != MS_CAPFILE_STATISTICS || end_file(file)) &&
	       (file->phase != MS_CAPFILE_HEADER || begin_file(file));
}

bool
ms_capfile_rotate(struct ms_capfile *file)
{
	file->phase = MS_CAPFILE_STATISTICS;
	file->statistics = 0;
	return ms_capfile_turn(file);
}

bool
ms_capfile_has_frames(const struct ms_capfile *file)
{
	return file->frames + (file->cursor.at != NULL ? file->cursor.frames : 0) > 0;
}

uint64_t
ms_capfile_left(struct ms_capfile *file)
{
	const struct ms_capfile_buffer *buffer = ms_capfile_current(file);
	uint64_t used = file->handed_over;

	if (file->cursor.at != NULL)
		used += (uint64_t)(file->cursor.at - buffer->data) - buffer->lead;
	return used < file->rotate_bytes ? file->rotate_bytes - used : 0;
}
