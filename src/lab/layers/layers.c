/* SPDX-License-Identifier: MIT */
/* One packet of a real connection, opened from the link layer to the application; then what its outermost addresses
 * mean: a packet that goes over a router, and interfaces whose MAC addresses are changed. */
#include "lab/layers/layers_internal.h"

#include "lab/call.h"
#include "lab/table.h"
#include "term/translate.h"

#include <string.h>

static const char message[] = "hello, layers\n";

/* The index of the packet that carries the message from A to B, if the tap has it. */
static bool find_message(struct lab *lab, size_t *ret_index)
{
    size_t n = lab_n_packets(lab), n_message = strlen(message);

    for (size_t i = 0; i < n; i++) {
        const struct wire_packet *packet = lab_packet(lab, i);
        if (packet->from != END_A || packet->copy || packet->n_captured <= n_message)
            continue;
        if (memcmp((const uint8_t *)packet->data + packet->n_captured - n_message, message, n_message) == 0) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

static void open_packet(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct lab_pair pair;
    char room[64];
    size_t index;

    lab_connected(client, server, &pair);
    party_send(client, pair.client, message, strlen(message), 0);
    party_recv(server, pair.server, room, sizeof(room), 0);
    party_close(client, pair.client);
    party_close(server, pair.server);
    lab_settle(lab);
    if (!find_message(lab, &index))
        lab_give_up(lab, _("The packet with the message was not seen on the wire."));
    lab_say(lab, _("The packet of send(%d, \"hello, layers\\n\", %zu) as it was on the wire:"), pair.client,
            strlen(message));
    lab_layers(lab, index);
}

static void run(struct lab *lab)
{
    open_packet(lab);
    layers_hop(lab);
    layers_mac(lab);
}

static const struct lab_claim claims[] = {
    {"C28", N_("A packet carries the MAC address of the peer that it is for.")},
    {"C52", N_("The IP address finds the network, and the MAC address the machine in it.")},
    {"C63", N_("A MAC address is burned into the card and unique.")},
    {NULL, NULL},
};

static const char *const choices[] = {
    N_("a) of the interface that has the destination's IP address"),
    N_("b) of the router"),
    N_("c) none; it carries IP addresses only"),
    NULL,
};

static const char *const settings[] = {"net.ipv4.ip_forward", "net.ipv4.conf.all.accept_local",
                                       "net.ipv4.conf.all.rp_filter", "net.ipv4.conf.eth1.rp_filter", NULL};

const struct experiment experiment_layers = {
    .name = "layers",
    .chapter = CHAPTER_LAYERS,
    .title = N_("one packet from link to application, and whose MAC it carries"),
    .claims = claims,
    .systems = "S19",
    .needs = LAB_WIRE | LAB_SECOND_PATH | LAB_COLD,
    .milliseconds = 100,
    .done = N_(
        "A client sends one message to a server, and its packet is opened. Then B is made a router (ip_forward), and "
        "A sends a datagram from its eth0 to the address of its own eth1, so that it takes two hops: A to B on the "
        "first wire, B to A on the second. Last, A's MAC address is changed."),
    .question =
        N_("A datagram goes to an address behind a router. Whose MAC address is the destination of its first frame?"),
    .choices = choices,
    .by_hand = "sonde serve echo & sonde trace --layers port 7007 &\n"
               "printf hello | sonde connect :7007\n"
               "ip route get 192.0.2.7; ip neigh; cat /proc/net/arp\n"
               "sonde wire -- sonde serve echo tcp://0.0.0.0:7007 --- \\\n"
               "  sh -c 'sonde connect 10.0.0.2:7007 </dev/null; ip neigh'",
    .read = "RFC 1122, 2.3.2 and 3.3.1 (next hop); RFC 826 (ARP); arp(7), netdevice(7), packet(7)",
    .settings = settings,
    .run = run,
};
