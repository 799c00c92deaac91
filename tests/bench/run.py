#!/usr/bin/env python3
"""Measures sonde against other echo servers (messages, connections, memory, start-up), ss, tshark and tcpdump, its
wire against loopback, and what its page costs.

Build first: meson compile -C build && meson compile -C build bench-programs. Takes about 13 minutes, --quick about
two. Needs two cores that nothing else uses meanwhile, or --realtime, which takes them. Ends with status 1 if a server
failed, not if a target was missed: the report says which were.
"""

import argparse
import ctypes
import ctypes.util
import dataclasses
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

import across
import crowd
import measure
import page
import report
import see
import see_report
import transports

PEERS = ("bare_uring", "bare_epoll", "uv", "event", "ev")
EXTRA = ("idle", "start", "watch", "trace", "capture", "cost", "direct", "wire", "transports", "page")


def all_servers(options):
    serve = (options.sonde, "serve", "echo", "tcp://127.0.0.1:0", "--quiet", "--engine")
    servers = [
        measure.Server("sonde-uring", (*serve, "uring"), "meson compile"),
        measure.Server("sonde-epoll", (*serve, "epoll"), "meson compile"),
    ]
    for peer in PEERS:
        path = os.path.join(options.programs, f"peer-{peer}")
        servers.append(measure.Server(peer, (path, "0"), "its library is missing, or bench-programs was not built"))
    return servers


def available(servers, names):
    found = []
    for server in servers:
        if names and server.name not in names:
            continue
        if shutil.which(server.command[0]):
            found.append(server)
        else:
            say(f"{server.name}: no {server.command[0]} ({server.about}); going on without it")
    return found


def say(text):
    print(text, file=sys.stderr, flush=True)


def measure_workloads(bench, servers, workloads, options):
    """Round by round, so that whatever happens to the machine happens to all; and in turn, so that none is first.

    Many short samples, close together, tell more than a few long ones: a machine that others share changes within
    seconds. A sample that has to be dropped is taken again, once.
    """
    samples = []
    end = time.monotonic() + options.limit
    for number in range(options.rounds):
        for workload in workloads:
            first = number % len(servers)
            for server in servers[first:] + servers[:first]:
                for _ in range(2):
                    if time.monotonic() > end:
                        say(f"{options.limit} s are over: ending in round {number + 1} of {options.rounds}")
                        return samples
                    samples.append(measure.take(bench, server, workload, number))
                    say(describe(samples[-1], options.rounds))
                    if not samples[-1].dropped:
                        break
    return samples


def describe(sample, rounds):
    head = f"{sample.round + 1}/{rounds} {sample.workload:9} {sample.server:11}"
    if "rate" not in sample.result:
        return f"{head} {sample.dropped}: {sample.result['error']}"
    result = sample.result
    text = f"{head} {sample.state:4} {result['rate']:11,.0f}/s {result['server_cpu_us']:7.2f} us CPU"
    return text + (f"  dropped: {sample.dropped}" if sample.dropped else "")


def measure_idle(bench, servers, connections):
    found = {}
    for server in servers:
        try:
            found[server.name], counted = measure.idle_bytes(bench, server, connections)
            say(f"idle {server.name}: {found[server.name]:.0f} B per connection, of {counted:,}")
        except (measure.Failed, measure.Unavailable) as error:
            say(f"idle {server.name}: {error}")
    return found


def measure_start(sonde, count):
    """Beside sonde a program that does nothing: that is what starting a process costs here."""
    found = {}
    for name, command in (("sonde version", [sonde, "version"]), ("true", [shutil.which("true") or "true"])):
        try:
            found[name] = measure.start_times(command, count)
            say(f"start {name}: {statistics.median(found[name]):.2f} ms")
        except (measure.Failed, measure.Unavailable) as error:
            say(f"start {name}: {error}")
    return found if "sonde version" in found else {}


