/* SPDX-License-Identifier: MIT */
#include "lab/sockets/ports_internal.h"

#include "lab/table.h"
#include "term/translate.h"

static void run(struct lab *lab)
{
    ports_range(lab);
    ports_shared(lab);
}

static const struct lab_claim claims[] = {
    {"C27", N_("Ports run from 0 to 65536.")},
    {"C62", N_("Each program has a port number of its own.")},
    {NULL, NULL},
};

static const char *const choices[] = {
    N_("a) bind fails with EINVAL"),
    N_("b) the port is 65535"),
    N_("c) the kernel chooses a port"),
    N_("d) the port is 1"),
    NULL,
};

static const char *const settings[] = {"net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
                                       "net.ipv4.ip_local_reserved_ports", NULL};

const struct experiment experiment_ports = {
    .name = "ports",
    .chapter = CHAPTER_SOCKETS,
    .title = N_("which ports there are, who may have them, several programs on one"),
    .claims = claims,
    .systems = NULL,
    .milliseconds = 60,
    .done =
        N_("Sockets are bound to the first, the last and impossible ports, and by a child without capabilities to both "
           "sides of the privileged border. Then a second program (a forked child) tries to have the port of the "
           "first in six ways."),
    .question = N_("A program writes sin_port = htons(65536) and calls bind. What happens?"),
    .choices = choices,
    .by_hand = "sonde serve echo tcp://127.0.0.1:0\n"
               "nc.openbsd -l 127.0.0.1 1023     # as an ordinary user\n"
               "nc.openbsd -lk 127.0.0.1 7009 & nc.openbsd -lk 127.0.0.2 7009 &\n"
               "sonde watch --once listening",
    .read = "ip(7), socket(7) (SO_REUSEPORT), bind(2); RFC 6335, 6; RFC 6056; kernel ip-sysctl",
    .settings = settings,
    .run = run,
};
