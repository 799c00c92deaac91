/* SPDX-License-Identifier: MIT */
#include "cli/connect_attempts.h"

#include "cli/say.h"

#include <errno.h>
#include <stdbool.h>

static void tell(struct attempts *attempts, bool is_last)
{
    char address[SONDE_ADDRESS_TEXT];

    sonde_address_format(&attempts->address, address, sizeof address);
    if (is_last)
        say(_("%s: %s."), address, sonde_strerror(attempts->error));
    else
        say(_("%s: %s; the next address is tried."), address, sonde_strerror(attempts->error));
    attempts->error = 0;
    attempts->n_told++;
}

static void on_event(const struct sonde_probe_event *event, void *user)
{
    struct attempts *attempts = user;

    if (event->operation != SONDE_OP_CONNECT || event->result == -EINPROGRESS)
        return;
    if (attempts->error < 0)
        tell(attempts, false);
    attempts->address = event->address;
    attempts->error = event->result < 0 ? (int)event->result : 0;
}

void attempts_watch(struct attempts *attempts, struct taps *taps, struct sonde_loop *loop)
{
    *attempts = (struct attempts){.error = 0};
    taps_add(taps, loop, on_event, attempts);
}

void attempts_end(struct attempts *attempts)
{
    if (attempts->error < 0 && attempts->n_told > 0)
        tell(attempts, true);
    attempts->error = 0;
    attempts->n_told = 0;
}
