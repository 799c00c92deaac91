/* SPDX-License-Identifier: MIT */
#include "trace/clock.h"

#include "observe/event/event.h"

#define STEP_NS NS_PER_S               /* from here on a stamp that runs backwards is a clock that was set */
#define SAMPLE_STEP_NS (5 * NS_PER_MS) /* clocks drift apart by less than that between two samples */
#define SLACK_NS (1 * NS_PER_MS)       /* reading two clocks takes time */

void capture_clock_init(struct capture_clock *clock, bool live)
{
    *clock = (struct capture_clock){.live = live};
}

bool capture_clock_sample(struct capture_clock *clock, int64_t realtime_ns, int64_t monotonic_ns)
{
    int64_t offset_ns = realtime_ns - monotonic_ns, moved_ns = offset_ns - clock->offset_ns;
    bool first = !clock->started;
    bool stepped = !first && (moved_ns > SAMPLE_STEP_NS || moved_ns < -SAMPLE_STEP_NS);
    clock->offset_before_ns = first || !stepped ? offset_ns : clock->offset_ns;
    clock->offset_ns = offset_ns;
    clock->started = true;
    if (stepped) {
        clock->n_steps++;
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

int64_t capture_clock_convert(struct capture_clock *clock, int64_t realtime_ns, int64_t now_ns)
{
    int64_t t_ns = clock->live ? convert_live(clock, realtime_ns, now_ns) : realtime_ns - clock->offset_ns;
    if (!clock->live && !clock->started) {
        clock->started = true;
        clock->last_ns = t_ns;
    }
    if (t_ns >= clock->last_ns) {
        clock->last_ns = t_ns;
        return t_ns;
    }
    clock->n_backwards++;
    if (!clock->live && clock->last_ns - t_ns >= STEP_NS) {
        clock->n_steps++;
        clock->step_ns = t_ns - clock->last_ns;
        clock->offset_ns += clock->step_ns;
    }
    return clock->last_ns;
}
