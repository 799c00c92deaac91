# SPDX-License-Identifier: MIT
"""Fixtures of the end-to-end tests; what they are made of is in harness.py."""

import collections
import contextlib
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

import harness
from page.browser import chromium  # noqa: F401 (a fixture; one for all modules, because it takes seconds to start)

BINARY = os.path.abspath(os.environ.get("SONDE", harness.ROOT / "build" / "sonde"))
ENGINES = [name for name in os.environ.get("SONDE_ENGINES", "uring,epoll").split(",") if name]
PATIENCE = int(harness.DEADLINE * 9)  # for a whole test: far past every deadline inside it


def pytest_configure(config):
    config.addinivalue_line("markers", "heavy: moves much data or opens many connections; SONDE_SCALE makes it smaller")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 8192:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))


def pytest_generate_tests(metafunc):
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", ENGINES)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """No test hangs the run, whatever it meets."""

    def over(*_):
        raise AssertionError(f"the test was still running after {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


class Command:
    """The command under test: starts it, and ends what still runs when the test is over."""

    def __init__(self, binary, engine, started, sanitized):
        self.binary = binary
        self.engine = engine  # None: what the command chooses by itself
        self._started = started
        self.sanitized = sanitized

    def argv(self, verb, *arguments):
        return [self.binary, verb, *(["--engine", self.engine] if self.engine else []), *map(str, arguments)]

    def _register(self, process):
        self._started.callback(process.finish)
        return process

    def start(self, argv, **keywords):
        """Any program."""
        return self._register(harness.Process(argv, gentle=self.sanitized and argv[0] == self.binary, **keywords))

    def run(self, *arguments, input=b"", prefix=(), deadline=None, **keywords):
        """`sonde ARGUMENTS` to its end."""
        process = self.start([*prefix, self.binary, *map(str, arguments)], **keywords)
        return self._complete(process, input, deadline, **keywords)

    def _complete(self, process, data, deadline=None, **keywords):
        if keywords.get("stdin", subprocess.PIPE) == subprocess.PIPE:
            with contextlib.suppress(BrokenPipeError):
                process.feed(data)
            process.end_input()
        status = process.wait(deadline)
        return harness.Result(status, process.out.data if process.out else b"", process.err.text, process)

    def serve_argv(self, service, *options, url=harness.LOOPBACK):
        """`sonde serve ...` as a list. `service` may be a tuple, as ("greet", "hello")."""
        service = [service] if isinstance(service, str) else service
        return self.argv("serve", *service, *options, *([url] if isinstance(url, str) else url))

    def serve(self, service, *options, url=harness.LOOPBACK, prefix=(), **keywords):
        """`sonde serve`, listening."""
        keywords.setdefault("sockets", 1 if isinstance(url, str) else len(url))
        argv = [*prefix, *self.serve_argv(service, *options, url=url)]
        return self._register(harness.Server(argv, gentle=self.sanitized, **keywords))

    def start_connect(self, *arguments, prefix=(), **keywords):
        """`sonde connect`, running; feed() it and end_input()."""
        return self.start([*prefix, *self.argv("connect", *arguments)], **keywords)

    def connect(self, *arguments, input=b"", deadline=None, prefix=(), **keywords):
        """`sonde connect` to its end, with that on its stdin."""
        process = self.start_connect(*arguments, prefix=prefix, **keywords)
        return self._complete(process, input, deadline, **keywords)

    def on_terminal(self, verb, *arguments):
        return self._register(harness.Terminal(self.argv(verb, *arguments)))


@pytest.fixture(scope="session")
def binary():
    """The command under test, where every user can run it."""
    if not os.access(BINARY, os.X_OK):
        pytest.exit(f"{BINARY} is not there: build it, or name it in SONDE", returncode=2)
    return BINARY


@pytest.fixture(scope="session")
def sanitized(binary):
    """Whether the command is a sanitizer build: slower, larger, and with a report of its own at the end."""
    with open(binary, "rb") as file:
        text = file.read()
    return b"__asan_init" in text or b"__tsan_init" in text


@pytest.fixture(scope="session")
def engines(binary):
    """What `sonde version` says about each engine: "available", or why not."""
    text = subprocess.run([binary, "version"], stdout=subprocess.PIPE, text=True, timeout=harness.DEADLINE, check=True)
    return dict(re.findall(r"^engine (\w+)\s+(.+)$", text.stdout, re.M))


@pytest.fixture
def started():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def command(binary, started, sanitized):
    """The command with the engine it chooses by itself."""
    return Command(binary, None, started, sanitized)


@pytest.fixture
def sonde(binary, engine, engines, started, sanitized):
    """The command with each engine in turn."""
    if engines.get(engine) != "available":
        pytest.skip(f"{engine}: {engines.get(engine, 'unknown to this build')}")
    return Command(binary, engine, started, sanitized)


@pytest.fixture
def each_engine(binary, engines, started, sanitized):
    """A command for each engine that is available here: {name: Command}, to be compared with each other."""
    usable = [name for name in ENGINES if engines.get(name) == "available"]
    if not usable:
        pytest.skip(f"no engine is available: {engines}")
    return {name: Command(binary, name, started, sanitized) for name in usable}


@pytest.fixture
def peer(started):
    """peer(script): a scripted server (harness.Peer), ended with the test."""

    def make(script, **keywords):
        made = harness.Peer(script, **keywords)
        started.callback(made.finish)
        return made

    return make


@pytest.fixture
def echo_peer(peer):
    """An echo server of Python's own."""
    return peer(harness.echo_script)


