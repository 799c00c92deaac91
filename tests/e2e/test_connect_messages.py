# SPDX-License-Identifier: MIT
"""`sonde connect` where the transport has messages: WebSocket, datagrams, packets."""

import asyncio
import base64
import hashlib
import os
import re
import socket
import struct
import threading

import pytest

import harness
from harness import DEADLINE, assert_printable, hex_dump, one_sentence, strict_json_lines, wait_until

websockets = pytest.importorskip("websockets")

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


# --- peers -------------------------------------------------------------------------------------------------------


class WebServer:
    """python3-websockets on a thread: `handle(connection)` is a coroutine for each."""

    def __init__(self, handle, **options):
        self._handle, self._options = handle, options
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.requests = []
        self.closes = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(DEADLINE)
        self.url = f"ws://127.0.0.1:{self.port}"

    async def _one(self, connection, *_):
        self.requests.append((connection.path, list(connection.request_headers.raw_items())))
        try:
            await self._handle(connection)
        except websockets.ConnectionClosed:
            pass
        await connection.wait_closed()
        self.closes.append((connection.close_code, connection.close_reason))

    def _run(self):
        async def main():
            self._over = asyncio.Event()
            options = {"max_size": None, "ping_interval": None, **self._options}
            async with websockets.serve(self._one, "127.0.0.1", 0, **options) as server:
                self.port = server.sockets[0].getsockname()[1]
                self._ready.set()
                await self._over.wait()

        self._loop.run_until_complete(main())
        self._loop.close()

    def finish(self):
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(DEADLINE)


async def echo(connection):
    async for message in connection:
        await connection.send(message)


@pytest.fixture
def web(started):
    """web(handle, ...): a server by python3-websockets, ended with the test."""

    def make(handle=echo, **options):
        made = WebServer(handle, **options)
        started.callback(made.finish)
        return made

    return make


def accept_upgrade(connection, extra=b""):
    """Read a request and answer 101; returns the request."""
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = connection.recv(4096)
        assert chunk, f"the request ended: {head!r}"
        head += chunk
    key = re.search(rb"\r\nSec-WebSocket-Key: *(\S+)\r\n", head, re.I).group(1)
    answer = base64.b64encode(hashlib.sha1(key + GUID).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + answer + b"\r\n" + extra + b"\r\n"
    )
    return head


def frame(opcode, payload=b"", fin=True):
    first = bytes([(0x80 if fin else 0) | opcode])
    if len(payload) < 126:
        return first + bytes([len(payload)]) + payload
    if len(payload) < 1 << 16:
        return first + b"\x7e" + struct.pack("!H", len(payload)) + payload
    return first + b"\x7f" + struct.pack("!Q", len(payload)) + payload


def receive_frame(connection):
    """(opcode, payload) of the next frame, or None at the end."""
    head = connection.recv(1)
    if not head:
        return None
    second = harness.receive_exactly(connection, 1)[0]
    assert second & 0x80, "a client's frame is not masked"
    length = second & 0x7F
    if length >= 126:
        size, form = (2, "!H") if length == 126 else (8, "!Q")
        (length,) = struct.unpack(form, harness.receive_exactly(connection, size))
    mask = harness.receive_exactly(connection, 4)
    payload = harness.receive_exactly(connection, length)
    return head[0] & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def ws_url(server):
    return server.url.replace("tcp:", "ws:")


def talk_until_close(connection, answers=()):
    """Answer pings and the Close; what came besides is returned."""
    came = []
    for answer in answers:
        connection.sendall(answer)
    while received := receive_frame(connection):
        opcode, payload = received
        if opcode == 9:
            connection.sendall(frame(10, payload))
        elif opcode == 8:
            connection.sendall(frame(8, payload))
            break
        else:
            came.append((opcode, payload))
    return came


class UdpPeer:
    """A UDP socket on a thread: each datagram goes to `answer(data, number)`, which returns those to send back."""

    def __init__(self, answer):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.05)
        self.port = self.socket.getsockname()[1]
        self.url = f"udp://127.0.0.1:{self.port}"
        self.came = []
        self._answer, self._over = answer, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._over:
            try:
                data, peer = self.socket.recvfrom(1 << 16)
            except socket.timeout:
                continue
            self.came.append(data)
            for part in self._answer(data, len(self.came)):
                self.socket.sendto(part, peer)

    def finish(self):
        self._over = True
        self._thread.join(DEADLINE)
        self.socket.close()


