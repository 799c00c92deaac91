# SPDX-License-Identifier: MIT
"""A trace of the command's own connections (serve and connect with --trace-json): which call belongs to which connection,
with several threads, with the same ports again and again, and with what is in the way of it.

Each test has a network namespace of its own.
"""

import collections
import errno
import re
import socket
import struct

import pytest

import harness
from captures import netns
from captures.seen import Events, strict_lines

PORT = 7007
SETCAP = re.compile(r"sudo setcap cap_net_raw\+ep (\S*/sonde-capture)")


@pytest.fixture
def namespace():
    if netns.permitted():
        pytest.skip(netns.permitted())
    made = netns.Namespace()
    yield made
    made.close()


def serve(sonde, namespace, *options, url=f"tcp://127.0.0.1:{PORT}", **keywords):
    with namespace.entered():
        return sonde.serve("echo", *options, url=url, **keywords)


def client(namespace, *, port=0, to=PORT, resets=False):
    """A connection from that port; at its end it is reset, if so wished, and its port is free at once."""
    sock = namespace.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if resets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.bind(("127.0.0.1", port))
    sock.connect(("127.0.0.1", to))
    return sock


def recorded(path):
    """The events of a file that is written; the order is that of time, but for those that came late and say so."""
    events = Events(strict_lines(path.read_bytes()))
    times = [row["t_ns"] for row in events if not row.get("late")]
    assert times == sorted(times)
    introduced = set()
    for row in events:
        if row["event"] == "connection":
            introduced.add(row["conn"])
        assert row.get("conn", 0) in introduced | {0}, f"before its introduction: {row}"
    return events


def calls(events, name):
    """Calls that have returned, with a result that is no error."""
    return [row for row in events.of("call") if row["call"] == name and row.get("result", -1) >= 0]


def wait_closed(server, n):
    harness.wait_until(lambda: len(server.closed()) >= n or not server.running, f"{n} connections are closed")


# --- which connection ---------------------------------------------------------------------------------------------


def test_the_same_port_three_times(sonde, namespace, tmp_path):
    """Three connections from one port within a moment: three numbers, and each call with its own segments."""
    path = tmp_path / "events.jsonl"
    server = serve(sonde, namespace, "--trace-json", path)
    port = 0
    for number in range(3):
        sock = client(namespace, port=port, resets=True)
        port = sock.getsockname()[1]
        harness.round_trip(sock, b"hello" + b"!" * number)
        sock.close()
    wait_closed(server, 3)
    assert server.terminate() == 0
    events = recorded(path)
    conns = [row["conn"] for row in events.segments if row["flags"] == "S"]
    assert len(conns) == len(set(conns)) == 3
    assert events.conns == conns, "more connections than there were"
    assert [row["conn"] for row in calls(events, "accept")] == conns
    for number, conn in enumerate(conns):
        received = [row for row in calls(events, "recv") if row["conn"] == conn and row["result"] > 0]
        assert sum(row["result"] for row in received) == 5 + number
        assert {row["src"] for row in events.of("segment", conn) if row["flags"] == "S"} == {f"127.0.0.1:{port}"}
        assert [row["call"] for row in events.of("call", conn)].count("close") >= 1
        arrived = min(row["t_ns"] for row in events.of("segment", conn) if row["len"] > 0)
        assert all(row["t_ns"] >= arrived for row in received), "an effect before its cause"
    cookies = [
        row["b"].get("socket_cookie") for row in events.of("connection") if row["b"].get("socket_cookie") is not None
    ]
    assert len(set(cookies)) == 3


def test_over_before_it_was_accepted(sonde, namespace, tmp_path):
    """Reset while they wait in the accept queue, and begun again on the same port: first in, first out."""
    path = tmp_path / "events.jsonl"
    server = serve(sonde, namespace, "--trace-json", path)
    server.stop()
    port = 0
    for _ in range(3):
        with client(namespace, port=port, resets=True) as sock:
            port = sock.getsockname()[1]
    server.go_on()
    wait_closed(server, 3)
    assert server.terminate() == 0
    events = recorded(path)
    conns = [row["conn"] for row in events.segments if row["flags"] == "S"]
    assert len(set(conns)) == 3
    assert [row["conn"] for row in calls(events, "accept")] == conns
    assert events.conns == conns


