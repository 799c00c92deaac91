# SPDX-License-Identifier: MIT
"""--frame: serve and connect against codecs written once more, in Python with struct."""

import random
import re
import signal
import socket
import struct
import threading

import pytest

import harness
from harness import one_sentence, receive_all, receive_exactly, scaled, wait_taken

MIB = 1 << 20


# --- the codecs, once more ---------------------------------------------------------------------------------------


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def slip(message):
    return message.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def cobs(message):
    out = bytearray()
    blocks = message.split(b"\0")
    for index, block in enumerate(blocks):
        while len(block) >= 254:
            out += b"\xff" + block[:254]
            block = block[254:]
            if not block and index == len(blocks) - 1:
                return bytes(out + b"\0")
        out += bytes([len(block) + 1]) + block
    return bytes(out + b"\0")


def device(message):
    """len:2,2,le,1: two bytes, how many bytes follow less one, and those."""
    return b"DV" + struct.pack("<H", len(message) - 1) + message


def packed(form):
    return lambda message: struct.pack(form, len(message)) + message


CODECS = {
    "line": lambda message: message + b"\n",
    "crlf": lambda message: message + b"\r\n",
    "nul": lambda message: message + b"\0",
    "delim:0d0a0d0a": lambda message: message + b"\r\n\r\n",
    "fixed:5": lambda message: message,
    "u8": packed("B"),
    "u16be": packed(">H"),
    "u16le": packed("<H"),
    "u32be": packed(">I"),
    "u32le": packed("<I"),
    "varint": lambda message: varint(len(message)) + message,
    "netstring": lambda message: b"%d:%s," % (len(message), message),
    "slip": slip,
    "cobs": cobs,
    "len:2,2,le,1": device,
}
CAN_BE_EMPTY = [name for name in CODECS if name not in ("slip", "fixed:5", "len:2,2,le,1")]
each_codec = pytest.mark.parametrize("codec", CODECS)


def messages_for(codec, seed=1, n=40):
    """Such that the codec can carry them, with every byte it may carry."""
    chance = random.Random(seed)
    forbidden = {"line": b"\n", "crlf": b"\r\n", "nul": b"\0", "delim:0d0a0d0a": b"\r\n\r\n"}.get(codec, b"")
    alphabet = [byte for byte in range(256) if byte not in forbidden]
    made = [b"", b"a", b"hello", bytes(alphabet[:200]), b"\r" if b"\r" not in forbidden else b"r"]
    made += [bytes(chance.choices(alphabet, k=chance.choice([1, 3, 20, 250]))) for _ in range(n)]
    if codec == "fixed:5":
        made = [(message + b"-----")[:5] for message in made]
    return made if codec in CAN_BE_EMPTY else [message for message in made if message]


def said_by(server):
    """The one sentence that it has said."""
    server.err.wait_match(r"^.+\n")
    return one_sentence(server.err.text)


# --- serve -------------------------------------------------------------------------------------------------------


@each_codec
def test_echo_by_message(sonde, codec):
    """In pieces of any size."""
    wire = b"".join(map(CODECS[codec], messages_for(codec)))
    server = sonde.serve("echo", "--frame", codec)
    for most in (1, 7, 1 << 16):
        with server.connect() as sock:
            harness.exchange(sock, wire, seed=most, most=most)
    assert server.wait_closed().reason == "end of data"


@each_codec
def test_cut_at_every_boundary(sonde, codec):
    wire = b"".join(map(CODECS[codec], messages_for(codec, n=0)))[:60]
    whole = b""
    for message in messages_for(codec, n=0):
        framed = CODECS[codec](message)
        if len(whole) + len(framed) > len(wire):
            break
        whole += framed
    assert whole
    server = sonde.serve("echo", "--frame", codec)
    with server.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in range(1, len(whole)):
            sock.sendall(whole[:cut])
            wait_taken(sock)
            sock.sendall(whole[cut:])
            assert receive_exactly(sock, len(whole)) == whole, f"cut at {cut}"


