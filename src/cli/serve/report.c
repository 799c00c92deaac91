/* SPDX-License-Identifier: MIT */
#include "cli/serve/report.h"

#include "term/escape.h"
#include "term/hex.h"

#include <errno.h>
#include <inttypes.h>
#include <sonde/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* snprintf that returns what it wrote, not what it would have liked to. */
static size_t line(char *ret_line, size_t size_bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));

static size_t line(char *ret_line, size_t size_bytes, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int n = vsnprintf(ret_line, size_bytes, format, arguments);
    va_end(arguments);
    if (n < 0)
        return 0;
    return (size_t)n < size_bytes ? (size_t)n : size_bytes - 1;
}

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

/* --- text ------------------------------------------------------------------------------------------------------- */

static const char *const reason_words[] = {[SERVE_OPEN] = "open",
#define SERVE_REASON_TEXT(name, json, text) [SERVE_##name] = (text),
                                           SERVE_REASONS(SERVE_REASON_TEXT)
#undef SERVE_REASON_TEXT
};

/* How its program ended, if there is one. */
static void text_outcome(const struct service_outcome *outcome, char *ret_text, size_t size_bytes)
{
    size_t n = 0;

    ret_text[0] = '\0';
    if (outcome == NULL)
        return;
    if (outcome->fate == SERVICE_EXITED)
        n = line(ret_text, size_bytes, "exit %d", outcome->value);
    else if (outcome->fate == SERVICE_SIGNALED)
        n = line(ret_text, size_bytes, "signal %d", outcome->value);
    else
        n = line(ret_text, size_bytes, "%s", outcome->fate == SERVICE_RUNNING ? "still running" : "not started");
    if (outcome->n_unread_bytes > 0)
        line(ret_text + n, size_bytes - n, ", %" PRIu64 " not read", outcome->n_unread_bytes);
}

/* What the reason's words and the peer's Close frame do not say by themselves. */
static void add_detail(const struct serve_view *view, char *text, size_t size_bytes)
{
    size_t n = strlen(text);
    char shown[256];

    n += serve_close_text(view->spoken, text + n, size_bytes - n);
    if (view->detail == NULL || view->detail[0] == '\0')
        return;
    escape_short(view->detail, strlen(view->detail), shown, sizeof(shown));
    line(text + n, size_bytes - n, ": %s", shown);
}

static void text_reason(const struct serve_view *view, char *ret_text, size_t size_bytes)
{
    switch (view->reason) {
    case SERVE_LIMIT:
        line(ret_text, size_bytes, "refused: %lld clients are connected already", view->limit);
        return;
    case SERVE_PEER_LIMIT:
        line(ret_text, size_bytes, "refused: too many from this address: %lld are connected already", view->limit);
        return;
    case SERVE_SILENT:
        line(ret_text, size_bytes, "silent for %.10g s", seconds(view->silent_ns));
        return;
    default:
        line(ret_text, size_bytes, "%s",
             view->reason == SERVE_ERROR ? sonde_strerror(view->error) : reason_words[view->reason]);
        add_detail(view, ret_text, size_bytes);
        return;
    }
}

static size_t text_closed(const struct serve_view *view, char *ret_text, size_t size_bytes)
{
    char reason[512], unsent[48] = "", outcome[64], messages[192];

    text_outcome(view->outcome, outcome, sizeof(outcome));
    text_reason(view, reason, sizeof(reason));
    if (view->unsent_bytes > 0)
        line(unsent, sizeof(unsent), ", %" PRIu64 " unsent", view->unsent_bytes);
    serve_messages_text(view->messages, messages, sizeof(messages));
    return line(ret_text, size_bytes,
                "closed %" PRIu64 " %s <- %s %s%s%s, %" PRIu64 " bytes in, %" PRIu64 " out%s%s, %.6f s\n", view->number,
                view->local, view->peer, reason, outcome[0] != '\0' ? ", " : "", outcome, view->in_bytes,
                view->out_bytes, unsent, messages, seconds(view->age_ns));
}

static size_t text_refused(const struct serve_event *event, char *ret_text, size_t size_bytes)
{
    const struct serve_refusal *refusal = serve_refusal_of(event);
    char shown[320] = "";

    if (event->view.detail != NULL && event->view.detail[0] != '\0')
        escape_short(event->view.detail, strlen(event->view.detail), shown, sizeof(shown));
    return line(ret_text, size_bytes, "refused %s <- %s %s%s%s\n", event->url, event->view.peer,
                refusal->text != NULL ? refusal->text : sonde_strerror(event->error), shown[0] != '\0' ? ": " : "",
                shown);
}

