/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/verdict/verdict_internal.h"

#include <string.h>

#define FIRST_NS (50 * NS_PER_S)

static char text[VERDICT_TEXT_MAX];

static struct sonde_address address(uint8_t last, uint16_t port)
{
    return (struct sonde_address){.family = AF_INET, .port = port, .u.ip = {10, 0, 0, last}};
}

/* The conversation of the ladder that everybody knows: handshake, 5 bytes, closed in 4 segments. */
static struct conversation plain(void)
{
    struct conversation about = {
        .id = 1,
        .protocol = IPPROTO_TCP,
        .opening = OPENED_HANDSHAKE,
        .ending = ENDED_IN_4,
        .reset_by = N_ENDS,
        .closed_first = END_A,
        .a_is_client = true,
        .n_segments = 9,
        .first_ns = FIRST_NS,
        .syn_ns = FIRST_NS,
        .syn_ack_ns = FIRST_NS + 7 * NS_PER_US,
        .established_ns = FIRST_NS + 25 * NS_PER_US,
        .last_ns = FIRST_NS + 250 * NS_PER_MS,
    };
    for (unsigned end = 0; end < N_ENDS; end++) {
        about.side[end] = (struct conversation_side){
            .address = end == END_A ? address(1, 40488) : address(2, 7007),
            .isn_known = true,
            .syn_seen = true,
            .fin_seen = true,
            .window_scale = 7,
            .mss = 1460,
            .sack_permitted = true,
            .n_packets = end == END_A ? 5 : 4,
            .n_syns = 1,
        };
    }
    about.side[END_A].n_bytes = about.side[END_A].n_unique_bytes = 5;
    return about;
}

static void is_well(const struct conversation *about)
{
    for (const struct conversation_verdict *const *row = conversation_verdicts; *row; row++) {
        memset(text, 'x', sizeof text);
        if ((*row)->judge(about, text) != VERDICT_NONE)
            fail_msg("%s: %s", (*row)->name, text);
        assert_int_equal(text[0], 'x');
    }
}

static void does_not_apply(const struct conversation *about, const struct conversation_verdict *verdict)
{
    memset(text, 'x', sizeof text);
    if (verdict->judge(about, text) != VERDICT_NONE)
        fail_msg("%s: %s", verdict->name, text);
    assert_int_equal(text[0], 'x');
}

static void says(const struct conversation *about, const struct conversation_verdict *verdict,
                 enum verdict_weight weight, const char *expected)
{
    memset(text, 'x', sizeof text);
    assert_int_equal(verdict->judge(about, text), weight);
    assert_string_equal(text, expected);
}

static void sums_up(const struct conversation *about, const char *expected)
{
    memset(text, 'x', sizeof text);
    conversation_summary(about, text);
    assert_string_equal(text, expected);
}

/* ---- */

static void nothing_is_wrong(void **state)
{
    (void)state;
    struct conversation about = plain();
    is_well(&about);
    about.a_is_client = false;
    is_well(&about);
    about = (struct conversation){.protocol = IPPROTO_UDP, .closed_first = N_ENDS, .reset_by = N_ENDS};
    is_well(&about);
}

static void refused(void **state)
{
    (void)state;
    struct conversation about = plain();
    about.opening = OPENED_REFUSED;
    about.ending = ENDED_REFUSED;
    about.n_segments = 2;
    about.last_ns = FIRST_NS + 6 * NS_PER_US;
    says(&about, &conversation_refused, VERDICT_TROUBLE,
         "Refused: 10.0.0.2 answered the SYN with a reset after 6 us, so nothing listens on port 7007 there (or a "
         "firewall answers like that). Try there: sonde watch listening");
    about.n_segments = 3; /* a SYN again: which of them was answered is not known */
    says(
        &about, &conversation_refused, VERDICT_TROUBLE,
        "Refused: 10.0.0.2 answered the SYN with a reset, so nothing listens on port 7007 there (or a firewall answers "
        "like that). Try there: sonde watch listening");
}