def test_none_echoes_what_comes(sonde):
    server = sonde.serve("echo", "--frame", "none")
    with server.connect() as sock:
        harness.exchange(sock, bytes(range(256)) * 1000, seed=1)


def test_what_comes_back_is_encoded_anew(sonde):
    """A varint that is longer than it has to be comes back as short as it can be; ENDs between messages do not."""
    server = sonde.serve("echo", "--frame", "varint")
    with server.connect() as sock:
        harness.exchange(sock, b"\x83\x80\x00abc", expect=b"\x03abc")
    server = sonde.serve("echo", "--frame", "slip")
    with server.connect() as sock:
        harness.exchange(sock, b"\xc0\xc0abc\xc0\xc0", expect=b"abc\xc0")


@pytest.mark.parametrize("codec", ["line", "delim:0d0a0d0a", "u32be", "varint", "netstring", "slip", "cobs"])
def test_a_mebibyte(sonde, codec):
    """The longest that is allowed, twice, and then one byte more."""
    message = random.Random(7).randbytes(MIB).replace(b"\n", b"\0")
    wire = CODECS[codec](message) + CODECS[codec](b"short") + CODECS[codec](message)
    server = sonde.serve("echo", "--frame", codec)
    with server.connect() as sock:
        harness.exchange(sock, wire, seed=1)
    with server.connect() as sock:
        sock.sendall(CODECS[codec](b"first"))
        assert receive_exactly(sock, len(CODECS[codec](b"first"))) == CODECS[codec](b"first")
        thread = threading.Thread(target=send_as_it_goes, args=(sock, CODECS[codec](message + b"!")))
        thread.start()
        assert receive_to_the_end(sock) == b""
        thread.join()
    server.err.wait_match(r"closed: at byte \d+ of what it sent, a message of \S+ has 1048577 bytes or more")


def send_as_it_goes(sock, data):
    try:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def receive_to_the_end(sock):
    """Everything until the end or a reset."""
    data = b""
    try:
        while chunk := sock.recv(1 << 16):
            data += chunk
    except ConnectionResetError:
        pass
    return data


@pytest.mark.heavy
@pytest.mark.parametrize("codec", ["u32be", "slip"])
def test_a_slow_reader_is_waited_for(sonde, codec):
    """It costs what the queue and one message cost, and gets all in the end."""
    wire = CODECS[codec](bytes(range(256)) * 256) * scaled(400, 40)
    server = sonde.serve("echo", "--frame", codec)
    before = harness.rss_bytes(server.pid)
    with server.connect(rcvbuf=8192, sndbuf=8192) as sock:
        thread = threading.Thread(target=send_as_it_goes, args=(sock, wire))
        thread.start()
        harness.wait_until(lambda: harness.unread(sock) > 0, "the answer begins")
        with harness.Observation(0.3):
            pass
        if not sonde.sanitized:
            assert harness.rss_bytes(server.pid) - before < 8 * MIB
        assert receive_all(sock) == wire
        thread.join()
    assert server.wait_closed().reason == "end of data"


WRONG = [  # the codec, what is right before, what is wrong, at which byte, why
    ("netstring", b"5:hello,", b"05:hello,", 9, "begins with a zero"),
    ("netstring", b"5:hello,", b"5:hello;", 15, "no comma"),
    ("netstring", b"", b"GET / HTTP/1.1\r\n\r\n", 0, "not digits"),
    ("slip", b"hello\xc0", b"a\xdbb\xc0", 8, "neither DC nor DD"),
    ("cobs", b"\x06hello\0", b"\x05ab\0", 10, "a zero stands within"),
    ("varint", b"\x05hello", b"\xff" * 10, 15, "more than 64 bits"),
    ("len:2,2,le,-5", b"DV\x06\x00!", b"DV\x00\x00", 7, "less than what has come"),
]


