/* SPDX-License-Identifier: MIT */
/*
 * Numbers become the names that the manual pages use; what no table knows stays a number. A line is built from left to
 * right in the caller's buffer: time, call, result, and far to the right how long it took.
 */
#include "observe/calls/calls.h"

#include "term/escape.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sonde/url.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define PREVIEW_BYTES 32 /* of a peer's data */
#define PATH_TEXT 200    /* of an escaped path */
#define TOOK_COLUMN 84   /* where "how long" may begin */
#define TOOK_WIDTH 12

#define MESSAGE_BYTES SEGMENT_PREVIEW_MAX
#define CLOSE_CODE_BYTES 2 /* RFC 6455, 5.5.1 */
#define CLOSE_CODE_NONE 1005

#define US_PER_S 1000000

struct line {
    char *text;
    size_t n_bytes, size_bytes;
};

struct name {
    int value;
    const char *text;
};

#define NAME(constant) constant, #constant
#define N_ROWS(table) (sizeof(table) / sizeof((table)[0]))

static const struct name families[] = {
    {NAME(AF_UNSPEC)},  {NAME(AF_UNIX)},   {NAME(AF_INET)},  {NAME(AF_INET6)},
    {NAME(AF_NETLINK)}, {NAME(AF_PACKET)}, {NAME(AF_VSOCK)},
};

static const struct name types[] = {
    {NAME(SOCK_STREAM)},
    {NAME(SOCK_DGRAM)},
    {NAME(SOCK_SEQPACKET)},
    {NAME(SOCK_RAW)},
};

static const struct name type_flags[] = {
    {NAME(SOCK_CLOEXEC)},
    {NAME(SOCK_NONBLOCK)},
};

static const struct name protocols[] = {
    {NAME(IPPROTO_TCP)},
    {NAME(IPPROTO_UDP)},
    {NAME(IPPROTO_MPTCP)},
    {NAME(IPPROTO_SCTP)},
};

static const struct name levels[] = {
    {NAME(SOL_SOCKET)}, {NAME(IPPROTO_IP)}, {NAME(IPPROTO_IPV6)}, {NAME(IPPROTO_TCP)}, {NAME(IPPROTO_UDP)},
};

static const struct name hows[] = {
    {NAME(SHUT_RD)},
    {NAME(SHUT_WR)},
    {NAME(SHUT_RDWR)},
};

static const struct name layers[] = {
    {SONDE_LAYER_TLS, "TLS"},
    {SONDE_LAYER_WS, "WebSocket"},
    {SONDE_LAYER_HTTP, "HTTP"},
    {SONDE_LAYER_ANY, "any"},
};

static const struct name message_flags[] = {
    {NAME(MSG_OOB)},      {NAME(MSG_PEEK)},    {NAME(MSG_DONTROUTE)}, {NAME(MSG_TRUNC)},
    {NAME(MSG_DONTWAIT)}, {NAME(MSG_WAITALL)}, {NAME(MSG_ERRQUEUE)},  {NAME(MSG_NOSIGNAL)},
    {NAME(MSG_MORE)},     {NAME(MSG_EOR)},     {NAME(MSG_ZEROCOPY)},  {NAME(MSG_FASTOPEN)},
};

/* What the value of a socket option is. */
enum value_kind { VALUE_NUMBER, VALUE_TEXT, VALUE_LINGER, VALUE_OTHER };

struct socket_option {
    int level, value;
    const char *text;
    enum value_kind kind;
};

