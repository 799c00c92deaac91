/* SPDX-License-Identifier: MIT */
/*
 * How large a socket's buffers are: as it is made, as it is connected, as it is told, as it is used. And how much
 * send() takes when the other end does not read: both buffers together, on this kernel, on this path.
 */
#include "lab/data/data.h"
#include "lab/table.h"
#include "observe/sockets/tcp_info.h"
#include "term/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define EIGHT_KIB 8192
#define TAKE_LIMIT_BYTES (INT64_C(64) << 20)
#define TUNE_NS (600 * NS_PER_MS)
#define TUNE_LIMIT_BYTES (INT64_C(48) << 20)
#define SAMPLE_NS (4 * NS_PER_MS)
#define SAMPLES_MAX 256
#define WITHIN_NS (3 * NS_PER_S)

struct sizing {
    int send, receive; /* SO_SNDBUF, SO_RCVBUF */
};

static struct sizing sizing_of(struct party *party, int sender, int receiver)
{
    struct sizing sizing = {0};

    party_get(party, sender, SOL_SOCKET, SO_SNDBUF, &sizing.send);
    party_get(party, receiver, SOL_SOCKET, SO_RCVBUF, &sizing.receive);
    return sizing;
}

static struct sizing sizing_of_new(struct party *party, int family, int type)
{
    int fd = party_socket(party, family, type, 0);
    struct sizing sizing = {0};

    if (fd < 0)
        return sizing;
    sizing = sizing_of(party, fd, fd);
    party_close(party, fd);
    return sizing;
}

static struct sizing sizing_when_set(struct party *party, int asked)
{
    int fd = party_socket(party, AF_INET, SOCK_STREAM, 0);
    struct sizing sizing = {0};

    if (fd < 0)
        return sizing;
    party_set(party, fd, SOL_SOCKET, SO_SNDBUF, asked);
    party_set(party, fd, SOL_SOCKET, SO_RCVBUF, asked);
    sizing = sizing_of(party, fd, fd);
    party_close(party, fd);
    return sizing;
}

/* ---- a reader that does not read */

struct taking {
    const char *name;
    bool shown;
    struct sizing before, after; /* connected; full */
    int64_t n_taken, n_sender, n_receiver;
};

static void take(struct lab *lab, struct party *client, struct party *server, int size, struct taking *taking)
{
    struct lab_pair pair;

    if (size)
        data_connected(lab, client, server, size, size, &pair);
    else
        lab_connected(client, server, &pair);
    taking->before = sizing_of(client, pair.client, pair.server);
    taking->n_taken = data_fill(pair.client, TAKE_LIMIT_BYTES, 60 * NS_PER_MS);
    data_at_rest(pair.client, pair.server, 20 * NS_PER_MS, WITHIN_NS);
    taking->n_sender = lab_queued_out(pair.client);
    taking->n_receiver = lab_queued_in(pair.server);
    taking->after = sizing_of(client, pair.client, pair.server);
    taking->shown = true;
    party_close(server, pair.server);
    party_close(client, pair.client);
}

/* ---- a reader that reads: both buffers over time */

struct tuning {
    size_t n;
    double ms[SAMPLES_MAX], receive[SAMPLES_MAX], window[SAMPLES_MAX], send[SAMPLES_MAX];
    int64_t n_read;
    struct sizing first, last;
};

struct stuffing {
    int fd;
};

static void *stuff(struct party *party, void *data)
{
    static const char chunk[65536];
    const struct stuffing *stuffing = data;

    while (send(stuffing->fd, chunk, sizeof(chunk), MSG_NOSIGNAL) > 0 || errno == EINTR)
        continue;
    return NULL;
}

static void sample(struct tuning *tuning, const struct lab_pair *pair, int64_t t_ns)
{
    struct tcp_info_whole info = {0};
    socklen_t n_info = sizeof(info), n_int = sizeof(int);
    size_t i = tuning->n;

    if (i == SAMPLES_MAX)
        return;
    getsockopt(pair->client, SOL_SOCKET, SO_SNDBUF, &tuning->last.send, &n_int);
    n_int = sizeof(int);
    getsockopt(pair->server, SOL_SOCKET, SO_RCVBUF, &tuning->last.receive, &n_int);
    getsockopt(pair->server, IPPROTO_TCP, TCP_INFO, &info, &n_info);
    tuning->ms[i] = (double)t_ns / NS_PER_MS;
    tuning->send[i] = tuning->last.send / 1024.0;
    tuning->receive[i] = tuning->last.receive / 1024.0;
    tuning->window[i] = info.rcv_wnd / 1024.0;
    if (!i)
        tuning->first = tuning->last;
    tuning->n++;
}

