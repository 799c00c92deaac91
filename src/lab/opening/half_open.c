/* SPDX-License-Identifier: MIT */
/*
 * When the half-open entry is made, and when it becomes a connection. The wire is slow (50 ms each way) and the
 * server's kernel is asked all the time, so that what it has can be put between the segments' own times. Once as this
 * machine is set, once with SYN cookies instead of entries (or, where that is this machine's setting, with entries).
 */
#include "lab/opening/clients.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <stdio.h>

#define SYNCOOKIES "net.ipv4.tcp_syncookies"
#define SLOW "delay 50ms"
#define HELD_NS (100 * NS_PER_MS)
#define STAMP_NS (5 * NS_PER_MS) /* the wire's stamp and the kernel's doing lie at most so far apart */

static const struct lab_claim claims[] = {
    {"C61", N_("The half-open entry is made after the second segment.")},
    {"C19", N_("With the third segment, the half-open entry moves to the queue of completed connections.")},
    {0},
};

static const char *const choices[] = {
    N_("a) none yet"),
    N_("b) SYN_RECV"),
    N_("c) ESTABLISHED"),
    NULL,
};

/* The server's side of one connection, looked at again and again. */
struct seen {
    struct lab *lab;
    uint16_t server_port, client_port;
    int64_t half_open_ns, half_open_last_ns; /* first and last seen; 0: never. First: the look's end, last: its start */
    int64_t established_ns;
    bool in_queue; /* the listener counted it then */
};

static bool look(void *data)
{
    struct seen *seen = data;
    struct socket_info found;
    int64_t start_ns = lab_now();

    if (!lab_socket_of(seen->lab, END_B, seen->server_port, seen->client_port, &found)) {
        return false;
    }
    if (found.state == TCP_STATE_SYN_RECV) {
        if (!seen->half_open_ns) {
            seen->half_open_ns = lab_now();
        }
        seen->half_open_last_ns = start_ns;
    } else if (found.state == TCP_STATE_ESTABLISHED) {
        seen->established_ns = lab_now();
    }
    return seen->established_ns != 0;
}

/* The same, with the times of the three segments: 0: not seen. */
struct timed {
    char cookies[16]; /* the setting */
    struct seen seen;
    int64_t syn_left_ns, syn_ns, syn_ack_ns, ack_ns; /* arrived */
};

static void take_segments(struct lab *lab, struct timed *timed)
{
    size_t n;
    const struct lab_segment *segments = lab_segments(lab, timed->seen.client_port, &n);

    for (size_t i = 0; i < n; i++) {
        const struct event_segment *segment = &segments[i].segment;

        if (segment->from == END_B && segment->flags & SEGMENT_SYN && !timed->syn_ack_ns) {
            timed->syn_ack_ns = segments[i].arrived_ns;
        } else if (segment->from == END_A && segment->flags & SEGMENT_SYN && !timed->syn_ns) {
            timed->syn_left_ns = segments[i].left_ns;
            timed->syn_ns = segments[i].arrived_ns;
        } else if (segment->from == END_A && segment->flags & SEGMENT_ACK && !timed->ack_ns) {
            timed->ack_ns = segments[i].arrived_ns;
        }
    }
    if (!timed->syn_ns || !timed->syn_ack_ns || !timed->ack_ns) {
        lab_give_up(lab, _("Not all three segments of the handshake were seen."));
    }
}

