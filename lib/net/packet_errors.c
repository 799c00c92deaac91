/* SPDX-License-Identifier: MIT */
/*
 * The error queue of a UDP socket (IP_RECVERR, ip(7)): what ICMP has said about datagrams of ours. Each entry has the
 * address that the datagram was sent to, so that an error on a socket with many peers is told to the one that it is
 * about. What the kernel itself refuses is there too, but has been said by the send already.
 */
#include "net/packet_internal.h"

#include "net/address.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <string.h>

enum { MOST_ERRORS = 64 }; /* taken at once */

struct said {
    int error; /* negative; 0: nothing of ICMP */
    struct sonde_address says;
};

static void take_control(struct said *said, struct msghdr *header)
{
    struct sock_extended_err error;

    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control != NULL; control = CMSG_NXTHDR(header, control)) {
        bool is_error = (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_RECVERR) ||
                        (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_RECVERR);
        if (!is_error || control->cmsg_len < CMSG_LEN(sizeof error))
            continue;
        memcpy(&error, CMSG_DATA(control), sizeof error);
        if (error.ee_origin != SO_EE_ORIGIN_ICMP && error.ee_origin != SO_EE_ORIGIN_ICMP6)
            continue;
        said->error = -(int)error.ee_errno;
        address_from_sockaddr((const struct sockaddr *)(CMSG_DATA(control) + sizeof error),
                              (socklen_t)(control->cmsg_len - CMSG_LEN(sizeof error)), &said->says);
    }
}

static void tell(struct packet_socket *socket, const struct said *said, const struct sockaddr_storage *name,
                 socklen_t name_bytes)
{
    if (socket->only != NULL) {
        packet_undelivered(socket->only, said->error, &said->says);
        return;
    }
    struct packets *packets = packet_peer_named(socket->server, name, name_bytes, NULL);
    for (; packets != NULL; packets = packet_peer_named(socket->server, name, name_bytes, packets))
        packet_undelivered(packets, said->error, &said->says);
}

unsigned packet_take_errors(struct packet_socket *socket)
{
    unsigned n_taken = 0;

    for (unsigned i = 0; socket->is_udp && i < MOST_ERRORS; i++) {
        struct sockaddr_storage name;
        _Alignas(struct cmsghdr) unsigned char control[512];
        struct msghdr header = {
            .msg_name = &name, .msg_namelen = sizeof name, .msg_control = control, .msg_controllen = sizeof control};
        struct said said = {0};
        if (recvmsg(socket->io->fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            break;
        take_control(&said, &header);
        if (said.error == 0)
            continue;
        n_taken++;
        tell(socket, &said, &name, header.msg_namelen);
    }
    return n_taken;
}
