# SPDX-License-Identifier: MIT
"""Captures as the tests ask for them, with what the command and tshark say of each: all of it made once for the whole
run, side by side, since most of the time of making them is spent waiting for the kernels' timers."""

import concurrent.futures
import json
import pathlib
import re
import subprocess
import tempfile
import threading

import pytest

import harness
from captures import crafted, netns, scenarios, tshark

DIRECT = [name for name, chosen in scenarios.SCENARIOS.items() if not chosen.ends]
ENDS = [name for one in scenarios.SCENARIOS if one not in DIRECT for name in (one, f"{one}@b")]
BY_HAND = [*crafted.CRAFTED, *crafted.DERIVED]
ALL = [*DIRECT, *ENDS, *BY_HAND]


def source_of(name):
    """The scenario that has to be played for a capture; None: it is made by hand alone."""
    if name in crafted.CRAFTED:
        return None
    if name in crafted.DERIVED:
        name = crafted.DERIVED[name][0]
    return name.partition("@")[0]


# --- what the command says ----------------------------------------------------------------------------------------


def no_constant(name):
    raise AssertionError(f"{name} is not JSON")


def no_name_twice(items):
    names = [name for name, _ in items]
    assert len(set(names)) == len(names), f"a name twice: {names}"
    return dict(items)


def strict_lines(data):
    """JSON Lines, parsed as strictly as can be."""
    assert data.endswith(b"\n") or not data, f"the last line has no end: {data[-200:]!r}"
    rows = []
    for line in data.split(b"\n")[:-1]:
        row = json.loads(line.decode("utf-8"), parse_constant=no_constant, object_pairs_hook=no_name_twice)
        assert isinstance(row, dict), f"not an object: {line!r}"
        assert not re.search(rb"[\x00-\x1f\x7f]", line), f"a control byte in {line!r}"
        rows.append(row)
    return rows


class Events(list):
    """The events of `sonde trace --json`."""

    def of(self, kind, conn=None):
        return [row for row in self if row["event"] == kind and conn in (None, row.get("conn"))]

    @property
    def segments(self):
        return self.of("segment")

    @property
    def conns(self):
        """Numbers of the connections, by first event."""
        return list(dict.fromkeys(row["conn"] for row in self if row.get("conn")))

    def states(self, conn):
        """(of A, of B): the names each end goes through, without its first."""
        ways = ([], [])
        for row in self:
            if row.get("conn") != conn or row["event"] != "segment":
                continue
            for way, name in zip(ways, (row["states"]["a"], row["states"]["b"])):
                name = name.rstrip("?")
                if not way or way[-1] != name:
                    way.append(name)
        return ways

    def states_without_doubt(self, conn):
        """The same with what had to be taken back left out: a copy of a segment shows that the state after its first
        one had not been reached yet, and so the end is back in the state before."""
        ways = self.states(conn)
        for way in ways:
            for name in [name for name in way if way.count(name) > 1]:
                first, last = way.index(name), len(way) - 1 - way[::-1].index(name)
                del way[first:last]
        return ways

    def notes(self, conn=None):
        return {note for row in self.of("segment", conn) for note in row["notes"]}

    def sentences(self, mark):
        return [row["sentence"] for row in self.of("sentence") if row["mark"] == mark]


STATES = (
    "CLOSED LISTEN SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 CLOSE_WAIT CLOSING LAST_ACK TIME_WAIT"
).split()
TOKEN = re.compile(rf"(?<![A-Z_])({'|'.join(sorted(STATES, key=len, reverse=True))})\??(?![A-Z_])")


def ladders(text):
    """A text of ladders, 120 columns wide, taken apart: for each (head, rows, sentences), a sentence with its
    continuation lines joined."""
    found = []
    for line in text.splitlines():
        if re.match(r"(tcp|udp|unix|icmp) ", line):
            found.append((line, [], []))
        elif re.match(r"[!i=] ", line):
            assert found, f"a sentence before any ladder: {line!r}"
            found[-1][2].append(line)
        elif found and found[-1][2] and re.match(r"  \S", line) and not line.startswith("  :"):
            found[-1][2][-1] += " " + line.strip()
        elif found and line.strip():
            found[-1][1].append(line)
    return found


