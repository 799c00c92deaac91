/* SPDX-License-Identifier: MIT */
/* sonde trace: the verb, its options, and which views they ask for. */
#include "cli/trace_internal.h"
#include "cli/verbs.h"
#include "observe/ladder/ladder.h"
#include "page/page.h"
#include "term/escape.h"
#include "term/style.h"
#include "watch/signals.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMBER(name) .member = offsetof(struct trace_settings, name)

static const char *const color_choices[] = {"auto", "always", "never", NULL};
enum { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

static const struct option_row options[] = {
    {.letter = 'i',
     .name = "interface",
     .value = "NAME",
     .kind = OPTION_TEXT,
     MEMBER(interface),
     .help = N_("capture on this interface (default lo); any: on all of them"),
     .brief = true},
    {.letter = 'r',
     .name = "read",
     .value = "FILE",
     .kind = OPTION_TEXT,
     MEMBER(file),
     .help = N_("read a capture (pcap, pcapng), or events as --json writes them; -: standard input"),
     .brief = true},
    {.letter = 'c',
     .name = "count",
     .value = "N",
     .kind = OPTION_COUNT,
     MEMBER(n_packets),
     .help = N_("end after N packets"),
     .minimum = 1},
    {.name = "duration",
     .value = "SECS",
     .kind = OPTION_DURATION,
     MEMBER(duration_ns),
     .help = N_("end after so long"),
     .minimum = 1000000},
    {.name = "summary",
     .kind = OPTION_FLAG,
     MEMBER(summary),
     .help = N_("a table of conversations: duration, bytes, round trips, how each opened and ended"),
     .brief = true},
    {.name = "follow",
     .kind = OPTION_FLAG,
     MEMBER(follow),
     .help = N_("what the two said, message by message"),
     .brief = true},
    {.name = "frame",
     .value = "CODEC",
     .kind = OPTION_TEXT,
     MEMBER(frame),
     .help = N_("messages in TCP streams, framed as none, line, crlf, nul, fixed:N, u8, u16be, u16le, u32be, u32le, "
                "varint, netstring, slip, cobs, delim:HEX or len:OFFSET,WIDTH,ORDER,ADJUST; or ws: WebSocket without "
                "TLS. With --follow one message a line; on the ladder, where each one ends")},
    {.name = "hex", .kind = OPTION_FLAG, MEMBER(hex), .help = N_("--follow in hexadecimal")},
    {.name = "layers",
     .kind = OPTION_FLAG,
     MEMBER(layers),
     .help = N_("open each packet layer by layer, with byte offsets"),
     .brief = true},
    {.name = "json",
     .kind = OPTION_FLAG,
     MEMBER(json),
     .help = N_("one line of JSON for each event, message, packet or conversation"),
     .brief = true},
    PAGE_ROWS(struct trace_settings),
    {.name = "svg", .value = "FILE", .kind = OPTION_TEXT, MEMBER(svg), .help = N_("draw one connection into FILE")},
    {.name = "write",
     .value = "FILE",
     .kind = OPTION_TEXT,
     MEMBER(write),
     .help = N_("write the packets as pcapng, with comments where there is something to say")},
    {.name = "conn",
     .value = "N",
     .kind = OPTION_TEXT,
     MEMBER(conn),
     .help = N_("this connection only: its number, or its letter on the ladder"),
     .brief = true},
    {.name = "all", .kind = OPTION_FLAG, MEMBER(all), .help = N_("draw every connection, even when they are many")},
    {.name = "raw", .kind = OPTION_FLAG, MEMBER(raw), .help = N_("sequence numbers as on the wire")},
    {.name = "compact", .kind = OPTION_FLAG, MEMBER(compact), .help = N_("a pause takes one row, however long")},
    {.name = "list", .kind = OPTION_FLAG, MEMBER(list), .help = N_("one event a line, without the drawing")},
    {.name = "ascii", .kind = OPTION_FLAG, MEMBER(ascii), .help = N_("draw with ASCII characters")},
    {.name = "color",
     .kind = OPTION_CHOICE,
     MEMBER(color),
     .help = N_("colours: on a terminal (the default), always or never"),
     .choices = color_choices},
    {.name = "width",
     .value = "N",
     .kind = OPTION_COUNT,
     MEMBER(width),
     .help = N_("draw as if the terminal had N columns"),
     .minimum = 20,
     .maximum = 1000},
    {.letter = 'n', .kind = OPTION_REFUSED, .help = N_("addresses are never looked up: they are shown as they are.")},
    {.letter = 'w', .kind = OPTION_REFUSED, .help = N_("packets are written with --write FILE.")},
    {.kind = OPTION_FLAG},
};

static const struct example examples[] = {
    {"sonde trace port 7007", N_("the ladder of what happens on loopback's port 7007")},
    {"sonde trace -i any 'tcp and host 192.0.2.7'", N_("on every interface, filtered as tcpdump does")},
    {"sonde trace -r lunch.pcapng --summary", N_("the conversations of a capture")},
    {"sonde trace -r lunch.pcapng --conn 3 --svg lunch.svg", N_("one of them as a picture")},
    {"sonde trace -r lunch.pcapng --follow --frame u16be", N_("what was said, cut into messages")},
    {"sonde trace -r lunch.pcapng --layers -c 1", N_("one packet, layer by layer")},
    {"sonde trace -r lunch.pcapng --page", N_("all of it in a browser: ladders, layers, plots")},
    {"sonde trace --json port 7007 >e.jsonl", N_("record events; sonde trace -r e.jsonl draws them")},
    {NULL, NULL},
};

/* ---- which views */

static const struct view *main_view(const struct trace_settings *settings)
{
    if (settings->summary)
        return &view_summary;
    if (settings->follow)
        return &view_follow;
    if (settings->layers)
        return &view_layers;
    return settings->json ? &view_json : &view_ladder;
}

/* With a page the ladder is drawn there; here too, when it is said how. */
static bool shows_here(const struct trace_settings *settings)
{
    return !settings->page.url || settings->summary || settings->follow || settings->layers || settings->json ||
           settings->list || settings->compact || settings->raw || settings->all;
}

static bool add_view(struct trace_run *run, const struct view *view, enum exit_status *ret_status)
{
    struct sonde_why why = {.code = 0};
    int error = trace_view_open(view, &run->view_settings, &run->views[run->n_views], &why);
    if (error == 0) {
        run->n_views++;
        return true;
    }
    char subject[WORD_MAX];
    escape_short(why.subject, strlen(why.subject), subject, sizeof subject);
    say(_("%s cannot be written: %s."), subject[0] ? subject : view->name, sonde_strerror(error));
    *ret_status = EXIT_NETWORK;
    return false;
}

static bool open_views(struct trace_run *run, enum exit_status *ret_status)
{
    const struct trace_settings *settings = run->settings;
    const struct view *shown = main_view(settings);
    bool file_is_output =
        (settings->svg && strcmp(settings->svg, "-") == 0) || (settings->write && strcmp(settings->write, "-") == 0);
    run->sentences = shown == &view_ladder || shown == &view_json || settings->svg || settings->write || run->page;
    return (file_is_output || !shows_here(settings) || add_view(run, shown, ret_status)) &&
           (!run->page || add_view(run, &page_view, ret_status)) &&
           (!settings->svg || add_view(run, &view_svg, ret_status)) &&
           (!settings->write || add_view(run, &view_write, ret_status));
}

static void close_views(struct trace_run *run)
{
    for (size_t i = 0; i < run->n_views; i++)
        trace_view_close(&run->views[i]);
}

/* Has a view's file been the trouble? Then it is said. */
static bool say_view_error(const struct trace_run *run)
{
    char file[WORD_MAX];
    for (size_t i = 0; i < run->n_views; i++) {
        const struct view_run *view = &run->views[i];
        const char *path = view->view == &view_svg ? run->settings->svg : run->settings->write;
        if (view->error >= 0 || !path || (view->view != &view_svg && view->view != &view_write))
            continue;
        escape_short(path, strlen(path), file, sizeof file);
        if (view->view == &view_svg && view->error == -ENOENT)
            say(_("%s stays empty: there was no connection to draw."), file);
        else if (view->error != -EPIPE || strcmp(path, "-") != 0) /* a reader that has gone away knows it */
            say(_("%s cannot be written: %s."), file, sonde_strerror(view->error));
        return true;
    }
    return false;
}

/* "3" is a number, "c" the third tag of the ladder. 0: it is neither. */
static uint64_t connection_number(const char *text)
{
    long long number = 0;
    if (option_parse_count(text, &number))
        return number > 0 ? (uint64_t)number : 0;
    char tag[8];
    for (unsigned i = 0; i < 26 * 27; i++) {
        ladder_tag(i, tag);
        if (strcmp(tag, text) == 0)
            return i + 1;
    }
    return 0;
}

static bool parse_frame(struct trace_run *run)
{
    const char *text = run->settings->frame;
    struct sonde_why why = {.code = 0};
    char word[WORD_MAX], detail[WORD_MAX];
    if (!text || framing_parse(text, &run->frame, &why) == 0)
        return true;
    escape_short(text, strlen(text), word, sizeof word);
    escape_short(why.detail, strlen(why.detail), detail, sizeof detail);
    say(_("--frame %s is not understood: %s."), word, detail);
    return false;
}

static bool choose(struct trace_run *run, enum exit_status *ret_status)
{
    const struct trace_settings *settings = run->settings;
    struct view_settings *views = &run->view_settings;
    bool color = settings->color == COLOR_ALWAYS || (settings->color != COLOR_NEVER && term_wants_color(STDOUT_FILENO));
    *views = (struct view_settings){
        .out = stdout,
        .title = run->title,
        .live = !settings->file,
        .unicode = !settings->ascii && term_is_unicode(),
        .color = color,
        .raw = settings->raw,
        .compact = settings->compact,
        .list = settings->list,
        .hex = settings->hex,
        .json = settings->json,
        .all = settings->all,
        .width = settings->width > 0 ? (unsigned)settings->width : term_width(STDOUT_FILENO),
        .svg = settings->svg,
        .write = settings->write,
        .frame = settings->frame ? &run->frame : NULL,
        .page = run->page,
    };
    if (!settings->conn)
        return true;
    views->only = connection_number(settings->conn);
    if (views->only != 0)
        return true;
    char word[WORD_MAX];
    escape_short(settings->conn, strlen(settings->conn), word, sizeof word);
    say(_("--conn %s is no connection: give its number, or its letter on the ladder."), word);
    *ret_status = EXIT_MISUSE;
    return false;
}

/* ---- from a file */

static enum exit_status say_file_error(const struct trace_run *run, int error, const struct sonde_why *why)
{
    char file[WORD_MAX], detail[WORD_MAX];
    const char *given = run->settings->file;
    escape_short(given, strlen(given), file, sizeof file);
    escape_short(why->detail, strlen(why->detail), detail, sizeof detail);
    if (strcmp(given, "-") == 0)
        snprintf(file, sizeof file, "%s", _("standard input"));
    enum exit_status status;
    if (trace_say_filter_error(run, why, &status))
        return status;
    if (error == -ENOTSUP) {
        say(_("%s holds recorded events, and %s needs packets."), file, detail);
        return EXIT_MISUSE;
    }
    if (why->code == 0 && say_view_error(run))
        return EXIT_NETWORK;
    if (error == -EPIPE)
        say(_("%s ends in the middle of a packet; what was before it has been read."), file);
    else if (error == -EINVAL)
        say(_("%s cannot be read any further: %s."), file,
            detail[0] ? detail : _("it is no capture, nor recorded events"));
    else
        say(_("%s cannot be read: %s."), file, sonde_strerror(error));
    return EXIT_NETWORK;
}

/* Nothing shown without a word would look like nothing there. */
static bool found_what_was_asked(const struct trace_run *run, const struct trace_file_counts *counts)
{
    uint64_t only = run->view_settings.only;
    if (only > counts->n_conversations && !counts->events) {
        say(_("there is no connection %" PRIu64 ": the last one is %" PRIu64 "."), only, counts->n_conversations);
        return false;
    }
    return counts->n_packets == 0 || counts->n_unknown_links < counts->n_packets;
}

static enum exit_status trace_from_file(struct trace_run *run)
{
    struct trace_file_counts counts;
    struct sonde_why why = {.code = 0};
    const struct trace_file_settings settings = {
        .path = run->settings->file,
        .filter = run->filter[0] ? run->filter : NULL,
        .views = run->views,
        .n_views = run->n_views,
        .n_packets_max = (uint64_t)run->settings->n_packets,
        .frame = run->view_settings.frame,
        .checksums = true,
        .sentences = run->sentences,
    };
    int error = trace_file(&settings, &counts, &why);
    run->has_shown = counts.n_packets > 0 || counts.n_conversations > 0;
    if (fflush(stdout) != 0 || ferror(stdout))
        return EXIT_DONE; /* main has the word */
    trace_say_file_counts(run, &counts);
    if (error < 0)
        return say_file_error(run, error, &why);
    return found_what_was_asked(run, &counts) ? EXIT_DONE : EXIT_NETWORK;
}

/* ---- live */

static enum exit_status say_live_error(const struct trace_run *run, const struct sonde_why *why)
{
    char interface[WORD_MAX], detail[WORD_MAX];
    escape_short(run->settings->interface, strlen(run->settings->interface), interface, sizeof interface);
    escape_short(why->detail, strlen(why->detail), detail, sizeof detail);
    enum exit_status status;
    if (trace_say_filter_error(run, why, &status))
        return status;
    switch (why->code) {
    case -EPERM:
        say(_("capturing on %s is not permitted: it takes CAP_NET_RAW. To permit it: %s"), interface, detail);
        return EXIT_NETWORK;
    case -ENODEV:
        say(_("there is no interface %s; ip link lists those there are."), interface);
        return EXIT_NETWORK;
    default:
        say(_("capturing on %s failed: %s."), interface, detail[0] ? detail : sonde_strerror(why->code));
        return EXIT_NETWORK;
    }
}

static enum exit_status run_session(struct trace_run *run, struct capture_live *live, int stop_fd)
{
    const struct session_settings settings = {
        .live = live,
        .where = run->title,
        .kernel = true,
        .views = run->views,
        .n_views = run->n_views,
        .n_packets_max = (uint64_t)run->settings->n_packets,
        .duration_ns = run->settings->duration_ns,
        .frame = run->view_settings.frame,
        .stop_fd = stop_fd,
        .checksums = true,
    };
    struct session_counts counts;
    struct session *session = session_new(&settings);
    if (!session) {
        say(_("memory is short."));
        return EXIT_NETWORK;
    }
    int error = session_run(session);
    session_get_counts(session, &counts);
    session_free(session);
    trace_say_live_counts(run, &counts);
    if (say_view_error(run))
        return EXIT_NETWORK;
    if (error < 0) {
        say(_("the trace has ended early: %s."), sonde_strerror(error));
        return EXIT_NETWORK;
    }
    return EXIT_DONE;
}

static enum exit_status trace_live(struct trace_run *run)
{
    struct capture_live *live = NULL;
    struct sonde_why why = {.code = 0};
    const struct capture_live_options live_options = {
        .interface = run->settings->interface,
        .filter = run->filter[0] ? run->filter : NULL,
    };
    if (capture_live_open(&live_options, &live, &why) < 0)
        return say_live_error(run, &why);
    /* They end a trace in order. */
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, 0};
    struct signals signals;
    int error = signals_open(&signals, numbers), why_not = EXIT_DONE;
    if (error < 0) {
        say(_("the trace cannot be shown: %s."), sonde_strerror(error));
        capture_live_close(live);
        return EXIT_NETWORK;
    }
    enum exit_status status = EXIT_NETWORK;
    /* Whoever is told where the page is misses nothing from then on. */
    if (!run->page || page_options_begin(run->page, &why_not)) {
        if (isatty(STDERR_FILENO))
            say(_("capturing on %s; Ctrl-C ends."), run->title);
        status = run_session(run, live, signals.fd);
    } else {
        status = (enum exit_status)why_not;
    }
    capture_live_close(live);
    /* What was traced stays to be looked at. Where a signal has ended the trace, that was the signal. */
    if (run->page && status == EXIT_DONE)
        page_options_wait(&signals);
    signals_close(&signals);
    return status;
}

