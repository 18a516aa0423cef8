/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/eal.h"

#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#include "common/cli.h"

/* Arguments that are put before the user's. */
#define EXTRA_ARGUMENTS 3

/* The first argument that begins so, or NULL. */
static char **
find(char **argv, int n, const char *wanted)
{
	for (int i = 1; i < n; i++) {
		if (strncmp(argv[i], wanted, strlen(wanted)) == 0)
			return &argv[i];
	}
	return NULL;
}

/* The EAL's arguments with ours before them; returns how many. */
static int
complete(char **out, int n, char **argv)
{
	static char no_shconf[] = "--no-shconf", size[] = "512", memory[] = "-m";
	/* this log type does not exist yet when the global level is set */
	static char quiet[] = "--log-level=lib.telemetry:4";
	bool no_huge = find(argv, n, "--no-huge") != NULL;
	char **in_memory;
	int used = 0;

	out[used++] = argv[0];
	out[used++] = quiet;
	/* without hugepages the EAL would take 64 MiB, too little for rings and packet buffers */
	if (no_huge && find(argv, n, "-m") == NULL && find(argv, n, "--socket-mem") == NULL) {
		out[used++] = memory;
		out[used++] = size;
	}
	memcpy(&out[used], &argv[1], (size_t)(n - 1) * sizeof(*out));
	used += n - 1;
	/*
	 * Together the two are refused by DPDK 22.11, since without hugepages it uses the legacy
	 * memory model. There --in-memory means no more than this.
	 */
	in_memory = find(out, used, "--in-memory");
	if (no_huge && in_memory != NULL)
		*in_memory = no_shconf;
	return used;
}

bool
eal_start(int n, char **argv)
{
	char **all = calloc((size_t)n + EXTRA_ARGUMENTS, sizeof(*all));
	int rc;

	if (all == NULL)
		return cli_wrong("out of memory");
	rte_log_set_global_level(RTE_LOG_WARNING);
	rc = rte_eal_init(complete(all, n, argv), all);
	free(all);
	return rc >= 0 || cli_wrong("the EAL does not start: %s; its arguments stand before the --",
				  rte_strerror(rte_errno));
}
