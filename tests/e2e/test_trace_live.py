# SPDX-License-Identifier: MIT
"""Tracing what happens now: `sonde trace -i`, `serve --trace`, `connect --trace`, with rights and without.

Each test has a network namespace of its own: nobody else's packets are on its loopback interface.
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess

import pytest

import harness
from captures import netns, pcap
from captures.seen import Events, ladder_states, ladders, strict_lines
from captures.scenarios import HOSTILE, PORT

SETCAP = re.compile(r"sudo setcap cap_net_raw\+ep (\S*/sonde-capture)")


@pytest.fixture
def namespace():
    if netns.permitted():
        pytest.skip(netns.permitted())
    made = netns.Namespace()
    yield made
    made.close()


def packet_sockets(namespace):
    """Inodes of the packet sockets that are there and receive."""
    with namespace.entered():
        lines = pathlib.Path("/proc/thread-self/net/packet").read_text(encoding="ascii").splitlines()[1:]
    return {line.split()[8] for line in lines if line.split()[5] == "1"}


def captures(process, namespace):
    """Whether the process holds a packet socket."""
    inodes = packet_sockets(namespace)
    try:
        links = [os.readlink(entry) for entry in pathlib.Path(f"/proc/{process.pid}/fd").iterdir()]
    except OSError:
        return False
    return any(link == f"socket:[{inode}]" for link in links for inode in inodes)


def trace(command, namespace, *arguments, **keywords):
    """`sonde trace`, capturing."""
    with namespace.entered():
        process = command.start(
            [*keywords.pop("prefix", ()), command.binary, "trace", *map(str, arguments)], **keywords
        )
    harness.wait_until(lambda: captures(process, namespace) or not process.running, "it captures")
    return process


def fins(process, n=2):
    """Until so many FINs have been told as JSON."""
    process.out.wait_for(lambda data: data.count(b'"flags":"F') >= n, f"{n} FINs")


def serve(command, namespace, *options, url=f"tcp://127.0.0.1:{PORT}", **keywords):
    with namespace.entered():
        return command.serve("echo", *options, url=url, **keywords)


def talk(namespace, data=b"hello", port=PORT):
    """A client: says it, reads the echo, closes its direction, and waits for the other's end. Returns its port."""
    with namespace.socket() as sock:
        sock.connect(("127.0.0.1", port))
        harness.round_trip(sock, data)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
        return sock.getsockname()[1]


# --- sonde trace -----------------------------------------------------------------------------------------------------


def test_live_ladder(command, namespace, tool):
    """nc talks to `serve echo`: handshake, message and close, each once though loopback shows each packet twice."""
    serve(command, namespace)
    process = trace(command, namespace, "-i", "lo", "--width", "120", "--color", "never", "port", PORT)
    with namespace.entered():
        client = command.start([tool("nc.openbsd"), "-N", "127.0.0.1", str(PORT)])
    client.feed(b"hello")
    client.out.wait_for(lambda data: data == b"hello", "the echo")
    client.end_input()
    assert client.wait() == 0
    process.out.wait_match("LAST_ACK|TIME_WAIT")
    process.out.wait_for(lambda data: b"\n= " in data or data.count(b"F.") >= 2, "the close")
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    ((head, rows, said),) = ladders(process.out.text)
    text = "\n".join(rows)
    assert f"127.0.0.1:{PORT}" in head
    assert len(re.findall(r"─ S seq 0", text)) == 1 and len(re.findall(r"S\. seq 0 ack 1", text)) == 1
    assert text.count('"hello"') == 2, text  # to the server, and back
    left, right = ladder_states(rows)
    assert left[:4] == ["CLOSED", "SYN_SENT", "ESTABLISHED", "FIN_WAIT_1"]
    assert right[:3] == ["LISTEN", "SYN_RECV", "ESTABLISHED"]
    assert any(line.startswith("=") for line in said)
    assert re.search(r"\d+ packets", process.err.text)
    harness.assert_printable(process.out.data)


def test_live_json(command, namespace):
    """Events come as they happen, not at the end."""
    serve(command, namespace)
    process = trace(command, namespace, "-i", "lo", "--json", "port", PORT)
    port = talk(namespace)
    fins(process)
    assert process.running
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    events = Events(strict_lines(process.out.data))
    segments = events.segments
    assert [row["flags"] for row in segments[:3]] == ["S", "S.", "."]
    assert segments[0]["src"] == f"127.0.0.1:{port}" and segments[0]["dst"] == f"127.0.0.1:{PORT}"
    assert sum(row["flags"] == "S" for row in segments) == 1
    assert not events.notes() & {"retransmission", "seen-twice", "duplicate-ack", "checksum-bad", "out-of-order"}


