# SPDX-License-Identifier: MIT
"""A WebSocket endpoint that knows no better: RFC 6455 and RFC 7692 on a plain socket, for tests.

It sends exactly the frames that it is told to, however wrong, in pieces of any size; and it holds every byte that comes
back against the rules: masks, reserved bits, lengths in their shortest form, whole control frames, UTF-8, the agreed
window of the deflate stream. Whatever is wrong with what the other end sends is an AssertionError.

    wire = dial_ws(url)                   # or greet_client(connection), to be the server
    wire.send(F(TEXT, b"hello"))
    wire.read()                           # ("text", b"hello")

What a case is, and how it is run against an endpoint, is at the end.
"""

import base64
import contextlib
import dataclasses
import hashlib
import re
import socket
import ssl
import struct
import threading
import zlib

import pytest

import harness

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KINDS = {TEXT: "text", BINARY: "binary", PING: "ping", PONG: "pong"}
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = "AAECAwQFBgcICQoLDA0ODw=="
HEAD_END = b"\r\n\r\n"
SYNC = b"\x00\x00\xff\xff"  # what ends a compressed message and is left out (RFC 7692, 7.2.1)


# --- frames ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class F:
    """A frame to be sent. masked None: as our role asks. wide: a length field of 16 or 64 bits, needed or not. length:
    what it says there, whatever the payload's length is."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    masked: bool = None
    wide: int = 0
    length: int = None

    def encode(self, masked, key):
        masked = masked if self.masked is None else self.masked
        length = len(self.payload) if self.length is None else self.length
        width = max(self.wide, 0 if length < 126 else 16 if length < 65536 else 64)
        head = bytes([self.fin << 7 | self.rsv << 4 | self.opcode])
        mask = 0x80 if masked else 0
        if width == 64:
            head += struct.pack("!BQ", mask | 127, length)
        elif width == 16:
            head += struct.pack("!BH", mask | 126, length)
        else:
            head += bytes([mask | length])
        return head + key + xor(self.payload, key) if masked else head + self.payload


def xor(data, key):
    n_bytes = len(data)
    keys = (key * (n_bytes // 4 + 1))[:n_bytes]
    return (int.from_bytes(data, "big") ^ int.from_bytes(keys, "big")).to_bytes(n_bytes, "big")


def close_payload(code=None, reason=b""):
    return b"" if code is None else struct.pack("!H", code) + reason


def close_frame(code=None, reason=b""):
    return F(CLOSE, close_payload(code, reason))


def fragments(opcode, payload, sizes, **first):
    """The frames of a message that is cut. sizes: a number, or the lengths of all but the last."""
    if isinstance(sizes, int):
        cuts = list(range(sizes, len(payload), sizes))
    else:
        cuts = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    edges = [0, *cuts, len(payload)]
    pieces = [payload[one:other] for one, other in zip(edges, edges[1:])]
    last = len(pieces) - 1
    return [
        F(CONTINUATION if index else opcode, piece, fin=index == last, **({} if index else first))
        for index, piece in enumerate(pieces)
    ]


# --- one end -----------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Deflate:
    """What was agreed on, as this end sees it."""

    send_bits: int = 15
    send_fresh: bool = False  # our messages do not refer to earlier ones
    receive_bits: int = 15
    receive_fresh: bool = False

    def __post_init__(self):
        self._packer = self._unpacker = None

    def pack(self, data, level=6):
        if self.send_fresh or not self._packer:
            self._packer = zlib.compressobj(level, zlib.DEFLATED, -max(self.send_bits, 9), 8)
        packed = self._packer.compress(data) + self._packer.flush(zlib.Z_SYNC_FLUSH)
        assert packed.endswith(SYNC)
        return packed[:-4]

    def unpack(self, data):
        """The message. Where a window is agreed on, a byte at a time (unless it is long): only so zlib refuses what looks
        back further."""
        if self.receive_fresh or not self._unpacker:
            self._unpacker = zlib.decompressobj(-self.receive_bits)
        if self.receive_bits == 15 or len(data) > 4096:
            return self._unpacker.decompress(data + SYNC)
        message, rest = bytearray(), data + SYNC
        while True:
            piece = self._unpacker.decompress(rest, 1)
            rest = self._unpacker.unconsumed_tail
            if not piece and not rest:
                return bytes(message)
            message += piece


class Wire:
    """One end of a connection that has been upgraded."""

    def __init__(self, sock, is_client, *, early=b"", deflate=None, seed=1):
        self.sock = sock
        self.is_client = is_client
        self.deflate = deflate
        self.answers_pings = False  # by itself; otherwise they are events
        self.n_frames = 0  # received
        self.keys = set()  # of the masks received
        self._buffer = bytearray(early)
        self._at = 0
        self._random = seed & 0xFFFFFFFF or 1
        self._message = None  # [opcode, compressed, pieces]
        self.broken = None  # what sending met

    # sending

    def _key(self):
        self._random = (self._random * 1103515245 + 12345) & 0xFFFFFFFF
        return struct.pack("!I", self._random)

    def encode(self, *frames):
        return b"".join(frame.encode(self.is_client, self._key()) for frame in frames)

    def send_bytes(self, data, chop=None):
        """In pieces of that size, each a segment of its own if the network is quick enough. An end that the other side
        has already closed is no error of ours: what it said before is to be read."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for index in range(0, len(data), chop or len(data) or 1):
                self.sock.sendall(data[index : index + (chop or len(data))])
        except (BrokenPipeError, ConnectionResetError) as error:
            self.broken = error

    def send(self, *frames, chop=None):
        self.send_bytes(self.encode(*frames), chop)

    def sending(self, steps):
        """Send meanwhile, on a thread that has ended when the context has."""
        return _Meanwhile(self, steps)

    def say(self, message, text=True, sizes=None):
        """A message, compressed if that was agreed on."""
        if self.deflate:
            message, rsv = self.deflate.pack(message), 4
        else:
            rsv = 0
        opcode = TEXT if text else BINARY
        frames = fragments(opcode, message, sizes, rsv=rsv) if sizes else [F(opcode, message, rsv=rsv)]
        self.send(*frames)

    # receiving

    def _take(self, n_bytes):
        while len(self._buffer) - self._at < n_bytes:
            if self._at > 1 << 20 or self._at == len(self._buffer):
                del self._buffer[: self._at]
                self._at = 0
            chunk = self.sock.recv(1 << 18)
            if not chunk:
                left = bytes(self._buffer[self._at :])
                assert not left, f"the end came inside a frame: {left[:100]!r}"
                raise EOFError
            self._buffer += chunk
        data = bytes(self._buffer[self._at : self._at + n_bytes])
        self._at += n_bytes
        return data

    def read_frame(self):
        """(fin, rsv, opcode, payload), checked."""
        first, second = self._take(2)
        try:
            fin, rsv, opcode = bool(first & 0x80), first >> 4 & 7, first & 15
            masked, length = bool(second & 0x80), second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", self._take(2))
                assert length >= 126, f"{length} in 16 bits"
            elif length == 127:
                (length,) = struct.unpack("!Q", self._take(8))
                assert 65536 <= length < 1 << 63, f"{length} in 64 bits"
            assert masked != self.is_client, "a server has masked" if masked else "a client has not masked"
            assert opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG), f"opcode {opcode}"
            if opcode >= CLOSE:
                assert fin and length <= 125 and not rsv, f"control frame {opcode}: {fin}, {length}, {rsv}"
            assert not rsv or (rsv == 4 and self.deflate and opcode), f"reserved bits {rsv} with opcode {opcode}"
            key = self._take(4) if masked else None
            payload = self._take(length)
        except EOFError:
            raise AssertionError("the end came inside a frame") from None
        self.n_frames += 1
        if masked:
            self.keys.add(key)
            payload = xor(payload, key)
        return fin, rsv, opcode, payload

    def read(self):
        """What comes next: ("text", bytes), ("binary", ...), ("ping", ...), ("pong", ...), ("close", code, reason),
        ("end",) or ("reset",)."""
        while True:
            try:
                fin, rsv, opcode, payload = self.read_frame()
            except EOFError:
                assert not self._message, "the end came inside a message"
                return ("end",)
            except ConnectionResetError:
                return ("reset",)
            if opcode == CLOSE:
                return self._closed(payload)
            if opcode == PING and self.answers_pings:
                self.send(F(PONG, payload))
                continue
            if opcode >= CLOSE:
                return KINDS[opcode], payload
            if opcode == CONTINUATION:
                assert self._message, "a continuation of nothing"
            else:
                assert not self._message, "a message inside a message"
                self._message = [opcode, rsv == 4, []]
            self._message[2].append(payload)
            if fin:
                opcode, packed, pieces = self._message
                self._message = None
                message = b"".join(pieces)
                if packed:
                    message = self.deflate.unpack(message)
                if opcode == TEXT:
                    message.decode("utf-8")
                return KINDS[opcode], message

    @staticmethod
    def _closed(payload):
        if not payload:
            return "close", 1005, b""
        assert len(payload) >= 2, f"a Close frame with {payload!r}"
        (code,) = struct.unpack("!H", payload[:2])
        assert 1000 <= code <= 1014 and code not in (1004, 1005, 1006) or 3000 <= code <= 4999, f"code {code}"
        payload[2:].decode("utf-8")
        return "close", code, payload[2:]

    def expect(self, *event):
        got = self.read()
        assert got == event, f"{shorten(got)} instead of {shorten(event)}"

    def close(self, code=1000, reason=b""):
        """Close in order; the other end repeats the code. The server's end of the connection comes first."""
        self.send(close_frame(code, reason))
        got = self.read()
        assert got[:2] == ("close", 1005 if code is None else code), f"{shorten(got)} as the answer to Close {code}"
        self.over()

    def over(self):
        """Close frames were exchanged: nothing but the end follows."""
        if not self.is_client:
            self.sock.shutdown(socket.SHUT_WR)
        self.expect("end")
        self.sock.close()

    def unread(self):
        """What has come and was not looked at."""
        return bytes(self._buffer[self._at :])


