# SPDX-License-Identifier: MIT
"""The programs in examples/, against real peers: what a beginner's course asks of them, done right."""

import os
import re
import signal
import socket
import subprocess

import pytest

import harness
from harness import DEADLINE, Observation, exchange, fill_until_blocked, receive_all, receive_exactly, wait_until

BUILD = os.environ.get("SONDE_BUILD", os.path.join(harness.ROOT, "build"))
EXAMPLES = os.path.join(BUILD, "examples")
NAMES = ["echo_client", "echo_server", "greeting", "iterative_server", "reconnecting_client", "two_terminals"]

pytestmark = pytest.mark.skipif(not os.path.exists(os.path.join(EXAMPLES, "echo_server")),
                                reason="the examples are not built")


def example(name):
    return os.path.join(EXAMPLES, name)


class Running:
    """An example that listens."""

    def __init__(self, process, capture, name):
        self.process = process
        self.told = capture
        found = capture.wait_match(rf"^{name}: listening (tcp://127\.0\.0\.1:(\d+))\r?$")
        self.url, self.port = found.group(1), int(found.group(2))

    def connect(self):
        return harness.dial(self.url)


@pytest.fixture
def serve(command):
    def make(name, *options, url="tcp://127.0.0.1:0"):
        process = command.start([example(name), *options, url])
        return Running(process, process.err, name)

    return make


@pytest.fixture
def run(command):
    """An example to its end: status, stdout, stderr."""

    def complete(name, *arguments, input=b"", **keywords):
        process = command.start([example(name), *arguments], **keywords)
        if keywords.get("stdin", subprocess.PIPE) == subprocess.PIPE:
            try:
                process.feed(input)
            except BrokenPipeError:
                pass
            process.end_input()
        status = process.wait()
        return harness.Result(status, process.out.data if process.out else b"", process.err.text, process)

    return complete


def refusing_port():
    """A port that is taken, and where nobody listens."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock, sock.getsockname()[1]


# --- all of them -------------------------------------------------------------------------------------------------


def test_each_is_short():
    """What the course asks for fits on a page."""
    for name in NAMES:
        with open(harness.ROOT / "examples" / f"{name}.c", encoding="utf-8") as file:
            source = file.read()
        code = re.sub(r"/\*.*?\*/", "", source, flags=re.S)
        lines = [line for line in code.splitlines() if re.search(r"\w", line)]
        assert len(lines) <= 25, (name, len(lines))
        assert set(re.findall(r"#include <(.*?)>", source)) <= {"sonde/sonde.h", "stdio.h", "string.h"}


def test_each_is_in_the_readme():
    text = (harness.ROOT / "examples" / "README.md").read_text()
    assert [name for name in NAMES if f"({name}.c)" not in text] == []
    sources = sorted(path.stem for path in (harness.ROOT / "examples").glob("*.c"))
    assert sources == NAMES


@pytest.mark.parametrize("name", ["echo_server", "greeting", "iterative_server"])
def test_a_server_that_cannot_begin_says_why(run, listen, name):
    taken = listen()
    result = run(name, harness.url_of(taken))
    assert result.status == 1 and result.out == b""
    assert re.fullmatch(rf"{name}: \w+ .*127\.0\.0\.1:\d+.*: address already in use.*\n", result.err)
    result = run(name, "tcp:/nonsense")
    assert result.status == 1 and "the address is not understood" in result.err


@pytest.mark.parametrize("name", ["echo_client", "reconnecting_client", "two_terminals"])
def test_a_client_that_cannot_connect_says_why(run, name):
    sock, port = refusing_port()
    with sock:
        result = run(name, f"tcp://127.0.0.1:{port}", input=b"hello\n")
    assert result.status == 1 and result.out == b""
    assert result.err.startswith(f"{name}: connect 127.0.0.1:{port}: connection refused")


# --- the echo server ---------------------------------------------------------------------------------------------


def test_echo_to_nc(serve, tool):
    server = serve("echo_server")
    for command in ([tool("nc.openbsd"), "-N", "127.0.0.1", str(server.port)],
                    [tool("ncat"), "127.0.0.1", str(server.port)]):
        done = subprocess.run(command, input=b"hello\n", stdout=subprocess.PIPE, timeout=DEADLINE, check=True)
        assert done.stdout == b"hello\n"


def test_echo_to_sonde(serve, command):
    server = serve("echo_server")
    data = os.urandom(harness.scaled(5_000_000))
    result = command.connect(server.url, input=data)
    assert (result.status, result.err) == (0, ""), server.told.text
    assert result.out == data, harness.difference(result.out, data)


@pytest.mark.heavy
def test_echo_gives_everything_back(serve):
    server = serve("echo_server")
    for n_bytes in (0, 1, 65536, harness.scaled(20_000_000)):
        with server.connect() as sock:
            exchange(sock, os.urandom(n_bytes), seed=n_bytes)


def test_echo_to_one_who_reads_late(serve):
    """Half-close first, read later: everything is still there."""
    server = serve("echo_server")
    with server.connect() as slow, server.connect() as other:
        taken, _ = fill_until_blocked(slow)
        harness.round_trip(other, b"nobody waits for the slow one")
        slow.shutdown(socket.SHUT_WR)
        assert receive_all(slow) == bytes(taken)


def test_echo_tells_of_a_reset(serve):
    server = serve("echo_server")
    sock = server.connect()
    peer = sock.getsockname()
    harness.round_trip(sock, b"x")
    harness.reset(sock)
    server.told.wait_match(rf"^echo_server: recv 127\.0\.0\.1:{peer[1]}: connection reset by peer$")
    with server.connect() as another:
        harness.round_trip(another, b"and serves on")


# --- the echo client ---------------------------------------------------------------------------------------------


def test_echo_client_sends_its_words(run, sonde):
    server = sonde.serve("echo")
    result = run("echo_client", server.url, "hello", "to you too", stdin=subprocess.DEVNULL)
    assert (result.status, result.out, result.err) == (0, b"hello\nto you too\n", "")


@pytest.mark.heavy
def test_echo_client_sends_its_input(run, sonde):
    server = sonde.serve("echo")
    data = os.urandom(harness.scaled(20_000_000))
    result = run("echo_client", server.url, input=data)
    assert (result.status, result.err) == (0, "")
    assert result.out == data, harness.difference(result.out, data)


def test_echo_client_and_server(run, serve):
    server = serve("echo_server")
    data = b"".join(b"line %d\n" % n for n in range(10_000))
    result = run("echo_client", server.url, input=data)
    assert (result.status, result.out) == (0, data)


def test_echo_client_half_closes_and_waits(run, peer):
    """The server answers only once it has seen the client's end."""

    def script(connection, _):
        request = receive_all(connection)
        with Observation(0.2):
            pass
        connection.sendall(request[::-1])

    assert run("echo_client", peer(script).url, input=b"abc").out == b"cba"


