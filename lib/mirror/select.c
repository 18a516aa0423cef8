/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which ENIs are played, and their sessions in the order in which they are asked. What is wrong
 * with an ENI that is not played is nobody's business.
 */
#include "mirror/mirror_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int
mirror_wrong(struct ms_config_error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return -EINVAL;
}

/* "file:line:column: session ID: " and what is wrong with it. */
static int wrong_session(struct ms_config_error *error, const struct ms_config_session *session,
	const char *format, ...) __attribute__((format(printf, 3, 4)));

static int
wrong_session(struct ms_config_error *error, const struct ms_config_session *session,
	const char *format, ...)
{
	char what[sizeof(error->text)];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	return mirror_wrong(error, "%s:%u:%u: session %s: %s", session->origin.file,
		session->origin.line, session->origin.column, session->id, what);
}

static int
find_interface(const struct ms_config *config, const char *id)
{
	for (uint32_t i = 0; i < config->interfaces_n; i++) {
		if (strcmp(config->interfaces[i].id, id) == 0)
			return (int)i;
	}
	return -1;
}

/* Marks the interfaces that are played: those that are named, else those with a session. */
static int
mark(const struct ms_config *config, const struct ms_mirror_options *options, bool *played,
	struct ms_config_error *error)
{
	for (uint32_t i = 0; i < options->enis_n; i++) {
		int found = find_interface(config, options->enis[i]);

		if (found < 0)
			return mirror_wrong(error,
				"'%s' is not among the %u interfaces that are loaded: correct the "
				"name, or load the document that has it under NetworkInterfaces",
				options->enis[i], config->interfaces_n);
		played[found] = true;
	}
	for (uint32_t i = 0; options->enis_n == 0 && i < config->sessions_n; i++) {
		if (config->sessions[i].interface >= 0)
			played[config->sessions[i].interface] = true;
	}
	return 0;
}

/* One ENI for each interface that is played; eni_of tells which, by interface. */
static int
make_enis(struct ms_mirror *mirror, const bool *played, uint32_t *eni_of,
	struct ms_config_error *error)
{
	const struct ms_config *config = mirror->config;

	for (uint32_t i = 0; i < config->interfaces_n; i++) {
		const struct ms_config_interface *interface = &config->interfaces[i];

		eni_of[i] = MS_MIRROR_NONE;
		if (!played[i])
			continue;
		if (interface->mac == 0)
			return mirror_wrong(error,
				"%s:%u:%u: interface %s: no MacAddress, by which its frames are "
				"known: add it, or leave this ENI out",
				interface->origin.file, interface->origin.line,
				interface->origin.column, interface->id);
		eni_of[i] = mirror->enis_n;
		mirror->enis[mirror->enis_n++].config = interface;
	}
	if (mirror->enis_n > 0)
		return 0;
	if (config->sessions_n == 0)
		return mirror_wrong(error, "no session is loaded, so nothing would be mirrored: "
					   "load a document with TrafficMirrorSessions");
	return wrong_session(error, &config->sessions[0],
		"its ENI %s is not loaded, nor is that of any other session: load a document with "
		"NetworkInterfaces",
		config->sessions[0].interface_id != NULL ? config->sessions[0].interface_id
							 : "(no NetworkInterfaceId)");
}

static int
add_place(struct ms_mirror *mirror, uint32_t eni, struct ms_config_error *error)
{
	const struct ms_config_interface *interface = mirror->enis[eni].config;
	uint32_t i = mirror_hash(interface->mac) & mirror->places_mask;

	for (; mirror->places[i].mac != 0; i = (i + 1) & mirror->places_mask) {
		const struct ms_config_interface *other;

		if (mirror->places[i].mac != interface->mac)
			continue;
		other = mirror->enis[mirror->places[i].eni].config;
		return mirror_wrong(error,
			"%s:%u:%u: interface %s: its MacAddress is also that of %s "
			"(%s:%u:%u): play one of them, or correct the address",
			interface->origin.file, interface->origin.line, interface->origin.column,
			interface->id, other->id, other->origin.file, other->origin.line,
			other->origin.column);
	}
	mirror->places[i] = (struct ms_mirror_place){interface->mac, eni};
	return 0;
}