@pytest.fixture
def udp(started):
    def make(answer=lambda data, _: [data]):
        made = UdpPeer(answer)
        started.callback(made.finish)
        return made

    return make


def messages(result, direction):
    return [row for row in strict_json_lines(result.out) if row["event"] == "message" and row["direction"] == direction]


def event(result, kind):
    rows = [row for row in strict_json_lines(result.out) if row["event"] == kind]
    assert len(rows) == 1, rows
    return rows[0]


# --- WebSocket: lines --------------------------------------------------------------------------------------------


def test_a_line_is_a_message_of_text(sonde, web):
    server = web()
    lines = ["hello", "", "größe", "//", "/no command in a pipe", " x ", "the last without its newline"]
    result = sonde.connect(server.url, input="\n".join(lines).encode())
    assert (result.status, result.err) == (0, ""), result.process
    assert result.out.decode() == "\n".join(lines) + "\n"
    wait_until(lambda: server.closes, "the server knows of the end")
    assert server.closes == [(1000, "")]


def test_many_lines_arrive_whole_and_in_order(sonde, web):
    lines = [str(number) * (number % 700) for number in range(harness.scaled(3000, 300))]
    result = sonde.connect(web().url, "--verify-echo", "-v", input="".join(line + "\n" for line in lines).encode())
    assert result.status == 0, result.process
    assert f"{len(lines)} messages came back as they were sent" in result.err


def test_a_long_line_is_one_message(sonde, web):
    line = ("é" * 100_000 + "z").encode() * harness.scaled(8, 2)
    result = sonde.connect("--json", web().url, input=line + b"\n")
    assert result.status == 0, result.process
    assert [row["bytes"] for row in messages(result, "in")] == [len(line)]
    assert messages(result, "in")[0]["text"] == line.decode()


def test_a_line_that_is_too_long_is_an_error_and_never_cut(sonde, web):
    server = web()
    result = sonde.connect("--message-max", "1000", server.url, input=b"a\n" + b"x" * 5000 + b"\nb\n")
    assert (result.status, result.out) == (1, b"a\n"), result.process
    assert "longer than 1000 bytes" in one_sentence(result.err)


def test_what_is_not_utf8_is_refused_and_counted(sonde, web):
    result = sonde.connect(web().url, input=b"a\xff\nb\n\xc3\n")
    assert (result.status, result.out) == (1, b"b\n"), result.process
    lines = result.err.splitlines()
    assert len(lines) == 2 and "line 1 " in lines[0] and "line 3 " in lines[1], result.err
    assert all("UTF-8" in line for line in lines)


def test_of_many_that_are_refused_the_first_are_told(sonde, web):
    result = sonde.connect(web().url, input=b"\xff\n" * 500 + b"b\n")
    assert (result.status, result.out) == (1, b"b\n"), result.process
    lines = result.err.splitlines()
    assert len(lines) < 20 and "line 1 " in lines[0] and "500 messages" in lines[-1], result.err


def test_binary_sends_what_was_read(sonde, web):
    data = bytes(range(256)) * 40
    server = web()
    result = sonde.connect("--binary", "--verify-echo", "--output", "/dev/null", server.url, input=data)
    assert result.status == 0, result.process
    result = sonde.connect("--binary", server.url, input=data)
    assert (result.status, result.out) == (0, data), result.process


def test_base64_lines_are_binary_messages(sonde, web):
    parts = [b"", b"\x00", b"\xff\xfe", bytes(range(256)), b"text\n"]
    lines = b"".join(base64.b64encode(part) + b"\n" for part in parts)
    result = sonde.connect("--base64", web().url, input=lines)
    assert (result.status, result.out) == (0, lines), result.process
    result = sonde.connect("--base64", "--json", web().url, input=lines)
    assert [row["kind"] for row in messages(result, "in")] == ["binary"] * len(parts)


def test_what_is_not_base64_is_refused(sonde, web):
    result = sonde.connect("--base64", web().url, input=b"aGk=\na-b\nQQ==\n")
    assert (result.status, result.out) == (1, b"aGk=\nQQ==\n"), result.process
    assert "line 2 " in one_sentence(result.err) and "character 2" in result.err