def test_count_and_duration(command, namespace):
    serve(command, namespace)
    process = trace(command, namespace, "--json", "--count", 3, "port", PORT)  # lo is the default
    talk(namespace)
    assert process.wait() == 0
    assert len(Events(strict_lines(process.out.data)).segments) == 3
    process = trace(command, namespace, "--json", "--duration", "0.2", "port", PORT)
    assert process.wait() == 0
    assert Events(strict_lines(process.out.data)).segments == []


def test_the_filter_is_obeyed(command, namespace):
    serve(command, namespace)
    process = trace(command, namespace, "-i", "lo", "--json", "port", PORT + 1)
    talk(namespace)
    with namespace.socket() as sock:
        sock.connect_ex(("127.0.0.1", PORT + 1))
    process.out.wait_match('"refused"')
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    assert {row["dst"] for row in Events(strict_lines(process.out.data)).segments[:1]} == {f"127.0.0.1:{PORT + 1}"}
    assert str(PORT).encode() + b'"' not in process.out.data


def test_several_connections_are_tagged(command, namespace):
    """From the second connection on each row has a tag, and --conn shows one."""
    serve(command, namespace)
    process = trace(command, namespace, "-i", "lo", "--width", "120", "--color", "never", "port", PORT)
    for _ in range(3):
        talk(namespace)
    process.out.wait_for(lambda data: data.count(b"F.") >= 6, "three closes")
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    assert re.search(r"^ ?b ", process.out.text, re.M) and re.search(r"^ ?c ", process.out.text, re.M)


def test_any_interface(command, namespace):
    serve(command, namespace)
    process = trace(command, namespace, "-i", "any", "--json", "port", PORT)
    talk(namespace)
    fins(process)
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    flags = [row["flags"] for row in Events(strict_lines(process.out.data)).segments]
    assert flags.count("S") == 1 and flags.count("S.") == 1


def test_write_while_it_happens(command, namespace, tmp_path):
    serve(command, namespace)
    path = tmp_path / "live.pcapng"
    process = trace(command, namespace, "-i", "lo", "--json", "--write", path, "port", PORT)
    talk(namespace)
    fins(process)
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    again = command.run("trace", "-r", path, "--json")
    assert again.status == 0
    names = ("src", "flags", "seq_raw", "ack_raw", "len")
    live, read = (
        [{name: row.get(name) for name in names} for row in Events(strict_lines(data)).segments]
        for data in (process.out.data, again.out)
    )
    assert live == read


def test_no_such_interface(command, namespace):
    with namespace.entered():
        result = command.run("trace", "-i", "nosuch0")
    assert result.status == 1 and result.out == b""
    assert "nosuch0" in harness.one_sentence(result.err)


def test_a_hostile_peer(command, namespace):
    """What it sends is shown and not obeyed, live as from a file."""
    serve(command, namespace)
    process = trace(command, namespace, "-i", "lo", "--color", "never", "port", PORT)
    for data in HOSTILE:
        talk(namespace, data)
    process.out.wait_for(lambda data: data.count(b"F.") >= 2 * len(HOSTILE), "the closes")
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    harness.assert_printable(process.out.data)
    harness.assert_printable(process.err.data)


@pytest.mark.heavy
def test_nothing_is_lost_silently(command, namespace):
    """Much at once: every packet is seen, or how many were not is said."""
    serve(command, namespace)
    process = trace(command, namespace, "-i", "lo", "--json", "port", PORT)
    n_bytes = harness.scaled(20_000_000, least=1_000_000)
    with namespace.socket() as sock:
        sock.connect(("127.0.0.1", PORT))
        harness.exchange(sock, os.urandom(1 << 16) * (n_bytes >> 16))
    process.out.wait_for(
        lambda data: data.count(b'"flags":"F') >= 2 or b'"event":"loss"' in data, "both FINs, or what was lost"
    )
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    events = Events(strict_lines(process.out.data))
    lost = events.of("loss")
    said = re.search(r"([\d,]+) (?:packets? )?dropped", process.err.text)
    if not lost and not (said and said.group(1) != "0"):
        (conn,) = events.conns
        last = [row for row in events.of("segment", conn) if row["flags"].startswith("F")]
        assert {row["seq"] + row["len"] for row in last} == {(n_bytes >> 16 << 16) + 1}
        assert "not-captured" not in events.notes()


