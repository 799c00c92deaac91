/* SPDX-License-Identifier: MIT */
/* The pattern of RFC 864. Pure. */
#ifndef SERVICE_CHARGEN_H
#define SERVICE_CHARGEN_H

#define CHARGEN_N_PRINTABLE 95 /* space to tilde */
#define CHARGEN_COLUMNS 72
#define CHARGEN_LINE_BYTES (CHARGEN_COLUMNS + 2)                        /* with CR LF */
#define CHARGEN_PERIOD_BYTES (CHARGEN_N_PRINTABLE * CHARGEN_LINE_BYTES) /* then it begins again */

/* Write one period: line n begins with the n-th printable character, and goes round. */
void chargen_fill(char ret_period[CHARGEN_PERIOD_BYTES]);

#endif