@pytest.mark.parametrize("codec, right, wrong, at_byte, why", WRONG)
def test_malformed(sonde, codec, right, wrong, at_byte, why):
    """What came before is answered, the connection is closed, and said is what is wrong; nobody else notices."""
    server = sonde.serve("echo", "--frame", codec)
    with server.connect() as other:
        with server.connect() as sock:
            sock.sendall(right + wrong + b"and more of it")
            assert receive_to_the_end(sock) == right
        row = server.wait_closed()
        assert row.reason == "bad message"
        other.sendall(right)
        assert receive_exactly(other, len(right)) == right
    said = said_by(server)
    assert f"closed: byte {at_byte} of what it sent is wrong for {codec}: " in said and why in said


def test_malformed_as_json(sonde):
    server = sonde.serve("discard", "--frame", "netstring", "--json")
    with server.connect() as sock:
        sock.sendall(b"1:a,x")
        assert receive_to_the_end(sock) == b""
    closed = server.wait_event("closed")
    assert (closed["reason"], closed["error"], closed["at_byte"]) == ("bad_message", "EBADMSG", 4)
    assert [event["bytes"] for event in server.events("message")] == [1]
    assert not server.events("data")


@pytest.mark.parametrize(
    "codec, wire, at_byte",
    [
        ("u32be", b"\0\0\0\x01a\xff\xff\xff\xff", 5),
        ("u32le", b"\x65\0\0\0", 0),
        ("varint", b"\xff\xff\xff\xff\x0f", 0),
        ("netstring", b"4294967296:", 0),
        ("line", b"ok\n" + b"x" * 101, 103),
        ("slip", b"x" * 101, 100),
        ("len:0,4,be,0", b"\xff\xff\xff\xff", 0),
    ],
)
def test_too_long_is_refused_at_once(sonde, codec, wire, at_byte):
    """By the length alone: nothing of the message has come yet."""
    server = sonde.serve("discard", "--frame", codec, "--frame-max", "100", "--json")
    with server.connect() as sock:
        sock.sendall(wire)
        assert receive_to_the_end(sock) == b""
    closed = server.wait_event("closed")
    assert (closed["reason"], closed["error"], closed["at_byte"]) == ("bad_message", "EMSGSIZE", at_byte)
    assert "--frame-max allows 100." in said_by(server)


def test_a_flood_without_an_end_costs_the_maximum(sonde):
    server = sonde.serve("echo", "--frame", "line")
    before = harness.rss_bytes(server.pid)
    with server.connect() as sock:
        thread = threading.Thread(target=send_as_it_goes, args=(sock, b"x" * (32 * MIB)))
        thread.start()
        assert receive_to_the_end(sock) == b""
        thread.join()
    assert server.wait_closed().reason == "bad message"
    if not sonde.sanitized:
        assert harness.rss_bytes(server.pid) - before < 8 * MIB


@pytest.mark.parametrize("codec", [name for name in CODECS if name != "fixed:5"])
def test_garbage(sonde, codec):
    """Whatever comes: an answer or an end, and the server goes on."""
    server = sonde.serve("echo", "--frame", codec, "--frame-max", "64k")
    chance = random.Random(codec)
    for _ in range(20):
        with server.connect() as sock:
            data = chance.randbytes(chance.choice([1, 10, 1000, 100000]))
            thread = threading.Thread(target=send_as_it_goes, args=(sock, data))
            thread.start()
            receive_to_the_end(sock)
            thread.join()
    good = CODECS[codec](b"hello")
    with server.connect() as sock:
        sock.sendall(good)
        assert receive_exactly(sock, len(good)) == good


@pytest.mark.parametrize(
    "codec, wire, answer, n_left", [
        ("line", b"one\ntwo", b"one\n", 3),
        ("u16be", b"\0\x01a\0", b"\0\x01a", 1),
        ("u16be", b"\0\x05abc", b"", 5),
        ("netstring", b"3:abc", b"", 5),
        ("slip", b"a\xc0\xdb", b"a\xc0", 1),
        ("cobs", b"\x03ab", b"", 3),
        ("fixed:5", b"hello!", b"hello", 1),
    ],
)
def test_the_end_in_the_middle(sonde, codec, wire, answer, n_left):
    server = sonde.serve("echo", "--frame", codec)
    with server.connect() as sock:
        sock.sendall(wire)
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == answer
    assert server.wait_closed().reason == "bad message"
    said = said_by(server)
    assert f"ended in the middle of a message of {codec}, at byte {len(wire)}: {n_left} {'byte' if n_left == 1 else 'bytes'} of it had come." in said


