/* SPDX-License-Identifier: MIT */
#include "cli/calls_print.h"

#include "cli/typing.h"
#include "observe/calls/calls.h"

#include <errno.h>
#include <sonde/probe.h>
#include <unistd.h>

static void print(const struct sonde_probe_event *event, void *user)
{
    const int64_t *origin_ns = user;
    char line[CALLS_LINE_SIZE];
    size_t n = calls_render(event, *origin_ns, line, sizeof(line));

    typing_make_room(STDERR_FILENO);
    /* A reader of standard error that stalls holds the program up, as it does for every program's messages. */
    while (n > 0 && write(STDERR_FILENO, line, n) < 0 && errno == EINTR)
        continue;
}

void calls_print_start(struct taps *taps, struct sonde_loop *loop, const int64_t *origin_ns)
{
    /* The probe hands back what it was given and print only reads it. */
    taps_add(taps, loop, print, (void *)(uintptr_t)origin_ns);
}
