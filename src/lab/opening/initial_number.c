/* SPDX-License-Identifier: MIT */
/*
 * Initial sequence numbers. The same four-tuple is opened several times, each closed by a reset so that it is free
 * again at once. What the numbers grow by, divided into the time between, is the step of a clock if there is one: a
 * random number would not give the same step twice. Connections from other ports tell whether there is more than the
 * clock.
 */
#include "lab/opening/clients.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>

#define N_OPENED 4              /* of each kind */
#define GAP_NS (15 * NS_PER_MS) /* before the second; twice before the third, ... */
#define SPREAD_MAX 1.25         /* steps this near to each other are one clock's: chance gives that once in 10^8 runs */

static const struct lab_claim claims[] = {
    {"C42", N_("A connection begins at a random sequence number.")},
    {0},
};

static const char *const choices[] = {
    N_("a) by anything: both are random"),
    N_("b) by the time between them, in steps of a clock"),
    N_("c) by 1"),
    NULL,
};

struct opened_once {
    int64_t at_ns; /* its SYN left */
    uint32_t number, server_number;
};

struct opener {
    struct lab *lab;
    struct party *client, *server;
    int listener;
    uint16_t server_port;
};

/* From this port, 0: of the kernel's choice. Returns the port. */
static uint16_t open_once(const struct opener *opener, uint16_t port, struct opened_once *ret_opened)
{
    int fd = opening_socket(opener->client, opener->lab);
    size_t n;

    int result = party_bind(opener->client, fd, lab_address(opener->lab, END_A), port);
    if (result < 0) {
        lab_give_up(opener->lab, _("Port %u could not be bound again: %s."), port, sonde_strerror(result));
    }
    port = lab_local_port(fd);
    result = party_connect(opener->client, fd, lab_address(opener->lab, END_B), opener->server_port);
    if (result < 0) {
        lab_give_up(opener->lab, _("The client could not connect: %s."), sonde_strerror(result));
    }
    int accepted = party_accept(opener->server, opener->listener);
    opening_linger(fd);
    party_close(opener->client, fd);
    lab_settle(opener->lab);
    if (accepted >= 0) {
        party_close(opener->server, accepted);
    }
    const struct lab_segment *segments = lab_segments(opener->lab, port, &n);
    /* the last ones: the port may have been used before */
    for (size_t i = 0; i < n; i++) {
        if (segments[i].segment.flags & SEGMENT_SYN) {
            if (segments[i].segment.from == END_A) {
                ret_opened->at_ns = segments[i].left_ns;
                ret_opened->number = segments[i].segment.seq_raw;
            } else {
                ret_opened->server_number = segments[i].segment.seq_raw;
            }
        }
    }
    if (!ret_opened->at_ns) {
        lab_give_up(opener->lab, _("The SYN was not seen on the wire."));
    }
    return port;
}

struct steps {
    double low_ns, high_ns, mean_ns; /* of time, for each 1 that the number grew by */
};

static double step_ns(int64_t between_ns, uint32_t before, uint32_t after)
{
    uint32_t grew = after - before;

    return grew ? (double)between_ns / grew : 0;
}

static struct steps find_steps(const struct opened_once opened[N_OPENED], bool servers)
{
    struct steps steps = {.low_ns = 1e18};

    for (unsigned i = 1; i < N_OPENED; i++) {
        double step = servers ? step_ns(opened[i].at_ns - opened[i - 1].at_ns, opened[i - 1].server_number,
                                        opened[i].server_number)
                              : step_ns(opened[i].at_ns - opened[i - 1].at_ns, opened[i - 1].number, opened[i].number);
        steps.low_ns = step < steps.low_ns ? step : steps.low_ns;
        steps.high_ns = step > steps.high_ns ? step : steps.high_ns;
        steps.mean_ns += step / (N_OPENED - 1);
    }
    return steps;
}

static bool is_clock(const struct steps *steps)
{
    return steps->low_ns > 0 && steps->high_ns < steps->low_ns * SPREAD_MAX;
}

static void rows(struct lab *lab, const struct opened_once opened[N_OPENED], const uint16_t *ports)
{
    for (unsigned i = 0; i < N_OPENED; i++) {
        lab_cell(lab, "%u", ports[i]);
        lab_cell(lab, "%u", opened[i].number);
        if (i == 0) {
            lab_cell(lab, "-");
            lab_cell(lab, "-");
            lab_cell(lab, "-");
            continue;
        }
        int64_t between_ns = opened[i].at_ns - opened[i - 1].at_ns;
        lab_cell(lab, "%.3f", (double)between_ns / NS_PER_MS);
        lab_cell(lab, "%u", opened[i].number - opened[i - 1].number);
        lab_cell(lab, "%.3f", step_ns(between_ns, opened[i - 1].number, opened[i].number));
    }
}

