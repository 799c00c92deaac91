/* SPDX-License-Identifier: MIT */
/*
 * A line as a recorded event. Whatever it holds:
 *
 * - it is an event or refused with a reason, and nothing outside of its memory is touched (the sanitizers see to that);
 * - what was read can be written, unless it is too long for a line; and what was written is read as the same event: its
 *   line is the same again;
 * - copies of events are whole, and tracking a segment again does no harm.
 */
#include "observe/event/event_json.h"
#include "trace/packets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* From memory that ends with the line. */
static struct event *read_line(const void *line, size_t n_bytes)
{
    char *exact = malloc(n_bytes > 0 ? n_bytes : 1), why[128] = "";
    struct event *event = NULL;
    must(exact != NULL);
    memcpy(exact, line, n_bytes);
    int error = event_json_read(exact, n_bytes, &event, why);
    free(exact);
    must(error == 0 || error == -EINVAL);
    must((error == 0) == (event != NULL));
    must(error == 0 || (why[0] != '\0' && memchr(why, '\0', sizeof why) != NULL));
    return event;
}

static void track(const struct event *event)
{
    static const struct packets_owner owner = {.sentences = true};
    if (event->kind != EVENT_KIND_SEGMENT)
        return;
    struct packets *packets = packets_new(&owner);
    must(packets != NULL);
    packets_segment(packets, event->t_ns, &event->segment);
    packets_finish(packets);
    packets_free(packets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static char first[EVENT_JSON_MAX], second[EVENT_JSON_MAX];
    struct event *event = read_line(data, n_bytes);
    if (!event)
        return 0;
    must(event->kind < EVENT_N_KINDS && event->source < EVENT_N_SOURCES);
    track(event);
    struct event *clone = event_clone(event);
    must(clone != NULL);
    free(event);
    size_t n_first = event_json_write(clone, first, sizeof first);
    free(clone);
    if (n_first == 0)
        return 0;
    must(first[n_first - 1] == '\n' && memchr(first, '\n', n_first) == first + n_first - 1);
    event = read_line(first, n_first);
    must(event != NULL);
    size_t n_second = event_json_write(event, second, sizeof second);
    free(event);
    must(n_second == n_first && memcmp(first, second, n_first) == 0);
    return 0;
}