static void icmp(void **state)
{
    (void)state;
    struct conversation about = plain();
    about.icmp_version = 4;
    about.icmp_type = 3;
    about.icmp_code = 1;
    char expected[VERDICT_TEXT_MAX], buffer[32];
    snprintf(
        expected, sizeof expected,
        "A router or host reports an error about this conversation (ICMP): %s. What was quoted in it did not arrive, "
        "or was refused.",
        decode_icmp_words(4, 3, 1, buffer));
    says(&about, &conversation_icmp, VERDICT_TROUBLE, expected);
    about.icmp_code = 4;
    assert_int_equal(conversation_icmp.judge(&about, text), VERDICT_NOTE);
    assert_non_null(strstr(text, "The sender has to send shorter packets"));
    about.icmp_type = 5; /* a redirect is no error */
    assert_int_equal(conversation_icmp.judge(&about, text), VERDICT_NOTE);
    about.icmp_version = 6;
    about.icmp_type = 2;
    assert_int_equal(conversation_icmp.judge(&about, text), VERDICT_NOTE);
    about.protocol = IPPROTO_UDP;
    about.icmp_type = 1;
    about.icmp_code = 4;
    assert_int_equal(conversation_icmp.judge(&about, text), VERDICT_TROUBLE);
    assert_int_equal(strncmp(text, "Refused:", 8), 0);
}

static void no_answer(void **state)
{
    (void)state;
    struct conversation about = plain();
    about.opening = OPENED_NOT_YET;
    about.ending = ENDED_NOT;
    about.side[END_B] = (struct conversation_side){.address = address(2, 7007), .window_scale = -1};
    about.last_ns = FIRST_NS + 3060 * NS_PER_MS;
    says(&about, &conversation_no_answer, VERDICT_NOTE, "One SYN, and no answer as far as this capture goes.");
    about.side[END_A].n_syns = 4;
    says(
        &about, &conversation_no_answer, VERDICT_TROUBLE,
        "No answer: the client sent its SYN 4 times within 3.06 s, and nothing came back. A full accept queue, a "
        "firewall that drops, a host that is not there and loss on the way look the same on the wire. Try at 10.0.0.2: "
        "sonde watch listening");
    does_not_apply(&about, &conversation_half_handshake);
    about.side[END_B].n_packets = 1;
    does_not_apply(&about, &conversation_no_answer);
}

static void half_handshake(void **state)
{
    (void)state;
    struct conversation about = plain();
    about.opening = OPENED_NOT_YET;
    about.ending = ENDED_NOT;
    says(&about, &conversation_half_handshake, VERDICT_NOTE,
         "Half-open: the server answered the SYN 1 time, and no ACK completed the handshake as far as seen here.");
    about.side[END_B].n_syns = 3;
    says(&about, &conversation_half_handshake, VERDICT_TROUBLE,
         "Half-open: the server answered the SYN 3 times, and no ACK completed the handshake as far as seen here. The "
         "answers do not reach the client, or it is gone, or never existed (a forged address).");
    about.ending = ENDED_RESET;
    does_not_apply(&about, &conversation_half_handshake);
}

static void slow_handshake(void **state)
{
    (void)state;
    struct conversation about = plain();
    about.side[END_A].n_syns = 5;
    about.established_ns = FIRST_NS + 4089 * NS_PER_MS;
    says(
        &about, &conversation_slow_handshake, VERDICT_TROUBLE,
        "The handshake took 4.09 s. 10.0.0.1:40488 sent its SYN 5 times, and only the last was answered as far as seen "
        "here. What became of the others the wire does not tell: a full accept queue drops SYNs without an answer, and "
        "so do loss and firewalls. Try at 10.0.0.2: sonde watch listening");
    about.side[END_A].n_syns = 1;
    about.side[END_B].n_syns = 2;
    about.established_ns = 0;
    says(&about, &conversation_slow_handshake, VERDICT_TROUBLE,
         "SYNs seen: 1; answers (SYN-ACK) seen: 2. Answers were lost, or late, or the ACK behind them "
         "was "
         "lost or ignored (a full accept queue ignores it).");
    about.opening = OPENED_SIMULTANEOUSLY;
    does_not_apply(&about, &conversation_slow_handshake);
}

