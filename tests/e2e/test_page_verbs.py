# SPDX-License-Identifier: MIT
"""--page beside everything else that the verbs do: that it is there, that what is done from it is counted where the verbs
count, and that nothing else works differently for it."""

import json
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

import harness
from captures import netns, scenarios
from harness import one_sentence, receive_exactly, round_trip, text_address, wait_until
from page.feed import ANY_PORT, Feed, address_of, part


def strict(line):
    """One object, with no name twice and no NaN."""

    def pairs(items):
        assert len({name for name, _ in items}) == len(items), f"a name twice: {items}"
        return dict(items)

    return json.loads(line, object_pairs_hook=pairs, parse_constant=lambda constant: pytest.fail(constant))


def name_of(sock):
    return text_address(sock.getsockname())


def send(feed, row, data, **members):
    return feed.do("send", id=row["id"], parts=[part(data)], **{"text": False, "every_ms": 0, "count": 0, **members})


@pytest.fixture
def look(started):
    """A viewer of a process's page."""

    def make(process, **keywords):
        feed = Feed(address_of(process), **keywords)
        started.callback(feed.close)
        return feed

    return make


# --- the option -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["tied", "word", "before", "behind"])
def test_where_the_url_stands(command, how):
    """With = or as the next word, before or behind the address: no operand of serve begins like that."""
    port = harness.free_port()
    url = f"http://127.0.0.1:{port}"
    words = {
        "tied": ["echo", harness.LOOPBACK, f"--page={url}"],
        "word": ["echo", harness.LOOPBACK, "--page", url],
        "before": ["--page", url, "echo", harness.LOOPBACK],
        "behind": ["echo", "--page", harness.LOOPBACK],
    }[how]
    server = command.start([command.binary, "serve", *words])
    address = address_of(server)
    if how != "behind":
        assert address.port == port
    server.out.wait_match(r"^listening tcp://127\.0\.0\.1:\d+$")
    assert re.search(r"^page http://127\.0\.0\.1:\d+/#[\w-]{43}$", server.err.text, re.M), server.err.text
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["serve", "echo", "--page-read-only"], "--page"),
        (["watch", "--page-read-only"], "--page"),
        (["lab", "--page-read-only"], "--page"),
        (["trace", "--page-read-only"], "--page"),
        (["connect", "--page-read-only", "127.0.0.1", "7"], "--page"),
        (["watch", "--page", "--once"], "--once"),
        (["watch", "--page", "--json"], "--json"),
        (["lab", "--page", "two-queues"], "names"),
        (["lab", "--page", "--json"], "options"),
        (["connect", "-z", "--page", "127.0.0.1", "7"], "-z"),
        (["connect", "--verify-echo", "--page", "127.0.0.1", "7"], "--page-read-only"),
        (["serve", "greet", "--page", "http://hello"], "before --page"),
        (["lab", "--whole", "two-queues"], "--json"),
        (["lab", "--predict", "--prediction", "5", "two-queues"], "--predict"),
        (["lab", "--json", "--prediction", "5", "two-queues"], "--whole"),
    ],
)
def test_what_does_not_go_together(command, words, sentence):
    done = command.run(*words)
    assert done.status == 2 and done.out == b"", str(done)
    assert sentence in one_sentence(done.err)


@pytest.mark.parametrize("verb", ["serve", "connect", "watch", "trace", "lab"])
def test_help(command, verb):
    text = command.run(verb, "--help").out.decode()
    assert re.search(r"--page\[=URL\]\s+\S", text) and re.search(r"--page-read-only\s+\S", text)
    assert "--page[=URL]" in command.run(verb, "-h").out.decode()
    assert "page-read-only" in command.run("completion", "bash").out.decode()


def test_version(command):
    text = command.run("version").out.decode()
    assert re.search(r"^page (yes|no: .*)$", text, re.M), text
    assert json.loads(command.run("version", "--json").out)["page"] is ("page yes" in text)


