/* SPDX-License-Identifier: MIT */
#include "fuzz_frame.h"

FUZZ_FRAME("len:0,1,be,0", "len:3,1,le,-4", "len:0,2,be,2", "len:5,3,le,0", "len:2,4,be,-6", "len:1,8,le,1");
