/* SPDX-License-Identifier: BSD-3-Clause */
#include "files_pcapng.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#define SECTION          0x0a0d0d0au
#define INTERFACE        1u
#define STATISTICS       5u
#define ENHANCED_PACKET  6u
#define BYTE_ORDER_MAGIC 0x1a2b3c4du

#define SHB_USERAPPL  4
#define ISB_STARTTIME 2
#define ISB_ENDTIME   3
#define ISB_IFRECV    4

#define TRAILER 4u /* the length, once more */
/* All that a block has beside packets and options of others: the longest is that of statistics. */
#define HEAD_MAX 256u

struct out_interface {
	uint32_t number;
	uint32_t snaplen;
	uint16_t link_type;
	bool incomplete; /* a part of its statistics is not known */
	struct ms_capread_statistics sum;
	uint32_t options_bytes;
	uint8_t options[];
};

struct files_pcapng {
	FILE *file;
	void *tree; /* of interfaces, by what they say */
	struct out_interface **interfaces;
	uint32_t interfaces_n;
};

static uint8_t *
put(uint8_t *at, const void *bytes, size_t n)
{
	memcpy(at, bytes, n);
	return at + n;
}

static uint8_t *
put16(uint8_t *at, uint16_t value)
{
	return put(at, &value, sizeof(value));
}

static uint8_t *
put32(uint8_t *at, uint32_t value)
{
	return put(at, &value, sizeof(value));
}

/* Times have their more significant half first. */
static uint8_t *
put_time(uint8_t *at, uint64_t time)
{
	return put32(put32(at, (uint32_t)(time >> 32)), (uint32_t)time);
}

static uint8_t *
put_option(uint8_t *at, uint16_t code, const void *value, uint16_t n)
{
	static const uint8_t zeros[4];

	at = put(put16(put16(at, code), n), value, n);
	return put(at, zeros, -n & 3u);
}

static uint32_t
padding(uint32_t bytes)
{
	return -bytes & 3u;
}

/*
 * Writes a block: its head from the type on, which is short by the length, then data with padding,
 * then options, if there are any, and their end.
 */
static void
write_block(FILE *file, uint8_t *head, const uint8_t *head_end, const uint8_t *data,
	uint32_t data_bytes, const uint8_t *options, uint32_t options_bytes)
{
	static const uint8_t zeros[4];
	uint32_t end_of_options = options_bytes > 0 ? sizeof(zeros) : 0;
	uint32_t length = (uint32_t)(head_end - head) + data_bytes + padding(data_bytes) +
	                  options_bytes + end_of_options + TRAILER;

	put32(head + 4, length);
	fwrite(head, 1, (size_t)(head_end - head), file);
	if (data_bytes > 0)
		fwrite(data, 1, data_bytes, file);
	fwrite(zeros, 1, padding(data_bytes), file);
	if (options_bytes > 0)
		fwrite(options, 1, options_bytes, file);
	fwrite(zeros, 1, end_of_options, file);
	fwrite(&length, 1, sizeof(length), file);
}

struct files_pcapng *
files_pcapng_create(FILE *file)
{
	static const char application[] = "mirrorctl " MS_VERSION;
	struct files_pcapng *out = calloc(1, sizeof(*out));
	int64_t unknown = -1; /* the section's length: it ends where the file does */
	uint8_t head[HEAD_MAX], *at;

	if (out == NULL)
		return NULL;
	out->file = file;
	at = put32(put32(put32(head, SECTION), 0), BYTE_ORDER_MAGIC);
	at = put(put16(put16(at, 1), 0), &unknown, sizeof(unknown));
	at = put_option(at, SHB_USERAPPL, application, sizeof(application) - 1);
	at = put16(put16(at, 0), 0);
	write_block(file, head, at, NULL, 0, NULL, 0);
	return out;
}

static void
keep_node(void *node)
{
	/* nodes are the interfaces, which are freed by number */
}

void
files_pcapng_free(struct files_pcapng *out)
{
	if (out == NULL)
		return;
	tdestroy(out->tree, keep_node);
	for (uint32_t i = 0; i < out->interfaces_n; i++)
		free(out->interfaces[i]);
	free(out->interfaces);
	free(out);
}

static int
by_content(const void *a, const void *b)
{
	const struct out_interface *x = a, *y = b;

	if (x->link_type != y->link_type)
		return x->link_type < y->link_type ? -1 : 1;
	if (x->snaplen != y->snaplen)
		return x->snaplen < y->snaplen ? -1 : 1;
	if (x->options_bytes != y->options_bytes)
		return x->options_bytes < y->options_bytes ? -1 : 1;
	return memcmp(x->options, y->options, x->options_bytes);
}

