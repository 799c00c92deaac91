/* SPDX-License-Identifier: MIT */
/*
 * C64: a packet whose transport header, then whose IP header too, is not made by the kernel or is not there at all. On
 * the wire; without one by loopback, which only a privileged user may do.
 */
#include "lab/sockets/families_internal.h"

#include "lab/call.h"
#include "term/translate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define WITHIN_MS 1000
#define ETHERTYPE_EXPERIMENTAL 0x88b5 /* IEEE 802: local experimental ethertype 1 */
#define PROTOCOL_EXPERIMENTAL 253     /* RFC 3692 */
#define FRAME_MIN 60
#define IP_HEADER 20
#define UDP_HEADER 8
#define MADE_UP_PORT 9

static const char text[] = "no layer asked";

struct skip {
    struct lab *lab;
    struct party *sender, *receiver;
    const char *interface;
    int out; /* AF_PACKET of the sender */
    int out_index;
    uint8_t source[ETH_ALEN], destination[ETH_ALEN];
    unsigned n_tried, n_arrived;
    int error;     /* the first that kept a socket from being made */
    char from[64]; /* whom the datagram's receiver was told it came from; "": it did not arrive */
    uint16_t from_port;
};

static bool interface_of(int fd, const char *name, uint8_t ret_mac[ETH_ALEN], int *ret_index)
{
    struct ifreq request = {0};

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
        return false;
    memcpy(ret_mac, request.ifr_hwaddr.sa_data, ETH_ALEN);
    if (ioctl(fd, SIOCGIFINDEX, &request) < 0)
        return false;
    *ret_index = request.ifr_ifindex;
    return true;
}

/* One packet, if it comes soon. */
static ssize_t receive(int fd, void *data, size_t n_bytes)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    if (poll(&ready, 1, WITHIN_MS) != 1)
        return -ETIMEDOUT;
    ssize_t n = recv(fd, data, n_bytes, MSG_DONTWAIT);
    return n < 0 ? -errno : n;
}

static bool send_frame(const struct skip *skip, const uint8_t *frame, size_t n_bytes)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = skip->out_index, .sll_halen = ETH_ALEN};

    memcpy(to.sll_addr, skip->destination, ETH_ALEN);
    /* A socket that was made while the link was not up yet says so once. */
    for (int attempt = 0; attempt < 2; attempt++)
        if (sendto(skip->out, frame, n_bytes, MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof(to)) == (ssize_t)n_bytes)
            return true;
    return false;
}

static void tell(struct skip *skip, const char *socket_name, const char *what, bool arrived)
{
    static const char *const heads[] = {N_("socket"), N_("what was written to it"), N_("arrived")};

    if (skip->n_tried++ == 0) {
        lab_say(skip->lab, _("Past the layers (C64), from one host to the other:"));
        lab_table(skip->lab, 3, heads);
    }
    skip->n_arrived += arrived;
    lab_cell(skip->lab, "%s", socket_name);
    lab_cell(skip->lab, "%s", what);
    lab_cell(skip->lab, "%s", arrived ? _("yes") : _("no"));
}

/* ---- a packet of IP without a transport protocol */

static void raw_packet(struct skip *skip)
{
    struct lab *lab = skip->lab;
    int out = party_socket(skip->sender, AF_INET, SOCK_RAW, PROTOCOL_EXPERIMENTAL);
    int in = party_socket(skip->receiver, AF_INET, SOCK_RAW, PROTOCOL_EXPERIMENTAL);
    uint8_t packet[256];
    bool arrived = false;

    if (out < 0 || in < 0) {
        skip->error = skip->error ? skip->error : (out < 0 ? out : in);
    } else {
        party_sendto(skip->sender, out, text, sizeof(text), 0, lab_address(lab, END_B), 0);
        ssize_t n = receive(in, packet, sizeof(packet));
        arrived = n == IP_HEADER + (ssize_t)sizeof(text) && packet[9] == PROTOCOL_EXPERIMENTAL &&
                  memcmp(packet + IP_HEADER, text, sizeof(text)) == 0;
        tell(skip, "AF_INET RAW", _("IP protocol 253, then text"), arrived);
    }
    lab_figure(lab, "C64", "raw_arrived", arrived);
    if (out >= 0)
        party_close(skip->sender, out);
    if (in >= 0)
        party_close(skip->receiver, in);
}

/* ---- a frame without IP */

static void frame_alone(struct skip *skip)
{
    uint8_t frame[FRAME_MIN] = {0}, seen[256];
    struct sockaddr_ll here = {.sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE_EXPERIMENTAL)};
    int in = party_socket(skip->receiver, AF_PACKET, SOCK_RAW, htons(ETHERTYPE_EXPERIMENTAL));
    bool arrived = false;

    if (in < 0) {
        skip->error = skip->error ? skip->error : in;
    } else if (interface_of(in, skip->interface, skip->destination, &here.sll_ifindex) &&
               bind(in, (struct sockaddr *)&here, sizeof(here)) == 0) {
        memcpy(frame, skip->destination, ETH_ALEN);
        memcpy(frame + ETH_ALEN, skip->source, ETH_ALEN);
        frame[12] = ETHERTYPE_EXPERIMENTAL >> 8;
        frame[13] = ETHERTYPE_EXPERIMENTAL & 0xff;
        memcpy(frame + ETH_HLEN, text, sizeof(text));
        arrived = send_frame(skip, frame, sizeof(frame)) &&
                  receive(in, seen, sizeof(seen)) >= (ssize_t)(ETH_HLEN + sizeof(text)) &&
                  memcmp(seen + ETH_HLEN, text, sizeof(text)) == 0;
        tell(skip, "AF_PACKET RAW", _("frame of type 0x88b5, then text"), arrived);
    }
    lab_figure(skip->lab, "C64", "frame_arrived", arrived);
    if (in >= 0)
        party_close(skip->receiver, in);
}

