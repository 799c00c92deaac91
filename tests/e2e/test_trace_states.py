# SPDX-License-Identifier: MIT
"""What `sonde trace` concludes from each scenario: states of both ends, notes, and what is wrong."""

import re

import pytest

from captures import netns
from captures.scenarios import SCENARIOS
from captures.seen import DIRECT, ENDS, ladder_states, seen  # noqa: F401  pylint: disable=unused-import

PLAYED = [*DIRECT, *ENDS]


def facts(capture):
    return SCENARIOS[capture.partition("@")[0]]


def at_server(capture):
    return capture.endswith("@b")


def last_connection(events):
    """The scenario's own: where others were needed first, it is the last."""
    return events.conns[-1]


def check(capture, client, server):
    if capture.startswith("simultaneous_open"):
        # That the far end had sent its SYN before ours arrived is seen only afterwards.
        assert server in (["SYN_RECV", "ESTABLISHED"], ["SYN_SENT", "SYN_RECV", "ESTABLISHED"])
        server = facts(capture).server
    assert client == list(facts(capture).client)
    if facts(capture).server:
        assert list(server) == list(facts(capture).server)


def named_once(ways, *first):
    """States as the ladder names them: when they change, and not again what stood there before."""
    return tuple(way[1:] if way and way[0] == before else way for way, before in zip(ways, first))


WITH_STATES = [name for name in PLAYED if facts(name).client and name != "no_answer@b"]


@pytest.mark.parametrize("capture", WITH_STATES)
def test_states(seen, capture):
    """Both ends, from the segments alone, wherever they were captured."""
    events = seen.events(capture)
    check(capture, *events.states_without_doubt(last_connection(events)))


@pytest.mark.parametrize("capture", WITH_STATES)
def test_states_on_the_ladder(seen, capture):
    """The same states in the text, each named once where it begins, after those that both ends had before."""
    ladder = seen.ladders(capture)[-1]
    left, right = ladder_states(ladder[1])
    assert left[0] == "CLOSED" and right[0] in ("LISTEN", "CLOSED")
    events = seen.events(capture)
    assert (left[1:], right[1:]) == named_once(events.states(last_connection(events)), left[0], right[0])
    if facts(capture).copies is False:
        check(capture, left[1:], right[1:])


@pytest.mark.parametrize("capture", [name for name in PLAYED if not name.startswith("icmp")])
def test_number_of_connections(seen, capture):
    assert len(seen.events(capture).conns) == facts(capture).n_connections


@pytest.mark.parametrize("capture", PLAYED)
def test_notes(seen, capture):
    events = seen.events(capture)
    notes = events.notes()
    for wanted in facts(capture).server_notes if at_server(capture) else facts(capture).notes:
        alternatives = {wanted} if isinstance(wanted, str) else set(wanted)
        assert notes & alternatives, f"none of {alternatives} among {sorted(notes)}"


NOTHING_WRONG = {
    "retransmission",
    "syn-retry",
    "rto",
    "fast",
    "tail-probe",
    "spurious",
    "out-of-order",
    "hole",
    "fills-hole",
    "duplicate-ack",
    "dsack",
    "not-captured",
    "zero-window",
    "window-probe",
    "refused",
    "reset",
    "after-end",
    "begins-midway",
    "tuple-reused",
    "scale-unknown",
    "checksum-bad",
    "cut",
    "seen-twice",
    "mss-missing",
}


@pytest.mark.parametrize(
    "capture", [name for name in PLAYED if facts(name).trouble == "" and not name.startswith("simultaneous_open")]
)
def test_no_false_alarm(seen, capture):
    """An orderly conversation has nothing in it that is wrong, at either end, with whatever offloads."""
    assert not seen.events(capture).notes() & NOTHING_WRONG


def trouble(capture):
    """What a sentence about it must say. What is lost on the way to the server is not to be seen there."""
    both = facts(capture).trouble == ""
    return facts(capture).server_trouble if at_server(capture) and not both else facts(capture).trouble


@pytest.mark.parametrize("capture", [name for name in PLAYED if trouble(name) is not None])
def test_verdicts(seen, capture):
    """Under the ladder: what is wrong and why; nothing when all is well."""
    wanted = trouble(capture)
    said = [line for ladder in seen.ladders(capture) for line in ladder[2] if line.startswith("!")]
    if wanted == "":
        assert said == []
    else:
        assert any(re.search(wanted, line) for line in said), f"no sentence speaks of /{wanted}/: {said}"


@pytest.mark.parametrize("capture", [name for name in PLAYED if facts(name).said and not at_server(name)])
def test_what_was_repaired(seen, capture):
    """What the connection got over is told, if only in its summary."""
    said = [line for ladder in seen.ladders(capture) for line in ladder[2]]
    assert any(re.search(facts(capture).said, line) for line in said), said


@pytest.mark.parametrize("capture", PLAYED)
def test_sentences_are_sentences(seen, capture):
    for _, _, lines in seen.ladders(capture):
        for line in lines:
            assert re.match(r"[!i=] \S", line), line
            assert "  " not in line[2:] or "sonde" in line, f"a hole in {line!r}"
            assert not re.search(r"%[sdluz]|\(null\)|-\d+ (?:bytes|ms|us|s)\b|nan|inf\b", line), line


def test_namespaces():
    """Without them most of the above is skipped: said once, here."""
    if netns.permitted():
        pytest.skip(netns.permitted())
