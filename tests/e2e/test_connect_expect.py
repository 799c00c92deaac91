# SPDX-License-Identifier: MIT
"""`sonde connect --expect`: wait until the peer has said something, and no longer."""

import os
import random
import re
import signal
import socket
import subprocess

import pytest

import harness
from harness import one_sentence, receive_all, url_of


def says(peer, *pieces, wait=True):
    """A server that says these one after the other, each once the one before has been taken, and then waits for the
    client's end, or ends."""

    def script(connection, _):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces:
                connection.sendall(piece)
                harness.wait_taken(connection)
            if wait:
                receive_all(connection)
        except ConnectionError:
            pass  # who has seen enough leaves

    return peer(script)


OPEN = ["--eof", "ignore"]  # the connection stays until somebody ends it


@pytest.mark.parametrize(
    "pattern, pieces",
    [
        ("READY", [b"not yet\nREADY\n"]),
        ("READY", [b"RE", b"A", b"DY"]),
        ("^220 ", [b"HELO\r\n", b"220 welcome"]),
        ("^[0-9]+\r?$", [b"x12\n34", b"\r\nmore"]),
        ("a[^x]b", [b"a\0", b"b"]),
        ("\u00e9|\u00fc", ["f\u00fcr".encode()]),
        ("X.*Y", [b"X" + b"a" * 50000, b"b" * 10000 + b"Y"]),
    ],
)
def test_it_ends_when_it_has_come(sonde, peer, pattern, pieces):
    """Whatever standard input does, and although neither side has ended."""
    server = says(peer, *pieces)
    process = sonde.start_connect("--expect", pattern, server.url)
    assert process.wait() == 0, process
    assert process.err.text == ""
    assert b"".join(pieces).startswith(process.out.data) and process.out.data, "what came so far is printed"
    assert re.search(pattern.encode(), process.out.data, re.M)


def test_not_utf_8(sonde, peer):
    server = says(peer, b"\xff\xfe\x00x")
    result = sonde.connect("--expect", os.fsdecode(b"\xff.[^a]x"), *OPEN, server.url)
    assert (result.status, result.out, result.err) == (0, b"\xff\xfe\x00x", "")


def test_the_peer_s_end_without_it_is_a_failure(sonde, peer):
    server = says(peer, b"something else\n", wait=False)
    result = sonde.connect("--expect", "REA(DY|L)", server.url)
    assert (result.status, result.out) == (1, b"something else\n")
    sentence = one_sentence(result.err)
    assert server.url in sentence and "REA(DY|L)" in sentence and "15 bytes" in sentence


def test_the_end_of_data_ends_the_last_line(sonde, peer):
    assert sonde.connect("--expect", "bye$", says(peer, b"good\ngoodbye", wait=False).url).status == 0
    assert sonde.connect("--expect", "good$", says(peer, b"goodbye", wait=False).url).status == 1
    assert sonde.connect("--expect", "^$", says(peer, b"goodbye\n", wait=False).url).status == 1


def test_what_came_before_a_reset_counts(sonde, listen):
    sock = listen()
    process = sonde.start_connect("--expect", "bye$", *OPEN, url_of(sock))
    connection, _ = harness.accept(sock)
    connection.sendall(b"goodbye")
    process.out.wait_match("goodbye")
    harness.reset(connection)
    assert process.wait() == 0, process
    process = sonde.start_connect("--expect", "hello", *OPEN, url_of(sock))
    connection, _ = harness.accept(sock)
    connection.sendall(b"goodbye")
    process.out.wait_match("goodbye")
    harness.reset(connection)
    assert process.wait() == 1
    assert "reset" in one_sentence(process.err.text)


def test_within(sonde, peer):
    server = says(peer, b"not this\n")
    result = sonde.connect("--expect", "this one", "--within", "1.5", *OPEN, server.url)
    assert (result.status, result.out) == (1, b"not this\n")
    sentence = one_sentence(result.err)
    assert "within 1.5 s" in sentence and "this one" in sentence and server.url in sentence


def test_within_is_no_hindrance(sonde, peer):
    server = says(peer, b"ready\n")
    result = sonde.connect("--expect", "ready", "--within", "30", *OPEN, server.url)
    assert (result.status, result.out, result.err) == (0, b"ready\n", "")


def test_within_does_not_count_the_time_to_connect(sonde, peer):
    """--retry takes longer than that."""
    port = harness.free_port()
    process = sonde.start_connect("--retry", "--expect", "ready", "--within", "1.5", *OPEN, f"tcp://127.0.0.1:{port}")
    with harness.Observation(2):
        pass
    assert process.running, process
    peer(lambda connection, _: (connection.sendall(b"ready"), receive_all(connection)), port=port)
    assert process.wait() == 0, process


