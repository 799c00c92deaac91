/* SPDX-License-Identifier: MIT */
/* The options about messages and WebSocket: which go with the address, and what the library is told. */
#include "cli/connect/connect_internal.h"
#include "cli/say.h"

#include <string.h>
#include <unistd.h>

static bool check_websocket_only(const struct connect_settings *settings, int *ret_status)
{
    static const char sentence[] = N_("%s is for WebSocket: ws:// and wss:// addresses.");
    const struct {
        bool given;
        const char *option;
    } rows[] = {
        {settings->binary, "--binary"},
        {settings->commands, "--commands"},
        {settings->header.n > 0, "--header"},
        {settings->origin != NULL, "--origin"},
        {settings->subprotocol != NULL, "--subprotocol"},
        {settings->no_deflate, "--no-deflate"},
        {settings->ping_ns > 0, "--ping"},
        {settings->print_ping, "--print-ping"},
        {settings->message_max > 0, "--message-max"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!rows[i].given)
            continue;
        say(_(sentence), rows[i].option);
        return connect_misuse(ret_status);
    }
    return true;
}

static bool is_frame(const struct connect_settings *settings, const char *codec)
{
    return settings->frame != NULL && strcmp(settings->frame, codec) == 0;
}

bool connect_messages_check(const struct connect_settings *settings, const struct connect_target *target,
                            int *ret_status)
{
    enum transport transport = target->transport;
    bool is_web = transport == TRANSPORT_WEBSOCKET, frames = settings->frame != NULL;
    const struct contradiction rows[] = {
        {target->url.layers & SONDE_LAYER_ANY,
         N_("any:// is for servers, which tell their clients apart: sonde serve echo any://... To connect, say what is "
            "spoken: tcp://, tls://, ws:// or wss://.")},
        {settings->base64 && transport == TRANSPORT_BYTES,
         N_("--base64 is for messages: ws://, wss://, udp://, unixgram: and seqpacket: addresses.")},
        {settings->base64 && settings->binary,
         N_("--base64 sends binary messages already, and --binary cuts them in another way: give one of them.")},
        {settings->base64 && frames,
         N_("--base64 makes a line of each message, and --frame another thing: give one of them.")},
        {settings->commands && frames && !is_frame(settings, "line"),
         N_("--commands are lines, and --frame makes other messages: give one of them.")},
        {settings->commands && settings->binary && !frames,
         N_("--commands are lines, and --binary takes what one read brings: give --frame line too.")},
        {is_web && settings->crlf,
         N_("-C is about the ends of lines, which a WebSocket message does not have: leave it out.")},
        {is_web && !settings->binary && is_frame(settings, "none"),
         N_("--frame none cuts where a read ends, perhaps in the middle of a character, and a message of text is whole "
            "characters: give --binary too.")},
    };

    return connect_say_first(rows, sizeof rows / sizeof rows[0], ret_status) &&
           (is_web || check_websocket_only(settings, ret_status));
}

static uint64_t message_max(const struct connect_settings *settings, const struct connect_target *target)
{
    if (target->transport != TRANSPORT_WEBSOCKET)
        return transport_message_max(&target->url);
    return settings->message_max > 0 ? (uint64_t)settings->message_max : SONDE_WS_MESSAGE_LIMIT;
}

struct message_settings connect_message_settings(const struct connect_settings *settings,
                                                 const struct connect_target *target)
{
    struct message_settings made = {
        .transport = target->transport,
        .frame = settings->frame,
        .binary = settings->binary,
        .base64 = settings->base64,
        .commands = settings->commands,
        .on_terminal = settings->send.n == 0 && isatty(STDIN_FILENO) == 1,
        .each_line = settings->each_line >= 0,
        .max_bytes = message_max(settings, target),
    };

    if (settings->frame_max > 0 && (uint64_t)settings->frame_max < made.max_bytes)
        made.max_bytes = (uint64_t)settings->frame_max;
    return made;
}

bool connect_websocket_make(const struct connect_settings *settings, struct connect_target *target, int *ret_status)
{
    const struct sonde_ws_settings made = {
        .message_limit_bytes = settings->message_max > 0 ? (uint64_t)settings->message_max : 0,
        .no_deflate = settings->no_deflate,
        .ping_interval_ns = settings->ping_ns,
    };

    for (unsigned i = 0; i < settings->header.n; i++)
        if (!header_list_add(&target->headers, (char *)(uintptr_t)settings->header.values[i]))
            return connect_misuse(ret_status);
    target->origins[0] = settings->origin;
    target->ws = (struct sonde_ws_client){
        .size = sizeof target->ws,
        .settings = made,
        .origin = settings->origin,
        .subprotocols = settings->subprotocol,
        .headers = (const char *const *)target->headers.lines,
    };
    target->web = (struct sonde_web_server){
        .size = sizeof target->web,
        .settings = made,
        .origins = settings->origin != NULL ? target->origins : NULL,
        .subprotocols = settings->subprotocol,
    };
    return true;
}