static void reset(void **state)
{
    (void)state;
    struct conversation about = plain();
    about.ending = ENDED_RESET;
    about.reset_by = END_B;
    about.reset_cause = RESET_UNREAD;
    says(&about, &conversation_reset, VERDICT_TROUBLE,
         "Reset by the server: its program closed while received data was unread, or data came for a socket that was "
         "closed. What the other end sent last was not read.");
    about.side[END_A].in_flight = 1448;
    about.reset_cause = RESET_TIMEOUT;
    says(&about, &conversation_reset, VERDICT_TROUBLE,
         "Reset by the server after repeats that nobody answered: the other end or the way to it was gone. What the "
         "client had sent and nobody acknowledged may be lost: 1,448 bytes.");
    about.side[END_A].in_flight = 0;
    about.reset_cause = RESET_NO_SUCH;
    assert_int_equal(conversation_reset.judge(&about, text), VERDICT_NOTE);
    about.reset_by = N_ENDS;
    about.reset_cause = UINT8_MAX;
    says(&about, &conversation_reset, VERDICT_TROUBLE, "Reset by one end. Why, the segments do not tell.");
    for (unsigned cause = 0; cause < N_RESET_CAUSES; cause++) {
        about.reset_cause = (uint8_t)cause;
        about.reset_by = END_A;
        assert_int_not_equal(conversation_reset.judge(&about, text), VERDICT_NONE);
        assert_non_null(strstr(text, "Reset by the client"));
    }
}

static void zero_window(void **state)
{
    (void)state;
    struct conversation about = plain();
    struct conversation_side *server = &about.side[END_B];
    server->zero_first_ns = FIRST_NS + 36 * NS_PER_MS;
    server->n_zero_windows = 1;
    server->zero_longest_ns = 200 * NS_PER_MS - 1;
    about.side[END_A].n_probes = 3;
    is_well(&about);
    server->zero_longest_ns = 2064 * NS_PER_MS;
    says(&about, &conversation_zero_window, VERDICT_TROUBLE,
         "Stalled 2.06 s because the server took no more: it advertised window 0, 36.0 ms after the first packet. "
         "10.0.0.1:40488 asked "
         "3 times (window probes). Not the network: a closed window is the receiver's own word, mostly because its "
         "program does not read.");
    server->zero_since_ns = server->zero_first_ns;
    server->n_zero_windows = 2;
    about.side[END_A].n_probes = 1;
    says(&about, &conversation_zero_window, VERDICT_TROUBLE,
         "Stalled 2.06 s because the server took no more: it advertised window 0, 36.0 ms after the first packet. It "
         "still did at the last packet seen. Its window closed 2 times in all. 10.0.0.1:40488 asked 1 time (window "
         "probe). Not the "
         "network: a closed window is the receiver's own word, mostly because its program does not read.");
    about.side[END_A].n_probes = 0;
    server->zero_since_ns = 0;
    server->n_zero_windows = 1;
    says(&about, &conversation_zero_window, VERDICT_NOTE,
         "10.0.0.2:7007 advertised window 0 for 2.06 s, 36.0 ms after the first packet. Whether something waited for "
         "it is not seen "
         "here: there were no window probes.");
    server->zero_longest_ns = NS_PER_S - 1;
    is_well(&about);
}