def test_kinds_are_told_apart_with_json(sonde, web):
    async def both(connection):
        async for _ in connection:
            await connection.send("text")
            await connection.send(b"text")
            await connection.send("")
            await connection.send(b"\xff\x1b")

    result = sonde.connect("--json", web(both).url, input=b"go\n")
    assert result.status == 0, result.process
    rows = messages(result, "in")
    assert [(row["kind"], row["message"]) for row in rows] == [
        ("text", 1),
        ("binary", 2),
        ("text", 3),
        ("binary", 4),
    ]
    assert [row.get("text") for row in rows] == ["text", "text", "", None]
    assert base64.b64decode(rows[3]["base64"]) == b"\xff\x1b"
    closed = event(result, "closed")
    assert (closed["messages_in"], closed["messages_out"], closed["close_code"]) == (4, 1, 1000)
    assert closed["wire_in"] > closed["bytes_in"] and closed["wire_out"] > closed["bytes_out"]


def test_binary_messages_go_into_a_pipe_as_they_are(sonde, web):
    async def binary(connection):
        async for _ in connection:
            await connection.send(b"\x00\x1b[31m\n")
            await connection.send("t")

    result = sonde.connect(web(binary).url, input=b"go\n")
    assert (result.status, result.out) == (0, b"\x00\x1b[31m\nt\n"), result.process


# --- --frame: a bridge -------------------------------------------------------------------------------------------


def test_frames_keep_boundaries_both_ways(sonde, web):
    parts = [b"", b"\x00", b"a\nb", b"x" * 70000]
    stream = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    result = sonde.connect("--binary", "--frame", "u32be", web().url, input=stream)
    assert (result.status, result.out) == (0, stream), result.process


def test_frames_of_text_are_text(sonde, web):
    result = sonde.connect("--frame", "netstring", web().url, input=b"2:hi,3:a\nb,")
    assert (result.status, result.out) == (0, b"2:hi,3:a\nb,"), result.process


def test_a_frame_that_ends_in_the_middle_is_said(sonde, web):
    result = sonde.connect("--frame", "netstring", web().url, input=b"2:hi,5:abc")
    assert (result.status, result.out) == (1, b"2:hi,"), result.process
    assert "middle of a message" in one_sentence(result.err)


def test_what_the_frame_cannot_carry_is_not_written(sonde, web):
    async def two(connection):
        async for _ in connection:
            await connection.send("a\nb")
            await connection.send("c")

    result = sonde.connect("--frame", "line", web(two).url, input=b"go\n")
    assert (result.status, result.out) == (1, b"c\n"), result.process
    assert "cannot be one of line" in one_sentence(result.err)


def test_frame_none_needs_binary(command, web):
    result = command.connect("--frame", "none", web().url, input=b"x")
    assert result.status == 2, result.process
    assert "--binary" in one_sentence(result.err)


# --- the end -----------------------------------------------------------------------------------------------------


def test_the_answers_are_waited_for(sonde, peer):
    """The answer comes after the pong of the ping that follows the last message, and is not lost."""
    pings = []

    def script(connection, _):
        accept_upgrade(connection)
        assert receive_frame(connection) == (1, b"question")
        opcode, payload = receive_frame(connection)
        assert opcode == 9, "no ping behind the last message"
        pings.append(payload)
        connection.sendall(frame(10, payload) + frame(1, b"answer 1") + frame(1, b"answer 2"))
        assert talk_until_close(connection) == []

    server = peer(script)
    result = sonde.connect(ws_url(server), input=b"question\n")
    server.join()
    assert (result.status, result.out, result.err) == (0, b"answer 1\nanswer 2\n", ""), result.process
    assert len(pings) == 1


def test_N_closes_at_once_and_takes_what_still_comes(sonde, peer):
    def script(connection, _):
        accept_upgrade(connection)
        assert receive_frame(connection) == (1, b"question")
        opcode, payload = receive_frame(connection)
        assert (opcode, payload[:2]) == (8, struct.pack("!H", 1000))
        connection.sendall(frame(1, b"late") + frame(8, payload))

    server = peer(script)
    result = sonde.connect("-N", ws_url(server), input=b"question\n")
    server.join()
    assert (result.status, result.out) == (0, b"late\n"), result.process


def test_eof_ignore_waits_for_the_peers_close(sonde, peer):
    go = threading.Event()

    def script(connection, _):
        accept_upgrade(connection)
        assert go.wait(DEADLINE)
        talk_until_close(connection, [frame(1, b"at last"), frame(8, struct.pack("!H", 1001) + b"going")])

    server = peer(script)
    process = sonde.start_connect("--eof", "ignore", ws_url(server))
    process.end_input()
    with harness.Observation(1.0):
        pass
    assert process.running
    go.set()
    assert process.wait() == 0, process
    assert process.out.data == b"at last\n"
    assert "closed with code 1001: going" in one_sentence(process.err.text)


