/* SPDX-License-Identifier: MIT */
#include "cli/connect/report.h"

#include "cli/connect/report_messages.h"
#include "cli/connect/tls.h"
#include "cli/say.h"
#include "cli/typing.h"
#include "term/escape.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE (2 * END_ADDRESS_TEXT + 256 + REPORT_MESSAGES_TEXT)

static void print_line(const char *line, int length)
{
    if (length < 0)
        return;
    size_t n_bytes = (size_t)length < LINE_SIZE ? (size_t)length : LINE_SIZE - 1;
    typing_make_room(STDERR_FILENO);
    while (write(STDERR_FILENO, line, n_bytes) < 0 && errno == EINTR)
        ;
}

void report_listening(const char *url)
{
    char line[LINE_SIZE];

    print_line(line, snprintf(line, sizeof line, "listening %s\n", url));
}

static const char *arrow(bool accepted)
{
    return accepted ? "<-" : "->";
}

void report_connected(const struct connection_end *end, bool accepted)
{
    char local[END_ADDRESS_TEXT], peer[END_ADDRESS_TEXT], line[LINE_SIZE];

    end_format_local(end, local, sizeof local);
    end_format_peer(end, peer, sizeof peer);
    print_line(line, snprintf(line, sizeof line, "connected %s %s %s\n", local, arrow(accepted), peer));
}

