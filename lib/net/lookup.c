/* SPDX-License-Identifier: MIT */
/*
 * Names, asked of the system's files and name servers through c-ares.
 *
 * Theory of operation
 *
 * Where to ask, and in which order, is the system's own configuration (resolv.conf, nsswitch.conf, host.conf), as
 * c-ares reads it. The files are read at once; if they have the name, in whatever family, no server is asked. Servers
 * are asked for one full name after another, as the search list says, but for A and AAAA of the same full name side by
 * side: the search inside c-ares, which goes on for each of the two alone, could bring addresses of two different hosts
 * together. The first full name that has any address ends the search.
 *
 * c-ares opens sockets, and says what it waits for on them; a poll of the loop does the waiting, and its timeouts are a
 * timer of the loop. A descriptor that it closes is really closed once the poll has let go of it. Its answers come
 * inside its own functions, where it may not be destroyed; so they are only noted there, and handed out after it has
 * returned (settle), where the owner may cancel.
 *
 * Each look-up has a channel of its own, so that loops share nothing. ares_library_init is not called: on Linux it only
 * sets, and counts, what is set already, and its counter is shared by all threads. What c-ares itself needs comes from
 * malloc, not from the loop's allocator: it takes none but for the whole process.
 */
#include "net/lookup.h"

#include "net/address.h"
#include "net/net_internal.h"

#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sonde/poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* c-ares doubles the time from one round of all servers to the next. */
enum { FIRST_TIMEOUT_MS = 2000, ROUNDS = 3 };

enum { NAME_MAX_BYTES = 520 }; /* of a name and a search domain */

/* RFC 1035, 4.1.1 */
enum { HEADER_BYTES = 12, RCODE_SERVFAIL = 2, RCODE_NOTIMP = 4, RCODE_REFUSED = 5 };

struct question {
    int family;
    int status; /* of c-ares */
    bool answered, told;
    struct addresses addresses;
};

struct lookup_socket {
    LIST_ENTRY(lookup_socket) link;
    struct lookup *lookup; /* NULL: c-ares has closed it */
    struct sonde_loop *loop;
    struct sonde_poll *poll;
    int fd;
    unsigned wants;
};

struct lookup {
    struct sonde_loop *loop;
    const struct lookup_handler *handler;
    void *user;
    struct sonde_timer timer;
    bool handing_out, cancelled; /* cancelled while something is being handed out: freed after it */
    ares_channel channel;        /* to the servers; NULL: not yet */
    struct ares_options system;  /* the search list, and where to ask: what c-ares has read */
    bool has_system;
    const char *source;     /* in system.lookups: 'f'iles, 'b'ind: name servers */
    int n_names, next_name; /* of the full names that the servers are asked for */
    int error;              /* something of ours has failed */
    int rcode;              /* of the last answer that was a failure (RFC 1035, 4.1.1) */
    LIST_HEAD(, lookup_socket) sockets;
    unsigned n_questions;
    struct question questions[2];
    char host[256];
};

/* --- sockets ---------------------------------------------------------------------------------------------------- */

static struct lookup_socket *find_socket(struct lookup *lookup, int fd)
{
    struct lookup_socket *found;

    LIST_FOREACH(found, &lookup->sockets, link)
    if (found->fd == fd)
        return found;
    return NULL;
}

static void settle(struct lookup *lookup);

static void on_ready(struct sonde_poll *poll, unsigned events, void *user)
{
    struct lookup_socket *ready = user;
    struct lookup *lookup = ready->lookup;
    bool hangup = events & SONDE_HANGUP; /* asking says what it is */

    ares_process_fd(lookup->channel,
                    ready->wants & SONDE_READABLE && (hangup || events & SONDE_READABLE) ? ready->fd : ARES_SOCKET_BAD,
                    ready->wants & SONDE_WRITABLE && (hangup || events & SONDE_WRITABLE) ? ready->fd : ARES_SOCKET_BAD);
    if (ready->lookup != NULL) {
        int error = sonde_poll_start(poll, ready->wants);
        if (error < 0)
            lookup->error = error;
    }
    settle(lookup);
}