# --- serve: with everything that it can do ------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--threads", 4], ["--json"], ["--frame", "line"], ["--quiet"], ["--max-clients", 40]])
def test_serving_goes_on(sonde, look, options):
    """Many clients at once, looked at: every byte comes back, and every one is closed as it would be without a page."""
    server = sonde.serve("echo", ANY_PORT, *options)
    feed = look(server)
    socks = [server.connect() for _ in range(16)]
    for number, sock in enumerate(socks):
        round_trip(sock, b"hello %d\n" % number)
    row = feed.open(feed.row(name_of(socks[3])))
    assert row["note"] == "echo" and row["can"] == ["send", "half-close", "kick"]
    send(feed, row, b"from the page\n")
    assert receive_exactly(socks[3], 14) == b"from the page\n"
    for sock in socks:
        round_trip(sock, b"again\n")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
        sock.close()
    assert server.terminate() == 0
    assert feed.closed()[0] == "close"
    if "--json" not in options and "--quiet" not in options:
        assert {row.reason for row in server.closed()} == {"end of data"}
        assert [row.bytes_out - row.bytes_in for row in server.closed() if row.bytes_out != row.bytes_in] == [14]


def test_each_thread_is_told(sonde, look):
    """Whichever thread has the connection, what is wanted of it is done there."""
    server = sonde.serve("echo", ANY_PORT, "--threads", 4)
    feed = look(server)
    socks = [server.connect() for _ in range(12)]
    for sock in socks:
        round_trip(sock, b"x")
    for sock in socks:
        row = feed.row(name_of(sock))
        send(feed, row, b"page")
        assert receive_exactly(sock, 4) == b"page"
        feed.do("kick", id=row["id"])
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert {server.wait_closed(name_of(sock)).reason for sock in socks if sock.fileno() < 0} <= {"kicked from the page"}
    wait_until(lambda: len(server.closed()) == 12, "all are closed")
    assert {row.reason for row in server.closed()} == {"kicked from the page"}


def test_a_kick_in_json(command, look):
    server = command.serve("echo", ANY_PORT, "--json")
    feed = look(server)
    assert server.wait_event("page")["url"] == feed.address.url
    with server.connect() as sock:
        round_trip(sock, b"x")
        feed.do("kick", id=feed.row(name_of(sock))["id"])
        assert server.wait_event("closed")["reason"] == "page"


def test_once(command, look):
    """It ends with its one connection; whoever looked on is told."""
    server = command.serve("echo", ANY_PORT, "--once")
    feed = look(server)
    with server.connect() as sock:
        round_trip(sock, b"x")
        feed.row(name_of(sock))
    assert server.wait() == 0
    assert feed.closed()[1] == 1001
    assert any(message["kind"] == "bye" for message in feed.seen)


def test_direct(command, look):
    """Connections without descriptors are shown, and sent to; why there are no packets is said."""
    server = command.serve("echo", ANY_PORT, "--direct")
    feed = look(server)
    assert "--direct" in feed.welcome["no_packets"]
    with server.connect() as sock:
        round_trip(sock, b"hello")
        row = feed.open(feed.row(name_of(sock)))
        send(feed, row, b"page")
        assert receive_exactly(sock, 4) == b"page"
        feed.do("kick", id=row["id"])
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_hold(command, look):
    """Who waits in the accept queue is on the page, and so is the queue."""
    server = command.serve("hold", ANY_PORT, url="tcp://127.0.0.1:0?backlog=2")
    feed = look(server)
    socks = [harness.dial(f"tcp://127.0.0.1:{server.port}") for _ in range(2)]
    feed.wait(
        lambda message: message["kind"] == "overview" and any(one["queue"] == 2 for one in message["listeners"]),
        "a queue of two",
    )
    row = feed.row(name_of(socks[0]))
    assert row["can"] == []
    for sock in socks:
        sock.close()


