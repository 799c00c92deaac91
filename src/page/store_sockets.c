/* SPDX-License-Identifier: MIT */
/* What the kernel says of sockets, put into the rows and listeners that they are. */
#include "page/store_parts_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- rows */

/* The trace's own row of this end, where rows are the trace's. */
static struct store_row *find_traced(const struct store *store, const struct socket_info *socket)
{
    if (store->mode != PAGE_ROWS_TRACE || socket->local.port == 0 || socket->peer.port == 0)
        return NULL;
    struct hash_link *link =
        store_hash_find(&store->ends, store_hash_of_ends(socket->protocol, &socket->local, &socket->peer));
    for (; link; link = store_hash_next(link)) {
        struct store_row *row = HASH_OF(link, struct store_row, by_ends);
        if (!row->is_ended && row->cookie == 0 && row->protocol == socket->protocol &&
            store_same_end(&row->local, &socket->local) && store_same_end(&row->peer, &socket->peer))
            return row;
    }
    return NULL;
}

static void keep_unix_name(char **name, const struct socket_info *socket)
{
    char text[SOCKET_UNIX_NAME_MAX + 1];
    size_t n = socket->n_unix_name;
    if (n == 0)
        return;
    memcpy(text, socket->unix_name, n);
    if (text[0] == '\0')
        text[0] = '@';
    store_keep_text(name, text, strnlen(text, n));
}

static struct store_row *make_row(struct store *store, const struct seen *seen)
{
    const struct socket_info *socket = seen->socket;
    struct store_row *row = store_row_new(store, socket->state == TCP_STATE_TIME_WAIT);
    if (!row)
        return NULL;
    row->type = socket->type;
    row->protocol = socket->protocol;
    row->has_messages = socket->type != SOCK_STREAM;
    row->since_ns = seen->since_ns;
    store_row_set_cookie(store, row, seen->key);
    store_row_set_ends(store, row, &socket->local, &socket->peer);
    row->family = socket->family;
    return row;
}

static void take_figures(struct figures *figures, const struct seen *seen)
{
    const struct socket_info *socket = seen->socket;
    figures->receive_queue = socket->receive_queue;
    figures->send_queue = socket->send_queue;
    if (seen->bytes_known) {
        figures->in = seen->in;
        figures->out = seen->out;
    }
    if (!socket->has_info)
        return;
    figures->rtt_us = socket->info.rtt_us > 0 ? socket->info.rtt_us : NOT_KNOWN;
    figures->cwnd = socket->info.snd_cwnd;
    figures->retransmits = socket->info.total_retrans;
    figures->unsent = socket->info.notsent_bytes;
}

static void take_judgement(struct store_row *row, const struct judgement *judgement)
{
    row->weight = (uint8_t)judgement->weight;
    store_keep_text(&row->brief, judgement->brief, strlen(judgement->brief));
    store_keep_text(&row->verdict, judgement->text, strlen(judgement->text));
}

static void take_owner(char to[80], int32_t *to_pid, const struct seen *seen)
{
    if (!seen->owner)
        return;
    snprintf(to, 80, "%s[%d]", seen->owner, (int)seen->pid);
    *to_pid = seen->pid;
}

/* Is there anything that a viewer would see? */
static bool is_news(const struct store_row *row, const struct seen *seen, const struct figures *before)
{
    const struct socket_info *socket = seen->socket;
    return memcmp(before, &row->figures, sizeof *before) != 0 || row->state != socket->state ||
           row->timer != socket->timer || row->n_retransmits != socket->n_retransmits || socket->timer != TIMER_NONE ||
           (seen->judgement && row->weight != seen->judgement->weight);
}

static void take(struct store *store, struct store_row *row, const struct seen *seen)
{
    const struct socket_info *socket = seen->socket;
    struct figures before = row->figures;
    store_row_revive(store, row);
    take_figures(&row->figures, seen);
    if (is_news(row, seen, &before))
        store->version++;
    row->has_socket = true;
    store_row_set_state(store, row, socket->state);
    row->timer = socket->timer;
    row->timer_ns = socket->timer_ns;
    row->n_retransmits = socket->n_retransmits;
    row->uid = socket->uid;
    row->peer_inode = socket->peer_inode;
    row->seen_ns = seen->now_ns;
    if (socket->inode != 0)
        row->inode = socket->inode;
    if (socket->family == AF_UNIX && !row->local_name)
        keep_unix_name(&row->local_name, socket);
    if (seen->judgement)
        take_judgement(row, seen->judgement);
    take_owner(row->owner, &row->pid, seen);
    if (seen->owner)
        snprintf(row->program, sizeof row->program, "%s", seen->owner);
}

