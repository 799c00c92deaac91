/* SPDX-License-Identifier: MIT */
/*
 * What is acknowledged, by which number, when, and what that frees. Four plays: single sends, each with its own
 * acknowledgement; a sender's buffer looked at while an acknowledgement is on its way; how long acknowledgements wait;
 * and a burst, of which one acknowledgement covers many segments.
 */
#include "lab/data/data.h"
#include "lab/table.h"
#include "term/translate.h"

#include <netinet/in.h>
#include <stdlib.h>

#define SHORT_BYTES 5
#define LONG_BYTES 1448
#define BURST_BYTES 30000
#define WITHIN_NS (3 * NS_PER_S)

/* What a segment takes of the sequence numbers: its bytes, and one each for SYN and FIN. */
static uint64_t taken_by(const struct event_segment *segment)
{
    return segment->n_bytes + (segment->flags & SEGMENT_SYN ? 1 : 0) + (segment->flags & SEGMENT_FIN ? 1 : 0);
}

/* The first segment of the other end, behind this one, that acknowledges all of it. */
static const struct lab_segment *acknowledgement_of(const struct lab_segment *segments, size_t n, size_t which)
{
    const struct event_segment *segment = &segments[which].segment;

    for (size_t i = which + 1; i < n; i++)
        if (segments[i].segment.from != segment->from && segments[i].segment.flags & SEGMENT_ACK &&
            !(segments[i].segment.flags & SEGMENT_RST) && segments[i].left_ns >= segments[which].arrived_ns &&
            segments[i].segment.ack >= segment->seq + taken_by(segment))
            return &segments[i];
    return NULL;
}

/* ---- C41: the number */

struct numbers {
    unsigned n, n_exact; /* segments with data; acknowledged by exactly seq + n */
    unsigned n_plus_one; /* ... by seq + n + 1 */
    uint64_t first_ack, first_n;
};

static void show_number(struct lab *lab, const struct lab_segment *segment, const struct lab_segment *answer)
{
    const struct event_segment *it = &segment->segment;
    char flags[12];

    segment_flags_text(it->flags, flags);
    lab_cell(lab, "%u %s", it->number, flags);
    lab_cell(lab, "%llu", (unsigned long long)it->seq);
    if (it->n_bytes)
        lab_cell(lab, "%u", it->n_bytes);
    else
        lab_cell(lab, "%s", it->flags & SEGMENT_SYN ? _("SYN 1") : _("FIN 1"));
    lab_cell(lab, "%llu", (unsigned long long)(it->seq + taken_by(it)));
    if (answer) {
        lab_cell(lab, "%llu", (unsigned long long)answer->segment.ack);
        lab_cell(lab, "%u", it->seq_raw);
        lab_cell(lab, "%u", answer->segment.ack_raw);
        lab_cell(lab, "%u", answer->segment.ack_raw - it->seq_raw);
        return;
    }
    lab_cell(lab, "%s", _("never"));
    lab_cell(lab, "%u", it->seq_raw);
    lab_cell(lab, "-");
    lab_cell(lab, "-");
}

static void number(struct lab *lab, struct party *client, struct party *server, struct numbers *numbers)
{
    const char *heads[] = {_("segment"), "seq", _("takes"), _("seq+n"), "ack", _("raw seq"), _("raw ack"), _("diff.")};
    const struct lab_segment *segments;
    char bytes[LONG_BYTES] = "hello";
    struct lab_pair pair;
    size_t n;

    lab_connected(client, server, &pair);
    party_send(client, pair.client, bytes, SHORT_BYTES, 0);
    data_acknowledged(pair.client, WITHIN_NS);
    party_recv(server, pair.server, bytes, sizeof(bytes), 0);
    party_send(client, pair.client, bytes, LONG_BYTES, 0);
    data_acknowledged(pair.client, WITHIN_NS);
    party_recv(server, pair.server, bytes, sizeof(bytes), 0);
    party_close(client, pair.client);
    party_recv(server, pair.server, bytes, sizeof(bytes), 0); /* the end */
    party_close(server, pair.server);
    lab_settle(lab);
    segments = lab_segments(lab, pair.client_port, &n);
    lab_table(lab, 8, heads);
    for (size_t i = 0; i < n; i++) {
        const struct event_segment *segment = &segments[i].segment;
        const struct lab_segment *answer;

        if (segment->from != END_A || !taken_by(segment) || segments[i].copy || has_note(segment->notes, NOTE_AGAIN))
            continue;
        answer = acknowledgement_of(segments, n, i);
        show_number(lab, &segments[i], answer);
        if (!segment->n_bytes)
            continue;
        numbers->n++;
        if (!answer)
            continue;
        numbers->n_exact += answer->segment.ack_raw - segment->seq_raw == segment->n_bytes;
        numbers->n_plus_one += answer->segment.ack_raw - segment->seq_raw == segment->n_bytes + 1;
        if (numbers->n == 1) {
            numbers->first_ack = answer->segment.ack;
            numbers->first_n = segment->n_bytes;
        }
    }
    lab_table_end(lab);
    lab_footnote(lab,
                 _("Relative numbers count from each end's first SYN, which is 0; raw ones are those of the packet. "
                   "The difference of the raw ones is what was acknowledged."));
    lab_ladder(lab, pair.client_port, _("5 bytes, then 1,448, then the end"));
}

