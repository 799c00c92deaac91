/* SPDX-License-Identifier: MIT */
/*
 * Which family, type and protocol this kernel makes. Every combination is asked for three times: by this user, by one
 * without any capability, and by one with CAP_NET_RAW (in the wire's namespace, whose owner we are).
 */
#include "lab/sockets/families_internal.h"

#include "lab/call.h"
#include "lab/sockets/child.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

const struct named families_families[N_FAMILIES] = {
    {"UNIX", AF_UNIX},     {"INET", AF_INET}, {"INET6", AF_INET6}, {"NETLINK", AF_NETLINK},
    {"PACKET", AF_PACKET}, {"VSOCK", 40},     {"XDP", 44},         {"BLUETOOTH", AF_BLUETOOTH},
    {"X25", AF_X25},       {"CAN", 29},       {"TIPC", 30},        {"ALG", 38},
};

const struct named families_types[N_TYPES] = {
    {"STREAM", SOCK_STREAM}, {"DGRAM", SOCK_DGRAM}, {"SEQPACKET", SOCK_SEQPACKET},
    {"RAW", SOCK_RAW},       {"RDM", SOCK_RDM},     {"PACKET", SOCK_PACKET},
};

const struct named families_protocols[N_PROTOCOLS] = {
    {"0", 0},
    {"TCP", IPPROTO_TCP},
    {"UDP", IPPROTO_UDP},
    {"SCTP", IPPROTO_SCTP},
    {"ICMP", IPPROTO_ICMP},
    {"IGMP", IPPROTO_IGMP},
    {"UDPLITE", IPPROTO_UDPLITE},
    {"MPTCP", IPPROTO_MPTCP},
    {"RAW", IPPROTO_RAW},
};

static int option_of(int fd, int name)
{
    int value = -1;
    socklen_t n_bytes = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, name, &value, &n_bytes) < 0 ? -1 : value;
}

void made_describe(int returned, int error, struct made *ret_made)
{
    *ret_made = (struct made){.returned = returned, .error = error, .family = -1, .type = -1, .protocol = -1};
    if (returned < 0)
        return;
    ret_made->error = 0;
    ret_made->family = option_of(returned, SO_DOMAIN);
    ret_made->type = option_of(returned, SO_TYPE);
    ret_made->protocol = option_of(returned, SO_PROTOCOL);
    close(returned);
}

/* ---- asking */

typedef void make_function(void *user, int family, int type, int protocol, struct made *ret_made);

static void make_here(void *user, int family, int type, int protocol, struct made *ret_made)
{
    (void)user;
    errno = 0;
    int returned = socket(family, type | SOCK_CLOEXEC, protocol);

    made_describe(returned, errno, ret_made);
}

static void make_on_wire(void *user, int family, int type, int protocol, struct made *ret_made)
{
    int returned = wire_socket(user, END_A, family, type, protocol);

    made_describe(returned, returned < 0 ? -returned : 0, ret_made);
}

static void make_all(make_function *make, void *user, struct made_all *ret_all)
{
    static const int inet[2] = {AF_INET, AF_INET6};

    for (int f = 0; f < N_FAMILIES; f++)
        for (int t = 0; t < N_TYPES; t++)
            make(user, families_families[f].number, families_types[t].number, 0, &ret_all->family[f][t]);
    for (int v = 0; v < 2; v++)
        for (int p = 0; p < N_PROTOCOLS; p++)
            for (int t = 0; t < N_INET_TYPES; t++)
                make(user, inet[v], families_types[t].number, families_protocols[p].number,
                     &ret_all->protocol[v][p][t]);
}

static void make_all_ordinary(void *shared)
{
    make_all(make_here, NULL, shared);
}

static size_t index_of(const struct named *names, size_t n, int number)
{
    size_t i = 0;

    while (i + 1 < n && names[i].number != number)
        i++;
    return i;
}

static const struct made *made_of(const struct made_all *all, int family, int type)
{
    return &all->family[index_of(families_families, N_FAMILIES, family)][index_of(families_types, N_TYPES, type)];
}

static const struct made *made_with(const struct made_all *all, int type, int protocol)
{
    return &all->protocol[0][index_of(families_protocols, N_PROTOCOLS, protocol)]
                         [index_of(families_types, N_TYPES, type)];
}

/* May this user make what an ordinary one may not? */
static bool is_privileged(const struct families *families)
{
    return !made_with(&families->mine, SOCK_RAW, IPPROTO_ICMP)->error &&
           made_with(families->ordinary, SOCK_RAW, IPPROTO_ICMP)->error;
}