static size_t text_escaped(const struct serve_view *view, const char *length, const unsigned char *data, size_t n_bytes,
                           char *ret_text, size_t size_bytes)
{
    size_t n = line(ret_text, size_bytes, "%" PRIu64 " %s > %s", view->number, view->peer, length);
    struct escape escape;

    /* The connection has no room to carry a cut character over to its next chunk: the pieces are shown as bytes. */
    escape_init(&escape, ESCAPE_LINE);
    while (n_bytes > 0) {
        size_t taken = 0;
        n += escape_bytes(&escape, data, n_bytes, ret_text + n, size_bytes - n, &taken);
        data += taken;
        n_bytes -= taken;
    }
    n += escape_finish(&escape, ret_text + n, size_bytes - n);
    ret_text[n++] = '\n';
    return n;
}

/* To be read as it was meant: tabs and backslashes as they are. What has not ended is marked. */
static size_t text_said(const struct serve_event *event, char *ret_text, size_t size_bytes)
{
    const unsigned char *data = event->data;
    size_t n_bytes = event->n_bytes;
    size_t n = line(ret_text, size_bytes, "[%" PRIu64 "] %s: ", event->view.number, event->view.peer);
    bool ended = n_bytes > 0 && data[n_bytes - 1] == '\n';
    struct escape escape;

    n_bytes -= ended;
    escape_init(&escape, ESCAPE_TEXT);
    while (n_bytes > 0) {
        size_t taken = 0;
        n += escape_bytes(&escape, data, n_bytes, ret_text + n, size_bytes - n, &taken);
        data += taken;
        n_bytes -= taken;
    }
    n += escape_finish(&escape, ret_text + n, size_bytes - n);
    return n + line(ret_text + n, size_bytes - n, "%s\n", ended ? "" : "\u2026");
}

static size_t text_hex(const struct serve_view *view, const char *length, uint64_t offset, const unsigned char *data,
                       size_t n_bytes, char *ret_text, size_t size_bytes)
{
    size_t n = line(ret_text, size_bytes, "%" PRIu64 " %s >%s\n", view->number, view->peer, length);

    for (size_t i = 0; i < n_bytes; i += HEX_PER_LINE) {
        size_t n_line = n_bytes - i < HEX_PER_LINE ? n_bytes - i : HEX_PER_LINE;
        n += hex_line("", offset + i, data + i, n_line, ret_text + n, size_bytes - n);
    }
    return n;
}

static size_t text_data(const struct serve_event *event, char *ret_text, size_t size_bytes)
{
    switch (event->print) {
    case SERVE_PRINT_TEXT:
        return text_escaped(&event->view, "", event->data, event->n_bytes, ret_text, size_bytes);
    case SERVE_PRINT_HEX:
        return text_hex(&event->view, "", event->offset, event->data, event->n_bytes, ret_text, size_bytes);
    case SERVE_PRINT_NONE:
        break;
    }
    return 0;
}

static void text_length(const struct serve_event *event, char *ret_text, size_t size_bytes)
{
    const char *kind = "";

    if (event->flags & SONDE_TEXT)
        kind = "text, ";
    else if (event->view.spoken != NULL && event->view.spoken->layers & SONDE_LAYER_WS)
        kind = "binary, ";
    if (event->flags & SONDE_CUT)
        line(ret_text, size_bytes, "%scut, %zu of %zu bytes", kind, event->n_bytes, event->n_whole_bytes);
    else
        line(ret_text, size_bytes, "%s%zu bytes", kind, event->n_bytes);
}

/* The same with its length, since a message may be empty; offsets are those in the message. */
static size_t text_message(const struct serve_event *event, char *ret_text, size_t size_bytes)
{
    bool hex = event->print == SERVE_PRINT_HEX;
    char length[96], kind[96];

    if (event->print == SERVE_PRINT_NONE)
        return 0;
    text_length(event, kind, sizeof(kind));
    line(length, sizeof(length), hex ? " %s" : "%s: ", kind);
    return hex ? text_hex(&event->view, length, 0, event->data, event->n_bytes, ret_text, size_bytes)
               : text_escaped(&event->view, length, event->data, event->n_bytes, ret_text, size_bytes);
}

/* Datagrams that nobody was given. */
static const char *text_dropped(const struct serve_event *event, char *ret_text, size_t size_bytes)
{
    size_t n = 0;

    ret_text[0] = '\0';
    if (event->n_dropped > 0)
        n = line(ret_text, size_bytes, ", %" PRIu64 " datagrams dropped", event->n_dropped);
    if (event->n_peerless > 0)
        line(ret_text + n, size_bytes - n, ", %" PRIu64 " from too many peers", event->n_peerless);
    return ret_text;
}

