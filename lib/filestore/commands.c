/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * OnRotate: a command for each finished file, started without a shell. Writers queue paths; the
 * store's thread starts commands, so many at once and no more, and asks now and then which have
 * ended.
 *
 * A command gets no descriptor but the standard ones: nothing to read, and standard error for both
 * outputs, since standard output may be a capture. Signals are as for a program that a shell
 * starts.
 */
#include "filestore/filestore_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUEUE_MAX   1024u
#define PLACEHOLDER "{path}"

struct command {
	STAILQ_ENTRY(command) next;
	pid_t pid;
	char path[];
};
STAILQ_HEAD(command_list, command);

struct filestore_commands {
	const char *output;
	char *const *argv;
	uint32_t jobs;
	const struct ms_filestore_reporter *reporter;
	pthread_mutex_t lock; /* of what follows */
	struct command_list waiting;
	uint32_t waiting_n;
	size_t pending;   /* that wait or run */
	uint64_t refused; /* since it was reported */
	/* the store's thread: rw */
	struct command_list running;
	uint32_t running_n;
};

struct filestore_commands *
filestore_commands_create(const char *output, char *const *argv, uint32_t jobs,
	const struct ms_filestore_reporter *reporter)
{
	struct filestore_commands *commands = calloc(1, sizeof(*commands));

	if (commands == NULL)
		return NULL;
	commands->output = output;
	commands->argv = argv;
	commands->jobs = jobs;
	commands->reporter = reporter;
	pthread_mutex_init(&commands->lock, NULL);
	STAILQ_INIT(&commands->waiting);
	STAILQ_INIT(&commands->running);
	return commands;
}

void
filestore_commands_push(struct filestore_commands *commands, const char *path)
{
	size_t length = strlen(path) + 1;
	struct command *command = malloc(sizeof(*command) + length);

	if (command != NULL)
		memcpy(command->path, path, length);
	pthread_mutex_lock(&commands->lock);
	if (command != NULL && commands->waiting_n < QUEUE_MAX) {
		STAILQ_INSERT_TAIL(&commands->waiting, command, next);
		commands->waiting_n++;
		commands->pending++;
		command = NULL;
	} else {
		commands->refused++;
	}
	pthread_mutex_unlock(&commands->lock);
	free(command);
}

/* One argument with the path in it, to be freed. */
static char *
argument(const char *text, const char *path)
{
	const char *at = strstr(text, PLACEHOLDER);
	size_t before, room;
	char *out;

	if (at == NULL)
		return strdup(text);
	before = at - text;
	room = strlen(text) + strlen(path) + 1;
	out = malloc(room);
	if (out != NULL)
		snprintf(out, room, "%.*s%s%s", (int)before, text, path, at + strlen(PLACEHOLDER));
	return out;
}

static void
free_arguments(char **argv)
{
	for (char **one = argv; one != NULL && *one != NULL; one++)
		free(*one);
	free(argv);
}

/* The command's arguments: the path where it is asked for, or behind all. NULL: no memory. */
static char **
arguments(char *const *argv, const char *path)
{
	bool placed = false;
	size_t n = 0;
	char **out;

	while (argv[n] != NULL)
		n++;
	out = calloc(n + 2, sizeof(char *));
	if (out == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		placed |= strstr(argv[i], PLACEHOLDER) != NULL;
		out[i] = argument(argv[i], path);
		if (out[i] == NULL)
			goto fail;
	}
	if (!placed && (out[n] = strdup(path)) == NULL)
		goto fail;
	return out;
fail:
	free_arguments(out);
	return NULL;
}

/* Starts a program. Returns 0 or an errno. */
static int
spawn(pid_t *pid, char **argv)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int error;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	error = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (error == 0)
		error = posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
	if (error == 0)
		error = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	if (error == 0)
		error = posix_spawnp(pid, argv[0], &files, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return error;
}

/* One is over, or never began. */
static void
end(struct filestore_commands *commands, struct command *command)
{
	pthread_mutex_lock(&commands->lock);
	commands->pending--;
	pthread_mutex_unlock(&commands->lock);
	free(command);
}

/* Starts the command of one file, and takes that over. */
static void
start(struct filestore_commands *commands, struct command *command)
{
	char **argv = arguments(commands->argv, command->path);
	int error = argv != NULL ? spawn(&command->pid, argv) : ENOMEM;

	free_arguments(argv);
	if (error == 0) {
		STAILQ_INSERT_TAIL(&commands->running, command, next);
		commands->running_n++;
		return;
	}
	filestore_report(commands->reporter, "output %s: OnRotate: '%s' for '%s' can't be run: %s",
		commands->output, commands->argv[0], command->path, strerror(error));
	end(commands, command);
}

static void
report_end(const struct filestore_commands *commands, const struct command *command, int status)
{
	const char *how = WIFSIGNALED(status) ? "was ended by signal" : "exit status";

	filestore_report(commands->reporter, "output %s: OnRotate: '%s' for '%s': %s %d",
		commands->output, commands->argv[0], command->path, how,
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void
reap(struct filestore_commands *commands)
{
	struct command *command, *more;
	int status;

	STAILQ_FOREACH_SAFE (command, &commands->running, next, more) {
		if (waitpid(command->pid, &status, WNOHANG) <= 0)
			continue;
		report_end(commands, command, status);
		STAILQ_REMOVE(&commands->running, command, command, next);
		commands->running_n--;
		end(commands, command);
	}
}

/* The one that waits longest, or NULL. */
static struct command *
take(struct filestore_commands *commands)
{
	struct command *command;

	pthread_mutex_lock(&commands->lock);
	command = STAILQ_FIRST(&commands->waiting);
	if (command != NULL) {
		STAILQ_REMOVE_HEAD(&commands->waiting, next);
		commands->waiting_n--;
	}
	pthread_mutex_unlock(&commands->lock);
	return command;
}

size_t
filestore_commands_work(struct filestore_commands *commands)
{
	struct command *command = NULL;
	uint64_t refused;
	size_t left;

	reap(commands);
	while (commands->running_n < commands->jobs && (command = take(commands)) != NULL)
		start(commands, command);
	pthread_mutex_lock(&commands->lock);
	left = commands->pending;
	refused = commands->refused;
	commands->refused = 0;
	pthread_mutex_unlock(&commands->lock);
	if (refused != 0)
		filestore_report(commands->reporter,
			"output %s: OnRotate: %" PRIu64 " files get no '%s', since %u wait for "
			"theirs",
			commands->output, refused, commands->argv[0], QUEUE_MAX);
	return left;
}

size_t
filestore_commands_pending(struct filestore_commands *commands)
{
	size_t pending;

	pthread_mutex_lock(&commands->lock);
	pending = commands->pending;
	pthread_mutex_unlock(&commands->lock);
	return pending;
}

void
filestore_commands_free(struct filestore_commands *commands)
{
	struct command *command;

	if (commands == NULL)
		return;
	while ((command = STAILQ_FIRST(&commands->running)) != NULL) {
		filestore_report(commands->reporter,
			"output %s: OnRotate: '%s' for '%s' still runs, process %d",
			commands->output, commands->argv[0], command->path, (int)command->pid);
		STAILQ_REMOVE_HEAD(&commands->running, next);
		free(command);
	}
	while ((command = take(commands)) != NULL) {
		filestore_report(commands->reporter,
			"output %s: OnRotate: '%s' for '%s' was not run any more", commands->output,
			commands->argv[0], command->path);
		free(command);
	}
	pthread_mutex_destroy(&commands->lock);
	free(commands);
}
