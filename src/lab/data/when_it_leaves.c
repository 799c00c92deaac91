/* SPDX-License-Identifier: MIT */
/*
 * When what was written leaves. The sending of a segment is part of the system call, if the segment may go at once; the
 * kernel's stamp on the wire is then earlier than the return of send(). What may not go yet (Nagle, a cork, congestion
 * window, a closed window) goes when that is over, by an ACK or a timer, long after the return.
 */
#include "lab/data/data.h"
#include "lab/table.h"
#include "term/translate.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define N_TRIES 20
#define SEND_BYTES 100
#define MUCH_BYTES 40000
#define SMALL_RECEIVE_BUFFER 4096
#define CLOSED_FOR_NS (60 * NS_PER_MS)
#define WITHIN_NS (3 * NS_PER_S)
#define N_EXCHANGES 9
#define N_WARM 4 /* until both ends have learnt that this is a conversation, and acknowledge late */

enum leaving { OPEN_WINDOW, NAGLE, CORK, MUCH, CLOSED_WINDOW, N_LEAVINGS };

struct departure {
    unsigned n, n_before; /* sends; of them: the last byte had left before send() returned */
    int64_t after_ns;     /* median from the return to the leaving; negative: before */
    uint16_t client_port;
    int64_t n_bytes; /* taken by the send */
};

/* When the last byte up to this sequence number left for the first time; 0: it did not. */
static int64_t left_at(struct lab *lab, uint16_t client_port, uint64_t end_seq)
{
    const struct lab_segment *segments;
    size_t n;

    lab_settle(lab);
    segments = lab_segments(lab, client_port, &n);
    for (size_t i = 0; i < n; i++)
        if (segments[i].segment.from == END_A && segments[i].segment.n_bytes && !segments[i].copy &&
            segments[i].segment.seq + segments[i].segment.n_bytes >= end_seq)
            return segments[i].left_ns;
    return 0;
}

static void note_departure(struct departure *departure, int64_t *after_ns, unsigned n)
{
    *departure = (struct departure){.n = n};
    for (unsigned i = 0; i < n; i++)
        departure->n_before += after_ns[i] <= 0;
    departure->after_ns = data_median(after_ns, n);
}

static void leave_at_once(struct lab *lab, struct party *client, struct party *server, struct departure *ret_departure)
{
    int64_t end_ns[N_TRIES], after_ns[N_TRIES];
    char bytes[SEND_BYTES] = {0};
    struct lab_pair pair;
    unsigned n = 0;

    lab_connected(client, server, &pair);
    for (unsigned i = 0; i < N_TRIES; i++) {
        data_expect(lab, "send()", party_send(client, pair.client, bytes, sizeof(bytes), 0));
        end_ns[i] = lab_now();
        data_acknowledged(pair.client, WITHIN_NS);
    }
    for (unsigned i = 0; i < N_TRIES; i++) {
        int64_t left_ns = left_at(lab, pair.client_port, 1 + (uint64_t)(i + 1) * SEND_BYTES);

        if (left_ns)
            after_ns[n++] = left_ns - end_ns[i];
    }
    note_departure(ret_departure, after_ns, n);
    party_close(client, pair.client);
    party_close(server, pair.server);
}

/* One send that may not leave at once. */
static void leave_later(struct lab *lab, struct party *client, struct party *server, enum leaving leaving,
                        struct departure *ret_departure)
{
    size_t n_bytes = leaving == MUCH || leaving == CLOSED_WINDOW ? MUCH_BYTES : SEND_BYTES;
    uint64_t end_seq = 1;
    char *bytes = calloc(1, n_bytes);
    int64_t end_ns, left_ns, after_ns[1], n_taken;
    struct lab_pair pair;