def test_records_are_messages(sonde):
    """One for each, with its length, however they came."""
    big = b"x\n" * 70000
    wire = b"".join(map(CODECS["netstring"], [b"a\nb", b"", b"\x1b[2J", big]))
    server = sonde.serve("discard", "--frame", "netstring", "--print", "text")
    with server.connect() as sock:
        for byte in wire[:10]:
            sock.sendall(bytes([byte]))
        sock.sendall(wire[10:])
    server.wait_closed()
    peer = r"1 127\.0\.0\.1:\d+ > "
    records = re.findall(rf"^{peer}(\d+) bytes: (.*)$", server.out.text, re.M)
    assert records == [("3", r"a\nb"), ("0", ""), ("4", r"\x1b[2J"), ("140000", r"x\n" * 70000)]


def test_records_in_hex_and_json(sonde):
    wire = b"".join(map(CODECS["u8"], [b"hello", b"", bytes(range(40))]))
    server = sonde.serve("discard", "--frame", "u8", "--print", "hex")
    with server.connect() as sock:
        sock.sendall(wire)
    server.wait_closed()
    heads = re.findall(r"^1 \S+ > (\d+) bytes\n((?:[0-9a-f]{8}  .*\n)*)", server.out.text, re.M)
    assert [(int(n), harness.hex_dump(dump)) for n, dump in heads] == [
        (5, b"hello"), (0, b""), (40, bytes(range(40)))
    ]
    server = sonde.serve("discard", "--frame", "u8", "--json", "--print", "text")
    with server.connect() as sock:
        sock.sendall(wire + b"\x03\xff\xfe\xfd")
    server.wait_event("closed")
    rows = server.events("message")
    assert [row["message"] for row in rows] == [1, 2, 3, 4]
    assert [row["bytes"] for row in rows] == [5, 0, 40, 3]
    assert rows[0]["text"] == "hello" and rows[1]["text"] == "" and "base64" in rows[3]


def test_a_large_record_is_one_event(sonde):
    server = sonde.serve("discard", "--frame", "u32be", "--json", "--print", "text")
    with server.connect() as sock:
        sock.sendall(CODECS["u32be"](b"\x01" * MIB))
    server.wait_event("closed")
    (row,) = server.events("message")
    assert row["bytes"] == MIB and row["text"] == "\x01" * MIB


def test_threads_and_many_clients(sonde):
    server = sonde.serve("echo", "--frame", "cobs", "--threads", "2")
    wire = b"".join(map(cobs, messages_for("cobs")))
    socks = [server.connect() for _ in range(20)]
    for sock in socks:
        sock.sendall(wire)
    for sock in socks:
        assert receive_exactly(sock, len(wire)) == wire
        sock.close()


def test_stopping_in_the_middle_of_a_message_is_no_fault_of_the_peer(sonde):
    server = sonde.serve("echo", "--frame", "u32be")
    with server.connect() as sock:
        sock.sendall(b"\0\0\0\x01x\0\0")
        assert receive_exactly(sock, 5) == b"\0\0\0\x01x"
        server.signal(signal.SIGTERM)
        assert receive_all(sock) == b""
    assert server.wait_closed().reason == "stopped"
    assert "in the middle" not in server.err.text


def test_sigterm_in_the_middle_of_messages(sonde):
    server = sonde.serve("echo", "--frame", "line", "--drain", "0.1")
    with server.connect() as sock:
        sock.sendall(b"one\ntw")
        assert receive_exactly(sock, 4) == b"one\n"
        assert server.terminate() == 0


