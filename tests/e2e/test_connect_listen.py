# SPDX-License-Identifier: MIT
"""`sonde connect -l`: waits for who comes, and then is as any connection is. Against nc, ncat, socat and itself."""

import json
import os
import re
import signal
import socket
import stat
import subprocess

import pytest

import harness
from harness import dial, one_sentence, receive_all, receive_exactly, wait_until


class Listener:
    """`sonde connect -l`, listening."""

    def __init__(self, command, *arguments, sockets=1, **keywords):
        self.process = command.start_connect("-l", *arguments, **keywords)
        lines = rf"(?:^listening \S+\n){{{sockets}}}"
        found = self.process.err.wait_for(
            lambda data: re.search(lines, data.decode("utf-8", "replace"), re.M), f"{sockets} lines: listening"
        )
        self.urls = [line.split()[1] for line in found[0].splitlines()]
        self.url = self.urls[0]
        self.port = int(self.url.rsplit(":", 1)[1]) if self.url.startswith("tcp:") else None

    def __getattr__(self, name):
        return getattr(self.process, name)

    def complaints(self):
        """Standard error without the lines that are always there."""
        return [line for line in self.err.text.splitlines() if not line.startswith("listening ")]


@pytest.fixture
def waiting(sonde):
    return lambda *arguments, **keywords: Listener(sonde, *arguments, **keywords)


ANY = ("127.0.0.1", "0")


def test_one_client_both_ways(waiting):
    server = waiting(*ANY)
    with dial(server.url) as client:
        server.feed(b"from here\n")
        assert receive_exactly(client, 10) == b"from here\n"
        client.sendall(b"from there\n")
        server.out.wait_match("^from there$")
        server.end_input()
        assert receive_all(client) == b""
        client.sendall(b"and more")
    assert server.wait() == 0, server.process
    assert server.out.data == b"from there\nand more"
    assert server.complaints() == []


def test_the_port_is_closed_once_somebody_is_there(waiting):
    server = waiting(*ANY)
    with dial(server.url) as client:
        client.sendall(b"x")
        server.out.wait_for(lambda data: data == b"x", "x")
        wait_until(lambda: harness.accept_queue(server.port) is None, "nobody listens")
        with pytest.raises(ConnectionRefusedError):
            dial(server.url)
        server.end_input()
    assert server.wait() == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["{port}"],
        ["127.0.0.1", "{port}"],
        ["tcp://127.0.0.1:{port}"],
        [":{port}"],
        ["-p", "{port}"],
        ["-p{port}", "127.0.0.1"],
        ["-s", "127.0.0.1", "-p", "{port}"],
        ["-s", "127.0.0.1", "{port}"],
        ["-n", "-v", "127.0.0.1", "{port}"],
        ["-4", "localhost", "{port}"],
    ],
    ids=" ".join,
)
def test_ways_to_say_where(sonde, arguments):
    port = harness.free_port()
    process = sonde.start_connect("-l", *[argument.format(port=port) for argument in arguments])
    process.err.wait_match(rf"^listening tcp://127\.0\.0\.1:{port}$")
    with dial(f"tcp://127.0.0.1:{port}") as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert process.wait() == 0, process
    assert process.out.data == b"hello"


def test_without_a_host_it_is_loopback_of_both_families(waiting, ipv6):
    server = waiting("0", sockets=2)
    assert server.urls == [f"tcp://127.0.0.1:{server.port}", f"tcp://[::1]:{server.port}"]
    with dial(server.urls[1]) as client:
        client.sendall(b"by IPv6")
        client.shutdown(socket.SHUT_WR)
        assert server.wait() == 0
    assert server.out.data == b"by IPv6"


def test_6(waiting, ipv6):
    server = waiting("-6", "0")
    assert server.url.startswith("tcp://[::1]:")


def test_the_default_is_serve_s(sonde):
    """Port 7007 may be taken here: then that is what is said."""
    process = sonde.start_connect("-l", "-w", "5")
    process.err.wait_match(r"^listening tcp://127\.0\.0\.1:7007$|^sonde: tcp://127\.0\.0\.1:7007 is in use")
    process.signal(signal.SIGINT)
    assert process.wait() in (130, 1)


def test_unix(waiting, place, sonde):
    path = place / "a.sock"
    server = waiting("-v", f"unix:{path}")
    assert stat.S_ISSOCK(path.stat().st_mode)
    result = sonde.connect(server.url, input=b"over UNIX")
    server.end_input()
    assert (result.status, server.wait()) == (0, 0)
    assert server.out.data == b"over UNIX"
    assert not path.exists()
    assert re.search(rf"^connected unix:{path} <- pid \d+ \(uid \d+\)$", server.err.text, re.M)


