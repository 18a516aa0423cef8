/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/address.h"

#include <rte_byteorder.h>

bool
address_parse(const char *text, struct ms_ip *ip, uint8_t *family)
{
	rte_be64_t six[2];
	rte_be32_t four;

	if (inet_pton(AF_INET, text, &four) == 1) {
		*ip = (struct ms_ip){.lo = rte_be_to_cpu_32(four)};
		*family = MS_FAMILY_V4;
		return true;
	}
	if (inet_pton(AF_INET6, text, six) == 1) {
		*ip = (struct ms_ip){rte_be_to_cpu_64(six[0]), rte_be_to_cpu_64(six[1])};
		*family = MS_FAMILY_V6;
		return true;
	}
	return false;
}

struct address_text
address_format(struct ms_ip ip, uint8_t family)
{
	rte_be64_t six[2] = {rte_cpu_to_be_64(ip.hi), rte_cpu_to_be_64(ip.lo)};
	rte_be32_t four = rte_cpu_to_be_32((uint32_t)ip.lo);
	struct address_text out;

	if (family == MS_FAMILY_V4)
		inet_ntop(AF_INET, &four, out.text, sizeof(out.text));
	else
		inet_ntop(AF_INET6, six, out.text, sizeof(out.text));
	return out;
}
