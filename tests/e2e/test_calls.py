# SPDX-License-Identifier: MIT
"""--calls: every call on a socket as it happens, with its arguments and its result, on standard error."""

import collections
import re
import socket
import subprocess

import pytest

import harness
from harness import round_trip, receive_all, text_address, url_of

Call = collections.namedtuple("Call", "name fd arguments result note line")
LINE = re.compile(r"(?P<name>[a-z]+)\((?P<arguments>.*)\) = (?P<result>-?\d+)(?P<note>.*)$")


def calls(text):
    """The call lines of stderr; every line must be one."""
    rows = []
    for line in text.splitlines():
        found = LINE.search(line)
        assert found, f"not a call: {line!r}"
        first = found["arguments"].partition(",")[0]
        fd = int(first) if first.isdigit() else None
        rows.append(Call(found["name"], fd, found["arguments"], int(found["result"]), found["note"], line))
    return rows


def the(rows, name, **wanted):
    """The first call of that name with those fields."""
    for row in rows:
        if row.name == name and all(getattr(row, field) == value for field, value in wanted.items()):
            return row
    raise AssertionError(f"no {name} {wanted} in:\n" + "\n".join(row.line for row in rows))


def in_order(rows, *chosen):
    places = [rows.index(row) for row in chosen]
    assert places == sorted(places), "not in order:\n" + "\n".join(row.line for row in rows)


def assert_ring(engine, rows, *names):
    """With io_uring these are operations of the ring, and say so; with epoll nothing is."""
    for row in rows:
        marked = bool(re.search(r"\bring\b", row.note))
        if engine == "epoll":
            assert not marked, row.line
        elif row.name in names:
            assert marked, row.line


def test_the_whole_flow_of_a_server(sonde):
    server = sonde.serve("echo", "--calls", "--backlog", 17)
    with server.connect() as sock:
        peer = text_address(sock.getsockname())
        round_trip(sock, b"hello")
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b""
    server.wait_closed(peer)
    assert server.terminate() == 0
    rows = calls(server.err.text)
    made = the(rows, "socket")
    assert "AF_INET" in made.arguments and "SOCK_STREAM" in made.arguments and "SOCK_CLOEXEC" in made.arguments
    listening = made.result
    bound = the(rows, "bind", fd=listening, result=0)
    assert re.search(rf"127\.0\.0\.1:(0|{server.port})\b", bound.arguments)
    listened = the(rows, "listen", fd=listening, result=0)
    assert re.search(r"\b17\b", listened.arguments)
    accepted = the(rows, "accept", fd=listening)
    assert accepted.result > 2 and peer in accepted.arguments
    client = accepted.result
    received = the(rows, "recv", fd=client, result=5)
    assert '"hello"' in received.arguments
    sent = the(rows, "send", fd=client, result=5)
    assert '"hello"' in sent.arguments and re.search(r"\b5\b", sent.arguments) and "MSG_NOSIGNAL" in sent.arguments
    ended = the(rows, "recv", fd=client, result=0)
    closed = the(rows, "close", fd=client, result=0)
    last = [row for row in rows if row.name == "close" and row.fd == listening][-1]
    in_order(rows, made, bound, listened, accepted, received, sent, closed)
    in_order(rows, received, ended, closed, last)
    assert_ring(sonde.engine, rows, "accept", "recv", "send")


def test_the_whole_flow_of_a_client(sonde, echo_peer):
    result = sonde.connect("--calls", echo_peer.url, input=b"hello")
    assert (result.status, result.out) == (0, b"hello"), result.process
    rows = calls(result.err)
    made = the(rows, "socket")
    assert "AF_INET" in made.arguments and "SOCK_STREAM" in made.arguments
    fd = made.result
    connected = the(rows, "connect", fd=fd)
    assert f"127.0.0.1:{echo_peer.port}" in connected.arguments
    assert connected.result == 0 or "EINPROGRESS" in connected.note
    sent = the(rows, "send", fd=fd, result=5)
    shut = the(rows, "shutdown", fd=fd, result=0)
    assert "SHUT_WR" in shut.arguments
    received = the(rows, "recv", fd=fd, result=5)
    ended = the(rows, "recv", fd=fd, result=0)
    closed = the(rows, "close", fd=fd, result=0)
    in_order(rows, made, connected, sent, shut, ended, closed)
    in_order(rows, sent, received, ended, closed)
    assert_ring(sonde.engine, rows, "connect", "recv", "send")


def test_a_client_that_binds(sonde, echo_peer):
    port = harness.free_port("127.0.0.2")
    result = sonde.connect("--calls", "--bind", f"127.0.0.2:{port}", echo_peer.url, input=b"hello")
    rows = calls(result.err)
    bound = the(rows, "bind", result=0)
    assert f"127.0.0.2:{port}" in bound.arguments
    in_order(rows, the(rows, "socket"), bound, the(rows, "connect"))


def test_a_refused_connect(sonde):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", harness.free_port()))
        result = sonde.connect("--calls", url_of(closed), stdin=subprocess.DEVNULL)
    assert result.status == 1
    shown = [line for line in result.err.splitlines() if not line.startswith("sonde: ")]
    rows = calls("\n".join(shown))
    assert any("ECONNREFUSED" in row.note and row.result == -1 for row in rows if row.name == "connect"), result.err
    the(rows, "close", fd=the(rows, "socket").result, result=0)


