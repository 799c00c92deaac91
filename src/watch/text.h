/* SPDX-License-Identifier: MIT */
/*
 * Text that grows, and the numbers and addresses put into it by hand: a table of a hundred thousand sockets is a
 * million cells, and a printf for each would take longer than asking the kernel. Pure.
 */
#ifndef WATCH_TEXT_H
#define WATCH_TEXT_H

#include <sonde/address.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Begins zeroed. Without memory it stops growing and says so: what was appended since is lost. */
struct text {
    char *bytes;
    size_t n_bytes, size_bytes;
    bool failed;
};

void text_free(struct text *text);
void text_clear(struct text *text);

/* Room for n bytes more at the end, or NULL. What is written there counts once n_bytes is raised. */
char *text_room(struct text *text, size_t n);

void text_append(struct text *text, const void *bytes, size_t n);
void text_string(struct text *text, const char *string);
void text_spaces(struct text *text, size_t n);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Write all of it to a descriptor. 0 or a negative error. */
int text_write(const struct text *text, int fd);

/* ---- into a buffer of the caller's; each returns the length, and writes no NUL */

#define TEXT_NUMBER_MAX 20
size_t put_number(char *to, uint64_t number);

/* As people write an address: 127.0.0.1:7007, [::1]:7007, *:7007 for any of IPv4, [::]:7007. A port of 0 is "*". Room:
 * SONDE_ADDRESS_TEXT. */
size_t put_address(char *to, const struct sonde_address *address);
/* Without its port. */
size_t put_ip(char *to, const struct sonde_address *address);

#endif