static void judge_number(struct lab *lab, const struct numbers *numbers)
{
    lab_figure(lab, "C41", "data_segments", numbers->n);
    lab_figure(lab, "C41", "ack_is_seq_plus_n", numbers->n_exact);
    lab_figure(lab, "C41", "ack_is_seq_plus_n_plus_1", numbers->n_plus_one);
    lab_figure(lab, "C41", "first_ack", (double)numbers->first_ack);
    if (!numbers->n)
        lab_verdict(lab, "C41", LAB_NOT_SHOWN, _("No segment with data was seen on the wire."));
    else if (numbers->n_exact == numbers->n)
        lab_verdict(
            lab, "C41", LAB_FALSE,
            _("%u of %u: the acknowledgement is seq + n, the number of the next byte wanted: %llu for %llu bytes "
              "at 1. Only SYN and FIN take a number themselves."),
            numbers->n_exact, numbers->n, (unsigned long long)numbers->first_ack, (unsigned long long)numbers->first_n);
    else if (numbers->n_plus_one == numbers->n)
        lab_verdict(lab, "C41", LAB_TRUE, _("%u of %u segments were acknowledged by seq + n + 1."), numbers->n_plus_one,
                    numbers->n);
    else
        lab_verdict(
            lab, "C41", LAB_DEPENDS,
            _("Of %u segments %u were acknowledged by seq + n and %u by seq + n + 1; the rest together with later "
              "ones."),
            numbers->n, numbers->n_exact, numbers->n_plus_one);
}

/* ---- C46: the buffer */

struct keeping {
    int64_t left_ns;
    int64_t arrived_ns, answered_ns; /* the data at the other kernel; its acknowledgement back here */
    int64_t ack_left_ns;
    int64_t last_kept_ns, first_free_ns; /* the last look that found the bytes, the first that found none */
    unsigned n_looks;                    /* that found them */
    int64_t n_kept;
};

static void keep(struct lab *lab, struct party *client, struct party *server, struct keeping *keeping)
{
    const struct lab_segment *segments;
    char bytes[1000] = {0};
    int64_t until_ns;
    struct lab_pair pair;
    size_t n;

    lab_rules(lab, END_A, "delay 10ms");
    lab_rules(lab, END_B, "delay 10ms");
    lab_connected(client, server, &pair);
    data_expect(lab, "send()", party_send(client, pair.client, bytes, sizeof(bytes), 0));
    for (until_ns = lab_now() + WITHIN_NS; lab_now() < until_ns; lab_sleep(200 * NS_PER_US)) {
        int64_t begin_ns = lab_now(), n_queued = lab_queued_out(pair.client);

        if (!n_queued) {
            keeping->first_free_ns = lab_now();
            break;
        }
        keeping->last_kept_ns = begin_ns;
        keeping->n_kept = n_queued;
        keeping->n_looks++;
    }
    lab_settle(lab);
    segments = lab_segments(lab, pair.client_port, &n);
    for (size_t i = 0; i < n; i++) {
        const struct lab_segment *answer;

        if (segments[i].segment.from != END_A || !segments[i].segment.n_bytes)
            continue;
        answer = acknowledgement_of(segments, n, i);
        keeping->left_ns = segments[i].left_ns;
        keeping->arrived_ns = segments[i].arrived_ns;
        if (answer) {
            keeping->ack_left_ns = answer->left_ns;
            keeping->answered_ns = answer->arrived_ns;
        }
        break;
    }
    party_close(client, pair.client);
    party_close(server, pair.server);
}

