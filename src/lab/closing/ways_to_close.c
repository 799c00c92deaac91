/* SPDX-License-Identifier: MIT */
/*
 * The ways in which a connection ends: how many segments each takes, and who keeps TIME_WAIT.
 *
 * The FIN of who closes second may carry the acknowledgement of the first one's. Whether it does is a matter of time: a
 * kernel that has been answering does not acknowledge a lone FIN at once, but waits some tens of milliseconds for
 * something to send along. So the same connection, with a question and an answer behind it, is closed by a server that
 * answers at once, and by one that takes its time.
 *
 * "At once" and "at the same time" are premises, which a busy machine may break. Whether they held is seen on the wire;
 * a way in which they did not is gone again.
 */
#include "lab/call.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define TAKES_ITS_TIME_NS (200 * NS_PER_MS)
#define WITHIN_NS (3 * NS_PER_S)
#define AT_ONCE_NS (20 * NS_PER_MS) /* half of the shortest time for which Linux puts an acknowledgement off */
#define N_TRIES 5

struct play {
    struct lab *lab;
    struct party *client, *server;
    struct lab_pair pair;
};

enum holder { HOLDS_NOBODY, HOLDS_CLIENT, HOLDS_SERVER, HOLDS_BOTH, N_HOLDERS };

static const char *const holder_words[N_HOLDERS] = {N_("nobody"), N_("client"), N_("server"), N_("both")};

struct outcome {
    unsigned n_segments, n_fins, n_resets; /* from the first FIN or reset on; those without data */
    enum holder holder;
    bool over;       /* both ends came to rest */
    bool as_meant;   /* the second FIN left when it was to */
    int64_t ack_ns;  /* from the first FIN's arrival until its acknowledgement left; 0: not seen */
    int64_t gap_ns;  /* ... until the other end's FIN left */
    bool fins_cross; /* each left before the other had arrived */
};

struct way {
    const char *name;
    void (*end)(struct play *play);
    const char *caption;  /* its ladder is drawn; NULL: it is not */
    enum holder expected; /* of C51, which speaks of ends that close in order */
    bool in_order;
    enum { NO_MATTER, FOLLOWS_AT_ONCE, FINS_CROSS } premise;
};

static char scrap[64];

/* ---- the ways */

static void follow_at_once(struct party *party, int fd)
{
    party_recv(party, fd, scrap, sizeof scrap, 0);
    party_close(party, fd);
}

static void client_then_server_at_once(struct play *play)
{
    party_close(play->client, play->pair.client);
    follow_at_once(play->server, play->pair.server);
}

static void client_then_server_late(struct play *play)
{
    party_close(play->client, play->pair.client);
    party_recv(play->server, play->pair.server, scrap, sizeof scrap, 0);
    lab_sleep(TAKES_ITS_TIME_NS);
    party_close(play->server, play->pair.server);
}

static void server_then_client(struct play *play)
{
    party_close(play->server, play->pair.server);
    follow_at_once(play->client, play->pair.client);
}

static void half_close_first(struct play *play)
{
    party_shutdown(play->client, play->pair.client, SHUT_WR);
    party_recv(play->server, play->pair.server, scrap, sizeof scrap, 0);
    party_send(play->server, play->pair.server, "still here", 10, 0);
    party_recv(play->client, play->pair.client, scrap, sizeof scrap, 0);
    party_close(play->server, play->pair.server);
    follow_at_once(play->client, play->pair.client);
}

static void both_at_once(struct play *play)
{
    party_close(play->client, play->pair.client);
    party_close(play->server, play->pair.server);
}

static bool has_unread(void *data)
{
    return lab_queued_in(*(int *)data) > 0;
}

static void with_unread_data(struct play *play)
{
    party_send(play->server, play->pair.server, "for nobody", 10, 0);
    lab_until(has_unread, &play->pair.client, WITHIN_NS);
    party_close(play->client, play->pair.client);
    follow_at_once(play->server, play->pair.server);
}

static void with_linger_0(struct play *play)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};

    party_set_bytes(play->client, play->pair.client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    party_close(play->client, play->pair.client);
    follow_at_once(play->server, play->pair.server);
}

