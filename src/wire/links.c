/* SPDX-License-Identifier: MIT */
/*
 * The interfaces: for each end and path a veth pair, of which one half is the end's eth0 and the other stands in the
 * middle. Nobody speaks on it by himself: no router solicitations, no duplicate address detection, no addresses but
 * those that are given here.
 */
#include "wire/wire_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_BYTES 2048
#define ANSWER_BYTES 16384
#define PREFIX_IPV4 24
#define PREFIX_IPV6 64
#define MTU_LEAST_IPV6 1280

static const char *const names_between[N_ENDS][WIRE_PATHS] = {{"a", "a-second"}, {"b", "b-second"}};
static const char *const names[WIRE_PATHS] = {WIRE_INTERFACE, WIRE_INTERFACE_SECOND};
static const char *const ipv4[N_ENDS][WIRE_PATHS] = {
    {WIRE_A_IPV4, WIRE_A_IPV4_SECOND},
    {WIRE_B_IPV4, WIRE_B_IPV4_SECOND},
};
static const char *const ipv6[N_ENDS] = {WIRE_A_IPV6, WIRE_B_IPV6};
static const char *const ipv6_local[N_ENDS] = {"fe80::1", "fe80::2"};

/* What a new interface in an end has from the beginning. A kernel without IPv6 has none of the later ones. */
static const char *const defaults_end[][2] = {
    {"/proc/sys/net/ipv6/conf/all/disable_ipv6", "0"},
    {"/proc/sys/net/ipv6/conf/default/disable_ipv6", "0"},
    {"/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0"},
    {"/proc/sys/net/ipv6/conf/default/addr_gen_mode", "1"},
    {"/proc/sys/net/ipv6/conf/default/accept_dad", "0"},
    {"/proc/sys/net/ipv6/conf/default/dad_transmits", "0"},
    {"/proc/sys/net/ipv6/conf/default/accept_ra", "0"},
    {"/proc/sys/net/ipv6/conf/default/router_solicitations", "0"},
    /* The second path is another way to the same host. */
    {"/proc/sys/net/ipv4/conf/all/rp_filter", "0"},
    {"/proc/sys/net/ipv4/conf/default/rp_filter", "0"},
};

struct message {
    _Alignas(8) char bytes[MESSAGE_BYTES];
};

static struct nlmsghdr *message_begin(struct message *message, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(message->bytes);
    header->nlmsg_type = type;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    return header;
}

/* Sends it; what answers, is in ret_answer. */
static int exchange(struct mnl_socket *netlink, const struct nlmsghdr *header, char ret_answer[ANSWER_BYTES],
                    ssize_t *ret_n)
{
    if (mnl_socket_sendto(netlink, header, header->nlmsg_len) < 0)
        return -errno;
    ssize_t n = mnl_socket_recvfrom(netlink, ret_answer, ANSWER_BYTES);
    if (n < 0)
        return -errno;
    if (!mnl_nlmsg_ok((struct nlmsghdr *)(void *)ret_answer, (int)n))
        return -EPROTO;
    *ret_n = n;
    return 0;
}

static int ask(struct mnl_socket *netlink, const struct nlmsghdr *header)
{
    _Alignas(8) char answer[ANSWER_BYTES];
    ssize_t n;
    int error = exchange(netlink, header, answer, &n);
    if (error < 0)
        return error;
    const struct nlmsghdr *first = (void *)answer;
    if (first->nlmsg_type != NLMSG_ERROR)
        return -EPROTO;
    return ((const struct nlmsgerr *)mnl_nlmsg_get_payload(first))->error;
}

/* 02:00:00:00:PATH:END, the same each time. */
static void put_pair_half(struct nlmsghdr *header, const char *name, uint32_t mtu, enum event_end end, unsigned path,
                          bool is_remote)
{
    const uint8_t hardware[6] = {0x02, 0, is_remote ? 0 : 0xff, 0, (uint8_t)path, (uint8_t)(end + 1)};
    mnl_attr_put_strz(header, IFLA_IFNAME, name);
    mnl_attr_put_u32(header, IFLA_MTU, mtu);
    mnl_attr_put(header, IFLA_ADDRESS, sizeof hardware, hardware);
}

/* With no descriptor left for a socket, the errno of if_nametoindex is of what it looked for instead. */
static int find_index(const char *name)
{
    unsigned index = if_nametoindex(name);
    if (index > 0)
        return (int)index;
    return errno == ENOENT ? -EMFILE : -errno;
}

