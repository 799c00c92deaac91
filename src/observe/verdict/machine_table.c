/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

const struct machine_verdict *const machine_verdicts[] = {
    &machine_time_wait_limit,
    &machine_ports_running_out,
    NULL,
};