def test_q_ends_after_its_time_even_without_pongs(sonde, peer):
    def script(connection, _):
        accept_upgrade(connection)
        while receive_frame(connection):
            pass

    result = sonde.connect("-q", "0.2", ws_url(peer(script)), input=b"x\n")
    assert (result.status, result.err) == (0, ""), result.process


@pytest.mark.parametrize("code, status", [(1000, 0), (1001, 0), (1002, 1), (1008, 1), (1011, 1), (3000, 1), (4999, 1)])
def test_the_peers_close_code_is_told(command, peer, code, status):
    def script(connection, _):
        accept_upgrade(connection)
        talk_until_close(connection, [frame(8, struct.pack("!H", code) + "gründe".encode())])

    result = command.connect("--eof", "ignore", ws_url(peer(script)))
    assert result.status == status, result.process
    assert one_sentence(result.err).endswith(f"closed with code {code}: gründe")


def test_a_close_without_a_code_is_in_order(sonde, peer):
    def script(connection, _):
        accept_upgrade(connection)
        talk_until_close(connection, [frame(8)])

    result = sonde.connect("--json", "--eof", "ignore", ws_url(peer(script)))
    assert result.status == 0, result.process
    assert event(result, "close")["code"] == 1005


def test_a_connection_that_ends_without_close_is_an_error(sonde, peer):
    def script(connection, _):
        accept_upgrade(connection)
        connection.sendall(frame(1, b"part of it"))

    result = sonde.connect("--eof", "ignore", ws_url(peer(script)))
    assert (result.status, result.out) == (1, b"part of it\n"), result.process
    assert "without a Close frame" in one_sentence(result.err)


def test_a_close_that_is_not_answered_is_said(sonde, peer):
    def script(connection, _):
        accept_upgrade(connection)
        while received := receive_frame(connection):
            if received[0] == 9:
                connection.sendall(frame(10, received[1]))

    result = sonde.connect(ws_url(peer(script)), input=b"x\n")
    assert result.status == 1, result.process
    assert "did not answer the Close" in one_sentence(result.err)


def test_sigint_says_goodbye(sonde, web):
    server = web()
    process = sonde.start_connect("-v", server.url)
    process.err.wait_match("^sonde: WebSocket")
    process.signal(2)
    assert process.wait() == 130, process
    wait_until(lambda: server.closes, "the server knows of the end")
    assert server.closes[0][0] == 1001


def test_once_says_goodbye(sonde, web):
    server = web()
    result = sonde.connect("--once", server.url, input=b"a\nb\n")
    assert (result.status, result.out) == (0, b"a\n"), result.process
    wait_until(lambda: server.closes, "the server knows of the end")
    assert server.closes[0][0] == 1000


def test_a_reader_that_waits_is_waited_for(sonde, web):
    """Our own output being stuck is not the peer's silence."""

    async def flood(connection):
        async for _ in connection:
            for number in range(400):
                await connection.send(f"{number:06} " + "x" * 4000)

    process = sonde.start_connect(web(flood).url, stdout=os.open("/dev/null", os.O_WRONLY))
    process.feed(b"go\n")
    process.end_input()
    assert process.wait() == 0, process
    read, write = os.pipe()
    process = sonde.start_connect(web(flood).url, stdout=write)
    os.close(write)
    process.feed(b"go\n")
    process.end_input()
    with harness.Observation(6.5):  # longer than any patience with the peer
        pass
    assert process.running
    data = b""
    while chunk := os.read(read, 1 << 16):
        data += chunk
    os.close(read)
    assert process.wait() == 0, process
    assert [line[:6] for line in data.splitlines()] == [b"%06d" % number for number in range(400)]


# --- the request -------------------------------------------------------------------------------------------------


def test_the_request_says_what_was_asked_for(sonde, peer, place):
    heads = []

    def script(connection, _):
        heads.append(accept_upgrade(connection, b"Sec-WebSocket-Protocol: chat\r\n"))
        talk_until_close(connection)

    secrets = place / "headers"
    secrets.write_text("# a comment\nAuthorization: Bearer hush\r\n\nX-Two: 2\n", encoding="ascii")
    server = peer(script)
    process = sonde.start_connect(
        *("--header", "X-One: seen", "--header", f"@{secrets}", "--origin", "https://page.example"),
        *("--subprotocol", "other,chat", "--no-deflate", "-v", ws_url(server) + "/path?x=1"),
    )
    process.err.wait_match("subprotocol chat")
    with open(f"/proc/{process.pid}/cmdline", "rb") as file:
        seen = file.read()
    process.end_input()
    assert process.wait() == 0, process
    server.join()
    head = heads[0].decode().split("\r\n")
    assert head[0] == "GET /path?x=1 HTTP/1.1"
    for line in ("X-One: seen", "Authorization: Bearer hush", "X-Two: 2", "Origin: https://page.example"):
        assert line in head, heads[0]
    assert "Sec-WebSocket-Protocol: other,chat" in [line.replace(", ", ",") for line in head]
    assert not any(line.lower().startswith("sec-websocket-extensions") for line in head)
    assert b"hush" not in seen and b"X-One: seen" not in seen and b"X-One:xxxxx" in seen


