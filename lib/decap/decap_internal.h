/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the burst, which knows the common shape of a mirrored packet, and the general walk. */
#pragma once

#include "decap/ms_decap.h"

/* Takes apart any packet: fills p as ms_decap_burst() does and returns its fate. */
enum ms_fate
decap_walk(const struct ms_decap *decap, const struct rte_mbuf *m, struct ms_packet *p);
