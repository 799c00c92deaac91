# SPDX-License-Identifier: MIT
"""sonde trace, when nobody means well: files that lie, outputs that take nothing, too much of everything."""

import ctypes
import json
import os
import socket
import struct

import pytest

import harness
from captures import netns, pcap

CLIENT, SERVER = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
FIRST_NS, LAST_NS = 0, (1 << 64) - 1
FORMS = {
    "ladder": [],
    "list": ["--list"],
    "json": ["--json"],
    "summary": ["--summary", "--json"],
    "layers": ["--layers"],
}
EVIL = "\x1b]0;evil\x07\x1b[31m\u202e\u0085"
OBEYED = set("\x1b\x07\u202e\u0085")


# --- files -----------------------------------------------------------------------------------------------------------


def segment(source, destination, ports, flags, *, seq=0, ack=0, data=b""):
    header = struct.pack("!HHIIBBHHH", *ports, seq, ack, 5 << 4, flags, 65535, 0, 0)
    total = 20 + len(header) + len(data)
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, total, 0, 0, 64, 6, 0, source, destination) + header + data


def handshake(port=1000):
    return [
        segment(CLIENT, SERVER, (port, 80), pcap.SYN, seq=9),
        segment(SERVER, CLIENT, (80, port), pcap.SYN | pcap.ACK, seq=99, ack=10),
        segment(CLIENT, SERVER, (port, 80), pcap.ACK, seq=10, ack=100),
    ]


def block(kind, body):
    body += bytes(-len(body) % 4)
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def stamped(path, stamps, *, resolution=9, offset_s=0):
    """A pcapng file of a handshake whose packets have these stamps, whatever they mean."""
    options = struct.pack("<HHB3x", 9, 1, resolution) + struct.pack("<HHq", 14, 8, offset_s) + bytes(4)
    data = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += block(1, struct.pack("<HHI", pcap.RAW, 0, 0) + options)
    for stamp, packet in zip(stamps, handshake()):
        head = struct.pack("<IIIII", 0, stamp >> 32, stamp & 0xFFFFFFFF, len(packet), len(packet))
        data += block(6, head + packet + bytes(-len(packet) % 4))
    path.write_bytes(data)
    return path


def written(path, packets, step_ns=1000):
    return pcap.write(path, [pcap.Record(i * step_ns, packet) for i, packet in enumerate(packets)], pcap.RAW)


@pytest.fixture
def conversation(tmp_path):
    return written(tmp_path / "conversation.pcap", handshake())


