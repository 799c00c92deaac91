# SPDX-License-Identifier: MIT
"""What is shown of datagrams, TLS, WebSocket and framed messages: ladders, events, --follow, wire, watch.

Each live test has a network namespace of its own.
"""

import json
import os
import re
import signal
import socket
import struct

import pytest

import harness
from captures import netns
from captures.seen import strict_lines

PORT = 7007


@pytest.fixture
def namespace():
    if netns.permitted():
        pytest.skip(netns.permitted())
    made = netns.Namespace()
    yield made
    made.close()


@pytest.fixture
def traced(command, namespace, tmp_path):
    """`serve echo --trace` in a namespace; finish() ends it and returns its ladder and its events."""

    class Traced:
        def __init__(self):
            self.path = tmp_path / "events.jsonl"

        def serve(self, url, *options):
            with namespace.entered():
                self.process = command.serve("echo", "--trace", "--trace-json", self.path, *options, url=url)
            return self.process

        def events(self):
            if not self.path.exists():
                return []
            whole = self.path.read_bytes().rpartition(b"\n")[0]
            return strict_lines(whole + b"\n") if whole else []

        def until(self, kind, n=1):
            harness.wait_until(lambda: sum(row["event"] == kind for row in self.events()) >= n, f"{n} of {kind}")

        def finish(self):
            self.process.signal(signal.SIGTERM)
            assert self.process.wait() == 0
            return self.process.err.text, self.events()

    return Traced()


def of(events, kind, conn=None):
    return [row for row in events if row["event"] == kind and (conn is None or row.get("conn") == conn)]


# --- datagrams -------------------------------------------------------------------------------------------------------


def test_one_socket_many_peers(traced, namespace):
    """Each peer is a conversation of its own, with the server's calls and the datagrams beside each other."""
    traced.serve(f"udp://127.0.0.1:{PORT}")
    ports = []
    for text in (b"one", b"other"):
        with namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(harness.DEADLINE)
            sock.connect(("127.0.0.1", PORT))
            for _ in range(2):
                sock.send(text)
                assert sock.recv(100) == text
            ports.append(sock.getsockname()[1])
    traced.until("datagram", 8)
    ladder, events = traced.finish()
    conns = of(events, "connection")
    assert [row["protocol"] for row in conns] == ["udp", "udp"]
    assert [row["a"]["address"] for row in conns] == [f"127.0.0.1:{port}" for port in ports]
    for row, text in zip(conns, ("one", "other")):
        datagrams = of(events, "datagram", row["conn"])
        assert [(one["from"], one["text"]) for one in datagrams] == [("a", text), ("b", text)] * 2
        ends = [one for one in of(events, "call", row["conn"]) if one["phase"] != "begin"]
        assert [(one["call"], one["end"], one["result"]) for one in ends] == [
            ("recv", "b", len(text)),
            ("send", "b", len(text)),
        ] * 2
        assert f"udp 127.0.0.1:{row['a']['address'].rpartition(':')[2]}" in ladder
    assert 'udp 3 "one"' in ladder


def test_nobody_has_the_port(command, namespace, tmp_path):
    """The ICMP message stands on the client's ladder, with the datagram that it is about."""
    path = tmp_path / "events.jsonl"
    with namespace.entered():
        client = command.start_connect("--trace", "--trace-json", path, f"udp://127.0.0.1:{PORT}")
    client.feed(b"hello\n")
    harness.wait_until(lambda: path.exists() and b'"icmp"' in path.read_bytes(), "the ICMP message")
    client.end_input()
    client.wait()
    events = strict_lines(path.read_bytes())
    (icmp,) = of(events, "icmp")[:1]
    assert icmp["words"] == "port unreachable" and icmp["to"] == "a" and icmp["about_number"] == 1
    assert of(events, "datagram")[0]["text"] == "hello\n"
    assert "icmp port unreachable" in client.err.text and "about #1" in client.err.text


