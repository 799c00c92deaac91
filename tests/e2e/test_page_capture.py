# SPDX-License-Identifier: MIT
"""sonde watch --page: while somebody looks at a connection, its packets are captured, and only then. The programs at both
ends know nothing of it: they are others than sonde."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest

import harness
from captures import netns
from harness import round_trip, text_address, wait_until
from page.feed import ANY_PORT, Feed, address_of

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="capturing takes CAP_NET_RAW")
SETCAP = re.compile(r"To permit it: (?:sudo )?setcap cap_net_raw\+ep \S+")


def name_of(sock):
    return text_address(sock.getsockname())


def look_at(process, started):
    feed = Feed(address_of(process))
    started.callback(feed.close)
    return feed


@pytest.fixture
def watching(command, started):
    """A viewer of watch's page."""
    process = command.start(command.argv("watch", ANY_PORT, "--tcp", "--udp"))
    feed = look_at(process, started)
    feed.process = process
    return feed


def n_captures(process):
    """Packet sockets that it has and that are bound, found by their inodes."""
    table = pathlib.Path(f"/proc/{process.pid}/net/packet").read_text().split("\n")[1:]
    rows = [line.split() for line in table if line]
    inodes = {f"socket:[{row[8]}]" for row in rows if row[5] == "1"}
    found = 0
    for fd in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            found += os.readlink(fd) in inodes
        except OSError:
            pass
    return found


def captures(process, n):
    wait_until(lambda: n_captures(process) == n, f"{n} captures")


def open_captured(feed, sock, n=1):
    """Its row, once its packets are captured."""
    row = feed.open(feed.row(lambda row: row["local"] == name_of(sock)))
    captures(feed.process, n)
    return row


def wait_segment(feed, text, kind="segment"):
    return feed.wait_of("events", lambda event: event["event"] == kind and event.get("text") == text, f"{kind} {text!r}")


def of_one(events):
    """All of one connection, which is introduced first."""
    assert events[0]["event"] == "connection", events[0]
    assert len({event["conn"] for event in events if "conn" in event}) == 1, events
    return events


def round_trip_with(sock, peer):
    sock.sendall(b"there")
    assert harness.receive_exactly(peer, 5) == b"there"
    peer.sendall(b"back")
    assert harness.receive_exactly(sock, 4) == b"back"


# --- what is seen -----------------------------------------------------------------------------------------------------


@needs_root
def test_segments_of_the_opened_connection(watching, echo_peer):
    """The tracker says that it begins midway; then the segments, what was said in them, and their layers."""
    assert watching.welcome["no_packets"] is None
    with harness.dial(echo_peer.url) as sock, harness.dial(echo_peer.url) as other:
        round_trip(sock, b"before\n")
        row = open_captured(watching, sock)
        round_trip(other, b"other\n")
        round_trip(sock, b"hello\n")
        sent = wait_segment(watching, "hello\n")
        watching.wait_of("events", lambda event: event["event"] == "segment" and event["len"] == 6
                         and event["src"] == text_address(sock.getpeername()), "the answer's segment")  # fmt: skip
        events = of_one(watching.of("events"))
        assert events[0]["begins_midway"] is True and events[0]["where"] == "lo", events[0]
        assert sent["src"] == name_of(sock)
        assert not [event for event in events if event.get("text") in ("before\n", "other\n")]
        watching.wait(lambda _: (watching.said("out"), watching.said("in")) == (b"hello\n", b"hello\n"), "what was said")
        packet = watching.do("layers", id=row["id"], segment=sent["number"])["packet"]
        assert {"IPv4", "TCP"} <= {field["layer"] for field in packet["fields"]}
        watching.wait(lambda message: message["kind"] == "row" and message["row"]["trace"] == sent["conn"], "its trace")
        watching.do("close")
        captures(watching.process, 0)


