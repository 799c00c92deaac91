/* SPDX-License-Identifier: MIT */
/* The parts of the experiment "ports". */
#ifndef LAB_SOCKETS_PORTS_INTERNAL_H
#define LAB_SOCKETS_PORTS_INTERNAL_H

#include "lab/lab.h"

/* C27: which port numbers there are, who may have them, and who chooses. */
void ports_range(struct lab *lab);
/* C62: one port, several programs. */
void ports_shared(struct lab *lab);

#endif