static void on_poll_closed(void *user)
{
    struct lookup_socket *closed = user;
    struct sonde_loop *loop = closed->loop;

    close(closed->fd);
    loop_free(loop, closed, sizeof *closed);
    listeners_fd_freed(loop);
}

static const struct sonde_poll_handler poll_handler = {.ready = on_ready, .closed = on_poll_closed};

static struct lookup_socket *add_socket(struct lookup *lookup, int fd)
{
    struct lookup_socket *added = loop_alloc(lookup->loop, sizeof *added);

    if (added == NULL) {
        lookup->error = -ENOMEM;
        return NULL;
    }
    *added = (struct lookup_socket){.lookup = lookup, .loop = lookup->loop, .fd = fd};
    int error = sonde_poll_create(lookup->loop, fd, &poll_handler, added, &added->poll);
    if (error < 0) {
        lookup->error = error;
        loop_free(lookup->loop, added, sizeof *added);
        return NULL;
    }
    LIST_INSERT_HEAD(&lookup->sockets, added, link);
    return added;
}

static void on_socket_state(void *user, ares_socket_t fd, int readable, int writable)
{
    struct lookup *lookup = user;
    struct lookup_socket *changed = find_socket(lookup, fd);
    unsigned wants = (readable ? SONDE_READABLE : 0) | (writable ? SONDE_WRITABLE : 0);

    if (changed == NULL && wants != 0)
        changed = add_socket(lookup, fd);
    if (changed == NULL)
        return;
    changed->wants = wants;
    int error = sonde_poll_start(changed->poll, wants);
    if (error < 0)
        lookup->error = error;
}

static ares_socket_t open_socket(int family, int type, int protocol, void *user)
{
    struct lookup *lookup = user;
    int result = loop_fault(lookup->loop, SONDE_OP_SOCKET);

    if (result == 0) {
        result = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
        if (result < 0)
            result = -errno;
    }
    if (result >= 0)
        return result;
    /* No family of a server's address that this machine lacks: to c-ares that is a server that can't be reached. */
    if (result != -EAFNOSUPPORT)
        lookup->error = result;
    errno = -result;
    return ARES_SOCKET_BAD;
}

static int close_socket(ares_socket_t fd, void *user)
{
    struct lookup_socket *closed = find_socket(user, fd);

    if (closed == NULL) /* nothing was ever waited for */
        return close(fd);
    LIST_REMOVE(closed, link);
    closed->lookup = NULL;
    sonde_poll_close(closed->poll);
    return 0;
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *address, ares_socklen_t n_bytes, void *user)
{
    (void)user;
    return connect(fd, address, n_bytes);
}

/* A server that refuses is passed over by c-ares, which does not say so: it calls it unreachable in the end. */
static ares_ssize_t receive(ares_socket_t fd, void *data, size_t n_bytes, int flags, struct sockaddr *from,
                            ares_socklen_t *from_bytes, void *user)
{
    struct lookup *lookup = user;
    ares_ssize_t n = recvfrom(fd, data, n_bytes, flags, from, from_bytes);
    const unsigned char *bytes = data;

    if (n >= HEADER_BYTES && from != NULL && bytes[2] & 0x80 && (bytes[3] & 0x0f) != 0)
        lookup->rcode = bytes[3] & 0x0f;
    return n;
}

/* Its own way to send would raise SIGPIPE. And an earlier datagram that nobody took is told to whoever asks first: that
 * is to be the receiving, which gives all questions to this server up, and not only this one. */
static ares_ssize_t send_parts(ares_socket_t fd, const struct iovec *parts, int n_parts, void *user)
{
    const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)n_parts};

    (void)user;
    ares_ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
    return n < 0 && errno == ECONNREFUSED ? sendmsg(fd, &message, MSG_NOSIGNAL) : n;
}

static const struct ares_socket_functions socket_functions = {
    .asocket = open_socket,
    .aclose = close_socket,
    .aconnect = connect_socket,
    .arecvfrom = receive,
    .asendv = send_parts,
};