static const struct socket_option socket_options[] = {
    {SOL_SOCKET, NAME(SO_REUSEADDR), VALUE_NUMBER},
    {SOL_SOCKET, NAME(SO_REUSEPORT), VALUE_NUMBER},
    {SOL_SOCKET, NAME(SO_KEEPALIVE), VALUE_NUMBER},
    {SOL_SOCKET, NAME(SO_SNDBUF), VALUE_NUMBER},
    {SOL_SOCKET, NAME(SO_RCVBUF), VALUE_NUMBER},
    {SOL_SOCKET, NAME(SO_LINGER), VALUE_LINGER},
    {SOL_SOCKET, NAME(SO_MARK), VALUE_NUMBER},
    {SOL_SOCKET, NAME(SO_BINDTODEVICE), VALUE_TEXT},
    {SOL_SOCKET, NAME(SO_PASSCRED), VALUE_NUMBER},
    {SOL_SOCKET, NAME(SO_ZEROCOPY), VALUE_NUMBER},
    {SOL_SOCKET, NAME(SO_INCOMING_CPU), VALUE_NUMBER},
    {SOL_SOCKET, NAME(SO_BUSY_POLL), VALUE_NUMBER},
    {SOL_SOCKET, NAME(SO_RXQ_OVFL), VALUE_NUMBER},
    {SOL_SOCKET, NAME(SO_BROADCAST), VALUE_NUMBER},
    {SOL_SOCKET, NAME(SO_TIMESTAMPNS), VALUE_NUMBER},
    {IPPROTO_TCP, NAME(TCP_NODELAY), VALUE_NUMBER},
    {IPPROTO_TCP, NAME(TCP_CORK), VALUE_NUMBER},
    {IPPROTO_TCP, NAME(TCP_KEEPIDLE), VALUE_NUMBER},
    {IPPROTO_TCP, NAME(TCP_KEEPINTVL), VALUE_NUMBER},
    {IPPROTO_TCP, NAME(TCP_KEEPCNT), VALUE_NUMBER},
    {IPPROTO_TCP, NAME(TCP_USER_TIMEOUT), VALUE_NUMBER},
    {IPPROTO_TCP, NAME(TCP_CONGESTION), VALUE_TEXT},
    {IPPROTO_TCP, NAME(TCP_QUICKACK), VALUE_NUMBER},
    {IPPROTO_TCP, NAME(TCP_DEFER_ACCEPT), VALUE_NUMBER},
    {IPPROTO_TCP, NAME(TCP_FASTOPEN), VALUE_NUMBER},
    {IPPROTO_TCP, NAME(TCP_FASTOPEN_CONNECT), VALUE_NUMBER},
    {IPPROTO_TCP, NAME(TCP_MAXSEG), VALUE_NUMBER},
    {IPPROTO_TCP, NAME(TCP_SYNCNT), VALUE_NUMBER},
    {IPPROTO_TCP, NAME(TCP_LINGER2), VALUE_NUMBER},
    {IPPROTO_TCP, NAME(TCP_NOTSENT_LOWAT), VALUE_NUMBER},
    {IPPROTO_IP, NAME(IP_TTL), VALUE_NUMBER},
    {IPPROTO_IP, NAME(IP_TOS), VALUE_NUMBER},
    {IPPROTO_IP, NAME(IP_FREEBIND), VALUE_NUMBER},
    {IPPROTO_IP, NAME(IP_BIND_ADDRESS_NO_PORT), VALUE_NUMBER},
    {IPPROTO_IP, NAME(IP_PKTINFO), VALUE_NUMBER},
    {IPPROTO_IP, NAME(IP_RECVERR), VALUE_NUMBER},
    {IPPROTO_IP, NAME(IP_MULTICAST_TTL), VALUE_NUMBER},
    {IPPROTO_IP, NAME(IP_MULTICAST_LOOP), VALUE_NUMBER},
    {IPPROTO_IP, NAME(IP_MULTICAST_ALL), VALUE_NUMBER},
    {IPPROTO_IP, NAME(IP_MULTICAST_IF), VALUE_OTHER},
    {IPPROTO_IP, NAME(IP_ADD_MEMBERSHIP), VALUE_OTHER},
    {IPPROTO_IPV6, NAME(IPV6_UNICAST_HOPS), VALUE_NUMBER},
    {IPPROTO_IPV6, NAME(IPV6_TCLASS), VALUE_NUMBER},
    {IPPROTO_IPV6, NAME(IPV6_V6ONLY), VALUE_NUMBER},
    {IPPROTO_IPV6, NAME(IPV6_RECVPKTINFO), VALUE_NUMBER},
    {IPPROTO_IPV6, NAME(IPV6_RECVERR), VALUE_NUMBER},
    {IPPROTO_IPV6, NAME(IPV6_MULTICAST_HOPS), VALUE_NUMBER},
    {IPPROTO_IPV6, NAME(IPV6_MULTICAST_LOOP), VALUE_NUMBER},
    {IPPROTO_IPV6, NAME(IPV6_MULTICAST_ALL), VALUE_NUMBER},
    {IPPROTO_IPV6, NAME(IPV6_MULTICAST_IF), VALUE_NUMBER},
    {IPPROTO_IPV6, NAME(IPV6_JOIN_GROUP), VALUE_OTHER},
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = line->size_bytes - line->n_bytes;
    int length = vsnprintf(line->text + line->n_bytes, room, format, arguments);
    va_end(arguments);
    if (length > 0)
        line->n_bytes += (size_t)length < room ? (size_t)length : room - 1;
}