def ladder_states(rows):
    """(left, right): the states that are named beside the life lines, in order. No state stands on the wire."""
    left, right = [], []
    for row in rows:
        for token in TOKEN.finditer(row):
            if token.start() < 48:
                left.append(token.group(1))
            elif token.start() >= 86:
                right.append(token.group(1))
    return left, right


class Run:
    """One run of the command: its output must be harmless, whatever it was asked."""

    def __init__(self, argv, status=0, stdin=None):
        self.argv = [str(argument) for argument in argv]
        done = subprocess.run(
            self.argv,
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=harness.DEADLINE * 3,
        )
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr.decode("utf-8", "backslashreplace")
        for marker in harness.SANITIZERS:
            assert marker not in self.err, f"a sanitizer reports: {self}"
        assert status is None or self.status == status, f"exit status {self.status}: {self}"
        harness.assert_printable(done.stderr)

    @property
    def text(self):
        harness.assert_printable(self.out)
        return self.out.decode("utf-8")

    def __str__(self):
        return f"{self.argv}\nexit status {self.status}\nstdout:\n{self.out[-3000:]!r}\nstderr:\n{self.err[-3000:]}"


class Seen:
    """All captures that this run needs, and what is said of them."""

    def __init__(self, folder, binary):
        self.folder, self.binary = pathlib.Path(folder), binary
        self._players = concurrent.futures.ThreadPoolExecutor(8)
        self._readers = concurrent.futures.ThreadPoolExecutor(2)
        self._lock = threading.RLock()
        self._played, self._made, self._results = {}, {}, {}

    def prepare(self, names, with_tshark=()):
        """Begin to make them."""
        if netns.permitted() is None:
            for source in dict.fromkeys(filter(None, map(source_of, names))):
                self._play(source)
        if not tshark.missing():
            for name in with_tshark:
                if source_of(name) is None or netns.permitted() is None:
                    self._later(("tshark", name), lambda name=name: tshark.segments(self.path(name)))

    def _play(self, source):
        with self._lock:
            if source not in self._played:
                self._played[source] = self._players.submit(scenarios.make, source, self.folder)
            return self._played[source]

    def _later(self, key, function):
        with self._lock:
            if key not in self._results:
                self._results[key] = self._readers.submit(function)
            return self._results[key]

    def path(self, name):
        source = source_of(name)
        paths = {}
        if source:
            if netns.permitted():
                pytest.skip(netns.permitted())
            paths = self._play(source).result(harness.DEADLINE * 4)
        if name in paths:
            return paths[name]
        with self._lock:
            if name not in self._made:
                self._made[name] = crafted.make(name, self.folder, paths)
            return self._made[name]

    def tshark(self, name):
        if tshark.missing():
            pytest.skip(tshark.missing())
        self.path(name)  # skips on this thread, and not on another
        return self._later(("tshark", name), lambda: tshark.segments(self.path(name))).result(harness.DEADLINE * 4)

    def run(self, name, *options, status=0):
        """`sonde trace -r CAPTURE OPTIONS`; the same once for all who ask."""
        key = ("run", name, options)
        with self._lock:
            if key not in self._results:
                self._results[key] = Run([self.binary, "trace", "-r", self.path(name), *options], status)
            return self._results[key]

    def events(self, name):
        return Events(strict_lines(self.run(name, "--json").out))

    def ladders(self, name, *options):
        return ladders(self.run(name, "--width", "120", "--color", "never", "--all", *options).text)


_the_one = []


@pytest.fixture(scope="session")
def seen(request, binary):
    """The Seen of this run: one for all files that use it. What the chosen tests need is begun at once."""
    if not _the_one:
        folder = tempfile.TemporaryDirectory(prefix="sonde-captures-")
        _the_one.append(Seen(folder.name, binary))
        request.session.config.add_cleanup(folder.cleanup)
    names, with_tshark = [], []
    for item in request.session.items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        for key in ("capture", "scenario"):
            if key in parameters:
                names.append(parameters[key])
                if "agreement" in item.nodeid:
                    with_tshark.append(parameters[key])
    _the_one[0].prepare(names, list(dict.fromkeys(with_tshark)))
    return _the_one[0]
