/* SPDX-License-Identifier: MIT */
/*
 * Live capture. The socket is opened without a protocol and so receives nothing; filter, ring and stamps are set up,
 * and then it is bound: no packet comes before its filter.
 *
 * Ethernet and loopback are read with their link header. "any" is read from the network header on, with an SLL2 header
 * made up before it, so that all interfaces look alike; so is what has a link header of another kind. Interfaces
 * without one (tun, PPP and tunnels) give their IP packets as they are.
 */
#include "observe/capture/filter_internal.h"
#include "observe/capture/live_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef ARPHRD_IP6GRE
#define ARPHRD_IP6GRE 823
#endif

#define SNAP_BYTES 262144u
#define BUFFER_BYTES ((uint32_t)16 << 20)
#define PASSED_MAX 65536 /* packets that do not match, before the caller has a turn */

static int fails(int error, const char *call, const char *subject, struct sonde_why *ret_why)
{
    *ret_why = (struct sonde_why){.code = error, .call = call};
    snprintf(ret_why->subject, sizeof ret_why->subject, "%s", subject);
    return error;
}

/* ---- the interface */

static uint16_t link_type_of(unsigned hardware)
{
    switch (hardware) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK:
        return LINK_ETHERNET;
    case ARPHRD_NONE:
    case ARPHRD_RAWIP:
    case ARPHRD_PPP:
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
    case ARPHRD_SIT:
    case ARPHRD_IPGRE:
    case ARPHRD_IP6GRE:
        return LINK_RAW;
    default:
        return LINK_LINUX_SLL2;
    }
}

static int ask_kernel(struct capture_live *live, const char *name)
{
    struct ifreq request = {0};
    if (strlen(name) >= sizeof request.ifr_name)
        return -ENODEV;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    strcpy(request.ifr_name, name);
    int error = ioctl(fd, SIOCGIFINDEX, &request) < 0 ? -errno : 0;
    if (error == 0) {
        live->ifindex = request.ifr_ifindex;
        error = ioctl(fd, SIOCGIFHWADDR, &request) < 0 ? -errno : 0;
        live->link_type = link_type_of(request.ifr_hwaddr.sa_family);
    }
    close(fd);
    return error;
}

static int find_interface(struct capture_live *live, const char *name, struct sonde_why *ret_why)
{
    live->link_type = LINK_LINUX_SLL2;
    live->interfaces = calloc(LIVE_INTERFACES_MAX, sizeof *live->interfaces);
    if (!live->interfaces)
        return fails(-ENOMEM, "capture", name, ret_why);
    if (strcmp(name, "any") == 0)
        return 0;
    int error = ask_kernel(live, name);
    if (error < 0)
        return fails(error, "bind", name, ret_why);
    live->n_interfaces = 1;
    live->interfaces[0].index = live->ifindex;
    snprintf(live->interfaces[0].name, sizeof live->interfaces[0].name, "%s", name);
    return 0;
}

/* ---- the socket */

static int attach(int fd, struct sock_filter *program, int n_instructions)
{
    struct sock_fprog filter = {.len = (unsigned short)n_instructions, .filter = program};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0 ? -errno : 0;
}

/* The kernel filters if it can; else we do, and it only drops what nobody wants twice. */
static int set_filter(struct capture_live *live, struct capture_filter *filter, uint32_t snap_bytes)
{
    live->filter = filter;
    struct sock_filter *program = malloc(SOCKET_FILTER_MAX * sizeof *program);
    if (!program)
        return -ENOMEM;
    int error = -ENOTSUP;
    if (filter && !capture_filter_wants_vlan(filter)) {
        unsigned n, n_header = live->link_type == LINK_LINUX_SLL2 ? SLL2_HEADER_BYTES : 0;
        const struct sock_filter *compiled = capture_filter_program(filter, &n);
        int n_made = socket_filter_make(compiled, n, n_header, snap_bytes, program);
        error = n_made < 0 ? n_made : attach(live->fd, program, n_made);
    }
    if (error < 0) {
        int n_made = socket_filter_make(NULL, 0, 0, snap_bytes, program);
        error = attach(live->fd, program, n_made);
    } else {
        capture_filter_free(filter);
        live->filter = NULL;
    }
    free(program);
    return error;
}

/* Binding to an interface that is down leaves this error behind, which would be mistaken for news. */
static void clear_error(int fd)
{
    int error;
    socklen_t n_bytes = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n_bytes);
}

