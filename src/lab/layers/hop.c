/* SPDX-License-Identifier: MIT */
/*
 * C28 and C52: a datagram over a router. There are only two hosts, so it goes from A's eth0 to A's eth1 by way of B:
 * bound to eth0, A's kernel may not deliver it to itself, and a host route names B as next hop. A has to be told that a
 * packet with one of its own addresses as source is no forgery (accept_local, rp_filter).
 */
#include "lab/layers/layers_internal.h"

#include "lab/call.h"
#include "observe/decode/decode.h"
#include "term/translate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#define LINK_ETHERNET 1
#define WITHIN_S 1
#define IPV4_DESTINATION (ETH_HLEN + 16)

static const char message[] = "one hop more";

struct hop {
    struct lab *lab;
    struct party *sender, *receiver, *router;
    uint8_t sender_mac[MAC_BYTES], receiver_mac[MAC_BYTES]; /* of A's eth0 and eth1 */
    uint8_t router_mac[MAC_BYTES], router_second[MAC_BYTES];
    bool arrived;
    struct seen {
        bool seen;
        uint8_t to[MAC_BYTES], from[MAC_BYTES];
        uint8_t ttl;
        char address[INET_ADDRSTRLEN];
    } first, second;
};

bool neighbour_of(struct lab *lab, const char *address, const char *interface, uint8_t ret_mac[MAC_BYTES])
{
    char text[4096], line_address[64], mask[32], line_interface[32];
    unsigned type, flags, mac[MAC_BYTES];
    int fd = wire_open(lab_wire(lab), END_A, "/proc/net/arp");
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    for (char *rest, *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (sscanf(line, "%63s %x %x %x:%x:%x:%x:%x:%x %31s %31s", line_address, &type, &flags, &mac[0], &mac[1],
                   &mac[2], &mac[3], &mac[4], &mac[5], mask, line_interface) != 11)
            continue;
        if (strcmp(line_address, address) != 0 || strcmp(line_interface, interface) != 0 || !(flags & 2)) /* ATF_COM */
            continue;
        for (int i = 0; i < MAC_BYTES; i++)
            ret_mac[i] = (uint8_t)mac[i];
        return true;
    }
    return false;
}

/* ---- the way */

static int add_route(int fd)
{
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY | RTF_HOST};
    char interface[] = WIRE_INTERFACE;
    struct sockaddr_in to = {.sin_family = AF_INET}, by = {.sin_family = AF_INET}, mask = {.sin_family = AF_INET};

    inet_pton(AF_INET, WIRE_A_IPV4_SECOND, &to.sin_addr);
    inet_pton(AF_INET, WIRE_B_IPV4, &by.sin_addr);
    mask.sin_addr.s_addr = INADDR_BROADCAST;
    memcpy(&route.rt_dst, &to, sizeof(to));
    memcpy(&route.rt_gateway, &by, sizeof(by));
    memcpy(&route.rt_genmask, &mask, sizeof(mask));
    route.rt_dev = interface;
    return ioctl(fd, SIOCADDRT, &route) < 0 ? -errno : 0;
}

static bool make_way(struct hop *hop, int sender)
{
    struct lab *lab = hop->lab;

    if (!lab_set(lab, END_B, "net.ipv4.ip_forward", "1") ||
        !lab_set(lab, END_A, "net.ipv4.conf.all.accept_local", "1") ||
        !lab_set(lab, END_A, "net.ipv4.conf.all.rp_filter", "0") ||
        !lab_set(lab, END_A, "net.ipv4.conf." WIRE_INTERFACE_SECOND ".rp_filter", "0"))
        return false;
    return add_route(sender) == 0 && party_set_bytes(hop->sender, sender, SOL_SOCKET, SO_BINDTODEVICE, WIRE_INTERFACE,
                                                     strlen(WIRE_INTERFACE)) == 0;
}

static bool read_macs(struct hop *hop, int at_a, int at_b)
{
    uint16_t kind;

    return mac_of(at_a, WIRE_INTERFACE, hop->sender_mac, &kind) == 0 &&
           mac_of(at_a, WIRE_INTERFACE_SECOND, hop->receiver_mac, &kind) == 0 &&
           mac_of(at_b, WIRE_INTERFACE, hop->router_mac, &kind) == 0 &&
           mac_of(at_b, WIRE_INTERFACE_SECOND, hop->router_second, &kind) == 0;
}

