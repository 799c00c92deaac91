"""What see.py found, as verdicts and as Markdown."""

import dataclasses
import statistics

import measure
import report
import see

# What is compared, with which peer, and the largest ratio of times that is good enough.
PAIRS = {
    "watch": (
        ("sonde watch --once", "ss -tan", 0.5),
        ("sonde watch --once", "ss -tani", 0.5),
        ("sonde watch --once --json", "ss -tani", 0.5),
        ("sonde watch --once --owners", "ss -tanp", 0.1),
    ),
    "trace": (("sonde trace --summary", "tshark -z conv,tcp", 0.05),),
}

INTRODUCTION = """\
## How the rest is measured

One command at a time, on whatever processors it takes, its output into a file; `tests/bench/took.c` starts it and tells
time, processor time and peak memory. Commands that are compared take turns within each round; a ratio is of two runs
of one round, and *ratio* is the median of the rounds. A run counts only if it wrote as many lines as there are sockets
or conversations; one that waited for a processor for a tenth of its time was dropped, and made again once.

- **watch**: `tests/bench/many.c` holds so many connected TCP sockets, both ends of each pair, in a network namespace
  of their own; each has sent and received a message. `ss -tan` and `--once` show addresses, states and queues, `ss
  -tani` some of what TCP_INFO says and `--json` all of it; `ss -tanp` and `--owners` search `/proc` for the programs.
- **trace**: `tests/bench/packets.c` writes the capture, the same bytes each time: {conversations:,} conversations of
  requests and answers, from SYN to FIN or RST, 128 of them under way at a time, with timestamps, with checksums that
  are right, and in every eighth conversation with losses that SACK repairs. It lies in the page cache.
- **capture**: the load of 64 connections with messages of 64 bytes on an echo server (`bare_epoll`), alone and with a
  capture of its port beside it, which has no core of its own where there are only two. *sent* is what the loopback
  counted, of all rounds together, as are the next two columns; tcpdump's count of what was dropped on loopback has
  every packet twice.
- **--trace-json**: sonde's echo server with and without `--trace-json /dev/null`, segments included if capturing is
  permitted.
"""


def verdicts(found):
    """In the terms of report.Verdict."""
    result = []
    for kind, pairs in PAIRS.items():
        for name in found.measures(kind):
            count = f"{int(name.split()[1]):,} {'sockets' if kind == 'watch' else 'packets'}"
            for ours, theirs, limit in pairs:
                target = f"{count}: `{ours}` takes at most {limit:g} of the time of `{theirs}`"
                result.append(_verdict(target, found.ratios(name, ours, theirs, "seconds"), theirs, limit))
    return result


def _verdict(target, ratios, theirs, limit):
    if not ratios:
        return report.Verdict(target, "", None, "not measured")
    low, high = report.middle_half(ratios)
    middle = statistics.median(ratios)
    measured = f"{middle:.3f} x `{theirs}` ({low:.3f} to {high:.3f}, n = {len(ratios)})"
    return report.Verdict(target, "", middle <= limit if len(ratios) >= report.ENOUGH else None, measured)


def _ratio_text(found, name, command):
    """Sonde's ratio to each peer it is held against, for the row of sonde's command."""
    parts = []
    for ours, theirs, _ in PAIRS[name.split()[0]]:
        ratios = found.ratios(name, ours, theirs, "seconds")
        if ours == command and ratios:
            parts.append(f"{statistics.median(ratios):.3f} x `{theirs}`")
    return ", ".join(parts)


