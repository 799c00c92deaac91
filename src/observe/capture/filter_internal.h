/* SPDX-License-Identifier: MIT */
#ifndef OBSERVE_CAPTURE_FILTER_INTERNAL_H
#define OBSERVE_CAPTURE_FILTER_INTERNAL_H

#include "observe/capture/capture.h"

struct sock_filter;

/* The program that a filter became for its first link type: instructions as the kernel has them. */
const struct sock_filter *capture_filter_program(const struct capture_filter *filter, unsigned *ret_n_instructions);

/* Does it speak of VLANs? Then it has to see the tag, which the kernel holds apart from the packet. */
bool capture_filter_wants_vlan(const struct capture_filter *filter);

/* What a packet socket is to run. */
#define SOCKET_FILTER_MAX 4096

/* Makes that program, of at most SOCKET_FILTER_MAX instructions: on the loopback interface one of both copies, and then
 * the filter's own instructions, moved to what the socket sees; program NULL: everything, cut to snap_bytes. n_header:
 * bytes of the synthesised SLL2 header that the filter believes to be there, or 0. Returns the number of instructions;
 * -ENOTSUP: the filter asks for something that the socket cannot tell, it has to be applied to the finished packet. */
int socket_filter_make(const struct sock_filter *program, unsigned n_instructions, unsigned n_header,
                       uint32_t snap_bytes, struct sock_filter *ret_program);

#endif
