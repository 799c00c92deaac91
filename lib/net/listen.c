/* SPDX-License-Identifier: MIT */
/* Opening listeners: from a URL to sockets that listen. Accepting is in listener.c. */
#include "net/address.h"
#include "net/adopt.h"
#include "net/listener_internal.h"
#include "net/packet.h"
#include "net/resolve.h"
#include "net/scheme.h"
#include "net/sockopt.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

enum { PORT_TRIES = 16 }; /* to find a port that is free for both families */

static const struct io_handler leg_handler = {
    .accept = listener_on_accept,
    .work = listener_on_work,
    .closed = listener_on_closed,
    .peer_room = listener_peer_room,
};

void listener_free(struct sonde_listener *listener)
{
    struct sonde_loop *loop = listener->loop;

    sonde_timer_stop(&listener->timer);
    loop_free(loop, listener->waiting, listener->waiting_room * sizeof *listener->waiting);
    headers_free(listener);
    layered_free(listener);
    loop_free(loop, listener, sizeof *listener);
    loop_add_open(loop, -1);
    loop_add_object(loop, -1);
}

static int set_option(void *user, int fd, int level, int name, const void *value, socklen_t n)
{
    return call_setsockopt(user, 0, fd, level, name, value, n);
}

static int fail(struct sonde_why *why, int error, const char *call)
{
    why->code = error;
    why->call = call;
    return error;
}

static int set_flag(struct sonde_loop *loop, int fd, int level, int name)
{
    const int one = 1;

    return call_setsockopt(loop, 0, fd, level, name, &one, sizeof one);
}

