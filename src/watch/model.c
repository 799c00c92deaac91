/* SPDX-License-Identifier: MIT */
#include "watch/model.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FIRST_ROOM 256
#define RATE_WINDOW_NS NS_PER_S
#define REMEMBERED_NS (600 * NS_PER_S)

void model_init(struct model *model, bool has_past)
{
    *model = (struct model){.has_past = has_past};
}

static void forget_text(struct row *row)
{
    free(row->unix_name);
    free(row->verdict_short);
    row->unix_name = row->verdict_short = NULL;
}

void model_free(struct model *model)
{
    for (size_t i = 0; i < model->n_rows; i++)
        forget_text(&model->rows[i]);
    free(model->rows);
    free(model->tracks);
    free(model->table);
    census_free(&model->census);
    census_free(&model->next_census);
    *model = (struct model){.rows = NULL};
}

/* ---- rows and the hash over them */

static size_t place_of(const struct model *model, uint64_t key)
{
    size_t at = (key * 0x9e3779b97f4a7c15u >> 20) & (model->n_places - 1);
    while (model->table[at] != 0 && model->rows[model->table[at] - 1].key != key)
        at = (at + 1) & (model->n_places - 1);
    return at;
}

static bool rehash(struct model *model, size_t n_places)
{
    uint32_t *table = calloc(n_places, sizeof *table);
    if (!table)
        return false;
    free(model->table);
    model->table = table;
    model->n_places = n_places;
    for (size_t i = 0; i < model->n_rows; i++)
        table[place_of(model, model->rows[i].key)] = (uint32_t)i + 1;
    return true;
}

static bool make_room(struct model *model)
{
    if (model->n_rows < model->n_room)
        return true;
    size_t n_room = model->n_room ? 2 * model->n_room : FIRST_ROOM;
    if (n_room > MODEL_ROWS_MAX)
        return false;
    struct row *rows = realloc(model->rows, n_room * sizeof *rows);
    if (!rows)
        return false;
    model->rows = rows;
    if (model->has_past) {
        struct track *tracks = realloc(model->tracks, n_room * sizeof *tracks);
        if (!tracks)
            return false;
        model->tracks = tracks;
        if (!rehash(model, 4 * n_room))
            return false;
    }
    model->n_room = n_room;
    return true;
}

/* The last row moves into the gap; what stood behind the free place in the hash is put where it belongs. */
static void remove_row(struct model *model, size_t index)
{
    size_t gap = place_of(model, model->rows[index].key), last = model->n_rows - 1;
    forget_text(&model->rows[index]);
    model->table[gap] = 0;
    for (size_t at = (gap + 1) & (model->n_places - 1); model->table[at] != 0; at = (at + 1) & (model->n_places - 1)) {
        uint32_t moved = model->table[at];
        model->table[at] = 0;
        model->table[place_of(model, model->rows[moved - 1].key)] = moved;
    }
    if (index != last) {
        size_t place = place_of(model, model->rows[last].key);
        model->rows[index] = model->rows[last];
        model->tracks[index] = model->tracks[last];
        model->table[place] = (uint32_t)index + 1;
    }
    model->n_rows--;
}

struct row *model_find(const struct model *model, uint64_t key)
{
    if (model->n_places == 0)
        return NULL;
    uint32_t found = model->table[place_of(model, key)];
    return found ? &model->rows[found - 1] : NULL;
}

static struct row *add_row(struct model *model, uint64_t key)
{
    if (!make_room(model))
        return NULL;
    size_t index = model->n_rows++;
    struct row *row = &model->rows[index];
    memset(row, 0, sizeof *row);
    row->key = key;
    if (model->has_past) {
        memset(&model->tracks[index], 0, sizeof model->tracks[index]);
        model->table[place_of(model, key)] = (uint32_t)index + 1;
    }
    return row;
}

/* The few that have no cookie are known by their addresses. */
static uint64_t key_of(const struct socket_info *socket)
{
    if (socket->cookie != 0)
        return socket->cookie;
    const struct sonde_address *ends[] = {&socket->local, &socket->peer};
    uint64_t key = 0xcbf29ce484222325u ^ socket->protocol ^ socket->inode << 8;
    for (int end = 0; end < 2; end++) {
        for (size_t i = 0; i < sizeof ends[end]->u.ip; i++)
            key = (key ^ ends[end]->u.ip[i]) * 0x100000001b3u;
        key = (key ^ ends[end]->port) * 0x100000001b3u;
    }
    return key | 1ull << 63;
}

