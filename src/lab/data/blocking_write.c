/* SPDX-License-Identifier: MIT */
/*
 * When a write blocks: not while TCP is sending, but while the send buffer has no room. And when it returns: as soon as
 * all its bytes have found room, wherever those that were sent may be by then.
 */
#include "lab/data/data.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_BYTES 2000
#define BLOCKED_NS (40 * NS_PER_MS)
#define TIMEOUT_MS 60
#define WITHIN_NS (4 * NS_PER_S)
#define FILL_LIMIT_BYTES (INT64_C(64) << 20)

struct writing {
    int fd;
    size_t n_ask;
    ssize_t result;
    int64_t start_ns, end_ns;
    int64_t n_queued; /* not acknowledged, when it returned */
    char *bytes;
};

static void *write_blocking(struct party *party, void *data)
{
    struct writing *writing = data;

    writing->start_ns = lab_now();
    writing->result = party_send(party, writing->fd, writing->bytes, writing->n_ask, 0);
    writing->end_ns = lab_now();
    writing->n_queued = lab_queued_out(writing->fd);
    return NULL;
}

/* ---- C35: with room, while TCP sends; without room, while it does not */

struct blocking {
    int64_t with_room_ns, n_under_way; /* how long the call took; not acknowledged when it had returned */
    int64_t n_filled, n_unsent;        /* what send() took before it blocked; of which no byte was sent yet */
    bool blocked;
    int64_t stalled_ns; /* for which no new byte left while it was blocked */
    uint64_t n_sent_meanwhile;
    int64_t n_read; /* by the reader, until the write returned */
    int64_t after_read_ns;
    ssize_t result;
};

static uint64_t bytes_sent(int fd)
{
    struct tcp_info info;

    if (!lab_tcp_info(fd, &info))
        return 0;
    return info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
}

static bool write_with_room(struct lab *lab, struct party *client, struct party *server, struct blocking *ret_found)
{
    char bytes[SMALL_BYTES];
    struct lab_pair pair;
    int64_t start_ns;
    ssize_t n;

    if (lab_wire(lab)) {
        lab_rules(lab, END_A, "delay 20ms");
        lab_rules(lab, END_B, "delay 20ms");
    }
    pattern_fill(bytes, sizeof(bytes), 0);
    lab_connected(client, server, &pair);
    start_ns = lab_now();
    n = data_expect(lab, "send()", party_send(client, pair.client, bytes, sizeof(bytes), 0));
    ret_found->with_room_ns = lab_now() - start_ns;
    ret_found->n_under_way = lab_queued_out(pair.client);
    data_drain(pair.server, n, WITHIN_NS, NULL, NULL);
    party_close(client, pair.client);
    party_close(server, pair.server);
    return n == SMALL_BYTES;
}

static void write_without_room(struct lab *lab, struct party *client, struct party *server, struct blocking *found)
{
    struct writing writing = {.n_ask = SMALL_BYTES};
    char bytes[SMALL_BYTES];
    uint64_t before;
    int64_t first_ns, since_ns;
    struct lab_pair pair;

    if (lab_wire(lab)) {
        lab_rules(lab, END_A, "");
        lab_rules(lab, END_B, "");
    }
    lab_connected(client, server, &pair);
    found->n_filled = data_fill(pair.client, FILL_LIMIT_BYTES, 60 * NS_PER_MS);
    data_at_rest(pair.client, pair.server, 20 * NS_PER_MS, WITHIN_NS);
    found->n_unsent = lab_queued_unsent(pair.client);
    pattern_fill(bytes, sizeof(bytes), (uint64_t)found->n_filled);
    writing.fd = pair.client;
    writing.bytes = bytes;
    before = bytes_sent(pair.client);
    party_start(client, write_blocking, &writing);
    found->blocked = party_until_blocked(client, BLOCKED_NS, WITHIN_NS);
    found->stalled_ns = party_blocked_ns(client);
    found->n_sent_meanwhile = bytes_sent(pair.client) - before;
    first_ns = lab_now();
    for (;;) {
        int end;
        int64_t n = data_drain(pair.server, 16384, 100 * NS_PER_MS, NULL, &end);

        found->n_read += n;
        since_ns = party_blocked_ns(client);
        if (!since_ns || end != 1 || lab_now() - first_ns > WITHIN_NS)
            break;
    }
    /* Whatever it was that kept it, it shall not keep us. */
    if (party_blocked_ns(client) > WITHIN_NS)
        shutdown(pair.client, SHUT_RDWR);
    party_join(client);
    found->after_read_ns = writing.end_ns - first_ns;
    found->result = writing.result;
    party_close(server, pair.server);
    party_close(client, pair.client);
}

