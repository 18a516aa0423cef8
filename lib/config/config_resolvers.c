/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which addresses Amazon's DNS has in a VPC, for those who compile filters with network services
 * and for those who leave DNS out. The addresses that every VPC has are lib/filter's.
 */
#include "config/ms_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct ms_config_vpc *
find_vpc(const struct ms_config *config, const char *id)
{
	for (uint32_t i = 0; id != NULL && i < config->vpcs_n; i++) {
		if (strcmp(config->vpcs[i].id, id) == 0)
			return &config->vpcs[i];
	}
	return NULL;
}

int
ms_config_resolvers(const struct ms_config *config, const struct ms_config_interface *interface,
	struct ms_prefix **list)
{
	const struct ms_config_vpc *vpc = find_vpc(config, interface->vpc);

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
