/* SPDX-License-Identifier: MIT */
/*
 * The stale tail: a program receives into the same buffer again and again, does not look at how many bytes recv()
 * returned, and prints up to the first NUL. The kernel writes as many bytes as it returned and not one more; the rest
 * of the buffer is still the last message.
 */
#include "lab/data/data.h"
#include "lab/table.h"
#include "term/translate.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define BUFFER_BYTES 12
#define WITHIN_NS (2 * NS_PER_S)

static const char longer[] = "morning";
static const char shorter[] = "hi";
static const char full[] = "twelve bytes";

struct look {
    char buffer[BUFFER_BYTES]; /* as it was after this receive */
    ssize_t n;                 /* what recv() returned */
    size_t n_untouched;        /* bytes behind those, as they were before */
};

static void take(struct lab *lab, struct party *client, struct party *server, const struct lab_pair *pair,
                 const char *message, char buffer[BUFFER_BYTES], struct look *ret_look)
{
    struct look look = {0};
    char before[BUFFER_BYTES];

    memcpy(before, buffer, BUFFER_BYTES);
    data_expect(lab, "send()", party_send(client, pair->client, message, strlen(message), 0));
    data_arrived(pair->server, (int64_t)strlen(message), WITHIN_NS);
    look.n = data_expect(lab, "recv()", party_recv(server, pair->server, buffer, BUFFER_BYTES, 0));
    for (size_t i = (size_t)look.n; i < BUFFER_BYTES; i++)
        look.n_untouched += buffer[i] == before[i];
    memcpy(look.buffer, buffer, BUFFER_BYTES);
    *ret_look = look;
}

/* Where printf("%s") stops; BUFFER_BYTES: not inside of the buffer. */
static size_t until_nul(const struct look *look)
{
    return strnlen(look->buffer, BUFFER_BYTES);
}

/* Each byte: itself, or "." for a NUL; what recv() wrote stands between brackets. */
static void draw(const struct look *look, char ret_text[BUFFER_BYTES * 2 + 8])
{
    size_t length = 0;

    ret_text[length++] = '[';
    for (size_t i = 0; i < BUFFER_BYTES; i++) {
        if (i == (size_t)look->n)
            ret_text[length++] = ']';
        ret_text[length++] = look->buffer[i] ? look->buffer[i] : '.';
    }
    if (look->n == BUFFER_BYTES)
        ret_text[length++] = ']';
    ret_text[length] = '\0';
}

static void show(struct lab *lab, const char *what, const char *sent, const struct look *look)
{
    char drawn[BUFFER_BYTES * 2 + 8];
    size_t printed = until_nul(look);

    draw(look, drawn);
    lab_cell(lab, "%s", what);
    lab_cell(lab, "%s", sent);
    lab_cell(lab, "%zd", look->n);
    lab_cell(lab, "%s", drawn);
    if (printed < BUFFER_BYTES)
        lab_cell(lab, "%.*s", (int)printed, look->buffer);
    else
        lab_cell(lab, "%s", _("(no NUL)"));
}