static void stall(void **state)
{
    (void)state;
    struct conversation about = plain();
    struct conversation_side *client = &about.side[END_A];
    client->n_again = 3;
    client->n_again_bytes = 15;
    client->n_again_tlp = 1;
    client->n_again_rto = 2;
    client->stall_ns = 853 * NS_PER_MS;
    client->first_again_ns = FIRST_NS;
    client->stall_first_number = 4;
    client->stall_n_again = 3;
    client->stall_n_tlp = 1;
    client->stall_n_rto = 2;
    says(&about, &conversation_stall, VERDICT_TROUBLE,
         "Segment #4 of the client was sent again 3 times; it was acknowledged 853 ms after it was first sent. Only "
         "timers repeated it: tail probe 1, RTO 2. It was lost or late, or its ACK was.");
    client->in_flight = 5;
    about.ending = ENDED_NOT;
    says(&about, &conversation_stall, VERDICT_TROUBLE,
         "Segment #4 of the client was sent again 3 times; to its ACK or its last repeat it took 853 ms. Only timers "
         "repeated it: tail probe 1, RTO 2. It was lost or late, or its ACK was.");
    says(&about, &conversation_unacknowledged, VERDICT_NOTE,
         "At the last packet seen, 5 bytes from the client were sent and not acknowledged.");
    client->in_flight = 0;
    client->n_again = 40;
    client->n_again_bytes = 57920;
    client->stall_n_again = 1;
    client->stall_n_tlp = client->stall_n_rto = 0;
    client->stall_ns = 17 * NS_PER_MS;
    about.side[END_B].n_again = 2;
    says(
        &about, &conversation_stall, VERDICT_NOTE,
        "Segment #4 of the client was sent again 1 time; it was acknowledged 17.0 ms after it was first sent. Of these "
        "repeats the timer (RTO) sent 0, tail probes were 0; the others followed duplicate ACKs or SACKs, or their "
        "cause is not seen. It was lost or late, or its ACK was. In all, the client sent 40 segments again (57,920 "
        "bytes). Segments that the other end sent again: 2.");
    client->stall_ns = 200 * NS_PER_MS - 1;
    assert_int_equal(conversation_stall.judge(&about, text), VERDICT_NOTE);
    client->stall_ns++;
    assert_int_equal(conversation_stall.judge(&about, text), VERDICT_TROUBLE);
    about.side[END_B].stall_ns = NS_PER_S; /* the longer stall is told */
    about.side[END_B].stall_n_again = 2;
    assert_int_equal(conversation_stall.judge(&about, text), VERDICT_TROUBLE);
    assert_non_null(strstr(text, "of the server was sent again 2 times"));
}

static void spurious(void **state)
{
    (void)state;
    struct conversation about = plain();
    about.side[END_A].n_again = 2;
    about.side[END_A].n_again_spurious = 2;
    does_not_apply(&about, &conversation_stall);
    says(&about, &conversation_spurious, VERDICT_NOTE,
         "2 repeats, and none was needed: what they repeat had arrived, and the ACKs were lost or late.");
    about.side[END_A].n_again_spurious = 1;
    says(&about, &conversation_spurious, VERDICT_NOTE,
         "Of 2 repeats 1 was not needed: what it repeats had arrived, and its ACK was lost or late.");
    about.side[END_A].n_again = 1;
    says(&about, &conversation_spurious, VERDICT_NOTE,
         "1 repeat was not needed: what it repeats had arrived, and its ACK was lost or late.");
    about.side[END_A].n_again = 5;
    about.side[END_A].n_again_spurious = 3;
    says(&about, &conversation_spurious, VERDICT_NOTE,
         "Of 5 repeats 3 were not needed: what they repeat had arrived, and the ACKs were lost or late.");
    about.side[END_B].n_missing_bytes = 1; /* nor may all repeats be in it */
    assert_int_equal(conversation_spurious.judge(&about, text), VERDICT_NONE);
    assert_int_not_equal(conversation_stall.judge(&about, text), VERDICT_NONE);
}

static void unacknowledged(void **state)
{
    (void)state;
    struct conversation about = plain();
    about.ending = ENDED_NOT;
    about.side[END_B].in_flight = 100; /* on its way, most likely */
    is_well(&about);
    about.side[END_B].n_again = 1;
    says(&about, &conversation_unacknowledged, VERDICT_NOTE,
         "At the last packet seen, 100 bytes from the server were sent and not acknowledged.");
    about.ending = ENDED_IN_4;
    does_not_apply(&about, &conversation_unacknowledged);
}