# --- without the right to capture -----------------------------------------------------------------------------------


def test_without_rights(command, namespace, nobody):
    """One sentence that has the very command that permits it, with the path of the helper that was found."""
    if not nobody.prefix:
        pytest.skip("this test needs root, to be nobody")
    with namespace.entered():
        process = command.start([*nobody.prefix, nobody.binary, "trace", "-i", "lo"], stdin=subprocess.DEVNULL)
    assert process.wait() == 1, process
    assert process.out.data == b""
    assert SETCAP.search(process.err.text), process
    assert process.err.text.startswith("sonde: ")


def test_the_command_that_is_said_works(command, namespace, nobody, place, tool):
    """After it, nobody captures; and the command itself still has no capabilities."""
    if not nobody.prefix:
        pytest.skip("this test needs root, to be nobody")
    tool("setcap")
    binary = place / "sonde"
    if not binary.exists():
        shutil.copy(command.binary, binary)
    helper = pathlib.Path(command.binary).parent / "sonde-capture"
    if not helper.exists():
        pytest.skip("no sonde-capture beside the command")
    shutil.copy(helper, place / "sonde-capture")
    with namespace.entered():
        process = command.start([*nobody.prefix, binary, "trace", "-i", "lo"], stdin=subprocess.DEVNULL)
        assert process.wait() == 1
        said = SETCAP.search(process.err.text)
        assert said and said.group(1) == str(place / "sonde-capture"), process
        done = command.start(["setcap", "cap_net_raw+ep", said.group(1)])
    if done.wait() != 0:
        pytest.skip(f"no file capabilities here: {done.err.text}")
    serve(command, namespace)
    with namespace.entered():
        process = command.start(
            [*nobody.prefix, binary, "trace", "-i", "lo", "--json", "port", str(PORT)], stdin=subprocess.DEVNULL
        )
    harness.wait_until(lambda: packet_sockets(namespace) or not process.running, "it captures")
    talk(namespace)
    fins(process)
    capabilities = re.search(r"^CapEff:\s*(\S+)", pathlib.Path(f"/proc/{process.pid}/status").read_text(), re.M).group(
        1
    )
    assert int(capabilities, 16) == 0
    process.signal(signal.SIGINT)
    assert process.wait() == 0


def test_the_helper_alone_does_nothing(command):
    """Started by hand it says what it is for; it is neither setuid nor has it anything to give."""
    helper = pathlib.Path(command.binary).parent / "sonde-capture"
    if not helper.exists():
        pytest.skip("no sonde-capture beside the command")
    assert not helper.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)
    process = command.start([helper])
    assert process.wait() not in (0, None)
    assert process.err.text.strip() and process.out.data == b""


# --- serve --trace, connect --trace ---------------------------------------------------------------------------------


def test_serve_trace(command, namespace, tool, tmp_path):
    """The picture for a newcomer: calls of the server, segments, states; each once."""
    recorded = tmp_path / "events.jsonl"
    server = serve(command, namespace, "--trace", "--trace-json", recorded)
    harness.wait_until(lambda: captures(server, namespace), "it captures")
    with namespace.entered():
        client = command.start([tool("nc.openbsd"), "-N", "127.0.0.1", str(PORT)])
    client.feed(b"hello")
    client.out.wait_for(lambda data: data == b"hello", "the echo")
    client.end_input()
    assert client.wait() == 0
    server.err.wait_match("LAST_ACK|TIME_WAIT")
    server.err.wait_for(lambda data: data.count(b"F.") >= 2, "the close")
    assert server.terminate() == 0
    harness.assert_printable(server.err.data)
    ((_, rows, said),) = ladders(server.err.text)
    text = "\n".join(rows)
    for label in ("S seq 0", "S. seq 0 ack 1", "P. 1:6(5)", '"hello"', "accept", "recv", "send", "close"):
        assert label in text, f"no {label}:\n{text}"
    assert len(re.findall("S seq 0", text)) == 1
    assert said
    events = Events(strict_lines(recorded.read_bytes()))
    assert {row["source"] for row in events} >= {"app", "wire"}
    times = [row["t_ns"] for row in events if not row.get("late")]
    assert times == sorted(times)
    received = next(row for row in events.of("call") if row["call"] == "recv" and row.get("result") == 5)
    arrived = next(row for row in events.segments if row["len"] == 5)
    assert arrived["t_ns"] <= received["t_ns"], "an effect before its cause"
    assert arrived["conn"] == received["conn"], "the call and the segment are not on one connection"
    replay = command.run("trace", "-r", recorded, "--width", "120", "--color", "never")
    assert replay.status == 0
    assert "P. 1:6(5)" in replay.out.decode() and "recv" in replay.out.decode()


