/* SPDX-License-Identifier: MIT */
/*
 * From a failure to a sentence. Most are rows of a table: the error, the circumstances, and a whole sentence with room
 * for the address. The few that name more than the address are functions. A row further up is more special than those
 * below it with the same error, and is taken first.
 */
#include "cli/say.h"

#include "term/escape.h"

#include <errno.h>
#include <sonde/url.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define WHERE_MAX 512
#define WORD_MAX 400
#define SENTENCE_MAX 1024

#define FIRST_FREE_PORT "/proc/sys/net/ipv4/ip_unprivileged_port_start"
#define FIRST_FREE_PORT_DEFAULT 1024

/* Circumstances of a failure, as bits. */
enum {
    ON_UNIX = 1 << 0,
    IN_BIND = 1 << 1,  /* or listen: on the way to a listener */
    IN_LOCAL = 1 << 2, /* bind too, but of the address that a connection is to come from */
    IN_CONNECT = 1 << 3,
    IN_OPTION = 1 << 4,
    IN_LOOKUP = 1 << 5,
    ON_VSOCK = 1 << 6,
};

struct failure {
    const struct sonde_why *why;
    int error; /* positive */
    unsigned circumstances;
    bool parsed;
    struct sonde_url address; /* when parsed */
    char where[WHERE_MAX]; /* the address as the user gave it; behind it the one that was tried, if it adds anything */
    char url[WORD_MAX], subject[WORD_MAX], detail[WORD_MAX];
};

struct row {
    int error;
    unsigned circumstances; /* all of these */
    const char *sentence;   /* with one %s: where */
};

