/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports that go while the sink runs, and come back: their device is unplugged or asks for a reset,
 * the interface that they stood on is deleted, or somebody detaches them. The lcores go on without.
 */
#pragma once

#include "sink.h"

/* Listens to the devices. Control. Says what is wrong and returns false. */
bool plug_begin(struct sink *sink);

/* Does what there is to do. Control, several times a second, after the lcores were started. */
void plug_work(struct sink *sink);

/* Listens no more, and tells those who wait in plug_ask() so. Control. */
void plug_end(struct sink *sink);

/*
 * Asks control to attach or detach the port of this name, and waits for some seconds until that is
 * done. Returns 0, or -errno: -ENODEV if there is no such port, -EBUSY while somebody else asks,
 * -ETIMEDOUT. text, of at least SINK_PLUG_TEXT, says what became of it, for a person. Any other
 * thread, which holds sink.lock.
 */
int plug_ask(struct sink *sink, enum sink_plug_action action, const char *name, char *text);