def test_echo_client_tells_of_a_reset(run, peer):
    def script(connection, _):
        receive_exactly(connection, 3)
        harness.reset(connection.dup())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, harness.NO_LINGER)

    result = run("echo_client", peer(script).url, input=b"abc")
    assert result.status == 1
    assert "connection reset by peer" in result.err


def test_echo_client_survives_its_reader(command, serve):
    """Nobody reads its output any more: it says so, and SIGPIPE does not end it."""
    server = serve("echo_server")
    reader, writer = os.pipe()
    process = command.start([example("echo_client"), server.url], stdout=writer)
    os.close(writer)
    os.close(reader)
    process.feed(b"hello\n")
    assert process.wait() == 1
    assert "write" in process.err.text and "broken pipe" in process.err.text


def test_echo_client_without_standard_input(command, serve):
    server = serve("echo_server")
    process = command.start([example("echo_client"), server.url], close=(0,))
    assert process.wait() == 0


def test_echo_client_says_when_its_output_is_full(run, serve):
    server = serve("echo_server")
    with open("/dev/full", "wb") as full:
        result = run("echo_client", server.url, "hello", stdout=full, stdin=subprocess.DEVNULL)
    assert result.status == 1 and "no space left on device" in result.err


# --- the greeting ------------------------------------------------------------------------------------------------

GREETING = b"hello, and goodbye\n"


def test_greeting_to_nc(serve, tool):
    server = serve("greeting")
    for command in ([tool("nc.openbsd"), "-N", "127.0.0.1", str(server.port)],
                    [tool("ncat"), "127.0.0.1", str(server.port)]):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=DEADLINE, check=True)
        assert done.stdout == GREETING


def test_greeting_is_not_lost_on_one_who_talks(serve):
    """What the client says and nobody reads must not turn the close into a reset."""
    server = serve("greeting")
    with server.connect() as sock:
        sock.sendall(b"x" * 500_000)
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == GREETING
    assert "reset" not in server.told.text


# --- the iterative server and its client --------------------------------------------------------------------------


def test_the_iterative_server_takes_one_after_another(serve):
    server = serve("iterative_server")
    with server.connect() as first, server.connect() as second:
        second.sendall(b"me too")
        second.shutdown(socket.SHUT_WR)
        first.sendall(b"hello")
        assert receive_exactly(first, 8) == b"1: hello"
        with Observation(0.3):
            pass
        assert harness.nothing_to_read(second)
        first.shutdown(socket.SHUT_WR)
        assert receive_all(first) == b""
        assert receive_all(second) == b"2: me too"


