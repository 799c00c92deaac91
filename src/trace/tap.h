/* SPDX-License-Identifier: MIT */
/* A packet of the wire's tap as the tracker wants it: how it fared, seen from both ends. */
#ifndef TRACE_TAP_H
#define TRACE_TAP_H

#include "observe/track/course.h"
#include "wire/wire.h"

/* A rule that the user gave by name or by share needs no words; what else held a packet back is said in `why`. */
struct packet_course tap_course(const struct wire_packet *packet);

#endif
