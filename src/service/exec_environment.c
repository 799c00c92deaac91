/* SPDX-License-Identifier: MIT */
/*
 * The environment of a child: ours, and what programs of ucspi-tcp expect to find (tcp-environ(5)). Nothing of what we
 * set is ever inherited, so that a program can't be told of somebody else's connection; nor is what a service manager
 * tells us alone (sd_listen_fds(3), sd_notify(3)).
 */
#include "service/exec_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char *const own_names[] = {
    "PROTO",        "TCPREMOTEIP", "TCPREMOTEPORT", "TCPREMOTEHOST", "TCPREMOTEINFO",  "TCPLOCALIP",    "TCPLOCALPORT",
    "TCPLOCALHOST", "SONDE_PEER",  "LISTEN_PID",    "LISTEN_FDS",    "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC",
    "WATCHDOG_PID", NULL,
};

enum { N_SET = 6, SET_BYTES = SONDE_ADDRESS_TEXT + 32 };

struct set {
    unsigned n;
    char text[N_SET][SET_BYTES];
};

static bool is_own(const char *variable)
{
    size_t n = strcspn(variable, "=");

    for (const char *const *name = own_names; *name != NULL; name++)
        if (strlen(*name) == n && strncmp(*name, variable, n) == 0)
            return true;
    return false;
}

/* "192.0.2.1:80" and "[2001:db8::1]:80", in two. */
static void add_address(struct set *set, const char *ip_name, const char *port_name,
                        const struct sonde_address *address)
{
    char text[SONDE_ADDRESS_TEXT], *ip = text;

    sonde_address_format(address, text, sizeof text);
    char *end = strrchr(text, ':');
    if (end == NULL)
        return;
    *end = '\0';
    if (ip[0] == '[') {
        ip++;
        ip[strcspn(ip, "]")] = '\0';
    }
    snprintf(set->text[set->n++], SET_BYTES, "%s=%s", ip_name, ip);
    snprintf(set->text[set->n++], SET_BYTES, "%s=%u", port_name, (unsigned)address->port);
}

static void fill(struct set *set, const struct sonde_address *peer, const struct sonde_address *local)
{
    char text[SONDE_ADDRESS_TEXT];
    bool tcp = peer->family != AF_UNIX && peer->family != AF_VSOCK;

    set->n = 0;
    snprintf(set->text[set->n++], SET_BYTES, "PROTO=%s", tcp ? "TCP" : peer->family == AF_UNIX ? "UNIX" : "VSOCK");
    sonde_address_format(peer, text, sizeof text);
    snprintf(set->text[set->n++], SET_BYTES, "SONDE_PEER=%s", text);
    if (tcp) {
        add_address(set, "TCPREMOTEIP", "TCPREMOTEPORT", peer);
        add_address(set, "TCPLOCALIP", "TCPLOCALPORT", local);
    }
}

char **exec_environment(char *const *base, const struct sonde_address *peer, const struct sonde_address *local)
{
    struct set set;
    size_t n_base = 0;

    fill(&set, peer, local);
    while (base[n_base] != NULL)
        n_base++;
    /* The strings of the base are not copied: they live as long as we do. */
    char **made = malloc((n_base + N_SET + 1) * sizeof *made + sizeof set.text);
    if (made == NULL)
        return NULL;
    char *text = memcpy((char *)(made + n_base + N_SET + 1), set.text, sizeof set.text);
    size_t n = 0;
    for (size_t i = 0; i < n_base; i++)
        if (!is_own(base[i]))
            made[n++] = base[i];
    for (unsigned i = 0; i < set.n; i++)
        made[n++] = text + (size_t)i * SET_BYTES;
    made[n] = NULL;
    return made;
}
