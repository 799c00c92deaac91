/* SPDX-License-Identifier: MIT */
/* talk: what the operator says, and asks. */
#include "service/talk_internal.h"

#include "term/escape.h"
#include "term/translate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WHO_MOST = 200, NAME_BYTES = 160, WORD_BYTES = 96 };

static void tell(struct talk *talk, const char *sentence)
{
    talk->run->host->tell(talk->run, NULL, sentence);
}

/* --- saying ------------------------------------------------------------------------------------------------------- */

/* On a WebSocket a line is a message, and needs no newline. */
static int send(struct sonde_stream *stream, const char *line, size_t n_bytes)
{
    if (!(sonde_stream_layers(stream) & SONDE_LAYER_WS))
        return sonde_stream_write(stream, line, n_bytes);
    int error = sonde_stream_send(stream, line, n_bytes - 1, SONDE_TEXT);
    return error == -EILSEQ ? sonde_stream_write(stream, line, n_bytes - 1) : error;
}

static void say_to(struct talk *talk, struct talk_client *client, const char *text, size_t n_bytes)
{
    struct service_run *run = talk->run;
    bool had_gone = sonde_stream_queued_bytes(client->stream) == 0;

    if (sonde_stream_queued_bytes(client->stream) + n_bytes > TALK_QUEUE_BYTES) {
        talk_drop(talk, client, n_bytes);
        return;
    }
    int error = send(client->stream, text, n_bytes);
    if (error == -ENOBUFS) {
        talk_drop(talk, client, n_bytes);
        return;
    }
    if (error == -EMSGSIZE) {
        run->host->tell(run, client->stream, _("is not sent that line: it is too long for one datagram."));
        run->host->withheld(run, client->stream, SERVICE_TOO_LONG, n_bytes);
        return;
    }
    if (error != 0) {
        /* Its end is told of by itself. */
        run->host->unanswered(run, client->stream, n_bytes);
        client->leaving = !service_cannot_send(run, client->stream, error);
        return;
    }
    if (had_gone || !client->reader.waits)
        talk_look_at(talk, client);
}

static struct talk_client *find(const struct talk *talk, uint64_t number)
{
    for (struct talk_client *client = talk->first; client != NULL; client = client->next)
        if (!client->leaving && sonde_stream_id(client->stream) == number)
            return client;
    return NULL;
}

/* The one that is called so, or the operator is told that there is none. */
static struct talk_client *find_or_tell(struct talk *talk, uint64_t number)
{
    struct talk_client *client = find(talk, number);
    char text[96];

    if (client != NULL)
        return client;
    snprintf(text, sizeof(text), _("there is no client %" PRIu64 ": /who lists those there are."), number);
    tell(talk, text);
    return NULL;
}

static void say_to_one(struct talk *talk, uint64_t number, const char *text, size_t n_bytes)
{
    struct talk_client *client = find_or_tell(talk, number);

    if (client == NULL)
        return;
    if (client->ended) {
        talk->run->host->tell(talk->run, client->stream, _("has left: not sent."));
        return;
    }
    talk->run->host->spoken(talk->run, client->stream, 1, text, n_bytes);
    say_to(talk, client, text, n_bytes);
}

static void say_to_all(struct talk *talk, const char *text, size_t n_bytes)
{
    unsigned n = 0;

    for (const struct talk_client *client = talk->first; client != NULL; client = client->next)
        n += talk_is_here(client);
    if (n == 0) {
        tell(talk, _("nobody is connected: not sent."));
        return;
    }
    talk->run->host->spoken(talk->run, NULL, n, text, n_bytes);
    for (struct talk_client *client = talk->first; client != NULL; client = client->next)
        if (talk_is_here(client))
            say_to(talk, client, text, n_bytes);
}

