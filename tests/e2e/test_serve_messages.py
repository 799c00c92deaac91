# SPDX-License-Identifier: MIT
"""sonde serve on what has messages: datagrams, UNIX packets, WebSocket; and on one port for every client.

The peers are sockets of Python's own, nc, socat, python3-websockets and node's ws.
"""

import asyncio
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys

import pytest

import harness
from harness import DEADLINE

websockets = pytest.importorskip("websockets")

UDP = "udp://127.0.0.1:0"
WS = "ws://127.0.0.1:0"
ANY = "any://127.0.0.1:0"


# --- peers -------------------------------------------------------------------------------------------------------


def address_of(url):
    found = re.search(r"://(\[[^\]]*\]|[^:/]*):(\d+)", url)
    return found.group(1).strip("[]"), int(found.group(2))


def udp(server, source=None):
    host, port = address_of(server.url)
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(DEADLINE)
    if source:
        sock.bind(source)
    sock.connect((host, port))
    return sock


def ask(sock, message):
    sock.send(message)
    return sock.recv(1 << 17)


def packets(server):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(DEADLINE)
    sock.connect(server.url[len("seqpacket:") :])
    return sock


def unixgram(server, place, name="client.sock"):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.settimeout(DEADLINE)
    sock.bind(str(place / name))
    sock.connect(server.url[len("unixgram:") :])
    return sock


def on_websocket(url, talk, **options):
    """Run talk(websocket) on a connection, and return what it returns."""

    async def run():
        async with websockets.connect(url, max_size=None, max_queue=None, close_timeout=DEADLINE, **options) as websocket:
            return await asyncio.wait_for(talk(websocket), DEADLINE)

    return asyncio.run(run())


async def everything(websocket):
    """All messages until the peer's Close, and its code."""
    messages = []
    try:
        while True:
            messages.append(await websocket.recv())
    except websockets.ConnectionClosed as closed:
        return messages, closed.rcvd.code if closed.rcvd else None


@pytest.fixture
def place(tmp_path):
    return tmp_path


# --- datagrams: echo ---------------------------------------------------------------------------------------------


def test_each_datagram_comes_back_as_one(sonde):
    server = sonde.serve("echo", "--json", url=UDP)
    sock = udp(server)
    for message in (b"one", b"", b"x" * 1472, b"y" * 65507, b"\n"):
        assert ask(sock, message) == message
    opened = server.wait_event("opened")
    assert opened["transport"] == "udp" and "layers" not in opened
    server.out.wait_for(lambda _: len(server.events("message")) == 5, "five messages")
    assert [event["bytes"] for event in server.events("message")] == [3, 0, 1472, 65507, 1]
    assert [event["message"] for event in server.events("message")] == [1, 2, 3, 4, 5]
    assert server.terminate() == 0
    closed = server.wait_event("closed")
    assert closed["messages_in"] == closed["messages_out"] == 5 and closed["unsent"] == 0
    assert "messages: 5 in, 5 out." in server.err.text


def test_peers_are_told_apart(sonde):
    server = sonde.serve("echo", url=UDP)
    socks = [udp(server) for _ in range(20)]
    for number, sock in enumerate(socks):
        sock.send(b"%d" % number)
    for number, sock in enumerate(socks):
        assert sock.recv(100) == b"%d" % number
    server.out.wait_for(lambda _: len(harness.OPENED.findall(server.out.text)) == 20, "twenty peers")
    peers = {found["peer"] for found in harness.OPENED.finditer(server.out.text)}
    assert peers == {harness.text_address(sock.getsockname()) for sock in socks}


@pytest.mark.parametrize("command", ["nc.openbsd -u {host} {port}", "socat - UDP:{host}:{port}"])
def test_tools_over_udp(sonde, tool, command):
    server = sonde.serve("echo", url=UDP)
    host, port = address_of(server.url)
    words = command.format(host=host, port=port).split()
    process = sonde.start([tool(words[0]), *words[1:]])
    process.feed(b"hello\n")
    process.out.wait_for(lambda data: data == b"hello\n", "the answer")