class _Meanwhile:
    def __init__(self, wire, work):
        self._thread = threading.Thread(target=work, daemon=True)
        self._wire = wire

    def __enter__(self):
        self._thread.start()
        return self._wire

    def __exit__(self, kind, *_):
        if kind:
            self._wire.sock.close()
        self._thread.join(harness.DEADLINE)
        assert kind or not self._thread.is_alive(), "what is sent is not taken"


def shorten(event):
    text = repr(event)
    return text if len(text) < 200 else f"{text[:120]}...{text[-40:]} ({len(text)} characters)"


# --- the handshake -----------------------------------------------------------------------------------------------


def accept_key(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def upgrade_head(host, target="/", *, drop=(), lines=(), key=KEY, version="13", method="GET", http="HTTP/1.1"):
    """A request for WebSocket. drop: names to leave out; lines: further ones, as they are."""
    headers = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": version,
    }
    rows = [f"{name}: {value}" for name, value in headers.items() if name not in drop]
    return "\r\n".join([f"{method} {target} {http}", *rows, *lines, "", ""]).encode()


def read_head(sock, early=b""):
    """Everything to the empty line, and what came behind it."""
    data = bytearray(early)
    while HEAD_END not in data:
        assert len(data) < 1 << 17, "a head without end"
        chunk = sock.recv(1 << 16)
        assert chunk, f"the end came inside a head: {bytes(data)!r}"
        data += chunk
    head, _, rest = bytes(data).partition(HEAD_END)
    return head, rest


