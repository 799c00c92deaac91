"""What the wire adds: round trips and throughput between two programs on loopback, and at the ends of a wire."""

import dataclasses
import json
import os
import socket
import statistics
import subprocess
import time

import measure

PORT = 7007
DELAYS_MS = (5, 50)
LIMIT_SECONDS = 60


@dataclasses.dataclass
class Found:
    loopback: list = dataclasses.field(default_factory=list)  # what each run printed
    wire: list = dataclasses.field(default_factory=list)
    delayed: dict = dataclasses.field(default_factory=dict)  # by ms each way
    start_ms: list = dataclasses.field(default_factory=list)
    error: str = ""

    def added_us(self):
        return [wire["median_us"] - plain["median_us"] for plain, wire in zip(self.loopback, self.wire)]


def _run(command):
    """The line of JSON that the client prints."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    if done.returncode != 0:
        raise measure.Failed(f"{' '.join(command[:3])}: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _on_loopback(program, count, seconds):
    port = str(_free_port())
    server = subprocess.Popen([program, "serve", port], stdin=subprocess.DEVNULL)
    try:
        return _run([program, "measure", "127.0.0.1", port, str(count), str(seconds)])
    finally:
        server.kill()
        server.wait()


def _on_wire(sonde, program, count, seconds, *options):
    command = [sonde, "wire", *options, "--", program, "serve", str(PORT)]
    return _run([*command, "---", program, "measure", "10.0.0.2", str(PORT), str(count), str(seconds)])


def take(bench, sonde, quick, say):
    """Each in turn, round by round: a machine that others share changes within seconds."""
    program, found = os.path.abspath(bench.program("across")), Found()
    count, seconds = (500, 0.3) if quick else (2000, 0.6)
    try:
        for _ in range(2 if quick else 5):
            found.loopback.append(_on_loopback(program, count, seconds))
            found.wire.append(_on_wire(sonde, program, count, seconds))
            for delay in DELAYS_MS:
                result = _on_wire(sonde, program, max(5, 100 // delay), 0, "--delay", f"{delay}ms")
                found.delayed.setdefault(delay, []).append(result)
            begin = time.monotonic()
            subprocess.run([sonde, "wire", "--", "true", "---", "true"], capture_output=True, timeout=LIMIT_SECONDS)
            found.start_ms.append((time.monotonic() - begin) * 1e3)
    except (measure.Failed, OSError, ValueError, subprocess.TimeoutExpired) as error:
        found.error = str(error)
        say(f"wire: {error}")
        return found
    say(f"wire: adds {statistics.median(found.added_us()):.0f} us to a round trip, "
        f"{statistics.median(r['bits_per_s'] for r in found.wire) / 1e6:,.0f} Mbit/s")  # fmt: skip
    return found


def failed(found):
    return found is not None and bool(found.error)


def _row(title, runs, shown):
    values = sorted(shown(run) for run in runs)
    return f"| {title} | {statistics.median(values):,.1f} ({values[0]:,.1f} to {values[-1]:,.1f}) | {len(values)} |"


def section(found):
    if found is None:
        return []
    lines = ["", "## The wire (`sonde wire`)", ""]
    if found.error or not found.wire:
        return lines + [f"Not measured: {found.error}"]
    added = sorted(found.added_us())
    lines += [
        "Two programs, `tests/bench/across.c`, at the ends of a wire, and on loopback before it in each round: one byte "
        "there and back, then as much as goes through. Medians of the rounds, with the lowest and the highest.",
        "",
        "| | | n |",
        "| --- | --- | --- |",
        _row("round trip on loopback, us", found.loopback, lambda run: run["median_us"]),
        _row("round trip across the wire, us", found.wire, lambda run: run["median_us"]),
        f"| added by the wire, us | {statistics.median(added):,.1f} ({added[0]:,.1f} to {added[-1]:,.1f}) "
        f"| {len(added)} |",
        _row("throughput across the wire, Mbit/s", found.wire, lambda run: run["bits_per_s"] / 1e6),
    ]
    for delay, runs in found.delayed.items():
        lines.append(_row(f"round trip with {delay} ms each way, ms", runs, lambda run: run["median_us"] / 1e3))
    lines.append(_row("`sonde wire -- true --- true`, start to end, ms", found.start_ms, lambda ms: ms))
    return lines