void report_closed(const struct connection_end *end, bool accepted)
{
    char local[END_ADDRESS_TEXT], peer[END_ADDRESS_TEXT], unsent[32] = "", messages[REPORT_MESSAGES_TEXT],
                                                          line[LINE_SIZE];

    end_format_local(end, local, sizeof local);
    end_format_peer(end, peer, sizeof peer);
    if (end->n_unsent > 0)
        snprintf(unsent, sizeof unsent, ", %llu unsent", (unsigned long long)end->n_unsent);
    report_format_messages(end, messages, sizeof messages);
    print_line(line,
               snprintf(line, sizeof line, "closed %s %s %s %s, %llu bytes in, %llu out%s%s, %.6f s\n", local,
                        arrow(accepted), peer, end_reason_text(end), (unsigned long long)end->n_received,
                        (unsigned long long)end->n_sent, unsent, messages, (double)end->duration_ns / NS_PER_SECOND));
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

/* ---- what came, against what was to come */

static void format_bytes(const unsigned char *bytes, size_t n_bytes, char *ret_text)
{
    ret_text[0] = '\0';
    for (size_t i = 0; i < n_bytes; i++)
        sprintf(ret_text + (i == 0 ? 0 : 3 * i - 1), i == 0 ? "%02x" : " %02x", bytes[i]);
}

static void say_difference(const char *name, const struct verify *verify)
{
    char expected[3 * VERIFY_SHOWN + 1], came[3 * VERIFY_SHOWN + 1];
    unsigned long long offset = verify->n_returned;

    format_bytes(verify->expected, verify->n_expected, expected);
    format_bytes(verify->came, verify->n_came, came);
    if (verify->verdict == VERIFY_MORE)
        say(_("%s sent back more than it was sent: behind all of the %llu bytes came %s."), name, offset, came);
    else
        say(_("%s did not send back what it was sent: at offset %llu %s was expected, and %s came."), name, offset,
            expected, came);
}

static int report_verify(const char *name, const struct verify *verify, bool verbose)
{
    unsigned long long n_sent = verify->n_sent, n_returned = verify->n_returned;
    char line[LINE_SIZE];

    if (verify->n_bytes > 0) {
        say(_("%s did not send back all that it was sent: %llu of %llu bytes came back."), name, n_returned, n_sent);
        return EXIT_NETWORK;
    }
    if (verbose)
        print_line(line, snprintf(line, sizeof line, "%llu bytes came back as they were sent\n", n_returned));
    return EXIT_DONE;
}

static void say_no_match(const char *name, const struct talk *talk)
{
    const struct connection_end *end = &talk->end;
    unsigned long long n_received = end->n_received;
    const char *pattern = talk->rules->expect->pattern;
    char shown[160];

    escape_short(pattern, strlen(pattern), shown, sizeof shown);
    if (end->reason == END_LATE)
        say(_("%s sent nothing that matches \"%s\" within %.1f s: %llu bytes came."), name, shown,
            (double)talk->rules->within_ns / NS_PER_SECOND, n_received);
    else if (end->reason == END_HERE)
        say(_("%s had sent nothing that matches \"%s\" when this side ended it: %llu bytes came."), name, shown,
            n_received);
    else
        say(_("%s ended without sending what matches \"%s\": %llu bytes came."), name, shown, n_received);
}

static void say_partial(const char *name, const struct talk *talk)
{
    unsigned long long n_bytes = talk->end.n_partial;

    say(n_bytes == 1 ? _("%s ended in the middle of a message of %s: %llu byte of it had come.")
                     : _("%s ended in the middle of a message of %s: %llu bytes of it had come."),
        name, talk->rules->framing->name, n_bytes);
}

static void say_bad_message(const char *name, const struct talk *talk)
{
    const struct framing *framing = talk->rules->framing;
    unsigned long long at_byte = framing->fault.at_byte, n_bytes = framing->fault.n_bytes;

    if (framing->fault.error == -EMSGSIZE)
        say(_("%s sent a message of %s that has %llu bytes or more, at byte %llu of what came: --frame-max allows "
              "%llu."),
            name, framing->name, n_bytes, at_byte, (unsigned long long)framing->max_bytes);
    else
        say(_("%s sent what is wrong for %s, at byte %llu of what came: %s."), name, framing->name, at_byte,
            framing->fault.what);
}

/* It ended as it should: with what should have come? */
static int report_verdict(const char *name, const struct talk *talk, bool verbose)
{
    const struct talk_rules *rules = talk->rules;

    if (rules->expect != NULL && !rules->expect->matched) {
        say_no_match(name, talk);
        return EXIT_NETWORK;
    }
    if (rules->messages != NULL)
        return report_messages(name, talk, verbose);
    return rules->verify != NULL ? report_verify(name, rules->verify, verbose) : EXIT_DONE;
}

static int report_not_opened(const char *given, const struct talk *talk)
{
    if (report_handshake(given, &talk->why) || connect_tls_say(given, &talk->why, talk->fingerprint))
        return EXIT_NETWORK;
    return attempts_say(&talk->attempts, given, &talk->why) ? EXIT_NETWORK : (int)say_why(given, &talk->why);
}

int report_end(const char *given, const char *name, const char *file, const struct talk *talk, bool verbose)
{
    const struct connection_end *end = &talk->end;
    unsigned long long n_received = end->n_received, n_sent = end->n_sent;
    bool is_file;
    int output_error = view_error(talk->view, &is_file), status;

    if (end->n_partial > 0)
        say_partial(name, talk);
    if (!end->opened && end->error < 0)
        return report_not_opened(given, talk);
    switch (end->reason) {
    case END_OF_DATA:
    case END_HERE:
        status = report_verdict(name, talk, verbose);
        return end->n_partial > 0 ? EXIT_NETWORK : status;
    case END_STOPPED:
        return EXIT_DONE;
    case END_LATE:
        say_no_match(name, talk);
        break;
    case END_BAD_MESSAGE:
        say_bad_message(name, talk);
        break;
    case END_DIFFERS:
        if (talk->rules->echo != NULL)
            return report_messages(name, talk, verbose);
        say_difference(name, talk->rules->verify);
        break;
    case END_IDLE:
        say(_("%s timed out: nothing came and nothing went for as long as -w allows, after %llu bytes received, "
              "%llu sent."),
            name, n_received, n_sent);
        break;
    case END_RESET:
        say_reset(name, end);
        break;
    case END_TIMEOUT:
        if (report_broken(name, talk))
            break;
        say(_("%s timed out: it no longer acknowledges what is sent, after %llu bytes received, %llu sent. "
              "The network to it may be down."),
            name, n_received, n_sent);
        break;
    case END_KICKED:
        say(_("the connection to %s was reset from the page, after %llu bytes received, %llu sent."), name, n_received,
            n_sent);
        break;
    case END_OUTPUT:
        /* Whoever reads our output has seen enough, as head does. */
        if (output_error != -EPIPE || verbose)
            say_output(is_file ? file : NULL, output_error);
        break;
    case END_OTHER:
    case END_NO_CLOSE:
    case END_NO_SUBPROTOCOL:
    case N_END_REASONS:
        if (report_broken(name, talk))
            break;
        say(_("the connection to %s broke: %s, after %llu bytes received, %llu sent."), name,
            sonde_strerror(end->error), n_received, n_sent);
        break;
    }
    return EXIT_NETWORK;
}
