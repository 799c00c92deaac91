# SPDX-License-Identifier: MIT
"""WebSocket by the book (RFC 6455, RFC 7692): every group of the Autobahn test suite, as tables of our own (ws_cases.py),
against our server and our client; and against python3-websockets, to see that the suite itself is right."""

import asyncio
import base64
import contextlib
import json
import select
import ssl
import threading

import pytest

import harness
import ws_cases
import ws_suite
from ws_suite import BINARY, CLOSE, CONTINUATION, PING, TEXT, Case, Closes, Done, Echo, F, Fails, close_frame, shorten

HEAVY = ws_cases.sizes_up_to(ws_cases.LIMIT if harness.SCALE >= 1 else ws_cases.MIB)[-1]
PLAIN = [
    *ws_cases.framing(),
    *ws_cases.lengths_that_cannot_be(),
    *ws_cases.pings(),
    *ws_cases.reserved_bits(),
    *ws_cases.reserved_opcodes(),
    *ws_cases.fragmentation(),
    *ws_cases.utf8_messages(),
    *ws_cases.closing(),
]
UTF8 = ws_cases.utf8()
PACKED = ws_cases.compressed()
BOMBS = ws_cases.compressed_beyond_the_limit()
OFFER = "permessage-deflate"


def named(cases):
    assert len({case.name for case in cases}) == len(cases), "two cases of one name"
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def groups(cases, size=40):
    """UTF-8 has so many small cases that a test of its own for each would be mostly pytest."""
    return [cases[index : index + size] for index in range(0, len(cases), size)]


# --- what is tested ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pool(binary, engines, sanitized):
    with ws_suite.serving(binary, engines, sanitized) as get:
        yield get


@pytest.fixture
def server(pool, engine):
    return pool(engine, "ws://127.0.0.1:0", "--quiet").url


class Told(Echo):
    """How to look at `sonde connect --json`: the messages it got are told on its standard output."""

    def __init__(self, wire, process):
        super().__init__(wire)
        self.process = process

    def _told(self, data):
        rows = [json.loads(line.decode("utf-8")) for line in data.split(b"\n")[:-1]]
        result = []
        for row in rows:
            if row["event"] == "message" and row["direction"] == "in":
                payload = row["text"].encode() if "text" in row else base64.b64decode(row["base64"], validate=True)
                assert row["bytes"] == len(payload)
                result.append((row.get("kind", "text" if "text" in row else "binary"), payload))
        return result

    def wait(self, n_messages, n_pongs):
        if not super().wait(0, n_pongs):
            return False
        while len(self._told(self.process.out.data)) < n_messages and not self.process.out.ended:
            if select.select([self.wire.sock], [], [], 0.005)[0]:
                self._step()
            if self.outcome.close or self.outcome.end:
                return False
        return True

    def finish(self, *arguments):
        outcome = super().finish(*arguments)
        self.wire.sock.close()
        self.status = self.process.wait()
        assert not outcome.messages, f"it has sent messages: {shorten(outcome.messages)}"
        outcome.messages = self._told(self.process.out.data)
        return outcome


@pytest.fixture
def client(command, listen):
    """client(option..., answer=...): an ear on a `sonde connect` that has just connected to us. What a frame means does not
    depend on the engine, so that one is enough; the server has both."""

    def make(*options, **keywords):
        sock = listen()
        process = command.start_connect("--json", *options, f"ws://127.0.0.1:{sock.getsockname()[1]}/")
        connection, _ = harness.accept(sock)
        sock.close()
        return Told(ws_suite.greet_client(connection, **keywords), process)

    return make


def on_server(url, case, lenient=False, **keywords):
    with contextlib.closing(ws_suite.dial(url)) as sock:
        wire = ws_suite.dial_ws(url, sock=sock, **keywords)
        if "offer" in keywords:
            assert wire.deflate
        ws_suite.check(case, ws_suite.run_case(case, Echo(wire)), lenient)