def test_exec(command, look):
    """Programs' connections are like others; and children that are not the page's are waited for as ever."""
    server = command.start([*command.argv("serve", "exec", ANY_PORT, "--json", harness.LOOPBACK), "--", "cat"])
    server.out.wait_match(r"listening")
    url = json.loads(server.out.text.splitlines()[0])["url"]
    feed = look(server)
    with harness.dial(url) as sock:
        round_trip(sock, b"through cat\n")
        row = feed.open(feed.row(name_of(sock)))
        assert row["note"] == "exec"
        number = feed.begin("run", name="stale-tail", prediction=None)
        send(feed, row, b"page\n")
        assert receive_exactly(sock, 5) == b"page\n"
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
        assert feed.answer(number)["kind"] in ("report", "result")
    server.out.wait_match(r'"event":"closed".*"exit(_status)?":0')
    assert "cat" not in feed.welcome["title"]


def test_talk(command, look):
    server = command.start(command.serve_argv("talk", ANY_PORT))
    url = server.out.wait_match(r"^listening (\S+)$")[1]
    feed = look(server)
    with harness.dial(url) as sock:
        sock.sendall(b"hello\n")
        row = feed.open(feed.row(name_of(sock)))
        server.feed(b"from the operator\n")
        assert receive_exactly(sock, 18) == b"from the operator\n"
        send(feed, row, b"from the page\n")
        assert receive_exactly(sock, 14) == b"from the page\n"
        server.feed(b"again\n")
        assert receive_exactly(sock, 6) == b"again\n"
    server.out.wait_match(r"^closed .* end of data, ")


def test_several_addresses(command, look, place):
    """All that it listens on, and nothing of anybody else's."""
    with harness.listener() as other:
        path = place / "page.sock"
        server = command.serve("echo", ANY_PORT, url=["tcp://127.0.0.1:0", f"unix:{path}", "udp://127.0.0.1:0"])
        feed = look(server)
        listed = feed.next("overview", lambda message: len(message["listeners"]) >= 3)["listeners"]
        names = " ".join(one["address"] for one in listed)
        assert str(path) in names and f":{other.getsockname()[1]}" not in names, names
        assert len(listed) == 3, listed

        def looked(message):  # at the kernel's sockets, of which the one for datagrams is a listener here
            return any(one["protocol"] == "tcp" and one["queue"] is not None for one in message["listeners"])

        assert feed.next("overview", looked)["rows"] == []


@pytest.mark.parametrize("kind", ["ws", "any"])
def test_the_page_may_be_a_client(command, look, kind):
    """A WebSocket from the page's own origin is let in, and from no other."""
    server = command.serve("echo", ANY_PORT, url=f"{kind}://127.0.0.1:0")
    feed = look(server)
    (url,) = feed.welcome["client_urls"]
    assert url == f"ws://127.0.0.1:{server.port}/"

    def status(origin):
        with harness.dial(f"tcp://127.0.0.1:{server.port}") as sock:
            sock.sendall(
                f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
            )
            return int(receive_exactly(sock, 12)[9:])

    assert status(feed.address.origin) == 101
    assert status(f"http://127.0.0.1:{feed.address.port + 1}") == 403


def test_read_only(command, look):
    server = command.serve("echo", ANY_PORT, "--page-read-only")
    feed = look(server)
    assert feed.welcome["read_only"] is True and feed.welcome["rights"] == ["see"]
    with server.connect() as sock:
        round_trip(sock, b"x")
        row = feed.open(feed.row(name_of(sock)))
        assert row["can"] == []
        feed.refused("send", id=row["id"], parts=[part(b"x")], text=False, every_ms=0, count=0)
        feed.refused("kick", id=row["id"])
        feed.refused("half-close", id=row["id"])
        feed.refused("run", name="two-queues", prediction=None)
        round_trip(sock, b"still there")


# --- connect ----------------------------------------------------------------------------------------------------------


def over(feed, since=0):
    """Why there is no connection (any more), as soon as there is none."""

    def look(message):
        return (message.get("talk") or {}).get("state") == "over"

    return feed.wait(look, "that the talk is over", since=since)["talk"]["why"]