STAMPS = {
    "first and last": ([FIRST_NS, LAST_NS, LAST_NS - 1], {}),
    "last and first": ([LAST_NS, FIRST_NS, 1], {}),
    "far below": ([LAST_NS, FIRST_NS, 5], {"offset_s": -(1 << 63)}),
    "far above": ([FIRST_NS, 5, LAST_NS], {"offset_s": (1 << 63) - 1}),
    "before 1970": ([0, 10**9, 2 * 10**9], {"offset_s": -3 * 10**9}),
    "whole seconds": ([0, 1 << 63, 5], {"resolution": 0}),
    "finer than can be": ([LAST_NS, 0, 1], {"resolution": 0xFF}),
    "all nothing": ([0, 0, 0], {}),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stamps", STAMPS)
def test_stamps_at_the_ends_of_time(command, tmp_path, stamps, form):
    """Whatever the stamps say, times never run backwards, and no pause is longer than can be."""
    values, options = STAMPS[stamps]
    path = stamped(tmp_path / "stamps.pcapng", values, **options)
    result = command.run("trace", "-r", path, *FORMS[form], "--svg", tmp_path / "picture.svg")
    assert result.status == 0, result.process
    if form == "json":
        times = [json.loads(line)["t_ns"] for line in result.out.splitlines()]
        assert times == sorted(times) and times[0] > 0 and times[-1] - times[0] < 1 << 60
    if form == "summary":
        (row,) = map(json.loads, result.out.splitlines())
        assert 0 <= row["duration_ns"] < 1 << 60 and row["opened"] == "handshake"


def test_a_year_in_one_step_is_a_clock(command, tmp_path):
    """A clock that was set from 1970 to today is said, and is no pause of half a century."""
    stamps = [10**9, 10**9 + 1000, 1_700_000_000 * 10**9]
    result = command.run("trace", "-r", stamped(tmp_path / "set.pcapng", stamps), "--summary", "--json")
    assert result.status == 0 and json.loads(result.out)["duration_ns"] == 1000
    assert "set forward 1 time" in result.err


# --- events ----------------------------------------------------------------------------------------------------------


def event(kind, **members):
    return {"event": kind, "source": "wire", "t_ns": 1000, "conn": 1, **members}


EVENTS = {
    "sentence": event("sentence", mark="!", name="stall", sentence=f"Look: {EVIL}"),
    "icmp": event("icmp", version=4, type=3, code=3, to="a", sender="127.0.0.1:0", words=EVIL),
    "loss": event("loss", what=EVIL, n=5, why="room"),
    "two lines": event("sentence", mark="=", name="summary", sentence="one\ntwo"),
}


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("form", [[], ["--list"], ["--svg", "-"]])
def test_events_do_not_drive_the_terminal(command, tmp_path, kind, form):
    """Words that are drawn as they are have to be plain; the line is named."""
    path = tmp_path / "events.jsonl"
    path.write_text(
        json.dumps(event("state", end="a", before="CLOSED", after="SYN_SENT")) + "\n" + json.dumps(EVENTS[kind])
    )
    result = command.run("trace", "-r", path, *form)
    assert result.status == 1 and "line 2" in result.err
    assert not set(result.out.decode() + result.err) & OBEYED


def test_a_line_without_end(command, tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps(EVENTS["loss"] | {"what": "packets"}) + '\n{"event":"' + "x" * (3 << 20))
    result = command.run("trace", "-r", path)
    assert result.status == 1 and "line 2 is longer than" in result.err


# --- outputs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--svg", "--write"])
def test_a_file_that_takes_nothing_is_named(command, conversation, option):
    """It is the output's fault, not the input's, and never success."""
    result = command.run("trace", "-r", conversation, option, "/dev/full")
    assert result.status == 1
    assert "/dev/full cannot be written: no space left on device" in result.err
    assert "cannot be read" not in result.err


def test_write_to_standard_output(command, conversation):
    """Nothing but the capture, which can be read again."""
    result = command.run("trace", "-r", conversation, "--write", "-")
    assert result.status == 0 and result.out.startswith(b"\x0a\x0d\x0d\x0a")
    again = command.run("trace", "-r", "-", "--summary", "--json", input=result.out)
    assert again.status == 0 and json.loads(again.out)["opened"] == "handshake"


def test_two_outputs_into_one(command, conversation, tmp_path):
    for path in ("-", tmp_path / "one"):
        assert command.run("trace", "-r", conversation, "--svg", path, "--write", path).status == 2
    assert not (tmp_path / "one").exists()


def test_the_record_outlives_the_ladder(command, place):
    """Nobody can see the ladder any more: what is recorded goes on."""
    record = place / "events.jsonl"
    server = command.serve(
        "echo", "--trace", "--trace-json", record, prefix=["/bin/sh", "-c", 'exec "$0" "$@" 2>/dev/full']
    )

    def n_closed():
        return sum('"close"' in line and '"event":"call"' in line for line in record.read_text().splitlines())

    for n in range(1, 4):
        with server.connect() as client:
            harness.round_trip(client, b"hello")
        harness.wait_until(lambda: n_closed() >= n, f"{n} connections are recorded")
    assert server.terminate() == 0


# --- too much --------------------------------------------------------------------------------------------------------


def test_many_connections(command, tmp_path):
    """With --all every one is drawn; without, it is said how many are not."""
    n = harness.scaled(5000, 500)
    path = written(
        tmp_path / "syns.pcap",
        [segment(struct.pack("!I", 0x0A000000 + i), SERVER, (1000, 80), pcap.SYN, seq=i) for i in range(n)],
    )
    result = command.run("trace", "-r", path, "--all", "--ascii")
    assert result.status == 0 and result.err == ""
    assert sum(line.startswith(b"tcp 10.") for line in result.out.splitlines()) == n
    result = command.run("trace", "-r", path)
    assert f"the first 8 of {n} connections are drawn" in result.err


def test_little_memory(command, sanitized, tmp_path):
    """What could not be followed for want of memory is counted and said; the rest is shown."""
    if sanitized:
        pytest.skip("a sanitizer needs address space without end")
    n = 100_000
    path = written(
        tmp_path / "syns.pcap",
        [segment(struct.pack("!I", 0x0A000000 + i), SERVER, (1000, 80), pcap.SYN, seq=i) for i in range(n)],
    )
    prefix = ["prlimit", f"--as={80 << 20}"]
    result = command.run("trace", "-r", path, "--summary", prefix=prefix)
    assert result.status == 0, result.process
    rows = len(result.out.splitlines()) - 1
    assert 0 < rows < n
    assert "for want of memory" in result.err


# --- live ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def namespace():
    if netns.permitted():
        pytest.skip(netns.permitted())
    made = netns.Namespace()
    yield made
    made.close()


def live(command, namespace, *arguments):
    with namespace.entered():
        process = command.start([command.binary, "trace", "-i", "lo", *map(str, arguments)])

    def watching():
        with namespace.socket(kind=socket.SOCK_DGRAM) as probe:
            probe.sendto(b"ready?", ("127.0.0.1", 9))
        return process.out.data or not process.running

    harness.wait_until(watching, "it captures")
    return process


@pytest.mark.parametrize("form", [[], ["--list"]])
def test_errors_in_a_flood(command, namespace, form):
    """Each datagram is refused with an ICMP error, faster than rows are drawn: the words of each are still there."""
    n = harness.scaled(3000, 300)
    process = live(command, namespace, *form, "--width", 120)
    with namespace.socket(kind=socket.SOCK_DGRAM) as sock:
        for _ in range(n):
            sock.sendto(b"\x1b[31m", ("127.0.0.1", 9))
    process.out.wait_for(lambda data: data.count(b"port unreachable") >= n // 2, "the errors")
    process.signal(15)
    assert process.wait() == 0
    assert b"\x1b" not in process.out.data
    process.out.data.decode()  # all of it is text


def test_program_names_do_not_drive_the_terminal(command, namespace, tmp_path):
    """A program may call itself anything."""
    before = own_name()
    capture = tmp_path / "named.pcapng"
    process = live(command, namespace, "--write", capture, "--width", 160)
    ctypes.CDLL(None).prctl(15, b"\x1b[31m\xe2\x80\xae\xff\n", 0, 0, 0)  # PR_SET_NAME
    try:
        with namespace.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            with namespace.socket() as client:
                client.connect(listener.getsockname())
                server, _ = listener.accept()
                with server:
                    process.out.wait_for(lambda data: b"ESTABLISHED" in data, "the handshake")
    finally:
        ctypes.CDLL(None).prctl(15, before, 0, 0, 0)
    process.signal(15)
    assert process.wait() == 0
    text = process.out.data.decode()
    assert not set(text) & OBEYED
    shown = command.run("trace", "-r", capture, "--json")
    assert shown.status == 0 and b"\x1b" not in shown.out
    comments = capture.read_bytes()
    assert b"\\x1b[31m" in comments, "the program is named"
    assert b"\x1b[31m" not in comments and "\u202e".encode() not in comments


def own_name():
    with open(f"/proc/{os.getpid()}/comm", "rb") as file:
        return file.read().rstrip(b"\n")