def test_what_is_shown_of_datagrams(sonde):
    server = sonde.serve("echo", "--print", "text", url=UDP)
    sock = udp(server)
    name = re.escape(harness.text_address(sock.getsockname()))
    ask(sock, b"one\n")
    ask(sock, b"")
    server.out.wait_match(rf"^opened 1 \S+ <- {name}, udp$")
    server.out.wait_match(rf"^1 {name} > 4 bytes: one\\n$")
    server.out.wait_match(rf"^1 {name} > 0 bytes: $")


def test_both_families(sonde):
    server = sonde.serve("echo", url="udp://localhost:0", sockets=2)
    for url in server.urls:
        host, port = address_of(url)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(DEADLINE)
            sock.connect((host, port))
            assert ask(sock, b"x") == b"x"


def test_a_silent_peer_is_closed_and_comes_again(sonde):
    server = sonde.serve("echo", "--idle-timeout", "0.2", url=UDP)
    sock = udp(server)
    ask(sock, b"one")
    server.out.wait_match(r"^closed 1 \S+ <- \S+ silent for 0\.2 s, 3 bytes in, 3 out, 1 messages in, 1 out, ")
    ask(sock, b"two")
    server.out.wait_match(r"^opened 2 ")


def test_once_is_the_first_peer_until_it_is_silent(sonde):
    server = sonde.serve("echo", "--once", "--idle-timeout", "0.5", url=UDP)
    first, second = udp(server), udp(server)
    server.stop()  # all three are there when it looks: so the first peer is not silent between its two
    first.send(b"one")
    second.send(b"me too")
    first.send(b"two")
    server.go_on()
    assert [first.recv(100), first.recv(100)] == [b"one", b"two"]
    assert server.wait() == 0
    assert len(harness.OPENED.findall(server.out.text)) == 1
    assert "messages: 2 in, 2 out." in server.err.text
    assert "1 datagram was not taken" in server.err.text
    second.settimeout(0)
    with pytest.raises((BlockingIOError, ConnectionRefusedError)):
        second.recv(10)


def test_a_peer_that_has_gone_is_told_by_icmp(sonde):
    """It asks, closes its socket, and the answer finds nobody."""
    server = sonde.serve("daytime", "--json", url=UDP)
    server.stop()
    with udp(server) as sock:
        sock.send(b"what time is it?")
        peer = harness.text_address(sock.getsockname())
    server.go_on()
    closed = server.wait_event("closed")
    assert closed["reason"] == "unreachable" and closed["error"] == "ECONNREFUSED" and closed["peer"] == peer
    assert server.wait_event("icmp")["error"] == "ECONNREFUSED"


def test_what_the_kernel_drops_is_told(sonde):
    server = sonde.serve("discard", "--json", url=UDP + "?rcvbuf=4096")
    sock = udp(server)
    sock.send(b"first")
    server.wait_event("opened")
    server.stop()
    for number in range(200):
        sock.send(b"%d" % number)
    server.go_on()
    sock.send(b"last")  # the count comes with the next datagram that is taken

    def told(_):
        sock.send(b"last")
        return server.events("lost")

    server.out.wait_for(told, "an event lost")
    assert server.events("lost")[0]["dropped"] > 0
    server.err.wait_match(r"the kernel dropped \d+ datagrams?: the receive buffer was full \(\?rcvbuf=")
    server.signal(10)
    server.terminate()
    assert re.search(r"\d+ datagrams? (was|were) dropped by the kernel", server.err.text)


def test_more_peers_than_may_be(sonde):
    server = sonde.serve("echo", "--max-clients", "2", url=UDP)
    socks = [udp(server) for _ in range(3)]
    assert ask(socks[0], b"1") == b"1" and ask(socks[1], b"2") == b"2"
    socks[2].send(b"3")
    server.err.wait_match("1 datagrams from others were not taken")
    assert ask(socks[0], b"4") == b"4"
    socks[2].settimeout(0)
    with pytest.raises(BlockingIOError):
        socks[2].recv(10)