    if (!bytes)
        lab_give_up(lab, _("There was no memory."));
    data_connected(lab, client, server, 0, leaving == CLOSED_WINDOW ? SMALL_RECEIVE_BUFFER : 0, &pair);
    if (leaving == NAGLE) /* one on its way, so that the next has to wait for its acknowledgement */
        end_seq += (uint64_t)data_expect(lab, "send()", party_send(client, pair.client, bytes, n_bytes, 0));
    if (leaving == CORK)
        party_set(client, pair.client, IPPROTO_TCP, TCP_CORK, 1);
    /* Should the buffer be smaller than this, what it takes is enough; nobody reads yet, so waiting would be for ever.
     */
    n_taken = data_expect(lab, "send()", party_send(client, pair.client, bytes, n_bytes, MSG_DONTWAIT));
    end_ns = lab_now();
    end_seq += (uint64_t)n_taken;
    if (leaving == CLOSED_WINDOW)
        lab_sleep(CLOSED_FOR_NS);
    data_drain(pair.server, (int64_t)end_seq - 1, WITHIN_NS, NULL, NULL);
    data_acknowledged(pair.client, WITHIN_NS);
    left_ns = left_at(lab, pair.client_port, end_seq);
    after_ns[0] = left_ns - end_ns;
    note_departure(ret_departure, after_ns, left_ns ? 1 : 0);
    ret_departure->client_port = pair.client_port;
    ret_departure->n_bytes = n_taken;
    party_close(client, pair.client);
    party_close(server, pair.server);
    free(bytes);
}

/* On loopback the bytes are in the receiver's queue when send() returns. */
static unsigned arrive_at_once(struct lab *lab, struct party *server)
{
    struct party *client = lab_party(lab, "client beside", END_B);
    char bytes[SEND_BYTES] = {0};
    unsigned n_arrived = 0;
    struct lab_pair pair;

    lab_connected(client, server, &pair);
    for (unsigned i = 0; i < N_TRIES; i++) {
        data_expect(lab, "send()", party_send(client, pair.client, bytes, sizeof(bytes), 0));
        n_arrived += lab_queued_in(pair.server) == SEND_BYTES;
        data_drain(pair.server, SEND_BYTES, WITHIN_NS, NULL, NULL);
    }
    party_close(client, pair.client);
    party_close(server, pair.server);
    return n_arrived;
}

/* ---- request in two writes, answer: Nagle at one end meets the delayed ACK of the other */

enum asking { ASK_NAGLE, ASK_NODELAY, ASK_ONCE, N_ASKINGS };

static void *answer(struct party *server, void *data)
{
    int fd = *(int *)data;
    char bytes[2 * SEND_BYTES];

    for (;;) {
        for (size_t n_got = 0; n_got < sizeof(bytes);) {
            ssize_t n = party_recv(server, fd, bytes, sizeof(bytes) - n_got, 0);

            if (n <= 0)
                return NULL;
            n_got += (size_t)n;
        }
        if (party_send(server, fd, bytes, SEND_BYTES, 0) < 0)
            return NULL;
    }
}

static int64_t ask(struct lab *lab, struct party *client, struct party *server, enum asking asking)
{
    int64_t took_ns[N_EXCHANGES];
    char bytes[2 * SEND_BYTES] = {0};
    struct lab_pair pair;

    lab_connected(client, server, &pair);
    if (asking == ASK_NODELAY)
        party_set(client, pair.client, IPPROTO_TCP, TCP_NODELAY, 1);
    party_start(server, answer, &pair.server);
    for (unsigned i = 0; i < N_EXCHANGES; i++) {
        int64_t start_ns = lab_now();

        if (asking == ASK_ONCE) {
            party_send(client, pair.client, bytes, 2 * SEND_BYTES, 0);
        } else {
            party_send(client, pair.client, bytes, SEND_BYTES, 0);
            party_send(client, pair.client, bytes, SEND_BYTES, 0);
        }
        data_expect(lab, "recv()", party_recv(client, pair.client, bytes, SEND_BYTES, MSG_WAITALL));
        took_ns[i] = lab_now() - start_ns;
    }
    party_close(client, pair.client);
    party_join(server);
    party_close(server, pair.server);
    return data_median(took_ns + N_WARM, N_EXCHANGES - N_WARM);
}

/* ---- */