static struct out_interface *
copy_interface(const struct ms_capread_interface *interface)
{
	struct out_interface *new = calloc(1, sizeof(*new) + interface->options_bytes);

	if (new == NULL)
		return NULL;
	new->link_type = interface->link_type;
	new->snaplen = interface->snaplen;
	new->options_bytes = interface->options_bytes;
	memcpy(new->options, interface->options, interface->options_bytes);
	return new;
}

/* Takes `new`, which is in the tree, into the list, and writes it. */
static bool
append(struct files_pcapng *out, struct out_interface *new)
{
	uint32_t n = out->interfaces_n;
	struct out_interface **more = out->interfaces;
	uint8_t head[HEAD_MAX], *at;

	if ((n & (n - 1)) == 0) /* it doubles */
		more = reallocarray(
			more, n == 0 ? 1 : 2 * (size_t)n, sizeof(struct out_interface *));
	if (more == NULL)
		return false;
	out->interfaces = more;
	out->interfaces[n] = new;
	new->number = out->interfaces_n++;
	at = put32(put32(head, INTERFACE), 0);
	at = put32(put16(put16(at, new->link_type), 0), new->snaplen);
	write_block(out->file, head, at, NULL, 0, new->options, new->options_bytes);
	return true;
}

uint32_t
files_pcapng_interface(struct files_pcapng *out, const struct ms_capread_interface *interface)
{
	struct out_interface *new = copy_interface(interface), **found;

	if (new == NULL)
		return FILES_PCAPNG_NONE;
	found = tsearch(new, &out->tree, by_content);
	if (found != NULL && *found != new) {
		free(new);
		return (*found)->number;
	}
	if (found == NULL || !append(out, new)) {
		tdelete(new, &out->tree, by_content);
		free(new);
		return FILES_PCAPNG_NONE;
	}
	return new->number;
}

void
files_pcapng_packet(struct files_pcapng *out, const struct ms_capread_packet *packet)
{
	uint8_t head[HEAD_MAX], *at;

	at = put32(put32(put32(head, ENHANCED_PACKET), 0), packet->interface);
	at = put32(put32(put_time(at, packet->time), packet->captured), packet->original);
	write_block(out->file, head, at, packet->data, packet->captured, packet->options,
		packet->options_bytes);
}

void
files_pcapng_add(
	struct files_pcapng *out, uint32_t interface, const struct ms_capread_statistics *s)
{
	struct out_interface *to = out->interfaces[interface];
	struct ms_capread_statistics *sum = &to->sum;

	if (s == NULL) {
		to->incomplete = true;
		return;
	}
	if (!sum->known) {
		*sum = *s;
		return;
	}
	if (s->written > sum->written)
		sum->written = s->written;
	if (s->start < sum->start)
		sum->start = s->start;
	if (s->end > sum->end)
		sum->end = s->end;
	/* what one file does not tell the sum does not either */
	sum->has_time = sum->has_time && s->has_time;
	sum->has &= s->has;
	for (unsigned int i = 0; i < MS_CAPREAD_COUNTS; i++)
		sum->counts[i] += s->counts[i];
}

static void
write_statistics(const struct files_pcapng *out, const struct out_interface *of)
{
	const struct ms_capread_statistics *s = &of->sum;
	uint8_t head[HEAD_MAX], time[8], *at;

	at = put32(put32(put32(head, STATISTICS), 0), of->number);
	at = put_time(at, s->written);
	if (s->has_time) {
		put_time(time, s->start);
		at = put_option(at, ISB_STARTTIME, time, sizeof(time));
		put_time(time, s->end);
		at = put_option(at, ISB_ENDTIME, time, sizeof(time));
	}
	for (unsigned int i = 0; i < MS_CAPREAD_COUNTS; i++) {
		if ((s->has & 1u << i) != 0)
			at = put_option(at, (uint16_t)(ISB_IFRECV + i), &s->counts[i],
				sizeof(s->counts[i]));
	}
	at = put16(put16(at, 0), 0);
	write_block(out->file, head, at, NULL, 0, NULL, 0);
}

uint32_t
files_pcapng_statistics(struct files_pcapng *out)
{
	uint32_t left_out = 0;

	for (uint32_t i = 0; i < out->interfaces_n; i++) {
		if (out->interfaces[i]->incomplete)
			left_out++;
		else if (out->interfaces[i]->sum.known)
			write_statistics(out, out->interfaces[i]);
	}
	return left_out;
}