static int bind_leg(struct sonde_listener *listener, int fd, const struct sonde_address *address, struct sonde_why *why)
{
    struct sonde_loop *loop = listener->loop;
    struct sockaddr_storage sockaddr;

    if (address->family == AF_UNIX) {
        int error = unix_bind(loop, fd, &listener->url, &listener->name);
        return error < 0 ? fail(why, error, "bind") : 0;
    }
    /* Each family on its own socket: what a two-family socket would answer on depends on a sysctl. */
    if (address->family == AF_INET6)
        set_flag(loop, fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (scheme_has_port(listener->url.scheme) &&
        listener->url.scheme != SONDE_SCHEME_UDP) /* there it would let others take the port */
        set_flag(loop, fd, SOL_SOCKET, SO_REUSEADDR);
    if (listener->flags & SONDE_LISTEN_JOIN)
        set_flag(loop, fd, SOL_SOCKET, SO_REUSEPORT);
    socklen_t n = address_to_sockaddr(address, &sockaddr);
    int error = call_bind(loop, 0, fd, (struct sockaddr *)&sockaddr, n);
    if (error < 0)
        return fail(why, error, "bind");
    if (listener->flags & SONDE_LISTEN_SHARED) {
        error = set_flag(loop, fd, SOL_SOCKET, SO_REUSEPORT);
        if (error < 0)
            return fail(why, error, "setsockopt");
    }
    return 0;
}

/* One socket, bound and listening; its descriptor or an error, which is in why. */
static int open_leg(struct sonde_listener *listener, const struct sonde_address *address, struct sonde_why *why)
{
    struct sonde_loop *loop = listener->loop;
    const struct sonde_url *url = &listener->url;
    int fd = call_socket(loop, address->family, scheme_type(url->scheme), url_protocol(url));
    if (fd < 0)
        return fail(why, fd, "socket");
    int error = sockopt_apply(url, SOCKOPT_LISTEN, fd, address->family, set_option, loop, why);
    if (error == 0) {
        error = packet_prepare(loop, 0, fd, url, address);
        if (error < 0)
            fail(why, error, "setsockopt");
    }
    if (error == 0)
        error = bind_leg(listener, fd, address, why);
    if (error == 0 && listener->group.family != 0)
        error = packet_join(loop, fd, &listener->group, why);
    if (error == 0 && !scheme_is_datagram(url->scheme)) {
        int backlog = sockopt_is_set(url, SONDE_OPT_BACKLOG) ? (int)url->option[SONDE_OPT_BACKLOG].number : SOMAXCONN;
        error = call_listen(loop, fd, backlog);
        if (error < 0)
            fail(why, error, "listen");
    }
    if (error < 0) {
        call_close(loop, 0, fd);
        unix_unbind(&listener->name);
        return error;
    }
    return fd;
}

static void add_leg(struct sonde_listener *listener, int fd, const struct sonde_address *address)
{
    struct leg *leg = &listener->legs[listener->n_legs++];
    struct sockaddr_storage bound;
    socklen_t n = sizeof bound;

    leg->listener = listener;
    leg->family = address->family;
    leg->address = *address;
    if (address->family != AF_UNIX && getsockname(fd, (struct sockaddr *)&bound, &n) == 0)
        address_from_sockaddr((struct sockaddr *)&bound, n, &leg->address);
    io_init(&leg->io, &leg_handler, fd);
}

/* The legs' sockets of datagrams are read, not accepted from. */
static int serve_legs(struct sonde_listener *listener, const struct sonde_listen_options *options)
{
    int error = 0;

    for (unsigned i = 0; i < listener->n_legs && error == 0 && scheme_is_datagram(listener->url.scheme); i++)
        error = packet_serve(&listener->legs[i], options->peer_idle_ns, options->n_peers_max);
    return error;
}

static void close_legs(struct sonde_listener *listener)
{
    while (listener->n_legs > 0) {
        struct leg *leg = &listener->legs[--listener->n_legs];
        packet_unserve(leg);
        call_close(listener->loop, 0, leg->io.fd);
    }
}

/* Open all legs on one port. `implied`: a family that this machine lacks is left out, if there is another. */
static int open_legs(struct sonde_listener *listener, const struct addresses *addresses, struct sonde_why *why)
{
    uint16_t port = listener->url.port;
    int error = -EADDRNOTAVAIL;

    for (unsigned i = 0; i < addresses->n && listener->n_legs < SONDE_LISTENER_MAX; i++) {
        struct sonde_address address = addresses->list[i];
        if (scheme_has_port(listener->url.scheme))
            address.port = port;
        if (address.family == AF_UNIX)
            sonde_url_format(&listener->url, why->subject, sizeof why->subject);
        else
            sonde_address_format(&address, why->subject, sizeof why->subject);
        int fd = open_leg(listener, &address, why);
        if (fd >= 0) {
            add_leg(listener, fd, &address);
            port = listener->legs[listener->n_legs - 1].address.port;
            continue;
        }
        error = fd;
        if (addresses->implied && (error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL))
            continue;
        close_legs(listener);
        return error;
    }
    return listener->n_legs > 0 ? 0 : error;
}

static int open_all(struct sonde_listener *listener, int family, struct sonde_why *why)
{
    struct addresses addresses = {.n = 1, .list = {{.family = AF_UNIX}}};
    const struct sonde_url *url = &listener->url;

    if (sockopt_is_set(url, SONDE_OPT_JOIN)) {
        int error = packet_find_group(url, family, &addresses, &listener->group, why);
        if (error < 0)
            return error;
    } else if (url->scheme == SONDE_SCHEME_VSOCK) {
        int error = address_from_vsock(url, true, &addresses.list[0]);
        if (error < 0)
            return fail(why, error, "bind");
    } else if (!scheme_is_unix(url->scheme)) {
        int error = resolve_at_once(url->host, family, true, &addresses);
        if (error == -SONDE_ENAME)
            error = resolve_blocking(url->host, family, &addresses);
        if (error < 0) {
            snprintf(why->subject, sizeof why->subject, "%.150s", url->host);
            return fail(why, error, "getaddrinfo");
        }
    }
    int error = -EADDRINUSE;
    /* A port that the kernel chose for one family may be taken in the other: choose again. */
    for (int i = 0; i < PORT_TRIES && error == -EADDRINUSE; i++) {
        error = open_legs(listener, &addresses, why);
        if (!scheme_has_port(url->scheme) || url->port != 0)
            break;
    }
    return error;
}

static int open_and_serve(struct sonde_listener *listener, const struct sonde_listen_options *options,
                          struct sonde_why *why)
{
    int error = open_all(listener, options->family, why);

    if (error < 0)
        return error;
    error = serve_legs(listener, options);
    if (error < 0) {
        close_legs(listener);
        unix_unbind(&listener->name);
        fail(why, error, "malloc");
    }
    return error;
}

/* From here on the listener is what it would be if it had been opened here, but for what it leaves behind. */
static void become(struct sonde_listener *listener, const struct adopted *adopted)
{
    struct sonde_url *url = &listener->url;

    url->scheme = adopted->family == AF_UNIX ? SONDE_SCHEME_UNIX : SONDE_SCHEME_TCP;
    url->host[0] = '\0';
    url->path_bytes = adopted->path_bytes;
    memcpy(url->path, adopted->path, sizeof url->path);
    struct sonde_address address = adopted->local;
    address.family = (uint16_t)adopted->family;
    add_leg(listener, adopted->fd, &address);
}

/* Take over a socket that listens already. */
static int adopt(struct sonde_listener *listener, int family, struct sonde_why *why)
{
    const struct sonde_url *url = &listener->url;
    struct adopted adopted;

    int error = adopt_look(url, true, &adopted, why);
    if (error < 0)
        return fail(why, error, "listen");
    if (family != AF_UNSPEC && adopted.family != AF_UNIX && adopted.family != family) {
        snprintf(why->detail, sizeof why->detail, "an %s socket", adopted.family == AF_INET6 ? "IPv6" : "IPv4");
        return fail(why, -EAFNOSUPPORT, "listen");
    }
    error = sockopt_check_family(url, adopted.family, why);
    if (error == 0)
        error = sockopt_apply(url, SOCKOPT_LISTEN, adopted.fd, adopted.family, set_option, listener->loop, why);
    if (error < 0)
        return error;
    if (sockopt_is_set(url, SONDE_OPT_BACKLOG))
        error = call_listen(listener->loop, adopted.fd, (int)url->option[SONDE_OPT_BACKLOG].number);
    if (error == 0)
        error = adopt_take(adopted.fd, true);
    if (error < 0)
        return fail(why, error, "listen");
    become(listener, &adopted);
    return 0;
}

static int open_listener(struct sonde_listener *listener, const struct sonde_listen_options *options,
                         struct sonde_why *why)
{
    if (sockopt_is_set(&listener->url, SONDE_OPT_PROXY)) {
        int error = headers_create(listener, options->trusted, options->n_trusted);
        if (error < 0)
            return fail(why, error, error == -ENOMEM ? "malloc" : "listen");
    }
    if (listener->url.layers != 0) {
        int error = layered_create(listener, options, why);
        if (error < 0)
            return error;
    }
    if (listener->url.scheme == SONDE_SCHEME_FD)
        return adopt(listener, options->family, why);
    return open_and_serve(listener, options, why);
}

int sonde_listen(struct sonde_loop *loop, const struct sonde_url *url, const struct sonde_listen_options *options,
                 const struct sonde_listener_handler *handler, void *owner, struct sonde_listener **ret_listener,
                 struct sonde_why *ret_why)
{
    struct sonde_listen_options known = {.size = sizeof known}; /* what the caller does not know is left 0 */
    struct sonde_why unused, *why = ret_why != NULL ? ret_why : &unused;

    if (options != NULL)
        memcpy(&known, options, options->size < sizeof known ? options->size : sizeof known);
    *why = (struct sonde_why){.call = "listen"};
    int error = sockopt_check(url, SONDE_FOR_LISTEN, why);
    if (error < 0)
        return error;
    struct sonde_listener *listener = loop_alloc(loop, sizeof *listener);
    if (listener == NULL)
        return fail(why, -ENOMEM, "malloc");
    memset(listener, 0, sizeof *listener);
    listener->loop = loop;
    listener->handler = handler;
    listener->owner = owner;
    listener->url = *url;
    listener->flags = known.flags;
    listener->user_bytes = known.user_bytes;
    listener->send_limit = known.send_limit_bytes;
    listener->paused = true;
    sonde_timer_init(&listener->timer, loop, listener_on_timer, listener);
    loop_add_open(loop, +1);
    loop_add_object(loop, +1);
    error = open_listener(listener, &known, why);
    if (error < 0) {
        listener_free(listener);
        return error;
    }
    if (!(listener->flags & SONDE_LISTEN_PAUSED))
        sonde_listener_resume(listener);
    *ret_listener = listener;
    return 0;
}

unsigned sonde_listener_count(const struct sonde_listener *listener)
{
    return listener->n_legs;
}

void sonde_listener_address(const struct sonde_listener *listener, unsigned index, struct sonde_url *ret_url)
{
    struct sonde_url url = listener->url;

    url.n_set = 0;
    memset(url.option, 0, sizeof url.option);
    if (index < listener->n_legs && url.scheme == SONDE_SCHEME_VSOCK)
        url.vsock_port = listener->legs[index].address.u.vsock.port;
    if (index < listener->n_legs && scheme_has_port(url.scheme)) {
        url.port = listener->legs[index].address.port;
        address_format_host(&listener->legs[index].address, url.host, sizeof url.host);
    }
    *ret_url = url;
}

int sonde_listener_queue(const struct sonde_listener *listener, unsigned index, unsigned *ret_length,
                         unsigned *ret_limit)
{
    struct tcp_info info;
    socklen_t n = sizeof info;

    if (index >= listener->n_legs)
        return -EINVAL;
    if (listener->url.scheme != SONDE_SCHEME_TCP)
        return -EOPNOTSUPP;
    if (getsockopt(listener->legs[index].io.fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0)
        return -errno;
    /* For a listener the kernel fills in the accept queue's length and limit here. */
    *ret_length = info.tcpi_unacked;
    *ret_limit = info.tcpi_sacked;
    return 0;
}

int sonde_listener_fd(const struct sonde_listener *listener, unsigned index)
{
    return index < listener->n_legs ? listener->legs[index].io.fd : -1;
}

struct sonde_loop *sonde_listener_loop(const struct sonde_listener *listener)
{
    return listener->loop;
}

void *sonde_listener_owner(const struct sonde_listener *listener)
{
    return listener->owner;
}