static void show_keeping(struct lab *lab, const struct keeping *keeping)
{
    const char *heads[] = {_("1,000 bytes"), _("time")};
    const struct {
        const char *what;
        int64_t ns;
    } steps[] = {
        {_("left this end"), keeping->left_ns},
        {_("arrived at the other"), keeping->arrived_ns},
        {_("acknowledged by it"), keeping->ack_left_ns},
        {_("last look that found them in the send queue"), keeping->last_kept_ns},
        {_("acknowledgement came back"), keeping->answered_ns},
        {_("first look that found none"), keeping->first_free_ns},
    };

    lab_say(lab, _("The sender's queue while an acknowledgement is on its way:"));
    lab_table(lab, 2, heads);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        lab_cell(lab, "%s", steps[i].what);
        if (steps[i].ns && keeping->left_ns)
            lab_cell(lab, "%s", lab_time_text(steps[i].ns - keeping->left_ns));
        else
            lab_cell(lab, "%s", _("not seen"));
    }
    lab_table_end(lab);
}

static void judge_keeping(struct lab *lab, const struct keeping *keeping)
{
    /* Had it been thrown away when it was sent, or when it arrived, the last look that found it would be before that.
     */
    bool beyond_arrival = keeping->last_kept_ns > keeping->ack_left_ns && keeping->ack_left_ns;
    bool freed = keeping->first_free_ns >= keeping->ack_left_ns && keeping->answered_ns;

    lab_figure(lab, "C46", "bytes", (double)keeping->n_kept);
    lab_figure(lab, "C46", "looks_that_found_them", keeping->n_looks);
    lab_figure(lab, "C46", "kept_after_arrival_ms", (double)(keeping->last_kept_ns - keeping->arrived_ns) / NS_PER_MS);
    lab_figure(lab, "C46", "free_after_ack_ms", (double)(keeping->first_free_ns - keeping->answered_ns) / NS_PER_MS);
    if (!keeping->answered_ns || !keeping->first_free_ns)
        lab_verdict(lab, "C46", LAB_NOT_SHOWN, _("The acknowledgement was not seen on the wire."));
    else if (beyond_arrival && freed && keeping->first_free_ns >= keeping->answered_ns)
        lab_verdict(
            lab, "C46", LAB_TRUE,
            _("%s bytes were in the send queue at all %u looks, the last of them %s after they had arrived at the "
              "other end; the first look that found none was %s after the acknowledgement had come back."),
            lab_count_text((uint64_t)keeping->n_kept), keeping->n_looks,
            lab_time_text(keeping->last_kept_ns - keeping->arrived_ns),
            lab_time_text(keeping->first_free_ns - keeping->answered_ns));
    else if (beyond_arrival && freed)
        lab_verdict(
            lab, "C46", LAB_TRUE,
            _("%s bytes were in the send queue at all %u looks, the last of them %s after they had arrived at the "
              "other end; then their acknowledgement came, and the next look found none."),
            lab_count_text((uint64_t)keeping->n_kept), keeping->n_looks,
            lab_time_text(keeping->last_kept_ns - keeping->arrived_ns));
    else if (keeping->first_free_ns >= keeping->ack_left_ns)
        lab_verdict(
            lab, "C46", LAB_NOT_SHOWN,
            _("The looks were too far apart to tell: one found the bytes %s before their acknowledgement left the "
              "other end, the next found none."),
            lab_time_text(keeping->ack_left_ns - keeping->last_kept_ns));
    else
        lab_verdict(
            lab, "C46", LAB_FALSE,
            _("The bytes were gone from the send queue %s before their acknowledgement had left the other end."),
            lab_time_text(keeping->ack_left_ns - keeping->first_free_ns));
}

/* ---- C55: how long an acknowledgement waits */

enum waiting { WAIT_FRESH, WAIT_LONE, WAIT_QUICK, WAIT_TWO_FULL, WAIT_ANSWERED, N_WAITINGS };

struct delayed {
    bool seen, carried; /* by a segment with data */
    int64_t ns;         /* from the arrival of the (last) segment to its acknowledgement */
};

