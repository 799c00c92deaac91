/* SPDX-License-Identifier: MIT */
#include "cli/connect/report_messages.h"

#include "cli/say.h"
#include "term/escape.h"

#include <errno.h>
#include <sonde/ws.h>
#include <stdio.h>
#include <string.h>

#define REASON_TEXT (124 * ESCAPE_MAX_PER_BYTE + 8)
#define WORD_MAX 400

/* ---- -v */

void report_agreed(const struct talk *talk)
{
    struct sonde_ws_info info;
    char shown[sizeof info.subprotocol * ESCAPE_MAX_PER_BYTE];

    if (sonde_stream_ws_info(talk->stream, &info) < 0)
        return;
    escape_short(info.subprotocol, strlen(info.subprotocol), shown, sizeof shown);
    if (shown[0] != '\0' && info.deflate)
        say(_("WebSocket, with permessage-deflate, subprotocol %s."), shown);
    else if (shown[0] != '\0')
        say(_("WebSocket, without compression, subprotocol %s."), shown);
    else if (info.deflate)
        say(_("WebSocket, with permessage-deflate."));
    else
        say(_("WebSocket, without compression."));
    if (messages_take_commands(talk->rules->messages))
        say(_(
            "commands: /ping [TEXT], /close [CODE [REASON]], /binary HEX, /help; a message that begins with a slash is "
            "written with two."));
}

void report_format_messages(const struct connection_end *end, char *ret_text, size_t size_bytes)
{
    unsigned long long n_in = end->n_messages_in, n_out = end->n_messages_out, wire_in = end->n_wire_in,
                       wire_out = end->n_wire_out;

    ret_text[0] = '\0';
    if (end->has_messages && end->has_layers)
        snprintf(ret_text, size_bytes, ", messages %llu in, %llu out, on the wire %llu bytes in, %llu out", n_in, n_out,
                 wire_in, wire_out);
    else if (end->has_messages)
        snprintf(ret_text, size_bytes, ", messages %llu in, %llu out", n_in, n_out);
    else if (end->has_layers)
        snprintf(ret_text, size_bytes, ", on the wire %llu bytes in, %llu out", wire_in, wire_out);
}

/* ---- what failed */

bool report_handshake(const char *given, const struct sonde_why *why)
{
    char url[WORD_MAX], detail[WORD_MAX];

    escape_short(given, strlen(given), url, sizeof url);
    escape_short(why->detail, strlen(why->detail), detail, sizeof detail);
    if (why->code == -SONDE_EHTTP && strncmp(detail, "the server answered 403", strlen("the server answered 403")) == 0)
        say(_("%s does not let us in: %s. A WebSocket server may ask for an Origin of its own (--origin URL) or for a "
              "header that says who we are (--header @FILE)."),
            url, detail);
    else if (why->code == -SONDE_EHTTP && detail[0] != '\0')
        say(_("%s is no WebSocket: %s. Check the path behind the port; curl -i shows what an HTTP server says there."),
            url, detail);
    else if (why->code == -SONDE_EHTTP)
        say(_("%s is no WebSocket: it did not answer as one. Check the address and the port."), url);
    else if (why->code == -SONDE_EWS && detail[0] != '\0')
        say(_("%s is no WebSocket that can be talked to: %s. Look at the server."), url, detail);
    else
        return false;
    return true;
}

static const char *detail_of(const struct talk *talk, char *ret_detail, size_t size_bytes)
{
    const char *detail = talk->why.detail;

    escape_short(detail, strlen(detail), ret_detail, size_bytes);
    return ret_detail[0] != '\0' ? ret_detail : _("no more is known");
}

/* Nobody has that port, or that socket. */
static void say_nobody(const char *name, const struct connection_end *end)
{
    char from[SONDE_ADDRESS_TEXT];

    if (end_format_reporter(end, from, sizeof from))
        say(_("%s did not get a datagram: nothing has that port, says %s (ICMP). Start the server, or check the port."),
            name, from);
    else
        say(_("%s did not get a datagram: nothing listens there. Start the server, or check the address."), name);
}

