"""Measuring what shows sockets and packets: watch beside ss, trace beside tshark and tcpdump, and what --trace costs.

Each run of a command is one sample; the commands that are compared take turns within a round, and a ratio is of one
round. They may use all processors. Sockets and traffic live in a network namespace that ends with the measure, so that
lists hold nothing else and nobody's packets are in between.
"""

import contextlib
import ctypes
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import measure

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
# A command's run is given up after so long; ss -p searches for minutes where there are very many sockets.
COMMAND_SECONDS = 120
CONVERSATIONS = 1000
# Of the time that a command was there: more than this waiting for a processor, and its time is somebody else's.
WAITED_LIMIT = 0.10
# Before and after a load, for a capture to be ready and to have read all.
SETTLE_SECONDS = 0.2


@dataclasses.dataclass
class Run:
    """One run of one command, or of one load."""

    measure: str  # "watch 10000", "trace 1000000", "capture", "cost one"
    command: str  # what it is called in the report
    round: int
    dropped: str = ""
    result: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Found:
    """All that was measured here; what is empty wasn't."""

    runs: list = dataclasses.field(default_factory=list)
    capture_bytes: int = 0

    def failed(self):
        return any(run.dropped == "failed" for run in self.runs)

    def measures(self, kind):
        """The measures of a kind, in their order: "watch 10000", "watch 100000"."""
        return [m for m in dict.fromkeys(run.measure for run in self.runs) if m.split()[0] == kind]

    def commands(self, name):
        return list(dict.fromkeys(run.command for run in self.runs if run.measure == name))

    def kept(self, name, command):
        return [run for run in self.runs if not run.dropped and (run.measure, run.command) == (name, command)]

    def ratios(self, name, ours, theirs, key):
        """Our figure divided by theirs, for each round that has both."""
        peers = {run.round: run.result[key] for run in self.kept(name, theirs)}
        return [run.result[key] / peers[run.round] for run in self.kept(name, ours) if peers.get(run.round)]

    def dropped(self):
        """What was dropped, all of it, by measure and command."""
        return [run for run in self.runs if run.dropped]