static void tune(struct lab *lab, struct party *client, struct party *server, struct tuning *tuning)
{
    static const size_t room_bytes = 262144;
    char *room = malloc(room_bytes);
    struct stuffing stuffing;
    struct lab_pair pair;
    int64_t start_ns, next_ns = 0;

    if (!room)
        lab_give_up(lab, _("There was no memory."));
    lab_rules(lab, END_A, "delay 10ms");
    lab_rules(lab, END_B, "delay 10ms");
    lab_connected(client, server, &pair);
    start_ns = lab_now();
    sample(tuning, &pair, 0);
    stuffing.fd = pair.client;
    party_start(client, stuff, &stuffing);
    for (;;) {
        struct pollfd polled = {.fd = pair.server, .events = POLLIN};
        int64_t t_ns = lab_now() - start_ns;
        ssize_t n;

        if (t_ns >= next_ns + SAMPLE_NS) {
            next_ns = t_ns;
            sample(tuning, &pair, t_ns);
        }
        if (t_ns >= TUNE_NS || tuning->n_read >= TUNE_LIMIT_BYTES)
            break;
        if (poll(&polled, 1, 4) <= 0)
            continue;
        n = recv(pair.server, room, room_bytes, MSG_DONTWAIT);
        if (n > 0)
            tuning->n_read += n;
    }
    shutdown(pair.client, SHUT_RDWR);
    party_close(server, pair.server);
    party_join(client);
    party_close(client, pair.client);
    free(room);
}

static void plot(struct lab *lab, const struct tuning *tuning)
{
    struct lab_plot plot = {
        .title = _("buffers while the application reads, 10 ms each way"),
        .x_label = _("time since the connection (ms)"),
        .y_label = _("size (KiB)"),
        .y_scale = SCALE_LOG,
        .steps = true,
        .n_series = 3,
    };

    plot.series[0] = (struct lab_series){_("receive buffer (SO_RCVBUF)"), tuning->ms, tuning->receive, tuning->n};
    plot.series[1] = (struct lab_series){_("send buffer (SO_SNDBUF)"), tuning->ms, tuning->send, tuning->n};
    plot.series[2] = (struct lab_series){_("window offered"), tuning->ms, tuning->window, tuning->n};
    lab_plot(lab, &plot);
}

/* ---- */

enum { NEW_TCP, CONNECTED_LO, CONNECTED_WIRE, NEW_UDP, NEW_UNIX, N_SIZINGS };
enum { TAKE_LO, TAKE_WIRE, TAKE_SET, N_TAKINGS };
enum { ASK_LEAST, ASK_EIGHT_KIB, ASK_MUCH, N_ASKED };

static const int asked[N_ASKED] = {1, EIGHT_KIB, 1 << 30};

struct findings {
    struct sizing sizing[N_SIZINGS], set[N_ASKED];
    struct taking taking[N_TAKINGS];
    struct tuning tuning;
};

static void show_sizes(struct lab *lab, const struct findings *found)
{
    const char *names[N_SIZINGS] = {_("TCP, new"), _("TCP, connected on loopback"), _("TCP, connected over the wire"),
                                    _("UDP, new"), _("UNIX stream, new")};
    const char *heads[] = {_("socket"), "SO_SNDBUF", "SO_RCVBUF"};

    lab_table(lab, 3, heads);
    for (unsigned i = 0; i < N_SIZINGS; i++) {
        if (!found->sizing[i].send)
            continue;
        lab_cell(lab, "%s", names[i]);
        lab_cell(lab, "%s", lab_count_text((uint64_t)found->sizing[i].send));
        lab_cell(lab, "%s", lab_count_text((uint64_t)found->sizing[i].receive));
    }
    for (unsigned i = 0; i < N_ASKED; i++) {
        lab_cell(lab, _("TCP, set to %s"), lab_count_text((uint64_t)asked[i]));
        lab_cell(lab, "%s", lab_count_text((uint64_t)found->set[i].send));
        lab_cell(lab, "%s", lab_count_text((uint64_t)found->set[i].receive));
    }
    lab_table_end(lab);
}