def test_with_direct(sonde):
    if sonde.engine != "uring":
        pytest.skip("--direct is for io_uring")
    server = sonde.serve("echo", "--frame", "u16le", "--direct")
    wire = b"".join(map(CODECS["u16le"], messages_for("u16le")))
    with server.connect() as sock:
        harness.exchange(sock, wire, seed=3, most=100)


@pytest.mark.parametrize("service", ["chargen", "daytime", "time", ("greet", "hello"), "hold", "talk"])
def test_services_that_know_no_messages(command, service):
    service = [service] if isinstance(service, str) else service
    result = command.run("serve", *service, "--frame", "line")
    assert result.status == 2 and f"{service[0]} has no use for messages" in one_sentence(result.err)


@pytest.mark.parametrize("verb, operands", [("serve", ["echo"]), ("connect", ["127.0.0.1:9"])])
@pytest.mark.parametrize(
    "options, said",
    [
        (["--frame", "lines"], "--frame lines is not understood: the codecs are none, line, "),
        (["--frame", "fixed:0"], "fixed:N takes the number of bytes"),
        (["--frame", "delim:"], "a delimiter is 1 to 16 bytes"),
        (["--frame", "len:0,5,be,0"], "width 1, 2, 3, 4 or 8"),
        (["--frame", "u8:1"], "takes nothing behind its name"),
        (["--frame", "\x1b[2J"], r"--frame \x1b[2J is not understood"),
        (["--frame-max", "10"], "--frame-max is the longest message of --frame"),
        (["--frame", "fixed:100", "--frame-max", "99"], "no message as short as --frame-max wants them: 99 bytes"),
    ],
)
def test_misuse(command, verb, operands, options, said):
    result = command.run(verb, *operands, *options)
    assert result.status == 2
    assert said in one_sentence(result.err)


# --- connect -----------------------------------------------------------------------------------------------------

LINES = [b"one", b"", b"two words", b"\xff\xfe\x01", b"x" * 200]


def lines_for(codec):
    if codec == "fixed:5":
        return [b"hello", b"world"]
    if codec == "len:2,2,le,1":
        return [device(b"abc"), device(b"x")]
    return LINES if codec in CAN_BE_EMPTY else [line for line in LINES if line]


def wire_of(codec, lines):
    return b"".join(lines if codec == "len:2,2,le,1" else map(CODECS[codec], lines))


@each_codec
def test_lines_become_messages(sonde, peer, codec):
    """And the answer's messages become lines: here the same ones, sent back byte by byte."""
    lines, got = lines_for(codec), []

    def script(connection, _):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got.append(receive_all(connection))
        for index in range(len(got[0])):
            connection.sendall(got[0][index : index + 1])

    server = peer(script)
    result = sonde.connect("--frame", codec, server.url, input=b"\n".join(lines))
    server.join()
    assert got == [wire_of(codec, lines)]
    assert (result.status, result.err) == (0, "")
    assert result.out == b"".join(line + b"\n" for line in lines)


@each_codec
def test_against_our_own_echo(sonde, codec):
    server = sonde.serve("echo", "--frame", codec)
    lines = lines_for(codec)
    result = sonde.connect("--frame", codec, server.url, input=b"".join(line + b"\n" for line in lines))
    assert (result.status, result.out) == (0, b"".join(line + b"\n" for line in lines))


def test_a_last_line_without_its_end(sonde, echo_peer):
    assert sonde.connect("--frame", "u8", echo_peer.url, input=b"a\nb").out == b"a\nb\n"
    assert sonde.connect("--frame", "u8", echo_peer.url, input=b"a\nb\n").out == b"a\nb\n"
    assert sonde.connect("--frame", "u8", echo_peer.url, input=b"a\n\n").out == b"a\n\n"
    assert sonde.connect("--frame", "u8", echo_peer.url, input=b"").out == b""