/* The acknowledgement of the last segment with data that A sent. */
static void find_delay(struct lab *lab, uint16_t client_port, struct delayed *ret_delayed)
{
    const struct lab_segment *segments;
    size_t n, last = 0;
    bool found = false;

    lab_settle(lab);
    segments = lab_segments(lab, client_port, &n);
    for (size_t i = 0; i < n; i++)
        if (segments[i].segment.from == END_A && segments[i].segment.n_bytes &&
            !has_note(segments[i].segment.notes, NOTE_AGAIN)) {
            last = i;
            found = true;
        }
    if (found) {
        const struct lab_segment *answer = acknowledgement_of(segments, n, last);

        if (answer)
            *ret_delayed = (struct delayed){
                .seen = true,
                .carried = answer->segment.n_bytes > 0,
                .ns = answer->left_ns - segments[last].arrived_ns,
            };
    }
}

/* Request and answer, some times: the other kernel learns that its acknowledgements can go with answers. */
static void converse(struct party *client, struct party *server, const struct lab_pair *pair, unsigned n_times)
{
    char bytes[100] = {0};

    for (unsigned i = 0; i < n_times; i++) {
        party_send(client, pair->client, bytes, sizeof(bytes), 0);
        party_recv(server, pair->server, bytes, sizeof(bytes), MSG_WAITALL);
        party_send(server, pair->server, bytes, sizeof(bytes), 0);
        party_recv(client, pair->client, bytes, sizeof(bytes), MSG_WAITALL);
    }
}

static void delay_acknowledgement(struct lab *lab, struct party *client, struct party *server, enum waiting waiting,
                                  struct delayed *ret_delayed)
{
    char bytes[2 * LONG_BYTES] = {0};
    size_t n_bytes = waiting == WAIT_TWO_FULL ? sizeof(bytes) : 100;
    struct lab_pair pair;

    lab_connected(client, server, &pair);
    if (waiting != WAIT_FRESH)
        converse(client, server, &pair, 5);
    data_acknowledged(pair.server, WITHIN_NS);
    if (waiting == WAIT_QUICK)
        party_set(server, pair.server, IPPROTO_TCP, TCP_QUICKACK, 1);
    data_expect(lab, "send()", party_send(client, pair.client, bytes, n_bytes, 0));
    if (waiting == WAIT_ANSWERED) {
        party_recv(server, pair.server, bytes, n_bytes, MSG_WAITALL);
        party_send(server, pair.server, bytes, n_bytes, 0);
    } else {
        /* It is read, as programs do; but only after it was acknowledged, since reading can bring that about. */
        data_acknowledged(pair.client, WITHIN_NS);
    }
    data_acknowledged(pair.client, WITHIN_NS);
    find_delay(lab, pair.client_port, ret_delayed);
    party_close(client, pair.client);
    party_close(server, pair.server);
}

static void show_delays(struct lab *lab, const struct delayed *delayed)
{
    const char *names[N_WAITINGS] = {_("first segment of a connection"), _("one segment, after requests and answers"),
                                     _("the same, TCP_QUICKACK set"), _("the same, but two full segments"),
                                     _("the same, one segment, answered at once")};
    const char *heads[] = {_("received"), _("acked after"), _("by")};

    lab_say(lab, _("How long the other end's kernel waits until it acknowledges what has arrived:"));
    lab_table(lab, 3, heads);
    for (unsigned i = 0; i < N_WAITINGS; i++) {
        lab_cell(lab, "%s", names[i]);
        lab_cell(lab, "%s", delayed[i].seen ? lab_time_text(delayed[i].ns) : "-");
        lab_cell(lab, "%s", !delayed[i].seen ? "-" : delayed[i].carried ? _("the answer") : _("an ACK alone"));
    }
    lab_table_end(lab);
}

