/* SPDX-License-Identifier: MIT */
/* What happens to connections, as lines of JSON. */
#include "cli/serve/report.h"

#include "json/json.h"

#include <errno.h>
#include <inttypes.h>
#include <sonde/error.h>
#include <stdio.h>
#include <string.h>

static const char *const reason_names[] = {[SERVE_OPEN] = "open",
#define SERVE_REASON_JSON(name, json, text) [SERVE_##name] = (json),
                                           SERVE_REASONS(SERVE_REASON_JSON)
#undef SERVE_REASON_JSON
};

/* NULL: JSON does not tell it. */
static const char *const event_names[] = {
    [SERVE_LISTENING] = "listening",
    [SERVE_PAGE] = "page",
    [SERVE_OPENED] = "opened",
    [SERVE_SAID] = NULL,
    [SERVE_SPOKEN] = "said",
    [SERVE_DATA] = "data",
    [SERVE_MESSAGE] = "message",
    [SERVE_CLOSED] = "closed",
    [SERVE_QUEUE] = "queue",
    [SERVE_TROUBLE] = "trouble",
    [SERVE_WAITING] = "waiting",
    [SERVE_MORE_WAITING] = "more_waiting",
    [SERVE_TABLE_HEAD] = NULL,
    [SERVE_TABLE_ROW] = "connection",
    [SERVE_TABLE_FOOT] = NULL,
    [SERVE_REFUSED] = "refused",
    [SERVE_MORE_REFUSED] = "more_refused",
    [SERVE_BUFFER] = "buffer",
    [SERVE_ICMP] = "icmp",
    [SERVE_LOST] = "lost",
    [SERVE_ENDED] = "ended",
};

static void json_ends(struct json *json, const struct serve_view *view)
{
    json_number(json, "connection", (int64_t)view->number);
    json_string(json, "local", view->local);
    json_string(json, "peer", view->peer);
}

static void json_outcome(struct json *json, const struct service_outcome *outcome)
{
    if (outcome == NULL)
        return;
    if (outcome->fate == SERVICE_EXITED)
        json_number(json, "exit", outcome->value);
    else if (outcome->fate == SERVICE_SIGNALED)
        json_number(json, "signal", outcome->value);
    else
        json_boolean(json, "running", outcome->fate == SERVICE_RUNNING);
    json_number(json, "unread", (int64_t)outcome->n_unread_bytes);
}

static bool has_error(enum serve_reason reason)
{
    switch (reason) {
    case SERVE_RESET:
    case SERVE_TIMEOUT:
    case SERVE_ERROR:
    case SERVE_BAD_MESSAGE:
    case SERVE_SILENT:
    case SERVE_UNREACHABLE:
    case SERVE_TRUNCATED:
    case SERVE_RULES:
    case SERVE_TOO_BIG:
    case SERVE_NO_CLOSE:
        return true;
    default:
        return false;
    }
}

static void json_closed(struct json *json, const struct serve_view *view)
{
    json_ends(json, view);
    json_string(json, "reason", reason_names[view->reason]);
    if (has_error(view->reason))
        json_string(json, "error", sonde_error_name(view->error));
    if (view->detail != NULL && view->detail[0] != '\0')
        json_string(json, "detail", view->detail);
    if (view->reason == SERVE_BAD_MESSAGE)
        json_unsigned(json, "at_byte", view->at_byte);
    if (view->reason == SERVE_LIMIT || view->reason == SERVE_PEER_LIMIT)
        json_number(json, "limit", view->limit);
    json_number(json, "bytes_in", (int64_t)view->in_bytes);
    json_number(json, "bytes_out", (int64_t)view->out_bytes);
    json_number(json, "unsent", (int64_t)view->unsent_bytes);
    serve_messages_json(json, view->messages);
    serve_spoken_json(json, view->spoken);
    json_outcome(json, view->outcome);
    json_number(json, "duration_ns", view->age_ns);
}

static void json_row(struct json *json, const struct serve_view *view)
{
    json_ends(json, view);
    json_number(json, "age_ns", view->age_ns);
    json_number(json, "bytes_in", (int64_t)view->in_bytes);
    json_number(json, "bytes_out", (int64_t)view->out_bytes);
    serve_messages_json(json, view->messages);
    json_number(json, "queued", (int64_t)view->queued_bytes);
    json_boolean(json, "paused", view->paused);
    serve_spoken_json(json, view->spoken);
}

static void json_spoken(struct json *json, const struct serve_event *event)
{
    if (event->view.number > 0)
        json_number(json, "connection", (int64_t)event->view.number);
    json_number(json, "clients", event->n_clients);
    json_number(json, "bytes", (int64_t)event->n_bytes);
    json_bytes(json, event->data, event->n_bytes);
}

