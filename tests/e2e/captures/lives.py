# SPDX-License-Identifier: MIT
"""Scenarios: how connections open, end, wait and come again, with nothing lost."""

import contextlib
import socket
import threading

import harness
from captures.netns import Frame, Wire, sent_by
from captures.playing import (
    ACTIVE,
    BIND_PORT,
    OPENING,
    OPENING_B,
    PASSIVE_B,
    PORT,
    SCENARIOS,
    end_seen,
    first_end,
    joined,
    orderly,
    ready,
    say,
    scenario,
)

# --- opening -----------------------------------------------------------------------------------------------------


@scenario(
    client=ACTIVE, server=PASSIVE_B, trouble="", opened="handshake", ended="4 segments.*client|client.*4 segments"
)
def close4(wire):
    """Handshake, one message each way, a close in four segments."""
    with joined(wire) as (client, server):
        say(wire, client, server, b"hello")
        say(wire, server, client, b"hello yourself")
        orderly(wire, client, server)


@scenario(
    client=(*OPENING, "CLOSE_WAIT", "LAST_ACK", "CLOSED"),
    server=(*OPENING_B, "FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT"),
    trouble="",
    opened="handshake",
    ended="4 segments.*server|server.*4 segments",
)
def server_first(wire):
    with joined(wire) as (client, server):
        say(wire, client, server, b"hello")
        orderly(wire, server, client)


def fin_answered_by_fin(wire):
    """The server's program was there before its kernel had to acknowledge the client's FIN by itself."""
    fins = [at for at, frame in enumerate(wire.frames) if frame.fin]
    return not any(frame.end == "b" and frame.pure_ack for frame in wire.frames[fins[0] :])


@scenario(
    client=(*OPENING, "FIN_WAIT_1", "TIME_WAIT"),
    server=(*OPENING_B, "CLOSE_WAIT", "LAST_ACK", "CLOSED"),
    trouble="",
    opened="handshake",
    ended="3 segments.*client|client.*3 segments",
    played=fin_answered_by_fin,
)
def close3(wire):
    """The server's FIN carries the ACK of the client's: its kernel's own ACK is kept from both captures' wire by being
    asked for late. The server is waiting in recv() when the FIN comes."""
    with joined(wire) as (client, server):
        for n in range(6):  # request and response: acknowledgements are delayed from now on
            say(wire, client, server, b"request %d" % n)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
            say(wire, server, client, b"response %d" % n)

        def close_at_end():
            assert server.recv(1) == b""
            server.close()

        thread = threading.Thread(target=close_at_end)
        thread.start()
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        client.shutdown(socket.SHUT_WR)
        thread.join()
        end_seen(wire)


FINS_NS = 10_000_000  # FINs that cross are seen to do so within this, at either end


def fins_cross(wire):
    for end, records in wire.records.items():
        fins = [record.t_ns for record in records if Frame(end, record.data).fin]
        if fins[-1] - fins[0] > FINS_NS:
            return False
    return True


@scenario(
    client=(*OPENING, "FIN_WAIT_1", "CLOSING", "TIME_WAIT"),
    server=(*OPENING_B, "FIN_WAIT_1", "CLOSING", "TIME_WAIT"),
    notes=("simultaneous-close",),
    server_notes=("simultaneous-close",),
    trouble="",
    ended="simultaneous|both",
    played=fins_cross,
)
def simultaneous_close(wire):
    """Both FINs are on their way at once."""
    with joined(wire) as (client, server):
        say(wire, client, server, b"hello")
        rule = wire.hold(lambda frame: frame.fin)
        client.shutdown(socket.SHUT_WR)
        server.shutdown(socket.SHUT_WR)
        wire.wait_held(2)
        wire.release(rule)
        end_seen(wire)
        harness.wait_state(client, "TIME_WAIT", "CLOSE")


@scenario(
    client=("SYN_SENT", "SYN_RECV", "ESTABLISHED"),
    server=("SYN_SENT", "SYN_RECV", "ESTABLISHED"),
    notes=("simultaneous-open",),
    server_notes=("simultaneous-open",),
    trouble="",
    opened="simultaneous|both",
)
def simultaneous_open(wire):
    """Two clients that call each other: their SYNs cross."""
    with wire.a.socket() as one, wire.b.socket() as other:
        one.bind((Wire.A4, BIND_PORT))
        other.bind((Wire.B4, PORT))
        rule = wire.hold(lambda frame: frame.syn)
        for sock, address in ((one, (Wire.B4, PORT)), (other, (Wire.A4, BIND_PORT))):
            sock.setblocking(False)
            assert sock.connect_ex(address) == 115  # EINPROGRESS
        wire.wait_held(2)
        wire.release(rule)
        for sock in (one, other):
            harness.wait_state(sock, "ESTABLISHED")
        wire.arrived(lambda frame: frame.letters == "S.", 2)
        wire.arrived(lambda frame: frame.pure_ack, 2)
        wire.stop_recording()


