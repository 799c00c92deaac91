/* SPDX-License-Identifier: MIT */
#include "lab/systems.h"

#include "lab/lab.h"

#include <stdlib.h>
#include <string.h>

const struct lab_system lab_systems[] = {
    {"S1", "Echo server that prints what it is sent, and by whom", "`sonde serve echo --print text`", NULL},
    {"S2", "Echo client: lines from the terminal go out, answers are shown", "`sonde connect 127.0.0.1:7007`", NULL},
    {"S3", "The whole flow of calls, at both ends",
     "`sonde serve echo --calls`, `sonde connect --calls 127.0.0.1:7007`", NULL},
    {"S4", "A client that chooses its own address", "`sonde connect --bind 127.0.0.2 127.0.0.1:7007`", NULL},
    {"S5", "A refused connection, and a clear error", "`sonde connect 127.0.0.1:1`", NULL},
    {"S6", "Netcat as the peer", "`nc 127.0.0.1 7007` with `sonde serve echo`; `sonde connect` with `nc -l 7007`",
     NULL},
    {"S7", "A server that never accepts", "`sonde serve hold`", NULL},
    {"S8", "Two terminals that talk, both at any time", "`sonde serve talk`", NULL},
    {"S9", "A server that greets, and closes", "`sonde serve greet`", NULL},
    {"S10", "One client after the other, and a client that connects anew for each request",
     "`sonde serve echo --sequential`, `examples/reconnecting_client`", NULL},
    {"S11", "Which family, type and protocol this kernel makes", NULL, NULL},
    {"S12", "Addresses and byte order", NULL, NULL},
    {"S13", "Datagrams", "`sonde serve echo udp://127.0.0.1:7007`, `sonde connect udp://127.0.0.1:7007`", NULL},
    {"S14", "Socket buffers and blocking", NULL, NULL},
    {"S15", "Message boundaries, and the cure: framing",
     "`sonde serve echo --frame u16be`, `sonde serve echo udp://`, `sonde serve echo seqpacket:@boundaries`, "
     "`sonde trace --frame u16be`",
     NULL},
    {"S16", "The three-way handshake", "`sonde trace`", NULL},
    {"S17", "Data, acknowledgement, loss, retransmission", "`sonde wire`", NULL},
    {"S18", "Closing, and TIME_WAIT", "`sonde trace`", NULL},
    {"S19", "One packet, layer by layer", "`sonde trace --layers`", NULL},
    {"S20", "WebSocket, the browser's socket",
     "`sonde serve echo ws://127.0.0.1:7007`, `sonde connect ws://127.0.0.1:7007`", NULL},
    {"S21", "One service for a program and for a browser", "`sonde serve echo any://127.0.0.1:7007`",
     "a program, a browser's GET and a WebSocket are answered on one port; a page of its own is not built yet"},
    {"S22", "The four-tuple: many connections on one port of a server", NULL, NULL},
    {"S23", "Watching from outside", "`sonde watch`", NULL},
    {NULL, NULL, NULL, NULL},
};

const char *const lab_not_measurable[] = {
    "What it costs to roll out and to update programs at many users' machines, compared with pages that a browser "
    "loads.",
    "Why video calls are carried by datagrams: a choice of their makers. What is lost and late can be shown; what is "
    "preferred, not.",
    "That an address tells where on earth its machine stands: nothing in the packets says so.",
    NULL,
};

/* Does this list of words ("S17 S18") have the word? */
static bool has_word(const char *words, const char *word)
{
    size_t n_word = strlen(word);
    for (const char *at = words; at && *at;) {
        size_t n = strcspn(at, " ");
        if (n == n_word && memcmp(at, word, n) == 0)
            return true;
        at += n + strspn(at + n, " ");
    }
    return false;
}

static void put_system(const struct lab_system *system, FILE *out)
{
    const char *between = "";
    fprintf(out, "| %s | %s | ", system->id, system->system);
    if (system->run) {
        fprintf(out, "%s", system->run);
        between = "; ";
    }
    for (size_t i = 0; experiments[i]; i++) {
        if (!has_word(experiments[i]->systems, system->id))
            continue;
        fprintf(out, "%s`sonde lab %s`", between, experiments[i]->name);
        between = "; ";
    }
    if (system->remark)
        fprintf(out, "%s%s", between, system->remark);
    fprintf(out, " |\n");
}

struct row {
    const char *text;
    size_t n_bytes;
    unsigned long number;
    size_t order;
};

static int by_number(const void *one, const void *other)
{
    const struct row *a = one, *b = other;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static void put_sorted(const char *rows, FILE *out)
{
    size_t n = 0, room = 0;
    for (const char *c = rows; *c; c++)
        room += *c == '\n';
    struct row *sorted = calloc(room + 1, sizeof *sorted);
    for (const char *at = rows; sorted && *at && n < room; n++) {
        size_t n_bytes = strcspn(at, "\n") + 1;
        const char *digits = at + strcspn(at, "0123456789");
        sorted[n] = (struct row){at, n_bytes, strtoul(digits, NULL, 10), n};
        at += n_bytes;
    }
    if (n > 0)
        qsort(sorted, n, sizeof *sorted, by_number);
    for (size_t i = 0; i < n; i++)
        fwrite(sorted[i].text, 1, sorted[i].n_bytes, out);
    free(sorted);
}

void systems_markdown(const char *rows, FILE *out)
{
    fputs("# What is said of sockets, and what this machine does\n\n"
          "Made by `sonde lab all --markdown`. Verdicts and figures are those of the machine that it was run on, at "
          "that time; yours may differ, and `sonde lab NAME` shows why.\n\n"
          "## Claims\n\n"
          "| claim | as commonly stated | verdict here | evidence | experiment |\n"
          "| --- | --- | --- | --- | --- |\n",
          out);
    put_sorted(rows, out);
    fputs("\n## Systems\n\n"
          "| system | what it is | run it |\n"
          "| --- | --- | --- |\n",
          out);
    for (const struct lab_system *system = lab_systems; system->id; system++)
        put_system(system, out);
    fputs("\n## Not measurable here\n\n", out);
    for (size_t i = 0; lab_not_measurable[i]; i++)
        fprintf(out, "- %s\n", lab_not_measurable[i]);
}
