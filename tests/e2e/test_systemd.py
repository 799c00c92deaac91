# SPDX-License-Identifier: MIT
"""serve as a service of systemd: sockets that were passed, what it tells its manager, its example units.

No systemd runs where the tests do: systemd-socket-activate and helpers/activate.py pass sockets, a socket of Python's
own is told what NOTIFY_SOCKET is told, and helpers/as_service.py takes away what the unit's sandbox would.
"""

import os
import pathlib
import re
import shlex
import shutil
import socket
import struct
import subprocess
import sys

import pytest

import harness
from harness import dial, one_sentence, round_trip, wait_until

ACTIVATE = [sys.executable, str(harness.HERE / "helpers" / "activate.py")]
AS_SERVICE = [sys.executable, str(harness.HERE / "helpers" / "as_service.py")]
UNITS = harness.ROOT / "systemd"
FIRST_FD = 3


def serve_passed(sonde, *words, service="echo", options=(), urls=(), sockets=1):
    """serve with these sockets passed to it."""
    return sonde.serve(service, *options, url=list(urls), prefix=[*ACTIVATE, *words, "--"], sockets=sockets)


def run_passed(command, *words, arguments=("serve", "echo")):
    return command.run(*arguments, prefix=[*ACTIVATE, *words, "--"])


# --- sockets that were passed --------------------------------------------------------------------------------------


def test_all_are_listened_on(sonde, ipv6, place):
    server = serve_passed(sonde, "tcp", "tcp6", f"unix:{place}/s", sockets=3)
    assert re.match(r"tcp://127\.0\.0\.1:\d+$", server.urls[0])
    assert re.match(r"tcp://\[::1\]:\d+$", server.urls[1])
    assert server.urls[2] == f"unix:{place}/s" or server.urls[2] == f"unix://{place}/s"
    for url in server.urls[:2]:
        with dial(url) as sock:
            round_trip(sock, b"hello")
    with dial(f"unix:{place}/s") as sock:
        round_trip(sock, b"hello")
    row = server.out.wait_match(r"^closed 3 (\S+) <- pid \d+ \(uid \d+\) end of data, 5 bytes in")
    assert row[1].startswith("unix:") and row[1].endswith(f"{place}/s")
    assert server.terminate() == 0
    assert server.err.text == ""
    assert (place / "s").exists(), "the socket belongs to whoever made it"


def test_a_name_finds_its_sockets(sonde, ipv6):
    names = "LISTEN_FDNAMES=web:admin:web"
    server = serve_passed(sonde, "tcp", "tcp6", "tcp", names, urls=["fd://web"], sockets=2)
    assert all(url.startswith("tcp://127.0.0.1:") for url in server.urls)
    server = serve_passed(sonde, "tcp", "tcp6", "tcp", names, urls=["fd:admin?nodelay=1"])
    assert server.url.startswith("tcp://[::1]:")
    with dial(server.url.partition("?")[0]) as sock:
        round_trip(sock, b"hello")
    assert server.terminate() == 0
    assert server.err.text == ""


def test_odd_names(sonde):
    server = serve_passed(sonde, "tcp", "LISTEN_FDNAMES=a b/c?\u00e9", urls=["fd://a b/c%3f\u00e9"])
    with dial(server.url) as sock:
        round_trip(sock, b"hello")


def test_a_number_needs_no_environment(sonde):
    """Nobody says that something was passed: the descriptor is there all the same."""
    server = serve_passed(sonde, "tcp", "tcp", "LISTEN_PID=", urls=["fd://4"])
    with dial(server.url) as sock:
        round_trip(sock, b"hello")
    assert server.terminate() == 0
    assert server.err.text == ""


def test_a_text_stands_before_the_addresses(sonde):
    server = serve_passed(sonde, "tcp", service=("greet", "hello"))
    with dial(server.url) as sock:
        assert harness.receive_all(sock) == b"hello"


@pytest.mark.parametrize("words", [["LISTEN_PID=1"], ["LISTEN_PID=x"], ["LISTEN_FDS=0"]])
def test_what_is_not_for_us_is_left_alone(sonde, words):
    """Then it is as without: the given address is listened on, and nothing is said."""
    server = serve_passed(sonde, "tcp", *words, urls=[harness.LOOPBACK])
    with dial(server.url) as sock:
        round_trip(sock, b"hello")
    assert server.terminate() == 0
    assert server.err.text == ""


def test_sockets_that_are_not_used_are_mentioned(sonde):
    server = serve_passed(sonde, "tcp", "tcp", urls=[harness.LOOPBACK])
    with dial(server.url) as sock:
        round_trip(sock, b"hello")
    assert server.terminate() == 0
    server.err.wait_match("sockets were passed")
    assert re.search(r"\b2 sockets were passed", one_sentence(server.err.text))


