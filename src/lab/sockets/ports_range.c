/* SPDX-License-Identifier: MIT */
#include "lab/sockets/ports_internal.h"

#include "lab/call.h"
#include "lab/sockets/child.h"
#include "term/translate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_CHOSEN 8
#define START_FILE "/proc/sys/net/ipv4/ip_unprivileged_port_start"
#define ATTEMPTS 32 /* a port may be somebody else's */

/* What an ordinary user got; in memory shared with the child that is one. */
struct privileged {
    int start; /* of the unprivileged ports; -1: not known */
    int below; /* 0, or the negative errno, of the last port below it */
    int at;    /* ... of the first port at or above it that nobody else has */
    int at_port;
};

struct range {
    struct lab *lab;
    struct party *party;
    int first, last; /* of the ports that the kernel chooses; 0: not known */
    int highest;     /* 65535's bind: 0 or a negative errno */
    int wrapped;     /* 65536's: the port that came of it, or a negative errno */
    unsigned n_chosen, n_within;
    int zero_connect; /* connect to port 0 */
    const struct privileged *ordinary;
};

/* ---- the ordinary user: in the child, so system calls only */

static int bind_here(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    int result = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    close(fd);
    return result;
}

static void bind_as_ordinary(void *shared)
{
    struct privileged *privileged = shared;

    privileged->below = privileged->start > 1 ? bind_here(privileged->start - 1) : 0;
    for (int i = 0; i < ATTEMPTS && privileged->start + i <= UINT16_MAX; i++) {
        privileged->at_port = privileged->start + i;
        privileged->at = bind_here(privileged->at_port);
        if (privileged->at != -EADDRINUSE)
            break;
    }
}