static void ask(struct families *families)
{
    struct made_all *ordinary = shared_memory(sizeof(*ordinary));
    struct wire *wire = lab_wire(families->lab);

    make_all(make_here, NULL, &families->mine);
    families->ordinary = &families->mine;
    if (ordinary && child_run(make_all_ordinary, ordinary, true) == 0)
        families->ordinary = ordinary;
    families->has_privileged = wire || is_privileged(families);
    if (wire)
        make_all(make_on_wire, wire, &families->privileged);
    else
        families->privileged = families->mine;
}

/* ---- C12 */

/* The protocols other than the default that make this type too: "MPTCP, SCTP". */
static unsigned others_for(const struct families *families, int type, char *ret_names, size_t size_bytes)
{
    const struct made *standard = made_with(families->ordinary, type, 0);
    unsigned n = 0;
    size_t used = 0;

    ret_names[0] = '\0';
    for (size_t p = 1; p < N_PROTOCOLS && used < size_bytes; p++) {
        int number = families_protocols[p].number;
        const struct made *made = made_with(families->ordinary, type, number);
        if (made->error && families->has_privileged)
            made = made_with(&families->privileged, type, number);
        if (made->error || number == standard->protocol)
            continue;
        used +=
            (size_t)snprintf(ret_names + used, size_bytes - used, "%s%s", n ? ", " : "", families_protocols[p].name);
        n++;
    }
    return n;
}

static const char *protocol_name(int number)
{
    for (size_t p = 1; p < N_PROTOCOLS; p++)
        if (families_protocols[p].number == number)
            return families_protocols[p].name;
    return "?";
}

static void judge_default(struct families *families)
{
    struct lab *lab = families->lab;
    const struct made *stream = made_with(families->ordinary, SOCK_STREAM, 0);
    const struct made *datagram = made_with(families->ordinary, SOCK_DGRAM, 0);
    const struct made *raw = made_with(families->has_privileged ? &families->privileged : &families->mine, SOCK_RAW, 0);
    char streams[96], datagrams[96];
    unsigned n = others_for(families, SOCK_STREAM, streams, sizeof(streams));

    n += others_for(families, SOCK_DGRAM, datagrams, sizeof(datagrams));
    lab_figure(lab, "C12", "stream_0_protocol", stream->protocol);
    lab_figure(lab, "C12", "datagram_0_protocol", datagram->protocol);
    lab_figure(lab, "C12", "n_other_protocols", n);
    lab_figure_text(lab, "C12", "other_stream", streams);
    lab_figure_text(lab, "C12", "other_datagram", datagrams);
    lab_figure_text(lab, "C12", "raw_0", raw->error ? sonde_error_name(-raw->error) : "yes");
    if (stream->error || datagram->error) {
        lab_verdict(lab, "C12", LAB_NOT_SHOWN,
                    _("This kernel made no AF_INET socket of these types with protocol 0: %s."),
                    sonde_error_name(-(stream->error ? stream->error : datagram->error)));
        return;
    }
    bool usual = stream->protocol == IPPROTO_TCP && datagram->protocol == IPPROTO_UDP;
    if (usual && n == 0 && !raw->error)
        lab_verdict(lab, "C12", LAB_TRUE,
                    _("Protocol 0 became TCP (6) for SOCK_STREAM and UDP (17) for SOCK_DGRAM, as SO_PROTOCOL says, "
                      "and nothing else fitted these types."));
    else if (usual)
        lab_verdict(
            lab, "C12", LAB_DEPENDS,
            _("0 means the default where there is one: SO_PROTOCOL says %d (TCP) for SOCK_STREAM and %d (UDP) for "
              "SOCK_DGRAM. The type does not imply it: SOCK_STREAM was made with %s too, SOCK_DGRAM with %s. "
              "SOCK_RAW with 0: %s."),
            stream->protocol, datagram->protocol, streams[0] ? streams : _("nothing else"),
            datagrams[0] ? datagrams : _("nothing else"), raw->error ? sonde_error_name(-raw->error) : _("made"));
    else
        lab_verdict(
            lab, "C12", LAB_FALSE,
            _("Protocol 0 became %d (%s) for SOCK_STREAM and %d (%s) for SOCK_DGRAM, not 6 (TCP) and 17 (UDP)."),
            stream->protocol, protocol_name(stream->protocol), datagram->protocol, protocol_name(datagram->protocol));
}

/* ---- C13 */

/* Three records sent, then three reads with room for all of them: how many gave just one record? -1: not to be had. */
static int records_kept(void)
{
    static const char *const records[] = {"a", "bb", "ccc"};
    int pair[2];
    int kept = 0;
    char room[64];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    for (int i = 0; i < 3; i++)
        if (send(pair[0], records[i], strlen(records[i]), MSG_NOSIGNAL) < 0)
            kept = -1;
    for (int i = 0; i < 3 && kept >= 0; i++)
        kept += recv(pair[1], room, sizeof(room), MSG_DONTWAIT) == (ssize_t)strlen(records[i]);
    close(pair[0]);
    close(pair[1]);
    return kept;
}

