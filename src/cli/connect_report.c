/* SPDX-License-Identifier: MIT */
#include "cli/connect_report.h"

#include "cli/say.h"
#include "term/escape.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE 512

static void print_line(const char *line, int length)
{
    if (length < 0)
        return;
    size_t n_bytes = (size_t)length < LINE_SIZE ? (size_t)length : LINE_SIZE - 1;
    while (write(STDERR_FILENO, line, n_bytes) < 0 && errno == EINTR)
        ;
}

void report_connected(const struct connection_end *end)
{
    char local[SONDE_ADDRESS_TEXT], peer[SONDE_ADDRESS_TEXT], line[LINE_SIZE];

    sonde_address_format(&end->local, local, sizeof local);
    sonde_address_format(&end->peer, peer, sizeof peer);
    print_line(line, snprintf(line, sizeof line, "connected %s -> %s\n", local, peer));
}

void report_closed(const struct connection_end *end)
{
    char local[SONDE_ADDRESS_TEXT], peer[SONDE_ADDRESS_TEXT], unsent[32] = "", line[LINE_SIZE];

    sonde_address_format(&end->local, local, sizeof local);
    sonde_address_format(&end->peer, peer, sizeof peer);
    if (end->n_unsent > 0)
        snprintf(unsent, sizeof unsent, ", %llu unsent", (unsigned long long)end->n_unsent);
    print_line(line, snprintf(line, sizeof line, "closed %s -> %s %s, %llu bytes in, %llu out%s, %.6f s\n", local, peer,
                              end_reason_text(end), (unsigned long long)end->n_received,
                              (unsigned long long)end->n_sent, unsent, (double)end->duration_ns / NS_PER_SECOND));
}

static void say_reset(const char *name, const struct connection_end *end)
{
    unsigned long long n_received = end->n_received, n_sent = end->n_sent, n_unsent = end->n_unsent;

    if (n_unsent > 0)
        say(_("%s reset the connection after %llu bytes received, %llu sent, and %llu more were never sent. "
              "It closed before it had read everything, or it aborted."),
            name, n_received, n_sent, n_unsent);
    else
        say(_("%s reset the connection after %llu bytes received, %llu sent. "
              "It closed before it had read everything, or it aborted."),
            name, n_received, n_sent);
}

static void say_output(const char *file, int error)
{
    char shown[128];

    if (file == NULL) {
        say(_("standard output cannot be written: %s."), sonde_strerror(error));
        return;
    }
    escape_short(file, strlen(file), shown, sizeof shown);
    say(_("%s cannot be written: %s."), shown, sonde_strerror(error));
}

int report_end(const char *given, const char *name, const char *file, const struct talk *talk, bool verbose)
{
    const struct connection_end *end = &talk->end;
    unsigned long long n_received = end->n_received, n_sent = end->n_sent;
    bool is_file;
    int output_error = view_error(talk->view, &is_file);

    if (!end->opened && end->error < 0)
        return (int)say_why(given, &talk->why);
    switch (end->reason) {
    case END_OF_DATA:
    case END_HERE:
    case END_STOPPED:
        return EXIT_DONE;
    case END_IDLE:
        say(_("%s timed out: nothing came and nothing went for as long as -w allows, after %llu bytes received, "
              "%llu sent."),
            name, n_received, n_sent);
        break;
    case END_RESET:
        say_reset(name, end);
        break;
    case END_TIMEOUT:
        say(_("%s timed out: it no longer acknowledges what is sent, after %llu bytes received, %llu sent. "
              "The network to it may be down."),
            name, n_received, n_sent);
        break;
    case END_OUTPUT:
        /* Whoever reads our output has seen enough, as head does. */
        if (output_error != -EPIPE || verbose)
            say_output(is_file ? file : NULL, output_error);
        break;
    case END_OTHER:
    case N_END_REASONS:
        say(_("the connection to %s broke: %s, after %llu bytes received, %llu sent."), name,
            sonde_strerror(end->error), n_received, n_sent);
        break;
    }
    return EXIT_NETWORK;
}