enum { AT_ONCE, LATE, SERVER_FIRST, HALF_CLOSE, SIMULTANEOUS, UNREAD, LINGER, N_WAYS };

static const struct way ways[N_WAYS] = {
    [AT_ONCE] = {N_("client, server follows at once"), client_then_server_at_once, NULL, HOLDS_CLIENT, true,
                 FOLLOWS_AT_ONCE},
    [LATE] = {N_("client, server 200 ms later"), client_then_server_late,
              N_("the client closes, the server takes its time"), HOLDS_CLIENT, true, NO_MATTER},
    [SERVER_FIRST] = {N_("server, client follows at once"), server_then_client, NULL, HOLDS_SERVER, true, NO_MATTER},
    [HALF_CLOSE] = {N_("client by shutdown, server sends on"), half_close_first, NULL, HOLDS_CLIENT, true, NO_MATTER},
    [SIMULTANEOUS] = {N_("both at the same time"), both_at_once, N_("both close while the other's FIN is under way"),
                      HOLDS_BOTH, true, FINS_CROSS},
    [UNREAD] = {N_("client, with data it has not read"), with_unread_data, NULL, HOLDS_NOBODY, false, NO_MATTER},
    [LINGER] = {N_("client, SO_LINGER of 0"), with_linger_0, NULL, HOLDS_NOBODY, false, NO_MATTER},
};

/* ---- looking */

static bool at_rest(struct play *play, enum event_end end, bool *ret_time_wait)
{
    const struct lab_pair *pair = &play->pair;
    struct socket_info info;
    bool found = end == END_A ? lab_socket_of(play->lab, end, pair->client_port, pair->server_port, &info)
                              : lab_socket_of(play->lab, end, pair->server_port, pair->client_port, &info);

    *ret_time_wait = found && info.state == TCP_STATE_TIME_WAIT;
    return !found || *ret_time_wait;
}

static bool both_at_rest(void *data)
{
    bool time_wait;

    return at_rest(data, END_A, &time_wait) && at_rest(data, END_B, &time_wait);
}

/* When the second FIN left, and the acknowledgement of the first, as seen from the first one's arrival. */
static void look_at_times(const struct lab_segment *segments, size_t n, struct outcome *outcome)
{
    const struct lab_segment *first = NULL, *second = NULL;

    for (size_t i = 0; i < n; i++) {
        const struct event_segment *segment = &segments[i].segment;
        if (first && !outcome->ack_ns && segment->from != first->segment.from && segment->ack > first->segment.seq)
            outcome->ack_ns = segments[i].left_ns - first->arrived_ns;
        if (!(segment->flags & SEGMENT_FIN))
            continue;
        if (!first)
            first = &segments[i];
        else if (!second && segment->from != first->segment.from)
            second = &segments[i];
    }
    if (!first || !second)
        return;
    outcome->gap_ns = second->left_ns - first->arrived_ns;
    outcome->fins_cross = outcome->gap_ns < 0;
}

static void count_segments(struct play *play, struct outcome *outcome)
{
    size_t n;
    const struct lab_segment *segments = lab_segments(play->lab, play->pair.client_port, &n);

    for (size_t i = 0; i < n; i++) {
        const struct event_segment *segment = &segments[i].segment;
        outcome->n_fins += (segment->flags & SEGMENT_FIN) != 0;
        outcome->n_resets += (segment->flags & SEGMENT_RST) != 0;
        if ((outcome->n_fins > 0 || outcome->n_resets > 0) && segment->n_bytes == 0)
            outcome->n_segments++;
    }
    look_at_times(segments, n, outcome);
}

/* A question and its answer: from now on both kernels put acknowledgements off. */
static void ask_and_answer(struct play *play)
{
    party_send(play->client, play->pair.client, "hello?", 6, 0);
    party_recv(play->server, play->pair.server, scrap, sizeof scrap, 0);
    party_send(play->server, play->pair.server, "yes.", 4, 0);
    party_recv(play->client, play->pair.client, scrap, sizeof scrap, 0);
    lab_settle(play->lab);
}