static void judge(struct lab *lab, const struct opened_once same[N_OPENED], const struct opened_once other[N_OPENED],
                  const struct opened_once *first_other)
{
    struct steps steps = find_steps(same, false), servers = find_steps(same, true), others = find_steps(other, false);
    bool clock = is_clock(&steps);
    int32_t off = 0;

    if (clock) {
        /* how far the first one from another port lies off the line that the clock alone would give */
        double steps_between = (double)(first_other->at_ns - same[N_OPENED - 1].at_ns) / steps.mean_ns;
        off = (int32_t)(first_other->number - same[N_OPENED - 1].number - (uint32_t)(int64_t)steps_between);
    }
    lab_answer(lab, "%s", clock ? "b" : "a");
    if (clock && !is_clock(&others)) {
        lab_verdict(
            lab, "C42", LAB_FALSE,
            _("Unpredictable, but not random: on the same four-tuple the number grew by 1 every %.1f to %.1f ns "
              "in %d of %d pairs, which is a clock. From another port it lay %s away from that clock's line: a keyed "
              "hash of the four-tuple is added (RFC 6528), which an outsider cannot know.%s"),
            steps.low_ns, steps.high_ns, N_OPENED - 1, N_OPENED - 1,
            lab_count_text((uint64_t)(off < 0 ? -(int64_t)off : off)),
            is_clock(&servers) ? _(" The server's own numbers went by the same clock.") : "");
    } else if (clock) {
        lab_verdict(lab, "C42", LAB_FALSE,
                    _("Neither random nor unpredictable: the number grew by 1 every %.1f to %.1f ns, from other ports "
                      "too (%.1f to %.1f ns)."),
                    steps.low_ns, steps.high_ns, others.low_ns, others.high_ns);
    } else if (lab_starved(lab, GAP_NS / 5)) {
        lab_verdict(lab, "C42", LAB_NOT_SHOWN,
                    _("This machine was too busy: when the SYNs left is not known well enough."));
    } else {
        lab_verdict(
            lab, "C42", LAB_TRUE,
            _("As far as was seen: on the same four-tuple the numbers grew by 1 every %.3f to %.3f ns, which no "
              "single clock does."),
            steps.low_ns, steps.high_ns);
    }
    lab_figure(lab, "C42", "same_tuple_step_low_ns", steps.low_ns);
    lab_figure(lab, "C42", "same_tuple_step_high_ns", steps.high_ns);
    lab_figure(lab, "C42", "server_step_low_ns", servers.low_ns);
    lab_figure(lab, "C42", "server_step_high_ns", servers.high_ns);
    lab_figure(lab, "C42", "other_tuple_step_low_ns", others.low_ns);
    lab_figure(lab, "C42", "other_tuple_step_high_ns", others.high_ns);
    lab_figure(lab, "C42", "other_tuple_off", off);
}

static void run(struct lab *lab)
{
    static const char *const heads[] = {N_("client port"), N_("first number"), N_("ms later"), N_("grew by"),
                                        N_("ns for each 1")};
    struct opener opener = {.lab = lab};
    struct opened_once same[N_OPENED] = {0}, other[N_OPENED] = {0};
    uint16_t same_ports[N_OPENED] = {0}, other_ports[N_OPENED] = {0};

    opener.client = lab_party(lab, "client", END_A);
    opener.server = lab_party(lab, "server", END_B);
    opener.listener = lab_listening(opener.server, 5, &opener.server_port);
    opening_meet(lab, opener.client, opener.server);
    for (unsigned i = 0; i < N_OPENED; i++) {
        lab_sleep(i * GAP_NS);
        same_ports[i] = open_once(&opener, i ? same_ports[0] : 0, &same[i]);
    }
    for (unsigned i = 0; i < N_OPENED; i++) {
        lab_sleep(i * GAP_NS);
        other_ports[i] = open_once(&opener, 0, &other[i]);
    }
    opening_table(lab, 5, heads);
    rows(lab, same, same_ports);
    rows(lab, other, other_ports);
    lab_table_end(lab);
    lab_say(lab, _("Growth is counted modulo 4,294,967,296, as sequence numbers are."));
    judge(lab, same, other, &other[0]);
}

const struct experiment experiment_initial_number = {
    .name = "initial-number",
    .chapter = CHAPTER_OPENING,
    .title = N_("where sequence numbers begin: chance, or a clock and a hash"),
    .claims = claims,
    .systems = "S16",
    .needs = LAB_WIRE,
    .milliseconds = 250,
    .done = N_("A client connects 4 times from one port to one server port, with 15, 30 and 45 ms between, each "
               "connection reset so that the same four-tuple is free again; then 4 times from other ports. The first "
               "sequence numbers are compared with the time that passed."),
    .question =
        N_("The same two addresses and ports are connected twice, 30 ms apart. By what do the two first sequence "
           "numbers differ?"),
    .choices = choices,
    .by_hand = "sonde serve echo :7007 &\n"
               "sonde connect --trace-json 1 -p 40404 :7007 </dev/null\n"
               "grep -om1 '\"seq_raw\":[0-9]*' 1   # where the client began",
    .read = "RFC 9293, 3.4.1; RFC 6528",
    .settings = NULL,
    .run = run,
};