static void judge_delays(struct lab *lab, const struct delayed *delayed)
{
    static const char *const names[N_WAITINGS] = {"ack_of_first_ms", "ack_of_lone_ms", "ack_quick_ms", "ack_of_two_ms",
                                                  "ack_answered_ms"};
    const struct delayed *fresh = &delayed[WAIT_FRESH], *lone = &delayed[WAIT_LONE],
                         *answered = &delayed[WAIT_ANSWERED];
    bool late = lone->seen && fresh->seen && lone->ns > 10 * NS_PER_MS && lone->ns > 4 * fresh->ns;

    for (unsigned i = 0; i < N_WAITINGS; i++)
        if (delayed[i].seen)
            lab_figure(lab, "C55", names[i], (double)delayed[i].ns / NS_PER_MS);
    lab_figure(lab, "C55", "carried_by_the_answer", answered->carried);
    if (lab_starved(lab, 10 * NS_PER_MS) && !answered->carried)
        lab_verdict(lab, "C55", LAB_NOT_SHOWN, _("This machine was too busy to measure how long ACKs are delayed."));
    else if (!lone->seen || !fresh->seen)
        lab_verdict(lab, "C55", LAB_NOT_SHOWN, _("Not all acknowledgements were seen on the wire."));
    else if (late && answered->carried)
        lab_verdict(
            lab, "C55", LAB_FALSE,
            _("The first segment of a connection was acknowledged after %s, a lone one later after %s; when the "
              "program answered at once, the answer carried the acknowledgement, after %s, and no ACK went "
              "before it."),
            lab_time_text(fresh->ns), lab_time_text(lone->ns), lab_time_text(answered->ns));
    else if (late)
        lab_verdict(
            lab, "C55", LAB_FALSE,
            _("The first segment of a connection was acknowledged after %s, a lone one later after %s. When the "
              "program answered at once, an ACK was sent all the same."),
            lab_time_text(fresh->ns), lab_time_text(lone->ns));
    else if (answered->carried)
        lab_verdict(lab, "C55", LAB_FALSE,
                    _("The answer carried the acknowledgement, after %s; a lone segment was acknowledged after %s."),
                    lab_time_text(answered->ns), lab_time_text(lone->ns));
    else
        lab_verdict(lab, "C55", LAB_TRUE, _("Every segment was acknowledged at once, a lone one after %s."),
                    lab_time_text(lone->ns));
}

/* ---- C56: what is acknowledged */

struct burst {
    unsigned n_segments, n_acks, most; /* data segments; acknowledgements of them; covered by one */
    unsigned n_ids;                    /* different IP identifications */
    uint64_t most_bytes;
};

static uint16_t ip_id(const struct lab_segment *segment)
{
    return (uint16_t)(segment->frame[14 + 4] << 8 | segment->frame[14 + 5]);
}

static void show_burst(struct lab *lab, const struct lab_segment *segments, size_t n, int64_t n_sent,
                       struct burst *burst)
{
    const char *heads[] = {_("number"), _("IP id of ACK"), "ack", _("covers"), _("IP ids of data")};
    uint16_t seen[64];
    uint64_t acked = 0;

    for (size_t i = 0; i < n && !acked; i++)
        if (segments[i].segment.from == END_A && segments[i].segment.n_bytes)
            acked = segments[i].segment.seq;
    lab_say(lab, _("%s bytes sent at once, and what acknowledged them:"), lab_count_text((uint64_t)n_sent));
    lab_table(lab, 5, heads);
    for (size_t i = 0; i < n; i++) {
        const struct event_segment *segment = &segments[i].segment;
        unsigned n_covered = 0, first_id = 0, last_id = 0;

        if (segment->from != END_B || !(segment->flags & SEGMENT_ACK) || segment->flags & SEGMENT_FIN ||
            segment->ack <= acked)
            continue;
        for (size_t j = 0; j < i; j++) {
            const struct event_segment *data = &segments[j].segment;

            if (data->from != END_A || !data->n_bytes || data->seq < acked || data->seq + data->n_bytes > segment->ack)
                continue;
            last_id = ip_id(&segments[j]);
            if (!n_covered++)
                first_id = last_id;
            if (burst->n_segments < 64)
                seen[burst->n_segments] = (uint16_t)last_id;
            burst->n_segments++;
        }
        burst->n_acks++;
        if (n_covered > burst->most) {
            burst->most = n_covered;
            burst->most_bytes = segment->ack - acked;
        }
        lab_cell(lab, "%u", segment->number);
        lab_cell(lab, "0x%04x", ip_id(&segments[i]));
        lab_cell(lab, "%llu", (unsigned long long)segment->ack);
        lab_cell(lab, n_covered == 1 ? _("%u segment") : _("%u segments"), n_covered);
        if (n_covered > 1)
            lab_cell(lab, "0x%04x..0x%04x", first_id, last_id);
        else
            lab_cell(lab, "0x%04x", first_id);
        acked = segment->ack;
    }
    lab_table_end(lab);
    for (unsigned i = 0; i < burst->n_segments && i < 64; i++) {
        bool again = false;

        for (unsigned j = 0; j < i; j++)
            again = again || seen[j] == seen[i];
        burst->n_ids += !again;
    }
}

