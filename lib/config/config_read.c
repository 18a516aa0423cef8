/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads configuration files: loads all of them, then walks their top level in three passes, since
 * files may refer to each other in any order. Definitions come first, then sessions, which name
 * filters and interfaces, then routes, which name sessions, filters and outputs. Filters and rules,
 * which are nearly all of a large account, are taken while their text comes in (struct
 * config_reader). Also the end of the life of a configuration.
 */
#include "config/config_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of text at once, where it is taken: a part of a level-2 cache. */
#define WINDOW ((size_t)256 << 10)

enum pass { PASS_DEFINITIONS, PASS_SESSIONS, PASS_ROUTES };

struct top_key {
	const char *name;
	bool aws;
	enum pass pass;
	config_element *element; /* of a list */
	bool taken;              /* elements refer to nothing else, and keep no origin */
	bool (*setting)(struct config_reader *r, const struct config_at *top);
};

static const struct top_key top_keys[] = {
	{"TrafficMirrorFilters", true, PASS_DEFINITIONS, .element = config_read_filter,
		.taken = true},
	{"TrafficMirrorFilterRules", true, PASS_DEFINITIONS, .element = config_read_rule,
		.taken = true},
	{"TrafficMirrorTargets", true, PASS_DEFINITIONS, .element = config_read_target},
	{"NetworkInterfaces", true, PASS_DEFINITIONS, .element = config_read_interface},
	{"Vpcs", true, PASS_DEFINITIONS, .element = config_read_vpc},
	{"TrafficMirrorSessions", true, PASS_SESSIONS, .element = config_read_session},
	{"NextToken", true}, /* where the list goes on; nothing to us */
	{"Outputs", false, PASS_DEFINITIONS, .element = config_read_output},
	{"Routes", false, PASS_ROUTES, .element = config_read_route},
	{"SourceCheck", false, PASS_DEFINITIONS, .setting = config_read_source_check},
	{"UnknownSession", false, PASS_DEFINITIONS, .setting = config_read_unknown_session},
	{"OuterFragments", false, PASS_DEFINITIONS, .setting = config_read_outer_fragments},
	{"Dedup", false, PASS_DEFINITIONS, .setting = config_read_dedup},
};
#define TOP_KEYS (sizeof(top_keys) / sizeof(top_keys[0]))

/* Reads to the end, so that pipes serve too. Returns the errno, 0 if all is well. */
static int
read_text(int fd, struct config_text *text)
{
	size_t room = 1 << 16;
	struct stat stat;
	char *grown;
	ssize_t n;

	/* a file comes in one piece, and one byte more is asked for to see its end */
	if (fstat(fd, &stat) == 0 && stat.st_size > 0)
		room = (size_t)stat.st_size + 1;
	text->text = config_json_room(room + CONFIG_JSON_PAD);
	if (text->text == NULL)
		return ENOMEM;
	do {
		if (text->length == room) {
			room *= 2;
			grown = realloc(text->text, room + CONFIG_JSON_PAD);
			if (grown == NULL)
				return ENOMEM;
			text->text = grown;
		}
		n = read(fd, text->text + text->length, room - text->length);
		if (n < 0 && errno != EINTR)
			return errno;
		if (n > 0)
			text->length += (size_t)n;
	} while (n != 0);
	memset(text->text + text->length, 0, CONFIG_JSON_PAD);
	return text->length <= UINT32_MAX ? 0 : EFBIG;
}

/* The file that is read piece by piece, for config_json_stream(). */
struct stream {
	struct config_reader *r;
	const struct config_text *text;
	const struct top_key *key; /* of the list whose elements come */
	int fd;
};

/* An error ends the text, and so the first time of reading. */
static size_t
more_text(void *arg, char *to, size_t room)
{
	const struct stream *stream = arg;
	ssize_t n;

	do
		n = read(stream->fd, to, room);
	while (n < 0 && errno == EINTR);
	return n > 0 ? (size_t)n : 0;
}

static bool
wants_elements(void *arg, const struct config_json *list)
{
	struct stream *stream = arg;

	for (uint32_t i = 0; i < TOP_KEYS; i++) {
		stream->key = &top_keys[i];
		if (stream->key->taken &&
			config_json_key_is(list, stream->key->name, strlen(stream->key->name)))
			return true;
	}
	return false;
}

static bool
take_element(void *arg, uint32_t index, struct config_json *element)
{
	const struct stream *stream = arg;
	struct config_reader *r = stream->r;
	const struct config_at list = {.up = &stream->text->top, .key = stream->key->name};
	const struct config_at at = {.up = &list, .index = index, .value = element};
	bool ok;

	r->taking = true;
	ok = stream->key->element(r, &at, NULL);
	r->taking = false;
	return ok;
}