static int
make_places(struct ms_mirror *mirror, struct ms_config_error *error)
{
	uint32_t size = 16;
	int rc = 0;

	while (size < 2 * mirror->enis_n)
		size *= 2;
	mirror->places = calloc(size, sizeof(*mirror->places));
	if (mirror->places == NULL)
		return -ENOMEM;
	mirror->places_mask = size - 1;
	for (uint32_t i = 0; i < size; i++)
		mirror->places[i].eni = MS_MIRROR_NONE;
	for (uint32_t i = 0; rc == 0 && i < mirror->enis_n; i++)
		rc = add_place(mirror, i, error);
	return rc;
}

/* Has a session all that its ENI needs of it? */
static int
check_session(const struct ms_config_session *session, struct ms_config_error *error)
{
	if (session->number == 0)
		return wrong_session(error, session,
			"no SessionNumber, by which its ENI knows which session comes first: add "
			"it, 1 to 32766");
	if (session->filter_id == NULL)
		return wrong_session(error, session,
			"no TrafficMirrorFilterId: add it, since without a filter nothing says "
			"what "
			"is mirrored");
	if (session->filter < 0)
		return wrong_session(error, session,
			"TrafficMirrorFilterId \"%s\": this filter is not loaded: load the "
			"document "
			"that has it under TrafficMirrorFilters",
			session->filter_id);
	return 0;
}

static int
compare_session(const void *a, const void *b)
{
	const struct ms_mirror_session *x = a, *y = b;

	if (x->eni != y->eni)
		return x->eni < y->eni ? -1 : 1;
	return x->config->number < y->config->number ? -1 : 1;
}

/* A session that stands in its place among those of its ENI; config has seen to it that no two of
 * them have the same number. */
static int
check_place(const struct ms_mirror *mirror, uint32_t session, struct ms_config_error *error)
{
	const struct ms_mirror_eni *eni = &mirror->enis[mirror->sessions[session].eni];

	if (session - eni->first < MS_MIRROR_SESSIONS_MAX)
		return 0;
	return wrong_session(error, mirror->sessions[session].config,
		"is one more than the %u sessions that ENI %s can have: leave one of them out",
		MS_MIRROR_SESSIONS_MAX, eni->config->id);
}

/* Collects the sessions of all ENIs and puts them in order. */
static int
make_sessions(struct ms_mirror *mirror, const uint32_t *eni_of, struct ms_config_error *error)
{
	const struct ms_config *config = mirror->config;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < config->sessions_n; i++) {
		const struct ms_config_session *session = &config->sessions[i];

		if (session->interface < 0 || eni_of[session->interface] == MS_MIRROR_NONE)
			continue;
		mirror->sessions[mirror->sessions_n++] = (struct ms_mirror_session){
			.config = session, .eni = eni_of[session->interface]};
		rc = check_session(session, error);
	}
	if (rc != 0)
		return rc;
	qsort(mirror->sessions, mirror->sessions_n, sizeof(*mirror->sessions), compare_session);
	for (uint32_t e = 0, s = 0; rc == 0 && e < mirror->enis_n; e++) {
		struct ms_mirror_eni *eni = &mirror->enis[e];

		eni->first = s;
		for (; rc == 0 && s < mirror->sessions_n && mirror->sessions[s].eni == e; s++)
			rc = check_place(mirror, s, error);
		eni->end = s;
	}
	return rc;
}

int
mirror_select(struct ms_mirror *mirror, const struct ms_mirror_options *options,
	struct ms_config_error *error)
{
	const struct ms_config *config = mirror->config;
	bool *played = calloc(config->interfaces_n + 1, sizeof(*played));
	uint32_t *eni_of = calloc(config->interfaces_n + 1, sizeof(*eni_of));
	int rc = -ENOMEM;

	mirror->enis = calloc(config->interfaces_n + 1, sizeof(*mirror->enis));
	mirror->sessions = calloc(config->sessions_n + 1, sizeof(*mirror->sessions));
	if (played != NULL && eni_of != NULL && mirror->enis != NULL && mirror->sessions != NULL)
		rc = mark(config, options, played, error);
	if (rc == 0)
		rc = make_enis(mirror, played, eni_of, error);
	if (rc == 0)
		rc = make_places(mirror, error);
	if (rc == 0)
		rc = make_sessions(mirror, eni_of, error);
	free(played);
	free(eni_of);
	return rc;
}
