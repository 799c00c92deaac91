/* SPDX-License-Identifier: MIT */
/*
 * What sonde-capture and who starts it say to each other.
 *
 * Opening a packet socket takes CAP_NET_RAW; using an open one does not. So sonde itself needs no rights: a program of
 * its own, small enough to be read in five minutes, opens the socket and hands it over.
 *
 *     setcap cap_net_raw+ep sonde-capture
 *
 * The starter makes a UNIX socket pair of type SOCK_SEQPACKET and starts `sonde-capture MODE` with one end as standard
 * input. MODE is "raw" (packets with their link header) or "cooked" (from the network header on). The helper answers
 * with one message, a struct sonde_capture_answer, and with the socket in it (SCM_RIGHTS) when error is 0, and exits.
 * The socket is of the network namespace in which the helper was started, is bound to nothing and receives nothing yet:
 * filter, ring and interface are set by who gets it, before the first packet.
 *
 * The helper reads no file, no environment variable, and nothing from its standard input. It opens one AF_PACKET socket
 * and no other descriptor, gives up its capability at once, and lives for SONDE_CAPTURE_SECONDS at most.
 *
 * Whoever may execute it with this capability may see, and send, every packet of the machine: that is what it is for.
 * Where not every user should, let one group only execute it, as is usual for dumpcap:
 *
 *     chgrp capture sonde-capture && chmod 0750 sonde-capture && setcap cap_net_raw+ep sonde-capture
 */
#ifndef OBSERVE_CAPTURE_HELPER_H
#define OBSERVE_CAPTURE_HELPER_H

#include <stdint.h>

#define SONDE_CAPTURE_NAME "sonde-capture"
#define SONDE_CAPTURE_RAW "raw"
#define SONDE_CAPTURE_COOKED "cooked"
#define SONDE_CAPTURE_MAGIC UINT32_C(0x736e6401) /* the last byte is the version */
#define SONDE_CAPTURE_SECONDS 2

struct sonde_capture_answer {
    uint32_t magic;
    int32_t error; /* 0, or a negative errno: -EPERM without the capability */
};

#endif
