/* SPDX-License-Identifier: MIT */
/*
 * The library's probe events as the calls people know: what --calls prints. Pure.
 *
 *   0.000 112  socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, IPPROTO_TCP) = 3         4 us
 *   0.000 120  setsockopt(3, SOL_SOCKET, SO_REUSEADDR, 1) = 0                                 <1 us
 *   0.000 131  bind(3, 127.0.0.1:7007) = 0                                                     2 us
 *   0.000 140  listen(3, 4096) = 0                                                             1 us
 *   1.204 551  accept(3, 127.0.0.1:40488) = 5                                                  ring
 *   1.204 560  recv(5, "hello\n", 32768) = 6                                                   ring
 *   1.204 571  send(5, "hello\n", 6, MSG_NOSIGNAL) = 6                                    8 us ring
 *   1.205 102  recv(5, "", 32768) = 0 (end of data)                                            ring
 *   1.205 117  close(5) = 0                                                               2 us ring
 *   9.100 002  connect(5, 127.0.0.1:7009) = -1 ECONNREFUSED (connection refused)              21 us
 *   9.104 311  handshake(5, TLS, "TLSv1.3, TLS_AES_256_GCM_SHA384") = 0                     3102 us
 *   9.104 402  message out(5, text, "hello", 5)
 *
 * Time: seconds, milliseconds and microseconds since the origin. Far right: how long the call took, where it has a
 * start of its own, and "ring" when io_uring did it.
 */
#ifndef OBSERVE_CALLS_H
#define OBSERVE_CALLS_H

#include "observe/event/event.h"

#include <sonde/probe.h>
#include <stddef.h>

#define CALLS_LINE_SIZE 512 /* room for any line, its newline and NUL */

/* Write one event as a line, cut to fit, with its newline and NUL. origin_ns is the time that is shown as 0. Peers'
 * bytes are escaped, and cut to a preview whose cut is shown ("hello"...). Returns the length. */
size_t calls_render(const struct sonde_probe_event *event, int64_t origin_ns, char *ret_line, size_t size_bytes);

/* The same as an event of the time line: a call, whole (CALL_WHOLE; start_ns as the probe says), a handshake or a
 * message. Its connection, end and number are for whoever knows them; of a message, `from` says END_A when it went out
 * and END_B when it came in, as if the program were A. It points into ret_arguments and to the probe's data. */
void calls_event(const struct sonde_probe_event *probe, char ret_arguments[CALLS_LINE_SIZE], struct event *ret_event);

#endif
