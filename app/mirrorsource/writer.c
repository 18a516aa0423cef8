/* SPDX-License-Identifier: BSD-3-Clause */
/* Opens and closes the capture file that lib/capfile writes, with the one session as its name. */
#include "writer.h"

#include <rte_byteorder.h>
#include <rte_errno.h>

#include <arpa/inet.h>
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

static void
format_address(char text[INET6_ADDRSTRLEN], struct ms_ip ip, uint8_t family)
{
	rte_be64_t six[2] = {rte_cpu_to_be_64(ip.hi), rte_cpu_to_be_64(ip.lo)};
	rte_be32_t four = rte_cpu_to_be_32((uint32_t)ip.lo);

	if (family == MS_FAMILY_V4)
		inet_ntop(AF_INET, &four, text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, six, text, INET6_ADDRSTRLEN);
}

/* The session as a pcapng file names its interface. */
static uint32_t
add_session(struct ms_session_registry *registry, const struct ms_encap_options *encap)
{
	char source[INET6_ADDRSTRLEN], target[INET6_ADDRSTRLEN];
	char name[sizeof("vni16777215")];
	char description[sizeof("mirrored by mirrorsource from  to ") +
			 (size_t)2 * INET6_ADDRSTRLEN];
	struct ms_session_info info = {
		.name = name,
		.description = description,
		.vni = encap->vni,
		.source_family = encap->family,
		.source = encap->source,
	};

	format_address(source, encap->source, encap->family);
	format_address(target, encap->target, encap->family);
	snprintf(name, sizeof(name), "vni%u", encap->vni);
	snprintf(description, sizeof(description), "mirrored by mirrorsource from %s to %s", source,
		target);
	return ms_session_add(registry, &info);
}

int
source_writer_open(struct source_writer *writer, const struct source_options *options,
	int standard_output, bool wait)
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
	writer->registry = ms_session_registry_create();
	if (writer->registry == NULL) {
		close(fd);
		goto fail;
	}
	writer->session = add_session(writer->registry, &options->encap);
	writer->file = ms_capfile_create(fd, &capfile, writer->registry, &writer->ledger);
	if (writer->file != NULL && writer->session != MS_SESSION_NONE)
		return 0;
	if (writer->file != NULL)
		ms_capfile_close(writer->file);
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
