/* SPDX-License-Identifier: MIT */
/*
 * A name server for tests: getaddrinfo(3) itself, replaced in the programs that are linked with names.c.
 *
 *   fails.test    does not exist
 *   later.test    there is no answer now
 *   broken.test   a system error, EMFILE
 *   one.test      127.0.0.1
 *   two.test      ::1, then 127.0.0.1
 *   slow.test     127.0.0.1, but only after names_release
 */
#ifndef CONTRACT_NAMES_H
#define CONTRACT_NAMES_H

/* From now on slow.test has no answer. */
void names_hold(void);
void names_release(void);

/* How many look-ups are waiting for names_release. */
unsigned names_waiting(void);

#endif