static const struct row rows[] = {
    {EADDRINUSE, ON_UNIX,
     N_("%s is in use: a server answers there already, or something else than a socket is at that path. Give another "
        "path.")},
    {EADDRINUSE, IN_LOCAL,
     N_("%s cannot be connected to from that local address and port: they are in use. Leave the local port to the "
        "kernel, or give another one.")},
    {EADDRINUSE, IN_CONNECT,
     N_("%s cannot be connected to from this local address and port: they are in use. Leave the local port to the "
        "kernel, or give another one.")},
    {EADDRINUSE, 0,
     N_("%s is in use: another socket has this address and port. Give another port (0 lets the kernel choose one), or "
        "see who has it: ss -tlnp")},

    {EADDRNOTAVAIL, ON_VSOCK,
     N_("%s cannot be used here: this machine does not have that CID. vsock://:7007 is the one it has.")},
    {EADDRNOTAVAIL, IN_LOCAL,
     N_("%s cannot be connected to from that local address: no interface of this machine has it. ip address shows "
        "those it has.")},
    {EADDRNOTAVAIL, IN_CONNECT,
     N_("%s cannot be connected to from here: this machine has no local address, or no free local port, for it. ip "
        "address shows the addresses, ss -s how many ports are taken.")},
    {EADDRNOTAVAIL, 0,
     N_("%s cannot be used here: no interface of this machine has this address. ip address shows those it has.")},

    {EACCES, ON_UNIX | IN_BIND, N_("%s cannot be made: you may not write to that folder. Give another path.")},
    {EACCES, ON_UNIX,
     N_("%s cannot be connected to: you may not write to that socket, or not enter its folder. ls -l shows whose it "
        "is.")},
    {EACCES, IN_CONNECT,
     N_("%s may not be connected to: a firewall rule of this machine forbids it, or it is a broadcast address.")},
    {EACCES, 0, N_("%s may not be used: permission denied.")},
    {EPERM, IN_CONNECT, N_("%s may not be connected to: a firewall rule of this machine forbids it.")},
    {EPERM, 0, N_("%s may not be used: operation not permitted.")},

    {ECONNREFUSED, ON_UNIX,
     N_("%s refused the connection: nothing listens there. Its server has ended, or has not started: start it.")},
    {ECONNREFUSED, 0,
     N_("%s refused the connection: nothing listens there. Start the server, or check the address and the port.")},
    {ENOENT, ON_UNIX | IN_BIND,
     N_("%s cannot be made: its folder is not there. Make the folder, or give another path.")},
    {ENOENT, ON_UNIX, N_("%s is not there: nothing has that path or name. Start the server, or check the path.")},
    {ENOTDIR, ON_UNIX, N_("%s is no path: a part of it before the last is not a folder. Check the path.")},
    {ELOOP, ON_UNIX, N_("%s is no path: its symbolic links go round in a circle. Check the path.")},
    {ENAMETOOLONG, ON_UNIX, N_("%s is too long: the path of a UNIX socket is at most 107 bytes. Give a shorter one.")},
    {EROFS, ON_UNIX, N_("%s cannot be made: that file system is read-only. Give another path.")},
    {EAGAIN, ON_UNIX, N_("%s has no room: its accept queue is full, so its server is not accepting. Try again later.")},
    {EPROTOTYPE, ON_UNIX,
     N_("%s is a socket of another type: of a stream (unix:), of packets (seqpacket:) or of datagrams (unixgram:). Ask "
        "its "
        "server which it is.")},

    {ETIMEDOUT, IN_LOOKUP,
     N_("%s: looking up its name timed out. Check the network and /etc/resolv.conf, or give a numeric address.")},
    {ETIMEDOUT, IN_CONNECT,
     N_("%s did not answer: connecting timed out. The machine is down, or a firewall drops the packets: check the "
        "address, or try ping.")},
    {ETIMEDOUT, 0,
     N_("%s no longer answers: the connection timed out. The machine or the network between has gone away.")},
    {EHOSTUNREACH, 0,
     N_("%s is unreachable: no route leads to that host, or nothing has that address. Check the address; ip neigh "
        "shows who answers on this network.")},
    {EHOSTDOWN, 0, N_("%s is unreachable: the host is down.")},
    {ENETUNREACH, 0, N_("%s is unreachable: this machine has no route to that network. ip route shows those it has.")},
    {ENETDOWN, 0, N_("%s is unreachable: the network interface is down. ip link shows which are up.")},
    {ECONNRESET, 0,
     N_("%s reset the connection: the other end closed it without reading all, or does not know it any more. Look at "
        "the other end.")},
    {ECONNABORTED, 0, N_("%s ended the connection before it was accepted.")},
    {EPIPE, 0, N_("%s takes no more data: the connection is closed. Look at the other end.")},

    {ENOMEM, 0, N_("%s cannot be used: there is not enough memory.")},
    {ENOBUFS, 0, N_("%s cannot be used: the kernel has no memory left for buffers.")},
    {ENFILE, 0, N_("%s cannot be used: too many files are open in the whole system (fs.file-max).")},

    {EPROTONOSUPPORT, 0,
     N_("%s cannot be used: this kernel does not have that protocol, or it is turned off. sctp:// needs its "
        "module sctp, and mptcp=1 the sysctl net.mptcp.enabled.")},
    {ESOCKTNOSUPPORT, 0, N_("%s cannot be used: this kernel does not have that type of socket.")},
    {EAFNOSUPPORT, IN_LOOKUP,
     N_("%s is an address of the other family: -4 is for IPv4, -6 for IPv6. Leave that option out, or give another "
        "address.")},
    {EAFNOSUPPORT, 0,
     N_("%s cannot be used: this machine does not have that kind of address; perhaps IPv6 is turned off. Give another "
        "address.")},
    {ENODEV, 0, N_("%s cannot be used: there is no such network interface. ip link shows those there are.")},
    {EINVAL, IN_CONNECT,
     N_("%s cannot be connected to: the kernel does not accept this address, or not from that local address. Check "
        "both.")},
    {EINVAL, 0, N_("%s cannot be used: the kernel does not accept this address here. Check the address and the port.")},
};

static void escape_text(const char *text, char *ret_text)
{
    escape_short(text, strlen(text), ret_text, WORD_MAX);
}

/* A listener binds the port of its URL. Anything else is bound on behalf of ?bind= or the like. */
static bool is_local_address(const struct failure *failure)
{
    char port[8];
    if (!failure->parsed || failure->address.port == 0 || failure->subject[0] == '\0')
        return false;
    int n = snprintf(port, sizeof port, ":%u", failure->address.port);
    size_t n_subject = strlen(failure->subject);
    return n_subject < (size_t)n || strcmp(failure->subject + n_subject - n, port) != 0;
}

static bool is_unix(enum sonde_scheme scheme)
{
    return scheme == SONDE_SCHEME_UNIX || scheme == SONDE_SCHEME_UNIXGRAM || scheme == SONDE_SCHEME_SEQPACKET;
}

