/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes a device say what drivers say when they are unplugged or have to be reset, in a program
 * that has this library preloaded: for each line "PORT rmv" or "PORT reset" that is written to the
 * pipe $PORT_EVENTS it calls what a driver calls.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>

/* Of <ethdev_driver.h>, which is not installed for everybody. */
typedef void *(*find_fn)(const char *);
typedef int (*process_fn)(void *, enum rte_eth_event_type, void *);

static void *
listen_to(void *path)
{
	char name[64], what[16];
	FILE *pipe = fopen(path, "r+"); /* so that it does not end with its first writer */

	while (pipe != NULL && fscanf(pipe, "%63s %15s", name, what) == 2) {
		find_fn find = (find_fn)dlsym(RTLD_DEFAULT, "rte_eth_dev_allocated");
		process_fn process =
			(process_fn)dlsym(RTLD_DEFAULT, "rte_eth_dev_callback_process");
		void *device = find != NULL ? find(name) : NULL;

		if (process == NULL || device == NULL)
			fprintf(stderr, "port_events: no port %s\n", name);
		else
			process(device,
				strcmp(what, "rmv") == 0 ? RTE_ETH_EVENT_INTR_RMV
							 : RTE_ETH_EVENT_INTR_RESET,
				NULL);
	}
	return NULL;
}

static void __attribute__((constructor)) begin(void)
{
	const char *path = getenv("PORT_EVENTS");
	pthread_t thread;

	if (path != NULL && pthread_create(&thread, NULL, listen_to, (void *)(uintptr_t)path) == 0)
		pthread_detach(thread);
}
