"""From samples to figures: medians, ratios, the targets, and all of it as Markdown.

Figures of different machine states are never mixed. A ratio compares sonde with one peer round by round, both in the
same state, a few seconds apart; what counts is the median of the rounds.
"""

import dataclasses
import statistics

STATES = ("near", "far")
SONDE = "sonde-uring"
LIMIT = "bare_uring"
# A difference in p99 below what the generator's histogram can tell apart is none.
RESOLUTION = 1.01
# Rounds that a verdict about a ratio needs; single ones differ by ten percent and more.
ENOUGH = 5


@dataclasses.dataclass
class Verdict:
    target: str
    state: str
    met: object  # True, False, or None if it wasn't measured, or not often enough
    measured: str


class Results:
    def __init__(self, samples):
        self.samples = samples

    def kept(self, workload, server, state):
        return [s for s in self.samples
                if not s.dropped and (s.workload, s.server, s.state) == (workload, server, state)]  # fmt: skip

    def states(self):
        return [state for state in STATES if any(s.state == state and not s.dropped for s in self.samples)]

    def values(self, workload, server, state, key):
        return [s.result[key] for s in self.kept(workload, server, state)]

    def ratios(self, workload, peer, state, key):
        """Sonde's figure divided by the peer's, for each round that has both."""
        theirs = {s.round: s.result[key] for s in self.kept(workload, peer, state)}
        return [s.result[key] / theirs[s.round]
                for s in self.kept(workload, SONDE, state) if theirs.get(s.round)]  # fmt: skip

    def dropped(self):
        """How many samples were dropped, by reason."""
        reasons = {}
        for s in self.samples:
            if s.dropped:
                reasons[s.dropped] = reasons.get(s.dropped, 0) + 1
        return reasons


def _compared(results, target, workload, state, peers, key, good, pick):
    """A verdict about the ratio to the peer for which it is least favourable."""
    ratios = {peer: results.ratios(workload, peer, state, key) for peer in peers}
    medians = {peer: statistics.median(values) for peer, values in ratios.items() if values}
    if not medians:
        return Verdict(target, state, None, "not measured")
    worst = pick(medians, key=medians.get)
    low, high = middle_half(ratios[worst])
    measured = f"{medians[worst]:.3f} x {worst} ({low:.3f} to {high:.3f}, n = {len(ratios[worst])})"
    met = good(medians[worst]) if len(ratios[worst]) >= ENOUGH else None
    return Verdict(target, state, met, measured)


