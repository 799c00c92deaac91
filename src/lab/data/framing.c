/* SPDX-License-Identifier: MIT */
/*
 * The cure for boundaries that a stream does not keep: the messages say themselves where they end, by a length before
 * or a delimiter behind them. Each message then comes out whole, however the bytes were cut: the same stream is sent in
 * two pieces, cut behind every one of its bytes, then byte by byte, and at once.
 */
#include "lab/data/data.h"
#include "lab/table.h"
#include "term/translate.h"

#include <netinet/in.h>
#include <sonde/frame.h>
#include <string.h>

#define N_MESSAGES 4
#define MESSAGE_MAX 16
#define STREAM_MAX 128
#define WITHIN_NS (2 * NS_PER_S)

static const char *const messages[N_MESSAGES] = {"abc", "a longer one", "", "d"};

enum taking { TAKE_LENGTH, TAKE_LINE, TAKE_RECEIVES, N_TAKINGS };

struct taken {
    unsigned n, n_right; /* messages handed out; those that are what was sent, in their place */
};

struct trial {
    struct lab *lab;
    struct party *client, *server;
    struct lab_pair pair;
    struct sonde_frame frame;
    uint8_t stream[STREAM_MAX];
    size_t n_stream;
    struct taken taken; /* of this passage of the stream */
    unsigned n_passages, n_whole, n_receives;
};

static int take(const void *data, size_t n_bytes, void *user)
{
    struct taken *taken = user;

    if (taken->n < N_MESSAGES && strlen(messages[taken->n]) == n_bytes &&
        memcmp(messages[taken->n], data, n_bytes) == 0)
        taken->n_right++;
    taken->n++;
    return 0;
}

static void make_stream(struct trial *trial, const char *codec)
{
    if (sonde_frame_parse(codec, &trial->frame, NULL) < 0)
        lab_give_up(trial->lab, _("No codec is called %s."), codec);
    trial->n_stream = 0;
    for (unsigned i = 0; i < N_MESSAGES; i++) {
        size_t n;

        data_expect(trial->lab, "sonde_frame_encode()",
                    sonde_frame_encode(&trial->frame, messages[i], strlen(messages[i]), trial->stream + trial->n_stream,
                                       STREAM_MAX - trial->n_stream, &n));
        trial->n_stream += n;
    }
}

/* One piece: sent, waited for, received, and given to the decoder; or taken for a message, when there is none. */
static void pass_piece(struct trial *trial, struct sonde_frame_decoder *decoder, size_t from, size_t n_bytes)
{
    char room[STREAM_MAX];
    ssize_t n;

    if (!n_bytes)
        return;
    data_expect(trial->lab, "send()", party_send(trial->client, trial->pair.client, trial->stream + from, n_bytes, 0));
    data_arrived(trial->pair.server, (int64_t)n_bytes, WITHIN_NS);
    n = data_expect(trial->lab, "recv()", party_recv(trial->server, trial->pair.server, room, sizeof(room), 0));
    trial->n_receives++;
    if (decoder)
        sonde_frame_decoder_feed(decoder, room, (size_t)n, NULL);
    else
        take(room, (size_t)n, &trial->taken);
}

/* The whole stream once; cut behind this byte, or behind each (0). */
static void pass_stream(struct trial *trial, bool framed, size_t cut)
{
    struct sonde_frame_decoder *decoder = NULL;

    trial->taken = (struct taken){0};
    if (framed)
        data_expect(trial->lab, "sonde_frame_decoder_create()",
                    sonde_frame_decoder_create(&trial->frame, NULL, take, &trial->taken, &decoder));
    if (cut) {
        pass_piece(trial, decoder, 0, cut);
        pass_piece(trial, decoder, cut, trial->n_stream - cut);
    } else {
        for (size_t i = 0; i < trial->n_stream; i++)
            pass_piece(trial, decoder, i, 1);
    }
    trial->n_passages++;
    trial->n_whole += trial->taken.n == N_MESSAGES && trial->taken.n_right == N_MESSAGES;
    sonde_frame_decoder_free(decoder);
}

