/* SPDX-License-Identifier: MIT */
#include "cli/connect/messages.h"

#include "cli/connect/base64.h"
#include "cli/connect/frame.h"
#include "cli/connect/slash.h"
#include "cli/connect/talk.h"
#include "cli/say.h"
#include "term/escape.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OVERHEAD_BYTES 24u /* of each message on its way, at most: a short one is longer than what was typed */

static const struct sonde_frame line_frame = {.codec = SONDE_FRAME_LINE, .delimiter = "\n", .n_delimiter = 1};

/* ---- what was asked for */

static bool parse_frame(struct messages *messages, const char *codec)
{
    struct sonde_why why;
    char shown[128];

    if (codec == NULL)
        return true;
    escape_short(codec, strlen(codec), shown, sizeof shown);
    if (sonde_frame_parse(codec, &messages->frame, &why) < 0) {
        say(_("--frame %s is not understood: %s."), shown, why.detail);
        return false;
    }
    sonde_frame_format(&messages->frame, messages->name, sizeof messages->name);
    messages->has_frame = messages->frame.codec != SONDE_FRAME_NONE;
    return true;
}

/* The longest piece of standard input that can become a message. */
static uint64_t input_max(const struct messages *messages)
{
    const struct message_settings *settings = &messages->settings;

    return settings->base64 ? BASE64_TEXT(settings->max_bytes) : settings->max_bytes + 1 /* a slash, or a newline */;
}

static int on_message(const void *data, size_t n_bytes, void *user);

static int make_input(struct messages *messages)
{
    const struct sonde_frame_decoder_options options = {.size = sizeof options, .max_bytes = input_max(messages)};

    sonde_frame_decoder_free(messages->input);
    messages->input = NULL;
    if (!messages->is_cut)
        return 0;
    return sonde_frame_decoder_create(&messages->input_frame, &options, on_message, messages, &messages->input);
}

bool messages_open(struct messages *messages, const struct message_settings *settings)
{
    bool is_web = settings->transport == TRANSPORT_WEBSOCKET;

    *messages = (struct messages){.settings = *settings, .input_frame = line_frame};
    if (!parse_frame(messages, settings->frame))
        return false;
    if (settings->frame != NULL && !settings->each_line) {
        messages->is_cut = messages->has_frame;
        messages->input_frame = messages->frame;
    } else {
        messages->is_cut =
            settings->each_line || settings->base64 || settings->on_terminal || (is_web && !settings->binary);
    }
    int error = make_input(messages);
    if (error == -EMSGSIZE)
        say(_("--frame %s has no message as short as %llu bytes, which is the longest that is sent here."),
            messages->name, (unsigned long long)settings->max_bytes);
    else if (error < 0)
        say(_("memory is short."));
    return error == 0;
}

bool messages_wrap_send(struct messages *messages, struct send *send)
{
    static const struct sonde_frame own = {.codec = SONDE_FRAME_U32BE};
    struct framing framing = {.frame = own, .max_bytes = messages->settings.max_bytes, .is_transport = true};

    if (send->n_pieces == 0)
        return true;
    messages->is_cut = messages->is_wrapped = true;
    messages->input_frame = own;
    snprintf(framing.name, sizeof framing.name, "%s", transport_name(messages->settings.transport));
    if (!framing_wrap_send(&framing, send))
        return false;
    if (make_input(messages) == 0)
        return true;
    say(_("memory is short."));
    return false;
}

void messages_free(struct messages *messages)
{
    sonde_frame_decoder_free(messages->input);
    messages->input = NULL;
    free(messages->waiting);
    messages->waiting = NULL;
    messages->begin = messages->end = 0;
    free(messages->room);
    messages->room = NULL;
    messages->room_bytes = 0;
}

uint64_t messages_send_limit(const struct messages *messages)
{
    return TALK_QUEUE_HIGH + (uint64_t)(OVERHEAD_BYTES + 1) * INPUT_CHUNK + 2 * messages->settings.max_bytes;
}

