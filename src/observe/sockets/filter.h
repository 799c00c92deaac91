/* SPDX-License-Identifier: MIT */
/*
 * Filters: which sockets. The words of ss(8), and some of our own:
 *
 *   state established      state connected|synchronized|bucket|big|all, exclude STATE; several are united
 *   sport = :7007          sport, dport with = == eq != ne > gt < lt >= ge <= le; ports by number or name
 *   src 127.0.0.1          src, dst with an address, a prefix (10.0.0.0/8, [fe80::]/10), and a port behind it (:7007);
 *                          = and != between them
 *   dev lo                 autobound, fwmark and cgroup are refused with a sentence
 *   and or not ( ) & && | || !   two conditions side by side mean "and"
 *   listening              state listen
 *   pid:4121 process:nginx the owner; needs /proc
 *   unread>0               unread, unsent, retransmits with < <= = >= >: what is to be done here, not by the kernel
 *   7007 :http             a number alone, or a colon and a port: at either end
 *   anything else          plain text, which is looked for in the addresses, the state and the owner as they are shown;
 *                          in quotes also what would be a word of the above, or has blanks
 *
 * "and" binds more than "or"; "not" more than both. Words may be of either case. process: is the whole name.
 *
 * Pure but for names of services (getservbyname).
 */
#ifndef OBSERVE_SOCKETS_FILTER_H
#define OBSERVE_SOCKETS_FILTER_H

#include "observe/sockets/owners.h"
#include "observe/sockets/sockets.h"

#define FILTER_TEXT_MAX 1024
#define FILTER_NODES_MAX 256

struct sockets_filter;

/* Whoever knows the owner of an inode; false: nobody does. */
struct filter_owner {
    bool (*find)(uint64_t inode, int32_t *ret_pid, const char **ret_program, void *user);
    void *user;
    const struct owners *owners; /* when not NULL, these are asked instead: a socket may have several holders */
};

/* text may be empty: that means all sockets, listeners too. Errors: -EINVAL, and
 * ret_why says what, and at which character; -ENOMEM; -E2BIG: past the maxima. */
int filter_parse(const char *text, struct sockets_filter **ret_filter, char ret_why[192]);
/* The same from the words of a command line. */
int filter_parse_words(int n_words, char *const *words, struct sockets_filter **ret_filter, char ret_why[192]);
void filter_free(struct sockets_filter *filter);

/* owner NULL: nobody is known. */
bool filter_matches(const struct sockets_filter *filter, const struct socket_info *socket,
                    const struct filter_owner *owner);
/* Does it ask for owners? */
bool filter_needs_owner(const struct sockets_filter *filter);
/* Does it ask for TCP_INFO? */
unsigned filter_needs(const struct sockets_filter *filter); /* SOCKETS_WITH_... */

/* For the kernel: the states, as a mask of 1 << kernel's number; and a program of inet_diag bytecode that lets through
 * at least everything that matches (what the kernel cannot decide is left to filter_matches). Returns the program's
 * size, 0: none is needed, or negative: -ENOSPC. 4-byte aligned. Only for SOCKETS_INET. */
uint32_t filter_kernel_states(const struct sockets_filter *filter);
int filter_bytecode(const struct sockets_filter *filter, void *ret_program, size_t size_bytes);

/* Write the filter as text that is parsed to the same: with all its parentheses, numbers for names. Returns the length,
 * always less than size_bytes; FILTER_FORMAT_MAX is enough for every filter, a smaller room cuts the text. */
#define FILTER_FORMAT_MAX 49152
size_t filter_format(const struct sockets_filter *filter, char *ret_text, size_t size_bytes);

#endif