/* ---- C36: what ends a write */

enum ending { END_ALL, END_TIMEOUT, END_SIGNAL, END_NONBLOCKING, N_ENDINGS };

struct returning {
    ssize_t asked, result;
    int64_t took_ns, n_queued, n_unread; /* when it had returned: not acknowledged; not read by the program */
};

/* A reader that begins to read only after the write has blocked. */
static void let_it_end(struct lab *lab, struct party *client, const struct lab_pair *pair, enum ending ending,
                       ssize_t asked)
{
    if (ending == END_NONBLOCKING || ending == END_TIMEOUT)
        return;
    if (!party_until_blocked(client, BLOCKED_NS, WITHIN_NS))
        return;
    if (ending == END_SIGNAL)
        party_interrupt(client);
    else
        for (int64_t n_read = 0; party_blocked_ns(client) && n_read < asked;) {
            int64_t n = data_drain(pair->server, 4096, 200 * NS_PER_MS, NULL, NULL);

            if (!n)
                return;
            n_read += n;
        }
}

static void one_ending(struct lab *lab, enum ending ending, size_t n_ask, struct returning *ret_returning)
{
    struct party *client = lab_party(lab, "client 3", END_A), *server = lab_party(lab, "server 3", END_B);
    struct timeval timeout = {.tv_usec = TIMEOUT_MS * 1000};
    struct writing writing = {.n_ask = n_ask, .bytes = malloc(n_ask)};
    struct lab_pair pair;

    if (!writing.bytes)
        lab_give_up(lab, _("There was no memory."));
    pattern_fill(writing.bytes, n_ask, 0);
    lab_connected(client, server, &pair);
    writing.fd = pair.client;
    if (ending == END_TIMEOUT)
        party_set_bytes(client, pair.client, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (ending == END_NONBLOCKING) {
        writing.start_ns = lab_now();
        writing.result = party_send(client, pair.client, writing.bytes, n_ask, MSG_DONTWAIT);
        writing.end_ns = lab_now();
        writing.n_queued = lab_queued_out(pair.client);
    } else {
        party_start(client, write_blocking, &writing);
        let_it_end(lab, client, &pair, ending, (ssize_t)n_ask);
        party_join(client);
    }
    *ret_returning = (struct returning){
        .asked = (ssize_t)n_ask,
        .result = writing.result,
        .took_ns = writing.end_ns - writing.start_ns,
        .n_queued = writing.n_queued,
        .n_unread = lab_queued_in(pair.server),
    };
    party_close(server, pair.server);
    party_close(client, pair.client);
    free(writing.bytes);
}

/* ---- */

static const char *result_text(ssize_t result)
{
    return result < 0 ? data_end_text((int)result) : lab_count_text((uint64_t)result);
}

static void show(struct lab *lab, const struct blocking *found, const struct returning *returnings)
{
    const char *names[N_ENDINGS] = {_("the reader reads"), _("SO_SNDTIMEO 60 ms"), _("a signal comes"),
                                    _("MSG_DONTWAIT")};
    const char *heads[] = {_("one send()"), _("asked"), _("returned"), _("after"), _("unacked then")};
    const char *heads_first[] = {_("send() of 2,000 bytes"), _("takes"), _("TCP sent"), _("returned")};

    lab_table(lab, 4, heads_first);
    lab_cell(lab, "%s", _("buffer has room"));
    lab_cell(lab, "%s", lab_time_text(found->with_room_ns));
    lab_cell(lab, "%s", "-");
    lab_cell(lab, "%s", lab_count_text(SMALL_BYTES));
    lab_cell(lab, _("buffer full, with %s"), lab_count_text((uint64_t)found->n_filled));
    lab_cell(lab, "%s", lab_time_text(found->stalled_ns));
    lab_cell(lab, "%s", lab_count_text(found->n_sent_meanwhile));
    lab_cell(lab, "%s", result_text(found->result));
    lab_table_end(lab);
    lab_say(lab, _("And a send() of twice what the buffers hold, with all four ways in which it can end:"));
    lab_table(lab, 5, heads);
    for (unsigned i = 0; i < N_ENDINGS; i++) {
        lab_cell(lab, "%s", names[i]);
        lab_cell(lab, "%s", lab_count_text((uint64_t)returnings[i].asked));
        lab_cell(lab, "%s", result_text(returnings[i].result));
        lab_cell(lab, "%s", lab_time_text(returnings[i].took_ns));
        lab_cell(lab, "%s", lab_count_text((uint64_t)returnings[i].n_queued));
    }
    lab_table_end(lab);
}

static void judge_blocking(struct lab *lab, const struct blocking *found)
{
    bool free_while_sending = found->n_under_way > 0;
    bool still_while_blocked = found->blocked && found->n_sent_meanwhile == 0;

    lab_figure(lab, "C35", "with_room_us", (double)found->with_room_ns / NS_PER_US);
    lab_figure(lab, "C35", "under_way_when_it_returned_bytes", (double)found->n_under_way);
    lab_figure(lab, "C35", "filled_bytes", (double)found->n_filled);
    lab_figure(lab, "C35", "blocked_ms", (double)found->stalled_ns / NS_PER_MS);
    lab_figure(lab, "C35", "sent_while_blocked_bytes", (double)found->n_sent_meanwhile);
    lab_figure(lab, "C35", "read_until_it_returned_bytes", (double)found->n_read);
    if (!found->blocked)
        lab_verdict(lab, "C35", LAB_NOT_SHOWN, _("The write did not block, although send() had taken %s bytes before."),
                    lab_count_text((uint64_t)found->n_filled));
    else if (free_while_sending && still_while_blocked)
        lab_verdict(
            lab, "C35", LAB_FALSE,
            _("With room in the buffer it returned after %s, while %s of its %s bytes were still under way. With "
              "the buffer full it was blocked for %s, in which TCP sent %s new bytes; it returned when the "
              "reader had read %s."),
            lab_time_text(found->with_room_ns), lab_count_text((uint64_t)found->n_under_way),
            lab_count_text(SMALL_BYTES), lab_time_text(found->stalled_ns), lab_count_text(found->n_sent_meanwhile),
            lab_count_text((uint64_t)found->n_read));
    else if (still_while_blocked)
        lab_verdict(lab, "C35", LAB_FALSE,
                    _("With room in the buffer it returned after %s, all acknowledged by then. With the buffer full it "
                      "was blocked for %s, in which TCP sent no new byte; it returned when the reader had read %s."),
                    lab_time_text(found->with_room_ns), lab_time_text(found->stalled_ns),
                    lab_count_text((uint64_t)found->n_read));
    else
        lab_verdict(lab, "C35", LAB_DEPENDS,
                    _("It was blocked for %s with the buffer full, and TCP sent %s new bytes meanwhile."),
                    lab_time_text(found->stalled_ns), lab_count_text(found->n_sent_meanwhile));
}

static void judge_returning(struct lab *lab, const struct returning *returnings)
{
    static const char *const names[N_ENDINGS] = {"returned_blocking", "returned_timeout", "returned_signal",
                                                 "returned_nonblocking"};
    const struct returning *whole = &returnings[END_ALL];

    for (unsigned i = 0; i < N_ENDINGS; i++)
        lab_figure(lab, "C36", names[i], (double)returnings[i].result);
    lab_figure(lab, "C36", "asked", (double)whole->asked);
    lab_figure(lab, "C36", "unacknowledged_when_it_returned_bytes", (double)whole->n_queued);
    if (whole->result != whole->asked)
        lab_verdict(lab, "C36", LAB_FALSE, _("The blocking write of %s bytes returned %zd."),
                    lab_count_text((uint64_t)whole->asked), whole->result);
    else if (returnings[END_TIMEOUT].result < whole->asked && returnings[END_SIGNAL].result < whole->asked)
        lab_verdict(lab, "C36", LAB_TRUE,
                    _("send() of %s bytes returned %s, with %s of them not acknowledged yet: buffered, not delivered. "
                      "That holds for a blocking socket without a timeout and without a signal: with SO_SNDTIMEO it "
                      "returned %s, after a signal %s, with MSG_DONTWAIT %s."),
                    lab_count_text((uint64_t)whole->asked), lab_count_text((uint64_t)whole->result),
                    lab_count_text((uint64_t)whole->n_queued), result_text(returnings[END_TIMEOUT].result),
                    result_text(returnings[END_SIGNAL].result), result_text(returnings[END_NONBLOCKING].result));
    else
        lab_verdict(lab, "C36", LAB_TRUE, _("send() of %s bytes returned %s, with %s of them not acknowledged yet."),
                    lab_count_text((uint64_t)whole->asked), lab_count_text((uint64_t)whole->result),
                    lab_count_text((uint64_t)whole->n_queued));
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct returning returnings[N_ENDINGS];
    struct blocking found = {0};

    write_with_room(lab, client, server, &found);
    client = lab_party(lab, "client 2", END_A);
    write_without_room(lab, client, server, &found);
    /* So much that it cannot fit at once, whatever the sizes are here: twice what was taken before. */
    for (enum ending ending = 0; ending < N_ENDINGS; ending++)
        one_ending(lab, ending, (size_t)found.n_filled * 2, &returnings[ending]);
    show(lab, &found, returnings);
    lab_answer(lab, "%s", found.blocked && !found.n_sent_meanwhile ? "b" : found.n_sent_meanwhile ? "a" : "c");
    judge_blocking(lab, &found);
    judge_returning(lab, returnings);
}

static const struct lab_claim claims[] = {
    {"C35", N_("A write blocks while TCP is sending.")},
    {"C36", N_("A blocking write returns once all its bytes are in the send buffer.")},
    {0},
};

static const char *const choices[] = {
    N_("a) all the time, new data"),
    N_("b) nothing new, until the reader reads"),
    N_("c) the write does not block at all"),
    NULL,
};

static const char *const settings[] = {"net.ipv4.tcp_wmem", "net.ipv4.tcp_rmem", NULL};

const struct experiment experiment_blocking_write = {
    .name = "blocking-write",
    .chapter = CHAPTER_DATA,
    .title = N_("when a write blocks, and when it returns"),
    .claims = claims,
    .systems = "S14",
    .milliseconds = 900,
    .done =
        N_("2,000 bytes are sent on a new connection over a wire that takes 20 ms each way. Then the buffers of "
           "another are filled, and one more send() is made, on a thread of its own; when it has blocked, the reader "
           "begins to read. At last, sends of more than the buffers hold, ended in four ways."),
    .question = N_("The reader does not read and the send buffer is full: a further send() blocks. What does TCP send "
                   "while it is blocked?"),
    .choices = choices,
    .by_hand = "timeout 9 sonde serve hold tcp://127.0.0.1:7007 &\n"
               "timeout 5 strace -r -e trace=write nc 127.0.0.1 7007 </dev/zero",
    .read = "send(2); write(2); socket(7), SO_SNDTIMEO; signal(7), interruption",
    .settings = settings,
    .run = run,
};