static void endings(void **state)
{
    (void)state;
    struct conversation about = plain();
    about.ending = ENDED_HALF;
    about.closed_first = END_B;
    says(&about, &conversation_half_closed, VERDICT_NOTE,
         "Half-closed: the server has ended its side, and the client has not as far as this capture goes. It may still "
         "send; if it does not, its program may have forgotten to close (CLOSE_WAIT in sonde watch).");
    about.closed_first = N_ENDS;
    does_not_apply(&about, &conversation_half_closed);
    about.ending = ENDED_WITHOUT_ACK;
    says(
        &about, &conversation_last_ack_missing, VERDICT_NOTE,
        "Both ends have closed, and no ACK of the last FIN was seen: it was lost, or the capture ended before it came. "
        "The end that waits for it (LAST_ACK or CLOSING) repeats its FIN for a while.");
}

static void notes(void **state)
{
    (void)state;
    struct conversation about = plain();
    about.side[END_B].n_out_of_order = 1;
    says(&about, &conversation_out_of_order, VERDICT_NOTE,
         "1 segment was seen behind later ones: the way, or the capture itself, changes the order.");
    about.tuple_reused = true;
    says(&about, &conversation_tuple_reused, VERDICT_NOTE,
         "Another connection: an earlier one in this capture had the same addresses and ports.");
    about.begins_midway = true;
    says(&about, &conversation_begins_midway, VERDICT_NOTE,
         "Begins midway: the handshake is not in this capture. Numbers count from the first seen, windows are not "
         "scaled, and the states before the first FIN or reset are a guess.");
    about.n_offload = 12;
    says(&about, &conversation_offload, VERDICT_NOTE,
         "12 segments are longer than the MSS: they were captured before they were cut, or after they were joined, by "
         "the kernel or the card (TSO, GSO, GRO). On a wire there are more and shorter ones.");
    about.side[END_A].n_missing_bytes = 1448;
    says(&about, &conversation_holes, VERDICT_NOTE,
         "The capture has holes: 1,448 bytes of payload are not in it (1,448 from the client, 0 from the server). They "
         "were dropped while capturing, or took another way.");
    about.n_cut = 2;
    says(&about, &conversation_cut, VERDICT_NOTE,
         "2 packets were captured only in part (snapshot length): what they carried is not all here.");
    about.n_seen_twice = 1;
    says(&about, &conversation_seen_twice, VERDICT_NOTE,
         "1 packet was captured twice, on two interfaces or at two points of one: it is no repeat.");
    about.n_checksum_bad = 1;
    says(
        &about, &conversation_checksum_bad, VERDICT_TROUBLE,
        "1 packet has a bad checksum. A receiver throws such a packet away without a word, unless the capture was made "
        "before the sender's card filled the checksum in.");
}

static void keep_alives_only(void **state)
{
    (void)state;
    struct conversation about = plain();
    about.side[END_B].n_keep_alives = 3;
    does_not_apply(&about, &conversation_keep_alives_only); /* there were 5 bytes */
    about.side[END_A].n_unique_bytes = 0;
    says(&about, &conversation_keep_alives_only, VERDICT_NOTE,
         "No data in either direction as far as seen here, only 3 keep-alives: the connection is idle.");
    about.side[END_B].n_keep_alives = 0;
    does_not_apply(&about, &conversation_keep_alives_only);
}

static void options_of_the_syn(void **state)
{
    (void)state;
    struct conversation about = plain();
    about.side[END_B].mss = 0;
    says(&about, &conversation_mss_missing, VERDICT_NOTE,
         "The SYN of the server has no MSS option: the other end has to assume 536 bytes.");
    about.side[END_A].mss = 0;
    about.side[END_A].address.family = AF_INET6;
    says(&about, &conversation_mss_missing, VERDICT_NOTE,
         "Neither end offers an MSS in its SYN: both have to assume 1,220 bytes.");
    about = plain();
    about.side[END_B].window_scale = -1;
    says(&about, &conversation_no_window_scale, VERDICT_NOTE,
         "Windows are not scaled, as the server did not offer it: each window is at most 65,535 bytes.");
    about.side[END_A].n_rtt = 1;
    about.side[END_A].rtt_min_ns = 10200 * NS_PER_US;
    says(&about, &conversation_no_window_scale, VERDICT_NOTE,
         "Windows are not scaled, as the server did not offer it: each window is at most 65,535 bytes. With a round "
         "trip of 10.2 ms that allows at most 6.43 MB/s in each direction.");
    about.side[END_B].syn_seen = false; /* what it offered is not known */
    does_not_apply(&about, &conversation_no_window_scale);
}

