/* SPDX-License-Identifier: MIT */
/* What the sockets of messages need besides what the URL's options say; groups. */
#include "net/packet_internal.h"

#include "base/parse.h"
#include "net/address.h"
#include "net/resolve.h"
#include "net/scheme.h"
#include "net/sockopt.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#ifndef IP_MULTICAST_ALL
#define IP_MULTICAST_ALL 49
#endif
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

struct target {
    struct sonde_loop *loop;
    uint64_t stream_id;
    int fd;
};

static int set(const struct target *to, int level, int name, int value)
{
    return call_setsockopt(to->loop, to->stream_id, to->fd, level, name, &value, sizeof value);
}

bool packet_is_many(const struct sonde_address *address)
{
    static const uint8_t any[16];

    return address_is_multicast(address) || memcmp(address->u.ip, any, sizeof any) == 0;
}

bool packet_is_group(const struct sonde_url *url, const struct sonde_address *address)
{
    if (url->scheme != SONDE_SCHEME_UDP)
        return false;
    return address_is_multicast(address) ||
           (sockopt_is_set(url, SONDE_OPT_BROADCAST) && url->option[SONDE_OPT_BROADCAST].number != 0);
}

static int prepare_udp(const struct target *to, const struct sonde_url *url, const struct sonde_address *address)
{
    bool is_ipv6 = address->family == AF_INET6;
    int level = is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;

    int error = set(to, SOL_SOCKET, SO_RXQ_OVFL, 1);
    if (error == 0)
        error = set(to, level, is_ipv6 ? IPV6_RECVERR : IP_RECVERR, 1);
    if (error == 0 && packet_is_many(address))
        error = set(to, level, is_ipv6 ? IPV6_RECVPKTINFO : IP_PKTINFO, 1);
    /* To a group a datagram goes with a time to live of its own. */
    if (error == 0 && sockopt_is_set(url, SONDE_OPT_TTL))
        error =
            set(to, level, is_ipv6 ? IPV6_MULTICAST_HOPS : IP_MULTICAST_TTL, (int)url->option[SONDE_OPT_TTL].number);
    if (error == 0 && sockopt_is_set(url, SONDE_OPT_JOIN)) {
        /* Several programs may listen to a group; and nothing of other people's groups is for us. */
        error = set(to, SOL_SOCKET, SO_REUSEADDR, 1);
        if (error == 0)
            error = set(to, level, is_ipv6 ? IPV6_MULTICAST_ALL : IP_MULTICAST_ALL, 0);
    }
    return error;
}

int packet_prepare(struct sonde_loop *loop, uint64_t stream_id, int fd, const struct sonde_url *url,
                   const struct sonde_address *address)
{
    const struct target to = {.loop = loop, .stream_id = stream_id, .fd = fd};

    if (url->scheme == SONDE_SCHEME_UDP)
        return prepare_udp(&to, url, address);
    if (url->scheme == SONDE_SCHEME_UNIXGRAM && stream_id == 0) /* a server: who it is that sends */
        return set(&to, SOL_SOCKET, SO_PASSCRED, 1);
    return 0;
}

int packet_autobind(struct sonde_loop *loop, uint64_t stream_id, int fd)
{
    const struct sockaddr_storage unnamed = {.ss_family = AF_UNIX};

    return call_bind(loop, stream_id, fd, (const struct sockaddr *)&unnamed, sizeof unnamed.ss_family);
}

/* --- groups
 * ------------------------------------------------------------------------------------------------------------ */

static int refuse(struct sonde_why *why, int error, const char *subject, const char *detail)
{
    *why = (struct sonde_why){.code = error, .call = "join"};
    snprintf(why->subject, sizeof why->subject, "%.150s", subject);
    snprintf(why->detail, sizeof why->detail, "%s", detail);
    return error;
}

/* GROUP, or GROUP%INTERFACE, which IPv4 addresses do not have elsewhere. */
static int parse_group(const char *text, struct sonde_address *ret_group)
{
    char host[sizeof((struct sonde_option_value *)NULL)->text];
    size_t n = strcspn(text, "%");
    uint64_t index = 0;

    if (n >= sizeof host)
        return -EINVAL;
    memcpy(host, text, n);
    host[n] = '\0';
    int error = address_parse_numeric(host, AF_UNSPEC, ret_group);
    if (error < 0 || text[n] == '\0')
        return error;
    index = if_nametoindex(text + n + 1);
    if (index == 0 && (parse_number(text + n + 1, strlen(text + n + 1), false, UINT32_MAX, &index) < 0 || index == 0))
        return -ENODEV;
    ret_group->scope = (uint32_t)index;
    return 0;
}

int packet_find_group(const struct sonde_url *url, int family, struct addresses *ret_addresses,
                      struct sonde_address *ret_group, struct sonde_why *why)
{
    const char *join = url->option[SONDE_OPT_JOIN].text;
    const char *text = strcmp(join, "1") == 0 ? url->host : join;
    struct addresses addresses = {.n = 1};
    struct sonde_address group;

    int error = parse_group(text, &group);
    if (error == -ENODEV)
        return refuse(why, error, text, "there is no such network interface; 'ip link' lists them");
    if (error < 0 || !address_is_multicast(&group))
        return refuse(why, -EINVAL, text, "a group's address is one of 224.0.0.0/4 or ff00::/8, in numbers");
    if (family != AF_UNSPEC && group.family != family)
        return refuse(why, -EAFNOSUPPORT, text, "the group is of the other family");
    addresses.list[0] = group;
    if (strcmp(url->host, "*") == 0) {
        memset(addresses.list[0].u.ip, 0, sizeof addresses.list[0].u.ip);
    } else if (url->host[0] != '\0' && text != url->host) {
        struct sonde_address bound;
        if (parse_group(url->host, &bound) < 0 || bound.family != group.family || !packet_is_many(&bound))
            return refuse(why, -EINVAL, url->host,
                          "bound to an address of this machine, a socket hears no group; leave it out, or say *");
        addresses.list[0] = bound;
    }
    if (group.family == AF_INET) /* an interface is not part of such an address */
        addresses.list[0].scope = 0;
    *ret_addresses = addresses;
    *ret_group = group;
    return 0;
}

int packet_join(struct sonde_loop *loop, int fd, const struct sonde_address *group, struct sonde_why *why)
{
    char text[SONDE_ADDRESS_TEXT];
    int error;

    if (group->family == AF_INET) {
        struct ip_mreqn request = {.imr_ifindex = (int)group->scope};
        memcpy(&request.imr_multiaddr, group->u.ip, sizeof request.imr_multiaddr);
        error = call_setsockopt(loop, 0, fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request);
    } else {
        struct ipv6_mreq request = {.ipv6mr_interface = group->scope};
        memcpy(&request.ipv6mr_multiaddr, group->u.ip, sizeof request.ipv6mr_multiaddr);
        error = call_setsockopt(loop, 0, fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request);
    }
    if (error == 0)
        return 0;
    address_format_host(group, text, sizeof text);
    return refuse(why, error, text,
                  error == -ENODEV ? "no interface has a route for it; name one, as in join=239.1.2.3%eth0" : "");
}