static void show_takings(struct lab *lab, const struct findings *found)
{
    const char *heads[] = {_("over"), _("taken"), _("at sender"), _("at reader"), "SO_SNDBUF", "SO_RCVBUF"};

    lab_say(lab, _("What send() took, with a reader that does not read; where those bytes were; and the sizes then:"));
    lab_table(lab, 6, heads);
    for (unsigned i = 0; i < N_TAKINGS; i++) {
        const struct taking *taking = &found->taking[i];

        if (!taking->shown)
            continue;
        lab_cell(lab, "%s", taking->name);
        lab_cell(lab, "%s", lab_count_text((uint64_t)taking->n_taken));
        lab_cell(lab, "%s", lab_count_text((uint64_t)taking->n_sender));
        lab_cell(lab, "%s", lab_count_text((uint64_t)taking->n_receiver));
        lab_cell(lab, "%s", lab_count_text((uint64_t)taking->after.send));
        lab_cell(lab, "%s", lab_count_text((uint64_t)taking->after.receive));
    }
    lab_table_end(lab);
    lab_footnote(lab, _("SO_SNDBUF and SO_RCVBUF bound memory, the kernel's overhead included, so they are not the "
                        "number of bytes that fit in."));
}

static void give_figures(struct lab *lab, const struct findings *found)
{
    const struct sizing *connected = &found->sizing[lab_wire(lab) ? CONNECTED_WIRE : CONNECTED_LO];

    lab_figure(lab, "C33", "new_send_bytes", found->sizing[NEW_TCP].send);
    lab_figure(lab, "C33", "new_receive_bytes", found->sizing[NEW_TCP].receive);
    lab_figure(lab, "C33", "connected_send_bytes", connected->send);
    lab_figure(lab, "C33", "connected_receive_bytes", connected->receive);
    lab_figure(lab, "C33", "set_8192_send_bytes", found->set[ASK_EIGHT_KIB].send);
    lab_figure(lab, "C33", "set_8192_receive_bytes", found->set[ASK_EIGHT_KIB].receive);
    lab_figure(lab, "C33", "least_send_bytes", found->set[ASK_LEAST].send);
    lab_figure(lab, "C33", "least_receive_bytes", found->set[ASK_LEAST].receive);
    lab_figure(lab, "C33", "taken_loopback_bytes", (double)found->taking[TAKE_LO].n_taken);
    lab_figure(lab, "C33", "taken_set_8192_bytes", (double)found->taking[TAKE_SET].n_taken);
    if (!lab_wire(lab))
        return;
    lab_figure(lab, "C33", "taken_wire_bytes", (double)found->taking[TAKE_WIRE].n_taken);
    lab_figure(lab, "C33", "tuned_send_bytes", found->tuning.last.send);
    lab_figure(lab, "C33", "tuned_receive_bytes", found->tuning.last.receive);
}