static void give_verdict(struct lab *lab, const struct look *second, const struct look *cleared,
                         const struct look *overfull)
{
    size_t printed = until_nul(second);
    bool stale = printed > (size_t)second->n && printed < BUFFER_BYTES;
    bool right = second->n == (ssize_t)strlen(shorter) && memcmp(second->buffer, shorter, strlen(shorter)) == 0;
    bool untouched = second->n_untouched == BUFFER_BYTES - (size_t)second->n;
    bool no_end = until_nul(overfull) == BUFFER_BYTES;

    lab_figure(lab, "C7", "returned_bytes", (double)second->n);
    lab_figure(lab, "C7", "printed_up_to_nul_bytes", (double)printed);
    lab_figure(lab, "C7", "bytes_untouched_by_recv", (double)second->n_untouched);
    lab_figure(lab, "C7", "printed_cleared_bytes", (double)until_nul(cleared));
    lab_figure_text(lab, "C7", "printed_with_length", right ? shorter : "?");
    lab_answer(lab, "%.*s", (int)printed, second->buffer);

    if (stale && right && untouched && no_end)
        lab_verdict(
            lab, "C7", LAB_DEPENDS,
            _("It is the program's doing. Printed up to the NUL, the second message is \"%.*s\"; printed by the "
              "%zd bytes that recv() returned, it is \"%.*s\". recv() left the other %zu bytes of the buffer "
              "as they were. Clearing the buffer is no cure: a message that fills it has no NUL at all."),
            (int)printed, second->buffer, second->n, (int)second->n, second->buffer, second->n_untouched);
    else if (stale && right)
        lab_verdict(
            lab, "C7", LAB_DEPENDS,
            _("It is the program's doing. Printed up to the NUL, the second message is \"%.*s\"; printed by the "
              "%zd bytes that recv() returned, it is \"%.*s\". Of the bytes behind, recv() left %zu as they "
              "were."),
            (int)printed, second->buffer, second->n, (int)second->n, second->buffer, second->n_untouched);
    else if (right && !stale)
        lab_verdict(lab, "C7", LAB_FALSE,
                    _("No tail was seen: recv() returned %zd bytes, and up to the NUL there were %zu."), second->n,
                    printed);
    else
        lab_verdict(lab, "C7", LAB_NOT_SHOWN,
                    _("The second message did not come by itself: recv() returned %zd bytes for %zu sent."), second->n,
                    strlen(shorter));
}

static void run(struct lab *lab)
{
    const char *heads[] = {_("message"), _("sent"), _("returned"), _("buffer, [written]"), _("up to NUL")};
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    char buffer[BUFFER_BYTES] = {0};
    struct look first, second, cleared, overfull;
    struct lab_pair pair;

    lab_connected(client, server, &pair);
    take(lab, client, server, &pair, longer, buffer, &first);
    take(lab, client, server, &pair, shorter, buffer, &second);
    take(lab, client, server, &pair, longer, buffer, &first);
    memset(buffer, 0, sizeof(buffer));
    take(lab, client, server, &pair, shorter, buffer, &cleared);
    memset(buffer, 0, sizeof(buffer));
    take(lab, client, server, &pair, full, buffer, &overfull);
    party_close(client, pair.client);
    party_close(server, pair.server);

    lab_table(lab, 5, heads);
    show(lab, _("1st"), longer, &first);
    show(lab, _("2nd"), shorter, &second);
    show(lab, _("2nd (a)"), shorter, &cleared);
    show(lab, _("full (a)"), full, &overfull);
    lab_table_end(lab);
    lab_footnote(lab, _("\".\" is a NUL. (a) The whole buffer was set to NULs before that receive. Without a "
                        "NUL in the buffer, printing goes on into whatever memory follows it."));
    give_verdict(lab, &second, &cleared, &overfull);
}

static const struct lab_claim claims[] = {
    {"C7", N_("When a shorter message comes after a longer one, the longer one's tail is shown behind it.")},
    {0},
};

const struct experiment experiment_stale_tail = {
    .name = "stale-tail",
    .chapter = CHAPTER_DATA,
    .title = N_("the end of an old message behind a new one"),
    .claims = claims,
    .systems = "S2",
    .milliseconds = 20,
    .done = N_("\"morning\", then \"hi\" are sent, without a NUL, and received into the same 12 bytes, which were all "
               "NULs at first. The buffer is shown after each receive."),
    .question =
        N_("The program prints the buffer with printf(\"%s\"), without looking at what recv() returned. What does "
           "it print for \"hi\"?"),
    .by_hand = "timeout 9 sonde serve echo --trace tcp://127.0.0.1:7007 &\n"
               "sh -c 'echo morning; sleep 1; echo hi' | nc -N 127.0.0.1 7007",
    .read = "recv(2), RETURN VALUE; printf(3), precision of %s",
    .run = run,
};