@pytest.mark.parametrize("number", ["-1", "", "two", "2147483645", "99999999999999999999"])
def test_no_number_of_sockets(command, number):
    result = run_passed(command, "tcp", f"LISTEN_FDS={number}")
    assert (result.status, result.out) == (2, b""), result.process
    assert "LISTEN_FDS" in one_sentence(result.err)


def test_far_too_many(command):
    result = run_passed(command, "tcp", "LISTEN_FDS=2147483644")
    assert (result.status, result.out) == (2, b""), result.process
    assert "64" in one_sentence(result.err)


WRONG = [
    ("hole", "open"),
    ("file", "not a socket"),
    ("dgram", "datagram"),
    ("bound", "listen"),
    ("connection", "Accept=no"),
]


@pytest.mark.parametrize("kind, words", WRONG)
def test_what_is_no_listener_is_said(command, kind, words):
    result = run_passed(command, "tcp", kind)
    assert result.status != 0 and result.out == b"", result.process
    sentence = one_sentence(result.err)
    assert words in sentence and "fd://4" in sentence, sentence


def test_a_name_that_nothing_has(command):
    for words, arguments, expected in (
        (["tcp", "tcp", "LISTEN_FDNAMES=web:admin"], ["fd://shop"], ["shop", "web:admin"]),
        (["tcp"], ["fd://shop"], ["shop", "LISTEN_FDNAMES"]),
        (["LISTEN_PID="], ["fd://shop"], ["shop", "LISTEN_FDS"]),
        (["tcp", "LISTEN_FDNAMES=\x1b[31m"], ["fd://\x1b[32m"], ["\\x1b"]),
    ):
        result = run_passed(command, *words, arguments=("serve", "echo", *arguments))
        assert (result.status, result.out) == (2, b""), result.process
        sentence = one_sentence(result.err)
        assert all(word in sentence for word in expected), sentence


def test_the_descriptors_are_not_for_children(sonde):
    server = serve_passed(sonde, "tcp", "file", urls=["fd://3"])
    for fd in (3, 4):
        flags = pathlib.Path(f"/proc/{server.pid}/fdinfo/{fd}").read_text()
        assert int(re.search(r"^flags:\s+(\d+)", flags, re.M)[1], 8) & os.O_CLOEXEC


def test_one_thread_serves_them(sonde):
    server = serve_passed(sonde, "tcp", options=["--threads", 4])
    with dial(server.url) as sock:
        round_trip(sock, b"hello")
    server.err.wait_match("one thread")
    assert "one thread" in one_sentence(server.err.text)


def test_several_threads_beside_them(sonde):
    server = serve_passed(sonde, "tcp", options=["--threads", 4], urls=["fd://3", harness.LOOPBACK], sockets=2)
    for url in server.urls:
        socks = [dial(url) for _ in range(16)]
        for sock in socks:
            round_trip(sock, b"hello")
            sock.close()
    assert server.terminate() == 0


def test_guards_hold_for_them(sonde):
    server = serve_passed(sonde, "tcp", options=["--deny", "127.0.0.3"])
    with dial(server.url, source=("127.0.0.2", 0)) as sock:
        round_trip(sock, b"hello")
    with socket.socket() as sock, pytest.raises(ConnectionResetError):
        sock.settimeout(harness.DEADLINE)
        sock.bind(("127.0.0.3", 0))
        sock.connect(("127.0.0.1", server.port))
        sock.recv(1)


def test_trace_knows_their_addresses(sonde, place):
    server = serve_passed(sonde, "tcp", options=["--trace-json", place / "events", "--once"])
    with dial(server.url) as sock:
        round_trip(sock, b"hello")
    assert server.wait() == 0
    assert f"127.0.0.1:{server.port}" in (place / "events").read_text()


# --- systemd-socket-activate ---------------------------------------------------------------------------------------


def activated(sonde, tool, *options, service="echo", arguments=(), listen):
    """A server that is started by its first client; returns the process. It tells on its output where it listens."""
    argv = [tool("systemd-socket-activate"), *(word for one in listen for word in ("-l", str(one))), *options]
    for name in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        argv += ["-E", name] if name in os.environ else []
    process = sonde.start([*argv, *sonde.serve_argv(service, *arguments, url=[])], stdin=subprocess.DEVNULL)
    process.err.wait_match(r"^Listening on ")
    return process


def dial_waiting(url):
    """It says that it listens a moment before it does."""

    def attempt():
        try:
            return dial(url)
        except (ConnectionRefusedError, FileNotFoundError):
            return None

    return wait_until(attempt, f"{url} is listened on")