static void send_over_router(struct hop *hop)
{
    const struct timeval within = {.tv_sec = WITHIN_S};
    int sender = party_socket(hop->sender, AF_INET, SOCK_DGRAM, 0);
    int receiver = party_socket(hop->receiver, AF_INET, SOCK_DGRAM, 0);
    int router = party_socket(hop->router, AF_INET, SOCK_DGRAM, 0);
    char room[64], from[64];
    uint16_t from_port;

    if (sender < 0 || receiver < 0 || router < 0 || !read_macs(hop, sender, router))
        lab_give_up(hop->lab, _("The interfaces' MAC addresses could not be read."));
    if (!make_way(hop, sender))
        lab_give_up(hop->lab, _("No route over B could be made: this user may not."));
    if (party_bind(hop->receiver, receiver, WIRE_A_IPV4_SECOND, 0) < 0 ||
        party_set_bytes(hop->receiver, receiver, SOL_SOCKET, SO_RCVTIMEO, &within, sizeof(within)) < 0)
        lab_give_up(hop->lab, _("No socket could be bound to %s."), WIRE_A_IPV4_SECOND);
    party_sendto(hop->sender, sender, message, strlen(message), 0, WIRE_A_IPV4_SECOND, lab_local_port(receiver));
    hop->arrived =
        party_recvfrom(hop->receiver, receiver, room, sizeof(room), 0, from, &from_port) == (ssize_t)strlen(message) &&
        memcmp(room, message, strlen(message)) == 0;
    lab_settle(hop->lab);
    party_close(hop->sender, sender);
    party_close(hop->receiver, receiver);
    party_close(hop->router, router);
}

/* ---- what was on the wires */

static void look_at(struct seen *seen, const struct wire_packet *packet, const struct decoded *decoded)
{
    const uint8_t *frame = packet->data;

    seen->seen = true;
    memcpy(seen->to, frame, MAC_BYTES);
    memcpy(seen->from, frame + MAC_BYTES, MAC_BYTES);
    seen->ttl = decoded->ttl;
    inet_ntop(AF_INET, frame + IPV4_DESTINATION, seen->address, sizeof(seen->address));
}

static void find_both(struct hop *hop)
{
    struct decoded decoded;

    for (size_t i = 0; i < lab_n_packets(hop->lab); i++) {
        const struct wire_packet *packet = lab_packet(hop->lab, i);
        if (packet->copy || decode_packet(LINK_ETHERNET, packet->data, packet->n_captured, packet->n_wire, 0,
                                          &decoded) != DECODE_TRANSPORT)
            continue;
        if (decoded.network != DECODE_IPV4 || decoded.protocol != IPPROTO_UDP ||
            decoded.n_payload_captured != strlen(message) || memcmp(decoded.payload, message, strlen(message)) != 0)
            continue;
        look_at(packet->path == 0 ? &hop->first : &hop->second, packet, &decoded);
    }
}

static const char *owner_of(const struct hop *hop, const uint8_t mac[MAC_BYTES])
{
    if (memcmp(mac, hop->sender_mac, MAC_BYTES) == 0)
        return _("A's eth0");
    if (memcmp(mac, hop->receiver_mac, MAC_BYTES) == 0)
        return _("A's eth1");
    if (memcmp(mac, hop->router_mac, MAC_BYTES) == 0)
        return _("B's eth0");
    if (memcmp(mac, hop->router_second, MAC_BYTES) == 0)
        return _("B's eth1");
    return "?";
}

static void show_seen(struct hop *hop, const char *wire, const struct seen *seen)
{
    char text[MAC_TEXT];

    if (!seen->seen)
        return;
    lab_cell(hop->lab, "%s", wire);
    lab_cell(hop->lab, "%s", seen->address);
    lab_cell(hop->lab, "%s", mac_text(seen->to, text));
    lab_cell(hop->lab, "%s", owner_of(hop, seen->to));
    lab_cell(hop->lab, "%u", seen->ttl);
}

static void show(struct hop *hop)
{
    static const char *const heads[] = {N_("frame on wire"), N_("IP destination"), N_("MAC destination"),
                                        N_("which is"), "TTL"};

    lab_say(hop->lab, _("One datagram to an address behind a router, on both of its wires (C28):"));
    lab_table(hop->lab, 5, heads);
    show_seen(hop, _("first, A to B"), &hop->first);
    show_seen(hop, _("second, B to A"), &hop->second);
    lab_table_end(hop->lab);
}

