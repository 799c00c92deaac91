/* SPDX-License-Identifier: MIT */
/* The rules' words and values, read and written: for the files beside it. */
#ifndef WIRE_RULES_INTERNAL_H
#define WIRE_RULES_INTERNAL_H

#include "wire/rules.h"

#define DELAY_MAX_NS (3600 * NS_PER_S)
#define WINDOW_MAX_NS (1000 * 3600 * NS_PER_S)
#define RATE_MAX UINT64_C(1000000000000) /* bit/s */
#define QUEUE_BYTES_MAX (UINT64_C(1) << 40)
#define QUEUE_PACKETS_MAX (1u << 20)
#define QUEUE_PACKETS_DEFAULT 1000
#define MTU_LEAST 68 /* RFC 791 */
#define MTU_MOST 65535
#define PPM_ALL 1000000

#define RULE_WORD_SIZE 24

/* A clause being read. What is wrong with it is said once: the first time. */
struct scan {
    const char *at, *end;
    char detail[192]; /* "": nothing is wrong */
};

/* Always false, so that a reader can end with it. */
bool scan_refuse(struct scan *scan, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Is there anything more? Blanks are not. */
bool scan_more(struct scan *scan);
bool scan_at_number(struct scan *scan);
/* These exact bytes, if they come next. */
bool scan_take(struct scan *scan, const char *bytes);
/* The word that comes next: letters first, digits, '-', '_' and '+' later. False: none does, or it is too long for any
 * that is known. */
bool scan_word(struct scan *scan, char ret_word[RULE_WORD_SIZE]);

/* Values with their units, a blank between them or none. False: refused. */
bool scan_duration(struct scan *scan, int64_t most_ns, int64_t *ret_ns);
bool scan_share(struct scan *scan, uint32_t *ret_ppm);
bool scan_rate(struct scan *scan, uint64_t *ret_bits_per_s);
bool scan_count(struct scan *scan, const char *of, uint64_t least, uint64_t most, uint64_t *ret_count);
/* A size, a time or a number of packets: one of the three is set. */
bool scan_queue(struct scan *scan, struct wire_rule *rule);

/* ---- words */

bool words_equal(const char *one, const char *other); /* in either case */
/* "syn-ack". */
const char *kind_word(enum wire_kind kind);
bool kind_find(const char *word, enum wire_kind *ret_kind);
/* The one of the language's words, of those that begin a clause or of those that stand behind, that this is near to;
 * NULL: none is. */
enum near_words { NEAR_VERBS, NEAR_BEHIND };
const char *near_word(const char *word, enum near_words which);

/* Drop, duplicate, reorder and corrupt choose packets; the others are for all of them. */
static inline bool action_chooses(unsigned action)
{
    return action == WIRE_DROP || action == WIRE_DUPLICATE || action == WIRE_REORDER || action == WIRE_CORRUPT;
}

#endif