def leave(client, number=signal.SIGINT):
    """Its talk is over, and it stays for the page until a signal comes."""
    assert client.running
    client.signal(number)
    return client.wait()


def test_half_close_of_connect(sonde, look, peer):
    """It is as if standard input had ended: the peer's answer is waited for, and everything is counted."""
    heard = []

    def script(sock, _):
        heard.append(harness.receive_all(sock))
        sock.sendall(b"answer\n")

    device = peer(script)
    client = sonde.start_connect(ANY_PORT, "-v", device.url)
    feed = look(client)
    row = feed.open(feed.row(f"127.0.0.1:{device.port}"))
    client.feed(b"typed\n")
    feed.wait_of("messages", lambda message: message["bytes"] == 6, "what was typed")
    send(feed, row, b"page\n")
    feed.do("half-close", id=row["id"])
    over(feed)
    assert leave(client) == 0
    assert client.out.data == b"answer\n" and heard == [b"typed\npage\n"]
    assert re.search(r"^closed .* end of data, 7 bytes in, 11 out, ", client.err.text, re.M), client.err.text


def test_kick_of_connect(sonde, look, peer):
    met = []

    def script(sock, _):
        try:
            sock.recv(1)
        except ConnectionResetError as error:
            met.append(error)

    device = peer(script)
    client = sonde.start_connect(ANY_PORT, "--json", device.url)
    feed = look(client)
    feed.do("kick", id=feed.row(f"127.0.0.1:{device.port}")["id"])
    assert "page" in over(feed)
    assert leave(client) == 1
    assert "reset from the page" in client.err.text
    events = harness.strict_json_lines(client.out.data)
    assert [event["event"] for event in events] == ["page", "opened", "closed"]
    assert events[0]["url"] == feed.address.url and events[-1]["reason"] == "page"
    wait_until(lambda: met, "the peer has met a reset")


def test_listening_connect(sonde, look):
    """-l -k: one client after the other, each a row."""
    client = sonde.start_connect(ANY_PORT, "-l", "-k", "127.0.0.1", "0")
    port = int(client.err.wait_match(r"^listening tcp://127\.0\.0\.1:(\d+)$")[1])
    feed = look(client)
    for number in range(2):
        with harness.dial(f"tcp://127.0.0.1:{port}") as sock:
            row = feed.open(feed.row(name_of(sock)))
            send(feed, row, b"page %d\n" % number)
            assert receive_exactly(sock, 7) == b"page %d\n" % number
    client.signal(signal.SIGINT)
    assert client.wait() == 130


def test_each_line_of_connect(sonde, look, peer):
    """A connection for each line: the page stays through all of them."""
    device = peer(lambda sock, _: sock.sendall(harness.receive_all(sock).upper()))
    client = sonde.start_connect(ANY_PORT, "-v", "--each-line", "new", device.url)
    feed = look(client)
    for word in (b"one", b"two"):
        client.feed(word + b"\n")
        client.out.wait_for(lambda data, word=word: word.upper() in data, "the answer")
    feed.next("overview", lambda message: len([row for row in message["rows"] if row["state"] != "ESTABLISHED"]) >= 2)
    client.end_input()
    client.err.wait_match("the page stays")
    assert "connect" not in feed.welcome["rights"]  # the lines say when
    assert leave(client) == 0
    assert client.out.data == b"ONE\nTWO\n"


def test_messages_of_connect(sonde, look):
    """On a WebSocket what is sent from the page is a message, and there is no half of an end."""
    server = sonde.serve("echo", url="ws://127.0.0.1:0")
    client = sonde.start_connect(ANY_PORT, f"ws://127.0.0.1:{server.port}/")
    feed = look(client)
    row = feed.open(feed.row(f"127.0.0.1:{server.port}"))
    send(feed, row, "grüße".encode(), text=True)
    client.out.wait_for(lambda data: data == "grüße\n".encode(), "its echo")
    feed.refused("half-close", id=row["id"])
    client.feed(b"typed\n")
    client.out.wait_for(lambda data: b"typed\n" in data, "the echo of what was typed")
    client.end_input()
    over(feed)
    assert leave(client) == 0