def measure_seeing(bench, options):
    """What shows sockets and packets; each measure is bounded by itself."""
    found = see.Found()
    quick = options.quick
    if "watch" in options.only:
        sizes = (10000,) if quick else (10000, 100000)
        found.runs += see.watch(bench, options.sonde, sizes, 3 if quick else 7, 30 if quick else 120, say)
    if "trace" in options.only:
        packets, rounds, limit = (100000, 3, 30) if quick else (1000000, 5, 180)
        samples, found.capture_bytes = see.trace(bench, options.sonde, packets, rounds, limit, say)
        found.runs += samples
    if "capture" in options.only:
        server = next(server for server in all_servers(options) if server.name == "bare_epoll")
        seconds, rounds = (1, 1) if quick else (5, 3)
        found.runs += see.capture(bench, options.sonde, server, seconds, rounds, say)
    if "cost" in options.only:
        found.runs += see.cost(bench, options.sonde, 3 if quick else 8, say)
    return found


def measure_direct(bench, options):
    try:
        return crowd.take(bench, options.sonde, options.quick, say)
    except (measure.Failed, measure.Unavailable) as error:
        say(f"direct: {error}")
        return crowd.Found(0, 1)


def library_versions():
    def call(library, function, result):
        name = ctypes.util.find_library(library)
        if not name:
            return None
        function = getattr(ctypes.CDLL(name), function)
        function.restype = result
        return function()

    versions = []
    for library, function in (("uv", "uv_version_string"), ("event_core", "event_get_version")):
        version = call(library, function, ctypes.c_char_p)
        if version:
            versions.append(f"lib{library.split('_')[0]} {version.decode()}")
    if ctypes.util.find_library("ev"):
        major, minor = (call("ev", f"ev_version_{part}", ctypes.c_int) for part in ("major", "minor"))
        versions.append(f"libev {major}.{minor}")
    liburing = subprocess.run(["pkg-config", "--modversion", "liburing"], capture_output=True, text=True)
    if liburing.returncode == 0:
        versions.append(f"liburing {liburing.stdout.strip()}")
    return ", ".join(versions)


def build_options(sonde):
    """How sonde was built, if it lies in a build folder."""
    path = os.path.join(os.path.dirname(os.path.abspath(sonde)), "meson-info", "intro-buildoptions.json")
    try:
        with open(path, encoding="utf-8") as file:
            values = {option["name"]: option["value"] for option in json.load(file)}
    except (OSError, ValueError):
        return "unknown"
    if values.get("b_sanitize", "none") != "none" or values.get("optimization") in ("0", "g"):
        say("warning: sonde is built for debugging; its figures mean nothing")
    shown = (("optimization", "optimization"), ("sanitizers", "b_sanitize"), ("LTO", "b_lto"))
    return ", ".join(f"{name} {values.get(key)}" for name, key in shown)


def read_first(path, prefix=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith(prefix):
                    return line[len(prefix) :].strip(" \t:\n")
    except OSError:
        pass
    return "unknown"


def conditions(options):
    return [
        ("date", datetime.date.today().isoformat()),
        ("CPU", f"{read_first('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores"),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("congestion control", read_first("/proc/sys/net/ipv4/tcp_congestion_control")),
        ("libraries", library_versions()),
        ("build", build_options(options.sonde)),
        ("samples of", f"{options.seconds} s after {options.warmup} s of warm-up"),
        ("scheduling", "real-time priority" if options.realtime else "normal"),
        ("load average before", " ".join(f"{load:.2f}" for load in options.load_before)),
    ]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [workload.name for workload in measure.WORKLOADS] + list(EXTRA)
    parser.add_argument("--sonde", default="build/sonde", metavar="PATH")
    parser.add_argument("--programs", default="build/tests/bench", metavar="DIR", help="where load, c2c and peers are")
    parser.add_argument("--rounds", type=int, help="default 16")
    parser.add_argument("--seconds", type=float, help="of each sample, default 0.3")
    parser.add_argument("--warmup", type=float, help="seconds before each sample, default 0.1")
    parser.add_argument("--limit", type=int, metavar="S", help="begin no more samples after S seconds, default 420")
    parser.add_argument("--quick", action="store_true", help="few, short rounds: shows that all works, little more")
    parser.add_argument("--only", metavar="LIST", help=f"workloads, separated by commas: {', '.join(names)}")
    parser.add_argument("--servers", metavar="LIST", help=f"sonde-uring, sonde-epoll, {', '.join(PEERS)}")
    parser.add_argument("--idle-connections", type=int, default=10000, metavar="N")
    parser.add_argument("--starts", type=int, default=50, metavar="N")
    parser.add_argument("--server-cpu", type=int, default=0, metavar="N")
    parser.add_argument("--load-cpu", type=int, default=1, metavar="N")
    parser.add_argument("--far-ns", type=float, default=200, metavar="NS", help="where near ends and far begins")
    parser.add_argument("--realtime", action="store_true",
                        help="run server and load ahead of all other processes: for a machine that isn't idle (root)")
    parser.add_argument("--write", metavar="FILE", help="write the report there, as Markdown")
    parser.add_argument("--samples", metavar="FILE", help="write every sample there, as lines of JSON")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 16)
    options.seconds = options.seconds or (0.15 if options.quick else 0.3)
    options.warmup = (0.05 if options.quick else 0.1) if options.warmup is None else options.warmup
    options.limit = options.limit or (50 if options.quick else 420)
    options.only = options.only.split(",") if options.only else names
    options.servers = options.servers.split(",") if options.servers else []
    for name in options.only:
        if name not in names:
            parser.error(f"no workload '{name}'")
    for name in options.servers:
        if name not in ("sonde-uring", "sonde-epoll", *PEERS):
            parser.error(f"no server '{name}'")
    if not {options.server_cpu, options.load_cpu} <= os.sched_getaffinity(0) or options.server_cpu == options.load_cpu:
        parser.error("needs two processors to itself: --server-cpu and --load-cpu")
    options.sonde = os.path.abspath(options.sonde)
    options.load_before = os.getloadavg()
    return options


