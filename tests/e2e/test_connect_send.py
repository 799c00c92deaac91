# SPDX-License-Identifier: MIT
"""`sonde connect --send`: texts, bytes and files instead of standard input, again and again, and on time."""

import os
import socket
import subprocess
import time

import pytest

import harness
from harness import DEADLINE, one_sentence, receive_all, receive_exactly, url_of


def everything(peer):
    """A server that keeps what each client sends, to the end."""
    got = {}
    server = peer(lambda connection, number: got.__setitem__(number, receive_all(connection)))
    server.got = got
    return server


@pytest.mark.parametrize(
    "options, expected",
    [
        (["--send", "hello"], b"hello"),
        (["--send", r"a\nb\r\t\0\\\x41\xfe"], b"a\nb\r\t\0\\A\xfe"),
        (["--send", "hex:48 65 6c6C\n6f"], b"Hello"),
        (["--send", "one ", "--send", "hex:00", "--send", r" three\n"], b"one \0 three\n"),
        (["--send", r"\x40home hex:41"], b"@home hex:41"),
        (["--send", ""], b""),
        (["--send", "ab", "--repeat=3"], b"ababab"),
        (["--send", "a", "--send", "b", "--repeat=2"], b"abab"),
        (["--send", "", "--repeat", "0"], b""),
        (["--send", r"a\nb\r\n", "--send", "hex:0a", "--crlf"], b"a\r\nb\r\n\n"),
        (["--send", "größe"], "größe".encode()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_sent(sonde, peer, options, expected):
    """Nothing is added, and standard input is left alone."""
    server = everything(peer)
    result = sonde.connect(*options, server.url, input=b"not this")
    assert (result.status, result.err) == (0, "")
    server.join()
    assert server.got[0] == expected


def test_the_answer_is_waited_for(sonde, echo_peer):
    result = sonde.connect("--send", r"hello\n", echo_peer.url, stdin=subprocess.DEVNULL)
    assert (result.status, result.out, result.err) == (0, b"hello\n", "")


@pytest.mark.parametrize("size", [0, 1, 131071, 131072, 131073, 3 << 20])
def test_files_as_they_are(sonde, peer, tmp_path, size):
    data = os.urandom(size)
    path = tmp_path / "a file"
    path.write_bytes(data)
    server = everything(peer)
    options = ["--send", "before\n", "--send", f"@{path}", "--send", "behind", "--repeat=2", "--crlf"]
    result = sonde.connect(*options, server.url, stdin=subprocess.DEVNULL)
    assert (result.status, result.err) == (0, "")
    server.join()
    once = b"before\r\n" + data + b"behind"
    assert server.got[0] == once * 2, harness.difference(server.got[0], once * 2)


@pytest.mark.parametrize("name", ["@-", "@/dev/stdin"])
def test_standard_input_as_a_file(sonde, peer, name):
    data = os.urandom(1 << 20)
    server = everything(peer)
    result = sonde.connect("--send", "head ", "--send", name, "--send", " tail", server.url, input=data)
    assert (result.status, result.err) == (0, "")
    server.join()
    assert server.got[0] == b"head " + data + b" tail"


def test_a_fifo_whose_writer_comes_late(sonde, listen, tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    sock = listen()
    process = sonde.start_connect("--send", "before ", "--send", f"@{path}", "--send", " behind", url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        assert receive_exactly(connection, 7) == b"before "
        with open(path, "wb", buffering=0) as writer:
            for number in range(3):
                writer.write(b"piece %d;" % number)
                assert receive_exactly(connection, 8) == b"piece %d;" % number
        assert receive_all(connection) == b" behind"
    assert process.wait() == 0, process


def test_a_file_that_is_not_there_is_found_out_before_connecting(sonde, echo_peer, tmp_path):
    for name in ("no such file", "."):
        result = sonde.connect("--send", "x", "--send", f"@{tmp_path}/{name}", echo_peer.url)
        assert (result.status, result.out) == (2, b"")
        assert str(tmp_path) in one_sentence(result.err)
    with_terminal_bytes = sonde.connect("--send", "@\x1b[31mred", echo_peer.url)
    harness.assert_printable(with_terminal_bytes.err.encode())
    assert echo_peer.n_connections == 0


def test_for_ever_until_the_peer_has_enough(sonde, listen):
    """Its reset ends it; a slow reader is waited for."""
    sock = listen()
    process = sonde.start_connect("--send", "abc", "--repeat", "0", url_of(sock), stdin=subprocess.DEVNULL)
    connection, _ = harness.accept(sock)
    data = receive_exactly(connection, harness.scaled(6 << 20, 3 << 20) // 3 * 3)
    assert data == b"abc" * (len(data) // 3)
    harness.reset(connection)
    assert process.wait() == 1
    assert "reset" in one_sentence(process.err.text)


def test_for_ever_ends_with_the_peer_s_end(sonde, listen):
    """What is under way is sent whole; it does not go on for ever to a peer that still reads."""
    sock = listen()
    process = sonde.start_connect("--send", "abc", "--repeat", "0", url_of(sock), stdin=subprocess.DEVNULL)
    connection, _ = harness.accept(sock)
    with connection:
        connection.sendall(b"enough")
        connection.shutdown(socket.SHUT_WR)
        data = receive_all(connection)
    assert data == b"abc" * (len(data) // 3)
    assert process.wait() == 0, process
    assert process.out.data == b"enough"


def test_a_reader_that_stops_is_waited_for(sonde, listen, tmp_path):
    data = os.urandom(harness.scaled(16 << 20, 8 << 20))
    path = tmp_path / "data"
    path.write_bytes(data)
    sock = listen()
    process = sonde.start_connect("--send", f"@{path}", url_of(sock), stdin=subprocess.DEVNULL)
    connection, _ = harness.accept(sock)
    with connection:
        with harness.Observation(0.3):
            pass
        got = receive_all(connection)
    assert got == data, harness.difference(got, data)
    assert process.wait() == 0, process


class Arrivals:
    """A server that notes when each receive brought what; it answers nothing."""

    def __init__(self, peer):
        self.pieces = []
        self.peer = peer(self._script)
        self.url = self.peer.url

    def _script(self, connection, _):
        while chunk := connection.recv(1 << 16):
            self.pieces.append((time.monotonic(), chunk))

    def join(self):
        self.peer.join()


def test_every(sonde, peer):
    """Relations only: the pieces come apart, and all of it takes as long as the pauses at least."""
    server = Arrivals(peer)
    result = sonde.connect("--send", "tick", "--repeat", "5", "--every", "150ms", server.url, stdin=subprocess.DEVNULL)
    assert (result.status, result.err) == (0, "")
    server.join()
    assert b"".join(chunk for _, chunk in server.pieces) == b"tick" * 5
    if len(server.pieces) == 5:  # on a loaded machine two may be read together
        assert all(chunk == b"tick" for _, chunk in server.pieces)
    assert len(server.pieces) > 1
    closed = sonde.connect("-v", "--send", "t", "--repeat", "5", "--every", "150ms", server.url, stdin=subprocess.DEVNULL)
    seconds = float(closed.err.split(" s\n")[0].rsplit(" ", 1)[1])
    assert seconds >= 4 * 0.15


def test_every_sends_one_after_the_other(sonde, peer):
    """Each --send has its own time."""
    server = Arrivals(peer)
    begin = time.monotonic()
    options = ["--send", "one", "--send", "two", "--send", "three", "--every", "0.3"]
    result = sonde.connect(*options, server.url, stdin=subprocess.DEVNULL)
    assert time.monotonic() - begin >= 2 * 0.3
    assert result.status == 0, result.process
    server.join()
    assert [chunk for _, chunk in server.pieces] == [b"one", b"two", b"three"] or len(server.pieces) < 3
    assert b"".join(chunk for _, chunk in server.pieces) == b"onetwothree"


def test_what_was_late_is_not_made_up_for(sonde, listen):
    """It is stopped for many intervals: what comes when it goes on is one piece, not all that were missed."""
    sock = listen()
    begin = time.monotonic()
    process = sonde.start_connect("-v", "--send", "x", "--repeat", "0", "--every", "100ms", url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        assert receive_exactly(connection, 2) == b"xx"
        process.stop()
        seconds = time.monotonic() - begin
        with harness.Observation(2):
            pass
        n_before = 2 + len(receive_ready(connection))
        assert n_before <= 1 + seconds / 0.1, "it was stopped"
        begin = time.monotonic()
        process.go_on()
        n_after = 0
        while n_after < 3:
            n_after += len(connection.recv(1 << 16))
        seconds = time.monotonic() - begin
        # One at once, then one for each interval: had it made up for them, 20 would be there.
        assert n_after <= 2 + seconds / 0.1, f"{n_after} pieces in {seconds:.3f} s"
        process.signal(2)
        assert process.wait() == 130
    assert "--every: at " in process.err.text


def receive_ready(sock):
    """What is there, without waiting."""
    sock.setblocking(False)
    data = bytearray()
    try:
        while chunk := sock.recv(1 << 16):
            data += chunk
    except BlockingIOError:
        pass
    finally:
        sock.settimeout(DEADLINE)
    return bytes(data)


def test_every_is_ended_by_the_peer_s_end(sonde, listen):
    """What is not due yet is not there without waiting."""
    sock = listen()
    process = sonde.start_connect("--send", "x", "--repeat=2", "--every", "1h", url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        assert receive_exactly(connection, 1) == b"x"
        connection.sendall(b"bye")
        connection.shutdown(socket.SHUT_WR)
        assert receive_all(connection) == b""
    assert process.wait() == 0, process
    assert process.out.data == b"bye"


def test_every_s_own_silence_is_no_idleness(sonde, echo_peer):
    """-w is about the peer's silence; this one is of our own making."""
    options = ["--send", "x", "--repeat=2", "--every", "2.5", "-w", "1.5"]
    result = sonde.connect(*options, echo_peer.url, stdin=subprocess.DEVNULL)
    assert (result.status, result.out, result.err) == (0, b"xx", "")


def test_i_waits_between_the_lines_of_a_text(sonde, peer):
    server = Arrivals(peer)
    begin = time.monotonic()
    result = sonde.connect("--send", r"a\nb\nc\n", "-i", "0.2", server.url, stdin=subprocess.DEVNULL)
    assert time.monotonic() - begin >= 0.4
    assert result.status == 0, result.process
    server.join()
    assert b"".join(chunk for _, chunk in server.pieces) == b"a\nb\nc\n"


@pytest.mark.parametrize("rule", [["--eof", "close"], ["-q", "0"], ["--eof", "after:0.2"]], ids=" ".join)
def test_its_end_is_input_s_end(sonde, listen, rule):
    sock = listen()
    process = sonde.start_connect("--send", "hi", *rule, url_of(sock))  # standard input stays open
    connection, _ = harness.accept(sock)
    with connection:
        assert receive_all(connection) == b"hi"
        assert process.wait() == 0, process


def test_eof_ignore(sonde, listen):
    sock = listen()
    process = sonde.start_connect("--send", "hi", "--eof", "ignore", url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        assert receive_exactly(connection, 2) == b"hi"
        with harness.Observation(0.3):
            pass
        assert harness.nothing_to_read(connection)
        connection.sendall(b"ho")
    assert process.wait() == 0, process
    assert process.out.data == b"ho"


def test_json_and_hex_show_what_was_sent(sonde, echo_peer):
    result = sonde.connect("--send", "hex:00ff", "--json", echo_peer.url, stdin=subprocess.DEVNULL)
    events = harness.strict_json_lines(result.out)
    assert [event["base64"] for event in events if event["event"] == "data"] == ["AP8="] * 2
    result = sonde.connect("--send", "hex:00ff", "--hex", echo_peer.url, stdin=subprocess.DEVNULL)
    assert harness.hex_dump(result.out.decode(), "> ") == b"\x00\xff"
    assert harness.hex_dump(result.out.decode(), "< ") == b"\x00\xff"


def test_interrupt_while_waiting_for_the_next(sonde, listen):
    sock = listen()
    process = sonde.start_connect("--send", "x", "--repeat", "0", "--every", "1h", url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        assert receive_exactly(connection, 1) == b"x"
        process.signal(2)
        assert process.wait() == 130


def test_on_a_terminal(sonde, echo_peer):
    """The keyboard is not read."""
    terminal = sonde.on_terminal("connect", "--send", r"hello\n", "--once", "--eof", "ignore", echo_peer.url)
    status, output = terminal.wait()
    assert status == 0
    assert b"hello\r\n" in output


@pytest.mark.parametrize("name", ["nc.openbsd", "ncat", "socat"])
def test_other_servers(sonde, tool, name, tmp_path):
    data = os.urandom(harness.scaled(1 << 20, 1 << 18))
    path = tmp_path / "data"
    path.write_bytes(data)
    port = harness.free_port()
    argv = {
        "nc.openbsd": [tool("nc.openbsd") if name == "nc.openbsd" else "", "-l", "127.0.0.1", port],
        "ncat": [tool("ncat") if name == "ncat" else "", "-l", "127.0.0.1", port],
        "socat": [tool("socat") if name == "socat" else "", "-u", f"TCP-LISTEN:{port},bind=127.0.0.1", "STDOUT"],
    }[name]
    server = sonde.start([str(argument) for argument in argv], stdin=subprocess.DEVNULL)
    process = sonde.start_connect("--retry", "--send", f"@{path}", "-q", "0", f"tcp://127.0.0.1:{port}")
    assert process.wait() == 0, process
    server.wait()
    assert server.out.data == data, harness.difference(server.out.data, data)