static const char *name_of(const struct name *table, size_t n_rows, int value)
{
    for (size_t i = 0; i < n_rows; i++) {
        if (table[i].value == value)
            return table[i].text;
    }
    return NULL;
}

static void add_name(struct line *line, const struct name *table, size_t n_rows, int value)
{
    const char *text = name_of(table, n_rows, value);
    if (text)
        add(line, "%s", text);
    else
        add(line, "%d", value);
}

static void add_flags(struct line *line, const char *before, const struct name *table, size_t n_rows, int value)
{
    unsigned left = (unsigned)value;
    for (size_t i = 0; i < n_rows; i++) {
        unsigned flag = (unsigned)table[i].value;
        if ((left & flag) != flag)
            continue;
        add(line, "%s%s", before, table[i].text);
        before = "|";
        left &= ~flag;
    }
    if (left)
        add(line, "%s%#x", before, left);
}

/* The first bytes in quotes; dots behind the quotes say that there are more. */
static void add_preview(struct line *line, const void *data, uint64_t n_bytes)
{
    const unsigned char *bytes = data;
    size_t n = n_bytes < PREVIEW_BYTES ? (size_t)n_bytes : PREVIEW_BYTES;
    if (n < n_bytes) {
        /* Not through the middle of a character, if it is one. */
        size_t whole = n;
        while (whole > n - 3 && (bytes[whole] & 0xc0) == 0x80)
            whole--;
        if (utf8_is_valid(bytes, whole))
            n = whole;
    }
    char text[PREVIEW_BYTES * ESCAPE_MAX_PER_BYTE + 1];
    escape_short(bytes, n, text, sizeof text);
    add(line, "\"");
    for (const char *c = text; *c; c++)
        add(line, *c == '"' ? "\\%c" : "%c", *c);
    add(line, n < n_bytes ? "\"..." : "\"");
}

static void add_address(struct line *line, const struct sonde_probe_event *event)
{
    if (!event->path) {
        char text[SONDE_ADDRESS_TEXT];
        sonde_address_format(&event->address, text, sizeof text);
        add(line, "%s", text);
        return;
    }
    /* A path's name may end with the NUL that the kernel allows there; an abstract name begins with one (unix(7)). */
    char text[PATH_TEXT];
    size_t n = (size_t)event->path_bytes;
    bool abstract = n > 0 && event->path[0] == '\0';
    const char *name = abstract ? event->path + 1 : event->path;
    escape_short(name, abstract ? n - 1 : strnlen(name, n), text, sizeof text);
    add(line, abstract ? "unix:@%s" : "unix:%s", text);
}

static void add_linger(struct line *line, const struct sonde_probe_event *event)
{
    struct linger linger;
    if (!event->data || event->n_bytes < sizeof linger)
        return;
    memcpy(&linger, event->data, sizeof linger);
    add(line, ", {l_onoff=%d, l_linger=%d}", linger.l_onoff, linger.l_linger);
}

static void add_socket_option(struct line *line, const struct sonde_probe_event *event)
{
    const struct socket_option *option = NULL;
    int level = event->args[0], name = event->args[1], value = event->args[2];
    for (size_t i = 0; i < N_ROWS(socket_options) && !option; i++) {
        if (socket_options[i].level == level && socket_options[i].value == name)
            option = &socket_options[i];
    }
    add(line, ", ");
    add_name(line, levels, N_ROWS(levels), level);
    if (!option) {
        add(line, ", %d, %d", name, value);
        return;
    }
    add(line, ", %s", option->text);
    switch (option->kind) {
    case VALUE_NUMBER:
        add(line, ", %d", value);
        break;
    case VALUE_LINGER:
        add_linger(line, event);
        break;
    case VALUE_OTHER: /* a struct: its size */
        add(line, ", {...}, %" PRIu64, event->n_bytes);
        break;
    case VALUE_TEXT:
        if (event->data) {
            add(line, ", ");
            add_preview(line, event->data, strnlen(event->data, (size_t)event->n_bytes));
        }
        break;
    }
}

