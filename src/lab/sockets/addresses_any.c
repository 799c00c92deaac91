/* SPDX-License-Identifier: MIT */
/* C16: a listener on INADDR_ANY, reached by two of its host's addresses; and one on a single address, which is not. Its
 * first segments show the byte order on the wire as well (C15). */
#include "lab/sockets/addresses_internal.h"

#include "lab/call.h"
#include "lab/sockets/given.h"
#include "term/translate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define TCP_AT 34 /* in a frame of Ethernet and IPv4 without options */

struct any {
    struct lab *lab;
    struct party *near, *far, *server; /* one client at the server's own host, one at the other */
    const char *far_address;           /* of the server's host */
    uint32_t bound;                    /* s_addr of the listener, as the kernel gives it */
    uint16_t port, far_port;           /* far_port: of the far client */
    unsigned n_reached;
};

static uint32_t own_address(int fd)
{
    struct sockaddr_in address = {0};
    socklen_t n_bytes = sizeof(address);

    return getsockname(fd, (struct sockaddr *)&address, &n_bytes) < 0 ? UINT32_MAX : address.sin_addr.s_addr;
}

static void show_reach(struct any *any, int listener, struct party *client, const char *address, const char *bound)
{
    struct lab *lab = any->lab;
    char text[INET_ADDRSTRLEN];
    int fd = party_socket(client, AF_INET, SOCK_STREAM, 0);
    uint16_t port = lab_local_port(listener);
    int result = fd < 0 ? fd : party_connect(client, fd, address, port);

    lab_cell(lab, "%s", bound);
    lab_cell(lab, "%s", address);
    if (result < 0) {
        lab_cell(lab, "%s", sonde_error_name(result));
        lab_cell(lab, "-");
    } else {
        int accepted = party_accept(any->server, listener);
        uint32_t own = accepted < 0 ? UINT32_MAX : own_address(accepted);
        lab_cell(lab, "%s", _("connected"));
        lab_cell(lab, "%s", inet_ntop(AF_INET, &own, text, sizeof(text)));
        any->n_reached += own == inet_addr(address) && port == any->port;
        if (client == any->far)
            any->far_port = lab_local_port(fd);
        if (accepted >= 0)
            party_close(any->server, accepted);
    }
    if (fd >= 0)
        party_close(client, fd);
}

static int listening_on(struct any *any, const char *address)
{
    int fd = party_socket(any->server, AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || party_bind(any->server, fd, address, 0) < 0 || party_listen(any->server, fd, 4) < 0)
        lab_give_up(any->lab, _("No listener could be made on \"%s\"."), address);
    return fd;
}

static void reach(struct any *any)
{
    static const char *const heads[] = {N_("bound to"), N_("connect to"), N_("result"), N_("accepted one is bound to")};
    int everywhere = listening_on(any, "");

    any->port = lab_local_port(everywhere);
    any->bound = own_address(everywhere);
    lab_say(any->lab, _("Listeners of one host, and by which of its addresses they are reached:"));
    lab_table(any->lab, 4, heads);
    show_reach(any, everywhere, any->near, "127.0.0.1", "0.0.0.0");
    show_reach(any, everywhere, any->far, any->far_address, "0.0.0.0");
    int one = listening_on(any, "127.0.0.1");
    show_reach(any, one, any->near, "127.0.0.1", "127.0.0.1");
    show_reach(any, one, any->far, any->far_address, "127.0.0.1");
    lab_table_end(any->lab);
    party_close(any->server, one);
    party_close(any->server, everywhere);
}

static void judge_any(const struct any *any)
{
    struct lab *lab = any->lab;

    lab_figure(lab, "C16", "inaddr_any", (double)INADDR_ANY);
    lab_figure(lab, "C16", "n_addresses", 2);
    lab_figure(lab, "C16", "n_reached", any->n_reached);
    if (INADDR_ANY == 0 && any->bound == 0 && any->n_reached == 2)
        lab_verdict(
            lab, "C16", LAB_TRUE,
            _("It is %u, and the kernel names the listener 0.0.0.0. Both of its host's addresses that were tried, "
              "127.0.0.1 and %s, led to it; each accepted socket is bound to the one that was asked for."),
            (unsigned)INADDR_ANY, any->far_address);
    else
        lab_verdict(lab, "C16", LAB_FALSE,
                    _("It is %u; of the host's addresses 127.0.0.1 and %s, %u led to the listener."),
                    (unsigned)INADDR_ANY, any->far_address, any->n_reached);
}

/* The far client's SYN as it was on the wire: does its header hold the ports high byte first? */
static bool big_endian_on_wire(const struct any *any, char *ret_text, size_t size_bytes)
{
    size_t n;

    if (!lab_wire(any->lab))
        return false;
    lab_settle(any->lab);
    const struct lab_segment *segments = lab_segments(any->lab, any->far_port, &n);
    if (n == 0 || segments[0].n_frame < TCP_AT + 4)
        return false;
    const uint8_t *ports = segments[0].frame + TCP_AT;
    bytes_as_hex(ports, 4, ret_text, size_bytes);
    lab_figure(any->lab, "C15", "wire_source_port", any->far_port);
    lab_figure_text(any->lab, "C15", "wire_bytes", ret_text);
    return ports[0] << 8 == (any->far_port & 0xff00) && ports[1] == (any->far_port & 0xff) &&
           ports[2] << 8 == (any->port & 0xff00) && ports[3] == (any->port & 0xff);
}

static void judge_order(const struct any *any)
{
    struct lab *lab = any->lab;
    const union {
        uint16_t number;
        uint8_t bytes[2];
    } host = {.number = 0x0102}, network = {.number = htons(0x0102)};
    bool little = host.bytes[0] == 2, big = network.bytes[0] == 1 && network.bytes[1] == 2;
    char on_wire[32] = "";
    bool wire_agrees = big_endian_on_wire(any, on_wire, sizeof(on_wire));

    lab_figure(lab, "C15", "host_little_endian", little);
    lab_figure(lab, "C15", "network_big_endian", big);
    if (big && on_wire[0] && wire_agrees)
        lab_verdict(
            lab, "C15", LAB_TRUE,
            _("htons(0x0102) lies in memory as %02x %02x, and a SYN from port %u to port %u had the bytes %s in its "
              "header: high byte first. This host stores 0x0102 as %02x %02x: %s."),
            network.bytes[0], network.bytes[1], any->far_port, any->port, on_wire, host.bytes[0], host.bytes[1],
            little ? _("little-endian") : _("big-endian"));
    else if (big && !on_wire[0])
        lab_verdict(
            lab, "C15", LAB_TRUE,
            _("htons(0x0102) lies in memory as %02x %02x: high byte first. This host stores 0x0102 as %02x %02x: %s."),
            network.bytes[0], network.bytes[1], host.bytes[0], host.bytes[1],
            little ? _("little-endian") : _("big-endian"));
    else
        lab_verdict(lab, "C15", LAB_FALSE,
                    _("htons(0x0102) lies in memory as %02x %02x, and a SYN from port %u to port %u had the bytes %s."),
                    network.bytes[0], network.bytes[1], any->far_port, any->port, on_wire[0] ? on_wire : "-");
}

void addresses_any(struct lab *lab)
{
    struct any any = {
        .lab = lab,
        .near = lab_party(lab, "near", END_B),
        .far = lab_party(lab, "far", END_A),
        .server = lab_party(lab, "server", END_B),
        .far_address = lab_wire(lab) ? lab_address(lab, END_B) : "127.0.0.2",
    };

    reach(&any);
    judge_any(&any);
    judge_order(&any);
}
