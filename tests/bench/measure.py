"""Taking samples: starting servers, running the load, probing the machine's state.

A sample is one server under one workload for a second or so. The server runs on one core and the load generator on
another, nothing else should run on either. Before and after, c2c measures how far apart the two cores are, because
that changes by itself on virtual machines and moves every result by tens of percent ("near" and "far"). A sample
during which it changed, or during which somebody else used the processors, is dropped, and counted as such.
"""

import contextlib
import dataclasses
import json
import os
import re
import resource
import signal
import subprocess
import tempfile
import time

START_SECONDS = 5
STOP_SECONDS = 5
# The share of the time that server and load, ready to run, may have waited because somebody else was running. Waking up
# takes some of it even when nobody is.
WAITED_LIMIT = 0.04
# Connections that are open, and have used every buffer of the server, before the idle ones are counted.
IDLE_WARM = 1000
IDLE_SPARE_FILES = 500
REALTIME_PRIORITY = 10


class Unavailable(Exception):
    """Something that was to be measured isn't there."""


class Failed(Exception):
    """A server or the load generator did not do what it should."""


@dataclasses.dataclass(frozen=True)
class Server:
    name: str
    command: tuple
    about: str


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    title: str
    unit: str
    arguments: tuple


WORKLOADS = (
    Workload("one", "1 connection x 64 B", "messages", ("--connections=1",)),
    Workload("c64", "64 connections x 64 B", "messages", ("--connections=64",)),
    Workload("c1000", "1,000 connections x 64 B", "messages", ("--connections=1000",)),
    Workload("large", "64 connections x 16 KiB", "messages", ("--connections=64", "--size=16384")),
    Workload("pipelined", "64 connections x 64 B, 16 on the way", "messages", ("--connections=64", "--depth=16")),
    Workload("connect", "connect, one message, close; 32 at a time", "connections",
             ("--mode=connect", "--connections=32", "--sources=16")),
)  # fmt: skip


@dataclasses.dataclass
class Bench:
    """Where things are, and how long to measure."""

    programs: str
    server_cpu: int
    load_cpu: int
    seconds: float
    warmup: float
    far_ns: float
    realtime: bool = False

    def prepare(self, cpu=None, enter=None):
        """What a child process does before it becomes the server, the load or c2c. `enter` takes it elsewhere first."""
        if enter:
            enter()
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
        if self.realtime:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REALTIME_PRIORITY))

    def program(self, *path):
        return os.path.join(self.programs, *path)

    def other_limit(self):
        """The share of one core that others may have used. The kernel counts in ticks, coarse for short windows."""
        return 0.06 + 0.03 / self.seconds


@dataclasses.dataclass
class Sample:
    server: str
    workload: str
    round: int
    state: str = ""
    dropped: str = ""  # the reason why it doesn't count
    c2c_ns: tuple = ()
    result: dict = dataclasses.field(default_factory=dict)


