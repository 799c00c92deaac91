/* SPDX-License-Identifier: MIT */
/* The parts of the experiment "addresses". */
#ifndef LAB_SOCKETS_ADDRESSES_INTERNAL_H
#define LAB_SOCKETS_ADDRESSES_INTERNAL_H

#include "lab/lab.h"

/* Each struct's fields with the bytes of a real one; C30 and C65. */
void addresses_layout(struct lab *lab);
/* Host and network order in memory. */
void addresses_order(struct lab *lab);
/* Text to binary and back, with the traps; and the reader's own address. */
void addresses_text(struct lab *lab);
void addresses_given(struct lab *lab, const char *given);
/* The types' sizes and signs; C31 and C66. */
void addresses_types(struct lab *lab);
/* C16, and C15 with what was on the wire meanwhile. */
void addresses_any(struct lab *lab);

#endif