def test_the_iterative_server_outlives_its_clients(serve):
    server = serve("iterative_server")
    with server.connect() as first:
        receive_exactly(first, 3)
        harness.reset(first.dup())
        first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, harness.NO_LINGER)
    with server.connect() as second:
        exchange(second, bytes(1000), expect=b"2: " + bytes(1000))


def test_the_reconnecting_client(serve, run):
    server = serve("iterative_server")
    result = run("reconnecting_client", server.url, input=b"one\ntwo\nthree")
    assert (result.status, result.out, result.err) == (0, b"1: one\n2: two\n3: three", "")


def test_each_request_has_its_own_connection(run, peer):
    ports = []

    def script(connection, number):
        ports.append(connection.getpeername()[1])
        request = receive_all(connection)
        if number == 1:  # the second one fails
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, harness.NO_LINGER)
            return
        connection.sendall(request)

    result = run("reconnecting_client", peer(script).url, input=b"one\ntwo\nthree\n")
    assert (result.status, result.out) == (1, b"one\nthree\n")
    assert len(set(ports)) == 3
    assert re.fullmatch(r"reconnecting_client: \w+ \S+: connection reset by peer; not answered: two\n", result.err)


# --- two terminals -----------------------------------------------------------------------------------------------


@pytest.fixture
def terminal(started):
    def make(*arguments):
        made = harness.Terminal([example("two_terminals"), *arguments])
        started.callback(made.finish)
        return made

    return make


def two(terminal):
    listening = terminal("-l", "tcp://127.0.0.1:0")
    running = Running(listening, listening.out, "two_terminals")
    return listening, terminal(running.url)


@pytest.mark.parametrize("first", [0, 1])
def test_two_terminals(terminal, first):
    ends = two(terminal)
    ends[0].type(b"hello from here\r")
    ends[1].out.wait_match(r"^hello from here\r$")
    ends[1].type(b"hello from there\r")
    ends[0].out.wait_match(r"^hello from there\r$")
    # One has said all, and still listens.
    ends[first].type(b"\x04")
    ends[1 - first].type(b"do you still hear me?\r")
    ends[first].out.wait_match(r"^do you still hear me\?\r$")
    ends[1 - first].type(b"\x04")
    for end in ends:
        status, text = end.wait()
        assert status == 0, text
        assert end.after == end.before


def test_two_terminals_both_at_once(terminal):
    ends = two(terminal)
    for n in range(100):
        for end, name in zip(ends, ("a", "b")):
            end.type(b"%s%d\r" % (name.encode(), n))
    for end, name in zip(ends, ("b", "a")):
        end.out.wait_match(rf"^{name}99\r$")
        assert re.findall(rf"^{name}(\d+)\r$", end.out.text, re.M) == [str(n) for n in range(100)]


def test_a_terminal_whose_peer_is_killed(terminal):
    listening, calling = two(terminal)
    calling.type(b"hello\r")
    listening.out.wait_match(r"^hello\r$")
    calling.signal(signal.SIGKILL)
    # The other's end is there; what is typed now meets nobody.
    wait_until(lambda: calling._popen.poll() is not None, "it is gone")
    listening.type(b"are you there?\r")
    listening.out.wait_match(r"^two_terminals: \w+ \S+: connection reset by peer")
    assert listening.wait()[0] == 1


def test_a_terminal_and_nc(serve, tool, command):
    server = serve("two_terminals", "-l")
    client = command.start([tool("nc.openbsd"), "-N", "127.0.0.1", str(server.port)])
    client.feed(b"from nc\n")
    server.process.out.wait_match(r"^from nc$")
    server.process.feed(b"to nc\n")
    client.out.wait_match(r"^to nc$")
    client.end_input()
    server.process.end_input()
    assert (client.wait(), server.process.wait()) == (0, 0)


@pytest.mark.heavy
def test_two_terminals_lose_nothing(serve, run):
    """Much, both ways at once, through pipes."""
    server = serve("two_terminals", "-l")
    here, there = os.urandom(harness.scaled(8_000_000)), os.urandom(harness.scaled(8_000_000))
    import threading
    feeder = threading.Thread(target=lambda: (server.process.feed(here), server.process.end_input()))
    feeder.start()
    result = run("two_terminals", server.url, input=there)
    feeder.join(DEADLINE)
    assert (result.status, result.err) == (0, "")
    assert result.out == here, harness.difference(result.out, here)
    assert server.process.wait() == 0
    assert server.process.out.data == there, harness.difference(server.process.out.data, there)
