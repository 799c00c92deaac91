// SPDX-License-Identifier: MIT
/*
 * Calls as words, and which of them the program is inside of. A result is never given up for arguments: those go first.
 */
#include "observe/ladder/ladder_internal.h"

#include "term/translate.h"

#include <inttypes.h>
#include <sonde/error.h>
#include <stdio.h>
#include <string.h>

#define CALL_BYTES 96

/* "send(3, 5)" */
static void call_and_arguments(const struct held_call *call, char ret_text[CALL_BYTES])
{
    const char *name = sonde_operation_name(call->operation);
    if (call->fd < 0)
        snprintf(ret_text, CALL_BYTES, "%s()", name);
    else if (call->operation == SONDE_OP_SEND && (call->n_bytes > 0 || call->result == 0))
        snprintf(ret_text, CALL_BYTES, "%s(%" PRId32 ", %" PRIu64 ")", name, call->fd, call->n_bytes);
    else
        snprintf(ret_text, CALL_BYTES, "%s(%" PRId32 ")", name, call->fd);
}

static void call_name(const struct held_call *call, char ret_text[CALL_BYTES])
{
    snprintf(ret_text, CALL_BYTES, "%s()", sonde_operation_name(call->operation));
}

/* "= 5", "= ECONNREFUSED", "= 0 end" */
static void call_result(const struct held_call *call, char ret_text[CALL_BYTES])
{
    const char *name = call->result < 0 && call->result > -100000 ? sonde_error_name((int)call->result) : NULL;
    if (name)
        snprintf(ret_text, CALL_BYTES, "= %s", name);
    else if (call->operation == SONDE_OP_RECEIVE && call->result == 0 && !call->datagram)
        snprintf(ret_text, CALL_BYTES, "= 0 %s", _("end"));
    else
        snprintf(ret_text, CALL_BYTES, "= %" PRId64, call->result);
}

static void add_preview(const struct held_call *call, unsigned n_cells, const struct glyphs *glyphs, char *text,
                        size_t size_bytes)
{
    if (call->operation != SONDE_OP_RECEIVE || call->result <= 0 || call->preview[0] == '\0')
        return;
    unsigned n = text_cells(text);
    char quoted[sizeof call->preview + 8];
    snprintf(quoted, sizeof quoted, "\"%s\"", call->preview);
    if (n + 1 + text_cells(quoted) > n_cells) {
        if (n + 8 > n_cells)
            return;
        char inner[sizeof call->preview];
        snprintf(inner, sizeof inner, "%s", call->preview);
        preview_cut(inner, n_cells - n - 3);
        snprintf(quoted, sizeof quoted, "\"%s%s\"", inner, glyphs->cut);
    }
    size_t at = strlen(text);
    if (at + 1 + strlen(quoted) < size_bytes)
        snprintf(text + at, size_bytes - at, " %s", quoted);
}

/* The first of these that fits; cut when none does. */
static bool fit(const char *one, const char *other, unsigned n_cells, const struct glyphs *glyphs, char *ret_text,
                size_t size_bytes)
{
    bool first = text_cells(one) <= n_cells;
    snprintf(ret_text, size_bytes, "%s", first ? one : other);
    if (first || text_cells(other) <= n_cells)
        return true;
    cut_to_cells(ret_text, n_cells, glyphs);
    return false;
}

bool call_text_begin(const struct held_call *call, unsigned n_cells, const struct glyphs *glyphs, char *ret_text,
                     size_t size_bytes)
{
    char full[CALL_BYTES], name[CALL_BYTES];
    call_and_arguments(call, full);
    call_name(call, name);
    return fit(full, name, n_cells, glyphs, ret_text, size_bytes);
}

bool call_text_end(const struct held_call *call, unsigned n_cells, const struct glyphs *glyphs, char *ret_text,
                   size_t size_bytes)
{
    char result[CALL_BYTES];
    call_result(call, result);
    bool fits = fit(result, result, n_cells, glyphs, ret_text, size_bytes);
    add_preview(call, n_cells, glyphs, ret_text, size_bytes);
    return fits;
}

bool call_text_whole(const struct held_call *call, unsigned n_cells, const struct glyphs *glyphs, char *ret_text,
                     size_t size_bytes)
{
    char full[CALL_BYTES], name[CALL_BYTES], result[CALL_BYTES], one[2 * CALL_BYTES + 2], other[2 * CALL_BYTES + 2];
    call_and_arguments(call, full);
    call_name(call, name);
    call_result(call, result);
    snprintf(one, sizeof one, "%s %s", full, result);
    snprintf(other, sizeof other, "%s %s", name, result);
    bool fits = fit(one, other, n_cells, glyphs, ret_text, size_bytes);
    add_preview(call, n_cells, glyphs, ret_text, size_bytes);
    return fits;
}

void call_opened(struct connection_end *end, const struct held_call *call)
{
    if (end->n_open == OPEN_CALLS_MAX) {
        memmove(end->open, end->open + 1, sizeof end->open - sizeof end->open[0]);
        end->n_open--;
    }
    end->open[end->n_open++] = (struct open_call){
        .number = call->number, .start_ns = call->start_ns, .operation = call->operation, .fd = call->fd};
}

bool call_is_open(const struct connection_end *end, uint64_t number)
{
    for (unsigned i = 0; i < end->n_open; i++) {
        if (end->open[i].number == number)
            return true;
    }
    return false;
}

bool call_closed(struct connection_end *end, uint64_t number)
{
    for (unsigned i = 0; i < end->n_open; i++) {
        if (end->open[i].number != number)
            continue;
        memmove(end->open + i, end->open + i + 1, (end->n_open - i - 1) * sizeof end->open[0]);
        end->n_open--;
        return true;
    }
    return false;
}
