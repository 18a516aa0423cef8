/* SPDX-License-Identifier: BSD-3-Clause */
/* A pcap: one header, and records of one interface. */
#include "capread_private.h"

#include <inttypes.h>

#define HEADER  24u
#define RECORD  16u
#define CAP_MIN 262144u /* what readers take of a packet, whatever the header's snaplen is */

bool
capread_pcap_header(struct ms_capread *reader)
{
	const uint8_t *header = capread_look(reader, HEADER);
	uint8_t option[8] = {0}; /* code, length, value, padding */
	uint16_t code = IF_TSRESOL, length = 1;

	if (header == NULL)
		return false;
	memcpy(option, &code, sizeof(code));
	memcpy(option + 2, &length, sizeof(length));
	option[4] = reader->resolution;
	/* the upper bits of the link type speak of a frame check sequence */
	if (!capread_add_interface(reader, (uint16_t)capread_32(reader, header + 20),
		    capread_32(reader, header + 16), option, sizeof(option)))
		return false;
	capread_skip(reader, HEADER);
	return true;
}

bool
capread_pcap_record(struct ms_capread *reader, struct ms_capread_packet *packet)
{
	static const uint8_t zeros[RECORD];
	const struct ms_capread_interface *interface = reader->interfaces;
	const uint8_t *record = capread_look(reader, RECORD);
	uint32_t captured;

	if (record == NULL)
		return false;
	if (memcmp(record, zeros, sizeof(zeros)) == 0)
		return capread_stop(reader, MS_CAPREAD_TORN, "zeros where a packet should begin");
	captured = capread_32(reader, record + 8);
	if (captured > CAP_MIN &&
		(captured > interface->snaplen || captured > MS_CAPREAD_BLOCK_MAX))
		return capread_stop(
			reader, MS_CAPREAD_DAMAGED, "a packet of %" PRIu32 " bytes", captured);
	record = capread_look(reader, RECORD + (size_t)captured);
	if (record == NULL)
		return false;
	*packet = (struct ms_capread_packet){
		.time = capread_32(reader, record) * interface->units +
	                capread_32(reader, record + 4),
		.captured = captured,
		.original = capread_32(reader, record + 12),
		.data = record + RECORD,
		.options = record + RECORD + captured,
	};
	capread_settle(reader, packet);
	capread_skip(reader, RECORD + (size_t)captured);
	return true;
}