@contextlib.contextmanager
def running(bench, server, enter=None):
    """A running server, as (pid, port)."""
    with tempfile.TemporaryFile("w+") as output:
        try:
            process = subprocess.Popen(
                server.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=lambda: bench.prepare(bench.server_cpu, enter),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise Unavailable(f"{server.name}: {error}") from error
        try:
            yield process.pid, _wait_for_port(server, process, output)
        finally:
            _stop(process)


def _wait_for_port(server, process, output):
    """The port that the server says it listens on, or that it is found listening on if it says nothing."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        output.seek(0)
        said = re.search(r"\w+://127\.0\.0\.1:(\d+)", output.read())
        port = int(said.group(1)) if said else _listening_port(process.pid)
        if port:
            return port
        if process.poll() is not None:
            break
        time.sleep(0.002)
    output.seek(0)
    raise Failed(f"{server.name} did not start: {output.read().strip()[-300:] or process.poll()}")


def _listening_port(pid):
    sockets = set()
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            sockets.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        with open(f"/proc/{pid}/net/tcp", encoding="ascii") as table:
            for line in list(table)[1:]:
                field = line.split()
                if field[3] == "0A" and f"socket:[{field[9]}]" in sockets:
                    return int(field[1].split(":")[1], 16)
    return None


def _stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def core_distance(bench):
    """Nanoseconds of a cache line's round trip between the two cores."""
    command = [bench.program("c2c"), str(bench.server_cpu), str(bench.load_cpu)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, preexec_fn=bench.prepare)
    if done.returncode:
        raise Failed(f"c2c: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout)["median_ns"]


def load(bench, pid, port, workload, enter=None):
    """What the load generator tells of one run against the server at `port`."""
    command = [
        bench.program("load"),
        *workload.arguments,
        f"--seconds={bench.seconds}",
        f"--warmup={bench.warmup}",
        f"--cpu={bench.load_cpu}",
        f"--server-pid={pid}",
        str(port),
    ]
    limit = bench.seconds + bench.warmup + 60
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit,
                          preexec_fn=lambda: bench.prepare(None, enter))  # fmt: skip
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise Failed(f"load ended with {done.returncode}: {done.stderr.strip()[-300:]}") from None


def take(bench, server, workload, number):
    """One sample. What is wrong with it is said in `dropped`."""
    sample = Sample(server.name, workload.name, number)
    try:
        with running(bench, server) as (pid, port):
            before = core_distance(bench)
            sample.result = load(bench, pid, port, workload)
            after = core_distance(bench)
    except (Failed, subprocess.TimeoutExpired) as error:
        sample.dropped = "failed"
        sample.result = {"error": str(error)}
        return sample
    sample.c2c_ns = (before, after)
    sample.state = "near" if before < bench.far_ns else "far"
    if sample.result["errors"]:
        sample.dropped = "errors"
    elif (before < bench.far_ns) != (after < bench.far_ns):
        sample.dropped = "state changed"
    elif sample.result["waited_share"] > WAITED_LIMIT or sample.result["other_cpu_share"] > bench.other_limit():
        sample.dropped = "disturbed"
    elif sample.result["steal_share"] > bench.other_limit():
        sample.dropped = "stolen"
    return sample


def user_memory(pid):
    """Bytes of user-space memory that don't come from a file, of the process and its children."""
    total = 0
    with contextlib.suppress(OSError):
        # The same as RssAnon and RssShmem of /proc/PID/status, which are estimates on many kernels.
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            for line in rollup:
                if line.startswith(("Anonymous:", "Pss_Shmem:")):
                    total += int(line.split()[1]) * 1024
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as children:
                total += sum(user_memory(int(child)) for child in children.read().split())
    return total


@contextlib.contextmanager
def _holding(bench, port, connections, *arguments):
    """Idle connections, open and echoed."""
    process = subprocess.Popen(
        [bench.program("load"), "--mode=idle", f"--connections={connections}", "--sources=4", "--seconds=120",
         f"--cpu={bench.load_cpu}", *arguments, str(port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        if not line.startswith("READY"):
            raise Failed(f"load: {process.stderr.read().strip()[-300:]}")
        yield
    finally:
        process.stdin.close()
        process.wait()


def idle_bytes(bench, server, connections):
    """User-space bytes of one idle connection, and how many were counted.

    Counted are only connections beyond the first thousand. Those, each with some large messages, have made the server
    touch all that it has once, whatever the number of connections.
    """
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - IDLE_WARM - IDLE_SPARE_FILES
    connections = min(connections, room)
    if connections < 100:
        raise Unavailable("idle connections: the limit of open files is too low")
    with running(bench, server) as (pid, port):
        with _holding(bench, port, IDLE_WARM, "--exchanges=4", "--size=16384"):
            time.sleep(0.1)
            before = user_memory(pid)
            with _holding(bench, port, connections):
                time.sleep(0.2)
                return (user_memory(pid) - before) / connections, connections


def start_times(command, count):
    """Milliseconds from start to end of a command, `count` times."""
    times = []
    with open(os.devnull, "r+b") as null:
        files = [(os.POSIX_SPAWN_DUP2, null.fileno(), fd) for fd in (0, 1, 2)]
        for _ in range(count):
            begin = time.perf_counter()
            try:
                pid = os.posix_spawn(command[0], command, os.environ, file_actions=files)
            except OSError as error:
                raise Unavailable(f"{command[0]}: {error}") from error
            _, status = os.waitpid(pid, 0)
            times.append((time.perf_counter() - begin) * 1e3)
            if status:
                raise Failed(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return times