static void json_data(struct json *json, const struct serve_event *event)
{
    json_number(json, "connection", (int64_t)event->view.number);
    if (event->happening == SERVE_MESSAGE)
        json_unsigned(json, "message", event->n_messages);
    json_number(json, "bytes", (int64_t)event->n_bytes);
    if (event->happening == SERVE_MESSAGE && event->view.spoken != NULL && event->view.spoken->layers & SONDE_LAYER_WS)
        json_string(json, "kind", event->flags & SONDE_TEXT ? "text" : "binary");
    if (event->flags & SONDE_CUT)
        json_unsigned(json, "whole_bytes", event->n_whole_bytes);
    if (event->print != SERVE_PRINT_NONE)
        json_bytes(json, event->data, event->n_bytes);
}

static void json_queue(struct json *json, const struct serve_event *event)
{
    json_string(json, "url", event->url);
    json_number(json, "length", event->length);
    json_number(json, "limit", event->limit);
}

static void json_waiting(struct json *json, const struct serve_event *event)
{
    json_string(json, "local", event->view.local);
    json_string(json, "peer", event->view.peer);
    json_string(json, "state", event->state);
    json_number(json, "unread", event->n_unread);
}

static void json_refused(struct json *json, const struct serve_event *event)
{
    json_string(json, "url", event->url);
    json_string(json, "peer", event->view.peer);
    json_string(json, "reason", serve_refusal_of(event)->name);
    json_string(json, "error", sonde_error_name(event->error));
    if (event->view.detail != NULL && event->view.detail[0] != '\0')
        json_string(json, "detail", event->view.detail);
}

static void json_buffer(struct json *json, const struct serve_event *event)
{
    json_string(json, "url", event->url);
    json_number(json, "bytes", event->length);
    json_number(json, "limit", event->limit);
    json_unsigned(json, "dropped", event->n_dropped);
}

static void json_icmp(struct json *json, const struct serve_event *event)
{
    json_ends(json, &event->view);
    json_string(json, "error", sonde_error_name(event->error));
    if (event->from != NULL)
        json_string(json, "from", event->from);
}

static void json_lost(struct json *json, const struct serve_event *event)
{
    json_string(json, "url", event->url);
    json_unsigned(json, "dropped", event->n_dropped);
    json_unsigned(json, "peerless", event->n_peerless);
}

size_t serve_render_json(const struct serve_event *event, char *ret_text, size_t size_bytes)
{
    struct json json;

    if (event_names[event->happening] == NULL)
        return 0;
    json_begin(&json, ret_text, size_bytes);
    json_string(&json, "event", event_names[event->happening]);
    json_time(&json, "time", event->realtime_ns);
    json_number(&json, "mono_ns", event->mono_ns);
    switch (event->happening) {
    case SERVE_LISTENING:
    case SERVE_PAGE:
        json_string(&json, "url", event->url);
        break;
    case SERVE_OPENED:
        json_ends(&json, &event->view);
        serve_spoken_json(&json, event->view.spoken);
        if (event->view.muted)
            json_boolean(&json, "answered", false);
        break;
    case SERVE_DATA:
    case SERVE_MESSAGE:
        json_data(&json, event);
        break;
    case SERVE_SPOKEN:
        json_spoken(&json, event);
        break;
    case SERVE_SAID:
        break;
    case SERVE_CLOSED:
        json_closed(&json, &event->view);
        break;
    case SERVE_QUEUE:
        json_queue(&json, event);
        break;
    case SERVE_WAITING:
        json_waiting(&json, event);
        break;
    case SERVE_MORE_WAITING:
        json_number(&json, "n", event->length);
        break;
    case SERVE_ENDED:
        json_number(&json, "connection", (int64_t)event->view.number);
        json_outcome(&json, event->view.outcome);
        break;
    case SERVE_TROUBLE:
        json_string(&json, "error", event->error == 0 ? NULL : sonde_error_name(event->error));
        break;
    case SERVE_REFUSED:
        json_refused(&json, event);
        break;
    case SERVE_MORE_REFUSED:
        json_number(&json, "n", event->length);
        break;
    case SERVE_BUFFER:
        json_buffer(&json, event);
        break;
    case SERVE_ICMP:
        json_icmp(&json, event);
        break;
    case SERVE_LOST:
        json_lost(&json, event);
        break;
    case SERVE_TABLE_ROW:
        json_row(&json, &event->view);
        break;
    case SERVE_TABLE_HEAD:
    case SERVE_TABLE_FOOT:
        break;
    }
    return json_end(&json);
}
