/* SPDX-License-Identifier: MIT */
/* One look as JSON Lines. A first dump counts, the second tells; nothing is kept of either. */
#include "term/translate.h"
#include "watch/socket_json.h"
#include "watch/source.h"
#include "watch/text.h"

#include <errno.h>
#include <unistd.h>

#define CHUNK_BYTES (1u << 18)

struct json_look {
    struct source source;
    struct census census;
    struct text out;
    int error; /* of writing */
    uint64_t n_too_long;
};

static bool count(const struct socket_info *socket, void *user)
{
    struct json_look *look = user;
    census_count(&look->census, socket);
    return true;
}

static bool print(const struct socket_info *socket, void *user)
{
    struct json_look *look = user;
    struct source *source = &look->source;
    if (source_leaves_out(source, socket) || !source_matches(source, source->settings->filter, socket))
        return true;
    char program[64], *line = text_room(&look->out, SOCKET_JSON_ROOM);
    int32_t pid;
    struct judgement judgement;
    struct json json;
    if (!line)
        return false;
    int64_t now_ns = clock_now_ns();
    const char *name = source_program(source, socket->inode, program, &pid);
    judge_socket(&source->judge, socket, NULL, now_ns, name, pid, &judgement);
    json_begin(&json, line, SOCKET_JSON_ROOM);
    json_string(&json, "event", "socket");
    json_time(&json, "time", clock_wall_ns());
    json_number(&json, "mono_ns", now_ns);
    socket_json(&json, socket, socket->state == TCP_STATE_LISTEN ? census_half_open(&look->census, &socket->local) : 0,
                &judgement, source->settings->owners ? source->owners : NULL);
    size_t n = json_end(&json);
    look->out.n_bytes += n;
    look->n_too_long += n == 0;
    if (look->out.n_bytes >= CHUNK_BYTES) {
        look->error = text_write(&look->out, STDOUT_FILENO);
        text_clear(&look->out);
    }
    return look->error == 0;
}

int watch_json(const struct watch_settings *settings)
{
    struct json_look look = {.error = 0};
    int error = source_open(&look.source, settings);
    look.census.port_low = look.source.judge.counters.port_low;
    look.census.port_high = look.source.judge.counters.port_high;
    look.source.judge.census = &look.census;
    if (error == 0)
        error = sockets_dump(look.source.sockets, SOCKETS_TCP, 0, NULL, count, &look);
    if (error >= 0)
        error = sockets_dump(look.source.sockets, settings->kinds,
                             SOCKETS_WITH_INFO | SOCKETS_WITH_MEMORY | SOCKETS_WITH_CONGESTION, settings->filter, print,
                             &look);
    if (error < 0 && look.source.sockets)
        settings->say(_("the kernel does not tell its sockets: %s."), sonde_strerror(error));
    if (error >= 0 && look.error == 0)
        look.error = text_write(&look.out, STDOUT_FILENO);
    if (look.error != 0 && look.error != -EPIPE)
        settings->say(_("the sockets could not be written: %s."), sonde_strerror(look.error));
    if (look.n_too_long > 0)
        settings->say(_("%llu sockets did not fit into a line each, and are left out."),
                      (unsigned long long)look.n_too_long);
    struct text refused = {.bytes = NULL};
    if (settings->owners)
        source_put_refused(&look.source, &refused);
    if (refused.n_bytes > 0)
        settings->say("%.*s", (int)refused.n_bytes, refused.bytes);
    text_free(&refused);
    text_free(&look.out);
    census_free(&look.census);
    source_close(&look.source);
    return error < 0 ? error : look.error == -EPIPE ? 0 : look.error;
}
