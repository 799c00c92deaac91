/* SPDX-License-Identifier: MIT */
/* What the files of this folder share. */
#ifndef OBSERVE_SOCKETS_SOCKETS_INTERNAL_H
#define OBSERVE_SOCKETS_SOCKETS_INTERNAL_H

#include "observe/sockets/sockets.h"

/* Bound and neither listening nor connecting: the kernel lists these apart, under a number of their own (6.8). */
#define KERNEL_BOUND_INACTIVE 13
#define KERNEL_ALL_STATES ((UINT32_C(1) << (KERNEL_BOUND_INACTIVE + 1)) - 1)

enum tcp_state sockets_state_of_kernel(unsigned number);
void sockets_set_protocol(struct socket_info *socket, uint8_t protocol);

/* Fill in ret_why (may be NULL), and return error. */
int sockets_fail(struct sonde_why *ret_why, int error, const char *call);

/* How many filter programs the kernel did not take: none, unless it is very old. */
unsigned sockets_n_programs_refused(const struct sockets *sockets);

/* Could it match, whoever the owner may be? For whoever does not know owners. */
bool filter_may_match(const struct sockets_filter *filter, const struct socket_info *socket);

/* The text of /proc/net/netstat or snmp: a line of names, a line of numbers, both beginning with the same word and a
 * colon. Adds what it knows. Damaged lines add nothing. */
void counters_parse_pairs(const char *text, size_t n_bytes, struct socket_counters *counters);
/* The text of /proc/net/sockstat. */
void counters_parse_sockstat(const char *text, size_t n_bytes, struct socket_counters *counters);
/* One or two numbers of a file under /proc/sys. Returns how many there were, at most 2. */
unsigned counters_parse_setting(const char *text, size_t n_bytes, uint64_t ret_numbers[2]);

#endif