void messages_attach(struct messages *messages, struct talk *talk)
{
    messages->talk = talk;
    messages->begin = messages->end = 0; /* it was for the connection before */
}

bool messages_take_commands(const struct messages *messages)
{
    const struct message_settings *settings = &messages->settings;
    bool has_lines = messages->is_cut && messages->input_frame.codec == SONDE_FRAME_LINE;

    /* A slash is a digit of base64. */
    return settings->transport == TRANSPORT_WEBSOCKET && has_lines && !messages->is_wrapped &&
           (settings->commands || (settings->on_terminal && !settings->base64));
}

const char *messages_kind(const struct messages *messages, unsigned flags)
{
    if (messages->settings.transport != TRANSPORT_WEBSOCKET)
        return NULL;
    return flags & SONDE_TEXT ? "text" : "binary";
}

static bool make_room(struct messages *messages, size_t n_bytes)
{
    if (n_bytes <= messages->room_bytes)
        return true;
    unsigned char *room = realloc(messages->room, n_bytes);
    if (room == NULL)
        return false;
    messages->room = room;
    messages->room_bytes = n_bytes;
    return true;
}

/* ---- standard input */

/* What it is called: "line 3 of standard input". */
static void name_input(const struct messages *messages, char *ret_name, size_t size_bytes)
{
    unsigned long long number = messages->n_input;

    if (messages->is_wrapped)
        snprintf(ret_name, size_bytes, _("message %llu of --send"), number);
    else if (messages->is_cut && messages->input_frame.codec == SONDE_FRAME_LINE)
        snprintf(ret_name, size_bytes, _("line %llu of standard input"), number);
    else
        snprintf(ret_name, size_bytes, _("message %llu of standard input"), number);
}

/* Is this one to be told of? Of many, as of a binary file sent as lines of text, the first ones are. */
static bool count_refused(struct messages *messages)
{
    messages->n_refused++;
    if (messages->n_refused == MESSAGES_REFUSED_TOLD + 1)
        say(_("more of standard input is not sent: the rest is only counted."));
    return messages->n_refused <= MESSAGES_REFUSED_TOLD;
}

static void refuse(struct messages *messages, int error, size_t n_bytes)
{
    char name[128];

    if (!count_refused(messages))
        return;
    name_input(messages, name, sizeof name);
    if (error == -EILSEQ)
        say(_("%s is not UTF-8, which a message of text is, and is not sent: --binary and --base64 send any bytes."),
            name);
    else if (error == -EMSGSIZE)
        say(_("%s has %zu bytes, which is more than this transport carries in one message, and is not sent."), name,
            n_bytes);
    else
        say(_("%s is not sent: %s."), name, sonde_strerror(error));
}

static void send_message(struct messages *messages, const void *data, size_t n_bytes, unsigned flags)
{
    int error = n_bytes > messages->settings.max_bytes ? -EMSGSIZE : 0;

    if (error == 0)
        error = talk_send_message(messages->talk, data, n_bytes, flags);
    if (error < 0)
        refuse(messages, error, n_bytes);
}

static void run_binary(struct messages *messages, const struct slash *slash)
{
    size_t n_bytes;

    if (!make_room(messages, slash->n_text / 2 + 1))
        refuse(messages, -ENOMEM, slash->n_text);
    else if (slash_unhex(slash->text, slash->n_text, messages->room, &n_bytes))
        send_message(messages, messages->room, n_bytes, 0);
    else
        say(_("/binary takes bytes of two hexadecimal digits, /binary 48 65 6c: nothing is sent."));
}