static unsigned find_circumstances(const struct failure *failure)
{
    static const struct {
        const char *call;
        unsigned bit;
    } calls[] = {
        {"bind", IN_BIND},         {"listen", IN_BIND},        {"connect", IN_CONNECT},
        {"setsockopt", IN_OPTION}, {"getaddrinfo", IN_LOOKUP},
    };
    unsigned bits = 0;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (strcmp(calls[i].call, failure->why->call) == 0)
            bits |= calls[i].bit;
    }
    if (failure->parsed && is_unix(failure->address.scheme))
        return bits | ON_UNIX;
    if (failure->parsed && failure->address.scheme == SONDE_SCHEME_VSOCK)
        bits |= ON_VSOCK;
    if (bits == IN_BIND && is_local_address(failure))
        return IN_LOCAL;
    return bits;
}

/* Is the address that was tried worth to be shown beside the one that was given? */
static bool adds(const struct failure *failure)
{
    if (failure->subject[0] == '\0' || failure->circumstances & (IN_OPTION | ON_UNIX))
        return false;
    return failure->circumstances & IN_LOCAL || !strstr(failure->url, failure->subject);
}

static void find_failure(const char *url, const struct sonde_why *why, struct failure *ret_failure)
{
    *ret_failure = (struct failure){.why = why, .error = -why->code};
    escape_text(url ? url : "", ret_failure->url);
    escape_text(why->subject, ret_failure->subject);
    escape_text(why->detail, ret_failure->detail);
    ret_failure->parsed = url && sonde_url_parse(url, &ret_failure->address, NULL) == 0;
    ret_failure->circumstances = find_circumstances(ret_failure);
    if (!adds(ret_failure))
        snprintf(ret_failure->where, WHERE_MAX, "%s", ret_failure->url);
    else if (ret_failure->url[0] == '\0')
        snprintf(ret_failure->where, WHERE_MAX, "%s", ret_failure->subject);
    else
        snprintf(ret_failure->where, WHERE_MAX, "%.250s (%.250s)", ret_failure->url, ret_failure->subject);
}

/* The sentence, and what the library adds to it. */
static void say_with_detail(const struct failure *failure, const char *sentence)
{
    if (failure->detail[0] != '\0')
        say(_("%s (%s)"), sentence, failure->detail);
    else
        say("%s", sentence);
}

static bool say_row(const struct failure *failure)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned wanted = rows[i].circumstances;
        if (rows[i].error != failure->error || (failure->circumstances & wanted) != wanted)
            continue;
        char sentence[SENTENCE_MAX];
        snprintf(sentence, sizeof sentence, _(rows[i].sentence), failure->where);
        say_with_detail(failure, sentence);
        return true;
    }
    return false;
}

static int first_free_port(void)
{
    int port = FIRST_FREE_PORT_DEFAULT;
    FILE *file = fopen(FIRST_FREE_PORT, "re");
    if (!file)
        return port;
    if (fscanf(file, "%d", &port) != 1)
        port = FIRST_FREE_PORT_DEFAULT;
    fclose(file);
    return port;
}

/* A port that only root may take. */
static bool say_low_port(const struct failure *failure)
{
    if (failure->error != EACCES || !(failure->circumstances & (IN_BIND | IN_LOCAL)) ||
        (failure->circumstances & ON_UNIX))
        return false;
    int free_port = first_free_port();
    if (failure->circumstances & IN_BIND && failure->parsed && failure->address.port >= free_port)
        return false;
    say(_("%s needs a privilege: on this machine ports below %d are for root "
          "(net.ipv4.ip_unprivileged_port_start). Give a port from %d on."),
        failure->where, free_port, free_port);
    return true;
}