static void judge_seqpacket(struct families *families)
{
    struct lab *lab = families->lab;
    const struct made *unix_one = made_of(families->ordinary, AF_UNIX, SOCK_SEQPACKET);
    const struct made *inet = made_of(families->ordinary, AF_INET, SOCK_SEQPACKET);
    const struct made *sctp = made_with(families->ordinary, SOCK_SEQPACKET, IPPROTO_SCTP);
    const char *inet_text = inet->error ? sonde_error_name(-inet->error) : _("made");
    const char *sctp_text = sctp->error ? sonde_error_name(-sctp->error) : _("made");
    int kept = unix_one->error ? -1 : records_kept();

    lab_figure_text(lab, "C13", "unix", unix_one->error ? sonde_error_name(-unix_one->error) : "yes");
    lab_figure_text(lab, "C13", "inet_0", inet->error ? sonde_error_name(-inet->error) : "yes");
    lab_figure_text(lab, "C13", "inet_sctp", sctp->error ? sonde_error_name(-sctp->error) : "yes");
    lab_figure(lab, "C13", "unix_records_kept", kept);
    if (kept > 0)
        lab_verdict(lab, "C13", LAB_FALSE,
                    _("AF_UNIX makes SOCK_SEQPACKET without SCTP: %d of 3 records sent through a pair of them came out "
                      "one for one. AF_INET makes it with SCTP only, and only where that is built; here: %s with "
                      "protocol 0, %s with IPPROTO_SCTP."),
                    kept, inet_text, sctp_text);
    else if (!sctp->error)
        lab_verdict(lab, "C13", LAB_TRUE, _("Here the only SOCK_SEQPACKET is that of AF_INET with SCTP (AF_UNIX: %s)."),
                    sonde_error_name(-unix_one->error));
    else
        lab_verdict(lab, "C13", LAB_NOT_SHOWN,
                    _("Neither AF_UNIX (%s) nor AF_INET (%s) has a working SOCK_SEQPACKET here."),
                    unix_one->error ? sonde_error_name(-unix_one->error) : _("made, but kept no records"), sctp_text);
}

/* ---- C14 */

static void count_failures(const struct made *made, size_t n, unsigned *n_calls, unsigned *n_failed,
                           unsigned *n_as_stated)
{
    for (size_t i = 0; i < n; i++) {
        *n_calls += 1;
        *n_failed += made[i].returned < 0;
        *n_as_stated += made[i].returned == -1 && made[i].error > 0;
    }
}

static void judge_failure(struct families *families)
{
    struct lab *lab = families->lab;
    unsigned n_calls = 0, n_failed = 0, n_as_stated = 0;
    char row[128];

    count_failures(families->mine.family[0], N_FAMILIES * N_TYPES, &n_calls, &n_failed, &n_as_stated);
    count_failures(families->mine.protocol[0][0], 2 * N_PROTOCOLS * N_INET_TYPES, &n_calls, &n_failed, &n_as_stated);
    lab_figure(lab, "C14", "n_calls", n_calls);
    lab_figure(lab, "C14", "n_failed", n_failed);
    lab_figure(lab, "C14", "n_minus_one_with_errno", n_as_stated);
    for (size_t f = 0; f < N_FAMILIES; f++) {
        families_row_text(families->mine.family[f], N_TYPES, row, sizeof(row));
        lab_figure_text(lab, "C14", families_families[f].name, row);
    }
    for (size_t p = 0; p < N_PROTOCOLS; p++) {
        families_row_text(families->mine.protocol[0][p], N_INET_TYPES, row, sizeof(row));
        lab_figure_text(lab, "C12", families_protocols[p].name, row);
    }
    if (n_failed == 0)
        lab_verdict(lab, "C14", LAB_NOT_SHOWN, _("None of %u calls failed."), n_calls);
    else if (n_as_stated == n_failed)
        lab_verdict(
            lab, "C14", LAB_FALSE,
            _("That is Winsock. Here %u of this user's %u calls failed, and each of them returned -1 and left the "
              "reason in errno."),
            n_failed, n_calls);
    else
        lab_verdict(lab, "C14", LAB_DEPENDS,
                    _("%u of %u failed calls returned -1 with a reason in errno, the others not."), n_as_stated,
                    n_failed);
}

/* ---- C49 */