def test_each_send_is_a_message(sonde, peer, tmp_path):
    file, got = tmp_path / "message", []
    file.write_bytes(b"in a\nfile\n")

    def script(connection, _):
        got.append(receive_all(connection))

    server = peer(script)
    result = sonde.connect(
        "--frame", "u16be", "--send", "a\\nb", "--send", "hex:00ff", "--send", "", "--send", f"@{file}",
        "--repeat", "2", server.url,
    )
    server.join()
    assert result.status == 0
    assert got == [b"".join(map(CODECS["u16be"], [b"a\nb", b"\0\xff", b"", b"in a\nfile\n"])) * 2]


def test_a_file_that_does_not_know_its_size(sonde, peer):
    got = []
    server = peer(lambda connection, _: got.append(receive_all(connection)))
    result = sonde.connect("--frame", "u16be", "--send", "@/proc/sys/kernel/ostype", server.url)
    server.join()
    assert result.status == 0 and got == [CODECS["u16be"](b"Linux\n")]


@pytest.mark.parametrize(
    "codec, what, why",
    [
        ("line", "a\\nb", "it holds what ends a message"),
        ("slip", "", "it is empty"),
        ("fixed:5", "abc", "it does not have as many bytes"),
        ("u8", "x" * 256, "longer than the length before it can say"),
        ("len:0,1,be,0", "\\x05abc", "its length field does not say"),
    ],
)
def test_a_send_that_cannot_be_carried(command, codec, what, why):
    result = command.connect("--frame", codec, "--send", "", "--send", what, "127.0.0.1:9") if codec == "u8" else (
        command.connect("--frame", codec, "--send", what, "127.0.0.1:9"))
    assert result.status == 2
    assert re.match(r"--send \d cannot be a message of ", one_sentence(result.err)) and why in result.err


def test_a_send_from_a_pipe_is_refused(command):
    result = command.connect("--frame", "u8", "--send", "@-", "127.0.0.1:9", input=b"x")
    assert result.status == 2 and "each line of standard input is one" in one_sentence(result.err)


def test_a_line_that_cannot_be_carried_is_left_out(sonde, echo_peer):
    result = sonde.connect("--frame", "nul", echo_peer.url, input=b"one\nt\0wo\nthree\n")
    assert (result.status, result.out) == (1, b"one\nthree\n")
    assert one_sentence(result.err).startswith("line 2 of standard input cannot be a message of nul, and is not sent")


def test_a_line_that_is_too_long_ends_the_input(sonde, echo_peer):
    result = sonde.connect("--frame", "line", "--frame-max", "10", echo_peer.url, input=b"0123456789\n01234567890\nx\n")
    assert (result.status, result.out) == (1, b"0123456789\n")
    assert one_sentence(result.err).startswith("line 2 of standard input cannot be a message, and nothing behind it")


def test_events_are_messages(sonde, echo_peer):
    result = sonde.connect("--frame", "netstring", "--json", echo_peer.url, input=b"one\n\n\xff\n")
    rows = [row for row in harness.strict_json_lines(result.out) if row["event"] == "message"]
    for direction in ("out", "in"):
        mine = [row for row in rows if row["direction"] == direction]
        assert [(row["message"], row["bytes"]) for row in mine] == [(1, 3), (2, 0), (3, 1)]
        assert mine[0]["text"] == "one" and mine[2]["base64"] == "/w=="
    assert result.status == 0 and len(rows) == 6


def test_dumps_are_messages(sonde, echo_peer):
    result = sonde.connect("--frame", "netstring", "--hex", echo_peer.url, input=b"one\n\n" + b"y" * 40 + b"\n")
    for sign in "<>":
        dumps = re.findall(rf"^{sign} (\d+) bytes\n((?:{sign} [0-9a-f]{{8}}  .*\n)*)", result.out.decode(), re.M)
        assert [(int(n), harness.hex_dump(text, f"{sign} ")) for n, text in dumps] == [
            (3, b"one"), (0, b""), (40, b"y" * 40)
        ]


def test_newlines_inside_are_as_they_are_in_a_pipe(sonde, peer):
    server = peer(lambda connection, _: connection.sendall(b"7:one\ntwo,3:end,"))
    assert sonde.connect("--frame", "netstring", "--eof", "ignore", server.url).out == b"one\ntwo\nend\n"