@pytest.mark.parametrize("header", ["no colon", "X y: z", "X: a\r\nY: b", "", ": x"])
def test_a_header_that_is_none_is_misuse(command, header):
    result = command.connect("--header", header, "ws://127.0.0.1:1")
    assert result.status == 2, result.process
    one_sentence(result.err)


def test_a_wrong_line_in_a_file_of_headers_is_not_shown(command, place):
    secrets = place / "headers"
    secrets.write_text("A: b\nhush hush\n", encoding="ascii")
    result = command.connect("--header", f"@{secrets}", "ws://127.0.0.1:1")
    assert result.status == 2, result.process
    assert "line 2 " in one_sentence(result.err) and "hush" not in result.err


def test_a_subprotocol_that_is_not_agreed_on(sonde, peer):
    def script(connection, _):
        accept_upgrade(connection)
        talk_until_close(connection)

    result = sonde.connect("--subprotocol", "chat", ws_url(peer(script)), input=b"x\n")
    assert (result.status, result.out) == (1, b""), result.process
    assert "subprotocol" in one_sentence(result.err)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 401 \x1b[31mred\x07\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://\x1b]0;x\x07/\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: bm8=\r\n\r\n",
        b"SSH-2.0-OpenSSH\x1b[31m\r\n",
        b"\x00\x01\x02\xff" * 100,
        b"",
    ],
)
def test_an_answer_that_is_no_websocket(sonde, peer, answer):
    def script(connection, _):
        connection.recv(4096)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass

    result = sonde.connect(ws_url(peer(script)), input=b"x\n")
    assert (result.status, result.out) == (1, b""), result.process
    assert "is no WebSocket" in one_sentence(result.err)
    if answer.startswith(b"HTTP/1.1 4") and b"\x1b" not in answer:
        assert answer[9:12].decode() in result.err


def test_who_is_not_let_in_is_told_what_may_help(sonde, peer):
    def script(connection, _):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    result = sonde.connect(ws_url(peer(script)), input=b"x\n")
    assert (result.status, result.out) == (1, b""), result.process
    sentence = one_sentence(result.err)
    assert "403" in sentence and "--origin" in sentence and "--header" in sentence


def test_pings_are_printed_and_must_be_answered(sonde, peer):
    def script(connection, _):
        accept_upgrade(connection)
        n_pings = 0
        while received := receive_frame(connection):
            if received[0] == 9:
                n_pings += 1
                if n_pings > 2:
                    continue
                connection.sendall(frame(10, received[1]))

    process = sonde.start_connect("--ping", "1", "--print-ping", ws_url(peer(script)))
    assert process.wait() == 1, process
    lines = process.err.text.splitlines()
    assert sum(bool(re.fullmatch(r"sonde: pong after \d+\.\d{3} ms\.", line)) for line in lines) == 2, lines
    assert "no longer answers" in lines[-1]


def test_the_peers_pings_are_told(sonde, peer):
    def script(connection, _):
        accept_upgrade(connection)
        connection.sendall(frame(9, b"\x1b[31m"))
        assert receive_frame(connection) == (10, b"\x1b[31m")
        talk_until_close(connection, [frame(8, struct.pack("!H", 1000))])

    server = peer(script)
    result = sonde.connect("--json", "--eof", "ignore", ws_url(server))
    server.join()
    assert result.status == 0, result.process
    assert event(result, "ping")["bytes"] == 5


def test_a_message_that_is_too_large_is_said(sonde, peer):
    def script(connection, _):
        accept_upgrade(connection)
        connection.sendall(frame(1, b"x" * 5000))
        while receive_frame(connection):
            pass

    result = sonde.connect("--message-max", "1000", "--eof", "ignore", ws_url(peer(script)))
    assert (result.status, result.out) == (1, b""), result.process
    assert "--message-max" in one_sentence(result.err)