bool report_broken(const char *name, const struct talk *talk)
{
    const struct connection_end *end = &talk->end;
    unsigned long long n_in = end->n_messages_in, n_bytes = end->n_received;
    char detail[WORD_MAX];

    switch (-end->error) {
    case SONDE_EWSEND:
        say(_("%s ended without a Close frame after %llu messages received: what came may not be all."), name, n_in);
        return true;
    case SONDE_ETRUNCATED:
        say(_("%s ended without close_notify after %llu bytes received: what came may not be all; it was cut off, or "
              "the "
              "peer's TLS is careless."),
            name, n_bytes);
        return true;
    case SONDE_EWS:
        say(_("%s broke the rules of WebSocket after %llu messages received: %s."), name, n_in,
            detail_of(talk, detail, sizeof detail));
        return true;
    case SONDE_ETOOBIG:
        say(_("%s sent a message that is longer than allowed, after %llu messages received: --message-max allows "
              "more."),
            name, n_in);
        return true;
    case SONDE_ETLS:
        say(_("TLS with %s broke after %llu bytes received: %s."), name, n_bytes,
            detail_of(talk, detail, sizeof detail));
        return true;
    case ETIMEDOUT:
        if (talk->rules->messages == NULL || talk->rules->messages->settings.transport != TRANSPORT_WEBSOCKET)
            return false;
        say(_("%s no longer answers, pings neither, after %llu messages received. The network to it may be down."),
            name, n_in);
        return true;
    case ECONNREFUSED:
        if (!end->has_messages)
            return false;
        say_nobody(name, end);
        return true;
    case 0:
        break;
    default:
        return false;
    }
    if (end->reason == END_NO_CLOSE)
        say(_("%s did not answer the Close frame: it may not have taken all that was sent."), name);
    else if (end->reason == END_NO_SUBPROTOCOL)
        say(_("%s speaks none of the subprotocols that were offered with --subprotocol: check their names, or leave it "
              "out."),
            name);
    else
        return false;
    return true;
}

/* ---- the end */

static void format_bytes(const unsigned char *bytes, size_t n_bytes, char *ret_text)
{
    for (size_t i = 0; i < n_bytes; i++)
        sprintf(ret_text + (i == 0 ? 0 : 3 * i - 1), i == 0 ? "%02x" : " %02x", bytes[i]);
}

static void say_difference(const char *name, const struct echo_window *echo)
{
    char expected[3 * ECHO_SHOWN + 1] = "", came[3 * ECHO_SHOWN + 1] = "";
    unsigned long long number = echo->wrong_number;

    format_bytes(echo->expected, echo->n_expected, expected);
    format_bytes(echo->came, echo->n_came, came);
    if (echo->none_expected)
        say(_("%s sent back more than it was sent: message %llu, %zu bytes (%s)."), name, number, echo->n_came_bytes,
            came);
    else if (echo->n_expected_bytes == echo->n_came_bytes && strcmp(expected, came) == 0)
        say(_("%s did not send back what it was sent: message %llu has the same %zu bytes at its beginning, and "
              "differs "
              "further on or in its kind."),
            name, number, echo->n_came);
    else
        say(_("%s did not send back what it was sent: message %llu has %zu bytes (%s), and %zu (%s) were "
              "expected."),
            name, number, echo->n_came_bytes, came, echo->n_expected_bytes, expected);
}

static int report_echo(const char *name, const struct talk *talk, bool verbose)
{
    const struct echo_window *echo = talk->rules->echo;
    unsigned long long n_sent = echo->n_sent, n_returned = echo->n_returned, n_missing = echo_missing(echo),
                       n_late = echo->n_late, n_doubled = echo->n_doubled, n_wrong = echo->n_wrong;

    if (echo->in_order && n_wrong > 0) {
        say_difference(name, echo);
        return EXIT_NETWORK;
    }
    if (n_missing + n_late + n_doubled + n_wrong > 0) {
        say(_("%s sent back %llu of %llu messages: %llu are lost, %llu came out of order, %llu more than once, %llu "
              "are "
              "none of those that were sent."),
            name, n_returned, n_sent, n_missing, n_late, n_doubled, n_wrong);
        return EXIT_NETWORK;
    }
    if (verbose)
        say(ngettext("%llu message came back as it was sent.", "%llu messages came back as they were sent.",
                     n_returned),
            n_returned);
    return EXIT_DONE;
}

