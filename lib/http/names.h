/* SPDX-License-Identifier: MIT */
/*
 * Who may ask, and by which name: the guard against pages from elsewhere. Pure.
 *
 * A browser sends a page's requests wherever the page wants, also to this machine. It says from where the page is
 * (Origin), and by which name it has come here (Host); a page can't change either. So a request is taken only when its
 * Host is exactly one of our names, without which a name that its owner lets point here (DNS rebinding) would make that
 * page one of ours, and when its Origin, if there is one, is one of our names too, or is allowed. Newer browsers say
 * Sec-Fetch-Site where they say no Origin (a picture, a link); that is looked at as well.
 */
#ifndef HTTP_NAMES_H
#define HTTP_NAMES_H

#include "http/head.h"

#include <sonde/address.h>

struct http_names {
    const struct sonde_address *addresses; /* with their ports; loopback ones are localhost too */
    unsigned n_addresses;
    const char *own;          /* the name that it listens by, with any of these ports; NULL: none */
    bool is_local;            /* no network: localhost, 127.0.0.1 and [::1], with any port */
    uint16_t default_port;    /* of a Host without one: 80, or 443 */
    bool has_http, has_https; /* which pages there may be at our own names; those of `more` may stand behind a proxy */
    const char *const *more;  /* as sonde_web_server.hosts; NULL: none */
    const char *const *origins;
};

/* 0; -SONDE_EHTTP (a Host that is missing, doubled or malformed), -SONDE_EHOST, -SONDE_EORIGIN: then *ret_refusal is
 * the answer, and *ret_value the text that it was about, "" for none; as it came. */
int http_guard(const struct sonde_http_request *request, const struct http_names *names,
               const struct http_refusal **ret_refusal, const char **ret_value);

/* The path of a request's target, with its query: behind the authority, when it is a whole URL. Its length reaches to
 * the text's end. "*" is itself. */
const char *http_target_path(const char *target);

#endif