def test_who_may_not_is_not_answered(sonde):
    server = sonde.serve("echo", "--deny", "127.0.0.2", url=UDP)
    denied, other = udp(server, ("127.0.0.2", 0)), udp(server)
    for _ in range(100):
        denied.send(b"let me in")
    assert ask(other, b"hello") == b"hello"
    server.out.wait_match(r"refused: not allowed")
    denied.settimeout(0)
    with pytest.raises(BlockingIOError):
        denied.recv(10)
    server.terminate()
    assert len(server.out.lines) < 30


def test_as_many_from_one_address_as_may_be(sonde):
    server = sonde.serve("echo", "--max-per-peer", "1", url=UDP)
    first, second, third = udp(server), udp(server), udp(server, ("127.0.0.2", 0))
    assert ask(first, b"1") == b"1" and ask(third, b"3") == b"3"
    second.send(b"2")
    server.out.wait_match(r"refused: too many from this address: 1 are connected already")
    assert ask(first, b"1") == b"1"


def test_threads_share_a_udp_port(sonde):
    server = sonde.serve("echo", "--threads", "3", url=UDP)
    socks = [udp(server) for _ in range(30)]
    for sock in socks:
        assert ask(sock, b"x") == b"x"
    assert server.terminate() == 0
    assert "messages: 30 in, 30 out." in server.err.text
    assert "one thread" not in server.err.text


def test_the_table_has_messages(sonde):
    server = sonde.serve("echo", url=[UDP, harness.LOOPBACK])
    sock = udp(server)
    ask(sock, b"abc")
    ask(sock, b"de")
    stream = harness.dial(server.urls[1])
    harness.round_trip(stream, b"bytes")
    server.signal(10)
    server.out.wait_match(r"^2 connections$")
    head = next(line for line in server.out.lines if line.startswith("CONNECTION")).split()
    assert head[2:6] == ["IN", "OUT", "MESSAGES-IN", "MESSAGES-OUT"]
    rows = [line.split() for line in server.out.lines if re.match(r"\d+ +\d", line)]
    assert rows[0][2:6] == ["5", "5", "2", "2"] and rows[1][2:6] == ["5", "5", "-", "-"]


# --- datagrams: the other services -------------------------------------------------------------------------------


