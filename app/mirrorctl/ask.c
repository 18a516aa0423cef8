/* SPDX-License-Identifier: BSD-3-Clause */
#include "ask.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The answers that DPDK announces are of 16 KiB at most; a version that says more is believed. */
#define ANSWER_MAX (1 << 20)
#define HELLO_MAX  1024

/* A question under way. */
struct question {
	int fd;
	struct sockaddr_un address;
	unsigned int timeout_ms;
	struct timespec end; /* monotonic */
	char *problem;
};

__attribute__((format(printf, 2, 3))) static void
wrong(struct question *question, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(question->problem, ASK_PROBLEM, format, args);
	va_end(args);
}

/* Where DPDK puts it: see eal_create_runtime_dir(). */
static bool
find_socket(struct question *question, const char *prefix)
{
	const char *folder = getenv("RUNTIME_DIRECTORY");
	int n;

	if (folder == NULL || folder[0] == '\0') {
		folder = getuid() == 0 ? "/run" : getenv("XDG_RUNTIME_DIR");
		if (folder == NULL)
			folder = "/tmp";
	}
	question->address.sun_family = AF_UNIX;
	n = snprintf(question->address.sun_path, sizeof(question->address.sun_path),
		"%s/dpdk/%s/dpdk_telemetry.v2", folder, prefix);
	if (n > 0 && (size_t)n < sizeof(question->address.sun_path))
		return true;
	wrong(question, "the socket's name is too long with the prefix '%s'", prefix);
	return false;
}

static int
milliseconds_left(const struct question *question)
{
	struct timespec now;
	int64_t left;

	clock_gettime(CLOCK_MONOTONIC, &now);
	left = (question->end.tv_sec - now.tv_sec) * INT64_C(1000) +
	       (question->end.tv_nsec - now.tv_nsec) / 1000000;
	return left > 0 ? (int)left : 0;
}

static bool
no_answer(struct question *question)
{
	wrong(question,
		"the sink does not answer within %u ms at %s: it hangs, is stopped, or has no "
		"processor",
		question->timeout_ms, question->address.sun_path);
	return false;
}

static bool
connect_to(struct question *question)
{
	const struct timeval limit = {.tv_sec = question->timeout_ms / 1000,
		.tv_usec = question->timeout_ms % 1000 * 1000};
	const char *path = question->address.sun_path;

	question->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (question->fd < 0) {
		wrong(question, "no socket: %s", strerror(errno));
		return false;
	}
	/* a full queue of connections makes connect() wait, and this bounds it */
	setsockopt(question->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(question->fd, (const struct sockaddr *)&question->address,
		    sizeof(question->address)) == 0)
		return true;
	if (errno == EAGAIN)
		return no_answer(question);
	if (errno == ENOENT || errno == ECONNREFUSED)
		wrong(question,
			"no sink runs at %s: start mirrorsink, or name its --file-prefix with -f",
			path);
	else
		wrong(question, "cannot reach the sink at %s: %s", path, strerror(errno));
	return false;
}

/* One message, as text. Returns it, to be freed, or NULL. */
static char *
receive(struct question *question, size_t room)
{
	struct pollfd ready = {.fd = question->fd, .events = POLLIN};
	char *text = malloc(room + 1);
	ssize_t n;

	if (text == NULL) {
		wrong(question, "out of memory");
		return NULL;
	}
	if (poll(&ready, 1, milliseconds_left(question)) <= 0) {
		no_answer(question);
		goto fail;
	}
	n = recv(question->fd, text, room, 0);
	if (n <= 0) {
		/* DPDK closes at once if too many clients are connected */
		wrong(question,
			"the sink has closed the connection at %s: it ends, or has too many "
			"clients",
			question->address.sun_path);
		goto fail;
	}
	text[n] = '\0';
	return text;
fail:
	free(text);
	return NULL;
}

/* The server's first message says how long an answer can be. 0: it did not. */
static size_t
receive_hello(struct question *question)
{
	char *text = receive(question, HELLO_MAX);
	json_t *hello = text != NULL ? json_loads(text, 0, NULL) : NULL;
	json_int_t room = json_integer_value(json_object_get(hello, "max_output_len"));

	if (text != NULL && (room <= 0 || room > ANSWER_MAX)) {
		wrong(question, "what listens at %s is no DPDK program",
			question->address.sun_path);
		room = 0;
	}
	json_decref(hello);
	free(text);
	return text != NULL ? (size_t)room : 0;
}

static json_t *
exchange(struct question *question, const char *command)
{
	size_t room = receive_hello(question);
	json_t *root, *answer = NULL;
	char *text;

	if (room == 0)
		return NULL;
	if (send(question->fd, command, strlen(command), MSG_NOSIGNAL) < 0) {
		wrong(question, "cannot ask the sink at %s: %s", question->address.sun_path,
			strerror(errno));
		return NULL;
	}
	text = receive(question, room);
	if (text == NULL)
		return NULL;
	root = json_loads(text, 0, NULL);
	free(text);
	/* the only value, under the command's name */
	answer = json_incref(json_object_iter_value(json_object_iter(root)));
	json_decref(root);
	if (!json_is_object(answer)) {
		wrong(question,
			"what runs at %s does not know %s: it is no mirrorsink, ends just now, or "
			"is of "
			"another version than this mirrorctl",
			question->address.sun_path, command);
		json_decref(answer);
		return NULL;
	}
	return answer;
}

json_t *
ask(const char *prefix, const char *command, unsigned int timeout_ms, char *problem)
{
	struct question question = {.fd = -1, .timeout_ms = timeout_ms, .problem = problem};
	json_t *answer = NULL;

	clock_gettime(CLOCK_MONOTONIC, &question.end);
	question.end.tv_nsec += timeout_ms % 1000 * 1000000L;
	question.end.tv_sec += timeout_ms / 1000 + question.end.tv_nsec / 1000000000L;
	question.end.tv_nsec %= 1000000000L;
	if (find_socket(&question, prefix) && connect_to(&question))
		answer = exchange(&question, command);
	if (question.fd >= 0)
		close(question.fd);
	return answer;
}

size_t
ask_list(const json_t *object, json_t *array)
{
	size_t n = 0;

	for (char name[24];; n++) {
		json_t *element;

		snprintf(name, sizeof(name), "%zu", json_array_size(array));
		element = json_object_get(object, name);
		if (element == NULL || json_array_append(array, element) != 0)
			return n;
	}
}
