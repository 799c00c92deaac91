# SPDX-License-Identifier: MIT
"""What --page says and does, asked over its feed by a program (sonde-page(7)): no browser is in the way, so that peers'
bytes, counts and ends can be compared with what peers have really sent, got and met."""

import base64
import json
import os
import re
import signal
import socket
import time

import pytest

import harness
import ws_suite
from captures import netns, scenarios
from harness import Observation, receive_exactly, text_address, wait_until
from page.feed import ANY_PORT, Closed, Feed, address_of, part
from ws_suite import BINARY, PING, TEXT, F

KINDS = {"connection", "call", "segment", "datagram", "icmp", "handshake", "message", "state", "values", "sentence", "loss"}
ROW = {
    "id", "local", "peer", "protocol", "layers", "note", "state", "class", "recv_q", "send_q", "rtt_us", "in", "out", "in_per_s",
    "out_per_s", "age_ms", "timer", "owner", "brief", "trouble", "verdict", "ended", "can", "trace", "n_messages", "messages_kind",
}  # fmt: skip


@pytest.fixture
def server(sonde):
    """An echo server with its page, with each engine."""
    made = sonde.serve("echo", ANY_PORT, url="any://127.0.0.1:0")
    made.page = address_of(made)
    return made


@pytest.fixture
def feed(server):
    made = Feed(server.page)
    yield made
    made.close()


@pytest.fixture
def peer_sock(server):
    """A client of the echo service that has said hello."""
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as sock:
        harness.round_trip(sock, b"hello\n")
        yield sock


def name_of(sock):
    return text_address(sock.getsockname())


def send(feed, row, *parts, text=False, every_ms=0, count=0):
    parts = [part(piece) if isinstance(piece, bytes) else piece for piece in parts]
    return feed.do("send", id=row["id"], parts=parts, text=text, every_ms=every_ms, count=count)


def data_of(message):
    return base64.b64decode(message["data"], validate=True)


# --- what is seen -----------------------------------------------------------------------------------------------------


def test_welcome(feed, server):
    """Who it is, what may be done, where a browser may be a client, and how times are to be read."""
    said = feed.welcome
    assert said["version"] == "0.1.0" and said["verb"] == "serve"
    assert said["title"].startswith("serve echo") and str(server.port) in said["title"] + str(said["client_urls"])
    assert sorted(said["rights"]) == ["kick", "run", "see", "send"] and said["read_only"] is False
    assert [url.rstrip("/") for url in said["client_urls"]] == [f"ws://127.0.0.1:{server.port}"]
    assert abs(said["wall_ms"] / 1000 - time.time()) < 60 and abs(said["t_ns"] / 1e9 - time.monotonic()) < 60
    assert said["limits"] == {"message_bytes": 4096, "send_bytes": 1048576, "ladder_events_per_s": 1000}
    assert said["no_packets"] is None or re.match(r"\S.* .*\.$", said["no_packets"], re.S)


def test_overview(feed, server, peer_sock):
    """Its listener with the queue's length and limit; its connection with both addresses and the bytes that were echoed."""
    row = feed.row(lambda row: row["peer"] == name_of(peer_sock) and row["in"] == 6 and row["rtt_us"], "the row with 6 bytes in")
    assert set(row) == ROW
    assert row["local"] == f"127.0.0.1:{server.port}" and row["protocol"] == "tcp" and row["out"] == 6
    assert row["state"] == "ESTABLISHED" and row["class"] == "open" and row["trouble"] is False and row["ended"] is False
    assert row["recv_q"] == 0 and row["send_q"] == 0 and 0 < row["rtt_us"] < 20_000_000 and row["note"] == "echo"
    assert sorted(row["can"]) == ["half-close", "kick", "send"]
    message = feed.next("overview")
    assert message["connections"] == message["shown"] == len(message["rows"]) == 1, message
    # A machine with many sockets is looked at less often, and that is told as well.
    assert message["sampled"] is None or (message["sampled"]["rows"], message["sampled"]["events_one_in"]) == (False, 1)
    (listener,) = [one for one in message["listeners"] if str(server.port) in one["address"]]
    assert listener["limit"] == int(open("/proc/sys/net/core/somaxconn", encoding="ascii").read()), listener
    assert listener["queue"] == 0 and listener["full"] is False and listener["note"] == "echo"
    assert not any(str(server.page.port) in row["local"] for row in message["rows"]), "the page shows itself"