static void show(struct lab *lab, const struct departure *departures, unsigned n_arrived, const int64_t *asked)
{
    const char *names[N_LEAVINGS] = {_("open window, nothing under way"), _("small, one not acknowledged (Nagle)"),
                                     _("TCP_CORK, and nothing more comes"), _("%s bytes, a new connection"),
                                     _("%s bytes, the window closes")};
    const char *asks[N_ASKINGS] = {_("two sends, as it is (Nagle)"), _("two sends, TCP_NODELAY"), _("one send")};
    const char *heads[] = {_("a send, when"), _("tries"), _("left before"), _("left after")};
    const char *heads_asked[] = {_("200 bytes and an answer"), _("median")};

    lab_say(lab, _("Did the last byte leave before send() returned, or how long after that?"));
    lab_table(lab, 4, heads);
    for (unsigned i = 0; i < N_LEAVINGS; i++) {
        lab_cell(lab, names[i], lab_count_text((uint64_t)departures[i].n_bytes));
        lab_cell(lab, "%u", departures[i].n);
        lab_cell(lab, "%u", departures[i].n_before);
        if (!departures[i].n)
            lab_cell(lab, "%s", _("never"));
        else
            lab_cell(lab, "%s", departures[i].after_ns > 0 ? lab_time_text(departures[i].after_ns) : "-");
    }
    lab_table_end(lab);
    lab_say(lab, _("On loopback, %u of %d sends had arrived in the receiver's queue when send() returned."), n_arrived,
            N_TRIES);
    lab_table(lab, 2, heads_asked);
    for (unsigned i = 0; i < N_ASKINGS; i++) {
        lab_cell(lab, "%s", asks[i]);
        lab_cell(lab, "%s", lab_time_text(asked[i]));
    }
    lab_table_end(lab);
    lab_ladder(lab, departures[NAGLE].client_port,
               _("two sends: the second waits for the acknowledgement of the first (Nagle)"));
    lab_footnote(lab, _("Nagle's second half waits for an acknowledgement, and the answering end delays that one, "
                        "hoping to send it along with an answer that cannot be made yet."));
}

static void give_figures(struct lab *lab, const struct departure *departures, unsigned n_arrived, const int64_t *asked)
{
    static const char *const names[N_LEAVINGS] = {"", "nagle_after_ms", "cork_after_ms", "much_after_ms",
                                                  "closed_window_after_ms"};
    static const char *const asks[N_ASKINGS] = {"exchange_nagle_ms", "exchange_nodelay_ms", "exchange_one_send_ms"};

    lab_figure(lab, "C34", "open_window_sends", departures[OPEN_WINDOW].n);
    lab_figure(lab, "C34", "open_window_left_before_return", departures[OPEN_WINDOW].n_before);
    lab_figure(lab, "C34", "loopback_sends", N_TRIES);
    lab_figure(lab, "C34", "loopback_arrived_before_return", n_arrived);
    for (unsigned i = NAGLE; i < N_LEAVINGS; i++)
        if (departures[i].n)
            lab_figure(lab, "C34", names[i], (double)departures[i].after_ns / NS_PER_MS);
    for (unsigned i = 0; i < N_ASKINGS; i++)
        lab_figure(lab, "C34", asks[i], (double)asked[i] / NS_PER_MS);
}

