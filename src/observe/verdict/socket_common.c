/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

bool is_tcp_listener(const struct socket_info *socket)
{
    return socket->protocol == IPPROTO_TCP && socket->state == TCP_STATE_LISTEN;
}

bool is_connected_tcp(const struct socket_info *socket)
{
    if (socket->protocol != IPPROTO_TCP)
        return false;
    enum tcp_state_class class = tcp_state_class(socket->state);
    return class == TCP_CLASS_OPEN || class == TCP_CLASS_ENDING;
}

const char *program_text(const struct socket_case *about, char ret_text[NAME_TEXT])
{
    if (about->program && about->program[0] != '\0' && about->pid > 0)
        snprintf(ret_text, NAME_TEXT, "%.100s[%d]", about->program, (int)about->pid);
    else if (about->program && about->program[0] != '\0')
        snprintf(ret_text, NAME_TEXT, "%.100s", about->program);
    else if (about->pid > 0)
        snprintf(ret_text, NAME_TEXT, _("process %d"), (int)about->pid);
    else
        snprintf(ret_text, NAME_TEXT, "%s", _("the program that holds it"));
    return ret_text;
}

int64_t state_least_ns(const struct socket_case *about)
{
    int64_t seen_ns = since(about->now_ns, about->past->state_since_ns), ack_ns = 0;

    if (HAS_INFO(about->socket, last_ack_recv_ms))
        ack_ns = about->socket->info.last_ack_recv_ms * NS_PER_MS;
    return ack_ns > seen_ns ? ack_ns : seen_ns;
}

#define HARDLY_NS (2 * NS_PER_S)
#define BUSY_LEAST_US 1000000

bool held_back(const struct socket_case *about, uint64_t part_us, uint64_t past_us, uint64_t *ret_busy_us,
               uint64_t *ret_part_us)
{
    const struct socket_info *socket = about->socket;

    if (!is_connected_tcp(socket) || !HAS_INFO(socket, sndbuf_limited_us))
        return false;
    uint64_t busy_us = socket->info.busy_time_us;
    if (since(about->now_ns, about->past->first_seen_ns) >= HARDLY_NS) {
        busy_us = busy_us > about->past->info_busy_us ? busy_us - about->past->info_busy_us : 0;
        part_us = part_us > past_us ? part_us - past_us : 0;
    }
    if (busy_us < BUSY_LEAST_US || busy_us > INT64_MAX / NS_PER_US)
        return false;
    *ret_busy_us = busy_us;
    *ret_part_us = part_us < busy_us ? part_us : busy_us;
    return true;
}
