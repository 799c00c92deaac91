/* SPDX-License-Identifier: MIT */
/* A filter as text, which is parsed to the same filter. */
#include "observe/sockets/filter_internal.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct output {
    const struct sockets_filter *filter;
    char *text;
    size_t n_bytes, size_bytes;
};

static const char *const signs[] = {"=", "!=", "<", ">=", ">", "<="};

__attribute__((format(printf, 2, 3))) static void put(struct output *output, const char *format, ...)
{
    size_t room = output->size_bytes - output->n_bytes;
    va_list arguments;

    va_start(arguments, format);
    int n = vsnprintf(output->text + output->n_bytes, room, format, arguments);
    va_end(arguments);
    if (n > 0)
        output->n_bytes += (size_t)n < room ? (size_t)n : room - 1;
}

static void put_quoted(struct output *output, const struct filter_node *node)
{
    const char *words = output->filter->words + node->text;

    put(output, "\"");
    for (size_t i = 0; i < node->n_text; i++)
        put(output, words[i] == '"' || words[i] == '\\' ? "\\%c" : "%c", words[i]);
    put(output, "\"");
}

static void put_states(struct output *output, uint32_t states)
{
    bool excludes = states >> TCP_STATE_UNKNOWN & 1;
    const char *blank = "";

    if (excludes)
        states = ~states;
    if (excludes || states == 0)
        put(output, excludes ? "state all" : "exclude all");
    if (excludes)
        blank = " ";
    for (unsigned state = TCP_STATE_CLOSED; state < TCP_N_STATES; state++) {
        if (!(states >> state & 1))
            continue;
        put(output, "%s%s %s", blank, excludes ? "exclude" : "state", tcp_state_name(state));
        blank = " ";
    }
}

static void put_host(struct output *output, const struct filter_node *node)
{
    char ip[INET6_ADDRSTRLEN] = "*";

    if (node->family != 0)
        inet_ntop(node->family, node->ip, ip, sizeof ip);
    put(output, "%s %s%s", node->is_peer ? "dst" : "src", node->family == AF_INET6 ? "[" : "", ip);
    if (node->number != 0)
        put(output, "%%%u", node->number);
    put(output, "%s", node->family == AF_INET6 ? "]" : "");
    if (node->family != 0)
        put(output, "/%u", node->prefix_bits);
    if (node->has_port)
        put(output, ":%u", node->port);
}

static void put_node(struct output *output, unsigned index)
{
    const struct filter_node *node = &output->filter->node[index];

    switch ((enum filter_kind)node->kind) {
    case FILTER_AND:
    case FILTER_OR:
        put(output, "(");
        put_node(output, node->left);
        put(output, node->kind == FILTER_AND ? " and " : " or ");
        put_node(output, node->right);
        put(output, ")");
        break;
    case FILTER_NOT:
        put(output, "not ");
        put_node(output, node->left);
        break;
    case FILTER_STATE:
        put_states(output, node->states);
        break;
    case FILTER_PORT:
        put(output, "%s %s :%u", node->is_peer ? "dport" : "sport", signs[node->compare], node->port);
        break;
    case FILTER_HOST:
        put_host(output, node);
        break;
    case FILTER_DEVICE:
        put(output, "dev %u", node->number);
        break;
    case FILTER_PID:
        put(output, "pid:%u", node->number);
        break;
    case FILTER_PROCESS:
        put(output, "process:");
        put_quoted(output, node);
        break;
    case FILTER_UNREAD:
        put(output, "unread %s %u", signs[node->compare], node->number);
        break;
    case FILTER_UNSENT:
        put(output, "unsent %s %u", signs[node->compare], node->number);
        break;
    case FILTER_RETRANSMITS:
        put(output, "retransmits %s %u", signs[node->compare], node->number);
        break;
    case FILTER_TEXT:
        put_quoted(output, node);
        break;
    }
}

size_t filter_format(const struct sockets_filter *filter, char *ret_text, size_t size_bytes)
{
    struct output output = {.filter = filter, .text = ret_text, .size_bytes = size_bytes};

    ret_text[0] = '\0';
    if (filter->root >= 0)
        put_node(&output, (unsigned)filter->root);
    return output.n_bytes;
}
