# SPDX-License-Identifier: MIT
"""The services beside echo: discard, chargen, daytime, time, greet, hold."""

import datetime
import re
import signal
import socket
import subprocess
import time

import pytest

import harness
from harness import receive_all, text_address, wait_until


def test_discard_takes_everything_and_says_nothing(sonde):
    server = sonde.serve("discard")
    with server.connect() as sock:
        sock.sendall(bytes(1 << 20))
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b""
    row = server.wait_closed()
    assert (row.reason, row.bytes_in, row.bytes_out, row.unsent) == ("end of data", 1 << 20, 0, 0)


def test_discard_can_print(sonde):
    server = sonde.serve("discard", "--print", "text")
    with server.connect() as sock:
        sock.sendall(b"hello\x1b\n")
        server.out.wait_match(rf"^1 {re.escape(text_address(sock.getsockname()))} > hello\\x1b\\n$")


def test_chargen_sends_the_rotating_pattern(sonde):
    """RFC 864: lines of 72 printable characters, each beginning one character later on the ring of 95."""
    server = sonde.serve("chargen")
    ring = bytes(range(0x20, 0x7F))
    with server.connect() as sock:
        text = harness.receive_exactly(sock, 74 * 95 * 3)
        lines = [text[start : start + 74] for start in range(0, len(text), 74)]
        begin = ring.index(lines[0][:1])
        for number, line in enumerate(lines):
            shift = (begin + number) % len(ring)
            assert line == (ring[shift:] + ring)[:72] + b"\r\n", f"line {number}"
    assert server.wait_closed().bytes_out >= len(text)


def test_chargen_ignores_what_it_gets(sonde):
    server = sonde.serve("chargen")
    with server.connect() as sock:
        before = harness.receive_exactly(sock, 74 * 95)
        sock.sendall(b"stop that, please\r\n" * 1000)
        after = harness.receive_exactly(sock, 74 * 95)
        assert sorted(before) == sorted(after)
        harness.wait_acknowledged(sock)


def test_chargen_waits_for_a_reader(sonde):
    """A client that does not read costs a bounded amount, and the pattern goes on where it stopped."""
    server = sonde.serve("chargen", "--json")
    with harness.dial(server.url, rcvbuf=16384) as sock:
        first = harness.receive_exactly(sock, 74)
        with harness.Observation(0.5):
            pass
        server.signal(signal.SIGUSR1)
        row = server.wait_event("connection")
        assert row["queued"] <= 1 << 20
        rest = harness.receive_exactly(sock, 74 * 20000)
    ring = bytes(range(0x20, 0x7F))
    begin = ring.index(first[:1])
    for number in range(20000):
        shift = (begin + number + 1) % len(ring)
        assert rest[74 * number : 74 * number + 72] == (ring[shift:] + ring)[:72], f"line {number}"


def test_daytime_is_one_readable_line(sonde):
    server = sonde.serve("daytime")
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    with server.connect() as sock:
        line = receive_all(sock)
    after = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    assert re.fullmatch(rb"[\x20-\x7e]+\r\n", line)
    assert str(before.year).encode() in line or str(after.year).encode() in line
    assert re.search(rb"\d\d:\d\d:\d\d", line)
    row = server.wait_closed()
    assert (row.reason, row.bytes_in, row.bytes_out) == ("served", 0, len(line))


def test_time_is_seconds_since_1900(sonde):
    server = sonde.serve("time")
    before = int(time.time())
    with server.connect() as sock:
        answer = receive_all(sock)
    after = int(time.time())
    assert len(answer) == 4
    assert before <= int.from_bytes(answer, "big") - 2208988800 <= after
    assert server.wait_closed().reason == "served"


@pytest.mark.parametrize(
    "text, bytes_",
    [
        ("hello", b"hello"),
        ("hello world, 你好", "hello world, 你好".encode()),
        (r"line\r\n\ttab \\ \x41\xff\x00end", b"line\r\n\ttab \\ A\xff\x00end"),
    ],
)
def test_greet_sends_exactly_the_text(sonde, text, bytes_):
    server = sonde.serve(("greet", text))
    for _ in range(2):
        with server.connect() as sock:
            assert receive_all(sock) == bytes_
    row = server.wait_closed()
    assert (row.reason, row.bytes_in, row.bytes_out, row.unsent) == ("served", 0, len(bytes_), 0)


def test_greet_a_file(sonde, tmp_path):
    content = bytes(range(256)) * 4096  # a mebibyte, escapes and all left alone
    (tmp_path / "text").write_bytes(content)
    server = sonde.serve("greet", "--file", tmp_path / "text")
    with server.connect() as sock:
        harness.exchange(sock, b"", expect=content)


def test_greet_other_clients(sonde, tool):
    server = sonde.serve(("greet", r"welcome\n"))
    for argv in (
        [tool("nc.openbsd"), "127.0.0.1", str(server.port)],
        [tool("ncat"), "127.0.0.1", str(server.port)],
        [tool("socat"), "-u", f"TCP:127.0.0.1:{server.port}", "-"],
    ):
        process = sonde.start(argv, stdin=subprocess.DEVNULL)
        assert process.wait() == 0, process
        assert process.out.data == b"welcome\n"