/* ---- from what the kernel says to a row */

static bool peer_has_ended(const struct socket_info *socket, enum direction direction)
{
    const struct tcp_info_whole *info = &socket->info;
    switch (socket->state) {
    case TCP_STATE_CLOSE_WAIT:
    case TCP_STATE_LAST_ACK:
    case TCP_STATE_CLOSING:
    case TCP_STATE_TIME_WAIT:
        return true;
    case TCP_STATE_CLOSED: {
        /* Dead: both have ended when its own FIN was acknowledged, which bytes_acked counts, as it does the SYN. */
        uint64_t payload = info->bytes_sent - info->bytes_retrans;
        return info->bytes_received > 0 && info->bytes_acked > payload + (direction == DIRECTION_IN ? 0 : 1);
    }
    default:
        return false;
    }
}

void socket_payload(const struct socket_info *socket, enum direction direction, uint64_t *ret_in, uint64_t *ret_out)
{
    const struct tcp_info_whole *info = &socket->info;
    bool tells_sent = info->n_bytes >= offsetof(struct tcp_info_whole, dsack_dups);
    uint64_t in = info->bytes_received, out = tells_sent ? info->bytes_sent - info->bytes_retrans : info->bytes_acked;
    if (in > 0 && tells_sent && peer_has_ended(socket, direction))
        in--;
    *ret_in = in;
    *ret_out = out;
}

static void keep_unix_name(struct row *row, const struct socket_info *socket)
{
    if (row->n_unix_name == socket->n_unix_name &&
        (row->n_unix_name == 0 || (row->unix_name && memcmp(row->unix_name, socket->unix_name, row->n_unix_name) == 0)))
        return;
    free(row->unix_name);
    row->unix_name = malloc(socket->n_unix_name);
    row->n_unix_name = row->unix_name ? socket->n_unix_name : 0;
    if (row->unix_name)
        memcpy(row->unix_name, socket->unix_name, row->n_unix_name);
}

static void fill_row(struct row *row, const struct socket_info *socket)
{
    row->inode = socket->inode;
    row->peer_inode = socket->peer_inode;
    row->local = socket->local;
    row->peer = socket->peer;
    row->timer_ns = socket->timer_ns;
    row->uid = socket->uid;
    row->interface = socket->interface;
    row->receive_queue = socket->receive_queue;
    row->send_queue = socket->send_queue;
    row->family = socket->family;
    row->type = socket->type;
    row->protocol = socket->protocol;
    row->state = socket->state;
    row->timer = socket->timer;
    row->n_retransmits = socket->n_retransmits;
    row->shutdown = socket->shutdown;
    row->v6_only = socket->v6_only;
    if (socket->family == AF_UNIX)
        keep_unix_name(row, socket);
    if (socket->has_info) {
        row->has_info = true;
        row->rtt_us = socket->info.rtt_us;
        socket_payload(socket, row->direction, &row->bytes_in, &row->bytes_out);
    }
    if (socket->has_memory) {
        row->has_drops = true;
        row->drops = socket->memory.drops;
    }
}

/* ---- the past */

/* When it was 0 for the last time: at the look before this one, if there was one. */
static void keep_queue_past(uint32_t now, int64_t before_ns, int64_t *since_ns)
{
    if (now == 0)
        *since_ns = 0;
    else if (*since_ns == 0)
        *since_ns = before_ns;
}

static void keep_listener_past(struct socket_past *past, const struct row *row, uint32_t queue_before, int64_t now_ns)
{
    if (!row_is_full(row))
        past->queue_full_since_ns = 0;
    else if (past->queue_full_since_ns == 0)
        past->queue_full_since_ns = now_ns;
    if (row->receive_queue == 0)
        past->no_accept_since_ns = 0;
    else if (past->no_accept_since_ns == 0 || row->receive_queue < queue_before)
        past->no_accept_since_ns = now_ns;
}

static bool peer_window_is_zero(const struct socket_info *socket)
{
    if (socket->timer == TIMER_PROBE)
        return true;
    return socket->has_info && socket->info.n_bytes >= offsetof(struct tcp_info_whole, rcv_wnd) &&
           socket->info.snd_wnd == 0 && tcp_state_class(socket->state) != TCP_CLASS_NONE &&
           tcp_state_class(socket->state) != TCP_CLASS_HALF && socket->state != TCP_STATE_TIME_WAIT;
}

