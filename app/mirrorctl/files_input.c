/* SPDX-License-Identifier: BSD-3-Clause */
#include "files_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cli.h"

#define OPEN_MAX_FILES     256
#define BUFFER_MIN         (4u << 10)
#define BUFFER_MAX         (256u << 10)
#define LINK_TYPE_ETHERNET 1
#define PART               ".part"

enum files_wanted { NOT_KNOWN, WANTED, NOT_WANTED };

bool
files_input_is_part(const char *name)
{
	size_t n = strlen(name);

	return n > strlen(PART) && strcmp(name + n - strlen(PART), PART) == 0;
}

void
files_inputs_init(struct files_inputs *all, uint64_t memory, size_t files)
{
	uint64_t share = memory / (files > 0 ? files : 1);

	*all = (struct files_inputs){.buffer_bytes = share > BUFFER_MAX   ? BUFFER_MAX
	                                             : share < BUFFER_MIN ? BUFFER_MIN
	                                                                  : (size_t)share};
	TAILQ_INIT(&all->open);
}

static void
close_descriptor(struct files_input *input)
{
	close(input->fd);
	input->fd = -1;
	TAILQ_REMOVE(&input->all->open, input, link);
	input->all->open_n--;
}

/* Opens the file, or opens it again. Returns 0 or -errno. */
static int
open_descriptor(struct files_input *input)
{
	struct files_inputs *all = input->all;
	struct stat st;

	if (all->open_n >= OPEN_MAX_FILES)
		close_descriptor(TAILQ_FIRST(&all->open));
	while ((input->fd = open(input->entry->path, O_RDONLY | O_CLOEXEC)) < 0) {
		if (errno != EMFILE || all->open_n == 0)
			return -errno;
		close_descriptor(TAILQ_FIRST(&all->open));
	}
	all->open_n++;
	TAILQ_INSERT_TAIL(&all->open, input, link);
	if (fstat(input->fd, &st) != 0)
		return -errno;
	/* a file that another one has replaced meanwhile can't go on */
	return st.st_dev == input->entry->device && st.st_ino == input->entry->inode ? 0 : -ESTALE;
}

/* The next bytes of the file. */
static ssize_t
read_file(void *arg, void *bytes, size_t n)
{
	struct files_input *input = arg;
	ssize_t got;
	int error;

	if (input->fd < 0) {
		error = open_descriptor(input);
		if (error != 0)
			return error;
	} else if (TAILQ_NEXT(input, link) != NULL) {
		TAILQ_REMOVE(&input->all->open, input, link);
		TAILQ_INSERT_TAIL(&input->all->open, input, link);
	}
	do
		got = pread(input->fd, bytes, n, input->offset);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	input->offset += got;
	return got;
}

/* And those that were packed into them. */
static ssize_t
read_source(void *arg, void *bytes, size_t n)
{
	struct files_input *input = arg;

	return files_unpack_read(input->unpack, bytes, n);
}

struct ms_capread *
files_input_open(struct files_inputs *all, struct files_input *input, struct files_entry *entry)
{
	const struct ms_capread_source source = {.read = read_source, .arg = input};

	*input = (struct files_input){.entry = entry, .all = all, .fd = -1};
	input->unpack = files_unpack_create(read_file, input);
	if (input->unpack != NULL)
		input->reader = ms_capread_create(&source, all->buffer_bytes);
	if (input->reader == NULL) {
		files_unpack_free(input->unpack);
		all->failed = true;
		cli_wrong("%s: no memory to read it", entry->path);
	}
	return input->reader;
}

