/* SPDX-License-Identifier: MIT */
/*
 * A name server for tests: in the programs that are linked with names.c, c-ares asks it instead of those of the
 * machine.
 *
 *   fails.test    does not exist
 *   later.test    SERVFAIL
 *   refuses.test  REFUSED
 *   empty.test    exists, and has no addresses
 *   one.test      127.0.0.1
 *   two.test      ::1 and 127.0.0.1
 *   many.test     127.0.0.2 to 127.0.0.7, then 127.0.0.1
 *   forty.test    127.0.1.1 to 127.0.1.40, in an answer that is too long for UDP
 *   slow.test     127.0.0.1, but only after names_release
 *   late.test     127.0.0.1 at once, and ::1 only after names_release
 */
#ifndef CONTRACT_NAMES_H
#define CONTRACT_NAMES_H

/* From now on slow.test has no answer, and late.test no IPv6 one. */
void names_hold(void);
void names_release(void);

/* How many look-ups are waiting for names_release. */
unsigned names_waiting(void);

#endif