def test_connecting_again(sonde, look, peer):
    """The device closes: its row has ended, and the page connects again, to what says another thing this time."""
    device = peer(lambda sock, number: [sock.sendall(b"hello %d\n" % number), sock.recv(4)])
    client = sonde.start_connect(ANY_PORT, device.url)
    feed = look(client)
    assert "connect" in feed.welcome["rights"]
    first = feed.open(feed.row(f"127.0.0.1:{device.port}"))
    assert "first" in feed.refused("connect")
    send(feed, first, b"bye\n")
    assert "end of data" in over(feed)
    feed.wait(lambda message: message["kind"] == "row" and message["row"]["ended"], "that its row has ended")
    asked = len(feed.seen)
    feed.do("connect")
    second = feed.open(feed.row(lambda row: row["id"] > first["id"] and row["can"]))
    assert second["peer"] == first["peer"] and second["local"] != first["local"]
    feed.wait_of("messages", lambda message: message["bytes"] == 8, "its greeting")
    client.feed(b"bye\n")
    over(feed, since=asked)
    assert len(set(re.findall(rb"hello \d", client.out.data))) == 2
    assert leave(client) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_refused_at_first(sonde, look, peer, number):
    """Nobody listens yet: the page says so, and connects once somebody does. A signal then is an interruption."""
    port = harness.free_port()
    client = sonde.start_connect(ANY_PORT, f"tcp://127.0.0.1:{port}")
    feed = look(client)
    assert "refused" in over(feed)
    asked = len(feed.seen)
    feed.do("connect")
    assert "refused" in over(feed, since=asked)
    assert len(re.findall("refused", client.err.text)) == 2, client.err.text
    peer(harness.echo_script, port=port)
    feed.do("connect")
    row = feed.row(f"127.0.0.1:{port}")
    send(feed, row, b"at last\n")
    client.out.wait_for(lambda data: data == b"at last\n", "the echo")
    assert leave(client, number) == 128 + number


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_status_of_the_last_talk(command, look, number):
    """What it would have been without a page."""
    client = command.start_connect(ANY_PORT, f"tcp://127.0.0.1:{harness.free_port()}")
    over(look(client))
    assert leave(client, number) == 1


def test_input_that_has_ended(sonde, look, peer):
    """Standard input ends the first connection, and not the one that the page makes."""
    device = peer(lambda sock, _: sock.sendall(harness.receive_all(sock).upper()))
    client = sonde.start_connect(ANY_PORT, device.url)
    feed = look(client)
    client.feed(b"typed\n")
    client.end_input()
    over(feed)
    asked = len(feed.seen)
    feed.do("connect")
    row = feed.row(lambda row: row["can"], "a row that can be sent to")
    send(feed, row, b"from the page\n")
    feed.do("half-close", id=row["id"])
    over(feed, since=asked)
    assert client.out.data == b"TYPED\nFROM THE PAGE\n"
    assert leave(client) == 0


def test_a_device_that_ends_what_the_page_began(sonde, look, peer):
    """Standard input has ended long ago: the peer's end is the end, as ever."""
    device = peer(lambda sock, _: sock.sendall(b"ready\n"))
    client = sonde.start_connect(ANY_PORT, device.url)
    client.end_input()
    feed = look(client)
    over(feed)
    for number in (2, 3):
        asked = len(feed.seen)
        feed.do("connect")
        client.out.wait_for(lambda data, number=number: data == b"ready\n" * number, "its greeting")
        assert "end of data" in over(feed, since=asked)
    assert leave(client) == 0