def test_daytime_time_greet_answer_each_datagram(sonde):
    for service, pattern in (
        ("daytime", rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d\r\n"),
        ("time", rb"(?s)...."),
        (("greet", "hello\\n"), rb"hello\n"),
    ):
        server = sonde.serve(service, url=UDP)
        sock = udp(server)
        for question in (b"", b"now?", b"and now?"):
            assert re.fullmatch(pattern, ask(sock, question))
        assert len(harness.OPENED.findall(server.out.text)) <= 1


def test_chargen_answers_with_up_to_512_characters(sonde):
    server = sonde.serve("chargen", url=UDP)
    sock = udp(server)
    lengths = {len(ask(sock, b"more")) for _ in range(200)}
    assert max(lengths) <= 512 and len(lengths) > 20


def test_discard_answers_nothing(sonde):
    server = sonde.serve("discard", "--json", url=UDP)
    sock = udp(server)
    for _ in range(10):
        sock.send(b"x")
    server.out.wait_for(lambda _: len(server.events("message")) == 10, "ten messages")
    assert harness.nothing_to_read(sock)


def test_hold_fills_the_receive_buffer(sonde):
    server = sonde.serve("hold", "--json", url=UDP + "?rcvbuf=4096")
    sock = udp(server)
    for _ in range(100):
        sock.send(b"x" * 100)
    event = server.wait_event("buffer", lambda event: event["dropped"] > 0)
    assert 0 < event["bytes"] and event["limit"] >= 4096
    assert harness.nothing_to_read(sock)


def test_two_echoes_do_not_answer_each_other(sonde):
    """A datagram that seems to come from another echo is counted, and not answered."""
    server = sonde.serve("echo", "--json", url=UDP)
    twin = udp(server, ("127.0.0.2", address_of(server.url)[1]))
    twin.send(b"ping")
    opened = server.wait_event("opened")
    assert opened["answered"] is False
    server.wait_event("message")
    other = udp(server)
    assert ask(other, b"x") == b"x"
    assert harness.nothing_to_read(twin)
    server.terminate()
    assert server.wait_event("closed", lambda event: event["connection"] == 1)["not_answered"] == 1
    assert "1 datagram was not answered" in server.err.text


def test_echo_of_the_well_known_ports_is_not_answered(sonde):
    if os.geteuid() != 0:
        pytest.skip("a well-known port takes root")
    server = sonde.serve("chargen", "--json", url=UDP)
    try:
        sock = udp(server, ("127.0.0.1", 19))
    except OSError:
        pytest.skip("port 19 is taken")
    with sock:
        sock.send(b"x")
        assert server.wait_event("opened")["answered"] is False
        server.wait_event("message")
        assert ask(udp(server), b"x") is not None
        assert harness.nothing_to_read(sock)


def test_a_long_greeting_is_no_amplifier():
    """From another machine (an address of a namespace's own) a long answer is not given to a short question."""
    if os.geteuid() != 0:
        pytest.skip("namespaces take root")
    script = r"""
import socket, subprocess, sys, re
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["ip", "address", "add", "192.0.2.1/24", "dev", "lo"], check=True)
server = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
port = int(re.search(rb":(\d+)$", server.stdout.readline().strip()).group(1))
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("192.0.2.1", 0))
sock.settimeout(10)
sock.sendto(b"short", ("192.0.2.1", port))
sock.sendto(b"l" * 300, ("192.0.2.1", port))
print(len(sock.recv(1000)))
sock.setblocking(False)
try:
    print(len(sock.recv(1000)))
except BlockingIOError:
    print("one answer")
server.terminate()
print(server.communicate()[1].decode())
"""
    binary = os.environ.get("SONDE", str(harness.ROOT / "build" / "sonde"))
    argv = ["unshare", "-n", sys.executable, "-c", script, binary]
    argv += ["serve", "greet", "x" * 200, "udp://192.0.2.1:0"]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE)
    assert result.stdout.splitlines()[:2] == ["200", "one answer"], result
    assert "would be longer than the datagram" in result.stdout


def test_talk_over_udp(sonde):
    server = sonde.start(sonde.serve_argv("talk", url=UDP))
    server.url = server.out.wait_match(r"^listening (\S+)$").group(1)
    sock = udp(server)
    sock.send(b"hello")
    sock.send(b"two\nlines\n")
    for line in ("hello", "two", "lines"):
        server.out.wait_match(rf"^\[1\] \S+: {line}$")
    server.feed(b"good day\n")
    assert sock.recv(100) == b"good day\n"
    server.feed(b"x" * 70000 + b"\n")
    server.err.wait_match("too long for one datagram")


def test_unix_datagrams(sonde, place):
    server = sonde.serve("echo", "--print", "text", url=f"unixgram:{place}/server.sock")
    sock = unixgram(server, place)
    for message in (b"one", b"", b"x" * 50000):
        assert ask(sock, message) == message
    server.out.wait_match(r", unixgram$")
    server.out.wait_match(r"> 3 bytes: one$")


def test_a_datagram_that_comes_cut_is_not_answered(sonde, place):
    server = sonde.serve("echo", "--json", url=f"unixgram:{place}/server.sock")
    sock = unixgram(server, place)
    try:
        sock.setsockopt(socket.SOL_SOCKET, 32, 1 << 24)  # SO_SNDBUFFORCE
        sock.send(b"x" * 2500000)
    except OSError:
        pytest.skip("such a datagram takes root, and memory in one piece")
    event = server.wait_event("message")
    assert event["bytes"] < event["whole_bytes"] == 2500000
    server.err.wait_match(r"has sent a message of 2500000 bytes, which came cut: there was room for \d+\.")
    assert ask(sock, b"whole") == b"whole"
    server.terminate()
    closed = server.wait_event("closed")
    assert closed["cut"] == 1 and closed["messages_in"] == 2 and closed["messages_out"] == 1