def on_client(ear, case):
    with contextlib.closing(ear.wire.sock):
        outcome = ws_suite.run_case(case, ear)
    ws_suite.check(case, outcome)
    if isinstance(case.end, Done) and outcome.close[0] == 1000:
        assert ear.status == 0, str(ear.process)
    if not isinstance(case.end, Closes) and outcome.close[0] != 1000:
        assert ear.status == 1, str(ear.process)
        harness.one_sentence(ear.process.err.text)


@named(PLAIN)
def test_server(server, case):
    on_server(server, case)


@pytest.mark.parametrize("part", range(len(groups(UTF8))))
def test_server_utf8(server, part):
    for case in groups(UTF8)[part]:
        on_server(server, case)


@named(PLAIN)
def test_client(client, case):
    on_client(client(), case)


@pytest.mark.parametrize("part", range(len(groups(UTF8))))
def test_client_utf8(client, part):
    for case in groups(UTF8)[part][:: 1 if part % 4 == 0 else 4]:
        on_client(client(), case)


# --- 6.4: fail fast ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ws_cases.fail_fast())
def test_server_fails_fast(server, what):
    """The message is never finished: who waits for its end waits until the deadline."""
    case = Case(what, ws_cases.fail_fast()[what], ANSWERS_FAST.get(what, ()), Fails((1007,)))
    on_server(server, case)


@pytest.mark.parametrize("what", ws_cases.fail_fast())
def test_client_fails_fast(client, what):
    on_client(client(), Case(what, ws_cases.fail_fast()[what], ANSWERS_FAST.get(what, ()), Fails((1007,))))


ANSWERS_FAST = {"behind a good fragment": (("pong", b""),)}


# --- masks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_a_server_takes_no_unmasked_frames(server, opcode):
    payload = b"" if opcode == CLOSE else b"x"
    on_server(server, Case("unmasked", (F(opcode, payload, masked=False),), (), Fails((1002,))))


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_a_client_takes_no_masked_frames(client, opcode):
    payload = b"" if opcode == CLOSE else b"x"
    on_client(client(), Case("masked", (F(opcode, payload, masked=True),), (), Fails((1002,))))


def test_only_the_second_fragment_is_unmasked(server):
    frames = (F(TEXT, b"a", fin=False), F(CONTINUATION, b"b", masked=False))
    on_server(server, Case("unmasked", frames, (), Fails((1002,))))


def test_each_frame_of_a_client_has_a_mask_of_its_own(sonde, listen):
    """RFC 6455, 5.3: fresh and unpredictable."""
    sock = listen()
    lines = b"".join(b"line %d\n" % n for n in range(200))
    process = sonde.start_connect(f"ws://127.0.0.1:{sock.getsockname()[1]}/")
    process.feed(lines)
    process.end_input()
    connection, _ = harness.accept(sock)
    with connection:
        wire = ws_suite.greet_client(connection)
        wire.answers_pings = True
        for n in range(200):
            wire.expect("text", b"line %d" % n)
        wire.expect("close", 1000, b"")
        wire.send(close_frame(1000))
        wire.over()
    assert process.wait() == 0, str(process)
    assert len(wire.keys) >= 199, "masks are used again"


# --- 9: limits ---------------------------------------------------------------------------------------------------


LIMITS = ws_cases.limits(HEAVY)
CLIENT_LIMITS = ws_cases.limits(min(HEAVY, 4 * ws_cases.MIB))
BEYOND = ws_cases.beyond_the_limit()


@pytest.mark.heavy
@pytest.mark.parametrize("what", LIMITS)
def test_server_limits(server, what):
    on_server(server, LIMITS[what]())


@pytest.mark.heavy
@pytest.mark.parametrize("what", [name for name in CLIENT_LIMITS if "writes" not in name][::3])
def test_client_limits(client, what):
    on_client(client(), CLIENT_LIMITS[what]())


@pytest.mark.parametrize("what", BEYOND)
def test_server_beyond_the_limit(server, what):
    on_server(server, BEYOND[what]())