def test_rows_come_and_go(feed, server):
    """A connection is there when it is made, and told as ended when it is over."""
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as sock:
        harness.round_trip(sock, b"x")
        row = feed.row(name_of(sock))
        number = row["id"]
        peer = name_of(sock)
    ended = feed.row(lambda row: row["id"] == number and row["ended"], "the row, ended")
    assert ended["peer"] == peer and ended["state"] != "ESTABLISHED" and ended["can"] == [], ended
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as sock:
        harness.round_trip(sock, b"x")
        assert feed.row(name_of(sock))["id"] not in (number, None), "a number was used twice"


def test_an_opened_row(feed, peer_sock):
    """The ladder's events, the messages of both ways, and points for the plots."""
    row = feed.open(feed.row(name_of(peer_sock)))
    assert row["peer"] == name_of(peer_sock) and set(row) == ROW
    harness.round_trip(peer_sock, b"more\n")
    feed.wait_of("messages", lambda message: message["way"] == "out" and data_of(message).endswith(b"more\n"), "the answer")
    assert feed.said("in") == feed.said("out") == b"hello\nmore\n"
    messages = feed.of("messages")
    assert [message["n"] for message in messages] == list(range(1, len(messages) + 1)), messages
    assert [message["t_ns"] for message in messages] == sorted(message["t_ns"] for message in messages)
    assert all(message["bytes"] == len(data_of(message)) and not message["message"]
               and "by" not in message for message in messages), messages  # fmt: skip
    feed.wait_of("points", lambda point: point[1] == 11 and point[2] == 11, "a point with 11 bytes each way")
    points = feed.of("points")
    assert all(len(point) == 9 for point in points) and len({point[0] for point in points}) == len(points)
    assert [point[0] for point in points] == sorted(point[0] for point in points)
    feed.wait_of("events", lambda event: event["event"] == "call" and event.get("call") == "recv", "a call of recv")
    for event in feed.of("events"):
        assert event["event"] in KINDS and isinstance(event["t_ns"], int), event


@pytest.mark.skipif(os.geteuid() != 0, reason="capturing needs root here")
def test_a_ladder_from_the_first_segment(feed, server):
    """While somebody looks on, a new connection's handshake is seen: S, S., then what was said, numbered from 1."""
    assert feed.welcome["no_packets"] is None, feed.welcome
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as first:
        harness.round_trip(first, b"x")
        feed.open(feed.row(name_of(first)))
        feed.wait_of("events", lambda event: event["event"] in ("segment", "call"), "anything")
        with harness.dial(f"tcp://127.0.0.1:{server.port}") as sock:
            harness.round_trip(sock, b"hello\n")
            row = feed.open(feed.row(name_of(sock)))
            feed.wait_of("events", lambda event: event["event"] == "segment" and event["len"] == 6 and event["from"] == "b",
                         "the answer's segment")
            segments = {event["number"]: event for event in feed.of("events") if event["event"] == "segment"}
            assert [segments[n]["flags"] for n in (1, 2, 3, 4)] == ["S", "S.", ".", "P."], segments
            assert segments[4]["text"] == "hello\n" and segments[4]["src"] == name_of(sock)
            layers = feed.do("layers", id=row["id"], segment=4)
            packet = layers["packet"]
            names = {field["layer"] for field in packet["fields"]}
            assert {"Ethernet", "IPv4", "TCP"} <= names, names
            sequence = [field["value"] for field in packet["fields"] if field.get("name") == "sequence number"]
            assert str(segments[4]["seq_raw"]) in sequence[0], (sequence, segments[4])
            assert "packet" in packet or "bytes" in packet


def test_layers_that_are_not_kept(feed, peer_sock):
    """It is said why."""
    row = feed.open(feed.row(name_of(peer_sock)))
    feed.refused("layers", id=row["id"], segment=999999)
    feed.refused("layers", id=999999, segment=1)


def test_events_are_one_ladder(feed, peer_sock):
    """Opened again, the row comes from its beginning, and nothing of another row is in it."""
    row = feed.row(name_of(peer_sock))
    feed.open(row)
    feed.wait_of("messages", lambda message: message["way"] == "out", "the answer")
    first = [message for message in feed.seen if message["kind"] == "events"]
    assert not first or first[0]["first"] is True
    feed.do("close")
    feed.open(row)
    feed.wait_of("messages", lambda message: message["way"] == "out", "the answer, again")
    assert feed.said("in") == b"hello\n"
    begin = max(n for n, message in enumerate(feed.seen) if message["kind"] == "opened")
    again = feed.wait(lambda message: message["kind"] == "events" and message["events"], "events", since=begin)
    assert again["id"] == row["id"] and again["first"] is True