static void run_command(struct messages *messages, const struct slash *slash)
{
    switch (slash->kind) {
    case SLASH_PING:
        talk_ping(messages->talk, slash->text, slash->n_text);
        break;
    case SLASH_CLOSE:
        talk_close(messages->talk, slash->code, slash->text, slash->n_text);
        break;
    case SLASH_BINARY:
        run_binary(messages, slash);
        break;
    case SLASH_HELP:
        say(_("/ping [TEXT], /close [CODE [REASON]], /binary HEX; a message that begins with a slash is written with "
              "two."));
        break;
    case SLASH_WRONG:
        messages->n_refused += !messages->settings.on_terminal;
        say("%s", _(slash->wrong));
        break;
    case SLASH_MESSAGE:
        break;
    }
}

static void send_base64(struct messages *messages, const char *text, size_t n_text)
{
    size_t n_bytes, wrong_at;
    char name[128];

    if (!make_room(messages, n_text + 1)) {
        refuse(messages, -ENOMEM, n_text);
        return;
    }
    if (base64_decode(text, n_text, messages->room, &n_bytes, &wrong_at)) {
        send_message(messages, messages->room, n_bytes, 0);
        return;
    }
    if (!count_refused(messages))
        return;
    name_input(messages, name, sizeof name);
    say(_("%s is not base64, from character %zu on, and is not sent."), name, wrong_at + 1);
}

/* Of the lines that are typed for datagrams, the newline is a part, as with nc(1). */
static bool keeps_newline(const struct messages *messages)
{
    const struct message_settings *settings = &messages->settings;

    return settings->transport != TRANSPORT_WEBSOCKET && settings->frame == NULL && !settings->base64 &&
           !messages->is_wrapped;
}

static void send_with_newline(struct messages *messages, const void *data, size_t n_bytes)
{
    if (!make_room(messages, n_bytes + 1)) {
        refuse(messages, -ENOMEM, n_bytes);
        return;
    }
    memcpy(messages->room, data, n_bytes);
    messages->room[n_bytes] = '\n';
    send_message(messages, messages->room, n_bytes + 1, 0);
}

static void take_message(struct messages *messages, const void *data, size_t n_bytes, bool has_newline)
{
    const struct message_settings *settings = &messages->settings;
    bool is_text = settings->transport == TRANSPORT_WEBSOCKET && !settings->binary;
    struct slash slash = {.kind = SLASH_MESSAGE, .text = data, .n_text = n_bytes};

    messages->n_input++;
    if (messages_take_commands(messages))
        slash_parse(data, n_bytes, &slash);
    if (slash.kind != SLASH_MESSAGE)
        run_command(messages, &slash);
    else if (settings->base64 && !messages->is_wrapped)
        send_base64(messages, slash.text, slash.n_text);
    else if (has_newline && keeps_newline(messages))
        send_with_newline(messages, data, n_bytes);
    else
        send_message(messages, slash.text, slash.n_text, is_text ? SONDE_TEXT : 0);
}

static int on_message(const void *data, size_t n_bytes, void *user)
{
    const struct messages *messages = user;

    take_message(user, data, n_bytes, true);
    return talk_wants_more(messages->talk) ? 0 : 1;
}

static int fault_of(const struct messages *messages)
{
    struct sonde_frame_fault fault = {.error = 0};

    if (messages->input != NULL)
        sonde_frame_decoder_fault(messages->input, &fault);
    return fault.error;
}

static void say_fault(struct messages *messages, int error)
{
    unsigned long long number = messages->n_input + 1, longest = messages->settings.max_bytes;

    messages->n_refused++;
    if (error == -EMSGSIZE)
        say(_("message %llu of standard input is longer than %llu bytes, and nothing from it on is sent."), number,
            longest);
    else if (error == -ENOMEM)
        say(_("message %llu of standard input is not sent, and nothing behind it: memory is short."), number);
    else
        say(_("message %llu of standard input is none of %s, and nothing from there on is sent."), number,
            messages->name);
}

/* What is not taken is kept. There is room: nothing is read while anything waits. */
static int keep_rest(struct messages *messages, const unsigned char *data, size_t n_bytes)
{
    if (messages->waiting == NULL)
        messages->waiting = malloc(2 * INPUT_CHUNK);
    if (messages->waiting == NULL)
        return -ENOMEM;
    memmove(messages->waiting, data, n_bytes);
    messages->begin = 0;
    messages->end = n_bytes;
    return 0;
}