void
files_input_close(struct files_input *input, enum ms_capread_result result)
{
	struct files_entry *entry = input->entry;
	bool live = result == MS_CAPREAD_TORN && files_input_is_part(entry->path);

	if (result != MS_CAPREAD_END && !live)
		input->all->failed = true;
	if (result != MS_CAPREAD_END && !entry->told) {
		entry->told = true;
		if (live)
			cli_wrong("%s is still being written, or was left behind: it is read up to "
				  "what is whole",
				entry->path);
		else
			cli_wrong("%s: %s; what stands before is taken", entry->path,
				files_unpack_problem(input->unpack) != NULL
					? files_unpack_problem(input->unpack)
					: ms_capread_problem(input->reader));
	}
	ms_capread_free(input->reader);
	files_unpack_free(input->unpack);
	free(input->wanted);
	if (input->fd >= 0)
		close_descriptor(input);
	input->reader = NULL;
	input->unpack = NULL;
	input->wanted = NULL;
}

/* An interface's name, to be freed; one for which there is no memory has none. */
static char *
name_of(const struct ms_capread *reader, uint32_t interface)
{
	return ms_capread_text(ms_capread_interface(reader, interface), MS_CAPREAD_IF_NAME);
}

static bool
wants_interface(struct files_input *input, const struct files_select *select, uint32_t interface)
{
	uint16_t link_type = ms_capread_interface(input->reader, interface)->link_type;
	char *name = name_of(input->reader, interface);
	const struct files_session *session;
	bool wanted;

	if (name == NULL) {
		input->all->failed = true;
		return cli_wrong("%s: no memory", input->entry->path);
	}
	session = files_entry_find(input->entry, name);
	wanted = files_select_wants_session(
		select, name, session != NULL ? session->vni : files_select_vni_of(name));
	if (wanted && select->has_bpf && link_type != LINK_TYPE_ETHERNET) {
		input->all->failed = true;
		wanted = cli_wrong("%s: interface '%s' has link type %u, and --bpf knows Ethernet "
				   "alone: its packets are left out",
			input->entry->path, name, link_type);
	}
	free(name);
	return wanted;
}

/* Makes room for the interfaces that came since. */
static bool
grow_wanted(struct files_input *input)
{
	uint32_t n = ms_capread_interfaces(input->reader);
	uint8_t *more = realloc(input->wanted, n);

	if (more == NULL) {
		input->all->failed = true;
		return cli_wrong("%s: no memory", input->entry->path);
	}
	memset(more + input->wanted_n, NOT_KNOWN, n - input->wanted_n);
	input->wanted = more;
	input->wanted_n = n;
	return true;
}

bool
files_input_takes(struct files_input *input, const struct files_select *select,
	const struct ms_capread_packet *packet)
{
	uint32_t i = packet->interface;

	if (i >= input->wanted_n && !grow_wanted(input))
		return false;
	if (input->wanted[i] == NOT_KNOWN)
		input->wanted[i] = wants_interface(input, select, i) ? WANTED : NOT_WANTED;
	return input->wanted[i] == WANTED && files_select_wants_packet(select, packet);
}

/* Those of a pcap have no name, and count as none. */
static bool
add_sessions(struct files_entry *entry, const struct ms_capread *reader)
{
	for (uint32_t i = 0; i < ms_capread_interfaces(reader); i++) {
		char *name = name_of(reader, i);
		bool right = name != NULL;

		if (right && name[0] != '\0')
			right = files_entry_add(entry, name, files_select_vni_of(name),
				ms_capread_interface(reader, i)->packets);
		free(name);
		if (!right)
			return cli_wrong("%s: no memory", entry->path);
	}
	files_entry_sort(entry);
	return true;
}

bool
files_input_scan(struct files_entry *entry)
{
	struct ms_capread_packet packet;
	enum ms_capread_result result;
	struct files_inputs all;
	struct files_input input;
	bool right;

	files_inputs_init(&all, BUFFER_MAX, 1);
	if (files_input_open(&all, &input, entry) == NULL)
		return false;
	while ((result = ms_capread_next(input.reader, &packet)) == MS_CAPREAD_PACKET) {
		if (entry->packets == 0 || packet.ns < entry->first)
			entry->first = packet.ns;
		if (entry->packets == 0 || packet.ns > entry->last)
			entry->last = packet.ns;
		entry->packets++;
	}
	right = add_sessions(entry, input.reader);
	files_input_close(&input, result);
	entry->known = true;
	return right && !all.failed;
}
