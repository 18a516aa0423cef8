/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which addresses Amazon's DNS has in a VPC, for those who compile filters with network services
 * and for those who leave DNS out. The addresses that every VPC has are lib/filter's.
 */
#include "config/ms_config.h"

#include <errno.h>
#include <stdlib.h>

int
ms_config_resolvers(const struct ms_config *config, const struct ms_config_interface *interface,
	struct ms_prefix **list)
{
	const struct ms_config_vpc *vpc =
		interface->vpc >= 0 ? &config->vpcs[interface->vpc] : NULL;

	*list = NULL;
	if (vpc == NULL || vpc->blocks_n == 0)
		return 0;
	*list = calloc(vpc->blocks_n, sizeof(**list));
	if (*list == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < vpc->blocks_n; i++) {
		(*list)[i] = vpc->blocks[i];
		(*list)[i].ip.lo += 2;
		(*list)[i].length = 32;
	}
	return (int)vpc->blocks_n;
}
