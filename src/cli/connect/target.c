/* SPDX-License-Identifier: MIT */
/* Operands and the options about addresses -> where to connect, and from where. */
#include "cli/connect/connect_internal.h"
#include "cli/say.h"
#include "term/escape.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define BIND_URL_MAX 512
#define LISTEN_DEFAULT "tcp://127.0.0.1:7007"
#define LISTEN_DEFAULT_PORT "7007"

static bool refuse(int *ret_status)
{
    *ret_status = EXIT_MISUSE;
    return false;
}

static bool refuse_why(const char *given, const struct sonde_why *why, int *ret_status)
{
    *ret_status = (int)say_why(given, why);
    return false;
}

/* --bind, -s and -p are the URL's option `bind` by other names, so its parser is asked. */
static bool set_source(const struct connect_settings *settings, struct sonde_url *url, int *ret_status)
{
    char text[128], source_url[BIND_URL_MAX];
    struct sonde_url source;
    struct sonde_why why;
    bool apart = settings->source_address != NULL || settings->source_port != NULL;

    if (settings->bind == NULL && !apart)
        return true;
    if (settings->bind != NULL && apart) {
        say(_("--bind says what -s and -p say together: give the one or the others."));
        return refuse(ret_status);
    }
    if (url->scheme == SONDE_SCHEME_UNIX || url->scheme == SONDE_SCHEME_UNIXGRAM ||
        url->scheme == SONDE_SCHEME_SEQPACKET) {
        say(_("a UNIX socket has no local address to choose: leave out --bind, -s and -p."));
        return refuse(ret_status);
    }
    const char *address = apart ? settings->source_address : settings->bind;
    if (!bind_text(address, settings->source_port, text, sizeof text) ||
        !bind_url(text, source_url, sizeof source_url)) {
        say(_("the local address is too long. It is an address, a port, or both: 127.0.0.2, :5000, [::1]:5000."));
        return refuse(ret_status);
    }
    if (sonde_url_parse(source_url, &source, &why) < 0)
        return refuse_why(text, &why, ret_status);
    url->option[SONDE_OPT_BIND] = source.option[SONDE_OPT_BIND];
    url->n_set |= 1u << SONDE_OPT_BIND;
    return true;
}

static bool parse_one(const char *operand, struct connect_target *target, int *ret_status)
{
    struct sonde_why why;

    target->given = operand;
    escape_short(operand, strlen(operand), target->name, sizeof target->name);
    if (sonde_url_parse(operand, &target->url, &why) < 0)
        return refuse_why(operand, &why, ret_status);
    return true;
}

static bool parse_two(const struct connect_settings *settings, const char *host, const char *port,
                      struct connect_target *target, int *ret_status)
{
    char shown[64];
    struct sonde_why why;
    struct port_range range;
    bool is_range = strchr(port, '-') != NULL && port_range_parse(port, &range);

    escape_short(port, strlen(port), shown, sizeof shown);
    if (is_range && !settings->scan) {
        say(_("a range of ports is for -z, which only looks which of them answer: sonde connect -z HOST %s"), shown);
        return refuse(ret_status);
    }
    if (is_range)
        target->ports = range;
    if (sonde_url_from_host_port(host, is_range ? "1" : port, &target->url, &why) < 0) {
        snprintf(target->name, sizeof target->name, "%s %s", host, port);
        return refuse_why(target->name, &why, ret_status);
    }
    if (is_range)
        target->url.port = range.first;
    sonde_url_format(&target->url, target->name, sizeof target->name);
    target->given = target->name;
    return true;
}

/* -l: the address may also be given with -s and -p, as nc has it; without any it is the one that serve has. */
static bool make_listening(const struct connect_settings *settings, int n_operands, char **operands,
                           struct connect_target *target, int *ret_status)
{
    const char *host = settings->source_address, *port = settings->source_port;
    unsigned n_given = (unsigned)n_operands + (host != NULL) + (port != NULL);

    if (n_given > 2) {
        say(_("-l listens on one address: sonde connect -l PORT, -l HOST PORT, -l URL; -s and -p may name them, too."));
        return refuse(ret_status);
    }
    if (n_operands == 1 && host != NULL)
        port = operands[0];
    else if (n_operands == 1 && port != NULL)
        host = operands[0];
    if (host == NULL && port == NULL)
        return n_operands == 2 ? parse_two(settings, operands[0], operands[1], target, ret_status)
                               : parse_one(n_operands == 1 ? operands[0] : LISTEN_DEFAULT, target, ret_status);
    return parse_two(settings, host != NULL ? host : "", port != NULL ? port : LISTEN_DEFAULT_PORT, target, ret_status);
}

