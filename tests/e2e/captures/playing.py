# SPDX-License-Identifier: MIT
"""What scenarios are made of: their registry, what is known of each beforehand, the steps they have in common."""

import contextlib
import dataclasses
import socket

import harness
from captures import pcap
from captures.netns import Wire

PORT = 7007
BIND_PORT = 40488
PLAYED_MOST = 5

OPENING = ("SYN_SENT", "ESTABLISHED")
OPENING_B = ("SYN_RECV", "ESTABLISHED")
ACTIVE = (*OPENING, "FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT")
PASSIVE_B = (*OPENING_B, "CLOSE_WAIT", "LAST_ACK", "CLOSED")


@dataclasses.dataclass
class Scenario:
    make: object
    client: tuple = None  # the states its end goes through, in order, the first one (CLOSED, LISTEN) left out
    server: tuple = None
    notes: tuple = ()  # at least these, at the client; a tuple in it: one of these
    server_notes: tuple = ()  # the same at the server
    trouble: str = None  # what a "!" sentence must speak of (a regular expression); "": there is none; None: as may be
    server_trouble: str = None
    copies: bool = False  # copies of segments may take a state back
    said: str = None  # what any sentence must speak of, at the client; what was repaired at once is no trouble
    opened: str = None
    ended: str = None
    wire: dict = dataclasses.field(default_factory=dict)
    ends: str = "ab"
    n_connections: int = 1
    n_repeats: int = None  # how often kernels send something again; None: as may be, but not at all without trouble
    played: object = None  # played(wire): whether it has come out as it was meant to
    linktype: int = None


SCENARIOS = {}


def scenario(**facts):
    def register(function):
        SCENARIOS[function.__name__] = Scenario(function, **facts)
        return function

    return register


# --- what they are made of ---------------------------------------------------------------------------------------


def ready(sock):
    sock.settimeout(harness.DEADLINE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


@contextlib.contextmanager
def joined(wire, **keywords):
    """A connection: (client, server), both closed at the end if they still are open."""
    with wire.b.listener(Wire.B4, PORT, **keywords) as listener, ready(wire.a.socket()) as client:
        client.connect((Wire.B4, PORT))
        server = ready(listener.accept()[0])
        with server:
            yield client, server


def say(wire, sender, receiver, data):
    """Data that arrives and is read, and whose last byte is acknowledged by the other kernel."""
    sender.sendall(data)
    got = harness.receive_exactly(receiver, len(data))
    assert got == data
    harness.wait_acknowledged(sender)
    return wire


def end_seen(wire, n_fins=2):
    """Until the ACK of the last FIN has arrived, after n_fins FINs at least."""

    def over():
        frames = [frame for frame in wire.frames if frame.is_tcp and frame.delivered]
        fins = {(frame.end, frame.seq + frame.n_bytes + 1) for frame in frames if frame.fin}
        acks = {
            ("b" if frame.end == "a" else "a", frame.ack) for frame in frames if frame.letters and "." in frame.letters
        }
        return len(fins) >= n_fins and all((end, number & 0xFFFFFFFF) in acks for end, number in fins)

    wire.wait(over, f"{n_fins} FINs are acknowledged")


def first_end(wire, sock):
    """sock's program ends its direction, and the other kernel's ACK of that has come back."""
    sock.shutdown(socket.SHUT_WR)
    harness.wait_state(sock, "FIN_WAIT2", "TIME_WAIT", "CLOSE")


def orderly(wire, first, second):
    """One end closes; the other does so once the first FIN was acknowledged: four segments."""
    first_end(wire, first)
    assert second.recv(1) == b""
    second.close()
    end_seen(wire)


def make(name, folder):
    """Play a scenario; returns {capture's name: path}."""
    chosen = SCENARIOS[name]
    if not chosen.ends:
        path = folder / f"{name}.pcap"
        chosen.make(path)
        return {name: path}
    n_repeats = 0 if chosen.trouble == "" else chosen.n_repeats
    for _ in range(PLAYED_MOST):
        with Wire(**chosen.wire) as wire:
            chosen.make(wire)
            wire_records = wire.records
        # On a busy machine a late ACK makes the kernel repeat what was not lost; and an answer comes too late.
        if n_repeats in (None, wire.repeats()) and (not chosen.played or chosen.played(wire)):
            break
    paths = {}
    for end in chosen.ends:
        label = name if end == "a" else f"{name}@{end}"
        paths[label] = pcap.write(folder / f"{label}.pcap", wire_records[end])
    return paths