@pytest.mark.parametrize(
    "hostile", [frame(1, b"\xff\xfe"), b"\x83\x00", frame(1, b"a")[:1] + b"\x81\x00\x00\x00\x00a", frame(0, b"x")]
)
def test_a_peer_that_breaks_the_rules(sonde, peer, hostile):
    def script(connection, _):
        accept_upgrade(connection)
        connection.sendall(frame(1, b"good") + hostile)
        while receive_frame(connection):
            pass

    result = sonde.connect("--eof", "ignore", ws_url(peer(script)))
    assert (result.status, result.out) == (1, b"good\n"), result.process
    assert "broke the rules" in one_sentence(result.err)


# --- commands ----------------------------------------------------------------------------------------------------


def test_commands_in_a_pipe_only_when_asked_for(sonde, web):
    server = web()
    script = b"/ping x\n//slash\n/binary 00 ff\n/nonsense\n/close 4000 bye\nnever sent\n"
    result = sonde.connect("--commands", "--json", server.url, input=script)
    assert result.status == 1, result.process  # /nonsense was not sent
    assert "no command" in result.err
    assert [(row["kind"], row["bytes"]) for row in messages(result, "out")] == [("text", 6), ("binary", 2)]
    assert event(result, "close")["code"] == 4000
    wait_until(lambda: server.closes, "the server knows of the end")
    assert server.closes == [(4000, "bye")]
    result = sonde.connect(server.url, input=b"/close 4000 bye\n")
    assert (result.status, result.out) == (0, b"/close 4000 bye\n"), result.process


def test_commands_on_a_terminal(sonde, web):
    server = web()
    terminal = sonde.on_terminal("connect", "-v", server.url)
    terminal.out.wait_match("commands: /ping")
    terminal.type(b"/ping\r")
    terminal.out.wait_match(r"pong after \d")
    terminal.type(b"//hello\r")
    terminal.out.wait_match(r"(?<!/)/hello\r*$")
    terminal.type(b"/close 4001 enough\r")
    status, shown = terminal.wait()
    assert status == 0, terminal
    assert b"closed with code 4001: enough" in shown
    wait_until(lambda: server.closes, "the server knows of the end")
    assert server.closes == [(4001, "enough")]


def test_a_terminal_gets_nothing_that_it_would_obey(sonde, peer):
    evil = "\x1b]0;title\x07\x1b[31m\u202e\x9b2J"

    def script(connection, _):
        accept_upgrade(connection)
        parts = [frame(1, evil.encode()), frame(2, b"\x00\x1b[2J\xff"), frame(1, b"two\nlines\\"), frame(1, b'a "b\\"')]
        talk_until_close(connection, [*parts, frame(8, struct.pack("!H", 4002) + evil.encode())])

    terminal = sonde.on_terminal("connect", "--no-edit", ws_url(peer(script)))
    status, shown = terminal.wait()
    assert status == 1, terminal
    assert_printable(shown, allowed="\r\n")
    assert b"two\\nlines\\\\\r\n" in shown
    assert b'a "b\\"\r\n' in shown
    assert b"closed with code 4002" in shown


# --- views -------------------------------------------------------------------------------------------------------


def test_hex_dumps_each_message(sonde, web):
    result = sonde.connect("--hex", web().url, input=b"hello\n\n")
    text = result.out.decode()
    assert result.status == 0, result.process
    assert hex_dump(text, "> ") == b"hello" and hex_dump(text, "< ") == b"hello"
    assert text.count("< 0 bytes, text\n") == 1 and text.count("> 5 bytes, text\n") == 1


def test_send_expect_and_output(sonde, web, place):
    server = web()
    result = sonde.connect("--send", "one\\n", "--send", "two", "--repeat", "2", "--json", server.url)
    assert result.status == 0, result.process
    assert [row["text"] for row in messages(result, "in")] == ["one\n", "two", "one\n", "two"]
    result = sonde.connect("--send", "question", "--expect", "^question$", "--within", "10s", server.url)
    assert (result.status, result.out) == (0, b"question\n"), result.process
    result = sonde.connect("--send", "question", "--expect", "other", "--within", "0.3", server.url)
    assert result.status == 1, result.process
    result = sonde.connect("--output", place / "out", server.url, input=b"a\nb\n")
    assert (result.status, result.out, (place / "out").read_bytes()) == (0, b"", b"a\nb\n"), result.process