def main():
    options = parse_arguments()
    bench = measure.Bench(options.programs, options.server_cpu, options.load_cpu, options.seconds, options.warmup,
                          options.far_ns, options.realtime)  # fmt: skip
    for program in ("across", "load", "c2c", "crowd", "many", "paced", "packets", "took"):
        if not os.path.exists(bench.program(program)):
            sys.exit(f"run.py: no {bench.program(program)}: meson compile -C build bench-programs")
    if options.realtime:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(measure.REALTIME_PRIORITY))
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        except PermissionError:
            sys.exit("run.py: --realtime needs CAP_SYS_NICE")
    servers = available(all_servers(options), options.servers)
    if not servers:
        sys.exit("run.py: nothing to measure")
    workloads = [workload for workload in measure.WORKLOADS if workload.name in options.only]

    # First: connections that have ended lie a minute in the kernel's table, which is searched for sockets to list.
    seen = measure_seeing(bench, options)
    samples = measure_workloads(bench, servers, workloads, options)
    idle = measure_idle(bench, servers, options.idle_connections) if "idle" in options.only else {}
    start = measure_start(options.sonde, options.starts) if "start" in options.only else {}

    direct = measure_direct(bench, options) if "direct" in options.only else None
    wire = across.take(bench, options.sonde, options.quick, say) if "wire" in options.only else None

    over = transports.take(bench, options.sonde, options.quick, say) if "transports" in options.only else None

    looked = page.take(bench, options.sonde, options.quick, say) if "page" in options.only else None

    names = [server.name for server in servers]
    peers = [name for name in names if name in PEERS]
    text = report.markdown(report.Results(samples), workloads, names, peers, idle, start,
                           conditions(options) + see_report.conditions(seen),
                           see_report.verdicts(seen) + crowd.verdicts(direct, report.Verdict)
                           + transports.verdicts(over, report.Verdict) + page.verdicts(looked, report.Verdict),
                           see_report.sections(seen) + crowd.section(direct) + across.section(wire)
                           + transports.section(over) + page.section(looked))  # fmt: skip
    if options.samples:
        with open(options.samples, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(dataclasses.asdict(sample)) + "\n" for sample in samples)
            file.writelines(json.dumps(sample) + "\n" for sample in see_report.as_dicts(seen))
    if options.write:
        with open(options.write, "w", encoding="utf-8") as file:
            file.write(text)
        say(f"written: {options.write}")
    print(text, end="")
    dropped = any(sample.dropped in ("failed", "errors") for sample in samples)
    failed = (seen.failed() or crowd.failed(direct) or across.failed(wire) or transports.failed(over)
              or page.failed(looked))  # fmt: skip
    return 1 if failed or dropped else 0


if __name__ == "__main__":
    sys.exit(main())