/* The peer stands last: its name may hold spaces ("pid 4121 (uid 1000)"), so that counting columns works for others. */
static size_t text_table(const struct serve_event *event, char *ret_text, size_t size_bytes)
{
    const struct serve_view *view = &event->view;

    char messages[64] = "", dropped[96], spoken[512];

    if (event->happening == SERVE_TABLE_HEAD) {
        if (event->with_messages)
            line(messages, sizeof(messages), " %12s %12s", "MESSAGES-IN", "MESSAGES-OUT");
        return line(ret_text, size_bytes, "%-10s %12s %14s %14s%s %10s %6s  %-21s %s\n", "CONNECTION", "SECONDS", "IN",
                    "OUT", messages, "QUEUED", "PAUSED", "LOCAL", "PEER");
    }
    if (event->happening == SERVE_TABLE_FOOT)
        return line(ret_text, size_bytes, "%" PRIu64 " connections%s\n", event->n_connections,
                    text_dropped(event, dropped, sizeof(dropped)));
    if (view->messages != NULL)
        line(messages, sizeof(messages), " %12" PRIu64 " %12" PRIu64, view->messages->n_in, view->messages->n_out);
    else if (event->with_messages)
        line(messages, sizeof(messages), " %12s %12s", "-", "-");
    serve_spoken_text(view->spoken, spoken, sizeof(spoken));
    return line(ret_text, size_bytes, "%-10" PRIu64 " %12.3f %14" PRIu64 " %14" PRIu64 "%s %10zu %6s  %-21s %s%s\n",
                view->number, seconds(view->age_ns), view->in_bytes, view->out_bytes, messages, view->queued_bytes,
                view->paused ? "yes" : "no", view->local, view->peer, spoken);
}

static size_t text_opened(const struct serve_view *view, char *ret_text, size_t size_bytes)
{
    char spoken[512];

    serve_spoken_text(view->spoken, spoken, sizeof(spoken));
    return line(ret_text, size_bytes, "opened %" PRIu64 " %s <- %s%s%s\n", view->number, view->local, view->peer,
                spoken, view->muted ? ", not answered: a service of the kind may be there, and answer back" : "");
}

static size_t text_ended(const struct serve_view *view, char *ret_text, size_t size_bytes)
{
    char outcome[64];

    text_outcome(view->outcome, outcome, sizeof(outcome));
    return line(ret_text, size_bytes, "ended %" PRIu64 " %s\n", view->number, outcome);
}

size_t serve_render_text(const struct serve_event *event, char *ret_text, size_t size_bytes)
{
    const struct serve_view *view = &event->view;
    char dropped[96];

    switch (event->happening) {
    case SERVE_LISTENING:
        return line(ret_text, size_bytes, "listening %s\n", event->url);
    case SERVE_PAGE:
        break;
    case SERVE_OPENED:
        return text_opened(view, ret_text, size_bytes);
    case SERVE_DATA:
        return text_data(event, ret_text, size_bytes);
    case SERVE_MESSAGE:
        return text_message(event, ret_text, size_bytes);
    case SERVE_SAID:
        return text_said(event, ret_text, size_bytes);
    case SERVE_SPOKEN: /* the operator has it on the screen */
        break;
    case SERVE_CLOSED:
        return text_closed(view, ret_text, size_bytes);
    case SERVE_QUEUE:
        /* The kernel lets the queue grow to one more than the limit: it is full when it is longer (listen(2)). */
        return line(ret_text, size_bytes, "queue %u of %u %s%s\n", event->length, event->limit, event->url,
                    event->length > event->limit ? " full" : "");
    case SERVE_WAITING:
        return line(ret_text, size_bytes, "waiting %s <- %s %s, unread %u\n", view->local, view->peer, event->state,
                    event->n_unread);
    case SERVE_MORE_WAITING:
        return line(ret_text, size_bytes, "waiting: %u more\n", event->length);
    case SERVE_REFUSED:
        return text_refused(event, ret_text, size_bytes);
    case SERVE_MORE_REFUSED:
        return line(ret_text, size_bytes, "refused: %u more\n", event->length);
    case SERVE_BUFFER:
        return line(ret_text, size_bytes, "buffer %u of %u bytes %s%s\n", event->length, event->limit, event->url,
                    text_dropped(event, dropped, sizeof(dropped)));
    case SERVE_ICMP:
        return line(ret_text, size_bytes, "icmp %" PRIu64 " %s <- %s %s%s%s\n", view->number, view->local, view->peer,
                    sonde_strerror(event->error), event->from != NULL ? ", says " : "",
                    event->from != NULL ? event->from : "");
    case SERVE_LOST: /* said on standard error, for people */
        break;
    case SERVE_ENDED:
        return text_ended(view, ret_text, size_bytes);
    case SERVE_TROUBLE: /* said on standard error, for people */
        break;
    case SERVE_TABLE_HEAD:
    case SERVE_TABLE_ROW:
    case SERVE_TABLE_FOOT:
        return text_table(event, ret_text, size_bytes);
    }
    return 0;
}