def _took_table(found, name, count, each):
    lines = [
        f"| command | ms | ratio | CPU ms | of it system | peak memory | per {each} | n |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for command in found.commands(name):
        kept = found.kept(name, command)
        if not kept:
            reasons = sorted({r.dropped for r in found.dropped() if (r.measure, r.command) == (name, command)})
            lines.append(f"| `{command}` | {', '.join(reasons)} | | | | | | 0 |")
            continue
        took = [s.result["seconds"] * 1e3 for s in kept]
        used = [(s.result["user"] + s.result["system"]) * 1e3 for s in kept]
        system = statistics.median(s.result["system"] for s in kept) * 1e3
        peak = statistics.median(s.result["peak_bytes"] for s in kept)
        lines.append(
            f"| `{command}` | {report.spread(took, '{:,.1f}'.format)} | {_ratio_text(found, name, command)} "
            f"| {statistics.median(used):,.1f} | {system:,.1f} | {peak / 1e6:,.1f} MB | {peak / count:,.0f} B "
            f"| {len(kept)} |"
        )
    return lines


def _capture_table(found):
    lines = [
        "| beside it | packets/s | messages/s | packets sent | seen | said to be dropped | s to end | n |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for command in found.commands("capture"):
        kept = [run.result for run in found.kept("capture", command)]
        if not kept:
            error = next(r.result["error"] for r in found.dropped() if (r.measure, r.command) == ("capture", command))
            lines.append(f"| `{command}` | {error.replace('|', '/')} | | | | | | 0 |")
            continue

        def total(key):
            values = [result.get(key) for result in kept]
            return "" if None in values else f"{sum(values):,}"

        ending = [result["ending_seconds"] for result in kept if "ending_seconds" in result]
        lines.append(
            f"| {command if command == 'nothing' else f'`{command}`'} "
            f"| {report.spread([r['packets_rate'] for r in kept], '{:,.0f}'.format)} "
            f"| {statistics.median(r['rate'] for r in kept):,.0f} | {total('packets')} | {total('seen')} "
            f"| {total('lost')} | {f'{statistics.median(ending):.2f}' if ending else ''} | {len(kept)} |"
        )
    return lines


def _cost_table(found):
    lines = [
        "| load | server | messages/s | with : without | server CPU us | n |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    titles = {workload.name: workload.title for workload in measure.WORKLOADS}
    for name in found.measures("cost"):
        plain = sorted(found.commands(name))[0]
        for command in sorted(found.commands(name)):
            kept = [run.result for run in found.kept(name, command)]
            if not kept:
                continue
            rates = report.spread([result["rate"] for result in kept], "{:,.0f}".format)
            ratios = found.ratios(name, command, plain, "rate") if command != plain else []
            ratio = f"{statistics.median(ratios):.3f}" if ratios else ""
            used = statistics.median(result["server_cpu_us"] for result in kept)
            lines.append(f"| {titles[name.split()[1]]} | `{command}` | {rates} | {ratio} | {used:.2f} | {len(kept)} |")
    return lines


def conditions(found):
    if not found.runs:
        return []
    reasons = {}
    for run in found.dropped():
        reasons[run.dropped] = reasons.get(run.dropped, 0) + 1
    dropped = ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items())) or "none"
    return [("compared with", see.versions()),
            ("runs of watch, trace, capture", f"{len(found.runs)}, of which dropped: {dropped}")]  # fmt: skip


def sections(found):
    """Lines of Markdown; none if nothing was measured."""
    if not found.runs:
        return []
    out = ["", INTRODUCTION.format(conversations=see.CONVERSATIONS).rstrip()]
    for name in found.measures("watch"):
        count = int(name.split()[1])
        out += ["", f"## watch: {count:,} sockets", "", *_took_table(found, name, count, "socket")]
    for name in found.measures("trace"):
        count = int(name.split()[1])
        title = f"## trace: {count:,} packets, {found.capture_bytes / 1e6:,.0f} MB"
        out += ["", title, "", *_took_table(found, name, count, "packet")]
    if found.measures("capture"):
        out += ["", "## capture: a load on loopback, and what is seen of it", "", *_capture_table(found)]
    if found.measures("cost"):
        out += ["", "## what --trace-json costs an echo server", "", *_cost_table(found)]
    return out


def as_dicts(found):
    """Every sample, for --samples."""
    return [dataclasses.asdict(run) for run in found.runs]