def test_long_messages_are_cut(feed, server, peer_sock):
    """4,096 bytes of one are kept, and its length is told."""
    row = feed.open(feed.row(name_of(peer_sock)))
    send(feed, row, bytes(range(256)) * 100)
    assert receive_exactly(peer_sock, 25600) == bytes(range(256)) * 100
    message = feed.wait_of("messages", lambda message: message["bytes"] == 25600, "what the page sent")
    assert data_of(message) == bytes(range(256)) * 16 and message["by"] == "page"


def test_what_is_kept_is_bounded(feed, server, peer_sock):
    """500 messages of a connection are kept; how many are no longer is said."""
    for _ in range(700):
        harness.round_trip(peer_sock, b"tick\n")
    row = feed.open(feed.row(lambda row: row["peer"] == name_of(peer_sock) and row["in"] == row["out"] == 3506, "all bytes"))
    assert row["n_messages"] == 1402, row
    feed.wait_of("messages", lambda message: message["n"] == 1402, "the last message")
    messages = feed.of("messages")
    lost = sum(message["lost"] for message in feed.seen if message["kind"] == "messages")
    lost_bytes = sum(message["lost_bytes"] for message in feed.seen if message["kind"] == "messages")
    assert 100 <= len(messages) <= 500 and lost == 1402 - len(messages) and lost_bytes > 0, (len(messages), lost)


def test_filter(feed, server, peer_sock):
    """The words of sonde watch; a mistake is a sentence, and leaves the filter as it was."""
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as other:
        harness.round_trip(other, b"x")
        feed.row(name_of(other))
        feed.do("filter", text=f"dst :{other.getsockname()[1]}")
        feed.wait(lambda message: message["kind"] == "overview" and [row["peer"] for row in message["rows"]] == [name_of(other)],
                  "the one that matches", since=len(feed.seen))
        feed.refused("filter", text="state nonsense")
        feed.refused("filter", text="<img src=x>")
        assert [row["peer"] for row in feed.next("overview")["rows"]] == [name_of(other)]
        feed.do("filter", text="")
        feed.row(name_of(peer_sock))


def test_pause(feed, server, peer_sock):
    """Nothing comes while it is paused; what was missed is counted."""
    feed.open(feed.row(name_of(peer_sock)))
    feed.do("pause")
    begin = len(feed.seen)
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as other:
        harness.round_trip(other, b"x" * 1000)
        with Observation(1.5):
            harness.round_trip(peer_sock, b"in the pause\n")
        number = feed.begin("resume")
        feed.answer(number)
        between = [message["kind"] for message in feed.seen[begin:] if message.get("re") != number]
        assert not between, between
        feed.row(name_of(other))
        feed.wait_of("messages", lambda message: b"pause" in data_of(message), "what was said meanwhile")
    assert any(message.get("missed") for message in feed.seen[begin:] if message["kind"] == "overview")


def test_few_rows(feed, server):
    """As many as were asked for; that there are more is said, and why."""
    socks = [harness.dial(f"tcp://127.0.0.1:{server.port}") for _ in range(12)]
    for sock in socks:
        harness.round_trip(sock, b"x")
    feed.do("rows", max=5)
    message = feed.wait(lambda message: message["kind"] == "overview" and message["connections"] == 12
                        and len(message["rows"]) == 5, "5 of 12", since=len(feed.seen))  # fmt: skip
    assert message["shown"] == 5 and message["sampled"]["rows"] is True and message["sampled"]["why"], message
    feed.do("rows", max=1000)
    feed.wait(lambda message: message["kind"] == "overview" and len(message["rows"]) == 12, "all 12", since=len(feed.seen))
    for sock in socks:
        sock.close()