static bool say_too_many_files(const struct failure *failure)
{
    struct rlimit limit;
    if (failure->error != EMFILE || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    say(_("%s cannot be used: too many open files; this process may have %llu. Raise the limit: ulimit -Hn"),
        failure->where, (unsigned long long)limit.rlim_cur);
    return true;
}

/* setsockopt refused. The subject is the option as it was given; the detail, what to try. */
static bool say_option(const struct failure *failure)
{
    if (!(failure->circumstances & IN_OPTION) || failure->subject[0] == '\0')
        return false;
    if (failure->detail[0] != '\0')
        say(_("%s: the kernel refused the option %s: %s."), failure->url, failure->subject, failure->detail);
    else
        say(_("%s: the kernel refused the option %s: %s. Give it another value, or leave it out."), failure->url,
            failure->subject, sonde_strerror(-failure->error));
    return true;
}

/* What the address says, and where it is wrong. */
static bool say_misunderstood(const struct failure *failure)
{
    const char *url = failure->url, *subject = failure->subject, *detail = failure->detail;
    switch (failure->error) {
    case SONDE_EURL:
        if (url[0] == '\0')
            say(_("an empty text is not an address: the shortest is a port, as in :7007."));
        else if (detail[0] == '\0')
            say(_("%s is not understood as an address. Examples: tcp://127.0.0.1:7007, [::1]:7007, unix:/run/x.sock"),
                url);
        else if (subject[0] == '\0' || strcmp(subject, url) == 0)
            say(_("%s is not understood as an address: %s."), url, detail);
        else
            say(_("%s is not understood as an address, because of \"%s\": %s."), url, subject, detail);
        return true;
    case SONDE_EOPTION:
        if (detail[0] == '\0')
            say(_("%s: the option \"%s\" is not understood. Options stand behind a question mark: ?nodelay=1"), url,
                subject);
        else if (detail[strlen(detail) - 1] == '?')
            say(_("%s: the option \"%s\" is not understood; %s"), url, subject, detail);
        else
            say(_("%s: the option \"%s\" is not understood: %s."), url, subject, detail);
        return true;
    case SONDE_ESCHEME:
        if (detail[0] == '\0')
            say(_("%s: this kind of address is not built yet. Those that are: man sonde-url"), url);
        else
            say(_("%s: this kind of address is not built yet: %s."), url, detail);
        return true;
    }
    return false;
}

static bool say_name(const struct failure *failure)
{
    const char *url = failure->url, *name = failure->subject[0] != '\0' ? failure->subject : failure->url;
    if (failure->error == SONDE_ENAMELATER && failure->detail[0] != '\0')
        say(_("%s: the name %s cannot be looked up: %s. Check the network and /etc/resolv.conf, try again, or give a "
              "numeric address."),
            url, name, failure->detail);
    else if (failure->error == SONDE_ENAMELATER)
        say(_("%s: no name server answered for the name %s. Check the network and /etc/resolv.conf, try again, or give "
              "a numeric address."),
            url, name);
    else if (failure->error != SONDE_ENAME)
        return false;
    else if (failure->detail[0] != '\0')
        say(_("%s: the name %s does not resolve: %s. Give a numeric address."), url, name, failure->detail);
    else
        say(_("%s: the name %s does not resolve to an address. Check its spelling, or give a numeric address."), url,
            name);
    return true;
}

/* What the library itself refused says best why. */
static bool say_refused_here(const struct failure *failure)
{
    if (failure->error != EINVAL || failure->detail[0] == '\0')
        return false;
    say(_("%s cannot be used: %s."), failure->where, failure->detail);
    return true;
}

static bool say_engine(const struct failure *failure)
{
    const struct sonde_why *why = failure->why;
    if (failure->error != SONDE_EENGINE && strncmp(why->call, "io_uring", strlen("io_uring")) != 0 &&
        strncmp(why->call, "epoll", strlen("epoll")) != 0)
        return false;
    /* Of an engine that was asked for, the detail is all that was said. */
    if (failure->error == SONDE_EENGINE && why->detail[0] != '\0')
        say(_("this engine is not available here: %s failed: %s. Leave out --engine, and sonde takes one that works."),
            why->call, why->detail);
    else if (why->detail[0] != '\0')
        say(_("this engine is not available here: %s failed: %s (%s). Leave out --engine, and sonde takes one that "
              "works."),
            why->call, sonde_strerror(why->code), why->detail);
    else
        say(_("this engine is not available here: %s failed: %s. Leave out --engine, and sonde takes one that works."),
            why->call, sonde_strerror(why->code));
    return true;
}

static void say_anything(const struct failure *failure)
{
    char sentence[SENTENCE_MAX];
    const char *call = failure->why->call, *words = sonde_strerror(failure->why->code),
               *name = sonde_error_name(failure->why->code);
    if (failure->where[0] != '\0')
        snprintf(sentence, sizeof sentence, _("%s: %s failed: %s [%s]."), failure->where, call, words, name);
    else
        snprintf(sentence, sizeof sentence, _("%s failed: %s [%s]."), call, words, name);
    say_with_detail(failure, sentence);
}

enum exit_status say_why(const char *url, const struct sonde_why *why)
{
    struct failure failure;
    find_failure(url, why, &failure);
    if (say_misunderstood(&failure))
        return EXIT_MISUSE;
    bool said = say_name(&failure) || say_engine(&failure) || say_option(&failure) || say_low_port(&failure) ||
                say_too_many_files(&failure) || say_refused_here(&failure);
    if (!said && failure.where[0] != '\0')
        said = say_row(&failure);
    if (!said)
        say_anything(&failure);
    return EXIT_NETWORK;
}
