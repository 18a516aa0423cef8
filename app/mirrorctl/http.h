/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers a load balancer's HTTP checks, in a thread of its own, with what was last posted. */
#pragma once

#include <stdbool.h>

struct http;

/* fd listens, and is taken over. Returns NULL if it does not start. */
struct http *http_start(int fd);
void http_stop(struct http *http);

/* What is answered from now on: status 200 or 503, and a JSON text, which is taken over. */
void http_post(struct http *http, bool healthy, char *body);
