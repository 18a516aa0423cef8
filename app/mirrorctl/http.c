/* SPDX-License-Identifier: BSD-3-Clause */
#include "http.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#define CONNECTIONS     256u
#define TIMEOUT_SECONDS 5u

struct http {
	struct MHD_Daemon *daemon;
	pthread_mutex_t lock;
	char *body; /* under lock, as healthy */
	bool healthy;
};

static struct MHD_Response *
text_response(const char *text, const char *type)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);

	if (response == NULL)
		return NULL;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	return response;
}

static struct MHD_Response *
state_response(struct http *http, unsigned int *status)
{
	struct MHD_Response *response;

	pthread_mutex_lock(&http->lock);
	*status = http->healthy ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
	response = text_response(http->body, "application/json");
	pthread_mutex_unlock(&http->lock);
	return response;
}

/* MHD_AccessHandlerCallback: once for the headers, then for what is uploaded, then to answer. */
static enum MHD_Result
answer(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *upload, size_t *upload_size, void **seen)
{
	struct MHD_Response *response;
	enum MHD_Result result;
	unsigned int status;

	if (*seen == NULL || *upload_size > 0) {
		*seen = arg;
		*upload_size = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0) {
		response = state_response(arg, &status);
	} else {
		status = MHD_HTTP_METHOD_NOT_ALLOWED;
		response = text_response("GET or HEAD\n", "text/plain");
		if (response != NULL)
			MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	}
	if (response == NULL)
		return MHD_NO;
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

struct http *
http_start(int fd)
{
	struct http *http = calloc(1, sizeof(*http));

	if (http == NULL)
		goto fail;
	pthread_mutex_init(&http->lock, NULL);
	http->body = strdup("{\"healthy\": false}");
	if (http->body == NULL)
		goto fail;
	http->daemon = MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL,
		NULL, answer, http, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_SECONDS, MHD_OPTION_END);
	if (http->daemon != NULL)
		return http;
fail:
	close(fd);
	if (http != NULL)
		free(http->body);
	free(http);
	return NULL;
}

void
http_stop(struct http *http)
{
	if (http == NULL)
		return;
	MHD_stop_daemon(http->daemon);
	pthread_mutex_destroy(&http->lock);
	free(http->body);
	free(http);
}

void
http_post(struct http *http, bool healthy, char *body)
{
	char *last;

	pthread_mutex_lock(&http->lock);
	last = http->body;
	http->body = body;
	http->healthy = healthy;
	pthread_mutex_unlock(&http->lock);
	free(last);
}