/* ---- the summary */

static void summary(void **state)
{
    (void)state;
    struct conversation about = plain();
    sums_up(&about, "5 bytes →, 0 ←; 9 segments; none sent again; opened by handshake in 25 us; closed in 4 segments, "
                    "client first: it holds TIME_WAIT");
    about.side[END_A].n_rtt = 2;
    about.side[END_A].rtt_min_ns = 10200 * NS_PER_US;
    about.side[END_A].n_again = 3;
    about.side[END_A].n_again_tlp = 1;
    about.side[END_A].n_again_rto = 2;
    about.side[END_A].n_syns = 2;
    about.side[END_A].n_syns_again = 1;
    about.ending = ENDED_NOT;
    sums_up(&about, "5 bytes →, 0 ←; 9 segments; 1 SYN sent again; 3 retransmissions (tail probe 1, RTO 2, fast 0); "
                    "opened by handshake in 25 us; fastest round trip 10.2 ms; still open");
    about = plain();
    about.opening = OPENED_UNKNOWN;
    about.a_is_client = false;
    about.closed_first = END_B;
    about.ending = ENDED_IN_3;
    about.side[END_B].n_unique_bytes = 2100;
    sums_up(&about, "5 bytes →, 2,100 ←; 9 segments; none sent again; opened before this capture; closed in 3 "
                    "segments, 10.0.0.2:7007 first: it holds TIME_WAIT");
    about = plain();
    about.opening = OPENED_REFUSED;
    about.ending = ENDED_REFUSED;
    about.side[END_A].n_unique_bytes = 1;
    sums_up(&about, "1 byte →, 0 ←; 9 segments; none sent again; refused");
    about = plain();
    about.ending = ENDED_RESET;
    about.reset_by = END_B;
    sums_up(&about, "5 bytes →, 0 ←; 9 segments; none sent again; opened by handshake in 25 us; ended by a reset from "
                    "server");
    about = plain();
    about.protocol = IPPROTO_UDP;
    about.side[END_B].n_packets = 0;
    about.side[END_A].n_packets = 1;
    sums_up(&about, "5 bytes →, 0 ←; 1 datagram");
}

