/* SPDX-License-Identifier: MIT */
#include "fuzz_frame.h"

FUZZ_FRAME("delim:61", "delim:6161", "delim:0d0a0d0a", "delim:61616162", "delim:000102030405060708090a0b0c0d0e0f");