# --- packets -----------------------------------------------------------------------------------------------------


def test_packets_come_back_whole(sonde, place):
    server = sonde.serve("echo", url=f"seqpacket:{place}/server.sock")
    with packets(server) as sock:
        for message in (b"one", b"two" * 1000, b"x" * 100000):
            assert ask(sock, message) == message
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(10) == b""
    server.out.wait_match(r"^opened 1 .*, seqpacket$")
    server.out.wait_match(r"^closed 1 .* end of data, 103003 bytes in, 103003 out, 3 messages in, 3 out, ")


def test_services_on_packets(sonde, place):
    for number, (service, first) in enumerate(((("greet", "hello"), b"hello"), ("time", None), ("daytime", None))):
        server = sonde.serve(service, url=f"seqpacket:{place}/{number}.sock")
        with packets(server) as sock:
            said = sock.recv(1000)
            assert said and (first is None or said == first)
            assert sock.recv(1000) == b""
    server = sonde.serve("chargen", url=f"seqpacket:{place}/chargen.sock")
    with packets(server) as sock:
        assert len(sock.recv(1 << 16)) == len(sock.recv(1 << 16)) == 95 * 74


def test_a_program_on_packets(sonde, place):
    argv = sonde.serve_argv("exec", "--sh", "tr a-z A-Z", url=f"seqpacket:{place}/server.sock")
    server = sonde._register(harness.Server(argv))
    with packets(server) as sock:
        sock.send(b"one ")
        sock.send(b"two")
        sock.shutdown(socket.SHUT_WR)
        said = b""
        while piece := sock.recv(1 << 16):
            said += piece
    assert said == b"ONE TWO"


# --- WebSocket ---------------------------------------------------------------------------------------------------


def test_websocket_echo_keeps_the_kind(sonde):
    server = sonde.serve("echo", "--json", url=WS + "/chat")
    messages = ["hello", b"\0\xff", "", b"", "\u00fc" * 70000, b"x" * 300000]

    async def talk(websocket):
        for message in messages:
            await websocket.send(message)
            assert await websocket.recv() == message
        await websocket.close(1001, "bye")

    on_websocket(server.url, talk)
    closed = server.wait_event("closed")
    assert closed["reason"] == "end" and closed["messages_in"] == closed["messages_out"] == len(messages)
    assert closed["layers"] == ["ws"] and closed["http"]["target"] == "/chat"
    assert closed["ws"]["code_received"] == 1001 and closed["ws"]["reason_received"] == "bye"
    assert [event["kind"] for event in server.events("message")] == ["text", "binary"] * 3


def test_what_is_shown_of_a_websocket(sonde):
    server = sonde.serve("echo", "--print", "text", url=WS + "/chat")

    async def talk(websocket):
        await websocket.send("a\x1b[31m\n")
        await websocket.recv()
        await websocket.send(b"\0")
        await websocket.recv()
        await websocket.close(1000, "d\x1b[0m")

    on_websocket(server.url, talk)
    server.out.wait_match(r"^opened 1 \S+ <- \S+, WebSocket /chat, permessage-deflate$")
    server.out.wait_match(r"^1 \S+ > text, 7 bytes: a\\x1b\[31m\\n$")
    server.out.wait_match(r"^1 \S+ > binary, 1 bytes: \\x00$")
    server.out.wait_match(r"^closed 1 \S+ <- \S+ end of data \(Close 1000 d\\x1b\[0m\), 8 bytes in, 8 out, 2 messages in")
    harness.assert_printable(server.out.data)