def test_socket_activate_inet(sonde, tool, ipv6):
    ports = [harness.free_port(), harness.free_port("::1")]
    process = activated(sonde, tool, listen=[f"127.0.0.1:{ports[0]}", f"[::1]:{ports[1]}"])
    for url in (f"tcp://127.0.0.1:{ports[0]}", f"tcp://[::1]:{ports[1]}"):
        with dial_waiting(url) as sock:
            round_trip(sock, b"hello")
        process.out.wait_match("^listening " + re.escape(url) + "$")
    process.signal(15)
    assert process.wait() == 0


def test_socket_activate_unix(sonde, tool, place):
    process = activated(sonde, tool, listen=[place / "s"])
    with dial_waiting(f"unix:{place}/s") as sock:
        round_trip(sock, b"hello")
    process.signal(15)
    assert process.wait() == 0


def test_socket_activate_names(sonde, tool):
    ports = [harness.free_port(), harness.free_port()]
    listen = [f"127.0.0.1:{port}" for port in ports]
    process = activated(sonde, tool, "--fdname=web:admin", arguments=["fd://admin"], listen=listen)
    with dial_waiting(f"tcp://127.0.0.1:{ports[1]}") as sock:
        round_trip(sock, b"hello")
    process.out.wait_match("^opened ")
    assert re.findall(r"^listening (\S+)$", process.out.text, re.M) == [f"tcp://127.0.0.1:{ports[1]}"]


def test_socket_activate_with_accept(command, tool):
    """systemd-inetd style hands over a connection: serve says what to change."""
    port = harness.free_port()
    argv = [tool("systemd-socket-activate"), "-a", "-l", f"127.0.0.1:{port}", "-E", "PATH", command.binary]
    process = command.start([*argv, "serve", "echo"], stdin=subprocess.DEVNULL)
    process.err.wait_match(r"^Listening on ")
    with dial_waiting(f"tcp://127.0.0.1:{port}") as sock:
        process.err.wait_match(r"^sonde: fd://3.*Accept=no")
        assert sock.recv(1) == b""


# --- what a manager is told ----------------------------------------------------------------------------------------


class Manager:
    """The socket of a service manager, and what it was told: (sender's pid, message)."""

    def __init__(self, name):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.sock.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        self.sock.settimeout(harness.DEADLINE)
        self.name = name

    def environment(self, **more):
        settings = {"NOTIFY_SOCKET": self.name, **more}
        return ["env", *(f"{name}={value}" for name, value in settings.items())]

    def hear(self):
        message, ancillary, _, _ = self.sock.recvmsg(4096, socket.CMSG_SPACE(12))
        pid, _, _ = struct.unpack("3i", ancillary[0][2][:12])
        return pid, message.decode()

    def hear_all(self):
        """What waits. Nobody says more."""
        messages = []
        self.sock.setblocking(False)
        try:
            while True:
                messages.append(self.hear()[1])
        except BlockingIOError:
            return messages


@pytest.fixture(params=["path", "abstract"])
def manager(request, place, started):
    made = Manager(f"{place}/notify" if request.param == "path" else f"@{place}/notify")
    started.callback(made.sock.close)
    return made


def test_ready_and_stopping(sonde, manager, ipv6):
    urls = ["tcp://127.0.0.1:0", "tcp://[::1]:0"]
    server = sonde.serve("echo", "--max-clients", 7, url=urls, prefix=manager.environment())
    pid, message = manager.hear()
    assert pid == server.pid
    lines = message.split("\n")
    assert lines[0] == "READY=1"
    assert lines[1].startswith("STATUS=echo on ") and len(lines) == 2
    assert all(url in lines[1] for url in server.urls) and "7 clients" in lines[1]
    with dial(server.url) as sock:
        round_trip(sock, b"hello")
        server.signal(15)
        assert manager.hear() == (server.pid, "STOPPING=1")
    assert server.wait() == 0
    assert manager.hear_all() == []
    assert server.err.text == ""


def test_an_end_of_its_own_is_told_too(sonde, manager):
    server = sonde.serve("echo", "--once", prefix=manager.environment())
    assert manager.hear()[1].startswith("READY=1\n")
    with dial(server.url) as sock:
        round_trip(sock, b"hello")
    assert server.wait() == 0
    assert manager.hear_all() == ["STOPPING=1"]


def test_what_cannot_listen_is_not_ready(sonde, manager, listen):
    taken = listen()
    url = harness.url_of(taken)
    result = sonde.run("serve", "echo", "--engine", sonde.engine, url, prefix=manager.environment())
    assert result.status == 1
    assert not any("READY" in message for message in manager.hear_all())


