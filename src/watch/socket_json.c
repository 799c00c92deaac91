/* SPDX-License-Identifier: MIT */
#include "watch/socket_json.h"

#include "watch/tcp_members.h"
#include "watch/text.h"

#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static const char *family_name(uint8_t family)
{
    return family == AF_INET ? "inet" : family == AF_INET6 ? "inet6" : "unix";
}

static const char *type_name(uint8_t type)
{
    return type == SOCK_STREAM ? "stream" : type == SOCK_DGRAM ? "dgram" : "seqpacket";
}

/* Without brackets, and with the zeros that a person would not want to see. */
static void put_end(struct json *json, const char *key, const struct sonde_address *address)
{
    char text[SONDE_ADDRESS_TEXT];
    size_t n = put_ip(text, address), from = 0;
    if (n == 1 && text[0] == '*') {
        json_string(json, key, "0.0.0.0");
        return;
    }
    if (n > 2 && text[0] == '[') {
        from = 1;
        n -= 2;
    }
    json_text(json, key, text + from, n);
}

static void put_unix_name(struct json *json, const struct socket_info *socket)
{
    char name[SOCKET_UNIX_NAME_MAX + 1];
    size_t n = socket->n_unix_name;
    if (n == 0) {
        json_null(json, "local");
        return;
    }
    memcpy(name, socket->unix_name, n);
    if (name[0] == '\0')
        name[0] = '@';
    else
        n = strnlen(name, n);
    json_text(json, "local", name, n);
}

void socket_json_addresses(struct json *json, const struct socket_info *socket)
{
    json_string(json, "family", family_name(socket->family));
    json_string(json, "type", type_name(socket->type));
    if (socket->family == AF_UNIX) {
        json_string(json, "protocol", "unix");
        put_unix_name(json, socket);
        json_null(json, "local_port");
        json_null(json, "peer");
        json_null(json, "peer_port");
        json_unsigned(json, "peer_inode", socket->peer_inode);
        return;
    }
    json_string(json, "protocol", socket->protocol == IPPROTO_UDP ? "udp" : "tcp");
    put_end(json, "local", &socket->local);
    json_unsigned(json, "local_port", socket->local.port);
    if (socket->peer.port == 0) {
        json_null(json, "peer");
        json_null(json, "peer_port");
    } else {
        put_end(json, "peer", &socket->peer);
        json_unsigned(json, "peer_port", socket->peer.port);
    }
}

static void put_memory(struct json *json, const struct socket_info *socket)
{
    const struct socket_memory *memory = &socket->memory;
    if (!socket->has_memory) {
        json_null(json, "memory");
        return;
    }
    json_object_begin(json, "memory");
    json_unsigned(json, "receive_used", memory->receive_used);
    json_unsigned(json, "receive_limit", memory->receive_limit);
    json_unsigned(json, "send_used", memory->send_used);
    json_unsigned(json, "send_limit", memory->send_limit);
    json_unsigned(json, "forward", memory->forward);
    json_unsigned(json, "queued", memory->queued);
    json_unsigned(json, "option", memory->option);
    json_unsigned(json, "backlog", memory->backlog);
    json_unsigned(json, "drops", memory->drops);
    json_object_end(json);
}

static void put_info(struct json *json, const struct socket_info *socket)
{
    if (!socket->has_info) {
        json_null(json, "tcp_info");
        return;
    }
    json_object_begin(json, "tcp_info");
    for (size_t i = 0; i < n_tcp_members; i++) {
        const struct tcp_member *member = &tcp_members[i];
        uint64_t value = tcp_member_value(member, &socket->info);
        bool none = member->size_bytes == 8 && value == UINT64_MAX; /* "no limit" */
        if (tcp_member_is_known(member, &socket->info) && !none)
            json_unsigned(json, member->name, value);
        else
            json_null(json, member->name);
    }
    json_object_end(json);
}

static void put_verdict(struct json *json, const struct judgement *judgement)
{
    if (!judgement->verdict) {
        json_null(json, "verdict");
        return;
    }
    json_object_begin(json, "verdict");
    json_string(json, "name", judgement->verdict->name);
    json_string(json, "weight", judgement->weight == VERDICT_TROUBLE ? "trouble" : "note");
    json_string(json, "short", judgement->brief);
    json_string(json, "text", judgement->text);
    json_object_end(json);
}

static void put_owners(struct json *json, const struct owners *owners, uint64_t inode)
{
    uint64_t n = 0;
    json_array_begin(json, "owner");
    for (const struct owner *owner = inode ? owners_find(owners, inode) : NULL; owner; owner = owner->next) {
        if (n++ >= SOCKET_JSON_OWNERS_MAX)
            continue;
        json_object_begin(json, NULL);
        json_number(json, "pid", owner->pid);
        json_text(json, "program", owner->program, strnlen(owner->program, OWNER_NAME_MAX));
        json_number(json, "fd", owner->fd);
        json_object_end(json);
    }
    json_array_end(json);
    if (n > SOCKET_JSON_OWNERS_MAX)
        json_unsigned(json, "owner_more", n - SOCKET_JSON_OWNERS_MAX);
}

void socket_json(struct json *json, const struct socket_info *socket, uint64_t n_half_open,
                 const struct judgement *judgement, const struct owners *owners)
{
    socket_json_addresses(json, socket);
    json_string(json, "state", tcp_state_name(socket->state));
    json_unsigned(json, "recv_queue", socket->receive_queue);
    json_unsigned(json, "send_queue", socket->send_queue);
    if (socket->state == TCP_STATE_LISTEN)
        json_unsigned(json, "half_open", n_half_open);
    if (socket->timer == TIMER_NONE) {
        json_null(json, "timer");
        json_null(json, "timer_ms");
    } else {
        json_string(json, "timer", socket_timer_name(socket->timer));
        json_number(json, "timer_ms", socket->timer_ns / NS_PER_MS);
    }
    json_unsigned(json, "retransmits", socket->n_retransmits);
    json_unsigned(json, "shutdown", socket->shutdown);
    json_unsigned(json, "uid", socket->uid);
    json_unsigned(json, "inode", socket->inode);
    json_unsigned_string(json, "cookie", socket->cookie);
    char name[IF_NAMESIZE];
    json_string(json, "interface", socket->interface ? if_indextoname(socket->interface, name) : NULL);
    json_string(json, "congestion", socket->congestion[0] ? socket->congestion : NULL);
    put_memory(json, socket);
    put_info(json, socket);
    if (judgement)
        put_verdict(json, judgement);
    if (owners)
        put_owners(json, owners, socket->inode);
}