static void judge_names(struct families *families)
{
    static const int pairs[][2] = {
        {PF_UNSPEC, AF_UNSPEC},       {PF_UNIX, AF_UNIX},     {PF_INET, AF_INET}, {PF_INET6, AF_INET6},
        {PF_NETLINK, AF_NETLINK},     {PF_PACKET, AF_PACKET}, {PF_X25, AF_X25},   {PF_BLUETOOTH, AF_BLUETOOTH},
        {PF_APPLETALK, AF_APPLETALK}, {PF_MAX, AF_MAX},
    };
    struct lab *lab = families->lab;
    const unsigned n = sizeof(pairs) / sizeof(pairs[0]);
    unsigned n_same = 0;
    struct made made;

    for (unsigned i = 0; i < n; i++)
        n_same += pairs[i][0] == pairs[i][1];
    make_here(NULL, PF_INET, SOCK_STREAM, 0, &made);
    lab_figure(lab, "C49", "pf_inet", PF_INET);
    lab_figure(lab, "C49", "af_inet", AF_INET);
    lab_figure(lab, "C49", "n_same", n_same);
    lab_figure(lab, "C49", "n_compared", n);
    if (made.error)
        lab_verdict(lab, "C49", LAB_NOT_SHOWN, _("socket(PF_INET, ...) gave none: %s."), sonde_error_name(-made.error));
    else if (PF_INET == AF_INET && made.family == AF_INET)
        lab_verdict(
            lab, "C49", LAB_TRUE,
            _("Both are %d, and SO_DOMAIN says %d of a socket made with PF_INET. Of %u such pairs in the headers "
              "%u are equal."),
            AF_INET, made.family, n, n_same);
    else
        lab_verdict(lab, "C49", LAB_FALSE, _("PF_INET is %d and AF_INET %d; a socket made with PF_INET has domain %d."),
                    PF_INET, AF_INET, made.family);
}

/* ---- the experiment */

static void answer(struct families *families)
{
    const struct made *asked[3] = {
        made_of(families->ordinary, AF_INET, SOCK_SEQPACKET),
        made_of(families->ordinary, AF_UNIX, SOCK_SEQPACKET),
        made_with(families->ordinary, SOCK_RAW, IPPROTO_ICMP),
    };
    unsigned letters = 0;
    char text[4];

    for (unsigned i = 0; i < 3; i++)
        if (!asked[i]->error)
            text[letters++] = (char)('a' + i);
    text[letters] = '\0';
    lab_answer(families->lab, "%s", letters ? text : "d");
}

static void run(struct lab *lab)
{
    struct families families = {.lab = lab};

    ask(&families);
    families_show(&families);
    answer(&families);
    judge_default(&families);
    judge_seqpacket(&families);
    judge_failure(&families);
    judge_names(&families);
    families_skip_layers(lab);
}

static const struct lab_claim claims[] = {
    {"C12", N_("A socket's type implies its protocol, and 0 means that default.")},
    {"C13", N_("SOCK_SEQPACKET is SCTP.")},
    {"C14", N_("When socket() fails it returns INVALID_SOCKET, and WSAGetLastError() tells why.")},
    {"C49", N_("PF_INET and AF_INET are the same.")},
    {"C64", N_("Data passes every layer; none can be left out.")},
    {NULL, NULL},
};

static const char *const choices[] = {
    "a) AF_INET, SOCK_SEQPACKET",
    "b) AF_UNIX, SOCK_SEQPACKET",
    N_("c) AF_INET, SOCK_RAW with IPPROTO_ICMP"),
    N_("d) none of them"),
    NULL,
};

static const char *const settings[] = {"net.ipv4.ping_group_range", NULL};

const struct experiment experiment_families = {
    .name = "families",
    .chapter = CHAPTER_SOCKETS,
    .title = N_("which family, type and protocol this kernel makes"),
    .claims = claims,
    .systems = "S11",
    .milliseconds = 60,
    .done =
        N_("Every family is asked for every type, and the internet's types for every protocol: by this user, by one "
           "without capabilities, and by one with CAP_NET_RAW. Asking may make the kernel load a module, as any "
           "socket() may. Then frames and packets made by hand are sent past the layers."),
    .question = N_("Which of these does the kernel make for an ordinary user?"),
    .choices = choices,
    .by_hand = "python3 -c 'import socket; socket.socket(socket.AF_X25)'\n"
               "python3 -c 'import socket as s; s.socket(s.AF_INET, s.SOCK_STREAM, 132)'\n"
               "rm -f /tmp/lab.sock; nc.openbsd -lU /tmp/lab.sock &\n"
               "sonde connect unix:/tmp/lab.sock",
    .read = "socket(2); address_families(7); packet(7); raw(7); RFC 8684 (MPTCP), RFC 3828 (UDP-Lite)",
    .settings = settings,
    .run = run,
};