def test_the_watchdog_is_fed(sonde, manager):
    """Twice in the time that it is given, as long as the loop comes round."""
    server = sonde.serve("echo", prefix=manager.environment(WATCHDOG_USEC=50000))
    assert manager.hear()[1].startswith("READY=1\n")
    for _ in range(5):
        assert manager.hear() == (server.pid, "WATCHDOG=1")
    server.stop()
    manager.hear_all()
    server.go_on()
    manager.sock.settimeout(harness.DEADLINE)
    assert manager.hear()[1] == "WATCHDOG=1"
    # The timer does not keep the program from ending.
    assert server.terminate() == 0
    rest = manager.hear_all()
    assert rest.count("STOPPING=1") == 1
    assert set(rest) <= {"STOPPING=1", "WATCHDOG=1"}


@pytest.mark.parametrize("settings", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {}])
def test_no_watchdog(sonde, manager, settings):
    """In a time in which a thousand would have been due by its own clock."""
    usec = {} if not settings else {"WATCHDOG_USEC": "1000"}
    server = sonde.serve("echo", prefix=manager.environment(**{**usec, **settings}))
    assert manager.hear()[1].startswith("READY=1\n")
    with dial(server.url) as sock:
        for _ in range(300):
            round_trip(sock, b"hello")
    assert server.terminate() == 0
    assert manager.hear_all() == ["STOPPING=1"]


def test_the_watchdog_for_our_pid(sonde, manager):
    prefix = [*manager.environment(WATCHDOG_USEC=10000), "sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh"]
    server = sonde.serve("echo", prefix=prefix)
    assert manager.hear()[1].startswith("READY=1\n")
    assert manager.hear() == (server.pid, "WATCHDOG=1")
    assert server.terminate() == 0


@pytest.mark.parametrize("name", ["/nowhere/notify", "@nobody-has-this-name", "vsock:2:1", "x", "", "/" + "x" * 300])
def test_nobody_to_tell_is_no_error(sonde, name):
    server = sonde.serve("echo", prefix=["env", f"NOTIFY_SOCKET={name}", "WATCHDOG_USEC=1000"])
    with dial(server.url) as sock:
        for _ in range(20):
            round_trip(sock, b"hello")
    assert server.terminate() == 0
    assert server.err.text == ""


