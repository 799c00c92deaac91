/* SPDX-License-Identifier: MIT */
/*
 * What is said on a new connection before its stream opens: to a proxy, so that it connects on, and the PROXY
 * protocol's header (?proxy=v1). For connect.c.
 */
#ifndef NET_THROUGH_H
#define NET_THROUGH_H

#include "net/connect_internal.h"

/* To be called when the URL and the options are known: connecting->through is made, if anything is to be said, and
 * connecting->url becomes the proxy's address if there is one. Names that are to be looked up here are asked for. 0 or
 * an error, with detail where there is one (static); what was made goes with connecting. */
int through_prepare(struct connecting *connecting, const struct sonde_connect_options *options,
                    const char **ret_detail);

/* The connection stands. False: nothing is to be said. True: through_over follows, or the connecting is given up. */
bool through_begin(struct connecting *connecting);

/* In connect.c: all is said; or it has failed, and connecting->why says how. */
void through_over(struct connecting *connecting, int error);

/* Say in why which way it was that has failed, before that is told. */
void through_explain(struct connecting *connecting);

/* Nothing more will come of it; then, once the stream is closed or opens, it can be freed. */
void through_stop(struct connecting *connecting);
void through_free(struct connecting *connecting);

struct prologue *through_prologue(struct connecting *connecting);

#endif
