/* SPDX-License-Identifier: BSD-3-Clause */
/* IP addresses as people write them. */
#pragma once

#include "packet/ms_packet.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>

/* Of either family, which *family tells. False for any other text, and nothing is changed. */
bool address_parse(const char *text, struct ms_ip *ip, uint8_t *family);

struct address_text {
	char text[INET6_ADDRSTRLEN];
};
/* family: MS_FAMILY_V4 or MS_FAMILY_V6. */
struct address_text address_format(struct ms_ip ip, uint8_t family);