/* Reads a file as elements come. Returns the errno; EAGAIN: there is more to be said. */
static int
stream_text(struct config_reader *r, struct config_text *text, int fd, size_t size)
{
	struct stream stream = {.r = r, .text = text, .fd = fd};
	const struct config_json_source source = {.more = more_text,
		.wants = wants_elements,
		.take = take_element,
		.arg = &stream,
		.window = r->window};
	int rc;

	/* one byte more shows whether it has grown */
	text->text = config_json_room(size + 1 + CONFIG_JSON_PAD);
	if (text->text == NULL)
		return ENOMEM;
	text->streamed = true;
	rc = config_json_stream(&text->document, text->text, size + 1, &source);
	if (rc == -ENOMEM || (rc == -ECANCELED && r->status == -ENOMEM))
		return ENOMEM;
	return rc != 0 ? EAGAIN : 0;
}

/* Reads a file into its text; a stream of elements goes with its values. Returns the errno. */
static int
load_file(struct config_reader *r, const char *name, struct config_text *text)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	struct stat stat;
	int error;

	if (fd < 0)
		return errno;
	if (r->window != 0 && fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_size > 0 &&
		stat.st_size < UINT32_MAX)
		error = stream_text(r, text, fd, (size_t)stat.st_size);
	else
		error = read_text(fd, text);
	close(fd);
	return error;
}

static bool
load_text(struct config_reader *r, const char *name, struct config_text *text)
{
	int error = load_file(r, name, text);

	if (error == EAGAIN && text->streamed) {
		r->status = -EAGAIN;
		return false;
	}
	if (error == ENOMEM)
		return config_no_memory(r);
	if (error != 0)
		return config_fail_text(
			r, -error, "%s: %s; name a file that can be read", name, strerror(error));
	if (!text->streamed &&
		config_skip_space(text->text, text->length) == text->text + text->length)
		return config_fail_text(r, -EINVAL, "%s: empty; write at least {}", name);
	return true;
}

