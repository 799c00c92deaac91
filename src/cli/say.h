/* SPDX-License-Identifier: MIT */
/* What the command says to its user on standard error: whole sentences, translatable, never a peer's raw byte. */
#ifndef CLI_SAY_H
#define CLI_SAY_H

#include "term/translate.h"

#include <sonde/error.h>

enum exit_status { EXIT_DONE = 0, EXIT_NETWORK = 1, EXIT_MISUSE = 2, EXIT_INTERRUPTED = 130 };

/* "sonde: <sentence>\n" in one write. A failing standard error is ignored. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One sentence for a failure: what failed, on which address, why, what to try. `url` is the address as the user gave
 * it. Returns the exit status that fits: EXIT_MISUSE for addresses and options that are not understood, else
 * EXIT_NETWORK. */
enum exit_status say_why(const char *url, const struct sonde_why *why);

#endif
