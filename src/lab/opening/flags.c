/* SPDX-License-Identifier: MIT */
/* The control bits of the TCP header, each seen in a real segment. */
#include "lab/opening/clients.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct lab_claim claims[] = {
    {"C58", N_("The TCP header has six flag bits.")},
    {0},
};

static const char *const choices[] = {
    N_("a) five"),
    N_("b) six"),
    N_("c) more than six"),
    NULL,
};

struct flag {
    unsigned bit;
    const char *name;
    const char *since;
};

static const struct flag flags[] = {
    {SEGMENT_FIN, "FIN", "RFC 793 (1981)"},  {SEGMENT_SYN, "SYN", "RFC 793 (1981)"},
    {SEGMENT_RST, "RST", "RFC 793 (1981)"},  {SEGMENT_PSH, "PSH", "RFC 793 (1981)"},
    {SEGMENT_ACK, "ACK", "RFC 793 (1981)"},  {SEGMENT_URG, "URG", "RFC 793 (1981)"},
    {SEGMENT_ECE, "ECE", "RFC 3168 (2001)"}, {SEGMENT_CWR, "CWR", "RFC 3168 (2001)"},
    {SEGMENT_AE, "AE", "RFC 9768 (2026)"},
};
#define N_FLAGS (sizeof flags / sizeof flags[0])
#define N_FLAGS_OF_1981 6
#define N_FLAGS_OF_RFC_9293 8 /* the first eight of them */

/* One connection in which the client says something, something urgent, and ends it: by FIN, or by a reset. */
static void converse(struct lab *lab, struct party *client, struct party *server, bool reset)
{
    struct lab_pair pair;
    char data[16];

    lab_connected(client, server, &pair);
    party_send(client, pair.client, "hello", 5, 0);
    party_recv(server, pair.server, data, sizeof data, 0);
    if (reset) {
        opening_linger(pair.client);
    } else {
        party_send(client, pair.client, "!", 1, MSG_OOB);
    }
    party_close(client, pair.client);
    lab_settle(lab);
    party_close(server, pair.server);
    lab_settle(lab);
}

/* How many segments had the bit, and the first of them as the ladder writes it. */
static unsigned count(const struct lab_segment *segments, size_t n, unsigned bit, char ret_first[12])
{
    unsigned n_seen = 0;

    snprintf(ret_first, 12, "-");
    for (size_t i = 0; i < n; i++) {
        if (segments[i].segment.flags & bit) {
            if (!n_seen++) {
                segment_flags_text(segments[i].segment.flags, ret_first);
            }
        }
    }
    return n_seen;
}

static void run(struct lab *lab)
{
    static const char *const heads[] = {N_("bit"), N_("flag"), N_("segments"), N_("first seen in"), N_("defined by")};
    struct party *client = lab_party(lab, "client", END_A);
    struct party *server = lab_party(lab, "server", END_B);
    unsigned n_seen = 0, n_old = 0, n_of_eight = 0;
    char seen[128] = "";
    size_t n;

    opening_meet(lab, client, server);
    bool ecn = lab_set(lab, END_A, "net.ipv4.tcp_ecn", "1") && lab_set(lab, END_B, "net.ipv4.tcp_ecn", "1");
    converse(lab, client, server, false);
    converse(lab, client, server, true);
    /* newer kernels ask for accurate ECN with 3; others refuse the value */
    bool accurate = lab_setting(lab, END_A, "net.ipv4.tcp_ecn_option") >= 0 &&
                    lab_set(lab, END_A, "net.ipv4.tcp_ecn", "3") && lab_set(lab, END_B, "net.ipv4.tcp_ecn", "3");
    if (accurate) {
        converse(lab, client, server, false);
    }
    const struct lab_segment *segments = lab_segments(lab, 0, &n);

    opening_table(lab, 5, heads);
    for (unsigned i = 0; i < N_FLAGS; i++) {
        char first[12];
        unsigned n_with = count(segments, n, flags[i].bit, first);

        lab_cell(lab, "0x%03x", flags[i].bit);
        lab_cell(lab, "%s", flags[i].name);
        lab_cell(lab, "%u", n_with);
        lab_cell(lab, "%s", first);
        lab_cell(lab, "%s", flags[i].since);
        if (n_with) {
            size_t used = strlen(seen);

            n_seen++;
            n_old += i < N_FLAGS_OF_1981;
            n_of_eight += i < N_FLAGS_OF_RFC_9293;
            snprintf(seen + used, sizeof seen - used, "%s%s", used ? " " : "", flags[i].name);
        }
    }
    lab_table_end(lab);
    if (!ecn) {
        lab_footnote(lab, _("(a) tcp_ecn could not be set here: nobody asked for ECN, and its bits may stay unseen."));
    } else if (!accurate) {
        lab_say(lab, _("AE belongs to accurate ECN, which this kernel does not offer."));
    }
    lab_answer(lab, "%s", n_seen > N_FLAGS_OF_1981 ? "c" : n_seen == N_FLAGS_OF_1981 ? "b" : "a");
    if (n_seen > N_FLAGS_OF_1981) {
        lab_verdict(lab, "C58", LAB_FALSE,
                    _("%u different ones were seen: %s. Six is RFC 793's number, and %u of those were among them; RFC "
                      "9293 has eight, with ECE and CWR, of which %u were seen.%s"),
                    n_seen, seen, n_old, n_of_eight,
                    n_seen > n_of_eight ? _(" AE, for accurate ECN, is a ninth, which was a reserved bit.") : "");
    } else {
        lab_verdict(lab, "C58", LAB_NOT_SHOWN,
                    _("%u different ones were seen (%s); that there are no more does not follow. RFC 9293 has eight."),
                    n_seen, seen);
    }
    lab_figure(lab, "C58", "flags_seen", n_seen);
    lab_figure(lab, "C58", "of_rfc_793_seen", n_old);
    lab_figure(lab, "C58", "of_rfc_9293_seen", n_of_eight);
    lab_figure_text(lab, "C58", "seen", seen);
}

static const char *const settings[] = {"net.ipv4.tcp_ecn", NULL};

const struct experiment experiment_flags = {
    .name = "flags",
    .chapter = CHAPTER_OPENING,
    .title = N_("the control bits of a segment: how many there are"),
    .claims = claims,
    .needs = LAB_WIRE,
    .milliseconds = 50,
    .done =
        N_("Connections are opened, used and closed, one by FIN, one by a reset; a byte is sent as urgent, and both "
           "ends ask for explicit congestion notification (tcp_ecn 1, then 3 where the kernel knows accurate ECN). "
           "The flag bits of all segments are collected."),
    .question = N_("How many different flag bits of the TCP header will be seen?"),
    .choices = choices,
    .by_hand = "E=net.ipv4.tcp_ecn=1   # both ends ask for ECN: [SEW], [S.E]\n"
               "sonde wire --trace --a-sysctl $E --b-sysctl $E -- \\\n"
               "  nc.openbsd -l 7007 --- sh -c 'echo hello | nc -N 10.0.0.2 7007'",
    .read = "RFC 9293, 3.1 (control bits); RFC 3168, 6.1; RFC 9768; tcp(7), tcp_ecn",
    .settings = settings,
    .run = run,
};