def test_services_that_say_something_on_a_websocket(sonde):
    for service, check in (
        ("daytime", lambda said: re.fullmatch(r"\d{4}-.*\r\n", said)),
        ("time", lambda said: isinstance(said, bytes) and len(said) == 4),
        (("greet", "hello\\n"), lambda said: said == "hello\n"),
        (("greet", "\\xff"), lambda said: said == b"\xff"),
    ):
        server = sonde.serve(service, url=WS)
        messages, code = on_websocket(server.url, everything)
        assert len(messages) == 1 and check(messages[0]) and code == 1000, (service, messages, code)
        server.out.wait_match(r"^closed 1 \S+ <- \S+ served")


def test_a_long_greeting_is_one_message(sonde, place):
    (place / "long").write_bytes(b"x" * 3000000)
    server = sonde.serve("greet", "--file", place / "long", url=WS)
    messages, code = on_websocket(server.url, everything)
    assert messages == ["x" * 3000000] and code == 1000


def test_chargen_on_a_websocket_is_text(sonde):
    server = sonde.serve("chargen", url=WS)

    async def talk(websocket):
        return [await websocket.recv() for _ in range(5)]

    said = on_websocket(server.url, talk)
    assert all(message == said[0] and len(message) == 95 * 74 for message in said)


def test_talk_on_a_websocket(sonde):
    server = sonde.start(sonde.serve_argv("talk", url=WS))
    server.url = server.out.wait_match(r"^listening (\S+)$").group(1)

    async def talk(websocket):
        await websocket.send("hello")
        await websocket.send("two\nlines")
        await asyncio.to_thread(server.out.wait_match, r"^\[1\] \S+: lines$")
        server.feed(b"good day\n\n\xff\n")
        return [await websocket.recv() for _ in range(3)]

    assert on_websocket(server.url, talk) == ["good day", "", b"\xff"]


def test_a_program_on_a_websocket(sonde):
    """A text message is a line, both ways."""
    server = sonde._register(harness.Server(sonde.serve_argv("exec", "--sh", "while read x; do echo \"<$x>\"; done", url=WS)))

    async def talk(websocket):
        for message in ("one", "two\n", b"three\n"):
            await websocket.send(message)
        return [await websocket.recv() for _ in range(3)]

    assert on_websocket(server.url, talk) == ["<one>", "<two>", "<three>"]


def test_what_a_program_says_on_a_websocket(sonde):
    command = r"printf 'one\r\ntwo\n\nno \377 text\nlast'"
    server = sonde._register(harness.Server(sonde.serve_argv("exec", "--sh", command, url=WS)))
    messages, code = on_websocket(server.url, everything)
    assert messages == ["one", "two", "", b"no \xff text\n", "last"] and code == 1000


def test_a_program_has_a_terminal_on_a_websocket(sonde):
    server = sonde._register(harness.Server(sonde.serve_argv("exec", "--pty", "--sh", "tty; read x; echo got $x", url=WS)))

    async def talk(websocket):
        said = ""
        while "got hello" not in said:
            said += await websocket.recv()
            if "/dev/" in said and "hello" not in said:
                await websocket.send("hello\n")
        return said

    assert "/dev/pts" in on_websocket(server.url, talk)


def test_node_on_a_websocket(sonde, place):
    if not pathlib.Path("/usr/share/nodejs/ws").exists():
        pytest.skip("node's ws is not there")
    server = sonde.serve("echo", url=WS)
    script = """
const WebSocket = require('ws');
const ws = new WebSocket(process.argv[1]);
ws.on('open', () => { ws.send('text'); ws.send(Buffer.from([0, 1])); });
let n = 0;
ws.on('message', (data, binary) => { console.log(binary, data.toString('hex')); if (++n == 2) ws.close(1000); });
ws.on('close', code => console.log(code));
"""
    environment = dict(os.environ, NODE_PATH="/usr/share/nodejs")
    argv = ["node", "-e", script, server.url]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE, env=environment)
    assert result.stdout.split("\n")[:3] == ["false 74657874", "true 0001", "1000"], result


