/* SPDX-License-Identifier: MIT */
/*
 * The closed window: the reader does not read, its kernel's buffer fills, it offers a window of 0, and the sender may
 * send nothing but probes, which are answered with the same 0. The probes' timer doubles. When the reader reads, its
 * kernel says so by itself (a window update), and the write that was blocked goes on.
 */
#include "lab/data/data.h"
#include "lab/table.h"
#include "term/translate.h"

#include <netinet/in.h>
#include <stdlib.h>

#define BUFFER_BYTES 4096
#define SEND_BYTES 12500
#define N_PROBES 3
#define PROBES_MAX 16
#define WITHIN_NS (6 * NS_PER_S)

struct stall {
    struct lab *lab;
    struct party *client;
    struct lab_pair pair;
    char *bytes;
    ssize_t result;
    int64_t returned_ns;
    unsigned n_probes_out; /* as the kernel counts them, at most seen */
    bool saw_timer;        /* the kernel's timer is the probe's */
    unsigned backoff;      /* tcpi_backoff, at most seen */
    bool blocked;          /* the write was, when the reader began to read */
    int64_t read_ns;       /* when the reader began to read */
    int64_t n_held_reader, n_held_sender;
    uint64_t sent_before, sent_after; /* bytes, as the kernel counts them: window closed; before the reading */
    struct probe {
        int64_t left_ns, answered_ns;
        uint64_t window;
    } probe[PROBES_MAX];
    unsigned n;        /* probes on the wire */
    int64_t closed_ns; /* when the window of 0 was offered first */
    int64_t update_ns; /* when it was opened again, behind the reading */
    uint64_t update;   /* to how much */
    unsigned n_data;   /* data segments between closing and opening */
};

static void *write_all(struct party *party, void *data)
{
    struct stall *stall = data;

    stall->result = party_send(party, stall->pair.client, stall->bytes, SEND_BYTES, 0);
    stall->returned_ns = lab_now();
    return NULL;
}

static uint64_t bytes_sent(int fd)
{
    struct tcp_info info;

    return lab_tcp_info(fd, &info) ? info.tcpi_bytes_sent - info.tcpi_bytes_retrans : 0;
}

static void look(struct stall *stall)
{
    struct socket_info socket;
    struct tcp_info info;

    if (lab_socket_of(stall->lab, END_A, stall->pair.client_port, stall->pair.server_port, &socket) &&
        socket.timer == TIMER_PROBE) {
        stall->saw_timer = true;
        if (socket.n_retransmits > stall->n_probes_out)
            stall->n_probes_out = socket.n_retransmits;
    }
    if (lab_tcp_info(stall->pair.client, &info) && info.tcpi_backoff > stall->backoff)
        stall->backoff = info.tcpi_backoff;
}

static bool is_closed(void *data)
{
    struct stall *stall = data;

    look(stall);
    return stall->saw_timer;
}

static bool has_probed(void *data)
{
    struct stall *stall = data;

    look(stall);
    return stall->n_probes_out >= N_PROBES || stall->backoff >= N_PROBES;
}

static void sort_out(struct stall *stall)
{
    const struct lab_segment *segments;
    size_t n;

    lab_settle(stall->lab);
    segments = lab_segments(stall->lab, stall->pair.client_port, &n);
    for (size_t i = 0; i < n; i++) {
        const struct lab_segment *segment = &segments[i];
        bool closed = stall->closed_ns && !stall->update_ns;

        if (segment->segment.from == END_B && segment->segment.flags & SEGMENT_ACK) {
            if (!segment->segment.window && !stall->closed_ns)
                stall->closed_ns = segment->left_ns;
            if (closed && !segment->segment.window && stall->n && !stall->probe[stall->n - 1].answered_ns) {
                stall->probe[stall->n - 1].answered_ns = segment->left_ns;
                stall->probe[stall->n - 1].window = segment->segment.window;
            }
            if (closed && segment->segment.window) {
                stall->update_ns = segment->left_ns;
                stall->update = segment->segment.window;
            }
        } else if (closed && segment->segment.from == END_A && segment->left_ns > stall->closed_ns) {
            stall->n_data += segment->segment.n_bytes > 0 && !has_note(segment->segment.notes, NOTE_WINDOW_PROBE);
            if (has_note(segment->segment.notes, NOTE_WINDOW_PROBE) && stall->n < PROBES_MAX)
                stall->probe[stall->n++].left_ns = segment->left_ns;
        }
    }
}

