/* SPDX-License-Identifier: MIT */
/*
 * How long TIME_WAIT lasts, and what it stands in the way of.
 *
 * The kernel says how long an entry has still to wait (sock_diag), so that nobody has to wait a minute to know; --full
 * does wait. tcp_fin_timeout is often taken for TIME_WAIT's length. It is that of FIN_WAIT_2 without a process, so both
 * are read under two values of it.
 */
#include "lab/call.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <sonde/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WITHIN_NS (3 * NS_PER_S)
#define FULL_NS (130 * NS_PER_S)
#define SHORT_FIN_TIMEOUT "5"
#define FIN_TIMEOUT "net.ipv4.tcp_fin_timeout"

struct look {
    struct lab *lab;
    enum event_end end;
    uint16_t local_port, peer_port;
    uint8_t state;
    struct socket_info info;
};

static bool in_state(void *data)
{
    struct look *look = data;

    return lab_socket_of(look->lab, look->end, look->local_port, look->peer_port, &look->info) &&
           look->info.state == look->state &&
           (look->info.timer == TIMER_TIME_WAIT || look->info.timer == TIMER_KEEPALIVE);
}

static bool is_gone(void *data)
{
    struct look *look = data;

    return !lab_socket_of(look->lab, look->end, look->local_port, look->peer_port, &look->info);
}

/* The client closes; the server too, or never. What the client's kernel says of how long the entry has still to wait;
 * -1: it did not come to that. (Where tcp_fin_timeout is longer than TIME_WAIT, a socket in FIN_WAIT_2 waits for the
 * difference first, under another timer: what is left of that is what is given then.) */
static int64_t waits_ns(struct lab *lab, struct party *client, struct party *server, bool server_closes,
                        struct look *ret_look)
{
    struct lab_pair pair;
    char scrap[8];

    lab_connected(client, server, &pair);
    party_close(client, pair.client);
    party_recv(server, pair.server, scrap, sizeof scrap, 0);
    if (server_closes)
        party_close(server, pair.server);
    *ret_look = (struct look){
        .lab = lab,
        .end = END_A,
        .local_port = pair.client_port,
        .peer_port = pair.server_port,
        .state = server_closes ? TCP_STATE_TIME_WAIT : TCP_STATE_FIN_WAIT_2,
    };
    return lab_until(in_state, ret_look, WITHIN_NS) ? ret_look->info.timer_ns : -1;
}

/* ---- the address of who closed first */

struct binds {
    int without, with; /* 0 or a negative errno */
};

/* A server that closes first keeps TIME_WAIT on its port: may another one bind to it? */
static struct binds bind_again(struct lab *lab, struct party *client, struct party *server)
{
    struct binds binds;
    char scrap[8];
    int listener = party_socket(server, AF_INET, SOCK_STREAM, 0);
    party_set(server, listener, SOL_SOCKET, SO_REUSEADDR, 1);
    if (party_bind(server, listener, lab_address(lab, END_B), 0) < 0 || party_listen(server, listener, 1) < 0)
        lab_give_up(lab, _("A listener could not be made."));
    uint16_t port = lab_local_port(listener);
    int asking = party_socket(client, AF_INET, SOCK_STREAM, 0);
    int error = party_connect(client, asking, lab_address(lab, END_B), port);
    int serving = error < 0 ? error : party_accept(server, listener);

    if (serving < 0)
        lab_give_up(lab, _("The connection whose address was to be bound again could not be made: %s."),
                    sonde_strerror(serving));
    party_close(server, listener);
    party_close(server, serving);
    party_recv(client, asking, scrap, sizeof scrap, 0);
    struct look look = {
        .lab = lab,
        .end = END_B,
        .local_port = port,
        .peer_port = lab_local_port(asking),
        .state = TCP_STATE_TIME_WAIT,
    };
    party_close(client, asking);
    lab_until(in_state, &look, WITHIN_NS);
    int fd = party_socket(server, AF_INET, SOCK_STREAM, 0);
    binds.without = party_bind(server, fd, lab_address(lab, END_B), port);
    close(fd);
    fd = party_socket(server, AF_INET, SOCK_STREAM, 0);
    party_set(server, fd, SOL_SOCKET, SO_REUSEADDR, 1);
    binds.with = party_bind(server, fd, lab_address(lab, END_B), port);
    close(fd);
    return binds;
}

