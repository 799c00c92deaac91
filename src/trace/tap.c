/* SPDX-License-Identifier: MIT */
#include "trace/tap.h"

#include "term/translate.h"

static const char *why(const struct wire_packet *packet)
{
    switch ((enum wire_reason)packet->reason) {
    case WIRE_QUEUE_FULL:
        return _("the queue of the wire was full");
    case WIRE_TOO_LARGE:
        return _("larger than the wire takes");
    case WIRE_STOPPED:
        return _("the wire stood still");
    case WIRE_NO_ROOM:
        return _("the wire itself had no room: this was no rule");
    default:
        return packet->corrupted ? _("a bit was changed on the way: the checksum is wrong") : NULL;
    }
}

struct packet_course tap_course(const struct wire_packet *packet)
{
    return (struct packet_course){
        .fate = packet->arrived_ns == 0 ? FATE_LOST
                : packet->corrupted     ? FATE_THROWN
                                        : FATE_ARRIVED,
        .copy = packet->copy,
        .arrived_ns = packet->arrived_ns,
        .why = why(packet),
    };
}