def test_trouble_comes_first(feed, server):
    """A peer that does not read is in front of those that are well, with a reason, and with a verdict when it is opened."""
    others = [harness.dial(f"tcp://127.0.0.1:{server.port}") for _ in range(4)]
    for sock in others:
        harness.round_trip(sock, b"x")
    with harness.dial(f"tcp://127.0.0.1:{server.port}", rcvbuf=4096) as deaf:
        harness.fill_until_blocked(deaf)
        message = feed.wait(lambda message: message["kind"] == "overview" and any(
            row["trouble"] and row["peer"] == name_of(deaf) for row in message["rows"]), "trouble", since=len(feed.seen))  # fmt: skip
        row = message["rows"][0]
        assert row["peer"] == name_of(deaf) and row["brief"] and (row["send_q"] or 0) > 0, row
        assert any(one["row"] == row["id"] and one["who"] and one["brief"] for one in message["attention"]), message["attention"]
        opened = feed.open(row)
        verdict = opened["verdict"] or feed.wait(lambda message: message["kind"] == "row" and message["row"]["verdict"],
                                                 "its verdict")["row"]["verdict"]  # fmt: skip
        assert re.search(r"window|read", verdict) and "peer" in verdict or name_of(deaf) in verdict, verdict
        harness.reset(deaf)
    for sock in others:
        sock.close()


def test_two_viewers(server, peer_sock):
    """Each has its own row, filter and pause."""
    one, other = Feed(server.page), Feed(server.page)
    one.do("filter", text="state time-wait")
    one.do("pause")
    row = other.open(other.row(name_of(peer_sock)))
    send(other, row, b"from one")
    assert receive_exactly(peer_sock, 8) == b"from one"
    one.do("resume")
    assert one.next("overview")["rows"] == []
    one.do("filter", text="")
    one.open(row)
    assert one.wait_of("messages", lambda message: message.get("by") == "page", "what the other sent")
    one.close()
    other.close()


# --- what is done -----------------------------------------------------------------------------------------------------


def test_send(feed, server, peer_sock):
    """The peer gets exactly these bytes, and both it and its answer are in the messages."""
    row = feed.open(feed.row(name_of(peer_sock)))
    data = bytes(range(256)) + "grüß dich\r\n".encode()
    answer = send(feed, row, data)
    assert answer["sent"] == len(data)
    assert receive_exactly(peer_sock, len(data)) == data
    message = feed.wait_of("messages", lambda message: message.get("by") == "page", "it")
    assert data_of(message) == data and message["way"] == "out"
    harness.round_trip(peer_sock, b"thanks\n")
    feed.wait_of("messages", lambda message: message["way"] == "in" and data_of(message) == b"thanks\n", "the answer")


def test_parts(feed, peer_sock):
    """Counter, times and random bytes are made where it is sent."""
    row = feed.row(name_of(peer_sock))
    before = time.time()
    answer = send(feed, row, b"n=", {"counter": 41}, b" ", {"time": "unix"}, b" ", {"time": "unix_ms"}, b" ", {"time": "iso"},
                  b" ", {"random": 16}, b"\n")  # fmt: skip
    got = receive_exactly(peer_sock, answer["sent"])
    found = re.fullmatch(rb"n=41 (\d{10}) (\d{13}) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) (.{16})\n", got, re.S)
    assert found, got
    assert before - 2 < int(found.group(1)) < time.time() + 2 and abs(int(found.group(2)) / 1000 - before) < 60
    send(feed, row, {"random": 16})
    assert receive_exactly(peer_sock, 16) != found.group(4)


def test_a_megabyte(feed, peer_sock):
    """As much as is promised goes in one, and more is refused before anything of it is sent."""
    row = feed.row(name_of(peer_sock))
    data = os.urandom(1048576)
    number = feed.begin("send", id=row["id"], parts=[part(data)], text=False, every_ms=0, count=0)
    assert receive_exactly(peer_sock, len(data)) == data
    assert feed.answer(number)["ok"] is True
    try:
        feed.refused("send", id=row["id"], parts=[part(data), part(b"x")], text=False, every_ms=0, count=0)
        feed.refused("send", id=row["id"], parts=[{"random": 1048577}], text=False, every_ms=0, count=0)
    except Closed as closed:
        assert closed.event[1] == 1009
    assert harness.nothing_to_read(peer_sock)


@pytest.mark.ordinary_build  # a sanitizer keeps what was freed
def test_a_peer_that_does_not_read(feed, server):
    """What cannot be queued any more is refused as busy, and not kept without end."""
    with harness.dial(f"tcp://127.0.0.1:{server.port}", rcvbuf=4096) as deaf:
        harness.round_trip(deaf, b"x")
        row = feed.row(name_of(deaf))
        before = harness.rss_bytes(server.pid)
        chunk = part(bytes(512 * 1024))
        for _ in range(400):
            answer = feed.ask("send", id=row["id"], parts=[chunk], text=False, every_ms=0, count=0)
            if not answer["ok"]:
                break
        assert answer["ok"] is False and answer["busy"] is True and answer["error"], answer
        assert harness.rss_bytes(server.pid) - before < 160 << 20
        harness.reset(deaf)


