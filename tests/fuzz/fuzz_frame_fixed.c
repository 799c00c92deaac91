/* SPDX-License-Identifier: MIT */
#include "fuzz_frame.h"

FUZZ_FRAME("fixed:1", "fixed:7", "fixed:32");
