/* SPDX-License-Identifier: BSD-3-Clause */
#include "behind.h"

#include <inttypes.h>

bool
behind_read(const struct sink_port *port, struct kernel_interface *interface)
{
	if (!kernel_interface_read(port->interface.index, interface))
		return false;
	for (unsigned int c = 0; c < KERNEL_COUNTERS; c++)
		interface->counters[c] -= port->interface.counters[c];
	return true;
}

static void
print_readers(const struct kernel_interface *interface, FILE *out)
{
	struct kernel_reader list[KERNEL_READERS_MAX];
	uint32_t n = kernel_readers(interface->index, list);

	for (uint32_t i = 0; i < n; i++) {
		fprintf(out, "  reader %-9u ", list[i].inode);
		if (list[i].ring)
			fprintf(out,
				"%14s   user %u's socket has a ring: ask its owner what it "
				"lost\n",
				"?", list[i].uid);
		else
			fprintf(out, "%14" PRIu64 "   did not fit the queue of user %u's socket\n",
				list[i].dropped, list[i].uid);
	}
}

void
behind_print(const struct sink *sink, FILE *out)
{
	for (uint16_t i = 0; i < sink->ports_n; i++) {
		const struct sink_port *port = &sink->ports[i];
		struct kernel_interface interface;

		if (port->role == SINK_MIRROR || !behind_read(port, &interface))
			continue;
		fprintf(out, "\nbehind %s: the kernel's interface %s, MTU %u\n", port->name,
			interface.name, interface.mtu);
		for (unsigned int c = 0; c < KERNEL_COUNTERS; c++) {
			if (interface.counters[c] != 0)
				fprintf(out, "  %-16s %14" PRIu64 "   %s\n", kernel_counter_name(c),
					interface.counters[c], kernel_counter_help(c));
		}
		print_readers(&interface, out);
	}
}

static json_t *
integer(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *
readers(unsigned int index)
{
	struct kernel_reader list[KERNEL_READERS_MAX];
	uint32_t n = kernel_readers(index, list);
	json_t *array = json_array();

	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(array,
			json_pack("{s:o, s:o, s:b, s:o, s:o, s:o}", "inode", integer(list[i].inode),
				"uid", integer(list[i].uid), "ring", list[i].ring, "dropped",
				list[i].ring ? json_null() : integer(list[i].dropped), "queued",
				integer(list[i].queued), "room", integer(list[i].room)));
	return array;
}

json_t *
behind_json(const struct sink_port *port)
{
	struct kernel_interface interface;
	json_t *object;

	if (!behind_read(port, &interface))
		return NULL;
	object =
		json_pack("{s:s, s:o}", "interface", interface.name, "mtu", integer(interface.mtu));
	for (unsigned int c = 0; c < KERNEL_COUNTERS; c++)
		json_object_set_new(object, kernel_counter_name(c), integer(interface.counters[c]));
	json_object_set_new(object, "readers", readers(interface.index));
	return object;
}
