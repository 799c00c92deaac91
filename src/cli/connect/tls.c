/* SPDX-License-Identifier: MIT */
/* TLS: the options, what was agreed on, and what to do when the peer is not to be trusted. */
#include "cli/connect/tls.h"
#include "cli/connect/connect_internal.h"
#include "cli/say.h"
#include "term/escape.h"

#include <stdio.h>
#include <string.h>

#define WORD_MAX 400
#define WHO_MAX 1600

bool connect_tls_make(const struct connect_settings *settings, struct connect_target *target, int *ret_status)
{
    const char *given = tls_first_given(&settings->tls);
    enum exit_status status = EXIT_DONE;
    struct tls_settings all = settings->tls;

    if (!(target->url.layers & (SONDE_LAYER_TLS | SONDE_LAYER_ANY))) {
        if (given == NULL)
            return true;
        say(_("%s is about TLS, which %s does not speak: tls://HOST:PORT does, and wss://HOST:PORT."), given,
            target->name);
        *ret_status = EXIT_MISUSE;
        return false;
    }
    if (settings->listen && all.cacert != NULL)
        all.verify_client = 2; /* whoever says whom to believe wants to know who it is */
    status = tls_check(&all, settings->listen);
    if (status == EXIT_DONE)
        status = tls_make(&all, settings->listen, &target->tls);
    if (status == EXIT_DONE && all.insecure)
        say(_("%s is not verified (--insecure): whoever is on the way can read and change everything."), target->name);
    *ret_status = (int)status;
    return status == EXIT_DONE;
}

void connect_tls_say_listening(const struct connect_target *target, const struct sonde_url *url)
{
    char text[SONDE_URL_MAX];

    sonde_url_format(url, text, sizeof text);
    tls_say_fingerprint(target->tls, text);
}

/* --- -v ------------------------------------------------------------------------------------------------------------
 */

static void append(char *text, size_t size_bytes, const char *before, const char *more)
{
    char shown[WORD_MAX];
    size_t n = strlen(text);

    escape_short(more, strlen(more), shown, sizeof shown);
    if (shown[0] != '\0')
        snprintf(text + n, size_bytes - n, "%s%s", before, shown);
}

void connect_tls_report(const struct sonde_stream *stream)
{
    struct sonde_tls_info info;
    char spoken[WORD_MAX] = "", who[WHO_MAX] = "";

    if (sonde_stream_tls_info(stream, &info) < 0)
        return;
    append(spoken, sizeof spoken, "", info.version);
    append(spoken, sizeof spoken, ", ", info.cipher);
    append(spoken, sizeof spoken, ", ", info.group);
    append(spoken, sizeof spoken, ", ALPN ", info.alpn);
    append(who, sizeof who, "", info.subject[0] != '\0' ? info.subject : info.fingerprint);
    append(who, sizeof who, _(", for "), info.names);
    append(who, sizeof who, _(", issued by "), info.issuer);
    if (who[0] == '\0')
        say(_("%s, in %.1f ms; the peer has shown no certificate."), spoken, (double)info.handshake_ns / 1e6);
    else if (info.verified)
        say(_("%s, in %.1f ms, with %s; verified."), spoken, (double)info.handshake_ns / 1e6, who);
    else
        say(_("%s, in %.1f ms, with %s; not verified."), spoken, (double)info.handshake_ns / 1e6, who);
}

/* --- failures ------------------------------------------------------------------------------------------------------
 */

void connect_tls_keep(const struct sonde_stream *stream, char ret_fingerprint[CONNECT_FINGERPRINT_TEXT])
{
    struct sonde_tls_info info;

    ret_fingerprint[0] = '\0';
    if (sonde_stream_tls_info(stream, &info) == 0)
        snprintf(ret_fingerprint, CONNECT_FINGERPRINT_TEXT, "%s", info.fingerprint);
}

static void say_untrusted(const char *url, const char *detail, const char *fingerprint)
{
    if (fingerprint[0] == '\0')
        say(_("%s is not trusted: %s."), url, detail);
    else if (strstr(detail, "pinned") != NULL)
        say(_("%s is not trusted: %s; the one that was shown has the fingerprint %s. It was renewed, or somebody is in "
              "between: ask its owner."),
            url, detail, fingerprint);
    else
        say(_("%s is not trusted: %s. --cacert FILE names who vouches for it; --pin %s trusts just what was shown, if "
              "its owner tells the same fingerprint; --insecure asks for nothing."),
            url, detail, fingerprint);
}

bool connect_tls_say(const char *given, const struct sonde_why *why, const char *fingerprint)
{
    char url[WORD_MAX], detail[WORD_MAX];

    escape_short(given, strlen(given), url, sizeof url);
    escape_short(why->detail, strlen(why->detail), detail, sizeof detail);
    if (why->code == -SONDE_ECERT)
        say_untrusted(url, detail, fingerprint);
    else if (why->code != -SONDE_ETLS)
        return false;
    else if (strstr(detail, "speaks no TLS") != NULL)
        say(_("%s: %s. Check the port, or leave TLS out: tcp://, ws://."), url, detail);
    else if (strstr(detail, "certificate of this side") != NULL)
        say(_("%s: the TLS handshake failed: %s. --cert FILE and --key FILE show another."), url, detail);
    else if (detail[0] != '\0')
        say(_("%s: the TLS handshake failed: %s."), url, detail);
    else
        say(_("%s: the TLS handshake failed."), url);
    return true;
}