def test_connecting_again_is_for_who_may_send(command, look, peer):
    device = peer(lambda sock, _: None)
    client = command.start_connect(ANY_PORT, "--page-read-only", device.url)
    feed = look(client)
    over(feed)
    assert feed.welcome["rights"] == ["see"] and "read-only" in feed.refused("connect")
    assert device.n_connections == 1
    assert leave(client) == 0


def test_listening_has_nothing_to_connect(command, look):
    """-l without -k: one client, and what it said stays to be looked at."""
    client = command.start_connect(ANY_PORT, "-v", "-l", "127.0.0.1", "0")
    port = int(client.err.wait_match(r"^listening tcp://127\.0\.0\.1:(\d+)$")[1])
    feed = look(client)
    assert "connect" not in feed.welcome["rights"]
    with harness.dial(f"tcp://127.0.0.1:{port}") as sock:
        feed.row(name_of(sock))
        sock.sendall(b"hello\n")
    client.err.wait_match("the page stays")
    feed.refused("connect")
    feed.row(lambda row: row["ended"], "its row, which has ended")
    with pytest.raises(ConnectionRefusedError):
        harness.dial(f"tcp://127.0.0.1:{port}")
    assert leave(client) == 0 and client.out.data == b"hello\n"


def test_verify_echo_beside_a_page_that_only_shows(sonde, look, echo_peer):
    client = sonde.start_connect(ANY_PORT, "--page-read-only", "--verify-echo", echo_peer.url)
    feed = look(client)
    feed.open(feed.row(f"127.0.0.1:{echo_peer.port}"))
    client.feed(b"x" * 100000)
    client.end_input()
    assert client.wait() == 0, str(client)


def test_expect_beside_a_page(sonde, look, echo_peer):
    """What comes back of what the page has sent counts like anything else that comes."""
    client = sonde.start_connect(ANY_PORT, "--expect", "^ready$", echo_peer.url)
    feed = look(client)
    send(feed, feed.row(f"127.0.0.1:{echo_peer.port}"), b"ready\n")
    assert client.wait() == 0


# --- watch, trace, lab ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("verb", ["watch", "lab"])
def test_until_a_signal(command, look, verb, number):
    process = command.start(command.argv(verb, ANY_PORT))
    feed = look(process)
    assert feed.welcome["verb"] == verb and feed.welcome["title"].startswith(verb)
    if verb == "lab":
        assert re.match(r"\S.* .*\S$", feed.welcome["no_packets"], re.S)
    else:  # they are captured when somebody looks
        assert feed.welcome["no_packets"] is None
    process.signal(number)
    assert process.wait() == 0 and process.out.data == b""
    assert feed.closed()[1] == 1001


def test_watch_is_bounded_by_its_filter(command, look, echo_peer):
    """What was said on the command line holds, whatever a browser asks for."""
    process = command.start(command.argv("watch", ANY_PORT, f"dport = :{echo_peer.port}"))
    feed = look(process)
    with harness.listener() as other, harness.dial(echo_peer.url) as sock, harness.dial(harness.url_of(other)):
        assert feed.row(f"127.0.0.1:{echo_peer.port}")["local"] == name_of(sock)
        feed.do("filter", text="")
        rows = feed.next("overview")["rows"]
        assert {row["peer"] for row in rows} == {f"127.0.0.1:{echo_peer.port}"}, rows


def test_a_live_trace(command, look, echo_peer):
    """The ladder is in the browser, and not on standard output; the trace goes on until a signal."""
    if os.geteuid() != 0:
        pytest.skip("capturing takes CAP_NET_RAW")
    process = command.start(command.argv("trace", ANY_PORT, "tcp", "port", str(echo_peer.port)))
    feed = look(process)
    assert feed.welcome["no_packets"] is None
    with harness.dial(echo_peer.url) as sock:
        round_trip(sock, b"hello\n")
        row = feed.open(feed.row(lambda row: name_of(sock) in (row["local"], row["peer"])))
        feed.wait_of("events", lambda event: event["event"] == "segment" and event["len"] == 6, "what was said")
        assert row["can"] == []
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    assert process.out.data == b""