static const char *result_text(int result)
{
    return result < 0 ? sonde_error_name(result) : "0";
}

/* ---- telling */

struct measured {
    int64_t time_wait_ns[2], fin_wait_2_ns[2]; /* with the machine's tcp_fin_timeout, and with a short one */
    int64_t fin_timeout[2];
    int64_t rtt_ns[2]; /* of a wire's; 0: there is none */
    int64_t whole_ns;  /* --full: how long it really lasted; 0: not waited for */
};

static void tell_table(struct lab *lab, const struct measured *measured)
{
    static const char *const heads[] = {FIN_TIMEOUT, N_("round trip"), N_("TIME_WAIT ends in"),
                                        N_("FIN_WAIT_2 ends in")};

    lab_table(lab, 4, heads);
    for (unsigned i = 0; i < 2; i++) {
        if (measured->fin_timeout[i] < 0)
            continue;
        lab_cell(lab, _("%lld s"), (long long)measured->fin_timeout[i]);
        lab_cell(lab, "%s", measured->rtt_ns[i] ? lab_time_text(measured->rtt_ns[i]) : _("loopback"));
        lab_cell(lab, "%s",
                 measured->time_wait_ns[i] < 0 ? _("not reached") : lab_time_text(measured->time_wait_ns[i]));
        lab_cell(lab, "%s",
                 measured->fin_wait_2_ns[i] < 0 ? _("not reached") : lab_time_text(measured->fin_wait_2_ns[i]));
    }
    lab_table_end(lab);
}

static void judge(struct lab *lab, const struct measured *measured)
{
    int64_t first = measured->time_wait_ns[0], second = measured->time_wait_ns[1];
    bool changed = second >= 0 && llabs(first - second) > NS_PER_S;

    if (first < 0) {
        lab_verdict(lab, "C48", LAB_NOT_SHOWN,
                    _("The connection did not come to TIME_WAIT within 3 s. (tcp_max_tw_buckets, which bounds how many "
                      "there may be, is %lld.)"),
                    (long long)lab_setting(lab, END_A, "net.ipv4.tcp_max_tw_buckets"));
        return;
    }
    lab_figure(lab, "C48", "time_wait_s", (double)first / NS_PER_S);
    lab_answer(lab, "%lld", (long long)((first + NS_PER_S / 2) / NS_PER_S));
    if (measured->whole_ns > 0) {
        lab_figure(lab, "C48", "time_wait_waited_s", (double)measured->whole_ns / NS_PER_S);
        lab_say(lab, _("Waited for: the entry was gone %s after it had first been seen."),
                lab_time_text(measured->whole_ns));
    }
    if (second >= 0)
        lab_figure(lab, "C48", "time_wait_with_fin_timeout_5_s", (double)second / NS_PER_S);
    if (changed)
        lab_verdict(lab, "C48", LAB_DEPENDS,
                    _("It waits %s here, and %s with " FIN_TIMEOUT " set to " SHORT_FIN_TIMEOUT
                      ": a setting, no property of the path."),
                    lab_time_text(first), lab_time_text(second));
    else if (second >= 0)
        lab_verdict(lab, "C48", LAB_DEPENDS,
                    _("It waits, but for a time that is fixed: %s, as the kernel's own countdown says, and %s with "
                      "another round trip and " FIN_TIMEOUT " at " SHORT_FIN_TIMEOUT
                      " (which is for FIN_WAIT_2 without a process). RFC 9293 puts MSL at 2 minutes, which would "
                      "make 240 s; Linux has its time compiled in, whatever MSL is."),
                    lab_time_text(first), lab_time_text(second));
    else
        lab_verdict(lab, "C48", LAB_DEPENDS,
                    _("It waits, %s here, as the kernel's own countdown says. RFC 9293 puts MSL at 2 minutes, which "
                      "would make 240 s."),
                    lab_time_text(first));
}