static void give_verdict(struct lab *lab, const struct findings *found)
{
    const struct sizing *new = &found->sizing[NEW_TCP], *set = &found->set[ASK_EIGHT_KIB];
    const struct taking *taking = &found->taking[lab_wire(lab) ? TAKE_WIRE : TAKE_LO];
    unsigned n_eight = 0, n_sizes = 0;

    for (unsigned i = 0; i < N_SIZINGS; i++) {
        if (!found->sizing[i].send)
            continue;
        n_sizes += 2;
        n_eight += (found->sizing[i].send == EIGHT_KIB) + (found->sizing[i].receive == EIGHT_KIB);
    }
    lab_figure(lab, "C33", "sizes", n_sizes);
    lab_figure(lab, "C33", "sizes_of_8_kib", n_eight);
    if (n_sizes && n_eight == n_sizes)
        lab_verdict(lab, "C33", LAB_TRUE, _("All %u sizes that were read are %d bytes."), n_sizes, EIGHT_KIB);
    else if (lab_wire(lab))
        lab_verdict(
            lab, "C33", n_eight ? LAB_DEPENDS : LAB_FALSE,
            _("%u of %u sizes were 8 KiB. A new TCP socket has %s to send and %s to receive, the same connected "
              "over the wire %s and %s, and while data flowed %s and %s; set to 8,192 it reads %s. A reader that "
              "does not read was sent %s bytes."),
            n_eight, n_sizes, lab_count_text((uint64_t) new->send), lab_count_text((uint64_t) new->receive),
            lab_count_text((uint64_t)found->sizing[CONNECTED_WIRE].send),
            lab_count_text((uint64_t)found->sizing[CONNECTED_WIRE].receive),
            lab_count_text((uint64_t)found->tuning.last.send), lab_count_text((uint64_t)found->tuning.last.receive),
            lab_count_text((uint64_t)set->send), lab_count_text((uint64_t)taking->n_taken));
    else
        lab_verdict(
            lab, "C33", n_eight ? LAB_DEPENDS : LAB_FALSE,
            _("%u of %u sizes were 8 KiB. A new TCP socket has %s to send and %s to receive, the same connected "
              "on loopback %s and %s; set to 8,192 it reads %s. A reader that does not read was sent %s bytes."),
            n_eight, n_sizes, lab_count_text((uint64_t) new->send), lab_count_text((uint64_t) new->receive),
            lab_count_text((uint64_t)found->sizing[CONNECTED_LO].send),
            lab_count_text((uint64_t)found->sizing[CONNECTED_LO].receive), lab_count_text((uint64_t)set->send),
            lab_count_text((uint64_t)taking->n_taken));
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct party *beside = lab_party(lab, "client beside", END_B);
    struct findings *found = calloc(1, sizeof(*found));

    if (!found)
        lab_give_up(lab, _("There was no memory."));
    found->sizing[NEW_TCP] = sizing_of_new(client, AF_INET, SOCK_STREAM);
    found->sizing[NEW_UDP] = sizing_of_new(client, AF_INET, SOCK_DGRAM);
    found->sizing[NEW_UNIX] = sizing_of_new(client, AF_UNIX, SOCK_STREAM);
    for (unsigned i = 0; i < N_ASKED; i++)
        found->set[i] = sizing_when_set(client, asked[i]);
    found->taking[TAKE_LO].name = _("loopback");
    take(lab, beside, server, 0, &found->taking[TAKE_LO]);
    found->sizing[CONNECTED_LO] = found->taking[TAKE_LO].before;
    if (lab_wire(lab)) {
        found->taking[TAKE_WIRE].name = _("the wire");
        take(lab, client, server, 0, &found->taking[TAKE_WIRE]);
        found->sizing[CONNECTED_WIRE] = found->taking[TAKE_WIRE].before;
    }
    found->taking[TAKE_SET].name = _("set to 8,192");
    take(lab, client, server, EIGHT_KIB, &found->taking[TAKE_SET]);
    if (lab_wire(lab))
        tune(lab, client, server, &found->tuning);

    show_sizes(lab, found);
    show_takings(lab, found);
    if (lab_wire(lab))
        plot(lab, &found->tuning);
    lab_answer(lab, "%d", found->set[ASK_EIGHT_KIB].send);
    give_figures(lab, found);
    give_verdict(lab, found);
    free(found);
}

static const struct lab_claim claims[] = {
    {"C33", N_("Every socket has two buffers of 8 KiB, one to send and one to receive.")},
    {0},
};

static const char *const settings[] = {"net.ipv4.tcp_wmem",
                                       "net.ipv4.tcp_rmem",
                                       "net.core.wmem_max",
                                       "net.core.rmem_max",
                                       "net.ipv4.tcp_moderate_rcvbuf",
                                       NULL};

const struct experiment experiment_buffer_size = {
    .name = "buffer-size",
    .chapter = CHAPTER_DATA,
    .title = N_("how large the buffers are, and what they hold"),
    .claims = claims,
    .systems = "S14",
    .milliseconds = 1500,
    .done =
        N_("The sizes of sockets' buffers are read when the sockets are new, when they are connected and when a size "
           "was set. Then a client sends to a server that does not read until nothing more is taken. At last the "
           "server reads as fast as it can for 0.6 s over a wire that takes 10 ms each way."),
    .question = N_("setsockopt() sets SO_SNDBUF of a TCP socket to 8192. What does getsockopt() say then?"),
    .by_hand = "timeout 9 sonde serve hold tcp://127.0.0.1:7007 &\n"
               "timeout 5 nc 127.0.0.1 7007 </dev/zero & sleep 2; ss -tmn '( sport = :7007 or dport = :7007 )'",
    .read = "tcp(7), tcp_wmem and tcp_rmem; socket(7), SO_SNDBUF; kernel ip-sysctl",
    .settings = settings,
    .run = run,
};