def middle_half(values):
    ordered = sorted(values)
    return ordered[len(ordered) // 4], ordered[len(ordered) * 3 // 4]


def _speed_verdicts(results, state, peers):
    def verdict(target, workload, against, key, good, pick):
        return _compared(results, target, workload, state, against, key, good, pick)

    rivals = [peer for peer in peers if peer != LIMIT]
    for workload, n in (("c64", "64"), ("c1000", "1,000")):
        yield verdict(f"{n} connections: CPU per message within 3 % of {LIMIT}",
                      workload, [LIMIT], "server_cpu_us", lambda r: r <= 1.03, max)  # fmt: skip
        yield verdict(f"{n} connections: messages/s within 3 % of {LIMIT}",
                      workload, [LIMIT], "rate", lambda r: r >= 0.97, min)  # fmt: skip
        yield verdict(f"{n} connections: messages/s not behind any other peer",
                      workload, rivals, "rate", lambda r: r >= 1.0, min)  # fmt: skip
        yield verdict(f"{n} connections: p99 no worse than the best peer's",
                      workload, peers, "p99_us", lambda r: r <= RESOLUTION, max)  # fmt: skip
    yield verdict("64 connections: at least 1.08 x bare_epoll in messages/s",
                  "c64", ["bare_epoll"], "rate", lambda r: r >= 1.08, min)  # fmt: skip
    yield verdict("1 connection: messages/s within 3 % of the best peer",
                  "one", peers, "rate", lambda r: r >= 0.97, min)  # fmt: skip
    yield verdict("connecting: CPU per connection not above any peer's",
                  "connect", peers, "server_cpu_us", lambda r: r <= 1.0, max)  # fmt: skip


def verdicts(results, peers, idle, start):
    """`idle` maps servers to bytes per connection, `start` are the milliseconds of sonde version, or None."""
    found = []
    for state in results.states() or ([""] if results.samples else []):
        found += _speed_verdicts(results, state, peers)
    target = "at most 256 B of user-space memory per idle connection"
    if idle.get(SONDE) is None:
        found.append(Verdict(target, "", None, "not measured"))
    else:
        found.append(Verdict(target, "", idle[SONDE] <= 256, f"{idle[SONDE]:.0f} B"))
    target = "`sonde version` takes less than 5 ms"
    if not start:
        found.append(Verdict(target, "", None, "not measured"))
    else:
        found.append(Verdict(target, "", statistics.median(start) < 5, f"{statistics.median(start):.1f} ms"))
    return found


def _count(value):
    return f"{value:,.0f}"


def spread(values, form):
    """Median with the lowest and the highest."""
    return f"{form(statistics.median(values))} ({form(min(values))} to {form(max(values))})"


def _workload_table(results, workload, servers, state):
    lines = [
        f"| server | {workload.unit}/s | sonde : it | server CPU us | sonde : it | p50 us | p99 us | p99.9 us "
        "| load busy | n |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for server in servers:
        kept = results.kept(workload.name, server, state)
        if not kept:
            continue

        def values(key):
            return results.values(workload.name, server, state, key)

        def ratio(key):
            found = results.ratios(workload.name, server, state, key)
            return f"{statistics.median(found):.3f}" if found and server != SONDE else ""

        def median(key, form="{:.0f}"):
            return form.format(statistics.median(values(key)))

        lines.append(
            f"| {server} | {spread(values('rate'), _count)} | {ratio('rate')} "
            f"| {spread(values('server_cpu_us'), '{:.2f}'.format)} | {ratio('server_cpu_us')} "
            f"| {median('p50_us')} | {median('p99_us')} | {median('p999_us')} "
            f"| {median('own_cpu_share', '{:.0%}')} | {len(kept)} |"
        )
    return lines if len(lines) > 2 else []


def _verdict_table(found):
    words = {True: "met", False: "**not met**", None: "undecided"}
    lines = ["| target | state | measured | |", "| --- | --- | --- | --- |"]
    lines += [f"| {v.target} | {v.state} | {v.measured} | {words[v.met]} |" for v in found]
    return lines


def _conditions(results, conditions):
    lines = ["| | |", "| --- | --- |"] + [f"| {name} | {value} |" for name, value in conditions]
    for state in results.states():
        probes = [ns for s in results.samples if not s.dropped and s.state == state for ns in s.c2c_ns]
        lines.append(f"| cores, {state} | round trip of a cache line {min(probes):.0f} to {max(probes):.0f} ns |")
    dropped = ", ".join(f"{n} {reason}" for reason, n in sorted(results.dropped().items())) or "none"
    lines.append(f"| samples | {len(results.samples)}, of which dropped: {dropped} |")
    return lines


INTRODUCTION = """\
# Performance

Written by `tests/bench/run.py --write`; don't edit. All servers echo over TCP on loopback, one thread each, pinned to
one core; the load generator (`tests/bench/load.c`, io_uring) is pinned to another. Servers take turns within each
round, in rotating order. Figures are medians, with the lowest and the highest in brackets; *n* is the number of
samples. *sonde : it* is the median ratio of sonde's figure (engine uring) to that server's, of samples from the same
round; in the column of CPU time less than 1 is good. *load busy* is how much of its core the generator used: near
100 % it has a part in what the rate is, and the server's CPU time per message is the figure to look at.

The peers in `tests/bench/peers` are tuned programs, not the libraries' examples. `bare_uring` and `bare_epoll` use
the system's interfaces with as little as possible in between and are what sonde is measured against.

Machines with several virtual cores may have two speeds, by how far apart the cores are at the moment: *near* and
*far*. They are told apart by measuring the round trip of a cache line before and after each sample, and are never
mixed. Samples in which this changed, or in which something else used the processors, were dropped.
"""

TARGETS = """\
Each line is about the peer for which it is least favourable: the median of sonde's figure divided by that peer's, in
brackets the middle half of the rounds. Fewer than five rounds leave it undecided.
"""


def markdown(results, workloads, servers, peers, idle, start, conditions, more_verdicts=(), more_sections=()):
    """The whole document; `more` is what is measured beside servers."""
    out = [INTRODUCTION, "## Conditions", "", *_conditions(results, conditions)]
    if SONDE in servers:
        found = verdicts(results, peers, idle, start and start["sonde version"]) + list(more_verdicts)
        out += ["", "## Targets", "", TARGETS, *_verdict_table(found)]
    for workload in workloads:
        for state in results.states():
            table = _workload_table(results, workload, servers, state)
            if table:
                out += ["", f"## {workload.title}, {state}", "", *table]
    if idle:
        out += ["", "## Idle connections", "", "| server | user-space bytes per connection |", "| --- | --- |"]
        out += [f"| {server} | {value:,.0f} |" for server, value in idle.items()]
    if start:
        out += ["", "## Start to end", "", "| command | ms |", "| --- | --- |"]
        out += [f"| `{name}` | {spread(times, '{:.2f}'.format)} |" for name, times in start.items()]
    return "\n".join([*out, *more_sections]) + "\n"