@pytest.mark.heavy
def test_many_clients_and_threads(sonde, namespace, tmp_path):
    """Whichever thread accepts: as many connections as there were, each with its calls and its segments."""
    path = tmp_path / "events.jsonl"
    n = 50
    server = serve(sonde, namespace, "--threads", 4, "--trace-json", path)
    socks = [client(namespace) for _ in range(n)]
    ports = [sock.getsockname()[1] for sock in socks]
    for number, sock in enumerate(socks):
        sock.sendall(b"x" * (number + 1))
    for number, sock in enumerate(socks):
        harness.receive_exactly(sock, number + 1)
        sock.close()
    wait_closed(server, n)
    assert server.terminate() == 0
    events = recorded(path)
    lost = events.of("loss")
    assert not lost, lost
    assert len(events.conns) == n
    accepts = calls(events, "accept")
    assert len(accepts) == n and {row["conn"] for row in accepts} == set(events.conns)
    n_bytes = collections.Counter()
    for row in calls(events, "recv"):
        n_bytes[row["conn"]] += row["result"]
    for conn in events.conns:
        (syn,) = [row for row in events.of("segment", conn) if row["flags"] == "S"]
        number = ports.index(int(syn["src"].rpartition(":")[2]))
        assert n_bytes[conn] == number + 1, f"connection {conn} has another's calls"
        assert sum(row["len"] for row in events.of("segment", conn) if row["from"] == "a") == number + 1
    assert [row for row in events.of("call") if row["call"] in ("send", "recv") and "conn" not in row] == []


def test_others_on_the_same_port(sonde, namespace, tmp_path):
    """connect traces its own connection, and not those of others to the same server."""
    path = tmp_path / "events.jsonl"
    serve(sonde, namespace)
    other = client(namespace)
    with namespace.entered():
        process = sonde.start_connect("--trace-json", path, f"tcp://127.0.0.1:{PORT}")
    process.feed(b"hello")
    process.out.wait_for(lambda data: data == b"hello", "the echo")
    harness.round_trip(other, b"not this")
    with client(namespace) as later:
        harness.round_trip(later, b"nor this")
    process.end_input()
    assert process.wait() == 0
    events = recorded(path)
    (conn,) = events.conns
    assert [row["conn"] for row in calls(events, "connect")] in ([conn], [])  # EINPROGRESS is no result of its own
    assert {row["conn"] for row in events.of("call") if row["call"] == "connect"} == {conn}
    assert b"this" not in path.read_bytes()
    assert len(events.of("segment", conn)) >= 8


def test_whose_program_it_is(sonde, started, tmp_path):
    """A port that is listened to here says nothing of the same port elsewhere."""
    if netns.permitted():
        pytest.skip(netns.permitted())
    path = tmp_path / "events.jsonl"
    with netns.Wire() as wire:
        here = wire.a.listener("0.0.0.0", PORT)
        there = wire.b.listener(wire.B4, PORT)
        started.callback(here.close)
        started.callback(there.close)
        with wire.a.entered():
            process = sonde.start_connect("--trace-json", path, f"tcp://{wire.B4}:{PORT}")
        there.settimeout(harness.DEADLINE)
        sock, _ = there.accept()
        sock.settimeout(harness.DEADLINE)
        process.feed(b"hello")
        assert harness.receive_exactly(sock, 5) == b"hello"
        process.end_input()
        assert sock.recv(1) == b""
        sock.close()
        assert process.wait() == 0
    events = recorded(path)
    told = events.of("connection")
    assert told and all(row["a"]["pid"] == process.pid for row in told)
    assert all("program" not in row["b"] and "pid" not in row["b"] for row in told), told


# --- what there is no segment of ----------------------------------------------------------------------------------


def test_refused(sonde, namespace, tmp_path):
    path = tmp_path / "events.jsonl"
    with namespace.entered():
        result = sonde.connect("--trace-json", path, f"tcp://127.0.0.1:{PORT}")
    assert result.status == 1
    events = recorded(path)
    (conn,) = events.conns
    assert [row["flags"] for row in events.of("segment", conn)] == ["S", "R."]
    assert {row["conn"] for row in events.of("call") if row["call"] in ("connect", "close")} == {conn}
    assert any("refused" in row["notes"] for row in events.segments)
    assert any(row["mark"] == "!" for row in events.of("sentence", conn))


def test_unix_streams(sonde, place, tmp_path):
    """Their calls make the connection."""
    path = tmp_path / "events.jsonl"
    server = sonde.serve("echo", "--trace-json", path, url=f"unix:{place}/s")
    for _ in range(2):
        with server.connect() as sock:
            harness.round_trip(sock, b"hello")
    wait_closed(server, 2)
    assert server.terminate() == 0
    events = recorded(path)
    assert len(events.conns) == 2 and not events.segments
    assert {row["protocol"] for row in events.of("connection")} == {"unix"}
    assert [row["conn"] for row in calls(events, "accept")] == events.conns
    for conn in events.conns:
        names = [row["call"] for row in events.of("call", conn) if row["phase"] != "begin"]
        assert names[0] == "accept" and names[-1] == "close" and "recv" in names and "send" in names
        (said,) = [row for row in events.of("sentence", conn) if row["mark"] == "="]
        assert said["sentence"].startswith("5 bytes received, 5 sent")


