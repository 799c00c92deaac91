/* SPDX-License-Identifier: MIT */
/* MAC addresses: read, changed, and made the same as another's (C63). */
#include "lab/layers/layers_internal.h"

#include "lab/call.h"
#include "term/translate.h"

#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define LOCALLY_ADMINISTERED 0x02 /* IEEE 802, in the first byte: not by a manufacturer */

int mac_of(int fd, const char *interface, uint8_t ret_mac[MAC_BYTES], uint16_t *ret_kind)
{
    struct ifreq request = {0};

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
        return -errno;
    memcpy(ret_mac, request.ifr_hwaddr.sa_data, MAC_BYTES);
    *ret_kind = request.ifr_hwaddr.sa_family;
    return 0;
}

int mac_set(int fd, const char *interface, const uint8_t mac[MAC_BYTES])
{
    struct ifreq request = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    memcpy(request.ifr_hwaddr.sa_data, mac, MAC_BYTES);
    return ioctl(fd, SIOCSIFHWADDR, &request) < 0 ? -errno : 0;
}

const char *mac_text(const uint8_t mac[MAC_BYTES], char ret_text[MAC_TEXT])
{
    snprintf(ret_text, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    return ret_text;
}

struct change {
    struct lab *lab;
    struct party *client, *server;
    int fd; /* of A's */
    uint8_t before[MAC_BYTES], peer[MAC_BYTES], loopback[MAC_BYTES];
    uint16_t loopback_kind;
    int result, result_same;       /* of the two changes */
    bool carried, reached_as_same; /* frames had the changed one; a connection worked with two the same */
};

/* A connection from A to B: did it come to be, and does each of A's frames carry this source? */
static bool frames_carry(struct change *change, const uint8_t mac[MAC_BYTES], bool *ret_connected)
{
    struct lab *lab = change->lab;
    struct lab_pair pair;
    size_t n_frames = 0, n_right = 0;

    lab_settle(lab);
    size_t n_before = lab_n_packets(lab);
    lab_connected(change->client, change->server, &pair);
    party_close(change->client, pair.client);
    party_close(change->server, pair.server);
    lab_settle(lab);
    *ret_connected = true;
    for (size_t i = n_before; i < lab_n_packets(lab); i++) {
        const struct wire_packet *packet = lab_packet(lab, i);
        if (packet->from != END_A || packet->path != 0 || packet->n_captured < ETH_HLEN)
            continue;
        n_frames++;
        n_right += memcmp((const uint8_t *)packet->data + ETH_ALEN, mac, MAC_BYTES) == 0;
    }
    return n_frames > 0 && n_right == n_frames;
}

static void row(struct change *change, const char *what, const uint8_t mac[MAC_BYTES], const char *result)
{
    char text[MAC_TEXT];

    lab_cell(change->lab, "%s", what);
    lab_cell(change->lab, "%s", mac_text(mac, text));
    lab_cell(change->lab, "%s", result);
}

static void change_twice(struct change *change)
{
    static const char *const heads[] = {N_("interface"), N_("MAC address"), N_("result")};
    const uint8_t made_up[MAC_BYTES] = {LOCALLY_ADMINISTERED, 'h', 'e', 'l', 'l', 'o'};
    bool connected;

    lab_say(change->lab, _("MAC addresses, and changing them (C63):"));
    lab_table(change->lab, 3, heads);
    row(change, _("A's lo"), change->loopback,
        change->loopback_kind == ARPHRD_LOOPBACK ? _("a loopback interface: it has none") : _("no loopback interface"));
    row(change, _("A's eth0"), change->before,
        change->before[0] & LOCALLY_ADMINISTERED ? _("made up by software") : _("with a manufacturer's number"));
    change->result = mac_set(change->fd, WIRE_INTERFACE, made_up);
    if (change->result == 0)
        change->carried = frames_carry(change, made_up, &connected);
    row(change, _("A's eth0"), made_up,
        change->result < 0 ? sonde_error_name(change->result)
        : change->carried  ? _("set; its frames carry it")
                           : _("set; its frames do not carry it"));
    change->result_same = mac_set(change->fd, WIRE_INTERFACE, change->peer);
    if (change->result_same == 0)
        frames_carry(change, change->peer, &change->reached_as_same);
    row(change, _("A's eth0, as B's"), change->peer,
        change->result_same < 0   ? sonde_error_name(change->result_same)
        : change->reached_as_same ? _("set; A and B still connect")
                                  : _("set"));
    mac_set(change->fd, WIRE_INTERFACE, change->before);
    lab_table_end(change->lab);
}

static void judge(const struct change *change)
{
    static const uint8_t zero[MAC_BYTES];
    struct lab *lab = change->lab;
    bool loopback_zero = memcmp(change->loopback, zero, MAC_BYTES) == 0;

    lab_figure(lab, "C63", "changed", change->result == 0);
    lab_figure(lab, "C63", "frames_carry_it", change->carried);
    lab_figure(lab, "C63", "same_as_peer", change->result_same == 0);
    lab_figure(lab, "C63", "loopback_has_none", loopback_zero);
    if (change->result == 0 && change->carried)
        lab_verdict(lab, "C63", LAB_FALSE,
                    _("One ioctl changed it, and every frame behind that carried the new one: what is burned into a "
                      "card is only what "
                      "it begins with. %s %s"),
                    change->result_same == 0 ? _("It could even be made the same as B's: nothing keeps it unique.")
                                             : _("Making it the same as B's was refused."),
                    loopback_zero ? _("The loopback interface has only zeros.")
                                  : _("The loopback interface has one, too."));
    else if (change->result < 0)
        lab_verdict(lab, "C63", LAB_NOT_SHOWN, _("This user may not change it: %s. %s"),
                    sonde_error_name(change->result),
                    loopback_zero ? _("(The loopback interface has only zeros.)") : "");
    else
        lab_verdict(lab, "C63", LAB_NOT_SHOWN, _("It was changed, but no frame was seen to carry the new one."));
}

void layers_mac(struct lab *lab)
{
    struct change change = {
        .lab = lab,
        .client = lab_party(lab, "client again", END_A),
        .server = lab_party(lab, "server again", END_B),
    };
    uint16_t kind;

    change.fd = party_socket(change.client, AF_INET, SOCK_DGRAM, 0);
    int at_b = party_socket(change.server, AF_INET, SOCK_DGRAM, 0);
    if (change.fd < 0 || at_b < 0 || mac_of(change.fd, WIRE_INTERFACE, change.before, &kind) < 0 ||
        mac_of(at_b, WIRE_INTERFACE, change.peer, &kind) < 0 ||
        mac_of(change.fd, "lo", change.loopback, &change.loopback_kind) < 0)
        lab_give_up(lab, _("The interfaces' MAC addresses could not be read."));
    change_twice(&change);
    judge(&change);
    party_close(change.client, change.fd);
    party_close(change.server, at_b);
}
