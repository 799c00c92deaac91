/* SPDX-License-Identifier: MIT */
/* The parts of connect that are only text and arithmetic. Pure. */
#ifndef CLI_CONNECT_PARTS_H
#define CLI_CONNECT_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_MS 1000000ll
#define NS_PER_SECOND 1000000000ll

/* LF becomes CRLF, unless a CR stands before it already. A chunk may end between the two: the state knows. Start with
 * all zero. */
struct crlf {
    bool after_cr;
};

/* ret_text has room for 2 * n_bytes. Returns the bytes written. */
size_t crlf_convert(struct crlf *crlf, const void *data, size_t n_bytes, void *ret_text);

/* How much of data belongs to its first line, the newline included; *ret_whole says whether the newline is there. */
size_t line_length(const void *data, size_t n_bytes, bool *ret_whole);

/* "80" or "20-30" (the order of the two does not matter); ports are 1 to 65535. */
struct port_range {
    uint16_t first, last;
};
bool port_range_parse(const char *text, struct port_range *ret_range);

/* What the end of standard input means for the connection. */
enum eof_action {
    EOF_WAIT,   /* half-close, wait for the peer's end */
    EOF_CLOSE,  /* close once everything is sent and acknowledged */
    EOF_AFTER,  /* half-close, wait at most so long, close */
    EOF_IGNORE, /* nothing: wait for the peer's end */
};
struct eof_rule {
    enum eof_action action;
    int64_t patience_ns; /* EOF_AFTER */
};

/* The values of --eof ("wait", "close", "after:2", "ignore") and those of -q ("2", "0", "-1"); NULL is "wait". */
bool eof_rule_parse(const char *text, struct eof_rule *ret_rule);

/* Of -N and the option whose value is eof (a pointer into argv), was -N the last? The table of options can tell what
 * was given, but not in which order. */
bool half_close_is_last(int argc, char *const *argv, const char *eof);

/* How long to wait before the next attempt, after so many that failed: 100 ms, doubling to 2 s. */
int64_t retry_delay_ns(unsigned long long n_failed);

/* Could the same attempt work later? error is negative, as sonde_connect and failed() give it. */
bool retry_may_help(int error);

/* The value of a URL's bind option, from an address and a port of which one may be NULL; the address may have a port of
 * its own. A bare IPv6 address gets its brackets. False: it does not fit. */
bool bind_text(const char *address, const char *port, char *ret_text, size_t size_bytes);

/* A URL whose only purpose is its bind option, with everything that has a meaning in a URL percent-encoded. False: it
 * does not fit. */
bool bind_url(const char *bind, char *ret_text, size_t size_bytes);

#endif
