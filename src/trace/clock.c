/* SPDX-License-Identifier: MIT */
#include "trace/clock.h"

#include "observe/event/event.h"

#define STEP_NS NS_PER_S /* from here on a stamp that runs backwards is a clock that was set */
#define FORWARD_STEP_NS (365 * 24 * 3600 * NS_PER_S) /* nobody waits so long for the next packet */
#define REALTIME_LEAST_NS (-(INT64_C(1) << 61))      /* 1896: offsets cannot overflow */
#define SAMPLE_STEP_NS (5 * NS_PER_MS)               /* clocks drift apart by less than that between two samples */
#define UNDER_WAY_NS NS_PER_S    /* for so long packets may still come that were stamped before a step */
#define SLACK_NS (1 * NS_PER_MS) /* reading two clocks takes time */

void capture_clock_init(struct capture_clock *clock, bool live)
{
    *clock = (struct capture_clock){.live = live};
}

bool capture_clock_sample(struct capture_clock *clock, int64_t realtime_ns, int64_t monotonic_ns)
{
    int64_t offset_ns = realtime_ns - monotonic_ns, moved_ns = offset_ns - clock->offset_ns;
    bool first = !clock->started;
    bool stepped = !first && (moved_ns > SAMPLE_STEP_NS || moved_ns < -SAMPLE_STEP_NS);
    if (stepped)
        clock->offset_before_ns = clock->offset_ns;
    else if (first || clock->n_steps == 0 || monotonic_ns - clock->stepped_ns >= UNDER_WAY_NS)
        clock->offset_before_ns = offset_ns;
    clock->offset_ns = offset_ns;
    clock->started = true;
    if (stepped) {
        clock->n_steps++;
        clock->stepped_ns = monotonic_ns;
        clock->step_ns = moved_ns;
    }
    return stepped;
}

static int64_t convert_live(const struct capture_clock *clock, int64_t realtime_ns, int64_t now_ns)
{
    int64_t t_ns = realtime_ns - clock->offset_ns, before_ns = realtime_ns - clock->offset_before_ns;
    bool fits = t_ns >= clock->last_ns - SLACK_NS && t_ns <= now_ns + SLACK_NS;
    bool before_fits = before_ns >= clock->last_ns - SLACK_NS && before_ns <= now_ns + SLACK_NS;
    if (!fits && before_fits)
        t_ns = before_ns;
    return t_ns > now_ns ? now_ns : t_ns;
}

/* The span of a file's times is bounded, so that whoever subtracts two of them need not think of overflow; and none is
 * 0, which stands for "not seen". */
static void start_file(struct capture_clock *clock, int64_t realtime_ns)
{
    clock->started = true;
    clock->last_ns = realtime_ns;
    if (realtime_ns < CAPTURE_TIME_FIRST_NS)
        clock->last_ns = CAPTURE_TIME_FIRST_NS;
    if (realtime_ns > CAPTURE_TIME_MAX_NS)
        clock->last_ns = CAPTURE_TIME_MAX_NS;
    clock->offset_ns = realtime_ns - clock->last_ns;
    clock->most_ns = clock->last_ns + CAPTURE_SPAN_MAX_NS;
}

static int64_t convert_file(struct capture_clock *clock, int64_t realtime_ns)
{
    int64_t last_ns = clock->last_ns, expected_ns = last_ns + clock->offset_ns, moved_ns;
    if (__builtin_sub_overflow(realtime_ns, expected_ns, &moved_ns))
        moved_ns = realtime_ns < expected_ns ? INT64_MIN : INT64_MAX;
    clock->n_backwards += moved_ns < 0;
    if (moved_ns <= -STEP_NS || moved_ns >= FORWARD_STEP_NS || moved_ns > clock->most_ns - last_ns) {
        clock->n_steps++;
        clock->step_ns = moved_ns;
        clock->offset_ns = realtime_ns - last_ns;
    } else if (moved_ns > 0) {
        clock->last_ns += moved_ns;
    }
    return clock->last_ns;
}

int64_t capture_clock_convert(struct capture_clock *clock, int64_t realtime_ns, int64_t now_ns)
{
    if (!clock->live) {
        realtime_ns = realtime_ns < REALTIME_LEAST_NS ? REALTIME_LEAST_NS : realtime_ns;
        if (!clock->started)
            start_file(clock, realtime_ns);
        return convert_file(clock, realtime_ns);
    }
    int64_t t_ns = convert_live(clock, realtime_ns, now_ns);
    clock->n_backwards += t_ns < clock->last_ns;
    if (t_ns > clock->last_ns)
        clock->last_ns = t_ns;
    return clock->last_ns;
}