static void add_socket(struct line *line, const struct sonde_probe_event *event)
{
    const int flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    add_name(line, families, N_ROWS(families), event->args[0]);
    add(line, ", ");
    add_name(line, types, N_ROWS(types), event->args[1] & ~flags);
    add_flags(line, "|", type_flags, N_ROWS(type_flags), event->args[1] & flags);
    add(line, ", ");
    if (event->args[2] == 0)
        add(line, "0"); /* the family's own; IPPROTO_IP is 0 too, and not meant */
    else
        add_name(line, protocols, N_ROWS(protocols), event->args[2]);
}

static void add_data(struct line *line, const struct sonde_probe_event *event)
{
    uint64_t n_bytes = event->n_bytes;
    if (event->operation == SONDE_OP_RECEIVE)
        n_bytes = event->result > 0 ? (uint64_t)event->result : 0; /* a datagram may have been longer than the room */
    if (event->data || (event->operation == SONDE_OP_RECEIVE && event->result == 0)) {
        add(line, ", ");
        add_preview(line, event->data, n_bytes < event->n_bytes || event->n_bytes == 0 ? n_bytes : event->n_bytes);
    }
    add(line, ", %" PRIu64, event->n_bytes);
    add_flags(line, ", ", message_flags, N_ROWS(message_flags), event->args[0]);
    if (event->address.family != 0) {
        add(line, ", "); /* of a datagram: who sent it, to whom it goes */
        add_address(line, event);
    }
}

static enum message_kind kind_of_opcode(int opcode)
{
    switch (opcode) {
    case 0:
        return MESSAGE_CONTINUATION;
    case 1:
        return MESSAGE_TEXT;
    case 2:
        return MESSAGE_BINARY;
    case 8:
        return MESSAGE_CLOSE;
    case 9:
        return MESSAGE_PING;
    case 10:
        return MESSAGE_PONG;
    default:
        return MESSAGE_OTHER;
    }
}

