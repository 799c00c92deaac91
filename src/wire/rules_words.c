/* SPDX-License-Identifier: MIT */
/* The words of the rules' language. */
#include "wire/rules_internal.h"

#include <string.h>
#include <strings.h>

#define N_ROWS(table) (sizeof(table) / sizeof((table)[0]))

static const char *const reason_names[N_WIRE_REASONS] = {
    [WIRE_PASSED] = "passed",         [WIRE_LOST] = "lost",           [WIRE_DROPPED] = "dropped",
    [WIRE_QUEUE_FULL] = "queue full", [WIRE_TOO_LARGE] = "too large", [WIRE_STOPPED] = "stopped",
    [WIRE_NO_ROOM] = "no room",
};

static const char *const kind_words[N_WIRE_KINDS] = {
    [WIRE_ANY] = "any", [WIRE_DATA] = "data", [WIRE_ACK] = "ack", [WIRE_SYN] = "syn",   [WIRE_SYN_ACK] = "syn-ack",
    [WIRE_FIN] = "fin", [WIRE_RST] = "rst",   [WIRE_UDP] = "udp", [WIRE_ICMP] = "icmp",
};

/* What people also write. */
static const struct {
    char word[8];
    uint8_t kind;
} kind_aliases[] = {
    {"all", WIRE_ANY},         {"acks", WIRE_ACK},        {"syns", WIRE_SYN},        {"synack", WIRE_SYN_ACK},
    {"syn_ack", WIRE_SYN_ACK}, {"syn+ack", WIRE_SYN_ACK}, {"syn-ack", WIRE_SYN_ACK}, {"fins", WIRE_FIN},
    {"rsts", WIRE_RST},        {"reset", WIRE_RST},       {"icmpv6", WIRE_ICMP},
};

static const char *const verb_words[] = {
    "delay", "loss", "drop", "duplicate", "reorder", "corrupt", "rate", "mtu", "stop",
};

static const char *const behind_words[] = {
    "jitter", "of", "by", "from", "to", "port", "every", "once", "always", "queue",
};

const char *wire_reason_name(enum wire_reason reason)
{
    return (unsigned)reason < N_WIRE_REASONS ? reason_names[reason] : "?";
}

bool words_equal(const char *one, const char *other)
{
    return strcasecmp(one, other) == 0;
}

const char *kind_word(enum wire_kind kind)
{
    return (unsigned)kind < N_WIRE_KINDS ? kind_words[kind] : "any";
}

bool kind_find(const char *word, enum wire_kind *ret_kind)
{
    for (unsigned i = 0; i < N_WIRE_KINDS; i++) {
        if (words_equal(word, kind_words[i])) {
            *ret_kind = (enum wire_kind)i;
            return true;
        }
    }
    for (size_t i = 0; i < N_ROWS(kind_aliases); i++) {
        if (words_equal(word, kind_aliases[i].word)) {
            *ret_kind = (enum wire_kind)kind_aliases[i].kind;
            return true;
        }
    }
    return false;
}

static unsigned lower(char byte)
{
    unsigned letter = (unsigned char)byte;
    return letter >= 'A' && letter <= 'Z' ? letter + ('a' - 'A') : letter;
}

/* Letters put in, left out or changed; two that changed places count as one. */
static unsigned distance(const char *from, const char *to)
{
    unsigned rows[3][RULE_WORD_SIZE];
    size_t n_from = strlen(from), n_to = strlen(to);

    for (size_t i = 0; i <= n_from; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n_to; j++) {
            if (i == 0) {
                row[j] = (unsigned)j;
                continue;
            }
            unsigned least = above[j - 1] + (lower(from[i - 1]) != lower(to[j - 1]));
            if (above[j] + 1 < least)
                least = above[j] + 1;
            if (row[j - 1] + 1 < least)
                least = row[j - 1] + 1;
            bool swapped =
                i > 1 && j > 1 && lower(from[i - 1]) == lower(to[j - 2]) && lower(from[i - 2]) == lower(to[j - 1]);
            if (swapped && before[j - 2] + 1 < least)
                least = before[j - 2] + 1;
            row[j] = least;
        }
    }
    return rows[n_from % 3][n_to];
}

static void try_word(const char *word, const char *candidate, unsigned *best, const char **near)
{
    size_t n = strlen(word);
    bool begins = n > 1 && strncasecmp(word, candidate, n) == 0;
    unsigned far = begins ? 0 : distance(word, candidate);

    if (far < *best) {
        *best = far;
        *near = candidate;
    }
}

const char *near_word(const char *word, enum near_words which)
{
    /* One letter in three may be wrong. */
    unsigned best = (unsigned)strlen(word) / 3 + 1;
    const char *near = NULL;

    for (size_t i = 0; which == NEAR_VERBS && i < N_ROWS(verb_words); i++)
        try_word(word, verb_words[i], &best, &near);
    for (size_t i = 0; which == NEAR_BEHIND && i < N_ROWS(behind_words); i++)
        try_word(word, behind_words[i], &best, &near);
    for (size_t i = 0; which == NEAR_BEHIND && i < N_WIRE_KINDS; i++)
        try_word(word, kind_words[i], &best, &near);
    return near;
}