def test_repeats(feed, peer_sock):
    """So many times, every so many milliseconds, with a counter that counts; the peer gets just these."""
    row = feed.row(name_of(peer_sock))
    answer = send(feed, row, b"PING ", {"counter": 7}, b"\n", every_ms=20, count=3)
    assert receive_exactly(peer_sock, 21) == b"PING 7\nPING 8\nPING 9\n"
    over = feed.wait(lambda message: message["kind"] == "repeats" and any(
        one["repeat"] == answer["repeat"] and one.get("over") for one in message["repeats"]), "its end")  # fmt: skip
    (state,) = [one for one in over["repeats"] if one["repeat"] == answer["repeat"]]
    assert state["sent"] == 3 and state["count"] == 3 and state["every_ms"] == 20 and state["error"] is None
    with Observation(0.2):
        assert harness.nothing_to_read(peer_sock)


def test_a_repeat_is_stopped(feed, peer_sock):
    """Until it is stopped."""
    row = feed.row(name_of(peer_sock))
    answer = send(feed, row, b"x", every_ms=10, count=0)
    assert receive_exactly(peer_sock, 5) == b"xxxxx"
    feed.do("stop", repeat=answer["repeat"])
    wait_quiet(peer_sock)  # what was sent before the answer may still be on its way
    feed.refused("stop", repeat=answer["repeat"])
    feed.refused("stop", repeat=999999)


def wait_quiet(sock):
    """Until what is repeated every 10 ms is repeated no more."""

    def quiet():
        while harness.unread(sock):
            sock.recv(1 << 16)
        with Observation(0.3):
            pass
        return harness.unread(sock) == 0

    wait_until(quiet, "nothing comes any more")


def test_a_repeat_ends_with_its_viewer(server, peer_sock):
    """A tab that is closed sends nothing any more; another viewer cannot stop what is not its own."""
    feed, other = Feed(server.page), Feed(server.page)
    row = feed.row(name_of(peer_sock))
    answer = send(feed, row, b"x", every_ms=10, count=0)
    receive_exactly(peer_sock, 3)
    other.refused("stop", repeat=answer["repeat"])
    feed.close()
    wait_quiet(peer_sock)
    other.close()


def test_repeats_are_bounded(feed, peer_sock):
    """Sixteen of a viewer; no faster than every 10 ms."""
    row = feed.row(name_of(peer_sock))
    members = {"id": row["id"], "parts": [part(b"x")], "text": False, "count": 0}
    feed.refused("send", every_ms=9, **members)
    feed.refused("send", every_ms=3600001, **members)
    for _ in range(16):
        feed.do("send", every_ms=3600000, **members)
    feed.refused("send", every_ms=3600000, **members)


def test_a_repeat_ends_with_its_row(feed, server):
    """Its end is told, and nothing goes to who has the address next."""
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as sock:
        harness.round_trip(sock, b"x")
        row = feed.row(name_of(sock))
        answer = send(feed, row, b"x", every_ms=10, count=0)
        receive_exactly(sock, 3)
        harness.reset(sock)
    feed.wait(lambda message: message["kind"] == "repeats" and any(
        one["repeat"] == answer["repeat"] and one.get("over") for one in message["repeats"]), "its end")  # fmt: skip
    feed.refused("send", id=row["id"], parts=[part(b"x")], text=False, every_ms=0, count=0)


def test_half_close(feed, server, peer_sock):
    """The peer sees the end of data, can go on sending, and the row says what state that is."""
    row = feed.open(feed.row(name_of(peer_sock)))
    feed.do("half-close", id=row["id"])
    assert peer_sock.recv(1) == b""
    harness.wait_state(peer_sock, "CLOSE_WAIT")
    peer_sock.sendall(b"still sending")
    harness.wait_taken(peer_sock)
    feed.wait(lambda message: message["kind"] == "row" and message["row"]["class"] == "shut", "the row, half-closed")
    feed.refused("send", id=row["id"], parts=[part(b"x")], text=False, every_ms=0, count=0)
    feed.wait_of("messages", lambda message: b"still" in data_of(message), "what it sent after that")
    peer_sock.close()
    assert server.wait_closed(name_of(peer_sock) if peer_sock.fileno() >= 0 else None)