def test_verify_echo_finds_the_message(sonde, peer):
    def script(connection, _):
        accept_upgrade(connection)
        assert receive_frame(connection)[1] == b"one"
        connection.sendall(frame(1, b"one"))
        assert receive_frame(connection)[1] == b"two"
        connection.sendall(frame(2, b"two"))
        while receive_frame(connection):
            pass

    result = sonde.connect("--verify-echo", "--send", "one", "--send", "two", ws_url(peer(script)))
    assert result.status == 1, result.process
    assert "message 2 " in one_sentence(result.err)


def test_verify_echo_misses_what_does_not_come(sonde, peer):
    def script(connection, _):
        accept_upgrade(connection)
        receive_frame(connection)
        talk_until_close(connection, [frame(8, struct.pack("!H", 1000))])

    result = sonde.connect("--verify-echo", "--send", "one", ws_url(peer(script)))
    assert result.status == 1, result.process
    assert "1 are lost" in result.err or "sent back 0 of 1" in result.err


@pytest.mark.parametrize(
    "options",
    [["--binary"], ["--header", "X: y"], ["--origin", "x"], ["--subprotocol", "x"], ["--ping", "1"], ["--commands"]],
)
def test_options_of_websocket_elsewhere_are_misuse(command, options):
    result = command.connect(*options, "tcp://127.0.0.1:1")
    assert result.status == 2, result.process
    assert "WebSocket" in one_sentence(result.err)


def test_each_line_is_a_connection(sonde, web):
    server = web()
    result = sonde.connect("--each-line", "new", server.url, input=b"a\nb\nc\n")
    assert (result.status, result.out) == (0, b"a\nb\nc\n"), result.process
    assert len(server.requests) == 3


# --- listening ---------------------------------------------------------------------------------------------------


def test_listening_for_a_websocket(sonde):
    process = sonde.start_connect("-l", "ws://127.0.0.1:0")
    url = process.err.wait_match(r"^listening (ws://\S+)$").group(1)

    async def client():
        async with websockets.connect(url) as connection:
            await connection.send("hello")
            assert await asyncio.wait_for(connection.recv(), DEADLINE) == "from here"

    process.feed(b"from here\n")
    asyncio.run(client())
    assert process.wait() == 0, process
    assert process.out.data == b"hello\n"