def test_a_peer_that_trickles_does_not_extend_it(sonde, listen):
    sock = listen()
    process = sonde.start_connect("--expect", "never", "--within", "0.5", *OPEN, url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        try:
            for _ in range(200):
                connection.sendall(b"x")
                with harness.Observation(0.05):
                    pass
                if not process.running:
                    break
        except ConnectionError:
            pass
        assert process.wait() == 1
    assert "within" in one_sentence(process.err.text)


def test_once(sonde, listen):
    """The first bytes decide."""
    for said, status in ((b"hello", 0), (b"goodbye", 1)):
        sock = listen()
        process = sonde.start_connect("--once", "--expect", "hello", url_of(sock))
        connection, _ = harness.accept(sock)
        with connection:
            connection.sendall(said)
            assert process.wait() == status, process
        assert process.out.data == said
        assert (process.err.text == "") == (status == 0)


@pytest.mark.parametrize("rule", [["--eof", "close"], ["-q", "0.2"]], ids=" ".join)
def test_to_leave_without_it_is_a_failure(sonde, listen, rule):
    sock = listen()
    process = sonde.start_connect("--expect", "hello", *rule, url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        process.end_input()
        assert process.wait() == 1
    assert "hello" in one_sentence(process.err.text)


def test_json_tells_where(sonde, peer):
    server = says(peer, b"x" * 70000, b"one two three")
    result = sonde.connect("--json", "--expect", "t[a-z]+ t", *OPEN, server.url)
    assert (result.status, result.err) == (0, ""), result.process
    events = harness.strict_json_lines(result.out)
    matched = [event for event in events if event["event"] == "matched"]
    assert [(event["offset"], event["length"], event["connection"]) for event in matched] == [(70004, 5, 1)]
    assert [event["event"] for event in events if event["event"] != "data"] == ["opened", "matched", "closed"]
    assert events[-1]["reason"] == "here"


def test_json_tells_that_it_did_not_come(sonde, peer):
    result = sonde.connect("--json", "--expect", "no", "--within", "0.2", *OPEN, says(peer, b"yes").url)
    events = harness.strict_json_lines(result.out)
    assert result.status == 1
    assert "matched" not in [event["event"] for event in events]
    assert (events[-1]["event"], events[-1]["reason"]) == ("closed", "late")


def test_hex_and_output(sonde, peer, tmp_path):
    result = sonde.connect("--hex", "--expect", "ready", *OPEN, says(peer, b"ready").url)
    assert result.status == 0
    assert harness.hex_dump(result.out.decode(), "< ") == b"ready"
    path = tmp_path / "received"
    result = sonde.connect("--output", path, "--expect", "ready", *OPEN, says(peer, b"ready").url)
    assert (result.status, result.out, path.read_bytes()) == (0, b"", b"ready")


def test_send_and_expect(sonde, echo_peer):
    """The usual way: ask, and look at the answer."""
    result = sonde.connect("--send", "ping", "--expect", "ping", *OPEN, echo_peer.url, stdin=subprocess.DEVNULL)
    assert (result.status, result.out, result.err) == (0, b"ping", "")


def test_a_pattern_is_shown_safely(sonde, peer):
    result = sonde.connect("--expect", "\x1b[[]31m\u202e", says(peer, b"x", wait=False).url)
    assert result.status == 1
    harness.assert_printable(result.err.encode("utf-8", "surrogateescape"))


def test_regcomp_s_words(command):
    result = command.run("connect", "--expect", "(a", "127.0.0.1:7")
    assert result.status == 2
    assert "Unmatched (" in one_sentence(result.err)


@pytest.mark.heavy
def test_much_data_with_hardly_a_line_end(sonde, peer):
    """Expressions that take the square of the length when each beginning is tried by itself."""
    n_bytes = harness.scaled(16 << 20, 2 << 20)

    def script(connection, _):
        connection.sendall(b"a" * n_bytes)
        connection.sendall(b"b\nEND")
        receive_all(connection)

    for pattern in ("a.*c|^END", "(a|aa)+$c|END", "[^c]*cc|END$|^END"):
        result = sonde.connect("--expect", pattern, *OPEN, "--output", os.devnull, peer(script).url)
        assert result.status == 0, result.process


def test_many_small_pieces(sonde, listen):
    sock = listen()
    process = sonde.start_connect("--expect", "x{1000}$", *OPEN, "--output", os.devnull, url_of(sock))
    connection, _ = harness.accept(sock)
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(harness.scaled(20000, 2000)):
            connection.sendall(b"x")
        connection.sendall(b"\n")
        assert process.wait() == 0, process


def test_on_a_terminal(sonde, peer):
    terminal = sonde.on_terminal("connect", "--expect", "password: ", says(peer, b"\x1b[1mpassword: ").url)
    status, output = terminal.wait()
    assert status == 0
    assert b"\\x1b[1mpassword: " in output


# --- a pattern that takes long on what the peer sends ----------------------------------------------------------------

# Its automaton has a state for each set of positions at which the a may stand: text at random makes a new one a byte.
SLOW = "a.{24}c"


@pytest.fixture
def slow_text():
    return bytes(random.Random(1).choice(b"ab") for _ in range(65536))


def test_it_takes_no_longer_than_within(sonde, peer, slow_text):
    server = says(peer, slow_text)
    result = sonde.connect("--expect", SLOW, "--within", "500ms", *OPEN, server.url)
    assert result.status == 1
    assert "within 0.5 s" in one_sentence(result.err)


def test_it_can_be_interrupted_all_the_same(sonde, peer, slow_text):
    server = says(peer, slow_text)
    process = sonde.start_connect("--expect", SLOW, *OPEN, server.url)
    process.out.wait_for(lambda data: len(data) > 0, "the text")
    os.kill(process.pid, signal.SIGINT)
    assert process.wait() == 130
