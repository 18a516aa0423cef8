/* SPDX-License-Identifier: BSD-3-Clause */
/* The sink's health: asked, made readable, told. */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "options.h"

struct health {
	bool healthy;
	/*
	 * {"healthy": bool, "lcores": {lcore: {role, milliseconds, ok}}, "outputs": [{name,
	 * waiting_milliseconds, ended, ok}], "problems": [text]}; the first and the last are there
	 * also if the sink cannot be reached. The owner of the struct releases it.
	 */
	json_t *state;
};

/* Never fails: a sink that does not answer is not healthy. */
struct health health_ask(const char *prefix);

/* The command. */
int health_run(const struct ctl_options *options);
