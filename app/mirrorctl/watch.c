/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch.h"

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/cli.h"
#include "health.h"
#include "http.h"
#include "listen.h"

#define LOOK_MS 200

struct watch {
	const struct ctl_options *options;
	int signals;       /* readable when it is to end */
	struct http *http; /* NULL: not asked for */
	int tcp;           /* listens while the sink is healthy; -1: does not */
	bool tcp_failed;   /* it should, and does not: has been told */
	int last;          /* healthy or not when it was last told; -1: not yet */
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* Tells on standard error when it changes. */
static void
tell(struct watch *watch, const struct health *health)
{
	const json_t *problem;
	size_t i;

	if (watch->last == health->healthy)
		return;
	watch->last = health->healthy;
	if (health->healthy)
		warnx("healthy");
	json_array_foreach (json_object_get(health->state, "problems"), i, problem)
		warnx("not healthy: %s", json_string_value(problem));
}

/* Connections are refused as long as nobody listens. */
static void
set_tcp(struct watch *watch, bool healthy)
{
	int fd;

	if (watch->options->tcp.text == NULL || healthy == (watch->tcp >= 0))
		return;
	if (!healthy) {
		close(watch->tcp);
		watch->tcp = -1;
		return;
	}
	fd = listen_open(&watch->options->tcp);
	watch->tcp = fd >= 0 ? fd : -1;
	if (fd < 0 && !watch->tcp_failed)
		warnx("--listen-tcp: cannot listen on %s again: %s; trying on",
			watch->options->tcp.text, strerror(-fd));
	watch->tcp_failed = fd < 0;
}

static void
look(struct watch *watch)
{
	struct health health = health_ask(watch->options->prefix);
	char *body;

	tell(watch, &health);
	set_tcp(watch, health.healthy);
	if (watch->http != NULL) {
		body = json_dumps(health.state, JSON_INDENT(2));
		if (body != NULL)
			http_post(watch->http, health.healthy, body);
	}
	json_decref(health.state);
}

/* Accepts what comes until the time has come. Returns false if it is to end. */
static bool
serve_until(struct watch *watch, int64_t end)
{
	for (;;) {
		struct pollfd fds[] = {{.fd = watch->signals, .events = POLLIN},
			{.fd = watch->tcp, .events = POLLIN}};
		int64_t left = end - now_ms();
		int fd;

		if (left <= 0)
			return true;
		poll(fds, 2, (int)left);
		if (fds[0].revents != 0)
			return false;
		if (fds[1].revents == 0)
			continue;
		fd = accept4(watch->tcp, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			close(fd); /* the connection is the answer */
	}
}

/* Opens what is asked for. Says what is wrong and returns false. */
static bool
begin(struct watch *watch)
{
	const struct ctl_options *o = watch->options;
	int fd;

	if (o->tcp.text != NULL) {
		watch->tcp = listen_open(&o->tcp);
		if (watch->tcp < 0)
			return cli_wrong("--listen-tcp: cannot listen on %s: %s", o->tcp.text,
				strerror(-watch->tcp));
	}
	if (o->http.text == NULL)
		return true;
	fd = listen_open(&o->http);
	if (fd < 0)
		return cli_wrong("--listen: cannot listen on %s: %s", o->http.text, strerror(-fd));
	watch->http = http_start(fd);
	return watch->http != NULL || cli_wrong("the HTTP server does not start");
}

int
watch(const struct ctl_options *options)
{
	struct watch watch = {.options = options, .tcp = -1, .last = -1};
	int status = CLI_EXIT_USAGE;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL); /* before there is a second thread */
	signal(SIGPIPE, SIG_IGN);
	watch.signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (begin(&watch)) {
		do
			look(&watch);
		while (serve_until(&watch, now_ms() + LOOK_MS));
		status = EXIT_SUCCESS;
	}
	http_stop(watch.http);
	if (watch.tcp >= 0)
		close(watch.tcp);
	close(watch.signals);
	return status;
}
