/* SPDX-License-Identifier: MIT */
#include "cli/serve/activation.h"

#include "cli/option.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"};

/* Decimal digits and nothing else. */
static bool parse_digits(const char *text, long long maximum, long long *ret_number)
{
    return text[strspn(text, "0123456789")] == '\0' && option_parse_count(text, ret_number) && *ret_number <= maximum;
}

int activation_parse(const char *pid, const char *fds, const char *names, pid_t own, struct activation *ret_activation)
{
    struct activation activation = {0};
    long long number, n;

    /* Without a process, or for another one: it has inherited what was not for it. */
    if (pid == NULL || fds == NULL || !parse_digits(pid, INT_MAX, &number) || number != own) {
        *ret_activation = activation;
        return 0;
    }
    if (!parse_digits(fds, INT_MAX - ACTIVATION_FIRST_FD, &n))
        return -EINVAL;
    activation.n = (unsigned)n;
    if (names != NULL && n > 0) {
        activation.names = strdup(names);
        if (activation.names == NULL)
            return -ENOMEM;
    }
    *ret_activation = activation;
    return 0;
}

int activation_take(struct activation *ret_activation)
{
    struct activation activation;

    int error =
        activation_parse(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), getenv("LISTEN_FDNAMES"), getpid(), &activation);
    for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++)
        unsetenv(variables[i]);
    if (error < 0)
        return error;
    /* Those that are not open, however many, are an error of whoever uses them. */
    for (unsigned i = 0; i < activation.n; i++)
        if (fcntl((int)(ACTIVATION_FIRST_FD + i), F_SETFD, FD_CLOEXEC) < 0)
            break;
    *ret_activation = activation;
    return 0;
}

void activation_free(struct activation *activation)
{
    free(activation->names);
    *activation = (struct activation){0};
}

int activation_find(const struct activation *activation, const char *name, size_t n_bytes, unsigned from,
                    unsigned *ret_number)
{
    const char *rest = activation->names;

    for (unsigned i = 0; rest != NULL && i < activation->n; i++) {
        size_t n = strcspn(rest, ":");
        if (i >= from && n == n_bytes && memcmp(rest, name, n) == 0) {
            *ret_number = i;
            return (int)(ACTIVATION_FIRST_FD + i);
        }
        rest = rest[n] == ':' ? rest + n + 1 : NULL;
    }
    return -1;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool activation_is_name(const char *text, char *ret_name, size_t size_bytes, const char **ret_options)
{
    size_t n = 0;
    bool digits = true;

    if (strncasecmp(text, "fd:", 3) != 0)
        return false;
    text += 3;
    if (strncmp(text, "//", 2) == 0)
        text += 2;
    for (; *text != '\0' && *text != '?'; text++) {
        char c = *text;
        if (c == '%' && hex_digit(text[1]) >= 0 && hex_digit(text[2]) >= 0) {
            c = (char)(hex_digit(text[1]) * 16 + hex_digit(text[2]));
            text += 2;
        }
        /* Longer than systemd lets a name be, or with a NUL in it: no name. */
        if (c == '\0' || n + 1 >= size_bytes)
            return false;
        digits = digits && c >= '0' && c <= '9';
        ret_name[n++] = c;
    }
    ret_name[n] = '\0';
    *ret_options = text;
    return n > 0 && !digits;
}