def test_listening_for_datagrams_takes_the_first_peer(sonde):
    process = sonde.start_connect("-l", "-u", "127.0.0.1", "0")
    port = int(process.err.wait_match(r"^listening udp://127\.0\.0\.1:(\d+)$").group(1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(DEADLINE)
        one.connect(("127.0.0.1", port))
        one.send(b"first\n")
        process.out.wait_for(lambda data: data == b"first\n", "the first datagram")
        process.feed(b"answer\n")
        assert one.recv(100) == b"answer\n"
        process.end_input()
        assert process.wait() == 0, process


# --- datagrams ---------------------------------------------------------------------------------------------------


def test_a_read_is_a_datagram(sonde, udp):
    server = udp()
    result = sonde.connect("-v", server.url, input=b"hello\nyou\n")
    assert (result.status, result.out) == (0, b"hello\nyou\n"), result.process
    assert server.came == [b"hello\nyou\n"]
    assert "datagrams: 1 sent, 1 received" in result.err


def test_much_is_cut_at_the_longest_datagram_and_nothing_is_lost(sonde, udp, place):
    server = udp(lambda data, _: [])
    data = os.urandom(200_000)
    (place / "data").write_bytes(data)
    with open(place / "data", "rb") as file:
        process = sonde.start_connect("-q", "0", server.url, stdin=file)
    assert process.wait() == 0, process
    wait_until(lambda: sum(map(len, server.came)) >= len(data), "all has come")
    assert b"".join(server.came) == data
    assert [len(part) for part in server.came] == [65507, 65507, 65507, 200_000 - 3 * 65507]


def test_lines_as_datagrams(sonde, udp):
    server = udp()
    result = sonde.connect("--frame", "line", server.url, input=b"a\n\nb\n")
    assert (result.status, result.out) == (0, b"a\n\nb\n"), result.process
    assert server.came == [b"a", b"", b"b"]


def test_base64_datagrams(sonde, udp):
    server = udp()
    result = sonde.connect("--base64", server.url, input=b"AP8=\n")
    assert (result.status, result.out) == (0, b"AP8=\n"), result.process
    assert server.came == [b"\x00\xff"]


def test_a_datagram_that_is_too_long_is_not_sent(sonde, udp):
    server = udp()
    result = sonde.connect("--frame", "line", server.url, input=b"a\n" + b"x" * 65508 + b"\n")
    assert (result.status, result.out) == (1, b"a\n"), result.process
    assert server.came == [b"a"]
    assert "65508" in result.err or "longer than 65507" in result.err


def test_a_typed_line_is_a_datagram_with_its_newline(sonde, udp):
    server = udp()
    terminal = sonde.on_terminal("connect", server.url)
    terminal.out.wait_match("connected")
    terminal.type(b"hello\r")
    wait_until(lambda: server.came, "the datagram has come")
    assert server.came == [b"hello\n"]
    terminal.type(b"\x04")
    status, _ = terminal.wait()
    assert status == 0, terminal


def closed_to_others(sock):
    """A port that nobody else can take, and where a stranger's datagrams find nobody: the socket is for one peer only."""
    sock.bind(("127.0.0.1", 0))
    sock.connect(("127.0.0.1", 9))
    return sock.getsockname()[1]


def test_nobody_there_is_said_with_who_says_so(sonde):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        port = closed_to_others(sock)
        result = sonde.connect(f"udp://127.0.0.1:{port}", input=b"x")
    assert (result.status, result.out) == (1, b""), result.process
    assert "says 127.0.0.1 (ICMP)" in one_sentence(result.err)


def test_silence_is_an_end_in_order(sonde, udp):
    result = sonde.connect("-v", udp(lambda data, _: []).url, input=b"x")
    assert (result.status, result.out) == (0, b""), result.process
    assert "whether all that were sent arrived is not known" in result.err


def test_scanning_datagrams(sonde, udp):
    open_port, silent = udp(), udp(lambda data, _: [])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        closed = closed_to_others(sock)
        for port, status, state in ((open_port.port, 0, "open"), (closed, 1, "closed"), (silent.port, 1, "no_answer")):
            wait = "0.4" if state == "no_answer" else "10"
            result = sonde.connect("-z", "-v", "--json", "-w", wait, f"udp://127.0.0.1:{port}")
            assert result.status == status, result.process
            row = event(result, "port")
            assert (row["open"], row["state"]) == (status == 0, state)
    assert "no answer: open, filtered or lost" in result.err
    assert open_port.came == [b""] and silent.came == [b"", b""]


def test_the_echo_of_datagrams_is_counted(sonde, udp):
    held = []

    def answer(data, number):
        if number % 40 == 0:
            return []
        if number % 40 == 10:
            return [data, data]
        if number % 40 == 20:
            held.append(data)
            return []
        if number % 40 == 30:
            return [b"never sent"]
        return [data, held.pop()] if held else [data]

    lines = b"".join(b"%d\n" % number for number in range(400))
    result = sonde.connect("-q", "3", "--verify-echo", "--frame", "line", udp(answer).url, input=lines)
    assert result.status == 1, result.process
    sentence = one_sentence(result.err)
    assert "sent back 380 of 400" in sentence, sentence
    assert "20 are lost, 10 came out of order, 10 more than once, 10 are none" in sentence, sentence


def test_a_good_echo_of_datagrams(sonde, udp):
    n = harness.scaled(3000, 300)
    result = sonde.connect("-q", "3", "-v", "--verify-echo", "--send", "abc", "--repeat", n, udp().url)
    assert result.status == 0, result.process
    assert f"{n} messages came back as they were sent" in result.err


# --- UNIX --------------------------------------------------------------------------------------------------------


def test_packets_end_as_streams_do(sonde, place):
    path = str(place / "packets")
    came = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(path)
        server.listen()
        server.settimeout(DEADLINE)

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.settimeout(DEADLINE)
                while data := connection.recv(1 << 17):
                    came.append(data)
                for data in came:
                    connection.send(data.upper())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        result = sonde.connect("--frame", "line", f"seqpacket:{path}", input=b"a\nbc\n")
        thread.join(DEADLINE)
    assert (result.status, result.out, result.err) == (0, b"A\nBC\n", ""), result.process
    assert came == [b"a", b"bc"]


def test_unix_datagrams(sonde, place):
    path = str(place / "datagrams")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.settimeout(DEADLINE)
        result = sonde.connect("-q", "0", f"unixgram:{path}", input=b"hello\n")
        assert result.status == 0, result.process
        assert server.recv(100) == b"hello\n"
    result = sonde.connect("-q", "0", f"unixgram:{place}/nobody", input=b"hello\n")
    assert result.status == 1, result.process
    one_sentence(result.err)
