/* SPDX-License-Identifier: MIT */
/*
 * How many connections a listener holds that nobody accepts, and how many half-open ones; each alone, and both at once.
 * Half-open: the clients' acknowledgements are dropped by the wire. What is counted is what the server's kernel lists
 * for the port, whatever SYN cookies do with the rest.
 */
#include "lab/opening/clients.h"
#include "lab/table.h"
#include "term/translate.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#define SOMAXCONN_SETTING "net.core.somaxconn"
#define BACKLOG_ASKED 2 /* of the question */
#define SOMAXCONN_SMALL "8"

static const struct lab_claim claims[] = {
    {"C2", N_("The kernel keeps two queues for each listener: one of half-open and one of completed connections.")},
    {"C3", N_("The backlog of listen() bounds the sum of half-open and completed connections.")},
    {"C4", N_("SOMAXCONN is the largest accept queue there is.")},
    {0},
};

struct row {
    int backlog;
    int64_t somaxconn;
    unsigned limit, completed, half_open;
};

struct both {
    unsigned limit, completed, half_open;    /* of one listener at once */
    unsigned half_open_second;               /* of another, meanwhile */
    unsigned completed_left, half_open_left; /* when the first was closed */
};

struct bench {
    struct lab *lab;
    struct party *server;
    struct clients clients;
};

static unsigned limit_of(const struct bench *bench, uint16_t port)
{
    struct socket_info listener;

    return lab_listener_of(bench->lab, END_B, port, &listener) ? listener.send_queue : 0;
}

static struct row measure(struct bench *bench, int backlog)
{
    struct row row = {.backlog = backlog, .somaxconn = lab_setting(bench->lab, END_B, SOMAXCONN_SETTING)};
    struct clients *clients = &bench->clients;
    uint16_t port;

    int listener = lab_listening(bench->server, backlog, &port);
    row.limit = limit_of(bench, port);
    clients_open(clients, row.limit + 3, port);
    row.completed = clients_look(clients, port).queue;
    clients_reset(clients);
    party_close(bench->server, listener);

    listener = lab_listening(bench->server, backlog, &port);
    lab_rules(bench->lab, END_A, "drop ack");
    clients_open(clients, row.limit + 4, port);
    row.half_open = clients_look(clients, port).half_open;
    clients_reset(clients);
    lab_rules(bench->lab, END_A, "");
    party_close(bench->server, listener);
    return row;
}

/* Completed ones up to the limit (one more, and every further SYN would be dropped), then half-open ones. */
static struct both measure_both(struct bench *bench)
{
    struct both both = {0};
    struct clients *clients = &bench->clients, second = {.lab = bench->lab, .party = clients->party};
    struct clients_look look;
    uint16_t port, second_port;

    int listener = lab_listening(bench->server, BACKLOG_ASKED, &port);
    int second_listener = lab_listening(bench->server, BACKLOG_ASKED, &second_port);
    both.limit = limit_of(bench, port);
    if (both.limit) {
        clients_open(clients, both.limit, port);
    }
    lab_rules(bench->lab, END_A, "drop ack");
    clients_open(clients, both.limit + 3, port);
    clients_open(&second, both.limit + 3, second_port);
    look = clients_look(clients, port);
    both.completed = look.queue;
    both.half_open = look.half_open;
    both.half_open_second = clients_look(&second, second_port).half_open;

    party_close(bench->server, listener);
    lab_settle(bench->lab);
    look = clients_look(clients, port);
    both.completed_left = look.at_server;
    both.half_open_left = look.half_open;
    clients_reset(clients);
    clients_reset(&second);
    lab_rules(bench->lab, END_A, "");
    party_close(bench->server, second_listener);
    return both;
}

static void cells(struct lab *lab, const struct row *row)
{
    lab_cell(lab, "%d", row->backlog);
    lab_cell(lab, "%" PRId64, row->somaxconn);
    lab_cell(lab, "%u", row->limit);
    lab_cell(lab, "%u", row->completed);
    lab_cell(lab, "%u", row->half_open);
}