static void tell_binds(struct lab *lab, const struct binds *binds)
{
    if (binds->without == -EADDRINUSE && binds->with == 0)
        lab_say(lab,
                _("Who closes first keeps its address, too. The server closed first; bind() to its port: %s. With "
                  "SO_REUSEADDR, which the old listener had as well: %s. That is why servers set it."),
                result_text(binds->without), result_text(binds->with));
    else
        lab_say(lab, _("The server closed first; bind() to its port without SO_REUSEADDR: %s, with it: %s."),
                result_text(binds->without), result_text(binds->with));
}

/* A round trip for the first and one for the second. */
static void set_rtt(struct lab *lab, struct measured *measured, unsigned index)
{
    static const char *const rules[] = {"delay 1ms", "delay 40ms"};
    static const int64_t round_trips_ns[] = {2 * NS_PER_MS, 80 * NS_PER_MS};

    if (!lab_wire(lab))
        return;
    lab_rules(lab, END_A, rules[index]);
    lab_rules(lab, END_B, rules[index]);
    measured->rtt_ns[index] = round_trips_ns[index];
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct measured measured = {.fin_timeout = {-1, -1}};
    struct look kept, look;

    set_rtt(lab, &measured, 0);
    measured.fin_timeout[0] = lab_setting(lab, END_A, FIN_TIMEOUT);
    measured.time_wait_ns[0] = waits_ns(lab, client, server, true, &kept);
    int64_t began_ns = lab_now();
    measured.fin_wait_2_ns[0] = waits_ns(lab, client, server, false, &look);
    if (lab_set(lab, END_A, FIN_TIMEOUT, SHORT_FIN_TIMEOUT)) {
        set_rtt(lab, &measured, 1);
        measured.fin_timeout[1] = lab_setting(lab, END_A, FIN_TIMEOUT);
        measured.time_wait_ns[1] = waits_ns(lab, client, server, true, &look);
        measured.fin_wait_2_ns[1] = waits_ns(lab, client, server, false, &look);
    } else {
        measured.time_wait_ns[1] = -1;
    }
    struct binds binds = bind_again(lab, client, server);
    if (lab_full(lab) && measured.time_wait_ns[0] >= 0) {
        lab_sleep(began_ns + measured.time_wait_ns[0] - NS_PER_S - lab_now()); /* not looking all the time */
        if (lab_until(is_gone, &kept, FULL_NS))
            measured.whole_ns = lab_now() - began_ns;
    }
    tell_table(lab, &measured);
    tell_binds(lab, &binds);
    judge(lab, &measured);
}

static const struct lab_claim claims[] = {
    {"C48", N_("Who closes waits for twice the maximum segment lifetime in TIME_WAIT.")},
    {NULL, NULL},
};

static const char *const settings[] = {FIN_TIMEOUT, "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_max_tw_buckets", NULL};

const struct experiment experiment_time_wait = {
    .name = "time-wait",
    .chapter = CHAPTER_CLOSING,
    .title = N_("how long TIME_WAIT lasts, and what it stands in the way of"),
    .claims = claims,
    .systems = "S18",
    .milliseconds = 400,
    .done = N_("A client closes first, and its kernel is asked how long the entry in TIME_WAIT has still to wait; then "
               "one whose server never closes, which stays in FIN_WAIT_2. Both again with tcp_fin_timeout at 5 s "
               "and a longer round trip. Nobody waits for the end, unless --full is given."),
    .question = N_("How many seconds does TIME_WAIT last on this kernel?"),
    .by_hand = "sonde serve echo tcp://127.0.0.1:7007 &\n"
               "printf 'hello\\n' | nc -N 127.0.0.1 7007\n"
               "sonde watch --once state time-wait    # the countdown is in the TIMER column",
    .read = "RFC 9293, 3.4.2 (MSL), 3.6.1; tcp(7), tcp_fin_timeout; socket(7), SO_REUSEADDR",
    .settings = settings,
    .run = run,
};
