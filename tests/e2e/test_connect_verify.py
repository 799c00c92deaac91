# SPDX-License-Identifier: MIT
"""`sonde connect --verify-echo`: what comes back must be what was sent; echoes that lie in every way."""

import contextlib
import os
import socket
import subprocess

import pytest

import harness
from harness import one_sentence, receive_all, receive_exactly, url_of


class Liar:
    """An echo that does as it should until a certain offset, and there does something else."""

    def __init__(self, peer, at, lie):
        self.at, self.lie = at, lie
        self.peer = peer(self._script)
        self.url = self.peer.url

    def _script(self, connection, _):
        n_bytes = 0
        try:
            while chunk := connection.recv(1 << 16):
                if n_bytes <= self.at < n_bytes + len(chunk):
                    where = self.at - n_bytes
                    chunk = chunk[:where] + self.lie(chunk[where:])
                n_bytes += len(chunk)
                connection.sendall(chunk)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was found out


def altered(rest):
    return bytes([rest[0] ^ 1]) + rest[1:]


SIZE = 300000
DATA = bytes(number * 2654435761 >> 7 & 255 for number in range(SIZE))


def hex_of(data):
    return " ".join(f"{byte:02x}" for byte in data[:8])


def test_an_honest_echo(sonde, echo_peer):
    """Nothing is printed: the exit status is the answer."""
    result = sonde.connect("--verify-echo", echo_peer.url, input=DATA)
    assert (result.status, result.out, result.err) == (0, b"", "")


def test_v_says_how_much(sonde, echo_peer):
    result = sonde.connect("-v", "--verify-echo", echo_peer.url, input=DATA)
    assert (result.status, result.out) == (0, b"")
    assert result.err.splitlines()[-1] == f"{SIZE} bytes came back as they were sent"


def test_nothing_sent_nothing_back(sonde, echo_peer):
    assert sonde.connect("--verify-echo", echo_peer.url, input=b"").status == 0


def test_sonde_s_own_echo(sonde):
    server = sonde.serve("echo")
    result = sonde.connect("--verify-echo", server.url, input=os.urandom(harness.scaled(4 << 20, 1 << 20)))
    assert (result.status, result.out, result.err) == (0, b"", "")


def test_socat_s_echo(sonde, tool):
    port = harness.free_port()
    server = sonde.start([tool("socat"), f"TCP-LISTEN:{port},bind=127.0.0.1", "PIPE"], stdin=subprocess.DEVNULL)
    url = f"tcp://127.0.0.1:{port}"
    result = sonde.connect("--retry", "--verify-echo", url, input=os.urandom(harness.scaled(1 << 20, 1 << 18)))
    assert (result.status, result.out, result.err) == (0, b"", "")
    server.wait()


@pytest.mark.parametrize("at", [0, 1, 65535, 65536, 131072, SIZE - 1])
def test_an_altered_byte(sonde, peer, at):
    liar = Liar(peer, at, altered)
    process = sonde.start_connect("--verify-echo", liar.url)
    with contextlib.suppress(BrokenPipeError):  # it may have found out already
        process.feed(DATA)
    assert process.wait() == 1, "standard input is still open: the difference ends it"
    sentence = one_sentence(process.err.text)
    assert liar.url in sentence
    assert f"at offset {at} " in sentence
    assert f" {hex_of(DATA[at : at + 1])}" in sentence and f" {hex_of(altered(DATA[at : at + 1]))}" in sentence
    assert process.out.data == b""


def test_a_dropped_byte(sonde, peer):
    liar = Liar(peer, 1000, lambda rest: rest[1:])
    result = sonde.connect("--verify-echo", liar.url, input=DATA)
    assert result.status == 1
    sentence = one_sentence(result.err)
    first = next(index for index in range(1000, SIZE) if DATA[index] != DATA[index + 1])
    assert f"at offset {first} " in sentence
    assert hex_of(DATA[first : first + 8]) in sentence and hex_of(DATA[first + 1 : first + 9]) in sentence


def test_a_dropped_last_byte(sonde, peer):
    liar = Liar(peer, SIZE - 1, lambda rest: b"")
    result = sonde.connect("--verify-echo", liar.url, input=DATA)
    assert result.status == 1
    assert f"{SIZE - 1} of {SIZE} bytes" in one_sentence(result.err)


def test_a_doubled_byte(sonde, peer):
    liar = Liar(peer, 1000, lambda rest: rest[:1] + rest)
    result = sonde.connect("--verify-echo", liar.url, input=DATA)
    assert result.status == 1
    assert "at offset 1001 " in one_sentence(result.err)


def test_a_doubled_last_byte(sonde, peer):
    liar = Liar(peer, SIZE - 1, lambda rest: rest + rest)
    result = sonde.connect("--verify-echo", liar.url, input=DATA)
    assert result.status == 1
    sentence = one_sentence(result.err)
    assert "more than it was sent" in sentence and f"{SIZE} bytes" in sentence and hex_of(DATA[-1:]) in sentence