def test_a_trace_that_ends(command, look, echo_peer):
    """After so many packets there is an end, and what was seen stays to be looked at."""
    if os.geteuid() != 0:
        pytest.skip("capturing takes CAP_NET_RAW")
    process = command.start(command.argv("trace", ANY_PORT, "-c", 3, "tcp", "port", str(echo_peer.port)))
    address_of(process)
    with harness.dial(echo_peer.url) as sock:
        round_trip(sock, b"hello\n")
        feed = look(process)
        feed.open(feed.row(lambda row: True, "a row"))
        feed.wait_of("events", lambda event: event["event"] == "segment" and event["number"] == 3, "the third segment")
    assert process.running
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def test_recorded_events(command, look, tmp_path):
    """What --json has written is shown as a capture is, but for its packets."""
    if netns.permitted():
        pytest.skip(netns.permitted())
    capture = scenarios.make("loss_thrice", tmp_path)["loss_thrice"]
    recorded = tmp_path / "events.jsonl"
    recorded.write_bytes(command.run("trace", "-r", capture, "--json").out)
    process = command.start(command.argv("trace", "-r", recorded, ANY_PORT))
    feed = look(process)
    expected = [json.loads(line) for line in recorded.read_text().splitlines()]
    n_segments = sum(event["event"] == "segment" for event in expected)
    row = feed.open(feed.row(lambda row: True, "a row"))
    feed.wait_of("events", lambda event: event["event"] == "segment" and event["number"] == n_segments, "all segments")
    feed.refused("layers", id=row["id"], segment=1)
    process.signal(signal.SIGINT)
    assert process.wait() == 0


def test_a_file_that_is_none(command, tmp_path):
    """What cannot be read at all is an error as without a page."""
    file = tmp_path / "none.pcap"
    file.write_bytes(b"this is no capture\n" * 10)
    done = command.run("trace", "-r", file, ANY_PORT)
    assert done.status == 1 and "none.pcap" in done.err


def test_views_beside_the_page(command, look, tmp_path):
    """What is asked for besides is shown here, too."""
    if netns.permitted():
        pytest.skip(netns.permitted())
    capture = scenarios.make("loss_thrice", tmp_path)["loss_thrice"]
    alone = command.run("trace", "-r", capture, "--summary").out
    process = command.start(command.argv("trace", "-r", capture, "--summary", ANY_PORT))
    process.out.wait_for(lambda data: data == alone, "the summary")
    look(process).row(lambda row: True, "a row")
    process.signal(signal.SIGINT)
    assert process.wait() == 0


# --- the lab ----------------------------------------------------------------------------------------------------------


def test_a_report_as_json(command):
    """--json --whole: strict JSON, a line for each experiment, with what the text has."""
    done = command.run("lab", "--json", "--whole", "--prediction", "5", "two-queues", "acknowledgement")
    queues, acknowledgement = [strict(line) for line in done.out.splitlines()]
    assert (queues["name"], queues["chapter"]) == ("two-queues", "opening")
    assert queues["prediction"] == "5" and acknowledgement["question"]
    assert [claim["id"] for claim in queues["claims"]] == ["C2", "C3", "C4"]
    for report in (queues, acknowledgement):
        assert report["ms"] > 0 and report["by_hand"] and report["read"] and report["done"]
        for claim in report["claims"]:
            assert claim["verdict"] in ("TRUE", "FALSE", "IT DEPENDS", "NOT SHOWN HERE") and claim["sentence"]
    if any(claim["verdict"] == "NOT SHOWN HERE" for claim in queues["claims"]):
        pytest.skip("no experiments here")
    assert queues["answer"] == "3" and queues["outcome"] == "You said 5, measured 3."
    (ladder,) = [piece for piece in acknowledgement["evidence"] if piece["kind"] == "ladder"]
    assert ladder["svg"].startswith("<svg ") and ladder["svg"].rstrip().endswith("</svg>") and "seq" in ladder["text"]
    for table in [piece for piece in acknowledgement["evidence"] if piece["kind"] == "table"]:
        assert len(table["heads"]) == len(table["numeric"])
        assert all(len(row) == len(table["heads"]) for row in table["rows"])