@scenario(
    client=ACTIVE, server=PASSIVE_B, trouble="", opened="handshake", ended="4 segments.*client|client.*4 segments"
)
def half_close(wire):
    """The client has ended; the server still sends 20 kB, then ends too."""
    with joined(wire) as (client, server):
        say(wire, client, server, b"all of the request")
        first_end(wire, client)
        assert server.recv(1) == b""
        say(wire, server, client, bytes(range(250)) * 80)
        server.close()
        end_seen(wire)


@scenario(
    client=("SYN_SENT", "CLOSED"),
    notes=("refused",),
    server_notes=("refused",),
    trouble="[Rr]efused",
    server_trouble="[Rr]efused",
    opened="refused",
    ended="refused|reset|never",
)
def refused(wire):
    with wire.a.socket() as client:
        assert client.connect_ex((Wire.B4, PORT)) == 111
        wire.arrived(sent_by("b", "rst"))


@scenario(
    client=(*OPENING, "CLOSED"),
    server=(*OPENING_B, "CLOSED"),
    notes=("reset",),
    server_notes=("reset",),
    trouble="unread|not read|without reading|data had not been read",
    ended="reset",
)
def reset_unread(wire):
    """The server closes with the client's data unread."""
    with joined(wire) as (client, server):
        client.sendall(b"never read")
        harness.wait_until(lambda: harness.unread(server) == 10, "the data is in the server's queue")
        harness.wait_acknowledged(client)
        server.close()
        wire.arrived(sent_by("b", "rst"))


@scenario(
    client=(*OPENING, "CLOSED"),
    server=(*OPENING_B, "CLOSED"),
    notes=("reset",),
    trouble="[Rr]eset|abort",
    ended="reset",
)
def reset_abort(wire):
    """SO_LINGER 0, with nothing unread."""
    with joined(wire) as (client, server):
        say(wire, client, server, b"hello")
        harness.reset(client)
        wire.arrived(sent_by("a", "rst"))


@scenario(
    client=(*OPENING, "FIN_WAIT_1", "FIN_WAIT_2", "CLOSED"),
    server=(*OPENING_B, "CLOSE_WAIT", "CLOSED"),
    notes=("reset",),
    server_notes=("reset",),
    trouble="[Rr]eset|clos",
    ended="reset",
)
def reset_after_close(wire):
    """The client has closed both directions; the server sends all the same."""
    with joined(wire) as (client, server):
        say(wire, client, server, b"hello")
        client.close()
        wire.arrived(sent_by("b", lambda frame: frame.pure_ack), 1)
        assert server.recv(1) == b""
        harness.wait_until(
            lambda: any(row.state == "FIN_WAIT2" for row in wire.a.tcp_table()), "the FIN is acknowledged"
        )
        server.sendall(b"too late")
        wire.arrived(sent_by("a", "rst"))


