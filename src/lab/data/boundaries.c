/* SPDX-License-Identifier: MIT */
/*
 * The microscope: three sends, what became of them on the wire, and what the receives got. How many receives it takes
 * is decided by when they are called; that is forced here, by waiting until the bytes are there, and not left to luck.
 */
#include "lab/data/data.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define N_SENDS 3
#define SEND_BYTES 3
#define ROOM_BYTES 50
#define ALL_BYTES (N_SENDS * SEND_BYTES)
#define WITHIN_NS (3 * NS_PER_S)

static const char text[ALL_BYTES + 1] = "abcdefghi";

enum sending { SEND_PLAIN, SEND_NODELAY, SEND_CORK, SEND_MORE, SEND_VECTOR, SEND_ONE };
enum reading { READ_LATE, READ_AFTER_TWO, READ_EACH, READ_BY_FOUR };

struct row {
    const char *sends, *reader;
    int family, type;
    enum sending sending;
    enum reading reading;
};

static const struct row rows[] = {
    {N_("TCP, as it is"), N_("late"), AF_INET, SOCK_STREAM, SEND_PLAIN, READ_LATE},
    {N_("TCP, TCP_NODELAY"), N_("late"), AF_INET, SOCK_STREAM, SEND_NODELAY, READ_LATE},
    {N_("TCP, TCP_NODELAY"), N_("after 2, after 3"), AF_INET, SOCK_STREAM, SEND_NODELAY, READ_AFTER_TWO},
    {N_("TCP, TCP_NODELAY"), N_("after each"), AF_INET, SOCK_STREAM, SEND_NODELAY, READ_EACH},
    {N_("TCP, TCP_CORK"), N_("late"), AF_INET, SOCK_STREAM, SEND_CORK, READ_LATE},
    {N_("TCP, MSG_MORE"), N_("late"), AF_INET, SOCK_STREAM, SEND_MORE, READ_LATE},
    {N_("TCP, one writev()"), N_("late"), AF_INET, SOCK_STREAM, SEND_VECTOR, READ_LATE},
    {N_("TCP, one send of 9"), N_("4 at a time"), AF_INET, SOCK_STREAM, SEND_ONE, READ_BY_FOUR},
    {N_("UDP"), N_("late"), AF_INET, SOCK_DGRAM, SEND_PLAIN, READ_LATE},
    {N_("UNIX STREAM"), N_("late"), AF_UNIX, SOCK_STREAM, SEND_PLAIN, READ_LATE},
    {N_("UNIX SEQPACKET"), N_("late"), AF_UNIX, SOCK_SEQPACKET, SEND_PLAIN, READ_LATE},
    {N_("UNIX DGRAM"), N_("late"), AF_UNIX, SOCK_DGRAM, SEND_PLAIN, READ_LATE},
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

/* Of one row, while it is run and afterwards. */
struct course {
    struct lab *lab;
    struct party *client, *server;
    const struct row *row;
    int sender, receiver;
    uint16_t client_port, server_port;
    struct sizes segments, receives;
    char got[64];
    size_t n_got;
};

static bool is_tcp(const struct row *row)
{
    return row->family == AF_INET && row->type == SOCK_STREAM;
}

static void open_sockets(struct course *course)
{
    struct timeval patience = {.tv_sec = 2};
    struct lab_pair pair;
    int fds[2];

    if (is_tcp(course->row)) {
        lab_connected(course->client, course->server, &pair);
        course->sender = pair.client;
        course->receiver = pair.server;
        course->client_port = pair.client_port;
        course->server_port = pair.server_port;
    } else if (course->row->family == AF_INET) {
        const char *address = lab_address(course->lab, END_B);

        course->sender = party_socket(course->client, AF_INET, SOCK_DGRAM, 0);
        course->receiver = party_socket(course->server, AF_INET, SOCK_DGRAM, 0);
        data_expect(course->lab, "socket()", course->sender);
        data_expect(course->lab, "socket()", course->receiver);
        data_expect(course->lab, "bind()", party_bind(course->server, course->receiver, address, 0));
        course->server_port = lab_local_port(course->receiver);
        data_expect(course->lab, "connect()",
                    party_connect(course->client, course->sender, address, course->server_port));
        course->client_port = lab_local_port(course->sender);
    } else {
        data_expect(course->lab, "socketpair()",
                    socketpair(AF_UNIX, course->row->type | SOCK_CLOEXEC, 0, fds) < 0 ? -errno : 0);
        course->sender = fds[0];
        course->receiver = fds[1];
    }
    setsockopt(course->receiver, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

/* Receive what is there: all that was sent so far, if it is a stream; it is waited for before. */
static void receive_to(struct course *course, size_t n_sent)
{
    size_t room = course->row->reading == READ_BY_FOUR ? 4 : ROOM_BYTES;

    if (course->row->type == SOCK_STREAM)
        data_arrived(course->receiver, (int64_t)(n_sent - course->n_got), WITHIN_NS);
    while (course->n_got < n_sent) {
        char buffer[sizeof(course->got)];
        ssize_t n = party_recv(course->server, course->receiver, buffer, room, 0);

        if (n <= 0 || course->n_got + (size_t)n > sizeof(course->got))
            return;
        memcpy(course->got + course->n_got, buffer, (size_t)n);
        course->n_got += (size_t)n;
        sizes_add(&course->receives, (size_t)n);
    }
}

static void send_at_once(struct course *course)
{
    if (course->row->sending == SEND_ONE) {
        party_send(course->client, course->sender, text, ALL_BYTES, 0);
    } else {
        struct iovec pieces[N_SENDS];

        for (unsigned i = 0; i < N_SENDS; i++)
            pieces[i] = (struct iovec){.iov_base = (char *)text + i * SEND_BYTES, .iov_len = SEND_BYTES};
        data_expect(course->lab, "writev()", writev(course->sender, pieces, N_SENDS) < 0 ? -errno : 0);
    }
    receive_to(course, ALL_BYTES);
}

static void send_and_receive(struct course *course)
{
    enum sending sending = course->row->sending;

    if (sending == SEND_NODELAY)
        party_set(course->client, course->sender, IPPROTO_TCP, TCP_NODELAY, 1);
    if (sending == SEND_CORK)
        party_set(course->client, course->sender, IPPROTO_TCP, TCP_CORK, 1);
    if (sending == SEND_VECTOR || sending == SEND_ONE) {
        send_at_once(course);
        return;
    }
    for (size_t i = 0; i < N_SENDS; i++) {
        int flags = sending == SEND_MORE && i + 1 < N_SENDS ? MSG_MORE : 0;

        data_expect(course->lab, "send()",
                    party_send(course->client, course->sender, text + i * SEND_BYTES, SEND_BYTES, flags));
        if (sending == SEND_CORK && i + 1 == N_SENDS)
            party_set(course->client, course->sender, IPPROTO_TCP, TCP_CORK, 0);
        if (i + 1 == N_SENDS || course->row->reading == READ_EACH || (course->row->reading == READ_AFTER_TWO && i == 1))
            receive_to(course, (i + 1) * SEND_BYTES);
    }
}

/* UDP's datagrams as the tap had them. */
static void count_datagrams(struct course *course)
{
    size_t n = lab_n_packets(course->lab);

    for (size_t i = 0; i < n; i++) {
        const struct wire_packet *packet = lab_packet(course->lab, i);
        const uint8_t *frame = packet->data;
        size_t header;

        if (packet->copy || packet->from != END_A || packet->n_captured < 14 + 20 + 8 || frame[12] != 8 ||
            frame[13] != 0 || frame[14 + 9] != IPPROTO_UDP)
            continue;
        header = 14 + (size_t)(frame[14] & 15) * 4;
        if (header + 8 > packet->n_captured ||
            (uint16_t)(frame[header + 2] << 8 | frame[header + 3]) != course->server_port)
            continue;
        sizes_add(&course->segments, (size_t)(frame[header + 4] << 8 | frame[header + 5]) - 8);
    }
}

static void run_row(struct course *course)
{
    bool wired = lab_wire(course->lab) && course->row->family == AF_INET;
    unsigned n_repeats;

    open_sockets(course);
    send_and_receive(course);
    if (wired) {
        lab_settle(course->lab);
        if (is_tcp(course->row))
            data_segments(course->lab, course->client_port, END_A, &course->segments, &n_repeats);
        else
            count_datagrams(course);
    }
    party_close(course->client, course->sender);
    if (is_tcp(course->row)) {
        char end;

        party_recv(course->server, course->receiver, &end, 1, 0); /* so that the ends close one after the other */
    }
    party_close(course->server, course->receiver);
}

static void show_row(const struct course *course)
{
    char segments[96], receives[96];

    lab_cell(course->lab, "%s", _(course->row->sends));
    lab_cell(course->lab, "%s", course->segments.n ? sizes_text(&course->segments, segments) : "-");
    lab_cell(course->lab, "%s", _(course->row->reader));
    lab_cell(course->lab, "%s", sizes_text(&course->receives, receives));
}

/* What one row showed: 0 receives means that it did not work out. */
static bool is_whole(const struct course *course)
{
    return course->n_got == ALL_BYTES && memcmp(course->got, text, ALL_BYTES) == 0;
}

static void give_verdict(struct lab *lab, const struct course *courses)
{
    static const char *const receives_of[] = {"receives_late", "receives_after_two", "receives_after_each"};
    unsigned n_whole = 0, seen = 0, n_kept = 0, n_datagram = 0;
    char sent[96];

    for (size_t i = 0; i < N_ROWS; i++) {
        n_whole += is_whole(&courses[i]);
        if (courses[i].row->sending == SEND_NODELAY && courses[i].receives.n >= 1 && courses[i].receives.n <= 3)
            seen |= 1u << courses[i].receives.n;
        if (courses[i].row->type != SOCK_STREAM) {
            n_datagram++;
            n_kept += courses[i].receives.n == N_SENDS;
        }
        if (courses[i].row->sending == SEND_NODELAY)
            lab_figure(lab, "C39", receives_of[courses[i].row->reading], courses[i].receives.n);
    }
    lab_figure(lab, "C39", "whole_and_in_order", n_whole);
    lab_figure(lab, "C39", "rows", N_ROWS);
    lab_figure(lab, "C39", "datagram_kinds_that_kept_boundaries", n_kept);
    if (courses[0].segments.n)
        lab_figure_text(lab, "C39", "segments_nagle", sizes_text(&courses[0].segments, sent));
    if (courses[1].segments.n)
        lab_figure_text(lab, "C39", "segments_nodelay", sizes_text(&courses[1].segments, sent));
    if (courses[4].segments.n)
        lab_figure_text(lab, "C39", "segments_cork", sizes_text(&courses[4].segments, sent));

    if (seen == (1u << 1 | 1u << 2 | 1u << 3) && n_whole == N_ROWS && courses[1].segments.n)
        lab_verdict(
            lab, "C39", LAB_TRUE,
            _("The same three sends over TCP, as segments of %s bytes, were received in %u, in %u and in %u "
              "pieces, depending only on when the reader called; in %u of %zu rows all %d bytes came, in order. "
              "Datagram and SEQPACKET sockets kept the three apart in %u of %u rows."),
            sizes_text(&courses[1].segments, sent), courses[1].receives.n, courses[2].receives.n, courses[3].receives.n,
            n_whole, N_ROWS, ALL_BYTES, n_kept, n_datagram);
    else if (seen == (1u << 1 | 1u << 2 | 1u << 3) && n_whole == N_ROWS)
        lab_verdict(
            lab, "C39", LAB_TRUE,
            _("The same three sends over TCP were received in %u, in %u and in %u pieces, depending only on when "
              "the reader called; in %u of %zu rows all %d bytes came, in order. Datagram and SEQPACKET sockets "
              "kept the three apart in %u of %u rows."),
            courses[1].receives.n, courses[2].receives.n, courses[3].receives.n, n_whole, N_ROWS, ALL_BYTES, n_kept,
            n_datagram);
    else if (n_whole == N_ROWS)
        lab_verdict(lab, "C39", LAB_DEPENDS,
                    _("Not all of one, two and three were seen: the reader that came late took %u receives, the one "
                      "that read after the second and third send %u, the one that read after each %u."),
                    courses[1].receives.n, courses[2].receives.n, courses[3].receives.n);
    else
        lab_verdict(lab, "C39", LAB_NOT_SHOWN, _("Only %u of %zu rows received all %d bytes in order."), n_whole,
                    N_ROWS, ALL_BYTES);
}

static void run(struct lab *lab)
{
    const char *heads[] = {_("three sends of 3 over"), _("segments"), _("reader calls"), _("receives")};
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct course courses[N_ROWS];

    if (lab_wire(lab)) {
        /* So that the second and third send come before the first is acknowledged. */
        lab_rules(lab, END_A, "delay 5ms");
        lab_rules(lab, END_B, "delay 5ms");
    }
    for (size_t i = 0; i < N_ROWS; i++) {
        courses[i] = (struct course){.lab = lab, .client = client, .server = server, .row = &rows[i]};
        run_row(&courses[i]);
    }
    lab_table(lab, 4, heads);
    for (size_t i = 0; i < N_ROWS; i++)
        show_row(&courses[i]);
    lab_table_end(lab);
    lab_ladder(lab, courses[0].client_port, _("three sends, as TCP is by itself (Nagle), and one receive"));
    if (lab_wire(lab))
        lab_footnote(lab, _("UNIX sockets do not pass a wire. As it is, TCP holds a small segment back while an "
                            "earlier small one is not acknowledged (Nagle); TCP_NODELAY lifts that."));
    else
        lab_footnote(lab, _("There is no wire here, so segments cannot be seen."));
    lab_answer(lab, "%u", courses[1].receives.of[0]);
    give_verdict(lab, courses);
}

static const struct lab_claim claims[] = {
    {"C39", N_("Three writes of a stream may arrive in one, in two or in three reads.")},
    {0},
};

static const char *const settings[] = {"net.ipv4.tcp_autocorking", NULL};

const struct experiment experiment_boundaries = {
    .name = "boundaries",
    .chapter = CHAPTER_DATA,
    .title = N_("three sends, how many segments, how many receives"),
    .claims = claims,
    .systems = "S15",
    .milliseconds = 400,
    .done = N_("Three sends, abc, def and ghi, by each kind of socket, over a wire that takes 5 ms each way. When the "
               "reader calls is forced: it waits until the bytes are there (late), or is called between the sends."),
    .question = N_("Over TCP with TCP_NODELAY: send(\"abc\"), send(\"def\"), send(\"ghi\"). The reader was busy until "
                   "all had arrived. How many bytes does its first recv() give, with room for 50?"),
    .by_hand = "timeout 9 sonde serve discard --trace tcp://127.0.0.1:7007 &\n"
               "(printf abc; printf def; printf ghi) | nc -N 127.0.0.1 7007\n"
               "(printf abc; sleep 0.1; printf def; sleep 0.1; printf ghi) |\n"
               "    nc -N 127.0.0.1 7007",
    .read = "RFC 9293, 3.7 and 3.7.4 (Nagle); tcp(7); send(2), MSG_MORE; unix(7)",
    .settings = settings,
    .run = run,
};