static void open_slowly(struct lab *lab, struct party *client, struct party *server, struct timed *timed)
{
    int listener = lab_listening(server, 5, &timed->seen.server_port);
    int fd = party_socket(client, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    timed->seen.lab = lab;
    lab_setting_text(lab, END_B, SYNCOOKIES, timed->cookies, sizeof timed->cookies);
    lab_rules(lab, END_A, SLOW);
    lab_rules(lab, END_B, SLOW);
    party_bind(client, fd, lab_address(lab, END_A), 0);
    timed->seen.client_port = lab_local_port(fd);
    int result = party_connect(client, fd, lab_address(lab, END_B), timed->seen.server_port);
    if (result < 0 && result != -EINPROGRESS) {
        lab_give_up(lab, _("The client could not connect: %s."), sonde_strerror(result));
    }
    lab_until(look, &timed->seen, NS_PER_S);
    timed->seen.in_queue = opening_queue_is(lab, timed->seen.server_port, 1);
    lab_settle(lab);
    take_segments(lab, timed);
    lab_rules(lab, END_A, "");
    lab_rules(lab, END_B, "");
    opening_linger(fd);
    party_close(client, fd);
    party_close(server, listener);
}

/* The client's bare acknowledgement never arrives: the entry stands still, until data brings the acknowledgement. */
struct held {
    bool still;       /* SYN_RECV in every look of the while */
    unsigned n_looks; /* ... so many */
    enum tcp_state client;
    bool completed;    /* by data */
    unsigned n_queued; /* bytes of it, in the connection that nobody has accepted */
};

static struct held hold_still(struct lab *lab, struct party *client, struct party *server)
{
    struct held held = {0};
    struct seen seen = {.lab = lab};
    struct socket_info found;
    int listener = lab_listening(server, 5, &seen.server_port);
    int fd = opening_socket(client, lab);

    lab_forget(lab);
    lab_rules(lab, END_A, "drop ack");
    party_connect(client, fd, lab_address(lab, END_B), seen.server_port);
    seen.client_port = lab_local_port(fd);
    lab_settle(lab);
    held.client = opening_state(fd);
    held.still = true;
    for (int64_t end_ns = lab_now() + HELD_NS; lab_now() < end_ns; lab_sleep(2 * NS_PER_MS)) {
        bool there = lab_socket_of(lab, END_B, seen.server_port, seen.client_port, &found);

        held.still &= there && found.state == TCP_STATE_SYN_RECV;
        held.n_looks++;
    }
    party_send(client, fd, "hello", 5, 0);
    held.completed = lab_until(look, &seen, NS_PER_S);
    if (held.completed && lab_socket_of(lab, END_B, seen.server_port, seen.client_port, &found)) {
        held.n_queued = found.receive_queue;
    }
    lab_settle(lab);
    lab_rules(lab, END_A, "");
    lab_ladder(lab, seen.client_port, _("The acknowledgement is dropped; data brings another."));
    opening_linger(fd);
    party_close(client, fd);
    party_close(server, listener);
    return held;
}

static void cell_ms(struct lab *lab, const struct timed *timed, int64_t t_ns)
{
    if (t_ns) {
        lab_cell(lab, "%.2f", (double)(t_ns - timed->syn_left_ns) / NS_PER_MS);
    } else {
        lab_cell(lab, "%s", _("never"));
    }
}

static void table(struct lab *lab, const struct timed *timed, unsigned n)
{
    char name[2][48];
    const char *heads[3] = {N_("ms after the SYN left"), name[0], name[1]};
    const char *const rows[] = {
        N_("SYN arrives at the server"), N_("SYN_RECV first seen"),       N_("SYN-ACK arrives at the client"),
        N_("SYN_RECV last seen"),        N_("ACK arrives at the server"), N_("ESTABLISHED first seen"),
    };

    for (unsigned i = 0; i < n; i++) {
        snprintf(name[i], sizeof name[i], "tcp_syncookies %.15s", timed[i].cookies);
    }
    opening_table(lab, 1 + n, heads);
    for (unsigned row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        lab_cell(lab, "%s", _(rows[row]));
        for (unsigned i = 0; i < n; i++) {
            const struct timed *one = &timed[i];
            const int64_t times[] = {one->syn_ns, one->seen.half_open_ns,  one->syn_ack_ns, one->seen.half_open_last_ns,
                                     one->ack_ns, one->seen.established_ns};
            cell_ms(lab, one, times[row]);
        }
    }
    lab_table_end(lab);
}

static void when_made(struct lab *lab, const struct timed *timed, unsigned n)
{
    const struct timed *entry = NULL, *none = NULL;

    for (unsigned i = 0; i < n; i++) {
        if (timed[i].seen.half_open_ns && !entry) {
            entry = &timed[i];
        } else if (!timed[i].seen.half_open_ns && timed[i].seen.established_ns) {
            none = &timed[i];
        }
    }
    lab_figure(lab, "C61", "entry_seen", entry ? 1 : 0);
    if (!entry) {
        lab_verdict(lab, "C61", LAB_NOT_SHOWN,
                    _("No entry in SYN_RECV was seen, with tcp_syncookies %s: there was none to look at."),
                    timed[0].cookies);
        return;
    }
    int64_t after_syn_ns = entry->seen.half_open_ns - entry->syn_ns;
    int64_t before_ns = entry->syn_ack_ns - entry->seen.half_open_ns;
    lab_figure(lab, "C61", "entry_after_syn_ms", (double)after_syn_ns / NS_PER_MS);
    lab_figure(lab, "C61", "entry_before_syn_ack_arrived_ms", (double)before_ns / NS_PER_MS);
    if (before_ns > 0) {
        lab_verdict(lab, "C61", LAB_FALSE,
                    _("The entry was there %s after the SYN had arrived, when the second segment still had %s to go "
                      "until the client had it.%s"),
                    lab_time_text(after_syn_ns > 0 ? after_syn_ns : 0), lab_time_text(before_ns),
                    none ? _(" With tcp_syncookies 2, which answers every SYN by a cookie, no look found one, and the "
                             "connection was made all the same.")
                         : "");
    } else if (lab_starved(lab, 10 * NS_PER_MS)) {
        lab_verdict(lab, "C61", LAB_NOT_SHOWN, _("This machine was too busy to look in time."));
    } else {
        lab_verdict(lab, "C61", LAB_TRUE, _("The entry was first seen %s after the second segment had arrived."),
                    lab_time_text(-before_ns));
    }
}

static void when_moved(struct lab *lab, const struct timed *timed, const struct held *held)
{
    const struct seen *seen = &timed->seen;

    lab_figure(lab, "C19", "held_looks", held->n_looks);
    lab_figure(lab, "C19", "held_still", held->still);
    lab_figure(lab, "C19", "completed_by_data", held->completed);
    if (!seen->half_open_ns || !seen->established_ns) {
        lab_verdict(lab, "C19", LAB_NOT_SHOWN,
                    _("With tcp_syncookies %s no half-open entry was seen that could have moved."), timed->cookies);
        return;
    }
    bool waited = seen->half_open_last_ns > timed->syn_ack_ns;
    bool moved = seen->established_ns > timed->ack_ns - STAMP_NS && seen->half_open_last_ns < timed->ack_ns + STAMP_NS;
    lab_figure(lab, "C19", "established_after_ack_ms", (double)(seen->established_ns - timed->ack_ns) / NS_PER_MS);
    if (moved && waited && seen->in_queue && held->still) {
        lab_verdict(
            lab, "C19", LAB_TRUE,
            _("The server had it in SYN_RECV until the third segment arrived (last seen %s before), then in "
              "ESTABLISHED and in the accept queue. With that segment dropped, all %u looks in %s found "
              "SYN_RECV, though the client was %s.%s"),
            lab_time_text(timed->ack_ns > seen->half_open_last_ns ? timed->ack_ns - seen->half_open_last_ns : 0),
            held->n_looks, lab_time_text(HELD_NS), tcp_state_name(held->client),
            held->completed ? _(" Its first data, which carries the acknowledgement too, completed it.") : "");
    } else if (lab_starved(lab, 10 * NS_PER_MS)) {
        lab_verdict(lab, "C19", LAB_NOT_SHOWN, _("This machine was too busy to look in time."));
    } else {
        lab_verdict(lab, "C19", LAB_FALSE,
                    _("ESTABLISHED was first seen %s after the SYN-ACK had arrived, and the third segment arrived %s "
                      "after it."),
                    lab_time_text(seen->established_ns - timed->syn_ack_ns),
                    lab_time_text(timed->ack_ns - timed->syn_ack_ns));
    }
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A);
    struct party *server = lab_party(lab, "server", END_B);
    struct timed timed[2] = {0};
    unsigned n = 1;

    opening_meet(lab, client, server);
    open_slowly(lab, client, server, &timed[0]);
    struct held held = {0};
    bool always = timed[0].cookies[0] == '2'; /* then there are entries in the second run only */
    if (!always) {
        held = hold_still(lab, client, server);
    }
    if (lab_set(lab, END_B, SYNCOOKIES, always ? "1" : "2")) {
        open_slowly(lab, client, server, &timed[n++]);
    }
    if (always) {
        held = hold_still(lab, client, server);
    }
    table(lab, timed, n);
    lab_answer(lab, "%s", timed[0].seen.half_open_ns && timed[0].seen.half_open_ns < timed[0].syn_ack_ns ? "b" : "a");
    when_made(lab, timed, n);
    when_moved(lab, &timed[always ? n - 1 : 0], &held);
}

static const char *const settings[] = {SYNCOOKIES, "net.ipv4.tcp_synack_retries", NULL};

const struct experiment experiment_half_open = {
    .name = "half-open",
    .chapter = CHAPTER_OPENING,
    .title = N_("when the half-open entry is made, and what completes it"),
    .claims = claims,
    .systems = "S16",
    .needs = LAB_WIRE,
    .milliseconds = 650,
    .done =
        N_("A client connects across a wire on which each way takes 50 ms, and the server's kernel is asked all the "
           "time what it has of the connection. Then the client's acknowledgement is dropped, so that the "
           "connection stays half-open. Then once more with SYN cookies always (tcp_syncookies 2), or, where that is "
           "this machine's setting, without (1)."),
    .question = N_("The SYN has arrived; the SYN-ACK is still under way to the client. In which state does the server "
                   "have the connection?"),
    .choices = choices,
    .by_hand = "sonde wire --trace --a-to-b 'drop ack' -- \\\n"
               "  sonde serve hold tcp://10.0.0.2:7007 --- nc -w 3 10.0.0.2 7007",
    .read = "RFC 9293, 3.5; RFC 4987, 3.6 (SYN cookies); kernel ip-sysctl, tcp_syncookies",
    .settings = settings,
    .run = run,
};
