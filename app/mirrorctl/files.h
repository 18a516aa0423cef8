/* SPDX-License-Identifier: BSD-3-Clause */
/* mirrorctl files: what has been captured. Needs no sink that runs. */
#pragma once

/* argv[0] is "files". Returns the exit status. */
int files_main(int argc, char **argv);