@needs_root
def test_other_programs(watching, tool):
    """nc at one end, socat at the other."""
    with harness.listener() as sock:
        port = sock.getsockname()[1]
    peer = subprocess.Popen([tool("socat"), f"TCP4-LISTEN:{port},bind=127.0.0.1,reuseaddr", "EXEC:cat"])
    wait_until(lambda: harness.accept_queue(port) is not None, "socat listens")
    client = subprocess.Popen([tool("nc"), "127.0.0.1", str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        watching.open(watching.row(f"127.0.0.1:{port}"))
        captures(watching.process, 1)
        client.stdin.write(b"from nc\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"from nc\n"
        wait_segment(watching, "from nc\n")
        watching.wait(lambda _: watching.said("in") == b"from nc\n", "what was echoed")
        watching.wait(lambda _: watching.said("out") == b"from nc\n", "what nc has sent")
    finally:
        for process in (client, peer):
            process.kill()
            process.communicate()


@needs_root
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_datagrams(watching, host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one, socket.socket(family, socket.SOCK_DGRAM) as other:
        one.bind((host, 0))
        other.bind((host, 0))
        one.connect(other.getsockname())
        other.connect(one.getsockname())
        open_captured(watching, one)
        one.send(b"a datagram")
        other.send(b"another")
        wait_segment(watching, "a datagram", "datagram")
        wait_segment(watching, "another", "datagram")
        watching.wait(lambda _: watching.said("in") == b"another", "what came")
        watching.wait(lambda _: watching.said("out") == b"a datagram", "what went")
        of_one(watching.of("events"))


@needs_root
def test_ipv4_of_an_ipv6_socket(watching):
    """What the kernel calls ::ffff:127.0.0.1 is IPv4 on the wire."""
    with socket.socket(socket.AF_INET6) as listening:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(("::", 0))
        listening.listen()
        with socket.create_connection(("127.0.0.1", listening.getsockname()[1])) as sock:
            accepted = listening.accept()[0]
            with accepted:
                watching.open(watching.row(lambda row: row["peer"].endswith(f":{sock.getsockname()[1]}")))
                captures(watching.process, 1)
                sock.sendall(b"clothes\n")
                wait_segment(watching, "clothes\n")
                watching.wait(lambda _: watching.said("in") == b"clothes\n", "what came")


@needs_root
def test_two_at_the_same_time(watching, started, echo_peer):
    """Two viewers, two connections: each has its own events, whatever number its session gave it."""
    second = look_at(watching.process, started)
    second.process = watching.process
    with harness.dial(echo_peer.url) as one, harness.dial(echo_peer.url) as two:
        open_captured(watching, one)
        open_captured(second, two, 2)
        round_trip(one, b"the first\n")
        round_trip(two, b"the second\n")
        numbers = {wait_segment(watching, "the first\n")["conn"], wait_segment(second, "the second\n")["conn"]}
        assert len(numbers) == 2
        for feed, other in ((watching, "the second\n"), (second, "the first\n")):
            assert not [event for event in of_one(feed.of("events")) if event.get("text") == other]
        watching.do("close")
        captures(watching.process, 1)
        round_trip(two, b"goes on\n")
        wait_segment(second, "goes on\n")
        second.close()
        captures(watching.process, 0)


@needs_root
def test_both_ends_have_one_trace(watching, started, echo_peer):
    second = look_at(watching.process, started)
    with harness.dial(echo_peer.url) as sock:
        open_captured(watching, sock)
        second.open(second.row(name_of(sock)))  # its peer: the echo server's end
        round_trip(sock, b"hello\n")
        sent = wait_segment(watching, "hello\n")
        assert wait_segment(second, "hello\n")["conn"] == sent["conn"]
        assert n_captures(watching.process) == 1
        watching.do("close")
        round_trip(sock, b"again\n")
        wait_segment(second, "again\n")
        assert n_captures(watching.process) == 1


@needs_root
def test_closed_and_opened_again(watching, echo_peer):
    """What was seen stays until there is something new; then the ladder begins anew, and says so."""
    with harness.dial(echo_peer.url) as sock:
        open_captured(watching, sock)
        round_trip(sock, b"first\n")
        before = wait_segment(watching, "first\n")
        watching.do("close")
        captures(watching.process, 0)
        round_trip(sock, b"between\n")
        open_captured(watching, sock)
        assert wait_segment(watching, "first\n")["conn"] == before["conn"]
        round_trip(sock, b"second\n")
        after = wait_segment(watching, "second\n")
        assert after["conn"] != before["conn"]
        anew = watching.wait(lambda message: message["kind"] == "events" and message.get("first") is True and
                             any(event.get("conn") == after["conn"] for event in message["events"]), "a new beginning")  # fmt: skip
        at = watching.seen.index(anew)
        events = [event for message in watching.seen[at:] if message["kind"] == "events" for event in message["events"]]
        assert {event["conn"] for event in of_one(events)} == {after["conn"]} and events[0]["begins_midway"] is True
        watching.wait(lambda _: watching.said("in") == b"first\nsecond\n", "what was said while somebody looked")
        packet = watching.do("layers", id=anew["id"], segment=after["number"])["packet"]
        assert packet["fields"]


@needs_root
def test_it_ends_while_it_is_looked_at(watching, listen):
    """FIN both ways, and the row stays with its ladder; opened once more, nothing is captured."""
    listening = listen()
    with harness.dial(harness.url_of(listening)) as sock:
        with harness.accept(listening)[0] as peer:
            row = open_captured(watching, sock)
            peer.sendall(b"last words\n")
            wait_segment(watching, "last words\n")
        assert harness.receive_all(sock) == b"last words\n"
    for name in (f"127.0.0.1:{listening.getsockname()[1]}", row["local"]):
        watching.wait_of("events", lambda event, name=name: event["event"] == "segment" and "F" in event["flags"]
                         and event["src"] == name, f"the FIN of {name}")  # fmt: skip
    watching.wait(lambda message: message["kind"] == "row" and message["row"]["ended"], "its end")
    watching.do("close")
    captures(watching.process, 0)
    assert watching.open(row)["ended"] is True
    wait_segment(watching, "last words\n")
    watching.next("overview")
    assert n_captures(watching.process) == 0


@needs_root
def test_four_are_the_most(watching, started, echo_peer):
    """The fifth is told why, in a sentence; its turn comes when another is closed."""
    feeds = [watching] + [look_at(watching.process, started) for _ in range(4)]
    socks = [harness.dial(echo_peer.url) for _ in feeds]
    for sock in socks:
        started.callback(sock.close)
        round_trip(sock, b"x")
    for feed, sock in list(zip(feeds, socks))[:4]:
        feed.open(feed.row(lambda row, sock=sock: row["local"] == name_of(sock)))
    captures(watching.process, 4)
    feeds[4].open(feeds[4].row(lambda row: row["local"] == name_of(socks[4])))
    said = feeds[4].wait(lambda message: message["kind"] == "result" and message["re"] == 0, "why it is not captured")
    assert said["ok"] is False and "4" in said["error"] and said["error"].endswith(".")
    feeds[1].do("close")
    wait_until(lambda: (round_trip(socks[4], b"now\n"), feeds[4].next("overview"),
                        [event for event in feeds[4].of("events") if event.get("text") == "now\n"])[2], "its segments")  # fmt: skip
    assert n_captures(watching.process) == 4
    assert len([message for message in feeds[4].seen if message["kind"] == "result" and message["re"] == 0]) == 1
    watching.process.signal(signal.SIGTERM)
    assert watching.process.wait() == 0


@pytest.mark.parametrize("far", [True, False])
def test_interfaces(command, started, far):
    """What goes out is captured wherever it goes; what this machine says to an address of its own goes over lo."""
    if netns.permitted():
        pytest.skip(netns.permitted())
    with netns.Wire() as wire:
        listening = (wire.b if far else wire.a).listener(wire.B4 if far else wire.A4)
        sock = wire.a.socket()
        started.callback(listening.close)
        started.callback(sock.close)
        sock.connect(listening.getsockname())
        with harness.accept(listening)[0] as peer, wire.a.entered():
            process = command.start(command.argv("watch", ANY_PORT, "--tcp"))
            watching = look_at(process, started)
            watching.process = process
            open_captured(watching, sock)
            round_trip_with(sock, peer)
            wait_segment(watching, "there")
            wait_segment(watching, "back")
            assert of_one(watching.of("events"))[0]["where"] == ("any" if far else "lo")
            watching.wait(lambda _: (watching.said("out"), watching.said("in")) == (b"there", b"back"), "what was said")


# --- what is not permitted --------------------------------------------------------------------------------------------


def test_without_rights(command, started, nobody, echo_peer):
    """The page says why, with the very command that permits it; the kernel's values are on the ladder all the same."""
    if not nobody.prefix:
        pytest.skip("this test needs root, to be nobody")
    process = command.start([*nobody.prefix, nobody.binary, "watch", ANY_PORT])
    feed = look_at(process, started)
    assert feed.welcome["no_packets"] is None
    with harness.dial(echo_peer.url) as sock:
        round_trip(sock, b"x")
        feed.open(feed.row(lambda row: row["local"] == name_of(sock)))
        said = feed.wait(lambda message: message["kind"] == "overview" and message.get("no_packets"), "why not")
        assert SETCAP.search(said["no_packets"]) and "CAP_NET_RAW" in said["no_packets"], said["no_packets"]
        round_trip(sock, bytes(10000))
        feed.wait_of("events", lambda event: event["event"] == "values" and event["source"] == "kernel", "values")
        events = of_one(feed.of("events"))
        assert not [event for event in events if event["event"] == "segment"]
        assert said["no_packets"] in [event.get("sentence") for event in events]
        assert {events[0][end]["address"] for end in "ab"} == {name_of(sock), text_address(sock.getpeername())}
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def test_permitted_meanwhile(command, started, nobody, place, echo_peer, tool):
    """Whoever does what the sentence says, and opens the row again, sees packets."""
    if not nobody.prefix:
        pytest.skip("this test needs root, to be nobody")
    tool("setcap")
    helper = pathlib.Path(command.binary).parent / "sonde-capture"
    if not helper.exists():
        pytest.skip("no sonde-capture beside the command")
    if not (place / "sonde").exists():
        shutil.copy(command.binary, place / "sonde")
    shutil.copy(helper, place / "sonde-capture")
    process = command.start([*nobody.prefix, place / "sonde", "watch", ANY_PORT])
    feed = look_at(process, started)
    feed.process = process
    with harness.dial(echo_peer.url) as sock:
        row = feed.open(feed.row(lambda row: row["local"] == name_of(sock)))
        feed.wait(lambda message: message["kind"] == "overview" and message.get("no_packets"), "why not")
        done = subprocess.run(["setcap", "cap_net_raw+ep", place / "sonde-capture"], capture_output=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no file capabilities here: {done.stderr}")
        feed.do("close")
        feed.open(row)
        feed.wait(lambda message: message["kind"] == "overview" and message.get("no_packets", 1) is None, "that they are seen")
        round_trip(sock, b"hello\n")
        wait_segment(feed, "hello\n")