/* Once. The connection's port, for its ladder, is left in ret_port. */
static struct outcome end_one(struct lab *lab, struct party *client, struct party *server, const struct way *way,
                              uint16_t *ret_port)
{
    struct play play = {.lab = lab, .client = client, .server = server};
    struct outcome outcome = {0};
    bool at_client, at_server;

    lab_connected(client, server, &play.pair);
    *ret_port = play.pair.client_port;
    ask_and_answer(&play);
    way->end(&play);
    outcome.over = lab_until(both_at_rest, &play, WITHIN_NS);
    lab_settle(lab);
    at_rest(&play, END_A, &at_client);
    at_rest(&play, END_B, &at_server);
    outcome.holder = (at_client ? HOLDS_CLIENT : 0) | (at_server ? HOLDS_SERVER : 0);
    count_segments(&play, &outcome);
    outcome.as_meant = way->premise == NO_MATTER || (way->premise == FINS_CROSS && outcome.fins_cross) ||
                       (way->premise == FOLLOWS_AT_ONCE && outcome.gap_ns < AT_ONCE_NS);
    return outcome;
}

static void run_way(struct lab *lab, struct party *client, struct party *server, const struct way *way,
                    struct outcome *ret_outcome)
{
    uint16_t port;

    *ret_outcome = end_one(lab, client, server, way, &port);
    for (unsigned i = 1; i < N_TRIES && !ret_outcome->as_meant; i++)
        *ret_outcome = end_one(lab, client, server, way, &port);
    if (way->caption)
        lab_ladder(lab, port, _(way->caption));
}

/* ---- telling */

static void tell_table(struct lab *lab, const struct outcome outcomes[N_WAYS])
{
    static const char *const heads[] = {N_("who closes"), N_("segments"), "FIN", "RST", N_("TIME_WAIT at")};

    lab_table(lab, 5, heads);
    for (unsigned i = 0; i < N_WAYS; i++) {
        lab_cell(lab, "%s", _(ways[i].name));
        lab_cell(lab, "%u", outcomes[i].n_segments);
        lab_cell(lab, "%u", outcomes[i].n_fins);
        lab_cell(lab, "%u", outcomes[i].n_resets);
        lab_cell(lab, "%s", outcomes[i].over ? _(holder_words[outcomes[i].holder]) : _("not at rest in 3 s"));
    }
    lab_table_end(lab);
}

static void judge_segments(struct lab *lab, const struct outcome outcomes[N_WAYS])
{
    unsigned at_once = outcomes[AT_ONCE].n_segments, late = outcomes[LATE].n_segments;
    int64_t ack_ns = outcomes[LATE].ack_ns;

    lab_figure(lab, "C47", "segments_server_at_once", at_once);
    lab_figure(lab, "C47", "segments_server_late", late);
    lab_figure(lab, "C47", "segments_simultaneous", outcomes[SIMULTANEOUS].n_segments);
    lab_figure(lab, "C47", "ack_put_off_ms", (double)ack_ns / NS_PER_MS);
    lab_figure(lab, "C47", "server_at_once_after_ms", (double)outcomes[AT_ONCE].gap_ns / NS_PER_MS);
    lab_answer(lab, "%u", at_once);
    if (!outcomes[AT_ONCE].as_meant || !outcomes[AT_ONCE].over || !outcomes[LATE].over)
        lab_verdict(lab, "C47", LAB_NOT_SHOWN,
                    _("The server was to close at once, but its FIN left %s after the client's had come: this machine "
                      "was too busy."),
                    lab_time_text(outcomes[AT_ONCE].gap_ns));
    else if (at_once == 4 && late == 4)
        lab_verdict(lab, "C47", LAB_TRUE,
                    _("4 segments both times: this kernel acknowledged the client's FIN before the server had closed, "
                      "even though it closed at once."));
    else if (late == 4)
        lab_verdict(lab, "C47", LAB_DEPENDS,
                    _("4 when the server closed 200 ms later, %u when it closed at once: its FIN then carries the "
                      "acknowledgement of the client's. Four are needed only when the second end keeps talking, or "
                      "thinking, for longer than its kernel puts an acknowledgement off (%s here)."),
                    at_once, lab_time_text(ack_ns));
    else
        lab_verdict(lab, "C47", LAB_FALSE, _("%u when the server closed at once, %u when it closed 200 ms later."),
                    at_once, late);
}