@scenario(client=OPENING, notes=("syn-retry",), server_notes=("syn-retry",), trouble="SYN", server_trouble="SYN|queue")
def accept_full(wire):
    """Nobody accepts and the queue is full: SYNs are dropped without an answer until there is room."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(wire.b.listener(Wire.B4, PORT, backlog=1))
        for _ in range(2):
            stack.enter_context(wire.a.socket()).connect((Wire.B4, PORT))
        wire.arrived(sent_by("a", "pure_ack"), 2)
        late = stack.enter_context(wire.a.socket())
        late.setblocking(False)
        late.connect_ex((Wire.B4, PORT))
        wire.arrived(sent_by("a", "syn"), 4)
        stack.enter_context(listener.accept()[0])
        harness.wait_state(late, "ESTABLISHED")
        wire.arrived(sent_by("a", "pure_ack"), 3)
        wire.stop_recording()


SCENARIOS["accept_full"].n_connections = 3


@scenario(
    client=("SYN_SENT",),
    notes=("syn-retry",),
    server_notes=("syn-retry",),
    trouble="SYN|answer",
    opened="no answer|unanswered|never|not",
)
def no_answer(wire):
    """Everything is lost on the way to the server; the client gives up after its first retry."""
    wire.drop(lambda frame: frame.is_tcp and frame.end == "b")
    with wire.b.listener(Wire.B4, PORT), wire.a.socket() as client:
        client.setblocking(False)
        client.connect_ex((Wire.B4, PORT))
        wire.arrived(sent_by("a", "syn"), 2)


# --- windows, keep-alive, tuples -----------------------------------------------------------------------------------


@scenario(
    client=ACTIVE,
    server=PASSIVE_B,
    notes=("zero-window", "window-probe", "window-update"),
    server_notes=("zero-window", "window-probe", "window-update"),
    trouble="window 0|zero window|did not read",
    server_trouble="window 0|zero window|did not read",
)
def zero_window(wire):
    """The server does not read: its window closes, is probed twice, and opens when it reads."""
    with joined(wire, rcvbuf=4096) as (client, server):
        sent = harness.fill(client, limit=12000)
        wire.arrived(sent_by("b", lambda frame: frame.pure_ack and frame.window == 0), 1)
        n_before = len(wire.frames)
        probes = lambda frame: frame.end == "a" and frame in wire.frames[n_before:] and frame.pure_ack  # noqa: E731
        wire.arrived(probes, 2)
        harness.receive_exactly(server, sent)
        harness.wait_acknowledged(client)
        orderly(wire, client, server)


@scenario(
    client=ACTIVE,
    server=PASSIVE_B,
    notes=("keep-alive", "keep-alive-answer"),
    server_notes=("keep-alive", "keep-alive-answer"),
    trouble="",
)
def keep_alive(wire):
    with joined(wire) as (client, server):
        say(wire, client, server, b"hello")
        n_before = len(wire.frames)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        wire.wait(lambda: any(f.end == "b" and f.delivered for f in wire.frames[n_before:]), "a keep-alive is answered")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
        orderly(wire, client, server)


def reuse(wire, client_closes):
    with wire.b.listener(Wire.B4, PORT) as listener:
        for number in range(3):
            with ready(wire.a.socket()) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                client.bind((Wire.A4, BIND_PORT))
                client.connect((Wire.B4, PORT))
                with ready(listener.accept()[0]) as server:
                    say(wire, client, server, b"number %d" % number)
                    if client_closes:
                        harness.reset(client)
                        wire.arrived(sent_by("a", "rst"), number + 1)
                    else:
                        first_end(wire, server)
                        assert client.recv(1) == b""
                        client.close()
                        end_seen(wire, 2 * (number + 1))


@scenario(n_connections=3, notes=("tuple-reused",), server_notes=("tuple-reused",))
def port_reuse(wire):
    """The same four-tuple three times, each closed in order (the server holds TIME_WAIT)."""
    reuse(wire, False)


@scenario(n_connections=3, notes=("tuple-reused",), server_notes=("tuple-reused",))
def port_reuse_reset(wire):
    """The same four-tuple three times, each ended by a reset."""
    reuse(wire, True)


@scenario(client=ACTIVE, server=PASSIVE_B, trouble="")
def ipv6(wire):
    with wire.b.listener(Wire.B6, PORT) as listener, ready(wire.a.socket(socket.AF_INET6)) as client:
        client.connect((Wire.B6, PORT))
        with ready(listener.accept()[0]) as server:
            say(wire, client, server, b"hello")
            orderly(wire, client, server)


@scenario(client=ACTIVE, server=PASSIVE_B, trouble="")
def many_bytes(wire):
    """200 kB one way, 50 kB back, in segments of at most MSS; windows grow."""
    with joined(wire) as (client, server):
        answer = []
        thread = threading.Thread(target=lambda: answer.append(harness.receive_exactly(server, 200_000)))
        thread.start()
        client.sendall(b"forward!" * 25_000)
        thread.join()
        thread = threading.Thread(target=lambda: answer.append(harness.receive_exactly(client, 50_000)))
        thread.start()
        server.sendall(b"back" * 12_500)
        thread.join()
        orderly(wire, client, server)


HOSTILE = (
    b'\x1b[31mred\x1b[0m \x1b]0;owned\x07\x1b[2J\x05\x1bP$q"p\x1b\\ \x9b31m \xc2\x9b31m \x00 \x08\x08\r\n',
    "user\u202etxt.exe \u2066x\u2069 a\u2028b\u0085c ]]> <script>&amp;\"' --> \\\n".encode(),
    bytes(range(256)),
    b"\xff\xfe\xf8\x88\x80 \xed\xa0\x80 \xf4\x90\x80\x80 %s%n \\u0000 NaN\n",
    b'</svg><svg onload=alert(1)> {"a": NaN}\x00\x01\x7f\n',
)


@scenario(client=ACTIVE, server=PASSIVE_B, trouble="")
def hostile(wire):
    """Payload that terminals, XML and JSON would obey."""
    with joined(wire) as (client, server):
        for data in HOSTILE:
            say(wire, client, server, data)
            say(wire, server, client, data)
        orderly(wire, client, server)
