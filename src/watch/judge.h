/* SPDX-License-Identifier: MIT */
/* What is wrong with a socket: the case that the verdicts hear, put together from all that watch knows. Pure. */
#ifndef WATCH_JUDGE_H
#define WATCH_JUDGE_H

#include "watch/model.h"

struct judge {
    struct socket_counters counters, counters_first;
    int64_t counters_first_ns;
    const struct census *census;
};

struct judgement {
    const struct socket_verdict *verdict; /* NULL: it is well */
    enum verdict_weight weight;
    char brief[VERDICT_SHORT_MAX], text[VERDICT_TEXT_MAX];
};

/* past may be NULL: it was seen once, just now. program is escaped, NULL when not known. */
void judge_socket(const struct judge *judge, const struct socket_info *socket, const struct socket_past *past,
                  int64_t now_ns, const char *program, int32_t pid, struct judgement *ret_judgement);

/* Judge it, and keep the result in its row. */
void judge_row(const struct judge *judge, const struct socket_info *socket, const struct track *track, int64_t now_ns,
               struct row *row);
void row_set_verdict(struct row *row, const struct judgement *judgement);

/* Can anything be wrong with it? Of an open connection on which nothing waits and no timer runs nothing is known that
 * is worth asking for more. */
bool row_is_suspect(const struct row *row);

/* The heaviest of the machine's verdicts. ret_brief: NULL: not wanted. */
enum verdict_weight judge_machine(const struct judge *judge, char ret_brief[VERDICT_SHORT_MAX],
                                  char ret_text[VERDICT_TEXT_MAX]);

#endif