/* --- what went wrong -------------------------------------------------------------------------------------------- */

static bool is_not_there(int status)
{
    switch (status) {
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
    case ARES_EBADFAMILY:
    case ARES_ENONAME:
        return true;
    default:
        return false;
    }
}

void lookup_servers(const struct lookup *lookup, char *ret_text, size_t size_bytes)
{
    struct ares_addr_node *servers = NULL;
    size_t n = 0;

    ret_text[0] = '\0';
    if (lookup->channel == NULL || ares_get_servers(lookup->channel, &servers) != ARES_SUCCESS)
        return;
    for (const struct ares_addr_node *server = servers; server != NULL; server = server->next) {
        char address[INET6_ADDRSTRLEN];
        if (inet_ntop(server->family, &server->addr, address, sizeof address) == NULL ||
            n + strlen(address) + sizeof ", " > size_bytes)
            break;
        n += (size_t)snprintf(ret_text + n, size_bytes - n, "%s%s", n > 0 ? ", " : "", address);
    }
    ares_free_data(servers);
}

static int status_of_rcode(int rcode)
{
    switch (rcode) {
    case RCODE_SERVFAIL:
        return ARES_ESERVFAIL;
    case RCODE_NOTIMP:
        return ARES_ENOTIMP;
    case RCODE_REFUSED:
        return ARES_EREFUSED;
    default:
        return ARES_ECONNREFUSED;
    }
}

static void describe(const struct lookup *lookup, int status, char *ret_text, size_t size_bytes)
{
    static const struct {
        int status;
        const char *words; /* before the servers */
    } rows[] = {
        {ARES_ETIMEOUT, "no answer from"},
        {ARES_ECONNREFUSED, "no name server can be reached at"},
        {ARES_ESERVFAIL, "SERVFAIL from"},
        {ARES_EREFUSED, "REFUSED by"},
        {ARES_ENOTIMP, "NOTIMP from"},
        {ARES_EFORMERR, "FORMERR from"},
        {ARES_EBADRESP, "an answer that makes no sense from"},
    };
    char servers[128];

    ret_text[0] = '\0';
    if (status == ARES_ECONNREFUSED)
        status = status_of_rcode(lookup->rcode);
    lookup_servers(lookup, servers, sizeof servers);
    for (size_t i = 0; i < sizeof rows / sizeof *rows && servers[0] != '\0'; i++)
        if (rows[i].status == status) {
            snprintf(ret_text, size_bytes, "%s %s", rows[i].words, servers);
        }
}

/* --- asking ----------------------------------------------------------------------------------------------------- */

static void on_answer(void *user, int status, int n_timeouts, struct ares_addrinfo *found)
{
    struct question *question = user;
    struct addresses *addresses = &question->addresses;

    (void)n_timeouts;
    question->answered = true;
    question->status = status;
    if (status != ARES_SUCCESS || found == NULL)
        return;
    for (const struct ares_addrinfo_node *node = found->nodes; node != NULL; node = node->ai_next) {
        if (node->ai_family != question->family)
            continue;
        if (addresses->n < RESOLVE_MAX)
            address_from_sockaddr(node->ai_addr, node->ai_addrlen, &addresses->list[addresses->n++]);
        else
            addresses->n_left_out++;
    }
    ares_freeaddrinfo(found);
}

static int open_channel(struct lookup *lookup, const char *lookups, ares_channel *ret_channel)
{
    struct ares_options options = {
        .timeout = FIRST_TIMEOUT_MS,
        .tries = ROUNDS,
        .lookups = (char *)(uintptr_t)lookups,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = lookup,
    };
    int wanted = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;

    if (lookups != NULL)
        wanted |= ARES_OPT_LOOKUPS | ARES_OPT_DOMAINS | ARES_OPT_NDOTS; /* names as they are */
    errno = 0;
    int status = ares_init_options(ret_channel, &options, wanted);
    if (status == ARES_EFILE && errno != 0)
        return -errno; /* of a file of the configuration */
    if (status != ARES_SUCCESS)
        return status == ARES_ENOMEM ? -ENOMEM : -SONDE_ENAMELATER;
    ares_set_socket_functions(*ret_channel, &socket_functions, lookup);
    return 0;
}