/* 1000 and 1001 are what an end in order has; 1005 is a Close without a code (RFC 6455, 7.4). An answer repeats ours.
 */
static bool is_in_order(const struct websocket_end *ws)
{
    unsigned code = ws->code;

    return code == 0 || code == 1000 || code == 1001 || code == 1005 || (ws->closed_here && code == ws->code_sent);
}

static int report_close(const char *name, const struct connection_end *end, bool verbose)
{
    const struct websocket_end *ws = &end->ws;
    char reason[REASON_TEXT];

    if (ws->code == 0 || (is_in_order(ws) && ws->closed_here && !verbose))
        return EXIT_DONE;
    escape_short(ws->reason, ws->n_reason, reason, sizeof reason);
    if (ws->code == 1005)
        say(_("%s closed, without a code."), name);
    else if (ws->n_reason > 0)
        say(_("%s closed with code %u: %s"), name, ws->code, reason);
    else
        say(_("%s closed with code %u."), name, ws->code);
    return is_in_order(ws) ? EXIT_DONE : EXIT_NETWORK;
}

/* The peer's Close came first: there was no sending after it. */
static int report_refused(const char *name, const struct connection_end *end)
{
    unsigned long long n_bytes = end->n_unsent;

    if (n_bytes == 0 || end->reason != END_OF_DATA)
        return EXIT_DONE;
    say(n_bytes == 1 ? _("%s closed before everything was sent: %llu byte was not.")
                     : _("%s closed before everything was sent: %llu bytes were not."),
        name, n_bytes);
    return EXIT_NETWORK;
}

static int report_datagrams(const struct talk *talk, bool verbose)
{
    const struct connection_end *end = &talk->end;
    unsigned long long n_out = end->n_messages_out, n_in = end->n_messages_in;

    if (verbose && n_out > 0)
        say(_("datagrams: %llu sent, %llu received; whether all that were sent arrived is not known."), n_out, n_in);
    if (end->n_undelivered > 1)
        say(_("%llu datagrams were told of as not delivered."), (unsigned long long)end->n_undelivered);
    if (end->n_lost > 0)
        say(ngettext("%llu datagram that came was dropped by this machine's kernel.",
                     "%llu datagrams that came were dropped by this machine's kernel.", end->n_lost),
            (unsigned long long)end->n_lost);
    return end->n_undelivered + end->n_cut + end->n_lost > 0 ? EXIT_NETWORK : EXIT_DONE;
}

int report_messages(const char *name, const struct talk *talk, bool verbose)
{
    int status = EXIT_DONE;

    if (talk->rules->messages == NULL)
        return EXIT_DONE;
    unsigned long long n_refused = talk->rules->messages->n_refused;
    if (n_refused > MESSAGES_REFUSED_TOLD)
        say(_("of standard input %llu messages were not sent."), n_refused);
    if (talk->rules->messages->settings.transport == TRANSPORT_WEBSOCKET) {
        status = report_close(name, &talk->end, verbose);
        if (report_refused(name, &talk->end) != EXIT_DONE)
            status = EXIT_NETWORK;
    } else if (talk->rules->messages->settings.transport == TRANSPORT_DATAGRAMS) {
        status = report_datagrams(talk, verbose);
    }
    if (talk->rules->echo != NULL && report_echo(name, talk, verbose) != EXIT_DONE)
        status = EXIT_NETWORK;
    return talk->rules->messages->n_unwritten > 0 ? EXIT_NETWORK : status;
}
