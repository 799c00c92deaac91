/* SPDX-License-Identifier: MIT */
/* What connect tells on standard error: the lines of -v, and one sentence for each way to fail. */
#ifndef CLI_CONNECT_REPORT_H
#define CLI_CONNECT_REPORT_H

#include "cli/connect/talk.h"

/* "listening tcp://127.0.0.1:7007". */
void report_listening(const char *url);

/* "connected LOCAL -> PEER", and "closed LOCAL -> PEER end of data, 5 bytes in, 3 out, 0.012000 s"; "<-" when the peer
 * has connected to us. */
void report_connected(const struct connection_end *end, bool accepted);
void report_closed(const struct connection_end *end, bool accepted);

/* The sentence for a talk that is over, if it failed. given is the address as the user gave it, name the same fit for a
 * terminal; file is the one of --output or NULL. Returns the exit status. */
int report_end(const char *given, const char *name, const char *file, const struct talk *talk, bool verbose);

#endif