static int start(struct capture_live *live, const char *name, struct sonde_why *ret_why)
{
    const int on = 1;
    /* So that the kernel stamps a packet when it meets it first, and not when it comes to this socket. */
    setsockopt(live->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_ALL),
        .sll_ifindex = live->ifindex,
    };
    if (bind(live->fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return fails(errno == ENXIO ? -ENODEV : -errno, "bind", name, ret_why);
    clear_error(live->fd);
    return 0;
}

static int open_all(struct capture_live *live, const struct capture_live_options *options, const char *name,
                    struct sonde_why *ret_why)
{
    uint32_t snap_bytes = options->snap_bytes ? options->snap_bytes : SNAP_BYTES;
    int error = find_interface(live, name, ret_why);
    if (error < 0)
        return error;
    struct capture_filter *filter = NULL;
    if (options->filter && options->filter[0] != '\0') {
        error = capture_filter_compile(options->filter, live->link_type, snap_bytes, &filter, ret_why);
        if (error < 0)
            return error;
    }
    int type = live->link_type == LINK_ETHERNET ? SOCK_RAW : SOCK_DGRAM;
    error = live_socket_open(type, options->helper, &live->fd, ret_why);
    if (error < 0) {
        capture_filter_free(filter);
        return error;
    }
    error = set_filter(live, filter, snap_bytes);
    if (error < 0)
        return fails(error, "setsockopt", "SO_ATTACH_FILTER", ret_why);
    error = ring_open(&live->ring, live->fd, options->buffer_bytes ? options->buffer_bytes : BUFFER_BYTES,
                      options->snap_bytes);
    if (error < 0)
        return fails(error, "setsockopt", "PACKET_RX_RING", ret_why);
    return start(live, name, ret_why);
}

int capture_live_open(const struct capture_live_options *options, struct capture_live **ret_live,
                      struct sonde_why *ret_why)
{
    const char *name = options->interface ? options->interface : "any";
    struct capture_live *live = calloc(1, sizeof *live);
    if (!live)
        return fails(-ENOMEM, "capture", name, ret_why);
    live->fd = -1;
    int error = open_all(live, options, name, ret_why);
    if (error < 0) {
        capture_live_close(live);
        return error;
    }
    *ret_live = live;
    return 0;
}

void capture_live_close(struct capture_live *live)
{
    if (!live)
        return;
    ring_close(&live->ring);
    if (live->fd >= 0)
        close(live->fd);
    capture_filter_free(live->filter);
    free(live->interfaces);
    free(live);
}

/* ---- after that */

uint16_t capture_live_link_type(const struct capture_live *live)
{
    return live->link_type;
}

int capture_live_fd(const struct capture_live *live)
{
    return live->fd;
}

/* A socket whose interface is gone is bound to none any more. One whose interface is down stays as it is. */
static int look_for_interface(const struct capture_live *live)
{
    struct sockaddr_ll address;
    socklen_t n_bytes = sizeof address;
    clear_error(live->fd);
    if (live->ifindex == 0 || getsockname(live->fd, (struct sockaddr *)&address, &n_bytes) < 0)
        return 0;
    return address.sll_ifindex == live->ifindex ? 0 : -ENODEV;
}

int capture_live_next(struct capture_live *live, struct packet *ret_packet)
{
    for (int i = 0; i < PASSED_MAX; i++) {
        void *header = ring_next(&live->ring);
        if (!header)
            return look_for_interface(live);
        struct packet packet;
        live_packet(live, header, &packet);
        if (live->filter && !capture_filter_matches(live->filter, &packet))
            continue;
        packet.number = ++live->n_packets;
        *ret_packet = packet;
        return 1;
    }
    return 0;
}

void capture_live_counts(struct capture_live *live, uint64_t *ret_n_received, uint64_t *ret_n_dropped)
{
    struct tpacket_stats_v3 counts = {0};
    socklen_t n_bytes = sizeof counts;
    /* They begin anew each time they are read, and what was dropped is among the packets. */
    if (getsockopt(live->fd, SOL_PACKET, PACKET_STATISTICS, &counts, &n_bytes) == 0) {
        live->n_received += counts.tp_packets - counts.tp_drops;
        live->n_dropped += counts.tp_drops;
    }
    *ret_n_received = live->n_received;
    *ret_n_dropped = live->n_dropped;
}

const char *capture_live_interface_name(struct capture_live *live, uint32_t interface)
{
    return interface < live->n_interfaces ? live->interfaces[interface].name : "?";
}
