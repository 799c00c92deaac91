# SPDX-License-Identifier: MIT
"""serve --direct: connections that live in rings, without descriptors."""

import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import threading

import pytest

import harness
from harness import dial, one_sentence, receive_all, round_trip, scaled, wait_until


@pytest.fixture
def direct(command, engines):
    """direct(...): `sonde serve ... --direct`, with so few open files (`files`) that a few connections are many."""
    if engines.get("uring") != "available":
        pytest.skip(f"uring: {engines.get('uring')}")

    def serve(service, *options, files=None, **keywords):
        prefix = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"] if files else []
        return command.serve(service, "--direct", *options, prefix=prefix, **keywords)

    return serve


def n_files(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def n_threads(process):
    return len(os.listdir(f"/proc/{process.pid}/task"))


def is_served(sock, message):
    """Whether what was sent before has come back. Nothing is read."""
    return harness.unread(sock) == len(message)


def say_hello(server, number):
    sock = server.connect()
    sock.sendall(b"hello %05d" % number)
    return sock


def n_served(socks):
    return sum(is_served(sock, b"hello %05d" % number) for number, sock in enumerate(socks))


@pytest.mark.heavy
def test_more_connections_than_descriptors(direct, tool):
    """Each ring holds as many as the process may have open files; there are as many rings as are needed."""
    count = min(scaled(3000, 400), resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200)
    server = direct("echo", "--max-clients", count, files=300)
    n_rings = -(-count // (300 - 8))
    server.err.wait_match(f"{n_rings} rings hold {count} connections at most")
    before = n_files(server)
    socks = [server.connect() for _ in range(count)]
    for number, sock in enumerate(socks):
        round_trip(sock, b"hello %d" % number)
    for number, sock in enumerate(reversed(socks)):
        round_trip(sock, b"again %d" % number)
    assert n_threads(server) >= n_rings  # a sanitizer has one of its own
    assert n_files(server) <= before + n_rings, "connections have descriptors"
    wait_until(lambda: f"{count} clients are connected" in server.err.text, "the limit is told")
    shown = subprocess.run([tool("ss"), "-Htn", "state", "established", f"sport = :{server.port}"],
                           stdout=subprocess.PIPE, text=True, check=True)  # fmt: skip
    assert len(shown.stdout.splitlines()) == count
    for sock in socks:
        sock.close()
    assert server.terminate() == 0


def test_a_full_ring_leaves_the_rest_in_the_queue(direct):
    """Nobody is let in and then dropped; whoever waits is served when another has gone."""
    server = direct("echo", "--quiet", files=40)
    socks = [say_hello(server, number) for number in range(50)]
    wait_until(lambda: n_served(socks) == 40, "forty are served")
    wait_until(lambda: "the rings are full" in server.err.text, "it says why")
    assert n_served(socks) == 40
    for number, sock in enumerate(socks):
        assert sock.recv(100) == b"hello %05d" % number
        sock.close()
    wait_until(lambda: "accepting goes on" in server.err.text, "it says so")
    assert server.err.text.count("the rings are full") == 1
    assert server.terminate() == 0


def test_full_rings_beside_others(direct):
    """One ring is full long before the other: all the same everybody is served, as long as one has room."""
    server = direct("echo", "--quiet", "--threads", 3, files=64)
    socks = []
    for number in range(3 * 64):
        socks.append(say_hello(server, number))
        wait_until(lambda: is_served(socks[-1], b"hello %05d" % number), f"number {number} is served")
    late = say_hello(server, len(socks))
    wait_until(lambda: "the rings are full" in server.err.text, "all are full")
    assert not is_served(late, b"hello %05d" % len(socks))
    socks.pop(77).close()
    wait_until(lambda: is_served(late, b"hello 00192"), "the one that waited is served")
    for sock in socks:
        sock.close()
    late.close()
    assert server.terminate() == 0


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:0", "tcp://localhost:0"])
def test_as_many_clients_as_were_allowed(direct, url):
    """--max-clients is shared out among the rings: never more of them, and of one address never fewer. In each ring
    every other address may keep a place free."""
    allowed, total, n_rings = 70, 150, 3
    server = direct("echo", "--max-clients", allowed, files=40, url=url, sockets=1)
    with server.connect() as first:  # it was told behind all that listen
        name = harness.text_address(first.getsockname())
        round_trip(first, b"hello")
    server.wait_closed(name)
    urls = [line.split(" ", 1)[1] for line in server.out.text.splitlines() if line.startswith("listening ")]
    server.err.wait_match(f"{n_rings} rings hold {allowed} connections at most")
    waiting = []
    for number in range(total):
        waiting.append(dial(urls[number % len(urls)]))
        waiting[-1].sendall(b"hello")
    while waiting:
        least = min(allowed - n_rings * (len(urls) - 1), len(waiting))
        wait_until(lambda: sum(is_served(sock, b"hello") for sock in waiting) >= least, f"{least} are served")
        with harness.Observation(0.05):
            served = [sock for sock in waiting if is_served(sock, b"hello")]
            assert len(served) <= allowed
        waiting = [sock for sock in waiting if sock not in served]
        for sock in served:
            sock.close()
    assert server.terminate() == 0
    assert len(harness.OPENED.findall(server.out.text)) == 1 + total
    assert server.err.text.count("the others wait in the accept queue") <= 1


def test_a_crowd_that_comes_and_goes(direct):
    """Rings that are full, and have room, and are full again: nobody who connects is forgotten."""
    server = direct("echo", "--quiet", "--max-clients", 50, files=40)
    over = threading.Event()
    done, failures = [], []

    def come_and_go(number):
        try:
            while not over.is_set():
                with contextlib.closing(server.connect()) as sock:
                    round_trip(sock, b"hello %05d" % number)
                done.append(number)
        except (OSError, AssertionError) as error:
            failures.append(error)

    threads = [threading.Thread(target=come_and_go, args=(number,), daemon=True) for number in range(70)]
    for thread in threads:
        thread.start()
    wait_until(lambda: failures or len(done) >= scaled(5000, 500), "many have come and gone")
    over.set()
    for thread in threads:
        thread.join(harness.DEADLINE * 2)
        assert not thread.is_alive()
    assert not failures
    assert server.terminate() == 0


def test_refused_when_full(direct):
    server = direct("echo", "--max-clients", 4, "--when-full", "refuse", "--threads", 3)
    socks = [server.connect() for _ in range(4)]
    for sock in socks:
        round_trip(sock, b"hello")
    with pytest.raises(ConnectionResetError):
        round_trip(server.connect(), b"hello")
    server.out.wait_match(r"refused: 4 clients are connected already")
    name = harness.text_address(socks[0].getsockname())
    socks.pop(0).close()
    server.wait_closed(name)
    socks.append(server.connect())
    round_trip(socks[-1], b"hello")
    for sock in socks:
        sock.close()
    assert server.terminate() == 0


def test_ends_of_all_kinds(direct):
    """End of data, a reset, a half-close from either side: as with descriptors."""
    server = direct("echo", files=100)
    before = n_files(server)
    for _ in range(5):
        ended, gone = server.connect(), server.connect()
        name = harness.text_address(gone.getsockname())
        round_trip(gone, b"hello")
        harness.reset(gone)
        assert server.wait_closed(name).reason == "reset by peer"
        name = harness.text_address(ended.getsockname())
        ended.sendall(b"last words")
        ended.shutdown(socket.SHUT_WR)
        assert receive_all(ended) == b"last words"
        assert server.wait_closed(name).reason == "end of data"
    assert n_files(server) == before
    assert server.terminate() == 0


def test_a_service_that_ends_first(direct):
    server = direct(("greet", "hello, there"), url="tcp://*:0", sockets=1)
    sock = dial(f"tcp://127.0.0.1:{server.port}")
    name = harness.text_address(sock.getsockname())
    assert receive_all(sock) == b"hello, there"
    sock.close()
    assert server.wait_closed(name).reason == "served"
    assert f" 127.0.0.1:{server.port} <- {name} " in server.out.text
    assert server.terminate() == 0


def test_the_table_and_the_calls(direct):
    server = direct("echo", "--calls", url="tcp://*:0", sockets=1)
    sock = dial(f"tcp://127.0.0.1:{server.port}")
    round_trip(sock, b"hello")
    os.kill(server.pid, signal.SIGUSR1)
    name = harness.text_address(sock.getsockname())
    server.out.wait_match(rf"(?m)^.*127\.0\.0\.1:{server.port} +{re.escape(name)}$")
    sock.close()
    server.wait_closed(name)
    assert server.terminate() == 0
    for call in (f"{name}, SOCK_NONBLOCK) = 0", 'recv(#1, "hello", ', 'send(#1, "hello", ', "close(#1) = 0"):
        assert call in server.err.text


def test_the_end_with_clients(direct):
    """SIGTERM: each is sent our end, and may still say something."""
    server = direct("echo", "--threads", 2)
    socks = [server.connect() for _ in range(20)]
    for sock in socks:
        round_trip(sock, b"hello")
    server.signal(signal.SIGTERM)
    for sock in socks:
        assert sock.recv(10) == b""
        sock.close()
    assert server.wait() == 0
    assert {row.reason for row in server.closed()} == {"stopped"}


@pytest.mark.parametrize("options", ["?linger=1", "?keepalive=30s&user_timeout=5s", "?nodelay=0&rcvbuf=65536"])
def test_options_of_the_address(direct, options):
    server = direct("echo", "--threads", 2, "--rate", "1m", url=f"tcp://127.0.0.1:0{options}", sockets=1)
    for _ in range(4):
        sock = server.connect()
        round_trip(sock, b"hello")
        name = harness.text_address(sock.getsockname())
        sock.close()
        assert server.wait_closed(name).reason == "end of data"
    assert server.terminate() == 0


def test_unix_sockets(direct, place):
    server = direct("echo", "--threads", 2, url=f"unix:{place}/x", sockets=1)
    socks = [dial(f"unix:{place}/x") for _ in range(6)]
    for number, sock in enumerate(socks):
        round_trip(sock, b"hello %d" % number)
    for sock in socks:
        sock.close()
    wait_until(lambda: len(server.closed()) == 6, "all have gone")
    assert server.out.text.count(f"unix:{place}/x <- pid {os.getpid()} ") == 12
    assert server.terminate() == 0
    assert not (place / "x").exists()


def test_guards(direct):
    """Refusing is a reset, here too."""
    server = direct("echo", "--max-per-peer", 2, "--threads", 3)
    socks = [server.connect(), server.connect()]
    for sock in socks:
        round_trip(sock, b"hello")
    with pytest.raises(ConnectionResetError):
        round_trip(server.connect(), b"hello")
    for sock in socks:
        sock.close()
    assert server.terminate() == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("hold", "--direct"),
        ("talk", "--direct"),
        ("exec", "--direct", "tcp://127.0.0.1:0", "--", "cat"),
        ("echo", "--direct", "--engine", "epoll"),
        ("echo", "--direct", "--trace"),
        ("echo", "--direct", "--trace-json", "/dev/null"),
    ],
)
def test_what_it_cannot_do(command, arguments):
    result = command.run("serve", *arguments)
    assert result.status == 2
    assert "--direct" in one_sentence(result.err)


def test_too_many_rings(command):
    result = command.run("serve", "echo", "--direct", "--max-clients", 1000000, harness.LOOPBACK,
                         prefix=["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"])  # fmt: skip
    assert result.status == 2
    assert "ulimit -n" in one_sentence(result.err)