static bool is_announced(const struct store_listener *listener, const struct socket_info *socket)
{
    if (!listener->url || listener->protocol != socket->protocol)
        return false;
    if (socket->family != AF_UNIX)
        return listener->local.port != 0 && store_same_end(&listener->local, &socket->local);
    size_t n = strlen(listener->address);
    const char *name = socket->unix_name;
    if (n == 0 || socket->n_unix_name == 0)
        return false;
    if (listener->address[0] == '@')
        return name[0] == '\0' && socket->n_unix_name == n && memcmp(name + 1, listener->address + 1, n - 1) == 0;
    return strnlen(name, socket->n_unix_name) == n && memcmp(name, listener->address, n) == 0;
}

/* A socket of ours that takes datagrams of many peers: it is a listener, and they are its rows. */
static bool is_ours_for_many(const struct store *store, const struct socket_info *socket)
{
    if (socket->protocol != IPPROTO_UDP || socket->peer.port != 0)
        return false;
    for (size_t i = 0; i < store->n_listeners; i++) {
        if (is_announced(&store->listeners[i], socket))
            return true;
    }
    return false;
}

void store_see(struct store *store, const struct seen *seen, bool matches)
{
    store_lock(store);
    matches = matches && !is_ours_for_many(store, seen->socket);
    struct store_row *row = store_row_of_cookie(store, seen->key);
    bool is_new = !row;
    if (!row)
        row = find_traced(store, seen->socket);
    if (row && is_new)
        store_row_set_cookie(store, row, seen->key);
    if (!row && matches && store->mode == PAGE_ROWS_SOCKETS)
        row = make_row(store, seen);
    store->n_beyond_next += !row && matches && store->mode == PAGE_ROWS_SOCKETS;
    if (row) {
        take(store, row, seen);
        if (is_new)
            store_trace_find_for(store, row);
        if (seen->is_point || row->n_watching == 0)
            store_row_add_point(row, seen->now_ns);
    }
    store_unlock(store);
}

void store_gone(struct store *store, const struct seen *seen)
{
    store_lock(store);
    struct store_row *row = store_row_of_cookie(store, seen->key);
    if (row) {
        if (seen->bytes_known && row->figures.in != NOT_KNOWN && seen->in >= row->figures.in &&
            seen->out >= row->figures.out) {
            row->figures.in = seen->in;
            row->figures.out = seen->out;
        }
        row->has_socket = false;
        row->state = TCP_STATE_CLOSED;
        if (!row->tap)
            store_row_end(store, row);
        store->version++;
    }
    store_unlock(store);
}

/* ---- listeners */

static struct store_listener *new_listener(struct store *store)
{
    if (store->n_listeners == LISTENERS_MAX)
        return NULL;
    struct store_listener *listener = &store->listeners[store->n_listeners++];
    *listener = (struct store_listener){.id = ++store->last_listener};
    store->version++;
    return listener;
}

static struct store_listener *find_listener(struct store *store, const struct seen *seen, bool matches)
{
    const struct socket_info *socket = seen->socket;
    for (size_t i = 0; i < store->n_listeners; i++) {
        if (store->listeners[i].cookie == seen->key)
            return &store->listeners[i];
    }
    for (size_t i = 0; i < store->n_listeners; i++) {
        struct store_listener *listener = &store->listeners[i];
        if (listener->look < store->look && is_announced(listener, socket)) {
            listener->cookie = seen->key;
            return listener;
        }
    }
    if (!matches || store->mode == PAGE_ROWS_STREAMS || socket->state != TCP_STATE_LISTEN)
        return NULL;
    struct store_listener *listener = new_listener(store);
    if (!listener)
        return NULL;
    char text[SONDE_ADDRESS_TEXT];
    listener->cookie = seen->key;
    listener->protocol = socket->protocol;
    listener->family = socket->family;
    listener->local = socket->local;
    if (socket->family == AF_UNIX)
        keep_unix_name(&listener->address, socket);
    else
        store_keep_text(&listener->address, text, put_address(text, &socket->local));
    if (!listener->address)
        listener->address = strdup("?");
    return listener;
}

void store_see_listener(struct store *store, const struct seen *seen, bool matches)
{
    const struct socket_info *socket = seen->socket;
    store_lock(store);
    struct store_listener *listener = find_listener(store, seen, matches);
    if (listener && listener->address) {
        store->version += listener->queue != socket->receive_queue || !listener->is_seen;
        listener->is_seen = true;
        listener->look = store->look;
        listener->type = socket->type;
        listener->queue = socket->receive_queue;
        listener->limit = socket->send_queue;
        listener->is_full = socket->state == TCP_STATE_LISTEN && listener->queue > listener->limit;
        listener->half_open = (uint32_t)seen->half_open;
        listener->has_dropped = socket->has_memory;
        listener->dropped = socket->has_memory ? socket->memory.drops : 0;
        if (seen->judgement) {
            listener->weight = (uint8_t)seen->judgement->weight;
            store_keep_text(&listener->brief, seen->judgement->brief, strlen(seen->judgement->brief));
            store_keep_text(&listener->verdict, seen->judgement->text, strlen(seen->judgement->text));
        }
        take_owner(listener->owner, &listener->pid, seen);
    }
    store_unlock(store);
}

