/* SPDX-License-Identifier: MIT */
/* The experiments' descriptions, each from the file of its name. */
#ifndef LAB_TABLE_H
#define LAB_TABLE_H

#include "lab/lab.h"

/* Sockets */
/* Opening */
/* Data */
/* Trouble */
/* Closing */
/* Layers */

#endif