def test_output_file(sonde, echo_peer, tmp_path):
    file = tmp_path / "out"
    result = sonde.connect("--frame", "u8", "--output", file, echo_peer.url, input=b"one\ntwo\n")
    assert (result.status, result.out, file.read_bytes()) == (0, b"", b"one\ntwo\n")


def test_on_a_terminal_a_message_is_one_line(sonde, peer):
    """Whatever it holds."""
    server = peer(lambda connection, _: connection.sendall(CODECS["u8"](b"a\nb\t\x1b[31mred\x07\xff") + b"\x02ok"))
    terminal = sonde.on_terminal("connect", "--frame", "u8", "--no-edit", server.url)
    status, text = terminal.wait()
    assert status == 0
    assert b"a\\nb\\t\\x1b[31mred\\x07\\xff\r\nok\r\n" in text


def test_once_is_one_message(sonde, peer):
    server = peer(lambda connection, _: (connection.sendall(b"3:one,3:two,"), connection.recv(1)))
    result = sonde.connect("--frame", "netstring", "--once", server.url, stdin=None)
    assert (result.status, result.out) == (0, b"one\n")


def test_expect_sees_messages(sonde, peer):
    server = peer(lambda connection, _: (connection.sendall(b"\x03one\x03two\x03end"), connection.recv(1)))
    result = sonde.connect("--frame", "u8", "--expect", "^two$", "--json", server.url, stdin=None)
    rows = harness.strict_json_lines(result.out)
    assert result.status == 0
    assert [(row["offset"], row["length"]) for row in rows if row["event"] == "matched"] == [(4, 3)]
    result = sonde.connect("--frame", "u8", "--expect", "\x03", server.url, stdin=None, deadline=None)
    assert result.status == 1


@pytest.mark.parametrize("codec, wire, lines, n_left", [
    ("line", b"one\ntwo", b"one\n", 3),
    ("u32be", b"\0\0\0\x01a\0\0", b"a\n", 2),
    ("netstring", b"3:abc", b"", 5),
    ("slip", b"abc", b"", 3),
])
def test_the_peer_ends_in_the_middle(sonde, peer, codec, wire, lines, n_left):
    server = peer(lambda connection, _: connection.sendall(wire))
    result = sonde.connect("--frame", codec, server.url)
    assert (result.status, result.out) == (1, lines)
    said = one_sentence(result.err)
    assert f"ended in the middle of a message of {codec}: {n_left} {'byte' if n_left == 1 else 'bytes'} of it had come." in said
    result = sonde.connect("--frame", codec, "--json", server.url)
    closed = harness.strict_json_lines(result.out)[-1]
    assert (closed["reason"], closed["partial"], result.status) == ("end", n_left, 1)


@pytest.mark.parametrize("codec, right, wrong, at_byte, why", WRONG)
def test_the_peer_sends_what_is_wrong(sonde, peer, codec, right, wrong, at_byte, why):
    server = peer(lambda connection, _: (connection.sendall(right + wrong + b"more"), receive_to_the_end(connection)))
    result = sonde.connect("--frame", codec, "--json", server.url, stdin=None)
    rows = harness.strict_json_lines(result.out)
    assert result.status == 1
    assert (rows[-1]["reason"], rows[-1]["error"], rows[-1]["at_byte"]) == ("bad_message", "EBADMSG", at_byte)
    assert len([row for row in rows if row["event"] == "message"]) == (1 if right else 0)
    said = one_sentence(result.err)
    assert f"sent what is wrong for {codec}, at byte {at_byte} of what came: " in said and why in said


def test_the_peer_sends_too_much(sonde, peer):
    server = peer(lambda connection, _: (connection.sendall(b"\xff\xff\xff\xff"), receive_to_the_end(connection)))
    result = sonde.connect("--frame", "u32le", server.url, stdin=None)
    assert result.status == 1
    said = one_sentence(result.err)
    assert "has 4294967295 bytes or more, at byte 0 of what came: --frame-max allows 1048576." in said


