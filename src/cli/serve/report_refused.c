/* SPDX-License-Identifier: MIT */
#include "cli/serve/report.h"

#include <errno.h>
#include <sonde/error.h>
#include <string.h>

/* Why the other end never became a connection: its PROXY protocol header was not taken, or ... */
static const struct serve_refusal proxy_refusals[] =
    {
        {-EPERM, "not_trusted", "not trusted to send a PROXY header"},
        {-SONDE_EPROXYHEAD, "no_header", "no PROXY header came first"},
        {-ETIMEDOUT, "timeout", "no PROXY header came in time"},
        {-ENOBUFS, "too_many", "too many have not sent their PROXY header yet"},
        {0, "gone", "gone before its PROXY header"},
},
                                  refusals[] = {
                                      {-EPERM, "not_allowed", "not allowed"},
                                      {-SONDE_ETLS, "tls", "the TLS handshake failed"},
                                      {-SONDE_ECERT, "certificate", "its certificate is not trusted"},
                                      {-SONDE_EHTTP, "http", "not the HTTP that was expected"},
                                      {-SONDE_EWS, "websocket", "not the WebSocket that was expected"},
                                      {-SONDE_EORIGIN, "origin", "its Origin is not allowed (--allow-origin)"},
                                      {-SONDE_EHOST, "host", "its Host is not allowed (--allow-host)"},
                                      {-SONDE_EKIND, "kind", "this kind of client is not let in (--any-order)"},
                                      {-ETIMEDOUT, "timeout", "it had not said what it had to in time"},
                                      {-ENOBUFS, "too_many", "too many are not done with their handshakes yet"},
                                      {-ENODATA, "gone", "gone before the handshake was done"},
                                      {-ECONNRESET, "gone", "gone before the handshake was done"},
                                      {-EPIPE, "gone", "gone before the handshake was done"},
                                      {-SONDE_ETRUNCATED, "gone", "gone before the handshake was done"},
                                      {0, "error", NULL},
};

const struct serve_refusal *serve_refusal_of(const struct serve_event *event)
{
    const struct serve_refusal *refusal =
        event->call == NULL || strcmp(event->call, "proxy") == 0 ? proxy_refusals : refusals;

    while (refusal->error != 0 && refusal->error != event->error)
        refusal++;
    return refusal;
}