@pytest.mark.parametrize("client", ["nc.openbsd", "ncat", "socat", "sonde"])
def test_other_clients(sonde, waiting, tool, client):
    """Both send much, and end: each goes on when the other has ended first."""
    there, here = os.urandom(harness.scaled(1 << 20, 1 << 18)), os.urandom(harness.scaled(1 << 20, 1 << 18))
    server = waiting("--peer-eof", "wait", *ANY)
    argv = {
        "nc.openbsd": lambda: [tool("nc.openbsd"), "-N", "127.0.0.1", str(server.port)],
        "ncat": lambda: [tool("ncat"), "127.0.0.1", str(server.port)],
        "socat": lambda: [tool("socat"), "-t", "30", "-", f"TCP:127.0.0.1:{server.port}"],
        "sonde": lambda: sonde.argv("connect", "--peer-eof", "wait", server.url),
    }[client]()
    process = sonde.start(argv)
    feeders = [
        harness.threading.Thread(target=lambda who=who, data=data: (who.feed(data), who.end_input()), daemon=True)
        for who, data in ((process, there), (server.process, here))
    ]
    for feeder in feeders:
        feeder.start()
    assert server.wait() == 0, server.process
    assert process.wait() == 0, process
    for feeder in feeders:
        feeder.join(harness.DEADLINE)
    assert server.out.data == there, harness.difference(server.out.data, there)
    assert process.out.data == here, harness.difference(process.out.data, here)


@pytest.mark.parametrize("client", ["nc.openbsd", "ncat"])
def test_standard_input_that_has_ended(sonde, waiting, tool, client):
    """The client is told the end at once, and may say what it likes."""
    server = waiting(*ANY, stdin=subprocess.DEVNULL)
    argv = [tool(client), *(["-N"] if client == "nc.openbsd" else []), "127.0.0.1", str(server.port)]
    result = sonde.start(argv)
    result.feed(b"hello\n")
    result.end_input()
    assert (server.wait(), result.wait()) == (0, 0)
    assert (server.out.data, result.out.data) == (b"hello\n", b"")


def test_input_is_kept_for_who_comes(waiting):
    """What was there before anybody was."""
    server = waiting(*ANY)
    server.feed(b"early\n")
    server.end_input()
    with dial(server.url) as client:
        assert receive_all(client) == b"early\n"
    assert server.wait() == 0