def test_a_websocket_that_is_cut_off(sonde):
    server = sonde.serve("discard", "--json", url=WS)
    with raw_websocket(server) as sock:
        sock.sendall(masked(0x81, b"hello"))
        server.wait_event("message")
    closed = server.wait_event("closed")
    assert closed["reason"] == "no_close" and closed["error"] == "SONDE_EWSEND"


def test_a_websocket_that_breaks_the_rules(sonde):
    server = sonde.serve("echo", "--json", url=WS)
    with raw_websocket(server) as sock:
        sock.sendall(b"\x81\x05hello")  # not masked
        frame = harness.receive_exactly(sock, 4)
        assert frame[0] == 0x88 and struct.unpack("!H", frame[2:])[0] == 1002
    closed = server.wait_event("closed")
    assert closed["reason"] == "rules" and closed["error"] == "SONDE_EWS" and closed["detail"]


def masked(first, payload):
    assert len(payload) < 126
    return bytes([first, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def raw_websocket(server):
    sock = socket.create_connection(address_of(server.url), timeout=DEADLINE)
    host = harness.text_address(sock.getpeername())
    request = (
        f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    sock.sendall(request.encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ")
    return sock


def test_the_end_says_going_away(sonde):
    server = sonde.serve("echo", url=WS)

    async def talk(websocket):
        await websocket.send("x")
        await websocket.recv()
        server.signal(15)
        return await everything(websocket)

    assert on_websocket(server.url, talk) == ([], 1001)
    assert server.wait() == 0


def test_an_idle_websocket_is_told(sonde):
    server = sonde.serve("echo", "--idle-timeout", "0.3", url=WS)
    messages, code = on_websocket(server.url, everything)
    assert messages == [] and code is not None
    server.out.wait_match(r"^closed 1 \S+ <- \S+ idle")


def test_an_origin_from_elsewhere_is_refused(sonde):
    server = sonde.serve("echo", url=WS)

    async def talk(_):
        raise AssertionError("it was let in")

    with pytest.raises(websockets.InvalidStatusCode) as refused:
        on_websocket(server.url, talk, origin="https://evil.example")
    assert refused.value.status_code == 403
    server.out.wait_match(r"^refused ws://\S+ <- \S+ its Origin is not allowed \(--allow-origin\): .*evil\.example")


def test_a_flood_of_refusals_is_a_count(sonde):
    server = sonde.serve("echo", url=WS)
    for _ in range(100):
        with socket.create_connection(address_of(server.url), timeout=DEADLINE) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: evil\r\n\r\n")
            sock.recv(1000)
    server.terminate()
    one_by_one = sum(line.startswith("refused ws") for line in server.out.lines)
    more = sum(int(found) for found in re.findall(r"^refused: (\d+) more$", server.out.text, re.M))
    assert one_by_one < 100 and one_by_one + more == 100


# --- --frame -----------------------------------------------------------------------------------------------------


def test_frames_in_datagrams(sonde):
    server = sonde.serve("echo", "--frame", "u8", "--json", url=UDP)
    sock = udp(server)
    assert ask(sock, b"\x03one\x00\x03two") == b"\x03one\x00\x03two"
    sock.send(b"\x03one\x05tw")  # the second is not whole
    assert sock.recv(100) == b"\x03one"
    assert ask(sock, b"\x01x") == b"\x01x"
    server.out.wait_for(lambda _: len(server.events("message")) == 5, "five messages")
    assert [event["bytes"] for event in server.events("message")] == [3, 0, 3, 3, 1]
    assert [event["message"] for event in server.events("message")] == [1, 2, 3, 4, 5]
    server.terminate()
    assert server.wait_event("closed")["bad"] == 1
    assert "byte 7 of a datagram is wrong for u8" in server.err.text


def test_frames_in_websocket_messages(sonde):
    server = sonde.serve("echo", "--frame", "line", "--json", url=WS)

    async def talk(websocket):
        await websocket.send("one\ntwo\n")
        assert await websocket.recv() == "one\ntwo\n"
        await websocket.send(b"\xff\n")
        assert await websocket.recv() == b"\xff\n"
        await websocket.send("no end")
        return await everything(websocket)

    messages, code = on_websocket(server.url, talk)
    assert messages == [] and code == 1007
    closed = server.wait_event("closed")
    assert closed["reason"] == "bad_message" and closed["error"] == "ENODATA"


def test_many_frames_in_one_message_are_answered_in_one(sonde):
    server = sonde.serve("echo", "--frame", "line", url=WS)
    whole = "".join(f"line {number}\n" for number in range(100000))

    async def talk(websocket):
        await websocket.send(whole)
        return await websocket.recv()

    assert on_websocket(server.url, talk) == whole


# --- one port for every client -----------------------------------------------------------------------------------


def test_one_port_for_every_client(sonde):
    server = sonde.serve("echo", "--json", "--any-wait", "10", url=ANY)  # curl is slow to say its first word over TLS
    host, port = address_of(server.url)

    async def talk(websocket):
        await websocket.send("hello")
        return await websocket.recv()

    assert on_websocket(f"ws://{host}:{port}/", talk) == "hello"
    with socket.create_connection((host, port), timeout=DEADLINE) as sock:
        harness.round_trip(sock, b"raw\n")
    answer = subprocess.run(
        ["curl", "-sS", "--data-binary", "body", f"http://{host}:{port}/x"], capture_output=True, timeout=DEADLINE
    )
    assert answer.stdout == b"body", answer
    tls = subprocess.run(
        ["socat", "-t", "5", "-", f"OPENSSL:{host}:{port},verify=0"], input=b"tls\n", capture_output=True, timeout=DEADLINE
    )
    assert tls.stdout == b"tls\n", tls
    server.out.wait_for(lambda _: len(server.events("closed")) == 4, "four closed events")
    layers = [event.get("layers", []) for event in server.events("opened")]
    assert layers == [["ws"], [], ["http"], ["tls"]]
    assert server.events("opened")[3]["tls"]["version"] == "TLSv1.3"
    assert all(event["reason"] == "end" for event in server.events("closed")), server.events("closed")


# --- what does not go together -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, says",
    [
        (["exec", "udp://127.0.0.1:0", "--", "cat"], "cannot be served on datagrams"),
        (["exec", "unixgram:/tmp/x", "--", "cat"], "cannot be served on datagrams"),
        (["echo", "--sequential", UDP], "--sequential"),
        (["echo", "--rate", "1000", UDP], "--rate"),
        (["echo", "--backlog", "5", UDP], "--backlog"),
        (["echo", "--direct", UDP], "--direct"),
        (["echo", UDP + "?proxy=in"], "proxy"),
        (["echo", UDP + "?backlog=1"], "backlog"),
        (["greet", "x" * 65508, UDP], "65507"),
    ],
)
def test_what_means_nothing_is_refused(command, words, says):
    result = command.run("serve", *words)
    assert result.status == 2 and says in harness.one_sentence(result.err)


def test_a_datagram_socket_that_was_passed_is_refused(command):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        process = command.start([command.binary, "serve", "echo", f"fd://{sock.fileno()}"], pass_fds=(sock.fileno(),))
        assert process.wait() != 0
        assert "stream" in harness.one_sentence(process.err.text)


def test_who_may_not_costs_no_handshake(sonde):
    server = sonde.serve("echo", "--deny", "127.0.0.2", "--json", url="tls://127.0.0.1:0")
    with socket.socket() as sock, pytest.raises(ConnectionResetError):
        sock.settimeout(DEADLINE)
        sock.bind(("127.0.0.2", 0))
        sock.connect(address_of(server.url))  # the reset may be here before connect returns
        sock.recv(10)
    refused = server.wait_event("refused")
    assert refused["reason"] == "not_allowed" and refused["peer"].startswith("127.0.0.2:")