static void judge_holders(struct lab *lab, const struct outcome outcomes[N_WAYS])
{
    unsigned n_orderly = 0, n_as_said = 0;

    for (unsigned i = 0; i < N_WAYS; i++) {
        if (!ways[i].in_order || !outcomes[i].as_meant)
            continue;
        n_orderly++;
        n_as_said += outcomes[i].over && outcomes[i].holder == ways[i].expected;
    }
    lab_figure(lab, "C51", "orderly_closes", n_orderly);
    lab_figure(lab, "C51", "held_by_who_closed_first", n_as_said);
    if (n_as_said == n_orderly && outcomes[SIMULTANEOUS].as_meant)
        lab_verdict(lab, "C51", LAB_TRUE,
                    _("%u of %u: the client's kernel kept it when the client closed first, the server's when the "
                      "server did. When both closed before the other's FIN had come, both kept it. Where a reset "
                      "ended it instead (%u and %u seen), it was left with: %s, %s."),
                    n_as_said, n_orderly, outcomes[UNREAD].n_resets, outcomes[LINGER].n_resets,
                    _(holder_words[outcomes[UNREAD].holder]), _(holder_words[outcomes[LINGER].holder]));
    else
        lab_verdict(lab, "C51", n_as_said > 0 ? LAB_DEPENDS : LAB_NOT_SHOWN,
                    _("In %u of %u orderly closes. It was left with: %s, when the client closed first; %s, when the "
                      "server did; %s, when both closed at once. (tcp_max_tw_buckets bounds how many there may be; "
                      "it is %lld.)"),
                    n_as_said, n_orderly, _(holder_words[outcomes[AT_ONCE].holder]),
                    _(holder_words[outcomes[SERVER_FIRST].holder]), _(holder_words[outcomes[SIMULTANEOUS].holder]),
                    (long long)lab_setting(lab, END_A, "net.ipv4.tcp_max_tw_buckets"));
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct outcome outcomes[N_WAYS];

    lab_rules(lab, END_A, "delay 5ms");
    lab_rules(lab, END_B, "delay 5ms");
    for (unsigned i = 0; i < N_WAYS; i++)
        run_way(lab, client, server, &ways[i], &outcomes[i]);
    tell_table(lab, outcomes);
    judge_segments(lab, outcomes);
    judge_holders(lab, outcomes);
}

static const struct lab_claim claims[] = {
    {"C47", N_("Closing a connection takes four segments.")},
    {"C51", N_("With TCP it is the end that closes first that stays in TIME_WAIT.")},
    {NULL, NULL},
};

static const char *const settings[] = {"net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_max_tw_buckets", NULL};

const struct experiment experiment_ways_to_close = {
    .name = "ways-to-close",
    .chapter = CHAPTER_CLOSING,
    .title = N_("how many segments a close takes, and who keeps TIME_WAIT"),
    .claims = claims,
    .systems = "S18",
    .needs = LAB_WIRE,
    .milliseconds = 1200,
    .done =
        N_("Seven connections over a wire of 5 ms each way carry a question and an answer, and are ended in seven "
           "ways. From the first FIN or reset on, the segments without data are counted; then both kernels are asked "
           "what is left of the connection."),
    .question = N_("The client closes. The server sees the end and closes at once. How many segments is that?"),
    .by_hand = "sonde serve echo --trace tcp://127.0.0.1:7007 &\n"
               "printf 'hello\\n' | nc -N 127.0.0.1 7007\n"
               "sonde watch --once state time-wait",
    .read = "RFC 9293, 3.6 (closing a connection), 3.6.1 (half-closed); tcp(7); shutdown(2)",
    .settings = settings,
    .run = run,
};
