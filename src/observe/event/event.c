/* SPDX-License-Identifier: MIT */
/* Names of what is in events, and copies of them. */
#include "observe/event/event.h"

#include <stdlib.h>
#include <string.h>

#define N_ROWS(table) (sizeof(table) / sizeof((table)[0]))

const char *event_kind_name(enum event_kind kind)
{
    static const char *const names[] = {
#define KIND_NAME(name, text, member) text,
        EVENT_KINDS(KIND_NAME)
#undef KIND_NAME
    };
    return (unsigned)kind < N_ROWS(names) ? names[kind] : "?";
}

const char *event_source_name(enum event_source source)
{
    static const char *const names[] = {
#define SOURCE_NAME(name, text) text,
        EVENT_SOURCES(SOURCE_NAME)
#undef SOURCE_NAME
    };
    return (unsigned)source < N_ROWS(names) ? names[source] : "?";
}

const char *message_kind_name(enum message_kind kind)
{
    static const char *const names[N_MESSAGE_KINDS] = {
#define MESSAGE_KIND_NAME(name, text) text,
        MESSAGE_KINDS(MESSAGE_KIND_NAME)
#undef MESSAGE_KIND_NAME
    };
    return (unsigned)kind < N_MESSAGE_KINDS ? names[kind] : "?";
}

const char *segment_note_name(enum segment_note note)
{
    static const char *const names[] = {
#define NOTE_NAME(name, json, words) json,
        SEGMENT_NOTES(NOTE_NAME)
#undef NOTE_NAME
    };
    return (unsigned)note < N_ROWS(names) ? names[note] : "?";
}

const char *segment_note_words(enum segment_note note)
{
    static const char *const words_of[] = {
#define NOTE_WORDS(name, json, words) words,
        SEGMENT_NOTES(NOTE_WORDS)
#undef NOTE_WORDS
    };
    return (unsigned)note < N_ROWS(words_of) ? words_of[note] : NULL;
}

const char *event_value_name(enum event_value value)
{
    static const char *const names[] = {
#define VALUE_NAME(name, json, words) json,
        EVENT_VALUES(VALUE_NAME)
#undef VALUE_NAME
    };
    return (unsigned)value < N_ROWS(names) ? names[value] : "?";
}

const char *event_value_words(enum event_value value)
{
    static const char *const words_of[] = {
#define VALUE_WORDS(name, json, words) words,
        EVENT_VALUES(VALUE_WORDS)
#undef VALUE_WORDS
    };
    return (unsigned)value < N_ROWS(words_of) ? words_of[value] : NULL;
}

const char *reset_cause_name(enum reset_cause cause)
{
    static const char *const names[N_RESET_CAUSES] = {
        [RESET_UNKNOWN] = "unknown",
        [RESET_REFUSED] = "refused",
        [RESET_UNREAD] = "unread-data",
        [RESET_AFTER_CLOSE] = "after-close",
        [RESET_ABORT] = "abort",
        [RESET_TIMEOUT] = "timeout",
        [RESET_NO_SUCH] = "no-such-connection",
    };
    return (unsigned)cause < N_RESET_CAUSES ? names[cause] : names[RESET_UNKNOWN];
}

void segment_flags_text(unsigned flags, char ret_text[12])
{
    static const struct {
        unsigned flag;
        char letter;
    } letters[] = {
        {SEGMENT_SYN, 'S'}, {SEGMENT_FIN, 'F'}, {SEGMENT_RST, 'R'}, {SEGMENT_PSH, 'P'}, {SEGMENT_URG, 'U'},
        {SEGMENT_ECE, 'E'}, {SEGMENT_CWR, 'W'}, {SEGMENT_AE, 'e'},  {SEGMENT_ACK, '.'},
    };
    size_t n = 0;
    for (size_t i = 0; i < N_ROWS(letters); i++) {
        if (flags & letters[i].flag)
            ret_text[n++] = letters[i].letter;
    }
    ret_text[n] = '\0';
    if (n == 0)
        memcpy(ret_text, "none", 5);
}

/* ---- copies: the struct, and behind it all that it points to */

/* Members of an event that point elsewhere: bytes, and texts with their NUL. */
struct lent {
    const void **pointer;
    size_t n_bytes;
};

#define LENT_MAX 4

static size_t text_bytes(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static size_t lent_of(struct event *event, struct lent ret_lent[LENT_MAX])
{
    size_t n = 0;
#define LENT(member, size)                                                                                             \
    ret_lent[n++] = (struct lent)                                                                                      \
    {                                                                                                                  \
        (const void **)&(member), (member) ? (size) : 0                                                                \
    }
    switch ((enum event_kind)event->kind) {
    case EVENT_KIND_CONNECTION:
        LENT(event->connection.where, text_bytes(event->connection.where));
        for (int end = 0; end < N_ENDS; end++)
            LENT(event->connection.end[end].program, text_bytes(event->connection.end[end].program));
        break;
    case EVENT_KIND_CALL:
        LENT(event->call.arguments, text_bytes(event->call.arguments));
        LENT(event->call.data, event->call.n_data);
        break;
    case EVENT_KIND_SEGMENT:
        LENT(event->segment.data, event->segment.n_data);
        break;
    case EVENT_KIND_DATAGRAM:
        LENT(event->datagram.data, event->datagram.n_data);
        break;
    case EVENT_KIND_ICMP:
        LENT(event->icmp.words, text_bytes(event->icmp.words));
        break;
    case EVENT_KIND_HANDSHAKE:
        LENT(event->handshake.agreed, text_bytes(event->handshake.agreed));
        break;
    case EVENT_KIND_MESSAGE:
        LENT(event->message.words, text_bytes(event->message.words));
        LENT(event->message.data, event->message.n_data);
        break;
    case EVENT_KIND_SENTENCE:
        LENT(event->sentence.name, text_bytes(event->sentence.name));
        LENT(event->sentence.text, text_bytes(event->sentence.text));
        break;
    case EVENT_KIND_LOSS:
        LENT(event->loss.what, text_bytes(event->loss.what));
        LENT(event->loss.why, text_bytes(event->loss.why));
        break;
    case EVENT_KIND_STATE:
    case EVENT_KIND_VALUES:
    case EVENT_N_KINDS:
        break;
    }
#undef LENT
    return n;
}

struct event *event_clone(const struct event *event)
{
    struct event own = *event;
    struct lent lent[LENT_MAX];
    size_t n_lent = lent_of(&own, lent), n_bytes = sizeof own;
    for (size_t i = 0; i < n_lent; i++)
        n_bytes += lent[i].n_bytes;
    struct event *clone = malloc(n_bytes);
    if (!clone)
        return NULL;
    char *room = (char *)(clone + 1);
    for (size_t i = 0; i < n_lent; i++) {
        if (lent[i].n_bytes == 0)
            continue;
        memcpy(room, *lent[i].pointer, lent[i].n_bytes);
        *lent[i].pointer = room;
        room += lent[i].n_bytes;
    }
    *clone = own;
    return clone;
}