static void keep_rates(struct track *track, const struct row *row, int64_t now_ns)
{
    int64_t past_ns = now_ns - track->rate_since_ns;
    if (!row->has_info || (track->rates_known && past_ns < RATE_WINDOW_NS) || past_ns <= 0)
        return;
    uint64_t in = row->bytes_in > track->rate_in_before ? row->bytes_in - track->rate_in_before : 0;
    uint64_t out = row->bytes_out > track->rate_out_before ? row->bytes_out - track->rate_out_before : 0;
    track->in_per_s = (uint64_t)((double)in * NS_PER_S / (double)past_ns + 0.5);
    track->out_per_s = (uint64_t)((double)out * NS_PER_S / (double)past_ns + 0.5);
    track->rates_known = true;
    track->rate_since_ns = now_ns;
    track->rate_in_before = row->bytes_in;
    track->rate_out_before = row->bytes_out;
}

static void keep_past(struct track *track, const struct row *row, const struct socket_info *socket,
                      uint32_t receive_before, int64_t now_ns)
{
    struct socket_past *past = &track->past;
    int64_t before_ns = track->seen_ns ? track->seen_ns : now_ns;
    if (row->state == TCP_STATE_LISTEN) {
        keep_listener_past(past, row, receive_before, now_ns);
    } else {
        if (past->unread_since_ns == 0)
            past->unread_at_first = row->receive_queue;
        keep_queue_past(row->receive_queue, before_ns, &past->unread_since_ns);
        keep_queue_past(row->send_queue, before_ns, &past->unsent_since_ns);
    }
    if (!peer_window_is_zero(socket))
        past->window_zero_since_ns = 0;
    else if (past->window_zero_since_ns == 0)
        past->window_zero_since_ns = now_ns;
    keep_rates(track, row, now_ns);
    track->seen_ns = now_ns;
}

static void begin_past(struct track *track, const struct row *row, const struct socket_info *socket, int64_t now_ns,
                       bool is_news)
{
    track->past.first_seen_ns = track->past.state_since_ns = now_ns;
    track->past.state_since_known = is_news;
    track->from_state = TCP_STATE_UNKNOWN;
    track->rate_since_ns = now_ns;
    track->rate_in_before = row->bytes_in;
    track->rate_out_before = row->bytes_out;
    track->drops_first = row->drops;
    if (!socket->has_info)
        return;
    track->past.info_rwnd_limited_us = socket->info.rwnd_limited_us;
    track->past.info_sndbuf_limited_us = socket->info.sndbuf_limited_us;
    track->past.info_busy_us = socket->info.busy_time_us;
}

void past_begin(const struct socket_info *socket, int64_t now_ns, struct socket_past *ret_past)
{
    struct track track = {.seen_ns = 0};
    struct row row = {.state = socket->state, .receive_queue = socket->receive_queue, .send_queue = socket->send_queue};
    begin_past(&track, &row, socket, now_ns, false);
    keep_past(&track, &row, socket, 0, now_ns);
    *ret_past = track.past;
}

/* ---- changes */

static void tell(struct model *model, enum change_kind kind, const struct row *row, struct track *track,
                 enum tcp_state from, enum tcp_state to)
{
    if (!model->on_change)
        return;
    struct change change = {
        .kind = kind,
        .from = from,
        .to = to,
        .in_state_ns = model->now_ns - track->past.state_since_ns,
        .in_state_known = track->past.state_since_known,
        .bytes_known = track->died && row->has_info,
        .first_look = model->look == 1,
        .row = row,
        .track = track,
    };
    model->on_change(&change, model->user);
}

static void change_state(struct model *model, struct row *row, struct track *track, enum tcp_state from)
{
    enum tcp_state to = row->state;
    if (track->gone_ns == 0)
        tell(model, CHANGE_STATE, row, track, from, to);
    else /* it was taken for gone */
        tell(model, CHANGE_APPEARED, row, track, TCP_STATE_UNKNOWN, to);
    track->from_state = (uint8_t)from;
    track->past.state_since_ns = model->now_ns;
    track->past.state_since_known = true;
}

/* ---- sockets that were missed */

/* Listeners come first in a dump: one that is new is known already when its connections come. */
static enum direction direction_of(const struct model *model, const struct socket_info *socket)
{
    enum direction direction = census_direction(&model->census, socket);
    return direction != DIRECTION_UNKNOWN ? direction : census_direction(&model->next_census, socket);
}