def test_a_prediction_is_one_word(command, look):
    """Whatever it holds, it is an answer, and never an option or a second experiment."""
    process = command.start(command.argv("lab", ANY_PORT))
    feed = look(process)
    for prediction in ("--list", "a b; $(id) `id` 'x\"", "\u202egnp"):
        report = feed.do("run", name="two-queues", prediction=prediction)["report"]
        assert report["name"] == "two-queues" and report["claims"]
        assert report["prediction"].isprintable()
    assert "128" in feed.refused("run", name="two-queues", prediction="x" * 129)
    feed.refused("run", name="../two-queues", prediction=None)
    feed.refused("run", name="all", prediction=None)


def test_an_experiment_ends_with_the_page(command, look):
    """What runs when sonde is told to end is ended with it, and leaves no process behind."""
    process = command.start(command.argv("lab", ANY_PORT))
    feed = look(process)
    longest = max(feed.do("experiments")["experiments"], key=lambda one: one["milliseconds"])
    feed.begin("run", name=longest["name"], prediction=None)
    feed.wait(lambda message: message["kind"] == "running" and message["name"], "that it runs")

    def children():
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], stdout=subprocess.PIPE, text=True, check=False)
        return found.stdout.split()

    (child,) = wait_until(children, "its process")
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    wait_until(lambda: not os.path.exists(f"/proc/{child}"), "the experiment's process is gone")


def test_two_at_once(command, look):
    """One at a time for all viewers; when it is over everybody is told, and the next may run."""
    process = command.start(command.argv("lab", ANY_PORT))
    viewers = look(process), look(process)
    process.stop()  # both have asked before one of them can be over
    numbers = [viewer.begin("run", name="stale-tail", prediction=None) for viewer in viewers]
    process.go_on()
    report, busy = sorted((viewer.answer(number) for viewer, number in zip(viewers, numbers)), key=lambda answer: answer["kind"])
    assert report["kind"] == "report" and busy["ok"] is False and busy["busy"] is True, (report, busy)
    for viewer in viewers:
        for name in ("stale-tail", None):
            viewer.wait(lambda message, name=name: message["kind"] == "running" and message["name"] == name, f"{name} runs")
    assert viewers[1].do("run", name="stale-tail", prediction=None)["report"]["name"] == "stale-tail"


def test_it_is_over_with_its_viewer_gone(command, look):
    process = command.start(command.argv("lab", ANY_PORT))
    gone, other = Feed(address_of(process)), look(process)
    gone.begin("run", name="two-queues", prediction=None)
    other.wait(lambda message: message["kind"] == "running", "that it runs")
    gone.close()
    other.wait(lambda message: message["kind"] == "running" and message["name"] is None, "that it is over")


# --- many at work ------------------------------------------------------------------------------------------------------


def test_the_page_under_load(sonde, look):
    """Clients that come, talk and go, on threads, while the page sends and kicks: nothing is lost or hangs."""
    server = sonde.serve("echo", ANY_PORT, "--threads", 2)
    feed = look(server)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            with server.connect() as sock:
                try:
                    round_trip(sock, b"x" * 1000)
                except (ConnectionError, AssertionError):
                    if not stop.is_set():
                        return  # kicked

    workers = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(5):
            rows = feed.next("overview", lambda message: message["rows"])["rows"]
            feed.ask("send", id=rows[0]["id"], parts=[part(b"page")], text=False, every_ms=0, count=0)
            feed.ask("kick", id=rows[-1]["id"])
    finally:
        stop.set()
        for worker in workers:
            worker.join(harness.DEADLINE)
    assert server.terminate() == 0