static void summary_of_others(void **state)
{
    (void)state;
    static const struct {
        uint8_t opening, ending;
        const char *end;
    } rows[] = {
        {OPENED_NOT_YET, ENDED_NOT, "; handshake not complete"},
        {OPENED_SIMULTANEOUSLY, ENDED_SIMULTANEOUSLY,
         "; opened by both ends at once; closed by both ends at once: both hold TIME_WAIT"},
        {OPENED_HANDSHAKE, ENDED_HALF, "; half-closed by client"},
        {OPENED_HANDSHAKE, ENDED_WITHOUT_ACK, "; closed by both ends, the last FIN not acknowledged"},
        {OPENED_REFUSED, ENDED_NOT, "; none sent again; refused"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct conversation about = plain();
        about.opening = rows[i].opening;
        about.ending = rows[i].ending;
        conversation_summary(&about, text);
        size_t n = strlen(text), n_end = strlen(rows[i].end);
        assert_true(n > n_end);
        assert_string_equal(text + n - n_end, rows[i].end);
    }
}

/* ---- any values at all */

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void fill(void *data, size_t n_bytes, uint64_t *seed)
{
    uint8_t *bytes = data;
    for (size_t i = 0; i < n_bytes; i++) {
        uint64_t dice = next_random(seed);
        bytes[i] = dice % 4 == 0 ? 0 : dice % 4 == 1 ? 0xff : (uint8_t)(dice >> 8);
    }
}

static bool flip(uint64_t *seed)
{
    return next_random(seed) >> 63;
}

static void make_any(struct conversation *about, uint64_t *seed)
{
    fill(about, sizeof *about, seed);
    about->protocol = next_random(seed) % 4 ? IPPROTO_TCP : IPPROTO_UDP;
    about->opening = next_random(seed) % (OPENED_REFUSED + 2);
    about->ending = next_random(seed) % (ENDED_WITHOUT_ACK + 2);
    about->closed_first = next_random(seed) % 4;
    about->reset_by = next_random(seed) % 4;
    about->begins_midway = flip(seed);
    about->tuple_reused = flip(seed);
    about->a_is_client = flip(seed);
    about->both_watched = flip(seed);
    about->first_ns &= INT64_MAX;
    about->last_ns &= INT64_MAX;
    about->syn_ns &= INT64_MAX;
    about->established_ns &= INT64_MAX;
    for (unsigned end = 0; end < N_ENDS; end++) {
        struct conversation_side *side = &about->side[end];
        side->address.family = flip(seed) ? AF_INET : AF_INET6;
        side->isn_known = flip(seed);
        side->syn_seen = flip(seed);
        side->fin_seen = side->rst_seen = side->sack_permitted = flip(seed);
        side->zero_first_ns &= INT64_MAX;
        if (flip(seed))
            side->n_packets = side->n_syns = side->n_unique_bytes = 0;
        if (flip(seed))
            side->n_missing_bytes = 0;
    }
}

static void any_values(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u;
    unsigned n_applied[64] = {0};
    for (unsigned round = 0; round < 10000; round++) {
        struct conversation about;
        struct {
            char text[VERDICT_TEXT_MAX], guard[8];
        } room;
        make_any(&about, &seed);
        for (unsigned i = 0; conversation_verdicts[i]; i++) {
            memset(&room, 'x', sizeof room);
            bool applies = conversation_verdicts[i]->judge(&about, room.text) != VERDICT_NONE;
            n_applied[i] += applies;
            assert_memory_equal(room.guard, "xxxxxxxx", sizeof room.guard);
            assert_int_equal(memchr(room.text, '\0', sizeof room.text) != NULL, applies);
            assert_true(!applies || (room.text[0] != '\0' && !strchr(room.text, '\n')));
        }
        memset(&room, 'x', sizeof room);
        conversation_summary(&about, room.text);
        assert_memory_equal(room.guard, "xxxxxxxx", sizeof room.guard);
        assert_true(strnlen(room.text, sizeof room.text) > 0 &&
                    strnlen(room.text, sizeof room.text) < sizeof room.text);
    }
    for (unsigned i = 0; conversation_verdicts[i]; i++)
        if (n_applied[i] == 0)
            fail_msg("%s never applied", conversation_verdicts[i]->name);
}

static void names_are_told_apart(void **state)
{
    (void)state;
    for (const struct conversation_verdict *const *row = conversation_verdicts; *row; row++) {
        assert_true(strlen((*row)->name) > 0 && strlen((*row)->what) > 0);
        for (const struct conversation_verdict *const *other = row + 1; *other; other++)
            assert_string_not_equal((*row)->name, (*other)->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_wrong),
        cmocka_unit_test(refused),
        cmocka_unit_test(icmp),
        cmocka_unit_test(no_answer),
        cmocka_unit_test(half_handshake),
        cmocka_unit_test(slow_handshake),
        cmocka_unit_test(reset),
        cmocka_unit_test(zero_window),
        cmocka_unit_test(stall),
        cmocka_unit_test(spurious),
        cmocka_unit_test(unacknowledged),
        cmocka_unit_test(endings),
        cmocka_unit_test(notes),
        cmocka_unit_test(keep_alives_only),
        cmocka_unit_test(options_of_the_syn),
        cmocka_unit_test(summary),
        cmocka_unit_test(summary_of_others),
        cmocka_unit_test(any_values),
        cmocka_unit_test(names_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
