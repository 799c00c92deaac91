/* SPDX-License-Identifier: MIT */
/* All experiments, by chapter, in the order of reading. A new one is a file in its chapter's folder, a line in table.h
 * and a row here. */
#include "lab/table.h"

const struct experiment *const experiments[] = {
    /* Sockets */
    /* Opening */
    /* Data */
    /* Trouble */
    /* Closing */
    /* Layers */
    NULL,
};
