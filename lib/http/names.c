/* SPDX-License-Identifier: MIT */
#include "http/names.h"

#include "http/field.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* HOST[:PORT], taken apart. */
struct authority {
    char host[256]; /* a name in lower case without a dot at its end */
    int family;     /* of a numeric one; 0: a name */
    uint8_t ip[16];
    int port; /* -1: none is given */
};

static const struct http_refusal no_host = {400, "A request needs exactly one Host."};
static const struct http_refusal bad_host = {400, "The Host is malformed."};
static const struct http_refusal wrong_host = {421, "This service does not go by that name (Host)."};
static const struct http_refusal wrong_origin = {403, "Pages from elsewhere (Origin) are not let in here."};

/* --- taking apart ----------------------------------------------------------------------------------------------- */

static bool parse_port(const char *text, size_t n_bytes, int *ret_port)
{
    int port = 0;

    if (n_bytes == 0 || n_bytes > 5)
        return false;
    for (size_t i = 0; i < n_bytes; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (text[i] - '0');
    }
    *ret_port = port;
    return port <= 65535;
}

static bool parse_name(struct authority *authority)
{
    size_t n = strlen(authority->host);

    if (n > 1 && authority->host[n - 1] == '.')
        authority->host[--n] = '\0';
    for (size_t i = 0; i < n; i++) {
        char *c = &authority->host[i];
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c | 0x20);
        if (!(*c >= 'a' && *c <= 'z') && !(*c >= '0' && *c <= '9') && *c != '-' && *c != '.' && *c != '_')
            return false;
    }
    authority->family = inet_pton(AF_INET, authority->host, authority->ip) == 1 ? AF_INET : 0;
    return true;
}

static bool parse_authority(const char *text, size_t n_bytes, struct authority *ret)
{
    const char *end = text + n_bytes, *host_end, *colon;
    bool is_ipv6 = n_bytes > 0 && text[0] == '[';

    *ret = (struct authority){.port = -1};
    if (is_ipv6) {
        host_end = memchr(text, ']', n_bytes);
        if (host_end == NULL)
            return false;
        text++;
        colon = host_end + 1;
    } else {
        colon = memchr(text, ':', n_bytes);
        colon = host_end = colon != NULL ? colon : end;
    }
    if (colon != end && (*colon != ':' || !parse_port(colon + 1, (size_t)(end - colon - 1), &ret->port)))
        return false;
    if (host_end == text || (size_t)(host_end - text) >= sizeof ret->host)
        return false;
    memcpy(ret->host, text, (size_t)(host_end - text));
    if (memchr(ret->host, '\0', (size_t)(host_end - text)) != NULL)
        return false;
    if (!is_ipv6)
        return parse_name(ret);
    ret->family = AF_INET6;
    return inet_pton(AF_INET6, ret->host, ret->ip) == 1;
}

/* --- comparing -------------------------------------------------------------------------------------------------- */

/* An IPv4 address that is written as an IPv6 one is one. */
static const uint8_t *plain_ip(int family, const uint8_t *ip, int *ret_family)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    *ret_family = family;
    if (family != AF_INET6 || memcmp(ip, mapped, sizeof mapped) != 0)
        return ip;
    *ret_family = AF_INET;
    return ip + sizeof mapped;
}

static bool same_ip(int family, const uint8_t *ip, int other_family, const uint8_t *other_ip)
{
    ip = plain_ip(family, ip, &family);
    other_ip = plain_ip(other_family, other_ip, &other_family);
    return family == other_family && memcmp(ip, other_ip, family == AF_INET ? 4 : 16) == 0;
}

static bool is_loopback(const struct sonde_address *address)
{
    static const uint8_t one[16] = {[15] = 1};
    int family;
    const uint8_t *ip = plain_ip(address->family, address->u.ip, &family);

    return family == AF_INET ? ip[0] == 127 : family == AF_INET6 && memcmp(ip, one, sizeof one) == 0;
}

static bool is_address(const struct authority *authority, int port, const struct http_names *names)
{
    for (unsigned i = 0; i < names->n_addresses; i++) {
        const struct sonde_address *own = &names->addresses[i];
        if (own->port != port || (own->family != AF_INET && own->family != AF_INET6))
            continue;
        if (authority->family != 0 ? same_ip(authority->family, authority->ip, own->family, own->u.ip)
                                   : is_loopback(own) && strcmp(authority->host, "localhost") == 0)
            return true;
        if (names->own != NULL && authority->family == 0 && strcasecmp(authority->host, names->own) == 0)
            return true;
    }
    return false;
}

static bool is_localhost(const struct authority *authority)
{
    struct sonde_address address = {.family = (uint16_t)authority->family};

    memcpy(address.u.ip, authority->ip, sizeof authority->ip);
    return authority->family != 0 ? is_loopback(&address) : strcmp(authority->host, "localhost") == 0;
}

/* Of the host alone. */
static bool same_host(const struct authority *a, const struct authority *b)
{
    if (a->family != 0 || b->family != 0)
        return a->family != 0 && b->family != 0 && same_ip(a->family, a->ip, b->family, b->ip);
    return strcmp(a->host, b->host) == 0;
}

static bool is_among(const struct authority *authority, int port, const char *const *more)
{
    struct authority other;

    for (; more != NULL && *more != NULL; more++)
        if (parse_authority(*more, strlen(*more), &other) && same_host(authority, &other) &&
            (other.port < 0 || other.port == port))
            return true;
    return false;
}