void store_look_begins(struct store *store)
{
    store_lock(store);
    store->look++;
    store->n_beyond_next = 0;
    store_unlock(store);
}

static void free_listener(struct store_listener *listener)
{
    free(listener->address);
    free(listener->note);
    free(listener->url);
    free(listener->brief);
    free(listener->verdict);
}

void store_listeners_free(struct store *store)
{
    for (size_t i = 0; i < store->n_listeners; i++)
        free_listener(&store->listeners[i]);
    free(store->listeners);
    free(store->machine_brief);
    free(store->machine_verdict);
}

void store_see_machine(struct store *store, const char *brief, const char *verdict)
{
    store_lock(store);
    store->version += !store->machine_verdict != (verdict[0] == '\0');
    store_keep_text(&store->machine_brief, brief, strlen(brief));
    store_keep_text(&store->machine_verdict, verdict, strlen(verdict));
    store_unlock(store);
}

/* One that was overlooked once is still there. */
void store_look_ends(struct store *store)
{
    store_lock(store);
    store->n_beyond = store->n_beyond_next;
    for (size_t i = 0; i < store->n_listeners;) {
        struct store_listener *listener = &store->listeners[i];
        if (listener->look + 1 >= store->look) {
            i++;
            continue;
        }
        store->version += listener->is_seen;
        listener->is_seen = listener->is_full = listener->has_dropped = false;
        listener->weight = VERDICT_NONE;
        store_keep_text(&listener->brief, NULL, 0);
        store_keep_text(&listener->verdict, NULL, 0);
        if (listener->url) {
            i++;
            continue;
        }
        free_listener(listener);
        memmove(listener, listener + 1, (--store->n_listeners - i) * sizeof *listener);
    }
    store_unlock(store);
}

/* ---- those that were announced */

/* Its numeric address, as a socket that is bound to it has it. */
static void take_address(struct store_listener *listener, const struct sonde_url *url)
{
    struct sonde_address *local = &listener->local;
    const char *host = url->host[0] == '\0' ? "127.0.0.1" : url->host;
    listener->family = AF_INET;
    local->port = url->port;
    if (strcmp(host, "*") == 0) {
        local->family = AF_INET;
    } else if (inet_pton(AF_INET, host, local->u.ip) == 1) {
        local->family = AF_INET;
    } else {
        char text[INET6_ADDRSTRLEN];
        snprintf(text, sizeof text, "%.*s", (int)strcspn(host, "%"), host); /* without its zone */
        if (inet_pton(AF_INET6, text, local->u.ip) == 1)
            listener->family = (uint8_t)(local->family = AF_INET6);
        else
            local->port = 0; /* a name: it can't be told which it is */
    }
}

static void take_url(struct store_listener *listener, const struct sonde_url *url)
{
    char text[SONDE_URL_MAX];
    sonde_url_format(url, text, sizeof text);
    const char *address = strstr(text, "://"), *colon = strchr(text, ':');
    address = address ? address + 3 : colon ? colon + 1 : text;
    switch (url->scheme) {
    case SONDE_SCHEME_TCP:
    case SONDE_SCHEME_UDP:
        listener->protocol = url->scheme == SONDE_SCHEME_UDP ? IPPROTO_UDP : IPPROTO_TCP;
        take_address(listener, url);
        store_keep_text(&listener->address, address, strcspn(address, "/?#"));
        return;
    case SONDE_SCHEME_VSOCK:
        listener->protocol = EVENT_PROTOCOL_VSOCK;
        break;
    default:
        listener->family = AF_UNIX;
        break;
    }
    if (url->path_bytes > 0) {
        char path[sizeof url->path + 1];
        memcpy(path, url->path, url->path_bytes);
        if (path[0] == '\0')
            path[0] = '@';
        store_keep_text(&listener->address, path, strnlen(path, url->path_bytes));
        return;
    }
    store_keep_text(&listener->address, address, strlen(address));
}

void store_listening(struct store *store, const char *text, const char *note)
{
    struct sonde_url url;
    if (sonde_url_parse(text, &url, NULL) != 0)
        return;
    store_lock(store);
    struct store_listener *listener = NULL;
    for (size_t i = 0; i < store->n_listeners && !listener; i++) {
        if (store->listeners[i].url && strcmp(store->listeners[i].url, text) == 0)
            listener = &store->listeners[i];
    }
    if (!listener && (listener = new_listener(store))) {
        listener->url = strdup(text);
        take_url(listener, &url);
        if (!listener->address)
            listener->address = strdup("?");
    }
    if (listener && note)
        store_keep_text(&listener->note, note, strnlen(note, NAME_MAX_BYTES));
    store->version++;
    store_unlock(store);
}
