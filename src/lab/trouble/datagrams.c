/* SPDX-License-Identifier: MIT */
/*
 * Datagrams: one receive for each send, as long as nothing is lost and the buffer is large enough; checked against
 * damage on the way, unless the sender leaves that out; and limited in size.
 *
 * Damage is made by the wire, which changes one bit of the payload's packet and leaves the checksums alone.
 */
#include "lab/call.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sonde/error.h>
#include <stdio.h>
#include <string.h>

#define N_SENT 10
#define N_DROPPED 2 /* by the rule below */
#define WITHIN_NS (2 * NS_PER_S)
#define QUIET_NS (20 * NS_PER_MS)
#define UDP_HEADER_BYTES 8

struct talk {
    struct lab *lab;
    struct party *client, *server;
    int from, to; /* sockets */
    uint16_t port;
    const char *there;
};

struct counted {
    unsigned n_sent, n_received, n_in_order, n_whole;
};

static void open_talk(struct lab *lab, struct party *client, struct party *server, struct talk *talk)
{
    const struct timeval patience = {.tv_sec = WITHIN_NS / NS_PER_S};

    *talk = (struct talk){.lab = lab, .client = client, .server = server, .there = lab_address(lab, END_B)};
    talk->to = party_socket(server, AF_INET, SOCK_DGRAM, 0);
    if (talk->to < 0 || party_bind(server, talk->to, talk->there, 0) < 0)
        lab_give_up(lab, _("A UDP socket could not be made and bound."));
    talk->port = lab_local_port(talk->to);
    party_set_bytes(server, talk->to, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    talk->from = party_socket(client, AF_INET, SOCK_DGRAM, 0);
    if (talk->from < 0 || party_connect(client, talk->from, talk->there, talk->port) < 0)
        lab_give_up(lab, _("A UDP socket could not be connected."));
}

static void close_talk(struct talk *talk)
{
    party_close(talk->client, talk->from);
    party_close(talk->server, talk->to);
}

/* Nothing is under way any more, as far as the wire knows; its last packet may still be on its way up. */
static void let_arrive(struct talk *talk)
{
    lab_settle(talk->lab);
    lab_sleep(QUIET_NS);
}

/* Ten datagrams of different sizes; what arrives: so many are waited for, and then whatever else there is. */
static struct counted send_ten(struct talk *talk, unsigned n_expected)
{
    struct counted counted = {0};
    char data[64] = {0}, got[64];
    int next = 0;

    for (int i = 0; i < N_SENT; i++) {
        data[0] = (char)i;
        counted.n_sent += party_send(talk->client, talk->from, data, (size_t)(10 + i), 0) == 10 + i;
    }
    for (;;) {
        if (counted.n_received == n_expected)
            let_arrive(talk);
        ssize_t n =
            party_recv(talk->server, talk->to, got, sizeof got, counted.n_received < n_expected ? 0 : MSG_DONTWAIT);
        if (n < 0)
            break;
        counted.n_received++;
        counted.n_whole += n == 10 + got[0];
        counted.n_in_order += got[0] >= next;
        next = got[0] + 1;
    }
    return counted;
}

struct cut {
    ssize_t got, real; /* of 100 bytes into a buffer of 10: recv(), and with MSG_TRUNC */
    ssize_t after;     /* what the next recv() gives: of the rest there is nothing */
};

static struct cut cut_short(struct talk *talk)
{
    struct cut cut;
    char data[100] = {0};

    party_send(talk->client, talk->from, data, sizeof data, 0);
    cut.got = party_recv(talk->server, talk->to, data, 10, 0);
    let_arrive(talk);
    cut.after = party_recv(talk->server, talk->to, data, 10, MSG_DONTWAIT);
    party_send(talk->client, talk->from, data, sizeof data, 0);
    cut.real = party_recv(talk->server, talk->to, data, 10, MSG_TRUNC);
    return cut;
}

/* ---- damage */

struct damaged {
    bool arrived, same;
    uint32_t checksum; /* as it was on the wire */
    int64_t n_errors;  /* counted by the receiver's kernel */
};

static uint32_t checksum_on_wire(struct lab *lab, uint16_t port)
{
    for (size_t i = lab_n_packets(lab); i-- > 0;) {
        const struct wire_packet *packet = lab_packet(lab, i);
        const uint8_t *ip = (const uint8_t *)packet->data + 14;
        if (packet->n_captured < 14 + 20 + UDP_HEADER_BYTES || ip[-2] != 0x08 || ip[-1] != 0 || ip[9] != IPPROTO_UDP)
            continue;
        const uint8_t *udp = ip + (ip[0] & 15) * 4;
        if (udp + UDP_HEADER_BYTES <= (const uint8_t *)packet->data + packet->n_captured &&
            (udp[2] << 8 | udp[3]) == port)
            return (uint32_t)(udp[6] << 8 | udp[7]);
    }
    return UINT32_MAX;
}

struct verdict_of_kernel {
    struct talk *talk;
    int64_t n_before;
};

/* It lies in the receive queue, or was counted as bad. */
static bool is_decided(void *data)
{
    struct verdict_of_kernel *decided = data;

    return lab_queued_in(decided->talk->to) > 0 ||
           lab_counter(decided->talk->lab, END_B, "UdpInCsumErrors") > decided->n_before;
}

static struct damaged damage(struct lab *lab, struct party *client, struct party *server, bool checked)
{
    struct damaged damaged = {0};
    struct talk talk;
    char data[1000], got[1000];

    memset(data, 'x', sizeof data);
    open_talk(lab, client, server, &talk);
    if (!checked)
        party_set(client, talk.from, SOL_SOCKET, SO_NO_CHECK, 1);
    lab_rules(lab, END_A, "delay 1ms, corrupt udp #1");
    int64_t n_before = lab_counter(lab, END_B, "UdpInCsumErrors");
    struct verdict_of_kernel decided = {&talk, n_before};
    party_send(client, talk.from, data, sizeof data, 0);
    lab_settle(lab);
    lab_until(is_decided, &decided, n_before < 0 ? QUIET_NS : WITHIN_NS);
    ssize_t n = party_recv(server, talk.to, got, sizeof got, MSG_DONTWAIT);
    damaged.arrived = n > 0;
    damaged.same = n == (ssize_t)sizeof data && memcmp(data, got, sizeof data) == 0;
    damaged.n_errors = n_before < 0 ? -1 : lab_counter(lab, END_B, "UdpInCsumErrors") - n_before;
    lab_settle(lab);
    damaged.checksum = checksum_on_wire(lab, talk.port);
    lab_rules(lab, END_A, "delay 1ms");
    close_talk(&talk);
    return damaged;
}

/* ---- size */

struct size {
    size_t largest; /* that was sent */
    int error;      /* of one byte more */
    ssize_t received;
};

/* The largest datagram that send() takes, found by halving. The tries are not received; then one of that size is, whose
 * first byte tells it from them. */
static struct size largest(struct talk *talk)
{
    static char data[70000];
    struct size size = {0};
    size_t low = 1, high = sizeof data;

    while (low < high) {
        size_t middle = (low + high + 1) / 2;
        ssize_t n = send(talk->from, data, middle, MSG_NOSIGNAL);
        if (n == (ssize_t)middle)
            low = middle;
        else
            high = middle - 1;
        while (recv(talk->to, data, sizeof data, MSG_DONTWAIT) > 0)
            ;
    }
    size.largest = low;
    ssize_t n = party_send(talk->client, talk->from, data, low + 1, 0);
    size.error = n < 0 ? (int)n : 0;
    let_arrive(talk);
    while (recv(talk->to, data, sizeof data, MSG_DONTWAIT) > 0)
        ;
    data[0] = 1;
    party_send(talk->client, talk->from, data, low, 0);
    do {
        size.received = party_recv(talk->server, talk->to, data, sizeof data, 0);
    } while (size.received > 0 && data[0] != 1);
    return size;
}

/* ---- telling */

static const char *checksum_text(uint32_t checksum, char text[32])
{
    if (checksum == UINT32_MAX)
        return _("not seen");
    snprintf(text, 32, "0x%04x", checksum);
    return text;
}

static void tell_damage(struct lab *lab, const struct damaged *checked, const struct damaged *unchecked)
{
    static const char *const heads[] = {N_("one bit changed on the way"), N_("checksum on the wire"), N_("received"),
                                        N_("counted as bad")};
    const struct damaged *both[] = {checked, unchecked};
    char text[32];

    lab_table(lab, 4, heads);
    for (unsigned i = 0; i < 2; i++) {
        lab_cell(lab, "%s", i == 0 ? _("as usual") : "SO_NO_CHECK");
        lab_cell(lab, "%s", checksum_text(both[i]->checksum, text));
        lab_cell(lab, "%s", !both[i]->arrived ? _("nothing") : both[i]->same ? _("unchanged") : _("the changed bytes"));
        if (both[i]->n_errors < 0)
            lab_cell(lab, "?");
        else
            lab_cell(lab, "%lld", (long long)both[i]->n_errors);
    }
    lab_table_end(lab);
}

static void judge_check(struct lab *lab, const struct damaged *checked, const struct damaged *unchecked)
{
    lab_figure(lab, "C23", "received_with_checksum", checked->arrived);
    lab_figure(lab, "C23", "received_without_checksum", unchecked->arrived);
    if (checked->checksum != UINT32_MAX)
        lab_figure(lab, "C23", "checksum", checked->checksum);
    if (checked->arrived && checked->same && unchecked->arrived && unchecked->same)
        lab_verdict(lab, "C23", LAB_NOT_SHOWN, _("Both datagrams arrived unchanged: the damage did not take place."));
    else if (!checked->arrived && unchecked->arrived && !unchecked->same)
        lab_verdict(
            lab, "C23", LAB_FALSE,
            _("The damaged datagram was not delivered%s; with SO_NO_CHECK, which leaves the checksum out on IPv4, the "
              "changed bytes came through. What UDP does not do is tell anybody, or send it again."),
            checked->n_errors > 0 ? _(", and the receiving kernel counted a checksum error") : "");
    else if (checked->arrived && !checked->same)
        lab_verdict(lab, "C23", LAB_TRUE, _("The damaged datagram was delivered with its changed bytes."));
    else
        lab_verdict(lab, "C23", LAB_DEPENDS, _("The damaged datagram was %s; with SO_NO_CHECK it was %s."),
                    checked->arrived ? _("delivered") : _("not delivered"),
                    unchecked->arrived ? _("delivered") : _("not delivered"));
}

static void judge_count(struct lab *lab, const struct counted *free, const struct counted *lossy, const struct cut *cut)
{
    static const char *const heads[] = {N_("10 sends"), N_("taken by send()"), N_("received"), N_("whole")};

    lab_table(lab, 4, heads);
    lab_cell(lab, _("nothing lost"));
    lab_cell(lab, "%u", free->n_sent);
    lab_cell(lab, "%u", free->n_received);
    lab_cell(lab, "%u", free->n_whole);
    lab_cell(lab, _("the 2nd and 3rd dropped"));
    lab_cell(lab, "%u", lossy->n_sent);
    lab_cell(lab, "%u", lossy->n_received);
    lab_cell(lab, "%u", lossy->n_whole);
    lab_table_end(lab);
    lab_say(lab,
            _("100 bytes into a buffer of 10: recv() gave %lld, and the next one %s%s. With MSG_TRUNC recv() gave %lld "
              "for the same."),
            (long long)cut->got,
            cut->after < 0 ? sonde_error_name((int)cut->after) : lab_count_text((uint64_t)cut->after),
            cut->after < 0 ? _(": the rest is gone") : "", (long long)cut->real);
    lab_figure(lab, "C24", "received_of_10", free->n_received);
    lab_figure(lab, "C24", "received_of_10_with_2_lost", lossy->n_received);
    lab_answer(lab, "%u", lossy->n_received);
    bool one_each = free->n_received == free->n_sent && free->n_whole == free->n_received;
    bool some_lost = lossy->n_received < lossy->n_sent;
    if (!one_each)
        lab_verdict(lab, "C24", LAB_FALSE, _("%u of %u arrived, %u of them whole, though none was dropped."),
                    free->n_received, free->n_sent, free->n_whole);
    else if (!some_lost)
        lab_verdict(lab, "C24", LAB_NOT_SHOWN, _("%u sends, %u receives; but the wire lost none of those it was to."),
                    free->n_sent, free->n_received);
    else
        lab_verdict(
            lab, "C24", LAB_DEPENDS,
            _("While none is lost: %u sends, %u receives, each whole. With two dropped on the way: %u, and %u of %d "
              "send() calls had succeeded.%s"),
            free->n_sent, free->n_received, lossy->n_received, lossy->n_sent, N_SENT,
            cut->got == 10 && cut->after < 0
                ? _(" One receive takes one datagram, also when its buffer is too small for it (10 of 100 bytes).")
                : "");
}

static void judge_size(struct lab *lab, const struct size *size)
{
    lab_figure(lab, "C67", "largest_bytes", (double)size->largest);
    lab_figure(lab, "C67", "received_bytes", (double)size->received);
    lab_figure_text(lab, "C67", "one_byte_more", size->error ? sonde_error_name(size->error) : "0");
    lab_verdict(
        lab, "C67", size->error ? LAB_TRUE : LAB_FALSE,
        _("%s bytes is the largest that send() took and %s of it arrived; one byte more: %s. An IPv4 packet has at "
          "most 65,535 bytes, of which its header takes 20 and UDP's %u."),
        lab_count_text(size->largest), lab_count_text(size->received > 0 ? (uint64_t)size->received : 0),
        size->error ? sonde_error_name(size->error) : _("taken as well"), (unsigned)UDP_HEADER_BYTES);
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct counted free, lossy;
    struct talk talk;

    lab_rules(lab, END_A, "delay 1ms");
    lab_rules(lab, END_B, "delay 1ms");
    open_talk(lab, client, server, &talk);
    free = send_ten(&talk, N_SENT);
    struct cut cut = cut_short(&talk);
    struct size size = largest(&talk);
    close_talk(&talk);
    open_talk(lab, client, server, &talk);
    lab_rules(lab, END_A, "delay 1ms, drop udp #2-#3");
    lossy = send_ten(&talk, N_SENT - N_DROPPED);
    lab_rules(lab, END_A, "delay 1ms");
    close_talk(&talk);
    struct damaged checked = damage(lab, client, server, true), unchecked = damage(lab, client, server, false);
    judge_count(lab, &free, &lossy, &cut);
    tell_damage(lab, &checked, &unchecked);
    judge_check(lab, &checked, &unchecked);
    judge_size(lab, &size);
}

static const struct lab_claim claims[] = {
    {"C23", N_("Datagrams are not checked for damage.")},
    {"C24", N_("With datagrams there are as many receives as sends.")},
    {"C67", N_("The size of a datagram is limited.")},
    {NULL, NULL},
};

static const char *const settings[] = {"net.core.rmem_default", "net.ipv4.udp_rmem_min", NULL};

const struct experiment experiment_datagrams = {
    .name = "datagrams",
    .chapter = CHAPTER_TROUBLE,
    .title = N_("datagrams: lost, cut, damaged, and too large"),
    .claims = claims,
    .systems = "S13",
    .needs = LAB_WIRE,
    .milliseconds = 900,
    .done = N_(
        "Ten datagrams of different sizes are sent; again with two of them dropped by the wire. One is received into "
        "a buffer that is too small. One has a bit changed on the way, with and without UDP's checksum. The largest "
        "that is taken is found by halving."),
    .question = N_("Ten datagrams are sent, and the wire drops two. How many receives succeed?"),
    .by_hand = "sonde wire --a-to-b 'drop udp #2-#3' -- socat -u UDP-RECV:7007 STDOUT \\\n"
               "  --- sh -c 'for i in 1 2 3 4 5; do echo $i; done | socat -b2 - UDP:10.0.0.2:7007'",
    .read = "RFC 768 (UDP); udp(7); recv(2), MSG_TRUNC; socket(7), SO_NO_CHECK",
    .settings = settings,
    .run = run,
};