def test_kick(feed, server, peer_sock):
    """The peer meets a reset at once, whatever is on its way; the server counts it; the row has ended."""
    name = name_of(peer_sock)
    row = feed.open(feed.row(name))
    feed.do("kick", id=row["id"])
    with pytest.raises(ConnectionResetError):
        while peer_sock.recv(4096):
            pass
    closed = server.wait_closed(name)
    assert re.search(r"page|kick", closed.reason), closed
    feed.wait(lambda message: message["kind"] == "row" and message["row"]["ended"], "the row, ended")
    feed.refused("kick", id=row["id"])
    feed.refused("half-close", id=row["id"])
    feed.refused("open", id=999999)


def test_kick_does_not_touch_the_next(feed, server):
    """A row's number is never used again: a late click hits nobody else."""
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as sock:
        harness.round_trip(sock, b"x")
        row = feed.row(name_of(sock))
    wait_until(lambda: server.closed(), "it is closed")
    with harness.dial(f"tcp://127.0.0.1:{server.port}") as sock:
        harness.round_trip(sock, b"x")
        feed.row(name_of(sock))
        feed.refused("kick", id=row["id"])
        harness.round_trip(sock, b"y")


# --- other kinds of peers -----------------------------------------------------------------------------------------------


def test_websocket(feed, server):
    """Messages are messages: text is text, binary is not, and what the page sends is one of the two. A kick is a reset."""
    wire = ws_suite.dial_ws(f"ws://127.0.0.1:{server.port}")
    name = name_of(wire.sock)
    wire.send(F(TEXT, "grüß dich".encode()), F(PING, b"p"))
    wire.expect("text", "grüß dich".encode())
    wire.expect("pong", b"p")
    wire.send(F(BINARY, b"\0\1"))
    wire.expect("binary", b"\0\1")
    row = feed.open(feed.row(name))
    assert "ws" in row["layers"] and row["messages_kind"] == "messages", row
    feed.wait_of("messages", lambda message: message["n"] == 4, "four messages")
    assert [(m["way"], m["text"], m["message"], data_of(m)) for m in feed.of("messages")[:4]] == [
        ("in", True, True, "grüß dich".encode()), ("out", True, True, "grüß dich".encode()),
        ("in", False, True, b"\0\1"), ("out", False, True, b"\0\1")]  # fmt: skip
    send(feed, row, b"as text", text=True)
    wire.expect("text", b"as text")
    send(feed, row, b"\xff\0", text=False)
    wire.expect("binary", b"\xff\0")
    feed.refused("send", id=row["id"], parts=[part(b"\xff")], text=True, every_ms=0, count=0)
    feed.do("kick", id=row["id"])
    assert wire.read()[0] == "reset"


def test_tls(feed, sonde):
    """What is shown of TLS is what was said inside it."""
    import ssl

    server = sonde.serve("echo", ANY_PORT, url="tls://127.0.0.1:0")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    own = Feed(address_of(server))
    with context.wrap_socket(harness.dial(f"tcp://127.0.0.1:{server.port}"), server_hostname="localhost") as sock:
        harness.round_trip(sock, b"secret\n")
        row = own.open(own.row(name_of(sock)))
        assert "tls" in row["layers"], row
        own.wait_of("messages", lambda message: message["way"] == "out", "the answer")
        assert own.said("in") == own.said("out") == b"secret\n"
        send(own, row, b"from the page\n")
        assert receive_exactly(sock, 14) == b"from the page\n"
    own.close()


def test_unix(sonde, place):
    """A UNIX socket's peers have no address, and still are rows that can be talked to."""
    server = sonde.serve("echo", ANY_PORT, url=f"unix:{place}/s")
    own = Feed(address_of(server))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(harness.DEADLINE)
        sock.connect(f"{place}/s")
        harness.round_trip(sock, b"hello\n")
        row = own.open(own.row(lambda row: row["protocol"] == "unix", "a row of UNIX"))
        own.wait_of("messages", lambda message: message["way"] == "out", "the answer")
        assert own.said("in") == b"hello\n"
        send(own, row, b"page\n")
        assert receive_exactly(sock, 5) == b"page\n"
        own.do("kick", id=row["id"])
        wait_until(lambda: _gone(sock), "it is kicked")
    own.close()


