/* SPDX-License-Identifier: MIT */
#include "fuzz_frame.h"

FUZZ_FRAME("none");