def test_a_greeting_is_more_than_was_sent(sonde, peer):
    server = peer(lambda connection, _: (connection.sendall(b"welcome\n"), harness.echo_script(connection, 0)))
    process = sonde.start_connect("--verify-echo", server.url)
    assert process.wait() == 1
    assert hex_of(b"welcome\n") in one_sentence(process.err.text)


def test_an_echo_that_stops_early(sonde, listen):
    """While there is more to send, and although it goes on reading."""
    sock = listen()
    process = sonde.start_connect("--verify-echo", url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        process.feed(b"0123456789")
        assert receive_exactly(connection, 10) == b"0123456789"
        connection.sendall(b"0123")
        connection.shutdown(socket.SHUT_WR)
        assert process.wait() == 1
    assert "4 of 10 bytes" in one_sentence(process.err.text)


def test_an_echo_that_ends_before_the_input_does(sonde, listen, tmp_path):
    """All that it had been sent came back; but there was more to send."""
    path = tmp_path / "data"
    path.write_bytes(b"x" * (8 << 20))
    sock = listen()
    process = sonde.start_connect("--verify-echo", "--send", f"@{path}", url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        connection.sendall(receive_exactly(connection, 1000))
        connection.shutdown(socket.SHUT_WR)
        assert process.wait() == 1
    assert "did not send back all" in one_sentence(process.err.text)


def test_when_the_rules_of_the_end_say_so(sonde, listen):
    """-q: it leaves before all has come back."""
    sock = listen()
    process = sonde.start_connect("--verify-echo", "-q", "0.3", url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        process.feed(b"hello")
        assert receive_exactly(connection, 5) == b"hello"
        connection.sendall(b"hel")
        harness.wait_taken(connection)
        process.end_input()
        assert receive_all(connection) == b""
        assert process.wait() == 1
    assert "3 of 5 bytes" in one_sentence(process.err.text)


def test_a_reset(sonde, listen):
    sock = listen()
    process = sonde.start_connect("--verify-echo", url_of(sock))
    connection, _ = harness.accept(sock)
    process.feed(b"hello")
    receive_exactly(connection, 5)
    connection.sendall(b"he")
    harness.wait_taken(connection)
    harness.reset(connection)
    assert process.wait() == 1
    assert "reset" in one_sentence(process.err.text)


def test_what_does_not_come_back_is_not_sent_without_end(sonde, listen):
    """1 MiB is kept, no more: input waits until something comes back."""
    sock = listen()
    process = sonde.start_connect("--verify-echo", "--send", "x", "--repeat", "0", url_of(sock), stdin=subprocess.DEVNULL)
    connection, _ = harness.accept(sock)
    with connection:
        n_bytes = len(receive_exactly(connection, 1 << 19))
        connection.settimeout(0.5)
        try:
            while chunk := connection.recv(1 << 20):
                n_bytes += len(chunk)
        except socket.timeout:
            pass
        connection.settimeout(harness.DEADLINE)
        assert n_bytes <= 1 << 20
        connection.sendall(b"x" * n_bytes)
        assert receive_exactly(connection, 1 << 18) == b"x" * (1 << 18)
        process.signal(2)
        assert process.wait() == 130


def test_crlf_is_compared_as_it_was_sent(sonde, peer):
    got = []

    def script(connection, _):
        while chunk := connection.recv(1 << 16):
            got.append(chunk)
            connection.sendall(chunk)

    result = sonde.connect("--verify-echo", "--crlf", peer(script).url, input=b"a\nb\n")
    assert (result.status, b"".join(got)) == (0, b"a\r\nb\r\n")


def test_output_json_and_hex_show_what_comes(sonde, echo_peer, tmp_path):
    path = tmp_path / "received"
    result = sonde.connect("--verify-echo", "--output", path, echo_peer.url, input=DATA)
    assert (result.status, result.out, path.read_bytes()) == (0, b"", DATA)
    result = sonde.connect("--verify-echo", "--json", echo_peer.url, input=b"hello")
    events = harness.strict_json_lines(result.out)
    assert {event.get("text") for event in events if event["event"] == "data"} == {"hello"}
    assert (result.status, events[-1]["reason"]) == (0, "end")
    result = sonde.connect("--verify-echo", "--hex", echo_peer.url, input=b"hello")
    assert harness.hex_dump(result.out.decode(), "< ") == b"hello"


def test_json_of_a_difference(sonde, peer):
    result = sonde.connect("--verify-echo", "--json", Liar(peer, 2, altered).url, input=b"hello")
    events = harness.strict_json_lines(result.out)
    assert (result.status, events[-1]["event"], events[-1]["reason"]) == (1, "closed", "differs")


def test_send_repeated(sonde):
    """Against an echo of its own, some megabytes."""
    server = sonde.serve("echo")
    n_rounds = harness.scaled(100000, 10000)
    options = ["-v", "--verify-echo", "--send", "0123456789abcdefg", f"--repeat={n_rounds}"]
    result = sonde.connect(*options, server.url, stdin=subprocess.DEVNULL)
    assert result.status == 0, result.process
    assert f"{17 * n_rounds} bytes came back" in result.err