/* ---- a datagram that neither UDP nor IP of the sender has made */

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint16_t header_checksum(const uint8_t *header)
{
    uint32_t sum = 0;

    for (int i = 0; i < IP_HEADER; i += 2)
        sum += (uint32_t)header[i] << 8 | header[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static size_t write_datagram(const struct skip *skip, const char *from, const char *to, uint16_t port, uint8_t *frame)
{
    uint8_t *ip = frame + ETH_HLEN, *udp = ip + IP_HEADER;

    memset(frame, 0, ETH_HLEN + IP_HEADER + UDP_HEADER);
    memcpy(frame, skip->destination, ETH_ALEN);
    memcpy(frame + ETH_ALEN, skip->source, ETH_ALEN);
    put16(frame + 12, ETHERTYPE_IP);
    ip[0] = 0x45;
    put16(ip + 2, IP_HEADER + UDP_HEADER + sizeof(text));
    ip[8] = 64;
    ip[9] = IPPROTO_UDP;
    inet_pton(AF_INET, from, ip + 12);
    inet_pton(AF_INET, to, ip + 16);
    put16(ip + 10, header_checksum(ip));
    put16(udp, MADE_UP_PORT);
    put16(udp + 2, port);
    put16(udp + 4, UDP_HEADER + sizeof(text)); /* its checksum stays 0: not computed (RFC 768) */
    memcpy(udp + UDP_HEADER, text, sizeof(text));
    return ETH_HLEN + IP_HEADER + UDP_HEADER + sizeof(text);
}

static void datagram_by_hand(struct skip *skip)
{
    struct lab *lab = skip->lab;
    const char *made_up = "10.0.0.77"; /* of A's network, and nobody's */
    const struct timeval within = {.tv_sec = WITHIN_MS / 1000};
    uint8_t frame[FRAME_MIN + 64];
    char from[64] = "", seen[256];
    uint16_t from_port = 0;
    bool arrived = false;
    int in = party_socket(skip->receiver, AF_INET, SOCK_DGRAM, 0);

    if (in >= 0 && party_bind(skip->receiver, in, lab_address(lab, END_B), 0) == 0 &&
        party_set_bytes(skip->receiver, in, SOL_SOCKET, SO_RCVTIMEO, &within, sizeof(within)) == 0) {
        size_t n_bytes = write_datagram(skip, made_up, lab_address(lab, END_B), lab_local_port(in), frame);
        arrived =
            send_frame(skip, frame, n_bytes) &&
            party_recvfrom(skip->receiver, in, seen, sizeof(seen), 0, from, &from_port) == (ssize_t)sizeof(text) &&
            memcmp(seen, text, sizeof(text)) == 0 && strcmp(from, made_up) == 0;
        tell(skip, "AF_PACKET RAW", _("frame, IP and UDP by hand"), arrived);
    }
    if (arrived)
        snprintf(skip->from, sizeof(skip->from), "%s", from);
    skip->from_port = from_port;
    lab_figure(lab, "C64", "datagram_arrived", arrived);
    if (in >= 0)
        party_close(skip->receiver, in);
}

static void judge(const struct skip *skip)
{
    struct lab *lab = skip->lab;

    lab_figure(lab, "C64", "n_tried", skip->n_tried);
    lab_figure(lab, "C64", "n_arrived", skip->n_arrived);
    if (skip->n_arrived > 0)
        lab_verdict(
            lab, "C64", LAB_FALSE,
            _("%u of %u packets arrived that some of the sender's layers had no part in: SOCK_RAW leaves out the "
              "transport protocol, AF_PACKET the network layer as well. It takes CAP_NET_RAW."),
            skip->n_arrived, skip->n_tried);
    else if (skip->error)
        lab_verdict(lab, "C64", LAB_NOT_SHOWN,
                    _("Raw and packet sockets, which would leave layers out, are refused to this user: %s."),
                    sonde_error_name(skip->error));
    else
        lab_verdict(lab, "C64", LAB_NOT_SHOWN, _("None of the %u packets made by hand arrived."), skip->n_tried);
}

void families_skip_layers(struct lab *lab)
{
    struct skip skip = {
        .lab = lab,
        .sender = lab_party(lab, "sender", END_A),
        .receiver = lab_party(lab, "receiver", END_B),
        .interface = lab_wire(lab) ? WIRE_INTERFACE : "lo",
    };

    skip.out = party_socket(skip.sender, AF_PACKET, SOCK_RAW, 0);
    bool has_link = skip.out >= 0 && interface_of(skip.out, skip.interface, skip.source, &skip.out_index);
    if (skip.out < 0)
        skip.error = skip.out;
    raw_packet(&skip);
    if (has_link)
        frame_alone(&skip);
    if (has_link && lab_wire(lab)) /* by loopback, IP lets no address in that came from outside */
        datagram_by_hand(&skip);
    if (skip.n_tried > 0)
        lab_table_end(lab);
    if (skip.from[0])
        lab_say(lab,
                _("The ordinary UDP socket that received the last one was told that it came from %s port %u: an "
                  "address that the sender's kernel does not have."),
                skip.from, skip.from_port);
    if (skip.out >= 0)
        party_close(skip.sender, skip.out);
    judge(&skip);
}
