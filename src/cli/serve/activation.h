/* SPDX-License-Identifier: MIT */
/*
 * Sockets that were passed by whoever started this process, by the protocol of systemd (sd_listen_fds(3)):
 * LISTEN_PID says whom they are for, LISTEN_FDS how many there are, from descriptor 3 on, LISTEN_FDNAMES what they are
 * called, with colons between.
 */
#ifndef CLI_ACTIVATION_H
#define CLI_ACTIVATION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ACTIVATION_FIRST_FD 3

struct activation {
    unsigned n;  /* sockets that were passed to us */
    char *names; /* as they came; malloc; NULL: none have names */
};

/* What these values mean to the process `own`; NULL stands for a variable that is not set. Pure. 0 (n is 0 when nothing
 * was passed, or not to this process), -EINVAL: LISTEN_FDS is no number of sockets, or -ENOMEM. */
int activation_parse(const char *pid, const char *fds, const char *names, pid_t own, struct activation *ret_activation);

/* From the environment, where the variables do not stay: they are not for our children. Nor are the descriptors. The
 * same errors. */
int activation_take(struct activation *ret_activation);
void activation_free(struct activation *activation);

/* The descriptor of the first socket of this name from number `from` on (0 is the first of all), whose number is
 * stored; -1: there is none. Several may have one name. */
int activation_find(const struct activation *activation, const char *name, size_t n_bytes, unsigned from,
                    unsigned *ret_number);

/* An address as the user gave it: "fd://NAME" and "fd:NAME", perhaps with options behind a question mark. False for
 * all others, and where a number stands for the name. The name is percent-decoded; *ret_options points into text, at
 * its question mark or end. */
bool activation_is_name(const char *text, char *ret_name, size_t size_bytes, const char **ret_options);

#endif