/* Lets jansson say what is wrong with text that is not JSON. */
static bool
fail_json(struct config_reader *r, const char *name, const struct config_text *text)
{
	json_error_t error = {.text = ""};
	json_t *value = json_loadb(
		text->text, text->length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

	if (value != NULL) {
		/* it does not see one that follows a number */
		json_decref(value);
		return config_fail_text(
			r, -EINVAL, "%s: there is a byte 0 in it; correct the JSON", name);
	}
	if (error.text[0] == '\0')
		return config_no_memory(r); /* jansson has no words for it */
	return config_fail_text(r, -EINVAL, "%s:%d:%d: %s; correct the JSON", name, error.line,
		error.column, error.text);
}

static bool
load_document(struct config_reader *r, const char *name, struct config_text *text)
{
	int rc;

	if (!load_text(r, name, text))
		return false;
	if (text->streamed)
		return true;
	rc = config_json_read(&text->document, text->text, text->length);
	if (rc != 0)
		return rc == -ENOMEM ? config_no_memory(r) : fail_json(r, name, text);
	return true;
}

static bool
load(struct config_reader *r, const char *name)
{
	uint32_t file = r->texts_n;
	struct config_text *text = &r->texts[file];
	char **copy = config_append(r, r->config->files, r->config->files_n);

	if (copy == NULL)
		return false;
	*copy = strdup(name);
	if (*copy == NULL)
		return config_no_memory(r);
	text->top.index = file;
	r->texts_n++;
	/* what is no file can't be read a second time, and has been kept */
	if (text->document.values == NULL && !load_document(r, name, text))
		return false;
	text->top.value = text->document.values;
	if (!config_json_is(text->top.value, CONFIG_JSON_OBJECT))
		return config_fail(r, &text->top, "not an object; write {...} around everything");
	return true;
}

static const struct top_key *
find_top_key(const char *name)
{
	for (uint32_t i = 0; i < TOP_KEYS; i++) {
		if (strcmp(top_keys[i].name, name) == 0)
			return &top_keys[i];
	}
	return NULL;
}

/*
 * A key that nobody knows is one that AWS has added if the file is a document of AWS, with nothing
 * of ours in it; anywhere else it is a misspelt one.
 */
static bool
check_top_keys(struct config_reader *r, const struct config_at *top)
{
	const char *names[TOP_KEYS + 1] = {NULL};
	const struct top_key *known;
	struct config_at child = {.up = top};
	struct config_at unknown = {.up = NULL};
	bool aws = false;
	bool own = false;

	for (uint32_t i = 0; i < TOP_KEYS; i++)
		names[i] = top_keys[i].name;
	config_json_each (value, top->value) {
		child.key = config_json_key(value);
		child.value = value;
		known = find_top_key(child.key);
		if (known == NULL) {
			if (unknown.up == NULL)
				unknown = child;
			continue;
		}
		aws = aws || known->aws;
		own = own || !known->aws;
		if (!known->aws && !config_not_null(r, &child))
			return false;
	}
	if (unknown.up == NULL || (aws && !own))
		return true;
	return config_fail_among(r, &unknown, "not a known key; known are", names);
}

static bool
read_top_key(struct config_reader *r, const struct config_at *top, const struct top_key *key)
{
	if (key->setting != NULL)
		return key->setting(r, top);
	if (key->element == NULL)
		return true;
	return config_each(r, top, key->name, key->element, NULL);
}

static bool
read_pass(struct config_reader *r, enum pass pass)
{
	const struct config_at *top;
	const struct top_key *known;

	for (uint32_t i = 0; i < r->texts_n; i++) {
		top = &r->texts[i].top;
		config_json_each (value, top->value) {
			known = find_top_key(config_json_key(value));
			if (known != NULL && known->pass == pass && !read_top_key(r, top, known))
				return false;
		}
	}
	return true;
}

static bool
read_files(struct config_reader *r, const char *const *files)
{
	r->config = calloc(1, sizeof(*r->config));
	if (r->config == NULL)
		return config_no_memory(r);
	for (uint32_t i = 0; i < r->files_n; i++) {
		if (!load(r, files[i]) || !check_top_keys(r, &r->texts[i].top))
			return false;
	}
	return read_pass(r, PASS_DEFINITIONS) && config_link_definitions(r) &&
	       read_pass(r, PASS_SESSIONS) && config_link_sessions(r) && read_pass(r, PASS_ROUTES);
}

static void
free_text(struct config_text *text)
{
	free(text->text);
	config_json_free(&text->document);
	*text = (struct config_text){.text = NULL};
}

/* What was made of texts; they stay, but those out of which something was taken. */
static void
end_objects(struct config_reader *r)
{
	struct config_nodes *nodes;
	struct config_strings *strings;

	while ((nodes = r->nodes) != NULL) {
		r->nodes = nodes->next;
		free(nodes);
	}
	while ((strings = r->strings) != NULL) {
		r->strings = strings->next;
		free(strings);
	}
	for (int kind = 0; kind < CONFIG_KINDS; kind++) {
		free(r->ids[kind].all);
		free(r->ids[kind].index.slots);
	}
	free(r->rules);
	for (uint32_t i = 0; i < r->files_n; i++) {
		if (r->texts[i].streamed)
			free_text(&r->texts[i]);
	}
}

static void
end_reader(struct config_reader *r)
{
	end_objects(r);
	for (uint32_t i = 0; i < r->files_n; i++)
		free_text(&r->texts[i]);
	free(r->texts);
}

/* For the second time of reading. */
static void
start_over(struct config_reader *r)
{
	end_objects(r);
	ms_config_free(r->config);
	*r = (struct config_reader){.error = r->error, .texts = r->texts, .files_n = r->files_n};
}

int
config_read_window(struct ms_config **config, const char *const *files, uint32_t n, size_t window,
	struct ms_config_error *error)
{
	struct config_reader r = {.error = error, .files_n = n, .window = window};
	bool ok;

	*config = NULL;
	r.texts = calloc((size_t)n + 1, sizeof(*r.texts)); /* one more: none is no failure */
	if (r.texts == NULL) {
		config_no_memory(&r);
		return r.status;
	}
	ok = read_files(&r, files);
	if (!ok && r.window != 0 && r.status == -EAGAIN) {
		start_over(&r);
		ok = read_files(&r, files);
	}
	if (ok) {
		*config = r.config;
		r.config = NULL;
	}
	end_reader(&r);
	ms_config_free(r.config);
	return r.status;
}

int
ms_config_read(struct ms_config **config, const char *const *files, uint32_t n,
	struct ms_config_error *error)
{
	return config_read_window(config, files, n, WINDOW, error);
}

static void
free_objects(struct ms_config *config)
{
	for (uint32_t i = 0; i < config->filters_n; i++)
		ms_filter_free(&config->filters[i]);
	for (uint32_t i = 0; i < config->interfaces_n; i++) {
		free(config->interfaces[i].id);
		free(config->interfaces[i].addresses);
		free(config->interfaces[i].addresses6);
		free(config->interfaces[i].vpc_id);
	}
	for (uint32_t i = 0; i < config->targets_n; i++) {
		free(config->targets[i].id);
		free(config->targets[i].type);
		free(config->targets[i].destination);
	}
	for (uint32_t i = 0; i < config->vpcs_n; i++) {
		free(config->vpcs[i].id);
		free(config->vpcs[i].blocks);
	}
	for (uint32_t i = 0; i < config->sessions_n; i++) {
		free(config->sessions[i].id);
		free(config->sessions[i].description);
		free(config->sessions[i].filter_id);
		free(config->sessions[i].target_id);
		free(config->sessions[i].interface_id);
	}
	for (uint32_t i = 0; i < config->outputs_n; i++)
		config_free_output(&config->outputs[i]);
	for (uint32_t i = 0; i < config->routes_n; i++) {
		free(config->routes[i].session_id);
		free(config->routes[i].filter_id);
	}
}

void
ms_config_free(struct ms_config *config)
{
	if (config == NULL)
		return;
	free_objects(config);
	free(config->filters);
	free(config->interfaces);
	free(config->targets);
	free(config->vpcs);
	free(config->sessions);
	free(config->outputs);
	free(config->routes);
	for (uint32_t i = 0; i < config->files_n; i++)
		free(config->files[i]);
	free(config->files);
	free(config);
}
