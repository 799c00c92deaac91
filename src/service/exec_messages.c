/* SPDX-License-Identifier: MIT */
/*
 * A program and messages.
 *
 * On a WebSocket a text message is a line, both ways: it is given its newline if it has none, and each line of the
 * program's output is sent as one, without it; a line that is not UTF-8 goes as a binary message, as it is. A binary
 * message is bytes. So programs that read and write lines can talk with web pages. A line of LONGEST_BYTES is sent
 * before it has ended, and what the program has left unended is sent at its end. A program on a terminal is heard as it
 * speaks: what was read at once is a message.
 *
 * Packets are bytes, in pieces that their readers will have room for.
 */
#include "service/exec_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_BYTES = 64 * 1024, PACKET_BYTES = 4096 };

void exec_messages_take(struct child *child, const struct sonde_lent *bytes)
{
    exec_input_take(child, bytes->data, bytes->n_bytes);
    if (bytes->flags & SONDE_TEXT && (bytes->n_bytes == 0 || bytes->data[bytes->n_bytes - 1] != '\n'))
        exec_input_take(child, "\n", 1);
}

static int send_packets(struct sonde_stream *stream, const unsigned char *bytes, size_t n_bytes, size_t *ret_n_unsent)
{
    int error = 0;

    for (size_t n; n_bytes > 0 && error == 0; bytes += n, n_bytes -= n) {
        n = n_bytes < PACKET_BYTES ? n_bytes : PACKET_BYTES;
        error = sonde_stream_write(stream, bytes, n);
        if (error != 0)
            break;
    }
    *ret_n_unsent = n_bytes;
    return error;
}

/* n_text of n_bytes are text, if they can be. */
static int send_line(struct sonde_stream *stream, const unsigned char *line, size_t n_text, size_t n_bytes)
{
    int error = sonde_stream_send(stream, line, n_text, SONDE_TEXT);

    return error == -EILSEQ ? sonde_stream_write(stream, line, n_bytes) : error;
}

static int send_whole_line(struct sonde_stream *stream, const unsigned char *line, size_t n_bytes)
{
    size_t n_text = n_bytes - 1;

    if (n_text > 0 && line[n_text - 1] == '\r')
        n_text--;
    return send_line(stream, line, n_text, n_bytes);
}

/* What there is of a line that has not ended. */
static int send_rest(struct child *child)
{
    size_t n_bytes = child->n_said;

    child->n_said = 0;
    return n_bytes > 0 ? send_line(child->stream, child->said, n_bytes, n_bytes) : 0;
}

/* Add to the line that has not ended; `whole`: now it has. */
static int add(struct child *child, const unsigned char *bytes, size_t n_bytes, bool whole)
{
    if (child->said == NULL)
        child->said = malloc(LONGEST_BYTES);
    if (child->said == NULL)
        return -ENOMEM;
    if (n_bytes > LONGEST_BYTES - child->n_said) {
        int error = send_rest(child);
        if (error != 0)
            return error;
    }
    memcpy(child->said + child->n_said, bytes, n_bytes);
    child->n_said += n_bytes;
    if (!whole)
        return 0;
    size_t n = child->n_said;
    child->n_said = 0;
    return send_whole_line(child->stream, child->said, n);
}

static int send_lines(struct child *child, const unsigned char *bytes, size_t n_bytes, size_t *ret_n_unsent)
{
    int error = 0;

    while (n_bytes > 0 && error == 0) {
        const unsigned char *end = memchr(bytes, '\n', n_bytes);
        size_t n = end != NULL ? (size_t)(end - bytes) + 1 : n_bytes;
        if (end != NULL && child->n_said == 0)
            error = send_whole_line(child->stream, bytes, n);
        else
            error = add(child, bytes, n, end != NULL);
        if (error != 0)
            break;
        bytes += n;
        n_bytes -= n;
    }
    *ret_n_unsent = n_bytes;
    return error;
}

int exec_messages_send(struct child *child, const unsigned char *bytes, size_t n_bytes, size_t *ret_n_unsent)
{
    if (!(sonde_stream_layers(child->stream) & SONDE_LAYER_WS))
        return send_packets(child->stream, bytes, n_bytes, ret_n_unsent);
    if (child->sink != &child->out)
        return send_lines(child, bytes, n_bytes, ret_n_unsent);
    int error = send_line(child->stream, bytes, n_bytes, n_bytes);
    *ret_n_unsent = error == 0 ? 0 : n_bytes;
    return error;
}

void exec_messages_end(struct child *child)
{
    size_t n_bytes = child->n_said;

    if (child->stream == NULL || child->gone || n_bytes == 0)
        return;
    if (send_rest(child) != 0)
        child->exec->run->host->unanswered(child->exec->run, child->stream, n_bytes);
}
