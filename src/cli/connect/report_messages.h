/* SPDX-License-Identifier: MIT */
/* The sentences and lines about messages, WebSocket and datagrams. */
#ifndef CLI_CONNECT_REPORT_MESSAGES_H
#define CLI_CONNECT_REPORT_MESSAGES_H

#include "cli/connect/talk.h"

/* -v: what was agreed on when the connection stood. Nothing, where there is nothing to agree on. */
void report_agreed(const struct talk *talk);

/* For the line of -v: ", 3 messages in, 2 out, 120 on the wire in, 98 out"; "" where it would say nothing. */
#define REPORT_MESSAGES_TEXT 192
void report_format_messages(const struct connection_end *end, char *ret_text, size_t size_bytes);

/* A handshake that failed. False: it was none, and nothing was said. given as in report_end. */
bool report_handshake(const char *given, const struct sonde_why *why);

/* A connection that broke for a reason that only such transports have. False: nothing was said. */
bool report_broken(const char *name, const struct talk *talk);

/* How it ended, where that was in order. Returns the exit status. */
int report_messages(const char *name, const struct talk *talk, bool verbose);

#endif
