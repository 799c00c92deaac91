/* SPDX-License-Identifier: MIT */
/* What the wire did, at the end: a line for each direction, and what the wire itself could not do. */
#include "cli/wire/wire_internal.h"
#include "observe/ladder/ladder.h"
#include "json/json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 1024
#define JSON_BYTES 4096
#define LATE_NS (10 * NS_PER_MS) /* later than the rules said: worth a word */

static void add(char text[LINE_BYTES], const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(char text[LINE_BYTES], const char *format, ...)
{
    size_t n = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + n, LINE_BYTES - n, format, arguments);
    va_end(arguments);
}

static void add_count(char text[LINE_BYTES], uint64_t n, const char *what)
{
    char count[32];
    if (n == 0)
        return;
    ladder_count_text(n, count);
    add(text, ", %s %s", count, what);
}

static void say_direction(const struct wire_counts *counts, enum event_end from)
{
    char text[LINE_BYTES] = "", n_packets[32], n_bytes[32];
    ladder_count_text(counts->n_packets, n_packets);
    ladder_count_text(counts->n_bytes, n_bytes);
    add(text, ngettext("%s packet (%s bytes)", "%s packets (%s bytes)", counts->n_packets), n_packets, n_bytes);
    add_count(text, counts->n_dropped[WIRE_LOST], _("lost"));
    add_count(text, counts->n_dropped[WIRE_DROPPED], _("dropped by name"));
    add_count(text, counts->n_dropped[WIRE_QUEUE_FULL], _("dropped at the full queue"));
    add_count(text, counts->n_dropped[WIRE_TOO_LARGE], _("too large"));
    add_count(text, counts->n_dropped[WIRE_STOPPED], _("stopped"));
    add_count(text, counts->n_duplicated, _("duplicated"));
    add_count(text, counts->n_reordered, _("held back to be overtaken"));
    add_count(text, counts->n_corrupted, _("corrupted"));
    add_count(text, counts->n_waiting, _("still under way"));
    say(from == END_A ? _("a to b: %s.") : _("b to a: %s."), text);
}

/* Never silent about what no rule asked for. */
static void say_own_trouble(const struct wire_counts counts[N_ENDS])
{
    uint64_t n_overrun = 0, n_tap_lost = 0;
    int64_t late_ns = 0;
    char count[32], span[16];
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        n_overrun += counts[end].n_overrun + counts[end].n_dropped[WIRE_NO_ROOM];
        n_tap_lost += counts[end].n_tap_lost;
        if (counts[end].late_max_ns > late_ns)
            late_ns = counts[end].late_max_ns;
    }
    ladder_count_text(n_overrun, count);
    if (n_overrun > 0)
        say(ngettext("the wire itself did not keep up: %s packet was lost that no rule was to drop.",
                     "the wire itself did not keep up: %s packets were lost that no rule was to drop.", n_overrun),
            count);
    ladder_count_text(n_tap_lost, count);
    if (n_tap_lost > 0)
        say(ngettext("%s packet passed unseen: it is not in what is shown here.",
                     "%s packets passed unseen: they are not in what is shown here.", n_tap_lost),
            count);
    ladder_delta_text(late_ns, false, span);
    if (late_ns >= LATE_NS)
        say(_("this machine was busy: a packet was handed on up to %s later than the rules said."), span);
}

static void put_counts(struct json *json, const char *key, const struct wire_counts *counts)
{
    json_object_begin(json, key);
    json_unsigned(json, "packets", counts->n_packets);
    json_unsigned(json, "bytes", counts->n_bytes);
    json_unsigned(json, "arrived", counts->n_arrived);
    for (enum wire_reason reason = WIRE_LOST; reason < N_WIRE_REASONS; reason++) {
        static const char *const keys[N_WIRE_REASONS] = {
            [WIRE_LOST] = "lost",           [WIRE_DROPPED] = "dropped", [WIRE_QUEUE_FULL] = "queue_full",
            [WIRE_TOO_LARGE] = "too_large", [WIRE_STOPPED] = "stopped", [WIRE_NO_ROOM] = "no_room",
        };
        json_unsigned(json, keys[reason], counts->n_dropped[reason]);
    }
    json_unsigned(json, "duplicated", counts->n_duplicated);
    json_unsigned(json, "reordered", counts->n_reordered);
    json_unsigned(json, "corrupted", counts->n_corrupted);
    json_unsigned(json, "overrun", counts->n_overrun);
    json_unsigned(json, "unseen", counts->n_tap_lost);
    json_unsigned(json, "waiting", counts->n_waiting);
    json_number(json, "late_max_ns", counts->late_max_ns);
    json_object_end(json);
}

static void print_json(const struct wire_counts counts[N_ENDS], uint64_t seed)
{
    char line[JSON_BYTES];
    struct json json;
    json_begin(&json, line, sizeof line);
    json_string(&json, "event", "wire");
    json_unsigned(&json, "seed", seed);
    put_counts(&json, "a_to_b", &counts[END_A]);
    put_counts(&json, "b_to_a", &counts[END_B]);
    size_t n = json_end(&json);
    fwrite(line, 1, n, stderr);
    fflush(stderr);
}

void report_say(const struct wire_options *options, const struct wire_counts counts[N_ENDS], uint64_t seed, bool chance)
{
    if (options->json) {
        print_json(counts, seed);
        return;
    }
    if (!options->quiet) {
        say_direction(&counts[END_A], END_A);
        say_direction(&counts[END_B], END_B);
    }
    say_own_trouble(counts);
    if (!options->quiet && chance)
        say(_("--seed %" PRIu64 " repeats what was left to chance."), seed);
}