static void give_verdict(struct lab *lab, const struct departure *departures, unsigned n_arrived)
{
    const struct departure *open = &departures[OPEN_WINDOW];
    unsigned n_later = 0, n_cases = 0;

    for (unsigned i = NAGLE; i < N_LEAVINGS; i++) {
        n_cases += departures[i].n;
        n_later += departures[i].n - departures[i].n_before;
    }
    if (lab_starved(lab, 5 * NS_PER_MS) && !open->n_before)
        lab_verdict(lab, "C34", LAB_NOT_SHOWN,
                    _("This machine was too busy to tell which came first, the segment or the return."));
    else if (open->n_before * 2 > open->n && n_cases == N_LEAVINGS - 1 && n_later == n_cases)
        lab_verdict(
            lab, "C34", LAB_DEPENDS,
            _("With an open window %u of %u had left before send() returned, and on loopback %u of %d had "
              "arrived. What may not leave yet left later: %s after the return with Nagle, %s with a cork, %s with a "
              "closed window."),
            open->n_before, open->n, n_arrived, N_TRIES, lab_time_text(departures[NAGLE].after_ns),
            lab_time_text(departures[CORK].after_ns), lab_time_text(departures[CLOSED_WINDOW].after_ns));
    else if (open->n_before * 2 > open->n && n_later)
        lab_verdict(lab, "C34", LAB_DEPENDS,
                    _("With an open window %u of %u had left before send() returned, and on loopback %u of %d had "
                      "arrived. Of %u sends that may not leave yet, %u left after the return."),
                    open->n_before, open->n, n_arrived, N_TRIES, n_cases, n_later);
    else if (open->n_before * 2 > open->n)
        lab_verdict(lab, "C34", LAB_FALSE,
                    _("With an open window %u of %u had left before send() returned, and so had all %u others."),
                    open->n_before, open->n, n_cases);
    else
        lab_verdict(
            lab, "C34", LAB_DEPENDS,
            _("With an open window only %u of %u had left before send() returned, though on loopback %u of %d had "
              "arrived; %u of %u others left later."),
            open->n_before, open->n, n_arrived, N_TRIES, n_later, n_cases);
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct departure departures[N_LEAVINGS];
    int64_t asked[N_ASKINGS];
    unsigned n_arrived;

    leave_at_once(lab, client, server, &departures[OPEN_WINDOW]);
    n_arrived = arrive_at_once(lab, server);
    for (enum leaving leaving = NAGLE; leaving < N_LEAVINGS; leaving++) {
        const char *rules = leaving == NAGLE || leaving == MUCH ? "delay 10ms" : "";

        lab_rules(lab, END_A, rules);
        lab_rules(lab, END_B, rules);
        leave_later(lab, client, server, leaving, &departures[leaving]);
    }
    lab_rules(lab, END_A, "");
    lab_rules(lab, END_B, "");
    for (enum asking asking = 0; asking < N_ASKINGS; asking++) {
        char name[32];

        snprintf(name, sizeof(name), "server %d", 2 + asking);
        asked[asking] = ask(lab, client, lab_party(lab, name, END_B), asking);
    }
    show(lab, departures, n_arrived, asked);
    lab_answer(lab, "%s", departures[OPEN_WINDOW].n_before * 2 > departures[OPEN_WINDOW].n ? "a" : "b");
    give_figures(lab, departures, n_arrived, asked);
    give_verdict(lab, departures, n_arrived);
}

static const struct lab_claim claims[] = {
    {"C34", N_("Write returns before the data is on the wire.")},
    {0},
};

static const char *const choices[] = {
    N_("a) the segment has left"),
    N_("b) send() has returned"),
    NULL,
};

static const char *const settings[] = {"net.ipv4.tcp_autocorking", "net.ipv4.tcp_congestion_control", NULL};

const struct experiment experiment_when_it_leaves = {
    .name = "when-it-leaves",
    .chapter = CHAPTER_DATA,
    .title = N_("does write() return before the bytes are on the wire"),
    .claims = claims,
    .systems = "S14 S15",
    .needs = LAB_WIRE,
    .milliseconds = 1000,
    .done = N_("For each send the time of its return is compared with the kernel's stamp of the packet on the wire: 20 "
               "times with an open window, and once for each thing that holds data back (the wire takes 10 ms each way "
               "for some of these). Then requests in two sends, each with an answer."),
    .question = N_("A small send on an idle connection with an open window: which comes first?"),
    .choices = choices,
    .by_hand = "sonde wire --trace --delay 50ms -- \\\n"
               "    sonde serve discard tcp://10.0.0.2:7007 --- sh -c \\\n"
               "    '(sleep .3; printf one; sleep .01; printf two; sleep .3) |\n"
               "     nc -N 10.0.0.2 7007'",
    .read = "RFC 9293, 3.7.4 (Nagle), 3.8.6.3 (delayed ACK); tcp(7), TCP_NODELAY, TCP_CORK, TCP_QUICKACK",
    .settings = settings,
    .run = run,
};