@pytest.mark.parametrize(
    "options, half_closes, waits",
    [([], True, True), (["-N"], True, True), (["-q", "0"], True, False), (["--eof", "ignore"], False, True)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_rules_of_the_end(waiting, options, half_closes, waits):
    server = waiting(*options, *ANY)
    server.end_input()
    with dial(server.url) as client:
        if half_closes:
            assert receive_all(client) == b""
        else:
            with harness.Observation(0.3):
                pass
            assert harness.nothing_to_read(client)
        if waits:
            client.sendall(b"late")
            client.shutdown(socket.SHUT_WR)
        assert server.wait() == 0, server.process
    assert server.out.data == (b"late" if waits else b"")


def test_peer_eof_wait(waiting):
    server = waiting("--peer-eof", "wait", *ANY)
    with dial(server.url) as client:
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        server.out.wait_for(lambda data: data == b"x", "x")
        server.feed(b"still here")
        assert receive_exactly(client, 10) == b"still here"
        server.end_input()
        assert receive_all(client) == b""
    assert server.wait() == 0


def test_once(waiting):
    server = waiting("--once", *ANY)
    with dial(server.url) as client:
        client.sendall(b"first")
        assert server.wait() == 0
    assert server.out.data == b"first"


def test_w_is_about_idleness_and_not_about_waiting(waiting):
    server = waiting("-w", "0.4", *ANY)
    with harness.Observation(0.8):
        pass
    assert server.running, server.process
    with dial(server.url) as client:
        assert server.wait() == 1
        assert receive_all(client) == b""
    assert "timed out" in "".join(server.complaints())


def test_a_reset_names_the_client(waiting):
    server = waiting(*ANY)
    client = dial(server.url)
    name = harness.text_address(client.getsockname())
    client.sendall(b"x")
    server.out.wait_for(lambda data: data == b"x", "x")
    harness.reset(client)
    assert server.wait() == 1
    assert server.complaints()[0].startswith(f"sonde: {name} reset the connection")


def test_v(waiting):
    server = waiting("-v", *ANY)
    with dial(server.url) as client:
        peer = re.escape(harness.text_address(client.getsockname()))
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert server.wait() == 0
    local = re.escape(f"127.0.0.1:{server.port}")
    connected, closed = server.complaints()
    assert re.fullmatch(rf"connected {local} <- {peer}", connected)
    assert re.fullmatch(rf"closed {local} <- {peer} end of data, 5 bytes in, 0 out, \d+\.\d+ s", closed)


def test_json(waiting):
    server = waiting("--json", *ANY)
    server.out.wait_match('"listening"')
    with dial(server.url) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        peer = harness.text_address(client.getsockname())
        assert server.wait() == 0
    events = harness.strict_json_lines(server.out.data)
    assert [event["event"] for event in events] == ["listening", "opened", "data", "closed"]
    assert events[0]["url"] == server.url
    assert (events[1]["peer"], events[1]["local"]) == (peer, f"127.0.0.1:{server.port}")
    assert events[-1]["reason"] == "end"


def test_calls(waiting):
    server = waiting("--calls", *ANY)
    with dial(server.url) as client:
        client.shutdown(socket.SHUT_WR)
        assert server.wait() == 0
    for call in ("listen(", "accept", "recv("):
        assert call in server.err.text


def test_trace_json(waiting, tmp_path, sonde):
    """The events are of the server's side; sonde trace can draw them."""
    path = tmp_path / "events"
    server = waiting("--trace-json", path, *ANY)
    with dial(server.url) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert server.wait() == 0
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert {"accept", "recv"} <= {event.get("call") for event in events}
    assert sonde.run("trace", "-r", path).status == 0


def test_interrupt_while_waiting(waiting, place):
    path = place / "a.sock"
    for arguments in (ANY, ("-k", *ANY), (f"unix:{path}",)):
        server = waiting(*arguments)
        server.signal(signal.SIGINT)
        assert server.wait() == 130
        assert server.complaints() == []
    assert not path.exists()


def test_an_address_that_is_taken(sonde, listen):
    sock = listen()
    result = sonde.connect("-l", *map(str, sock.getsockname()))
    assert (result.status, result.out) == (1, b"")
    assert "in use" in one_sentence(result.err)


def test_an_option_that_is_for_connecting(sonde):
    result = sonde.connect("-l", "tcp://127.0.0.1:0?bind=127.0.0.1")
    assert (result.status, result.out) == (1, b"") or result.status == 2
    assert "bind" in one_sentence(result.err)


# --- -k ----------------------------------------------------------------------------------------------------------


def test_k_takes_one_after_the_other(waiting):
    """The others wait in the accept queue meanwhile."""
    server = waiting("-k", "--eof", "ignore", *ANY)
    server.end_input()
    first, second, third = (dial(server.url) for _ in range(3))
    first.sendall(b"1")
    server.out.wait_for(lambda data: data == b"1", "1")
    second.sendall(b"2")
    third.sendall(b"3")
    harness.wait_acknowledged(second)
    wait_until(lambda: harness.accept_queue(server.port) == 2, "two wait")
    assert server.out.data == b"1"
    first.close()
    server.out.wait_for(lambda data: data == b"12", "2")
    assert harness.accept_queue(server.port) == 1
    second.close()
    server.out.wait_for(lambda data: data == b"123", "3")
    third.close()
    with dial(server.url) as fourth:
        fourth.sendall(b"4")
        server.out.wait_for(lambda data: data == b"1234", "4")
        server.signal(signal.SIGINT)
        assert server.wait() == 130
    assert server.complaints() == []


def test_k_a_client_that_resets_is_not_the_end(waiting):
    server = waiting("-k", *ANY)
    client = dial(server.url)
    client.sendall(b"x")
    server.out.wait_for(lambda data: data == b"x", "x")
    harness.reset(client)
    server.err.wait_match("reset the connection")
    with dial(server.url) as client:
        server.feed(b"next\n")
        assert receive_exactly(client, 5) == b"next\n"
        server.signal(signal.SIGINT)
        assert server.wait() == 130


def test_k_input_goes_to_who_is_there(waiting):
    server = waiting("-k", *ANY)
    for number in range(3):
        with dial(server.url) as client:
            server.feed(b"to %d\n" % number)
            assert receive_exactly(client, 5) == b"to %d\n" % number
            client.sendall(b"from %d\n" % number)
            client.shutdown(socket.SHUT_WR)
            assert receive_all(client) == b""
    server.signal(signal.SIGINT)
    assert server.wait() == 130
    assert server.out.data == b"from 0\nfrom 1\nfrom 2\n"


def test_k_input_that_has_ended_stays_ended(waiting):
    server = waiting("-k", *ANY)
    server.feed(b"for the first")
    server.end_input()
    for number in range(3):
        with dial(server.url) as client:
            client.sendall(b"%d" % number)
            assert receive_all(client) == (b"for the first" if number == 0 else b"")
    server.out.wait_for(lambda data: data == b"012", "what all three sent")
    server.signal(signal.SIGINT)
    assert server.wait() == 130


def test_k_send_is_sent_to_each(waiting):
    server = waiting("-k", "--send", "hello ", "--send", "you", *ANY)
    for _ in range(3):
        with dial(server.url) as client:
            assert receive_all(client) == b"hello you"
    server.signal(signal.SIGINT)
    assert server.wait() == 130


def test_k_send_begins_anew_when_it_was_cut_short(waiting, tmp_path):
    """What was read for one that has gone is not for the next."""
    data = os.urandom(1 << 22)
    path = tmp_path / "data"
    path.write_bytes(data)
    server = waiting("-k", "--send", f"@{path}", *ANY)
    for _ in range(2):
        client = dial(server.url)
        assert receive_exactly(client, 1000) == data[:1000]
        harness.reset(client)
    with dial(server.url) as client:
        got = receive_all(client)
    assert got == data, harness.difference(got, data)
    server.signal(signal.SIGINT)
    assert server.wait() == 130


def test_k_expect_the_first_who_says_it(waiting):
    """A client that does not is told of; its bytes and the next one's are not taken together."""
    server = waiting("-k", "--expect", "OPEN SESAME", *ANY)
    with dial(server.url) as client:
        client.sendall(b"OPEN")
    server.err.wait_match("ended without sending")
    with dial(server.url) as client:
        client.sendall(b" SESAME")
    server.err.wait_match(r"(?s)ended without sending.*ended without sending")
    with dial(server.url) as client:
        client.sendall(b"OPEN SESAME")
        assert server.wait() == 0
    assert server.out.data == b"OPEN SESAMEOPEN SESAME"


def test_k_within_is_for_each(waiting):
    server = waiting("-k", "--expect", "x", "--within", "0.3", *ANY)
    for _ in range(2):
        with dial(server.url) as client:
            receive_all(client)
    server.stop()
    with dial(server.url) as client:
        client.sendall(b"x")
        harness.wait_acknowledged(client)
        server.go_on()  # when it hears of the third, what that one says is there already
        assert server.wait() == 0
    assert server.err.text.count("within 0.3 s") == 2


def test_k_verify_echo_is_for_each(waiting):
    server = waiting("-k", "-v", "--verify-echo", "--send", "hello", *ANY)
    for answer, said in ((b"hello", "5 bytes came back"), (b"hullo", "at offset 1 "), (b"he", "2 of 5 bytes")):
        with dial(server.url) as client:
            assert receive_all(client) == b"hello"
            client.sendall(answer)
            client.shutdown(socket.SHUT_WR)
            server.err.wait_for(lambda data, said=said: said.encode() in data, said)
    server.signal(signal.SIGINT)
    assert server.wait() == 130


def test_k_once(waiting):
    server = waiting("-k", "--once", *ANY)
    with dial(server.url):
        pass
    with dial(server.url) as client:
        client.sendall(b"first")
        assert server.wait() == 0
    assert server.out.data == b"first"


def test_k_json_counts_connections(waiting):
    server = waiting("-k", "--json", *ANY)
    for _ in range(3):
        with dial(server.url) as client:
            client.sendall(b"x")
            client.shutdown(socket.SHUT_WR)
            receive_all(client)
    server.out.wait_for(lambda data: data.count(b'"closed"') == 3, "three closed events")
    server.signal(signal.SIGINT)
    assert server.wait() == 130
    events = harness.strict_json_lines(server.out.data)
    assert [event["connection"] for event in events if event["event"] == "closed"] == [1, 2, 3]


def test_k_output_holds_what_all_have_sent(waiting, tmp_path):
    path = tmp_path / "received"
    server = waiting("-k", "--output", path, *ANY)
    for number in range(2):
        with dial(server.url) as client:
            client.sendall(b"%d" % number)
            client.shutdown(socket.SHUT_WR)
            receive_all(client)
        wait_until(lambda number=number: len(path.read_bytes()) == number + 1, "it is written")
    server.signal(signal.SIGINT)
    assert server.wait() == 130
    assert path.read_bytes() == b"01"


def test_on_a_terminal(sonde):
    port = harness.free_port()
    terminal = sonde.on_terminal("connect", "-l", "127.0.0.1", port)
    terminal.out.wait_match("listening ")
    with dial(f"tcp://127.0.0.1:{port}") as client:
        client.sendall(b"\x1b[2Jhello\n")
        terminal.out.wait_match(r"\\x1b\[2Jhello")
        terminal.type(b"hi there\n")
        assert receive_exactly(client, 9) == b"hi there\n"
    status, output = terminal.wait()
    assert status == 0
    assert b"connected 127.0.0.1" in output