def test_a_manager_that_does_not_listen_blocks_nobody(sonde, manager):
    """Its queue is full: signs of life are lost, clients are served, and the end comes."""
    server = sonde.serve("echo", prefix=manager.environment(WATCHDOG_USEC=1000))
    assert manager.hear()[1].startswith("READY=1\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, pytest.raises(BlockingIOError):
        other.setblocking(False)
        while True:
            other.sendto(b"me too", manager.sock.getsockname())
    with dial(server.url) as sock:
        for _ in range(300):
            round_trip(sock, b"hello")
    assert server.terminate() == 0
    assert server.err.text == ""


def test_children_do_not_hear_of_it(sonde, manager):
    """What a program of exec finds in its environment and among its descriptors."""
    words = ["tcp", f"NOTIFY_SOCKET={manager.name}", "WATCHDOG_USEC=1000000", "LISTEN_FDNAMES=web"]
    server = sonde.serve(("exec", "--sh", "env; ls -l /proc/self/fd"), url=[], prefix=[*ACTIVATE, *words, "--"])
    with dial(server.url) as sock:
        text = harness.receive_all(sock).decode()
    assert "PATH=" in text
    assert not re.search(r"LISTEN_|NOTIFY_|WATCHDOG_", text), text


# --- the units -------------------------------------------------------------------------------------------------------


@pytest.fixture
def units(binary, place):
    """The example units as they are installed, with the command under test in them."""
    text = (UNITS / "sonde-echo.service.in").read_text(encoding="utf-8")
    (place / "bin").mkdir()
    shutil.copy(binary, place / "bin" / "sonde")
    (place / "sonde-echo.service").write_text(text.replace("@bindir@", f"{place}/bin"), encoding="utf-8")
    shutil.copy(UNITS / "sonde-echo.socket", place)
    for name, mode in (
        ("sonde-echo.service", 0o644),
        ("sonde-echo.socket", 0o644),
        ("bin", 0o755),
        ("bin/sonde", 0o755),
    ):
        (place / name).chmod(mode)
    return place


def test_the_build_fills_them_in(binary):
    built = pathlib.Path(binary).parent / "systemd" / "sonde-echo.service"
    if not built.exists():
        pytest.skip("the command does not stand in its build folder")
    found = re.findall(r"^ExecStart=(\S+)/sonde serve echo\b", built.read_text(encoding="utf-8"), re.M)
    assert len(found) == 1 and found[0].startswith("/") and "@" not in found[0]


def test_systemd_understands_them(command, units, tool):
    """What systemd-analyze says of other units of this machine, or of man pages that are not installed, is not ours."""
    paths = [units / "sonde-echo.socket", units / "sonde-echo.service"]
    done = subprocess.run(
        [tool("systemd-analyze"), "verify", "--recursive-errors=no", "--man=no", *paths],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=harness.DEADLINE * 3, check=False,
    )  # fmt: skip
    ours = [line for line in done.stdout.splitlines() if "sonde" in line]
    assert ours == [], done.stdout
    # The same with a mistake in it is noticed.
    text = paths[1].read_text(encoding="utf-8")
    paths[1].write_text(text.replace("ProtectSystem=", "ProtectSytem="), encoding="utf-8")
    done = subprocess.run(
        [tool("systemd-analyze"), "verify", "--recursive-errors=no", "--man=no", *paths],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=harness.DEADLINE * 3, check=False,
    )  # fmt: skip
    assert "ProtectSytem" in done.stdout


def setting(path, name):
    return re.findall(rf"^{name}=(.*)$", path.read_text(encoding="utf-8"), re.M)


@pytest.mark.ordinary_build
@pytest.mark.parametrize("without", [[], ["without=@aio"]])
def test_the_service_works_in_its_sandbox(command, units, tool, without, sanitized):
    """As nobody, with no privileges, no network and no file to write, with the system calls that its unit leaves it;
    with io_uring or without."""
    if os.geteuid() != 0:
        pytest.skip("only root can set up the sandbox")
    if sanitized:
        pytest.skip("a sanitizer needs more than the unit permits")
    tool("systemd-analyze"), tool("unshare"), tool("setpriv")
    unit = units / "sonde-echo.service"
    confined = [*AS_SERVICE, str(unit), *without]
    probe = command.start([*confined, "--", f"{units}/bin/sonde", "version"])
    if probe.wait() != 0:
        pytest.skip(f"no sandbox here: {probe.err.text}")
    is_there = re.search(r"^engine uring  available", probe.out.text, re.M) is not None
    assert not (without and is_there), probe.out.text
    for path in ("/", f"{units}/"):
        writer = command.start([*confined, "--", shutil.which("touch"), f"{path}written"])
        assert writer.wait() != 0, "the sandbox is none"

    manager = Manager(f"{units}/notify")
    os.chmod(f"{units}/notify", 0o777)
    argv = shlex.split(setting(unit, "ExecStart")[0])
    assert argv[0] == f"{units}/bin/sonde"
    passed = [*ACTIVATE, "tcp", "tcp", "LISTEN_FDNAMES=echo:echo", "--"]
    environment = [f"NOTIFY_SOCKET={manager.name}", "WATCHDOG_USEC=100000"]
    server = command.start([*passed, *confined, *environment, "--", *argv], stdin=subprocess.DEVNULL)
    urls = server.out.wait_for(
        lambda data: found if len(found := re.findall(rb"^listening (\S+)$", data, re.M)) == 2 else None,
        "two listening lines",
    )
    assert manager.hear()[1].startswith("READY=1\nSTATUS=echo on tcp://127.0.0.1:")
    assert manager.hear()[1] == "WATCHDOG=1"
    status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
    assert re.search(r"^Uid:\s+65534\s", status, re.M) and re.search(r"^Seccomp:\s+2$", status, re.M)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M) and re.search(r"^CapBnd:\s+0+$", status, re.M)
    for url in urls:
        with dial(url.decode()) as sock:
            round_trip(sock, b"hello")
            harness.exchange(sock, os.urandom(200 * 1000), seed=2)
    server.signal(15)
    assert server.wait() == 0, server
    assert server.err.text == ""
    assert "STOPPING=1" in manager.hear_all()
    manager.sock.close()


def test_the_socket_and_the_service_fit(units):
    """What the socket passes is what the service takes: it names no address, and the socket does not accept."""
    socket_unit, service_unit = units / "sonde-echo.socket", units / "sonde-echo.service"
    assert setting(socket_unit, "Accept") == ["no"]
    assert not re.search(r"fd:|tcp:|unix:|:\d", setting(service_unit, "ExecStart")[0])
    assert setting(service_unit, "Type") == ["notify"]
    addresses = setting(socket_unit, "ListenStream")
    assert addresses and all(re.match(r"127\.|\[::1\]", address) for address in addresses), "not for the whole world"