/* A Close frame's code; its reason is behind it. */
static uint16_t close_code(const struct sonde_probe_event *event)
{
    const unsigned char *bytes = event->data;
    if (!bytes || event->n_bytes < CLOSE_CODE_BYTES)
        return CLOSE_CODE_NONE;
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void add_message(struct line *line, const struct sonde_probe_event *event)
{
    enum message_kind kind = kind_of_opcode(event->args[0]);
    const unsigned char *bytes = event->data;
    uint64_t n_bytes = event->n_bytes;
    add(line, ", %s", message_kind_name(kind));
    if (kind == MESSAGE_CLOSE && n_bytes >= CLOSE_CODE_BYTES && bytes) {
        add(line, ", %u", close_code(event));
        bytes += CLOSE_CODE_BYTES;
        n_bytes -= CLOSE_CODE_BYTES;
    }
    if (bytes && n_bytes > 0) {
        add(line, ", ");
        add_preview(line, bytes, n_bytes);
    }
    if (kind != MESSAGE_CLOSE)
        add(line, ", %" PRIu64, event->n_bytes);
    if (event->args[1])
        add(line, ", compressed");
}

static void add_handshake(struct line *line, const struct sonde_probe_event *event)
{
    char text[CALLS_LINE_SIZE / 2];
    add(line, ", ");
    add_name(line, layers, N_ROWS(layers), event->args[0]);
    if (!event->data || event->n_bytes == 0)
        return;
    escape_short(event->data, (size_t)event->n_bytes, text, sizeof text);
    add(line, ", \"%s\"", text);
}

/* What stands between the parentheses, behind the descriptor. */
static void add_arguments(struct line *line, const struct sonde_probe_event *event)
{
    switch ((enum sonde_operation)event->operation) {
    case SONDE_OP_SOCKET:
        add_socket(line, event);
        break;
    case SONDE_OP_SETSOCKOPT:
        add_socket_option(line, event);
        break;
    case SONDE_OP_BIND:
    case SONDE_OP_CONNECT:
        add(line, ", ");
        add_address(line, event);
        break;
    case SONDE_OP_LISTEN:
        add(line, ", %d", event->args[0]);
        break;
    case SONDE_OP_ACCEPT:
        if (event->result >= 0 && event->address.family != 0) {
            add(line, ", ");
            add_address(line, event);
        }
        add_flags(line, ", ", type_flags, N_ROWS(type_flags), event->args[0]);
        break;
    case SONDE_OP_SEND:
    case SONDE_OP_RECEIVE:
        add_data(line, event);
        break;
    case SONDE_OP_SHUTDOWN:
        add(line, ", ");
        add_name(line, hows, N_ROWS(hows), event->args[0]);
        break;
    case SONDE_OP_HANDSHAKE:
        add_handshake(line, event);
        break;
    case SONDE_OP_MESSAGE_OUT:
    case SONDE_OP_MESSAGE_IN:
        add_message(line, event);
        break;
    case SONDE_OP_CLOSE:
    case SONDE_N_OPERATIONS:
        break;
    }
}

static bool is_message(const struct sonde_probe_event *event)
{
    return event->operation == SONDE_OP_MESSAGE_OUT || event->operation == SONDE_OP_MESSAGE_IN;
}

static void add_result(struct line *line, const struct sonde_probe_event *event)
{
    if (event->result < 0) {
        int error = (int)event->result;
        add(line, " = -1 %s (%s)", sonde_error_name(error), sonde_strerror(error));
    } else if (event->operation == SONDE_OP_RECEIVE && event->result == 0 && event->address.family == 0) {
        add(line, " = 0 (end of data)");
    } else if (!is_message(event)) {
        add(line, " = %" PRId64, event->result);
    }
}

/* Seconds, milliseconds and microseconds, the last two apart: "0.000 112". */
static void add_time(struct line *line, int64_t since_ns)
{
    const char *sign = "";
    if (since_ns < 0) {
        sign = "-";
        since_ns = -since_ns;
    }
    int64_t us = since_ns / NS_PER_US;
    char seconds[24];
    snprintf(seconds, sizeof seconds, "%s%" PRId64, sign, us / US_PER_S);
    add(line, "%2s.%03d %03d  ", seconds, (int)(us / 1000 % 1000), (int)(us % 1000));
}

static void format_took(int64_t took_ns, char *ret_text, size_t size_bytes)
{
    double us = (double)took_ns / NS_PER_US;
    if (took_ns < NS_PER_US)
        snprintf(ret_text, size_bytes, "<1 us");
    else if (us < 9999.5)
        snprintf(ret_text, size_bytes, "%.0f us", us);
    else if (us < 9999.5e3)
        snprintf(ret_text, size_bytes, "%.1f ms", us / 1e3);
    else
        snprintf(ret_text, size_bytes, "%.1f s", us / 1e6);
}

static void add_took(struct line *line, const struct sonde_probe_event *event)
{
    char took[32] = "", text[40];
    if (event->start_ns != 0 && event->end_ns >= event->start_ns)
        format_took(event->end_ns - event->start_ns, took, sizeof took);
    bool ring = event->flags & SONDE_PROBE_RING;
    if (!ring && took[0] == '\0')
        return;
    snprintf(text, sizeof text, "%s%s%s", took, ring && took[0] ? " " : "", ring ? "ring" : "");
    int gap = line->n_bytes < TOOK_COLUMN ? (int)(TOOK_COLUMN - line->n_bytes) : 1;
    add(line, "%*s%*s", gap, "", TOOK_WIDTH, text);
}

static void format_arguments(struct line *line, const struct sonde_probe_event *event)
{
    if (event->flags & SONDE_PROBE_DIRECT && event->fd < 0)
        add(line, "#%" PRIu64, event->stream); /* it has no descriptor: its stream's number */
    else if (event->operation != SONDE_OP_SOCKET)
        add(line, "%" PRId32, event->fd);
    add_arguments(line, event);
}

static void message_event(const struct sonde_probe_event *probe, struct event *ret_event)
{
    struct event_message *message = &ret_event->message;
    const unsigned char *bytes = probe->data;
    uint64_t n_data = bytes ? probe->n_bytes : 0;
    ret_event->kind = EVENT_KIND_MESSAGE;
    *message = (struct event_message){
        .kind = (uint8_t)kind_of_opcode(probe->args[0]),
        .from = probe->operation == SONDE_OP_MESSAGE_OUT ? END_A : END_B,
        .end = END_A,
        .compressed = probe->args[1] != 0,
        .n_bytes = probe->n_bytes,
    };
    if (message->kind == MESSAGE_CLOSE) {
        message->code = close_code(probe);
        unsigned n_skip = n_data < CLOSE_CODE_BYTES ? (unsigned)n_data : CLOSE_CODE_BYTES;
        bytes = bytes ? bytes + n_skip : NULL;
        n_data -= n_skip;
    }
    message->data = n_data > 0 ? bytes : NULL;
    message->n_data = (uint32_t)(n_data < MESSAGE_BYTES ? n_data : MESSAGE_BYTES);
}

static void handshake_event(const struct sonde_probe_event *probe, char ret_agreed[CALLS_LINE_SIZE],
                            struct event *ret_event)
{
    size_t n = probe->data ? (size_t)probe->n_bytes : 0;
    if (n > CALLS_LINE_SIZE - 1)
        n = CALLS_LINE_SIZE - 1;
    if (n > 0)
        memcpy(ret_agreed, probe->data, n);
    ret_agreed[n] = '\0';
    ret_event->kind = EVENT_KIND_HANDSHAKE;
    ret_event->handshake = (struct event_handshake){
        .layer = (uint8_t)probe->args[0],
        .result = probe->result,
        .start_ns = probe->start_ns,
        .agreed = n > 0 ? ret_agreed : NULL,
    };
}

void calls_event(const struct sonde_probe_event *probe, char ret_arguments[CALLS_LINE_SIZE], struct event *ret_event)
{
    *ret_event = (struct event){.source = EVENT_APP, .kind = EVENT_KIND_CALL, .t_ns = probe->end_ns};
    if (is_message(probe)) {
        message_event(probe, ret_event);
        return;
    }
    if (probe->operation == SONDE_OP_HANDSHAKE) {
        handshake_event(probe, ret_arguments, ret_event);
        return;
    }
    struct line line = {ret_arguments, 0, CALLS_LINE_SIZE};
    bool received = probe->operation == SONDE_OP_RECEIVE, sent = probe->operation == SONDE_OP_SEND;
    uint64_t n_data = probe->data && probe->result > 0 && (received || sent) ? (uint64_t)probe->result : 0;
    if (n_data > probe->n_bytes && probe->n_bytes > 0)
        n_data = probe->n_bytes;
    ret_arguments[0] = '\0';
    format_arguments(&line, probe);
    ret_event->call = (struct event_call){
        .phase = CALL_WHOLE,
        .operation = probe->operation,
        .ring = probe->flags & SONDE_PROBE_RING,
        .datagram = (received || sent) && probe->address.family != 0,
        .fd = probe->fd,
        .result = probe->result,
        .start_ns = probe->start_ns,
        .n_bytes = sent || received ? probe->n_bytes : 0,
        .arguments = ret_arguments,
        .data = n_data > 0 ? probe->data : NULL,
        .n_data = (uint32_t)(n_data < PREVIEW_BYTES ? n_data : PREVIEW_BYTES),
    };
}

size_t calls_render(const struct sonde_probe_event *event, int64_t origin_ns, char *ret_line, size_t size_bytes)
{
    if (size_bytes < 2)
        return 0;
    struct line line = {ret_line, 0, size_bytes - 1}; /* a byte is kept for the newline */
    int64_t when_ns = event->start_ns != 0 ? event->start_ns : event->end_ns;
    add_time(&line, when_ns - origin_ns);
    add(&line, "%s(", sonde_operation_name((enum sonde_operation)event->operation));
    format_arguments(&line, event);
    add(&line, ")");
    add_result(&line, event);
    add_took(&line, event);
    ret_line[line.n_bytes++] = '\n';
    ret_line[line.n_bytes] = '\0';
    return line.n_bytes;
}