def _gone(sock):
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_udp(sonde):
    """Datagrams, and an answer from the page is one, too."""
    server = sonde.serve("echo", ANY_PORT, url="udp://127.0.0.1:0")
    own = Feed(address_of(server))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(harness.DEADLINE)
        sock.connect(("127.0.0.1", server.port))
        sock.send(b"one")
        assert sock.recv(100) == b"one"
        sock.send(b"")
        assert sock.recv(100) == b""
        row = own.open(own.row(name_of(sock)))
        assert row["protocol"] == "udp" and row["messages_kind"] == "messages", row
        own.wait_of("messages", lambda message: message["n"] == 4, "four datagrams")
        assert [(m["way"], data_of(m)) for m in own.of("messages")] == [("in", b"one"), ("out", b"one"), ("in", b""), ("out", b"")]
        send(own, row, b"page")
        assert sock.recv(100) == b"page"
    own.close()


# --- other verbs --------------------------------------------------------------------------------------------------------


def test_connect(sonde, peer):
    """A device that speaks raw TCP: what it says, and what is sent to it, from stdin and from the page."""
    device = peer(lambda sock, _: [sock.sendall(b"ready\r\n"), harness.echo_script(sock, 0)])
    client = sonde.start_connect(ANY_PORT, device.url)
    own = Feed(address_of(client))
    assert own.welcome["verb"] == "connect" and "send" in own.welcome["rights"]
    row = own.open(own.row(f"127.0.0.1:{device.port}"))
    own.wait_of("messages", lambda message: data_of(message) == b"ready\r\n", "its greeting")
    client.feed(b"typed\n")
    client.out.wait_for(lambda data: b"typed\n" in data, "the echo of what was typed")
    send(own, row, b"from the page\n")
    client.out.wait_for(lambda data: b"from the page\n" in data, "the echo of what the page sent")
    own.wait_of("messages", lambda message: message["way"] == "in" and b"from the page" in data_of(message), "the echo")
    (mine,) = [message for message in own.of("messages") if message.get("by") == "page"]
    assert mine["way"] == "out" and data_of(mine) == b"from the page\n"
    own.do("kick", id=row["id"])
    own.wait(lambda message: (message.get("talk") or {}).get("state") == "over", "that it is over")
    client.signal(signal.SIGINT)
    assert client.wait() == 1
    own.close()


def test_watch(command, echo_peer):
    """Every socket that matches, with no right to do anything to it; what the kernel knows of it over time."""
    watch = command.start(command.argv("watch", ANY_PORT, f"sport = :{echo_peer.port} or dport = :{echo_peer.port}"))
    with harness.dial(echo_peer.url) as sock:
        harness.round_trip(sock, b"hello\n")
        own = Feed(address_of(watch))
        assert own.welcome["verb"] == "watch" and not {"send", "kick"} & set(own.welcome["rights"]), own.welcome
        row = own.row(name_of(sock))
        other = own.row(lambda other: other["local"] == name_of(sock), "its other end")
        assert other["id"] != row["id"] and row["can"] == other["can"] == []
        own.open(row)
        own.wait_of("points", lambda point: point[1] is not None, "a point")
        own.refused("kick", id=row["id"])
        own.refused("send", id=row["id"], parts=[part(b"x")], text=False, every_ms=0, count=0)
        own.close()
    watch.signal(signal.SIGINT)
    assert watch.wait() in (0, 130)


@pytest.fixture
def capture(tmp_path):
    if netns.permitted():
        pytest.skip(netns.permitted())
    return scenarios.make("loss_thrice", tmp_path)["loss_thrice"]


def test_trace_of_a_file(command, capture):
    """The connections of a capture, with the same events that --json writes, and each packet's layers."""
    lines = command.run("trace", "-r", capture, "--json").out.splitlines()
    expected = [row for row in map(json.loads, lines) if row["event"] == "segment"]
    trace = command.start(command.argv("trace", "-r", capture, ANY_PORT))
    own = Feed(address_of(trace))
    assert own.welcome["verb"] == "trace"
    row = own.open(own.row(lambda row: True, "a row"))
    own.wait_of("events", lambda event: event["event"] == "segment" and event["number"] == expected[-1]["number"], "all segments")
    assert [event for event in own.of("events") if event["event"] == "segment"] == expected
    assert any(event["event"] == "sentence" and event["mark"] in "!=" for event in own.of("events"))
    packet = own.do("layers", id=row["id"], segment=4)["packet"]
    layers = [json.loads(line) for line in command.run("trace", "-r", capture, "--layers", "--json").out.splitlines()]
    (same,) = [one for one in layers if one["packet"] == expected[3]["packet"]]
    assert packet["fields"] == same["fields"]
    own.close()
    trace.signal(signal.SIGINT)
    assert trace.wait() in (0, 130)