static void judge_queues(struct lab *lab, const struct both *both, int64_t syncookies)
{
    lab_figure(lab, "C2", "half_open_first", both->half_open);
    lab_figure(lab, "C2", "half_open_second", both->half_open_second);
    lab_figure(lab, "C2", "completed_left", both->completed_left);
    lab_figure(lab, "C2", "half_open_left", both->half_open_left);
    if (!both->completed) {
        lab_verdict(lab, "C2", LAB_NOT_SHOWN, _("With a limit of %u there is no room for both at once."), both->limit);
    } else if (!both->half_open) {
        lab_verdict(lab, "C2", LAB_NOT_SHOWN,
                    _("With tcp_syncookies %" PRId64 " this kernel kept no half-open connection at all."), syncookies);
    } else if (both->half_open_left && !both->completed_left) {
        lab_verdict(
            lab, "C2", LAB_DEPENDS,
            _("Both are counted for each listener: one had %u half-open and %u completed, and another had room "
              "for %u half-open of its own. But only the completed wait in a queue of the listener: when it was "
              "closed, those %u were gone, while %u of the %u half-open were still there, in the kernel's table "
              "of all connections."),
            both->half_open, both->completed, both->half_open_second, both->completed, both->half_open_left,
            both->half_open);
    } else {
        lab_verdict(lab, "C2", LAB_TRUE,
                    _("One listener had %u half-open and %u completed, another %u half-open of its own; when the first "
                      "was closed, %u and %u were left."),
                    both->half_open, both->completed, both->half_open_second, both->half_open_left,
                    both->completed_left);
    }
}

static void judge_bound(struct lab *lab, const struct row *asked, const struct both *both, int64_t syncookies)
{
    unsigned sum = both->completed + both->half_open;

    lab_figure(lab, "C3", "limit", asked->limit);
    lab_figure(lab, "C3", "accept_queue_held", asked->completed);
    lab_figure(lab, "C3", "half_open_held", asked->half_open);
    lab_figure(lab, "C3", "both_completed", both->completed);
    lab_figure(lab, "C3", "both_half_open", both->half_open);
    if (!both->completed) {
        lab_verdict(lab, "C3", LAB_NOT_SHOWN, _("With a limit of %u there is no room for both at once."), both->limit);
    } else if (!both->half_open) {
        lab_verdict(lab, "C3", LAB_NOT_SHOWN,
                    _("The accept queue held %u with backlog %d (limit %u); with tcp_syncookies %" PRId64
                      " there were no half-open connections to add."),
                    asked->completed, asked->backlog, asked->limit, syncookies);
    } else if (sum > both->limit + 1) {
        bool one_more = asked->completed == asked->limit + 1 && asked->half_open == asked->limit + 1;

        lab_verdict(
            lab, "C3", LAB_FALSE,
            one_more ? _("Each has a bound of its own, and it is the smaller of backlog and somaxconn, here %u: alone, "
                         "the accept queue held %u and the half-open were %u (full means more than the limit), and "
                         "%u + %u = %u stood at once.")
                     : _("Each has a bound of its own. With a limit of %u the accept queue alone held %u, and the "
                         "half-open alone were %u; %u + %u = %u stood at once."),
            asked->limit, asked->completed, asked->half_open, both->completed, both->half_open, sum);
    } else {
        lab_verdict(lab, "C3", LAB_TRUE, _("With a limit of %u, no more than %u + %u = %u stood at once."), both->limit,
                    both->completed, both->half_open, sum);
    }
}

static void judge_largest(struct lab *lab, const struct row *machine, const struct row *small, const struct row *raised)
{
    lab_figure(lab, "C4", "constant", SOMAXCONN);
    lab_figure(lab, "C4", "limit", machine->limit);
    lab_figure(lab, "C4", "limit_raised", raised->limit);
    lab_figure(lab, "C4", "limit_lowered", small->limit);
    lab_figure(lab, "C4", "held_lowered", small->completed);
    if (raised->limit > SOMAXCONN && small->limit) {
        lab_verdict(
            lab, "C4", LAB_FALSE,
            _("SOMAXCONN is %d, a constant of the C library's headers; the setting somaxconn is what caps. With "
              "somaxconn %" PRId64 ", listen(fd, %d) got a limit of %u, and with %" PRId64
              " one of %u, which held %u."),
            SOMAXCONN, raised->somaxconn, INT_MAX, raised->limit, small->somaxconn, small->limit, small->completed);
    } else if (machine->limit != SOMAXCONN) {
        lab_verdict(lab, "C4", LAB_FALSE,
                    _("SOMAXCONN is %d, a constant of the C library's headers; listen(fd, %d) got a limit of %u here, "
                      "where somaxconn is %" PRId64 "."),
                    SOMAXCONN, INT_MAX, machine->limit, machine->somaxconn);
    } else {
        lab_verdict(lab, "C4", LAB_NOT_SHOWN,
                    _("SOMAXCONN and somaxconn are both %d here, and somaxconn could not be set to anything else."),
                    SOMAXCONN);
    }
}

static struct row limit_only(struct bench *bench)
{
    struct row row = {.backlog = INT_MAX, .somaxconn = lab_setting(bench->lab, END_B, SOMAXCONN_SETTING)};
    uint16_t port;
    int listener = lab_listening(bench->server, INT_MAX, &port);

    row.limit = limit_of(bench, port);
    party_close(bench->server, listener);
    return row;
}