@pytest.mark.parametrize("what", BEYOND)
def test_client_beyond_the_limit(client, what):
    on_client(client(), BEYOND[what]())


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [0, 16, 64, 256, 1024, 4096])
def test_server_many_messages(server, opcode, size):
    """9.7, 9.8: one after another, each waited for; then all at once."""
    payload = ws_suite.text_of(size)
    n_messages = harness.scaled(200, 50)
    with contextlib.closing(ws_suite.dial(server)) as sock:
        wire = ws_suite.dial_ws(server, sock=sock)
        for _ in range(n_messages):
            wire.send(F(opcode, payload))
            wire.expect(ws_suite.KINDS[opcode], payload)
        data = wire.encode(*[F(opcode, payload)] * (5 * n_messages))
        with wire.sending(lambda: wire.send_bytes(data)):
            for _ in range(5 * n_messages):
                wire.expect(ws_suite.KINDS[opcode], payload)
        wire.close()


# --- 12, 13: compression -----------------------------------------------------------------------------------------


@named(PACKED)
def test_server_packed(server, case):
    on_server(server, case, offer=OFFER)


@named(PACKED)
def test_client_packed(client, case):
    on_client(client(answer=OFFER), case)


@named(BOMBS)
def test_server_packed_limits(server, case):
    on_server(server, case, offer=OFFER)


@named(BOMBS)
def test_client_packed_limits(client, case):
    on_client(client(answer=OFFER), case)


