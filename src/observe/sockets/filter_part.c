/* SPDX-License-Identifier: MIT */
/* The parts of a filter that are values: addresses, ports, interfaces, states. */
#include "observe/sockets/filter_internal.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define STATE(name) (UINT32_C(1) << TCP_STATE_##name)

bool filter_read_number(const char *word, uint32_t maximum, uint32_t *ret_number)
{
    uint64_t number = 0;

    if (*word == '\0')
        return false;
    for (; *word != '\0'; word++) {
        if (*word < '0' || *word > '9')
            return false;
        number = number * 10 + (uint64_t)(*word - '0');
        if (number > maximum)
            return false;
    }
    *ret_number = (uint32_t)number;
    return true;
}

static bool find_service(const char *name, uint16_t *ret_port)
{
    static const char *const protocols[] = {"tcp", "udp"};
    struct servent entry, *found = NULL;
    char room[1024];

    for (size_t i = 0; i < 2 && found == NULL; i++) {
        if (getservbyname_r(name, protocols[i], &entry, room, sizeof room, &found) != 0)
            found = NULL;
    }
    if (found == NULL)
        return false;
    *ret_port = ntohs((uint16_t)found->s_port);
    return true;
}

const char *filter_read_port(const char *word, uint16_t *ret_port)
{
    uint32_t number;

    if (*word == ':')
        word++;
    if (filter_read_number(word, UINT16_MAX, &number)) {
        *ret_port = (uint16_t)number;
        return NULL;
    }
    if (*word != '\0' && word[strspn(word, "0123456789")] == '\0')
        return "ports go from 0 to 65535";
    if (*word == '\0' || strpbrk(word, ":/[]\"'\\") != NULL || !find_service(word, ret_port))
        return "expected a port: a number, or a name such as http";
    return NULL;
}

static bool find_interface(const char *name, uint32_t *ret_interface)
{
    if (*name == '\0' || strlen(name) >= IF_NAMESIZE)
        return false;
    /* By name first: an interface may be called "5". */
    *ret_interface = if_nametoindex(name);
    return *ret_interface != 0 || (filter_read_number(name, INT32_MAX, ret_interface) && *ret_interface != 0);
}

const char *filter_read_device(const char *word, uint32_t *ret_interface)
{
    return find_interface(word, ret_interface) ? NULL : "expected an interface that is here, such as lo";
}

/* "10", "10.0", "127.0.0.1": how many parts there were; 0: it is none of these. */
static unsigned read_ipv4(const char *text, uint8_t ret_ip[16])
{
    for (unsigned n = 1; n <= 4; n++) {
        char *end;
        if (*text < '0' || *text > '9')
            return 0;
        unsigned long part = strtoul(text, &end, 10);
        if (part > 255 || end - text > 3 || (*text == '0' && end - text > 1))
            return 0;
        ret_ip[n - 1] = (uint8_t)part;
        if (*end == '\0')
            return n;
        if (*end != '.')
            return 0;
        text = end + 1;
    }
    return 0;
}

static const char *read_ipv6(char *text, struct filter_node *node)
{
    char *zone = strchr(text, '%');

    if (zone != NULL) {
        *zone++ = '\0';
        if (!find_interface(zone, &node->number))
            return "expected an interface that is here behind the percent sign";
    }
    if (inet_pton(AF_INET6, text, node->ip) != 1)
        return "this is not an IPv6 address";
    node->family = AF_INET6;
    node->prefix_bits = 128;
    return NULL;
}

static const char *read_address(char *text, bool is_prefix, struct filter_node *node)
{
    if (strcmp(text, "*") == 0 || strcasecmp(text, "any") == 0 || *text == '\0')
        return is_prefix ? "expected an address before the slash" : NULL;
    if (strchr(text, ':') != NULL)
        return read_ipv6(text, node);
    unsigned n_parts = read_ipv4(text, node->ip);
    if (n_parts == 0)
        return "expected a numeric address, such as 127.0.0.1, 10.0.0.0/8 or [::1]:7007";
    if (n_parts < 4 && !is_prefix)
        return "an IPv4 address has four parts; a shorter one is a prefix, such as 10/8";
    node->family = AF_INET;
    node->prefix_bits = 32;
    return NULL;
}

/* How far the address goes; a port or a prefix's length is behind it. */
static size_t address_length(const char *word, bool *ret_brackets)
{
    const char *first = strchr(word, ':');

    *ret_brackets = word[0] == '[';
    if (*ret_brackets)
        return strcspn(word, "]");
    /* Two colons: an IPv6 address without its brackets, which takes all. */
    bool is_ipv6 = first != NULL && strchr(first + 1, ':') != NULL;
    return strcspn(word, is_ipv6 ? "/" : "/:");
}

const char *filter_read_host(const char *word, struct filter_node *node)
{
    char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 1], length[4];
    bool in_brackets;
    size_t n = address_length(word, &in_brackets);
    const char *address = word + in_brackets, *behind = word + n + in_brackets;
    uint32_t bits = 0;

    if (in_brackets && word[n] != ']')
        return "the bracket is not closed";
    n -= in_brackets;
    if (n >= sizeof text)
        return "expected a numeric address, such as 127.0.0.1, 10.0.0.0/8 or [::1]:7007";
    memcpy(text, address, n);
    text[n] = '\0';
    if (in_brackets && strchr(text, ':') == NULL)
        return "only an IPv6 address stands in brackets";
    const char *why = read_address(text, *behind == '/', node);
    if (why != NULL)
        return why;
    if (*behind == '/') {
        size_t n_length = strcspn(++behind, ":");
        snprintf(length, sizeof length, "%.*s", (int)n_length, behind);
        if (n_length >= sizeof length || !filter_read_number(length, node->prefix_bits, &bits))
            return node->family == AF_INET ? "a prefix of an IPv4 address has 0 to 32 bits"
                                           : "a prefix of an IPv6 address has 0 to 128 bits";
        node->prefix_bits = (uint8_t)bits;
        behind += n_length;
    }
    if (*behind == '\0' || strcmp(behind, ":*") == 0)
        return NULL;
    node->has_port = true;
    return *behind == ':' ? filter_read_port(behind, &node->port) : "expected a colon and a port behind the address";
}

const char *filter_read_states(const char *word, uint32_t *ret_states)
{
    static const struct {
        const char *name;
        uint32_t states;
    } groups[] = {
        {"all", FILTER_ALL_STATES},
        {"connected", FILTER_ALL_STATES & ~(STATE(CLOSED) | STATE(LISTEN))},
        {"synchronized", FILTER_ALL_STATES & ~(STATE(CLOSED) | STATE(LISTEN) | STATE(SYN_SENT))},
        {"bucket", STATE(SYN_RECV) | STATE(TIME_WAIT)},
        {"big", FILTER_ALL_STATES & ~(STATE(SYN_RECV) | STATE(TIME_WAIT))},
        {"syn-rcv", STATE(SYN_RECV)},
        {"unconnected", STATE(CLOSED)},
    };

    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        if (strcasecmp(groups[i].name, word) == 0) {
            *ret_states = groups[i].states;
            return NULL;
        }
    }
    enum tcp_state state = tcp_state_find(word);
    if (state == TCP_N_STATES || state == TCP_STATE_UNKNOWN)
        return "expected a state: established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, closed, "
               "close-wait, last-ack, listening, closing, connected, all";
    *ret_states = UINT32_C(1) << state;
    return NULL;
}