def _enter(namespaces):
    """Makes the calling process, a child before its exec, one of those namespaces; given as open files."""
    libc = ctypes.CDLL(None, use_errno=True)
    for file, kind in namespaces:
        if libc.setns(file, kind):
            raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def holding(bench, sockets):
    """So many TCP sockets in a namespace of their own, as (function that enters it, number of sockets)."""
    process = subprocess.Popen([bench.program("many"), str(sockets)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    namespaces = []
    try:
        said = re.match(r"READY (\d+) (\d+)", process.stdout.readline())
        if not said:
            raise measure.Unavailable(f"sockets to look at: {process.stderr.read().strip()[-300:]}")
        for name, kind in (("user", CLONE_NEWUSER), ("net", CLONE_NEWNET)):
            path = f"/proc/{said[1]}/ns/{name}"
            if os.stat(path).st_ino != os.stat(f"/proc/self/ns/{name}").st_ino:
                namespaces.append((os.open(path, os.O_RDONLY | os.O_CLOEXEC), kind))
        yield (lambda: _enter(namespaces)), int(said[2])
    finally:
        for file, _ in namespaces:
            os.close(file)
        process.stdin.close()
        process.wait()


def run_one(bench, name, title, number, command, enter=None, lines=0):
    """One run of a command, its output into a file; it has failed if fewer lines are in there than there must be."""
    sample = Run(name, title, number)
    with tempfile.NamedTemporaryFile() as output, tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run(
            [bench.program("took"), str(COMMAND_SECONDS), output.name, *command],
            stdout=subprocess.PIPE, stderr=errors, text=True, preexec_fn=lambda: bench.prepare(None, enter),
        )  # fmt: skip
        written = sum(chunk.count(b"\n") for chunk in iter(lambda: output.read(1 << 20), b""))
        errors.seek(0)
        said = errors.read().strip()[-300:]
    try:
        result = json.loads(done.stdout)
    except ValueError:
        result = {"status": -1}
    result["lines"] = written
    sample.result = result
    if result.get("late"):
        sample.dropped = f"gave up after {COMMAND_SECONDS} s"
    elif result["status"] or written < lines:
        sample.dropped = "failed"
        result["error"] = f"status {result['status']}, {written} lines of {lines}: {said}"
    elif result["waited"] > max(WAITED_LIMIT * result["seconds"], 0.002):
        sample.dropped = "disturbed"
    return sample


def in_turn(bench, name, commands, rounds, end, say, **more):
    """Samples of `commands`, a mapping from title to (arguments, lines expected). What is given up isn't run again."""
    samples, given_up = [], set()
    for number in range(rounds):
        titles = [title for title in commands if title not in given_up]
        first = number % len(commands)
        for title in titles[first:] + titles[:first]:
            for _ in range(2):
                if time.monotonic() > end:
                    say(f"{name}: time is over in round {number + 1} of {rounds}")
                    return samples
                arguments, lines = commands[title]
                sample = run_one(bench, name, title, number, arguments, lines=lines, **more)
                samples.append(sample)
                say(_describe(sample, rounds))
                if sample.dropped.startswith("gave up"):
                    given_up.add(title)
                if sample.dropped != "disturbed":
                    break
    return samples


def _describe(sample, rounds):
    head = f"{sample.round + 1}/{rounds} {sample.measure} {sample.command}:"
    result = sample.result
    if sample.dropped == "failed":
        return f"{head} failed: {result['error']}"
    used = result["user"] + result["system"]
    text = f"{head} {result['seconds']:.3f} s, CPU {used:.3f} s, {result['peak_bytes']:,} B"
    return text + (f"  dropped: {sample.dropped}" if sample.dropped else "")


# --- watch beside ss -------------------------------------------------------------------------------------------------


def watch(bench, sonde, sizes, rounds, limit, say):
    if not shutil.which("ss"):
        say("watch: no ss (iproute2); nothing to compare with")
        return []
    samples = []
    for size in sizes:
        try:
            with holding(bench, size) as (enter, count):
                once = (sonde, "watch", "--tcp", "--once")
                commands = {
                    "sonde watch --once": (once, count),
                    "ss -tan": (("ss", "-tan"), count),
                    "sonde watch --once --json": ((*once, "--json"), count),
                    "ss -tani": (("ss", "-tani"), 2 * count),
                    "sonde watch --once --owners": ((*once, "--owners"), count),
                    "ss -tanp": (("ss", "-tanp"), count),
                }
                end = time.monotonic() + limit
                samples += in_turn(bench, f"watch {count}", commands, rounds, end, say, enter=enter)
        except measure.Unavailable as error:
            say(f"watch {size}: {error}")
    return samples


# --- trace of a file beside tshark -----------------------------------------------------------------------------------


def trace(bench, sonde, packets, rounds, limit, say):
    """Samples, and how large the capture was. It is read once before, so that nobody waits for the disk."""
    if not shutil.which("tshark"):
        say("trace: no tshark; nothing to compare with")
        return [], 0
    with tempfile.TemporaryDirectory(prefix="sonde-bench-") as folder:
        path = os.path.join(folder, "capture.pcap")
        done = subprocess.run([bench.program("packets"), str(packets), str(CONVERSATIONS), path],
                              stderr=subprocess.PIPE, text=True)  # fmt: skip
        if done.returncode:
            say(f"trace: {done.stderr.strip()}")
            return [], 0
        with open(path, "rb") as file:
            while file.read(1 << 20):
                pass
        commands = {
            "sonde trace --summary": ((sonde, "trace", "-r", path, "--summary"), CONVERSATIONS),
            "tshark -z conv,tcp": (("tshark", "-r", path, "-q", "-z", "conv,tcp"), CONVERSATIONS),
        }
        end = time.monotonic() + limit
        samples = in_turn(bench, f"trace {packets}", commands, rounds, end, say)
        return samples, os.path.getsize(path)


# --- capturing beside a load -----------------------------------------------------------------------------------------


def _holds_packet_socket(pid):
    """Whether the process has opened a packet socket, and so is capturing."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/net/packet", encoding="ascii") as table:
            inodes = {line.split()[-1] for line in list(table)[1:]}
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found = re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))
                if found and found[1] in inodes:
                    return True
    return False


def _packets_on_loopback(pid):
    """How many packets the loopback of that process's namespace has carried; each is counted there once."""
    with open(f"/proc/{pid}/net/dev", encoding="ascii") as table:
        for line in table:
            if line.strip().startswith("lo:"):
                return int(line.split(":")[1].split()[1])
    return 0


def _said(text, *forms):
    """The first number that one of the forms finds."""
    for form in forms:
        found = re.search(form, text)
        if found:
            return int(found[1].replace(",", ""))
    return None


@contextlib.contextmanager
def capturing(bench, enter, command, ret_said):
    """A capture that runs by itself, wherever there is room; what it said at its end goes into `ret_said`."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                                   preexec_fn=lambda: bench.prepare(None, enter))  # fmt: skip
        try:
            end = time.monotonic() + measure.START_SECONDS
            while not _holds_packet_socket(process.pid):
                if process.poll() is not None or time.monotonic() > end:
                    errors.seek(0)
                    raise measure.Unavailable(f"{command[0]} does not capture: {errors.read().strip()[-300:]}")
                time.sleep(0.005)
            # The socket is there before its buffer and its filter are; and what is in the buffer is to be read.
            time.sleep(SETTLE_SECONDS)
            yield process.pid
            time.sleep(SETTLE_SECONDS)
            process.send_signal(signal.SIGINT)
            begin = time.monotonic()
            process.wait(COMMAND_SECONDS)
            ret_said["ending_seconds"] = time.monotonic() - begin
            errors.seek(0)
            ret_said["text"] = errors.read()
        finally:
            process.kill()
            process.wait()


def _one_capture(bench, enter, server, title, form, number):
    """The load alone, or with a capture beside it (form is a function from the port to the command)."""
    sample = Run("capture", title, number)
    workload = next(w for w in measure.WORKLOADS if w.name == "c64")
    said = {}
    try:
        with measure.running(bench, server, enter) as (pid, port):
            beside = capturing(bench, enter, form(port), said) if form else contextlib.nullcontext()
            with beside:
                before, begin = _packets_on_loopback(pid), time.monotonic()
                sample.result = measure.load(bench, pid, port, workload, enter)
                seconds = time.monotonic() - begin
                sample.result["packets_rate"] = (_packets_on_loopback(pid) - before) / seconds
            sample.result["packets"] = _packets_on_loopback(pid) - before
    except (measure.Failed, measure.Unavailable, subprocess.TimeoutExpired) as error:
        sample.dropped = "unavailable" if isinstance(error, measure.Unavailable) else "failed"
        sample.result["error"] = str(error)
        return sample
    if form:
        text = said["text"]
        sample.result["ending_seconds"] = said["ending_seconds"]
        sample.result["seen"] = _said(text, r"([\d,]+) packets? seen", r"([\d,]+) packets? captured")
        sample.result["lost"] = _said(text, r"([\d,]+) dropped", r"([\d,]+) packets? dropped by kernel")
    return sample


def capture(bench, sonde, server, seconds, rounds, say):
    """The load runs for longer here than elsewhere: buffers have to fill before anything is dropped."""
    forms = {
        "nothing": None,
        "sonde trace --summary": lambda port: (sonde, "trace", "-i", "lo", "--summary", f"tcp port {port}"),
        "sonde trace --json": lambda port: (sonde, "trace", "-i", "lo", "--json", f"tcp port {port}"),
        "tcpdump -w": lambda port: ("tcpdump", "-i", "lo", "-w", "/dev/null", f"tcp port {port}"),
    }
    if not shutil.which("tcpdump"):
        say("capture: no tcpdump; going on without it")
        del forms["tcpdump -w"]
    bench = dataclasses.replace(bench, seconds=seconds)
    samples = []
    try:
        with holding(bench, 0) as (enter, _):
            for number in range(rounds):
                for title, form in forms.items():
                    samples.append(_one_capture(bench, enter, server, title, form, number))
                    say(_describe_capture(samples[-1], rounds))
    except measure.Unavailable as error:
        say(f"capture: {error}")
    return samples


def _describe_capture(sample, rounds):
    head = f"{sample.round + 1}/{rounds} capture, {sample.command}:"
    result = sample.result
    if sample.dropped:
        return f"{head} {sample.dropped}: {result['error']}"
    text = f"{head} {result['packets_rate']:,.0f} packets/s"
    if "seen" in result:
        text += f", {result['packets']:,} sent, {result['seen']} seen, {result['lost']} dropped"
        text += f", {result['ending_seconds']:.2f} s to end"
    return text


# --- what --trace costs ----------------------------------------------------------------------------------------------


def cost(bench, sonde, rounds, say):
    """Echo servers without and with --trace-json, under the same load.

    Nothing is dropped because others used the processors: what traces is one of them, and is what is measured.
    """
    serve = (sonde, "serve", "echo", "tcp://127.0.0.1:0", "--quiet")
    servers = (
        measure.Server("serve echo", serve, ""),
        measure.Server("serve echo --trace-json", (*serve, "--trace-json", os.devnull), ""),
    )
    runs = []
    for number in range(rounds):
        for workload in (w for w in measure.WORKLOADS if w.name in ("one", "c64")):
            for server in servers if number % 2 else servers[::-1]:
                run = Run(f"cost {workload.name}", server.name, number)
                try:
                    with measure.running(bench, server) as (pid, port):
                        run.result = measure.load(bench, pid, port, workload)
                    said = f"{run.result['rate']:,.0f}/s"
                except (measure.Failed, measure.Unavailable, subprocess.TimeoutExpired) as error:
                    run.dropped, said = "failed", str(error)
                    run.result["error"] = said
                runs.append(run)
                say(f"{number + 1}/{rounds} cost, {workload.name}, {server.name}: {said}")
    return runs


# --- who was compared ------------------------------------------------------------------------------------------------


def versions():
    """The other programs' versions, as they say them."""
    found = []
    for command, form in (
        (("ss", "-V"), r"iproute2-?\s*(\S+)"),
        (("tshark", "--version"), r"TShark\D*(\d[\d.]*)"),
        (("tcpdump", "--version"), r"tcpdump version (\S+)"),
        (("tcpdump", "--version"), r"libpcap version (\S+)"),
    ):
        if shutil.which(command[0]):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            said = re.search(form, done.stdout)
            name = {"ss": "iproute2"}.get(command[0], command[0]) if "libpcap" not in form else "libpcap"
            found.append(f"{name} {said[1] if said else 'of unknown version'}")
    return ", ".join(found)