/* ---- */

/* ---- the page */

static bool open_page(struct trace_run *run, const char *title, enum exit_status *ret_status)
{
    struct page_settings page = {
        .verb = "trace",
        .title = title,
        .rights = PAGE_SEE | PAGE_RUN,
        .rows = PAGE_ROWS_TRACE,
    };
    int status = EXIT_DONE;
    if (!run->settings->page.url)
        return true;
    if (page_options_open(&run->settings->page, &page, &run->page, &status))
        return true;
    *ret_status = (enum exit_status)status;
    return false;
}

/* What was read can be looked at until a signal comes. */
static enum exit_status trace_file_with_page(struct trace_run *run)
{
    int why_not = EXIT_DONE;
    if (!page_options_begin(run->page, &why_not))
        return (enum exit_status)why_not;
    enum exit_status traced = trace_from_file(run);
    if (traced == EXIT_DONE || run->has_shown)
        page_options_wait(NULL);
    return traced;
}

static bool join_filter(struct trace_run *run, int n_operands, char **operands)
{
    size_t n = 0;
    for (int i = 0; i < n_operands; i++) {
        int length = snprintf(run->filter + n, FILTER_MAX - n, "%s%s", i > 0 ? " " : "", operands[i]);
        if (length < 0 || (size_t)length >= FILTER_MAX - n) {
            say(_("the filter is too long: %d bytes are the most."), FILTER_MAX - 1);
            return false;
        }
        n += (size_t)length;
    }
    return true;
}

