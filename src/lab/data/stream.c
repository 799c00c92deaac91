/* SPDX-License-Identifier: MIT */
/*
 * A stream over a wire that loses, doubles and reorders packets: every byte comes, once and in order. Then two
 * connections that are reset while bytes are on their way: what the reader's kernel holds already can be read, the rest
 * is gone, although send() had said yes to it.
 */
#include "lab/data/data.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#define STREAM_BYTES 200000
#define HELD_BYTES 1000
#define GONE_BYTES 500
#define KERNEL_CLOSED 7 /* TCP_CLOSE, which linux/tcp.h does not have */
#define WITHIN_NS (5 * NS_PER_S)

struct writing {
    struct lab *lab;
    int fd;
    unsigned n_sends;
    int64_t n_sent;
};

/* Sizes without a pattern, the same in every run. */
static size_t next_size(uint32_t *state, size_t max)
{
    *state = *state * 1664525u + 1013904223u;
    return 1 + (*state >> 8) % max;
}

static void *write_all(struct party *party, void *data)
{
    struct writing *writing = data;
    uint32_t state = 1;
    char chunk[3000];

    while (writing->n_sent < STREAM_BYTES) {
        size_t n = next_size(&state, sizeof(chunk));
        ssize_t result;

        if (writing->n_sent + (int64_t)n > STREAM_BYTES)
            n = (size_t)(STREAM_BYTES - writing->n_sent);
        pattern_fill(chunk, n, (uint64_t)writing->n_sent);
        result = party_send(party, writing->fd, chunk, n, 0);
        if (result < 0)
            break;
        writing->n_sent += result;
        writing->n_sends++;
    }
    party_shutdown(party, writing->fd, SHUT_WR);
    return NULL;
}

struct passage {
    unsigned n_sends, n_receives;
    int64_t n_sent, n_read, n_wrong;
    size_t n_packets, n_dropped, n_reordered, n_doubled;
    bool ended; /* the end of data came behind the last byte */
};

static void read_all(struct party *server, int fd, struct passage *passage)
{
    uint32_t state = 99;
    char chunk[5000];

    for (;;) {
        ssize_t n = party_recv(server, fd, chunk, next_size(&state, sizeof(chunk)), 0);

        if (n <= 0) {
            passage->ended = n == 0;
            return;
        }
        passage->n_wrong += (int64_t)pattern_wrong(chunk, (size_t)n, (uint64_t)passage->n_read);
        passage->n_read += n;
        passage->n_receives++;
    }
}

static void count_packets(struct lab *lab, struct passage *passage)
{
    size_t n = lab_n_packets(lab);

    for (size_t i = 0; i < n; i++) {
        const struct wire_packet *packet = lab_packet(lab, i);

        if (packet->copy) {
            passage->n_doubled++;
            continue;
        }
        passage->n_packets++;
        passage->n_dropped += packet->reason != WIRE_PASSED;
        passage->n_reordered += packet->reordered;
    }
}