static void note_news(struct model *model, uint64_t key)
{
    model->news[model->n_news++ % MODEL_NEWS_MAX] = (struct news){key, model->look};
}

static bool same_ends(const struct row *a, const struct row *b)
{
    return a->local.port == b->local.port && a->peer.port == b->peer.port && a->local.family == b->local.family &&
           memcmp(a->local.u.ip, b->local.u.ip, sizeof a->local.u.ip) == 0 &&
           memcmp(a->peer.u.ip, b->peer.u.ip, sizeof a->peer.u.ip) == 0;
}

/* The other half of this one: a TIME_WAIT entry for a dead one, a dead one for a TIME_WAIT entry. */
static struct row *find_half(const struct model *model, const struct row *row, bool wants_time_wait)
{
    size_t n = model->n_news < MODEL_NEWS_MAX ? model->n_news : MODEL_NEWS_MAX;
    for (size_t i = 0; i < n; i++) {
        const struct news *news = &model->news[(model->n_news - 1 - i) % MODEL_NEWS_MAX];
        if (news->look + 3 < model->look)
            break;
        struct row *other = model_find(model, news->key);
        if (other && other != row && (other->state == TCP_STATE_TIME_WAIT) == wants_time_wait && same_ends(other, row))
            return other;
    }
    return NULL;
}

static void finish_missed(struct model *model, struct row *row, struct track *track)
{
    struct socket_info ends = {.protocol = row->protocol, .state = row->state, .local = row->local, .peer = row->peer};
    if (row->direction == DIRECTION_UNKNOWN)
        row->direction = (uint8_t)direction_of(model, &ends);
    /* The peer's FIN counts as a byte; both have ended when its own was acknowledged. */
    bool fin_acked = track->fins_acked > (row->direction == DIRECTION_IN ? 0 : 1);
    if (row->bytes_in > 0 && fin_acked)
        row->bytes_in--;
}

/* ---- a look */

void model_begin(struct model *model, int64_t now_ns)
{
    model->look++;
    model->now_ns = now_ns;
    model->n_beyond = 0;
    census_clear(&model->next_census);
    model->next_census.port_low = model->census.port_low;
    model->next_census.port_high = model->census.port_high;
}

/* It came and went between two looks. */
static void see_missed(struct model *model, const struct socket_info *socket)
{
    struct row *row = add_row(model, key_of(socket));
    model->n_missed++;
    if (!row) {
        model->n_beyond++;
        return;
    }
    const struct tcp_info_whole *info = &socket->info;
    struct track *track = model_track(model, row);
    fill_row(row, socket);
    row->state = TCP_STATE_CLOSED;
    row->bytes_in = info->bytes_received; /* finish_missed knows more */
    uint64_t beyond = info->bytes_acked - (info->bytes_sent - info->bytes_retrans);
    track->fins_acked = beyond <= 2 ? (uint8_t)beyond : 0;
    track->died = track->missed = true;
    begin_past(track, row, socket, model->now_ns, model->look > 1);
    note_news(model, row->key);
}

void model_died(struct model *model, const struct socket_info *socket)
{
    struct row *row = model_find(model, key_of(socket));
    if (!row && socket->local.port == 0 && socket->peer.port == 0) {
        model->n_nameless++;
        return;
    }
    if (row) {
        struct track *track = model_track(model, row);
        track->died = true;
        if (socket->has_info)
            socket_payload(socket, row->direction, &row->bytes_in, &row->bytes_out);
        row->has_info |= socket->has_info;
        return;
    }
    see_missed(model, socket);
}

/* A TIME_WAIT entry whose socket died unseen takes what is known of that, or waits a look for it. */
static void appear(struct model *model, struct row *row, struct track *track)
{
    struct row *dead = row->state == TCP_STATE_TIME_WAIT && model->look > 1 ? find_half(model, row, false) : NULL;
    bool may_have_half = row->state == TCP_STATE_TIME_WAIT && model->look > 1;
    if (may_have_half)
        note_news(model, row->key);
    if (!dead || !model_track(model, dead)->missed) {
        track->untold = may_have_half;
        if (!track->untold)
            tell(model, CHANGE_APPEARED, row, track, TCP_STATE_UNKNOWN, row->state);
        return;
    }
    struct track *dead_track = model_track(model, dead);
    finish_missed(model, dead, dead_track);
    row->bytes_in = dead->bytes_in;
    row->bytes_out = dead->bytes_out;
    row->has_info = dead->has_info;
    track->died = true; /* its bytes are known */
    track->wanted |= dead_track->wanted;
    tell(model, CHANGE_MISSED, row, track, TCP_STATE_UNKNOWN, TCP_STATE_TIME_WAIT);
    track->died = false;
    dead_track->missed = false; /* told */
    dead_track->gone_ns = model->now_ns - REMEMBERED_NS;
}

