/* SPDX-License-Identifier: MIT */
/*
 * --write FILE: the packets as pcapng. A packet of which there is more to say than its bytes do has a comment: the
 * first of a connection, and those with notes.
 */
#include "term/escape.h"
#include "trace/holders.h"
#include "trace/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define INTERFACES_MAX 1024
#define COMMENT_BYTES 4096

struct interface {
    uint32_t index; /* the capture's */
    uint16_t link_type;
    int written; /* the file's */
};

struct state {
    struct capture_writer *writer;
    struct interface interfaces[INTERFACES_MAX];
    unsigned n_interfaces;
};

static int on_open(struct view_run *run, struct sonde_why *ret_why)
{
    struct state *state = run->state;
    return capture_writer_open(run->settings->write, &state->writer, ret_why);
}

/* The file's number of the interface that a packet came from. */
static int interface_of(struct state *state, const struct view_packet *packet)
{
    const struct packet *seen = packet->packet;
    for (unsigned i = 0; i < state->n_interfaces; i++) {
        if (state->interfaces[i].index == seen->interface && state->interfaces[i].link_type == seen->link_type)
            return state->interfaces[i].written;
    }
    if (state->n_interfaces == INTERFACES_MAX)
        return -E2BIG;
    int written = capture_writer_described(state->writer, packet->interface, packet->description, seen->link_type, 0);
    if (written >= 0)
        state->interfaces[state->n_interfaces++] = (struct interface){seen->interface, seen->link_type, written};
    return written;
}

static void append(char *text, size_t *n, const char *words)
{
    int length = snprintf(text + *n, COMMENT_BYTES - *n, "%s%s", *n > 0 ? ", " : "", words);
    *n += length > 0 && (size_t)length < COMMENT_BYTES - *n ? (size_t)length : 0;
}

static void append_holders(char *text, size_t *n, const struct holder *holder)
{
    static const char *const ends[N_ENDS] = {"client", "server"};
    char words[128], program[80];
    for (int end = 0; holder && end < N_ENDS; end++) {
        if (holder[end].pid == 0)
            continue;
        /* Comments are read on terminals, too. */
        escape_short(holder[end].program, strlen(holder[end].program), program, sizeof program);
        snprintf(words, sizeof words, "%s %s[%" PRId32 "]", ends[end], program, holder[end].pid);
        append(text, n, words);
    }
}

static void append_notes(char *text, size_t *n, const struct event_segment *segment)
{
    char words[96];
    for (unsigned note = 0; note < N_NOTES; note++) {
        if (has_note(segment->notes, note))
            append(text, n, segment_note_name(note));
    }
    if (segment->again_of != 0) {
        snprintf(words, sizeof words, "again #%" PRIu32, segment->again_of);
        append(text, n, words);
    }
    if (has_note(segment->notes, NOTE_RESET)) {
        snprintf(words, sizeof words, "reset cause: %s", reset_cause_name(segment->reset_cause));
        append(text, n, words);
    }
}

/* False: there is nothing to say. */
static bool comment_of(const struct view_packet *packet, char ret_text[COMMENT_BYTES])
{
    const struct event_segment *segment = packet->segment;
    char words[96];
    size_t n = 0;
    ret_text[0] = '\0';
    bool of_segment = segment && (segment->notes != 0 || segment->number == 1 || packet->conclusion || packet->why);
    if (!of_segment && !packet->why)
        return false;
    if (!of_segment) {
        append(ret_text, &n, "sonde");
        append(ret_text, &n, packet->why);
        return true;
    }
    snprintf(words, sizeof words, "sonde: connection %" PRIu64 ", segment %" PRIu32, packet->conversation->id,
             segment->number);
    append(ret_text, &n, words);
    if (segment->number == 1)
        append_holders(ret_text, &n, packet->holder);
    append_notes(ret_text, &n, segment);
    if (packet->why)
        append(ret_text, &n, packet->why);
    if (packet->conclusion)
        append(ret_text, &n, packet->conclusion);
    return true;
}

static void on_packet(struct view_run *run, const struct view_packet *packet)
{
    struct state *state = run->state;
    char comment[COMMENT_BYTES];
    if (run->settings->only != 0 && (!packet->conversation || packet->conversation->id != run->settings->only))
        return;
    int written = interface_of(state, packet);
    if (written < 0) {
        run->error = run->error ? run->error : written;
        return;
    }
    struct packet out = *packet->packet;
    out.interface = (uint32_t)written;
    /* What somebody else has said of it stays. */
    const char *said = comment_of(packet, comment) ? comment : out.comment;
    int error = capture_writer_packet(state->writer, &out, said);
    if (error < 0 && run->error == 0)
        run->error = error;
}

static void on_idle(struct view_run *run, int64_t now_ns)
{
    struct state *state = run->state;
    int error = capture_writer_flush(state->writer);
    if (error < 0 && run->error == 0)
        run->error = error;
}

static void on_statistics(struct view_run *run, uint64_t n_received, uint64_t n_dropped)
{
    struct state *state = run->state;
    /* The kernel counts for all interfaces together. */
    if (state->n_interfaces > 0)
        capture_writer_statistics(state->writer, (uint32_t)state->interfaces[0].written, n_received, n_dropped);
}

static int finish(struct view_run *run)
{
    struct state *state = run->state;
    int error = capture_writer_close(state->writer);
    state->writer = NULL;
    return run->error < 0 ? run->error : error;
}

static void on_close(struct view_run *run)
{
    struct state *state = run->state;
    if (state->writer)
        capture_writer_close(state->writer);
}

const struct view view_write = {
    .name = "write",
    .state_bytes = sizeof(struct state),
    .open = on_open,
    .packet = on_packet,
    .statistics = on_statistics,
    .idle = on_idle,
    .finish = finish,
    .close = on_close,
};