/* Of this very namespace: in the wire's we own all capabilities. */
static int unprivileged_start(void)
{
    char text[16] = "";
    int fd = open(START_FILE, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    return n > 0 ? atoi(text) : -1;
}

static void ask_ordinary(struct range *range)
{
    struct privileged *privileged = shared_memory(sizeof(*privileged));

    if (!privileged)
        return;
    privileged->start = unprivileged_start();
    if (privileged->start >= 0 && child_run(bind_as_ordinary, privileged, true) == 0)
        range->ordinary = privileged;
}

/* ---- the table */

/* Bound to that port of 127.0.0.1 at the server's end: the port that came of it, or a negative errno. */
static int bind_to(struct range *range, uint16_t port)
{
    int fd = party_socket(range->party, AF_INET, SOCK_STREAM, 0);

    if (fd < 0)
        return fd;
    int result = party_bind(range->party, fd, "127.0.0.1", port);
    if (result == 0)
        result = lab_local_port(fd);
    party_close(range->party, fd);
    return result;
}

static void row(struct range *range, const char *port, const char *by)
{
    lab_cell(range->lab, "%s", port);
    lab_cell(range->lab, "%s", by);
}

static void result_cell(struct range *range, int result)
{
    if (result < 0)
        lab_cell(range->lab, "%s", sonde_error_name(result));
    else
        lab_cell(range->lab, _("bound to %d"), result);
}

static void show_ends(struct range *range)
{
    volatile int too_much = UINT16_MAX + 1; /* htons(65536) by itself would not pass the compiler without a word */
    char text[16];

    for (int i = 0; i < N_CHOSEN; i++) {
        int port = bind_to(range, 0);
        if (port <= 0)
            continue;
        range->n_chosen++;
        range->n_within += port >= range->first && port <= range->last;
        if (range->n_chosen > 2)
            continue;
        row(range, "0", _("this user"));
        result_cell(range, port);
    }
    range->highest = bind_to(range, UINT16_MAX);
    row(range, "65535", _("this user"));
    result_cell(range, range->highest);
    range->wrapped = bind_to(range, (uint16_t)too_much);
    snprintf(text, sizeof(text), "%d (a)", too_much);
    row(range, text, _("this user"));
    result_cell(range, range->wrapped);
}

static void show_privileged(struct range *range)
{
    const struct privileged *ordinary = range->ordinary;
    char text[16];

    if (!ordinary)
        return;
    if (ordinary->start > 1) {
        snprintf(text, sizeof(text), "%d", ordinary->start - 1);
        row(range, text, _("an ordinary user"));
        result_cell(range, ordinary->below < 0 ? ordinary->below : ordinary->start - 1);
    }
    if (ordinary->at_port > 0) {
        snprintf(text, sizeof(text), "%d", ordinary->at_port);
        row(range, text, _("an ordinary user"));
        result_cell(range, ordinary->at < 0 ? ordinary->at : ordinary->at_port);
    }
    if (lab_wire(range->lab) && ordinary->start > 1) {
        int port = ordinary->start - 1;
        snprintf(text, sizeof(text), "%d", port);
        row(range, text, _("the wire's owner (b)"));
        result_cell(range, bind_to(range, (uint16_t)port));
    }
}

/* getaddrinfo's port for this text; a negative number: it refuses. */
static int looked_up_port(const char *text)
{
    const struct addrinfo hints = {
        .ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;

    if (getaddrinfo("127.0.0.1", text, &hints, &found) != 0)
        return -1;
    int port = ntohs(((const struct sockaddr_in *)found->ai_addr)->sin_port);
    freeaddrinfo(found);
    return port;
}

static void show_lookup(struct lab *lab)
{
    int wrapped = looked_up_port("65616");

    lab_figure(lab, "C27", "getaddrinfo_65616", wrapped);
    if (wrapped >= 0)
        lab_footnote(lab,
                     _("(a) The kernel never sees it: %d bits hold 65536 as 0. This libc's getaddrinfo checks no "
                       "better: it takes \"65616\" for port %d."),
                     (int)sizeof(in_port_t) * 8, wrapped);
    else
        lab_footnote(lab,
                     _("(a) The kernel never sees it: %d bits hold 65536 as 0. This libc's getaddrinfo refuses "
                       "\"65616\"."),
                     (int)sizeof(in_port_t) * 8);
    if (lab_wire(lab))
        lab_footnote(lab, _("(b) In the wire's own network namespace this user has CAP_NET_BIND_SERVICE."));
}

static void connect_to_zero(struct range *range)
{
    int fd = party_socket(range->party, AF_INET, SOCK_STREAM, 0);

    range->zero_connect = fd < 0 ? fd : party_connect(range->party, fd, "127.0.0.1", 0);
    if (fd >= 0)
        party_close(range->party, fd);
    lab_say(range->lab, _("Nobody can listen on port 0, for bind takes it as \"choose one\"; connect to it: %s."),
            range->zero_connect < 0 ? sonde_error_name(range->zero_connect) : _("connected"));
}

/* ---- the verdict */

static void figures(const struct range *range)
{
    struct lab *lab = range->lab;

    lab_figure(lab, "C27", "port_bits", (double)sizeof(in_port_t) * 8);
    lab_figure(lab, "C27", "highest", range->highest);
    lab_figure(lab, "C27", "from_65536", range->wrapped);
    lab_figure(lab, "C27", "range_first", range->first);
    lab_figure(lab, "C27", "range_last", range->last);
    lab_figure(lab, "C27", "n_chosen", range->n_chosen);
    lab_figure(lab, "C27", "n_chosen_within", range->n_within);
    if (!range->ordinary)
        return;
    lab_figure(lab, "C27", "unprivileged_start", range->ordinary->start);
    lab_figure_text(lab, "C27", "ordinary_below_start",
                    range->ordinary->below < 0 ? sonde_error_name(range->ordinary->below) : "bound");
    lab_figure_text(lab, "C27", "ordinary_at_start",
                    range->ordinary->at < 0 ? sonde_error_name(range->ordinary->at) : "bound");
}

static const char *privilege_sentence(const struct range *range, char *text, size_t size_bytes)
{
    const struct privileged *ordinary = range->ordinary;

    if (!ordinary)
        snprintf(text, size_bytes, "%s", _("What an ordinary user may bind to is not shown here."));
    else if (ordinary->start <= 1)
        snprintf(text, size_bytes, _("No port is privileged on this machine (ip_unprivileged_port_start is %d)."),
                 ordinary->start);
    else
        snprintf(text, size_bytes, _("An ordinary user got %s at port %d and %s at %d."),
                 ordinary->below < 0 ? sonde_error_name(ordinary->below) : _("a socket"), ordinary->start - 1,
                 ordinary->at < 0 ? sonde_error_name(ordinary->at) : _("a socket"), ordinary->at_port);
    return text;
}

static void judge(const struct range *range)
{
    struct lab *lab = range->lab;
    char privilege[160];

    privilege_sentence(range, privilege, sizeof(privilege));
    if (range->wrapped < 0)
        lab_verdict(lab, "C27", LAB_NOT_SHOWN, _("No socket could be bound: %s."), sonde_error_name(range->wrapped));
    else if (range->wrapped == UINT16_MAX + 1)
        lab_verdict(lab, "C27", LAB_TRUE, _("A socket was bound to port %d."), range->wrapped);
    else if (range->highest == UINT16_MAX || range->highest == -EADDRINUSE)
        lab_verdict(
            lab, "C27", LAB_FALSE,
            _("sin_port has %d bits, so 65535 is the last: 65536 became 0, which means \"choose one\", and the kernel "
              "chose %d. Of %u ports it chose, %u were within ip_local_port_range (%d to %d). %s"),
            (int)sizeof(in_port_t) * 8, range->wrapped, range->n_chosen, range->n_within, range->first, range->last,
            privilege);
    else
        lab_verdict(lab, "C27", LAB_FALSE,
                    _("65536 became 0, which means \"choose one\", and the kernel chose %d. 65535 itself: %s. %s"),
                    range->wrapped, range->highest < 0 ? sonde_error_name(range->highest) : "?", privilege);
}

static void answer(const struct range *range)
{
    if (range->wrapped == -EINVAL)
        lab_answer(range->lab, "a");
    else if (range->wrapped == UINT16_MAX)
        lab_answer(range->lab, "b");
    else if (range->wrapped == 1)
        lab_answer(range->lab, "d");
    else if (range->wrapped > 0)
        lab_answer(range->lab, "c");
    else
        lab_answer(range->lab, "%s", sonde_error_name(range->wrapped));
}

void ports_range(struct lab *lab)
{
    static const char *const heads[] = {N_("bind to port"), N_("by"), N_("result")};
    struct range range = {.lab = lab, .party = lab_party(lab, "one", END_B)};
    char text[64];

    if (lab_setting_text(lab, END_B, "net.ipv4.ip_local_port_range", text, sizeof(text)) &&
        sscanf(text, "%d %d", &range.first, &range.last) != 2)
        range.first = range.last = 0;
    ask_ordinary(&range);
    lab_table(lab, 3, heads);
    show_ends(&range);
    show_privileged(&range);
    lab_table_end(lab);
    show_lookup(lab);
    connect_to_zero(&range);
    answer(&range);
    figures(&range);
    judge(&range);
}