static void ask(struct lookup *lookup, ares_channel channel, const char *name)
{
    for (unsigned i = 0; i < lookup->n_questions; i++) {
        struct question *question = &lookup->questions[i];
        question->answered = false;
        question->addresses.n = question->addresses.n_left_out = 0;
    }
    for (unsigned i = 0; i < lookup->n_questions; i++) {
        const struct ares_addrinfo_hints hints = {.ai_family = lookup->questions[i].family};
        ares_getaddrinfo(channel, name, NULL, &hints, on_answer, &lookup->questions[i]);
    }
}

static bool has_any(const struct lookup *lookup)
{
    return lookup->questions[0].addresses.n > 0 || lookup->questions[1].addresses.n > 0;
}

static bool has_all(const struct lookup *lookup)
{
    return lookup->questions[0].answered && (lookup->n_questions < 2 || lookup->questions[1].answered);
}

static void ask_files(struct lookup *lookup)
{
    ares_channel files;
    int error = open_channel(lookup, "f", &files);

    if (error < 0) {
        lookup->error = error;
        return;
    }
    ask(lookup, files, lookup->host); /* is answered when this returns */
    ares_destroy(files);
    for (unsigned i = 0; i < lookup->n_questions; i++)
        if (lookup->questions[i].status != ARES_SUCCESS)
            lookup->questions[i].status = ARES_ENOTFOUND; /* a file that can't be read has no names */
}

/* The full names, in order: the name as it is first if it has enough dots, or last; between, with each search domain. A
 * dot at the end says that the name is full. */
static bool ask_next_name(struct lookup *lookup)
{
    char name[NAME_MAX_BYTES];
    unsigned n_dots = 0;
    size_t n = strlen(lookup->host);

    for (const char *at = lookup->host; *at != '\0'; at++)
        n_dots += *at == '.';
    bool is_full = n > 0 && lookup->host[n - 1] == '.';
    bool first = is_full || (int)n_dots >= lookup->system.ndots;
    lookup->n_names = is_full ? 1 : 1 + lookup->system.ndomains;
    if (lookup->next_name == lookup->n_names)
        return false;
    int number = lookup->next_name++;
    if (number == (first ? 0 : lookup->n_names - 1))
        snprintf(name, sizeof name, "%s", lookup->host);
    else
        snprintf(name, sizeof name, "%s.%.255s", lookup->host, lookup->system.domains[first ? number - 1 : number]);
    ask(lookup, lookup->channel, name);
    return true;
}

/* Ask further. False: there is nowhere to ask. */
static bool ask_next(struct lookup *lookup)
{
    if (lookup->channel != NULL && ask_next_name(lookup))
        return true;
    while (*lookup->source != '\0') {
        switch (*lookup->source++) {
        case 'f':
            ask_files(lookup);
            return true;
        case 'b':
            if (lookup->channel == NULL)
                lookup->error = open_channel(lookup, "b", &lookup->channel);
            return lookup->error < 0 || ask_next_name(lookup);
        default:
            break;
        }
    }
    return false;
}

static void begin(struct lookup *lookup)
{
    ares_channel system;
    int wanted;

    lookup->error = open_channel(lookup, NULL, &system);
    if (lookup->error < 0)
        return;
    lookup->has_system = true; /* also when it is only half filled in */
    if (ares_save_options(system, &lookup->system, &wanted) != ARES_SUCCESS)
        lookup->error = -ENOMEM;
    ares_destroy(system);
    lookup->source = lookup->system.lookups != NULL ? lookup->system.lookups : "fb";
    if (lookup->error == 0)
        ask_next(lookup);
}

/* --- handing out ------------------------------------------------------------------------------------------------ */

