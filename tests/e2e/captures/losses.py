# SPDX-License-Identifier: MIT
"""Scenarios: loss of each kind of segment, reordering, duplication."""

import harness
from captures.netns import Wire, sent_by
from captures.playing import (
    ACTIVE,
    PASSIVE_B,
    PORT,
    SCENARIOS,
    Scenario,
    end_seen,
    first_end,
    joined,
    orderly,
    ready,
    say,
    scenario,
)

# --- loss of each kind of segment --------------------------------------------------------------------------------


def lossy(loss, *, data=b"hello", **facts):
    """A scenario that is a handshake, `data`, and an orderly close, with loss(wire) of one segment of it."""

    def make(wire):
        loss(wire)
        with joined(wire) as (client, server):
            say(wire, client, server, data)
            first_end(wire, client)
            assert server.recv(1) == b""
            server.close()
            end_seen(wire)

    facts.setdefault("client", ACTIVE)
    facts.setdefault("server", PASSIVE_B)
    facts.setdefault("copies", True)
    facts.setdefault("n_repeats", 1)
    SCENARIOS[loss.__name__] = Scenario(make, **facts)


def loss_syn(wire):
    wire.drop(sent_by("a", "syn"), 1)


def loss_synack(wire):
    """Each end has a timer of its own, and whose comes first is not said: so SYN-ACKs are lost until both have repeated
    what they had sent, as a client sees that has repeated its SYN."""

    def match(frame):
        return frame.end == "b" and frame.synack and sum(f.syn and f.delivered for f in wire.frames) < 2

    wire.drop(match)


def loss_final_ack(wire):
    """Nothing comes behind it: the server repeats its SYN-ACK."""
    wire.drop(sent_by("a", "pure_ack"), 1)


def loss_only_data(wire):
    """No later segment can show that it was lost: a tail probe repeats it."""
    wire.drop(sent_by("a", "data_bytes"), 1)


def loss_thrice(wire):
    """The tail probe and the first RTO's copy are lost too."""
    wire.drop(sent_by("a", "data_bytes"), {1, 2, 3})


def loss_data_ack(wire):
    """The data had arrived: its copy is answered by DSACK."""
    wire.drop(sent_by("b", lambda frame: frame.pure_ack), 1)


def loss_fin(wire):
    wire.drop(sent_by("a", "fin"), 1)


def loss_fin_ack(wire):
    """The ACK of the client's FIN."""

    def match(frame):
        return frame.end == "b" and frame.pure_ack and any(f.fin and f.end == "a" for f in wire.frames)

    wire.drop(match, 1)


def loss_last_ack(wire):
    """The ACK of the server's FIN: the client answers its copy from TIME_WAIT."""

    def match(frame):
        return frame.end == "a" and frame.pure_ack and any(f.fin and f.end == "b" for f in wire.frames)

    wire.drop(match, 1)


lossy(loss_syn, notes=("syn-retry",), trouble="SYN|lost")
lossy(loss_synack, notes=("syn-retry",), server_notes=("syn-retry",), trouble="SYN|lost", n_repeats=None)
lossy(loss_final_ack, notes=("syn-retry",), server_notes=("syn-retry",))
lossy(loss_only_data, notes=("retransmission",), trouble="lost|repeat|retransmi|again|sent")
lossy(loss_thrice, notes=("retransmission", "rto"), trouble="lost|repeat|retransmi", n_repeats=3)
lossy(
    loss_data_ack,
    notes=("retransmission", "dsack"),
    server_notes=("retransmission", "dsack", "spurious"),
    said="not needed",
)
lossy(loss_fin, notes=("retransmission",), trouble="lost|repeat|retransmi")
lossy(loss_fin_ack, notes=("retransmission",), server_notes=("retransmission",))
lossy(loss_last_ack, notes=("retransmission",), server_notes=("retransmission",))


@scenario(client=ACTIVE, server=PASSIVE_B, n_repeats=0)
def loss_final_ack_data(wire):
    """The ACK of the SYN-ACK is lost, and the data behind it carries it too."""
    wire.drop(sent_by("a", "pure_ack"), 1)
    with wire.b.listener(Wire.B4, PORT) as listener, ready(wire.a.socket()) as client:
        client.connect((Wire.B4, PORT))
        client.sendall(b"hello")
        with ready(listener.accept()[0]) as server:
            assert harness.receive_exactly(server, 5) == b"hello"
            harness.wait_acknowledged(client)
            orderly(wire, client, server)


def bulk(wire, client, server, n=12, size=1000):
    """n segments of that size, sent at once."""
    for number in range(n):
        client.send(bytes([65 + number]) * size)
    harness.receive_exactly(server, n * size)
    harness.wait_acknowledged(client)


def bulk_with(rule, close=True):
    def make(wire):
        with joined(wire) as (client, server):
            held = rule(wire)
            if held:
                held(client, server)
            else:
                bulk(wire, client, server)
            if close:
                orderly(wire, client, server)

    return make


def _add(name, make, **facts):
    facts.setdefault("client", ACTIVE)
    facts.setdefault("server", PASSIVE_B)
    SCENARIOS[name] = Scenario(make, **facts)


_add(
    "loss_first_data",
    bulk_with(lambda wire: wire.drop(sent_by("a", "data_bytes"), 1) and None),
    notes=("retransmission", "fast", "duplicate-ack"),
    server_notes=("hole", "fills-hole"),
    said="lost|hole|repair|repeat|retransmi|again",
    n_repeats=1,
)
_add(
    "loss_middle_data",
    bulk_with(lambda wire: wire.drop(sent_by("a", "data_bytes"), 4) and None),
    notes=("retransmission", "fast", "duplicate-ack"),
    server_notes=("hole", "fills-hole"),
    said="lost|hole|repair|repeat|retransmi|again",
    n_repeats=1,
)
_add(
    "loss_last_data",
    bulk_with(lambda wire: wire.drop(sent_by("a", "data_bytes"), 12) and None),
    notes=("retransmission",),
    said="lost|hole|repair|repeat|retransmi|again",
    n_repeats=1,
)
_add(
    "loss_two",
    bulk_with(lambda wire: wire.drop(sent_by("a", "data_bytes"), {3, 7}) and None),
    notes=("retransmission", "fast", "duplicate-ack"),
    server_notes=("hole", "fills-hole"),
    said="lost|hole|repair|repeat|retransmi|again",
    n_repeats=2,
)
_add(
    "duplicated",
    bulk_with(lambda wire: wire.twice(sent_by("a", "data_bytes"), 3) and None),
    notes=("dsack",),
    server_notes=("dsack",),
    n_repeats=0,
)


def _reorder(wire):
    """The third segment is overtaken by the fourth and fifth."""
    rule = wire.hold(sent_by("a", "data_bytes"), 3)

    def play(client, server):
        for number in range(5):
            client.send(bytes([65 + number]) * 1000)
        wire.wait_held()
        wire.arrived(sent_by("a", "data_bytes"), 4)
        wire.release(rule)
        harness.receive_exactly(server, 5000)
        harness.wait_acknowledged(client)

    return play


_add("reordered", bulk_with(_reorder), server_notes=(("out-of-order", "fills-hole"),), n_repeats=0)
