/* SPDX-License-Identifier: MIT */
#include "cli/connect/attempts.h"

#include "cli/say.h"
#include "term/escape.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_SECOND 1e9
#define WORD_MAX 400

void attempts_take(struct attempts *attempts, struct sonde_stream *stream)
{
    unsigned n = sonde_stream_attempts(stream, attempts->list, SONDE_ATTEMPTS_MAX);

    attempts->n = n < SONDE_ATTEMPTS_MAX ? n : SONDE_ATTEMPTS_MAX;
    attempts->over_ns = sonde_loop_now_ns(sonde_stream_loop(stream));
}

static bool is_silent(const struct sonde_attempt *attempt)
{
    return attempt->end_ns == 0 || attempt->error == -ETIMEDOUT;
}

static bool stands(const struct sonde_attempt *attempt)
{
    return attempt->error == 0 && attempt->end_ns != 0;
}

static double seconds_of(const struct attempts *attempts, const struct sonde_attempt *attempt)
{
    int64_t end_ns = attempt->end_ns != 0 ? attempt->end_ns : attempts->over_ns;

    return end_ns > attempt->start_ns ? (double)(end_ns - attempt->start_ns) / NS_PER_SECOND : 0;
}

void attempts_tell(const struct attempts *attempts)
{
    char address[SONDE_ADDRESS_TEXT];

    for (unsigned i = 0; i < attempts->n && attempts->n > 1; i++) {
        const struct sonde_attempt *attempt = &attempts->list[i];
        double seconds = seconds_of(attempts, attempt);
        if (stands(attempt))
            continue;
        sonde_address_format(&attempt->address, address, sizeof address);
        if (is_silent(attempt))
            say(_("%s: no answer after %.3f s."), address, seconds);
        else
            say(_("%s: %s after %.3f s."), address, sonde_strerror(attempt->error), seconds);
    }
}

static int format_one(const struct attempts *attempts, const struct sonde_attempt *attempt, char *ret_text,
                      size_t size_bytes)
{
    char address[SONDE_ADDRESS_TEXT];

    sonde_address_format(&attempt->address, address, sizeof address);
    if (is_silent(attempt))
        return snprintf(ret_text, size_bytes, _("%s timed out after %.1f s"), address, seconds_of(attempts, attempt));
    return snprintf(ret_text, size_bytes, "%s %s", address, sonde_strerror(attempt->error));
}

bool attempts_format(const struct attempts *attempts, char *ret_text, size_t size_bytes)
{
    size_t n = 0;

    if (attempts->n < 2)
        return false;
    for (unsigned i = 0; i < attempts->n && i < ATTEMPTS_SHOWN; i++) {
        char one[SONDE_ADDRESS_TEXT + 96];
        format_one(attempts, &attempts->list[i], one, sizeof one);
        int length = snprintf(ret_text + n, size_bytes - n, i > 0 ? ", %s" : "%s", one);
        if (length < 0 || (size_t)length >= size_bytes - n)
            return true; /* cut: ATTEMPTS_TEXT is longer than any */
        n += (size_t)length;
    }
    if (attempts->n > ATTEMPTS_SHOWN)
        snprintf(ret_text + n, size_bytes - n, _(", and %u more"), attempts->n - ATTEMPTS_SHOWN);
    return true;
}

/* What the failures have in common. */
enum {
    REFUSED = 1 << 0,
    SILENT = 1 << 1,
    UNREACHABLE = 1 << 2,
    OTHER = 1 << 3,
};

static unsigned kind_of(const struct sonde_attempt *attempt)
{
    if (is_silent(attempt))
        return SILENT;
    switch (-attempt->error) {
    case ECONNREFUSED:
        return REFUSED;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
        return UNREACHABLE;
    default:
        return OTHER;
    }
}

bool attempts_differ(const struct attempts *attempts)
{
    for (unsigned i = 1; i < attempts->n; i++)
        if (attempts->list[i].error != attempts->list[0].error)
            return true;
    return false;
}

bool attempts_say(const struct attempts *attempts, const char *given, const struct sonde_why *why)
{
    char list[ATTEMPTS_TEXT + WORD_MAX], url[WORD_MAX], detail[WORD_MAX];
    unsigned kinds = 0;

    /* The same fault before each connect (an option, the local address, the limit of open files): one sentence is about
     * that. */
    if ((strcmp(why->call, "connect") != 0 && !attempts_differ(attempts)) ||
        !attempts_format(attempts, list, sizeof list))
        return false;
    if (why->detail[0] != '\0') {
        escape_short(why->detail, strlen(why->detail), detail, sizeof detail);
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, " (%s)", detail);
    }
    escape_short(given, strlen(given), url, sizeof url);
    for (unsigned i = 0; i < attempts->n; i++) {
        if (stands(&attempts->list[i])) /* what failed came later: a proxy, or an option */
            return false;
        kinds |= kind_of(&attempts->list[i]);
    }
    if (kinds == REFUSED)
        say(_("%s cannot be connected to: %s. Nothing listens there: start the server, or check the address and the "
              "port."),
            url, list);
    else if (kinds == SILENT)
        say(_("%s did not answer: %s. The machine is down, or a firewall drops the packets: check the address, or try "
              "ping."),
            url, list);
    else if (kinds == UNREACHABLE)
        say(_("%s is unreachable: %s. Check the address; ip route and ip -6 route show where this machine can send."),
            url, list);
    else if (kinds == (REFUSED | UNREACHABLE))
        say(_("%s cannot be connected to: %s. Where it was refused nothing listens: start the server, or check the "
              "address and the port."),
            url, list);
    else
        say(_("%s cannot be connected to: %s. Check the address, the port and the network: ping and ip route show who "
              "can be reached."),
            url, list);
    return true;
}