def test_greet_ends_with_fin_though_the_client_has_spoken(sonde):
    """Unread data would turn the close into a reset, and the reset could cost the client the greeting."""
    server = sonde.serve(("greet", "goodbye"))
    with server.connect() as sock:
        sock.sendall(bytes(1 << 16))
        harness.wait_state(sock, "CLOSE_WAIT")  # its FIN is here
        for _ in range(20):
            sock.sendall(bytes(1000))  # and it takes what comes after
            harness.wait_acknowledged(sock)
        assert harness.tcp_state(sock) == "CLOSE_WAIT", "reset"
        assert receive_all(sock) == b"goodbye"
        sock.shutdown(socket.SHUT_WR)
        row = server.wait_closed(text_address(sock.getsockname()))
    assert (row.reason, row.bytes_out) == ("served", 7)


def test_greet_serves_many(sonde):
    server = sonde.serve(("greet", "hi"))
    socks = [server.connect() for _ in range(50)]
    assert {receive_all(sock) for sock in socks} == {b"hi"}
    for sock in socks:
        sock.close()
    server.out.wait_for(lambda _: len(server.closed()) == 50, "fifty closed lines")
    assert {row.reason for row in server.closed()} == {"served"}


# --- hold: the server that never accepts -------------------------------------------------------------------------


def test_hold_completes_the_handshake_and_never_accepts(sonde, tool):
    server = sonde.serve("hold", "--backlog", 16)
    server.out.wait_match(rf"^queue 0 of 16 {re.escape(server.url)}$")
    socks = []
    for number in range(1, 4):
        socks.append(server.connect())  # connect succeeds though nobody accepts
        server.out.wait_match(rf"^queue {number} of 16 {re.escape(server.url)}$")
    for sock in socks:
        assert harness.tcp_state(sock) == "ESTABLISHED"
        sock.sendall(b"hello")
        harness.wait_acknowledged(sock)  # the kernel takes data in the server's name
        assert harness.nothing_to_read(sock)
        theirs = harness.connection_row(sock.getpeername(), sock.getsockname())
        assert theirs.state == "ESTABLISHED" and theirs.rx_queue == 5
        assert theirs.inode == 0, "somebody owns an unaccepted connection"
    assert harness.accept_queue(server.port) == 3
    out = sonde.start([tool("ss"), "-Htan", f"sport = :{server.port}"])
    assert out.wait() == 0
    rows = [line.split() for line in out.out.lines]
    assert [row[1:3] for row in rows if row[0] == "LISTEN"] == [["3", "16"]]
    for sock in socks:
        assert [row[:2] for row in rows if row[4] == text_address(sock.getsockname())] == [["ESTAB", "5"]]
    assert not harness.OPENED.search(server.out.text)
    for sock in socks:
        sock.close()


def test_hold_tells_when_the_queue_is_full(sonde):
    server = sonde.serve("hold", "--backlog", 1)
    socks = [server.connect(), server.connect()]
    server.out.wait_match(rf"^queue 2 of 1 {re.escape(server.url)} full$")
    third = socket.socket()
    third.setblocking(False)
    third.connect_ex(("127.0.0.1", server.port))
    with harness.Observation(0.3):
        pass
    assert harness.tcp_state(third) == "SYN_SENT", "there was room"
    assert "queue 3" not in server.out.text
    for sock in (*socks, third):
        sock.close()


def test_hold_with_json(sonde):
    server = sonde.serve("hold", "--json", "--backlog", 7)
    first = server.wait_event("queue")
    assert (first["url"], first["length"], first["limit"]) == (server.url, 0, 7)
    with server.connect():
        row = server.wait_event("queue", lambda event: event["length"] == 1)
        assert (row["url"], row["limit"]) == (server.url, 7)


def test_hold_several_urls(sonde):
    server = sonde.serve("hold", url=["tcp://127.0.0.1:0", "tcp://127.0.0.1:0"])
    for url in server.urls:
        server.out.wait_match(rf"^queue 0 of \d+ {re.escape(url)}$")
    with harness.dial(server.urls[1]):
        server.out.wait_match(rf"^queue 1 of \d+ {re.escape(server.urls[1])}$")
    assert not re.search(rf"queue 1 .*{re.escape(server.urls[0])}", server.out.text)


def test_hold_sleeps(sonde):
    server = sonde.serve("hold")
    socks = [server.connect() for _ in range(3)]
    server.out.wait_match(r"^queue 3 of ")
    before = harness.cpu_seconds(server.pid)
    n_lines = len(server.out.lines)
    with harness.Observation(1.5) as watch:
        pass
    assert harness.cpu_seconds(server.pid) - before < watch.elapsed / 10, "it burns a core"
    assert len(server.out.lines) == n_lines, "a line without a change"
    for sock in socks:
        sock.close()


def test_hold_ends_on_a_signal(sonde):
    server = sonde.serve("hold")
    with server.connect() as sock:
        server.out.wait_match(r"^queue 1 of ")
        assert server.terminate() == 0
        with pytest.raises(ConnectionResetError):  # the kernel resets what nobody accepted
            sock.recv(1)


def test_an_idle_server_sleeps(sonde):
    server = sonde.serve("echo")
    with server.connect() as sock:
        harness.round_trip(sock, b"hello")
        before = harness.cpu_seconds(server.pid)
        with harness.Observation(1.5) as watch:
            pass
        assert harness.cpu_seconds(server.pid) - before < watch.elapsed / 10
        harness.round_trip(sock, b"hello")


def test_a_client_gone_before_daytime_is_no_trouble(sonde):
    server = sonde.serve("daytime")
    for _ in range(20):
        harness.reset(server.connect())
    with server.connect() as sock:
        assert receive_all(sock).endswith(b"\r\n")
    wait_until(lambda: server.running and len(server.closed()) == 21, "each connection has its closed line")