static void try_all(struct trial *trial, enum taking taking)
{
    make_stream(trial, taking == TAKE_LENGTH ? "u16be" : "line");
    lab_connected(trial->client, trial->server, &trial->pair);
    party_set(trial->client, trial->pair.client, IPPROTO_TCP, TCP_NODELAY, 1);
    for (size_t cut = 0; cut <= trial->n_stream; cut++)
        pass_stream(trial, taking != TAKE_RECEIVES, cut);
    party_close(trial->client, trial->pair.client);
    party_close(trial->server, trial->pair.server);
}

static void give_verdict(struct lab *lab, const struct trial *trials)
{
    static const char *const names[N_TAKINGS] = {"whole_with_length", "whole_with_lines", "whole_by_receives"};
    const struct trial *length = &trials[TAKE_LENGTH], *line = &trials[TAKE_LINE], *none = &trials[TAKE_RECEIVES];

    for (unsigned i = 0; i < N_TAKINGS; i++)
        lab_figure(lab, "C39", names[i], trials[i].n_whole);
    lab_figure(lab, "C39", "passages_with_length", length->n_passages);
    lab_figure(lab, "C39", "passages_with_lines", line->n_passages);
    if (length->n_whole == length->n_passages && line->n_whole == line->n_passages && none->n_whole < none->n_passages)
        lab_verdict(lab, "C39", LAB_TRUE,
                    _("And so a receive is no message: each taken for one, the %u messages were right in %u of %u cuts "
                      "of the stream. With a "
                      "length before each they came out whole in %u of %u, with a newline behind each in %u of %u."),
                    N_MESSAGES, none->n_whole, none->n_passages, length->n_whole, length->n_passages, line->n_whole,
                    line->n_passages);
    else
        lab_verdict(
            lab, "C39", LAB_DEPENDS,
            _("The messages came out whole in %u of %u cuts with a length, in %u of %u with newlines, and in %u of "
              "%u when each receive was taken for one."),
            length->n_whole, length->n_passages, line->n_whole, line->n_passages, none->n_whole, none->n_passages);
}

static void run(struct lab *lab)
{
    const char *names[N_TAKINGS] = {_("u16be: 2 bytes of length before it"), _("line: a newline behind it"),
                                    _("taken to be what one recv() gave")};
    const char *heads[] = {_("a message is"), _("stream"), _("cuts"), _("receives"), _("right")};
    struct trial trials[N_TAKINGS];

    for (enum taking taking = 0; taking < N_TAKINGS; taking++) {
        trials[taking] = (struct trial){
            .lab = lab, .client = lab_party(lab, "client", END_A), .server = lab_party(lab, "server", END_B)};
        try_all(&trials[taking], taking);
    }
    lab_table(lab, 5, heads);
    for (unsigned i = 0; i < N_TAKINGS; i++) {
        lab_cell(lab, "%s", names[i]);
        lab_cell(lab, "%zu", trials[i].n_stream);
        lab_cell(lab, "%u", trials[i].n_passages);
        lab_cell(lab, "%u", trials[i].n_receives);
        lab_cell(lab, "%u", trials[i].n_whole);
    }
    lab_table_end(lab);
    lab_footnote(lab, _("Cut behind each byte in turn, the last of which is no cut at all, and once into single bytes. "
                        "Right: all four messages came out, each as it was sent."));
    lab_answer(lab, "%u", trials[TAKE_LINE].n_whole);
    give_verdict(lab, trials);
}

static const struct lab_claim claims[] = {
    {"C39", N_("Three writes of a stream may arrive in one, in two or in three reads.")},
    {0},
};

const struct experiment experiment_framing = {
    .name = "framing",
    .chapter = CHAPTER_DATA,
    .title = N_("messages in a stream: the cure"),
    .claims = claims,
    .systems = "S15",
    .milliseconds = 150,
    .done = N_("Four messages, one of them empty, are sent as one stream, which is cut in two behind every one of its "
               "bytes in turn, and into single bytes; each piece is received before the next is sent."),
    .question =
        N_("Four messages, each ended by a newline, are 20 bytes. They are sent 21 times, cut in another place each "
           "time. How many times does a reader that collects bytes up to a newline get all four?"),
    .by_hand = "timeout 9 sonde serve echo --frame line tcp://127.0.0.1:7007 &\n"
               "sh -c 'printf ab; sleep 0.2; printf \"c\\nde\\n\"' | nc -N 127.0.0.1 7007",
    .read = "sonde/frame.h; sonde-serve(1), --frame",
    .run = run,
};