def test_without_the_right_to_capture(sonde, namespace, nobody, place):
    """Calls, states and values; and once, how to see segments."""
    if not nobody.prefix:
        pytest.skip("this test needs root, to be nobody")
    own = place / "nobodys"
    own.mkdir()
    own.chmod(0o777)
    path = own / "events.jsonl"
    nobodys = type(sonde)(nobody.binary, sonde.engine, sonde._started, sonde.sanitized)
    server = serve(nobodys, namespace, "--trace-json", path, prefix=nobody.prefix)
    for _ in range(2):
        with client(namespace) as sock:
            harness.round_trip(sock, b"hello")
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
    wait_closed(server, 2)
    assert server.terminate() == 0
    events = recorded(path)
    assert len(events.conns) == 2 and not events.segments
    assert not any(row["has_segments"] for row in events.of("connection"))
    (said,) = [row for row in events.of("sentence") if row["mark"] == "i"]
    assert SETCAP.search(said["sentence"]), said
    for conn in events.conns:
        names = {row["call"] for row in events.of("call", conn)}
        assert {"accept", "recv", "send", "close"} <= names
        states = [row["after"] for row in events.of("state", conn) if row["end"] == "b"]
        assert states[0] == "ESTABLISHED", states


# --- where it is written ------------------------------------------------------------------------------------------


def test_a_full_disk(sonde, namespace):
    """The service goes on, and that the trace is not whole is said."""
    server = serve(sonde, namespace, "--trace-json", "/dev/full")
    for _ in range(2):
        with client(namespace) as sock:
            harness.round_trip(sock, b"hello")
    wait_closed(server, 2)
    assert server.terminate() == 0
    assert re.search(r"^sonde: .*trace.*not be written", server.err.text, re.M), server
    harness.assert_printable(server.err.data)


def test_a_file_that_cannot_be_made(sonde, namespace):
    with namespace.entered():
        result = sonde.connect("--trace-json", "/nonexistent/events", f"tcp://127.0.0.1:{PORT}")
    assert result.status == 2
    sentence = harness.one_sentence(result.err)
    assert "/nonexistent/events" in sentence and errno.errorcode[errno.ENOENT] not in sentence


def test_what_was_recorded_is_read_back(sonde, namespace, tmp_path):
    """The same lines, and the same summary as of the packets."""
    path = tmp_path / "events.jsonl"
    server = serve(sonde, namespace, "--trace-json", path)
    with client(namespace) as sock:
        harness.round_trip(sock, bytes(range(256)) * 20)
    wait_closed(server, 1)
    assert server.terminate() == 0
    again = sonde.run("trace", "-r", path, "--json")
    assert again.status == 0 and again.err == ""
    assert again.out == path.read_bytes()
    summary = sonde.run("trace", "-r", path, "--summary", "--json")
    (row,) = strict_lines(summary.out)
    assert row["bytes_from_client"] == row["bytes_from_server"] == 5120


# --- hold: who waits ----------------------------------------------------------------------------------------------


def test_hold_lists_who_waits(sonde, namespace):
    with namespace.entered():
        server = sonde.serve("hold", url=f"tcp://127.0.0.1:{PORT}")
    first, second = client(namespace), None
    peer = "127.0.0.1:%d" % first.getsockname()[1]
    server.out.wait_match(rf"^waiting 127\.0\.0\.1:{PORT} <- {re.escape(peer)} ESTABLISHED, unread 0$")
    first.sendall(b"hello")
    harness.wait_acknowledged(first)
    second = client(namespace)
    other = "127.0.0.1:%d" % second.getsockname()[1]
    server.out.wait_match(rf"^waiting 127\.0\.0\.1:{PORT} <- {re.escape(other)} ESTABLISHED, unread 0$")
    server.out.wait_match(rf"^waiting 127\.0\.0\.1:{PORT} <- {re.escape(peer)} ESTABLISHED, unread 5$")
    first.close()
    second.close()
    assert server.terminate() == 0


def test_hold_lists_who_waits_as_json(sonde, namespace):
    with namespace.entered():
        server = sonde.serve("hold", "--json", url=f"tcp://127.0.0.1:{PORT}")
    with client(namespace) as sock:
        peer = "127.0.0.1:%d" % sock.getsockname()[1]
        row = server.wait_event("waiting", lambda event: event["peer"] == peer)
        assert row["local"] == f"127.0.0.1:{PORT}"
        assert row["state"] == "ESTABLISHED" and row["unread"] == 0
    assert server.terminate() == 0