/* As a line: with its end. */
static void say_line(struct talk *talk, const struct talk_command *command)
{
    char *line = malloc(command->n_text_bytes + 1);
    size_t n_bytes = command->n_text_bytes + 1;

    if (line == NULL) {
        tell(talk, _("there is not enough memory: not sent."));
        return;
    }
    memcpy(line, command->text, command->n_text_bytes);
    line[command->n_text_bytes] = '\n';
    if (command->verb == TALK_SAY_TO)
        say_to_one(talk, command->number, line, n_bytes);
    else
        say_to_all(talk, line, n_bytes);
    free(line);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

/* When it came, by the clock on the wall. */
static void format_since(const struct talk *talk, const struct talk_client *client, char ret_text[16])
{
    int64_t age_ns = sonde_loop_now_ns(talk->run->loop) - sonde_stream_since_ns(client->stream);
    time_t since = time(NULL) - (time_t)(age_ns / INT64_C(1000000000));
    struct tm parts;

    if (localtime_r(&since, &parts) == NULL || strftime(ret_text, 16, "%H:%M:%S", &parts) == 0)
        snprintf(ret_text, 16, "?");
}

static void show_client(struct talk *talk, const struct talk_client *client)
{
    struct sonde_stream *stream = client->stream;
    char name[NAME_BYTES], since[16], received[TALK_NUMBER], sent[TALK_NUMBER], waiting[TALK_NUMBER], text[512];

    talk->run->host->name_of(talk->run, stream, name, sizeof(name));
    format_since(talk, client, since);
    talk_number(sonde_stream_received_bytes(stream), received);
    talk_number(sonde_stream_sent_bytes(stream), sent);
    talk_number(sonde_stream_queued_bytes(stream), waiting);
    snprintf(text, sizeof(text), _("[%" PRIu64 "] %s since %s, %s bytes received, %s sent, %s waiting%s\n"),
             sonde_stream_id(stream), name, since, received, sent, waiting, client->ended ? _(", has left") : "");
    talk->run->host->answer(talk->run, text);
}

static void who(struct talk *talk)
{
    unsigned n = 0;
    char text[64];

    for (const struct talk_client *client = talk->first; client != NULL; client = client->next)
        if (!client->leaving && n++ < WHO_MOST)
            show_client(talk, client);
    if (n == 0)
        tell(talk, _("nobody is connected."));
    if (n <= WHO_MOST)
        return;
    snprintf(text, sizeof(text), _("and %u more\n"), n - WHO_MOST);
    talk->run->host->answer(talk->run, text);
}

static void kick(struct talk *talk, uint64_t number)
{
    struct service_run *run = talk->run;
    struct talk_client *client = find_or_tell(talk, number);

    if (client == NULL)
        return;
    client->leaving = true;
    run->host->done(run, client->stream, SERVICE_KICKED);
    /* What was said to it before still goes, unless it does not read. */
    if (client->reader.told)
        sonde_stream_abort(client->stream);
    else
        sonde_stream_finish(client->stream, sonde_loop_now_ns(run->loop) + SERVICE_FINISH_NS);
    talk_want(talk);
}

static void help(struct talk *talk)
{
    talk->run->host->answer(talk->run, _("TEXT        say it to everybody\n"
                                         "@2 TEXT     say it to client 2\n"
                                         "//TEXT      say a line that begins with a slash; a space before it does too\n"
                                         "/who        who is connected, and how many bytes wait for each\n"
                                         "/kick 2     end the connection of client 2\n"
                                         "/quit       end the program\n"
                                         "Ctrl-D      end what is said; the clients may still say something\n"
                                         "What is said to a client that does not read waits, 256 KiB at most.\n"
                                         "After 5 s without a byte taken you are told; after 60 s, or when\n"
                                         "more is said, it is dropped. Nobody else waits for it.\n"));
}

/* A word of the operator's in a sentence. */
static void tell_of_word(struct talk *talk, const char *format, const struct talk_command *command)
{
    char word[WORD_BYTES], text[256];

    escape_short(command->text, command->n_text_bytes, word, sizeof(word));
    snprintf(text, sizeof(text), format, word);
    tell(talk, text);
}

void talk_line(struct service_run *run, const char *line, size_t n_bytes)
{
    struct talk *talk = run->state;
    struct talk_command command;

    talk_parse(line, n_bytes, &command);
    switch (command.verb) {
    case TALK_SAY:
    case TALK_SAY_TO:
        say_line(talk, &command);
        talk_want(talk);
        break;
    case TALK_WHO:
        who(talk);
        break;
    case TALK_KICK:
        kick(talk, command.number);
        break;
    case TALK_HELP:
        help(talk);
        break;
    case TALK_QUIT:
        run->host->quit(run);
        break;
    case TALK_UNKNOWN:
        tell_of_word(talk, _("%s is not a command: /help lists them. To say it, put a space before it."), &command);
        break;
    case TALK_NEEDS_NUMBER:
        tell_of_word(talk, _("%s whom? Say the number of a client, as in /kick 2; /who lists them."), &command);
        break;
    case TALK_TAKES_NOTHING:
        tell_of_word(talk, _("%s takes nothing behind it. To say it, put a space before it."), &command);
        break;
    }
}
