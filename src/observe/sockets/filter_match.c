/* SPDX-License-Identifier: MIT */
/*
 * Does a socket match? Three answers are needed: while owners are not known, a condition on them may be true or not,
 * and so may whatever depends on it. Kleene's logic: "not" leaves MAYBE alone, "and" is the least of both, "or" the
 * most.
 */
#include "observe/sockets/filter_internal.h"
#include "observe/sockets/sockets_internal.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum answer { NO, MAYBE, YES };

#define HOLDER_TEXT (OWNER_NAME_MAX + 24)

struct question {
    const struct sockets_filter *filter;
    const struct socket_info *socket;
    const struct filter_owner *owner; /* NULL: nobody is known */
    bool owner_unknown;               /* somebody else will ask again, with an owner */
};

static enum answer answer_of(bool is_so)
{
    return is_so ? YES : NO;
}

static bool is_inet(const struct socket_info *socket)
{
    return socket->family == AF_INET || socket->family == AF_INET6;
}

static bool compare(uint64_t value, enum filter_compare how, uint64_t with)
{
    switch (how) {
    case COMPARE_EQ:
        return value == with;
    case COMPARE_NE:
        return value != with;
    case COMPARE_LT:
        return value < with;
    case COMPARE_GE:
        return value >= with;
    case COMPARE_GT:
        return value > with;
    case COMPARE_LE:
        return value <= with;
    }
    return false;
}

/* ---- addresses */

static bool same_bits(const uint8_t *one, const uint8_t *other, unsigned n_bits)
{
    unsigned n_bytes = n_bits / 8, n_left = n_bits % 8;

    if (memcmp(one, other, n_bytes) != 0)
        return false;
    return n_left == 0 || (one[n_bytes] ^ other[n_bytes]) >> (8 - n_left) == 0;
}

/* As the kernel's filter has it: an IPv4 prefix also takes what an IPv6 socket sees as ::ffff:a.b.c.d. */
static bool address_matches(const struct filter_node *node, const struct sonde_address *address)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    if (node->family == 0)
        return true;
    if (node->number != 0 && node->number != address->scope)
        return false;
    if (node->family == address->family)
        return same_bits(node->ip, address->u.ip, node->prefix_bits);
    return node->family == AF_INET && address->family == AF_INET6 &&
           memcmp(address->u.ip, mapped, sizeof mapped) == 0 &&
           same_bits(node->ip, address->u.ip + sizeof mapped, node->prefix_bits);
}

static bool host_matches(const struct filter_node *node, const struct socket_info *socket)
{
    const struct sonde_address *address = node->is_peer ? &socket->peer : &socket->local;

    return is_inet(socket) && (!node->has_port || node->port == address->port) && address_matches(node, address);
}

static bool port_matches(const struct filter_node *node, const struct socket_info *socket)
{
    uint16_t port = node->is_peer ? socket->peer.port : socket->local.port;

    if (!is_inet(socket)) /* "not this port" is true of what has none */
        return node->compare == COMPARE_NE;
    return compare(port, node->compare, node->port);
}

/* ---- text */