@pytest.mark.parametrize("codec", ["line", "u32be", "slip", "cobs", "netstring"])
def test_a_mebibyte_there_and_back(sonde, codec):
    """Several of them, longer than any piece and any queue."""
    line = bytes(random.Random(3).choices([b for b in range(256) if b != 10], k=MIB)) + b"\n"
    server = sonde.serve("echo", "--frame", codec)
    result = sonde.connect("--frame", codec, server.url, input=line * 3)
    assert result.status == 0, result.err
    assert result.out == line * 3


def test_many_short_lines(sonde, echo_peer):
    """More of them than the queue holds, as messages sixteen times as long."""
    lines = b"\n" * scaled(400000, 40000)
    result = sonde.connect("--frame", "delim:000102030405060708090a0b0c0d0e0f", echo_peer.url, input=lines)
    assert result.status == 0, result.err
    assert result.out == lines


def test_each_line_new(sonde, peer):
    got = []

    def script(connection, _):
        data = receive_all(connection)
        got.append(data)
        connection.sendall(data)

    server = peer(script)
    result = sonde.connect("--frame", "u8", "--each-line", "new", server.url, input=b"one\ntwo")
    assert (result.status, result.out, got) == (0, b"one\ntwo\n", [b"\x03one", b"\x03two"])


def test_listening(sonde):
    process = sonde.start_connect("-v", "-l", "-k", "--frame", "u8", "127.0.0.1", "0")
    url = process.err.wait_match(r"^listening (\S+)$").group(1)
    with harness.dial(url) as sock:
        sock.sendall(b"\x03on")
        process.feed(b"hello\nwor")
        assert receive_exactly(sock, 6) == b"\x05hello"
        sock.sendall(b"e\x02two"[:1])
        process.out.wait_match(r"^one$")
        harness.reset(sock)
    with harness.dial(url) as sock:
        # What is read before the first has gone would be for that one.
        process.err.wait_for(lambda said: said.count(b"connected") == 2, "the second connection")
        process.feed(b"ld\n")
        assert receive_exactly(sock, 6) == b"\x05world"
        sock.sendall(b"\x01!")
        process.out.wait_match(r"^!$")


def test_nc_and_socat_speak_lines(sonde, tool):
    server = sonde.serve("echo", "--frame", "line", "--print", "text")
    port = str(server.port)
    for argv in ([tool("nc.openbsd"), "-N", "127.0.0.1", port], [tool("socat"), "-t10", "-", f"TCP:127.0.0.1:{port}"],
                 [tool("ncat"), "127.0.0.1", port]):
        client = sonde.start(argv)
        client.feed(b"one\ntwo\n")
        client.out.wait_match(r"^two$")
        client.end_input()
        client.wait()
        assert client.out.data == b"one\ntwo\n"
    server.out.wait_for(lambda data: len(re.findall(rb"> 3 bytes: two$", data, re.M)) == 3, "each has said it")


def test_connect_to_nc(sonde, tool):
    port = harness.free_port()
    listening = sonde.start([tool("nc.openbsd"), "-l", "-N", "127.0.0.1", str(port)])
    client = sonde.start_connect("--retry", "--frame", "crlf", f"127.0.0.1:{port}")
    client.feed(b"to nc\n")
    listening.out.wait_match(r"^to nc\r?$")
    listening.feed(b"from nc\r\n")
    client.out.wait_match(r"^from nc$")
    listening.end_input()
    assert client.wait() == 0
    client.end_input()
    assert listening.out.data == b"to nc\r\n" and client.out.data == b"from nc\n"


@pytest.mark.parametrize(
    "options, said",
    [
        (["-C"], "--frame crlf ends each message with CR LF"),
        (["-z"], "-z sends and receives nothing"),
        (["--verify-echo"], "--verify-echo compares bytes"),
    ],
)
def test_what_does_not_go_together(command, options, said):
    result = command.connect("--frame", "u8", *options, "127.0.0.1:9")
    assert result.status == 2 and said in one_sentence(result.err)