@pytest.mark.parametrize("scheme", ["unixgram", "seqpacket"])
def test_unix_messages(traced, tmp_path, scheme):
    path = str(tmp_path / "s")
    kind = socket.SOCK_DGRAM if scheme == "unixgram" else socket.SOCK_SEQPACKET
    traced.serve(f"{scheme}:{path}")
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.settimeout(harness.DEADLINE)
        sock.bind(str(tmp_path / "c"))
        sock.connect(path)
        for text in (b"one", b"two"):
            sock.send(text)
            assert sock.recv(100) == text
        _, events = traced.finish()
    (connection,) = of(events, "connection")
    assert connection["protocol"] == "unix"
    calls = [
        (row["call"], row["result"])
        for row in of(events, "call", connection["conn"])
        if row["phase"] != "begin" and row["call"] in ("recv", "send")
    ]
    assert calls[:4] == [("recv", 3), ("send", 3)] * 2


def test_lost_on_the_wire(command, tmp_path):
    """Datagrams that are lost are crossed; nothing repeats them."""
    if netns.permitted():
        pytest.skip(netns.permitted())
    path = tmp_path / "events.jsonl"
    talk = tmp_path / "talk.py"
    talk.write_text(
        "import socket, sys\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.settimeout(10)\n"
        f"s.connect(('10.0.0.2', {PORT}))\n"
        "s.send(b'one'); s.recv(9)\n"
        "s.send(b'two')\n"
        "s.send(b'three'); s.recv(9)\n"
    )
    result = command.run(
        *("wire", "--trace", "--trace-json", path, "--a-to-b", "drop udp #2", "--"),
        *(command.binary, "serve", "echo", "--quiet", f"udp://10.0.0.2:{PORT}", "---", "/usr/bin/python3", talk),
    )
    assert result.status == 0, result
    rows = of(strict_lines(path.read_bytes()), "datagram")
    assert [(row["text"], row["fate"]) for row in rows if row["from"] == "a"] == [
        ("one", "arrived"),
        ("two", "lost"),
        ("three", "arrived"),
    ]
    lost = [line for line in result.err.splitlines() if '"two"' in line]
    assert len(lost) == 1 and re.search("×|X", lost[0]), result.err


# --- TLS and WebSocket -----------------------------------------------------------------------------------------------


def test_tls(command, traced, namespace, tmp_path):
    """Both ends say what they agreed on."""
    server = traced.serve(f"tls://127.0.0.1:{PORT}")
    path = tmp_path / "client.jsonl"
    pin = re.search(r"--pin (\S+)", server.err.wait_match(r"--pin \S+").group(0)).group(1)
    with namespace.entered():
        client = command.start_connect(
            "--pin", pin, "--trace", "--trace-json", path, f"tls://127.0.0.1:{PORT}"
        )
    client.feed(b"hello\n")
    client.out.wait_for(lambda data: data == b"hello\n", "the echo")
    client.end_input()
    assert client.wait() == 0
    _, events = traced.finish()
    for rows, end, text in ((events, "b", None), (strict_lines(path.read_bytes()), "a", client.err.text)):
        (handshake,) = of(rows, "handshake")
        assert handshake["layer"] == "tls" and handshake["end"] == end and handshake["result"] == 0
        assert 0 < handshake["start_ns"] < handshake["t_ns"]
        assert re.match(r"TLSv1\.[23], \w+", handshake["agreed"])
        if end == "a":
            assert "localhost" in handshake["agreed"]
        if text:
            assert "TLS handshake" in text and "TLSv1." in text and "CN=localhost" in text.replace("\n", "")
    assert not any("hello" in row.get("text", "") for row in events), "it was sent as it is"


def masked(opcode, payload, first=0x80):
    key = b"\x05\x06\x07\x08"
    return bytes([first | opcode, 0x80 | len(payload)]) + key + bytes(x ^ key[i % 4] for i, x in enumerate(payload))


