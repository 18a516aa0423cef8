/* SPDX-License-Identifier: BSD-3-Clause */
/* Opens and closes the capture file that lib/capfile writes, whose interfaces are the sessions. */
#include "writer.h"

#include "common/address.h"

#include <rte_errno.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
source_writer_take_stdout(void)
{
	int fd;

	fflush(stdout);
	fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd < 0)
		return -errno;
	if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

/* A session as a pcapng file names its interface. */
static uint32_t
add_session(
	struct ms_session_registry *registry, const struct source_sessions *sessions, uint32_t i)
{
	const struct ms_config_session *session = source_session_config(sessions, i);
	const struct ms_encap_options *headers = &sessions->headers[i];
	struct source_session_name name = source_session_name(sessions, i);
	char description[sizeof("mirrored by mirrorsource from  to ") +
			 (size_t)2 * INET6_ADDRSTRLEN];
	struct ms_session_info info = {
		.name = name.text,
		.description = description,
		.vni = headers->vni,
		.source_family = headers->family,
		.source = headers->source,
	};

	snprintf(description, sizeof(description), "mirrored by mirrorsource from %s to %s",
		address_format(headers->source, headers->family).text,
		address_format(headers->target, headers->family).text);
	if (session != NULL && session->description != NULL && session->description[0] != '\0')
		info.description = session->description;
	return ms_session_add(registry, &info);
}

/* Slots are handed out in order, so that a session's is its index. */
static struct ms_session_registry *
make_registry(const struct source_sessions *sessions)
{
	struct ms_session_registry *registry = ms_session_registry_create();

	for (uint32_t i = 0; registry != NULL && i < sessions->n; i++) {
		if (add_session(registry, sessions, i) == i)
			continue;
		ms_session_registry_free(registry);
		rte_errno = ENOMEM;
		return NULL;
	}
	return registry;
}

int
source_writer_open(struct source_writer *writer, const struct source_options *options,
	const struct source_sessions *sessions, int standard_output, bool wait)
{
	const struct ms_capfile_options capfile = {
		.format = options->format,
		.outer = true,
		.wait = wait,
		.application = "mirrorsource " MS_VERSION,
	};
	int fd = standard_output;

	memset(writer, 0, sizeof(*writer));
	if (strcmp(options->write, "-") != 0)
		fd = open(options->write, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0) {
		cli_wrong("--write: '%s' cannot be opened: %s", options->write, strerror(errno));
		return CLI_EXIT_USAGE;
	}
	writer->registry = make_registry(sessions);
	if (writer->registry == NULL) {
		close(fd);
		goto fail;
	}
	writer->file = ms_capfile_create(fd, &capfile, writer->registry, &writer->ledger);
	if (writer->file != NULL)
		return 0;
	ms_session_registry_free(writer->registry);
fail:
	cli_wrong("--write: '%s' cannot be begun: %s", options->write, rte_strerror(rte_errno));
	return CLI_EXIT_FAILED;
}

int
source_writer_close(struct source_writer *writer, const struct source_options *options)
{
	int ret = ms_capfile_close(writer->file);

	ms_session_registry_free(writer->registry);
	if (ret == 0)
		return 0;
	cli_wrong("--write: '%s' is incomplete: %s", options->write, strerror(-ret));
	return CLI_EXIT_FAILED;
}