static int count_ways(const struct trace_settings *settings)
{
    return settings->summary + settings->follow + settings->layers;
}

static bool is_same_file(const char *one, const char *other)
{
    struct stat a, b;
    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool check(const struct trace_settings *settings)
{
    if (count_ways(settings) > 1) {
        say(_("--summary, --follow and --layers each show the whole in their own way: give one of them."));
        return false;
    }
    if (settings->file && settings->write && is_same_file(settings->file, settings->write)) {
        say(_("--write would write over the file that is being read: give another one."));
        return false;
    }
    if (settings->svg && settings->write && strcmp(settings->svg, settings->write) == 0) {
        say(_("--svg and --write would write over each other: give them different files."));
        return false;
    }
    if (settings->frame && (settings->summary || settings->layers)) {
        say(_("--frame shows messages on the ladder, in events and with --follow: --summary and --layers have none."));
        return false;
    }
    if (!page_options_check(&settings->page))
        return false;
    if (settings->hex && !settings->follow) {
        say(_("--hex belongs to --follow."));
        return false;
    }
    if (settings->file && (settings->interface || settings->duration_ns != 0)) {
        say(_("-i and --duration are for live captures; with -r there is nothing to wait for."));
        return false;
    }
    return true;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct trace_settings settings = {.color = -1};
    struct trace_run *trace = calloc(1, sizeof *trace);
    char title[PAGE_TITLE_MAX];
    enum exit_status status = EXIT_MISUSE;
    int n_operands;

    if (!trace)
        return EXIT_NETWORK;
    int parsed = option_parse(verb, &settings, argc, argv, &n_operands);
    if (parsed != 0 || !check(&settings) || !join_filter(trace, n_operands, argv + 1)) {
        free(trace);
        return parsed != 0 ? parsed - 1 : (int)EXIT_MISUSE;
    }
    if (!settings.interface && !settings.file)
        settings.interface = "lo";
    trace->settings = &settings;
    const char *base = settings.file ? strrchr(settings.file, '/') : NULL;
    if (settings.file)
        snprintf(trace->title, sizeof trace->title, _("capture %s"), base ? base + 1 : settings.file);
    else
        snprintf(trace->title, sizeof trace->title, "%s", settings.interface);
    char shown[WORD_MAX + 16];
    snprintf(shown, sizeof shown, "trace %s", trace->title);
    page_title(shown, n_operands, argv + 1, title);
    bool ready =
        parse_frame(trace) && open_page(trace, title, &status) && choose(trace, &status) && open_views(trace, &status);
    if (ready && trace->page && settings.file)
        status = trace_file_with_page(trace);
    else if (ready)
        status = settings.file ? trace_from_file(trace) : trace_live(trace);
    close_views(trace);
    page_end(trace->page);
    free(trace);
    return status;
}

const struct verb trace_verb = {
    .name = "trace",
    .summary = N_("Draw what happens between two ends, live or from a capture."),
    .usage = "[OPTION...] [FILTER...]",
    .options = options,
    .examples = examples,
    .more = N_("The ladder: two ends as two vertical lines, time running down, each end's TCP state beside it, arrows "
               "for segments with tcpdump's flag letters. States are inferred from the segments; on this machine's "
               "own connections the kernel's view (rto, rtt, cwnd, queues) and the programs' names stand beside them.\n"
               "\n"
               "FILTER is what tcpdump takes: see pcap-filter(7). Capturing takes CAP_NET_RAW, which the small program "
               "sonde-capture may be given, so that sonde itself never needs it.\n"
               "\n"
               "Exit status 0: shown to its end. 1: it cannot be captured, read or written. 2: misuse."),
    .run = run,
};
