/* SPDX-License-Identifier: BSD-3-Clause */
#include "listen.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>
#include <netinet/in.h>

#include "common/cli.h"

#define HOST_MAX 64 /* an IPv6 address with a zone */
#define BACKLOG  64

bool
listen_parse(const char *option, const char *text, struct ctl_address *address)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	const char *colon = strrchr(text, ':');
	struct addrinfo *found;
	char host[HOST_MAX];
	size_t length = colon != NULL ? (size_t)(colon - text) : 0;
	bool brackets = length > 2 && text[0] == '[' && text[length - 1] == ']';
	uint64_t port;

	if (brackets) {
		text++;
		length -= 2;
	}
	if (length == 0 || length >= sizeof(host) ||
		(memchr(text, ':', length) != NULL) != brackets)
		return cli_wrong("%s: '%s' is not ADDRESS:PORT: write 10.0.8.10:8080, [::]:8080 or "
				 "the like",
			option, brackets ? text - 1 : text);
	strlcpy(host, text, length + 1);
	if (!cli_number(option, colon + 1, 1, UINT16_MAX, &port))
		return false;
	if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
		return cli_wrong("%s: '%s' is no IP address", option, host);
	memcpy(&address->socket, found->ai_addr, found->ai_addrlen);
	address->length = found->ai_addrlen;
	address->text = brackets ? text - 1 : text;
	freeaddrinfo(found);
	return true;
}

int
listen_open(const struct ctl_address *address)
{
	int family = address->socket.ss_family, one = 1, error;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
		/* so that [::] and 0.0.0.0 can be had together */
		(family != AF_INET6 ||
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0) &&
		bind(fd, (const struct sockaddr *)&address->socket, address->length) == 0 &&
		listen(fd, BACKLOG) == 0)
		return fd;
	error = errno;
	close(fd);
	return -error;
}