static void send_burst(struct lab *lab, struct party *client, struct party *server, struct burst *burst)
{
    const struct lab_segment *segments;
    char *bytes = calloc(1, BURST_BYTES);
    int64_t n_sent;
    struct lab_pair pair;
    size_t n;

    if (!bytes)
        lab_give_up(lab, _("There was no memory."));
    lab_connected(client, server, &pair);
    converse(client, server, &pair, 5); /* out of the first phase, in which each segment is acknowledged */
    data_acknowledged(pair.server, WITHIN_NS);
    lab_forget(lab);
    n_sent = data_expect(lab, "send()", party_send(client, pair.client, bytes, BURST_BYTES, MSG_DONTWAIT));
    data_acknowledged(pair.client, WITHIN_NS);
    lab_settle(lab);
    segments = lab_segments(lab, pair.client_port, &n);
    show_burst(lab, segments, n, n_sent, burst);
    party_close(client, pair.client);
    party_close(server, pair.server);
    free(bytes);
}

static void judge_burst(struct lab *lab, const struct burst *burst)
{
    lab_figure(lab, "C56", "data_segments", burst->n_segments);
    lab_figure(lab, "C56", "acknowledgements", burst->n_acks);
    lab_figure(lab, "C56", "most_segments_by_one", burst->most);
    lab_figure(lab, "C56", "ip_ids", burst->n_ids);
    if (!burst->n_segments || !burst->n_acks)
        lab_verdict(lab, "C56", LAB_NOT_SHOWN, _("No acknowledged segments were seen on the wire."));
    else if (burst->most > 1)
        lab_verdict(
            lab, "C56", LAB_FALSE,
            _("%u segments, with %u different IP ids, were acknowledged by %u numbers, each that of the next byte "
              "wanted: one covered %u segments, %s bytes. No field of an acknowledgement names a packet."),
            burst->n_segments, burst->n_ids, burst->n_acks, burst->most, lab_count_text(burst->most_bytes));
    else
        lab_verdict(lab, "C56", LAB_FALSE,
                    _("Each of %u segments got an acknowledgement of its own here, but by the number of the next byte "
                      "wanted, not by its IP id."),
                    burst->n_segments);
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct delayed delayed[N_WAITINGS] = {0};
    struct numbers numbers = {0};
    struct keeping keeping = {0};
    struct burst burst = {0};

    number(lab, client, server, &numbers);
    for (enum waiting waiting = 0; waiting < N_WAITINGS; waiting++)
        delay_acknowledgement(lab, client, server, waiting, &delayed[waiting]);
    show_delays(lab, delayed);
    keep(lab, client, server, &keeping);
    show_keeping(lab, &keeping);
    send_burst(lab, client, server, &burst);
    lab_answer(lab, "%llu", (unsigned long long)numbers.first_ack);
    judge_number(lab, &numbers);
    judge_keeping(lab, &keeping);
    judge_delays(lab, delayed);
    judge_burst(lab, &burst);
}

static const struct lab_claim claims[] = {
    {"C41", N_("n bytes at sequence number seq are acknowledged by seq + n + 1.")},
    {"C46", N_("What was sent is kept in the send buffer until it is acknowledged.")},
    {"C55", N_("Received data has to be acknowledged at once.")},
    {"C56", N_("Each packet has an ID, and it is this ID that is acknowledged.")},
    {0},
};

const struct experiment experiment_acknowledgement = {
    .name = "acknowledgement",
    .chapter = CHAPTER_DATA,
    .title = N_("which number acknowledges n bytes, when, and what that frees"),
    .claims = claims,
    .systems = "S17",
    .needs = LAB_WIRE,
    .milliseconds = 600,
    .done =
        N_("A client sends 5 bytes, then 1,448, then closes. Then single segments in five situations; 1,000 bytes over "
           "a wire that takes 10 ms each way, while the sender's queue is looked at every 0.2 ms; and 30,000 bytes at "
           "once. Nothing is lost."),
    .question = N_("5 bytes start at sequence number 1. Which acknowledgement number comes back?"),
    .by_hand = "timeout 9 sonde serve echo --trace tcp://127.0.0.1:7007 &\n"
               "printf hello | nc -N 127.0.0.1 7007",
    .read = "RFC 9293, 3.4, 3.8.6.3 and 3.10.7.4; RFC 5681, 4.2; RFC 6864 (the IP ID); tcp(7), TCP_QUICKACK",
    .run = run,
};
