# SPDX-License-Identifier: MIT
"""The tests' own tools can fail: what would hide a bug of the product is tried on servers that have it."""

import os
import signal
import socket
import sys

import pytest

import harness


def test_exchange_accepts_an_honest_echo(echo_peer):
    with harness.dial(echo_peer.url) as sock:
        harness.exchange(sock, bytes(range(256)) * 4000, seed=1)


@pytest.mark.parametrize("fault", ["a byte changed", "a byte lost", "a byte more", "bytes twice", "a reset"])
def test_exchange_finds(fault, peer):
    data = bytes(range(256)) * 1000

    def script(connection, _):
        got = bytearray()
        while chunk := connection.recv(1 << 16):
            got += chunk
        if fault == "a byte changed":
            got[123456] ^= 1
        elif fault == "a byte lost":
            del got[-1]
        elif fault == "a byte more":
            got += b"!"
        elif fault == "bytes twice":
            got[4096:4096] = got[4096:4100]
        connection.sendall(got)
        if fault == "a reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, harness.NO_LINGER)

    server = peer(script)
    with harness.dial(server.url) as sock, pytest.raises((AssertionError, ConnectionResetError)):
        harness.exchange(sock, data, seed=1)


def test_exchange_finds_a_server_that_only_sends_after_the_end(peer):
    """More than fits on the way: whoever does not read while the peer sends is stuck, and that is seen."""
    server = peer(lambda connection, _: connection.recv(1))
    with harness.dial(server.url, sndbuf=4096) as sock, pytest.raises((AssertionError, ConnectionError)):
        harness.exchange(sock, bytes(1 << 22), seed=1)


def test_a_wait_is_given_up(monkeypatch):
    monkeypatch.setattr(harness, "DEADLINE", 0.1)
    with pytest.raises(AssertionError, match="in vain"):
        harness.wait_until(lambda: False, "pigs fly")


def test_output_that_ends_too_early_is_a_failure_at_once(command):
    process = command.start(["printf", "one\\ntwo\\n"])
    process.out.wait_match("^two$")
    with pytest.raises(AssertionError, match="ended"):
        process.out.wait_match("^three$")


def test_a_command_that_hangs_is_a_failure(command):
    process = command.start(["cat"])
    with pytest.raises(AssertionError, match="still running"):
        process.wait(0.1)


def test_a_sanitizer_report_is_a_failure():
    process = harness.Process([sys.executable, "-c", "import sys; sys.stderr.write('x.c:1: runtime error: overflow')"])
    process.wait()
    with pytest.raises(AssertionError, match="sanitizer"):
        process.finish()


def test_a_stopped_process_takes_nothing(command, listen):
    """What the reset tests stand on: a stopped process's data waits in the kernel."""
    sock = listen()
    port = sock.getsockname()[1]
    program = f"import socket; s = socket.create_connection(('127.0.0.1', {port})); print(s.recv(100), flush=True)"
    process = command.start([sys.executable, "-c", program])
    connection, _ = harness.accept(sock)
    process.stop()
    connection.sendall(b"hello")
    harness.wait_acknowledged(connection)
    row = harness.connection_row(connection.getpeername(), connection.getsockname())
    assert (row.state, row.rx_queue) == ("ESTABLISHED", 5)
    process.go_on()
    process.out.wait_match("hello")
    connection.close()
    assert process.wait() == 0


def test_the_exit_status_of_a_signal_is_the_shell_s(command):
    process = command.start(["cat"])
    process.signal(signal.SIGINT)
    assert process.wait() == 130


@pytest.mark.parametrize(
    "line",
    [
        b'{"event":"x","time":"2026-11-21T10:04:11.000001Z","mono_ns":1,"mono_ns":2}',
        b'{"event":"x","time":"2026-11-21T10:04:11.000001Z","mono_ns":NaN}',
        b'{"event":"x","time":"yesterday","mono_ns":1}',
        b'{"event":"x","time":"2026-11-21T10:04:11.000001Z","mono_ns":1,"text":"\x1b"}',
        b'{"event":"x","time":"2026-11-21T10:04:11.000001Z","mono_ns":1,"text":"\xff"}',
        b'{"event":"x","time":"2026-11-21T10:04:11.000001Z"}',
    ],
)
def test_json_that_is_not_quite_json_is_refused(line):
    with pytest.raises((AssertionError, KeyError, ValueError)):
        harness.strict_json_lines(line + b"\n")


@pytest.mark.parametrize("raw", [b"\x1b[31m", b"\x00", b"\x07", b"\xc2\x9b", b"\xe2\x80\xae", b"\xff", b"\x7f", b"\r"])
def test_what_a_terminal_would_obey_is_seen(raw):
    with pytest.raises((AssertionError, UnicodeDecodeError)):
        harness.assert_printable(b"hello " + raw + b" world\n")


def test_free_ports_are_outside_the_kernel_s_own_range():
    port = harness.free_port()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", port))
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        low, high = map(int, file.read().split())
    assert not low <= port <= high


def test_the_kernel_s_table(listen):
    sock = listen(backlog=9)
    port = sock.getsockname()[1]
    with socket.create_connection(sock.getsockname()) as client:
        harness.wait_until(lambda: harness.accept_queue(port) == 1, "our acknowledgement has come")
        mine = harness.connection_row(client.getsockname(), client.getpeername())
        assert (mine.state, mine.inode) == ("ESTABLISHED", os.fstat(client.fileno()).st_ino)
        theirs = harness.connection_row(client.getpeername(), client.getsockname())
        assert (theirs.state, theirs.inode, theirs.rx_queue) == ("ESTABLISHED", 0, 0)
        client.sendall(b"hello")
        harness.wait_acknowledged(client)
        assert harness.connection_row(client.getpeername(), client.getsockname()).rx_queue == 5
        assert [row.tx_queue for row in harness.tcp_table(port) if row.state == "LISTEN"] == [9]
    assert harness.accept_queue(harness.free_port()) is None