static void pass(struct lab *lab, struct party *client, struct party *server, struct passage *ret_passage)
{
    struct timeval patience = {.tv_sec = WITHIN_NS / NS_PER_S};
    struct writing writing = {.lab = lab};
    struct passage passage = {0};
    struct lab_pair pair;

    lab_connected(client, server, &pair);
    lab_rules(
        lab, END_A,
        "delay 2ms, loss 1%, drop data #10, drop data #40-#42, duplicate data #20-#25, reorder data #30-#33 by 3ms");
    lab_rules(lab, END_B, "delay 2ms, loss 1%");
    setsockopt(pair.server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    writing.fd = pair.client;
    party_start(client, write_all, &writing);
    read_all(server, pair.server, &passage);
    if (passage.n_read < STREAM_BYTES) /* the writer must not be waited for any longer */
        shutdown(pair.server, SHUT_RDWR);
    party_join(client);
    passage.n_sends = writing.n_sends;
    passage.n_sent = writing.n_sent;
    lab_settle(lab);
    count_packets(lab, &passage);
    party_close(client, pair.client);
    party_close(server, pair.server);
    *ret_passage = passage;
}

struct loss {
    int64_t n_said, n_held, n_read;
    int end; /* what came behind it */
};

static int abort_connection(struct party *party, int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    party_set_bytes(party, fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    return party_close(party, fd);
}

static bool is_reset(void *data)
{
    struct tcp_info info;

    return lab_tcp_info(*(int *)data, &info) && info.tcpi_state == KERNEL_CLOSED;
}

/* HELD_BYTES arrive; GONE_BYTES are lost on the way, or wait in the sender's buffer (corked); then a reset. */
static void reset(struct lab *lab, struct party *client, struct party *server, bool corked, struct loss *ret_loss)
{
    char bytes[HELD_BYTES + GONE_BYTES];
    struct lab_pair pair;
    struct loss loss = {0};

    pattern_fill(bytes, sizeof(bytes), 0);
    lab_rules(lab, END_A, "delay 2ms");
    lab_rules(lab, END_B, "delay 2ms");
    lab_connected(client, server, &pair);
    loss.n_said = data_expect(lab, "send()", party_send(client, pair.client, bytes, HELD_BYTES, 0));
    data_arrived(pair.server, HELD_BYTES, WITHIN_NS);
    data_acknowledged(pair.client, WITHIN_NS);
    if (corked)
        party_set(client, pair.client, IPPROTO_TCP, TCP_CORK, 1);
    else
        lab_rules(lab, END_A, "delay 2ms, drop data always");
    loss.n_said += data_expect(lab, "send()", party_send(client, pair.client, bytes + HELD_BYTES, GONE_BYTES, 0));
    abort_connection(client, pair.client);
    lab_until(is_reset, &pair.server, WITHIN_NS);
    loss.n_held = lab_queued_in(pair.server);
    loss.n_read = data_drain(pair.server, sizeof(bytes), 2 * NS_PER_S, NULL, &loss.end);
    party_close(server, pair.server);
    *ret_loss = loss;
}

static void show(struct lab *lab, const struct passage *passage, const struct loss losses[2])
{
    const char *heads[] = {_("reset, with 500 bytes"), _("sent"), _("held"), _("read"), _("then")};
    const char *names[] = {_("lost on the way"), _("still in the send buffer")};

    lab_say(lab,
            _("%s bytes in %u sends; the wire dropped %zu of %zu packets, held %zu back and doubled %zu: %s bytes came "
              "in %u receives, %s of them wrong or in the wrong place."),
            lab_count_text((uint64_t)passage->n_sent), passage->n_sends, passage->n_dropped, passage->n_packets,
            passage->n_reordered, passage->n_doubled, lab_count_text((uint64_t)passage->n_read), passage->n_receives,
            lab_count_text((uint64_t)passage->n_wrong));
    lab_table(lab, 5, heads);
    for (unsigned i = 0; i < 2; i++) {
        lab_cell(lab, "%s", names[i]);
        lab_cell(lab, "%s", lab_count_text((uint64_t)losses[i].n_said));
        lab_cell(lab, "%s", lab_count_text((uint64_t)losses[i].n_held));
        lab_cell(lab, "%s", lab_count_text((uint64_t)losses[i].n_read));
        lab_cell(lab, "%s", data_end_text(losses[i].end));
    }
    lab_table_end(lab);
}

static void give_verdict(struct lab *lab, const struct passage *passage, const struct loss losses[2])
{
    bool whole = passage->n_read == STREAM_BYTES && !passage->n_wrong && passage->ended;
    int64_t n_lost = 0, n_kept = 0;
    bool kept = true;

    for (unsigned i = 0; i < 2; i++) {
        n_lost += losses[i].n_said - losses[i].n_read;
        n_kept += losses[i].n_read;
        kept = kept && losses[i].n_read == losses[i].n_held;
    }
    lab_figure(lab, "C22", "sends", passage->n_sends);
    lab_figure(lab, "C22", "receives", passage->n_receives);
    lab_figure(lab, "C22", "bytes", (double)passage->n_read);
    lab_figure(lab, "C22", "bytes_wrong", (double)passage->n_wrong);
    lab_figure(lab, "C22", "packets_dropped", (double)passage->n_dropped);
    lab_figure(lab, "C22", "packets_reordered", (double)passage->n_reordered);
    lab_figure(lab, "C22", "bytes_read_after_reset", (double)n_kept);
    lab_figure(lab, "C22", "bytes_lost_by_reset", (double)n_lost);
    lab_answer(lab, "%lld", (long long)losses[0].n_read);

    if (!whole)
        lab_verdict(lab, "C22", LAB_FALSE, _("Of %s bytes %s came, %s of them wrong, and then %s."),
                    lab_count_text(STREAM_BYTES), lab_count_text((uint64_t)passage->n_read),
                    lab_count_text((uint64_t)passage->n_wrong), data_end_text(passage->ended ? 0 : -EAGAIN));
    else if (n_lost > 0 && kept)
        lab_verdict(lab, "C22", LAB_DEPENDS,
                    _("While the connection lives, true: %zu packets were dropped and %zu held back, and all %s bytes "
                      "came in order, %u sends as %u receives. A reset ends that: of %s bytes that send() had taken %s "
                      "were lost; the %s that the reader's kernel held already could still be read."),
                    passage->n_dropped, passage->n_reordered, lab_count_text((uint64_t)passage->n_read),
                    passage->n_sends, passage->n_receives,
                    lab_count_text((uint64_t)(losses[0].n_said + losses[1].n_said)), lab_count_text((uint64_t)n_lost),
                    lab_count_text((uint64_t)n_kept));
    else if (n_lost > 0)
        lab_verdict(
            lab, "C22", LAB_DEPENDS,
            _("While the connection lives, true: all %s bytes came in order, %u sends as %u receives. The resets "
              "lost %s of %s bytes, and not even all that the reader's kernel held could be read: %s could."),
            lab_count_text((uint64_t)passage->n_read), passage->n_sends, passage->n_receives,
            lab_count_text((uint64_t)n_lost), lab_count_text((uint64_t)(losses[0].n_said + losses[1].n_said)),
            lab_count_text((uint64_t)n_kept));
    else
        lab_verdict(lab, "C22", LAB_TRUE,
                    _("%zu packets were dropped and %zu held back, and all %s bytes came in order, %u sends as %u "
                      "receives. The two resets lost nothing here."),
                    passage->n_dropped, passage->n_reordered, lab_count_text((uint64_t)passage->n_read),
                    passage->n_sends, passage->n_receives);
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct passage passage;
    struct loss losses[2];

    pass(lab, client, server, &passage);
    client = lab_party(lab, "client 2", END_A);
    for (unsigned i = 0; i < 2; i++)
        reset(lab, client, server, i == 1, &losses[i]);
    show(lab, &passage, losses);
    give_verdict(lab, &passage, losses);
}

static const struct lab_claim claims[] = {
    {"C22", N_("A stream loses nothing and keeps the order, and sends need not match receives.")},
    {0},
};

static const char *const settings[] = {"net.ipv4.tcp_congestion_control", "net.ipv4.tcp_sack", NULL};

const struct experiment experiment_stream = {
    .name = "stream",
    .chapter = CHAPTER_DATA,
    .title = N_("nothing lost, all in order; and what a reset loses"),
    .claims = claims,
    .systems = "S15",
    .needs = LAB_WIRE,
    .milliseconds = 900,
    .done =
        N_("200,000 bytes go over a wire that drops the 10th and the 40th to 42nd data segment and 1% beside, doubles "
           "six and holds four back so that later ones overtake them; in sends of 1 to 3,000 bytes and receives of 1 "
           "to 5,000. Each byte is compared. Then two connections on which 1,000 bytes have arrived and 500 have not, "
           "are reset by the sender (SO_LINGER 0)."),
    .question = N_("send() took 1,000 bytes, which arrived, and 500, which did not arrive yet. Then the sender resets "
                   "the connection. How many bytes can the receiver, which has read nothing so far, still read?"),
    .by_hand = "seq 30000 | cksum\n"
               "sonde wire --a-to-b 'delay 2ms, loss 2%, reorder 5% by 3ms' -- \\\n"
               "    nc -l 10.0.0.2 7007 --- sh -c 'seq 30000 | nc -N 10.0.0.2 7007' | cksum",
    .read = "RFC 9293, 3.4, 3.5.2 and 3.10.4; socket(7), SO_LINGER",
    .settings = settings,
    .run = run,
};