REQUEST = (
    f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()


def test_websocket(traced, namespace):
    """The handshake, messages with their kind and length, pings, and the code of the close."""
    traced.serve(f"ws://127.0.0.1:{PORT}")
    with namespace.socket() as sock:
        sock.settimeout(harness.DEADLINE)
        sock.connect(("127.0.0.1", PORT))
        sock.sendall(REQUEST)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(1)
        sock.sendall(masked(1, b"hel", 0) + masked(9, b"p") + masked(0, b"lo"))
        assert harness.receive_exactly(sock, 3 + 7) == b"\x8a\x01p\x81\x05hello"
        sock.sendall(masked(8, struct.pack("!H", 1000) + b"bye"))
        assert harness.receive_all(sock)[:1] == b"\x88"
    ladder, events = traced.finish()
    (handshake,) = of(events, "handshake")
    assert handshake["layer"] == "websocket" and handshake["result"] == 0
    rows = [(row["kind"], row["from"], row["len"], row.get("number")) for row in of(events, "message")]
    assert rows[:5] == [
        ("ping", "a", 1, None),
        ("pong", "b", 1, None),
        ("text", "a", 5, 1),
        ("text", "b", 5, 1),
        ("close", "a", 5, None),
    ]
    assert rows[5][:2] == ("close", "b") and len(rows) == 6
    assert {row["end"] for row in of(events, "message")} == {"b"}
    assert [row["code"] for row in of(events, "message")[-2:]] == [1000, 1000]
    assert "WebSocket handshake" in ladder and 'text 5 "hello"' in ladder and 'close 1000 "bye"' in ladder


def test_round_trip_of_a_ping(command, traced, namespace, tmp_path):
    traced.serve(f"ws://127.0.0.1:{PORT}")
    path = tmp_path / "client.jsonl"
    with namespace.entered():
        client = command.start_connect("--trace-json", path, "--ping", "0.7", f"ws://127.0.0.1:{PORT}")
    harness.wait_until(lambda: path.exists() and b"rtt_ns" in path.read_bytes(), "a pong")
    client.end_input()
    client.wait()
    traced.finish()
    pongs = [row for row in of(strict_lines(path.read_bytes()), "message") if row["kind"] == "pong"]
    assert pongs[0]["rtt_ns"] > 0 and pongs[0]["from"] == "b"


def test_a_recorded_trace_is_drawn_the_same(command, traced, namespace):
    traced.serve(f"ws://127.0.0.1:{PORT}")
    with namespace.socket() as sock:
        sock.settimeout(harness.DEADLINE)
        sock.connect(("127.0.0.1", PORT))
        sock.sendall(REQUEST + masked(1, b"hello"))
        harness.wait_until(lambda: len(of(traced.events(), "message")) == 2, "both messages")
    traced.finish()
    result = command.run("trace", "-r", traced.path, "--width", 120)
    assert result.status == 0 and 'text 5 "hello"' in result.out.decode() and "WebSocket handshake" in result.out.decode()
    again = command.run("trace", "-r", traced.path, "--json")
    assert again.out == traced.path.read_bytes()


# --- --frame ---------------------------------------------------------------------------------------------------------


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Capture:
    """A capture of one TCP connection (or of datagrams), made by hand."""

    def __init__(self, path):
        self.path = path
        self.packets = []
        self.seq = [1000, 2000]

    def ip(self, end, protocol, payload):
        hosts = [b"\x0a\0\0\x01", b"\x0a\0\0\x02"]
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), len(self.packets) + 1, 0x4000, 64, protocol, 0)
        head += hosts[end] + hosts[1 - end]
        self.packets.append(head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload)
        return self

    def tcp(self, end, flags, data=b"", captured=True):
        ports = [40000, PORT]
        ack = self.seq[1 - end] if flags & 16 else 0
        head = struct.pack("!HHIIBBHHH", ports[end], ports[1 - end], self.seq[end], ack, 0x50, flags, 65535, 0, 0)
        hosts = b"\x0a\0\0\x01\x0a\0\0\x02"
        total = checksum(hosts + struct.pack("!BBH", 0, 6, len(head) + len(data)) + head + data)
        self.seq[end] += len(data) + bool(flags & 3)
        if captured:
            self.ip(end, 6, head[:16] + struct.pack("!H", total) + head[18:] + data)
        return self

    def open(self):
        return self.tcp(0, 2).tcp(1, 18).tcp(0, 16)

    def close(self):
        return self.tcp(0, 17).tcp(1, 17).tcp(0, 16)

    def udp(self, end, data):
        ports = [40000, PORT]
        return self.ip(end, 17, struct.pack("!HHHH", ports[end], ports[1 - end], 8 + len(data), 0) + data)

    def write(self):
        with open(self.path, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
            for i, packet in enumerate(self.packets):
                file.write(struct.pack("<IIII", 1700000000, 100 * i, len(packet), len(packet)) + packet)
        return self.path


def u16(*messages):
    return b"".join(struct.pack("!H", len(message)) + message for message in messages)


def followed(command, path, *options):
    result = command.run("trace", "-r", path, "--follow", "--json", *options)
    assert result.status == 0, result
    return [json.loads(line) for line in result.out.splitlines()]


def test_messages_of_a_stream(command, tmp_path):
    """Two in one segment, one over two: the same messages come out."""
    capture = Capture(tmp_path / "c.pcap").open()
    three = u16(b"x" * 300)
    capture.tcp(0, 24, u16(b"one", b"two")).tcp(0, 24, three[:100]).tcp(0, 24, three[100:] + u16(b""))
    path = capture.tcp(1, 24, u16(b"yes")).close().write()
    rows = followed(command, path, "--frame", "u16be")
    assert [(row["from"], row["number"], row["len"]) for row in rows] == [
        ("a", 1, 3),
        ("a", 2, 3),
        ("a", 3, 300),
        ("a", 4, 0),
        ("b", 1, 3),
    ]
    assert rows[2]["text"] == "x" * 300
    text = command.run("trace", "-r", path, "--follow", "--frame", "u16be").out.decode()
    assert len(text.splitlines()) == 5 and 'message 2, 3 bytes: "two"' in text
    ladder = command.run("trace", "-r", path, "--frame", "u16be", "--width", 120).out.decode()
    assert "messages 1-2 end here, 6 bytes" in ladder and "messages 3-4 end here, 300 bytes" in ladder
    assert "message 1 ends here, 3 bytes" in ladder
    events = command.run("trace", "-r", path, "--frame", "u16be", "--json").out
    about = [row["about_number"] for row in of(strict_lines(events), "message")]
    assert about == [4, 4, 6, 6, 7]


def test_what_is_no_message(command, tmp_path):
    """The place is said, what follows is shown as it is, and the other direction goes on."""
    capture = Capture(tmp_path / "c.pcap").open()
    path = capture.tcp(0, 24, b"3:abc,5:x").tcp(0, 24, b"rubbish").tcp(1, 24, b"2:ok,").close().write()
    text = command.run("trace", "-r", path, "--follow", "--frame", "netstring").out.decode()
    assert 'message 1, 3 bytes: "abc"' in text and 'message 1, 2 bytes: "ok"' in text
    assert re.search(r"no message from byte \d+ on: ", text), text
    rows = followed(command, path, "--frame", "netstring")
    (bad,) = [row for row in rows if row.get("kind") == "malformed"]
    assert bad["from"] == "a" and bad["words"]


def test_a_hole(command, tmp_path):
    capture = Capture(tmp_path / "c.pcap").open()
    capture.tcp(0, 24, b"one\n").tcp(0, 24, b"missing ", captured=False).tcp(1, 16).tcp(0, 24, b"tail\nlast\n")
    rows = followed(command, capture.tcp(1, 16).close().write(), "--frame", "line")
    assert [(row["number"], row["text"], row.get("joined", False)) for row in rows] == [
        (1, "one", False),
        (2, "tail", True),
        (3, "last", False),
    ]


def test_websocket_in_a_capture(command, tmp_path):
    capture = Capture(tmp_path / "c.pcap").open().tcp(0, 24, REQUEST)
    capture.tcp(1, 24, b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + b"\x81\x02hi")
    capture.tcp(0, 24, masked(1, b"hel", 0) + masked(9, b"p") + masked(0, b"lo")).tcp(1, 24, b"\xc2\x03abc")
    path = capture.tcp(0, 24, masked(8, b"\x03\xe8bye")).close().write()
    rows = followed(command, path, "--frame", "ws")
    assert [(row["from"], row["kind"], row["len"]) for row in rows] == [
        ("a", "head", len(REQUEST)),
        ("b", "head", 36),
        ("b", "text", 2),
        ("a", "ping", 1),
        ("a", "text", 5),
        ("b", "binary", 3),
        ("a", "close", 5),
    ]
    assert rows[4]["text"] == "hello" and rows[5]["compressed"] is True


def test_datagrams_are_messages(command, tmp_path):
    path = Capture(tmp_path / "c.pcap").udp(0, b"one").udp(1, b"").udp(0, b"a\nb").write()
    rows = followed(command, path)
    assert [(row["kind"], row["from"], row["number"], row["len"]) for row in rows] == [
        ("datagram", "a", 1, 3),
        ("datagram", "b", 2, 0),
        ("datagram", "a", 3, 3),
    ]
    text = command.run("trace", "-r", path, "--follow", "--frame", "line").out.decode()
    assert [line.partition(", ")[2] for line in text.splitlines()] == [
        'datagram 1, 3 bytes: "one"',
        "datagram 2, 0 bytes",
        'datagram 3, 3 bytes: "a\\nb"',
    ]


def test_misuse(command, tmp_path):
    path = Capture(tmp_path / "c.pcap").open().write()
    for options in (("--frame", "telegram"), ("--frame", "u8", "--summary"), ("--frame", "u8", "--layers")):
        result = command.run("trace", "-r", path, *options)
        assert result.status == 2 and b"--frame" in result.err.encode(), options
    recorded = tmp_path / "e.jsonl"
    recorded.write_bytes(command.run("trace", "-r", path, "--json").out)
    result = command.run("trace", "-r", recorded, "--frame", "u8")
    assert result.status == 2 and "--frame needs packets" in result.err


# --- watch -----------------------------------------------------------------------------------------------------------


def test_dropped_datagrams_are_counted(command, namespace):
    with namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as full, namespace.socket(
        socket.AF_INET, socket.SOCK_DGRAM
    ) as sender:
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        full.bind(("127.0.0.1", 0))
        sender.connect(full.getsockname())
        for _ in range(50):
            sender.send(bytes(500))
        with namespace.entered():
            result = command.run("watch", "--once", "--udp", f"sport = :{full.getsockname()[1]}")
        (row,) = [line for line in result.out.decode().splitlines() if line.startswith("UDP")]
        assert re.search(r"\d+ dropped +receive buffer full", row), row
        assert "Datagrams that do not fit are thrown away" in result.out.decode()
        # Read empty, what was thrown away still is.
        full.setblocking(False)
        try:
            while full.recv(1000):
                pass
        except BlockingIOError:
            pass
        with namespace.entered():
            result = command.run("watch", "--once", "--udp", f"sport = :{full.getsockname()[1]}")
        (row,) = [line for line in result.out.decode().splitlines() if line.startswith("UDP")]
        assert re.search(r"\d+ dropped +dropped \d+ datagrams", row), row