static bool has_host_and_port(const struct sonde_url *url)
{
    return url->scheme == SONDE_SCHEME_TCP || url->scheme == SONDE_SCHEME_UDP || url->scheme == SONDE_SCHEME_SCTP;
}

/* -n: a name would be looked up, and that is not wanted. */
static bool is_number(const struct sonde_url *url)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST}, *found;

    if (!has_host_and_port(url) || url->host[0] == '\0' || strcmp(url->host, "*") == 0)
        return true;
    if (getaddrinfo(url->host, NULL, &hints, &found) != 0)
        return false;
    freeaddrinfo(found);
    return true;
}

static bool make_either(const struct connect_settings *settings, int n_operands, char **operands,
                        struct connect_target *target, int *ret_status)
{
    if (settings->listen) {
        if (!make_listening(settings, n_operands, operands, target, ret_status))
            return false;
        if (!settings->numeric || is_number(&target->url))
            return true;
        say(_("%s is a name, and -n looks none up: give a number."), target->name);
        return refuse(ret_status);
    }
    if (n_operands == 0) {
        say(_("connect to which address? For example: sonde connect tcp://127.0.0.1:%d"), SONDE_DEFAULT_PORT);
        return refuse(ret_status);
    }
    if (n_operands == 1 ? !parse_one(operands[0], target, ret_status)
                        : !parse_two(settings, operands[0], operands[1], target, ret_status))
        return false;
    if (has_host_and_port(&target->url) && target->url.port == 0) {
        say(_("%s has port 0, which lets a server take any: give the port that it has got."), target->name);
        return refuse(ret_status);
    }
    return set_source(settings, &target->url, ret_status);
}

/* -u: host and port are those of UDP. */
static bool make_udp(const struct connect_settings *settings, struct connect_target *target, int *ret_status)
{
    if (!settings->udp || target->url.scheme == SONDE_SCHEME_UDP)
        return true;
    if (target->url.scheme != SONDE_SCHEME_TCP || target->url.layers != 0) {
        say(_("-u is for a host and a port; %s says already what it is."), target->name);
        return refuse(ret_status);
    }
    target->url.scheme = SONDE_SCHEME_UDP;
    sonde_url_format(&target->url, target->name, sizeof target->name);
    target->given = target->name;
    return true;
}

bool connect_target_make(const struct connect_settings *settings, int n_operands, char **operands,
                         struct connect_target *ret_target, int *ret_status)
{
    *ret_target = (struct connect_target){.ports = {0, 0}};
    if (n_operands > 2) {
        say(_("connect takes one address, a URL or a host and a port, and this is more than that."));
        return refuse(ret_status);
    }
    if (settings->only_ipv4 && settings->only_ipv6) {
        say(_("-4 and -6 together leave no address: give one of them, or none."));
        return refuse(ret_status);
    }
    if (!make_either(settings, n_operands, operands, ret_target, ret_status) ||
        !make_udp(settings, ret_target, ret_status))
        return false;
    ret_target->transport = transport_of(&ret_target->url);
    return connect_proxy_make(settings, ret_target, ret_status) &&
           connect_messages_check(settings, ret_target, ret_status) &&
           connect_websocket_make(settings, ret_target, ret_status) &&
           connect_tls_make(settings, ret_target, ret_status);
}

void connect_target_free(struct connect_target *target)
{
    header_list_free(&target->headers);
    sonde_tls_free(target->tls);
}

int connect_family(const struct connect_settings *settings)
{
    return settings->only_ipv4 ? AF_INET : settings->only_ipv6 ? AF_INET6 : AF_UNSPEC;
}

struct sonde_connect_options connect_options_of(const struct connect_settings *settings,
                                                const struct connect_target *target)
{
    return (struct sonde_connect_options){
        .size = sizeof(struct sonde_connect_options),
        .timeout_ns = settings->wait_ns,
        .family = connect_family(settings),
        .numeric = settings->numeric,
        .proxy = target->has_proxy ? &target->proxy : NULL,
        .tls = target->tls,
        .ws = &target->ws,
    };
}