static char lower(char byte)
{
    return (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
}

static bool contains(const char *text, size_t n_text, const char *word, size_t n_word)
{
    for (size_t i = 0; i + n_word <= n_text; i++) {
        size_t n = 0;
        while (n < n_word && lower(text[i + n]) == lower(word[n]))
            n++;
        if (n == n_word)
            return true;
    }
    return false;
}

static bool in_address(const struct sonde_address *address, const char *word, size_t n_word)
{
    static const uint8_t zero[16];
    char text[SONDE_ADDRESS_TEXT];
    size_t n = sonde_address_format(address, text, sizeof text);

    if (contains(text, n, word, n_word))
        return true;
    /* "*:7007" is shown for any address. */
    if (memcmp(address->u.ip, zero, sizeof zero) != 0)
        return false;
    n = (size_t)(address->port != 0 ? snprintf(text, sizeof text, "*:%u", address->port)
                                    : snprintf(text, sizeof text, "*:*"));
    return contains(text, n, word, n_word);
}

static bool in_unix_name(const struct socket_info *socket, const char *word, size_t n_word)
{
    char name[SOCKET_UNIX_NAME_MAX + 1];

    memcpy(name, socket->unix_name, socket->n_unix_name);
    if (socket->n_unix_name > 0 && name[0] == '\0')
        name[0] = '@';
    return contains(name, socket->n_unix_name, word, n_word);
}

static bool in_shown(const struct socket_info *socket, const char *word, size_t n_word)
{
    const char *state = tcp_state_name(socket->state);

    if (contains(state, strlen(state), word, n_word))
        return true;
    if (socket->family == AF_UNIX)
        return in_unix_name(socket, word, n_word);
    return in_address(&socket->local, word, n_word) || in_address(&socket->peer, word, n_word);
}

/* ---- owners */

static bool holder_matches(const struct filter_node *node, const char *words, int32_t pid, const char *program)
{
    char text[HOLDER_TEXT];
    int n;

    switch (node->kind) {
    case FILTER_PID:
        return (uint32_t)pid == node->number;
    case FILTER_PROCESS:
        return strlen(program) == node->n_text && memcmp(program, words, node->n_text) == 0;
    default:
        n = snprintf(text, sizeof text, "%.*s[%d]", OWNER_NAME_MAX, program, (int)pid);
        return contains(text, (size_t)n, words, node->n_text);
    }
}

static enum answer ask_owner(const struct question *question, const struct filter_node *node)
{
    const char *words = question->filter->words + node->text, *program = "";
    const struct filter_owner *owner = question->owner;
    int32_t pid = 0;

    if (question->owner_unknown)
        return MAYBE;
    if (owner == NULL || question->socket->inode == 0)
        return NO;
    if (owner->owners != NULL) {
        const struct owner *holder = owners_find(owner->owners, question->socket->inode);
        while (holder != NULL && !holder_matches(node, words, holder->pid, holder->program))
            holder = holder->next;
        return answer_of(holder != NULL);
    }
    return answer_of(owner->find != NULL && owner->find(question->socket->inode, &pid, &program, owner->user) &&
                     holder_matches(node, words, pid, program != NULL ? program : ""));
}

/* ---- the tree */

static uint32_t unread_of(const struct socket_info *socket)
{
    return socket->state == TCP_STATE_LISTEN ? 0 : socket->receive_queue;
}

/* What TCP has not sent at all; what others have not got rid of. While a FIN waits it is the last of what waits, and
 * counted as a byte. */
static uint32_t unsent_of(const struct socket_info *socket)
{
    uint32_t n_bytes = socket->has_info ? socket->info.notsent_bytes : 0;

    if (socket->state == TCP_STATE_LISTEN)
        return 0;
    if (socket->protocol != IPPROTO_TCP)
        return socket->send_queue;
    bool has_fin = socket->state == TCP_STATE_FIN_WAIT_1 || socket->state == TCP_STATE_CLOSING ||
                   socket->state == TCP_STATE_LAST_ACK;
    return n_bytes > 0 && has_fin ? n_bytes - 1 : n_bytes;
}

static enum answer ask_condition(const struct question *question, const struct filter_node *node)
{
    const struct socket_info *socket = question->socket;

    switch ((enum filter_kind)node->kind) {
    case FILTER_STATE:
        return answer_of(node->states >> socket->state & 1);
    case FILTER_PORT:
        return answer_of(port_matches(node, socket));
    case FILTER_HOST:
        return answer_of(host_matches(node, socket));
    case FILTER_DEVICE:
        return answer_of(socket->interface == node->number);
    case FILTER_UNREAD:
        return answer_of(compare(unread_of(socket), node->compare, node->number));
    case FILTER_UNSENT:
        return answer_of(compare(unsent_of(socket), node->compare, node->number));
    case FILTER_RETRANSMITS:
        return answer_of(compare(socket->n_retransmits, node->compare, node->number));
    case FILTER_TEXT:
        if (in_shown(socket, question->filter->words + node->text, node->n_text))
            return YES;
        return ask_owner(question, node);
    case FILTER_PID:
    case FILTER_PROCESS:
    case FILTER_AND:
    case FILTER_OR:
    case FILTER_NOT:
        break;
    }
    return ask_owner(question, node);
}

static enum answer ask(const struct question *question, unsigned index)
{
    const struct filter_node *node = &question->filter->node[index];
    enum answer left, right;

    switch ((enum filter_kind)node->kind) {
    case FILTER_NOT:
        return YES - ask(question, node->left);
    case FILTER_AND:
        left = ask(question, node->left);
        right = left == NO ? NO : ask(question, node->right);
        return left < right ? left : right;
    case FILTER_OR:
        left = ask(question, node->left);
        right = left == YES ? YES : ask(question, node->right);
        return left > right ? left : right;
    default:
        return ask_condition(question, node);
    }
}

bool filter_matches(const struct sockets_filter *filter, const struct socket_info *socket,
                    const struct filter_owner *owner)
{
    const struct question question = {.filter = filter, .socket = socket, .owner = owner};

    return filter->root < 0 || ask(&question, (unsigned)filter->root) == YES;
}

bool filter_may_match(const struct sockets_filter *filter, const struct socket_info *socket)
{
    const struct question question = {.filter = filter, .socket = socket, .owner_unknown = true};

    return filter->root < 0 || ask(&question, (unsigned)filter->root) != NO;
}

bool filter_needs_owner(const struct sockets_filter *filter)
{
    for (unsigned i = 0; i < filter->n_nodes; i++) {
        unsigned kind = filter->node[i].kind;
        if (kind == FILTER_PID || kind == FILTER_PROCESS || kind == FILTER_TEXT)
            return true;
    }
    return false;
}

unsigned filter_needs(const struct sockets_filter *filter)
{
    for (unsigned i = 0; i < filter->n_nodes; i++) {
        if (filter->node[i].kind == FILTER_UNSENT)
            return SOCKETS_WITH_INFO;
    }
    return 0;
}