def test_a_reset_is_a_result_too(sonde):
    server = sonde.serve("echo", "--calls")
    sock = server.connect()
    round_trip(sock, b"hello")
    harness.reset(sock)
    server.wait_closed()
    assert server.terminate() == 0
    rows = calls(server.err.text)
    assert any("ECONNRESET" in row.note and row.result == -1 for row in rows if row.name == "recv"), server.err.text


def test_an_address_in_use_is_a_result_too(sonde, listen):
    url = url_of(listen())
    result = sonde.run("serve", "echo", "--calls", "--engine", sonde.engine, url)
    assert result.status == 1
    rows = calls("\n".join(line for line in result.err.splitlines() if not line.startswith("sonde: ")))
    tried = [row for row in rows if row.name in ("bind", "listen")]
    assert any("EADDRINUSE" in row.note and row.result == -1 for row in tried), result.err


def test_unix_sockets(sonde, place):
    path = f"{place}/x.sock"
    server = sonde.serve("echo", "--calls", url=f"unix:{path}")
    result = sonde.connect("--calls", server.url, input=b"hello")
    assert (result.status, result.out) == (0, b"hello")
    assert server.terminate() == 0
    served, asked = calls(server.err.text), calls(result.err)
    assert "AF_UNIX" in the(served, "socket").arguments and "AF_UNIX" in the(asked, "socket").arguments
    assert path in the(served, "bind", result=0).arguments
    assert path in the(asked, "connect").arguments
    assert '"hello"' in the(served, "recv", result=5).arguments


def test_peers_bytes_are_escaped(sonde):
    server = sonde.serve("echo", "--calls")
    with server.connect() as sock:
        round_trip(sock, b'\x1b]0;owned\x07"quoted"\\ \x9b\xc2\x9b\x00\n' + "\u202e".encode())
        sock.sendall(bytes(range(256)) * 100)
        assert len(harness.receive_exactly(sock, 25600)) == 25600
    assert server.terminate() == 0
    harness.assert_printable(server.err.data)
    calls(server.err.text)
    assert r"\x1b]0;owned" in server.err.text


def test_much_data_is_shown_in_part(sonde):
    """A line stays a line: 64 KiB of data are not."""
    server = sonde.serve("echo", "--calls")
    with server.connect() as sock:
        harness.exchange(sock, bytes(1 << 20), seed=5)
    assert server.terminate() == 0
    assert max(map(len, server.err.lines)) < 400
    rows = calls(server.err.text)
    assert sum(row.result for row in rows if row.name == "recv" and row.result > 0) == 1 << 20
    assert sum(row.result for row in rows if row.name == "send" and row.result > 0) == 1 << 20


def test_nothing_is_shown_unless_asked(sonde):
    server = sonde.serve("echo")
    with server.connect() as sock:
        round_trip(sock, b"hello")
    assert server.terminate() == 0
    assert server.err.text == ""


OPTIONS = {
    "nodelay=1": "TCP_NODELAY, 1",
    "nodelay=0": None,
    "keepalive=1": "SO_KEEPALIVE, 1",
    "keepalive=30": "TCP_KEEPIDLE, 30",
    "sndbuf=20000": "SO_SNDBUF, 20000",
    "rcvbuf=20000": "SO_RCVBUF, 20000",
    "user_timeout=3": "TCP_USER_TIMEOUT, 3000",
    "ttl=9": "IP_TTL, 9",
    "dscp=46": "IP_TOS, 184",
    "cc=reno": "TCP_CONGESTION",
    "linger=3": "SO_LINGER",
    "quickack=1": "TCP_QUICKACK, 1",
    "mptcp=1": None,
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_the_url_reach_the_socket(sonde, option):
    if option == "mptcp=1":
        try:
            socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close()
        except OSError as error:
            pytest.skip(f"no MPTCP here: {error}")
    server = sonde.serve("echo", "--calls", url=f"tcp://127.0.0.1:0?{option}")
    result = sonde.connect("--calls", f"{server.url}?{option}", input=b"hello")
    assert (result.status, result.out) == (0, b"hello"), result.process
    assert server.terminate() == 0
    if option == "mptcp=1":
        assert "IPPROTO_MPTCP" in server.err.text and "IPPROTO_MPTCP" in result.err
    if OPTIONS[option]:
        for text in (server.err.text, result.err):
            found = [row for row in calls(text) if row.name == "setsockopt" and OPTIONS[option] in row.arguments]
            assert found and found[0].result == 0, text


def test_options_for_listening(sonde):
    server = sonde.serve("echo", "--calls", url="tcp://127.0.0.1:0?backlog=33&defer_accept=30&fastopen=5")
    server.err.wait_match(r"listen\(")
    rows = calls(server.err.text)
    assert "TCP_DEFER_ACCEPT" in "".join(row.arguments for row in rows if row.name == "setsockopt" and row.result == 0)
    assert "TCP_FASTOPEN" in "".join(row.arguments for row in rows if row.name == "setsockopt" and row.result == 0)
    assert re.search(r"\b33\b", the(rows, "listen", result=0).arguments)
    with server.connect() as sock:
        with harness.Observation(0.3):
            pass
        assert not harness.OPENED.search(server.out.text), "accepted before there was data"
        round_trip(sock, b"hello")