static void judge_hop(const struct hop *hop)
{
    struct lab *lab = hop->lab;
    char first[MAC_TEXT], second[MAC_TEXT], peer[MAC_TEXT];
    bool next_hop = hop->first.seen && memcmp(hop->first.to, hop->router_mac, MAC_BYTES) == 0;
    bool peers = hop->first.seen && memcmp(hop->first.to, hop->receiver_mac, MAC_BYTES) == 0;

    mac_text(hop->receiver_mac, peer);
    if (hop->first.seen)
        lab_figure_text(lab, "C28", "first_destination", mac_text(hop->first.to, first));
    if (hop->second.seen)
        lab_figure_text(lab, "C28", "second_destination", mac_text(hop->second.to, second));
    lab_figure_text(lab, "C28", "peer", peer);
    lab_figure(lab, "C28", "is_next_hop", next_hop);
    lab_figure(lab, "C28", "arrived", hop->arrived);
    if (hop->first.seen && hop->second.seen)
        lab_figure(lab, "C28", "ttl_spent", hop->first.ttl - hop->second.ttl);
    lab_answer(lab, "%s", next_hop ? "b" : peers ? "a" : "?");
    if (next_hop && hop->second.seen)
        lab_verdict(
            lab, "C28", LAB_FALSE,
            _("It carries the next hop's: to %s, which has MAC %s, the first frame went to %s, the router's. The "
              "router put the same packet (TTL %u, then %u) into a new frame, to %s."),
            hop->first.address, peer, first, hop->first.ttl, hop->second.ttl, second);
    else if (next_hop)
        lab_verdict(
            lab, "C28", LAB_FALSE,
            _("It carries the next hop's: to %s, which has MAC %s, the first frame went to %s, the router's. (The "
              "router did not pass it on.)"),
            hop->first.address, peer, first);
    else if (peers)
        lab_verdict(lab, "C28", LAB_TRUE, _("The frame to %s went to %s, its own MAC."), hop->first.address, peer);
    else
        lab_verdict(lab, "C28", LAB_NOT_SHOWN, _("The datagram was not seen on the first wire."));
}

/* Who was asked for by ARP on the first wire, by A? */
static bool asked_for(struct lab *lab, const char *address)
{
    uint8_t wanted[4];

    inet_pton(AF_INET, address, wanted);
    for (size_t i = 0; i < lab_n_packets(lab); i++) {
        const struct wire_packet *packet = lab_packet(lab, i);
        const uint8_t *frame = packet->data;
        if (packet->from == END_A && packet->path == 0 && packet->n_captured >= ETH_HLEN + 28 && frame[12] == 0x08 &&
            frame[13] == 0x06 && frame[21] == 1 && memcmp(frame + 38, wanted, sizeof(wanted)) == 0)
            return true;
    }
    return false;
}

static void judge_neighbours(const struct hop *hop)
{
    struct lab *lab = hop->lab;
    uint8_t near_mac[MAC_BYTES], far_mac[MAC_BYTES];
    char text[MAC_TEXT];
    bool near = neighbour_of(lab, WIRE_B_IPV4, WIRE_INTERFACE, near_mac);
    bool far = neighbour_of(lab, WIRE_A_IPV4_SECOND, WIRE_INTERFACE, far_mac);
    bool right = near && memcmp(near_mac, hop->router_mac, MAC_BYTES) == 0;

    lab_figure(lab, "C52", "near_in_table", near);
    lab_figure(lab, "C52", "far_in_table", far);
    lab_figure(lab, "C52", "near_asked", asked_for(lab, WIRE_B_IPV4));
    lab_figure(lab, "C52", "far_asked", asked_for(lab, WIRE_A_IPV4_SECOND));
    if (right && !far)
        lab_verdict(
            lab, "C52", LAB_TRUE,
            _("As far as it goes: A's routes, by IP prefix, chose the next hop, and on that link A's neighbour table "
              "turns its address (%s) into a MAC (%s)%s. It has no entry for %s, two hops away: a MAC address counts "
              "on its own link only, and where there are none (loopback) IP does without."),
            WIRE_B_IPV4, mac_text(near_mac, text), asked_for(lab, WIRE_B_IPV4) ? _(", which it asked for by ARP") : "",
            WIRE_A_IPV4_SECOND);
    else if (right)
        lab_verdict(lab, "C52", LAB_FALSE,
                    _("A's neighbour table has a MAC for %s on eth0 too, which is two hops away."), WIRE_A_IPV4_SECOND);
    else
        lab_verdict(lab, "C52", LAB_NOT_SHOWN, _("A's neighbour table has no entry for %s."), WIRE_B_IPV4);
}

void layers_hop(struct lab *lab)
{
    struct hop hop = {
        .lab = lab,
        .sender = lab_party(lab, "sender", END_A),
        .receiver = lab_party(lab, "receiver", END_A),
        .router = lab_party(lab, "router", END_B),
    };

    send_over_router(&hop);
    find_both(&hop);
    show(&hop);
    judge_hop(&hop);
    judge_neighbours(&hop);
}