static int make_pair(struct links *links, const struct spaces *spaces, uint32_t mtu, enum event_end end, unsigned path)
{
    struct message message;
    struct nlmsghdr *header = message_begin(&message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(header, sizeof *link);
    *link = (struct ifinfomsg){.ifi_family = AF_UNSPEC};
    put_pair_half(header, names_between[end][path], mtu, end, path, false);
    struct nlattr *info = mnl_attr_nest_start(header, IFLA_LINKINFO);
    mnl_attr_put_str(header, IFLA_INFO_KIND, "veth");
    struct nlattr *data = mnl_attr_nest_start(header, IFLA_INFO_DATA);
    struct nlattr *peer = mnl_attr_nest_start(header, VETH_INFO_PEER);
    link = mnl_nlmsg_put_extra_header(header, sizeof *link);
    *link = (struct ifinfomsg){.ifi_family = AF_UNSPEC};
    put_pair_half(header, names[path], mtu, end, path, true);
    mnl_attr_put_u32(header, IFLA_NET_NS_FD, (uint32_t)spaces->net[end]);
    mnl_attr_nest_end(header, peer);
    mnl_attr_nest_end(header, data);
    mnl_attr_nest_end(header, info);
    int error = ask(links->netlink[WIRE_BETWEEN], header);
    if (error < 0)
        return error;
    links->index[end][path] = find_index(names_between[end][path]);
    return links->index[end][path] > 0 ? 0 : links->index[end][path];
}

static int open_netlink(struct links *links, const struct spaces *spaces)
{
    for (unsigned place = 0; place < WIRE_PLACES; place++) {
        int error = spaces_enter(spaces, place);
        if (error < 0)
            return error;
        links->netlink[place] = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
        if (!links->netlink[place])
            return -errno;
        if (mnl_socket_bind(links->netlink[place], 0, MNL_SOCKET_AUTOPID) < 0)
            return -errno;
        if (place == WIRE_BETWEEN) {
            sysctl_write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
            sysctl_write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
            continue;
        }
        for (size_t i = 0; i < sizeof defaults_end / sizeof defaults_end[0]; i++)
            sysctl_write(defaults_end[i][0], defaults_end[i][1]);
    }
    return 0;
}

int links_make(struct links *links, const struct spaces *spaces, uint32_t mtu, unsigned n_paths,
               struct sonde_why *ret_why)
{
    *links = (struct links){.n_paths = n_paths};
    int error = open_netlink(links, spaces);
    if (error < 0)
        return wire_refuse(ret_why, error, "netlink");
    for (unsigned path = 0; path < n_paths; path++) {
        for (enum event_end end = END_A; end < N_ENDS; end++) {
            error = make_pair(links, spaces, mtu, end, path);
            if (error < 0)
                return wire_refuse(ret_why, error, "veth");
        }
    }
    for (enum event_end end = END_A; end < N_ENDS && error == 0; end++) {
        error = spaces_enter(spaces, end);
        for (unsigned path = 0; path < n_paths && error == 0; path++) {
            links->remote[end][path] = find_index(names[path]);
            error = links->remote[end][path] > 0 ? 0 : links->remote[end][path];
        }
    }
    int back = spaces_enter(spaces, WIRE_BETWEEN);
    if (error == 0)
        error = back;
    if (error == 0)
        error = links_offload(links, spaces, false);
    return error < 0 ? wire_refuse(ret_why, error, "ethtool") : 0;
}

static int bring_up(struct mnl_socket *netlink, int index)
{
    struct message message;
    struct nlmsghdr *header = message_begin(&message, RTM_NEWLINK, 0);
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(header, sizeof *link);
    *link = (struct ifinfomsg){
        .ifi_family = AF_UNSPEC,
        .ifi_index = index,
        .ifi_flags = IFF_UP,
        .ifi_change = IFF_UP,
    };
    return ask(netlink, header);
}

static int add_address(struct mnl_socket *netlink, int index, int family, const char *text)
{
    struct message message;
    struct nlmsghdr *header = message_begin(&message, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
    struct ifaddrmsg *about = mnl_nlmsg_put_extra_header(header, sizeof *about);
    uint8_t bytes[16];
    bool is_ipv4 = family == AF_INET;
    *about = (struct ifaddrmsg){
        .ifa_family = (uint8_t)family,
        .ifa_prefixlen = is_ipv4 ? PREFIX_IPV4 : PREFIX_IPV6,
        .ifa_flags = is_ipv4 ? 0 : IFA_F_NODAD,
        .ifa_scope = strncmp(text, "fe80:", 5) == 0 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
        .ifa_index = (uint32_t)index,
    };
    if (inet_pton(family, text, bytes) != 1)
        return -EINVAL;
    mnl_attr_put(header, IFA_LOCAL, is_ipv4 ? 4 : 16, bytes);
    mnl_attr_put(header, IFA_ADDRESS, is_ipv4 ? 4 : 16, bytes);
    return ask(netlink, header);
}

/* Without IPv6, by the kernel's making or because the interface is too small for it, a wire is one of IPv4. */
static bool is_without_ipv6(int error)
{
    return error == -EAFNOSUPPORT || error == -EOPNOTSUPP || error == -ENODEV || error == -EACCES || error == -EINVAL ||
           error == -ENOBUFS;
}

static int address_end(struct links *links, enum event_end end)
{
    for (unsigned path = 0; path < links->n_paths; path++) {
        int error = add_address(links->netlink[end], links->remote[end][path], AF_INET, ipv4[end][path]);
        if (error < 0)
            return error;
    }
    int index = links->remote[end][0], error = add_address(links->netlink[end], index, AF_INET6, ipv6[end]);
    if (error == 0)
        error = add_address(links->netlink[end], index, AF_INET6, ipv6_local[end]);
    return is_without_ipv6(error) ? 0 : error;
}

int links_up(struct links *links, struct sonde_why *ret_why)
{
    int error = bring_up(links->netlink[WIRE_BETWEEN], 1);
    for (unsigned path = 0; path < links->n_paths && error == 0; path++) {
        error = bring_up(links->netlink[WIRE_BETWEEN], links->index[END_A][path]);
        if (error == 0)
            error = bring_up(links->netlink[WIRE_BETWEEN], links->index[END_B][path]);
    }
    for (enum event_end end = END_A; end < N_ENDS && error == 0; end++) {
        error = bring_up(links->netlink[end], 1);
        for (unsigned path = 0; path < links->n_paths && error == 0; path++)
            error = bring_up(links->netlink[end], links->remote[end][path]);
        if (error == 0)
            error = address_end(links, end);
    }
    return error < 0 ? wire_refuse(ret_why, error, "rtnetlink") : 0;
}

int links_offload(const struct links *links, const struct spaces *spaces, bool on)
{
    int error = 0;
    for (enum event_end end = END_A; end < N_ENDS && error == 0; end++) {
        for (unsigned path = 0; path < links->n_paths && error == 0; path++)
            error = offload_set(links->index[end][path], on);
        if (error == 0)
            error = spaces_enter(spaces, end);
        for (unsigned path = 0; path < links->n_paths && error == 0; path++)
            error = offload_set(links->remote[end][path], on);
        int back = spaces_enter(spaces, WIRE_BETWEEN);
        if (error == 0)
            error = back;
    }
    return error;
}

/* The other end's first address over this path; over the first one that is the subnet's own route. */
int links_route(struct links *links, enum event_end end, unsigned path)
{
    struct message message;
    struct nlmsghdr *header = path == 0 ? message_begin(&message, RTM_DELROUTE, 0)
                                        : message_begin(&message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    struct rtmsg *route = mnl_nlmsg_put_extra_header(header, sizeof *route);
    uint8_t destination[4], source[4];
    inet_pton(AF_INET, ipv4[other_end(end)][0], destination);
    inet_pton(AF_INET, ipv4[end][0], source);
    *route = (struct rtmsg){
        .rtm_family = AF_INET,
        .rtm_dst_len = 32,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = RTPROT_STATIC,
        .rtm_scope = RT_SCOPE_LINK,
        .rtm_type = RTN_UNICAST,
    };
    mnl_attr_put(header, RTA_DST, sizeof destination, destination);
    mnl_attr_put_u32(header, RTA_OIF, (uint32_t)links->remote[end][1]);
    mnl_attr_put(header, RTA_PREFSRC, sizeof source, source);
    int error = ask(links->netlink[end], header);
    return path == 0 && error == -ESRCH ? 0 : error;
}

static int find_counts(const struct nlattr *attribute, void *data)
{
    struct link_counts *counts = data;
    struct rtnl_link_stats64 stats = {0};
    if (mnl_attr_get_type(attribute) != IFLA_STATS64)
        return MNL_CB_OK;
    size_t n = mnl_attr_get_payload_len(attribute);
    memcpy(&stats, mnl_attr_get_payload(attribute), n < sizeof stats ? n : sizeof stats);
    *counts = (struct link_counts){.n_sent = stats.tx_packets, .n_dropped = stats.tx_dropped};
    return MNL_CB_STOP;
}

int links_count(struct links *links, unsigned place, int index, struct link_counts *ret_counts)
{
    struct message message;
    _Alignas(8) char answer[ANSWER_BYTES];
    ssize_t n;
    struct nlmsghdr *header = message_begin(&message, RTM_GETLINK, 0);
    header->nlmsg_flags = NLM_F_REQUEST;
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(header, sizeof *link);
    *link = (struct ifinfomsg){.ifi_family = AF_UNSPEC, .ifi_index = index};
    int error = exchange(links->netlink[place], header, answer, &n);
    if (error < 0)
        return error;
    const struct nlmsghdr *first = (void *)answer;
    if (first->nlmsg_type != RTM_NEWLINK)
        return -EPROTO;
    struct link_counts counts = {0};
    mnl_attr_parse(first, sizeof(struct ifinfomsg), find_counts, &counts);
    *ret_counts = counts;
    return 0;
}

void links_free(struct links *links)
{
    for (unsigned place = 0; place < WIRE_PLACES; place++) {
        if (links->netlink[place])
            mnl_socket_close(links->netlink[place]);
    }
}