static void run(struct lab *lab)
{
    static const char *const heads[] = {N_("backlog"), "somaxconn", N_("limit"), N_("accept queue held"),
                                        N_("half-open held")};
    static const int backlogs[] = {0, 1, BACKLOG_ASKED, 5};
    struct party *client = lab_party(lab, "client", END_A);
    struct bench bench = {.lab = lab, .server = lab_party(lab, "server", END_B), .clients = {lab, client, 0, {0}, {0}}};
    int64_t syncookies = lab_setting(lab, END_B, "net.ipv4.tcp_syncookies");
    struct row rows[8] = {0}, asked = {0};
    unsigned n_rows = 0;
    char above[24];

    if (syncookies == 2 && lab_set(lab, END_B, "net.ipv4.tcp_syncookies", "1")) {
        syncookies = 1;
    }
    opening_meet(lab, client, bench.server);
    for (unsigned i = 0; i < sizeof backlogs / sizeof backlogs[0]; i++) {
        rows[n_rows++] = measure(&bench, backlogs[i]);
        if (backlogs[i] == BACKLOG_ASKED) {
            asked = rows[n_rows - 1];
        }
    }
    struct both both = measure_both(&bench);
    struct row machine = limit_only(&bench), small = {0}, raised = {0};
    int64_t large_set = SOMAXCONN + 904;

    snprintf(above, sizeof above, "%" PRId64, large_set);
    if (lab_set(lab, END_B, SOMAXCONN_SETTING, above)) {
        raised = limit_only(&bench);
        if (lab_set(lab, END_B, SOMAXCONN_SETTING, SOMAXCONN_SMALL)) {
            small = rows[n_rows++] = measure(&bench, 10000);
            rows[n_rows++] = measure(&bench, -1);
        }
    }

    opening_table(lab, 5, heads);
    for (unsigned i = 0; i < n_rows; i++) {
        cells(lab, &rows[i]);
    }
    lab_table_end(lab);
    lab_say(lab,
            _("Both at once, backlog %d: %u completed + %u half-open = %u. The listener was then closed: %u and %u "
              "were left."),
            BACKLOG_ASKED, both.completed, both.half_open, both.completed + both.half_open, both.completed_left,
            both.half_open_left);
    for (unsigned i = 0; i < n_rows; i++) {
        if (syncookies == 0 && rows[i].half_open && rows[i].half_open < rows[i].completed) {
            lab_say(lab,
                    _("With tcp_syncookies 0, tcp_max_syn_backlog (%" PRId64
                      ") bounds the half-open too: where the limit "
                      "is %u, there were %u."),
                    lab_setting(lab, END_B, "net.ipv4.tcp_max_syn_backlog"), rows[i].limit, rows[i].half_open);
            break;
        }
    }
    lab_say(lab,
            _("Limits that were read from the kernel, and not filled: listen(fd, %d) got %u where somaxconn is "
              "%" PRId64 "."),
            machine.backlog, machine.limit, machine.somaxconn);
    if (raised.limit) {
        lab_say(lab, _("Where it is %" PRId64 ", %u."), raised.somaxconn, raised.limit);
    }
    lab_answer(lab, "%u", asked.completed);
    judge_queues(lab, &both, syncookies);
    judge_bound(lab, &asked, &both, syncookies);
    judge_largest(lab, &machine, &small, &raised);
}

static const char *const settings[] = {SOMAXCONN_SETTING, "net.ipv4.tcp_syncookies", "net.ipv4.tcp_max_syn_backlog",
                                       NULL};

const struct experiment experiment_two_queues = {
    .name = "two-queues",
    .chapter = CHAPTER_OPENING,
    .title = N_("the accept queue and the half-open connections, and what bounds each"),
    .claims = claims,
    .systems = "S7",
    .needs = LAB_WIRE,
    .milliseconds = 600,
    .done =
        N_("Servers call listen() with several backlogs and never accept. Clients connect one after the other until no "
           "more get in; then again, with each client's acknowledgement dropped on the wire, so that the connections "
           "stay half-open; then both at one listener. At last somaxconn is set higher, and lower. (Where "
           "tcp_syncookies is 2, "
           "with which there are no half-open connections, it is 1 here.)"),
    .question = N_("With backlog 2, five clients connect and nobody accepts. How many are ESTABLISHED at the server?"),
    .by_hand = "sonde serve hold 'tcp://:7009?backlog=2' &   # says how many wait\n"
               "for i in 1 2 3 4 5; do nc -w 5 127.0.0.1 7009 & done",
    .read = "listen(2); tcp(7); kernel ip-sysctl: somaxconn, tcp_max_syn_backlog, tcp_syncookies",
    .settings = settings,
    .run = run,
};