static void feed(struct messages *messages, const unsigned char *data, size_t n_bytes)
{
    size_t n_taken = n_bytes;

    messages->is_feeding = true;
    int error = sonde_frame_decoder_feed(messages->input, data, n_bytes, &n_taken);
    messages->is_feeding = false;
    if (error > 0)
        error = keep_rest(messages, data + n_taken, n_bytes - n_taken);
    if (error == 0)
        return;
    say_fault(messages, error);
    talk_input_end(messages->talk);
}

bool messages_wait(const struct messages *messages)
{
    return messages->begin < messages->end;
}

void messages_go_on(struct messages *messages)
{
    size_t begin = messages->begin, end = messages->end;

    if (begin == end || messages->is_feeding)
        return;
    messages->begin = messages->end = 0;
    feed(messages, messages->waiting + begin, end - begin);
}

void messages_input(struct messages *messages, const void *data, size_t n_bytes)
{
    int error = fault_of(messages);

    if (!messages->is_cut) {
        take_message(messages, data, n_bytes, false);
        return;
    }
    /* After an input that ended in the middle of a line, and then goes on for another connection, it begins anew. */
    if (error == -ENODATA || messages->input == NULL)
        error = make_input(messages);
    if (error == 0)
        feed(messages, data, n_bytes);
}

void messages_input_end(struct messages *messages)
{
    const void *rest;
    size_t n_rest;

    if (messages->input == NULL || fault_of(messages) != 0 || sonde_frame_decoder_end(messages->input) != -ENODATA)
        return;
    n_rest = sonde_frame_decoder_rest(messages->input, &rest);
    /* The last line may lack its newline: it is a line nevertheless. */
    if (messages->input_frame.codec == SONDE_FRAME_LINE) {
        take_message(messages, rest, n_rest, false);
        return;
    }
    messages->n_refused++;
    say(_("standard input ended in the middle of a message of %s, which is not sent: %zu bytes of it had come."),
        messages->name, n_rest);
}

/* ---- what is received */

static bool encode(struct messages *messages, const struct sonde_lent *message, size_t *ret_n_bytes)
{
    size_t n_most = sonde_frame_bound(&messages->frame, message->n_bytes);
    int error =
        make_room(messages, n_most > 0 ? n_most : 1)
            ? sonde_frame_encode(&messages->frame, message->data, message->n_bytes, messages->room, n_most, ret_n_bytes)
            : -ENOMEM;
    if (error == 0)
        return true;
    messages->n_unwritten++;
    if (error == -ENOMEM)
        say(_("a message that came is not written: memory is short."));
    else
        say(_("a message that came, of %zu bytes, cannot be one of %s, and is not written: --json shows any."),
            message->n_bytes, messages->name);
    return false;
}

bool messages_write(struct messages *messages, const struct sonde_lent *message, const void **ret_data,
                    size_t *ret_n_bytes, bool *ret_newline)
{
    const struct message_settings *settings = &messages->settings;
    bool is_text = message->flags & SONDE_TEXT;

    *ret_data = message->data;
    *ret_n_bytes = message->n_bytes;
    *ret_newline = false;
    if (settings->base64 && !is_text) {
        if (!make_room(messages, BASE64_TEXT(message->n_bytes) + 1)) {
            messages->n_unwritten++;
            say(_("a message that came is not written: memory is short."));
            return false;
        }
        *ret_n_bytes = base64_encode(message->data, message->n_bytes, (char *)messages->room);
        *ret_data = messages->room;
        *ret_newline = true;
    } else if (messages->has_frame) {
        if (!encode(messages, message, ret_n_bytes))
            return false;
        *ret_data = messages->room;
    } else {
        *ret_newline = is_text && !settings->binary;
    }
    return true;
}