static void play(struct stall *stall, struct party *server)
{
    char *room = malloc(SEND_BYTES);
    int64_t n_read = 0;

    stall->bytes = calloc(1, SEND_BYTES);
    if (!room || !stall->bytes)
        lab_give_up(stall->lab, _("There was no memory."));
    data_connected(stall->lab, stall->client, server, BUFFER_BYTES, BUFFER_BYTES, &stall->pair);
    party_start(stall->client, write_all, stall);
    if (!lab_until(is_closed, stall, WITHIN_NS))
        lab_give_up(stall->lab, _("The window did not close: the kernel had no probe timer within %s."),
                    lab_time_text(WITHIN_NS));
    data_at_rest(stall->pair.client, stall->pair.server, 20 * NS_PER_MS, WITHIN_NS);
    stall->sent_before = bytes_sent(stall->pair.client);
    lab_until(has_probed, stall, WITHIN_NS);
    stall->sent_after = bytes_sent(stall->pair.client);
    stall->n_held_reader = lab_queued_in(stall->pair.server);
    stall->n_held_sender = lab_queued_out(stall->pair.client);
    stall->blocked = party_blocked_ns(stall->client) > 0;
    stall->read_ns = lab_now();
    while (n_read < SEND_BYTES) {
        ssize_t n = party_recv(server, stall->pair.server, room, SEND_BYTES, 0);

        if (n <= 0)
            break;
        n_read += n;
    }
    party_join(stall->client);
    party_close(stall->client, stall->pair.client);
    party_close(server, stall->pair.server);
    free(room);
    free(stall->bytes);
}

static void show(struct lab *lab, const struct stall *stall)
{
    const char *heads[] = {_("probe"), _("since it closed"), _("since the last"), _("times"), _("answer")};

    int64_t ratelimit_ms = lab_setting(lab, END_B, "net.ipv4.tcp_invalid_ratelimit");
    unsigned n_unanswered = 0;

    lab_table(lab, 5, heads);
    for (unsigned i = 0; i < stall->n; i++) {
        int64_t before_ns = i ? stall->probe[i - 1].left_ns : stall->closed_ns;
        int64_t before_that_ns = i > 1 ? stall->probe[i - 2].left_ns : stall->closed_ns;

        lab_cell(lab, "%u", i + 1);
        lab_cell(lab, "%s", lab_time_text(stall->probe[i].left_ns - stall->closed_ns));
        lab_cell(lab, "%s", lab_time_text(stall->probe[i].left_ns - before_ns));
        if (i)
            lab_cell(lab, "%.2f", (double)(stall->probe[i].left_ns - before_ns) / (double)(before_ns - before_that_ns));
        else
            lab_cell(lab, "%s", "-");
        if (stall->probe[i].answered_ns)
            lab_cell(lab, "win %llu", (unsigned long long)stall->probe[i].window);
        else
            lab_cell(lab, "%s", _("none"));
        n_unanswered += !stall->probe[i].answered_ns;
    }
    lab_table_end(lab);
    lab_say(lab,
            _("The kernel's own view: the timer is the probe's, tcpi_backoff up to %u, %s bytes wait at the sender and "
              "%s at the reader."),
            stall->backoff, lab_count_text((uint64_t)stall->n_held_sender),
            lab_count_text((uint64_t)stall->n_held_reader));
    if (stall->update_ns)
        lab_say(lab,
                _("Reading opened the window to %s bytes, %s after the first recv() began; the write returned %s after "
                  "it."),
                lab_count_text(stall->update), lab_time_text(stall->update_ns - stall->read_ns),
                lab_time_text(stall->returned_ns - stall->read_ns));
    lab_ladder(lab, stall->pair.client_port, _("the window closes, is asked for, and opens"));
    if (n_unanswered && ratelimit_ms > 0)
        lab_footnote(
            lab,
            _("Not every probe is answered: acknowledgements of what is out of the window are sent at most once "
              "in tcp_invalid_ratelimit, %lld ms."),
            (long long)ratelimit_ms);
}