class Head:
    """A head, taken apart strictly."""

    def __init__(self, data):
        lines = data.decode("latin-1").split("\r\n")
        self.first = lines[0]
        self.rows = []
        for line in lines[1:]:
            found = re.fullmatch(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*", line)
            assert found, f"not a header: {line!r}"
            self.rows.append((found.group(1).lower(), found.group(2)))

    def all(self, name):
        return [value for row, value in self.rows if row == name.lower()]

    def one(self, name):
        values = self.all(name)
        assert len(values) == 1, f"{name}: {values} in {self.first!r} {self.rows}"
        return values[0]

    def tokens(self, name):
        return [token.strip().lower() for value in self.all(name) for token in value.split(",")]

    @property
    def status(self):
        found = re.fullmatch(r"HTTP/1\.[01] (\d\d\d)(?: .*)?", self.first)
        assert found, f"not a status line: {self.first!r}"
        return int(found.group(1))


def parse_extensions(value):
    """[(name, {parameter: value or None})]; a parameter twice is refused."""
    result = []
    for extension in [part for part in value.split(",") if part.strip()]:
        name, *rest = [part.strip() for part in extension.split(";")]
        parameters = {}
        for text in rest:
            key, equals, given = text.partition("=")
            assert key not in parameters, f"{key} twice in {value!r}"
            parameters[key] = given.strip('"') if equals else None
        result.append((name, parameters))
    return result


def deflate_terms(parameters, is_client):
    """The Deflate of an answer's parameters, strictly."""
    bits = {}
    for side in ("server", "client"):
        given = parameters.get(f"{side}_max_window_bits", "15")
        assert given and re.fullmatch("[89]|1[0-5]", given), f"window bits {given!r}"
        bits[side] = int(given)
        assert parameters.get(f"{side}_no_context_takeover") is None
    known = {f"{side}_{what}" for side in bits for what in ("max_window_bits", "no_context_takeover")}
    assert set(parameters) <= known, f"unknown parameters: {parameters}"
    fresh = {side: f"{side}_no_context_takeover" in parameters for side in bits}
    mine, other = ("client", "server") if is_client else ("server", "client")
    return Deflate(bits[mine], fresh[mine], bits[other], fresh[other])


def host_of(url):
    found = re.match(r"\w+://([^/?#]*)", url)
    return found.group(1)


def port_of(url):
    return int(re.match(r"\w+://(?:\[[^\]]*\]|[^:/]*):(\d+)", url).group(1))


def dial(url, **keywords):
    """A TCP connection to where any such URL points."""
    return harness.dial("tcp://" + host_of(url), **keywords)


def request_upgrade(sock, host, target="/", *, lines=(), offer=None, **keywords):
    """Ask for WebSocket; the Head of the answer and what came behind it."""
    if offer is not None:
        lines = [*lines, f"Sec-WebSocket-Extensions: {offer}"]
    sock.sendall(upgrade_head(host, target, lines=lines, **keywords))
    head, rest = read_head(sock)
    return Head(head), rest


def dial_ws(url, target="/", *, sock=None, lines=(), offer=None, seed=1, host=None, **keywords):
    """A Wire to a server; its answer is in `head`."""
    sock = sock or dial(url, **keywords)
    head, rest = request_upgrade(sock, host or host_of(url), target, lines=lines, offer=offer)
    assert head.status == 101, f"{head.first!r} {head.rows} {rest!r}"
    assert head.one("Upgrade").lower() == "websocket"
    assert "upgrade" in head.tokens("Connection")
    assert head.one("Sec-WebSocket-Accept") == accept_key(KEY)
    assert not head.all("Content-Length") and not head.all("Transfer-Encoding"), "RFC 9110, 8.6: not with 101"
    extensions = parse_extensions(", ".join(head.all("Sec-WebSocket-Extensions")))
    deflate = None
    if extensions:
        assert offer, f"extensions that nobody asked for: {extensions}"
        ((name, parameters),) = extensions
        assert name == "permessage-deflate"
        deflate = deflate_terms(parameters, True)
    wire = Wire(sock, True, early=rest, deflate=deflate, seed=seed)
    wire.head, wire.extensions = head, extensions
    return wire


def greet_client(sock, *, lines=(), answer=None, subprotocol=None, seed=1):
    """A Wire to a client whose connection this is. answer: the value of Sec-WebSocket-Extensions; lines: further ones."""
    data, rest = read_head(sock)
    head = Head(data)
    assert re.fullmatch(r"GET /\S* HTTP/1\.1", head.first), head.first
    assert not rest, "a client speaks before it is answered"
    key = head.one("Sec-WebSocket-Key")
    assert len(base64.b64decode(key, validate=True)) == 16
    assert head.one("Upgrade").lower() == "websocket" and "upgrade" in head.tokens("Connection")
    assert head.one("Sec-WebSocket-Version") == "13"
    head.one("Host")
    rows = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    rows += [f"Sec-WebSocket-Accept: {accept_key(key)}", *lines]
    if answer:
        rows.append(f"Sec-WebSocket-Extensions: {answer}")
    if subprotocol:
        rows.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    sock.sendall("\r\n".join([*rows, "", ""]).encode())
    deflate = None
    if answer and len(parse_extensions(answer)) == 1:
        ((name, parameters),) = parse_extensions(answer)
        deflate = deflate_terms(parameters, False) if name == "permessage-deflate" else None
    wire = Wire(sock, False, deflate=deflate, seed=seed)
    wire.head = head
    return wire


# --- the command that is tested ----------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(binary, engines, sanitized):
    """get(engine, URL, option...): a running `sonde serve echo`, the same one for the same words. engine None: the one that
    it chooses by itself."""
    with contextlib.ExitStack() as stack:
        running = {}

        def get(engine, url, *options):
            if engine and engines.get(engine) != "available":
                pytest.skip(f"{engine}: {engines.get(engine, 'unknown to this build')}")
            key = (engine, url, *options)
            if key not in running:
                argv = [binary, "serve", "echo", *(["--engine", engine] if engine else []), *options, url]
                running[key] = harness.Server(argv, gentle=sanitized)
                stack.callback(running[key].finish)
            assert running[key].running, f"the server is gone: {running[key]}"
            return running[key]

        yield get


# --- cases -------------------------------------------------------------------------------------------------------
#
# A case sends, and says what has to come of it: the messages and pongs that come back, each kind in its order, and how
# it ends. Where the RFCs leave a choice, `also` holds the other ends that are right. What is lenient is right only for
# endpoints that are known for it.


@dataclasses.dataclass(frozen=True)
class Done:
    """All is well: we close, with 1000, and so does the other end."""


@dataclasses.dataclass(frozen=True)
class Fails:
    """The other end closes, with one of these codes, because of what we did."""

    codes: tuple


@dataclasses.dataclass(frozen=True)
class Closes:
    """The case has sent Close itself; it is answered, with one of these codes."""

    codes: tuple


@dataclasses.dataclass(frozen=True)
class Chop:
    """Written in pieces of n bytes; 0: a write for each frame."""

    n: int
    frames: tuple


@dataclasses.dataclass(frozen=True)
class Raw:
    data: bytes


@dataclasses.dataclass(frozen=True)
class Await:
    """Go on once so many answers (messages and pongs) have come."""

    n: int


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    send: tuple
    answers: tuple = ()  # ("text", bytes), ("binary", bytes), ("pong", bytes)
    end: object = Done()
    also: tuple = ()  # ((answers, end), ...)

    def variants(self):
        return ((self.answers, self.end), *self.also)


def put(wire, step):
    if isinstance(step, Chop):
        if step.n:
            wire.send(*step.frames, chop=step.n)
        else:
            for frame in step.frames:
                wire.send(frame)
    elif isinstance(step, Raw):
        wire.send_bytes(step.data)
    else:
        wire.send(step)


@dataclasses.dataclass
class Outcome:
    messages: list
    pongs: list
    close: tuple = None  # (code, reason)
    end: str = None  # "end" or "reset"
    late: list = dataclasses.field(default_factory=list)  # what came behind the Close frame


class Echo:
    """How to look at an endpoint that sends back what it gets: on the wire."""

    def __init__(self, wire):
        self.wire = wire
        self.outcome = Outcome([], [])

    def _step(self):
        event = self.wire.read()
        if self.outcome.close and event[0] not in ("end", "reset"):
            self.outcome.late.append(event)
        elif event[0] in ("text", "binary"):
            self.outcome.messages.append(event)
        elif event[0] == "pong":
            self.outcome.pongs.append(event)
        elif event[0] == "close":
            self.outcome.close = event[1:]
        else:
            assert event[0] in ("end", "reset"), f"nobody asked for {shorten(event)}"
            self.outcome.end = event[0]
        return event[0]

    def n_messages(self):
        return len(self.outcome.messages)

    def wait(self, n_messages, n_pongs):
        """Until so many have come; False when it is over before."""
        while self.n_messages() < n_messages or len(self.outcome.pongs) < n_pongs:
            if self.outcome.close or self.outcome.end:
                return False
            self._step()
        return True

    def wait_closed(self):
        while not self.outcome.close and not self.outcome.end:
            self._step()

    def finish(self, closing, closed_by_us):
        """To the end of it all. closing: the Close frame to be sent, if it is for us to begin."""
        wire = self.wire
        if closing and not self.outcome.close and not self.outcome.end:
            wire.send(closing)
            closed_by_us = True
        self.wait_closed()
        if self.outcome.close and not closed_by_us and not self.outcome.end:
            code = self.outcome.close[0]
            wire.send(close_frame(None if code == 1005 else code))
        if not wire.is_client and not self.outcome.end:  # the server's end comes first
            try:
                wire.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        while not self.outcome.end:
            self._step()
        return self.outcome


def run_case(case, ear):
    """Send it, and hear what comes of it."""
    kinds = [answer[0] for answer in case.answers]

    def wait(n_answers):
        n_pongs = kinds[:n_answers].count("pong")
        return ear.wait(n_answers - n_pongs, n_pongs)

    def send():
        for step in case.send:
            if isinstance(step, Await):
                wait(step.n)
            else:
                put(ear.wire, step)

    meanwhile = contextlib.nullcontext()
    # More than the kernel takes while nobody reads the answers. ssl's sockets are not for two threads at a time.
    if sum(map(_size, case.send)) > 1 << 15 and not isinstance(ear.wire.sock, ssl.SSLSocket):
        assert not any(isinstance(step, Await) for step in case.send)
        meanwhile = ear.wire.sending(send)
    else:
        send()
    with meanwhile:
        if isinstance(case.end, Done):
            wait(len(kinds))
        else:
            ear.wait_closed()
    return ear.finish(close_frame(1000) if isinstance(case.end, Done) else None, isinstance(case.end, Closes))


def _size(step):
    if isinstance(step, Await):
        return 0
    if isinstance(step, Chop):
        return sum(len(frame.payload) for frame in step.frames)
    return len(step.data if isinstance(step, Raw) else step.payload)


def judge(outcome, answers, end):
    """What is wrong with it, or None."""
    messages = [answer for answer in answers if answer[0] != "pong"]
    pongs = [answer for answer in answers if answer[0] == "pong"]
    if outcome.messages != messages:
        return f"messages {shorten(outcome.messages)} instead of {shorten(messages)}"
    if outcome.pongs != pongs:
        return f"pongs {shorten(outcome.pongs)} instead of {shorten(pongs)}"
    if outcome.late:
        return f"behind its Close frame: {shorten(outcome.late)}"
    if not outcome.close:
        return f"no Close frame, but {outcome.end}"
    codes = (1000,) if isinstance(end, Done) else end.codes
    if outcome.close[0] not in codes:
        return f"Close {outcome.close} instead of {codes}"
    if outcome.end != "end" and not isinstance(end, Fails):
        return "reset instead of an end"
    return None


def check(case, outcome, lenient=False):
    """One of the ends that are right. lenient: what was right before the mistake may be lost."""
    found = [judge(outcome, *variant) for variant in case.variants()]
    if lenient and isinstance(case.end, Fails):
        for n in range(len(case.answers)):
            found.append(judge(outcome, case.answers[:n], case.end))
    assert None in found, f"{case.name}: {found[0]} (stream: {outcome.end}, close: {outcome.close})"


def cycle(n_bytes, alphabet):
    """A pattern whose period divides no size of any buffer."""
    alphabet = alphabet[:251] if len(alphabet) > 251 else alphabet[:61]
    return (alphabet * (n_bytes // len(alphabet) + 1))[:n_bytes]


def text_of(n_bytes):
    return cycle(n_bytes, b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-")


def binary_of(n_bytes):
    return cycle(n_bytes, bytes(range(256)))