static bool has_asterisk(const char *const *list)
{
    for (; list != NULL && *list != NULL; list++)
        if (strcmp(*list, "*") == 0)
            return true;
    return false;
}

static int port_of(const struct authority *authority, int default_port)
{
    return authority->port >= 0 ? authority->port : default_port;
}

static bool is_own(const struct authority *authority, int default_port, const struct http_names *names)
{
    return (names->is_local && is_localhost(authority)) ||
           is_address(authority, port_of(authority, default_port), names);
}

/* --- Host ------------------------------------------------------------------------------------------------------- */

/* Behind "http://" and the like; NULL: the target is no whole URL. */
static const char *target_authority(const char *target)
{
    const char *colon = strstr(target, "://");

    return target[0] != '/' && colon != NULL && colon == target + strcspn(target, ":/?") ? colon + 3 : NULL;
}

const char *http_target_path(const char *target)
{
    const char *authority = target_authority(target);

    return authority != NULL ? authority + strcspn(authority, "/?") : target;
}

static int check_host(const char *text, size_t n_bytes, const struct http_names *names, struct authority *ret_host,
                      const struct http_refusal **ret_refusal)
{
    if (!parse_authority(text, n_bytes, ret_host)) {
        *ret_refusal = &bad_host;
        return -SONDE_EHTTP;
    }
    if (has_asterisk(names->more) || is_own(ret_host, names->default_port, names) ||
        is_among(ret_host, port_of(ret_host, names->default_port), names->more))
        return 0;
    *ret_refusal = &wrong_host;
    return -SONDE_EHOST;
}

static int guard_host(const struct sonde_http_request *request, const struct http_names *names,
                      struct authority *ret_host, const struct http_refusal **ret_refusal, const char **ret_value)
{
    unsigned n_hosts = http_header_count(request, "Host");
    const char *authority = target_authority(request->target);

    *ret_value = "";
    if (n_hosts > 1 || (n_hosts == 0 && request->version > 10)) {
        *ret_refusal = &no_host;
        return -SONDE_EHTTP;
    }
    if (n_hosts == 0 && authority == NULL)
        return 0; /* HTTP/1.0, which no browser speaks */
    if (n_hosts > 0) {
        *ret_value = sonde_http_header(request, "Host");
        int error = check_host(*ret_value, strlen(*ret_value), names, ret_host, ret_refusal);
        if (error < 0 || authority == NULL)
            return error;
    }
    *ret_value = request->target;
    return check_host(authority, strcspn(authority, "/?"), names, ret_host, ret_refusal);
}

/* --- Origin ----------------------------------------------------------------------------------------------------- */

/* The port that goes without saying; 0: it is no origin of a page on the web. */
static int parse_origin(const char *text, struct authority *ret_authority)
{
    bool is_http = strncasecmp(text, "http://", 7) == 0, is_https = strncasecmp(text, "https://", 8) == 0;
    const char *rest = text + (is_http ? 7 : 8);

    if ((!is_http && !is_https) || !parse_authority(rest, strlen(rest), ret_authority))
        return 0;
    return is_http ? 80 : 443;
}

static bool is_allowed(const char *origin, const char *const *origins)
{
    struct authority asking, allowed;
    int asking_port = parse_origin(origin, &asking), allowed_port;

    if (has_asterisk(origins))
        return true;
    for (; origins != NULL && *origins != NULL; origins++) {
        if (strcasecmp(origin, *origins) == 0 && strcmp(origin, "null") != 0)
            return true;
        allowed_port = parse_origin(*origins, &allowed);
        if (asking_port != 0 && asking_port == allowed_port && same_host(&asking, &allowed) &&
            port_of(&asking, asking_port) == port_of(&allowed, allowed_port))
            return true;
    }
    return false;
}

/* host: the request's, checked; with hosts "*" it is the only one that a page may come from. */
static bool is_from_here(const char *origin, const struct authority *host, const struct http_names *names)
{
    struct authority asking;
    int default_port = parse_origin(origin, &asking);

    if (default_port == 0)
        return false;
    if ((default_port == 443 ? names->has_https : names->has_http) && is_own(&asking, default_port, names))
        return true;
    if (is_among(&asking, port_of(&asking, default_port), names->more))
        return true;
    return has_asterisk(names->more) && host->host[0] != '\0' && same_host(&asking, host) &&
           port_of(&asking, default_port) == port_of(host, names->default_port);
}

static int guard_origin(const struct sonde_http_request *request, const struct http_names *names,
                        const struct authority *host, const char **ret_value)
{
    const char *origin = sonde_http_header(request, "Origin"), *site = sonde_http_header(request, "Sec-Fetch-Site");

    if (origin != NULL) {
        *ret_value = origin;
        if (http_header_count(request, "Origin") > 1)
            return -SONDE_EORIGIN;
        return is_allowed(origin, names->origins) || is_from_here(origin, host, names) ? 0 : -SONDE_EORIGIN;
    }
    if (site == NULL || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0 || has_asterisk(names->origins))
        return 0;
    *ret_value = "";
    return -SONDE_EORIGIN;
}

int http_guard(const struct sonde_http_request *request, const struct http_names *names,
               const struct http_refusal **ret_refusal, const char **ret_value)
{
    struct authority host = {.port = -1};
    const char *value;
    const struct http_refusal *refusal = &wrong_origin;
    int error = guard_host(request, names, &host, &refusal, &value);

    if (error == 0)
        error = guard_origin(request, names, &host, &value);
    if (error == 0)
        return 0;
    *ret_refusal = refusal;
    *ret_value = value;
    return error;
}