def talk_packed(wire, kinds=("text", "octets"), echo=None):
    """Messages of every size, one way and the other; every third one in fragments."""
    for kind in kinds:
        for size in ws_cases.SIZES:
            for n in range(harness.scaled(ws_cases.count_for(size), 2)):
                message = ws_cases.content(kind, size, n)
                is_text = kind == "text"
                with wire.sending(lambda: wire.say(message, is_text, sizes=max(1, size // 7) if n % 3 == 2 else None)):
                    wire.expect("text" if is_text else "binary", message)


@pytest.mark.parametrize("what", ws_cases.OFFERS)
def test_server_offers(pool, what):
    offer, promised = ws_cases.OFFERS[what]
    server = pool(None, "ws://127.0.0.1:0", "--quiet").url
    with contextlib.closing(ws_suite.dial(server)) as sock:
        wire = ws_suite.dial_ws(server, sock=sock, offer=offer)
        check_terms(wire, offer, promised)
        talk_packed(wire)
        wire.close()


def check_terms(wire, offer, promised):
    assert wire.extensions, "compression is not agreed on"
    _, agreed = wire.extensions[0]
    for name, value in promised.items():
        if name == "server_max_window_bits":
            assert int(agreed[name]) <= value, f"{agreed} for {offer}"
        else:
            assert name in agreed, f"{agreed} for {offer}"
    if "client_max_window_bits" not in offer:
        assert "client_max_window_bits" not in agreed, "RFC 7692, 7.1.2.2: only if the client offers it"


@pytest.mark.parametrize("what", ws_cases.DECLINED)
def test_server_declines(server, what):
    """The connection stands, without compression."""
    with contextlib.closing(ws_suite.dial(server)) as sock:
        wire = ws_suite.dial_ws(server, sock=sock, offer=ws_cases.DECLINED[what])
        assert not wire.extensions, f"{wire.extensions} for {ws_cases.DECLINED[what]}"
        wire.send(F(TEXT, b"plain"))
        wire.expect("text", b"plain")
        wire.close()


@pytest.mark.parametrize("what", ws_cases.MALFORMED)
def test_server_meets_a_malformed_offer(server, what):
    """Refused, or taken as no offer at all."""
    with contextlib.closing(ws_suite.dial(server)) as sock:
        head, rest = ws_suite.request_upgrade(sock, ws_suite.host_of(server), offer=ws_cases.MALFORMED[what])
        assert head.status in (101, 400), head.first
        if head.status == 101:
            assert not head.all("Sec-WebSocket-Extensions"), head.rows
            wire = ws_suite.Wire(sock, True, early=rest)
            wire.send(F(TEXT, b"plain"))
            wire.expect("text", b"plain")
            wire.close()


def test_server_with_a_window_of_8_bits(server):
    """zlib cannot make one: either it is declined, or what comes keeps within 256 octets."""
    with contextlib.closing(ws_suite.dial(server)) as sock:
        wire = ws_suite.dial_ws(server, sock=sock, offer="permessage-deflate; server_max_window_bits=8")
        if wire.deflate:
            assert wire.deflate.receive_bits == 8
            for n in range(5):
                wire.say(ws_cases.content("text", 4096, n))
                wire.expect("text", ws_cases.content("text", 4096, n))
        wire.close()


def test_server_keeps_within_the_window(server):
    """The same 600 octets again and again: the match that saves most lies outside a window of 512."""
    once = ws_cases.content("octets", 600, 1)
    with contextlib.closing(ws_suite.dial(server)) as sock:
        wire = ws_suite.dial_ws(server, sock=sock, offer="permessage-deflate; server_max_window_bits=9")
        for _ in range(4):
            wire.say(once * 5, text=False)
            wire.expect("binary", once * 5)
        wire.close()


def received_sizes(wire, message, n):
    """How long the frames are in which n echoes of it come."""
    sizes = []
    for _ in range(n):
        wire.say(message, text=False)
        _, rsv, _, payload = wire.read_frame()
        plain = wire.deflate.unpack(payload) if rsv else payload
        assert plain == message
        sizes.append(len(payload))
    return sizes


@pytest.mark.parametrize("offer", [OFFER, "permessage-deflate; server_no_context_takeover"])
def test_server_compresses(server, offer):
    """Hexadecimal digits are half as long; a message that is there again is at most as long as it was."""
    message = ws_cases.content("octets", 2000, 7).hex().encode()
    with contextlib.closing(ws_suite.dial(server)) as sock:
        wire = ws_suite.dial_ws(server, sock=sock, offer=offer)
        first, second, third = received_sizes(wire, message, 3)
        assert max(first, second, third) < 0.65 * len(message)
        assert second <= first + 16 and third <= first + 16
        wire.close()


# What a server may answer to a client that offers all it can, and what a client must not put up with (RFC 7692, 5.1,
# 7.1).
ANSWERS = {
    "nothing more": "permessage-deflate",
    "server_no_context_takeover": "permessage-deflate; server_no_context_takeover",
    "client_no_context_takeover": "permessage-deflate; client_no_context_takeover",
    "both without context": "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
    **{f"server_max_window_bits={bits}": f"permessage-deflate; server_max_window_bits={bits}" for bits in (9, 12, 15)},
}
CLIENT_BITS = {
    f"client_max_window_bits={bits}": f"permessage-deflate; client_max_window_bits={bits}" for bits in (9, 10, 12, 15)
}
WRONG_ANSWERS = {
    "an unknown extension": "x-unknown",
    "an unknown parameter": "permessage-deflate; unknown=1",
    "a parameter twice": "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
    "twice": "permessage-deflate, permessage-deflate",
    "a value too small": "permessage-deflate; server_max_window_bits=7",
    "a value too large": "permessage-deflate; server_max_window_bits=16",
    "client_max_window_bits without a value": "permessage-deflate; client_max_window_bits",
    "client_max_window_bits too large": "permessage-deflate; client_max_window_bits=16",
    "a value where none belongs": "permessage-deflate; client_no_context_takeover=1",
    "no name": "; server_no_context_takeover",
}


def client_lines(sonde, listen, lines, answer):
    """A Wire to a `sonde connect` that sends these lines, once it stands, and what it offers."""
    sock = listen()
    process = sonde.start_connect(f"ws://127.0.0.1:{sock.getsockname()[1]}/")
    connection, _ = harness.accept(sock)
    wire = ws_suite.greet_client(connection, answer=answer)
    wire.answers_pings = True
    feeder = threading.Thread(target=lambda: (process.feed(b"".join(lines)), process.end_input()), daemon=True)
    feeder.start()
    return process, wire, feeder


@pytest.mark.parametrize("what", [*ANSWERS, *CLIENT_BITS])
def test_client_answers(sonde, listen, what):
    """What it sends keeps to what was agreed on; what it gets is understood."""
    answer = {**ANSWERS, **CLIENT_BITS}[what]
    sizes = [size for size in ws_cases.SIZES if size and (size <= 8192 or what not in CLIENT_BITS)]
    messages = [ws_cases.content("text", size, n) for size in sizes for n in range(5 if size < 32768 else 1)]
    messages += [b"=" * 600 + ws_cases.content("text", 600, 1).hex().encode()] * 4
    process, wire, feeder = client_lines(sonde, listen, [message + b"\n" for message in messages], answer)
    with contextlib.closing(wire.sock):
        offered = ws_suite.parse_extensions(", ".join(wire.head.all("Sec-WebSocket-Extensions")))
        assert "permessage-deflate" in [name for name, _ in offered]
        if what in CLIENT_BITS and not any("client_max_window_bits" in parameters for _, parameters in offered):
            pytest.skip("the client does not offer client_max_window_bits")
        for message in messages:
            wire.expect("text", message)
            with wire.sending(lambda: wire.say(message)):
                pass
        wire.expect("close", 1000, b"")
        wire.send(close_frame(1000))
        wire.over()
    feeder.join()
    assert process.wait() == 0, str(process)
    assert process.out.data == b"".join(message + b"\n" for message in messages)


@pytest.mark.parametrize("what", WRONG_ANSWERS)
def test_client_refuses_an_answer(sonde, listen, what):
    sock = listen()
    process = sonde.start_connect(f"ws://127.0.0.1:{sock.getsockname()[1]}/")
    connection, _ = harness.accept(sock)
    with connection:
        wire = ws_suite.greet_client(connection, lines=["Sec-WebSocket-Extensions: " + WRONG_ANSWERS[what]])
        while wire.read()[0] not in ("end", "reset"):
            pass
    assert process.wait() == 1, str(process)
    harness.one_sentence(process.err.text)


# --- 10: fragments that go out -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1300, 127, 65535])
def test_server_64_kib_in_fragments(server, cut):
    """10.1.1."""
    payload = ws_suite.text_of(65536)
    frames = tuple(ws_suite.fragments(TEXT, payload, cut))
    on_server(server, Case("10", frames, (("text", payload),)))


# --- over TLS ----------------------------------------------------------------------------------------------------

OVER_TLS = [
    "1 text of 0", "1 text of 65536", "2 ping with 125", "3 text with RSV 1", "4 opcode 3", "5 text in two, by octets",
    "5 a ping in the middle, frame by frame", "6 cut inside code points", "7 Close", "7 code 1004", "7 Close without a code",
]  # fmt: skip


def tls_client(url):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(ws_suite.dial(url), server_hostname="localhost")


@pytest.mark.parametrize("name", OVER_TLS)
def test_server_over_tls(pool, engine, name):
    (case,) = [case for case in PLAIN if case.name == name]
    url = pool(engine, "wss://127.0.0.1:0", "--quiet").url
    with contextlib.closing(tls_client(url)) as sock:
        wire = ws_suite.dial_ws(url, sock=sock)
        ws_suite.check(case, ws_suite.run_case(case, Echo(wire)))


@pytest.mark.parametrize("size", [100, 16384, 200000])
def test_server_packed_over_tls(pool, engine, size):
    url = pool(engine, "wss://127.0.0.1:0", "--quiet").url
    with contextlib.closing(tls_client(url)) as sock:
        wire = ws_suite.dial_ws(url, sock=sock, offer=OFFER)
        for n in range(5):
            wire.say(ws_cases.content("text", size, n))
            wire.expect("text", ws_cases.content("text", size, n))
        wire.close()


# --- the suite itself, against python3-websockets ----------------------------------------------------------------


class PythonSide:
    """An echo server, and echo clients, of python3-websockets, on a thread."""

    def __init__(self, websockets):
        self._websockets = websockets
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers = {}

    def do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    @staticmethod
    async def _echo(connection, *_):
        async for message in connection:
            await connection.send(message)

    def server(self, compression):
        if compression not in self._servers:

            async def begin():
                return await self._websockets.serve(self._echo, "127.0.0.1", 0, **self._settings(compression))

            made = self.do(begin()).result(harness.DEADLINE)
            self._servers[compression] = f"ws://127.0.0.1:{made.sockets[0].getsockname()[1]}"
        return self._servers[compression]

    @staticmethod
    def _settings(compression):
        return {"compression": compression, "max_size": ws_cases.LIMIT, "ping_interval": None, "close_timeout": 2}

    def client(self, port, compression):
        async def run():
            async with self._websockets.connect(f"ws://127.0.0.1:{port}/", **self._settings(compression)) as connection:
                await self._echo(connection)

        return self.do(run())

    def finish(self):
        async def end():
            mine = asyncio.current_task()
            others = [task for task in asyncio.all_tasks() if task is not mine]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.do(end()).result(harness.DEADLINE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(harness.DEADLINE)


@pytest.fixture(scope="module")
def python_side():
    websockets = pytest.importorskip("websockets")
    side = PythonSide(websockets)
    yield side
    side.finish()


# Where python3-websockets (10.4) does otherwise, and in what.
DIFFERS = {
    "7 256 KiB, Close, ping": "once it has seen Close it may not send what was to be sent before",
    "7 100 messages, then Close": "once it has seen Close it may not send what was to be sent before",
    "12 BFINAL, and on": "behind a final block it takes everything for empty",
}
# These are not run: it reads a control frame's payload before it looks at its length, and so waits for ever.
WAITS = (", its head alone",)
SAMPLE = [case for case in PLAIN if not case.name.endswith(WAITS)]


def on_python(side, case, as_client, listen, offer=None):
    compression = "deflate" if offer else None
    try:
        if as_client:
            sock = listen()
            running = side.client(sock.getsockname()[1], compression)
            connection, _ = harness.accept(sock)
            with connection:
                wire = ws_suite.greet_client(connection, answer=offer)
                ws_suite.check(case, ws_suite.run_case(case, Echo(wire)), lenient=True)
            running.exception(harness.DEADLINE)
        else:
            on_server(side.server(compression), case, lenient=True, **({"offer": offer} if offer else {}))
    except AssertionError:
        if case.name not in DIFFERS:
            raise


@named(SAMPLE)
def test_suite_itself(python_side, listen, case):
    on_python(python_side, case, False, listen)


@named(SAMPLE[::3])
def test_suite_itself_as_server(python_side, listen, case):
    on_python(python_side, case, True, listen)


@pytest.mark.parametrize("part", range(len(groups(UTF8))))
def test_suite_itself_utf8(python_side, listen, part):
    for index, case in enumerate(groups(UTF8)[part]):
        on_python(python_side, case, index % 8 == 0, listen)


@named([*PACKED, *BOMBS])
def test_suite_itself_packed(python_side, listen, case):
    on_python(python_side, case, False, listen, OFFER)


@named([*PACKED, *BOMBS][::3])
def test_suite_itself_packed_as_server(python_side, listen, case):
    on_python(python_side, case, True, listen, OFFER)


@pytest.mark.parametrize("what", list(ws_cases.OFFERS)[::2])
def test_suite_itself_offers(python_side, what):
    offer, promised = ws_cases.OFFERS[what]
    url = python_side.server("deflate")
    with contextlib.closing(ws_suite.dial(url)) as sock:
        wire = ws_suite.dial_ws(url, sock=sock, offer=offer)
        check_terms(wire, offer, promised)
        talk_packed(wire, kinds=("text",))
        wire.close()


@pytest.mark.parametrize("what", ws_cases.DECLINED)
def test_suite_itself_declined(python_side, what):
    url = python_side.server("deflate")
    with contextlib.closing(ws_suite.dial(url)) as sock:
        wire = ws_suite.dial_ws(url, sock=sock, offer=ws_cases.DECLINED[what])
        assert not wire.extensions
        wire.close()


@pytest.mark.heavy
@pytest.mark.parametrize("what", [*[name for name in CLIENT_LIMITS if "writes" not in name][::5], *BEYOND])
def test_suite_itself_limits(python_side, listen, what):
    on_python(python_side, (CLIENT_LIMITS | BEYOND)[what](), False, listen)
