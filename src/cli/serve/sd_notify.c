/* SPDX-License-Identifier: MIT */
#include "cli/serve/sd_notify.h"

#include "cli/option.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_S = 5 };

static const char *const variables[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"};

bool notify_parse_address(const char *text, struct sockaddr_un *ret_address, socklen_t *ret_n_bytes)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t n = strlen(text);

    if ((text[0] != '/' && text[0] != '@') || n < 2)
        return false;
    /* A path ends with NUL; an abstract name begins with one, and is as long as is said. */
    if (n + (text[0] == '/') > sizeof(address.sun_path))
        return false;
    memcpy(address.sun_path, text, n);
    if (text[0] == '@')
        address.sun_path[0] = '\0';
    *ret_address = address;
    *ret_n_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (text[0] == '/'));
    return true;
}

/* Decimal digits and nothing else. */
static bool parse_digits(const char *text, long long maximum, long long *ret_number)
{
    return text[strspn(text, "0123456789")] == '\0' && option_parse_count(text, ret_number) && *ret_number <= maximum;
}

int64_t notify_parse_watchdog(const char *usec, const char *pid, pid_t own)
{
    long long n_us, number;

    if (usec == NULL || !parse_digits(usec, INT64_MAX / 1000, &n_us))
        return 0;
    if (pid != NULL && (!parse_digits(pid, INT_MAX, &number) || number != own))
        return 0;
    return n_us * 1000;
}

void notify_open(struct notify *notify)
{
    const char *text = getenv("NOTIFY_SOCKET");

    *notify = (struct notify){.fd = -1};
    if (text != NULL && notify_parse_address(text, &notify->address, &notify->n_address_bytes))
        notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify->fd >= 0)
        notify->watchdog_ns = notify_parse_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), getpid());
    for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++)
        unsetenv(variables[i]);
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
}

void notify_send(const struct notify *notify, const char *message, bool wait)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};

    if (notify->fd < 0)
        return;
    /* Not poll(2): to that an unconnected socket always has room. */
    setsockopt(notify->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    sendto(notify->fd, message, strlen(message), MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT),
           (const struct sockaddr *)&notify->address, notify->n_address_bytes);
}