static bool intervals_grow(const struct stall *stall)
{
    for (unsigned i = 2; i < stall->n; i++) {
        int64_t now_ns = stall->probe[i].left_ns - stall->probe[i - 1].left_ns;
        int64_t before_ns = stall->probe[i - 1].left_ns - stall->probe[i - 2].left_ns;

        if (now_ns * 2 < before_ns * 3)
            return false;
    }
    return stall->n >= 3;
}

static void give_verdict(struct lab *lab, const struct stall *stall)
{
    int64_t closed_for_ns = stall->read_ns - stall->closed_ns;
    uint64_t n_new = stall->sent_after - stall->sent_before;
    bool grow = intervals_grow(stall);

    lab_figure(lab, "C35", "probes", stall->n);
    lab_figure(lab, "C35", "backoff", stall->backoff);
    lab_figure(lab, "C35", "intervals_grow", grow);
    lab_figure(lab, "C35", "closed_ms", (double)closed_for_ns / NS_PER_MS);
    lab_figure(lab, "C35", "new_bytes_while_closed", (double)n_new);
    lab_figure(lab, "C35", "window_update_bytes", (double)stall->update);
    lab_figure(lab, "C35", "returned", (double)stall->result);
    if (!stall->closed_ns || !stall->n)
        lab_verdict(lab, "C35", LAB_NOT_SHOWN, _("No window of 0 was seen on the wire, or no probe behind it."));
    else if (!stall->blocked)
        lab_verdict(lab, "C35", LAB_NOT_SHOWN,
                    _("The send buffer took all %s bytes, so the write was not blocked while the window was closed."),
                    lab_count_text(SEND_BYTES));
    else if (!n_new && stall->result == SEND_BYTES && grow)
        lab_verdict(
            lab, "C35", LAB_FALSE,
            _("The write was blocked for %s with the window closed, in which TCP sent no new byte, but %u probes at "
              "growing intervals. It returned %s only when the reader read."),
            lab_time_text(closed_for_ns), stall->n, lab_count_text(SEND_BYTES));
    else if (!n_new)
        lab_verdict(
            lab, "C35", LAB_FALSE,
            _("The write was blocked for %s with the window closed, in which TCP sent no new byte, and %u probes; "
              "it returned %zd of %d."),
            lab_time_text(closed_for_ns), stall->n, stall->result, SEND_BYTES);
    else
        lab_verdict(lab, "C35", LAB_DEPENDS, _("While the window was closed, for %s, TCP sent %s new bytes."),
                    lab_time_text(closed_for_ns), lab_count_text(n_new));
}

static void run(struct lab *lab)
{
    struct party *server = lab_party(lab, "server", END_B);
    struct stall stall = {.lab = lab, .client = lab_party(lab, "client", END_A)};

    play(&stall, server);
    sort_out(&stall);
    show(lab, &stall);
    lab_answer(lab, "%u", stall.n);
    give_verdict(lab, &stall);
}

static const struct lab_claim claims[] = {
    {"C35", N_("A write blocks while TCP is sending.")},
    {0},
};

static const char *const settings[] = {"net.ipv4.tcp_rmem", "net.ipv4.tcp_invalid_ratelimit", NULL};

const struct experiment experiment_zero_window = {
    .name = "zero-window",
    .chapter = CHAPTER_DATA,
    .title = N_("the reader does not read: a closed window and its probes"),
    .claims = claims,
    .systems = "S14",
    .needs = LAB_WIRE,
    .milliseconds = 2200,
    .done =
        N_("A client sends 12,500 bytes to a server that does not read; both set their buffers to 4,096 bytes (which "
           "the kernel doubles), so that the window closes soon. When the kernel has counted three probes, the server "
           "reads."),
    .question =
        N_("The window is closed, and stays so for a second and a half. How many probes does the sender's kernel "
           "send, when the first comes after some 0.2 to 0.4 s and each pause is twice the last?"),
    .by_hand = "timeout 9 sonde serve hold --trace tcp://127.0.0.1:7007 &\n"
               "timeout 6 nc 127.0.0.1 7007 </dev/zero",
    .read = "RFC 9293, 3.8.6.1 (zero window probing); RFC 1122, 4.2.2.17",
    .settings = settings,
    .run = run,
};