def test_lab(command):
    """What can be run, one at a time, with its question before and its verdict after."""
    lab = command.start(command.argv("lab", ANY_PORT))
    own, other = Feed(address_of(lab)), Feed(address_of(lab))
    assert own.welcome["verb"] == "lab" and "run" in own.welcome["rights"]
    said = own.do("experiments")
    listed = [json.loads(line) for line in command.run("lab", "--list", "--json").out.splitlines()]
    assert [one["name"] for one in said["experiments"]] == [one["experiment"] for one in listed]
    for one, row in zip(said["experiments"], listed):
        assert one["title"] == row["title"] and [claim["id"] for claim in one["claims"]] == row["claims"]
        assert one["question"] and all(claim["claim"] for claim in one["claims"])
    if said["needs"]:
        pytest.skip(said["needs"])
    lab.stop()  # the second is asked for before the first can be over
    number = own.begin("run", name="two-queues", prediction="5")
    second = own.begin("run", name="families", prediction=None)
    lab.go_on()
    other.wait(lambda message: message["kind"] == "running" and message["name"] == "two-queues", "that it runs")
    busy = own.answer(second)
    assert busy["ok"] is False and busy["busy"] is True, busy
    report = own.answer(number)
    assert report["kind"] == "report", report
    report = report["report"]
    assert report["prediction"] == "5" and report["answer"] == "3"
    verdicts = {claim["id"]: claim["verdict"] for claim in report["claims"]}
    assert verdicts["C3"] == "FALSE", verdicts
    tables = [piece for piece in report["evidence"] if piece["kind"] == "table"]
    assert tables and all(len(row) == len(table["heads"]) for table in tables for row in table["rows"])
    number = other.begin("run", name="handshake", prediction=None)
    ladder = other.answer(number)["report"]
    (picture,) = [piece for piece in ladder["evidence"] if piece["kind"] == "ladder"][:1]
    assert picture["svg"].startswith("<svg") and "S seq 0" in picture["text"]
    other.refused("run", name="no-such-experiment", prediction=None)
    own.close()
    other.close()
    lab.signal(signal.SIGINT)
    assert lab.wait() in (0, 130)


def test_the_lab_from_another_verb(feed):
    """The lab's experiments can be run from every page."""
    if feed.do("experiments")["needs"]:
        pytest.skip("no experiments here")
    report = feed.do("run", name="stale-tail", prediction=None)["report"]
    assert report["claims"][0]["verdict"] in ("TRUE", "FALSE", "IT DEPENDS", "NOT SHOWN HERE")


# --- where it is --------------------------------------------------------------------------------------------------------


def test_the_default_port(command):
    """7070, or another where that is taken: two servers both have a page."""
    one = command.serve("echo", "--page")
    other = command.serve("echo", "--page")
    first, second = address_of(one), address_of(other)
    assert first.host == second.host == "127.0.0.1" and first.port != second.port
    for address in (first, second):
        Feed(address).close()


def test_a_port_that_was_named(command):
    """It is that one, or an error: who asks for a port has told others of it."""
    port = harness.free_port()
    one = command.serve("echo", f"--page=http://127.0.0.1:{port}")
    assert address_of(one).port == port
    done = command.run("serve", "echo", f"--page=http://127.0.0.1:{port}", harness.LOOPBACK)
    assert done.status == 1 and str(port) in harness.one_sentence(done.err), str(done)


def test_json(command):
    """--json stays JSON, and tells of the page, too."""
    server = command.serve("echo", ANY_PORT, "--json")
    address = address_of(server)
    assert any(address.url in json.dumps(event) for event in server.events()), server.out.text
    Feed(address).close()


def test_who_comes_later(server, peer_sock):
    """What was said before anybody came is counted all the same."""
    for _ in range(100):
        harness.round_trip(peer_sock, b"x" * 1000)
    feed = Feed(server.page)
    feed.row(lambda row: row["peer"] == name_of(peer_sock) and row["in"] == row["out"] == 100006, "all bytes")
    feed.close()