struct row *model_see(struct model *model, const struct socket_info *socket)
{
    census_count(&model->next_census, socket);
    uint64_t key = key_of(socket);
    struct row *row = model->has_past ? model_find(model, key) : NULL;
    bool is_new = !row;
    if (model->pass && model->n_rows >= MODEL_PASS_FROM && socket->family != AF_UNIX) {
        struct row passing = {.key = key, .direction = (uint8_t)direction_of(model, socket)};
        fill_row(&passing, socket);
        if (model->pass(&passing, model->user))
            return NULL;
    }
    if (!row)
        row = add_row(model, key);
    if (!row) {
        model->n_beyond++;
        return NULL;
    }
    if (!model->has_past) {
        fill_row(row, socket);
        return row;
    }
    struct track *track = model_track(model, row);
    enum tcp_state from = row->state;
    uint32_t receive_before = row->receive_queue;
    if (track->look == model->look)
        return row; /* the dump had it twice */
    if (row->direction == DIRECTION_UNKNOWN)
        row->direction = (uint8_t)direction_of(model, socket);
    uint64_t in = row->bytes_in, out = row->bytes_out;
    fill_row(row, socket);
    if (track->died) {
        row->bytes_in = in; /* TIME_WAIT remembers none */
        row->bytes_out = out;
    }
    if (is_new)
        begin_past(track, row, socket, model->now_ns, model->look > 1);
    track->look = model->look;
    track->is_missing = false;
    if (is_new)
        appear(model, row, track);
    else if (from != row->state)
        change_state(model, row, track, from);
    track->died = false;
    track->gone_ns = 0;
    keep_past(track, row, socket, receive_before, model->now_ns);
    return row;
}

static void end_row(struct model *model, struct row *row, struct track *track)
{
    enum tcp_state to = TCP_STATE_CLOSED;
    if (track->missed) {
        finish_missed(model, row, track);
        if (find_half(model, row, true))
            to = TCP_STATE_TIME_WAIT;
        tell(model, CHANGE_MISSED, row, track, TCP_STATE_UNKNOWN, to);
    } else {
        tell(model, CHANGE_GONE, row, track, row->state, to);
    }
    track->from_state = row->state;
    row->state = TCP_STATE_CLOSED;
    row->weight = VERDICT_NONE;
    row->verdict = NULL;
    row->timer = TIMER_NONE;
    track->gone_ns = model->now_ns;
}

/* How long it is kept once it is gone: one whose death was not told yet, so that this is not taken for another's. */
static int64_t kept_ns(const struct model *model, const struct row *row, const struct track *track)
{
    bool dies_later = !track->died && row->protocol == IPPROTO_TCP && track->from_state != TCP_STATE_TIME_WAIT &&
                      track->from_state != TCP_STATE_SYN_RECV;
    return dies_later && REMEMBERED_NS > model->linger_ns ? REMEMBERED_NS : model->linger_ns;
}

static void tell_late(struct model *model, struct row *row, struct track *track)
{
    if (!track->untold || track->past.first_seen_ns == model->now_ns)
        return;
    track->untold = false;
    if (!find_half(model, row, false)) /* that one tells of both */
        tell(model, CHANGE_APPEARED, row, track, TCP_STATE_UNKNOWN, row->state);
}

void model_end(struct model *model)
{
    struct census whole = model->next_census;
    model->next_census = model->census;
    model->census = whole;
    if (!model->has_past)
        return;
    for (size_t i = 0; i < model->n_rows;) {
        struct row *row = &model->rows[i];
        struct track *track = &model->tracks[i];
        if (track->look == model->look) {
            tell_late(model, row, track);
            i++;
            continue;
        }
        if (track->gone_ns == 0 && (track->died || track->is_missing))
            end_row(model, row, track);
        else if (track->gone_ns == 0)
            track->is_missing = true;
        if (track->gone_ns != 0 && model->now_ns - track->gone_ns >= kept_ns(model, row, track))
            remove_row(model, i); /* another has taken its place */
        else
            i++;
    }
}