@pytest.fixture
def listen(started):
    """listen(...): a listening socket of Python's own, closed with the test."""

    def make(*arguments, **keywords):
        made = harness.listener(*arguments, **keywords)
        started.callback(made.close)
        return made

    return make


@pytest.fixture
def tool():
    """tool("ncat"): the path of another program, or the test is skipped."""

    def find(name):
        path = shutil.which(name)
        if not path:
            pytest.skip(f"{name} is not installed")
        return path

    return find


@pytest.fixture
def ipv6():
    """Skips where ::1 is not to be had."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"no IPv6 loopback: {error}")


@pytest.fixture
def link_local(ipv6):
    """(address, interface) of a link-local IPv6 address of this machine."""
    with open("/proc/net/if_inet6", encoding="ascii") as file:
        for line in file:
            raw, _, _, scope, flags, name = line.split()
            tentative = int(flags, 16) & 0x48  # IFA_F_TENTATIVE, IFA_F_DADFAILED
            if int(scope, 16) == 0x20 and not tentative:
                return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(raw)), name
    pytest.skip("no interface has a link-local address")


@pytest.fixture
def foreign_address():
    """An IPv4 address that is not this machine's (all are reserved for documentation, RFC 5737)."""
    for address in ("192.0.2.1", "198.51.100.1", "203.0.113.1"):
        with socket.socket() as sock:
            try:
                sock.bind((address, 0))
            except OSError:
                return address
    pytest.skip("every address can be bound here")


Nobody = collections.namedtuple("Nobody", "prefix binary")


@pytest.fixture
def place(started):
    """An empty directory whose name is short enough for UNIX socket addresses, open to every user. It goes once the
    processes that were started in it are gone."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="sonde-e2e-", dir="/tmp"))
    path.chmod(0o755)
    started.callback(shutil.rmtree, path)
    return path


@pytest.fixture
def nobody(binary, place):
    """What to put before a command to run it without privileges, and where such a user finds the command under test."""
    if os.geteuid() != 0:
        return Nobody([], binary)
    setpriv = shutil.which("setpriv")
    if not setpriv:
        pytest.skip("setpriv is not installed")
    prefix = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
    if subprocess.run([*prefix, "test", "-x", binary], check=False).returncode == 0:
        return Nobody(prefix, binary)
    return Nobody(prefix, shutil.copy(binary, place / "sonde"))