static void lookup_free(struct lookup *lookup)
{
    sonde_timer_stop(&lookup->timer);
    if (lookup->channel != NULL)
        ares_destroy(lookup->channel);
    if (lookup->has_system)
        ares_destroy_options(&lookup->system);
    loop_free(lookup->loop, lookup, sizeof *lookup);
}

static void end(struct lookup *lookup, int error, const char *detail)
{
    const struct lookup_handler *handler = lookup->handler;
    void *user = lookup->user;

    lookup_free(lookup);
    handler->over(user, error, detail);
}

/* Nothing was found: is it not there, or is there nobody to say so? */
static void end_without(struct lookup *lookup)
{
    char detail[160] = "";

    for (unsigned i = 0; i < lookup->n_questions; i++)
        if (!is_not_there(lookup->questions[i].status)) {
            int status = lookup->questions[i].status;
            describe(lookup, status, detail, sizeof detail);
            end(lookup, status == ARES_ENOMEM ? -ENOMEM : -SONDE_ENAMELATER, detail);
            return;
        }
    end(lookup, -SONDE_ENAME, detail);
}

static bool all_not_there(const struct lookup *lookup)
{
    return is_not_there(lookup->questions[0].status) &&
           (lookup->n_questions < 2 || is_not_there(lookup->questions[1].status));
}

/* Hand out what has come; true when the look-up was cancelled meanwhile. */
static bool hand_out(struct lookup *lookup)
{
    lookup->handing_out = true;
    for (unsigned i = 0; i < lookup->n_questions && !lookup->cancelled; i++) {
        struct question *question = &lookup->questions[i];
        if (question->answered && question->addresses.n > 0 && !question->told) {
            question->told = true;
            lookup->handler->found(lookup->user, &question->addresses);
        }
    }
    lookup->handing_out = false;
    return lookup->cancelled;
}

static void settle(struct lookup *lookup)
{
    while (lookup->error == 0 && has_all(lookup) && !has_any(lookup)) {
        if (!all_not_there(lookup) || !ask_next(lookup)) {
            end_without(lookup);
            return;
        }
    }
    if (hand_out(lookup)) {
        lookup_free(lookup);
        return;
    }
    if (lookup->error < 0) {
        end(lookup, has_any(lookup) ? 0 : lookup->error, "");
        return;
    }
    if (has_all(lookup)) {
        end(lookup, 0, "");
        return;
    }
    struct timeval room, *left = ares_timeout(lookup->channel, NULL, &room);
    if (left != NULL) /* its clock is read again, and is finer than the loop's */
        sonde_timer_start_in(&lookup->timer, (left->tv_sec * INT64_C(1000) + left->tv_usec / 1000 + 1) * 1000000);
}

static void on_timer(struct sonde_timer *timer)
{
    struct lookup *lookup = timer->user;

    if (lookup->channel != NULL)
        ares_process_fd(lookup->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    else
        begin(lookup);
    settle(lookup);
}

int lookup_start(struct sonde_loop *loop, const char *host, int family, const struct lookup_handler *handler,
                 void *user, struct lookup **ret_lookup)
{
    struct lookup *lookup = loop_alloc(loop, sizeof *lookup);

    if (lookup == NULL)
        return -ENOMEM;
    memset(lookup, 0, sizeof *lookup);
    lookup->loop = loop;
    lookup->handler = handler;
    lookup->user = user;
    LIST_INIT(&lookup->sockets);
    if (family != AF_INET)
        lookup->questions[lookup->n_questions++].family = AF_INET6;
    if (family != AF_INET6)
        lookup->questions[lookup->n_questions++].family = AF_INET;
    snprintf(lookup->host, sizeof lookup->host, "%s", host);
    sonde_timer_init(&lookup->timer, loop, on_timer, lookup);
    sonde_timer_start_in(&lookup->timer, 0);
    *ret_lookup = lookup;
    return 0;
}

void lookup_cancel(struct lookup *lookup)
{
    if (lookup->handing_out)
        lookup->cancelled = true;
    else
        lookup_free(lookup);
}