def test_connect_trace(command, namespace):
    serve(command, namespace)
    with namespace.entered():
        result = command.connect("--trace", f"tcp://127.0.0.1:{PORT}", input=b"hello")
    assert result.status == 0 and result.out == b"hello"
    ((_, rows, _),) = ladders(result.err)
    text = "\n".join(rows)
    for label in ("S seq 0", "S. seq 0 ack 1", "P. 1:6(5)", '"hello"', "connect", "send", "recv"):
        assert label in text, f"no {label}:\n{text}"
    left, _ = ladder_states(rows)
    assert left[:4] == ["CLOSED", "SYN_SENT", "ESTABLISHED", "FIN_WAIT_1"], text


def test_connect_trace_refused(command, namespace):
    with namespace.entered():
        result = command.connect("--trace", f"tcp://127.0.0.1:{PORT}")
    assert result.status == 1
    assert "ECONNREFUSED" in result.err and re.search(r"^! .*[Rr]efused", result.err, re.M)


@pytest.mark.parametrize("verb", ["serve", "connect"])
def test_trace_without_rights(command, namespace, nobody, verb):
    """Calls and the kernel's values all the same, and one sentence how to see more."""
    if not nobody.prefix:
        pytest.skip("this test needs root, to be nobody")
    nobodys = type(command)(nobody.binary, None, command._started, command.sanitized)
    if verb == "serve":
        server = serve(nobodys, namespace, "--trace", prefix=nobody.prefix)
        talk(namespace)
        server.err.wait_match(r"close\(")
        assert server.terminate() == 0
        text = server.err.text
    else:
        serve(command, namespace)
        with namespace.entered():
            result = nobodys.connect("--trace", f"tcp://127.0.0.1:{PORT}", input=b"hello", prefix=nobody.prefix)
        assert result.status == 0 and result.out == b"hello"
        text = result.err
    for word in ("recv", "send", "ESTABLISHED"):
        assert word in text, text
    assert "S seq" not in text
    joined = re.sub(r"\n  (?=\S)", " ", text)
    assert len(SETCAP.findall(joined)) == 1, text
    assert re.search(r"^i .*setcap", joined, re.M), text


def test_unix_sockets_have_calls_only(command, place):
    path = place / "s"
    server = command.serve("echo", "--trace", url=f"unix:{path}")
    with server.connect() as sock:
        harness.round_trip(sock, b"hello")
    server.wait_closed()
    assert server.terminate() == 0
    assert "recv" in server.err.text and "send" in server.err.text and "seq" not in server.err.text
    harness.assert_printable(server.err.data)


def test_trace_leaves_standard_output_alone(command, namespace):
    """The data is what it would be without --trace."""
    serve(command, namespace)
    with namespace.entered():
        plain, traced = (
            command.connect(*option, f"tcp://127.0.0.1:{PORT}", input=b"x\n" * 500) for option in ((), ("--trace",))
        )
    assert plain.out == traced.out == b"x\n" * 500
    assert plain.status == traced.status == 0


def test_recorder_agrees(command, namespace, tmp_path):
    """Live and from tcpdump's file: the same segments."""
    serve(command, namespace)
    recorder = netns.Recorder(namespace, "lo", tmp_path / "tcpdump.pcap")
    process = trace(command, namespace, "-i", "lo", "--json", "port", PORT)
    talk(namespace)
    fins(process)
    recorder.stop()
    _, records = pcap.read(recorder.path)
    process.out.wait_for(lambda data: data.count(b'"segment"') >= len(records), "all that tcpdump has")
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    again = command.run("trace", "-r", recorder.path, "--json", "port", PORT)
    live, read = (
        [(row["src"], row["flags"], row["seq_raw"], row["len"]) for row in Events(strict_lines(data)).segments]
        for data in (process.out.data, again.out)
    )
    assert live == read
